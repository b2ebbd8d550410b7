"""Line images as ``export.runtime`` reads them, for corpora."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from export import runtime
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

LOWEST_PAGE = 64  # pixels; four lines of 16, and what is lower cannot be read


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a ReaderError into the UserError that the rest of the package expects."""
    try:
        yield
    except runtime.ReaderError as error:
        raise UserError(f"{error}.") from error


@user_errors()
def read_image(item: Any, name: str | None = None, photographs: bool = False) -> np.ndarray:
    """``export.runtime.read_image`` with a UserError where that raises ReaderError."""
    return runtime.read_image(item, name, photographs=photographs)


@user_errors()
def read_strip(item: Any, name: str | None = None) -> np.ndarray:
    """``read_image`` for lines with more on them than writing, which may look like a page that it is none.

    Raises:
        UserError: it cannot be read, or looks like none and is high enough for several lines.
    """
    pixels = runtime.read_image(item, name, check=False)
    if len(pixels) > LOWEST_PAGE and (problem := runtime.no_line(pixels)):
        raise runtime.ReaderError(f"{runtime.image_name(item, name)}: this looks like {problem}")
    return pixels


def read_written(item: Any, name: str | None = None) -> np.ndarray:
    """``read_image`` for what has a transcript: UserError where nothing is written, too.

    A photograph with one shows text, on a sign, a label or a licence plate.
    """
    pixels = read_image(item, name, photographs=True)
    if runtime.is_blank(pixels):
        raise UserError(f"{runtime.image_name(item, name)}: nothing is written in it; scan or cut it again.")
    return pixels
