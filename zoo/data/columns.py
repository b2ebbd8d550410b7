"""Columns of values on the disk, read in place: what is known of the samples of a corpus, however many.

A column of texts is two files, ``0.utf8`` with all of them one after another and ``0.bounds`` with where each
begins and, at last, where the last one ends; one of numbers is ``2.int``. Bounds and numbers are int64.
"""

from __future__ import annotations

import collections.abc
import mmap
import os
from collections.abc import Sequence

import numpy as np

_ROWS = 4096  # that are written or read at a time


class Writer:
    """Writes rows into the columns of a folder, which is there; a context manager.

    Attributes:
        count: rows so far.
        kinds: what each column is, ``utf8`` or ``int``; empty as long as there is no row.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder, self.count, self.kinds = folder, 0, []
        self._rows, self._files, self._ends = [], [], []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            if error[0] is None:
                self._flush()
        finally:
            for file in self._files:
                file.close()

    def add(self, row: Sequence[int | str | bytes]) -> None:
        """Add a row, a list of str and int; of each row, at the same places."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == _ROWS:
            self._flush()

    def _flush(self):
        if self._rows and not self.kinds:
            self._open(self._rows[0])
        files = iter(self._files)
        for number, (kind, values) in enumerate(zip(self.kinds, zip(*self._rows, strict=True), strict=False)):
            if kind == "utf8":
                texts = [value.encode("utf-8", "surrogateescape") for value in values]
                next(files).write(b"".join(texts))
                values = self._ends[number] + np.cumsum(list(map(len, texts)))
                self._ends[number] = values[-1]
            next(files).write(np.array(values, np.int64).tobytes())
        self._rows = []

    def _open(self, row):
        for number, value in enumerate(row):
            text = isinstance(value, str)
            self.kinds.append("utf8" if text else "int")
            self._ends.append(0)
            for suffix in ("utf8", "bounds") if text else ("int",):
                self._files.append(open(self.folder / f"{number}.{suffix}", "wb"))
            if text:
                self._files[-1].write(bytes(8))


def read(folder: str | os.PathLike, kinds: Sequence[str]) -> list:
    """The columns of a folder, as ``Writer`` has written them: ``Column`` of texts, int64 ``[rows]``."""
    return [
        Column(folder, number) if kind == "utf8" else _numbers(folder / f"{number}.int")
        for number, kind in enumerate(kinds)
    ]


def _numbers(path):
    return np.asarray(np.memmap(path, np.int64, "r"))


class Column:
    """A column of texts."""

    def __init__(self, folder: str | os.PathLike, number: int) -> None:
        self._bounds = _numbers(folder / f"{number}.bounds")
        with open(folder / f"{number}.utf8", "rb") as file:
            # What is mapped has no room in memory of its own, but an empty file cannot be.
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._bounds[-1] else b""

    def take(self, rows: np.ndarray) -> list[str]:
        """The texts of some rows, int ``[rows]``: list of str."""
        places = zip(self._bounds[rows].tolist(), self._bounds[rows + 1].tolist(), strict=True)
        return [self._data[first:end].decode("utf-8", "surrogateescape") for first, end in places]


class Strings(collections.abc.Sequence):
    """Texts of some rows of columns, one after another: a sequence of str, each read when it is asked for.

    Args:
        parts: a list of ``(column, rows, prefix)``: int64 ``[rows]``; what goes before each text.
    """

    def __init__(self, parts: Sequence) -> None:
        self._parts = [part for part in parts if len(part[1])]
        self._ends = np.cumsum([0, *(len(rows) for _, rows, _ in self._parts)])

    def __len__(self):
        return int(self._ends[-1])

    def __getitem__(self, key):
        if isinstance(key, slice):
            return self._take(np.arange(*key.indices(len(self))))
        at = key + len(self) if key < 0 else key
        if not 0 <= at < len(self):
            raise IndexError(key)
        return self._take(np.array([at]))[0]

    def __iter__(self):
        for first in range(0, len(self), _ROWS):
            yield from self[first : first + _ROWS]

    def _take(self, places):
        """The texts at some places, int ``[places]``, in ascending or descending order: list of str."""
        found, parts = [], np.searchsorted(self._ends, places, "right") - 1
        for part in dict.fromkeys(parts.tolist()):
            column, rows, prefix = self._parts[part]
            texts = column.take(rows[places[parts == part] - self._ends[part]])
            found += [prefix + text for text in texts] if prefix else texts
        return found

    def __eq__(self, other):
        if not isinstance(other, Strings | list):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None

    def __repr__(self):
        return repr(list(self))
