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
