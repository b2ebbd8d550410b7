"""ALTO, versions 1 to 4, as libraries, kraken and eScriptorium have it (loc.gov/standards/alto)."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import numpy as np

from zoo.errors import UserError
from zoo.formats.pages import (
    Glyph,
    Line,
    Page,
    Region,
    Word,
    are_words,
    box,
    confidence,
    in_order,
    nowhere,
    numbers,
    points,
)
from zoo.formats.pages import writing as w
from zoo.version import __version__

_KINDS = {"TextBlock": "text", "Illustration": "image", "GraphicalElement": "separator"}
_COMPOSED = ("table", "other")  # kinds that are the TYPE of a ComposedBlock
_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"


# === Reading ===


def pages(root: ElementTree.Element, name: str) -> list[Page]:
    """The pages of a file, a list of ``Page``; ``root`` is its tree. UserError where coordinates are none."""
    source = root.find(".//sourceImageInformation/fileName")
    image = (source.text or "").strip() if source is not None else ""
    found = []
    for page in root.iter("Page"):
        size = numbers(page.get("WIDTH"))[:1] + numbers(page.get("HEIGHT"))[:1]
        wanted = [one.get("REF") for one in page.iter("ElementRef")]
        regions = [
            (block.get("ID"), _region(block, wanted, name))
            for space in page
            for block in space.iter()
            if _kind(block)
        ]
        regions = in_order(regions, wanted)
        found.append(Page(image, tuple(size) if len(size) == 2 else None, regions))
    if not found:
        raise UserError(f"{name}: this ALTO file has no page in it; export it again")
    return found


def _kind(block):
    if block.tag == "ComposedBlock":
        return block.get("TYPE") if block.get("TYPE") in _COMPOSED else None
    return _KINDS.get(block.tag)


def _region(block, wanted, name):
    lines = [(line.get("ID"), _line(line, name)) for line in block.findall("TextLine")]
    return Region(block.get("ID") or "", _kind(block), _outline(block, name), in_order(lines, wanted))


def _outline(element, name):
    shape = element.find("Shape/Polygon")
    return points(shape.get("POINTS"), name) if shape is not None else _box(element)


def _line(line, name):
    polygon = _outline(line, name)
    level = numbers(line.get("BASELINE"))
    if len(level) == 1 and len(polygon):  # of versions before 4: its height alone
        baseline = np.array([(polygon[:, 0].min(), level[0]), (polygon[:, 0].max(), level[0])], np.float32)
    else:
        baseline = points(line.get("BASELINE"), name)
    text, words = _words(line, name)
    return Line(line.get("ID") or "", text, polygon, baseline, words=words)


def _box(element):
    sides = [numbers(element.get(side))[:1] for side in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if not all(sides):
        return nowhere()
    (left,), (top,), (width,), (height,) = sides
    return box(left, top, left + width, top + height)


def _words(line, name):
    """What the line says, as it is printed: a hyphenated word has its part alone (not ``SUBS_CONTENT``).

    Returns:
        ``(text, words)``; no words where not all have a place, or they are none: some files have a String a
        line.
    """
    divided = line.find("SP") is not None
    parts, words = [], []
    for one in line:
        if one.tag == "String":
            if parts and not divided:
                parts.append(" ")
            glyphs = [_glyph(glyph, name) for glyph in one.iter("Glyph")]
            said = one.get("CONTENT") or "".join(glyph.text for glyph in glyphs)
            parts.append(said)
            words.append(Word(said, _outline(one, name), confidence(one.get("WC")), glyphs))
        elif one.tag == "SP":
            parts.append(" ")
        elif one.tag == "HYP" and not (parts and parts[-1].endswith(one.get("CONTENT") or "-")):
            parts.append(one.get("CONTENT") or "-")
            if words:
                words[-1].text += parts[-1]
    text = "".join(parts) if parts else None
    return text, words if are_words(words, text) else []


def _glyph(glyph, name):
    return Glyph(glyph.get("CONTENT") or "", _outline(glyph, name), confidence(glyph.get("GC")))


# === Writing ===


def write(page: Page, model: str = "") -> bytes:
    """A page as ALTO 4.3.

    A table, or a region of no known kind, is a ComposedBlock. Nothing but a TextBlock holds lines: those of a
    region of another kind are in one of their own behind it, and read again these are two regions. A line of
    which nothing is told says "": the format asks for a String in each.

    Args:
        page: a ``Page`` in pixels.
        model: the name of what read it.

    Returns:
        bytes, the file.
    """
    ids, size = w.Ids(page), w.size_of(page)
    width, height = size or (None, None)
    root = ElementTree.Element(
        "alto",
        {
            "xmlns": _NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-3.xsd",
            "SCHEMAVERSION": "4.3",
        },
    )
    _describe(root, page, ids("", "recognition"), model)
    layout = ElementTree.SubElement(root, "Layout")
    sheet = w.given(ID=ids("", "page_1"), PHYSICAL_IMG_NR=1, WIDTH=width, HEIGHT=height)
    sheet = ElementTree.SubElement(layout, "Page", sheet)
    space = w.given(HPOS=0, VPOS=0, WIDTH=width, HEIGHT=height) if size else {}
    space = ElementTree.SubElement(sheet, "PrintSpace", space)
    for number, region in enumerate(page.regions, 1):
        _write_region(space, region, f"region_{number}", ids, size)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _describe(root, page, name, model):
    about = ElementTree.SubElement(root, "Description")
    ElementTree.SubElement(about, "MeasurementUnit").text = "pixel"
    if page.image:
        source = ElementTree.SubElement(about, "sourceImageInformation")
        ElementTree.SubElement(source, "fileName").text = w.one_line(page.image)
    step = ElementTree.SubElement(about, "Processing", ID=name)
    ElementTree.SubElement(step, "processingCategory").text = "contentGeneration"
    ElementTree.SubElement(step, "processingDateTime").text = w.now()
    if model:
        ElementTree.SubElement(step, "processingStepSettings").text = w.one_line(f"model: {model}")
    software = ElementTree.SubElement(step, "processingSoftware")
    ElementTree.SubElement(software, "softwareName").text = w.SOFTWARE
    ElementTree.SubElement(software, "softwareVersion").text = __version__


def _write_region(parent, region, otherwise, ids, size):
    tags = {kind: tag for tag, kind in _KINDS.items()}
    name = ids(region.name, otherwise)
    block = _placed(parent, tags.get(region.kind, "ComposedBlock"), region, size, ID=name)
    if block.tag == "ComposedBlock":
        block.set("TYPE", region.kind)
    if region.kind != "text" and region.lines:
        block = _placed(parent, "TextBlock", region, size, ID=ids("", f"{name}_text"))
    for number, line in enumerate(region.lines, 1):
        _write_line(block, line, f"{name}_line_{number}", ids, size)


def _placed(parent, tag, thing, size, **attributes):
    """A new element with the place of a thing: its box, and a Shape where this is not all."""
    place = w.outline(thing, size)
    if not place:
        return ElementTree.SubElement(parent, tag, w.given(**attributes))
    left, top, right, bottom = w.bounds(place)
    box = {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
    element = ElementTree.SubElement(parent, tag, w.given(**attributes, **box))
    if not w.is_box(place):
        shape = ElementTree.SubElement(element, "Shape")
        ElementTree.SubElement(shape, "Polygon", POINTS=_points(place))
    return element


def _points(place):
    return " ".join(f"{x} {y}" for x, y in place)  # eScriptorium knows no commas here


def _write_line(block, line, otherwise, ids, size):
    name, baseline = ids(line.name, otherwise), w.whole(line.baseline, size)
    about = {
        "BASELINE": _points(baseline) if len(baseline) > 1 else None,
        "BASEDIRECTION": "rtl" if w.is_rtl(w.text_of(line)) else None,
    }
    element = _placed(block, "TextLine", line, size, ID=name, **about)
    words = w.words_of(line)
    if not words:
        ElementTree.SubElement(element, "String", CONTENT="")
    for number, word in enumerate(words, 1):
        if number > 1:
            ElementTree.SubElement(element, "SP")
        about = {"ID": ids("", f"{name}_word_{number}"), "CONTENT": w.one_line(word.text)}
        string = _placed(element, "String", word, size, **about, WC=w.sure(word.confidence))
        for glyph in word.glyphs:
            # The schema has one code point in each: what has no composed form is several at one place.
            for character in unicodedata.normalize("NFC", w.one_line(glyph.text)):
                _placed(string, "Glyph", glyph, size, CONTENT=character, GC=w.sure(glyph.confidence))
