"""Line images as Calamari's networks see them, as TensorFlow operations.

What Calamari 2's ``CenterNormalizer`` (or ``ScaleToHeight``) and ``FinalPreparation`` do, written from what
they compute: OpenCV's grey, smoothing and scaling, then ink 1 on paper 0 between margins of paper. Numbers
that it rounds to whole ones are rounded alike; float64 makes that the same on every engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoo.images.smoothing import box, gaussian

MARGIN = 16  # columns of paper at each end of a line
RANGE, SPREAD = 4.0, 0.3  # rows kept, in mean distances of ink; smoothing along the line, in heights
LEAST = 1e-3  # of a pixel: of less OpenCV takes nothing
UNIT = 2048.0  # the weight 1 of its linear scaling
LEVELS = np.arange(256, dtype="float32") / np.float32(255)


def scale(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """Grey, height-normalised lines with ink 1 on paper 0, from a padded batch.

    Args:
        image, size, height, multiple: as of ``zoo.images.normalise.normalise_height``.

    Returns:
        float32 ``[batch, columns, height]``, zero beyond each line's end, and float32 ``[batch]``, the
        columns of each line, its margins included.
    """
    lines, _, columns = _scaled(_grey(image), *_counts(size), height)
    return _prepared(lines, columns, height, multiple)


def dewarp(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """As ``scale``, of lines straightened along the middle of the writing.

    Lines are first made no higher than one and a half times ``height``. The middle in each column is where a
    much smoothed image is darkest. As many rows above and below it are kept as four times the ink's mean
    distance from it.

    Args:
        image, size, height, multiple: as there.

    Returns:
        As there.
    """
    lines, rows, columns = _scaled(_grey(image), *_counts(size), height * 3 // 2, enlarge=False)
    column, row = _range(tf.shape(lines)[1], 1), _range(tf.shape(lines)[2], 2)
    within = (column < columns) & (row < rows)
    white = tf.reduce_max(tf.where(within, lines, 0.0), (1, 2), keepdims=True)
    ink = tf.where(within, white - lines, 0.0)
    smooth = tf.matmul(gaussian(column, rows), ink)
    smooth = tf.where(within, tf.matmul(smooth, gaussian(row, rows * 0.5)), 0.0)
    mean = tf.matmul(box(column, columns), smooth)
    mean = tf.matmul(mean, box(row, tf.floor(rows * 0.5)), transpose_b=True)
    smooth = tf.where(within, smooth + 0.001 * mean, -1.0)
    middle = _smoothed(tf.cast(tf.argmax(smooth, 2, tf.int32), tf.float64), column, rows, columns)
    inked = tf.cast(ink > 0, tf.float64)
    count = tf.reduce_sum(inked, (1, 2), keepdims=True)
    away = tf.reduce_sum(tf.abs(row - middle) * inked, (1, 2), keepdims=True) / tf.maximum(count, 1.0)
    half = tf.floor(1.0 + RANGE * away + 1e-9)

    # An empty line is not straightened.
    kept = tf.where(count > 0, 2.0 * half, rows)
    place = middle - half + _range(tf.cast(tf.reduce_max(kept), tf.int32), 2)
    inside = (place >= 0.0) & (place < rows)
    place = tf.cast(tf.clip_by_value(place, 0.0, rows - 1.0), tf.int32)
    lines = tf.where(inside, tf.gather(lines, place, batch_dims=2), white)
    lines, _, columns = _scaled(lines, kept, columns, height)
    return _prepared(tf.where(count > 0, lines, 0.0), columns, height, multiple)


def _counts(size):
    """Rows and columns, float64 ``[batch, 1, 1]`` each, as all that is counted of each line here."""
    return tuple(tf.reshape(one, (-1, 1, 1)) for one in tf.unstack(tf.cast(size, tf.float64), 2, 1))


def _range(count, axis):
    """float64 numbers from 0 on, along an axis of three."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return tf.reshape(tf.cast(tf.range(count), tf.float64), shape)


def _grey(image):
    """As OpenCV makes it of colours: whole numbers, float64 ``[batch, columns, rows]``."""
    values = tf.cast(image, tf.float64)
    of_colours = [9798.0 / 32768, 19235.0 / 32768, 3735.0 / 32768]
    weights = tf.where(tf.shape(image)[3] == 1, [1.0, 0.0, 0.0], of_colours)[: tf.shape(image)[3]]
    grey = tf.floor(tf.reduce_sum(values * tf.cast(weights, tf.float64), -1) + 0.5)
    return tf.transpose(grey, (0, 2, 1))


def _smoothed(middle, column, rows, columns):
    """Whole numbers ``[batch, columns]`` smoothed along the line, which is mirrored at its ends.

    Of an even number of taps the one behind the middle counts as the middle.

    Returns:
        ``[batch, columns, 1]``.
    """
    taps = tf.floor(8.0 * rows * SPREAD + 1.0)
    tap = _range(tf.cast(tf.reduce_max(taps), tf.int32), 2)
    weight = tf.exp(-0.5 * ((tap - (taps - 1.0) / 2.0) / (SPREAD * rows)) ** 2)
    weight = tf.where(tap < taps, weight, 0.0)
    place = tf.math.floormod(column + tap - tf.floor(taps / 2.0), 2.0 * columns)
    place = tf.cast(tf.minimum(place, 2.0 * columns - 1.0 - place), tf.int32)
    found = tf.reduce_sum(tf.gather(middle, place, batch_dims=1) * weight, 2, keepdims=True)
    found /= tf.reduce_sum(weight, 2, keepdims=True)
    # Halves, at each step of an even number of taps, Calamari's rounding errors make mostly the lower number.
    return tf.math.ceil(found - 0.5 - 1e-6)


def _scaled(lines, rows, columns, height, enlarge=True):
    """Lines ``[batch, columns, rows]`` scaled to a height: they, and what rows and columns each has.

    Means over the area of each new pixel; where a line is enlarged, linear interpolation.
    """
    wanted = tf.fill(tf.shape(rows), tf.constant(height, tf.float64))
    if not enlarge:
        wanted = tf.minimum(wanted, rows)
    new_columns = tf.maximum(tf.round(wanted / rows * columns), 1.0)
    area = wanted <= rows
    parts, weight = _parts(lines, columns, new_columns, area)
    lines = tf.transpose(tf.reduce_sum(parts * weight, 2), (0, 2, 1))
    parts, weight = _parts(lines, rows, wanted, area)
    means = tf.reduce_sum(parts * weight, 2)
    halved = (rows == 2.0 * wanted) & (columns == 2.0 * new_columns)
    found = tf.where(halved, tf.floor(means + 0.5), tf.round(means))
    if enlarge:
        # OpenCV's whole numbers: of linear weights in 2048ths, in sums from which bits are dropped.
        linear = tf.floor(tf.floor(parts * (UNIT / 16.0)) * weight * (UNIT / 65536.0))
        found = tf.where(area, found, tf.floor((tf.reduce_sum(linear, 2) + 2.0) / 4.0))
    return tf.transpose(found, (0, 2, 1)), wanted, new_columns


def _parts(values, count, new_count, area):
    """Of which steps each new one is made, ``[batch, new steps, taps, others]``, and their weights.

    Args:
        values: ``[batch, steps, others]``.
        count, new_count: ``[batch, 1, 1]``, steps and new steps.
        area: bool ``[batch, 1, 1]``: by the area, else linearly.
    """
    ratio = count / new_count
    new = _range(tf.cast(tf.reduce_max(new_count), tf.int32), 1)
    first, last = new * ratio, tf.minimum((new + 1.0) * ratio, count)
    centre = tf.clip_by_value((new + 0.5) * ratio - 0.5, 0.0, count - 1.0)
    taps = tf.cast(tf.math.ceil(tf.reduce_max(ratio)), tf.int32) + 1
    place = tf.floor(tf.where(area, first, centre)) + _range(taps, 2)
    overlap = tf.minimum(place + 1.0, last) - tf.maximum(place, first)
    overlap = tf.where(overlap > LEAST, overlap, 0.0) / tf.maximum(last - first, LEAST)
    linear = tf.round(tf.maximum(1.0 - tf.abs(place - centre), 0.0) * UNIT) / UNIT
    place = tf.cast(tf.clip_by_value(place, 0.0, count - 1.0), tf.int32)
    return tf.gather(values, place, batch_dims=1), tf.expand_dims(tf.where(area, overlap, linear), 3)


def _prepared(lines, columns, height, multiple):
    """Grey values ``[batch, columns, height]`` -> paper 0, ink up to 1, in 255ths, and margins.

    In float32 as Calamari computes it: the last bit decides which whole number a grey value becomes.
    """
    most = tf.shape(lines)[1]
    within = _range(most, 1) < columns
    level = tf.gather(tf.constant(LEVELS), tf.cast(lines, tf.int32))
    level = tf.where(within, level, 0.0)
    lightest = tf.reduce_max(level, (1, 2), keepdims=True)
    level = level / tf.where(lightest > 0, lightest, 1.0)
    dark = tf.where(within & (lightest > 0), 1.0 - level, 0.0)
    dark = tf.cast(tf.floor(tf.cast(dark, tf.float64) * 255.0), tf.float32) * (1 / 255)
    rest = -(most + 2 * MARGIN) % multiple
    dark = tf.pad(dark, ((0, 0), (MARGIN, MARGIN + rest), (0, 0)))
    dark.set_shape((None, None, height))
    return dark, tf.cast(tf.reshape(columns, (-1,)) + 2.0 * MARGIN, tf.float32)
