"""The scripts of characters, and texts of several pieces in reading order."""

import pytest

from zoo.text.scripts import line_direction, reading_text, scripts_of, written


def short(text):
    return "".join(one[0] for one in scripts_of(text))


@pytest.mark.parametrize(
    "text, scripts",
    [
        ("abc", "LLL"),
        ("ab, αβ γ", "LLGGGGGG"),  # neutral: as most letters where both sides differ
        ("في (IBM) هو", "AAAALLLAAAA"),
        ("x 12 αβγ", "LLLLGGGG"),  # digits are of what is before them
        ("١٢ ص", "AAAA"),
        ("Ä e\u0301", "LLLL"),
        ("дом", "CCC"),
        ("12 - 3", "ZZZZZZ"),
        ("", ""),
    ],
)
def test_scripts(text, scripts):
    assert short(text) == scripts


def test_written():
    assert written([0, 1, 10, 35]) == "01az\n"


@pytest.mark.parametrize(
    "pieces, direction, text",
    [
        ([("one", "ltr"), ("two", "ltr")], "ltr", "one two"),
        # From the left of the image: the end of the Arabic sentence, a Latin word, its beginning.
        ([("كتاب جديد", "rtl"), ("Kant", "ltr"), ("هذا", "rtl")], "rtl", "هذا Kant كتاب جديد"),
        ([("كتاب", "rtl"), ("Kant 1781", "ltr"), ("هذا", "rtl")], "rtl", "هذا Kant 1781 كتاب"),
        ([("The word", "ltr"), ("كتاب", "rtl"), ("means book", "ltr")], "ltr", "The word كتاب means book"),
        # Two that are read from the right, within what is read from the left.
        ([("a", "ltr"), ("دال", "rtl"), ("جيم", "rtl"), ("b", "ltr")], "ltr", "a جيم دال b"),
        ([("", "rtl"), ("a", "ltr")], "rtl", "a"),
        ([], "rtl", ""),
    ],
)
def test_reading_order(pieces, direction, text):
    assert reading_text(pieces, [True] * (len(pieces) - 1), direction) == text


def test_brackets_of_one_piece_around_another():
    """They stand in the image as in Latin text, so that each piece alone has a strange one at an end."""
    pieces = [(") كتاب", "rtl"), ("IBM", "ltr"), ("في (", "rtl")]
    assert reading_text(pieces, [False, False], "rtl") == "في (IBM) كتاب"


@pytest.mark.parametrize(
    "pieces, direction",
    [
        ([("rtl", 9), ("ltr", 90), ("rtl", 9)], "rtl"),  # a long Latin title in Arabic text
        ([("ltr", 9), ("rtl", 90), ("ltr", 9)], "ltr"),
        ([("ltr", 90), ("rtl", 9)], "ltr"),
        ([("ltr", 9), ("rtl", 90)], "rtl"),
        ([("rtl", 9)], "rtl"),
        ([], "ltr"),
    ],
)
def test_the_direction_of_a_line(pieces, direction):
    assert line_direction(pieces) == direction


def test_no_blank_where_there_is_no_gap():
    assert reading_text([("بال", "rtl"), ("TV", "ltr")], [False], "rtl") == "TVبال"
