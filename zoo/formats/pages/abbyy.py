"""The XML of ABBYY FineReader, versions 6 to 10, as the Internet Archive has it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import UserError
from zoo.formats.pages import Glyph, Line, Page, Region, Word, are_words, box, nowhere, numbers

if TYPE_CHECKING:
    from xml.etree import ElementTree

_KINDS = {"Text": "text", "Table": "table", "Picture": "image", "Separator": "separator"}


def pages(root: ElementTree.Element, name: str) -> list[Page]:
    """The pages of a file, a list of ``Page``; ``root`` is its tree. The file names no images."""
    found = []
    for page in root.iter("page"):
        size = numbers(page.get("width"))[:1] + numbers(page.get("height"))[:1]
        regions = [_region(block) for block in page.iter("block")]
        found.append(Page("", tuple(size) if len(size) == 2 else None, regions))
    if not found:
        raise UserError(f"{name}: this file of FineReader has no page in it; export it again")
    return found


def _region(block):
    kind = _KINDS.get(block.get("blockType"), "other")
    return Region("", kind, _box(block), [_line(line) for line in block.iter("line")])


def _box(element):
    sides = [numbers(element.get(side))[:1] for side in "ltrb"]
    return box(*(side[0] for side in sides)) if all(sides) else nowhere()


def _line(line):
    polygon, baseline = _box(line), nowhere()
    level = numbers(line.get("baseline"))[:1]
    if level and len(polygon):
        baseline = polygon[:2].copy()
        baseline[:, 1] = level
    letters = [_glyph(one) for one in line.iter("charParams")]
    text = "".join(one.text for one in letters) or "".join("".join(part.itertext()) for part in line)
    words = [
        _word(list(glyphs))
        for blank, glyphs in itertools.groupby(letters, lambda one: one.text.isspace())
        if not blank
    ]
    return Line("", text or None, polygon, baseline, words=words if are_words(words, text) else [])


def _glyph(letter):
    sure = numbers(letter.get("charConfidence"))[:1]
    sure = sure[0] / 100 if sure and 0 <= sure[0] <= 100 else None  # 255 where it is not known
    return Glyph(letter.text or " ", _box(letter), sure)


def _word(glyphs):
    points = np.concatenate([glyph.polygon for glyph in glyphs])
    place = box(*points.min(axis=0), *points.max(axis=0)) if len(points) else nowhere()
    return Word("".join(glyph.text for glyph in glyphs), place, None, glyphs)
