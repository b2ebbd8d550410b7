"""How long each symbol of a recording lasts, from what a recogniser heard in it.

CTC spikes where a letter is; the likeliest path that spells the text says about when. Between two letters,
half of the way is each one's; where a pause or the edge of the recording is, silence tells.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from export.runtime import align

LEADING, TRAILING = 0.08, 0.15  # seconds of silence that are kept before and behind an utterance
_SILENT = 0.25  # of the way from the quietest to the loud frames, in the logarithm
_PAUSE = 0.04  # seconds; shorter silence within an utterance is a sound's own
_SURE = -3.0  # mean log-probability of the letters below which a transcript is not that of its recording


def symbol_durations(
    symbols: Sequence[str], log_probs: np.ndarray, labels: dict[str, int], seconds: float, energy: np.ndarray,
    hop: float, offset: float,
) -> tuple[int, np.ndarray] | None:  # fmt: skip
    """The frames of each symbol.

    Args:
        symbols: str, as ``zoo.families.speech_synthesis.normalise.symbols`` gives it: the first and the last
            are no letters.
        log_probs: float ``[time, labels]`` of the recogniser.
        labels: ``{character: label}`` of the recogniser.
        seconds: per frame of the recogniser.
        energy: float ``[frames]`` of the spectrogram: logarithms.
        hop: seconds from one of these to the next.
        offset: seconds in the middle of the first.

    Returns:
        ``(first, durations)``: the first frame that is kept, and int32 ``[symbols]``; None where the text is
        not what was heard.
    """
    spoken = [None, *(_label(symbol, labels) for symbol in symbols[1:-1]), None]
    rows = [label for label in spoken if label]
    needed = len(rows) + sum(a == b for a, b in zip(rows, rows[1:], strict=False))
    if not rows or needed > len(log_probs) or len(energy) < len(symbols):
        return None
    spans = align(log_probs, rows)
    sure = [log_probs[first : last + 1, row].max() for (first, last), row in zip(spans, rows, strict=True)]
    if np.mean(sure) < _SURE:
        return None
    times = np.array(spans) * seconds + [0, seconds]
    frames = (times - offset) / hop
    at = [i for i, label in enumerate(spoken) if label]
    starts, ends = (np.interp(np.arange(len(symbols)), at, frames[:, side]) for side in (0, 1))
    bounds = np.concatenate([[0], (ends[:-1] + starts[1:]) / 2, [len(energy)]])
    silent = _silence(energy)
    letters = [i for i, symbol in enumerate(symbols) if symbol.isalpha()]
    middle = (starts + ends) / 2
    head = _run_up(silent, 0, middle[letters[0]])
    tail = len(energy) - _run_up(silent[::-1], 0, len(energy) - middle[letters[-1]])
    bounds[1], bounds[-2] = head, tail
    for i in range(letters[0] + 1, letters[-1]):
        if not symbols[i].isalpha():
            first, last = _longest(silent, middle[i - 1], middle[i + 1])
            if (last - first) * hop >= _PAUSE:
                bounds[i], bounds[i + 1] = first, last
    first = max(0, head - round(LEADING / hop))
    last = min(len(energy), tail + round(TRAILING / hop))
    bounds[0], bounds[-1] = first, last
    whole = _spread(np.rint(bounds).astype(int), first, last)
    return None if whole is None else (first, np.diff(whole).astype(np.int32))


def _label(symbol, labels):
    """The recogniser's label of a symbol, or None."""
    if not symbol.isalpha():
        return labels.get(" ")
    return labels.get(symbol) or labels.get(unicodedata.normalize("NFD", symbol)[0])


def _silence(energy):
    """Which frames are silent: bool ``[frames]``."""
    low, high = np.percentile(energy, [3, 80])
    return energy < low + _SILENT * (high - low)


def _run_up(silent, first, last):
    """Where the silence at the beginning ends, at ``last`` at the latest."""
    last = max(first + 1, int(last))
    loud = np.flatnonzero(~silent[first:last])
    return first + int(loud[0]) if len(loud) else last


def _longest(silent, first, last):
    """The longest silence between two places: ``(first, last)``."""
    first, last = max(0, int(np.ceil(first))), int(last)
    edges = np.diff(np.concatenate([[0], silent[first:last].astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return 0, 0
    best = (ends - starts).argmax()
    return first + starts[best], first + ends[best]


def _spread(bounds, first, last):
    """Bounds in order, a frame or more apart; None where there is no room."""
    if last - first < len(bounds) - 1:
        return None
    steps = np.arange(len(bounds))
    bounds = np.maximum.accumulate(bounds - steps) + steps
    return np.minimum(bounds, last - steps[::-1])
