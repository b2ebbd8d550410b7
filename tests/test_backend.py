"""Which GPU computes, and in what precision; none is needed to test it."""

import importlib
from types import SimpleNamespace

import keras
import pytest

import zoo.data
from zoo import backend
from zoo.layers import GRU, LSTM, LinearRNN, SimpleRNN

JAX = keras.backend.backend() == "jax"


@pytest.fixture
def gpu(monkeypatch):
    """A function that lets the backend see one GPU of a compute capability, or of none."""

    def give(major, minor):
        if JAX:
            import jax

            about = {"compute_capability": f"{major}.{minor}" if major else "gfx90a"}
            monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
            monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(**about)])
        else:
            import tensorflow as tf

            about = {"first": {"compute_capability": (major, minor)} if major else {}, "second": {}}
            monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(about))
            monkeypatch.setattr(tf.config.experimental, "get_device_details", about.get)

    return give


@pytest.mark.parametrize(
    "capability, precision",
    [
        ((6, 1), "float32"),
        ((7, 0), "mixed_float16"),
        ((7, 5), "mixed_float16"),
        ((8, 0), "mixed_bfloat16"),
        ((12, 0), "mixed_bfloat16"),
        ((None, None), "float32"),
    ],
)
def test_the_precision_of_a_gpu(capability, precision, gpu):
    gpu(*capability)
    assert backend.gpu_precision() == precision


def test_without_a_gpu_there_is_none():
    assert backend.gpu_precision() is None and not backend.on_jax_gpu()


def test_tensorflow_that_only_feeds_has_no_gpu(monkeypatch):
    import tensorflow as tf

    hidden = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *given: hidden.append(given))
    backend.import_tensorflow()
    assert hidden == ([([], "GPU")] if JAX else [])
    importlib.reload(zoo.data)  # whoever feeds without the command line
    assert hidden == (2 * [([], "GPU")] if JAX else [])


def test_on_a_gpu_layers_with_gates_are_cudnns(gpu):
    """A plain RNN, which Keras has no other way for than its slow loop, stays ours under TensorFlow."""
    made = [LSTM(3), GRU(3), SimpleRNN(3), LinearRNN(3)]
    assert [layer.fast() for layer in made] == [not JAX] * 4
    gpu(8, 0)
    assert [layer.fast() for layer in made] == [False, False, not JAX, not JAX]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_cudnns_lstm_has_no_half_precision_on_jax(policy, gpu):
    kinds = GRU, SimpleRNN, LSTM
    wanted = keras.dtype_policies.get(policy).compute_dtype
    assert [kind(3, dtype=policy).compute_dtype for kind in kinds] == [wanted] * 3
    gpu(8, 0)
    found = [kind(3, dtype=policy).compute_dtype for kind in kinds]
    assert found == [wanted, wanted, "float32" if JAX else wanted]
    assert LSTM(3, dtype=policy).cell.compute_dtype == found[2]


@pytest.mark.slow
def test_layers_and_decoding_on_jax(passes_on_jax):
    """Without what exports or needs no backend, and what would take JAX minutes to compile."""
    slow = "narrow_beam or enumeration"
    left_out = f"not (export or librosa or encoders or ctc_words or test_training or {slow})"
    assert passes_on_jax("tests/layers", "tests/decoding", __file__, tests=left_out) > 80
