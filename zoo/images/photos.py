"""Photos of any kind and size as the squares of RGB pixels that image encoders see.

Training, evaluation and reading take their pixels from ``read_photo`` alone, so that they see the same.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from export import runtime
from zoo.images.lines import user_errors

SMALLEST = 8  # pixels of a side; in fewer nothing is to be seen
_MEND = f"scale it down to {runtime.MAX_PIXELS // 10**6} million or save it as a baseline JPEG"


@user_errors()
def read_photo(item: Any, size: int, name: str | None = None) -> np.ndarray:
    """Read one photo, turned upright as its EXIF says and stretched to a square.

    Sizes change by bilinear interpolation with antialiasing. Large JPEGs are decoded at a half, a quarter or
    an eighth, so that their size is no matter; other images have at most ``runtime.MAX_PIXELS`` pixels.

    Args:
        item: a path, the bytes of a file of ``runtime.IMAGE_FORMATS``, a PIL image, or a uint8 array
            ``[height, width]`` or ``[height, width, 1 or 3]``.
        size: side of the square in pixels.
        name: what to call it in messages.

    Returns:
        uint8 ``[size, size, 3]``, RGB. Transparent images are laid on white, or on black where what they show
        is light; of animated ones the first frame counts, 16 bits are scaled to 8.

    Raises:
        UserError: it is missing, empty, damaged, no image, too large, or smaller than ``SMALLEST``.
    """
    name = runtime.image_name(item, name)
    with _opened(item, size, name) as picture, runtime.damage(name):
        if min(picture.size) < SMALLEST:
            raise runtime.ReaderError(
                f"{name}: nothing is to be seen in {picture.width}x{picture.height} pixels; give a photo of "
                f"{SMALLEST}x{SMALLEST} or more"
            )
        picture.load()
        square = runtime.eight_bits(picture)
        square = square.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        turn = runtime.upright(picture)
        if turn is not None:  # of a square this is the same after stretching, and cheaper
            square = square.transpose(turn)
        return np.asarray(runtime.opaque(square).convert("RGB"))


@user_errors()
def photo_as_jpeg(item: Any, size: int, name: str | None = None) -> bytes:
    """What ``read_photo`` gives, as the bytes of an RGB JPEG file.

    Args:
        item: a path or the bytes of a file. One that is such a JPEG already stays as it is.
        size, name: as of ``read_photo``.

    Raises:
        UserError: as ``read_photo``.
    """
    pixels = read_photo(item, size, name)
    with _opened(item, size, runtime.image_name(item, name)) as picture:
        stays = isinstance(picture, JpegImageFile) and picture.mode == "RGB" and picture.size == (size, size)
        if stays and runtime.upright(picture) is None:
            picture.fp.seek(0)
            return picture.fp.read()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=95, subsampling=0)
    return file.getvalue()


@contextlib.contextmanager
def _opened(item, size, name):
    """The PIL image of what ``read_photo`` takes, not yet decoded; a large JPEG at what scale is enough."""
    if isinstance(item, np.ndarray):
        pixels = runtime.checked_array(item, name, _MEND)
        yield Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return
    with runtime.open_image(item, name, _MEND) as picture:
        if isinstance(picture, JpegImageFile) and picture is not item:
            if "progressive" in picture.info:  # libjpeg keeps the coefficients of all of it
                runtime.check_pixels(*picture.size, name, _MEND)
            picture.draft(None, (2 * size, 2 * size))
        runtime.check_pixels(*picture.size, name, _MEND)  # the header tells: nothing larger is decoded
        yield picture
