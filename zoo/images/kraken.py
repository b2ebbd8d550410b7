"""Line images as kraken's networks see them, as TensorFlow operations.

What kraken's ``ImageInputTransforms`` does with lines along a baseline: grey as Pillow makes it of colours,
scaled to the network's height by Pillow's Lanczos filter, white columns at both ends, dark 1 on light 0.
(Lines that kraken takes as boxes it straightens before, which is not done here.)
"""

import math

import tensorflow as tf

MARGIN = 16  # white columns at each end of a line
LOBES = 3  # of the Lanczos filter, on each side
UNIT = 1 << 22  # the weight 1 of its pixels


def invert(image, size, height, multiple=1):
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
