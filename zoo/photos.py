"""Photos of any kind and size as the squares of RGB pixels that image encoders see.

Training, evaluation and reading take their pixels from ``read_photo`` alone, so that they see the same.
"""

import contextlib
import io
import os

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from zoo.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 1 << 26  # decoded at a time, of at most 4 bytes, with a copy or two: below a gigabyte
_FORMATS = ("PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # beside JPEG; none that runs a program, as EPS does
_MEND = f"; scale it down to {MAX_PIXELS // 10**6} million or save it as a baseline JPEG."
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation


def read_photo(item, size, name=None):
    """Read one photo, turned upright as its EXIF says and stretched to a square.

    Sizes change by bilinear interpolation with antialiasing. Large JPEGs are decoded at a half, a quarter or
    an eighth, so that their size is no matter; other images have at most ``MAX_PIXELS`` pixels.

    Args:
        item: a path, the bytes of a file (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM), a PIL image, or a uint8
            array ``[height, width]`` or ``[height, width, 1 or 3]``.
        size: side of the square in pixels.
        name: what to call it in messages.

    Returns:
        uint8 ``[size, size, 3]``, RGB. Transparent images are laid on white, of animated ones the first
        frame counts, 16 bits are scaled to 8.

    Raises:
        UserError: it is missing, empty, damaged, no image, or too large.
    """
    if isinstance(item, np.ndarray):
        name = name or "the array"
        return _square(_picture(item, name), size, name)
    if isinstance(item, Image.Image):
        return _square(item, size, name or "the image")
    name = name or _name(item)
    with _opened(item, size, name) as picture:
        return _square(picture, size, name)


def photo_as_jpeg(item, size, name=None):
    """What ``read_photo`` gives, as the bytes of an RGB JPEG file.

    Args:
        item: a path or the bytes of a file. One that is such a JPEG already stays as it is.
        size, name: as of ``read_photo``.

    Raises:
        UserError: as ``read_photo``.
    """
    pixels = read_photo(item, size, name)
    with _opened(item, size, name or _name(item)) as picture:
        stays = isinstance(picture, JpegImageFile) and picture.mode == "RGB" and picture.size == (size, size)
        if stays and _turn(picture) is None:
            picture.fp.seek(0)
            return picture.fp.read()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=95, subsampling=0)
    return file.getvalue()


def _name(item):
    return "the bytes" if isinstance(item, bytes) else os.fspath(item)


def _picture(array, name):
    """A PIL image of a uint8 array ``[height, width]`` or ``[height, width, 1 or 3]``."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)):
        raise UserError(
            f"{name} is {array.dtype} of shape {array.shape}; give uint8 of shape [height, width] or "
            "[height, width, 3]."
        )
    _check_size(array.shape[1], array.shape[0], name)
    return Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)


@contextlib.contextmanager
def _opened(item, size, name):
    """The PIL image of a path or of bytes, not yet decoded; a large JPEG at what scale is enough."""
    try:
        file = io.BytesIO(item) if isinstance(item, bytes) else open(item, "rb")
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror.lower()}); check the path.") from error
    with file:
        start = file.read(2)
        file.seek(0)
        if not start:
            raise UserError(f"{name}: the file is empty; copy it again.")
        try:
            # Pillow's own limit is for images that are decoded whole: JPEGs pass it by.
            picture = JpegImageFile(file) if start == b"\xff\xd8" else Image.open(file, formats=_FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(f"{name}: the image has too many pixels{_MEND}") from error
        except Exception as error:  # Pillow raises what comes to hand on damaged data
            raise UserError(f"{name}: not a readable image; give a JPEG, PNG, WebP or TIFF file.") from error
        if isinstance(picture, JpegImageFile):
            if "progressive" in picture.info:  # libjpeg keeps the coefficients of all of it
                _check_size(*picture.size, name)
            picture.draft(None, (2 * size, 2 * size))
        yield picture


def _check_size(width, height, name):
    if not width or not height:
        raise UserError(f"{name}: the image is empty ({width}x{height} pixels); copy it again.")
    if width * height > MAX_PIXELS:
        raise UserError(f"{name}: {width}x{height} pixels are too many{_MEND}")


def _square(picture, size, name):
    _check_size(*picture.size, name)  # the header tells: nothing is decoded that is too large
    try:
        picture.load()
        square = _eight_bits(picture).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        turn = _turn(picture)
        if turn is not None:  # of a square this is the same after stretching, and cheaper
            square = square.transpose(turn)
        if square.mode == "RGBA":
            square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
        return np.asarray(square.convert("RGB"))
    except Exception as error:
        raise UserError(f"{name}: the image is damaged ({error}); copy it again.") from error


def _eight_bits(picture):
    """The picture in mode L, RGB or RGBA."""
    if picture.mode.startswith(("I", "F")):  # 16 and 32 bits; of the latter the values tell what is white
        if picture.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
        values = np.array(picture, np.float32)
        peak = values.max()
        tops = (1, 255, 65535) if picture.mode == "F" else (255, 65535)
        white = next((top for top in tops if peak <= top), peak)
        values *= 255 / white
        return Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _turn(picture):
    """How to transpose a decoded picture for it to stand upright, or None. Pillow itself turns TIFFs."""
    try:
        return _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # EXIF that cannot be read says nothing
        return None
