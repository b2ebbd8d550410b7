"""The benchmark measures what it says it does, and tells why it could not measure the rest."""

import importlib.util
import json
import sys
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
    assert plain["milliseconds"] is None
    assert plain["note"] == "its file has operations that ONNX does not know: Imag, RFFT, Real"
    assert predict["milliseconds"] > 0 and predict["ratio"] is None  # to nothing
    assert plain["note"] in bench.table(found)


@pytest.mark.slow
def test_wrong_results_are_no_result():
    model, other = masked_gru(), KerasModel(masked_gru()).network
    other.layers[-1].set_weights([weight + 1 for weight in other.layers[-1].get_weights()])
    other(np.zeros((1, 2, 3), "float32"))
    KerasModel(model).network.export = other.export  # as if the conversion had gone wrong
    found = bench.bench(model, batches=(2,), ragged=(), only=("plain export",), **QUICK)
    note = found["rows"][0]["note"]
    assert note.startswith("it gives other results than Keras (largest difference 1"), note
    assert not found["sizes"], "what is wrong has no size either"


def changed(how):
    """Keras's own export, with what onnxruntime gives of it changed."""
    original = contenders.plain_export

    def wrong(subject, path, threads):
        runner = original(subject, path, threads)
        run = runner.run
        runner.run = lambda values: how(values, run(values))
        return runner

    return wrong


def plain_notes(monkeypatch, model, how, **sizes):
    monkeypatch.setitem(bench.CONTENDERS, "plain export", changed(how))
    found = bench.bench(model, only=("this export", "plain export"), **{**QUICK, **sizes})
    assert all(row["milliseconds"] for row in found["rows"] if row["contender"] == "this export")
    return [row["note"] for row in found["rows"] if row["contender"] == "plain export"], found


@pytest.mark.slow
def test_every_output_is_compared(monkeypatch):
    x = keras.Input((None, 3), name="x")
    outputs = {"a": layers.Dense(2)(x), "b": layers.GRU(3, return_sequences=True)(layers.Masking()(x))}
    model = keras.Model(x, outputs)

    def second(values, found):
        return [found[0], found[1] + 0.25]

    notes, _ = plain_notes(monkeypatch, model, second, batches=(1,), ragged=())
    assert notes == ["it gives other results than Keras in 'b' (largest difference 0.25)"]
    notes, _ = plain_notes(monkeypatch, model, lambda _, found: found[:1], batches=(1,), ragged=())
    assert notes == ["it gives 1 outputs instead of 2"]
    notes, _ = plain_notes(monkeypatch, model, lambda _, f: [f[0], f[1] * np.nan], batches=(1,), ragged=())
    assert "infinities or no numbers" in notes[0] and "'b'" in notes[0]
    notes, _ = plain_notes(monkeypatch, model, lambda _, f: [f[0], f[1][:, 1:]], batches=(1,), ragged=())
    assert "other shapes than Keras in 'b'" in notes[0]


@pytest.mark.slow
def test_what_is_wrong_for_one_batch_alone(monkeypatch):
    """Long or ragged batches are compared, too, and each batch that is measured."""

    def ragged(values, found):
        return [one + (values[0][:, -1:] == 9).all(-1).any() for one in found]

    notes, _ = plain_notes(monkeypatch, masked_gru(), ragged, batches=(1,), ragged=(2,))
    assert len(set(notes)) == 1 and "largest difference 1" in notes[0], "known before anything is measured"

    def batch_of_five(values, found):
        if len(values[0]) == 5:
            raise ValueError("five is too many")
        return [one + (len(values[0]) == 4) for one in found]

    notes, found = plain_notes(monkeypatch, masked_gru(), batch_of_five, batches=(2, 4, 5), ragged=())
    assert notes[0] == "" and "largest difference 1" in notes[1] and notes[2] == "five is too many"
    lines = bench.table(found).splitlines()
    assert lines[3].startswith("plain export") and lines[3].count(" - ") == 2 and lines[3].count("x") == 2
    assert lines[-2].startswith("plain export (batch 4): it gives other results than Keras")
    assert lines[-1] == "plain export (batch 5): five is too many"


@pytest.mark.slow
def test_states_are_compared(monkeypatch):
    """Each file from states that are not zeros, and what it makes of them."""
    model = keras.Sequential([keras.Input((None, 3), batch_size=2), layers.LSTM(2, stateful=True)])
    original = contenders.export

    def wrong(subject, path, threads):
        runner = original(subject, path, threads)
        run = runner.run
        runner.run = lambda values: [*run(values)[:-1], run(values)[-1] + values[-1]]
        return runner

    monkeypatch.setitem(bench.CONTENDERS, "this export", wrong)
    rows = bench.bench(model, only=("this export", "predict"), **QUICK)["rows"]
    assert "_next' (largest difference" in rows[0]["note"] and not rows[1]["note"]


@pytest.mark.slow
def test_what_onnxruntime_refuses(monkeypatch):
    def export(path, **_):
        Path(path).write_bytes(b"no model")

    subject = KerasModel(masked_gru())
    subject.network.export = export
    monkeypatch.setattr(contenders, "_unknown_operations", lambda path: [])
    monkeypatch.setattr("export.onnx_file.load", lambda model: (subject, "m"))
    (row,) = bench.bench(subject, batches=(1,), ragged=(), only=("plain export",), **QUICK)["rows"]
    assert row["milliseconds"] is None and row["note"].startswith("onnxruntime refuses it: ")


@pytest.mark.slow
def test_int8_may_be_coarse_but_not_wrong(monkeypatch):
    original = contenders.int8

    def wrong(subject, path, threads):
        runner = original(subject, path, threads)
        run = runner.run
        runner.run = lambda values: [one * 1.5 for one in run(values)]
        return runner

    assert not bench.bench(masked_gru(), batches=(1,), ragged=(), only=("int8",), **QUICK)["rows"][0]["note"]
    monkeypatch.setitem(bench.CONTENDERS, "int8", wrong)
    (row,) = bench.bench(masked_gru(), batches=(1,), ragged=(), only=("int8",), **QUICK)["rows"]
    assert "other results than Keras" in row["note"]


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
    runs = {name: contenders.Runner(one) for name, one in runs.items()}
    times, failed = bench._measure(runs, None, 4, 0.04, lambda *_: None)
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


def stack(last, **options):
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum")
    rest = [layers.GRU(5, return_sequences=True, **options), layers.SimpleRNN(6, return_sequences=last)]
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.Masking(), both, *rest, layers.Dense(2, activation="tanh")]
    )
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return KerasModel(model)


@pytest.mark.parametrize("last", [True, False])
def test_torch_gives_what_keras_gives(last):
    threads = pytest.importorskip("torch").get_num_threads()
    contenders.check(stack(last), contenders.torch(stack(last), None, threads))


@pytest.mark.parametrize(
    "options, why",
    [
        ({"reset_after": False}, "resets before"),
        ({"activation": "relu"}, "activation"),
        ({"go_backwards": True}, "option"),
    ],
)
def test_what_torch_cannot_do(options, why):
    pytest.importorskip("torch")
    with pytest.raises(UserError, match=why):
        contenders.torch(stack(True, **options), None, 1)


def test_torch_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = bench.bench(masked_gru(), batches=(1,), ragged=(), only=("torch",), **QUICK)
    assert found["rows"][0]["note"] == "torch is not installed" and found["rows"][0]["milliseconds"] is None


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
    script.main(["--quick", "--threads", "2", "--output", str(output)])
    text, others = output.read_text(encoding="utf-8").split("\n## Other")
    assert "Old" not in text and others == "\n\nThis stays.\n"
    assert "onnxruntime 1." in text and "--quick" in text and "geometric mean" in text
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert rows == [12] * 5  # header, rule and three layers
    shares = [line.split("|")[7].strip() for line in text.splitlines() if line.startswith("|")][2:]
    assert all(share.endswith("%") and 0 <= int(share[:-1]) <= 100 for share in shares)
    assert text.splitlines()[-1] in capsys.readouterr().out
    assert len(list(script.cases(quick=False))) == 40
    # 8 x 200 steps, both ways, 4 gates of 128 units, from 256 values each, a product and a sum
    assert script.operations("LSTM", True, False, 128, 200) == 8 * 200 * 2 * 4 * 128 * 256 * 2
    masked = sum(int(np.ceil(200 * share)) for share in np.linspace(0.3, 1, 8))
    assert script.operations("GRU", False, True, 16, 200) == masked * 3 * 16 * 32 * 2
