import functools
import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import own_card, trained
from PIL import Image, ImageDraw

import zoo
from recipes import captioner as recipe
from zoo.errors import UserError
from zoo.families.captioner.network import Captioner, CaptionerConfig, vary_image
from zoo.families.captioner.reward import SelfCritical
from zoo.layers import KINDS
from zoo.layers.describing import SEEN_AT
from zoo.layers.encoders import load_weights, make_encoder
from zoo.metrics.captions import CiderD
from zoo.text.words import Words

ROOT = Path(__file__).parents[2]
TENSORFLOW = keras.backend.backend() == "tensorflow"
COLOURS = {"red": (220, 30, 30), "green": (20, 160, 40), "blue": (30, 60, 220), "yellow": (240, 220, 20)}
SIZE = 32


def draw_scene(colour, shape, side):
    image = Image.new("RGB", (SIZE, SIZE), (120, 120, 120))
    left = 1 if side == "left" else 15
    box = (left, 9, left + 15, 23)
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse(box, fill=COLOURS[colour])
    else:
        pen.rectangle((left, 14, left + 15, 18), fill=COLOURS[colour])
    return np.asarray(image)


@pytest.fixture(scope="module")
def scenes():
    """Ten images, and two captions of each."""
    named = itertools.product(COLOURS, ("circle", "bar"), ("left", "right"))
    chosen = list(named)[::2] + [("red", "bar", "right"), ("blue", "circle", "right")]
    images = [draw_scene(*words) for words in chosen]
    return images, [
        [f"a {colour} {shape} on the {side}", f"on the {side} a {colour} {shape}"]
        for colour, shape, side in chosen
    ]


def tiny_encoder():
    """A convolutional network of one's own, as JSON."""
    sizes = {"first": 16, "second": 32, "third": 32}
    layers = [keras.layers.Conv2D(n, 3, 2, "same", activation="relu", name=k) for k, n in sizes.items()]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers], name="tiny").to_json()


def small(vocabulary=None, spread=0.3, **settings):
    keras.utils.set_random_seed(5)
    given = {"encoder": tiny_encoder(), "pixels": "-1..1", "image_size": SIZE, "units": 12, "embedding": 8}
    task = Captioner(CaptionerConfig(**given | settings), vocabulary or Words("a dog runs in snow".split()))
    random = np.random.default_rng(1)
    task.set_weights({k: v + spread * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def serve(task, images, **options):
    inputs = {
        "image": np.stack(images), "beam_width": 3, "length_penalty": 1.0, "max_length": 6,
        "noise": np.zeros((len(images), 1, len(task.vocabulary)), "float32"), "temperature": 1.0, "top_k": 0,
    } | options  # fmt: skip
    dtypes = {spec.name: spec.dtype for spec in task.serving.inputs}
    inputs = {name: np.asarray(value, dtypes[name]) for name, value in inputs.items()}
    return {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}


def log_probs_of(task, image, before):
    """The network's, without what no caption says; ``before`` is ``[captions, time]``."""
    inputs = {"image": image[None], "before": np.array([before], "int32")}
    logits = np.array(task.network(inputs))
    logits[..., [Words.PAD, Words.UNKNOWN, Words.START]] = -np.inf
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def batch(task, images, captions):
    """What the pipeline gives of these."""
    rows = [[[*task.vocabulary.encode(one), Words.END] for one in several] for several in captions]
    time = max(len(row) for several in rows for row in several)
    padded = np.array([[row + [Words.PAD] * (time - len(row)) for row in several] for several in rows])
    before = np.concatenate([np.full_like(padded[:, :, :1], Words.START), padded[:, :, :-1]], 2)
    target = padded.reshape(-1, time)
    inputs = {"image": np.stack(images), "before": before.astype("int32")}
    return inputs, {
        "target": target.astype("int32"),
        "target_lengths": (target != Words.PAD).sum(1).astype("int32"),
    }


# === Words ===


def test_words_have_rows():
    words = Words.learn(["A dog.", "a cat", "a dog runs"], minimum_count=2)
    assert words.words == ["a", "dog"] and len(words) == 6 and "cat" not in words
    assert words.encode("The dog, a") == [Words.UNKNOWN, 5, 4]
    assert words.decode([Words.START, 5, Words.UNKNOWN, 4, Words.END, Words.PAD]) == "dog <unk> a"
    assert Words.from_json(json.loads(json.dumps(words.to_json()))) == words
    assert words.extended(["cat", "a"]).words == ["a", "dog", "cat"]
    with pytest.raises(UserError, match="occurs 9 times"):
        Words.learn(["a"], 9)


# === Encoders ===


def test_encoders_of_keras_applications():
    encoder = make_encoder("MobileNet(alpha=0.25)", SIZE)
    assert encoder.output.shape == (None, 1, 1, 256)
    for bad, message in (
        ("NoNet", "no such network"),
        ("MobileNet(alpha=open('x'))", "write a name"),
        ("MobileNet(breadth=3)", "breadth"),
        ("MobileNet(include_top=True, classes=7)", "spatial|last convolution"),
        ("import os", "write a name"),
    ):
        with pytest.raises(UserError, match=message):
            make_encoder(bad, SIZE)
    flat = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten()]).to_json()
    with pytest.raises(UserError, match="last convolution"):
        make_encoder(flat, SIZE)
    with pytest.raises(UserError, match="image_size to"):
        make_encoder(tiny_encoder(), 64)


def test_weights_of_encoders_come_from_files(tmp_path):
    name = "MobileNet(alpha=0.25)"
    one, other = make_encoder(name, SIZE), make_encoder(name, SIZE)
    arrays = {v.path.replace("/", "."): np.asarray(v) for v in one.weights}
    # As Keras 2 named it.
    arrays["conv_dw_1.depthwise_kernel"] = arrays.pop("conv_dw_1.kernel")
    np.savez(tmp_path / "net.npz", **arrays)
    load_weights(other, name, str(tmp_path / "net.npz"))
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    before = [np.asarray(v) for v in one.weights]
    load_weights(one, name, "none")
    assert all((a == np.asarray(b)).all() for a, b in zip(before, one.weights, strict=True))
    del arrays["conv1.kernel"]
    np.savez(tmp_path / "part.npz", **arrays)
    (tmp_path / "broken.npz").write_bytes(b"PK no")
    (tmp_path / "broken.h5").write_bytes(b"no")
    for file, message in (
        ("part.npz", r"no conv1\.kernel"),
        ("broken.npz", "cannot be read"),
        ("broken.h5", "no weights of"),
        ("none.h5", "no weights of"),
    ):
        with pytest.raises(UserError, match=message):
            load_weights(other, name, str(tmp_path / file))


def test_preprocessing_is_the_applications_own():
    task = small(encoder="MobileNet(alpha=0.25)", pixels="own")
    pixels = np.array([0, 127.5, 255], "float32").reshape((1, 1, 1, 3))
    np.testing.assert_allclose(np.asarray(task._preprocess(pixels))[0, 0, 0], [-1, 0, 1])
    caffe = small(encoder=tiny_encoder(), pixels="0..1")
    np.testing.assert_allclose(np.asarray(caffe._preprocess(pixels))[0, 0, 0], [0, 0.5, 1])


# === Network ===


@pytest.mark.slow
@pytest.mark.parametrize("image_at", SEEN_AT)
def test_a_batch_is_each_image_alone(image_at, scenes):
    task = small(image_at=image_at)
    noise = np.random.default_rng(3).random((3, 5, len(task.vocabulary)))
    images = scenes[0][:3]
    together = serve(task, images, noise=noise)
    assert len(np.unique(together["scores"][:, 0])) == 3  # the image is seen
    for i, image in enumerate(images):
        alone = serve(task, [image], noise=noise[i : i + 1])
        for name in ("tokens", "token_lengths", "sampled_tokens", "sampled_lengths"):
            np.testing.assert_array_equal(together[name][i], alone[name][0])
        for name in {"scores", "sampled_scores", "attention"} & set(alone):
            np.testing.assert_allclose(together[name][i], alone[name][0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image_at", "cell"),
    [
        *((image_at, "lstm") for image_at in SEEN_AT),
        *(("attention", cell) for cell in KINDS),
        ("every_step", "gru"),
    ],
)
def test_serving_says_what_the_network_says(image_at, cell, scenes):
    """The scores of what was found and drawn are those of the network, given the words before."""
    task = small(image_at=image_at, cell=cell)
    noise = np.random.default_rng(3).random((2, 5, len(task.vocabulary)))
    images = scenes[0][:2]
    found = serve(task, images, noise=noise, beam_width=1)
    sampled = zip(found["sampled_tokens"], found["sampled_lengths"], found["sampled_scores"], strict=True)
    best = zip(found["tokens"][:, 0], found["token_lengths"][:, 0], found["scores"][:, 0], strict=True)
    for i, (tokens, length, score) in itertools.chain(enumerate(sampled), enumerate(best)):
        row = tokens[: length + 1]
        log_probs = log_probs_of(task, images[i], [[Words.START, *row[:-1]]])[0]
        assert log_probs[range(len(row)), row].sum() == pytest.approx(score, abs=1e-3)


def test_where_the_lstm_gets_to_know_the_image(scenes):
    """Beside each word, or before the first one only: a changed image changes later inputs, or none."""
    every, first = (small(image_at=at, spread=0.1).decoder for at in ("every_step", "first_step"))
    assert every._recurrent.layer.cell.kernel.shape[0] == 2 * first._recurrent.layer.cell.kernel.shape[0]
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 1, 8)).astype("float32")
    states = [np.zeros((1, 12), "float32")] * 2  # forgets what it knew
    tokens = np.array([5], "int32")
    logits = [np.asarray(every.step(memory, tokens, states)[0]) for memory in (one, other)]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    logits = [np.asarray(first.step(memory, tokens, states)[0]) for memory in (one, other)]
    np.testing.assert_array_equal(*logits)


def test_attention_looks_at_the_grid(scenes):
    found = serve(small(), scenes[0][:2])
    assert found["attention"].shape == (2, 6, 4, 4)
    np.testing.assert_allclose(found["attention"].sum((2, 3)), 1, atol=1e-5)


def test_the_search_finds_the_best_of_all(scenes):
    """A beam as wide as there are captions of three words, compared with all of these."""
    task = small(Words("a dog runs".split()), length_penalty=0.0)
    image = scenes[0][0]
    found = serve(task, [image], beam_width=40, length_penalty=0.0, max_length=3)
    words = range(Words.END + 1, len(task.vocabulary))
    rows = [[*said, Words.END][:3] for n in range(4) for said in itertools.product(words, repeat=n)]
    log_probs = log_probs_of(task, image, [[Words.START, *row, 0, 0][:3] for row in rows])
    scores = {tuple(row): log_probs[i, range(len(row)), row].sum() for i, row in enumerate(rows)}
    best = sorted(scores, key=scores.get, reverse=True)[:5]
    counts = found["token_lengths"][0, :5] + 1
    tokens = [tuple(row[:count]) for row, count in zip(found["tokens"][0].tolist(), counts, strict=False)]
    assert tokens == best
    np.testing.assert_allclose(found["scores"][0, :5], [scores[row] for row in best], atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="exporting is TensorFlow's")
@pytest.mark.parametrize("image_at", SEEN_AT)
def test_exports(image_at, tmp_path):
    """Compared with Keras for the same images and the same noise."""
    from export import to_onnx, to_savedmodel

    task = small(image_at=image_at)
    report = to_onnx(task, tmp_path / "captioner.onnx")
    assert report["nodes"]["Loop"] == 2 and not any("Random" in node for node in report["nodes"])
    assert set(report["recurrent"].values()) <= {"fused"}
    if image_at == "attention":
        to_savedmodel(task, tmp_path / "saved")


def test_saved_and_loaded_it_is_the_same(tmp_path, scenes):
    task = small()
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    assert copy.vocabulary == task.vocabulary and copy.config == task.config
    assert copy.predict(scenes[0][:3]) == task.predict(scenes[0][:3])
    drawn = [one.predict(scenes[0][:3], temperature=1.0, seed=4) for one in (task, task, copy)]
    assert drawn[0] == drawn[1] == drawn[2] != task.predict(scenes[0][:3], temperature=1.0, seed=5)


def test_more_words_keep_what_is_known(scenes):
    task = small()
    more = task.with_vocabulary(task.vocabulary.extended(["cat", "sits"]))
    inputs, _ = batch(task, scenes[0][:1], [["a dog runs"]])
    one, other = (np.asarray(t.network(inputs)) for t in (task, more))
    assert other.shape[-1] == one.shape[-1] + 2
    np.testing.assert_allclose(other[..., : one.shape[-1]], one, atol=1e-5)


# === Training ===


def test_cached_features_are_those_of_the_image(scenes):
    import tensorflow as tf

    task = small()
    sample = {"image": tf.constant(scenes[0][0]), "text": tf.constant("a dog\nthe dog runs in the snow")}

    def kept_of(task):
        return next(iter(tf.data.Dataset.from_tensors(sample).map(task.encode_sample)))

    kept = kept_of(task)
    seen = np.asarray(task._see(scenes[0][0][None]))[0]
    np.testing.assert_allclose(kept["features"].numpy(), seen, atol=2e-3 * np.abs(seen).max())
    captions = [[4, 5, 3, 0, 0, 0, 0], [1, 5, 6, 7, 1, 8, 3]]
    np.testing.assert_array_equal(kept["captions"].numpy(), captions)
    inputs, labels = task.collate({k: v[None] for k, v in kept.items()}, 8)
    np.testing.assert_array_equal(labels["target"], captions)
    np.testing.assert_array_equal(labels["target_lengths"], [3, 7])
    np.testing.assert_array_equal(inputs["before"].numpy()[0, 1], [2, 1, 5, 6, 7, 1, 8])
    telling = np.asarray(task._telling(inputs))
    image = {"image": scenes[0][0][None], "before": inputs["before"].numpy()}
    np.testing.assert_allclose(telling, np.asarray(task.network(image)), atol=2e-2)
    task.tunes_encoder = True
    np.testing.assert_array_equal(kept_of(task)["image"], scenes[0][0])


def test_what_of_the_encoder_learns():
    sizes = {"first": 4, "second": 4}
    parts = [
        part
        for name, n in sizes.items()
        for part in (
            keras.layers.Conv2D(n, 3, 4, name=name),
            keras.layers.BatchNormalization(name=f"{name}_norm"),
        )
    ]
    encoder = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts], name="normed").to_json()
    task = small(encoder=encoder)

    def learns():
        task.training_model()
        return [layer.name for layer in task.encoder.layers if layer.trainable_variables]

    assert learns() == []
    task.tunes_encoder = True
    assert learns() == ["first", "second"]
    task.tunes_norms = True
    assert learns() == ["first", "first_norm", "second", "second_norm"]
    task.tunes_from = "first_norm"
    assert learns() == ["first_norm", "second", "second_norm"]
    task.tunes_encoder = False
    assert learns() == []


def test_images_vary(scenes):
    import tensorflow as tf

    image = tf.constant(scenes[0][0])
    one, same, other = (vary_image(image, tf.constant([7, seed])).numpy() for seed in (1, 1, 2))
    assert one.shape == image.shape and one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and (one != image.numpy()).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image_at", "steps"), [("first_step", 900), ("every_step", 300), ("attention", 300)]
)
def test_learns_scenes_by_heart(image_at, steps, scenes):
    images, captions = scenes
    vocabulary = Words.learn(caption for several in captions for caption in several)
    settings = {"units": 64, "embedding": 32, "dropout": 0.0, "label_smoothing": 0.0, "image_at": image_at}
    task = small(vocabulary, spread=0.0, **settings)
    task.tunes_encoder = True
    one = [[several[0]] for several in captions]
    inputs, labels = batch(task, images, one)
    model = task.training_model()
    rate = keras.optimizers.schedules.CosineDecay(0.005, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    model.fit(((inputs, labels) for _ in range(steps)), steps_per_epoch=steps, shuffle=False, verbose=0)
    assert task.predict(images) == [several[0] for several in captions]
    assert task.perplexity([(inputs, labels)]) < 1.1


class Data:
    """All scenes and their captions in one batch, as features, over and over."""

    count, steps = 10, 100

    def __init__(self, task, scenes):
        inputs, labels = batch(task, *scenes)
        features = np.asarray(task._see(inputs.pop("image"))).astype("float16")
        self.batch = (inputs | {"features": features}, labels)

    def epoch(self, epoch, seed, augment):
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(self.batch).repeat(self.steps)


@pytest.mark.slow
@pytest.mark.parametrize("image_at", SEEN_AT)
def test_drawn_captions_are_those_served(image_at, scenes):
    task = small(image_at=image_at)
    images = np.stack(scenes[0][:3])
    noise = np.random.default_rng(2).random((18, 5, len(task.vocabulary)), np.float32)
    features, temperature = np.asarray(task._see(images)), np.float32(1)
    found = task.draw({"features": features, "noise": noise, "temperature": temperature})
    served = serve(task, np.repeat(images, 6, 0), noise=noise)
    for name in ("tokens", "lengths"):
        np.testing.assert_array_equal(np.asarray(found[name]), served[f"sampled_{name}"])
    assert len({tuple(row) for row in np.asarray(found["tokens"])}) > 3
    cold = task.draw({"features": features, "noise": noise, "temperature": np.float32(0)})
    assert len({tuple(row) for row in np.asarray(cold["tokens"])}) <= 3  # one an image


def test_what_is_drawn_is_learned_without_dropout(scenes):
    """Then the same batch costs the same each time."""
    task = small(dropout=0.5)
    inputs, labels = batch(task, *scenes)
    inputs = {"features": np.asarray(task._see(inputs["image"])), "before": inputs["before"]}
    for task.drops in (True, False):
        model = task.training_model()
        logits = [np.asarray(model(inputs, training=True)) for _ in range(2)]
        assert np.array_equal(*logits) != task.drops


def test_draws_are_weighed_against_those_of_the_same_image(scenes):
    vocabulary = Words.learn(caption for several in scenes[1] for caption in several)
    task = small(vocabulary)
    data = SelfCritical(task, Data(task, scenes), scenes[1], draws=3)
    inputs, labels, advantages = next(iter(data.epoch(0)))
    tokens, lengths = labels["target"].numpy(), labels["target_lengths"].numpy()
    rows = [tuple(row[:length].tolist()) for row, length in zip(tokens, lengths, strict=True)]
    assert sum(row[-1] == Words.END for row in rows) > 10 and not any(Words.END in row[:-1] for row in rows)
    known = [[(*vocabulary.encode(one), Words.END) for one in several] for several in scenes[1]]
    measure = CiderD(known)
    rewards = np.array([measure.scores(several, rows[3 * i : 3 * i + 3]) for i, several in enumerate(known)])
    assert np.ptp(rewards) > 0.1
    wanted = rewards - np.stack([rewards[:, [1, 2]], rewards[:, [0, 2]], rewards[:, [0, 1]]], 1).mean(2)
    np.testing.assert_allclose(advantages, wanted.ravel(), atol=1e-5)
    before = inputs["before"].numpy().reshape(tokens.shape)
    np.testing.assert_array_equal(before[:, 0], Words.START)
    np.testing.assert_array_equal(before[:, 1:], tokens[:, :-1])
    again = next(iter(data.epoch(0)))[1]["target"]
    np.testing.assert_array_equal(again, tokens)
    # The gradient is that of the log-probabilities, weighed.
    logits = task._telling({name: np.asarray(value) for name, value in inputs.items()})
    loss = task.training_model().compute_loss(None, labels, logits, advantages)
    log_probs = np.log(np.exp(logits).clip(1e-30) / np.exp(logits).sum(-1, keepdims=True))
    each = [log_probs[i, np.arange(n), tokens[i, :n]].sum() for i, n in enumerate(lengths)]
    assert float(loss) == pytest.approx(-(each * advantages.numpy()).sum() / lengths.sum(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(
    not TENSORFLOW, reason="on JAX, where weights that draw are an epoch old, it takes longer"
)
def test_what_is_rewarded_is_said_more_often(scenes):
    vocabulary = Words.learn(caption for several in scenes[1] for caption in several)
    task = small(vocabulary, spread=0.0, dropout=0.0, label_smoothing=0.0)
    drawn, word = SelfCritical(task, Data(task, scenes), scenes[1]), vocabulary.encode("red")[0]
    shares = []

    def scores(known, captions):
        shares.append([caption.count(word) / len(caption) for caption in captions])
        return np.array(shares[-1])

    drawn._measure.scores = scores
    model = task.training_model()
    model.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0))
    model.fit(drawn.epoch(0), steps_per_epoch=100, shuffle=False, verbose=0)
    assert np.mean(shares[:20]) < 0.2 and np.mean(shares[-20:]) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_recipe_trains_in_stages(backend, tmp_path, scenes):
    pytest.importorskip(backend)
    folder = tmp_path / "scenes"
    folder.mkdir()
    rows = ["image,caption"]
    for i, (image, captions) in enumerate(zip(*scenes, strict=True)):
        Image.fromarray(image).save(folder / f"{i}.png")
        rows += [f"{i}.png,{caption}" for caption in captions]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")

    run = functools.partial(trained, "captioner", backend=backend)
    same = [
        "--data", folder, "--hold-out", "/[89]", "--training.batch-size", 4, "--training.learning-rate", 0.01,
        "--tuning.batch-size", 4,
    ]  # fmt: skip
    new = ["--model.units", 16, "--model.embedding", 8, "--minimum-count", 1]
    new += ["--model.pixels=-1..1"]
    if backend == "tensorflow":
        new += ["--encoder-weights", "none", "--model.encoder", tiny_encoder(), "--model.image-size", SIZE]
    else:
        keras.models.model_from_json(tiny_encoder()).save(tmp_path / "own.keras")
        new += ["--encoder-model", tmp_path / "own.keras"]
    epochs = ["--training.epochs", 2, "--tuning.epochs", 1, "--reward.epochs", 1]
    new += ["--reward.draws", 2, "--reward.batch-size", 4, "--reward.learning-rate", 0.01]
    for stage in ("training", "tuning", "reward"):
        new += [f"--{stage}.influence", "True"]
    command = ["train", *same, *new, *epochs, "--output", tmp_path / "run"]
    assert run(*command).count("\nepoch ") == 4
    assert "Epoch " in own_card(tmp_path / "run")
    frozen, tuned, rewarded = (zoo.load(tmp_path / "run" / n).weights() for n in ("frozen", "tuned", ""))
    assert (frozen["first/kernel"] != tuned["first/kernel"]).any()
    assert (rewarded["first/kernel"] == tuned["first/kernel"]).all()
    assert any((rewarded[name] != tuned[name]).any() for name in tuned)
    logs = [path.read_bytes() for path in (tmp_path / "run").rglob("events.*")]
    assert len(logs) == 3 and all(b"influence" in log for log in logs)
    if backend == "tensorflow":
        again = run(*command)  # all stages are done
        assert "\nepoch " not in again and again.count("Going on with") == 3
        with pytest.raises(UserError, match="no such layer; its last ones are first, second, third"):
            recipe.main([*map(str, command[:-1]), str(tmp_path / "none"), "--tuning.first", "last"])
        (folder / "captions.csv").write_text("\n".join(rows + ["9.png,a kangaroo"]) + "\n")
        tune = ["--tuning.epochs", 0, "--training.epochs", 1, "--hold-out", "/[78]", "--extend"]
        said = run("finetune", "--preset", tmp_path / "run", *same, *tune, "--output", tmp_path / "more")
        assert said.count("\nepoch ") == 1
        assert "kangaroo" in zoo.load(tmp_path / "more").vocabulary
        assert "2 images held out" in own_card(tmp_path / "more", tmp_path / "run")
