"""Ink as networks see it: level, of one size, sampled at equal distances; as TensorFlow operations.

The pen's path is followed from the first point to the last, in the air from one stroke to the next, too
(Graves et al. 2009, "A Novel Connectionist System for Unconstrained Handwriting Recognition", section II.B,
for the steps; here the distance of samples, not their time, is made equal).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

FEATURES = 6  # of a sample: see ``sample_path``
STROKE = 0.4  # times the mean length of strokes: ink is at least taken for so high, as a minus sign is
WIDE = 3.0, 6.0  # width / height from which ink is made level in part, and fully


def normalise_size(points: Any, lengths: Any) -> tuple[Any, Any, Any]:
    """Ink made level, its size 1 and its top left corner 0.

    Args:
        points: float32 ``[batch, points, 3]``: x, y (downward) and 1 where a stroke ends, else 0.
        lengths: int32 ``[batch]``, the valid points, 1 or more.

    Returns:
        float32 ``[batch, points, 2]``, x and y in units of the ink's height, 0 beyond the end; float32
        ``[batch, points]``, the distance from each point to the next; float32 ``[batch, points]``, 1 where a
        stroke ends, as it does at the last point.
    """
    count = tf.shape(points)[1]
    place = tf.range(count, dtype=tf.int32)[None, :]
    valid = tf.cast(place < lengths[:, None], tf.float32)
    x, y = points[:, :, 0], points[:, :, 1]
    ends = valid * tf.maximum(points[:, :, 2], tf.cast(place == lengths[:, None] - 1, tf.float32))

    def least(values):
        return tf.reduce_min(tf.where(valid > 0, values, 3e38), 1, keepdims=True)

    def most(values):
        return tf.reduce_max(tf.where(valid > 0, values, -3e38), 1, keepdims=True)

    x, y = (x - least(x)) * valid, (y - least(y)) * valid
    unit = tf.maximum(tf.maximum(most(x), most(y)), 1e-9)  # coordinates may be tiny, or huge
    x, y = x / unit, y / unit

    def steps(values):  # to the next point
        return tf.concat([values[:, 1:] - values[:, :-1], tf.zeros_like(values[:, :1])], 1) * not_last

    not_last = tf.cast(place < lengths[:, None] - 1, tf.float32)
    down = not_last * (1 - ends)
    long = tf.sqrt(steps(x) ** 2 + steps(y) ** 2) * down
    weight = long + 1e-6 * valid

    def mean(values):
        return tf.reduce_sum(values * weight, 1, keepdims=True) / tf.reduce_sum(weight, 1, keepdims=True)

    middle = mean(x)
    slope = mean((x - middle) * y) / tf.maximum(mean((x - middle) ** 2), 1e-9)
    wide = most(x) / tf.maximum(most(y), 1e-9)
    level = tf.clip_by_value((wide - WIDE[0]) / (WIDE[1] - WIDE[0]), 0.0, 1.0)
    y = y - level * slope * x
    y = (y - least(y)) * valid
    long = tf.sqrt(steps(x) ** 2 + steps(y) ** 2)
    strokes = tf.reduce_sum(ends, 1, keepdims=True)
    stroke = tf.reduce_sum(long * down, 1, keepdims=True) / strokes
    size = tf.maximum(tf.maximum(most(y), STROKE * stroke), 1e-6)
    path = tf.stack([x, y], -1) / size[:, :, None]
    return path, long / size, ends


def sample_path(
    points: Any, lengths: Any, step: float, air: float, hold: int, multiple: int = 1
) -> tuple[Any, Any, Any]:
    """Samples of the pen's path.

    Args:
        points, lengths: as of ``normalise_size``.
        step: distance of samples, in heights of the ink.
        air: how much of a distance counts where the pen is in the air.
        hold: samples for which the pen is held at the end of a stroke, without which a dot had none.
        multiple: the number of samples is a multiple of this, padded with zeros.

    Returns:
        float32 ``[batch, samples, FEATURES]``: the step from the sample before along x and y and its
        direction (cosine, sine), y from the middle, and 1 where the pen is in the air; int32 ``[batch]``, how
        many samples count; float32 ``[batch, samples]``, the place of each among the points: 3.5 is half-way
        between points 3 and 4.
    """
    path, long, ends = normalise_size(points, lengths)
    before, total, held = _along(long, ends, step, air, hold)
    counts = tf.cast(total / step, tf.int32) + 1
    most = (tf.reduce_max(counts) + multiple - 1) // multiple * multiple
    number = tf.range(most, dtype=tf.int32)
    at = tf.minimum(tf.cast(number, tf.float32)[None, :] * step, total[:, None])
    # The last point that lies before a sample, or at it.
    valid = tf.range(tf.shape(points)[1], dtype=tf.int32)[None, :] < lengths[:, None]
    starts = tf.where(valid, before, 3e38)
    passed = tf.reduce_sum(tf.cast(starts[:, None, :] <= at[:, :, None], tf.int32), -1)
    index = tf.maximum(passed - 1, 0)
    after = tf.minimum(index + 1, lengths[:, None] - 1)

    def pick(values, places):
        return tf.gather(values, places, batch_dims=1)

    ended, hold_here = pick(ends, index), pick(held, index)
    beyond = at - pick(before, index) - hold_here
    reach = pick(long, index) * tf.where(ended > 0, air, 1.0)
    # What is nearer than can be told apart is one place, as what is after the last point.
    share = tf.where(reach > 1e-5, beyond / tf.maximum(reach, 1e-5), 0.0)
    share = tf.clip_by_value(share, 0.0, 1.0)[:, :, None]
    place = pick(path, index) * (1 - share) + pick(path, after) * share
    up = ended * tf.cast(beyond > 0, tf.float32)
    moved = tf.concat([tf.zeros_like(place[:, :1]), place[:, 1:] - place[:, :-1]], 1) / step
    size = tf.sqrt(tf.reduce_sum(moved**2, -1, keepdims=True))
    direction = moved / tf.maximum(size, 0.3)  # that of a step that hardly moves is a matter of rounding
    moved = moved / tf.maximum(size / 4, 1.0)  # far jumps are all alike
    features = tf.concat([moved, direction, place[:, :, 1:] - 0.5, up[:, :, None]], -1)
    within = tf.cast(number[None, :] < counts[:, None], tf.float32)
    return features * within[:, :, None], counts, tf.cast(index, tf.float32) + share[:, :, 0]


def sample_counts(points: Any, lengths: Any, step: float, air: float, hold: int) -> Any:
    """How many samples ``sample_path`` takes of each: int32 ``[batch]``."""
    _, long, ends = normalise_size(points, lengths)
    return tf.cast(_along(long, ends, step, air, hold)[1] / step, tf.int32) + 1


def _along(long, ends, step, air, hold):
    """What counts of the path before each point, in all, and of what the pen is held at it."""
    held = ends * (hold * step)
    counted = held + long * (1 - (1 - air) * ends)
    before = tf.cumsum(counted, 1, exclusive=True)
    return before, tf.reduce_sum(counted, 1), held
