"""Pictures of texts, each word on a colour that says how much it weighed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save

if TYPE_CHECKING:
    from PIL import ImageFont

WIDTH = 900  # pixels of a picture
MARGIN = 20  # pixels
FONT = 20  # pixels
LINE = 36  # pixels from one line of text to the next
FOR, AGAINST = (
    np.array([31, 119, 200]),
    np.array([230, 120, 20]),
)  # blue and orange, which all eyes tell apart


def draw(
    title: str, words: Sequence[str], weights: np.ndarray | Sequence[float], path: str | os.PathLike,
    positive: str, negative: str | None = None,
) -> None:  # fmt: skip
    """Draws words in their order, on blue where their weight is positive and on orange where it is not.

    The largest weight has the full colour, the others as much of it as is their share.

    Args:
        title: str, above the text.
        words: list of str.
        weights: float ``[words]``.
        path: the PNG file to write.
        positive, negative: what the two colours mean; None where no weight is negative.

    Raises:
        UserError: the file cannot be written.
    """
    font, bold = open_font(FONT), open_font(FONT, bold=True)
    most = max(float(np.abs(weights).max()), 1e-9)
    boxes, left, top = [], MARGIN, MARGIN + 2 * LINE
    for word, weight in zip(words, weights, strict=True):
        word = shortened(word[:200], font, WIDTH - 2 * MARGIN)
        width = font.getlength(word)
        if left > MARGIN and left + width > WIDTH - MARGIN:
            left, top = MARGIN, top + LINE
        boxes.append((word, weight / most, left, top, left + width))
        left += width + font.getlength(" ")
    sheet = Image.new("RGB", (WIDTH, top + LINE + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, "black", bold)
    left = MARGIN
    for text, share in ((positive, 1), (negative, -1)):
        if text is None:
            continue
        left = _word(pen, text, share, left, MARGIN + LINE - 2, left + font.getlength(text), font) + 2 * FONT
    for box in boxes:
        _word(pen, *box, font)
    save(sheet, path)


def _word(pen, word, share, left, top, right, font):
    colour = FOR if share > 0 else AGAINST
    shade = np.rint(255 + abs(share) * (0.75 * colour + 0.25 * 255 - 255)).astype(int)
    pen.rectangle((left - 3, top - 2, right + 3, top + FONT + 6), tuple(shade.tolist()))
    pen.text((left, top), word, "black", font)
    return right


def shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A text, or as much of it as is no wider than ``width`` pixels."""
    while font.getlength(text) > width:
        text = text[: len(text) * 3 // 4] + "…"
    return text
