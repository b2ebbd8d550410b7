"""What is made of classes of columns: segments, formats, pictures, figures, and text by the right reader."""

import json
import types

import numpy as np
import pytest
from helpers import zoo_on_base
from PIL import Image

from export.runtime import Line
from zoo import cli
from zoo.contract.reader import Reader
from zoo.errors import UserError
from zoo.families.script_tagger import reader as readers
from zoo.families.script_tagger.reader import TagReader, cut_out, evaluate_tagger
from zoo.families.script_tagger.vocabulary import Classes
from zoo.images.columns import segments_of, smoothed, trimmed, voted

NAMES = ["background", "latin", "arabic", "garbage"]


def line(columns, height=40):
    """An image that tells the fake engine its classes: the grey of the first row is 10 times the class."""
    pixels = np.full((height, len(columns), 1), 255, np.uint8)
    pixels[10:30, np.array(columns) > 0] = 0
    pixels[0, :, 0] = 200 + np.array(columns)
    return pixels


def engine(inputs):
    rows = inputs["image"][:, 0, :, 0].astype(int) - 200
    return {"probabilities": (0.9 * (rows[:, :, None] == np.arange(4)) + 0.025).astype("float32")}


class Words(Reader):
    """Reads of each image what it was told to, and keeps the images."""

    def __init__(self, text, direction="ltr"):
        super().__init__(None, {}, types.SimpleNamespace(direction=direction), metadata={"task": "line_ocr"})
        self.text, self.seen = text, []

    def __call__(self, images, details, errors):
        self.seen += images
        texts = iter(self.text) if isinstance(self.text, list) else iter([self.text] * len(images))
        return [Line(next(texts), 0.8, []) for _ in images]


@pytest.fixture
def tagger():
    return TagReader(engine, {"height": 40}, Classes(NAMES), threads=2)


MIXED = [0] * 20 + [2] * 60 + [0] * 12 + [1] * 40 + [0] * 12 + [2] * 30 + [0] * 10 + [3] * 20 + [0] * 5


# === Segments ===


def test_segments(tagger):
    assert segments_of(np.array([1, 1, 0, 2, 2, 3])) == [(1, 0, 1), (2, 3, 4), (3, 5, 5)]
    assert segments_of(np.zeros(4, int)) == []
    (found,) = tagger(line(MIXED), details=True)
    assert [(s.script, s.first, s.last) for s in found.segments] == [
        ("arabic", 20, 79), ("latin", 92, 131), ("arabic", 144, 173), ("garbage", 184, 203)
    ]  # fmt: skip
    assert found.text == "arabic latin arabic garbage" and found.columns.tolist() == MIXED
    assert found.line.startswith("arabic 20-79 (0.93), latin 92-131 (0.93)")
    assert found.confidence == pytest.approx(0.925) == found.segments[0].confidence
    assert found.to_json()["segments"][1] == {
        "script": "latin",
        "first": 92,
        "last": 131,
        "confidence": 0.925,
    }
    (blank,) = tagger(line([0] * 50), details=True)
    assert blank.segments == [] and blank.text == blank.line == ""


def test_words_have_one_script():
    columns = np.array([0, 1, 1, 2, 0, 0, 2, 2, 1, 0, 0, 1, 0, 0])
    ink = np.array([0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1], bool)
    sure = 0.1 + 0.7 * (columns[:, None] == np.arange(4))
    voiced = voted(columns, sure, ink, 1, 9)
    # Two words, one class in each; the third is mostly background, and stays as it is.
    assert voiced.tolist() == [0, 1, 1, 1, 0, 0, 2, 2, 2, 0, 0, 1, 0, 0]
    assert voted(columns, sure, ink, 2, 99).tolist()[1:4] == [1, 1, 1]  # all of it is one word
    assert voted(columns, sure, ink, 1, 2).tolist() == columns.tolist()  # no word is as long
    assert voted(columns, sure, ~ink & ink, 1, 9).tolist() == columns.tolist()


def test_segments_end_with_ink():
    columns = np.array([1, 1, 1, 1, 2, 2, 2, 0, 3, 3])
    ink = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0], bool)
    assert trimmed(columns, ink, 2).tolist() == [1, 1, 0, 0, 0, 2, 0, 0, 3, 3]
    assert trimmed(columns, ink, 3).tolist() == [1, 1, 0, 0, 0, 2, 0, 0, 0, 0]


def test_ink_has_one_script():
    assert smoothed(np.array([0, 1, 1, 1, 2, 1, 1, 0]), 3).tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert smoothed(np.array([1, 1, 1, 2, 2, 2]), 3).tolist() == [1, 1, 1, 2, 2, 2]
    assert smoothed(np.array([0, 3, 0, 1, 1, 1]), 3).tolist() == [0, 3, 0, 1, 1, 1]  # it stands alone
    assert smoothed(np.array([1, 2, 3, 3]), 3).tolist() == [3, 3, 3, 3]
    random = np.random.default_rng(0).integers(0, 4, 500)
    done = smoothed(random, 4)
    np.testing.assert_array_equal(done == 0, random == 0)
    for _, first, last in segments_of(done):
        alone = (first == 0 or done[first - 1] == 0) and (last == 499 or done[last + 1] == 0)
        assert last - first >= 3 or alone


def test_gaps_between_words_are_part_of_a_segment(tagger):
    columns = [0] * 5 + [1] * 9 + [0] * 20 + [1] * 9 + [0] * 21 + [1] * 9 + [0] * 6 + [2] * 9
    (found,) = tagger(line(columns), details=True)
    assert [(s.script, s.first, s.last) for s in found.segments] == [
        ("latin", 5, 42), ("latin", 64, 72), ("arabic", 79, 87)
    ]  # fmt: skip


def test_each_is_what_it_alone_would_get_in_its_order(tagger):
    random = np.random.default_rng(1)
    lines = [line(np.repeat(random.integers(0, 4, 1 + i % 7), 25)) for i in range(30)]
    together = tagger(lines, details=True)
    for one, found in zip(lines, together, strict=True):
        (alone,) = tagger(one, details=True)
        assert found.to_json() == alone.to_json()


def test_bad_images_raise_or_take_their_place(tagger, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="bad.png: not a readable image"):
        tagger([line(MIXED), tmp_path / "bad.png"])
    one, bad = tagger([line(MIXED), tmp_path / "bad.png"], errors="return")
    assert one == "arabic latin arabic garbage" and isinstance(bad, UserError)


def test_formats(tagger, capsys):
    (found,) = tagger(line(MIXED), details=True)
    tsv = readers.SegmentTsv()
    tsv.add("a b.png", found)
    rows = [row.split("\t") for row in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4 and rows[1] == ["a b.png", "latin", "92", "131", "0.9250", ""]
    table = readers.SegmentCsv()
    table.add("a,b.png", found)
    table.fail("c.png", UserError("x"))
    table.end()
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "input,script,first,last,confidence,text" and len(rows) == 6
    assert rows[2] == '"a,b.png",latin,92,131,0.9250,' and rows[5] == "c.png,,,,,"


def test_plot(tagger, tmp_path):
    tagger.picture(line(MIXED), tmp_path / "tagged.png")
    drawn = np.asarray(Image.open(tmp_path / "tagged.png").convert("RGB"))
    band = drawn[12 + 64 + 4 + 5, 12 : 12 + round(len(MIXED) * 1.6)]
    colours = {tuple(pixel) for pixel in band.tolist()}
    assert len(colours) == 4  # paper, and three classes


# === Reading ===


def test_the_readers_of_their_scripts(tagger):
    arabic, latin = Words("هذا", "rtl"), Words("Kant")
    arabic.text = ["كتاب", "هذا"]  # from the left
    (found,) = tagger(line(MIXED), details=True, readers={"arabic": arabic, "latin": latin})
    assert found.text == found.line == "هذا Kant كتاب"
    assert [(one.script, one.text) for one in found.segments] == [
        ("arabic", "كتاب"), ("latin", "Kant"), ("arabic", "هذا"), ("garbage", None)
    ]  # fmt: skip
    assert [piece.shape[1] for piece in arabic.seen] == [72, 42] and latin.seen[0].shape[1] == 52
    assert found.to_json()["segments"][1] | {"first": 0, "last": 0} == {
        "script": "latin", "first": 0, "last": 0, "confidence": 0.925, "text": "Kant", "text_confidence": 0.8
    }  # fmt: skip
    given = {"arabic": Words(["كتاب", "هذا"], "rtl"), "latin": latin}
    assert tagger(line(MIXED), readers=given, direction="ltr") == ["كتاب Kant هذا"]
    assert tagger(line(MIXED), readers={"latin": latin}) == ["Kant"]
    assert tagger([line([0] * 40), line([3] * 40)], readers={"latin": latin}) == ["", ""]


def test_a_blank_stands_where_there_is_a_gap(tagger):
    for gap, text in ((5, "وTV"), (9, "و TV")):
        columns = [0] * 5 + [1] * 30 + [0] * gap + [2] * 40 + [0] * 5
        assert tagger(line(columns), readers={"latin": Words("TV"), "arabic": Words("و", "rtl")}) == [text]


def test_what_a_reader_sees(tagger):
    """The columns of a segment, a margin of paper alone, and rows with ink; a dash is no high letter."""
    pixels = np.full((50, 100, 1), 255, np.uint8)
    pixels[20:40, 30:60], pixels[:, 63:90] = 0, 0
    columns = np.zeros(100, np.uint8)
    columns[30:60], columns[63:90] = 1, 2
    part = readers.Segment("latin", 30, 59, 1.0)
    piece = cut_out(pixels, part, columns)
    assert piece.shape[1] == 8 + 30 + 3 and piece.shape[0] == 36 and (piece == 0).sum() == 600
    pixels[20:40, 30:60] = 255
    pixels[30:33, 30:60] = 0
    assert cut_out(pixels, part, columns).shape[0] == 30
    assert cut_out(np.full((50, 100, 1), 255, np.uint8), part, columns).shape == (50, 41, 1)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ("latin", "give CLASS=MODEL, and commas between"),
        ("latin=", "give CLASS=MODEL, and commas between"),
        ("latin=none_such", "no preset"),
        ({"klingon": Words("x")}, "there is no class 'klingon'; the model's are latin, arabic, garbage"),
        ({"background": Words("x")}, "background is the background, where there is nothing to read"),
    ],
)
def test_readers_that_there_are_not(tagger, given, sentence):
    with pytest.raises(UserError, match=sentence):
        tagger(line(MIXED), readers=given)
    with pytest.raises(UserError, match="a direction is ltr or rtl"):
        tagger(line(MIXED), direction="up")


def test_another_model_is_no_reader_of_lines(tagger):
    with pytest.raises(UserError, match="the model for latin reads no line images"):
        tagger(line(MIXED), readers={"latin": tagger})


# === Measuring ===


def corpus(wanted):
    """Lines whose image shows ``shown`` and whose columns are ``meant``."""
    images = [line(shown) for shown, _ in wanted]
    columns = [np.array([str(row) for row in meant]) for _, meant in wanted]
    classes = sorted({name for one in columns for name in one.tolist()})
    return types.SimpleNamespace(
        classes=classes, skipped=[], chunks=lambda size: iter([(images, columns)]), __len__=lambda: 2
    )


class Lines(types.SimpleNamespace):
    def __len__(self):
        return 2


def measured(tagger, *wanted):
    lines = Lines(**vars(corpus(wanted)))
    return evaluate_tagger(lambda images: tagger(images, details=True), tagger, lines)


def test_figures(tagger):
    right = [0] * 10 + [1] * 40 + [0] * 10 + [2] * 40
    shifted = [0] * 10 + [1] * 25 + [0] * 25 + [3] * 40  # the first has more than half, the other is another
    report = measured(tagger, (right, right), (shifted, right))
    assert report["lines"] == 2 and report["columns"] == 200 and report["segments"] == 4
    assert report["accuracy"] == pytest.approx(145 / 200)
    assert report["segment_f1"] == pytest.approx(2 * 3 / 8)
    assert report["confusion"][2] == [0, 0, 40, 40] and report["classes"]["arabic"]["recall"] == 0.5
    assert ("accuracy", "72.50%") in tagger.rows(report)
    half = [0] * 10 + [1] * 20 + [0] * 30 + [2] * 40
    assert measured(tagger, (half, right), (right, right))["segment_f1"] == pytest.approx(2 * 3 / 8)
    with pytest.raises(UserError, match="the class '4' is none of the model's"):
        measured(tagger, (right, [4] * 100), (right, right))


# === Without TensorFlow ===


@pytest.mark.slow
def test_an_exported_file_needs_no_tensorflow(draw_line, tmp_path):
    import keras

    import zoo
    from export import to_onnx
    from zoo.families.script_tagger.network import ScriptTagger, ScriptTaggerConfig

    if keras.backend.backend() != "tensorflow":
        pytest.skip("exporting is TensorFlow's")
    keras.utils.set_random_seed(1)
    config = ScriptTaggerConfig(height=24, filters=(4, 6, 8), units=(6,), column_units=5)
    task = ScriptTagger(config, Classes(NAMES))
    to_onnx(task, tmp_path / "tagger.onnx")
    to_onnx(zoo.load("line_ocr_en"), tmp_path / "reader.onnx")
    Image.fromarray(draw_line("The quick brown fox", size=32)).save(tmp_path / "a.png")
    model, image = str(tmp_path / "tagger.onnx"), str(tmp_path / "a.png")
    done = zoo_on_base("predict", model, image, "--format", "json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    (wanted,) = task.predict(image, details=True)
    assert found["text"] == wanted.text and len(found["segments"]) == len(wanted.segments)
    names = ",".join(f"{name}={tmp_path / 'reader.onnx'}" for name in NAMES[1:])
    done = zoo_on_base("predict", model, image, "--readers", names)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == task.predict(image, readers=names)[0]


def test_the_command_tells_what_is_wrong(tmp_path, capsys):
    from zoo import hub

    if "script_arabic" not in hub.names():
        pytest.skip("needs the preset")
    Image.fromarray(line(MIXED)[:, :, 0]).save(tmp_path / "a.png")
    given = ["predict", "script_arabic", str(tmp_path / "a.png")]
    for more in (["--readers", "arabic"], ["--readers", "arabic=none_such"], ["--readers", "x=line_ocr_en"]):
        assert cli.main([*given, *more]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "Traceback" not in told
