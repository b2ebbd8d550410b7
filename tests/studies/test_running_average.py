"""One unit is a running sum: exactly by hand, nearly when learned, and a single operation in ONNX."""

import collections
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from studies.running_average import in_blocks, learn, network, running_sum, weights

ALPHAS = [0.1, 0.5, 0.9, 0.99]


def noise(count):
    return np.random.default_rng(3).uniform(-1, 1, count).astype("float32")


def test_a_running_sum():
    np.testing.assert_allclose(running_sum(np.array([[1, 0, 0, 2.0]]), 0.5), [[1, 0.5, 0.25, 2.125]])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_weights_by_hand_are_exact_over_ten_thousand_steps(alpha):
    x = noise(10_000)
    y = network(1.0, alpha, 1.0).predict_on_batch(x[None, :, None])[0, :, 0]
    wanted = running_sum(x, alpha)
    assert np.abs(y - wanted).max() <= 1e-6 * np.abs(wanted).max()
    if alpha <= 0.9:  # beyond, sums are so large that float32 has no six digits behind the point
        np.testing.assert_allclose(y, running_sum(x, np.float32(alpha)), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ALPHAS)
def test_alpha_is_learned_from_examples(alpha):
    model = network(0.5, 0.0, 0.5)
    course = learn(model, alpha)
    w_xh, w_hh, w_hy = weights(model)
    assert abs(w_hh - alpha) < 1e-3 and abs(w_xh * w_hy - 1) < 1e-2
    assert course[0] == 0 and course[-1] == w_hh and len(course) == 31


def test_blocks_are_the_whole_signal():
    x = noise(10_500)

    def run(rows):
        return running_sum(rows[..., 0].astype("float64"), 0.9)[..., None]

    np.testing.assert_allclose(in_blocks(run, x, 0.9), running_sum(x, 0.9), atol=1e-6)


@pytest.mark.slow
def test_the_recipe(tmp_path):
    command = [sys.executable, "-m", "studies.running_average", "--output", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "W_hh = 0.900" in done.stdout and "1 RNN node, no loop" in done.stdout
    assert (tmp_path / "run" / "alpha.png").read_bytes().startswith(b"\x89PNG")
    path = tmp_path / "run" / "running_sum.onnx"
    nodes = collections.Counter(node.op_type for node in onnx.load(path).graph.node)
    assert nodes["RNN"] == 1 and "Loop" not in nodes and "Scan" not in nodes
    x = noise(1000)
    (y,) = onnxruntime.InferenceSession(path).run(None, {"x": x[None, :, None]})
    np.testing.assert_allclose(y[0, :, 0], running_sum(x, 0.9), atol=1e-3)


@pytest.mark.parametrize("alpha", ["1", "-0.5", "nan"])
def test_an_alpha_that_does_not_decay_is_refused(alpha, tmp_path):
    from studies.running_average import main
    from zoo.errors import UserError

    with pytest.raises(UserError, match="0.1 to 0.99"):
        main([f"--alpha={alpha}", "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
