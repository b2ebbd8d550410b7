"""Corpora of ink and what it says, prepared once.

A corpus is a folder, a tar or a zip of files of strokes (see ``zoo.formats.strokes``), or one such file. The
text is told in them, or stands in ``NAME.gt.txt`` or ``NAME.txt`` beside. Samples of known writers are named
``WRITER/NAME``, so that writers are held out whole. ``PATH@3`` shows a small corpus three times an epoch.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from zoo import files
from zoo.data.given import Given
from zoo.data.late import tfds
from zoo.data.samples import LocalCorpus, Samples
from zoo.errors import UserError
from zoo.families.ink.vocabulary import are_divided, as_tokens
from zoo.formats import held
from zoo.formats.strokes import SUFFIXES, as_points, pad, read_drawn, read_ink
from zoo.formats.tables import check_named
from zoo.text.files import decode_text
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from pathlib import Path

_UNKNOWN = ("", "unknown", "none", "n/a", "?")  # writers of whom nothing is known
_ENDS = tuple(suffix + end for suffix in SUFFIXES for end in ("", ".gz"))


class InkCorpus(LocalCorpus):
    """Reads one local corpus: ``points``, ``text`` and ``name`` of each ink; see ``LocalCorpus``."""

    @property
    def features(self) -> dict[str, Any]:
        return {
            "points": tfds.features.Tensor(shape=(None, 3), dtype=np.float32, encoding="bytes"),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def samples(self) -> Iterator[dict[str, np.ndarray | str]]:
        found, taken = list(self._drawn()), set()
        divided = are_divided([text for _, _, text in found])
        for name, points, text in found:
            text = as_tokens(text) if divided else text
            if not text:
                self.skipped.append(f"{self.path}: {name} says nothing.")
                continue
            name = name if name not in taken else f"{name}-{len(taken) + 1}"
            taken.add(name)
            yield {"points": points, "text": text, "name": name}

    def _drawn(self):
        """Iterate over the name, points and text of what can be used."""
        texts, single = {}, None
        if not isinstance(self.path, files.FileList) and self.path.is_file():
            single = self.path.name if self.path.name.lower().endswith(_ENDS) else None
        if single:
            members = [(single, self.path.read_bytes())]
        else:
            for name, data in files.open_members(self.path, _is_text, self.skipped):
                try:
                    texts[_stem(name)] = decode_text(data, f"{self.path}: {name}")
                except UserError as error:
                    self.skipped.append(f"{str(error).rstrip('.')}.")
            members = files.open_members(self.path, _is_ink, self.skipped)
        for member, data in members:
            where = str(self.path) if single else f"{self.path}: {member}"
            path = self.path if single else files.member_path(self.path, member)
            try:
                drawn = read_drawn(data, where, path)
            except UserError as error:
                self.skipped.append(f"{str(error).rstrip('.')}.")
                continue
            for one in drawn:
                name = _stem(member) + (f"/{one.name}" if one.name else "")
                text = one.text if one.text is not None or len(drawn) > 1 else texts.get(_stem(member))
                if text is None and "include" in posixpath.dirname(member).split("/"):
                    continue  # a part of UNIPEN's other files
                if text is None or not normalise(text).strip():
                    ink = f", ink {one.name}" if one.name else ""
                    self.skipped.append(f"{where}{ink} does not tell its text.")
                    continue
                try:
                    points = as_points(one.strokes, where)
                except UserError as error:
                    self.skipped.append(f"{str(error).rstrip('.')}.")
                    continue
                writer = one.writer.strip().replace("/", "_")
                prefix = "" if writer.lower() in _UNKNOWN else f"{writer}/"
                yield prefix + name, points, " ".join(normalise(text).split())

    def unusable(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: no ink in it could be used ({reason}); give InkML, .xopp, JSON or UNIPEN with the "
            "text in it, or in NAME.gt.txt beside."
        )


def _is_text(name):
    return name.lower().endswith(".txt")


def _is_ink(name):
    return name.lower().endswith(_ENDS)


def _stem(name):
    """A member's name without its suffixes."""
    folder, file = posixpath.split(name)
    low = file.lower()
    end = max((end for end in (*_ENDS, ".gt.txt", ".txt") if low.endswith(end)), key=len, default="")
    return posixpath.join(folder, file[: len(file) - len(end)])


class Inks(Samples):
    """Some inks of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/WRITER/NAME`` of each, without the writer where none is known.
        texts: what they say, normalised; tokens divided by blanks where the corpus has such.
        skipped: sentences on those that could not be used.

    ``dataset`` gives ``points``, float32 ``[points, 3]``, and ``text``.
    """

    noun = "ink"
    version = 2

    @classmethod
    def local(cls, path: str | os.PathLike) -> InkCorpus:
        return InkCorpus(path)

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path, str]:
        found, label = super().locate(path)
        ends = "|".join(re.escape(end) for end in _ENDS)
        return found, re.sub(rf"(?i)({ends})$", "", label)

    @staticmethod
    def uniform(builder: Any) -> NoReturn:
        raise UserError(f"tfds:{builder.name} is not known to have pen strokes; give files of them.")

    @staticmethod
    def measures(sample: dict[str, Any]) -> list[int]:
        return [len(sample["points"])]

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[str]]]:
        """Iterate over ``(points, texts)``, up to ``size``: float32 arrays ``[points, 3]`` and str."""
        for batch in self._batches(size):
            yield [sample["points"] for sample in batch], [sample["text"].decode() for sample in batch]

    def padded(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over batches of points: float32 ``[batch, points, 3]`` and int32 ``[batch]``, in order."""
        for points, _ in self.chunks(size):
            yield pad(points)


def load_inks(corpora: Any, only: str | None = None, progress: bool = False) -> Inks:
    """Prepare corpora (the first time) and give their inks as ``Inks``.

    Args:
        corpora: a list of files, folders and archives, or one of these.
        only: a regular expression; inks are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no ink that can be used.
    """
    return Inks.load(corpora, only, progress)


def _write(folder, rows, about, config):
    """Write rows that were given in Python as lines of JSON, and give their number."""
    count = 0
    with open(folder / "given.jsonl", "w", encoding="utf-8") as file:
        for count, row in enumerate(rows, 1):
            ink = held.plain(row.get("ink"))
            points = read_ink(np.asarray(ink) if isinstance(ink, list) else ink, f"row {count}")
            strokes = np.split(points[:, :2], np.flatnonzero(points[:, 2])[:-1] + 1)
            told = {what: str(row.get(what) or "") for what in ("text", "writer")}
            told["strokes"] = [stroke.tolist() for stroke in strokes]
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
    return count


GIVEN = Given(("ink", "text"), "ink", write=_write)


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Inks:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration.

    Raises:
        UserError: as ``load_inks``, or there are ``columns`` of tables, which these corpora have none of.
    """
    check_named(columns, ())
    return load_inks(corpora, only, progress)
