"""What every recogniser shares: a task that spells what it sees or hears, trained with CTC.

The way of a sample is input -> frames of class scores (the network, whose last layer is named ``logits``)
-> characters. A subclass of ``Recognizer`` says how long a sample is and how many frames the network makes
of it; labels, loss and the move to another alphabet are here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from export.runtime import CONFIDENCE, SUREST
from zoo.contract.serving import TensorSpec
from zoo.contract.task import Task
from zoo.decoding.ctc import ctc_loss, frames_needed
from zoo.layers.training import TrainingModel
from zoo.text.characters import BLANK

if TYPE_CHECKING:
    from zoo.data.samples import Samples
    from zoo.text.characters import Vocabulary

# What every recogniser serves of what it spelled, and of its frames.
LABEL_LENGTHS = TensorSpec("label_lengths", "int32", ("batch",), "how many labels count")
SURE = TensorSpec(
    "confidence",
    "float32",
    ("batch",),
    "probability that all labels are right, 0 to 1; 0 where there are none",
)
FRAMES = (
    TensorSpec(
        "log_probs",
        "float32",
        ("batch", "time", "symbols"),
        "ln probability of each symbol in each frame; symbol 0 is the CTC blank",
    ),
    TensorSpec("lengths", "int32", ("batch",), "how many frames of log_probs count"),
)


class Recognizer(Task):
    """A task that spells. Besides what ``Task`` asks for, a subclass defines:

    - ``logit_lengths(inputs)``: int32 ``[batch]``, the valid frames of the network's inputs;
    - ``frames(length)``: the frames of a sample so long (an int, an array or a tensor);
    - ``sample_length(sample)`` in tf.data, and ``corpus_lengths(corpus)``, the same of a whole corpus.
    """

    def calibrated(self, confidence: Any) -> Any:
        """As ``export.runtime.calibrated`` with the task's own map, in the graph; float32 ``[batch]``."""
        weights = json.loads(self.assets.get(CONFIDENCE, b"{}")).get("text")
        if weights is None:
            return confidence
        low, high, offset = (float(weight) for weight in weights)
        p = ops.clip(confidence, 1 - SUREST, SUREST)
        found = ops.sigmoid(low * ops.log(p) - high * ops.log(1 - p) + offset)
        return ops.where(confidence > 0, found, 0.0)

    # === Training ===

    def training_model(self) -> keras.Model:
        """The network with its CTC loss, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return _CtcTraining(self.network, self.logit_lengths)

    def with_vocabulary(self, vocabulary: Vocabulary) -> Recognizer:
        """The same recogniser for another alphabet: the output rows of characters in both are kept.

        A new character begins as the mean of the old ones, as in ``Task.with_vocabulary``.
        """
        new = type(self)(self.config, vocabulary, self.card)
        weights, fresh = self.weights(), new.weights()
        for path, value in fresh.items():
            if path.startswith("logits/"):
                row = {character: i + 1 for i, character in enumerate(self.vocabulary.characters)}
                value[:] = weights[path][..., 1:].mean(axis=-1, keepdims=True)
                for i, character in enumerate(["", *vocabulary.characters]):
                    old = row.get(character, 0 if i == 0 else None)
                    if old is not None:
                        value[..., i] = weights[path][..., old]
                weights[path] = value
        new.set_weights(weights)
        return new

    def encode_labels(self, text: Any) -> Any:
        """A tf.string in the pipeline -> int32 ``[labels]``."""
        import tensorflow as tf

        def encode(text):
            return np.array(self.vocabulary.encode(text.decode()), np.int32)

        labels = tf.numpy_function(encode, [text], tf.int32, stateful=False)
        return tf.ensure_shape(labels, (None,))

    def is_learnable(self, sample: dict[str, Any]) -> Any:
        """Whether the sample's frames suffice for its labels, blanks between equal ones included."""
        import tensorflow as tf

        labels = sample["labels"]
        needed = tf.size(labels) + tf.reduce_sum(tf.cast(labels[1:] == labels[:-1], tf.int32))
        return tf.logical_and(needed > 0, needed <= self.frames(self.sample_length(sample)))

    def too_long(self, corpus: Samples) -> dict[str, str]:
        """``{name: sentence}`` for the samples whose transcript is longer than the network's output."""
        found = {}
        every = zip(corpus.names, corpus.texts, self.frames(self.corpus_lengths(corpus)), strict=True)
        for name, text, frames in every:
            if frames_needed(self.vocabulary.encode(text)) > frames:
                found[name] = (
                    f"{name}: its transcript of {len(text)} characters is longer than the {frames} frames "
                    "that the network makes of it; check that they belong together."
                )
        return found


@keras.saving.register_keras_serializable("seqzoo")
class _CtcTraining(TrainingModel):
    def __init__(self, network, logit_lengths):
        super().__init__(network)
        self.logit_lengths = logit_lengths

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels, lengths, frames = y["labels"], y["label_lengths"], self.logit_lengths(x)
        # As ``zoo.decoding.ctc.frames_needed``. Where too few, the loss is infinite, on JAX 100,000.
        twice = ops.logical_and(labels[:, 1:] == labels[:, :-1], labels[:, 1:] != BLANK)
        needed = lengths + ops.sum(ops.cast(twice, "int32"), 1)
        logits, usable = self.usable(y_pred, ops.logical_and(lengths > 0, needed <= frames))
        # One label in one frame stands for what cannot be spelled: no backend's loss takes every other.
        first = ops.cast(ops.arange(ops.shape(labels)[1]) == 0, labels.dtype)
        labels = ops.where(usable[:, None], labels, first)
        lengths, frames = ops.where(usable, lengths, 1), ops.where(usable, frames, 1)
        losses = self.counted(ctc_loss(labels, lengths, logits, frames), usable)
        # Per character rather than per sample, so that long ones do not outweigh short ones.
        return ops.mean(losses / ops.cast(lengths, losses.dtype))
