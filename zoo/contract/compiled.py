"""What a task computes, such as what it serves, compiled as the backend can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from zoo.backend import hide_gpu

if TYPE_CHECKING:
    from zoo.contract.serving import TensorSpec


def compiled(
    network: keras.Model, function: Callable, inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec] = (), rounded: dict[str, int] | None = None, static: Sequence[str] = (),
) -> Callable:  # fmt: skip
    """A function of dicts of tensors, on dicts of NumPy arrays.

    TensorFlow compiles it once. JAX compiles anew for each shape, so that sizes are rounded up there, and for
    each value of what has to be known then; the weights are those at each call, as training may go on.

    Args:
        network: the ``keras.Model`` whose weights the function uses.
        function: maps a dict of tensors to a dict of tensors.
        inputs, outputs: ``zoo.contract.serving.TensorSpec`` of each; outputs that have none keep their sizes
            on JAX.
        rounded: ``{name of a dimension: multiple}``. Batches are filled with copies of their last row, what
            else is longer with zeros.
        static: names of scalar inputs that JAX has to know as numbers.

    Returns:
        A function from a dict of NumPy arrays to a dict of the backend's. On JAX it takes ``weights``, too,
        to be used instead of the present ones.
    """
    if keras.backend.backend() == "jax":
        return _on_jax(network, function, inputs, outputs, rounded or {}, static)
    import tensorflow as tf

    signature = {
        spec.name: tf.TensorSpec([size if isinstance(size, int) else None for size in spec.shape], spec.dtype)
        for spec in inputs
    }
    return tf.function(function, input_signature=[signature], autograph=False)


def after_preprocessing(network: keras.Model, prepare: Callable, answer: Callable) -> Callable:
    """A function of dicts of NumPy arrays, where preprocessing is TensorFlow's and Keras runs on JAX.

    JAX compiles the network alone, once for each of the few lengths that ``prepare`` rounds to.

    Args:
        network: the ``keras.Model``, with a dict of inputs.
        prepare: a dict of TensorFlow tensors -> a dict of such, the network's inputs among them.
        answer: ``(output of the network, what was prepared as NumPy, inputs)`` -> the result.
    """
    hide_gpu()
    import tensorflow as tf

    def serve(inputs):
        prepared = prepare({name: tf.constant(value) for name, value in inputs.items()})
        prepared = {name: value.numpy() for name, value in prepared.items()}
        output = network.predict_on_batch({name: prepared[name] for name in network.input})
        return answer(output, prepared, inputs)

    return serve


def _on_jax(network, function, inputs, outputs, rounded, static):
    import jax

    shapes = {spec.name: spec.shape for spec in (*inputs, *outputs)}

    def serve(weights, inputs, numbers):
        with keras.StatelessScope(zip(network.variables, weights, strict=True)):
            return function(inputs | dict(zip(static, numbers, strict=True)))

    jitted = jax.jit(serve, static_argnums=2)

    def run(inputs, weights=None):
        sizes, padded = {}, {}
        for name, value in inputs.items():
            if name in static:
                continue
            for size, dimension in zip(value.shape, shapes[name], strict=True):
                if dimension in rounded:
                    sizes[dimension] = size
            padded[name] = value
            for axis, dimension in enumerate(shapes[name]):
                if dimension in rounded:
                    more = [(0, 0)] * value.ndim
                    more[axis] = 0, -value.shape[axis] % rounded[dimension]
                    mode = "edge" if dimension == "batch" else "constant"
                    padded[name] = np.pad(padded[name], more, mode)
        if weights is None:
            weights = [variable.value for variable in network.variables]
        found = jitted(weights, padded, tuple(inputs[name].item() for name in static))
        return {
            name: value[tuple(slice(sizes.get(dimension)) for dimension in shapes.get(name, ()))]
            for name, value in found.items()
        }

    return run
