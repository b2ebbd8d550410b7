"""The study of memory at tiny settings: its tasks, its training, its page."""

import numpy as np
import pytest

from studies import memory
from zoo.errors import UserError


@pytest.mark.parametrize("delay", [4, 10, 100])
def test_the_adding_problem(delay):
    x, y = memory.adding(delay, 50, np.random.default_rng(0))
    assert x.shape == (50, delay, 2) and y.shape == (50, 1)
    assert (x[:, :, 1].sum(1) == 2).all()
    marked = x[:, :, 0][x[:, :, 1] == 1].reshape(50, 2)
    np.testing.assert_allclose(marked.sum(1, keepdims=True), y, atol=1e-6)
    assert not x[:, max(2, delay // 2) :, 1].any()  # half of the steps lie between


def test_copy_memory():
    x, y = memory.copying(7, 20, np.random.default_rng(0))
    assert x.shape == (20, 13, memory.LETTERS + 2) and y.shape == (20, memory.COPIED)
    symbols = x.argmax(-1)
    np.testing.assert_array_equal(symbols[:, :3], y)
    assert (symbols[:, 3:10] == memory.LETTERS).all() and (symbols[:, 10:] == memory.LETTERS + 1).all()


@pytest.mark.slow
def test_training_stops_when_the_task_is_solved_or_the_loss_no_number(monkeypatch):
    import keras

    keras.utils.set_random_seed(0)
    model = memory.network("adding", "simple")
    monkeypatch.setitem(memory.TASKS, "adding", (*memory.TASKS["adding"][:4], 1.0))
    steps, solved = memory.train(model, "adding", 5, 100)
    assert solved and memory.WINDOW <= steps < 100
    model = memory.network("adding", "linear", recurrent_initializer=keras.initializers.Identity(1e30))
    assert memory.train(model, "adding", 5, 10) == (1, False)


@pytest.mark.slow
def test_the_page_and_its_plots(tmp_path, monkeypatch, capsys):
    def train(model, task, delay, steps, clip=memory.CLIP, seed=0):
        return steps - delay, clip is not None and delay < 6  # what a training gives, without one

    monkeypatch.setattr(memory, "LAGS", 12)
    monkeypatch.setattr(memory, "train", train)
    options = ["--kinds", "lstm", "--delays", "4,6,8", "--steps", "200"]
    memory.main([*options, "--output", str(tmp_path)])
    text = (tmp_path / "memory.md").read_text(encoding="utf-8")
    assert text.count("| `lstm` | 196 | no |  |") == 2 and "{" not in text
    assert "| `lstm` | 196 steps | not in 196 steps |" in text
    for name in ("memory_influence.png", "memory_gates.png"):
        assert f"({name})" in text
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) < 100_000
    assert "lstm" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option, message",
    [(["--kinds", "rnn"], "rnn"), (["--delays", "ten"], "ten"), (["--delays", "1"], "too small")],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(UserError, match=message):
        memory.main([*option, "--output", str(tmp_path / "no")])
    assert not (tmp_path / "no").exists()
