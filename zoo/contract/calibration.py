"""Calibrating a model on validation data: its asset that makes confidences true."""

import json

from export.runtime import CONFIDENCE
from zoo.metrics.confidence import confidence_report, fit, out_of_sample


def calibrated(task, corpus, progress=False):
    """A task whose confidences are the probabilities that its results are right.

    Args:
        task: a ``zoo.contract.task.Task``.
        corpus: a ``zoo.data.samples.Samples`` that it has not learned from.
        progress: show bars.

    Returns:
        ``(task, before, after)``: another task with the same weights, or this one where its family tells of
        no confidence; and the ``confidence_report`` of its results before, and after by maps that were
        fitted without the samples that they are measured on.
    """
    reader = _with(task, None).reader
    judged = {}
    reader.evaluate(corpus, progress, judged=judged)
    if not judged:
        return task, None, None
    raw, right = judged["text"]
    before, after = confidence_report(raw, right), confidence_report(out_of_sample(raw, right), right)
    found = {what: fit(*pairs) for what, pairs in judged.items()}
    if reader.is_searching:
        found = {f"searched_{what}": weights for what, weights in found.items()}
        judged = {}
        reader.evaluate(corpus, progress, judged=judged, **reader.greedy)
        found |= {what: fit(*pairs) for what, pairs in judged.items()}
    found = {what: [round(x, 5) for x in weights] for what, weights in found.items() if weights}
    return _with(task, json.dumps(found).encode()) if found else task, before, after


def _with(task, asset):
    """The task with another asset ``CONFIDENCE``, or without one."""
    assets = {name: data for name, data in task.assets.items() if name != CONFIDENCE}
    new = type(task)(task.config, task.vocabulary, task.card, assets | ({CONFIDENCE: asset} if asset else {}))
    new.set_weights(task.weights())
    return new
