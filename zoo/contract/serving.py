"""What exporters know of a task: its tensors, and the function from raw input to decoded output."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An input or output of a served model. Dimensions are ints or the names of variable ones.

    ``doc`` says what a program that feeds it has to know: unit, range, what pads.
    """

    name: str
    dtype: str
    shape: tuple
    doc: str = ""


def hypotheses(end: str) -> tuple[TensorSpec, TensorSpec, TensorSpec]:
    """What a beam search serves, three ``TensorSpec``; ``end`` is what the token 3 is called."""
    beam = ("batch", "beam")
    tokens = f"token ids of each hypothesis, the best first; behind token_lengths comes 3 ({end}), then 0"
    return (
        TensorSpec("tokens", "int32", (*beam, "time"), tokens),
        TensorSpec("token_lengths", "int32", beam, "token ids of each hypothesis without its end"),
        TensorSpec("scores", "float32", beam, "ln probability of each hypothesis; -inf where there is none"),
    )


def attention(*shape: Any) -> TensorSpec:
    """What a model that attends serves of that; its shape without the batch."""
    what = "what the best hypothesis looked at to write each token"
    return TensorSpec("attention", "float32", ("batch", *shape), what)


@dataclasses.dataclass(frozen=True)
class Serving:
    """From raw input to decoded output: all that the exporters know of a task.

    Attributes:
        inputs, outputs: tuples of ``TensorSpec``.
        function: maps a dict of TensorFlow tensors to a dict of TensorFlow tensors.
        example: ``example(batch, seed)`` gives a dict of random valid NumPy inputs of several lengths.
        decoding_loops: how many loops its decoding needs; an export with more has to say why.
        of_task: whether output names have the meanings that ``export.verify`` knows: ``lengths``,
            ``log_probs``, ``tokens``, ``scores``, ``attention``.
        tolerances: ``{output: how far it may differ}``, of those in which rounding grows from step to step.
        decides_lengths: whether the model itself decides how long an output is, such as sound.
        shows_ranges: whether values in the network are in examples as large as in real inputs, so that scales
            of 8 bits may be taken from them.
        rounded: ``rounded(inputs, seed)`` gives outputs as they are where all numbers are rounded a little
            otherwise, or None.
    """

    inputs: tuple
    outputs: tuple
    function: callable
    example: callable
    decoding_loops: int = 0
    of_task: bool = True
    tolerances: dict = dataclasses.field(default_factory=dict)
    decides_lengths: bool = False
    rounded: callable = None
    shows_ranges: bool = False
