"""Line images as Tesseract's networks see them, as TensorFlow operations.

Written from what Tesseract 5 (``lstm/input``, ``lstm/networkio``) and Leptonica (``pixScale``,
``pixUnsharpMasking``) do: lines are scaled to the network's height by the mean over the area of each new
pixel (below 0.7 of their height) or linearly, sharpened a little, and their contrast is stretched between
the dark and light pixels of the middle row.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

AREA = 0.7  # scales below are by area, others linear
SHARPENED = 0.2, 1.4  # scales between these are sharpened
STEPS = 16  # positions in the given image are told in so many parts of a pixel


def normalise_contrast(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """Grey, height-normalised lines, dark -1 to light 1, from a padded batch.

    Light text on a dark ground is turned round, as Tesseract does where it then reads better.

    Args:
        image, size, height, multiple: as of ``zoo.images.normalise.normalise_height``.

    Returns:
        float32 ``[batch, columns, height]``, zero beyond each line's end, and float32 ``[batch]``, the
        columns of each line.
    """
    rows, columns = tf.cast(size[:, 0], tf.float32), tf.cast(size[:, 1], tf.float32)
    scale = height / rows
    new_columns = tf.maximum(tf.floor(scale * columns + 0.5), 1.0)
    width = tf.cast(tf.reduce_max(new_columns), tf.int32)
    width = (width + multiple - 1) // multiple * multiple
    by_area = scale < AREA

    # Along the line: means as differences of prefix sums. What stands at the end stands beyond it, too.
    lines = tf.transpose(_grey(image), (0, 2, 1))  # [batch, given columns, given rows]
    prefix = tf.pad(tf.cumsum(lines, axis=1), ((0, 0), (1, 0), (0, 0)))
    first, last = _edges(width, columns / new_columns, columns, by_area)
    last_inside = tf.minimum(last, columns[:, None])
    first_inside = tf.minimum(first, columns[:, None])
    end = tf.gather(lines, size[:, 1] - 1, batch_dims=1)[:, None]
    total = _prefix_at(prefix, last_inside) - _prefix_at(prefix, first_inside)
    total += (last - first - last_inside + first_inside)[:, :, None] * end
    wide = (last - first)[:, :, None]
    means = total / wide  # [batch, columns, given rows]

    # Across it: the same as a small matrix for each image.
    first, last = _edges(tf.constant(height), rows / height, rows, by_area)
    row = tf.range(tf.shape(image)[1], dtype=tf.float32)[None, :, None]
    bottom = row + 1 + 2 * tf.cast(row == rows[:, None, None] - 1, tf.float32)
    overlap = tf.minimum(last[:, None, :], bottom) - tf.maximum(first[:, None, :], row)
    overlap = tf.where(row < rows[:, None, None], tf.maximum(overlap, 0.0), 0.0)
    high = (last - first)[:, None, :]
    half = tf.where(by_area[:, None, None], 0.5 / (wide * high), 0.5)
    # The small number is for means that are whole but for the precision of float32.
    scaled = tf.floor(tf.matmul(means, overlap / high) + half + 1e-3)

    sharper = _sharpened(scaled, new_columns, scale, by_area)
    pixels = tf.where((rows == height)[:, None, None], scaled, sharper)
    within = tf.range(width, dtype=tf.float32)[None, :] < new_columns[:, None]
    valid = tf.cast(within, tf.float32)[:, :, None]
    count = new_columns * height
    middle = tf.reduce_sum(pixels * valid, (1, 2)) / count
    dark = tf.reduce_sum(tf.cast(pixels < middle[:, None, None], tf.float32) * valid, (1, 2)) / count
    pixels = tf.where((dark > 0.6)[:, None, None], 255.0 - pixels, pixels)
    black, white = _black_and_white(pixels[:, :, height // 2], within)
    contrast = (white - black) / 2
    contrast = tf.where(contrast > 0, contrast, 1.0)[:, None, None]
    return tf.clip_by_value((pixels - black[:, None, None]) / contrast - 1.0, -1.0, 1.0) * valid, new_columns


def _grey(image):
    """As Leptonica makes it of colours: float32 ``[batch, height, width]`` of whole numbers."""
    values = tf.cast(image, tf.float32)
    weights = tf.where(tf.shape(image)[3] == 1, [1.0, 0.0, 0.0], [0.3, 0.5, 0.2])[: tf.shape(image)[3]]
    return tf.floor(tf.reduce_sum(values * weights, -1) + 0.5)


def _edges(count, step, limit, by_area):
    """First and last given position ``[batch, count]`` of ``count`` new pixels, ``step`` apart.

    A linear mean of two neighbours is the mean over a pixel that lies between them. By area the last pixels
    are those that stand there.
    """
    place = tf.cast(tf.range(count + 1), tf.float32)[None, :] * step[:, None]
    place = tf.floor(place * STEPS + 1e-3) / STEPS
    first, last = place[:, :-1], place[:, 1:]
    at_end = tf.floor(last) > limit[:, None] - 2
    by_area = by_area[:, None]
    first = tf.where(by_area & at_end, tf.floor(first), first)
    return first, tf.where(by_area & tf.logical_not(at_end), last, first + 1.0)


def _prefix_at(prefix, position):
    """Prefix sums ``[batch, steps + 1, values]`` at positions between steps."""
    below = tf.floor(position)
    index = tf.cast(below, tf.int32)
    above = tf.minimum(index + 1, tf.shape(prefix)[1] - 1)
    left = tf.gather(prefix, index, batch_dims=1)
    return left + (position - below)[:, :, None] * (tf.gather(prefix, above, batch_dims=1) - left)


def _sharpened(pixels, columns, scale, by_area):
    """Unsharp masking: what stands out of its surroundings does so a little more, but for the border."""
    shape = tf.shape(pixels)
    column, row = tf.range(shape[1], dtype=tf.float32)[None, :, None], tf.range(shape[2], dtype=tf.float32)
    # No box reaches beyond a line's end, whose border stays.
    found = pixels
    for around, share, where in ((1, 0.2, by_area), (2, 0.4, tf.logical_not(by_area))):
        side = 2 * around + 1
        means = tf.nn.avg_pool2d(pixels[:, :, :, None], side, 1, "SAME")[:, :, :, 0]
        inner = (column >= around) & (column < columns[:, None, None] - around)
        inner &= (row >= around) & (row < tf.cast(shape[2], tf.float32) - around)
        sharper = tf.clip_by_value(tf.floor(pixels + share * (pixels - means) + 0.5), 0.0, 255.0)
        chosen = where & (scale > SHARPENED[0]) & (scale < SHARPENED[1])
        found = tf.where(chosen[:, None, None] & inner, sharper, found)
    return found


def _black_and_white(line, within):
    """The lower quartile of the minima and the upper of the maxima along rows ``[batch, columns]``."""
    before, here, after = line[:, :-2], line[:, 1:-1], line[:, 2:]
    inner = within[:, 2:]
    low = ((here < before) & (here <= after)) | ((here <= before) & (here < after))
    high = ((here > before) & (here >= after)) | ((here >= before) & (here > after))
    return _quantile(here, low & inner, 0.25, 0.0), _quantile(here, high & inner, 0.75, 255.0)


def _quantile(values, chosen, share, otherwise):
    """Of whole numbers ``[batch, count]``, each spread over the unit above it, those that are ``chosen``.

    Where none is, ``otherwise`` is the only one.
    """
    count = tf.reduce_sum(tf.cast(chosen, tf.float32), 1)
    target = tf.maximum(tf.floor(share * count + 0.5), 1.0)
    low, high = tf.zeros_like(target), tf.fill(tf.shape(target), 255.0)
    for _ in range(8):  # bisection for the least value up to which there are as many
        middle = tf.floor((low + high) / 2)
        enough = _up_to(values, chosen, middle) >= target
        low, high = tf.where(enough, low, middle + 1), tf.where(enough, middle, high)
    at = high
    up_to = _up_to(values, chosen, at)
    equal = up_to - _up_to(values, chosen, at - 1)
    found = at + 1.0 - (up_to - target) / tf.maximum(equal, 1.0)
    return tf.where(count > 0, found, otherwise + 1.0)


def _up_to(values, chosen, limit):
    return tf.reduce_sum(tf.cast(chosen & (values <= limit[:, None]), tf.float32), 1)
