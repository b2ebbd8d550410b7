"""The tf.data pipeline: shuffle, augmentation, length buckets, padding. The same for every task.

A task says what a sample is (``encode_sample``, ``sample_length``, ``is_learnable``), how it may vary
(``augment_sample``) and how a padded batch becomes the network's inputs (``collate``).
"""

import keras
import numpy as np
import tensorflow as tf


class Pipeline:
    """Batches of one set of samples.

    Args:
        task: the ``Task`` to be trained.
        samples: ``tf.data.Dataset`` of corpus samples, in a fixed order.
        count: how many those are.
        lengths: int array, length of each sample as ``task.sample_length`` gives it; sets the buckets.
        batch_size: samples a batch.
        buckets: samples are batched with those of similar length, in at most this many classes.
        cache: None keeps decoded samples in memory; a file name keeps them there; False reads the
            shards anew each epoch.
        even: batches of long samples have fewer of them, so that all are about as large; ``batch_size`` is
            their mean.
    """

    def __init__(self, task, samples, count, lengths, batch_size, buckets=12, cache=None, even=False):
        self.task, self.count, self.batch_size = task, count, batch_size
        encoded = samples.map(task.encode_sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        if cache is not False:
            encoded = encoded.cache(cache or "")
        self.encoded = encoded.apply(tf.data.experimental.assert_cardinality(count))
        buckets = max(1, min(buckets, count // (4 * batch_size)))
        share = np.linspace(0, 1, buckets + 1)[1:-1]
        self.boundaries = sorted({int(edge) + 1 for edge in np.quantile(lengths, share)})
        self.sizes = [batch_size] * (len(self.boundaries) + 1)
        if even:
            longest = [*self.boundaries, max(lengths)]
            self.sizes = [max(1, round(batch_size * np.mean(lengths) / length)) for length in longest]
        members = np.bincount(np.searchsorted(self.boundaries, lengths, "right"), minlength=len(self.sizes))
        batches = sum(-(-n // size) for n, size in zip(members, self.sizes, strict=True))
        # Batches an epoch; count is more than the lengths where samples are shown repeatedly.
        self.steps = int(-(-batches * count // len(lengths))) if even else -(-count // batch_size)
        # XLA compiles anew for every shape, so under JAX there are few.
        self.round_to, self.label_round_to = (128, 32) if keras.backend.backend() == "jax" else (8, 1)

    def epoch(self, epoch, seed=0, augment=True):
        """The batches of one training epoch: the same for the same ``seed`` and ``epoch``."""
        order = np.random.SeedSequence((seed, epoch)).generate_state(2).astype(np.int64) % (2**31)
        data = self.encoded.shuffle(self.count, seed=int(order[0]), reshuffle_each_iteration=False)
        if augment:

            def vary(i, sample):
                return self.task.augment_sample(sample, tf.stack([i + order[1], tf.constant(seed, tf.int64)]))

            data = data.enumerate().map(vary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        data = self._batches(data.filter(self.task.is_learnable))
        # Half-filled buckets come last. Cutting them off gives every epoch the same number of batches;
        # what fell away is other samples in the next one. Where unlearnable samples were left out,
        # the first batches come a second time.
        return data.repeat(2).take(self.steps).prefetch(4)

    def once(self):
        """Iterate over batches of every sample as it is, each once, as NumPy."""
        return self._batches(self.encoded).prefetch(4).as_numpy_iterator()

    def _batches(self, data):
        def with_lengths(sample):
            extra = {}
            for name, value in sample.items():
                if name == "image":
                    extra["size"] = tf.shape(value)[:2]
                else:
                    extra[f"{name.removesuffix('s')}_lengths"] = tf.size(value)
            return sample | extra

        data = data.map(with_lengths, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        data = data.bucket_by_sequence_length(self.task.sample_length, self.boundaries, self.sizes)

        def collate(batch):
            if "labels" in batch:
                extra = -tf.shape(batch["labels"])[1] % self.label_round_to
                batch["labels"] = tf.pad(batch["labels"], ((0, 0), (0, extra)))
            return self.task.collate(batch, self.round_to)

        return data.map(collate, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
