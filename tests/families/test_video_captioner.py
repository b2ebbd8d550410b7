"""The network of videos: squares that move, learned by heart, padded, exported, trained by the recipe."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import learn, own_card, trained
from PIL import Image

import zoo
from zoo.errors import UserError
from zoo.families.video_captioner.corpus import load_videos
from zoo.families.video_captioner.network import VideoCaptioner, VideoCaptionerConfig, vary_video
from zoo.text.words import Words

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
SIDE, FRAMES = 16, 5
COLOURS = {"red": (230, 30, 30), "green": (20, 200, 40), "white": (250, 250, 250)}
STEPS = {"left": (0, -2), "right": (0, 2), "up": (-2, 0), "down": (2, 0)}
BACKWARDS = {"left": "right", "right": "left", "up": "down", "down": "up"}
WORDS = Words(["a", "square", "moves", *COLOURS, *STEPS])


def clip(colour, way, number=0):
    """A square that moves by two pixels a frame: uint8 ``[frames, 16, 16, 3]``; and what is to be said."""
    frames = np.full((FRAMES - number % 2, SIDE, SIDE, 3), 60, "uint8")
    down, right = STEPS[way]
    for i, frame in enumerate(frames):
        top, left = 6 + down * (i - 2), 6 + right * (i - 2)
        frame[top : top + 5, left : left + 5] = COLOURS[colour]
    return frames, f"a {colour} square moves {way}"


def some(count=20):
    named = [(colour, way) for colour in COLOURS for way in STEPS]
    return [clip(*named[i % len(named)], i) for i in range(count)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twenty clips, as arrays, animations and folders of frames."""
    folder, rows = tmp_path_factory.mktemp("corpora") / "squares", ["video,caption"]
    folder.mkdir()
    for i, (frames, text) in enumerate(some()):
        pictures = [Image.fromarray(frame) for frame in frames]
        name = f"{i}.npy" if i % 3 == 0 else f"{i}.png" if i % 3 == 1 else str(i)
        name = name.replace(".png", ".gif") if i % 3 == 1 else name
        if i % 3 == 0:
            np.save(folder / name, frames)
        elif i % 3 == 1:
            pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=100)
        else:
            (folder / name).mkdir()
            for n, picture in enumerate(pictures):
                picture.save(folder / name / f"{n}.png")
        rows.append(f"{name},{text}")
    (folder / "captions.csv").write_text("\n".join(rows))
    return folder


TINY = {
    "encoder": "ConvNet(filters=(8, 8), strides=(2, 2))", "frame_size": SIDE, "frames": FRAMES, "units": 24,
    "frame_units": 12, "read_units": 12, "embedding": 8, "dropout": 0.0, "label_smoothing": 0.0,
}  # fmt: skip


def small(spread=0.0, vocabulary=WORDS, **settings):
    keras.utils.set_random_seed(5)
    task = VideoCaptioner(VideoCaptionerConfig(**TINY | settings), vocabulary)
    if spread:
        random = np.random.default_rng(1)
        task.set_weights({k: v + spread * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


@pytest.mark.slow
def test_learns_twenty_videos_by_heart(corpus):
    """And what comes first and what last, how long others of a batch are, and where it looks."""
    task = small()
    data = load_videos(corpus, size=SIDE, most=FRAMES)
    assert len(data) == 20 and not data.skipped
    losses = learn(task, data, 90)
    report = task.reader.evaluate(data)  # as below: JAX compiles once
    assert report["exact"] == 1 and losses[-1] < 0.1, losses[-1]
    assert report["bleu4"] == pytest.approx(100) and report["videos"] == 20

    forwards = [frames for frames, _ in some(12)]
    found = task.predict(forwards, details=True)
    for (colour, way), one in zip([(c, w) for c in COLOURS for w in STEPS], found, strict=True):
        assert one.text == f"a {colour} square moves {way}"
    backwards = task.predict([frames[::-1] for frames in forwards])
    said = [text.rsplit(" ", 1) for text in backwards]
    right = [BACKWARDS[one.text.split()[-1]] == last for one, (_, last) in zip(found, said, strict=True)]
    assert np.mean(right) > 0.8

    for frames, one in zip(forwards[:2], found, strict=False):  # of 5 frames and of 4
        (alone,) = task.predict(frames, details=True)
        assert alone.text == one.text and alone.score == pytest.approx(one.score, abs=1e-4)
        assert alone.attention.shape == (5, len(frames))
        np.testing.assert_allclose(alone.attention, one.attention, atol=1e-4)
        np.testing.assert_allclose(alone.attention.sum(1), 1, atol=1e-4)


@pytest.mark.slow
def test_learns_on_jax(passes_on_jax):
    assert passes_on_jax(__file__, tests="by_heart or lights") == 2


def test_configuration():
    bad = {"seen_at": "never", "frame_as": "x", "frames": 1, "features": 3, "encoder": "features"}
    for name, value in bad.items():
        wrong = {name: value}
        with pytest.raises(ValueError, match=name.replace("encoder", "features")):
            VideoCaptionerConfig(**wrong)
    with pytest.raises(UserError, match="as many strides and kernels"):
        small(encoder="ConvNet(filters=(8,), strides=(2, 2))")


def test_points_tell_what_is_where():
    from zoo.layers.pooling import FeaturePoints

    image = np.zeros((1, 5, 9, 2), "float32")
    image[0, 4, 2, 0] = 99  # below, left of the middle
    image[0, 0, 0, 1] = image[0, 0, 8, 1] = 99
    found = np.asarray(FeaturePoints()(image))[0].reshape(4, 2)
    strong = np.log(100)
    np.testing.assert_allclose(found, [[strong, strong], [1, -1], [-0.5, 0], [0, 1]], atol=2e-2)
    assert not np.asarray(FeaturePoints()(np.zeros_like(image)))[0, :6].any()


def test_training_lights_videos_anew():
    import tensorflow as tf

    frames, _ = clip("red", "left")
    one, same, other = (vary_video(tf.constant(frames), [7, seed]).numpy() for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other) and one.dtype == np.uint8
    ground = one.reshape(-1, 3)[frames.reshape(-1, 3)[:, 0] == frames[0, 0, 0, 0]]
    assert (ground == ground[0]).all()  # the same in all frames


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow exports")
@pytest.mark.parametrize(
    "settings",
    [
        {
            "seen_at": "every_step",
            "cell": "gru",
            "frame_as": "mean",
            "differences": False,
            "length_penalty": 3.0,
        },
        {"encoder": "features", "features": 6, "frame_size": 16},
    ],
)
def test_exported_it_says_the_same(settings, tmp_path, host):
    from export import to_onnx

    task = small(0.3, **settings)
    report = to_onnx(task, tmp_path / "a.onnx")
    assert report["nodes"]["Loop"] == 2 and set(report["recurrent"].values()) == {"fused"}
    features = "features" in settings
    given = [frames[:, 0, :6, 0].astype("float32") / 99 if features else frames for frames, _ in some(4)]
    exported = zoo.load(tmp_path / "a.onnx")
    wanted, found = (model.predict(given, details=True, n_best=2) for model in (task, exported))
    said = [[text for text, _ in one.hypotheses] for one in wanted]
    assert [[text for text, _ in one.hypotheses] for one in found] == said and any(map(any, said))
    task.save(tmp_path / "task")
    assert zoo.load(tmp_path / "task").config == task.config
    if not features:  # a program that knows the file alone
        videos = [tmp_path / f"{i}.gif" for i in range(4)]
        for path, frames in zip(videos, given, strict=True):
            first, *others = map(Image.fromarray, frames)
            lasting = [50 + 40 * i for i in range(len(frames))]
            first.save(path, save_all=True, append_images=others, duration=lasting)
        texts = exported.predict(videos)
        assert host("video_captioner", tmp_path / "a.onnx", *videos) == texts and any(texts)


def test_features_are_computed_once_where_the_encoder_stays(corpus):
    """What training learns of then is what the network makes of the frames."""
    import tensorflow as tf

    task = small(0.2, encoder_learns=False)
    data = load_videos(corpus, size=SIDE, most=FRAMES)
    sample = next(iter(data.dataset()))
    kept = next(iter(data.dataset().map(task.encode_sample)))
    assert set(kept) == {"captions", "features"} and kept["features"].shape == (FRAMES, 4 * 8)
    seen = np.asarray(task._see(sample["video"].numpy()[None]))[0]
    np.testing.assert_allclose(kept["features"].numpy(), seen, atol=2e-3 * np.abs(seen).max())
    batch = {name: value[None] for name, value in kept.items()} | {"feature_lengths": tf.constant([FRAMES])}
    inputs, labels = task.collate(batch, 8)
    assert labels["target_lengths"].numpy().tolist() == [6] and inputs["features"].shape[1] == FRAMES
    task.training_model()
    assert not any(layer.trainable for layer in task.encoder.layers)


ALWAYS = ["--training.batch-size", 4, "--training.learning-rate", 0.01, "--model.frame-size", SIDE]
NEW = ["--model.encoder", TINY["encoder"], "--model.units", 12, "--model.frame-units", 8]


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the network is tried on the other backend above")
def test_the_recipe_goes_on_after_a_kill_and_fine_tunes(tmp_path, corpus):
    run = functools.partial(trained, "video_captioner")
    new = ["train", "--data", corpus, *NEW, *ALWAYS, "--training.epochs", 4, "--output", tmp_path / "run"]
    command = [sys.executable, "-m", "recipes.video_captioner", *map(str, new)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not (tmp_path / "run" / "history.csv").exists():
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = len((tmp_path / "run" / "history.csv").read_text().splitlines()) - 1
    assert 1 <= done < 4

    first = run(*new)
    assert "Going on with" in first and "2 held out" in first and f"epoch {done + 1} of" in first
    more = tmp_path / "more"
    more.mkdir()
    for i in range(4):
        np.save(more / f"{i}.npy", clip("red", "up")[0])
        (more / f"{i}.txt").write_text("A red square flies up!\nIt flies.\n")
    tuned = run(
        "finetune", "--preset", tmp_path / "run", "--data", more, "--extend", "--training.epochs", 1,
        "--output", tmp_path / "tuned",
    )  # fmt: skip
    assert re.search("3 to learn, 1 held out", tuned)
    assert {"flies", "it", "moves"} <= set(zoo.load(tmp_path / "tuned").vocabulary.words)
    assert os.path.exists(tmp_path / "tuned" / "best")
    assert "learned: 3 videos" in own_card(tmp_path / "tuned", tmp_path / "run")
