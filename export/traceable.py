"""Parts of Keras with no ONNX counterpart, traced as equal ones that have one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import keras

from export.verify import ExportError


@contextlib.contextmanager
def traceable(names: dict[keras.layers.Layer, str]) -> Iterator[None]:
    """Traces Keras's layers and operations in a form that tf2onnx converts.

    - ``TimeDistributed`` calls its layer once, with all steps as rows of one batch. Keras calls it for each
      step, or, where their number is unknown, vectorises a loop and traces that wrongly (over the batch).
    - ``keras.ops.scan`` carries tensors from step to step, not arrays of tensors.
    - ``signbit``, which ``keras.ops.argmax`` and ``argmin`` need, divides by zeros instead of reading bits.
    - Preprocessing layers compute as they do eagerly: in a graph they would make floats of images of bytes.
    - ``UpSampling2D`` that interpolates takes images of any size; Keras traces known sizes alone.
    - Layers have names that TensorFlow allows for scopes, and that tell them apart: ``layer_3`` is the fourth
      of ``names``.
    - Each ``tf.function`` is traced as a part of what calls it: one that is compiled (that of a grouped
      convolution) could not be taken apart later.

    Args:
        names: all layers of the traced function, inner ones too, by their names in reports.

    Raises:
        ExportError: a layer is stateful inside ``TimeDistributed``.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import core, numpy
    from keras.src.utils import backend_utils

    calls = {keras.layers.TimeDistributed: _time_distributed, keras.layers.UpSampling2D: _upsampling}
    wrappers = []
    for layer in names:
        for kind, make in calls.items():
            if isinstance(layer, kind) and type(layer).call is kind.call:
                wrappers.append((layer, make))
    for layer, make in wrappers:
        stateful = any(getattr(inner, "stateful", False) for inner in layer._flatten_layers())
        if make is _time_distributed and stateful:
            raise ExportError(
                f"The layer {names[layer]!r} is TimeDistributed over a stateful layer, for which ONNX has no "
                "equivalent; nothing was written: leave out stateful=True, or TimeDistributed",
                names[layer],
            )
    before = [(layer, layer.name) for layer in names]
    for i, layer in enumerate(names):
        object.__setattr__(layer, "name", f"layer_{i}")  # past Keras's tracking of attributes
    for layer, make in wrappers:
        object.__setattr__(layer, "call", make(layer))
    signbit, scan, in_graph = numpy.signbit, core.scan, backend_utils.in_tf_graph
    numpy.signbit, core.scan, backend_utils.in_tf_graph = _signbit, _scan, lambda: False
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eagerly)
        numpy.signbit, core.scan, backend_utils.in_tf_graph = signbit, scan, in_graph
        for layer, _ in wrappers:
            object.__delattr__(layer, "call")
        for layer, name in before:
            object.__setattr__(layer, "name", name)


def layer_of_scope(scope: str, names: dict[keras.layers.Layer, str]) -> str | None:
    """The name of the innermost layer in whose scope an operation was traced, or None.

    Args:
        scope: the name of the operation in the traced graph.
        names: as of ``traceable``.
    """
    for part in reversed((scope or "").split("/")[:-1]):
        if found := re.match(r"layer_(\d+)(_\d+)?$", part):
            return list(names.values())[int(found[1])]
    return None


def _time_distributed(wrapper):
    """A replacement for the ``call`` of ``TimeDistributed``, of the same arguments and result."""
    layer = wrapper.layer

    def call(inputs, training=None, mask=None):
        ops = keras.ops
        shape = ops.shape(inputs)
        options = {"training": training} if layer._call_has_training_arg else {}
        if layer._call_has_mask_arg and mask is not None:
            options["mask"] = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
        outputs = layer.call(ops.reshape(inputs, (-1, *shape[2:])), **options)
        return ops.reshape(outputs, (shape[0], shape[1], *ops.shape(outputs)[1:]))

    return call


def _upsampling(layer):
    """A replacement for the ``call`` of ``UpSampling2D``."""
    ordinary = layer.call

    def call(inputs):
        if layer.interpolation != "bilinear" or layer.data_format != "channels_last":
            return ordinary(inputs)
        height, width = keras.ops.shape(inputs)[1:3]
        size = (height * layer.size[0], width * layer.size[1])
        import tensorflow as tf

        return tf.cast(tf.image.resize(inputs, size, "bilinear"), inputs.dtype)

    return call


def _signbit(x):
    """Whether numbers are negative, or -0: then their inverse is."""
    ops = keras.ops
    x = ops.convert_to_tensor(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        return ops.cast(x, "int32") < 0
    return ops.where(x == 0, ops.ones_like(x) / x, x) < 0


def _scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """A replacement for Keras's ``scan`` on TensorFlow, of the same arguments and results."""
    import tensorflow as tf

    flatten, pack = keras.tree.flatten, keras.tree.pack_sequence_as
    carry = [tf.convert_to_tensor(value) for value in flatten(init)]
    inputs = [tf.convert_to_tensor(value) for value in flatten(xs)] if xs is not None else []
    count = int(length) if length is not None else tf.shape(inputs[0])[0]
    turn = (lambda x: tf.reverse(x, [0])) if reverse else (lambda x: x)
    inputs = [turn(x) for x in inputs]
    results = [
        tf.TensorArray(value.dtype, count, dynamic_size=False, element_shape=value.shape) for value in carry
    ]

    def step(i, carry, results):
        x = None if xs is None else pack(xs, [one[i] for one in inputs])
        after, made = f(pack(init, carry), x)
        if after is not None:
            carry = [
                tf.ensure_shape(tf.convert_to_tensor(new), old.shape)
                for new, old in zip(flatten(after), carry, strict=True)
            ]
        made = flatten(made) if made is not None else [tf.zeros_like(value) for value in carry]
        results = [array.write(i, value) for array, value in zip(results, made, strict=True)]
        return i + 1, carry, results

    _, carry, results = tf.while_loop(lambda i, *_: i < count, step, (0, carry, results))
    return pack(init, carry), pack(init, [turn(array.stack()) for array in results])
