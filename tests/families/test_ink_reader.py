import json

import numpy as np
import pytest
from helpers import BASE_INSTALL, python
from PIL import Image

from zoo.errors import UserError
from zoo.families.ink.reader import InkReader
from zoo.families.ink.vocabulary import InkVocabulary
from zoo.formats.strokes import as_points, read_ink
from zoo.text.ngrams import build

TOKENS = ["1", "2", r"\sin"]
STROKES = [[[0, 0], [0, 10]], [[5, 0], [9, 0]], [[5, 5], [9, 5]], [[20, 0], [21, 9], [22, 0]]]
PATH = [0, 1, 1, 0, 3, 3, 0, 2, 0]  # labels of frames
AT = [0, 0.5, 1, 1.5, 3, 4, 5.5, 7, 8]  # their points


def engine(inputs):
    """What a model that is rather sure would give for each ink."""
    batch = len(inputs["points"])
    probabilities = np.full((len(PATH), 4), 0.02)
    probabilities[np.arange(len(PATH)), PATH] = 0.94
    probabilities[7] = [0.02, 0.45, 0.51, 0.02]
    one = {
        "labels": [1, 3, 2] + 6 * [0], "label_lengths": 3, "first_frame": [1, 4, 7] + 6 * [0],
        "last_frame": [2, 5, 7] + 6 * [0], "log_probs": np.log(probabilities), "lengths": len(PATH), "at": AT,
    }  # fmt: skip
    return {name: np.array([value] * batch) for name, value in one.items()}


def reader(**assets):
    config = {"alpha": 0.5, "beta": 0.0}
    return InkReader(engine, config, InkVocabulary(TOKENS, divided=True), assets=assets)


INK = tuple(np.array(stroke, float) for stroke in STROKES)


def test_tokens_have_their_strokes():
    (found,) = reader()(INK, details=True)
    assert found.text == r"1 \sin 2" and found.confidence == pytest.approx(0.94**2 * 0.51)
    assert [(t.token, t.strokes, t.first, t.last) for t in found.tokens] == [
        ("1", (0,), 0, 1), (r"\sin", (1, 2), 2, 5), ("2", (3,), 6, 8)
    ]  # fmt: skip
    json.dumps(found.to_json())


def test_several_results_and_a_language_model():
    plain = reader()
    (found,) = plain(INK, details=True, n_best=3)
    assert [text for text, _ in found.hypotheses][:2] == [r"1 \sin 2", r"1 \sin 1"]
    assert [score for _, score in found.hypotheses] == sorted((s for _, s in found.hypotheses), reverse=True)
    swayed = reader(**{"language_model.arpa": build([r"1 \sin 1"] * 3 + ["2"], 2)})
    assert swayed(INK) == [r"1 \sin 1"] and swayed(INK, decoder="greedy") == [r"1 \sin 2"]
    assert swayed(INK, alpha=0.0) == [r"1 \sin 2"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"decoder": "greedy", "n_best": 2}, "greedy decoder has one"),
        ({"decoder": "x"}, "choose greedy or beam"),
        ({"beam_width": 0}, "1 or more"),
        ({"beam_width": 2, "n_best": 3}, "3 results cannot"),
        ({"alpha": 1.0}, "go with a language model"),
    ],
)
def test_options_that_contradict(options, problem):
    with pytest.raises(UserError, match=problem):
        reader()(INK, **options)


def test_aligns_a_known_text():
    tokens = reader().align(INK, r"1 \sin 1")
    assert [(t.token, t.strokes) for t in tokens] == [("1", (0,)), (r"\sin", (1, 2)), ("1", (3,))]
    with pytest.raises(UserError, match="too short"):
        reader().align(INK, "1 " * 9)


def test_inputs(tmp_path):
    wanted = as_points(STROKES, "a")
    (tmp_path / "a.json").write_text(json.dumps(STROKES))
    for item in (
        tmp_path / "a.json",
        str(tmp_path / "a.json"),
        (tmp_path / "a.json").read_bytes(),
        wanted,
        INK,
    ):
        np.testing.assert_array_equal(read_ink(item), wanted)
    with pytest.raises(UserError, match="points, 3"):
        read_ink(np.zeros((3, 5)))
    with pytest.raises(UserError, match="2 inks in it"):
        read_ink(b'{"strokes": [[[0, 0], [1, 1]]]}\n{"strokes": [[[0, 0], [1, 1]]]}')
    found = reader()([INK, b"nothing", INK], errors="return")
    assert found[0] == found[2] == r"1 \sin 2" and "no file of pen strokes" in str(found[1])


def test_picture(tmp_path):
    reader().picture(INK, tmp_path / "read.png")
    pixels = np.asarray(Image.open(tmp_path / "read.png"))
    colours = {tuple(c) for c in pixels.reshape(-1, 3).tolist()}
    assert {(0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28), (0x2C, 0xA0, 0x2C)} <= colours and pixels.shape[0] > 150


def test_error_rates():
    class Corpus:
        skipped = []

        def __len__(self):
            return 2

        def chunks(self, size):
            yield [INK, INK], [r"1\sin2", r"1 \sin 2 x"]

    report = reader().evaluate(Corpus())
    assert report["token_error_rate"] == pytest.approx(1 / 7) and report["exact"] == 0.5
    assert report["unknown"] == {"x": 1} and report["tokens"] == 7
    rows = dict(reader().rows(report))
    assert rows["token_error_rate"] == "14.29%" and rows["exact"] == "50.00%"


def test_reads_without_tensorflow():
    code = "import zoo.registry; print(zoo.registry.reader_class('ink').one)"
    done = python(BASE_INSTALL + code)
    assert done.returncode == 0 and done.stdout.strip() == "ink", done.stderr


BAD = {
    "bomb.inkml": '<!DOCTYPE ink [<!ENTITY a "aaaa">]><ink><trace>&a;</trace></ink>',
    "empty.inkml": "<ink/>",
    "dot.inkml": "<ink><trace>5 5</trace></ink>",
    "far.inkml": "<ink><trace>0 0, 8000000000 1</trace></ink>",
    "cut.inkml": "<ink><trace>0 0, 8",
    "notes.xopp": "no gzip",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_a_sentence(name, tmp_path):
    (tmp_path / name).write_text(BAD[name])
    with pytest.raises(UserError) as told:
        reader()(str(tmp_path / name))
    assert name in str(told.value) and "\n" not in str(told.value)
