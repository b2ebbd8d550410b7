"""Text files of corpora, plain or gzipped: their bytes, their lines, and what is told of bad ones."""

import gzip
import zlib

from zoo.errors import UserError

GZIP = b"\x1f\x8b"  # what such a file begins with


def read_file(path):
    """The bytes of a file. Raises UserError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path, error):
    """The UserError on a file of which reading or unpacking raised ``error``."""
    if getattr(error, "errno", None):
        return UserError(f"{path}: cannot be read ({error.strerror.lower()}).")
    return UserError(f"{path}: this file is truncated or damaged; copy or download it again.")


def lines_of(data, name):
    """The lines of a text file, given its bytes, gzipped or not.

    Raises:
        UserError: it is damaged, or not UTF-8.
    """
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, OSError) as error:
            raise unreadable(name, error) from error
    try:
        lines = data.decode().removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise UserError(f"{name}: line {line} is not UTF-8 at its byte {byte}; save it as UTF-8.") from error
    if not lines[-1]:
        lines.pop()
    return lines
