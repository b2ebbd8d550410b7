"""Reads text lines with an exported seqzoo model: one file that needs onnxruntime, NumPy and Pillow alone.

Copy it to a deployment host as it is, or install the base package; there is no TensorFlow in it.

    from export import runtime

    reader = runtime.load("reader.onnx")
    reader(["scan1.png", "scan2.png"])                    # ["It was the best of", "times, it was the"]
    line, = reader("scan1.png", details=True)             # Line: text, confidence, characters with columns
    reader(lines, beam_width=10, errors="return")         # a bad image gives its ReaderError in its place

From a shell: ``python runtime.py reader.onnx scan1.png scan2.png`` prints a line for each image.

Where the package is installed, ``load`` opens models of the other tasks, too, and gives their reader. A
language model in a file is the package's, too: ``load`` warns that lines are read without it.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib
import io
import itertools
import json
import math
import mmap
import os
import re
import statistics
import sys
import typing
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# onnxruntime writes a database of events and a device id under HOME and sends them to its maker, unless it
# finds this when it is imported (disable_telemetry_events() does not stop it).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from PIL import (  # noqa: E402  (those of IMAGE_FORMATS; Image.open would else load all that Pillow has)
    BmpImagePlugin,  # noqa: F401
    ExifTags,
    GifImagePlugin,  # noqa: F401
    Image,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

FORMAT = "2"  # the version of the metadata that exporters write
FORMATS = ("1", FORMAT)  # those that this file understands; in the first a vocabulary may be no object
MAX_METADATA = 1 << 26  # bytes; a large language model takes a few million
MIN_HEIGHT = 8  # pixels; lower than this no letter can be told from another
MAX_ASPECT = 250  # width / height; the longest lines of print stay below 100
MAX_PIXELS = 1 << 26  # of one image, decoded; with its copies below a gigabyte
WINDOW = 512  # images held in memory and sorted by width at a time
BATCH_PIXELS = 1 << 23  # padded pixels of one batch; preprocessing holds some 20 bytes for each
FILLED = 0.05  # share of a line's rows that have ink; dots that lead to a page number fill 0.1
PAGE_ROWS = 768  # rows that are looked at to tell a page from a line; of a line of a page some 10 are left
ASKEW = 12  # degrees; handwriting rises by up to 8, and images are askew by a few
SHARPER = 5  # how much sharper lines are along such an angle than straight on
NOISE_ROWS = 8, 16  # rows to which an image is reduced to tell noise: letters are a pixel high, or several
NOISE = 0.25  # how far neighbouring pixels of noise agree there, at most; those of text by 0.3 to 1
PHOTO_ROWS = 48  # rows that are looked at to tell a photograph from paper
COLOURS = 0.12  # how much colours vary beside those between ink and paper, as a share; photos have more
PAPER = 0.6  # how near paper is to the lightest or darkest grey: lines have 0.9, photographs 0.6


class ReaderError(ValueError):
    """An image or a model that cannot be read, in one sentence that names it and the mend."""


class WholePage(ReaderError):
    """What holds a whole page, or several, is no line."""


class Character(typing.NamedTuple):
    """A character of a line.

    Attributes:
        character: str.
        start, end: the pixel columns that it spans in the image as given.
        confidence: its highest probability in its frames, 0 to 1.
    """

    character: str
    start: float
    end: float
    confidence: float


@dataclasses.dataclass(frozen=True)
class Line:
    """What was read in one image.

    Attributes:
        text: in logical (reading) order.
        confidence: the probability that all of it is right, 0 to 1; 0 where nothing was read. Where the model
            was not calibrated on validation data, the product of its characters' probabilities.
        characters: list of ``Character`` in the order of the text.
    """

    text: str
    confidence: float
    characters: list

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        spans = [
            {"character": c, "start": round(start, 1), "end": round(end, 1), "confidence": round(sure, 4)}
            for c, start, end, sure in self.characters
        ]
        return {"text": self.text, "confidence": round(self.confidence, 4), "characters": spans}


# === The model file ===


def load(path: str | os.PathLike, threads: int | None = None, provider: str | None = None) -> Reader:
    """Opens an ONNX file that seqzoo exported.

    Args:
        path: the file.
        threads: processor cores to use; by default all that this process may run on.
        provider: what runs it, see ``open_file``.

    Returns:
        A ``Reader`` of line images, or for another task its ``zoo.contract.reader.Reader``.

    Raises:
        ReaderError: there is no such file, it is no ONNX file, seqzoo did not write it, or it is no reader
            of line images and the package is not installed.
    """
    session, metadata = open_file(path, provider)
    threads = threads or cores()
    names = {value.name for value in (*session.get_inputs(), *session.get_outputs())}
    try:
        if names.issuperset(("image", "size", *_DECODED, *_SEARCHED)):
            if "asset.language_model.arpa" in metadata:
                warnings.warn(f"{path}: {_WITHOUT}", stacklevel=2)
            return Reader.of_session(session, metadata, threads)
        package = importlib.import_module("zoo.registry")  # nothing of it is needed for lines
        if metadata.get("task") not in package.FAMILIES:
            raise ReaderError(unknown_model(path, metadata))
        return package.reader_class(metadata["task"]).of_session(session, metadata, threads)
    except ReaderError:
        raise
    except ImportError as error:
        raise ReaderError(
            f"{path}: a {metadata.get('task')} model, which needs more than this file (no {error.name} "
            "here): install seqzoo"
        ) from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ReaderError(f"{path}: its metadata is damaged ({error}); export it again") from error


_WITHOUT = (
    "it has a language model, which runtime.py decodes without; with seqzoo installed, zoo.load(FILE) and "
    "`zoo predict FILE` use it"
)
PROVIDERS = {  # names of people: those of onnxruntime, and the package that has each
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}


def open_file(
    path: str | os.PathLike, provider: str | None = None, profile: str | None = None
) -> tuple[Any, dict[str, str]]:
    """The onnxruntime session of a file that seqzoo exported, and its metadata, keys without ``seqzoo.``.

    Args:
        path: the file.
        provider: what runs it, a key of ``PROVIDERS``, by default ``cpu``, which also runs the operations
            that the one chosen does not know. The installed onnxruntime has to have it.
        profile: where onnxruntime writes how long each operation takes: the beginning of a file's path.

    Raises:
        ReaderError: there is no such file, it is no ONNX file, it holds no model of seqzoo's tasks, or there
            is no such provider here.
    """
    if provider not in (None, *PROVIDERS):
        raise ReaderError(f"provider {provider!r}: choose {', '.join(PROVIDERS)}")
    chosen, package = PROVIDERS[provider or "cpu"]
    if chosen not in onnxruntime.get_available_providers():
        raise ReaderError(
            f"provider {provider}: this onnxruntime has no {chosen}; leave it out, or install {package} in "
            "place of onnxruntime"
        )
    if not os.path.isfile(path):
        raise ReaderError(f"{path}: there is no such file; give an .onnx file that `zoo export` wrote")
    _check_contents(path)
    options = onnxruntime.SessionOptions()
    # Whole batches run side by side, each on one core: a third more lines per second on two cores
    # than every operation split between them, as the steps of an LSTM are too small to split.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions, which is enough
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    providers = list(dict.fromkeys([chosen, PROVIDERS["cpu"][0]]))
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        reason = str(error).splitlines()[0]
        if len(providers) > 1:  # of the many words on where it failed, the last ones tell most
            raise ReaderError(
                f"{path}: provider {provider} cannot run it (…{reason[-80:].strip()}); leave --provider out"
            ) from error
        raise ReaderError(f"{path}: not a readable ONNX file ({reason}); export or copy it again") from error
    if provider and chosen not in session.get_providers():  # it goes on without one that finds no device
        raise ReaderError(f"provider {provider}: {chosen} finds no device or library here; leave it out")
    stored = session.get_modelmeta().custom_metadata_map.items()
    metadata = {key.removeprefix("seqzoo."): value for key, value in stored if key.startswith("seqzoo.")}
    if "format" not in metadata and "version" in metadata:
        raise ReaderError(
            f"{path}: a Keras model of your own, for which there is no reader here; run it with onnxruntime"
        )
    if "format" not in metadata:
        raise ReaderError(f"{path}: an ONNX file, but not one of seqzoo's; export it with `zoo export`")
    if metadata["format"] not in FORMATS:
        raise ReaderError(unknown_model(path, metadata))
    return session, metadata


def _check_contents(path):
    """Raises a ReaderError on what no file of seqzoo has and onnxruntime would load.

    Weights in other files, of which old versions of onnxruntime read any that the path leads to, and metadata
    of any size. Only the lengths of fields are read; what is no ONNX file is left for onnxruntime to refuse.
    """
    size, outside = 0, False
    with open(path, "rb") as file, contextlib.suppress(ValueError, IndexError, RecursionError):
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = sum(end - start for number, start, end in _fields(data, 0, len(data)) if number == 14)
            outside = _outside(data, 0, len(data), _MODEL)
    if size > MAX_METADATA:
        raise ReaderError(
            f"{path}: {size >> 20} MiB of metadata, of which a model has {MAX_METADATA >> 20} at most; it is "
            "damaged, or not seqzoo's"
        )
    if outside:
        raise ReaderError(
            f"{path}: its weights are said to be in another file, and a model of seqzoo is one file; export "
            "it again"
        )


# Where protobuf's messages of ONNX have tensors: the number of a field -> the fields of what is in it. A
# tensor is {}, of which field 13 says where its values are if they are in another file.
_TENSOR = {}
_GRAPH = {}
_ATTRIBUTE = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: {1: _TENSOR}, 23: {1: _TENSOR}}
_NODE = {5: _ATTRIBUTE}
_GRAPH |= {1: _NODE, 5: _TENSOR, 15: {1: _TENSOR, 2: _TENSOR}}
_MODEL = {7: _GRAPH, 25: {7: _NODE}}


def _outside(data, start, end, kinds):
    """Whether a protobuf message has a tensor whose values are in another file."""
    for number, first, last in _fields(data, start, end):
        if kinds is _TENSOR and number == 13:
            return True
        if number in kinds and _outside(data, first, last, kinds[number]):
            return True
    return False


def _fields(data, at, end):
    """Iterate over the fields of a protobuf message that have a length: ``(number, start, end)``."""
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 2:
            length, at = _varint(data, at)
            yield key >> 3, at, min(at + length, end)
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        else:
            at += {1: 8, 5: 4}[kind] if kind in (1, 5) else end


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("no number")


def characters_of(metadata: dict[str, str]) -> list[str]:
    """The characters of a vocabulary, a list; label ``i + 1`` stands for character ``i``."""
    vocabulary = json.loads(metadata["vocabulary"])
    return vocabulary["characters"] if isinstance(vocabulary, dict) else vocabulary


def spellings_of(metadata: dict[str, str]) -> dict[str, Any]:
    """``{text: rows}`` of what several rows spell together, as a file of lines states it; see ``spelled``."""
    stored = json.loads(metadata["vocabulary"])
    return stored.get("spellings", {}) if isinstance(stored, dict) else {}


def beyond_vocabulary(row: int, known: int) -> str:
    """The sentence on a model that writes a row that its vocabulary of ``known`` rows lacks."""
    return (
        f"the model writes row {row} of a vocabulary of {known}; the file's metadata is damaged, export it "
        "again"
    )


def unknown_model(path: str | os.PathLike, metadata: dict[str, str]) -> str:
    """The sentence on a file of a later version."""
    return (
        f"{path}: task {metadata.get('task')!r}, format {metadata['format']}, which this version does "
        "not read; update seqzoo, or take the runtime.py of the one that exported it"
    )


def cores() -> int:
    """How many processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Reader:
    """Reads images of single text lines.

    Args:
        run: the engine: a list of output names and the dict of arrays that the model takes -> list of arrays.
        config, vocabulary, direction, metadata, threads: see below.

    Attributes:
        metadata: dict of str, as the file states them: task, preset, licence, figures (JSON), …
        config: dict, the model's configuration.
        photographs: whether photographs may be lines.
        vocabulary: list of characters; label ``i + 1`` stands for character ``i``, label 0 is the CTC blank.
        direction: "ltr" or "rtl".
        spellings: ``{text: labels}`` of what several labels together stand for, see ``spelled``.
        threads: batches read at a time.
        maps: dict, what makes confidences true, see ``calibrated``.
    """

    def __init__(
        self, run: Callable | None, config: dict[str, Any], vocabulary: Sequence[str], direction: str,
        metadata: dict[str, str], threads: int, maps: dict[str, list[float]] | None = None,
        spellings: dict | None = None,
    ) -> None:  # fmt: skip
        self.run, self.config, self.vocabulary, self.direction = run, config, vocabulary, direction
        self.spellings = {tuple(labels): text for text, labels in (spellings or {}).items()}
        self.metadata, self.threads, self.maps = metadata, threads, maps or {}
        self.photographs = self.config.get("photographs", False)  # which older files do not say
        strides = [*self.config["strides"], *self.config["pools"]]
        self._stride = math.prod(along for along, _ in strides)  # columns that one output frame stands for
        self._margin = self.config.get("margin", 0)
        self._spread = self.config.get("contrast") in SPREAD

    @classmethod
    def of_session(cls, session: Any, metadata: dict[str, str], threads: int) -> Reader:
        """The reader of an ONNX file: its onnxruntime session and metadata, keys without ``seqzoo.``."""
        config, vocabulary = json.loads(metadata["config"]), characters_of(metadata)
        maps = json.loads(metadata.get(f"asset.{CONFIDENCE}", "{}"))

        def run(names, inputs):
            found = session.run(names, inputs)
            row = found[names.index("labels")].max(initial=0) if "labels" in names else 0
            if row > len(vocabulary):
                raise ReaderError(beyond_vocabulary(row, len(vocabulary) + 1))
            return found

        spellings = spellings_of(metadata)
        return cls(run, config, vocabulary, metadata["direction"], metadata, threads, maps, spellings)

    def __call__(
        self, inputs: Any, beam_width: int | None = None, details: bool = False, batch_size: int = 4,
        errors: str = "raise", search: Callable | None = None,
    ) -> list:  # fmt: skip
        """Reads line images.

        Args:
            inputs: an iterable of images, or one: each a path, the bytes of a file, a PIL image, or a
                uint8 array ``[height, width]`` or ``[height, width, 1 or 3]``.
            beam_width: prefixes kept by CTC prefix beam search; None decodes greedily, in the model.
            details: give a ``Line`` for each image instead of its text.
            batch_size: lines read at a time by each thread, those of similar width together.
            errors: "raise", or "return" to get the ReaderError of a bad image in its place.
            search: takes float log probabilities ``[frames, symbols]`` and gives the labels to read, in place
                of both decoders here.

        Returns:
            A list of str or ``Line``, one for each input and in their order.

        Raises:
            ReaderError: an image cannot be read as a line.
        """
        if isinstance(inputs, str | bytes | os.PathLike | np.ndarray | Image.Image):
            inputs = [inputs]
        if beam_width is not None and beam_width < 1:
            raise ValueError(f"beam_width is 1 or more, not {beam_width}")
        if beam_width and not search:
            search = functools.partial(_likeliest, beam_width=beam_width)
        numbered, results = enumerate(inputs), []
        opened = functools.partial(_opened, photographs=self.photographs)
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            while window := list(itertools.islice(numbered, WINDOW)):
                found = list(pool.map(opened, window))
                bad = [item for item in found if isinstance(item, ReaderError)]
                if bad and errors == "raise":
                    raise bad[0]
                images = {i: item for i, item in enumerate(found) if isinstance(item, np.ndarray)}
                # Few images are spread over all threads rather than put into one batch.
                size = max(1, min(batch_size, -(-len(images) // self.threads)))
                batches = line_batches(images, size)
                for lines in pool.map(lambda batch: self._read(batch, search, details), batches):
                    for i, line in lines.items():
                        found[i] = line
                results.extend(found)
        return results if details else [item.text if isinstance(item, Line) else item for item in results]

    def align(self, item: Any, text: str) -> Line:
        """Where each character of a known text stands in a line image: forced alignment.

        Args:
            item: the image, see ``read_image``.
            text: str, in reading order.

        Returns:
            A ``Line`` of the text without the characters that are not in the vocabulary.

        Raises:
            ReaderError: the image cannot be read as a line, or is too short for the text.
        """
        pixels = read_image(item, photographs=self.photographs)
        shown, order = display_order(text) if self.direction == "rtl" else (text, range(len(text)))
        row = {character: i + 1 for i, character in enumerate(self.vocabulary)}
        known = [(row[c], i) for c, i in zip(shown, order, strict=True) if c in row]
        image, size = pad_lines([pixels])
        log_probs, lengths = self.run(_SEARCHED, {"image": image, "size": size})
        log_probs, labels = log_probs[0, : lengths[0]], [label for label, _ in known]
        if len(labels) + sum(a == b for a, b in itertools.pairwise(labels)) > len(log_probs):
            raise ReaderError(f"{image_name(item)}: too short for its text of {len(text)} characters")
        height, width = pixels.shape[:2]
        spans, sure = [], []
        for (label, i), (first, last) in zip(known, align(log_probs, labels), strict=True):
            start, end = self._extent(first, last, len(log_probs), height, width)
            sure.append(float(np.exp(log_probs[first : last + 1, label]).mean()))
            spans.append((i, Character(text[i], start, end, sure[-1])))
        spans = [span for _, span in sorted(spans)]
        return Line("".join(c for c, *_ in spans), statistics.fmean(sure) if sure else 0.0, spans)

    def _read(self, batch, search, details):
        """``{key: image}`` -> ``{key: Line}``, in one run of the model; without details no ``characters``."""
        image, size = pad_lines(list(batch.values()))
        names = _SEARCHED if search else [*_DECODED, *(_SEARCHED if details else ())]
        values = self.run(names, {"image": image, "size": size})
        lines = {}
        for key, (height, width), *row in zip(batch, size.tolist(), *values, strict=True):
            if search:
                lines[key] = self._search(height, width, *row, search)
            else:
                lines[key] = self._decoded(height, width, *row)
        return lines

    def _decoded(self, height, width, labels, count, confidence, starts, ends, log_probs=None, length=0):
        """What the model decoded, greedily, as a ``Line``."""
        labels, spans = labels[:count], []
        if log_probs is not None:
            pixels = self._pixels(length, height, width)
            frames = zip(starts[:count], ends[:count], strict=True)
            for label, (start, end) in zip(labels, frames, strict=True):
                first, last = ((edge / pixels + self._margin) / self._stride for edge in (start, end))
                first = min(round(first), len(log_probs) - 1)
                last = max(math.ceil(last - 1e-3), first + 1)
                sure = np.exp(log_probs[first:last, label].max())
                spans.append((float(start), float(end), float(sure)))
        return self._line(labels, confidence, spans)

    def _search(self, height, width, log_probs, length, search):
        """What a search finds, with extents and confidence from the best path that spells it."""
        log_probs = log_probs[:length]
        labels = search(log_probs)
        spans = [
            (
                *self._extent(first, last, length, height, width),
                float(np.exp(log_probs[first : last + 1, label].max())),
            )
            for label, (first, last) in zip(labels, align(log_probs, labels), strict=True)
        ]
        confidence = calibrated(math.prod(sure for *_, sure in spans), map_of(self.maps, "text", True))
        return self._line(labels, confidence, spans)

    def _pixels(self, frames, height, width):
        """Pixels of an image that one of the columns stands for of which the network made so many frames."""
        if self._spread:
            return width / max(int(frames) * self._stride - 2 * self._margin, 1)
        return height / self.config["height"]

    def _extent(self, first, last, frames, height, width):
        """Where in an image of so many pixels the first and the last of its frames begin and end."""
        pixels = self._pixels(frames, height, width)
        edges = ((frame * self._stride - self._margin) * pixels for frame in (first, last + 1))
        return tuple(min(max(edge, 0.0), width) for edge in edges)

    def _line(self, labels, confidence, spans):
        """What was read, in the order of the columns -> a ``Line`` in logical order."""
        units = spelled(labels, self.vocabulary, self.spellings)
        units = [u for i, u in enumerate(units) if i == 0 or u[0] != " " or units[i - 1][0] != " "]
        text = "".join(unit for unit, *_ in units)
        order = range(len(text))
        if spans:
            spans = [_joined(spans[first:last]) for unit, first, last in units for _ in unit]
        if self.direction == "rtl":
            text, order = reading_order(text)
        characters = [Character(c, *spans[i]) for c, i in zip(text, order, strict=True)] if spans else []
        return Line(text, float(confidence) if text else 0.0, characters)


def spelled(
    labels: np.ndarray | Sequence[int], vocabulary: Sequence[str], spellings: dict
) -> list[tuple[str, int, int]]:
    """What labels stand for: list of ``(text, first, last)``, ``last`` the label behind it; in Unicode NFC.

    Args:
        labels: ints, 1 or more.
        vocabulary: list of str: what each label stands for by itself; one of private use, for nothing.
        spellings: ``{labels: text}``, tuples of two and more that stand for something together; the longest
            that is there counts.
    """
    labels, found, at = [int(label) for label in labels], [], 0
    longest = max(map(len, spellings), default=1)
    while at < len(labels):
        for count in range(min(longest, len(labels) - at), 0, -1):
            text = spellings.get(tuple(labels[at : at + count])) if count > 1 else vocabulary[labels[at] - 1]
            if text is not None:
                break
        if not any(map(is_private, text)):
            found.append((text, at, at + count))
        at += count
    return _composed(found)


def _composed(units):
    """Units of ``spelled`` in Unicode NFC: a letter and its marks as one, where a character is for it."""
    found = []
    for text, first, last in units:
        text = unicodedata.normalize("NFC", text)
        while found and not (text.isascii() and found[-1][0].isascii()):
            before = found[-1][0]
            # Of right-to-left letters marks stand before them, as ``display_order`` has it.
            marked_before = unicodedata.bidirectional(text[-1:]) in ("R", "AL")
            pair = text + before if marked_before else before + text
            joined = unicodedata.normalize("NFC", pair)
            if len(joined) >= len(pair):
                break
            text, first = joined, found.pop()[1]
        found.append((text, first, last))
    return found


PRIVATE = 0xF0000  # where Unicode's private use in plane 15 begins: labels without a text are named there


def is_private(character: str) -> bool:
    """Whether a character is the name of a label that stands for no text by itself."""
    return PRIVATE <= ord(character) <= PRIVATE + 0xFFFD


def _joined(spans):
    """``(start, end, confidence)`` of several labels as of one."""
    starts, ends, sure = zip(*spans, strict=True)
    return starts[0], ends[-1], min(sure)


SPREAD = "straightened", "dewarped"  # contrasts that scale lines by something else than their height
_DECODED = ["labels", "label_lengths", "confidence", "starts", "ends"]
_SEARCHED = ["log_probs", "lengths"]


# === Confidence ===

CONFIDENCE = "confidence.json"  # the asset with the maps of a model that was calibrated on validation data
SUREST = 1 - 1e-6  # what no confidence exceeds


def log_odds(raw: Any) -> tuple[Any, Any]:
    """The logarithm of a raw confidence, and that of its odds' other half: ``(ln p, -ln(1 - p))``."""
    raw = np.clip(raw, 1 - SUREST, SUREST)
    return np.log(raw), -np.log1p(-raw)


def calibrated(raw: float, weights: Sequence[float] | None) -> float:
    """A raw confidence as the probability that a result is right: beta calibration (Kull et al. 2017).

    Args:
        raw: 0 to 1.
        weights: three numbers ``low, high, offset``: the logarithm of the odds is ``low ln p - high ln(1 - p)
            + offset``; None gives what is given.

    Returns:
        A float, 0 to 1; 0 for 0, where nothing was read.
    """
    if weights is None or raw <= 0:
        return float(raw)
    low, high = log_odds(float(raw))
    return float(1 / (1 + np.exp(-np.clip(weights[0] * low + weights[1] * high + weights[2], -50, 50))))


def map_of(maps: dict[str, list[float]], what: str, searched: bool = False) -> list[float] | None:
    """The weights of "text" or "word" in the asset; those for what a search found, where there are such."""
    return (maps.get(f"searched_{what}") if searched else None) or maps.get(what)


# === Images ===

IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000")  # no program runs for these
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".pbm", ".pgm", ".ppm", ".jp2"
)  # fmt: skip
CONTRAST = 24  # grey values; fewer apart is paper grain, not print
INK = 0.002  # pixels of ink by the square of a line's height; a full stop has 0.005
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation
_CUT = "cut it into single lines"


def read_image(
    item: Any, name: str | None = None, check: bool = True, photographs: bool = False
) -> np.ndarray:
    """Reads one line image.

    Args:
        item: a path, the bytes of a file of ``IMAGE_FORMATS``, a PIL image, or a uint8 array ``[height,
            width]`` or ``[height, width, 1 or 3]``.
        name: what to call it in messages.
        check: refuse what does not look like one line of text, see ``no_line``.
        photographs: do not refuse what looks like a photograph.

    Returns:
        uint8 ``[height, width, 1]`` (grey) or ``[height, width, 3]`` (RGB), turned upright as EXIF says.
        Transparent images are laid on white, or on black where their ink is light; 16-bit ones scaled to 8.
        Of colours that are equally bright the channel that tells them apart.

    Raises:
        ReaderError: it is no image, is damaged, has several pages, or cannot be one line of text.
    """
    name, mend = image_name(item, name), _CUT if check else "scale it down"
    if isinstance(item, np.ndarray):
        pixels = checked_array(item, name, mend)
    else:
        with open_image(item, name, mend) as picture, damage(name):
            if picture is not item and (pages := len(page_frames(picture))) > 1:
                raise WholePage(f"{name}: it has {pages} pages; save each as an image, and {_CUT}")
            check_pixels(*picture.size, name, mend)  # the header tells: nothing larger is decoded
            picture.load()
            turn, picture = upright(picture), eight_bits(picture)
            picture = opaque(picture if turn is None else picture.transpose(turn))
            pixels = np.asarray(picture).reshape(*picture.size[::-1], -1)
    height, width = pixels.shape[:2]
    if height < MIN_HEIGHT:
        problem = f"too low to read; give lines {MIN_HEIGHT} pixels high or more"
    elif width > MAX_ASPECT * height:
        problem = f"longer than a line of text; {_CUT}"
    else:
        problem = no_line(pixels, photographs) if check else None
        if problem:
            kind = WholePage if problem.startswith("a page") else ReaderError
            raise kind(f"{name}: this looks like {problem}")
        return _told_apart(pixels)
    raise ReaderError(f"{name}: {width}x{height} pixels is {problem}")


def page_frames(picture: Image.Image) -> list[int]:
    """The numbers of an opened file's frames that are pages: no previews and masks of a TIFF.

    The first one is shown.
    """
    frames = range(getattr(picture, "n_frames", 1))
    if picture.format != "TIFF" or len(frames) == 1:
        return list(frames)
    pages = []
    for frame in frames:
        picture.seek(frame)
        if not picture.tag_v2.get(_SUBFILE, 0) & 5:  # 1: at a smaller size, 4: a mask
            pages.append(frame)
    picture.seek(pages[0] if pages else 0)
    return pages or [0]


_SUBFILE = 254  # TIFF's tag NewSubfileType


def _told_apart(pixels):
    """A channel of its own where colours make a line that their mean, which is what models see, does not."""
    if pixels.shape[2] == 3 and is_blank(pixels):
        channels = np.split(pixels, 3, 2)
        written = [channel for channel in channels if not is_blank(channel)]
        return max(written, key=np.std, default=pixels)
    return pixels


def image_name(item: Any, name: str | None = None) -> str:
    """What messages call an image that has no ``name``."""
    if name is None and isinstance(item, np.ndarray | Image.Image | bytes):
        return "the bytes" if isinstance(item, bytes) else "the image"
    return name or os.fspath(item)


@contextlib.contextmanager
def open_image(item: Any, name: str, mend: str) -> Iterator[Image.Image]:
    """The PIL image of a path, of bytes or of itself, not yet decoded.

    ``name`` begins the sentences of what is wrong, and ``mend`` ends that on one with too many pixels.

    Raises:
        ReaderError: it is missing, empty, or no image of ``IMAGE_FORMATS``.
    """
    if isinstance(item, Image.Image):
        yield item
        return
    try:
        file = io.BytesIO(item) if isinstance(item, bytes) else open(item, "rb")
    except OSError as error:
        if os.path.isdir(item):
            some = any(os.scandir(item))
            mend = "a folder; give the images in it" if some else "an empty folder; give images"
            raise ReaderError(f"{name}: this is {mend}") from error
        raise ReaderError(f"{name}: cannot be read ({error.strerror.lower()}); check the path") from error
    with file:
        start = file.read(4)
        file.seek(0)
        if not start:
            raise ReaderError(f"{name}: the file is empty; scan or copy it again")
        if start in _DOCUMENTS:
            raise WholePage(f"{name}: this is {_DOCUMENTS[start]}, no image; save its pages as PNG or TIFF")
        try:
            # Pillow's own limit is for images that are decoded whole, and it takes a photo with a preview for
            # two: JPEGs pass by both.
            jpeg = start.startswith(b"\xff\xd8")
            picture = JpegImagePlugin.JpegImageFile(file) if jpeg else Image.open(file, formats=IMAGE_FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ReaderError(f"{name}: the image has too many pixels; {mend}") from error
        except Exception as error:  # Pillow raises what comes to hand on damaged data
            raise ReaderError(f"{name}: not a readable image; give a PNG, JPEG or TIFF file") from error
        yield picture


_DOCUMENTS = {b"%PDF": "a PDF", b"%!PS": "PostScript"}


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """Turns what Pillow raises on damaged data, which is what comes to hand, into a ReaderError."""
    try:
        yield
    except ReaderError:
        raise
    except Exception as error:
        raise ReaderError(f"{name}: the image is damaged ({error}); scan or copy it again") from error


def checked_array(array: np.ndarray, name: str, mend: str) -> np.ndarray:
    """A uint8 array ``[height, width]`` or ``[height, width, 1 or 3]`` as ``[height, width, 1 or 3]``."""
    pixels = array[:, :, None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype != np.uint8:
        raise ReaderError(
            f"{name}: {array.dtype} of shape {array.shape}; give uint8 of shape [height, width] or "
            "[height, width, 3]"
        )
    check_pixels(pixels.shape[1], pixels.shape[0], name, mend)
    return pixels


def check_pixels(width: int, height: int, name: str, mend: str) -> None:
    """ReaderError where an image has none, or more than ``MAX_PIXELS``; ``mend`` ends its sentence."""
    if not width or not height:
        raise ReaderError(f"{name}: the image is empty ({width}x{height} pixels); copy it again")
    if width * height > MAX_PIXELS:
        raise ReaderError(f"{name}: {width}x{height} pixels are too many; {mend}")


def eight_bits(picture: Image.Image) -> Image.Image:
    """A decoded PIL image in mode L, RGB or RGBA. Of 16 and 32 bits the values tell what is white."""
    if picture.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.array(picture, np.float32), copy=False, posinf=0, neginf=0)
        peak = values.max()
        tops = (1, 255, 65535) if picture.mode == "F" else (255, 65535)
        values /= next((top for top in tops if peak <= top), peak) / 255
        return Image.fromarray(np.maximum(np.rint(values), 0).astype(np.uint8))
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def upright(picture: Image.Image) -> Image.Transpose | None:
    """How to transpose a decoded picture for it to stand upright, or None. Pillow itself turns TIFFs."""
    try:
        return _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # EXIF that cannot be read says nothing
        return None


def opaque(picture: Image.Image) -> Image.Image:
    """An RGBA image as RGB: on white, or on black where nothing to be seen is dark. Others stay."""
    if picture.mode != "RGBA":
        return picture
    alpha = np.asarray(picture.getchannel("A"))
    seen = np.asarray(picture.convert("L"))[alpha > alpha.max() / 2]
    ground = "black" if seen.size and np.percentile(seen, 5) >= 128 else "white"
    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture).convert("RGB")


def is_blank(pixels: np.ndarray) -> bool:
    """Whether a line image, uint8 ``[height, width, channels]``, has less ink on it than a full stop."""
    grey = pixels[:, :, 0] if pixels.shape[2] == 1 else np.rint(pixels.mean(2)).astype(np.uint8)
    paper = int(np.median(grey.ravel()[::61]))
    ink = np.count_nonzero(grey <= paper - CONTRAST) + np.count_nonzero(grey >= paper + CONTRAST)
    return ink < max(1, INK * len(grey) ** 2)


def no_line(pixels: np.ndarray, photographs: bool = False) -> str | None:
    """What an image is that is no line of text, and the mend, as the end of a sentence; or None.

    That is noise or, unless ``photographs`` may be lines, a photograph; a page, or two lines or more; any of
    them askew or on its side; a line on its end, or one that is small in a large image. A blank image may be
    a line, and so may one that shows part of the lines above and below, as many crops do.
    """
    grey = pixels[:, :, 0] if pixels.shape[2] == 1 else np.asarray(Image.fromarray(pixels).convert("L"))
    height, width = grey.shape
    if _is_noise(grey):
        return "noise, not writing on paper; give an image of a line of text"
    changes = _changes(grey)
    if height > 4 * width:
        (letters,) = _bands(changes, 1)
        if width >= MIN_HEIGHT and len(letters) >= 5:
            return "a line of text that stands on its end; turn the image by a quarter"
        return None if photographs or not _is_photo(pixels) else _PHOTO
    rows = changes.mean(1)
    written = rows >= max(rows.max() / 4, 1e-6)
    share = written.mean()
    # A speck of dust is no wider than it is high.
    if 0 < share < FILLED and np.count_nonzero(changes[written].any(0)) > 3 * written.sum():
        share = f"{100 * share:.0f} of 100 rows have any"
        return f"an image with much room around its text ({share}); cut the line out of it"
    count = text_lines(grey)
    # Letters of several scripts show three bars, one over another, where they stand alone.
    if count >= 4 or count >= 3 and width > 2 * height:
        return f"a page ({count:.0f} lines of text), not a line; cut it into lines first"
    if width < 2 * height and (count := text_lines(grey.T)) >= 8:
        return f"a page on its side ({count:.0f} lines of text); turn it by a quarter and cut it into lines"
    if angle := _angle(changes):
        return f"text that is askew by about {abs(angle)} degrees; turn it {_TURNS[angle > 0]} by as many"
    if width > 3 * height and _are_two(changes):
        return "two lines of text, one below the other; cut them apart"
    return None if photographs or not _is_photo(pixels) else _PHOTO


_PHOTO = "a photograph, not writing on paper; give an image of a line of text"
_TURNS = {True: "to the left", False: "to the right"}


def _is_noise(grey):
    """Whether neighbouring pixels of an image do not agree, reduced to so few rows that those of text do."""
    views = [_reduced(grey, rows) for rows in NOISE_ROWS]
    return np.ptp(grey) >= CONTRAST and all(max(_agreement(v), _agreement(v.T)) < NOISE for v in views)


def _is_photo(pixels):
    """Whether an image, uint8 ``[height, width, channels]``, clearly is a photograph: one in many colours.

    Those of grey images pass, as lines with grain, shadows or dark edges have all greys, too.
    """
    if pixels.shape[2] == 1:
        return False
    small = _reduced(pixels, PHOTO_ROWS)
    # Ink and paper have the mixes of two colours, which are on a line: what varies across it is little.
    _, across, along = np.linalg.eigvalsh(np.cov(small.reshape(-1, 3).T))
    return across > COLOURS**2 * along and not has_paper(np.asarray(Image.fromarray(small).convert("L")))


def has_paper(grey: np.ndarray) -> bool:
    """Whether most of an image is a ground that is the lightest or the darkest of all, as it is of text.

    The image, uint8 ``[height, width]``, is looked at in pieces twice as wide as high, so that it may be lit
    from one side.
    """
    grey = _reduced(grey, PHOTO_ROWS)
    height, width = grey.shape
    count = max(1, round(width / (2 * height)))
    pieces = grey[:, : width // count * count].reshape(height, count, -1).swapaxes(0, 1).astype(np.float32)
    top, bottom, left, right = (  # light may fall off from edge to edge
        np.median(edge, 1)[:, None, None]
        for edge in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1])
    )
    pieces -= (bottom - top) * np.linspace(-0.5, 0.5, height)[:, None]
    pieces -= (right - left) * np.linspace(-0.5, 0.5, pieces.shape[2])
    dark, ground, light = np.quantile(pieces.reshape(count, -1), (0.02, 0.5, 0.98), axis=1)
    span = light - dark
    written = span >= span.max() / 2
    return np.median((np.maximum(ground - dark, light - ground) / np.maximum(span, 1))[written]) >= PAPER


def _reduced(pixels, size):
    """An image whose shorter side is so many pixels long, or less."""
    factor = max(1, min(pixels.shape[:2]) / size)
    height, width = (max(1, round(length / factor)) for length in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _agreement(grey):
    """The correlation of the pixels of an image with their right neighbours; 1 if there is but one grey."""
    values = grey - grey.mean(dtype=np.float32)
    power = np.square(values).mean()
    return float((values[:, 1:] * values[:, :-1]).mean() / power) if power and grey.shape[1] > 1 else 1.0


def _angle(changes):
    """By how many degrees text is askew, downwards to the right if positive; 0 below ``ASKEW``.

    Of the angles along which changes are summed, text has the one at which the sums differ most from one row
    to the next (Postl 1986).
    """
    height, width = changes.shape
    if width >= 8 * height:  # too long to be so askew
        return 0
    factor = -(-max(height, width) // 256)
    if factor > 1:
        changes = np.asarray(Image.fromarray(changes).reduce(factor))
    cuts = np.linspace(0, changes.shape[1], min(64, changes.shape[1]) + 1).astype(int)
    columns = np.add.reduceat(changes, cuts[:-1], axis=1)
    places = (cuts[:-1] + cuts[1:] - changes.shape[1]) / 2
    room = int(np.abs(places).max()) + 2
    rows = np.arange(len(columns))[:, None] + room

    def sharpness(angle):
        shifted = rows - np.rint(places * math.tan(math.radians(angle))).astype(int)
        sums = np.bincount(shifted.ravel(), columns.ravel(), len(columns) + 2 * room)
        return np.square(np.diff(np.convolve(sums, (0.25, 0.5, 0.25)))).sum(), sums

    found = {angle: sharpness(angle) for angle in range(-40, 41, 2)}
    angle = max(found, key=lambda angle: found[angle][0])
    straight = max(found[few][0] for few in (-2, 0, 2))
    written = columns.sum(0)
    if np.count_nonzero(written > written.mean() / 4) < len(written) / 2:
        return 0  # few strokes say nothing of a line
    if not ASKEW <= abs(angle) < 40 or found[angle][0] < SHARPER * straight:
        return 0
    # A stroke is askew, too: there have to be a line that is long or several.
    several = len(_humps(found[angle][1].tolist(), found[angle][1].max() / 4)) >= 3
    return angle if width > 1.5 * height or several else 0


def _are_two(changes):
    """Whether two whole lines of text stand one below the other, in most quarters of an image."""
    profiles, floor = _profiles(changes, 4)
    bands = [_humps(profile, floor) for profile in profiles]
    found = [_are_whole(*pair) for pair in zip(profiles, bands, strict=True) if pair[1]]
    return bool(found) and sum(found) >= 0.6 * len(found)


def _are_whole(profile, bands):
    """Whether the two strongest bands of a profile are lines that are alike, with room around each."""
    if len(bands) < 2:
        return False
    (above, *upper), (below, *lower) = sorted(sorted(bands)[-2:], key=lambda band: band[1:])
    weak, strong = sorted((above, below))
    low, high = sorted(last + 1 - first for first, last in (upper, lower))
    top, bottom = (sum(band) / 2 for band in (upper, lower))
    room = min(top + 0.5, len(profile) - bottom - 0.5)
    return (
        weak >= 0.4 * strong
        and low >= 0.6 * high
        and room >= 0.3 * (bottom - top)  # of a neighbour that is cut, less is left
        and max(profile[0] / above, profile[-1] / below) < 0.35
        and min(profile[upper[1] : lower[0] + 1]) < 0.2 * weak
    )


def text_lines(grey: np.ndarray) -> float:
    """About how many lines of text stand one below the other in a grey image, uint8 ``[height, width]``.

    Where letters are, brightness changes along a row. The image is cut into columns, by turns one to many,
    so that it does not matter if it is askew; the number is what most columns say, where a column is as wide
    as a line is high, or wider. Lines that an edge cuts through count half.
    """
    height, width = grey.shape
    changes, most = _changes(grey), 0.0
    for columns in (1, 2, 4, 8, 16, 32):
        if width < 2 * columns + 1 or columns > 8 and width > 4 * height:
            break
        found = sorted(_count(bands, len(changes)) for bands in _bands(changes, columns) if bands)
        found = statistics.median(found) if found else 0.0
        if columns == 1 or width * found >= height * columns:
            most = max(most, found)
    return most


def _changes(grey):
    """By how much each pixel differs from its right neighbour, float32, in ``PAGE_ROWS`` rows or fewer."""
    factor = -(-grey.shape[0] // PAGE_ROWS)
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    changes = np.abs(np.diff(grey.astype(np.float32), axis=1))
    return np.minimum(changes, 8 * changes.mean()) if changes.size else np.zeros((len(grey), 1), np.float32)


def _bands(changes, columns):
    """For each of so many columns of an image the bands of its rows that have letters, or look so.

    Returns:
        For each column a list of ``(strength, first row, last row)``.
    """
    profiles, floor = _profiles(changes, columns)
    return [_humps(profile, floor) for profile in profiles]


def _profiles(changes, columns):
    """How much changes in each row of so many columns of an image, or of all; and what is too little for
    letters.

    Returns:
        For each column a list of floats; and a float.
    """
    width = changes.shape[1]
    cuts = np.linspace(0, width, min(columns, width) + 1).astype(int)
    rows = np.add.reduceat(changes, cuts[:-1], axis=1) / np.diff(cuts)
    padded = np.pad(rows, ((1, 1), (0, 0)), mode="edge")
    rows = (padded[:-2] + 2 * rows + padded[2:]) / 4
    floor = np.partition(rows, int(rows.size * 0.95), axis=None)[int(rows.size * 0.95)] / 4
    return rows.T.tolist(), floor


def _humps(values, floor):
    """The stretches of a row of numbers that rise above ``floor``, and to twice what lies between them."""
    peaks, rising, high, low, at = [], True, 0.0, 0.0, 0
    for i, value in enumerate(values):
        if rising and value >= high:
            high, at = value, i
        elif rising and high > floor and value < high / 2:
            peaks.append((high, at))
            rising, low = False, value
        elif not rising and value < low:
            low = value
        elif not rising and value > floor and value > 2 * low:
            rising, high, at = True, value, i
    if rising and high > floor:
        peaks.append((high, at))
    humps = []
    for high, at in peaks:
        first = last = at
        while first > 0 and values[first - 1] >= high / 2:
            first -= 1
        while last < len(values) - 1 and values[last + 1] >= high / 2:
            last += 1
        humps.append((high, first, last))
    return humps


def _count(bands, rows, least=0.6):
    """How many of the bands are lines: neither faint nor thin beside the others."""
    strongest = max(strength for strength, *_ in bands)
    bands = [(first, last) for strength, first, last in bands if strength >= 0.4 * strongest]
    heights = sorted(last + 1 - first for first, last in bands)
    thin = least * heights[3 * len(heights) // 4]
    whole = [0 < first and last < rows - 1 for first, last in bands if last + 1 - first >= thin]
    return (len(whole) + sum(whole)) / 2


def _opened(numbered, photographs):
    """The pixels of an input with its number; an empty ``Line`` of a blank one, the error of a bad one."""
    number, item = numbered
    try:
        name = None if isinstance(item, str | os.PathLike) else f"input {number + 1}"
        pixels = read_image(item, name, photographs=photographs)
        return Line("", 0.0, []) if is_blank(pixels) else pixels
    except ReaderError as error:
        return error


def line_batches(images: dict[Any, np.ndarray], batch_size: int) -> Iterator[dict[Any, np.ndarray]]:
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


def pad_lines(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Images -> uint8 ``[batch, height, width, channels]``, padded, and their sizes, int32 ``[batch, 2]``."""
    size = np.array([image.shape[:2] for image in images], np.int32)
    channels = max(image.shape[2] for image in images)
    padded = np.full((len(images), *size.max(0), channels), 255, np.uint8)
    for row, image in zip(padded, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return padded, size


# === Decoding ===


def _likeliest(log_probs, beam_width):
    return prefix_beam_search(log_probs, beam_width)[0]


def prefix_beam_search(
    log_probs: np.ndarray, beam_width: int, threshold: float = 1e-4
) -> tuple[tuple[int, ...], float]:
    """The likeliest labelling, summed over its alignments: the first of ``prefix_beams`` and its score."""
    return prefix_beams(log_probs, beam_width, threshold)[0]


def prefix_beams(
    log_probs: np.ndarray, beam_width: int, threshold: float = 1e-4
) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest labellings, summed over their alignments, among ``beam_width`` kept at each frame.

    CTC prefix beam search (Graves & Jaitly 2014; Hannun et al. 2014, algorithm 1), in the log domain.
    Label 0 is the blank.

    Args:
        log_probs: float ``[time, labels]``.
        beam_width: int, 1 or more.
        threshold: labels less probable than this in a frame do not extend a prefix there.

    Returns:
        A list of (labels, log_prob), best first: a tuple of ints, and the natural logarithm of its
        probability.
    """

    def score(item):
        return _log_add(*item[1])

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
        best = sorted(grown.items(), key=score, reverse=True)
        beams = {prefix: tuple(entry) for prefix, entry in best[:beam_width]}
    return [(prefix, score((prefix, entry))) for prefix, entry in beams.items()]


def _log_add(a, b):
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def align(log_probs: np.ndarray, labels: Sequence[int]) -> list[tuple[int, int]]:
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

_PAIRS = dict(zip("([{⟨", ")]}⟩", strict=True))
_MIRRORED = str.maketrans("()[]{}⟨⟩«»‹›<>≤≥", ")(][}{⟩⟨»«›‹><≥≤")
_KINDS = {"L": "L", "R": "R", "AL": "A", "EN": "E", "AN": "N", "ES": "S", "CS": "C", "ET": "T", "NSM": "M"}


def display_order(text: str) -> tuple[str, list[int]]:
    """Turns a right-to-left line from reading order to the order of the image's columns.

    It is that of the Unicode Bidirectional Algorithm (UAX #9) for a right-to-left paragraph without controls:
    the text is reversed as a whole, with brackets mirrored, while numbers and left-to-right words in it
    keep their own order. Marks stay with their letter, before it. A line with no right-to-left letter but
    left-to-right ones stays as it is.

    Returns:
        (text, order): ``text[i]`` was at ``order[i]``.
    """
    return _turned(text, _left_to_right(text))


def reading_order(shown: str) -> tuple[str, list[int]]:
    """Turns a line from the order of the image's columns to reading order: what ``display_order`` undoes.

    Of several texts that look the same, it is the one whose numbers stay with the words at their left. Where
    no text looks so ("5 GB" within right-to-left words), numbers stay with those at their right, too.

    Returns:
        (text, order): ``text[i]`` was at ``order[i]``.
    """
    first = inside = _left_to_right(shown, guess=True)
    for _ in range(8):  # what is left to right depends on the order: guess, look, and guess again
        text, order = _turned(shown, inside)
        found = dict(zip(order, _left_to_right(text), strict=True))
        if all(found[i] == inside[i] for i in order):
            return text, order
        inside = [found[i] for i in range(len(shown))]
    return _turned(shown, first)


def _turned(text, inside):
    """The text reversed, except for the stretches that are ``inside``, which keep their order."""
    mirrored, pieces = text.translate(_MIRRORED), []
    for i in range(len(text)):
        if i and inside[i] and inside[i - 1]:
            pieces[-1].append(i)
        else:
            pieces.append([i])
    order = [i for piece in reversed(pieces) for i in piece]
    return "".join((text if inside[i] else mirrored)[i] for i in order), order


def _left_to_right(text, guess=False):
    """For each character whether UAX #9 gives it level 2 in a paragraph of level 1.

    A ``guess`` is for a text in the order of the columns: numbers belong to the words beside them, and marks
    of right-to-left scripts to the letter that follows.
    """
    kinds = "".join(_KINDS.get(unicodedata.bidirectional(c), "O") for c in text)
    if "L" in kinds and not set(kinds) & set("RA"):
        return [True] * len(text)
    if guess:
        pairs = zip(text, kinds, strict=True)
        kinds = "".join("R" if kind == "M" and "\u0590" <= c < "\u0900" else kind for c, kind in pairs)
    joined = "LEN" if guess else "L"

    def to(kind, old=None):
        return lambda match: match[0].replace(old, kind) if old else kind * len(match[0])

    kinds = re.sub("(.)M+", lambda match: match[1] * len(match[0]), f"R{kinds}")  # W1, after the start's R
    kinds = re.sub("A[^LR]*", to("N", "E"), kinds).replace("A", "R")  # W2, W3: numbers after Arabic letters
    kinds = re.sub("(?<=E)[SC](?=E)", "E", kinds)  # W4
    kinds = re.sub("(?<=N)C(?=N)", "N", kinds)
    kinds = re.sub("(?<=E)T+|T+(?=E)", to("E"), kinds)  # W5: units beside numbers
    kinds = re.sub("[SCT]", "O", kinds)  # W6
    kinds = re.sub("L[^R]*", to("L", "E"), kinds)  # W7: numbers after left-to-right letters
    kinds = _bracketed(text, kinds)
    kinds = re.sub(f"(?<=[{joined}])O+(?=L)|(?<=L)O+(?=[{joined}])", to("L"), kinds)  # N1, N2
    return [kind in "LEN" for kind in kinds[1:]]


def _bracketed(text, kinds):
    """Rule N0: brackets are left to right where their content and what stands before them is."""
    opened, pairs, kinds = [], [], list(kinds)
    for i, character in enumerate(text, 1):
        if kinds[i] == "O" and character in _PAIRS:
            opened.append(i)
        elif kinds[i] == "O" and character in _PAIRS.values():
            fitting = [at for at in opened if _PAIRS[text[at - 1]] == character]
            if fitting:
                pairs.append((fitting[-1], i))
                del opened[opened.index(fitting[-1]) :]
    for first, last in sorted(pairs):
        content = set(kinds[first:last]) - {"O"}
        before = next(kind for kind in reversed(kinds[:first]) if kind != "O")
        if content:
            kinds[first] = kinds[last] = "L" if content == {"L"} and before == "L" else "R"
    return "".join(kinds)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python runtime.py MODEL.onnx FILE...")
    warnings.formatwarning = lambda message, *_: f"{message}\n"
    try:
        results = load(sys.argv[1])(sys.argv[2:], errors="return")
    except ReaderError as error:
        results = [error]
    for result in results:
        print(result, file=sys.stderr if isinstance(result, Exception) else sys.stdout)
    failed = sum(isinstance(result, Exception) for result in results)
    sys.exit((2 if failed == len(results) else 3) if failed else 0)
