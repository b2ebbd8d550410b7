"""Models of other tools as tasks: which importer reads a file, and the card."""

from __future__ import annotations

import zoo.silent  # noqa: F401

# isort: split
import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contract.card import today
from zoo.errors import UserError
from zoo.families.line_ocr import calamari, kraken, tesseract

if TYPE_CHECKING:
    from zoo.families.line_ocr.network import LineOcr

_EXECUTABLE = (".pth", ".pt", ".pkl", ".pickle", ".ckpt")


def import_model(path: str | os.PathLike, licence: str | None) -> tuple[LineOcr, bool]:
    """A line reader of another tool, and whether its weights were in 8 bits; see ``zoo.registry``.

    Raises:
        UserError: the file is of no kind that is read, or damaged.
    """
    name = str(path).lower()
    if name.endswith(tesseract.SUFFIX):
        task, int8, what = tesseract.import_traineddata(path)
    elif name.endswith(kraken.SUFFIXES):
        task, int8, what = kraken.import_kraken(path)
    elif calamari.is_checkpoint(path):
        task, int8, what = calamari.import_checkpoint(path)
    elif name.endswith(_EXECUTABLE):
        raise UserError(
            f"{path}: this is a pickle, which can run any program when it is opened, and is not read; have "
            "its tool save it as .safetensors or .mlmodel"
        )
    else:
        raise UserError(
            f"{path}: this is no model that can be imported; give a .traineddata, .mlmodel, .safetensors or "
            ".ckpt.json"
        )
    task.card = {
        "description": f"Reads lines: {what}.",
        "licence": licence,
        "made_from": Path(path).name,
        "date": today(),
        "text": _card(Path(path), task.config.vgsl, what, licence),
    }
    return task, int8


def _card(path, network, what, licence):
    return f"""# {path.stem}

A reader of single lines, imported from `{path.name}`: {what}. The network is `{network}`.

It has no figures here: measure it on lines of your own with `zoo evaluate`.

## Licence

{licence}
"""
