"""``zoo compare RUN RUN …``: runs of training beside each other, from what their folders tell of them."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.given import named
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

# Settings that are told elsewhere, or too long.
_ASIDE = ("recipe", "action", "preset", "data", "characters", "told")


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder of `zoo train` or `zoo finetune`")
    parser.add_argument("--format", choices=("text", "csv", "json"), default="text", help="default: text")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the metric and the losses of all runs")


def run(options: argparse.Namespace) -> None:
    found = [read_run(folder) for folder in options.runs]
    families = {run["family"]: run for run in found}
    if len(families) > 1:
        one, other = list(families.values())[:2]
        raise UserError(
            f"{one['run']} is of {one['family']}, {other['run']} of {other['family']}: they have no measure "
            "in common; compare runs of one family"
        )
    rows = table(found)
    if options.plot:
        _draw(found, options.plot)
    if options.format == "json":
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    elif options.format == "csv":
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        print(_text(rows), end="")


def read_run(folder: str | os.PathLike) -> dict[str, Any]:
    """What a run folder tells: ``run``, ``family``, ``settings`` and ``history``, a list of dicts.

    Raises:
        UserError: there is no run in it, or none of its epochs is done.
    """
    path = Path(folder)
    try:
        settings = json.loads((path / "run.json").read_text(encoding="utf-8"))
        family = settings["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: this is no run folder (it has no run.json that can be read); give what --output was"
        ) from error
    try:
        with open(path / "history.csv", encoding="utf-8", newline="") as file:
            history = [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]
        if not history or not all("epoch" in row for row in history):
            raise ValueError
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{folder}: no epoch of this run is done (there is no history.csv that can be read); let it train"
        ) from error
    return {"run": str(folder), "family": family, "settings": settings, "history": history}


def metric_of(history: list[dict[str, Any]]) -> str:
    """The metric that chose the best epoch: the first after the losses."""
    return next(name for name in history[-1] if name not in ("epoch", "loss", "val_loss"))


def table(runs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of the table, a dict for each run; settings are those that differ among them."""
    settings = [_flat(one["settings"]) for one in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    differ = [name for name in names if len({str(one.get(name)) for one in settings}) > 1]
    rows = []
    for one, own in zip(runs, settings, strict=True):
        history, about = one["history"], one["settings"]
        metric = metric_of(history)
        best = min(history, key=lambda row: row.get(metric, float("inf")))
        seconds = [row["seconds"] for row in history if "seconds" in row]
        speeds = [row["samples_per_second"] for row in history if "samples_per_second" in row]
        data = about.get("data") or []
        rows.append(
            {
                "run": one["run"],
                "family": one["family"],
                "preset": about.get("preset") or "",
                "data": " ".join(map(named, data if isinstance(data, list) else [data])),
                "metric": metric,
                "before": history[0].get(metric, "") if not history[0]["epoch"] else "",
                "best": best[metric],
                "best_epoch": int(best["epoch"]),
                "epochs": int(history[-1]["epoch"]),
                "val_loss": best.get("val_loss", ""),
                "samples_per_second": round(sum(speeds) / len(speeds), 1) if speeds else "",
                "minutes": round(sum(seconds) / 60, 1),
            }
            | {name: own.get(name, "") for name in differ}
        )
    return rows


def _flat(settings):
    found = {}
    for name, value in settings.items():
        if name in _ASIDE:
            continue
        if isinstance(value, dict):
            found |= {f"{name}.{field}": one for field, one in value.items()}
        else:
            found[name] = value
    return {name: _shown(value) for name, value in found.items()}


def _shown(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else value


def _text(rows):
    """A line for each run; what is the same in all stands before."""
    out = io.StringIO()
    same = [name for name in ("family", "preset", "data", "metric") if len({row[name] for row in rows}) == 1]
    for name in same:
        if rows[0][name] != "":
            print(f"{name:8} {rows[0][name]}", file=out)
    names = [name for name in rows[0] if name not in same and any(row[name] != "" for row in rows)]
    lines = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip(), file=out)
    return out.getvalue()


def _cell(value):
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 48 else f"…{text[-47:]}"


def _draw(runs, path):
    from zoo.errors import train_extra
    from zoo.plots.drawing import save

    if not str(path).lower().endswith(".png"):
        raise UserError(f"{path}: a plot is a PNG file; give a name that ends in .png")
    with train_extra():
        from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    metrics = dict.fromkeys(metric_of(one["history"]) for one in runs)  # of a run with --keep, a mean
    for number, one in enumerate(runs):
        colour, history, metric = f"C{number}", one["history"], metric_of(one["history"])
        for axes, name, style in ((left, metric, "-"), (right, "loss", ":"), (right, "val_loss", "-")):
            points = [(row["epoch"], row[name]) for row in history if name in row]
            if points:
                label = one["run"] if len(metrics) == 1 else f"{one['run']}: {metric}"
                label = None if name == "loss" else label
                axes.plot(*zip(*points, strict=True), style, color=colour, marker=".", label=label)
    left.set(xlabel="epoch", ylabel=f"validation {', '.join(metrics)}")
    right.set(xlabel="epoch", ylabel="loss: validation, and dotted training")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    left.legend(fontsize="small")
    save(figure, path)
