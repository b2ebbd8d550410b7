"""Reads text lines with an exported seqzoo model: one file that needs onnxruntime, NumPy and Pillow alone.

Copy it to a deployment host as it is, or install the base package; there is no TensorFlow in it.

    from export import runtime

    reader = runtime.load("reader.onnx")
    reader(["scan1.png", "scan2.png"])                    # ["It was the best of", "times, it was the"]
    line, = reader("scan1.png", details=True)             # Line: text, confidence, characters with columns
    reader(lines, beam_width=10, errors="return")         # a bad image gives its ReaderError in its place

From a shell: ``python runtime.py reader.onnx scan1.png scan2.png`` prints a line for each image.

Where the package is installed, ``load`` opens models of the other tasks, too, and gives the reader that
``READERS`` names.
"""

import collections
import concurrent.futures
import dataclasses
import importlib
import io
import itertools
import json
import math
import os
import pathlib
import re
import sys
import typing
import unicodedata

import numpy as np
import onnxruntime
from PIL import Image

FORMAT = "1"  # the version of the metadata that this file understands
MIN_HEIGHT = 8  # pixels; lower than this no letter can be told from another
MAX_ASPECT = 250  # width / height; the longest lines of print stay below 100
MAX_PIXELS = 1 << 25  # of one image; a page at 600 dpi has as many, a line far fewer
WINDOW = 512  # images held in memory and sorted by width at a time
BATCH_PIXELS = 1 << 23  # padded pixels of one batch; preprocessing holds some 20 bytes for each


class ReaderError(ValueError):
    """An image or a model that cannot be read, in one sentence that names it and the mend."""


class Character(typing.NamedTuple):
    """A character and the pixel columns that it spans in the image as given, from ``start`` to ``end``."""

    character: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Line:
    """What was read in one image.

    Attributes:
        text: in logical (reading) order.
        confidence: the mean probability of its characters, 0 to 1; 1 for an empty line.
        characters: list of ``Character`` in the order of the text.
    """

    text: str
    confidence: float
    characters: list

    def to_json(self):
        """What of it ``zoo predict --format json`` shows, rounded."""
        spans = [{"character": c, "start": round(s, 1), "end": round(e, 1)} for c, s, e in self.characters]
        return {"text": self.text, "confidence": round(self.confidence, 4), "characters": spans}


# === The model file ===


def load(path, threads=None):
    """Opens an ONNX file that seqzoo exported.

    Args:
        path: the file.
        threads: processor cores to use; by default all that this process may run on.

    Returns:
        A ``Reader`` of line images, or for another task the reader that ``READERS`` names.

    Raises:
        ReaderError: there is no such file, it is no ONNX file, seqzoo did not write it, or it is no reader
            of line images and the package is not installed.
    """
    if not os.path.isfile(path):
        raise ReaderError(f"{path}: there is no such file; give an .onnx file that `zoo export` wrote")
    options = onnxruntime.SessionOptions()
    # Whole batches run side by side, each on one core: a third more lines per second on two cores
    # than every operation split between them, as the steps of an LSTM are too small to split.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions, which is enough
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        reason = str(error).splitlines()[0]
        raise ReaderError(f"{path}: not a readable ONNX file ({reason}); export or copy it again") from error
    stored = session.get_modelmeta().custom_metadata_map.items()
    metadata = {key.removeprefix("seqzoo."): value for key, value in stored if key.startswith("seqzoo.")}
    if "format" not in metadata and "version" in metadata:
        raise ReaderError(
            f"{path}: a Keras model of your own, for which there is no reader here; run it with onnxruntime"
        )
    if "format" not in metadata:
        raise ReaderError(f"{path}: an ONNX file, but not one of seqzoo's; export it with `zoo export`")
    if metadata["format"] != FORMAT or metadata.get("task") not in READERS:
        raise ReaderError(
            f"{path}: task {metadata.get('task')!r}, format {metadata['format']}, which this version does "
            "not read; update seqzoo, or take the runtime.py of the one that exported it"
        )
    try:
        return reader_class(metadata["task"]).of_session(session, metadata, threads or cores())
    except ImportError as error:
        raise ReaderError(
            f"{path}: a {metadata['task']} model, which needs more than this file (no {error.name} here): "
            "install seqzoo"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ReaderError(f"{path}: its metadata is damaged ({error}); export it again") from error


def reader_class(task):
    """What reads the models of a task: ``Reader``, or a class of the package, imported now."""
    found = READERS[task]
    if isinstance(found, str):
        module, _, name = found.rpartition(".")
        found = getattr(importlib.import_module(module), name)
    return found


def cores():
    """How many processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Reader:
    """Reads images of single text lines.

    Attributes:
        metadata: dict of str, as the file states them: task, preset, licence, figures (JSON), …
        config: dict, the model's configuration.
        vocabulary: list of characters; label ``i + 1`` stands for character ``i``, label 0 is the CTC blank.
        direction: "ltr" or "rtl".
        threads: batches read at a time.
    """

    def __init__(self, session, metadata, threads):
        self.session, self.metadata, self.threads = session, metadata, threads
        self.direction = metadata["direction"]
        self.config = json.loads(metadata["config"])
        self.vocabulary = json.loads(metadata["vocabulary"])
        strides = [*self.config["strides"], *self.config["pools"]]
        # Columns of an image that one output frame stands for, per pixel of the image's height.
        self._frame = math.prod(along for along, _ in strides) / self.config["height"]

    @classmethod
    def of_session(cls, session, metadata, threads):
        """The reader of an ONNX file: its onnxruntime session and metadata, keys without ``seqzoo.``."""
        return cls(session, metadata, threads)

    def __call__(self, inputs, beam_width=None, details=False, batch_size=4, errors="raise"):
        """Reads line images.

        Args:
            inputs: an iterable of images, or one: each a path, the bytes of a file, a PIL image, or a
                uint8 array ``[height, width]`` or ``[height, width, 1 or 3]``.
            beam_width: prefixes kept by CTC prefix beam search; None decodes greedily, in the model.
            details: give a ``Line`` for each image instead of its text.
            batch_size: lines read at a time by each thread, those of similar width together.
            errors: "raise", or "return" to get the ReaderError of a bad image in its place.

        Returns:
            A list of str or ``Line``, one for each input and in their order.

        Raises:
            ReaderError: an image cannot be read as a line.
        """
        if isinstance(inputs, str | bytes | os.PathLike | np.ndarray | Image.Image):
            inputs = [inputs]
        if beam_width is not None and beam_width < 1:
            raise ValueError(f"beam_width is 1 or more, not {beam_width}")
        numbered, results = enumerate(inputs), []
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            while window := list(itertools.islice(numbered, WINDOW)):
                found = list(pool.map(_read_or_error, window))
                bad = [item for item in found if isinstance(item, ReaderError)]
                if bad and errors == "raise":
                    raise bad[0]
                images = {i: item for i, item in enumerate(found) if not isinstance(item, ReaderError)}
                # Few images are spread over all threads rather than put into one batch.
                size = max(1, min(batch_size, -(-len(images) // self.threads)))
                batches = _batches(images, size)
                for lines in pool.map(lambda batch: self._read(batch, beam_width), batches):
                    for i, line in lines.items():
                        found[i] = line if details else line.text
                results.extend(found)
        return results

    def _read(self, batch, beam_width):
        """``{key: image}`` -> ``{key: Line}``, in one run of the model."""
        image, size = _pad(list(batch.values()))
        names = _SEARCHED if beam_width else _DECODED
        values = self.session.run(names, {"image": image, "size": size})
        lines = {}
        for key, shape, *row in zip(batch, size.tolist(), *values, strict=True):
            lines[key] = self._search(*shape, *row, beam_width) if beam_width else self._line(*row)
        return lines

    def _search(self, height, width, log_probs, length, beam_width):
        """Prefix beam search, with extents and confidence from the best path that spells its result."""
        log_probs = log_probs[:length]
        labels, _ = prefix_beam_search(log_probs, beam_width)
        frames = align(log_probs, labels)
        spans = [(label, first, last + 1) for label, (first, last) in zip(labels, frames, strict=True)]
        means = [np.exp(log_probs[first:last, label]).mean() for label, first, last in spans]
        starts = [first * height * self._frame for _, first, _ in spans]
        ends = [min(last * height * self._frame, width) for _, _, last in spans]
        return self._line(labels, len(labels), float(np.mean(means or 1.0)), starts, ends)

    def _line(self, labels, count, confidence, starts, ends):
        """What was read, in the order of the columns -> a ``Line`` in logical order."""
        text = "".join(self.vocabulary[label - 1] for label in labels[:count])
        order = range(len(text))
        if self.direction == "rtl":
            text, order = display_order(text)
        spans = [Character(c, float(starts[i]), float(ends[i])) for c, i in zip(text, order, strict=True)]
        return Line(text, float(confidence), spans)


_DECODED = ["labels", "label_lengths", "confidence", "starts", "ends"]
_SEARCHED = ["log_probs", "lengths"]
READERS = {  # those that take more than this file by their address in the package
    "line_ocr": Reader,
    "deep_speech": "export.speech.SpeechReader",
    "translator": "zoo.translation.TranslationReader",
    "captioner": "zoo.captioning.CaptionReader",
    "char_lm": "zoo.text_generation.TextGenerator",
    "text_classifier": "zoo.classification.ClassificationReader",
}


# === Images ===


def read_image(item, name=None):
    """Reads one line image.

    Args:
        item: a path, the bytes of a file, a PIL image, or a uint8 array ``[height, width]`` or
            ``[height, width, 1 or 3]``.
        name: what to call it in messages.

    Returns:
        uint8 ``[height, width, 1]`` (grey) or ``[height, width, 3]`` (RGB). Transparent images are laid on
        white, 16-bit ones scaled to 8.

    Raises:
        ReaderError: it is no image, is damaged, or cannot be one line of text.
    """
    if isinstance(item, np.ndarray):
        pixels = item[:, :, None] if item.ndim == 2 else item
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype != np.uint8:
            raise ReaderError(
                f"{name or 'the array'}: {item.dtype} of shape {item.shape}; give uint8 of shape "
                "[height, width] or [height, width, 3]"
            )
        _check_size(pixels.shape[1], pixels.shape[0], name or "the array")
        return pixels
    if isinstance(item, Image.Image):
        return _picture_pixels(item, name or "the image")
    name = name or ("the bytes" if isinstance(item, bytes) else os.fspath(item))
    try:
        data = item if isinstance(item, bytes) else pathlib.Path(item).read_bytes()
    except OSError as error:
        raise ReaderError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    if not data:
        raise ReaderError(f"{name}: the file is empty; scan or copy it again")
    try:
        picture = Image.open(io.BytesIO(data))
    except Exception as error:  # Pillow raises what comes to hand on damaged data
        raise ReaderError(f"{name}: not a readable image; give a PNG, JPEG or TIFF file") from error
    return _picture_pixels(picture, name)


def _picture_pixels(picture, name):
    _check_size(*picture.size, name)  # the header tells: nothing is decoded that cannot be a line
    try:
        return _pixels(picture)
    except Exception as error:
        raise ReaderError(f"{name}: the image is damaged ({error}); scan or copy it again") from error


def _pixels(picture):
    if picture.mode.startswith(("I", "F")):  # 16 and 32 bits
        values = np.asarray(picture, np.float32)
        top = 65535.0 if picture.mode.startswith("I") and values.max(initial=0) > 255 else 255.0
        return np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)[:, :, None]
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"), np.uint8)[:, :, None]
    return np.asarray(picture.convert("RGB"), np.uint8)


def _check_size(width, height, name):
    if not width or not height:
        problem = "empty; cut the line again"
    elif height < MIN_HEIGHT:
        problem = f"too low to read; give lines {MIN_HEIGHT} pixels high or more"
    elif width > MAX_ASPECT * height:
        problem = "longer than a line of text; cut it into single lines"
    elif width * height > MAX_PIXELS:
        problem = "larger than a line of text; cut it into single lines"
    else:
        return
    raise ReaderError(f"{name}: {width}x{height} pixels is {problem}")


def _read_or_error(numbered):
    number, item = numbered
    try:
        return read_image(item, None if isinstance(item, str | os.PathLike) else f"input {number + 1}")
    except ReaderError as error:
        return error


def _batches(images, batch_size):
    """Cuts ``{key: image}`` into dicts of similar height and, scaled to one height, width; widest first."""

    def octave(key):
        return round(math.log2(images[key].shape[0]))

    def aspect(key):
        return images[key].shape[1] / images[key].shape[0]

    keys = sorted(images, key=lambda key: (octave(key), aspect(key)), reverse=True)
    while keys:
        largest = 2 * images[keys[0]].size  # padding included: heights of an octave differ by half
        count = max(1, min(batch_size, BATCH_PIXELS // largest))
        batch = [key for key in keys[:count] if octave(key) == octave(keys[0])]
        keys = keys[len(batch) :]
        yield {key: images[key] for key in batch}


def _pad(images):
    """Images -> uint8 ``[batch, height, width, channels]``, padded, and their sizes, int32 ``[batch, 2]``."""
    size = np.array([image.shape[:2] for image in images], np.int32)
    channels = max(image.shape[2] for image in images)
    padded = np.full((len(images), *size.max(0), channels), 255, np.uint8)
    for row, image in zip(padded, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return padded, size


# === Decoding ===


def prefix_beam_search(log_probs, beam_width, threshold=1e-4):
    """The likeliest labelling, summed over its alignments, among ``beam_width`` kept at each frame.

    CTC prefix beam search (Graves & Jaitly 2014; Hannun et al. 2014, algorithm 1), in the log domain
    and without a language model. Label 0 is the blank.

    Args:
        log_probs: float ``[time, labels]``.
        beam_width: int, 1 or more.
        threshold: labels less probable than this in a frame do not extend a prefix there.

    Returns:
        (labels, log_prob): a tuple of ints and the natural logarithm of its probability.
    """
    # Prefix: log probabilities of its alignments that end in a blank, and in its last label.
    beams = {(): (0.0, -math.inf)}
    floor = math.log(threshold) if threshold else -math.inf
    likely = log_probs > floor
    for frame, extensions in zip(log_probs.tolist(), likely, strict=True):
        extensions = [label for label in np.flatnonzero(extensions).tolist() if label]
        grown = collections.defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (blank, label) in beams.items():
            either = _log_add(blank, label)
            last = prefix[-1] if prefix else 0
            entry = grown[prefix]
            entry[0] = _log_add(entry[0], either + frame[0])
            if prefix:  # the last label goes on
                entry[1] = _log_add(entry[1], label + frame[last])
            for new in extensions:
                before = blank if new == last else either  # doubled letters have a blank between them
                if before > -math.inf:
                    entry = grown[(*prefix, new)]
                    entry[1] = _log_add(entry[1], before + frame[new])
        best = sorted(grown.items(), key=lambda item: _log_add(*item[1]), reverse=True)
        beams = {prefix: tuple(entry) for prefix, entry in best[:beam_width]}
    labels, ends = next(iter(beams.items()))
    return labels, _log_add(*ends)


def _log_add(a, b):
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def align(log_probs, labels):
    """The frames that each label spans on the likeliest path that spells ``labels`` (Viterbi).

    Args:
        log_probs: float ``[time, labels]``.
        labels: sequence of ints, none 0.

    Returns:
        A list of (first, last) frames, one pair for each label.
    """
    if not labels:
        return []
    states = np.zeros(2 * len(labels) + 1, int)  # blank, label, blank, label, … blank
    states[1::2] = labels
    # A label may be entered from the label before it, past the blank between, unless they are equal.
    skips = np.full(len(states), -np.inf)
    skips[3::2] = np.where(states[3::2] != states[1:-2:2], 0.0, -np.inf)
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    steps = np.zeros((len(log_probs), len(states)), int)
    for time in range(1, len(log_probs)):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.concatenate([[-np.inf, -np.inf], score[:-2]])[: len(states)] + skips
        choices = np.stack([score, one, two])
        steps[time] = choices.argmax(0)
        score = choices.max(0) + log_probs[time, states]
    state = len(states) - 1 - int(score[-2] > score[-1])
    spans = [[0, -1] for _ in labels]
    for time in range(len(log_probs) - 1, -1, -1):
        if state % 2:
            span = spans[state // 2]
            span[0], span[1] = time, time if span[1] < 0 else span[1]
        state -= steps[time, state]
    return [tuple(span) for span in spans]


# === Right-to-left text ===

_MIRRORED = str.maketrans("()[]{}«»<>‹›", ")(][}{»«><›‹")
_KINDS = {"L": "L", "EN": "D", "AN": "D", "R": "R", "AL": "R"} | dict.fromkeys(".,:/٫٬", "S")
# What reads from left to right inside right-to-left text: the longest stretches with a left-to-right
# letter and no right-to-left one, from letter or digit to letter or digit; and single numbers.
_RUNS = re.compile("(?:D[^LR]*)?L(?:[^R]*[LD])?|D+(?:SD+)*")


def display_order(text):
    """Turns a right-to-left line from the order of the image's columns to reading order, or back.

    The text is reversed as a whole, while numbers and left-to-right words in it keep their own order,
    and brackets outside those are mirrored (Unicode Bidirectional Algorithm, UAX #9, as far as a line
    of print needs it). Applied twice it gives the text again.

    Returns:
        (text, order): ``text[i]`` was at ``order[i]``.
    """
    bidirectional = map(unicodedata.bidirectional, text)
    kinds = (_KINDS.get(kind) or _KINDS.get(c, "N") for kind, c in zip(bidirectional, text, strict=True))
    turned, pieces, end = list(text.translate(_MIRRORED)), [], 0
    for start, stop in (run.span() for run in _RUNS.finditer("".join(kinds))):
        pieces.extend([i] for i in range(end, start))
        pieces.append(range(start, stop))
        turned[start:stop] = text[start:stop]
        end = stop
    pieces.extend([i] for i in range(end, len(text)))
    order = [i for piece in reversed(pieces) for i in piece]
    return "".join(turned[i] for i in order), order


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python runtime.py MODEL.onnx FILE...")
    try:
        results = load(sys.argv[1])(sys.argv[2:], errors="return")
    except ReaderError as error:
        results = [error]
    for result in results:
        print(result, file=sys.stderr if isinstance(result, Exception) else sys.stdout)
    sys.exit(2 if any(isinstance(result, Exception) for result in results) else 0)
