"""A line image over a band with a colour for each pixel column, and what its segments are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save, scaled_line

if TYPE_CHECKING:
    import numpy as np

    from zoo.families.script_tagger.reader import Tagging

LEAST = 420  # pixels of a picture at least, so that there is room for words
FONT = 18  # pixels
MARGIN = 12  # pixels
BAND = 10  # pixels that the coloured columns are high
COLOURS = ("#1f77b4", "#e6781e", "#7f7f7f", "#2ca02c", "#9467bd", "#d62728", "#17becf", "#bcbd22")


def draw(pixels: np.ndarray, tagging: Tagging, names: Sequence[str], path: str | os.PathLike) -> None:
    """Draws a line image and the class of each of its columns, as a PNG file.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        tagging: the ``zoo.families.script_tagger.reader.Tagging`` of it.
        names: of all classes, the background first; each has its colour.
        path: the file to write.

    Raises:
        UserError: the file cannot be written.
    """
    image, scale = scaled_line(pixels)
    font = open_font(FONT)
    lines = [_segment(one) for one in tagging.segments] or ["nothing but background"]
    room = max(font.getlength(line) for line in lines) + FONT + MARGIN
    top = MARGIN + image.height + 4
    bottom = top + BAND + MARGIN + len(lines) * (FONT + 6)
    sheet = Image.new("RGB", (max(image.width, int(room), LEAST) + 2 * MARGIN, bottom + MARGIN), "white")
    sheet.paste(image, (MARGIN, MARGIN))
    pen = ImageDraw.Draw(sheet)
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names[1:])}
    for i, one in enumerate(tagging.segments):
        left, right = MARGIN + one.first * scale, MARGIN + (one.last + 1) * scale - 1
        pen.rectangle((left, top, max(left, right), top + BAND), fill=colour[one.script])
        y = top + BAND + MARGIN + i * (FONT + 6)
        pen.rectangle((MARGIN, y + 4, MARGIN + 12, y + 16), fill=colour[one.script])
        pen.text((MARGIN + FONT, y), lines[i], fill="black", font=font)
    if not tagging.segments:
        pen.text((MARGIN, top + BAND + MARGIN), lines[0], fill="black", font=font)
    save(sheet, path)


def _segment(one):
    text = f": {one.text}" if one.text else ""
    return f"{one.script}, columns {one.first} to {one.last}, {one.confidence:.0%} sure{text}"
