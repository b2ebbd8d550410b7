"""Line images as kraken's networks see them, as TensorFlow operations.

What kraken's ``ImageInputTransforms`` does with lines along a baseline: grey as Pillow makes it of colours,
scaled to the network's height by Pillow's Lanczos filter, white columns at both ends, dark 1 on light 0.
Lines in boxes it straightens instead, as ocropy did.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from zoo.images.smoothing import box, gaussian

MARGIN = 16  # white columns at each end of a line
LOBES = 3  # of the Lanczos filter, on each side
UNIT = 1 << 22  # the weight 1 of its pixels


def invert(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """Grey, height-normalised lines, white 0 to black 1, from a padded batch.

    Args:
        image, size, height, multiple: as of ``zoo.images.normalise.normalise_height``.

    Returns:
        float32 ``[batch, columns, height]``, zero beyond each line's end, and float32 ``[batch]``, the
        columns of each line, its margins included.
    """
    rows, columns = size[:, 0], size[:, 1]
    new_columns = tf.maximum(columns * height // rows, 1)
    width = tf.reduce_max(new_columns)
    lines = tf.transpose(_grey(image), (0, 2, 1))  # [batch, given columns, given rows]
    lines = _resampled(lines, columns, new_columns, width)
    lines = tf.transpose(lines, (0, 2, 1))
    lines = tf.transpose(_resampled(lines, rows, tf.fill(tf.shape(rows), height), height), (0, 2, 1))
    within = tf.range(width)[None, :] < new_columns[:, None]
    dark = (1.0 - lines * (1 / 255)) * tf.cast(within, tf.float32)[:, :, None]
    columns = new_columns + 2 * MARGIN
    rest = -(width + 2 * MARGIN) % multiple
    return tf.pad(dark, ((0, 0), (MARGIN, MARGIN + rest), (0, 0))), tf.cast(columns, tf.float32)


def straighten(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """As ``invert``, of lines that kraken's ``CenterNormalizer`` would straighten: those it takes as boxes.

    The middle of the writing in each column is where a much smoothed image is darkest. As many rows above and
    below it are kept as four times the ink's mean distance from it, which are scaled linearly. (Where the
    middle is level for long, rounding errors make it a row higher in kraken on some lines.)

    Args:
        image, size, height, multiple: as there.

    Returns:
        As there.
    """
    grey = tf.cast(_grey(image), tf.float64)
    rows, columns = tf.cast(size[:, 0], tf.float64), tf.cast(size[:, 1], tf.float64)
    row = tf.range(tf.shape(image)[1], dtype=tf.int32)
    column = tf.range(tf.shape(image)[2], dtype=tf.int32)
    row_within, column_within = row < size[:, :1], column < size[:, 1:]
    within = row_within[:, :, None] & column_within[:, None, :]
    white = tf.reduce_max(tf.where(within, grey, 0.0), (1, 2))
    ink = tf.where(within, white[:, None, None] - grey, 0.0)
    deepest = tf.reduce_max(ink, (1, 2))
    smooth = ink / tf.where(deepest > 0, deepest, 1.0)[:, None, None]
    row, column = tf.cast(row, tf.float64), tf.cast(column, tf.float64)
    smooth = tf.matmul(gaussian(row, rows * 0.5), smooth)
    smooth = tf.matmul(smooth, gaussian(column, rows))
    smooth = tf.where(within, smooth, 0.0)
    mean = tf.matmul(box(row, tf.floor(rows * 0.5)), smooth)
    mean = tf.matmul(mean, box(column, columns), transpose_b=True)
    smooth = tf.where(within, smooth + 0.001 * mean, -1.0)
    middle = tf.cast(tf.argmax(smooth, 1, tf.int32), tf.float64)
    # Smoothed along the line, mirrored at its ends.
    middle = tf.where(column_within, middle, 0.0)[:, :, None]
    spread = rows * 0.3
    reach = gaussian(column, spread) + gaussian(column, spread, mirror=tf.zeros_like(columns))
    reach += gaussian(column, spread, mirror=columns)
    middle = tf.floor(tf.matmul(reach, middle)[:, :, 0] + 1e-6)
    away = tf.abs(row[None, :, None] - middle[:, None, :])
    inked = tf.cast(ink > 0, tf.float64)
    mean = tf.reduce_sum(away * inked, (1, 2)) / tf.maximum(tf.reduce_sum(inked, (1, 2)), 1.0)
    half = tf.floor(1.0 + 4.0 * mean + 1e-9)

    scale = 2.0 * half / height  # given pixels per new pixel
    new_columns = tf.maximum(tf.floor(columns / scale + 1e-9), 1.0)
    most = tf.cast(tf.reduce_max(new_columns), tf.int32)
    across = tf.range(height, dtype=tf.int32)
    across = tf.cast(across, tf.float64)[None, :] * scale[:, None]  # [batch, height]
    along = tf.cast(tf.range(most), tf.float64)[None, :] * scale[:, None]  # [batch, most]

    def at(line, step):
        """Pixels of column ``step`` ``[batch, most]``, at ``across`` of its own rows, linearly."""
        inside = tf.cast(step < columns[:, None], tf.float64)[:, :, None]
        step = tf.minimum(tf.cast(step, tf.int32), tf.shape(line)[1] - 1)
        pixels = tf.gather(line, step, batch_dims=1)  # [batch, most, rows]
        top = tf.gather(middle, step, batch_dims=1)[:, :, None] - half[:, None, None]
        found = 0.0
        below = tf.floor(across)
        for place, share in ((below, 1.0 - across + below), (below + 1.0, across - below)):
            share = share * tf.cast(place < 2.0 * half[:, None], tf.float64)
            place = top + place[:, None, :]
            real = (place >= 0) & (place < rows[:, None, None])
            index = tf.cast(tf.clip_by_value(place, 0.0, rows[:, None, None] - 1.0), tf.int32)
            value = tf.where(real, tf.gather(pixels, index, batch_dims=2), 0.0)
            found += share[:, None, :] * value
        return found * inside

    left = tf.floor(along)
    share = (along - left)[:, :, None]
    lines = tf.transpose(ink, (0, 2, 1))
    dark = at(lines, left) * (1.0 - share) + at(lines, left + 1.0) * share
    light = tf.floor(white[:, None, None] - dark + 1e-6)
    beyond = tf.range(most)[None, :] < tf.cast(new_columns, tf.int32)[:, None]
    dark = (1.0 - light * (1 / 255)) * tf.cast(beyond, tf.float64)[:, :, None]
    rest = -(most + 2 * MARGIN) % multiple
    dark = tf.pad(tf.cast(dark, tf.float32), ((0, 0), (MARGIN, MARGIN + rest), (0, 0)))
    return dark, tf.cast(new_columns + 2 * MARGIN, tf.float32)


def _grey(image):
    """As Pillow makes it of colours: float32 ``[batch, height, width]`` of whole numbers."""
    values = tf.cast(image, tf.float32)
    of_colours = [19595 / 65536, 38470 / 65536, 7471 / 65536]
    weights = tf.where(tf.shape(image)[3] == 1, [1.0, 0.0, 0.0], of_colours)[: tf.shape(image)[3]]
    return tf.floor(tf.reduce_sum(values * weights, -1) + 0.5)


def _resampled(values, count, new_count, most):
    """Scaled along their second axis as Pillow does it, to whole numbers from 0 to 255.

    Pillow's weights are whole numbers. In float64 their sums are exact in any order, so that every engine
    rounds them to the same pixels.

    Args:
        values: float32 ``[batch, steps, others]``.
        count, new_count: int32 ``[batch]``, the steps that count, and as many as there shall be.
        most: int, the greatest of ``new_count``.

    Returns:
        float32 ``[batch, most, others]``; what is beyond ``new_count`` means nothing.
    """
    count = tf.cast(count, tf.float64)
    scale = count / tf.cast(new_count, tf.float64)
    wide = tf.maximum(scale, 1.0)
    centre = (tf.cast(tf.range(most), tf.float64) + 0.5)[None, :] * scale[:, None]
    reach = LOBES * wide[:, None]
    first = tf.maximum(tf.floor(centre - reach + 0.5), 0.0)
    last = tf.minimum(tf.floor(centre + reach + 0.5), count[:, None])
    taps = 2 * tf.cast(tf.math.ceil(LOBES * tf.reduce_max(wide)), tf.int32) + 1
    place = first[:, :, None] + tf.cast(tf.range(taps), tf.float64)
    weight = _lanczos((place + 0.5 - centre[:, :, None]) / wide[:, None, None])
    weight = tf.where(place < last[:, :, None], weight, 0.0)
    total = tf.reduce_sum(weight, 2, keepdims=True)
    weight = UNIT * weight / tf.where(total > 0, total, 1.0)  # beyond the last step there is none
    weight = tf.sign(weight) * tf.floor(tf.abs(weight) + 0.5)
    place = tf.minimum(tf.cast(place, tf.int32), tf.shape(values)[1] - 1)
    found = tf.gather(tf.cast(values, tf.float64), place, batch_dims=1) * weight[:, :, :, None]
    found = tf.floor(tf.reduce_sum(found, 2) * (1 / UNIT) + 0.5)
    return tf.cast(tf.clip_by_value(found, 0.0, 255.0), tf.float32)


def _lanczos(x):
    safe = tf.where(tf.abs(x) > 0, math.pi * x, 1.0)
    value = LOBES * tf.sin(safe) * tf.sin(safe / LOBES) / (safe * safe)
    return tf.where(tf.abs(x) > 0, tf.where(tf.abs(x) < LOBES, value, 0.0), 1.0)
