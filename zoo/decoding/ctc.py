"""Connectionist temporal classification (Graves et al. 2006): the loss, greedy decoding and alignment.

One convention holds zoo-wide: the blank is class 0, sequences are batch-major ``[batch, time, classes]``,
and every sequence carries its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from export import runtime
from zoo.backend import visible_gpus
from zoo.text.characters import BLANK

RUN = 64  # frames of a character that are looked at for its highest probability
TINY = 1e-30
CUDNN_LABELS = 255  # of a sequence, which cuDNN's loss takes at most: "cuDNN API", cudnnCTCLoss_v8()


def ctc_loss(labels: Any, label_lengths: Any, logits: Any, logit_lengths: Any) -> Any:
    """Negative log-likelihood of each labelling, Graves et al. 2006, equation 8.

    Args:
        labels: int32 ``[batch, labels]``, padded with 0 (the blank never is a label).
        label_lengths: int32 ``[batch]``.
        logits: float ``[batch, time, classes]``, before softmax.
        logit_lengths: int32 ``[batch]``, the valid steps of ``logits``.

    Returns:
        float32 ``[batch]``, in nats. Each labelling needs a label at least, and as many steps as
        ``frames_needed`` says: of others TensorFlow raises an error or gives infinity on a CPU, cuDNN may
        read beyond its memory, and JAX gives about 100,000.
    """
    logits = ops.cast(logits, "float32")
    if keras.backend.backend() != "tensorflow":
        return ops.ctc_loss(labels, logits, label_lengths, logit_lengths, mask_index=BLANK)
    import tensorflow as tf

    # With sparse labels TensorFlow runs a compiled kernel: its own, or cuDNN's where the logits are on a GPU
    # (tensorflow/python/ops/ctc_ops.py). Dense ones, as in `keras.ops.ctc_loss`, take a loop over all steps
    # on either: on a CPU 15 times as long, longer than the rest of a training step.
    labels = tf.sparse.from_dense(labels)
    # The kernel takes logarithms of probabilities; e^-104 is 0 to it, and the loss infinite.
    logits = tf.maximum(tf.nn.log_softmax(logits), -80.0)

    def loss():
        return tf.nn.ctc_loss(labels, logits, None, logit_lengths, logits_time_major=False, blank_index=BLANK)

    def loss_on_cpu():
        with tf.device("CPU"):
            return loss()

    if not visible_gpus():
        return loss()
    return tf.cond(tf.reduce_max(label_lengths) <= CUDNN_LABELS, loss, loss_on_cpu)


def frames_needed(labels: Sequence[int]) -> int:
    """Least number of frames that can spell ``labels``: one each, and a blank between equal neighbours."""
    return len(labels) + sum(a == b for a, b in zip(labels, labels[1:], strict=False))


def greedy_decode(log_probs: Any, lengths: Any, previous: Any = None) -> dict[str, Any]:
    """Best class of each frame, repeats merged, blanks dropped; in operations that ONNX converts exactly.

    Args:
        log_probs: float32 ``[batch, time, classes]``.
        lengths: int32 ``[batch]``, valid frames.
        previous: int32 ``[batch]``, the class of the frame before the first, where the frames go on with a
            sequence: a character that has begun there is not read once more. None: there is none.

    Returns:
        A dict: ``labels`` int32 ``[batch, time]``, left-packed and padded with 0; ``label_lengths``
        int32 ``[batch]``; ``confidence`` float32 ``[batch]``, the product over characters of the highest
        probability in each one's frames, 0 where nothing was read (the product of their means tells less of
        what is wrong: docs/confidence.md); ``probabilities`` float32 ``[batch, time]``, of each character,
        packed as the labels; ``first_frame`` and ``last_frame`` int32 ``[batch, time]``, the frames each
        character spans, packed alike; ``classes`` int32 ``[batch, time]``, the best class of each frame.
    """
    time = ops.shape(log_probs)[1]
    step = ops.arange(time, dtype="int32")[None, :]
    # Keras's argmax compares bit patterns, which has no ONNX form; the first of top-k has.
    score, best = ops.top_k(log_probs, 1)
    best = ops.where(step < lengths[:, None], ops.cast(best[:, :, 0], "int32"), BLANK)
    probability = ops.exp(score[:, :, 0])
    earlier = ops.zeros_like(best[:, :1]) if previous is None else previous[:, None]
    before = ops.concatenate([earlier, best[:, :-1]], axis=1)
    starts = ops.logical_and(best != BLANK, best != before)
    # The frames that start a character are brought to the front, in their order, by sorting.
    order = ops.cast(ops.argsort(ops.where(starts, step, time + step), axis=1), "int32")
    count = ops.sum(ops.cast(starts, "int32"), axis=1)
    valid = step < count[:, None]
    labels = ops.where(valid, ops.take_along_axis(best, order, axis=1), 0)

    after = ops.concatenate([best[:, 1:], ops.zeros_like(best[:, :1])], axis=1)
    ends = ops.logical_and(best != BLANK, best != after)
    if previous is not None:  # what began before has its end here, and no start
        ends = ops.logical_and(ends, ops.cumsum(ops.cast(best != before, "int32"), axis=1) > 0)
    last = ops.cast(ops.argsort(ops.where(ends, step, time + step), axis=1), "int32")

    peak = ops.take_along_axis(_run_maximum(probability, best, before), last, axis=1)
    product = ops.exp(ops.sum(ops.where(valid, ops.log(ops.maximum(peak, TINY)), 0.0), axis=1))
    return {
        "labels": labels,
        "label_lengths": count,
        "confidence": ops.where(count > 0, product, 0.0),
        "probabilities": ops.where(valid, peak, 0.0),
        "first_frame": ops.where(valid, order, 0),
        "last_frame": ops.where(valid, last, 0),
        "classes": best,
    }


def _run_maximum(values, best, before):
    """At the last frame of each run of equal classes the highest of its values, of the ``RUN`` last frames.

    Each step looks back twice as far, as there is no segment maximum in ONNX.

    Args:
        values: float ``[batch, time]``.
        best, before: int32 ``[batch, time]``, the class of each frame, and of the one before.
    """
    begun = ops.cumsum(ops.cast(best != before, "int32"), axis=1)  # the number of each frame's run
    shift = 1
    while shift < RUN:
        # The frames that lie `shift` before; -1 is no run.
        earlier = ops.pad(values, ((0, 0), (shift, 0)))[:, :-shift]
        same = ops.pad(begun, ((0, 0), (shift, 0)), constant_values=-1)[:, :-shift] == begun
        values = ops.where(same, ops.maximum(values, earlier), values)
        shift *= 2
    return values


def align(log_probs: np.ndarray, labels: Sequence[int]) -> tuple[np.ndarray, float]:
    """The likeliest frames of given labels, by the Viterbi algorithm.

    Args:
        log_probs: float ``[time, classes]``, NumPy.
        labels: ints, one or more.

    Returns:
        int ``[labels, 2]``, the first and the last frame of each label; float, the mean log-probability of
        the frames on that path.

    Raises:
        ValueError: the frames do not suffice.
    """
    if len(log_probs) < frames_needed(labels):
        raise ValueError(f"{len(log_probs)} frames cannot spell {len(labels)} labels.")
    frames = np.array(runtime.align(log_probs, list(labels)))
    path = np.full(len(log_probs), BLANK)
    for label, (first, last) in zip(labels, frames, strict=True):
        path[first : last + 1] = label
    return frames, float(log_probs[np.arange(len(path)), path].mean(dtype=float))
