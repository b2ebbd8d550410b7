"""Corpora of text lines, prepared once.

A corpus is a folder, a zip or a tar of images with their transcripts, in any subfolders, known by what lies
there; docs/corpora.md shows each layout:

- ``NAME.gt.txt``, or without any such ``NAME.txt``, beside ``NAME.png|jpg|tif|webp|…``, the layout of
  OCRopus, Calamari, kraken and tesstrain; of OCRopus's ``NAME.bin.png`` and ``NAME.nrm.png`` one is read;
- lists, as of PaddleOCR, EasyOCR, docTR, MMOCR, ICDAR and Hugging Face: see ``zoo.data.listed``;
- whole pages with ALTO, PAGE, hOCR or ABBYY's XML, whose lines are cut out: see ``zoo.data.pages``;
- kraken's Arrow and Calamari's HDF5: see ``zoo.data.packed``.

So is such a file, a list or the XML of a page alone, a Parquet table, a pattern or list of images, or
``tfds:NAME[/CONFIG][:SPLIT]``, any public set that has an image and a text feature; the images that a list
names lie anywhere. ``PATH@3`` shows a small corpus three times an epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from export.runtime import IMAGE_SUFFIXES
from zoo.data import listed, packed, pages
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.lines import KIND, TEXT, read_pairs
from zoo.data.samples import LocalCorpus, Samples, feature_of, mapped_text
from zoo.formats.tables import check_named, with_columns
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.data.listed import Kind
    from zoo.data.prepared import Prepared
    from zoo.errors import UserError
    from zoo.files import FileList


class LineCorpus(LocalCorpus):
    """Reads one local line corpus: ``image``, ``text`` and ``name`` of each line.

    Args:
        path: the folder, archive or ``FileList``.
        kind: ``KIND``, perhaps with columns that a person named.
    """

    @property
    def features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def __init__(self, path: str | os.PathLike | FileList, kind: Kind = KIND) -> None:
        super().__init__(path)
        self.kind = kind

    def samples(self) -> Iterator[dict[str, np.ndarray | str]]:
        for name, pixels, text in read_pairs(self.path, self.skipped, self.kind):
            yield {"image": pixels, "text": text, "name": name}

    def unusable(self, reason: str) -> UserError:
        wanted = f"give images, each with a {TEXT} file of the same name beside it"
        return listed.unusable(self.path, self.kind, "lines", reason, wanted)


class Lines(Samples):
    """Some lines of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/NAME`` of every line, the corpus named as its file without suffixes.
        texts: their normalised transcripts.
        shapes: int array ``[lines, 2]``, height and width in pixels.
        skipped: sentences on lines that could not be used.

    ``dataset`` gives ``image`` uint8 ``[height, width, 1]`` and ``text``.
    """

    noun = "line"
    version = 6
    named = None  # columns that a person named
    suffixes = (*IMAGE_SUFFIXES, TEXT)

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.shapes = np.stack([self._numbers(2), self._numbers(3)], axis=1)

    @classmethod
    def local(cls, path: str | os.PathLike | FileList) -> LineCorpus:
        return LineCorpus(path, KIND.naming(cls.named))

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path | FileList, str]:
        kind = KIND.naming(cls.named)
        found = pages.located(path) or packed.located(path) or listed.located(path, kind)
        return found or super().locate(path)

    @staticmethod
    def uniform(builder: Any) -> Callable:
        what = "images of lines and their text"
        image = feature_of(builder, tfds.features.Image, [], what)
        text = feature_of(builder, tfds.features.Text, ["text"], what)

        def convert(sample):
            pixels = tf.cast(sample[image], tf.float32)
            grey = tf.cast(tf.round(tf.reduce_mean(pixels, axis=-1, keepdims=True)), tf.uint8)
            words = mapped_text(normalise, sample[text])
            return {"image": grey, "text": words} | ({"name": sample["name"]} if "name" in sample else {})

        return convert

    @staticmethod
    def measures(sample: dict[str, Any]) -> list[int]:
        return list(sample["image"].shape[:2])

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[str]]]:
        """Iterate over ``(images, texts)``, lists of up to ``size`` uint8 arrays and str."""
        for batch in self._batches(size):
            yield [sample["image"] for sample in batch], [sample["text"].decode() for sample in batch]


def load_lines(
    corpora: Any, only: str | None = None, progress: bool = False, columns: dict[str, str] | None = None
) -> Lines:
    """Prepare corpora (the first time) and give their lines.

    Args:
        corpora: a list of folders, archives, lists, images and ``tfds:`` names, or one of these.
        only: a regular expression; lines are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.
        columns: ``{"image": name, "text": name}`` of tables, where ``KIND`` knows no such names.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no line that can be used.
    """
    return with_columns(Lines, check_named(columns, KIND.wanted)).load(corpora, only, progress)


GIVEN = Given(("image", "text"), "image", KIND.image_columns)


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Lines:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_lines(corpora, only, progress, columns)
