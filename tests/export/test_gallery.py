"""Models as people publish them: each gives a file that gives what eager Keras gives."""

import collections

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops

from export import to_onnx

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fresh():
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    yield
    keras.config.set_dtype_policy("float32")


def tokens(*shape, most=20, least=0):
    return np.random.default_rng(sum(shape)).integers(least, most, shape).astype("int32")


def floats(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


# === Layers of one's own, as published models have them ===


class Viterbi(layers.Layer):
    """The likeliest path through a linear chain of classes."""

    def build(self, shape):
        self.transitions = self.add_weight((shape[-1], shape[-1]), "random_normal", name="transitions")

    def call(self, scores):
        scores = ops.transpose(scores, (1, 0, 2))

        def forwards(best, score):
            every = best[:, :, None] + self.transitions
            return ops.max(every, 1) + score, ops.cast(ops.argmax(every, 1), "float32")

        best, back = ops.scan(forwards, scores[0], scores[1:])
        last = ops.cast(ops.argmax(best, -1), "float32")

        def backwards(label, pointers):
            found = ops.take_along_axis(pointers, ops.cast(label, "int32")[:, None], axis=1)[:, 0]
            return found, found

        _, path = ops.scan(backwards, last, back, reverse=True)
        return ops.cast(ops.transpose(ops.concatenate([path, last[None]], 0)), "int32")


class MaskedMean(layers.Layer):
    supports_masking = True

    def call(self, x, mask=None):
        weights = ops.cast(mask, x.dtype)[:, :, None]
        return ops.sum(x * weights, 1) / ops.maximum(ops.sum(weights, 1), 1.0)

    def compute_mask(self, x, mask=None):
        return None


class CTC(layers.Layer):
    """A loss inside the model, as in Keras's captcha example."""

    def call(self, labels, y):
        def full(v):
            return ops.full((ops.shape(v)[0],), v.shape[1], dtype="int32")

        self.add_loss(ops.mean(ops.ctc_loss(ops.cast(labels, "int32"), y, full(labels), full(y))))
        return y


class MinimalCell(layers.Layer):
    """A recurrent cell that ONNX does not have."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = units
        self.gate, self.new = layers.Dense(units, "sigmoid"), layers.Dense(units, "tanh")

    def call(self, x, states):
        both = ops.concatenate([x, states[0]], -1)
        z = self.gate(both)
        h = z * states[0] + (1 - z) * self.new(both)
        return h, [h]


class GreedyDecoder(layers.Layer):
    """Decodes eight tokens from a state, each from the one before."""

    def __init__(self, units, count, **options):
        super().__init__(**options)
        self.embed, self.out = layers.Embedding(count, units), layers.Dense(count)
        self.cell = layers.GRUCell(units)

    def call(self, state):
        first = ops.zeros_like(state[:, 0], dtype="int32")

        def step(state, _):
            state, token = state
            y, (state,) = self.cell(self.embed(token), [state])
            token = ops.cast(ops.argmax(self.out(y), -1), "int32")
            return (state, token), (y, token)

        _, (_, found) = ops.scan(step, (state, first), length=8)
        return ops.transpose(found)


# === The gallery ===


def captcha():
    image, labels = keras.Input((40, 16, 1), name="image"), keras.Input((5,), name="label")
    y = layers.MaxPooling2D((2, 2))(layers.Conv2D(6, 3, padding="same", activation="relu")(image))
    y = layers.Reshape((20, 48))(y)
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True, dropout=0.2))(y)
    y = layers.Dense(11, activation="softmax")(y)
    # Labels change nothing that comes out, and need not be given.
    return keras.Model([image, labels], CTC(name="ctc")(labels, y)), {"image": floats(3, 40, 16, 1)}


def video():
    cnn = keras.Sequential(
        [keras.Input((24, 24, 3)), layers.Conv2D(4, 3, strides=2), layers.GlobalAveragePooling2D()]
    )
    clip = keras.Input((None, 24, 24, 3), name="clip")
    y = layers.LSTM(7)(layers.TimeDistributed(cnn)(clip))
    return keras.Model(clip, y), {"clip": floats(2, 5, 24, 24, 3)}


def video_of_bytes():
    clip = keras.Input((4, 32, 32, 3), dtype="uint8", name="clip")
    options = {"alpha": 0.25, "weights": None, "include_top": False, "pooling": "avg"}
    cnn = keras.applications.MobileNet((32, 32, 3), **options)
    y = layers.TimeDistributed(cnn)(layers.Rescaling(1 / 127.5, -1)(clip))
    x = np.random.default_rng(1).integers(0, 256, (2, 4, 32, 32, 3)).astype("uint8")
    return keras.Model(clip, layers.GRU(5)(y)), {"clip": x}


def words_of_characters():
    chars = keras.Input((None, None), dtype="int32", name="chars")
    given = keras.Input((None,), dtype="int32")
    y = layers.Bidirectional(layers.LSTM(4))(layers.Embedding(20, 8, mask_zero=True)(given))
    y = layers.TimeDistributed(keras.Model(given, y))(chars)
    return keras.Model(chars, layers.LSTM(5, return_sequences=True)(y)), {"chars": tokens(3, 7, 5)}


def tagger():
    words = keras.Input((None,), dtype="int32", name="words")
    y = layers.Embedding(20, 8, mask_zero=True)(words)
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(y)
    tags = layers.TimeDistributed(layers.Dense(5, activation="softmax"), name="tags")(y)
    return keras.Model(words, tags), {"words": tokens(3, 9)}


def tagger_with_viterbi():
    words = keras.Input((None,), dtype="int32", name="words")
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(layers.Embedding(20, 8)(words))
    return keras.Model(words, Viterbi()(layers.Dense(4)(y))), {"words": tokens(3, 9)}


def mean_over_words():
    words = keras.Input((None,), dtype="int32", name="words")
    y = layers.Embedding(20, 8, mask_zero=True)(words)
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(y)
    both = {"keras": layers.GlobalAveragePooling1D()(y), "own": MaskedMean()(y)}
    return keras.Model(words, both), {"words": np.array([[3, 4, 0], [0, 0, 0], [1, 0, 2]], "int32")}


def attention_over_words():
    words = keras.Input((None,), dtype="int32", name="words")
    y = layers.Embedding(20, 8, mask_zero=True)(words)
    y = layers.Bidirectional(layers.GRU(4, return_sequences=True))(y)
    y = layers.AdditiveAttention()([y, y])
    return keras.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(y))), {"words": tokens(3, 9)}


def translator_with_attention():
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    y = layers.Embedding(20, 8, mask_zero=True)(source)
    y, h, c = layers.LSTM(8, return_sequences=True, return_state=True)(y)
    z = layers.LSTM(8, return_sequences=True)(layers.Embedding(20, 8)(target), initial_state=[h, c])
    z = layers.Concatenate()([z, layers.Attention()([z, y])])
    inputs = {"source": tokens(3, 9), "target": tokens(3, 5)}
    return keras.Model([source, target], layers.Dense(20, activation="softmax")(z)), inputs


def self_attention():
    x = keras.Input((None, 8), name="x")
    y = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return keras.Model(x, layers.LSTM(4)(layers.LayerNormalization()(x + y))), {"x": floats(2, 7, 8)}


def unet_of_a_signal():
    x = y = keras.Input((None, 2), name="x")
    kept = []
    for units in (4, 6, 8):
        kept.append(y := layers.Conv1D(units, 3, padding="same", activation="relu")(y))
        y = layers.MaxPooling1D(2)(y)
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(y)
    for before in reversed(kept):
        y = layers.Concatenate()([layers.UpSampling1D(2)(y), before])
    return keras.Model(x, layers.Conv1D(1, 1)(y)), {"x": floats(2, 40, 2)}


def unet_of_a_page():
    page = keras.Input((None, None, 1), name="page")
    down = layers.Conv2D(4, 3, padding="same", activation="relu")(page)
    y = layers.Conv2D(6, 3, strides=4, padding="same", activation="relu")(down)
    y = layers.Conv2DTranspose(4, 4, strides=4, padding="same")(y)
    y = layers.Conv2D(1, 1)(layers.Concatenate()([y, down]))
    return keras.Model(page, y), {"page": floats(1, 40, 64, 1)}


def raw_audio():
    wave = keras.Input((None, 1), name="wave")
    y = layers.Conv1D(8, 80, strides=20, activation="relu")(wave)
    y = layers.Bidirectional(layers.GRU(6, return_sequences=True))(y)
    return keras.Model(wave, layers.Dense(5)(y)), {"wave": floats(2, 1000, 1)}


def wavenet():
    x = y = keras.Input((None, 4), name="x")
    for dilation in (1, 2, 4):
        gate = layers.Conv1D(4, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(y)
        y = y + gate * layers.Conv1D(4, 2, padding="causal", dilation_rate=dilation, activation="tanh")(y)
    return keras.Model(x, layers.Dense(3)(y)), {"x": floats(2, 20, 4)}


def spectrogram():
    wave = keras.Input((800, 1), name="wave")
    y = layers.STFTSpectrogram(mode="log", frame_length=64, frame_step=32, fft_length=64)(wave)
    return keras.Model(wave, layers.LSTM(4)(y)), {"wave": floats(2, 800, 1)}


def forecast():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(3, 5, (50, 4)))
    x = keras.Input((None, 4), name="x")
    y = layers.GRU(6)(norm(x))
    y = layers.LSTM(5, return_sequences=True)(layers.RepeatVector(7)(y))
    return keras.Model(x, layers.TimeDistributed(layers.Dense(1))(y)), {"x": floats(3, 11, 4)}


def next_frames():
    x = keras.Input((None, 6, 6, 1), name="x")
    y = layers.BatchNormalization()(layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x))
    return keras.Model(x, layers.Conv3D(1, 3, padding="same")(y)), {"x": floats(2, 4, 6, 6, 1)}


def autoencoder():
    x = keras.Input((10, 3), name="x")
    y = layers.RepeatVector(10)(layers.LSTM(4)(x))
    y = layers.TimeDistributed(layers.Dense(3))(layers.LSTM(4, return_sequences=True)(y))
    return keras.Model(x, y), {"x": floats(2, 10, 3)}


def siamese():
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 3), name="b")
    shared = keras.Sequential([layers.Masking(), layers.LSTM(4)])
    y = layers.Dot(1, normalize=True)([shared(a), shared(b)])
    return keras.Model({"a": a, "b": b}, y), {"a": floats(2, 5, 3), "b": floats(2, 9, 3)}


def ordered_outputs():
    x = keras.Input((None, 3), name="x")
    made = collections.OrderedDict([("zulu", layers.LSTM(4)(x)), ("alpha", layers.GRU(4)(x))])
    return keras.Model(x, made), {"x": floats(2, 5, 3)}


def numbered_outputs():
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, {2: layers.LSTM(4)(x), 1: layers.GRU(5)(x)}), {"x": floats(2, 5, 3)}


def reviews():
    text = keras.Input((1,), dtype="string", name="text")
    words = layers.TextVectorization(vocabulary=["the", "film", "dont", "good", "bad"])
    y = layers.Bidirectional(layers.LSTM(4))(layers.Embedding(10, 6, mask_zero=True)(words(text)))
    values = np.array([["The film, don't!"], ["GOOD ... bad?  über"], [""]], object)
    return keras.Model(text, layers.Dense(1, activation="sigmoid")(y)), {"text": values}


def names_of_words():
    words = keras.Input((None,), dtype="string", name="words")
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"], mask_token="")
    y = layers.LSTM(4)(layers.Embedding(lookup.vocabulary_size(), 5, mask_zero=True)(lookup(words)))
    return keras.Model(words, y), {"words": np.array([["a", "c", ""], ["zebra", "", "b"]], object)}


def table():
    kind, age = keras.Input((None,), dtype="int32", name="kind"), keras.Input((None,), name="age")
    coded = layers.Embedding(5, 3)(layers.IntegerLookup(vocabulary=[10, 20, 30])(kind))
    bins = layers.Embedding(4, 3)(layers.Discretization([0.0, 1.0, 5.0])(age))
    return keras.Model([kind, age], layers.LSTM(4)(layers.Concatenate()([coded, bins]))), {
        "kind": np.array([[10, 30, 99]], "int32"), "age": np.array([[-1.0, 0.5, 9.0]], "float32"),
    }  # fmt: skip


def grouped_convolutions():
    x = keras.Input((None, 8), name="x")
    y = layers.Conv1D(8, 3, groups=4, padding="same")(x)
    y = layers.SeparableConv1D(6, 3, padding="same")(layers.DepthwiseConv1D(3, padding="same")(y))
    return keras.Model(x, layers.LSTM(3)(y)), {"x": floats(2, 7, 8)}


def own_cell():
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, layers.RNN(MinimalCell(4))(layers.Masking()(x))), {"x": floats(2, 5, 3)}


def caption_in_the_graph():
    x = keras.Input((6,), name="x")
    return keras.Model(x, GreedyDecoder(5, 9)(layers.Dense(5, "tanh")(x))), {"x": floats(3, 6)}


def residual_directions():
    class Residual(layers.Bidirectional):
        def call(self, sequences, initial_state=None, mask=None, training=None):
            y = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
            return y + ops.concatenate([sequences, sequences], -1)

    x = keras.Input((None, 3), name="x")
    return keras.Model(x, Residual(layers.LSTM(3, return_sequences=True))(x)), {"x": floats(2, 5, 3)}


def classes():
    x = keras.Input((None, 4), name="x")
    y = layers.Dense(5)(layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x))
    best, index = ops.top_k(y, 2)
    return keras.Model(x, {"class": ops.argmax(y, -1), "best": best, "index": index}), {"x": floats(2, 6, 4)}


def counts_and_bytes():
    chars = keras.Input((None,), dtype="uint8", name="chars")
    counts = keras.Input((None, 3), dtype="int32", name="n")
    y = layers.Concatenate()([layers.LSTM(4)(layers.Embedding(90, 6)(chars)), layers.LSTM(4)(counts)])
    return keras.Model([chars, counts], y), {
        "chars": tokens(2, 5, most=90).astype("uint8"), "n": tokens(2, 7, 3, most=100),
    }  # fmt: skip


def double_precision():
    keras.config.set_dtype_policy("float64")
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, layers.Dense(2)(layers.Bidirectional(layers.LSTM(4))(x))), {"x": floats(2, 5, 3)}


def half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, layers.Dense(2)(layers.Bidirectional(layers.GRU(4))(x))), {"x": floats(2, 5, 3)}


GALLERY = {made.__name__: made for made in (
    captcha, video, video_of_bytes, words_of_characters, tagger, tagger_with_viterbi, mean_over_words,
    attention_over_words, translator_with_attention, self_attention, unet_of_a_signal, unet_of_a_page,
    raw_audio, wavenet, spectrogram, forecast, next_frames, autoencoder, siamese, ordered_outputs,
    numbered_outputs, reviews, names_of_words, table, grouped_convolutions, own_cell, caption_in_the_graph,
    residual_directions, classes, counts_and_bytes, double_precision, half_precision,
)}  # fmt: skip
LOOPS = {"own_cell", "next_frames", "tagger_with_viterbi", "caption_in_the_graph", "reviews"}


@pytest.mark.parametrize("name", GALLERY)
def test_gallery(name, tmp_path):
    model, inputs = GALLERY[name]()
    report = to_onnx(model, tmp_path / "m.onnx")
    assert ("Loop" in report["nodes"]) == (name in LOOPS)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    read = [one.name for one in model.inputs if one.name in inputs]
    assert [one.name for one in session.get_inputs()] == read
    unread = {one.name: np.zeros((3, *one.shape[1:])) for one in model.inputs if one.name not in inputs}
    given = [ops.convert_to_tensor((inputs | unread)[one.name]) for one in model.inputs]
    expected = model(keras.tree.pack_sequence_as(model._inputs_struct, given))
    found = session.run(None, inputs)
    names = [one.name for one in session.get_outputs()]
    if not isinstance(expected, dict):
        expected = {names[0]: expected}
    expected = {str(key): value for key, value in expected.items()}
    close = 5e-3 if name == "half_precision" else 1e-4  # Keras itself computes in half precision there
    for key, value in zip(names, found, strict=True):
        np.testing.assert_allclose(value, expected[key], atol=close, rtol=close, err_msg=key)
