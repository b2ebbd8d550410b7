"""Vocabularies of whole words, for text of few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zoo.errors import UserError
from zoo.text.normalise import normalise_caption


class Words:
    """The words that a model writes, in the order of its output rows.

    Args:
        words: list of str, normalised. Row 0 pads, row 1 stands for any other word, row 2 starts a text
            and row 3 ends it; ``words[i]`` is row ``i + 4``.
    """

    PAD, UNKNOWN, START, END = range(4)

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._index = {word: i + self.END + 1 for i, word in enumerate(self.words)}
        if len(self._index) != len(self.words):
            raise ValueError("A vocabulary names each word once.")

    def __len__(self):
        """Number of output rows."""
        return self.END + 1 + len(self.words)

    def __contains__(self, word):
        return word in self._index

    def __eq__(self, other):
        return isinstance(other, Words) and self.words == other.words

    def encode(self, text: str) -> list[int]:
        """Text -> list of rows, without start and end."""
        return [self._index.get(word, self.UNKNOWN) for word in normalise_caption(text).split()]

    def decode(self, rows: Iterable[int]) -> str:
        """Rows -> text; an unknown word is ``<unk>``, rows 0, 2 and 3 say nothing."""
        spelled = {self.PAD: "", self.UNKNOWN: "<unk>", self.START: "", self.END: ""}
        rows = map(int, rows)
        listed = (spelled[row] if row in spelled else self.words[row - self.END - 1] for row in rows)
        return " ".join(filter(None, listed))

    def known(self, rows: Iterable[int]) -> bool:
        """Whether any of the rows is a word."""
        return any(row > self.END for row in rows)

    def spellings(self) -> Iterator[str]:
        """Iterate over what the rows stand for."""
        return iter(self.words)

    def extended(self, words: Iterable[str]) -> Words:
        """A vocabulary with further words after the present ones, whose rows keep their numbers."""
        return Words(self.words + sorted(set(words) - set(self.words)))

    def to_json(self) -> dict[str, Any]:
        return {"words": self.words}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Words:
        return cls(data["words"])

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}

    @classmethod
    def learn(cls, texts: Iterable[str], minimum_count: int = 1) -> Words:
        """The words that occur in ``texts`` at least ``minimum_count`` times, the most frequent first.

        Raises:
            UserError: there is none.
        """
        counts = Counter(word for text in texts for word in normalise_caption(text).split())
        words = sorted(
            (word for word, count in counts.items() if count >= minimum_count), key=lambda w: (-counts[w], w)
        )
        if not words:
            raise UserError(f"No word occurs {minimum_count} times in these texts; ask for fewer.")
        return cls(words)
