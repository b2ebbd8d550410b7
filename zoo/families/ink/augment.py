"""Augmentation of ink in tf.data: the same written by another hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from zoo.families.ink.network import InkConfig


def vary(points: Any, config: InkConfig, seed: Any) -> Any:
    """A random variant of ink.

    Args:
        points: float32 ``[points, 3]``: x, y and 1 where a stroke ends.
        config: an ``InkConfig``.
        seed: int ``[2]``; the same seed gives the same variant.

    Returns:
        float32 ``[points', 3]``.
    """
    seeds = iter(tf.unstack(tf.random.experimental.stateless_split(seed, 8)))
    count = tf.shape(points)[0]
    ends = points[:, 2] > 0
    inner = tf.concat([tf.zeros(1, bool), ~ends[1:] & ~ends[:-1]], 0)  # neither first nor last of a stroke
    kept = ~(inner & (tf.random.stateless_uniform((count,), next(seeds)) < config.drop_points))
    points = tf.boolean_mask(points, kept)
    place, ends = points[:, :2], points[:, 2:]
    place -= tf.reduce_min(place, 0)
    height = tf.maximum(tf.reduce_max(place[:, 1]), 0.1 * tf.reduce_max(place[:, 0]))
    height = tf.maximum(height, 1e-6)

    # Each stroke a little larger, elsewhere and turned.
    stroke = tf.cast(tf.cumsum(ends[:, 0], exclusive=True), tf.int32)
    strokes = tf.reduce_max(stroke) + 1
    ones = tf.ones_like(place[:, 0])
    middle = tf.math.unsorted_segment_sum(place, stroke, strokes)
    middle /= tf.maximum(tf.math.unsorted_segment_sum(ones, stroke, strokes), 1)[:, None]
    noise = tf.random.stateless_normal((strokes, 5), next(seeds))
    around = place - tf.gather(middle, stroke)
    noise = tf.gather(noise, stroke)
    around *= tf.exp(config.scale / 2 * noise[:, :2])
    angle = math.radians(config.rotate) * noise[:, 4]
    around = _turned(around, angle)
    place = tf.gather(middle, stroke) + around + config.jitter * height * noise[:, 2:4]

    # All of it stretched, slanted and turned.
    chance = tf.random.stateless_normal((4,), next(seeds))
    x, y = place[:, 0] * tf.exp(config.scale * chance[0]), place[:, 1] * tf.exp(config.scale * chance[1])
    x += config.slant * chance[2] * y
    width = tf.maximum(tf.reduce_max(x) - tf.reduce_min(x), 1e-6)
    # What is long is turned less, or it would no longer be a line.
    turn = math.radians(config.rotate) * chance[3] * tf.minimum(1.0, 3 * height / width)
    place = _turned(tf.stack([x, y], -1), turn)
    return tf.ensure_shape(tf.concat([place, ends], -1), (None, 3))


def _turned(place, angle):
    x, y = place[:, 0], place[:, 1]
    cos, sin = tf.cos(angle), tf.sin(angle)
    return tf.stack([x * cos - y * sin, x * sin + y * cos], -1)
