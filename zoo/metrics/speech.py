"""How far a voice is from a recording."""

from __future__ import annotations

import numpy as np

COEFFICIENTS = 13


def mel_distortion(said: np.ndarray, recorded: np.ndarray) -> float:
    """The mel cepstral distortion of two log-mel spectrograms, aligned by dynamic time warping.

    Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment": the distance of
    the cepstra but for their first coefficient, which is the loudness.

    Args:
        said, recorded: float ``[frames, mels]``, natural logarithms of power.

    Returns:
        Decibels, the mean over the path.
    """
    a, b = _cepstrum(said), _cepstrum(recorded)
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    total, steps = _warp(np.sqrt(np.maximum(square, 0)))
    return float(10 / np.log(10) * np.sqrt(2) * total / steps)


def _cepstrum(log_mel):
    """float ``[frames, COEFFICIENTS]``: the cosine transform of the logarithms of amplitudes."""
    mels = log_mel.shape[1]
    order, band = np.arange(1, COEFFICIENTS + 1), np.arange(mels)[:, None]
    basis = np.cos(np.pi * order * (band + 0.5) / mels) / mels
    return 0.5 * np.asarray(log_mel, np.float64) @ basis


def _warp(costs):
    """The cheapest monotonous path through ``[a, b]``: its cost and its steps."""
    rows, columns = costs.shape
    # By diagonals: what a place needs lies on the two before its own.
    best = np.full((rows + 1, columns + 1), np.inf)
    steps = np.zeros((rows + 1, columns + 1), int)
    best[0, 0] = 0.0
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        before = np.stack([best[i - 1, j - 1], best[i - 1, j], best[i, j - 1]])
        counts = np.stack([steps[i - 1, j - 1], steps[i - 1, j], steps[i, j - 1]])
        chosen = before.argmin(0)
        best[i, j] = before.min(0) + costs[i - 1, j - 1]
        steps[i, j] = counts[chosen, np.arange(len(i))] + 1
    return best[-1, -1], steps[-1, -1]
