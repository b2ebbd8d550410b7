"""Tells the script of every pixel column of a line, and has each reader of lines read what is of its script.

    from export import runtime

    tagger = runtime.load("script_arabic.onnx")
    tagger("line.png")                                    # "arabic non_arabic": its segments, from the left
    found, = tagger("line.png", details=True)             # Tagging: segments with script, columns, confidence
    tagger(lines, readers={"arabic": "line_ocr_arabic.onnx", "non_arabic": "line_ocr_en.onnx"})  # their texts
    tagger.picture("line.png", "tagged.png")

A segment is what is of one class from a column to another, gaps between words included. Each is
read alone, and the texts are put in reading order by the Unicode Bidirectional Algorithm (UAX #9).
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from export import runtime
from zoo.contract.model import Model, is_file
from zoo.contract.options import Option
from zoo.contract.reader import Metric, Reader
from zoo.errors import UserError, train_extra
from zoo.families.script_tagger.vocabulary import Classes
from zoo.formats.streams import Csv, Tsv
from zoo.images.columns import INK, WIDEST, ink_of, joined, segments_of, smoothed, trimmed, voted
from zoo.images.lines import read_strip
from zoo.metrics.confidence import judge
from zoo.metrics.text import answers
from zoo.text.scripts import line_direction, reading_text

if TYPE_CHECKING:
    from zoo.families.script_tagger.corpus import TaggedLines

WINDOW = 512  # images held in memory and sorted by width at a time
BATCH = 8  # lines tagged at a time by each thread, those of similar width together
SHORTEST = 0.3  # of a line's height: what is narrower, and touches another script, is of that one
APART = 0.14  # of a line's height: a gap without ink as wide divides words
LONGEST = 12  # times a line's height: words are no longer
MARGIN = 0.15  # of a line's height, around what is given to a reader
LEAST = 0.6  # of a line's height: what is given to a reader is as high, or it would be taken for larger
SPACE = 0.15  # of a line's height: a gap as wide divides words


@dataclasses.dataclass(frozen=True)
class Segment:
    """What is of one class.

    Attributes:
        script: the name of the class.
        first, last: its first and last pixel column, from 0.
        confidence: the mean probability of the class in them, 0 to 1.
        text: what a reader of this script read there; None where there was none.
        text_confidence: how sure it is, 0 to 1; or None.
    """

    script: str
    first: int
    last: int
    confidence: float
    text: str | None = None
    text_confidence: float | None = None

    def to_json(self) -> dict[str, Any]:
        about = {"script": self.script, "first": self.first, "last": self.last}
        about["confidence"] = round(self.confidence, 4)
        if self.text is None:
            return about
        return about | {"text": self.text, "text_confidence": round(self.text_confidence, 4)}


@dataclasses.dataclass(frozen=True)
class Tagging:
    """What was found in one line.

    Attributes:
        segments: list of ``Segment`` from the left, all that is not background.
        columns: uint8 ``[width]``, the class of each pixel column, a row of the vocabulary.
        confidence: the share of the columns whose class is expected to be right, 0 to 1; 0 where there is no
            text.
        reading: the text of the whole line in reading order; None where there were no readers.
    """

    segments: list
    columns: np.ndarray = dataclasses.field(compare=False)  # the segments say the same
    confidence: float
    reading: str | None = None

    @property
    def text(self) -> str:
        """What was read, or without readers the scripts of the segments from the left."""
        if self.reading is not None:
            return self.reading
        return " ".join(segment.script for segment in self.segments)

    @property
    def line(self) -> str:
        """What was read, or without readers the segments with their columns."""
        if self.reading is not None:
            return self.reading
        return ", ".join(f"{s.script} {s.first}-{s.last} ({s.confidence:.2f})" for s in self.segments)

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        about = {"text": self.text, "confidence": round(self.confidence, 4)}
        return about | {"segments": [segment.to_json() for segment in self.segments]}


class SegmentTsv(Tsv):
    """A row for each segment: input, script, first and last column, confidence, and with readers its text."""

    def lines(self, result: Tagging) -> list[str]:
        return ["\t".join(row) for row in _rows(result)]


class SegmentCsv(Csv):
    """The same with a header. What could not be read is there with nothing beside it."""

    def add(self, item: Any, result: Tagging) -> None:
        self._write(*((item, *row) for row in _rows(result)))

    def fail(self, item: Any, error: UserError | str) -> None:
        self._write((item, "", "", "", "", ""))

    def _write(self, *rows):
        if self.header is None:
            rows = ("input", "script", "first", "last", "confidence", "text"), *rows
        self.header = ()
        super()._write(*rows)


def _rows(result):
    cells = [
        (s.script, str(s.first), str(s.last), f"{s.confidence:.4f}", s.text or "") for s in result.segments
    ]
    return cells or [("", "", "", "", "")]


def open_readers(given: Any) -> dict[str, Any]:
    """Readers by the scripts that they read: ``{class: zoo.contract.reader.Reader}``.

    Args:
        given: ``{class: model}`` of what ``zoo.load`` takes or gives; or the same as text,
            ``CLASS=MODEL,CLASS=MODEL``.

    Raises:
        UserError: the text is none, there is no such model, or it does not read line images.
    """
    if isinstance(given, str):
        pairs = [pair.partition("=")[::2] for pair in given.split(",")]
        if not all(name.strip() and model.strip() for name, model in pairs):
            raise UserError(f"--readers {given!r}: give CLASS=MODEL, and commas between")
        given = {name.strip(): model.strip() for name, model in pairs}
    found = {}
    for name, model in given.items():
        if not isinstance(model, Model | Reader):
            model = _loaded(model)
        reader = model if isinstance(model, Reader) else model.reader
        if reader.metadata.get("task") != "line_ocr":
            raise UserError(f"readers: the model for {name} reads no line images; give one that does")
        found[name] = reader
    return found


def _loaded(model):
    """What ``zoo.load`` gives; Keras is loaded where it is no exported file."""
    if not is_file(model):
        with train_extra():
            importlib.import_module("zoo.backend").import_tensorflow()
    return importlib.import_module("zoo").load(model)


class TagReader(Reader):
    """Tags line images; each result is a ``Tagging``. The arguments are those of ``Reader``."""

    Vocabulary = Classes
    reads, one, unit, suffixes = "images", "image", "lines", runtime.IMAGE_SUFFIXES
    single, axes = Reader.single | np.ndarray | Image.Image, 3
    options = (
        Option(
            "readers", "read each segment with the reader of its script: CLASS=MODEL, and commas between",
            open_readers, "CLASS=MODEL,…", evaluates=False,
        ),
        Option(
            "direction", "of lines that are read; default: of the script at both ends, or of most of each",
            choices=("ltr", "rtl"), evaluates=False,
        ),
    )  # fmt: skip
    formats = Reader.formats | {"tsv": SegmentTsv, "csv": SegmentCsv}
    judges = True
    plots, plot_help = "one", "the line, each column in the colour of its class"
    metrics = (
        Metric("accuracy", "accuracy of columns", "{:.2%}"), Metric("segment_f1", "F1 of segments", "{:.2%}"),
    )  # fmt: skip

    def stream(
        self, images: Any, errors: str = "raise", progress: bool = False, readers: Any = None,
        direction: str | None = None,
    ) -> Iterator[Tagging | UserError]:  # fmt: skip
        """Iterate over the ``Tagging`` of each image; they come ``WINDOW`` by ``WINDOW``.

        Args:
            images: an iterable of images, see ``export.runtime.read_image``.
            errors, progress: as in a call.
            readers: as of ``open_readers``; segments of other classes are not read.
            direction: ``ltr`` or ``rtl``, of the lines that are read; by default what
                ``zoo.text.scripts.line_direction`` tells of each.

        Raises:
            UserError: an image cannot be read as a line, or a reader is for a class that there is not.
        """
        readers = open_readers(readers) if readers else {}
        for name in readers:
            if name not in self.vocabulary:
                known = ", ".join(self.vocabulary.names[1:])
                raise UserError(f"readers: there is no class {name!r}; the model's are {known}")
            if self.vocabulary.row(name) == Classes.BACKGROUND:
                raise UserError(f"readers: {name} is the background, where there is nothing to read")
        readers = {self.vocabulary.names[self.vocabulary.row(name)]: one for name, one in readers.items()}
        if direction not in (None, "ltr", "rtl"):
            raise UserError(f"a direction is ltr or rtl, not {direction!r}")

        def prepare(number, item):
            return read_strip(item, item if isinstance(item, str | os.PathLike) else f"input {number + 1}")

        def answer(lines, pool, bar):
            size = max(1, min(BATCH, -(-len(lines) // self.threads)))
            found = {}
            for some in pool.map(self._tag, runtime.line_batches(lines, size)):
                found |= some
                bar.update(len(some))
            return self._read(lines, found, readers, direction) if readers else found

        return self.in_windows(
            images, prepare, answer, WINDOW, errors, desc="tagging", unit=" lines", disable=not progress
        )

    def _tag(self, batch):
        """``{key: image}`` -> ``{key: Tagging}``, in one run of the model."""
        image, size = runtime.pad_lines(list(batch.values()))
        probabilities = self.run({"image": image, "size": size})["probabilities"]
        return {
            key: self._tagging(row[: pixels.shape[1]], pixels)
            for (key, pixels), row in zip(batch.items(), probabilities, strict=True)
        }

    def _tagging(self, probabilities, pixels):
        height, columns = len(pixels), probabilities.argmax(1).astype(np.uint8)
        ink = (ink_of(pixels.mean(2)) >= INK).any(0)
        columns = voted(columns, probabilities, ink, APART * height, LONGEST * height)
        columns = smoothed(columns, SHORTEST * height)
        columns = trimmed(columns, ink, SHORTEST * height)
        columns = joined(columns, WIDEST * height)
        sure = np.take_along_axis(probabilities, columns[:, None].astype(int), 1)[:, 0]
        return self.tagging_of(columns, sure)

    def tagging_of(self, columns: np.ndarray, sure: np.ndarray | None = None) -> Tagging:
        """The ``Tagging`` of the classes of the columns of a line.

        Args:
            columns: rows of the vocabulary, or names of its classes, ``[width]``.
            sure: float ``[width]``, their probabilities; None where they are known.
        """
        columns = np.asarray(columns)
        if columns.dtype.kind == "U":
            names, numbers = np.unique(columns, return_inverse=True)
            columns = np.array([self.vocabulary.row(name) for name in names.tolist()], np.uint8)[numbers]
        known = sure is None
        sure = np.ones(len(columns)) if known else sure
        segments = [
            Segment(self.vocabulary.names[row], first, last, float(sure[first : last + 1].mean()))
            for row, first, last in segments_of(columns)
        ]
        mean = float(sure.mean()) if segments else 0.0
        return Tagging(segments, columns, mean if known else self.sure(mean))

    # === Reading ===

    def _read(self, lines, found, readers, direction):
        """``{key: Tagging}`` with what readers read."""
        cuts = {}
        for key, tagging in found.items():
            for number, segment in enumerate(tagging.segments):
                if segment.script in readers:
                    cuts.setdefault(segment.script, []).append((key, number, segment))
        read = {key: list(tagging.segments) for key, tagging in found.items()}
        for script, parts in cuts.items():
            images = [cut_out(lines[key], segment, found[key].columns) for key, _, segment in parts]
            told = readers[script](images, details=True, errors="return")
            for (key, number, segment), line in zip(parts, told, strict=True):
                text, sure = ("", 0.0) if isinstance(line, UserError) else (line.text, line.confidence)
                read[key][number] = dataclasses.replace(segment, text=text, text_confidence=sure)
        return {
            key: dataclasses.replace(
                tagging,
                segments=read[key],
                reading=_reading(read[key], readers, direction, SPACE * len(lines[key])),
            )
            for key, tagging in found.items()
        }

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draws a line, each column in the colour of its class, and its segments.

        Args:
            item: the image, see ``export.runtime.read_image``.
            path: the PNG file to write.
            decoding: as in ``stream``.

        Raises:
            UserError: the image cannot be read, or the file cannot be written.
        """
        from zoo.families.script_tagger.plot import draw

        pixels = read_strip(item)
        (tagging,) = self.stream([pixels], **decoding)
        draw(pixels, tagging, self.vocabulary.names, path)

    # === Measuring ===

    def evaluate(
        self, corpus: TaggedLines, progress: bool = False, judged: dict | None = None
    ) -> dict[str, Any]:
        """What ``evaluate_tagger`` gives."""
        return evaluate_tagger(lambda images: self(images, details=True), self, corpus, progress, judged)

    def rows(self, report: dict) -> list[tuple[str, str]]:
        lines = ("lines", f"{report['lines']} ({report['columns']} columns)")
        classes = [
            (name, f"precision {one['precision']:.2%}, recall {one['recall']:.2%}, {one['columns']} columns")
            for name, one in report["classes"].items()
        ]
        return [lines, *super().rows(report), *classes]


def _reading(segments, readers, direction, space):
    """The text of a line; between segments further apart than ``space`` columns there is a blank."""
    spelled = [segment for segment in segments if segment.text is not None]
    pieces = [(one.text, readers[one.script].vocabulary.direction) for one in spelled]
    if direction is None:
        widths = [one.last + 1 - one.first for one in spelled]
        direction = line_direction([(way, w) for (_, way), w in zip(pieces, widths, strict=True)])
    spaced = [b.first - a.last - 1 > space for a, b in itertools.pairwise(spelled)]
    return reading_text(pieces, spaced, direction)


def cut_out(pixels: np.ndarray, segment: Segment, columns: np.ndarray) -> np.ndarray:
    """A segment of a line image, as a reader of lines likes it: its columns, and the rows that have ink.

    Args:
        pixels: uint8 ``[height, width, channels]``.
        segment: the ``Segment``.
        columns: uint8 ``[width]``, the classes of all columns: margins end where there is another.
    """
    height, width = pixels.shape[:2]
    margin = max(1, round(MARGIN * height))
    first, last = segment.first, segment.last + 1
    while first > max(0, segment.first - margin) and columns[first - 1] == Classes.BACKGROUND:
        first -= 1
    while last < min(width, segment.last + 1 + margin) and columns[last] == Classes.BACKGROUND:
        last += 1
    piece = pixels[:, first:last]
    grey = piece.mean(2)
    ground = pixels[:, columns == Classes.BACKGROUND]
    paper = np.median(ground if ground.size else pixels)
    inked = np.flatnonzero(
        (np.abs(grey - paper) > max(runtime.CONTRAST, 0.3 * np.abs(grey - paper).max())).any(1)
    )
    if not len(inked):
        return piece
    top, bottom = inked[0] - margin, inked[-1] + 1 + margin
    lacking = max(0, round(LEAST * height) - (bottom - top))
    top, bottom = top - lacking // 2, bottom + (lacking + 1) // 2
    return piece[max(0, top) : min(height, bottom)]


def evaluate_tagger(
    tag: Callable, reader: TagReader, corpus: TaggedLines, progress: bool = False, judged: dict | None = None
) -> dict[str, Any]:
    """How well a function that tags line images finds the classes of a corpus's columns.

    Args:
        tag: a list of uint8 images -> a list of ``Tagging``.
        reader: the ``TagReader`` whose classes these are.
        corpus: a ``zoo.families.script_tagger.corpus.TaggedLines``.
        progress: show a progress bar.

    Returns:
        A dict with ``lines``, ``columns``; ``accuracy``, the share of columns with the right class;
        ``segment_f1``, of segments: one is found where one of its class covers more than half of the columns
        that either has (intersection over union above 0.5); ``segments``, how many there are; ``classes``,
        for each of the model's ``{name: {"precision", "recall", "columns"}}``; ``confusion``, int
        ``[classes][classes]``, how many columns of each class (first index) were given each; ``seconds`` that
        tagging took and ``lines_per_second``; ``skipped`` (sentences on lines that could not be used);
        ``confidence``, see ``zoo.metrics.confidence.confidence_report``. ``judged``, a dict, gets "text":
        confidences, and the share of each line's columns that is right.

    Raises:
        UserError: the corpus has a class that the model has not.
    """
    for name in corpus.classes:
        reader.vocabulary.row(name)
    found, wanted, seconds = answers(tag, corpus, WINDOW, desc="tagging", unit=" lines", disable=not progress)
    names = reader.vocabulary.names
    confusion, hits, given, meant = np.zeros((len(names),) * 2, int), 0, 0, 0
    sure = [one.confidence for one in found], []
    for one, columns in zip(found, wanted, strict=True):
        right = reader.tagging_of(columns).columns
        np.add.at(confusion, (right, one.columns), 1)
        sure[1].append(float(np.mean(right == one.columns)))
        ours, theirs = segments_of(one.columns), segments_of(right)
        hits, given, meant = hits + _hits(ours, theirs), given + len(ours), meant + len(theirs)
    right, said, there = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    classes = {
        name: {
            "precision": float(right[i] / max(said[i], 1)),
            "recall": float(right[i] / max(there[i], 1)),
            "columns": int(there[i]),
        }
        for i, name in enumerate(names)
    }
    return {
        "lines": len(found),
        "columns": int(there.sum()),
        "accuracy": float(right.sum() / there.sum()),
        "segment_f1": 2 * hits / (given + meant) if given + meant else 1.0,
        "segments": meant,
        "classes": classes,
        "confusion": confusion.tolist(),
        "seconds": seconds,
        "lines_per_second": len(found) / seconds,
        "skipped": corpus.skipped,
        "confidence": judge(*sure, judged),
    }


def _hits(ours, theirs):
    """How many segments are in both lists of ``(row, first, last)``; at such overlaps none is twice."""
    found = 0
    for row, first, last in ours:
        for other, start, end in theirs:
            shared = min(last, end) - max(first, start) + 1
            if row == other and shared > 0 and 2 * shared > max(last, end) - min(first, start) + 1:
                found += 1
                break
    return found


READER = TagReader
