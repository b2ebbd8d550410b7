"""A cache of what followed when a recurrent network's state was as it is now, for scoring text.

Grave et al. 2017, "Improving Neural Language Models with a Continuous Cache": what a text has said, it says
again. The states that a network was in before each of the last characters are kept with those characters;
where the state of now is near to one of them, what came then is likely to come again. Nearness is by
distance, as in Khandelwal et al. 2020, "Generalization through Memorization", rather than by dot product: so
a state like none before leaves the network's probabilities as they are.
"""

from __future__ import annotations

from typing import Any

from keras import ops


class ContinuousCache:
    """Probabilities of characters with what the cache knows of them.

    Args:
        size: characters that are looked back upon, 1 or more.
        weight: what a past state equal to that of now counts; the network itself counts 1.
        sharpness: how fast that falls: ``weight * exp(-sharpness * squared distance)``.
    """

    def __init__(self, size: int, weight: float, sharpness: float) -> None:
        self.size, self.weight, self.sharpness = size, weight, sharpness

    def __call__(
        self, probabilities: Any, hidden: Any, tokens: Any, lengths: Any, rows: Any
    ) -> tuple[Any, Any]:
        """Read a piece of each text.

        Args:
            probabilities: of ``tokens`` by the network alone, float32 ``[batch, time]``.
            hidden: the states before them, float32 ``[batch, time, units]``.
            tokens: int32 ``[batch, time]``, from 0.
            lengths: int32 ``[batch]``, 0 or more, of the tokens that count.
            rows: the cache before the piece, float32 ``[batch, size + ceil(size / units), units]``: a state
                for each character, then the characters' tokens, each one more. Zeros are an empty cache.

        Returns:
            ``(probabilities, rows)``: those with the cache, and the cache after ``lengths`` tokens.
        """
        units, size = hidden.shape[-1], self.size
        batch, time = ops.shape(tokens)[0], ops.shape(tokens)[1]
        known = ops.reshape(rows[:, size:], (batch, -1))[:, :size]  # a token and 1, 0 where there is none
        known = ops.concatenate([ops.cast(known, "int32"), tokens + 1], 1)
        keys = ops.concatenate([rows[:, :size], hidden], 1)

        products = ops.matmul(hidden, ops.transpose(keys, (0, 2, 1)))
        squares = ops.sum(ops.square(keys), -1)
        distances = squares[:, size:, None] + squares[:, None] - 2 * products
        now, place = ops.arange(time)[:, None], ops.arange(size + time)
        seen = (place >= now) & (place < now + size) & (known > 0)[:, None]
        mass = self.weight * ops.exp(-self.sharpness * ops.maximum(distances, 0.0))
        mass = ops.where(seen, mass, 0.0)
        same = known[:, None] == tokens[:, :, None] + 1
        found = probabilities + ops.sum(ops.where(same, mass, 0.0), -1)
        found = found / (1 + ops.sum(mass, -1))

        last = lengths[:, None] + ops.arange(size, dtype="int32")
        place = ops.reshape(last + ops.arange(batch, dtype="int32")[:, None] * (size + time), (-1,))
        keys = ops.take(ops.reshape(keys, (-1, units)), place, 0)
        known = ops.reshape(ops.take(ops.reshape(known, (-1,)), place, 0), (batch, size))
        known = ops.pad(ops.cast(known, "float32"), ((0, 0), (0, -size % units)))
        keys, known = (ops.reshape(one, (batch, -1, units)) for one in (keys, known))
        return found, ops.concatenate([keys, known], 1)
