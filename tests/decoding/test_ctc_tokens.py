import itertools
import math

import numpy as np
import pytest

from zoo.decoding.ctc_tokens import TokenSearch
from zoo.errors import UserError
from zoo.text.ngrams import LanguageModel, build

TOKENS = [r"\sin", "5", "s", "x"]


def frames(*rows):
    """Log probabilities of frames, each ``{label: probability}``; the rest is shared by all labels."""
    found = np.full((len(rows), 5), 1e-6)
    for frame, row in zip(found, rows, strict=True):
        for label, value in row.items():
            frame[label] = value
    return np.log(found / found.sum(1, keepdims=True))


LOG_PROBS = frames({2: 0.5, 3: 0.4}, {0: 0.9}, {4: 0.9})


def test_several_labellings_best_first():
    found = TokenSearch(TOKENS, beam_width=8)(LOG_PROBS)
    assert [labels for labels, _ in found[:2]] == [(2, 4), (3, 4)]
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True) and sum(map(math.exp, scores)) == pytest.approx(1, abs=0.01)
    assert scores[0] == pytest.approx(math.log(0.5 * 0.9 * 0.9 / 0.9**3), abs=0.01)


def test_a_language_model_decides():
    model = LanguageModel.from_arpa(build([r"s x", r"s x", r"\sin x", "5"], 2))
    plain, swayed = (TokenSearch(TOKENS, model, 8, alpha=a, beta=0.0)(LOG_PROBS) for a in (0.0, 1.0))
    assert plain[0][0] == (2, 4) and swayed[0][0] == (3, 4)
    labels, score = swayed[0]
    state, total = model.start, 0.0
    for word in ["s", "x", "</s>"]:
        log_prob, state = model.step(state, word)
        total += log_prob
    without = dict(plain)[labels]
    assert score == pytest.approx(without + total, abs=1e-6)


def test_a_bonus_of_tokens_makes_texts_longer():
    model = LanguageModel.from_arpa(build(["s x", "x"], 1))
    log_probs = frames({3: 0.2, 0: 0.8}, {4: 0.9})
    short, long = (TokenSearch(TOKENS, model, 8, 0.0, beta)(log_probs)[0][0] for beta in (0.0, 3.0))
    assert short == (4,) and long == (3, 4)


def test_of_a_wide_beam_the_first_is_the_best_of_all():
    """Q of every labelling of some frames, each summed over its alignments, beside what the search gives."""
    model = LanguageModel.from_arpa(build(["a b", "a b b", "b a"], 3))
    rng = np.random.default_rng(5)
    for _ in range(4):
        log_probs = np.log(rng.dirichlet([0.7] * 3, 5))
        masses = {}
        for path in itertools.product(range(3), repeat=5):
            labels = tuple(label for label, _ in itertools.groupby(path) if label)
            masses[labels] = masses.get(labels, 0.0) + math.exp(log_probs[range(5), path].sum())
        truth = {labels: math.log(mass) for labels, mass in masses.items()}
        for labels in truth:
            words = ["<s>", *("ab"[label - 1] for label in labels)]
            log_prob = model.score(words, "</s>")
            log_prob += sum(model.score(words[:i], words[i]) for i in range(1, len(words)))
            truth[labels] += 0.7 * log_prob + 0.4 * len(labels)
        search = TokenSearch("ab", model, 1000, 0.7, 0.4, token_threshold=0, beam_threshold=1e9)
        found = dict(search(log_probs))
        assert found == {labels: pytest.approx(score, abs=1e-6) for labels, score in truth.items()}
        assert search(log_probs)[0][0] == max(truth, key=truth.get)


def test_what_the_model_does_not_know_counts_nothing():
    model = LanguageModel.from_arpa(build(["s x", "x s"], 2))
    log_probs = frames({3: 0.9}, {2: 0.9}, {4: 0.9})  # "5" is not in the model
    (labels, score), *_ = TokenSearch(TOKENS, model, 8, alpha=0.5, beta=0.25)(log_probs)
    assert labels == (3, 2, 4)
    plain = dict(TokenSearch(TOKENS, beam_width=8)(log_probs))[labels]
    known = model.score(["<s>"], "s") + model.score([], "x") + model.score(["x"], "</s>")
    assert score == pytest.approx(plain + 0.5 * known + 2 * 0.25, abs=1e-3)


def test_a_model_of_other_things_is_told():
    with pytest.raises(UserError, match="the language model knows nothing that this model writes"):
        TokenSearch("xy", LanguageModel.from_arpa(build(["a b"], 2)))
