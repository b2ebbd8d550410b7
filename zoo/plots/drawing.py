"""What pictures of results share: their font, and how they come to be a file."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageFont

from zoo.files import atomic_write

LINE_HEIGHT = 64  # pixels that a line is drawn high
LINE_WIDTH = 8000  # pixels of one at most; a longer line is drawn lower


def open_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, ``size`` pixels high; a box stands for what it lacks."""
    import matplotlib

    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)


def scaled_line(pixels: np.ndarray) -> tuple[Image.Image, float]:
    """A line image as pictures show it.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.

    Returns:
        An RGB image, and how many of its pixels one of the given is.
    """
    height, width = pixels.shape[:2]
    scale = min(LINE_HEIGHT / height, LINE_WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.asarray(pixels))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def save(picture: Any, path: str | os.PathLike) -> None:
    """Write a PIL image or a matplotlib figure as a PNG file, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a box stands for what the font lacks
        if isinstance(picture, Image.Image):
            picture.save(file, "PNG")
        else:
            picture.savefig(file, format="png", dpi=110)
