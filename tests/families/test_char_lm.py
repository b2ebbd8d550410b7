import argparse
import functools
import json
import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import own_card, trained

import zoo
from recipes import char_lm
from recipes.training import setup
from zoo.data import prepared as corpora
from zoo.errors import UserError
from zoo.families.char_lm.corpus import Streams, load_texts
from zoo.families.char_lm.network import CELLS, CharLm, CharLmConfig
from zoo.families.char_lm.reader import evaluate_text_model
from zoo.text.files import decode_text, read_text
from zoo.text.plain import Characters

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
TWO_LINES = "It was the best of times,\nit was the worst of times;\n"


def small(cell="lstm", text=TWO_LINES, spread=0.3, **settings):
    keras.utils.set_random_seed(5)
    given = {"cell": cell, "units": 12, "embedding": 8, "dropout": 0.0} | settings
    task = CharLm(CharLmConfig(**given), Characters.learn(text))
    random = np.random.default_rng(1)
    task.set_weights({k: v + spread * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def serve(task, rows, lengths=None, states=None, noise=None, temperature=1.0, top_k=0):
    rows = np.array(rows, np.int32)
    batch = len(rows)
    inputs = {
        "tokens": rows,
        "lengths": np.full(batch, rows.shape[1]) if lengths is None else lengths,
        "states": np.zeros((batch, *task.state_shape)) if states is None else states,
        "noise": np.zeros((batch, 1, len(task.vocabulary))) if noise is None else noise,
        "temperature": temperature,
        "top_k": top_k,
    }
    dtypes = {spec.name: spec.dtype for spec in task.serving.inputs}
    inputs = {name: np.asarray(value, dtypes[name]) for name, value in inputs.items()}
    return {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}


def log_probs_of(task, rows):
    """``[time + 1, classes]``: of each token of one row, and of the next after them, by the network."""
    inputs = {
        "tokens": np.array([[*rows, 0]], np.int32),
        "states": np.zeros((1, *task.network.output["states"].shape[1:]), np.float32),
    }
    logits = np.array(task.network(inputs)["logits"])[0]
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


# === Text ===


def test_characters_stay_as_they_are():
    text = "Été\t\r\n  x\x0bÉ日"
    characters = Characters.learn(text)
    assert "".join(characters.characters) == "".join(sorted(set(text)))
    rows = characters.encode(text)
    assert rows.dtype == np.int32 and characters.decode(rows) == text
    assert characters.decode(characters.encode("x?")) == "x\ufffd"
    assert characters.unknown("a?a") == {"a": 2, "?": 1}
    assert Characters.from_json(json.loads(json.dumps(characters.to_json()))) == characters
    assert characters.extended("ax").characters == [*characters.characters, "a"]
    assert Characters.learn("aab", 2).characters == ["a"]
    assert characters.encode("\udcff").tolist() == [0] and not len(characters.encode(""))
    with pytest.raises(UserError, match="occurs 3 times"):
        Characters.learn("aab", 3)


def test_files_that_are_no_text(tmp_path):
    for data, message in (
        (b"ab\0c", "byte 3 is NUL"),
        (b"a\nb\xff", "line 2 is not UTF-8 at its byte 2"),
        (b"\x1f\x8bno", "damaged"),
    ):
        with pytest.raises(UserError, match=f"x: .*{message}"):
            decode_text(data, "x")
    with pytest.raises(UserError, match="none: cannot be read"):
        read_text(tmp_path / "none")
    assert decode_text("\ufeffÄ\r\n ".encode(), "x") == "Ä\r\n "


# === Corpora ===


def test_texts_of_files_folders_and_tars(tmp_path):
    import gzip
    import tarfile

    (tmp_path / "books" / "more").mkdir(parents=True)
    (tmp_path / "books" / "b").write_text(" one\t\n", newline="")
    (tmp_path / "books" / "a.c").write_text("two \r", newline="")
    (tmp_path / "books" / "more" / "c.txt.gz").write_bytes(gzip.compress(b"three"))
    (tmp_path / "books" / "x.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "books" / "empty").write_bytes(b"")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "books", "")
    for path in (tmp_path / "books", tmp_path / "packed.tar.gz"):
        found = load_texts(path)
        assert found.texts == ["two \r", " one\t\n", "three"]
        assert found.joined() == "two \r\n one\t\nthree"
        assert [name.partition("/")[2] for name in found.names] == ["a.c", "b", "more/c.txt.gz"]
        assert len(found.skipped) == 2 and "empty" in found.skipped[0] and "x.png: byte 5" in found.skipped[1]
    alone = load_texts([tmp_path / "books" / "more" / "c.txt.gz", tmp_path / "books" / "b"])
    assert alone.texts == ["three", " one\t\n"]
    for name, data, message in (
        ("empty.txt", b"", "there is no text in it"),
        ("binary", b"\x7fELF\0", "byte 5 is NUL"),
        ("latin", "é".encode("latin-1"), "line 1 is not UTF-8 at its byte 1"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: .*{message}"):
            load_texts(tmp_path / name)
    with pytest.raises(UserError, match="nowhere: there is no such"):
        load_texts(tmp_path / "nowhere")


def test_texts_of_tables(tmp_path):
    from pyarrow import Table, parquet

    (tmp_path / "set").mkdir()
    texts = ["one\ttwo\n", "NA", " three"]
    parquet.write_table(Table.from_pydict({"content": texts}), tmp_path / "set/b.parquet")
    lines = [json.dumps({"text": text, "raw": str(i)}) for i, text in enumerate(texts)]
    (tmp_path / "set/a.jsonl").write_text("\n".join([*lines, "{"]))
    (tmp_path / "set/c.txt").write_text("plain")
    found = load_texts(tmp_path / "set")
    assert found.texts == [*texts, *texts, "plain"] and found.names[0] == "set/a/000001"
    assert len(found.skipped) == 1 and "a.jsonl, line 4 is no JSON" in found.skipped[0]
    assert load_texts(tmp_path / "set/b.parquet").texts == texts
    assert load_texts(tmp_path / "set/a.jsonl", columns={"text": "raw"}).texts == ["0", "1", "2"]
    with pytest.raises(UserError, match="a.jsonl: there is no column Body; its columns are 'text, raw'"):
        load_texts(tmp_path / "set/a.jsonl", columns={"text": "Body"})


def test_texts_of_public_sets(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    class ToyPlays(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples("Speak,\n speak."), "test": self._generate_examples("x")}

        def _generate_examples(self, text):
            yield 0, {"text": text}

    monkeypatch.setattr(corpora.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    assert load_texts("tfds:toy_plays").texts == ["Speak,\n speak."]
    assert load_texts("tfds:toy_plays:test").texts == ["x"]
    with pytest.raises(UserError, match="tfds:no_such_set"):
        load_texts("tfds:no_such_set")


def test_streams_go_on_from_batch_to_batch():
    data = Streams(np.arange(1, 104), 4, 5)
    assert (data.streams, data.steps, data.count) == (4, 5, 100)
    for epoch in (0, 1):
        batches = list(data.epoch(epoch, seed=3).as_numpy_iterator())
        tokens = np.concatenate([inputs["tokens"] for inputs, _ in batches], 1)
        steps = np.diff(tokens, axis=1)
        assert set(steps.ravel()) <= {1, -102}  # the ring is closed
        assert len(np.unique(tokens)) == 100
        fresh = np.stack([inputs["fresh"] for inputs, _ in batches])
        assert fresh[0].all() and not fresh[1:].any()
        for inputs, labels in batches:
            np.testing.assert_array_equal(labels["target"], inputs["tokens"])
            assert labels["target_lengths"].tolist() == [5] * 4
    first, again, other = (next(iter(data.epoch(e, 3)))[0]["tokens"].numpy() for e in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert next(iter(data.epoch(7, augment=False)))[0]["tokens"].numpy()[0, 0] == 1
    short = Streams(np.arange(7), 64, 128)
    assert (short.streams, short.steps, short.chunk) == (1, 1, 7)


# === Network ===


def test_configurations_that_cannot_be():
    for settings, message in (
        ({"cell": "linear"}, "lstm, gru, simple"),
        ({"layers": 0}, "one layer"),
        ({"tied_embeddings": True}, "equal"),
        ({"cache": -1}, "0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            CharLmConfig(**settings)
    tied = small(units=8, tied_embeddings=True)
    assert not any("kernel" in path for path in tied.weights() if path.startswith("logits"))


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "cache"), [*((cell, 0) for cell in CELLS), ("lstm", 17)])
def test_carried_state_equals_one_long_pass(cell, cache):
    """The same costs and states for a text at once, in pieces, and beside others of other lengths."""
    task = small(cell, cache=cache)
    rows = task.vocabulary.encode(TWO_LINES)
    whole = serve(task, rows[None])
    expected = log_probs_of(task, rows)[range(len(rows)), rows]
    assert np.allclose(whole["nats"][0], -expected, atol=1e-5) == (not cache)
    states, nats = None, []
    for start, end in ((0, 1), (1, 20), (20, 20), (20, len(rows))):
        padded = np.zeros((2, 40), np.int32)
        padded[0, : end - start] = rows[start:end]
        padded[1] = 3
        found = serve(task, padded, lengths=[end - start, 7], states=states)
        states = found["new_states"]
        assert not found["nats"][0, end - start :].any()
        nats.append(found["nats"][0, : end - start])
    np.testing.assert_allclose(np.concatenate(nats), whole["nats"][0], atol=1e-5)
    np.testing.assert_allclose(states[0], whole["new_states"][0], atol=1e-5)


def test_the_cache_says_what_followed_the_like():
    """Against the sum over all places, one by one."""
    size, weight, sharpness = 17, 2.0, 0.3
    task = small(cache=size, cache_weight=weight, cache_sharpness=sharpness)
    rows = task.vocabulary.encode(TWO_LINES)
    own = np.exp(log_probs_of(task, rows)[range(len(rows)), rows])
    states, hidden, nats = np.zeros((1, *task.state_shape)), [], []
    for row in rows:
        hidden.append(states[0, 2])  # the second layer's output, before the character
        found = serve(task, [[row]], states=states)
        states, nats = found["new_states"], [*nats, found["nats"][0, 0]]
    for now, row in enumerate(rows):
        here, all_mass = own[now], 1.0
        for place in range(max(0, now - size), now):
            mass = weight * np.exp(-sharpness * ((hidden[now] - hidden[place]) ** 2).sum())
            here, all_mass = here + mass * (rows[place] == row), all_mass + mass
        assert nats[now] == pytest.approx(-np.log(here / all_mass), abs=1e-4)


def test_a_long_text_is_scored_as_in_one_pass():
    """In pieces side by side, from as many characters before each as the cache holds."""
    task = small(cache=1500)
    text = "".join(np.random.default_rng(0).choice(list(TWO_LINES), 14_000))
    rows, states, nats = task.vocabulary.encode(text), None, []
    for start in range(0, len(rows), 1000):
        found = serve(task, rows[None, start : start + 1000], states=states)
        states, nats = found["new_states"], [*nats, found["nats"][0]]
    np.testing.assert_allclose(task.reader.score(text), np.concatenate(nats), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "cache"), [*((cell, 0) for cell in CELLS), ("lstm", 17)])
def test_sampling_says_what_the_network_says(cell, cache):
    """What is drawn goes on from the text, with scores of the network, and the state goes on from there."""
    task = small(cell, cache=cache)
    rows = task.vocabulary.encode("it was")
    noise = np.random.default_rng(3).random((1, 9, len(task.vocabulary)))
    found = serve(task, rows[None], noise=noise)
    drawn = found["sampled_tokens"][0]
    assert (drawn != Characters.UNKNOWN).all()
    log_probs = log_probs_of(task, [*rows, *drawn])[len(rows) : -1]
    log_probs[:, Characters.UNKNOWN] = -np.inf
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    gumbel = -np.log(-np.log(np.clip(noise[0], 1e-7, 1 - 1e-7)))
    np.testing.assert_array_equal((log_probs + gumbel).argmax(-1), drawn)
    assert log_probs[range(9), drawn].sum() == pytest.approx(found["sampled_scores"][0], abs=1e-4)
    both, own = serve(task, [[*rows, *drawn]]), task.network.output["states"].shape[1]
    np.testing.assert_allclose(found["sampled_states"][:, :own], both["new_states"][:, :own], atol=1e-5)
    # The cache is of what was read.
    np.testing.assert_allclose(found["sampled_states"][:, own:], found["new_states"][:, own:])
    # In two runs, the second of which reads nothing.
    one = serve(task, rows[None], noise=noise[:, :4])
    other = serve(task, [[0]], lengths=[0], states=one["sampled_states"], noise=noise[:, 4:])
    np.testing.assert_array_equal(np.append(one["sampled_tokens"], other["sampled_tokens"]), drawn)
    np.testing.assert_allclose(other["sampled_states"], found["sampled_states"], atol=1e-5)
    likeliest = serve(task, rows[None], noise=noise, temperature=0.0)["sampled_tokens"]
    np.testing.assert_array_equal(serve(task, rows[None], noise=noise, top_k=1)["sampled_tokens"], likeliest)


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
@pytest.mark.parametrize(("cell", "cache"), [*((cell, 0) for cell in CELLS), ("lstm", 17)])
def test_exports(cell, cache, tmp_path):
    """Compared with Keras for the same text, states and noise, of lengths and steps from 0."""
    from export import to_onnx

    task = small(cell, cache=cache)
    report = to_onnx(task, tmp_path / "char_lm.onnx")
    assert report["nodes"]["Loop"] == 1 and not any("Random" in node for node in report["nodes"])
    assert report["recurrent"] == {"recurrent_1": "fused", "recurrent_2": "fused"}


def test_saved_and_loaded_it_is_the_same(tmp_path):
    task = small()
    task.set_weights({k: v.astype("float16") for k, v in task.weights().items()})  # as they are stored
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    assert copy.vocabulary == task.vocabulary and copy.config == task.config
    assert copy.predict("best", True, length=9, seed=1) == task.predict(["best"], True, length=9, seed=1)
    np.testing.assert_array_equal(copy.reader.score(TWO_LINES), task.reader.score(TWO_LINES))


def test_more_characters_keep_what_is_known():
    task = small()
    more = task.with_vocabulary(task.vocabulary.extended("äß"))
    rows = task.vocabulary.encode(TWO_LINES)
    one, other = log_probs_of(task, rows), log_probs_of(more, rows)
    assert other.shape[-1] == one.shape[-1] + 2
    difference = one - other[:, : one.shape[-1]]
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-5)


def test_more_characters_are_unlikely_at_first_where_all_scores_are_low():
    task = small()
    weights = task.weights()
    task.set_weights(weights | {"logits/bias": weights["logits/bias"] - 50})
    more = task.with_vocabulary(task.vocabulary.extended("äß"))
    found = log_probs_of(more, task.vocabulary.encode(TWO_LINES))
    assert np.exp(found[:, -2:]).max() < 2 / found.shape[-1]


# === Bits per character ===


class Corpus:
    def __init__(self, *texts):
        self.texts, self.skipped = list(texts), ["one is skipped"]


def test_bits_per_character_by_hand():
    """A model without memory, whose bias says how likely each character is."""
    task = small(text="ab", layers=1)
    shares = np.array([1 / 8, 5 / 8, 1 / 4])  # of unknown ones, a and b
    weights = {path: np.zeros_like(value) for path, value in task.weights().items()}
    weights["logits/bias"] = np.log(shares)
    task.set_weights(weights)
    np.testing.assert_allclose(task.reader.score("ab"), -np.log(shares[1:]), atol=1e-6)
    others = 0x110000 - 0x800 - 2
    bits = -(2 * math.log2(shares[1]) + math.log2(shares[2]) + math.log2(shares[0] / others))
    report = evaluate_text_model(task.reader.score, task.vocabulary, Corpus("aab", "é"))
    assert report["bits_per_character"] == pytest.approx(bits / 4, rel=1e-6)
    assert report["nats_per_character"] == pytest.approx(bits / 4 * math.log(2), rel=1e-6)
    assert report["unknown_nats"] == pytest.approx(math.log(others * 8), rel=1e-6)
    assert report["unknown_characters"] == {"é": 1} and report["skipped"] == ["one is skipped"]
    assert (report["texts"], report["characters"]) == (2, 4)


# === Training ===


def test_training_carries_states():
    """What a chunk leaves is where the next begins; a fresh stream begins with zeros."""
    task = small(layers=2)
    rows = task.vocabulary.encode(TWO_LINES)[:48].reshape(2, 24)
    model = task.training_model()
    model.compile(keras.optimizers.SGD(0.0))
    losses = []
    for step, fresh in ((0, [True, True]), (1, [False, False]), (0, [True, False])):
        tokens = rows[:, 12 * step : 12 * step + 12]
        inputs = {"tokens": tokens, "fresh": np.array(fresh)}
        labels = {"target": tokens, "target_lengths": np.full(2, 12, np.int32)}
        losses.append(float(model.train_on_batch(inputs, labels)))
    nats = serve(task, rows)["nats"]
    assert losses[:2] == pytest.approx([nats[:, :12].mean(), nats[:, 12:].mean()], rel=1e-5)
    again = serve(
        task, [rows[0, :12], [*rows[1]][:12]], states=[np.zeros(task.state_shape), np.zeros(task.state_shape)]
    )
    assert losses[2] != pytest.approx(again["nats"].mean(), rel=1e-5)
    longer = serve(task, [[*rows[1], *rows[1, :12]]])["nats"][0, 24:]
    assert losses[2] == pytest.approx((again["nats"][0].sum() + longer.sum()) / 24, rel=1e-5)
    assert len(model.trainable_variables) == len(task.network.trainable_variables)


@pytest.mark.slow
def test_carried_states_on_jax(passes_on_jax):
    tests = "training_carries or (lstm-17 and (equals_one_long_pass or sampling_says))"
    assert passes_on_jax(__file__, tests=tests) == 3


def test_learns_two_lines_by_heart():
    task = small(spread=0.0, layers=1, units=48, embedding=16)
    data = Streams(task.vocabulary.encode(TWO_LINES), 1, 26)
    batches = data.epoch(0, augment=False).repeat(150)
    model = task.training_model()
    rate = keras.optimizers.schedules.CosineDecay(0.02, 300)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    model.fit(batches, steps_per_epoch=300, shuffle=False, verbose=0)
    prompt, rest = TWO_LINES[:9], TWO_LINES[9:52]
    assert task.predict(prompt, length=len(rest), temperature=0.0) == [rest]
    assert task.reader.score(TWO_LINES)[1:52].mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_recipe_trains_and_fine_tunes(backend, tmp_path):
    pytest.importorskip(backend)
    (tmp_path / "text").write_text(40 * TWO_LINES)
    (tmp_path / "more").write_text(40 * "Ü was the best.\n")

    run = functools.partial(trained, "char_lm", backend=backend)

    def bits(said):
        found = re.findall(r"^epoch .*: bits_per_character ([\d.]+)", said, re.MULTILINE)
        return list(map(float, found))

    same = [
        "--training.epochs", 2, "--training.batch-size", 4, "--chunk", 16, "--training.learning-rate", 0.02,
    ]  # fmt: skip
    new = ["--data", tmp_path / "text", "--model.units", 16, "--model.embedding", 8, "--model.layers", 1]
    new += ["--training.influence", "True"]
    said = run("train", *new, *same, "--output", tmp_path / "run")
    found = bits(said)
    # What is told is of the weights after the epoch: the last one's are those that were kept, and calibrated.
    tail = (40 * TWO_LINES)[-106:]
    kept = zoo.load(tmp_path / "run")
    told = kept.reader.score(tail).mean() / math.log(2)
    before, after = (float(re.search(rf"Calibrated: .* {x}", said)[1]) for x in (r"(\S+) ->", r"-> (\S+)"))
    assert len(found) == 2 and found[1] < found[0] and found[1] == pytest.approx(before, abs=2e-3)
    assert told == pytest.approx(after, abs=2e-3) and after < before
    for factor in (0.98, 1.02, 1 / 1.02 / 1.02):  # no neighbour is better
        kept.scale_logits(factor)
        assert kept.reader.score(tail).mean() / math.log(2) > told - 1e-4
    assert b"influence" in next((tmp_path / "run").rglob("events.*")).read_bytes()
    if backend == "tensorflow":
        tune = ["--data", tmp_path / "more", "--preset", tmp_path / "run", *same]
        found = bits(run("finetune", *tune, "--extend", "--output", tmp_path / "tuned"))
        assert found[1] < found[0] and "Ü" in zoo.load(tmp_path / "tuned").vocabulary
        assert "(of more " in own_card(tmp_path / "tuned", tmp_path / "run")


def test_what_is_learned_and_what_validates(tmp_path, capsys):
    def texts(text, validation=None, hold_out=0.05):
        (tmp_path / "text").write_text(text)
        given = {"data": [str(tmp_path / "text")], "validation": validation, "hold_out": hold_out}
        return char_lm._texts(argparse.Namespace(**given))

    assert texts("abc" * 20) == ("abc" * 19, "abc") and texts("abcd", hold_out=0.5) == ("ab", "cd")
    (tmp_path / "other").write_text("x")
    assert texts("abcd", [tmp_path / "other"]) == ("abcd", "x")
    for text in ("x", "xy"):
        with pytest.raises(UserError, match="text: [01] characters to learn from are too few"):
            texts(text)
    options = argparse.Namespace(preset="mine", extend=False)
    task = small()
    assert setup.with_tokens(task, task.vocabulary.unknown("It Ü"), "characters", options) is task
    assert "'Ü'" in capsys.readouterr().out


def test_of_each_corpus_some_is_held_out(tmp_path, capsys):
    (tmp_path / "many").mkdir()
    for i in range(40):
        (tmp_path / "many" / f"{i}.txt").write_text(f"text {i:02d}\n")
    (tmp_path / "one").write_text("abcdefghij" * 10)
    given = {"data": [str(tmp_path / "many"), str(tmp_path / "one")], "validation": None, "hold_out": 0.1}
    learn, check = char_lm._texts(argparse.Namespace(**given))
    assert learn.count("text") == 36 and check.count("text") == 4
    assert learn.endswith("abcdefghij" * 9) and check.endswith("\nabcdefghij")
    assert capsys.readouterr().out == (
        "many: 288 characters to learn, 32 held out (4 of 40 texts); "
        "one: 90 characters to learn, 10 held out (its end).\n"
    )
