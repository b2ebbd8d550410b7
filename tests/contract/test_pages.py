"""Whole pages, with a reader of lines that says what it is told to."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from export.runtime import Character, Line
from zoo.contract.pages import PageReader, text_of
from zoo.contract.reader import SpellingReader
from zoo.errors import UserError
from zoo.formats.pages import Line as PageLine
from zoo.formats.pages import Page, Region, nowhere
from zoo.images import detector

PAPER = 255


class Vocabulary:
    direction = "ltr"


class Lines(SpellingReader):
    """Says how wide the ink of a line is, and is unsure where its left end is not darker than its right."""

    reads_pages = True

    def __init__(self):
        super().__init__(None, {}, Vocabulary())
        self.read = []

    def stream(self, inputs, errors="raise", **decoding):
        for pixels in inputs:
            self.read.append(pixels)
            ink = np.flatnonzero((pixels[:, :, 0] < 128).any(0))
            if not len(ink):
                yield Line("", 0.0, [])
                continue
            first, last = int(ink[0]), int(ink[-1]) + 1
            left, right = (
                pixels[:, part].mean() for part in (slice(first, first + 20), slice(last - 20, last))
            )
            text, step = str(last - first), (last - first) / len(str(last - first))
            sure = 0.99 if left < right else 0.3
            spans = [Character(c, first + i * step, first + (i + 1) * step, sure) for i, c in enumerate(text)]
            yield Line(text, sure, spans)


LINES = [(100, 100, 500), (100, 160, 400), (100, 220, 450)]


def runs(marked):
    return np.flatnonzero(np.diff(np.pad(marked.astype(int), 1))).reshape(-1, 2)


@pytest.fixture
def reader(monkeypatch):
    """A reader of pages for which boxes stand around what is dark."""

    def find_boxes(pixels, threads=None):
        dark = Image.fromarray((pixels[:, :, 0] < 128).astype("uint8")).filter(ImageFilter.MaxFilter(9))
        dark, found = np.asarray(dark), []
        for top, bottom in runs(dark.any(1)):
            for left, right in runs(dark[top:bottom].any(0)):
                edges = left - 4, top - 4, right + 4, bottom + 4
                found.append([(edges[i], edges[j]) for i, j in ((0, 1), (2, 1), (2, 3), (0, 3))])
        return np.array(found, np.float32).reshape(-1, 4, 2)

    monkeypatch.setattr(detector, "find_boxes", find_boxes)
    return PageReader(Lines())


def a_page(turns=0):
    """Three lines whose left ends are darker: uint8 ``[700, 600, 1]``, turned by quarters to the left."""
    pixels = np.full((700, 600, 1), PAPER, np.uint8)
    for left, top, right in LINES:
        pixels[top : top + 20, left:right:3] = 100
        pixels[top : top + 20, [*range(left, left + 30, 3), right - 1]] = 0
    return np.ascontiguousarray(np.rot90(pixels, turns))


def test_the_lines_of_a_page(reader):
    (found,) = reader([a_page()], details=True)
    assert found.text == "400\n300\n350" and found.confidence == pytest.approx(0.99)
    (page,) = found.pages
    assert page.size == (600, 700) and [line.name for line in page.lines] == ["line_1", "line_2", "line_3"]
    (word,) = page.lines[0].words
    assert (word.text, len(word.glyphs)) == ("400", 3)
    np.testing.assert_allclose(word.polygon[[0, 2]], [(100, 92), (500, 128)], atol=2)
    assert [found.to_json()["pages"][0][side] for side in ("width", "height")] == [600, 700]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_pages_on_their_side_and_upside_down(reader, turns):
    (found,) = reader([a_page(turns)], details=True)
    assert found.text == "400\n300\n350"
    (page,) = found.pages
    first = page.lines[0].words[0].polygon
    (left, top), (right, bottom) = first.min(0).round().astype(int), first.max(0).round().astype(int)
    dark = a_page(turns)[max(top, 0) : bottom, max(left, 0) : right, 0] < 128
    assert np.count_nonzero(dark) == pytest.approx(400 / 3 * 20, rel=0.02)
    # The first corner is the upper left one of the line as it is read: beside its dark end.
    x, y = first[0]
    ends = np.argwhere(a_page(turns)[:, :, 0] < 50)[:, ::-1]
    assert np.hypot(*(ends - [x, y]).T).min() < 15


def test_a_page_upright_is_not_read_twice(reader):
    reader([a_page()])
    assert len(reader.lines.read) == 3


def test_the_lines_that_xml_tells(reader, tmp_path):
    Image.fromarray(a_page()[:, :, 0]).save(tmp_path / "a.png")
    line = '<TextLine id="{}"><Coords points="{}"/></TextLine>'
    lines = [
        line.format("second", "200,310 820,310 820,370 200,370"),  # of an image twice as large
        line.format("none", "10,900 900,900 900,960 10,960"),
        line.format("first", "180,190 1020,190 1020,250 180,250"),
    ]
    region = f'<TextRegion id="r"><Coords points="0,0 1200,0 1200,1400 0,1400"/>{"".join(lines)}</TextRegion>'
    page = f'<Page imageFilename="a.png" imageWidth="1200" imageHeight="1400">{region}</Page>'
    (tmp_path / "a.xml").write_text(f"<PcGts>{page}</PcGts>")
    (found,) = reader([tmp_path / "a.xml"], details=True)
    assert found.text == "300\n400"
    (page,) = found.pages
    assert [(line.name, line.text) for line in page.lines] == [
        ("second", "300"),
        ("none", ""),
        ("first", "400"),
    ]
    assert page.size == (1200, 1400) and page.regions[0].name == "r"
    np.testing.assert_allclose(page.lines[0].words[0].polygon[[0, 2]], [(200, 310), (800, 370)], atol=3)


def test_several_pages_of_which_one_is_bad(reader, tmp_path):
    pages = [Image.fromarray(a_page()[:, :, 0]), Image.new("L", (300, 2)), Image.new("L", (90, 90), 255)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (found,) = reader([tmp_path / "a.tif"], details=True)
    assert found.text == "400\n300\n350\f" and len(found.pages) == 2
    assert [str(one).split(": ")[0][-6:] for one in found.problems] == ["page 2"]
    good, bad = reader([a_page(), tmp_path / "none.png"], errors="return")
    assert good.startswith("400") and "none.png: cannot be read" in str(bad)
    with pytest.raises(UserError, match="none.png"):
        reader([tmp_path / "none.png"])


def test_the_picture(reader, tmp_path):
    reader.picture(a_page(), tmp_path / "p.png")
    drawn = np.asarray(Image.open(tmp_path / "p.png"))
    assert drawn.shape == (700, 600, 3) and (np.ptp(drawn, axis=2) > 60).any()


def regions(*texts):
    lines = [[PageLine("", line, nowhere(), nowhere()) for line in text.split("\n")] for text in texts]
    return Page("", None, [Region("", "text", nowhere(), some) for some in lines])


@pytest.mark.parametrize(
    "texts, wanted",
    [
        (["a divi-\nded word"], "a divided\nword"),
        (["ends here-\n", "and goes on"], "ends hereand\n\ngoes on"),
        (["zu Ham-\nburg, Nord-\nDeutschland"], "zu Hamburg,\nNord-\nDeutschland"),
        (["1914-\nand 3 -\nb"], "1914-\nand 3 -\nb"),
        (["ge¬\nwesen"], "gewesen"),
        (["a-\nb-\nc d"], "abc\nd"),
    ],
)
def test_divided_words_are_joined(texts, wanted):
    assert text_of(regions(*texts), dehyphenate=True) == wanted
    assert "-" in text_of(regions(*texts)) or "¬" in text_of(regions(*texts))
