"""Inputs that Keras models are verified on: lengths that a model takes, edges, and a user's own."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from export import to_onnx
from export.examples import KINDS
from export.keras_model import KerasModel
from export.verify import ExportError
from zoo import cli
from zoo.errors import UserError


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)


def lengths(model, axis=1):
    return sorted({inputs["x"].shape[axis] for inputs, _ in KerasModel(model).cases})


def test_every_kind_and_one_step():
    x = keras.Input((None, 3), name="x")
    cases = KerasModel(keras.Model(x, layers.LSTM(2)(layers.Masking()(x)))).cases
    assert len(cases) == len(KINDS) and {len(inputs["x"]) for inputs, _ in cases} == {1, 2, 3, 4, 5}
    assert min(inputs["x"].shape[1] for inputs, _ in cases) == 1
    masked = [(inputs["x"] == 0).all(-1) for inputs, _ in cases]
    assert any(mask.all(1).any() and not mask.all() for mask in masked), "a row without a step that counts"
    assert any((mask[:, :-1] & ~mask[:, 1:]).any() and not mask[:, 0].all() for mask in masked), "holes"


def test_what_is_least():
    x = keras.Input((None, 1), name="x")
    assert lengths(keras.Model(x, layers.Conv1D(2, 80, strides=20)(x)))[0] == 96


def test_what_must_be_a_multiple():
    x = keras.Input((None, 1), name="x")
    y = layers.UpSampling1D(8)(layers.MaxPooling1D(8)(x))
    assert lengths(keras.Model(x, layers.Add()([x, y]))) == [8, 16, 24]


def test_axes_have_lengths_of_their_own():
    x = keras.Input((None, None), dtype="int32", name="x")
    y = layers.TimeDistributed(layers.LSTM(2))(layers.Embedding(9, 3)(x))
    cases = KerasModel(keras.Model(x, y)).cases
    assert any(inputs["x"].shape[1] != inputs["x"].shape[2] for inputs, _ in cases)


class Only37(layers.Layer):
    """Takes one length alone, that nobody can guess."""

    def call(self, x):
        return ops.reshape(x, (-1, 37, 2)) * 2.0

    def compute_output_shape(self, shape):
        return (shape[0], 37, 2)


def only37():
    x = keras.Input((None, 2), name="x")
    return keras.Model(x, layers.LSTM(3, name="y")(Only37()(x)))


def test_an_example_says_what_a_model_takes(tmp_path):
    with pytest.raises(ExportError, match="takes none of the examples .* example=.*--example") as caught:
        to_onnx(only37(), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    values = np.random.default_rng(0).normal(size=(3, 37, 2))
    assert to_onnx(only37(), tmp_path / "m.onnx", example={"x": values})["cases"] == 3


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ({"y": np.zeros((1, 37, 2))}, "inputs of the model .* are 'x'"),
        ({"x": np.zeros((1, 37))}, "takes .any, any, 2."),
        ({"x": np.zeros((1, 36, 2))}, "does not take the example"),
    ],
)
def test_examples_that_do_not_fit(example, says, tmp_path):
    with pytest.raises(UserError, match=says):
        to_onnx(only37(), tmp_path / "m.onnx", example=example)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_examples(tmp_path, capsys):
    x = keras.Input((None, 2), name="x")
    keras.Model(x, layers.LSTM(3, name="y")(x)).save(tmp_path / "m.keras")
    command = ["export", str(tmp_path / "m.keras"), "--output", str(tmp_path / "m.onnx"), "--example"]
    np.savez(tmp_path / "good.npz", x=np.ones((2, 5, 2)))
    assert cli.main([*command, str(tmp_path / "good.npz")]) == 0
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    (tmp_path / "text.npz").write_text("x")
    for name in ("objects.npz", "text.npz", "missing.npz"):
        assert cli.main([*command, str(tmp_path / name)]) == 2
        message = capsys.readouterr().err
        assert f"{name}: no .npz file of arrays" in message and len(message.splitlines()) == 1


def test_tasks_need_no_example(small_reader, tmp_path):
    with pytest.raises(UserError, match="for Keras models"):
        to_onnx(small_reader, tmp_path / "m.onnx", example={"image": np.zeros(3)})
