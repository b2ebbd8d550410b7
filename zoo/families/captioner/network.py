"""Image captioning: a photograph -> what it shows, in words.

Vinyals et al. 2015, "Show and Tell" (NIC): a convolutional network turns the image into features, an LSTM
writes the caption word by word until it says END. How the LSTM gets to know the image is ``image_at``.

The way of an image: uint8 RGB -> the encoder's grid of features ``[rows, columns, depth]`` -> scores of
the next word, with the words before as given (``network``), or as found or drawn (``serving``).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.compiled import compiled
from zoo.contract.config import check_choices
from zoo.contract.describer import Describer
from zoo.contract.serving import TensorSpec
from zoo.decoding import search as decoding
from zoo.layers import KINDS
from zoo.layers.describing import SEEN_AT, DescribingDecoder
from zoo.layers.encoders import PIXELS, Preprocess, make_encoder
from zoo.text.words import Words

if TYPE_CHECKING:
    from zoo.layers.next_token import NextToken


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
        check_choices(self, image_at=SEEN_AT, cell=KINDS, pixels=PIXELS)


class Captioner(Describer):
    """An image captioner. See ``Task`` and ``Describer`` for what it offers.

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
    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        self.tunes_encoder, self.tunes_norms, self.tunes_from, self.drops = False, False, None, True
        self.encoder = make_encoder(config.encoder, config.image_size)
        self._preprocess = Preprocess(config.encoder, config.pixels, name="preprocess")
        self.decoder = DescribingDecoder(
            len(self.vocabulary), config.image_at, config.cell, config.units, config.embedding,
            config.tied_embeddings, config.dropout, name="decoder",
        )  # fmt: skip
        before = keras.Input((None, None), dtype="int32", name="before")
        features = keras.Input(self.encoder.output.shape[1:], name="features")
        image = keras.Input((config.image_size, config.image_size, 3), dtype="uint8", name="image")
        self._telling = keras.Model(
            {"features": features, "before": before},
            self.decoder(self._regions(features), before),
            name="telling",
        )
        inputs = {"image": image, "before": before}
        return keras.Model(inputs, self.decoder(self._regions(self._see(image)), before), name=self.name)

    def _see(self, image):
        """uint8 ``[batch, image_size, image_size, 3]`` -> the grid of features."""
        # Batch normalisation keeps the statistics of the images that the encoder has learned from.
        return self.encoder(self._preprocess(image), training=False)

    def _regions(self, features):
        """The grid -> ``[batch, rows * columns, depth]``."""
        rows, columns, depth = self.encoder.output.shape[1:]
        return ops.reshape(features, (-1, rows * columns, depth))

    # === Decoding ===

    @property
    def sees(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(
                "image",
                "uint8",
                ("batch", "height", "width", 3),
                "RGB pixels, 0 to 255; images of one batch have one size, to which nothing is padded",
            ),
        )

    @property
    def places(self) -> tuple[int, int]:
        return self.encoder.output.shape[1:3]

    def looks(self, weights: Any) -> Any:
        return ops.reshape(weights, (-1, ops.shape(weights)[1], *self.places))

    def seen(self, inputs: Any) -> tuple[Any, Any]:
        """The regions of images of any size; all of them count."""
        image, size = inputs["image"], self.config.image_size
        image = ops.image.resize(ops.cast(image, "float32"), (size, size), interpolation="bilinear")
        return self._regions(self._see(image)), None

    def sees_example(self, batch: int, seed: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        side = self.config.image_size
        shape = (side, side) if seed % 2 else tuple(random.integers(side // 2, 2 * side, 2))
        # Waves, as photographs are smooth, too: of noise, how coordinates are rounded to resize it is seen.
        row, column = np.indices(shape)[..., None] / side
        across, down, phase = random.uniform(-9, 9, (3, batch, 1, 1, 3))
        image = 127.5 + 127.5 * np.sin(across * column + down * row + phase)
        return {"image": image.astype("uint8")}

    # === Training ===

    def training_model(self) -> NextToken:
        """What is to be trained with its cross-entropy, for ``fit`` on the pipeline's batches."""
        self.encoder.trainable = self.tunes_encoder
        names = [layer.name for layer in self.encoder.layers]
        first = names.index(self.tunes_from) if self.tunes_from else 0
        for i, layer in enumerate(self.encoder.layers):
            kept = i < first or isinstance(layer, layers.BatchNormalization) and not self.tunes_norms
            layer.trainable = self.tunes_encoder and not kept
        self.decoder.drop(self.config.dropout if self.drops else 0.0)
        return super().training_model()

    @property
    def learns(self) -> keras.Model:
        return self.network if self.tunes_encoder else self._telling

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
    def draw(self) -> Callable:
        """A compiled function that draws captions from features of images, the same number for each.

        It takes a dict of ``features``, float32 ``[batch, rows, columns, depth]``, ``noise``, float32
        ``[batch * captions, steps, words]``, uniform in 0..1, and ``temperature``, float32; it gives
        ``tokens``, ``lengths`` and ``scores`` as ``zoo.decoding.search.sample`` does.
        """

        def drawn(inputs):
            memory, states = self.decoder.begin(self._regions(inputs["features"]))
            captions = ops.shape(inputs["noise"])[0] // ops.shape(inputs["features"])[0]
            states = [ops.repeat(state, captions, axis=0) for state in states]
            return decoding.sample(
                self.step(memory), states, Words.START, inputs["noise"], inputs["temperature"],
                end=Words.END, pad=Words.PAD,
            )  # fmt: skip

        grid, words = self.encoder.output.shape[1:], len(self.vocabulary)
        features = TensorSpec("features", "float32", ("batch", *grid))
        noise = TensorSpec("noise", "float32", ("captions", "steps", words))
        return compiled(self.network, drawn, [features, noise, TensorSpec("temperature", "float32", ())])

    def encode_seen(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The ``image``, or its ``features`` in float16, where those are what is learned from."""
        import tensorflow as tf

        if self.tunes_encoder:
            return {"image": sample["image"]}
        features = tf.numpy_function(self._features, [sample["image"]], tf.float16, stateful=False)
        return {"features": tf.ensure_shape(features, self.encoder.output.shape[1:])}

    def collate_seen(self, batch: dict[str, Any], round_to: int) -> dict[str, Any]:
        seen = "image" if "image" in batch else "features"
        return {seen: batch[seen]}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """Mirrors, crops and lights images anew; features are as they are."""
        return sample | {"image": vary_image(sample["image"], seed)} if "image" in sample else sample


def vary_image(image: Any, seed: Any) -> Any:
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
