"""The ``zoo`` command: the front door to presets, reading, evaluation, training and export.

A command is a module with ``add_arguments(parser, arguments)`` and ``run(options)``, or with a
``main(arguments)`` that reads the rest of the line itself; it is imported when it is called. ``zoo list``,
``show``, ``verify`` and, of an ``.onnx`` file, ``predict``, ``evaluate`` and ``bench --profile`` need neither
TensorFlow nor Keras, which are imported inside the commands that need them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import sys

from zoo import __version__
from zoo.cli.common import complain
from zoo.errors import UserError, train_extra

COMMANDS = {  # name: (module, what it does)
    "list": ("presets", "list the presets: name, size, what each is for, and how much it gets wrong"),
    "show": ("show", "print a model card, or what an exported file says of itself"),
    "verify": ("verify", "tell whether every byte of a model is as it was written"),
    "predict": ("predict", "read inputs with a model"),
    "evaluate": ("evaluate", "measure a model on corpora"),
    "train": ("train", "train a model of a family from nothing, on your own data"),
    "finetune": ("finetune", "train a preset further, on your own data"),
    "compare": ("compare", "put the runs of trainings into one table"),
    "export": ("export", "write a model as one ONNX file or as a SavedModel"),
    "import": ("import_model", "turn a model of Tesseract, kraken or Calamari into one of the zoo"),
    "bench": ("bench", "measure an export beside the other ways to run its model"),
    "render": ("render", "draw lines of text as scanned images, a corpus to train on"),
    "cache": ("cache", "show what is kept on this computer, such as copies of corpora, or remove it"),
    "lm": ("language_model", "make a language model of words or characters, or put one into a model"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: list of str, by default those of the process.

    Returns:
        The exit status: 0 on success, 2 for bad input, 130 after Ctrl-C, 141 when the reader of the
        output has gone.
    """
    for stream in (sys.stdin, sys.stdout):
        with contextlib.suppress(AttributeError):  # a stream that someone put in place of the real one
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with train_extra():
            status = _run(arguments)
        sys.stdout.flush()
        return status or 0
    except UserError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more on its way out; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(arguments):
    parser = argparse.ArgumentParser(
        prog="zoo",
        description="Read lines and pages, transcribe, translate, caption, label: trained recurrent models, "
        "to use, to teach your own material, and to deploy as one ONNX file.",
    )
    parser.add_argument("--version", action="version", version=f"seqzoo {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    name = arguments[0] if arguments else None
    for each, (file, text) in COMMANDS.items():
        sub = commands.add_parser(each, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if each == name:
            module = importlib.import_module(f"zoo.cli.{file}")
            if hasattr(module, "main"):  # all the rest of the line is its own
                return module.main(arguments[1:])
            module.add_arguments(sub, arguments[1:])
            sub.set_defaults(command=module.run)
    options, further = parser.parse_known_args(arguments)
    if further and hasattr(options, "inputs") and not any(re.match("-.", text) for text in further):
        # Behind options: argparse takes the list, which may be empty, to have ended.
        options.inputs += further
    elif further:
        if hasattr(module, "refuse"):
            module.refuse(name, options, further)
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    return options.command(options)
