"""What a task serves, compiled: what fills it up changes nothing, and weights are the present ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import keras, numpy as np
from keras import ops
from zoo.contract.compiled import compiled
from zoo.contract.serving import TensorSpec

network = keras.Sequential([keras.Input((None, 1)), keras.layers.Dense(1, use_bias=False)])

def serve(inputs):
    x = network(inputs["x"][..., None])[..., 0]
    return {"y": x[:, : inputs["count"]] if BACKEND == "jax" else x, "sum": ops.sum(x, 1)}

inputs = TensorSpec("x", "float32", ("batch", "time")), TensorSpec("count", "int32", ())
outputs = TensorSpec("y", "float32", ("batch", "time")), TensorSpec("sum", "float32", ("batch",))
run = compiled(network, serve, inputs, outputs, {"batch": 4, "time": 8}, ("count",))
for batch, time in ((1, 3), (4, 8), (5, 9)):
    for weight in (2.0, 3.0):
        network.layers[0].kernel.assign([[weight]])
        x = np.random.default_rng(0).normal(size=(batch, time)).astype("float32")
        found = run({"x": x, "count": np.array(time, "int32")})
        np.testing.assert_allclose(found["y"], weight * x, rtol=1e-6)
        np.testing.assert_allclose(found["sum"], weight * x.sum(1), rtol=1e-5, atol=1e-5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_shapes_and_weights_may_change(backend):
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    code = f"BACKEND = {backend!r}\n{CODE}"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
