"""What a recurrent model remembers: the influence of each input step on the last output, an LSTM's gates."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.backend import quiet_logging
from zoo.layers import Bidirectional, Recurrent

PROBES = 16


def influence(model: keras.Model, batch: Any, lengths: Any = None, seed: int = 0) -> np.ndarray:
    """The norm of the gradient of a model's last output with respect to each input step.

    By Hochreiter 1991 and Bengio, Simard, Frasconi 1994 ("Learning Long-Term Dependencies with Gradient
    Descent is Difficult") it decays or explodes with the lag in a plain RNN; ``over_lag`` draws it so.

    The input is the model's own where that is one float sequence ``[batch, time, features]``; otherwise
    what its first embedding gives, or else the sequence that its first recurrent layer reads. Of a
    layer that is called more than once the first call counts. Of several outputs at the last step the norm is
    that of the whole Jacobian (Frobenius); of more than ``PROBES`` an estimate without bias of its square
    from so many random sums of them (Hutchinson 1990).

    Args:
        model: a Keras model with a recurrent layer, whose first output is ``[batch, time, ...]`` or, without
            steps, ``[batch, ...]``. States that it keeps are as they were afterwards.
        batch: its inputs, as the model takes them: an array, or a list or dict of arrays.
        lengths: int ``[batch]``, the steps of each output that count; None for all.
        seed: of the random sums.

    Returns:
        float32 ``[batch, time]``.

    Raises:
        ValueError: the model has neither float sequences nor an embedding nor a recurrent layer.
    """
    inputs = keras.tree.map_structure(ops.convert_to_tensor, batch)
    if not model.built:
        model(inputs)
    with _shifted(model, inputs) as (shift, shift_own):

        def last(value):
            with shift.by(value), keras.StatelessScope():  # a state that changes is forgotten with the scope
                return _last(model(shift_own(inputs), training=False), lengths)

        directions = _directions(last(None).shape[1], seed)
        gradient = _gradient(lambda value, direction: ops.sum(last(value) * direction))
        nothing, squares = np.zeros(shift.shape, "float32"), 0.0
        for direction in directions:
            found = np.asarray(gradient(nothing, direction), "float64")
            squares = squares + np.sum(found**2, axis=tuple(range(2, found.ndim)))
    return np.sqrt(squares).astype("float32")


def _directions(count, seed):
    """The values of an output one by one, or random sums of them where they are many: ``[sums, count]``."""
    if count <= PROBES:
        return np.eye(count, dtype="float32")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (PROBES, count))
    return (signs / PROBES**0.5).astype("float32")


def over_lag(norms: np.ndarray, lengths: Any = None) -> np.ndarray:
    """The curve of ``influence``: its mean over a batch by the lag, float32 ``[time]``, the last step first.

    Args:
        norms: float ``[batch, time]``.
        lengths: int ``[batch]``, the steps of each row that count; None for all. No row needs all lags.
    """
    time = norms.shape[1]
    lengths = np.full(len(norms), time) if lengths is None else np.asarray(lengths)
    rows = np.full((len(norms), lengths.max()), np.nan)
    for row, given, length in zip(rows, norms, lengths, strict=True):
        row[:length] = given[:length][::-1]
    return np.nanmean(rows, axis=0).astype("float32")


def lstm_gates(layer: keras.layers.Layer, sequences: Any) -> dict[str, np.ndarray]:
    """How far the gates of an LSTM stand open, step by step.

    Args:
        layer: a built ``keras.layers.LSTM`` that reads forwards, from a state of zeros.
        sequences: float ``[batch, time, features]``.

    Returns:
        dict of float32 ``[batch, time, units]``: ``input``, ``forget`` and ``output``, 0 closed and 1 open,
        and ``cell``, what is kept.
    """
    cell = layer.cell
    kernel, recurrent = np.array(cell.kernel), np.array(cell.recurrent_kernel)
    given = sequences @ kernel + (np.array(cell.bias) if cell.use_bias else 0)
    squash, gate = (
        lambda x, f=function: np.asarray(f(ops.convert_to_tensor(x)))
        for function in (layer.activation, layer.recurrent_activation)
    )
    h = c = np.zeros((len(sequences), layer.units), "float32")
    steps = []
    for step in range(sequences.shape[1]):
        i, f, candidate, o = np.split(given[:, step] + h @ recurrent, 4, axis=-1)
        i, f, o = gate(i), gate(f), gate(o)
        c = f * c + i * squash(candidate)
        h = o * squash(c)
        steps.append((i, f, o, c))
    names = ("input", "forget", "output", "cell")
    return {name: np.stack(series, 1) for name, series in zip(names, zip(*steps, strict=True), strict=True)}


class _Shift:
    """What is added to a sequence within a model, so that the gradient of both is the same.

    Attributes:
        value: what the first sequence of a call of the model is to be shifted by, or None.
        shape: of that sequence, once the model was called.
    """

    shape = value = None
    waits = False

    @contextlib.contextmanager
    def by(self, value):
        self.value, self.waits = value, True
        try:
            yield
        finally:
            self.value, self.waits = None, False

    def __call__(self, sequence):
        if not self.waits:
            return sequence
        self.waits, self.shape = False, tuple(sequence.shape)
        return sequence if self.value is None else sequence + ops.cast(self.value, sequence.dtype)


@contextlib.contextmanager
def _shifted(model, inputs):
    """Yields a ``_Shift`` and the model as a function ``inputs -> outputs`` that shifts its sequence."""
    shift, changed = _Shift(), []
    found = list(model._flatten_layers(include_self=False))
    embeddings = [layer for layer in found if isinstance(layer, layers.Embedding)]
    recurrent = [layer for layer in found if isinstance(layer, _RECURRENT)]
    flat = keras.tree.flatten(inputs)
    own = len(flat) == 1 and len(flat[0].shape) == 3 and keras.backend.is_float_dtype(flat[0].dtype)
    if not (own or embeddings or recurrent):
        raise ValueError(f"the model {model.name!r} has no sequence: no embedding and no recurrent layer")

    def replace(layer, function):
        object.__setattr__(layer, "call", function)  # past Keras's tracking of attributes
        changed.append(layer)

    def after(call):
        return lambda *given, **options: shift(call(*given, **options))

    def before(call):
        return lambda sequences, *given, **options: call(shift(sequences), *given, **options)

    if not own:
        for layer in embeddings or recurrent:
            replace(layer, (after if embeddings else before)(layer.call))
    try:
        yield (
            shift,
            (lambda values: keras.tree.map_structure(shift, values)) if own else lambda values: values,
        )
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


_RECURRENT = (layers.RNN, layers.Bidirectional, Bidirectional, Recurrent)


def _last(outputs, lengths):
    """The first output at the last step of each sequence, float32 ``[batch, values]``."""
    output = ops.cast(keras.tree.flatten(outputs)[0], "float32")
    if len(output.shape) > 2:
        batch, time = output.shape[:2]
        steps = np.full(batch, time) if lengths is None else np.asarray(lengths)
        rows = ops.reshape(output, (batch * time, -1))
        output = ops.take(rows, np.arange(batch) * time + steps - 1, axis=0)
    return ops.reshape(output, (output.shape[0], -1))


def _gradient(run):
    """``run(shift, direction)``, a scalar, as a compiled function that gives its gradient by the shift."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.grad(run))
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradient(shift, direction):
        with tf.GradientTape() as tape:
            tape.watch(shift)
            value = run(shift, direction)
        return tape.gradient(value, shift, unconnected_gradients="zero")

    def quiet(shift, direction):
        with quiet_logging(logging.WARNING):  # that a new function is traced for every model
            return gradient(tf.constant(shift), tf.constant(direction))

    return quiet
