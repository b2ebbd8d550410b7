"""Line images as ``export.runtime`` reads them, for corpora."""

import contextlib

from export import runtime
from zoo.errors import UserError


@contextlib.contextmanager
def user_errors():
    """Turn a ReaderError into the UserError that the rest of the package expects."""
    try:
        yield
    except runtime.ReaderError as error:
        raise UserError(f"{error}.") from error


@user_errors()
def read_image(item, name=None):
    """``export.runtime.read_image`` with a UserError where that raises ReaderError."""
    return runtime.read_image(item, name)


def read_written(item, name=None):
    """``read_image`` for what has a transcript: UserError where nothing is written, too."""
    pixels = read_image(item, name)
    if runtime.is_blank(pixels):
        raise UserError(f"{runtime.image_name(item, name)}: nothing is written in it; scan or cut it again.")
    return pixels
