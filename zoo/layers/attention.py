"""Attention: a decoder looks at what an encoder saw, again in each step."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("seqzoo")
class LuongAttention(layers.Layer):
    """Attention after the recurrent layers, Luong et al. 2015, equations 5 to 8, with the general score.

    Inputs: the decoder's outputs ``[batch, time, units]``, the encoder's ``[batch, source, features]`` and
    int32 ``lengths`` ``[batch]`` of the latter, or None where all of them count. Output: ``(outputs,
    weights)``, ``[batch, time, units]`` and float32 ``[batch, time, source]``.

    Args:
        units: of the outputs, those of the decoder and of this.
        scaled: divide the scores by the root of ``units`` (Vaswani et al. 2017, section 3.2.1): where what is
            looked at is large, softmax would see a single place from the beginning on, and hardly learn.
    """

    def __init__(self, units: int, scaled: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.scaled = units, scaled
        self._score = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="score")
        self._combine = layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="combine")

    def build(self, outputs_shape: tuple, memory_shape: tuple, lengths_shape: tuple | None = None) -> None:
        self._score.build(memory_shape)
        self._combine.build((*outputs_shape[:-1], outputs_shape[-1] + memory_shape[-1]))

    def keys(self, memory: Any) -> Any:
        """What a decoder's outputs are compared with."""
        keys = self._score(memory)
        return keys * self.units**-0.5 if self.scaled else keys

    def look(self, outputs: Any, memory: Any, keys: Any, lengths: Any = None) -> tuple[Any, Any]:
        # In float32: float16 ends at 65504, and eight bits are few to tell one of many places from another.
        scores = ops.cast(ops.matmul(outputs, ops.transpose(keys, (0, 2, 1))), "float32")
        if lengths is not None:
            beyond = ops.arange(ops.shape(memory)[1], dtype="int32")[None, :] >= lengths[:, None]
            scores -= 1e9 * ops.cast(beyond, "float32")[:, None]
        weights = ops.softmax(scores)
        context = ops.matmul(ops.cast(weights, memory.dtype), memory)
        return self._combine(ops.concatenate([context, outputs], -1)), weights

    def call(self, outputs: Any, memory: Any, lengths: Any = None) -> tuple[Any, Any]:
        return self.look(outputs, memory, self.keys(memory), lengths)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "scaled": self.scaled}
