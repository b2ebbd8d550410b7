"""Reliability diagrams."""

import numpy as np
import pytest
from PIL import Image

from zoo.errors import UserError
from zoo.metrics.confidence import confidence_report
from zoo.plots.reliability import draw


def test_a_panel_for_each_title(tmp_path):
    random = np.random.default_rng(0)
    sure = random.random(200)
    report = confidence_report(sure, random.random(200) < sure**2)
    sizes = []
    for count in (1, 2, 3):
        panels = {f"panel {number}": {"before": report, "after": report} for number in range(count)}
        draw(panels, tmp_path / "p.png")
        sizes.append(Image.open(tmp_path / "p.png").size)
    assert sizes[1][0] == pytest.approx(2 * sizes[0][0], abs=2)
    assert sizes[2][1] == pytest.approx(2 * sizes[1][1], abs=2)
    pixels = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).astype(int)
    assert (np.ptp(pixels, axis=2) > 60).sum() > 200  # the lines, in colour


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UserError, match="no result"):
        draw({"a": {"b": confidence_report([], [])}}, tmp_path / "p.png")
    assert not list(tmp_path.iterdir())
