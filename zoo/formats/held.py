"""Tables and arrays as Python programs hold them: pandas, polars, pyarrow, Hugging Face's ``datasets``.

None of these libraries is imported: what is given is known by its methods.
"""

from __future__ import annotations

import collections.abc
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

_MISSING = ("NoneType", "NAType", "NaTType")


def is_table(value: Any) -> bool:
    """Whether a value is a table of pandas, polars, pyarrow or ``datasets``."""
    return not isinstance(value, type) and any(
        hasattr(value, name) for name in ("itertuples", "iter_rows", "to_pylist", "column_names")
    )


def collected(value: Any) -> Any:
    """What a query of polars that waits (LazyFrame) gives; all else as it is."""
    return value.collect() if hasattr(value, "collect_schema") and hasattr(value, "collect") else value


def is_splits(value: Any) -> bool:
    """Whether a value is a dict of tables, such as a ``DatasetDict``."""
    return isinstance(value, dict) and bool(value) and all(map(is_table, value.values()))


def is_series(value: Any) -> bool:
    """Whether a value is a named column, such as a pandas Series."""
    return hasattr(value, "to_numpy") and not is_table(value) and hasattr(value, "name")


def is_array(value: Any) -> bool:
    """Whether a value is an array of another library, such as torch or JAX, which NumPy can take."""
    return hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic)


def titles(table: Any) -> list[str] | None:
    """The names of a table's columns, a list of str, or None where it does not tell."""
    found = getattr(table, "column_names", None)
    found = getattr(table, "columns", None) if found is None else found
    return None if found is None else [str(title) for title in found]


def rows(table: Any) -> Iterator[dict[str, Any]]:
    """Iterate over the rows of a table: ``{column: value}``, with None for what is missing.

    Images and sounds of Hugging Face's sets come as these are stored, ``{"bytes": …, "path": …}``, classes by
    their names.
    """
    names = {
        column: feature.names
        for column, feature in (getattr(table, "features", None) or {}).items()
        if getattr(feature, "names", None)
    }
    for row in _rows(table):
        row = {str(title): None if is_missing(value) else value for title, value in row.items()}
        for column, classes in names.items():
            if isinstance(row.get(column), int):
                row[column] = classes[row[column]] if row[column] >= 0 else None
        yield row


def _rows(table):
    if hasattr(table, "itertuples"):  # pandas
        for row in table.itertuples(index=False, name=None):
            yield dict(zip(table.columns, row, strict=True))
    elif hasattr(table, "iter_rows"):  # polars
        yield from table.iter_rows(named=True)
    elif hasattr(table, "to_pylist"):  # pyarrow
        yield from table.to_pylist()
    elif hasattr(table, "with_format") and getattr(table, "num_rows", None) is not None:
        # As Arrow has it, nothing is decoded: for sounds that would take a library more.
        for part in table.with_format("arrow").iter(64):
            yield from part.to_pylist()
    else:  # a streamed data set
        yield from table


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, pandas' NA and NaT."""
    return type(value).__name__ in _MISSING or (isinstance(value, float) and value != value)


def plain(value: Any) -> Any:
    """What an image, a sound or an array may be wrapped in, taken out of it.

    ``{"bytes": …, "path": …}`` and ``{"array": …, "sampling_rate": …}`` are how Hugging Face has them; arrays
    of other libraries become NumPy's, what stands alone in an array comes out of it.
    """
    if isinstance(value, collections.abc.Mapping):
        if value.get("array") is not None and "sampling_rate" in value:
            return np.asarray(value["array"]), int(value["sampling_rate"])
        if value and set(value) <= {"bytes", "path"}:
            data = value.get("bytes")
            return value.get("path") if data is None else data
        return value
    if isinstance(value, str | bytes | os.PathLike | tuple):
        return value
    if is_array(value) and not hasattr(value, "convert"):  # which PIL's images have, and are themselves read
        value = np.asarray(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    return value
