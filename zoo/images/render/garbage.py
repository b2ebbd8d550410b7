"""What is on a scanned line and is no writing: noise, smears, halftone, rules, scribbles and the like.

Each kind is a function of a height and a width in pixels and a NumPy Generator that gives ink, float32
``[height, width]``, from 0 (paper) to 1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from zoo.images.render.degrade import smooth_field


def noise(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Grains all over: fewer than half of the pixels, or of blocks of them, as black as it comes."""
    size = int(rng.integers(1, 4))
    share = rng.uniform(0.15, 0.7)
    grains = rng.random((-(-height // size), -(-width // size))) < share
    grains = np.repeat(np.repeat(grains, size, 0), size, 1)[:height, :width]
    return grains * rng.uniform(0.6, 1.0, (height, width)).astype(np.float32)


def smears(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Blots: filled ellipses of all sizes, sharp or blurred."""
    sheet, pen = _sheet(height, width)
    for _ in range(int(rng.integers(1, 3 + width // 12))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(1, height / 4, 2)
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=int(rng.integers(150, 256)))
    return _ink(sheet, rng, blur=rng.uniform(0, 2))


def halftone(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Dots on a grid, as large as the grey that they stand for, level or turned."""
    pitch, turn = rng.uniform(2.5, 6), rng.choice([0.0, rng.uniform(0, np.pi / 2)])
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    wave = (np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch)) / 2
    level = rng.uniform(-0.4, 0.6) + 0.3 * rng.integers(2) * smooth_field((height, width), rng, 16)
    return np.clip((wave - level) * rng.uniform(2, 8), 0, 1).astype(np.float32) * rng.uniform(0.5, 1)


def dots(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A screen of single dots in rows and columns, of which some are left out."""
    ink = np.zeros((height, width), np.float32)
    down, along = rng.integers(2, 7, 2)
    rows, columns = np.arange(0, height, down), np.arange(0, width, along)
    rows = rows[rng.random(len(rows)) < rng.choice([1.0, 0.8])]
    columns = columns[rng.random(len(columns)) < rng.choice([1.0, 0.8, 0.6])]
    for y in range(int(rng.integers(1, 3))):
        for x in range(int(rng.integers(1, 3))):
            ink[np.minimum(rows + y, height - 1)[:, None], np.minimum(columns + x, width - 1)] = 1
    if rng.random() < 0.4:  # some columns have twice as many
        columns = columns[rng.random(len(columns)) < 0.4]
        ink[:: max(1, down // 2), columns] = 1
    elif rng.random() < 0.4:  # every second row between the dots of the others
        ink[down :: 2 * down] = np.roll(ink[down :: 2 * down], along // 2, 1)
    return ink * rng.uniform(0.6, 1)


def rules(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One straight line or several, level, upright or slanted."""
    sheet, pen = _sheet(height, width)
    slanted = rng.random() < 0.4
    for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
        thick = int(rng.integers(1, 5))
        if slanted:
            ends = (
                rng.uniform(0, width),
                rng.uniform(0, height),
                rng.uniform(0, width),
                rng.uniform(0, height),
            )
        elif rng.random() < 0.6:
            y = rng.uniform(0, height)
            ends = 0, y, width, y + rng.uniform(-2, 2)
        else:
            x = rng.uniform(0, width)
            ends = x, 0, x + rng.uniform(-2, 2), height
        pen.line(ends, fill=int(rng.integers(170, 256)), width=thick)
    return _ink(sheet, rng, blur=rng.uniform(0, 0.7))


def scribbles(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A pen that goes to and fro, in corners or in curves."""
    sheet, pen = _sheet(height, width)
    count = int(rng.integers(4, 8 + width // 10))
    points = np.stack([rng.uniform(0, width, count), rng.uniform(0, height, count)], 1)
    if rng.random() < 0.3:  # from left to right
        points = points[np.argsort(points[:, 0])]
    if rng.random() < 0.5:
        points = _curve(points)
    pen.line([tuple(point) for point in points.tolist()], fill=int(rng.integers(180, 256)),
             width=int(rng.integers(1, 4)), joint="curve")  # fmt: skip
    return _ink(sheet, rng, blur=rng.uniform(0, 0.6))


def hatching(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Parallel strokes, one set or two across each other."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ink = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        turn, pitch = rng.uniform(0, np.pi), rng.uniform(4, 10)
        wave = np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / pitch)
        ink = np.maximum(ink, np.clip((wave - rng.uniform(0.2, 0.8)) * 6, 0, 1))
    return ink * rng.uniform(0.6, 1)


def stains(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Clouds of grey with soft edges, as water and shadows leave them."""
    field = smooth_field((height, width), rng, int(rng.integers(6, 24)))
    return np.clip(field * rng.uniform(0.4, 1.2) + rng.uniform(0, 0.6), 0, 1).astype(np.float32)


def bars(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Upright bars of several widths, as in a barcode."""
    edges = np.cumsum(rng.integers(1, 6, width))
    edges = edges[edges < width]
    ink = (np.searchsorted(edges, np.arange(width), "right") % 2).astype(np.float32)
    top, bottom = sorted(rng.uniform(0, height, 2).astype(int))
    sheet = np.zeros((height, width), np.float32)
    sheet[min(top, height // 3) : max(bottom, 2 * height // 3)] = ink
    return sheet


def ornaments(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A figure again and again: rings, stars, lozenges and waves, as printers divide chapters."""
    sheet, pen = _sheet(height, width)
    size, kind = rng.uniform(0.25, 0.8) * height, int(rng.integers(4))
    thick, y = int(rng.integers(1, 4)), height / 2 + rng.uniform(-0.1, 0.1) * height
    for x in np.arange(size / 2, max(width - size / 2, size), size * rng.uniform(1.05, 1.6)):
        r = size / 2
        if kind == 0:
            pen.ellipse((x - r, y - r, x + r, y + r), outline=255, width=thick)
        elif kind == 1:
            angles = np.arange(11) * np.pi / 5
            radii = np.where(np.arange(11) % 2, r / 2.5, r)
            pen.polygon(
                [(x + q * np.sin(a), y - q * np.cos(a)) for a, q in zip(angles, radii, strict=True)], 255
            )
        elif kind == 2:
            pen.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], outline=255, width=thick)
        else:
            xs = np.linspace(x - r, x + r, 12)
            pen.line([(a, y + r * np.sin((a - x) / r * np.pi)) for a in xs], fill=255, width=thick)
    return _ink(sheet, rng, blur=rng.uniform(0, 0.5))


KINDS = {
    one.__name__: one
    for one in (noise, smears, halftone, dots, rules, scribbles, hatching, stains, bars, ornaments)
}


def _sheet(height, width):
    sheet = Image.new("L", (width, height))
    return sheet, ImageDraw.Draw(sheet)


def _ink(sheet, rng, blur):
    return np.asarray(sheet.filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255


def _curve(points, steps=6):
    """A Catmull-Rom curve through points, ``[n, 2]`` (Catmull & Rom 1974)."""
    before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
    far = np.roll(points, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (before, points, after, far))
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    return curve[:-1].reshape(-1, 2)
