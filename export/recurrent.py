"""Keras's recurrent layers as ONNX's ``LSTM``, ``GRU`` and ``RNN`` operations.

While ``fused`` is in force, a recurrent layer that is traced leaves one stand-in (see ``export.stand_in``) in
the TensorFlow graph instead of a loop, and one ONNX operation is written in its place; ``export.scan`` makes
a ``Scan`` of an ``RNN`` where that is faster. A layer with no ONNX equivalent keeps its loop, and the report
says why.

ONNX knows padding at the end alone (``sequence_lens``), a Keras mask may hide any step. The steps
that a mask leaves are therefore brought to the front, in their order, and the outputs back to where
Keras has them: exact for every mask, whichever side the padding is on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator

import keras
import numpy as np
from keras.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells

from export import scan
from export.stand_in import StandIns
from zoo.layers import Bidirectional, Recurrent
from zoo.layers.memory import LinearCell

# What the report calls a layer that `export.scan` takes.
SCAN = "a Scan, which onnxruntime runs faster than its RNN"


class NoEquivalent(Exception):
    """Why a layer has no fused ONNX operation."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One direction of an ONNX recurrent operation.

    Attributes:
        kind: "LSTM", "GRU" or "RNN".
        units: int.
        kernel, recurrent, bias: float32 arrays in ONNX's layout: ``[gates * units, features]``,
            ``[gates * units, units]``, ``[2 * gates * units]``.
        activations: tuple of (name, alpha, beta), in ONNX's order.
        options: attributes that both directions of an operation share.
        given: what makes the operation's input of the layer's, where ONNX's equation has no place for it.
    """

    kind: str
    units: int
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    activations: tuple
    options: dict
    given: callable = None

    @property
    def states(self) -> int:
        return 2 if self.kind == "LSTM" else 1


@dataclasses.dataclass
class Fusion:
    """What became of the recurrent layers of a traced function.

    Attributes:
        stand_ins: those that were traced in the place of layers.
        layers: ``{layer: reason}``; an empty reason for a fused layer.
        scans: names of fused layers that became a ``Scan``, all or in part.
    """

    stand_ins: StandIns = dataclasses.field(default_factory=StandIns)
    layers: dict = dataclasses.field(default_factory=dict)
    scans: set = dataclasses.field(default_factory=set)

    def note(self, name: str, reason: str = "") -> None:
        """Keeps what became of one call of a layer; one that is a loop anywhere is told as a loop."""
        self.layers[name] = self.layers.get(name) or reason

    @property
    def fallbacks(self) -> dict[str, str]:
        return {name: reason for name, reason in self.layers.items() if reason}

    @property
    def report(self) -> dict[str, str]:
        """``{layer: "fused"``, ``SCAN`` or why it is a loop``}``."""
        kinds = {name: SCAN if name in self.scans else "fused" for name in self.layers}
        return {name: reason or kinds[name] for name, reason in sorted(self.layers.items())}


@contextlib.contextmanager
def fused(names: dict[keras.layers.Layer, str], stand_ins: StandIns | None = None) -> Iterator[Fusion]:
    """Traces recurrent layers as stand-ins for fused operations.

    Args:
        stand_ins: the ``StandIns`` to add to, by default new ones.
        names: ``{layer: its name in the report}``, all layers of the traced function, inner ones too; others
            than recurrent ones are left alone.

    Yields:
        A ``Fusion``, which fills while a function is traced.
    """
    fusion, changed = Fusion(stand_ins or StandIns()), []

    def replace(layer, name, function):
        object.__setattr__(layer, name, function)  # past Keras's tracking of attributes
        changed.append((layer, name))

    kinds = {
        keras.layers.Bidirectional: _bidirectional,
        Bidirectional: _our_bidirectional,
        Recurrent: _our_recurrent,
    }
    names = dict(names)
    for layer, name in list(names.items()):
        if isinstance(layer, keras.layers.Bidirectional | Bidirectional):
            names |= {one: f"{name}/{one.name}" for one in (layer.forward_layer, layer.backward_layer)}
        if isinstance(layer, Recurrent):
            names[layer.layer] = name
    for layer, name in names.items():
        for kind, make in kinds.items():
            # A subclass with a call of its own computes something else around its directions.
            if isinstance(layer, kind) and type(layer).call is kind.call:
                replace(layer, "call", make(layer, fusion, name))
        if isinstance(layer, RNN):
            replace(layer, "inner_loop", _inner_loop(layer, fusion, name))
    try:
        yield fusion
    finally:
        for layer, name in changed:
            object.__delattr__(layer, name)


# === Layers ===


def _inner_loop(layer, fusion, name):
    """A replacement for ``layer.inner_loop``, of the same arguments and results."""
    ordinary = layer.inner_loop

    def loop(sequences, initial_state, mask=None, training=False):
        try:
            cells = _cells(layer, training)
            if not all(len(value.shape) == 2 for value in keras.tree.flatten(initial_state)):
                raise NoEquivalent("its state is no vector")
            _check_mask(mask)
        except NoEquivalent as reason:
            fusion.note(name, str(reason))
            return ordinary(sequences, initial_state, mask=mask, training=training)
        steps = _Steps(sequences, _one(mask), layer.zero_output_for_mask)
        x, backwards, finals = steps.packed, layer.go_backwards, []
        states = iter(keras.tree.flatten(initial_state))
        for cell in cells:
            initial = [[next(states)] for _ in range(cell.states)]
            y, last = _operation(fusion, name, [cell], x, steps.lengths, initial, backwards)
            x = keras.ops.squeeze(y, 1)
            finals += [value[0] for value in last]
        last_output = steps.last(finals[-cells[-1].states], backwards)
        finals = [
            steps.carried(value, first)
            for value, first in zip(finals, keras.tree.flatten(initial_state), strict=True)
        ]
        packed = keras.tree.pack_sequence_as(initial_state, finals)
        if isinstance(layer.cell, StackedRNNCells) and len(cells) == 1:
            packed = packed[0]  # as StackedRNNCells.call has it
        outputs = None
        if layer.return_sequences:
            outputs = keras.ops.squeeze(steps.unpacked(y, [backwards]), 2)
            outputs = keras.ops.flip(outputs, 1) if backwards else outputs
        return last_output, last_output[:, None] if outputs is None else outputs, packed

    return loop


def _bidirectional(layer, fusion, name):
    """A replacement for the ``call`` of Keras's Bidirectional: both directions in one operation."""
    ordinary = layer.call
    forward, backward = layer.forward_layer, layer.backward_layer

    def call(sequences, initial_state=None, mask=None, training=None):
        try:
            cells = _pair(forward, backward, training)
            _check_mask(mask)
        except NoEquivalent:  # one by one, then
            return ordinary(sequences, initial_state=initial_state, mask=mask, training=training)
        steps = _Steps(sequences, _one(mask), forward.zero_output_for_mask)
        count, initial = cells[0].states, None
        if initial_state is not None:
            flat = keras.tree.flatten(initial_state)
            initial = [[flat[i], flat[count + i]] for i in range(count)]
        y, finals = _operation(fusion, name, cells, steps.packed, steps.lengths, initial, False)
        if layer.return_sequences:
            output = _merged(steps.unpacked(y, [False, True]), layer.merge_mode)
        else:
            last = [steps.last(finals[0][0], False), steps.last(finals[0][1], True)]
            output = _MERGES[layer.merge_mode](*last)
        if not layer.return_state:
            return output
        states = []
        for direction in (0, 1):
            for i in range(count):
                first = None if initial is None else initial[i][direction]
                states.append(steps.carried(finals[i][direction], first))
        return (*(output if layer.merge_mode is None else (output,)), *states)

    return call


def _our_bidirectional(layer, fusion, name):
    """A replacement for the ``call`` of the zoo's Bidirectional, whose lengths ONNX takes as they are."""
    ordinary = layer.call

    def call(sequences, lengths, training=False):
        try:
            cells = _pair(layer.forward_layer, layer.backward_layer, training, backward_reads="copy")
        except NoEquivalent:
            return ordinary(sequences, lengths, training=training)
        y, _ = _operation(fusion, name, cells, _time_first(sequences), lengths, None, False)
        return _merged(keras.ops.transpose(y, (2, 0, 1, 3)), layer.merge_mode)

    return call


def _our_recurrent(layer, fusion, name):
    """A replacement for the ``call`` of the zoo's Recurrent, whose lengths and states ONNX takes."""
    ordinary = layer.call

    def call(sequences, lengths=None, states=None, training=False):
        try:
            cells = _cells(layer.layer, training)
        except NoEquivalent:
            return ordinary(sequences, lengths, states, training=training)
        initial = None if states is None else [[state] for state in states]
        y, finals = _operation(fusion, name, cells, _time_first(sequences), lengths, initial, False)
        return keras.ops.transpose(keras.ops.squeeze(y, 1), (1, 0, 2)), [final[0] for final in finals]

    return call


_MERGES = {
    "concat": lambda a, b: keras.ops.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
    None: lambda a, b: (a, b),
}


def _merged(y, mode):
    """``[batch, time, 2, units]`` merged as Keras's Bidirectional does."""
    if mode == "concat":  # they lie side by side already
        shape = keras.ops.shape(y)
        return keras.ops.reshape(y, (shape[0], shape[1], 2 * y.shape[3]))
    return _MERGES[mode](y[:, :, 0], y[:, :, 1])


def _check_mask(mask):
    mask = _one(mask)
    if mask is not None and len(mask.shape) == 3 and mask.shape[2] != 1:
        raise NoEquivalent("its mask hides single units")


def _one(mask):
    return keras.tree.flatten(mask)[0] if keras.tree.is_nested(mask) else mask


def _time_first(x):
    return keras.ops.transpose(x, (1, 0, 2))


class _Steps:
    """The steps of padded sequences that a mask leaves, and where Keras has their outputs.

    Keras repeats the output before at a masked step (nothing is before the first: zeros), or gives
    zeros with ``zero_output``, and carries the state past it.

    Attributes:
        packed: ``[time, batch, features]``, the steps that count first.
        lengths: int32 ``[batch]``, how many they are, or None without a mask.
    """

    def __init__(self, sequences, mask, zero_output):
        ops = keras.ops
        self.mask, self.lengths, self.zero_output = mask, None, zero_output or mask is None
        if mask is None:
            self.packed = _time_first(sequences)
            return
        mask = ops.cast(mask, "bool")
        self.mask = mask = mask[:, :, 0] if len(mask.shape) == 3 else mask
        time = ops.shape(mask)[1]
        step = ops.arange(time, dtype="int32")[None, :]
        order = ops.argsort(ops.where(mask, step, time + step), axis=1)
        counted = ops.cumsum(ops.cast(mask, "int32"), axis=1)
        self.lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        batch = ops.arange(ops.shape(mask)[0], dtype="int32")
        self.packed = _rows(sequences, ops.transpose(order) + batch * time)
        # The packed step whose output stands at each step, reading forwards, and backwards.
        before = counted - ops.cast(mask, "int32")
        self.places = {False: ops.maximum(counted - 1, 0), True: ops.minimum(before, time - 1)}
        self.real = dict.fromkeys((False, True), mask)
        if not zero_output:
            self.real = {False: counted > 0, True: before < self.lengths[:, None]}

    def unpacked(self, y, directions):
        """Outputs ``[time, directions, batch, units]`` -> ``[batch, time, directions, units]``.

        In the order of the input; ``directions`` says of each whether it reads backwards.
        """
        ops = keras.ops
        if self.mask is None:
            return ops.transpose(y, (2, 0, 1, 3))
        batch, count = ops.shape(y)[2], len(directions)
        places = ops.stack([self.places[backwards] for backwards in directions], 2)
        places = places * count + ops.arange(count, dtype="int32")
        places = places * batch + ops.arange(batch, dtype="int32")[:, None, None]
        real = ops.stack([self.real[backwards] for backwards in directions], 2)[..., None]
        return _rows(y, places) * ops.cast(real, y.dtype)

    def last(self, state, backwards):
        """The output of the step that is read last, from the last state ``[batch, units]``."""
        if self.mask is None:
            return state
        real = self.lengths > 0
        if self.zero_output:
            real = self.mask[:, 0 if backwards else -1]
        return keras.ops.where(real[:, None], state, 0.0)

    def carried(self, state, initial):
        """The state after the last step; where no step counts, what it was at first."""
        if self.mask is None:
            return state
        return keras.ops.where(self.lengths[:, None] > 0, state, 0.0 if initial is None else initial)


def _rows(x, places):
    """Vectors along the last axis of ``x``, taken as one long list, by their places in it."""
    import tensorflow as tf

    return tf.gather(tf.reshape(x, (-1, x.shape[-1])), places)  # one ONNX operation, none of transposition


# === The stand-in ===


def _operation(fusion, name, cells, x, lengths, initial, backwards):
    """Emits a stand-in.

    Args:
        name: the layer, which the report calls fused from here on.
        cells: one ``Cell``, or the forward and the backward one.
        x: ``[time, batch, features]``.
        lengths: int32 ``[batch]``, or None.
        initial: for each state, a list with ``[batch, units]`` for each direction; or None for zeros.
        backwards: whether a single cell reads from the end.

    Returns:
        (y, states): ``[time, directions, batch, units]``, in the order of ``x``; for each state, a list with
        ``[batch, units]`` for each direction.
    """
    import tensorflow as tf

    units, count = cells[0].units, cells[0].states
    x = keras.ops.cast(cells[0].given(x) if cells[0].given else x, "float32")
    inputs, names = [x], []
    if lengths is not None:
        inputs.append(lengths)
        names.append("sequence_lens")
    if initial is not None and not all(_is_zero(value) for state in initial for value in state):
        inputs += [tf.stack(state) for state in initial]
        names += ["initial_h", "initial_c"][:count]
    direction = "bidirectional" if len(cells) == 2 else "reverse" if backwards else "forward"
    fusion.note(name)
    activations = [cell.activations[0] for cell in cells]
    if scan.suits(cells[0].kind, units, activations, direction, lengths is not None, "initial_h" in names):
        fusion.scans.add(name)
    write = functools.partial(_write, cells, direction, names)
    outputs = fusion.stand_ins.emit(write, inputs, [tf.float32] * (1 + count))
    # ensure_shape stays in the graph; what only Python knows of a shape does not.
    y = tf.ensure_shape(outputs[0], (x.shape[0], len(cells), x.shape[1], units))
    states = [tf.ensure_shape(state, (len(cells), x.shape[1], units)) for state in outputs[1:]]
    return y, [tf.unstack(state) for state in states]


def _write(cells, direction, given, inputs, outputs, name):
    """ONNX's operation for a stand-in: a writer of ``StandIns``.

    Args:
        cells: one for each direction.
        direction: ONNX's name of it.
        given: which of ONNX's optional inputs follow the first, in their order.
    """
    from onnx import helper, numpy_helper

    weights = {
        "W": np.stack([cell.kernel for cell in cells]),
        "R": np.stack([cell.recurrent for cell in cells]),
        "B": np.stack([cell.bias for cell in cells]),
    }
    constants = [numpy_helper.from_array(value, f"{name}/{key}") for key, value in weights.items()]
    optional = dict(zip(given, inputs[1:], strict=True))
    reads = [inputs[0], *(constant.name for constant in constants)]
    reads += [optional.get(key, "") for key in ("sequence_lens", "initial_h", "initial_c")]
    while not reads[-1]:
        reads.pop()
    activations = [activation for cell in cells for activation in cell.activations]
    attributes = {
        "hidden_size": cells[0].units,
        "direction": direction,
        "activations": [kind for kind, _, _ in activations],
        "activation_alpha": [alpha for _, alpha, _ in activations if alpha is not None],
        "activation_beta": [beta for _, _, beta in activations if beta is not None],
        **cells[0].options,
    }
    attributes = {key: value for key, value in attributes.items() if value != []}
    return [helper.make_node(cells[0].kind, reads, outputs, name=name, **attributes)], constants


def _is_zero(value):
    """Whether a traced initial state is zeros and nothing else, as it is by default."""
    import tensorflow as tf

    if not tf.is_symbolic_tensor(value):
        return False
    operation = value.op
    while operation.type in ("Identity", "Cast"):
        operation = operation.inputs[0].op
    if operation.type == "Fill":
        return tf.get_static_value(operation.inputs[1]) == 0
    static = tf.get_static_value(operation.outputs[0])
    return static is not None and not static.any()


# === Cells ===


def _pair(forward, backward, training, backward_reads="sequence"):
    """The cells of two layers that one operation can hold."""
    if not isinstance(forward, RNN) or not isinstance(backward, RNN) or forward.stateful:
        raise NoEquivalent("its layers are no plain recurrent layers")
    if forward.go_backwards or backward.go_backwards != (backward_reads == "sequence"):
        raise NoEquivalent("its forward layer reads backwards")
    pair = [*_cells(forward, training), *_cells(backward, training)]
    if len(pair) != 2 or (pair[0].kind, pair[0].units) != (pair[1].kind, pair[1].units):
        raise NoEquivalent("its directions differ")
    if pair[0].given or pair[1].given:
        raise NoEquivalent("its directions make different things of the input")
    if pair[0].options != pair[1].options or forward.zero_output_for_mask != backward.zero_output_for_mask:
        raise NoEquivalent("its directions differ")
    return pair


def _cells(layer, training):
    """The ``Cell``s of a layer, first to last."""
    import tensorflow as tf

    loops = (RNN.inner_loop, LSTM.inner_loop, GRU.inner_loop, SimpleRNN.inner_loop)
    if type(layer).inner_loop not in loops:
        raise NoEquivalent(f"{type(layer).__name__} is not one of LSTM, GRU, SimpleRNN, RNN")
    if layer.compute_dtype != "float32":
        raise NoEquivalent(f"it computes in {layer.compute_dtype}")
    cells = layer.cell.cells if type(layer.cell) is StackedRNNCells else [layer.cell]
    for cell in cells:
        if type(cell) not in _CELLS:
            raise NoEquivalent(f"its cell {type(cell).__name__} is not one of LSTM, GRU, SimpleRNN")
        if training and (cell.dropout or cell.recurrent_dropout):
            raise NoEquivalent("it is called with training=True and drops out")
    with tf.init_scope():  # values, in the midst of a tracing
        return [_CELLS[type(cell)](cell) for cell in cells]


def _lstm(cell):
    order = (0, 3, 1, 2)  # Keras: input, forget, candidate, output; ONNX: input, output, forget, candidate
    gate, candidate = _activation(cell.recurrent_activation), _activation(cell.activation)
    return _cell("LSTM", cell, order, [gate, candidate, candidate])


def _gru(cell):
    activations = [_activation(cell.recurrent_activation), _activation(cell.activation)]
    return _cell("GRU", cell, (0, 1, 2), activations, linear_before_reset=int(cell.reset_after))


def _simple(cell):
    return _cell("RNN", cell, (0,), [_activation(cell.activation)])


def _linear(cell):
    """An RNN without activation, of what the cell's own makes of the input."""
    recurrent = np.ascontiguousarray(np.asarray(cell.recurrent_kernel, "float32").T)
    affine, eye = (("Affine", 1.0, 0.0),), np.eye(cell.units, dtype="float32")
    bias = np.zeros(2 * cell.units, "float32")
    return Cell("RNN", cell.units, eye, recurrent, bias, affine, {}, cell.given)


_CELLS = {LSTMCell: _lstm, GRUCell: _gru, SimpleRNNCell: _simple, LinearCell: _linear}


def _cell(kind, cell, order, activations, **options):
    def ordered(weights):
        gates = np.split(np.asarray(weights, "float32"), len(order), axis=-1)
        return np.concatenate([gates[i] for i in order], axis=-1)

    clips = {clip for _, clip in activations}
    if clips != {None}:
        # ONNX clips the input of every activation, gates too: they must not mind.
        (clip,) = clips - {None} if len(clips - {None}) == 1 else (None,)
        others = [activation for activation, own in activations if own is None]
        if clip is None or not all(_saturates(activation, clip) for activation in others):
            raise NoEquivalent(f"ONNX clips the gates of a {kind} with its activation")
        options["clip"] = clip
    width = len(order) * cell.units
    bias = np.zeros((2, width), "float32")
    if cell.use_bias:
        given = np.asarray(cell.bias, "float32")
        bias[: 1 if given.ndim == 1 else 2] = given  # reset_after has a second, recurrent one
        bias = ordered(bias)
    return Cell(
        kind,
        cell.units,
        np.ascontiguousarray(ordered(cell.kernel).T),
        np.ascontiguousarray(ordered(cell.recurrent_kernel).T),
        bias.reshape(-1),
        tuple(activation for activation, _ in activations),
        options,
    )


# === Activations ===


def _saturates(activation, limit):
    """Whether an activation gives the same beyond a limit, above and below, as there."""
    name, slope, offset = activation
    if name == "HardSigmoid":
        return abs(slope) * limit >= 1 + abs(offset)
    return name in ("Sigmoid", "Tanh") and limit >= _SATURATED


_FAR = 1e9  # nobody's activation changes beyond
_SATURATED = 18.0  # beyond it, the sigmoid is 0 or 1 in float32, as tanh is from 9 on


def _activation(function):
    """What ONNX calls an activation: ((name, alpha, beta), clip), each but the name or None.

    Found by what the function gives, not by what it is called: a lambda, a layer or a partial counts
    as the function that it is.
    """
    far = np.array([30.0, 100.0, 1e4, 1e6, _FAR])
    grid = np.concatenate([np.linspace(-12, 12, 961), far, -far])
    grid = grid.astype("float32")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        given = np.asarray(function(keras.ops.convert_to_tensor(grid[None])), "float32")[0]
        alone = np.asarray(function(keras.ops.convert_to_tensor(grid[:, None])), "float32")[:, 0]
    except Exception as error:
        raise NoEquivalent(f"its activation {name!r} cannot be tried out ({error})") from error
    if not np.array_equal(given, alone, equal_nan=True):
        raise NoEquivalent(f"its activation {name!r} mixes units")
    for found, values in _candidates(grid, given):
        # Exponentials are rounded differently in a library or two.
        if np.allclose(values, given, rtol=1e-5, atol=1e-6):
            return found
    raise NoEquivalent(f"ONNX has no activation {name!r} for recurrent operations")


def _candidates(x, y):
    """Yields (((name, alpha, beta), clip), values on x); parameters are read off the values y.

    ONNX has Softplus, too, but onnxruntime's overflows beyond 88.
    """
    wide = x.astype("float64")
    at = {float(a): float(b) for a, b in zip(x, y, strict=True)}
    yield (("Tanh", None, None), None), np.tanh(wide)
    yield (("Sigmoid", None, None), None), 1 / (1 + np.exp(-np.maximum(wide, -700)))
    yield (("Relu", None, None), None), np.maximum(wide, 0)
    yield (("Affine", at[1.0] - at[0.0], at[0.0]), None), (at[1.0] - at[0.0]) * wide + at[0.0]
    top, bottom = max(at), min(at)
    if 0 < at[top] < top:
        yield (("Relu", None, None), at[top]), np.clip(wide, 0, at[top])
    slope, offset = (at[0.5] - at[0.0]) * 2, at[0.0]
    yield (("HardSigmoid", slope, offset), None), np.clip(slope * wide + offset, 0, 1)
    yield (("Softsign", None, None), None), wide / (1 + np.abs(wide))
    depth = -at[bottom]
    yield (("Elu", depth, None), None), np.where(wide > 0, wide, depth * np.expm1(np.minimum(wide, 0)))
    slope = -at[-1.0]
    yield (("LeakyRelu", slope, None), None), np.where(wide > 0, wide, slope * wide)
