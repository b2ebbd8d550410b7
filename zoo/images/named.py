"""Images on the disk, as the files beside them name them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from export.runtime import IMAGE_SUFFIXES

FOLDER = "images"  # beside a list, in which docTR has them


def on_disk(
    reference: str, folder: str | os.PathLike, suffixes: Sequence[str] = IMAGE_SUFFIXES
) -> str | None:
    """The file that a list in ``folder`` means by a path, with or without its suffix; or None.

    Where it leads nowhere, its ends are looked for beside the list, which may have moved.
    """
    ends = [""] if reference.lower().endswith(suffixes) else suffixes
    near = [os.path.join(folder, part, tail) for tail in tails(reference) for part in ("", FOLDER)]
    places = [os.path.join(folder, reference), os.path.join(folder, FOLDER, reference), reference, *near]
    return next((place + end for place in places for end in ends if os.path.isfile(place + end)), None)


def tails(reference: str) -> list[str]:
    """The ends of a path, the longest first: a/b/c, b/c, c."""
    parts = reference.strip("/").split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def image_of_page(named: str, path: str | os.PathLike) -> str | None:
    """The image of a page that XML tells; or None.

    Args:
        named: what the XML calls it, perhaps "". Of TIFFs, many a folder has JPEGs under the same names.
        path: the XML file, which may have its name.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(os.path.abspath(path))
    places = (named, os.path.splitext(named)[0], stem)
    return next((found for place in places if place and (found := on_disk(place, folder))), None)
