"""The mean of several runs' weights."""

import numpy as np
import pytest

import zoo
from export.runtime import CONFIDENCE
from recipes import average
from zoo.errors import UserError
from zoo.families.char_lm.network import CharLm, CharLmConfig
from zoo.text.plain import Characters


def save(folder, characters="abc", **settings):
    config, assets = CharLmConfig(units=4, embedding=3, **settings), {CONFIDENCE: b"{}"}
    task = CharLm(config, Characters(characters), assets=assets)
    task.save(folder)
    return zoo.load(folder).weights()  # as they are stored


def test_the_mean_of_three(tmp_path):
    names = [str(tmp_path / name) for name in "abc"]
    each = [save(name, dropout=0.1 * i) for i, name in enumerate(names)]
    average.main([*names, "--output", str(tmp_path / "mean")])
    mean = zoo.load(tmp_path / "mean")
    assert mean.config == zoo.load(names[0]).config
    for name, value in mean.weights().items():
        wanted = np.mean([np.asarray(weights[name], "float32") for weights in each], 0)
        np.testing.assert_allclose(value, wanted, atol=1e-3)  # stored as float16
    assert CONFIDENCE in zoo.load(names[0]).assets and CONFIDENCE not in mean.assets  # it is of other weights
    assert any(np.ptp([weights[name] for weights in each]) > 0.1 for name in each[0])


@pytest.mark.parametrize("other", [{"characters": "abd"}, {"layers": 1}])
def test_other_networks_are_told(tmp_path, other):
    save(tmp_path / "a")
    save(tmp_path / "b", **other)
    with pytest.raises(UserError, match="b: this is another network"):
        average.main([str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path / "mean")])
    assert not (tmp_path / "mean").exists()
