"""The network of sequence classifiers: features, padding, pieces and the whole, learning, export."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import learn, own_card, trained

import zoo
from zoo.errors import UserError
from zoo.families.sequence_classifier.corpus import load_sequences
from zoo.families.sequence_classifier.network import SequenceClassifier, SequenceClassifierConfig
from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary, statistics
from zoo.layers import KINDS

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
JOINTS = SequenceVocabulary([f"{joint}_{axis}" for joint in range(3) for axis in "xyz"], ["a", "b", "c"])
FORWARD = {"directions": "forward"}
POINTS = {"axes": 3, "origin": 1, "zeros_missing": True, "gravity": 5, "velocity": 2, "magnitude": True}
VARIANTS = [
    {},
    {**POINTS, "filters": (6, 6), "strides": (3, 2), "pooling": "last_state"},
    {**FORWARD, **POINTS, "acceleration": True, "strides": (2,)},
    {**FORWARD, "cell": "gru", "filters": (6, 6), "strides": (2, 2), "pooling": "last_state"},
    {**FORWARD, "cell": "simple", "filters": (), "strides": (), "layers": 2, "pooling": "max"},
]


def small(vocabulary=JOINTS, /, **settings):
    keras.utils.set_random_seed(5)
    config = {"units": 6, "filters": (6,), "kernel": 3, "window": 16} | settings
    task = SequenceClassifier(SequenceClassifierConfig(**config), vocabulary)
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.3 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def sequences(*lengths, channels=9):
    random = np.random.default_rng(0)
    found = [random.standard_normal((length, channels)).astype("float32") for length in lengths]
    for one in found:
        one[random.random(one.shape) < 0.1] = np.nan
        one[random.random(len(one)) < 0.2, 3:6] = 0  # a point that was not seen
    return found


def probabilities(results):
    return np.array([list(one.probabilities.values()) for one in results])


# === Vocabulary ===


def test_channels_by_name_and_by_place():
    values = np.arange(6, dtype="float32").reshape(2, 3)
    known = SequenceVocabulary(["x", "y"], ["a", "b"], [0.0, 1.0], [2.0, 3.0])
    assert SequenceVocabulary.from_json(known.metadata()["vocabulary"]) == known and len(known) == 2
    np.testing.assert_array_equal(known.pick(["y", "z", "x"], values, "f"), values[:, [2, 0]])
    np.testing.assert_array_equal(known.pick(None, values[:, :2], "f"), values[:, :2])
    with pytest.raises(UserError, match="f: it has 3 columns, the model reads 2 columns"):
        known.pick(None, values, "f")
    with pytest.raises(UserError, match="f: there is no column x; its columns are y, z, q"):
        known.pick(["y", "z", "q"], values, "f")
    unnamed = SequenceVocabulary(["channel_1", "channel_2"], ["a", "b"])
    np.testing.assert_array_equal(unnamed.pick(["y", "z"], values[:, :2], "f"), values[:, :2])
    for wrong in ({"channels": ["x", "x"], "labels": ["a"]}, {"channels": ["x"], "labels": ["a", "a"]}):
        with pytest.raises(ValueError, match="once"):
            SequenceVocabulary(**wrong)


def test_statistics_of_large_numbers_with_little_in_them():
    random = np.random.default_rng(0)
    values = np.float32(1e5) + random.normal(0, 3, (500, 1))
    known = np.concatenate([values, np.full((500, 1), 7.0)], 1)
    known[::7, 0] = np.nan
    mean, scale = statistics([known[:200], known[200:]])
    assert mean == pytest.approx([np.nanmean(known[:, 0]), 7])
    assert scale == pytest.approx([np.nanstd(known[:, 0]), 1])  # what never moves is left as it is


# === Features ===


def test_features():
    config = {"axes": 3, "zero": 1.0, "zeros_missing": True, "origin": 0, "velocity": 1, "acceleration": True}
    task = small(SequenceVocabulary(list("abcdef"), ["a", "b"]), **config, magnitude=True)
    values = np.arange(24, dtype="float32").reshape(4, 6) ** 2
    values[2, 3:] = 0
    found = task.features_of(values)
    points = (values - 1).reshape(4, 2, 3)
    points[2, 1] = np.nan
    seen = points - points[:, :1]
    velocity = np.diff(points, axis=0, prepend=np.nan)
    acceleration = np.diff(velocity, axis=0, prepend=np.nan)
    parts = [part.reshape(4, 6) for part in (seen, velocity, acceleration)]
    np.testing.assert_allclose(found, np.concatenate([*parts, np.linalg.norm(seen, axis=-1)], 1), rtol=1e-6)
    assert task.derived.count == found.shape[1] == 20


def test_points_have_one_scale():
    class Corpus:
        def chunks(self, size):
            values = np.random.default_rng(0).normal(5, [1, 10, 1, 0.1, 1, 1], (900, 6)).astype("float32")
            yield [(list("abcdef"), values)], ["a"]

    vocabulary, single = SequenceVocabulary(list("abcdef"), ["a", "b"]), {"velocity": 1}
    alone = small(vocabulary, **single).with_statistics(Corpus()).vocabulary
    np.testing.assert_allclose(alone.scale[:6], [1, 10, 1, 0.1, 1, 1], rtol=0.1)
    together = small(vocabulary, axes=3, **single).with_statistics(Corpus()).vocabulary
    assert len(set(together.scale[:6])) == len(set(together.scale[6:])) == 1
    assert together.scale[0] == pytest.approx(np.sqrt(104.01 / 6), rel=0.1) and together.mean == alone.mean


@pytest.mark.parametrize("directions, before", [("both", 2), ("forward", 4)])
def test_the_slow_part_is_a_mean_over_what_is_known(directions, before):
    task = small(SequenceVocabulary(["x"], ["a", "b"]), gravity=5, directions=directions)
    values = np.arange(12, dtype="float32")[:, None] ** 2
    values[3] = np.nan
    slow, fast = task.features_of(values).T
    for at in range(12):
        mean = np.nanmean(values[max(0, at - before) : at + 5 - before])
        assert slow[at] == pytest.approx(mean)
        assert np.isnan(fast[at]) if at == 3 else fast[at] == pytest.approx(values[at, 0] - mean, abs=1e-4)


# === Padding, pieces ===


@pytest.mark.slow
@pytest.mark.parametrize("settings", [*VARIANTS, *({"cell": cell} for cell in KINDS)])
def test_a_batch_is_each_sequence_alone(settings):
    task = small(**settings)
    several = sequences(9, 2, 30, 17)
    together = probabilities(task.predict(several, details=True))
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-6)
    alone = [probabilities(task.predict(one, details=True))[0] for one in several]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("settings", VARIANTS)
def test_what_comes_row_by_row_gives_the_whole(settings, monkeypatch):
    from zoo.families.sequence_classifier import reader as reading

    task = small(**settings)
    several = sequences(2, 5, 40, 17, 64)
    whole = probabilities(task.predict(several, details=True))
    for one, wanted in zip(several, whole, strict=True):
        lines = [",".join("" if np.isnan(value) else str(value) for value in row) for row in one]
        found = probabilities(task.reader.follow(lines))
        found = found[-1] if task.state_size else found.mean(0)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    monkeypatch.setattr(reading, "PIECE", 8)
    np.testing.assert_allclose(probabilities(task.predict(several, details=True)), whole, atol=1e-5)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"pooling": "sum"}, "pooling is one of"),
        ({"layers": 0}, "layers is 1 or more"),
        ({"filters": (8, 8)}, "has a stride"),
        ({"directions": "forward", "cell": "skip"}, "cannot be carried on"),
        ({"rotate": 0.3}, "set axes to 3"),
        ({"mirror": ((0, 1),)}, "set axes to 2 or 3"),
        ({"acceleration": True}, "set velocity"),
    ],
)
def test_bad_configurations(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        SequenceClassifierConfig(**settings)


def test_points_that_are_not_there():
    for settings, sentence in (
        ({"axes": 2}, "9 channels, which are no"),
        ({"axes": 3, "origin": 3}, "3 points"),
    ):
        with pytest.raises(UserError, match=sentence):
            small(**settings)


# === Export ===


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
@pytest.mark.parametrize("settings", VARIANTS)
def test_exports_without_a_loop(settings, tmp_path):
    from export import to_onnx

    task = small(JOINTS.scaled(*2 * [[2.5] * small(**settings).derived.count]), **settings)
    report = to_onnx(task, tmp_path / "a.onnx")  # which compares with Keras
    assert "Loop" not in report["nodes"] and set(report["recurrent"].values()) == {"fused"}
    exported, several = zoo.load(tmp_path / "a.onnx"), sequences(9, 2, 40)
    wanted = probabilities(task.predict(several, details=True))
    np.testing.assert_allclose(probabilities(exported.predict(several, details=True)), wanted, atol=1e-5)
    to_onnx(task, tmp_path / "b.onnx", int8=True)
    coarse = probabilities(zoo.load(tmp_path / "b.onnx").predict(several, details=True))
    np.testing.assert_allclose(coarse, wanted, atol=0.1)


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(tmp_path):
    task = small(JOINTS.scaled([1e5 / 3] * 9, [1 / 3] * 9))
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    assert copy.vocabulary == task.vocabulary and copy.config == task.config


# === Training ===


def write(folder, count=20, seed=0):
    """Waves whose frequency tells the label, and noise in a second channel that tells nothing."""
    folder.mkdir()
    random, lines = np.random.default_rng(seed), ["id\tsubject\tlabel"]
    for i in range(count):
        time, label = np.arange(random.integers(20, 40)), i % 2
        wave = np.sin(time * (0.3 + 0.5 * label) + random.uniform(0, 6)) + random.normal(0, 0.1, len(time))
        rows = np.stack([50 + 3 * wave, random.normal(0, 9, len(time))], 1)
        np.savetxt(folder / f"s{i}.csv", rows, "%.4f", ",", header="x,y", comments="")
        lines.append(f"s{i}\tp{i % 5}\t{('slow', 'fast')[label]}")
    (folder / "labels.tsv").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FORWARD])
def test_learns_twenty_sequences_by_heart(settings, tmp_path):
    corpus = load_sequences(write(tmp_path / "c"))
    vocabulary = SequenceVocabulary(["x", "y"], ["fast", "slow"])
    config = SequenceClassifierConfig(units=12, filters=(8,), dropout=0.0, label_smoothing=0.0, **settings)
    task = SequenceClassifier(config, vocabulary).with_statistics(corpus)
    assert task.vocabulary.mean[0] == pytest.approx(50, abs=0.5)
    assert learn(task, corpus, 40)[-1] < 0.05
    report = task.evaluate(tmp_path / "c")
    assert report["accuracy"] == report["macro_f1"] == 1 and report["sequences"] == 20


def test_learns_on_jax(passes_on_jax):
    assert passes_on_jax(__file__, tests="by_heart or row_by_row") >= 2


def test_variants_of_a_sequence():
    from zoo.families.sequence_classifier.augment import vary

    (values,) = sequences(40)
    still = {"crop": 0.0, "warp": 0.0, "scale": 0.0, "noise": 0.0}
    config = SequenceClassifierConfig(axes=3, **still)
    same = np.asarray(vary(values, config, (1, 2)))
    np.testing.assert_allclose(same, values, atol=1e-4)
    one, other = (np.asarray(vary(values, SequenceClassifierConfig(axes=3), (1, 2))) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    lengths = {len(vary(values, SequenceClassifierConfig(warp=0.3, crop=0.2), (i, 2))) for i in range(30)}
    assert len(lengths) > 8 and 10 < min(lengths) and max(lengths) < 80

    def of(count=1, **settings):
        config = SequenceClassifierConfig(axes=3, **still | settings)
        return np.array([vary(values, config, (i, 0)) for i in range(count)]).reshape(count, -1, 3, 3)

    points = values.reshape(-1, 3, 3)
    length = np.linalg.norm(points, axis=-1)
    turned = of(rotate=1.0, rotate_axis="y")[0]
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), length, atol=1e-3)
    kept = np.isfinite(turned[..., 1])  # one axis that is missing leaves the point unknown
    np.testing.assert_allclose(turned[..., 1][kept], points[..., 1][kept], atol=1e-4)
    assert np.nanmax(np.abs(turned - points)) > 0.1
    seen = of(20, mirror=((0, 2),))
    swapped = points[:, [2, 1, 0]] * [-1, 1, 1]
    kinds = [
        np.allclose(one, points, atol=1e-4, equal_nan=True)
        - np.allclose(one, swapped, atol=1e-4, equal_nan=True)
        for one in seen
    ]
    assert {-1, 1} == set(kinds)
    dropped = np.isnan(of(50, drop_points=0.5)).all(axis=(1, 3))
    assert 0.3 < dropped.mean() < 0.7
    unseen = of(zeros_missing=True, scale=0.5, noise=0.1)[0]
    np.testing.assert_array_equal(np.isnan(unseen).all(-1), (points == 0).all(-1) | np.isnan(points).all(-1))
    assert len(vary(values, SequenceClassifierConfig(window=16), (3, 4))) <= 16


NEW = ["--model.units", 8, "--model.filters", "(8,)", "--model.dropout", "0.0"]
ALWAYS = ["--training.epochs", 3, "--training.learning-rate", 0.01, "--training.batch-size", 9]


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the other backend is tried above")
def test_the_recipe_trains_resumes_and_fine_tunes(tmp_path):
    def run(*arguments):
        return trained("sequence_classifier", *arguments, *ALWAYS)

    waves = write(tmp_path / "waves", 30)
    new = "train", "--data", waves, *NEW, "--output", tmp_path / "run"
    first = run(*new)
    losses = [float(loss) for loss in re.findall(r"^epoch .* loss ([\d.]+)", first, re.MULTILINE)]
    assert len(losses) == 3 and losses[2] < losses[0]
    assert re.search(r"waves: 24 to learn, 6 held out \(subject p\d\)\.", first)
    assert "15 fast" not in first and "12 fast, 12 slow; 2 channels" in first
    assert "Going on with" in run(*new)
    table = (waves / "labels.tsv").read_text().replace("slow", "calm")
    (waves / "labels.tsv").write_text(table)
    tuned = "finetune", "--preset", tmp_path / "run", "--class-weights", "--data", waves
    assert "Your labels differ" in run(*tuned, "--output", tmp_path / "tuned")
    assert zoo.load(tmp_path / "tuned").vocabulary.labels == ["calm", "fast"]
    assert "(subject p" in own_card(tmp_path / "run") and own_card(tmp_path / "tuned", tmp_path / "run")


def test_subjects_with_few_sequences_are_shown_more_often(tmp_path):
    from recipes import sequence_classifier

    waves = load_sequences(write(tmp_path / "waves", 30))
    few = [name for name in waves.names if "/p1/" in name][1:]
    balanced = sequence_classifier._balanced(waves.select(lambda name: name not in few))
    shown = {name: int(count) for name, count in zip(balanced.names, balanced.repeats, strict=True)}
    assert {count for name, count in shown.items() if "/p1/" in name} == {round(len(few) ** 0.5) or 1}
    assert {count for name, count in shown.items() if "/p1/" not in name} == {1}


@pytest.mark.parametrize(
    "change, options, problem",
    [
        (lambda text: text.replace("slow", "fast"), [], "have the label 'fast'; give sequences of two"),
        (
            lambda text: text.replace("s3\tp3\tfast", "s3\tp3\thop"),
            ["--hold-out", "/s3$"],
            "'hop' is only among",
        ),
        (lambda text: text, ["--labels", "fast", "b"], "label 'slow' is none"),
        (lambda text: text, ["--hold-out", "nothing"], "nothing"),
        (
            lambda text: re.sub(r"\tp\d", "\t", text).replace("s3\t\t", "s3\tp3\t"),
            ["--hold-out", "s9$", "--balance-subjects"],
            "without a subject",
        ),
        (lambda text: text, ["--model.axes", "3"], "2 channels, which are no points of 3 axes"),
    ],
)
def test_corpora_that_cannot_be_learned(change, options, problem, tmp_path):
    from recipes import sequence_classifier

    waves = write(tmp_path / "waves")
    (waves / "labels.tsv").write_text(change((waves / "labels.tsv").read_text()))
    with pytest.raises(UserError, match=problem):
        sequence_classifier.main(["train", "--data", str(waves), *options, "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
