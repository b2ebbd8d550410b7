"""Whether an exported model computes what Keras computes. No file is left behind that does not."""

import contextlib

import numpy as np

from zoo.errors import UserError

TOLERANCE = 1e-4  # greatest difference of a float output, relative to max(1, |value|)
SEARCH_TOLERANCE = 1e-3  # the same of the score of what a search found instead
ATTENTION_TOLERANCE = 1e-3  # of "attention", for people to look at: a softmax of scores as large as hundreds
CASES = [(1, 0), (1, 1), (1, 2), (2, 3), (3, 4), (5, 5), (8, 6), (8, 7)]  # (batch size, seed)


class ExportError(UserError):
    """The exported model is not what the task computes; nothing was written."""


def serving_function(task):
    """The task's serving function as one ``tf.function``, inputs in the order of its specs, a dict out.

    Raises:
        UserError: Keras runs on another backend than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Exporting needs Keras on TensorFlow, not on {keras.backend.backend()}; "
            "run the same command with KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf

    serving = task.serving

    def serve(*tensors):
        inputs = {spec.name: tensor for spec, tensor in zip(serving.inputs, tensors, strict=True)}
        outputs = serving.function(inputs)
        return {spec.name: tf.identity(outputs[spec.name], spec.name) for spec in serving.outputs}

    signature = [tf.TensorSpec(_open(spec.shape), spec.dtype, spec.name) for spec in serving.inputs]
    function = tf.function(serve, input_signature=signature, autograph=False)
    with _plain(task.network):
        function.get_concrete_function()
    return function


def _open(shape):
    return [size if isinstance(size, int) else None for size in shape]


@contextlib.contextmanager
def _plain(network):
    """Generic kernels in float32 while a network is traced, whatever it was trained with.

    On a GPU Keras would trace cuDNN's layers, which no other machine has, nor ONNX; and mixed precision
    is for training.
    """
    import keras

    layers = list(network._flatten_layers())
    recurrent = [layer for layer in layers if hasattr(layer, "use_cudnn")]
    mixed = [layer for layer in layers if layer.compute_dtype in ("float16", "bfloat16")]
    before = [layer.use_cudnn for layer in recurrent], [layer.dtype_policy for layer in mixed]
    try:
        for layer in recurrent:
            layer.use_cudnn = False
        for layer in mixed:
            layer.dtype_policy = keras.dtype_policies.DTypePolicy("float32")
        yield
    finally:
        for layer, value in zip(recurrent, before[0], strict=True):
            layer.use_cudnn = value
        for layer, value in zip(mixed, before[1], strict=True):
            layer.dtype_policy = value


def examples(task, function):
    """Yields Keras's ``(inputs, outputs)``, dicts of arrays, for several batch sizes, lengths, paddings."""
    import tensorflow as tf

    names = [spec.name for spec in task.serving.inputs]
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # on a GPU it rounds to 10 bits
    try:
        for batch, seed in CASES:
            inputs = task.serving.example(batch, seed)
            outputs = function(*(inputs[name] for name in names))
            yield inputs, {name: value.numpy() for name, value in outputs.items()}
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def compare(task, pairs):
    """Compares an exported model's outputs with those of Keras.

    Float outputs may differ by ``TOLERANCE``, relative to max(1, |value|), ``attention`` by
    ``ATTENTION_TOLERANCE``, and ``log_probs`` relative to the greatest of their frame: they are differences
    of logits that are as large. An output with a time axis counts up to its row's ``lengths``, if there is
    such an output: what is beyond has no meaning. Integers must be equal. Two exceptions: where the two
    likeliest classes of a frame in ``log_probs`` are nearer to one another than the rounding of ``log_probs``
    in that row, either may win, and what is decoded of that row is not compared; nor are the ``tokens`` that
    a search found where others have the same ``scores``, within ``SEARCH_TOLERANCE``.

    Args:
        task: its ``serving.outputs`` are what is compared.
        pairs: iterable of (expected, found), dicts of arrays.

    Returns:
        The report: ``cases``, ``rows``, ``ties`` (rows left out) and ``max_difference``.

    Raises:
        ExportError: an output is missing, differs, or has another shape or dtype.
    """
    report = {"cases": 0, "rows": 0, "ties": 0, "max_difference": 0.0}
    for expected, found in pairs:
        rows = len(next(iter(expected.values())))
        for spec in task.serving.outputs:
            _check_shape(spec, expected[spec.name], found.get(spec.name))
        tied = _tied(expected, found)
        for spec in task.serving.outputs:
            one, other = expected[spec.name], found[spec.name]
            compared = _meant(spec, expected)
            if spec.name not in ("log_probs", "lengths"):
                compared[tied] = False
            if np.issubdtype(one.dtype, np.floating):
                compared &= one != other  # so that equal infinities are equal
                with np.errstate(invalid="ignore"):
                    difference = np.abs(one - other) / _scale(spec, one)
                worst = float(difference.max(initial=0, where=compared))  # NaN stays NaN
                report["max_difference"] = max(worst, report["max_difference"])
                wrong = not worst <= (ATTENTION_TOLERANCE if spec.name == "attention" else TOLERANCE)
            else:
                wrong = bool((compared & (one != other)).any())
                worst = "unequal"
            if wrong:
                raise ExportError(
                    f"The exported model's {spec.name!r} differs from Keras ({worst}) in a batch of {rows}; "
                    "nothing was written: please report it with the task's config.json"
                )
        report["cases"] += 1
        report["rows"] += rows
        report["ties"] += int(tied.sum())
    if report["ties"] > report["rows"] // 2:
        raise ExportError(
            "In most examples the model gives two characters the same probability, so its export cannot be "
            "verified; nothing was written: train it first"
        )
    return report


def difference(task, pairs):
    """How far a model with coarser weights is off: of ``log_probs`` if there are any, or of all floats.

    Returns:
        The greatest difference, relative to max(1, |value|).

    Raises:
        ExportError: an output is missing, has another shape or dtype, or is not finite.
    """
    worst = 0.0
    for expected, found in pairs:
        compared = [spec for spec in task.serving.outputs if spec.name == "log_probs"]
        for spec in compared or task.serving.outputs:
            one, other = expected[spec.name], found.get(spec.name)
            _check_shape(spec, one, other)
            if not np.issubdtype(one.dtype, np.floating):
                continue
            if not np.isfinite(other[np.isfinite(one)]).all():
                raise ExportError(f"Coarser weights make {spec.name!r} overflow; export without them")
            apart = np.abs(one - other) / np.maximum(1, np.abs(one))
            worst = max(worst, float(apart.max(initial=0, where=_meant(spec, expected))))
    return worst


def _scale(spec, value):
    """What a difference counts relative to."""
    size = np.abs(value)
    return np.maximum(1, size.max(-1, keepdims=True, initial=0) if spec.name == "log_probs" else size)


def _meant(spec, expected):
    """bool, the shape of an output: what is not beyond its row's ``lengths``."""
    value = expected[spec.name]
    if "lengths" not in expected or spec.shape[1:2] != ("time",):
        return np.ones(value.shape, bool)
    step = np.arange(value.shape[1]).reshape(-1, *[1] * (value.ndim - 2))
    meant = step < expected["lengths"].reshape(-1, *[1] * (value.ndim - 1))
    return np.broadcast_to(meant, value.shape).copy()


def _check_shape(spec, expected, found):
    if found is None:
        raise ExportError(f"The exported model lacks the output {spec.name!r}; nothing was written")
    if expected.shape != found.shape or found.dtype != np.dtype(spec.dtype):
        raise ExportError(
            f"The exported model's {spec.name!r} is {found.dtype} {found.shape} instead of {spec.dtype} "
            f"{expected.shape}; nothing was written"
        )


def _tied(expected, found):
    """bool ``[batch]``: rows in which rounding alone can change the likeliest class, or sequence."""
    rows = len(next(iter(expected.values())))
    if {"tokens", "scores"} <= set(expected):
        differ = (expected["tokens"] != found["tokens"]).reshape(rows, -1).any(1)
        near = np.isclose(expected["scores"], found["scores"], SEARCH_TOLERANCE, SEARCH_TOLERANCE)
        return differ & near.reshape(rows, -1).all(1)
    if "log_probs" not in expected:
        return np.zeros(rows, bool)
    one, other, lengths = expected["log_probs"], found["log_probs"], expected["lengths"]
    valid = np.arange(one.shape[1]) < lengths[:, None]
    rounding = np.abs(one - other).max(axis=(1, 2), initial=0, where=valid[:, :, None])
    best = np.sort(one, axis=-1)
    gap = (best[:, :, -1] - best[:, :, -2]).min(axis=1, initial=np.inf, where=valid)
    largest = np.abs(one).max(axis=(1, 2), initial=1, where=valid[:, :, None])
    return gap <= 2 * np.minimum(rounding, TOLERANCE * largest)
