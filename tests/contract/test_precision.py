"""Every family computes in half the precision, as GPUs like it: forward, backward, its loss scaled."""

import functools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from recipes.training.loop import make_adam
from zoo import registry
from zoo.data.pipeline import Pipeline

JAX = keras.backend.backend() == "jax"
HALVES = ("mixed_float16", "mixed_bfloat16")
TEXTS = ["a red dog", "two dogs run", "a cat", "the dog and the cat run"]


@pytest.fixture(params=registry.FAMILIES)
def family(request):
    return request.param


@pytest.fixture(autouse=True)
def full_precision():
    yield
    keras.config.set_dtype_policy("float32")


def encoder():
    convolution = keras.layers.Conv2D(8, 3, 4, "same", activation="relu", name="convolution")
    return keras.Sequential([keras.Input((32, 32, 3)), convolution], name="tiny").to_json()


def made(family, policy, **more):
    """A small task of a family, its random weights the same in every precision; ``more`` are settings."""
    from zoo.families.ink.vocabulary import InkVocabulary
    from zoo.families.question_answering.vocabulary import QuestionVocabulary
    from zoo.families.script_tagger.vocabulary import Classes
    from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary
    from zoo.families.text_classifier.vocabulary import TextVocabulary
    from zoo.text.characters import Vocabulary
    from zoo.text.plain import Characters
    from zoo.text.subwords import Subwords
    from zoo.text.words import Words

    words, units = Words.learn(TEXTS), {"units": 12, "embedding": 8, "dropout": 0.0}
    settings, vocabulary = {
        "line_ocr": (
            {"height": 24, "filters": (8, 12, 16), "units": (12,), "dropout": 0.0},
            lambda: Vocabulary.from_texts(TEXTS),
        ),
        "deep_speech": (
            {"units": (12, 11, 10), "recurrent_units": 9, "last_units": 8, "mels": 20, "context": 2}
            | {"dropout": 0.0, "band_masks": 0, "time_masks": 0},
            lambda: Vocabulary.from_texts(TEXTS),
        ),
        "translator": (units, lambda: Subwords.learn(100 * TEXTS, 4 + 256 + 16)),
        "captioner": (units | {"encoder": encoder(), "pixels": "-1..1", "image_size": 32}, lambda: words),
        "video_captioner": (
            units | {"encoder": encoder(), "pixels": "-1..1", "frame_size": 32, "frames": 6}
            | {"frame_units": 12, "read_units": 12},
            lambda: words,
        ),
        "char_lm": (units, lambda: Characters.learn("".join(TEXTS))),
        "ink": (
            {"filters": (8, 12), "kernels": (3, 3), "strides": (1, 2), "units": (12,), "dropout": 0.0},
            lambda: InkVocabulary.from_texts(TEXTS),
        ),
        "script_tagger": (
            {"height": 24, "filters": (8, 12, 16), "units": (12,), "dropout": 0.0},
            lambda: Classes(["background", "latin", "greek"]),
        ),
        "text_classifier": (units, lambda: TextVocabulary(words, ["cat", "dog"])),
        "sequence_classifier": (
            {"units": 12, "filters": (8,), "dropout": 0.0},
            lambda: SequenceVocabulary(["x", "y"], ["cat", "dog"]),
        ),
        "question_answering": (
            units | {"hops": 2, "encoder": "positions"},
            lambda: QuestionVocabulary(words, ["cat", "dog"]),
        ),
        "speech_synthesis": (
            {"embedding": 8, "encoder_units": 6, "duration_units": 4, "prosody_units": 4, "decoder_units": 8}
            | {"dropout": 0.0},
            lambda: Vocabulary.from_texts(["^", *TEXTS]),
        ),
    }[family]
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    cls = registry.task_class(family)
    task = cls(cls.Config(**settings | more), vocabulary())
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.2 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    if family == "speech_synthesis":
        mel, prosody = random.normal(-3, 2, (60, task.config.mels)), random.normal(5, 1, (30, 3))
        task.set_scale([{"mel": mel, "prosody": prosody}])
    return task


def batch(task):
    """A batch of four samples, as training gives it to the network: NumPy ``(inputs, labels)``."""
    if task.name == "char_lm":
        from zoo.families.char_lm.corpus import Streams

        data = Streams(task.vocabulary.encode(4 * "".join(TEXTS)), 4, 12)
    else:
        random = np.random.default_rng(2)
        given = {"text": TEXTS, "source": TEXTS[::-1], "label": ["cat", "dog", "cat", "dog"]}
        given["values"] = random.normal(size=(4, 20, 2)).astype("float32")
        given["channels"] = ['["x", "y"]'] * 4
        given["audio"] = random.integers(-9999, 9999, (4, 24000)).astype("int16")
        size = getattr(task.config, "image_size", 32)
        shape = (24, 300, 1) if task.name in ("line_ocr", "script_tagger") else (size, size, 3)
        given["image"] = random.integers(0, 256, (4, *shape)).astype("uint8")
        given["video"] = random.integers(0, 256, (4, 6, 32, 32, 3)).astype("uint8")
        strokes = 9 * random.standard_normal((4, 40, 2)).cumsum(1)
        given["points"] = np.concatenate([strokes, strokes[:, :, :1] > 9], 2).astype("float32")
        corpus = SimpleNamespace(
            texts=TEXTS, sources=given["source"], references=[[text] for text in TEXTS],
            lengths=np.array([24000] * 4),
            shapes=np.array([shape[:2]] * 4), shown=lambda: 4,
            padded=lambda size: [(given["points"], np.full(4, 40, "int32"))],
            dataset=lambda repeat: tf.data.Dataset.from_tensor_slices(given),
        )  # fmt: skip
        if task.name == "question_answering":
            corpus.stories = [f"{one}\n{other}" for one, other in zip(TEXTS, TEXTS[::-1], strict=True)]
            given |= {"story": corpus.stories, "answers": given["label"], "support": ["1"] * 4}
            given["span"] = [""] * 4
        if task.name == "speech_synthesis":
            task.alignments = {
                (text, 24000): (f"^{text}", 5, np.full(len(text) + 1, 3, "int32")) for text in TEXTS
            }
        if task.name == "script_tagger":
            given["text"] = ["0\n1\n2"] * 4
            given["columns"] = np.repeat(random.integers(0, 3, (4, 10)), 30, 1).astype("uint8")
        data = Pipeline(task, corpus, 4)
    return next(data.epoch(0, augment=False).as_numpy_iterator())


def differentiable(task, inputs, labels):
    """The variables that training changes, and the loss of a batch as a function of their values."""
    model = task.training_model()
    inputs, labels = keras.tree.map_structure(ops.convert_to_tensor, (inputs, labels))
    model(inputs)  # builds it
    variables = model.trainable_variables

    def loss(values):
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return model.compute_loss(inputs, labels, model(inputs, training=True), training=True)

    return variables, loss


def gradients(task, inputs, labels, scale):
    """The loss of a batch, and ``{path: gradient}`` of ``scale`` times it, divided by that."""
    variables, loss = differentiable(task, inputs, labels)
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        value = scale * loss(values)
    found = [np.array(tf.convert_to_tensor(one)) / scale for one in tape.gradient(value, values)]
    return float(value) / scale, dict(zip((one.path for one in variables), found, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(JAX, reason="takes JAX minutes to compile")
@pytest.mark.parametrize("policy", ["mixed_float16"])  # bfloat16 trains, below
def test_half_the_precision_has_nearly_the_gradients(family, policy):
    whole = made(family, "float32")
    inputs, labels = batch(whole)
    wanted, slopes = gradients(whole, inputs, labels, 1)
    half = made(family, policy)
    assert {v.dtype for v in half.network.trainable_variables} == {"float32"}
    found, coarse = gradients(half, inputs, labels, 256.0)
    assert found == pytest.approx(wanted, rel=0.05) and set(coarse) == set(slopes)
    norms = {path: np.linalg.norm(slope) for path, slope in slopes.items()}
    share = 0.05  # of 11 significant bits
    for path, slope in slopes.items():
        error = np.linalg.norm(coarse[path] - slope)
        assert error <= share * (norms[path] + 0.1 * max(norms.values())), path


@pytest.mark.slow
@pytest.mark.parametrize("policy", HALVES)
def test_half_the_precision_trains(family, policy):
    """In float16 the loss is scaled: what is not finite lowers the scale, and changes no weight."""
    on_jax = {"mixed_float16": ("translator",), "mixed_bfloat16": ("line_ocr",)}
    if JAX and family not in on_jax[policy]:
        pytest.skip("takes JAX long to compile; what TensorFlow trains of them is the same operations")
    if policy == "mixed_float16" and family not in ("translator", "deep_speech"):
        pytest.skip("its gradients are tested; how the optimizer scales is the same for all")
    task = made(family, policy)
    inputs, labels = batch(task)
    model = task.training_model()
    model.compile(make_adam(0.01, 1.0), jit_compile=JAX)
    model.optimizer.build(model.trainable_variables)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    losses = [float(model.train_on_batch(inputs, labels)) for _ in range(6)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    if not scaled:
        return
    optimizer, steps = model.optimizer, int(model.optimizer.iterations)
    assert steps and 1 <= float(optimizer.dynamic_scale) <= optimizer.initial_scale
    before = [np.array(variable) for variable in model.trainable_variables]
    optimizer.dynamic_scale.assign(1e30)
    model.train_on_batch(inputs, labels)
    assert float(optimizer.dynamic_scale) == pytest.approx(5e29) and int(optimizer.iterations) == steps
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.skipif(JAX, reason="takes JAX minutes to compile")
@pytest.mark.parametrize("policy", HALVES)
def test_an_encoder_trains_in_half_the_precision(policy):
    """With its batch normalisation, to the pixels."""
    task = made("captioner", policy, encoder="MobileNet(alpha=0.25)", pixels="own", image_size=64)
    task.tunes_encoder = task.tunes_norms = True
    loss, slopes = gradients(task, *batch(task), 256.0)
    assert np.isfinite(loss) and "conv1/kernel" in slopes and "conv1_bn/gamma" in slopes
    assert all(np.isfinite(slope).all() for slope in slopes.values())
    assert np.abs(slopes["conv1/kernel"]).max() > 0


@pytest.mark.skipif(JAX, reason="takes JAX minutes to compile")
@pytest.mark.parametrize("policy", HALVES)
def test_half_the_precision_serves(family, policy):
    task = made(family, policy)
    served = task.serving.function(task.serving.example(2, seed=1))
    for spec in task.serving.outputs:
        value = np.asarray(served[spec.name])
        assert value.dtype == spec.dtype and not np.isnan(value).any(), spec.name


@pytest.fixture
def cuda(monkeypatch):
    """Lowers a function for CUDA; JAX, without a GPU, goes the ways that it goes on one meanwhile."""
    if not JAX:
        pytest.skip("JAX's alone")
    import jax
    from jax._src.lib import gpu_rnn
    from jax.experimental import rnn
    from jax.interpreters import mlir

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    # What is in CUDA's own part of jaxlib.
    sizes = lambda *shapes: (16, 16)  # noqa: E731
    monkeypatch.setattr(gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", sizes, raising=False)
    plugin = SimpleNamespace(build_rnn_descriptor=lambda *about: b"")
    for primitive, lowering in (
        (rnn.rnn_fwd_p, gpu_rnn._rnn_fwd_lowering),
        (rnn.rnn_bwd_p, gpu_rnn._rnn_bwd_lowering),
    ):
        mlir.register_lowering(primitive, functools.partial(lowering, plugin, "cu"), platform="cuda")

    def lowered(function, *arguments):
        return jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()

    return lowered


def test_all_can_be_lowered_for_cuda(family, cuda):
    import jax

    task = made(family, "mixed_bfloat16")
    variables, loss = differentiable(task, *batch(task))
    program = cuda(jax.value_and_grad(loss), [variable.value for variable in variables])
    # cuDNN computes each LSTM without a mask.
    twice = "line_ocr", "ink", "script_tagger", "text_classifier", "sequence_classifier", "char_lm"
    calls = dict.fromkeys(twice, 2) | {"translator": 1, "captioner": 1, "question_answering": 4}
    calls |= {"video_captioner": 3, "speech_synthesis": 12}
    for name in ("@cudnn_rnn_ffi", "@cudnn_rnn_bwd_ffi"):
        assert program.count(name) == calls.get(family, 0)
    # The preprocessing of the first is TensorFlow's, and the last decides how long its sound is.
    if family not in ("line_ocr", "script_tagger", "ink", "speech_synthesis"):
        given = task.serving.example(2, seed=1)
        known = {name: given.pop(name).item() for name in task.static}
        cuda(lambda given: task.serving.function(given | known), given)


@pytest.mark.slow
def test_on_jax(passes_on_jax):
    assert passes_on_jax(__file__) == len(registry.FAMILIES) + 2
