"""Whether an exported model computes what Keras computes. No file is left behind that does not."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.backend import quiet_logging
from zoo.errors import UserError

if TYPE_CHECKING:
    import keras

    from zoo.contract.task import Task

TOLERANCE = 1e-4  # greatest difference of a float output, relative to max(1, |value|)
SEARCH_TOLERANCE = 1e-3  # the same of the score of what a search found instead
ATTENTION_TOLERANCE = 1e-3  # of "attention", for people to look at: a softmax of scores as large as hundreds
ROUNDINGS = 4  # how often to try what rounding moves
CASES = [(1, 0), (1, 1), (1, 2), (2, 3), (3, 4), (5, 5), (8, 6), (8, 7)]  # (batch size, seed)


class ExportError(UserError):
    """The exported model is not what the task computes; nothing was written.

    Attributes:
        layer: name of the layer that the sentence blames, or None.
    """

    def __init__(self, sentence: str, layer: str | None = None) -> None:
        super().__init__(sentence)
        self.layer = layer


def serving_function(task: Task) -> Callable:
    """The task's serving function as one ``tf.function``, inputs in the order of its specs, a dict out.

    Raises:
        UserError: Keras runs on another backend than TensorFlow.
    """
    check_backend()
    import tensorflow as tf

    serving = task.serving

    def serve(*tensors):
        inputs = {spec.name: tensor for spec, tensor in zip(serving.inputs, tensors, strict=True)}
        outputs = serving.function(inputs)
        return {spec.name: tf.identity(outputs[spec.name], _legal(spec.name)) for spec in serving.outputs}

    signature = [tf.TensorSpec(_open(spec.shape), spec.dtype, _legal(spec.name)) for spec in serving.inputs]
    function = tf.function(serve, input_signature=signature, autograph=False)
    with plain(task.network), _quiet():
        function.get_concrete_function()
    return function


@contextlib.contextmanager
def _quiet():
    """Without what Keras and TensorFlow say of examples of one step, and of how often they compile."""
    with quiet_logging(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_backend() -> None:
    """Raises a UserError where Keras runs on another backend than TensorFlow."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Exporting needs Keras on TensorFlow, not on {keras.backend.backend()}; "
            "run the same command with KERAS_BACKEND=tensorflow"
        )


def _open(shape):
    return [size if isinstance(size, int) else None for size in shape]


def _legal(name):
    """A name where TensorFlow allows it, else None, for one of its own."""
    return name if re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*", name) else None


@contextlib.contextmanager
def plain(network: keras.Model) -> Iterator[None]:
    """Generic kernels in float32 while a network is traced or run, whatever it was trained with.

    On a GPU Keras would use cuDNN's layers, which no other machine has, nor ONNX; mixed precision is for
    training, and no runtime has recurrent operations in float64.
    """
    import keras

    class narrow(keras.dtype_policies.DTypePolicy):
        """Weights in float64, of which float32 is computed with."""

        def _parse_name(self, name):
            return "float32", name

    layers = list(network._flatten_layers())
    recurrent = [layer for layer in layers if hasattr(layer, "use_cudnn")]
    others = [layer for layer in layers if layer.compute_dtype in ("float16", "bfloat16", "float64")]
    before = [layer.use_cudnn for layer in recurrent], [layer.dtype_policy for layer in others]
    try:
        for layer in recurrent:
            layer.use_cudnn = False
        for layer in others:
            wide = layer.compute_dtype == "float64"
            layer.dtype_policy = narrow("float64") if wide else keras.dtype_policies.DTypePolicy("float32")
        yield
    finally:
        for layer, value in zip(recurrent, before[0], strict=True):
            layer.use_cudnn = value
        for layer, value in zip(others, before[1], strict=True):
            layer.dtype_policy = value


def run(network: keras.Model, function: Callable, inputs: Any) -> dict[str, np.ndarray]:
    """What Keras gives eagerly. A traced function may be wrong itself.

    Args:
        network: the ``keras.Model`` that is run.
        function: a dict of tensors for a dict of tensors.
        inputs: a dict of NumPy arrays.

    Returns:
        A dict of NumPy arrays.
    """
    check_backend()
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # on a GPU it rounds to 10 bits
    try:
        with plain(network), _quiet():
            outputs = function({name: tf.constant(value) for name, value in inputs.items()})
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    found = {name: tf.convert_to_tensor(value).numpy() for name, value in outputs.items()}
    for name, value in found.items():
        if value.dtype == object:  # strings, as bytes
            found[name] = np.array([text.decode("utf-8") for text in value.flat], object).reshape(value.shape)
    return found


def examples(task: Any) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yields a task's ``(inputs, outputs)``, dicts of arrays, for several batch sizes, lengths, paddings."""
    for batch, seed in CASES:
        inputs = task.serving.example(batch, seed)
        found = run(task.network, task.serving.function, inputs)
        yield inputs, {spec.name: found[spec.name] for spec in task.serving.outputs}


def compare(subject: Any, pairs: Iterable) -> dict[str, Any]:
    """Compares an exported model's outputs with those of Keras.

    Float outputs may differ by ``TOLERANCE``, or as ``Serving.tolerances`` says, relative to max(1, |value|);
    equal infinities are equal, and so
    is NaN where Keras gives NaN. Integers, booleans and strings must be equal.

    Of a task, ``attention`` may differ by ``ATTENTION_TOLERANCE``, and ``log_probs`` relative to the greatest
    of their frame: they are differences of logits that are as large. An output with a time axis counts up to
    its row's ``lengths``, if there is such an output: what is beyond has no meaning. Where the two likeliest
    classes of a frame in ``log_probs`` are nearer to one another than the rounding of ``log_probs`` in that
    row, either may win, and what is decoded of that row is not compared; nor are the ``tokens`` that a search
    found where others have the same ``scores``, within ``SEARCH_TOLERANCE``.

    Of other models, a value is not compared that Keras itself moves half as far when all numbers are rounded
    a little otherwise (``Serving.rounded``).

    Args:
        subject: its ``serving.outputs`` are what is compared.
        pairs: iterable of (inputs, expected, found), dicts of arrays.

    Returns:
        The report: ``cases``, ``rows``, ``ties`` (rows in which something was not compared) and
        ``max_difference``.

    Raises:
        ExportError: an output is missing, differs, or has another shape or dtype; or nothing can be told.
    """
    serving = subject.serving
    report = {"cases": 0, "rows": 0, "ties": 0, "max_difference": 0.0}
    finite = {spec.name: not spec.dtype.startswith("float") for spec in serving.outputs}
    for inputs, expected, found in pairs:
        rows = max((value.shape[0] for value in expected.values() if value.ndim), default=1)
        for spec in serving.outputs:
            _check_shape(spec, expected[spec.name], found.get(spec.name))
        tied = _tied(expected, found) if serving.of_task else np.zeros(rows, bool)
        again, other_lengths = [], np.zeros(rows, bool)
        if serving.of_task and serving.rounded and "lengths" in expected:
            again, other_lengths = _other_lengths(serving, inputs, expected, found)
            tied |= other_lengths
        for spec in serving.outputs:
            one, other = expected[spec.name], found[spec.name]
            apart, limit = _apart(one, other), serving.tolerances.get(spec.name, TOLERANCE)
            if serving.of_task:
                apart = _apart(one, other, at_least=_scale(spec, one))
                apart[~_meant(spec, expected)] = 0
                apart[other_lengths if spec.name in ("log_probs", "lengths") else tied] = 0
                limit = ATTENTION_TOLERANCE if spec.name == "attention" else limit
            if serving.rounded and (apart > limit).any():
                again = again or [serving.rounded(inputs, seed) for seed in range(ROUNDINGS)]
                moved = np.max([_apart(one, values[spec.name]) for values in again], axis=0)
                unsettled = (apart > limit) & (apart <= 2 * moved)
                apart[unsettled] = 0
                if apart.shape[:1] == (rows,):
                    tied |= unsettled.reshape(rows, -1).any(1)
            worst = float(apart.max(initial=0))
            if worst > limit:
                told = f"{worst:.2g}" if np.isfinite(worst) else "unequal"
                raise ExportError(
                    f"The exported model's {spec.name!r} differs from Keras ({told}) in a batch of {rows}; "
                    f"nothing was written: please report it with the "
                    f"{'config.json of the task' if serving.of_task else 'model'}"
                )
            report["max_difference"] = max(worst, report["max_difference"])
            finite[spec.name] = finite[spec.name] or not one.size or bool(np.isfinite(one).any())
        report["cases"] += 1
        report["rows"] += rows
        report["ties"] += int(tied.sum())
    if report["ties"] > report["rows"] // 2:
        raise ExportError(
            "In most examples rounding alone decides what the model gives (two results have the same "
            "probability), so its export cannot be verified; nothing was written: train it first"
        )
    for name in (name for name, told in finite.items() if not told):
        raise ExportError(
            f"The model gives no finite number as {name!r} for any example, so its export cannot be "
            "verified; nothing was written: give inputs that it takes, as example={name: array} or "
            "--example FILE.npz"
        )
    return report


def _other_lengths(serving, inputs, expected, found):
    """What rounding makes of the inputs, where some ``lengths`` differ, and the rows whose it moves, too.

    Of those rows all frames are other ones, and nothing is compared.
    """
    differ = expected["lengths"] != found["lengths"]
    if not differ.any():
        return [], differ
    again = [serving.rounded(inputs, seed) for seed in range(ROUNDINGS)]
    return again, differ & np.any([values["lengths"] != expected["lengths"] for values in again], axis=0)


def _apart(one, other, at_least=None):
    """How far values are from one another, relative to max(1, |one|); infinitely, if one is no number."""
    if not np.issubdtype(one.dtype, np.floating):
        return np.where(one == other, 0.0, np.inf)
    one, other = one.astype("float64"), other.astype("float64")
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(one - other) / (np.maximum(1, np.abs(one)) if at_least is None else at_least)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def difference(task: Any, pairs: Iterable) -> float:
    """How far a model with coarser weights is off: of ``log_probs`` if there are any, or of all floats.

    What is as long as the model itself decides, such as sound, is compared where it is equally long.

    Returns:
        The greatest difference, relative to max(1, |value|).

    Raises:
        ExportError: an output is missing, has another shape or dtype, or is not finite.
    """
    worst, given = 0.0, {size for spec in task.serving.inputs for size in spec.shape}
    for _, expected, found in pairs:
        compared = [spec for spec in task.serving.outputs if spec.name == "log_probs"]
        for spec in compared or task.serving.outputs:
            one, other = expected[spec.name], found.get(spec.name)
            own = [isinstance(size, str) and size not in given for size in spec.shape]
            if task.serving.decides_lengths and other is not None and one.shape != other.shape:
                sizes = zip(one.shape, other.shape, own, strict=True)
                one = np.zeros([b if free else a for a, b, free in sizes], one.dtype)
                _check_shape(spec, one, other)
                if not np.isfinite(other).all():
                    raise ExportError(f"Coarser weights make {spec.name!r} overflow; export without them")
                continue
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
    """bool, the shape of a task's output: what is not beyond its row's ``lengths``."""
    value = expected[spec.name]
    if "lengths" not in expected or spec.shape[1:2] != ("time",):
        return np.ones(value.shape, bool)
    step = np.arange(value.shape[1]).reshape(-1, *[1] * (value.ndim - 2))
    meant = step < expected["lengths"].reshape(-1, *[1] * (value.ndim - 1))
    return np.broadcast_to(meant, value.shape).copy()


def dtype_name(value: np.ndarray) -> str:
    """What a ``TensorSpec`` calls the dtype of an array; that of strings is "string"."""
    return "string" if value.dtype == object else value.dtype.name


def _check_shape(spec, expected, found):
    if found is None:
        raise ExportError(f"The exported model lacks the output {spec.name!r}; nothing was written")
    if expected.shape != found.shape or dtype_name(found) != spec.dtype:
        raise ExportError(
            f"The exported model's {spec.name!r} is {dtype_name(found)} {found.shape} instead of "
            f"{spec.dtype} {expected.shape}; nothing was written"
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
