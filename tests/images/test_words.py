"""Where words stand in a line."""

import numpy as np
import pytest

from export.runtime import Character, Line
from zoo.images.cutting import cut
from zoo.images.words import words_of

PAPER, INK = 240, 20


def a_cut(*strokes, width=220):
    """A line at (100, 50) of a page, with ink from and to some of its columns."""
    pixels = np.full((200, 500, 1), PAPER, np.uint8)
    for first, last in strokes:
        pixels[60:80, 100 + first : 100 + last] = INK
    outline = np.array([(100, 50), (100 + width, 50), (100 + width, 90), (100, 90)], float)
    return cut(pixels, outline, np.zeros((0, 2)), 40)


def spelled(cut, *characters):
    """A ``Line`` whose characters are seen in the middle of ``(character, column, confidence)``."""
    shift = cut.margin
    spans = [Character(c, x - 1 + shift, x + 1 + shift, sure) for c, x, sure in characters]
    return Line("".join(c for c, *_ in characters), 0.9, spans)


def extents(things):
    return [(int(one.polygon[0, 0]) - 100, int(one.polygon[1, 0]) - 100) for one in things]


def test_words_reach_from_ink_to_ink():
    cut = a_cut((10, 30), (35, 60), (90, 120), (124, 150))
    read = spelled(cut, ("a", 20, 1.0), ("b", 48, 0.5), (" ", 70, 1.0), ("c", 100, 0.9), ("d", 140, 0.7))
    first, second = words_of(cut, read)
    assert (first.text, second.text) == ("ab", "cd")
    assert extents([first, second]) == [(10, 60), (90, 150)]
    assert (first.confidence, second.confidence) == (pytest.approx(0.5), pytest.approx(0.63))
    (_, left), (right, _) = extents(first.glyphs)
    assert 30 <= left == right <= 35  # divided where there is no ink
    assert first.polygon[:, 1].tolist() == [50, 50, 90, 90]


def test_right_to_left():
    cut = a_cut((10, 60), (90, 150))
    read = spelled(cut, ("ب", 130, 1.0), ("ا", 100, 1.0), (" ", 75, 1.0), ("ت", 30, 1.0))
    first, second = words_of(cut, read)
    assert (first.text, second.text) == ("با", "ت") and extents([first, second]) == [(90, 150), (10, 60)]


def test_combining_marks_are_part_of_their_letter():
    cut = a_cut((10, 60))
    (word,) = words_of(cut, spelled(cut, ("u", 25, 1.0), ("\u0364", 30, 0.4), ("n", 50, 1.0)))
    assert word.text == "u\u0364n" and [glyph.text for glyph in word.glyphs] == ["u\u0364", "n"]
    assert word.glyphs[0].confidence == 0.4


def test_several_blanks_and_blanks_at_the_ends():
    cut = a_cut((10, 30), (90, 120))
    read = spelled(
        cut, (" ", 2, 1.0), ("a", 20, 1.0), (" ", 50, 1.0), (" ", 60, 1.0), ("b", 100, 1.0), (" ", 180, 1.0)
    )
    first, second = words_of(cut, read)
    assert extents([first])[0][1] <= 50 and extents([second])[0][0] >= 50
    assert words_of(cut, spelled(cut)) == [] and words_of(cut, spelled(cut, (" ", 20, 1.0))) == []
