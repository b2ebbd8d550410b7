"""The reader of models that answer, on an engine that looks for the words of the question."""

import io
import json
import sys

import numpy as np
import pytest
from helpers import python
from PIL import Image

from zoo import cli
from zoo.errors import UserError
from zoo.families.question_answering import reader as answering
from zoo.families.question_answering.reader import AnsweringReader
from zoo.families.question_answering.vocabulary import QuestionVocabulary
from zoo.text.words import Words

WORDS = Words("where is ann bob went to the garden kitchen not".split())
STORY = "Ann went to the garden. Bob went to the kitchen."


class Engine:
    """Looks at the items that share most words with the question; says the place in the best of them."""

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def __call__(self, inputs):
        self.calls.append(inputs)
        assert all(value.dtype == np.int32 for value in inputs.values())
        story, lengths, question = inputs["story"], inputs["lengths"], inputs["question"]
        shared = (story[:, :, :, None] == question[:, None, None, :]) & (story > 0)[..., None]
        scores = np.where(np.arange(story.shape[1]) < lengths[:, None], 5.0 * shared.any((2, 3)), -1e9)
        looked = softmax(scores)
        if self.answers == "list":
            place = story[np.arange(len(story)), scores.argmax(1)]
            found = softmax(5.0 * np.stack([(place == 11).any(1), (place == 12).any(1)], 1))
        elif self.answers == "sentence":
            found = looked
        else:  # from the first shared word to the last
            found = softmax(np.stack([scores, scores + np.arange(story.shape[1]) * (scores > 0)], 1))
        return {"probabilities": found, "looked_at": np.stack([looked] * 2, 1)}


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return (x / x.sum(-1, keepdims=True)).astype("float32")


def make(answers="list", word_dropout=0.0):
    listed = ["garden", "kitchen"] if answers == "list" else []
    config = {"answers": answers, "word_dropout": word_dropout}
    return AnsweringReader(Engine(answers), config, QuestionVocabulary(WORDS, listed), threads=2)


def test_answers_on_one_story():
    reader = make()
    assert reader("Where is Ann?", story=STORY) == ["garden"]
    assert reader(["Where is Bob?", "where is ANN"], story=STORY.replace(". ", ".\n")) == [
        "kitchen",
        "garden",
    ]
    assert reader("Where is Bob?", story=["Bob went to the garden."]) == ["garden"]
    numbered = "1 Ann went to the garden.\n2 Where is Ann?\tgarden\t1\n3 Bob went to the kitchen."
    (found,) = reader("Where is Bob?", story=numbered, details=True, n_best=2)
    assert found.sentences == ["Ann went to the garden.", "Bob went to the kitchen."]
    assert [text for text, _ in found.hypotheses] == ["kitchen", "garden"]
    assert found.confidence == found.hypotheses[0][1] and found.line.startswith("kitchen\t0.99")
    about = found.to_json()
    assert about["looked_at"][0]["sentence"] == 2 and about["looked_at"][0]["text"] == found.sentences[1]


def test_order_batches_and_stories_of_their_own(monkeypatch):
    monkeypatch.setattr(answering, "WINDOW", 7)
    monkeypatch.setattr(answering, "WORDS", 40)
    random, reader, items, wanted = np.random.default_rng(0), make(), [], []
    for _ in range(30):
        places = random.permutation(["garden", "kitchen"])
        story = [f"{who} went to the {place}." for who, place in zip(("Ann", "Bob"), places, strict=True)]
        story = random.integers(1, 4) * [story[0]] + [story[1]]
        items.append({"context": "\n".join(story), "question": "Where is Bob?"})
        wanted.append(places[1])
    assert reader(items) == wanted
    assert max(call["story"].size for call in reader.run.calls) <= 80


def test_sentences_and_spans():
    assert make("sentence")("Where is Bob?", story=STORY) == ["Bob went to the kitchen."]
    reader = make("span")
    (found,) = reader("Where went Bob to the?", story=STORY, details=True, n_best=3)
    assert len(found.hypotheses) == 3 and found.hypotheses[0][0] in STORY
    assert found.looked_at.shape == (2, 2) and found.looked_at.sum(1) == pytest.approx([1, 1])
    assert found.words[0] == STORY.replace(".", "").split() and len(found.words[1]) == 10
    words = answering.story_words(["Ann, (Bob)!", "It is."])
    probabilities = np.array([[0.1, 0.8, 0.1, 0], [0.5, 0, 0.4, 0.1]])
    texts, values = answering._spans(["Ann, (Bob)!", "It is."], words, probabilities, 2)
    assert texts == ["Bob)! It", "Bob)! It is"] and values == pytest.approx([0.32, 0.08])


@pytest.mark.parametrize(
    "question, story, problem",
    [
        ("Where is Ann?", None, "there is no story to this question"),
        ("Where is Ann?", "", "the story has no words"),
        ("Where is Ann?", "🙂 !", "the story has no words"),
        ("🙂", STORY, "the question has no words"),
        ("", STORY, "the question has no words"),
        ("Where is Ann? " * 5000, STORY, "has 15,000 words; ask one of up to 128"),
        ("Where is Zoe?", STORY, "the question has the word 'zoe', which the model has not learned"),
        ("Where is 🙂?", STORY, "the question has the word '🙂', which the model has not learned"),
        ("Where is Ann?", "Ann went to Rome.", "sentence 1 of the story has the word 'rome'"),
        ("Where is Ann?", "Ann went.\n" * 300, "has 300 sentences; give its last 256"),
        ("Where is \udcff?", STORY, "line 1, byte 10: this is not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered(question, story, problem):
    with pytest.raises(UserError, match=problem):
        make()(question, story=story)


def test_models_that_learned_unknown_words():
    reader = make(word_dropout=0.1)
    assert reader("Where is our Bob?", story=STORY + " Zoe sings.") == ["kitchen"]
    with pytest.raises(UserError, match="no word that the model has learned"):
        reader("Wo ist Zoe?", story=STORY)


def test_one_bad_question_ends_no_other():
    found = make()(["Where is Ann?", "Who?", "Where is Bob?"], story=STORY, errors="return")
    assert isinstance(found[1], UserError) and [found[0], found[2]] == ["garden", "kitchen"]


class Corpus:
    texts = ["Where is Ann?", "Where is Bob?", "Where is Bob?", "Who is it?"]
    stories = ["Ann went to the garden."] + ["Ann went.\nBob went to the kitchen."] * 3
    answers = ["garden", "The Kitchen\nkitchen", "garden", "garden"]
    tasks = ["qa10_x", "qa2_y", "qa2_y", "qa2_y"]
    skipped = []

    def __len__(self):
        return 4


def test_accuracy_is_the_mean_over_tasks():
    reader = make()
    report = reader.evaluate(Corpus())
    assert report["accuracy"] == pytest.approx((1 + 1 / 3) / 2) and report["refused"] == 1
    assert list(report["tasks"]) == ["qa2_y", "qa10_x"] and report["tasks"]["qa2_y"]["questions"] == 3
    assert answering._f1("the red garden", "a garden, big") == pytest.approx(0.5)
    shown = dict(reader.rows(report))
    assert shown["accuracy"] == "66.7%" and shown["qa2_y"] == "33.3% (3 questions)"


@pytest.mark.parametrize("answers", ["list", "span"])
def test_a_picture(answers, tmp_path):
    reader = make(answers)
    reader.picture("Where is Bob?", tmp_path / "a.png", story=STORY)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 60).any(1)
    assert blue.any() and pixels.shape[1] > 300
    if answers == "list":
        assert np.flatnonzero(blue).min() > len(blue) / 2  # the second of two sentences


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    from zoo.cli import common

    model = type("Model", (), {"reader": make(), "name": "question_answering"})
    monkeypatch.setattr(common, "loaded", lambda options: model)
    monkeypatch.setattr(common, "add_model", lambda parser, *_, **__: added(parser))
    (tmp_path / "story.txt").write_text(STORY)

    def added(parser):
        parser.add_argument("model")
        parser.set_defaults(reader=AnsweringReader, loaded=None)
        return AnsweringReader

    def run(*arguments, given=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        status = cli.main(["predict", "mine", *map(str, arguments)])
        return status, *capsys.readouterr()

    story = "--story", tmp_path / "story.txt"
    status, out, _ = run(*story, given="Where is Ann?\nWhere is Bob?\n")  # no INPUT: a question a line
    assert status == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["garden", "kitchen"]
    status, out, _ = run(*story, "-", "--n-best", 2, "--format", "json", given="Where is Bob?\n")
    assert status == 0 and [one["text"] for one in json.loads(out)[0]["hypotheses"]] == ["kitchen", "garden"]
    status, out, err = run(*story, given="Where is Zoe?\n")
    assert status == 2 and "'zoe', which the model has not learned" in err and "Traceback" not in err
    status, out, err = run("--story", tmp_path / "none.txt", given="Where is Ann?\n")
    assert status == 2 and "none.txt" in err
    (tmp_path / "q.csv").write_text(f'context,question\n"{STORY}",Where is Bob?\n,Where is Ann?\n')
    status, out, err = run(tmp_path / "q.csv", "--format", "tsv")
    assert status == 3 and out.splitlines()[0].startswith("Where is Bob?\tkitchen\t")
    assert "there is no story" in err
    status, out, _ = run(tmp_path / "q.csv", *story, "--format", "tsv")
    assert status == 0 and out.splitlines()[1].startswith("Where is Ann?\tgarden\t")


def test_without_tensorflow():
    program = (
        "import sys\nfrom zoo.registry import reader_class\nreader_class('question_answering')\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    assert python(program).returncode == 0
