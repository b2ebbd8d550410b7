"""Vocabularies: what a network's output rows stand for."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from export.runtime import characters_of, display_order, reading_order, spelled, spellings_of
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    import numpy as np

BLANK = 0  # the CTC blank is row 0 in every model of the zoo; character i of a vocabulary is row i + 1


def direction_of(characters: str | dict[str, int]) -> str:
    """``"rtl"`` if most letters are of a right-to-left script; from a str or ``{character: count}``."""
    balance = 0
    for character, count in Counter(characters).items():
        side = unicodedata.bidirectional(character)
        balance += count if side in ("R", "AL") else -count if side == "L" else 0
    return "rtl" if balance > 0 else "ltr"


class Vocabulary:
    """The characters a model writes, in the order of its output rows.

    Args:
        characters: str or list of str, mostly single characters. Row 0 is the CTC blank, so character
            ``i`` is row ``i + 1``.
        direction: ``"ltr"`` or ``"rtl"``. Right-to-left text is encoded in the order of the image
            columns and decoded back to logical order.
        spellings: ``{text: rows}`` of what is spelled by several rows; see ``export.runtime.spelled``.
    """

    noun = "characters"  # what messages call them

    def __init__(
        self, characters: Sequence[str], direction: str = "ltr", spellings: dict | None = None
    ) -> None:
        self.characters, self.spellings = list(characters), dict(spellings or {})
        self.direction = direction
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("A vocabulary names each character once.")
        if direction not in ("ltr", "rtl"):
            raise ValueError(f"direction is 'ltr' or 'rtl', not {direction!r}")
        self._index = {character: i + 1 for i, character in enumerate(self.characters)}
        self._rows = {text: (row,) for text, row in self._index.items()}
        self._rows |= {text: tuple(rows) for text, rows in self.spellings.items()}
        for text in list(self._rows):  # texts are NFC, what models learned may be NFD
            self._rows.setdefault(unicodedata.normalize("NFC", text), self._rows[text])
        self._longest = max(map(len, self._rows), default=1)
        self._texts = {tuple(rows): text for text, rows in self.spellings.items()}

    def __len__(self):
        """Number of output rows, the blank included."""
        return len(self.characters) + 1

    def __contains__(self, character):
        return character in self._rows

    def __eq__(self, other):
        return isinstance(other, Vocabulary) and self.to_json() == other.to_json()

    def unknown(self, text: str) -> list[str]:
        """The characters of the normalised ``text`` that this vocabulary lacks, in order."""
        return [unit for unit, rows in self._units(normalise(text)) if not rows]

    def encode(self, text: str) -> list[int]:
        """Text in logical order -> list of rows in image order; unknown characters are left out."""
        text = normalise(text)
        if self.direction == "rtl":
            text = display_order(text)[0]
        return [row for _, rows in self._units(text) for row in rows]

    def _units(self, text):
        """Iterate over ``(unit, rows)``: what of a text rows stand for, the longest first, or ``()``."""
        at = 0
        while at < len(text):
            for count in range(min(self._longest, len(text) - at), 0, -1):
                unit = text[at : at + count]
                if unit in self._rows:
                    break
            yield unit, self._rows.get(unit) or self._in_parts(unit)
            at += count

    def _in_parts(self, unit):
        """Rows of a letter and its marks one by one, ``()`` if one of them has none."""
        parts = unicodedata.normalize("NFD", unit)
        if self.direction == "rtl" and unicodedata.bidirectional(unit) in ("R", "AL"):
            parts = parts[::-1]  # as ``display_order`` has it
        rows = [self._rows.get(part, ()) for part in parts]
        return tuple(row for part in rows for row in part) if all(rows) else ()

    def decode(self, rows: np.ndarray | Sequence[int]) -> str:
        """Rows in image order -> text in logical order."""
        return self.decode_with_order(rows)[0]

    def decode_with_order(self, rows: np.ndarray | Sequence[int]) -> tuple[str, list[int]]:
        """Like ``decode``, with the permutation that brings per-character values along."""
        text = "".join(unit for unit, *_ in spelled(rows, self.characters, self._texts))
        if self.direction == "rtl":
            return reading_order(text)
        return text, list(range(len(text)))

    def extended(self, characters: Iterable[str], direction: str | None = None) -> Vocabulary:
        """A vocabulary with further characters after the present ones, whose rows keep their numbers."""
        new = sorted(c for c in set(characters) - set(self._rows) if not self._in_parts(c))
        return Vocabulary(self.characters + new, direction or self.direction, self.spellings)

    def to_json(self) -> dict[str, Any]:
        return {"characters": self.characters, "direction": self.direction} | self._spelled()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Vocabulary:
        return cls(data["characters"], data["direction"], data.get("spellings"))

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json(), "direction": self.direction}

    def _spelled(self):
        return {"spellings": self.spellings} if self.spellings else {}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> Vocabulary:
        """The vocabulary that ``metadata`` made, of strings as an exported file has them."""
        return cls(characters_of(metadata), metadata["direction"], spellings_of(metadata))

    @classmethod
    def from_texts(cls, texts: Iterable[str], direction: str | None = None) -> Vocabulary:
        """The characters that occur in ``texts``, sorted; the direction is that of most letters."""
        counts = Counter()
        for text in texts:
            counts.update(normalise(text))
        return cls(sorted(counts), direction or direction_of(counts))
