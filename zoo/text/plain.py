"""Plain text as it is, not a character changed: the characters of which models know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from zoo.errors import UserError


class Characters:
    """The characters that a model writes, in the order of its output rows.

    Nothing is normalised: case, blanks, tabs and line ends are characters like all others.

    Args:
        characters: str or list of single characters. Row 0 stands for any other character;
            ``characters[i]`` is row ``i + 1``.
    """

    UNKNOWN = 0

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)
        self._index = {character: i + 1 for i, character in enumerate(self.characters)}
        if len(self._index) != len(self.characters):
            raise ValueError("A vocabulary names each character once.")

    def __len__(self):
        """Number of output rows."""
        return len(self.characters) + 1

    def __contains__(self, character):
        return character in self._index

    def __eq__(self, other):
        return isinstance(other, Characters) and self.characters == other.characters

    def unknown(self, text: str) -> dict[str, int]:
        """``{character: count}`` of those in ``text`` that have no row of their own, most frequent first."""
        counts = Counter(text)
        return {c: count for c, count in counts.most_common() if c not in self._index}

    def encode(self, text: str) -> np.ndarray:
        """Text -> rows, int32 ``[characters]``."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        distinct, places = np.unique(codes, return_inverse=True)
        rows = [self._index.get(chr(code), self.UNKNOWN) for code in distinct]
        return np.array(rows, np.int32)[places]

    def decode(self, rows: Iterable[int]) -> str:
        """Rows -> text; an unknown character is U+FFFD."""
        return "".join(self.characters[row - 1] if row else "\ufffd" for row in map(int, rows))

    def extended(self, characters: Iterable[str]) -> Characters:
        """A vocabulary with further characters after the present ones, whose rows keep their numbers."""
        return Characters(self.characters + sorted(set(characters) - set(self.characters)))

    def to_json(self) -> dict[str, Any]:
        return {"characters": self.characters}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Characters:
        return cls(data["characters"])

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}

    @classmethod
    def learn(cls, text: str, minimum_count: int = 1) -> Characters:
        """The characters that occur in ``text`` at least ``minimum_count`` times, sorted.

        Raises:
            UserError: there is none.
        """
        characters = sorted(c for c, count in Counter(text).items() if count >= minimum_count)
        if not characters:
            raise UserError(f"No character occurs {minimum_count} times in this text; ask for fewer.")
        return cls(characters)
