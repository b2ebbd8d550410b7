"""What several commands share: finding the model that is meant, and the options of its reader."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import zoo
from zoo import hub, registry
from zoo.backend import import_tensorflow
from zoo.contract.model import is_file
from zoo.contract.options import positive
from zoo.contract.reader import Reader
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.model import Model
    from zoo.contract.options import Option

MODEL = "preset name, task or run folder, address with sha256, or .onnx file"


def complain(problem: UserError | str) -> None:
    print(f"zoo: {problem}", file=sys.stderr)


def load(model: str | os.PathLike, threads: int | None = None, provider: str | None = None) -> Model:
    """The ``zoo.contract.model.Model`` of what a person calls it; arguments as of ``zoo.load``."""
    if not is_file(model):
        hub.find(model)  # so that a wrong name is told at once, and where there is no TensorFlow, too
        import_tensorflow()
    return zoo.load(model, threads, provider)


def add_model(parser: argparse.ArgumentParser, arguments: list[str], runs: bool = False) -> type[Reader]:
    """The argument MODEL; the class of its reader, which tells its options, or ``Reader`` without one.

    With ``runs`` there are ``--threads`` and ``--provider``, too. The options hold that class as ``reader``,
    and a file that had to be loaded for it as the model of ``loaded``. Raises UserError where there is no
    such model.
    """
    known = {}
    if runs:
        from export.runtime import PROVIDERS

        one = argparse.ArgumentParser(add_help=False, exit_on_error=False)
        for some in (parser, one):
            some.add_argument(
                "--threads", type=positive, metavar="N", help="processor cores to use, default: all"
            )
            some.add_argument("--provider", choices=PROVIDERS, help="what runs an .onnx file, default: cpu")
        with contextlib.suppress(argparse.ArgumentError):  # which the parser of all options will tell
            known = reading(one.parse_known_args(arguments)[0])  # a file is opened before these are known
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    # Values of options stand among the arguments, too: the first that names a model is meant.
    words = [text for text in arguments if not text.startswith("-")]
    model = next((text for text in words if _names_model(text)), words[0] if words else None)
    loaded = load(model, **known) if model and is_file(model) else None
    if loaded:
        kind = type(loaded.reader)
    else:  # without the seconds that loading weights takes
        kind = registry.reader_class(hub.info(hub.find(model)).get("task")) if model else Reader
    if not model:
        parser.epilog = f"`{parser.prog} MODEL --help` lists the options of that model."
    parser.set_defaults(reader=kind, loaded=loaded)
    return kind


def loaded(options: argparse.Namespace) -> Model:
    """The model that the options of ``add_model`` name."""
    return options.loaded or load(options.model, **reading(options))


def measure(
    model: Model, corpora: Sequence, only: str | None = None, columns: dict[str, str] | None = None,
    **decoding: Any,
) -> dict[str, Any]:  # fmt: skip
    """``model.evaluate``, which says what it prepares and, to a person who looks on, how far it is."""
    corpus = registry.load_corpus(model.name, corpora, model.reader.config, only, True, columns)
    return model.reader.evaluate(corpus, sys.stderr.isatty(), **decoding)


def reading(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of ``load`` that were given."""
    given = ((name, getattr(options, name, None)) for name in ("threads", "provider"))
    return {name: value for name, value in given if value is not None}


def _names_model(text):
    if is_file(text) or "://" in text or hub.folder(text):
        return True
    return any(os.path.isfile(os.path.join(text, *best, "preset.json")) for best in ((), ("best",)))


def add_options(parser: argparse.ArgumentParser, reader: type[Reader], evaluates: bool) -> None:
    """The options of a class of readers, for ``zoo predict`` or, with ``evaluates``, ``zoo evaluate``."""
    options = [option for option in reader.options if (option.evaluates if evaluates else option.predicts)]
    if options:
        add_group(parser, f"options of models that read {reader.reads}", options)


def add_group(parser: argparse.ArgumentParser, title: str, options: Sequence[Option]) -> None:
    """A group of ``zoo.contract.options.Option``."""
    group = parser.add_argument_group(title)
    for option in options:
        if option.is_flag:
            group.add_argument(option.flag, action="store_true", default=None, help=option.help)
            continue
        group.add_argument(
            option.flag, type=option.kind, metavar=option.metavar, choices=option.choices, help=option.help
        )


def given(options: argparse.Namespace, reader: type[Reader]) -> dict[str, Any]:
    """The options of a reader that were given, as keyword arguments of its ``stream``."""
    values = ((option.name, getattr(options, option.name, None)) for option in reader.options)
    return {name: value for name, value in values if value is not None}


def refuse(command: str, options: argparse.Namespace, further: Any) -> NoReturn:
    """UserError on an option that the model's reader does not have; ``command`` is predict or evaluate."""
    flag = next((text.partition("=")[0] for text in further if text.startswith("-")), further[0])
    own, others = options.reader, []
    for family in registry.FAMILIES:
        kind = registry.reader_class(family)
        flags = {*(option.flag for option in kind.options), *(["--plot"] if kind.plots else [])}
        if flag in flags and kind is own:
            raise UserError(f"{flag} is for `zoo predict`; leave it out")
        others += [family] if flag in flags else []
    if others:
        families = " and ".join(others)
        raise UserError(f"{options.model}: reads {own.reads}, but {flag} is for {families}; leave it out")
    raise UserError(f"{flag}: there is no such option; see `zoo {command} {options.model} --help`")
