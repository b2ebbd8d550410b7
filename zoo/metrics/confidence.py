"""Confidence: whether results are right as often as they say, and the map that makes them so.

A result's raw confidence is the network's own; networks are surer than they should be (Guo et al. 2017, "On
calibration of modern neural networks"). ``fit`` finds from validation data a monotone map of few parameters
from it to the probability that the result is right: beta calibration (Kull, Silva Filho & Flach 2017), of
which Platt's scaling (1999) is the symmetric case. ``export.runtime.calibrated`` applies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.runtime import calibrated, log_odds

BINS = 10
FOLDS = 10
BLOCKS = 50  # runs of neighbouring samples, such as lines of a page, that are in the same fold
PRIOR = 1.0  # strength with which the exponents are held near 1, as it were so many samples
STEPS = 60  # of Newton's method; some ten suffice
# Which of the three weights are equal: those of a curve are those of ``_columns`` times this.
CURVES = {
    "none": np.zeros((3, 0)),
    "offset": np.array([[0.0], [0.0], [1.0]]),
    "platt": np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
    "beta": np.eye(3),
}


def confidence_report(
    confidence: np.ndarray | Sequence[float], right: np.ndarray | Sequence[float]
) -> dict[str, Any]:
    """How far confidences are from the truth, and how well they tell what is wrong.

    Args:
        confidence: float ``[count]``, 0 to 1.
        right: ``[count]``, whether each result is right; or how near it comes, 0 to 1.

    Returns:
        A dict with ``count``; ``graded``, whether some are right in part; ``error``, the expected calibration
        error of ``BINS`` bins with as many each (Naeini et al. 2015), and ``chance``, what it is with so few
        results where each confidence is true; ``least_confident_tenth``, the share of all errors that is
        in the least confident tenth of the results, None where there is no error; ``bins``, for each bin
        ``{"count", "confidence", "right"}``, means; ``threshold``, where those below and above it differ
        most: ``{"confidence", "below": share of the results, "wrong_below", "wrong_above": of these}``,
        or None. For no results all are None or empty.
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, float)
    if not len(confidence):
        nothing = dict.fromkeys(("error", "chance", "least_confident_tenth", "threshold"))
        return {"count": 0, "graded": False, "bins": [], **nothing}
    order = np.argsort(confidence, kind="stable")
    confidence, wrong = confidence[order], 1 - right[order]
    parts = [part for part in np.array_split(np.arange(len(order)), BINS) if len(part)]
    bins = [
        {"count": len(part), "confidence": confidence[part].mean(), "right": 1 - wrong[part].mean()}
        for part in parts
    ]
    error = sum(one["count"] * abs(one["confidence"] - one["right"]) for one in bins) / len(order)
    # The mean distance of the mean of a bin from what is true, by the normal approximation.
    spread = [(confidence[part] * (1 - confidence[part])).sum() for part in parts]
    chance = np.sqrt(2 / np.pi * np.array(spread)).sum() / len(order)
    tenth = wrong[: max(1, round(len(order) / 10))].sum() / wrong.sum() if wrong.sum() else None
    bins = [{name: round(float(value), 4) for name, value in one.items()} for one in bins]
    return {
        "count": len(order),
        "graded": bool(((0 < right) & (right < 1)).any()),
        "error": float(error),
        "chance": float(chance),
        "least_confident_tenth": tenth if tenth is None else float(tenth),
        "bins": [one | {"count": int(one["count"])} for one in bins],
        "threshold": _threshold(confidence, wrong),
    }


def judge(
    confidence: np.ndarray | Sequence[float], right: np.ndarray | Sequence[float], judged: dict | None = None,
    what: str = "text",
) -> dict[str, Any]:  # fmt: skip
    """The ``confidence_report`` of results; ``judged``, if any, gets what it is made of as ``what``."""
    if judged is not None:
        judged[what] = confidence, right
    return confidence_report(confidence, right)


def _threshold(confidence, wrong):
    """Where the shares of wrong and of right results below it differ most, to two digits."""
    if not 0 < wrong.sum() < len(wrong):
        return None
    found = []
    for at in np.arange(0.01, 1, 0.01):
        below = confidence < at
        apart = wrong[below].sum() / wrong.sum() - (1 - wrong[below]).sum() / (1 - wrong).sum()
        found.append((apart, at, below))
    _, at, below = max(found, key=lambda one: one[0])
    return {
        "confidence": round(float(at), 2),
        "below": float(below.mean()),
        "wrong_below": float(wrong[below].mean()) if below.any() else None,
        "wrong_above": float(wrong[~below].mean()) if not below.all() else None,
    }


def confidence_rows(report: dict, what: str) -> list[tuple[str, str]]:
    """A ``confidence_report`` as a person reads it: list of ``(name, text)``; ``what`` results are of."""
    if report["error"] is None:
        return []
    text = f"calibration error {report['error']:.3f}"
    if not report["graded"]:
        text += f" ({report['chance']:.3f} by chance alone)"
    if report["least_confident_tenth"] is not None:
        missing = "of what is missing" if report["graded"] else "of the errors"
        text += f"; the least confident tenth has {report['least_confident_tenth']:.0%} {missing}"
    rows = [("confidence", text)]
    limit = report["threshold"]
    if limit and limit["wrong_below"] is not None and limit["wrong_above"] is not None:
        below, above = limit["wrong_below"], limit["wrong_above"]
        text = f"below {limit['confidence']:.2f}: {limit['below']:.0%} of the {what}, "
        if report["graded"]:
            text += f"{1 - below:.2f} right in the mean; above it, {1 - above:.2f}"
        else:
            text += f"of which {below:.0%} are wrong; above it, {above:.1%} are"
        rows.append(("threshold", text))
    return rows


# === The map ===


def fit(raw: np.ndarray | Sequence[float], right: np.ndarray | Sequence[float]) -> list[float] | None:
    """The map from raw confidences to the probability that a result is right.

    Of the confidence as it is, an offset alone, Platt's scaling and beta calibration it is the one whose
    likelihood is the highest on samples left out, so that few samples do not overfit; targets are smoothed as
    Platt's are, so that there is an answer where none is wrong, or all are.

    Args:
        raw: float ``[count]``, 0 to 1; those of 0, where nothing was read, are left out.
        right: ``[count]``, whether each is right; or how near it comes, 0 to 1.

    Returns:
        ``[low, high, offset]``, what ``export.runtime.calibrated`` takes; None where there is no sample.
    """
    raw, right = np.asarray(raw, float), np.asarray(right, float)
    right, raw = right[raw > 0], raw[raw > 0]
    if not len(raw):
        return None
    columns = _columns(raw)
    scores = {name: _left_out(columns, right, curve) for name, curve in CURVES.items()}
    # The first of those that are as good: it has the fewest parameters.
    return _fitted(columns, right, CURVES[min(scores, key=scores.get)]).round(5).tolist()


def tempered(probabilities: Any, power: float | None) -> np.ndarray:
    """Probabilities of labels at another temperature, 1 / ``power`` (Guo et al. 2017, section 4.2).

    The likeliest stays so. Float ``[..., labels]``; a ``power`` of None gives what is given.
    """
    if power is None:
        return probabilities
    logs = power * np.log(np.maximum(np.asarray(probabilities, float), 1e-12))
    found = np.exp(logs - logs.max(-1, keepdims=True))
    return found / found.sum(-1, keepdims=True)


def fit_power(probabilities: np.ndarray | Sequence, rows: np.ndarray | Sequence[int]) -> float:
    """The ``power`` of ``tempered`` by which the right labels are likeliest, held near 1 by ``PRIOR``.

    It is 1 where others make the right labels of samples left out no likelier.

    Args:
        probabilities: float ``[count, labels]``.
        rows: int ``[count]``, the right labels.
    """
    probabilities, rows = np.asarray(probabilities, float), np.asarray(rows)
    gained = sum(
        _surprise(probabilities[left], rows[left], 1.0)
        - _surprise(probabilities[left], rows[left], _likeliest(probabilities[~left], rows[~left]))
        for left in _folds(len(rows))
    )
    return _likeliest(probabilities, rows) if gained > 0 else 1.0


def _likeliest(probabilities, rows):
    """By Newton's method: the cross-entropy is convex in the power."""
    logs, power = np.log(np.maximum(probabilities, 1e-12)), 1.0
    right = np.take_along_axis(logs, rows[:, None], 1)[:, 0]
    for _ in range(STEPS):
        found = tempered(probabilities, power)
        mean = (found * logs).sum(-1)
        slope = (mean - right).sum() + PRIOR * (power - 1)
        curvature = (found * (logs - mean[:, None]) ** 2).sum() + PRIOR
        new = np.clip(power - slope / curvature, power / 2, power * 2)
        if abs(new - power) < 1e-6:
            break
        power = new
    return round(float(power), 5)


def _surprise(probabilities, rows, power):
    """The cross-entropy of the right labels, summed."""
    right = np.take_along_axis(tempered(probabilities, power), rows[:, None], 1)
    return -np.log(np.maximum(right, 1e-12)).sum()


def power_out_of_sample(probabilities: np.ndarray | Sequence, rows: np.ndarray | Sequence[int]) -> np.ndarray:
    """The highest probability of each sample by a power that was fitted without it and its neighbours."""
    probabilities, rows = np.asarray(probabilities, float), np.asarray(rows)
    found = probabilities.max(1)
    for left in _folds(len(rows)):
        found[left] = tempered(probabilities[left], fit_power(probabilities[~left], rows[~left])).max(1)
    return found


def out_of_sample(raw: np.ndarray | Sequence[float], right: np.ndarray | Sequence[float]) -> np.ndarray:
    """``[count]``: each confidence by a map that was fitted without it and its neighbours."""
    raw, right = np.asarray(raw, float), np.asarray(right, float)
    found = raw.copy()
    for left in _folds(len(raw)):
        weights = fit(raw[~left], right[~left])
        found[left] = [calibrated(one, weights) for one in raw[left]]
    return found


def _folds(count):
    """Iterate over masks ``[count]`` of samples to leave out; neighbours are left out together."""
    fold = np.arange(count) * min(BLOCKS, count) // max(count, 1) % FOLDS
    for one in range(fold.max() + 1) if count > 1 else ():
        yield fold == one


def _columns(raw):
    """``[count, 3]``: what the weights of the map are multiplied by."""
    return np.stack([*log_odds(raw), np.ones(len(raw))], 1)


def _left_out(columns, right, curve):
    """The mean cross-entropy of samples that a curve was not fitted on; neighbours are left out together."""
    losses = []
    for left in _folds(len(right)):
        z = columns[left] @ _fitted(columns[~left], right[~left], curve)
        losses += (np.logaddexp(0, z) - right[left] * z).tolist()
    return np.mean(losses) if losses else 0.0


def _fitted(columns, right, curve):
    """The weights ``[3]`` of a curve with the highest likelihood, no exponent below 0.

    By Newton's method. An exponent that would fall below 0 is 0 (Kull et al. 2017, section 4).
    """
    count = right.sum(), (1 - right).sum()
    target = 1 / (count[1] + 2) + right * ((count[0] + 1) / (count[0] + 2) - 1 / (count[1] + 2))
    start = np.array([1.0, 1.0, 0.0])
    if not curve.shape[1]:
        return start
    free = np.ones(curve.shape[1], bool)
    while True:
        used, base = curve[:, free], np.zeros(3)
        if curve.shape[1] == 1:  # an offset to the confidence as it is
            base = start
        weight = np.linalg.lstsq(used, start - base, rcond=None)[0]
        held = np.abs(used[:2]).sum(0) > 0
        for _ in range(STEPS):
            z = columns @ (base + used @ weight)
            found = np.exp(-np.logaddexp(0, -z))
            slope = used.T @ (columns.T @ (found - target)) + PRIOR * held * (weight - 1)
            curvature = (columns @ used).T @ (columns @ used * (found * (1 - found))[:, None])
            curvature += np.diag(PRIOR * held + 1e-6)
            step = np.linalg.solve(curvature, slope)
            weight = weight - step / max(1.0, np.abs(step).max())  # far from the end no long steps
            if np.abs(step).max() < 1e-8:
                break
        below = held & (weight < 0)
        if not below.any():
            return base + used @ weight
        free[np.flatnonzero(free)[below]] = False
