"""Searchable PDF: images of pages, or the pages of a PDF, with what was read as invisible text.

write("book.pdf", [(Path("p1.jpg").read_bytes(), page, 300), (pixels, other, 300)])
write("read.pdf", [(("scan.pdf", 0), page, None)])                 # the page stays as it is
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Iterable
from decimal import Decimal
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, TiffImagePlugin

from export.runtime import upright
from zoo.errors import UserError
from zoo.files import atomic_write
from zoo.formats.pages import writing as w
from zoo.formats.pages.pdf_text import fill_font, numbers, text_layer
from zoo.version import __version__

try:
    import pikepdf
    from pikepdf import Array, Dictionary, Name
except ImportError as error:
    raise UserError('to write PDF, install what pages need: pip install "seqzoo[pages]"') from error

logging.getLogger("pikepdf").addHandler(logging.NullHandler())  # it tells of metadata that it mends

DPI = 300  # of an image that does not say
LONGEST = 14400  # units of 1/72 inch: no viewer has to show a longer page (ISO 32000-1, annex C)
PART = 1 << 26  # bytes of images after which what is there goes to the disk


def write(
    path: str | os.PathLike | BinaryIO, sheets: Iterable, model: str = "", title: str | None = None,
    language: str | None = None, quality: int | None = None,
) -> None:  # fmt: skip
    """Write a searchable PDF with one page in memory at a time; the file appears when it is whole.

    Pages of the PDF that comes first, if one does, stay in its order before all others, and what its document
    has beside them, such as bookmarks, stays; those of its pages that are no sheets are left out.

    Args:
        path: where to write, or a file open for bytes.
        sheets: iterable of ``(image, page, dpi)``. ``image`` is the bytes of a JPEG, which is embedded as it
            is; or pixels, uint8 ``[height, width]`` or ``[height, width, 1 or 3]``; or ``(path, index)``, a
            page of a PDF, from 0, which stays as it is. ``page`` is a ``Page``; its size is that of the image
            as it is shown: upright, of a PDF's page what the crop box has. A page without a size is in the
            pixels of the image, or of the PDF's page at ``dpi``. ``dpi`` is a number, or two, across and
            down; None where it is not known.
        model: the name of what read it.
        title: of the document; by default what the PDF that comes first has.
        language: of the document, such as "de"; likewise.
        quality: 1 to 95: pixels are stored as JPEG; by default without loss.

    Raises:
        UserError: a PDF cannot be read, needs a password or lacks the page; or the disk is full.
    """
    with contextlib.ExitStack() as opened:
        book = _Book(opened)
        for image, page, dpi in sheets:
            if isinstance(image, tuple):
                book.keep(*image, page, dpi)
            else:
                book.add(image, page, dpi, quality)
        pdf = book.whole()
        with pdf.open_metadata(set_pikepdf_as_editor=False) as about:
            about.load_from_docinfo(pdf.docinfo)
            about["pdf:Producer"] = f"{w.SOFTWARE} {__version__} {w.one_line(model)}".strip()
            if title is not None:
                about["dc:title"] = w.one_line(title)
        if language:
            pdf.Root.Lang = pikepdf.String(language)
        file = path if hasattr(path, "write") else opened.enter_context(atomic_write(path))
        pdf.save(file, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


class _Book:
    """The document as it grows.

    ``pdf`` has the latest pages, whose text is in ``font``, in which ``astral`` are the codes of characters
    beyond U+FFFF; ``parts`` has earlier ones, which are on the disk. ``base`` is the PDF that came first, if
    one did, with ``count`` pages, of which those in ``used`` are sheets.
    """

    def __init__(self, opened):
        self.opened, self.parts, self.sources = opened, [], {}
        self.base, self.count, self.used = None, 0, set()
        self._begin(pikepdf.new())

    def _begin(self, pdf):
        self.pdf, self.font, self.astral, self.held = pdf, pdf.make_indirect(Dictionary()), {}, 0

    def add(self, image, page, dpi, quality):
        """Another page, which shows an image."""
        data, about, turn = _picture(image, quality)
        width, height = about["Width"], about["Height"]
        if turn in _SIDEWAYS:
            width, height = height, width
        across, down = w.size_of(page) or (width, height)
        wide, high = _extent(width, height, dpi).tolist()
        a, b, c, d, e, f = _TURNS[turn]
        place = numbers(a * wide, b * high, c * wide, d * high, e * wide, f * high)
        content = b"q %s cm /Image Do Q\n" % place
        matrix = np.array([[wide / across, 0, 0], [0, -high / down, high]])
        content += text_layer(page, matrix, b"/Text", self.astral)
        picture = pikepdf.Stream(self.pdf, data, Type=Name.XObject, Subtype=Name.Image, **about)
        resources = Dictionary(XObject=Dictionary(Image=picture), Font=Dictionary(Text=self.font))
        sheet = Dictionary(
            Type=Name.Page, MediaBox=[0, 0, round(wide, 3), round(high, 3)], Resources=resources,
            Contents=self.pdf.make_stream(content),
        )  # fmt: skip
        self.pdf.pages.append(pikepdf.Page(self.pdf.make_indirect(sheet)))
        self.held += len(data)
        if self.held > PART and self.base is None:
            fill_font(self.font, self.pdf, self.astral)
            file = self.opened.enter_context(tempfile.TemporaryFile())
            self.pdf.save(file)
            self.parts.append(self.opened.enter_context(pikepdf.open(file)))
            self._begin(pikepdf.new())

    def keep(self, path, index, page, dpi):
        """A page of a PDF as it is, with text."""
        if path not in self.sources:
            self.sources[path] = self.opened.enter_context(_open(path))
        source = self.sources[path]
        count = self.count if source is self.base else len(source.pages)
        if not 0 <= index < count:
            raise UserError(f"{path}: it has {count} pages, no page {index + 1}; check the number")
        if self.base is None and not self.parts and not len(self.pdf.pages):
            self.base, self.count = source, count
            self._begin(source)
        if source is self.base and index not in self.used:
            self.used.add(index)
            sheet = source.pages[index]
        else:
            self.pdf.pages.append(source.pages[index])
            sheet = self.pdf.pages[-1]
        matrix = _matrix(sheet, page, dpi)
        font = _font_name(sheet, self.font)
        text = text_layer(page, matrix, font.encode(), self.astral)
        if text:  # under what is seen: behind it, what a page leaves of its state would move the text
            sheet.contents_add(text, prepend=True)

    def whole(self):
        """The document with all its pages."""
        fill_font(self.font, self.pdf, self.astral)
        for index in sorted(set(range(self.count)) - self.used, reverse=True):
            del self.pdf.pages[index]
        if not self.parts:
            return self.pdf
        whole = pikepdf.new()
        for part in (*self.parts, self.pdf):
            whole.pages.extend(part.pages)
        return whole


# === Images ===

# Where the corners of an image come to be when it is turned: PDF's matrices of the unit square.
_TURNS = {
    None: (1, 0, 0, 1, 0, 0),
    Image.Transpose.FLIP_LEFT_RIGHT: (-1, 0, 0, 1, 1, 0),
    Image.Transpose.ROTATE_180: (-1, 0, 0, -1, 1, 1),
    Image.Transpose.FLIP_TOP_BOTTOM: (1, 0, 0, -1, 0, 1),
    Image.Transpose.TRANSPOSE: (0, -1, -1, 0, 1, 1),
    Image.Transpose.ROTATE_270: (0, -1, 1, 0, 0, 1),
    Image.Transpose.TRANSVERSE: (0, 1, 1, 0, 0, 0),
    Image.Transpose.ROTATE_90: (0, 1, -1, 0, 1, 0),
}
_SIDEWAYS = [turn for turn, matrix in _TURNS.items() if not matrix[0]]
_SPACES = {"1": Name.DeviceGray, "L": Name.DeviceGray, "RGB": Name.DeviceRGB, "CMYK": Name.DeviceCMYK}


def _extent(width, height, dpi):
    """The width and height of a page, in units of 1/72 inch, for an image of so many pixels."""
    dpi = np.broadcast_to(np.asarray(DPI if dpi is None else dpi, np.float64), 2)
    if not ((dpi > 1) & np.isfinite(dpi)).all():  # of 0 or 1 nothing is meant
        dpi = np.array([DPI, DPI])
    extent = np.maximum(np.array([width, height]) * 72 / dpi, 3)
    return extent * min(1, LONGEST / extent.max())


def _picture(image, quality):
    """``(data, attributes, turn)`` of an image: what an image of a PDF has, and how it is shown upright."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _jpeg(bytes(image))
    pixels = np.asarray(image)
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"an image is uint8 [height, width, 1 or 3], not {pixels.dtype} {pixels.shape}")
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    if picture.mode == "L" and not any(picture.histogram()[1:255]):
        return _fax(picture.convert("1"))
    if quality is None:
        return _flate(picture)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return _jpeg(file.getvalue())


def _about(picture, compression, bits=8, **more):
    width, height = picture.size
    space = _SPACES[picture.mode]
    return {
        "Width": width, "Height": height, "ColorSpace": space, "BitsPerComponent": bits,
        "Filter": compression, **more,
    }  # fmt: skip


def _jpeg(data):
    try:
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    except Exception as error:
        raise ValueError("these bytes are no JPEG; give pixels") from error
    more = {}
    if picture.mode == "CMYK" and "adobe" in picture.info:  # Adobe's programs write them inverted
        more["Decode"] = Array([1, 0] * 4)
    return data, _about(picture, Name.DCTDecode, **more), upright(picture)


def _fax(picture):
    """Black and white: as CCITT's group 4, which a TIFF has in the form that PDF has it."""
    file, (width, height) = io.BytesIO(), picture.size
    picture.save(file, "TIFF", compression="group4", tiffinfo={278: height})  # rows in a strip: all
    file.seek(0)
    tags = TiffImagePlugin.TiffImageFile(file).tag_v2
    (begin,), (length,) = tags[273], tags[279]
    parameters = Dictionary(K=-1, Columns=width, Rows=height, BlackIs1=tags[262] == 1)
    data = file.getvalue()[begin : begin + length]
    return data, _about(picture, Name.CCITTFaxDecode, 1, DecodeParms=parameters), None


def _flate(picture):
    """Grey and colours without loss: what a PNG has between its headers."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    png, at, parts = file.getvalue(), 8, []
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += length + 12
    colours = len(picture.getbands())
    parameters = Dictionary(Predictor=15, Colors=colours, BitsPerComponent=8, Columns=picture.width)
    return b"".join(parts), _about(picture, Name.FlateDecode, DecodeParms=parameters), None


# === Pages of a PDF ===


def _open(path):
    try:
        return pikepdf.open(path)
    except pikepdf.PasswordError as error:
        raise UserError(f"{path}: this PDF needs a password; save it without") from error
    except (pikepdf.PdfError, OSError) as error:
        raise UserError(f"{path}: this PDF cannot be read ({error}); save it again") from error


def _inherited(sheet, name):
    """What a page has, or the tree of pages above it; None where none has it."""
    node, seen = sheet.obj, 0
    while node is not None and seen < 100:
        if name in node:
            return node[name]
        node, seen = node.get("/Parent"), seen + 1
    return None


def _box(sheet, name):
    """``left, bottom, right, top`` of a box of a page."""
    sides = _inherited(sheet, name)
    try:
        x0, y0, x1, y1 = (float(side) for side in sides)
    except (TypeError, ValueError):
        return None
    return np.array([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)])


def _matrix(sheet, page, dpi):
    """``[2, 3]``: from pixels of a page as it is shown to the units in which its content is."""
    media = _box(sheet, "/MediaBox")
    media = np.array([0.0, 0, 612, 792]) if media is None else media  # as viewers have it
    crop = _box(sheet, "/CropBox")
    if crop is not None:
        crop = np.concatenate([np.maximum(crop[:2], media[:2]), np.minimum(crop[2:], media[2:])])
    left, bottom, right, top = media if crop is None or (crop[2:] <= crop[:2]).any() else crop
    turn = _inherited(sheet, "/Rotate")
    turn = int(turn) % 360 if isinstance(turn, (int, float, Decimal)) else 0
    wide, high = right - left, top - bottom
    shown = np.array([high, wide] if turn in (90, 270) else [wide, high])
    size = w.size_of(page) or shown * np.asarray(DPI if dpi is None else dpi) / 72
    x, y = shown / size  # units a pixel
    return {
        0: np.array([[x, 0, left], [0, -y, top]]),
        90: np.array([[0, y, left], [x, 0, bottom]]),
        180: np.array([[-x, 0, right], [0, y, bottom]]),
        270: np.array([[0, -y, right], [-x, 0, top]]),
    }.get(turn, np.array([[x, 0, left], [0, -y, top]]))


def _font_name(sheet, font):
    """The name under which a page has the font, which is added to its resources."""
    if not isinstance(sheet.obj.get("/Resources"), Dictionary):
        above = _inherited(sheet, "/Resources")
        sheet.obj.Resources = Dictionary(dict(above.items()) if isinstance(above, Dictionary) else {})
    resources = sheet.obj.Resources
    if not isinstance(resources.get("/Font"), Dictionary):
        resources.Font = Dictionary()
    count = 0
    while (name := f"/Invisible{count or ''}") in resources.Font:
        if getattr(resources.Font[name], "objgen", None) == font.objgen:
            return name
        count += 1
    resources.Font[name] = font
    return name
