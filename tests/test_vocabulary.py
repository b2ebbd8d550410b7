import pytest

from zoo.direction import display_order
from zoo.vocabulary import Vocabulary, normalise


def test_normalise_composes_and_drops_what_leaves_no_ink():
    assert normalise(" a\u0308 \t b\u200f\u200cc\ufeff\n") == "ä bc"


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


@pytest.mark.parametrize(
    "logical, image",
    [
        ("שלום", "םולש"),
        ("سنة 231 في", "يف 231 ةنس"),  # a number keeps its order
        ("ص 12.5/3 ،", "، 12.5/3 ص"),
        ("١٩٦٤ ، ١٨", "١٨ ، ١٩٦٤"),  # two numbers change places
        ("في Derk Kinnane, The Kurds عن", "نع Derk Kinnane, The Kurds يف"),
        ("(نص) x", "x (צ)".replace("צ", "صن")),
        ("", ""),
    ],
)
def test_display_order(logical, image):
    assert display_order(logical)[0] == image
    assert display_order(image)[0] == logical


def test_display_order_is_its_own_inverse_on_anything():
    import random

    random.seed(0)
    letters = "ab1 2٣.,/()[]«»א‏بتé-–:؟"
    for _ in range(3000):
        text = "".join(random.choices(letters, k=random.randrange(20)))
        once, order = display_order(text)
        assert display_order(once)[0] == text
        assert sorted(order) == list(range(len(text)))


def test_right_to_left_vocabulary():
    vocabulary = Vocabulary.from_texts(["سنة 231"])
    assert vocabulary.direction == "rtl"
    rows = vocabulary.encode("سنة 231")
    assert [vocabulary.characters[row - 1] for row in rows] == list("231 ةنس")
    assert vocabulary.decode(rows) == "سنة 231"
