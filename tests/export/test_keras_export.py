"""Any Keras model as an ONNX file: names, metadata, smaller weights, and what cannot be exported."""

import errno
import itertools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops

from export import onnx_graph, quantize, recurrent, runtime, to_onnx, verify
from export.keras_model import KerasModel
from export.verify import ExportError
from zoo import cli
from zoo.cli.export import complaints
from zoo.errors import UserError


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)


def dims(path):
    graph = onnx.load(path).graph
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def small(units=8, **options):
    return keras.Sequential(
        [keras.Input((None, 5), name="x"), layers.Masking(), layers.Bidirectional(layers.GRU(units)),
         layers.Dense(2, name="score")],
        name="small", **options,
    )  # fmt: skip


# === Models that Keras's own examples are made of ===


@pytest.mark.slow
def test_text_classification(tmp_path):
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32", name="tokens"), layers.Embedding(50, 8, mask_zero=True),
         layers.Bidirectional(layers.LSTM(6, return_sequences=True)), layers.Bidirectional(layers.LSTM(6)),
         layers.Dense(1, activation="sigmoid", name="positive")]
    )  # fmt: skip
    report = to_onnx(model, tmp_path / "m.onnx")
    assert report["nodes"]["LSTM"] == 2 and "Loop" not in report["nodes"]
    assert dims(tmp_path / "m.onnx") == {"tokens": ["batch", "time"], "positive": ["batch", 1]}


@pytest.mark.slow
def test_captcha_reader(tmp_path):
    image = keras.Input((60, 24, 1), name="image")
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Dropout(0.2)(layers.Reshape((30, 96))(x))
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True, dropout=0.25))(x)
    model = keras.Model(image, layers.Dense(12, activation="softmax", name="characters")(x))
    assert to_onnx(model, tmp_path / "m.onnx")["nodes"]["LSTM"] == 1


@pytest.mark.slow
def test_character_translation(tmp_path):
    encoder = keras.Input((None, 7), name="source")
    _, h, c = layers.LSTM(8, return_state=True)(encoder)
    decoder = keras.Input((None, 9), name="target")
    y, _, _ = layers.LSTM(8, return_sequences=True, return_state=True)(decoder, initial_state=[h, c])
    model = keras.Model([encoder, decoder], layers.Dense(9, activation="softmax", name="next")(y))
    assert to_onnx(model, tmp_path / "m.onnx")["nodes"]["LSTM"] == 2
    assert dims(tmp_path / "m.onnx")["target"] == ["batch", "target_time", 9]


def test_weather_forecast(tmp_path):
    model = keras.Sequential([keras.Input((12, 7), name="x"), layers.LSTM(8), layers.Dense(1, name="y")])
    assert to_onnx(model, tmp_path / "m.onnx")["nodes"]["LSTM"] == 1
    assert dims(tmp_path / "m.onnx") == {"x": ["batch", 12, 7], "y": ["batch", 1]}


@pytest.mark.slow
def test_next_frame_prediction_stays_a_loop_and_says_so(tmp_path):
    model = keras.Sequential(
        [keras.Input((None, 6, 6, 1)), layers.ConvLSTM2D(3, 3, padding="same", name="frames")]
    )
    report = to_onnx(model, tmp_path / "m.onnx")
    assert "ConvLSTMCell" in report["recurrent"]["frames"] and report["nodes"]["Loop"] == 1


@pytest.mark.slow
def test_trained_in_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small()
    finally:
        keras.config.set_dtype_policy("float32")
    assert to_onnx(model, tmp_path / "m.onnx")["nodes"]["GRU"] == 1
    assert model.layers[1].compute_dtype == "float16", "the model is left as it was"


# === The file ===


@pytest.mark.slow
def test_runs_where_there_is_onnxruntime_alone(tmp_path):
    model = small()
    to_onnx(model, tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
    x[1, 2:] = 0
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules |= dict.fromkeys(('keras', 'tensorflow', 'zoo', 'export', 'onnx'))\n"
        "import numpy as np, onnxruntime\n"
        "y, = onnxruntime.InferenceSession('m.onnx').run(['score'], {'x': np.load('x.npy')})\n"
        "np.save('y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), atol=1e-5)


@pytest.mark.slow
def test_there_is_no_reader_for_a_bare_model(tmp_path):
    to_onnx(small(), tmp_path / "m.onnx")
    with pytest.raises(runtime.ReaderError, match="run it with onnxruntime"):
        runtime.load(tmp_path / "m.onnx")


@pytest.mark.slow
def test_metadata_and_operator_sets(tmp_path):
    for opset in (13, 18):
        report = to_onnx(small(), tmp_path / "m.onnx", opset=opset)
        model = onnx.load(tmp_path / "m.onnx")
        assert report["opset"] == opset == model.opset_import[0].version
        assert model.ir_version <= 10, "onnxruntime 1.18 reads up to 10"
        stored = {entry.key: entry.value for entry in model.metadata_props}
        assert stored["seqzoo.preset"] == "small"
        assert json.loads(stored["seqzoo.report"])["recurrent"] == {"bidirectional": "fused"}
        keras.utils.clear_session()


@pytest.mark.slow
def test_names_that_clash_are_told_apart(tmp_path):
    x = keras.Input((4, 3), name="x")
    states = layers.LSTM(2, return_state=True, name="memory")(x)
    to_onnx(keras.Model(x, states), tmp_path / "m.onnx")
    assert list(dims(tmp_path / "m.onnx")) == ["x", "memory_0", "memory_1", "memory_2"]
    to_onnx(keras.Model({"x": x}, {"x": states[0]}), tmp_path / "m.onnx")
    assert list(dims(tmp_path / "m.onnx")) == ["x", "x_0"]


@pytest.mark.slow
def test_names_are_kept_whatever_they_are(tmp_path):
    names = ("x y", "x_y", "größe", "_first", "LSTM_0", "constant_0", "input 0", "output 0")
    given = [keras.Input((None, 3), name=name) for name in names]
    y = layers.Concatenate()([layers.LSTM(2)(x) for x in given])
    to_onnx(keras.Model(given, layers.Dense(2, name="tensor_0")(y)), tmp_path / "m.onnx")
    assert tuple(dims(tmp_path / "m.onnx")) == (*names, "tensor_0")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my layer", "größe", "a:b", "LSTM (1)", "漢字", "_x"])
def test_names_of_layers_are_kept_whatever_they_are(name, tmp_path):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, layers.Dense(2, name="y")(layers.LSTM(2, name=name, activation="silu")(x)))
    assert "silu" in to_onnx(model, tmp_path / "m.onnx")["recurrent"][name]
    assert model.layers[1].name == name, "as it was"


def test_keys_that_are_also_names_of_inputs(tmp_path):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, {"x": layers.LSTM(3)(x), "x_0": layers.GRU(3)(x)})
    to_onnx(model, tmp_path / "m.onnx")
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(["x_0"], {"x": values})
    np.testing.assert_allclose(found, model(values)["x_0"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_images_of_any_size(dtype, interpolation, tmp_path):
    x = keras.Input((None, None, 2), dtype=dtype, name="x")
    y = layers.Resizing(7, 9, interpolation=interpolation)(x)
    z = layers.UpSampling2D(2, interpolation=interpolation)(layers.Rescaling(0.1)(x))
    model = keras.Model(x, {"small": y, "large": z})
    to_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for size in (7, 24, 26, 27, 47, 52, 57, 62):
        values = np.random.default_rng(size).integers(0, 256, (1, size, size + 3, 2)).astype(dtype)
        expected = model(values)
        for name in expected:
            (found,) = session.run([name], {"x": values})
            np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [2, 4, 5])
def test_transposed_convolutions_with_output_padding(padding, kernel, tmp_path):
    x = keras.Input((6, 5, 2), name="x")
    y = layers.Conv2DTranspose(3, kernel, strides=2, padding=padding, output_padding=1)(x)
    to_onnx(keras.Model(x, y), tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["lengths", "log_probs", "tokens", "attention"])
def test_names_of_the_zoo_mean_nothing_elsewhere(name, tmp_path, monkeypatch):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, {"y": layers.GRU(3, name="y")(x), name: layers.Dense(2)(x)})
    to_onnx(model, tmp_path / "m.onnx")

    def gru(cell):
        made = original(cell)
        made.bias[:] += 0.5
        return made

    original = recurrent._CELLS[layers.GRUCell]
    monkeypatch.setitem(recurrent._CELLS, layers.GRUCell, gru)
    with pytest.raises(ExportError, match="'y' differs"):
        to_onnx(model, tmp_path / "m.onnx")


@pytest.mark.slow
def test_dimensions_that_differ_have_different_names(tmp_path):
    x = keras.Input((None, 3), name="x")
    y = layers.Conv1D(4, 3, strides=2, padding="same")(x)
    half = layers.LSTM(4, return_sequences=True)(y)
    y = {"half": half, "whole": layers.GRU(2, return_sequences=True)(x), "all": ops.sum(x)}
    to_onnx(keras.Model(x, y | {"rows": ops.reshape(x, (-1, 3))}), tmp_path / "m.onnx")
    assert dims(tmp_path / "m.onnx") == {
        "x": ["batch", "time", 3], "half": ["batch", "half_time", 4], "whole": ["batch", "time", 2],
        "all": [], "rows": ["rows_dim_0", 3],
    }  # fmt: skip


@pytest.mark.slow
def test_layers_of_one_name_are_told_apart(tmp_path):
    def part(name, **options):
        lstm = layers.LSTM(3, name="lstm", **options)
        return keras.Sequential([keras.Input(batch_shape=(2, None, 3)), lstm], name=name)

    x = keras.Input(batch_shape=(2, None, 3), name="x")
    y = part("first", activation="silu", return_sequences=True, stateful=True)(x)
    report = to_onnx(keras.Model(x, part("second", stateful=True)(y)), tmp_path / "m.onnx")
    assert "silu" in report["recurrent"]["first/lstm"] and report["recurrent"]["second/lstm"] == "fused"
    states = [f"{layer}/lstm_{state}" for layer in ("first", "second") for state in "hc"]
    assert list(dims(tmp_path / "m.onnx"))[:5] == ["x", *states]


@pytest.mark.slow
def test_an_input_that_no_output_depends_on_may_be_left_out(tmp_path):
    x, labels = keras.Input((3,), name="x"), keras.Input((2,), dtype="int32", name="labels")

    class Loss(layers.Layer):
        def call(self, y, labels):
            self.add_loss(ops.mean(ops.cast(labels, "float32")))
            return y

    to_onnx(keras.Model([x, labels], Loss()(x, labels)), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    values = np.ones((4, 3), "float32")
    for more in ({}, {"labels": np.ones((4, 2), "int32")}):
        np.testing.assert_array_equal(session.run(None, {"x": values} | more)[0], values)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.floor(x * 9) % 5 - ops.floor(x * 9) // -4,
        lambda x: ops.cast(x * 9, "int32") % 5 - ops.cast(x * 9, "int32") // -4,
        lambda x: ops.one_hot(ops.cast(x * 3, "int32"), 3),  # out of range on both sides
        lambda x: ops.where(x == 0, 1.0, ops.sin(x) / x),
        lambda x: ops.log1p(ops.abs(x)) + ops.expm1(x / 100),
        lambda x: ops.argmax(ops.round(x), -1) - ops.argmin(ops.round(x), -1),
    ],
)
def test_operations_that_a_converter_has_wrong(function, tmp_path):
    x = keras.Input((7,), name="x")
    model = keras.Model(x, function(x))
    to_onnx(model, tmp_path / "m.onnx")
    values = np.random.default_rng(3).normal(size=(40, 7)).astype("float32")
    values[::3] = np.round(values[::3])
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": values})
    np.testing.assert_allclose(found, model(values), atol=1e-5)


@pytest.mark.slow
def test_int8_and_float16(tmp_path):
    x = keras.Input((None, 128), name="x")
    y = layers.Bidirectional(layers.LSTM(128, return_sequences=True))(layers.Masking()(x))
    model = keras.Model(x, layers.Dense(64, name="y")(layers.GRU(128)(y)))
    size = to_onnx(model, tmp_path / "full.onnx")["size"]
    small = to_onnx(model, tmp_path / "int8.onnx", int8=True)
    half = to_onnx(model, tmp_path / "half.onnx", float16=True)
    assert small["size"] < 0.3 * size and 0.49 < half["size"] / size < 0.54
    assert small["nodes"]["DynamicQuantizeLSTM"] == small["nodes"]["Scan"] == small["nodes"]["GRU"] == 1
    assert 0 < half["max_difference"] < 2e-3 and 0 < small["max_difference"] < 0.05
    # What the file in float32 was verified with has a name of its own.
    for report in (half, small):
        assert report["float32_difference"] <= verify.TOLERANCE < report["max_difference"]
    assert set(small["milliseconds"]) == {"float32", "int8"} and min(small["milliseconds"].values()) > 0
    assert "milliseconds" not in half
    to_onnx(model, tmp_path / "again.onnx", int8=True)
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "int8.onnx").read_bytes()
    values = np.random.default_rng(0).normal(size=(4, 9, 128)).astype("float32")
    for name in ("int8", "half"):
        (found,) = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"x": values})
        np.testing.assert_allclose(found, model(values), atol=0.05)


def test_what_a_user_should_know_of_an_export():
    layers = {"a": "fused", "b": recurrent.SCAN, "c": "ONNX has no activation 'gelu'"}
    times = {"float32": 1.8, "int8": 6.3}
    loop, slow = complaints({"recurrent": layers, "milliseconds": times})
    assert loop == "the layer 'c' stays a loop, right but slow: ONNX has no activation 'gelu'"
    assert slow.startswith("int8 is 3.5 times slower than float32 here (6.3 against 1.8 ms")
    for fine in ({"float32": 1.8, "int8": 1.9}, {"float32": 1.8, "int8": 0.9}, {}):
        assert not complaints({"recurrent": {"a": "fused"}, "milliseconds": fine})
    assert not complaints({"recurrent": {}})


def test_milliseconds_are_of_both_files():
    from onnx import TensorProto, helper

    def model(count):
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", f"y{count}"))
        names = ["x", *(f"y{i + 1}" for i in range(count))]
        nodes = [helper.make_node("Sin", [a], [b]) for a, b in itertools.pairwise(names)]
        return helper.make_model(
            helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )

    inputs = {"x": np.ones(20_000, "float32"), "not there": np.ones(1)}
    found = quantize.milliseconds(model(1), model(40), inputs, seconds=0.2)
    assert found["int8"] > 5 * found["float32"] > 0
    assert quantize.milliseconds(model(1), model(2), {"x": np.ones((2, 2), "float32")}) == {}


def test_gelu_has_an_onnx_form(tmp_path):
    x = keras.Input((3,), name="x")
    to_onnx(keras.Model(x, ops.gelu(x, approximate=False)), tmp_path / "m.onnx")


# === Verification ===


def test_a_traced_function_is_no_reference(tmp_path):
    """Keras traces TimeDistributed over unknown time wrongly; what runs eagerly is what is compared with."""
    x = keras.Input((None, 4, 3), name="x")
    model = keras.Model(x, layers.TimeDistributed(layers.LSTM(2), name="y")(x))
    wrong = verify.serving_function(KerasModel(model))
    values = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    assert wrong(values)["y"].shape != model(values).shape
    to_onnx(model, tmp_path / "m.onnx")
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": values})
    np.testing.assert_allclose(found, model(values), atol=1e-5)


def test_nan_equals_nan_but_not_everywhere(tmp_path):
    x = keras.Input((3,), name="x")
    to_onnx(keras.Model(x, ops.log(x)), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match="no finite number"):
        to_onnx(keras.Model(x, x * float("nan")), tmp_path / "n.onnx")


@pytest.mark.slow
def test_the_first_layer_that_differs_is_named(tmp_path, monkeypatch):
    x = keras.Input((None, 5), name="x")
    y = layers.LSTM(4, return_sequences=True, name="right")(x)
    y = layers.GRU(4, return_sequences=True, name="wrong")(y)
    model = keras.Model(x, layers.Dense(2, name="after")(y))

    def gru(cell):
        made = _gru(cell)
        made.options["linear_before_reset"] = 0
        return made

    _gru = recurrent._CELLS[layers.GRUCell]
    monkeypatch.setitem(recurrent._CELLS, layers.GRUCell, gru)
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    (tmp_path / "m.onnx").write_bytes(b"old")
    with pytest.raises(ExportError, match="first layer that differs is 'wrong'"):
        to_onnx(model, tmp_path / "m.onnx")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.slow
def test_tracing_leaves_the_layers_as_they_were(tmp_path):
    model = small()
    to_onnx(model, tmp_path / "m.onnx")
    pair = model.layers[1]
    for layer in (pair, pair.forward_layer, pair.backward_layer):
        assert not {"call", "inner_loop"} & set(vars(layer))


# === What goes wrong ===


class Subclassed(keras.Model):
    def call(self, x):
        return x


def unbuilt():
    return keras.Sequential([layers.LSTM(3)])


def lambda_layer():
    return keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x + 1, name="plus")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Subclassed, "subclass of keras.Model"),
        (unbuilt, "never built"),
        (lambda_layer, "'plus' is a Lambda"),
        (lambda: 3, "neither a Keras model nor a task"),
    ],
)
def test_models_that_cannot_be_exported(make, says, tmp_path):
    with pytest.raises(UserError, match=says) as caught:
        to_onnx(make(), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_settings_that_make_no_sense(tmp_path):
    with pytest.raises(UserError, match="no opset 99"):
        to_onnx(small(), tmp_path / "m.onnx", opset=99)
    with pytest.raises(UserError, match="exclude"):
        to_onnx(small(), tmp_path / "m.onnx", int8=True, float16=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/m.onnx"):
        to_onnx(small(), tmp_path / "file" / "m.onnx")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        to_onnx(small(), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda self, x: ops.fft((x, x))[0], "'odd' uses Complex"),
        (lambda self, x: x * (2.0 if ops.sum(x) > 0 else 1.0), "'odd' cannot be converted"),
        (lambda self, x: ops.view(x, "int32"), "'odd' uses Bitcast"),
        (lambda self, x: ops.rfft(x, fft_length=6)[0], "'odd' uses RFFT, .*STFTSpectrogram"),
    ],
)
def test_sentences_name_the_layer(call, says, tmp_path):
    kind = type("Odd", (layers.Layer,), {"call": call, "compute_output_shape": lambda self, shape: shape})
    x = keras.Input((4,), name="x")
    y = layers.Dense(4)(kind(name="odd")(layers.Dense(4)(x)))
    with pytest.raises(ExportError, match=says) as caught:
        to_onnx(keras.Model(x, y), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value) and "nothing was written: write it" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda x: layers.LSTM(2)(ops.erfinv(x)), "uses Erfinv, .* first layer that fails is 'erfinv'"),
        (
            lambda x: layers.TimeDistributed(layers.LSTM(2, stateful=True), name="odd")(x[:, :, None]),
            "'odd' is TimeDistributed over a stateful layer",
        ),
    ],
)
def test_sentences_name_operations_and_wrappers(made, says, tmp_path):
    x = keras.Input(batch_shape=(2, None, 3), name="x")
    with pytest.raises(ExportError, match=says):
        to_onnx(keras.Model(x, made(x)), tmp_path / "m.onnx")


@pytest.mark.slow
def test_a_class_of_ones_own_on_another_backend(tmp_path, monkeypatch):
    class Own(layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((3,))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ExportError, match="class of your own, Own, .* KERAS_BACKEND=tensorflow"):
        to_onnx(keras.Model(x, Own()(x)), tmp_path / "m.onnx")


def test_python_code_in_the_graph(tmp_path):
    import tensorflow as tf

    class Python(layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), x.shape)

    x = keras.Input((3,), name="x")
    with pytest.raises(ExportError, match="Python code"):
        to_onnx(keras.Model(x, Python()(x)), tmp_path / "m.onnx")


# === The command ===


def test_export_command(tmp_path, capsys):
    small().save(tmp_path / "m.keras")
    assert cli.main(["export", str(tmp_path / "m.keras"), "--output", str(tmp_path / "m.onnx")]) == 0
    assert "same results as Keras" in capsys.readouterr().out
    arguments = ["export", str(tmp_path / "m.keras"), "--output", str(tmp_path / "i.onnx"), "--int8"]
    assert cli.main(arguments) == 0
    assert "int8, outputs within" in capsys.readouterr().out


def test_export_command_names_the_loops(tmp_path, capsys):
    x = keras.Input((None, 5))
    keras.Model(x, layers.LSTM(3, activation="silu", name="odd")(x)).save(tmp_path / "m.keras")
    assert cli.main(["export", str(tmp_path / "m.keras"), "--output", str(tmp_path / "m.onnx")]) == 0
    assert "'odd' stays a loop" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file"), (b"", "not a .keras file"), ("lambda", "Lambda layer")]
)
def test_export_command_with_bad_files(content, says, tmp_path, capsys):
    path = tmp_path / "m.keras"
    if content == "lambda":
        lambda_layer().save(path)
    elif content is not None:
        path.write_bytes(content)
    assert cli.main(["export", str(path), "--output", str(tmp_path / "m.onnx")]) == 2
    message = capsys.readouterr().err
    assert says in message and len(message.splitlines()) == 1 and not (tmp_path / "m.onnx").exists()


def test_weights_stay_outside_loops(tmp_path):
    """What a loop only reads is taken from outside, where onnxruntime knows it is constant."""
    x = keras.Input((None, 5), name="x")
    model = keras.Model(x, layers.LSTM(6, activation="silu", name="odd")(x))
    to_onnx(model, tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx").graph
    (loop,) = [node for node in graph.node if node.op_type == "Loop"]
    constants = {constant.name for constant in graph.initializer}
    (body,) = onnx_graph._bodies(loop)
    assert not constants & set(loop.input[2:]) or len(loop.input) < 9
    assert any(name in constants for node in body.node for name in node.input)
