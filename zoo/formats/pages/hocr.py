"""hOCR, as Tesseract, OCRopus and ocrmypdf have it: HTML whose ``title`` attributes tell places."""

import html.parser
import re

import numpy as np

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, Region, box, nowhere, numbers

_LINES = ("ocr_line", "ocrx_line", "ocr_caption", "ocr_header", "ocr_textfloat")
_AREAS = ("ocr_carea", "ocrx_block")
_EMPTY = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")


def pages(data, name):
    """The pages of a file, a list of ``Page``; ``data`` is its bytes. UserError where there is none."""
    reader = _Reader()
    reader.feed(data.decode("utf-8", "replace"))
    reader.close()
    if not reader.pages:
        raise UserError(f"{name}: this hOCR file has no page in it; export it again")
    return reader.pages


class _Reader(html.parser.HTMLParser):
    """Collects pages; ``open`` has, for each open element, the line that it is, or None."""

    def __init__(self):
        super().__init__()
        self.pages, self.open, self.area, self.line, self.said = [], [], None, None, []

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        classes, title = (about.get("class") or "").split(), about.get("title") or ""
        line = None
        if "ocr_page" in classes:
            image, at = re.search(r"image\s+(\"[^\"]*\"|'[^']*'|[^;]+)", title), _told(title, "bbox")
            size = (at[2], at[3]) if len(at) == 4 else None
            self.pages.append(Page(image[1].strip(" \"'") if image else "", size, []))
            self.area = None
        elif set(classes) & set(_AREAS) and self.pages:
            self.area = self._new(about.get("id") or "", title)
        elif set(classes) & set(_LINES) and self.pages:
            line = self._line(about.get("id") or "", title)
            self.line, self.said = line, []
        if tag not in _EMPTY:
            self.open.append(line)
        elif self.line is not None:
            self.said.append(" ")

    def handle_endtag(self, tag):
        if tag in _EMPTY or not self.open:
            return
        line = self.open.pop()
        if line is not None:
            line.text = " ".join("".join(self.said).split())
            self._region().lines.append(line)
            self.line = None

    def handle_data(self, data):
        if self.line is not None:
            self.said.append(data)

    def _region(self):
        if self.area is None:
            self.area = self._new("", "")
        return self.area

    def _new(self, name, title):
        """Another region of the page; lines without one begin one."""
        at = _told(title, "bbox")
        region = Region(name, "text", box(*at) if len(at) == 4 else nowhere(), [])
        self.pages[-1].regions.append(region)
        return region

    @staticmethod
    def _line(name, title):
        at, slope = _told(title, "bbox"), _told(title, "baseline")
        polygon, baseline = box(*at) if len(at) == 4 else nowhere(), nowhere()
        if len(polygon) and len(slope) == 2:  # from the lower left corner
            left, _, right, bottom = at
            first = bottom + slope[1]
            last = first + slope[0] * (right - left)
            baseline = np.array([(left, first), (right, last)], np.float32)
        return Line(name, None, polygon, baseline)


def _told(title, what):
    """The numbers behind a word of a ``title``."""
    found = re.search(rf"\b{what}\s+([-+.\d\s]+)", title)
    return numbers(found[1]) if found else []
