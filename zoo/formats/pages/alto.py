"""ALTO, versions 1 to 4, as libraries, kraken and eScriptorium have it (loc.gov/standards/alto)."""

import numpy as np

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, Region, box, in_order, nowhere, numbers, points

_KINDS = {"TextBlock": "text", "Illustration": "image", "GraphicalElement": "separator"}


def pages(root, name):
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
            if block.tag in _KINDS
        ]
        regions = in_order(regions, wanted)
        found.append(Page(image, tuple(size) if len(size) == 2 else None, regions))
    if not found:
        raise UserError(f"{name}: this ALTO file has no page in it; export it again")
    return found


def _region(block, wanted, name):
    lines = [(line.get("ID"), _line(line, name)) for line in block.findall("TextLine")]
    return Region(block.get("ID") or "", _KINDS[block.tag], _outline(block, name), in_order(lines, wanted))


def _outline(element, name):
    outline = element.find("Shape/Polygon")
    return points(outline.get("POINTS"), name) if outline is not None else _box(element)


def _line(line, name):
    polygon = _outline(line, name)
    level = numbers(line.get("BASELINE"))
    if len(level) == 1 and len(polygon):  # of versions before 4: its height alone
        baseline = np.array([(polygon[:, 0].min(), level[0]), (polygon[:, 0].max(), level[0])], np.float32)
    else:
        baseline = points(line.get("BASELINE"), name)
    return Line(line.get("ID") or "", _text(line), polygon, baseline)


def _box(element):
    sides = [numbers(element.get(side))[:1] for side in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if not all(sides):
        return nowhere()
    (left,), (top,), (width,), (height,) = sides
    return box(left, top, left + width, top + height)


def _text(line):
    """What the line says, as it is printed: a hyphenated word has its part alone (not ``SUBS_CONTENT``)."""
    divided = line.find("SP") is not None
    parts = []
    for one in line:
        if one.tag == "String":
            if parts and not divided:
                parts.append(" ")
            parts.append(one.get("CONTENT") or "".join(g.get("CONTENT", "") for g in one.iter("Glyph")))
        elif one.tag == "SP":
            parts.append(" ")
        elif one.tag == "HYP" and not (parts and parts[-1].endswith(one.get("CONTENT") or "-")):
            parts.append(one.get("CONTENT") or "-")
    return "".join(parts) if parts else None
