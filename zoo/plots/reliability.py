"""Reliability diagrams: how often results are right, by how sure (Niculescu-Mizil & Caruana 2005)."""

from __future__ import annotations

import os
from typing import Any

from zoo.errors import UserError
from zoo.plots.drawing import save


def draw(panels: dict[str, Any], path: str | os.PathLike, columns: int = 2) -> None:
    """Draws confidence against truth, each bin as a point as large as it has results.

    Args:
        panels: ``{title: {label: report}}``, of each panel the reports of
            ``zoo.metrics.confidence.confidence_report`` to be drawn in it, such as before and after.
        path: the PNG file to write.
        columns: panels in a row.

    Raises:
        UserError: there is nothing to draw, or the file cannot be written.
    """
    from matplotlib.figure import Figure

    if not any(report["bins"] for reports in panels.values() for report in reports.values()):
        raise UserError(f"{path}: there is no result of which to draw the confidence")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((3.4 * columns, 3.3 * rows), layout="constrained")
    for number, (title, reports) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        for label, report in reports.items():
            sure, right, counts = ([one[key] for one in report["bins"]] for key in _DRAWN)
            most = max(counts, default=1)
            error = "" if report["error"] is None else f", error {report['error']:.3f}"
            axes.plot(sure, right, linewidth=1, label=f"{label}{error}")
            axes.scatter(sure, right, [25 * count / most for count in counts])
        count = max(report["count"] for report in reports.values())
        axes.set_title(f"{title} ({count:,})", fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xlabel("confidence", fontsize=8)
        axes.set_ylabel("right", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, loc="upper left", frameon=False)
    save(figure, path)


_DRAWN = "confidence", "right", "count"
