"""Training for real, on small data: it learns, it goes on where it was killed, no sample or step ends it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import zoo
from recipes.training import loop, setup
from recipes.training.schedule import Schedule
from zoo.contract import task as tasks
from zoo.errors import UserError
from zoo.families.char_lm.corpus import Streams
from zoo.families.char_lm.network import CharLm, CharLmConfig
from zoo.text.plain import Characters

SMALL = [
    "--model.height", "24", "--model.units", "48", "--model.dropout", "0.0", "--training.augment", "False",
]  # fmt: skip


def recipe(*arguments, backend="tensorflow", wait=True, **environment):
    command = [sys.executable, "-m", "recipes.line_ocr", *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    if not wait:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_learns_twenty_lines_by_heart(backend, line_folder, tmp_path, some_texts):
    run = tmp_path / "run"
    done = recipe(
        "train", "--data", f"{line_folder}@60", "--validation", line_folder, "--output", run, *SMALL,
        "--training.epochs", 12, "--training.batch-size", 10, "--training.learning-rate", 0.005,
        backend=backend,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(run / "history.csv", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    assert min(float(row["cer"]) for row in history) == 0.0
    assert {row["left_out"] for row in history} == {row["unstable_steps"] for row in history} == {"0"}
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").glob("events.*"))
    assert tasks.load(run).evaluate(line_folder)["cer"] == 0.0  # float16 weights, the TensorFlow backend


def history_of(run):
    rows = csv.DictReader((run / "history.csv").open(encoding="utf-8"))
    names = "epoch", "loss", "cer", "wer", "left_out", "unstable_steps", "learning_rate"
    return [[float(row[name]) for name in names] for row in rows]


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(line_folder, tmp_path):
    lines = shutil.copytree(line_folder, tmp_path / "lines")
    # It has as many characters as the network makes frames of it: where augmentation narrows it, too many.
    stripes = np.where(np.arange(96) % 8 < 4, 200, 60).astype(np.uint8)
    Image.fromarray(np.tile(stripes, (24, 1))).save(lines / "tight_000.png")
    (lines / "tight_000.gt.txt").write_text("abcdefghijklmnopqrstuvwx")
    options = [
        "train", "--data", lines, "--hold-out", "book0", *SMALL, "--training.epochs", 5,
        "--training.batch-size", 4, "--training.augment", "True", "--model.dropout", "0.2",
    ]  # fmt: skip
    whole = recipe(*options, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    left_out = [row[4] for row in history_of(tmp_path / "whole")]
    assert set(left_out) == {0, 1} and whole.stdout.count("1 sample without a finite loss") == sum(left_out)
    killed = tmp_path / "killed"
    for epoch in (1, 3):
        # How fast it goes, and where samples are kept, does not matter.
        aside = ["--training.threads", epoch, "--training.cache", ("memory", "none")[epoch == 1]]
        process = recipe(*options, *aside, "--output", killed, wait=False)
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
        assert resumed == pytest.approx(whole, rel=1e-3)


def test_what_is_not_finite_in_a_gradient_changes_nothing_and_is_counted():
    bad, good = keras.Variable([1.0, 1.0, 1.0]), keras.Variable([1.0])
    optimizer = loop.make_adam(0.1, clip_norm=1.0)
    gradients = [keras.ops.array([np.nan, np.inf, 0.5]), keras.ops.array([0.5])]
    optimizer.apply_gradients(zip(gradients, [bad, good], strict=True))
    np.testing.assert_allclose(bad, [1.0, 1.0, 0.9], atol=1e-5)
    np.testing.assert_allclose(good, [0.9], atol=1e-5)
    assert int(optimizer.unstable) == 1
    gradients = [keras.ops.array([0.5, 0.5, 0.5]), keras.ops.array([0.5])]
    optimizer.apply_gradients(zip(gradients, [bad, good], strict=True))
    assert int(optimizer.unstable) == 1 and int(optimizer.iterations) == 2


def test_means_of_the_weights_are_there_when_asked_for_and_training_goes_on_from_the_weights():
    weight = keras.Variable([1.0])
    optimizer = loop.make_adam(0.1, clip_norm=1.0, ema=0.75)
    mean = None
    for _ in range(4):
        optimizer.apply_gradients([(keras.ops.array([0.5]), weight)])
        mean = np.array(weight) if mean is None else 0.75 * mean + 0.25 * np.array(weight)
    before = np.array(weight)
    optimizer.finalize_variable_values([weight])  # as ``fit`` does at the end of each epoch
    np.testing.assert_array_equal(weight, before)
    with optimizer.averaged([weight]):
        np.testing.assert_allclose(weight, mean, rtol=1e-6)
    np.testing.assert_array_equal(weight, before)


# === A small character model, in this process ===

TEXT = "abcdefg" * 36 + "hhhh"


@pytest.fixture
def trained(tmp_path):
    """A function that trains a character model, and gives its history."""

    def train(name="run", epochs=3, spoiled="", fails_at=None, preset=None, errors=None, **schedule):
        keras.utils.clear_session()  # variables get the names that a new process would give them
        schedule = Schedule(epochs=epochs, batch_size=4, **schedule)
        setup.set_up(schedule)
        task = CharLm(CharLmConfig(units=8, embedding=4, layers=1, dropout=0.2), Characters("abcdefgh"))
        weights = task.weights()
        for path in weights:
            if "embedding" in path:
                weights[path][[task.vocabulary.encode(one)[0] for one in spoiled]] = np.nan
        task.set_weights(weights)
        data = Streams(task.vocabulary.encode(TEXT), 4, 8)
        calls = []

        def validation():
            calls.append(1)
            if len(calls) == fails_at:
                raise KeyboardInterrupt
            error = errors.pop(0) if errors else 1 / len(calls)
            return {"error": error, "examples": [("wanted", "written")]}

        settings = {"recipe": "char_lm"} | ({"preset": preset} if preset else {})
        return loop.train(task, data, validation, tmp_path / name, schedule, settings)

    yield train
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_the_history_and_what_is_printed(trained, tmp_path, capsys):
    history = trained()
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(row["left_out"] == row["unstable_steps"] == 0 for row in history)
    said = capsys.readouterr().out
    assert "epoch 1 of at most 3: error 100.00%, loss " in said and "left\n" in said
    assert "epoch 3 of at most 3: error 33.33% (best before 50.00%), loss " in said
    assert "Best epoch: 3, error 33.33%." in said and "finite" not in said
    assert trained() == history  # all is done
    assert "Going on with" in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_run_begins_with_counts(trained, tmp_path, capsys):
    """Where no epoch is better than the preset, it is the best model."""
    history = trained(preset="mine", errors=[0.25, 0.5, 0.25, 0.3], ema=0.0)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3] and "loss" not in history[0]
    said = capsys.readouterr().out
    assert said.startswith("before training: error 25.00%\n")
    assert f"than what the run began with, error 25.00%: that is what is in {tmp_path}/run/best." in said
    first = zoo.load(tmp_path / "run/best").weights()
    last = trained("other", preset="mine", errors=[0.25, 0.5, 0.1, 0.3])
    assert "Best epoch: 2, error 10.00%; 25.00% before training." in capsys.readouterr().out
    second = zoo.load(tmp_path / "other/best").weights()
    assert any((first[name] != second[name]).any() for name in first) and last[2]["error"] == 0.1
    assert trained("other", preset="mine", errors=[9.0]) == last  # it goes on where it was
    table = (tmp_path / "other/history.csv").read_text().splitlines()
    assert table[0].startswith("epoch,") and table[1].startswith("0,,0.25") and len(table) == 5
    with pytest.raises(UserError, match="nothing to train in 0 epochs"):
        trained("third", preset="mine", epochs=0)
    assert not (tmp_path / "third/best").exists()


@pytest.mark.slow
def test_a_preset_that_is_best_stops_the_run(trained):
    errors = [0.1, 0.5, 0.5, 0.5]
    assert len(trained(preset="mine", epochs=3, patience=2, errors=errors)) == 3


@pytest.mark.slow
def test_a_run_ends_where_nothing_improves(trained, capsys):
    assert len(trained(epochs=5, patience=1)) == 5
    with pytest.raises(UserError, match="nothing to train in 0 epochs"):
        trained("other", epochs=0)


@pytest.mark.slow
def test_samples_without_a_loss_are_counted_and_do_not_end_it(trained, capsys):
    history = trained(spoiled="h")  # it stands at one place of the text: others learn
    assert all(1 <= row["left_out"] <= 8 and 1 <= row["unstable_steps"] <= 8 for row in history)
    assert history[2]["loss"] < history[0]["loss"]
    assert re.search(r"loss .*, \d samples? without a finite loss, \d steps? with", capsys.readouterr().out)


@pytest.mark.slow
def test_a_run_that_diverges_is_told_why_it_ends(trained, tmp_path):
    message = r"run: in epoch 1 no sample had a finite loss: .* learning rate below 0\.002\."
    with pytest.raises(UserError, match=message):
        trained(spoiled="abcdefgh")
    assert not (tmp_path / "run" / "best").exists()


@pytest.mark.slow
def test_steps_without_a_finite_gradient_are_counted(trained, monkeypatch, capsys):
    """The gradient of the logits' bias is not finite in every second step."""
    make_adam = loop.make_adam

    def spoiled(*settings):
        adam = make_adam(*settings)
        apply = adam.apply

        def spoil(grads, trainable_variables=None):
            bad = keras.ops.where(adam.iterations % 2 == 0, np.nan, 1.0)
            return apply([*grads[:-1], grads[-1] * bad], trainable_variables)

        adam.apply = spoil
        return adam

    monkeypatch.setattr(loop, "make_adam", spoiled)
    history = trained(epochs=2)
    assert [(row["unstable_steps"], row["left_out"]) for row in history] == [(4, 0)] * 2
    assert "4 steps with a gradient that is not finite" in capsys.readouterr().out


@pytest.mark.slow
def test_the_means_are_kept_and_go_on_after_a_stop(trained, tmp_path):
    trained("whole", epochs=4, ema=0.9)
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", epochs=4, ema=0.9, fails_at=3)
    trained("stopped", epochs=4, ema=0.9)
    whole, stopped = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "stopped"))
    for name, value in whole.items():
        np.testing.assert_allclose(value, stopped[name], atol=1e-6)
    kept = tasks.load(tmp_path / "whole").weights()["logits/bias"]  # of the last epoch, the best
    (weights,) = (value for name, value in whole.items() if re.fullmatch(r"\d+ logits/bias", name))
    (means,) = (v for name, v in whole.items() if "logits_bias" in name and "average" in name)
    np.testing.assert_allclose(kept, means, atol=1e-3)
    assert np.abs(kept - weights).max() > 1e-3


@pytest.mark.slow
def test_float16_goes_on_with_its_loss_scale(trained, tmp_path):
    same = {"epochs": 4, "precision": "mixed_float16"}
    trained("whole", **same)
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", **same, fails_at=3)
    trained("stopped", **same)
    whole, stopped = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    assert any("dynamic_scale" in name for name in whole)
    (steps,) = (name for name in whole if "step_counter" in name)
    assert whole[steps] > 2 * 8  # more than were taken after the stop
    for name, value in whole.items():
        np.testing.assert_allclose(stopped[name], value, atol=2e-3, err_msg=name)


# === Settings ===

SETTINGS = {"recipe": "line_ocr", "data": ["a", "b"], "hold_out": None, "characters": "abc" * 99}
SETTINGS |= {"training": Schedule().defining(), "model": {"units": [128], "cache": 1}}


def refusal(folder, **other):
    with pytest.raises(UserError) as error:
        loop.check_settings(folder, SETTINGS | other)
    return str(error.value)


def test_a_run_with_other_settings_is_not_overwritten(tmp_path):
    run = tmp_path / "run"
    loop.check_settings(run, SETTINGS)
    before = (run / "run.json").read_bytes()
    loop.check_settings(run, SETTINGS | {"model": {"units": (128,), "cache": 1}})  # as JSON has it
    schedule = Schedule(epochs=5, learning_rate=2e-4).defining()
    end = "Use the same, or another --output."
    assert refusal(run, training=schedule) == (
        f"{run} was started with epochs 30, learning_rate 0.002; you asked for 5, 0.0002. {end}"
    )
    assert refusal(run, data=["c"]) == f"{run} was started with data a b; you asked for c. {end}"
    assert refusal(run, hold_out="x") == f"{run} was started with hold_out none; you asked for x. {end}"
    assert refusal(run, model={"units": [128], "cache": 2}).startswith(f"{run} was started with cache 1; you")
    assert "characters" not in refusal(run, data=["c"], characters="x")
    assert refusal(run, characters="x") == (
        f"{run} was started with characters {'abc' * 20}…; you asked for x. {end}"
    )
    assert (run / "run.json").read_bytes() == before
    tuned = tmp_path / "tuned"
    loop.check_settings(tuned, SETTINGS | {"preset": "line_ocr_en"})
    assert refusal(tuned, preset="line_ocr_fraktur", model={"units": [1]}) == (
        f"{tuned} began from line_ocr_en; you asked for line_ocr_fraktur. {end}"
    )


def test_a_run_may_go_on_for_longer(tmp_path):
    loop.check_settings(tmp_path, SETTINGS)
    longer = SETTINGS | {"training": Schedule(epochs=60, patience=20).defining()}
    loop.check_settings(tmp_path, longer)
    assert json.loads((tmp_path / "run.json").read_text())["training"]["epochs"] == 60
    assert "was started with epochs 60, patience 20; you asked for 30, 10." in refusal(tmp_path)


def test_a_run_of_another_version_goes_on(tmp_path):
    """What did not define a run was among its settings, and fields are added."""
    old = SETTINGS["training"] | {"threads": 1, "cache": "memory"}
    del old["warmup"]
    loop.check_settings(tmp_path, SETTINGS | {"training": old})
    loop.check_settings(tmp_path, SETTINGS)
    assert "epochs 30; you asked for 3." in refusal(tmp_path, training=SETTINGS["training"] | {"epochs": 3})


def test_folders_that_are_no_runs(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert refusal(tmp_path) == (
        f"{tmp_path} has other things in it, such as thesis.txt; choose a new folder for --output."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "stage").mkdir()
    assert "such as stage;" in refusal(tmp_path)
    loop.check_settings(tmp_path / "stage", SETTINGS)
    loop.check_settings(tmp_path, SETTINGS)  # a run of several stages


KILLED = """
import json, sys, time
from recipes.training import loop

def dump(settings, file, **options):
    file.write('{"recipe": ')
    file.flush()
    print("writing", flush=True)
    time.sleep(100)

loop.json.dump = dump
loop.check_settings(loop.Path(sys.argv[1]), {"recipe": "line_ocr"})
"""


def test_killed_while_the_settings_are_written_it_goes_on(tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(run)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = [path.name for path in run.iterdir()]
    assert len(left) == 1 and left[0].startswith(".run.")
    loop.check_settings(run, SETTINGS)
    assert json.loads((run / "run.json").read_text())["recipe"] == "line_ocr"
