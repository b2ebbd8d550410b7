"""The command line that recipes share: ``train``, ``finetune``, and an option for each field of a config."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes.training.schedule import Schedule
from zoo import hub
from zoo.backend import import_tensorflow
from zoo.contract.config import NotAChoice, choices_of, sentences_of
from zoo.errors import UserError, train_extra
from zoo.formats.tables import COLUMNS_HELP, named_columns


def command(main: Callable[[list[str]], Any]) -> None:
    """Run a recipe's ``main(arguments)``; a UserError ends with its sentence and exit status 2."""
    try:
        with train_extra():
            import_tensorflow()
            main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped. Give the same command again to go on.", file=sys.stderr)
        sys.exit(130)


def parser(
    doc: str, schedule: type[Schedule] = Schedule, prog: str | None = None,
    tuning: type[Schedule] | None = None,
) -> tuple[argparse.ArgumentParser, ...]:  # fmt: skip
    """A parser with ``train`` and ``finetune`` and the options that every recipe has.

    Args:
        doc: the recipe's docstring. Its first line is shown, and what it says after ``CORPUS:``.
        schedule: ``Schedule``, or a class derived from it with other defaults.
        prog: the command that calls the recipe, such as ``zoo train line_ocr``; it gives the action, and the
            preset. None where the recipe is called by itself.
        tuning: the schedule of ``finetune``, where that has other defaults.

    Returns:
        ``(parser, train, finetune)``.
    """
    module = re.search(r"python -m \S+", doc)
    top = _Parser(prog=prog or (module and module[0]), description=doc.splitlines()[0], allow_abbrev=False)
    top.given = bool(prog)
    corpus = re.search(r"\nCORPUS: (.+?)(\n\n|$)", doc, re.DOTALL)
    corpus = _escaped(" ".join(corpus[1].split()).replace("`", "")) if corpus else None
    actions = top.add_subparsers(dest="action", required=True)
    found = []
    for action, text in (("train", "train from nothing"), ("finetune", "go on from a preset")):
        preset = " --preset NAME" if action == "finetune" and not prog else ""
        one = actions.add_parser(
            action, prog=prog, usage=f"%(prog)s{preset} --data CORPUS [CORPUS ...] --output RUN [options]",
            help=text, description=f"{top.description} Here: {text}.", allow_abbrev=False,
        )  # fmt: skip
        if action == "finetune":
            about = "preset name, task folder or run folder to begin with"
            one.add_argument("--preset", required=True, help=argparse.SUPPRESS if prog else about)
        one.add_argument("--data", nargs="+", required=True, metavar="CORPUS", help=corpus)
        one.add_argument(
            "--validation", nargs="+", metavar="CORPUS",
            help="corpora to check on after each epoch; about a tenth of --data by default",
        )  # fmt: skip
        one.add_argument(
            "--output", required=True, metavar="RUN",
            help="run folder to write; an interrupted run goes on when the same command is given again",
        )  # fmt: skip
        one.add_argument(
            "--allow-skipped", action="store_true", help="go on although more than a tenth cannot be used"
        )
        usual = tuning or schedule if action == "finetune" else schedule
        add_fields(one, "training", usual)
        one.set_defaults(**{"training.schedule": usual})
        found.append(one)
    return top, *found


class _Parser(argparse.ArgumentParser):
    """Its options have ``told``: what a run's card tells of its command, see ``recipes.training.setup``."""

    given = False  # the program's name holds the action, and the preset

    def parse_args(self, args=None):
        args = sys.argv[1:] if args is None else args
        options = super().parse_args(args)
        own = args[{"train": 1, "finetune": 3}[options.action] :] if self.given else args
        command = f"{self.prog} {shlex.join(map(str, own))}"
        options.told = {"name": Path(options.output).absolute().name, "command": command}
        return options


def read_schedule(options: argparse.Namespace) -> Schedule:
    """The schedule of the options ``--training.*``, of the class that ``parser`` was given.

    Raises:
        UserError: see ``read_fields``.
    """
    return read_fields(options, "training", getattr(options, "training.schedule"))


def add_hold_out(parser: argparse.ArgumentParser, unit: str) -> None:
    """Option ``--hold-out``, for ``recipes.training.setup.split``."""
    parser.add_argument(
        "--hold-out", metavar="REGEX", help=f"validate on the {unit} whose CORPUS/NAME it matches"
    )


def add_keep(parser: argparse.ArgumentParser, unit: str) -> None:
    """Option ``--keep`` of ``finetune``, for ``recipes.training.keeping``."""
    parser.add_argument(
        "--keep", nargs="+", metavar="CORPUS",
        help=f"{unit} such as the preset can read and must not forget: as many as there are in --data, or a "
        "thousand, are learned along, and validation shows the errors on others of them, too",
    )  # fmt: skip


def add_columns(parser: argparse.ArgumentParser, *wanted: str) -> None:
    """Option ``--columns`` for tables, of which ``wanted`` can be named; see ``columns``."""
    parser.add_argument(
        "--columns", nargs="+", metavar="WHAT=COLUMN", default=argparse.SUPPRESS,
        help=f"{COLUMNS_HELP}{', '.join(wanted)}",
    )  # fmt: skip


def columns(options: argparse.Namespace) -> dict[str, str] | None:
    """``{what: column}`` as ``--columns`` says, or None."""
    return named_columns(getattr(options, "columns", None))


def share(text: str) -> float:
    """A share between 0 and 1 as an option, for argparse."""
    try:
        if 0 < float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")


# === Fields of a config dataclass ===


def add_fields(parser: argparse.ArgumentParser, group: str, cls: type, preset: bool = False) -> None:
    """Options ``--group.field-name`` for every field of a config dataclass.

    Args:
        parser: gets a group with them.
        group: what their names begin with.
        cls: the dataclass, whose docstring says what its fields mean.
        preset: whether a preset gives what is not given.
    """
    refused = "; those that change the shape of the preset's weights are refused" if preset else ""
    options = parser.add_argument_group(f"--{group}.* (you need none of these to begin{refused})")
    sentences, given = sentences_of(cls), _config_of_preset(parser.prog) if preset else {}
    for field in dataclasses.fields(cls):
        choices = choices_of(cls, field.name)
        kind = f"one of {', '.join(choices)}" if choices else _kind(field.default)
        default = shown(given.get(field.name, field.default))
        default = f"the preset's{f', {default}' if given else ''}" if preset else default
        options.add_argument(
            _option(group, field.name), dest=f"{group}.{field.name}", metavar="VALUE",
            help=_escaped(f"{sentences[field.name]} ({kind}; default: {default})"),
        )  # fmt: skip


def _config_of_preset(prog):
    """The configuration of the preset that ``zoo finetune PRESET`` names, ``{}`` where none is named yet."""
    named = re.fullmatch(r"zoo finetune (.+)", prog)
    if not named:
        return {}
    stored = (Path(hub.find(named[1])) / "config.json").read_text(encoding="utf-8")
    return json.loads(stored).get("config", {})


def read_fields(arguments: argparse.Namespace, group: str, cls: type, base: Any = None) -> Any:
    """A config dataclass from the options of ``add_fields``; what was not given is as in ``base``.

    Raises:
        UserError: a value is not of its field's kind, or the config refuses it.
    """
    values = {} if base is None else dataclasses.asdict(base)
    for field in dataclasses.fields(cls):
        given = getattr(arguments, f"{group}.{field.name}")
        if given is not None:
            values[field.name] = _parse(_option(group, field.name), given, field.default)
    try:
        return cls(**values)
    except NotAChoice as error:
        raise UserError(
            f"{_option(group, error.field)} must be one of {', '.join(error.choices)}; got "
            f"{values[error.field]}."
        ) from error
    except ValueError as error:
        raise UserError(f"--{group}.*: {error}.") from error


def _option(group, name):
    return f"--{group}.{name.replace('_', '-')}"


def _escaped(text):
    return text.replace("%", "%%")  # which argparse fills in


def _kind(default):
    if isinstance(default, tuple):
        return "numbers with commas between them"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(default)]


def shown(value: Any) -> str:
    """A value as a person would give it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(f"({shown(item)})" if isinstance(item, tuple | list) else str(item) for item in value)
    return "none" if value == "" else str(value)


def _parse(option, text, default):
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text.capitalize() if isinstance(default, bool) else text)
    except (ValueError, SyntaxError):
        value = None
    if isinstance(default, tuple):
        value = _tuples(value if isinstance(value, list | tuple) else (value,))
    elif isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default) or value == (None,):
        raise UserError(f"{option} must be {_kind(default)}, e.g. {shown(default)}; got {text}.")
    return value


def _tuples(value):
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
