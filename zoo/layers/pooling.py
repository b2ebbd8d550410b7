"""Many to one: what all steps of a sequence say, or all places of an image, as one vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

POOLING = ("last_state", "mean", "max", "mean_max")


@keras.saving.register_keras_serializable("seqzoo")
class Pooling(layers.Layer):
    """All steps of a sequence as one vector, in float32.

    Inputs: ``x`` ``[batch, time, features]``, what a recurrent layer gave, and int32 ``lengths`` ``[batch]``,
    1 or more. Output: ``[batch, features]``, of ``mean_max`` twice as many.

    Args:
        method: ``last_state``, what each direction says at its end; ``mean`` or ``max`` over all steps;
            ``mean_max``, these two side by side.
        directions: of the recurrent layer, side by side; the second has come to its end at the first step.
    """

    def __init__(self, method: str, directions: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method, self.directions = method, directions

    def call(self, x: Any, lengths: Any) -> Any:
        x, steps = ops.cast(x, "float32"), ops.arange(ops.shape(x)[1], dtype="int32")[None, :, None]
        lengths = lengths[:, None, None]
        if self.method == "last_state":
            last = ops.sum(x * ops.cast(steps == lengths - 1, "float32"), 1)
            if self.directions == 1:
                return last
            units = x.shape[-1] // 2
            return ops.concatenate([last[:, :units], x[:, 0, units:]], -1)
        within = ops.cast(steps < lengths, "float32")
        pooled = []
        if self.method.startswith("mean"):
            pooled.append(ops.sum(x * within, 1) / ops.cast(lengths[:, 0], "float32"))
        if self.method.endswith("max"):
            pooled.append(ops.max(x - 1e9 * (1 - within), 1))
        return pooled[0] if len(pooled) == 1 else ops.concatenate(pooled, -1)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        features = x.shape[-1] * (2 if self.method == "mean_max" else 1)
        return keras.KerasTensor((x.shape[0], features), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method, "directions": self.directions}


@keras.saving.register_keras_serializable("seqzoo")
class FeaturePoints(layers.Layer):
    """What an encoder found in an image, and where: of each feature four numbers, in float32.

    These are the logarithm of one and its largest value, the row and the column of the centre of its mass (-1
    to 1), and how far it is spread around that; mass is the square of a value, and where there is little of
    it all are near zero. Such points bind what to where, as those of the spatial
    softmax do (Levine et al. 2016, "End-to-End Training of Deep Visuomotor Policies", section 5.1),
    without a temperature.

    Input: ``x`` ``[batch, rows, columns, depth]``, 0 or more. Output: ``[batch, 4 * depth]``.
    """

    def call(self, x: Any) -> Any:
        x = ops.cast(x, "float32")
        row = ops.linspace(-1.0, 1.0, x.shape[1])[None, :, None, None]
        column = ops.linspace(-1.0, 1.0, x.shape[2])[None, None, :, None]
        mass = ops.square(x)
        mass = mass / (ops.sum(mass, (1, 2), keepdims=True) + 1)
        down, right = (ops.sum(mass * place, (1, 2), keepdims=True) for place in (row, column))
        spread = ops.sum(mass * (ops.square(row - down) + ops.square(column - right)), (1, 2))
        where = [down[:, 0, 0], right[:, 0, 0], ops.sqrt(spread + 1e-6)]
        return ops.concatenate([ops.log(1 + ops.max(x, (1, 2))), *where], -1)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((x.shape[0], 4 * x.shape[3]), "float32")
