"""A zoo of recurrent sequence models whose exported file is the whole product.

    import zoo
    model = zoo.load("line_ocr_en")
    model.predict(["scan.png"])

Importing ``zoo`` loads neither TensorFlow nor Keras; ``zoo.load`` does, but for an exported file.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Iterable
from typing import Any

if typing.TYPE_CHECKING:
    from zoo.contract.model import Model
    from zoo.contract.task import Task

from zoo.version import __version__ as __version__

# Found by onnxruntime when it is imported, this stops its reports to its maker; see export/runtime.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def train(
    family: str, corpus: Any, output: str | os.PathLike | None = None, validation: Any = None,
    callbacks: Iterable[Any] = (), columns: dict[str, str] | None = None, **options: Any,
) -> tuple[Task, list[dict]]:  # fmt: skip
    """Train a model of a family from nothing, as ``zoo train FAMILY`` does.

    Args:
        family: its name, such as ``text_classifier``; the others as of ``zoo.contract.task.Task.finetune``.

    Returns:
        The task, with its best weights, and the history.

    Raises:
        zoo.errors.UserError: the corpus or an option is not as it should be.
    """
    import importlib

    from zoo.errors import train_extra

    with train_extra():
        course = importlib.import_module("recipes.training.in_python")
        about = {"validation": validation, "callbacks": callbacks, "columns": columns}
        return course.train(family, corpus, output, **about, **options)


def load(name: str | os.PathLike, threads: int | None = None, provider: str | None = None) -> Model:
    """Load a model.

    Args:
        name: a preset's name (``zoo list``), a task or run folder, an ``.onnx`` file that ``zoo export``
            wrote, or an address ``https://…/x.tar.gz#sha256=HEX`` or
            ``hf://owner/repo/path/x.tar.gz[@revision]#sha256=HEX``.
        threads: processor cores to use; by default all.
        provider: what runs a file, by default ``cpu``; see ``export.runtime.open_file``.

    Returns:
        A ``zoo.contract.task.Task``, or for a file a ``zoo.contract.model.ExportedModel``: both have
        ``predict`` and ``evaluate``.

    Raises:
        zoo.errors.UserError: there is no such model, a file of it has another sha256 than its
            preset.json says, TensorFlow is not installed, or threads or provider cannot be chosen.
    """
    from zoo.contract import model
    from zoo.errors import UserError, train_extra

    if model.is_file(name):
        return model.ExportedModel(name, threads, provider)
    if provider is not None:
        raise UserError(
            f"{name}: a provider is for .onnx files, Keras takes the GPU that it finds; leave it out, or "
            "`zoo export` the model"
        )
    with train_extra():
        from zoo import backend
        from zoo.contract import task

        if threads:
            backend.use_threads(threads)
        return task.load(name)
