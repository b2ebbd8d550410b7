"""``tokenizer.json``: the ids of Hugging Face's tokenizers are those that Python's vocabularies give."""

import json
import random

import pytest

import zoo
from zoo import hub
from zoo.families.question_answering.vocabulary import QuestionVocabulary
from zoo.families.text_classifier.vocabulary import TextVocabulary
from zoo.text.subwords import Subwords
from zoo.text.words import Words

tokenizers = pytest.importorskip("tokenizers")

SAID = [
    "", "   ", "\t\n", "😀", "😀😀 film 🎬🍿!", "👩\u200d👩\u200d👧\u200d👦 family", "Don't!",
    "do n't !", "it’s the '90s", "rock-'n'-roll — yes…", "ΟΔΟΣ Σ ΣΑΣ.", "İstanbul I ı", "Straße ẞ",
    "ﬁne", "e\u0301cole", "日本語 テスト", "a\xa0b\u2009c\u3000d", "a\u200bb", "tab\tnew\nline",
    "\x00\x01x\x7f", "''", "'s", "x's's", "we'll've", "I'D've", "$5.00 (ca. 50%)",
    "<s> </s> <unk> <pad> <0x41>", "١٢٣ عربي", "हिन\u094dदी", "ⅷ ½ ²", "𝒜𝓃 𝕏", "a" * 300, "ab " * 200,
    "\u0301 x", "\ufeffhello", "N'T", "isn't.", "'Tis", "o'clock", "dogs'", "\u2028line\u2029par", "--",
    "a-b-c", "¿Qué?", "힣 한글 각", "🇩🇪🇫🇷", "x\u0307i\u0307", "Iİiı", "well-known, -- 'quoted' words",
]  # fmt: skip
LETTERS = [chr(code) for code in (*range(32, 127), *range(0xA0, 0x250), *range(0x370, 0x400))]
LETTERS += [*"abcdefghijklmnopqrstuvwxyz        ''.,-" * 12, *map(chr, range(0x1F600, 0x1F640))]


@pytest.fixture(scope="module")
def sentences():
    """Two thousand: odd ones, and random strings of letters, marks and emoji."""
    drawn = random.Random(1)
    made = ["".join(drawn.choices(LETTERS, k=drawn.randrange(1, 40))) for _ in range(2000 - len(SAID))]
    return SAID + made


def same(stated, encode, sentences):
    made = tokenizers.Tokenizer.from_str(json.dumps(stated))
    differ = [text for text in sentences if made.encode(text).ids != list(encode(text))]
    assert not differ, f"{len(differ)} of {len(sentences)}, such as {differ[:3]}"


def stored(preset):
    return json.loads((hub.PACKAGED / preset / "vocabulary.json").read_text(encoding="utf-8"))


def test_a_translators_subwords(sentences):
    known = Subwords.from_json(stored("translator_en_de"))
    same(known.metadata()["tokenizer"], lambda text: [*known.encode(text), known.END], sentences)


def test_a_classifiers_subwords_and_words(sentences):
    known = TextVocabulary.from_json(stored("sentiment_en"))

    def encode(text):
        return [known.START, *known.encode(text), known.END]

    same(known.metadata()["tokenizer"], encode, sentences)
    known = TextVocabulary(Words.learn(sentences), ["a", "b"])
    same(known.metadata()["tokenizer"], encode, sentences)
    known = TextVocabulary(Words(["ılık", "ığdır", "iğne", "istanbul"]), ["a", "b"])  # Turkish: I is ı
    same(known.metadata()["tokenizer"], encode, ["ILIK Iğdır İĞNE", "İstanbul I"])


def test_the_words_of_stories(sentences):
    known = QuestionVocabulary(Words.learn(sentences), ["yes", "no"])
    same(known.metadata()["tokenizer"], known.encode, sentences)


def test_it_is_in_the_file(tmp_path):
    from export import to_onnx

    task = zoo.load("sentiment_en")
    to_onnx(task, tmp_path / "m.onnx")
    stated = json.loads(zoo.load(tmp_path / "m.onnx").metadata["tokenizer"])
    assert stated == json.loads(json.dumps(task.vocabulary.metadata()["tokenizer"]))
