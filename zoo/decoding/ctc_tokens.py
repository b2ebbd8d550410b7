"""CTC prefix beam search with an n-gram language model of tokens, and the n best labellings.

It seeks the tokens c that maximise, for an input x,

    Q(c) = log P_ctc(c | x) + alpha log P_lm(c) + beta length(c)

(Hannun et al. 2014, "Deep Speech", section 2.2, where what the language model knows are words).
"""

from export.runtime import prefix_beams
from zoo.text.ngrams import END


def token_search(log_probs, tokens, beam_width, language_model=None, alpha=0.5, beta=1.0):
    """The best labellings among ``beam_width`` kept at each frame.

    Args:
        log_probs: float ``[time, labels]``; label 0 is the CTC blank.
        tokens: list of str; label ``i + 1`` stands for token ``i``.
        beam_width: int, 1 or more.
        language_model: a ``zoo.text.ngrams.LanguageModel`` whose words are tokens, or None, where ``alpha``
            and ``beta`` count nothing.
        alpha: weight of the language model's log probability.
        beta: bonus for each token, a natural logarithm.

    Returns:
        A list of ``(labels, score)``, best first: a tuple of ints, and Q.
    """
    if language_model is None:
        return prefix_beams(log_probs, beam_width)
    known = {(): (0.0, language_model.start)}  # labels: what is added, and the language model's state

    def of(labels):
        if labels not in known:
            before, state = of(labels[:-1])  # one shorter is known already
            log_prob, state = language_model.step(state, tokens[labels[-1] - 1])
            known[labels] = before + alpha * log_prob + beta, state
        return known[labels]

    found = prefix_beams(log_probs, beam_width, bonus=lambda labels: of(labels)[0])
    ended = [(labels, score + alpha * language_model.step(of(labels)[1], END)[0]) for labels, score in found]
    return sorted(ended, key=lambda one: one[1], reverse=True)
