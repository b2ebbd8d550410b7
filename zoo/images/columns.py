"""Classes of the pixel columns of a line: their runs, and what is a segment. Class 0 is background."""

from __future__ import annotations

import itertools

import numpy as np

BACKGROUND = 0
INK = 0.5  # share of the contrast from which a pixel is ink
WIDEST = 0.5  # of a line's height: a gap in a segment is no wider


def segments_of(columns: np.ndarray) -> list[tuple[int, int, int]]:
    """The runs of one class that are no background: a list of ``(row, first, last)``, columns included."""
    edges = (np.flatnonzero(columns[1:] != columns[:-1]) + 1).tolist()
    starts, ends = [0, *edges], [*edges, len(columns)]
    return [
        (row, first, end - 1)
        for row, first, end in zip(columns[starts].tolist(), starts, ends, strict=True)
        if row != BACKGROUND
    ]


def ink_of(pixels: np.ndarray) -> np.ndarray:
    """Ink of a grey line, uint8 ``[height, width]`` -> float32, from 0 (paper) to 1 (the mean of strokes).

    Light text on a dark ground is turned round, as in ``zoo.images.normalise``.
    """
    values = pixels.astype(np.float32)
    dark = values < values.mean()
    ink, paper = values[dark].mean() if dark.any() else 0.0, values[~dark].mean()
    if dark.mean() > 0.6:
        ink, paper = paper, ink
    return np.clip((values - paper) / (ink - paper or 1.0), 0, 1)


def voted(
    columns: np.ndarray, probabilities: np.ndarray, ink: np.ndarray, apart: float, widest: int
) -> np.ndarray:
    """Columns of which all that are ink of one word have one class: the likeliest in all of them.

    Args:
        columns: int ``[width]``.
        probabilities: float ``[width, classes]``.
        ink: bool ``[width]``, which columns have any.
        apart: columns without ink that divide words; letters stand nearer.
        widest: columns of a word at most; what is wider is something else, and stays as it is.
    """
    columns, at = columns.copy(), np.flatnonzero(ink)
    if not len(at):
        return columns
    cuts = np.flatnonzero(np.diff(at) > apart)
    starts, ends = at[[0, *(cuts + 1)]].tolist(), at[[*cuts, -1]].tolist()
    for first, last in zip(starts, ends, strict=True):
        word = columns[first : last + 1]
        written = word != BACKGROUND
        if last + 1 - first <= widest and 2 * np.count_nonzero(written) > len(word):
            totals = probabilities[first : last + 1][written].sum(0)
            totals[BACKGROUND] = 0
            word[written] = totals.argmax()
    return columns


def smoothed(columns: np.ndarray, shortest: float) -> np.ndarray:
    """Columns of which no class that touches another is narrower than ``shortest``: ink has one script.

    Such a run, the narrowest first, takes the class of the wider one of those that touch it.
    """
    columns, runs = columns.copy(), [list(run) for run in segments_of(columns)]
    while True:
        narrow = min(
            (
                (run[2] + 1 - run[1], i)
                for i, run in enumerate(runs)
                if run[2] + 1 - run[1] < shortest and _touching(runs, i)
            ),
            default=None,
        )
        if narrow is None:
            break
        i = narrow[1]
        row = runs[max(_touching(runs, i), key=lambda j: runs[j][2] - runs[j][1])][0]
        first, last = i, i
        while first - 1 in _touching(runs, first) and runs[first - 1][0] == row:
            first -= 1
        while last + 1 in _touching(runs, last) and runs[last + 1][0] == row:
            last += 1
        runs[first : last + 1] = [[row, runs[first][1], runs[last][2]]]
    for row, first, last in runs:
        columns[first : last + 1] = row
    return columns


def trimmed(columns: np.ndarray, ink: np.ndarray, shortest: float) -> np.ndarray:
    """Columns in which a run begins and ends with its ink.

    One without ink that is narrower than ``shortest`` is paper; a wider one may be too faint, and stays.

    Args:
        columns: int ``[width]``.
        ink: bool ``[width]``, which columns have any.
    """
    columns = columns.copy()
    for _, first, last in segments_of(columns):
        own = ink[first : last + 1]
        if own.any():
            columns[first : first + int(own.argmax())] = BACKGROUND
            columns[last + 1 - int(own[::-1].argmax()) : last + 1] = BACKGROUND
        elif last + 1 - first < shortest:
            columns[first : last + 1] = BACKGROUND
    return columns


def joined(columns: np.ndarray, widest: float) -> np.ndarray:
    """Columns in which runs of one class are one where the background between is no wider than ``widest``."""
    columns = columns.copy()
    for (row, _, last), (other, first, _) in itertools.pairwise(segments_of(columns)):
        if row == other and first - last - 1 <= widest:
            columns[last + 1 : first] = row
    return columns


def _touching(runs, i):
    """The numbers of the runs that begin or end where run ``i`` does, without background between."""
    found = [i - 1] if i and runs[i - 1][2] + 1 == runs[i][1] else []
    return [*found, i + 1] if i + 1 < len(runs) and runs[i][2] + 1 == runs[i + 1][1] else found
