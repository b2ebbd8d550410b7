"""Text classification: a text -> one of some labels, and how sure that is.

Many to one: words or subwords, each a vector, are read by LSTMs in both directions (Graves & Schmidhuber
2005); what the steps say is pooled into one vector, of which the labels' scores are made. The embedding and
the first LSTMs can start as language models of the same text (Dai & Le 2015, "Semi-supervised Sequence
Learning"): see ``LanguageModels``.

The way of a text: tokens ``[time]`` -> a vector of each ``[time, 2 * units]`` -> one vector -> scores of the
labels (``network``), or their probabilities (``serving``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.families.text_classifier.vocabulary import LIMIT, TextVocabulary, bounded
from zoo.layers import KINDS, Bidirectional, make_recurrent
from zoo.layers.next_token import Logits, NextToken, perplexity
from zoo.layers.pooling import POOLING, Pooling
from zoo.layers.training import Labelling

if TYPE_CHECKING:
    from zoo.families.text_classifier.corpus import LabelledTexts

VOCABULARIES = ("words", "subwords")


@dataclasses.dataclass(frozen=True)
class TextClassifierConfig:
    """What a classifier is made of.

    Attributes:
        vocabulary: what a text is made of: ``words``, of which all that are not known are the same, or
            ``subwords``. See ``zoo.text``.
        embedding: size of the vectors that stand for tokens.
        cell: kind of the recurrent layers.
        layers: recurrent layers, each in both directions.
        units: units of each direction.
        pooling: how a text becomes one vector: ``last_state``, what either direction says at its end;
            ``mean`` or ``max`` over all steps.
        dropout: share of values dropped from embeddings, between layers and before the output.
        word_dropout: share of tokens that training makes unknown (Iyyer et al. 2015, section 3.1, drop them).
        subword_temperature: how much training varies the cuts of words, 0 not at all. See ``Subwords.vary``.
    """

    vocabulary: str = "words"
    embedding: int = 128
    cell: str = "lstm"
    layers: int = 1
    units: int = 128
    pooling: str = "max"
    dropout: float = 0.5
    word_dropout: float = 0.1
    subword_temperature: float = 0.0

    def __post_init__(self):
        check_choices(self, vocabulary=VOCABULARIES, cell=KINDS, pooling=POOLING)
        if self.layers < 1:
            raise ValueError(f"layers is 1 or more, not {self.layers}")
        if self.subword_temperature and self.vocabulary == "words":
            raise ValueError("subword_temperature: a vocabulary of words has none; it needs subwords")


class TextClassifier(Task):
    """A text classifier. See ``Task`` for what every task offers.

    Attributes:
        label_weights: float ``[labels]``, what the loss of each label's texts is multiplied by.
    """

    name = "text_classifier"
    Config = TextClassifierConfig
    Vocabulary = TextVocabulary
    rounded = {"batch": 32, "time": 32}

    # === Network ===

    def build_network(self) -> keras.Model:
        config, labels = self.config, len(self.vocabulary.labels)
        self.label_weights = np.ones(labels, "float32")
        self.embed = layers.Embedding(len(self.vocabulary), config.embedding, name="embedding")
        self.drop = layers.Dropout(config.dropout, name="dropout")
        self.recurrent = [
            Bidirectional(make_recurrent(config.cell, config.units), name=f"recurrent_{i + 1}")
            for i in range(config.layers)
        ]
        self._pool = Pooling(config.pooling, name="pooling")
        self._scores = layers.Dense(labels, dtype="float32", name="logits")
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        lengths = keras.Input((), dtype="int32", name="lengths")
        logits = self._logits(self.embed(tokens), lengths)
        return keras.Model({"tokens": tokens, "lengths": lengths}, logits, name=self.name)

    def _logits(self, x, lengths):
        for recurrent in self.recurrent:
            x = recurrent(self.drop(x), lengths)
        return self._scores(self.drop(self._pool(x, lengths)))

    # === Serving ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self.recurrent[-1], "call"

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec(
                "tokens",
                "int32",
                ("batch", "time"),
                "token ids of each text, opened by 2 (<s>) and closed by 3 (</s>); 0 pads",
            ),
            TensorSpec(
                "lengths", "int32", ("batch",), "token ids of each text, both of these included, 2 or more"
            ),
            TensorSpec(
                "gain",
                "float32",
                ("batch", "time"),
                "what each token's embedding is multiplied by: 1, but to see what a token counts",
            ),
        )
        labels = len(self.vocabulary.labels)
        outputs = (
            TensorSpec("probabilities", "float32", ("batch", labels), "of each label of the vocabulary"),
            TensorSpec("logits", "float32", ("batch", labels), "their logarithms, but for a constant"),
        )
        return Serving(inputs, outputs, self._serve, self._example)

    def _serve(self, inputs):
        """Probabilities of the labels.

        ``tokens`` begin with START and end with END, which ``lengths`` counts. ``gain`` is what the vector of
        each token is multiplied by: ones, but to ask for the influence of a word
        (``zoo.families.text_classifier.reader.ClassificationReader.influence``).
        """
        x = self.embed(inputs["tokens"]) * inputs["gain"][:, :, None]
        logits = self._logits(x, inputs["lengths"])
        return {"probabilities": ops.softmax(logits), "logits": logits}

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(2, 20, batch).astype("int32")
        shape = batch, lengths.max() + seed % 2
        within = np.arange(shape[1]) < lengths[:, None]
        tokens = random.integers(0, len(self.vocabulary), shape)
        return {
            "tokens": np.where(within, tokens, TextVocabulary.PAD).astype("int32"),
            "lengths": lengths,
            "gain": random.uniform(0.5, 1.5, shape).astype("float32"),
        }

    # === Training ===

    def with_labels(self, labels: Sequence[str]) -> TextClassifier:
        """A classifier that reads as this one and has yet to learn these labels."""
        return self.with_outputs(TextVocabulary(self.vocabulary.tokens, labels))

    def training_model(self) -> keras.Model:
        """The network with its cross-entropy, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return Labelling(self.network, self.label_weights)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``tokens``, the first of a long text, and ``label``."""
        import tensorflow as tf

        def encode(text, label):
            rows = bounded(self.vocabulary.encode(text.decode())[:LIMIT])[0]
            return np.array(rows, np.int32), np.int32(self.vocabulary.row(label.decode()))

        found = tf.numpy_function(
            encode, [sample["text"], sample["label"]], [tf.int32, tf.int32], stateful=False
        )
        return {"tokens": tf.ensure_shape(found[0], (None,)), "label": tf.ensure_shape(found[1], ())}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """Some tokens become unknown, and words are cut anew."""
        import tensorflow as tf

        from zoo.data.pipeline import vary_subwords

        tokens = sample["tokens"]
        if self.config.subword_temperature:
            tokens = vary_subwords(self.vocabulary.tokens, tokens, self.config.subword_temperature, seed)
        kept = tf.random.stateless_uniform(tf.shape(tokens), seed) >= self.config.word_dropout
        kept |= (tokens == TextVocabulary.START) | (tokens == TextVocabulary.END)
        return sample | {"tokens": tf.where(kept, tokens, TextVocabulary.UNKNOWN)}

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.size(sample["tokens"])

    def corpus_lengths(self, corpus: LabelledTexts) -> np.ndarray:
        return np.array([2 + min(LIMIT, len(self.vocabulary.encode(text))) for text in corpus.texts])

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        inputs = {"tokens": _padded(batch["tokens"], round_to), "lengths": batch["token_lengths"]}
        return inputs, {"label": batch["label"]}


def _padded(tokens, round_to):
    import tensorflow as tf

    return tf.pad(tokens, ((0, 0), (0, -tf.shape(tokens)[1] % (round_to // 8))))


class LanguageModels:
    """A classifier's embedding and first LSTMs as two language models, and what trains them.

    One direction reads a text forwards and says the next token, the other reads it backwards and says the one
    before; both with the same output layer, whose rows are the embeddings. Training them trains the
    classifier's weights. This is to ``recipes.training.loop`` what a ``Task`` is; what it saves is the
    classifier.

    Args:
        task: the ``TextClassifier``.
    """

    def __init__(self, task: TextClassifier) -> None:
        self.save, self.set_weights, self.uncalibrate = task.save, task.set_weights, task.uncalibrate
        self.encode_sample, self.corpus_lengths = task.encode_sample, task.corpus_lengths
        self.is_learnable, self.sample_length = task.is_learnable, task.sample_length
        tokens, lengths = task.network.input["tokens"], task.network.input["lengths"]
        x = task.recurrent[0](task.drop(task.embed(tokens)), lengths)
        x = layers.Dense(task.config.embedding, name="narrow")(task.drop(Directions(name="directions")(x)))
        logits = Logits(len(task.vocabulary), task.embed, dtype="float32", name="next")(x)
        self.network = keras.Model({"tokens": tokens, "lengths": lengths}, logits, name="language_models")

    def training_model(self) -> keras.Model:
        return NextToken(self.network)

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        return sample

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tokens that follow, then those that precede, each with the batch's rows."""
        import tensorflow as tf

        tokens, lengths = _padded(batch["tokens"], round_to), batch["token_lengths"]
        target = tf.concat([tokens[:, 1:], tokens[:, :-1]], 0)
        labels = {"target": target, "target_lengths": tf.tile(lengths - 1, (2,))}
        return {"tokens": tokens, "lengths": lengths}, labels

    def perplexity(self, batches: Iterable) -> float:
        """The exponential of the mean cross-entropy of a token; ``batches`` as ``collate`` gives them."""
        return perplexity(self.network, batches)


# === Layers ===


class Directions(layers.Layer):
    """Both directions of a layer one behind the other: what knows the tokens up to one of which to say the
    next, then what knows those from one on of which to say the one before.

    ``[batch, time, 2 * units]`` -> ``[2 * batch, time - 1, units]``.
    """

    def call(self, x: Any) -> Any:
        units = x.shape[-1] // 2
        return ops.concatenate([x[:, :-1, :units], x[:, 1:, units:]], 0)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, None, x.shape[-1] // 2), x.dtype)


TASK = TextClassifier
