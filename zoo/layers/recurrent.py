"""Recurrent layers that are fast to train, and what honours the length of each sequence in a padded batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from zoo.backend import on_jax_gpu, visible_gpus

LARGE = 1e4  # where the gradient of a plain RNN's output is cut off


@keras.saving.register_keras_serializable("seqzoo")
class MaskByLength(layers.Layer):
    """Set the steps beyond each sequence's length to zero.

    Inputs: ``x`` ``[batch, time, ...]`` and int32 ``lengths`` ``[batch]``. After every convolution this
    keeps the padding as blank as what a convolution sees beyond the edge, so that padding never
    changes a result.
    """

    def call(self, x: Any, lengths: Any) -> Any:
        return x * ops.cast(steps_within(lengths, x), x.dtype)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def steps_within(lengths: Any, x: Any) -> Any:
    """bool ``[batch, time, 1, ...]``: which steps of ``x`` are within their sequence's length."""
    within = ops.arange(ops.shape(x)[1], dtype="int32")[None, :] < lengths[:, None]
    return ops.reshape(within, ops.shape(within) + (1,) * (len(x.shape) - 2))


def reverse_by_length(x: Any, lengths: Any) -> Any:
    """Reverse each sequence within its length, leaving the padding behind it in place.

    Args:
        x: ``[batch, time, features]``.
        lengths: int32 ``[batch]``.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)
    step = ops.arange(ops.shape(x)[1], dtype="int32")[None, :]
    step = ops.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)
    return ops.take_along_axis(x, step[:, :, None], axis=1)


class FastToTrain:
    """Before a Keras layer: the full sequence, and training by ``_train`` where ``fast()`` allows it.

    ``_train(sequences, states)`` gives a list of what each state was after every step, the outputs first,
    all ``[batch, time, units]``; ``last_states`` finds the last of each sequence in it.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **{**kwargs, "return_sequences": True})

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = False
    ) -> Any:
        if initial_state is not None or mask is not None or self.return_state or not training:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        return self._train(sequences)[0] if self.fast() else super().call(sequences, training=training)

    def fast(self) -> bool:
        return plain(self)

    def last_states(self, series: Any, lengths: Any) -> list:
        """The states after the last step of each sequence, from what ``_train`` gave."""
        if lengths is None:
            return [values[:, -1] for values in series]
        last = ops.maximum(lengths - 1, 0)[:, None, None]
        return [ops.take_along_axis(values, last, 1)[:, 0] for values in series]


@keras.saving.register_keras_serializable("seqzoo")
class LSTM(FastToTrain, layers.LSTM):
    """``keras.layers.LSTM`` (full sequence, no mask, no state), 1.3 to 1.5 times as fast to train on a CPU.

    There, Keras multiplies input and weights one step at a time and sums the weights' gradients in
    every step. Here both are one large matrix product over all steps (as Appleyard et al. 2016,
    "Optimizing performance of recurrent neural networks on GPUs", section 3.1, do); the loops are
    left with what really depends on the step before. Weights, results, and everything but training
    with TensorFlow on a CPU are as in Keras.

    On a GPU cuDNN computes it. Under JAX it does so in float32, whatever the policy: for 16 bits
    ``jaxlib.gpu_rnn`` raises "Unknown output type".
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        if on_jax_gpu():
            kwargs["dtype"] = "float32"
        super().__init__(units, **kwargs)

    def _train(self, sequences, states=None):
        cell = self.cell
        gates = all_steps(sequences, _gates_last(cell.kernel, sequences), _gates_last(cell.bias, sequences))
        h, c = states or [zeros(sequences, self.units)] * 2
        return batch_first(_lstm_steps()(gates, _gates_last(cell.recurrent_kernel, sequences), h, c))

    def fast(self) -> bool:
        usual = self.activation is keras.activations.tanh
        usual = usual and self.recurrent_activation is keras.activations.sigmoid
        return usual and plain(self) and not visible_gpus()  # where cuDNN is faster


@keras.saving.register_keras_serializable("seqzoo")
class GRU(FastToTrain, layers.GRU):
    """``keras.layers.GRU`` (full sequence, no mask, no state), as ``LSTM`` above is Keras's LSTM."""

    def _train(self, sequences, states=None):
        import tensorflow as tf

        kernel, recurrent = read(self.cell.kernel, sequences), read(self.cell.recurrent_kernel, sequences)
        bias, recurrent_bias = tf.unstack(read(self.cell.bias, sequences))
        gates = all_steps(sequences, kernel, bias)
        (h,) = states or [zeros(sequences, self.units)]
        return batch_first([_gru_steps()(gates, recurrent, recurrent_bias, h)])

    def fast(self) -> bool:
        usual = self.activation is keras.activations.tanh and self.reset_after
        usual = usual and self.recurrent_activation is keras.activations.sigmoid
        return usual and plain(self) and not visible_gpus()


@keras.saving.register_keras_serializable("seqzoo")
class SimpleRNN(FastToTrain, layers.SimpleRNN):
    """``keras.layers.SimpleRNN`` (full sequence, no mask, no state), as ``LSTM`` above is Keras's LSTM.

    That holds for the activations whose slope follows from what they give: tanh, ReLU, ``ClippedRelu`` and
    linear; and on a GPU, too, where Keras has nothing but its own loop for a layer without gates.
    """

    def _train(self, sequences, states=None):
        cell = self.cell
        summed = all_steps(sequences, read(cell.kernel, sequences), read(cell.bias, sequences))
        (h,) = states or [zeros(sequences, self.units)]
        recurrent = read(cell.recurrent_kernel, sequences)
        return batch_first([rnn_steps(self.activation)(summed, recurrent, h[None])])

    def fast(self) -> bool:
        return slope_of(self.activation) is not None and plain(self)


@keras.saving.register_keras_serializable("seqzoo")
class ClippedRelu:
    """``min(max(0, x), limit)``, Hannun et al. 2014, section 2: an activation that cannot blow up."""

    def __init__(self, limit: float = 20.0) -> None:
        self.limit = limit

    def __call__(self, x: Any) -> Any:
        return ops.clip(x, 0.0, self.limit)

    def __eq__(self, other):
        return isinstance(other, ClippedRelu) and self.limit == other.limit

    def __hash__(self):
        return hash(self.limit)

    def get_config(self) -> dict[str, float]:
        return {"limit": self.limit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ClippedRelu:
        return cls(**config)


def slope_of(activation: Callable) -> Callable | None:
    """The derivative of an activation as a function of its value, where there is one; None where not."""
    if activation is keras.activations.tanh:
        return lambda value: 1 - value * value
    if activation is keras.activations.relu:
        return lambda value: ops.cast(value > 0, value.dtype)
    if activation is keras.activations.linear:
        return ops.ones_like
    if isinstance(activation, ClippedRelu):
        return lambda value: ops.cast((value > 0) & (value < activation.limit), value.dtype)
    return None


def plain(layer: keras.layers.Layer) -> bool:
    """Whether TensorFlow computes, and a recurrent layer has nothing that the loops below leave out."""
    special = layer.go_backwards or layer.stateful or not layer.use_bias
    special = special or layer.dropout or layer.recurrent_dropout
    return keras.backend.backend() == "tensorflow" and not special


def all_steps(sequences: Any, kernel: Any, bias: Any) -> Any:
    """The input's part of every step at once: ``[batch, time, in]`` -> ``[time, batch, out]``."""
    import tensorflow as tf

    shape = tf.shape(sequences)
    flat = tf.reshape(tf.transpose(sequences, (1, 0, 2)), (-1, sequences.shape[2]))
    return tf.reshape(tf.matmul(flat, kernel) + bias, (shape[1], shape[0], kernel.shape[1]))


def read(variable: Any, like: Any) -> Any:
    """A variable's values as a tensor of the type of ``like``: custom gradients take no variables."""
    import tensorflow as tf

    return tf.cast(variable.value, like.dtype)


def zeros(sequences: Any, units: int) -> Any:
    return ops.zeros((ops.shape(sequences)[0], units), sequences.dtype)


def batch_first(series: Sequence) -> list:
    return [ops.transpose(values, (1, 0, 2)) for values in series]


def _gates_last(weights, like):
    """Keras's order of the gates (input, forget, candidate, output) with the candidate moved last."""
    i, f, c, o = ops.split(read(weights, like), 4, axis=-1)
    return ops.concatenate([i, f, o, c], axis=-1)


def _series(size, values):
    """The steps of ``values``, ``[time, ...]``, for a loop to read."""
    return _empty(size, values).unstack(values)


def _empty(size, like):
    """So many steps of the type of ``like``, for a loop to write."""
    import tensorflow as tf

    return tf.TensorArray(like.dtype, size=size, clear_after_read=False)


@functools.cache
def rnn_steps(activation: Callable, delays: tuple[int, ...] = (1,)) -> Callable:
    """The recurrent part of a plain RNN, and its gradient by hand (Werbos 1990).

    It sees the outputs of so many steps ago; the kernels of the delays are one below the other.
    """
    import tensorflow as tf

    slope, longest = slope_of(activation), delays[-1]

    @tf.custom_gradient
    def steps(summed, kernel, initial):
        """``[time, batch, units]`` without the recurrent part -> outputs ``[time, batch, units]``.

        ``kernel``: ``[delays * units, units]``. ``initial``: ``[longest delay, batch, units]``, the outputs
        before the first step.
        """
        time, units = tf.shape(summed)[0], kernel.shape[1]
        given = _series(time, summed)

        def delayed(outputs, t):
            seen = [outputs.read(t + longest - delay) for delay in delays]
            return tf.concat(seen, 1) if len(seen) > 1 else seen[0]

        def forward(t, outputs):
            h = activation(given.read(t) + tf.matmul(delayed(outputs, t), kernel))
            return t + 1, outputs.write(t + longest, h)

        state = (0, _series(time + longest, tf.concat([initial, tf.zeros_like(summed)], 0)))
        state = tf.while_loop(lambda t, *_: t < time, forward, state, parallel_iterations=1)
        every = state[1].stack()
        outputs = every[longest:]

        def gradient(upstream):
            above, slopes = _series(time, upstream), _series(time, slope(outputs))
            # What a step gives to those after it stands next to one another: one product for all delays.
            transposed = tf.concat(tf.split(tf.transpose(kernel), len(delays), 1), 0)

            def following(collected, t):
                seen = [collected.read(t + delay) for delay in delays]
                return tf.matmul(tf.concat(seen, 1) if len(seen) > 1 else seen[0], transposed)

            def backward(t, collected):
                d_output = above.read(t) + following(collected, t)
                if d_output.dtype != tf.float16:
                    # What explodes over many steps stays finite, for the trainer to scale down. In float16
                    # it has to be seen: the loss is scaled up until something is not finite.
                    d_output = tf.clip_by_value(d_output, -LARGE, LARGE)
                return t - 1, collected.write(t, d_output * slopes.read(t))

            nothing = tf.zeros_like(every)
            state = (time - 1, _series(time + longest, nothing))
            state = tf.while_loop(lambda t, *_: t >= 0, backward, state, parallel_iterations=1)
            d_summed = state[1].stack()[:time]
            flat = tf.reshape(d_summed, (-1, units))
            d_kernel = [
                tf.matmul(
                    tf.reshape(every[longest - delay : longest - delay + time], (-1, units)),
                    flat,
                    transpose_a=True,
                )
                for delay in delays
            ]
            return d_summed, tf.concat(d_kernel, 0), d_initial(d_summed)

        def d_initial(d_summed):
            """What the outputs before the first step gave to those that saw them."""
            total = tf.zeros_like(initial)
            for i, delay in enumerate(delays):
                part = kernel[i * units : (i + 1) * units]
                reached = tf.tensordot(d_summed[:delay], part, [[2], [1]])
                seen = tf.shape(reached)[0]
                around = [[longest - delay, delay - seen], [0, 0], [0, 0]]
                total += tf.pad(reached, around)
            return total

        return outputs, gradient

    return steps


@functools.cache
def _gru_steps():
    """The recurrent part of a GRU with its reset gate after the product, and its gradient by hand."""
    import tensorflow as tf

    @tf.custom_gradient
    def steps(gates, kernel, bias, initial):
        """``[time, batch, 3 * units]`` without the recurrent part -> outputs ``[time, batch, units]``."""
        time, units = tf.shape(gates)[0], kernel.shape[0]
        given = _series(time, gates)

        def forward(t, h, saved, outputs):
            inner = tf.matmul(h, kernel) + bias
            outer = given.read(t)
            gate = tf.sigmoid(inner[:, : 2 * units] + outer[:, : 2 * units])
            z, r = tf.split(gate, 2, 1)
            inner = inner[:, 2 * units :]
            candidate = tf.tanh(outer[:, 2 * units :] + r * inner)
            h = z * h + (1 - z) * candidate
            saved = saved.write(t, tf.concat([gate, candidate, inner], 1))
            return t + 1, h, saved, outputs.write(t, h)

        state = (0, initial, _empty(time, gates), _empty(time, gates))
        state = tf.while_loop(lambda t, *_: t < time, forward, state, parallel_iterations=1)
        opened, outputs = (array.stack() for array in state[2:])
        hidden = tf.concat([initial[None], outputs[:-1]], 0)

        def gradient(upstream):
            before, saved, above = _series(time, hidden), _series(time, opened), _series(time, upstream)
            transposed = tf.transpose(kernel)

            def backward(t, d_h, outer, inner):
                d_h += above.read(t)
                z, r, candidate, product = tf.split(saved.read(t), 4, 1)
                d_candidate = d_h * (1 - z) * (1 - candidate * candidate)
                d_z = d_h * (before.read(t) - candidate) * z * (1 - z)
                d_r = d_candidate * product * r * (1 - r)
                d_inner = tf.concat([d_z, d_r, d_candidate * r], 1)
                d_h = d_h * z + tf.matmul(d_inner, transposed)
                outer = outer.write(t, tf.concat([d_z, d_r, d_candidate], 1))
                return t - 1, d_h, outer, inner.write(t, d_inner)

            state = (time - 1, tf.zeros_like(initial), _empty(time, gates), _empty(time, gates))
            state = tf.while_loop(lambda t, *_: t >= 0, backward, state, parallel_iterations=1)
            d_gates, d_inner = (array.stack() for array in state[2:])
            flat = tf.reshape(d_inner, (-1, 3 * units))
            d_kernel = tf.matmul(tf.reshape(hidden, (-1, units)), flat, transpose_a=True)
            return d_gates, d_kernel, tf.reduce_sum(flat, 0), state[1]

        return outputs, gradient

    return steps


@functools.cache
def _lstm_steps():
    """The recurrent part of an LSTM, and its gradient by hand (Graves 2012, section 4.6)."""
    import tensorflow as tf

    @tf.custom_gradient
    def steps(gates, kernel, initial_h, initial_c):
        """``[time, batch, 4 * units]`` without the recurrent part -> outputs and cells."""
        time, units = tf.shape(gates)[0], kernel.shape[0]
        given = _series(time, gates)

        def forward(t, h, c, opened, cells, outputs):
            both = given.read(t) + tf.matmul(h, kernel)
            gate, candidate = tf.split(both, [3 * units, units], 1)
            gate, candidate = tf.sigmoid(gate), tf.tanh(candidate)
            i, f, o = tf.split(gate, 3, 1)
            c = f * c + i * candidate
            h = o * tf.tanh(c)
            opened = opened.write(t, tf.concat([gate, candidate], 1))
            return t + 1, h, c, opened, cells.write(t, c), outputs.write(t, h)

        state = (0, initial_h, initial_c, *(_empty(time, gates) for _ in range(3)))
        state = tf.while_loop(lambda t, *_: t < time, forward, state, parallel_iterations=1)
        opened, cells, outputs = (array.stack() for array in state[3:])

        def gradient(d_outputs, d_cells):
            before = _series(time, tf.concat([initial_c[None], cells[:-1]], 0))
            squashed = _series(time, tf.tanh(cells))
            saved, above = _series(time, opened), _series(time, d_outputs)
            beside = _series(time, d_cells)
            transposed = tf.transpose(kernel)

            def backward(t, d_gates, d_cell, collected):
                d_output = above.read(t) + tf.matmul(d_gates, transposed)
                i, f, o, candidate = tf.split(saved.read(t), 4, 1)
                cell = squashed.read(t)
                d_cell += beside.read(t) + d_output * o * (1 - cell * cell)
                d_i = d_cell * candidate * (i * (1 - i))
                d_f = d_cell * before.read(t) * (f * (1 - f))
                d_o = d_output * cell * (o * (1 - o))
                d_candidate = d_cell * i * (1 - candidate * candidate)
                d_gates = tf.concat([d_i, d_f, d_o, d_candidate], 1)
                return t - 1, d_gates, d_cell * f, collected.write(t, d_gates)

            zero = tf.zeros_like(initial_h)
            state = (time - 1, tf.concat([zero] * 4, 1), zero, _empty(time, gates))
            state = tf.while_loop(lambda t, *_: t >= 0, backward, state, parallel_iterations=1)
            d_gates = state[-1].stack()
            hidden = tf.concat([initial_h[None], outputs[:-1]], 0)
            flat = tf.reshape(d_gates, (-1, 4 * units))
            d_kernel = tf.matmul(tf.reshape(hidden, (-1, units)), flat, transpose_a=True)
            return d_gates, d_kernel, tf.matmul(state[1], transposed), state[2]

        return (outputs, cells), gradient

    return steps


@keras.saving.register_keras_serializable("seqzoo")
class Bidirectional(layers.Layer):
    """A forward and a backward recurrent layer over sequences of given lengths (Schuster & Paliwal 1997).

    The backward layer reads a copy reversed within each length instead of a masked sequence. Padding
    then comes last for both, so neither needs a mask: on a GPU both run on cuDNN, and on export the pair
    becomes one fused operation. (``keras.layers.Bidirectional`` needs a mask, and takes either away.)

    Inputs: ``sequences`` ``[batch, time, features]`` and int32 ``lengths`` ``[batch]``. Output:
    ``[batch, time, units]``, doubled by "concat"; zeros beyond each length.

    Args:
        layer: a recurrent layer with ``return_sequences=True``; both directions are made as it is.
        merge_mode: "concat", the outputs side by side, or "sum".
    """

    def __init__(self, layer: Any, merge_mode: str | None = "concat", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if merge_mode not in ("concat", "sum"):
            raise ValueError(f"merge_mode is 'concat' or 'sum', not {merge_mode!r}")
        if not layer.return_sequences or layer.go_backwards or layer.stateful or layer.return_state:
            raise ValueError("layer needs return_sequences=True, and no state or direction of its own")
        self.merge_mode = merge_mode
        config = layer.get_config()
        self.forward_layer = type(layer).from_config(config | {"name": "forward"})
        self.backward_layer = type(layer).from_config(config | {"name": "backward"})

    def build(self, sequences_shape: Sequence, lengths_shape: Sequence | None = None) -> None:
        self.forward_layer.build(sequences_shape)
        self.backward_layer.build(sequences_shape)

    def call(self, sequences: Any, lengths: Any, training: bool | None = False) -> Any:
        forward = self.forward_layer(sequences, training=training)
        backward = self.backward_layer(reverse_by_length(sequences, lengths), training=training)
        backward = reverse_by_length(backward, lengths)
        both = forward + backward if self.merge_mode == "sum" else ops.concatenate([forward, backward], -1)
        both = ops.cast(both, self.compute_dtype)
        return both * ops.cast(steps_within(lengths, both), both.dtype)

    def compute_output_spec(self, sequences: Any, lengths: Any, training: bool | None = False) -> Any:
        shape = self.forward_layer.compute_output_shape(sequences.shape)
        units = shape[-1] * (2 if self.merge_mode == "concat" else 1)
        return keras.KerasTensor((*shape[:-1], units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        layer = keras.saving.serialize_keras_object(self.forward_layer)
        return {**super().get_config(), "layer": layer, "merge_mode": self.merge_mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Bidirectional:
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})


@keras.saving.register_keras_serializable("seqzoo")
class Recurrent(layers.Layer):
    """A recurrent layer over sequences of given lengths, from a given state to its last one.

    Inputs: ``sequences`` ``[batch, time, features]``; int32 ``lengths`` ``[batch]``, each at least 1, or None
    where all steps count; ``states``, a list of ``[batch, units]`` (of an LSTM the output and the cell), or
    None for zeros. Output: ``(outputs, states)``: ``[batch, time, units]``, zeros beyond each length, and the
    states after the last step of each sequence.

    Args:
        layer: a recurrent layer of this package.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = layer.get_config() | {"return_state": True, "name": "layer"}
        self.layer = type(layer).from_config(config)

    def build(
        self, sequences_shape: Sequence, lengths_shape: Sequence | None = None,
        states_shape: Sequence | None = None,
    ) -> None:  # fmt: skip
        self.layer.build(sequences_shape)

    def call(
        self, sequences: Any, lengths: Any = None, states: Any = None, training: bool | None = False
    ) -> tuple[Any, list]:
        if training and self.layer.fast():
            series = self.layer._train(sequences, states)
            outputs = series[0]
            final = self.layer.last_states(series, lengths)
        else:
            mask = None if lengths is None else steps_within(lengths, sequences)[:, :, 0]
            outputs, *final = self.layer(sequences, initial_state=states, mask=mask, training=training)
        outputs = ops.cast(outputs, self.compute_dtype)
        if lengths is None:
            return outputs, final
        return outputs * ops.cast(steps_within(lengths, outputs), outputs.dtype), final

    def compute_output_spec(
        self, sequences: Any, lengths: Any = None, states: Any = None, training: bool | None = False
    ) -> tuple[Any, list]:
        outputs = keras.KerasTensor((*sequences.shape[:2], self.layer.units), self.compute_dtype)
        shapes = [(sequences.shape[0], size) for size in self.layer.state_size]
        return outputs, [keras.KerasTensor(shape, self.layer.compute_dtype) for shape in shapes]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Recurrent:
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})
