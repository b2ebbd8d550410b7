import csv

import keras
import numpy as np
import pytest
from helpers import own_card, run_recipe
from PIL import Image

import zoo
from export import runtime
from zoo.families.script_tagger.network import ScriptTagger, ScriptTaggerConfig
from zoo.families.script_tagger.reader import TagReader
from zoo.families.script_tagger.vocabulary import Classes
from zoo.images.augment import augment_line
from zoo.images.render.scripts import Composer, Line
from zoo.layers import KINDS
from zoo.text.scripts import written

NAMES = ["background", "latin", "greek", "garbage"]
TENSORFLOW = keras.backend.backend() == "tensorflow"
SMALL = {"height": 24, "filters": (4, 6, 8), "units": (6,), "column_units": 5, "dropout": 0.0}


def small(**settings):
    keras.utils.set_random_seed(5)
    task = ScriptTagger(ScriptTaggerConfig(**SMALL | settings), Classes(NAMES))
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.2 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


@pytest.fixture(scope="module")
def composed(draw_line):
    """Twenty lines as ``(pixels, columns)``; a reader that is sure of the classes leaves them as they are."""
    texts = {1: ["The quick fox", "jumps over"], 2: ["Ζαφείρι δέξου", "βαθών ψυχῆς"]}
    lines = {row: [[Line(draw_line(text, size=30)) for text in some]] for row, some in texts.items()}
    composer = Composer(lines, ["noise", "bars"], height=32, seed=1)
    reader, found = TagReader(None, {}, Classes(NAMES)), []
    for i in range(400):
        pixels, columns, _ = composer.compose(i)
        if pixels.shape[1] > 256:  # training on them takes time
            continue
        if (reader._tagging(np.eye(4)[columns], pixels[:, :, None]).columns == columns).all():
            found.append((pixels, columns))
    assert {row for _, columns in found[:20] for row in columns.tolist()} == {0, 1, 2, 3}
    return found[:20]


@pytest.fixture(scope="module")
def corpus(composed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagged") / "lines"
    folder.mkdir()
    (folder / "classes.txt").write_text("\n".join(NAMES))
    for i, (pixels, columns) in enumerate(composed):
        Image.fromarray(pixels).save(folder / f"page{i // 5}_{i}.png")
        (folder / f"page{i // 5}_{i}.columns.txt").write_text(written(columns))
    return folder


def serve(task, images):
    image, size = runtime.pad_lines([i[:, :, None] for i in images])
    return np.asarray(task.compiled_serve({"image": image, "size": size})["probabilities"])


# === Network ===


def test_classes():
    classes = Classes(NAMES)
    assert Classes.from_json(classes.metadata()["vocabulary"]) == classes and len(classes) == 4
    assert classes.row("greek") == classes.row("2") == 2 and "3" in classes and "4" not in classes
    assert Classes(["0", "2", "1"]).row("2") == 1  # names that are numbers mean themselves
    for names in (["a", "a"], ["a"], ["a", ""]):
        with pytest.raises(ValueError, match="two names or more|each label once"):
            Classes(names)


@pytest.mark.parametrize("settings", [{}, {"pools": ((1, 2), (3, 2), (1, 2)), "units": (5, 4)}])
def test_padding_never_changes_a_result(composed, settings):
    task, random = small(**settings), np.random.default_rng(0)
    images = [pixels for pixels, _ in composed[:5]]
    images[1] = np.asarray(Image.fromarray(images[1]).resize((images[1].shape[1] * 2, 61)))
    together = serve(task, images)
    image, size = runtime.pad_lines([i[:, :, None] for i in images])
    noise = random.integers(0, 256, (5, image.shape[1] + 13, image.shape[2] + 57, 1)).astype("uint8")
    for row, (height, width), one in zip(noise, size, images, strict=True):
        row[:height, :width, 0] = one
    served = task.compiled_serve({"image": noise, "size": size})
    padded = np.asarray(served["probabilities"])
    np.testing.assert_array_equal(served["lengths"], size[:, 1])
    for i, one in enumerate(images):
        width = one.shape[1]
        alone = serve(task, [one])[0]
        np.testing.assert_allclose(alone.sum(1), 1, atol=1e-5)
        for other in (together, padded):
            np.testing.assert_allclose(other[i, :width], alone, atol=2e-4)


def test_each_column_is_told_of_in_every_height(composed):
    """An image of three times the size has what the given one has, three times each."""
    task = small()
    pixels = composed[2][0][:24]
    large = np.repeat(np.repeat(pixels, 3, 0), 3, 1)
    found, larger = serve(task, [pixels])[0], serve(task, [large])[0]
    assert found.shape[0] == pixels.shape[1] and larger.shape[0] == large.shape[1]
    np.testing.assert_allclose(larger[1::3], found, atol=1e-3)
    np.testing.assert_allclose(larger[::3], larger[2::3], atol=1e-3)


@pytest.mark.parametrize("cell", KINDS)
def test_cells(cell):
    task = small(cell=cell, units=(5, 4))
    inputs = {"image": np.zeros((2, 12, 24, 1), "float32"), "columns": np.array([12, 5], "int32")}
    assert task.network(inputs).shape == (2, 12, 4)


def test_bad_configurations():
    for settings in ({"filters": ()}, {"pools": ((2, 2),)}, {"units": ()}, {"cell": "x"}):
        with pytest.raises(ValueError, match="filters|units|cell"):
            ScriptTaggerConfig(**settings)


def test_network_is_an_ordinary_model():
    task = small()
    clone = keras.models.model_from_json(task.network.to_json())
    clone.set_weights(task.network.get_weights())


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
def test_exports_without_a_loop(composed, tmp_path):
    from export import to_onnx

    task, images = small(units=(6, 5)), [pixels for pixels, _ in composed[:4]]
    report = to_onnx(task, tmp_path / "tagger.onnx")  # which compares with Keras
    assert "Loop" not in report["nodes"] and report["nodes"]["LSTM"] == 2
    assert set(report["recurrent"].values()) == {"fused"}
    exported = zoo.load(tmp_path / "tagger.onnx")
    for one, other in zip(
        task.predict(images, details=True), exported.predict(images, details=True), strict=True
    ):
        np.testing.assert_array_equal(one.columns, other.columns)
        assert one.text == other.text and one.confidence == pytest.approx(other.confidence, abs=1e-4)


@pytest.mark.thorough
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
def test_exports_in_8_bits(composed, tmp_path):
    from export import to_onnx

    to_onnx(small(units=(6, 5)), tmp_path / "small.onnx", int8=True)
    assert any(zoo.load(tmp_path / "small.onnx").predict([pixels for pixels, _ in composed[:4]]))


# === Training ===


def test_augmentation_moves_columns_with_their_ink():
    """Each stroke is of a class of its own; where it goes, that goes."""
    pixels, columns = np.full((32, 300, 1), 255, np.uint8), np.zeros(300, np.int32)
    for i, left in enumerate(range(20, 280, 40)):
        pixels[8:24, left : left + 20], columns[left : left + 20] = 0, i + 1
    widths = set()
    for seed in range(12):
        moved, told = (np.asarray(one) for one in augment_line(pixels, [seed, 1], columns))
        np.testing.assert_array_equal(moved, augment_line(pixels, [seed, 1]))
        assert told.shape == (moved.shape[1],) and sorted(set(told.tolist())) == list(range(8))
        row = moved[moved.shape[0] // 2, :, 0].astype(int)
        dark = row < (row.max() + row.min()) / 2
        assert (dark == (told > 0)).mean() > 0.95
        widths.add(moved.shape[1])
    assert len(widths) > 6


def test_classes_of_normalised_columns(corpus):
    """Those of an image scaled to another height are as many, each as wide."""
    from zoo.data.pipeline import Pipeline
    from zoo.families.script_tagger.corpus import load_tagged

    task, tagged = small(height=16), load_tagged(corpus)
    lengths = task.corpus_lengths(tagged)
    inputs, labels = next(Pipeline(task, tagged, 20, buckets=1).once())
    assert sorted(inputs["columns"].tolist()) == sorted(lengths.tolist())
    for width, length, classes in zip(inputs["columns"], labels["lengths"], labels["classes"], strict=True):
        assert width == length and classes[0] == 0
    whole = np.concatenate([columns for _, columns in zip(*next(tagged.chunks(20)), strict=True)])
    halved = np.concatenate([c[:n] for c, n in zip(labels["classes"], labels["lengths"], strict=True)])
    for row, name in enumerate(NAMES):
        assert (halved == row).mean() == pytest.approx((whole == name).mean(), abs=0.02)


TRAINED = [
    "--model.height", 24, "--model.units", 24, "--model.dropout", "0.0", "--training.batch-size", 10,
    "--training.learning-rate", 0.006,
]  # fmt: skip


def history_of(run):
    with open(run / "history.csv", encoding="utf-8") as file:
        return [
            [float(row[name]) for name in ("loss", "error", "segment_f1")] for row in csv.DictReader(file)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_learns_twenty_lines_by_heart(backend, corpus, tmp_path):
    pytest.importorskip(backend)
    run = tmp_path / "run"
    done = run_recipe(
        "script_tagger", "train", "--data", f"{corpus}@60", "--validation", corpus, "--output", run, *TRAINED,
        "--model.height", 32, "--training.epochs", 10, "--training.augment", "False",
        "--training.patience", 3, backend=backend,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert min(error for _, error, _ in history_of(run)) == 0.0
    report = zoo.load(run).evaluate(corpus)
    assert report["accuracy"] == report["segment_f1"] == 1.0 and report["lines"] == 20


@pytest.mark.slow
def test_fine_tunes_to_other_classes(corpus, tmp_path, capsys):
    from recipes import script_tagger

    small().save(tmp_path / "task")
    given = ["finetune", "--preset", str(tmp_path / "task"), "--training.epochs", "1", "--data", str(corpus)]
    script_tagger.main([*given, "--output", str(tmp_path / "same")])
    assert "a new output layer" not in capsys.readouterr().out
    other = tmp_path / "other"
    other.mkdir()
    for path in corpus.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "classes.txt").write_text("background\nLatn\nGrek\nnone\n")
    script_tagger.main([*given[:-1], str(other), "--output", str(tmp_path / "tuned")])
    assert "a new output layer" in capsys.readouterr().out
    assert "accuracy of columns" in own_card(tmp_path / "tuned", tmp_path / "task")
    tuned = zoo.load(tmp_path / "tuned")
    assert tuned.vocabulary.names == ["background", "Latn", "Grek", "none"]
