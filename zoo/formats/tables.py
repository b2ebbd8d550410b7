"""Tables as spreadsheets, pandas, R and corpora write them: one reader for all families.

    table = open_table("reviews.csv", skipped)          # or .tsv, .jsonl, .json, .parquet
    for where, line, row in table.pick({"text": ("text", "review"), "label": ("label",)}):
        row["text"], row["label"]                       # str, neither of them missing

A table is read as a stream, once. A row that cannot be read, or lacks what is asked for, is skipped: a
sentence on it is appended to a list, and the others are read.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from zoo.errors import UserError, train_extra
from zoo.text.files import Utf8Check, is_utf16, stream_lines

NAME = re.compile(r"(.+)\.(tsv|csv|jsonl|ndjson|json|parquet|xlsx?|ods)(\.gz)?", re.DOTALL | re.IGNORECASE)
TAB = "\t"
# What pandas, R, spreadsheets and databases write for no value. A text may be "null", zero in German.
MISSING = {"", "NA", "N/A", "#N/A", "NaN", "nan", "<NA>", "NULL", "\\N"}
# What a column of texts is called, best first.
TEXT = ("text", "sentence", "review", "content", "comment", "message", "tweet", "utterance", "body")
_SNIFFED = 100  # rows of JSON that tell which columns there are
_QUOTED = re.compile('"((?:[^"]|"")*)"')

csv.field_size_limit(1 << 30)  # a text may be a book


def open_table(
    path: str | os.PathLike, skipped: list[str] | None, data: bytes | None = None, tabs: bool | None = None
) -> Table:
    """A table, known by its content more than by its name.

    - Columns between tabs, semicolons, commas or ``|``, as the first line has them; UTF-8 or, with a mark,
      UTF-16. In quotes stand separators, line breaks and doubled quotes. Where tabs or ``|`` separate, other
      quotes are of the text. ``sep=;`` may come first, as spreadsheets have it; names of rows, as R has them.
    - JSON: an object on each line, a list of objects, or columns as pandas writes them.
    - Parquet, classes of Hugging Face's data sets by their names.

    Args:
        path: the file, or what to call ``data`` in messages.
        skipped: a list; a sentence is appended for each row that cannot be used.
        data: bytes to be read in its place.
        tabs: whether tabs separate its columns, where its name does not tell.

    Returns:
        ``Table``.

    Raises:
        UserError: it cannot be read, or is no table.
    """
    match = NAME.fullmatch(str(path))
    kind = match[2].lower() if match else _kind(data)
    if kind in ("xls", "xlsx", "ods"):
        raise UserError(f"{path}: this is a spreadsheet; save it as CSV (UTF-8).")
    if kind == "parquet":
        return _parquet(path, skipped, data)
    lines = _one_or_more(stream_lines(path, data))
    if "json" in kind:
        return _json(path, skipped, lines)
    tabs = kind == "tsv" if tabs is None else tabs
    # Excel's "Unicode text" alone is UTF-16, and encloses texts with commas in quotes.
    return _delimited(path, skipped, lines, tabs, enclosed=is_utf16(path, data))


def _kind(data):
    """What a table is that has no name for it, by how it begins; of a file, TSV."""
    start = b"" if data is None else data[:1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"PAR1", b"{", b"[")):
        return "parquet" if start.startswith(b"P") else "json"
    return "tsv" if not start or b"\t" in start.partition(b"\n")[0] else "csv"


class Table:
    """The rows of a table.

    Attributes:
        name: what it is called in messages.
        columns: list of str, the names of its columns; of a delimited one, its first line, whatever that is.
        skipped: the list of sentences on rows that cannot be used.
        delimiter: what separates its columns; None for JSON and Parquet.
        has_header: whether ``columns`` are names; see ``headless``.
    """

    def __init__(
        self, name: str | os.PathLike, columns: Any, rows: Callable, skipped: list[str] | None,
        unit: str = "line", delimiter: str | None = None, first: tuple[int, list[str]] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.columns, self.skipped, self.delimiter = str(name), columns, skipped, delimiter
        self._rows, self._unit, self._first, self.has_header = rows, unit, first, True

    def headless(self) -> None:
        """Take a delimited table's first line for a row, too: columns are numbers, and rows may have more."""
        rows = self._rows
        self._rows = lambda places: itertools.chain([self._first] if self._first else [], rows(places))
        self.has_header = False

    def pick(
        self, wanted: dict[str, Any], optional: Sequence[str] = (), named: dict[str, str] | None = None,
        free: Sequence[str] = (), literal: Sequence[str] = (),
    ) -> Iterator:  # fmt: skip
        """Iterate over the rows with what is wanted of them.

        Args:
            wanted: ``{what: names}``, the names that its column may have, best first, in upper or lower case;
                or the column's number.
            optional: what need not be there.
            named: ``{what: column}``, columns that a person named.
            free: what takes its commas or semicolons without quotes, too, if it is in the last column.
            literal: what is missing only where there is nothing: a file may be called "nan".

        Yields:
            ``(where, line, {what: str})``: how a sentence on the row begins; its number from 1, that of its
            line where it has one; values without those that are missing, which only optional ones may be.

        Raises:
            UserError: a column is missing.
        """
        places = self.find(wanted, optional, named) if self.columns else {}
        return self._pick(places, set(wanted) - set(optional), free, literal)

    def find(
        self, wanted: dict[str, Any], optional: Sequence[str] = (), named: dict[str, str] | None = None
    ) -> dict[str, int]:
        """``{what: number of its column}``; arguments and errors as ``pick``."""
        places = {}
        for what, names in wanted.items():
            if named and what in named:
                names = [named[what]]
            if isinstance(names, int):
                at = names
            else:
                at = next((self.columns.index(name) for name in names if name in self.columns), None)
                at = column(self.columns, *names) if at is None else at
            if at is not None:
                places[what] = at
            elif what not in optional or (named and what in named):
                raise self.lacks(what, named[what] if named and what in named else what)
        return places

    def lacks(self, what: str, name: str) -> UserError:
        """The UserError on a column ``name`` that is not there for ``what``."""
        shown = ", ".join(title[:30] for title in self.columns[:10])
        return UserError(
            f"{self.name}: there is no column {name}; its columns are {shown!r}. Name one so, or say which "
            f"it is: --columns {what}=NAME."
        )

    def _pick(self, places, needed, free, literal):
        joined = self.delimiter in (",", ";") and self.has_header and free
        width, last = len(self.columns), len(self.columns) - 1
        joined = joined and any(places.get(what) == last for what in free)
        most = max((at for what, at in places.items() if what in needed), default=0)
        for line, row in self._rows(sorted(places.values())):
            where = f"{self.name}, {self._unit} {line}"
            if self.delimiter:
                if joined and len(row) > width:
                    row = [*row[:last], self.delimiter.join(row[last:])]
                if len(row) != width if self.has_header else len(row) <= most:
                    self.skipped.append(f"{where} {self._count(row)}")
                    continue
                values = {what: row[at] for what, at in places.items() if at < len(row)}
                values = {
                    what: value
                    for what, value in values.items()
                    if (mark := value.strip()) not in MISSING or (mark and what in literal)
                }
            else:
                try:
                    values = {what: _as_text(row[at]) for what, at in places.items()}
                except TypeError as error:
                    self.skipped.append(f"{where} has {error}; give text.")
                    continue
                values = {what: value for what, value in values.items() if value is not None}
            lacking = [what for what in needed if what not in values]
            if lacking:
                self.skipped.append(f"{where} has no {' and no '.join(sorted(lacking))}.")
            else:
                yield where, line, values

    def _count(self, row):
        count = f"has {len(row)} column{'s' * (len(row) != 1)}"
        if not self.has_header:
            return f"{count}; separate columns by {'a tab' if self.delimiter == TAB else self.delimiter}."
        part = "line break" if len(row) < len(self.columns) else "separator"
        return f"{count}, the header {len(self.columns)}; is there a {part} inside a text?"


def stem_of(name: str, taken: set[str]) -> str:
    """What the rows of a table in a folder are named by: its name without suffixes, if no other has that.

    ``taken`` is a set of those that others have, to which it is added.
    """
    match = NAME.fullmatch(name)
    stem = match[1] if match and match[1] not in taken else name
    taken.add(stem)
    return stem


def is_table(name: str) -> bool:
    """Whether a file is a table by its name."""
    return NAME.fullmatch(str(name)) is not None


COLUMNS_HELP = "the columns of tables, where they have other names: WHAT is "  # of the option --columns


def named_columns(pairs: Sequence[str] | None) -> dict[str, str] | None:
    """``["text=Body"]``, as a command line has it -> ``{"text": "Body"}``; None where there is nothing.

    Raises:
        UserError: one is not ``WHAT=COLUMN``.
    """
    for pair in pairs or ():
        if not re.fullmatch(r"\w+=.+", pair, re.DOTALL):
            raise UserError(f"--columns {pair}: give WHAT=COLUMN, as in text=Body.")
    return dict(pair.split("=", 1) for pair in pairs) if pairs else None


def check_named(named: dict[str, str] | None, wanted: Iterable[str]) -> dict[str, str] | None:
    """Columns as a person named them, ``{what: column}``, or None.

    Raises:
        UserError: one of them is not among ``wanted``, which is empty where corpora are no tables.
    """
    for what in named or ():
        if not wanted:
            raise UserError("--columns is for corpora in tables; this model reads none: leave it out.")
        if what not in wanted:
            raise UserError(f"--columns {what}={named[what]}: there is no {what}; name {', '.join(wanted)}.")
    return named


def with_columns(kind: type, named: dict[str, str] | None) -> type:
    """A class that holds samples, or one derived from it that has ``named`` columns.

    Its name tells them, by which prepared corpora are known.
    """
    if not named:
        return kind
    title = ",".join(f"{what}={column}" for what, column in sorted(named.items()))
    return type(f"{kind.__name__} {title}", (kind,), {"named": named})


def column(header: Sequence[str], *names: str) -> int | None:
    """Where the first of ``names`` is that a header has, in upper or lower case; None if it has none."""
    header = [title.strip().lower() for title in header]
    return next((header.index(name) for name in map(str.lower, names) if name in header), None)


def _as_text(value):
    """A value of JSON or Parquet as text; None where it is missing. TypeError says what is no text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bool | int):
        return str(value)
    raise TypeError({list: "a list", dict: "an object"}.get(type(value), type(value).__name__) + " in it")


# === Separated by tabs, semicolons, commas or bars ===


def _one_or_more(lines):
    """Lines; those of a file with carriage returns alone, as a Mac's Excel has them, are several, too."""
    first = list(itertools.islice(lines, 2))
    if len(first) == 1 and "\r" in first[0]:
        return iter(first[0].split("\r"))
    return itertools.chain(first, lines)


def _delimited(name, skipped, lines, tabs, enclosed=False):
    lines = _Lines(name, lines, skipped)
    first = lines.take()
    delimiter = None
    if first and (match := re.fullmatch('"?sep=(.)"?', first[1], re.IGNORECASE)):
        delimiter, first = match[1], lines.take()
    while first and not first[1].strip(" \t,;|"):
        first = lines.take()
    if not first:
        lines.end()
        return Table(name, [], lambda places: iter(()), skipped)
    if tabs and not delimiter and "\t" not in first[1] and (second := lines.take()):
        if "\t" in second[1]:
            skipped.append(f"{name}, line {first[0]} has 1 column; separate columns by a tab.")
            first, second = second, None
        elif 0 < _bare(first[1]).count(other := _delimiter(first[1], False)) <= second[1].count(other):
            delimiter = other  # a .tsv that is none
        lines.back([second] if second else [])
    delimiter = delimiter or _delimiter(first[1], tabs)
    # Where quotes enclose all of the first line, they enclose all texts.
    enclosed = enclosed or all(map(_QUOTED.fullmatch, first[1].split(delimiter)))
    lines.back([first])
    rows = _records(lines, delimiter, delimiter in "\t|" and not enclosed)
    first = next(rows, None)
    header = first[1] if first else []
    few = list(itertools.islice(rows, 2))
    # R leaves the names of rows, "1", "2" and so on unless they were given, without a name of their own.
    if few and all(len(row) == len(header) + 1 for _, row in few):
        if enclosed or (delimiter == TAB and [row[0] for _, row in few] == ["1", "2"]):
            header = ["", *header]
            lines.width = len(header)
    rows = itertools.chain(few, rows)
    return Table(name, header, lambda places: rows, skipped, delimiter=delimiter, first=first)


def _delimiter(line, tabs):
    """What separates the columns of a table by its first line."""
    bare = _bare(line)
    if tabs and ("\t" in bare or "|" not in bare):
        return "\t"
    return "|" if "|" in bare else max(",;\t", key=bare.count)


def _bare(line):
    """A line without what stands in quotes."""
    return re.sub('"[^"]*"', "", line)


class _Lines:
    """Numbered lines, of which some can be given back. Those that are not UTF-8 are skipped."""

    def __init__(self, name, lines, skipped):
        self.name, self.skipped, self.width = name, skipped, None  # how many columns there are
        self._lines, self._ahead, self._check = enumerate(lines, 1), collections.deque(), Utf8Check(name)

    def take(self):
        """``(number, line)``, or None."""
        if self._ahead:
            return self._ahead.popleft()
        for number, line in self._lines:
            complaint = self._check.complaint(line, number)
            if complaint is None:
                return number, line
            self.skipped.append(complaint)
        return None

    def back(self, those):
        self._ahead.extendleft(reversed(those))

    def end(self):
        self._check.end()


def _records(lines, delimiter, bare):
    """Iterate over ``(line, fields)``; ``bare`` where quotes are of the text unless they must enclose.

    A row whose quotes are not closed, or go on after their end, is skipped, and its next line begins a row.
    """
    blank = f" \t{delimiter}"
    while first := lines.take():
        number, line = first
        if not line.strip(blank):
            continue
        if '"' not in line:
            fields = line.split(delimiter)
        else:
            fields = [_unquoted(field) for field in line.split(delimiter)] if bare else None
            if not bare or lines.width not in (None, len(fields)) or _goes_on(fields[-1], lines, delimiter):
                fields = _enclosed(first, lines, delimiter, lines.width if bare else None) or fields
            if fields is None:
                lines.skipped.append(
                    f"{lines.name}: line {number} cannot be read; put texts with separators or quotes in "
                    "quotes, their own quotes doubled."
                )
                continue
        lines.width = lines.width or len(fields)
        yield number, fields
    lines.end()


def _goes_on(field, lines, delimiter):
    """Whether the last field of a row opens a quote, and the next line is no row."""
    if not field.startswith('"') or _QUOTED.fullmatch(field):
        return False
    taken = []
    while (line := lines.take()) and taken.append(line) is None and not line[1].strip():
        pass
    lines.back(taken)
    return bool(line) and line[1].count(delimiter) + 1 != lines.width


def _enclosed(first, lines, delimiter, width=None):
    """The fields of a row whose quotes enclose, perhaps of several lines; None if they cannot.

    Blanks may stand before a quote, and a backslash in place of a second one, as R has it.
    """
    number, line = first
    if re.search(f'{re.escape(delimiter)} +"', line):
        fields = _csv_row(first, lines, delimiter, width, skipinitialspace=True)
        if fields:
            return fields
    fields = _csv_row(first, lines, delimiter, width)
    if fields is None and '\\"' in line:
        escaped = re.sub(rf'\\"(?!{re.escape(delimiter)}|$)', '""', line)
        fields = _csv_row((number, escaped), lines, delimiter)
    return fields


def _csv_row(first, lines, delimiter, width=None, **options):
    """The fields of a row, ``width`` of them if that is given; None, and no line is taken, if it is none."""
    taken, fields = [], None

    def feed():
        line = first
        while line:
            yield line[1].replace("\r", " ") + "\n"
            line = lines.take()
            taken.extend([line] if line else [])

    with contextlib.suppress(csv.Error):
        fields = next(csv.reader(feed(), delimiter=delimiter, strict=True, **options))
    if fields is None or width not in (None, len(fields)):
        lines.back(taken)
        return None
    return fields


def _unquoted(field):
    match = _QUOTED.fullmatch(field)
    if match and ('""' in match[1] or not match[1]):  # quotes enclose what has quotes, or nothing
        return match[1].replace('""', '"')
    return field


# === JSON ===


def _json(name, skipped, lines):
    """A table of lines of JSON or, where the first is no object by itself, of the whole."""
    lines = _Lines(name, lines, skipped)
    first = lines.take()
    while first and not first[1].strip():
        first = lines.take()
    second = first and lines.take()
    lines.back([line for line in (first, second) if line])
    start = first[1].strip() if first else ""
    alone = isinstance(_loads(start), dict)
    if (alone and (second or not _is_columns(_loads(start)))) or not start or start[0] not in "[{":
        return _objects(name, skipped, _json_lines(lines), "line")
    text = []
    while line := lines.take():
        text.append(line)
    whole = _loads("\n".join(line for _, line in text))
    if whole is None and start[0] == "{":  # a first line that is broken
        lines.back(text)
        return _objects(name, skipped, _json_lines(lines), "line")
    lines.end()
    parts = _parts(whole)
    if len(parts) > 1:
        raise UserError(
            f"{name}: there are {len(parts)} lists of rows in it ({', '.join(parts)}); write each to a file "
            "of its own, and give the one that is meant."
        )
    rows = _json_rows(whole)
    if rows is None or (rows and not any(isinstance(row, dict) for row in rows)):
        raise UserError(f"{name}: this is no table in JSON; give a list of objects, or one on each line.")
    return _objects(name, skipped, enumerate(rows, 1), "object")


def _loads(text):
    """A value of JSON, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_lines(lines):
    while line := lines.take():
        number, text = line
        if not text.strip():
            continue
        try:
            yield number, json.loads(text)
        except (ValueError, RecursionError) as error:
            lines.skipped.append(
                f"{lines.name}, line {number} is no JSON ({error}); put one object on each line."
            )
    lines.end()


def _is_columns(value):
    """Whether an object is a whole table, by columns or as a list in it."""
    return any(isinstance(part, list | dict) for part in value.values()) and _json_rows(value) is not None


def _parts(value):
    """The names of the lists in an object whose objects are alike, as of a set's ``train`` and ``test``."""
    items = value.items() if isinstance(value, dict) else ()
    lists = {name: part for name, part in items if _of_objects(part)}
    keys = max(lists.values(), key=len, default=[{}])[0].keys()
    return [name for name, part in lists.items() if part[0].keys() <= keys or part[0].keys() >= keys]


def _of_objects(part):
    return isinstance(part, list) and bool(part) and isinstance(part[0], dict)


def _json_rows(value):
    """The objects of a list, of the longest list in an object, or of columns; None of other values.

    pandas writes ``{column: {row: value}}``, ``{"columns": …, "data": …}`` or ``{"schema": …, "data": …}``.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = list(map(str, value["columns"]))
        return [dict(zip(names, row, strict=False)) for row in value["data"] if isinstance(row, list)]
    for kind in (dict, list) if not all(map(_of_objects, value.values())) else ():
        if len(value) > 1 and all(isinstance(part, kind) for part in value.values()):
            columns = [list(part.values()) if kind is dict else part for part in value.values()]
            if len(set(map(len, columns))) == 1:
                return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    return max(filter(_of_objects, value.values()), key=len, default=None)


def _objects(name, skipped, rows, unit):
    few = list(itertools.islice(rows, _SNIFFED))
    columns = list(dict.fromkeys(key for _, row in few if isinstance(row, dict) for key in flat(row)))

    def read(places):
        for number, row in itertools.chain(few, rows):
            if isinstance(row, dict):
                row = flat(row)
                yield number, {at: row.get(columns[at]) for at in places}
            else:
                skipped.append(f"{name}, {unit} {number} is no object; give objects, their keys the columns.")

    return Table(name, columns, read, skipped, unit)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """An object, the keys of objects in it as ``key.inner``."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    found = {}
    for key, value in row.items():
        inner = flat(value) if isinstance(value, dict) else None
        found |= {key: value} if not inner else {f"{key}.{name}": part for name, part in inner.items()}
    return found


# === Parquet ===


def _parquet(name, skipped, data):
    file = ParquetFile(name, data)
    schema = file.schema
    columns = []
    for field in schema:
        inner = field.type if file.is_struct(field) else ()
        columns += [f"{field.name}.{part.name}" for part in inner] or [field.name]
    classes = _classes(schema.metadata)

    def read(places):
        rows = file.rows([columns[at] for at in places], 1024)
        for number, row in enumerate(map(flat, rows), 1):
            cells = ((at, columns[at]) for at in places)
            yield number, {at: _named(row.get(title), classes.get(title)) for at, title in cells}

    return Table(name, columns, read, skipped, "row")


class ParquetFile:
    """A Parquet file, whose rows are read a few at a time.

    Args:
        name: its path, or what to call ``data`` in messages.
        data: bytes to be read in its place, or the path of a file.

    Attributes:
        schema: its ``pyarrow.Schema``.

    Raises:
        UserError: it is damaged, or pyarrow is not here.
    """

    def __init__(self, name: str | os.PathLike, data: Any = None) -> None:
        with train_extra():
            import pyarrow
            from pyarrow import parquet
        self._damaged, self.name = (pyarrow.ArrowException, OSError), name
        self.is_struct = lambda field: pyarrow.types.is_struct(field.type)
        source = pyarrow.BufferReader(data) if isinstance(data, bytes) else data or name
        with self._whole():
            self._file = parquet.ParquetFile(source)
            self.schema = self._file.schema_arrow

    def rows(self, columns: Any, size: int) -> Iterator[dict[str, Any]]:
        """Iterate over rows, ``{column: value}``: None, str, bytes, numbers, lists and dicts.

        Args:
            columns: those to read; ``COLUMN.PART`` of a column of structs.
            size: how many rows are in memory at a time.

        Raises:
            UserError: the file is damaged; perhaps not before its row.
        """
        with self._whole():
            for batch in self._file.iter_batches(size, columns=columns):
                yield from batch.to_pylist()

    @contextlib.contextmanager
    def _whole(self):
        try:
            yield
        except self._damaged as error:
            raise UserError(
                f"{self.name}: this is no whole Parquet file; copy or download it again."
            ) from error


def _classes(metadata):
    """``{column: names}`` of the classes that Hugging Face's data sets number."""
    features = _loads((metadata or {}).get(b"huggingface", b"null"))
    for key in ("info", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    named = {}
    for column, feature in (features or {}).items():
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            named[column] = feature["names"]
    return named


def _named(value, names):
    """A class by its name; -1 is none."""
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None
