"""Augmentation of line images in the graph: what another scan of the same line might look like."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def augment_line(image: Any, seed: Any, columns: Any = None) -> Any:
    """A random variant of a line.

    Scale along and across the line, slant and skew, margins, thinner or thicker strokes, blur, contrast
    and noise, each with a random strength.

    Args:
        image: uint8 ``[height, width, 1]``, dark on light.
        seed: int ``[2]``; the same seed gives the same variant.
        columns: int ``[width]``, what is told of each pixel column, 0 of paper; or None.

    Returns:
        uint8 ``[height', width', 1]``; with ``columns`` that and the same of the new ones, ``[width']``.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    chance = tf.unstack(tf.random.stateless_uniform((16,), seeds[0]))

    def between(i, low, high):
        return low + chance[i] * (high - low)

    # Corner grey for what comes in from outside: the paper.
    height = tf.cast(tf.shape(image)[0], tf.float32)
    width = tf.cast(tf.shape(image)[1], tf.float32)
    grey = tf.cast(image, tf.float32)
    paper = tf.reduce_max(grey)

    # Half of the lines keep their tight crop; the others get margins, or lose a little of an edge.
    loose = tf.cast(chance[0] < 0.5, tf.float32)
    above = loose * height * between(1, -0.03, 0.22)
    below = loose * height * between(2, -0.03, 0.22)
    sides = height * between(3, 0.0, 0.5)
    stretch = tf.exp(between(4, -0.14, 0.14))
    new_height = tf.round(height + above + below)
    new_width = tf.round((width + 2 * sides) * stretch)
    slant = tf.where(chance[5] < 0.5, between(6, -0.12, 0.12), 0.0)
    skew = tf.where(chance[7] < 0.5, between(8, -1.0, 1.0) * tf.minimum(0.006, 0.1 * height / width), 0.0)
    # Output (x, y) -> input: x / stretch + slant (y - middle) - sides, y + skew (x - middle) - above.
    transform = tf.stack(
        [
            1 / stretch,
            slant,
            -sides - slant * new_height / 2,
            skew,
            1.0,
            -above - skew * new_width / 2,
            0.0,
            0.0,
        ]
    )
    grey = tf.raw_ops.ImageProjectiveTransformV3(
        images=grey[None],
        transforms=transform[None],
        output_shape=tf.cast(tf.stack([new_height, new_width]), tf.int32),
        fill_value=paper,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )

    # Each of the rest is computed for the lines that get it alone: it would be a tenth of a CPU's work.

    def strokes(grey):
        """Thicker: the darkest of 2x2 neighbours, in part. Thinner: the lightest."""
        weight = between(9, -0.7, 0.7)
        extreme = tf.sign(-weight) * tf.nn.max_pool2d(tf.sign(-weight) * grey, 2, 1, "SAME")
        return grey + tf.abs(weight) * (extreme - grey)

    def blur(grey):
        """With [a, 1 - 2a, a] both ways."""
        side = between(12, 0.0, 0.33)
        kernel = tf.stack([side, 1 - 2 * side, side])
        grey = tf.pad(grey, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
        grey = tf.nn.conv2d(grey, tf.reshape(kernel, (3, 1, 1, 1)), 1, "VALID")
        return tf.nn.conv2d(grey, tf.reshape(kernel, (1, 3, 1, 1)), 1, "VALID")

    def grain(grey):
        return grey + chance[14] * 28.0 * tf.random.stateless_normal(tf.shape(grey), seeds[1])

    grey = tf.cond(chance[10] < 0.5, lambda: strokes(grey), lambda: grey)
    grey = tf.cond(chance[11] < 0.4, lambda: blur(grey), lambda: grey)
    contrast = tf.where(chance[13] < 0.4, between(14, 0.35, 1.0), 1.0)  # faint print on grey paper
    grey = paper + (grey - paper) * contrast
    grey = tf.cond(chance[15] < 0.4, lambda: grain(grey), lambda: grey)[0]
    grey = tf.cast(tf.clip_by_value(tf.round(grey), 0.0, 255.0), tf.uint8)
    if columns is None:
        return grey
    # Slanted lines turn about their middle.
    source = tf.cast(tf.round(tf.range(new_width) / stretch - sides), tf.int32)
    inside = tf.logical_and(source >= 0, source < tf.size(columns))
    source = tf.clip_by_value(source, 0, tf.size(columns) - 1)
    return grey, tf.where(inside, tf.gather(columns, source), tf.zeros_like(source, columns.dtype))
