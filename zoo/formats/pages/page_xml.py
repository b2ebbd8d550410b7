"""PAGE, 2010 to 2019 (github.com/PRImA-Research-Lab/PAGE-XML), as of Transkribus, OCR-D and eScriptorium."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from zoo.errors import UserError
from zoo.formats.pages import (
    Glyph,
    Line,
    Page,
    Region,
    Word,
    are_words,
    confidence,
    in_order,
    nowhere,
    numbers,
    points,
)
from zoo.formats.pages import writing as w
from zoo.version import __version__

_KINDS = {
    "TextRegion": "text", "TableCell": "text", "TableRegion": "table", "ImageRegion": "image",
    "LineDrawingRegion": "image", "GraphicRegion": "image", "SeparatorRegion": "separator",
}  # fmt: skip
_WRITTEN = {
    "text": "TextRegion", "table": "TableRegion", "image": "ImageRegion", "separator": "SeparatorRegion",
    "other": "UnknownRegion",
}  # fmt: skip
_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_PLACE = re.compile(r"readingOrder\s*\{[^}]*index\s*:\s*(\d+)")


# === Reading ===


def pages(root: ElementTree.Element, name: str) -> list[Page]:
    """The pages of a file, a list of ``Page``; ``root`` is its tree. UserError where coordinates are none."""
    found = []
    for page in root.iter("Page"):
        size = numbers(page.get("imageWidth"))[:1] + numbers(page.get("imageHeight"))[:1]
        order = page.find("ReadingOrder")
        wanted = list(_refs(order)) if order is not None else []
        regions = [_region(region, name) for region in _regions(page, wanted)]
        size = tuple(size) if len(size) == 2 and all(size) else None
        found.append(Page((page.get("imageFilename") or "").strip(), size, regions))
    if not found:
        raise UserError(f"{name}: this PAGE file has no page in it; export it again")
    return found


def _refs(group):
    """Ids of regions in the order of a ReadingOrder and its groups."""
    members = list(group)
    if all(one.get("index", "").isdecimal() for one in members):
        members.sort(key=lambda one: int(one.get("index")))
    for one in members:
        if one.get("regionRef"):
            yield one.get("regionRef")
        yield from _refs(one)


def _regions(parent, wanted):
    """Iterate over regions and cells of tables, each before those in it, in order."""
    own = [one for one in parent if one.tag.endswith(("Region", "Cell"))]
    own = own if wanted else _by_place(own)
    for region in in_order([(one.get("id"), one) for one in own], wanted):
        yield region
        yield from _regions(region, wanted)


def _by_place(elements):
    """Elements in the order that Transkribus notes in ``custom``, where all of them have it."""
    places = [_PLACE.search(one.get("custom") or "") for one in elements]
    if not elements or not all(places):
        return elements
    return [elements[i] for i in sorted(range(len(elements)), key=lambda i: int(places[i][1]))]


def _region(region, name):
    kind = _KINDS.get(region.tag, "other")
    lines = [_line(line, name) for line in _by_place(region.findall("TextLine"))]
    return Region(region.get("id") or "", kind, _points(region, "Coords", name), lines)


def _line(line, name):
    text, sure = _told(line)
    words = [_word(word, name) for word in _by_place(line.findall("Word"))]
    if not are_words(words, text):  # of some files lines alone were corrected
        words = []
    outline, baseline = _points(line, "Coords", name), _points(line, "Baseline", name)
    return Line(line.get("id") or "", text, outline, baseline, sure, words)


def _word(word, name):
    glyphs = [Glyph(*_part(glyph, name)) for glyph in _by_place(word.findall("Glyph"))]
    return Word(*_part(word, name), glyphs)


def _part(element, name):
    text, sure = _told(element)
    return text or "", _points(element, "Coords", name), sure


def _points(element, tag, name):
    found = element.find(tag)
    if found is None:
        return nowhere()
    if found.get("points") is not None:
        return points(found.get("points"), name)
    return points(" ".join(f"{one.get('x')},{one.get('y')}" for one in found.findall("Point")), name)


def _told(element):
    """The best of several transcripts, or what words, or glyphs, say; None where nothing is told.

    Returns:
        ``(text, confidence)``.
    """
    several = element.findall("TextEquiv")
    for one in sorted(several, key=_rank):
        said = one.find("Unicode")
        said = one.find("PlainText") if said is None else said
        if said is not None and (said.text or "").strip():
            return said.text, confidence(one.get("conf"))
    for inner, between in (("Word", " "), ("Glyph", "")):
        parts = [_told(one)[0] for one in _by_place(element.findall(inner))]
        if any(parts):
            return between.join(filter(None, parts)), None
    return "" if several else None, None


def _rank(transcript):
    """The lowest index is the main one; without, the surest."""
    index, sure = numbers(transcript.get("index")), numbers(transcript.get("conf"))
    return (index or [0])[0], -(sure or [1])[0]


# === Writing ===


def write(page: Page, model: str = "") -> bytes:
    """A page as PAGE of 2019-07-15.

    Nothing but a TextRegion holds lines: those of a region of another kind are in one of their own behind it,
    and read again these are two regions.

    Args:
        page: a ``Page`` in pixels.
        model: the name of what read it.

    Returns:
        bytes, the file.
    """
    ids, size = w.Ids(page), w.size_of(page)
    root = ElementTree.Element(
        "PcGts",
        {
            "xmlns": _NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_NAMESPACE} {_NAMESPACE}/pagecontent.xsd",
        },
    )
    about = ElementTree.SubElement(root, "Metadata")
    ElementTree.SubElement(about, "Creator").text = f"{w.SOFTWARE} {__version__}"
    ElementTree.SubElement(about, "Created").text = ElementTree.SubElement(about, "LastChange").text = w.now()
    if model:  # as OCR-D notes it
        step = {"type": "processingStep", "name": "recognition/text-recognition", "value": w.one_line(model)}
        ElementTree.SubElement(about, "MetadataItem", step)
    width, height = size or (0, 0)  # the format asks for them
    sheet = {"imageFilename": w.one_line(page.image), "imageWidth": str(width), "imageHeight": str(height)}
    sheet = ElementTree.SubElement(root, "Page", sheet)
    group, order = ElementTree.Element("OrderedGroup", id=ids("", "reading_order")), []
    for number, region in enumerate(page.regions, 1):
        order += _write_region(sheet, region, f"region_{number}", ids, size)
    for number, name in enumerate(order):
        ElementTree.SubElement(group, "RegionRefIndexed", index=str(number), regionRef=name)
    if order:
        sheet.insert(0, ElementTree.Element("ReadingOrder"))
        sheet[0].append(group)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _write_region(sheet, region, otherwise, ids, size):
    """Add a region; returns the ids of the elements that it is, in reading order."""
    names = [ids(region.name, otherwise)]
    block = _placed(sheet, _WRITTEN[region.kind], region, size, id=names[0])
    if region.kind != "text" and region.lines:
        names.append(ids("", f"{names[0]}_text"))
        block = _placed(sheet, "TextRegion", region, size, id=names[1])
    for number, line in enumerate(region.lines, 1):
        _write_line(block, line, number, ids(line.name, f"{names[0]}_line_{number}"), ids, size)
    if region.lines:
        _say(block, "\n".join(w.text_of(line) for line in region.lines), None)
    return names


def _write_line(block, line, number, name, ids, size):
    text = w.text_of(line)
    about = {
        "custom": f"readingOrder {{index:{number - 1};}}",  # what Transkribus goes by
        "readingDirection": "right-to-left" if w.is_rtl(text) else None,
    }
    element = _placed(block, "TextLine", line, size, id=name, **about)
    baseline = w.whole(line.baseline, size)
    if len(baseline) > 1:
        ElementTree.SubElement(element, "Baseline", points=_pairs(baseline))
    for count, word in enumerate(line.words, 1):
        word_name = ids("", f"{name}_word_{count}")
        inner = _placed(element, "Word", word, size, id=word_name)
        for place, glyph in enumerate(word.glyphs, 1):
            sign = _placed(inner, "Glyph", glyph, size, id=ids("", f"{word_name}_glyph_{place}"))
            _say(sign, w.one_line(glyph.text), glyph.confidence)
        _say(inner, w.one_line(word.text), word.confidence)
    if line.text is not None or line.words:
        _say(element, text, line.confidence)


def _placed(parent, tag, thing, size, **attributes):
    """A new element with its outline; the format asks for two points at least."""
    element = ElementTree.SubElement(parent, tag, w.given(**attributes))
    place = w.outline(thing, size) or [(0, 0)]
    ElementTree.SubElement(element, "Coords", points=_pairs(place if len(place) > 1 else place * 2))
    return element


def _pairs(place):
    return " ".join(f"{x},{y}" for x, y in place)


def _say(element, text, sure):
    transcript = ElementTree.SubElement(element, "TextEquiv", w.given(conf=w.sure(sure)))
    ElementTree.SubElement(transcript, "Unicode").text = text
