import re
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import learn, own_card, trained

import zoo
from export import to_onnx
from zoo.errors import UserError
from zoo.families.question_answering.corpus import load_questions
from zoo.families.question_answering.network import (
    ANSWERS,
    ENCODERS,
    QuestionAnswering,
    QuestionAnsweringConfig,
    look_in_turn,
)
from zoo.families.question_answering.vocabulary import QuestionVocabulary, find_span, story_words
from zoo.text.words import Words

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
PEOPLE, PLACES = ["Ann", "Bob", "Cy"], ["garden", "kitchen", "office", "attic"]
UNKNOWN = QuestionVocabulary.UNKNOWN


def babi(count, seed=0):
    """bAbI's text of stories of two moves and a question after them: where somebody is."""
    random, lines = np.random.default_rng(seed), []
    for _ in range(count):
        who, where = random.permutation(PEOPLE)[:2], random.permutation(PLACES)[:2]
        lines += [f"{i + 1} {who[i]} went to the {where[i]}." for i in range(2)]
        asked = random.integers(2)
        lines.append(f"3 Where is {who[asked]}?\t{where[asked]}\t{asked + 1}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def stories(tmp_path):
    path = tmp_path / "qa1_where_train.txt"
    path.write_text(babi(20))
    return path


def vocabulary(answers="list"):
    words = Words(["went", "to", "the", "where", "is", *map(str.lower, PEOPLE), *PLACES])
    return QuestionVocabulary(words, PLACES if answers == "list" else [])


def small(answers="list", /, **settings):
    keras.utils.set_random_seed(5)
    settings = {"answers": answers, "units": 6, "embedding": 8, "hops": 2, "dropout": 0.0} | settings
    task = QuestionAnswering(QuestionAnsweringConfig(**settings), vocabulary(answers))
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.3 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


# === Vocabulary ===


def test_vocabulary():
    found = vocabulary()
    assert QuestionVocabulary.from_json(found.metadata()["vocabulary"]) == found != vocabulary("span")
    assert found.strange("Where is ann's Zoo?") == ["ann's", "zoo"] and found.strange("Ann!") == []
    sentences = ["Ann went.", "To the garden."]
    assert found.items(sentences, "list").tolist() == [[9, 4, 0], [5, 6, 12]]
    assert found.items(sentences, "span").tolist() == [[9], [4], [5], [6], [12]]
    words = story_words(sentences)
    assert [(word, number) for word, number, _, _ in words][1:3] == [("went", 0), ("to", 1)]
    assert find_span([word for word, *_ in words], "The garden") == (3, 4)
    assert find_span(["a", "b"], "c") is find_span(["a"], "") is None
    for story, problem in (([""], "no words"), (["…", "🙂"], "no words"), (["Ann."] * 257, "257 sentences")):
        with pytest.raises(UserError, match=problem):
            found.items(story, "sentence")
    with pytest.raises(UserError, match="has 10,000 words; ask one of up to 128"):
        found.question("is " * 10_000)


def test_configuration():
    for wrong in ({"answers": "yes"}, {"encoder": "bag"}, {"hops": 0}, {"word_dropout": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            QuestionAnsweringConfig(**wrong)


# === Network ===


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers, encoder", [*zip(ANSWERS, (*ENCODERS, "lstm"), strict=True), ("list", "positions")]
)
def test_padding_changes_nothing(answers, encoder):
    task = small(answers, encoder=encoder, positions=3)
    inputs = task.serving.example(3, seed=1)
    together = {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}
    np.testing.assert_allclose(together["looked_at"].sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(together["probabilities"].sum(-1), 1, rtol=1e-5)
    for i, length in enumerate(inputs["lengths"]):
        story, question = inputs["story"][i : i + 1, :length], inputs["question"][i : i + 1]
        alone = {
            "story": story[:, :, : max(1, (story > 0).sum(-1).max())],
            "lengths": inputs["lengths"][i : i + 1],
            "question": question[:, : (question > 0).sum()],
        }
        for name, value in task.compiled_serve(alone).items():
            wanted = together[name][i]
            wanted = wanted if name == "probabilities" and answers == "list" else wanted[..., :length]
            np.testing.assert_allclose(np.asarray(value)[0], wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow exports")
def test_exported_it_says_the_same(tmp_path, stories):
    for answers, encoder in (("list", "positions"), ("span", "lstm")):
        task, path = small(answers, encoder=encoder), str(tmp_path / f"{answers}.onnx")
        report = to_onnx(task, path, "mine")
        assert not {"Loop", "Scan", "If"} & set(report["nodes"])
        assert report["nodes"]["LSTM"]
        story = "Ann went to the garden. Bob went to the attic."
        given = ["Where is Ann?", "Where is Bob?"]
        alike = [model.predict(given, story=story) for model in (task, zoo.load(path))]
        assert alike[0] == alike[1] and all(alike[0])


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(tmp_path):
    task = small(word_dropout=0.1)
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    asked = {"story": "Ann went to the attic.", "details": True}
    one, other = (model.predict("Where is Ann?", **asked)[0] for model in (task, copy))
    assert one.text == other.text and one.confidence == pytest.approx(other.confidence, abs=2e-3)
    assert copy.config == task.config and copy.vocabulary == task.vocabulary


# === Training ===


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers, encoder", [("list", "positions"), ("span", "positions"), ("sentence", "lstm")]
)
def test_learns_twenty_stories_by_heart(answers, encoder, stories):
    corpus = load_questions(stories, answers)
    task = small(answers, encoder=encoder, units=12, embedding=16)
    assert learn(task, corpus, 40)[-1] < 0.3
    report = task.evaluate(stories)
    assert report["accuracy"] == 1 if answers != "sentence" else report["questions"] == 20
    assert set(report["tasks"]) == {"qa1_where"} and report["refused"] == 0
    asked = {"story": "Ann went to the attic.\nCy went to the office.", "details": True}
    (found,) = task.predict("Where is Cy?", **asked)
    assert found.looked_at.shape == (2, 2) and found.looked_at.sum(1) == pytest.approx([1, 1], abs=1e-5)
    if answers == "list":
        assert found.looked_at.mean(0)[1] > 0.5  # as it learned of the supporting sentences


@pytest.mark.parametrize("answers", ANSWERS)
def test_what_a_sample_is(answers, stories):
    corpus, task = load_questions(stories, answers), small(answers, word_dropout=0.5)
    (one,) = corpus.dataset().take(1).map(task.encode_sample).as_numpy_iterator()
    story, place = corpus.stories[0].split("\n"), int(corpus.supports[0] or 0)
    np.testing.assert_array_equal(one["story"], task.vocabulary.items(story, answers))
    if answers == "span":
        assert story_words(story)[int(one["right"].argmax(0)[0])][0] == corpus.answers[0]
        assert one["right"].sum() == 2
    else:
        assert (one["support"].argmax(0) == place).all() and one["support"].sum() == task.config.hops
        assert answers == "list" or one["right"].argmax() == place
        assert answers == "sentence" or PLACES[one["answer"]] == corpus.answers[0]
    varied = np.concatenate(
        [np.ravel(task.augment_sample(one, np.array([i, 2]))["story"]) for i in range(40)]
    )
    assert 0.4 < (varied == UNKNOWN).mean() < 0.6
    assert task.corpus_lengths(corpus)[0] == task.sample_length(one) == len(one["story"])


def test_hops_look_in_turn():
    for places, wanted in (
        ([], [[], [], []]),
        ([2], [[2], [2], [2]]),
        ([2, 0], [[2], [0], [0]]),
        ([3, 0, 2, 1], [[3], [0], [1, 2]]),
    ):
        look = np.zeros((4, 3))
        look_in_turn(look, places)
        assert [np.flatnonzero(hop).tolist() for hop in look.T] == wanted


def test_the_loss():
    """Cross-entropy of what is right, and of each hop's attention on what supports it."""
    attention = np.log([[[0.5, 0.5], [0.9, 0.1]]]).astype("float32")
    looked = -np.log(0.5 * 0.1) / 2
    for labels, logits, wanted in (
        ({"answer": np.array([1])}, [[0.3, 0.7]], -np.log(0.7)),
        ({"right": np.array([[1.0, 1.0]], "float32")}, [[0.3, 0.7]], 0),
        ({"right": np.array([[[1, 0], [0, 1]]], "float32")}, [[[0.3, 0.7], [0.4, 0.6]]], -np.log(0.3 * 0.6)),
    ):
        predicted = {"logits": np.log(np.array(logits, "float32")), "attention": attention}
        labels["support"] = np.array([[[1.0, 0.0], [0.0, 1.0]]], "float32")
        for support in (0.0, 2.0):
            model = small(support=support).training_model()
            loss = float(model.compute_loss(y=labels, y_pred=predicted))
            assert loss == pytest.approx(wanted + support * looked, abs=1e-5)
        labels["support"] = np.zeros((1, 2, 2), "float32")  # nobody knows
        assert float(model.compute_loss(y=labels, y_pred=predicted)) == pytest.approx(wanted, abs=1e-5)


ALWAYS = ["--training.epochs", 2, "--training.learning-rate", 0.01, "--training.batch-size", 8]
NEW = ["--model.units", 6, "--model.embedding", 8, "--model.hops", 2]


def losses(printed):
    return [float(loss) for loss in re.findall(r"^epoch .* loss ([\d.]+)", printed, re.MULTILINE)]


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the other backend is tried below")
def test_the_recipe_trains_resumes_and_fine_tunes(tmp_path, stories):
    def run(*arguments):
        return trained("question_answering", *arguments, *ALWAYS)

    new = "train", "--data", stories, *NEW, "--output", tmp_path / "run"
    first = run(*new)
    assert losses(first)[1] < losses(first)[0] and "2 held out" in first
    again = run(*new)
    assert losses(again) == [] and "Going on with" in again
    more = tmp_path / "more.csv"
    rows = [
        f"{one} flew to the moon.,Where is {one}?,{('moon', 'attic')[i % 2]}"
        for i, one in enumerate(4 * PEOPLE)
    ]
    more.write_text("\n".join(["context,question,answer", *rows]))
    tuned = run("finetune", "--preset", tmp_path / "run", "--data", more, "--output", tmp_path / "tuned")
    assert "2 words that" in tuned and "a new output layer" in tuned
    assert "had outputs for what is new in this data" in own_card(tmp_path / "tuned", tmp_path / "run")
    known = zoo.load(tmp_path / "tuned").vocabulary
    assert known.labels == ["attic", "moon"] and {"flew", "moon", "garden"} <= set(known.words.words)


@pytest.mark.slow
def test_trains_on_jax(tmp_path, stories):
    pytest.importorskip("jax")
    few = "--model.hops", 1, "--model.encoder", "positions", "--training.batch-size", 9  # compile quickly
    new = "train", "--data", stories, *NEW, *ALWAYS, *few, "--output", tmp_path / "run"
    loss = losses(trained("question_answering", *new, backend="jax"))
    assert loss[1] < loss[0]


@pytest.mark.parametrize(
    "rows, options, problem",
    [
        (["Ann is in.,Who?,Ann"] * 9, [], "have the answer 'Ann'; give some with another"),
        (["Ann is in.,Who?,Ann", "Bo is in.,Who?,Cy"], ["--model.answers", "span"], "1 of 2 questions"),
        (
            ["Ann is in.,Who?,Ann", "Bo is in.,Who?,Cy"],
            ["--model.answers", "span", "--allow-skipped"],
            "cannot be split",
        ),
        (["Ann is in.,Who?,Ann"], [], "cannot be split"),
    ],
)  # fmt: skip
def test_corpora_that_cannot_be_learned(rows, options, problem, tmp_path):
    from recipes import question_answering

    path = tmp_path / "a.csv"
    path.write_text("\n".join(["context,question,answer", *rows]))
    with pytest.raises(UserError, match=problem):
        question_answering.main(["train", "--data", str(path), *options, "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
