import gzip
import json

import numpy as np
import pytest

from zoo.errors import UserError
from zoo.formats.strokes import as_points, as_strokes, pad, read_drawn

INKML = '<ink xmlns="http://www.w3.org/2003/InkML">{}</ink>'
TRACE = "<trace>0 0, 10 20, 10 30</trace><trace> 40 5 </trace>"


def inkml(text):
    return read_drawn(INKML.format(text).encode(), "a.inkml")


def listed(strokes):
    return [np.asarray(stroke).tolist() for stroke in strokes]


def test_inkml():
    (ink,) = inkml(
        '<annotation type="truth">$x + 1$</annotation><annotation type="writer">ann</annotation>' + TRACE
    )
    assert ink.text == "$x + 1$" and ink.writer == "ann"
    assert listed(ink.strokes) == [[[0, 0], [10, 20], [10, 30]], [[40, 5]]]


def test_channels_in_another_order_and_pens_in_the_air():
    channels = "".join(f'<channel name="{name}" type="decimal"/>' for name in ("T", "Y", "X"))
    (ink,) = inkml(
        f"<traceFormat>{channels}</traceFormat><trace>1 20 10, 2 21 11</trace>"
        '<trace type="penUp">3 0 0, 4 1 1</trace>'
    )
    assert listed(ink.strokes) == [[[10, 20], [11, 21]]] and ink.text is None


def test_differences_are_decoded():
    """The example of the recommendation, section 3.2.1."""
    (ink,) = inkml("<trace>1125 18432, '23'43, \"7\"-8, 3-5, +2 8, 1-3, 1-6 </trace>")
    assert listed(ink.strokes)[0] == [
        [1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540], [1246, 18578], [1282, 18613],
        [1319, 18642],
    ]  # fmt: skip


def test_groups_of_traces_with_their_own_text():
    text = "".join(
        f'<traceGroup><annotation type="truth">{name}</annotation><trace>{x} 0, {x} 9</trace></traceGroup>'
        for name, x in (("a", 0), ("b", 5))
    )
    assert [(one.text, listed(one.strokes)[0][0]) for one in inkml(text)] == [("a", [0, 0]), ("b", [5, 0])]
    views = (
        '<trace id="t1">0 0, 1 1</trace><traceGroup><annotation type="truth">whole</annotation>'
        '<traceGroup><annotation type="truth">a</annotation><traceView traceDataRef="#t1"/></traceGroup>'
        "</traceGroup>"
    )
    (one,) = inkml(views)
    assert one.text == "whole" and len(one.strokes) == 1


def test_text_in_xml_of_its_own():
    formula = '<annotationXML type="truth"><math><mi>x</mi></math></annotationXML>'  # beside CROHME's LaTeX
    (one,) = inkml(f"{formula}<trace>0 0, 1 1</trace>")
    assert one.text is None
    label = '<annotationXML type="Ground truth"><type>Word</type><label>you</label></annotationXML>'
    (one,) = inkml(f"<traceGroup>{label}<trace>0 0, 1 1</trace></traceGroup>")
    assert one.text == "you" and len(one.strokes) == 1


def test_xournal():
    page = (
        '<page><layer><stroke tool="pen" width="1.4">1 2 3 4.5</stroke>'
        '<stroke tool="highlighter">0 0 9 9</stroke></layer></page>'
    )
    data = gzip.compress(f'<?xml version="1.0"?><xournal>{page}<page><layer/></page></xournal>'.encode())
    (one,) = read_drawn(data, "notes.xopp")
    assert listed(one.strokes) == [[[1, 2], [3, 4.5]]]
    two = read_drawn(f"<xournal>{page}{page}</xournal>".encode(), "notes.xopp")
    assert [one.name for one in two] == ["1", "2"]


@pytest.mark.parametrize(
    "value",
    [
        [[[1, 2], [3, 4]], [[5, 6]]],
        {"strokes": [[[1, 2, 0.1], [3, 4, 0.2]], [[5, 6, 0.3]]], "text": "ab", "writer": 7},
        {"strokes": [[{"x": 1, "y": 2}, {"x": 3, "y": 4}], [{"x": 5, "y": 6}]], "label": "ab", "writer": "7"},
        {"strokes": [{"x": [1, 3], "y": [2, 4]}, {"points": [[5, 6]]}], "text": "ab", "writer": "7"},
        {"drawing": [[[1, 3], [2, 4]], [[5], [6]]], "word": "ab", "user": "7"},
    ],
)
def test_json(value):
    (one,) = read_drawn(json.dumps(value).encode(), "a.json")
    assert listed(one.strokes) == [[[1, 2], [3, 4]], [[5, 6]]]
    if isinstance(value, dict):
        assert one.text == "ab" and one.writer == "7"


def test_lines_of_json():
    lines = [json.dumps({"name": name, "strokes": [[[0, 0], [1, 1]]], "text": name}) for name in "ab"]
    found = read_drawn("\n".join(lines).encode(), "a.jsonl")
    assert [(one.name, one.text) for one in found] == [("a", "a"), ("b", "b")]


UNIPEN = """.VERSION 1.0
.COORD X Y T
.WRITER_ID  w12
.SEGMENT WORD 0-2 OK "cat"
.SEGMENT CHARACTER 0 OK "c"
.SEGMENT WORD 4 ? "to"
.PEN_DOWN
1 10 0
2 12 1
.PEN_UP
.PEN_DOWN
3 10 2
.PEN_UP
.PEN_DOWN
9 9 3
10 9 4
.PEN_UP
"""


def test_unipen_has_y_upward():
    one, other = read_drawn(UNIPEN.encode(), "a.dat")
    assert (one.text, one.writer, other.text) == ("cat", "w12", "to")
    assert listed(one.strokes) == [[[1, -10], [2, -12]], [[3, -10]]]
    assert listed(other.strokes) == [[[9, -9], [10, -9]]]


POINTED = """.VERSION 1.0
.COORD X Y
.PEN_UP
.PEN_DOWN
0 0
0 10
.PEN_UP
.PEN_UP
.PEN_DOWN
20 0
30 0
.SEGMENT CHARACTER 0 OK "1"
.SEGMENT CHARACTER 1 OK "-"
"""


def test_unipen_numbers_what_has_points():
    # UNIPEN above is of the other kind: it counts all, as "4" of three with points tells.
    one, other = read_drawn(POINTED.encode(), "a.dat")
    assert (one.text, listed(one.strokes)) == ("1", [[[0, 0], [0, -10]]])
    assert (other.text, listed(other.strokes)) == ("-", [[[20, 0], [30, 0]]])


def test_unipen_reads_what_it_includes(tmp_path):
    points, _, segments = POINTED.partition(".SEGMENT")
    labels = tmp_path / "data" / "1a" / "a.dat"
    labels.parent.mkdir(parents=True)
    labels.write_text(f".VERSION 1.0\n.INCLUDE aga/all.dat\n.SEGMENT{segments}")
    with pytest.raises(UserError, match="line 2: it includes aga/all.dat, which is not beside or above it"):
        read_drawn(labels.read_bytes(), "a.dat", labels)
    with pytest.raises(UserError, match="line 2: it includes aga/all.dat, and is in an archive; unpack that"):
        read_drawn(labels.read_bytes(), "a.dat")
    inner = tmp_path / "include" / "aga" / "all.dat"
    inner.parent.mkdir(parents=True)
    inner.write_text(points)
    assert [one.text for one in read_drawn(labels.read_bytes(), "a.dat", labels)] == ["1", "-"]
    inner.write_text(".PEN_DOWN\n1 x\n")
    with pytest.raises(UserError, match=r"all\.dat, line 2: '1 x' is no point"):
        read_drawn(labels.read_bytes(), "a.dat", labels)
    inner.write_text(".INCLUDE aga/other.dat\n")
    (inner.parent / "other.dat").write_text(".INCLUDE aga/all.dat\n")
    with pytest.raises(UserError, match="one of 4 files within each other"):
        read_drawn(labels.read_bytes(), "a.dat", labels)
    labels.write_text(f".INCLUDE ../../include/aga/all.dat\n{POINTED}")
    with pytest.raises(UserError, match="which is not beside or above it"):
        read_drawn(labels.read_bytes(), "a.dat", labels)


BOMB = '<!DOCTYPE ink [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><ink><trace>&b;</trace></ink>'


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"hello", "no file of pen strokes"),
        (INKML.format("").encode(), "no pen stroke"),
        (INKML.format("<trace></trace>").encode(), "no pen stroke"),
        (b"<ink><trace>1 1", "no well-formed XML"),
        (BOMB.encode(), "declares XML entities"),
        (b"<svg/>", "XML of 'svg', no ink"),
        (INKML.format("<trace>1 a</trace>").encode(), "no point of X, Y"),
        (INKML.format("<trace>1, 2</trace>").encode(), "no point of X, Y"),
        (INKML.format('<traceFormat><channel name="X"/></traceFormat><trace>1</trace>').encode(), "X and Y"),
        (b"<xournal><page><stroke>1 2 3</stroke></page></xournal>", "half a point"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": 1}', "no pen stroke"),
        (b'{"strokes": [[[1], [2]]]}', "no list of points"),
        (b'{"strokes": [[["1", 2]]]}', "no list of points"),
        (b'{"strokes": []}', "no pen stroke"),
        (b".PEN_DOWN\n1 x\n", "line 2: '1 x' is no point"),
        (b".COORD X Y\n", "no pen stroke"),
    ],
)
def test_what_is_no_ink_is_told(data, problem):
    with pytest.raises(UserError, match=problem) as told:
        read_drawn(data, "file")
    assert str(told.value).startswith("file") and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("strokes", "problem"),
    [
        ([], "no pen stroke"),
        ([[[3, 4]]], "one point"),
        ([[[3, 4], [3, 4]], [[3, 4]]], "one point"),
        ([[[0, 0], [3e9, 1]]], "coordinates"),
        ([[[0, 0], [float("nan"), 1]]], "no finite number"),
        ([[[0, 0], [1e300, 1]]], "coordinates"),
        ([np.random.default_rng(0).random((30_000, 2))], "more than a line"),
    ],
)
def test_ink_beyond_reason_is_told(strokes, problem):
    with pytest.raises(UserError, match=problem):
        as_points(strokes, "a.inkml")


def test_points():
    points = as_points([[[1e6, 5], [1e6, 5], [1e6 + 2, 6]], [[1e6 + 9, 5]]], "a")
    assert points.dtype == np.float32 and points.tolist() == [[0, 0, 0], [2, 1, 1], [9, 0, 1]]
    assert listed(as_strokes(points)) == [[[0, 0], [2, 1]], [[9, 0]]]
    padded, lengths = pad([points, points[:1]])
    assert padded.shape == (2, 3, 3) and lengths.tolist() == [3, 1] and not padded[1, 1:].any()
