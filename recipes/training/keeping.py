"""Fine-tuning that does not forget: samples of what the preset can do are learned along (rehearsal).

Of what a network can do, fine-tuning on other data alone undoes a part (McCloskey & Cohen 1989), and learning
a few of the old samples along with the new is what prevents it best (Robins 1995, "Catastrophic forgetting,
rehearsal and pseudorehearsal"; docs/fine_tuning.md has the figures, and what else was tried).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recipes.training.setup import tell

if TYPE_CHECKING:
    from zoo.data.samples import Samples

ENOUGH = 1000  # of them, where there are so many; with 300 the old errors grow by half as much again


def corpora(options: argparse.Namespace, load: Callable) -> tuple[Samples, Samples, Samples | None]:
    """What a run learns from, and what it validates on.

    Args:
        options: of the command line. ``keep`` names corpora of samples that are not to be forgotten; without
            it, there are none.
        load: the recipe's function from options to ``(learn, check)``.

    Returns:
        ``(learn, check, kept)``: half of the samples to learn are to be kept, or more where few are new;
        ``kept`` are others of them to validate on, or None.
    """
    learn, check = load(options)
    if not getattr(options, "keep", None):
        return learn, check, None
    aside = {"data": options.keep, "validation": None, "hold_out": None, "action": "keep"}
    print("To be kept:")
    old, kept = load(argparse.Namespace(**vars(options) | aside))
    count = learn.shown()
    old = old.sample(max(count, ENOUGH))
    if old.shown() < count:
        old = old.repeated(np.full(len(old), round(count / old.shown())))
    both = learn.joined(old)
    own, every = ({name.partition("/")[0] for name in one.names} for one in (learn, both))
    tell(options, kept=sorted(every - own))
    return both, check, kept


def validation(measure: Callable, check: Samples, kept: Samples | None) -> Callable[[], dict]:
    """The function for ``recipes.training.loop.train``, which chooses the best epoch by both sides alike.

    Args:
        measure: from samples to the function that measures on them, as ``loop.train`` takes it.
        check: samples to validate on.
        kept: those that show what is kept, or None.

    Returns:
        ``measure(check)``; where there are kept ones a function that gives ``mean_METRIC``, of both sides,
        first, and the scores on the kept ones as ``kept_METRIC``.
    """
    of_new = measure(check)
    if kept is None:
        return of_new
    of_kept = measure(kept)

    def both():
        scores, old = of_new(), of_kept()
        del old["examples"]
        metric = next(iter(scores))
        mean = (scores[metric] + old[metric]) / 2
        return {f"mean_{metric}": mean, **scores, **{f"kept_{name}": value for name, value in old.items()}}

    return both
