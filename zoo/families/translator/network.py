"""Translation: a sentence in one language -> the same in another, as subwords.

Sutskever, Vinyals, Le 2014, "Sequence to Sequence Learning with Neural Networks": an encoder, a stack of
recurrent layers, reads the source *in reverse*, so that the first words of both sides are near to one
another; its last states are where the decoder, a stack alike, begins to write. All that is known of the
source is that context of fixed size, unless the decoder may look back (``context="attention"``).

The way of a sentence: subwords ``[source]`` -> the encoder's outputs and states -> scores of the next
subword, with the subwords before as given (``network``), or as found by beam search (``serving``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec, attention, hypotheses
from zoo.contract.task import Task
from zoo.decoding import search as decoding
from zoo.layers import KINDS, Recurrent, make_recurrent, reverse_by_length
from zoo.layers.attention import LuongAttention
from zoo.layers.next_token import Logits, NextToken, perplexity
from zoo.text.subwords import Subwords

if TYPE_CHECKING:
    from zoo.families.translator.corpus import Parallel

CONTEXTS = ("initial_state", "every_step", "attention")


@dataclasses.dataclass(frozen=True)
class TranslatorConfig:
    """What a translator is made of.

    Attributes:
        source: code of the language that is translated.
        target: code of the language into which it is translated.
        cell: kind of all recurrent layers.
        layers: recurrent layers of the encoder, and as many of the decoder.
        units: units of each recurrent layer.
        embedding: size of the vectors that stand for subwords.
        reverse_source: the encoder reads the source from its end.
        bidirectional: every layer of the encoder is two of half the units, one for each direction.
        context: what the decoder knows of the source: ``initial_state``, where it begins (Sutskever et al.);
            ``every_step``, besides that the encoder's last output as an input of each step (Cho et al. 2014,
            "Learning Phrase Representations"); ``attention``, besides where it begins a look at all outputs
            of the encoder in each step (Luong et al. 2015, "Effective Approaches", general score).
        share_weights: the recurrent layers of encoder and decoder are the same.
        tied_embeddings: the output layer's rows are the embeddings.
        dropout: share of values dropped from embeddings, between layers and before the output.
        label_smoothing: share of the target's probability that is spread over all subwords (Szegedy et al.
            2016, section 7).
        subword_temperature: how much training varies the cuts of words, 0 not at all. See ``Subwords.vary``.
        beam_width: width of the beam search: how many hypotheses it keeps. See ``zoo.decoding.search``.
        length_penalty: of the beam search; more favours long sentences, 0 is none.
    """

    source: str = "en"
    target: str = "de"
    cell: str = "lstm"
    layers: int = 1
    units: int = 512
    embedding: int = 256
    reverse_source: bool = True
    bidirectional: bool = False
    context: str = "attention"
    share_weights: bool = False
    tied_embeddings: bool = True
    dropout: float = 0.3
    label_smoothing: float = 0.1
    subword_temperature: float = 0.0
    beam_width: int = 5
    length_penalty: float = 1.0

    def __post_init__(self):
        check_choices(self, cell=KINDS, context=CONTEXTS)
        if self.bidirectional and self.cell in ("skip", "removed"):
            raise ValueError("bidirectional: the states of skip and removed cannot be joined")
        if self.share_weights and (self.bidirectional or self.context == "every_step"):
            raise ValueError("share_weights: a decoder has no second direction, and no input but subwords")
        if self.bidirectional and self.units % 2:
            raise ValueError("bidirectional: units are halved, so they are an even number")


class Translator(Task):
    """A translator. See ``Task`` for what every task offers."""

    name = "translator"
    Config = TranslatorConfig
    Vocabulary = Subwords
    rounded = {"batch": 32, "source_time": 32}
    static = ("beam_width", "length_penalty", "max_length")

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        self._embed = layers.Embedding(len(self.vocabulary), config.embedding, name="embedding")
        self._drop = layers.Dropout(config.dropout, name="dropout")
        self._reverse = Reversed(name="reverse")
        half = config.units // 2 if config.bidirectional else config.units
        self._encoder = [self._recurrent(f"encoder_{i + 1}", half) for i in range(config.layers)]
        self._backward = []
        if config.bidirectional:
            self._backward = [self._recurrent(f"backward_{i + 1}", half) for i in range(config.layers)]
        self._decoder = self._encoder
        if not config.share_weights:
            self._decoder = [self._recurrent(f"decoder_{i + 1}", config.units) for i in range(config.layers)]
        if config.context == "attention":
            self._attention = LuongAttention(config.units, name="attention")
        if config.tied_embeddings:
            self._narrow = layers.Dense(config.embedding, name="narrow")
        self._logits = Logits(
            len(self.vocabulary),
            self._embed if config.tied_embeddings else None,
            dtype="float32",
            name="logits",
        )
        source = keras.Input((None,), dtype="int32", name="source")
        source_lengths = keras.Input((), dtype="int32", name="source_lengths")
        target = keras.Input((None,), dtype="int32", name="target")
        memory, states = self._encode(source, source_lengths)
        x = self._decoder_input(target, self._context(states))
        for recurrent, state in zip(self._decoder, states, strict=True):
            x, _ = recurrent(self._drop(x), None, state)
        if config.context == "attention":
            x, _ = self._attention(x, memory, source_lengths)
        inputs = {"source": source, "source_lengths": source_lengths, "target": target}
        return keras.Model(inputs, self._output(x), name=self.name)

    def _recurrent(self, name, units):
        return Recurrent(make_recurrent(self.config.cell, units), name=name)

    def _encode(self, source, lengths):
        """Subwords -> the last layer's outputs ``[batch, source, units]`` and each layer's last states."""
        x = self._embed(source)
        if self.config.reverse_source:
            x = self._reverse(x, lengths)
        states = []
        for i, recurrent in enumerate(self._encoder):
            x = self._drop(x)
            y, state = recurrent(x, lengths)
            if self.config.bidirectional:
                back, state_back = self._backward[i](self._reverse(x, lengths), lengths)
                y = ops.concatenate([y, self._reverse(back, lengths)], -1)
                state = [ops.concatenate(both, -1) for both in zip(state, state_back, strict=True)]
            x = y
            states.append(state)
        return x, states

    def _context(self, states):
        """What the decoder gets in each step besides subwords: ``[batch, units]``, or None."""
        return states[-1][0][:, : self.config.units] if self.config.context == "every_step" else None

    def _decoder_input(self, target, context):
        x = self._embed(target)
        if context is None:
            return x
        steps = ops.ones_like(x[:, :, :1])
        return ops.concatenate([x, context[:, None] * steps], -1)

    def _output(self, x):
        x = self._drop(x)
        return self._logits(self._narrow(x) if self.config.tied_embeddings else x)

    # === Decoding ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self, "_encode"

    @property
    def serving(self) -> Serving:
        attends = self.config.context == "attention"
        inputs = (
            TensorSpec(
                "source",
                "int32",
                ("batch", "source_time"),
                "token ids of each sentence, closed by 3 (</s>); 0 pads",
            ),
            TensorSpec(
                "source_lengths",
                "int32",
                ("batch",),
                "token ids of each sentence, the closing 3 included, 1 or more",
            ),
            TensorSpec("beam_width", "int32", (), "hypotheses that the search keeps, 1 or more"),
            TensorSpec(
                "length_penalty",
                "float32",
                (),
                "0 or more; more favours long translations (Wu et al. 2016, equation 14)",
            ),
            TensorSpec(
                "max_length",
                "int32",
                (),
                "most tokens of a translation, 1 or more; the reader gives twice the source's, at least 32",
            ),
        )
        outputs = (
            *hypotheses("</s>"),
            *([attention("time", "source_time")] if attends else []),
        )
        return Serving(inputs, outputs, self._serve, self._example, decoding_loops=1)

    def _serve(self, inputs):
        """Beam search for every sentence.

        ``source`` is ended by ``Subwords.END``, which ``source_lengths`` counts. ``attention`` is that of the
        best translation: what the decoder looked at to write each of its subwords.
        """
        source, lengths = inputs["source"], inputs["source_lengths"]
        memory, states = self._encode(source, lengths)
        context = self._context(states)
        keys = self._attention.keys(memory) if self.config.context == "attention" else None

        def step(tokens, states):
            x = self._embed(tokens)
            if context is not None:
                # Beams lie side by side: as many rows of x belong to one row of the context.
                rows = ops.reshape(x, (ops.shape(context)[0], -1, x.shape[-1]))
                wide = context[:, None] * ops.ones_like(rows[:, :, :1])
                x = ops.reshape(ops.concatenate([rows, wide], -1), (-1, x.shape[-1] + context.shape[-1]))
            new = []
            for recurrent, state in zip(self._decoder, states, strict=True):
                x, state = recurrent.layer.cell(x, state)
                new.append(state)
            if keys is not None:
                rows = ops.reshape(x, (ops.shape(memory)[0], -1, x.shape[-1]))
                rows, _ = self._attention.look(rows, memory, keys, lengths)
                x = ops.reshape(rows, (-1, x.shape[-1]))
            return self._output(x), new

        found = decoding.beam_search(
            step, states, Subwords.START, Subwords.END, inputs["max_length"], inputs["beam_width"],
            inputs["length_penalty"], pad=Subwords.PAD,
        )  # fmt: skip
        served = {"tokens": found["tokens"], "token_lengths": found["lengths"], "scores": found["scores"]}
        if keys is not None:
            best = found["tokens"][:, 0]
            x = self._embed(ops.concatenate([ops.full_like(best[:, :1], Subwords.START), best[:, :-1]], 1))
            for recurrent, state in zip(self._decoder, states, strict=True):
                x, _ = recurrent(x, None, state)
            served["attention"] = self._attention.look(x, memory, keys, lengths)[1]
        return served

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 9, batch).astype("int32")
        source = np.zeros((batch, lengths.max() + seed % 2), "int32")
        for row, length in zip(source, lengths, strict=True):
            row[: length - 1] = random.integers(Subwords.END + 1, len(self.vocabulary), length - 1)
            row[length - 1] = Subwords.END
        return {
            "source": source,
            "source_lengths": lengths,
            "beam_width": np.array(1 + seed % 4, "int32"),
            "length_penalty": np.array(0.5 * (seed % 3), "float32"),
            "max_length": np.array(12, "int32"),
        }

    # === Training ===

    def training_model(self) -> keras.Model:
        """The network with its cross-entropy, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return NextToken(self.network, self.config.label_smoothing)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``source`` and ``target``, ended, int32."""
        import tensorflow as tf

        def encode(*texts):
            return [np.array([*self.vocabulary.encode(t.decode()), Subwords.END], np.int32) for t in texts]

        rows = tf.numpy_function(encode, [sample["source"], sample["text"]], [tf.int32] * 2, stateful=False)
        return {
            name: tf.ensure_shape(row, (None,)) for name, row in zip(("source", "target"), rows, strict=True)
        }

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """The same sentences, their words cut anew."""
        from zoo.data.pipeline import vary_subwords

        temperature = self.config.subword_temperature
        if not temperature:
            return sample
        return {
            name: vary_subwords(self.vocabulary, rows, temperature, seed + i)
            for i, (name, rows) in enumerate(sample.items())
        }

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        """Subwords of the longer side: what buckets go by."""
        import tensorflow as tf

        return tf.maximum(tf.size(sample["source"]), tf.size(sample["target"]))

    def corpus_lengths(self, corpus: Parallel) -> np.ndarray:
        return np.array(
            [
                1 + max(len(self.vocabulary.encode(source)), len(self.vocabulary.encode(target)))
                for source, target in zip(corpus.sources, corpus.texts, strict=True)
            ]
        )

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        def padded(rows):
            return tf.pad(rows, ((0, 0), (0, -tf.shape(rows)[1] % (round_to // 8))))

        source, target = padded(batch["source"]), padded(batch["target"])
        start = tf.fill((tf.shape(target)[0], 1), Subwords.START)
        before = tf.concat([start, target[:, :-1]], 1)
        inputs = {"source": source, "source_lengths": batch["source_lengths"], "target": before}
        return inputs, {"target": target, "target_lengths": batch["target_lengths"]}

    def perplexity(self, batches: Iterable) -> float:
        """The exponential of the mean cross-entropy of a subword; ``batches`` as ``collate`` gives them."""
        return perplexity(self.network, batches)


@keras.saving.register_keras_serializable("seqzoo")
class Reversed(layers.Layer):
    """Each sequence from its end, the padding left behind it: see ``zoo.layers.reverse_by_length``."""

    def call(self, x: Any, lengths: Any) -> Any:
        return reverse_by_length(x, lengths)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


TASK = Translator
