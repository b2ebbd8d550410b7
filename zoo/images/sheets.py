"""Whole pages as people have them: images, TIFFs of several pages, PDFs, XML beside an image."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from export import runtime
from zoo.errors import UserError
from zoo.formats.pages import read_pages
from zoo.images.lines import user_errors
from zoo.images.named import image_of_page

SUFFIXES = (*runtime.IMAGE_SUFFIXES, ".pdf")  # what is read of folders
DESCRIBED = (".xml", ".hocr", ".html")  # XML with lines of its own, which is read where it is named itself
DPI = 300  # at which pages of a PDF are drawn
SQUARE = 1.2  # how much longer than wide the pixels of a fax may be before they are made square


@dataclasses.dataclass
class Sheet:
    """A page to read.

    Attributes:
        name: what messages call it.
        image: the name of the image, as XML shall have it.
        pixels: uint8 ``[height, width, 1 or 3]``, upright as the file says.
        scale: ``(across, down)``, how many of these pixels stand for one of the image's own.
        dpi: ``(across, down)``, pixels of the image in an inch; None where it does not say.
        page: a ``zoo.formats.pages.Page`` with the lines that XML tells; None where they are to be found.
        source: what a PDF can show as it is: the bytes of a JPEG file, or ``(path, number)`` of a PDF's page,
            counted from 0; None: the pixels.
    """

    name: str
    image: str
    pixels: np.ndarray
    scale: tuple = (1.0, 1.0)
    dpi: tuple | None = None
    page: object = None
    source: object = None


def open_sheets(item: Any, name: str | None = None) -> Iterator[Sheet]:
    """Iterate over the pages of an input, one at a time.

    Args:
        item: the path of an image, a PDF or an XML file, the bytes of an image or a PDF, a PIL image, or a
            uint8 array ``[height, width]`` or ``[height, width, 1 or 3]``.
        name: what to call it in messages.

    Yields:
        ``Sheet``; in the place of a page that cannot be read its UserError.

    Raises:
        UserError: nothing of it can be read.
    """
    name = runtime.image_name(item, name)
    if isinstance(item, np.ndarray | Image.Image):
        yield _sheet(item, name)
        return
    path = None if isinstance(item, bytes) else os.fspath(item)
    if path and path.lower().endswith(DESCRIBED) and os.path.isfile(path):
        yield from _described(path, name)
    elif _start(item) == b"%PDF":
        yield from _of_pdf(item, name)
    else:
        with user_errors():
            yield from _of_image(item, name)


def _start(item):
    if isinstance(item, bytes):
        return item[:4]
    with contextlib.suppress(OSError), open(item, "rb") as file:
        return file.read(4)


def _sheet(item, name, **about):
    with user_errors():
        return Sheet(name, "", runtime.read_image(item, name, check=False), **about)


def _of_image(item, name):
    file = "" if isinstance(item, bytes) else os.path.basename(item)
    with runtime.open_image(item, name, "scale it down") as picture:
        with runtime.damage(name):
            frames = runtime.page_frames(picture)
        for number, frame in enumerate(frames, 1):
            one = name if len(frames) == 1 else f"{name}, page {number}"
            try:
                with runtime.damage(one):
                    picture.seek(frame)
                    dpi = _dpi(picture)
                    jpeg = picture.format == "JPEG" and runtime.upright(picture) is None
                    pixels = runtime.read_image(picture, one, check=False)
            except runtime.ReaderError as error:
                if len(frames) == 1:
                    raise
                yield UserError(f"{error}.")
                continue
            pixels, scale = _squared(pixels, dpi)
            yield Sheet(one, file, pixels, scale, dpi, None, _bytes(item) if jpeg else None)


def _bytes(item):
    if isinstance(item, bytes):
        return item
    with open(item, "rb") as file:
        return file.read()


def _dpi(picture):
    """The resolution that an image tells, where that is one of a scan."""
    with contextlib.suppress(Exception):  # damaged data about a sound image
        across, down = (float(side) for side in picture.info["dpi"])
        if 50 <= across <= 2400 and 50 <= down <= 2400:
            return across, down
    return None


def _squared(pixels, dpi):
    """``(pixels, scale)``, where the pixels of a fax are as wide as high."""
    if dpi is None or max(dpi) / min(dpi) < SQUARE:
        return pixels, (1.0, 1.0)
    scale = tuple(max(dpi) / side for side in dpi)
    size = tuple(round(side * more) for side, more in zip(pixels.shape[1::-1], scale, strict=True))
    if size[0] * size[1] > runtime.MAX_PIXELS:
        return pixels, (1.0, 1.0)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR)).reshape(*size[::-1], -1), scale


def _described(path, name):
    """The pages that an XML file tells."""
    with open(path, "rb") as file:
        pages = read_pages(file.read(), name)
    if pages is None:
        raise UserError(f"{name}: this is no ALTO, PAGE, hOCR or ABBYY's XML; give such a file, or the image")
    for number, page in enumerate(pages, 1):
        one = name if len(pages) == 1 else f"{name}, page {number}"
        image = image_of_page(page.image, path)
        try:
            if image is None:
                named = page.image or f"{os.path.splitext(os.path.basename(path))[0]}.png"
                raise UserError(f"{one}: its image {named} is not there; put it beside the XML.")
            sheet = _sheet(image, os.path.join(os.path.dirname(name), os.path.basename(image)))
            yield dataclasses.replace(sheet, name=one, image=page.image or os.path.basename(image), page=page)
        except UserError as error:
            if len(pages) == 1:
                raise
            yield error


def _of_pdf(item, name):
    """The pages of a PDF, drawn."""
    try:
        import pypdfium2
    except ImportError as error:
        raise UserError(f'{name}: reading PDFs needs pypdfium2: pip install "seqzoo[pages]"') from error
    try:
        document = pypdfium2.PdfDocument(item)
    except pypdfium2.PdfiumError as error:
        raise UserError(f"{name}: this PDF {_problem(item)}") from error
    with document:
        count = len(document)
        for number in range(count):
            one = name if count == 1 else f"{name}, page {number + 1}"
            try:
                page = document[number]
                width, height = page.get_size()  # in points of 1/72 inch
                scale = min(DPI / 72, (0.9 * runtime.MAX_PIXELS / (width * height)) ** 0.5)
                pixels = page.render(scale=scale, rev_byteorder=True).to_numpy()
            except (pypdfium2.PdfiumError, ValueError, ZeroDivisionError) as error:
                yield UserError(f"{one}: cannot be drawn ({error}); save the PDF again")
                continue
            pixels = np.ascontiguousarray(pixels[:, :, :3])
            source = None if isinstance(item, bytes) else (os.fspath(item), number)
            file = "" if isinstance(item, bytes) else os.path.basename(item)
            yield Sheet(one, file, pixels, dpi=(72 * scale, 72 * scale), source=source)


def _problem(item):
    """Why pdfium, which tells of one file what was wrong with another, does not open a PDF."""
    import pikepdf

    try:
        with pikepdf.open(io.BytesIO(item) if isinstance(item, bytes) else item) as pdf:
            return "is damaged; save it again" if len(pdf.pages) else "has no pages; save it again"
    except pikepdf.PasswordError:
        return "is encrypted; save it without a password"
    except pikepdf.PdfError:
        return "is damaged; save it again"
