"""All steps of a sequence as one vector: what is beyond its length counts nothing."""

import numpy as np
import pytest

from zoo.layers.pooling import POOLING, Pooling


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("method", POOLING)
def test_pooling(method, directions):
    random = np.random.default_rng(0)
    lengths = np.array([5, 1, 3], "int32")
    x = random.uniform(-1, -0.1, (3, 5, 4)).astype("float32")
    x *= (np.arange(5) < lengths[:, None])[:, :, None]
    layer = Pooling(method, directions)
    found = np.asarray(layer(x, lengths))
    assert found.shape == layer.compute_output_spec(x, lengths).shape
    for row, length, one in zip(x, lengths, found, strict=True):
        steps = row[:length]
        ends = steps[-1] if directions == 1 else np.concatenate([steps[-1, :2], steps[0, 2:]])
        mean, most = steps.mean(0), steps.max(0)
        both = np.concatenate([mean, most])
        wanted = {"last_state": ends, "mean": mean, "max": most, "mean_max": both}[method]
        np.testing.assert_allclose(one, wanted, atol=1e-6)
    assert Pooling.from_config(layer.get_config()).directions == directions
