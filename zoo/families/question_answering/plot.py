"""A picture of a story: a line for each sentence, and how much each hop looked at it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save
from zoo.plots.words import FONT, FOR, LINE, MARGIN, shortened

CELL = 56  # pixels of a hop's cell, wide
WIDEST = 1600  # pixels of a picture


def draw_sentences(
    title: str, sentences: Sequence[str], looked_at: np.ndarray, path: str | os.PathLike
) -> None:
    """Draws sentences below each other, before each a cell for each hop, the darker the more it got.

    Args:
        title: str, above.
        sentences: list of str.
        looked_at: float ``[hops, sentences]``, 0 to 1.
        path: the PNG file to write.

    Raises:
        UserError: the file cannot be written.
    """
    font, bold = open_font(FONT), open_font(FONT, bold=True)
    hops = len(looked_at)
    left = MARGIN + hops * CELL + MARGIN
    rows = [shortened(f"{i}  {one}", font, WIDEST - left - MARGIN) for i, one in enumerate(sentences, 1)]
    title = shortened(title, bold, WIDEST - 2 * MARGIN)
    width = int(max(left + max(map(font.getlength, rows)), MARGIN + bold.getlength(title))) + MARGIN
    top = MARGIN + 2 * LINE
    sheet = Image.new("RGB", (width, top + len(rows) * LINE + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, "black", bold)
    for hop in range(hops):
        pen.text((MARGIN + hop * CELL + 4, MARGIN + LINE), f"hop {hop + 1}", "grey", open_font(FONT * 3 // 4))
    for place, row in enumerate(rows):
        high = top + place * LINE
        for hop, weight in enumerate(looked_at[:, place]):
            x = MARGIN + hop * CELL
            pen.rectangle((x, high, x + CELL - 4, high + LINE - 6), _shade(weight))
            if weight >= 0.01:
                pen.text((x + 8, high + 4), f".{min(99, round(100 * weight)):02d}", _ink(weight), font)
        mean = looked_at[:, place].mean()
        pen.rectangle((left - 4, high, left + font.getlength(row) + 4, high + LINE - 6), _shade(mean))
        pen.text((left, high + 3), row, _ink(mean), font)
    save(sheet, path)


def _shade(weight):
    return tuple(np.rint(255 + min(1.0, float(weight)) * (FOR - 255.0)).astype(int).tolist())


def _ink(weight):
    return "white" if weight > 0.6 else "black"
