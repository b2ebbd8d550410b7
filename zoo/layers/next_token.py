"""Networks that say the next token: its scores, their loss, perplexity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.layers.training import TrainingModel


@keras.saving.register_keras_serializable("seqzoo")
class Logits(layers.Layer):
    """A score for every subword; its rows are an embedding's where one is given (Press & Wolf 2017)."""

    def __init__(self, symbols: int, embedding: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols, self._embedding = symbols, embedding

    def build(self, shape: tuple) -> None:
        self.bias = self.add_weight(shape=(self.symbols,), initializer="zeros", name="bias")
        if self._embedding is None:
            self.kernel = self.add_weight(shape=(shape[-1], self.symbols), name="kernel")

    def call(self, x: Any) -> Any:
        kernel = self.kernel if self._embedding is None else ops.transpose(self._embedding.embeddings)
        return ops.matmul(x, ops.cast(kernel, x.dtype)) + self.bias


class NextToken(TrainingModel):
    """``network`` with the cross-entropy of its targets, in nats a token, for ``fit``.

    The labels are ``target``, int32 ``[batch, time]``, and ``target_lengths``, int32 ``[batch]``. Sample
    weights are rewards of sequences that were drawn, which are no targets to be smoothed.
    """

    def __init__(self, network: keras.Model, label_smoothing: float = 0.0) -> None:
        super().__init__(network)
        self.label_smoothing = label_smoothing

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool | None = True,
    ) -> Any:  # fmt: skip
        smoothing = self.label_smoothing if sample_weight is None else 0.0
        logits, usable = self.usable(y_pred)
        losses, counts = cross_entropy(y["target"], y["target_lengths"], logits, smoothing)
        losses = self.counted(losses, usable)
        if sample_weight is not None:
            losses = losses * sample_weight
        return ops.sum(losses) / ops.cast(ops.sum(counts), "float32")


def cross_entropy(target: Any, lengths: Any, logits: Any, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """Cross-entropy of each sequence in nats, float32 ``[batch]``, and its tokens, int32 ``[batch]``."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    losses = -ops.take_along_axis(log_probs, target[..., None], -1)[..., 0]
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * ops.mean(log_probs, -1)
    within = ops.arange(ops.shape(target)[1], dtype="int32")[None, :] < lengths[:, None]
    return ops.sum(losses * ops.cast(within, "float32"), 1), lengths


def perplexity(network: keras.Model, batches: Iterable) -> float:
    """The exponential of the mean cross-entropy of a token, given those before it.

    Args:
        network: from inputs to logits.
        batches: an iterable of ``(inputs, labels)``, labels as ``NextToken`` takes them.
    """
    nats = count = 0.0
    for inputs, labels in batches:
        logits = network.predict_on_batch(inputs)
        losses, lengths = cross_entropy(labels["target"], labels["target_lengths"], logits)
        nats, count = nats + float(ops.sum(losses)), count + float(ops.sum(lengths))
    return float(np.exp(nats / count))
