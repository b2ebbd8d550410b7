"""The figures of captions against published examples and their definitions written out; their properties."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contract.descriptions import evaluate_describer
from zoo.metrics.captions import bleu, cider, rouge_l

# Four images, and what pycocoevalcap 1.2 (Bleu, Rouge and Cider) gives for them.
REFERENCES = [
    [
        "a brown dog runs through the tall grass",
        "a dog is running in a field of grass",
        "the brown dog plays outside",
    ],
    ["two children play in the water", "a boy and a girl splash in a fountain"],
    [
        "a man in a red shirt climbs a steep rock",
        "a climber on a rock face",
        "man climbing up a rock",
        "someone in red scales a cliff",
    ],
    ["a girl in a blue dress jumps"],
]
HYPOTHESES = [
    "a brown dog runs in the grass",
    "two children splash in a fountain of water",
    "a man climbs a rock",
    "a boy in a blue shirt jumps on a bed",
]
BLEU = [79.99999999733334, 60.76436202283872, 43.78060272473637, 31.07425138417826]
ROUGE_L = 0.6755630004341769
CIDER = 1.9687338715119842

WORD = st.sampled_from(["a", "b", "c", "d", "e"])
CAPTION = st.lists(WORD, max_size=9).map(" ".join)
IMAGES = st.lists(st.tuples(st.lists(CAPTION, min_size=1, max_size=4), CAPTION), min_size=1, max_size=5)


def unzip(images):
    return [references for references, _ in images], [hypothesis for _, hypothesis in images]


def all_figures(references, hypotheses):
    return [*bleu(references, hypotheses), rouge_l(references, hypotheses), cider(references, hypotheses)]


def grams(text, n):
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


# === Published examples ===


def test_bleu_of_nltks_corpus():
    """The example of nltk's ``corpus_bleu``, its first sentence from Papineni et al. 2002, example 1."""
    references = [
        [
            "It is a guide to action that ensures that the military will forever heed Party commands",
            "It is the guiding principle which guarantees the military forces always being under "
            "the command of the Party",
            "It is the practical guide for the army always to heed the directions of the party",
        ],
        ["he was interested in world history because he read the book"],
    ]
    hypotheses = [
        "It is a guide to action which ensures that the military always obeys the commands of the party",
        "he read the book because he was interested in world history",
    ]
    figures = bleu(references, hypotheses)
    expected = [96.55172413793104, 82.42803277698696, 59.20778868801042]
    assert [figures[0], figures[1], figures[3]] == pytest.approx(expected)


def test_bleu_counts_no_word_more_often_than_a_reference():
    """Papineni et al. 2002, example 2: two of the seven are right."""
    references = [["the cat is on the mat", "there is a cat on the mat"]]
    assert bleu(references, ["the the the the the the the"]) == pytest.approx([200 / 7, 0, 0, 0])


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ("police kill the gunman", 3 / 4),
        ("the gunman kill police", 2 / 4),
        ("the gunman police killed", 2 / 4),
    ],
)
def test_rouge_l_of_its_paper(hypothesis, expected):
    """Lin 2004, section 3.1: precision and recall agree, so that β says nothing."""
    assert rouge_l([["police killed the gunman"]], [hypothesis]) == pytest.approx(expected)


def test_cider_of_aac_metrics():
    """The example in the README of aac-metrics, after its tokeniser; its figures have four digits."""
    references = [
        ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"],
        ["rain is falling hard on a surface"],
    ]
    hypotheses = ["a man is speaking", "rain falls"]
    assert cider(references, hypotheses) == pytest.approx(0.9614, abs=5e-5)
    assert bleu(references, hypotheses)[0] == pytest.approx(42.78, abs=5e-3)
    # Of the set less one of its captions there remains the other's share of the mean.
    assert cider(references, [hypotheses[0], ""]) == pytest.approx(1.3641 / 2, abs=5e-5)
    assert cider(references, ["", hypotheses[1]]) == pytest.approx(0.5587 / 2, abs=5e-5)


def test_figures_of_pycocoevalcap():
    assert bleu(REFERENCES, HYPOTHESES) == pytest.approx(BLEU, abs=1e-6)
    assert rouge_l(REFERENCES, HYPOTHESES) == pytest.approx(ROUGE_L, abs=1e-12)
    assert cider(REFERENCES, HYPOTHESES) == pytest.approx(CIDER, abs=1e-12)


# === By hand ===


def test_bleu_penalises_what_is_shorter_than_the_closest_reference():
    """Lengths 3 and 9 are as far from 6: the shorter counts, and nothing is too short."""
    references = [["a b c", "a b c d e f g h i"]]
    assert bleu(references, ["a b c d e f"])[0] == pytest.approx(100)
    assert bleu([["a b c d e f"]], ["a b c"])[0] == pytest.approx(100 * math.exp(1 - 6 / 3))


def test_bleu_cuts_at_blanks_alone():
    assert bleu([["a 3-d film"]], ["a 4-d film"])[0] == pytest.approx(200 / 3)


def test_rouge_l_takes_precision_and_recall_from_different_references():
    """Precision 2/3 of the long reference, recall 1 of the short one."""
    expected = (1 + 1.44) * (2 / 3) / (1 + 1.44 * 2 / 3)
    assert rouge_l([["a x b y y y", "a"]], ["a b z"]) == pytest.approx(expected)


def test_cider_by_hand():
    """Every n-gram is of one image of two, so that all weigh ln 2.

    Image 1: words (2, 1) against (1, 1), clipped: (1 + 1) / √5 √2; pairs aa, ab against ab: 1 / √2;
    one word too long. Image 2: all right, no pairs.
    """
    first = 10 / 4 * math.exp(-1 / 72) * (2 / math.sqrt(10) + 1 / math.sqrt(2))
    assert cider([["a b"], ["c"]], ["a a b", "c"]) == pytest.approx((first + 10 / 4) / 2)


def test_perfect_captions_reach_the_top_and_foreign_ones_nothing():
    references = [["a b c d"], ["e f g h i"], ["j k l m"]]
    assert all_figures(references, [texts[0] for texts in references]) == pytest.approx([100] * 4 + [1, 10])
    assert all_figures(references, ["x y z w", "x", ""]) == [0] * 6


# === The definitions, written out ===


def plain_bleu(references, hypotheses, orders):
    logs = []
    for n in range(1, orders + 1):
        right = total = 0
        for texts, hypothesis in zip(references, hypotheses, strict=True):
            for gram, count in Counter(grams(hypothesis, n)).items():
                right += min(count, max(grams(text, n).count(gram) for text in texts))
                total += count
        if not right:
            return 0.0
        logs.append(math.log(right / total))
    lengths = [len(hypothesis.split()) for hypothesis in hypotheses]
    closest = [
        min((abs(len(text.split()) - length), len(text.split())) for text in texts)[1]
        for texts, length in zip(references, lengths, strict=True)
    ]
    return 100 * math.exp(min(0, 1 - sum(closest) / sum(lengths)) + sum(logs) / orders)


def plain_cider(references, hypotheses):
    """With dense vectors over all n-grams there are."""
    figures = []
    for n in range(1, 5):
        every = sorted(
            {
                g
                for texts, h in zip(references, hypotheses, strict=True)
                for t in (*texts, h)
                for g in grams(t, n)
            }
        )
        images = np.array([sum(any(g in grams(t, n) for t in texts) for texts in references) for g in every])
        weights = np.log(len(references) / np.maximum(images, 1))
        for texts, hypothesis in zip(references, hypotheses, strict=True):
            for text in texts:
                found, wanted = (
                    weights * np.array([grams(t, n).count(g) for g in every]) for t in (hypothesis, text)
                )
                norm = np.linalg.norm(found) * np.linalg.norm(wanted)
                apart = len(hypothesis.split()) - len(text.split())
                cosine = np.minimum(found, wanted) @ wanted / norm if norm else 0.0
                figures.append(10 * math.exp(-(apart**2) / 72) * cosine / len(texts))
    return sum(figures) / 4 / len(references)


@pytest.mark.slow
@settings(deadline=None)
@given(IMAGES)
def test_figures_are_those_of_the_definitions(images):
    references, hypotheses = unzip(images)
    expected = [plain_bleu(references, hypotheses, n) for n in range(1, 5)]
    assert bleu(references, hypotheses) == pytest.approx(expected)
    assert cider(references, hypotheses) == pytest.approx(plain_cider(references, hypotheses))


@settings(deadline=None)
@given(CAPTION, CAPTION)
def test_rouge_l_of_one_pair_is_that_of_the_longest_common_subsequence(reference, hypothesis):
    def subsequences(words):
        found = {()}
        for word in words:
            found |= {(*some, word) for some in found}
        return found

    r, h = reference.split(), hypothesis.split()
    common = max(map(len, subsequences(r) & subsequences(h)))
    # van Rijsbergen's F of precision common / len(h) and recall common / len(r), cleared of fractions
    expected = 2.44 * common / (len(h) + 1.44 * len(r)) if common else 0.0
    assert rouge_l([[reference]], [hypothesis]) == pytest.approx(expected)


# === Properties ===


@settings(deadline=None)
@given(IMAGES, st.randoms(use_true_random=False))
def test_neither_order_nor_spelling_counts(images, random):
    figures = all_figures(*unzip(images))
    for figure, most in zip(figures, [100] * 4 + [1, 10], strict=True):
        assert 0 <= figure <= most + 1e-9
    mixed = [(random.sample(references, len(references)), hypothesis) for references, hypothesis in images]
    random.shuffle(mixed)
    respelled = str.maketrans("abcde", "vwxyz")
    mixed = [([text.translate(respelled) for text in rs], h.translate(respelled)) for rs, h in mixed]
    assert all_figures(*unzip(mixed)) == pytest.approx(figures)


@settings(deadline=None)
@given(IMAGES, CAPTION)
def test_a_further_reference_never_lowers_rouge_l(images, further):
    references, hypotheses = unzip(images)
    more = [[*texts, further] for texts in references]
    assert rouge_l(more, hypotheses) >= rouge_l(references, hypotheses) - 1e-12


@settings(deadline=None)
@given(IMAGES)
def test_references_given_twice_change_nothing(images):
    references, hypotheses = unzip(images)
    twice = [texts * 2 for texts in references]
    assert all_figures(twice, hypotheses) == pytest.approx(all_figures(references, hypotheses))


# === Bad input ===


@pytest.mark.parametrize("figure", [bleu, rouge_l, cider])
def test_what_cannot_be_scored_is_refused(figure):
    with pytest.raises(ValueError, match="1 captions for 2 images"):
        figure([["a"], ["b"]], ["a"])
    with pytest.raises(ValueError, match="no reference"):
        figure([["a"], []], ["a", "b"])
    with pytest.raises(ValueError, match="no image"):
        figure([], [])


# === Over a corpus ===


class Corpus:
    skipped = ["broken.jpg: this is no image."]

    def __len__(self):
        return len(REFERENCES)

    def chunks(self, size):
        images = [np.full((2, 2, 3), i, "uint8") for i in range(len(self))]
        # Two chunks, and what is written with capitals and stops counts as what is written without.
        yield images[:3], [[f"{text.capitalize()}." for text in texts] for texts in REFERENCES[:3]]
        yield images[3:], REFERENCES[3:]


def test_report_over_a_corpus():
    report = evaluate_describer(
        lambda images: [HYPOTHESES[image[0, 0, 0]].upper() + " !" for image in images], Corpus(), "images"
    )
    assert [report.pop(f"bleu{n}") for n in range(1, 5)] == pytest.approx(BLEU, abs=1e-6)
    assert report.pop("rouge_l") == pytest.approx(ROUGE_L) and report.pop("cider") == pytest.approx(CIDER)
    assert report.pop("images_per_second") == 4 / report.pop("seconds")
    assert report.pop("exact") == sum(h in r for h, r in zip(HYPOTHESES, REFERENCES, strict=True)) / 4
    assert report == {"images": 4, "captions": 10, "skipped": Corpus.skipped}
