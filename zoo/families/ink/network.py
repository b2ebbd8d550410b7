"""Ink: the strokes of a pen -> the text that they are.

Convolutions over samples of the pen's path, bidirectional LSTMs and CTC, as in Graves et al. 2009, "A Novel
Connectionist System for Unconstrained Handwriting Recognition", and Carbune et al. 2020, "Fast multi-language
LSTM-based online handwriting recognition", whose curves the convolutions take the place of.

The way of ink: points -> level ink of one size -> samples of its path at equal distances ``[samples, 6]``
(``preprocess``) -> class scores for every fourth sample (``network``) -> tokens with their points
(``serving``).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.compiled import after_preprocessing
from zoo.contract.config import check_choices
from zoo.contract.recognizer import FRAMES, LABEL_LENGTHS, SURE, Recognizer
from zoo.contract.serving import Serving, TensorSpec
from zoo.decoding.ctc import greedy_decode
from zoo.families.ink.vocabulary import InkVocabulary
from zoo.layers import KINDS, Bidirectional, MaskByLength, make_recurrent

if TYPE_CHECKING:
    from zoo.families.ink.corpus import Inks


@dataclasses.dataclass(frozen=True)
class InkConfig:
    """What a reader of ink is made of.

    Attributes:
        step: distance of the samples of the pen's path, in heights of the ink.
        air: how much of a distance counts where the pen is in the air.
        hold: samples for which the pen is held at the end of each stroke.
        filters: filters of each convolution over samples.
        kernels: samples that each convolution sees.
        strides: samples from one output of each convolution to the next.
        cell: kind of the recurrent layers.
        units: units of each bidirectional layer, per direction.
        dropout: share of activations dropped after the convolutions and after each bidirectional layer.
        rotate: deviation of the angle, in degrees, by which training turns ink.
        slant: deviation of how far training slants it, in heights.
        scale: deviation of the logarithm by which training stretches it along and across, and each stroke.
        jitter: deviation of how far training moves each stroke, in heights.
        drop_points: share of the points within strokes that training leaves out.
        alpha: weight of a language model of tokens, where there is one.
        beta: bonus of each token then, a natural logarithm.
    """

    step: float = 0.05
    air: float = 0.5
    hold: int = 2
    filters: tuple = (64, 96, 128)
    kernels: tuple = (5, 5, 5)
    strides: tuple = (1, 2, 2)
    cell: str = "lstm"
    units: tuple = (128, 128)
    dropout: float = 0.3
    rotate: float = 3.0
    slant: float = 0.15
    scale: float = 0.15
    jitter: float = 0.03
    drop_points: float = 0.1
    alpha: float = 0.5
    beta: float = 1.0

    def __post_init__(self):
        check_choices(self, cell=KINDS)
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise ValueError("filters, kernels and strides need the same length.")
        if min((*self.filters, *self.kernels, *self.strides, *self.units), default=1) < 1:
            raise ValueError("filters, kernels, strides and units are 1 or more.")
        if not (0 < self.step <= 1 and 0 <= self.air <= 1 and self.hold >= 1):
            raise ValueError("step is above 0 and at most 1, air from 0 to 1, hold 1 or more.")

    @property
    def stride(self) -> int:
        """Samples from one output frame to the next."""
        return math.prod(self.strides)


class Ink(Recognizer):
    """A reader of ink. See ``Task`` for what every task offers."""

    name = "ink"
    Config = InkConfig
    Vocabulary = InkVocabulary

    # === Preprocessing: TensorFlow operations, run by tf.data in training and by the graph when served ===

    def preprocess(self, points: Any, lengths: Any, round_to: int = 1) -> tuple[Any, Any, Any]:
        """``zoo.families.ink.normalise.sample_path`` as configured.

        Returns:
            float32 ``[batch, samples, 6]``, int32 ``[batch]`` and float32 ``[batch, samples]``, as there.
        """
        from zoo.families.ink.normalise import sample_path

        config = self.config
        multiple = int(np.lcm(round_to, config.stride))
        return sample_path(points, lengths, config.step, config.air, config.hold, multiple)

    # === Network ===

    def build_network(self) -> keras.Model:
        from zoo.families.ink.normalise import FEATURES

        config = self.config
        samples = keras.Input((None, FEATURES), name="samples")
        lengths = keras.Input((), dtype="int32", name="lengths")
        x, left = samples, lengths
        front = zip(config.filters, config.kernels, config.strides, strict=True)
        for i, (filters, kernel, stride) in enumerate(front):
            x = layers.Conv1D(
                filters, kernel, stride, padding="same", activation="relu", kernel_initializer="he_normal",
                name=f"conv_{i}",
            )(x)  # fmt: skip
            left = (left + stride - 1) // stride
            x = MaskByLength(name=f"mask_{i}")(x, left)
        x = layers.Dropout(config.dropout, name="dropout_front")(x)
        for i, units in enumerate(config.units):
            x = Bidirectional(make_recurrent(config.cell, units), name=f"lstm_{i}")(x, left)
            x = layers.Dropout(config.dropout, name=f"dropout_{i}")(x)
        logits = layers.Dense(len(self.vocabulary), dtype="float32", name="logits")(x)
        return keras.Model({"samples": samples, "lengths": lengths}, logits, name=self.name)

    # === Serving ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self.network.get_layer(f"lstm_{len(self.config.units) - 1}"), "call"

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec(
                "points",
                "float32",
                ("batch", "points", 3),
                "x, y (downwards, any unit), and 1 at the last point of a stroke, else 0; padded behind",
            ),
            TensorSpec(
                "point_lengths", "int32", ("batch",), "points of each sample, without padding, 1 or more"
            ),
        )
        outputs = (
            TensorSpec(
                "labels",
                "int32",
                ("batch", "time"),
                "row i is token i - 1 of the vocabulary; 0, the CTC blank, pads",
            ),
            LABEL_LENGTHS,
            SURE,
            TensorSpec("first_frame", "int32", ("batch", "time"), "first frame of each label"),
            TensorSpec("last_frame", "int32", ("batch", "time"), "last frame of each label"),
            *FRAMES,
            TensorSpec(
                "at",
                "float32",
                ("batch", "time"),
                "place of the middle of each frame among the points, from 0",
            ),
        )
        return Serving(inputs, outputs, self._serve, self._example, rounded=self._rounded)

    def _serve(self, inputs):
        samples, lengths, places = self.preprocess(inputs["points"], inputs["point_lengths"])
        logits = self.network({"samples": samples, "lengths": lengths}, training=False)
        return self.answer(logits, lengths, places)

    def answer(self, logits: Any, lengths: Any, places: Any) -> dict[str, Any]:
        """What is served: ``at`` is the place in the middle of each frame, among the points."""
        stride = self.config.stride
        frames = self.frames(lengths)
        log_probs = ops.log_softmax(ops.cast(logits, "float32"))
        read = greedy_decode(log_probs, frames)
        keys = ("labels", "label_lengths", "confidence", "first_frame", "last_frame")
        found = {key: read[key] for key in keys}
        found["confidence"] = self.calibrated(found["confidence"])
        return found | {"log_probs": log_probs, "lengths": frames, "at": places[:, stride // 2 :: stride]}

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 120, batch).astype("int32")
        points = np.zeros((batch, lengths.max() + seed % 2, 3), "float32")
        for i, count in enumerate(lengths):  # loops that move on, as writing does
            angle = np.cumsum(random.normal(0.5, 0.3, count))
            points[i, :count, 0] = np.cumsum(5 + 12 * np.cos(angle)) + random.integers(0, 5)
            points[i, :count, 1] = np.cumsum(12 * np.sin(angle))
            points[i, :count, 2] = random.random(count) < 0.08
        return {"points": points, "point_lengths": lengths}

    def _rounded(self, inputs, seed):
        """What is served where the last bits of points are others: samples lie along a long path.

        It gets a little longer, or shorter, which decides where another sample fits by a hair.
        """
        random = np.random.default_rng(seed)
        points = inputs["points"].copy()
        noise = random.standard_normal(points[:, :, :2].shape).astype("float32")
        points[:, :, :2] *= 1 + 2.0**-22 * noise + (-1) ** seed * 2.0**-19
        found = self._serve({"points": points, "point_lengths": inputs["point_lengths"]})
        return {name: np.asarray(value) for name, value in found.items()}

    @functools.cached_property
    def compiled_serve(self) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        if keras.backend.backend() == "tensorflow":
            return super().compiled_serve

        def prepare(inputs):
            names = "samples", "lengths", "places"
            found = self.preprocess(inputs["points"], inputs["point_lengths"], round_to=256)
            return dict(zip(names, found, strict=True))

        def answer(logits, prepared, inputs):
            return self.answer(logits, prepared["lengths"], prepared["places"])

        return after_preprocessing(self.network, prepare, answer)

    # === Training ===

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``points`` and ``labels``."""
        return {"points": sample["points"], "labels": self.encode_labels(sample["text"])}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """The same ink as another hand might have written it."""
        from zoo.families.ink.augment import vary

        return sample | {"points": vary(sample["points"], self.config, seed)}

    def sample_length(self, sample: dict[str, Any]) -> Any:
        """Samples of the path: what buckets go by."""
        import tensorflow as tf

        return self._counts(sample["points"][None], tf.shape(sample["points"])[:1])[0]

    def corpus_lengths(self, corpus: Inks) -> np.ndarray:
        found = [np.zeros(0, int)]
        for points, lengths in corpus.padded(64):
            found.append(self._counts(points, lengths).numpy().astype(int))
        return np.concatenate(found)

    def _counts(self, points, lengths):
        from zoo.families.ink.normalise import sample_counts

        return sample_counts(points, lengths, self.config.step, self.config.air, self.config.hold)

    def frames(self, length: Any) -> Any:
        """Frames that the network makes of so many samples."""
        return -(-length // self.config.stride)

    def logit_lengths(self, inputs: dict[str, Any]) -> Any:
        return self.frames(ops.cast(inputs["lengths"], "int32"))

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        samples, lengths, _ = self.preprocess(batch["points"], batch["point_lengths"], round_to)
        labels = {"labels": batch["labels"], "label_lengths": batch["label_lengths"]}
        return {"samples": samples, "lengths": lengths}, labels


TASK = Ink
