import json

import keras
import numpy as np
import pytest
from helpers import learn, own_card, trained

import zoo
from zoo.families.ink.corpus import load_inks
from zoo.families.ink.network import Ink, InkConfig
from zoo.families.ink.vocabulary import InkVocabulary
from zoo.formats.strokes import as_points, pad
from zoo.layers import KINDS

TENSORFLOW = keras.backend.backend() == "tensorflow"
SMALL = {"filters": (6, 8), "kernels": (3, 3), "strides": (1, 2), "units": (6,), "dropout": 0.0}
SHAPES = {  # strokes of made-up symbols, in a box of height 1
    "1": [[[0.2, 0], [0.2, 1]]],
    "+": [[[0, 0.5], [0.8, 0.5]], [[0.4, 0.1], [0.4, 0.9]]],
    "v": [[[0, 0.3], [0.3, 1], [0.6, 0.3]]],
    r"\sin": [[[0.5, 0], [0, 0.2], [0.5, 0.7], [0, 1]], [[0.8, 0.4], [0.8, 1]]],
}


def write(tokens, random=None):
    """Strokes of a text in these symbols."""
    random = random or np.random.default_rng(0)
    strokes, left = [], 0.0
    for token in tokens:
        for stroke in SHAPES[token]:
            corners = np.array(stroke) + [left, 0]
            at = np.linspace(0, len(corners) - 1, 8 * len(corners))
            points = np.stack([np.interp(at, np.arange(len(corners)), c) for c in corners.T], 1)
            strokes.append(100 * (points + random.normal(0, 0.02, points.shape)))
        left += 1.1
    return strokes


TEXTS = [" ".join(text) for text in (
    ["1"], ["v"], ["1", "+", "1"], ["v", "+", "v"], [r"\sin", "v"], ["1", "1"], ["v", "1", "+", r"\sin", "1"],
    [r"\sin", "1", "+", r"\sin", "v"], ["+", "1"], ["1", "v", "1", "v"],
)]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty inks of eight writers, each text twice."""
    folder, random = tmp_path_factory.mktemp("inks") / "made", np.random.default_rng(3)
    folder.mkdir()
    for i in range(20):
        text = TEXTS[i % 10]
        strokes = [stroke.round(1).tolist() for stroke in write(text.split(), random)]
        about = {"strokes": strokes, "text": text, "writer": f"w{i % 8}"}
        (folder / f"{i:02d}.json").write_text(json.dumps(about))
    return folder


def small(**settings):
    keras.utils.set_random_seed(5)
    task = Ink(InkConfig(**SMALL | settings), InkVocabulary(sorted(SHAPES), divided=True))
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.2 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def serve(task, inks):
    points, lengths = pad(inks)
    found = task.compiled_serve({"points": points, "point_lengths": lengths})
    return {name: np.asarray(value) for name, value in found.items()}


# === Vocabulary ===


def test_tokens_divided_by_blanks():
    vocabulary = InkVocabulary.from_texts([*TEXTS, "x"])
    assert vocabulary.divided and vocabulary.characters == ["+", "1", r"\sin", "v", "x"]
    rows = vocabulary.encode(r"\sin  1 ? + v")
    assert vocabulary.decode(rows) == r"\sin 1 + v" and vocabulary.unknown("1 ? 1") == ["?"]
    assert InkVocabulary.from_json(json.loads(json.dumps(vocabulary.metadata()["vocabulary"]))) == vocabulary
    assert vocabulary.extended(["?"]).characters[-1] == "?" and vocabulary.extended(["?"]).divided


def test_what_is_not_divided_is_taken_apart():
    vocabulary = InkVocabulary.from_texts([*TEXTS, "x"])
    assert vocabulary.tokens(r"you x^{2}\sin x\to 1") == [*"youx^{2}", r"\sin", "x", r"\rightarrow", "1"]
    assert vocabulary.unknown("you") == ["y", "o", "u"]
    assert InkVocabulary(["cm", "1"], divided=True).tokens("1 cm") == ["1", "cm"]  # a word that it has is one


def test_words_are_characters():
    vocabulary = InkVocabulary.from_texts(["a cat", "the cat sat on a mat", "I"])
    assert not vocabulary.divided and " " in vocabulary
    assert vocabulary.decode(vocabulary.encode("a mat")) == "a mat"
    with pytest.raises(ValueError, match="no blank"):
        InkVocabulary(["a", " "], divided=True)


# === Preprocessing ===


def features(task, inks):
    points, lengths = pad(inks)
    return [np.asarray(value) for value in task.preprocess(points, lengths)]


def test_size_place_and_number_of_points_do_not_matter():
    task, strokes = small(), write(["v", "+", r"\sin"])
    wanted, count, _ = features(task, [as_points(strokes, "a")])
    finer = []
    for stroke in strokes:
        at = np.linspace(0, len(stroke) - 1, 4 * len(stroke) - 3)
        finer.append(np.stack([np.interp(at, np.arange(len(stroke)), column) for column in stroke.T], 1))
    for other in ([s * 0.01 for s in strokes], [s + [1e6, -5e5] for s in strokes], finer):
        found, same, _ = features(task, [as_points(other, "a")])
        assert same == count
        # Which side of a corner a sample is on may differ.
        assert np.median(np.abs(found[0, : count[0]] - wanted[0, : count[0]])) < 1e-2


def test_long_ink_is_made_level():
    strokes = write(["1", "+", "v"] * 4)
    rising = [s + s[:, :1] * [0, 0.08] for s in strokes]
    level, tilted = (features(small(), [as_points(some, "a")])[0][0, :, 4] for some in (strokes, rising))
    assert abs(len(level) - len(tilted)) < 0.1 * len(level)
    assert abs(np.polyfit(np.arange(len(tilted)), tilted, 1)[0] * len(tilted)) < 0.15


@pytest.mark.parametrize("strokes", [[[[0, 0], [5, 0]]], [[[0, 0]], [[0, 7]]], [[[3, 3], [3.001, 3]]]])
def test_dots_and_dashes_have_samples(strokes):
    values, counts, places = features(small(), [as_points(strokes, "a")])
    assert np.isfinite(values).all() and 2 <= counts[0] < 200 and (places >= 0).all()
    assert (values[0, :, 5] == 0).sum() >= len(strokes)  # the pen is down


# === Network ===


@pytest.mark.parametrize("strides", [(1, 2), (2, 3)])
def test_padding_never_changes_a_result(strides):
    task = small(strides=strides)
    inks = [as_points(write(text.split()), "a") for text in TEXTS[:6]]
    together = serve(task, inks)
    points, lengths = pad(inks)
    noise = np.random.default_rng(0).normal(0, 1e4, (len(inks), points.shape[1] + 7, 3)).astype("float32")
    for row, ink in zip(noise, inks, strict=True):
        row[: len(ink)] = ink
    noisy = {
        k: np.asarray(v) for k, v in task.compiled_serve({"points": noise, "point_lengths": lengths}).items()
    }
    for i, ink in enumerate(inks):
        alone = serve(task, [ink])
        count = alone["lengths"][0]
        for other in (together, noisy):
            assert other["lengths"][i] == count
            np.testing.assert_allclose(
                other["log_probs"][i, :count], alone["log_probs"][0, :count], atol=2e-4
            )
            np.testing.assert_allclose(other["at"][i, :count], alone["at"][0, :count], atol=1e-2)


@pytest.mark.parametrize("cell", KINDS)
def test_cells(cell):
    task = small(cell=cell, units=(5, 4))
    inputs = {"samples": np.zeros((2, 12, 6), "float32"), "lengths": np.array([12, 5], "int32")}
    assert task.network(inputs).shape == (2, 6, 5)


def test_bad_configurations():
    for settings in ({"filters": ()}, {"strides": (0, 1)}, {"step": 0}, {"hold": 0}, {"cell": "x"}):
        with pytest.raises(ValueError, match="filters|step|cell"):
            InkConfig(**SMALL | settings)


def test_network_is_an_ordinary_model():
    task = small()
    clone = keras.models.model_from_json(task.network.to_json())
    clone.set_weights(task.network.get_weights())


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
def test_exports_without_a_loop(tmp_path):
    from export import to_onnx

    task = small(units=(6, 5))
    inks = [as_points(write(text.split()), "a") for text in TEXTS[:5]]
    report = to_onnx(task, tmp_path / "ink.onnx")  # which compares with Keras
    assert "Loop" not in report["nodes"] and report["nodes"]["LSTM"] == 2
    exported = zoo.load(tmp_path / "ink.onnx")
    both = task.predict(inks, details=True), exported.predict(inks, details=True)
    for one, other in zip(*both, strict=True):
        assert one.text == other.text and one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert [t[2:] for t in one.tokens] == [t[2:] for t in other.tokens]


@pytest.mark.thorough
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
def test_exports_in_8_bits(tmp_path):
    from export import to_onnx

    to_onnx(small(units=(6, 5)), tmp_path / "small.onnx", int8=True)
    inks = [as_points(write(text.split()), "a") for text in TEXTS[:5]]
    assert any(zoo.load(tmp_path / "small.onnx").predict(inks))


# === Training ===


def test_augmentation_keeps_strokes():
    task, points = small(drop_points=0.3), as_points(write(["1", "+", "v"]), "a")
    varied = [np.asarray(task.augment_sample({"points": points}, [seed, 1])["points"]) for seed in range(6)]
    for one in varied:
        assert one[:, 2].sum() == 4 and one[-1, 2] == 1 and len(one) < len(points) and np.isfinite(one).all()
    again = np.asarray(task.augment_sample({"points": points}, [0, 1])["points"])
    np.testing.assert_array_equal(varied[0], again)
    assert len({one.shape[0] for one in varied}) > 1


def test_pipeline_counts_samples(folder):
    from zoo.data.pipeline import Pipeline

    task, inks = small(), load_inks(folder)
    inputs, labels = next(Pipeline(task, inks, 20, buckets=1).once())
    assert sorted(inputs["lengths"].tolist()) == sorted(task.corpus_lengths(inks).tolist())
    assert labels["label_lengths"].sum() == sum(len(text.split()) for text in inks.texts)
    assert not task.too_long(inks)


@pytest.mark.slow
def test_learns_twenty_inks_by_heart(folder):
    inks = load_inks(folder)
    keras.utils.set_random_seed(1)
    config = InkConfig(**SMALL | {"step": 0.15, "filters": (16, 24), "units": (24,)})
    task = Ink(config, InkVocabulary.from_texts(inks.texts))
    learn(task, inks, 120)
    report = task.reader.evaluate(inks)
    assert report["token_error_rate"] == 0.0 and report["exact"] == 1.0 and report["inks"] == 20


@pytest.mark.slow
def test_learns_on_jax(passes_on_jax):
    assert passes_on_jax(__file__, tests="by_heart or padding") == 3


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the loop is the same")
def test_the_recipe_trains_resumes_and_fine_tunes(folder, tmp_path):
    def run(*arguments):
        return trained("ink", *arguments, "--training.epochs", 2)

    new = "train", "--data", folder, "--model.filters", "6,8,8", "--model.units", 6
    first = run(*new, "--output", tmp_path / "run")
    assert "writer w" in first and first.count("\nepoch ") == 2
    again = run(*new, "--output", tmp_path / "run")
    assert "Going on with" in again and "\nepoch " not in again
    tuned = run("finetune", "--preset", tmp_path / "run", "--data", folder, "--output", tmp_path / "tuned")
    assert tuned.count("\nepoch ") == 2
    assert "(writer w" in own_card(tmp_path / "tuned", tmp_path / "run")
    assert zoo.load(tmp_path / "tuned").vocabulary == zoo.load(tmp_path / "run").vocabulary
