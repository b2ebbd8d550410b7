"""Transcripts as speech models learn and write them: what is heard, without what only the eye sees."""

import re
import unicodedata

from zoo.vocabulary import normalise

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼʻ′＇`´", "'"))
_SEPARATORS = set("/\\⁄∕,;!?…")


def normalise_transcript(text):
    """A transcript in lower case, of letters, apostrophes and single blanks.

    - Unicode NFC; lower case, which keeps ß.
    - Typographic apostrophes (’ ‘ ʼ ʻ ′ ＇ ` ´) become '. They stay inside a word and at its edges ("don't",
      "'tis", "dogs'"); those that touch no word, and two or more in a row, are removed.
    - Dashes, hyphens, slashes and the marks , ; ! ? … separate words: they become a blank.
    - Other punctuation and symbols are removed: "U.S." becomes "us", and "R&D" "rd".
    - Digits stay, so that ``has_digits`` can tell: how a number was spoken only the speaker knows.
    - Runs of white space become one blank, with none at the ends.
    """
    text = normalise(text).lower().translate(_APOSTROPHES)
    text = normalise("".join(map(_heard, re.sub("''+", "", text))))
    return " ".join(word.replace("''", "") for word in text.split() if word.strip("'"))


def _heard(character):
    kind = unicodedata.category(character)
    if character in _SEPARATORS or kind in ("Pd", "Zs"):
        return " "
    return character if character == "'" or kind[0] in "LMN" else ""


def has_digits(text):
    """Whether ``text`` has digits or other signs for numbers, of any script: "7", "²", "½"."""
    return any(unicodedata.category(character) in ("Nd", "No") for character in text)
