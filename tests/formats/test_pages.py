"""Pages as ALTO, PAGE, hOCR and ABBYY's XML tell them."""

import numpy as np
import pytest

from zoo.errors import UserError
from zoo.formats.pages import read_pages

ALTO = """<?xml version="1.0"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#"><Description>
<MeasurementUnit>pixel</MeasurementUnit><sourceImageInformation><fileName>p.png</fileName>
</sourceImageInformation></Description><Layout><Page WIDTH="400" HEIGHT="300">{order}
<PrintSpace>{blocks}</PrintSpace></Page></Layout></alto>"""
ALTO_LINE = (
    '<TextLine ID="{id}" HPOS="10" VPOS="{y}" WIDTH="80" HEIGHT="20" BASELINE="{base}">{inner}</TextLine>'
)
PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{year}">
<Page imageFilename="p.jpg" imageWidth="400" imageHeight="300">{inner}</Page></PcGts>"""


def texts(data, name="x.xml"):
    return [line.text for page in read_pages(data.encode(), name) for line in page.lines]


def block(name, *lines):
    return f'<TextBlock ID="{name}">{"".join(lines)}</TextBlock>'


def test_alto():
    shape = '<Shape><Polygon POINTS="1 2 30,2 30 9"/></Shape>'
    string = '<String CONTENT="{}" HPOS="1" VPOS="1"/>'
    one, other = string.format("one"), string.format("un-")
    lines = [
        ALTO_LINE.format(id="a", y=10, base="10 30 90,32", inner=shape + string.format("A b")),
        ALTO_LINE.format(id="b", y=40, base="58", inner=f'{one}<SP/>{other}<HYP CONTENT="-"/>'),
        ALTO_LINE.format(id="c", y=70, base="", inner=string.format("two") + string.format("words")),
        ALTO_LINE.format(id="d", y=99, base="", inner=string.format("der") + '<HYP CONTENT="⸗"/>'),
        ALTO_LINE.format(id="e", y=130, base="", inner=""),
    ]  # fmt: skip
    data = ALTO.format(version=4, order="", blocks=block("x", *lines))
    assert texts(data) == ["A b", "one un-", "two words", "der⸗", None]
    (page,) = read_pages(data.encode(), "x.xml")
    assert page.image == "p.png" and page.size == (400, 300)
    first, second, third = page.lines[:3]
    assert first.polygon.tolist() == [[1, 2], [30, 2], [30, 9]] and first.baseline.tolist() == [
        [10, 30],
        [90, 32],
    ]
    assert second.polygon.tolist() == [[10, 40], [90, 40], [90, 60], [10, 60]]
    assert second.baseline.tolist() == [[10, 58], [90, 58]] and third.baseline.shape == (0, 2)


def test_altos_reading_order():
    order = (
        '<ReadingOrder><OrderedGroup><ElementRef REF="y"/><ElementRef REF="x"/></OrderedGroup></ReadingOrder>'
    )
    lines = [ALTO_LINE.format(id=i, y=1, base="", inner=f'<String CONTENT="{i}"/>') for i in "ab"]
    blocks = block("x", lines[0]) + block("y", lines[1])
    assert texts(ALTO.format(version=4, order="", blocks=blocks)) == ["a", "b"]
    assert texts(ALTO.format(version=4, order=order, blocks=blocks)) == ["b", "a"]


def region(name, text, custom=""):
    line = (
        f'<TextLine id="l{name}"><Coords points="0,0 9,0 9,9"/><Baseline points="0,8 9,8"/>{text}</TextLine>'
    )
    return f'<TextRegion id="{name}" custom="{custom}"><Coords points="0,0"/>{line}</TextRegion>'


def said(text, **about):
    about = "".join(f' {name}="{value}"' for name, value in about.items())
    return f"<TextEquiv{about}><Unicode>{text}</Unicode></TextEquiv>"


def test_page_xml():
    words = f'<Word id="w1">{said("two")}</Word><Word id="w2">{said("words")}</Word>'
    glyphs = f'<Word id="w3"><Glyph id="g1">{said("a")}</Glyph><Glyph id="g2">{said("b")}</Glyph></Word>'
    inner = (
        region("a", said("worse", index=1) + said("main", index=0))
        + region("b", said("unsure", conf=0.2) + said("sure", conf=0.9))
        + region("c", words)
        + region("d", glyphs)
        + region("e", "")
    )
    assert texts(PAGE.format(year="2019-07-15", inner=inner)) == ["main", "sure", "two words", "ab", None]
    (page,) = read_pages(PAGE.format(year="2013-07-15", inner=inner).encode(), "x")
    assert page.image == "p.jpg" and page.size == (400, 300)
    assert page.lines[0].polygon.dtype == np.float32 and page.lines[0].baseline.tolist() == [[0, 8], [9, 8]]
    points = '<Point x="1" y="2"/><Point x="3" y="4"/>'
    points = f'<TextRegion><TextLine id="l"><Coords>{points}</Coords></TextLine></TextRegion>'
    (page,) = read_pages(PAGE.format(year="2010-03-19", inner=points).encode(), "x")
    assert page.lines[0].polygon.tolist() == [[1, 2], [3, 4]]


def test_page_xmls_reading_order():
    regions = region("a", said("one")) + region("b", said("two")) + region("c", said("three"))
    group = (
        '<ReadingOrder><OrderedGroup><RegionRefIndexed index="1" regionRef="a"/>'
        '<RegionRefIndexed index="0" regionRef="c"/></OrderedGroup></ReadingOrder>'
    )
    assert texts(PAGE.format(year="2019-07-15", inner=group + regions)) == ["three", "one", "two"]
    noted = [region(n, said(n), f"readingOrder {{index:{i};}}") for n, i in (("a", 1), ("b", 0))]
    assert texts(PAGE.format(year="2013-07-15", inner="".join(noted))) == ["b", "a"]
    table = f'<TableRegion id="t"><TableCell id="c">{region("x", said("cell"))}</TableCell></TableRegion>'
    assert texts(PAGE.format(year="2019-07-15", inner=table)) == ["cell"]


def test_hocr():
    data = """<html><body><div class='ocr_page' title='image "a b.png"; bbox 0 0 400 300'><meta name=x>
    <span class='ocr_line' id='l1' title="bbox 10 20 90 40; baseline 0.01 -5">
    <span class='ocrx_word'>Tom &amp;</span> <span class='ocrx_word'><strong>Ann</strong></span></span>
    <p class='ocr_header' title='bbox 1 2 3 4'>Top<br>end</p></div>
    <div class='ocr_page' title='bbox 0 0 1 1'></div></body></html>"""
    first, second = read_pages(data.encode(), "x.hocr")
    assert first.image == "a b.png" and first.size == (400, 300) and second.lines == []
    line, other = first.lines
    assert (line.text, line.name, other.text) == ("Tom & Ann", "l1", "Top end")
    np.testing.assert_allclose(line.baseline, [[10, 35], [90, 35.8]], rtol=1e-5)


def test_abbyy():
    letters = "".join(
        f'<charParams l="{x}" t="1" r="{x + 2}" b="9" charConfidence="{97 if x else 255}">{c}</charParams>'
        for x, c in enumerate("ab c")
    )
    line = f'<line baseline="18" l="5" t="4" r="50" b="20"><formatting>{letters}</formatting></line>'
    data = (
        '<document xmlns="http://www.abbyy.com/FineReader_xml/FineReader10-schema-v1.xml">'
        f'<page width="400" height="300"><block><text><par>{line}</par></text></block></page></document>'
    )
    (page,) = read_pages(data.encode(), "x.xml")
    assert page.size == (400, 300) and [line.text for line in page.lines] == ["ab c"]
    assert page.lines[0].baseline.tolist() == [[5, 18], [50, 18]]
    first, second = page.lines[0].words
    assert (first.text, second.text) == ("ab", "c") and first.polygon[2].tolist() == [3, 9]
    assert [glyph.confidence for glyph in first.glyphs] == [None, 0.97]


def test_what_is_refused():
    for other in ("<mets/>", "no XML", '<document><page width="1" height="1"/></document>'):
        assert read_pages(other.encode(), "x.xml") is None
    bomb = '<!DOCTYPE x [<!ENTITY a "aa">]><PcGts><Page/></PcGts>'
    for data, why in (
        (ALTO.format(version=2, order="", blocks="")[:-40], "no well-formed XML"),
        ("<alto><Layout/></alto>", "has no page in it"),
        ("<PcGts/>", "has no page in it"),
        (bomb, "declares XML entities"),
        (PAGE.format(year="x", inner=region("a", "").replace("9,9", "9")), "a coordinate has no partner"),
    ):
        with pytest.raises(UserError, match=f"x.xml: .*{why}"):
            read_pages(data.encode(), "x.xml")
