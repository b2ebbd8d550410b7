"""A serving function as an ONNX graph. The one module that touches tf2onnx."""

from __future__ import annotations

import collections
import contextlib
import copy
import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from export import scan, stand_in
from export.verify import ExportError
from zoo.errors import reason

if TYPE_CHECKING:
    import onnx

    from export.stand_in import StandIns
    from zoo.contract.serving import Serving

# The newest operator set that tf2onnx 1.17 writes is 18. 17 has all that is needed, with file format
# (IR) 8, and is read by onnxruntime 1.13 and later, older than the oldest that seqzoo allows (1.18).
OPSET = 17
OPSETS = range(13, 19)


def build(
    serving: Serving, function: Any, stand_ins: StandIns | None = None, opset: int = OPSET
) -> onnx.ModelProto:
    """Converts a traced serving function.

    Args:
        serving: the subject's ``zoo.contract.serving.Serving``, for names and symbolic dimensions.
        function: ``export.verify.serving_function`` of the subject.
        stand_ins: the ``export.stand_in.StandIns`` of the tracing.
        opset: the operator set, one of ``OPSETS``; a newer one is taken where a stand-in needs it.

    Returns:
        An ``onnx.ModelProto`` with the inputs, outputs and dimensions that ``serving`` names. An input that
        no output depends on has a default value, and need not be given. The same weights give the same bytes.

    Raises:
        Unconvertible: an operation has no ONNX counterpart.
        ExportError: what was converted is no valid model.
    """
    import onnx

    concrete = function.get_concrete_function()
    given = concrete.inputs[: len(serving.inputs)]
    made = [concrete.structured_outputs[spec.name] for spec in serving.outputs]
    # Names that nothing else has, until all is converted.
    names = {tensor.name: f"input {i}" for i, tensor in enumerate(given)}
    names |= {tensor.name: f"output {i}" for i, tensor in enumerate(made)}
    if raised := stand_ins is not None and stand_ins.opset > opset:
        opset = OPSETS[-1]  # from which on no operation that tf2onnx writes has changed its meaning
    with _quiet():
        graph_def = _frozen(concrete, given, made)
        model = _converted(graph_def, [t.name for t in given], [t.name for t in made], names, opset)
    _check_operations(model.graph, opset)
    _pad_transposed_convolutions(model.graph)
    _write_stand_ins(model, stand_ins)
    if raised:
        _raise_opset(model, stand_ins.opset)
    specs = {f"input {i}": spec for i, spec in enumerate(serving.inputs)}
    specs |= {f"output {i}": spec for i, spec in enumerate(serving.outputs)}
    _canonical(model.graph, {name: spec.name for name, spec in specs.items()})
    _weights_outside_loops(model.graph)
    _order(model.graph.input, serving.inputs)
    _order(model.graph.output, serving.outputs)
    _drop_unread_outputs(model.graph)
    _default_unread_inputs(model.graph)
    scan.unroll(model.graph)
    del model.graph.value_info[:]  # inferred again on loading; here it names dimensions at random
    model.graph.name, model.graph.doc_string = "serving", ""
    model.producer_name, model.doc_string = "seqzoo", ""
    model.producer_version = ""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # invalid, or too large for one file; onnx and protobuf have many kinds
        raise ExportError(
            f"This model has no valid ONNX form ({reason(error)}); nothing was written"
        ) from error
    return model


class Unconvertible(ExportError):
    """An operation has no ONNX counterpart.

    Attributes:
        operation: its type.
        scope: its name in the traced graph, which has the names of the layers around it, or None.
    """

    def __init__(self, operation: str, scope: str | None = None) -> None:
        super().__init__(f"The model uses {operation}, which has no ONNX counterpart; nothing was written")
        self.operation, self.scope = operation, scope


def _frozen(concrete, given, made):
    """A traced function as a TensorFlow graph of constants, less what its outputs do not depend on."""
    from tf2onnx import tf_loader

    # The way for large models is right for all. The other builds a function of what it froze, and there falls
    # over operations (of a CTC loss, say) that no output depends on.
    graph_def = tf_loader.convert_variables_to_constants_large_model(concrete)
    graph_def = tf_loader.fix_freezing_errors_part2(graph_def)
    captured = {placeholder.op.name: value for value, placeholder in concrete.graph.captures}
    nodes = {node.name: node for node in graph_def.node}
    for name in nodes.keys() & captured.keys():
        if nodes[name].op == "Placeholder":
            _make_constant(nodes[name], captured[name])
    kept, waiting = {tensor.op.name for tensor in given}, [tensor.op.name for tensor in made]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            # Nothing here has an effect that another operation would have to wait for.
            reads = [one for one in nodes[name].input if not one.startswith("^")]
            nodes[name].input[:] = reads
            waiting += [one.partition(":")[0] for one in reads]
    nodes = [_copy(node) for node in graph_def.node if node.name in kept]
    del graph_def.node[:]
    graph_def.node.extend(nodes)
    return graph_def


def _make_constant(node, value):
    """Puts a captured tensor, such as the mean of ``Normalization``, in its placeholder's place."""
    import tensorflow as tf

    if value.dtype in (tf.resource, tf.variant):
        raise Unconvertible("a table or another resource of TensorFlow's", node.name)
    dtype = node.attr["dtype"].type
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))


def _converted(graph_def, inputs, outputs, names, opset):
    """A frozen TensorFlow graph as an ``onnx.ModelProto``, stand-ins left in it.

    Args:
        inputs, outputs: names of tensors.
        names: ``{tensor: its name in the model}``.
    """
    import onnx
    import tensorflow as tf
    from tf2onnx import tf_loader, tfonnx

    with tf.device("/cpu:0"):
        with tf.Graph().as_default():
            tf.import_graph_def(graph_def, name="")
            graph_def = tf_loader.tf_optimize(inputs, outputs, graph_def)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            converted = tfonnx.process_tf_graph(
                graph,
                continue_on_error=True,
                opset=opset,
                custom_op_handlers={stand_in.OPERATION: (_keep_stand_in, []), **_formulas()},
                extra_opset=[onnx.helper.make_opsetid(stand_in.DOMAIN, 1)],
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=names,
            )
    return _optimized(converted).make_model("serving")


def _optimized(graph):
    """A graph of tf2onnx's after its optimizers, of which those that fail are left out.

    tf2onnx copies the graph before each of them, in case it fails, which takes up to half of an export. Here
    one copy is made, and where one fails all is done again in tf2onnx's way.
    """
    from tf2onnx import optimizer

    # The others are of graphs with quantised or scaled images, which none is here.
    unneeded = "remove_redundant_upsample", "const_dequantize_optimizer", "q_dq_optimizer"
    wanted = {name: kind for name, kind in optimizer._get_optimizers().items() if name not in unneeded}
    untouched = copy.deepcopy(graph)
    try:
        return optimizer.optimize_graph(graph, catch_errors=False, optimizers=wanted)
    except Exception:  # of whatever kind
        return optimizer.optimize_graph(untouched, optimizers=wanted)


def _check_operations(graph, opset):
    """Raises ``Unconvertible`` where an operation of TensorFlow's is left."""
    import onnx

    for node in graph.node:
        if node.op_type in ("PyFunc", "EagerPyFunc"):
            raise Unconvertible("Python code (py_function, numpy_function)", node.name)
        if not node.domain and not onnx.defs.has(node.op_type, max_inclusive_version=opset):
            raise Unconvertible(node.op_type, node.name)
        for body in _bodies(node):
            _check_operations(body, opset)


def _keep_stand_in(graph, node, name, _):
    """Leaves a stand-in as an operation of a domain of its own."""
    token = node.get_attr_value("token").decode()
    if not token.startswith("seqzoo "):  # Python code of the model's, which `_check_operations` finds
        return
    inputs, outputs, types, shapes = list(node.input), node.output, node.output_dtypes, node.output_shapes
    graph.remove_node(name)
    graph.make_node(
        "StandIn", inputs, attr={"token": token}, outputs=outputs, name=name,
        shapes=shapes, dtypes=types, domain=stand_in.DOMAIN,
    )  # fmt: skip


def _write_stand_ins(model, stand_ins):
    """Writes what stand-ins stand for in their places, in loops too; its constants into the outer graph."""
    import onnx

    constants, domains, count = [], {""}, itertools.count()

    def walk(graph):
        nodes = []
        for node in graph.node:
            for body in _bodies(node):
                walk(body)
            if node.domain != stand_in.DOMAIN:
                nodes.append(node)
                continue
            token = onnx.helper.get_node_attr_value(node, "token").decode()
            write = stand_ins.writers[token]
            written, read = write(list(node.input), list(node.output), f"stand-in {next(count)}")
            nodes += written
            constants.extend(read)
            domains.update(one.domain for one in written)
        nodes = [_copy(node) for node in nodes]
        del graph.node[:]
        graph.node.extend(nodes)

    walk(model.graph)
    model.graph.initializer.extend(constants)
    kept = [_copy(opset) for opset in model.opset_import if opset.domain in domains]
    present = {opset.domain for opset in kept}
    added = {domain: stand_in.VERSIONS.get(domain, 1) for domain in sorted(domains - present)}
    kept += [onnx.helper.make_opsetid(domain, version) for domain, version in added.items()]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _raise_opset(model, version):
    """Gives a model a newer operator set, and the file format that came with it."""
    import onnx

    for opset in model.opset_import:
        if not opset.domain:
            opset.version = version
            model.ir_version = max(model.ir_version, onnx.helper.find_min_ir_version_for([opset]))


@contextlib.contextmanager
def _quiet():
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)  # what it could not convert, the checker tells
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# === Operations that tf2onnx does not know, or writes wrongly ===


def _formulas():
    """Handlers of TensorFlow's operations for tf2onnx, by what they are made of in ONNX."""
    return {
        "Erfc": (_written(lambda new, x: new("Sub", 1, new("Erf", x))), []),
        "Expm1": (_written(lambda new, x: new("Sub", new("Exp", x), 1)), []),
        "Log1p": (_written(lambda new, x: new("Log", new("Add", x, 1))), []),
        "FloorMod": (_written(_floor_mod), []),
        "FloorDiv": (_written(_floor_div), []),
        "OneHot": (_written(_one_hot), []),
        # onnxruntime rounds positions otherwise, and takes other pixels for some sizes.
        "ResizeNearestNeighbor": (_written(_resize_nearest), []),
        "ResizeBilinear": (_written(_resize_bilinear), []),
        "Bucketize": (_written(_bucketize), []),
        # tf2onnx multiplies by masks, and an infinity or NaN in what is not chosen spoils the sum.
        "SelectV2": (_written(lambda new, condition, x, y: new("Where", condition, x, y)), []),
    }


def _floor_mod(new, x, y):
    """x - floor(x / y) * y; tf2onnx rounds whole quotients towards zero."""
    if new.whole:
        return new("Mod", x, y)
    return new("Sub", x, new("Mul", new("Floor", new("Div", x, y)), y))


def _floor_div(new, x, y):
    if new.whole:
        return new("Div", new("Sub", x, new("Mod", x, y)), y)
    return new("Floor", new("Div", x, y))


def _one_hot(new, index, depth, on, off):
    """An index out of range gives ``off`` everywhere; ONNX's OneHot counts negative ones from the end."""
    axis = new.node.get_attr_int("axis")
    kind = new.graph.get_dtype(index)
    classes = new("Range", new.constant(0, kind), new.cast(depth, kind), new.constant(1, kind), dtype=kind)
    rank = len(new.graph.get_shape(index))
    behind = rank - axis if axis >= 0 else 0
    if behind:
        shape = new.constant([-1] + [1] * behind, 7)
        classes = new("Reshape", classes, shape, dtype=kind)
    axes = new.constant([axis if axis >= 0 else rank], 7)
    return new("Where", new("Equal", new("Unsqueeze", index, axes, dtype=kind), classes, dtype=9), on, off)


def _resize_nearest(new, x, size):
    for axis in (1, 2):
        last, places = _places(new, x, size, axis, offset=0.5)
        places = new("Min", new("Floor", places, dtype=1), last, dtype=1)
        x = new("Gather", x, new.cast(places, 7), axis=axis)
    return x


def _resize_bilinear(new, x, size):
    x = new.cast(x, 1)
    for axis in (2, 1):
        last, places = _places(new, x, size, axis, offset=0.5)
        places = new("Sub", places, 0.5)
        floor = new("Floor", places)
        lower = new("Gather", x, new.cast(new("Max", floor, 0), 7), axis=axis)
        upper = new("Gather", x, new.cast(new("Min", new("Ceil", places), last), 7), axis=axis)
        share = new("Reshape", new("Sub", places, floor), new.constant([-1] + [1] * (3 - axis), 7))
        x = new("Add", lower, new("Mul", new("Sub", upper, lower), share))
    return x


def _places(new, x, size, axis, offset):
    """(the last index, float32 [size] of where an image is read), of Keras's resizing along an axis."""
    if new.node.get_attr_value("align_corners") or not new.node.get_attr_value("half_pixel_centers"):
        raise ValueError("other corners than Keras's")  # tf2onnx leaves the operation, which is then told
    before = new.cast(new("Gather", new("Shape", x, dtype=7), new.constant(axis, 7), dtype=7), 1)
    after = new.cast(new("Gather", size, new.constant(axis - 1, 7), dtype=6), 1)
    scale = new("Div", before, after, dtype=1)
    index = new("Range", new.constant(0, 1), after, new.constant(1, 1), dtype=1)
    places = new("Mul", new("Add", index, new.constant(offset, 1), dtype=1), scale, dtype=1)
    return new("Sub", before, new.constant(1, 1), dtype=1), places


def _bucketize(new, x):
    bounds = np.asarray(new.node.get_attr_value("boundaries"), "float32")
    x = new("Unsqueeze", new.cast(x, 1), new.constant([-1], 7), dtype=1)
    above = new.cast(new("GreaterOrEqual", x, new.constant(bounds, 1), dtype=9), 6)
    return new("ReduceSum", above, new.constant([-1], 7), keepdims=0)


def _written(formula):
    """A handler for tf2onnx that writes a formula of ONNX operations in the place of TensorFlow's one.

    Args:
        formula: gives the name of its result for a ``_New`` and the names of the operation's inputs.
    """

    def write(graph, node, name, _):
        new = _New(graph, node)
        inputs, outputs, types, shapes = list(node.input), node.output, node.output_dtypes, node.output_shapes
        graph.remove_node(name)
        result = formula(new, *inputs)
        graph.make_node("Identity", [result], outputs=outputs, name=name, shapes=shapes, dtypes=types)

    return write


class _New:
    """Makes ONNX operations in one of tf2onnx's graphs: ``new("Sub", 1, x)`` gives the name of a result.

    Attributes:
        whole: whether the operation that they replace gives integers.
    """

    def __init__(self, graph, node):
        import onnx

        self.graph, self.node, self._dtype = graph, node, node.output_dtypes[0]
        numpy = onnx.helper.tensor_dtype_to_np_dtype(self._dtype)
        self.whole = np.issubdtype(numpy, np.integer)

    def __call__(self, kind, *inputs, dtype=None, **attributes):
        """Takes names, or numbers of the dtype; ``dtype`` is ONNX's number of that of the result."""
        dtype = dtype or self._dtype
        inputs = [one if isinstance(one, str) else self.constant(one, dtype) for one in inputs]
        return self.graph.make_node(kind, inputs, attr=attributes, dtypes=[dtype], domain="").output[0]

    def cast(self, x, dtype):
        return self.graph.make_node("Cast", [x], attr={"to": dtype}, dtypes=[dtype]).output[0]

    def constant(self, value, dtype):
        import onnx
        from tf2onnx import utils

        value = np.asarray(value, onnx.helper.tensor_dtype_to_np_dtype(dtype))
        return self.graph.make_const(utils.make_name("constant"), value).output[0]


def _pad_transposed_convolutions(graph):
    """Writes what a transposed convolution gives more than its strides as ``output_padding``.

    tf2onnx writes it as negative padding, which ONNX does not allow.
    """
    import onnx

    for node in graph.node:
        for body in _bodies(node):
            _pad_transposed_convolutions(body)
        given = {one.name: one for one in node.attribute}
        if node.op_type != "ConvTranspose" or "pads" not in given or min(given["pads"].ints) >= 0:
            continue
        pads = list(given["pads"].ints)
        half = len(pads) // 2
        more = [max(0, -first - last) for first, last in zip(pads[:half], pads[half:], strict=True)]
        del given["pads"].ints[:]
        given["pads"].ints.extend(max(0, value) for value in pads)
        node.attribute.append(onnx.helper.make_attribute("output_padding", more))


def _drop_unread_outputs(graph):
    """Leaves out what no one reads of a recurrent operation, all its outputs or its last states."""
    read = {value.name for value in graph.output}
    read |= {name for node in graph.node for name in _reads(node)}
    for node in graph.node:
        for body in _bodies(node):
            _drop_unread_outputs(body)
        if node.op_type in ("LSTM", "GRU", "RNN"):
            node.output[:] = [name if name in read else "" for name in node.output]
            while not node.output[-1]:
                node.output.pop()


def _default_unread_inputs(graph):
    """Gives an input that nothing reads, such as the labels of a layer that computes a loss, a default value.

    Runtimes take inputs that have one, and do not ask for them.
    """
    import onnx

    unread = unread_inputs(graph)
    for value in graph.input:
        if value.name in unread:
            shape = [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
            kind = value.type.tensor_type.elem_type
            zeros = np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind))
            if kind == onnx.TensorProto.STRING:
                zeros = np.full(shape, "", object)
            graph.initializer.append(onnx.numpy_helper.from_array(zeros, value.name))


def unread_inputs(graph: onnx.GraphProto) -> list[str]:
    """Names of the inputs that no output depends on."""
    read = {name for node in graph.node for name in _reads(node)} | {value.name for value in graph.output}
    return [value.name for value in graph.input if value.name not in read]


def _order(values, specs):
    """Sorts a graph's inputs or outputs as their specs are, and gives them the specs' dimensions."""
    named = {value.name: value for value in values}
    missing = [spec.name for spec in specs if spec.name not in named]
    if missing:
        raise ExportError(f"The exported model lacks {missing[0]!r}; nothing was written")
    ordered = [named[spec.name] for spec in specs]
    for value, spec in zip(ordered, specs, strict=True):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in spec.shape:
            if isinstance(size, int):
                shape.dim.add().dim_value = size
            else:
                shape.dim.add().dim_param = size
    copies = [_copy(value) for value in ordered]
    del values[:]
    values.extend(copies)


def _canonical(graph, given):
    """Puts nodes in the order in which the outputs call for them, and numbers them and their tensors.

    tf2onnx's order and names depend on the hashes of names with running numbers.

    Args:
        graph: an ``onnx.GraphProto``, changed in place.
        given: ``{name: new name}`` of its inputs and outputs; no other tensor gets one of the new names.
    """
    makers = {name: i for i, node in enumerate(graph.node) for name in node.output}
    order, waiting = {}, [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while waiting:
        node = graph.node[waiting[-1]]
        missing = [makers[name] for name in _reads(node) if name in makers and makers[name] not in order]
        if missing:
            waiting.extend(reversed(missing))
        else:
            order[waiting.pop()] = None
    nodes = [_copy(graph.node[i]) for i in order]
    del graph.node[:]
    graph.node.extend(nodes)

    counts, renamed, taken = collections.Counter(), given | {"": ""}, set(given.values())

    def rename(name, kind):
        if name not in renamed:
            while (new := f"{kind}_{counts[kind]}") in taken:
                counts[kind] += 1
            counts[kind] += 1
            renamed[name] = new
        return renamed[name]

    def walk(graph):
        constants = {value.name for value in graph.initializer}
        for value in graph.input:
            value.name = rename(value.name, "input")
        for node in graph.node:
            for body in _bodies(node):
                walk(body)
            node.input[:] = [
                rename(name, "constant" if name in constants else "tensor") for name in node.input
            ]
            node.output[:] = [rename(name, node.op_type) for name in node.output]
            node.name = node.output[0]
        for value in (*graph.initializer, *graph.output):
            value.name = rename(value.name, "unused")
        graph.initializer.sort(key=lambda value: value.name)

    walk(graph)


def _weights_outside_loops(graph):
    """Takes what a loop only reads from the graph around it.

    tf2onnx hands it from step to step, where onnxruntime cannot know that a weight is a constant: it
    packed each matrix anew in every step, which took three times as long.
    """
    for node in graph.node:
        for body in _bodies(node):
            _weights_outside_loops(body)
        if node.op_type != "Loop":
            continue
        (body,) = _bodies(node)
        same = {inner.output[0]: inner.input[0] for inner in body.node if inner.op_type == "Identity"}
        for i in reversed(range(len(node.input) - 2)):  # after the trip count and the condition
            inner, result = body.input[i + 2].name, body.output[i + 1].name
            while result in same:
                result = same[result]
            if result == inner:
                _replace(body, inner, node.input[i + 2])
                _replace(graph, node.output[i], node.input[i + 2])
                del node.input[i + 2], node.output[i], body.input[i + 2], body.output[i + 1]


def _replace(graph, old, new):
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for body in _bodies(node):
            _replace(body, old, new)


def _bodies(node):
    """The graphs inside a node: a loop's body, a condition's branches."""
    return [body for attribute in node.attribute for body in (attribute.g, *attribute.graphs) if body.node]


def operations_of(graph: onnx.GraphProto) -> Iterator[str]:
    """Yields the operation of every node, of those inside loops too."""
    for node in graph.node:
        yield node.op_type
        for body in _bodies(node):
            yield from operations_of(body)


def _reads(node):
    """Names of the tensors that a node reads, those that its bodies take from outside included."""
    return [*node.input, *(name for body in _bodies(node) for inner in body.node for name in _reads(inner))]


def _copy(message):
    return type(message).FromString(message.SerializeToString())
