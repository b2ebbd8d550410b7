"""Image captioning: a photograph -> what it shows, in words.

Vinyals et al. 2015, "Show and Tell" (NIC): a convolutional network turns the image into features, an LSTM
writes the caption word by word until it says END. How the LSTM gets to know the image is ``image_at``.

The way of an image: uint8 RGB -> the encoder's grid of features ``[rows, columns, depth]`` -> scores of
the next word, with the words before as given (``network``), or as found or drawn (``serving``).
"""

import dataclasses
import functools

import keras
import numpy as np
from keras import layers, ops, tree

from zoo.contract.compiled import compiled
from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.decoding import search as decoding
from zoo.layers import KINDS, Recurrent, make_recurrent
from zoo.layers.attention import LuongAttention
from zoo.layers.encoders import PIXELS, Preprocess, make_encoder
from zoo.layers.next_token import Logits, NextToken, perplexity
from zoo.text.words import Words

IMAGE_AT = ("first_step", "every_step", "attention")
MAX_LENGTH = 30  # words of a caption that is learned, END included


@dataclasses.dataclass(frozen=True)
class CaptionerConfig:
    """What a captioner is made of.

    Attributes:
        encoder: a network of ``keras.applications``, with arguments where it takes some: ``ResNet50`` or
            ``MobileNet(alpha=0.75)``; or any Keras model from ``[batch, image_size, image_size, 3]`` to
            ``[batch, rows, columns, features]``, as its ``to_json()``.
        pixels: the range in which the encoder takes them: ``0..255``, ``0..1``, ``-1..1``, or ``own``, as its
            ``preprocess_input`` in ``keras.applications`` makes them.
        image_size: side of the square that images are stretched to.
        image_at: where the LSTM gets to know the image: ``first_step``, as if it were the word before the
            first (Vinyals et al.); ``every_step``, beside each word, so that it need not be remembered;
            ``attention``, where it begins, and in each step by a look at the grid (Xu et al. 2015, "Show,
            Attend and Tell", soft attention; the state of the step itself does the looking, as in Lu et al.
            2017, "Knowing When to Look", with the score of Luong et al. 2015).
        cell: kind of the recurrent layer.
        units: units of the recurrent layer.
        embedding: size of the vectors that stand for words, and for the image beside them.
        tied_embeddings: the output layer's rows are the embeddings.
        dropout: share of values dropped from embeddings and before the output.
        label_smoothing: share of the target's probability that is spread over all words (Szegedy et al. 2016,
            section 7).
        beam_width: width of the beam search: how many hypotheses it keeps. See ``zoo.decoding.search``.
        length_penalty: of the beam search; more favours long captions, 0 is none.
    """

    encoder: str = "MobileNet(alpha=0.75)"
    pixels: str = "own"
    image_size: int = 224
    image_at: str = "attention"
    cell: str = "lstm"
    units: int = 512
    embedding: int = 256
    tied_embeddings: bool = False
    dropout: float = 0.5
    label_smoothing: float = 0.1
    beam_width: int = 3
    length_penalty: float = 1.0

    def __post_init__(self):
        check_choices(self, image_at=IMAGE_AT, cell=KINDS, pixels=PIXELS)


class Captioner(Task):
    """An image captioner. See ``Task`` for what every task offers.

    Attributes:
        tunes_encoder: whether training reaches the encoder. If not, its features are computed once for each
            image and cached by the pipeline.
        tunes_norms: whether, if so, batch normalisation learns and takes each batch's statistics. If not, it
            keeps what the encoder was trained with: of a few images statistics are noisy, and on a CPU most
            of the time of a step goes into them.
        tunes_from: name of the encoder's first layer that learns then; None: all of them.
        drops: whether training drops values, as the configuration says. What a captioner draws itself is
            drawn with all of them, and is to be learned so.
    """

    name = "captioner"
    Config = CaptionerConfig
    Vocabulary = Words
    rounded = {"batch": 16}
    static = ("beam_width", "length_penalty", "max_length", "temperature", "top_k")

    # === Network ===

    def build_network(self):
        config = self.config
        self.tunes_encoder, self.tunes_norms, self.tunes_from, self.drops = False, False, None, True
        self.encoder = make_encoder(config.encoder, config.image_size)
        self._preprocess = Preprocess(config.encoder, config.pixels, name="preprocess")
        self._decoder = CaptionDecoder(
            len(self.vocabulary), config.image_at, config.cell, config.units, config.embedding,
            config.tied_embeddings, config.dropout, name="decoder",
        )  # fmt: skip
        before = keras.Input((None, None), dtype="int32", name="before")
        features = keras.Input(self.encoder.output.shape[1:], name="features")
        image = keras.Input((config.image_size, config.image_size, 3), dtype="uint8", name="image")
        self._telling = keras.Model(
            {"features": features, "before": before}, self._decoder(features, before), name="telling"
        )
        inputs = {"image": image, "before": before}
        return keras.Model(inputs, self._decoder(self._see(image), before), name=self.name)

    def _see(self, image):
        """uint8 ``[batch, image_size, image_size, 3]`` -> the grid of features."""
        # Batch normalisation keeps the statistics of the images that the encoder has learned from.
        return self.encoder(self._preprocess(image), training=False)

    # === Decoding ===

    @property
    def serving(self):
        inputs = (
            TensorSpec("image", "uint8", ("batch", "height", "width", 3)),
            TensorSpec("beam_width", "int32", ()),
            TensorSpec("length_penalty", "float32", ()),
            TensorSpec("max_length", "int32", ()),
            TensorSpec("noise", "float32", ("batch", "steps", len(self.vocabulary))),
            TensorSpec("temperature", "float32", ()),
            TensorSpec("top_k", "int32", ()),
        )
        grid = self.encoder.output.shape[1:3]
        attends = self.config.image_at == "attention"
        outputs = (
            TensorSpec("tokens", "int32", ("batch", "beam", "time")),
            TensorSpec("token_lengths", "int32", ("batch", "beam")),
            TensorSpec("scores", "float32", ("batch", "beam")),
            TensorSpec("sampled_tokens", "int32", ("batch", "steps")),
            TensorSpec("sampled_lengths", "int32", ("batch",)),
            TensorSpec("sampled_scores", "float32", ("batch",)),
            *([TensorSpec("attention", "float32", ("batch", "time", *grid))] if attends else []),
        )
        return Serving(inputs, outputs, self._serve, self._example, decoding_loops=2)

    def _serve(self, inputs):
        """Beam search for every image, and a caption drawn for each.

        ``image`` may have any size. ``top_k`` 0 draws from all words. ``attention`` is that of the best
        caption found: where on the grid the network looked to write each of its words.
        """
        image, size = inputs["image"], self.config.image_size
        image = ops.image.resize(ops.cast(image, "float32"), (size, size), interpolation="bilinear")
        memory, states = self._decoder.begin(self._see(image))
        step = self._step(memory)
        found = decoding.beam_search(
            step, states, Words.START, Words.END, inputs["max_length"], inputs["beam_width"],
            inputs["length_penalty"], pad=Words.PAD,
        )  # fmt: skip
        drawn = decoding.sample(
            step, states, Words.START, inputs["noise"], inputs["temperature"], inputs["top_k"], Words.END,
            pad=Words.PAD,
        )  # fmt: skip
        served = {"tokens": found["tokens"], "token_lengths": found["lengths"], "scores": found["scores"]}
        served |= {f"sampled_{name}": value for name, value in drawn.items()}
        if self.config.image_at == "attention":
            best = found["tokens"][:, 0]
            before = ops.concatenate([ops.full_like(best[:, :1], Words.START), best[:, :-1]], 1)
            weights = self._decoder.attended(memory, states, before)
            grid = self.encoder.output.shape[1:3]
            served["attention"] = ops.reshape(weights, (-1, ops.shape(weights)[1], *grid))
        return served

    def _step(self, memory):
        # A caption says words: that one is not known is no answer.
        unsaid = -1e9 * np.isin(np.arange(len(self.vocabulary)), [Words.PAD, Words.UNKNOWN, Words.START])

        def step(tokens, states):
            logits, states = self._decoder.step(memory, tokens, states)
            return logits + ops.cast(unsaid, logits.dtype), states

        return step

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        side = self.config.image_size
        shape = (side, side) if seed % 2 else tuple(random.integers(side // 2, 2 * side, 2))
        # Waves, as photographs are smooth, too: of noise, how coordinates are rounded to resize it is seen.
        row, column = np.indices(shape)[..., None] / side
        across, down, phase = random.uniform(-9, 9, (3, batch, 1, 1, 3))
        image = 127.5 + 127.5 * np.sin(across * column + down * row + phase)
        return {
            "image": image.astype("uint8"),
            "beam_width": np.array(1 + seed % 4, "int32"),
            "length_penalty": np.array(0.5 * (seed % 3), "float32"),
            "max_length": np.array(10, "int32"),
            "noise": random.random((batch, 1 + seed, len(self.vocabulary))).astype("float32"),
            "temperature": np.array(0.5 * (seed % 4), "float32"),
            "top_k": np.array(3 * (seed % 3), "int32"),
        }

    # === Training ===

    def training_model(self):
        """What is to be trained with its cross-entropy, for ``fit`` on the pipeline's batches."""
        self.encoder.trainable = self.tunes_encoder
        names = [layer.name for layer in self.encoder.layers]
        first = names.index(self.tunes_from) if self.tunes_from else 0
        for i, layer in enumerate(self.encoder.layers):
            kept = i < first or isinstance(layer, layers.BatchNormalization) and not self.tunes_norms
            layer.trainable = self.tunes_encoder and not kept
        self._decoder.drop(self.config.dropout if self.drops else 0.0)
        network = self.network if self.tunes_encoder else self._telling
        return NextToken(network, self.config.label_smoothing)

    @functools.cached_property
    def _features(self):
        """The compiled encoder, on one image as NumPy."""
        size = self.config.image_size
        see = compiled(
            self.network,
            lambda inputs: {"features": self._see(inputs["image"])},
            [TensorSpec("image", "uint8", (1, size, size, 3))],
        )
        return lambda image: np.asarray(see({"image": image[None]})["features"])[0].astype("float16")

    @functools.cached_property
    def draw(self):
        """A compiled function that draws captions from features of images, the same number for each.

        It takes a dict of ``features``, float32 ``[batch, rows, columns, depth]``, ``noise``, float32
        ``[batch * captions, steps, words]``, uniform in 0..1, and ``temperature``, float32; it gives
        ``tokens``, ``lengths`` and ``scores`` as ``zoo.decoding.search.sample`` does.
        """

        def drawn(inputs):
            memory, states = self._decoder.begin(inputs["features"])
            captions = ops.shape(inputs["noise"])[0] // ops.shape(inputs["features"])[0]
            states = [ops.repeat(state, captions, axis=0) for state in states]
            return decoding.sample(
                self._step(memory), states, Words.START, inputs["noise"], inputs["temperature"],
                end=Words.END, pad=Words.PAD,
            )  # fmt: skip

        grid, words = self.encoder.output.shape[1:], len(self.vocabulary)
        features = TensorSpec("features", "float32", ("batch", *grid))
        noise = TensorSpec("noise", "float32", ("captions", "steps", words))
        return compiled(self.network, drawn, [features, noise, TensorSpec("temperature", "float32", ())])

    def encode_sample(self, sample):
        """A corpus sample as the pipeline keeps it.

        ``captions`` int32 ``[captions, time]``, each ended, then padded; and the ``image``, or its
        ``features`` in float16, where those are what is learned from.
        """
        import tensorflow as tf

        def encode(text):
            rows = [self.vocabulary.encode(caption) for caption in text.decode().split("\n")]
            rows = [[*row[: MAX_LENGTH - 1], Words.END] for row in rows]
            padded = np.full((len(rows), max(map(len, rows))), Words.PAD, np.int32)
            for one, row in zip(padded, rows, strict=True):
                one[: len(row)] = row
            return padded

        captions = tf.numpy_function(encode, [sample["text"]], tf.int32, stateful=False)
        encoded = {"captions": tf.ensure_shape(captions, (None, None))}
        if self.tunes_encoder:
            return encoded | {"image": sample["image"]}
        features = tf.numpy_function(self._features, [sample["image"]], tf.float16, stateful=False)
        return encoded | {"features": tf.ensure_shape(features, self.encoder.output.shape[1:])}

    def augment_sample(self, sample, seed):
        """Mirrors, crops and lights images anew; features are as they are."""
        return sample | {"image": vary_image(sample["image"], seed)} if "image" in sample else sample

    def is_learnable(self, sample):
        return True

    def sample_length(self, sample):
        """Words of the longest caption: what buckets go by."""
        import tensorflow as tf

        return tf.shape(sample["captions"])[1]

    def corpus_lengths(self, corpus):
        return np.array(
            [
                min(MAX_LENGTH, 1 + max(len(self.vocabulary.encode(caption)) for caption in captions))
                for captions in corpus.references
            ]
        )

    def collate(self, batch, round_to):
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        captions = batch["captions"]
        captions = tf.pad(captions, ((0, 0), (0, 0), (0, -tf.shape(captions)[2] % (round_to // 8))))
        before = tf.pad(captions[:, :, :-1], ((0, 0), (0, 0), (1, 0)), constant_values=Words.START)
        target = tf.reshape(captions, (-1, tf.shape(captions)[2]))
        # Images with fewer captions than others have empty ones besides.
        lengths = tf.reduce_sum(tf.cast(target != Words.PAD, tf.int32), 1)
        seen = "image" if "image" in batch else "features"
        return {seen: batch[seen], "before": before}, {"target": target, "target_lengths": lengths}

    def perplexity(self, batches):
        """The exponential of the mean cross-entropy of a word; ``batches`` as ``collate`` gives them."""
        return perplexity(self.network if self.tunes_encoder else self._telling, batches)


# === Layers ===


@keras.saving.register_keras_serializable("seqzoo")
class CaptionDecoder(layers.Layer):
    """A recurrent layer that writes captions of what an encoder saw.

    Inputs: ``features`` ``[batch, rows, columns, depth]``; int32 ``before`` ``[batch, captions, time]``, the
    words before each word of each caption, so that the captions of an image share its features. Output:
    logits of the words, float32 ``[batch * captions, time, words]``.

    Args:
        words: how many there are; the others are as in ``CaptionerConfig``.
    """

    def __init__(self, words, image_at, cell, units, embedding, tied_embeddings, dropout, **kwargs):
        super().__init__(**kwargs)
        self._arguments = {
            "words": words, "image_at": image_at, "cell": cell, "units": units, "embedding": embedding,
            "tied_embeddings": tied_embeddings, "dropout": dropout,
        }  # fmt: skip
        self.image_at = image_at
        self._embed = layers.Embedding(words, embedding, name="embedding")
        self._drop = layers.Dropout(dropout, name="dropout")
        self._recurrent = Recurrent(make_recurrent(cell, units), name=cell)
        self._sizes = tree.flatten(self._recurrent.layer.cell.state_size)
        self._narrow = layers.Dense(embedding, name="narrow") if tied_embeddings else None
        self._logits = Logits(words, self._embed if tied_embeddings else None, dtype="float32", name="logits")
        if image_at == "attention":
            self._initial = [
                layers.Dense(size, activation="tanh", name=f"initial_{name}")
                for name, size in zip("hc", self._sizes, strict=False)
            ]
            self._attention = LuongAttention(units, scaled=True, name="attention")
        else:
            self._image = layers.Dense(embedding, name="image")

    def build(self, features_shape, before_shape):
        units, embedding = self._arguments["units"], self._arguments["embedding"]
        depth = features_shape[-1]
        self._embed.build()
        self._recurrent.build((None, None, embedding * (2 if self.image_at == "every_step" else 1)))
        if self._narrow:
            self._narrow.build((None, units))
        self._logits.build((None, embedding if self._narrow else units))
        if self.image_at == "attention":
            for dense in self._initial:
                dense.build((None, depth))
            self._attention.build((None, None, units), (None, None, depth))
        else:
            self._image.build((None, depth))

    def begin(self, features):
        """The grid -> ``(memory, states)``, before the first word.

        ``memory`` is what the image is in every step: the pair of regions and keys that attention looks at,
        ``[batch, rows * columns, depth or units]``, or the image's embedding, ``[batch, embedding]``.
        """
        mean = ops.mean(features, (1, 2))
        if self.image_at == "attention":
            regions = ops.reshape(features, (-1, features.shape[1] * features.shape[2], features.shape[3]))
            return (regions, self._attention.keys(regions)), [dense(mean) for dense in self._initial]
        image = self._image(mean)
        none = ops.zeros_like(image[:, :1])
        states = [none * ops.zeros((1, size), image.dtype) for size in self._sizes]
        if self.image_at == "first_step":
            _, states = self._recurrent.layer.cell(image, states)
        return image, list(states)

    def step(self, memory, tokens, states):
        """One word on: int32 ``[batch * beams]`` and the states -> logits and the new states.

        The beams of an image lie side by side.
        """
        x = self._embed(tokens)
        if self.image_at == "every_step":
            rows = ops.reshape(x, (ops.shape(memory)[0], -1, x.shape[-1]))
            rows = ops.concatenate([rows, memory[:, None] * ops.ones_like(rows[:, :, :1])], -1)
            x = ops.reshape(rows, (-1, rows.shape[-1]))
        x, states = self._recurrent.layer.cell(x, states)
        if self.image_at == "attention":
            regions, keys = memory
            rows = ops.reshape(x, (ops.shape(regions)[0], -1, x.shape[-1]))
            rows, _ = self._attention.look(rows, regions, keys)
            x = ops.reshape(rows, (-1, x.shape[-1]))
        return self._output(x), list(states)

    def attended(self, memory, states, before):
        """Where each word looked, ``[batch, time, rows * columns]``; ``before`` int32 ``[batch, time]``."""
        x, _ = self._recurrent(self._embed(before), None, states)
        return self._attention.look(x, *memory)[1]

    def call(self, features, before):
        captions, time = ops.shape(before)[1], ops.shape(before)[2]
        memory, states = self.begin(features)
        states = [ops.repeat(state, captions, axis=0) for state in states]
        x = self._embed(ops.reshape(before, (-1, time)))
        if self.image_at == "every_step":
            image = ops.repeat(memory, captions, axis=0)[:, None]
            x = ops.concatenate([x, image * ops.ones_like(x[:, :, :1])], -1)
        x, _ = self._recurrent(self._drop(x), None, states)
        if self.image_at == "attention":
            # To look once for all captions of an image, they lie one behind the other.
            x, _ = self._attention.look(ops.reshape(x, (-1, captions * time, x.shape[-1])), *memory)
            x = ops.reshape(x, (-1, time, x.shape[-1]))
        return self._output(x)

    def compute_output_spec(self, features, before):
        return keras.KerasTensor((None, before.shape[2], self._arguments["words"]), "float32")

    def _output(self, x):
        x = self._drop(x)
        return self._logits(self._narrow(x) if self._narrow else x)

    def drop(self, share):
        """From now on, training drops this share of values."""
        self._drop.rate = share

    def get_config(self):
        return {**super().get_config(), **self._arguments}


def vary_image(image, seed):
    """A training image, mirrored in every second case, cut to 80 to 100 % of each side, lit differently.

    Args:
        image: uint8 ``[height, width, 3]``.
        seed: int ``[2]``; the same gives the same.

    Returns:
        uint8, of the same shape.
    """
    import tensorflow as tf

    height, width = image.shape[:2]
    draw = tf.random.stateless_uniform((7,), seed)
    share = 0.8 + 0.2 * draw[:2]
    corner = draw[2:4] * (1 - share)
    box = tf.concat([corner, corner + share], 0)[None]
    cut = tf.image.crop_and_resize(tf.cast(image, tf.float32)[None], box, [0], (height, width))[0]
    cut = tf.cond(draw[4] < 0.5, lambda: cut[:, ::-1], lambda: cut)
    lit = (cut - 128) * (0.8 + 0.4 * draw[5]) + 128 + 40 * (draw[6] - 0.5)
    return tf.cast(tf.clip_by_value(tf.round(lit), 0, 255), tf.uint8)


TASK = Captioner
