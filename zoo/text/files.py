"""UTF-8 text (and UTF-16 that says so), plain or gzip, of files and of the standard input."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator

from zoo.errors import UserError
from zoo.files import gunzip, read_chunks


def read_data(path: str | os.PathLike) -> bytes:
    """The bytes of a file, or of the standard input for "-", unpacked where they are gzip.

    Raises:
        UserError: they cannot be read, are damaged, or unpack to more than any text does.
    """
    if path == "-":
        return gunzip(sys.stdin.buffer.read(), "standard input")
    return b"".join(read_chunks(path))


def read_text(path: str | os.PathLike) -> str:
    """The text of a file, or of the standard input for "-".

    Raises:
        UserError: as ``read_data``, or it is no text.
    """
    return decode_text(read_data(path), "standard input" if path == "-" else path)


def decode_text(data: bytes, name: str | os.PathLike) -> str:
    """The text of a file's bytes, gzip or not; a byte-order mark at its beginning is no part of it.

    UTF-16 is read where such a mark tells it, as Excel's "Unicode text" has one.

    Raises:
        UserError: they are no UTF-8, or more than one in a thousand is NUL; ``name`` begins its sentence.
    """
    data = gunzip(data, name)
    codec = _codec(data, name)
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if codec == "utf-16":
            raise UserError(f"{name}: this text is UTF-16; save it again, whole, or as UTF-8.") from error
        line = data.count(b"\n", 0, error.start) + 1
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise UserError(f"{name}: line {line} is not UTF-8 at its byte {byte}, {_TO_UTF8}.") from error


def is_utf16(path: str | os.PathLike, data: bytes | None = None) -> bool:
    """Whether a text has the mark of UTF-16; arguments and errors as ``stream_lines``."""
    start = next(read_chunks(path), b"") if data is None else gunzip(data, path)
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _codec(start, name):
    """The codec of a text by how it begins; UserError where it is none."""
    if is_utf16(name, start):
        return "utf-16"
    if start.startswith(b"PK\3\4"):
        raise UserError(
            f"{name}: this is packed, or a spreadsheet (.xlsx); unpack it, or save it as CSV (UTF-8)."
        )
    if 3 * start.count(b"\0") > len(start) and start.strip(b"\0"):
        raise UserError(f"{name}: this is no text, or UTF-16 that does not say so; save it as UTF-8.")
    if 1000 * start.count(b"\0") > len(start):  # a stray one is no more than a control character
        at = start.index(b"\0") + 1
        raise UserError(f"{name}: byte {at} is NUL, so this is no text; give text files alone.")
    return "utf-8-sig"


def split_lines(text: str) -> list[str]:
    r"""The lines of a text, without their ends: ``\n`` or ``\r\n``."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def stream_lines(path: str | os.PathLike, data: bytes | None = None) -> Iterator[str]:
    """Iterate over the lines of a file of any size; bytes that are no UTF-8 are there as surrogates.

    Args:
        path: the file, or what to call ``data`` in messages.
        data: bytes to be read in its place, gzip or not.

    Raises:
        UserError: as ``read_data``, when it comes to it, or its first MiB is no text.
    """
    decoder, rest = None, ""
    for chunk in read_chunks(path) if data is None else _parts(gunzip(data, path)):
        if decoder is None:
            codec = _codec(chunk, path)
            errors = "replace" if codec == "utf-16" else "surrogateescape"
            decoder = codecs.getincrementaldecoder(codec)(errors)
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line.removesuffix("\r") for line in lines)
    rest += decoder.decode(b"", final=True) if decoder else ""
    if rest:
        yield rest.removesuffix("\r")


def _parts(data, size=1 << 20):
    return (data[at : at + size] for at in range(0, len(data), size))


class Utf8Check:
    """Tells the lines of ``stream_lines`` that are not UTF-8, and a file of which they are many.

    Args:
        name: what to call the file in messages.
    """

    def __init__(self, name: str | os.PathLike) -> None:
        self.name, self.lines, self.bad, self.first = name, 0, 0, None

    def complaint(self, line: str, number: int) -> str | None:
        """A sentence on line ``number`` if it is not UTF-8, otherwise None."""
        self.lines += 1
        found = _NOT_UTF8.search(line)
        if not found:
            return None
        self.bad += 1
        at = len(line[: found.start()].encode("utf-8", "surrogateescape")) + 1
        place = f"line {number} is not UTF-8 at its byte {at}, {_TO_UTF8}"
        self.first = self.first or place
        return f"{self.name}: {place}."

    def end(self) -> None:
        """UserError if several, more than a tenth, were not: it is the file then, not a line of it."""
        if self.bad > 1 and 10 * self.bad > self.lines:
            raise UserError(f"{self.name}: {self.first}.")


_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_TO_UTF8 = "perhaps Latin-1; save it as UTF-8, or convert it with: iconv -f LATIN1 -t UTF-8"
