"""The families of the zoo: the one list of them. A family's code is imported when it is asked for.

A family is the folder ``zoo/families/NAME`` with ``network.py`` (its ``zoo.contract.task.Task``, named
``TASK``) and ``reader.py`` (its ``zoo.contract.reader.Reader``, named ``READER``; no Keras in it),
``corpus.py`` with a function ``load_corpus``, and the recipe ``recipes/NAME.py`` with a function ``main``.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.reader import Reader
    from zoo.contract.task import Task
    from zoo.data.given import Given
    from zoo.data.samples import Samples

FAMILIES = {  # name: what its models do
    "line_ocr": "reads images of single lines of text",
    "deep_speech": "transcribes speech",
    "translator": "translates sentences",
    "captioner": "describes images in a sentence",
    "video_captioner": "tells in a sentence what happens in videos",
    "char_lm": "writes text, and tells how likely a text is",
    "text_classifier": "labels texts",
    "sequence_classifier": "labels sequences of numbers, such as movements",
    "ink": "reads what a pen wrote, from its strokes",
    "script_tagger": "tells the script of every pixel column of a line",
    "question_answering": "answers questions on a story",
    "speech_synthesis": "reads texts aloud",
}


def task_class(name: str) -> type[Task]:
    """The ``zoo.contract.task.Task`` of a family; this loads Keras.

    Raises:
        UserError: there is no such family.
    """
    return _module(name, "network").TASK


def reader_class(name: str) -> type[Reader]:
    """The ``zoo.contract.reader.Reader`` of a family; this loads neither Keras nor TensorFlow.

    Raises:
        UserError: there is no such family.
    """
    return _module(name, "reader").READER


def load_corpus(
    name: str, corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Samples:  # fmt: skip
    """Corpora of a family, as ``zoo.data.samples.Samples``; where TensorFlow is installed, this loads it.

    Args:
        name: the family.
        corpora: a list of corpora, or one: paths, ``tfds:NAME``, or what ``zoo.data.given`` takes.
        config: dict, the configuration of the model that reads them.
        only: a regular expression; samples are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.
        columns: ``{what: column}`` of tables whose columns have other names than the family knows; or None.

    Raises:
        UserError: there is no such family, or a corpus cannot be read.
    """
    held = given(name)
    try:
        corpora = held.paths(corpora, config)
        found = _module(name, "corpus").load_corpus(corpora, config, only, progress, columns)
    except UserError as error:
        raise UserError(held.told(str(error))) from error
    found.skipped = list(map(held.told, found.skipped))
    return found


def import_model(name: str, path: str | os.PathLike, licence: str | None) -> tuple[Task, bool]:
    """Another tool's model as a task of a family, and whether its weights were in 8 bits; this loads Keras.

    Args:
        name: the family, which has a file ``importing.py``.
        path: the file.
        licence: what its card is to say.

    Raises:
        UserError: the file is of no kind that is read, or damaged.
    """
    return _module(name, "importing").import_model(path, licence)


def given(name: str) -> Given:
    """What makes paths of corpora of a family that a program holds, a ``zoo.data.given.Given``."""
    return _module(name, "corpus").GIVEN


def _module(name, file):
    if name not in FAMILIES:
        raise UserError(f"There is no task {name!r} in this version of seqzoo; update it.")
    return importlib.import_module(f"zoo.families.{name}.{file}")
