"""What a reader of ink writes: characters, or tokens such as ``\\sin`` that stand between blanks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zoo.text.characters import Vocabulary
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    import numpy as np

SAME = {  # commands of LaTeX that look the same
    "<": r"\lt", ">": r"\gt", r"\lbrack": "[", r"\rbrack": "]", r"\lbrace": r"\{", r"\rbrace": r"\}",
    r"\le": r"\leq", r"\ge": r"\geq", r"\ne": r"\neq", r"\to": r"\rightarrow", r"\vert": "|", "\\": "",
}  # fmt: skip
_TOKEN = re.compile(r"\\[A-Za-z]+|\\\S|\S")


class InkVocabulary(Vocabulary):
    """The tokens a model writes.

    Args:
        characters: list of tokens; single characters where text is not divided.
        direction: as of ``Vocabulary``.
        divided: tokens are divided by blanks, which are no tokens.
    """

    def __init__(self, characters: Sequence[str], direction: str = "ltr", divided: bool = False) -> None:
        super().__init__(characters, direction)
        self.divided = bool(divided)
        if self.divided:
            self.noun = "tokens"
        if self.divided and any(len(token.split()) != 1 for token in self.characters):
            raise ValueError("Tokens that are divided by blanks have no blank in them.")

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, known or not; what is not divided, words or LaTeX, is taken apart."""
        text = normalise(text)
        if not self.divided:
            return list(text)
        words = ([word] if word in self else as_tokens(word).split() for word in text.split())
        return [token for word in words for token in word]

    def unknown(self, text: str) -> list[str]:
        return [token for token in self.tokens(text) if token not in self]

    def encode(self, text: str) -> list[int]:
        if not self.divided:
            return super().encode(text)
        return [self._index[token] for token in self.tokens(text) if token in self]

    def decode_with_order(self, rows: np.ndarray | Sequence[int]) -> tuple[str, list[int]]:
        if not self.divided:
            return super().decode_with_order(rows)
        return " ".join(self.characters[row - 1] for row in rows), list(range(len(rows)))

    def extended(self, characters: Iterable[str], direction: str | None = None) -> InkVocabulary:
        new = sorted(set(characters) - set(self.characters))
        return type(self)(self.characters + new, direction or self.direction, self.divided)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"divided": self.divided}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> InkVocabulary:
        return cls(data["characters"], data["direction"], data["divided"])

    def metadata(self) -> dict[str, Any]:
        return {"vocabulary": self.to_json()}

    @classmethod
    def from_texts(cls, texts: Iterable[str], direction: str | None = None) -> InkVocabulary:
        """The tokens that occur in ``texts``, sorted; they are divided if nearly all texts look so."""
        texts = list(texts)
        if not are_divided(texts):
            plain = Vocabulary.from_texts(texts, direction)
            return cls(plain.characters, plain.direction)
        return cls(sorted({token for text in texts for token in text.split()}), "ltr", True)


def are_divided(texts: Iterable[str]) -> bool:
    """Whether texts are tokens: characters and LaTeX commands divided by blanks, or LaTeX between ``$``."""
    texts = [text for text in map(str.strip, texts) if text]
    latex = [len(text) > 2 and text[0] == text[-1] == "$" for text in texts]
    divided = [all(_TOKEN.fullmatch(word) for word in text.split()) for text in texts]
    tokens = sum(map(max, latex, divided))
    several = sum(len(text.split()) > 1 or text[0] in "\\$" for text in texts)
    return tokens >= 0.9 * len(texts) and several >= 0.3 * len(texts) > 0


def as_tokens(text: str) -> str:
    """LaTeX as tokens divided by blanks, each in one spelling; ``$`` around it is left out."""
    text = text.strip().strip("$").strip()
    found = (SAME.get(token, token) for token in _TOKEN.findall(text))
    return " ".join(token for token in found if token)
