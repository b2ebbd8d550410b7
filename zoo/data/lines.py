"""Corpora of text lines, prepared once as tensorflow-datasets.

A corpus is a folder or a tar of ``NAME.png|jpg|tif`` with ``NAME.gt.txt`` beside it (the layout of
ocropus, Calamari, kraken and tesstrain), or ``tfds:NAME[/CONFIG][:SPLIT]``, any public set that has an
image and a text feature. ``PATH@3`` shows a small corpus three times an epoch.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo import files, presets
from zoo.data import images
from zoo.errors import UserError
from zoo.vocabulary import normalise

_TEXT = ".gt.txt"
_VARIANTS = (".bin", ".nrm", ".raw")  # ocropus writes NAME.bin.png beside NAME.gt.txt


class LineCorpus(tfds.core.GeneratorBasedBuilder):
    """tensorflow-datasets builder of one local line corpus: ``image``, ``text`` and ``name`` of each line.

    Args:
        path: the folder or tar.
        data_dir: where the prepared shards go.
    """

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None

    def __init__(self, path, **kwargs):
        self._path = Path(path)
        self.skipped = []
        self.failure = None
        super().__init__(**kwargs)

    def _info(self):
        return self.dataset_info_from_configs(
            description="Images of single lines with their transcripts.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8),
                    "text": tfds.features.Text(),
                    "name": tfds.features.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        # tensorflow-datasets wraps what a generator raises, so the sentence for the user is kept beside.
        try:
            found = 0
            pairs = read_pairs(self._path, self.skipped)
            for name, pixels, text in pairs:
                found += 1
                yield name, {"image": pixels, "text": text, "name": name}
            if not found:
                reason = self.skipped[0] if self.skipped else "it is empty"
                raise UserError(
                    f"{self._path}: no line in it could be used ({reason.rstrip('.')}); give images, each "
                    f"with a {_TEXT} file of the same name beside it."
                )
        except UserError as error:
            self.failure = error
            raise


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
            text = normalise(text.decode("utf-8-sig"))
            if not text:
                skipped.append(f"{path}: {name}{_TEXT} is empty.")
                continue
            pixels = images.read_image(pixels, name=f"{path}: {image}")
        except UnicodeDecodeError:
            skipped.append(f"{path}: {name}{_TEXT} is not UTF-8; save it as UTF-8.")
        except UserError as error:
            skipped.append(str(error))
        else:
            yield name, np.round(pixels.mean(-1, keepdims=True)).astype(np.uint8), text
    for member, _ in waiting.values():
        missing = "image" if member.endswith(_TEXT) else "transcript"
        skipped.append(f"{path}: {member} has no {missing}.")


def _is_part(member):
    return member.endswith(_TEXT) or member.lower().endswith(images.SUFFIXES)


def _line_name(member):
    if member.endswith(_TEXT):
        return member.removesuffix(_TEXT)
    name = member[: member.rindex(".")]
    for variant in _VARIANTS:
        name = name.removesuffix(variant)
    return name


class Lines:
    """Some lines of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/NAME`` of every line, the corpus named as its file without suffixes.
        texts: their normalised transcripts.
        shapes: int array ``[lines, 2]``, height and width in pixels.
        skipped: sentences on lines that could not be used.
    """

    def __init__(self, sources, chosen=None):
        self._sources = sources
        every = [np.ones(len(source.names), bool) for source in sources]
        self._chosen = every if chosen is None else chosen
        self.names = self._gather("names")
        self.texts = self._gather("texts")
        self.shapes = np.array(self._gather("shapes"), int).reshape(-1, 2)
        self.skipped = [sentence for source in sources for sentence in source.skipped]

    def _gather(self, what):
        return [
            value
            for source, chosen in zip(self._sources, self._chosen, strict=True)
            for value, wanted in zip(getattr(source, what), chosen, strict=True)
            if wanted
        ]

    def __len__(self):
        return len(self.names)

    def select(self, wanted):
        """The lines for whose name ``wanted(name)`` is true."""
        chosen = [
            mask & np.array([bool(wanted(name)) for name in source.names], bool)
            for source, mask in zip(self._sources, self._chosen, strict=True)
        ]
        return Lines(self._sources, chosen)

    def sample(self, count):
        """``count`` lines spread evenly over these."""
        step = max(1, len(self) // count)
        few = set(self.names[::step][:count])
        return self.select(lambda name: name in few)

    def dataset(self, repeat=False):
        """A ``tf.data.Dataset`` of ``image`` uint8 ``[height, width, 1]`` and ``text``, in a fixed order.

        Args:
            repeat: give the lines of ``PATH@N`` N times.
        """
        parts = []
        for source, chosen in zip(self._sources, self._chosen, strict=True):
            mask = tf.constant(chosen)
            part = source.dataset().enumerate().filter(lambda i, _, mask=mask: mask[i]).map(lambda _, s: s)
            parts.append(part.repeat(source.repeat) if repeat else part)
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.concatenate(part)
        return joined

    def shown(self):
        """How many lines an epoch shows, repeats counted."""
        return sum(int(m.sum()) * s.repeat for s, m in zip(self._sources, self._chosen, strict=True))

    def chunks(self, size):
        """Iterate over ``(images, texts)``, lists of up to ``size`` uint8 arrays and str."""
        for batch in self.dataset().ragged_batch(size, row_splits_dtype=tf.int64).prefetch(1):
            images_of_batch = [_dense(image) for image in batch["image"]]
            yield images_of_batch, [text.decode() for text in batch["text"].numpy()]


def _dense(image):
    return image.to_tensor().numpy() if isinstance(image, tf.RaggedTensor) else image.numpy()


class _Source:
    """One prepared corpus and the index of its lines, in the order in which it is read."""

    def __init__(self, builder, split, index, skipped, repeat):
        self.builder, self.split, self.repeat, self.skipped = builder, split, repeat, skipped
        self.names = [row[0] for row in index]
        self.texts = [row[1] for row in index]
        self.shapes = [row[2:] for row in index]

    def dataset(self):
        return _read(self.builder, self.split)


def _read(builder, split):
    read = tfds.ReadConfig(shuffle_seed=0, interleave_cycle_length=1, add_tfds_id=False)
    raw = builder.as_dataset(split=split, shuffle_files=False, read_config=read)
    image, text = _features(builder)

    def uniform(sample):
        pixels = tf.cast(sample[image], tf.float32)
        grey = tf.cast(tf.round(tf.reduce_mean(pixels, axis=-1, keepdims=True)), tf.uint8)
        words = sample[text]
        if not isinstance(builder, LineCorpus):
            words = tf.numpy_function(lambda t: normalise(t.decode()).encode(), [words], tf.string, False)
            words = tf.ensure_shape(words, ())
        return {"image": grey, "text": words} | ({"name": sample["name"]} if "name" in sample else {})

    return raw.map(uniform, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _features(builder):
    image = [n for n, f in builder.info.features.items() if isinstance(f, tfds.features.Image)]
    text = [n for n, f in builder.info.features.items() if isinstance(f, tfds.features.Text)]
    text.sort(key=lambda name: name != "text")
    if not image or not text:
        raise UserError(
            f"tfds:{builder.name} has no {'text' if image else 'image'} feature; name a set with images of "
            "lines and their text."
        )
    return image[0], text[0]


def corpora_folder():
    """Where prepared corpora are kept: ``$ZOO_HOME/corpora``."""
    return presets.home() / "corpora"


def _fingerprint(path):
    """Changes when a file of the corpus does, without reading them all."""
    if path.is_dir():
        parts = sorted(
            f"{file.relative_to(path)}:{file.stat().st_size}:{file.stat().st_mtime_ns}"
            for file in path.rglob("*")
            if file.is_file()
        )
    else:
        parts = [f"{path.stat().st_size}:{path.stat().st_mtime_ns}"]
    text = "\n".join([os.path.realpath(path), *parts])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _prepare_local(path, progress):
    folder = corpora_folder() / _fingerprint(path)
    if not (folder / "index.json").is_file():
        with files.atomic_folder(folder) as new:
            builder = LineCorpus(path, data_dir=str(new))
            try:
                _prepare(builder, progress)
            except Exception:
                if builder.failure:
                    raise builder.failure from None
                raise
            data = {"skipped": builder.skipped, "lines": _index(_read(builder, "train"))}
            (new / "index.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    stored = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return LineCorpus(path, data_dir=str(folder)), stored


def _prepare(builder, progress):
    switch = tfds.enable_progress_bar if progress else tfds.disable_progress_bar
    switch()
    with contextlib.redirect_stdout(sys.stderr):  # it prints; stdout is for results
        builder.download_and_prepare()


def _index(dataset):
    rows = []
    for i, sample in enumerate(dataset.as_numpy_iterator()):
        height, width = sample["image"].shape[:2]
        name = sample["name"].decode() if "name" in sample else f"{i:06d}"
        rows.append([name, sample["text"].decode(), height, width])
    return rows


def _load_source(corpus, progress):
    path, repeat = str(corpus), 1
    counted = re.fullmatch(r"(.+)@(\d+)", path)
    if counted and not os.path.exists(path):
        path, repeat = counted[1], int(counted[2])
    if path.startswith("tfds:"):
        name, _, split = path.removeprefix("tfds:").partition(":")
        try:
            builder = tfds.builder(name)
            _prepare(builder, progress)
        except Exception as error:  # tfds has no common base for what an unknown or unreachable set raises
            raise UserError(
                f"{path}: cannot be prepared ({(str(error) or repr(error)).splitlines()[0]}); check the name."
            ) from error
        split = split or next(iter(builder.info.splits))
        index, skipped, label = _index(_read(builder, split)), [], name
    else:
        split, label = "train", Path(path).name
        builder, stored = _prepare_local(_existing(path), progress)
        index, skipped = stored["lines"], stored["skipped"]
        label = re.sub(r"\.(tar|tgz|tbz2?|txz)(\.(gz|bz2|xz))?$", "", label)
    index = [[f"{label}/{row[0]}", *row[1:]] for row in index]
    return _Source(builder, split, index, skipped, repeat)


def _existing(path):
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such file or folder; check the path.")
    return Path(path)


def load_lines(corpora, only=None, progress=False):
    """Prepare corpora (the first time) and give their lines.

    Args:
        corpora: a list of folders, tars and ``tfds:`` names, or one of these.
        only: a regular expression; lines are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no line that can be used.
    """
    if isinstance(corpora, str | Path):
        corpora = [corpora]
    found = Lines([_load_source(corpus, progress) for corpus in corpora])
    if only is not None:
        try:
            pattern = re.compile(only)
        except re.error as error:
            raise UserError(f"--only {only!r} is no regular expression ({error}).") from error
        found = found.select(pattern.search)
        if not len(found):
            raise UserError(f"--only {only!r} matches no line of {', '.join(map(str, corpora))}.")
    return found
