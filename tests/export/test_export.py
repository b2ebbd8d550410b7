"""Exported files give what Keras gives, or are not there."""

import importlib
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from export import onnx_graph, runtime, savedmodel, verify
from export.onnx_file import to_onnx
from export.savedmodel import to_savedmodel
from export.verify import ExportError
from zoo.contract.serving import Serving, TensorSpec
from zoo.errors import UserError


@pytest.fixture(scope="session")
def exported(small_reader, tmp_path_factory):
    """(path, report) of the small reader as an ONNX file."""
    path = tmp_path_factory.mktemp("exported") / "reader.onnx"
    small_reader.card = {"licence": "CC0", "figures": [{"set": "made up", "metric": "cer", "value": 0.5}]}
    return path, to_onnx(small_reader, path, preset="small")


@pytest.fixture(scope="session")
def reader(exported):
    return runtime.load(exported[0])


@pytest.fixture(scope="session")
def lines(draw_line, some_texts):
    """Line images of many sizes."""
    return [draw_line(text, size=12 + 3 * i, margin=2 + i) for i, text in enumerate(some_texts[:9])]


def make_reader(characters, direction="ltr", **config):
    import keras

    from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
    from zoo.text.characters import Vocabulary

    keras.utils.set_random_seed(5)
    return LineOcr(LineOcrConfig(height=16, **config), Vocabulary(characters, direction))


def same(lines, others):
    for line, other in zip(lines, others, strict=True):
        assert line.text == other.text
        assert line.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert [c.character for c in line.characters] == [c.character for c in other.characters]
        found, wanted = ([about for _, *about in one.characters] for one in (line, other))
        np.testing.assert_allclose(found, wanted, atol=0.01)


# === ONNX ===


@pytest.mark.slow
def test_report_and_graph(exported):
    path, report = exported
    assert report["size"] == path.stat().st_size
    assert report["cases"] >= 6 and report["max_difference"] <= verify.TOLERANCE
    assert report["nodes"]["LSTM"] == 1 and not {"Loop", "Scan", "If"} & set(report["nodes"])
    assert (report["opset"], report["ir_version"]) == (17, 8)
    graph = onnx.load(path).graph
    lstm = next(node for node in graph.node if node.op_type == "LSTM")
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in lstm.attribute}
    assert attributes["direction"] == b"bidirectional" and lstm.input[4], "one operation, with lengths"
    dims = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert dims == {
        "image": ["batch", "height", "width", "channels"],
        "size": ["batch", 2],
        "labels": ["batch", "time"],
        "label_lengths": ["batch"],
        "confidence": ["batch"],
        "starts": ["batch", "time"],
        "ends": ["batch", "time"],
        "log_probs": ["batch", "time", "symbols"],
        "lengths": ["batch"],
    }


def test_metadata(exported, small_reader):
    path, report = exported
    stored = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert stored["seqzoo.format"] == runtime.FORMAT and stored["seqzoo.task"] == "line_ocr"
    assert stored["seqzoo.preset"] == "small" and stored["seqzoo.licence"] == "CC0"
    assert stored["seqzoo.direction"] == "ltr" and stored["seqzoo.version"]
    assert json.loads(stored["seqzoo.vocabulary"]) == small_reader.vocabulary.to_json()
    assert json.loads(stored["seqzoo.config"])["height"] == 24
    assert json.loads(stored["seqzoo.figures"]) == small_reader.card["figures"]
    assert json.loads(stored["seqzoo.report"])["max_difference"] == report["max_difference"]


@pytest.mark.slow
def test_same_weights_give_the_same_bytes(exported, small_reader, tmp_path):
    to_onnx(small_reader, tmp_path / "again.onnx", preset="small")
    assert (tmp_path / "again.onnx").read_bytes() == exported[0].read_bytes()


def test_reader_reads_what_the_task_reads(reader, small_reader, lines):
    same(reader(lines, details=True), small_reader.predict(lines, details=True))
    assert reader(lines) == small_reader.predict(lines)
    colour = [np.stack([line] * 3, -1) for line in lines]
    assert reader(colour) == reader(lines)


def test_alone_and_in_batches_of_any_size(exported, reader, lines):
    alone = [reader(line, details=True)[0] for line in lines]
    for batch_size in (1, 2, 9, 100):
        same(reader(lines, details=True, batch_size=batch_size), alone)
    same(runtime.load(exported[0], threads=1)(lines, details=True), alone)


def test_extreme_shapes(reader):
    for height, width in [(8, 1), (8, 2000), (300, 3), (9, 9)]:
        line = np.full((height, width), 200, "uint8")
        line[::2] = 40
        for beam_width in (None, 2):
            (read,) = reader(line, details=True, beam_width=beam_width)
            assert all(0 <= start < end <= width + 0.01 for _, start, end, _ in read.characters)


def test_beam_search_of_a_model(reader, lines):
    for line in lines[:3]:
        image, size = runtime.pad_lines([line[:, :, None]])
        log_probs, length = reader.run(["log_probs", "lengths"], {"image": image, "size": size})
        (read,) = reader(line, beam_width=4, details=True)
        labels, _ = runtime.prefix_beam_search(log_probs[0, : length[0]], 4)
        assert read.text == "".join(reader.vocabulary[label - 1] for label in labels)
        assert 0 < read.confidence <= 1


# The deployment host: nothing but the file runtime.py, and no other package than it names.
ALONE = """
import runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "zoo", "export", "onnx", "tf2onnx", "tqdm"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocker())
sys.argv = ["runtime.py", *sys.argv[1:]]
runpy.run_path("runtime.py", run_name="__main__")
"""


def test_reads_where_nothing_else_is_installed(exported, reader, lines, tmp_path):
    from PIL import Image

    shutil.copy(runtime.__file__, tmp_path / "runtime.py")
    for i, line in enumerate(lines[:3]):
        Image.fromarray(line).save(tmp_path / f"{i}.png")
    arguments = [str(exported[0]), "0.png", "1.png", "none.png", "2.png"]
    run = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert run.stdout.splitlines() == reader(lines[:3])
    assert run.returncode == 3 and "none.png" in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.slow
def test_right_to_left_without_convolutions_on_two_layers(tmp_path, lines):
    task = make_reader("ابتثج 12().", "rtl", filters=(), units=(6, 5))
    report = to_onnx(task, tmp_path / "reader.onnx")
    assert report["nodes"]["LSTM"] == 2 and "Conv" not in report["nodes"]
    reader = runtime.load(tmp_path / "reader.onnx")
    assert reader.direction == "rtl"
    same(reader(lines, details=True), task.predict(lines, details=True))


# === What goes wrong ===


@pytest.mark.slow
def test_a_wrong_model_leaves_no_file_and_keeps_the_old_one(exported, small_reader, tmp_path, monkeypatch):
    def build(serving, function, operations, opset):
        model = onnx.load(exported[0])
        lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
        bias = next(value for value in model.graph.initializer if value.name == lstm.input[3])
        values = onnx.numpy_helper.to_array(bias) + np.float32(0.01)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return model

    monkeypatch.setattr(onnx_graph, "build", build)
    with pytest.raises(ExportError, match="differs from Keras"):
        to_onnx(small_reader, tmp_path / "reader.onnx")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "reader.onnx").write_bytes(b"old")
    with pytest.raises(ExportError):
        to_onnx(small_reader, tmp_path / "reader.onnx")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_model_that_onnxruntime_refuses(exported, small_reader, tmp_path, monkeypatch):
    model = onnx.load(exported[0])
    next(node for node in model.graph.node if node.op_type == "LSTM").op_type = "Juggle"
    monkeypatch.setattr(onnx_graph, "build", lambda *_: model)
    with pytest.raises(ExportError, match="onnxruntime refuses"):
        to_onnx(small_reader, tmp_path / "reader.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_operation_without_onnx_form(exported):
    import tensorflow as tf

    spec = (TensorSpec("x", "float32", ("batch",)),)
    signature = [tf.TensorSpec([None], name="x")]
    function = tf.function(lambda x: {"y": tf.bitcast(x, tf.int32)}, input_signature=signature)
    with pytest.raises(ExportError, match="Bitcast"):
        onnx_graph.build(
            SimpleNamespace(inputs=spec, outputs=(TensorSpec("y", "int32", ("batch",)),)), function
        )


@pytest.mark.slow
def test_a_place_that_cannot_be_written(small_reader, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "build", lambda *_: onnx.load(exported[0]))
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "reader.onnx", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            to_onnx(small_reader, path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_another_backend(small_reader, exported, tmp_path, monkeypatch, capsys):
    """A SavedModel needs TensorFlow; an ONNX file is made by a process that has Keras on it."""
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="KERAS_BACKEND=tensorflow"):
        to_savedmodel(small_reader, tmp_path / "model")
    report = to_onnx(small_reader, tmp_path / "reader.onnx")
    assert "on TensorFlow in another process" in capsys.readouterr().err
    assert report["recurrent"] == exported[1]["recurrent"] == {"lstm_0": "fused"}
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="file/reader.onnx"):
        to_onnx(small_reader, tmp_path / "file" / "reader.onnx")


def test_a_gpu_changes_nothing(small_reader, monkeypatch):
    """Keras traces cuDNN's LSTM where there is a GPU, which neither ONNX nor a machine without one has."""
    monkeypatch.setattr(
        importlib.import_module("keras.src.backend.tensorflow.rnn"), "_is_gpu_available", lambda: True
    )
    graph = verify.serving_function(small_reader).get_concrete_function().graph.as_graph_def()
    operations = {node.op for function in graph.library.function for node in function.node_def}
    operations |= {node.op for node in graph.node}
    assert operations & {"While", "StatelessWhile"} and not any("Cudnn" in name for name in operations)
    layers = [layer for layer in small_reader.network._flatten_layers() if hasattr(layer, "use_cudnn")]
    assert layers and all(layer.use_cudnn == "auto" for layer in layers), "as it was before"


# === Comparison ===


def outputs(**values):
    log_probs = np.log(np.array([[[0.7, 0.3], [0.6, 0.4], [0.5, 0.5]]] * 2, "float32"))
    labels = np.array([[1, 0, 0], [1, 0, 0]], "int32")
    return {"log_probs": log_probs, "labels": labels, "lengths": np.array([2, 2], "int32")} | values


def subject_of(*specs, of_task=True, rounded=None):
    return SimpleNamespace(serving=Serving((), specs, None, None, of_task=of_task, rounded=rounded))


def compare(expected, found):
    specs = (
        TensorSpec("log_probs", "float32", ("batch", "time", "symbols")),
        TensorSpec("labels", "int32", ("batch", "time")),
        TensorSpec("lengths", "int32", ("batch",)),
    )
    return verify.compare(subject_of(*specs), [({}, expected, found)])


def test_compare_finds_differences():
    one = outputs()
    assert compare(one, outputs()) == {"cases": 1, "rows": 2, "ties": 0, "max_difference": 0.0}
    beyond = one["log_probs"].copy()
    beyond[:, 2] = np.nan
    assert compare(one, outputs(log_probs=beyond))["max_difference"] == 0.0, "the padding has no meaning"
    near = compare(one, outputs(log_probs=one["log_probs"] + np.float32(5e-5)))
    assert near["max_difference"] == pytest.approx(5e-5, rel=0.1)
    wrong = {
        "log_probs": one["log_probs"] + np.float32(1e-3),
        "labels": one["labels"] + 1,
        "lengths": one["lengths"] + 1,
    }
    nan = one["log_probs"].copy()
    nan[0, 0, 0] = np.nan
    for name, value in [*wrong.items(), ("log_probs", nan)]:
        with pytest.raises(ExportError, match=name):
            compare(one, outputs(**{name: value}))
    with pytest.raises(ExportError, match="lacks"):
        compare(one, {"labels": one["labels"]})
    with pytest.raises(ExportError, match="instead of"):
        compare(one, outputs(labels=one["labels"].astype("int64")))
    with pytest.raises(ExportError, match="instead of"):
        compare(one, outputs(labels=one["labels"][:1]))


@pytest.mark.parametrize(("name", "most"), [("attention", 1e-3), ("scores", 1e-4)])
def test_attention_may_differ_more(name, most):
    task = subject_of(TensorSpec(name, "float32", ("batch", "time")))
    one = np.full((2, 3), 0.3, "float32")
    assert verify.compare(task, [({}, {name: one}, {name: one + np.float32(0.9 * most)})])["cases"] == 1
    with pytest.raises(ExportError, match=name):
        verify.compare(task, [({}, {name: one}, {name: one + np.float32(1.1 * most)})])


def test_ties_may_be_broken_either_way():
    tied = outputs()["log_probs"].copy()
    tied[1, 1] = np.log(0.5)
    turned = tied + np.array([1e-6, -1e-6], "float32")
    other = outputs()["labels"].copy()
    other[1] = [1, 1, 1]
    assert compare(outputs(log_probs=tied), outputs(log_probs=turned, labels=other))["ties"] == 1
    other[0] = [1, 1, 1]  # the row that is not tied
    with pytest.raises(ExportError, match="labels"):
        compare(outputs(log_probs=tied), outputs(log_probs=turned, labels=other))
    tied[:] = np.log(0.5)
    with pytest.raises(ExportError, match="train it first"):
        compare(outputs(log_probs=tied), outputs(log_probs=tied))


def test_what_rounding_decides_is_not_compared():
    spec = TensorSpec("class", "int32", ("batch",))
    one, other = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])

    def compared(one, other, rounded):
        subject = subject_of(spec, of_task=False, rounded=lambda inputs, seed: {spec.name: rounded(seed)})
        return verify.compare(subject, [({}, {spec.name: one}, {spec.name: other})])

    one, other = np.array([1, 2, 3, 4], "int32"), np.array([1, 2, 3, 5], "int32")
    assert compared(one, other, lambda seed: np.array([1, 2, 3, 3 + seed]))["ties"] == 1
    with pytest.raises(ExportError, match="differs"):
        compared(one, other, lambda seed: one)
    spec = TensorSpec("y", "float32", ("batch",))
    one, other = np.array([1000.0, 1.0], "float32"), np.array([1000.0, np.inf], "float32")
    with pytest.raises(ExportError, match="unequal"):  # rounding moves it, but does not make it overflow
        compared(one, other, lambda seed: one + np.float32(9))


# === SavedModel ===


@pytest.mark.slow
def test_savedmodel(small_reader, lines, tmp_path, monkeypatch):
    import tensorflow as tf

    folder = tmp_path / "model"
    report = to_savedmodel(small_reader, folder)
    assert report["max_difference"] <= verify.TOLERANCE and report["cases"] >= 6
    assert report["size"] == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    image, size = runtime.pad_lines([line[:, :, None] for line in lines])
    read = serve(image=tf.constant(image), size=tf.constant(size))
    assert [text.decode() for text in read["text"].numpy()] == small_reader.predict(lines)

    # One that differs is refused, and the older one is still there.
    examples = verify.examples

    def shifted(task):
        for inputs, expected in examples(task):
            yield inputs, expected | {"confidence": expected["confidence"] + np.float32(0.01)}

    monkeypatch.setattr(verify, "examples", shifted)
    before = (folder / "fingerprint.pb").read_bytes()
    with pytest.raises(ExportError, match="confidence"):
        to_savedmodel(small_reader, folder)
    assert (folder / "fingerprint.pb").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_savedmodel_spares_other_folders(small_reader, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="other things"):
        to_savedmodel(small_reader, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_a_savedmodel_that_cannot_be_served(small_reader, tmp_path):
    with pytest.raises(ExportError, match="cannot serve"):
        savedmodel._verify(small_reader, tmp_path)


def test_presets_are_loaded_by_name(small_reader, exported, tmp_path, monkeypatch):
    small_reader.save(tmp_path / "tiny")
    seen = []
    monkeypatch.setattr(verify, "compare", lambda task, *_: seen.append(task.vocabulary) or {})
    monkeypatch.setattr(onnx_graph, "build", lambda *_: onnx.load(exported[0]))
    to_onnx(tmp_path / "tiny", tmp_path / "tiny.onnx")
    assert seen == [small_reader.vocabulary]
    stored = {entry.key: entry.value for entry in onnx.load(tmp_path / "tiny.onnx").metadata_props}
    assert stored["seqzoo.preset"] == "tiny"


def test_a_row_whose_length_rounding_decides_is_not_compared():
    """A frame more or less, as where a path is just as long as so many samples, makes all frames others."""
    specs = (
        TensorSpec("confidence", "float32", ("batch",)),
        TensorSpec("log_probs", "float32", ("batch", "time", 2)),
        TensorSpec("lengths", "int32", ("batch",)),
    )

    def given(last, shift):
        confidence = np.array([0.9, 0.5, 0.7 + shift], "float32")
        log_probs = np.log(np.full((3, 4, 2), 0.5, "float32")) + np.float32([[0.1, -0.2]])
        log_probs[2] += np.float32(shift)
        return {"confidence": confidence, "log_probs": log_probs, "lengths": np.array([4, 4, last], "int32")}

    def compared(moves):
        subject = subject_of(*specs, rounded=lambda inputs, seed: given(3 + moves * seed % 2, 0.0))
        return verify.compare(subject, [({}, given(3, 0.0), given(4, 0.01))])

    assert compared(moves=1)["ties"] == 1
    with pytest.raises(ExportError, match="differs from Keras"):
        compared(moves=0)
