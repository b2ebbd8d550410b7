"""Smoothing along an axis as matrices, each line of a batch with its own width; TensorFlow operations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gaussian(place: Any, spread: Any, mirror: Any = None) -> Any:
    """Weights ``[batch, places, places]`` of a Gaussian, cut at four times its standard deviation.

    Args:
        place: float64, as many places as there are, counted from 0; in any shape, as ``spread``.
        spread: float64, the standard deviation for each line of the batch.
        mirror: ``[batch]``, the end of the line at which what it weighs is mirrored; None for none.
    """
    spread, here, there = (tf.reshape(*one) for one in
                           ((spread, (-1, 1, 1)), (place, (1, -1, 1)), (place, (1, 1, -1))))  # fmt: skip
    apart = here - there
    if mirror is not None:
        apart = here + there + 1.0 - 2.0 * tf.reshape(mirror, (-1, 1, 1))
    reach = tf.floor(4.0 * spread + 0.5)
    taps = tf.reshape(tf.range(-tf.reduce_max(reach), tf.reduce_max(reach) + 1.0), (1, 1, -1))
    whole = tf.where(tf.abs(taps) <= reach, tf.exp(-0.5 * (taps / spread) ** 2), 0.0)
    weights = tf.where(tf.abs(apart) <= reach, tf.exp(-0.5 * (apart / spread) ** 2), 0.0)
    return weights / tf.reduce_sum(whole, 2, keepdims=True)


def box(place: Any, count: Any) -> Any:
    """Weights ``[batch, places, places]`` of the mean over ``count`` places around each, one of each line."""
    count = tf.maximum(tf.reshape(count, (-1, 1, 1)), 1.0)
    first = tf.reshape(place, (1, -1, 1)) - tf.floor(count / 2)
    other = tf.reshape(place, (1, 1, -1))
    return tf.cast((other >= first) & (other < first + count), tf.float64) / count
