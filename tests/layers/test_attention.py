import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers.attention import LuongAttention


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_the_equations(policy, scaled):
    """Equations 5 to 8 in NumPy, in all precisions; what is beyond a length is not looked at."""
    random, exact = np.random.default_rng(0), {"float32": 1e-5, "mixed_float16": 5e-3}.get(policy, 0.03)
    layer = LuongAttention(4, scaled, dtype=policy)
    outputs, memory = (random.normal(size=shape).astype("float32") for shape in ((2, 3, 4), (2, 6, 5)))
    lengths = np.array([6, 2], "int32")
    found, weights = layer(*map(ops.convert_to_tensor, (outputs, memory, lengths)))
    assert found.dtype == layer.compute_dtype and weights.dtype == "float32"
    score, combine, bias = (np.array(weight) for weight in layer.weights)
    for row, length in enumerate(lengths):
        seen = memory[row, :length]
        scores = outputs[row] @ (seen @ score).T / (2 if scaled else 1)
        wanted = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        np.testing.assert_allclose(weights[row, :, :length], wanted, atol=exact)
        assert not np.asarray(weights[row, :, length:]).any()
        both = np.concatenate([wanted @ seen, outputs[row]], -1)
        value = np.asarray(ops.cast(found[row], "float32"))
        np.testing.assert_allclose(value, np.tanh(both @ combine + bias), atol=exact)
    whole, _ = layer(outputs, memory)
    same = np.asarray(ops.cast(whole[0], "float32"))
    np.testing.assert_allclose(same, np.asarray(ops.cast(found[0], "float32")), atol=exact)


def test_it_is_saved_whole():
    layer = LuongAttention(4, scaled=True, name="look")
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).scaled
