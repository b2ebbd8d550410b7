"""Which pixel columns of a line have ink, of what class they are, and where the words of a known text
stand."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import UserError
from zoo.images.columns import INK, WIDEST, ink_of
from zoo.text.scripts import NEUTRAL, letters_of, scripts_of

if TYPE_CHECKING:
    from export.runtime import Line

OTHERS = "*"
FITS = 0.5  # mean probability of the characters of a text from which it is that of the line


# === Ink and columns ===


def columns_of(ink: np.ndarray, klass: int, height: int) -> np.ndarray:
    """A class between its first and last ink; background in gaps without ink wider than half a line.

    Args:
        ink: float ``[rows, width]``.
        klass: int.
        height: of the line, pixels.

    Returns:
        uint8 ``[width]``, 0 where there is background.
    """
    columns = np.zeros(ink.shape[1], np.uint8)
    at = np.flatnonzero((ink >= INK).any(0))
    if len(at):
        columns[at[0] : at[-1] + 1] = klass
        for before in np.flatnonzero(np.diff(at) - 1 > WIDEST * height):
            columns[at[before] + 1 : at[before + 1]] = 0
    return columns


# === By the text of a line ===


def open_reader(model: str) -> Any:
    """The reader of lines of a model, which tells where the characters of a text stand.

    Raises:
        UserError: there is no such model, or it reads no lines.
    """
    import zoo

    reader = zoo.load(model).reader
    if not hasattr(reader, "align"):
        raise UserError(f"{model}: it reads no lines; give a model that does, as line_ocr_arabic")
    return reader


def columns_by_text(pixels: np.ndarray, text: str, reader: Any, rows: dict[str, int]) -> np.ndarray:
    """The class of each column of a line, as its text tells it.

    Args:
        pixels: uint8 ``[height, width, 1]``.
        text: what is written there, in reading order.
        reader: what has ``align(pixels, text)``, as a ``zoo.families.line_ocr.reader.LineReader``.
        rows: ``{ISO 15924 code: class}``, ints; that of ``OTHERS`` is of all that are not there.

    Returns:
        uint8 ``[width]``, 0 where there is background: see ``zoo.images.render.scripts.columns_of``.

    Raises:
        UserError: the line is too short for its text, which may be that of another line, or has a script
            without a class.
    """
    line = aligned(pixels, text, reader)
    scripts = scripts_of(line.text)
    classes = []
    for script in scripts:
        row = rows.get(script, None if script in NEUTRAL else rows.get(OTHERS))
        if row is None and script in NEUTRAL:
            raise UserError("its text has no letter that would tell its script")
        if row is None:
            raise UserError(f"its text has the script {script}, which no --script names")
        classes.append(row)
    height, width = pixels.shape[:2]
    ink, columns = ink_of(pixels[:, :, 0]), np.zeros(width, np.uint8)
    free = ~(ink >= INK).any(0)
    placed = sorted(
        ((c.start + c.end) / 2, row)
        for c, row in zip(line.characters, classes, strict=True)
        if not c.character.isspace()
    )
    runs = [list(some) for _, some in itertools.groupby(placed, key=lambda one: one[1])]
    edges = [0, *(_between(a[-1][0], b[0][0], free) for a, b in itertools.pairwise(runs)), width]
    for run, (left, right) in zip(runs, itertools.pairwise(edges), strict=True):
        columns[left:right] = columns_of(ink[:, left:right], run[0][1], height)
    return columns


def _between(one, other, free):
    """The middle of the widest gap without ink between two columns, or of these where there is none."""
    first, last = int(one), max(int(one) + 1, int(other))
    edges = np.flatnonzero(np.diff(np.r_[False, free[first:last], False].astype(np.int8)))
    if not len(edges):
        return (first + last) // 2
    starts, ends = edges[::2], edges[1::2]
    widest = int(np.argmax(ends - starts))
    return first + int(starts[widest] + ends[widest]) // 2


def words_of(pixels: np.ndarray, text: str, reader: Any) -> list[tuple[str, int, int]]:
    """Where the words of a line stand, in reading order: a list of ``(word, first, end)``.

    Args:
        pixels: uint8 ``[height, width]``.
        text: what is written there, in reading order and one script.
        reader: what has ``align(pixels, text)``.

    Returns:
        Each word with its first column and the one behind its last; those without ink are left out.

    Raises:
        UserError: the text is of several scripts, too long for the line, or that of another line.
    """
    line = aligned(pixels, text, reader)
    if len(letters_of(line.text)) > 1:
        raise UserError("its text has several scripts, whose words stand in another order than they are read")
    words, start = [], 0
    for word in line.text.split(" "):
        middles = [(c.start + c.end) / 2 for c in line.characters[start : start + len(word)]]
        start += len(word) + 1
        if middles:
            words.append((min(middles), max(middles), word))
    free = ~(ink_of(pixels) >= INK).any(0)
    placed = sorted(words)
    edges = [0, *(_between(a[1], b[0], free) for a, b in itertools.pairwise(placed)), pixels.shape[1]]
    span = {}
    for word, (left, right) in zip(placed, itertools.pairwise(edges), strict=True):
        at = np.flatnonzero(~free[left:right])
        if len(at):
            span[word] = left + int(at[0]), left + int(at[-1]) + 1
    return [(word[2], *span[word]) for word in words if word in span]


def aligned(pixels: np.ndarray, text: str, reader: Any) -> Line:
    """``reader.align`` of a line whose text is its own: UserError where it does not fit."""
    line = reader.align(pixels, text)
    if line.confidence < FITS:
        raise UserError(f"its text does not fit (mean probability of its characters {line.confidence:.2f})")
    return line
