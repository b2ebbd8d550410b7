"""Corpora of text lines, prepared once as tensorflow-datasets.

A corpus is a folder or a tar of ``NAME.png|jpg|tif|…`` with ``NAME.gt.txt`` beside it (the layout of
ocropus, Calamari, kraken and tesstrain), or ``tfds:NAME[/CONFIG][:SPLIT]``, any public set that has an
image and a text feature. ``PATH@3`` shows a small corpus three times an epoch.
"""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.data.samples import LocalCorpus, Samples, feature_of, mapped_text
from zoo.errors import UserError
from zoo.images.lines import read_image
from zoo.text.files import decode_text
from zoo.text.normalise import normalise

_TEXT = ".gt.txt"
_VARIANTS = (".bin", ".nrm", ".raw")  # ocropus writes NAME.bin.png beside NAME.gt.txt


class LineCorpus(LocalCorpus):
    """tensorflow-datasets builder of one local line corpus: ``image``, ``text`` and ``name`` of each line."""

    description = "Images of single lines with their transcripts."
    features = {
        "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8),
        "text": tfds.features.Text(),
        "name": tfds.features.Text(),
    }

    def samples(self):
        for name, pixels, text in read_pairs(self.path, self.skipped):
            yield {"image": pixels, "text": text, "name": name}

    def unusable(self, reason):
        return UserError(
            f"{self.path}: no line in it could be used ({reason}); give images, each with a {_TEXT} file of "
            "the same name beside it."
        )


def read_pairs(path, skipped):
    """Iterate over the lines of a folder or tar.

    Args:
        path: the corpus.
        skipped: a list; a sentence is appended for each line that cannot be used.

    Yields:
        ``(name, pixels, text)``: name without suffix, grey uint8 ``[height, width, 1]``, normalised text.
    """
    waiting = {}
    for member, data in files.open_members(path, wanted=_is_part):
        name = _line_name(member)
        other = waiting.pop(name, None)
        if other is None:
            waiting[name] = (member, data)
            continue
        if member.endswith(_TEXT) == other[0].endswith(_TEXT):
            skipped.append(f"{path}: {member} and {other[0]} are the same line; {other[0]} was left out.")
            waiting[name] = (member, data)
            continue
        (_, text), (image, pixels) = sorted(((member, data), other), key=lambda m: not m[0].endswith(_TEXT))
        try:
            text = normalise(decode_text(text, f"{path}: {name}{_TEXT}"))
            if not text:
                skipped.append(f"{path}: {name}{_TEXT} is empty.")
                continue
            pixels = read_image(pixels, f"{path}: {image}")
        except UserError as error:
            skipped.append(str(error))
        else:
            yield name, np.round(pixels.mean(-1, keepdims=True)).astype(np.uint8), text
    for member, _ in waiting.values():
        missing = "image" if member.endswith(_TEXT) else "transcript"
        skipped.append(f"{path}: {member} has no {missing}.")


def _is_part(member):
    return member.endswith(_TEXT) or member.lower().endswith(IMAGE_SUFFIXES)


def _line_name(member):
    if member.endswith(_TEXT):
        return member.removesuffix(_TEXT)
    name = member[: member.rindex(".")]
    for variant in _VARIANTS:
        name = name.removesuffix(variant)
    return name


class Lines(Samples):
    """Some lines of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/NAME`` of every line, the corpus named as its file without suffixes.
        texts: their normalised transcripts.
        shapes: int array ``[lines, 2]``, height and width in pixels.
        skipped: sentences on lines that could not be used.

    ``dataset`` gives ``image`` uint8 ``[height, width, 1]`` and ``text``.
    """

    builder = LineCorpus
    noun = "line"

    def __init__(self, sources, chosen=None):
        super().__init__(sources, chosen)
        self.shapes = np.array([row[2:] for row in self._rows], int).reshape(-1, 2)

    @staticmethod
    def uniform(builder):
        what = "images of lines and their text"
        image = feature_of(builder, tfds.features.Image, [], what)
        text = feature_of(builder, tfds.features.Text, ["text"], what)

        def convert(sample):
            pixels = tf.cast(sample[image], tf.float32)
            grey = tf.cast(tf.round(tf.reduce_mean(pixels, axis=-1, keepdims=True)), tf.uint8)
            words = sample[text]
            if not isinstance(builder, LineCorpus):
                words = mapped_text(normalise, words)
            return {"image": grey, "text": words} | ({"name": sample["name"]} if "name" in sample else {})

        return convert

    @staticmethod
    def measures(sample):
        return list(sample["image"].shape[:2])

    def chunks(self, size):
        """Iterate over ``(images, texts)``, lists of up to ``size`` uint8 arrays and str."""
        for batch in self._batches(size):
            yield [sample["image"] for sample in batch], [sample["text"].decode() for sample in batch]


def load_lines(corpora, only=None, progress=False):
    """Prepare corpora (the first time) and give their lines.

    Args:
        corpora: a list of folders, tars and ``tfds:`` names, or one of these.
        only: a regular expression; lines are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no line that can be used.
    """
    return Lines.load(corpora, only, progress)


def load_corpus(corpora, config, only=None, progress=False):
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_lines(corpora, only, progress)
