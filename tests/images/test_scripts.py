"""Lines of several scripts: composed of others, and told by transcripts. Draws with the DejaVu fonts."""

import numpy as np
import pytest
from PIL import Image

from export import runtime
from zoo import cli
from zoo.errors import UserError
from zoo.files import open_members
from zoo.images.columns import ink_of, joined
from zoo.images.render import garbage
from zoo.images.render.columns import columns_by_text, columns_of, words_of
from zoo.images.render.scripts import Composer, Line, cut, main, of_their_class, text_of
from zoo.images.render.transcripts import main as by_text

TEXTS = {1: ["The quick brown fox", "jumps over"], 2: ["Ζαφείρι δέξου", "πάγκαλο βαθών ψυχῆς"]}


@pytest.fixture(scope="module")
def lines(draw_line):
    """Latin lines of class 1, Greek ones of class 2."""
    return {row: [[Line(draw_line(text, size=30)) for text in texts]] for row, texts in TEXTS.items()}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("scripts")
    for name, row in (("latin", 1), ("greek", 2)):
        (folder / name).mkdir()
        for i, (line, text) in enumerate(zip(lines[row][0], TEXTS[row], strict=True)):
            Image.fromarray(line.pixels).save(folder / name / f"{i}.png")
            (folder / name / f"{i}.gt.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", garbage.KINDS)
def test_garbage_is_ink_on_paper(kind):
    shares = []
    for seed in range(8):
        ink = garbage.KINDS[kind](48, 90, np.random.default_rng(seed))
        assert ink.shape == (48, 90) and 0 <= ink.min() and ink.max() <= 1
        again = garbage.KINDS[kind](48, 90, np.random.default_rng(seed))
        np.testing.assert_array_equal(ink, again)
        shares.append((ink > 0.4).mean())
    assert max(shares) > 0.02 and len(set(shares)) > 4


def test_columns_are_a_class_from_first_to_last_ink_but_in_wide_gaps():
    ink = np.zeros((20, 60), np.float32)
    ink[3, [5, 6, 16, 27]] = 1  # gaps of 9 and 10 columns, then of 22
    ink[9, 50] = 1
    ink[9, 55] = 0.3  # too faint to be ink
    wanted = np.zeros(60, int)
    wanted[5:28], wanted[50] = 3, 3
    np.testing.assert_array_equal(columns_of(ink, 3, 20), wanted)
    assert not columns_of(ink * 0.3, 3, 20).any()


def test_ink_of_light_on_dark_is_that_of_dark_on_light(draw_line):
    line = draw_line("five wizards", size=26)
    np.testing.assert_allclose(ink_of(line), ink_of(255 - line), atol=0.02)
    assert ink_of(line).max() == 1 and np.median(ink_of(line)) == 0
    assert not ink_of(np.full((20, 40), 200, np.uint8)).any()


def test_pieces_begin_and_end_with_ink(draw_line):
    ink, widths = ink_of(draw_line("a quick brown fox jumps over", size=30)), set()
    for seed in range(40):
        piece = cut(ink, np.random.default_rng(seed))
        assert (piece[:, 0] > 0.3).any() and (piece[:, -1] > 0.3).any()
        widths.add(piece.shape[1])
    assert len(widths) > 8 and max(widths) > 4 * min(widths)


def test_a_line_depends_on_seed_and_number_alone(lines):
    one, other = Composer(lines, garbage.KINDS, seed=3), Composer(lines, garbage.KINDS, seed=3)
    made = [one.compose(i) for i in range(6)]
    for i in reversed(range(6)):
        for a, b in zip(other.compose(i)[:2], made[i][:2], strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(Composer(lines, garbage.KINDS, seed=4).compose(0)[0], made[0][0])


def test_columns_of_a_composed_line_are_where_its_ink_is(lines):
    composer, seen = Composer(lines, garbage.KINDS), set()
    for i in range(80):
        pixels, columns, _ = composer.compose(i)
        assert pixels.shape == (48, len(columns)) and pixels.dtype == columns.dtype == np.uint8
        assert columns[0] == columns[-1] == 0
        np.testing.assert_array_equal(joined(columns, 24), columns)  # as readers join them
        seen |= set(columns.tolist())
        if columns.any():  # where nothing is written, there is less contrast
            written, paper = (pixels[:, some].astype(int) for some in (columns > 0, columns == 0))
            assert written.std() > 1.3 * paper.std()
    assert seen == {0, 1, 2, 3}


def test_words_come_with_their_text(draw_line):
    """Cut at words, whose text is known; of right-to-left ones, the first stands at the right."""
    drawn = {1: "one two three", 2: "ואחד שנים שלשה"}
    lines = {}
    for row, text in drawn.items():
        shown = " ".join(word[::-1] for word in text.split()[::-1]) if row == 2 else text
        pixels = draw_line(shown, font="DejaVuSans.ttf", size=30)
        aligner = Aligner(rtl=row == 2)
        lines[row] = [[Line(pixels, words=words_of(pixels, text, aligner))]]
        words = lines[row][0][0].words
        assert [word for word, *_ in words] == text.split()
        assert sorted(words, key=lambda word: word[1], reverse=row == 2) == words
        for _, first, end in words:
            assert (pixels[:, [first, end - 1]] < 180).any(0).all()
    composer, texts = Composer(lines, ["noise"]), []
    for i in range(30):
        pixels, columns, placed = composer.compose(i)
        assert all(columns[one.first] == columns[one.last] == one.klass for one in placed)
        texts += [(one.klass, one.text) for one in placed]
        assert (text_of(placed) is None) == all(one.klass == 3 for one in placed)
    assert {text for klass, text in texts if klass == 3} == {None}
    for row, text in drawn.items():
        found = {words for klass, words in texts if klass == row}
        assert len(found) > 3 and all(words in text for words in found)


def test_the_command(corpora, tmp_path, capsys):
    pairs = [f"latin={corpora / 'latin'}", f"greek={corpora / 'greek'}"]
    given = ["--script", *pairs, "--count", "5", "--seed", "7", "--output"]
    assert cli.main(["render", *given, str(tmp_path / "a.tar.gz")]) == 0
    assert "5 lines" in capsys.readouterr().out
    assert main([*given, str(tmp_path / "b.tar"), "--processes", "2"]) == 0
    found = dict(open_members(tmp_path / "a.tar.gz"))
    assert found == dict(open_members(tmp_path / "b.tar")) and len(found) == 11
    assert found["classes.txt"] == b"background\nlatin\ngreek\ngarbage\n"
    assert set(found["line00003.columns.txt"].decode().strip()) <= set("0123")


def test_lines_of_several_scripts_are_left_out(draw_line, tmp_path, capsys):
    (tmp_path / "lines").mkdir()
    for i, text in enumerate(["The quick fox", "quick Ζαφείρι"]):
        Image.fromarray(draw_line(text, size=30)).save(tmp_path / f"lines/{i}.png")
        (tmp_path / f"lines/{i}.gt.txt").write_text(text, encoding="utf-8")
    given = ["--script", f"latin={tmp_path / 'lines'}", "--count", "3", "--output", str(tmp_path / "out.tar")]
    assert main(given) == 0
    assert "lines of several scripts, 1 of them, were left out" in capsys.readouterr().err


def test_lines_of_another_class_or_of_none_are_left_out():
    latin, greek, cyrillic, number = (Line(np.zeros((20, 30)), one) for one in ("Latn", "Grek", "Cyrl", ""))
    corpora = [
        (1, "a", [latin, latin, number, greek, cyrillic]), (2, "b", [greek, greek, latin]), (1, "c", [number])
    ]  # fmt: skip
    skipped = []
    kept = of_their_class(corpora, skipped)
    assert [[line.script for line in lines] for *_, lines in kept] == [
        ["Latn", "Latn", "Cyrl"], ["Grek", "Grek"], [""]
    ]  # fmt: skip
    assert len(skipped) == 2 and skipped[0].startswith("a: 2 lines were left out") and "b: 1" in skipped[1]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (["--count", "0"], "--count"),
        (["--garbage-share", "1"], "--garbage-share is from 0 to below 1"),
        (["--only", "["], "is no regular expression"),
        (["--only", "^none"], "--script latin: there is no line for this class"),
        (["--script", "garbage=x"], "classes of their own"),
        (["--script", "latin=gone"], "gone: no such file or folder"),
        (["--readers", "greek=line_ocr_en"], "give one for each class of --script, or none"),
    ],
)
def test_what_cannot_be_composed_is_told_in_a_sentence(corpora, tmp_path, capsys, change, sentence):
    given = ["--script", f"latin={corpora / 'latin'}", "--count", "2", "--output", str(tmp_path / "out")]
    assert main([*given, *change]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.startswith("error: ") and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


# === By transcripts ===


class Aligner:
    """Says that the characters of a text stand evenly over the image."""

    def __init__(self, confidence=0.9, rtl=False):
        self.confidence, self.rtl = confidence, rtl

    def align(self, pixels, text):
        step = pixels.shape[1] / len(text)
        places = range(len(text))[:: -1 if self.rtl else 1]
        pairs = zip(text, places, strict=True)
        spans = [runtime.Character(c, i * step, (i + 1) * step, 1.0) for c, i in pairs]
        return runtime.Line(text, self.confidence, spans)


def test_a_text_tells_the_classes_of_columns():
    pixels = np.full((20, 70, 1), 255, np.uint8)
    pixels[5:15, 3:28], pixels[5:15, 33:68] = 0, 0  # what is between is nearer to the second
    columns = columns_by_text(pixels, "abc δεζη", Aligner(), {"Latn": 1, "*": 2})
    wanted = np.zeros(70, int)
    wanted[3:28], wanted[33:68] = 1, 2
    np.testing.assert_array_equal(columns, wanted)
    with pytest.raises(UserError, match="has the script Grek, which no --script names"):
        columns_by_text(pixels, "abc δεζη", Aligner(), {"Latn": 1})
    with pytest.raises(UserError, match="has no letter that would tell its script"):
        columns_by_text(pixels, "1884, 19", Aligner(), {"*": 1})
    with pytest.raises(UserError, match="does not fit"):
        columns_by_text(pixels, "abc δεζη", Aligner(0.2), {"*": 1})


@pytest.mark.slow
def test_real_lines_by_a_reader(draw_line, tmp_path, capsys):
    (tmp_path / "lines").mkdir()
    for i, text in enumerate(["The quick brown fox", "Figure 7"]):
        Image.fromarray(draw_line(text, size=32)).save(tmp_path / f"lines/{i}.png")
        (tmp_path / f"lines/{i}.gt.txt").write_text(text)
    (tmp_path / "lines/1.gt.txt").write_text("nothing of the sort, and much longer than it is")
    given = [
        "--by-text",
        str(tmp_path / "lines"),
        "--script",
        "latin=Latn",
        "--output",
        str(tmp_path / "out"),
    ]
    assert by_text([*given, "--reader", "line_ocr_en"]) == 0
    told = capsys.readouterr()
    assert "1 lines" in told.out and "lines: 1: " in told.err
    columns = (tmp_path / "out/lines_0.columns.txt").read_text().strip()
    ink = np.flatnonzero((draw_line("The quick brown fox", size=32) < 128).any(0))
    assert columns.strip("0") == "1" * len(columns.strip("0"))
    assert abs(columns.index("1") - ink[0]) <= 1 and abs(columns.rindex("1") - ink[-1]) <= 1
    assert by_text([*given, "--reader", "sentiment_en"]) == 2
    assert "it reads no lines" in capsys.readouterr().err
