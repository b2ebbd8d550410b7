"""Smaller weights in an exported ONNX graph: int8 or float16."""

import functools
import logging
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from zoo.backend import quiet_logging

SMALLEST = 1024  # values; what is smaller, biases mostly, stays as it is
# Units from which a step of a `Scan` is faster in 8 bits, as an LSTM is from 32 on.
LEAST_STEP = 192


def int8(model, exact=()):
    """Quantises weights to 8 bits, and computes with them where onnxruntime can.

    LSTMs and matrix products with constants become onnxruntime's dynamically quantised operations
    (``DynamicQuantizeLSTM``, ``MatMulInteger``): their inputs are quantised as they come, so no calibration
    is needed; so does a step of a plain RNN of ``LEAST_STEP`` units that is a ``Scan``. All other weights (of
    GRUs, other plain RNNs, convolutions, embeddings) are stored as int8 with a scale for each output channel,
    and widened again when the file is loaded.

    Args:
        model: an ``onnx.ModelProto`` with float32 weights, left as it is.
        exact: arrays that stay as they are wherever the model has them, in any layout.

    Returns:
        Another ``onnx.ModelProto``.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    exact = {_signature(value) for value in exact}
    kept = {
        constant.name
        for constant in model.graph.initializer
        if exact and _signature(onnx.numpy_helper.to_array(constant)) in exact
    }
    excluded = [node.name for node in model.graph.node if kept & set(node.input)]
    # It advises to prepare models that need no preparation.
    with tempfile.TemporaryDirectory() as folder, quiet_logging(logging.WARNING):
        path = Path(folder, "int8.onnx")
        # Seven bits: with eight, processors without VNNI overflow 16-bit sums on their way.
        quantize_dynamic(
            _copy(model), path, op_types_to_quantize=["LSTM", "MatMul"], weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded, per_channel=True, reduce_range=True,
            extra_options={"EnableSubgraph": True},  # in loops too
        )  # fmt: skip
        quantised = onnx.load(path)
    _restore_small_steps(model, quantised)

    def store(name, value):
        return ({name: value}, []) if name in kept else _as_int8(name, value)

    return _stored(quantised, store)


def _restore_small_steps(model, quantised):
    """Gives each ``Scan`` whose steps are too small for 8 bits the body that it had."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    scans = {node.name: node for node in model.graph.node if node.op_type == "Scan"}
    for node in quantised.graph.node:
        if node.name not in scans:
            continue
        (body,) = (one.g for one in scans[node.name].attribute if one.name == "body")
        read = {name for inner in body.node for name in inner.input} & constants.keys()
        if any(np.prod(constants[name].dims) >= LEAST_STEP**2 for name in read):
            continue
        (coarse,) = (one.g for one in node.attribute if one.name == "body")
        coarse.CopyFrom(body)
        there = {constant.name for constant in quantised.graph.initializer}
        quantised.graph.initializer.extend(constants[name] for name in sorted(read - there))


def _signature(value):
    """What of an array does not depend on its layout."""
    return value.size, float(f"{np.abs(value).sum(dtype=np.float64):.4g}")


def milliseconds(whole, coarse, inputs, seconds=1.0):
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


def float16(model):
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
