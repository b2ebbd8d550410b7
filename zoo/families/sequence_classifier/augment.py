"""Augmentation of sequences in tf.data: the same movement made by another, elsewhere, at another speed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from zoo.families.sequence_classifier.network import SequenceClassifierConfig


def vary(values: Any, config: SequenceClassifierConfig, seed: Any) -> Any:
    """A random variant of a sequence.

    Args:
        values: float32 ``[steps, channels]`` with NaN for what is missing.
        config: a ``SequenceClassifierConfig``.
        seed: int ``[2]``; the same seed gives the same variant.

    Returns:
        float32 ``[steps', channels]``, no more than ``config.window`` steps.
    """
    seeds = iter(tf.unstack(tf.random.experimental.stateless_split(seed, 10)))
    if config.zeros_missing:  # before anything goes between them and others
        points = tf.reshape(values, (tf.shape(values)[0], -1, config.axes))
        unseen = tf.reduce_all(points == 0, -1, keepdims=True)
        values = tf.reshape(tf.where(unseen, math.nan, points), tf.shape(values))
    varied = _in_time(values, config, seeds)
    shape = tf.shape(varied)
    points = tf.reshape(varied - config.zero, (shape[0], -1, config.axes))
    if config.mirror:
        points = _mirrored(points, config.mirror, next(seeds))
    if config.rotate:
        points = points @ _rotation(config, next(seeds), next(seeds))
    if config.scale:
        points *= tf.exp(config.scale * tf.random.stateless_normal((config.axes,), next(seeds)))
    if config.drop_points:
        dropped = tf.random.stateless_uniform((1, tf.shape(points)[1], 1), next(seeds)) < config.drop_points
        points = tf.where(dropped, math.nan, points)
    varied = tf.reshape(points, shape) + config.zero
    if config.noise:
        known = tf.math.is_finite(varied)
        count = tf.maximum(tf.reduce_sum(tf.cast(known, tf.float32), 0), 1)
        mean = tf.reduce_sum(tf.where(known, varied, 0), 0) / count
        spread = tf.sqrt(tf.reduce_sum(tf.where(known, varied - mean, 0) ** 2, 0) / count)
        varied += config.noise * spread * tf.random.stateless_normal(shape, next(seeds))
    return tf.ensure_shape(varied, (None, values.shape[1]))


def _in_time(values, config, seeds):
    """A stretch of the sequence at another speed, which changes on the way; linear between steps."""
    chance = tf.unstack(tf.random.stateless_uniform((4,), next(seeds)))
    speed = tf.exp(config.warp * tf.random.stateless_normal((), next(seeds)))
    last = tf.cast(tf.shape(values)[0] - 1, tf.float32)
    begin, end = chance[0] * config.crop * last, last - chance[1] * config.crop * last
    # Of a sequence longer than a window, as much as makes one.
    length = tf.minimum(end - begin, (config.window - 1) * speed)
    begin += chance[2] * (end - begin - length)
    count = tf.cast(tf.round(length / speed), tf.int32) + 1
    count = tf.clip_by_value(count, 1, config.window)
    at = tf.linspace(0.0, 1.0, count)
    at += tf.minimum(1.0, 4 * config.warp) * (chance[3] - 0.5) * tf.sin(math.pi * at) * at * (1 - at)
    at = tf.clip_by_value(begin + length * at, 0.0, last)
    first = tf.cast(tf.floor(at), tf.int32)
    after = tf.minimum(first + 1, tf.shape(values)[0] - 1)
    share = (at - tf.cast(first, tf.float32))[:, None]
    one, other = tf.gather(values, first), tf.gather(values, after)
    # Beside what is missing there is nothing to go between.
    between = tf.where(share > 0, (1 - share) * one + share * other, one)
    return tf.where(tf.math.is_finite(between), between, tf.where(share < 0.5, one, other))


def _mirrored(points, pairs, seed):
    """Half of the time, with the points of each pair in one another's place and the first axis reversed."""
    count = points.shape[1] or tf.shape(points)[1]
    order = tf.range(count)
    left, right = zip(*pairs, strict=True)
    order = tf.tensor_scatter_nd_update(order, [[i] for i in (*left, *right)], [*right, *left])
    sign = tf.concat([[-1.0], tf.ones(points.shape[2] - 1)], 0)
    return tf.where(
        tf.random.stateless_uniform((), seed) < 0.5, tf.gather(points, order, axis=1) * sign, points
    )


def _rotation(config, seed, axis_seed):
    """A matrix ``[3, 3]`` that turns rows (Rodrigues' formula)."""
    angle = config.rotate * tf.random.stateless_uniform((), seed, -1.0, 1.0)
    axis = tf.random.stateless_normal((3,), axis_seed)
    if config.rotate_axis != "any":
        axis = tf.one_hot("xyz".index(config.rotate_axis), 3)
    x, y, z = tf.unstack(axis / tf.norm(axis))
    cross = tf.reshape(tf.stack([0.0, -z, y, z, 0.0, -x, -y, x, 0.0]), (3, 3))
    return tf.eye(3) + tf.sin(angle) * cross + (1 - tf.cos(angle)) * cross @ cross
