"""Numbers over time, a row a step: CSV as loggers, spreadsheets and pandas write it, and NumPy's ``.npy``.

    columns, values = read_numbers("walk.csv")      # ["x", "y", "z"], float32 [steps, 3]

A value that is missing (nothing, ``NaN``, ``NA``, ``null``, ``?``) or infinite is NaN. Columns that only say
when a row was taken (``TIMES``) are left out.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.files import read_chunks
from zoo.formats.tables import MISSING
from zoo.text.files import read_data, stream_lines

SUFFIXES = (".csv", ".tsv", ".txt", ".npy")
TIMES = {
    "time",
    "timestamp",
    "timestamps",
    "datetime",
    "date",
    "t",
    "seconds",
    "ms",
    "frame",
    "index",
    "step",
}
LARGEST = 1 << 28  # values of one recording, a gigabyte
_MISSING = {text.lower() for text in MISSING} | {"null", "none", "na", "-", "?"}
_NPY = b"\x93NUMPY"
_BLOCK = 1 << 15  # lines parsed at a time


def read_numbers(
    source: str | os.PathLike | bytes | np.ndarray, name: str | None = None
) -> tuple[list[str] | None, np.ndarray]:
    """The numbers of one recording.

    Args:
        source: the path of a file, the bytes of one, plain or gzip, or an array ``[steps, columns]`` or
            ``[steps]``.
        name: what to call it in messages.

    Returns:
        ``(columns, values)``: list of str, or None where it names none; float32 ``[steps, columns]`` with NaN
        for what is missing.

    Raises:
        UserError: it cannot be read, has no row, a row of another width, or something that is no number.
    """
    if not isinstance(source, str | os.PathLike | bytes):
        return None, as_numbers(source, name or "the array")
    data = source if isinstance(source, bytes) else None
    name = name or ("the bytes" if data is not None else os.fspath(source))
    start = next(read_chunks(source), b"") if data is None else data
    if start.startswith(_NPY):
        data = read_data(source) if data is None else data
        try:
            return None, as_numbers(np.load(io.BytesIO(data), allow_pickle=False), name)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(
                f"{name}: no array of numbers can be read of it ({error}); save it again"
            ) from error
    rows, blocks, size = Rows(name), [], 0
    lines = stream_lines(source if data is None else name, data)
    while block := list(itertools.islice(lines, _BLOCK)):
        found = rows.block(block)
        size += found.size
        if size > LARGEST:
            raise UserError(f"{name}: it has more than {LARGEST:,} numbers; cut it into several recordings")
        blocks.append(found)
    values = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    if not len(values):
        raise UserError(f"{name}: there is no row of numbers in it; give at least one")
    return rows.columns, values


def as_numbers(values: Any, name: str | os.PathLike) -> np.ndarray:
    """An array as float32 ``[steps, columns]``, NaN for what is not finite; errors as ``read_numbers``."""
    try:
        values = np.asarray(values)
        if values.dtype.kind not in "biuf":
            raise ValueError(f"it holds {values.dtype}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name}: this is no array of numbers ({error}); give one of [steps, channels]"
        ) from error
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        shape = "x".join(map(str, values.shape))
        raise UserError(
            f"{name}: an array of {shape or 'no'} values is no sequence; give one of [steps, channels]"
        )
    return np.where(np.isfinite(values), values, np.float32(np.nan))


class Rows:
    """Parses the rows of a delimited text as they come; the first may name the columns.

    Args:
        name: what messages call the text.

    Attributes:
        columns: list of str, the names of the columns that are given, or None where there are none.
    """

    def __init__(self, name: str) -> None:
        self.name, self.columns = name, None
        self._delimiter = self._kept = self._width = self._decimal = None
        self._number, self._started = 0, False

    def block(self, lines: Sequence[str]) -> np.ndarray:
        """Some lines -> float32 ``[rows, columns]``; lines without anything in them are no rows."""
        lines, found = list(lines), []
        while lines and not self._started:
            found += self._row(lines.pop(0))
        fast = self._fast(lines)
        if fast is None:
            return self._array([*found, *(row for line in lines for row in self._row(line))])
        self._number += len(lines)
        return np.concatenate([self._array(found), fast])

    def _fast(self, lines):
        """As NumPy reads them, a hundred times as fast; None where it cannot."""
        if self._decimal or not lines:
            return None
        whole = len(self._kept) == self._width
        how = {"delimiter": None if self._delimiter == " " else self._delimiter, "comments": None, "ndmin": 2}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # that there is nothing
                values = np.loadtxt(lines, np.float32, usecols=None if whole else self._kept, **how)
        except (ValueError, UserWarning):
            return None
        if values.shape[1] != len(self._kept):
            return None  # and the row that is wider will be named
        return np.where(np.isfinite(values), values, np.float32(np.nan))

    def _array(self, rows):
        width = len(self._kept) if self._kept is not None else 1
        with np.errstate(over="ignore"):
            values = np.array(rows, np.float64).reshape(-1, width).astype(np.float32)
        return np.where(np.isfinite(values), values, np.float32(np.nan))

    def _row(self, line):
        """A line -> a list of its row, or of none."""
        self._number += 1
        if not line.strip(" \t,;\r") or line.lstrip().startswith("#"):
            return []
        if self._delimiter is None:
            self._delimiter = _delimiter(line)
        cells = line.split(None if self._delimiter == " " else self._delimiter)
        cells = [cell.strip().strip("\"'").strip() for cell in cells]
        if not self._started:
            self._started, self._width = True, len(cells)
            if any(as_number(cell) is None for cell in cells) and not self._are_decimals(cells):
                return self._header(cells)
            self._kept = list(range(len(cells)))
        if len(cells) != self._width:
            raise UserError(
                f"{self.name}: line {self._number} has {len(cells)} column{'s' * (len(cells) != 1)}, the "
                f"first {self._width}; give rows of equal width"
            )
        self._are_decimals(cells)
        return [[self._value(cells[at], at) for at in self._kept]]

    def _header(self, cells):
        self._kept = [at for at, cell in enumerate(cells) if cell and cell.lower() not in TIMES]
        if not self._kept:
            raise UserError(
                f"{self.name}: its columns {', '.join(cells)!r} tell the time alone; give channels, too"
            )
        self.columns = [cells[at] for at in self._kept]
        if len(set(self.columns)) != len(self.columns):
            twice = next(cell for cell in self.columns if self.columns.count(cell) > 1)
            raise UserError(f"{self.name}: two columns are called {twice}; give each a name of its own")
        return []

    def _are_decimals(self, cells):
        """Whether numbers have decimal commas, as where ``;`` or a tab separates."""
        if self._decimal is None and self._delimiter in ";\t" and any(map(_COMMA.fullmatch, cells)):
            self._decimal = True
        return bool(self._decimal)

    def _value(self, cell, at):
        value = as_number(cell.replace(",", ".") if self._decimal else cell)
        if value is None:
            title = f"column {self.columns[self._kept.index(at)]}" if self.columns else f"column {at + 1}"
            raise UserError(
                f"{self.name}: line {self._number}, {title}: {cell[:40]!r} is no number; correct it, or "
                "leave the column out"
            )
        return value


_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


def as_number(cell: str) -> float | None:
    """A cell of a table as float, NaN where it is missing; None where it is neither."""
    if cell.lower() in _MISSING:
        return np.nan
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(cell.lower())


def _delimiter(line):
    """What separates the columns of a table of numbers by its first line."""
    bare = re.sub('"[^"]*"', "", line)
    best = max("\t;,|", key=bare.count)
    if best == "," and bare.count(",") == 1 and _COMMA.fullmatch(line.strip()):  # 3,14 alone
        return ","
    return best if bare.count(best) else " "
