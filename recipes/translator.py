"""Translation: train or fine-tune a sequence-to-sequence model.

    python -m recipes.translator train    --data multi30k/train --validation multi30k/val --output runs/mine
    python -m recipes.translator train    --data deu.txt --model.source de --model.target en --output runs/de
    python -m recipes.translator finetune --preset translator_en_de --data mine.tmx --output runs/tuned

CORPUS: two files of parallel lines, named by what they share (`multi30k/train` for `multi30k/train.en.gz` and
`multi30k/train.de.gz`), a folder of such, a table (CSV, TSV, JSON, Parquet; of Tatoeba or Anki), TMX, or
tfds:NAME; `@4` shows a small one four times an epoch. Without --validation, pairs drawn from each corpus are
held out: a tenth, a thousand at most in all.

The subwords of both languages are learned first, from what is to be learned; a fine-tuned model keeps those
of its preset, which can spell everything. --training.batch-size counts sentences of middling length.
"""

from __future__ import annotations

import dataclasses
import functools

from recipes.training import command_line, course, keeping, report, setup
from recipes.training.schedule import Schedule
from zoo.errors import UserError

ENOUGH = 1000  # pairs to validate on
MEASURED = 200  # of them are translated after each epoch


@dataclasses.dataclass(frozen=True)
class SentenceSchedule(Schedule):
    """See ``Schedule``; sentences are short, so a step takes many."""

    batch_size: int = 64
    learning_rate: float = 1.5e-3


@dataclasses.dataclass(frozen=True)
class TuningSchedule(SentenceSchedule):
    """See ``Schedule``. A rate that falls to zero soon gains more of new sentences than further epochs."""

    epochs: int = 10


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.translator.network import Translator, TranslatorConfig

    top, train, finetune = command_line.parser(__doc__, SentenceSchedule, prog, TuningSchedule)
    train.add_argument(
        "--vocabulary-size", type=int, default=4000, metavar="N", help="subwords, default 4000"
    )
    for one in (train, finetune):
        command_line.add_hold_out(one, "pairs")
        one.add_argument(
            "--keep-all", action="store_true", help="learn pairs, too, that look like no translations"
        )
        command_line.add_columns(one, "source", "target")
        command_line.add_fields(one, "model", TranslatorConfig, preset=one is finetune)
    command_line.add_keep(finetune, "pairs")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    if options.action == "train":
        task, config = None, command_line.read_fields(options, "model", TranslatorConfig)
    else:
        task = setup.load_preset(options, Translator)
        config = task.config

    learn, check, kept = keeping.corpora(options, functools.partial(_corpora, config))
    if task is None:
        from zoo.text.subwords import Subwords

        sentences = [*learn.sources, *learn.texts]
        task = Translator(config, Subwords.learn(sentences, options.vocabulary_size))
    report.announce(task, learn, check, "pairs", f"{len(task.vocabulary)} subwords")
    settings = setup.settings(task, schedule, options)
    measure = functools.partial(_validation, schedule=schedule)
    course.run(
        task, learn, check, kept, measure, options.output, schedule, settings, most=MEASURED, even=True
    )
    report.finished(task, options.output, "translate with it", "zoo predict {} -")


def _validation(task, check, schedule):
    """The function called after each epoch."""
    checked = setup.pipeline(task, check, schedule, check=True, even=True)
    some = check.sample(MEASURED)

    def validation():
        scores = task.reader.evaluate(some, **task.reader.greedy)
        few = some.sample(3)
        return {
            "perplexity": task.perplexity(checked.once()),
            "bleu": scores["bleu"],
            "examples": list(zip(few.texts, task.predict(few.sources, **task.reader.greedy), strict=True)),
        }

    return validation


def _corpora(config, options):
    """Pairs to learn from, without those that no one translated, and pairs to validate on."""
    from zoo.families.translator.corpus import load_parallel

    load = functools.partial(
        load_parallel, source=config.source, target=config.target, columns=command_line.columns(options)
    )
    learn = load(options.data, progress=True)
    report.loaded(learn, "pairs")
    if options.validation:
        check = load(options.validation, progress=True)
    else:
        # A source with several translations is on one side alone.
        source = dict(zip(learn.names, learn.sources, strict=True))
        learn, check = setup.split(
            learn, options, load, "pairs", lambda name: [(None, source[name])], limit=ENOUGH
        )
    if not options.keep_all:
        learn, dropped = learn.clean()
        report.dropped(dropped)
    if not len(learn) or not len(check):
        raise UserError(
            f"{', '.join(options.data)}: nothing is left to learn or to validate; give more pairs, or "
            "corpora with --validation."
        )
    return learn, check


if __name__ == "__main__":
    command_line.command(main)
