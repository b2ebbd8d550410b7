"""Layers that remember: what they keep, that they train, and what they become in ONNX."""

import keras
import numpy as np
import onnxruntime
import pytest
from keras import ops

from zoo.layers import Bidirectional, IdentityRNN, LinearRNN, Recurrent, SkipRNN, make_recurrent

TENSORFLOW = keras.backend.backend() == "tensorflow"
NEW = ["identity", "irnn", "linear", "carrousel", "skip", "removed"]
SHORT = {"skip": {"delays": (1, 3)}, "removed": {"delays": (1, 3)}}


@pytest.fixture(autouse=True)
def same_seed():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def made(kind, units=5):
    layer = make_recurrent(kind, units, **SHORT.get(kind, {}))
    layer.build((None, None, 4))
    random = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape) / 3)
    return layer


def sequence(time=6):
    return np.random.default_rng(1).normal(size=(3, time, 4)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [IdentityRNN, LinearRNN])
def test_a_constant_is_kept_over_a_thousand_steps(kind):
    layer = kind(3, kernel_initializer="identity")  # random weights might be such that ReLU leaves nothing
    x = np.zeros((2, 1000, 3), "float32")
    x[:, 0] = np.random.default_rng(0).random((2, 3))
    y = keras.Sequential([keras.Input((None, 3)), layer]).predict_on_batch(x)
    assert (y[:, 0] > 0).any()
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], 1000, 1))


def by_hand(layer, x):
    """The layers' equations, step by step in NumPy."""
    cell, units = layer.cell, layer.units
    kernel, bias = np.array(cell.kernel), np.array(cell.bias)
    outputs = [np.zeros((len(x), units))] * 100
    for t in range(x.shape[1]):
        given = x[:, t] @ kernel + bias
        if isinstance(layer, SkipRNN):
            for i, (delay, weights) in enumerate(zip(cell.delays, cell.recurrent_kernels, strict=True)):
                weights = np.array(weights)
                if i == 0 and cell.removed:
                    weights[:, round(units * (1 - cell.removed)) :] = 0
                given = given + outputs[-delay] @ weights
            outputs.append(np.tanh(given))
        elif isinstance(layer, LinearRNN):
            outputs.append(np.tanh(given) + outputs[-1] @ np.array(cell.recurrent_kernel))
        else:
            outputs.append(np.maximum(given + outputs[-1] @ np.array(cell.recurrent_kernel), 0))
    return np.stack(outputs[100:], 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEW)
def test_the_equations(kind):
    layer, x = made(kind), sequence()
    np.testing.assert_allclose(layer(x), by_hand(layer, x), atol=1e-5)
    if kind in ("identity", "carrousel"):
        np.testing.assert_array_equal(layer.cell.recurrent_kernel, np.eye(5))
        assert not any("recurrent" in weight.path for weight in layer.trainable_weights)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEW)
def test_fast_training_gives_the_outputs_states_and_gradients_of_the_slow(kind):
    tf = pytest.importorskip("tensorflow")
    if not TENSORFLOW:
        pytest.skip("the fast path is TensorFlow's")
    inner = made(kind)
    layer = Recurrent(inner)
    layer.build((3, None, 4))
    layer.set_weights(inner.get_weights())
    assert layer.layer.fast()
    random = np.random.default_rng(2)
    x, lengths = tf.constant(sequence()), tf.constant([6, 2, 1])
    state = tf.constant(random.normal(size=(3, *layer.layer.state_size)), tf.float32)
    weights = tf.constant(random.normal(size=(3, 6, 5)), tf.float32)
    last_weights = tf.constant(random.normal(size=state.shape), tf.float32)

    @tf.function(autograph=False)
    def run(training, lengths):
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs, (last,) = layer(x, lengths, [state], training=training)
            loss = ops.sum(outputs * weights) + ops.sum(last * last_weights)
        values = [variable.value for variable in layer.trainable_variables]
        return [outputs, last, *tape.gradient(loss, [x, state, *values])]

    for some in (lengths, None):
        for fast, slow in zip(run(True, some), run(False, some), strict=True):
            np.testing.assert_allclose(fast, slow, atol=2e-5)


@pytest.mark.slow
def test_export_gives_what_keras_gives(tmp_path):
    from export import to_onnx

    x, lengths = keras.Input((None, 4), name="x"), keras.Input((), dtype="int32", name="lengths")
    layers = {kind: made(kind) for kind in NEW}
    outputs = {kind: layer(x) for kind, layer in layers.items()}
    for kind in ("linear", "skip"):
        outputs[f"{kind}_both"] = Bidirectional(made(kind), "sum", name=f"{kind}_both")(x, lengths)
        recurrent = Recurrent(made(kind), name=f"{kind}_recurrent")
        outputs[f"{kind}_steps"], (outputs[f"{kind}_state"],) = recurrent(x, lengths)
    report = to_onnx(keras.Model({"x": x, "lengths": lengths}, outputs), tmp_path / "m.onnx")
    reasons = report["recurrent"]
    loops = {name: reason for name, reason in reasons.items() if reason != "fused"}
    assert len(loops) == 5 and all("SkipCell" in reason for reason in loops.values())
    assert report["nodes"]["Loop"] == 5 and report["nodes"]["RNN"] == 7
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    found = session.run(NEW, {"x": sequence(9), "lengths": np.array([9, 4, 1], "int32")})
    for values, layer in zip(found, layers.values(), strict=True):
        np.testing.assert_allclose(values, by_hand(layer, sequence(9)), atol=1e-5)


@pytest.mark.slow
def test_layers_are_saved_whole(tmp_path):
    given = keras.Input((None, 4))
    model = keras.Model(given, [made(kind)(given) for kind in NEW])
    model.save(tmp_path / "m.keras")
    copy = keras.saving.load_model(tmp_path / "m.keras")
    for one, other in zip(copy(sequence()), model(sequence()), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(copy.trainable_weights) == len(model.trainable_weights)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="one of simple"):
        make_recurrent("rnn", 3)
    for delays, removed in (((0, 3), 0), ((), 0), ((1, 3), 1.5), ((1,), 0.5)):
        with pytest.raises(ValueError, match="delay"):
            SkipRNN(3, delays=delays, removed=removed)


@pytest.mark.slow
def test_every_layer_trains():
    x = np.random.default_rng(0).normal(size=(32, 6, 3)).astype("float32")
    given = keras.Input((None, 3))
    states = {kind: make_recurrent(kind, 8)(given)[:, -1] for kind in NEW}
    model = keras.Model(given, {kind: keras.layers.Dense(1)(state) for kind, state in states.items()})
    before = [np.array(weight) for weight in model.non_trainable_weights]
    assert len(before) == 2
    model.compile(keras.optimizers.Adam(0.02), dict.fromkeys(NEW, "mse"), jit_compile=not TENSORFLOW)
    first = x[:, :1, 0]
    losses = model.fit(x, dict.fromkeys(NEW, first), epochs=40, verbose=0).history
    for kind in NEW:
        start, *_, end = losses[f"{kind}_loss"]
        assert end < 0.6 * start, kind
    for old, new in zip(before, model.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
