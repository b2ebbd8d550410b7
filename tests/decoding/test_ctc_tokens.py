import math

import numpy as np
import pytest

from zoo.decoding.ctc_tokens import token_search
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
    found = token_search(LOG_PROBS, TOKENS, 8)
    assert [labels for labels, _ in found[:2]] == [(2, 4), (3, 4)]
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True) and sum(map(math.exp, scores)) == pytest.approx(1, abs=0.01)
    assert scores[0] == pytest.approx(math.log(0.5 * 0.9 * 0.9 / 0.9**3), abs=0.01)


def test_a_language_model_decides():
    model = LanguageModel.from_arpa(build([r"s x", r"s x", r"\sin x", "5"], 2))
    plain, swayed = (token_search(LOG_PROBS, TOKENS, 8, model, alpha=a, beta=0.0) for a in (0.0, 1.0))
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
    short, long = (token_search(log_probs, TOKENS, 8, model, 0.0, beta)[0][0] for beta in (0.0, 3.0))
    assert short == (4,) and long == (3, 4)
