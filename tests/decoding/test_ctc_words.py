"""Beam search with a language model, beside the enumeration of all paths and plain beam search."""

import itertools
import math

import numpy as np
import pytest

from export.runtime import prefix_beam_search
from zoo.decoding import ctc_words
from zoo.decoding.ctc_words import WordSearch
from zoo.errors import UserError
from zoo.text.ngrams import LanguageModel, build

MODEL = LanguageModel.from_arpa(build(["a b", "ab a", "b b a", "a b ab"], order=2))
EXACT = {"beam_width": 100_000, "token_threshold": 0.0, "beam_threshold": math.inf}


def random_log_probs(time, labels, seed, sharpness=1.0):
    logits = np.random.default_rng(seed).normal(size=(time, labels)) * sharpness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def spelled(vocabulary, text, sure=0.98):
    """Log probabilities of a network that hears ``text``: two frames a character and a blank after it."""
    path = [label for c in text for label in [vocabulary.index(c) + 1] * 2 + [0]]
    probs = np.full((len(path), len(vocabulary) + 1), (1 - sure) / len(vocabulary))
    probs[np.arange(len(path)), path] = sure
    return np.log(probs)


def every_text(vocabulary, log_probs):
    """{text: log probability, summed over every path} by enumeration of all paths."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = "".join(vocabulary[label - 1] for label, _ in itertools.groupby(path) if label)
        log_prob = sum(frame[label] for frame, label in zip(log_probs, path, strict=True))
        found[text] = np.logaddexp(found.get(text, -np.inf), log_prob)
    return found


def brute_force(vocabulary, log_probs, model, alpha, beta, hot, weight, penalty, spelling=0.0):
    """The best text and its score: Q, bonuses and penalties, by the book."""

    def score(item):
        text, log_prob = item
        context = ["<s>"]
        for word in text.split():
            if model:
                log_prob += alpha * model.score(context, word) + beta
            if word in hot:
                log_prob += weight
            elif not (model and word in model):
                log_prob -= penalty
                if model and penalty < math.inf:
                    log_prob += spelling * model.spelling.log_prob(word)
            context.append(word)
        return log_prob + (alpha * model.score(context, "</s>") if model else 0.0)

    best = max(every_text(vocabulary, log_probs).items(), key=score)
    return best[0], score(best)


@pytest.mark.parametrize(
    "time, vocabulary", [(1, "a b"), (4, "a b"), (5, "a b"), (5, "ab"), (5, " a"), (4, "b ca")]
)
@pytest.mark.parametrize("kind", ["plain", "model", "words", "hot", "all", "hot alone", "closed", "spelled"])
def test_finds_what_enumeration_finds(time, vocabulary, kind):
    model = None if kind in ("plain", "hot alone") else MODEL
    alpha, beta = (1.3, 0.8) if kind in ("words", "all") else (0.7, 0.0)
    hot = ["b", "ba"] if kind in ("hot", "all", "hot alone") and "b" in vocabulary else []
    penalty = math.inf if kind == "closed" else 1.5
    spelling = 0.6 if kind in ("spelled", "all") else 0.0
    search = WordSearch(
        vocabulary, model, alpha, beta, hot, 2.0, 1.5, spelling, open_vocabulary=kind != "closed", **EXACT
    )  # fmt: skip
    for seed in range(8):
        log_probs = random_log_probs(time, len(vocabulary) + 1, seed, sharpness=1 + seed % 3)
        text, score = search.search(log_probs)
        cost = penalty if model else 0.0
        truth = brute_force(vocabulary, log_probs, model, alpha, beta, hot, 2.0, cost, spelling)
        assert (text, score) == (truth[0], pytest.approx(truth[1], abs=1e-6))


@pytest.mark.parametrize("beam_width", [1, 3, 200])
def test_without_a_model_it_is_plain_beam_search(beam_width):
    vocabulary = "ab c"
    search = WordSearch(vocabulary, beam_width=beam_width, token_threshold=0.0, beam_threshold=math.inf)
    for seed in range(15):
        log_probs = random_log_probs(12, 5, seed, sharpness=2)
        labels, log_prob = prefix_beam_search(log_probs, beam_width, threshold=0)
        text = "".join(vocabulary[label - 1] for label in labels)
        assert search.search(log_probs) == (text, pytest.approx(log_prob, abs=1e-6))


@pytest.mark.parametrize("model", [None, MODEL])
@pytest.mark.parametrize("open_vocabulary", [True, False])
def test_any_beam_gives_a_text_and_never_too_high_a_score(model, open_vocabulary):
    options = {"hot_words": ["ba"], "open_vocabulary": open_vocabulary}
    best = WordSearch("a b", model, **options, **EXACT)
    for beam_width, beam_threshold in [(1, 14.0), (2, 0.0), (8, 1.0), (64, 14.0)]:
        search = WordSearch("a b", model, **options, beam_width=beam_width, beam_threshold=beam_threshold)
        for seed in range(20):
            log_probs = random_log_probs(7, 4, seed, sharpness=2)
            text, score = search.search(log_probs)
            assert score <= best.search(log_probs)[1] + 1e-6
            if not open_vocabulary:
                assert set(text.split()) <= {"a", "b", "ab", "ba"}


@pytest.mark.parametrize("model", [None, MODEL])
def test_no_frames_no_text(model):
    search = WordSearch("a b", model, alpha=0.5)
    end = 0.5 * MODEL.score(["<s>"], "</s>") if model else 0.0
    assert search.search(np.zeros((0, 4), np.float32)) == ("", pytest.approx(end))
    assert search.align(np.zeros((0, 4)), "") == []


def test_a_sure_network_is_believed():
    vocabulary = "abn '"
    model = LanguageModel.from_arpa(build(["ban", "a nab", "ban a"]))
    for text in ["ban a nab", "bannaba", "a", "'a nn", " a  b "]:  # known, unknown, doubled, odd blanks
        log_probs = spelled(vocabulary, text, sure=1 - 1e-7).astype(np.float32)
        for search in (WordSearch(vocabulary), WordSearch(vocabulary, model, beam_width=4)):
            found, _ = search.search(log_probs)
            assert found == text
            spans = [(3 * i, 3 * i + 1) for i in range(len(text))]
            assert search.align(log_probs, found) == spans


def test_sure_blanks_change_nothing():
    """They are passed over cheaply; the score has their probability all the same."""
    log_probs = random_log_probs(6, 4, 2, sharpness=2)
    pauses = np.log(np.array([[0.9997, 1e-4, 1e-4, 1e-4]] * 3))
    paused = np.concatenate([log_probs[:3], pauses, log_probs[3:], pauses])
    search = WordSearch("a b", MODEL, beam_width=300, beam_threshold=math.inf)
    advance, times = search._advance, []
    search._advance = lambda beam, time, *frame: times.append(time) or advance(beam, time, *frame)
    fast = search.search(paused)
    assert times == [0, 1, 2, 6, 7, 8]
    exact = WordSearch("a b", MODEL, **EXACT | {"beam_width": 300}).search(paused)
    assert fast == (exact[0], pytest.approx(exact[1], abs=0.02))


def test_the_model_chooses_among_what_sounds_alike():
    vocabulary = " abdehinrstw"
    model = LanguageModel.from_arpa(build(["wait and see", "the ship went there", "there it is"]))
    near_tie = spelled(vocabulary, "there is", sure=0.9)
    place = vocabulary.index("e") + 1, vocabulary.index("i") + 1
    near_tie[6:8, place[0]], near_tie[6:8, place[1]] = math.log(0.40), math.log(0.42)
    assert WordSearch(vocabulary).search(near_tie)[0] == "thire is"
    assert WordSearch(vocabulary, model).search(near_tie)[0] == "there is"
    silent = WordSearch(vocabulary, model, alpha=0.0, beta=0.0, unknown_penalty=0.0, spelling_weight=0.0)
    assert silent.search(near_tie)[0] == "thire is"


def test_a_word_never_seen_is_spelled_like_those_that_were():
    vocabulary = " aeghinrst"
    model = LanguageModel.from_arpa(build(["heating rain", "raising grain", "searing"]))
    unseen = spelled(vocabulary, "grating", sure=0.9)  # -ing is known, -inr is not
    place = vocabulary.index("g") + 1, vocabulary.index("r") + 1
    unseen[18:20, place[0]], unseen[18:20, place[1]] = math.log(0.40), math.log(0.45)
    for weight, text in [(0.0, "gratinr"), (0.5, "grating")]:
        search = WordSearch(vocabulary, model, spelling_weight=weight)
        assert search.search(unseen)[0] == text


def test_a_hot_word_turns_a_near_tie():
    vocabulary = " abeiknrst"
    log_probs = spelled(vocabulary, "sea kiras", sure=0.9)
    place = vocabulary.index("e") + 1, vocabulary.index("i") + 1
    log_probs[15:17, place[0]], log_probs[15:17, place[1]] = math.log(0.1), math.log(0.8)
    assert WordSearch(vocabulary).search(log_probs)[0] == "sea kiras"
    assert WordSearch(vocabulary, hot_words=["Keras"]).search(log_probs)[0] == "sea keras"
    phrase = WordSearch(vocabulary, hot_words=["Keras", "Tea in Keras!"], beam_width=2)
    assert phrase.search(log_probs)[0] == "sea keras"
    # Its beginning alone earns nothing in the end.
    assert WordSearch(vocabulary, hot_words=["kerasan"]).search(log_probs)[0] == "sea kiras"
    scores = [WordSearch(vocabulary, hot_words=words).search(log_probs)[1] for words in ([], ["kerasan"])]
    assert scores[0] == pytest.approx(scores[1], abs=0.1)  # pruning differs


def test_a_hot_word_survives_a_narrow_beam_and_an_unwilling_model():
    vocabulary = " abeiknrst"
    model = LanguageModel.from_arpa(build(["sea air", "see it in a sea", "air is near"]))
    log_probs = spelled(vocabulary, "sea keras", sure=0.7)
    assert (
        WordSearch(vocabulary, model, hot_words=["keras"], beam_width=4).search(log_probs)[0] == "sea keras"
    )
    closed = {"open_vocabulary": False, "beam_width": 16}
    assert "keras" not in WordSearch(vocabulary, model, **closed).search(log_probs)[0]
    assert WordSearch(vocabulary, model, hot_words=["keras"], **closed).search(log_probs)[0] == "sea keras"


def test_a_closed_vocabulary_gives_whole_words_only():
    search = WordSearch("ab ", MODEL, open_vocabulary=False, token_threshold=1e-9)
    text, score = search.search(spelled("ab ", "ab aaa", sure=1 - 1e-4))
    assert text.split()[0] == "ab" and set(text.split()) <= {"a", "b", "ab"} and score > -math.inf
    # Cut off in a word that no pruned ending can finish.
    search = WordSearch(
        "abc ", LanguageModel.from_arpa(build(["ab", "abc"])), open_vocabulary=False, beam_width=1
    )
    assert search.search(spelled("abc ", "ab a", sure=0.99)) == ("ab", -math.inf)


def test_impossible_frames_and_long_recordings_are_borne():
    log_probs = np.full((3, 4), -np.inf)
    log_probs[:, [1, 2, 1]] = 0.0
    log_probs[[0, 1, 2], [2, 1, 2]] = -np.inf
    assert WordSearch("a b", MODEL).search(log_probs)[1] < 0
    for log_probs in (random_log_probs(2500, 4, 1, 0.1), random_log_probs(2500, 4, 1, 20)):
        _, log_prob = prefix_beam_search(log_probs, 4)
        assert WordSearch("a b", beam_width=4).search(log_probs)[1] == pytest.approx(log_prob, rel=1e-2)
        assert -1e5 < WordSearch("a b", MODEL, beam_width=4).search(log_probs)[1] < 0


def test_an_unfinished_word_counts_what_the_likeliest_with_its_beginning_does():
    search = WordSearch("ab ", MODEL, alpha=0.7, beta=0.2, hot_words=["bab"], hot_word_weight=3.0)

    def counts(word):
        return 0.7 * MODEL.score([], word) + 0.2

    assert search._beginnings == {
        "a": pytest.approx(max(counts("a"), counts("ab"))),
        "ab": pytest.approx(counts("ab")),
        "b": pytest.approx(max(counts("b"), counts("bab") + 1.0)),
        "ba": pytest.approx(counts("bab") + 2.0),
        "bab": pytest.approx(counts("bab") + 3.0),
    }


def test_an_unfinished_unknown_word_counts_its_spelling():
    search = WordSearch("ab ", MODEL, 0.7, 0.2, unknown_penalty=1.5, spelling_weight=0.6)
    beam, _ = search.beam(spelled("ab ", "a bba", sure=1 - 1e-7))
    begun = sum(MODEL.spelling.step("bba"[:i], "bba"[i]) for i in range(3))
    strange = 0.7 * MODEL.score([], "<unk>") + 0.2 - 1.5 + 0.6 * begun
    assert "".join("ab "[label - 1] for label in beam[0].labels()) == "a bba"
    assert beam[0].bias == pytest.approx(0.7 * MODEL.score(["<s>"], "a") + 0.2 + strange)


@pytest.mark.parametrize("open_vocabulary", [True, False])
def test_what_is_kept_is_possible_and_near_the_best(open_vocabulary):
    for beam_threshold in (0.0, 2.0):
        search = WordSearch("a b", MODEL, open_vocabulary=open_vocabulary, beam_threshold=beam_threshold)
        for seed in range(5):
            scores = [prefix.score for prefix in search.beam(random_log_probs(7, 4, seed, sharpness=2))[0]]
            assert scores[0] == max(scores) and min(scores) >= max(scores) - beam_threshold
            assert min(scores) > -math.inf


def test_a_vocabulary_may_have_no_more_characters_than_a_word():
    search = WordSearch("ab", LanguageModel.from_arpa(build(["ab"])))
    assert search.search(spelled("ab", "ab"))[0] == "ab"


def test_the_defaults_are_those_that_the_figures_of_presets_were_measured_with():
    text = "cc aabb a"  # a hot, an unknown and a known word
    log_probs = spelled("abc ", text, sure=1 - 1e-7)
    default = WordSearch("abc ", MODEL, hot_words=["cc"])
    stated = WordSearch("abc ", MODEL, 0.75, 1.5, ["cc"], 8.0, 0.0, 0.5, True, 64, 1e-3, 14.0)
    assert default.search(log_probs) == stated.search(log_probs)
    assert default.search(log_probs)[0] == text
    assert (default.beam_width, default.token_threshold, default.beam_threshold) == (64, 1e-3, 14.0)


def test_what_is_remembered_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(ctc_words, "CACHED", 5)
    search = WordSearch("a b", MODEL)
    for seed in range(5):
        log_probs = random_log_probs(12, 4, seed)
        assert search.search(log_probs) == WordSearch("a b", MODEL).search(log_probs)
        search.search(np.zeros((0, 4)))  # a search begins with forgetting
        assert len(search._word_scores) <= 1


def test_what_cannot_be_searched_for_is_told():
    with pytest.raises(UserError, match="hot word 'R2D2' has 2 d r"):
        WordSearch("ab ", hot_words=["a", "R2D2"])
    with pytest.raises(UserError, match="no word of the language model"):
        WordSearch("abc ", LanguageModel.from_arpa(build(["AB BA"])))
    with pytest.raises(ValueError, match="beam_width"):
        WordSearch("ab ", beam_width=0)
    with pytest.raises(ValueError, match=r"not \[time, 4\]"):
        WordSearch("ab ").search(np.zeros((5, 3)))
