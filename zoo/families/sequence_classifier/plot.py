"""The picture of a sequence: its channels over time, and what was found above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 8  # points that are drawn by themselves; of more those that move most


def draw(
    title: str, values: np.ndarray, channels: Sequence[str], axes: int, moments: Sequence, carried: bool
) -> Figure:
    """Draws channels over time and labels above them.

    Args:
        title: str, above all.
        values: float32 ``[steps, channels]``, NaN where missing.
        channels: list of str.
        axes: channels of one point, which are drawn together.
        moments: list of ``zoo.families.sequence_classifier.reader.Moment``.
        carried: whether each is of all rows up to it, rather than of a window.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    groups = [list(range(at, at + axes)) for at in range(0, len(channels), axes)]
    left_out = len(groups) - POINTS
    if left_out > 0:
        moved = [np.nanstd(_known(values[:, group]), 0).sum() for group in groups]
        groups = [groups[i] for i in sorted(np.argsort(moved)[::-1][:POINTS])]
    heights = [0.5 + 0.22 * len({moment.label for moment in moments}), *[1.0] * len(groups)]
    size = 9, max(3.0, 1.1 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    above, *below = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    names = list(dict.fromkeys(moment.label for moment in moments))
    colours = {name: colormaps["tab10"](i % 10) for i, name in enumerate(names)}
    for start, end, moment in _spans(moments, carried, len(values)):
        row = names.index(moment.label)
        above.barh(
            row, end - start, left=start, height=0.8, color=colours[moment.label],
            alpha=0.25 + 0.75 * moment.confidence,
        )  # fmt: skip
    above.set(
        yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6), xlim=(0, len(values))
    )
    above.set_xlabel("the stronger the colour, the surer", fontsize=8, loc="right")
    for axis, group in zip(below, groups, strict=True):
        for at in group:
            label = channels[at]
            axis.plot(np.arange(len(values)) + 0.5, values[:, at], linewidth=1, label=label)
        if len(channels) > 1:
            axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    below[-1].set_xlabel(
        "step" if left_out <= 0 else f"step ({left_out} of the points, which move less, left out)"
    )
    above.spines[["top", "right"]].set_visible(False)
    return figure


def _known(values):
    return np.where(np.isfinite(values).any(0), values, 0)


def _spans(moments, carried, steps):
    """``(start, end, moment)``: each is drawn up to its last row, or about the middle of its window."""
    edges = [moment.end for moment in moments]
    if not carried:
        middles = [(moment.start - 1 + moment.end) / 2 for moment in moments]
        edges = [(one + other) / 2 for one, other in zip(middles, middles[1:], strict=False)] + [steps]
    return list(zip([0, *edges[:-1]], edges, moments, strict=True))
