"""Corpora that a Python program holds: tables, lists of pairs, data sets of Hugging Face.

What is given is written as Hugging Face's sets lie on the disk, one Parquet file with the images or sounds in
it, and is from there on a corpus like every other: its columns are guessed, its rows checked and told as
those of a file. It lies beside the copies of corpora (``zoo cache``) under a name made from its content, so
that the same data is the same corpus the next time: it is not read again, and a run of training goes on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo import files, hub
from zoo.errors import UserError, train_extra
from zoo.formats import held

_ROWS = 64  # written at a time: each may hold a recording
_FILE = "given.parquet"
LEARNED, CHECKED, TESTED = ("train", "training"), ("validation", "valid", "dev", "val"), ("test", "testing")


@dataclasses.dataclass(frozen=True)
class Given:
    """What rows of a family's corpora are in Python.

    Attributes:
        pair: what a tuple holds, in order; they are columns that the family's tables may have.
        holds: what the first of the pair is: "text", "image", "sound", "video", "numbers", "ink".
        media: the usual names of its column, where a table may have paths in it.
        write: for families that read no such table: ``(folder, rows)`` writes them another way.
    """

    pair: tuple
    holds: str = "text"
    media: tuple = ()
    write: object = None

    def paths(self, corpora: Any, config: dict[str, Any], prefer: Sequence[str] = TESTED) -> list[str]:
        """Corpora as paths.

        Args:
            corpora: paths or ``tfds:NAME``, which stay; tables, Series, dicts of splits, iterables of tuples
                or dicts; or a list of these.
            config: dict, the configuration of a model: its ``sampling_rate`` is that of sounds without one.
            prefer: which split of several to take.

        Returns:
            A list of paths.

        Raises:
            UserError: something is no corpus, or has a row that is none.
        """
        corpora = held.collected(corpora)
        if isinstance(corpora, str | os.PathLike):
            return [corpora]
        if held.is_splits(corpora):
            corpora = _split(corpora, prefer)
        if held.is_table(corpora):
            return [_stored(held.rows(corpora), self, config)]
        if held.is_series(corpora):
            return [_stored(({self.pair[0]: value} for value in corpora), self, config)]
        try:
            items = iter(corpora)
        except TypeError as error:
            raise UserError(
                f"{corpora!r:.60} is no corpus; give a path, a table or a list of pairs."
            ) from error
        first = next(items, None)
        if first is None:
            raise UserError("there is no corpus in an empty list; give a path, a table or a list of pairs.")
        items = itertools.chain([first], items)
        if _is_row(first):
            return [_stored(_rows(items, self.pair), self, config)]
        if (
            isinstance(first, str | os.PathLike | list | dict)
            or held.is_table(first)
            or held.is_series(first)
        ):
            return [path for one in items for path in self.paths(one, config, prefer)]
        raise UserError(f"{type(first).__name__} {first!r:.40} is no corpus; give paths, tables or pairs.")

    @staticmethod
    def told(sentence: str) -> str:
        """A sentence on a corpus without the path of what was given, which nobody chose."""
        return re.sub(rf"\S*/corpora/\w{{16}}/(?={_FILE})", "", sentence).replace(f"{_FILE}: {_FILE}", _FILE)


def named(corpus: str | os.PathLike) -> str:
    """A corpus by its path as given; one that was given in Python by what it is kept under."""
    place = Path(str(corpus))
    return f"{place.parent.name} (given in Python)" if place.stem == Path(_FILE).stem else str(corpus)


def split_of(corpora: Any, names: Sequence[str]) -> Any:
    """The table of a dict of splits that is called as one of ``names``, or None."""
    found = next((name for name in names if held.is_splits(corpora) and name in corpora), None)
    return None if found is None else corpora[found]


def _split(corpora, prefer):
    found = split_of(corpora, prefer)
    if found is None and len(corpora) > 1:
        name = next(iter(corpora))
        raise UserError(f"there are the splits {', '.join(corpora)}; give one of them, as corpus[{name!r}].")
    return next(iter(corpora.values())) if found is None else found


def _is_row(item):
    if held.is_splits(item):
        return False
    return isinstance(item, tuple | dict) or (
        isinstance(item, list) and len(item) > 1 and not _is_row(item[0]) and not held.is_table(item[0])
    )


def _rows(items, pair):
    """Tuples and dicts as dicts."""
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            yield {str(title): None if held.is_missing(value) else value for title, value in item.items()}
        elif isinstance(item, tuple | list) and len(item) == len(pair):
            yield {
                title: None if held.is_missing(value) else value
                for title, value in zip(pair, item, strict=True)
            }
        else:
            raise UserError(f"row {number}: {item!r:.60} is no tuple ({', '.join(pair)}); give such.")


# === As a file ===


def _stored(rows, about, config):
    """The path of rows that are written, once."""
    home = hub.home() / "corpora"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as folder:
        count = (about.write or _write)(Path(folder), rows, about, config)
        if not count:
            raise UserError("there is no row in what was given as a corpus; give one or more.")
        (path,) = Path(folder).iterdir()
        place = home / _digest(path)
        with files.atomic_folder(place, marker=hub.ABOUT_COPY, keep=True) as new:
            os.rename(path, Path(new) / path.name)
            told = {"source": "given in Python", "count": count, "noun": "row"}
            (Path(new) / hub.ABOUT_COPY).write_text(json.dumps(told), encoding="utf-8")
    return str(place / path.name)


def _digest(path):
    found = hashlib.sha256()
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        found.update(one.name.encode() + files.sha256(one).encode())
    return found.hexdigest()[:16]


def _write(folder, rows, about, config):
    """Write a Parquet file, and give the number of rows."""
    with train_extra():
        import pyarrow
        from pyarrow import parquet
    rate, rows, count, writer, schema = config.get("sampling_rate"), iter(rows), 0, None, None
    media = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    try:
        while some := list(itertools.islice(rows, _ROWS)):
            some = [
                {title: _value(value, title, about, rate, count + at) for title, value in row.items()}
                for at, row in enumerate(some, 1)
            ]
            if about.holds == "numbers":
                some = list(map(_channels, some))
            if schema is None:
                _check_found(some)
                schema = pyarrow.schema(
                    [(title, _kind(title, some, media, pyarrow)) for title in some[0]],
                )
                writer = parquet.ParquetWriter(folder / _FILE, schema)
            parts = []
            for title, kind in zip(schema.names, schema.types, strict=True):
                values = [row.get(title) for row in some]
                if pyarrow.types.is_list(kind) and about.holds != "numbers":  # one caption, several captions
                    values = [[value] if isinstance(value, str) else value for value in values]
                elif pyarrow.types.is_string(kind):
                    values = [value if value is None else _text(value) for value in values]
                parts.append(_column(values, kind, title, count, pyarrow))
            writer.write_table(pyarrow.Table.from_arrays(parts, schema=schema))
            count += len(some)
    finally:
        if writer is not None:
            writer.close()
    return count


def _kind(title, some, media, pyarrow):
    """The type of a column in Arrow: text, but where the first rows have something else."""
    values = [row.get(title) for row in some if row.get(title) is not None]
    if any(isinstance(value, _Media) for value in values):
        return media
    nested = [value for value in values if isinstance(value, list | dict)]
    try:
        return pyarrow.infer_type(nested) if nested else pyarrow.string()
    except pyarrow.ArrowException as error:
        raise UserError(f"the column {title} has things of several kinds in it ({error}).") from error


def _column(values, kind, title, count, pyarrow):
    try:
        return pyarrow.array(values, kind)
    except (pyarrow.ArrowException, TypeError, ValueError):
        for at, value in enumerate(values, count + 1):
            try:
                pyarrow.array([value], kind)
            except (pyarrow.ArrowException, TypeError, ValueError) as error:
                raise UserError(
                    f"row {at}: {type(value).__name__} {value!r:.40} in the column {title}, where others "
                    "have something else; give all rows the same."
                ) from error
        raise


class _Media(dict):
    """An image or a sound, as Hugging Face has it: ``{"bytes": …, "path": …}``."""


def _value(value, title, about, rate, row):
    """What Parquet has for a value of a row."""
    if value is None:
        return None
    given, value = value, held.plain(value)
    if about.holds not in ("text", "numbers"):
        path = given.get("path") if isinstance(given, dict) and "bytes" in given else None
        if isinstance(value, bytes):
            return _Media(bytes=value, path=path)
        is_input = title == about.pair[0] or title.lower() in about.media or not isinstance(value, list)
        if is_input and (made := encoded(value, about.holds, rate, row)) is not None:
            return _Media(bytes=made, path=path)
        if (
            isinstance(value, os.PathLike)
            or path
            or (isinstance(value, str) and title.lower() in about.media)
        ):
            return _read(os.fspath(value), row)
    if about.holds == "numbers" and held.is_table(given):
        return [held.titles(given), value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, tuple | set):
        return list(value)
    return value


def _read(path, row):
    """A file; what cannot be read is left for the family's reader to skip, and to name."""
    try:
        return _Media(bytes=Path(path).read_bytes(), path=path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return _Unread(bytes=_NOTHING, path=path, why=f"row {row}: {path} cannot be read ({why})")


class _Unread(_Media):
    """A file that cannot be read: ``why``."""


_NOTHING = b"no such file"


def _check_found(some):
    """UserError where none of the first rows has a file that is there: it is the folder that is wrong."""
    files = [value for row in some for value in row.values() if isinstance(value, _Media)]
    if files and all(isinstance(value, _Unread) for value in files):
        raise UserError(f"{files[0]['why']}; check the paths, or give them from the root on.")


def encoded(value: Any, holds: str, rate: int, row: int) -> bytes | None:
    """An image, a video or a sound as the bytes of a file; None where a value is something else.

    Raises:
        UserError: it is an array that can be no such thing; ``row`` is told.
    """
    stream = io.BytesIO()
    if holds == "sound" and isinstance(value, tuple | np.ndarray | list):
        import soundfile

        samples, own = value if isinstance(value, tuple) else (value, rate)
        samples = np.asarray(samples)
        samples = samples.astype(np.float32) if samples.dtype.kind == "f" else samples
        try:
            kind = "FLOAT" if samples.dtype.kind == "f" else None
            soundfile.write(stream, samples, int(own), kind, format="WAV")
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"row {row}: {samples.dtype} of shape {list(samples.shape)} is no sound; give [samples] of "
                "float or int16."
            ) from error
        return stream.getvalue()
    if holds == "video" and isinstance(value, np.ndarray | list):
        np.save(stream, np.stack([np.asarray(frame) for frame in value]), allow_pickle=False)
        return stream.getvalue()
    if holds == "image" and hasattr(value, "save") and hasattr(value, "getbands"):
        (value if value.mode in _PNG else value.convert("RGB")).save(stream, "PNG")
        return stream.getvalue()
    if holds == "image" and isinstance(value, np.ndarray):
        from PIL import Image

        if value.ndim == 3 and value.shape[-1] == 1:
            value = value[..., 0]
        if value.dtype != np.uint8 or value.ndim not in (2, 3):
            raise UserError(
                f"row {row}: {value.dtype} of shape {list(value.shape)} is no image; give uint8 [height, "
                "width] or [height, width, 3]."
            )
        Image.fromarray(value).save(stream, "PNG")
        return stream.getvalue()
    return None


_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


def _channels(row):
    """A row whose sequence of several channels has a column for each of them."""
    made = {}
    for title, value in row.items():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], np.ndarray):
            made |= {str(name): column for name, column in zip(value[0], value[1].T.tolist(), strict=True)}
        elif isinstance(value, list) and value and isinstance(value[0], list):
            columns = list(map(list, zip(*value, strict=True)))
            made |= {f"channel_{number}": column for number, column in enumerate(columns, 1)}
        else:
            made["channel_1" if isinstance(value, list) and title == "values" else title] = value
    return made


def _text(value):
    """As in a table that was saved: a label 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
