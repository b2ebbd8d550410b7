"""Reads whole pages with a reader of lines: finds the lines, reads all, and says where each word stands.

A page's lines are those that its XML tells, or what ``zoo.images.detector`` finds.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.options import Option
from zoo.contract.reader import Reader
from zoo.errors import UserError
from zoo.formats.pages import Page
from zoo.images import layout
from zoo.images.cutting import cut_lines
from zoo.images.sheets import SUFFIXES, open_sheets
from zoo.images.words import words_of

if TYPE_CHECKING:
    from zoo.images.sheets import Sheet

SAMPLE = 8  # lines that are read once more to see whether a page is upside down
UNSURE = 0.9  # how sure characters are of a page that surely stands upright
HYPHENS = "-\u2010\u00ac\u2e17\u00ad"  # hyphen-minus, hyphen, not sign, double oblique and soft hyphen
_DIVIDED = re.compile(rf"(?<=[^\W\d_])[{HYPHENS}]$")
DEHYPHENATE = Option(
    "dehyphenate", "join words that are divided at the ends of lines in the text", is_flag=True
)


@dataclasses.dataclass
class Document:
    """What was read in one input.

    Attributes:
        pages: list of ``zoo.formats.pages.Page`` with text, words and glyphs.
        sheets: list of what ``zoo.images.sheets.open_sheets`` says of each, without its pixels.
        problems: list of UserError, one for each page that could not be read.
        text: the lines of a page; regions have a blank line between them, pages a form feed.
        confidence: the mean of its lines, by their length, 0 to 1; 0 where nothing was read.
    """

    pages: list
    sheets: list
    problems: list
    text: str

    @property
    def confidence(self) -> float:
        return _sure([line for page in self.pages for line in page.lines])

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows."""
        about = {"text": self.text, "confidence": round(self.confidence, 4)}
        return about | {"pages": [page.to_json() for page in self.pages]}


class PageReader(Reader):
    """Reads whole pages; each result is a ``Document``. Arguments of a call: see ``Reader``.

    Args:
        lines: the reader of lines: what a family's reader with ``reads_pages`` is.
    """

    reads, one, suffixes = "pages", "page", SUFFIXES
    plots, plot_help = "one", "the page, and the order, places and doubtful words of its lines"

    def __init__(self, lines: Reader) -> None:
        about = lines.assets, lines.metadata, lines.threads
        super().__init__(lines.run, lines.config, lines.vocabulary, *about)
        self.lines, self.options = lines, (*lines.options, DEHYPHENATE)
        self.single, self.axes = lines.single, lines.axes

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, dehyphenate: bool = False,
        **decoding: Any,
    ) -> Iterator[Document | UserError]:  # fmt: skip
        """Iterate over the ``Document`` of each input.

        Args:
            inputs: an iterable of what ``zoo.images.sheets.open_sheets`` takes.
            errors: as in a call. Where some pages of an input can be read, those that cannot are in
                ``problems``.
            progress: show a bar of pages.
            dehyphenate: join words that are divided at the ends of lines in ``text``.
            decoding: the keyword arguments of the reader of lines.

        Raises:
            UserError: an input cannot be read.
        """
        from tqdm import tqdm

        with tqdm(desc="reading", unit="page", disable=not progress, delay=1, leave=False) as bar:
            for item in inputs:
                try:
                    yield self._document(item, dehyphenate, decoding, bar)
                except UserError as error:
                    if errors == "raise":
                        raise
                    yield error

    def _document(self, item, dehyphenate, decoding, bar):
        pages, sheets, problems = [], [], []
        for sheet in open_sheets(item):
            try:
                if isinstance(sheet, UserError):
                    raise sheet
                pages.append(self.read_sheet(sheet, **decoding))
                sheets.append(dataclasses.replace(sheet, pixels=None, page=None))
            except UserError as error:
                problems.append(error)
            bar.update()
        if problems and not pages:
            raise problems[0]
        return Document(pages, sheets, problems, "\f".join(text_of(page, dehyphenate) for page in pages))

    def read_sheet(self, sheet: Sheet, **decoding: Any) -> Page:
        """A ``zoo.images.sheets.Sheet`` as a ``zoo.formats.pages.Page``. Raises UserError."""
        if sheet.page is not None:
            return self._read(sheet.pixels, sheet.page, sheet.name, decoding)[0]
        return self._found(sheet, decoding)

    def _found(self, sheet, decoding):
        """Finds the lines of a page and reads them."""
        from zoo.images.detector import find_boxes

        pixels, turns = sheet.pixels, 0
        boxes = find_boxes(pixels, self.threads)
        if layout.is_on_its_side(boxes):
            pixels, turns = np.ascontiguousarray(np.rot90(pixels)), 1
            boxes = find_boxes(pixels, self.threads)
        boxes = layout.split_boxes(boxes, pixels)

        def read(pixels, boxes):
            rules = layout.find_rules(boxes, pixels)
            regions = layout.regions_of(boxes, self.vocabulary.direction, rules)
            return self._read(pixels, Page("", None, regions), sheet.name, decoding)

        page, sure = read(pixels, boxes)
        if len(boxes) and sure < UNSURE:
            over, over_boxes = np.ascontiguousarray(pixels[::-1, ::-1]), _turned(boxes, pixels.shape, 2)
            long = np.argsort(-np.hypot(*(boxes[:, 1] - boxes[:, 0]).T), kind="stable")[:SAMPLE]
            # Corners begin where a line begins, also in the page that was turned.
            some = over_boxes[:, [2, 3, 0, 1]]
            if read(over, some[long])[1] > max(read(pixels, boxes[long])[1], 0.5):
                pixels, turns = over, turns + 2
                page, _ = read(pixels, some)
        for region in page.regions:
            region.lines = [line for line in region.lines if line.text]
        regions = [region for region in page.regions if region.lines]
        shape, scale = pixels.shape, np.float32(sheet.scale)
        size = tuple(round(side) for side in sheet.pixels.shape[1::-1] / scale)
        page = Page(sheet.image, size, regions)
        return page.mapped(lambda points: _turned(points, shape, -turns) / scale)

    def _read(self, pixels, page, name, decoding):
        """``(page, legibility)``: a page with what its lines say, and how sure their characters are."""
        cuts = [cut for _, cut in cut_lines(pixels, page, name)]
        searched = self.lines.search(**decoding) is not None
        sure = functools.partial(self.lines.sure, what="word", searched=searched)
        usable = [cut.pixels for cut in cuts if not isinstance(cut, UserError)]
        found = iter(self.lines.stream(usable, errors="return", **decoding))
        regions, numbered = [], iter(cuts)
        for region in page.regions:
            lines = []
            for line, cut in zip(region.lines, numbered, strict=False):
                result = None if isinstance(cut, UserError) else next(found)
                if result is None or isinstance(result, UserError) or not result.text.strip():
                    lines.append(dataclasses.replace(line, text="", confidence=0.0, words=[]))
                    continue
                words = words_of(cut, result, sure)
                text = " ".join(word.text for word in words)
                lines.append(dataclasses.replace(line, text=text, confidence=result.confidence, words=words))
            regions.append(dataclasses.replace(region, lines=lines))
        page = Page(page.image, page.size or pixels.shape[1::-1], regions)
        return page, _legibility(page.lines)

    def picture(
        self, item: Any, path: str | os.PathLike, found: Document | None = None, **decoding: Any
    ) -> None:
        """Draws the first page of an input and what was read in it, as a PNG file.

        Args:
            item: the input, see ``stream``.
            path: the PNG file to write.
            found: the ``Document`` that was read in it; None: it is read.
            decoding: as in ``stream``.

        Raises:
            UserError: the page cannot be read, or the file cannot be written.
        """
        from zoo.plots.pages import draw

        sheet = next(sheet for sheet in open_sheets(item) if not isinstance(sheet, UserError))
        draw(sheet.pixels, (found or next(self.stream([item], **decoding))).pages[0], path)


def _sure(lines):
    """How sure lines are, by their length, 0 to 1; 0 where nothing was read."""
    read = [line for line in lines if line.text]
    sizes = [len(line.text) for line in read]
    return float(np.average([line.confidence for line in read], weights=sizes)) if read else 0.0


def _legibility(lines):
    """The mean confidence of the characters, 0 to 1: by it, unlike by whole lines, a page stands upright."""
    found = [glyph.confidence for line in lines for word in line.words for glyph in word.glyphs]
    return float(np.mean(found)) if found else 0.0


def text_of(page: Page, dehyphenate: bool = False) -> str:
    """The text of a page: its lines, and a blank line between regions."""
    regions = [[line.text for line in region.lines if line.text] for region in page.regions]
    regions = [lines for lines in regions if lines]
    if dehyphenate:
        _dehyphenate(regions)
    return "\n\n".join("\n".join(lines) for lines in regions if lines)


def _dehyphenate(regions):
    """Puts the rest of a word that is divided at the end of a line behind its beginning."""
    last = None  # where the latest line is that says something
    for lines in regions:
        for i, line in enumerate(lines):
            start, _, rest = line.partition(" ")
            if last and start[:1].islower() and _DIVIDED.search(last[0][last[1]]):
                own, at = last
                own[at] = own[at][:-1] + start
                lines[i] = rest
            if lines[i]:
                last = lines, i
    for lines in regions:
        lines[:] = [line for line in lines if line]


def _turned(points, shape, turns):
    """Where points of an image of a ``shape`` are after quarter turns to the left, as ``np.rot90`` does."""
    height, width = shape[:2]
    for _ in range(turns % 4):
        points = np.stack([points[..., 1], width - points[..., 0]], -1)
        height, width = width, height
    return points
