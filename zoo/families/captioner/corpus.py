"""Corpora of captioned images, prepared once.

A corpus is a folder, a zip or a tar of images, in any subfolders, with one or more lists of captions, known
by what they say; docs/corpora.md shows each layout:

- Flickr8k and Flickr30k: on each line ``FILE#N``, a tab and a caption;
- tables with a column ``image`` (or ``file_name``, ``image_name``) and one ``caption`` (or ``comment``,
  ``text``) named in the first line, as Kaggle's ``captions.txt`` and ``results.csv`` and Hugging Face's
  ``metadata.csv``; a further row of an image is a further caption;
- JSON: COCO's, Karpathy's, and objects with such names, as on the lines of Hugging Face's ``metadata.jsonl``;
- where there is none of these, ``NAME.txt`` beside ``NAME.jpg``, with a caption on each line.

Images are named relative to the list, or by the end of their path. Splits are what a list says or its name
tells, or files named ``*train*mages*.txt`` (``dev``, ``val``, ``test``) with a file name on each line.

So is such a list alone, a Parquet table, a pattern or list of images, or ``tfds:NAME[/CONFIG][:SPLIT]``, any
public set with an image and captions. ``PATH@3`` shows a small corpus three times an epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from export.runtime import IMAGE_SUFFIXES
from zoo.data import listed
from zoo.data.captions import CaptionedSamples, normalising, read_captioned
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, feature_of
from zoo.errors import UserError
from zoo.formats.tables import check_named, with_columns
from zoo.images.photos import photo_as_jpeg, read_photo
from zoo.text.normalise import language_of, normalise_caption

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from zoo.data.listed import Kind
    from zoo.files import FileList

KIND = listed.Kind(
    noun="caption",
    columns=("caption", "text", "comment", "sentence", "description", "title"),
    header="image,caption",
    option="caption",
    several=True,
    splits=r"(?i:.*(train|dev|val|test).*mages.*\.txt)",
    **normalising(),
)


class CaptionCorpus(LocalCorpus):
    """Reads one local corpus: ``image``, ``text`` and ``name`` of each image.

    ``image`` is the bytes of an RGB JPEG file, ``text`` the normalised captions, one on each line.

    Args:
        path: the folder, archive or ``FileList``.
        size: side of the squares to which images are stretched, in pixels.
        kind: ``KIND``, perhaps with columns that a person named.
    """

    @property
    def features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Tensor(shape=(), dtype=tf.string),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def __init__(self, path: str | os.PathLike | FileList, size: int, kind: Kind = KIND) -> None:
        super().__init__(path)
        self.size, self.kind = size, kind

    def samples(self) -> Iterator[dict[str, Any]]:
        def read(data, name):
            return photo_as_jpeg(data, self.size, name=name)

        for name, image, captions in read_captioned(self.path, read, self.skipped, self.kind):
            yield {"image": image, "text": "\n".join(captions), "name": name}

    def unusable(self, reason: str) -> UserError:
        wanted = "give images and captions.csv, whose first line is image,caption"
        return listed.unusable(self.path, self.kind, "captioned images", reason, wanted)


# === Prepared corpora ===


class CaptionSamples(CaptionedSamples):
    """Some captioned images of one or more prepared corpora; see ``zoo.data.captions.CaptionedSamples``.

    ``dataset`` gives ``image`` uint8 ``[size, size, 3]`` and ``text``.
    """

    noun = "image"
    version = 6
    suffixes = IMAGE_SUFFIXES
    size = None  # side of the images in pixels; `load_captions` makes a class for each

    @classmethod
    def local(cls, path: str | os.PathLike | FileList) -> CaptionCorpus:
        return CaptionCorpus(path, cls.size, KIND.naming(cls.named))

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path | FileList, str]:
        return listed.located(path, KIND.naming(cls.named)) or super().locate(path)

    @classmethod
    def stored(cls, sample: dict[str, Any]) -> dict[str, Any]:
        # By default TensorFlow decodes JPEGs less exactly than Pillow.
        image = tf.io.decode_jpeg(sample["image"], channels=3, dct_method="INTEGER_ACCURATE")
        return sample | {"image": tf.ensure_shape(image, (cls.size, cls.size, 3))}

    @classmethod
    def uniform(cls, builder: Any) -> Callable:
        return _public(builder, cls.size)

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[list[str]]]]:
        """Iterate over ``(images, references)``: lists of up to ``size`` uint8 arrays and lists of str."""
        for batch in self._batches(size):
            texts = [sample["text"].decode() for sample in batch]
            yield [sample["image"] for sample in batch], [text.split("\n") for text in texts]


def _public(builder, size):
    """``uniform`` of a public set.

    Raises:
        UserError: it has no 8-bit images, grey or RGB, or no captions.
    """
    features = builder.info.features
    key = feature_of(builder, tfds.features.Image, ["image"], "images and their captions")
    if features[key].shape[-1] not in (1, 3) or features[key].tf_dtype != tf.uint8:
        raise UserError(f"tfds:{builder.name}: its images are not 8-bit, grey or RGB; name another set.")
    where = next((path for path in _CAPTIONS if _is_text(features, path)), None)
    if where is None:
        raise UserError(f"tfds:{builder.name} has no captions; there are {', '.join(sorted(features))}.")
    name = next((name for name in _FILE_NAMES if _is_text(features, (name,))), None)

    def stretch(pixels):
        return read_photo(pixels, size)

    def convert(sample):
        image = tf.numpy_function(stretch, [sample[key]], tf.uint8, stateful=False)
        captions = sample
        for part in where:
            captions = captions[part]
        text = tf.numpy_function(_joined, [tf.reshape(captions, [-1])], tf.string, stateful=False)
        found = {"image": tf.ensure_shape(image, (size, size, 3)), "text": tf.ensure_shape(text, ())}
        return found | ({"name": sample[name]} if name else {})

    return convert


_CAPTIONS = (("captions", "text"), ("captions",), ("caption",), ("text",))
_FILE_NAMES = ("image/filename", "file_name", "filename")


def _is_text(features, path):
    """Whether there is, below the keys of ``path``, text or a sequence of it."""
    dtype = features.tf_dtype
    for part in path:
        dtype = dtype.get(part) if isinstance(dtype, dict) else None
    return dtype == tf.string


def _joined(captions):
    captions = [caption.decode("utf-8", "replace") for caption in captions]
    language = language_of(captions)
    captions = (normalise_caption(caption, language) for caption in captions)
    return "\n".join(filter(None, captions)).encode()


def load_captions(
    corpora: Any, only: str | None = None, progress: bool = False, size: int = 224,
    columns: dict[str, str] | None = None,
) -> CaptionSamples:  # fmt: skip
    """Prepare corpora (the first time) and give their images as ``CaptionSamples``.

    Args:
        corpora: a list of folders, archives, lists, images and ``tfds:`` names, or one of these.
        only: a regular expression; images are kept whose ``CORPUS/SPLIT/FILE`` it matches somewhere.
        progress: show progress bars.
        size: side of the squares to which images are stretched, in pixels.
        columns: ``{"image": name, "caption": name}`` of tables, where ``KIND`` knows no such names.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no image with captions that can be used.
    """
    # Prepared public corpora are known by the class's name.
    kind = type(f"Captions_{size}", (CaptionSamples,), {"size": size})
    return with_columns(kind, check_named(columns, KIND.wanted)).load(corpora, only, progress)


GIVEN = Given(("image", "caption"), "image", KIND.image_columns)


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> CaptionSamples:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_captions(corpora, only, progress, config["image_size"], columns)
