"""UTF-8 text, plain or gzip, of files and of the standard input."""

import codecs
import sys

from zoo.errors import UserError
from zoo.files import gunzip, read_chunks


def read_data(path):
    """The bytes of a file, or of the standard input for "-", unpacked where they are gzip.

    Raises:
        UserError: they cannot be read, are damaged, or unpack to more than any text does.
    """
    if path == "-":
        return gunzip(sys.stdin.buffer.read(), "standard input")
    return b"".join(read_chunks(path))


def read_text(path):
    """The text of a file, or of the standard input for "-".

    Raises:
        UserError: as ``read_data``, or it is no text.
    """
    return decode_text(read_data(path), "standard input" if path == "-" else path)


def decode_text(data, name):
    """The text of a file's bytes, gzip or not; a byte-order mark at its beginning is no part of it.

    Raises:
        UserError: they are no UTF-8, or more than one in a thousand is NUL; ``name`` begins its sentence.
    """
    data = gunzip(data, name)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{name}: this text is UTF-16; save it as UTF-8.")
    if 1000 * data.count(b"\0") > len(data):  # a stray one is no more than a control character
        at = data.index(b"\0") + 1
        raise UserError(f"{name}: byte {at} is NUL, so this is no text; give text files alone.")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise UserError(
            f"{name}: line {line} is not UTF-8 at its byte {byte}, perhaps Latin-1; save it as UTF-8, or "
            "convert it with: iconv -f LATIN1 -t UTF-8."
        ) from error


def split_lines(text):
    r"""The lines of a text, without their ends: ``\n`` or ``\r\n``."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def stream_lines(path):
    """Iterate over the lines of a file of any size; bytes that are no UTF-8 are there as surrogates.

    Raises:
        UserError: as ``read_data``, when it comes to it.
    """
    decoder, rest = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape"), ""
    for chunk in read_chunks(path):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line.removesuffix("\r") for line in lines)
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest.removesuffix("\r")
