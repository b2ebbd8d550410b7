import numpy as np
import pytest

from zoo.metrics.speech import COEFFICIENTS, mel_distortion


def test_distortion():
    """Nothing for the same at another pace or loudness; by hand for one frame each."""
    random = np.random.default_rng(0)
    mel = random.normal(size=(20, 24))
    assert mel_distortion(np.repeat(mel, 3, 0), mel + 7) == pytest.approx(0, abs=1e-5)
    assert mel_distortion(mel, random.normal(size=(30, 24))) > 1
    other = np.cos(np.pi * (np.arange(24) + 0.5) / 24)[None]  # the first cepstral coefficient alone
    wanted = 10 / np.log(10) * np.sqrt(2) * 0.5 * np.square(other).mean()
    assert mel_distortion(0 * other, other) == pytest.approx(wanted) and COEFFICIENTS < 24
