"""Cutting recordings at pauses, while they are read."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator

import numpy as np

from zoo.audio.files import RATE

LIMIT = 20  # seconds that are read as one; models learn from utterances, which are not longer
FRAMES = 100  # in a second: stretches of audio of which each has its level
SILENCE = -70  # dB of full scale; below it there is no speech, however quiet the rest
PAST = 60 * FRAMES  # frames before the present ones that the noise floor is taken from, too
PAUSE, LONG_PAUSE = 20, 100  # frames: shorter ones lie between sounds, and longer ones between sentences
MARGIN = 30  # frames of a pause that stay with the words beside it
STEADY = 2.5  # dB; a sound that rises and falls by less is noise or a tone; syllables do by 15 and more
SHORTEST = 300  # frames; a cut leaves no less before it, as the pauses of a few words are no measure


class Piece(typing.NamedTuple):
    """A stretch of a recording: its first sample, float32 ``[samples]``, and whether it has any speech."""

    start: int
    audio: np.ndarray
    heard: bool


def split(parts: Iterable[np.ndarray], rate: int = RATE) -> Iterator[Piece]:
    """Cuts a recording at its pauses while it streams by.

    A recording of up to ``LIMIT`` seconds stays whole. In a longer one the cut falls into the first pause
    of a second, or else into the longest one, that lies 3 to ``LIMIT`` seconds on; where there is no pause,
    at the quietest tenth of a second of the second half. A pause is where the level stays for 0.2 seconds
    below a threshold between the noise floor (10th percentile of the levels of the last minute) and the
    speech (95th): a quarter of the way up, and at least 4 dB.

    Args:
        parts: iterable of float32 ``[samples]``, which follow upon each other.
        rate: samples a second.

    Yields:
        ``Piece``s without gaps between them. What is heard is in pieces of up to ``LIMIT`` seconds; pauses of
        more than a second are pieces of their own, in which nothing is heard.
    """
    parts, more, frame = iter(parts), True, rate // FRAMES
    buffer, start, past = np.zeros(0, np.float32), 0, np.zeros(0)
    limit = LIMIT * FRAMES * frame  # samples
    ahead = limit + LONG_PAUSE * frame  # so that the length of a pause at the limit is seen
    while True:
        taken, size = [buffer], len(buffer)
        while more and size < ahead:
            part = next(parts, None)
            more = part is not None
            if more:
                taken.append(part)
                size += len(part)
        buffer = np.concatenate(taken)
        if not size:
            return
        levels = _levels(buffer[:ahead], frame)
        if not start and size <= limit:
            cut, speech = len(levels), levels > SILENCE
        else:
            speech = levels > _threshold(np.concatenate([past, levels]))
            cut = _cut(levels, speech)
        end = min(int(cut) * frame, size)
        heard = bool(speech[:cut].any() and np.ptp(levels[:cut]) >= STEADY)
        yield Piece(start, buffer[:end].copy(), heard)
        past = np.concatenate([past, levels[:cut]])[-PAST:]
        buffer, start = buffer[end:], start + end


def _levels(audio, frame):
    """Level of each frame in dB of full scale, not below ``SILENCE``; clicks of under 30 ms do not count."""
    padded = np.pad(audio, (0, -len(audio) % frame)).reshape(-1, frame)
    power = np.square(padded).mean(axis=1)
    levels = np.maximum(10 * np.log10(power + 1e-12), SILENCE)
    return np.median(np.lib.stride_tricks.sliding_window_view(np.pad(levels, 2, mode="edge"), 5), axis=1)


def _threshold(levels):
    floor, speech = np.percentile(levels, (10, 95))
    return floor + max(4, (speech - floor) / 4)


def _cut(levels, speech):
    """How many of the frames make the next piece."""
    limit = LIMIT * FRAMES
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~speech, [0]])))
    pauses = edges.reshape(-1, 2)  # first frame, and the one behind the last
    if len(pauses) and pauses[0][0] == 0 and pauses[0][1] > LONG_PAUSE:
        last = pauses[0][1]
        return (
            last if last == len(speech) <= limit else last - MARGIN
        )  # unless it is the end, speech may follow
    lengths = np.minimum(pauses[:, 1] - pauses[:, 0], LONG_PAUSE)
    least = PAUSE if len(speech) > limit else LONG_PAUSE  # what is left need not be cut at every pause
    fit = (pauses[:, 0] >= SHORTEST) & (pauses[:, 0] + MARGIN <= limit) & (lengths >= least)
    if fit.any():
        first, last = pauses[np.where(fit, lengths, 0).argmax()]
        return first + min((last - first) // 2, MARGIN)
    if len(speech) <= limit:
        return len(speech)
    smooth = np.convolve(levels, np.full(10, 0.1), mode="same")
    return limit // 2 + int(smooth[limit // 2 : limit].argmin())
