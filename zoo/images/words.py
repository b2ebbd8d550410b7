"""Where the words and characters of a line stand in its page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from zoo.formats.pages import Glyph, Word
from zoo.images.columns import INK, ink_of

if TYPE_CHECKING:
    from export.runtime import Line
    from zoo.images.cutting import Cut


def words_of(cut: Cut, line: Line, sure: Callable[[float], float] = float) -> list[Word]:
    """The words of a line and their places in its page.

    Args:
        cut: the ``zoo.images.cutting.Cut`` that was read.
        line: the ``export.runtime.Line`` that was read in it.
        sure: the product of the confidences of a word's characters -> that of the word.

    Returns:
        A list of ``zoo.formats.pages.Word`` in reading order.
    """
    grey = cut.pixels.mean(2).astype(np.uint8)
    ink = (ink_of(grey) > INK).sum(0)
    places = _extents(line.characters, ink)
    words, glyphs = [], []

    def end():
        if glyphs:
            start, stop = min(g[1] for g in glyphs), max(g[2] for g in glyphs)
            said, raw = "".join(g[0] for g in glyphs), math.prod(g[3] for g in glyphs)
            parts = [Glyph(text, cut.outline(*place), own) for text, *place, own in glyphs]
            words.append(Word(said, cut.outline(start, stop), sure(raw), parts))
            glyphs.clear()

    for (character, _, _, own), (start, stop) in zip(line.characters, places, strict=True):
        if character.isspace():
            end()
        elif glyphs and unicodedata.combining(character):
            text, first, last, before = glyphs[-1]
            glyphs[-1] = text + character, min(first, start), max(last, stop), min(before, own)
        else:
            glyphs.append((character, start, stop, own))
    end()
    return words


def _extents(characters, ink):
    """From where to where each character reaches, list of pairs of columns; ``ink`` is that of each column.

    CTC tells where a character is, not how wide it is: what it and the next one share is divided where there
    is least ink, and a blank is the widest gap that is there.
    """
    order = sorted(range(len(characters)), key=lambda i: characters[i].start + characters[i].end)
    middles = [min((characters[i].start + characters[i].end) / 2, len(ink) - 1) for i in order]
    blank = [characters[i].character.isspace() for i in order]
    bounds = [None] * (len(order) - 1)  # where each one ends and the next begins
    for at in range(len(bounds)):
        gap = blank[at + 1] and at + 1 < len(bounds)
        first = int(middles[at])
        part = ink[first : int(middles[at + 2 if gap else at + 1]) + 1]
        if bounds[at] is None and gap:
            bounds[at], bounds[at + 1] = (first + side for side in _widest_gap(part))
        elif bounds[at] is None:
            least, halfway = first + np.flatnonzero(part == part.min()), (middles[at] + middles[at + 1]) / 2
            bounds[at] = float(least[np.abs(least - halfway).argmin()])
    inked = np.flatnonzero(ink)
    edges = [inked[0], *bounds, inked[-1] + 1] if len(inked) else [0, *bounds, len(ink)]
    found = [None] * len(order)
    for at, i in enumerate(order):
        found[i] = min(edges[at : at + 2]), max(edges[at : at + 2])
    return found


def _widest_gap(ink):
    """``(start, end)`` of the longest run of columns with the least ink."""
    free = np.concatenate([[0], (ink == ink.min()).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(free) > 0), np.flatnonzero(np.diff(free) < 0)
    widest = (ends - starts).argmax()
    return int(starts[widest]), int(ends[widest])
