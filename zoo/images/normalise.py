"""Line images as networks see them: of one height, ink 1 on paper 0; as TensorFlow operations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def normalise_height(image: Any, size: Any, height: int, multiple: int = 1) -> tuple[Any, Any]:
    """Grey, height-normalised lines with ink 1 on paper 0, from a padded batch.

    Every image is resampled with its own scale by the mean over the area of each new pixel (where it is
    enlarged, linearly). Paper and ink are the means of the pixels lighter and darker than the mean; light
    text on a dark ground is turned round.

    Args:
        image: uint8 ``[batch, height, width, channels]``, grey or RGB, padded at right and bottom.
        size: int32 ``[batch, 2]``, height and width of each image within the padding, pixels.
        height: pixels that every line is scaled to; widths follow.
        multiple: the new width is a multiple of this many columns.

    Returns:
        float32 ``[batch, columns, height]``, zero beyond each line's end, and float32 ``[batch]``, the
        columns of each line: ``columns_at_height``.
    """
    rows, columns = tf.cast(size[:, 0], tf.float32), tf.cast(size[:, 1], tf.float32)
    scale = _scale(rows, height)
    new_columns = columns_at_height(rows, columns, height)
    width = tf.cast(tf.reduce_max(new_columns), tf.int32)
    width = (width + multiple - 1) // multiple * multiple

    # Along the line: means as differences of prefix sums, exact in float32 for whole grey values.
    # The mean over the channels as a product, which onnxruntime does in half the time.
    channels = tf.shape(image)[3]
    share = tf.fill((channels, 1), 1 / tf.cast(channels, tf.float32))
    grey = tf.matmul(tf.cast(image, tf.float32), share)[..., 0]  # [batch, height, width]
    prefix = tf.cumsum(tf.transpose(tf.round(grey), (0, 2, 1)), axis=1)
    prefix = tf.pad(prefix, ((0, 0), (1, 0), (0, 0)))  # [batch, width + 1, height]
    first, last = _new_pixel_edges(width, scale, columns)

    def prefix_at(position):
        below = tf.floor(position)
        index = tf.cast(below, tf.int32)
        above = tf.minimum(index + 1, tf.shape(prefix)[1] - 1)
        share = (position - below)[:, :, None]
        left = tf.gather(prefix, index, batch_dims=1)
        return left + share * (tf.gather(prefix, above, batch_dims=1) - left)

    means = (prefix_at(last) - prefix_at(first)) / (last - first)[:, :, None]

    # Across it: the same means as a small matrix for each image.
    first, last = _new_pixel_edges(tf.constant(height), scale, rows)
    row = tf.range(tf.shape(image)[1], dtype=tf.float32)[None, :, None]
    overlap = tf.minimum(last[:, None, :], row + 1) - tf.maximum(first[:, None, :], row)
    overlap = tf.maximum(overlap, 0.0) / (last - first)[:, None, :]  # [batch, height, new rows]
    means = tf.matmul(means, overlap)  # [batch, columns, new rows]

    column = tf.range(width, dtype=tf.float32)[None, :]
    valid = tf.cast(column < new_columns[:, None], tf.float32)[:, :, None]
    pixels = new_columns[:, None, None] * height

    def total(values):
        return tf.reduce_sum(values, axis=(1, 2), keepdims=True)

    means *= valid
    dark = tf.cast(means < total(means) / pixels, tf.float32) * valid
    dark_pixels, dark_means = total(dark), dark * means
    ink = total(dark_means) / tf.maximum(dark_pixels, 1.0)
    paper = total(means - dark_means) / tf.maximum(pixels - dark_pixels, 1.0)
    # Fewer grey values apart than this is paper grain, not print.
    contrast = tf.maximum(paper - ink, 24.0)
    turned = dark_pixels > 0.6 * pixels
    normal = (means - tf.where(turned, ink, paper)) * tf.where(turned, 1 / contrast, -1 / contrast)
    normal = tf.clip_by_value(normal, 0.0, 1.0) * valid
    return normal, new_columns


def columns_at_height(rows: Any, columns: Any, height: int) -> Any:
    """Heights and widths of lines in pixels -> columns when they are ``height`` pixels high, float32."""
    return tf.maximum(tf.round(tf.cast(columns, tf.float32) / _scale(rows, height)), 1.0)


def _scale(rows, height):
    """Given pixels per new pixel, float32: the product that a quotient would become when exported."""
    return tf.cast(rows, tf.float32) * (1 / height)


def _new_pixel_edges(count, scale, limit):
    """First and last source positions ``[batch, count]`` of ``count`` new pixels, ``scale`` apart.

    They are at least one source pixel apart: averaging over a whole pixel is linear interpolation.
    """
    centre = (tf.cast(tf.range(count), tf.float32)[None, :] + 0.5) * scale[:, None]
    half = tf.maximum(scale, 1.0)[:, None] / 2
    limit = limit[:, None]
    first = tf.clip_by_value(centre - half, 0.0, limit - 0.5)
    last = tf.clip_by_value(centre + half, 0.5, limit)
    return first, last
