"""``zoo verify``: whether a model's files are, byte by byte, those that were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import hub
from zoo.contract.model import is_file, open_file

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument("model", metavar="MODEL", help="preset name, task or run folder, or .onnx file")


def run(options: argparse.Namespace) -> None:
    if is_file(options.model):
        from export import about

        about.verify(options.model)
        open_file(options.model)
    else:
        hub.find(options.model)
    print(f"{options.model}: every byte is as it was written")
