"""CoreML's .mlmodel as it is read, from files that the test writes itself."""

import numpy as np
import pytest

from tests.coreml import field, kraken_mlmodel, lstm_weights, message
from zoo.errors import UserError
from zoo.formats.coreml import read_coreml


def layer(name, number, *inner):
    return field(1, field(1, name), field(2, "in"), field(3, "out"), field(number, *inner))


def test_layers_settings_and_weights_are_read(tmp_path):
    random = np.random.default_rng(1)
    kernel, bias = random.normal(size=12).astype("float32"), np.float32([1, 2])
    half = np.float16([0.5, -3]).tobytes()
    numbers = 1, 2, 3, 4, 20, 21, 22, 23, 40, 41, 42, 43
    gates = {number: random.normal(size=3).astype("float32") for number in numbers}
    path = tmp_path / "a.mlmodel"
    layers = [
        layer("C_conv", 100, field(1, 2), field(2, 1), field(20, b"\x02\x03"), field(30, 1), field(30, 2),
              field(90, field(1, kernel.tobytes())), field(91, field(2, half))),
        layer("L", 430, field(1, 1), field(2, 3), field(20, *lstm_weights(gates)),
              field(20, *lstm_weights({1: bias}))),
        layer("G", 500, field(10, "groupnorm"), field(20, field(1, bias.tobytes()))),
        layer("P", 120),
        layer("odd", 777),
    ]  # fmt: skip
    path.write_bytes(kraken_mlmodel({"vgsl": "[ü]", "codec": "{}"}, layers))
    model = read_coreml(path)
    assert model.metadata == {"vgsl": "[ü]", "codec": "{}"}
    convolution, lstm, custom, pool, odd = model.layers
    assert (convolution.name, convolution.kind) == ("C_conv", "convolution")
    assert convolution.settings == {"outputs": [2], "inputs": [1], "size": [2, 3], "stride": [1, 2]}
    assert np.array_equal(convolution.weights["kernel"], kernel)
    assert convolution.weights["bias"].tolist() == [0.5, -3]
    assert lstm.kind == "biDirectionalLSTM" and lstm.settings == {"inputs": [1], "outputs": [3]}
    assert np.array_equal(lstm.weights["forward/candidate/recurrent"], gates[22])
    assert lstm.weights["backward/input/kernel"].tolist() == [1, 2]
    assert custom.kind == "groupnorm" and list(custom.weights) == ["weights_0"]
    assert (pool.kind, odd.kind) == ("pooling", "of type 777")


def test_no_truncated_file_is_read(tmp_path):
    whole = kraken_mlmodel({"vgsl": "[x]"}, [layer("C", 140, field(20, field(1, bytes(80))))])
    path = tmp_path / "cut.mlmodel"
    for count in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:count])
        with pytest.raises(UserError, match="cut.mlmodel: "):
            read_coreml(path)


@pytest.mark.parametrize(
    "data, says",
    [
        (b"", "no layers"),
        (b"PK\x03\x04 a zip", "no CoreML"),
        (b"%PDF-1.7\n", "no CoreML"),
        (message(field(500, 3)), "no CoreML"),
        (message(field(500, field(1, field(140, field(20, field(1, bytes(3))))))), "no CoreML"),
        (message(field(500, field(1, field(140, field(20, field(30, bytes(3))))))), "16 bits"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path, data, says):
    path = tmp_path / "bad.mlmodel"
    path.write_bytes(data)
    with pytest.raises(UserError, match=says):
        read_coreml(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="none.mlmodel: cannot be read"):
        read_coreml(tmp_path / "none.mlmodel")
