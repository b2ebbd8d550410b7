"""What a person holds in Python, as the iterable of inputs that a reader takes.

Lists, tuples, generators, pandas Series and NumPy arrays of names or texts are several inputs; one array of
pixels, samples or numbers is one, a stack of them several.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import UserError
from zoo.formats import held
from zoo.formats.tables import column, flat

if TYPE_CHECKING:
    from zoo.contract.reader import Reader

_USUAL = ("file_name", "filename", "file", "path")  # of columns that name files


def inputs_of(given: Any, reader: Reader) -> Iterable:
    """An iterable of inputs, made of several or of one.

    Args:
        given: what was given; an iterator is not read before it is asked for the next.
        reader: the ``zoo.contract.reader.Reader``: its ``single`` and ``axes`` tell what is one input.

    Raises:
        UserError: it is nothing that could be inputs.
    """
    given = held.collected(given)
    if held.is_splits(given):
        raise UserError(f"these are {len(given)} tables ({', '.join(given)}); give one of them")
    if held.is_table(given):
        return [_sequence(given)] if reader.tables and _numeric(given) else _of_table(given, reader)
    if isinstance(given, dict) and (reader.takes != "files" or set(given) & {"bytes", "array"}):
        return [_item(given, reader)]
    if held.is_series(given) or (held.is_array(given) and not isinstance(given, reader.single)):
        given = np.asarray(given)
    if isinstance(given, np.ndarray):
        return (_item(item, reader) for item in _of_array(given, reader))
    if isinstance(given, reader.single):
        return [given]
    if not isinstance(given, collections.abc.Iterable):
        raise UserError(f"{given!r} is no {reader.one}; give one, or a list of {reader.reads}")
    return (_item(item, reader) for item in given)


def wrong(item: Any, number: int, reader: Reader) -> UserError | None:
    """The UserError for input ``number`` that is of no kind that could be read, such as None; or None."""
    if reader.takes == "files":
        refused = (int, float) if reader.part_suffixes else (int, float, list)
        if not held.is_missing(item) and not isinstance(item, refused):
            return None
        what = f"{reader.reads}"
    else:
        if isinstance(item, dict):
            *_, last = reader.columns  # the question, whose story may come otherwise
            if last not in item:
                found = f", but {', '.join(map(str, item))}" if item else ""
                return UserError(f"input {number} has no {last}{found}; give one, or leave it out")
            item = item[last]
        if isinstance(item, str):
            return None
        what = f"{reader.reads} as str"
    found = "missing" if held.is_missing(item) else f"{type(item).__name__} {item!r:.40}"
    return UserError(f"input {number} is {found}; give {what}, or leave it out")


def _of_array(array, reader):
    """An array as a list of inputs."""
    if not array.ndim:
        return [array.item()]
    if array.dtype.kind in "OSUT":
        return list(array.ravel())
    if reader.axes is None:
        raise UserError(f"an array of {array.dtype} is no {reader.one}; give a list of {reader.reads}")
    several = array.ndim > reader.axes
    if reader.axes == 3 and array.ndim == 3 and array.shape[-1] > 4:
        several = True  # the last axis of one image has its colours
    return list(array) if several else [array]


def _item(item, reader):
    item = held.plain(item)
    if isinstance(item, list) and reader.axes and item and not isinstance(item[0], str | bytes):
        numbers = _as_array(item)
        return item if numbers is None else numbers
    if reader.tables and held.is_table(item) and _numeric(item):
        return _sequence(item)
    if isinstance(item, dict) and not (isinstance(item, reader.single) or reader.part_suffixes):
        return _of_row(item, reader)
    return item


def _as_array(item):
    """A list of numbers, or of lists of them, as an array; None where it is something else."""
    try:
        array = np.asarray(item)
    except ValueError:
        return None
    return array if array.dtype.kind in "iuf" else None


def _numeric(table):
    """Whether all columns of a table are numbers, so that it is one sequence."""
    try:
        return np.asarray(table.to_numpy()).dtype.kind in "iuf"
    except (AttributeError, TypeError, ValueError):
        return False


def _sequence(table):
    return held.titles(table), np.asarray(table.to_numpy(), np.float64)


# === Tables ===


def _of_table(table, reader):
    """The inputs of a table's rows, in the column that is called as they usually are."""
    titles = held.titles(table)
    if titles is not None:
        _columns(titles, reader)
    return (_of_row(row, reader) for row in held.rows(table))


def _of_row(row, reader):
    row = flat(row) if reader.takes != "files" else row
    chosen = _columns(list(row), reader)
    *others, last = chosen
    if not others:
        return held.plain(row[chosen[last]])
    return {what: row[title] for what, title in chosen.items()}


def _columns(titles, reader):
    """``{what: title}`` of the columns that are read, the one of the inputs last."""
    if len(titles) == 1 and len(reader.columns) < 2:
        return {reader.one: titles[0]}
    wanted = reader.columns or {reader.one: (reader.one, *_KINDS.get(reader.one, ()), *_USUAL)}
    places = {what: column(titles, *names) for what, names in wanted.items()}
    if places[list(wanted)[-1]] is None:
        raise UserError(
            f"none of the columns {', '.join(titles)} is called {list(wanted)[-1]}; give the column alone, "
            f"as table[{titles[0]!r}]"
        )
    return {what: titles[at] for what, at in places.items() if at is not None}


_KINDS = {"recording": ("audio", "wav", "clip"), "line": ("image",)}
