"""Training from Python: ``task.finetune(corpus, ...)`` and ``zoo.train(family, corpus, ...)``.

There is one course, the recipe's. What Python gives is turned into the recipe's command line: corpora into
paths (``zoo.data.given``), keywords into options, which are thereby checked and explained once. What no
command line can hold, callbacks and a task in memory, waits in ``_current`` for the two places that need it,
``setup.load_preset`` and ``loop.train``.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import importlib
import io
import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from recipes.training.command_line import shown
from recipes.training.schedule import Schedule
from zoo import registry
from zoo.contract.card import LOADED
from zoo.data.given import CHECKED, LEARNED, split_of
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.task import Task

_SCHEDULE = tuple(field.name for field in dataclasses.fields(Schedule))
_current = contextvars.ContextVar("what is trained in Python", default=None)


@dataclasses.dataclass
class _Training:
    task: object = None
    callbacks: tuple = ()
    history: tuple = ()
    forgotten: bool = False  # the run folder is removed at the end
    told: dict = dataclasses.field(default_factory=dict)  # what the card tells: see ``told``


def callbacks() -> list:
    """Those of the training in Python that is going on; none where a command trains."""
    training = _current.get()
    return list(training.callbacks) if training else []


def task() -> Task | None:
    """The task that is to be trained further, if it is in memory; or None."""
    training = _current.get()
    return training and training.task


def is_forgotten() -> bool:
    """Whether the run folder is removed at the end, as Python asked for none."""
    training = _current.get()
    return bool(training and training.forgotten)


def told() -> dict[str, str]:
    """What a card tells of the training in Python that is going on: the call, and what it trains further."""
    training = _current.get()
    return training.told if training else {}


def done(history: list[dict]) -> None:
    """Keep the history of the run for who called."""
    if training := _current.get():
        training.history = history


def finetune(task: Task, corpus: Any, output: str | os.PathLike | None = None, **options: Any) -> list[dict]:
    """See ``zoo.contract.task.Task.finetune``."""
    from zoo.contract.task import load_folder

    preset = str(task.source or f"a {task.name} in memory")
    origin = _origin(task, preset)
    start = f"zoo.load({preset!r}).finetune(" if task.source and origin == preset else "task.finetune("
    told = {"command": _call(start, corpus, output, options), "origin": origin}
    name = f"{task.card[LOADED]['name'] if LOADED in task.card else task.name}_tuned"
    with _folder(output, name) as folder:
        training = _Training(task, tuple(options.pop("callbacks", ())), forgotten=output is None, told=told)
        config = dataclasses.asdict(task.config)
        _run(task.name, ["finetune", "--preset", preset], corpus, folder, config, options, training)
        task.become(load_folder(os.path.join(folder, "best")))
    return training.history


def train(
    family: str, corpus: Any, output: str | os.PathLike | None = None, **options: Any
) -> tuple[Task, list[dict]]:
    """See ``zoo.train``."""
    from zoo.contract.task import load_folder

    config = dataclasses.asdict(registry.task_class(family).Config()) | options.get("model", {})
    told = {"command": _call(f"zoo.train({family!r}, ", corpus, output, options)}
    with _folder(output, family) as folder:
        training = _Training(None, tuple(options.pop("callbacks", ())), forgotten=output is None, told=told)
        _run(family, ["train"], corpus, folder, config, options, training)
        return load_folder(os.path.join(folder, "best")), training.history


@contextlib.contextmanager
def _folder(output, name):
    """The run folder, or a temporary one of this name."""
    if output is not None:
        yield os.fspath(output)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, name)


def _call(start, corpus, output, options):
    """A call as a person would write it, with the names of what is too long to be written."""

    def written(name, value):
        if not _is_short(value):
            return name
        return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)

    given = {"output": output} | options
    given = {name: value for name, value in given.items() if value is not None and not _is_empty(value)}
    arguments = [f"{name}={written(name, value)}" for name, value in given.items()]
    return f"{start}{', '.join([written('corpus', corpus), *arguments])})"


def _is_short(value):
    if isinstance(value, str | os.PathLike | int | float):
        return True
    several = value.values() if type(value) is dict else value if isinstance(value, list | tuple) else [None]
    return all(isinstance(one, str | int | float) for one in several)


def _is_empty(value):
    return isinstance(value, list | tuple) and not value


def _origin(task, preset):
    """What a task was before it is trained: what it was loaded from, or what became of that."""
    if LOADED not in task.card:
        return preset
    loaded = task.card[LOADED]
    if loaded["weights_sha256"] != task.weights_sha256():
        return f"{loaded['name']}, changed by hand"
    return preset if loaded["name"] == os.path.basename(preset) else loaded["name"]


def _run(family, action, corpus, output, config, options, training):
    """Run a recipe as a command line would."""
    given, validation = registry.given(family), options.pop("validation", None)
    if validation is None:
        validation = split_of(corpus, CHECKED)
    arguments = [*action, "--data", *given.paths(corpus, config, LEARNED), "--output", output]
    if validation is not None:
        arguments += ["--validation", *given.paths(validation, config, CHECKED)]
    if keep := options.pop("keep", None):
        arguments += ["--keep", *given.paths(keep, config, LEARNED)]
    arguments = list(map(str, [*arguments, *_options(options)]))
    token, told = _current.set(training), _Told(given.told)
    try:
        with contextlib.redirect_stderr(told):
            importlib.import_module(f"recipes.{family}").main(arguments)
    except SystemExit as error:  # argparse refuses what it does not know
        why = told.refused.strip().rpartition("error: ")[2]
        raise UserError(f"{_in_python(why)}; see the options of `zoo {action[0]}` for {family}") from error
    except UserError as error:
        raise UserError(_in_python(given.told(str(error)))) from error
    finally:
        _current.reset(token)


class _Told(io.TextIOBase):
    """Standard error, but for what argparse says of options, which is ``refused``."""

    def __init__(self, told):
        self._told, self._stream, self.refused = told, sys.stderr, ""

    def write(self, text):
        if text.startswith("usage: ") or ": error: " in text:
            self.refused += text
        else:
            self._stream.write(self._told(text))
        return len(text)

    def isatty(self):
        return self._stream.isatty()

    def flush(self):
        self._stream.flush()


def _options(options):
    """Keywords as options: ``epochs=3`` is ``--training.epochs 3``, a dict a group of them."""
    for name, value in options.items():
        if value is None or value is False and name not in _SCHEDULE:
            continue
        option = f"--{name.replace('_', '-')}"
        if name in _SCHEDULE:
            yield from (f"--training.{option[2:]}", shown(value))
        elif name == "columns":
            yield from (option, *(f"{what}={column}" for what, column in value.items()))
        elif isinstance(value, dict):
            for field, one in value.items():
                one = tuple(one) if isinstance(one, list) else one
                yield from (f"{option}.{field.replace('_', '-')}", shown(one))
        elif value is True:
            yield option
        else:
            yield from (option, *(value if isinstance(value, list | tuple) else [value]))


def _in_python(sentence):
    """A sentence on options as one on keywords: ``--training.learning-rate`` is ``learning_rate``."""

    def keyword(match):
        return match[1].removeprefix("training.").replace("-", "_")

    return re.sub(r"(?<![\w-])--([a-z][\w.-]*\w)", keyword, sentence)
