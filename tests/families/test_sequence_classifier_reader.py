"""The reader of sequence classifiers: on engines that add up, and on a small exported model."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import BASE_INSTALL, zoo_on_base
from PIL import Image

from zoo import cli
from zoo.errors import UserError
from zoo.families.sequence_classifier import reader as reading
from zoo.families.sequence_classifier.reader import Moment, SequenceLabel, SequenceReader, state_size
from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary

KNOWN = SequenceVocabulary(["x", "y"], ["down", "up"])
CONFIG = {"axes": 1, "strides": [2], "kernel": 3, "velocity": 0, "acceleration": False, "gravity": 0,
          "layers": 1,
          "cell": "gru", "units": 1, "pooling": "mean", "window": 8, "directions": "both"}  # fmt: skip


class Engine:
    """Says "up" as surely as the mean of x; with a state, of all x so far (its places 0 and 1)."""

    def __init__(self, carries=False):
        self.carries, self.calls = carries, []

    def __call__(self, inputs):
        values, lengths = inputs["values"], inputs["lengths"]
        assert values.dtype == np.float32 and lengths.dtype == np.int32 and lengths.max() == values.shape[1]
        self.calls.append(values.shape)
        within = np.arange(values.shape[1]) < lengths[:, None]
        total, count = (np.nan_to_num(values[..., 0]) * within).sum(1), lengths.astype(float)
        found = {}
        if self.carries:
            state = inputs["state"].copy()
            assert not (state[:, 0] % 2).any()  # pieces are of whole strides
            state[:, 0] += count
            state[:, 1] += total
            total, count, found = state[:, 1], state[:, 0], {"new_state": state}
        up = 1 / (1 + np.exp(-total / count))
        return {"probabilities": np.stack([1 - up, up], 1).astype("float32"), **found}


def reader(carries=False, **settings):
    config = CONFIG | {"directions": "forward" if carries else "both"} | settings
    return SequenceReader(Engine(carries), config, KNOWN, threads=2)


def up(values):
    return 1 / (1 + np.exp(-np.mean(values)))


def table(values):
    return np.stack([values, np.zeros_like(values)], 1).astype("float32")


@pytest.mark.parametrize("carries", [False, True])
def test_what_is_read(carries, tmp_path):
    model = reader(carries)
    values = table(np.array([1.0, 2.0, 3.0]))
    np.savetxt(tmp_path / "a.csv", values[:, ::-1], "%.3f", ",", header="y,x", comments="")
    np.save(tmp_path / "a.npy", values)
    inputs = [tmp_path / "a.csv", str(tmp_path / "a.npy"), (tmp_path / "a.csv").read_bytes(), values,
              (["y", "x"], values[:, ::-1])]  # fmt: skip
    for one in inputs:
        (found,) = model(one, details=True)
        assert found.label == found.text == "up" and found.steps == 3
        assert (
            found.confidence == pytest.approx(up([1, 2, 3])) and found.line == f"up\t{found.confidence:.4f}"
        )
    assert model(inputs) == ["up"] * 5
    about = found.to_json()
    assert about["label"] == "up" and about["steps"] == 3 and sum(about["probabilities"].values()) == 1


def test_long_sequences_are_read_in_windows():
    model = reader()
    values = table(np.sin(np.arange(21)) * 3)
    starts = [0, 4, 8, 12, 13]
    (found,) = model(values, details=True)
    wanted = np.mean([up(values[s : s + 8, 0]) for s in starts])
    assert found.probabilities["up"] == pytest.approx(wanted)
    moments = list(model.follow(values))
    assert [(one.start, one.end) for one in moments] == [(s + 1, s + 8) for s in starts]
    assert moments[1].line.startswith("12\t") and moments[1].to_json()["start"] == 5
    for count in (2, 7, 8, 9, 12, 13, 30):  # in parts of any size
        rows = values[:count] if count <= 21 else np.concatenate([values, values[:9]])
        whole = list(model.follow(rows))
        assert whole == list(model.follow(iter(rows))) == list(model.follow(iter(np.array_split(rows, 3)[:])))
        wanted = model(rows, details=True)[0]
        assert np.mean([one.probabilities["up"] for one in whole]) == pytest.approx(
            wanted.probabilities["up"]
        )


@pytest.mark.parametrize("every, ends", [(None, [2, 4, 6, 7]), (3, [4, 7]), (100, [7])])
def test_a_state_is_carried(every, ends, monkeypatch):
    model = reader(carries=True)
    values = table(np.arange(7.0) - 3)
    moments = list(model.follow(iter(values), every))
    assert [one.end for one in moments] == ends and {one.start for one in moments} == {1}
    for one in moments:
        assert one.probabilities["up"] == pytest.approx(up(values[: one.end, 0]))
    monkeypatch.setattr(reading, "PIECE", 4)
    several = [values, values[:2], values[:6]]
    for one, found in zip(several, model(several, details=True), strict=True):
        assert found.probabilities["up"] == pytest.approx(up(one[:, 0]))


def test_each_label_comes_as_soon_as_its_rows():
    said = []

    def lines():
        yield "x,y"
        for i in range(6):
            yield f"{i},0"
            said.append(i)

    moments = reader(carries=True).follow(lines())
    assert next(moments).end == 2 and len(said) <= 2


def test_size_of_a_state():
    assert state_size(CONFIG, 2) == 1 + 2 * 2 + 1 + 1
    more = CONFIG | {"cell": "lstm", "layers": 2, "units": 5, "pooling": "mean_max", "strides": [2, 3]}
    more |= {"gravity": 4, "velocity": 1}
    # Gravity looks back 3 steps, the convolutions 2 and 2 · 2 more: 9, of strides of 6 up to 12.
    assert state_size(more, 2) == 1 + 2 * 12 + 5 * (4 + 2)


@pytest.mark.parametrize(
    "item, sentence",
    [
        ("gone.csv", "gone.csv: cannot be read"),
        (b"", "no row of numbers"),
        (b"x,y\n1,two\n", "'two' is no number"),
        (b"x,z\n1,2\n", "there is no column y"),
        (np.zeros((3, 5)), "it has 5 columns, the model reads 2"),
        (np.zeros((0, 2)), "no sequence"),
        (b"x,y\n1,2\n", "it has one row; give a sequence"),
        (np.full((3, 2), np.nan), "it has no number in it"),
    ],
)
def test_bad_input(item, sentence):
    model = reader()
    with pytest.raises(UserError, match=sentence):
        model(item)
    good = table(np.ones(2))
    found = model([good, item, good], errors="return")
    assert found[0] == found[2] == "up" and isinstance(found[1], UserError)
    if not isinstance(item, str) and not sentence.startswith("it has"):
        with pytest.raises(UserError, match=sentence):
            list(model.follow(item))


def test_options():
    for carries in (True, False):
        with pytest.raises(UserError, match="every is for --follow"):
            reader(carries)(table(np.ones(2)), every=3)
    with pytest.raises(UserError, match="reads windows, one each 4 rows"):
        list(reader().follow(table(np.ones(2)), 3))


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("count", [2, 5, 300])
def test_the_picture(carries, count, tmp_path):
    model = reader(carries)
    values = table(np.sin(np.arange(count) / 9) * 9)
    values[: count // 2, 1] = np.nan
    model.picture(values, tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 20


def test_of_many_points_those_that_move_are_drawn(tmp_path):
    from zoo.families.sequence_classifier.plot import POINTS, draw

    random = np.random.default_rng(0)
    values = random.normal(size=(20, 60)) * np.repeat(np.arange(20), 3)
    names = [f"joint{i:02d}_{axis}" for i in range(20) for axis in "xyz"]
    figure = draw("a", values, names, 3, [Moment("up", 0.9, {}, 1, 20)], True)
    drawn = {text.get_text() for axes in figure.axes[1:] for text in axes.get_legend().get_texts()}
    assert len(figure.axes) == POINTS + 1 and drawn == set(names[36:])


# === The command ===


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """``{directions: an exported model that has learned nothing}``."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exporting is TensorFlow's")
    from export import to_onnx
    from zoo.families.sequence_classifier.network import SequenceClassifier, SequenceClassifierConfig

    folder, found = tmp_path_factory.mktemp("models"), {}
    for directions in ("both", "forward"):
        config = SequenceClassifierConfig(directions=directions, units=5, filters=(4,), window=8)
        keras.utils.set_random_seed(2)
        to_onnx(
            SequenceClassifier(config, KNOWN), found.setdefault(directions, folder / f"{directions}.onnx")
        )
    return found


@pytest.fixture
def waves(tmp_path):
    values = np.random.default_rng(0).normal(size=(21, 2))
    np.savetxt(tmp_path / "a.csv", values, "%.4f", ",", header="x,y", comments="")
    (tmp_path / "bad.csv").write_text("x,y\n1,b\n")
    return tmp_path


@pytest.mark.slow
def test_the_command(exported, waves, capsys, monkeypatch):
    a, bad = str(waves / "a.csv"), str(waves / "bad.csv")
    for model in map(str, exported.values()):
        assert cli.main(["predict", model, a, bad, "--format", "jsonl"]) == 3
        good, worse = map(json.loads, capsys.readouterr().out.splitlines())
        assert good["label"] in KNOWN.labels and good["steps"] == 21 and "'b' is no number" in worse["error"]
        assert cli.main(["predict", model, a, "--plot", str(waves / "a.png")]) == 0
        assert capsys.readouterr().out.startswith(good["label"]) and (waves / "a.png").is_file()

        outputs = []
        for source in (a, "-"):
            monkeypatch.setattr(sys, "stdin", io.StringIO((waves / "a.csv").read_text()))
            assert cli.main(["predict", model, source, "--follow", "--format", "json"]) == 0
            outputs.append([{**one, "input": ""} for one in json.loads(capsys.readouterr().out)])
        assert outputs[0] == outputs[1]
        last = outputs[0][-1]["probabilities"] if "forward" in model else None
        assert last in (None, good["probabilities"])
        assert cli.main(["predict", model, a, "--follow"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(outputs[0]) and lines[-1].split("\t")[0] == "21"
        for wrong in ([a, bad, "--follow"], [a, "--follow", "--plot", "b.png"], [bad, "--follow"]):
            assert cli.main(["predict", model, *wrong]) == 2
            assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["predict", str(exported["both"]), a, "--every", "3"]) == 2
    assert "--every is for --follow" in capsys.readouterr().err


@pytest.mark.slow
def test_on_the_base_install(exported, waves):
    """Without TensorFlow; and the first label is there while the rest of the rows is still to come."""
    for model in exported.values():
        done = zoo_on_base("predict", model, waves / "a.csv")
        assert done.returncode == 0 and done.stdout.split("\t")[0] in KNOWN.labels, done.stderr
    code = BASE_INSTALL + "from zoo.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "predict", str(exported["forward"]), "-", "--follow"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as process:
        for i in range(3):
            process.stdin.write("x,y\n1,2\n" if i == 0 else "1,2\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(f"{i + 1}\t")
        process.stdin.close()
        assert process.wait(30) == 0


def test_results_are_values():
    one = SequenceLabel("up", 0.75, {"down": 0.25, "up": 0.75}, 3)
    assert dataclasses.replace(one) == one and one.to_json()["steps"] == 3
