"""Training for real, on small data: it learns, it resumes, it refuses what it should."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from recipes import line_ocr, trainer
from zoo import task as tasks

SMALL = [
    "--model.height",
    "24",
    "--model.units",
    "48",
    "--model.dropout",
    "0.0",
    "--training.augment",
    "False",
]


def recipe(*arguments, backend="tensorflow", wait=True, **environment):
    command = [sys.executable, "-m", "recipes.line_ocr", *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    if not wait:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def complaint(monkeypatch, capsys):
    """A function that gives what the recipe, in this process, says when it refuses what is given."""

    def complaint(*arguments):
        monkeypatch.setattr(sys, "argv", ["line_ocr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            trainer.command(line_ocr.main)
        said = capsys.readouterr().err
        assert ended.value.code == 2 and "Traceback" not in said
        return said

    return complaint


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_learns_twenty_lines_by_heart(backend, line_folder, tmp_path, some_texts):
    run = tmp_path / "run"
    done = recipe(
        "train", "--data", f"{line_folder}@60", "--validation", line_folder, "--output", run, *SMALL,
        "--training.epochs", 8, "--training.batch-size", 10, "--training.learning-rate", 0.006,
        backend=backend,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(run / "history.csv", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    assert min(float(row["cer"]) for row in history) == 0.0
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").glob("events.*"))
    assert tasks.load(run).evaluate(line_folder)["cer"] == 0.0  # float16 weights, the TensorFlow backend


def history_of(run):
    rows = list(csv.DictReader((run / "history.csv").open(encoding="utf-8")))
    return [[row[key] for key in ("epoch", "loss", "cer", "wer", "learning_rate")] for row in rows]


def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(line_folder, tmp_path):
    options = [
        "train", "--data", line_folder, *SMALL, "--training.epochs", 5, "--training.batch-size", 4,
        "--training.augment", "True", "--model.dropout", "0.2",
    ]  # fmt: skip
    assert recipe(*options, "--output", tmp_path / "whole").returncode == 0
    killed = tmp_path / "killed"
    for epoch in (1, 3):
        process = recipe(*options, "--output", killed, wait=False)
        deadline = time.time() + 120
        while not (killed / "history.csv").exists() or len(history_of(killed)) < epoch:
            assert time.time() < deadline and process.poll() is None, process.stdout.read()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(history_of(killed)) < 5
    done = recipe(*options, "--output", killed)
    assert done.returncode == 0 and "Going on" in done.stdout
    for resumed, whole in zip(history_of(killed), history_of(tmp_path / "whole"), strict=True):
        assert [float(v) for v in resumed] == pytest.approx([float(v) for v in whole], rel=1e-3)
    assert not list(killed.glob(".*")), "temporary files left"


def test_what_is_not_finite_in_a_gradient_changes_nothing():
    bad, good = keras.Variable([1.0, 1.0, 1.0]), keras.Variable([1.0])
    optimizer = trainer.make_adam(0.1, clip_norm=1.0)
    gradients = [keras.ops.array([np.nan, np.inf, 0.5]), keras.ops.array([0.5])]
    optimizer.apply_gradients(zip(gradients, [bad, good], strict=True))
    np.testing.assert_allclose(bad, [1.0, 1.0, 0.9], atol=1e-5)
    np.testing.assert_allclose(good, [0.9], atol=1e-5)


def test_a_run_with_other_settings_is_not_overwritten(line_folder, tmp_path, complaint):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    command = "train", "--data", line_folder, "--output", tmp_path / "run", *SMALL
    assert "other things" in complaint(*command)
    (tmp_path / "run" / "thesis.txt").unlink()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"recipe": "line_ocr", "action": "finetune"}))
    assert "action = 'finetune'" in complaint(*command)


def test_unknown_characters_ask_for_a_decision(small_reader, draw_line, tmp_path):
    from PIL import Image

    small_reader.save(tmp_path / "preset")
    folder = tmp_path / "greek"
    folder.mkdir()
    for i, text in enumerate(["λόγος fox", "the θεός", "dog φύσις", "five ψυχή"]):
        Image.fromarray(draw_line(text)).save(folder / f"{i}.png")
        (folder / f"{i}.gt.txt").write_text(text, encoding="utf-8")
    options = ["finetune", "--preset", tmp_path / "preset", "--data", folder, "--training.epochs", 1]
    done = recipe(*options, "--output", tmp_path / "no")
    assert done.returncode == 2 and "--extend" in done.stderr and "λ" in done.stderr
    assert not (tmp_path / "no").exists()
    done = recipe(*options, "--output", tmp_path / "yes", "--extend")
    assert done.returncode == 0, done.stderr
    new = tasks.load(tmp_path / "yes").vocabulary.characters
    old = small_reader.vocabulary.characters
    assert new[: len(old)] == old and "λ" in new
    done = recipe(*options, "--output", tmp_path / "left_out", "--ignore-unknown")
    assert done.returncode == 0 and tasks.load(tmp_path / "left_out").vocabulary == small_reader.vocabulary


@pytest.mark.parametrize(
    "option, message",
    [
        (["--model.height", "tall"], "--model.height"),
        (["--training.precision"], "expected one argument"),
        (["--model.colour", "3"], "unrecognized"),
        (["--hold-out", "["], "no regular expression"),
        (["--hold-out", "nothing"], "cannot be split"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_options(option, message, line_folder, tmp_path, complaint):
    assert message in complaint("train", "--data", line_folder, "--output", tmp_path / "run", *option)
    assert not (tmp_path / "run").exists()
