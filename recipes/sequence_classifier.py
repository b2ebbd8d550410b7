"""Sequence classification: train or fine-tune recurrent networks that label any numbers over time.

    python -m recipes.sequence_classifier train    --data actions.tar.gz --output RUN --model.axes 3
    python -m recipes.sequence_classifier train    --data X_TRAIN.ts --validation X_TEST.ts --output RUN
    python -m recipes.sequence_classifier finetune --preset wrist_activity --data mine/ --output RUN

CORPUS: a folder, tar or zip of `labels.tsv` (id, label, perhaps subject) and `ID.csv`; one long table (CSV,
Parquet) with the columns id and label; a .ts file; an .npz of X and y; or tfds:NAME; `@4` shows a small one
four times an epoch. Without --validation or --hold-out, a tenth is held out, whole subjects where they are
known.
"""

from __future__ import annotations

import functools
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from recipes.training import command_line, course, keeping, labels, report, setup
from zoo.data.splitting import level_by_folder
from zoo.errors import UserError

LEVELS = functools.partial(level_by_folder, kind="subject")


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.sequence_classifier.network import SequenceClassifier, SequenceClassifierConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    for one in (train, finetune):
        command_line.add_hold_out(one, "sequences")
        command_line.add_columns(one, "id", "label", "subject")
        labels.add_options(one, "sequences")
        one.add_argument(
            "--balance-subjects", action="store_true",
            help="show subjects with few sequences more often: by the root of how many fewer they have",
        )  # fmt: skip
        command_line.add_fields(one, "model", SequenceClassifierConfig, preset=one is finetune)
    command_line.add_keep(finetune, "sequences")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    if options.action == "finetune":
        task = setup.load_preset(options, SequenceClassifier)
        learn, check, kept = _corpora(options, task.vocabulary)
        wanted = options.labels or sorted(set(learn.labels), key=_order)
        task = labels.with_labels(task, wanted, options.preset, "all but its output layer is kept")
    else:
        config = command_line.read_fields(options, "model", SequenceClassifierConfig)
        learn, check, kept = _corpora(options)
        task = SequenceClassifier(config, _vocabulary(learn, options)).with_statistics(learn)
    counts = labels.counts(task, learn, check, "sequences")
    if options.class_weights:
        labels.weigh(task, counts)
    if options.balance_subjects:
        learn = _balanced(learn)
    known = f"{labels.told(task, counts)}; {len(task.vocabulary)} channels"
    report.announce(task, learn, check, "sequences", known)

    output, settings = Path(options.output), setup.settings(task, schedule, options)
    course.run(task, learn, check, kept, _validation, output, schedule, settings)
    report.finished(task, output, "label sequences with it", "zoo predict {} FILE.csv")


def _corpora(options, vocabulary=None):
    """Sequences to learn from and to validate on, see ``keeping.corpora``.

    They have the channels of a vocabulary, or those that most of them have.
    """
    from zoo.families.sequence_classifier.corpus import load_sequences
    from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary

    load = functools.partial(load_sequences, columns=command_line.columns(options))
    if vocabulary is None:
        found = load(options.data, progress=True)
        (channels, _), *_ = Counter(found.channels).most_common(1)
        vocabulary = SequenceVocabulary(channels, ["any"])

    def usable(corpus):
        kept, skipped = corpus.of_channels(vocabulary)
        skipped = corpus.skipped + skipped
        for sentence in skipped[:5]:
            print(f"skipped: {sentence}", file=sys.stderr)
        if not len(kept):
            raise UserError(skipped[0].rstrip("."))
        print(f"{len(kept)} sequences, {len(skipped)} skipped.")
        return kept

    def checked(corpora, progress):
        return usable(load(corpora, progress=progress))

    def corpora(options):
        return setup.split(checked(options.data, True), options, checked, "sequences", LEVELS)

    return keeping.corpora(options, corpora)


def _balanced(learn):
    """The sequences, those of a subject with a tenth as many as the first shown three times as often.

    Raises:
        UserError: no subjects are known.
    """
    groups = [LEVELS(name) for name in learn.names]
    if not all(groups):
        raise UserError("--balance-subjects: there are sequences without a subject; leave it out.")
    subjects = [subject for ((_, subject),) in groups]
    _, numbers, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    return learn.repeated(np.rint(np.sqrt(sizes.max() / sizes)).astype(int)[numbers])


def _vocabulary(learn, options):
    from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary

    (channels, _), *_ = Counter(learn.channels).most_common(1)
    return SequenceVocabulary(channels, options.labels or sorted(set(learn.labels), key=_order))


def _order(label):
    """Labels that are numbers by their size."""
    return (0, float(label), "") if label.lstrip("-").isdecimal() else (1, 0.0, label)


def _validation(task, check):
    """The function called after each epoch.

    Where few validate, many epochs have the same error; the loss as training has it, with its smoothing, but
    without dropout and weights of labels, tells them apart, and chooses among them.
    """
    smoothing = task.config.label_smoothing

    def validation():
        losses, wrong, examples = [], 0, []
        for inputs, meant in check.chunks(256):
            for found, label in zip(task.predict(inputs, details=True), meant, strict=True):
                name = task.vocabulary.labels[task.vocabulary.row(label)]
                logs = {one: -math.log(max(value, 1e-12)) for one, value in found.probabilities.items()}
                losses.append((1 - smoothing) * logs[name] + smoothing * sum(logs.values()) / len(logs))
                wrong += found.label != name
                examples.append((name, f"{found.label} ({found.confidence:.2f})"))
        shown = examples[:: max(1, len(examples) // 3)][:3]
        return {"validation_loss": sum(losses) / len(losses), "error": wrong / len(losses), "examples": shown}

    return validation


if __name__ == "__main__":
    command_line.command(main)
