"""The pitch of speech over time.

Boersma 1993, "Accurate short-term analysis of the fundamental frequency": the autocorrelation of a windowed
frame, divided by that of its window, is highest at the period; of several candidates a frame, the cheapest
path is taken.
"""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = 75.0, 450.0  # Hz
CANDIDATES = 5
_VOICED = 0.45  # autocorrelation below which a frame has no pitch
_OCTAVE = 0.02  # what favours the higher of two periods that fit alike
_JUMP, _TURN = 0.35, 0.2  # what an octave's jump costs, and a change from voiced to unvoiced
_BLOCK = 2048  # frames at a time


def pitch(samples: np.ndarray, rate: int, hop: int, frames: int, centre: int) -> np.ndarray:
    """The fundamental frequency of each frame.

    Args:
        samples: float ``[samples]``.
        rate: samples a second.
        hop: samples from one frame to the next.
        frames: how many there are.
        centre: sample in the middle of the first.

    Returns:
        float32 ``[frames]``, Hz; 0 where there is none.
    """
    lags, strengths = _candidates(np.asarray(samples, np.float32), rate, hop, frames, centre)
    path = _cheapest(np.log2(rate / lags), strengths)
    found = np.take_along_axis(lags, np.maximum(path - 1, 0)[:, None], 1)[:, 0]
    return np.where(path > 0, rate / found, 0.0).astype(np.float32)


def contour(found: np.ndarray) -> np.ndarray:
    """The natural logarithm of a pitch, straight from one voiced frame to the next; float32 ``[frames]``."""
    voiced = np.flatnonzero(found)
    if not len(voiced):
        return np.zeros(len(found), np.float32)
    return np.interp(np.arange(len(found)), voiced, np.log(found[voiced])).astype(np.float32)


def _candidates(samples, rate, hop, frames, centre):
    """Periods in samples, and how strong each is: float ``[frames, CANDIDATES]``."""
    size = round(3 * rate / LOWEST)
    window = np.hanning(size).astype(np.float32)
    transform = 1 << (2 * size - 1).bit_length()
    first, last = int(rate / HIGHEST), int(rate / LOWEST) + 2
    own = np.fft.irfft(np.abs(np.fft.rfft(window, transform)) ** 2)[: last + 1]
    start = centre - size // 2
    padded = np.pad(samples, (max(0, -start), max(0, start + frames * hop + size - len(samples))))
    every = np.lib.stride_tricks.sliding_window_view(padded, size)[max(0, start) :: hop][:frames]
    loudest = np.abs(samples).max(initial=1e-9)
    found = []
    for at in range(0, frames, _BLOCK):
        block = every[at : at + _BLOCK]
        block = block - block.mean(1, keepdims=True)
        power = np.abs(np.fft.rfft(block * window, transform)) ** 2
        curve = np.fft.irfft(power)[:, : last + 1]
        curve = curve / np.maximum(curve[:, :1], 1e-9) / (own / own[0])
        quiet = np.abs(block).max(1) < 0.01 * loudest
        inner = curve[:, first : last + 1]
        peaks = (inner[:, 1:-1] >= inner[:, :-2]) & (inner[:, 1:-1] > inner[:, 2:])
        lags = np.arange(first + 1, last)
        score = np.where(peaks, inner[:, 1:-1] - _OCTAVE * np.log2(lags / first), -1.0)
        best = np.argsort(-score, 1)[:, :CANDIDATES]
        rows = np.arange(len(block))[:, None]
        left, top, right = inner[rows, best], inner[rows, best + 1], inner[rows, best + 2]
        bend = left - 2 * top + right  # the peak of a parabola through three points
        shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
        strength = np.where(quiet[:, None], -1.0, score[rows, best])
        found.append((lags[best] + np.clip(shift, -0.5, 0.5), strength))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def _cheapest(octaves, strengths):
    """The candidate of each frame on the cheapest path, from 1; 0 where it has no pitch (Viterbi)."""
    frames, count = octaves.shape
    values = np.concatenate([np.full((frames, 1), _VOICED), strengths], 1)
    best, back = values[0], np.zeros((frames, count + 1), int)
    cost = np.zeros((count + 1, count + 1))
    cost[0, 1:] = cost[1:, 0] = _TURN
    for time in range(1, frames):
        cost[1:, 1:] = _JUMP * np.abs(octaves[time - 1][:, None] - octaves[time][None])
        total = best[:, None] - cost
        back[time] = total.argmax(0)
        best = total.max(0) + values[time]
    path = np.zeros(frames, int)
    path[-1] = best.argmax()
    for time in range(frames - 1, 0, -1):
        path[time - 1] = back[time, path[time]]
    return path
