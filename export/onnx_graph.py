"""A serving function as an ONNX graph. The one module that touches tf2onnx."""

import collections
import contextlib
import logging

import numpy as np

from export import recurrent, scan
from export.verify import ExportError

# The newest operator set that tf2onnx 1.17 writes is 18. 17 has all that is needed, with file format
# (IR) 8, and is read by onnxruntime 1.13 and later, older than the oldest that seqzoo allows (1.18).
OPSET = 17
OPSETS = range(13, 19)


def build(serving, function, operations=None, opset=OPSET):
    """Converts a traced serving function.

    Of the operations a decoder wants, ``keras.ops.argmax`` of floats has no ONNX form, as it tells -0 from
    0 by its bits; ``ops.top_k(x, 1)`` has.

    Args:
        serving: the task's ``zoo.contract.serving.Serving``, for names and symbolic dimensions.
        function: ``export.verify.serving_function`` of the task.
        operations: ``export.recurrent.Fusion.operations`` of the tracing.
        opset: the operator set, one of ``OPSETS``.

    Returns:
        An ``onnx.ModelProto`` with the inputs, outputs and dimensions that ``serving`` names.
        The same weights give the same bytes.

    Raises:
        ExportError: an operation has no ONNX counterpart.
    """
    import onnx
    import tf2onnx


    def write(graph, node, name, _):
        _write_recurrent(graph, node, name, operations or {})

    with _quiet():
        model, _ = tf2onnx.convert.from_function(
            function,
            input_signature=function.input_signature,
            opset=opset,
            custom_op_handlers={recurrent.STAND_IN: (write, []), "Erfc": (_write_erfc, [])},
        )
    _canonical(model.graph, {spec.name for spec in (*serving.inputs, *serving.outputs)})
    _weights_outside_loops(model.graph)
    _order(model.graph.input, serving.inputs)
    _order(model.graph.output, serving.outputs)
    _drop_unread_outputs(model.graph)
    scan.unroll(model.graph)
    del model.graph.value_info[:]  # inferred again on loading; here it names dimensions at random
    model.graph.name, model.graph.doc_string = "serving", ""
    model.producer_name, model.doc_string = "seqzoo", ""
    model.producer_version = ""
    if {"PyFunc", "EagerPyFunc"} & set(operations_of(model.graph)):
        raise ExportError("The model calls Python code (py_function, numpy_function); write it in keras.ops")
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # invalid, or too large for one file; onnx and protobuf have many kinds
        reason = str(error).splitlines()[0]
        raise ExportError(f"This model has no valid ONNX form ({reason}); nothing was written") from error
    return model


@contextlib.contextmanager
def _quiet():
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what it could not convert, the checker tells
    try:
        yield
    finally:
        logger.setLevel(level)


def _write_recurrent(graph, node, name, operations):
    """Puts an ONNX ``LSTM``, ``GRU`` or ``RNN`` in the place of a stand-in of ``export.recurrent``."""
    token = node.get_attr_value("token").decode()
    if token not in operations:  # a user's own, which `build` finds
        return
    cells, direction, given = operations[token]
    constants = {
        "W": np.stack([cell.kernel for cell in cells]),
        "R": np.stack([cell.recurrent for cell in cells]),
        "B": np.stack([cell.bias for cell in cells]),
    }
    inputs = [node.input[0]]
    inputs += [graph.make_const(f"{name}/{key}", value).output[0] for key, value in constants.items()]
    optional = dict(zip(given, node.input[1:], strict=True))
    inputs += [optional.get(key, "") for key in ("sequence_lens", "initial_h", "initial_c")]
    while not inputs[-1]:
        inputs.pop()
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
    shapes, types, outputs = node.output_shapes, node.output_dtypes, node.output
    graph.remove_node(name)
    graph.make_node(
        cells[0].kind, inputs, attr=attributes, outputs=outputs, name=name, shapes=shapes, dtypes=types
    )


def _write_erfc(graph, node, name, _):
    """1 - erf(x), for Keras's gelu."""
    x, outputs, types, shapes = node.input[0], node.output, node.output_dtypes, node.output_shapes
    graph.remove_node(name)
    erf = graph.make_node("Erf", [x]).output[0]
    one = graph.make_const(f"{name}/one", np.ones((), "float32")).output[0]
    graph.make_node("Sub", [one, erf], outputs=outputs, name=name, shapes=shapes, dtypes=types)


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


def _canonical(graph, kept):
    """Puts nodes in the order in which the outputs call for them, and numbers them and their tensors.

    tf2onnx's order and names depend on the hashes of names with running numbers.

    Args:
        graph: an ``onnx.GraphProto``, changed in place.
        kept: the names of its inputs and outputs.
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

    counts, renamed = collections.Counter(), {name: name for name in (*kept, "")}

    def rename(name, kind):
        if name not in renamed:
            renamed[name] = f"{kind}_{counts[kind]}"
            counts[kind] += 1
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


def operations_of(graph):
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
