"""Subword vocabularies: text as pieces of words, and bytes where no piece fits, so that nothing is lost."""

from __future__ import annotations

import base64
import functools
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.text import tokenizers
from zoo.text.normalise import normalise_sentence


class Subwords:
    """A SentencePiece model (Kudo & Richardson 2018) as the vocabulary of a task.

    Args:
        model: bytes, the serialised SentencePiece model.

    Row 0 pads, row 1 stands for what cannot be said (never, as bytes can say all), row 2 starts a sequence
    and row 3 ends it.
    """

    PAD, UNKNOWN, START, END = range(4)
    _WAYS = 16  # to cut a word, of which one is drawn

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = bytes(model)
        self._pieces = SentencePieceProcessor(model_proto=self.model)
        self._ways = functools.lru_cache(1 << 16)(self._ways)

    def __len__(self):
        return self._pieces.get_piece_size()

    def __eq__(self, other):
        return isinstance(other, Subwords) and self.model == other.model

    def encode(self, text: str) -> list[int]:
        """Text -> list of rows, without start and end."""
        return self._pieces.encode(normalise_sentence(text))

    def vary(self, rows: np.ndarray | Sequence[int], temperature: float, seed: Any) -> np.ndarray:
        """Rows -> int32 rows of the same text, each word cut into pieces at random.

        Subword regularisation (Kudo 2018): the likeliest ways to cut a word are drawn by their probability
        to the power of ``1 / temperature``. START and END stay where they are.
        """
        random, words = np.random.default_rng(seed), []
        for row in map(int, rows):
            if not words or row <= self.END or self._pieces.id_to_piece(row).startswith("▁"):
                words.append([])
            words[-1].append(row)
        varied = []
        for word in map(tuple, words):
            ways, scores = self._ways(word)
            # The likeliest after Gumbel noise is one drawn.
            varied.append(ways[np.argmax(scores / temperature + random.gumbel(size=len(ways)))])
        return np.fromiter(itertools.chain(*varied), np.int32)

    def _ways(self, word):
        """The rows of a word -> the likeliest ways to cut it, their log-probabilities."""
        pieces = self._pieces
        if word[0] <= self.END or any(map(pieces.is_byte, word)):
            return [word], np.zeros(1)
        text = "".join(map(pieces.id_to_piece, word)).removeprefix("▁")
        ways = pieces.nbest_encode(text, nbest_size=self._WAYS)
        return ways, np.array([sum(map(pieces.get_score, way)) for way in ways])

    def decode(self, rows: Iterable[int]) -> str:
        """Rows -> text; rows that stand for no text say nothing."""
        return self._pieces.decode([int(row) for row in rows if row > self.END])

    def pieces(self, rows: Iterable[int]) -> list[str]:
        """Rows -> list of str, ``▁`` for a blank."""
        return [self._pieces.id_to_piece(int(row)) for row in rows]

    def known(self, rows: Iterable[int]) -> bool:
        """Whether any of the rows is a piece of text, and not all are blanks and bytes of unknown letters."""
        return any(row > self.END and not self._pieces.is_byte(row) and self.decode([row]) for row in rows)

    def spellings(self) -> Iterator[str]:
        """Iterate over the pieces that rows stand for, bytes left out."""
        rows = range(self.END + 1, len(self))
        return (self._pieces.id_to_piece(row) for row in rows if not self._pieces.is_byte(row))

    def scored(self) -> list[list]:
        """List of ``[piece, its log-probability]``, one for each row."""
        return [[self._pieces.id_to_piece(i), self._pieces.get_score(i)] for i in range(len(self))]

    def to_json(self) -> dict[str, Any]:
        return {"sentencepiece": base64.b64encode(self.model).decode()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Subwords:
        return cls(base64.b64decode(data["sentencepiece"], validate=True))

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json(), "tokenizer": tokenizers.subwords(self, (None, self.END))}

    @classmethod
    def learn(cls, sentences: Iterable[str], size: int) -> Subwords:
        """A vocabulary of about ``size`` rows (a unigram model, Kudo 2018) that fits these sentences.

        Args:
            sentences: iterable of str.
            size: rows, the 4 special ones and 256 bytes included; fewer where the text has no more to give.

        Raises:
            UserError: there is no text, or ``size`` does not suffice for its characters.
        """
        import sentencepiece

        written = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(normalise_sentence(sentence) for sentence in sentences),
                model_writer=written, vocab_size=size, hard_vocab_limit=False, model_type="unigram",
                byte_fallback=True, character_coverage=0.9998, normalization_rule_name="identity",
                pad_id=cls.PAD, unk_id=cls.UNKNOWN, bos_id=cls.START, eos_id=cls.END,
                num_threads=1, minloglevel=2,
            )  # fmt: skip
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"No subwords can be learned from this text with {size} rows ({reason})."
            ) from error
        return cls(written.getvalue())
