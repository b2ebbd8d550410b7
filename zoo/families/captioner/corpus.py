"""Corpora of captioned images, prepared once as tensorflow-datasets.

A corpus is a folder or a tar of images, in any subfolders, with one or more of these lists of captions:

- Flickr8k and Flickr30k: ``*.token.txt`` or ``*.token``, on each line ``FILE#N``, a tab and a caption;
- ``captions.csv``, ``captions.tsv`` or, as Kaggle has it, ``captions.txt``: columns ``image`` (or ``file``,
  ``file_name``) and ``caption`` named in the first line; a further row of an image is a further caption;
- COCO: ``captions_SPLIT.json``, an object with ``images`` and ``annotations``;
- ``metadata.jsonl``, as Hugging Face has it: on each line an object with ``file_name`` and ``captions``,
  ``caption`` or ``text``, a string or a list of them.

Images are named relative to the list, or by the end of their path. Splits are what the names of COCO's lists
say, or files named ``*train*mages*.txt`` (``dev``, ``val``, ``test``) with a file name on each line.

So is ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with an image and captions. ``PATH@3`` shows a small
corpus three times an epoch.
"""

import json
import posixpath
import re

import tensorflow as tf
import tensorflow_datasets as tfds

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.data.samples import LocalCorpus, Samples, feature_of
from zoo.errors import UserError
from zoo.formats.tables import check_row, column, read_table
from zoo.images.photos import photo_as_jpeg, read_photo
from zoo.text.files import decode_text, split_lines
from zoo.text.normalise import normalise_caption


class CaptionCorpus(LocalCorpus):
    """tensorflow-datasets builder of one local corpus: ``image``, ``text`` and ``name`` of each image.

    ``image`` is the bytes of an RGB JPEG file, ``text`` the normalised captions, one on each line.

    Args:
        path: the folder or tar.
        size: side of the squares to which images are stretched, in pixels.
        data_dir: where the prepared shards go.
    """

    description = "Images with their captions."
    features = {
        "image": tfds.features.Tensor(shape=(), dtype=tf.string),
        "text": tfds.features.Text(),
        "name": tfds.features.Text(),
    }

    def __init__(self, path, size, **kwargs):
        self.size = size
        super().__init__(path, **kwargs)

    def samples(self):
        for name, image, captions in read_captioned(self.path, self.size, self.skipped):
            yield {"image": image, "text": "\n".join(captions), "name": name}

    def unusable(self, reason):
        return UserError(
            f"{self.path}: no image with captions in it could be used ({reason}); give images and "
            "captions.csv, whose first line is image,caption."
        )


def read_captioned(path, size, skipped):
    """Iterate over the captioned images of a folder or tar, one image in memory at a time.

    Args:
        path: the corpus.
        size: side of the squares to which images are stretched, in pixels.
        skipped: a list; a sentence is appended for each image that is broken, and one for each kind of other
            things that cannot be used.

    Yields:
        ``(name, image, captions)``: ``SPLIT/FILE``, or the image's path in the corpus where no split is
        known; the bytes of an RGB JPEG file; the normalised captions, a list of str, one at least.

    Raises:
        UserError: a list of captions or of a split cannot be read.
    """
    found = _find_captions(path, skipped)
    for member, data in files.open_members(path, found.__contains__):
        name, captions = found[member]
        try:
            image = photo_as_jpeg(data, size, name=f"{path}: {member}")
        except UserError as error:
            skipped.append(str(error))
        else:
            yield name, image, captions


# === Lists of captions ===


def _find_captions(path, skipped):
    """The captions of the images that are there: ``{file: (name, captions)}``."""
    images = {}  # by their names without folder

    def is_list(member):
        file = posixpath.basename(member)
        if file.lower().endswith(IMAGE_SUFFIXES):
            images.setdefault(file, []).append(member)
        return bool(_SPLIT.fullmatch(file) or _layout(file))

    members = files.open_members(path, is_list)
    lists = {member: decode_text(data, f"{path}: {member}") for member, data in members}
    splits = _read_splits(lists)
    found, missing, empty = {}, {}, []
    for member, text in lists.items():
        folder, file = posixpath.split(member)
        parse, split = _layout(file) or (_no_captions, None)
        captions = {}
        for reference, caption in parse(f"{path}: {member}", text):
            caption = normalise_caption(caption)
            image = _find_image(reference, folder, split, images)
            if image is None:
                missing[reference] = None
            elif not caption:
                empty.append(image)
            else:
                captions.setdefault(image, []).append(caption)
        for image, more in captions.items():
            named = split or splits.get(posixpath.basename(image))
            _, known = found.setdefault(image, (named, []))
            known.extend([caption for caption in more if caption not in known] if known else more)
    _complain(path, images, splits, found, missing, empty, skipped)
    return _named(found)


def _find_image(reference, folder, split, images):
    """The file that a list in ``folder`` means by ``reference``, or None."""
    reference = posixpath.normpath(reference.replace("\\", "/"))
    candidates = images.get(posixpath.basename(reference), [])
    beside = posixpath.join(folder, reference)
    if beside in candidates:
        return beside
    alike = [file for file in candidates if f"/{file}".endswith(f"/{reference}")] or candidates
    alike = [file for file in alike if f"/{split}/" in f"/{file}"] or alike
    return alike[0] if len(alike) == 1 else None


def _named(found):
    """``{file: (split, captions)}`` with the samples' names, each another, for the splits."""
    named, names = {}, set()
    for file, (split, captions) in found.items():
        name = f"{split}/{posixpath.basename(file)}" if split else file
        if name in names:
            name = f"{split}/{file}"
        names.add(name)
        named[file] = name, captions
    return named


def _complain(path, images, splits, found, missing, empty, skipped):
    """Append to ``skipped`` a sentence for each kind of things that cannot be used."""
    mentioned = {posixpath.basename(file) for file in (*found, *missing, *empty)}
    present = sorted(file for alike in images.values() for file in alike)
    kinds = {
        "captioned images that are not there, or in several folders": list(missing),
        "images of a split that have neither file nor caption": [f for f in splits if f not in mentioned],
        "images without a caption": [file for file in present if file not in found],
        "captions without a word": empty,
    }
    for kind, those in kinds.items():
        if those:
            skipped.append(f"{path}: {kind}: {len(those)}, the first {those[0]}.")


_SPLIT = re.compile(r".*(train|dev|val|test).*mages.*\.txt", re.IGNORECASE)


def _read_splits(lists):
    """``{file: split}`` of the lists of splits. An image in several is not for training if one is not."""
    splits = {}
    for member, text in lists.items():
        match = _SPLIT.fullmatch(posixpath.basename(member))
        for line in split_lines(text) if match else ():
            split, file = match[1].lower(), posixpath.basename(line.strip())
            if file:
                splits[file] = max(split, splits.get(file, split), key=_ORDER.index)
    return splits


_ORDER = ("train", "val", "dev", "test")


# The parsers below yield ``(reference, caption)`` as a list has them; ``where`` begins a message.


def _layout(file):
    """``(parser, split)`` of a list by its file name, the split None where it names none; None of others."""
    for pattern, parse in _LAYOUTS.items():
        match = re.fullmatch(pattern, file)
        if match:
            return parse, match["split"]
    return None


def _no_captions(where, text):
    return ()


def _parse_tokens(where, text):
    for number, line in enumerate(split_lines(text), 1):
        if line.strip():
            file, tab, caption = line.partition("\t")
            if not tab:
                raise UserError(f"{where}: line {number} has no tab; write FILE#0, a tab and the caption.")
            yield re.sub(r"#\d+$", "", file.strip()), caption


def _parse_table(where, text):
    header, rows = read_table(text, where, tabs="\t" in text.partition("\n")[0], free=["caption"])
    image, caption = column(header, "image", "file", "file_name"), column(header, "caption")
    if image is None or caption is None:
        raise UserError(f"{where}: its first line names no columns; start it with image,caption.")
    for line, row in rows:
        check_row(row, header, where, line)
        yield row[image].strip(), row[caption]


def _parse_coco(where, text):
    stored = _json(where, text)
    try:
        names = {image["id"]: str(image["file_name"]) for image in stored["images"]}
        captions = [(entry["image_id"], str(entry["caption"])) for entry in stored["annotations"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{where}: not as COCO has it ({error!r}); give images with id and file_name, and annotations "
            "with image_id and caption."
        ) from error
    for image, caption in captions:
        yield names.get(image, f"id {image}"), caption


def _parse_lines_of_json(where, text):
    for number, line in enumerate(split_lines(text), 1):
        if not line.strip():
            continue
        row = _json(f"{where}: line {number}", line)
        row = row if isinstance(row, dict) else {}
        captions = next((row[key] for key in ("captions", "caption", "text") if key in row), None)
        captions = [captions] if isinstance(captions, str) else captions
        file = row.get("file_name")
        if not isinstance(file, str) or not isinstance(captions, list):
            raise UserError(f"{where}: line {number} lacks file_name or captions; give both.")
        for caption in captions:
            yield file, str(caption)


def _json(where, text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: this is no JSON ({error}); copy or write it again.") from error


_LAYOUTS = {
    r"(?!.*lemma).*\.token(\.txt)?(?P<split>)?": _parse_tokens,
    r"captions\.(csv|tsv|txt)(?P<split>)?": _parse_table,
    r"captions_(?P<split>.+)\.json": _parse_coco,
    r"metadata\.jsonl(?P<split>)?": _parse_lines_of_json,
}


# === Prepared corpora ===


class CaptionSamples(Samples):
    """Some captioned images of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/SPLIT/FILE`` of every image, or ``CORPUS/`` and its path in the corpus where no split
            is known; the corpus is named as its file without suffixes.
        texts: its normalised captions (see ``zoo.text.normalise.normalise_caption``), one on each line.
        references: lists of these captions, one for each image.
        skipped: sentences on images and captions that could not be used.

    ``dataset`` gives ``image`` uint8 ``[size, size, 3]`` and ``text``.
    """

    noun = "image"
    version = 2
    size = None  # side of the images in pixels; `load_captions` makes a class for each

    def __init__(self, sources, chosen=None):
        super().__init__(sources, chosen)
        self.references = [text.split("\n") for text in self.texts]

    @classmethod
    def builder(cls, path, **options):
        return CaptionCorpus(path, cls.size, **options)

    @classmethod
    def uniform(cls, builder):
        if not isinstance(builder, CaptionCorpus):
            return _public(builder, cls.size)

        def convert(sample):
            # By default TensorFlow decodes JPEGs less exactly than Pillow.
            image = tf.io.decode_jpeg(sample["image"], channels=3, dct_method="INTEGER_ACCURATE")
            return sample | {"image": tf.ensure_shape(image, (cls.size, cls.size, 3))}

        return convert

    @staticmethod
    def measures(sample):
        return []

    @staticmethod
    def complaint(name, text):
        return None if text else f"{name} has no caption."

    def chunks(self, size):
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
    captions = (normalise_caption(caption.decode("utf-8", "replace")) for caption in captions)
    return "\n".join(filter(None, captions)).encode()


def load_captions(corpora, only=None, progress=False, size=224):
    """Prepare corpora (the first time) and give their images as ``CaptionSamples``.

    Args:
        corpora: a list of folders, tars and ``tfds:`` names, or one of these.
        only: a regular expression; images are kept whose ``CORPUS/SPLIT/FILE`` it matches somewhere.
        progress: show progress bars.
        size: side of the squares to which images are stretched, in pixels.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no image with captions that can be used.
    """
    # Prepared public corpora are known by the class's name.
    return type(f"Captions_{size}", (CaptionSamples,), {"size": size}).load(corpora, only, progress)


def load_corpus(corpora, config, only=None, progress=False):
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_captions(corpora, only, progress, config["image_size"])
