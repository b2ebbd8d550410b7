"""Options of ``zoo predict`` and ``zoo evaluate`` that readers understand, and the checks of their values.

A reader lists its own in ``Reader.options``; those that several families share are here. The ``zoo`` command
turns them into arguments, so that ``zoo predict MODEL --help`` shows those of that model.
"""

from __future__ import annotations

import argparse
import collections.abc
import dataclasses
import math
import secrets
from typing import Any

from zoo.errors import UserError


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a reader.

    Attributes:
        name: the keyword argument of ``Reader.stream``; on the command line ``--beam-width`` for
            ``beam_width``.
        help: a sentence.
        kind: from the text to the value; raises ``argparse.ArgumentTypeError``.
        metavar: what stands for the value in the help.
        choices: the values that it may have, where these are few.
        evaluates: whether ``zoo evaluate`` has it, too.
        predicts: whether ``zoo predict`` has it, too.
        is_flag: it has no value; given, it is True.
    """

    name: str
    help: str
    kind: collections.abc.Callable = str
    metavar: str | None = None
    choices: tuple | None = None
    evaluates: bool = True
    predicts: bool = True
    is_flag: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


def pairs(text: str) -> list:
    """``ſ=s uͤ=ü`` as pairs, for argparse."""
    found = [tuple(part.split("=", 1)) for part in text.split()]
    if not found or not all(len(pair) == 2 and pair[0] for pair in found):
        raise argparse.ArgumentTypeError(f"{text!r}: give pairs such as 'ſ=s uͤ=ü'")
    return found


BEAM_WIDTH = Option("beam_width", "width of the beam search: how many hypotheses it keeps", positive, "N")
LENGTH_PENALTY = Option("length_penalty", "more favours long texts; 0 is none", float, "X")
N_BEST = Option(
    "n_best",
    "give N results for each input, best first (or as drawn): N lines of score, tab and text, empty ones "
    "where fewer were found; tsv: input, score, text; json: hypotheses",
    positive, "N", evaluates=False,
)  # fmt: skip
SAME = Option(
    "same", "what counts as equal, such as 'ſ=s uͤ=ü ¬=-': the first is taken for the second", pairs, "A=B …",
    predicts=False,
)  # fmt: skip
TEMPERATURE = Option(
    "temperature",
    "draw by probability instead of searching; 1: by the model's own probabilities, less: likely ones more "
    "often, 0: always the likeliest",
    float, "T",
)  # fmt: skip
TOP_K = Option("top_k", "draw each from the N likeliest alone", positive, "N")
SEED = Option("seed", "draws the same again; without one, each run draws anew", whole, "N")


def checked_search(
    config: dict[str, Any], results: str, n_best: int = 1, beam_width: int | None = None,
    length_penalty: float | None = None,
) -> tuple[int, float]:  # fmt: skip
    """What a beam search is to be, by default as a model's configuration says.

    Args:
        config: dict with ``beam_width`` and ``length_penalty``.
        results: for messages: "captions of an image".

    Returns:
        ``(beam_width, length_penalty)``.

    Raises:
        UserError: there can be no such search.
    """
    if n_best < 1 or (beam_width is not None and beam_width < 1):
        raise UserError(f"a beam width and a number of {results.split()[0]} are 1 or more")
    if beam_width is None:
        beam_width = max(n_best, config["beam_width"])
    if n_best > beam_width:
        raise UserError(
            f"{n_best} {results} cannot be found with a beam width of {beam_width}: "
            "give one as large, or none"
        )
    if length_penalty is None:
        length_penalty = config["length_penalty"]
    if not 0 <= length_penalty < math.inf:
        raise UserError(f"a length penalty is 0 or more, not {length_penalty}")
    return beam_width, length_penalty


def checked_sampling(
    classes: int, temperature: float, top_k: int | None = None, seed: int | None = None
) -> tuple[float, int, int]:
    """What sampling is to be.

    Args:
        classes: how many tokens there are to draw from.
        temperature: what divides the logits.
        top_k: each token is drawn from as many likeliest ones; None: from all.
        seed: None for another at each call.

    Returns:
        ``(temperature, top_k, seed)``, where a ``top_k`` of 0 is all.

    Raises:
        UserError: there can be no such sampling.
    """
    if not 0 <= temperature < math.inf:
        raise UserError(f"a temperature is 0 or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise UserError(f"top-k is 1 or more, not {top_k}")
    if seed is not None and seed < 0:
        raise UserError(f"a seed is 0 or more, not {seed}")
    limit = top_k if top_k and top_k < classes else 0
    return temperature, limit, secrets.randbits(32) if seed is None else seed
