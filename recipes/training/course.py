"""The course of a recipe that has samples and a task: train it, and make its confidences true."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recipes.training import calibrating, card, keeping, loop, setup

if TYPE_CHECKING:
    from recipes.training.schedule import Schedule
    from zoo.contract.task import Task
    from zoo.data.samples import Samples


def run(
    task: Task, learn: Samples, check: Samples, kept: Samples | None, measure: Callable,
    output: str | os.PathLike, schedule: Schedule, settings: dict[str, Any],
    finish: Callable[[Task], Task] | None = None, most: int | None = None, **batches: Any,
) -> None:  # fmt: skip
    """Train a task, or go on with a run; the best model is in ``output/best``.

    Args:
        task: the ``Task``.
        learn, check, kept: samples, see ``recipes.training.keeping.corpora``.
        measure: from the task and samples to the function that measures on them after each epoch, see
            ``recipes.training.loop.train``.
        output: the run folder.
        schedule: a ``Schedule``.
        settings: see ``recipes.training.setup.settings``.
        most: how many of ``check`` ``measure`` takes at most; all by default.
        finish: called with the task, its best weights in it; gives the task to keep.
        batches: options of ``zoo.data.pipeline.Pipeline``.
    """
    data = setup.pipeline(task, learn, schedule, **batches)
    validation = keeping.validation(functools.partial(measure, task), check, kept)
    check_loss = setup.check_loss(task, check, schedule, learn, **batches)
    told = card.of_run(task, settings, learn, check, kept, most=most)
    loop.train(task, data, validation, output, schedule, settings, check_loss, told)
    calibrating.finish(finish(task) if finish else task, check, output)
