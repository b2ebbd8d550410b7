"""From options to what is trained: seeds and precision, samples to learn and to validate on, the preset."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.training import in_python, report
from recipes.training.command_line import read_fields, shown
from zoo.backend import gpu_precision
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

    import keras

    from recipes.training.schedule import Schedule
    from zoo.contract.task import Task
    from zoo.data.pipeline import Pipeline
    from zoo.data.samples import Samples

STEPS = 20  # of an epoch of fine-tuning, at least
SKIPPED = 0.1  # of a corpus may be unusable before a run asks whether it is the right one


def set_up(schedule: Schedule) -> None:
    """Seeds, threads and precision; call it before anything else touches the backend."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(schedule.seed)
    gpu = gpu_precision()
    if schedule.threads and not gpu:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(schedule.threads)
        except RuntimeError:
            pass  # TensorFlow is running already; only speed is at stake
    precision = schedule.precision
    if precision == "auto":
        precision = gpu or "float32"
    keras.config.set_dtype_policy(precision)


# === Samples ===


def split(
    corpus: Samples, options: argparse.Namespace, load: Callable, unit: str, levels: Any, **more: Any
) -> tuple[Samples, Samples]:
    """Samples to learn from and samples to validate on: no group in both. What is held out is printed.

    Of few samples to fine-tune on, see ``often_enough``.

    Args:
        corpus: what there is.
        options: ``data``, ``validation`` and ``hold_out``, as given.
        load: the function that loads corpora.
        unit: what a corpus consists of, in the plural: "lines".
        levels, more: as of ``zoo.data.splitting.hold_out``.
    """
    from zoo.data.splitting import hold_out

    check_usable(corpus, options, unit)
    if options.validation:
        return often_enough(corpus, options, unit), load(options.validation, progress=True)
    if options.hold_out:
        return part(corpus, held_out(corpus.names, options.hold_out, unit), options, unit)
    found = hold_out(corpus.names, levels, unit, **more)
    held = set().union(*(one.names for one in found))
    return part(corpus, held, options, unit, found)


def split_by(
    options: argparse.Namespace, load: Callable, unit: str, groups_of: Callable
) -> tuple[Samples, Samples]:
    """The samples of ``--data`` as of ``split``, those of a group on one side; how many there are is said.

    Args:
        options, load, unit: as of ``split``.
        groups_of: from a corpus to the group of each of its samples, a list of str.
    """
    corpus = load(options.data, progress=True)
    report.loaded(corpus, unit)
    groups = dict(zip(corpus.names, groups_of(corpus), strict=True))
    return split(corpus, options, load, unit, lambda name: [("text", groups[name])])


def held_out(names: Sequence[str], hold_out: str, unit: str) -> set[str]:
    """Those of ``names`` that ``--hold-out`` matches, a set. Raises UserError where these are all or none."""
    try:
        pattern = re.compile(hold_out)
    except re.error as error:
        raise UserError(f"--hold-out {hold_out!r} is no regular expression ({error}).") from error
    held = set(filter(pattern.search, names))
    if not 0 < len(held) < len(names):
        raise UserError(
            f"--hold-out {hold_out!r} matches {'all' if held else 'none'} of the {len(names)} {unit}; they "
            f"are called {', '.join(names[:3])} and so on."
        )
    return held


def check_usable(corpus: Samples, options: argparse.Namespace, unit: str) -> None:
    """UserError where more than a tenth of a corpus cannot be used, unless ``--allow-skipped`` is given."""
    bad = len(corpus.skipped)
    if bad > SKIPPED * (bad + len(corpus)) and not options.allow_skipped:
        raise UserError(
            f"{', '.join(options.data)}: {bad} of {bad + len(corpus)} {unit} cannot be used, such as: "
            f"{corpus.skipped[0].rstrip('.')}; mend them, or go on without them: --allow-skipped"
        )


def part(
    corpus: Samples, held: set[str], options: argparse.Namespace, unit: str, found: Any = None
) -> tuple[Samples, Samples]:
    """The samples whose names are not in ``held``, and those whose are, which is said.

    ``found`` is what ``zoo.data.splitting.hold_out`` gave, where that chose them.
    """
    learn, check = corpus.select(lambda name: name not in held), corpus.select(held.__contains__)
    if not len(learn) or not len(check):
        raise UserError(
            f"{', '.join(options.data)}: {len(corpus)} {unit} cannot be split into {unit} to learn and to "
            "validate; give more, or corpora with --validation."
        )
    if found is not None:
        told = "; ".join(map(str, found))
        groups = {one.corpus: one.groups for one in found if one.names}
        several = len(groups) > 1
        # What is no group was drawn one by one.
        groups = {of: "drawn one by one" if how.startswith("single ") else how for of, how in groups.items()}
        how = "; ".join(f"{of}: {how}" if several else how for of, how in groups.items() if how)
        tell(options, held_out=how)
    else:
        counts = [Counter(name.partition("/")[0] for name in one.names) for one in (corpus, check)]
        told = "; ".join(
            f"{of}: {count - counts[1][of]} to learn, {counts[1][of]} held out"
            for of, count in counts[0].items()
        )
    print(f"{told}.")
    return often_enough(learn, options, unit), check


def tell(options: argparse.Namespace, **facts: Any) -> None:
    """Keep what a run's card tells and defines no run, such as how samples were held out."""
    options.told = getattr(options, "told", {}) | facts


def often_enough(learn: Samples, options: argparse.Namespace, unit: str) -> Samples:
    """Samples to fine-tune on, of few of which an epoch shows each several times, to have ``STEPS`` steps.

    Thirty lines would else be two steps, and as many epochs as usual no more than sixty.
    """
    if getattr(options, "action", None) != "finetune":
        return learn
    size = int(getattr(options, "training.batch_size") or getattr(options, "training.schedule").batch_size)
    times = -(-STEPS * size // learn.shown())
    if times < 2:
        return learn
    print(f"These are few {unit}: an epoch shows each {times} times, which are {STEPS} steps.")
    return learn.repeated(np.full(len(learn), times))


def pipeline(
    task: Task, corpus: Samples, schedule: Schedule, check: bool = False, **options: Any
) -> Pipeline:
    """The ``zoo.data.pipeline.Pipeline`` of samples to learn from, or to ``check`` on."""
    from zoo.data.pipeline import Pipeline

    # A file has room for one set of samples: those that are learned.
    cache = "memory" if check and schedule.cache != "none" else schedule.cache
    found = Pipeline(task, corpus, schedule.batch_size, cache=cache, **options)
    if cache not in ("memory", "none"):
        size = f"{os.path.getsize(cache) / 1e6:.1f} MB"
        print(
            f"{cache}: {found.count:,} decoded samples, {size}, are kept here; remove the file after the run."
        )
    return found


def check_loss(
    task: Task, check: Samples, schedule: Schedule, learn: Samples, **options: Any
) -> Callable[[keras.Model], float]:
    """The loss on samples to validate on, without augmentation and dropout: a function of the training model.

    No more samples are taken, spread evenly over all, than a tenth of those learned in an epoch, 32 at
    least.
    """
    from zoo.data.pipeline import Pipeline

    few = check.sample(max(32, learn.shown() // 10))
    cache = "none" if schedule.cache == "none" else "memory"
    data = Pipeline(task, few, min(schedule.batch_size, len(few)), 4, cache, **options)

    steps = sum(1 for _ in data.once())  # which Keras has to know, and tf.data does not

    def loss(model):
        # Of an iterator Keras would take the lengths of the first two batches for those of all.
        return float(model.evaluate(data.all(), steps=steps, verbose=0))

    return loss


# === The task ===


def load_preset(options: argparse.Namespace, cls: type[Task]) -> Task:
    """The task that ``--preset`` names, its configuration as the ``--model`` options say.

    Raises:
        UserError: it cannot be loaded, is of another class, or its weights do not fit what is asked for.
    """
    from zoo.contract.task import load

    task = in_python.task() or load(options.preset)
    if not isinstance(task, cls):
        raise UserError(f"{options.preset} is a model for {task.name}; give one for {cls.name}.")
    config = read_fields(options, "model", task.Config, task.config)
    if config == task.config:
        return task
    new = type(task)(config, task.vocabulary, task.card, task.assets)
    try:
        new.set_weights(task.weights())
    except UserError as error:
        old, given = dataclasses.asdict(task.config), dataclasses.asdict(config)
        changed = [name for name in given if given[name] != old[name]]
        asked = " ".join(f"--model.{name.replace('_', '-')} {shown(given[name])}" for name in changed)
        weights = ", ".join(shown(old[name]) for name in changed)
        raise UserError(
            f"{asked} does not fit {options.preset}, whose weights are for {weights}; leave it out, or train "
            "from nothing."
        ) from error
    return new


def with_tokens(task: Task, missing: Collection[str], kind: str, options: argparse.Namespace) -> Task:
    """The preset, with tokens that it lacks if ``--extend`` asks for them; otherwise it is said.

    Args:
        missing: a sequence of str.
        kind: what they are, such as "words of the captions".
    """
    if missing and options.extend:
        return task.with_vocabulary(task.vocabulary.extended(missing))
    if missing:
        print(
            f"{len(missing)} {kind} ({' '.join(map(repr, list(missing)[:10]))}) are not among those of "
            f"{options.preset}, which learns that there is an unknown one; add --extend to learn them, too."
        )
    return task


def settings(task: Task, schedule: Schedule, options: argparse.Namespace) -> dict[str, Any]:
    """All that defines a run: what was given and what it made of the task; ``told`` is for its card alone."""
    aside = ("output", "allow_skipped")  # which change nothing of what is learned
    given = {key: value for key, value in vars(options).items() if "." not in key and key not in aside}
    about = {"training": schedule.defining(), "model": dataclasses.asdict(task.config)}
    told = given.pop("told", {}) | in_python.told()
    return {"recipe": task.name, **given, **about} | ({"told": told} if told else {})
