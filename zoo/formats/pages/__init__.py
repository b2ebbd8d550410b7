"""Pages of text as XML tells them: where each line stands, and what it says. ALTO, PAGE, hOCR and ABBYY's.

All are read into the same ``Page``, whose lines are in reading order; coordinates are the file's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.errors import UserError

KINDS = ("text", "table", "image", "separator", "other")
NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")


@dataclasses.dataclass
class Glyph:
    """A character of a word.

    Attributes:
        text: the character.
        polygon: float32 ``[points, 2]``, x and y of its outline.
        confidence: 0 to 1; None where it is not known.
    """

    text: str
    polygon: np.ndarray
    confidence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of its attributes, as ``Page.to_json`` has them."""
        sure = self.confidence is not None and np.isfinite(self.confidence)
        confidence = round(float(self.confidence), 4) if sure else None
        return {"text": self.text, "confidence": confidence, "polygon": _told(self.polygon)}


@dataclasses.dataclass
class Word:
    """A word of a line; a blank stands between it and the next.

    Attributes:
        text, polygon, confidence: as of a ``Glyph``.
        glyphs: list of ``Glyph`` in reading order, perhaps none.
    """

    text: str
    polygon: np.ndarray
    confidence: float | None = None
    glyphs: list = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A dict of its attributes, as ``Page.to_json`` has them."""
        return {**Glyph.to_json(self), "glyphs": [glyph.to_json() for glyph in self.glyphs]}


@dataclasses.dataclass
class Line:
    """A line of a page.

    Attributes:
        name: its id in the file, or "".
        text: what it says, as the file has it; None where nothing is told.
        polygon: float32 ``[points, 2]``, x and y of its outline; a bounding box where the file has no more.
        baseline: float32 ``[points, 2]``, on which the letters stand, from where it begins. Either may have
            no points.
        confidence: 0 to 1; None where it is not known.
        words: list of ``Word`` in reading order, where they were read; joined by blanks they are the text.
    """

    name: str
    text: str | None
    polygon: np.ndarray
    baseline: np.ndarray
    confidence: float | None = None
    words: list = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A dict of its attributes, as ``Page.to_json`` has them."""
        words = [word.to_json() for word in self.words]
        return {"id": self.name, **Glyph.to_json(self), "baseline": _told(self.baseline), "words": words}


@dataclasses.dataclass
class Region:
    """What of a page belongs together, such as a paragraph, a column, the cell of a table or a picture.

    Attributes:
        name: its id in the file, or "".
        kind: of ``KINDS``.
        polygon: float32 ``[points, 2]``, its outline, perhaps no points.
        lines: list of ``Line`` in reading order.
    """

    name: str
    kind: str
    polygon: np.ndarray
    lines: list

    def to_json(self) -> dict[str, Any]:
        """A dict of its attributes, as ``Page.to_json`` has them."""
        lines = [line.to_json() for line in self.lines]
        return {"id": self.name, "kind": self.kind, "polygon": _told(self.polygon), "lines": lines}


@dataclasses.dataclass
class Page:
    """A page.

    Attributes:
        image: the image's name, as the file has it; "" where it names none.
        size: ``(width, height)`` of what coordinates refer to; None where the file does not say.
        regions: list of ``Region`` in reading order.
    """

    image: str
    size: tuple | None
    regions: list

    @property
    def lines(self) -> list[Line]:
        """All lines of the page, a list of ``Line`` in reading order."""
        return [line for region in self.regions for line in region.lines]

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Page:
        """This page with other coordinates.

        Args:
            change: float32 ``[points, 2]`` -> as many others.
        """

        def of(thing, **more):
            return dataclasses.replace(thing, polygon=change(thing.polygon), **more)

        def of_line(line):
            words = [of(word, glyphs=[of(glyph) for glyph in word.glyphs]) for word in line.words]
            return of(line, words=words, baseline=change(line.baseline))

        regions = [of(region, lines=[of_line(line) for line in region.lines]) for region in self.regions]
        return dataclasses.replace(self, regions=regions)

    def to_json(self) -> dict[str, Any]:
        """The page as a dict that ``json.dumps`` takes.

        Returns:
            ``{"image", "width", "height", "regions": [{"id", "kind", "polygon", "lines": [{"id", "text",
            "confidence", "polygon", "baseline", "words": [{"text", "confidence", "polygon", "glyphs":
            [{"text", "confidence", "polygon"}]}]}]}]}``. Points are ``[x, y]``, rounded to a tenth; sizes,
            texts and confidences that are not known are None.
        """
        from zoo.formats.pages.writing import size_of

        width, height = size_of(self) or (None, None)
        regions = [region.to_json() for region in self.regions]
        return {"image": self.image, "width": width, "height": height, "regions": regions}


def read_pages(data: bytes, name: str) -> list[Page] | None:
    """The pages of a file.

    Args:
        data: its bytes.
        name: what begins the sentence of an error.

    Returns:
        A list of ``Page``; None where the file is XML of another kind, or no XML at all.

    Raises:
        UserError: it is ALTO, PAGE, hOCR or ABBYY's XML and cannot be read.
    """
    from zoo.formats.pages import abbyy, alto, hocr, page_xml
    from zoo.formats.xml import read_xml

    start = data[:65536]
    if b"ocr_page" in start:
        return hocr.pages(data, name)
    kinds = {b"alto": alto, b"PcGts": page_xml, b"document": abbyy}
    tag = re.search(rb"<(?:\w+:)?(alto|PcGts|document)[\s/>]", start)
    if tag is None or (tag[1] == b"document" and b"FineReader" not in start):
        return None
    return kinds[tag[1]].pages(read_xml(data, name), name)


def _told(polygon):
    """Points as lists of two numbers, rounded to a tenth; those that are no numbers are left out."""
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    return np.round(points[np.isfinite(points).all(axis=1)], 1).tolist()


def numbers(text: str | None) -> list[float]:
    """The numbers in a text, as list of float: coordinates are divided by blanks, commas or both."""
    return [float(one) for one in NUMBER.findall(text or "")]


def points(text: str | None, name: str) -> np.ndarray:
    """``x,y x,y`` or ``x y x y`` -> float32 ``[points, 2]``.

    Raises:
        UserError: there is one number too many.
    """
    found = numbers(text)
    if len(found) % 2:
        raise UserError(f"{name}: a coordinate has no partner in {text.strip()[:40]!r}; export it again")
    return np.array(found, np.float32).reshape(-1, 2)


def confidence(text: str | None) -> float | None:
    """The number, 0 to 1, in a text such as "0.93"; None where there is none."""
    found = numbers(text)[:1]
    return min(max(found[0], 0), 1) if found else None


def are_words(words: list[Word], text: str | None) -> bool:
    """Whether these are words, each with a place, that joined by blanks are the text of their line."""
    return all(len(word.polygon) and " " not in word.text for word in words) and text == " ".join(
        word.text for word in words
    )


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The outline of a bounding box, float32 ``[4, 2]``."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def nowhere() -> np.ndarray:
    """No points: float32 ``[0, 2]``."""
    return np.zeros((0, 2), np.float32)


def in_order(lines: list, wanted: Sequence[str]) -> list:
    """Things in the order that a file gives for their ids, those of which it says nothing last.

    Args:
        lines: list of ``(id, thing)``.
        wanted: list of ids.
    """
    places = {one: place for place, one in enumerate(dict.fromkeys(wanted))}
    ordered = sorted(lines, key=lambda pair: places.get(pair[0], len(places)))
    return [thing for _, thing in ordered]
