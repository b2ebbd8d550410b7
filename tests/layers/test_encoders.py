"""A preset's configuration names its encoder: making that loads nothing from elsewhere and runs no code."""

import socket

import keras
import pytest

from zoo.errors import UserError
from zoo.layers.encoders import make_encoder

SIZE = 32


@pytest.fixture
def offline(monkeypatch):
    """Whoever asks for a connection fails the test, whatever becomes of the error."""
    asked = []

    def refuse(*arguments, **options):
        asked.append(arguments)
        raise OSError("no connection in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert asked == []


@pytest.mark.parametrize("weights", ["'imagenet'", "'elsewhere.h5'"])
def test_weights_of_a_name_are_not_loaded(offline, tmp_path, monkeypatch, weights):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(UserError, match="MobileNet.*take weights=… out"):
        make_encoder(f"MobileNet(alpha=0.25, weights={weights})", SIZE)
    assert make_encoder("MobileNet(alpha=0.25, weights=None)", SIZE).output.shape == (None, 1, 1, 256)


@pytest.mark.parametrize(
    "name", ["MobileNet(0.25)", "MobileNet(**{})(1)", "-" * 9999 + "1", "MobileNet(alpha={[]: 1})"]
)
def test_names_that_are_none(name):
    with pytest.raises(UserError, match=r"write a name, or a name\(argument=value\)"):
        make_encoder(name, SIZE)


def as_json(*layers):
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers]).to_json()


def test_one_s_own_network():
    encoder = make_encoder(as_json(keras.layers.Conv2D(5, 3, strides=4)), SIZE)
    assert encoder.output.shape == (None, 8, 8, 5)


@pytest.mark.parametrize(
    "text",
    [
        as_json(keras.layers.Lambda(lambda x: x * 2)),
        as_json(keras.layers.Conv2D(5, 3)).replace('"Conv2D"', '"TFSMLayer"'),
        '{"module": "os", "class_name": "system", "config": {"command": "true"}}',
        '{"module": "keras.utils", "class_name": "get_file", "config": {"origin": "https://localhost/x"}}',
        '{"module": "keras.layers", "class_name": "ReLU", "config": {}}',
        "{}",
        "{",
    ],
    ids=["lambda", "savedmodel", "os", "download", "layer", "empty", "cut off"],
)
def test_a_network_that_could_run_code_or_is_none(offline, text):
    with pytest.raises(UserError, match="describes no network of Keras' own layers") as caught:
        make_encoder(text, SIZE)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
