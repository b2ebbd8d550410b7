"""CTC prefix beam search over a tree of prefixes, to which a language model adds what it makes of them.

``zoo.decoding.ctc_words`` has one of words, ``zoo.decoding.ctc_tokens`` one of tokens or characters.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

LEAST = -100.0  # log probabilities in a frame, relative to its largest, are at least so
HUGE = 1e100  # where the largest mass is above this, or below its inverse, all are scaled


class PrefixSearch:
    """What such searches share. A subclass has

    - ``root()``: the ``Prefix`` at the beginning;
    - ``longer(prefix, label)``: a tuple, first what a prefix with this label more counts in the search beside
      its mass, its ``bias``;
    - ``extended(prefix, label)``: the ``Prefix`` of that.

    Args:
        beam_width: prefixes kept at each frame.
        token_threshold: labels less probable than this in a frame do not extend a prefix there, and a frame
            whose blank has all but so much is taken for nothing else.
        beam_threshold: prefixes with a score so far below the best are dropped.
    """

    def __init__(self, beam_width: int, token_threshold: float, beam_threshold: float) -> None:
        if beam_width < 1:
            raise ValueError(f"beam_width is 1 or more, not {beam_width}")
        self.beam_width, self.beam_threshold = beam_width, beam_threshold
        self.token_threshold = token_threshold

    def beam(self, log_probs: np.ndarray) -> tuple[list[Prefix], float]:
        """The prefixes kept after the last frame, and what is to be added to their log masses.

        Args:
            log_probs: float64 ``[time, labels]``, natural logarithms; label 0 is the blank.
        """
        peaks = log_probs.max(1, keepdims=True)
        probs = np.exp(log_probs)
        likely = probs > self.token_threshold
        likely[:, 0] = True
        used = np.flatnonzero(likely.any(0))  # the others are in no prefix
        logs = np.maximum(log_probs[:, used] - peaks, LEAST)  # so masses shrink and grow slowly
        order = np.argsort(-logs[:, 1:], 1, kind="stable") + 1
        counts, blanks = likely[:, 1:].sum(1), probs[:, 0] > 1 - self.token_threshold
        frames = zip(*(each.tolist() for each in (np.exp(logs), logs, order, counts, blanks)), strict=True)

        beam, scale = [self.root()], float(peaks.sum())
        beam[0].blank = 1.0
        used = used.tolist()
        for time, (probs, logs, order, count, blank) in enumerate(frames):
            if blank:
                for prefix in beam:
                    prefix.blank, prefix.ending = prefix.blank + prefix.ending, 0.0
                continue
            likely = [(used[i], probs[i], logs[i]) for i in order[:count]]
            beam = self._advance(beam, time, dict(zip(used, probs, strict=True)), likely)
            largest = max(prefix.blank + prefix.ending for prefix in beam)
            if not 1 / HUGE < largest < HUGE:
                scale += math.log(largest)
                for prefix in beam:
                    prefix.blank, prefix.ending = prefix.blank / largest, prefix.ending / largest
                    prefix.score -= math.log(largest)
        return beam, scale

    def _advance(self, beam, time, probs, likely):
        """One frame: the best prefixes, best first, that those of ``beam`` stay or become.

        Args:
            beam: list of ``Prefix``, best first.
            time: int, the frame's number.
            probs: {label: float}, the frame's probabilities relative to its largest.
            likely: (label, its probability, the logarithm) of each likely label, likeliest first.
        """
        least = beam[0].score - self.beam_threshold
        seen, grown = [], []  # prefixes that were in a beam before; (score, parent, label, mass) of new ones
        for prefix in beam:
            either = prefix.blank + prefix.ending
            if prefix.time != time:
                prefix.time, prefix.next_ending = time, 0.0
                seen.append(prefix)
            prefix.next_blank = either * probs[0]
            prefix.next_ending += prefix.ending * probs[prefix.label]  # the last label goes on
            log_mass = prefix.score - prefix.bias
            for label, prob, log_prob in likely:
                if prefix.score + log_prob < least:
                    break
                # Doubled labels have a blank between them.
                mass = prob * (prefix.blank if label == prefix.label else either)
                child = prefix.children.get(label)
                if child:
                    if child.time != time:
                        child.time, child.next_blank, child.next_ending = time, 0.0, 0.0
                        seen.append(child)
                    child.next_ending += mass
                elif mass:
                    log = math.log(mass) if label == prefix.label else log_mass + log_prob
                    score = log + self.longer(prefix, label)[0]
                    if score >= least:
                        grown.append((score, prefix, label, mass))
        for prefix in seen:
            prefix.blank, prefix.ending = prefix.next_blank, prefix.next_ending
            prefix.score = prefix.log_mass() + prefix.bias
            grown.append((prefix.score, prefix, None, None))
        grown.sort(key=operator.itemgetter(0), reverse=True)
        least = grown[0][0] - self.beam_threshold
        return [
            prefix if label is None else self._new(prefix, label, score, mass)
            for score, prefix, label, mass in grown[: self.beam_width]
            if score >= least and score > -math.inf
        ]

    def _new(self, prefix, label, score, mass):
        """The prefix with one more label, newly in the beam."""
        child = prefix.children[label] = self.extended(prefix, label)
        child.score, child.ending = score, mass
        return child


class Prefix:
    """A beginning of the result, as a node of the tree of all of them.

    Attributes:
        parent, label, children: the prefix without its last label, that, and the longer ones by label.
        bias: what the search adds to the logarithm of its mass.
        state: the language model's.
        blank, ending: the mass of its alignments that end in a blank, and in its last label.
        score: the logarithm of the mass, with the bias.
        time: the last frame that it was reached in; ``next_blank`` and ``next_ending`` are its masses there.
    """

    __slots__ = (
        "parent", "label", "children", "bias", "state",
        "blank", "ending", "score", "time", "next_blank", "next_ending",
    )  # fmt: skip

    def __init__(self, parent: Prefix | None, label: Any, bias: Any, state: Any) -> None:
        self.parent, self.label, self.children, self.bias, self.state = parent, label, {}, bias, state
        self.blank = self.ending = self.score = 0.0
        self.time = -1

    def log_mass(self) -> float:
        mass = self.blank + self.ending
        return math.log(mass) if mass else -math.inf

    def labels(self) -> tuple:
        """All of them, a tuple of ints."""
        found = []
        while self.parent:
            found.append(self.label)
            self = self.parent
        return tuple(reversed(found))
