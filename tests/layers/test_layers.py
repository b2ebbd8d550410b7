import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers import GRU, LSTM, Bidirectional, ClippedRelu, Recurrent, SimpleRNN, reverse_by_length


@pytest.fixture
def tf():
    """TensorFlow, where it is the backend: the fast path is its alone."""
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the fast path is TensorFlow's")
    return tensorflow


def test_reverse_by_length():
    x = np.arange(10, dtype="float32").reshape(2, 5, 1)
    y = np.asarray(reverse_by_length(x, np.array([3, 5], "int32")))[:, :, 0]
    assert y.tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 17])
@pytest.mark.parametrize(
    "ours, settings",
    [
        (LSTM, {}),
        (GRU, {}),
        (SimpleRNN, {}),
        (SimpleRNN, {"activation": "relu"}),
        (SimpleRNN, {"activation": ClippedRelu(0.8)}),
    ],
)
def test_recurrent_layers_train_as_those_of_keras_do(ours, settings, time, tf):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(3, time, 7)), tf.float32)
    weight = tf.constant(random.normal(size=(3, time, 5)), tf.float32)
    theirs = getattr(keras.layers, ours.__name__)(5, return_sequences=True, **settings)
    ours = ours(5, **settings)
    assert ours.fast()
    for layer in (ours, theirs):
        layer.build(x.shape)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        value = random.normal(size=a.shape) / 2
        a.assign(value)
        b.assign(value)

    def outputs_and_gradients(layer):
        @tf.function
        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = ops.sum(y * weight)
            return [y, *tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])]

        return run(x)

    for mine, wanted in zip(outputs_and_gradients(ours), outputs_and_gradients(theirs), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=2e-5)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_an_exploding_gradient_stays_finite(tf):
    """Two units that hold each other at 1, and whose difference grows fourfold in each step."""
    layer = SimpleRNN(2, activation=ClippedRelu(20.0))
    x = tf.ones((1, 100, 1))
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 2)), 2 * np.array([[1.0, -1], [-1, 1]]), np.zeros(2)])
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        loss = y[0, -1, 0] - y[0, -1, 1]
    np.testing.assert_array_equal(y, 1)
    slopes = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
    assert all(np.isfinite(one).all() for one in slopes) and np.abs(slopes[0]).max() > 1000


def test_in_float16_an_exploding_gradient_is_seen(tf):
    """What scales the loss raises the scale until something is not finite: to cut that off would hide it."""
    layer = SimpleRNN(1, activation="relu", dtype="mixed_float16")
    x = tf.ones((1, 20, 1))
    layer.build(x.shape)
    layer.set_weights([np.array([[1e-2]]), np.array([[2.0]]), np.zeros(1)])
    with tf.GradientTape() as tape:
        loss = tf.cast(layer(x, training=True)[0, -1, 0], tf.float32)
    assert np.isfinite(loss)
    assert not np.isfinite(tape.gradient(loss, layer.cell.kernel.value)).all()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [LSTM, GRU, SimpleRNN])
def test_half_the_precision_trains_alike(kind, policy, tf):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(3, 9, 7)), tf.float32)
    keras.utils.set_random_seed(0)  # of other weights a plain RNN's gradients were 5 % off at the most
    fine, coarse = kind(5), kind(5, dtype=policy)
    assert coarse.fast()
    for layer in (fine, coarse):
        layer.build(x.shape)
    coarse.set_weights(fine.get_weights())

    def outputs_and_gradients(layer):
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
        return y, tape.gradient(loss, [variable.value for variable in layer.trainable_variables])

    (wanted, slopes), (found, coarse_slopes) = map(outputs_and_gradients, (fine, coarse))
    assert found.dtype == coarse.compute_dtype and {one.dtype for one in coarse_slopes} == {tf.float32}
    share = 0.02 if policy == "mixed_float16" else 0.1
    for a, b in zip([found, *coarse_slopes], [wanted, *slopes], strict=True):
        np.testing.assert_allclose(tf.cast(a, tf.float32), b, atol=share * float(tf.reduce_max(tf.abs(b))))


@pytest.mark.parametrize("kind", [LSTM, GRU, SimpleRNN])
@pytest.mark.parametrize("training", [True, False])
def test_recurrent_goes_from_a_state_to_the_last_of_each_sequence(kind, training):
    random = np.random.default_rng(0)
    x, lengths = random.normal(size=(3, 6, 4)).astype("float32"), np.array([6, 2, 1], "int32")
    layer = Recurrent(kind(5))
    layer.build(x.shape)
    states = [random.normal(size=(3, 5)).astype("float32") for _ in range(2 if kind is LSTM else 1)]
    outputs, last = layer(x, lengths, states, training=training)
    for row, length in enumerate(lengths):
        given = [ops.convert_to_tensor(state[row : row + 1]) for state in states]
        alone, *final = layer.layer(x[row : row + 1, :length], initial_state=given)
        np.testing.assert_allclose(outputs[row, :length], alone[0], atol=1e-6)
        assert not np.asarray(outputs[row, length:]).any()
        for one, other in zip(last, final, strict=True):
            np.testing.assert_allclose(one[row], other[0], atol=1e-6)
    whole, last = layer(x, training=training)
    np.testing.assert_allclose(whole[:, -1], last[0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LSTM, GRU, SimpleRNN])
def test_recurrent_passes_gradients_to_and_from_its_states(kind, tf):
    random = np.random.default_rng(0)
    x, lengths = tf.constant(random.normal(size=(3, 6, 4)), tf.float32), tf.constant([6, 2, 1])
    layer = Recurrent(kind(5))
    layer.build(x.shape)
    states = [tf.constant(random.normal(size=(3, 5)), tf.float32) for _ in range(2 if kind is LSTM else 1)]
    weights = [tf.constant(random.normal(size=(3, 5)), tf.float32) for _ in states]

    def gradients(training):
        @tf.function
        def run(x, states):
            with tf.GradientTape() as tape:
                tape.watch([x, states])
                outputs, last = layer(x, lengths, list(states), training=training)
                loss = ops.sum(outputs[:, 0] * weights[0])
                loss += sum(ops.sum(a * b) for a, b in zip(last, weights, strict=True))
            return tape.gradient(loss, [x, *states, *[v.value for v in layer.trainable_variables]])

        return run(x, states)

    for fast, slow in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-5)


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_bidirectional_is_each_sequence_read_from_both_ends(merge_mode):
    random = np.random.default_rng(0)
    x, lengths = random.normal(size=(3, 6, 4)).astype("float32"), np.array([6, 2, 0], "int32")
    layer = Bidirectional(keras.layers.SimpleRNN(5, return_sequences=True), merge_mode)
    y = np.asarray(layer(x, lengths))
    for row, length, found in zip(x, lengths, y, strict=True):
        assert not found[length:].any()
        if length:
            alone = row[None, :length]
            forward = np.asarray(layer.forward_layer(alone))[0]
            backward = np.asarray(layer.backward_layer(alone[:, ::-1]))[0, ::-1]
            both = forward + backward if merge_mode == "sum" else np.concatenate([forward, backward], -1)
            np.testing.assert_allclose(found[:length], both, atol=1e-6)


def test_bidirectional_is_saved_and_refuses_what_it_cannot_do(tmp_path):
    x, lengths = keras.Input((None, 4)), keras.Input((), dtype="int32")
    model = keras.Model([x, lengths], Bidirectional(LSTM(3), "sum")(x, lengths))
    model.save(tmp_path / "m.keras")
    copy = keras.saving.load_model(tmp_path / "m.keras")
    given = [np.ones((2, 5, 4), "float32"), np.array([5, 3], "int32")]
    np.testing.assert_allclose(copy(given), model(given))
    with pytest.raises(ValueError, match="merge_mode"):
        Bidirectional(LSTM(3), "product")
    with pytest.raises(ValueError, match="return_sequences"):
        Bidirectional(keras.layers.GRU(3))


@pytest.mark.slow
def test_the_script_that_measures_training(tf):
    script = Path(__file__).parents[2] / "benchmarks" / "training_layers.py"
    command = [sys.executable, script, "--quick", "--rounds", "1"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    assert [row.count("|") for row in found.stdout.splitlines()] == [12] * 4  # header, rule, both kinds
