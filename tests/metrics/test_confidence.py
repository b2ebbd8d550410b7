"""Confidence: its figures, and the maps that make it true."""

import numpy as np
import pytest

from export.runtime import calibrated
from zoo.metrics.confidence import confidence_report, confidence_rows, fit, fit_power, out_of_sample, tempered


def drawn(count, seed, low=0.5, high=0.5, offset=-0.5):
    """Raw confidences, and whether each is right, of a model whose true map has these weights."""
    random = np.random.default_rng(seed)
    raw = random.beta(4, 1, count)
    true = np.array([calibrated(one, (low, high, offset)) for one in raw])
    return raw, random.random(count) < true, true


def test_the_error_is_that_of_bins_of_equal_count():
    confidence = np.repeat(np.linspace(0.05, 0.95, 10), 20)
    right = np.concatenate([np.arange(20) < round(20 * one) - 2 * (one > 0.5) for one in confidence[::20]])
    report = confidence_report(confidence, right)
    assert report["count"] == 200 and [one["count"] for one in report["bins"]] == [20] * 10
    assert report["error"] == pytest.approx(
        np.mean([abs(one["confidence"] - one["right"]) for one in report["bins"]]), abs=1e-4
    )
    assert 0.02 < report["chance"] < 0.1


def test_where_the_errors_are():
    confidence = np.linspace(0, 1, 100)
    right = np.arange(100) >= 8
    report = confidence_report(confidence, right)
    assert report["least_confident_tenth"] == 1
    assert report["threshold"] == {
        "confidence": 0.08, "below": 0.08, "wrong_below": 1.0, "wrong_above": 0.0
    }  # fmt: skip
    rows = dict(confidence_rows(report, "lines"))
    assert "has 100% of the errors" in rows["confidence"]
    assert rows["threshold"] == "below 0.08: 8% of the lines, of which 100% are wrong; above it, 0.0% are"


@pytest.mark.parametrize("right", [[], [True] * 5, [False] * 5, [True], [0.5, 0.25]])
def test_figures_of_few(right):
    report = confidence_report(np.linspace(0.2, 0.9, len(right)), right)
    assert report["count"] == len(right) and isinstance(confidence_rows(report, "lines"), list)
    assert report["least_confident_tenth"] is None or 0 <= report["least_confident_tenth"] <= 1


def test_the_map_makes_confidences_true():
    raw, right, _ = drawn(8000, 0)
    other, right_too, true = drawn(8000, 1)
    weights = fit(raw, right)
    found = np.array([calibrated(one, weights) for one in other])
    assert confidence_report(other, right_too)["error"] > 0.1
    assert confidence_report(found, right_too)["error"] < 0.03
    assert np.abs(found - true).mean() < 0.02
    assert confidence_report(out_of_sample(raw, right), right)["error"] < 0.03


@pytest.mark.parametrize("count", [1, 2, 10, 30, 300])
@pytest.mark.parametrize("every", [True, False, None])
def test_few_samples_or_all_alike_give_a_sane_map(count, every):
    raw, right, true = drawn(count, 3)
    right = right if every is None else np.full(count, every)
    weights = fit(raw, right)
    grid = np.array([calibrated(one, weights) for one in np.linspace(1e-6, 1, 50)])
    assert (np.diff(grid) >= 0).all() and (grid > 0).all() and (grid < 1).all()
    found = np.array([calibrated(one, weights) for one in raw])
    if every is None and count >= 30:
        assert np.abs(found - true).mean() < 0.12
    if every is True and count >= 30:
        assert found.mean() > 0.9
    if every is False and count >= 30:
        assert found.mean() < 0.1


def test_what_is_true_stays():
    random = np.random.default_rng(5)
    few = [random.uniform(0.3, 1, 30) for _ in range(20)]
    assert sum(fit(raw, random.random(30) < raw) == [1, 1, 0] for raw in few) > 10
    logits = random.normal(0, 2, (2000, 5))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = np.array([random.choice(5, p=one) for one in true])
    assert fit_power(true, rows) == 1
    assert fit_power(tempered(true, 2.5), rows) == pytest.approx(0.4, abs=0.02)
    assert fit_power(tempered(true, 0.5), rows) == pytest.approx(2, abs=0.1)


def test_nothing_read_stays_nothing():
    assert fit([], []) is None and fit([0, 0], [True, False]) is None
    assert calibrated(0, (1, 1, 5)) == 0 and calibrated(0.25, None) == 0.25
    assert 0.99 < calibrated(1, (1, 1, 0)) < 1
    assert confidence_report(out_of_sample([0.0, 0.5, 0.9], [False, True, True]), [0, 1, 1])["count"] == 3
