"""What goes into ``zoo predict``, from files and standard input, and what comes out: the formats."""

from __future__ import annotations

import codecs
import collections
import csv
import glob
import io
import itertools
import json
import os
import posixpath
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from zoo import files
from zoo.errors import UserError
from zoo.formats.tables import check_named, is_table, open_table
from zoo.text.files import stream_lines

TEXTS = (".txt", ".text", ".md")  # what is read of a folder of texts, besides tables; also such .gz
PATIENCE = 0.02  # seconds to wait for more before what has come is read
LARGEST = 1 << 30  # bytes of one file on standard input

# === Input ===


class Feed:
    """The inputs of a reader, one after the other, and what each of them is called.

    Args:
        items: an iterable of ``(name, input)``. A UserError that it raises ends the inputs.
        waiting: a function that tells whether the next one is there, or that there is none; None where it
            always is.

    Attributes:
        names: a queue of the names of inputs that were given out; in the place of one that could not be read
            there is the UserError, and the reader got an empty one.
        error: the UserError that ended the inputs, or None.
    """

    def __init__(self, items: Iterable, waiting: Callable[[], bool] | None = None) -> None:
        self._items, self._waiting = iter(items), waiting
        self.names, self.error = collections.deque(), None

    def __iter__(self):
        return self

    def __next__(self):
        try:
            name, item = next(self._items)
        except UserError as error:
            self.error = error
            raise StopIteration from None
        self.names.append(name)
        return item

    def waiting(self) -> bool:
        """False where the next input may be long in coming: time to read those that are there."""
        return self._waiting is None or self._waiting()


def paths(arguments: Sequence[str], suffixes: Sequence[str], part_suffixes: Sequence[str] = ()) -> Feed:
    """A ``Feed`` of files: their paths and, for "-", what is on standard input.

    That is a path a line, or the bytes of one file, which is called "-" then. What is the name of a folder
    or a pattern stands for files, see ``expanded``.
    """
    stdin = StandardInput()

    def items():
        for argument in arguments:
            if argument != "-":
                yield from ((path, path) for path in expanded(argument, suffixes, parts=part_suffixes))
            elif _is_file(stdin.start()):
                yield "-", stdin.whole()
            else:
                for line in stdin.lines(blank=False):
                    yield from ((path, path) for path in expanded(line, suffixes, parts=part_suffixes))

    return Feed(items(), stdin.waiting)


def texts(
    arguments: Sequence[str], columns: Any, named: dict[str, str] | None = None
) -> Iterator[tuple[str, Feed]]:
    """Iterate over ``(name, feed)``: the lines of text files, plain or gzip, and of standard input for "-".

    Each feed is a ``Feed`` of str that are their own names; bytes that are no UTF-8 are there as surrogates.

    Args:
        arguments: files, folders and patterns. Of tables, by the names of files, each row is a text.
        columns: ``{what: names}``, the usual names of the column with the texts; of several the last, and
            an input is a dict with what there is of all.
        named: ``{what: column}``, the one that a person named: all are tables, and standard input, too.
    """
    for argument in arguments:
        if argument == "-":
            stdin = StandardInput()
            if named:
                yield "standard input", Feed(_rows("standard input", columns, named, stdin))
            else:
                yield "standard input", Feed(_named(_text(stdin)), stdin.waiting)
            continue
        for path in expanded(argument, TEXTS, tables=True):
            rows = _rows(path, columns, named) if named or is_table(path) else _named(stream_lines(path))
            yield path, Feed(rows)


def _rows(path, columns, named, stdin=None):
    """``(name, text)`` of the rows of a table."""
    skipped, data = [], None
    if stdin:
        data = files.gunzip(stdin.whole(), path)
    table = open_table(path, skipped, data)
    *others, what = columns

    def bad():
        while skipped:
            yield UserError(skipped.pop(0).rstrip(".")), ""

    for _, _, row in table.pick(columns, others, check_named(named, columns), free=[what]):
        yield from bad()
        yield row[what], row if others else row[what]
    yield from bad()


def _text(stdin):
    """The lines of standard input, which is refused where it is no text."""
    start = stdin.start()
    if start.startswith(_PACKED):  # to be read as a whole
        yield from stream_lines("standard input", stdin.whole())
    elif _FILE.match(start) or 1000 * start.count(b"\0") > len(start):
        raise UserError("standard input: this is no UTF-8 text; give text alone")
    else:
        yield from stdin.lines()


def _named(lines):
    return ((line, line) for line in lines)


def expanded(
    argument: str, suffixes: Sequence[str], tables: bool = False, parts: Sequence[str] = ()
) -> list[str]:
    """The paths that an argument stands for: list of str.

    Of a folder these are the files with ``suffixes`` in it and below, and ``tables`` if asked for; of a
    pattern those that it matches, in the order of their names. What is neither, or stands for nothing, is its
    own only path. So is a folder in which there are files that end as ``parts`` say, which are one input.
    """
    if os.path.isdir(argument):
        try:
            names = files.names_in(argument)
            whole = {posixpath.dirname(name) for name in names if parts and _ends(name, parts)}
            names = [name for name in names if _ends(name, suffixes) or (tables and is_table(name))]
            names = sorted([*names, *whole])
        except UserError:  # see ``told``
            names = []
        return [os.path.join(argument, name).rstrip("/") for name in names] or [argument]
    if glob.has_magic(argument) and not os.path.lexists(argument):
        found = sorted(glob.glob(argument, recursive=True))
        return [path for one in found for path in expanded(one, suffixes, tables, parts)] or [argument]
    return [argument]


def told(
    name: str | None, error: UserError, suffixes: Sequence[str], reads: str, part_suffixes: Sequence[str] = ()
) -> UserError:
    """What to tell of an input that a reader could not read: its error, or one that knows what was given.

    Args:
        name: what ``paths`` calls the input.
        error: the reader's UserError.
        suffixes, reads, part_suffixes: those of the reader.
    """
    if name is None:
        return error
    if name == "-":  # readers have words of their own for bytes
        return UserError(f"standard input: {str(error).partition(': ')[2] or error}")
    if os.path.isdir(name):
        try:
            names = files.names_in(name)
        except UserError as error:
            return error
        if part_suffixes and any(_ends(name, part_suffixes) for name in names):
            return error
        there = f"holds {', '.join(names[:3])}{', …' * (len(names) > 3)}" if names else "is empty"
        return UserError(
            f"{name}: this folder {there}, no {reads} by their names; give one with NAME{suffixes[0]}"
        )
    if glob.has_magic(name) and not os.path.lexists(name):
        return UserError(f"{name}: no file matches this pattern; check it")
    return error


def _ends(name, suffixes):
    return name.lower().removesuffix(".gz").endswith(suffixes)


# What begins files that may have no NUL at their beginning, which paths have nowhere.
_FILE = re.compile(rb"P[1-7]\s+(#.*\n|\s)*\d+\s+\d|%PDF|%!PS|\x89PNG|\xff\xd8\xff|GIF8|RIFF|fLaC|OggS|ID3")
_PACKED = b"\x1f\x8b", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE  # gzip; a text that is UTF-16


def _is_file(start):
    return b"\0" in start or bool(_FILE.match(start))


class StandardInput:
    """Standard input, read as it comes."""

    def __init__(self) -> None:
        self._read, self._number = None, None
        self._lines, self._rest, self._ended = collections.deque(), [], False
        self._first, self._active, self._blank = None, False, True

    def start(self) -> bytes:
        """The first bytes, as many as have come; they stay there to be read."""
        if self._first is None:
            self._first = self._take()
        return self._first

    def whole(self) -> bytes:
        """All bytes. Raises UserError where they are more than any file that is read."""
        parts, size = [], 0
        while part := self._take():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise UserError(f"standard input: it is larger than {LARGEST >> 20} MiB; give a file")
        return b"".join(parts)

    def parts(self) -> Iterator[bytes]:
        """Iterate over all bytes, in parts as they come."""
        while part := self._take():
            yield part

    def lines(self, blank: bool = True) -> Iterator[str]:
        """Iterate over the lines, with or without blank ones, which end with ``\\n`` or ``\\r\\n``."""
        self._blank, self._active = blank, True
        for number in itertools.count():
            while not self._lines and not self._ended:
                self._fill()
            if not self._lines:
                break
            line = self._lines.popleft().decode(errors="surrogateescape")
            yield line.removeprefix("\ufeff") if number == 0 else line  # which some editors begin a text with
        self._active = False

    def waiting(self) -> bool:
        """Whether a line is there, or the end, or all that is asked for is elsewhere."""
        if not self._active:
            return True
        while not self._lines and not self._ended and self._is_ready():
            self._fill()
        return bool(self._lines or self._ended)

    def _fill(self):
        data = self._take()
        if not data:
            self._ended, lines = True, [b"".join(self._rest)]
            lines = lines if lines[0] else []
        else:
            head, *lines = data.split(b"\n")
            self._rest.append(head)
            if lines:
                head, self._rest = b"".join(self._rest), [lines.pop()]
                lines.insert(0, head)
        lines = (line.removesuffix(b"\r") for line in lines)
        self._lines += [line for line in lines if line or self._blank]

    def _take(self):
        if self._first:
            data, self._first = self._first, b""
            return data
        if self._read is None:
            self._open()
        return self._read()

    def _open(self):
        if sys.stdin is None:
            raise UserError("standard input: it is closed; give files")
        try:
            # Not through Python's buffers, behind which nobody sees whether something has come.
            self._number = sys.stdin.buffer.fileno()
            self._read = lambda: os.read(self._number, 1 << 16)
        except (AttributeError, io.UnsupportedOperation):  # something put in place of the real one
            whole = getattr(sys.stdin, "buffer", sys.stdin).read()
            whole = whole.encode(errors="surrogateescape") if isinstance(whole, str) else whole
            self._read = iter([whole, *itertools.repeat(b"", 9)]).__next__

    def _is_ready(self):
        if self._number is None or self._first:
            return True
        try:
            return bool(select.select([self._number], [], [], PATIENCE)[0])
        except (OSError, ValueError):  # Windows selects among sockets alone
            return False


# === Output ===

# All at which some program ends a line, and blanks in their place.
_LINE_ENDS = dict.fromkeys(map(ord, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # in JSON as \uXXXX


class Text:
    """Just the texts, one a line.

    Args:
        n_best: so many lines for each input, with the score, a tab and the text of each hypothesis; empty
            ones where there are fewer. None: the text alone.
        aligned: inputs are lines of text, and what could not be read is empty lines, too.
    """

    def __init__(self, n_best: int | None = None, aligned: bool = False) -> None:
        self.n_best, self.aligned = n_best, aligned

    def add(self, item: Any, result: Any) -> None:
        lines = self.lines(result)
        print("\n".join(lines + [""] * ((self.n_best or 1) - len(lines))))

    def lines(self, result: Any) -> list[str]:
        lines = [getattr(result, "line", result.text)]
        if self.n_best is not None:
            lines = [f"{score:.4f}\t{text}" for text, score in result.hypotheses]
        return [line.translate(_LINE_ENDS) for line in lines]

    def fail(self, item: Any, error: UserError | str) -> None:
        """An input could not be read."""
        if self.aligned:
            print("\n" * ((self.n_best or 1) - 1))

    def lose(self, name: str, error: UserError | str) -> None:
        """A file could not be read, or not to its end, so that nobody knows its further inputs."""

    def end(self) -> None:
        pass


class Tsv(Text):
    """Input and text, a tab between; of several hypotheses input, score and text."""

    def add(self, item: Any, result: Any) -> None:
        for line in self.lines(result):
            print(f"{_cell(item)}\t{line}")

    def fail(self, item: Any, error: UserError | str) -> None:
        if self.aligned:
            print(f"{_cell(item)}\t")


class Csv(Text):
    """A table for spreadsheets: input, text and confidence; of several hypotheses input, text and score.

    What could not be read is there with nothing beside it.
    """

    header = None

    def add(self, item: Any, result: Any) -> None:
        if self.n_best is None:
            self._write((item, result.text, f"{result.confidence:.4f}"))
        else:
            self._write(*((item, text, f"{score:.4f}") for text, score in result.hypotheses))

    def fail(self, item: Any, error: UserError | str) -> None:
        self._write((item, "", ""))

    def end(self) -> None:
        self._write()

    def _write(self, *rows):
        if self.header is None:
            self.header = "input", "text", "confidence" if self.n_best is None else "score"
            rows = self.header, *rows
        for row in rows:
            line = io.StringIO(newline="")
            csv.writer(line).writerow(row)  # ends with \r\n, or else it would not quote \r
            print(line.getvalue().removesuffix("\r\n"))


class Json(Text):
    """One list of objects, written as it grows."""

    start = "["

    def add(self, item: Any, result: Any) -> None:
        print(self.start + dumped(self.about(item, result)), end="")
        self.start = ",\n "

    def about(self, item: Any, result: Any) -> dict[str, Any]:
        about = {"input": item} | result.to_json()
        if self.n_best is not None:
            about["hypotheses"] = [{"text": text, "score": round(s, 4)} for text, s in result.hypotheses]
        return about

    def fail(self, item: Any, error: UserError | str) -> None:
        pass

    def end(self) -> None:
        print("[]" if self.start == "[" else "]")


class Jsonl(Json):
    """An object a line, as soon as its input is read; ``error`` instead of the result of a bad one."""

    def add(self, item: Any, result: Any) -> None:
        print(dumped(self.about(item, result)))

    def fail(self, item: Any, error: UserError | str) -> None:
        print(dumped({"input": item, "error": str(error)}))

    def lose(self, name: str, error: UserError | str) -> None:
        self.fail(name, error)

    def end(self) -> None:
        pass


def _cell(text):
    return text.translate(_LINE_ENDS).replace("\t", " ")


def dumped(about: dict[str, Any]) -> str:
    """JSON with the characters as they are, but for those at which some program ends a line."""
    text = json.dumps(about, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
