"""What every task shares that describes in a sentence what it sees: an image, or what happens in a video.

What was seen, as features of places, is given to a ``DescribingDecoder``, which writes word by word until it
says END; searched with a beam or drawn at random when served, with the words before as given in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from zoo.contract.serving import Serving, TensorSpec, attention, hypotheses
from zoo.contract.task import Task
from zoo.decoding import search as decoding
from zoo.layers.next_token import NextToken, perplexity
from zoo.text.words import Words

if TYPE_CHECKING:
    from zoo.data.samples import Samples

MAX_LENGTH = 30  # words of a sentence that is learned, END included


class Describer(Task):
    """A task that describes. Besides what ``Task`` asks for, a subclass defines:

    - ``decoder``: the ``zoo.layers.describing.DescribingDecoder``;
    - ``sees``: the ``TensorSpec`` of what it is served;
    - ``seen(inputs)``: of these inputs the features, ``[batch, places, depth]``, and int32 lengths
      ``[batch]``, or None where all places count;
    - ``places``: the dimensions of the places in ``attention``, as ``TensorSpec`` has them;
    - ``looks(weights)``: attention ``[batch, time, places]`` with these dimensions;
    - ``learns``: the network that training reaches, from the pipeline's inputs to logits;
    - ``encode_seen(sample)`` and ``collate_seen(batch, round_to)``: in tf.data, of a sample what the pipeline
      keeps beside its sentences, and of a padded batch what ``learns`` takes beside ``before``;
    - ``sees_example(batch, seed)``: as ``Serving.example``, of what ``sees`` has.

    Its configuration has ``label_smoothing``, ``beam_width`` and ``length_penalty``.
    """

    Vocabulary = Words
    rounded = {"batch": 16}
    static = ("beam_width", "length_penalty", "max_length", "temperature", "top_k")

    # === Decoding ===

    @property
    def serving(self) -> Serving:
        inputs = (
            *self.sees,
            TensorSpec("beam_width", "int32", (), "hypotheses that the search keeps, 1 or more"),
            TensorSpec(
                "length_penalty",
                "float32",
                (),
                "0 or more; more favours long sentences (Wu et al. 2016, equation 14)",
            ),
            TensorSpec("max_length", "int32", (), "most tokens of a sentence, its end included, 1 or more"),
            TensorSpec(
                "noise",
                "float32",
                ("batch", "steps", len(self.vocabulary)),
                "uniform in 0 to 1, for sentences that are drawn: most steps of one, at least 1",
            ),
            TensorSpec(
                "temperature",
                "float32",
                (),
                "of what is drawn: 0 takes the likeliest token, 1 draws by probability",
            ),
            TensorSpec("top_k", "int32", (), "draw from the likeliest so many tokens; 0 draws from all"),
        )
        attends = self.decoder.seen_at == "attention"
        outputs = (
            *hypotheses("end"),
            TensorSpec(
                "sampled_tokens", "int32", ("batch", "steps"), "token ids of a sentence drawn by noise"
            ),
            TensorSpec("sampled_lengths", "int32", ("batch",), "token ids of it without its end"),
            TensorSpec("sampled_scores", "float32", ("batch",), "its ln probability"),
            *([attention("time", *self.places)] if attends else []),
        )
        return Serving(inputs, outputs, self._serve, self._example, decoding_loops=2)

    def _serve(self, inputs):
        """Beam search for each thing seen, and a sentence drawn for each.

        ``top_k`` 0 draws from all words. ``attention`` is that of the best sentence found: where the network
        looked to write each of its words.
        """
        memory, states = self.decoder.begin(*self.seen(inputs))
        step = self.step(memory)
        found = decoding.beam_search(
            step, states, Words.START, Words.END, inputs["max_length"], inputs["beam_width"],
            inputs["length_penalty"], pad=Words.PAD,
        )  # fmt: skip
        drawn = decoding.sample(
            step, states, Words.START, inputs["noise"], inputs["temperature"], inputs["top_k"], Words.END,
            pad=Words.PAD,
        )  # fmt: skip
        served = {"tokens": found["tokens"], "token_lengths": found["lengths"], "scores": found["scores"]}
        served |= {f"sampled_{name}": value for name, value in drawn.items()}
        if self.decoder.seen_at == "attention":
            best = found["tokens"][:, 0]
            before = ops.concatenate([ops.full_like(best[:, :1], Words.START), best[:, :-1]], 1)
            served["attention"] = self.looks(self.decoder.attended(memory, states, before))
        return served

    def step(self, memory: Any) -> Callable:
        """The step that ``zoo.decoding.search`` takes, after ``decoder.begin``."""
        # A sentence says words: that one is not known is no answer.
        unsaid = -1e9 * np.isin(np.arange(len(self.vocabulary)), [Words.PAD, Words.UNKNOWN, Words.START])

        def step(tokens, states):
            logits, states = self.decoder.step(memory, tokens, states)
            return logits + ops.cast(unsaid, logits.dtype), states

        return step

    def _example(self, batch, seed):
        noise = np.random.default_rng((seed, 1)).random((batch, 1 + seed, len(self.vocabulary)))
        return self.sees_example(batch, seed) | {
            "beam_width": np.array(1 + seed % 4, "int32"),
            "length_penalty": np.array(0.5 * (seed % 3), "float32"),
            "max_length": np.array(10, "int32"),
            "noise": noise.astype("float32"),
            "temperature": np.array(0.5 * (seed % 4), "float32"),
            "top_k": np.array(3 * (seed % 3), "int32"),
        }

    # === Training ===

    def training_model(self) -> NextToken:
        """What is to be trained with its cross-entropy, for ``fit`` on the pipeline's batches."""
        return NextToken(self.learns, self.config.label_smoothing)

    def perplexity(self, batches: Iterable) -> float:
        """The exponential of the mean cross-entropy of a word; ``batches`` as ``collate`` gives them."""
        return perplexity(self.learns, batches)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it.

        ``captions`` int32 ``[captions, time]``, each ended, then padded; and what ``encode_seen`` gives.
        """
        import tensorflow as tf

        def encode(text):
            rows = [self.vocabulary.encode(caption) for caption in text.decode().split("\n")]
            rows = [[*row[: MAX_LENGTH - 1], Words.END] for row in rows]
            padded = np.full((len(rows), max(map(len, rows))), Words.PAD, np.int32)
            for one, row in zip(padded, rows, strict=True):
                one[: len(row)] = row
            return padded

        captions = tf.numpy_function(encode, [sample["text"]], tf.int32, stateful=False)
        return {"captions": tf.ensure_shape(captions, (None, None))} | self.encode_seen(sample)

    def is_learnable(self, sample: dict[str, Any]) -> Any:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        """Words of the longest caption: what buckets go by."""
        import tensorflow as tf

        return tf.shape(sample["captions"])[1]

    def corpus_lengths(self, corpus: Samples) -> np.ndarray:
        return np.array(
            [
                min(MAX_LENGTH, 1 + max(len(self.vocabulary.encode(caption)) for caption in captions))
                for captions in corpus.references
            ]
        )

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        captions = batch["captions"]
        captions = tf.pad(captions, ((0, 0), (0, 0), (0, -tf.shape(captions)[2] % (round_to // 8))))
        before = tf.pad(captions[:, :, :-1], ((0, 0), (0, 0), (1, 0)), constant_values=Words.START)
        target = tf.reshape(captions, (-1, tf.shape(captions)[2]))
        # What has fewer captions than others has empty ones besides.
        lengths = tf.reduce_sum(tf.cast(target != Words.PAD, tf.int32), 1)
        inputs = self.collate_seen(batch, round_to) | {"before": before}
        return inputs, {"target": target, "target_lengths": lengths}
