"""What corpora of all kinds share: preparing them once as tensorflow-datasets, names, selection, repeats.

A kind of corpus is a ``LocalCorpus``, which reads files into samples, and a ``Samples``, which a person
holds. The ``corpus.py`` of each family has one of each.
"""

import contextlib
import functools
import glob
import hashlib
import io
import itertools
import json
import os
import random
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo import files, hub
from zoo.data.records import Records
from zoo.errors import UserError


class LocalCorpus(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the tensorflow-datasets builders of one local corpus.

    Args:
        path: the file or folder, or a ``zoo.files.FileList``.
        data_dir: where the prepared shards go.

    Attributes:
        skipped: a sentence for each sample that could not be used.
        failure: the UserError that ended the preparation, which tensorflow-datasets wraps in its own.
    """

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None
    description = None  # of the set
    features = None  # of a sample: ``{name: feature}``, with ``name`` and ``text`` among them
    in_order = False  # whether samples stay in the order in which they come

    def __init__(self, path, **kwargs):
        self.path = path if isinstance(path, files.FileList) else Path(path)
        self.skipped = []
        self.failure = None
        super().__init__(**kwargs)

    def samples(self):
        """Yield each sample as a dict, append to ``skipped``; UserError if the corpus cannot be read."""
        raise NotImplementedError

    def unusable(self, reason):
        """The UserError for a corpus without a sample that could be used."""
        raise NotImplementedError

    def _info(self):
        features = tfds.features.FeaturesDict(self.features)
        return self.dataset_info_from_configs(
            description=self.description, features=features, disable_shuffling=self.in_order
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        try:
            found = False
            for sample in self.samples():
                found = True
                yield sample["name"], sample
            if not found:
                reason = (self.skipped or ["it is empty"])[0].rstrip(".")
                raise self.unusable(reason.removeprefix(f"{self.path}: "))
        except UserError as error:
            self.failure = error
            raise


class Samples:
    """Some samples of one or more prepared corpora; base of what a kind of corpus gives.

    Attributes:
        names: ``CORPUS/NAME`` of every sample. CORPUS is the corpus's file without suffixes; of several that
            are called ``lines``, the second is ``lines-2``.
        texts: their normalised transcripts.
        skipped: sentences on samples that could not be used.
    """

    builder = None  # the LocalCorpus
    noun = "sample"
    suffixes = ()  # of files that are one sample each: several of them are one corpus
    version = 1  # of how files become samples: one more when they are read differently, to prepare them anew

    def __init__(self, sources, chosen=None):
        self._sources = sources
        self._chosen = [source.usable for source in sources] if chosen is None else chosen
        self._rows = [
            row
            for source, mask in zip(sources, self._chosen, strict=True)
            for row, wanted in zip(source.rows, mask, strict=True)
            if wanted
        ]
        self.names = [row[0] for row in self._rows]
        self.texts = [row[1] for row in self._rows]
        self.skipped = [sentence for source in sources for sentence in source.skipped]

    # === What a kind of corpus says ===

    @staticmethod
    def uniform(builder):
        """A function from a raw sample of ``builder`` to the sample of ``dataset``.

        It may add ``name``, a string that is unique in its corpus; to nothing, or what ends in "/", a number
        is added.
        """
        raise NotImplementedError

    @staticmethod
    def measures(sample):
        """A list of what the index keeps of a sample of ``dataset``, as NumPy: int or str."""
        raise NotImplementedError

    @staticmethod
    def complaint(name, text, *measures):
        """A sentence on why a sample of a public set cannot be used, or None."""
        return None

    @classmethod
    def locate(cls, path):
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
        return Path(path), re.sub(_SUFFIXES, "", Path(path).name)

    @staticmethod
    def depends_on(path):
        """What, beside the files of the corpus at ``path``, its prepared form depends on: list of str."""
        return []

    # === What a person holds ===

    @classmethod
    def load(cls, corpora, only=None, progress=False):
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

    def select(self, wanted):
        """The samples for whose name ``wanted(name)`` is true."""
        chosen = [
            mask & np.array([bool(wanted(row[0])) for row in source.rows], bool)
            for source, mask in zip(self._sources, self._chosen, strict=True)
        ]
        return type(self)(self._sources, chosen)

    def sample(self, count):
        """``count`` samples spread evenly over these."""
        step = max(1, len(self) // count)
        few = set(self.names[::step][:count])
        return self.select(lambda name: name in few)

    def dataset(self, repeat=False):
        """A ``tf.data.Dataset`` of the samples, in a fixed order.

        Args:
            repeat: give the samples of ``PATH@N`` N times.
        """
        parts = []
        for source, chosen in zip(self._sources, self._chosen, strict=True):
            mask = tf.constant(chosen)
            part = source.dataset().enumerate().filter(lambda i, _, mask=mask: mask[i]).map(_nameless)
            parts.append(part.repeat(source.repeat) if repeat else part)
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.concatenate(part)
        return joined

    def at(self, repeat=False):
        """A function from a number, an int64 scalar in tf.data, to that sample of ``dataset``.

        It reads that sample alone, so that samples in any order need no memory.

        Raises:
            UserError: a public set is stored in files that cannot be read so.
        """
        readers = [source.reader() for source in self._sources]
        places = [
            (number, row)
            for number, (source, chosen) in enumerate(zip(self._sources, self._chosen, strict=True))
            for row in np.tile(np.flatnonzero(chosen), source.repeat if repeat else 1)
        ]
        places = tf.constant(np.reshape(places, (-1, 2)), tf.int64)

        def read(number):
            source, row = tf.unstack(places[number])
            branches = [functools.partial(reader, row) for reader in readers]
            return tf.switch_case(tf.cast(source, tf.int32), branches)

        return read

    @property
    def repeats(self):
        """How often an epoch shows each sample: int ``[samples]``."""
        counts = [int(chosen.sum()) for chosen in self._chosen]
        return np.repeat([source.repeat for source in self._sources], counts)

    def shown(self):
        """How many samples an epoch shows, repeats counted."""
        return int(self.repeats.sum())

    def _batches(self, size):
        """Iterate over lists of up to ``size`` samples, as NumPy."""
        samples = self.dataset().prefetch(size).as_numpy_iterator()
        while batch := list(itertools.islice(samples, size)):
            yield batch


class TextSamples(Samples):
    """Samples that are text alone: the index has all of every sample, and they are read from memory."""

    @property
    def columns(self):
        """What ``dataset`` gives of each sample: ``{name: list of str}``."""
        raise NotImplementedError

    def dataset(self, repeat=False):
        """As of every kind."""
        parts, first = [], 0
        for source, chosen in zip(self._sources, self._chosen, strict=True):
            part = slice(first, first := first + int(chosen.sum()))
            data = tf.data.Dataset.from_tensor_slices(
                {name: tf.constant(column[part], tf.string) for name, column in self.columns.items()}
            )
            parts.append(data.repeat(source.repeat) if repeat else data)
        return functools.reduce(tf.data.Dataset.concatenate, parts)

    def at(self, repeat=False):
        """As of every kind."""
        counts = [int(chosen.sum()) for chosen in self._chosen]
        parts = np.split(np.arange(len(self)), np.cumsum(counts)[:-1])
        times = [source.repeat if repeat else 1 for source in self._sources]
        places = tf.constant(np.concatenate(list(map(np.tile, parts, times))))
        columns = {name: tf.constant(column, tf.string) for name, column in self.columns.items()}
        return lambda number: {name: column[places[number]] for name, column in columns.items()}

    def chunks(self, size):
        """Iterate over tuples of the columns' next ``size`` values at most, each a list of str."""
        for first in range(0, len(self), size):
            yield tuple(column[first : first + size] for column in self.columns.values())


def _nameless(_, sample):
    return {key: value for key, value in sample.items() if key != "name"}


# === For the kinds ===

stamp = files.stamp


def corpora_folder():
    """Where prepared corpora are kept: ``$ZOO_HOME/corpora``."""
    return hub.home() / "corpora"


def feature_of(builder, kind, preferred, what):
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


def mapped_text(function, text):
    """A scalar string tensor through a Python function from str to str."""
    text = tf.numpy_function(lambda t: function(t.decode()).encode(), [text], tf.string, stateful=False)
    return tf.ensure_shape(text, ())


# === Prepared corpora ===


class _Source:
    """One prepared corpus and the index of its samples, in the order in which it is read.

    ``rows`` are ``[name, text, *measures]``; those that are not ``usable`` (bool ``[rows]``) are there to be
    counted while reading.
    """

    def __init__(self, kind, builder, split, rows, skipped, repeat):
        self.kind, self.builder, self.split, self.repeat = kind, builder, split, repeat
        complaints = [kind.complaint(*row) for row in rows]
        self.rows = rows
        self.usable = np.array([complaint is None for complaint in complaints], bool)
        self.skipped = skipped + [complaint for complaint in complaints if complaint]

    def dataset(self):
        return _read(self.kind, self.builder, self.split)

    def reader(self):
        """A function from the number of a row, in tf.data, to the sample."""
        if self.builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise UserError(
                f"tfds:{self.builder.name}: single samples cannot be read from files of its format; keep "
                "them in memory or in a file (`--training.cache`)."
            )
        parts = self.builder.info.splits[self.split].file_instructions
        records = Records([(part.filename, part.skip, part.take) for part in parts])
        convert, features = self.kind.uniform(self.builder), self.builder.info.features
        return lambda row: _nameless(row, convert(features.deserialize_example(records.tensor(row))))


def _read(kind, builder, split):
    # Decoded samples are not to be kept in memory behind the back of those who do not want them there.
    read = tfds.ReadConfig(shuffle_seed=0, interleave_cycle_length=1, add_tfds_id=False, try_autocache=False)
    raw = builder.as_dataset(split=split, shuffle_files=False, read_config=read)
    return raw.map(kind.uniform(builder), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _index(kind, dataset):
    rows = []
    for i, sample in enumerate(dataset.as_numpy_iterator()):
        name = sample["name"].decode() if "name" in sample else ""
        if not name or name.endswith("/"):
            name += f"{i:06d}"
        rows.append([name, sample["text"].decode(), *kind.measures(sample)])
    return rows


def _fingerprint(path, kind, *depends_on):
    """Changes when a file of the corpus does, or how it is read, without reading them all."""
    depends_on = [kind.__name__, str(kind.version), *depends_on]
    text = "\n".join([_FORMAT, os.path.realpath(str(path)), *files.stamps(path), *depends_on])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _prepare_local(kind, path, progress):
    folder = corpora_folder() / _fingerprint(path, kind, *kind.depends_on(path))
    if not (folder / _INDEX).is_file():
        with files.atomic_folder(folder, marker=_INDEX) as new:
            builder = kind.builder(path, data_dir=str(new))
            try:
                _prepare(builder, progress, io.StringIO())  # it would speak of a download
            except Exception:
                if builder.failure:
                    raise builder.failure from None
                raise
            with contextlib.suppress(OSError):
                (new / "downloads").rmdir()  # for which tensorflow-datasets makes a folder
            rows = _index(kind, _read(kind, builder, "train"))
            _write_index(new, rows, builder.skipped, os.path.abspath(str(path)), kind)
        if progress:
            print(
                f"{path}: {len(rows):,} {kind.noun}{'s' * (len(rows) != 1)} read; a copy is kept in {folder} "
                "(see `zoo cache`), nothing leaves this computer.",
                file=sys.stderr,
            )
    stored = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return kind.builder(path, data_dir=str(folder)), stored


def _prepare_public(kind, builder, split):
    """The index of a public set, which is stored as it takes a pass over all of it."""
    folder = corpora_folder() / _fingerprint(Path(builder.data_dir), kind, split)
    if not (folder / _INDEX).is_file():
        with files.atomic_folder(folder, marker=_INDEX) as new:
            rows = _index(kind, _read(kind, builder, split))
            _write_index(new, rows, [], f"tfds:{builder.name}:{split}", kind)
    return json.loads((folder / _INDEX).read_text(encoding="utf-8"))


_INDEX = "index.json"
_FORMAT = "2"  # of prepared corpora, whatever their kind


def _write_index(folder, rows, skipped, source, kind):
    data = {"skipped": skipped, "lines": rows}  # the first corpora were of text lines
    about = {"source": source, "count": len(rows), "noun": kind.noun}  # for `zoo cache`
    for name, content in ((_INDEX, data), (hub.ABOUT_COPY, about)):
        text = json.dumps(content, ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")


def _prepare(builder, progress, messages):
    # Its bars move the cursor, which in a log is nothing but signs.
    switch = tfds.enable_progress_bar if progress and sys.stderr.isatty() else tfds.disable_progress_bar
    switch()
    state = random.getstate()  # it draws: a seed would mean something else the first time
    try:
        with contextlib.redirect_stdout(messages):  # it prints; stdout is for results
            builder.download_and_prepare()
    finally:
        random.setstate(state)


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
    """The ``_Source`` of each of ``[(path, N)]``, once; of a pattern, those that can be used.

    Args:
        named: paths as a person gave them; others are what a pattern stands for, and are skipped if need be.
    """
    sources, failures, taken, seen = [], [], set(), set()
    for corpus, repeat in parts:
        try:
            sources.append(_load_source(kind, corpus, repeat, progress, taken, seen))
        except UserError as error:
            if str(corpus) in named or f"{corpus}@{repeat}" in named:
                raise
            failures.append(error)
    sources = list(filter(None, sources))
    if not sources:
        raise failures[0]
    sources[0].skipped += [f"{str(error).rstrip('.')}." for error in failures]
    return sources


def _load_source(kind, corpus, repeat, progress, taken, seen):
    """A prepared corpus, or None where it is in ``seen``: two parallel files are one."""
    path = str(corpus)
    if path.startswith("tfds:"):
        label, _, split = path.removeprefix("tfds:").partition(":")
        try:
            builder = tfds.builder(label)
            _prepare(builder, progress, sys.stderr)
        except Exception as error:  # tfds has no common base for what an unknown or unreachable set raises
            raise UserError(
                f"{path}: cannot be prepared ({(str(error) or repr(error)).splitlines()[0]}); check the name."
            ) from error
        split = split or next(iter(builder.info.splits))
        stored = _prepare_public(kind, builder, split)
    else:
        split = "train"
        listed = isinstance(corpus, files.FileList)
        found, label = (corpus, Path(path).name) if listed else kind.locate(path)
        place = os.path.realpath(path if listed else str(found))
        if not listed and place in seen:
            return None
        seen.add(place)
        builder, stored = _prepare_local(kind, found, progress)
    label = _unique(label, taken)
    rows = [[f"{label}/{row[0]}", *row[1:]] for row in stored["lines"]]
    source = _Source(kind, builder, split, rows, stored["skipped"], repeat)
    if rows and not source.usable.any():
        raise UserError(f"{path}: no {kind.noun} in it could be used ({source.skipped[0].rstrip('.')}).")
    return source


def _unique(label, taken):
    """``label``, or with a number behind it where that is ``taken``, to which it is added."""
    numbered = (f"{label}-{number}" for number in itertools.count(2))
    found = next(name for name in itertools.chain([label], numbered) if name not in taken)
    taken.add(found)
    return found


_SUFFIXES = r"(?i)\.(tar|tgz|tbz2?|txz)(\.(gz|bz2|xz))?$|\.(zip|csv|tsv|json|jsonl|parquet)$"
