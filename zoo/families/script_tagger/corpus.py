"""Corpora of text lines with a class for every pixel column, prepared once.

A corpus is a folder, a zip or a tar of images with ``NAME.columns.txt`` beside ``NAME.png|jpg|tif|…``: a
character for each pixel column of the image as it is, from the left; ``0`` to ``9``, then ``a`` to ``z``. Or
the file names a class for each column, with blanks or line ends between: by its number or its name, such as
an ISO 15924 code. Where a file ``classes.txt`` lies in the corpus, its lines are the names of the classes,
from 0 on; without it these numbers mean a model's own classes. ``PATH@3`` shows a small corpus three times an
epoch. ``zoo render --script`` writes such corpora.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.data.given import Given, encoded
from zoo.data.late import tfds
from zoo.data.samples import LocalCorpus, Samples
from zoo.errors import UserError
from zoo.formats import held
from zoo.formats.tables import check_named
from zoo.images.lines import read_strip
from zoo.text.files import decode_text, split_lines
from zoo.text.scripts import CLASSES, COLUMNS, SYMBOLS

if TYPE_CHECKING:
    from zoo.data.prepared import Prepared
    from zoo.files import FileList


class ColumnCorpus(LocalCorpus):
    """Reads one local corpus.

    A line has ``image``, ``name``, ``text``, the names of all classes of the corpus, one a line, and
    ``columns``, the numbers of these lines.
    """

    @property
    def features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8),
            "columns": tfds.features.Tensor(shape=(None,), dtype=np.uint8, encoding="zlib"),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def samples(self) -> Iterator[dict[str, Any]]:
        for name, pixels, columns, names in read_tagged(self.path, self.skipped):
            yield {"image": pixels, "columns": columns, "text": "\n".join(names), "name": name}

    def unusable(self, reason: str) -> UserError:
        reason = reason.removeprefix(f"{self.path}: ")
        return UserError(
            f"{self.path}: no line in it could be used ({reason}); give images, each with a file "
            f"NAME{COLUMNS} beside it, which has a class for every pixel column."
        )


def read_tagged(path: str | os.PathLike | FileList, skipped: list[str] | None) -> Iterator[tuple]:
    """Iterate over the lines of a corpus.

    Args:
        path: the folder, archive or ``FileList``.
        skipped: a list; a sentence is appended for each line that cannot be used.

    Yields:
        ``(name, pixels, columns, names)``: name without suffix, grey uint8 ``[height, width, 1]``, uint8
        ``[width]``, and the names that these numbers stand for, list of str.

    Raises:
        UserError: the corpus or its ``classes.txt`` cannot be read.
    """
    images, texts = {}, {}

    def wanted(member):
        if member.lower().endswith(IMAGE_SUFFIXES):
            images.setdefault(posixpath.splitext(member)[0], []).append(member)
        return member.endswith(COLUMNS) or posixpath.basename(member) == CLASSES

    for member, data in files.open_members(path, wanted, skipped):
        texts[member] = data
    classes = {
        posixpath.dirname(member): _names(decode_text(data, f"{path}: {member}"), f"{path}: {member}")
        for member, data in texts.items()
        if posixpath.basename(member) == CLASSES
    }
    tagged = {m.removesuffix(COLUMNS): m for m in texts if m.endswith(COLUMNS)}
    skipped += [f"{path}: {tagged[stem]} has no image." for stem in tagged if stem not in images]
    for stem, alike in images.items():
        if stem not in tagged:
            skipped.append(f"{path}: {alike[0]} has no file {posixpath.basename(stem)}{COLUMNS}.")
        skipped += [f"{path}: {member} was left out, another image has its name." for member in alike[1:]]
    members = {alike[0]: stem for stem, alike in images.items() if stem in tagged}
    for member, data in files.open_members(path, members.__contains__, skipped):
        stem = members[member]
        try:
            pixels = read_strip(data, f"{path}: {member}")
            where = f"{path}: {tagged[stem]}"
            text = decode_text(texts[tagged[stem]], where)
            names = next((classes[f] for f in _folders(stem) if f in classes), None)
            columns, names = _columns(text, pixels.shape[1], names, where)
        except UserError as error:
            skipped.append(str(error))
            continue
        yield stem.lstrip("./"), np.round(pixels.mean(-1, keepdims=True)).astype(np.uint8), columns, names


def _names(text, where):
    names = [line.strip() for line in split_lines(text) if line.strip()]
    if len(set(names)) != len(names) or not 2 <= len(names) <= 256:
        raise UserError(f"{where}: give two names of classes or more, each on a line and another.")
    return names


def _folders(stem):
    """The folders of a file, the innermost first."""
    while stem:
        stem = posixpath.dirname(stem)
        yield stem


def _columns(text, width, names, where):
    """``(columns, names)`` of a file of columns: uint8 ``[width]``, numbers of the names, and these."""
    words = text.split()
    if len(words) != width:
        symbols = "".join(words)
        if len(symbols) != width:
            raise UserError(
                f"{where} has {len(symbols)} columns, its image {width}; give a class for each pixel column."
            )
        unknown = next((symbol for symbol in symbols if symbol not in SYMBOLS), None)
        if unknown:
            raise UserError(f"{where}: {unknown!r} stands for no class; write 0 to 9, then a to z.")
        words = [str(SYMBOLS.index(symbol)) for symbol in symbols]
    if names:
        words = [
            names[int(word)] if word not in names and word.isdecimal() and int(word) < len(names) else word
            for word in words
        ]
        unknown = next((word for word in words if word not in names), None)
        if unknown:
            raise UserError(f"{where}: the class {unknown!r} is none of {CLASSES}, {', '.join(names)}.")
    names = names or sorted(set(words), key=_by_number)
    if len(names) > 256:
        raise UserError(f"{where}: {len(names)} classes are too many; give 256 at most.")
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[word] for word in words], np.uint8), names


def _by_number(name):
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)


class TaggedLines(Samples):
    """Some lines of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/NAME`` of every line, the corpus named as its file without suffixes.
        texts: the names of the classes of its corpus, one a line.
        shapes: int array ``[lines, 2]``, height and width in pixels.
        occurring: list of lists, the names of the classes that each has.
        skipped: sentences on lines that could not be used.

    ``dataset`` gives ``image`` uint8 ``[height, width, 1]``, ``text``, and ``columns`` uint8 ``[width]``, the
    numbers of its lines.
    """

    local = ColumnCorpus
    noun = "line"
    suffixes = (*IMAGE_SUFFIXES, COLUMNS)

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.shapes = np.stack([self._numbers(2), self._numbers(3)], axis=1)
        self.occurring = [names.split("\n") for names in self._strings(4)]

    @property
    def classes(self) -> list[str]:
        """The names of all classes that occur, in the order of the corpora; numbers come first."""
        found = {name for own in self.occurring for name in own}
        listed = dict.fromkeys(name for text in dict.fromkeys(self.texts) for name in text.split("\n"))
        named = [name for name in listed if name in found and not name.isdecimal()]
        return sorted(filter(str.isdecimal, found), key=int) + named

    @staticmethod
    def uniform(builder: Any) -> NoReturn:
        raise UserError(
            f"tfds:{builder.name} has no class for each pixel column; give a folder or archive of images, "
            f"each with NAME{COLUMNS} beside it."
        )

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        names = sample["text"].split("\n")
        return [*sample["image"].shape[:2], "\n".join(names[i] for i in np.unique(sample["columns"]))]

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
        """Iterate over ``(images, columns)``, lists of up to ``size`` uint8 images and arrays of names."""
        for batch in self._batches(size):
            names = [sample["text"].decode().split("\n") for sample in batch]
            yield (
                [sample["image"] for sample in batch],
                [np.array(own)[sample["columns"]] for own, sample in zip(names, batch, strict=True)],
            )


def load_tagged(corpora: Any, only: str | None = None, progress: bool = False) -> TaggedLines:
    """Prepare corpora (the first time) and give their lines as ``TaggedLines``.

    Args:
        corpora: a list of folders, archives and images, or one of these.
        only: a regular expression; lines are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no line that can be used.
    """
    return TaggedLines.load(corpora, only, progress)


def _write(folder, rows, about, config):
    """Write rows that were given in Python as images with the class of each column, and give their number."""
    count, folder = 0, folder / "given"
    folder.mkdir()
    for count, row in enumerate(rows, 1):
        pixels = read_strip(held.plain(row.get("image")), f"row {count}")
        columns = held.plain(row.get("columns"))
        text = columns if isinstance(columns, str) else " ".join(map(str, np.asarray(columns).tolist()))
        (folder / f"{count:06d}.png").write_bytes(encoded(pixels, "image", None, count))
        (folder / f"{count:06d}{COLUMNS}").write_text(text, encoding="utf-8")
    return count


GIVEN = Given(("image", "columns"), "image", write=_write)


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> TaggedLines:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration.

    Raises:
        UserError: as ``load_tagged``, or there are ``columns`` of tables, which these corpora have none of.
    """
    check_named(columns, ())
    return load_tagged(corpora, only, progress)
