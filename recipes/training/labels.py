"""What the recipes of classifiers share: their labels on the command line, in the corpora and in the loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

    from zoo.contract.task import Task
    from zoo.data.samples import Samples


def add_options(parser: argparse.ArgumentParser, unit: str) -> None:
    """Add ``--labels`` and ``--class-weights``; ``unit`` is what has a label, in the plural: "texts"."""
    parser.add_argument(
        "--labels", nargs="+", metavar="NAME", help="names of labels that corpora number from 0, in order"
    )
    parser.add_argument(
        "--class-weights", action="store_true", help=f"labels count alike, however many {unit} they have"
    )


def counts(task: Task, learn: Samples, check: Samples, unit: str) -> Counter:
    """How many samples of each output row are learned, a Counter.

    Args:
        task: its ``vocabulary`` is a ``zoo.contract.labels.Labels``.
        learn, check: samples to learn from and to validate on, with ``labels``.
        unit: as of ``add_options``.

    Raises:
        UserError: all have one label, or one is among those to validate on alone.
    """
    vocabulary = task.vocabulary
    found = Counter(map(vocabulary.row, learn.labels))
    if len(found) < 2:
        raise UserError(
            f"All {unit} to learn from have the label {min(learn.labels)!r}; give {unit} of two labels or "
            "more."
        )
    for label in sorted(set(check.labels)):
        if label not in vocabulary or vocabulary.row(label) not in found:
            raise UserError(
                f"The label {label!r} is only among {unit} to validate on; learn from some of it, too, or "
                "leave it out."
            )
    return found


def weigh(task: Task, found: Counter) -> None:
    """Let labels count alike in the loss, however many samples each has, which is what ``counts`` found."""
    for row in range(len(task.label_weights)):
        task.label_weights[row] = found.total() / (len(found) * found[row]) if found[row] else 1.0


def told(task: Task, found: Counter) -> str:
    """How many there are of each label, for people."""
    return ", ".join(f"{found[row]} {label}" for row, label in enumerate(task.vocabulary.labels))


def with_labels(task: Task, labels: Sequence[str], preset: str, kept: str, noun: str = "labels") -> Task:
    """The preset, whose output layer starts anew where there is a label that it lacks.

    Args:
        task: the preset.
        labels: list of str, those to learn.
        preset: its name.
        kept: what becomes of it, for people.
        noun: what labels are called there.
    """
    if all(label in task.vocabulary for label in labels):
        return task
    print(f"Your {noun} differ from those of {preset}: {kept}.")
    return task.with_labels(labels)
