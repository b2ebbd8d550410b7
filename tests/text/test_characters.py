import unicodedata

import pytest

from zoo.text.characters import Vocabulary


def test_encode_decode_and_unknown():
    vocabulary = Vocabulary("abc ")
    assert vocabulary.encode("cab x b") == [3, 1, 2, 4, 4, 2]
    assert vocabulary.decode([3, 1, 2]) == "cab"
    assert vocabulary.unknown("cab xyx") == ["x", "y", "x"]
    assert len(vocabulary) == 5


def test_extended_keeps_rows():
    vocabulary = Vocabulary("zb").extended("abz!")
    assert vocabulary.characters == ["z", "b", "!", "a"]


def test_a_character_twice_is_refused():
    with pytest.raises(ValueError, match="once"):
        Vocabulary("aba")


def test_right_to_left_vocabulary():
    vocabulary = Vocabulary.from_texts(["سنة 231"])
    assert vocabulary.direction == "rtl"
    rows = vocabulary.encode("سنة 231")
    assert [vocabulary.characters[row - 1] for row in rows] == list("231 ةنس")
    assert vocabulary.decode(rows) == "سنة 231"


@pytest.mark.parametrize(
    "parts, direction, text",
    [("ex\u0303S ", "ltr", "ex ẽS x\u0303"), ("ا\u0654\u0653بe\u0301", "rtl", "أب آب é اب")],
)
def test_letters_that_a_vocabulary_has_in_parts_are_written_and_read_composed(parts, direction, text):
    vocabulary = Vocabulary([*parts, *(" " if " " not in parts else "")], direction)
    rows = vocabulary.encode(text)
    assert not vocabulary.unknown(text) and vocabulary.unknown("ö") == ["ö"]
    assert len(rows) == len(unicodedata.normalize("NFD", text))
    assert vocabulary.decode(rows) == text
    assert vocabulary.extended(text + "ö").characters == [*vocabulary.characters, "ö"]


def test_a_letter_with_its_mark_may_be_one_row():
    vocabulary = Vocabulary(["e", "e\u0303", "\u0301"])
    assert vocabulary.encode("ẽeé") == [2, 1, 1, 3]
    assert vocabulary.decode([2, 1, 1, 3]) == "ẽeé"
