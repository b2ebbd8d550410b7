"""``zoo lm``: make a language model of words or characters, and put one into a model."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contract.options import positive, whole
from zoo.errors import UserError
from zoo.text import ngrams, spelled

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    about = "make a language model from text: of words, for speech, or of characters, for lines of text"
    build = commands.add_parser("build", help="from text", description=about)
    build.add_argument(
        "texts", metavar="TEXT", nargs="+", help="a sentence or a line a line, plain or .gz; - is stdin"
    )
    build.add_argument("--output", metavar="FILE", required=True, help="the ARPA file, plain or .gz")
    build.add_argument(
        "--characters", action="store_true",
        help="of characters: for line OCR, from text that is spelled as your lines are",
    )  # fmt: skip
    build.add_argument(
        "--order", type=positive, metavar="N",
        help=f"words it spans, default 3; characters: default {spelled.ORDER}",
    )  # fmt: skip
    build.add_argument(
        "--prune", type=_wholes, metavar="N,N,…",
        help="drop n-grams seen at most N times, one N for each order: 0,0,1 drops trigrams seen once",
    )  # fmt: skip
    build.add_argument(
        "--limit", type=positive, metavar="N",
        help=f"keep N n-grams at most, those seen most often; of characters: default {spelled.LIMIT:,}",
    )  # fmt: skip
    build.set_defaults(run_command=_build)
    about = "put a language model into a model, weighed on validation data; exported files have it, too"
    attach = commands.add_parser("attach", help="put one into a model", description=about)
    attach.add_argument("model", metavar="MODEL", help="preset name, task or run folder")
    attach.add_argument("language_model", metavar="FILE", help="the ARPA file")
    attach.add_argument(
        "--data", metavar="CORPUS", nargs="+", required=True,
        help="what it is weighed on; nothing that the model or the text of the language model has seen",
    )  # fmt: skip
    attach.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")
    attach.add_argument("--output", metavar="FOLDER", required=True, help="the new task folder")
    attach.set_defaults(run_command=_attach)


def run(options: argparse.Namespace) -> None:
    return options.run_command(options)


def _build(options):
    given = {"order": options.order, "limit": options.limit, "prune": options.prune}
    given = {name: value for name, value in given.items() if value is not None}
    if options.characters:
        sentences, unit = spelled.read_lines(options.texts), "lines"
        text = spelled.build_spelled(sentences, **given)
    else:
        sentences = [sentence for path in options.texts for sentence in ngrams.read_sentences(path)]
        text, unit = ngrams.build(sentences, **given), "sentences"
    counts = " + ".join(map(str, ngrams.LanguageModel.from_arpa(text).counts))
    size = ngrams.write_arpa(text, options.output)
    print(f"{options.output}: {counts} n-grams of {len(sentences)} {unit}, {size:,} bytes")


def _attach(options):
    from zoo import registry
    from zoo.cli import common
    from zoo.contract.calibration import calibrated
    from zoo.contract.card import LOADED, derived
    from zoo.contract.model import is_file
    from zoo.decoding.language_model import OfLanguageModel, read_arpa, with_language_model
    from zoo.text.files import read_data

    if is_file(options.model):
        raise UserError(f"{options.model}: a language model goes into a task folder, which is exported then")
    read_arpa(options.language_model)  # a damaged one is told at once
    with contextlib.redirect_stdout(sys.stderr):
        task = common.load(options.model)
        if not isinstance(task.reader, OfLanguageModel):
            raise UserError(f"{options.model}: a {task.name} model uses no language model")
        corpus = registry.load_corpus(task.name, options.data, task.reader.config, options.only, True)
    new, tuned = with_language_model(task, read_data(options.language_model), corpus)
    name, data = task.card[LOADED]["name"], " ".join(map(str, options.data))
    what = f"{name}, with the language model {Path(options.language_model).name}."
    how = f"Weighed on {len(corpus):,} {task.reader.unit or task.reader.reads} of {data}: {tuned}."
    new.card = derived(what, how, name, task.card.get("licence"))
    new, _, _ = calibrated(new, corpus)  # what a search finds is another text, with another confidence
    new.save(Path(options.output))
    print(f"{options.output}: {tuned}")


def _wholes(text):
    return tuple(whole(number) for number in text.split(","))
