import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from zoo.contract.serving import TensorSpec
from zoo.decoding import search as decoding

TENSORFLOW = keras.backend.backend() == "tensorflow"
START, END = 1, 2


class Toy:
    """A recurrent model whose logits depend on all tokens before, as a step and, slowly, in NumPy."""

    def __init__(self, classes, batch, seed=0, units=5):
        random = np.random.default_rng(seed)
        self.classes, self.units = classes, units
        self.embedding = random.normal(size=(classes, units)).astype("float32")
        self.kernel = 1.5 * random.normal(size=(units, classes)).astype("float32")
        self.context = random.normal(size=(batch, classes)).astype("float32")

    def state(self, rows=slice(None)):
        context = ops.convert_to_tensor(self.context[rows])
        return {"hidden": [ops.zeros((len(self.context[rows]), self.units))], "context": context}

    def step(self, tokens, state):
        hidden = 0.7 * state["hidden"][0] + ops.take(ops.convert_to_tensor(self.embedding), tokens, axis=0)
        logits = ops.matmul(hidden, self.kernel) + state["context"]
        return logits, {"hidden": (hidden,), "context": state["context"]}  # a tuple where a list came

    def log_probs(self, row, tokens):
        """After these tokens, float64 ``[classes]``."""
        hidden = 0
        for token in [START, *tokens]:
            hidden = 0.7 * hidden + self.embedding[token]
        logits = hidden @ self.kernel + self.context[row].astype(float)
        return logits - np.log(np.exp(logits).sum())

    def score(self, row, tokens):
        return sum(self.log_probs(row, tokens[:i])[token] for i, token in enumerate(tokens))


def rated(tokens, score, alpha):
    return score / ((5 + len(tokens)) / 6) ** alpha


def reference_beam(toy, row, max_length, width, alpha):
    """The same search in plain Python: ``[(tokens, score)]``, best first."""
    alive, ended = [((), 0.0)], []
    for _ in range(max_length):
        ended.sort(key=lambda pair: -rated(*pair, alpha))
        if len(ended) >= width and rated(*alive[0], alpha) <= rated(*ended[0], alpha):
            break
        longer = [
            ((*tokens, i), score + more)
            for tokens, score in alive
            for i, more in enumerate(toy.log_probs(row, tokens))
        ]
        longer.sort(key=lambda pair: -pair[1])
        ended += [pair for pair in longer[:width] if pair[0][-1] == END]
        alive = [pair for pair in longer if pair[0][-1] != END][:width]
    cut = alive if len(ended) < width else []
    return sorted(ended + cut, key=lambda pair: -rated(*pair, alpha))[:width]


def arrays(result):
    return {name: np.asarray(value) for name, value in result.items()}


def check(result, wanted, max_length):
    """One row of a beam search against ``[(tokens, score)]``."""
    for i, (tokens, score) in enumerate(wanted):
        assert result["tokens"][i].tolist() == [*tokens, *[0] * (max_length - len(tokens))]
        assert result["lengths"][i] == len(tokens) - (tokens[-1] == END)
        assert result["scores"][i] == pytest.approx(score, abs=1e-4)
    assert not result["tokens"][len(wanted) :].any() and not result["lengths"][len(wanted) :].any()
    assert (result["scores"][len(wanted) :] == -np.inf).all()


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_what_enumeration_finds(alpha):
    toy, max_length = Toy(classes=3, batch=3), 4
    result = arrays(decoding.beam_search(toy.step, toy.state(), START, END, max_length, 34, alpha))
    for row in range(3):
        every = {
            (*tokens[: tokens.index(END)], END) if END in tokens else tokens
            for tokens in itertools.product(range(3), repeat=max_length)
        }
        every = [(tokens, toy.score(row, tokens)) for tokens in every]
        every.sort(key=lambda pair: -rated(*pair, alpha))
        assert len(every) == 31  # so three places of the beam are left
        check({name: value[row] for name, value in result.items()}, every, max_length)
        assert np.exp(result["scores"][row]).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_narrow_beam(width, alpha):
    toy, max_length = Toy(classes=6, batch=12, seed=29), 7
    result = arrays(decoding.beam_search(toy.step, toy.state(), START, END, max_length, width, alpha))
    ended = 0
    for row in range(12):
        wanted = reference_beam(toy, row, max_length, width, alpha)
        check({name: value[row] for name, value in result.items()}, wanted, max_length)
        ended += sum(tokens[-1] == END for tokens, _ in wanted)
    assert 0 < ended < 12 * width  # some were cut


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_does_not_stop_at_what_it_finds_first(alpha):
    """Each step may end, improbably; such ends come before that of which the model is certain."""
    certain = np.log(np.array([0.005, 0.005, 0.03, 0.96], "float32"))

    def step(tokens, state):
        last = ops.cast(state["steps"] == 6, "float32")[:, None]
        ending = np.log(np.array([0.005, 0.005, 0.98, 0.01], "float32"))
        logits = last * ending + (1 - last) * certain
        return logits, {"steps": state["steps"] + 1}

    for width in (1, 3, 5):
        state = {"steps": ops.zeros((2,), "int32")}
        found = arrays(decoding.beam_search(step, state, START, END, 12, width, alpha))
        assert found["tokens"][0, 0].tolist() == [3] * 6 + [END] + [0] * 5
        assert (found["lengths"][:, 0] == 6).all()


def test_greedy_is_a_beam_of_one_and_sampling_at_temperature_zero():
    toy, max_length = Toy(classes=6, batch=12, seed=29), 7
    greedy = arrays(decoding.greedy(toy.step, toy.state(), START, END, max_length))
    beam = arrays(decoding.beam_search(toy.step, toy.state(), START, END, max_length, 1, 0.6))
    noise = np.random.default_rng(0).random((12, max_length, 6), "float32")
    cold = arrays(decoding.sample(toy.step, toy.state(), START, noise, 0.0, end=END))
    for name, value in greedy.items():
        np.testing.assert_allclose(value, beam[name][:, 0], atol=1e-5)
        np.testing.assert_array_equal(value, cold[name])
    for row in range(12):
        tokens = []
        while len(tokens) < max_length and END not in tokens:
            tokens.append(int(toy.log_probs(row, tokens).argmax()))
        check({name: value[row : row + 1] for name, value in greedy.items()},
              [(tokens, toy.score(row, tokens))], max_length)  # fmt: skip
    assert len(set(greedy["lengths"])) > 2 and greedy["lengths"].max() == max_length


def decoders(noise):
    """Each way of decoding as a function of ``(step, state, start, rows)``."""
    return {
        "greedy": lambda step, state, start, rows: decoding.greedy(step, state, start, END, 7, pad=9),
        "beam": lambda step, state, start, rows: decoding.beam_search(
            step, state, start, END, 7, beam_width=3, pad=9
        ),
        "sample": lambda step, state, start, rows: decoding.sample(
            step, state, start, noise[rows], 1.3, 4, end=END, pad=9
        ),
    }


@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_a_row_gives_what_it_gives_alone(name):
    toy = Toy(classes=6, batch=8, seed=29)
    decode = decoders(np.random.default_rng(0).random((8, 7, 6), "float32"))[name]
    start = np.arange(8, dtype="int32") % 6  # one of its own for each row
    together = arrays(decode(toy.step, toy.state(), start, slice(None)))
    for row in range(8):
        rows = slice(row, row + 1)
        for key, value in arrays(decode(toy.step, toy.state(rows), start[rows], rows)).items():
            np.testing.assert_allclose(value[0], together[key][row], atol=1e-5)
    tokens, lengths = together["tokens"].reshape(-1, 7), together["lengths"].ravel()
    assert together["tokens"].dtype == lengths.dtype == "int32" and together["scores"].dtype == "float32"
    for line, length in zip(tokens, lengths, strict=True):
        assert END not in line[:length] and (line[length + 1 :] == 9).all()
        assert length == 7 or line[length] == END


@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_classes_of_probability_zero_never_come(name):
    toy = Toy(classes=6, batch=8, seed=29)
    toy.context[:, 3:] = -np.inf
    decode = decoders(np.random.default_rng(0).random((8, 7, 6), "float32"))[name]
    result = arrays(decode(toy.step, toy.state(), START, slice(None)))
    assert set(result["tokens"].ravel()) <= {0, 1, 2, 9} and np.isfinite(result["scores"]).all()


def test_without_an_end():
    toy = Toy(classes=4, batch=2)
    noise = np.random.default_rng(0).random((2, 6, 4), "float32")
    for result in (
        decoding.greedy(toy.step, toy.state(), START, -1, 6),
        decoding.beam_search(toy.step, toy.state(), START, -1, 6, 2),
        decoding.sample(toy.step, toy.state(), START, noise),
    ):
        assert (np.asarray(result["lengths"]) == 6).all()


@pytest.mark.skipif(not TENSORFLOW, reason="only TensorFlow runs a loop in Python")
@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_stops_when_all_have_ended(name):
    toy = Toy(classes=6, batch=3)
    toy.context[:, END] += 30
    steps = []

    def step(tokens, state):
        steps.append(tokens)
        return toy.step(tokens, state)

    decode = decoders(np.random.default_rng(0).random((3, 7, 6), "float32"))[name]
    decode(step, toy.state(), START, slice(None))
    assert len(steps) == (2 if name == "beam" else 1)  # three beams end in two steps


def test_samples_follow_the_probabilities():
    toy, count, temperature = Toy(classes=5, batch=1), 40000, 0.7
    toy.context = np.repeat(toy.context, count, axis=0)
    noise = np.random.default_rng(0).random((count, 1, 5), "float32")
    logits = toy.log_probs(0, [])

    def probabilities(kept):
        weights = np.where(np.isin(np.arange(5), kept), np.exp(logits / temperature), 0)
        return weights / weights.sum()

    for top_k in (None, 1, 3, 5, 9):
        result = arrays(decoding.sample(toy.step, toy.state(), START, noise, temperature, top_k))
        wanted = probabilities(np.argsort(-logits)[:top_k])
        found = np.bincount(result["tokens"][:, 0], minlength=5) / count
        assert (np.abs(found - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / count)).all()
        np.testing.assert_allclose(result["scores"], logits[result["tokens"][:, 0]], atol=1e-4)
        again = arrays(decoding.sample(toy.step, toy.state(), START, noise, temperature, top_k))
        np.testing.assert_array_equal(result["tokens"], again["tokens"])


def test_samples_of_noise_at_its_bounds():
    toy = Toy(classes=5, batch=2)
    for value in (0.0, 1.0):
        noise = np.full((2, 3, 5), value, "float32")
        for temperature in (0.0, 1.0):
            result = arrays(decoding.sample(toy.step, toy.state(), START, noise, temperature))
            likeliest = [toy.log_probs(row, []).argmax() for row in range(2)]  # as the noise is all the same
            assert result["tokens"][:, 0].tolist() == likeliest and np.isfinite(result["scores"]).all()


def test_arguments_that_cannot_be():
    toy = Toy(classes=5, batch=2)
    with pytest.raises(ValueError, match="beam_width must be at least 1, not 0"):
        decoding.beam_search(toy.step, toy.state(), START, END, 3, beam_width=0)
    with pytest.raises(ValueError, match="top_k must be at least 0, not -1"):
        decoding.sample(toy.step, toy.state(), START, np.zeros((2, 3, 5), "float32"), top_k=-1)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="compiles with JAX")
@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_compiled_by_jax(name):
    import jax

    toy = Toy(classes=6, batch=8, seed=29)
    decode = decoders(np.random.default_rng(0).random((8, 7, 6), "float32"))[name]
    wanted = arrays(decode(toy.step, toy.state(), START, slice(None)))
    found = arrays(jax.jit(lambda state: decode(toy.step, state, START, slice(None)))(toy.state()))
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)


CLASSES, UNITS = 12, 16


@pytest.fixture(scope="module")
def attention():
    """(step, initial state) of two LSTM cells that look at an encoder's outputs."""
    keras.utils.set_random_seed(2)
    embedding = keras.layers.Embedding(CLASSES, UNITS)
    cells = keras.layers.StackedRNNCells([keras.layers.LSTMCell(UNITS) for _ in range(2)])
    output = keras.layers.Dense(CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=2.0))
    cells.build((None, 2 * UNITS))

    def step(tokens, state):
        encoded, valid = state["encoded"], state["valid"]
        energy = ops.sum(encoded * state["cells"][1][0][:, None, :], axis=2)
        weights = ops.softmax(ops.where(valid, energy, -1e9))
        context = ops.sum(encoded * weights[:, :, None], axis=1)
        x, inner = cells(ops.concatenate([embedding(tokens), context], axis=1), state["cells"])
        return output(x), {"cells": inner, "encoded": encoded, "valid": valid}

    def state(encoded, lengths):
        zero = ops.zeros((ops.shape(encoded)[0], UNITS))
        valid = ops.arange(ops.shape(encoded)[1], dtype="int32")[None, :] < lengths[:, None]
        return {"cells": [[zero, zero], [zero, zero]], "encoded": encoded, "valid": valid}

    step(np.zeros(2, "int32"), state(np.zeros((2, 3, UNITS), "float32"), np.array([3, 2], "int32")))
    return step, state


INPUTS = {
    "encoded": ("float32", ("batch", "longest", UNITS)),
    "steps": ("int32", ("batch",)),
    "max_length": ("int32", ()),
    "length_penalty": ("float32", ()),
    "temperature": ("float32", ()),
    "noise": ("float32", ("batch", "time", CLASSES)),
}


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exports with TensorFlow")
@pytest.mark.parametrize("name", ["greedy", "beam", "sample", "sample_top_k"])
def test_onnx_decodes_alike_in_one_loop(attention, name):
    import onnxruntime
    import tensorflow as tf

    from export import onnx_graph

    step, state = attention
    own = {"greedy": ["max_length"], "beam": ["max_length", "length_penalty"]}
    names = ["encoded", "steps", *own.get(name, ["temperature", "noise"])]

    def decode(encoded, lengths, *rest):
        first = state(encoded, lengths)
        if name == "greedy":
            return decoding.greedy(step, first, START, END, *rest)
        if name == "beam":
            return decoding.beam_search(step, first, START, END, rest[0], 3, rest[1])
        temperature, noise = rest
        top_k = 4 if name == "sample_top_k" else None
        return decoding.sample(step, first, START, noise, temperature, top_k, END)

    def signature(key):
        dtype, shape = INPUTS[key]
        return tf.TensorSpec([size if isinstance(size, int) else None for size in shape], dtype, key)

    function = tf.function(decode, input_signature=[signature(key) for key in names], autograph=False)
    rows = ("batch", 3) if name == "beam" else ("batch",)
    serving = SimpleNamespace(
        inputs=tuple(TensorSpec(key, *INPUTS[key]) for key in names),
        outputs=(
            TensorSpec("tokens", "int32", (*rows, "time")),
            TensorSpec("lengths", "int32", rows),
            TensorSpec("scores", "float32", rows),
        ),
    )
    model = onnx_graph.build(serving, function)
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    body = next(node for node in model.graph.node if node.op_type == "Loop").attribute[0].g
    assert not {node.op_type for node in body.node} & {"Loop", "If", "Scan"}
    session = onnxruntime.InferenceSession(model.SerializeToString())

    lengths_seen = set()
    for batch, steps, time, seed in [(1, 1, 1, 0), (1, 6, 9, 1), (5, 4, 12, 2), (16, 7, 10, 3)]:
        random = np.random.default_rng(seed)
        given = {
            "encoded": random.normal(size=(batch, steps, UNITS)).astype("float32"),
            "steps": random.integers(1, steps + 1, batch).astype("int32"),
            "max_length": np.array(time, "int32"),
            "length_penalty": np.array(0.3 * seed, "float32"),
            "temperature": np.array(0.5 * seed, "float32"),
            "noise": random.random((batch, time, CLASSES), "float32"),
        }
        wanted = arrays(function(*(tf.constant(given[key]) for key in names)))
        found = session.run(list(wanted), {key: given[key] for key in names})
        for (key, value), other in zip(wanted.items(), found, strict=True):
            assert value.dtype == other.dtype
            if key == "scores":
                np.testing.assert_allclose(other, value, atol=1e-4)
            else:
                np.testing.assert_array_equal(other, value)
        lengths_seen.update(wanted["lengths"].ravel())
        assert wanted["tokens"].shape[-1] == time
    assert len(lengths_seen) > 3
