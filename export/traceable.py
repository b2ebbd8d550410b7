"""Parts of Keras with no ONNX counterpart, traced as equal ones that have one."""

import contextlib

import keras


@contextlib.contextmanager
def traceable(layers):
    """Traces Keras's layers and operations in a form that tf2onnx converts.

    - ``TimeDistributed`` calls its layer once, with all steps as rows of one batch. Keras calls it for each
      step, or, where their number is unknown, vectorises a loop and traces that wrongly (over the batch).
    - ``keras.ops.scan`` carries tensors from step to step, not arrays of tensors.
    - ``signbit``, which ``keras.ops.argmax`` and ``argmin`` need, divides by zeros instead of reading bits.
    - Each ``tf.function`` is traced as a part of what calls it: one that is compiled (that of a grouped
      convolution) could not be taken apart later.

    Args:
        layers: all layers of the traced function, inner ones too.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import core, numpy

    wrappers = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.TimeDistributed)
        and type(layer).call is keras.layers.TimeDistributed.call
    ]
    for layer in wrappers:
        object.__setattr__(layer, "call", _time_distributed(layer))  # past Keras's tracking of attributes
    signbit, scan, eagerly = numpy.signbit, core.scan, tf.config.functions_run_eagerly()
    numpy.signbit, core.scan = _signbit, _scan
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eagerly)
        numpy.signbit, core.scan = signbit, scan
        for layer in wrappers:
            object.__delattr__(layer, "call")


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
