"""Preprocessing layers in ONNX: every option gives what eager Keras gives, or one sentence."""

import string

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers

from export import ExportError, onnx_graph, preprocessing, to_onnx, verify
from export.keras_model import packed
from export.recurrent import fused
from export.stand_in import StandIns
from zoo.contract.serving import Serving, TensorSpec

WORDS = ["aa", "b", "ä", "it", "its", "hello world", "aa b", "b aa aa", "a a"]
TEXTS = [
    "A-a b, zz",
    "it's - its\tIts\nÄ ä\u00a0b B-",
    "b\va\fb\rb",
    "",
    "  ",
    "...",
    string.punctuation,
    f"{string.punctuation}b{string.punctuation}",
    "a\x00b aa",
    "b " * 300 + "." * 50 + "-b" * 99,
    "😀 b e\u0301 ß İ й 中文",
    "aa b aa aa b",
]
NUMBERS = [-np.inf, -3, -1, -0.5, 0, 0.5, 2, 7, np.inf]


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)


class Subject:
    """What the exporters ask of a model whose outputs are a dict, ``example`` being some of its inputs."""

    def __init__(self, network, example):
        self.network = network
        inputs = [TensorSpec(one.name, one.dtype, dims(one.name, one.shape)) for one in network.inputs]
        outputs = [
            TensorSpec(name, value.dtype.name, dims(name, [None] * len(value.shape)))
            for name, value in sorted(eager(network, example).items())
        ]
        names = [spec.name for spec in inputs]
        self.serving = Serving(
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            function=lambda given: network(packed(network, [given[name] for name in names])),
            example=None,
        )


def dims(name, shape):
    return tuple(f"{name}_{i}" if size is None else size for i, size in enumerate(shape))


def eager(network, inputs):
    import tensorflow as tf

    return network(packed(network, [tf.constant(value) for value in inputs]))


def converted(model, example, opset=onnx_graph.OPSET):
    every, stand_ins = dict.fromkeys(model._flatten_layers(include_self=False), "layer"), StandIns()
    subject = Subject(model, example)
    with fused(every, stand_ins), preprocessing.preprocessed(every, stand_ins):
        function = verify.serving_function(subject)
    return onnx_graph.build(subject.serving, function, stand_ins, opset)


def session_of(exported):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(exported.SerializeToString(), options, ["CPUExecutionProvider"])


def compare(inputs, outputs, feeds, **options):
    """Exports and runs a model; outputs must have eager Keras's values, shape and dtype."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    feeds = [feed if isinstance(feed, list) else [feed] for feed in feeds]
    model = keras.Model(inputs, outputs)
    exported = converted(model, feeds[0], **options)
    session, names = session_of(exported), [one.name for one in model.inputs]
    for feed in feeds:
        expected = eager(model, feed)
        found = session.run(list(expected), dict(zip(names, feed, strict=True)))
        for (name, one), other in zip(expected.items(), found, strict=True):
            one = one.numpy()
            if one.dtype == object:
                one = np.vectorize(lambda value: value.decode(), otypes=[object])(one)
            assert (other.dtype, other.shape) == (one.dtype, one.shape), name
            if one.dtype.kind == "f":
                np.testing.assert_allclose(other, one, atol=1e-6, rtol=1e-5, err_msg=name)
            else:
                assert (other == one).all(), (name, feed, one, other)
    return exported


def strings(*values):
    return np.array(values, object)


def text_feeds(made, column):
    """Texts in one batch, some of them alone, and random ones."""
    random = np.random.default_rng(3)
    batches = [strings(*TEXTS), *(strings(text) for text in TEXTS[3:8])]
    batches += [preprocessing.example_strings(made.values(), (4,), random) for _ in range(6)]
    return [batch[:, None] if column else batch for batch in batches]


def compare_texts(made, column=True):
    x = keras.Input((1,) if column else (), dtype="string", name="x")
    return compare(x, {name: layer(x) for name, layer in made.items()}, text_feeds(made, column))


# === TextVectorization ===

STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
SPLITS = ("whitespace", "character", None)


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("standardize", STANDARDS)
def test_text_in_every_mode(standardize, split):
    made = {
        mode: layers.TextVectorization(
            vocabulary=WORDS, standardize=standardize, split=split, output_mode=mode
        )
        for mode in ("int", "multi_hot", "count")
    }
    compare_texts(made)
    compare_texts(made, column=False)


def test_text_into_numbers_with_the_defaults():
    made = {"ids": layers.TextVectorization(vocabulary=WORDS)}
    made |= {f"{n}": layers.TextVectorization(vocabulary=WORDS, output_sequence_length=n) for n in (1, 5)}
    exported = compare_texts(made)
    assert exported.ir_version <= 10
    assert {one.domain: one.version for one in exported.opset_import} == {
        "": 20,
        "ai.onnx.ml": 2,
        "com.microsoft": 1,
    }


def test_an_older_operator_set_where_no_text_is_joined():
    exported = compare_texts({"ids": layers.TextVectorization(vocabulary=WORDS, standardize="lower")})
    assert {one.domain: one.version for one in exported.opset_import}[""] == onnx_graph.OPSET


def test_weights_of_words():
    adapted = layers.TextVectorization(max_tokens=8, output_mode="tf_idf")
    adapted.adapt(["a b a c", "d e a, b", "f g"])
    padded = layers.TextVectorization(max_tokens=12, output_mode="tf_idf", pad_to_max_tokens=True)
    padded.adapt(["a b a c", "d e a, b", "f g"])
    weights = np.linspace(0.1, 1, len(WORDS))
    given = layers.TextVectorization(vocabulary=WORDS, output_mode="tf_idf", idf_weights=weights)
    compare_texts({"adapted": adapted, "padded": padded, "given": given})


@pytest.mark.slow
@pytest.mark.parametrize("split", ["whitespace", "character"])
@pytest.mark.parametrize("ngrams", [1, 2, (2, 3), (3,)])
def test_ngrams(ngrams, split):
    made = {
        "ids": layers.TextVectorization(vocabulary=WORDS, ngrams=ngrams, split=split),
        "five": layers.TextVectorization(
            vocabulary=WORDS, ngrams=ngrams, split=split, output_sequence_length=5
        ),
        "count": layers.TextVectorization(vocabulary=WORDS, ngrams=ngrams, split=split, output_mode="count"),
    }
    compare_texts(made)


@pytest.mark.slow
def test_text_that_is_not_split():
    x = keras.Input((3,), dtype="string", name="x")
    made = {
        mode: layers.TextVectorization(vocabulary=WORDS, split=None, output_mode=mode)
        for mode in ("int", "one_hot", "count")
    }
    made |= {
        f"{n}": layers.TextVectorization(vocabulary=WORDS, split=None, output_sequence_length=n)
        for n in (2, 5)
    }
    outputs = {name: layer(x) for name, layer in made.items()}
    compare(x, outputs, [strings(*TEXTS).reshape(-1, 3), strings("", "aa", "B").reshape(1, 3)])


def test_a_classifier_of_text_keeps_its_fused_layer():
    x = keras.Input((1,), dtype="string", name="x")
    vectorize = layers.TextVectorization(vocabulary=WORDS)
    h = layers.Embedding(vectorize.vocabulary_size(), 5, mask_zero=True)(vectorize(x))
    y = layers.Dense(2, activation="softmax")(layers.LayerNormalization()(layers.LSTM(4)(h)))
    batch = strings(*TEXTS[:3], "aa", "Its.").reshape(-1, 1)
    for opset in (13, 17):  # converted with 18, and declared as 20
        exported = compare(x, {"y": y}, [batch, batch[3:4]], opset=opset)
        assert "LSTM" in onnx_graph.operations_of(exported.graph)


def test_equal_models_give_equal_bytes():
    def once():
        keras.utils.clear_session()
        x = keras.Input((1,), dtype="string", name="x")
        layer = layers.TextVectorization(output_mode="tf_idf")
        layer.adapt(["a b c d e f g h", "a b c", "h a"])
        return converted(keras.Model(x, {"y": layer(x)}), [strings("a").reshape(1, 1)]).SerializeToString()

    assert once() == once()


# === Lookups ===


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3,), (1,), (), (2, 3)])
def test_words_in_every_mode(shape):
    made = {}
    for mode in ("int", "one_hot", "multi_hot", "count", "tf_idf"):
        for mask in (None, "", "m"):
            more = {"idf_weights": [0.1, 0.2, 0.3]} if mode == "tf_idf" else {}
            if mode not in ("int", "one_hot") and mask == "m":
                more |= {"max_tokens": 9, "pad_to_max_tokens": True}
            made[f"{mode} {mask}"] = layers.StringLookup(
                vocabulary=["b", "ä", "hello world"], mask_token=mask, output_mode=mode, **more
            )
    x = keras.Input(shape, dtype="string", name="x")
    random = np.random.default_rng(4)
    feeds = [preprocessing.example_strings(made.values(), (n, *shape), random) for n in (1, 4, 6)]
    compare(x, {name.replace(" ", "_"): layer(x) for name, layer in made.items()}, feeds)


@pytest.mark.parametrize("mask", [None, "m"])
def test_a_word_that_no_number_is_for_stops_the_file_as_it_stops_keras(mask):
    x = keras.Input((2,), dtype="string", name="x")
    layer = layers.StringLookup(vocabulary=["b", "ä"], num_oov_indices=0, mask_token=mask)
    known = strings("b", mask or "ä").reshape(1, 2)
    session = session_of(compare(x, {"y": layer(x)}, [known]))
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, {"x": strings("b", "zz").reshape(1, 2)})


@pytest.mark.slow
def test_integers_in_every_mode():
    vocabulary, made = [5, -2, 10**12], {}
    for mode in ("int", "one_hot", "multi_hot", "count", "tf_idf"):
        for mask in (None, 0):
            for unknown in (1, 3):
                more = {"idf_weights": [0.1, 0.2, 0.3]} if mode == "tf_idf" else {}
                made[f"{mode}_{mask}_{unknown}"] = layers.IntegerLookup(
                    vocabulary=vocabulary, mask_token=mask, num_oov_indices=unknown, output_mode=mode, **more
                )
    random = np.random.default_rng(4)
    for dtype in ("int64", "int32"):
        x = keras.Input((4,), dtype=dtype, name="x")
        feeds = [preprocessing.example_integers(made.values(), (n, 4), random) for n in (1, 5)]
        feeds = [np.clip(feed, -(2**31), 2**31 - 1).astype(dtype) for feed in feeds]
        if dtype == "int64":
            feeds.append(np.array([[10**12, -(10**12), 5, -7], [-1, -2, -3, -4]]))
        compare(x, {name: layer(x) for name, layer in made.items()}, feeds)


def test_numbers_back_into_words_and_integers():
    x = keras.Input((4,), dtype="int64", name="x")
    made = {
        "words": layers.StringLookup(vocabulary=["b", "ä", "hello world"], invert=True),
        "masked": layers.StringLookup(vocabulary=["b", "ä"], invert=True, mask_token="m", oov_token="?"),
        "integers": layers.IntegerLookup(vocabulary=[4, 10**12], invert=True),
        "masked_integers": layers.IntegerLookup(vocabulary=[4, 7], invert=True, mask_token=0),
    }
    feeds = [np.array([[0, 1, 2, 3], [4, -1, 9, 1]]), np.array([[2, 2, 2, 2]])]
    compare(x, {name: layer(x) for name, layer in made.items()}, feeds)


# === Categories ===


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3,), (1,), (), (2, 3)])
def test_categories_in_every_mode(shape):
    random = np.random.default_rng(5)
    for dtype in ("int32", "int64", "float32"):
        x = keras.Input(shape, dtype=dtype, name="x")
        made = {mode: layers.CategoryEncoding(4, mode) for mode in ("one_hot", "multi_hot", "count")}
        feeds = [random.integers(0, 6, (n, *shape)).astype(dtype) for n in (2, 5)]
        compare(x, {name: layer(x) for name, layer in made.items()}, feeds)
    x, weights = keras.Input(shape, dtype="int64", name="x"), keras.Input(shape, name="weights")
    feeds = [
        [random.integers(0, 6, (n, *shape)), random.normal(size=(n, *shape)).astype("float32")]
        for n in (2, 5)
    ]
    compare([x, weights], {"y": layers.CategoryEncoding(4, "count")(x, count_weights=weights)}, feeds)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3,), (1,), (), (2, 3)])
def test_bins_in_every_mode(shape):
    random = np.random.default_rng(6)
    adapted = layers.Discretization(num_bins=4)
    adapted.adapt(random.normal(size=(100, 1)))
    for dtype in ("float32", "int32"):
        x = keras.Input(shape, dtype=dtype, name="x")
        made = {
            mode: layers.Discretization([-1.0, 0.5, 2.0], output_mode=mode)
            for mode in ("int", "one_hot", "multi_hot", "count")
        } | {"adapted": adapted}
        values = [*NUMBERS, np.nan] if dtype == "float32" else range(-3, 8)
        feeds = [random.choice(values, size=(n, *shape)).astype(dtype) for n in (2, 9)]
        compare(x, {name: layer(x) for name, layer in made.items()}, feeds)


def test_a_table_of_features():
    space = keras.utils.FeatureSpace(
        {
            "color": "string_categorical",
            "size": "integer_categorical",
            "weight": "float_discretized",
            "kind": keras.utils.FeatureSpace.string_categorical(num_oov_indices=0),
        },
        output_mode="concat",
    )
    import tensorflow as tf

    table = {
        "color": strings("red", "green", "red", "blue"),
        "size": np.array([1, 2, 3, 9]),
        "weight": np.array([0.1, 0.5, 2.0, 1.0]),
        "kind": strings("a b", "b c", "a", "d"),
    }
    space.adapt(tf.data.Dataset.from_tensor_slices({k: v.tolist() for k, v in table.items()}).batch(2))
    inputs = space.get_inputs()
    model = keras.Model(list(inputs.values()), {"y": space.get_encoded_features()})
    dtypes = {"size": "int32", "weight": "float32"}
    feed = [np.asarray(table[name])[:, None].astype(dtypes.get(name, object)) for name in inputs]
    compare(list(model.inputs), model.output, [feed])


# === What is refused ===


def of_text(**options):
    return layers.TextVectorization(name="made", **{"vocabulary": ["a", "b"]} | options), "string"


def of_words(**options):
    return layers.StringLookup(name="made", **{"vocabulary": ["a", "b"]} | options), "string"


REFUSED = {
    "hashing": (lambda: (layers.Hashing(7, name="made"), "string"), "hashes", "feed the numbers"),
    "hashed integers": (lambda: (layers.Hashing(7, name="made"), "int64"), "hashes", "feed the numbers"),
    "buckets": (lambda: of_words(num_oov_indices=2), "hashes what it does not know", "num_oov_indices=1"),
    "integer buckets": (
        lambda: (
            layers.IntegerLookup(
                vocabulary=[4], num_oov_indices=2, oov_method="farmhash", name="made"
            ),
            "int64",
        ),
        "hashes what it does not know",
        "num_oov_indices=1",
    ),
    "sparse": (lambda: of_words(output_mode="count", sparse=True), "sparse", "sparse=False"),
    "sparse text": (lambda: of_text(output_mode="count", sparse=True), "sparse", "sparse=False"),
    "encoding": (lambda: of_words(encoding="latin-1"), "UTF-8", "UTF-8"),
    "no words": (lambda: of_words(vocabulary=None), "no vocabulary", "adapt"),
    "no text": (lambda: of_text(vocabulary=None), "no vocabulary", "adapt"),
    "no bins": (lambda: (layers.Discretization(num_bins=3, name="made"), "float32"), "boundaries", "adapt"),
    "standardize": (lambda: of_text(standardize=lambda x: x), "Python function as standardize", "its name"),
    "split": (lambda: of_text(split=lambda x: x), "Python function as split", "its name"),
    "ragged": (lambda: of_text(ragged=True), "ragged", "ragged=False"),
    "ragged one-hot": (lambda: of_text(output_mode="one_hot"), "ragged", "output_mode='int'"),
    "whole n-grams": (lambda: of_text(split=None, ngrams=2), "n-grams", "split text"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_equivalent_is_refused_in_a_sentence(what, tmp_path):
    make, reason, mend = REFUSED[what]
    layer, dtype = make()
    x = keras.Input((1,), dtype=dtype, name="x")
    with pytest.raises(ExportError) as caught:
        to_onnx(keras.Model(x, layer(x)), tmp_path / "m.onnx")
    said = str(caught.value)
    assert said.startswith("The layer 'made' ") and said.endswith("nothing was written") and "\n" not in said
    assert reason in said and mend in said
    assert not list(tmp_path.iterdir())


def test_hashed_crossings_are_refused(tmp_path):
    x, y = (keras.Input((1,), dtype="string", name=name) for name in "xy")
    layer = layers.HashedCrossing(5, name="made")
    with pytest.raises(ExportError, match="'made' hashes"):
        to_onnx(keras.Model([x, y], layer([x, y])), tmp_path / "m.onnx")


def test_an_axis_that_keras_may_drop_is_refused(tmp_path):
    x = keras.Input((None,), dtype="string", name="x")
    layer = of_words(output_mode="one_hot")[0]
    with pytest.raises(ExportError, match="^The layer 'made' one-hot encodes an axis of unknown length"):
        to_onnx(keras.Model(x, layer(x)), tmp_path / "m.onnx")


def test_an_input_that_cannot_be_is_refused_when_it_is_seen():
    x, layer = keras.Input((2, 1), dtype="string", name="x"), of_text()[0]
    subject = Subject(keras.Model(x, {"y": layer(x)}), [np.full((3, 2, 1), "a", object)])
    with pytest.raises(
        ExportError, match=r"^The layer 'made' takes texts of the shape .* nothing was written$"
    ):
        with preprocessing.preprocessed([layer], StandIns()):
            verify.serving_function(subject)
    assert "call" not in vars(layer)


def test_code_of_ones_own_is_left_alone():
    class Own(layers.StringLookup):
        def call(self, inputs):
            return super().call(inputs) + 1

    own, keras_own = Own(vocabulary=["a"]), layers.StringLookup(vocabulary=["a"])
    with preprocessing.preprocessed([own, keras_own], StandIns()):
        assert "call" not in vars(own) and "call" in vars(keras_own)
    assert "call" not in vars(keras_own)


# === Examples ===


def test_examples_of_text_have_all_that_matters():
    layer, random = layers.TextVectorization(vocabulary=["aa", "b"]), np.random.default_rng(0)
    made = preprocessing.example_strings([layer], (200, 1), random)
    assert made.shape == (200, 1) and all(isinstance(text, str) for text in made.flat)
    found = layer(made).numpy()
    assert {0, 1, 2, 3} <= set(found.flat) and not (found != 0).any(1).all()
    assert not any(
        layer(preprocessing.example_strings([layer], (1,), random)).shape[1] == 0 for _ in range(50)
    )
    everything = "".join(made.flat)
    assert set("\t\n ") <= set(everything) and set(string.punctuation) & set(everything)
    assert not everything.isascii() and "AA" in everything


def test_examples_are_of_the_layers_that_read_them():
    color, kind = (keras.Input((2,), dtype="string", name=name) for name in ("color", "kind"))
    number = keras.Input((2,), dtype="int64", name="number")
    strict = layers.StringLookup(vocabulary=["red", "blue"], num_oov_indices=0, name="strict")
    inner = keras.Sequential([keras.Input((2,), dtype="string"), layers.StringLookup(vocabulary=["x"])])
    few = layers.IntegerLookup(vocabulary=[3, 8], num_oov_indices=0, name="few")
    outputs = [strict(layers.Reshape((2, 1))(color)), inner(kind), few(number)]
    model, random = keras.Model([color, kind, number], outputs), np.random.default_rng(0)
    reading = {one.name: preprocessing.readers(model, one) for one in model.inputs}
    made = preprocessing.example_strings(reading["color"], (9, 2), random)
    assert set(made.flat) == {"red", "blue"}
    made = preprocessing.example_strings(reading["kind"], (50, 2), random)
    assert "x" in set(made.flat) and not {"red", "blue"} & set(made.flat)
    assert set(preprocessing.example_integers(reading["number"], (9, 2), random).flat) == {3, 8}
    assert preprocessing.example_integers(reading["color"], (9, 2), random) is None
