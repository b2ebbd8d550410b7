"""Answers to questions: a story and a question -> an answer, and what in the story was looked at.

The story is read several times, once a hop, by LSTMs in both directions, each time with the question and
what the hops before have found in mind; after each, attention from the question chooses what is remembered
of it (Hermann et al. 2015; Sukhbaatar et al. 2015, section 2.2; the fusion of sentences, the products of
sentence, question and memory, and memories of ReLU are those of Xiong, Merity & Socher 2016, sections 3.1
and 3.3; here a whole LSTM reads anew in place of their attention GRU).

The way of a story: words ``[items, words]``, where an item is a sentence, or for spans a word -> a vector of
each item -> hops -> scores of a list of answers, of the items, or of the items as first and as last word of
a span (``network``), or their probabilities (``serving``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.families.question_answering.vocabulary import QuestionVocabulary
from zoo.layers import KINDS, Bidirectional, make_recurrent
from zoo.layers.pooling import Pooling
from zoo.layers.training import TrainingModel

if TYPE_CHECKING:
    from zoo.families.question_answering.corpus import Questions

ANSWERS = ("list", "span", "sentence")
ENCODERS = ("lstm", "positions")


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringConfig:
    """What a model that answers is made of.

    Attributes:
        answers: what an answer is: one of a ``list`` that was learned, a ``span`` of the story's words, or a
            ``sentence`` of the story.
        embedding: size of the vectors that stand for words and sentences.
        encoder: how the words of a sentence become a vector: an ``lstm`` in both directions; ``positions``, a
            sum, each weighted by a vector learned for its position.
        positions: how many of these there are; words beyond have the last.
        cell: kind of the recurrent layers.
        units: units of each direction.
        hops: how often the story is read.
        dropout: share of values dropped from embeddings, before recurrent layers and before the output.
        word_dropout: share of words that training makes unknown; with 0, what has an unknown word is refused.
        support: what the loss counts if the attention misses the sentences that a corpus names as supporting.
    """

    answers: str = "list"
    embedding: int = 64
    encoder: str = "lstm"
    positions: int = 32
    cell: str = "lstm"
    units: int = 64
    hops: int = 3
    dropout: float = 0.1
    word_dropout: float = 0.0
    support: float = 1.0

    def __post_init__(self):
        check_choices(self, answers=ANSWERS, encoder=ENCODERS, cell=KINDS)
        for name in ("hops", "positions", "units", "embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more, not {getattr(self, name)}")
        if not 0 <= self.word_dropout < 1:
            raise ValueError(f"word_dropout is a share from 0 to below 1, not {self.word_dropout}")


class QuestionAnswering(Task):
    """A model that answers. See ``Task`` for what every task offers."""

    name = "question_answering"
    Config = QuestionAnsweringConfig
    Vocabulary = QuestionVocabulary
    rounded = {"batch": 16, "items": 16, "words": 8, "asked": 8}

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        story = keras.Input((None, None), dtype="int32", name="story")
        lengths = keras.Input((), dtype="int32", name="lengths")
        question = keras.Input((None,), dtype="int32", name="question")
        encode = SentenceEncoder(
            len(self.vocabulary), config.embedding, config.encoder, config.positions, config.cell,
            config.dropout, name="sentences",
        )  # fmt: skip
        drop = layers.Dropout(config.dropout, name="dropout")
        sentences, asked = encode(story), encode(question)
        memory, read, looked = asked, None, []
        for hop in range(1, config.hops + 1):
            fused = Fusion(config.embedding, name=f"fusion_{hop}")(sentences, asked, memory, read)
            recurrent = Bidirectional(make_recurrent(config.cell, config.units), name=f"reading_{hop}")
            read = recurrent(drop(fused), lengths)
            found, attention = Attention(config.embedding, name=f"attention_{hop}")(
                read, fused, memory, lengths
            )
            remember = layers.Dense(config.embedding, activation="relu", name=f"memory_{hop}")
            memory = remember(ops.concatenate([found, memory, asked], -1))
            looked.append(attention)
        if config.answers == "list":
            hidden = layers.Dense(2 * config.embedding, activation="relu", name="hidden")
            scores = layers.Dense(len(self.vocabulary.labels), dtype="float32", name="logits")
            logits = scores(hidden(drop(ops.concatenate([memory, asked, found], -1))))
        else:
            ends = 2 if config.answers == "span" else 1
            logits = Pointer(config.embedding, ends, name="pointer")(drop(read), fused, memory, lengths)
        outputs = {"logits": logits, "attention": ops.stack(looked, 1)}
        inputs = {"story": story, "lengths": lengths, "question": question}
        return keras.Model(inputs, outputs, name=self.name)

    # === Serving ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self.network.get_layer(f"reading_{self.config.hops}"), "call"

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec(
                "story",
                "int32",
                ("batch", "items", "words"),
                "token ids of the words of each item (sentence, or word of a span); 0 pads words and items",
            ),
            TensorSpec("lengths", "int32", ("batch",), "items of each story, without padding, 1 or more"),
            TensorSpec(
                "question", "int32", ("batch", "asked"), "token ids of the words of each question; 0 pads"
            ),
        )
        shape = {
            "list": ("batch", len(self.vocabulary.labels)),
            "sentence": ("batch", "items"),
            "span": ("batch", 2, "items"),
        }[self.config.answers]
        outputs = (
            TensorSpec(
                "probabilities",
                "float32",
                shape,
                "of each answer of the vocabulary, or of items to be the answer, or its first and last word",
            ),
            TensorSpec(
                "looked_at",
                "float32",
                ("batch", self.config.hops, "items"),
                "attention to each item in each hop, 0 to 1",
            ),
        )
        return Serving(inputs, outputs, self._serve, self._example)

    def _serve(self, inputs):
        """Probabilities of the answers, of sentences, or of words as first and last of a span; attention.

        ``story`` has the words of each item and PAD behind them; ``lengths`` counts the items.
        """
        found = self.network(inputs)
        return {
            "probabilities": ops.softmax(found["logits"]),
            "looked_at": ops.exp(found["attention"]),
        }

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 12, batch).astype("int32")
        words = 1 if self.config.answers == "span" else 9

        def rows(counts, most):
            tokens = random.integers(2, len(self.vocabulary), (*counts.shape, most))
            return np.where(np.arange(most) < counts[..., None], tokens, 0).astype("int32")

        items = lengths.max() + seed % 2
        counts = random.integers(1, words + 1, (batch, items)) * (np.arange(items) < lengths[:, None])
        return {
            "story": rows(counts, words),
            "lengths": lengths,
            "question": rows(random.integers(1, 8, batch), 8),
        }

    # === Training ===

    def with_labels(self, labels: Sequence[str]) -> QuestionAnswering:
        """A model that reads as this one and has yet to learn these answers, a list of str."""
        return self.with_outputs(QuestionVocabulary(self.vocabulary.words, labels))

    def training_model(self) -> keras.Model:
        """The network with its loss, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return Answering(self.network, self.config.support)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it.

        ``story`` ``[items, words]``, ``question`` ``[words]``, ``support`` float ``[items, hops]``, ones for
        what each hop is to look at, and what is right: ``answer``, a row of the list, or float ``right``
        ``[items]`` or ``[items, 2]``, ones for sentences or for first and last word.
        """
        import tensorflow as tf

        mode = self.config.answers

        def encode(story, question, answers, support, span):
            sentences = story.decode().split("\n")
            items = self.vocabulary.items(sentences, mode)
            look = np.zeros((len(items), self.config.hops), np.float32)
            places = list(map(int, support.split()))
            if mode == "span":
                right = np.zeros((len(items), 2), np.float32)
                right[list(map(int, span.split())), (0, 1)] = 1
            elif mode == "sentence":
                look[places] = 1
                right = look[:, 0]
            else:
                look_in_turn(look, places)
                right = np.int32(self.vocabulary.row(answers.decode().partition("\n")[0]))
            return items, self.vocabulary.question(question.decode()), look, right

        kind = tf.int32 if mode == "list" else tf.float32
        given = [sample[name] for name in ("story", "text", "answers", "support", "span")]
        story, question, support, right = tf.numpy_function(
            encode, given, [tf.int32, tf.int32, tf.float32, kind], stateful=False
        )
        shape = {"list": (), "sentence": (None,), "span": (None, 2)}[mode]
        return {
            "story": tf.ensure_shape(story, (None, None)),
            "question": tf.ensure_shape(question, (None,)),
            "support": tf.ensure_shape(support, (None, self.config.hops)),
            "answer" if mode == "list" else "right": tf.ensure_shape(right, shape),
        }

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """Some words become unknown."""
        import tensorflow as tf

        if not self.config.word_dropout:
            return sample

        def without(tokens, seed):
            lost = tf.random.stateless_uniform(tf.shape(tokens), seed) < self.config.word_dropout
            return tf.where(lost & (tokens != QuestionVocabulary.PAD), QuestionVocabulary.UNKNOWN, tokens)

        seed = tf.cast(seed, tf.int64)
        return sample | {
            "story": without(sample["story"], seed),
            "question": without(sample["question"], seed + 1),
        }

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.shape(sample["story"])[0]

    def corpus_lengths(self, corpus: Questions) -> np.ndarray:
        if self.config.answers != "span":
            return np.array([story.count("\n") + 1 for story in corpus.stories])
        encode = self.vocabulary.encode
        return np.array([sum(len(encode(one)) for one in story.split("\n")) for story in corpus.stories])

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        def rounded(values, axis, to):
            extra = -tf.shape(values)[axis] % to
            return tf.pad(values, [(0, extra if i == axis else 0) for i in range(values.shape.rank)])

        items, words = max(1, round_to // 2), max(1, round_to // 8)
        few = 1 if self.config.answers == "span" else words
        inputs = {
            "story": rounded(rounded(batch["story"], 1, items), 2, few),
            "lengths": batch["story_lengths"],
            "question": rounded(batch["question"], 1, words),
        }
        labels = {name: batch[name] for name in ("support", "answer", "right") if name in batch}
        for name in {"support", "right"} & set(labels):
            labels[name] = rounded(labels[name], 1, items)
        return inputs, labels


# === Layers ===


@keras.saving.register_keras_serializable("seqzoo")
class SentenceEncoder(layers.Layer):
    """Sentences as vectors: int32 ``[…, words]``, 0 behind the last word -> ``[…, embedding]``.

    Args:
        rows: of words.
        embedding: size of the vectors.
        encoder: "lstm", what both directions say at their ends; "positions", the sum of the words' vectors,
            each times one learned for its position (Sukhbaatar et al. 2015, section 4.1, where it is fixed).
        positions: how many of these there are.
        cell: kind of the recurrent layer.
        dropout: share of the values of words that is dropped.
    """

    def __init__(
        self, rows: int, embedding: int, encoder: str, positions: int, cell: str, dropout: float,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.settings = {
            "rows": rows, "embedding": embedding, "encoder": encoder, "positions": positions, "cell": cell,
            "dropout": dropout,
        }  # fmt: skip
        policy = {"dtype": self.dtype_policy}
        self._embed = layers.Embedding(rows, embedding, **policy, name="words")
        self._drop = layers.Dropout(dropout, **policy)
        self._dense = layers.Dense(embedding, activation="tanh", **policy, name="dense")
        if encoder == "lstm":
            units = -(-embedding // 2)
            self._recurrent = Bidirectional(make_recurrent(cell, units), **policy, name="recurrent")
            self._pool = Pooling("last_state", name="pooling")

    def build(self, shape: tuple) -> None:
        size = self.settings["embedding"]
        self._embed.build(shape)
        if self.settings["encoder"] == "lstm":
            self._recurrent.build((None, None, size))
            self._dense.build((*shape[:-1], 2 * -(-size // 2)))
        else:
            start = keras.initializers.RandomNormal(1.0, 0.5)
            self._places = self.add_weight(
                shape=(self.settings["positions"], size), initializer=start, name="positions"
            )
            self._dense.build((*shape[:-1], size))

    def call(self, tokens: Any, training: bool | None = False) -> Any:
        vectors = self._drop(self._embed(tokens), training=training)
        words = ops.shape(tokens)[-1]
        if self.settings["encoder"] == "positions":
            last = self.settings["positions"] - 1
            places = ops.take(self._places, ops.minimum(ops.arange(words, dtype="int32"), last), 0)
            within = ops.cast(tokens > 0, vectors.dtype)[..., None]
            return self._dense(ops.sum(vectors * ops.cast(places, vectors.dtype) * within, -2))
        size, before = self.settings["embedding"], ops.shape(tokens)[:-1]
        lengths = ops.maximum(ops.sum(ops.cast(tokens > 0, "int32"), -1), 1)
        lengths, vectors = ops.reshape(lengths, (-1,)), ops.reshape(vectors, (-1, words, size))
        ends = self._pool(self._recurrent(vectors, lengths, training=training), lengths)
        return self._dense(ops.reshape(ops.cast(ends, self.compute_dtype), (*before, ends.shape[-1])))

    def compute_output_spec(self, tokens: Any, training: bool | None = False) -> Any:
        return keras.KerasTensor((*tokens.shape[:-1], self.settings["embedding"]), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable("seqzoo")
class Fusion(layers.Layer):
    """Each item with the question and what is remembered: ``[batch, items, units]``.

    Inputs: ``items`` ``[batch, items, features]``, ``asked`` and ``memory`` ``[batch, features]``, and what
    the hop before read, ``[batch, items, …]``, or None.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self._items = layers.Dense(units, dtype=self.dtype_policy, name="items")
        self._asked = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="asked")

    def build(
        self, items_shape: tuple, asked_shape: tuple, memory_shape: tuple, read_shape: tuple | None = None
    ) -> None:
        more = read_shape[-1] if read_shape else 0
        self._items.build((*items_shape[:-1], 3 * items_shape[-1] + more))
        self._asked.build((None, asked_shape[-1] + memory_shape[-1]))

    def call(self, items: Any, asked: Any, memory: Any, read: Any = None) -> Any:
        seen = [items, items * asked[:, None], items * memory[:, None]]
        seen += [] if read is None else [read]
        kept = self._asked(ops.concatenate([asked, memory], -1))
        return ops.relu(self._items(ops.concatenate(seen, -1)) + kept[:, None])

    def compute_output_spec(self, items: Any, asked: Any, memory: Any, read: Any = None) -> Any:
        return keras.KerasTensor((*items.shape[:-1], self.units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("seqzoo")
class Pointer(layers.Layer):
    """Scores of items, float32 ``[batch, items]``, or ``[batch, ends, items]`` of several ``ends``.

    Inputs: ``read`` and ``fused`` ``[batch, items, …]``, ``memory`` ``[batch, features]``, int32 ``lengths``
    ``[batch]``. What is beyond them scores -1e9.
    """

    def __init__(self, units: int, ends: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.ends = units, ends
        self._items = layers.Dense(units, dtype=self.dtype_policy, name="items")
        self._memory = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="memory")
        self._score = layers.Dense(ends, dtype=self.dtype_policy, name="score")

    def build(self, read_shape: tuple, fused_shape: tuple, memory_shape: tuple, lengths_shape: tuple) -> None:
        self._items.build((*read_shape[:-1], read_shape[-1] + fused_shape[-1]))
        self._memory.build(memory_shape)
        self._score.build((*read_shape[:-1], self.units))

    def call(self, read: Any, fused: Any, memory: Any, lengths: Any) -> Any:
        seen = self._items(ops.concatenate([read, fused], -1)) + self._memory(memory)[:, None]
        # In float32: float16 ends at 65504.
        scores = ops.cast(self._score(ops.tanh(seen)), "float32")
        beyond = ops.arange(ops.shape(read)[1], dtype="int32")[None] >= lengths[:, None]
        scores -= 1e9 * ops.cast(beyond, "float32")[..., None]
        return scores[..., 0] if self.ends == 1 else ops.transpose(scores, (0, 2, 1))

    def compute_output_spec(self, read: Any, fused: Any, memory: Any, lengths: Any) -> Any:
        shape = read.shape[:2] if self.ends == 1 else (read.shape[0], self.ends, read.shape[1])
        return keras.KerasTensor(shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "ends": self.ends}


@keras.saving.register_keras_serializable("seqzoo")
class Attention(Pointer):
    """The mean of what was read, weighted by its scores, and the logarithms of the weights.

    Inputs as of ``Pointer``. Outputs: ``[batch, features]`` and float32 ``[batch, items]``.
    """

    def call(self, read: Any, fused: Any, memory: Any, lengths: Any) -> tuple[Any, Any]:
        logs = ops.log_softmax(super().call(read, fused, memory, lengths))
        weights = ops.cast(ops.exp(logs), read.dtype)
        return ops.matmul(weights[:, None], read)[:, 0], logs

    def compute_output_spec(self, read: Any, fused: Any, memory: Any, lengths: Any) -> tuple[Any, Any]:
        found = keras.KerasTensor((read.shape[0], read.shape[2]), self.compute_dtype)
        return found, super().compute_output_spec(read, fused, memory, lengths)


class Answering(TrainingModel):
    """``network`` with the cross-entropy of its answers, and of its attention, in nats a question.

    The labels are ``answer``, int32 ``[batch]``, or ``right``, float ``[batch, items]`` or ``[batch, items,
    2]`` with ones for what is right, any of which is; and ``support``, float ``[batch, items, hops]``, ones
    for the items that each hop is to look at, none where nobody knows (strong supervision: Weston et al.
    2015, "Memory Networks").

    Args:
        network: gives ``logits`` and ``attention``, the logarithms of its weights ``[batch, hops, items]``.
        support: what the attention's part is multiplied by.
    """

    def __init__(self, network: keras.Model, support: Any) -> None:
        super().__init__(network)
        self.support = support

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool | None = True,
    ) -> Any:  # fmt: skip
        logits, usable = self.usable(y_pred["logits"])
        logs = ops.log_softmax(logits)
        if "answer" in y:
            losses = -ops.take_along_axis(logs, y["answer"][:, None], 1)[:, 0]
        else:
            right = y["right"] if len(y["right"].shape) == 2 else ops.transpose(y["right"], (0, 2, 1))
            losses = -ops.logsumexp(logs + _LEAST * (1 - right), -1)
            losses = losses if len(losses.shape) == 1 else ops.sum(losses, -1)
        if self.support:
            looked, usable_too = self.usable(y_pred["attention"])
            wanted = ops.transpose(y["support"], (0, 2, 1))
            missed = -ops.sum(wanted * ops.maximum(looked, _LEAST), (1, 2))
            missed = missed / ops.maximum(ops.sum(wanted, (1, 2)), 1)
            losses, usable = losses + self.support * missed, ops.logical_and(usable, usable_too)
        return ops.mean(self.counted(losses, usable))


_LEAST = -30.0  # of a logarithm of a probability


def look_in_turn(look: Any, places: Any) -> None:
    """Let hops look at the supporting sentences one after the other, as a chain of reasons goes.

    The last hop looks at all that are left; where there are more hops, they stay at the last sentence.

    Args:
        look: float ``[items, hops]``, zeros, where ones are put.
        places: list of int, the supporting sentences in their order.
    """
    hops = look.shape[1]
    for number, place in enumerate(places):
        look[place, min(number, hops - 1)] = 1
    if places:
        look[places[-1], len(places) :] = 1


TASK = QuestionAnswering
