"""Video captioning: a video -> what happens in it, in words.

Venugopalan et al. 2015, "Sequence to Sequence – Video to Text" (S2VT): a convolutional network turns each
frame into features, a recurrent layer reads them in the order of time, another writes the sentence word by
word. Before each word it looks at all frames (Yao et al. 2015, "Describing Videos by Exploiting Temporal
Structure").

The way of a video: uint8 RGB frames -> the encoder's features of each -> the states of the frames, in both
directions of time -> scores of the next word, with the words before as given (``network``), or as found or
drawn (``serving``). Or features of frames that another program made come in.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.compiled import compiled
from zoo.contract.config import check_choices
from zoo.contract.describer import Describer
from zoo.contract.serving import TensorSpec
from zoo.layers import KINDS, Bidirectional, make_recurrent
from zoo.layers.describing import SEEN_AT, DescribingDecoder
from zoo.layers.encoders import PIXELS, Preprocess, make_encoder
from zoo.layers.pooling import FeaturePoints

FRAME_AS = ("mean", "grid", "points")
FEATURES = "features"  # in place of an encoder's name


@dataclasses.dataclass(frozen=True)
class VideoCaptionerConfig:
    """What a video captioner is made of.

    Attributes:
        encoder: what sees each frame: a network of ``keras.applications``, such as ``MobileNet(alpha=0.75)``;
            ``ConvNet(filters=(24, 48), strides=(2, 2))``, plain convolutions; any Keras model as its
            ``to_json()``; or ``features``, where features of the frames come in as ``.npy``.
        pixels: the range in which the encoder takes them: ``0..255``, ``0..1``, ``-1..1``, or ``own``, as its
            ``preprocess_input`` makes them.
        encoder_learns: whether training reaches the encoder. If not, its features are computed once for each
            video and kept.
        frame_size: side of the square that frames are stretched to.
        frames: how many frames of a video are looked at, at most, evenly spread over time.
        features: how many features a frame has, where they come in.
        frame_as: what of the encoder's grid a frame's features are: its ``mean``; all of the ``grid``, which
            tells where things are; or ``points``, of each of its features how strong it is, where, and how
            far it is spread.
        frame_units: features of a frame after a dense layer, which recurrent layers read.
        differences: recurrent layers read how these differ from those of the frame before, too, as motion
            is an input of its own in two-stream networks (Simonyan & Zisserman 2014).
        tracks: where there are ``points``, the recurrent layer reads each by itself, with the same weights,
            and the one that writes looks at all of them in all frames: what is learned of one thing that
            moves is known of all, and what moves stays bound to how.
        read_units: units of the recurrent layer that reads frames, in each direction of time.
        seen_at: where the recurrent layer that writes gets to know the frames: ``first_step``, as if they
            were the word before the first; ``every_step``, beside each word; ``attention``, where it begins,
            and in each step by a look at all frames (Yao et al. 2015).
        cell: kind of the recurrent layers.
        units: units of the recurrent layer that writes.
        embedding: size of the vectors that stand for words.
        tied_embeddings: the output layer's rows are the embeddings.
        dropout: share of values dropped from embeddings and before the output.
        label_smoothing: share of the target's probability that is spread over all words (Szegedy et al. 2016,
            section 7).
        beam_width: width of the beam search: how many hypotheses it keeps. See ``zoo.decoding.search``.
        length_penalty: of the beam search; more favours long sentences, 0 is none.
    """

    encoder: str = "ConvNet(filters=(16, 32, 64, 64, 16), strides=(2, 2, 2, 1, 1), kernels=(5, 3, 3, 3, 1))"
    pixels: str = "own"
    encoder_learns: bool = True
    frame_size: int = 56
    frames: int = 10
    features: int = 0
    frame_as: str = "points"
    frame_units: int = 128
    differences: bool = True
    tracks: bool = True
    read_units: int = 48
    seen_at: str = "attention"
    cell: str = "lstm"
    units: int = 192
    embedding: int = 64
    tied_embeddings: bool = False
    dropout: float = 0.2
    label_smoothing: float = 0.05
    beam_width: int = 3
    length_penalty: float = 1.0

    def __post_init__(self):
        check_choices(self, seen_at=SEEN_AT, cell=KINDS, pixels=PIXELS, frame_as=FRAME_AS)
        if self.frames < 2:
            raise ValueError(f"frames is 2 or more, not {self.frames}")
        if (self.encoder == FEATURES) != (self.features > 0):
            raise ValueError("features is more than 0 where the encoder is features, and only there")


class VideoCaptioner(Describer):
    """A video captioner. See ``Task`` and ``Describer`` for what it offers."""

    name = "video_captioner"
    Config = VideoCaptionerConfig
    rounded = Describer.rounded | {"frames": 16}
    places = ("frames",)

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        before = keras.Input((None, None), dtype="int32", name="before")
        lengths = keras.Input((), dtype="int32", name="lengths")
        self._dense = layers.Dense(config.frame_units, activation="relu", name="frame")
        self._tracks = config.tracks and config.frame_as == "points" and config.encoder != FEATURES
        recurrent = make_recurrent(config.cell, config.read_units)
        self._read = (ReadTracks if self._tracks else Bidirectional)(recurrent, name="read")
        self.decoder = DescribingDecoder(
            len(self.vocabulary), config.seen_at, config.cell, config.units, config.embedding,
            config.tied_embeddings, config.dropout, name="decoder",
        )  # fmt: skip
        if config.encoder == FEATURES:
            self.encoder, width = None, config.features
        else:
            self.encoder = make_encoder(config.encoder, config.frame_size)
            self._preprocess = Preprocess(config.encoder, config.pixels, name="preprocess")
            self._unfold = UnfoldFrames(name="unfold")
            grid = self.encoder.output.shape[1:]
            self._points = FeaturePoints(name="points")
            width = {"mean": grid[-1], "grid": int(np.prod(grid)), "points": 4 * grid[-1]}[config.frame_as]
        features = keras.Input((None, width), name="features")
        given = {"features": features, "lengths": lengths, "before": before}
        self._telling = keras.Model(given, self._tell(features, lengths, before), name="telling")
        if self.encoder is None:
            return keras.Model(given, self._tell(features, lengths, before), name=self.name)
        side = config.frame_size
        video = keras.Input((None, side, side, 3), dtype="uint8", name="video")
        given = {"video": video, "lengths": lengths, "before": before}
        return keras.Model(given, self._tell(self._see(video), lengths, before), name=self.name)

    def _see(self, video):
        """``[batch, frames, frame_size, frame_size, 3]``, 0 to 255 -> ``[batch, frames, features]``."""
        side = self.config.frame_size
        # Keras's TimeDistributed loops over the batch where the number of frames is not known.
        frames = ops.reshape(video, (-1, side, side, 3))
        # Batch normalisation keeps the statistics of the images that the encoder has learned from.
        seen = self.encoder(self._preprocess(frames), training=False)
        if self.config.frame_as == "mean":
            seen = ops.mean(seen, (1, 2))
        elif self.config.frame_as == "points":
            seen = self._points(seen)
        return self._unfold(seen, video)

    def _states(self, features, lengths):
        """Features of frames -> what the decoder looks at, ``[batch, places, depth]``, and how many count."""
        if self._tracks:
            return self._read(features, lengths), lengths * (features.shape[2] // 4)
        x = self._dense(features)
        return self._read(with_differences(x) if self.config.differences else x, lengths), lengths

    def _tell(self, features, lengths, before):
        states, lengths = self._states(features, lengths)
        return self.decoder(states, before, lengths)

    # === Decoding ===

    @property
    def sees(self) -> tuple[TensorSpec, TensorSpec]:
        lengths = TensorSpec(
            "lengths", "int32", ("batch",), "frames of each video, without padding, 1 or more"
        )
        most, spread = self.config.frames, "evenly spread over a video's time"
        if self.encoder is None:
            return TensorSpec(
                "features",
                "float32",
                ("batch", "frames", self.config.features),
                f"features of up to {most} frames, {spread}; padded with rows behind",
            ), lengths
        side = self.config.frame_size
        return TensorSpec(
            "video",
            "uint8",
            ("batch", "frames", "height", "width", 3),
            f"RGB, 0 to 255: up to {most} frames, {spread}, stretched to {side} x {side} pixels by bilinear "
            "interpolation with antialiasing (the graph itself stretches other sizes without); padded with "
            "frames behind",
        ), lengths

    def seen(self, inputs: Any) -> tuple:
        """The states of frames of any size; of each video as many as ``lengths`` says."""
        lengths = inputs["lengths"]
        if self.encoder is None:
            return self._states(inputs["features"], lengths)
        video, side = inputs["video"], self.config.frame_size
        frames, shape = ops.shape(video)[1], ops.shape(video)[2:]
        video = ops.reshape(ops.cast(video, "float32"), (-1, *shape))
        video = ops.image.resize(video, (side, side), interpolation="bilinear")
        return self._states(self._see(ops.reshape(video, (-1, frames, side, side, 3))), lengths)

    def looks(self, weights: Any) -> Any:
        if not self._tracks:
            return weights
        tracks = self.encoder.output.shape[-1]
        shape = ops.shape(weights)
        return ops.sum(ops.reshape(weights, (shape[0], shape[1], shape[2] // tracks, tracks)), -1)

    def sees_example(self, batch: int, seed: int) -> dict[str, np.ndarray]:
        random, side = np.random.default_rng(seed), self.config.frame_size
        lengths = random.integers(2, 7, batch).astype("int32")
        time = lengths.max()
        if self.encoder is None:
            features = random.standard_normal((batch, time, self.config.features))
            return {"features": features.astype("float32"), "lengths": lengths}
        height, width = (side, side) if seed % 2 else random.integers(side // 2, 2 * side, 2)
        # Waves that move, as what is filmed is smooth, too.
        frame, row, column = np.indices((time, height, width))[..., None] / side
        across, down, on, phase = random.uniform(-9, 9, (4, batch, 1, 1, 1, 3))
        video = 127.5 + 127.5 * np.sin(across * column + down * row + on * frame * 3 + phase)
        return {"video": video.astype("uint8"), "lengths": lengths}

    # === Training ===

    def training_model(self) -> keras.Model:
        """What is to be trained with its cross-entropy, for ``fit`` on the pipeline's batches."""
        if self.encoder is not None:
            for layer in self.encoder.layers:
                normalises = isinstance(layer, layers.BatchNormalization)
                layer.trainable = self.config.encoder_learns and not normalises
        return super().training_model()

    @property
    def learns(self) -> keras.Model:
        return self.network if self._sees_frames else self._telling

    @property
    def _sees_frames(self):
        """Whether training sees frames, not features."""
        return self.encoder is not None and self.config.encoder_learns

    @functools.cached_property
    def _features(self):
        """The compiled encoder, on one video as NumPy."""
        side = self.config.frame_size
        see = compiled(
            self.network,
            lambda inputs: {"features": self._see(inputs["video"])},
            [TensorSpec("video", "uint8", (1, "frames", side, side, 3))],
            rounded={"frames": self.config.frames},
        )
        return lambda video: np.asarray(see({"video": video[None]})["features"])[0, : len(video)].astype(
            "float16"
        )

    def encode_seen(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The ``video``, or the ``features`` of its frames, where those are what is learned from."""
        import tensorflow as tf

        if self.encoder is None or self._sees_frames:
            return {name: sample[name] for name in ("video", "features") if name in sample}
        features = tf.numpy_function(self._features, [sample["video"]], tf.float16, stateful=False)
        return {"features": tf.ensure_shape(features, self._telling.input["features"].shape[1:])}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """Lights videos anew, all frames alike; features are as they are."""
        return sample | {"video": vary_video(sample["video"], seed)} if "video" in sample else sample

    def collate_seen(self, batch: dict[str, Any], round_to: int) -> dict[str, Any]:
        import tensorflow as tf

        name = "video" if "video" in batch else "features"
        seen, lengths = batch[name], batch["video_lengths" if name == "video" else "feature_lengths"]
        if round_to > 8:  # few shapes: see the pipeline
            more = self.config.frames - tf.shape(seen)[1]
            seen = tf.pad(seen, [(0, 0), (0, more), *[(0, 0)] * (len(seen.shape) - 2)])
        return {name: seen, "lengths": lengths}


@keras.saving.register_keras_serializable("seqzoo")
class UnfoldFrames(layers.Layer):
    """What was computed of each frame, ``[batch * frames, ...]``, by videos: ``[batch, frames, features]``.

    The second input is ``[batch, frames, ...]``, the videos.
    """

    def call(self, x: Any, video: Any) -> Any:
        return ops.reshape(x, (ops.shape(video)[0], ops.shape(video)[1], int(np.prod(x.shape[1:]))))

    def compute_output_spec(self, x: Any, video: Any) -> Any:
        return keras.KerasTensor((*video.shape[:2], int(np.prod(x.shape[1:]))), x.dtype)


def with_differences(x: Any) -> Any:
    """``[batch, time, features]`` with, behind them, how they differ from those of the step before."""
    return ops.concatenate([x, x - ops.concatenate([x[:, :1], x[:, :-1]], 1)], -1)


@keras.saving.register_keras_serializable("seqzoo")
class ReadTracks(layers.Layer):
    """A recurrent layer, in both directions, that reads what became of each point over time, each by itself.

    Inputs: ``[batch, frames, 4 * points]``, as ``zoo.layers.pooling.FeaturePoints`` gives them, and int32
    ``lengths`` ``[batch]``. Output: ``[batch, frames * points, 2 * units + points]``, frame by frame the
    states of all points, and behind each which it is.

    Args:
        layer: as of ``zoo.layers.Bidirectional``.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._read = Bidirectional(layer, name="each")

    def build(self, x_shape: tuple, lengths_shape: tuple | None = None) -> None:
        self._read.build((None, None, 8))

    def call(self, x: Any, lengths: Any, training: bool | None = False) -> Any:
        batch, time, points = ops.shape(x)[0], ops.shape(x)[1], x.shape[2] // 4
        x = ops.transpose(ops.reshape(x, (batch, time, 4, points)), (0, 3, 1, 2))
        x = with_differences(ops.reshape(x, (-1, time, 4)))
        states = self._read(x, ops.repeat(lengths, points, axis=0), training=training)
        depth = states.shape[-1]
        states = ops.transpose(ops.reshape(states, (batch, points, time, depth)), (0, 2, 1, 3))
        which = ops.eye(points, dtype=states.dtype) * ops.ones_like(states[..., :1])
        states = ops.concatenate([states, which], -1)
        return ops.reshape(states, (batch, time * points, depth + points))

    def compute_output_spec(self, x: Any, lengths: Any, training: bool | None = False) -> Any:
        points = x.shape[2] // 4
        depth = 2 * self._read.forward_layer.units + points
        return keras.KerasTensor((x.shape[0], None, depth), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        layer = keras.saving.serialize_keras_object(self._read.forward_layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ReadTracks:
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})


def vary_video(video: Any, seed: Any) -> Any:
    """A video with other colours and contrast, the same in all frames; where things are stays.

    Args:
        video: uint8 ``[frames, height, width, 3]``.
        seed: int ``[2]``; the same gives the same.

    Returns:
        uint8, of the same shape.
    """
    import tensorflow as tf

    draw = tf.random.stateless_uniform((8,), seed)
    varied = tf.cast(video, tf.float32)
    varied = (varied - 128) * (0.7 + 0.5 * draw[0]) * (0.85 + 0.3 * draw[1:4]) + 128 + 60 * (draw[4] - 0.5)
    negative = draw[5] < 0.25  # dark things on light grounds for light ones on dark grounds
    varied = tf.where(negative, 255 - varied, varied)
    return tf.cast(tf.clip_by_value(tf.round(varied), 0, 255), tf.uint8)


TASK = VideoCaptioner
