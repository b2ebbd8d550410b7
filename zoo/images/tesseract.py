"""Line images as Tesseract's networks see them, as TensorFlow operations.

Written from what Tesseract 5 (``lstm/input``, ``lstm/networkio``) and Leptonica (``pixScale``,
``pixUnsharpMasking``) are documented to do: lines are scaled to the network's height by the mean over the area of
each new pixel (below 0.7 of their height) or linearly, sharpened a little, and their contrast is stretched
between the dark and light pixels of the middle row.
"""

import tensorflow as tf

from zoo.images.normalise import columns_at_height

AREA = 0.7  # scales below are by area, others linear
SHARPENED = 0.2, 1.4  # scales between these are sharpened
STEPS = 16  # positions in the given image are told in so many parts of a pixel


def normalise_contrast(image, size, height, multiple=1):
    """Grey, height-normalised lines, dark -1 to light 1, from a padded batch.

    Light text on a dark ground is turned round, as Tesseract does where it then reads better.

    Args:
        image, size, height, multiple: as of ``zoo.images.normalise.normalise_height``.

    Returns:
        float32 ``[batch, columns, height]``, zero beyond each line's end, and float32 ``[batch]``, the columns
        of each line.
    """
    rows, columns = tf.cast(size[:, 0], tf.float32), tf.cast(size[:, 1], tf.float32)
    scale = height / rows
    new_columns = tf.maximum(tf.floor(scale * columns + 0.5), 1.0)
    width = tf.cast(tf.reduce_max(new_columns), tf.int32)
    width = (width + multiple - 1) // multiple * multiple
    grey = _grey(image)
    by_area = scale < AREA

    # A linear mean of two neighbours is the mean over a pixel that lies between them.
    first, last = _edges(width, columns / new_columns, by_area)
    prefix = tf.pad(tf.cumsum(tf.transpose(grey, (0, 2, 1)), axis=1), ((0, 0), (1, 0), (0, 0)))
    total = _prefix_at(prefix, tf.minimum(last, columns[:, None])) - _prefix_at(
        prefix, tf.minimum(first, columns[:, None])
    )
    end = tf.gather(tf.transpose(grey, (0, 2, 1)), size[:, 1] - 1, batch_dims=1)[
        :, None
    ]  # stands beyond it, too
    beyond = last - tf.maximum(first, tf.minimum(last, columns[:, None]))
    means = (total + beyond[:, :, None] * end) / (last - first)[:, :, None]  # [batch, columns, given rows]

    first, last = _edges(tf.constant(height), rows / height, by_area)
    row = tf.range(tf.shape(image)[1], dtype=tf.float32)[None, :, None]
    bottom = (
        row + 1 + 2 * tf.cast(row == rows[:, None, None] - 1, tf.float32)
    )  # the last stands beyond it, too
    overlap = tf.minimum(last[:, None, :], bottom) - tf.maximum(first[:, None, :], row)
    overlap = tf.where(row < rows[:, None, None], tf.maximum(overlap, 0.0), 0.0)
    scaled = tf.floor(tf.matmul(means, overlap / (last - first)[:, None, :]) + 0.5)

    pixels = tf.where(
        (rows == height)[:, None, None], scaled, _sharpened(scaled, new_columns, scale, by_area)
    )
    column = tf.range(width, dtype=tf.float32)[None, :]
    within = column < new_columns[:, None]
    valid = tf.cast(within, tf.float32)[:, :, None]
    middle = tf.reduce_sum(pixels * valid, (1, 2), keepdims=True) / (new_columns[:, None, None] * height)
    dark = tf.reduce_sum(tf.cast(pixels < middle, tf.float32) * valid, (1, 2)) / (new_columns * height)
    pixels = tf.where((dark > 0.6)[:, None, None], 255.0 - pixels, pixels)
    black, white = _black_and_white(pixels[:, :, height // 2], within, new_columns)
    half = (white - black) / 2
    half = tf.where(half > 0, half, 1.0)[:, None, None]
    return tf.clip_by_value((pixels - black[:, None, None]) / half - 1.0, -1.0, 1.0) * valid, new_columns


def _grey(image):
    """As Leptonica makes it of colours: float32 ``[batch, height, width]`` of whole numbers."""
    values = tf.cast(image, tf.float32)
    weights = tf.where(tf.shape(image)[3] == 1, [1.0, 0.0, 0.0], [0.3, 0.5, 0.2])[: tf.shape(image)[3]]
    return tf.floor(tf.reduce_sum(values * weights, -1) + 0.5)


def _edges(count, step, by_area):
    """First and last given position ``[batch, count]`` of ``count`` new pixels, ``step`` apart."""
    place = tf.cast(tf.range(count + 1), tf.float32)[None, :] * step[:, None]
    place = tf.floor(place * STEPS + 1e-3) / STEPS
    first = place[:, :-1]
    return first, tf.where(by_area[:, None], place[:, 1:], first + 1.0)


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


def _black_and_white(line, within, columns):
    """The lower quartile of the minima and the upper of the maxima along rows ``[batch, columns]``."""
    before, here, after = line[:, :-2], line[:, 1:-1], line[:, 2:]
    inner = within[:, 2:]
    low = ((here < before) & (here <= after)) | ((here <= before) & (here < after))
    high = ((here > before) & (here >= after)) | ((here >= before) & (here > after))
    return _quantile(here, low & inner, 0.25, 0.0), _quantile(here, high & inner, 0.75, 255.0)


def _quantile(values, chosen, share, otherwise):
    """Of whole numbers ``[batch, count]``, each spread over the unit above it; ``otherwise`` where none is chosen."""
    count = tf.reduce_sum(tf.cast(chosen, tf.float32), 1)
    target = tf.maximum(tf.floor(share * count + 0.5), 1.0)
    ordered = -tf.math.top_k(-tf.where(chosen, values, 1e6), tf.shape(values)[1])[0]
    at = tf.gather(ordered, tf.cast(target, tf.int32) - 1, batch_dims=1)
    up_to = tf.reduce_sum(tf.cast(chosen & (values <= at[:, None]), tf.float32), 1)
    equal = tf.reduce_sum(tf.cast(chosen & (values == at[:, None]), tf.float32), 1)
    found = at + 1.0 - (up_to - target) / tf.maximum(equal, 1.0)
    return tf.where(count > 0, found, otherwise + 1.0)
