"""Labels sequences with an exported model or a Keras task: of any length, whole or as their rows come.

    import zoo

    model = zoo.load("activity.onnx")                          # or a preset, or a folder
    model.predict(["walk.csv", "stairs.npy"])                  # ["walk", "climb_stairs"]
    found, = model.predict(array, details=True)                # float [steps, channels]: label, probabilities
    for moment in model.reader.follow(lines):                  # an iterator of rows: labels over time
        print(moment.end, moment.label)

A model that looks back alone (``directions="forward"``) carries a state from row to row: what it says of a
row is what it says of the sequence up to it. Others read windows, which overlap by half, and what they say
of a longer sequence is the mean of its windows.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.labels import Classification, LabellingReader, label_report
from zoo.contract.options import Option, positive
from zoo.errors import UserError
from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary, unusable
from zoo.formats.numbers import SUFFIXES, Rows, as_numbers, read_numbers
from zoo.metrics.text import answers
from zoo.plots.drawing import save

if TYPE_CHECKING:
    from zoo.families.sequence_classifier.corpus import LabelledSequences

WINDOW = 256  # sequences held in memory and sorted by length at a time
BATCH = 64  # of these, read at a time by each thread, those of similar length together
STEPS = 1 << 14  # of these together
PIECE = 4096  # steps that a model with a state reads at a time
MOMENTS = 200  # labels over time in a picture, at most


@dataclasses.dataclass(frozen=True)
class SequenceLabel(Classification):
    """What was found for one sequence.

    Attributes:
        steps: its length.
    """

    steps: int

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"steps": self.steps}


@dataclasses.dataclass(frozen=True)
class Moment(Classification):
    """What was found at one time of a recording.

    Attributes:
        start, end: the rows that were looked at, counted from 1, both inclusive; ``start`` is 1 for a model
            that carries a state.
    """

    start: int
    end: int

    @property
    def line(self) -> str:
        """The last row, label and confidence, divided by tabs."""
        return f"{self.end}\t{super().line}"

    def to_json(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, **super().to_json()}


class SequenceReader(LabellingReader):
    """Labels sequences; each result is a ``SequenceLabel``. The arguments are those of ``Reader``."""

    Vocabulary = SequenceVocabulary
    reads, one, suffixes = "sequences", "sequence", SUFFIXES
    single, axes, tables = LabellingReader.single | np.ndarray, 2, True
    options = (
        Option("every", "with --follow, a label each so many rows", positive, "ROWS", evaluates=False),
    )
    follows = "labels over time of one recording, as its rows come"
    plots, plot_help = "one", "channels over time, and the labels above"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stride = int(np.prod(self.config["strides"], dtype=int))
        self._carries, self._window = self.config["directions"] == "forward", self.config["window"]

    def several(self, inputs: Any) -> Iterable:
        return [inputs] if _is_table(inputs) else super().several(inputs)

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, every: int | None = None
    ) -> Iterator[SequenceLabel | UserError]:
        """Iterate over the ``SequenceLabel`` of each sequence; they come ``WINDOW`` by ``WINDOW``.

        Args:
            inputs: an iterable of sequences: each the path of a CSV or ``.npy`` file or its bytes, an array
                ``[steps, channels]`` (or ``[steps]`` of a single one) with NaN for what is missing, or a pair
                of the channels' names and such an array.
            errors, progress: as in a call.
            every: is for ``follow``.

        Raises:
            UserError: a sequence cannot be read, or has no row or other channels.
        """
        if every is not None:
            raise UserError("--every is for --follow; give that, too, or leave it out")
        return self.in_windows(
            inputs, self._values, self._classify, WINDOW, errors, first=1, desc="reading",
            unit=" sequences", disable=not progress,
        )  # fmt: skip

    def _values(self, number, item):
        """float32 ``[steps, channels]`` of an input; ``number`` is for messages."""
        name = os.fspath(item) if isinstance(item, str | os.PathLike) else f"input {number}"
        if _is_table(item):
            columns, values = item[0], as_numbers(item[1], name)
        else:
            columns, values = read_numbers(item, name)
        values = self.vocabulary.pick(columns, values, name)
        if complaint := unusable(values):
            raise UserError(f"{name}: it {complaint}")
        return values

    def _classify(self, sequences, pool, bar):
        """``{number: values}`` -> ``{number: SequenceLabel}``, on all threads."""
        if self._carries:
            batches = _batches({key: len(values) for key, values in sequences.items()}, self.threads)
            parts = pool.map(lambda keys: self._carry([sequences[key] for key in keys]), batches)
        else:
            spans = {
                (key, start): (values, start, end)
                for key, values in sequences.items()
                for start, end in self._windows(len(values))
            }
            lengths = {key: end - start for key, (_, start, end) in spans.items()}
            batches = _batches(lengths, self.threads)
            parts = pool.map(lambda keys: self._run([_cut(*spans[key]) for key in keys])[0], batches)
        found = collections.defaultdict(list)
        for keys, probabilities in zip(batches, parts, strict=True):
            for key, one in zip(keys, probabilities, strict=True):
                found[key if self._carries else key[0]].append(one)
        bar.update(len(sequences))
        return {key: self._label(np.mean(found[key], 0), values) for key, values in sequences.items()}

    def _label(self, probabilities, values):
        found = SequenceLabel.of(self.vocabulary.labels, self.calibrated(probabilities), len(values))
        return dataclasses.replace(found, confidence=0.0) if _is_still(values) else found

    def _run(self, parts, states=None):
        """List of float32 ``[steps, channels]`` -> probabilities ``[parts, labels]``, and the new states."""
        lengths = np.array([len(part) for part in parts], np.int32)
        values = np.zeros((len(parts), lengths.max(), len(self.vocabulary)), np.float32)
        for one, part in zip(values, parts, strict=True):
            one[: len(part)] = part
        inputs = {"values": values, "lengths": lengths}
        found = self.run(inputs if states is None else inputs | {"state": states})
        return found["probabilities"], found.get("new_state")

    # === In windows, or with a state ===

    def _windows(self, steps):
        """``[(start, end)]``: where windows are, each half a window after the one before; the last ends with
        the sequence."""
        size, hop = self._window, self._window // 2
        if steps <= size:
            return [(0, steps)]
        starts = list(range(0, steps - size + 1, hop))
        if starts[-1] + size < steps:
            starts.append(steps - size)
        return [(start, start + size) for start in starts]

    def _carry(self, sequences):
        """Whole sequences, piece by piece: probabilities ``[sequences, labels]``."""
        size = PIECE - PIECE % self._stride
        states, found = self._fresh(len(sequences)), [None] * len(sequences)
        left = list(range(len(sequences)))
        for start in itertools.count(0, size):
            left = [i for i in left if start < len(sequences[i])]
            if not left:
                return found
            parts = [sequences[i][start : start + size] for i in left]
            probabilities, new = self._run(parts, states[left])
            states[left] = new
            for i, one in zip(left, probabilities, strict=True):
                found[i] = one
        return found

    def _fresh(self, count):
        return np.zeros((count, state_size(self.config, len(self.vocabulary))), np.float32)

    # === As it comes ===

    def follow(self, rows: Any, every: int | None = None) -> Iterator[Moment]:
        """Iterate over the ``Moment`` of a recording, each as soon as its rows are there.

        Args:
            rows: an iterable of lines of CSV, str, the first of which may name the columns; or of arrays
                ``[channels]`` or ``[rows, channels]``; or a path, bytes or a whole array.
            every: rows from one label to the next, by default 1 for a model that carries a state, rounded up
                to its stride; others have half a window from one to the next, which cannot be chosen.

        The last ``Moment`` of a model that carries a state has the label of the whole; the mean of all
        probabilities of other models is that of the whole.

        Raises:
            UserError: a row cannot be read.
        """
        if isinstance(rows, str | os.PathLike | bytes | np.ndarray):
            rows = [read_numbers(rows)]
        elif _is_table(rows):
            rows = [rows]
        if self._carries:
            return self._follow_state(self._parsed(rows), every or 1)
        if every is not None:
            raise UserError(
                f"this model reads windows, one each {self._window // 2} rows; leave --every out, or take a "
                "model that looks back alone"
            )
        return self._follow_windows(self._parsed(rows))

    def _parsed(self, rows):
        """Iterate over float32 ``[rows, channels]``, of lines one for all that have come."""
        parser, name, count = Rows("the recording"), "the recording", 0
        waiting, rows = [], iter(rows)
        for row in rows:
            if isinstance(row, str):
                waiting.append(row)
                if hasattr(rows, "waiting") and rows.waiting() and len(waiting) < PIECE:
                    continue
                found, waiting = parser.block(waiting), []
                columns = parser.columns
            else:
                columns, found = row if _is_table(row) else (None, row)
                found = np.asarray(found)
                if not found.size:
                    continue
                one = found.ndim == 1 and len(self.vocabulary) > 1  # a row; of one channel it is several
                found = as_numbers(found[None] if one else found, name)
            if len(found):
                count += len(found)
                yield self.vocabulary.pick(columns, found, name)
        if waiting and len(found := parser.block(waiting)):
            count += len(found)
            yield self.vocabulary.pick(parser.columns, found, name)
        if not count:
            raise UserError(f"{name}: there is no row of numbers in it; give at least one")

    def _follow_state(self, parts, every):
        every = -(-every // self._stride) * self._stride
        state, read, kept = self._fresh(1), 0, np.zeros((0, len(self.vocabulary)), np.float32)

        def moment(rows):
            nonlocal state, read
            probabilities, state = self._run([rows], state)
            read += len(rows)
            return Moment.of(self.vocabulary.labels, self.calibrated(probabilities[0]), 1, read)

        for part in parts:
            kept = np.concatenate([kept, part])
            while len(kept) >= every:
                rows, kept = kept[:every], kept[every:]
                yield moment(rows)
        if len(kept):
            yield moment(kept)

    def _follow_windows(self, parts):
        size, hop = self._window, self._window // 2
        first, kept, told = 0, np.zeros((0, len(self.vocabulary)), np.float32), 0

        def moment(rows, start):
            ((probabilities,), _) = self._run([rows])
            found = self.calibrated(probabilities)
            return Moment.of(self.vocabulary.labels, found, start + 1, start + len(rows))

        for part in parts:
            kept = np.concatenate([kept, part])
            while first + len(kept) >= told + size:
                rows = kept[told - first : told - first + size]
                yield moment(rows, told)
                told += hop
            # The last window may begin before the one that was to come.
            gone = max(0, min(told, first + len(kept) - size) - first)
            first, kept = first + gone, kept[gone:]
        end = first + len(kept)
        if end < size or told + size - hop < end:
            rows = kept[-size:]
            yield moment(rows, end - len(rows))

    # === Picture ===

    def picture(self, item: Any, path: str | os.PathLike) -> None:
        """Draws the channels of a sequence over time, and its labels above.

        Args:
            item: the sequence, as in ``stream``.
            path: the PNG file to write.

        Raises:
            UserError: the sequence cannot be read, or the file cannot be written.
        """
        from zoo.families.sequence_classifier.plot import draw

        values = self._values(1, item)
        ((found),) = self.stream([(self.vocabulary.channels, values)])
        if self._carries:
            moments = list(self._follow_state(iter([values]), -(-len(values) // MOMENTS)))
        else:
            moments = list(self._follow_windows(iter([values])))
        title = os.path.basename(item) if isinstance(item, str | os.PathLike) else "sequence"
        title = f"{title}: {found.label}, {found.confidence:.1%}"
        save(draw(title, values, self.vocabulary.channels, self.config["axes"], moments, self._carries), path)

    # === Figures ===

    def evaluate(
        self, corpus: LabelledSequences, progress: bool = False, every: int | None = None,
        judged: dict | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What ``zoo.contract.labels.label_report`` gives, and ``skipped``: sequences that cannot be used.

        Raises:
            UserError: the corpus has a label that the model has not, or no sequence with its channels.
        """
        corpus, skipped = corpus.of_channels(self.vocabulary)
        if not len(corpus):
            raise UserError(skipped[0].rstrip("."))
        rows = {label: self.vocabulary.row(label) for label in sorted(set(corpus.labels))}
        bar = {"desc": "reading", "unit": " sequences", "disable": not progress}
        found, labels, seconds = answers(lambda some: self(some, details=True), corpus, WINDOW, **bar)
        expected = [rows[label] for label in labels]
        report = label_report(self.vocabulary.labels, expected, found, seconds, self.reads, judged)
        return report | {"skipped": corpus.skipped + skipped}


def state_size(config: dict[str, Any], channels: int) -> int:
    """Numbers of the state of a model that looks back alone.

    These are how many steps were read, the last of them, of each recurrent layer what it carries, and the
    sums and maxima that are pooled.

    Args:
        config: dict, a ``zoo.families.sequence_classifier.network.SequenceClassifierConfig``.
        channels: int.
    """
    states = config["layers"] * (2 if config["cell"] == "lstm" else 1)
    pooled = config["pooling"].startswith("mean") + config["pooling"].endswith("max")
    return 1 + context(config) * channels + config["units"] * (states + pooled)


def context(config: dict[str, Any]) -> int:
    """Steps before a piece, a multiple of the stride, that its frames look back upon.

    Argument as of ``state_size``.
    """
    velocity = config["velocity"] + config["acceleration"] if config["velocity"] else 0
    steps, stride = max(velocity, config["gravity"] - 1, 0), 1
    for each in config["strides"]:
        steps += (config["kernel"] - 1) * stride
        stride *= each
    return -(-steps // stride) * stride


def _is_table(item):
    """Whether an input is a pair of names and an array."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], np.ndarray)


def _cut(values, start, end):
    return values[start:end]


def _is_still(values):
    """Whether no channel of a sequence ever changes: its label is made up, as of a sensor that is off."""
    return len(values) > 1 and not (np.fmax.reduce(values) > np.fmin.reduce(values)).any()


def _batches(lengths, threads):
    """The keys of ``{key: length}`` by length, in lists of up to ``BATCH`` with up to ``STEPS`` together."""
    most = max(1, min(BATCH, -(-len(lengths) // threads)))  # few are spread over all threads
    batches = []
    for key in sorted(lengths, key=lengths.get, reverse=True):
        if not batches or len(batches[-1]) == min(most, max(1, STEPS // min(lengths[batches[-1][0]], PIECE))):
            batches.append([])
        batches[-1].append(key)
    return batches


READER = SequenceReader
