"""Continuous text: corpora of whole texts, prepared once, and streams to learn from.

A corpus is one of these:

- a text file, plain or gzip, of any name;
- Parquet or lines of JSON (``.jsonl``), each row's ``text`` or ``content``, or the column of ``--columns``;
- a folder or a tar of such files; what is no text in it is skipped;
- ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with a text feature.

Texts are UTF-8 and stay as they are, every blank, tab and line end in its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo import files
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, TextSamples, feature_of
from zoo.errors import UserError
from zoo.formats.tables import check_named, open_table, stem_of, with_columns
from zoo.text.files import decode_text, read_text

COLUMNS = {"text": ("text", "content", "document", "sentence")}  # what its name may be, best first
_TABLE = re.compile(r"(.+)\.(parquet|jsonl|ndjson)(\.gz)?", re.IGNORECASE | re.DOTALL)
_TAR = re.compile(r".*\.(tar|tgz|tbz2?|txz|zip)(\.(gz|bz2|xz))?", re.IGNORECASE | re.DOTALL)


class TextCorpus(LocalCorpus):
    """Reads one local corpus: ``text`` and ``name`` of each file, or row of a table.

    Args:
        path: the file, folder or tar.
        columns: ``{"text": name}`` of tables, where it is not among ``COLUMNS``; or None.
    """

    def __init__(self, path: str | os.PathLike, columns: dict[str, str] | None = None) -> None:
        super().__init__(path)
        self.columns = columns

    def samples(self) -> Iterator[dict[str, Any]]:
        if self.path.is_file() and _TABLE.fullmatch(self.path.name):
            yield from self._rows(self.path)
            return
        if self.path.is_file() and not _TAR.fullmatch(self.path.name):
            text = read_text(self.path)
            if text:
                yield {"name": "text", "text": text}
            return
        taken = set()
        for name, data in files.open_members(self.path, skipped=self.skipped):
            try:
                if _TABLE.fullmatch(name):
                    yield from self._rows(f"{self.path}: {name}", data, f"{stem_of(name, taken)}/")
                    continue
                text = decode_text(data, f"{self.path}: {name}")
            except UserError as error:
                self.skipped.append(str(error))
                continue
            if text:
                yield {"name": name, "text": text}
            else:
                self.skipped.append(f"{self.path}: {name} is empty.")

    def _rows(self, path, data=None, folder=""):
        table = open_table(path, self.skipped, data)
        for _, line, row in table.pick(COLUMNS, named=self.columns, literal=["text"]):
            yield {"name": f"{folder}{line:06d}", "text": row["text"]}

    def unusable(self, reason: str) -> UserError:
        return UserError(f"{self.path}: there is no text in it ({reason}); give a file or folder with text.")


class Texts(TextSamples):
    """Whole texts of one or more prepared corpora, in the order of their names.

    Attributes:
        names: ``CORPUS/NAME`` of every text, NAME the path in a folder or tar, ``text`` for a file alone; the
            number of its row, six digits, in a table.
        texts: as they were.
        skipped: sentences on files that are no text.
    """

    noun = "text"
    version = 2
    named = None  # columns that a person named

    @classmethod
    def local(cls, path: str | os.PathLike) -> TextCorpus:
        return TextCorpus(path, cls.named)

    @staticmethod
    def uniform(builder: Any) -> Callable:
        key = feature_of(builder, tfds.features.Text, COLUMNS["text"], "text")
        return lambda sample: {"text": sample[key], "name": ""}

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        return []

    @property
    def columns(self) -> dict[str, Sequence[str]]:
        return {"text": self.texts}

    def joined(self) -> str:
        """All as one text."""
        return joined(self.texts)


def joined(texts: Iterable[str]) -> str:
    """Texts one after another; to a last line without an end, one is added."""
    ended = [text if text.endswith("\n") else f"{text}\n" for text in texts[:-1]]
    return "".join([*ended, *texts[-1:]])


def load_texts(
    corpora: Any, only: str | None = None, progress: bool = False, columns: dict[str, str] | None = None
) -> Texts:
    """Prepare corpora (the first time) and give their ``Texts``.

    Args:
        corpora: a path or ``tfds:NAME``, or a list of these.
        only: regular expression; just the texts whose ``CORPUS/NAME`` it matches.
        progress: show a bar while a corpus is prepared.
        columns: ``{"text": name}`` of tables, where it is not among ``COLUMNS``.

    Raises:
        UserError: there is no such corpus, it is no text, or it is empty.
    """
    return with_columns(Texts, check_named(columns, COLUMNS)).load(corpora, only, progress)


class Streams:
    """A text in chunks for truncated back-propagation through time (Williams & Peng 1990).

    The text is a ring, cut into as many streams as a batch has rows. Each batch holds the next chunk of every
    stream, so that the state after a chunk is where the same row of the next batch begins. Every epoch cuts
    the ring at other places.

    Args:
        rows: int ``[characters]``, at least one.
        batch_size: streams; fewer where the text is too short for as many.
        chunk: characters of a chunk, through which gradients flow back.

    Attributes:
        steps: batches an epoch.
        count: characters an epoch.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, chunk: int) -> None:
        self.rows = np.asarray(rows, np.int32)
        self.chunk = min(chunk, len(self.rows))
        self.streams = min(batch_size, len(self.rows) // self.chunk)
        self.steps = len(self.rows) // (self.streams * self.chunk)
        self.count = self.steps * self.streams * self.chunk

    def epoch(self, epoch: int, seed: int = 0, augment: bool = True) -> tf.data.Dataset:
        """The batches of one epoch, the same for the same ``seed`` and ``epoch``.

        Args:
            augment: cut the text at other places in every epoch.

        Returns:
            A ``tf.data.Dataset`` of ``(inputs, labels)``: ``tokens`` int32 ``[streams, chunk]`` and ``fresh``
            bool ``[streams]``, true where a stream begins; ``target``, the tokens again, as each is to be
            foretold, and ``target_lengths``, as ``zoo.layers.next_token.NextToken`` takes them.
        """
        first = np.random.default_rng((seed, epoch)).integers(len(self.rows)) if augment else 0
        starts = first + np.arange(self.streams)[:, None] * (len(self.rows) // self.streams)
        rows = tf.constant(self.rows)

        def batch(step):
            tokens = tf.gather(rows, (starts + step * self.chunk + np.arange(self.chunk)) % len(self.rows))
            inputs = {"tokens": tokens, "fresh": tf.fill((self.streams,), step == 0)}
            return inputs, {"target": tokens, "target_lengths": tf.fill((self.streams,), self.chunk)}

        return tf.data.Dataset.range(self.steps).map(batch).prefetch(4)


GIVEN = Given(("text",))


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Texts:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_texts(corpora, only, progress, columns)
