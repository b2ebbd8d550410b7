"""Line OCR: an image of one line of print -> its text.

A small convolution front, stacked bidirectional LSTMs and CTC, as in Breuel, Ul-Hasan, Al-Azawi &
Shafait 2013, "High-performance OCR for printed English and Fraktur using LSTM networks" (which reads
raw pixel columns: leave the front empty) and Shi, Bai & Yao 2015, "An end-to-end trainable neural
network for image-based sequence recognition" (the front).

The way of a line: image -> grey -> height-normalised ink, columns first ``[width, height, 1]``
(``preprocess``) -> class scores for every fourth column (``network``) -> characters with their columns
(``serving``).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from export.runtime import SPREAD
from zoo.contract.config import check_choices
from zoo.contract.lines import OfLines
from zoo.contract.recognizer import FRAMES, LABEL_LENGTHS, SURE, Recognizer
from zoo.contract.serving import TensorSpec
from zoo.decoding.ctc import greedy_decode
from zoo.families.line_ocr import vgsl
from zoo.images import calamari, kraken
from zoo.images.augment import augment_line
from zoo.images.normalise import normalise_height
from zoo.images.tesseract import normalise_contrast
from zoo.layers import KINDS, Bidirectional, MaskByLength, make_recurrent

if TYPE_CHECKING:
    from zoo.families.line_ocr.corpus import Lines
    from zoo.families.line_ocr.vgsl import Spec

CONTRASTS = {
    "ink": normalise_height,
    "stretched": normalise_contrast,
    "inverted": kraken.invert,
    "straightened": kraken.straighten,
    "scaled": calamari.scale,
    "dewarped": calamari.dewarp,
}
MARGINS = {  # columns added at each end
    "inverted": kraken.MARGIN,
    "straightened": kraken.MARGIN,
    "scaled": calamari.MARGIN,
    "dewarped": calamari.MARGIN,
}


@dataclasses.dataclass(frozen=True)
class LineOcrConfig:
    """What a line reader is made of.

    Attributes:
        height: pixels that every line is scaled to; widths follow.
        filters: output channels of each convolution; empty: the LSTMs read raw pixel columns.
        kernels: side of each convolution's square kernel, pixels.
        strides: (along, across) the line, of each convolution.
        pools: (along, across) the line, of the maximum taken after each convolution.
        batch_norm: normalise each convolution over the batch before its activation (Ioffe & Szegedy 2015),
            with which a deep front learns faster.
        cell: kind of the recurrent layers.
        units: units of each bidirectional layer, per direction.
        dropout: share of activations dropped after the front and after each bidirectional layer.
        alpha: weight of the language model of characters in the beam search with one. See
            ``zoo.decoding.ctc_tokens``.
        beta: bonus of each character in that search, natural logarithm.
        beam_width: width of that search: how many hypotheses it keeps.
        photographs: whether photographs may be lines, too, as of signs and licence plates; else they are
            refused. A recipe sees by its lines whether they are.
        vgsl: the network as a VGSL string, such as [1,48,0,1 Cr3,3,32 Mp2,2 S1(1x0)1,3 Lbx100 O1c1], in place
            of the fields on height, convolutions, recurrent layers and dropout. See docs/import.md.
        contrast: how grey becomes numbers: ``ink``, 1 on paper 0; ``stretched``, dark -1 to light 1, as
            Tesseract's networks see it; ``inverted``, white 0 to black 1 between white margins, as
            kraken's do; ``straightened``, the same of lines that kraken takes as boxes; ``dewarped`` and
            ``scaled``, the same as Calamari's networks see it, straightened and not.
        margin: columns that ``contrast`` adds at each end of a line.
    """

    height: int = 40
    filters: tuple = (16, 32, 64)
    kernels: tuple = (5, 3, 3)
    strides: tuple = ((2, 2), (1, 1), (1, 1))
    pools: tuple = ((1, 1), (2, 2), (1, 2))
    batch_norm: bool = False
    cell: str = "lstm"
    units: tuple = (128, 128)
    dropout: float = 0.2
    alpha: float = 0.5
    beta: float = 1.5
    beam_width: int = 16
    photographs: bool = False
    vgsl: str = ""
    contrast: str = "ink"
    margin: int = 0

    @property
    def columns_per_frame(self) -> int:
        """Columns of the height-normalised image that one output frame stands for."""
        return int(np.prod([s[0] * p[0] for s, p in zip(self.strides, self.pools, strict=True)]))

    def __post_init__(self):
        check_choices(self, cell=KINDS, contrast=tuple(CONTRASTS))
        object.__setattr__(self, "margin", MARGINS.get(self.contrast, 0))
        if self.vgsl:
            spec = vgsl.parse(self.vgsl)
            # Readers tell by height and strides where in an image a frame is.
            nothing = dict.fromkeys(("filters", "kernels", "units"), ())
            found = {"height": spec.height, "strides": ((spec.stride, 1),), "pools": ((1, 1),), **nothing}
            for name, value in found.items():
                object.__setattr__(self, name, value)
        elif not len(self.filters) == len(self.kernels) == len(self.strides) == len(self.pools):
            # An empty front is written by `filters` alone.
            if self.filters:
                raise ValueError("filters, kernels, strides and pools need the same length.")
            for name in ("kernels", "strides", "pools"):
                object.__setattr__(self, name, ())


class LineOcr(OfLines, Recognizer):
    """A line reader. See ``Task`` for what every task offers."""

    name = "line_ocr"
    Config = LineOcrConfig
    shows_ranges = True  # the strokes of examples give convolutions half the range of print, or more
    outputs = (
        TensorSpec(
            "labels",
            "int32",
            ("batch", "time"),
            "row i is character i - 1 of the vocabulary; 0, the CTC blank, pads; in the order of the columns",
        ),
        LABEL_LENGTHS,
        SURE,
        TensorSpec(
            "starts", "float32", ("batch", "time"), "first pixel column of each label in the image as given"
        ),
        TensorSpec(
            "ends", "float32", ("batch", "time"), "pixel column behind each label in the image as given"
        ),
        *FRAMES,
    )

    # === Preprocessing: TensorFlow operations, run by tf.data in training and by the graph when served ===

    def preprocess(self, image: Any, size: Any, round_to: int = 1) -> tuple[Any, Any]:
        """What ``zoo.images.normalise.normalise_height`` makes of a batch, and the frames of each line.

        Of a network by VGSL string the columns of each line, in place of its frames: its layers need them.

        Args:
            image, size: as there.
            round_to: the new width is a multiple of this many columns (and always of a frame's).

        Returns:
            float32 ``[batch, columns, config.height, 1]``, and int32 ``[batch]``, the frames the network will
            give for each.
        """
        import tensorflow as tf

        frame, normalise = self.config.columns_per_frame, CONTRASTS[self.config.contrast]
        pixels, columns = normalise(image, size, self.config.height, int(np.lcm(round_to, frame)))
        if self.spec:
            missing = tf.maximum(self.spec.shortest - tf.shape(pixels)[1], 0)
            pixels = tf.pad(pixels, ((0, 0), (0, missing), (0, 0)))
            columns = tf.cast(tf.maximum(columns, self.spec.shortest), tf.int32)
            return pixels[:, :, :, None], columns
        return pixels[:, :, :, None], tf.cast(tf.math.ceil(columns / frame), tf.int32)

    # === Network ===

    @functools.cached_property
    def spec(self) -> Spec | None:
        """The ``vgsl.Spec`` of a network by VGSL string, else None."""
        return vgsl.parse(self.config.vgsl) if self.config.vgsl else None

    @property
    def lengths_input(self) -> str:
        return "columns" if self.spec else "frames"

    def build_network(self) -> keras.Model:
        config = self.config
        if self.spec:
            return vgsl.build(
                self.spec, len(self.vocabulary), self.name, noise=config.contrast == "stretched"
            )
        image = keras.Input((None, config.height, 1), name="image")
        frames = keras.Input((), dtype="int32", name="frames")
        x = image
        left = config.columns_per_frame  # columns per frame that later strides and pools still merge
        rows = config.height
        front = zip(config.filters, config.kernels, config.strides, config.pools, strict=True)
        for i, (filters, kernel, stride, pool) in enumerate(front):
            settings = {"kernel_initializer": "he_normal", "name": f"conv_{i}"}
            settings |= {"use_bias": False} if config.batch_norm else {"activation": "relu"}
            x = layers.Conv2D(filters, kernel, stride, padding="same", **settings)(x)
            if config.batch_norm:
                x = layers.BatchNormalization(momentum=0.98, name=f"norm_{i}")(x)
                x = layers.ReLU(name=f"activation_{i}")(x)
            if pool != (1, 1):
                x = layers.MaxPooling2D(pool, padding="same", name=f"pool_{i}")(x)
            left //= stride[0] * pool[0]
            rows = math.ceil(math.ceil(rows / stride[1]) / pool[1])
            x = MaskByLength(name=f"mask_{i}")(x, frames * left)
        features = rows * (config.filters[-1] if config.filters else 1)
        x = layers.Reshape((-1, features), name="features")(x)
        x = layers.Dropout(config.dropout, name="dropout_front")(x)
        for i, units in enumerate(config.units):
            x = Bidirectional(make_recurrent(self.config.cell, units), name=f"lstm_{i}")(x, frames)
            x = layers.Dropout(config.dropout, name=f"dropout_{i}")(x)
        logits = layers.Dense(len(self.vocabulary), dtype="float32", name="logits")(x)
        return keras.Model({"image": image, "frames": frames}, logits, name=self.name)

    @property
    def feature_call(self) -> tuple[Any, str]:
        last = [layer.name for layer in self.network.layers if re.fullmatch(r"lstm_\d+", layer.name)][-1]
        return self.network.get_layer(last), "call"

    # === Decoding ===

    def answer(self, logits: Any, lengths: Any, inputs: Any) -> dict[str, Any]:
        frames = self.spec.columns(lengths)[-1] if self.spec else lengths
        log_probs = ops.log_softmax(ops.cast(logits, "float32"))
        read = greedy_decode(log_probs, frames)
        # Pixels of the given image that a column stands for; ``export.runtime.Reader`` goes by the same.
        size = ops.cast(inputs["size"], "float32")
        stride, margin = self.config.columns_per_frame, self.config.margin
        if self.config.contrast in SPREAD:
            columns = ops.cast(frames * stride - 2 * margin, "float32")[:, None]
            pixels = size[:, 1:] / ops.maximum(columns, 1.0)
        else:
            pixels = size[:, :1] * (1 / self.config.height)
        used = ops.cast(read["labels"] > 0, "float32")
        edges = read["first_frame"] * stride - margin, (read["last_frame"] + 1) * stride - margin
        starts, ends = (ops.clip(ops.cast(edge, "float32") * pixels, 0.0, size[:, 1:]) for edge in edges)
        return {
            "labels": read["labels"],
            "label_lengths": read["label_lengths"],
            "confidence": self.calibrated(read["confidence"]),
            "starts": starts * used,
            "ends": ends * used,
            "log_probs": log_probs,
            "lengths": frames,
        }

    # === Training ===

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``image``, and ``labels`` in image order."""
        return {"image": sample["image"], "labels": self.encode_labels(sample["text"])}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """A sample as another scan might show it."""
        return sample | {"image": augment_line(sample["image"], seed)}

    def sample_length(self, sample: dict[str, Any]) -> Any:
        return super().sample_length(sample) + 2 * self.config.margin

    def corpus_lengths(self, corpus: Lines) -> np.ndarray:
        return super().corpus_lengths(corpus) + 2 * self.config.margin

    def frames(self, length: Any) -> Any:
        """Frames that the network makes of a height-normalised line of so many columns."""
        if self.spec:
            return self.spec.columns(length)[-1]
        return -(-length // self.config.columns_per_frame)

    def logit_lengths(self, inputs: dict[str, Any]) -> Any:
        return self.spec.columns(inputs["columns"])[-1] if self.spec else inputs["frames"]

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        image, lengths = self.preprocess(batch["image"], batch["size"], round_to)
        labels = {"labels": batch["labels"], "label_lengths": batch["label_lengths"]}
        return {"image": image, self.lengths_input: lengths}, labels


TASK = LineOcr
