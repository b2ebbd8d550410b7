"""Models as their user has them: a ``Task`` on Keras, or a file exported from one. Both read alike."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from zoo import registry
from zoo.errors import UserError

if TYPE_CHECKING:
    import onnxruntime

    from zoo.contract.pages import PageReader


class Model:
    """What a task and an exported file have in common.

    Attributes:
        name: the family, of ``zoo.registry.FAMILIES``.
        reader: the family's ``zoo.contract.reader.Reader``.
    """

    name = None
    reader = None

    def predict(
        self, inputs: Any, details: bool = False, errors: str = "raise", progress: bool = False,
        **decoding: Any,
    ) -> list:  # fmt: skip
        """What a person has -> what a person reads, as ``zoo predict`` does it.

        Args:
            inputs: an iterable of inputs, or one: what the family's reader takes.
            details, errors, progress: see ``zoo.contract.reader.Reader``.
            decoding: the keyword arguments of the family's ``Reader.stream``.

        Returns:
            A list of str, or with ``details`` of the family's results.

        Raises:
            UserError: an input cannot be read, or the options contradict each other.
        """
        return self.reader(inputs, details, errors, progress, **decoding)

    def evaluate(
        self, corpora: Any, only: str | None = None, progress: bool = False,
        columns: dict[str, str] | None = None, **decoding: Any,
    ) -> dict:  # fmt: skip
        """What ``zoo evaluate`` prints, as a dict: the field's metrics on corpora.

        Args:
            corpora: a list of corpora, or one: a path, ``tfds:NAME``, a DataFrame, a data set of Hugging Face
                (of several splits ``test``), or a list of pairs ``(input, target)``.
            only: a regular expression; samples are kept whose ``CORPUS/NAME`` it matches somewhere.
            progress: show progress bars.
            columns: ``{what: column}`` of tables, where the family knows no such names.
            decoding: as in ``predict``.

        Raises:
            UserError: a corpus cannot be read or has no sample that can be used.
        """
        corpus = registry.load_corpus(self.name, corpora, self.reader.config, only, progress, columns)
        return self.reader.evaluate(corpus, progress, **decoding)

    @property
    def pages(self) -> PageReader:
        """What reads whole pages with a model of lines: a ``zoo.contract.pages.PageReader``.

        ``model.pages(["scan.jpg", "book.pdf"], details=True)`` gives their text, lines, words and places.

        Raises:
            UserError: the model reads no lines.
        """
        from zoo.contract.pages import PageReader

        if not self.reader.reads_pages:
            raise UserError(f"a {self.name} model reads {self.reader.reads}; pages are for line_ocr")
        return PageReader(self.reader)


class ExportedModel(Model):
    """An ONNX file that ``zoo export`` wrote, run by onnxruntime.

    ``evaluate`` needs the extra `evaluate`, and TensorFlow for public sets and images of captions alone.

    Args:
        path: the file.
        threads: processor cores to use; by default all that this process may run on.
        provider, profile: what runs it, and where the time of each operation is written, see
            ``export.runtime.open_file``.

    Attributes:
        session: onnxruntime's.
        metadata: dict of str, what the file says of itself, keys without ``seqzoo.``.

    Raises:
        UserError: see ``export.runtime.open_file``.
    """

    def __init__(
        self, path: str | os.PathLike, threads: int | None = None, provider: str | None = None,
        profile: str | None = None,
    ) -> None:  # fmt: skip
        from export import runtime

        self.session, self.metadata = open_file(path, provider, profile)
        self.name = self.metadata.get("task")
        if self.name not in registry.FAMILIES:
            raise UserError(runtime.unknown_model(path, self.metadata))
        kind = registry.reader_class(self.name)
        try:
            self.reader = kind.of_session(self.session, self.metadata, threads or runtime.cores())
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: its metadata is damaged ({error}); export it again") from error

    def features(self, inputs: Any) -> NoReturn:
        """See ``zoo.contract.task.Task.features``; an exported file has none."""
        raise UserError("an exported file gives no features; the task does: zoo.load(NAME).features")

    def finetune(self, corpus: Any, **options: Any) -> NoReturn:
        """See ``zoo.contract.task.Task.finetune``; an exported file cannot learn."""
        raise UserError("an exported file cannot learn; finetune the task: zoo.load(NAME).finetune")


def open_file(
    path: str | os.PathLike, provider: str | None = None, profile: str | None = None
) -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """``export.runtime.open_file`` with a UserError where that raises ReaderError."""
    from export import runtime

    try:
        return runtime.open_file(path, provider, profile)
    except runtime.ReaderError as error:
        raise UserError(error) from error


def is_file(name: str | os.PathLike) -> bool:
    """Whether this is the name of an exported file."""
    return str(name).lower().endswith(".onnx")
