"""Prepared corpora, as they are kept on the disk: read once, and found again when nothing has changed.

A prepared corpus is an index, columns of what is known of each sample (see ``zoo.data.columns``), in the
order in which the samples were read; and, unless they are text alone, the samples in the format of
tensorflow-datasets. Both are written and read as streams: neither needs memory for all samples.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import io
import itertools
import json
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from zoo import files, hub
from zoo.backend import has_tensorflow
from zoo.data import columns
from zoo.data.late import tf, tfds
from zoo.data.records import Records
from zoo.errors import UserError, reason

if TYPE_CHECKING:
    from zoo.data.samples import Samples
    from zoo.files import FileList

_INDEX = "index.json"
_SAMPLES = "samples"  # the folder of what tensorflow-datasets reads
_LOCAL = "train"  # its split
_SOME = 64  # samples that are in memory at a time while they are written
_FORMAT = "3"  # of prepared corpora, whatever their kind

# tensorflow-datasets warns of a name that it itself uses to decode tensors.
logging.getLogger("absl").addFilter(lambda record: "FeatureConnector.dtype" not in record.getMessage())


def corpora_folder() -> Path:
    """Where prepared corpora are kept: ``$ZOO_HOME/corpora``."""
    return hub.home() / "corpora"


class Prepared:
    """One prepared corpus: its index, whose columns are name, text and measures, and its samples.

    Attributes:
        folder: where it is kept; no other corpus is kept there.
        label: CORPUS in the names of its samples.
        repeat: how often an epoch shows each.
        columns: a ``zoo.data.columns.Column`` of texts, or int64 ``[samples]``, each.
        usable: bool ``[samples]``; the others are there to be counted while reading.
        skipped: a sentence for each sample that cannot be used.
        held: list of the samples where they are in memory alone, else None.
    """

    def __init__(
        self, folder: Path, builder: Any, split: str, convert: Callable, label: str, held: Any = None
    ) -> None:
        stored = json.loads((folder / _INDEX).read_text(encoding="utf-8", errors="surrogateescape"))
        self._builder, self._split, self._convert, self.held = builder, split, convert, held
        self.folder, self.label, self.repeat, self.skipped = folder, label, 1, stored["skipped"]
        self.columns = columns.read(folder, stored["columns"])
        self.usable = np.ones(stored["count"], bool)
        self.usable[stored["unusable"]] = False

    def dataset(self, chosen: np.ndarray) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of those that are ``chosen``, bool ``[samples]``, without their names."""
        chosen = tf.constant(chosen)
        samples = _read(self._builder, self._split, self._convert).enumerate()
        return samples.filter(lambda i, _: chosen[i]).map(lambda _, sample: _nameless(sample))

    def sample(self, row: int) -> dict[str, Any]:
        """One of those that are ``held``, as NumPy has those of ``dataset``."""
        sample = {k: v.encode() if isinstance(v, str) else v for k, v in self.held[row].items()}
        return _nameless(self._convert(sample))

    def reader(self) -> Callable:
        """A function from the number of a sample, in tf.data, to that sample."""
        if self._builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise UserError(
                f"tfds:{self._builder.name}: single samples cannot be read from files of its format; keep "
                "them in memory or in a file (`--training.cache`)."
            )
        parts = self._builder.info.splits[self._split].file_instructions
        records = Records([(part.filename, part.skip, part.take) for part in parts])
        features = self._builder.info.features
        return lambda row: _nameless(self._convert(features.deserialize_example(records.tensor(row))))


def prepare(kind: type[Samples], corpus: str | os.PathLike | FileList, progress: bool) -> Prepared:
    """Prepare a corpus, the first time.

    Args:
        kind: a ``zoo.data.samples.Samples``, the class.
        corpus: a path, ``tfds:NAME[:SPLIT]``, or a ``zoo.files.FileList``.
        progress: show a bar, and tell where it is kept.

    Raises:
        UserError: it is missing, cannot be read or holds no sample that can be used.
    """
    path = str(corpus)
    if path.startswith("tfds:"):
        label, _, split = path.removeprefix("tfds:").partition(":")
        builder = _public_builder(label, progress)
        split = split or next(iter(builder.info.splits))
        folder = _prepare_public(kind, builder, split, label, progress)
        source = Prepared(folder, builder, split, kind.uniform(builder), label)
    else:
        split, convert = _LOCAL, kind.stored
        listed = isinstance(corpus, files.FileList)
        found, label = (corpus, Path(path).name) if listed else kind.locate(path)
        if has_tensorflow() or type(kind.local(found)).features is None:  # which only TensorFlow makes
            source = Prepared(*_prepare_local(kind, found, progress), split, convert, label)
        else:
            source = _in_memory(kind, found, label, progress)
    if len(source.usable) and not source.usable.any():
        raise UserError(f"{path}: no {kind.noun} in it could be used ({source.skipped[0].rstrip('.')}).")
    return source


# === Public sets ===


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
        raise UserError(f"tfds:{name}: cannot be prepared ({reason(error)}); check the name.") from error
    finally:
        random.setstate(state)
    if new and progress:
        print(f"tfds:{name}: fetched, it is kept in {builder.data_dir}.", file=sys.stderr)
    return builder


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


def _read(builder, split, convert):
    # Decoded samples are not to be kept in memory behind the back of those who do not want them there.
    read = tfds.ReadConfig(shuffle_seed=0, interleave_cycle_length=1, add_tfds_id=False, try_autocache=False)
    raw = builder.as_dataset(split=split, shuffle_files=False, read_config=read)
    return raw.map(convert, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _nameless(sample):
    return {key: value for key, value in sample.items() if key != "name"}


# === Local corpora ===


def _prepare_local(kind, path, progress):
    """The folder of a prepared corpus, and the builder that reads its samples; None for text alone."""
    folder = corpora_folder() / _fingerprint(path, kind, *kind.depends_on(path))
    corpus = kind.local(path)
    if not (folder / _INDEX).is_file():
        with files.atomic_folder(folder, marker=_INDEX) as new:
            with _Index(kind, new, os.path.abspath(str(path))) as index:
                samples = index.of(_shown(_samples(corpus), kind, path, progress))
                if corpus.features is None:
                    collections.deque(samples, maxlen=0)
                else:
                    _write(samples, corpus.features, new / _SAMPLES)
                index.skipped += corpus.skipped
                _check_any(index, corpus, path)
        if progress:
            print(
                f"{path}: {index.count:,} {kind.noun}{'s' * (index.count != 1)} read; a copy is kept in "
                f"{folder} (see `zoo cache`), nothing leaves this computer.",
                file=sys.stderr,
            )
    return folder, corpus.features and tfds.builder_from_directory(folder / _SAMPLES)


def _in_memory(kind, path, label, progress):
    """A local corpus that is read once and not kept, for where there is no TensorFlow to write it."""
    corpus, folder = kind.local(path), tempfile.TemporaryDirectory()
    with _Index(kind, Path(folder.name), os.path.abspath(str(path))) as index:
        held = list(index.of(_shown(_samples(corpus), kind, path, progress)))
        index.skipped += corpus.skipped
    _check_any(index, corpus, path)
    source = Prepared(Path(folder.name), None, _LOCAL, kind.stored, label, held)
    source.temporary = folder  # goes with it
    return source


def _check_any(index, corpus, path):
    """Raises the UserError of a corpus without a sample."""
    if not index.count:
        reason = (corpus.skipped or ["it is empty"])[0].rstrip(".")
        raise corpus.unusable(reason.removeprefix(f"{path}: "))


def _samples(corpus):
    try:
        yield from corpus.samples()
    except files.NoArchive as error:
        raise corpus.unusable(f"it is {error.content}") from error


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


def _fingerprint(path, kind, *depends_on):
    """Changes when a file of the corpus does, or how it is read, without reading them all."""
    depends_on = [kind.__name__, str(kind.version), *depends_on]
    text = "\n".join([_FORMAT, os.path.realpath(str(path)), *files.stamps(path), *depends_on])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


# === The index ===


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


def _shown(samples, kind, path, progress):
    """Samples with a bar of how many there were; it moves the cursor, which in a log is nothing but signs."""
    name, show = os.path.basename(str(path)), progress and sys.stderr.isatty()
    return tqdm(samples, f"reading {name}", leave=False, unit=f" {kind.noun}s", delay=1, disable=not show)
