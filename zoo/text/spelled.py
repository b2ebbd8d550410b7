"""Language models of characters: lines of text as sentences of characters, counted by ``zoo.text.ngrams``.

    text = build_spelled(["It was the best", "of times"])      # an ARPA file's text

``It was`` is ``I t ▁ w a s``: an ARPA file has blanks between what it
counts, so that a blank has a sign of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from export.runtime import display_order
from zoo.errors import UserError
from zoo.text.characters import direction_of
from zoo.text.files import read_text, split_lines
from zoo.text.ngrams import build
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from zoo.text.ngrams import LanguageModel

BLANK = "▁"  # U+2581, which SentencePiece has made usual
WIDTH = 60  # characters of a line of print
ORDER = 6
LIMIT = 80_000  # n-grams: two megabytes or less
DIGITS = 4  # of logarithms: a probability is exact to a part in a thousand or so


def build_spelled(
    lines: Iterable[str], order: int = ORDER, prune: Sequence[int] = (0,), limit: int | None = LIMIT
) -> str:
    """The ARPA file of lines, see ``zoo.text.ngrams.build``; lines: iterable of str, see ``spelled``.

    Raises:
        UserError: see there.
    """
    return build(spelled(lines), order, prune, limit, DIGITS)


def token(character: str) -> str:
    """What a character is called in a language model."""
    return BLANK if character == " " else character


def spelled(lines: Iterable[str]) -> list[str]:
    """Lines as sentences of characters.

    A line twice as long as those of print, as where a line of a file is a paragraph, is divided at blanks, so
    that beginnings and ends of lines are told about as often as in images. Right-to-left text is
    turned as ``zoo.text.characters.Vocabulary.encode`` turns it: models count characters in the order of
    the image's columns, which is that of a network's labels.

    Args:
        lines: iterable of str; empty ones are left out.

    Returns:
        A list of str, with blanks between the characters.
    """
    lines = [line for line in map(normalise, lines) if line]
    counts = Counter()
    for line in lines:
        counts.update(line)
    turned = direction_of(counts) == "rtl"
    return [" ".join(map(token, part)) for line in lines for part in _parts(line, turned)]


def _parts(line, turned):
    while line:
        end = len(line)
        if end > 2 * WIDTH:
            end = line.rfind(" ", 1, WIDTH + 1)
            end = WIDTH if end < 0 else end
        part, line = line[:end].rstrip(), line[end:].lstrip()
        yield display_order(part)[0] if turned else part


def check_spelled(model: LanguageModel) -> None:
    """UserError where a language model is not one of characters."""
    if 2 * sum(len(word) > 1 for word in model.vocabulary) > len(model.vocabulary):
        raise UserError(
            "the language model is one of words, and lines need one of characters; build it with "
            "`zoo lm build --characters`"
        )


def read_lines(paths: Iterable[str | os.PathLike]) -> list[str]:
    """The lines of text files that are not empty, a list of str.

    Args:
        paths: of UTF-8 texts, plain or gzip; ``-`` is the standard input.

    Raises:
        UserError: a file cannot be read, is not UTF-8, or has no text.
    """
    lines = []
    for path in paths:
        some = [line for line in split_lines(read_text(path)) if line.strip()]
        if not some:
            raise UserError(f"{path}: there is no text in it; give lines as they are printed or written")
        lines += some
    return lines
