"""Vocabularies: what a network's output rows stand for."""

import unicodedata
from collections import Counter

from export.runtime import characters_of, display_order, reading_order
from zoo.text.normalise import normalise

BLANK = 0  # the CTC blank is row 0 in every model of the zoo; character i of a vocabulary is row i + 1


def direction_of(characters):
    """``"rtl"`` if most letters are of a right-to-left script; from a str or ``{character: count}``."""
    balance = 0
    for character, count in Counter(characters).items():
        side = unicodedata.bidirectional(character)
        balance += count if side in ("R", "AL") else -count if side == "L" else 0
    return "rtl" if balance > 0 else "ltr"


class Vocabulary:
    """The characters a model writes, in the order of its output rows.

    Args:
        characters: str or list of single characters. Row 0 is the CTC blank, so character ``i`` is
            row ``i + 1``.
        direction: ``"ltr"`` or ``"rtl"``. Right-to-left text is encoded in the order of the image
            columns and decoded back to logical order.
    """

    def __init__(self, characters, direction="ltr"):
        self.characters = list(characters)
        self.direction = direction
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("A vocabulary names each character once.")
        if direction not in ("ltr", "rtl"):
            raise ValueError(f"direction is 'ltr' or 'rtl', not {direction!r}")
        self._index = {character: i + 1 for i, character in enumerate(self.characters)}

    def __len__(self):
        """Number of output rows, the blank included."""
        return len(self.characters) + 1

    def __contains__(self, character):
        return character in self._index

    def __eq__(self, other):
        return isinstance(other, Vocabulary) and self.to_json() == other.to_json()

    def unknown(self, text):
        """The characters of the normalised ``text`` that this vocabulary lacks, in order."""
        return [character for character in normalise(text) if character not in self._index]

    def encode(self, text):
        """Text in logical order -> list of rows in image order; unknown characters are left out."""
        text = normalise(text)
        if self.direction == "rtl":
            text = display_order(text)[0]
        return [self._index[character] for character in text if character in self._index]

    def decode(self, rows):
        """Rows in image order -> text in logical order."""
        return self.decode_with_order(rows)[0]

    def decode_with_order(self, rows):
        """Like ``decode``, with the permutation that brings per-character values along."""
        text = "".join(self.characters[row - 1] for row in rows)
        if self.direction == "rtl":
            return reading_order(text)
        return text, list(range(len(text)))

    def extended(self, characters, direction=None):
        """A vocabulary with further characters after the present ones, whose rows keep their numbers."""
        new = sorted(set(characters) - set(self.characters))
        return Vocabulary(self.characters + new, direction or self.direction)

    def to_json(self):
        return {"characters": self.characters, "direction": self.direction}

    @classmethod
    def from_json(cls, data):
        return cls(data["characters"], data["direction"])

    def metadata(self):
        """What an exported file says of it."""
        return {"vocabulary": self.to_json(), "direction": self.direction}

    @classmethod
    def from_metadata(cls, metadata):
        """The vocabulary that ``metadata`` made, of strings as an exported file has them."""
        return cls(characters_of(metadata), metadata["direction"])

    @classmethod
    def from_texts(cls, texts, direction=None):
        """The characters that occur in ``texts``, sorted; the direction is that of most letters."""
        counts = Counter()
        for text in texts:
            counts.update(normalise(text))
        return cls(sorted(counts), direction or direction_of(counts))
