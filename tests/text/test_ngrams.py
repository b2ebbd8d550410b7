"""Word language models: Kneser-Ney by hand and beside KenLM, ARPA files of all kinds, and `zoo lm build`."""

import gzip
import io
import itertools
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo import cli
from zoo.errors import UserError
from zoo.text import ngrams
from zoo.text.ngrams import FALLBACK, LanguageModel, Spelling, _discounts, build, read_sentences, write_arpa

LN10 = math.log(10)


def some_sentences(count=170, seed=4):
    rng = random.Random(seed)
    return [
        " ".join(f"w{int(rng.random() ** 4 * 90)}" for _ in range(1 + int(rng.random() * 8)))
        for _ in range(count)
    ]


def entries(arpa):
    """{n-gram: (log10 probability, log10 back-off or 0)}"""
    rows = (line.split("\t") for line in arpa.splitlines() if "\t" in line)
    return {row[1]: (float(row[0]), float(row[2]) if len(row) > 2 else 0.0) for row in rows}


# === Building ===


def test_kneser_ney_by_hand():
    """Two words before </s>, one before a and before b; discounts 0.5 and 1; 4 words with </s> and <unk>."""
    model = LanguageModel.from_arpa(build(["a b", "a"], order=2))
    # Unigrams: (count - discount) / 4 + 0.5 / 4
    assert model.score([], "a") == pytest.approx(math.log(0.25), abs=1e-6)
    assert model.score([], "</s>") == pytest.approx(math.log(0.375), abs=1e-6)
    assert model.score([], "unheard") == pytest.approx(math.log(0.125), abs=1e-6)
    # Bigrams; <s> counts what it stands before as often as it does: (2 - 1) / 2 + 0.5 * 0.25
    assert model.score(["<s>"], "a") == pytest.approx(math.log(0.625), abs=1e-6)
    assert model.score(["a"], "b") == pytest.approx(math.log(0.375), abs=1e-6)
    assert model.score(["a"], "</s>") == pytest.approx(math.log(0.4375), abs=1e-6)
    assert model.score(["b"], "</s>") == pytest.approx(math.log(0.6875), abs=1e-6)
    assert model.score(["<s>"], "b") == pytest.approx(math.log(0.5 * 0.25), abs=1e-6)  # backed off
    perplexity = (0.625 * 0.375 * 0.6875 * 0.625 * 0.4375) ** (-1 / 5)
    assert model.perplexity(["a b", "a"]) == pytest.approx(perplexity, rel=1e-5)


def test_kneser_ney_as_kenlm_estimates_it():
    """Values that `lmplz -o 3` (KenLM 0.3.0) gives for these sentences; no discount is a fall-back here."""
    found = entries(build(some_sentences(), order=3))
    kenlm = {
        "<unk>": (-2.4151373, 0),
        "</s>": (-0.95907265, 0),
        "w0": (-0.90757346, -0.3963114),
        "w9": (-1.7218616, -0.16705988),
        "w33": (-2.2672102, -0.14049639),
        "<s> w3": (-1.5143801, -0.3044669),
        "w0 w0": (-0.65074307, -0.4576223),
        "<s> w0 w0": (-0.55332685, 0),
        "w0 w1 w0": (-0.61504275, 0),
        "w2 w0 </s>": (-0.8447449, 0),
    }
    assert {gram: pytest.approx(found[gram], abs=1e-5) for gram in kenlm} == kenlm
    assert len(found) == 91 + 506 + 688


@pytest.mark.parametrize(
    "order, prune", [*((n, (0,)) for n in range(1, 6)), (3, (0, 0, 1)), (4, (0, 1, 1, 2))]
)
@pytest.mark.parametrize("sentences", [["a"], ["a b a b", "b", "", "a a a a a a"], some_sentences(40)])
def test_after_any_context_all_words_sum_to_one(order, prune, sentences):
    model = LanguageModel.from_arpa(build(sentences, order, prune))
    seen = [s.split()[: i + 1] for s in sentences for i in range(len(s.split()))][:60]
    contexts = [[], ["<s>"], ["unheard"], ["a", "unheard"], *seen, *(["<s>", *words] for words in seen)]
    for context in contexts:
        words = [*model.vocabulary, "</s>", "unheard"]
        total = sum(math.exp(model.score(context, word)) for word in words)
        assert total == pytest.approx(1, abs=1e-5), context


@pytest.mark.parametrize(
    "sizes, discounts",
    [
        ((6, 3, 2), (1 - 0.5, 2 - 1, 3)),  # Y = 6 / (6 + 2 * 3) = 0.5, none occurs four times
        ((6, 3, 3, 2), (0.5, 0.5, 3 - 4 / 3)),
        ((6, 3, 4), FALLBACK),  # the discount of two would be 0
        ((6, 3, 5), FALLBACK),  # below 0
        ((6, 3), FALLBACK),  # unknown
        ((), FALLBACK),
    ],
)
def test_discounts_by_hand(sizes, discounts):
    counts = [count for count, size in enumerate(sizes, 1) for _ in range(size)] + [9] * 7
    found = _discounts(np.array(counts))
    assert found == pytest.approx((0.0, *discounts))


def test_pruned_by_hand():
    """As above, but of the bigrams only "<s> a", which occurs twice, stays."""
    found = entries(build(["a b", "a"], order=2, prune=(0, 1)))
    assert [gram for gram in found if " " in gram] == ["<s> a"]
    assert found["<s> a"][0] == pytest.approx(math.log10(0.625), abs=1e-6)
    assert found["a"] == pytest.approx((math.log10(0.25), 0.0), abs=1e-6)  # a back-off of 1
    assert found["<s>"][1] == pytest.approx(math.log10(0.5), abs=1e-6)


def test_what_is_pruned_occurs_too_seldom():
    sentences = some_sentences()
    whole, pruned = (entries(build(sentences, order=3, prune=prune)) for prune in ((0,), (0, 0, 1)))
    text = [f" <s> {sentence} </s> " for sentence in sentences]
    gone = whole.keys() - pruned.keys()
    assert gone and all(gram.count(" ") == 2 for gram in gone)
    for gram in whole:
        if gram.count(" ") == 2:
            words = gram.split()
            often = sum(line.split()[i : i + 3] == words for line in text for i in range(len(line.split())))
            assert (often == 1) == (gram in gone), gram
    assert (
        build(sentences, order=3, prune=(0, 0, 9999)).count("\\3-grams") == 0
    )  # nothing of three words left


@pytest.mark.parametrize("limit", [60, 90, 150, 9999])
def test_a_limit_keeps_what_occurs_most(limit):
    """Of two n-grams the one that stays occurs more often, or as often and is not longer."""
    sentences = some_sentences(30)
    whole, kept = entries(build(sentences, 3)), entries(build(sentences, 3, limit=limit))
    assert len(kept) <= limit and (limit < len(whole) or len(kept) == len(whole))
    text = [f" <s> {sentence} </s> " for sentence in sentences]

    def often(gram):
        return sum(line[i:].startswith(f" {gram} ") for line in text for i in range(len(line)))

    ranks = {gram: (often(gram), -gram.count(" ")) for gram in whole if " " in gram}
    gone = [rank for gram, rank in ranks.items() if gram not in kept]
    assert not gone or max(gone) < min((ranks[gram] for gram in kept if " " in gram), default=(10**9, 0))
    model = LanguageModel.from_arpa(build(sentences, 3, limit=limit))
    words = [*model.vocabulary, "</s>", "unheard"]
    for context in ([], ["<s>"], ["w0", "w1"]):
        assert sum(math.exp(model.score(context, word)) for word in words) == pytest.approx(1, abs=1e-5)


def test_a_limit_below_the_words_is_told():
    with pytest.raises(UserError, match="2 n-grams are less than the different words; give 6 or more"):
        build(["a b c"], limit=2)


def test_an_order_that_no_sentence_has_is_left_out():
    model = LanguageModel.from_arpa(build(["one", "two"], order=5))
    assert model.order == 3 and model.counts == [5, 4, 2]
    assert build(["one", "two"], order=3) == build(["one", "two"], order=5)


def test_longer_contexts_tell_more():
    sentences = some_sentences()
    models = [LanguageModel.from_arpa(build(sentences, order)) for order in (1, 2, 3)]
    perplexities = [model.perplexity(sentences) for model in models]
    assert perplexities == sorted(perplexities, reverse=True)
    assert models[2].perplexity(["zzz qqq"]) > 3 * models[2].perplexity(sentences[:1])


@pytest.mark.parametrize(
    "sentences, order, named",
    [(["a"], 0, "1 to 8, not 0"), (["a"], 9, "not 9"), ([], 3, "no words"), (["a </s> b"], 3, "</s>")],
)
def test_what_cannot_be_built_is_told(sentences, order, named):
    with pytest.raises(UserError, match=named):
        build(sentences, order)


@pytest.mark.parametrize("prune", [(1,), (0, 2, 1), (0, -1)])
def test_what_cannot_be_pruned_is_told(prune):
    with pytest.raises(UserError, match="as in 0,0,1"):
        build(["a b"], 3, prune)


# === Reading ===

SRILM = """\
made by hand, with blanks between, a pruned bigram, and no <unk>

\\data\\
ngram 1=5
ngram 2=3
ngram 3=2

\\1-grams:
-0.5 </s>
-99 <s> -0.1
-0.6 a -0.2
-0.7 b -0.3
-0.8 c

\\2-grams:
-0.2 <s> a -0.05
-0.3 a b 0.01
-0.35\tb\tc

\\3-grams:
-0.15 <s> a b
-0.01 a b </s>

\\end\\
"""


@pytest.mark.parametrize(
    "context, word, log10",
    [
        ("<s>", "a", -0.2),
        ("<s> a", "b", -0.15),
        ("a b", "</s>", -0.01),
        ("a b", "c", 0.01 - 0.35),  # a b backs off to b
        ("<s> a", "c", -0.05 - 0.2 - 0.8),
        ("<s> a", "a", -0.05 - 0.2 - 0.6),
        ("c", "a", -0.6),  # no back-off is stated for c
        ("a b c", "b", -0.7),  # b c has none either
        ("a a a b", "</s>", -0.01),
        ("x", "b", -0.7),
        ("b", "x", -0.3 - 10),
    ],
)
def test_back_off_by_hand(context, word, log10):
    model = LanguageModel.from_arpa(SRILM)
    assert model.score(context.split(), word) == pytest.approx(log10 * LN10)


def test_the_parts_of_a_model():
    model = LanguageModel.from_arpa(SRILM)
    assert (model.order, model.counts, model.vocabulary) == (3, [5, 3, 2], ["a", "b", "c"])
    assert "a" in model and "x" not in model and "<s>" not in model
    log_prob, state = model.step(model.start, "a")
    assert log_prob == pytest.approx(-0.2 * LN10)
    assert model.step(state, "b")[0] == pytest.approx(-0.15 * LN10)
    # Histories whose last words no n-gram tells apart are one state.
    assert model.step(model.step(model.start, "c")[1], "b")[1] == model.step(0, "b")[1]
    # A state is two words long at most: of "<s> a b" it is "a b".
    assert model.step(state, "b")[1] == model.step(model.step(0, "a")[1], "b")[1] != model.step(0, "b")[1]
    single = LanguageModel.from_arpa(build(["a b"], order=1))
    assert {single.step(single.start, word)[1] for word in ["</s>", "a", "b", "x"]} == {single.start}


def test_nothing_is_remembered_of_an_unknown_word():
    first = SRILM.replace("-0.6 a -0.2\n", "").replace("-0.5 </s>", "-0.6 a -0.2\n-0.5 </s>")
    model = LanguageModel.from_arpa(first)
    assert model.score(["x"], "b") == model.score(["a", "x"], "b") == pytest.approx(-0.7 * LN10)


def test_unknown_words_have_a_floor():
    with_unknown = SRILM.replace("1=5", "1=6").replace("-0.6 a", "-99 <unk>\n-0.6 a")
    for text in (SRILM, with_unknown):
        assert LanguageModel.from_arpa(text).score([], "x") == pytest.approx(-10 * LN10)
        assert LanguageModel.from_arpa(text, floor=1e-4).score([], "x") == pytest.approx(-4 * LN10)
    stated = with_unknown.replace("-99 <unk>", "-2 <UNK>")
    assert LanguageModel.from_arpa(stated).score([], "x") == pytest.approx(-2 * LN10)


def test_the_automaton_gives_what_back_off_says():
    """Against the recursion of the format, over a model of which most n-grams were pruned."""
    rng = random.Random(1)
    words = ["<s>", "</s>", "<unk>", *"abcde"]
    grams = {(word,): (-rng.random() * 3, -rng.random()) for word in words}
    for n in (2, 3, 4):
        for gram in itertools.product(words, repeat=n):
            if (
                gram[:-1] in grams
                and "<s>" not in gram[1:]
                and "</s>" not in gram[:-1]
                and rng.random() < 0.3
            ):
                grams[gram] = (-rng.random() * 3, -rng.random() if n < 4 else 0.0)
    sections = [[gram for gram in grams if len(gram) == n] for n in (1, 2, 3, 4)]
    text = "\\data\\\n" + "".join(f"ngram {n}={len(s)}\n" for n, s in enumerate(sections, 1))
    for n, section in enumerate(sections, 1):
        text += f"\\{n}-grams:\n"
        text += "".join(f"{grams[g][0]}\t{' '.join(g)}\t{grams[g][1]}\n" for g in section)
    model = LanguageModel.from_arpa(text + "\\end\\\n")

    def katz(context, word):
        context = context[-3:]
        if (*context, word) in grams:
            return grams[*context, word][0]
        return grams.get(context, (0, 0))[1] + katz(context[1:], word)

    for _ in range(2000):
        context = ("<s>", *rng.choices("abcdex", k=rng.randrange(6)))
        word = rng.choice(["</s>", *"abcdex"])
        known = tuple("<unk>" if each == "x" else each for each in (*context, word))
        assert model.score(context, word) == pytest.approx(katz(known[:-1], known[-1]) * LN10)


def test_a_file_its_text_and_its_bytes_are_alike(tmp_path):
    sentences = ["größe 'tis", "größe"]
    text = build(sentences)
    assert write_arpa(text, tmp_path / "words.arpa") == len(text.encode())
    write_arpa(text, tmp_path / "words.arpa.gz")
    assert gzip.decompress((tmp_path / "words.arpa.gz").read_bytes()) == text.encode()
    sources = [tmp_path / "words.arpa", str(tmp_path / "words.arpa.gz"), text, text.encode()]
    sources.append(text.replace("\n", "\r\n"))
    for source in sources:
        assert LanguageModel.from_arpa(source).score(["größe"], "'tis") == pytest.approx(
            LanguageModel.from_arpa(text).score(["größe"], "'tis")
        )


@pytest.mark.parametrize(
    "old, new, named",
    [
        ("\\data\\", "data", r"\\data\\"),
        ("ngram 2=3", "ngram 2=4", "line 20: 1 of 4 2-grams are missing"),
        ("ngram 2=3", "ngram 2=2", "line 18: listed twice, or more"),
        ("ngram 2=3", "ngram 2", "line 5: expected 'ngram ORDER=COUNT'"),
        ("ngram 2=3", "ngram two=3", "line 5"),
        ("ngram 2=3\n", "", "line 5: the orders do not count up"),
        ("ngram 1=5", "ngram 1=0", "1-grams"),
        ("\\3-grams:", "\\4-grams:", r"line 20: expected \\3-grams:"),
        ("-0.3 a b", "-0,3 a b", "line 17: expected a log probability"),
        ("-0.3 a b 0.01", "-0.3 a b 0.01 0", "line 17: expected"),
        ("-0.3 a b 0.01", "-0.3 a", "line 17: expected"),
        ("-0.3 a b", "0.3 a b", "line 17: .*too large"),
        ("-0.3 a b", "0.001 a b", "line 17: .*too large"),
        ("-0.3 a b", "nan a b", "line 17: .*too large"),
        ("a b 0.01", "a b inf", "line 17: .*too large"),
        ("-0.3 a b", "-0.3 a x", "line 17: .*not among the 1-grams"),
        ("-0.01 a b </s>", "-0.01 c b </s>", "line 22: .*no n-gram"),
        ("-0.3 a b", "-0.3 <s> a", "line 17: listed twice"),
        ("-0.8 c", "-0.8 a", "line 13: this word is listed twice"),
        ("-99 <s>", "-99 s", "lack <s>"),
        ("\\end\\\n", "", "line 23: the file is cut off"),
        ("-0.8 c", "-0.8 \udcff", "not UTF-8"),
    ],
)
def test_damaged_models_are_told(tmp_path, old, new, named):
    assert SRILM.count(old) == 1
    path = tmp_path / "damaged.arpa"
    path.write_text(SRILM.replace(old, new), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UserError, match=rf"damaged\.arpa: .*{named}"):
        LanguageModel.from_arpa(path)


def test_a_model_cut_off_anywhere_is_told():
    whole = SRILM.strip().encode()
    for length in range(1, len(whole)):
        with pytest.raises(UserError, match="the language model"):
            LanguageModel.from_arpa(whole[:length])
    LanguageModel.from_arpa(whole)


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match=r"missing\.arpa: cannot be read"):
        LanguageModel.from_arpa(tmp_path / "missing.arpa")
    (tmp_path / "cut.arpa.gz").write_bytes(gzip.compress(SRILM.encode())[:-20])
    with pytest.raises(UserError, match=r"cut\.arpa\.gz: this gzip file is damaged"):
        LanguageModel.from_arpa(tmp_path / "cut.arpa.gz")


# === The command ===


def test_build_from_the_command_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "one.txt").write_text("The cat — sat!\r\n\nThe dog sat.\n", encoding="utf-8-sig")
    with gzip.open(tmp_path / "two.txt.gz", "wt", encoding="utf-8") as file:
        file.write("Größe?\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("It’s me\n".encode())))
    texts = [str(tmp_path / "one.txt"), str(tmp_path / "two.txt.gz"), "-"]
    output = tmp_path / "new" / "words.arpa"
    assert cli.main(["lm", "build", *texts, "--order", "2", "--output", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    assert text == build(["the cat sat", "the dog sat", "größe", "it's me"], order=2)
    size = output.stat().st_size
    assert capsys.readouterr().out == f"{output}: 10 + 11 n-grams of 4 sentences, {size:,} bytes\n"
    pruned = ["--order", "2", "--prune", "0,1", "--output", str(output)]
    assert cli.main(["lm", "build", *texts[:1], *pruned]) == 0
    assert "2-grams:\n" in (text := output.read_text(encoding="utf-8")) and "<s> the" in text
    assert "cat sat" not in text


@pytest.mark.parametrize(
    "content, order, named",
    [
        (b"", "3", "text.txt: there are no words in it"),
        (b"\n - \n", "3", "text.txt: there are no words in it"),
        (b"good\nM\xfcller\n", "3", "text.txt: line 2 is not UTF-8"),
        (b"\x1f\x8bno gzip", "3", "text.txt: this gzip file is damaged"),
        (None, "3", "text.txt: cannot be read"),
        (b"good\n", "9", "1 to 8, not 9"),
    ],
)
def test_bad_texts_leave_no_file(tmp_path, capsys, content, order, named):
    path, output = tmp_path / "text.txt", tmp_path / "words.arpa"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["lm", "build", str(path), "--order", order, "--output", str(output)]) == 2
    message = capsys.readouterr().err
    assert named in message and message.count("\n") == 1
    assert set(tmp_path.iterdir()) <= {path}


def test_spelling_by_hand():
    spelling = Spelling(["ab", "aab"], order=2)
    # Single characters: a 3 times, b twice, the end twice, 3 different; one more for what is new.
    a, b, end = ((count + 3 / 4) / (7 + 3) for count in (3, 2, 2))
    start = (2 + 1 * a) / (2 + 1)  # after the beginning always a
    a_b, a_a, b_end = (2 + 2 * b) / (3 + 2), (1 + 2 * a) / (3 + 2), (2 + 1 * end) / (2 + 1)
    assert spelling.log_prob("ab") == pytest.approx(math.log(start * a_b * b_end))
    assert spelling.log_prob("aab") == pytest.approx(math.log(start * a_a * a_b * b_end))
    assert spelling.step("ab", "é") == pytest.approx(math.log(1 / 3 * (3 / 4) / (7 + 3)))


def test_spelling_sums_to_one():
    spelling = Spelling(["ship", "sheep", "shop", "hops"])
    for beginning in ["", "s", "shee", "shi", "xyz", "hophops"]:
        known = sum(math.exp(spelling.step(beginning, character)) for character in ["", *"ehiops"])
        assert known + math.exp(spelling.step(beginning, "é")) == pytest.approx(1)
    assert spelling.log_prob("sheep") > spelling.log_prob("shops") > spelling.log_prob("psohs")


def test_words_are_spelled_like_those_of_the_model():
    model = LanguageModel.from_arpa(build(["heating rain", "raining here"]))
    assert model.spelling.log_prob("hearing") == Spelling(["heating", "here", "rain", "raining"]).log_prob(
        "hearing"
    )


def test_spelling_is_learned_from_words_of_all_the_alphabet(monkeypatch):
    monkeypatch.setattr(ngrams, "SPELLED", 2)
    words = ["apple", "berry", "cherry", "date", "elder"]
    learned = LanguageModel.from_arpa(build([" ".join(words)])).spelling
    some = Spelling(["apple", "date"])
    assert [learned.log_prob(word) for word in words] == [some.log_prob(word) for word in words]


def test_what_is_remembered_of_spelling_is_bounded(monkeypatch):
    words = ["ship", "sheep", "shop", "hops"]
    expected = [Spelling(words).log_prob(word) for word in words]
    monkeypatch.setattr(ngrams, "_CACHED", 3)
    spelling = Spelling(words)
    for word, log_prob in zip(words, expected, strict=True):
        assert spelling.log_prob(word) == log_prob
        assert 0 < len(spelling._log_probs) <= 4


def test_sentences_are_normalised(tmp_path):
    (tmp_path / "text.txt").write_text("  Hello, WORLD  \n\n…\n", encoding="utf-8")
    assert read_sentences(tmp_path / "text.txt") == ["hello world"]


def test_neither_tensorflow_nor_keras_is_loaded():
    program = "import sys, zoo.text.ngrams; sys.exit(bool({'tensorflow', 'keras'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
