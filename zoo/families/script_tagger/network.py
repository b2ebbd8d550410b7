"""Script tagging: an image of one line -> the class of every pixel column: background, a script, garbage.

Input and output are aligned one to one, so that nothing but framewise cross-entropy is needed (Graves &
Schmidhuber 2005, "Framewise phoneme classification with bidirectional LSTM"). Convolutions and pools make a
frame of every few columns, a bidirectional LSTM reads the frames, and what it says of each is spread over its
columns again (as by Shi et al. 2016, "Real-time single image and video super-resolution using an efficient
sub-pixel convolutional neural network"), where it meets what the first convolution saw of each: edges fall on
the pixel.

The way of a line: image -> grey -> height-normalised ink, columns first ``[columns, height, 1]``
(``preprocess``) -> scores of the classes of each (``network``) -> probabilities of each pixel column of the
image as it was given (``serving``).
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
from zoo.contract.lines import OfLines
from zoo.contract.serving import TensorSpec
from zoo.contract.task import Task
from zoo.families.script_tagger.vocabulary import Classes
from zoo.images.augment import augment_line
from zoo.images.normalise import normalise_height
from zoo.layers import KINDS, Bidirectional, MaskByLength, make_recurrent
from zoo.layers.training import TrainingModel


@dataclasses.dataclass(frozen=True)
class ScriptTaggerConfig:
    """What a tagger is made of.

    Attributes:
        height: pixels that every line is scaled to; widths follow.
        filters: output channels of each convolution, of which the first keeps every column.
        kernels: side of each convolution's square kernel, pixels.
        pools: (along, across) the line, of the maximum taken after each convolution.
        cell: kind of the recurrent layers.
        units: units of each bidirectional layer, per direction.
        column_units: units that look at each column and its neighbours, after the recurrent layers.
        column_kernel: how many neighbouring columns these see.
        dropout: share of activations dropped before and after each bidirectional layer.
    """

    height: int = 48
    filters: tuple = (8, 16, 32)
    kernels: tuple = (3, 3, 3)
    pools: tuple = ((2, 2), (2, 2), (1, 2))
    cell: str = "lstm"
    units: tuple = (64,)
    column_units: int = 24
    column_kernel: int = 5
    dropout: float = 0.1

    @property
    def columns_per_frame(self) -> int:
        """Columns of the height-normalised image that one step of the recurrent layers stands for."""
        return int(np.prod([along for along, _ in self.pools]))

    def __post_init__(self):
        check_choices(self, cell=KINDS)
        if not len(self.filters) == len(self.kernels) == len(self.pools) >= 1:
            raise ValueError("filters, kernels and pools need the same length, 1 or more")
        if not self.units:
            raise ValueError("units needs the size of a bidirectional layer, or of several")


class ScriptTagger(OfLines, Task):
    """A script tagger. See ``Task`` for what every task offers."""

    name = "script_tagger"
    Config = ScriptTaggerConfig
    Vocabulary = Classes
    lengths_input = "columns"

    # === Preprocessing: TensorFlow operations, run by tf.data in training and by the graph when served ===

    def preprocess(self, image: Any, size: Any, round_to: int = 1) -> tuple[Any, Any]:
        """What ``zoo.images.normalise.normalise_height`` makes of a batch, and the columns of each line.

        Args:
            image, size: as there.
            round_to: the new width is a multiple of this many columns (and always of a frame's).

        Returns:
            float32 ``[batch, columns, config.height, 1]``, and int32 ``[batch]``, the columns of each line.
        """
        import tensorflow as tf

        multiple = int(np.lcm(round_to, self.config.columns_per_frame))
        ink, columns = normalise_height(image, size, self.config.height, multiple)
        return ink[:, :, :, None], tf.cast(columns, tf.int32)

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        image = keras.Input((None, config.height, 1), name="image")
        columns = keras.Input((), dtype="int32", name="columns")
        x, lengths, rows, seen = image, columns, config.height, None
        front = zip(config.filters, config.kernels, config.pools, strict=True)
        for i, (filters, kernel, pool) in enumerate(front):
            # The first takes every second row, which halves its work, and misses nothing: kernels overlap.
            stride = (1, 2) if i == 0 and kernel > 1 else (1, 1)
            x = layers.Conv2D(
                filters, kernel, stride, padding="same", activation="relu",
                kernel_initializer="he_normal", name=f"conv_{i}",
            )(x)  # fmt: skip
            x = MaskByLength(name=f"mask_{i}")(x, lengths)
            if seen is None:
                seen = HighestRow(name="seen")(x)
            x = layers.MaxPooling2D(pool, padding="same", name=f"pool_{i}")(x)
            lengths = (lengths + pool[0] - 1) // pool[0]
            rows = math.ceil(math.ceil(rows / stride[1]) / pool[1])
        x = layers.Reshape((-1, rows * config.filters[-1]), name="features")(x)
        x = layers.Dropout(config.dropout, name="dropout_front")(x)
        for i, units in enumerate(config.units):
            x = Bidirectional(make_recurrent(config.cell, units), name=f"lstm_{i}")(x, lengths)
            x = layers.Dropout(config.dropout, name=f"dropout_{i}")(x)
        x = layers.Dense(config.column_units * config.columns_per_frame, name="spread")(x)
        x = layers.Reshape((-1, config.column_units), name="spread_out")(x)
        x = layers.Concatenate(name="both")([x, seen])
        x = MaskByLength(name="mask_both")(x, columns)
        x = layers.Conv1D(
            config.column_units, config.column_kernel, padding="same", activation="relu", name="neighbours"
        )(x)
        logits = layers.Dense(len(self.vocabulary), dtype="float32", name="logits")(x)
        return keras.Model({"image": image, "columns": columns}, logits, name=self.name)

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self.network.get_layer(f"lstm_{len(self.config.units) - 1}"), "call"

    # === Serving ===

    @property
    def outputs(self) -> tuple[TensorSpec, TensorSpec]:
        return (
            TensorSpec(
                "probabilities",
                "float32",
                ("batch", "time", len(self.vocabulary)),
                "of each class of the vocabulary, for each pixel column of the image as given",
            ),
            TensorSpec("lengths", "int32", ("batch",), "how many columns count: the width of each image"),
        )

    def answer(self, logits: Any, columns: Any, inputs: Any) -> dict[str, Any]:
        """The probabilities of each pixel column, and the width of each image.

        Each has the scores of the nearest height-normalised column. What is beyond the width has no meaning.
        """
        probabilities = ops.softmax(ops.cast(logits, "float32"))
        size = ops.cast(inputs["size"], "float32")
        width = ops.shape(inputs["image"])[2]
        given = ops.arange(width, dtype="float32")[None, :]
        nearest = ops.cast(ops.floor((given + 0.5) * (self.config.height / size[:, :1])), "int32")
        nearest = ops.minimum(nearest, columns[:, None] - 1)
        found = ops.take_along_axis(probabilities, nearest[:, :, None], 1)
        return {"probabilities": found, "lengths": ops.cast(size[:, 1], "int32")}

    # === Training ===

    def training_model(self) -> keras.Model:
        """The network with its cross-entropy, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return _Framewise(self.network)

    def with_classes(self, names: Sequence[str]) -> ScriptTagger:
        """A tagger that sees as this one and has yet to learn these classes."""
        return self.with_outputs(Classes(names))

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``image``, and ``columns`` as rows of the output."""
        import tensorflow as tf

        def rows(columns, text):
            names, numbers = text.decode().split("\n"), np.zeros(256, np.int32)
            for number in np.unique(columns):
                numbers[number] = self.vocabulary.row(names[number])
            return numbers[columns]

        columns = tf.numpy_function(rows, [sample["columns"], sample["text"]], tf.int32, stateful=False)
        return {"image": sample["image"], "columns": tf.ensure_shape(columns, (None,))}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """A sample as another scan might show it."""
        image, columns = augment_line(sample["image"], seed, sample["columns"])
        return sample | {"image": image, "columns": columns}

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        image, columns = self.preprocess(batch["image"], batch["size"], round_to)
        # The class of a height-normalised column is that of the pixel column in its middle.
        size = tf.cast(batch["size"], tf.float32)
        new = tf.range(tf.shape(image)[1], dtype=tf.float32)[None, :]
        middle = tf.cast((new + 0.5) * (size[:, :1] / self.config.height), tf.int32)
        middle = tf.minimum(middle, batch["size"][:, 1:] - 1)
        classes = tf.gather(batch["columns"], middle, batch_dims=1)
        return {"image": image, "columns": columns}, {"classes": classes, "lengths": columns}


# === Layers ===


@keras.saving.register_keras_serializable("seqzoo")
class HighestRow(layers.Layer):
    """The maximum over the rows of each column: ``[batch, columns, rows, channels]`` without the rows."""

    def call(self, x: Any) -> Any:
        return ops.max(x, 2)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((*x.shape[:2], x.shape[3]), x.dtype)


@keras.saving.register_keras_serializable("seqzoo")
class _Framewise(TrainingModel):
    """``network`` with the cross-entropy of its columns, in nats, a mean over those of each line."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, usable = self.usable(y_pred)
        classes, lengths = y["classes"], y["lengths"]
        losses = -ops.take_along_axis(ops.log_softmax(logits), classes[:, :, None], 2)[:, :, 0]
        within = ops.arange(ops.shape(losses)[1], dtype="int32")[None, :] < lengths[:, None]
        losses = ops.sum(losses * ops.cast(within, losses.dtype), 1) / ops.cast(lengths, losses.dtype)
        return ops.mean(self.counted(losses, usable))


TASK = ScriptTagger
