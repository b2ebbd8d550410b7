"""Character language model: which character comes next, given all before it; to write text, and to score it.

Mikolov et al. 2010, "Recurrent neural network based language model"; with LSTMs and dropout between layers,
but not between steps, Zaremba et al. 2014, "Recurrent neural network regularization".

What has been read is the state of the recurrent layers, and nothing else: the last layer's output gives the
scores of the next character. Before the first there is the state of zeros, whose scores are the output
layer's bias: about how often each character occurs. So no text needs a token to start it, a text may be
read in pieces of any size, and to begin from nothing is to begin as anywhere in a text.

Where text is scored, a cache may look back further (`zoo.families.char_lm.cache`): program code and TeX say
again what they said before. Text is written without it, or it would go on copying itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.decoding import search as decoding
from zoo.families.char_lm.cache import ContinuousCache
from zoo.families.char_lm.reader import state_shape
from zoo.layers import Recurrent, make_recurrent
from zoo.layers.next_token import Logits, NextToken
from zoo.text.plain import Characters

CELLS = ("lstm", "gru", "simple")  # a state that is carried on for ever has to be bounded
NOTHING = -1  # stands for the token before the first that is drawn, which the state knows already


@dataclasses.dataclass(frozen=True)
class CharLmConfig:
    """What a character language model is made of.

    Attributes:
        cell: kind of all recurrent layers.
        layers: recurrent layers, one upon the other.
        units: units of each recurrent layer.
        embedding: size of the vectors that stand for characters.
        tied_embeddings: the output layer's rows are the embeddings, which are as large as ``units`` then.
        dropout: share of values dropped between layers and before the output.
        cache: characters of a text that scoring looks back upon; 0: no cache. It takes no training, and may
            be given to a model that has been trained without. See ``ContinuousCache``.
        cache_weight: what a past state equal to that of now counts; the network itself counts 1.
        cache_sharpness: how fast that falls with the distance between the states.
    """

    cell: str = "lstm"
    layers: int = 2
    units: int = 512
    embedding: int = 128
    tied_embeddings: bool = False
    dropout: float = 0.3
    cache: int = 0
    cache_weight: float = 4.0
    cache_sharpness: float = 0.2

    def __post_init__(self):
        check_choices(self, cell=CELLS)
        if min(self.cache, self.cache_weight, self.cache_sharpness) < 0:
            raise ValueError("cache, cache_weight and cache_sharpness are 0 or more")
        if self.layers < 1:
            raise ValueError("there is at least one layer")
        if self.tied_embeddings and self.embedding != self.units:
            raise ValueError("tied_embeddings: embedding and units have to be equal")


class CharLm(Task):
    """A character language model. See ``Task`` for what every task offers."""

    name = "char_lm"
    Config = CharLmConfig
    Vocabulary = Characters
    rounded = {"time": 32}
    static = ("top_k",)

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        self._embed = layers.Embedding(len(self.vocabulary), config.embedding, name="embedding")
        self._drop = layers.Dropout(config.dropout, name="dropout")
        self._recurrent = [
            Recurrent(make_recurrent(config.cell, config.units), name=f"recurrent_{i + 1}")
            for i in range(config.layers)
        ]
        self._logits = Logits(
            len(self.vocabulary),
            self._embed if config.tied_embeddings else None,
            dtype="float32",
            name="logits",
        )
        self._cache = None
        if config.cache:
            self._cache = ContinuousCache(config.cache, config.cache_weight, config.cache_sharpness)
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        states = keras.Input((self._own_states, config.units), name="states")
        hidden, new = self._read(tokens, None, states)
        logits = self._logits(self._drop(hidden))
        inputs, outputs = {"tokens": tokens, "states": states}, {"logits": logits, "states": new}
        return keras.Model(inputs, outputs, name=self.name)

    @property
    def state_shape(self) -> tuple[int, int]:
        """See ``zoo.families.char_lm.reader.state_shape``."""
        return state_shape(dataclasses.asdict(self.config))

    @property
    def _own_states(self):
        """States of the network, without the cache's."""
        return state_shape(dataclasses.asdict(self.config) | {"cache": 0})[0]

    def _read(self, tokens, lengths, states):
        """int32 ``[batch, time]`` and the states before -> the last layer's output before each token, and the
        states after them."""
        by_layer = self._by_layer(states)
        before, new = by_layer[-1][0][:, None], []
        x = self._embed(tokens)
        for i, (recurrent, state) in enumerate(zip(self._recurrent, by_layer, strict=True)):
            x, state = recurrent(self._drop(x) if i else x, lengths, state)
            new += state
        before = ops.concatenate([before, x[:, :-1]], 1)
        return before, ops.cast(ops.stack(new, 1), "float32")

    def _by_layer(self, states):
        """``[batch, states, units]`` -> a list of each layer's states."""
        each = 2 if self.config.cell == "lstm" else 1
        return [[states[:, i * each + j] for j in range(each)] for i in range(self.config.layers)]

    # === Decoding ===

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec("tokens", "int32", ("batch", "time"), "token ids of a piece of each text; 0 pads"),
            TensorSpec("lengths", "int32", ("batch",), "how many tokens of the piece count, 0 or more"),
            TensorSpec(
                "states",
                "float32",
                ("batch", *self.state_shape),
                "states before the piece: zeros at the beginning, then new_states of the piece before",
            ),
            TensorSpec(
                "noise",
                "float32",
                ("batch", "steps", len(self.vocabulary)),
                "uniform in 0 to 1; as many tokens are written as it has steps, 0 or more",
            ),
            TensorSpec("temperature", "float32", (), "0 writes the likeliest token, 1 draws by probability"),
            TensorSpec("top_k", "int32", (), "draw from the likeliest so many tokens; 0 draws from all"),
        )
        outputs = (
            TensorSpec(
                "nats",
                "float32",
                ("batch", "time"),
                "-ln probability of each token given all before it; zero behind lengths",
            ),
            TensorSpec("new_states", "float32", ("batch", *self.state_shape), "states after the piece"),
            TensorSpec("sampled_tokens", "int32", ("batch", "steps"), "token ids that go on from the piece"),
            TensorSpec("sampled_scores", "float32", ("batch",), "ln probability of what was written"),
            TensorSpec(
                "sampled_states", "float32", ("batch", *self.state_shape), "states after what was written"
            ),
        )
        return Serving(inputs, outputs, self._serve, self._example, decoding_loops=1)

    def _serve(self, inputs):
        """Reads a piece of each text, and writes how it goes on.

        ``states`` are those before the piece, zeros at the beginning, with the cache behind them;
        ``lengths``, 0 or more, of the tokens that count. ``nats`` is the cost of each, given all before it,
        zero beyond ``lengths``; ``new_states`` are those after them. From there as many tokens are drawn as
        the noise has steps, at 0 ``top_k`` from all; ``sampled_states`` are those after the last of them.
        """
        tokens, lengths, states = inputs["tokens"], inputs["lengths"], inputs["states"]
        states, cached = states[:, : self._own_states], states[:, self._own_states :]
        hidden, new = self._read(tokens, ops.maximum(lengths, 1), states)
        new = ops.where(lengths[:, None, None] > 0, new, states)
        logits = self._logits(hidden)
        chosen = ops.one_hot(tokens, len(self.vocabulary), dtype="float32")
        nats = ops.logsumexp(logits, -1) - ops.sum(logits * chosen, -1)
        if self._cache:
            hidden = ops.cast(hidden, "float32")
            likely, cached = self._cache(ops.exp(-nats), hidden, tokens, lengths, cached)
            nats = -ops.log(ops.maximum(likely, 1e-30))
        within = ops.arange(ops.shape(tokens)[1], dtype="int32")[None, :] < lengths[:, None]
        # That a character is not known cannot be written.
        unsaid = -1e9 * (np.arange(len(self.vocabulary)) == Characters.UNKNOWN)

        def consume(tokens, states):
            x, after = self._embed(ops.maximum(tokens, 0)), []
            for recurrent, state in zip(self._recurrent, self._by_layer(states), strict=True):
                x, state = recurrent.layer.cell(x, state)
                after += state
            return ops.where(tokens[:, None, None] == NOTHING, states, ops.stack(after, 1))

        def step(tokens, states):
            states = consume(tokens, states)
            logits = self._logits(self._by_layer(states)[-1][0])
            return logits + ops.cast(unsaid, logits.dtype), states

        drawn = decoding.sample(
            step, new, NOTHING, inputs["noise"], inputs["temperature"], inputs["top_k"], keep_state=True
        )
        after = consume(drawn["last"], drawn["state"])
        return {
            "nats": nats * ops.cast(within, nats.dtype),
            "new_states": ops.concatenate([new, cached], 1),
            "sampled_tokens": drawn["tokens"],
            "sampled_scores": drawn["scores"],
            "sampled_states": ops.concatenate([after, cached], 1),
        }

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(0, 9, batch).astype("int32")
        time = max(1, lengths.max()) + seed % 2
        states = random.uniform(-1, 1, (batch, *self.state_shape)) * (seed % 3 > 0)
        known = states[:, self._own_states + self.config.cache :]  # the tokens that are cached
        known[:] = random.integers(0, len(self.vocabulary) + 1, known.shape)
        return {
            "tokens": random.integers(0, len(self.vocabulary), (batch, time)).astype("int32"),
            "lengths": lengths,
            "states": states.astype("float32"),
            "noise": random.random((batch, 3 * seed, len(self.vocabulary))).astype("float32"),
            "temperature": np.array(0.5 * (seed % 4), "float32"),
            "top_k": np.array(3 * (seed % 3), "int32"),
        }

    # === Training ===

    def scale_logits(self, factor: float) -> None:
        """Multiply all logits: below 1 the model is less sure. Not with ``tied_embeddings``.

        Raises:
            ValueError: the embeddings are the output layer's rows, and would change, too.
        """
        if self.config.tied_embeddings:
            raise ValueError("tied embeddings cannot be scaled in the output layer alone")
        for weight in (self._logits.kernel, self._logits.bias):
            weight.assign(weight * factor)

    def training_model(self) -> keras.Model:
        """The network with its cross-entropy, for ``fit`` on ``zoo.families.char_lm.corpus.Streams``."""
        return CarriedStates(self.network)


class CarriedStates(NextToken):
    """For truncated back-propagation through time: a chunk begins with the states that the last one left.

    The inputs are ``tokens``, int32 ``[streams, chunk]``, and ``fresh``, bool ``[streams]``: where it is
    true, a stream begins, with zeros. Gradients end where the chunk begins.

    Attributes:
        states: float32 ``[streams, states, units]``, made for as many streams as the first batch has.
    """

    def build(self, shapes: Any) -> None:
        shape = shapes["tokens"][0], *self.network.output["states"].shape[1:]
        self.states = self.add_weight(
            shape=shape, initializer="zeros", dtype="float32", trainable=False, name="states"
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        states = ops.where(inputs["fresh"][:, None, None], 0.0, self.states.value)
        found = self.network({"tokens": inputs["tokens"], "states": states}, training=training)
        if training:
            self.states.assign(ops.stop_gradient(found["states"]))
        return found["logits"]


TASK = CharLm
