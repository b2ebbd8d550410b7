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

import math
import operator

import numpy as np

from export.runtime import align
from zoo.errors import UserError
from zoo.text.ngrams import END, UNKNOWN
from zoo.text.normalise import language_of, normalise_transcript

LEAST = -100.0  # log probabilities in a frame, relative to its largest, are at least so
HUGE = 1e100  # where the largest mass is above this, or below its inverse, all are scaled
CACHED = 1 << 18  # scores of words that are remembered from one search to the next


class WordSearch:
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
        self,
        vocabulary,
        language_model=None,
        alpha=0.75,
        beta=1.5,
        hot_words=(),
        hot_word_weight=8.0,
        unknown_penalty=0.0,
        spelling_weight=0.5,
        open_vocabulary=True,
        beam_width=64,
        token_threshold=1e-3,
        beam_threshold=14.0,
    ):
        if beam_width < 1:
            raise ValueError(f"beam_width is 1 or more, not {beam_width}")
        self.vocabulary, self.language_model = list(vocabulary), language_model
        self.alpha, self.beta, self.hot_word_weight = alpha, beta, hot_word_weight
        self.beam_width, self.beam_threshold = beam_width, beam_threshold
        self.token_threshold = token_threshold
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

    def search(self, log_probs):
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
        beam, scale = self._beam(log_probs)
        scores = [prefix.log_mass() + scale + self._end_score(prefix) for prefix in beam]
        score = max(scores)
        text = beam[scores.index(score)].text(self.vocabulary)
        return (text if score > -math.inf else text.rpartition(" ")[0]), score

    def align(self, log_probs, text):
        """The frames that each character of a text found by ``search`` spans: list of (first, last)."""
        return align(np.asarray(log_probs), [self._labels[character] for character in text])

    # === Frames ===

    def _beam(self, log_probs):
        """The prefixes kept after the last frame, and what is to be added to their log masses."""
        peaks = log_probs.max(1, keepdims=True)
        logs = np.maximum(log_probs - peaks, LEAST)  # so masses shrink and grow slowly
        labels = np.argsort(-logs[:, 1:], 1, kind="stable") + 1
        counts = (np.exp(log_probs[:, 1:]) > self.token_threshold).sum(1)
        blanks = np.exp(log_probs[:, 0]) > 1 - self.token_threshold
        frames = zip(*(each.tolist() for each in (np.exp(logs), logs, labels, counts, blanks)), strict=True)

        start = self.language_model.start if self.language_model else None
        beam, scale = [_Prefix(None, 0, 0.0, "", start, 0.0)], float(peaks.sum())
        beam[0].blank = 1.0
        for time, (probs, logs, labels, count, blank) in enumerate(frames):
            if blank:
                for prefix in beam:
                    prefix.blank, prefix.ending = prefix.blank + prefix.ending, 0.0
                continue
            likely = [(label, probs[label], logs[label]) for label in labels[:count]]
            beam = self._advance(beam, time, probs, likely)
            largest = max(prefix.blank + prefix.ending for prefix in beam)
            if not 1 / HUGE < largest < HUGE:
                scale += math.log(largest)
                for prefix in beam:
                    prefix.blank, prefix.ending = prefix.blank / largest, prefix.ending / largest
                    prefix.score -= math.log(largest)
        return beam, scale

    def _advance(self, beam, time, probs, likely):
        """One frame: the best prefixes, best first, that those of ``beam`` stay or become.

        Args:
            beam: list of ``_Prefix``, best first.
            time: int, the frame's number.
            probs: list of float, the frame's probabilities relative to its largest.
            likely: (label, its probability, the logarithm) of each likely character, likeliest first.
        """
        least = beam[0].score - self.beam_threshold
        seen, grown = [], []  # prefixes that were in a beam before; (score, parent, label, mass) of new ones
        for prefix in beam:
            either = prefix.blank + prefix.ending
            if prefix.time != time:
                prefix.time, prefix.next_ending = time, 0.0
                seen.append(prefix)
            prefix.next_blank = either * probs[0]
            prefix.next_ending += prefix.ending * probs[prefix.label]  # the last character goes on
            log_mass = prefix.score - prefix.bias
            for label, prob, log_prob in likely:
                if prefix.score + log_prob < least:
                    break
                # Doubled letters have a blank between them.
                mass = prob * (prefix.blank if label == prefix.label else either)
                child = prefix.children.get(label)
                if child:
                    if child.time != time:
                        child.time, child.next_blank, child.next_ending = time, 0.0, 0.0
                        seen.append(child)
                    child.next_ending += mass
                elif mass:
                    log = math.log(mass) if label == prefix.label else log_mass + log_prob
                    score = log + self._longer(prefix, label)[0]
                    if score >= least:
                        grown.append((score, prefix, label, mass))
        for prefix in seen:
            prefix.blank, prefix.ending = prefix.next_blank, prefix.next_ending
            prefix.score = prefix.log_mass() + prefix.bias
            grown.append((prefix.score, prefix, None, None))
        grown.sort(key=operator.itemgetter(0), reverse=True)
        least = grown[0][0] - self.beam_threshold
        return [
            prefix if label is None else self._extended(prefix, label, score, mass)
            for score, prefix, label, mass in grown[: self.beam_width]
            if score >= least and score > -math.inf
        ]

    # === Words ===

    def _longer(self, prefix, label):
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

    def _extended(self, prefix, label, score, mass):
        """The prefix with one more character, newly in the beam."""
        child = prefix.children[label] = _Prefix(prefix, label, *self._longer(prefix, label))
        child.score, child.ending = score, mass
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


class _Prefix:
    """A beginning of the text, as a node of the tree of all of them.

    Attributes:
        parent, label, children: the prefix without its last character, that, and the longer ones by label.
        word: the unfinished word at its end.
        state: the language model's, after the complete words.
        words_score: what the complete words count.
        spelled: log probability of the unfinished word's spelling.
        bias: what all its words count in the search.
        blank, ending: the mass of its alignments that end in a blank, and in its last character.
        score: the logarithm of the mass, with the bias.
        time: the last frame that it was reached in; ``next_blank`` and ``next_ending`` are its masses there.
    """

    __slots__ = (
        "parent", "label", "children", "word", "state", "words_score", "spelled", "bias",
        "blank", "ending", "score", "time", "next_blank", "next_ending",
    )  # fmt: skip

    def __init__(self, parent, label, bias, word, state, words_score):
        self.parent, self.label, self.children = parent, label, {}
        self.bias, self.word, self.state, self.words_score = bias, word, state, words_score
        self.blank = self.ending = self.score = self.spelled = 0.0
        self.time = -1

    def log_mass(self):
        mass = self.blank + self.ending
        return math.log(mass) if mass else -math.inf

    def text(self, vocabulary):
        characters = []
        while self.parent:
            characters.append(vocabulary[self.label - 1])
            self = self.parent
        return "".join(reversed(characters))
