"""Lines of whole pages: images with XML beside them, as of eScriptorium, Transkribus, OCR-D and libraries.

The XML is ALTO, PAGE, hOCR or ABBYY's, see ``zoo.formats.pages``. A page's image is what the file names, or
what has its name, or what a METS file says.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from export import runtime
from zoo import files
from zoo.data import listed
from zoo.errors import UserError
from zoo.formats.pages import read_pages
from zoo.formats.xml import read_xml
from zoo.images.cutting import cut_lines
from zoo.images.lines import user_errors
from zoo.images.named import image_of_page

if TYPE_CHECKING:
    import numpy as np

    from zoo.files import FileList
    from zoo.formats.pages import Page

SUFFIXES = (".xml", ".hocr", ".html")


class DescribedPages:
    """The pages of a folder, an archive or a ``FileList`` whose lines XML tells.

    Args:
        path: the corpus.
        skipped: a list; a sentence is appended for each thing that cannot be used.

    Attributes:
        images: ``{member: (member of the XML, Page)}``.
    """

    def __init__(self, path: str | os.PathLike | FileList, skipped: list[str] | None) -> None:
        self.path, self.skipped, self.images = path, skipped, {}
        images, found, mets = [], [], {}

        def wanted(member):
            if member.lower().endswith(runtime.IMAGE_SUFFIXES):
                images.append(member)
            return member.lower().endswith(SUFFIXES)

        try:
            for member, data in files.open_members(path, wanted, skipped):
                try:
                    mets |= _mets(data, member)
                    found += [(member, page) for page in read_pages(data, f"{path}: {member}") or ()]
                except UserError as error:
                    skipped.append(f"{str(error).rstrip('.')}.")
        except files.NoArchive:
            return  # whoever reads what else there is says so
        by_name = {}
        for image in sorted(images):
            for name in {posixpath.basename(image), posixpath.splitext(posixpath.basename(image))[0]}:
                by_name.setdefault(unicodedata.normalize("NFC", name), []).append(image)
        for member, page in found:
            image = self._image(member, page, by_name, mets)
            if image is None:
                named = page.image or posixpath.splitext(member)[0]
                skipped.append(f"{path}: {member}: its image {named} is not there; put it beside the XML.")
            elif image in self.images:
                other = self.images[image][0]
                skipped.append(f"{path}: {member} was left out, {other} is of the same image {image}.")
            else:
                self.images[image] = member, page

    @staticmethod
    def _image(member, page, by_name, mets):
        folder, file = posixpath.split(member)
        stem = file[: len(file) - len(posixpath.splitext(file)[1])]
        # Of TIFFs, many a folder has JPEGs under the same names.
        named = [page.image, posixpath.splitext(page.image)[0]] if page.image else []
        for reference in (*named, stem, mets.get(file)):
            if reference:
                image, _ = listed.find_image(reference, folder, None, by_name)
                if image is not None:
                    return image
        return None

    def pages(self) -> Iterator[tuple[str, np.ndarray, Page]]:
        """Iterate over ``(member, pixels, page)``: of its XML, uint8 ``[height, width, channels]``, ``Page``.

        What cannot be read is in ``skipped``.
        """
        if not self.images:
            return  # an archive is not unpacked once more for nothing
        for image, data in files.open_members(self.path, self.images.__contains__, self.skipped):
            member, page = self.images[image]
            try:
                with user_errors():
                    pixels = runtime.read_image(data, f"{self.path}: {image}", check=False)
            except UserError as error:
                self.skipped.append(f"{str(error).rstrip('.')}.")
            else:
                yield member, pixels, page

    def read(self) -> Iterator[tuple[str, np.ndarray, str]]:
        """Iterate over ``(name, pixels, text)`` of the lines with a transcript, page by page.

        The name is ``PAGE/NUMBER``; pixels are uint8 ``[height, width, channels]``.
        """
        for member, pixels, page in self.pages():
            where, silent = f"{self.path}: {member}", 0
            try:
                for number, (line, cut) in enumerate(cut_lines(pixels, page, where), 1):
                    if not (line.text or "").strip():
                        silent += 1
                    elif isinstance(cut, UserError):
                        self.skipped.append(f"{where}, line {line.name or number}: {cut}.")
                    else:
                        yield f"{posixpath.splitext(member)[0]}/{number:04d}", cut.pixels, line.text
            except UserError as error:
                self.skipped.append(f"{str(error).rstrip('.')}.")
            if silent:
                self.skipped.append(f"{where}: {silent} of {len(page.lines)} lines have no transcript.")


def located(path: str | os.PathLike) -> tuple[FileList, str] | None:
    """XML of pages given as a file: ``(FileList, label)`` of it and its images; None of other files.

    Raises:
        UserError: it cannot be read, or none of its images is there.
    """
    name = os.path.basename(path)
    if not name.lower().endswith(SUFFIXES) or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        pages = read_pages(file.read(), path)
    if not pages:
        return None
    members, stem = {name: path}, os.path.splitext(name)[0]
    for page in pages:
        if found := image_of_page(page.image, path):
            members[os.path.basename(found)] = found
    if len(members) == 1:
        named = pages[0].image or f"{stem}.png"
        raise UserError(f"{path}: its image {named} is not there; put it beside the XML.")
    return files.FileList(members, path), stem


def _mets(data, name):
    """``{file of XML: image}`` that a METS file names together, without folders; none of another file."""
    if b"mets" not in data[:4096] or b"FLocat" not in data:
        return {}
    root, found = read_xml(data, name), {}
    places = {
        file.get("ID"): location.get("href", "")
        for file in root.iter("file")
        for location in file.iter("FLocat")
    }
    for division in root.iter("div"):
        own = [places.get(pointer.get("FILEID"), "") for pointer in division.findall("fptr")]
        images = [one for one in own if one.lower().endswith(runtime.IMAGE_SUFFIXES)]
        for one in own:
            if images and one.lower().endswith(SUFFIXES):
                found[posixpath.basename(one)] = posixpath.basename(images[0])
    return found
