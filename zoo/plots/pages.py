"""A page over which its lines, their order and doubtful words are drawn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save

if TYPE_CHECKING:
    import numpy as np

    from zoo.formats.pages import Page

WIDTH = 1600  # pixels of the picture, at most
DOUBTFUL = 0.8  # words that are less sure are marked
LINE, DOUBT, REGION = "#1f77b4", "#d62728", "#2ca02c"


def draw(pixels: np.ndarray, page: Page, path: str | os.PathLike) -> None:
    """Draws a page as a PNG file.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        page: the ``zoo.formats.pages.Page`` that was read in it; its ``size`` may be another.
        path: the file to write.

    Raises:
        UserError: the file cannot be written.
    """
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    image.thumbnail((WIDTH, 4 * WIDTH))
    image = Image.blend(image, Image.new("RGB", image.size, "white"), 0.25)
    pen = ImageDraw.Draw(image, "RGBA")
    size = page.size or pixels.shape[1::-1]
    across, down = image.width / size[0], image.height / size[1]
    font = open_font(max(10, image.width // 90))

    def corners(polygon):
        return [(float(x) * across, float(y) * down) for x, y in polygon]

    number = 0
    for region in page.regions:
        if len(region.polygon) > 2:
            pen.polygon(corners(region.polygon), outline=REGION, width=2)
        for line in region.lines:
            number += 1
            if len(line.polygon) > 2:
                pen.polygon(corners(line.polygon), outline=LINE)
            for word in line.words:
                if word.confidence is not None and word.confidence < DOUBTFUL:
                    pen.polygon(corners(word.polygon), fill=f"{DOUBT}50", outline=DOUBT)
            place = corners(line.polygon if len(line.polygon) else line.baseline)
            if place:
                x, y = place[0]
                pen.text((x - 4, y), str(number), fill=LINE, font=font, anchor="ra" if x > 30 else "la")
    save(image, path)
