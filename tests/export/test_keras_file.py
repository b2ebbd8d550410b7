"""Files of Keras models: what is no .keras file is told what it is."""

import keras
import pytest
from keras import layers

from zoo import cli


def model():
    return keras.Sequential([keras.Input((None, 2)), layers.LSTM(2)])


def saved_model(path):
    path.mkdir()
    (path / "saved_model.pb").touch()


def of_own_class(path):
    @keras.saving.register_keras_serializable("test")
    class Own(layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((2,))
    keras.Model(x, Own()(x)).save(path)
    keras.saving.get_custom_objects().pop("test>Own")


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("m.h5", lambda path: path.touch(), "HDF5, the format of an older Keras"),
        ("m.weights.h5", lambda path: model().save_weights(path), "weights alone"),
        ("saved", saved_model, "a SavedModel"),
        ("m.keras", lambda path: path.mkdir(), "this is a folder"),
        ("m.keras", lambda path: path.write_bytes(b"PK"), "not a .keras file, or a damaged one"),
        ("m.keras", lambda path: None, "no such file"),
        ("m.keras", of_own_class, "Python code of its own (Own)"),
    ],
)
def test_other_files(name, make, says, tmp_path, capsys):
    make(tmp_path / name)
    assert cli.main(["export", str(tmp_path / name), "--output", str(tmp_path / "m.onnx")]) == 2
    message = capsys.readouterr().err
    assert name in message and says in message and len(message.splitlines()) == 1
    assert not (tmp_path / "m.onnx").exists()
