"""Tables, separated by commas, semicolons or tabs, as spreadsheets, pandas and corpora write them."""

import csv
import re

from zoo.errors import UserError
from zoo.text.files import split_lines

csv.field_size_limit(1 << 30)  # a text may be a book
_QUOTED = re.compile('"((?:[^"]|"")*)"')


def read_table(text, name, tabs, free=()):
    """A table whose first line names its columns.

    In tab-separated ones a quote is a quote, unless the table only makes sense if quotes enclose fields.

    Args:
        text: str.
        name: what to call it in messages.
        tabs: whether tabs separate its columns; if not, commas or semicolons, as its first line has more of.
        free: names of columns: one that is the last takes its commas or semicolons without quotes, too.

    Returns:
        ``(header, rows)``: list of str; an iterator of ``(line, row)``, the line on which a row begins, from
        1, and a list of str, perhaps more or fewer than the header's (see ``check_row``). Both are empty
        where there is nothing. Lines with nothing on them are left out.

    Raises:
        UserError: a quote is never closed, or goes on after its end; perhaps not before its row.
    """
    lines = split_lines(text)
    header = next(filter(str.strip, lines), "")
    if not tabs:
        delimiter = ";" if header.count(";") > header.count(",") else ","
        rows = _csv_rows(lines, name, delimiter)
    else:
        rows = [(number, fields(line)) for number, line in enumerate(lines, 1) if line.strip()]
        if not _even(rows) or all(map(_QUOTED.fullmatch, header.split("\t"))):
            try:
                quoted = list(_csv_rows(lines, name, "\t"))
            except UserError:
                quoted = []
            rows = quoted if _even(quoted) else rows
    rows = iter(rows)
    header = next(rows, (0, []))[1]
    if not tabs and column(header[-1:], *free) is not None:
        last = len(header) - 1
        rows = ((n, [*row[:last], delimiter.join(row[last:])] if row[last:] else row) for n, row in rows)
    return header, rows


def fields(line):
    """The fields of a tab-separated line. Quotes enclose one if there are others in it, which are doubled."""
    return [_unquoted(field) for field in line.split("\t")]


def column(header, *names):
    """Where the first of ``names`` is that a header has, in upper or lower case; None if it has none."""
    header = [title.strip().lower() for title in header]
    return next((header.index(name) for name in names if name in header), None)


def check_row(row, header, name, line):
    """UserError where a row has not as many fields as the header."""
    if len(row) != len(header):
        count = f"{len(row)} column{'s' * (len(row) != 1)}, the header {len(header)}"
        part = "line break" if len(row) < len(header) else "separator"
        raise UserError(f"{name}: line {line} has {count}; is there a {part} inside a text?")


def _even(rows):
    return len({len(row) for _, row in rows}) == 1


def _unquoted(field):
    match = _QUOTED.fullmatch(field)
    if match and ('""' in match[1] or not match[1]):  # quotes enclose what has quotes, or nothing
        return match[1].replace('""', '"')
    return field


def _csv_rows(lines, name, delimiter):
    reader, line = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True), 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{name}: line {line} cannot be read ({error}); put texts with separators or quotes in quotes, "
            "their own quotes doubled."
        ) from error
