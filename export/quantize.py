"""Smaller weights in an exported ONNX graph: int8 or float16."""

from __future__ import annotations

import collections
import functools
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

SMALLEST = 1024  # values; what is smaller, biases mostly, stays as it is
# Units from which an LSTM, and a step of a plain RNN that is a `Scan`, is faster in 8 bits.
LEAST_LSTM, LEAST_STEP = 48, 384
# Weights that are computed with have seven bits: with eight, processors without VNNI overflow 16-bit sums.
LARGEST_WEIGHT = 63
LARGEST_INPUT = 127  # of the symmetric 8 bits of what they are multiplied by
LEAST_CHANNELS = 8  # of what a convolution reads, from which it is faster in 8 bits
MARGIN = 2.0  # by which the range of a convolution's values is wider than in examples


def int8(
    model: onnx.ModelProto, exact: Sequence[np.ndarray] = (), examples: Sequence[dict[str, np.ndarray]] = ()
) -> onnx.ModelProto:
    """Quantises weights to 8 bits, and computes with them where that is faster.

    What a row of a batch gives never depends on the other rows, nor on padding. Matrix products with
    constants become ``MatMulInteger``, with a scale for each row of the input. An LSTM becomes a ``Scan``
    over the batch that runs onnxruntime's ``DynamicQuantizeLSTM``, which has one scale for all that it is
    given, on one sequence at a time. No calibration is needed. All other weights (of GRUs, plain RNNs of
    fewer than ``LEAST_STEP`` units, LSTMs of fewer than ``LEAST_LSTM``, convolutions, embeddings) are stored
    as int8 with a scale for each output channel, and widened again when the file is loaded.

    With examples, convolutions become ``QLinearConv``, whose scales are constants: those of ``MARGIN`` times
    the range that its values have in them.

    Args:
        model: an ``onnx.ModelProto`` with float32 weights, left as it is.
        exact: arrays that stay as they are wherever the model has them, in any layout.
        examples: list of dicts of arrays, inputs such as are fed; none where nobody knows their ranges.

    Returns:
        Another ``onnx.ModelProto``.
    """
    import onnx

    model = _copy(model)
    exact = {_signature(value) for value in exact}
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    kept = {name for name, value in constants.items() if exact and _signature(value) in exact}
    floats = {
        name: value
        for name, value in constants.items()
        if value.dtype == np.float32 and value.size >= SMALLEST and name not in kept
    }
    quantiser = _Quantiser(model, floats)
    if examples:
        quantiser.convolutions(model.graph, examples)
    quantiser.rewrite(model.graph)
    model.graph.initializer.extend(quantiser.constants.values())
    _drop_unread(model.graph)

    def store(name, value):
        return ({name: value}, []) if name in kept else _as_int8(name, value)

    return _stored(model, store)


class _Quantiser:
    """Rewrites the nodes of graphs that compute with constants of a model."""

    def __init__(self, model, floats):
        self.floats, self.constants = floats, {}  # by name: arrays; what is added, as TensorProto
        self.opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        self.model = model

    def rewrite(self, graph, is_step=False):
        """Quantises the nodes of a graph and of those in it; ``is_step`` of what a ``Scan`` does."""
        nodes = []
        for node in graph.node:
            for inner in _graphs(node):
                self.rewrite(inner, node.op_type == "Scan")
            if node.op_type == "LSTM" and self._is_lstm(node):
                nodes += self._lstm(node)
            elif node.op_type in ("MatMul", "Gemm") and self._is_product(node, is_step):
                nodes += self._product(node)
            else:
                nodes.append(node)
        _replace_nodes(graph, nodes)

    def _constant(self, name, value):
        """The name of a constant, which is added once."""
        import onnx

        if name not in self.constants:
            self.constants[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _weights(self, name, value):
        """The names of a constant in 8 bits and of its scales: float ``[…, in, out]`` to ``[…, out]``."""
        scale = np.abs(value).max(axis=-2) / np.float32(LARGEST_WEIGHT)
        scale[scale == 0] = 1
        small = np.round(value / scale[..., None, :]).astype("int8")
        return self._constant(f"{name}_int8", small), self._constant(f"{name}_scale", scale)

    # === Matrix products ===

    def _is_product(self, node, is_step):
        weight = self.floats.get(node.input[1])
        if weight is None or weight.ndim != 2 or is_step and weight.size < LEAST_STEP**2:
            return False
        given = _attributes(node)
        return not given.get("transA") and given.get("alpha", 1) == given.get("beta", 1) == 1

    def _product(self, node):
        """``x @ w`` as ``scale_of_row * (round(x / scale_of_row) @ w_int8) * scale_of_column``."""
        from onnx import TensorProto

        x, weight, *bias = node.input
        value, turned = self.floats[weight], _attributes(node).get("transB")
        name = f"{weight}_turned" if turned else weight
        small, scale = self._weights(name, value.T if turned else value)
        scale = self._constant(f"{scale}_step", self._array(scale) / np.float32(LARGEST_INPUT))
        least = self._constant("int8_least", np.array(1e-30, "float32"))  # of a row of zeros
        unit = self._constant("int8_unit", np.array(1 / LARGEST_INPUT, "float32"))
        zero = self._constant("int8_zero", np.array(128, "uint8"))
        made = _Nodes(node)
        size = made.add("Abs", [x])
        if self.opset < 18:
            size = made.add("ReduceMax", [size], axes=[-1], keepdims=1)
        else:
            size = made.add("ReduceMax", [size, self._constant("int8_last", np.array([-1]))], keepdims=1)
        size = made.add("Max", [size, least])
        rounded = made.add("QuantizeLinear", [made.add("Div", [x, size]), unit, zero])
        product = made.add("MatMulInteger", [rounded, small, zero])
        product = made.add("Cast", [product], to=TensorProto.FLOAT)
        product = made.add("Mul", [made.add("Mul", [product, scale]), size])
        if bias and bias[0]:
            made.add("Add", [product, bias[0]])
        return made.named(node.output[0])

    def _array(self, name):
        import onnx

        return onnx.numpy_helper.to_array(self.constants[name])

    # === Convolutions ===

    def convolutions(self, graph, examples):
        """Quantises the convolutions of a model's own graph, by what they take and give in examples."""
        chosen = [node for node in graph.node if node.op_type == "Conv" and self._is_wide(node)]
        names = [name for node in chosen for name in (node.input[0], node.output[0])]
        ranges = _ranges(self.model, names, examples)
        chosen = {node.output[0] for node in chosen}
        readers = collections.defaultdict(list)
        for node in graph.node:
            for name in node.input:
                readers[name].append(node)
        # A ReLU is what 8 bits without negative numbers do by themselves.
        relus = {name: readers[name][0] for name in chosen if [n.op_type for n in readers[name]] == ["Relu"]}
        dropped, nodes = {relu.output[0] for relu in relus.values()}, []
        for node in graph.node:
            if node.output[0] in chosen:
                low, high = ranges[node.output[0]]
                relu = relus.get(node.output[0])
                made = _affine(0.0 if relu else low, high)
                output = relu.output[0] if relu else node.output[0]
                nodes += self._convolution(node, _affine(*ranges[node.input[0]]), made, output)
            elif node.output[0] not in dropped:
                nodes.append(node)
        _replace_nodes(graph, nodes)

    def _is_wide(self, node):
        weight = self.floats.get(node.input[1])
        return weight is not None and weight.ndim == 4 and weight.shape[1] >= LEAST_CHANNELS

    def _convolution(self, node, given, made, output):
        """``QLinearConv`` with ``(scale, zero)`` of its input and of its output, whose name is given."""
        name, weight = node.output[0], self.floats[node.input[1]]
        scale = np.abs(weight).max(axis=(1, 2, 3)) / np.float32(LARGEST_WEIGHT)
        scale[scale == 0] = 1
        small = np.round(weight / scale[:, None, None, None]).astype("int8")
        bias = np.zeros(len(weight), "float32")
        if len(node.input) > 2:
            bias = next(_values(one) for one in self.model.graph.initializer if one.name == node.input[2])
        bias = np.round(bias / (given[0] * scale)).astype("int32")
        values = {
            "x_scale": given[0], "x_zero": given[1], "w": small, "w_scale": scale,
            "w_zero": np.zeros(len(weight), "int8"), "y_scale": made[0], "y_zero": made[1], "bias": bias,
        }  # fmt: skip
        of = {key: self._constant(f"{name}/int8_{key}", np.array(value)) for key, value in values.items()}
        nodes = _Nodes(node)
        x = nodes.add("QuantizeLinear", [node.input[0], of["x_scale"], of["x_zero"]])
        inputs = [x, of["x_scale"], of["x_zero"], of["w"], of["w_scale"], of["w_zero"]]
        inputs += [of["y_scale"], of["y_zero"], of["bias"]]
        y = nodes.add("QLinearConv", inputs, **_attributes(node))
        nodes.add("DequantizeLinear", [y, of["y_scale"], of["y_zero"]])
        return nodes.named(output)

    # === LSTMs ===

    def _is_lstm(self, node):
        constant = self.floats.keys() >= {*node.input[1:3]}
        return constant and self.floats[node.input[2]].shape[2] >= LEAST_LSTM

    def _lstm(self, node):
        """A ``Scan`` over the batch, whose step is the LSTM on one sequence.

        Two more units held at 1 and -1, and two such columns of the input, would make the scales constant and
        whole batches independent of neighbours, too. They were no faster, and coarser: `line_ocr_en` misread
        0.47 % of old books instead of 0.42.
        """
        from onnx import TensorProto, helper

        if "com.microsoft" not in {one.domain for one in self.model.opset_import}:
            self.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        x, kernel, recurrent, bias, lengths, h, c, peephole = [*node.input, *[""] * 5][:8]
        # Of LSTM [directions, 4 units, in]; of DynamicQuantizeLSTM [directions, in, 4 units].
        small, scales = [], []
        for name in (kernel, recurrent):
            values, scale = self._weights(f"{name}_turned", self.floats[name].transpose(0, 2, 1))
            small.append(values)
            scales += [scale, self._constant(f"{scale}_zero", np.zeros_like(self._array(scale), "int8"))]
        axes = [self._constant(f"int8_axis_{i}", np.array([i])) for i in range(3)]
        name = node.name or node.output[0]

        # Of what has an axis of the batch: its name outside, that axis, and what its row is called inside.
        given, rows, ones, made, steps = [], [], [], [], []
        for i, (value, axis) in enumerate(((x, 1), (lengths, 0), (h, 1), (c, 1))):
            ones.append(f"{name}/one_{i}" if value else "")
            if value:
                kind = TensorProto.FLOAT if axis else TensorProto.INT32
                rows.append(helper.make_tensor_value_info(f"{name}/row_{i}", kind, None))
                given.append((value, axis))
                steps.append(helper.make_node("Unsqueeze", [rows[-1].name, axes[axis]], [ones[-1]]))
        outputs = [f"{name}/all_{i}" if value else "" for i, value in enumerate(node.output)]
        lstm = helper.make_node(
            "DynamicQuantizeLSTM", [ones[0], *small, bias, *ones[1:], peephole, *scales], outputs,
            name=f"{name}_int8", domain="com.microsoft",
        )  # fmt: skip
        lstm.attribute.extend(one for one in node.attribute if one.name != "layout")
        steps.append(lstm)
        ends = []
        for i, value in enumerate(node.output):
            if value:  # y [time, directions, 1, units], h and c [directions, 1, units]
                axis = 1 if i else 2
                ends.append(helper.make_tensor_value_info(f"{name}/end_{i}", TensorProto.FLOAT, None))
                made.append((value, axis))
                steps.append(helper.make_node("Squeeze", [outputs[i], axes[axis]], [ends[-1].name]))
        return [
            helper.make_node(
                "Scan", [value for value, _ in given], [value for value, _ in made], name=name,
                body=helper.make_graph(steps, f"{name}_row", rows, ends), num_scan_inputs=len(given),
                scan_input_axes=[axis for _, axis in given], scan_output_axes=[axis for _, axis in made],
            )
        ]  # fmt: skip


class _Nodes(list):
    """The nodes that take the place of one, named after it."""

    def __init__(self, node):
        self.base = f"{node.output[0]}/int8"

    def add(self, kind, inputs, **attributes):
        """Adds an operation; gives the name of its output."""
        from onnx import helper

        name = f"{self.base}_{len(self)}"
        self.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def named(self, output):
        """The nodes, the last of which gives the output."""
        self[-1].output[0] = output
        return self


def _ranges(model, names, examples):
    """The least and the greatest value of tensors in all examples, 0 among them: ``{name: (low, high)}``."""
    import onnxruntime
    from onnx import TensorProto, helper

    if not names:  # onnxruntime would give all outputs
        return {}
    model, names = _copy(model), list(dict.fromkeys(names))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    known, ranges = {value.name for value in session.get_inputs()}, dict.fromkeys(names, (0.0, 0.0))
    for inputs in examples:
        given = {name: value for name, value in inputs.items() if name in known}
        for name, value in zip(names, session.run(names, given), strict=True):
            low, high = ranges[name]
            ranges[name] = min(low, float(value.min(initial=0))), max(high, float(value.max(initial=0)))
    return ranges


def _affine(low, high):
    """float32 scale and uint8 zero of values of a range, with ``MARGIN``."""
    scale = max(MARGIN * (high - low) / 255, 1e-8)
    return np.float32(scale), np.uint8(min(255, round(-MARGIN * low / scale)))


def _values(constant):
    from onnx import numpy_helper

    return numpy_helper.to_array(constant)


def _replace_nodes(graph, nodes):
    """Gives a graph other nodes, some of which may be its own."""
    copies = [_copy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _attributes(node):
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _drop_unread(graph):
    """Takes constants out that no node reads any more."""
    read = {one.name for one in graph.output} | _read(graph)
    constants = [one for one in graph.initializer if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _read(graph):
    """The names of all that the nodes of a graph, and of those in it, read."""
    names = set()
    for node in graph.node:
        names.update(node.input)
        for inner in _graphs(node):
            names |= _read(inner) | {one.name for one in inner.output}
    return names


def _graphs(node):
    """The graphs inside a node: a loop's body, a condition's branches."""
    return [inner for one in node.attribute for inner in (one.g, *one.graphs) if inner.node]


def _signature(value):
    """What of an array does not depend on its layout."""
    return value.size, float(f"{np.abs(value).sum(dtype=np.float64):.4g}")


def milliseconds(
    whole: onnx.ModelProto, coarse: onnx.ModelProto, inputs: dict[str, np.ndarray], seconds: float = 1.0
) -> dict[str, float]:
    """How long a model takes before and after ``int8``, in turns, on one thread as the zoo's readers run it.

    Args:
        whole, coarse: ``onnx.ModelProto``.
        inputs: ``{name: array}``; names that a model does not have are left out.
        seconds: measured time of both together, about.

    Returns:
        ``{"float32": …, "int8": …}``, medians of a run, or {} where the inputs do not suit.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        runs, times = {}, {"float32": [], "int8": []}
        for kind, model in (("float32", whole), ("int8", coarse)):
            data = model.SerializeToString()
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            known = {value.name for value in session.get_inputs()}
            given = {name: value for name, value in inputs.items() if name in known}
            runs[kind] = functools.partial(session.run, None, given)
            runs[kind]()  # the first allocates
        end = time.perf_counter() + seconds
        while not times["int8"] or time.perf_counter() < end:
            for kind, run in runs.items():
                before = time.perf_counter()
                run()
                times[kind].append(time.perf_counter() - before)
    except Exception:  # of onnxruntime's dozen kinds; this is only a measurement
        return {}
    return {kind: round(1e3 * statistics.median(taken), 4) for kind, taken in times.items()}


def float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores weights as float16; they are widened when the file is loaded, and computed with in float32."""
    return _stored(_copy(model), _as_float16)


def _copy(model):
    return type(model).FromString(model.SerializeToString())


def _stored(model, store):
    """Puts nodes that widen its stored form in the place of each large float32 constant."""
    from onnx import TensorProto, numpy_helper

    nodes, constants = [], []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < SMALLEST:
            constants.append(constant)
            continue
        values, made = store(constant.name, numpy_helper.to_array(constant))
        constants += [numpy_helper.from_array(value, name) for name, value in values.items()]
        nodes += made
    rest = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(constants)
    model.graph.node.extend([*nodes, *rest])
    return model


def _as_float16(name, value):
    from onnx import TensorProto, helper

    half = value.astype("float16")
    if not np.isfinite(half).all():
        return {name: value}, []
    return {f"{name}_half": half}, [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)]


def _as_int8(name, value):
    """Symmetric, a scale for each vector along the last axis but those of convolutions, [out, in, …]."""
    from onnx import TensorProto, helper

    axes = tuple(range(1, value.ndim)) if value.ndim == 4 else (-1,)
    scale = np.abs(value).max(axis=axes, keepdims=True) / 127
    scale[scale == 0] = 1
    small = np.round(value / scale).astype("int8")
    # Cast and Mul rather than DequantizeLinear, which onnxruntime does not compute once for all on loading.
    return {f"{name}_int8": small, f"{name}_scale": scale.astype("float32")}, [
        helper.make_node("Cast", [f"{name}_int8"], [f"{name}_wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]),
    ]
