"""Many to one: what all steps of a sequence say, as one vector."""

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

    def __init__(self, method, directions=2, **kwargs):
        super().__init__(**kwargs)
        self.method, self.directions = method, directions

    def call(self, x, lengths):
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

    def compute_output_spec(self, x, lengths):
        features = x.shape[-1] * (2 if self.method == "mean_max" else 1)
        return keras.KerasTensor((x.shape[0], features), "float32")

    def get_config(self):
        return {**super().get_config(), "method": self.method, "directions": self.directions}
