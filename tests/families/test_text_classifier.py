import re
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import learn, own_card, trained

import zoo
from zoo.errors import UserError
from zoo.families.text_classifier.corpus import load_labelled
from zoo.families.text_classifier.network import LanguageModels, TextClassifier, TextClassifierConfig
from zoo.families.text_classifier.vocabulary import LIMIT, TextVocabulary, bounded
from zoo.layers import KINDS
from zoo.text.subwords import Subwords
from zoo.text.words import Words

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
GOOD, BAD = "good great lovely warm clever".split(), "bad dull awful cold silly".split()
START, END = TextVocabulary.START, TextVocabulary.END


def reviews(count, seed=0):
    """``[(label, text)]``: good films and bad ones, but "not" turns it."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(count):
        word, turned = random.choice((BAD, GOOD)[i % 2]), bool(random.integers(2))
        text = f"the film no. {i} is {'not ' * turned}{word} for {random.choice(['us', 'me', 'you', 'them'])}"
        found.append((str((i + turned) % 2), text))
    return found


@pytest.fixture(scope="session")
def words():
    return TextVocabulary(Words.learn(text for _, text in reviews(40)), ["negative", "positive"])


def small(vocabulary, /, **settings):
    keras.utils.set_random_seed(5)
    task = TextClassifier(TextClassifierConfig(**{"units": 6, "embedding": 5} | settings), vocabulary)
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.3 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def serve(task, rows, time=None):
    tokens = np.zeros((len(rows), time or max(map(len, rows))), "int32")
    for one, row in zip(tokens, rows, strict=True):
        one[: len(row)] = row
    lengths = np.array([len(row) for row in rows], "int32")
    inputs = {"tokens": tokens, "lengths": lengths, "gain": np.ones(tokens.shape, "float32")}
    return {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}


VARIANTS = [{}, {"pooling": "mean", "layers": 2}, {"pooling": "last_state", "vocabulary": "subwords"}]


# === Vocabulary ===


def test_vocabulary(words):
    subwords = TextVocabulary(Subwords.learn((text for _, text in reviews(40)), 320), ["a", "b", "c"])
    for vocabulary in (words, subwords):
        copy = TextVocabulary.from_json(vocabulary.metadata()["vocabulary"])
        assert copy == vocabulary and len(copy) == len(vocabulary) and copy.labels == vocabulary.labels
        text = "The film isn't good-or bad, nor dull."
        alone = sum((vocabulary.encode(word) for word in text.split()), [])
        assert vocabulary.encode(text) == alone  # which is what the influence of words relies on
    assert words != subwords and subwords != TextVocabulary(subwords.tokens, ["a", "b", "x"])
    assert words.row("positive") == words.row("1") == 1 and "2" not in words
    with pytest.raises(UserError, match="label 'meh' is none of the model's, which are negative, positive"):
        words.row("meh")
    with pytest.raises(UserError, match="label '0' is none"):  # labels that are numbers mean themselves
        TextVocabulary(words.tokens, ["1", "2"]).row("0")
    for labels in (["a", "a"], ["a", ""]):
        with pytest.raises(ValueError, match="each label once"):
            TextVocabulary(words.tokens, labels)


def test_the_language_of_a_vocabulary_says_what_i_is():
    turkish = ["çok ılık bir ağaç", "ısparta ışık saçar", "kız kıskanır"] * 9
    for tokens in (Words.learn(turkish), Subwords.learn(turkish, 320)):
        vocabulary = TextVocabulary(tokens, ["a", "b"])
        assert vocabulary.encode("ISPARTA IŞIK") == vocabulary.encode("ısparta ışık")
    english = TextVocabulary(Words.learn(["it is as it was in izmir and as it will be"]), ["a", "b"])
    assert english.encode("IT IS") == english.encode("it is") and 1 not in english.encode("IT IS")


def test_long_texts_come_in_equal_pieces():
    assert bounded([]) == [[START, END]]
    assert bounded([7] * LIMIT) == [[START, *[7] * LIMIT, END]]
    pieces = bounded(list(range(10, 10 + 2 * LIMIT + 1)))
    assert sum((piece[1:-1] for piece in pieces), []) == list(range(10, 10 + 2 * LIMIT + 1))
    assert {len(piece) for piece in pieces} <= {2 + (2 * LIMIT + 1) // 3, 3 + (2 * LIMIT + 1) // 3}


# === Network ===


@pytest.mark.slow
@pytest.mark.parametrize("settings", [*VARIANTS, *({"cell": cell} for cell in KINDS)])
def test_a_batch_is_each_text_alone(words, settings):
    task = small(words, **settings)
    rows = [[START, *row, END] for row in ([4, 5, 6, 7, 8, 9], [], [6])]
    together = serve(task, rows, time=11)
    np.testing.assert_allclose(together["probabilities"].sum(1), 1, atol=1e-6)
    for i, row in enumerate(rows):
        np.testing.assert_allclose(together["logits"][i], serve(task, [row])["logits"][0], atol=1e-5)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"vocabulary": "letters"}, "vocabulary is one of"),
        ({"pooling": "sum"}, "pooling is one of"),
        ({"layers": 0}, "1 or more"),
    ],
)
def test_bad_configurations(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TextClassifierConfig(**settings)


@pytest.mark.skipif(not TENSORFLOW, reason="the gradient is taken with TensorFlow")
@pytest.mark.parametrize("settings", VARIANTS[:2])
def test_influence_is_gradient_times_input(words, settings):
    import tensorflow as tf

    task = small(words, **settings)
    text = "The film isn't good, it's dull"
    shown, influence, found = task.reader.influence(text)
    rows = bounded(words.encode(text))[0]
    x = tf.convert_to_tensor(task.embed(np.array([rows])))
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = task._logits(x, np.array([len(rows)], "int32"))[0]
        label = words.labels.index(found.label)
        odds = logits[label] - logits[1 - label]
    products = tf.reduce_sum(tape.gradient(odds, x) * x, -1).numpy()[0]
    # "isn't" and "it's" are two tokens each; the comma is none.
    spans = [(1, 2), (2, 3), (3, 5), (5, 6), (6, 8), (8, 9)]
    assert shown == text.split() and len(rows) == 10
    wanted = [products[first:last].sum() for first, last in spans]
    np.testing.assert_allclose(influence, wanted, atol=2e-3 * np.abs(wanted).max())
    assert found == task.predict(text, details=True)[0]


# === Export ===


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
@pytest.mark.parametrize("settings", VARIANTS)
def test_exports_without_a_loop(words, settings, tmp_path):
    from export import to_onnx, to_savedmodel

    task = small(words, **settings)
    report = to_onnx(task, tmp_path / "classifier.onnx")  # which compares with Keras
    assert "Loop" not in report["nodes"] and report["nodes"]["LSTM"] == settings.get("layers", 1)
    assert set(report["recurrent"].values()) == {"fused"}
    if not settings:
        to_savedmodel(task, tmp_path / "saved")


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(words, tmp_path):
    task = small(words)
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    texts = ["a good film", "", "dull"]
    assert copy.vocabulary == words and copy.config == task.config
    assert copy.predict(texts) == task.predict(texts) and task.predict("") == [""]


# === Training ===


def table(path, rows):
    path.write_text("".join(f"{label}\t{text}\n" for label, text in [("label", "text"), *rows]))
    return path


@pytest.mark.slow
def test_learns_twenty_reviews_by_heart(words, tmp_path):
    rows = reviews(20)
    corpus = load_labelled(table(tmp_path / "a.tsv", rows))
    config = TextClassifierConfig(units=16, embedding=16, dropout=0.0, word_dropout=0.0)
    task = TextClassifier(config, words)
    assert learn(task, corpus, 50)[-1] < 0.1
    report = task.evaluate(tmp_path / "a.tsv")
    assert report["accuracy"] == report["macro_f1"] == 1 and report["texts"] == 20
    assert task.predict([text for _, text in rows]) == [words.labels[int(label)] for label, _ in rows]


def test_what_a_sample_is(words, tmp_path):
    corpus = load_labelled(table(tmp_path / "a.tsv", [("1", "good " * 2 * LIMIT), ("0", "bad wicked bad")]))
    task = small(words, word_dropout=0.5)
    encoded = list(corpus.dataset().map(task.encode_sample).as_numpy_iterator())
    good, bad = words.encode("good bad")
    assert encoded[0]["tokens"].tolist() == [START, *[good] * LIMIT, END]
    assert encoded[1]["tokens"].tolist() == [START, bad, TextVocabulary.UNKNOWN, bad, END]
    assert [sample["label"] for sample in encoded] == [1, 0]
    assert task.corpus_lengths(corpus).tolist() == [LIMIT + 2, 5]
    varied = np.asarray(task.augment_sample(encoded[0], np.array([1, 2]))["tokens"])
    assert (varied[0], varied[-1]) == (START, END)
    assert set(varied[1:-1]) == {good, TextVocabulary.UNKNOWN} and 0.4 < (varied == good).mean() < 0.6


def test_words_are_cut_anew_in_training():
    texts = ["slow slower slowest", "low lower lowest"] * 20
    tokens = Subwords.learn(texts, 4 + 256 + 20)
    task = small(
        TextVocabulary(tokens, ["a", "b"]), vocabulary="subwords", word_dropout=0.0, subword_temperature=5.0
    )
    rows = np.array([START, *tokens.encode(texts[0]), END], np.int32)
    many = [np.asarray(task.augment_sample({"tokens": rows}, np.array([i, 0]))["tokens"]) for i in range(30)]
    assert len(set(map(tuple, many))) > 5 and {tokens.decode(cut) for cut in many} == {texts[0]}
    with pytest.raises(ValueError, match="needs subwords"):
        TextClassifierConfig(subword_temperature=1.0)


def test_rare_labels_can_count_more(words):
    logits, labels = np.log([[0.8, 0.2], [0.4, 0.6]]).astype("float32"), {"label": np.array([0, 1])}
    task = small(words)
    task.label_weights[:] = 0.5, 2
    loss = task.training_model().compute_loss(y=labels, y_pred=logits)
    assert float(loss) == pytest.approx(-(0.5 * np.log(0.8) + 2 * np.log(0.6)) / 2, rel=1e-5)


def test_language_models_look_to_one_side_each(words):
    """What is said of a token depends on those before it, and on those behind it, but never on itself."""
    task = small(words, dropout=0.0)
    models, lengths = LanguageModels(task), np.array([6], "int32")
    tokens = np.array([[START, 5, 6, 7, 8, END]], "int32")
    said = np.asarray(models.network({"tokens": tokens, "lengths": lengths}))
    assert said.shape == (2, 5, len(words))
    for at in range(1, 5):
        other = tokens.copy()
        other[0, at] = 9
        changed = (np.asarray(models.network({"tokens": other, "lengths": lengths})) != said).any(-1)
        assert changed[0].tolist() == [i >= at for i in range(5)]  # position i says token i + 1
        assert changed[1].tolist() == [i < at for i in range(5)]  # position i says token i
    inputs, labels = models.collate({"tokens": tokens, "token_lengths": lengths}, 8)
    np.testing.assert_array_equal(inputs["tokens"], tokens)
    np.testing.assert_array_equal(labels["target"], [[5, 6, 7, 8, END], [START, 5, 6, 7, 8]])
    assert np.asarray(labels["target_lengths"]).tolist() == [5, 5]


@pytest.mark.slow
def test_a_start_from_language_models_sets_the_weights(words, tmp_path):
    corpus = load_labelled(table(tmp_path / "a.tsv", reviews(20)))
    task = small(words, dropout=0.0, layers=2)
    before, models = task.weights(), LanguageModels(task)
    losses = learn(models, corpus, 20)
    assert losses[-1] < 0.8 * losses[0]
    after = task.weights()
    changed = {path.partition("/")[0] for path in before if (before[path] != after[path]).any()}
    assert changed == {"embedding", "recurrent_1"}
    tokens, lengths = np.array([[2, 5, 3]], "int32"), np.array([3], "int32")
    assert models.perplexity([models.collate({"tokens": tokens, "token_lengths": lengths}, 8)]) > 1


NEW = [
    "--labels", "negative", "positive", "--model.units", 8, "--model.embedding", 8, "--minimum-count", 1,
    "--language-model.epochs", 2, "--language-model.learning-rate", 0.01, "--language-model.batch-size", 12,
    "--model.dropout", "0.0",
]  # fmt: skip
ALWAYS = ["--training.epochs", 2, "--training.learning-rate", 0.01, "--training.batch-size", 12]


def losses(printed):
    return [float(loss) for loss in re.findall(r"^epoch .* loss ([\d.]+)", printed, re.MULTILINE)]


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the other backend is tried below")
def test_the_recipe_trains_resumes_and_fine_tunes(tmp_path):
    def run(*arguments):
        return trained("text_classifier", *arguments, *ALWAYS)

    films, topics = table(tmp_path / "films.tsv", reviews(40)), tmp_path / "topics.tsv"
    new = "train", "--data", films, *NEW, "--output", tmp_path / "run"
    first = run(*new)
    loss = losses(first)
    assert len(loss) == 4 and loss[1] < loss[0] and loss[3] < loss[2] and "left out of training: " in first
    stage = zoo.load(tmp_path / "run/language_model/best")  # what the second stage started from
    assert stage.vocabulary.labels == ["negative", "positive"]
    again = run(*new)
    assert losses(again) == [] and again.count("Going on with") == 2
    topics.write_text(films.read_text().replace("\n0\t", "\nmeh\t"))
    about = "finetune", "--preset", tmp_path / "run", "--class-weights", "--data", topics
    assert "a new output layer" in run(*about, "--output", tmp_path / "tuned")
    assert zoo.load(tmp_path / "tuned").vocabulary.labels == ["1", "meh"]
    assert "## Confidence" in own_card(tmp_path / "run") and own_card(tmp_path / "tuned", tmp_path / "run")


@pytest.mark.slow
def test_trains_on_jax(tmp_path):
    pytest.importorskip("jax")
    films = table(tmp_path / "films.tsv", reviews(40))
    new = "train", "--data", films, *NEW, *ALWAYS, "--output", tmp_path / "run"
    loss = losses(trained("text_classifier", *new, backend="jax"))
    assert len(loss) == 4 and loss[1] < loss[0] and loss[3] < loss[2]


@pytest.mark.parametrize(
    "rows, options, problem",
    [
        ([("1", f"film {i}") for i in range(9)], [], "the label '1'; give texts of two labels"),
        ([(str(i // 4), f"film {i}") for i in range(9)], ["--hold-out", "/000010"], "'2' is only among"),
        ([(str(i % 3), f"film {i}") for i in range(9)], ["--labels", "a", "b"], "label '2' is none"),
        ([("1", "film")], [], "cannot be split"),
        ([("0", "film"), ("1", "film"), ("1", "x")], ["--hold-out", "/000004"], "nothing is left to learn"),
    ],
)  # fmt: skip
def test_corpora_that_cannot_be_learned(rows, options, problem, tmp_path):
    from recipes import text_classifier

    path = table(tmp_path / "films.tsv", rows)
    with pytest.raises(UserError, match=problem):
        text_classifier.main(["train", "--data", str(path), *options, "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
