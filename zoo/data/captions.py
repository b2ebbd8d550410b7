"""What corpora of captioned images and videos share: what is said of each, as its language has it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo.data import listed
from zoo.data.samples import Samples
from zoo.errors import UserError
from zoo.text.files import split_lines
from zoo.text.normalise import language_of, normalise_caption

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.listed import Kind
    from zoo.files import FileList

_FEW = 100  # images of a Parquet table tell its language


def normalising(language: str | None = None) -> dict[str, Callable]:
    """The fields of a ``Kind`` whose captions are of a language, as ``normalise_caption`` has it."""

    def clean(caption):
        return normalise_caption(caption, language)

    return {"clean": clean, "parts": lambda text: list(map(clean, split_lines(text)))}


def read_captioned(
    path: str | os.PathLike | FileList, read: Callable, skipped: list[str] | None, kind: Kind
) -> Iterator[tuple[str, Any, list[str]]]:
    """Iterate over the captioned things of a corpus, one in memory at a time.

    Args:
        path: the folder, archive or ``FileList``.
        read: ``(data, name)`` -> what is kept of a thing. Raises UserError for one that cannot be used.
        skipped: a list; a sentence is appended for each thing, list and line of one that cannot be used.
        kind: a ``zoo.data.listed.Kind`` with ``normalising``.

    Yields:
        ``(name, what was read, captions)``: ``SPLIT/FILE``, or the path in the corpus where no split is
        known; the normalised captions, a list of str, one at least.
    """
    names, described = set(), _described(path, kind, skipped)
    for found, data in described.read():
        try:
            seen = read(data, f"{path}: {found.member}")
        except UserError as error:
            skipped.append(str(error))
            continue
        file = found.member.lstrip("./")
        name = f"{found.split}/{posixpath.basename(file)}" if found.split else file
        if name in names:
            name = f"{found.split}/{file}"
        names.add(name)
        yield name, seen, found.texts


def _described(path, kind, skipped):
    """The ``DescribedImages`` of a corpus, whose captions are normalised as its language has it."""
    told = []
    described = listed.DescribedImages(path, kind, told)
    said = list(told)
    few = described.images.values() or [found for found, _ in itertools.islice(described.read(), _FEW)]
    if language := language_of(text for found in few for text in found.texts):
        return listed.DescribedImages(path, dataclasses.replace(kind, **normalising(language)), skipped)
    skipped += said
    described.skipped = skipped
    return described


class CaptionedSamples(Samples):
    """Some captioned things of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/SPLIT/FILE`` of each, or ``CORPUS/`` and its path in the corpus where no split is
            known; the corpus is named as its file without suffixes.
        texts: its normalised captions (see ``zoo.text.normalise.normalise_caption``), one on each line.
        references: lists of these captions, one for each thing.
        skipped: sentences on things and captions that could not be used.
    """

    named = None  # columns that a person named

    def __init__(self, sources: Sequence, chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.references = [text.split("\n") for text in self.texts]

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        return []

    @staticmethod
    def complaint(name: str, text: str) -> str | None:
        return None if text else f"{name} has no caption."
