"""What reads for the ``zoo`` command: the readers of tasks and of exported files, lines of print included."""

import dataclasses
import itertools

from export import runtime
from zoo.errors import UserError
from zoo.reader import SpellingReader

CHUNK = 128  # images read together: enough to sort into batches, few enough that results come at once


def reader_class(task):
    """The ``zoo.reader.BaseReader`` of a task, found by its name without loading it.

    Raises:
        UserError: there is no such task.
    """
    if task not in runtime.READERS:
        raise UserError(f"There is no task {task!r} in this version of seqzoo; update it.")
    found = runtime.reader_class(task)
    return LineReader if found is runtime.Reader else found


def load(path):
    """The ``zoo.reader.BaseReader`` of an exported file.

    Raises:
        UserError: see ``export.runtime.load``.
    """
    try:
        reader = runtime.load(path)
    except runtime.ReaderError as error:
        raise UserError(error) from error
    return LineReader.of_file(reader) if isinstance(reader, runtime.Reader) else reader


class LineReader(SpellingReader):
    """Reads images of single lines. Get one from ``load`` or ``LineReader.of_task``.

    Args:
        read: list of images -> list of ``runtime.Line``; takes ``errors`` and the decoding options, too.
        config: dict, the model's configuration.
        vocabulary: the ``Vocabulary`` of what it reads.
        metadata: dict of str, what else is known of the model.
    """

    reads, one, unit = "images", "image", "lines"
    options = exported_only = frozenset({"beam_width"})

    def __init__(self, read, config, vocabulary, metadata):
        self._read, self.config, self.vocabulary, self.metadata = read, config, vocabulary, metadata

    @classmethod
    def of_file(cls, reader):
        """As a ``runtime.Reader`` reads, which knows nothing of ``zoo``."""
        from zoo.vocabulary import Vocabulary

        def read(images, errors, **decoding):
            try:
                return reader(images, details=True, errors=errors, **decoding)
            except runtime.ReaderError as error:
                raise UserError(error) from error

        return cls(read, reader.config, Vocabulary(reader.vocabulary, reader.direction), reader.metadata)

    @classmethod
    def of_task(cls, task):
        """As a loaded ``line_ocr`` task reads."""

        def read(images, errors):
            try:
                return [_line(reading) for reading in task.predict(images, details=True)]
            except UserError as error:
                if errors == "raise":
                    raise
                if len(images) == 1:
                    return [error]
                return [line for image in images for line in read([image], errors)]  # which one is bad?

        return cls(read, dataclasses.asdict(task.config), task.vocabulary, {"task": task.name})

    def stream(self, inputs, errors="raise", progress=False, **decoding):
        """Reads images, see ``runtime.read_image``; no bar, as results come ``CHUNK`` by ``CHUNK``."""
        inputs = iter(inputs)
        while chunk := list(itertools.islice(inputs, CHUNK)):
            yield from self._read(chunk, errors, **decoding)

    def evaluate(self, corpus, progress=False, **decoding):
        """What ``zoo.metrics.evaluate_reader`` gives."""
        from zoo import metrics

        def read(images):
            return [line.text for line in self._read(images, "raise", **decoding)]

        return metrics.evaluate_reader(read, self.vocabulary, corpus, progress)


def _line(reading):
    """A ``zoo.recognition.Reading`` as a ``runtime.Line``."""
    characters = [runtime.Character(*dataclasses.astuple(character)) for character in reading.characters]
    return runtime.Line(reading.text, reading.confidence, characters)
