"""Texts as models learn and write them: what counts as the same, and what nobody sees or hears."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

# Joiners, direction marks and byte-order marks leave no ink, so no reader can tell them from an image.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# Control characters would be pieces of their own that no model has seen; white space stays white space.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼʻ′＇`´", "'"))
_SEPARATORS = set("/\\⁄∕,;!?…")
_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))(?!\w)")


def language_of(texts: Iterable[str]) -> str | None:
    """"tr" where texts are of a language that has a dotless ı, which lower-cases I so; else None.

    Turkish, Azeri and their kin are told by letters that no other language has: two of a hundred, or more.
    A name from there in a corpus of another language does not count.

    Args:
        texts: an iterable of str: of a corpus, or the words of a vocabulary.
    """
    letters = dotless = 0
    for text in texts:
        letters += sum(map(str.isalpha, text))
        dotless += sum(map(unicodedata.normalize("NFC", text).count, "ıİğĞ"))
    return "tr" if letters and dotless >= 0.02 * letters else None


def lower(text: str, language: str | None = None) -> str:
    """A text, NFC, in lower case: İ as i, without a second dot, and in Turkish and Azeri I as ı.

    Args:
        text: str.
        language: its code, such as "tr" or "az-Latn"; None where nobody knows.
    """
    if language and re.match("(tr|az)([-_]|$)", language.lower()):
        text = text.replace("I", "ı")
    return text.lower().replace("i\u0307", "i")


def normalise(text: str) -> str:
    """Unicode NFC, without invisible marks, runs of white space as one blank, none at the ends."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def normalise_sentence(text: str) -> str:
    """Unicode NFC, runs of white space and control characters as one blank, none at the ends."""
    return _BLANK.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


def normalise_transcript(text: str, language: str | None = None) -> str:
    """A transcript in lower case (see ``lower``), of letters, apostrophes and single blanks.

    - Unicode NFC; lower case, which keeps ß.
    - Typographic apostrophes (’ ‘ ʼ ʻ ′ ＇ ` ´) become '. They stay inside a word and at its edges ("don't",
      "'tis", "dogs'"); those that touch no word, and two or more in a row, are removed.
    - Dashes, hyphens, slashes and the marks , ; ! ? … separate words: they become a blank.
    - Other punctuation and symbols are removed: "U.S." becomes "us", and "R&D" "rd".
    - Digits stay, so that ``has_digits`` can tell: how a number was spoken only the speaker knows.
    - Runs of white space become one blank, with none at the ends.
    """
    text = lower(normalise(text), language).translate(_APOSTROPHES)
    text = normalise("".join(map(_heard, re.sub("''+", "", text))))
    return " ".join(word.replace("''", "") for word in text.split() if word.strip("'"))


def _heard(character):
    kind = unicodedata.category(character)
    if character in _SEPARATORS or kind in ("Pd", "Zs"):
        return " "
    return character if character == "'" or kind[0] in "LMN" else ""


def has_digits(text: str) -> bool:
    """Whether ``text`` has digits or other signs for numbers, of any script: "7", "²", "½"."""
    return any(unicodedata.category(character) in ("Nd", "No") for character in text)


def normalise_caption(text: str, language: str | None = None) -> str:
    """Unicode NFC in lower case: words of letters and digits, one blank between them, no punctuation.

    An apostrophe or a hyphen inside a word belongs to it.
    """
    text = lower(unicodedata.normalize("NFC", text), language).replace("’", "'")
    kept = (c if c in "'-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join(filter(None, (word.strip("'-") for word in "".join(kept).split())))


def located_words(text: str) -> list[tuple[str, int, int]]:
    """The words of ``normalise_caption``, each with its place in a text that is NFC.

    Returns:
        A list of ``(word, start, end)``, where ``text[start:end]`` is the word as it is written.
    """
    kept = "".join(c if c in "'’-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    found = []
    for match in re.finditer(r"[^ '’-](?:\S*[^ '’-])?", kept):
        word = normalise_caption(match[0])
        if word:
            found.append((word, *match.span()))
    return found


def split_sentences(text: str) -> list[str]:
    """The sentences of a text: its lines, if it has several, else what ends with . ! ? or … and a blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines if len(lines) > 1 else [one for line in lines for one in _SENTENCE_END.split(line)]


_SENTENCE_END = re.compile(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)\]])\s+""")


def normalise_text(text: str, language: str | None = None) -> str:
    """A text in lower case, its words and marks divided by single blanks.

    Unicode NFC; hyphens and dashes are blanks; English clitics are words, as in the Penn Treebank, whose
    tokens many corpora have: "Don't!" and "do n't !" are the same.
    """
    text = lower(unicodedata.normalize("NFC", text), language).replace("’", "'")
    return " ".join(_CLITIC.sub(r" \1", "".join(map(_spaced, text))).split())


@functools.lru_cache(1 << 12)
def _spaced(character):
    kind = unicodedata.category(character)
    if character == "'" or kind[0] in "LMN":
        return character
    return " " if kind == "Pd" or kind[0] in "ZC" else f" {character} "
