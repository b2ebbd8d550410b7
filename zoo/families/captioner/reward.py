"""Self-critical training: a captioner learns from captions it draws itself, by how good they are.

Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning": the gradient of the expected
CIDEr-D, by REINFORCE. What a drawn caption is measured against is the mean of the others drawn for the same
image (Luo 2020, "A Better Variant of Self-Critical Sequence Training"), so that no caption need be searched.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from zoo.metrics.captions import CiderD

if TYPE_CHECKING:
    from zoo.data.pipeline import Pipeline
    from zoo.families.captioner.network import Captioner

MAX_LENGTH = 20  # words of a caption that is drawn, its end included


class SelfCritical:
    """Batches of captions that a captioner draws as it learns; to ``recipes.training.loop`` what a
    ``Pipeline`` is.

    Args:
        task: the ``Captioner``; its encoder stays as it is.
        data: a ``Pipeline`` of the images to learn from, as features, with their captions.
        references: all captions of those images, a list of lists of str: what is rare in them counts most.
        draws: captions drawn for each image, at least two.
        temperature: at which they are drawn. At 1 most of a young model's captions go astray the sooner the
            longer they are, and what it learns is to say little.
    """

    def __init__(
        self, task: Captioner, data: Pipeline, references: Sequence[Sequence[str]], draws: int = 5,
        temperature: float = 1.0,
    ) -> None:  # fmt: skip
        self.task, self.data, self.draws, self.temperature = task, data, draws, temperature
        self.count, self.steps = data.count, data.steps
        words = task.vocabulary
        # The end is a word, too, lest captions stop after "with a".
        self._measure = CiderD(
            [[(*words.encode(caption), words.END) for caption in several] for several in references]
        )

    def epoch(self, epoch: int, seed: int = 0, augment: bool = True) -> tf.data.Dataset:
        """The batches of an epoch: ``(inputs, labels, advantages)``, drawn with the weights of the moment.

        On JAX those of now draw them all: Keras keeps the weights to itself while it trains.
        """
        random, draw = np.random.default_rng((seed, epoch)), self.task.draw
        if keras.backend.backend() == "jax":
            now = [np.array(variable, copy=True) for variable in self.task.network.variables]
            draw = functools.partial(draw, weights=now)
        grid = self.task.encoder.output.shape[1:]

        def drawn():
            for inputs, labels in self.data.epoch(epoch, seed, augment).as_numpy_iterator():
                yield self._batch(draw, random, inputs, labels["target"])

        signature = (
            {
                "features": tf.TensorSpec((None, *grid), tf.float16),
                "before": tf.TensorSpec((None, self.draws, MAX_LENGTH), tf.int32),
            },
            {
                "target": tf.TensorSpec((None, MAX_LENGTH), tf.int32),
                "target_lengths": tf.TensorSpec((None,), tf.int32),
            },
            tf.TensorSpec((None,), tf.float32),
        )
        return tf.data.Dataset.from_generator(drawn, output_signature=signature)

    def _batch(self, draw, random, inputs, target):
        features, captions = inputs["features"], inputs["before"].shape[1]
        words = self.task.vocabulary
        noise = random.random((len(features) * self.draws, MAX_LENGTH, len(words)), np.float32)
        found = draw(
            {
                "features": features.astype("float32"),
                "noise": noise,
                "temperature": np.float32(self.temperature),
            }
        )
        tokens = np.asarray(found["tokens"])
        lengths = (tokens != words.PAD).sum(1, dtype=np.int32)  # the end included
        rows = tokens.reshape(-1, self.draws, MAX_LENGTH)
        rewards = np.array(
            [
                self._measure.scores(self._sentences(known), self._sentences(drawn))
                for known, drawn in zip(target.reshape(len(rows), captions, -1), rows, strict=True)
            ],
            np.float32,
        )
        others = (rewards.sum(1, keepdims=True) - rewards) / (self.draws - 1)
        start = np.full_like(rows[:, :, :1], words.START)
        inputs = {"features": features, "before": np.concatenate([start, rows[:, :, :-1]], 2)}
        return inputs, {"target": tokens, "target_lengths": lengths}, (rewards - others).ravel()

    def _sentences(self, rows):
        """Padded rows of tokens, without their padding; empty ones are none."""
        pad = self.task.vocabulary.PAD
        return [tuple(row[row != pad].tolist()) for row in rows if (row != pad).any()]
