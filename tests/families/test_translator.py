import dataclasses
import itertools
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import own_card, trained

import zoo
from zoo.errors import UserError
from zoo.families.translator.network import Translator, TranslatorConfig
from zoo.layers.next_token import cross_entropy
from zoo.text.subwords import Subwords

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
DIGITS = "0123456789"


@pytest.fixture(scope="session")
def digits():
    """Subwords that are digits, and the bytes."""
    random = np.random.default_rng(0)
    return Subwords.learn([" ".join(random.choice(list(DIGITS), 6)) for _ in range(200)], 4 + 256 + 11)


def small(vocabulary, **settings):
    keras.utils.set_random_seed(5)
    task = Translator(TranslatorConfig(**{"units": 12, "embedding": 8} | settings), vocabulary)
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.3 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def serve(task, source, lengths, **search):
    inputs = {"beam_width": 3, "length_penalty": 1.0, "max_length": 12} | search
    inputs = {
        name: np.array(value, "float32" if "." in str(value) else "int32") for name, value in inputs.items()
    }
    inputs |= {"source": np.array(source, "int32"), "source_lengths": np.array(lengths, "int32")}
    return {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}


VARIANTS = [
    {},
    {"bidirectional": True, "layers": 2, "tied_embeddings": False},
    {"context": "every_step", "cell": "gru"},
    {"context": "initial_state", "share_weights": True, "layers": 2},
]


# === Subwords ===


def test_subwords_lose_nothing(digits):
    for text in ("1 2 3", "Grüße, 你好!", "שלום", "🎉", "▁"):
        assert digits.decode(digits.encode(text)).replace("▁", " ").strip() == text.replace("▁", " ").strip()
    assert digits.encode(" \t\n\x00 ") == [] and digits.decode([]) == ""
    rows = digits.encode("4 2")
    assert digits.decode([Subwords.START, *rows, Subwords.END, Subwords.PAD]) == "4 2"
    assert digits.pieces(rows) == ["▁", "4", "▁", "2"]


def test_words_cut_anew_are_the_same_text():
    ways = ["low", "lower", "lowest", "slow", "slower", "slowest", "new", "newer", "newest"]
    subwords = Subwords.learn([" ".join(ways[i:] + ways[:i]) for i in range(len(ways))] * 5, 4 + 256 + 24)
    rows = [Subwords.START, *subwords.encode("slowest 你 lowest"), Subwords.END]
    drawn = [subwords.vary(rows, 5.0, (0, i)).tolist() for i in range(300)]
    assert {subwords.decode(cut) for cut in drawn} == {"slowest 你 lowest"}
    assert {(cut[0], cut[-1]) for cut in drawn} == {(Subwords.START, Subwords.END)}
    assert len(set(map(tuple, drawn))) > 5 and drawn[7] == subwords.vary(rows, 5.0, (0, 7)).tolist()
    assert all(subwords.vary(rows, 1e-3, (0, i)).tolist() == rows for i in range(20))
    assert subwords.vary([], 1.0, 0).tolist() == []


def test_words_are_cut_by_the_power_of_their_probability():
    from sentencepiece import SentencePieceProcessor

    subwords = Subwords.learn(["aab aba baa abab"] * 20, 4 + 256 + 8)
    pieces = SentencePieceProcessor(model_proto=subwords.model)
    cuts = [tuple(cut) for cut in pieces.nbest_encode("abab", nbest_size=16)]
    expected = np.array([np.exp(sum(map(pieces.get_score, cut)) / 2.0) for cut in cuts])
    rows = subwords.encode("abab")
    drawn = [tuple(subwords.vary(rows, 2.0, (1, i)).tolist()) for i in range(4000)]
    assert len(cuts) > 2 and set(drawn) <= set(cuts)
    found = [drawn.count(cut) / len(drawn) for cut in cuts]
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.03)


def test_training_varies_the_cuts_of_both_sides():
    subwords = Subwords.learn(["aab aba baa abab"] * 20, 4 + 256 + 8)
    rows = np.array([*subwords.encode("abab baa"), Subwords.END], np.int32)
    sample = {"source": rows, "target": rows}
    task = small(subwords, subword_temperature=3.0)
    many = [task.augment_sample(sample, np.array([i, 0])) for i in range(50)]
    varied = [(tuple(np.asarray(one["source"])), tuple(np.asarray(one["target"]))) for one in many]
    assert len(set(varied)) > 5 and any(source != target for source, target in varied)
    assert {subwords.decode(side) for one in varied for side in one} == {"abab baa"}
    assert small(subwords).augment_sample(sample, np.array([0, 0])) is sample


def test_subwords_are_kept_as_json_and_refuse_what_cannot_be_learned(digits):
    copy = Subwords.from_json(digits.to_json())
    assert copy == digits and len(copy) == len(digits) and copy.metadata()["vocabulary"]
    with pytest.raises(UserError, match="cannot|can be learned"):
        Subwords.learn(["ab cd"], 20)


# === Network ===


@pytest.mark.slow
@pytest.mark.parametrize("settings", VARIANTS)
def test_a_batch_is_each_sentence_alone(digits, settings):
    task = small(digits, **settings)
    sources = [[*digits.encode(text), Subwords.END] for text in ("1 2 3 4 5", "7", "9 9 0")]
    padded = [row + [0] * (12 - len(row)) for row in sources]
    together = serve(task, padded, [len(row) for row in sources])
    for i, row in enumerate(sources):
        alone = serve(task, [row], [len(row)])
        assert (together["tokens"][i] == alone["tokens"][0]).all()
        np.testing.assert_allclose(together["scores"][i], alone["scores"][0], atol=1e-4)
        if "attention" in alone:
            found = together["attention"][i]
            np.testing.assert_allclose(found[:, : len(row)], alone["attention"][0], atol=1e-5)
            assert not found[:, len(row) :].any()


@pytest.mark.slow
def test_the_source_is_read_from_its_end(digits):
    """As a model that reads forwards reads a reversed source, with the padding where it is."""
    backwards, forwards = small(digits), small(digits, reverse_source=False)
    forwards.set_weights(backwards.weights())
    source, turned = [[261, 262, 263, 0], [264, 265, 0, 0]], [[263, 262, 261, 0], [265, 264, 0, 0]]
    one, other = serve(backwards, source, [3, 2]), serve(forwards, turned, [3, 2])
    assert (one["tokens"] == other["tokens"]).all()
    np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-6)
    assert (serve(forwards, source, [3, 2])["scores"] != one["scores"]).any()


def test_shared_weights_are_shared(digits):
    shared, apart = (small(digits, context="initial_state", share_weights=share) for share in (True, False))
    assert not any("decoder" in path for path in shared.weights())
    assert apart.network.count_params() - shared.network.count_params() == sum(
        value.size for path, value in apart.weights().items() if "decoder" in path
    )


def test_the_context_is_an_input_of_every_step(digits):
    """Where the first state is the same, the context alone tells two sources apart."""
    task = small(digits, context="every_step")
    decoder = task._decoder[0].layer.cell
    assert decoder.kernel.shape[0] == task.config.embedding + task.config.units
    x = task._decoder_input(np.array([[2, 261]]), np.arange(12, dtype="float32")[None])
    np.testing.assert_array_equal(np.asarray(x)[0, :, 8:], [np.arange(12)] * 2)
    np.testing.assert_array_equal(np.asarray(x)[0, 0, :8], np.asarray(task._embed.embeddings)[2])


def test_decoding_agrees_with_the_network_and_the_best_there_is(digits):
    """Beam search with all prefixes kept finds the best of all sequences, as teacher forcing scores them."""
    task = small(digits, context="initial_state")
    weights = task.weights()
    usual = [Subwords.END, 261, 262]
    weights["logits/bias"][[i for i in range(len(digits)) if i not in usual]] = -30
    task.set_weights(weights)
    source = np.array([[263, 264, Subwords.END]], "int32")
    found = serve(task, source, [3], beam_width=27, max_length=3, length_penalty=0)
    best = {}
    for length in range(4):
        for words in itertools.product(usual[1:], repeat=length):
            target = np.array([[*words, Subwords.END][:3]], "int32")  # of three words, cut before its end
            before = np.concatenate([[[Subwords.START]], target[:, :-1]], 1)
            inputs = {"source": source, "source_lengths": np.array([3], "int32"), "target": before}
            losses, _ = cross_entropy(target, np.array([target.size]), task.network(inputs))
            best[words] = -float(losses[0])
    ranked = sorted(best, key=best.get, reverse=True)
    rows = zip(found["tokens"][0], found["token_lengths"][0], found["scores"][0], strict=True)
    rows = {tuple(int(t) for t in row[:length]): score for row, length, score in rows if score > -25}
    assert list(rows) == ranked[: len(rows)] and len(rows) == 15
    np.testing.assert_allclose(list(rows.values()), [best[words] for words in rows], atol=1e-4)


def test_a_beam_of_one_is_greedy(digits):
    task = small(digits)
    source, lengths = np.array([[261, 262, Subwords.END]], "int32"), np.array([3], "int32")
    found = serve(task, source, lengths, beam_width=1)
    written = [Subwords.START]
    for _ in range(12):
        inputs = {"source": source, "source_lengths": lengths, "target": np.array([written], "int32")}
        written.append(int(np.argmax(np.asarray(task.network(inputs))[0, -1])))
        if written[-1] == Subwords.END:
            break
    count = found["token_lengths"][0, 0]
    assert [t for t in written[1:] if t != Subwords.END] == list(found["tokens"][0, 0, :count])


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"cell": "rnn"}, "cell is one of"),
        ({"context": "all"}, "context is one of"),
        ({"share_weights": True, "context": "every_step"}, "share_weights"),
        ({"bidirectional": True, "units": 7}, "even number"),
    ],
)
def test_bad_configurations(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TranslatorConfig(**settings)


def test_label_smoothing_spreads_the_target():
    logits = np.log([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]]).astype("float32")
    losses, _ = cross_entropy(np.array([[0, 1]]), np.array([1]), logits, 0.3)
    wanted = 0.7 * -np.log(0.7) + 0.3 * -np.log([0.7, 0.2, 0.1]).mean()
    np.testing.assert_allclose(losses, [wanted], rtol=1e-5)


# === Export ===


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
@pytest.mark.parametrize("settings", VARIANTS)
def test_exports_token_for_token(digits, settings, tmp_path):
    from export import to_onnx, to_savedmodel

    task = small(digits, **settings)
    report = to_onnx(task, tmp_path / "translator.onnx")  # which compares with Keras
    kind = settings.get("cell", "lstm").upper()
    assert report["nodes"]["Loop"] == 1 and report["nodes"][kind] >= settings.get("layers", 1)
    assert set(report["recurrent"].values()) == {"fused"}
    if not settings:
        to_savedmodel(task, tmp_path / "saved")


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(digits, tmp_path):
    task = small(digits)
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    assert copy.vocabulary == digits and copy.config == task.config
    assert copy.predict(["1 2", "", "3"]) == task.predict(["1 2", "", "3"])
    assert task.predict("")[0] == ""


# === Training ===


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["reversed", "copied"])
def test_learns_digits(digits, answer):
    keras.utils.set_random_seed(1)
    task = Translator(
        TranslatorConfig(
            context="initial_state", cell="gru", units=128, embedding=32, dropout=0.0, label_smoothing=0.0
        ),
        digits,
    )
    random = np.random.default_rng(1)

    def batch(count):
        length = random.integers(1, 4)
        words = random.integers(261, 271, (count, length)).astype("int32")
        ends, starts = (np.full((count, 1), token, "int32") for token in (Subwords.END, Subwords.START))
        answers = words[:, ::-1] if answer == "reversed" else words
        lengths = np.full(count, length + 1, "int32")
        source = {"source": np.concatenate([words, ends], 1), "source_lengths": lengths}
        inputs = source | {"target": np.concatenate([starts, answers], 1)}
        return inputs, {"target": np.concatenate([answers, ends], 1), "target_lengths": lengths}

    model = task.training_model()
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([420], [0.01, 0.001])
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    model.fit((batch(64) for _ in range(500)), steps_per_epoch=500, shuffle=False, verbose=0)
    for _ in range(4):
        inputs, labels = batch(50)
        found = serve(task, inputs["source"], inputs["source_lengths"], beam_width=2)
        length = inputs["source"].shape[1]
        np.testing.assert_array_equal(found["tokens"][:, 0, :length], labels["target"])


def test_the_loss_of_batches_of_any_lengths(tmp_path, digits):
    """Two batches of one length come first, which says nothing of the third."""
    from recipes.training import setup
    from recipes.training.schedule import Schedule
    from zoo.families.translator.corpus import load_corpus

    lines = ["1 2 3"] * 8 + ["1 2 3 4 5 6 7 8"] * 4
    for name in ("digits.xx", "digits.yy"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    task = small(digits, source="xx", target="yy")
    corpus = load_corpus([tmp_path / "digits"], dataclasses.asdict(task.config))
    loss = setup.check_loss(task, corpus, Schedule(batch_size=4), corpus)
    model = task.training_model()
    model.compile("sgd")
    assert np.isfinite(loss(model)) and loss(model) == pytest.approx(loss(model))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_recipe_trains_and_fine_tunes(backend, tmp_path):
    pytest.importorskip(backend)
    random = np.random.default_rng(1)
    lines = [" ".join(random.choice(list(DIGITS), random.integers(2, 5))) for _ in range(160)]
    (tmp_path / "digits.xx").write_text("\n".join(lines) + "\n")
    (tmp_path / "digits.yy").write_text("\n".join(line[::-1] for line in lines) + "\n")

    def run(*arguments):
        said = trained("translator", *arguments, backend=backend)
        return [float(loss) for loss in re.findall(r"^epoch .* loss ([\d.]+)", said, re.MULTILINE)]

    new = [
        "--model.source", "xx", "--model.target", "yy", "--model.units", 16, "--model.embedding", 8,
        "--vocabulary-size", 271, "--keep-all",
    ]  # fmt: skip
    same = ["--data", tmp_path / "digits", "--training.epochs", 2, "--training.learning-rate", 0.01]
    losses = run("train", *same, *new, "--output", tmp_path / "run")
    assert losses[1] < losses[0]
    if backend == "tensorflow":
        further = run("finetune", "--preset", tmp_path / "run", *same, "--output", tmp_path / "further")
        assert further[1] < losses[1]
        assert "Measured as with `--beam-width 1`" in own_card(tmp_path / "further", tmp_path / "run")
