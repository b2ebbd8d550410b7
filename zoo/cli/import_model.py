"""``zoo import``: another tool's model as a task folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo import registry
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="Tesseract's .traineddata, kraken's .mlmodel or .safetensors, or Calamari's .ckpt.json (beside "
        "its weights; docs/import.md)",
    )
    parser.add_argument("--output", metavar="FOLDER", required=True, help="the task folder to write")
    parser.add_argument(
        "--licence",
        metavar="NAME",
        default="unknown: ask whoever made the model",
        help="that its origin states, for the card; Tesseract's own models: Apache-2.0",
    )


def run(options: argparse.Namespace) -> None:
    output = Path(options.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: it exists already; give another --output, or remove it")
    task, int8 = registry.import_model("line_ocr", options.model, options.licence)
    task.save(output, int8=int8)
    print(f"{output}: {task.config.vgsl}, {task.network.count_params():,} weights. To use it:")
    print(f"  zoo predict {output} line.png")
    print(f"  zoo export {output} --output {output.name}.onnx")
    print(f"  zoo finetune {output} --data my_lines/ --output runs/mine --extend")
