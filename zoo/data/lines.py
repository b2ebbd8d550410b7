"""Images of single text lines with their transcripts, as they lie on disks: in pairs, in lists, on pages.

The layouts are those of ``zoo.data.listed``, those of whole pages of ``zoo.data.pages``, files of many lines
of ``zoo.data.packed``, and ``NAME.gt.txt``, or without any such ``NAME.txt``, beside
``NAME.png|jpg|tif|webp|…``, as OCRopus, Calamari, kraken and tesstrain have them; of OCRopus's
``NAME.bin.png`` and ``NAME.nrm.png`` one is read.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from zoo.data import listed
from zoo.data.packed import read_packed
from zoo.data.pages import DescribedPages
from zoo.errors import UserError
from zoo.images.lines import read_written
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from zoo.data.listed import Kind
    from zoo.files import FileList

TEXT = ".gt.txt"
KIND = listed.Kind(
    noun="transcript",
    columns=(
        "text", "words", "transcription", "transcript", "ground_truth", "gt", "label", "sentence", "identity",
    ),
    header="file_name,text",
    beside=(TEXT,),
    variants=("", ".nrm", ".dew", ".raw", ".bin"),  # of OCRopus and its heirs
)  # fmt: skip


def read_pairs(
    path: str | os.PathLike | FileList, skipped: list[str] | None, kind: Kind = KIND
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Iterate over the lines of a corpus.

    Args:
        path: the folder, archive or ``FileList``.
        skipped: a list; a sentence is appended for each line that cannot be used.
        kind: ``KIND``, perhaps with columns that a person named.

    Yields:
        ``(name, pixels, text)``: name without suffix, grey uint8 ``[height, width, 1]``, normalised text.
    """
    names, pages = set(), DescribedPages(path, skipped)
    for name, pixels, text in itertools.chain(pages.read(), read_packed(path, skipped)):
        where = f"{path}: {name}"
        try:
            text = _one_line(text, where)
            pixels = read_written(pixels, where)
            _check_upright(pixels, text, where)
        except UserError as error:
            skipped.append(str(error))
            continue
        names.add(name.lstrip("./"))
        yield name.lstrip("./"), _grey(pixels), text
    for found, data in listed.DescribedImages(path, kind, skipped, pages.images).read():
        try:
            text = _transcript(found, path)
            pixels = read_written(data, f"{path}: {found.member}")
            _check_upright(pixels, text, f"{path}: {found.member}")
        except UserError as error:
            skipped.append(str(error))
            continue
        name = KIND.key(found.member).lstrip("./")
        if name in names:  # NAME.png and NAME.jpg of a list
            name = found.member.lstrip("./")
        names.add(name)
        yield name, _grey(pixels), text


def _grey(pixels):
    return np.round(pixels.mean(-1, keepdims=True)).astype(np.uint8)


def _transcript(found, path):
    """The normalised transcript of an image. UserError if it is none of one line."""
    texts = list(dict.fromkeys(found.texts))
    beside = found.source.lower().endswith(".txt") and KIND.key(found.source) == KIND.key(found.member)
    of = f"{path}: {found.source}" if beside else f"{path}: {found.member} in {found.source}"
    if len(texts) > 1:
        raise UserError(f"{path}: {found.member} is listed with {len(texts)} transcripts; give it one.")
    return _one_line(texts[0], of)


def _one_line(text, of):
    """The normalised text of one line. UserError if it is more than that; ``of`` begins its sentence."""
    lines = [line for line in re.split(r"\r\n?|\n", text) if line.strip()]
    if len(lines) > 1:
        raise UserError(f"{of} has {len(lines)} lines of text; give one line for each image.")
    text = normalise(lines[0]) if lines else ""
    if not text:
        raise UserError(f"{of} is empty.")
    return text


def _check_upright(pixels, text, name):
    height, width = pixels.shape[:2]
    if height > 2 * width and len(text) > 3:
        raise UserError(
            f"{name}: {width}x{height} pixels, taller than wide, cannot be a line of {len(text)} characters; "
            "turn it so that the line lies level."
        )
