"""Calibrating a model on validation data: its asset that makes confidences true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from export.runtime import CONFIDENCE
from zoo.contract.card import LOADED, calibrated_now
from zoo.metrics.confidence import confidence_report, fit, fit_power, out_of_sample, power_out_of_sample

if TYPE_CHECKING:
    from zoo.contract.task import Task
    from zoo.data.samples import Samples

MOST = 4000  # samples that suffice for maps of three numbers


def calibrated(task: Task, corpus: Samples, progress: bool = False) -> tuple[Task, dict | None, dict | None]:
    """A task whose confidences are the probabilities that its results are right.

    Args:
        task: a ``zoo.contract.task.Task``.
        corpus: a ``zoo.data.samples.Samples`` that it has not learned from.
        progress: show bars.

    Returns:
        ``(task, before, after)``: another task with the same weights, or this one where its family tells of
        no confidence; and the ``confidence_report`` of its results, as "text", and of their words, as
        "word", before, and after by maps that were fitted without the samples that they are measured on.
    """
    reader = (_with(task, None) if CONFIDENCE in task.assets else task).reader
    if not reader.judges:
        return task, None, None
    judged = {}
    corpus = corpus.sample(MOST) if len(corpus) > MOST else corpus
    reader.evaluate(corpus, progress, judged=judged)
    if "labels" in judged:
        before, after = (
            {"text": confidence_report(sure, judged["text"][1])}
            for sure in (judged["text"][0], power_out_of_sample(*judged["labels"]))
        )
        return _with(task, {"power": fit_power(*judged["labels"])}), before, after
    before = {what: confidence_report(*pairs) for what, pairs in judged.items()}
    after = {
        what: confidence_report(out_of_sample(raw, right), right) for what, (raw, right) in judged.items()
    }
    found = {what: fit(*pairs) for what, pairs in judged.items()}
    if reader.is_searching:
        found = {f"searched_{what}": weights for what, weights in found.items()}
        judged = {}
        reader.evaluate(corpus, progress, judged=judged, **reader.greedy)
        found |= {what: fit(*pairs) for what, pairs in judged.items()}
    found = {what: weights for what, weights in found.items() if weights}
    return _with(task, found) if found else task, before, after


def _with(task, maps):
    """The task with another asset ``CONFIDENCE``, or without one."""
    card = task.own_card()
    if loaded := task.card.get(LOADED):  # a map that is fitted now is of the weights as they are now
        card[LOADED] = loaded | {"weights_sha256": task.weights_sha256()}
    if maps and "text" in card:
        card["text"] = calibrated_now(card["text"])
    asset = {CONFIDENCE: json.dumps(maps).encode()} if maps else {}
    assets = {name: data for name, data in task.assets.items() if name != CONFIDENCE}
    new = type(task)(task.config, task.vocabulary, card, assets | asset)
    new.set_weights(task.weights())
    return new
