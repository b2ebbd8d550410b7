"""A line image over what was read in it, each character below its columns, doubtful ones marked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save, scaled_line

if TYPE_CHECKING:
    import numpy as np

    from export.runtime import Line

FONT = 22  # pixels
MARGIN = 12  # pixels
DOUBTFUL = 0.8  # characters that are less sure are marked


def draw(pixels: np.ndarray, line: Line, path: str | os.PathLike) -> None:
    """Draws a line image and the characters found in it, as a PNG file.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        line: the ``export.runtime.Line`` that was read in it.
        path: the file to write.

    Raises:
        UserError: the file cannot be written.
    """
    image, scale = scaled_line(pixels)
    sheet = Image.new("RGB", (image.width + 2 * MARGIN, image.height + 4 * MARGIN + 2 * FONT), "white")
    sheet.paste(image, (MARGIN, MARGIN))
    pen, font = ImageDraw.Draw(sheet), open_font(FONT)
    top = image.height + MARGIN
    for i, (character, start, end, sure) in enumerate(line.characters):
        left, right = MARGIN + start * scale, MARGIN + end * scale
        colour = ("#1f77b4", "#4a4a4a")[i % 2]  # neighbours are told apart
        if sure < DOUBTFUL:
            colour = "#d62728"
            width = max(font.getlength(character), 6) / 2 + 2
            middle = (left + right) / 2
            pen.rectangle((middle - width, top + MARGIN, middle + width, top + MARGIN + FONT), fill="#fad4d4")
        pen.rectangle((left, top + 3, max(left + 1, right), top + 6), fill=colour)
        pen.text(((left + right) / 2, top + MARGIN), character, fill=colour, font=font, anchor="ma")
    about = f"{line.text}   ({line.confidence:.0%} sure)" if line.text else "nothing was read"
    pen.text((MARGIN, top + 2 * MARGIN + FONT), about, fill="black", font=font)
    save(sheet, path)
