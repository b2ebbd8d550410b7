"""What the writers of pages share: whole pixels within the page, ids and text as XML can hold them."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.formats.pages import Word, nowhere

if TYPE_CHECKING:
    from zoo.formats.pages import Glyph, Line, Page, Region

SOFTWARE = "seqzoo"

# XML 1.0, section 2.2: what no document can hold, escaped or not. Surrogates alone are no characters.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_ID = re.compile(r"[^\W\d][\w.-]*")  # an NCName, but for a few characters of no use


class Ids:
    """Gives each thing of a page an id that is valid in XML and stands once.

    A page's own ids stay, whatever comes before them; one that repeats has a number behind it, and
    characters that an id cannot have become "_".

    Args:
        page: a ``Page``.
    """

    def __init__(self, page: Page) -> None:
        regions = page.regions
        own = [region.name for region in regions] + [line.name for line in page.lines]
        self._own = {name for name in own if _ID.fullmatch(name)}
        self._used = set()

    def __call__(self, name: str, otherwise: str) -> str:
        """The id of what is called ``name`` in the file, or has no name there and is called ``otherwise``."""
        if name in self._own and name not in self._used:
            self._used.add(name)
            return name
        name = re.sub(r"[^\w.-]", "_", name) or otherwise
        stem = name if _ID.fullmatch(name) else f"_{name}"
        name, count = stem, 1
        while name in self._used or name in self._own:
            count += 1
            name = f"{stem}_{count}"
        self._used.add(name)
        return name


def clean(text: str) -> str:
    """A text without what XML cannot hold."""
    return _NO_XML.sub("", text or "")


def one_line(text: str) -> str:
    """A text as a line: without what XML cannot hold, line breaks and tabs become blanks."""
    return re.sub(r"[\t\r\n]", " ", clean(text))


def words_of(line: Line) -> list[Word]:
    """The words of a line, a list of ``Word``.

    Where none were read, they are the parts of its text between blanks, without places, as sure as the line.
    """
    if line.words:
        return line.words
    parts = filter(None, _BLANKS.split(line.text or ""))
    return [Word(part, nowhere(), line.confidence) for part in parts]


def text_of(line: Line) -> str:
    """What a line says, its words if nothing else; "" where nothing is told."""
    return one_line(" ".join(word.text for word in line.words) if line.text is None else line.text)


def is_rtl(text: str) -> bool:
    """Whether most letters of a text run from right to left."""
    from zoo.text.characters import direction_of

    return direction_of(text) == "rtl"


def size_of(page: Page) -> tuple[int, int] | None:
    """The page's ``(width, height)`` in whole pixels; None where it has none."""
    if page.size is None or not all(np.isfinite(side) and side >= 1 for side in page.size):
        return None
    return tuple(round(side) for side in page.size)


def whole(polygon: np.ndarray, size: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Points in whole pixels within the page, a list of ``(x, y)``; those that are no numbers are left out.

    Args:
        polygon: ``[points, 2]``.
        size: ``(width, height)`` of the page; None where it is not known.
    """
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    points = np.clip(np.rint(points), 0, np.inf if size is None else size)
    return [(int(x), int(y)) for x, y in np.minimum(points, 2**31 - 1)]


def bounds(points: list[tuple[int, int]]) -> tuple[int, int, int, int] | None:
    """``left, top, right, bottom`` of a list of ``(x, y)``; None where there are none."""
    if not points:
        return None
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def is_box(points: list[tuple[int, int]]) -> bool:
    """Whether points are the outline of their bounding box."""
    left, top, right, bottom = bounds(points)
    return len(points) == 4 and set(points) == {(left, top), (right, top), (right, bottom), (left, bottom)}


def outline(thing: Glyph | Line | Region | Word, size: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The outline of a region, a line, a word or a glyph, a list of ``(x, y)`` in whole pixels.

    Where it has none, it is the box around what is in it, or a line's baseline; where this has none either,
    there are no points.
    """
    points = whole(thing.polygon, size)
    if points:
        return points
    inner = [*getattr(thing, "lines", ()), *getattr(thing, "words", ()), *getattr(thing, "glyphs", ())]
    points = [point for one in inner for point in outline(one, size)]
    points = points or whole(getattr(thing, "baseline", nowhere()), size)
    if not points:
        return []
    left, top, right, bottom = bounds(points)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def sure(confidence: float | None) -> str | None:
    """A confidence as "0.9731"; None where it is not known."""
    if confidence is None or not np.isfinite(confidence):
        return None
    return f"{min(max(float(confidence), 0), 1):.4f}".rstrip("0").rstrip(".")


def given(**attributes: Any) -> dict[str, str]:
    """The attributes of an element, without those that are None."""
    return {name: str(value) for name, value in attributes.items() if value is not None}


def now() -> str:
    """The time, as XML has it: "2026-03-01T12:00:00Z"."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
