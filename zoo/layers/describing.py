"""What writes sentences on what was seen, word by word: an image, or what happened over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops, tree

from zoo.layers.attention import LuongAttention
from zoo.layers.memory import make_recurrent
from zoo.layers.next_token import Logits
from zoo.layers.pooling import Pooling
from zoo.layers.recurrent import Recurrent

SEEN_AT = ("first_step", "every_step", "attention")


@keras.saving.register_keras_serializable("seqzoo")
class DescribingDecoder(layers.Layer):
    """A recurrent layer that writes sentences on what an encoder saw.

    Inputs: ``features`` ``[batch, places, depth]``, what was seen at each place, of an image or in time;
    int32 ``before`` ``[batch, sentences, time]``, the words before each word of each sentence, so that the
    sentences on one thing share its features; int32 ``lengths`` ``[batch]`` of the places, or None where all
    count.
    Output: logits of the words, float32 ``[batch * sentences, time, words]``.

    Args:
        words: how many there are.
        seen_at: where the recurrent layer gets to know what was seen, one of ``SEEN_AT``: ``first_step``, as
            if it were the word before the first; ``every_step``, beside each word; ``attention``, where it
            begins, and in each step by a look at all places.
        cell, units: kind and units of the recurrent layer.
        embedding: size of the vectors that stand for words.
        tied_embeddings: the output layer's rows are the embeddings.
        dropout: share of values dropped from embeddings and before the output.
    """

    def __init__(
        self, words: int, seen_at: str, cell: str, units: int, embedding: int, tied_embeddings: bool,
        dropout: float, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self._arguments = {
            "words": words, "seen_at": seen_at, "cell": cell, "units": units, "embedding": embedding,
            "tied_embeddings": tied_embeddings, "dropout": dropout,
        }  # fmt: skip
        self.seen_at = seen_at
        self._embed = layers.Embedding(words, embedding, name="embedding")
        self._drop, self._mean = layers.Dropout(dropout, name="dropout"), Pooling("mean", name="mean")
        self._recurrent = Recurrent(make_recurrent(cell, units), name=cell)
        self._sizes = tree.flatten(self._recurrent.layer.cell.state_size)
        self._narrow = layers.Dense(embedding, name="narrow") if tied_embeddings else None
        self._logits = Logits(words, self._embed if tied_embeddings else None, dtype="float32", name="logits")
        if seen_at == "attention":
            self._initial = [
                layers.Dense(size, activation="tanh", name=f"initial_{name}")
                for name, size in zip("hc", self._sizes, strict=False)
            ]
            self._attention = LuongAttention(units, scaled=True, name="attention")
        else:
            self._image = layers.Dense(embedding, name="image")

    def build(self, features_shape: tuple, before_shape: tuple, lengths_shape: tuple | None = None) -> None:
        units, embedding = self._arguments["units"], self._arguments["embedding"]
        depth = features_shape[-1]
        self._embed.build()
        self._recurrent.build((None, None, embedding * (2 if self.seen_at == "every_step" else 1)))
        if self._narrow:
            self._narrow.build((None, units))
        self._logits.build((None, embedding if self._narrow else units))
        if self.seen_at == "attention":
            for dense in self._initial:
                dense.build((None, depth))
            self._attention.build((None, None, units), (None, None, depth))
        else:
            self._image.build((None, depth))

    def begin(self, features: Any, lengths: Any = None) -> tuple[Any, list]:
        """What was seen -> ``(memory, states)``, before the first word.

        ``memory`` is what it is in every step: places, keys and lengths that attention looks at,
        ``[batch, places, depth or units]`` and ``[batch]``, or one embedding of all, ``[batch, embedding]``.
        """
        if lengths is None:
            mean = ops.mean(features, 1)
        else:
            mean = ops.cast(self._mean(features, lengths), features.dtype)
        if self.seen_at == "attention":
            memory = features, self._attention.keys(features), lengths
            return memory, [dense(mean) for dense in self._initial]
        seen = self._image(mean)
        none = ops.zeros_like(seen[:, :1])
        states = [none * ops.zeros((1, size), seen.dtype) for size in self._sizes]
        if self.seen_at == "first_step":
            _, states = self._recurrent.layer.cell(seen, states)
        return seen, list(states)

    def step(self, memory: Any, tokens: Any, states: Any) -> tuple[Any, list]:
        """One word on: int32 ``[batch * beams]`` and the states -> logits and the new states.

        The beams of one thing lie side by side.
        """
        x = self._embed(tokens)
        if self.seen_at == "every_step":
            rows = ops.reshape(x, (ops.shape(memory)[0], -1, x.shape[-1]))
            rows = ops.concatenate([rows, memory[:, None] * ops.ones_like(rows[:, :, :1])], -1)
            x = ops.reshape(rows, (-1, rows.shape[-1]))
        x, states = self._recurrent.layer.cell(x, states)
        if self.seen_at == "attention":
            rows = ops.reshape(x, (ops.shape(memory[0])[0], -1, x.shape[-1]))
            rows, _ = self._attention.look(rows, *memory)
            x = ops.reshape(rows, (-1, x.shape[-1]))
        return self._output(x), list(states)

    def attended(self, memory: Any, states: Any, before: Any) -> Any:
        """Where each word looked, ``[batch, time, places]``; ``before`` int32 ``[batch, time]``."""
        x, _ = self._recurrent(self._embed(before), None, states)
        return self._attention.look(x, *memory)[1]

    def call(self, features: Any, before: Any, lengths: Any = None) -> Any:
        sentences, time = ops.shape(before)[1], ops.shape(before)[2]
        memory, states = self.begin(features, lengths)
        states = [ops.repeat(state, sentences, axis=0) for state in states]
        x = self._embed(ops.reshape(before, (-1, time)))
        if self.seen_at == "every_step":
            seen = ops.repeat(memory, sentences, axis=0)[:, None]
            x = ops.concatenate([x, seen * ops.ones_like(x[:, :, :1])], -1)
        x, _ = self._recurrent(self._drop(x), None, states)
        if self.seen_at == "attention":
            # To look once for all sentences on one thing, they lie one behind the other.
            x, _ = self._attention.look(ops.reshape(x, (-1, sentences * time, x.shape[-1])), *memory)
            x = ops.reshape(x, (-1, time, x.shape[-1]))
        return self._output(x)

    def compute_output_spec(self, features: Any, before: Any, lengths: Any = None) -> Any:
        return keras.KerasTensor((None, before.shape[2], self._arguments["words"]), "float32")

    def _output(self, x):
        x = self._drop(x)
        return self._logits(self._narrow(x) if self._narrow else x)

    def drop(self, share: float) -> None:
        """From now on, training drops this share of values."""
        self._drop.rate = share

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}
