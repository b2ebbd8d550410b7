"""Script tagging: train or fine-tune a model that tells the class of every pixel column of a line.

Trains a convolution front, a bidirectional LSTM and framewise cross-entropy on line images with a class for
each pixel column.

    python -m recipes.script_tagger train    --data mixed.tar.gz --output RUN
    python -m recipes.script_tagger finetune --preset script_arabic --data mine/ --output RUN

CORPUS: a folder, tar or zip of images with NAME.columns.txt beside them, a character for each pixel column,
and perhaps classes.txt, the names of the classes (docs/script.md); `@4` shows a small one four times an
epoch. `zoo render --script` composes such lines of others. Without --validation or --hold-out, about a tenth
is held out.
"""

from __future__ import annotations

import sys

from recipes.training import command_line, course, keeping, report, setup
from zoo.errors import UserError
from zoo.text.scripts import BACKGROUND


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.script_tagger.network import ScriptTagger, ScriptTaggerConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    for one in (train, finetune):
        command_line.add_hold_out(one, "lines")
        one.add_argument(
            "--classes", nargs="+", metavar="NAME",
            help="names of the classes, the background first; corpora number them from 0",
        )  # fmt: skip
        command_line.add_fields(one, "model", ScriptTaggerConfig, preset=one is finetune)
    command_line.add_keep(finetune, "lines")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    preset = setup.load_preset(options, ScriptTagger) if options.action == "finetune" else None
    learn, check, kept = keeping.corpora(options, _corpora)
    if preset:
        task = _with_classes(preset, learn, options)
    else:
        config = command_line.read_fields(options, "model", ScriptTaggerConfig)
        task = ScriptTagger(config, _classes(options.classes, learn))
    for name in dict.fromkeys([*learn.classes, *check.classes]):
        task.vocabulary.row(name)  # UserError where it is none of the model's
    known = f"classes {', '.join(task.vocabulary.names)}"
    report.announce(task, learn, check, "lines", known, len(learn.skipped))

    settings = setup.settings(task, schedule, options)
    course.run(task, learn, check, kept, _validation, options.output, schedule, settings)
    report.finished(task, options.output, "tag lines with it", "zoo predict {} line.png")


def _corpora(options):
    """Lines to learn from and to validate on."""
    from zoo.data.splitting import levels_by_name
    from zoo.families.script_tagger.corpus import load_tagged

    corpus = load_tagged(options.data, progress=True)
    for sentence in corpus.skipped[:20]:
        print(f"skipped: {sentence}", file=sys.stderr)
    return setup.split(corpus, options, load_tagged, "lines", levels_by_name)


def _validation(task, check):
    """The function called after each epoch."""

    def validation():
        scores, few = task.reader.evaluate(check), check.sample(3)
        found = task.predict(next(few.chunks(3))[0])
        return {
            "error": 1 - scores["accuracy"],
            "segment_f1": scores["segment_f1"],
            "examples": list(zip(_told(task.reader, few), found, strict=True)),
        }

    return validation


def _classes(given, learn):
    """The classes to learn: those given, or those of the corpora, the background first."""
    from zoo.families.script_tagger.vocabulary import Classes

    names = given or learn.classes
    if not given and all(name.isdecimal() for name in names):
        names = [str(number) for number in range(int(names[-1]) + 1)]
    elif not given and BACKGROUND in names:
        names = [BACKGROUND, *(name for name in names if name != BACKGROUND)]
    elif not given:
        raise UserError(
            f"The corpora have the classes {', '.join(names)}, of which none is called {BACKGROUND}; give "
            "--classes with that of the background first."
        )
    try:
        return Classes(names)
    except ValueError as error:
        raise UserError(f"--classes {' '.join(names)}: {error}") from error


def _with_classes(task, learn, options):
    """The preset, whose output layer starts anew where there is a class that it lacks."""
    names = options.classes or learn.classes
    if all(name in task.vocabulary for name in names) and not options.classes:
        return task
    classes = _classes(options.classes, learn)
    if classes == task.vocabulary:
        return task
    print(
        f"Your classes differ from those of {options.preset}: what it sees is kept, a new output layer is "
        "trained."
    )
    return task.with_classes(classes.names)


def _told(reader, few):
    """What is meant by the columns of some lines, as a reader tells it."""
    return [reader.tagging_of(columns).text for columns in next(few.chunks(len(few)))[1]]


if __name__ == "__main__":
    command_line.command(main)
