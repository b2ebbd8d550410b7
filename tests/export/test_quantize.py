"""Eight bits: what an example gives never depends on its neighbours in a batch, nor on padding.

Presets are in ``tests/test_hosts.py``, and all of them in ``benchmarks.neighbours``.
"""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from export import onnx_graph, quantize, to_onnx


def run(path, x):
    (found,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    return found


def test_neighbours_and_padding_change_nothing(tmp_path):
    """LSTMs in both directions, masked, with a state that is handed on, and a product in each step."""
    keras.utils.set_random_seed(1)
    units = quantize.LEAST_LSTM
    x = keras.Input((None, 16), name="x")
    y = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(layers.Masking()(x))
    y, h, c = layers.LSTM(units, return_sequences=True, return_state=True)(y)
    y = layers.LSTM(units, return_sequences=True)(y, initial_state=[h, c])
    model = keras.Model(x, layers.Dense(units, activation="softmax", name="y")(y))
    report = to_onnx(model, tmp_path / "m.onnx", int8=True)
    assert report["nodes"]["DynamicQuantizeLSTM"] == 3 and report["nodes"]["MatMulInteger"] == 1

    x = np.random.default_rng(0).normal(size=(6, 9, 16)).astype("float32")
    lengths = [9, 4, 1, 7, 9, 2]
    for row, length in zip(x, lengths, strict=True):
        row[length:] = 0
    together = run(tmp_path / "m.onnx", x)
    for i, length in enumerate(lengths):
        alone = run(tmp_path / "m.onnx", x[i : i + 1, :length])[0]
        np.testing.assert_allclose(together[i, :length], alone, atol=1e-6)
    x[1:] *= 100  # a scale for the whole batch would be that of the loudest
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", x)[0], together[0])

    # In the graph itself: what takes one scale for all that it is given is nowhere, or gets one row.
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert "DynamicQuantizeLinear" not in set(onnx_graph.operations_of(graph))
    assert "DynamicQuantizeLSTM" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize("opset", [13, 18])
def test_products_of_every_opset_and_rows_of_zeros(opset, tmp_path):
    x = keras.Input((64,), name="x")
    model = keras.Model(x, layers.Dense(64)(x))
    assert to_onnx(model, tmp_path / "m.onnx", int8=True, opset=opset)["nodes"]["MatMulInteger"] == 1
    values = np.random.default_rng(0).normal(size=(3, 64)).astype("float32")
    values[0] = 0
    found = run(tmp_path / "m.onnx", values)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found, model(values), atol=0.05)
