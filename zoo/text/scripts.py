"""Scripts: what each character of a text is written in, and the files that name a class for pixel columns."""

from __future__ import annotations

import collections
import functools
import itertools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from export.runtime import display_order, reading_order

if TYPE_CHECKING:
    import numpy as np

SYMBOLS = "0123456789abcdefghijklmnopqrstuvwxyz"  # of classes, in files of columns
COLUMNS = ".columns.txt"  # end of the name of such a file
CLASSES = "classes.txt"  # the file beside them with the names of the classes, one a line
BACKGROUND, GARBAGE = "background", "garbage"  # names of classes that are no script
NEUTRAL = ("Zyyy", "Zinh", "Zzzz")  # ISO 15924: common, inherited and unknown


def scripts_of(text: str) -> list[str]:
    """The script of each character of a text in reading order, as ISO 15924 codes, a list of str.

    What several scripts have in common is of that of the characters around it (UAX #24, section 5.1): digits
    of the script before them, blanks, brackets and the like of the script on both sides, or where these
    differ of that of most letters. Arabic-Indic digits are Arabic.
    """
    sides, found = [unicodedata.bidirectional(c) for c in text], [_script(c) for c in text]
    letters = collections.Counter(one for one in found if one not in NEUTRAL)
    if not letters:
        return found
    most, first = letters.most_common(1)[0][0], next(one for one in found if one not in NEUTRAL)
    last = first
    for i, side in enumerate(sides):
        if found[i] not in NEUTRAL or side in ("EN", "NSM"):
            found[i] = last = last if found[i] in NEUTRAL else found[i]
    for neutral, some in itertools.groupby(range(len(text)), key=lambda i: found[i] in NEUTRAL):
        if neutral:
            some = list(some)
            before = found[some[0] - 1] if some[0] else None
            after = found[some[-1] + 1] if some[-1] + 1 < len(found) else None
            ends = {one for one in (before, after) if one}
            own = ends.pop() if len(ends) == 1 else most
            for i in some:
                found[i] = own
    return found


def letters_of(text: str) -> set[str]:
    """The scripts of the letters of a text, a set of ISO 15924 codes."""
    return {_script(character) for character in set(text)} - {*NEUTRAL}


@functools.cache
def _script(character):
    from fontTools.unicodedata import script

    return "Arab" if unicodedata.bidirectional(character) == "AN" else script(character)


def written(columns: np.ndarray | Sequence[int]) -> str:
    """Classes, ints ``[columns]`` -> the text of a file of columns."""
    return "".join(SYMBOLS[one] for one in columns) + "\n"


def line_direction(pieces: Sequence[tuple[str, int]]) -> str:
    """The direction of a line, "ltr" or "rtl": that of both its ends, or where they differ of most of it.

    Args:
        pieces: list of ``(direction, columns)`` from the left of the line to its right.
    """
    widths = {"ltr": 0, "rtl": 0}
    for way, columns in pieces:
        widths[way] += columns
    ends = {way for way, _ in (*pieces[:1], *pieces[-1:])}
    return ends.pop() if len(ends) == 1 else max(widths, key=widths.get)


def reading_text(pieces: Sequence[tuple[str, str]], spaced: Sequence[bool], direction: str) -> str:
    """Pieces of a line, each of one direction, as one text in reading order.

    Args:
        pieces: list of ``(text, direction)`` from the left of the line to its right, each text in its own
            reading order, its direction "ltr" or "rtl".
        spaced: list of bool, whether there is a blank between each piece and the next.
        direction: of the line.

    Returns:
        str. Right-to-left lines are in the order that ``export.runtime.reading_order`` gives; in others,
        pieces of the other direction that stand side by side are read from the right.
    """
    blanks = ["", *(" " * blank for blank in spaced)]  # before each
    if direction == "rtl":
        shown = (display_order(text)[0] if way == "rtl" else text for text, way in pieces)
        text = reading_order("".join(map("".join, zip(blanks, shown, strict=False))))[0]
        return " ".join(text.split())
    text = ""
    for way, some in itertools.groupby(zip(blanks, pieces, strict=False), key=lambda one: one[1][1]):
        before, words = zip(*((blank, piece[0]) for blank, piece in some), strict=True)
        if way == "rtl":
            before, words = (before[0], *before[:0:-1]), words[::-1]
        text += "".join(map("".join, zip(before, words, strict=True)))
    return " ".join(text.split())
