"""Sequence classification: vectors over time, such as a skeleton's joints or a sensor's readings -> a label.

Many to one: features of the channels are brought to one scale, convolutions over time look at some steps each
(Ordóñez & Roggen 2016, "Deep Convolutional and LSTM Recurrent Neural Networks for Multimodal Wearable
Activity Recognition"), recurrent layers in one direction or both read what they see (Graves & Schmidhuber
2005), and what the steps say is pooled into one vector, of which the labels' scores are made.

The way of a sequence: values ``[steps, channels]`` with NaN for what is missing -> features ``[steps,
features]`` -> frames ``[steps / stride, filters]`` -> ``[frames, units]`` -> one vector -> scores of the
labels (``network``), or their probabilities (``serving``).

In one direction (``directions="forward"``) nothing looks ahead: what has been read is a state that goes into
the graph and comes out of it, so that a sequence may be read in pieces of any size as it comes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.errors import UserError
from zoo.families.sequence_classifier.features import Features, Standardise, steps_between
from zoo.families.sequence_classifier.reader import context, state_size
from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary, statistics
from zoo.layers import KINDS, Bidirectional, MaskByLength, Recurrent, make_recurrent
from zoo.layers.pooling import POOLING, Pooling
from zoo.layers.training import Labelling

CARRIED = ("lstm", "gru", "simple")  # kinds of layers whose state can be carried on for ever
AXES = ("any", "x", "y", "z")


@dataclasses.dataclass(frozen=True)
class SequenceClassifierConfig:
    """What a classifier is made of.

    Attributes:
        axes: channels of one point, side by side: 3 for joints or sensors with x, y and z; 1: each channel is
            by itself.
        zero: reading of a sensor where there is nothing to measure, which is taken off first.
        zeros_missing: a point all of whose channels are exactly 0 was not seen.
        origin: point, counted from 0, from which all are seen, such as the hip of a skeleton; -1: none.
        gravity: steps whose mean is the slow part of each channel, told from the fast one; 0: they are not.
        velocity: each channel's difference to so many steps before is a feature, too; 0: it is not.
        acceleration: the velocity's difference to the step before is a feature, too.
        magnitude: the length of each point's vector is a feature, too.
        filters: filters of each convolution over time; none where there are none.
        kernel: steps that a convolution sees.
        strides: steps of which each convolution's greatest output is kept.
        cell: kind of the recurrent layers.
        directions: ``both``, or ``forward``: nothing looks ahead, and streams can be read step by step.
        layers: recurrent layers.
        units: units of each direction.
        pooling: how a sequence becomes one vector: ``last_state``, what each direction says at its end;
            ``mean`` or ``max`` over all steps, or ``mean_max``, both.
        dropout: share of values dropped between layers and before the output; after convolutions half as
            many.
        window: steps that are seen at once; training takes as many of a longer sequence, anywhere in it, and
            where there are both directions, reading takes windows that overlap by half.
        crop: greatest share of a sequence that training cuts off at each end.
        warp: how much training varies the speed: the deviation of its logarithm.
        rotate: greatest angle, in radians, by which training turns points.
        rotate_axis: axis about which it turns them.
        scale: how much training varies the size of each axis: the deviation of its logarithm.
        noise: deviation of the noise that training adds, as a share of that of each channel.
        drop_points: share of points that training takes for missing.
        mirror: pairs of points that change places in half of the training's sequences, with the first axis
            reversed; none: there is no mirror.
        label_smoothing: share of a sequence that counts for all labels alike in training.
    """

    axes: int = 1
    zero: float = 0.0
    zeros_missing: bool = False
    origin: int = -1
    gravity: int = 0
    velocity: int = 0
    acceleration: bool = False
    magnitude: bool = False
    filters: tuple = (64,)
    kernel: int = 5
    strides: tuple = (1,)
    cell: str = "lstm"
    directions: str = "both"
    layers: int = 1
    units: int = 96
    pooling: str = "mean_max"
    dropout: float = 0.5
    window: int = 1024
    crop: float = 0.05
    warp: float = 0.1
    rotate: float = 0.0
    rotate_axis: str = "any"
    scale: float = 0.1
    noise: float = 0.05
    drop_points: float = 0.0
    mirror: tuple = ()
    label_smoothing: float = 0.1

    def __post_init__(self):
        check_choices(self, cell=KINDS, pooling=POOLING, directions=("both", "forward"), rotate_axis=AXES)
        least = {"axes": 1, "origin": -1, "gravity": 0, "velocity": 0, "kernel": 1, "layers": 1, "units": 1}
        for name, value in (least | {"window": 8}).items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} is {value} or more, not {getattr(self, name)}")
        if len(self.filters) != len(self.strides) or min((*self.filters, *self.strides), default=1) < 1:
            raise ValueError(f"each of the filters {self.filters} has a stride, not {self.strides}")
        if self.directions == "forward" and self.cell not in CARRIED:
            raise ValueError(
                f"the state of {self.cell} cannot be carried on; take one of {', '.join(CARRIED)}"
            )
        if self.rotate and self.axes != 3:
            raise ValueError("rotate turns points with 3 axes; set axes to 3")
        if self.mirror and self.axes < 2:
            raise ValueError("mirror is for points; set axes to 2 or 3")
        if self.acceleration and not self.velocity:
            raise ValueError("acceleration is that of a velocity; set velocity, too")

    @property
    def stride(self) -> int:
        """Steps from one frame to the next."""
        return math.prod(self.strides)


class SequenceClassifier(Task):
    """A sequence classifier. See ``Task`` for what every task offers.

    Attributes:
        label_weights: float ``[labels]``, what the loss of each label's sequences is multiplied by.
        context: steps before a piece that its frames look at, where nothing looks ahead.
    """

    name = "sequence_classifier"
    Config = SequenceClassifierConfig
    Vocabulary = SequenceVocabulary
    rounded = {"batch": 32, "steps": 64}

    # === Network ===

    def build_network(self) -> keras.Model:
        config, vocabulary = self.config, self.vocabulary
        channels, labels = len(vocabulary), len(vocabulary.labels)
        _check_points(config, vocabulary)
        self.label_weights = np.ones(labels, "float32")
        self.derived = Features(config, channels, name="features")
        count = self.derived.count
        if len(vocabulary.mean or [0] * count) != count:
            raise UserError(
                f"The configuration makes {count} features, the vocabulary knows {len(vocabulary.mean)}."
            )
        self._standardise = Standardise(
            vocabulary.mean or [0.0] * count, vocabulary.scale or [1.0] * count, name="standardise"
        )
        self._mask = MaskByLength(name="mask")
        padding = "causal" if config.directions == "forward" else "same"
        self._convolutions = [
            (
                layers.Conv1D(filters, config.kernel, padding=padding, name=f"convolution_{i}"),
                layers.LayerNormalization(name=f"norm_{i}"),
                layers.ZeroPadding1D((0, stride - 1), name=f"rest_{i}"),
                layers.MaxPooling1D(stride, name=f"pool_{i}"),
                stride,
            )
            for i, (filters, stride) in enumerate(zip(config.filters, config.strides, strict=True), 1)
        ]
        self._drop_little = layers.Dropout(config.dropout / 2, name="dropout_of_convolutions")
        self._drop = layers.Dropout(config.dropout, name="dropout")
        kind = Bidirectional if config.directions == "both" else Recurrent
        self._recurrent = [
            kind(make_recurrent(config.cell, config.units), name=f"recurrent_{i + 1}")
            for i in range(config.layers)
        ]
        self._pool = Pooling(config.pooling, 2 if config.directions == "both" else 1, name="pooling")
        self._scores = layers.Dense(labels, dtype="float32", name="logits")
        self.context = context(dataclasses.asdict(config)) if config.directions == "forward" else 0
        values = keras.Input((None, channels), name="values")
        lengths = keras.Input((), dtype="int32", name="lengths")
        x, frames = self._frames(values, lengths)
        for i, recurrent in enumerate(self._recurrent):
            x = recurrent(self._drop(x) if i else x, frames)
            x = x if config.directions == "both" else x[0]
        logits = self._scores(self._drop(self._pool(x, frames)))
        return keras.Model({"values": values, "lengths": lengths}, logits, name=self.name)

    def _frames(self, values, lengths, begin=None):
        """What the recurrent layers read: ``[batch, frames, filters]``, and how many frames count.

        The steps before ``begin``, a multiple of the stride, do not count: int32 ``[batch]``, or None.
        """
        x = self._masked(self._standardise(self.derived(values, lengths, begin)), lengths, begin)
        for convolution, norm, rest, pool, stride in self._convolutions:
            x = self._drop_little(ops.relu(norm(convolution(x))))
            x = self._masked(x, lengths, begin)
            if stride > 1:  # what is beyond the end is 0, which is no more than any other
                x, lengths = pool(rest(x)), (lengths + stride - 1) // stride
                begin = None if begin is None else begin // stride
        return x, lengths

    def _masked(self, x, lengths, begin):
        x = self._mask(x, lengths)
        if begin is None:
            return x
        return x * ops.cast(steps_between(ops.shape(x)[1], lengths, begin)[:, :, None], x.dtype)

    def with_statistics(self, corpus: Any) -> SequenceClassifier:
        """The same classifier with the means and scales of its features in a corpus; weights are as new."""
        parts = []
        for inputs, _ in corpus.chunks(64):
            for columns, values in inputs:
                values = self.vocabulary.pick(columns, values, "the corpus")
                parts.append(self.features_of(values))
        mean, scale = statistics(parts)
        if self.config.axes > 1:
            # Points have one unit. A joint that hardly moves would else be as loud as a hand, and tell of the
            # body, not of what it does.
            shared = np.split(np.square(scale), np.cumsum(self.derived.blocks)[:-1])
            scale = np.concatenate([np.full(len(one), np.sqrt(one.mean())) for one in shared])
        return type(self)(self.config, self.vocabulary.scaled(mean, scale), self.card, self.assets)

    def features_of(self, values: np.ndarray) -> np.ndarray:
        """float32 ``[steps, channels]`` -> its features as NumPy, ``[steps, features]``, NaN if unknown."""
        lengths = np.array([len(values)], "int32")
        return ops.convert_to_numpy(self.derived(values[None], lengths))[0]

    # === Serving ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self._recurrent[-1], "call"

    @property
    def serving(self) -> Serving:
        labels, state = len(self.vocabulary.labels), self.state_size
        inputs = [
            TensorSpec(
                "values",
                "float32",
                ("batch", "steps", len(self.vocabulary)),
                "by channel of the vocabulary, in the corpus's units; NaN where missing; padded behind",
            ),
            TensorSpec("lengths", "int32", ("batch",), "steps of each sequence, without padding, 1 or more"),
        ]
        outputs = [
            TensorSpec("probabilities", "float32", ("batch", labels), "of each label of the vocabulary"),
            TensorSpec("logits", "float32", ("batch", labels), "their logarithms, but for a constant"),
        ]
        if state:
            inputs.append(
                TensorSpec(
                    "state",
                    "float32",
                    ("batch", state),
                    "what was read before: zeros at the beginning, then new_state of the piece before",
                )
            )
            outputs.append(
                TensorSpec(
                    "new_state", "float32", ("batch", state), "what goes in as state with the next piece"
                )
            )
        function = self._serve_piece if state else self._serve
        return Serving(tuple(inputs), tuple(outputs), function, self._example)

    def _serve(self, inputs):
        """Probabilities of the labels; ``values`` are NaN where nothing is known."""
        logits = self.network(inputs, training=False)
        return {"probabilities": ops.softmax(logits), "logits": logits}

    def _serve_piece(self, inputs):
        """Probabilities of the labels after a piece of each sequence.

        ``state`` is what was read before: zeros at the beginning, then the ``new_state`` of the piece before,
        whose steps have to be a multiple of the configuration's stride; ``lengths`` are 1 or more.
        """
        values, lengths, state = inputs["values"], inputs["lengths"], inputs["state"]
        config, size = self.config, self.context
        seen, context, states, sums, greatest = self._split(state)
        read = ops.cast(seen[:, 0], "int32")
        if size:
            values = ops.concatenate([ops.reshape(context, (-1, size, len(self.vocabulary))), values], 1)
        x, _ = self._frames(values, lengths + size, size - ops.minimum(read, size))
        x, frames = x[:, size // config.stride :], (lengths + config.stride - 1) // config.stride
        new, each = [], len(states) // config.layers
        for i, recurrent in enumerate(self._recurrent):
            x, own = recurrent(x, frames, states[i * each : (i + 1) * each])
            new += [ops.cast(one, "float32") for one in own]
        pooled = [new[-each]]  # what the last layer gave last
        if sums or greatest:
            before = ops.cast((read + config.stride - 1) // config.stride, "float32")[:, None]
            x = ops.cast(x, "float32")
            within = ops.cast(steps_between(ops.shape(x)[1], frames), "float32")[:, :, None]
            sums = [one + ops.sum(x * within, 1) for one in sums]
            now = ops.max(x - 1e9 * (1 - within), 1)
            greatest = [ops.where(before > 0, ops.maximum(one, now), now) for one in greatest]
            pooled = [one / (before + ops.cast(frames, "float32")[:, None]) for one in sums] + greatest
        logits = self._scores(ops.concatenate(pooled, -1))
        last = [self._last(values, lengths)] if size else []
        after = [seen + ops.cast(lengths, "float32")[:, None], *last, *new, *sums, *greatest]
        return {
            "probabilities": ops.softmax(logits),
            "logits": logits,
            "new_state": ops.concatenate(after, -1),
        }

    def _last(self, values, lengths):
        """The last ``context`` steps of a piece with as many before it: ``[batch, context * channels]``."""
        size, shape = self.context, ops.shape(values)
        place = lengths[:, None] + ops.arange(size, dtype="int32")[None]
        place = place + ops.arange(shape[0], dtype="int32")[:, None] * shape[1]
        rows = ops.take(ops.reshape(values, (-1, values.shape[2])), ops.reshape(place, (-1,)), 0)
        return ops.reshape(rows, (-1, size * values.shape[2]))

    def _split(self, state):
        """A state as the number of steps read, the last of them, recurrent states, sums and maxima."""
        config, at, parts = self.config, 0, []
        states = config.layers * (2 if config.cell == "lstm" else 1)
        mean, greatest = config.pooling.startswith("mean"), config.pooling.endswith("max")
        widths = [1, self.context * len(self.vocabulary), *[config.units] * (states + mean + greatest)]
        for width in widths:
            parts.append(state[:, at : at + width])
            at += width
        rest = parts[2 + states :]
        return parts[0], parts[1], parts[2 : 2 + states], rest[:mean], rest[mean:]

    @property
    def state_size(self) -> int:
        """Numbers of a state; 0 where there are both directions, and no state."""
        if self.config.directions == "both":
            return 0
        return state_size(dataclasses.asdict(self.config), len(self.vocabulary))

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 40, batch).astype("int32")
        shape = batch, lengths.max() + seed % 2, len(self.vocabulary)
        values = random.standard_normal(shape).astype("float32")
        if self.vocabulary.mean:
            mean, scale = (
                np.array(x[: shape[2]], "float32") for x in (self.vocabulary.mean, self.vocabulary.scale)
            )
            values = values * scale + mean + self.config.zero
        values[random.random(shape) < 0.05] = np.nan
        example = {"values": values.astype("float32"), "lengths": lengths}
        if self.state_size:
            state = random.uniform(0, 1, (batch, self.state_size)).astype("float32")
            state[:, 0] = self.config.stride * random.integers(0, 9, batch)
            state[state[:, 0] == 0] = 0
            example["state"] = state
        return example

    # === Training ===

    def with_labels(self, labels: Sequence[str]) -> SequenceClassifier:
        """A classifier that reads as this one and has yet to learn these labels."""
        known = self.vocabulary
        return self.with_outputs(SequenceVocabulary(known.channels, labels, known.mean, known.scale))

    def training_model(self) -> keras.Model:
        """The network with its cross-entropy, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return Labelling(self.network, self.label_weights, self.config.label_smoothing)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``values``, the model's channels, and ``label``."""
        import json

        import tensorflow as tf

        def encode(values, channels, label):
            values = self.vocabulary.pick(json.loads(channels), values, "the corpus")
            return np.ascontiguousarray(values), np.int32(self.vocabulary.row(label.decode()))

        found = tf.numpy_function(
            encode,
            [sample["values"], sample["channels"], sample["label"]],
            [tf.float32, tf.int32],
            stateful=False,
        )
        values = tf.ensure_shape(found[0], (None, len(self.vocabulary)))
        return {"values": values, "label": tf.ensure_shape(found[1], ())}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """The same movement as another might have made it: see ``vary``."""
        from zoo.families.sequence_classifier.augment import vary

        return sample | {"values": vary(sample["values"], self.config, seed)}

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.shape(sample["values"])[0]

    def corpus_lengths(self, corpus: Any) -> np.ndarray:
        return np.minimum(corpus.lengths, self.config.window)

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        values = batch["values"]
        values = tf.pad(values, ((0, 0), (0, -tf.shape(values)[1] % round_to), (0, 0)))
        return {"values": values, "lengths": batch["value_lengths"]}, {"label": batch["label"]}


def _check_points(config, vocabulary):
    """UserError where the configuration's points are not those of the channels."""
    points, rest = divmod(len(vocabulary), config.axes)
    if rest:
        raise UserError(
            f"There are {len(vocabulary)} channels, which are no points of {config.axes} axes; set axes to "
            "1, or to their number."
        )
    beyond = [at for at in (config.origin, *(at for pair in config.mirror for at in pair)) if at >= points]
    if beyond:
        raise UserError(
            f"There are {points} points, counted from 0, so none is {beyond[0]}; correct the number."
        )


TASK = SequenceClassifier
