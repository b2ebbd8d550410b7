"""CTC prefix beam search with a word n-gram language model and hot words.

    search = WordSearch(vocabulary, LanguageModel.from_arpa("words.arpa"), hot_words=["keras"])
    text, score = search.search(log_probs)
    frames = search.align(log_probs, text)

It seeks the text c that maximises, for a recording x (Hannun et al. 2014, "Deep Speech", section 2.2),

    Q(c) = log P_ctc(c | x) + alpha log P_lm(c) + beta words(c)

plus a bonus for each hot word and less a penalty for each word that the language model does not know. What
such a word costs depends on its spelling: an n-gram model of the characters of the known words tells words
from gibberish (Bazzi & Glass 2000, "Modeling out-of-vocabulary words for robust speech recognition", have
one of phones).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from export.runtime import align
from zoo.decoding.ctc_prefixes import Prefix, PrefixSearch
from zoo.errors import UserError
from zoo.text.ngrams import END, UNKNOWN
from zoo.text.normalise import language_of, normalise_transcript

if TYPE_CHECKING:
    from zoo.text.ngrams import LanguageModel

CACHED = 1 << 18  # scores of words that are remembered from one search to the next


class WordSearch(PrefixSearch):
    """A decoder for one vocabulary, one language model and one list of hot words.

    Words are what stands between blanks (" "). What they count, they count when they are complete: at
    the blank after them, or at the end of the recording, where ``</s>`` counts too. Meanwhile they count
    what the likeliest word with their beginning does: one of a hot word has its part of the bonus, and one
    that no known word has bears the penalty already, and its spelling. So pruning compares like with like.

    Args:
        vocabulary: str or list of single characters; label ``i + 1`` stands for character ``i``, label
            0 is the CTC blank.
        language_model: a ``zoo.text.ngrams.LanguageModel``, or None, where ``alpha``, ``beta`` and
            ``unknown_penalty`` count nothing.
        alpha: weight of the language model's log probability. All logarithms are natural.
        beta: bonus for each word.
        hot_words: words or phrases to expect; each word of a phrase counts by itself.
        hot_word_weight: bonus for each hot word, in logarithms.
        unknown_penalty: what each word costs that the language model does not know and that is not
            hot, beside ``alpha`` times the log probability of ``<unk>`` and what its spelling counts.
        spelling_weight: weight of the log probability of such a word's spelling, which is the less the longer
            it is; with 0 all cost the same.
        open_vocabulary: False writes words of the language model and hot words only.
        beam_width: prefixes kept at each frame.
        token_threshold: characters less probable than this in a frame do not extend a prefix there,
            and a frame whose blank has all but so much is taken for nothing else.
        beam_threshold: prefixes with a score so far below the best are dropped.

    Raises:
        UserError: a hot word has characters that are not in the vocabulary, or all words of the language
            model have.
    """

    def __init__(
        self, vocabulary: Sequence[str], language_model: LanguageModel | None = None, alpha: float = 0.75,
        beta: float = 1.5, hot_words: Iterable[str] = (), hot_word_weight: float = 8.0,
        unknown_penalty: float = 0.0, spelling_weight: float = 0.5, open_vocabulary: bool = True,
        beam_width: int = 64, token_threshold: float = 1e-3, beam_threshold: float = 14.0,
    ) -> None:  # fmt: skip
        super().__init__(beam_width, token_threshold, beam_threshold)
        self.vocabulary, self.language_model = list(vocabulary), language_model
        self.alpha, self.beta, self.hot_word_weight = alpha, beta, hot_word_weight
        self._labels = {character: i for i, character in enumerate(self.vocabulary, 1)}
        self._space = self._labels.get(" ")
        self._hot_words = {word for phrase in hot_words for word in self._spelled(phrase)}
        known = language_model.vocabulary if language_model else ()
        if language_model and not any(set(word) <= self._labels.keys() for word in known):
            raise UserError(
                "no word of the language model can be written with the speech model's characters; "
                "build one with `zoo lm build` from text in its language"
            )
        self._penalty = (unknown_penalty if language_model else 0.0) if open_vocabulary else math.inf
        spelled = language_model and open_vocabulary and spelling_weight
        self._spelling, self._spelling_weight = language_model.spelling if spelled else None, spelling_weight
        self._word_scores = {}
        self._strange = self._unigram(UNKNOWN) - self._penalty  # what beginnings of unknown words count
        self._beginnings = self._look_ahead(known)

    def _spelled(self, phrase):
        words = normalise_transcript(phrase, language_of(self._labels)).split()
        if strange := sorted(set("".join(words)) - self._labels.keys()):
            raise UserError(
                f"the hot word {phrase!r} has {' '.join(strange)}, which this model does not write; "
                "spell it as it sounds, or leave it out"
            )
        return words

    def _look_ahead(self, known):
        """``{beginning: the most that a known or hot word which begins so counts}``, without its context.

        That is language model look-ahead with unigrams (Ortmanns, Ney & Eiden 1996).
        """
        beginnings = {}

        def count(word, score, bonus):
            for end in range(1, len(word) + 1):
                best = beginnings.get(word[:end], -math.inf)
                beginnings[word[:end]] = max(best, score + bonus * end / len(word))

        for word in known:
            count(word, self._unigram(word), 0.0)
        for word in self._hot_words:
            count(word, self._unigram(word), self.hot_word_weight)
        return beginnings

    def _unigram(self, word):
        model = self.language_model
        return self.alpha * model.score([], word) + self.beta if model else 0.0

    def search(self, log_probs: np.ndarray) -> tuple[str, float]:
        """The text with the highest score, among the prefixes kept.

        Args:
            log_probs: float ``[time, labels]``, natural logarithms; of the valid frames only.

        Returns:
            (text, score): str, and its Q with bonuses and penalties, a float. Where a closed vocabulary
            leaves an unfinished word at the end, the text is what stands before it and the score -inf.
        """
        log_probs = np.asarray(log_probs, np.float64)
        if log_probs.ndim != 2 or log_probs.shape[1] != len(self.vocabulary) + 1:
            raise ValueError(f"log_probs of shape {log_probs.shape}, not [time, {len(self.vocabulary) + 1}]")
        if len(self._word_scores) > CACHED:
            self._word_scores.clear()
        beam, scale = self.beam(log_probs)
        scores = [prefix.log_mass() + scale + self._end_score(prefix) for prefix in beam]
        score = max(scores)
        labels = beam[scores.index(score)].labels()
        text = "".join(self.vocabulary[label - 1] for label in labels)
        return (text if score > -math.inf else text.rpartition(" ")[0]), score

    def align(self, log_probs: np.ndarray, text: str) -> list[tuple[int, int]]:
        """The frames that each character of a text found by ``search`` spans: list of (first, last)."""
        return align(np.asarray(log_probs), [self._labels[character] for character in text])

    # === Words ===

    def root(self) -> Prefix:
        return _Prefix(None, 0, 0.0, "", self.language_model.start if self.language_model else None, 0.0)

    def longer(self, prefix: Prefix, label: int) -> tuple:
        """A prefix with one more character: (bias, unfinished word, state, what the complete words count)."""
        if label == self._space:
            score, state = self._word_score(prefix.state, prefix.word)
            return prefix.words_score + score, "", state, prefix.words_score + score
        word = prefix.word + self.vocabulary[label - 1]
        score = self._beginnings.get(word)
        if score is None:
            score = self._strange
            if self._spelling:
                score += self._spelling_weight * self._begun(prefix, word)
        return prefix.words_score + score, word, prefix.state, prefix.words_score

    def extended(self, prefix: Prefix, label: int) -> Prefix:
        child = _Prefix(prefix, label, *self.longer(prefix, label))
        if self._spelling and child.word:
            child.spelled = self._begun(prefix, child.word)
        return child

    def _begun(self, prefix, word):
        """The log probability that a word begins with ``word``, that of ``prefix`` and one more character."""
        return prefix.spelled + self._spelling.step(prefix.word, word[-1])

    def _end_score(self, prefix):
        """What all words of a prefix count, and the end, if the recording ends here."""
        score, state = self._word_score(prefix.state, prefix.word)
        end = self.alpha * self.language_model.step(state, END)[0] if self.language_model else 0.0
        return prefix.words_score + score + end

    def _word_score(self, state, word):
        """What a complete word counts after a state of the language model, and the next state."""
        if not word:  # between doubled blanks
            return 0.0, state
        found = self._word_scores.get((state, word))
        if found is None:
            score, after = 0.0, state
            if self.language_model:
                log_prob, after = self.language_model.step(state, word)
                score = self.alpha * log_prob + self.beta
            if word in self._hot_words:
                score += self.hot_word_weight
            elif not (self.language_model and word in self.language_model):
                score -= self._penalty
                if self._spelling:
                    score += self._spelling_weight * self._spelling.log_prob(word)
            found = self._word_scores[state, word] = score, after
        return found


class _Prefix(Prefix):
    """A beginning of the text.

    Attributes:
        word: the unfinished word at its end; ``state`` is the language model's after the complete words.
        words_score: what the complete words count.
        spelled: log probability of the unfinished word's spelling.
    """

    __slots__ = "word", "words_score", "spelled"

    def __init__(self, parent, label, bias, word, state, words_score):
        super().__init__(parent, label, bias, state)
        self.word, self.words_score, self.spelled = word, words_score, 0.0
