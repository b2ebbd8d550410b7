"""Corpora of labelled texts, prepared once.

A corpus is one of these; every file may be gzipped, and `PATH@3` shows a small one three times an epoch:

- a table with the columns ``label`` and ``text`` (or others of ``COLUMNS``, or those of ``--columns``): CSV,
  TSV, JSON, lines of JSON, Parquet; see ``zoo.formats.tables``. A label 1.0 is the label 1;
- fastText's lines, ``__label__NAME`` and the text, in a file of any name;
- lines of a label, a tab and a text, or of a text, a tab and a label, if the first label comes again;
- a folder or a tar with such files in it, or with a folder for each label, and in that a ``.txt`` file for
  each text, as IMDB has them; those in a folder that has folders of texts are notes;
- ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with text and a class label: ``tfds:imdb_reviews``,
  ``tfds:glue/sst2``.

``LabelledTexts.without_duplicates`` and ``without_overlap`` keep what is validated out of what is learned.
"""

from __future__ import annotations

import functools
import itertools
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from zoo import files
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, TextSamples, feature_of, mapped_text
from zoo.errors import UserError
from zoo.formats.tables import (
    NAME,
    TAB,
    TEXT,
    check_named,
    column,
    is_table,
    open_table,
    stem_of,
    with_columns,
)  # fmt: skip
from zoo.text.files import Utf8Check, decode_text, stream_lines
from zoo.text.normalise import normalise_sentence, normalise_text

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.prepared import Prepared

COLUMNS = {  # what their names may be, best first
    "text": TEXT,
    "label": ("label", "labels", "class", "category", "sentiment", "intent", "target", "rating", "stars"),
}
_FASTTEXT = "__label__"
SHARED = 8  # words in a row that two texts may not share if one is learned and one validated


class LabelledCorpus(LocalCorpus):
    """Reads one local corpus: ``text``, ``label`` and ``name`` of each text.

    Args:
        path: the file, folder or tar.
        columns: ``{"text": name, "label": name}`` of tables, where they are not among ``COLUMNS``; or None.
    """

    def __init__(self, path: str | os.PathLike, columns: dict[str, str] | None = None) -> None:
        super().__init__(path)
        self.columns = columns

    def samples(self) -> Iterator[dict[str, str]]:
        for name, text, label in read_labelled(self.path, self.skipped, self.columns):
            yield {"text": text, "label": label, "name": name}

    def unusable(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: no labelled text in it could be used ({reason}); give a table whose first line is "
            "label and text, or a folder of .txt files for each label."
        )


def read_labelled(
    path: str | os.PathLike, skipped: list[str] | None, columns: dict[str, str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """Iterate over the texts of a local corpus.

    Args:
        path: the file, folder or tar.
        skipped: a list; a sentence is appended for each text that cannot be used.
        columns: as of ``LabelledCorpus``.

    Yields:
        ``(name, text, label)``: the number of the line, six digits, or the path in the folder without suffix,
        for a table in it with the number of the line behind it; the text with its white space normalised; the
        label. Neither is empty.

    Raises:
        UserError: a file cannot be read, is no text, or has no such columns.
    """
    if path.is_dir():
        rows = _read_members(path, skipped, columns)
    elif is_table(path.name):
        rows = _read_table(path, skipped, columns)
    elif _is_fasttext(stream_lines(path)):
        rows = _read_fasttext(path, skipped)
    elif _label_of_two(stream_lines(path)) is not None:
        rows = _read_table(path, skipped, columns)
    else:
        rows = _read_members(path, skipped, columns)
    for where, name, text, label in rows:
        text, label = normalise_sentence(text), normalise_sentence(label)
        complaint = _empty(where, text, label)
        if complaint:
            skipped.append(complaint)
        else:
            yield name, text, _WHOLE.sub(r"\1", label)


_WHOLE = re.compile(r"^(-?\d+)\.0+$")  # pandas makes 1.0 of 1 where another label is missing


def _empty(where, text, label):
    return None if normalise_text(text) and label else f"{where} has no {'text' if label else 'label'}."


# The readers below yield ``(where, name, text, label)`` as the files have it; ``where`` begins a message.


def _read_table(path, skipped, columns, data=None):
    table = open_table(path, skipped, data)
    wanted = COLUMNS
    known = column(table.columns, *COLUMNS["label"], *COLUMNS["text"])
    if table.delimiter == TAB and known is None and not columns:
        label = _label_of_two(stream_lines(path, data))
        if label is not None:
            table.headless()
            wanted = {"label": label, "text": 1 - label}
    for where, line, row in table.pick(wanted, named=columns, free=["text"]):
        yield where, f"{line:06d}", row["text"], row["label"]


def _label_of_two(lines):
    """Which of two columns, with a tab between, has labels: that of the first line comes again; or None."""
    try:
        few = [line.split(TAB) for line in itertools.islice(lines, 1000) if line.strip()]
    except UserError:  # no text at all
        return None
    rows = [row for row in few if len(row) == 2]
    if 2 * len(rows) <= len(few):
        return None
    counts = [Counter(cell.strip() for cell in cells) for cells in zip(*rows, strict=True)]
    label = min((0, 1), key=lambda at: len(counts[at]))
    again = counts[label][rows[0][label].strip()] > 1
    return label if again and len(counts[0]) != len(counts[1]) else None


def _is_fasttext(lines):
    """Whether lines are fastText's, by the first: most have a label, which may stand anywhere."""
    try:
        few = [line for line in itertools.islice(lines, 100) if line.strip()]
        labelled = [any(word.startswith(_FASTTEXT) for word in line.split()) for line in few]
        return 2 * sum(labelled) > len(few)
    except UserError:  # no text at all
        return False


def _read_fasttext(path, skipped, data=None):
    check = Utf8Check(path)
    for number, line in enumerate(stream_lines(path, data), 1):
        where, words = f"{path}, line {number}", line.split()
        labels = [word for word in words if word.startswith(_FASTTEXT)]
        complaint = check.complaint(line, number)
        if not complaint and words and len(labels) != 1:
            complaint = f"{where} has {len(labels) or 'no'} label{'s' * (len(labels) != 1)}; give one."
        if complaint:
            skipped.append(complaint)
        elif words:
            text = " ".join(word for word in words if not word.startswith(_FASTTEXT))
            yield where, f"{number:06d}", text, labels[0].removeprefix(_FASTTEXT)
    check.end()


def _read_members(path, skipped, columns):
    found, complaint, names, notes, taken = False, None, [], [], set()
    list(files.open_members(path, names.append, []))  # reads none
    folders = {posixpath.dirname(name) for name in names if name.lower().endswith(".txt")}
    above = {"", *(str(parent) for folder in folders for parent in PurePosixPath(folder).parents)}
    unlabelled = [folder for folder in folders if posixpath.basename(folder).lower() in _UNLABELLED]

    def wanted(name):
        text = name.lower().endswith(".txt") and posixpath.dirname(name) not in unlabelled
        return text or is_table(name)

    for name, data in files.open_members(path, wanted, skipped):
        where, folder = f"{path}: {name}", posixpath.dirname(name)
        try:
            if is_table(name):
                rows, stem = _read_table(where, skipped, columns, data), stem_of(name, taken)
            elif _is_fasttext(stream_lines(where, data)):
                rows, stem = _read_fasttext(where, skipped, data), name[:-4]
            elif _label_of_two(stream_lines(where, data)) is not None:
                rows, stem = _read_table(where, skipped, columns, data), name[:-4]
            elif folder not in above:
                found = True
                yield where, name[:-4], decode_text(data, where), posixpath.basename(folder)
                continue
            else:
                notes += [name] if folder else []  # above all others, it is README.txt
                continue
            for place, number, text, label in rows:
                found = True
                yield place, f"{stem}/{number}", text, label
        except UserError as error:  # on this file; another may be as it should
            skipped.append(str(error))
            complaint = complaint or error
    if not found and complaint:
        raise complaint
    for folder in sorted(unlabelled):
        skipped.append(f"{path}: {folder} is no label; its texts are left out.")
    if not found:
        there = ", ".join(sorted(names)[:3]) or "nothing"
        skipped.append(f"{path}: there is neither a table nor a folder of .txt files in it, but {there}.")
    elif notes:
        more = f" and {len(notes) - 1} more" if len(notes) > 1 else ""
        skipped.append(f"{path}: {notes[0]}{more}, beside folders of texts, have no label.")


_UNLABELLED = ("unsup", "unlabeled", "unlabelled", "unsupervised")  # folders, as of IMDB


# === Prepared corpora ===


class LabelledTexts(TextSamples):
    """Some texts of one or more prepared corpora, in the order of their files.

    Attributes:
        names: ``CORPUS/000001`` of every text, the number of its line from 1, or ``CORPUS/`` and its path in
            a folder or tar; the corpus is named as its file without suffixes.
        texts: the texts, their white space normalised.
        labels: their labels, a sequence of str.
        keys: their words without the marks between them: texts that agree in these count as the same.
        skipped: sentences on texts that could not be used.

    ``dataset`` gives ``text`` and ``label``, scalar strings.
    """

    noun = "text"
    version = 4
    named = None  # columns that a person named; `load_labelled` makes a class for each such

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.labels = self._strings(2)

    @functools.cached_property
    def keys(self) -> list[str]:
        return [" ".join(_words(text)) for text in self.texts]

    @classmethod
    def local(cls, path: str | os.PathLike) -> LabelledCorpus:
        return LabelledCorpus(path, cls.named)

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path, str]:
        match = NAME.fullmatch(Path(path).name)
        if match and Path(path).is_file():
            return Path(path), match[1]
        return super().locate(path)

    @staticmethod
    def uniform(builder: Any) -> Callable:
        return _public(builder)

    @staticmethod
    def measures(sample: dict[str, Any]) -> list[str]:
        return [sample["label"]]

    @staticmethod
    def complaint(name: str, text: str, label: str) -> str | None:
        return _empty(name, text, label)

    @property
    def columns(self) -> dict[str, Sequence[str]]:
        return {"text": self.texts, "label": self.labels}

    def without_duplicates(self) -> tuple[LabelledTexts, dict[str, int]]:
        """Each text once, and none that has two labels.

        Returns:
            ``(texts, report)``: those that stay, and how many went for each reason, ``{str: int}``.
        """
        labels = {}
        for key, label in zip(self.keys, self.labels, strict=True):
            labels.setdefault(key, set()).add(label)
        kept, report = set(), Counter({"the same text again": 0, "the same text with two labels": 0})
        seen = set()
        for name, key in zip(self.names, self.keys, strict=True):
            if len(labels[key]) > 1:
                report["the same text with two labels"] += 1
            elif key in seen:
                report["the same text again"] += 1
            else:
                kept.add(name)
            seen.add(key)
        return self.select(kept.__contains__), dict(report)

    def without_overlap(self, others: Any) -> LabelledTexts:
        """The texts that share no ``SHARED`` words in a row with one of ``others``, nor are the same.

        (Brown et al. 2020, appendix C, look for such overlaps between training and test texts.)
        """
        held = {run for key in others.keys for run in _runs(key)}
        free = {name for name, key in zip(self.names, self.keys, strict=True) if held.isdisjoint(_runs(key))}
        return self.select(free.__contains__)


def _words(text):
    tokens = normalise_text(text).split()
    return [token for token in tokens if any(map(str.isalnum, token))] or tokens


def _runs(key):
    """All ``SHARED`` words in a row of a text; of a shorter one, the text."""
    words = key.split()
    return {" ".join(words[i : i + SHARED]) for i in range(max(1, len(words) - SHARED + 1))}


def _public(builder):
    """``uniform`` of a public set.

    Raises:
        UserError: it has no text, or no class label.
    """
    what = "texts and class labels"
    key = feature_of(builder, tfds.features.Text, COLUMNS["text"], what)
    label = feature_of(builder, tfds.features.ClassLabel, ["label"], what)
    names = tf.constant(["", *builder.info.features[label].names])  # -1: not told, as in GLUE's tests

    def convert(sample):
        text = mapped_text(normalise_sentence, sample[key])
        return {"text": text, "label": names[tf.cast(sample[label], tf.int32) + 1]}

    return convert


def load_labelled(
    corpora: Any, only: str | None = None, progress: bool = False, columns: dict[str, str] | None = None
) -> LabelledTexts:
    """Prepare corpora (the first time) and give their texts as ``LabelledTexts``.

    Args:
        corpora: a list of tables, folders, tars and ``tfds:`` names, or one of these.
        only: a regular expression; texts are kept whose ``CORPUS/000001`` it matches somewhere.
        progress: show progress bars.
        columns: ``{"text": name, "label": name}`` of tables, where they are not among ``COLUMNS``.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no labelled text that can be used.
    """
    kind = with_columns(LabelledTexts, check_named(columns, COLUMNS))
    return kind.load(corpora, only, progress)


GIVEN = Given(("text", "label"))


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> LabelledTexts:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_labelled(corpora, only, progress, columns)
