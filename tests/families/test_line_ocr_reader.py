"""The reader of lines on a Keras task: what the command and Python share."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import zoo
from export import runtime
from zoo import cli
from zoo.decoding.language_model import ALPHAS
from zoo.errors import UserError
from zoo.families.line_ocr.reader import LineReader
from zoo.text.characters import Vocabulary
from zoo.text.ngrams import LanguageModel, build
from zoo.text.spelled import build_spelled


@pytest.fixture(scope="module")
def lines(draw_line, some_texts):
    return [draw_line(text, size=20 + i) for i, text in enumerate(some_texts[:5])]


def test_each_is_what_it_alone_would_get(small_reader, lines):
    together = small_reader.predict(lines, details=True)
    assert all(isinstance(line, runtime.Line) for line in together)
    for image, line in zip(lines, together, strict=True):
        assert small_reader.predict(image) == [line.text]
        assert small_reader.predict(image, details=True)[0].confidence == pytest.approx(
            line.confidence, abs=1e-4
        )


def test_beam_search_on_a_task(small_reader, lines):
    """Of a width of one it is the likeliest prefix; wider ones find none that is less likely."""
    wide = small_reader.predict(lines, beam_width=8)
    found = small_reader.reader.run({"image": lines[0][None, :, :, None], "size": np.array([lines[0].shape])})
    log_probs = found["log_probs"][0, : found["lengths"][0]]
    labels, _ = runtime.prefix_beam_search(log_probs, 8)
    assert wide[0] == "".join(small_reader.vocabulary.characters[label - 1] for label in labels)
    with pytest.raises(UserError, match="a beam width is 1 or more, not 0"):
        small_reader.predict(lines, beam_width=0)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_where_a_known_text_stands(some_texts, lines, direction):
    """Every character has columns of its own, right-to-left ones from the right; others are left out."""
    from zoo.families.line_ocr.network import LineOcr, LineOcrConfig

    letters = "אבגדה" if direction == "rtl" else "the wor"
    config = LineOcrConfig(height=24, filters=(8, 12, 16), units=(8,))
    reader = LineOcr(config, Vocabulary(sorted(letters), direction)).reader
    line = reader.align(lines[0], f"{letters}é{letters[:2]}")
    assert line.text == letters + letters[:2] == "".join(c.character for c in line.characters)
    assert 0 < line.confidence < 1
    starts = [c.start for c in line.characters]
    assert starts == sorted(starts, reverse=direction == "rtl") and len(set(starts)) == len(starts)
    assert all(0 <= c.start < c.end <= lines[0].shape[1] for c in line.characters)
    assert reader.align(lines[0], "é").characters == []
    with pytest.raises(UserError, match="too short for its text of 900 characters"):
        reader.align(lines[0], letters[0] * 900)


def test_what_was_read_stands_where_it_was_read(small_reader, lines):
    (line,) = small_reader.predict(lines[0], details=True)
    found = small_reader.reader.align(lines[0], line.text)
    assert found.text == line.text
    for one, other in zip(found.characters, line.characters, strict=True):
        assert one.start <= other.end and other.start <= one.end


def test_bad_images_raise_or_take_their_place(small_reader, lines, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    given = [lines[0], tmp_path / "bad.png", lines[1]]
    with pytest.raises(UserError, match="bad.png"):
        small_reader.predict(given)
    one, bad, two = small_reader.predict(given, errors="return")
    assert [one, two] == small_reader.predict(lines[:2]) and isinstance(bad, UserError)


def test_a_blank_line_is_nothing(small_reader):
    for ground in (255, 0, 127):
        (line,) = small_reader.predict(np.full((40, 600), ground, np.uint8), details=True)
        assert (line.text, line.confidence, line.characters) == ("", 0.0, [])


def test_plot(small_reader, lines, tmp_path):
    small_reader.reader.picture(lines[0], tmp_path / "line.png")
    drawn = np.asarray(Image.open(tmp_path / "line.png").convert("L"))
    scale = 64 / lines[0].shape[0]
    assert drawn.shape[1] == round(lines[0].shape[1] * scale) + 24 and drawn[12:76].min() < 60
    if small_reader.predict(lines[0])[0]:
        assert drawn[80:120].min() < 200  # characters are drawn below
    with pytest.raises(UserError, match="gone.png: "):
        small_reader.reader.picture("gone.png", tmp_path / "none.png")


# === A language model of characters ===

FIELD = build_spelled(["aba cab", "aba aba", "cab aba"], order=4)
CONFIG = {"height": 8, "strides": [[2, 1]], "pools": [[2, 1]], "alpha": 0.5, "beta": 0.5, "beam_width": 8}
UNDECIDED = np.log([[0.02, 0.96, 0.01, 0.01], [0.02, 0.01, 0.48, 0.49], [0.02, 0.96, 0.01, 0.01]])
STRIPES = np.tile(np.repeat(np.uint8([30, 240]), 2), (12, 10))  # a line, to those who check


def undecided(assets=None, **config):
    """A reader that sees "a", something between "b" and "c", which is likelier by a hair, and "a"."""

    def run(inputs):
        many = len(inputs["size"])
        values = {"log_probs": UNDECIDED, "lengths": 3, "labels": [1, 3, 1], "label_lengths": 3}
        values |= {"confidence": 0.8, "starts": [0, 4, 8], "ends": [4, 8, 12]}
        return {name: np.stack([np.asarray(value)] * many) for name, value in values.items()}

    return LineReader(run, CONFIG | config, Vocabulary("abc"), assets)


def test_a_language_model_decides(tmp_path):
    (tmp_path / "field.arpa").write_text(FIELD, encoding="utf-8")
    shipping = undecided({"language_model.arpa": FIELD})
    for reader, options in (
        (undecided(), {"language_model": str(tmp_path / "field.arpa")}),
        (undecided(), {"language_model": LanguageModel.from_arpa(FIELD), "decoder": "beam"}),
        (shipping, {}),
    ):
        (line,) = reader(STRIPES, details=True, **options)
        assert line.text == "aba" and [c.start for c in line.characters] == [0.0, 6.0, 12.0]
    for reader, options in (
        (undecided(), {}),
        (undecided(), {"beam_width": 8}),
        (shipping, {"decoder": "greedy"}),
        (shipping, {"alpha": 0.0}),
        (undecided({"language_model.arpa": FIELD}, alpha=0.0), {}),
    ):
        assert reader([STRIPES], **options) == ["aca"]


def test_what_contradicts_or_is_damaged_is_told(tmp_path):
    reader = undecided()
    (tmp_path / "cut.arpa").write_text(FIELD[: len(FIELD) // 2], encoding="utf-8")
    (tmp_path / "words.arpa").write_text(build(["it was the best of times"], 2), encoding="utf-8")
    for options, named in (
        ({"alpha": 0.5}, "alpha and beta go with a language model, and there is none"),
        ({"decoder": "greedy", "beta": 1.0}, "the greedy decoder has no beam width, language model"),
        ({"language_model": str(tmp_path / "cut.arpa")}, r"cut.arpa: line \d+: "),
        ({"language_model": str(tmp_path / "words.arpa")}, "one of words, and lines need one of characters"),
        ({"language_model": "gone.arpa"}, "gone.arpa"),
    ):
        with pytest.raises(UserError, match=named):
            reader([STRIPES], errors="return", **options)


def test_pages_are_read_with_it():
    from zoo.contract.pages import PageReader

    names = [option.name for option in PageReader(undecided()).options]
    assert {"decoder", "language_model", "alpha", "beta", "beam_width"} < set(names)


def test_a_task_keeps_it(small_reader, lines, line_folder, tmp_path, some_texts, capsys):
    """`zoo lm attach` weighs it and puts it into a folder; what is read there is read with it."""
    arpa, folder = tmp_path / "field.arpa", tmp_path / "with"
    small_reader.save(tmp_path / "task")
    arpa.write_text(build_spelled(some_texts, order=3), encoding="utf-8")
    command = ["lm", "attach", tmp_path / "task", arpa, "--data", line_folder, "--only", "book3"]
    command = list(map(str, command))
    assert cli.main([*command, "--output", str(folder)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"with: character error rate [\d.]+% without the language model, [\d.]+% with", said)
    task = zoo.load(folder)
    assert task.assets["language_model.arpa"] == arpa.read_bytes()
    maps = json.loads(task.assets["confidence.json"])
    assert maps.keys() <= {"text", "word", "searched_text", "searched_word"} and "searched_text" in maps
    assert task.config.alpha in ALPHAS and f"alpha {task.config.alpha}, beta {task.config.beta}" in said
    assert task.predict(lines) == task.predict(lines, decoder="beam") != task.predict(lines, decoder="greedy")
    arpa.write_text("no model", encoding="utf-8")
    assert cli.main([*command, "--output", str(tmp_path / "none")]) == 2
    assert f"{arpa}: there is no line" in capsys.readouterr().err and not (tmp_path / "none").exists()


@pytest.mark.slow
def test_an_exported_file_reads_alike(small_reader, lines, tmp_path, some_texts):
    from export import to_onnx

    task = type(small_reader)(small_reader.config, small_reader.vocabulary)
    task.set_weights(small_reader.weights())
    task.assets["language_model.arpa"] = build_spelled(some_texts, order=3).encode()
    to_onnx(task, tmp_path / "reader.onnx")
    model = zoo.load(tmp_path / "reader.onnx")
    assert model.predict(lines) == task.predict(lines) != task.predict(lines, decoder="greedy")
    with pytest.warns(UserWarning, match="it has a language model, which runtime.py decodes without"):
        lone = runtime.load(tmp_path / "reader.onnx")
    assert lone(lines) == task.predict(lines, decoder="greedy")
