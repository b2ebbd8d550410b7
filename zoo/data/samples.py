"""What corpora of all kinds share: preparing them once, names, selection, repeats.

A kind of corpus is a ``LocalCorpus``, which reads files into samples, and a ``Samples``, which a person
holds. The ``corpus.py`` of each family has one of each.

A prepared corpus is an index, columns of what is known of each sample, in the order in which the samples were
read; and, unless they are text alone, the samples in the format of tensorflow-datasets. Both are written and
read as streams: neither needs memory for all samples.
"""

import collections
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
from tqdm import tqdm

from zoo import files, hub
from zoo.data import columns
from zoo.data.records import Records
from zoo.errors import UserError, reason


class LocalCorpus:
    """Base of what reads one local corpus.

    Args:
        path: the file or folder, or a ``zoo.files.FileList``.

    Attributes:
        skipped: a sentence for each sample that could not be used.
    """

    features = None  # of a sample, ``{name: tfds feature}``; None where it is text alone, which the index has

    def __init__(self, path):
        self.path = path if isinstance(path, files.FileList) else Path(path)
        self.skipped = []

    def samples(self):
        """Yield each sample as a dict, append to ``skipped``; UserError if the corpus cannot be read.

        ``name`` and ``text``, str, are among what a sample has.
        """
        raise NotImplementedError

    def unusable(self, reason):
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

    def __init__(self, sources, chosen=None):
        self._sources = sources
        self._chosen = [source.usable for source in sources] if chosen is None else chosen
        self._rows = [np.flatnonzero(mask) for mask in self._chosen]
        self.names, self.texts = self._strings(0), self._strings(1)
        self.skipped = [sentence for source in sources for sentence in source.skipped]

    # === What a kind of corpus says ===

    @staticmethod
    def stored(sample):
        """The sample of ``dataset`` from one of a local corpus as it is stored."""
        return sample

    @staticmethod
    def uniform(builder):
        """A function from a raw sample of a public set's ``builder`` to the sample of ``dataset``.

        It may add ``name``, a string that is unique in its corpus; to nothing, or what ends in "/", a number
        is added.
        """
        raise NotImplementedError

    @staticmethod
    def measures(sample):
        """A list of what the index keeps of a sample, beside its name and text: int, or str or bytes.

        The sample is one of a ``LocalCorpus``, or of ``dataset`` as NumPy.
        """
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
        return self._where(map(wanted, self.names))

    def _where(self, true):
        """The samples at the places where ``true``, an iterable of bool, is."""
        chosen, true = [mask.copy() for mask in self._chosen], iter(true)
        for mask in chosen:
            mask[mask] = np.fromiter(map(bool, true), bool, mask.sum())
        return type(self)(self._sources, chosen)

    def _strings(self, number):
        """A column of the index, of texts."""
        return columns.Strings(
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
    def repeats(self):
        """How often an epoch shows each sample: int ``[samples]``."""
        return np.repeat([source.repeat for source in self._sources], list(map(len, self._rows)))

    def shown(self):
        """How many samples an epoch shows, repeats counted."""
        return int(self.repeats.sum())

    def _batches(self, size):
        """Iterate over lists of up to ``size`` samples, as NumPy."""
        samples = self.dataset().prefetch(size).as_numpy_iterator()
        while batch := list(itertools.islice(samples, size)):
            yield batch


class TextSamples(Samples):
    """Samples that are text alone: the index has all of every sample, and they are read from there."""

    @property
    def columns(self):
        """What ``dataset`` gives of each sample: ``{name: sequence of str}``."""
        raise NotImplementedError

    def dataset(self, repeat=False):
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

    def at(self, repeat=False):
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

    def chunks(self, size):
        """Iterate over tuples of the columns' next ``size`` values at most, each a list of str."""
        for first in range(0, len(self), size):
            yield tuple(column[first : first + size] for column in self.columns.values())


_CHUNK = 1024  # texts that are read at a time


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
    """One prepared corpus: its index, whose columns are name, text and measures, and its samples.

    Samples that are not ``usable`` (bool ``[samples]``) are there to be counted while reading.
    """

    def __init__(self, folder, builder, split, convert, label, repeat):
        stored = json.loads((folder / _INDEX).read_text(encoding="utf-8", errors="surrogateescape"))
        self.builder, self.split, self._convert = builder, split, convert
        self.label, self.repeat = label, repeat
        self.columns = columns.read(folder, stored["columns"])
        self.skipped = stored["skipped"]
        self.usable = np.ones(stored["count"], bool)
        self.usable[stored["unusable"]] = False

    def dataset(self):
        return _read(self.builder, self.split, self._convert)

    def reader(self):
        """A function from the number of a row, in tf.data, to the sample."""
        if self.builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise UserError(
                f"tfds:{self.builder.name}: single samples cannot be read from files of its format; keep "
                "them in memory or in a file (`--training.cache`)."
            )
        parts = self.builder.info.splits[self.split].file_instructions
        records = Records([(part.filename, part.skip, part.take) for part in parts])
        features = self.builder.info.features
        return lambda row: _nameless(row, self._convert(features.deserialize_example(records.tensor(row))))


def _read(builder, split, convert):
    # Decoded samples are not to be kept in memory behind the back of those who do not want them there.
    read = tfds.ReadConfig(shuffle_seed=0, interleave_cycle_length=1, add_tfds_id=False, try_autocache=False)
    raw = builder.as_dataset(split=split, shuffle_files=False, read_config=read)
    return raw.map(convert, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


class _Index:
    """Writes the index of samples into a folder, and what `zoo cache` shows of it.

    Args:
        complaint: what may tell of a row that it cannot be used, as ``Samples.complaint``; or None.
        label: what goes before names in such sentences.
    """

    def __init__(self, kind, folder, source, complaint=None, label=""):
        self.kind, self.folder, self.source, self.skipped = kind, folder, source, []
        self._complaint, self._label, self._unusable = complaint, label, []
        self._columns = columns.Writer(folder)

    def __enter__(self):
        self._columns.__enter__()
        return self

    def __exit__(self, *error):
        self._columns.__exit__(*error)
        if error[0] is None:
            index = {"count": self.count, "columns": self._columns.kinds, "unusable": self._unusable}
            about = {"source": self.source, "count": self.count, "noun": self.kind.noun}
            for name, content in ((_INDEX, index | {"skipped": self.skipped}), (hub.ABOUT_COPY, about)):
                text = json.dumps(content, ensure_ascii=False)
                (self.folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")

    @property
    def count(self):
        return self._columns.count

    def of(self, samples):
        """Iterate over samples, each of which is noted."""
        for sample in samples:
            name = _as_str(sample.get("name", ""))
            if not name or name.endswith("/"):
                name += f"{self.count:06d}"
            row = [name, *map(_as_str, (sample["text"], *self.kind.measures(sample)))]
            if self._complaint and (sentence := self._complaint(f"{self._label}/{name}", *row[1:])):
                self._unusable.append(self.count)
                self.skipped.append(sentence)
            self._columns.add(row)
            yield sample


def _as_str(value):
    return value.decode() if isinstance(value, bytes) else value


def _fingerprint(path, kind, *depends_on):
    """Changes when a file of the corpus does, or how it is read, without reading them all."""
    depends_on = [kind.__name__, str(kind.version), *depends_on]
    text = "\n".join([_FORMAT, os.path.realpath(str(path)), *files.stamps(path), *depends_on])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _prepare_local(kind, path, progress):
    """The folder of a prepared corpus, and the builder that reads its samples; None for text alone."""
    folder = corpora_folder() / _fingerprint(path, kind, *kind.depends_on(path))
    corpus = kind.local(path)
    if not (folder / _INDEX).is_file():
        with files.atomic_folder(folder, marker=_INDEX) as new:
            with _Index(kind, new, os.path.abspath(str(path))) as index:
                samples = index.of(_shown(corpus.samples(), kind, path, progress))
                if corpus.features is None:
                    collections.deque(samples, maxlen=0)
                else:
                    _write(samples, corpus.features, new / _SAMPLES)
                index.skipped += corpus.skipped
                if not index.count:
                    raise corpus.unusable((corpus.skipped or ["it is empty"])[0].rstrip("."))
        if progress:
            print(
                f"{path}: {index.count:,} {kind.noun}{'s' * (index.count != 1)} read; a copy is kept in "
                f"{folder} (see `zoo cache`), nothing leaves this computer.",
                file=sys.stderr,
            )
    return folder, corpus.features and tfds.builder_from_directory(folder / _SAMPLES)


def _write(samples, features, folder):
    """Write samples in the format of tensorflow-datasets, in the order in which they come."""
    folder.mkdir()
    about = tfds.core.dataset_info.DatasetIdentity("corpus", tfds.core.Version("1.0.0"), str(folder), "")
    info = tfds.core.DatasetInfo(builder=about, features=tfds.features.FeaturesDict(features))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=sys.maxsize)
    writer.initialize_splits([_LOCAL])
    while some := list(itertools.islice(samples, _SOME)):
        writer.add_examples({_LOCAL: some})
    writer.close_all()


def _prepare_public(kind, builder, split, label, progress):
    """The folder of the index of a public set, which is stored as it takes a pass over all of it."""
    folder = corpora_folder() / _fingerprint(Path(builder.data_dir), kind, split)
    if not (folder / _INDEX).is_file():
        source = f"tfds:{builder.name}:{split}"
        with (
            files.atomic_folder(folder, marker=_INDEX) as new,
            _Index(kind, new, source, kind.complaint, label) as index,
        ):
            samples = _read(builder, split, kind.uniform(builder)).as_numpy_iterator()
            collections.deque(index.of(_shown(samples, kind, source, progress)), maxlen=0)
    return folder


def _shown(samples, kind, path, progress):
    """Samples with a bar of how many there were; it moves the cursor, which in a log is nothing but signs."""
    name, show = os.path.basename(str(path)), progress and sys.stderr.isatty()
    return tqdm(samples, f"reading {name}", leave=False, unit=f" {kind.noun}s", delay=1, disable=not show)


_INDEX = "index.json"
_SAMPLES = "samples"  # the folder of what tensorflow-datasets reads
_LOCAL = "train"  # its split
_SOME = 64  # samples that are in memory at a time while they are written
_FORMAT = "3"  # of prepared corpora, whatever their kind


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
        builder = _public_builder(label, progress)
        split = split or next(iter(builder.info.splits))
        folder = _prepare_public(kind, builder, split, label, progress)
        convert = kind.uniform(builder)
    else:
        split, convert = _LOCAL, kind.stored
        listed = isinstance(corpus, files.FileList)
        found, label = (corpus, Path(path).name) if listed else kind.locate(path)
        place = os.path.realpath(path if listed else str(found))
        if not listed and place in seen:
            return None
        seen.add(place)
        folder, builder = _prepare_local(kind, found, progress)
    source = _Source(folder, builder, split, convert, _unique(label, taken), repeat)
    if len(source.usable) and not source.usable.any():
        raise UserError(f"{path}: no {kind.noun} in it could be used ({source.skipped[0].rstrip('.')}).")
    return source


def _public_builder(name, progress):
    """The builder of a public set, which is fetched and prepared if it is not there."""
    bars = progress and sys.stderr.isatty()
    (tfds.enable_progress_bar if bars else tfds.disable_progress_bar)()
    state = random.getstate()  # it draws: a seed would mean something else the first time
    try:
        builder = tfds.builder(name)
        new = not builder.data_path.exists()
        # It prints, with colours; stdout is for results.
        with contextlib.redirect_stdout(sys.stderr if bars else io.StringIO()):
            builder.download_and_prepare()
    except Exception as error:  # tfds has no common base for what an unknown or unreachable set raises
        raise UserError(
            f"tfds:{name}: cannot be prepared ({reason(error)}); check the name."
        ) from error
    finally:
        random.setstate(state)
    if new and progress:
        print(f"tfds:{name}: fetched, it is kept in {builder.data_dir}.", file=sys.stderr)
    return builder


def _unique(label, taken):
    """``label``, or with a number behind it where that is ``taken``, to which it is added."""
    numbered = (f"{label}-{number}" for number in itertools.count(2))
    found = next(name for name in itertools.chain([label], numbered) if name not in taken)
    taken.add(found)
    return found


_SUFFIXES = r"(?i)\.(tar|tgz|tbz2?|txz)(\.(gz|bz2|xz))?$|\.(zip|csv|tsv|json|jsonl|parquet)$"
