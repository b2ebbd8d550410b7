"""What a text classifier knows of texts and labels: tokens, and the pieces that long texts are read in."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from zoo.contract.labels import Labels
from zoo.text import tokenizers
from zoo.text.normalise import language_of, normalise_text
from zoo.text.subwords import Subwords
from zoo.text.words import Words

LIMIT = 512  # tokens classified as one text; training sees as many


class TextVocabulary(Labels):
    """What a classifier reads and what it says.

    Args:
        tokens: the ``zoo.text.words.Words`` or ``zoo.text.subwords.Subwords`` of normalised texts.
        labels: list of str, the names of the output rows.
    """

    PAD, UNKNOWN, START, END = range(4)  # as both kinds of tokens have them
    unit = "texts"

    def __init__(self, tokens: Subwords | Words, labels: Sequence[str]) -> None:
        super().__init__(labels)
        self.tokens = tokens

    def __len__(self):
        """Number of tokens."""
        return len(self.tokens)

    def __eq__(self, other):
        same = isinstance(other, TextVocabulary) and type(self.tokens) is type(other.tokens)
        return same and self.tokens == other.tokens and self.labels == other.labels

    def encode(self, text: str) -> list[int]:
        """Text -> list of rows, without start and end."""
        return self.tokens.encode(normalise_text(text, self._language))

    @functools.cached_property
    def _language(self):
        return language_of(self.tokens.spellings())

    def to_json(self) -> dict[str, Any]:
        return {"labels": self.labels, **self.tokens.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextVocabulary:
        """Raises ValueError or KeyError where ``data`` is damaged."""
        try:
            return cls((Words if "words" in data else Subwords).from_json(data), data["labels"])
        except RuntimeError as error:
            raise ValueError("no SentencePiece model") from error

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        made = tokenizers.texts(self.tokens, (self.START, self.END), self._language == "tr")
        return {"vocabulary": self.to_json(), "tokenizer": made}


def bounded(rows: Sequence[int]) -> list[list[int]]:
    """Rows -> with start and end, lists of up to ``LIMIT`` and these two; one if there are none."""
    count = max(1, -(-len(rows) // LIMIT))
    ends = [round(len(rows) * part / count) for part in range(count + 1)]
    return [
        [TextVocabulary.START, *rows[first:last], TextVocabulary.END]
        for first, last in itertools.pairwise(ends)
    ]
