"""hOCR, as Tesseract, OCRopus and ocrmypdf have it: HTML whose ``title`` attributes tell places."""

from __future__ import annotations

import html.parser
import math
import re
from xml.etree import ElementTree

import numpy as np

from zoo.errors import UserError
from zoo.formats.pages import Glyph, Line, Page, Region, Word, are_words, box, nowhere, numbers
from zoo.formats.pages import writing as w
from zoo.version import __version__

_LINES = ("ocr_line", "ocrx_line", "ocr_caption", "ocr_header", "ocr_textfloat")
_AREAS = {
    "ocr_carea": "text", "ocrx_block": "text", "ocr_table": "table", "ocr_photo": "image",
    "ocr_image": "image", "ocr_linedrawing": "image", "ocr_separator": "separator", "ocr_float": "other",
}  # fmt: skip
_EMPTY = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")


# === Reading ===


def pages(data: bytes, name: str) -> list[Page]:
    """The pages of a file, a list of ``Page``; ``data`` is its bytes. UserError where there is none."""
    reader = _Reader()
    reader.feed(data.decode("utf-8", "replace"))
    reader.close()
    if not reader.pages:
        raise UserError(f"{name}: this hOCR file has no page in it; export it again")
    return reader.pages


class _Reader(html.parser.HTMLParser):
    """Collects pages.

    ``open`` has, for each open element, the line, word or glyph that it is, or None; where in ``said``, the
    texts of the line, its own begins; and the area around it.
    """

    def __init__(self):
        super().__init__()
        self.pages, self.open, self.area, self.line, self.said = [], [], None, None, []

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        classes, title = (about.get("class") or "").split(), about.get("title") or ""
        thing, area = None, self.area
        if "ocr_page" in classes:
            image, at = re.search(r"image\s+(\"[^\"]*\"|'[^']*'|[^;]+)", title), _told(title, "bbox")
            size = (at[2], at[3]) if len(at) == 4 else None
            self.pages.append(Page(image[1].strip(" \"'") if image else "", size, []))
            self.area = area = None
        elif kinds := [_AREAS[one] for one in classes if one in _AREAS and self.pages]:
            self.area = self._new(about.get("id") or "", kinds[0], title)
        elif set(classes) & set(_LINES) and self.pages:
            self.line = thing = self._line(about.get("id") or "", title)
            self.said = []
        elif "ocrx_word" in classes and self.line is not None:
            thing = Word("", _place(title), _sure(title, "x_wconf"))
            self.line.words.append(thing)
        elif "ocrx_cinfo" in classes and self.line is not None and self.line.words:
            thing = Glyph("", _place(title, "x_bboxes"), _sure(title, "x_confs?"))
            self.line.words[-1].glyphs.append(thing)
        if tag not in _EMPTY:
            self.open.append((thing, len(self.said), area))
        elif self.line is not None:
            self.said.append(" ")

    def handle_endtag(self, tag):
        if tag in _EMPTY or not self.open:
            return
        thing, begin, area = self.open.pop()
        if thing is not None:
            thing.text = " ".join(re.split(r"[ \t\n\f\r]+", "".join(self.said[begin:]))).strip(" ")
        if isinstance(thing, Line):
            if not are_words(thing.words, thing.text):
                thing.words = []
            self._region().lines.append(thing)
            self.line = None
        if area is not None:
            self.area = area

    def handle_data(self, data):
        if self.line is not None:
            self.said.append(data)

    def _region(self):
        if self.area is None:
            self.area = self._new("", "text", "")
        return self.area

    def _new(self, name, kind, title):
        """Another region of the page; lines without one begin one."""
        region = Region(name, kind, _place(title), [])
        self.pages[-1].regions.append(region)
        return region

    @staticmethod
    def _line(name, title):
        at, slope, baseline = _told(title, "bbox"), _told(title, "baseline"), nowhere()
        if len(at) == 4 and len(slope) == 2:  # from the lower left corner
            left, _, right, bottom = at
            first = bottom + slope[1]
            last = first + slope[0] * (right - left)
            baseline = np.array([(left, first), (right, last)], np.float32)
        return Line(name, None, _place(title), baseline)


def _told(title, what):
    """The numbers behind a word of a ``title``."""
    found = re.search(rf"\b{what}\s+([-+.\d\s]+)", title)
    return numbers(found[1]) if found else []


def _place(title, what="bbox"):
    at, corners = _told(title, what), _told(title, "poly")
    if len(corners) >= 6 and len(corners) % 2 == 0:
        return np.array(corners, np.float32).reshape(-1, 2)
    return box(*at) if len(at) == 4 else nowhere()


def _sure(title, what):
    """A confidence, of 100 in the file."""
    found = _told(title, what)[:1]
    return min(max(found[0] / 100, 0), 1) if found else None


# === Writing ===

_CLASSES = {
    "text": "ocr_carea", "table": "ocr_table", "image": "ocr_photo", "separator": "ocr_separator",
    "other": "ocr_float",
}  # fmt: skip
_CAPABILITIES = ["ocr_page", *_CLASSES.values(), "ocr_par", "ocr_line", "ocrx_word", "ocrx_cinfo"]
_CAPABILITIES += ["ocrp_poly", "ocrp_dir"]


def write(page: Page, model: str = "") -> bytes:
    """A page as hOCR 1.2, in XHTML.

    Characters have places and confidences as Tesseract's have (``ocrx_cinfo``). The format has straight
    baselines: one is laid through all points of a bent one. A line that does not run from the left to the
    right has the angle of its text in place of it (``textangle``). A line whose words were not read is one
    word as a whole: many programs see nothing of a line but its words.

    Args:
        page: a ``Page`` in pixels.
        model: the name of what read it.

    Returns:
        bytes, the file.
    """
    ids, size = w.Ids(page), w.size_of(page)
    root = _block(None, "html", xmlns="http://www.w3.org/1999/xhtml")
    head, body = _block(root, "head"), _block(root, "body")
    ElementTree.SubElement(head, "title").text = image = w.one_line(page.image) or " "
    system = f"{w.SOFTWARE} {__version__} {w.one_line(model)}".strip()
    ElementTree.SubElement(head, "meta", {"http-equiv": "Content-Type", "content": "text/html;charset=utf-8"})
    for name, content in (
        ("system", system),
        ("capabilities", " ".join(_CAPABILITIES)),
        ("number-of-pages", "1"),
    ):
        ElementTree.SubElement(head, "meta", name=f"ocr-{name}", content=content)
    quote = "'" if '"' in image else '"'
    title = [f"image {quote}{image.strip()}{quote}", "ppageno 0"]
    title[1:1] = [f"bbox 0 0 {size[0]} {size[1]}"] if size else []
    sheet = _block(body, "div", **{"class": "ocr_page"}, id=ids("", "page_1"), title="; ".join(title))
    for number, region in enumerate(page.regions, 1):
        _write_region(sheet, region, ids(region.name, f"region_{number}"), ids, size)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n{text}'.encode()


def _block(parent, tag, **attributes):
    """A new element with line breaks in it and behind it: within lines each blank counts."""
    element = ElementTree.Element(tag, w.given(**attributes))
    element.text = element.tail = "\n"
    if parent is not None:
        parent.append(element)
    return element


def _write_region(sheet, region, name, ids, size):
    about = {"class": _CLASSES[region.kind], "id": name, "title": _title(w.outline(region, size))}
    block = _block(sheet, "div", **about)
    if region.lines:
        block = _block(block, "p", **{"class": "ocr_par"}, title=about["title"])
    for number, line in enumerate(region.lines, 1):
        _write_line(block, line, ids(line.name, f"{name}_line_{number}"), ids, size)


def _write_line(block, line, name, ids, size):
    place = w.outline(line, size) or [(0, 0)]  # the format asks for one
    title = [_title(place), *_slope(line, place, size)]
    about = {"class": "ocr_line", "id": name, "title": "; ".join(title)}
    text = w.text_of(line)
    element = _block(block, "span", **about, dir="rtl" if w.is_rtl(text) else None)
    words = line.words or [Word(text, line.polygon, line.confidence)] * bool(text)
    element.text = None if words else " "
    for number, word in enumerate(words, 1):
        title = [_title(w.outline(word, size)), _percent("x_wconf", word.confidence, 0)]
        title = "; ".join(filter(None, title)) or None
        about = {"class": "ocrx_word", "id": ids("", f"{name}_word_{number}"), "title": title}
        span = ElementTree.SubElement(element, "span", w.given(**about))
        span.tail = " " if number < len(words) else None
        if "".join(glyph.text for glyph in word.glyphs) != word.text:
            span.text = w.one_line(word.text) or " "
            continue
        for glyph in word.glyphs:
            title = [_title(w.outline(glyph, size), "x_bboxes"), _percent("x_confs", glyph.confidence, 2)]
            about = {"class": "ocrx_cinfo", "title": "; ".join(filter(None, title)) or None}
            ElementTree.SubElement(span, "span", w.given(**about)).text = w.one_line(glyph.text)


def _title(place, what="bbox"):
    """The properties that tell a place; None where there is none."""
    if not place:
        return None
    title = " ".join(map(str, [what, *w.bounds(place)]))
    if len(place) > 2 and not w.is_box(place):
        title += "; poly " + " ".join(f"{x} {y}" for x, y in place)
    return title


def _slope(line, place, size):
    """The properties that tell how a line runs, a list: baseline from the lower left corner, or angle."""
    points = w.whole(line.baseline, size)
    if len(points) < 2:
        return []
    (x0, y0), (x1, y1) = points[0], points[-1]
    angle = math.degrees(math.atan2(y0 - y1, x1 - x0))  # counter-clockwise, as the format has it
    if abs(angle) > 45:
        return [f"textangle {angle:.1f}".removesuffix(".0")]
    slope, height = np.polyfit(*np.array(points, np.float64).T, 1)
    left, _, _, bottom = w.bounds(place)
    return [f"baseline {slope:.5f} {height + slope * left - bottom:.0f}"]


def _percent(name, confidence, digits):
    value = w.sure(confidence)
    return f"{name} {100 * float(value):.{digits}f}" if value else None
