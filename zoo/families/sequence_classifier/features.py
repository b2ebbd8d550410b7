"""From the channels of a sequence to what the network sees of them, in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

if TYPE_CHECKING:
    from zoo.families.sequence_classifier.network import SequenceClassifierConfig

CLIP = 20.0  # deviations from the mean; what is further off counts as so far


class Features(layers.Layer):
    """Channels -> features: positions seen from a point, slow and fast part, velocities, magnitudes.

    Inputs: ``values`` float32 ``[batch, steps, channels]`` with NaN for what is missing; int32 ``lengths``
    ``[batch]``; int32 ``begin`` ``[batch]``, the steps at the front that do not count, or None. Output:
    float32 ``[batch, steps, features]`` with NaN for what is not known, as are all steps that do not count.

    Args:
        config: a ``SequenceClassifierConfig``.
        channels: int.
    """

    def __init__(self, config: SequenceClassifierConfig, channels: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.config, self.channels = config, channels
        self.points = channels // config.axes

    def call(self, values: Any, lengths: Any, begin: Any = None) -> Any:
        config, time = self.config, ops.shape(values)[1]
        counts = steps_between(time, lengths, begin)[:, :, None]
        values = ops.where(counts, values - config.zero, float("nan"))
        points = ops.reshape(values, (-1, time, self.points, config.axes))
        if config.zeros_missing:
            known = ops.any(points != -config.zero, -1, keepdims=True)
            points = ops.where(known, points, float("nan"))
        seen = points
        if config.origin >= 0:
            seen = points - points[:, :, config.origin : config.origin + 1]
        found = [seen]
        if config.gravity:
            slow = self._slow(seen)
            seen = seen - slow
            found = [slow, seen]
        if config.velocity:
            found.append(points - _delayed(points, config.velocity))
            if config.acceleration:
                found.append(found[-1] - _delayed(found[-1], 1))
        if config.magnitude:
            found.append(ops.sqrt(ops.sum(ops.square(seen), -1, keepdims=True)))
        found = [ops.reshape(one, (-1, time, self.points * one.shape[-1])) for one in found]
        found = ops.concatenate(found, -1)
        return ops.where(counts, found, float("nan"))

    def _slow(self, points):
        """The mean over ``gravity`` steps, up to each or around it, of what is known."""
        size, shape = self.config.gravity, ops.shape(points)
        known = ops.logical_not(ops.isnan(points))
        both = ops.stack([ops.where(known, points, 0.0), ops.cast(known, "float32")], -1)
        both = ops.reshape(both, (-1, shape[1], 2 * self.channels))
        before = size - 1 if self.config.directions == "forward" else size // 2
        both = ops.pad(both, ((0, 0), (before, size - 1 - before), (0, 0)))
        both = ops.average_pool(both, size, 1, "valid")
        total, count = ops.split(ops.reshape(both, (-1, shape[1], self.points, self.config.axes, 2)), 2, -1)
        return ops.where(count > 0, total / ops.maximum(count, 1e-6), float("nan"))[..., 0]

    @property
    def blocks(self) -> list[int]:
        """How many features there are of each kind, in their order: list of int."""
        config, blocks = self.config, [self.channels] * (1 + bool(self.config.gravity))
        blocks += [self.channels] * (bool(config.velocity) * (1 + config.acceleration))
        return blocks + [self.points] * config.magnitude

    @property
    def count(self) -> int:
        """How many features there are."""
        return sum(self.blocks)

    def compute_output_spec(self, values: Any, lengths: Any, begin: Any = None) -> Any:
        return keras.KerasTensor((*values.shape[:2], self.count), "float32")


class Standardise(layers.Layer):
    """Features with mean 0 and deviation 1; 0, the mean, for what is NaN.

    Args:
        mean, scale: lists of float, one for each feature.
    """

    def __init__(self, mean: Sequence[float], scale: Sequence[float], **kwargs: Any) -> None:
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.mean, self.scale = mean, scale

    def call(self, features: Any) -> Any:
        mean, scale = (ops.convert_to_tensor(x, "float32") for x in (self.mean, self.scale))
        return ops.clip(ops.where(ops.isnan(features), 0.0, (features - mean) / scale), -CLIP, CLIP)

    def compute_output_spec(self, features: Any) -> Any:
        return keras.KerasTensor(features.shape, "float32")


def steps_between(time: Any, lengths: Any, begin: Any = None) -> Any:
    """bool ``[batch, time]``: the steps from ``begin`` (None: the first) to before ``lengths``."""
    steps = ops.arange(time, dtype="int32")[None, :]
    within = steps < lengths[:, None]
    return within if begin is None else ops.logical_and(within, steps >= begin[:, None])


def _delayed(points, steps):
    """``[batch, time, ...]`` as it was so many steps ago, NaN before the first."""
    before = ops.full_like(points[:, :1], float("nan"))
    before = ops.concatenate([before] * steps, 1)
    time = ops.shape(points)[1]
    return ops.concatenate([before, points], 1)[:, :time]
