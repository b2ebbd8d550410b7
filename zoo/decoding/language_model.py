"""What readers share that decode CTC greedily, or by beam search with a language model that they may ship."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoo.contract.options import Option
from zoo.contract.reader import Metric
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contract.reader import Reader
    from zoo.contract.task import Task
    from zoo.data.samples import Samples
    from zoo.text.ngrams import LanguageModel

LANGUAGE_MODEL = "language_model.arpa"  # the asset
DECODER = Option("decoder", "default: beam where there is a language model", choices=("greedy", "beam"))
ALPHA = Option("alpha", "weight of the language model; default: the configuration's", float, "X")


def read_arpa(source: str | os.PathLike | bytes) -> LanguageModel:
    """The ``zoo.text.ngrams.LanguageModel`` of an ARPA file, by its path or its text.

    Raises:
        UserError: it cannot be read.
    """
    is_file = "\n" not in str(source) and os.path.isfile(source)
    return _read(source, os.stat(source).st_mtime_ns if is_file else None)


@functools.lru_cache(4)  # of whole pages, each asks for it
def _read(source, changed):
    from zoo.text.ngrams import LanguageModel

    return LanguageModel.from_arpa(source)


def _readable(path):
    """A path of an ARPA file, which was read."""
    read_arpa(path)
    return path


def language_model_option(of: str) -> Option:
    """The option of a language model; ``of``: "of words", what its n-grams consist of."""
    return Option("language_model", f"ARPA file {of}, instead of the model's own", _readable, "FILE")


class OfLanguageModel:
    """Comes before ``Reader`` among the bases of such a reader, whose ``assets`` may hold the model."""

    greedy = {"decoder": "greedy"}

    @functools.cached_property
    def language_model(self) -> LanguageModel | None:
        """The ``LanguageModel`` that the model ships, or None."""
        return read_arpa(self.assets[LANGUAGE_MODEL]) if LANGUAGE_MODEL in self.assets else None

    @property
    def is_searching(self) -> bool:
        return LANGUAGE_MODEL in self.assets

    def searches(self, decoder: str | None, given: Iterable, lacks: str) -> bool:
        """Whether to search, rather than to take the likeliest of each frame.

        Args:
            decoder: "greedy", "beam", or None: "beam" where the model ships a language model or something is
                given.
            given: what only a search understands, None where it is not given.
            lacks: what the greedy decoder has and has not, for people.

        Raises:
            UserError: there is no such decoder, or it does not understand what is given.
        """
        some = any(value is not None for value in given)
        if decoder is None:
            decoder = "beam" if some or LANGUAGE_MODEL in self.assets else "greedy"
        if decoder not in ("greedy", "beam"):
            raise UserError(f"decoder {decoder!r}: choose greedy or beam")
        if decoder == "greedy" and some:
            raise UserError(f"the greedy decoder has {lacks}: leave them out, or choose the beam decoder")
        return decoder == "beam"

    def weighed(
        self, language_model: LanguageModel | str | os.PathLike | None, alpha: float | None,
        beta: float | None,
    ) -> LanguageModel | None:  # fmt: skip
        """The ``LanguageModel`` to search with, or None.

        Args:
            language_model: one, the path of an ARPA file, or None for that which the model ships.
            alpha, beta: its weight and the bonus of what it knows, where they are given.

        Raises:
            UserError: it cannot be read, or there is none to weigh.
        """
        from zoo.text.ngrams import LanguageModel

        if language_model is None:
            language_model = self.language_model
        elif not isinstance(language_model, LanguageModel):
            language_model = read_arpa(language_model)
        if language_model is None and (alpha, beta) != (None, None):
            raise UserError(
                "alpha and beta go with a language model, and there is none: give one, or leave them out"
            )
        return language_model


# === Weights ===

ALPHAS = (0.2, 0.35, 0.5, 0.7, 1.0)
BONUS = 2.5  # of a character or word, as a multiple of alpha, where weights are first looked for
BETAS = (1.0, 1.5, 2.0, 3.0, 4.0)  # multiples of alpha that are tried then
SAMPLES = 400  # that suffice to tell weights apart


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What was found by ``tune``.

    Attributes:
        alpha, beta: the weights with the least error.
        before, after: the error without the language model, by greedy decoding, and with it.
        metric: the ``zoo.contract.reader.Metric`` of that error.
    """

    alpha: float
    beta: float
    before: float
    after: float
    metric: Metric

    @property
    def gains(self) -> bool:
        """Whether the language model is worth its while."""
        return self.after < self.before

    def __str__(self):
        before, after = (self.metric.form.format(value) for value in (self.before, self.after))
        more = "" if self.gains else "; it does not gain here, so leave it out"
        return (
            f"{self.metric.title} {before} without the language model, {after} with it (alpha {self.alpha}, "
            f"beta {self.beta}){more}"
        )


def tune(reader: Reader, corpus: Samples) -> Tuned:
    """The weights of a reader's language model that have the least error on validation data.

    First ``alpha``, with a bonus in proportion to it, then that bonus: about ten evaluations, for which the
    network runs once.

    Args:
        reader: an ``OfLanguageModel`` that has one.
        corpus: a ``zoo.data.samples.Samples`` that neither the model nor the language model has seen; of a
            large one, ``SAMPLES`` are read.
    """
    metric, run = reader.metrics[0], reader.run
    some = corpus.sample(SAMPLES) if len(corpus) > SAMPLES else corpus
    found = {}

    def error(alpha, bonus):
        if (alpha, bonus) not in found:
            weights = {"alpha": alpha, "beta": round(bonus * alpha, 3)}
            found[alpha, bonus] = reader.evaluate(some, decoder="beam", **weights)[metric.name]
        return found[alpha, bonus]

    reader.run = _remembering(run)
    try:
        alpha = min(ALPHAS, key=lambda alpha: error(alpha, BONUS))
        bonus = min((BONUS, *BETAS), key=lambda bonus: error(alpha, bonus))
    finally:
        reader.run = run
    before = reader.evaluate(some, **reader.greedy)[metric.name]
    return Tuned(alpha, round(bonus * alpha, 3), before, error(alpha, bonus), metric)


def _remembering(run):
    """An engine that computes the outputs of the same inputs once."""
    known = {}

    def again(inputs):
        key = hashlib.sha256()
        for value in inputs.values():
            key.update(repr(value.shape).encode() + value.tobytes())
        key = key.digest()
        if key not in known:
            known[key] = run(inputs)
        return known[key]

    return again


def with_language_model(task: Task, arpa: bytes, corpus: Samples) -> tuple[Task, Tuned]:
    """A task with a language model in it, weighed by ``tune``.

    Args:
        task: a ``zoo.contract.task.Task`` whose reader is an ``OfLanguageModel``.
        arpa: bytes, the ARPA file.
        corpus: the validation data, see ``tune``.

    Returns:
        ``(task, tuned)``: another task with the same weights, and what ``tune`` found.

    Raises:
        UserError: the language model is damaged, or one of other things.
    """
    def made(config):
        new = type(task)(config, task.vocabulary, task.card, task.assets | {LANGUAGE_MODEL: arpa})
        new.set_weights(task.weights())
        return new

    tuned = tune(made(task.config).reader, corpus)
    return made(dataclasses.replace(task.config, alpha=tuned.alpha, beta=tuned.beta)), tuned
