import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers import LSTM, ReverseByLength


def test_reverse_by_length():
    x = np.arange(10, dtype="float32").reshape(2, 5, 1)
    y = np.asarray(ReverseByLength()(x, np.array([3, 5], "int32")))[:, :, 0]
    assert y.tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]


@pytest.mark.parametrize("time", [1, 17])
def test_lstm_trains_as_keras_does(time):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the fast path is TensorFlow's")
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(3, time, 7)), tf.float32)
    weight = tf.constant(random.normal(size=(3, time, 5)), tf.float32)
    ours, theirs = LSTM(5), keras.layers.LSTM(5, return_sequences=True)
    for layer in (ours, theirs):
        layer.build(x.shape)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        value = random.normal(size=a.shape)
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
