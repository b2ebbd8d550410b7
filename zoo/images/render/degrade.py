"""What printing, ageing and scanning do to a line of text, as numpy and Pillow operations.

`scan(ink, rng, ...)` turns a clean drawing of one line (Pillow image of mode "L", ink = 255 on 0) into a
page-like scan: uint8 array `[height, width]`, dark ink on light paper. Every effect has a probability
and a strength, both scaled by `strength` (0: a clean antialiased line, 1: like the public corpora, which are
mostly bilevel scans cropped tight to the ink). All randomness comes from the given numpy Generator.
"""

from __future__ import annotations

import io
import itertools
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter


@lru_cache(maxsize=1)
def _noise():
    """A fixed float32 field [384, 4096] of normal noise: windows of it are far cheaper than new draws."""
    return np.random.default_rng(12345).standard_normal((384, 4096), dtype=np.float32)


def noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """float32 [h, w] window of the noise field at a random place, randomly flipped (tiled when larger)."""
    h, w = shape
    field = _noise()
    if h > field.shape[0] or w > field.shape[1]:
        field = np.tile(field, (-(-h // field.shape[0]), -(-w // field.shape[1])))
    y, x = rng.integers(field.shape[0] - h + 1), rng.integers(field.shape[1] - w + 1)
    window = field[y : y + h, x : x + w]
    return window[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


def smooth_field(shape: tuple[int, int], rng: np.random.Generator, cell: float) -> np.ndarray:
    """float32 [h, w] smooth random field with about unit variance that varies over `cell` pixels."""
    h, w = shape
    grid = rng.standard_normal((max(2, h // cell + 2), max(2, w // cell + 2))).astype(np.float32)
    # A cheap 8-bit bicubic resize is smooth enough: 40 levels in one standard deviation.
    small = Image.fromarray(np.clip(grid * 40 + 128, 0, 255).astype(np.uint8))
    return (np.asarray(small.resize((w, h), Image.Resampling.BICUBIC), np.float32) - 128) * (1 / 40)


def bend(pixels: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Skew (sigma 0.35 degrees, at most 1), a drifting baseline, and shear (sigma 2 degrees) of uint8 [h, w].

    Columns and rows move by whole pixels, as the drawing is larger than the output: the steps do not show.
    """
    h, w = pixels.shape
    x = np.arange(w)
    shift = np.zeros(w)
    if rng.random() < 0.5:
        shift += np.tan(np.radians(np.clip(rng.normal(0, 0.35 * strength), -1, 1))) * (x - w / 2)
    if rng.random() < 0.4:  # a page that was not flat: one or two slow waves
        shift += rng.normal(0, 0.02 * h * strength) * np.sin(x / w * rng.uniform(1, 9) + rng.uniform(0, 6))
    if rng.random() < 0.15:  # worn type: pieces of the line stand a little high or low
        knots = np.arange(0, w + h, h)
        shift += np.interp(x, knots, rng.normal(0, 0.012 * h * strength, len(knots)))
    if np.abs(shift).max() > 0.5:
        pixels = _moved(pixels.T, shift).T
    if rng.random() < 0.25:
        lean = np.tan(np.radians(rng.normal(0, 2 * strength)))
        pixels = _moved(pixels, lean * (np.arange(len(pixels)) - len(pixels) / 2))
    return pixels


def _moved(rows, shift):
    """`rows` [n, m], each moved right by its `shift` (rounded), on a canvas that is wide enough for all."""
    shift = np.round(shift).astype(int)
    room = int(np.abs(shift).max())
    n, m = rows.shape
    out = np.zeros((n, m + 2 * room), rows.dtype)
    edges = np.flatnonzero(np.diff(shift, prepend=shift[0] - 1, append=shift[-1] - 1))
    for start, stop in itertools.pairwise(edges):
        left = room + shift[start]
        out[start:stop, left : left + m] = rows[start:stop]
    return out


def ink_box(pixels: np.ndarray, level: int = 100) -> tuple[int, ...] | None:
    """(left, top, right, bottom) of the ink >= level in uint8 [h, w], or None when there is none."""
    dark = pixels >= level
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def neighbours(
    pixels: np.ndarray, box: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The line with others above and below it (itself, rolled sideways) on a canvas of three line pitches."""
    h, w = pixels.shape
    pitch = int((box[3] - box[1]) * rng.uniform(0.98, 1.3))
    canvas = np.zeros((h + 2 * pitch, w), np.uint8)
    canvas[:h] = np.roll(pixels, int(rng.integers(w)), 1)
    for y, line in ((2 * pitch, np.roll(pixels, int(rng.integers(w)), 1)), (pitch, pixels)):
        np.maximum(canvas[y : y + h], line, out=canvas[y : y + h])
    left, top, right, bottom = box
    return canvas, (left, top + pitch, right, bottom + pitch)


def cut(pixels: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """The part of uint8 [h, w] in a box that may reach beyond it: there is no ink outside."""
    h, w = pixels.shape
    inside = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inside
    out = np.zeros((bottom - top, right - left), np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return out


def margins(rng: np.random.Generator, body: float, unit: float, strength: float) -> np.ndarray:
    """(left, top, right, bottom) in work pixels; `unit` is one output pixel, `body` the height of the ink."""
    style = rng.random()
    if style < 0.3:
        sides = np.zeros(4)
    elif style < 0.85:
        sides = rng.uniform(1, 4) + rng.uniform(-1, 1, 4)
    else:
        sides = rng.uniform(0, 0.2 * body / unit, 4)
    if rng.random() < 0.08 * strength:  # a careless cut takes a pixel or two of the ink
        sides[rng.integers(4)] = -rng.uniform(0.5, 2)
    return np.round(np.maximum(sides, -2) * unit).astype(int)


def speckles(x: np.ndarray, rng: np.random.Generator, strength: float) -> None:
    """Dust and pinholes, in place: blobs of 1-3 px in float32 [h, w], each set to ink (1) or paper (0)."""
    h, w = x.shape
    for value, rate in ((1.0, 0.0006), (0.0, 0.0012)):
        if rng.random() < 0.25 * strength:
            count = rng.poisson(rate * strength * rng.exponential(1.0) * h * w)
            ys, xs = rng.integers(h, size=count), rng.integers(w, size=count)
            size = int(rng.integers(1, 4))
            for dy in range(size):
                for dx in range(size):
                    x[np.minimum(ys + dy, h - 1), np.minimum(xs + dx, w - 1)] = value


def scan(
    ink: Image.Image, rng: np.random.Generator, strength: float = 1.0, height: int = 48, largest: int = 64,
    nominal: tuple[float, int] | None = None,
) -> np.ndarray | None:  # fmt: skip
    """Scan one drawn line.

    `ink`: Pillow "L" image, ink 255 on 0, with some room around it. `nominal`: (pixels, height) means that
    so many pixels of the drawing become `height` output pixels; without it, or when that gives a line higher
    than `largest`, the ink is scaled to `height`. Returns uint8 [height', width'], or None without any ink.
    """
    pixels = np.asarray(ink)
    if strength > 0 and rng.random() < 0.6:
        pixels = bend(pixels, rng, strength)
    box = ink_box(pixels)
    if box is None:
        return None
    body = box[3] - box[1]
    scale = height / body
    if nominal is not None and (nominal[1] / nominal[0]) * body <= largest:
        scale = nominal[1] / nominal[0]
    unit = 1 / scale
    if rng.random() < 0.25 * strength:
        pixels, box = neighbours(pixels, box, rng)
    left, top, right, bottom = margins(rng, body, unit, strength)
    pixels = cut(pixels, box[0] - left, box[1] - top, box[2] + right, box[3] + bottom)
    h, w = pixels.shape
    ink = Image.fromarray(pixels)
    stretch = float(np.clip(rng.normal(1, 0.06 * min(strength, 1)), 0.8, 1.25))
    size = max(4, round(w * scale * stretch)), max(8, min(largest, round(h * scale)))
    if strength <= 0:
        return 255 - np.asarray(ink.resize(size, Image.Resampling.BOX))

    bilevel = rng.random() < 0.65 * min(1, strength)
    # The sensor: blur, then a threshold that is uneven over the page and grainy at the edges of strokes.
    radius = unit * rng.uniform(0.3, 0.6 + 0.6 * strength * rng.random())
    x = np.asarray(ink.filter(ImageFilter.BoxBlur(radius)), np.float32) * (1 / 255)
    if rng.random() < 0.06 * strength:  # the other side of the leaf shines through
        back = np.roll(pixels[:, ::-1], int(rng.integers(w)), 1)
        back = Image.fromarray(back).filter(ImageFilter.GaussianBlur(2 * unit))
        x = np.maximum(x, np.asarray(back, np.float32) * (rng.uniform(0.1, 0.4) / 255))
    # A low level gives fat ink, a high one thin and broken strokes.
    level = float(np.clip(rng.normal(0.45, 0.12 * strength), 0.18, 0.72))
    if rng.random() < 0.5 * strength:
        x = x - smooth_field(x.shape, rng, max(6, int(unit * rng.uniform(8, 60)))) * rng.uniform(0.02, 0.11)
    if rng.random() < 0.6 * strength:  # grain: mostly where ink meets paper, seldom all over
        grain = noise(x.shape, rng) * (rng.uniform(0.02, 0.18) * strength)
        x = x + (grain * 0.6 if rng.random() < 0.12 else grain * (4 * x * (1 - x)))
    gain = 40.0 if bilevel else rng.uniform(1.3, 6)
    x = np.clip((x - level) * gain + 0.5, 0, 1)
    speckles(x, rng, strength)
    page = Image.fromarray((x * 255).astype(np.uint8))
    page = page.resize(size, Image.Resampling.BOX if rng.random() < 0.5 else Image.Resampling.BILINEAR)
    if bilevel:
        return np.where(np.asarray(page) > rng.uniform(105, 150), 0, 255).astype(np.uint8)
    return grey(page, rng, strength)


def grey(page: Image.Image, rng: np.random.Generator, strength: float) -> np.ndarray:
    """uint8 [h, w]: a grey photograph of the page (Pillow "L", ink 255): paper, ink, noise, blur, JPEG."""
    if rng.random() < 0.25 * strength:
        page = page.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    x = np.asarray(page, np.float32) * (1 / 255)
    paper = 255 - abs(rng.normal(0, 22)) * strength if rng.random() < 0.6 else 255.0
    dark = min(abs(rng.normal(0, 45)) * strength, 120)
    if rng.random() < 0.25 * strength:
        paper = paper + smooth_field(x.shape, rng, int(rng.integers(60, 400))) * rng.uniform(2, 14)
    y = paper - x * (paper - dark)
    if rng.random() < 0.4 * strength:
        y = y + noise(x.shape, rng) * rng.uniform(1, 14)
    pixels = np.clip(y, 0, 255).astype(np.uint8)
    if rng.random() < 0.4 * strength:
        store = io.BytesIO()
        Image.fromarray(pixels).save(store, "JPEG", quality=int(rng.integers(25, 90)))
        store.seek(0)
        pixels = np.asarray(Image.open(store))
    return pixels
