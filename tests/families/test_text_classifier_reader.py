"""The reader of text classifiers: on an engine that counts words, and on a small exported model."""

import gzip
import io
import json
import re
import sys
import threading

import numpy as np
import pytest
from helpers import zoo_on_base
from PIL import Image

from export import runtime
from zoo import cli
from zoo.contract.reader import Reader
from zoo.errors import UserError
from zoo.families.text_classifier import reader as classification
from zoo.families.text_classifier.reader import Classification, ClassificationReader, evaluate_classifier
from zoo.families.text_classifier.vocabulary import TextVocabulary
from zoo.plots import words as coloured_text
from zoo.text.words import Words

TOKENS = Words("good bad great dull film".split())
VOICES = np.array([0, 0, 0, 0, 2, -2, 1, -1, 0], np.float32)  # what each row says for "positive"


class Engine:
    """The log-odds of "positive" are the sum of what the words say, times their gain."""

    def __init__(self):
        self.calls, self.threads = [], set()

    def __call__(self, inputs):
        self.calls.append(inputs)
        self.threads.add(threading.get_ident())
        tokens, lengths, gain = inputs["tokens"], inputs["lengths"], inputs["gain"]
        assert tokens.dtype == lengths.dtype == np.int32 and gain.dtype == np.float32
        assert tokens.shape == gain.shape and lengths.max() == tokens.shape[1]
        for row, length in zip(tokens, lengths, strict=True):
            assert row[0] == TextVocabulary.START and row[length - 1] == TextVocabulary.END
            assert not row[length:].any()
        odds = (VOICES[tokens] * gain).sum(1)
        logits = np.stack([np.zeros_like(odds), odds], 1)
        return {"logits": logits, "probabilities": np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])}


@pytest.fixture
def reader():
    return ClassificationReader(Engine(), {}, TextVocabulary(TOKENS, ["negative", "positive"]), threads=2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def texts(count, longest=30):
    random = np.random.default_rng(0)
    return [" ".join(random.choice(TOKENS.words, random.integers(1, longest))) for _ in range(count)]


# === Reading ===


def test_order_batches_and_each_as_alone(reader, monkeypatch):
    monkeypatch.setattr(classification, "WINDOW", 90)
    lines = texts(300)
    found = reader(lines, details=True)
    voices = [VOICES[[4 + TOKENS.words.index(word) for word in line.split()]].sum() for line in lines]
    np.testing.assert_allclose(
        [item.probabilities["positive"] for item in found], sigmoid(np.array(voices)), atol=1e-6
    )
    assert [item.label for item in found] == ["positive" if voice > 0 else "negative" for voice in voices]
    assert all(item.confidence == max(item.probabilities.values()) for item in found)
    assert len(reader.run.calls) < 20 and sum(len(call["tokens"]) for call in reader.run.calls) == 300
    assert found[:40] == [reader(line, details=True)[0] for line in lines[:40]]
    assert reader(lines[:3]) == [item.label for item in found[:3]]


def test_what_a_result_says(reader):
    (found,) = reader("Great, good film!", details=True)
    assert found.line == f"positive\t{sigmoid(3):.4f}" and found.text == found.label == "positive"
    said = {
        "label": "positive",
        "confidence": 0.9526,
        "probabilities": {"negative": 0.0474, "positive": 0.9526},
    }
    assert found.to_json() == said


def test_empty_texts_have_no_label(reader):
    assert reader(["", " \t\x07", "\u200b"], details=True) == [Classification("", 0.0, {})] * 3
    assert Classification("", 0.0, {}).line == "" and not reader.run.calls
    assert reader(["!"]) == [""] and not reader.run.calls  # no word that is known


def test_a_long_text_is_read_in_pieces_of_bounded_size(reader):
    text = "good " * 50_000 + "dull " * 50_000
    (found,) = reader([text], details=True)
    calls = reader.run.calls
    assert sum(int(call["lengths"].sum()) - 2 * len(call["lengths"]) for call in calls) == 100_000
    assert max(call["tokens"].size for call in calls) <= classification.TOKENS
    assert max(call["lengths"].max() for call in calls) <= classification.LIMIT + 2
    assert found.confidence == pytest.approx(0.5, abs=0.01)
    together = reader([text, "bad"], details=True)
    assert together[0] == found and together[1].label == "negative"
    words, influence, _ = reader.influence(text)
    assert len(words) == len(influence) == classification.LIMIT


def test_results_come_before_the_last_input(reader, monkeypatch):
    monkeypatch.setattr(classification, "WINDOW", 4)

    def lines():
        yield from ["good film"] * 4
        raise AssertionError("asked for more")

    found = reader.stream(lines())
    assert [next(found).label for _ in range(4)] == ["positive"] * 4
    with pytest.raises(AssertionError, match="asked for more"):
        next(found)


def test_bad_utf8_raises_or_takes_its_place(reader):
    lines = ["good", b"na\xefve".decode("utf-8", "surrogateescape"), "bad"]
    with pytest.raises(UserError, match="^line 2, byte 3: this is not UTF-8; convert the text to UTF-8$"):
        reader(lines)
    first, second, third = reader(lines, errors="return")
    assert (first, third) == ("positive", "negative") and isinstance(second, UserError)


# === Influence ===


def test_influence_is_what_each_word_said(reader):
    words, influence, found = reader.influence("A great, GOOD and dull-dull film.")
    assert words == ["A", "great,", "GOOD", "and", "dull-dull", "film."] and found.label == "positive"
    np.testing.assert_allclose(influence, [0, 1, 2, 0, -2, 0], atol=1e-4)
    _, influence, found = reader.influence("bad good bad")  # of the label that was found
    assert found.label == "negative"
    np.testing.assert_allclose(influence, [2, -2, 2], atol=1e-4)


def test_influence_where_a_label_is_almost_certain(reader):
    _, influence, found = reader.influence("good " * 40)
    assert found.confidence == 1
    np.testing.assert_allclose(influence, 2, atol=1e-3)


def test_picture(reader, tmp_path):
    text = "A good film, bad at times " * 30
    reader.picture(text, tmp_path / "why.png")
    pixels = np.asarray(Image.open(tmp_path / "why.png").convert("RGB"))
    assert pixels.shape[1] == coloured_text.WIDTH and 300 < pixels.shape[0] < 1500
    for colour in (coloured_text.FOR, coloured_text.AGAINST):
        full = np.rint(0.75 * colour + 0.25 * 255)
        assert (pixels == full).all(-1).sum() > 30 * 500


class Letters(Words):
    """A token of each letter."""

    def __init__(self):
        super().__init__(["x"])

    def encode(self, text):
        return [4] * len(text)


def test_pictures_of_odd_texts(reader, tmp_path):
    for text in ("!", "x" * 10_000, "שלום 語 🎉 $x_1$", "good\x00bad"):
        reader.picture(text, tmp_path / "why.png")
        assert Image.open(tmp_path / "why.png").size[1] < 400
    words, influence, _ = ClassificationReader(
        Engine(), {}, TextVocabulary(Letters(), ["negative", "positive"])
    ).influence("x" * 10_000 + " x")  # a word that alone has more tokens than are read at once
    assert len(words) == len(influence) == 1
    (tmp_path / "why.png").unlink()
    with pytest.raises(UserError, match="nothing to draw of an empty text"):
        reader.picture("  ", tmp_path / "why.png")
    assert not list(tmp_path.iterdir())


# === Figures ===


class Corpus:
    skipped = ["a.tsv, line 3 has no text."]

    def __init__(self, texts, labels):
        self.texts, self.labels = texts, labels

    def __len__(self):
        return len(self.texts)

    def chunks(self, size):
        for at in range(0, len(self), 2):
            yield self.texts[at : at + 2], self.labels[at : at + 2]


def test_figures_by_hand():
    vocabulary = TextVocabulary(TOKENS, ["a", "b", "c", "d"])
    corpus = Corpus([*"aabbbc"], [*"ababbc"])  # each text is what it will be called
    report = evaluate_classifier(list, vocabulary, corpus)
    assert report["confusion"] == [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert (report["texts"], report["accuracy"]) == (6, pytest.approx(4 / 6))
    assert report["labels"]["b"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "texts": 3}
    )
    assert report["labels"]["d"] == {"precision": 0, "recall": 0, "f1": 0, "texts": 0}
    assert report["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)  # of the labels that occur
    assert report["texts_per_second"] == 6 / report["seconds"] and report["skipped"] == Corpus.skipped
    assert json.loads(json.dumps(report)) == report
    with pytest.raises(UserError, match="label 'x' is none of the model's"):
        evaluate_classifier(list, vocabulary, Corpus(["a"], ["x"]))


def test_report(reader):
    corpus = Corpus(
        ["good", "bad", "dull film", "great"], ["1", "0", "1", "positive"]
    )  # by number or by name
    report = reader.evaluate(corpus)
    assert report["accuracy"] == 0.75 and report["confusion"] == [[1, 0], [1, 2]]
    rows = dict(reader.rows(report))
    names = "texts accuracy macro_f1 confidence threshold skipped negative positive speed"
    assert list(rows) == names.split()
    assert rows["accuracy"] == "75.0%"
    assert rows["positive"] == "precision 100.0%, recall 66.7%, F1 0.800 (3 texts)"


# === Model files and the command ===


@pytest.fixture(scope="module")
def classifier():
    import keras

    from zoo.families.text_classifier.network import TextClassifier, TextClassifierConfig

    keras.utils.set_random_seed(5)
    config = TextClassifierConfig(units=6, embedding=8)
    task = TextClassifier(config, TextVocabulary(TOKENS, ["negative", "positive"]))
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.5 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


@pytest.fixture(scope="module")
def model(classifier, tmp_path_factory):
    from export import to_onnx

    path = tmp_path_factory.mktemp("onnx") / "classifier.onnx"
    to_onnx(classifier, path)
    return str(path)


LINES = ["a good film", "", "dull , bad", "great " * 2000]


@pytest.fixture(scope="module")
def shown(model):
    return [item.line for item in runtime.load(model)(LINES, details=True)]


def test_an_exported_model_is_the_task(model, classifier):
    reader = runtime.load(model, threads=2)
    assert isinstance(reader, ClassificationReader) and isinstance(reader, Reader)
    assert reader.threads == 2 and reader.metadata["task"] == "text_classifier"
    assert reader.vocabulary == classifier.vocabulary
    for one, other in zip(reader(LINES, details=True), classifier.predict(LINES, details=True), strict=True):
        assert one.label == other.label and one.confidence == pytest.approx(other.confidence, abs=1e-5)
    one, other = (each.influence(LINES[0])[1] for each in (reader, classifier.reader))
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    "damage",
    [{"vocabulary": "{}"}, {"vocabulary": '{"labels": ["a"], "sentencepiece": "anVuaw=="}'}, {"config": "x"}],
)
def test_damaged_metadata(model, damage, tmp_path):
    import onnx

    graph = onnx.load(model)
    for entry in graph.metadata_props:
        entry.value = damage.get(entry.key.removeprefix("seqzoo."), entry.value)
    onnx.save(graph, tmp_path / "damaged.onnx")
    with pytest.raises(runtime.ReaderError, match="damaged.onnx: its metadata is damaged"):
        runtime.load(tmp_path / "damaged.onnx")


def test_predict_on_the_base_install(model, shown):
    run = zoo_on_base("predict", model, "-", input="\n".join(LINES))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "".join(f"{line}\n" for line in shown)


@pytest.fixture
def stdin(monkeypatch):
    def put(text):
        stream = io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()))
        monkeypatch.setattr(sys, "stdin", stream)

    return put


def test_formats(model, shown, stdin, tmp_path, capsys):
    stdin("\n".join(LINES))
    assert cli.main(["predict", model, "-"]) == 0
    assert capsys.readouterr() == ("".join(f"{line}\n" for line in shown), "")
    (tmp_path / "lines.txt.gz").write_bytes(gzip.compress("\n".join(LINES).encode()))
    assert cli.main(["predict", model, str(tmp_path / "lines.txt.gz"), "--format", "tsv"]) == 0
    assert capsys.readouterr().out == "".join(f"{x}\t{y}\n" for x, y in zip(LINES, shown, strict=True))
    stdin(b"good\nna\xefve\nbad")
    assert cli.main(["predict", model, "-", "--format", "json"]) == 3
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [item["input"] for item in found] == ["good", "bad"] and "line 2, byte 3" in err
    assert set(found[0]["probabilities"]) == {"negative", "positive"}
    assert found[0]["confidence"] == found[0]["probabilities"][found[0]["label"]]


def test_a_table_from_the_command(model, shown, stdin, tmp_path, capsys):
    rows = "".join(f'{i},"{line}"\n' for i, line in enumerate(LINES) if line)
    wanted = "".join(f"{line}\n" for line, text in zip(shown, LINES, strict=True) if text)
    (tmp_path / "texts.csv").write_text(f"id,Review\n{rows}")
    assert cli.main(["predict", model, str(tmp_path / "texts.csv")]) == 0
    assert capsys.readouterr() == (wanted, "")
    (tmp_path / "texts.csv").write_text(f"id,Words\n{rows}7,\n")
    assert cli.main(["predict", model, str(tmp_path / "texts.csv")]) == 2
    assert re.fullmatch("zoo: .*texts.csv: there is no column text; .*\n", capsys.readouterr().err)
    stdin(f"id,Words\n{rows}7,\n")
    assert cli.main(["predict", model, "-", "--columns", "text=Words"]) == 3
    out, err = capsys.readouterr()
    assert out == f"{wanted}\n" and err.endswith("has no text\n")



def test_plot_from_the_command(model, stdin, tmp_path, capsys):
    stdin("a good film\n")
    assert cli.main(["predict", model, "-", "--plot", str(tmp_path / "why.png")]) == 0
    assert Image.open(tmp_path / "why.png").format == "PNG" and capsys.readouterr().out.count("\t") == 1
    stdin("one\ntwo\n")
    assert cli.main(["predict", model, "-", "--plot", str(tmp_path / "no.png")]) == 2
    assert capsys.readouterr().err == "zoo: --plot is for one text at a time; give one line\n"


def test_evaluate(model, tmp_path, capsys):
    (tmp_path / "films.csv").write_text("label,text\n1,good film\n0,bad film\n0,\n")
    assert cli.main(["evaluate", model, "--data", str(tmp_path / "films.csv"), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["texts"] == 2 == sum(map(sum, report["confusion"])) and len(report["skipped"]) == 1
    (tmp_path / "stars.csv").write_text("label,text\n5,good film\n")
    assert cli.main(["evaluate", model, "--data", str(tmp_path / "stars.csv")]) == 2
    assert (
        "zoo: the label '5' is none of the model's, which are negative, positive" in capsys.readouterr().err
    )


def test_options_of_others(model, capsys):
    assert cli.main(["predict", model, "-", "--beam-width", "2"]) == 2
    families = "line_ocr and deep_speech and translator and captioner"
    expected = f"reads texts, but --beam-width is for {families}.*; leave it out"
    assert re.search(expected, capsys.readouterr().err)
