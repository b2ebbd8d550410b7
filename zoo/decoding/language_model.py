"""What readers share that decode CTC greedily, or by beam search with a language model that they may ship."""

import functools

from zoo.contract.options import Option
from zoo.errors import UserError

LANGUAGE_MODEL = "language_model.arpa"  # the asset
DECODER = Option("decoder", "default: beam where there is a language model", choices=("greedy", "beam"))
ALPHA = Option("alpha", "weight of the language model", float, "X")


def read_arpa(path):
    """The ``zoo.text.ngrams.LanguageModel`` of an ARPA file.

    Raises:
        UserError: it cannot be read.
    """
    from zoo.text.ngrams import LanguageModel

    return LanguageModel.from_arpa(path)


class OfLanguageModel:
    """Comes before ``Reader`` among the bases of such a reader, whose ``assets`` may hold the model."""

    greedy = {"decoder": "greedy"}

    @functools.cached_property
    def language_model(self):
        """The ``LanguageModel`` that the model ships, or None."""
        return read_arpa(self.assets[LANGUAGE_MODEL]) if LANGUAGE_MODEL in self.assets else None

    def searches(self, decoder, given, lacks):
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

    def weighed(self, language_model, alpha, beta):
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
