"""PAGE, 2010 to 2019 (github.com/PRImA-Research-Lab/PAGE-XML), as of Transkribus, OCR-D and eScriptorium."""

import re

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, Region, in_order, nowhere, numbers, points

_KINDS = {
    "TextRegion": "text", "TableCell": "text", "TableRegion": "table", "ImageRegion": "image",
    "LineDrawingRegion": "image", "GraphicRegion": "image", "SeparatorRegion": "separator",
}  # fmt: skip
_PLACE = re.compile(r"readingOrder\s*\{[^}]*index\s*:\s*(\d+)")


def pages(root, name):
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
    return Line(
        line.get("id") or "", _text(line), _points(line, "Coords", name), _points(line, "Baseline", name)
    )


def _points(element, tag, name):
    found = element.find(tag)
    if found is None:
        return nowhere()
    if found.get("points") is not None:
        return points(found.get("points"), name)
    return points(" ".join(f"{one.get('x')},{one.get('y')}" for one in found.findall("Point")), name)


def _text(element):
    """The best of several transcripts, or what words, or glyphs, say; None where nothing is told."""
    several = element.findall("TextEquiv")
    for one in sorted(several, key=_rank):
        said = one.find("Unicode")
        said = one.find("PlainText") if said is None else said
        if said is not None and (said.text or "").strip():
            return said.text
    for inner, between in (("Word", " "), ("Glyph", "")):
        parts = [_text(one) for one in _by_place(element.findall(inner))]
        if any(parts):
            return between.join(filter(None, parts))
    return "" if several else None


def _rank(transcript):
    """The lowest index is the main one; without, the surest."""
    index, sure = numbers(transcript.get("index")), numbers(transcript.get("conf"))
    return (index or [0])[0], -(sure or [1])[0]
