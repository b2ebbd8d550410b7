"""Reads ink: files of pen strokes, or strokes as arrays.

reader = zoo.load("ink_formulae").reader
found, = reader("formula.inkml", details=True)     # Writing: text, confidence, tokens with their strokes
reader(files, n_best=3, beam_width=10)
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import os
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from export.runtime import align
from zoo.contract.options import BEAM_WIDTH, N_BEST, Option
from zoo.contract.reader import Metric, Reader
from zoo.decoding.language_model import ALPHA, DECODER, OfLanguageModel, language_model_option
from zoo.decoding.strokes import part_strokes
from zoo.errors import UserError
from zoo.families.ink.vocabulary import InkVocabulary
from zoo.formats.strokes import SUFFIXES, pad, read_ink
from zoo.metrics.confidence import judge
from zoo.metrics.text import answers, text_error_rates
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from zoo.families.ink.corpus import Inks
    from zoo.text.ngrams import LanguageModel

WINDOW = 256  # inks held in memory and sorted by length at a time
BATCH = 8  # inks read at a time by each thread
BATCH_POINTS = 1 << 13  # padded points of a batch: sampling compares each with each sample
BEAM = 16  # hypotheses, where there is a language model or several results are wanted


class Token(typing.NamedTuple):
    """A token that was read.

    Attributes:
        token: str.
        confidence: its highest probability in its frames, 0 to 1.
        strokes: numbers, from 0, of its strokes: a letter in joined writing has a part of one.
        first, last: the numbers of its points, from 0, among all; points that were doubled do not count.
    """

    token: str
    confidence: float
    strokes: tuple
    first: int
    last: int

    def to_json(self) -> dict[str, Any]:
        about = {"token": self.token, "confidence": round(self.confidence, 4)}
        return about | {"strokes": list(self.strokes), "first": self.first, "last": self.last}


@dataclasses.dataclass(frozen=True)
class Writing:
    """What was read in one ink.

    Attributes:
        text: tokens with blanks between where the model's are so divided.
        confidence: the probability that all of it is right, 0 to 1; 0 where nothing was read. See
            ``export.runtime.calibrated``.
        tokens: list of ``Token`` in the order of the text.
        hypotheses: list of ``(text, score)``, best first; where the search has one result alone, that.
    """

    text: str
    confidence: float
    tokens: list
    hypotheses: list

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        about = {"text": self.text, "confidence": round(self.confidence, 4)}
        return about | {"tokens": [token.to_json() for token in self.tokens]}


class InkReader(OfLanguageModel, Reader):
    """Reads ink; each result is a ``Writing``.

    The arguments are those of ``Reader``; ``assets`` may hold ``language_model.arpa``, one of tokens.
    """

    Vocabulary = InkVocabulary
    reads, one, suffixes = "inks", "ink", SUFFIXES
    single, axes = Reader.single | np.ndarray | tuple, 2
    options = (
        DECODER,
        BEAM_WIDTH,
        N_BEST,
        language_model_option("of tokens"),
        ALPHA,
        Option("beta", "bonus of each token, natural logarithm", float, "X"),
    )
    judges = True
    plots, plot_help = "one", "the strokes, each in the colour of its token"
    metrics = (
        Metric("token_error_rate", "token error rate", "{:.2%}"),
        Metric("exact", "inks read without an error", "{:.2%}"),
    )

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, **decoding: Any
    ) -> Iterator[Writing | UserError]:
        """Iterate over the ``Writing`` of each ink.

        Args:
            inputs: an iterable of inks, see ``read_ink``.
            errors, progress: as in a call.
            decoding: the arguments of ``search``.

        Raises:
            UserError: an ink cannot be read, or the options contradict each other.
        """
        search = self.search(**decoding)

        def prepare(number, item):
            return read_ink(item, item if isinstance(item, str | os.PathLike) else f"input {number + 1}")

        def answer(inks, pool, bar):
            found = {}
            for some in pool.map(lambda batch: self._read(batch, search), _batches(inks, self.threads)):
                found |= some
                bar.update(len(some))
            return found

        return self.in_windows(
            inputs, prepare, answer, WINDOW, errors, desc="reading", unit=" inks", disable=not progress
        )

    def search(
        self, decoder: str | None = None, beam_width: int | None = None, n_best: int | None = None,
        language_model: LanguageModel | str | os.PathLike | None = None, alpha: float | None = None,
        beta: float | None = None,
    ) -> Callable | None:  # fmt: skip
        """How to get from probabilities to tokens.

        Args:
            decoder: "greedy", the likeliest token of each frame, or "beam", CTC prefix beam search, with a
                language model if there is one. None: "beam" where the model ships a language model or any
                other argument is given.
            beam_width: hypotheses kept.
            n_best: how many of them are given.
            language_model: a ``zoo.text.ngrams.LanguageModel``, or the path of an ARPA file, of tokens.
            alpha: weight of the language model.
            beta: bonus of each token, natural logarithm.

        Returns:
            A function from log probabilities, ``[frames, symbols]``, to ``[(labels, score)]``; None for
            greedy decoding.

        Raises:
            UserError: the arguments contradict each other, or the language model cannot be read.
        """
        given = beam_width, n_best, language_model, alpha, beta
        if not self.searches(decoder, given, "one result and no beam width, language model, alpha or beta"):
            return None
        from zoo.decoding.ctc_tokens import TokenSearch

        if (beam_width is not None and beam_width < 1) or (n_best is not None and n_best < 1):
            raise UserError("a beam width and a number of results are 1 or more")
        width = beam_width or max(BEAM, n_best or 1)
        if n_best and n_best > width:
            raise UserError(
                f"{n_best} results cannot be found with a beam width of {width}: give one as large, or none"
            )
        language_model = self.weighed(language_model, alpha, beta)
        alpha = self.config["alpha"] if alpha is None else alpha
        beta = self.config["beta"] if beta is None else beta
        search = TokenSearch(self.vocabulary.characters, language_model, width, alpha, beta)
        return lambda log_probs: search(log_probs)[: n_best or 1]

    def _read(self, batch, search):
        """``{key: points}`` -> ``{key: Writing}``, in one run of the model."""
        points, lengths = pad(list(batch.values()))
        outputs = self.run({"points": points, "point_lengths": lengths})
        found = {}
        for i, (key, ink) in enumerate(batch.items()):
            count = outputs["lengths"][i]
            log_probs, at = outputs["log_probs"][i, :count], outputs["at"][i, :count]
            if search:
                hypotheses = search(log_probs)
                labels = hypotheses[0][0]
                frames = align(log_probs, list(labels)) if labels else []
            else:
                several = outputs["label_lengths"][i]
                labels = outputs["labels"][i, :several].tolist()
                first, last = (outputs[name][i, :several].tolist() for name in ("first_frame", "last_frame"))
                frames = list(zip(first, last, strict=True))
                score = float(log_probs.max(1).sum())
                hypotheses = [(labels, score)]
            found[key] = self._writing(
                ink, log_probs, at, labels, frames, hypotheses, searched=search is not None
            )
        return found

    def align(self, item: Any, text: str, cost: Callable | None = None) -> list[Token]:
        """Where each token of a known text stands in ink: the ``Token`` of each that the model knows.

        Args:
            item: see ``read_ink``.
            text: str.
            cost: takes a token and a number of strokes, gives the cost of their belonging together, as in
                ``zoo.decoding.strokes.part_strokes``.

        Raises:
            UserError: the ink cannot be read, or is too short for the text.
        """
        points = read_ink(item)
        padded, lengths = pad([points])
        outputs = self.run({"points": padded, "point_lengths": lengths})
        log_probs, labels = outputs["log_probs"][0, : outputs["lengths"][0]], self.vocabulary.encode(text)
        needed = len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
        if not labels or needed > len(log_probs):
            raise UserError(f"the ink is too short for its text {text!r}")
        frames = align(log_probs, labels)
        found = self._writing(points, log_probs, outputs["at"][0], labels, frames, [(labels, 0.0)], cost)
        return found.tokens

    def _writing(self, ink, log_probs, at, labels, frames, hypotheses, cost=None, searched=False):
        sure = [
            float(np.exp(log_probs[first : last + 1, label].max()))
            for label, (first, last) in zip(labels, frames, strict=True)
        ]
        names = [self.vocabulary.characters[label - 1] for label in labels]
        own_cost = cost and (lambda number, strokes: cost(names[number], strokes))
        tokens = tokens_of(ink, names, sure, frames, at, own_cost)
        texts = [(self.vocabulary.decode(rows), float(score)) for rows, score in hypotheses]
        text, order = self.vocabulary.decode_with_order(list(labels))
        confidence = self.sure(math.prod(sure), searched=searched) if sure else 0.0
        return Writing(text, confidence, [tokens[i] for i in order], texts)

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draws ink, its strokes in the colours of its tokens, and what was read.

        Args:
            item: the ink, see ``read_ink``.
            path: the PNG file to write.
            decoding: as in ``stream``.

        Raises:
            UserError: the ink cannot be read, or the file cannot be written.
        """
        from zoo.families.ink.plot import draw

        points = read_ink(item)
        (writing,) = self.stream([points], **decoding)
        draw(points, writing, path)

    def evaluate(
        self, corpus: Inks, progress: bool = False, judged: dict | None = None, **decoding: Any
    ) -> dict[str, Any]:
        """Error rates on a loaded corpus of ink.

        Returns:
            A dict with ``inks``, ``tokens``; ``token_error_rate``, edits of tokens over all; ``exact``, the
            share of inks without one; ``cer`` and ``wer``, of characters and of what stands between
            blanks; ``seconds`` and ``inks_per_second``; ``skipped``, sentences on what could not be used;
            ``unknown``, ``{token: count}`` of those that the vocabulary lacks: they count as errors;
            ``confidence``, see ``zoo.metrics.confidence.confidence_report``. ``judged``, a dict, gets "text",
            confidences and whether each ink was read right.
        """
        found, wanted, seconds = answers(
            lambda inks: self(inks, details=True, **decoding), corpus, 512, desc="reading", unit="ink",
            disable=not progress,
        )  # fmt: skip
        confidence = [one.confidence for one in found]
        found = [" ".join(normalise(one.text).split()) for one in found]
        tokens = [self.vocabulary.tokens(text) for text in wanted]
        if self.vocabulary.divided:
            wanted = [" ".join(one) for one in tokens]
        right = [a == b for a, b in zip(wanted, found, strict=True)]
        rates = text_error_rates(wanted, found)
        unknown = collections.Counter(t for one in tokens for t in one if t not in self.vocabulary)
        return {
            "inks": len(wanted),
            "tokens": sum(map(len, tokens)),
            "token_error_rate": rates["wer" if self.vocabulary.divided else "cer"],
            "exact": sum(right) / max(1, len(wanted)),
            "cer": rates["cer"],
            "wer": rates["wer"],
            "seconds": seconds,
            "inks_per_second": len(wanted) / seconds,
            "skipped": corpus.skipped,
            "confidence": judge(confidence, right, judged),
            "unknown": dict(unknown.most_common()),
        }

    def rows(self, report: dict) -> list[tuple[str, str]]:
        rows = [("inks", f"{report['inks']} ({report['tokens']} tokens)"), *super().rows(report)]
        if report["unknown"]:
            listed = " ".join(f"{token}×{count}" for token, count in report["unknown"].items())
            rows.append(("unknown", f"{listed} (not in the vocabulary, counted as errors)"))
        return rows


def tokens_of(
    points: np.ndarray, names: Sequence[str], sure: Sequence[float], frames: Sequence, at: np.ndarray,
    cost: Callable | None = None,
) -> list[Token]:  # fmt: skip
    """What of the ink each token is: ``Token`` of each.

    Args:
        points: float32 ``[points, 3]``.
        names: the tokens.
        sure: their confidence.
        frames: ``(first, last)`` of each.
        at: float ``[frames]``, the place of each frame among the points.
        cost: as of ``zoo.decoding.strokes.part_strokes``.
    """
    if not names:
        return []
    places = [(at[first] + at[last]) / 2 for first, last in frames]
    owner = part_strokes(points, places, cost)
    stroke = np.concatenate([[0], np.cumsum(points[:-1, 2] > 0)]).astype(int)  # of each point
    found = []
    for i, (name, confidence) in enumerate(zip(names, sure, strict=True)):
        own = np.flatnonzero(owner == i)
        if not len(own):  # there are more tokens than points
            own = np.array([len(points) - 1])
        strokes = tuple(int(number) for number in np.unique(stroke[own]))
        found.append(Token(name, confidence, strokes, int(own[0]), int(own[-1])))
    return found


def _batches(inks, threads):
    """``{key: points}`` -> list of such, of inks of similar length."""
    order = sorted(inks, key=lambda key: len(inks[key]))
    size = max(1, min(BATCH, -(-len(inks) // threads)))
    found, batch = [], {}
    for key in order:
        if batch and (len(batch) == size or (len(batch) + 1) * len(inks[key]) > BATCH_POINTS):
            found.append(batch)
            batch = {}
        batch[key] = inks[key]
    return [*found, batch] if batch else found


READER = InkReader
