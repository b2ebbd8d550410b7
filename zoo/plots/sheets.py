"""Contact sheets: images over what a model says of them, or one image as it looked at it word by word."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from zoo.errors import UserError
from zoo.plots.drawing import open_font, save

SIDE = 240  # pixels of an image on the sheet
GAP = 14  # pixels between images
FONT = 15  # pixels
LINE = 20  # pixels from one line of text to the next
LIMIT = 1 << 26  # pixels of a sheet
DARK = 0.25  # how bright the image stays where nobody looks


def contact_sheet(items: Sequence, path: str | os.PathLike, columns: int = 4) -> None:
    """Draws images with their captions below, as a PNG file.

    Args:
        items: list of ``(image, texts)``: uint8 ``[height, width, 3]``, drawn as a square, and a list of str.
            The first of several captions is black, the others are grey.
        path: the file to write.
        columns: images side by side, at most.

    Raises:
        UserError: the sheet would be too large, or the file cannot be written.
    """
    font = open_font(FONT)
    cells = []
    for image, texts in items:
        lines = [(line, rank) for rank, text in enumerate(texts) for line in _wrapped(text, font)]
        cells.append((image, [(line, "#777777" if rank else "black") for line, rank in lines]))
    _draw(cells, path, columns, font)


def attention_sheet(
    image: np.ndarray, words: Sequence[str], attention: np.ndarray, path: str | os.PathLike, columns: int = 4,
    smooth: bool = True,
) -> None:  # fmt: skip
    """Draws an image once for each word of its caption, light where the model looked to write it.

    Args:
        image: uint8 ``[height, width, 3]``, drawn as a square.
        words: list of str, one or more.
        attention: float ``[words, rows, columns]``: how much of each part of the image was seen.
        path: the PNG file to write.
        columns: images side by side, at most.
        smooth: as of ``attended``.

    Raises:
        UserError: as ``contact_sheet``.
    """
    font = open_font(FONT)
    titles = [[(line, "black") for line in _wrapped(word, font)] for word in words]
    seen = [attended(image, weights, smooth) for weights in attention]
    _draw(list(zip(seen, titles, strict=True)), path, columns, font, above=True)


def attended(image: np.ndarray, weights: np.ndarray, smooth: bool = True) -> np.ndarray:
    """The image darkened where it was not looked at.

    The grid is made as large as the image by bicubic interpolation; its largest weight leaves the image as
    it is.

    Args:
        image: uint8 ``[height, width, 3]``.
        weights: float ``[rows, columns]``, 0 or more.
        smooth: if not, each cell of the grid is as light all over: where cells are pictures of their own.

    Returns:
        uint8 ``[height, width, 3]``.
    """
    grid = Image.fromarray(np.float32(weights / weights.max()))
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    mask = grid.resize(image.shape[1::-1], how)
    light = DARK + (1 - DARK) * np.clip(np.asarray(mask), 0, 1)
    return np.uint8(np.rint(image * light[:, :, None]))


def _draw(cells, path, columns, font, above=False):
    """``[(image, [(line, colour)])]`` -> a PNG file, with the text below or ``above`` the images."""
    columns = min(columns, len(cells))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    texts = [LINE * max(len(lines) for _, lines in row) for row in rows]  # their heights
    width = GAP + columns * (SIDE + GAP)
    height = GAP + sum(SIDE + text + GAP for text in texts)
    if width * height > LIMIT:
        raise UserError(
            f"{path}: {len(cells)} images with their texts are too many for one sheet; give fewer"
        )
    sheet = Image.new("RGB", (width, height), "white")
    pen, top = ImageDraw.Draw(sheet), GAP
    for row, text in zip(rows, texts, strict=True):
        for column, (image, lines) in enumerate(row):
            left = GAP + column * (SIDE + GAP)
            picture = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            sheet.paste(picture, (left, top + text if above else top))
            start = top if above else top + SIDE
            for number, (line, colour) in enumerate(lines):
                pen.text((left, start + number * LINE + 2), line, colour, font)
        top += SIDE + text + GAP
    save(sheet, path)


def _wrapped(text, font):
    """A text in lines as wide as an image; a word that is wider is cut."""
    lines = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= SIDE:
            lines[-1] += f" {word}"
            continue
        while font.getlength(word) > SIDE:
            fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= SIDE)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return lines
