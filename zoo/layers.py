"""Layers that honour the length of each sequence in a padded batch."""

import functools

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("seqzoo")
class MaskByLength(layers.Layer):
    """Set the steps beyond each sequence's length to zero.

    Inputs: ``x`` ``[batch, time, ...]`` and int32 ``lengths`` ``[batch]``. After every convolution this
    keeps the padding as blank as what a convolution sees beyond the edge, so that padding never
    changes a result.
    """

    def call(self, x, lengths):
        valid = ops.arange(ops.shape(x)[1], dtype="int32")[None, :] < lengths[:, None]
        valid = ops.reshape(valid, ops.shape(valid) + (1,) * (len(x.shape) - 2))
        return x * ops.cast(valid, x.dtype)

    def compute_output_spec(self, x, lengths):
        return keras.KerasTensor(x.shape, x.dtype)


@keras.saving.register_keras_serializable("seqzoo")
class ReverseByLength(layers.Layer):
    """Reverse each sequence within its length, leaving the padding behind it in place.

    Inputs: ``x`` ``[batch, time, features]`` and int32 ``lengths`` ``[batch]``.
    """

    def call(self, x, lengths):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)  # one ONNX operation
        step = ops.arange(ops.shape(x)[1], dtype="int32")[None, :]
        step = ops.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)
        return ops.take_along_axis(x, step[:, :, None], axis=1)

    def compute_output_spec(self, x, lengths):
        return keras.KerasTensor(x.shape, x.dtype)


@keras.saving.register_keras_serializable("seqzoo")
class LSTM(layers.LSTM):
    """``keras.layers.LSTM`` (full sequence, no mask, no state), three times as fast to train on a CPU.

    There, Keras multiplies input and weights one step at a time and sums the weights' gradients in
    every step. Here both are one large matrix product over all steps (as Appleyard et al. 2016,
    "Optimizing performance of recurrent neural networks on GPUs", section 3.1, do); the loops are
    left with what really depends on the step before. Weights, results, and everything but training
    with TensorFlow on a CPU are as in Keras.
    """

    def __init__(self, units, **kwargs):
        super().__init__(units, **{**kwargs, "return_sequences": True})

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if initial_state is not None or mask is not None or not training or not self._fast():
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        import tensorflow as tf

        cell = self.cell
        shape = tf.shape(sequences)
        flat = tf.reshape(tf.transpose(sequences, (1, 0, 2)), (-1, sequences.shape[2]))
        gates = tf.matmul(flat, _gates_last(cell.kernel)) + _gates_last(cell.bias)
        gates = tf.reshape(gates, (shape[1], shape[0], 4 * self.units))
        return tf.transpose(_lstm_steps()(gates, _gates_last(cell.recurrent_kernel)), (1, 0, 2))

    def _fast(self):
        if keras.backend.backend() != "tensorflow" or self.compute_dtype != "float32":
            return False
        import tensorflow as tf

        usual = self.activation is keras.activations.tanh
        usual = usual and self.recurrent_activation is keras.activations.sigmoid and self.use_bias
        special = self.go_backwards or self.stateful or self.return_state
        special = special or self.dropout or self.recurrent_dropout
        return usual and not special and not tf.config.list_physical_devices("GPU")


def _gates_last(weights):
    """Keras's order of the gates (input, forget, candidate, output) with the candidate moved last."""
    i, f, c, o = ops.split(ops.convert_to_tensor(weights), 4, axis=-1)
    return ops.concatenate([i, f, o, c], axis=-1)


@functools.cache
def _lstm_steps():
    """The recurrent part of an LSTM, and its gradient by hand (Graves 2012, section 4.6)."""
    import tensorflow as tf

    def series(size, values=None):
        array = tf.TensorArray(tf.float32, size=size)
        return array if values is None else array.unstack(values)

    @tf.custom_gradient
    def steps(gates, kernel):
        """``[time, batch, 4 * units]`` without the recurrent part -> outputs ``[time, batch, units]``."""
        time, batch, units = tf.shape(gates)[0], tf.shape(gates)[1], kernel.shape[0]
        zero = tf.zeros((batch, units))
        gates = series(time, gates)

        def forward(t, h, c, opened, cells, outputs):
            both = gates.read(t) + tf.matmul(h, kernel)
            gate, candidate = tf.split(both, [3 * units, units], 1)
            gate, candidate = tf.sigmoid(gate), tf.tanh(candidate)
            i, f, o = tf.split(gate, 3, 1)
            c = f * c + i * candidate
            h = o * tf.tanh(c)
            opened = opened.write(t, tf.concat([gate, candidate], 1))
            return t + 1, h, c, opened, cells.write(t, c), outputs.write(t, h)

        state = (0, zero, zero, series(time), series(time), series(time))
        state = tf.while_loop(lambda t, *_: t < time, forward, state, parallel_iterations=1)
        opened, cells, outputs = (array.stack() for array in state[3:])

        def gradient(upstream):
            before = series(time, tf.concat([zero[None], cells[:-1]], 0))
            squashed = series(time, tf.tanh(cells))
            saved, above = series(time, opened), series(time, upstream)
            transposed = tf.transpose(kernel)

            def backward(t, d_gates, d_cell, collected):
                d_output = above.read(t) + tf.matmul(d_gates, transposed)
                i, f, o, candidate = tf.split(saved.read(t), 4, 1)
                cell = squashed.read(t)
                d_cell += d_output * o * (1 - cell * cell)
                d_i = d_cell * candidate * (i * (1 - i))
                d_f = d_cell * before.read(t) * (f * (1 - f))
                d_o = d_output * cell * (o * (1 - o))
                d_candidate = d_cell * i * (1 - candidate * candidate)
                d_gates = tf.concat([d_i, d_f, d_o, d_candidate], 1)
                return t - 1, d_gates, d_cell * f, collected.write(t, d_gates)

            state = (time - 1, tf.zeros((batch, 4 * units)), zero, series(time))
            state = tf.while_loop(lambda t, *_: t >= 0, backward, state, parallel_iterations=1)
            d_gates = state[-1].stack()
            hidden = tf.concat([zero[None], outputs[:-1]], 0)
            flat = tf.reshape(d_gates, (-1, 4 * units))
            return d_gates, tf.matmul(tf.reshape(hidden, (-1, units)), flat, transpose_a=True)

        return outputs, gradient

    return steps


def bidirectional(make_layer, x, lengths, name):
    """A forward and a backward recurrent layer, their outputs side by side (Schuster & Paliwal 1997).

    The backward layer reads a copy reversed within each length instead of a masked sequence. Padding
    then comes last for both, so neither needs a mask: on a GPU both run on cuDNN, and each
    becomes one fused ONNX operation.

    Args:
        make_layer: called with a name; gives a recurrent layer with ``return_sequences=True``.
        x: ``[batch, time, features]``.
        lengths: int32 ``[batch]``.
        name: prefix for the two layers' names.

    Returns:
        ``[batch, time, 2 * units]``; steps beyond a length hold values without meaning.
    """
    forward = make_layer(f"{name}_forward")(x)
    backward = ReverseByLength(name=f"{name}_reverse")(x, lengths)
    backward = make_layer(f"{name}_backward")(backward)
    backward = ReverseByLength(name=f"{name}_restore")(backward, lengths)
    return layers.Concatenate(name=name)([forward, backward])
