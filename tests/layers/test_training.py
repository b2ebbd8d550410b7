"""No single sample ends a run: one without a finite loss changes nothing, and is counted."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.contract.recognizer import _CtcTraining
from zoo.layers.next_token import NextToken
from zoo.layers.training import Labelling

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(5, 6, 4)).astype("float32")
FRAMES = np.array([6, 5, 4, 6, 3], "int32")
# The second needs three blanks between its labels, seven frames in all; the last one has just enough.
LABELS = np.array([[1, 2, 0, 0], [3, 3, 3, 3], [1, 0, 0, 0], [2, 1, 3, 0], [2, 2, 0, 0]], "int32")
CTC = {"labels": LABELS, "label_lengths": np.array([2, 4, 1, 3, 2], "int32")}
TARGETS = {"target": LABELS, "target_lengths": np.array([2, 4, 1, 3, 2], "int32")}


def network(steps):
    """One whose logits are its inputs."""
    x = keras.Input((steps, 4) if steps else (4,))
    return keras.Model(x, keras.layers.Identity()(x))


def ctc():
    model = _CtcTraining(network(6), lambda x: x)
    return lambda logits, chosen: (
        model,
        model.compute_loss(ops.convert_to_tensor(FRAMES[chosen]), tensors(CTC, chosen), logits),
    )


def next_token():
    model = NextToken(network(4), 0.1)
    return lambda logits, chosen: (model, model.compute_loss(None, tensors(TARGETS, chosen), logits))


def labelling():
    model = Labelling(network(0), np.array([1.0, 2.0, 1.0, 0.5], "float32"))
    labels = {"label": np.array([0, 1, 2, 3, 1], "int32")}
    return lambda logits, chosen: (model, model.compute_loss(None, tensors(labels, chosen), logits))


def tensors(labels, chosen):
    return {name: ops.convert_to_tensor(rows[chosen]) for name, rows in labels.items()}


def loss_and_gradient(loss, logits, chosen):
    """The loss, its gradient by the logits, and the model; of the rows ``chosen``."""
    if keras.backend.backend() == "jax":
        import jax

        def alone(x):
            with keras.StatelessScope():
                return loss(x, chosen)[1]

        gradient = jax.grad(alone)(logits)
        model, value = loss(ops.convert_to_tensor(logits), chosen)
        return float(value), np.asarray(gradient), model
    import tensorflow as tf

    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        model, value = loss(x, chosen)
    return float(value), np.asarray(tape.gradient(value, x)), model


SHAPES = {ctc: (slice(None), slice(None)), next_token: (slice(None), slice(4)), labelling: (slice(None), 0)}
EVERY = np.arange(5)


def counts(model):
    found = int(model.seen), int(model.left_out)
    model.seen.assign(0)
    model.left_out.assign(0)
    return found


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [ctc, next_token, labelling])
def test_what_is_not_finite_leaves_the_others_alone(kind, bad):
    logits, loss = LOGITS[SHAPES[kind]].copy(), kind()
    if kind is ctc:
        logits, rows = logits[[0, 2, 3, 4]], np.array([0, 2, 3, 4])
    else:
        rows = EVERY
    model = loss_and_gradient(loss, logits, rows)[2]
    counts(model)
    whole, wanted, model = loss_and_gradient(loss, logits, rows)
    assert counts(model) == (len(rows), 0) and whole > 0
    logits[2].flat[3] = bad
    value, gradient, model = loss_and_gradient(loss, logits, rows)
    assert counts(model) == (len(rows), 1)
    assert np.isfinite(value) and 0 < value < whole
    assert not gradient[2].any()
    np.testing.assert_array_equal(np.delete(gradient, 2, 0), np.delete(wanted, 2, 0))


def test_what_cannot_be_spelled_leaves_the_others_alone():
    loss = ctc()
    possible = np.array([0, 2, 3, 4])
    alone, wanted, model = loss_and_gradient(loss, LOGITS[possible], possible)
    counts(model)
    value, gradient, model = loss_and_gradient(loss, LOGITS, EVERY)
    assert counts(model) == (5, 1)
    assert value == pytest.approx(alone * 4 / 5, rel=1e-6)
    assert not gradient[1].any() and np.abs(wanted[3]).max() > 0.01
    np.testing.assert_allclose(gradient[possible], wanted * 4 / 5, rtol=1e-5, atol=1e-7)


def test_a_batch_of_none_but_such_is_no_loss():
    loss = ctc()
    value, gradient, model = loss_and_gradient(loss, LOGITS[[1, 1]], np.array([1, 1]))
    assert counts(model)[1] == 2 and value == 0 and not gradient.any()


def test_they_are_counted_while_it_is_trained():
    dense = keras.layers.Dense(4)
    x = keras.Input((6, 4))
    model = _CtcTraining(keras.Model(x, dense(x)), lambda x: ops.sum(ops.ones_like(x[:, :, 0], "int32"), 1))
    model.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    inputs = LOGITS.copy()
    inputs[4, 0, 0] = np.nan
    before = np.array(dense.kernel)
    history = model.fit(inputs, CTC, batch_size=5, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all() and counts(model) == (5, 2)  # NaN, and four equal labels
    assert "left_out" not in history and (np.array(dense.kernel) != before).any()


@pytest.mark.slow
def test_on_jax(passes_on_jax):
    assert passes_on_jax(__file__, tests="not on_jax") == 12
