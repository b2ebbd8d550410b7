"""Synthetic lines: fonts, layout, texts and the command. Draws with the DejaVu fonts of matplotlib."""

import io
import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, features

from zoo.errors import UserError
from zoo.files import open_members
from zoo.images.render import texts
from zoo.images.render.degrade import ink_box, scan
from zoo.images.render.lines import COMPLEX, LineRenderer, characters, covers, embedded, find_fonts, main

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SANS = FONTS / "DejaVuSans.ttf"
TEXT = "Proc. SPIE, Vol.1473, pp. 66-75, 1991."


@pytest.fixture(scope="module")
def fonts():
    return [FONTS / f"DejaVu{name}.ttf" for name in ("Sans", "Sans-Bold", "Serif", "Serif-Italic")]


def test_find_fonts(tmp_path):
    found = find_fonts(FONTS)
    assert SANS in found and found == sorted(found)
    with pytest.raises(UserError, match="--fonts"):
        find_fonts(tmp_path)


def test_no_usable_font(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert not covers(tmp_path / "broken.ttf", "a")
    with pytest.raises(UserError, match="opened"):
        LineRenderer(find_fonts(tmp_path))


def test_covers():
    assert covers(SANS, "ſchöne Häuſer")
    assert covers(SANS, "scho\u0308n")  # composed or not
    assert covers(SANS, "Weisheits⸗Go\u0364ttin")  # a hyphen and a small e stand in
    assert not covers(SANS, "a\U00013000")


def test_render_is_deterministic(fonts):
    one, other = LineRenderer(fonts, seed=3), LineRenderer(fonts, seed=3)
    lines = [one.render(TEXT, i) for i in range(12)]
    for i in reversed(range(12)):
        assert np.array_equal(other.render(TEXT, i), lines[i])
    assert len({line.shape for line in lines}) > 6
    assert not np.array_equal(LineRenderer(fonts, seed=4).render(TEXT, 0), lines[0])


def test_render_looks_like_a_line(fonts):
    renderer = LineRenderer(fonts)
    bilevel = 0
    for i in range(80):
        pixels = renderer.render(TEXT, i)
        assert pixels.dtype == np.uint8 and pixels.ndim == 2
        assert 24 <= pixels.shape[0] <= 64 and pixels.shape[1] > 5 * pixels.shape[0]
        assert 0.02 < (pixels < 128).mean() < 0.6 or np.ptp(pixels) > 30
        bilevel += np.isin(pixels, (0, 255)).all()
    assert 30 <= bilevel <= 70


def test_clean_is_tight(fonts):
    renderer = LineRenderer(fonts, degrade=0)
    for i in range(20):
        pixels = renderer.render("Tight Ägypten", i)
        left, top, right, bottom = ink_box(255 - pixels, 60)
        room = 0.25 * pixels.shape[0]  # margins are at most a fifth of the ink's height
        assert max(left, top, pixels.shape[1] - right, pixels.shape[0] - bottom) <= room


def test_render_without_a_font_or_ink(fonts):
    renderer = LineRenderer(fonts)
    assert renderer.render("\U00013000\U00013001", 0) is None
    assert renderer.render(" ", 0) is None


def test_second_font_for_words_that_the_first_lacks():
    serif = FONTS / "DejaVuSerif.ttf"
    rare = min(c for c in characters(SANS) - characters(serif) if c.isalpha() and not COMPLEX.search(c))
    renderer = LineRenderer([serif, SANS], degrade=0)
    text = f"one two three four {rare}{rare}"
    picks = [renderer.pick(text, np.random.default_rng(i))[0] for i in range(20)]
    assert any(p["one"] == serif and p[rare + rare] == SANS for p in picks)
    assert renderer.render(text, 0) is not None
    assert LineRenderer([serif]).render(text, 0) is None


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no libraqm here")
def test_right_to_left():
    renderer = LineRenderer([SANS], degrade=0, direction="rtl")
    lines = [renderer.render("سلام", i) for i in range(6)]
    single = [renderer.render("س ل ا م", i) for i in range(6)]
    assert all(a.shape[1] < b.shape[1] for a, b in zip(lines, single, strict=True))  # joined letters
    # The first letter in reading order is at the right: three teeth of seen, no tall lam there.
    word = renderer.render("اس", 1)
    right, left = word[:, -word.shape[1] // 4 :], word[:, : word.shape[1] // 2]
    assert (right < 128).sum(0).max() > (left < 128).sum(0).max()


def test_embedded_follows_the_order_of_training():
    assert embedded("سلام") == "\u202eسلام\u202c"
    assert embedded("ص 384 و a b") == "\u202eص \u202d384\u202c و \u202da b\u202c\u202c"


def test_small_letters_stand_in(fonts):
    pieces, face = [], FONTS / "DejaVuSans.ttf"
    renderer = LineRenderer(fonts)
    lacking = characters(face) - set("\u0364⁴⁵")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.images.render.lines.characters", lambda font: lacking)
        end = renderer._set("scho\u0364n⁴⁵", face, 40, 0.0, 0.0, pieces, {})
    assert [p[2] for p in pieces] == ["sch", "o", "e", "n", "4", "5"]
    assert [p[1] > 0 for p in pieces] == [False, False, True, False, True, True]
    assert end > pieces[-1][0] > pieces[-2][0]


def test_no_raqm(monkeypatch, fonts):
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UserError, match="libraqm"):
        LineRenderer(fonts, direction="rtl")
    with pytest.raises(UserError, match="libraqm"):
        LineRenderer(fonts).render("سلام", 0)


def test_scan_of_nothing():
    assert scan(Image.new("L", (50, 50)), np.random.default_rng(0)) is None


def test_cut_lines():
    rng = np.random.default_rng(0)
    text = "understanding the supposition then generally current that the massacres happened " * 5
    lines = list(texts.cut_lines(text, rng, 15, 40, hyphenate=1.0))
    assert all(0 < len(line) <= 40 for line in lines)
    assert any(line.endswith("-") for line in lines)
    joined = "".join(line[:-1] if line.endswith("-") else line + " " for line in lines)
    assert joined.split() == text.split()


def test_random_string():
    rng = np.random.default_rng(0)
    for alphabet in ("abc é.,", "ابت١٢ .xy1"):
        text = texts.random_string(alphabet, rng)
        assert set(text) <= set(alphabet) | {" "} and 3 <= len(text) <= 60


def test_mixed_lines():
    corpus = ["The usual heap of words and some more words"] * 30 + ["a jinx, quoth Zoë"]
    allowed = "".join(sorted(set("".join(corpus)) | set("0123456789()[].,-ABCDEFGHIJ§")))
    lines = list(itertools.islice(texts.mixed_lines(corpus, np.random.default_rng(0), allowed), 400))
    text = "".join(lines)
    assert set(text) <= set(allowed) and all(0 < len(line) <= 80 for line in lines)
    assert set("§()[]0j") <= set(text)
    assert lines == list(itertools.islice(texts.mixed_lines(corpus, np.random.default_rng(0), allowed), 400))


def test_sentences(tmp_path):
    (tmp_path / "a.gt.txt").write_text("one  line\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("\ufefftwo\n\nthree\n", encoding="utf-8")
    assert list(texts.sentences([tmp_path])) == ["one line", "two", "three"]
    with pytest.raises(UserError, match="--text"):
        list(texts.sentences([tmp_path / "missing.txt"]))
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="UTF-8"):
        list(texts.sentences([tmp_path]))


def test_command(tmp_path, capsys):
    book = tmp_path / "book.txt"
    book.write_text("When this book was written, the writer was under the supposition current then.\n" * 4)
    common = ["--text", str(book), "--fonts", str(SANS), "--count", "6", "--seed", "5", "--output"]
    assert main([*common, str(tmp_path / "one.tar.gz")]) == 0
    assert main([*common, str(tmp_path / "two.tar.gz"), "--processes", "2"]) == 0
    assert main([*common, str(tmp_path / "folder")]) == 0
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    members = dict(open_members(tmp_path / "one.tar.gz"))
    assert len(members) == 12 and members == dict(open_members(tmp_path / "folder"))
    for name, data in members.items():
        if name.endswith(".png"):
            assert Image.open(io.BytesIO(data)).height >= 8
            assert members[name.replace(".png", ".gt.txt")].decode().strip()
    assert main(["--text", str(book), "--fonts", str(tmp_path), "--count", "1", "--output", "x"]) == 2
    assert "--fonts" in capsys.readouterr().err
