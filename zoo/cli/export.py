"""``zoo export``: write a model as one ONNX file or as a SavedModel."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import zoo
from zoo import hub
from zoo.backend import import_tensorflow
from zoo.cli import common
from zoo.contract.model import is_file
from zoo.contract.options import positive
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

SLOWER = 1.1  # int8's time to float32's, from which it is said: less is the noise of a short measurement


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="preset name, task or run folder, address with sha256, or .keras file"
    )
    parser.add_argument("--output", metavar="PATH", required=True, help="the file, or SavedModel's folder")
    parser.add_argument("--format", choices=("onnx", "savedmodel"), default="onnx", help="default: onnx")
    parser.add_argument("--int8", action="store_true", help="weights in 8 bits: a quarter of the size")
    parser.add_argument("--float16", action="store_true", help="weights in 16 bits: half the size")
    parser.add_argument(
        "--example", metavar="FILE.npz", help="arrays by the names of a .keras file's inputs, to verify it on"
    )
    parser.add_argument(
        "--sidecar", action="store_true",
        help="write FILE.json, too: what the file says of itself, for programs that cannot read it there",
    )  # fmt: skip
    parser.add_argument("--opset", type=positive, metavar="N", help="ONNX operator set, default 17")
    parser.add_argument(
        "--data", metavar="CORPUS", nargs="+", help="measure the file on corpora, also before --int8"
    )
    parser.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")


def run(options: argparse.Namespace) -> None:
    if is_file(options.model):
        raise UserError(
            f"{options.model}: this is exported already; give a preset, a task, run folder or .keras file"
        )
    use_tensorflow()
    from export import keras_file

    is_keras = keras_file.is_file(options.model)
    for name in ("int8", "float16", "opset", "data", "sidecar"):
        if options.format == "savedmodel" and getattr(options, name):
            raise UserError(f"--{name} is for ONNX; leave out --format savedmodel")
    if is_keras and options.sidecar:
        raise UserError("--sidecar is for tasks of the zoo; a Keras model's file says little of itself")
    if is_keras and (options.format == "savedmodel" or options.data):
        raise UserError(
            f"{options.model}: a Keras model is no task of the zoo, which --format savedmodel and --data need"
        )
    if options.example and not is_keras:
        raise UserError("--example is for .keras files; a task of the zoo knows inputs that fit it")
    if is_keras:
        import_tensorflow()
        model, name = options.model, None
    else:
        model, name = common.load(options.model), hub.title(hub.find(options.model))
    output = Path(options.output)
    if options.format == "savedmodel":
        from export.savedmodel import to_savedmodel

        to_savedmodel(model, output)
        size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        print(f"{output}: {size / 1e6:.1f} MB, gives the same results as Keras")
        return
    from export import about
    from export.onnx_file import read_example, to_onnx

    settings = {"int8": options.int8, "float16": options.float16}
    settings |= {"opset": options.opset} if options.opset else {}
    settings |= {"example": read_example(options.example)} if options.example else {}
    before = None
    if options.data and (options.int8 or options.float16):
        with tempfile.TemporaryDirectory() as folder:
            full = str(Path(folder, "full.onnx"))
            to_onnx(model, full, preset=name)
            before = _measure(full, options)
    report = to_onnx(model, output, preset=name, **settings)
    for problem in complaints(report):
        common.complain(problem)
    same = "gives the same results as Keras"
    if "stored" in report:
        same = f"{report['stored']}, outputs within {report['max_difference']:.2g} of Keras"
    print(f"{output}: {report['size'] / 1e6:.1f} MB, {same}")
    if options.data:
        found = _measure(str(output), options)
        for i, (metric, after, _) in enumerate(found):
            print(f"{metric:8} {f'{before[i][1]} -> ' if before else ''}{after}")
        about.measured(output, [_figure(metric, value, options) for metric, _, value in found])
    if options.sidecar:
        print(f"{about.sidecar(output)}: what it says of itself")


def complaints(report: dict) -> list[str]:
    """What in a report of ``export.to_onnx`` a user should know: list of str."""
    from export.recurrent import SCAN

    found = [
        f"the layer {layer!r} stays a loop, right but slow: {kind}"
        for layer, kind in report["recurrent"].items()
        if kind not in ("fused", SCAN)
    ]
    for name in report.get("unread_inputs", ()):
        found.append(f"no output depends on the input {name!r}; it need not be given")
    times = report.get("milliseconds")
    if times and times["int8"] > SLOWER * times["float32"]:
        found.append(
            f"int8 is {times['int8'] / times['float32']:.1f} times slower than float32 here "
            f"({times['int8']:.2g} against {times['float32']:.2g} ms, one thread); "
            "leave out --int8 unless the size matters more"
        )
    return found


def use_tensorflow() -> None:
    """Keras on TensorFlow for this command, whatever else it is set to; before Keras is imported."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        common.complain("this command needs Keras on TensorFlow; it runs there")
    os.environ["KERAS_BACKEND"] = "tensorflow"


def _measure(path, options):
    """The figures of an exported file on corpora: list of ``(metric, text, value)``."""
    model = zoo.load(path)
    with contextlib.redirect_stdout(sys.stderr):
        report = common.measure(model, options.data, options.only)
    metrics = model.reader.metrics
    return [(one.name, one.form.format(report[one.name]), report[one.name]) for one in metrics]


def _figure(metric, value, options):
    """A figure as a file has it, with the command that measures it again."""
    data = [Path(one).name for one in options.data]
    command = f"zoo evaluate {Path(options.output).name} --data {' '.join(data)}"
    command += f" --only '{options.only}'" if options.only else ""
    return {"set": ", ".join(data), "metric": metric, "value": value, "command": command}
