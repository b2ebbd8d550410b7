"""The benchmark measures what it says it does, and tells why it could not measure the rest."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from export import bench, contenders
from export.keras_model import KerasModel
from zoo.errors import UserError
from zoo.layers import Bidirectional

QUICK = {"steps": 12, "repeats": 2, "seconds": 0.01}


def masked_gru():
    keras.utils.set_random_seed(1)
    layer = layers.Bidirectional(layers.GRU(4, return_sequences=True))
    return keras.Sequential([keras.Input((None, 3), name="x"), layers.Masking(9.0), layer, layers.Dense(2)])


@pytest.fixture(scope="module")
def report():
    return bench.bench(masked_gru(), batches=(1, 2), ragged=(1, 3), threads=1, **QUICK)


@pytest.mark.slow
def test_every_contender_is_measured_for_every_batch(report):
    cases = [(1, False), (2, False), (3, True)]  # one row cannot be ragged
    expected = [(name, *case) for case in cases for name in bench.CONTENDERS]
    assert [(row["contender"], row["batch"], row["ragged"]) for row in report["rows"]] == expected
    for row in report["rows"]:
        if row["contender"] == "torch" and row["note"]:
            assert row["note"] == "torch is not installed" and row["milliseconds"] is row["ratio"] is None
            continue
        assert not row["note"] and row["milliseconds"] > 0
        own = [one for one in report["rows"] if one["batch"] == row["batch"]][0]
        assert row["ratio"] == row["milliseconds"] / own["milliseconds"]


def test_report_says_what_was_measured(report):
    assert report["steps"] == 12 and report["threads"] == 1 and report["tensorflow_threads"] >= 1
    assert set(report["sizes"]) == {"this export", "int8", "plain export"}
    assert min(report["sizes"].values()) > 100
    assert json.loads(json.dumps(report)) == report


def test_table_is_aligned(report):
    about, header, *lines = bench.table(report).splitlines()
    assert "12 steps" in about and "onnxruntime 1" in about
    for line, name in zip(lines, bench.CONTENDERS, strict=False):
        assert line.startswith(name)
    ends = [header.index(case) + len(case) for case in ("batch 1", "batch 2", "ragged batch 3")]
    for line in lines[:5]:
        assert [line[end - 1] for end in ends] == ["x"] * 3
    assert all(len(line) == len(header) and line.endswith("MB") for line in lines[:3])  # those with a file


@pytest.mark.slow
def test_failures_are_told_and_not_fatal():
    mel = layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8)
    model = keras.Sequential([keras.Input((400,)), mel, layers.Permute((2, 1)), layers.GRU(4)])
    found = bench.bench(model, batches=(2,), ragged=(), only=("plain export", "predict"), **QUICK)
    plain, predict = found["rows"]
    assert plain["milliseconds"] is None and plain["note"].startswith("onnxruntime refuses it: ")
    assert predict["milliseconds"] > 0 and predict["ratio"] is None  # to nothing
    assert plain["note"] in bench.table(found)


@pytest.mark.slow
def test_wrong_results_are_no_result():
    model, other = masked_gru(), KerasModel(masked_gru()).network
    other.layers[-1].set_weights([weight + 1 for weight in other.layers[-1].get_weights()])
    other(np.zeros((1, 2, 3), "float32"))
    KerasModel(model).network.export = other.export  # as if the conversion had gone wrong
    found = bench.bench(model, batches=(2,), ragged=(), only=("plain export",), **QUICK)
    assert found["rows"][0]["note"] == "it gives other results than Keras"


def test_slow_contenders_get_fewer_turns():
    calls = {"slow": 0, "fast": 0, "bad": 0}

    def run(name, pause):
        def once(values):
            calls[name] += 1
            bench.time.sleep(pause)
            if name == "bad" and calls[name] == 4:
                raise ValueError("no\nmore")

        return once

    runs = {"slow": run("slow", 0.05), "fast": run("fast", 0.0001), "bad": run("bad", 0.001)}
    times, failed = bench._measure(runs, None, repeats=4, seconds=0.04)
    assert calls["slow"] == 3 and calls["fast"] > 20 and calls["bad"] == 4
    assert set(times) == {"slow", "fast"} and failed == {"bad": "no"}
    assert times["slow"] >= 50 > times["fast"]


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"batches": (1, 0)}, "batches"),
        ({"ragged": (2.5,)}, "ragged"),
        ({"steps": 0}, "steps"),
        ({"threads": -1}, "threads"),
        ({"repeats": 0}, "repeats"),
        ({"only": ("tflite",)}, "tflite"),
    ],
)
def test_bad_arguments(wrong, named):
    with pytest.raises(UserError, match=named):
        bench.bench(masked_gru(), **wrong)
    with pytest.raises(UserError):
        bench.bench("no such model")


# === Inputs ===


def test_ragged_inputs_are_padded_with_what_is_masked():
    a, b = keras.Input((None, 3), name="a"), keras.Input((None,), dtype="int32", name="b")
    x = layers.LSTM(2)(layers.Masking(9.0)(a))
    y = layers.LSTM(2)(layers.Embedding(5, 2, mask_zero=True)(b))
    subject = KerasModel(keras.Model({"b": b, "a": a}, [x, y]))
    names = [tensor.name for tensor in subject.network.inputs]
    named = dict(zip(names, contenders.inputs(subject, 8, 20, True), strict=True))
    assert named["a"].shape == (8, 20, 3) and named["b"].shape == (8, 20)
    lengths = (named["b"] != 0).sum(1)
    assert lengths[0] == 6 and lengths[-1] == 20 and (np.diff(lengths) >= 0).all() and named["b"].max() < 5
    assert ((named["a"] != 9).all(-1).sum(1) == lengths).all()
    named = dict(zip(names, contenders.inputs(subject, 2, 20), strict=True))
    assert (named["a"] != 9).all() and (named["b"] != 0).all()


@pytest.mark.slow
def test_lengths_count_the_steps_that_strides_leave():
    x, lengths = keras.Input((None, 3), name="x"), keras.Input((), dtype="int32", name="lengths")
    y = layers.Conv1D(4, 3, strides=4, padding="same")(x)
    model = keras.Model([x, lengths], Bidirectional(layers.LSTM(2, return_sequences=True))(y, lengths))
    values = contenders.inputs(KerasModel(model), 3, 40, True)
    assert values[1].tolist() == [3, 7, 10] and values[1].dtype == "int32"
    rows = bench.bench(model, batches=(), ragged=(3,), only=("this export", "plain export"), **QUICK)["rows"]
    assert not any(row["note"] for row in rows)


@pytest.mark.slow
def test_stateful_models_have_one_batch_size():
    model = keras.Sequential([keras.Input((None, 3), batch_size=2), layers.GRU(2, stateful=True)])
    rows = bench.bench(model, only=("this export", "plain export", "predict", "tf.function"), **QUICK)["rows"]
    assert {(row["batch"], row["note"]) for row in rows} == {(2, "")}


def test_torch_is_of_the_same_shape():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    for last in (True, False):
        both = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
        stack = [layers.GRU(5, return_sequences=True), layers.SimpleRNN(6, return_sequences=last)]
        model = keras.Sequential([keras.Input((None, 3)), layers.Masking(), both, *stack, layers.Dense(2)])
        subject = KerasModel(model)
        values = contenders.inputs(subject, 3, 10, True)
        found = contenders.torch(subject, None, threads)(values)
        assert found.shape == model(values[0]).shape and np.isfinite(found).all()


# === Commands ===


def test_command(report, monkeypatch, capsys, tmp_path):
    given = {}
    monkeypatch.setattr(bench, "bench", lambda model, **also: given.update(also, model=model) or report)
    options = SimpleNamespace(model=str(tmp_path / "m.keras"), steps=7, threads=None, format="json")
    bench.main(options)
    assert json.loads(capsys.readouterr().out) == report
    assert given == {"model": options.model, "steps": 7, "threads": None}
    options.format = "text"
    bench.main(options)
    assert capsys.readouterr().out == bench.table(report) + "\n"
    for model, why in (("reader.onnx", "an export"), ("no_such_preset", "no_such_preset")):
        options.model = model
        with pytest.raises(UserError, match=why):
            bench.main(options)


@pytest.mark.slow
def test_recurrent_layers_script(tmp_path, capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "recurrent_layers.py"
    spec = importlib.util.spec_from_file_location("recurrent_layers", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    output = tmp_path / "benchmarks.md"
    output.write_text("# Old\n\n## Other\n\nThis stays.\n")
    script.main(["--quick", "--output", str(output)])
    text, others = output.read_text(encoding="utf-8").split("\n## Other")
    assert "Old" not in text and others == "\n\nThis stays.\n"
    assert "onnxruntime 1." in text and "--quick" in text and "geometric mean" in text
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert rows == [13] * 5  # header, rule and three layers
    assert text.splitlines()[-1] in capsys.readouterr().out
    assert len(list(script.cases(quick=False))) == 40
