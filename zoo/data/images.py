"""Line images: from a file of any kind to grey or RGB pixels."""

import io
from pathlib import Path

import numpy as np

from zoo.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MIN_HEIGHT = 8  # pixels; lower than this no letter can be told from another
MAX_ASPECT = 250  # width / height; the longest lines of print stay below 100


def read_image(item, name=None):
    """Read one line image.

    Args:
        item: a path, the bytes of a file, a PIL image, or a uint8 array ``[height, width]`` or
            ``[height, width, 1 or 3]``.
        name: what to call it in messages.

    Returns:
        uint8 ``[height, width, 1]`` (grey) or ``[height, width, 3]`` (RGB). Transparent images are laid
        on white, 16-bit ones scaled to 8.

    Raises:
        UserError: it is no image, is damaged, or cannot be one line of text.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(item, np.ndarray):
        return check_line(_as_pixels(item, name or "the array"), name or "the array")
    if isinstance(item, Image.Image):
        name, picture = name or "the image", item
    else:
        name = name or str(item)
        try:
            if isinstance(item, bytes):
                picture = Image.open(io.BytesIO(item))
            else:
                picture = Image.open(Path(item))
        except FileNotFoundError as error:
            raise UserError(f"{name}: there is no such file; check the path.") from error
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise UserError(f"{name}: not a readable image; give a PNG, JPEG or TIFF file.") from error
    # The header tells the size: nothing is decoded that cannot be a line.
    _check_size(picture.height, picture.width, name)
    try:
        return check_line(_pixels(picture), name)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{name}: the image is damaged ({error}); scan or copy it again.") from error


def _pixels(picture):
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # 16 and 32 bits: scaled by what the values span
        values = np.asarray(picture, np.float32)
        top = 65535.0 if picture.mode.startswith("I") and values.max(initial=0) > 255 else 255.0
        return np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)[:, :, None]
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"), np.uint8)[:, :, None]
    return np.asarray(picture.convert("RGB"), np.uint8)


def _as_pixels(array, name):
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.dtype != np.uint8:
        raise UserError(
            f"{name} is {array.dtype} of shape {array.shape}; give uint8 of shape [height, width] or "
            "[height, width, 3]."
        )
    return array


def check_line(pixels, name):
    """Return ``pixels`` if they can be a line of text; raise UserError otherwise."""
    _check_size(pixels.shape[0], pixels.shape[1], name)
    return pixels


def _check_size(height, width, name):
    if not width or not height:
        raise UserError(f"{name}: the image is empty ({width}x{height} pixels); cut the line again.")
    if height < MIN_HEIGHT:
        raise UserError(
            f"{name}: {height} pixels high, too low to read; give lines at least {MIN_HEIGHT} pixels high."
        )
    if width > MAX_ASPECT * height:
        raise UserError(
            f"{name}: {width}x{height} pixels is longer than a line of text; cut it into single lines."
        )


def pad_images(pixels):
    """Put images into one batch.

    Args:
        pixels: uint8 arrays ``[height, width, 1 or 3]``.

    Returns:
        ``(image, size)``: uint8 ``[batch, height, width, channels]`` padded at right and bottom, with 3
        channels if any has, and int32 ``[batch, 2]``.
    """
    size = np.array([image.shape[:2] for image in pixels], np.int32)
    channels = max(image.shape[2] for image in pixels)
    batch = np.zeros((len(pixels), *size.max(0), channels), np.uint8)
    for row, image in zip(batch, pixels, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return batch, size
