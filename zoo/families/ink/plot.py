"""Ink in the colours of its tokens, and what was read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from zoo.formats.strokes import as_strokes
from zoo.plots.drawing import open_font, save

if TYPE_CHECKING:
    from zoo.families.ink.reader import Writing

HEIGHT, WIDTH = 160, 4000  # pixels of the ink, at most
FONT, MARGIN, PEN = 22, 16, 3  # pixels
FINE = 2  # drawn so many times as large, and then reduced: lines are smooth
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
NOBODY = "#b0b0b0"  # of ink where nothing was read


def draw(points: np.ndarray, writing: Writing, path: str | os.PathLike) -> None:
    """Draws ink, each point in the colour of its token, the token below it, as a PNG file.

    Args:
        points: float32 ``[points, 3]``, see ``zoo.formats.strokes.as_points``.
        writing: the ``zoo.families.ink.reader.Writing`` that was read.
        path: the file to write.

    Raises:
        UserError: the file cannot be written.
    """
    size = np.maximum(np.ptp(points[:, :2], axis=0), 1e-6)
    scale = min(HEIGHT / size[1], WIDTH / size[0], max(HEIGHT, WIDTH / 8) / size.max() * 4)
    place = (points[:, :2] - points[:, :2].min(0)) * scale
    tokens, font = writing.tokens, open_font(FONT)
    middles = [place[own, 0].mean() for own in map(_points_of(points), tokens)]
    at = _spread([font.getlength(t.token) + 6 for t in tokens], middles)
    about = f"{writing.text}   ({writing.confidence:.0%} sure)" if writing.text else "nothing was read"
    left = MARGIN - min([0.0, *(x - font.getlength(t.token) / 2 for x, t in zip(at, tokens, strict=True))])
    right = max([size[0] * scale, font.getlength(about),
                 *(x + font.getlength(t.token) / 2 for x, t in zip(at, tokens, strict=True))])  # fmt: skip
    height = int(size[1] * scale) + 2 * MARGIN
    sheet = Image.new("RGB", (int(left + right) + MARGIN, height + 2 * FONT + 2 * MARGIN), "white")
    sheet.paste(_ink(points, place, tokens, left, sheet.width, height))
    pen = ImageDraw.Draw(sheet)
    for i, (x, token) in enumerate(zip(at, tokens, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        pen.text((left + x, height), token.token, fill=colour, font=font, anchor="ma")
    pen.text((MARGIN, height + MARGIN // 2 + FONT + 4), about, fill="black", font=font)
    save(sheet, path)


def _points_of(points):
    """A function from a token to the numbers of its points, those of its strokes from first to last."""
    stroke = np.concatenate([[0], np.cumsum(points[:-1, 2] > 0)]).astype(int)

    def of(token):
        number = np.arange(len(points))
        own = np.isin(stroke, token.strokes) & (number >= token.first) & (number <= token.last)
        return np.flatnonzero(own)

    return of


def _ink(points, place, tokens, left, width, height):
    large = Image.new("RGB", (width * FINE, height * FINE), "white")
    pen = ImageDraw.Draw(large)
    owner, of = np.full(len(points), -1), _points_of(points)
    for i, token in enumerate(tokens):
        owner[of(token)] = i
    first = 0
    for stroke in as_strokes(points):
        corners = (place[first : first + len(stroke)] + [left, MARGIN]) * FINE
        mine = owner[first : first + len(stroke)]
        first += len(stroke)
        for i in range(len(corners)):
            colour = COLOURS[mine[i] % len(COLOURS)] if mine[i] >= 0 else NOBODY
            radius = PEN * FINE / 2
            x, y = corners[i]
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
            if i + 1 < len(corners):
                pen.line((x, y, *corners[i + 1]), fill=colour, width=PEN * FINE)
    return large.resize((width, height), Image.Resampling.LANCZOS)


def _spread(widths, middles):
    """Places of labels near ``middles``, none on another, in their order from the left."""
    order = np.argsort(middles, kind="stable")
    at, end = np.array(middles, float), -np.inf
    for i in order:
        at[i] = max(at[i], end + widths[i] / 2)
        end = at[i] + widths[i] / 2
    return at
