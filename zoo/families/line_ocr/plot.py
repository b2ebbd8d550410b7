"""A line image over what was read in it, each character below its columns."""

import numpy as np
from PIL import Image, ImageDraw

from zoo.plots.drawing import open_font, save

HEIGHT = 64  # pixels that the line is drawn high
WIDTH = 8000  # pixels of a picture at most; a longer line is drawn lower
FONT = 22  # pixels
MARGIN = 12  # pixels


def draw(pixels, line, path):
    """Draws a line image and the characters found in it, as a PNG file.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        line: the ``export.runtime.Line`` that was read in it.
        path: the file to write.

    Raises:
        UserError: the file cannot be written.
    """
    height, width = pixels.shape[:2]
    scale = min(HEIGHT / height, WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.asarray(pixels))
    sheet = Image.new("RGB", (size[0] + 2 * MARGIN, size[1] + 4 * MARGIN + 2 * FONT), "white")
    sheet.paste(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), (MARGIN, MARGIN))
    pen, font = ImageDraw.Draw(sheet), open_font(FONT)
    top = size[1] + MARGIN
    for i, (character, start, end) in enumerate(line.characters):
        left, right = MARGIN + start * scale, MARGIN + end * scale
        colour = ("#1f77b4", "#d62728")[i % 2]  # neighbours are told apart
        pen.rectangle((left, top + 3, max(left + 1, right), top + 6), fill=colour)
        pen.text(((left + right) / 2, top + MARGIN), character, fill=colour, font=font, anchor="ma")
    about = f"{line.text}   ({line.confidence:.0%} sure)" if line.text else "nothing was read"
    pen.text((MARGIN, top + 2 * MARGIN + FONT), about, fill="black", font=font)
    save(sheet, path)
