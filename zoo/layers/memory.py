"""Recurrent layers without gates that keep a state for long, and all layers by the name of their kind.

All are ``h_t = f(W x_t + b + U h_(t-1))`` with something fixed, left out or added. Goodfellow, Bengio,
Courville 2016, "Deep Learning", sections 10.7 to 10.9, surveys them, ``docs/memory.md`` measures them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from zoo.layers.recurrent import (
    GRU,
    LSTM,
    FastToTrain,
    SimpleRNN,
    all_steps,
    batch_first,
    read,
    rnn_steps,
    slope_of,
    zeros,
)


class _Fixable:
    """Before a recurrent layer with an attribute ``fixed``: whether its recurrent weights are not trained."""

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape, initial_state_shape)
        self.cell.recurrent_kernel.trainable = not self.fixed

    def get_config(self):
        return super().get_config() | {"fixed": self.fixed}


@keras.saving.register_keras_serializable("seqzoo")
class IdentityRNN(_Fixable, SimpleRNN):
    """A plain RNN of rectified units with the identity in its memory: ``h_t = relu(W x_t + b + h_(t-1))``.

    Le, Jaitly, Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units". They
    only begin with the identity and train it, as ``fixed=False`` does; ``fixed=True`` keeps it.
    """

    def __init__(
        self, units: int, fixed: bool = True, activation: Any = "relu",
        recurrent_initializer: Any = "identity", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(units, activation=activation, recurrent_initializer=recurrent_initializer, **kwargs)
        self.fixed = fixed


class _OfCell(FastToTrain, layers.RNN):
    """A layer of one of the cells below, ``cell_class``; it takes the cell's options and a layer's."""

    cell_class = None
    options = ()
    use_bias, dropout, recurrent_dropout = True, 0.0, 0.0

    def __init__(self, units, **kwargs):
        given = {name: kwargs.pop(name) for name in self.options if name in kwargs}
        layers.RNN.__init__(self, self.cell_class(units, **given), **kwargs | {"return_sequences": True})
        self.units = units

    @property
    def activation(self):
        return self.cell.activation

    def get_config(self):
        config, cell = super().get_config(), self.cell.get_config()
        del config["cell"]
        return config | {name: cell[name] for name in ("units", *self.options)}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("seqzoo")
class LinearCell(layers.SimpleRNNCell):
    """One step of ``LinearRNN``; the options are those of ``keras.layers.SimpleRNNCell``."""

    def call(self, sequence: Any, states: Any, training: bool | None = False) -> tuple[Any, list]:
        output = self.given(sequence) + ops.matmul(states[0], self.recurrent_kernel)
        return output, [output]

    def given(self, sequence: Any) -> Any:
        """The input's part of a step or of all steps, ``[..., units]``."""
        return self.activation(ops.matmul(sequence, self.kernel) + self.bias)


@keras.saving.register_keras_serializable("seqzoo")
class LinearRNN(_Fixable, _OfCell):
    """An RNN without an activation on its recurrent path: ``h_t = f(W x_t + b) + U h_(t-1)``.

    Influence over a lag of k is that of ``U^k`` alone, whatever the input (Goodfellow et al., section
    10.9.2): at ``U = 1``, where training begins, it neither decays nor explodes.

    Args:
        units: int.
        fixed: keep ``U`` as it begins; with the identity, the constant error carrousel that LSTM puts gates
            around (Hochreiter & Schmidhuber 1997, section 3.2).
        activation: ``f``, on the input's path.
        kernel_initializer, recurrent_initializer: as in ``keras.layers.SimpleRNN``.
        kwargs: of ``keras.layers.RNN``; the full sequence is always returned.
    """

    cell_class = LinearCell
    options = ("activation", "kernel_initializer", "recurrent_initializer")

    def __init__(
        self, units: int, fixed: bool = False, recurrent_initializer: Any = "identity", **kwargs: Any
    ) -> None:
        super().__init__(units, recurrent_initializer=recurrent_initializer, **kwargs)
        self.fixed = fixed

    def _train(self, sequences, states=None):
        (h,) = states or [zeros(sequences, self.units)]
        given = ops.transpose(self.cell.given(sequences), (1, 0, 2))
        steps = rnn_steps(keras.activations.linear)
        return batch_first([steps(given, read(self.cell.recurrent_kernel, sequences), h[None])])


@keras.saving.register_keras_serializable("seqzoo")
class SkipCell(layers.Layer):
    """One step of ``SkipRNN``. Its state is the outputs of the last ``max(delays)`` steps, latest first."""

    def __init__(
        self, units: int, delays: Sequence[int] = (1, 8, 64), removed: float = 0.0, activation: Any = "tanh",
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units, self.delays, self.removed = units, tuple(sorted(set(delays))), removed
        if not self.delays or self.delays[0] < 1:
            raise ValueError(f"delays are steps, 1 at least, not {delays!r}")
        if not 0 <= removed <= 1 or (removed and len(self.delays) < 2):
            raise ValueError("removed is a share of the units, which need a longer delay than the shortest")
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.state_size, self.output_size = self.delays[-1] * units, units

    def build(self, shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        # Several matrices add up: each weaker, so that what comes back is as large as it was.
        self.recurrent_kernels = [
            self.add_weight(
                shape=(self.units, self.units), initializer=self._weaker, name=f"recurrent_kernel_{delay}"
            )
            for delay in self.delays
        ]
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def _weaker(self, shape, dtype=None):
        return self.recurrent_initializer(shape, dtype) / len(self.delays) ** 0.5

    def stacked_kernel(self) -> Any:
        """The recurrent weights of all delays, one below the other, ``[delays * units, units]``."""
        kernels = [ops.convert_to_tensor(kernel) for kernel in self.recurrent_kernels]
        kept = ops.arange(self.units, dtype="int32") < round(self.units * (1 - self.removed))
        kernels[0] = kernels[0] * ops.cast(kept, kernels[0].dtype)
        return ops.concatenate(kernels, 0)

    def call(self, inputs: Any, states: Any, training: bool | None = False) -> tuple[Any, list]:
        past, units = states[0], self.units
        delayed = ops.concatenate([past[:, (d - 1) * units : d * units] for d in self.delays], -1)
        summed = ops.matmul(inputs, self.kernel) + self.bias
        output = self.activation(summed + ops.matmul(delayed, self.stacked_kernel()))
        return output, [ops.concatenate([output, past[:, :-units]], -1)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units,
            "delays": self.delays,
            "removed": self.removed,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }


@keras.saving.register_keras_serializable("seqzoo")
class SkipRNN(_OfCell):
    """An RNN with connections over longer delays: ``h_t = f(W x_t + b + sum_d U_d h_(t-d))``.

    Influence over a lag of k takes k / d steps where it takes the longest delay d (Lin, Horne, Tino, Giles
    1996, "Learning long-term dependencies in NARX recurrent neural networks"; Zhang et al. 2016,
    "Architectural Complexity Measures of Recurrent Neural Networks"). Of the units that ``removed`` is a
    share of, the last ones, the connections of the shortest delay are removed, so that they have to work on
    a longer time scale (El Hihi & Bengio 1996, "Hierarchical Recurrent Neural Networks for Long-Term
    Dependencies"; Goodfellow et al., section 10.9.3, "Removing connections").

    Its state in ``Recurrent`` is that of ``SkipCell``, ``[batch, max(delays) * units]``.

    Args:
        units: int.
        delays: steps.
        removed: share of units without the shortest delay.
        activation, kernel_initializer, recurrent_initializer: as in ``keras.layers.SimpleRNN``.
        kwargs: of ``keras.layers.RNN``; the full sequence is always returned.
    """

    cell_class = SkipCell
    options = ("delays", "removed", "activation", "kernel_initializer", "recurrent_initializer")

    def fast(self) -> bool:
        return slope_of(self.activation) is not None and super().fast()

    def _train(self, sequences, states=None):
        cell = self.cell
        summed = all_steps(sequences, read(cell.kernel, sequences), read(cell.bias, sequences))
        (past,) = states or [zeros(sequences, cell.state_size)]
        steps = rnn_steps(self.activation, cell.delays)
        past = self._split(past)
        outputs = steps(summed, cell.stacked_kernel(), past)
        return [*batch_first([outputs]), ops.concatenate([past, outputs], 0)]

    def last_states(self, series: Any, lengths: Any) -> list:
        held, delays = ops.transpose(series[1], (1, 0, 2)), self.cell.delays
        if lengths is None:
            lengths = ops.full((ops.shape(held)[0],), ops.shape(held)[1] - delays[-1], "int32")
        steps = lengths[:, None] + delays[-1] - 1 - ops.arange(delays[-1], dtype="int32")[None, :]
        return [ops.reshape(ops.take_along_axis(held, steps[:, :, None], 1), (-1, self.cell.state_size))]

    def _split(self, past):
        """A state as ``[max delay, batch, units]``, the first step first."""
        rows = ops.reshape(past, (-1, self.cell.delays[-1], self.units))
        return ops.flip(ops.transpose(rows, (1, 0, 2)), 0)


def make_recurrent(kind: str, units: int, **settings: Any) -> keras.layers.Layer:
    """A recurrent layer of the full sequence, ``[batch, time, features]`` -> ``[batch, time, units]``.

    Args:
        kind: a key of ``KINDS``.
        units: int.
        settings: further arguments of the layer.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"a recurrent layer is one of {', '.join(KINDS)}, not {kind!r}")
    return KINDS[kind](units, **settings)


KINDS = {
    "simple": SimpleRNN,
    "identity": IdentityRNN,
    "irnn": functools.partial(IdentityRNN, fixed=False),
    "linear": LinearRNN,
    "carrousel": functools.partial(LinearRNN, fixed=True),
    "skip": SkipRNN,
    "removed": functools.partial(SkipRNN, removed=0.5),
    "gru": GRU,
    "lstm": LSTM,
}
