"""What every recogniser shares: a task that spells what it sees or hears, trained with CTC.

The way of a sample is input -> frames of class scores (the network, whose last layer is named ``logits``)
-> characters. A subclass of ``Recognizer`` says how long a sample is and how many frames the network makes
of it; labels, loss, evaluation and the move to another alphabet are here.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from zoo import metrics
from zoo.ctc import ctc_loss, frames_needed
from zoo.task import Task


@dataclasses.dataclass(frozen=True)
class Character:
    """One character and what it spans in the input as given: pixel columns of an image, seconds of audio."""

    character: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read: text in logical order, mean probability, characters in the order of the text."""

    text: str
    confidence: float
    characters: list


class Recognizer(Task):
    """A task that spells. Besides what ``Task`` asks for, a subclass defines:

    - ``logit_lengths(inputs)``: int32 ``[batch]``, the valid frames of the network's inputs;
    - ``frames(length)``: the frames of a sample so long (an int, an array or a tensor);
    - ``sample_length(sample)`` in tf.data, and ``corpus_lengths(corpus)``, the same of a whole corpus;
    - ``read_input(item)``: what a person gives -> an array, ``array_length(array)``, which inputs of similar
      length agree in, and ``pad(arrays)`` -> the arrays that ``compiled_serve`` takes.
    """

    # === Reading ===

    def predict(self, inputs, details=False, batch_size=16):
        """Read inputs, each frame by its likeliest character.

        Args:
            inputs: a list of files and arrays (see ``read_input``), or one of these.
            details: give a ``Reading`` for each instead of its text.
            batch_size: inputs read at a time, those of similar length together.

        Returns:
            A list of str or ``Reading`` in the order of the inputs.

        Raises:
            UserError: an input cannot be read.
        """
        if not isinstance(inputs, list):
            inputs = [inputs]
        arrays = [self.read_input(item) for item in inputs]
        order = sorted(range(len(arrays)), key=lambda i: self.array_length(arrays[i]))
        found = [None] * len(arrays)
        for at in range(0, len(order), batch_size):
            chosen = order[at : at + batch_size]
            served = self.compiled_serve(*self.pad([arrays[i] for i in chosen]))
            served = {key: np.asarray(value) for key, value in served.items()}
            for row, i in enumerate(chosen):
                reading = self._reading({key: value[row] for key, value in served.items()})
                found[i] = reading if details else reading.text
        return found

    def _reading(self, served):
        """One row of what is served -> a ``Reading``."""
        text, order = self.vocabulary.decode_with_order(served["labels"][: served["label_lengths"]])
        spans = zip(text, served["starts"][order], served["ends"][order], strict=True)
        characters = [Character(c, float(start), float(end)) for c, start, end in spans]
        return Reading(text, float(served["confidence"]), characters)

    # === Evaluation ===

    def evaluate(self, corpora, only=None, progress=False):
        """Character and word error rate on corpora (see ``load_corpus``).

        Returns:
            What ``zoo.metrics.evaluate_reader`` gives.
        """
        return self.evaluate_corpus(self.load_corpus(corpora, only=only, progress=progress), progress)

    def evaluate_corpus(self, corpus, progress=False):
        """Like ``evaluate``, on a loaded corpus."""
        return metrics.evaluate_reader(self.predict, self.vocabulary, corpus, progress)

    # === Training ===

    def training_model(self):
        """The network with its CTC loss, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return _CtcTraining(self.network, self.logit_lengths)

    def with_vocabulary(self, vocabulary):
        """The same recogniser for another alphabet: the output rows of characters in both are kept."""
        new = type(self)(self.config, vocabulary, {})
        weights, fresh = self.weights(), new.weights()
        for path, value in fresh.items():
            if path.startswith("logits/"):
                row = {character: i + 1 for i, character in enumerate(self.vocabulary.characters)}
                for i, character in enumerate(["", *vocabulary.characters]):
                    old = row.get(character, 0 if i == 0 else None)
                    if old is not None:
                        value[..., i] = weights[path][..., old]
                weights[path] = value
        new.set_weights(weights)
        return new

    def encode_labels(self, text):
        """A tf.string in the pipeline -> int32 ``[labels]``."""
        import tensorflow as tf

        def encode(text):
            return np.array(self.vocabulary.encode(text.decode()), np.int32)

        labels = tf.numpy_function(encode, [text], tf.int32, stateful=False)
        return tf.ensure_shape(labels, (None,))

    def is_learnable(self, sample):
        """Whether the sample's frames suffice for its labels, blanks between equal ones included."""
        import tensorflow as tf

        labels = sample["labels"]
        needed = tf.size(labels) + tf.reduce_sum(tf.cast(labels[1:] == labels[:-1], tf.int32))
        return tf.logical_and(needed > 0, needed <= self.frames(self.sample_length(sample)))

    def too_long(self, corpus):
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
class _CtcTraining(keras.Model):
    def __init__(self, network, logit_lengths):
        super().__init__(name="training")
        self.network = network
        self.logit_lengths = logit_lengths

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = ctc_loss(y["labels"], y["label_lengths"], y_pred, self.logit_lengths(x))
        # Per character rather than per sample, so that long ones do not outweigh short ones.
        return ops.mean(losses / ops.cast(ops.maximum(y["label_lengths"], 1), losses.dtype))
