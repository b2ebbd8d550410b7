"""What the recipes of recognisers (text from images, from speech) share: their command line and their course.

CORPUS is what the family's ``load_corpus`` takes; `CORPUS@4` shows a small one four times an epoch.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recipes.training import command_line, course, keeping, report, setup
from zoo import registry
from zoo.errors import UserError


def main(
    arguments: list[str], prog: str | None, doc: str, name: str, unit: str, levels: Any,
    directions: Sequence[str] = ("ltr",), assets: Sequence = (), columns: Any = (),
    more: Callable | None = None, tuning: Any = None, prepare: Callable | None = None,
    finish: Callable | None = None,
) -> None:  # fmt: skip
    """Train or fine-tune a recogniser as the command line says.

    Args:
        arguments: list of str.
        prog, doc: see ``recipes.training.command_line.parser``.
        name: the task.
        unit: what a corpus consists of, in the plural: "lines".
        levels: the groups of a sample, by its name; see ``zoo.data.splitting.hold_out``.
        directions: those that its text may have; more than one gives an option.
        assets: ``(option, file name, help)`` of files that go with the model.
        more: called with the parsers of both actions, adds options of its own.
        tuning: called with the parser of ``finetune``, adds options of its own.
        columns: what can be named of the columns of tables, where a corpus may be one.
        prepare: called with the task, the samples to learn from and the options before training.
        finish: called with the task, its best weights in it, the samples to validate on and the options after
            training; gives the task to keep.
    """
    top, train, finetune = command_line.parser(doc, prog=prog)
    cls = registry.task_class(name)
    for one in (train, finetune):
        command_line.add_hold_out(one, unit)
        if columns:
            command_line.add_columns(one, *columns)
        if more:
            more(one)
        for option, file, text in assets:
            one.add_argument(option, dest=file, metavar="FILE", help=text)
    train.add_argument("--characters", default="", help="characters to know besides those of the transcripts")
    if len(directions) > 1:
        train.add_argument(
            "--direction", choices=directions, help="of the text; default: that of most letters"
        )
    else:
        train.set_defaults(direction=directions[0])
    for one in (train, finetune):
        command_line.add_fields(one, "model", cls.Config, preset=one is finetune)
    finetune.add_argument("--extend", action="store_true", help="learn characters that the preset lacks")
    finetune.add_argument(
        "--ignore-unknown", action="store_true",
        help="leave characters that the preset lacks out of the transcripts",
    )  # fmt: skip
    command_line.add_keep(finetune, unit)
    if tuning:
        tuning(finetune)
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    preset = setup.load_preset(options, cls) if options.action == "finetune" else None
    config = preset.config if preset else command_line.read_fields(options, "model", cls.Config)
    load_corpus = functools.partial(
        registry.load_corpus, name, config=dataclasses.asdict(config), columns=command_line.columns(options)
    )
    skipped = []

    def corpora(options):
        corpus = load_corpus(options.data, progress=True)
        skipped.extend(corpus.skipped)
        return setup.split(corpus, options, load_corpus, unit, levels, texts=corpus.texts)

    learn, check, kept = keeping.corpora(options, corpora)
    if preset:
        task = _adapt(preset, learn, options, directions)
    else:
        vocabulary = cls.Vocabulary.from_texts([*learn.texts, options.characters], options.direction)
        task = cls(config, vocabulary)
    task.assets |= {file: _read(getattr(options, file)) for _, file, _ in assets if getattr(options, file)}
    too_long = task.too_long(learn)
    for sentence in (*skipped, *too_long.values()):
        print(f"skipped: {sentence}", file=sys.stderr)
    learn = learn.select(lambda name: name not in too_long)
    if not len(learn):
        raise UserError(
            f"{', '.join(options.data)}: none of these {unit} can be learned; see what is said above."
        )
    known = f"{len(task.vocabulary.characters)} {task.vocabulary.noun}"
    report.announce(task, learn, check, unit, known, len(skipped) + len(too_long))

    if prepare:
        prepare(task, learn, options)
    settings = setup.settings(task, schedule, options) | {"characters": "".join(task.vocabulary.characters)}
    last = finish and (lambda task: finish(task, check, options))
    course.run(task, learn, check, kept, _validation, options.output, schedule, settings, last)
    report.finished(task, options.output, f"read {unit} with it", "zoo predict {} FILE")


def _validation(task, check):
    """The function called after each epoch."""

    def validation():
        scores, few = task.reader.evaluate(check, **task.reader.greedy), check.sample(4)
        read = task.predict(next(few.chunks(4))[0], **task.reader.greedy)
        examples = list(zip(few.texts, read, strict=True))
        return {metric.name: scores[metric.name] for metric in task.reader.metrics} | {"examples": examples}

    return validation


def _adapt(task, learn, options, directions):
    """The preset, its alphabet extended where the transcripts need it."""
    from zoo.text.characters import direction_of

    missing = sorted({c for text in learn.texts for c in task.vocabulary.unknown(text)})
    if missing and not (options.extend or options.ignore_unknown):
        unknown = f"{len(missing)} {task.vocabulary.noun} ({' '.join(missing[:20])})"
        raise UserError(
            f"{', '.join(options.data)}: {unknown} are not in the alphabet of {options.preset}; add --extend "
            "to learn them, or --ignore-unknown to leave them out."
        )
    if not options.extend or not missing:
        return task
    direction = direction_of("".join(learn.texts)) if len(directions) > 1 else directions[0]
    return task.with_vocabulary(task.vocabulary.extended(missing, direction))


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
