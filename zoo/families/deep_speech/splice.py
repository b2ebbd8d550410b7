"""Utterances joined at random from phrases of recorded ones, so that no sentence can be learned by heart.

A network that hears the same few hours in each epoch learns their sentences rather than their sounds: in
another order it understands the very same words worse. Joined anew each time (Lam et al. 2021, "On-the-fly
Aligned Data Augmentation for Sequence-to-Sequence ASR"), there is nothing to remember but the words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.decoding.ctc import align
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.task import Task
    from zoo.data.speech import Speech
    from zoo.families.deep_speech.network import DeepSpeechConfig

PHRASE = 4  # words of the longest phrase
FADE = 0.01  # seconds in which one phrase goes over into the next
_SURE = -0.5  # log-probability of a frame, on average, below which a transcript is not that of its recording


@dataclasses.dataclass(frozen=True)
class Aligned:
    """A recording and where its words begin.

    Attributes:
        speaker: str.
        audio: int16 ``[samples]``.
        words: for each word, the rows of its characters.
        cuts: int ``[words + 1]``, samples where words begin, and the end.
    """

    speaker: str
    audio: np.ndarray
    words: list
    cuts: np.ndarray


class Splicer:
    """Draws utterances joined from phrases of one speaker.

    Args:
        utterances: a list of ``Aligned``.
        blank: the row of the character between words.
        share: probability that ``sometimes`` draws one.
        rate: samples a second.
        repeats: how often an epoch shows each of ``utterances``, by default as often as any other: so often
            one like it is drawn.
    """

    def __init__(
        self, utterances: list, blank: int, share: float, rate: int = 16000, repeats: int | Sequence[int] = 1
    ) -> None:
        self.utterances, self.blank, self.share = utterances, blank, share
        self._shown = np.repeat(np.arange(len(utterances)), repeats)
        self._fade = round(FADE * rate)
        self._same = {}
        for number, utterance in enumerate(utterances):
            self._same.setdefault(utterance.speaker, []).append(number)

    @classmethod
    def align(cls, task: Task, corpus: Speech, share: float) -> Splicer:
        """Find the words of a corpus with a model that understands it.

        Args:
            task: the ``DeepSpeech``.
            corpus: a ``zoo.data.speech.Speech``, named ``CORPUS/SPEAKER/ID``.
            share: as above.

        Raises:
            UserError: the model understands none of it.
        """
        if " " not in task.vocabulary:
            raise UserError("A model without the blank has no words to join; learn without splicing.")
        blank = task.vocabulary.characters.index(" ") + 1
        utterances, repeats, samples = [], [], zip(corpus.names, corpus.repeats, strict=True)
        for recordings, texts in corpus.chunks(16):
            for audio, text, log_probs in zip(recordings, texts, task.hear(recordings), strict=True):
                audio, labels = np.round(audio * 32768).astype(np.int16), task.vocabulary.encode(text)
                found = find_words(audio, labels, log_probs, blank, task.config)
                name, repeat = next(samples)
                if found:
                    utterances.append(Aligned(name.rpartition("/")[0], audio, *found))
                    repeats.append(repeat)
        if not utterances:
            raise UserError(
                "The model that is to find the words understands none of these utterances: fine-tune it "
                "without splicing first, then its run with it."
            )
        return cls(utterances, blank, share, task.config.sampling_rate, repeats)

    def draw(self, seed: Any) -> tuple[np.ndarray, np.ndarray]:
        """One new utterance, of as many words as a recorded one: int16 ``[samples]``, int32 rows."""
        random = np.random.default_rng(seed)
        like = self.utterances[self._shown[random.integers(len(self._shown))]]
        same = self._same[like.speaker]
        audio, rows, missing = np.zeros(0, np.float32), [], len(like.words)
        while missing:
            one = self.utterances[same[random.integers(len(same))]]
            first = random.integers(len(one.words))
            words = one.words[first : first + random.integers(1, 1 + min(missing, PHRASE))]
            phrase = one.audio[one.cuts[first] : one.cuts[first + len(words)]]
            audio = self._joined(audio, phrase.astype(np.float32))
            for word in words:
                rows += [self.blank, *word] if rows else word
            missing -= len(words)
        return np.clip(np.rint(audio), -32768, 32767).astype(np.int16), np.array(rows, np.int32)

    def _joined(self, audio, phrase):
        fade = min(self._fade, len(audio), len(phrase))
        rise = np.linspace(0, 1, fade, dtype=np.float32)
        middle = audio[len(audio) - fade :] * (1 - rise) + phrase[:fade] * rise
        return np.concatenate([audio[: len(audio) - fade], middle, phrase[fade:]])

    def sometimes(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """A sample in tf.data, ``audio`` and ``labels``, or one drawn instead; ``seed`` int ``[2]``."""
        import tensorflow as tf

        def drawn():
            found = tf.numpy_function(self.draw, [seed], (tf.int16, tf.int32))
            audio, labels = (tf.ensure_shape(one, (None,)) for one in found)
            return sample | {"audio": audio, "labels": labels}

        chance = tf.random.stateless_uniform((), seed + 1)
        return tf.cond(chance < self.share, drawn, lambda: sample)


def find_words(
    audio: np.ndarray, labels: Sequence[int], log_probs: np.ndarray, blank: int, config: DeepSpeechConfig
) -> tuple | None:
    """Where words of a recording begin: where it is quietest between their characters' frames.

    Args:
        audio: int16 ``[samples]``.
        labels: ints, the rows of its transcript.
        log_probs: float ``[frames, rows]``.
        blank: the row of the character between words.
        config: the ``DeepSpeechConfig`` of the frames.

    Returns:
        ``words`` and ``cuts`` of ``Aligned``; None where the transcript does not fit.
    """
    try:
        frames, score = align(log_probs, labels)
    except ValueError:
        return None
    if score < _SURE:
        return None
    step, window = config.samples_per_frame, config.frame_length
    power = np.convolve(np.square(audio, dtype=np.float32), np.ones(window, np.float32), "same")
    words, cuts = [[]], [0]
    for place, row in enumerate(labels):
        if row != blank:
            words[-1].append(row)
            continue
        before, after = frames[place - 1, 1] * step, (frames[place + 1, 0] + 1) * step
        words.append([])
        cuts.append(before + int(power[before:after].argmin()))
    cuts = np.array([*cuts, len(audio)])
    return (words, cuts) if (np.diff(cuts) > window).all() else None
