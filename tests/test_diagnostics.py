"""Influence is what finite differences say, in models of every kind; gates are the LSTM's own."""

import keras
import numpy as np
import pytest
from keras import layers

import zoo.layers
from zoo.diagnostics import PROBES, influence, lstm_gates, over_lag


def by_differences(function, x, step=1e-2):
    """The norm of the Jacobian of ``function(x)`` ``[batch, values]`` by each step of ``x``."""
    batch, time, features = x.shape
    moved = step * np.eye(time * features, dtype="float32").reshape(-1, 1, time, features)
    both = [np.asarray(function((x + sign * moved).reshape(-1, time, features))) for sign in (1, -1)]
    slopes = (both[0] - both[1]).reshape(time, features, batch, -1) / (2 * step)
    return np.sqrt(np.sum(slopes**2, axis=(1, 3))).T


@pytest.fixture
def x():
    keras.utils.set_random_seed(0)
    return np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")


@pytest.mark.parametrize("kind", ["simple", "skip", "lstm"])
def test_influence_of_a_sequence_is_that_of_finite_differences(kind, x):
    given = keras.Input((None, 3))
    y = zoo.layers.make_recurrent(kind, 4)(layers.Dense(5, "tanh")(given))
    model = keras.Model(given, layers.Dense(2)(y))
    found = influence(model, x)
    assert found.shape == (2, 6) and found.dtype == np.float32
    np.testing.assert_allclose(found, by_differences(lambda x: model(x)[:, -1], x), rtol=2e-3, atol=1e-4)
    lengths = np.array([6, 3])
    rows = [by_differences(lambda x, n=n: model(x)[:, n - 1], x) for n in lengths]
    expected = np.stack([rows[0][0], rows[1][1]])
    found = influence(model, x, lengths)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)
    assert not found[1, 3:].any()


@pytest.mark.parametrize("padded", [False, True])
def test_influence_of_tokens_is_that_of_their_embeddings(padded):
    keras.utils.set_random_seed(0)
    tokens = np.array([[1, 2, 3, 4], [5, 6, 0, 0]], "int32")
    given = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(7, 3, mask_zero=padded)(given)
    model = keras.Model(given, layers.Dense(1)(layers.Bidirectional(layers.SimpleRNN(4))(embedded)))
    found = influence(model, tokens)
    if padded:
        assert found[0].all() and found[1, :2].all() and not found[1, 2:].any()
        return
    vectors, after = np.asarray(model.layers[1](tokens)), keras.Model(embedded, model.output)
    np.testing.assert_allclose(found, by_differences(after, vectors), rtol=2e-3)


def test_influence_behind_a_picture_is_that_of_what_the_recurrent_layer_reads():
    keras.utils.set_random_seed(0)
    image, lengths = keras.Input((None, 4, 1)), keras.Input((), dtype="int32")
    columns = layers.TimeDistributed(layers.Flatten())(layers.Conv2D(2, 3, padding="same")(image))
    y = zoo.layers.Bidirectional(zoo.layers.LSTM(3))(columns, lengths)
    model = keras.Model([image, lengths], layers.Dense(2)(y))
    batch = [np.random.default_rng(0).normal(size=(2, 5, 4, 1)).astype("float32"), np.array([5, 4], "int32")]
    seen = np.asarray(keras.Model(image, columns)(batch[0]))
    read = keras.Model([columns, lengths], model.output)
    expected = by_differences(lambda x: read([x, np.resize(batch[1], len(x))])[:, -1], seen)
    np.testing.assert_allclose(influence(model, batch), expected, rtol=2e-3, atol=1e-4)
    assert "call" not in vars(model.layers[-2])  # the model is as it was


def test_a_subclassed_model_of_two_layers():
    class Deep(keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn = [zoo.layers.Recurrent(zoo.layers.GRU(4)) for _ in range(2)]

        def call(self, x):
            for layer in self.rnn:
                x, _ = layer(x, None)
            return x

    keras.utils.set_random_seed(0)
    model, x = Deep(), np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    expected = by_differences(lambda x: model(x)[:, -1], x)
    np.testing.assert_allclose(influence(model, x), expected, rtol=2e-3, atol=1e-4)


def test_many_outputs_are_probed(x):
    model = keras.Sequential([keras.Input((None, 3)), layers.SimpleRNN(5), layers.Dense(40 * PROBES)])
    expected = by_differences(model, x)
    np.testing.assert_allclose(influence(model, x), expected, rtol=0.5)
    np.testing.assert_array_equal(influence(model, x, seed=1), influence(model, x, seed=1))


def test_states_that_a_model_keeps_are_left_alone(x):
    given = keras.Input(batch_shape=(2, None, 3))
    layer = layers.GRU(4, stateful=True)
    model = keras.Model(given, layer(given))
    model(x)
    before = np.array(layer.states[0])
    influence(model, x)
    np.testing.assert_array_equal(np.array(layer.states[0]), before)


def test_a_model_without_a_sequence_is_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="no recurrent layer"):
        influence(model, np.ones((1, 3), "float32"))


def test_over_lag_counts_from_the_last_step_of_each_row():
    norms = np.array([[1.0, 2.0, 3.0], [5.0, 7.0, 0.0]], "float32")
    np.testing.assert_allclose(over_lag(norms), [1.5, 4.5, 3.0])
    np.testing.assert_allclose(over_lag(norms, [3, 2]), [5.0, 3.5, 1.0])


def test_gates_are_those_of_the_layer(x):
    layer = zoo.layers.LSTM(4)
    outputs = np.asarray(layer(x))
    gates = lstm_gates(layer, x)
    np.testing.assert_allclose(gates["output"] * np.tanh(gates["cell"]), outputs, atol=1e-6)
    assert all(0 < gates[name].min() and gates[name].max() < 1 for name in ("input", "forget", "output"))


def test_a_run_logs_the_curve(x, tmp_path):
    from recipes.training.report import TensorBoard

    model = keras.Sequential([keras.Input((None, 3)), layers.SimpleRNN(4), layers.Dense(1)])
    TensorBoard(tmp_path).write_influence(model, x, np.array([6, 0]), epoch=3)
    (events,) = tmp_path.glob("events.*")
    data = events.read_bytes()
    assert b"influence" in data and b"\x89PNG" in data
