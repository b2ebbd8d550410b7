"""``zoo bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zoo.cli.export import use_tensorflow
from zoo.contract.model import is_file
from zoo.contract.options import positive
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="preset name, task or run folder, or .keras file; .onnx for --profile"
    )
    parser.add_argument("--steps", type=positive, metavar="N", help="length of the sequences, default 200")
    parser.add_argument("--threads", type=positive, metavar="N", help="onnxruntime's, default one a core")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "--profile", metavar="INPUT", nargs="+",
        help="which layers of an .onnx file take its time, while it reads these inputs",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    if options.profile:
        _profile(options)
        return
    use_tensorflow()
    from export import bench

    bench.main(options)


def _profile(options):
    """The shares of a file's layers; this needs no TensorFlow."""
    from export import profile
    from zoo.formats import streams

    if not is_file(options.model):
        raise UserError(f"{options.model}: --profile is for .onnx files; `zoo export` the model")
    if options.steps or options.threads:
        raise UserError("--profile runs inputs of yours on one thread; leave out --steps and --threads")
    with profile.opened(options.model) as model:
        if model.reader.takes == "files":
            inputs = list(streams.paths(options.profile, model.reader.suffixes))
        else:
            found = streams.texts(options.profile, model.reader.columns)
            inputs = [item for _, feed in found for item in feed]
        report = profile.profile(model, inputs)
    print(json.dumps(report, indent=1) if options.format == "json" else profile.table(report))
