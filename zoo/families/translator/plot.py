"""The picture of what a translator looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(title: str, source: Sequence[str], target: Sequence[str], weights: np.ndarray) -> Figure:
    """Draws an attention matrix: the source's subwords above, the target's at the left.

    Args:
        title: str, above all.
        source: list of str, subwords with ``▁`` for a blank before them.
        target: the same of the translation.
        weights: float ``[target, source]``, 0 to 1.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    cell = float(np.clip(16 / max(len(source), len(target)), 0.2, 0.42))  # inches
    letters = 0.085  # inches each
    wide = cell * len(source) + letters * max(map(len, target)) + 1.4
    high = cell * len(target) + letters * max(map(len, source)) + 0.7
    figure = Figure(figsize=(max(wide, 3.5), high), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", parse_math=False)
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    size = 10 if cell > 0.3 else 8
    marks = {"fontsize": size, "parse_math": False}  # a dollar is a dollar
    axes.set_xticks(range(len(source)), _shown(source), rotation=90, **marks)
    axes.set_yticks(range(len(target)), _shown(target), **marks)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=2)
    axes.spines[:].set_color("#999999")
    for line, pieces in ((axes.axvline, source), (axes.axhline, target)):
        for i, piece in enumerate(pieces):
            if piece.startswith("▁") and i:  # between words
                line(i - 0.5, color="#cccccc", linewidth=0.6)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 2.5 / (cell * len(target))), pad=0.02, aspect=15)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    return figure


def _shown(pieces):
    """Subwords as they stand at an axis; letters that go on with a word have a middle dot before them."""
    return [
        piece[1:] or "␣" if piece.startswith("▁") else f"·{piece}" if piece[0].isalnum() else piece
        for piece in pieces
    ]
