"""The tf.data pipeline: shuffle, augmentation, length buckets, padding. The same for every task.

A task says what a sample is (``encode_sample``, ``sample_length``, ``is_learnable``), how it may vary
(``augment_sample``) and how a padded batch becomes the network's inputs (``collate``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.data import records
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.task import Task
    from zoo.data.samples import Samples
    from zoo.text.subwords import Subwords


class Pipeline:
    """Batches of the samples of a corpus, each as often as it is to be shown.

    Args:
        task: the ``Task`` to be trained.
        corpus: a ``zoo.data.samples.Samples``.
        batch_size: samples a batch.
        buckets: samples are batched with those of similar length, in at most this many classes.
        cache: where encoded samples are kept between epochs: ``memory``; ``none``, which reads them anew in
            each; or the name of a file. Batches are the same in all cases.
        even: batches of long samples have fewer of them, so that all are about as large; ``batch_size`` is
            their mean.

    Attributes:
        count: samples an epoch, repeats counted.
        steps: batches an epoch.
        left_out: set of int, the places in the epoch of the samples that augmentation made unlearnable.

    Raises:
        UserError: the file of the cache has other samples in it.
    """

    def __init__(
        self, task: Task, corpus: Samples, batch_size: int, buckets: int = 12,
        cache: str | os.PathLike = "memory", even: bool = False,
    ) -> None:  # fmt: skip
        self.task, self.batch_size, self.count = task, batch_size, corpus.shown()
        lengths, self.left_out = task.corpus_lengths(corpus), set()
        self._encoded, self._at = None, None
        if cache == "none":
            read = corpus.at(repeat=True)
            self._at = lambda number: task.encode_sample(read(number))
        else:
            encoded = corpus.dataset(repeat=True)
            encoded = encoded.map(task.encode_sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            encoded = encoded.apply(tf.data.experimental.assert_cardinality(self.count))
            if cache == "memory":
                self._encoded = encoded.cache()
            else:
                stored, spec = _stored(cache, encoded), encoded.element_spec
                self._at = lambda number: records.unpacked(stored.tensor(number), spec)
        buckets = max(1, min(buckets, self.count // (4 * batch_size)))
        share = np.linspace(0, 1, buckets + 1)[1:-1]
        self.boundaries = sorted({int(edge) + 1 for edge in np.quantile(lengths, share)})
        self.sizes = [batch_size] * (len(self.boundaries) + 1)
        if even:
            longest = [*self.boundaries, max(lengths)]
            self.sizes = [max(1, round(batch_size * np.mean(lengths) / length)) for length in longest]
        members = np.bincount(np.searchsorted(self.boundaries, lengths, "right"), minlength=len(self.sizes))
        batches = sum(-(-n // size) for n, size in zip(members, self.sizes, strict=True))
        # The lengths are of each sample once.
        self.steps = int(-(-batches * self.count // len(lengths))) if even else -(-self.count // batch_size)
        # XLA compiles anew for every shape, so under JAX there are few.
        self.round_to, self.label_round_to = (128, 32) if keras.backend.backend() == "jax" else (8, 1)

    def epoch(self, epoch: int, seed: int = 0, augment: bool = True) -> tf.data.Dataset:
        """The batches of one training epoch: the same for the same ``seed`` and ``epoch``."""
        order = np.random.SeedSequence((seed, epoch)).generate_state(2).astype(np.int64) % (2**31)
        self.left_out = left_out = set()

        def vary(i, sample):
            seeds = tf.stack([i + order[1], tf.constant(seed, tf.int64)])
            return i, self.task.augment_sample(sample, seeds) if augment else sample

        def leave_out(i):
            left_out.add(int(i))
            return False

        def is_learnable(i, sample):
            return tf.cond(
                tf.convert_to_tensor(self.task.is_learnable(sample)),
                lambda: True,
                lambda: tf.ensure_shape(tf.numpy_function(leave_out, [i], tf.bool), ()),
            )

        data = self._samples(int(order[0])).enumerate()
        data = data.map(vary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).filter(is_learnable)
        data = self._batches(data.map(lambda i, sample: sample))
        # Half-filled buckets come last. Cutting them off gives every epoch the same number of batches;
        # what fell away is other samples in the next one. Where unlearnable samples were left out,
        # the first batches come a second time.
        return data.repeat(2).take(self.steps).prefetch(4)

    def all(self) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of batches of every sample as it is, each once."""
        return self._batches(self._samples()).prefetch(4)

    def once(self) -> Iterator:
        """Iterate over the batches of ``all``, as NumPy."""
        return self.all().as_numpy_iterator()

    def _samples(self, seed=None):
        """The encoded samples, shuffled where there is a seed: of what is not in memory, the numbers are."""
        data = tf.data.Dataset.range(self.count) if self._encoded is None else self._encoded
        if seed is not None:
            data = data.shuffle(self.count, seed=seed, reshuffle_each_iteration=False)
        if self._at is None:
            return data
        return data.map(self._at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _batches(self, data):
        def with_lengths(sample):
            extra = {}
            for name, value in sample.items():
                if name == "image":
                    extra["size"] = tf.shape(value)[:2]
                elif value.shape.rank != 0:
                    extra[f"{name.removesuffix('s')}_lengths"] = tf.shape(value)[0]
            return sample | extra

        data = data.map(with_lengths, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        data = data.bucket_by_sequence_length(self.task.sample_length, self.boundaries, self.sizes)

        def collate(batch):
            if "labels" in batch:
                extra = -tf.shape(batch["labels"])[1] % self.label_round_to
                batch["labels"] = tf.pad(batch["labels"], ((0, 0), (0, extra)))
            return self.task.collate(batch, self.round_to)

        return data.map(collate, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _stored(path, samples):
    """The ``Records`` of encoded samples in a file, which is written unless it has them already."""
    if not os.path.exists(path):
        records.write(path, samples)
    first, same = next(iter(samples)), False
    with contextlib.suppress(ValueError, IndexError, tf.errors.OpError):  # of another kind of file
        stored = records.Records([(path, 0, None)])
        kept = records.unpacked(stored[0], samples.element_spec)
        # What an encoder computes may differ a little from time to time.
        same = len(stored) == samples.cardinality() and all(
            value.shape == kept[name].shape and np.allclose(value, kept[name], rtol=0, atol=0.1)
            for name, value in first.items()
        )
    if not same:
        raise UserError(
            f"{path} holds other things than these samples; remove it, or give another name to keep them in."
        )
    return stored


def vary_subwords(subwords: Subwords, rows: Any, temperature: float, seed: Any) -> Any:
    """``zoo.text.subwords.Subwords.vary`` in tf.data: an int32 tensor ``[time]``, ``seed`` int ``[2]``."""

    def vary(rows, seed):
        return subwords.vary(rows, temperature, seed)

    rows = tf.numpy_function(vary, [rows, seed], tf.int32)
    return tf.ensure_shape(rows, (None,))
