"""Corpora of labelled sequences, prepared once.

A corpus is one of these; every text file may be gzipped, and ``PATH@3`` shows a small one three times an
epoch:

- a folder, tar or zip of a table of labels (``labels.tsv`` or any other whose columns are named as in
  ``COLUMNS``: id, label, perhaps subject) and ``ID.csv`` (``.tsv``, ``.txt``, ``.npy``) for each sequence: a
  row for each step, the first names the channels (see ``zoo.formats.numbers``);
- a folder, tar or zip with a folder for each label, and in that such files;
- one long table, CSV, TSV, JSON or Parquet, a row for each step, with the columns id and label, perhaps
  subject; all other columns that hold numbers are channels. Without a column id, each run of one label is a
  sequence;
- a Parquet table with a row for each sequence, its channels lists of numbers;
- ``.ts`` of aeon and sktime (see ``zoo.formats.ts``);
- ``.npz`` with the arrays ``X`` ``[sequences, steps, channels]`` or ``[sequences, steps]``, ``y``, and
  perhaps ``lengths``, ``subjects`` and ``channels``; without lengths, a last part of NaN alone is padding;
- ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with a tensor ``[steps, channels]`` of numbers, or a sequence
  of numbers by name, and a class label.

Files of several of these in one folder are read as they are. Subjects are the first part of names
(``SUBJECT/ID``), so that they are held out whole.
"""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import files
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.listed import NOTE, told
from zoo.data.samples import LocalCorpus, Samples
from zoo.errors import UserError
from zoo.families.sequence_classifier.vocabulary import default_names, unusable
from zoo.formats import numbers
from zoo.formats.tables import ParquetFile, check_named, column, is_table, open_table, with_columns
from zoo.formats.ts import read_ts
from zoo.text.normalise import normalise_sentence

if TYPE_CHECKING:
    from zoo.data.prepared import Prepared
    from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary

COLUMNS = {  # what their names may be, best first
    "id": (
        "id", "name", "file_name", "filename", "file", "path", "sequence", "sequence_id", "series",
        "series_id", "sample", "case_id", "recording", "uid", "sid",
    ),
    "label": ("label", "labels", "class", "activity", "action", "gesture", "category", "target", "y"),
    "subject": ("subject", "user", "person", "participant", "subject_id", "user_id", "volunteer", "patient"),
}  # fmt: skip
_ROWS = 64  # of a Parquet table, each of which may hold a long sequence
_SEQUENCES = numbers.SUFFIXES
_ARRAYS = {  # of an .npz, in lower case
    "x": ("x", "data", "values", "sequences", "series"),
    "y": ("y", "labels", "label", "target", "targets"),
    "lengths": ("lengths", "length"),
    "subjects": ("subjects", "subject", "groups"),
    "channels": ("channels", "columns", "features"),
}


@dataclasses.dataclass
class Sequence:
    """A labelled sequence: float32 ``[steps, channels]`` with NaN for what is missing."""

    name: str
    label: str
    values: np.ndarray
    channels: list | None = None
    subject: str = ""


class SequenceCorpus(LocalCorpus):
    """Reads one local corpus: ``values``, ``channels``, ``name`` and the label, ``text``, of each sequence.

    Args:
        path: the file, folder, archive or ``FileList``.
        columns: ``{"id": name, ...}`` of tables, where they are not among ``COLUMNS``; or None.
    """

    @property
    def features(self) -> dict[str, Any]:
        return {
            "values": tfds.features.Tensor(shape=(None, None), dtype=np.float32, encoding="bytes"),
            "channels": tfds.features.Text(),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def __init__(self, path: str | os.PathLike, columns: dict[str, str] | None = None) -> None:
        super().__init__(path)
        self.columns = columns

    def samples(self) -> Iterator[dict[str, np.ndarray | str]]:
        taken = set()
        for one in read_sequences(self.path, self.skipped, self.columns):
            label = _WHOLE.sub(r"\1", normalise_sentence(one.label))
            where = f"{self.path}: {one.name}"
            if not label:
                self.skipped.append(f"{where} has no label.")
            elif complaint := unusable(one.values):
                self.skipped.append(f"{where} {complaint}.")
            else:
                name = f"{one.subject}/{one.name}" if one.subject else one.name
                name = name if name not in taken else f"{name}-{len(taken) + 1}"
                taken.add(name)
                channels = one.channels or default_names(one.values.shape[1])
                channels = json.dumps(channels, ensure_ascii=False)
                yield {"values": one.values, "channels": channels, "text": label, "name": name}

    def unusable(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: no labelled sequence in it could be used ({reason}); give labels.tsv with the "
            "columns id and label and ID.csv beside it, one table with the columns id and label, a .ts or an "
            ".npz file."
        )


_WHOLE = re.compile(r"^(-?\d+)\.0+$")  # pandas makes 1.0 of 1 where another label is missing


def read_sequences(
    path: str | os.PathLike, skipped: list[str] | None, columns: dict[str, str] | None = None
) -> Iterator[tuple]:
    """Iterate over the sequences of a local corpus.

    Args:
        path: the file, folder, archive or ``FileList``.
        skipped: a list; a sentence is appended for each sequence that cannot be used.
        columns: as of ``SequenceCorpus``.

    Yields:
        ``Sequence``.

    Raises:
        UserError: the corpus cannot be read.
    """
    name = "" if isinstance(path, files.FileList) or path.is_dir() else path.name
    one = name and _one_file(name)
    if one:
        yield from one(path, skipped, columns, None)
    else:
        yield from _Folder(path, skipped, columns).read()


def _one_file(name):
    """What reads a file that holds many sequences, by its name; None of other files."""
    low = name.lower().removesuffix(".gz")
    if low.endswith(".ts"):
        return _read_ts
    if low.endswith(".npz"):
        return _read_npz
    if low.endswith(".parquet"):
        return _read_parquet
    return _read_long if is_table(name) else None


# === Folders and archives ===


class _Folder:
    """A folder, an archive or a ``FileList`` of files that are a sequence each, or many."""

    def __init__(self, path, skipped, columns):
        self.path, self.skipped, self.columns = path, skipped, columns

    def read(self):
        members, tables = [], {}

        def wanted(name):
            members.append(name)
            return is_table(name) and not name.lower().endswith(".parquet")

        for name, data in files.open_members(self.path, wanted, self.skipped):
            # Only how they begin: there may be thousands.
            with contextlib.suppress(UserError):
                tables[name] = open_table(f"{self.path}: {name}", [], data[: 1 << 14])
        listed, lists = {}, [name for name, table in tables.items() if self._is_list(table)]
        stems = collections.defaultdict(list)
        for name in members:
            if name.lower().removesuffix(".gz").endswith(_SEQUENCES) and name not in lists:
                stems[_stem(posixpath.basename(name))].append(name)
        used = [name for name in lists if self._names_files(name, stems)]
        for name, data in files.open_members(self.path, used.__contains__, self.skipped):
            self._read_labels(name, data, stems, listed)
        others = [name for name in members if name not in listed and name not in used]
        many = [name for name in others if self._holds_many(name, tables)]
        if not listed and not many:  # a folder for each label
            for name in others:
                folder, single = posixpath.basename(posixpath.dirname(name)), name.removesuffix(".gz").lower()
                if folder and single.endswith(_SEQUENCES):
                    listed[name] = _stem(name), folder, ""
        elif listed:
            silent = [
                name for name in others if name not in many and _stem(posixpath.basename(name)) in stems
            ]
            silent = [name for name in silent if not NOTE.search(name)]
            self.skipped += told(self.path, "{} has no label", silent)
        yield from self._sequences(listed, many)

    def _is_list(self, table):
        try:
            places = table.find(COLUMNS, ("subject",), self.columns)
        except UserError:
            return False
        return len(places) >= 2

    def _names_files(self, name, stems):
        """Whether the first ids of a table are files."""
        for member, data in files.open_members(self.path, {name}.__contains__, self.skipped):
            rows = open_table(f"{self.path}: {member}", [], data).pick(COLUMNS, ("subject",), self.columns)
            few = itertools.islice(rows, 100)
            return any(_stem(_base(row["id"])) in stems or _base(row["id"]) in stems for _, _, row in few)
        return False

    def _holds_many(self, name, tables):
        if name in tables:
            return self._is_list(tables[name])
        return name.lower().removesuffix(".gz").endswith((".ts", ".npz", ".parquet"))

    def _read_labels(self, name, data, stems, listed):
        gone, folder = [], posixpath.dirname(name)
        table = open_table(f"{self.path}: {name}", self.skipped, data)
        for _, _, row in table.pick(COLUMNS, ("subject",), self.columns, literal=["id", "subject", "label"]):
            member = _found(row["id"], folder, stems)
            if member is None:
                gone.append(row["id"])
            else:
                listed[member] = _stem(row["id"].replace("\\", "/")), row["label"], row.get("subject", "")
        self.skipped += told(self.path, "{} has a label, but its file is not there", gone)

    def _sequences(self, listed, many):
        chosen = {*listed, *many}
        for name, data in files.open_members(self.path, chosen.__contains__, self.skipped):
            where = f"{self.path}: {name}"
            try:
                if name not in listed:
                    for one in _one_file(name)(where, self.skipped, self.columns, data):
                        one.name = f"{_stem(name)}/{one.name}"
                        yield one
                    continue
                columns, values = numbers.read_numbers(data, where)
            except UserError as error:  # on this file; another may be as it should
                self.skipped.append(f"{str(error).rstrip('.')}.")
                continue
            id_, label, subject = listed[name]
            yield Sequence(id_, label, values, columns, subject)


def _base(id_):
    return posixpath.basename(id_.replace("\\", "/"))


def _stem(name):
    """A name without the suffixes of files of sequences."""
    name = re.sub(r"(?i)\.gz$", "", name)
    low = name.lower()
    end = next((end for end in (*_SEQUENCES, ".ts", ".npz", ".parquet") if low.endswith(end)), "")
    return name[: len(name) - len(end)]


def _found(id_, folder, stems):
    """The member that an id means: the one of its name, of several that in its folder or that of its list."""
    id_ = id_.replace("\\", "/")
    alike = stems.get(_stem(_base(id_)), [])
    wanted = _stem(posixpath.normpath(posixpath.join(folder, id_)))
    exact = [name for name in alike if _stem(name) in (wanted, id_)]
    return (exact or alike or [None])[0] if len(exact or alike) <= 1 else None


# === Files of many sequences: (path or its name, skipped, columns, bytes or None) -> Sequence ===


def _read_ts(path, skipped, columns, data):
    for line, values, label in read_ts(path, skipped, data):
        yield Sequence(f"{line:06d}", label, values)


def _read_npz(path, skipped, columns, data):
    try:
        with np.load(io.BytesIO(data) if data is not None else path, allow_pickle=False) as stored:
            arrays = {name.lower(): stored[name] for name in stored.files}
    except Exception as error:  # whatever a broken file makes of zipfile and NumPy, or an array of objects
        raise UserError(f"{path}: cannot be read ({error}); save arrays of numbers and of text.") from error
    found = {what: next((arrays[n] for n in names if n in arrays), None) for what, names in _ARRAYS.items()}
    x, y = found["x"], found["y"]
    if (
        x is None
        or y is None
        or x.ndim not in (2, 3)
        or x.dtype.kind not in "biuf"
        or len(x) != len(y.ravel())
    ):
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        raise UserError(
            f"{path}: it has {shapes or 'nothing'}; give X [sequences, steps, channels] of numbers and y "
            "[sequences]."
        )
    x = x[..., None] if x.ndim == 2 else x
    names = None if found["channels"] is None else [str(name) for name in found["channels"].ravel()]
    if names and len(names) != x.shape[2]:
        raise UserError(f"{path}: it names {len(names)} channels, but X has {x.shape[2]}; name each of them.")
    for i, (values, label) in enumerate(zip(x, y.ravel().tolist(), strict=True)):
        values = numbers.as_numbers(values, f"{path}, sequence {i + 1}")
        if found["lengths"] is not None:
            values = values[: int(found["lengths"].ravel()[i])]
        else:
            known = np.flatnonzero(np.isfinite(values).any(1))
            values = values[: known[-1] + 1 if len(known) else 0]
        label = label.decode() if isinstance(label, bytes) else str(label)
        subject = "" if found["subjects"] is None else str(found["subjects"].ravel()[i])
        yield Sequence(f"{i + 1:06d}", label, values, names, subject)


def _read_long(path, skipped, columns, data):
    """A table with a row for each step."""
    table = open_table(path, skipped, data)
    places = table.find(COLUMNS, ("id", "subject"), columns)
    others = [(at, title) for at, title in enumerate(table.columns) if at not in places.values()]
    channels = [(at, title) for at, title in others if title and title.strip().lower() not in numbers.TIMES]
    if not channels:
        raise UserError(f"{path}: besides {', '.join(places)} it has no column; give the channels, too.")
    wanted = {what: names for what, names in COLUMNS.items() if what in places}
    wanted |= {f"channel {i}": at for i, (at, _) in enumerate(channels)}
    optional = {"id", "subject", *(what for what in wanted if what.startswith("channel "))}
    rows, texts = table.pick(wanted, optional, columns, literal=["id", "subject", "label"]), set()
    found, bad, last, run = {}, {}, None, 0
    for where, line, row in rows:
        label, subject = row["label"], row.get("subject", "")
        if "id" in places:
            key = subject, row.get("id")
            if key[1] is None:
                skipped.append(f"{where} has no id.")
                continue
        else:
            run += (label, subject) != last
            last = label, subject
            key = subject, f"{run:06d}"
        known = found.setdefault(key, (label, array.array("f")))
        if known[0] != label:
            bad[key] = f"{where}: {key[1]} has the label {label!r} and before it {known[0]!r}; give it one."
        for i in range(len(channels)):
            cell = row.get(f"channel {i}", "")
            value = numbers.as_number(cell)
            if value is None and line <= 2:
                texts.add(i)
            elif value is None and i not in texts:
                bad.setdefault(key, f"{where}, column {channels[i][1]}: {cell[:40]!r} is no number.")
            known[1].append(np.nan if value is None else value)
    skipped += bad.values()
    kept = [i for i in range(len(channels)) if i not in texts]
    if texts:
        skipped.append(f"{path}: {', '.join(channels[i][1] for i in sorted(texts))} left out, no numbers.")
    for (subject, id_), (label, values) in found.items():
        if (subject, id_) not in bad:
            values = numbers.as_numbers(np.array(values).reshape(-1, len(channels))[:, kept], path)
            yield Sequence(_stem(id_), label, values, [channels[i][1] for i in kept], subject)


def _read_parquet(path, skipped, columns, data):
    """A row for each sequence, its channels lists of numbers; a row for each step where there is no list."""
    file = ParquetFile(path, data)
    titles, names = file.schema.names, {}
    for what, usual in COLUMNS.items():
        given = (columns or {}).get(what)
        at = titles.index(given) if given in titles else column(titles, *usual)
        if at is not None:
            names[what] = titles[at]
    rows, lists = file.rows(titles, _ROWS), []
    for number, row in enumerate(rows, 1):
        if not lists:
            others = {title: value for title, value in row.items() if title not in names.values()}
            lists = [title for title, value in others.items() if isinstance(value, list)]
        if not lists:
            yield from _read_long(path, skipped, columns, data)
            return
        if "label" not in names:
            raise UserError(f"{path}: there is no column label; its columns are {', '.join(row)}.")
        where, label = f"{path}, row {number}", row[names["label"]]
        try:
            parts = [np.asarray(row[title], np.float64) for title in lists]
            parts = [part if part.ndim == 2 else part[:, None] for part in parts]
            values = numbers.as_numbers(np.concatenate(parts, 1), where)
        except (TypeError, ValueError):
            skipped.append(f"{where} has lists of several lengths, or something in them that is no number.")
            continue
        except UserError as error:
            skipped.append(f"{error}.")
            continue
        channels = [t if p.shape[1] == 1 else f"{t}_{i}" for t, p in zip(lists, parts, strict=True) for i in
                  range(p.shape[1])]  # fmt: skip
        subject = row.get(names.get("subject"), "")
        id_ = str(row[names["id"]]) if "id" in names else f"{number:06d}"
        yield Sequence(_stem(id_), "" if label is None else str(label), values, channels, str(subject))


# === Prepared corpora ===


class LabelledSequences(Samples):
    """Some sequences of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/SUBJECT/ID`` of every sequence, without the subject where none is known.
        labels: their labels, list of str; the same as ``texts``.
        channels: the names of the channels of each, list of tuples of str.
        lengths: their steps, int ``[sequences]``.
        skipped: sentences on sequences that could not be used.

    ``dataset`` gives ``values``, float32 ``[steps, channels]`` with NaN for what is missing, ``channels``, a
    string of JSON, and ``label``.
    """

    noun = "sequence"
    named = None  # columns that a person named; `load_sequences` makes a class for each such

    def __init__(self, sources: list[Prepared], chosen: list[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.labels = self.texts
        self.lengths = self._numbers(2)

    @functools.cached_property
    def channels(self) -> list[tuple[str, ...]]:
        known = functools.cache(lambda text: tuple(json.loads(text)))
        return [known(text) for text in self._strings(3)]

    @classmethod
    def local(cls, path: str | os.PathLike) -> SequenceCorpus:
        return SequenceCorpus(path, cls.named)

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path, str]:
        found, label = super().locate(path)
        return found, re.sub(r"(?i)\.(ts|npz|parquet)(\.gz)?$", "", label) if Path(path).is_file() else label

    @staticmethod
    def stored(sample: dict[str, Any]) -> dict[str, Any]:
        return sample | {"label": sample["text"]}

    @staticmethod
    def uniform(builder: Any) -> Callable:
        return _public(builder)

    @staticmethod
    def measures(sample: dict[str, Any]) -> list[int | str]:
        return [len(sample["values"]), sample["channels"]]

    @staticmethod
    def complaint(name: str, text: str, length: int, channels: str) -> str | None:
        return None if text and length else f"{name} has no {'row' if text else 'label'}."

    def chunks(self, size: int) -> Iterator[tuple[list[tuple[list[str], np.ndarray]], list[str]]]:
        """Iterate over ``(sequences, labels)``, up to ``size`` at a time: ``(channels, values)``; str."""
        for batch in self._batches(size):
            yield (
                [(json.loads(sample["channels"]), sample["values"]) for sample in batch],
                [sample["text"].decode() for sample in batch],
            )

    def of_channels(self, vocabulary: SequenceVocabulary) -> tuple[LabelledSequences, list[str]]:
        """The sequences that a model with these channels can read, and a sentence on each of the others."""
        skipped, known = [], {}
        for name, channels in zip(self.names, self.channels, strict=True):
            if channels not in known:
                try:
                    vocabulary.pick(list(channels), np.zeros((1, len(channels)), np.float32), name)
                    known[channels] = True
                except UserError as error:
                    known[channels] = str(error).partition(": ")[2]
            if known[channels] is not True:
                skipped.append(f"{name}: {known[channels]}.")
        kept = {n for n, c in zip(self.names, self.channels, strict=True) if known[c] is True}
        return self.select(kept.__contains__), skipped


def _public(builder):
    """``uniform`` of a public set.

    Raises:
        UserError: it has no sequence of numbers, or no class label.
    """
    features = builder.info.features
    label = next((n for n, f in features.items() if isinstance(f, tfds.features.ClassLabel)), None)
    series = [n for n, f in features.items() if _is_series(f)]
    if label is None or not series:
        raise UserError(
            f"tfds:{builder.name} has no sequence of numbers with a class label; name a set that has one."
        )
    titles = tf.constant(["", *features[label].names])

    def convert(sample):
        value = sample[series[0]]
        named = dict(value) if isinstance(value, dict) else {series[0]: value}
        parts = {
            name: tf.cast(part if part.shape.rank == 2 else part[:, None], tf.float32)
            for name, part in named.items()
            if part.dtype.is_floating or part.dtype.is_integer
        }
        widths = {name: part.shape[1] for name, part in parts.items()}
        channels = [
            name if width == 1 else f"{name}_{i + 1}" for name, width in widths.items() for i in range(width)
        ]
        text = titles[tf.cast(sample[label], tf.int32) + 1]
        values = tf.concat(list(parts.values()), 1)
        return {"values": values, "channels": tf.constant(json.dumps(channels)), "text": text, "label": text}

    return convert


def _is_series(feature):
    if isinstance(feature, tfds.features.Sequence):
        inner = feature.feature
        inner = list(inner.values()) if isinstance(inner, tfds.features.FeaturesDict) else [inner]
        return any(getattr(one, "shape", None) == () and _is_number(one) for one in inner)
    shape = getattr(feature, "shape", ())
    return type(feature) is tfds.features.Tensor and len(shape) in (1, 2) and _is_number(feature)


def _is_number(feature):
    return np.dtype(feature.np_dtype).kind in "iuf" and not isinstance(feature, tfds.features.ClassLabel)


def load_sequences(
    corpora: Any, only: str | None = None, progress: bool = False, columns: dict[str, str] | None = None
) -> LabelledSequences:
    """Prepare corpora (the first time) and give their sequences as ``LabelledSequences``.

    Args:
        corpora: a list of files, folders, archives and ``tfds:`` names, or one of these.
        only: a regular expression; sequences are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.
        columns: ``{"id": name, "label": name, "subject": name}`` of tables, where not among ``COLUMNS``.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no sequence that can be used.
    """
    kind = with_columns(LabelledSequences, check_named(columns, COLUMNS))
    return kind.load(corpora, only, progress)


GIVEN = Given(("values", "label"), "numbers")


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> LabelledSequences:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_sequences(corpora, only, progress, columns)
