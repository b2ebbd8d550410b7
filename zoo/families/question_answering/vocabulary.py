"""What a model that answers knows of words and answers, and how a story and a question become its inputs."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.contract.labels import Labels
from zoo.errors import UserError
from zoo.text import tokenizers
from zoo.text.normalise import located_words
from zoo.text.words import Words

COLUMNS = {  # of tables, what their names may be, best first
    "context": ("context", "story", "passage", "paragraph", "document", "text", "article"),
    "question": ("question", "query"),
    "answer": ("answer", "answers", "answer_text"),
}
SENTENCES = 256  # of a story, at most
SENTENCE_WORDS = 128  # of a sentence that are read; a question may have as many
TEXT_WORDS = 1024  # of a text that spans are found in, at most


class QuestionVocabulary(Labels):
    """What a model reads and what it says.

    Args:
        words: the ``zoo.text.words.Words`` of stories and questions.
        answers: list of str, the answers of a model that chooses from a list; otherwise empty.
    """

    PAD, UNKNOWN = Words.PAD, Words.UNKNOWN
    unit = "questions"

    def __init__(self, words: Words, answers: Sequence[str] = ()) -> None:
        super().__init__(answers)
        self.words = words
        # Stories of a corpus have few sentences, again and again.
        self._rows_of = functools.lru_cache(1 << 16)(lambda text: np.array(words.encode(text), np.int32))

    def __len__(self):
        """Number of rows of words."""
        return len(self.words)

    def __eq__(self, other):
        same = isinstance(other, QuestionVocabulary) and self.words == other.words
        return same and self.labels == other.labels

    def encode(self, text: str) -> np.ndarray:
        """Text -> rows, int32 ``[words]``."""
        return self._rows_of(text)

    def strange(self, text: str) -> list[str]:
        """The words of a text that are not known, and its emoji, which stand for words: list of str."""
        words = [word for word, _, _ in located_words(text) if word not in self.words]
        return words + [one for one in text if unicodedata.category(one) == "So"]

    def to_json(self) -> dict[str, Any]:
        return {"answers": self.labels, **self.words.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> QuestionVocabulary:
        """Raises ValueError or KeyError where ``data`` is damaged."""
        return cls(Words.from_json(data), data["answers"])

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json(), "tokenizer": tokenizers.words(self.words)}

    # === Inputs ===

    def question(self, text: str) -> np.ndarray:
        """A question -> rows, int32 ``[words]``.

        Raises:
            UserError: there is no word in it, or there are too many.
        """
        rows = self.encode(text)
        if not len(rows):
            raise UserError("the question has no words; ask one in words")
        if len(rows) > SENTENCE_WORDS:
            raise UserError(f"the question has {len(rows):,} words; ask one of up to {SENTENCE_WORDS}")
        return rows

    def items(self, sentences: Sequence[str], answers: str) -> np.ndarray:
        """A story as the network takes it.

        Args:
            sentences: list of str.
            answers: as in the model's configuration; of ``span`` each word is an item, else each sentence.

        Returns:
            int32 ``[items, words]``, padded.

        Raises:
            UserError: there is no word in it, or it is too long.
        """
        rows = [self.encode(sentence) for sentence in sentences]
        total = sum(map(len, rows))
        if not total:
            raise UserError("the story has no words; give one in sentences")
        if answers == "span":
            if total > TEXT_WORDS:
                raise UserError(f"the text has {total:,} words; give one of up to {TEXT_WORDS:,}")
            return np.concatenate(rows)[:, None]
        if len(rows) > SENTENCES:
            raise UserError(f"the story has {len(rows):,} sentences; give its last {SENTENCES}, or fewer")
        return padded([row[:SENTENCE_WORDS] for row in rows])


def padded(rows: Sequence) -> np.ndarray:
    """Lists of rows as one array, int32 ``[rows, longest]``, padded with PAD."""
    found = np.full((len(rows), max(1, *map(len, rows))), QuestionVocabulary.PAD, np.int32)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    return found


def story_words(sentences: Sequence[str]) -> list[tuple[str, int, int, int]]:
    """The words of a story as a model for spans counts them.

    Returns:
        A list of ``(word, sentence, start, end)``: normalised, the number of its sentence, its place in that.
    """
    return [
        (word, number, start, end)
        for number, sentence in enumerate(sentences)
        for word, start, end in located_words(sentence)
    ]


def find_span(words: Sequence, answer: str) -> tuple[int, int] | None:
    """Where an answer stands in a story first: ``(first, last)``, numbers of words; None if nowhere.

    Args:
        words: list of str, those of the story.
        answer: str.
    """
    wanted = [word for word, _, _ in located_words(answer)]
    if wanted:
        for first in range(len(words) - len(wanted) + 1):
            if words[first : first + len(wanted)] == wanted:
                return first, first + len(wanted) - 1
    return None
