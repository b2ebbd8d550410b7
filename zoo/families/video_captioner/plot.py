"""Contact sheets of videos: some frames of each with their caption, or one as it was looked at."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import UserError
from zoo.images.videos import evenly
from zoo.plots.sheets import attention_sheet, contact_sheet

if TYPE_CHECKING:
    from zoo.contract.descriptions import Caption

SHOWN = 9  # frames of a video that are drawn, as a square


def draw(seen: Sequence[np.ndarray], found: Sequence[Caption], path: str | os.PathLike) -> None:
    """Draws videos with their captions; a single one for each word, light where the model looked to write it.

    Args:
        seen: list of uint8 ``[frames, size, size, 3]``.
        found: list of ``zoo.contract.descriptions.Caption``, one for each.
        path: the PNG file to write.

    Raises:
        UserError: the model saw no pixels, the sheet would be too large, or the file cannot be written.
    """
    if seen[0].ndim != 4:
        raise UserError(f"{path}: of features of frames nothing can be drawn; leave out the plot")
    if len(found) == 1 and found[0].words and found[0].attention is not None:
        grids = np.stack([_square(_of_shown(weights)) for weights in found[0].attention])
        attention_sheet(_tiled(seen[0]), found[0].words, grids, path, smooth=False)
        return
    texts = [[text for text, _ in caption.hypotheses] for caption in found]
    contact_sheet([(_tiled(video), several) for video, several in zip(seen, texts, strict=True)], path)


def _of_shown(weights):
    """The attention of all frames as that of the frames that are drawn, each with those around it."""
    shown = evenly(len(weights), SHOWN)
    nearest = np.abs(np.arange(len(weights))[:, None] - shown).argmin(1)
    return np.bincount(nearest, weights, len(shown)).astype(np.float32)


def _square(values):
    """``[n, ...]`` -> ``[side, side, ...]``, row by row, zeros where there are too few."""
    side = math.ceil(math.sqrt(len(values)))
    padded = np.zeros((side * side, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded.reshape(side, side, *values.shape[1:])


def _tiled(video):
    """Frames of a video side by side and one below another, in the order of reading."""
    grid = _square(video[evenly(len(video), SHOWN)])
    side, _, height, width, _ = grid.shape
    return grid.transpose(0, 2, 1, 3, 4).reshape(side * height, side * width, 3)
