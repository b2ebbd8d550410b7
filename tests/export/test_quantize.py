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


def test_convolutions_by_the_ranges_of_examples(tmp_path):
    """With a ReLU, which the 8 bits have in them, and without; of one channel it stays in float."""
    keras.utils.set_random_seed(1)
    x = keras.Input((None, None, 1), name="x")
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(y))
    model = keras.Model(x, layers.Conv2D(8, 3, name="y")(y))
    to_onnx(model, tmp_path / "m.onnx")
    random = np.random.default_rng(0)
    examples = [{"x": random.random((2, 12, 20, 1)).astype("float32")} for _ in range(3)]
    small = quantize.int8(onnx.load(tmp_path / "m.onnx"), (), examples)
    onnx.checker.check_model(small)
    onnx.save(small, tmp_path / "i.onnx")
    kinds = [node.op_type for node in small.graph.node]
    assert kinds.count("QLinearConv") == 2 and kinds.count("Conv") == kinds.count("Relu") == 1
    values = random.random((3, 14, 16, 1)).astype("float32")
    expected, found = model(values).numpy(), run(tmp_path / "i.onnx", values)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    values[1:] *= 100
    np.testing.assert_array_equal(run(tmp_path / "i.onnx", values)[0], found[0])
