"""CTC prefix beam search with an n-gram language model of tokens or characters, and the n best labellings.

    search = TokenSearch(vocabulary, LanguageModel.from_arpa("field.arpa"), alpha=0.5, beta=1.0)
    (labels, score), *others = search(log_probs)

It seeks the tokens c that maximise, for an input x,

    Q(c) = log P_ctc(c | x) + alpha log P_lm(c) + beta length(c)

(Hannun et al. 2014, "Deep Speech", section 2.2, where what the language model knows are words).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from export.runtime import prefix_beams
from zoo.decoding.ctc_prefixes import Prefix, PrefixSearch
from zoo.errors import UserError
from zoo.text.ngrams import END, UNKNOWN

if TYPE_CHECKING:
    from zoo.text.ngrams import LanguageModel

CACHED = 1 << 18  # steps of the language model that are remembered from one search to the next


class TokenSearch(PrefixSearch):
    """A decoder for one vocabulary and one language model.

    A token that the language model does not know counts nothing, neither for nor against, and what follows
    it is told from no context.

    Args:
        tokens: list of str; label ``i + 1`` stands for token ``i``, label 0 is the CTC blank.
        language_model: a ``zoo.text.ngrams.LanguageModel`` whose words are tokens, or None, where ``alpha``
            and ``beta`` count nothing.
        beam_width: int, 1 or more: prefixes kept at each frame.
        alpha: weight of the language model's log probability.
        beta: bonus for each token, a natural logarithm.
        token_threshold, beam_threshold: see ``PrefixSearch``.

    Raises:
        UserError: the language model knows none of the tokens.
    """

    def __init__(
        self, tokens: Sequence[str], language_model: LanguageModel | None = None, beam_width: int = 16,
        alpha: float = 0.5, beta: float = 1.0, token_threshold: float = 1e-4, beam_threshold: float = 14.0,
    ) -> None:  # fmt: skip
        super().__init__(beam_width, token_threshold, beam_threshold)
        self.language_model, self.alpha, self.beta = language_model, alpha, beta
        self._names = [None, *tokens]
        self._steps = {}  # (state, label): what is added, the next state
        if language_model and not any(name in language_model for name in tokens):
            raise UserError(
                "the language model knows nothing that this model writes; build one from text of its field, "
                "see `zoo lm build --help`"
            )

    def __call__(self, log_probs: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """The best labellings among those kept.

        Args:
            log_probs: float ``[time, labels]``, natural logarithms; of the valid frames only.

        Returns:
            A list of ``(labels, score)``, best first: a tuple of ints, and Q.
        """
        if self.language_model is None:
            return prefix_beams(log_probs, self.beam_width, self.token_threshold)
        if len(self._steps) > CACHED:
            self._steps.clear()
        beam, scale = self.beam(np.asarray(log_probs, np.float64))
        found = [
            (prefix.labels(), prefix.log_mass() + scale + prefix.bias + self._end(prefix)) for prefix in beam
        ]
        return sorted(found, key=lambda one: one[1], reverse=True)

    def root(self) -> Prefix:
        return Prefix(None, 0, 0.0, self.language_model.start)

    def longer(self, prefix: Prefix, label: int) -> tuple:
        key = prefix.state, label
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._step(*key)
        return prefix.bias + step[0], step[1]

    def extended(self, prefix: Prefix, label: int) -> Prefix:
        return Prefix(prefix, label, *self.longer(prefix, label))

    def _step(self, state, label):
        name = self._names[label]
        if name not in self.language_model:
            return 0.0, self.language_model.step(state, UNKNOWN)[1]
        log_prob, state = self.language_model.step(state, name)
        return self.alpha * log_prob + self.beta, state

    def _end(self, prefix):
        return self.alpha * self.language_model.step(prefix.state, END)[0]
