"""What a run does last: its confidences are made true on the samples that it was validated on."""

from pathlib import Path

from zoo.contract.calibration import calibrated


def finish(task, check, output):
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
    new.save(Path(output) / "best")


def told(before, after):
    """The sentence on two reports of ``zoo.contract.calibration.calibrated``."""
    before, after = before["text"], after["text"]
    return (
        f"Confidence calibrated on the {before['count']} samples held out: its error {before['error']:.3f} "
        f"before, {after['error']:.3f} after on samples left out ({after['chance']:.3f} by chance alone)."
    )
