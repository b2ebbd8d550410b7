"""A network with its loss, as ``fit`` takes it: no single sample ends a run."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class TrainingModel(keras.Model):
    """``network`` with a loss, in which a sample without a finite one counts as zero, and is counted.

    A subclass defines ``compute_loss``, which hands logits to ``usable`` and losses to ``counted``.

    Attributes:
        seen: int32 scalar, samples since it was last set to zero.
        left_out: int32 scalar, how many of them had no finite loss.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name="training")
        self.network = network
        self.seen, self.left_out = (
            self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name=name)
            for name in ("seen", "left_out")
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, training=training)

    def save(self, *arguments: Any, **options: Any) -> None:
        """Save the network, which can be loaded by itself; so ModelCheckpoint does."""
        return self.network.save(*arguments, **options)

    def save_weights(self, *arguments: Any, **options: Any) -> None:
        """Save the network's weights."""
        return self.network.save_weights(*arguments, **options)

    def load_weights(self, *arguments: Any, **options: Any) -> None:
        """Load the network's weights."""
        return self.network.load_weights(*arguments, **options)

    def usable(self, logits: Any, possible: Any = True) -> tuple[Any, Any]:
        """Which samples have a loss, and logits that keep the others' gradients zero.

        A loss set to zero after it was computed would still have the gradient NaN: 0 times infinity. So its
        logits are replaced before.

        Args:
            logits: float ``[samples, …]``.
            possible: bool ``[samples]``, false where there is no loss whatever the logits.

        Returns:
            float ``[samples, …]``, zeros for samples without a loss; bool ``[samples]``.
        """
        finite = ops.all(ops.isfinite(logits), tuple(range(1, len(logits.shape))))
        usable = ops.logical_and(finite, possible)
        shape = (-1, *[1] * (len(logits.shape) - 1))
        return ops.where(ops.reshape(usable, shape), logits, 0.0), usable

    def counted(self, losses: Any, usable: Any) -> Any:
        """float ``[samples]``, zero where ``usable`` is not or the loss is not finite."""
        usable = ops.logical_and(usable, ops.isfinite(losses))
        ones = ops.ones_like(usable, dtype="int32")
        self.seen.assign_add(ops.sum(ones))
        self.left_out.assign_add(ops.sum(ones) - ops.sum(ops.cast(usable, "int32")))
        return ops.where(usable, losses, 0.0)


class Labelling(TrainingModel):
    """``network`` with the weighted cross-entropy of its labels, in nats a sample, for ``fit``.

    The labels are ``label``, int32 ``[batch]``.

    Args:
        network: gives the logits, ``[batch, labels]``.
        label_weights: float ``[labels]``, what the loss of each label's samples is multiplied by.
        smoothing: share of a sample that counts for all labels alike (Szegedy et al. 2016, section 7).
    """

    def __init__(self, network: keras.Model, label_weights: Any, smoothing: float = 0.0) -> None:
        super().__init__(network)
        self.label_weights, self.smoothing = label_weights, smoothing

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool | None = True,
    ) -> Any:  # fmt: skip
        logits, usable = self.usable(y_pred)
        log_probs = ops.log_softmax(logits)
        weights = ops.take(ops.convert_to_tensor(self.label_weights), y["label"])
        losses = -ops.take_along_axis(log_probs, y["label"][:, None], 1)[:, 0]
        if self.smoothing:
            losses = (1 - self.smoothing) * losses - self.smoothing * ops.mean(log_probs, -1)
        return ops.mean(self.counted(weights * losses, usable))
