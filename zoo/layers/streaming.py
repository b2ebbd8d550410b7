"""Layers that hear a sequence piece by piece: each begins with what the piece before left it.

Whatever the pieces, together they give what the whole gives. What is kept is zeros before the first.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from zoo.layers.recurrent import steps_within


@keras.saving.register_keras_serializable("seqzoo")
class Carry(layers.Layer):
    """Put the last steps of the piece before in front of this one.

    Inputs: ``x`` ``[batch, time, features]``, int32 ``lengths`` ``[batch]``, and ``kept`` ``[batch, steps,
    features]``. Output: ``(joined, kept)``: ``[batch, steps + time, features]`` and the last steps of each
    sequence, to be kept for the next piece.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})  # bfloat16 would spoil sound

    def call(self, x: Any, lengths: Any, kept: Any) -> tuple[Any, Any]:
        joined = ops.concatenate([kept, x], axis=1)
        last = lengths[:, None] + ops.arange(kept.shape[1], dtype="int32")[None, :]
        return joined, ops.take_along_axis(joined, last[:, :, None], axis=1)

    def compute_output_spec(self, x: Any, lengths: Any, kept: Any) -> tuple[Any, Any]:
        time = None if x.shape[1] is None else x.shape[1] + kept.shape[1]
        joined = x.shape[0], time, x.shape[2]
        return keras.KerasTensor(joined, "float32"), keras.KerasTensor(kept.shape, "float32")


@keras.saving.register_keras_serializable("seqzoo")
class RunningNormalization(layers.Layer):
    """Give every feature mean 0 and variance 1 by what has been heard up to each step.

    Inputs: ``x`` float32 ``[batch, time, features]``, int32 ``lengths`` ``[batch]``, and ``sums`` float32
    ``[batch, 1, 2 * features + 1]``: the sums of each feature's distance from ``mean`` and of its square, and
    how many steps there were. Output: ``(x, sums)``, ``x`` with zeros beyond each length.

    Args:
        mean, variance: what is expected of a feature before anything is heard.
        weight: so many steps that expectation counts.
    """

    def __init__(self, mean: float, variance: float, weight: float = 100.0, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.mean, self.variance, self.weight = mean, variance, weight

    def call(self, x: Any, lengths: Any, sums: Any) -> tuple[Any, Any]:
        within, features = steps_within(lengths, x), x.shape[2]
        x = x - self.mean  # squares of small numbers lose little when they are subtracted
        steps = ops.concatenate([x, ops.square(x), ops.ones_like(x[:, :, :1])], axis=2)
        sums = sums + ops.cumsum(ops.where(within, steps, 0.0), axis=1)
        count = sums[:, :, -1:] + self.weight
        mean = sums[:, :, :features] / count
        square = (sums[:, :, features:-1] + self.weight * self.variance) / count
        variance = ops.maximum(square - ops.square(mean), 1e-3)
        return ops.where(within, (x - mean) * ops.rsqrt(variance), 0.0), sums[:, -1:]

    def compute_output_spec(self, x: Any, lengths: Any, sums: Any) -> tuple[Any, Any]:
        return keras.KerasTensor(x.shape, "float32"), keras.KerasTensor(sums.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        names = "mean variance weight".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("seqzoo")
class RowConvolution(layers.Layer):
    """Every feature's weighted sum of a step and those after it.

    Amodei et al. 2016, "Deep Speech 2", section 3.7.

    Input: ``[batch, future + time, features]``. Output: ``[batch, time, features]``.

    Args:
        future: how many steps after its own each step sees.
    """

    def __init__(self, future: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.future = future

    def build(self, shape: tuple) -> None:
        def itself(shape, dtype=None):  # at first each step is what it was
            return ops.concatenate([ops.ones((1, shape[1])), ops.zeros((shape[0] - 1, shape[1]))], axis=0)

        self.kernel = self.add_weight(shape=(self.future + 1, shape[-1]), initializer=itself, name="kernel")

    def call(self, x: Any) -> Any:
        time = ops.shape(x)[1] - self.future
        return sum(x[:, i : i + time] * self.kernel[i] for i in range(self.future + 1))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], None if shape[1] is None else shape[1] - self.future, shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "future": self.future}
