"""What a run does last: its confidences are made true on the samples that it was validated on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contract.calibration import calibrated
from zoo.contract.card import with_section

if TYPE_CHECKING:
    from zoo.contract.task import Task
    from zoo.data.samples import Samples

MEANING = "The confidence of a result is the probability that it is right."  # so a run's card begins to tell


def finish(task: Task, check: Samples, output: str | os.PathLike) -> None:
    """Calibrate a task with its best weights in it, and keep it as the run's best.

    Args:
        task: the task.
        check: the samples to validate on.
        output: the run folder.
    """
    new, before, after = calibrated(task, check)
    if new is task:
        return
    print(told(before, after))
    if text := new.card.get("text"):
        new.card["text"] = in_card(text, told(before, after))
    new.save(Path(output) / "best")


def in_card(text: str, sentence: str) -> str:
    """A run's card with what ``told`` gave in it, in place of what it said of that before."""
    return with_section(text, "Confidence", f"{MEANING} {sentence}")


def told(before: dict[str, dict], after: dict[str, dict]) -> str:
    """The sentence on two reports of ``zoo.contract.calibration.calibrated``."""
    before, after = before["text"], after["text"]
    return (
        f"Confidence calibrated on the {before['count']} samples held out: on those left out of the fit it "
        f"is off by {after['error']:.1%} on average ({before['error']:.1%} before; with so few, "
        f"{after['chance']:.1%} by chance alone)."
    )
