"""What a run tells of itself: a line an epoch, ``history.csv``, ``curve.png`` and TensorBoard."""

from __future__ import annotations

import csv
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from recipes.training import in_python
from zoo import files

if TYPE_CHECKING:
    import keras

    from zoo.contract.task import Task
    from zoo.data.samples import Samples

SHARES = ("cer", "wer", "error", "token_error_rate", "exact")  # metrics that are shown in percent
NO_FIGURES = ("epoch", "metric")  # of a row of the history
OF = ("mean_", "kept_")  # what their names begin with where something is to be kept


def announce(task: Task, learn: Any, check: Any, unit: str, known: str, left_out: int | None = None) -> None:
    """Say what a run learns from, and what of.

    Args:
        task: the ``Task``.
        learn: the samples to learn from.
        check: those to validate on.
        unit: what they are, in the plural: "lines".
        known: what its vocabulary holds: "120 characters".
        left_out: how many samples cannot be used, if that was not said before.
    """
    shown = "" if learn.shown() == len(learn) else f" ({learn.shown()} an epoch)"
    unused = "" if left_out is None else f"; {left_out or 'none'} left out"
    print(
        f"{len(learn)} {unit} to learn from{shown}, {len(check)} to validate on{unused}. {known}, "
        f"{task.network.count_params():,} weights."
    )


def loaded(corpus: Samples, unit: str) -> None:
    """Say how many samples a corpus has, and what the first are that cannot be used."""
    for sentence in corpus.skipped[:5]:
        print(f"skipped: {sentence}", file=sys.stderr)
    print(f"{len(corpus)} {unit}, {len(corpus.skipped)} skipped.")


def dropped(reasons: dict[str, int]) -> None:
    """Say how many samples are not learned, from ``{reason: number}``."""
    told = [f"{number} ({reason})" for reason, number in reasons.items() if number]
    print(f"left out of training: {', '.join(told) or 'none'}.")


def epoch_line(history: list[dict], scores: dict, epochs: int, seconds: float) -> str:
    """What an epoch came to, on one line.

    Args:
        history: rows of all epochs so far.
        scores: ``{metric: value}`` of the last one; the first chooses the best epoch.
        epochs: how many there may be.
        seconds: that the last one took, validation included.
    """
    row, metric = history[-1], history[-1]["metric"]
    shown = [shown_score(name, value) for name, value in scores.items()]
    if len(history) > 1:
        best = min(row[metric] for row in history[:-1])
        shown[0] += f" (best before {shown_score(metric, best, name=False)})"
    parts = [*shown, f"loss {row['loss']:.4f}"]
    if row["left_out"]:
        parts.append(f"{_count(row['left_out'], 'sample')} without a finite loss")
    if row["unstable_steps"]:
        parts.append(f"{_count(row['unstable_steps'], 'step')} with a gradient that is not finite")
    if row["epoch"] < epochs:
        parts.append(f"about {_duration(seconds * (epochs - row['epoch']))} left")
    return f"epoch {row['epoch']} of at most {epochs}: {', '.join(parts)}"


def scores_line(scores: dict) -> str:
    """``{metric: value}`` as a person reads them: "cer 4.35%, wer 10.20%"."""
    return ", ".join(shown_score(name, value) for name, value in scores.items())


def finished(task: Task, output: str | os.PathLike, doing: str, *commands: str) -> None:
    """Say where the best model of a run is, and what can be done with it.

    Args:
        task: the ``Task``.
        output: the run folder.
        doing: "translate with it".
        commands: ``zoo`` commands that do so, ``{}`` where the folder stands.
    """
    if in_python.is_forgotten():
        print("The model has the weights of the best epoch; give output=FOLDER to keep the run, too.")
        return
    print(f"The best model is in {output}/best; to {doing}, and to export it:")
    for command in (*commands, f"zoo export {{}} --output {task.name}.onnx"):
        print(f"  {command.format(output)}")


def end_line(history: list[dict], output: str | os.PathLike) -> str:
    """What a run came to: its best epoch, and what that gained where it is known what was before."""
    metric = history[-1]["metric"]
    best = min(history, key=lambda row: row[metric])  # of equal ones the first: what was there stays
    score = shown_score(metric, best[metric])
    if not best["epoch"]:
        return (
            f"No epoch was better than what the run began with, {score}: that is what is in {output}/best. "
            "Try a lower --training.learning-rate, or more data."
        )
    before = [shown_score(metric, row[metric], name=False) for row in history if not row["epoch"]]
    gained = "".join(f"; {one} before training" for one in before)
    return f"Best epoch: {best['epoch']}, {score}{gained}."


def shown_score(metric: str, value: float, name: bool = True) -> str:
    """A score as a person reads it: "cer 4.35%"."""
    share = any(metric == f"{of}{one}" for of in ("", *OF) for one in SHARES)
    text = f"{value:.2%}" if share else f"{value:.4f}"
    return f"{metric} {text}" if name else text


def _count(number, noun):
    return f"{number} {noun}{'s' * (number != 1)}"


def _duration(seconds):
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * size:
            return _count(round(seconds / size), unit)
    return _count(max(1, round(seconds)), "second")


def write_history(output: str | os.PathLike, history: list[dict]) -> None:
    """``history.csv`` and ``curve.png`` of a run folder, from the rows of all epochs."""
    with files.atomic_write(output / "history.csv", text=True) as file:
        table = csv.DictWriter(
            file, [name for name in history[-1] if name != "metric"], extrasaction="ignore"
        )
        table.writeheader()
        table.writerows(history)
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row.get("loss", math.nan) for row in history], color="tab:grey", label="training loss")
    checked = [row.get("val_loss", math.nan) for row in history]
    left.plot(epochs, checked, color="tab:orange", label="validation loss")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    right = left.twinx()
    metric = history[-1]["metric"]
    values = [row[metric] for row in history]
    right.plot(epochs, values, color="tab:blue", marker=".", label=f"validation {metric}")
    right.set(ylabel=f"validation {metric}", yscale="log" if min(values) > 0 else "linear")
    lines = [line for line in (*left.lines, *right.lines) if np.isfinite(line.get_ydata()).any()]
    left.xaxis.get_major_locator().set_params(integer=True)
    right.legend(lines, [line.get_label() for line in lines], loc="best", fontsize="small")
    right.set_title(
        f"lowest validation {metric}: {min(values):.4g} (epoch {epochs[values.index(min(values))]})"
    )
    with files.atomic_write(output / "curve.png") as file:
        figure.savefig(file, format="png", dpi=100)


class TensorBoard:
    """The rows of a run as events in a folder."""

    def __init__(self, folder: str | os.PathLike) -> None:
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, row: dict) -> None:
        with self._writer.as_default(step=row["epoch"]):
            for name, value in row.items():
                if name not in NO_FIGURES:
                    self._summary.scalar(name, value)
        self._writer.flush()

    def write_influence(self, model: keras.Model, inputs: Any, lengths: Any, epoch: int) -> None:
        """The curve of influence over lag on a batch; lengths as ``zoo.diagnostics.influence`` has them."""
        import io

        import numpy as np
        from matplotlib.figure import Figure
        from PIL import Image

        from zoo.diagnostics import influence, over_lag

        figure = Figure(figsize=(6, 4), dpi=100, layout="constrained")
        axes = figure.subplots()
        lengths = None if lengths is None else np.maximum(lengths, 1)
        axes.plot(over_lag(influence(model, inputs, lengths), lengths))
        axes.set(xlabel="lag: steps before the last", ylabel="influence", yscale="log")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        with self._writer.as_default(step=epoch):
            self._summary.image("influence", np.asarray(Image.open(drawn))[None, :, :, :3])
        self._writer.flush()
