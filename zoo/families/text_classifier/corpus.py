"""Corpora of labelled texts, prepared once as tensorflow-datasets.

A corpus is one of these; every file may be gzipped, and `PATH@3` shows a small one three times an epoch:

- a table, ``*.tsv`` or ``*.csv``, whose first line names the columns ``label`` and ``text`` (or ``sentence``,
  ``review``); on quotes see ``zoo.formats.tables``;
- ``*.jsonl`` or ``*.json``: on each line an object with these keys;
- a folder or a tar with a folder for each label, and in it a ``.txt`` file for each text;
- ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with text and a class label: ``tfds:imdb_reviews``,
  ``tfds:glue/sst2``.

``LabelledTexts.without_duplicates`` and ``without_overlap`` keep what is validated out of what is learned.
"""

import functools
import json
import posixpath
import re
from collections import Counter
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

from zoo import files
from zoo.data.samples import LocalCorpus, TextSamples, feature_of, mapped_text
from zoo.errors import UserError
from zoo.formats.tables import check_row, column, read_table
from zoo.text.files import decode_text, read_text, split_lines
from zoo.text.normalise import normalise_sentence, normalise_text

_FILE = re.compile(r"(.+)\.(tsv|csv|jsonl|json)(\.gz)?", re.DOTALL)
_TEXT = ("text", "sentence", "review")  # names of its column, best first
SHARED = 8  # words in a row that two texts may not share if one is learned and one validated


class LabelledCorpus(LocalCorpus):
    """tensorflow-datasets builder of one local corpus: ``text``, ``label`` and ``name`` of each text.

    Args:
        path: the file, folder or tar.
        data_dir: where the prepared shards go.
    """

    description = "Texts with their labels."
    features = {"text": tfds.features.Text(), "label": tfds.features.Text(), "name": tfds.features.Text()}
    in_order = True

    def samples(self):
        for name, text, label in read_labelled(self.path, self.skipped):
            yield {"text": text, "label": label, "name": name}

    def unusable(self, reason):
        return UserError(
            f"{self.path}: no labelled text in it could be used ({reason}); give a table whose first line is "
            "label and text, or a folder of .txt files for each label."
        )


def read_labelled(path, skipped):
    """Iterate over the texts of a local corpus.

    Args:
        path: the file, folder or tar.
        skipped: a list; a sentence is appended for each text that cannot be used.

    Yields:
        ``(name, text, label)``: the number of the line, six digits, or the path in the folder without suffix;
        the text with its white space normalised; the label. Neither is empty.

    Raises:
        UserError: a file cannot be read, is not UTF-8, has no such columns, or a row that is not as they are.
    """
    match = _FILE.fullmatch(path.name)
    if path.is_dir() or not match:
        rows = _read_members(path, skipped)
    else:
        text = read_text(path)
        rows = _read_json(path, text) if "json" in match[2] else _read_table(path, text, match[2] == "tsv")
    for where, name, text, label in rows:
        text, label = normalise_sentence(text), normalise_sentence(label)
        complaint = _empty(where, text, label)
        if complaint:
            skipped.append(complaint)
        else:
            yield name, text, label


def _empty(where, text, label):
    return None if normalise_text(text) and label else f"{where} has no {'text' if label else 'label'}."


# The readers below yield ``(where, name, text, label)`` as the files have it; ``where`` begins a message.


def _read_table(path, text, tabs):
    header, rows = read_table(text, path, tabs, free=_TEXT)
    if not header:
        return
    text, label = column(header, *_TEXT), column(header, "label")
    if text is None or label is None:
        shown = ", ".join(title[:30] for title in header[:10])
        raise UserError(
            f"{path}: there is no column {'text' if text is None else 'label'}; its first line is {shown!r}; "
            "have it name label and text."
        )
    for line, row in rows:
        check_row(row, header, path, line)
        yield f"{path}, line {line}", f"{line:06d}", row[text], row[label]


def _read_json(path, text):
    for number, line in enumerate(split_lines(text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: line {number} is no JSON ({error}); put one object on each line."
            ) from error
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is no object; put one object on each line.")
        text = next((row[name] for name in _TEXT if name in row), None)
        if not isinstance(text, str) or not isinstance(row.get("label"), str | int):
            raise UserError(f"{path}: line {number} lacks label or text; give an object with both.")
        yield f"{path}, line {number}", f"{number:06d}", text, str(row["label"])


def _read_members(path, skipped):
    found = False
    for name, data in files.open_members(path, lambda name: name.endswith(".txt")):
        folder = posixpath.basename(posixpath.dirname(name))
        if not folder:
            continue  # a note beside the labels' folders
        found = True
        try:
            text = decode_text(data, f"{path}: {name}")
        except UserError as error:
            skipped.append(str(error))
        else:
            yield f"{path}: {name}", name.removesuffix(".txt"), text, folder
    if not found:
        skipped.append(f"{path}: there is no folder of .txt files in it.")


# === Prepared corpora ===


class LabelledTexts(TextSamples):
    """Some texts of one or more prepared corpora, in the order of their files.

    Attributes:
        names: ``CORPUS/000001`` of every text, the number of its line from 1, or ``CORPUS/`` and its path in
            a folder or tar; the corpus is named as its file without suffixes.
        texts: the texts, their white space normalised.
        labels: their labels, list of str.
        keys: their words without the marks between them: texts that agree in these count as the same.
        skipped: sentences on texts that could not be used.

    ``dataset`` gives ``text`` and ``label``, scalar strings.
    """

    noun = "text"
    version = 2
    builder = LabelledCorpus

    def __init__(self, sources, chosen=None):
        super().__init__(sources, chosen)
        self.labels = [row[2] for row in self._rows]

    @functools.cached_property
    def keys(self):
        return [" ".join(_words(text)) for text in self.texts]

    @classmethod
    def locate(cls, path):
        match = _FILE.fullmatch(Path(path).name)
        if match and Path(path).is_file():
            return Path(path), match[1]
        return super().locate(path)

    @classmethod
    def uniform(cls, builder):
        return (lambda sample: sample) if isinstance(builder, LabelledCorpus) else _public(builder)

    @staticmethod
    def measures(sample):
        return [sample["label"].decode()]

    @staticmethod
    def complaint(name, text, label):
        return _empty(name, text, label)

    @property
    def columns(self):
        return {"text": self.texts, "label": self.labels}

    def without_duplicates(self):
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

    def without_overlap(self, others):
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
    key = feature_of(builder, tfds.features.Text, _TEXT, what)
    label = feature_of(builder, tfds.features.ClassLabel, ["label"], what)
    names = tf.constant(["", *builder.info.features[label].names])  # -1: not told, as in GLUE's tests

    def convert(sample):
        text = mapped_text(normalise_sentence, sample[key])
        return {"text": text, "label": names[tf.cast(sample[label], tf.int32) + 1]}

    return convert


def load_labelled(corpora, only=None, progress=False):
    """Prepare corpora (the first time) and give their texts as ``LabelledTexts``.

    Args:
        corpora: a list of tables, folders, tars and ``tfds:`` names, or one of these.
        only: a regular expression; texts are kept whose ``CORPUS/000001`` it matches somewhere.
        progress: show progress bars.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no labelled text that can be used.
    """
    return LabelledTexts.load(corpora, only, progress)


def load_corpus(corpora, config, only=None, progress=False):
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_labelled(corpora, only, progress)
