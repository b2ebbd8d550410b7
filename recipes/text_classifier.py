"""Text classification: train or fine-tune bidirectional LSTMs that label texts.

    python -m recipes.text_classifier train    --data reviews.tsv.gz more.csv --output RUN
    python -m recipes.text_classifier train    --data tfds:imdb_reviews --language-model.epochs 9 --output RUN
    python -m recipes.text_classifier finetune --preset sentiment_en --data mine/ --output RUN

CORPUS: a table (CSV, TSV, JSON, Parquet) with `label` and `text`, fastText's lines, a folder or tar of such
or with a folder of .txt files for each label, or tfds:NAME; `@4` shows a small one four times an epoch.
Without --validation or --hold-out, a tenth is held out, by a hash of the text. What is learned never shares
eight words in a row with what is held out, and has each text once.

Two stages with --language-model.epochs, in one run folder, which goes on in either when the same command is
given again: the embedding and the first LSTMs learn to say the next token and the one before (Dai & Le 2015;
the folder `language_model`), then all learn the labels.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from recipes.training import command_line, course, keeping, labels, loop, report, setup
from recipes.training.schedule import Schedule
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class LanguageModel(Schedule):
    """The first stage's schedule: see ``Schedule``.

    Attributes:
        epochs: passes over the texts before labels are learned; 0 is none.
    """

    epochs: int = 0


@dataclasses.dataclass(frozen=True)
class TuningSchedule(Schedule):
    """See ``Schedule``. With more epochs a preset learns no more of new texts and forgets more of its own."""

    epochs: int = 10


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.text_classifier.network import LanguageModels, TextClassifier, TextClassifierConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog, tuning=TuningSchedule)
    train.add_argument(
        "--minimum-count", type=int, default=2, metavar="N", help="learn words that occur N times, default 2"
    )
    train.add_argument(
        "--vocabulary-size", type=int, default=6000, metavar="N", help="subwords, default 6000"
    )
    command_line.add_fields(train, "language-model", LanguageModel)
    for one in (train, finetune):
        command_line.add_hold_out(one, "texts")
        command_line.add_columns(one, "text", "label")
        labels.add_options(one, "texts")
        command_line.add_fields(one, "model", TextClassifierConfig, preset=one is finetune)
    command_line.add_keep(finetune, "texts")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    if options.action == "finetune":
        task = setup.load_preset(options, TextClassifier)
        learn, check, kept = keeping.corpora(options, _corpora)
        wanted = options.labels or sorted(set(learn.labels))
        how = "its encoder is kept, a new output layer is trained"
        task = labels.with_labels(task, wanted, options.preset, how)
    else:
        config = command_line.read_fields(options, "model", TextClassifierConfig)
        learn, check, kept = keeping.corpora(options, _corpora)
        task = TextClassifier(config, _vocabulary(config, learn, options))
    counts = labels.counts(task, learn, check, "texts")
    if options.class_weights:
        labels.weigh(task, counts)
    known = f"{labels.told(task, counts)}; {len(task.vocabulary)} {task.config.vocabulary}"
    report.announce(task, learn, check, "texts", known)

    output, settings = Path(options.output), setup.settings(task, schedule, options)
    if options.action == "train":
        first = command_line.read_fields(options, "language-model", LanguageModel)
        settings["language_model"] = first.defining()
        if first.epochs:
            start = LanguageModels(task)
            checked = setup.pipeline(start, check, first, check=True)

            def say():
                return {"perplexity": start.perplexity(checked.once()), "examples": []}

            data = setup.pipeline(start, learn, first)
            loop.train(start, data, say, output / "language_model", first, settings)
    course.run(task, learn, check, kept, _validation, output, schedule, settings)
    report.finished(task, output, "classify texts with it", "zoo predict {} -")


def _corpora(options):
    """Texts to learn from, each once and none of them like one held out, and texts to validate on."""
    from zoo.families.text_classifier.corpus import SHARED, load_labelled

    load = functools.partial(load_labelled, columns=command_line.columns(options))
    corpus = load(options.data, progress=True)
    report.loaded(corpus, "texts")
    keys = dict(zip(corpus.names, corpus.keys, strict=True))
    learn, check = setup.split(corpus, options, load, "texts", lambda name: [(None, keys[name])])
    free = learn.without_overlap(check)
    kept, dropped = free.without_duplicates()
    dropped[f"shares {SHARED} or more words in a row with a text held out"] = len(learn) - len(free)
    report.dropped(dropped)
    if not len(kept):
        raise UserError(f"{', '.join(options.data)}: nothing is left to learn; give more texts.")
    return kept, check


def _vocabulary(config, learn, options):
    """Of the texts to learn from, and the labels: those given, or theirs."""
    from zoo.families.text_classifier.vocabulary import TextVocabulary
    from zoo.text.normalise import language_of, normalise_text
    from zoo.text.subwords import Subwords
    from zoo.text.words import Words

    language = language_of(learn.texts)
    texts = [normalise_text(text, language) for text in learn.texts]
    if config.vocabulary == "words":
        tokens = Words.learn(texts, options.minimum_count)
    else:
        tokens = Subwords.learn(texts, options.vocabulary_size)
    return TextVocabulary(tokens, options.labels or sorted(set(learn.labels)))


def _validation(task, check):
    """The function called after each epoch."""

    def validation():
        scores = task.reader.evaluate(check)
        few = check.sample(3)
        found = [item.line.replace("\t", " ") for item in task.predict(few.texts, details=True)]
        return {
            "error": 1 - scores["accuracy"],
            "macro_f1": scores["macro_f1"],
            "examples": [
                (f"{label}: {text}", said)
                for text, label, said in zip(few.texts, few.labels, found, strict=True)
            ],
        }

    return validation


if __name__ == "__main__":
    command_line.command(main)
