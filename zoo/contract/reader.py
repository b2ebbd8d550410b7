"""Readers: what a person has -> what a person reads. The same code whether Keras or onnxruntime computes.

A family's reader is the one way to use its models: ``Task.predict``, ``Task.evaluate``, the ``zoo`` command
and ``zoo.load("model.onnx")`` all go through it. It needs neither Keras nor TensorFlow.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.formats.streams import Csv, Json, Jsonl, Text, Tsv

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import onnxruntime

    from zoo.data.samples import Samples

_WRITTEN = {"labels", "tokens", "sampled_tokens"}  # outputs that are rows of a vocabulary
FIRST = 32  # inputs that are read first, of however many
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure by which models are compared.

    Attributes:
        name: its key in a report: ``cer``.
        title: its name: "character error rate".
        form: how it is written: ``"{:.2%}"``.
    """

    name: str
    title: str
    form: str


class Reader:
    """Reads with an engine that takes and gives dicts of arrays.

    A subclass has ``stream``, ``evaluate`` and what it says of itself. Each result has ``text``,
    ``confidence`` (0 to 1; 0 where nothing was read) and ``to_json()``; ``line``, where a line of ``zoo
    predict`` shows more than the text.

    Args:
        run: the engine, from the dict of arrays to the dict of arrays that the task serves.
        config: dict, the model's configuration.
        vocabulary: of the task's ``Vocabulary``.
        assets: ``{file name: text}``, what the model ships besides.
        metadata: dict of str, what else is known of the model.
        threads: concurrent engine calls; one a core is best where each call uses one core.

    Attributes:
        Vocabulary: the class of its vocabulary.
        reads: what it reads, in the plural: "images".
        unit: what its corpora consist of, in the plural, where that is called otherwise: "lines".
        one: one of these, for messages: "image".
        takes: "files", where each input is the path of one; "lines", where each line of a text is one;
            "prompts", where each is a whole text to continue: ``write(prompt, **decoding)`` gives that in
            pieces.
        suffixes: of the files that are read where a folder is given, in lower case, the usual one first.
        part_suffixes: of files of which a whole folder is one input, as of the frames of a video.
        columns: where lines are read, ``{what: names}``: the usual names of the column of a table that holds
            them; of several columns the last, and an input is a dict ``{what: str}`` with those of the others
            that are there. ``columns_help`` says that.
        interactive: where lines are read, whether they are asked for on standard input if none are given.
        single: the types of which a call takes one input without a list.
        axes: of one input that is an array, at most; one with more is several. None where no array is one.
        tables: whether a pandas DataFrame of numbers is one input.
        options: tuple of ``zoo.contract.options.Option``, the keyword arguments of ``stream``.
        greedy: dict, the keyword arguments of ``stream`` that make it fastest; validation while training uses
            them.
        formats: ``{name: class}``, what ``zoo predict --format`` may be.
        writes: suffixes of the files into which ``zoo predict --output`` writes what no format shows, such as
            sound, the usual one first; None where the formats show all.
        is_searching: whether it searches with a language model of its own unless it is told otherwise.
        judges: whether ``evaluate`` tells of each result whether it is right: it takes ``judged``, a dict,
            and gives it a pair of lists as "text", the confidences of the results and whether each is right.
        reads_pages: whether it reads lines that ``zoo.contract.pages.PageReader`` can find on whole pages.
        follows: what ``follow`` gives of one input that comes piece by piece (``zoo predict --follow``); None
            where there is no such method. It takes an iterable of lines, or a path, and gives results that
            have the times in ``line`` and in ``to_json``. Where ``follows_bytes``, it is an iterable of bytes
            instead of lines, and of the results those that are not ``final`` change as more comes.
        plots: what a plot is of: "one" input, or "all" of them together; None where there is none.
        plot_help: what a plot shows.
        metrics: tuple of ``Metric``, the first of which chooses among models.
    """

    Vocabulary = None
    reads = one = unit = None
    takes = "files"
    single = str | bytes | os.PathLike
    axes, tables = None, False
    options = ()
    greedy = {}
    suffixes, part_suffixes = (), ()
    columns, columns_help = {}, None
    interactive = reads_pages = is_searching = judges = follows_bytes = False
    formats = {"text": Text, "tsv": Tsv, "csv": Csv, "json": Json, "jsonl": Jsonl}
    writes = follows = None
    plots = plot_help = None
    metrics = ()

    def __init__(
        self, run: Callable[[dict], dict] | None, config: dict[str, Any], vocabulary: Any,
        assets: dict[str, str] | None = None, metadata: dict[str, str] | None = None, threads: int = 1,
    ) -> None:  # fmt: skip
        self.run, self.config, self.vocabulary = run, config, vocabulary
        self.assets, self.metadata, self.threads = assets or {}, metadata or {}, threads

    @functools.cached_property
    def maps(self) -> dict[str, list[float]]:
        """What makes confidences true, from the model's asset; see ``export.runtime.calibrated``."""
        from export import runtime  # whose NumPy what lists models has no need of

        return json.loads(self.assets.get(runtime.CONFIDENCE, "{}"))

    def sure(self, raw: float, what: str = "text", searched: bool = False) -> float:
        """A raw confidence as the probability that a "text", or a "word", is right."""
        from export import runtime

        return runtime.calibrated(raw, runtime.map_of(self.maps, what, searched))

    @classmethod
    def of_session(
        cls, session: onnxruntime.InferenceSession, metadata: dict[str, str], threads: int
    ) -> Reader:
        """The reader of an ONNX file: its onnxruntime session and metadata, keys without ``seqzoo.``.

        Raises:
            KeyError, TypeError, ValueError: the metadata is damaged.
        """
        from export import runtime

        names = [output.name for output in session.get_outputs()]
        config, vocabulary = json.loads(metadata["config"]), cls.read_vocabulary(metadata)
        labels = getattr(vocabulary, "labels", ())

        def run(inputs):
            found = dict(zip(names, session.run(names, inputs), strict=True))
            pairs = [(found[name].max(initial=0) + 1, len(vocabulary)) for name in _WRITTEN & found.keys()]
            if labels and "probabilities" in found and found["probabilities"].ndim == 2:
                pairs.append((found["probabilities"].shape[1], len(labels)))
            for rows, known in pairs:
                if rows > known:
                    raise UserError(runtime.beyond_vocabulary(rows - 1, known))
            return found

        assets = {key[6:]: text for key, text in metadata.items() if key.startswith("asset.")}
        return cls(run, config, vocabulary, assets, metadata, threads)

    @classmethod
    def read_vocabulary(cls, metadata: dict[str, str]) -> Any:
        """The vocabulary of a file's metadata. Raises ValueError or KeyError where it is damaged."""
        return cls.Vocabulary.from_json(json.loads(metadata["vocabulary"]))

    def __call__(
        self, inputs: Any, details: bool = False, errors: str = "raise", progress: bool = False,
        **decoding: Any,
    ) -> list:  # fmt: skip
        """Reads inputs.

        Args:
            inputs: one, or several: a list, a generator, a pandas Series or table, a NumPy array.
            details: give a result with all that is known for each instead of its text.
            errors: "raise", or "return" to get the UserError of a bad input in its place.
            progress: show a bar.
            decoding: what is not to be as the model's configuration says, see ``stream``.

        Returns:
            A list of str or results, one for each input and in their order. Each is what the input alone
            would get.

        Raises:
            UserError: an input cannot be read, or the options contradict each other.
        """
        from zoo.contract.inputs import wrong

        waiting, found = collections.deque(), []  # what is read, or is wrong, and has no result yet

        def usable():
            for number, item in enumerate(self.several(inputs), 1):
                waiting.append(wrong(item, number, self))
                if waiting[-1] is None:
                    yield item
                elif errors == "raise":
                    raise waiting[-1]

        for item in self.stream(usable(), errors, progress, **decoding):
            while (error := waiting.popleft()) is not None:
                found.append(error)
            found.append(item)
        found += waiting
        return [item if details or isinstance(item, UserError) else item.text for item in found]

    def several(self, inputs: Any) -> Iterable:
        """Inputs as an iterable, where there may be one alone; see ``zoo.contract.inputs``."""
        from zoo.contract.inputs import inputs_of  # which loads NumPy

        return inputs_of(inputs, self)

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, **decoding: Any
    ) -> Iterator[Any]:
        """Iterate over the results, in the order of the inputs. Arguments as in a call."""
        raise NotImplementedError

    def writer(self, path: str | os.PathLike) -> AbstractContextManager:
        """What writes results into a file; see ``writes``.

        A context manager with ``add(result)``; the file is there when it ends, if there was a result.

        Raises:
            UserError: its suffix is none of ``writes``, or it cannot be written.
        """
        raise NotImplementedError

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draw how an input was read, as a PNG file.

        Where ``plots`` is "all", ``item`` is a list of inputs, and ``found``, which is not among
        ``decoding``, a list of their results.
        """
        raise NotImplementedError

    def evaluate(self, corpus: Samples, progress: bool = False, **decoding: Any) -> dict[str, Any]:
        """The report on a loaded corpus of the family: a dict with the ``metrics`` and ``skipped``."""
        raise NotImplementedError

    def rows(self, report: dict) -> list[tuple[str, str]]:
        """A report as a person reads it: list of ``(name, text)``."""
        figures = [(metric.name, metric.form.format(report[metric.name])) for metric in self.metrics]
        from zoo.metrics.confidence import confidence_rows

        unit = self.unit or self.reads
        sure = confidence_rows(report["confidence"], unit) if "confidence" in report else []
        return [*figures, *sure, ("skipped", str(len(report["skipped"])))]

    def in_windows(
        self, inputs: Iterable, prepare: Callable, answer: Callable, size: int, errors: str, first: int = 0,
        **bar: Any,
    ) -> Iterator[Any]:  # fmt: skip
        """Iterate over the results of inputs, of which up to ``size`` at a time are in memory.

        Args:
            inputs: an iterable.
            prepare: ``(number, input)`` -> what is read of it. Raises UserError for a bad one.
            answer: ``({number: prepared}, pool, bar)`` -> ``{number: result}``, with the threads of a pool;
                it updates the bar by each input.
            size: inputs of a window, at most; see ``windows``.
            errors: "raise", or "return" to get the UserError of a bad input in its place.
            first: number of the first input.
            bar: ``desc``, ``unit`` and ``disable``, as tqdm has them.
        """
        from tqdm import tqdm

        numbers = itertools.count(first)

        def prepared(pair):
            try:
                return prepare(*pair)
            except UserError as error:
                return error

        with (
            concurrent.futures.ThreadPoolExecutor(self.threads) as pool,
            tqdm(total=0, delay=1, leave=False, **bar) as bar,
        ):
            for items in windows(inputs, size):
                window = [(next(numbers), item) for item in items]
                bar.total += len(window)
                found, ready = {}, {}
                for (number, _), item in zip(window, pool.map(prepared, window), strict=True):
                    if isinstance(item, UserError) and errors == "raise":
                        raise item
                    (found if isinstance(item, UserError) else ready)[number] = item
                bar.update(len(found))
                found |= answer(ready, pool, bar)
                bar.clear()
                yield from (found[number] for number, _ in window)
                bar.refresh()


class SpellingReader(Reader):
    """What readers that spell have in common: error rates are what they are measured by."""

    metrics = (Metric("cer", "character error rate", "{:.2%}"), Metric("wer", "word error rate", "{:.2%}"))
    judges = True

    def search(self, **decoding: Any) -> Any:
        """What searches, by the decoding arguments of ``stream``; None where nothing does."""
        return None

    def words(self, characters: Iterable[tuple], searched: bool) -> Iterator[tuple]:
        """Iterate over the words of what was read, which blanks divide.

        Args:
            characters: tuples, a character first and its confidence last in each.
            searched: whether a search found them.

        Yields:
            ``(characters, confidence)``: a list of these tuples, and the probability that the word is right.
        """
        for blank, letters in itertools.groupby(characters, lambda one: one[0].isspace()):
            if not blank:
                letters = list(letters)
                yield letters, self.sure(math.prod(one[-1] for one in letters), "word", searched)

    @classmethod
    def read_vocabulary(cls, metadata: dict[str, str]) -> Any:
        return cls.Vocabulary.from_metadata(metadata)

    def rows(self, report: dict) -> list[tuple[str, str]]:
        rows = [(self.unit, f"{report['lines']} ({report['characters']} characters)"), *super().rows(report)]
        if "word_confidence" in report:
            from zoo.metrics.confidence import confidence_rows

            own = confidence_rows(report["word_confidence"], "words")
            rows += [(f"of words, {name}", text) for name, text in own]
        if report["unknown_characters"]:
            listed = " ".join(f"{c}×{count}" for c, count in report["unknown_characters"].items())
            rows.append(("unknown", f"{listed} (not in the vocabulary, counted as errors)"))
        return rows


def windows(inputs: Iterable, size: int) -> Iterator[list]:
    """Iterate over lists of the next inputs, up to ``size`` of them.

    Of inputs that arrive over time, which have a method ``waiting`` such as ``zoo.formats.streams.Feed``, the
    lists have those that are there, and the first ones few, so that there soon is something to see.
    """
    inputs = iter(inputs)
    most = min(FIRST, size) if hasattr(inputs, "waiting") else size
    while True:
        found = []
        for item in itertools.islice(inputs, most):
            found.append(item)
            if not is_waiting(inputs):
                break
        if not found:
            return
        yield found
        most = min(2 * most, size)


def is_waiting(inputs: Iterator) -> bool:
    """Whether the next input of an iterator, or its end, is there to be had at once; see ``windows``."""
    return getattr(inputs, "waiting", lambda: True)()


def check_utf8(text: str, number: int) -> None:
    """UserError where line ``number`` was not UTF-8, and so came with surrogates."""
    bad = _SURROGATE.search(text)
    if bad:
        position = len(text[: bad.start()].encode()) + 1
        raise UserError(f"line {number}, byte {position}: this is not UTF-8; convert the text to UTF-8")
