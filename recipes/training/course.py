"""The course of a recipe that has samples and a task: train it, and make its confidences true."""

import functools

from recipes.training import calibrating, card, keeping, loop, setup


def run(task, learn, check, kept, measure, output, schedule, settings, finish=None, most=None, **batches):
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
