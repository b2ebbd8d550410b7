"""A serving function as an ONNX graph. The one module that touches tf2onnx."""

import collections
import contextlib
import logging

from export.verify import ExportError

# The newest operator set that tf2onnx 1.17 writes is 18. 17 has all that is needed, with file format
# (IR) 8, and is read by onnxruntime 1.13 and later, older than the oldest that seqzoo allows (1.18).
OPSET = 17


def build(serving, function, custom_op_handlers=None):
    """Converts a traced serving function.

    Of the operations a decoder wants, ``keras.ops.argmax`` of floats has no ONNX form, as it tells -0 from
    0 by its bits; ``ops.top_k(x, 1)`` has.

    Args:
        serving: the task's ``zoo.task.Serving``, for names and symbolic dimensions.
        function: ``export.verify.serving_function`` of the task.
        custom_op_handlers: dict for tf2onnx, ``{TensorFlow operation: (handler, arguments)}``, for
            operations that stand for a fused one.

    Returns:
        An ``onnx.ModelProto`` with the inputs, outputs and dimensions that ``serving`` names.
        The same weights give the same bytes.

    Raises:
        ExportError: an operation has no ONNX counterpart.
    """
    import onnx
    import tf2onnx

    with _quiet(), _lengths_kept_in_bidirectional_lstms():
        model, _ = tf2onnx.convert.from_function(
            function,
            input_signature=function.input_signature,
            opset=OPSET,
            custom_op_handlers=custom_op_handlers,
        )
    _canonical(model.graph, {spec.name for spec in (*serving.inputs, *serving.outputs)})
    _order(model.graph.input, serving.inputs)
    _order(model.graph.output, serving.outputs)
    del model.graph.value_info[:]  # inferred again on loading; here it names dimensions at random
    model.graph.name, model.graph.doc_string = "serving", ""
    model.producer_name, model.doc_string = "seqzoo", ""
    model.producer_version = ""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
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


@contextlib.contextmanager
def _lengths_kept_in_bidirectional_lstms():
    """Mends tf2onnx's merging of a forward and a backward LSTM into one operation.

    tf2onnx 1.17 takes ``tf.reverse_sequence`` around the backward LSTM for a reversal of the whole padded
    sequence and drops its lengths, so that padding changes the result. Here they become the
    operation's ``sequence_lens``, which means the same: each sequence is read from its own end.
    """
    from tf2onnx import tfonnx
    from tf2onnx.rewriter import bilstm_rewriter, rnn_utils

    def rewrite(graph, operations):
        pairs = rnn_utils.find_bidirectional_rnns(graph, operations, rnn_utils.ONNX_RNN_TYPE.LSTM)
        for forward, backward in pairs:
            reverse = backward.inputs[0]
            if reverse.type == "Transpose":
                reverse = reverse.inputs[0]
            if reverse.type == "ReverseSequence":
                for node in (forward, backward):
                    graph.replace_input(node, node.input[4], reverse.input[1], 4)
        return bilstm_rewriter.process_bilstm(graph, pairs)

    original = tfonnx.rewrite_bi_direction_lstm
    tfonnx.rewrite_bi_direction_lstm = rewrite
    try:
        yield
    finally:
        tfonnx.rewrite_bi_direction_lstm = original


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


def _bodies(node):
    """The graphs inside a node: a loop's body, a condition's branches."""
    return [body for attribute in node.attribute for body in (attribute.g, *attribute.graphs) if body.node]


def _reads(node):
    """Names of the tensors that a node reads, those that its bodies take from outside included."""
    return [*node.input, *(name for body in _bodies(node) for inner in body.node for name in _reads(inner))]


def _copy(message):
    return type(message).FromString(message.SerializeToString())
