"""The same text and figure from Python, from the command and from the exported file, for each family."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import filmed, formula, scene
from PIL import Image

import zoo
from export import to_onnx
from zoo import cli, hub

SPEECH = Path(__file__).parents[1] / "data" / "speech.ogg"
LINES = ["The quick brown fox jumps over the lazy dog.", "Figure 7 shows 1991."]
STORY = "Mary moved to the bathroom. John went to the hallway."
SAID = "we went to the park and then we came home the weather was good"

pytestmark = pytest.mark.slow


def line_ocr(folder, draw_line):
    for i, text in enumerate(LINES):
        Image.fromarray(draw_line(text, size=32)).save(folder / f"{i}.png")
        (folder / f"{i}.gt.txt").write_text(text)
    return [str(folder / f"{i}.png") for i in range(2)], folder


def deep_speech(folder, draw_line):
    shutil.copy(SPEECH, folder / "a.ogg")
    (folder / "transcripts.tsv").write_text(f"id\tspeaker\ttranscript\na\tb\t{SAID}\n")
    return [str(folder / "a.ogg")], folder


def translator(folder, draw_line):
    (folder / "text.en").write_text("A man rides a bicycle.\nTwo dogs play in the snow.\n")
    for language in ("de", "fr"):
        (folder / f"text.{language}").write_text("Ein Mann.\nZwei Hunde.\n")
    return ["A man rides a bicycle.", "Two dogs play in the snow."], folder / "text"


def captioner(folder, draw_line):
    Image.fromarray(scene()).save(folder / "a.png")
    (folder / "captions.csv").write_text("image,caption\na.png,a green field\n")
    return [str(folder / "a.png")], folder


def video_captioner(folder, draw_line):
    pictures = [Image.fromarray(frame) for frame in filmed()]
    pictures[0].save(folder / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    (folder / "captions.csv").write_text("video,caption\na.gif,a one moves left\n")
    return [str(folder / "a.gif")], folder


def char_lm(folder, draw_line):
    (folder / "text.txt").write_text("The end of the play. " * 9)
    return ["The "], folder / "text.txt"


def text_classifier(folder, draw_line):
    (folder / "t.tsv").write_text("label\ttext\npositive\tA warm, wise film.\nnegative\tDull and endless.\n")
    return ["A warm, wise film.", "Dull and endless."], folder / "t.tsv"


def sequence_classifier(folder, draw_line):
    """With the channels of all presets, which find theirs by name; labels are told by number."""
    columns = ["x", "y", "z", *(f"joint{i:02d}_{axis}" for i in range(20) for axis in "xyz")]
    random = np.random.default_rng(0)
    for i in range(2):
        moves = np.sin(np.arange(50)[:, None] / (3 + 4 * i) + random.uniform(0, 6, len(columns)))
        joints = random.normal(size=len(columns)) + moves
        values = np.where(np.arange(len(columns)) < 3, 32 + 9 * moves, joints)
        np.savetxt(folder / f"{i}.csv", values, "%.3f", ",", header=",".join(columns), comments="")
    (folder / "labels.tsv").write_text("id\tlabel\n0\t0\n1\t1\n")
    return [str(folder / f"{i}.csv") for i in range(2)], folder


def script_tagger(folder, draw_line):
    for i, text in enumerate(LINES):
        pixels = draw_line(text, size=32)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        ink = np.flatnonzero((pixels < 128).any(0))
        columns = np.zeros(pixels.shape[1], int)
        columns[ink[0] : ink[-1] + 1] = 1
        (folder / f"{i}.columns.txt").write_text("".join(map(str, columns)))
    return [str(folder / f"{i}.png") for i in range(2)], folder


def ink(folder, draw_line):
    points = formula()
    for i in range(2):
        strokes = np.split(points[:, :2] * (i + 1), np.flatnonzero(points[:, 2])[:-1] + 1)
        about = {"strokes": [stroke.tolist() for stroke in strokes], "text": "x + 1"}
        (folder / f"{i}.json").write_text(json.dumps(about))
    return [str(folder / f"{i}.json") for i in range(2)], folder


def question_answering(folder, draw_line):
    (folder / "story.txt").write_text(STORY)
    (folder / "t.csv").write_text(f'context,question,answer\n"{STORY}",Where is Mary?,bathroom\n')
    return ["Where is Mary?", "Where is John?"], folder / "t.csv"


OPTIONS = {"char_lm": {"seed": 3, "length": 40}, "question_answering": {"story": STORY}}


# One of each family, and those that are made otherwise: from right to left, without attention. To export a
# voice takes a minute; tests/families/test_speech_synthesis_reader.py does so with a small one.
PRESETS = {hub.info(hub.find(name))["task"]: name for name in reversed(hub.names())}
PRESETS.pop("speech_synthesis")
PRESETS = sorted({*PRESETS.values(), "line_ocr_arabic", "translator_en_de_fixed_context"})


@pytest.mark.parametrize("preset", PRESETS)
def test_read_alike(preset, tmp_path, draw_line, monkeypatch, capsys):
    task, path = zoo.load(preset), str(tmp_path / "model.onnx")
    to_onnx(task, path, preset)
    (tmp_path / "corpus").mkdir()
    inputs, corpus = globals()[task.name](tmp_path / "corpus", draw_line)
    options = OPTIONS.get(task.name, {})
    given = options | ({"story": tmp_path / "corpus" / "story.txt"} if "story" in options else {})
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    python, exported = task.predict(inputs, **options), zoo.load(path).predict(inputs, **options)
    assert python == exported and any(python)

    details = [item.to_json() for item in task.predict(inputs, details=True, **options)]
    for model in (preset, path):
        if task.reader.takes == "files":
            given = inputs
        elif task.reader.takes == "lines":
            monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(inputs)))
            given = ["-"]
        else:
            given = ["--prompt", *inputs]
        assert cli.main(["predict", model, *given, *flags, "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        for one, other in zip(found, details, strict=True):
            assert {key: one[key] for key in ("text", "label") if key in one} == {
                key: other[key] for key in ("text", "label") if key in other
            }
            assert one["confidence"] == pytest.approx(other["confidence"], abs=2e-3)

    wanted = task.evaluate(corpus)
    for model in (preset, path):
        assert cli.main(["evaluate", model, "--data", str(corpus), "--format", "json"]) == 0
        report = json.loads(capsys.readouterr().out)
        for metric in task.reader.metrics:
            assert report[metric.name] == pytest.approx(wanted[metric.name], abs=1e-4)
