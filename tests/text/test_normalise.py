"""What counts as the same text."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.text.normalise import (
    has_digits,
    language_of,
    located_words,
    lower,
    normalise,
    normalise_caption,
    normalise_sentence,
    normalise_text,
    normalise_transcript,
    split_sentences,
)


def test_what_leaves_no_ink_is_dropped_and_the_rest_composed():
    assert normalise(" a\u0308 \t b\u200f\u200cc\ufeff\n") == "ä bc"


def test_sentences_keep_all_but_white_space():
    assert normalise_sentence(" e\u0301\x07 \u00a0X\n") == "é X"


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Kapıyı aç", "AĞAÇ"], "tr"),
        (["ISPARTA", "Ağaç I\u0307zmir"], "tr"),
        (["İstanbul"], "tr"),
        (["I went to İzmir", *["It was the best of times"] * 9], None),
        (["Straße", "Δ"], None),
        ([], None),
        (["123", ""], None),
    ],
)
def test_languages_with_a_dotless_i_are_told(texts, language):
    assert language_of(iter(texts)) == language


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("İSTANBUL", None, "istanbul"),
        ("I\u0307STANBUL", None, "istanbul"),
        ("i\u0307stanbul", None, "istanbul"),
        ("DIYARBAKIR", None, "diyarbakir"),
        ("DIYARBAKIR İLİ", "tr", "dıyarbakır ili"),
        ("ILIQ", "az-Latn", "ılıq"),
        ("BIT", "tru", "bit"),
        ("ẞ ΟΔΟΣ", "de", "ß οδος"),
    ],
)
def test_the_dot_of_i(text, language, wanted):
    assert lower(unicodedata.normalize("NFC", text), language) == wanted
    for function in (normalise_transcript, normalise_caption, normalise_text):
        assert function(text, language) == wanted


@pytest.mark.parametrize(
    "text, normalised",
    [
        ("It's GREAT, isn’t it?!", "it 's great , is n't it ? !"),
        ("it 's great , is n't it ?!", "it 's great , is n't it ? !"),
        ("off-the-wall – they'll can't", "off the wall they 'll ca n't"),
        ("l'homme O'Brien 'quoted'", "l'homme o'brien 'quoted'"),
        ("e\u0301t\u00e9\u00a0 हिन्दी\u200b你好。", "\u00e9t\u00e9 हिन्दी 你好 。"),
        (" \x00\t", ""),
        ('x² "3½" $5 a_b', 'x² " 3½ " $ 5 a _ b'),
    ],
)
def test_texts_are_normalised(text, normalised):
    assert normalise_text(text) == normalised == normalise_text(normalised)


def test_captions_are_normalised():
    assert normalise_caption(" Two dogs , 'play' -- in a T-shirt . ") == "two dogs play in a t-shirt"
    assert normalise_caption("Isn’t it हिन्दी?") == "isn't it हिन्दी"
    assert normalise_caption("a_b -c- no. 3½") == "a b c no 3½"
    assert normalise_caption(" .!? ") == ""


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("WE CALL IT BEAR", "we call it bear"),
        ("  Don’t\tstop! ", "don't stop"),
        ("‘Tis the dogs’ day, isn`t it?", "'tis the dogs' day isn't it"),
        ("''Really'', he said; \"yes\" ' ok", "really he said yes ok"),
        ("Weißenburg-Gunzenhausen – groß/klein", "weißenburg gunzenhausen groß klein"),
        ("GROẞ", "groß"),
        ("one,two…three", "one two three"),
        ("The U.S. and R&D (mostly)", "the us and rd mostly"),
        ("Cafe\u0301 hy\u00adphen", "café hyphen"),
        ("Hawaiʻi", "hawai'i"),
        ("ΟΔΟΣ", "οδος"),
        ("¿Qué? 中文。", "qué 中文"),
        ("…—!", ""),
    ],
)  # fmt: skip
def test_normalise_transcript(written, heard):
    assert normalise_transcript(written) == heard


@settings(max_examples=200)
@given(st.text())
def test_normalised_transcripts(text):
    heard = normalise_transcript(text)
    assert normalise_transcript(heard) == heard
    assert unicodedata.is_normalized("NFC", heard)
    assert all(c in " '" or unicodedata.category(c)[0] in "LMN" for c in heard)
    assert heard == " ".join(heard.split())
    assert has_digits(heard) == has_digits(unicodedata.normalize("NFC", text))


def test_has_digits():
    assert all(map(has_digits, ["room 7", "x²", "½", "٣"]))
    assert not any(map(has_digits, ["", "seven", "一二", "ⅷ"]))


def test_words_with_their_places():
    for text in (
        "Don't go—it's Jean-Luc's 'car'.",
        "a - b '' -c- the 1990s, U.S. (x)",
        "é नमस्ते ok 🙂",
        "İs’t",
    ):
        found = located_words(text)
        assert " ".join(word for word, _, _ in found) == normalise_caption(text)
        assert [normalise_caption(text[start:end]) for _, start, end in found] == [one for one, _, _ in found]


def test_sentences():
    text = 'He said "Hi." Then he left! Where?  3.5 km (away.) End'
    assert split_sentences(text) == ['He said "Hi."', "Then he left!", "Where?", "3.5 km (away.)", "End"]
    assert split_sentences("One. Two.\n\n three\n") == ["One. Two.", "three"] and split_sentences(" ") == []
