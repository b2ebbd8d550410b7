import numpy as np
import pytest

from zoo.audio.pitch import contour, pitch

RATE, HOP = 16000, 200


@pytest.mark.parametrize("hertz", [90, 180, 333])
def test_pitch_of_a_buzz(hertz):
    time = np.arange(RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * hertz * k * time + k) / k for k in range(1, 20))
    noise = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    found = pitch(np.concatenate([buzz, noise, 0 * time]), RATE, HOP, 236, 400)
    assert found[:72] == pytest.approx(hertz, rel=0.01)
    assert (found[82:] > 0).mean() < 0.05


def test_contour_goes_straight_on():
    np.testing.assert_allclose(np.exp(contour(np.array([0, 100, 0, 0, 100, 0.0]))), 100, rtol=1e-5)
    assert not contour(np.zeros(3)).any() and len(contour(np.zeros(3))) == 3
