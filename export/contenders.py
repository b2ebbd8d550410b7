"""The ways to run a Keras model that ``export.bench`` compares.

Each is a function of a subject (``export.keras_model.KerasModel``), a file it may write and a number of
threads; it gives a ``Runner``, or raises what a reader should know.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import UserError

if TYPE_CHECKING:
    from export.keras_model import KerasModel

SHORTEST = 0.3  # sequence of a ragged batch, as a share of its steps
TOLERANCE = 1e-3  # greatest difference from Keras, relative to max(1, |value|)
HALF_TOLERANCE = 0.05  # the same where a layer computes in 16 bits, which not every contender does
COARSE = 0.3  # of int8: root mean square of the difference, as a share of that of Keras's output
CHECKED = [(1, 9, False), (3, 17, False), (3, 17, True)]  # batch, steps, ragged: what is compared before


@dataclasses.dataclass
class Runner:
    """One way to run a model.

    Attributes:
        run: function of what ``inputs`` gives -> list of arrays, in the order of the subject's
            ``serving.outputs``.
        states: whether it takes the states among its inputs and gives the next ones; otherwise it begins with
            zeros and gives the model's outputs alone.
        padding: whether what it gives behind the end of a row is Keras's, too.
        coarse: whether its weights are in 8 bits.
        reset: makes it begin anew, where it remembers states by itself.
    """

    run: callable
    states: bool = True
    padding: bool = True
    coarse: bool = False
    reset: callable = lambda: None


def inputs(subject: KerasModel, batch: int, steps: int, ragged: bool = False) -> list[np.ndarray]:
    """Random arrays for a model's inputs in their order, and zeros for the states that its export has.

    Args:
        subject: an ``export.keras_model.KerasModel``.
        batch: rows.
        steps: size of the first axis behind the batch, where the model leaves it open.
        ragged: whether rows end after 30 % to 100 % of the steps, with what the model masks behind.
    """
    from export.examples import output_steps, tokens_and_blank

    network, random = subject.network, np.random.default_rng(0)
    shares = np.linspace(SHORTEST if ragged else 1, 1, batch)
    tokens, blank = tokens_and_blank(network, default_tokens=2)
    shapes = []
    for tensor in network.inputs:  # a picture's other side may be open too
        sides = [size or (32 if i else steps) for i, size in enumerate(tensor.shape[1:])]
        shapes.append((batch, *sides))
    values = []
    for tensor, shape in zip(network.inputs, shapes, strict=True):
        whole = "int" in tensor.dtype
        if whole and len(shape) == 1:  # a number for each row: its length
            value = np.ceil(shares * output_steps(network, shapes, steps))
        else:
            value = random.integers(min(1, tokens - 1), tokens, shape) if whole else random.normal(size=shape)
        if len(shape) > 1:
            value[np.arange(shape[1]) >= np.ceil(shares * shape[1])[:, None]] = 0 if whole else blank
        values.append(value.astype(tensor.dtype))
    return values + [np.zeros(spec.shape, spec.dtype) for spec in subject.serving.inputs[len(values) :]]


def reference(subject: KerasModel, values: list[np.ndarray]) -> list[np.ndarray]:
    """What eager Keras gives: list of arrays, in the order of ``serving.outputs``."""
    serving = subject.serving
    import tensorflow as tf

    given = {spec.name: tf.constant(value) for spec, value in zip(serving.inputs, values, strict=True)}
    found = serving.function(given)
    return [np.asarray(found[spec.name]) for spec in serving.outputs]


def check(subject: KerasModel, runner: Runner) -> None:
    """Compares a runner with Keras: every output, of full and ragged batches, from states that are not zeros.

    Raises:
        UserError: it gives other results.
    """
    batch, random = subject.network.inputs[0].shape[0], np.random.default_rng(1)
    steps = subject.network.inputs[0].shape[1] if len(subject.network.inputs[0].shape) > 1 else None
    done = set()
    for rows, length, ragged in CHECKED:
        case = (batch or rows, steps or length, ragged)
        if case in done or (ragged and case[0] == 1):
            continue
        done.add(case)
        values = inputs(subject, *case)
        if runner.states:
            count = len(subject.network.inputs)
            values[count:] = [random.normal(size=one.shape).astype(one.dtype) for one in values[count:]]
        runner.reset()
        compare(subject, runner, values, runner.run(values))
    runner.reset()


def compare(
    subject: KerasModel, runner: Runner, values: list[np.ndarray], found: list[np.ndarray],
    expected: list[np.ndarray] | None = None,
) -> None:  # fmt: skip
    """Compares what a runner found with Keras.

    Args:
        values: what it was given.
        found: list of arrays.
        expected: what ``reference`` gives of the same, if it is known.

    Raises:
        UserError: it is something else.
    """
    expected = reference(subject, values) if expected is None else expected
    specs = subject.serving.outputs[: None if runner.states else len(subject.network.outputs)]
    if len(found) != len(specs):
        raise UserError(f"it gives {len(found)} outputs instead of {len(specs)}")
    half = any(layer.compute_dtype in ("float16", "bfloat16") for layer in subject.network._flatten_layers())
    real = None if runner.padding else _real(subject, values)
    for spec, one, other in zip(specs, found, expected, strict=False):
        one, which = np.asarray(one), f" in {spec.name!r}" if len(specs) > 1 else ""
        if one.shape != other.shape:
            raise UserError(f"it gives other shapes than Keras{which}: {one.shape} instead of {other.shape}")
        if not np.issubdtype(other.dtype, np.floating):
            if not runner.coarse and not np.array_equal(one, other):
                raise UserError(f"it gives other results than Keras{which}")
            continue
        if real is not None and other.ndim > 2:
            one, other = one[real], other[real]
        one, other = one.astype("float64"), other.astype("float64")
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            raise UserError(f"it gives infinities or no numbers where Keras does not, or the reverse{which}")
        apart = np.abs(np.where(np.isfinite(other), one - other, 0))
        worst = (apart / np.maximum(1, np.abs(np.where(np.isfinite(other), other, 1)))).max(initial=0)
        wrong = worst > (HALF_TOLERANCE if half else TOLERANCE)
        if runner.coarse:
            finite = np.where(np.isfinite(other), other, 0)
            wrong = np.sqrt((apart**2).mean()) > COARSE * np.sqrt((finite**2).mean()) + TOLERANCE
        if wrong:
            raise UserError(f"it gives other results than Keras{which} (largest difference {worst:.2g})")


def _real(subject, values):
    """bool ``[batch, time]``: the steps that a Masking layer does not hide."""
    from export.examples import tokens_and_blank

    _, blank = tokens_and_blank(subject.network, default_tokens=2)
    return (values[0] != blank).any(-1)


def _packed(network, values):
    """What ``inputs`` gives, less the states, as the model takes it."""
    from export.keras_model import packed

    return packed(network, values[: len(network.inputs)])


def export(subject: KerasModel, path: str | os.PathLike, threads: int, **options: Any) -> Runner:
    """The file of ``to_onnx``, in onnxruntime."""
    from export.onnx_file import to_onnx

    to_onnx(subject.network, path, **options)
    return Runner(_session(path, subject, threads))


def int8(subject: KerasModel, path: str | os.PathLike, threads: int) -> Runner:
    """The same with weights in 8 bits."""
    return dataclasses.replace(export(subject, path, threads, int8=True), coarse=True)


def plain_export(subject: KerasModel, path: str | os.PathLike, threads: int) -> Runner:
    """The file of Keras's own ``model.export``, in onnxruntime."""
    network = subject.network
    # Keras exports no model that has not been called; and what a stateful layer remembers would be exported.
    values = inputs(subject, network.inputs[0].shape[0] or 2, 40)
    network(_packed(network, values), training=False)
    _forget(network)
    network.export(path, format="onnx", verbose=False)
    if unknown := _unknown_operations(path):
        raise UserError(f"its file has operations that ONNX does not know: {', '.join(unknown)}")
    return Runner(_session(path, subject, threads, ours=False), states=not subject.states)


def _forget(network):
    for layer in network._flatten_layers():
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()


def _unknown_operations(path):
    """Operations of a file that are in no operator set: a converter leaves those that it cannot convert."""
    import onnx

    from export.onnx_graph import operations_of

    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    return sorted(set(operations_of(onnx.load(path).graph)) - known)


def _session(path, subject, threads, ours=True):
    """A function that runs a file.

    Args:
        ours: whether it is of ``to_onnx``, with the names of ``serving``; Keras's own has those of the
            model's inputs, and of the outputs the order alone.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        raise UserError(f"onnxruntime refuses it: {str(error).split('failed:')[-1].strip()}") from error
    specs = subject.serving
    names = [spec.name for spec in specs.inputs] if ours else [one.name for one in subject.network.inputs]
    outputs = [spec.name for spec in specs.outputs] if ours else None
    known = {value.name for value in session.get_inputs()}  # a converter leaves out what nothing reads
    return lambda values: session.run(
        outputs, {name: v for name, v in zip(names, values, strict=False) if name in known}
    )


def predict(subject: KerasModel, path: str | os.PathLike, threads: int) -> Runner:
    """``model.predict``."""
    import keras

    network = subject.network

    def run(values):
        found = network.predict(_packed(network, values), batch_size=len(values[0]), verbose=0)
        return keras.tree.flatten(found)

    return Runner(run, states=not subject.states, reset=lambda: _forget(network))


def tf_function(subject: KerasModel, path: str | os.PathLike, threads: int) -> Runner:
    """The model's call as a ``tf.function`` of open shapes."""
    from export.verify import serving_function

    function = serving_function(subject)
    names = [spec.name for spec in subject.serving.outputs]

    def run(values):
        found = function(*values)
        return [found[name].numpy() for name in names]

    return Runner(run)


def torch(subject: KerasModel, path: str | os.PathLike, threads: int) -> Runner:
    """PyTorch's modules with the model's weights, for a plain stack of layers."""
    try:
        import torch
    except ImportError as error:
        raise UserError("torch is not installed") from error
    from keras import layers
    from torch.nn.utils import rnn

    torch.set_num_threads(threads)
    steps, blank = [], None  # of functions of (x, lengths)

    def recurrent(layer):
        both = isinstance(layer, layers.Bidirectional)
        if both and layer.merge_mode not in ("concat", "sum"):
            raise UserError(f"the layer {layer.name!r} merges its directions as PyTorch's does not")
        parts = [layer.forward_layer, layer.backward_layer] if both else [layer]
        module, packs = _torch_module(torch, parts), blank is not None

        def step(x, lengths):
            if packs:
                x = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            x, state = module(x)
            if not parts[0].return_sequences:
                x = (state[0] if isinstance(state, tuple) else state).transpose(0, 1).flatten(1)
            elif packs:
                x, _ = rnn.pad_packed_sequence(x, batch_first=True)
            if both and layer.merge_mode == "sum":
                x = x.unflatten(-1, (2, -1)).sum(-2)
            return x

        return step

    def dense(layer):
        weights = [torch.from_numpy(np.array(weight)) for weight in layer.get_weights()]
        name = getattr(layer.activation, "__name__", "")
        functions = {
            "linear": lambda x: x, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
            "softmax": lambda x: torch.softmax(x, -1),
        }  # fmt: skip
        if name not in functions:
            raise UserError(
                f"the layer {layer.name!r} has an activation that is not rebuilt for PyTorch here"
            )
        kernel, bias = weights[0].T.contiguous(), weights[1] if layer.use_bias else None
        return lambda x, lengths: functions[name](torch.nn.functional.linear(x, kernel, bias))

    for layer in subject.network.layers:
        inner = layer.forward_layer if isinstance(layer, layers.Bidirectional) else layer
        if isinstance(layer, layers.Masking):
            blank = layer.mask_value
        elif type(inner) in (layers.LSTM, layers.GRU, layers.SimpleRNN):
            steps.append(recurrent(layer))
        elif isinstance(layer, layers.Dense):
            steps.append(dense(layer))
        elif not isinstance(layer, layers.InputLayer | layers.Dropout):
            raise UserError(f"the layer {layer.name!r} is none of those that are rebuilt for PyTorch here")
    if subject.states or len(subject.network.inputs) > 1 or len(subject.network.outputs) > 1:
        raise UserError("only a stack of layers of one input and one output is rebuilt for PyTorch here")

    @torch.inference_mode()
    def run(values):
        x = torch.from_numpy(values[0])
        lengths = (x != blank).any(-1).sum(-1) if blank is not None else None
        for step in steps:
            x = step(x, lengths)
        return [x.numpy()]

    return Runner(run, padding=blank is None)


def _torch_module(torch, parts):
    """PyTorch's module of one Keras layer, or of a forward and a backward one, with their weights."""
    from keras import layers

    first, name = parts[0], f"the layer {parts[0].name!r}"
    kind = {layers.LSTM: torch.nn.LSTM, layers.GRU: torch.nn.GRU, layers.SimpleRNN: torch.nn.RNN}[type(first)]
    activations = {getattr(part.activation, "__name__", "") for part in parts}
    gates = {getattr(getattr(part, "recurrent_activation", None), "__name__", "sigmoid") for part in parts}
    options = {}
    if kind is torch.nn.RNN and activations <= {"tanh", "relu"} and len(activations) == 1:
        options["nonlinearity"] = next(iter(activations))
    elif activations != {"tanh"} or gates != {"sigmoid"}:
        raise UserError(f"{name} has an activation that PyTorch's does not have")
    if not getattr(first, "reset_after", True):
        raise UserError(f"{name} resets before the product, which PyTorch's GRU does not")
    if first.go_backwards or first.return_state:
        raise UserError(f"{name} has an option that PyTorch's does not have")
    features = first.cell.kernel.shape[0]
    both = {"bidirectional": len(parts) == 2}
    module = kind(features, first.units, bias=first.use_bias, batch_first=True, **options, **both)
    # Keras has update, reset, candidate of a GRU, PyTorch reset, update, candidate; of an LSTM both the same.
    order = {torch.nn.GRU: (1, 0, 2), torch.nn.LSTM: (0, 1, 2, 3), torch.nn.RNN: (0,)}[kind]

    def ordered(weight):
        pieces = np.split(np.asarray(weight), len(order), axis=-1)
        return torch.from_numpy(np.concatenate([pieces[i] for i in order], axis=-1).T.copy())

    for part, suffix in zip(parts, ("", "_reverse"), strict=False):
        given = {"weight_ih": part.cell.kernel, "weight_hh": part.cell.recurrent_kernel}
        if first.use_bias:
            bias = np.asarray(part.cell.bias)
            pair = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
            given |= {"bias_ih": pair[0], "bias_hh": pair[1]}
        for key, value in given.items():
            getattr(module, f"{key}_l0{suffix}").data = ordered(value)
    module.flatten_parameters()
    return module
