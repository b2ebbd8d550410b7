"""How fast an export runs, beside the other ways to run the same Keras model on this machine."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export import contenders, keras_file, runtime
from zoo import hub
from zoo.backend import import_tensorflow, quiet_logging
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

CONTENDERS = {
    "this export": contenders.export,
    "int8": contenders.int8,
    "plain export": contenders.plain_export,
    "predict": contenders.predict,
    "tf.function": contenders.tf_function,
    "torch": contenders.torch,
}
STEPS = 200
REST = 0.06  # seconds; for so long onnxruntime's threads spin after a run, at the cost of whoever is next


def bench(
    model: Any, batches: Sequence[int] = (1, 8), ragged: Sequence[int] = (8,), steps: int | None = None,
    threads: int | None = None, repeats: int = 5, seconds: float = 2.0, only: Iterable[str] = CONTENDERS,
) -> dict[str, Any]:  # fmt: skip
    """Measures this export, its int8, Keras's own export, ``predict``, a ``tf.function`` and PyTorch.

    A contender is measured once its results are Keras's: on small batches, full and ragged (see
    ``export.contenders.check``), and on each batch that is measured. They take turns, so that whatever else
    the machine does hits them alike; a turn begins with a rest and a run that does not count.

    Args:
        model: what ``export.onnx_file.load`` takes; of a task, its network is measured.
        batches: batch sizes in which every sequence is as long as ``steps``.
        ragged: batch sizes in which they are 30 % to 100 % of it, padded on the right.
        steps: length of a sequence where the model leaves it open, by default ``STEPS``.
        threads: of onnxruntime and PyTorch, by default one a core. TensorFlow's are left as they are.
        repeats: turns of each contender.
        seconds: measured time of a contender for each batch, over all its turns; a slow one, whose few runs
            fill it sooner, gets fewer turns.
        only: which of ``CONTENDERS`` to measure.

    Returns:
        The report, a dict that JSON can hold: ``model``, ``steps``, ``threads``, ``tensorflow_threads``,
        ``sizes`` (``{contender: bytes}`` of its file, where it has one that is right), and ``rows``, a list
        of dicts with ``contender``, ``batch``, ``ragged`` (bool), ``milliseconds`` (median of one run),
        ``ratio`` (to this export's) and ``note``: why these two are None, or "".

    Raises:
        UserError: the model cannot be used, or an argument makes no sense.
    """
    one = {"steps": [steps], "threads": [threads], "repeats": [repeats]}
    for name, values in {"batches": batches, "ragged": ragged, **one}.items():
        for value in values:
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"{name} cannot be {value!r}; give a whole number from 1")
    if unknown := sorted(set(only) - set(CONTENDERS)):
        raise UserError(f"There is no contender {unknown[0]!r}; choose from {', '.join(CONTENDERS)}")
    from export import keras_model, onnx_file

    subject, name = onnx_file.load(model)
    if not isinstance(subject, keras_model.KerasModel):
        subject = keras_model.KerasModel(subject.network)
    import tensorflow as tf

    cores = runtime.cores()
    first = subject.network.inputs[0].shape
    if first[0]:  # a fixed batch, as stateful layers want it
        batches = ragged = (first[0],)
    report = {
        "model": name or subject.network.name,
        "steps": first[1] if len(first) > 1 and first[1] else steps or STEPS,
        "threads": threads or cores,
        "tensorflow_threads": tf.config.threading.get_intra_op_parallelism_threads() or cores,
    }
    runs, failed, rows = {}, {}, []
    quiet = quiet_logging(logging.CRITICAL)  # converters log tracebacks and then write a file all the same
    with tempfile.TemporaryDirectory() as folder, quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for contender in only:
            path = Path(folder, f"{contender}.onnx")
            try:
                runner = CONTENDERS[contender](subject, path, report["threads"])
                contenders.check(subject, runner)
                runs[contender] = runner
            except Exception as error:  # each fails in ways of its own, and why is worth a row
                failed[contender] = _first_line(error)
                path.unlink(missing_ok=True)
        report["sizes"] = {path.stem: path.stat().st_size for path in sorted(Path(folder).iterdir())}
        for batch, uneven in [*((n, False) for n in batches), *((n, True) for n in ragged if n > 1)]:
            values = contenders.inputs(subject, batch, report["steps"], uneven)
            expected = contenders.reference(subject, values)

            def right(contender, found, values=values, expected=expected):
                contenders.compare(subject, runs[contender], values, found, expected)

            times, failed_here = _measure(runs, values, repeats, seconds, right)
            own = times.get("this export")
            for contender in only:
                taken = times.get(contender)
                row = {"contender": contender, "batch": batch, "ragged": uneven, "milliseconds": taken}
                row["ratio"] = taken / own if taken and own else None
                rows.append(row | {"note": (failed | failed_here).get(contender, "")})
    return report | {"rows": rows}


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _measure(runs, values, repeats, seconds, right):
    """({contender: median milliseconds}, {contender: why it failed}).

    Args:
        runs: ``{contender: Runner}``.
        right: function of a contender and what its first run gave; raises what is wrong with it.
    """
    times, failed = {contender: [] for contender in runs}, {}
    for _ in range(repeats):
        for contender, runner in runs.items():
            taken, run = times[contender], runner.run
            if contender in failed or sum(taken) >= seconds:
                continue
            try:
                if not taken:  # the first of all compiles, the second allocates
                    runner.reset()
                    right(contender, run(values))
                time.sleep(REST)
                run(values)
                now = time.perf_counter()
                end = now + seconds / repeats
                while now < end:
                    before = now
                    run(values)
                    now = time.perf_counter()
                    taken.append(now - before)
            except Exception as error:
                failed[contender] = _first_line(error)
    done = {contender: taken for contender, taken in times.items() if contender not in failed}
    return {contender: 1e3 * statistics.median(taken) for contender, taken in done.items()}, failed


def table(report: dict) -> str:
    """A report of ``bench`` as text: a line for each contender, milliseconds and ratios side by side."""
    cases = dict.fromkeys((row["batch"], row["ragged"]) for row in report["rows"])
    names = {(batch, ragged): f"{'ragged ' if ragged else ''}batch {batch}" for batch, ragged in cases}
    lines = [["", *names.values(), "file"]]
    notes = {}
    for contender in dict.fromkeys(row["contender"] for row in report["rows"]):
        line = [contender]
        for row in report["rows"]:
            if row["contender"] == contender:
                ratio = f"{_short(row['ratio']) + 'x':>7}" if row["ratio"] else ""
                line.append("-" if row["note"] else f"{_short(row['milliseconds'])} ms{ratio}")
                if row["note"]:
                    notes.setdefault((contender, row["note"]), []).append((row["batch"], row["ragged"]))
        size = report["sizes"].get(contender)
        lines.append([*line, f"{size / 1e6:.2f} MB" if size else ""])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        f"{report['model']}: {report['steps']} steps; threads: onnxruntime {report['threads']}, "
        f"TensorFlow {report['tensorflow_threads']}; median of a run, and how many times this export's it is"
    ]
    for name, *cells in lines:
        cells = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        text.append("  ".join([f"{name:{widths[0]}}", *cells]).rstrip())
    for (contender, note), where in notes.items():
        only = "" if len(where) == len(cases) else f" ({', '.join(names[case] for case in where)})"
        text.append(f"{contender}{only}: {note}")
    return "\n".join(text)


def _short(value):
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def main(options: argparse.Namespace) -> None:
    """``zoo bench``; ``options`` has ``model``, ``steps`` and ``threads`` (or None) and ``format``."""
    if options.model.lower().endswith(".onnx"):
        raise UserError(f"{options.model}: this is an export; give a preset, a task folder or a .keras file")
    if not keras_file.is_file(options.model):
        hub.find(options.model)  # so that a wrong name is told before TensorFlow is there
    import_tensorflow()
    report = bench(options.model, steps=options.steps, threads=options.threads)
    print(json.dumps(report, indent=1) if options.format == "json" else table(report))
