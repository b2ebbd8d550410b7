"""What corpora of all kinds share: preparing them once, names, selection, repeats.

A kind of corpus is a ``LocalCorpus``, which reads files into samples, and a ``Samples``, which a person
holds. The ``corpus.py`` of each family has one of each. ``zoo.data.prepared`` keeps what was read.
"""

from __future__ import annotations

import copy
import functools
import glob
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import files
from zoo.data.columns import Strings
from zoo.data.late import tf
from zoo.data.prepared import prepare
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.data.prepared import Prepared
    from zoo.files import FileList


class LocalCorpus:
    """Base of what reads one local corpus.

    Args:
        path: the file or folder, or a ``zoo.files.FileList``.

    Attributes:
        skipped: a sentence for each sample that could not be used.
    """

    features = None  # of a sample, ``{name: tfds feature}``; None where it is text alone, which the index has

    def __init__(self, path: str | os.PathLike | FileList) -> None:
        self.path = path if isinstance(path, files.FileList) else Path(path)
        self.skipped = []

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield each sample as a dict, append to ``skipped``; UserError if the corpus cannot be read.

        ``name`` and ``text``, str, are among what a sample has.
        """
        raise NotImplementedError

    def unusable(self, reason: str) -> UserError:
        """The UserError for a corpus without a sample that could be used."""
        raise NotImplementedError


class Samples:
    """Some samples of one or more prepared corpora; base of what a kind of corpus gives.

    Attributes:
        names: ``CORPUS/NAME`` of every sample, a sequence of str that is read from the disk. CORPUS is the
            corpus's file without suffixes; of several that are called ``lines``, the second is ``lines-2``.
        texts: their normalised transcripts, likewise.
        skipped: sentences on samples that could not be used.
    """

    local = None  # the LocalCorpus
    noun = "sample"
    suffixes = ()  # of files that are one sample each: several of them are one corpus
    version = 1  # of how files become samples: one more when they are read differently, to prepare them anew

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        self._sources = sources
        self._chosen = [source.usable for source in sources] if chosen is None else chosen
        self._rows = [np.flatnonzero(mask) for mask in self._chosen]
        self.names, self.texts = self._strings(0), self._strings(1)
        self.skipped = [sentence for source in sources for sentence in source.skipped]

    # === What a kind of corpus says ===

    @staticmethod
    def stored(sample: dict[str, Any]) -> dict[str, Any]:
        """The sample of ``dataset`` from one of a local corpus as it is stored."""
        return sample

    @staticmethod
    def uniform(builder: Any) -> Callable:
        """A function from a raw sample of a public set's ``builder`` to the sample of ``dataset``.

        It may add ``name``, a string that is unique in its corpus; to nothing, or what ends in "/", a number
        is added.
        """
        raise NotImplementedError

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        """A list of what the index keeps of a sample, beside its name and text: int, or str or bytes.

        The sample is one of a ``LocalCorpus``, or of ``dataset`` as NumPy.
        """
        raise NotImplementedError

    @staticmethod
    def complaint(name: str, text: str, *measures: Any) -> str | None:
        """A sentence on why a sample of a public set cannot be used, or None."""
        return None

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path, str]:
        """``(path, label)`` of a corpus as a person names it, a str.

        The path is of the file or folder, or a ``FileList``; the label is CORPUS in names.

        Raises:
            UserError: there is none.
        """
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"{path}: there is no such file or folder; check the path.") from error
        except (OSError, ValueError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise UserError(f"{path}: cannot be read ({why}); check the path.") from error
        return Path(path), files.corpus_name(path)

    @staticmethod
    def depends_on(path: str | os.PathLike | FileList) -> list[str]:
        """What, beside the files of the corpus at ``path``, its prepared form depends on: list of str."""
        return []

    # === What a person holds ===

    @classmethod
    def load(cls, corpora: Any, only: str | None = None, progress: bool = False) -> Samples:
        """Prepare corpora (the first time) and give their samples; see ``load_lines``, ``load_speech``."""
        if isinstance(corpora, str | Path):
            corpora = [corpora]
        parts = _gathered([part for corpus in corpora for part in _expanded(corpus)], cls.suffixes)
        found = cls(_load_sources(cls, parts, set(map(str, corpora)), progress))
        if only is not None:
            try:
                pattern = re.compile(only)
            except re.error as error:
                raise UserError(f"--only {only!r} is no regular expression ({error}).") from error
            found = found.select(pattern.search)
            if not len(found):
                raise UserError(f"--only {only!r} matches no {cls.noun} of {', '.join(map(str, corpora))}.")
        return found

    def __len__(self):
        return len(self.names)

    def select(self, wanted: Callable[[str], bool]) -> Samples:
        """The samples for whose name ``wanted(name)`` is true."""
        return self._where(map(wanted, self.names))

    def _where(self, true):
        """The samples at the places where ``true``, an iterable of bool, is."""
        chosen, true = [mask.copy() for mask in self._chosen], iter(true)
        for mask in chosen:
            mask[mask] = np.fromiter(map(bool, true), bool, mask.sum())
        return type(self)(self._sources, chosen)

    def repeated(self, times: np.ndarray | Sequence[int]) -> Samples:
        """The same samples, of which an epoch shows each so many times as often, in another order.

        Args:
            times: int ``[samples]``, 1 or more.
        """
        sources, chosen, ends = [], [], np.cumsum(list(map(len, self._rows)))
        for source, mask, own in zip(self._sources, self._chosen, np.split(times, ends[:-1]), strict=True):
            for number, count in enumerate(np.unique(own)):
                part, some = copy.copy(source), mask.copy()
                part.repeat, part.skipped = source.repeat * int(count), [] if number else source.skipped
                some[mask] = own == count
                sources.append(part)
                chosen.append(some)
        return type(self)(sources, chosen)

    def joined(self, other: Samples) -> Samples:
        """These samples and others of the same kind; of two corpora that are called alike, one is renamed."""
        taken, renamed = {source.label for source in self._sources}, []
        for source in other._sources:
            source = copy.copy(source)
            source.label = _unique(source.label, taken)
            renamed.append(source)
        return type(self)([*self._sources, *renamed], [*self._chosen, *other._chosen])

    def _strings(self, number):
        """A column of the index, of texts."""
        return Strings(
            [
                (source.columns[number], rows, f"{source.label}/" if number == 0 else "")
                for source, rows in zip(self._sources, self._rows, strict=True)
                if len(rows)
            ]
        )

    def _numbers(self, number):
        """A column of the index: int64 ``[samples]``."""
        parts = zip(self._sources, self._rows, strict=True)
        parts = [source.columns[number][rows] for source, rows in parts if len(rows)]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def sample(self, count: int) -> Samples:
        """``count`` samples spread evenly over these, or all if they are no more."""
        wanted = np.zeros(len(self), bool)
        wanted[np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)] = True
        return self._where(wanted)

    def dataset(self, repeat: bool = False) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of the samples, in a fixed order.

        Args:
            repeat: give the samples of ``PATH@N`` N times.
        """
        parts = []
        for source, chosen in zip(self._sources, self._chosen, strict=True):
            part = source.dataset(chosen)
            parts.append(part.repeat(source.repeat) if repeat else part)
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.concatenate(part)
        return joined

    def at(self, repeat: bool = False) -> Callable:
        """A function from a number, an int64 scalar in tf.data, to that sample of ``dataset``.

        It reads that sample alone, so that samples in any order need no memory.

        Raises:
            UserError: a public set is stored in files that cannot be read so.
        """
        readers = [source.reader() for source in self._sources]
        places = [
            (number, row)
            for number, (source, rows) in enumerate(zip(self._sources, self._rows, strict=True))
            for row in np.tile(rows, source.repeat if repeat else 1)
        ]
        places = tf.constant(np.reshape(places, (-1, 2)), tf.int64)

        def read(number):
            source, row = tf.unstack(places[number])
            branches = [functools.partial(reader, row) for reader in readers]
            return tf.switch_case(tf.cast(source, tf.int32), branches)

        return read

    @property
    def repeats(self) -> np.ndarray:
        """How often an epoch shows each sample: int ``[samples]``."""
        return np.repeat([source.repeat for source in self._sources], list(map(len, self._rows)))

    def shown(self) -> int:
        """How many samples an epoch shows, repeats counted."""
        return int(self.repeats.sum())

    def _batches(self, size):
        """Iterate over lists of up to ``size`` samples, as NumPy."""
        if any(source.held for source in self._sources):
            pairs = zip(self._sources, self._rows, strict=True)
            samples = (source.sample(row) for source, rows in pairs for row in rows)
        else:
            samples = self.dataset().prefetch(size).as_numpy_iterator()
        while batch := list(itertools.islice(samples, size)):
            yield batch


class TextSamples(Samples):
    """Samples that are text alone: the index has all of every sample, and they are read from there."""

    @property
    def columns(self) -> dict[str, Sequence[str]]:
        """What ``dataset`` gives of each sample: ``{name: sequence of str}``."""
        raise NotImplementedError

    def dataset(self, repeat: bool = False) -> tf.data.Dataset:
        """As of every kind."""
        parts, first = [], 0
        for source, rows in zip(self._sources, self._rows, strict=True):
            part = self._part(first, first := first + len(rows))
            parts.append(part.repeat(source.repeat) if repeat else part)
        return functools.reduce(tf.data.Dataset.concatenate, parts)

    def _part(self, first, last):
        def generate():
            for at in range(first, last, _CHUNK):
                part = slice(at, min(at + _CHUNK, last))
                yield {name: tf.constant(column[part]) for name, column in self.columns.items()}

        spec = dict.fromkeys(self.columns, tf.TensorSpec((None,), tf.string))
        data = tf.data.Dataset.from_generator(generate, output_signature=spec).unbatch()
        return data.apply(tf.data.experimental.assert_cardinality(last - first))

    def at(self, repeat: bool = False) -> Callable:
        """As of every kind."""
        ends = np.cumsum(list(map(len, self._rows)))
        parts = np.split(np.arange(len(self)), ends[:-1])
        times = [source.repeat if repeat else 1 for source in self._sources]
        places = np.concatenate(list(map(np.tile, parts, times)))
        names = list(self.columns)

        def read(number):
            return [self.columns[name][places[number]].encode() for name in names]

        def at(number):
            values = tf.numpy_function(read, [number], [tf.string] * len(names), stateful=False)
            return {name: tf.ensure_shape(value, ()) for name, value in zip(names, values, strict=True)}

        return at

    def chunks(self, size: int) -> Iterator[tuple[list[str], ...]]:
        """Iterate over tuples of the columns' next ``size`` values at most, each a list of str."""
        for first in range(0, len(self), size):
            yield tuple(column[first : first + size] for column in self.columns.values())


_CHUNK = 1024  # texts that are read at a time


# === For the kinds ===

stamp = files.stamp


def feature_of(builder: Any, kind: type, preferred: Sequence[str], what: str) -> str:
    """Name of the feature of class ``kind`` in a public set; of several, the first in ``preferred``.

    Raises:
        UserError: there is none; ``what`` says which sets to name.
    """
    found = [name for name, feature in builder.info.features.items() if isinstance(feature, kind)]
    if not found:
        raise UserError(
            f"tfds:{builder.name} has no {kind.__name__.lower()} feature; name a set with {what}."
        )
    return min(found, key=lambda name: preferred.index(name) if name in preferred else len(preferred))


def mapped_text(function: Callable[[str], str], text: Any) -> Any:
    """A scalar string tensor through a Python function from str to str."""
    text = tf.numpy_function(lambda t: function(t.decode()).encode(), [text], tf.string, stateful=False)
    return tf.ensure_shape(text, ())


# === Corpora by their names ===


def _expanded(corpus):
    """``PATH@N`` as ``[(path, N)]``; a pattern as all that it matches."""
    path, repeat = str(corpus), 1
    counted = re.fullmatch(r"(.+)@(\d+)", path, re.DOTALL)
    if counted and not os.path.lexists(path):
        path, repeat = counted[1], int(counted[2])
        if not repeat:
            raise UserError(f"{corpus}: shown 0 times, nothing of it is learned; leave it out.")
    if os.path.lexists(path) or path.startswith("tfds:") or not any(sign in path for sign in "*?["):
        return [(path, repeat)]
    return [(found, repeat) for found in sorted(glob.glob(path, recursive=True))] or [(path, repeat)]


def _gathered(parts, suffixes):
    """Of ``[(path, N)]`` the files that are a sample each as one ``FileList``, with what lies beside them."""
    ones = [part for part in parts if part[0].lower().endswith(suffixes) and os.path.isfile(part[0])]
    if not suffixes or not ones:
        return parts
    stems = {_stem(path) for path, _ in ones}
    beside = [
        os.path.join(folder, name)
        for folder in sorted({os.path.dirname(path) for path, _ in ones})
        for name in os.listdir(folder or ".")
        if _stem(os.path.join(folder, name)) in stems
    ]
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in beside])
    members = {Path(os.path.abspath(path)).relative_to(root).as_posix(): path for path in beside}
    texts = {path for path in beside if path.lower().endswith(".txt")}  # of a pattern such as lines/*
    others = [part for part in parts if part not in ones and part[0] not in texts]
    return [*others, (files.FileList(members, root), max(repeat for _, repeat in ones))]


def _stem(path):
    """A file's path up to the first dot of its name, by which what belongs together is known."""
    folder, name = os.path.split(path)
    return os.path.join(folder, unicodedata.normalize("NFC", name).partition(".")[0])


def _load_sources(kind, parts, named, progress):
    """The ``Prepared`` corpus of each of ``[(path, N)]``, once; of a pattern, those that can be used.

    Args:
        named: paths as a person gave them; others are what a pattern stands for, and are skipped if need be.
    """
    sources, failures, taken = {}, [], set()
    for corpus, repeat in parts:
        try:
            source = prepare(kind, corpus, progress)
        except UserError as error:
            if str(corpus) in named or f"{corpus}@{repeat}" in named:
                raise
            failures.append(error)
            continue
        if source.folder not in sources:  # two parallel files are one corpus
            source.label, source.repeat = _unique(source.label, taken), repeat
            sources[source.folder] = source
    if not sources:
        raise failures[0]
    sources = list(sources.values())
    sources[0].skipped += [f"{str(error).rstrip('.')}." for error in failures]
    return sources


def _unique(label, taken):
    """``label``, or with a number behind it where that is ``taken``, to which it is added."""
    numbered = (f"{label}-{number}" for number in itertools.count(2))
    found = next(name for name in itertools.chain([label], numbered) if name not in taken)
    taken.add(found)
    return found
