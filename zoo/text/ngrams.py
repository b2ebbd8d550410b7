r"""N-gram language models of words: built from text, read from ARPA files, asked for probabilities.

    text = build(["the cat sat", "the dog sat"], order=3)   # an ARPA file's text
    write_arpa(text, "words.arpa.gz")
    model = LanguageModel.from_arpa("words.arpa.gz")        # of KenLM, SRILM or build
    log_prob, state = model.step(model.start, "the")        # natural logarithms
    model.perplexity(["the cat sat"])
    model.spelling.log_prob("dogged")                       # of a word that it does not know

Words are what stands between blanks; ``zoo.text.spelled`` has characters stand so.

Smoothing is interpolated modified Kneser-Ney (Chen & Goodman 1998, "An empirical study of smoothing
techniques for language modeling", equations 21 to 26), estimated as KenLM's ``lmplz``
does (Heafield et al. 2013).
"""

from __future__ import annotations

import array
import functools
import gzip
import io
import math
import os
import typing
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from zoo.errors import UserError
from zoo.files import atomic_write
from zoo.text.files import read_data, read_text, split_lines
from zoo.text.normalise import language_of, normalise_transcript

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
MAX_ORDER = 8
SPELLED = 50_000  # words that are enough to learn spelling from
_BORDER = "\n"  # before and after a word that is spelled
_CACHED = 1 << 18  # n-grams of characters whose probability is remembered
_LN10 = math.log(10)
FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text is too small to tell its own; those of lmplz


# === Building ===


def build(
    sentences: Iterable[str], order: int = 3, prune: Sequence[int] = (0,), limit: int | None = None,
    digits: int = 7,
) -> str:  # fmt: skip
    """Estimates a model with interpolated modified Kneser-Ney smoothing.

    N-grams of the highest order, and those that begin with ``<s>``, count as often as they occur; others
    count the different words before them (Chen & Goodman, section 4.1.6). ``<unk>`` has the share of a word
    never seen, so that the words, ``</s>`` and ``<unk>`` sum to 1 after every context.

    Args:
        sentences: iterable of str, words with white space between. Empty ones are left out.
        order: int, 1 to 8: words of the longest n-grams; less where all sentences are shorter.
        prune: ints that do not fall, for n from 1, the last for all longer ones: n-grams that occur no more
            often are left out, and what they had goes to shorter ones, as with ``lmplz --prune``.
            Single words always stay.
        limit: int, how many n-grams stay at most, or None: of those of two words and more, what occurs least
            is left out, besides, of equals what is longest, until no more are left.
        digits: int, significant digits of the logarithms in the file.

    Returns:
        str, the ARPA file.

    Raises:
        UserError: the order, the limit or what to prune is out of range, there is no word, or ``<s>``,
            ``</s>`` or ``<unk>`` is one.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UserError(f"the order of a language model is 1 to {MAX_ORDER}, not {order}; 3 suits most texts")
    if list(prune) != sorted(prune) or min(prune) < 0 or prune[0]:
        raise UserError(
            f"nothing can be pruned by {','.join(map(str, prune))}; give numbers that do not fall, the "
            "first of them 0, as in 0,0,1"
        )
    words, tokens = _numbered(sentences)
    grams = _count(words, tokens, order)
    # Whatever begins or ends an n-gram occurs as often at least: no n-gram loses its context.
    least = [prune[min(n, len(prune) - 1)] for n in range(len(grams))]
    if limit is not None:
        least = [max(pair) for pair in zip(least, _limiting(grams, limit), strict=True)]
    start = words.index(START)
    texts, probs = [""], np.array([1 / (len(words) - 1)])  # with </s> and <unk>, without <s>
    sections, backoffs = [], []  # backoffs[n] are of n-grams
    for n, gram in enumerate(grams):
        counts = _adjusted(gram, *grams[n + 1 : n + 2])
        if n == 0:
            counts[start] = 0
        stays = (gram.count > least[n]) | (n == 0)
        discounts = np.array(_discounts(counts))[np.minimum(counts, 3)]
        totals = np.bincount(gram.context, counts, len(probs))
        reserved = np.bincount(gram.context, np.where(stays, discounts, counts), len(probs))
        backoffs.append(np.divide(reserved, totals, out=np.ones(len(probs)), where=totals > 0))
        seen = (counts - discounts) / np.maximum(totals, 1)[gram.context]  # equation 21
        probs = seen + backoffs[n][gram.context] * probs[gram.suffix]
        if n == 0:
            probs[start] = 0.0
        ends = zip(gram.context.tolist(), gram.word.tolist(), stays.tolist(), strict=True)
        texts = [f"{texts[context]} {words[word]}" if stay else "" for context, word, stay in ends]
        sections.append((texts, stays, probs))
    return _arpa(sections, backoffs[1:], digits)


class _Grams(typing.NamedTuple):
    """The different n-grams of one order, sorted by their words.

    Attributes:
        count: int ``[n-grams]``, how often each occurs.
        context, word, suffix: int ``[n-grams]``: the numbers of the n-gram of its words but the last, of that
            word, and of the n-gram of its words but the first.
        starts: bool ``[n-grams]``, whether it begins with ``<s>``.
    """

    count: np.ndarray
    context: np.ndarray
    word: np.ndarray
    suffix: np.ndarray
    starts: np.ndarray


def _numbered(sentences):
    """The different words, sorted, with the marks; and the text: int ``[words]``, their numbers."""
    numbers, tokens = {START: 0, END: 1, UNKNOWN: 2}, array.array("q")
    for sentence in sentences:
        if words := sentence.split():
            if reserved := {START, END, UNKNOWN}.intersection(words):
                raise UserError(
                    f"the text has the word {min(reserved)}, a mark of language models; take it out"
                )
            tokens.extend(numbers.setdefault(word, len(numbers)) for word in (START, *words, END))
    if not tokens:
        raise UserError("there are no words in the text; give a text with one sentence a line")
    words = sorted(numbers)
    ranks = np.empty(len(words), np.int64)
    ranks[[numbers[word] for word in words]] = np.arange(len(words))
    return words, ranks[np.frombuffer(tokens, np.int64)]


def _count(words, tokens, order):
    """The ``_Grams`` of each order that there is, in a list."""
    size, start = len(words), words.index(START)
    none = np.zeros(size, np.int64)
    word = np.arange(size)
    found = [_Grams(np.bincount(tokens, minlength=size), none, word, none, word == start)]
    ids = tokens  # for each place of the text the n-gram that ends there; -1 where a sentence has just begun
    for _ in range(1, order):
        longer = np.full(len(tokens), -1)
        places = np.flatnonzero((ids[:-1] >= 0) & (tokens[1:] != start)) + 1
        if not len(places):
            break
        keys = ids[places - 1] * size + tokens[places]
        keys, first, longer[places], count = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        context, word = np.divmod(keys, size)
        found.append(_Grams(count, context, word, ids[places[first]], found[-1].starts[context]))
        ids = longer
    return found


def _limiting(grams, limit):
    """How often n-grams of each order may occur and be left out, so that at most ``limit`` stay."""
    words = len(grams[0].count)
    if limit < words:
        raise UserError(f"{limit:,} n-grams are less than the different words; give {words:,} or more")
    counts = np.sort(np.concatenate([gram.count for gram in grams[1:]] or [np.zeros(0, int)]))[::-1]
    often = int(counts[limit - words]) if limit - words < len(counts) else 0
    least, room = [0, *(often for _ in grams[1:])], limit - words - int((counts > often).sum())
    for n, gram in enumerate(grams[1:], 1):  # of those that occur so often, short ones stay
        room -= int((gram.count == often).sum())
        if room < 0 or not often:
            break
        least[n] = often - 1
    return least


def _adjusted(gram, longer=None):
    """The counts of Kneser-Ney smoothing, int ``[n-grams]``."""
    if longer is None:
        return gram.count.copy()
    return np.where(gram.starts, gram.count, np.bincount(longer.suffix, minlength=len(gram.count)))


def _discounts(counts):
    """What n-grams counted 0, 1, 2, 3 or more times are discounted by (equation 26)."""
    sizes = np.bincount(np.minimum(counts, 5), minlength=6).tolist()
    if all(sizes[k] for k in (1, 2, 3)):
        y = sizes[1] / (sizes[1] + 2 * sizes[2])
        discounts = [k - (k + 1) * y * sizes[k + 1] / sizes[k] for k in (1, 2, 3)]
        if all(0 < discount <= k for k, discount in enumerate(discounts, 1)):
            return 0.0, *discounts
    return 0.0, *FALLBACK


def _arpa(sections, backoffs, digits):
    """The file of ``(texts, which stay, probabilities)`` of each order; back-offs of each but the last."""
    sections = [section for section in sections if section[1].any()]
    lines = ["\\data\\", *(f"ngram {n}={stays.sum()}" for n, (_, stays, _) in enumerate(sections, 1))]
    for n, (texts, stays, probs) in enumerate(sections, 1):
        lines += ["", f"\\{n}-grams:"]
        for i in np.flatnonzero(stays).tolist():
            line = f"{_log10(probs[i], digits)}\t{texts[i][1:]}"
            lines.append(f"{line}\t{_log10(backoffs[n - 1][i], digits)}" if n < len(sections) else line)
    return "\n".join([*lines, "", "\\end\\", ""])


def _log10(value, digits):
    return f"{math.log10(value):.{digits}g}" if value else "-99"  # the format's way to write zero


def write_arpa(text: str, path: str | os.PathLike) -> int:
    """Writes the text of ``build`` to a file, compressed if its name ends in ``.gz``.

    Returns:
        int, the file's size in bytes.

    Raises:
        UserError: it cannot be written; nothing has changed then.
    """
    data = text.encode()
    if str(path).endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    with atomic_write(path) as file:
        file.write(data)
    return len(data)


def read_sentences(path: str | os.PathLike) -> list[str]:
    """The lines of a text file as normalised transcripts, without empty ones.

    Args:
        path: UTF-8 text, a sentence a line, plain or gzip; ``-`` is the standard input.

    Returns:
        list of str.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or has no words.
    """
    lines = list(split_lines(read_text(path)))
    language = language_of(lines)
    sentences = [sentence for line in lines if (sentence := normalise_transcript(line, language))]
    if not sentences:
        raise UserError(f"{path}: there are no words in it; give a text with one sentence a line")
    return sentences


# === Asking ===


class LanguageModel:
    """A back-off n-gram model as a finite automaton.

    A state is the longest n-gram of the model, at most ``order - 1`` words long, that ends a history:
    an int, all that a decoder has to keep. All logarithms are natural.

    Attributes:
        order: int, words of the longest n-grams.
        counts: list of int, the number of n-grams of each order.
        vocabulary: list of str, sorted, without ``<s>``, ``</s>`` and ``<unk>``.
        start: the state at the beginning of a sentence.
    """

    # Nodes are n-grams: 0 the empty one, then the words, whose node is their number too, then longer
    # ones. Each has the log probability of its last word, its back-off, and the longest n-gram of
    # the model that it ends with ("suffix", as in Aho & Corasick 1975).

    def __init__(self, name: str | os.PathLike, lines: Iterable[bytes], floor: float) -> None:
        self._name, self._lines, self._number = name, lines, 0
        line = next((line for line in self._content() if line == b"\\data\\"), None)
        if line is None:
            raise UserError(f"{name}: there is no line \\data\\ in it; give a language model in ARPA format")
        self.counts = []
        for line in self._content():
            if not line.startswith(b"ngram"):
                break
            self._check(line.count(b"="), r"expected 'ngram ORDER=COUNT'")
            order, count = (text.strip() for text in line.removeprefix(b"ngram").split(b"="))
            self._check(order.isdigit() and count.isdigit(), r"expected 'ngram ORDER=COUNT'")
            self._check(int(order) == len(self.counts) + 1, "the orders do not count up from 1")
            self.counts.append(int(count))
        self._check(self.counts and self.counts[0], "no 1-grams are announced")
        self.order = len(self.counts)
        self._base = self.counts[0] + 2
        self._children = {}  # node * base + word -> node
        self._log_probs, self._backoffs = array.array("d", [0.0]), array.array("d", [0.0])
        self._suffixes = array.array("q", [0])
        self._contexts = 1  # nodes below this may be states
        words = {}
        for n, count in enumerate(self.counts, 1):
            self._check(line == b"\\%d-grams:" % n, f"expected \\{n}-grams:")
            line = self._section(n, count, words)
            if n < self.order:
                self._contexts = len(self._log_probs)
            if n == 1:
                self._words = self._vocabulary(words, floor)
        self._check(line == b"\\end\\", r"expected \end\; the file seems cut off")
        del self._name, self._lines, self._number

    @classmethod
    def from_arpa(cls, source: str | os.PathLike | bytes, floor: float = 1e-10) -> LanguageModel:
        """Reads a model in ARPA format.

        Args:
            source: a path (plain or gzip), or the text itself, as str with line breaks or bytes.
            floor: float, the least probability of an unknown word, and its probability where the
                model has no ``<unk>``.

        Raises:
            UserError: the file cannot be read, or is damaged; with the line's number.
        """
        if isinstance(source, str) and "\n" in source:
            source = source.encode()
        if isinstance(source, bytes):
            return cls("the language model", io.BytesIO(source), math.log(floor))
        return cls(source, io.BytesIO(read_data(source)), math.log(floor))

    def _content(self):
        """The lines that are not empty."""
        for line in self._lines:
            self._number += 1
            if line := line.strip():
                yield line

    def _check(self, right, problem):
        if not right:
            raise UserError(
                f"{self._name}: line {self._number}: {problem}; build or download the language model again"
            )

    def _section(self, n, count, words):
        """Reads the n-grams of one order, and gives the line after them."""
        children, suffixes, base = self._children, self._suffixes, self._base
        fields_expected, last = (n + 1, n + 2), len(suffixes) + count
        malformed = f"expected a log probability, {n} words and perhaps a back-off"
        for line in self._content():
            if line.startswith(b"\\"):
                break
            fields = line.split()
            self._check(len(fields) in fields_expected, malformed)
            try:
                log_prob, backoff = float(fields[0]), float(fields[n + 1]) if len(fields) > n + 1 else 0.0
            except ValueError:
                self._check(False, malformed)
            # SRILM rounds to slightly more than 0.
            self._check(log_prob < 1e-3 and backoff < math.inf, "a log probability or back-off is too large")
            node = len(suffixes)
            if n == 1:
                parent, word, suffix = 0, node, 0
                self._check(words.setdefault(fields[1], node) == node, "this word is listed twice")
            else:
                parent = suffix = 0
                try:
                    for field in fields[1:n]:
                        parent = children[parent * base + words[field]]
                    word = words[fields[n]]
                except KeyError:
                    self._check(False, "its words are not among the 1-grams, or all but the last no n-gram")
                shorter = parent
                while not suffix:
                    shorter = suffixes[shorter]
                    suffix = children.get(shorter * base + word)
            known = children.setdefault(parent * base + word, node)
            self._check(known == node < last, "listed twice, or more n-grams than the file announces")
            self._log_probs.append(log_prob * _LN10)
            self._backoffs.append(backoff * _LN10)
            suffixes.append(suffix)
        else:
            self._check(False, "the file is cut off")
        self._check(len(suffixes) == last, f"{last - len(suffixes)} of {count} {n}-grams are missing")
        return line

    def _vocabulary(self, words, floor):
        """``{word: number}``, and what depends on the special words."""
        try:
            numbers = {word.decode(): number for word, number in words.items()}
        except UnicodeDecodeError:
            raise UserError(f"{self._name}: its words are not UTF-8; convert the file to UTF-8") from None
        self._check(START in numbers and END in numbers, "the 1-grams lack <s> or </s>")
        unknown = numbers.pop(UNKNOWN, None) or numbers.pop("<UNK>", None)
        if unknown is None:
            unknown = len(self._suffixes)
            self._children[unknown] = unknown
            self._log_probs.append(floor)
            self._backoffs.append(0.0)
            self._suffixes.append(0)
        self._log_probs[unknown] = max(self._log_probs[unknown], floor)
        self._unknown = unknown
        self.start = numbers[START] if self.order > 1 else 0
        self.vocabulary = sorted(word for word in numbers if word not in (START, END))
        return numbers

    def __contains__(self, word):
        """Whether the model knows this word; ``<s>`` and ``</s>`` are none."""
        return word in self._words and word not in (START, END)

    @functools.cached_property
    def spelling(self) -> Spelling:
        """The ``Spelling`` of its words."""
        return Spelling(self.vocabulary[:: len(self.vocabulary) // SPELLED + 1])

    def step(self, state: int, word: str) -> tuple[float, int]:
        """Takes one word.

        Args:
            state: what came before: ``start``, or what the last step gave.
            word: str; ``</s>`` ends the sentence, and an unknown word counts as ``<unk>``.

        Returns:
            (log_prob, state): the natural logarithm of the word's probability, and what comes after.
        """
        number = self._words.get(word, self._unknown)
        log_prob = 0.0
        while (node := self._children.get(state * self._base + number)) is None:
            log_prob += self._backoffs[state]
            state = self._suffixes[state]
        return log_prob + self._log_probs[node], node if node < self._contexts else self._suffixes[node]

    def score(self, context: Sequence[str], word: str) -> float:
        """The natural log probability of ``word`` after the words ``context``, maybe from ``<s>`` on."""
        state = 0
        for before in context:
            state = self.step(state, before)[1]
        return self.step(state, word)[0]

    def perplexity(self, sentences: Iterable[str]) -> float:
        """Of the words and the ends of ``sentences`` (str), unknown words included."""
        total, count = 0.0, 0
        for sentence in sentences:
            state = self.start
            for word in [*sentence.split(), END]:
                log_prob, state = self.step(state, word)
                total, count = total + log_prob, count + 1
        return math.exp(-total / count)


class Spelling:
    """How words are spelled: an n-gram model of their characters, which tells likely words from gibberish.

    Each of the words counts once, however frequent: new ones are spelled like rare ones. Smoothing is that of
    Witten & Bell 1991 ("The zero-frequency problem", method C), interpolated: after a context that occurs n
    times, with t different characters, shorter contexts have the share t / (n + t).

    Args:
        words: iterable of str without white space.
        order: int, characters of the longest n-grams.
    """

    def __init__(self, words: Iterable[str], order: int = 6) -> None:
        self.order = order
        self._counts = Counter()  # of what begins with _BORDER, the beginning is one
        for word in words:
            text = f"{_BORDER}{word}{_BORDER}"
            for n in range(1, order + 1):
                self._counts.update(text[i : i + n] for i in range(n == 1, len(text) - n + 1))
        self._different = Counter(gram[:-1] for gram in self._counts)
        self._counts[""] = sum(count for gram, count in self._counts.items() if len(gram) == 1)
        self._log_probs = {}

    def step(self, beginning: str, character: str) -> float:
        """The natural log probability of ``character`` after ``beginning``; with "", of the word's end."""
        gram = (_BORDER + beginning + (character or _BORDER))[-self.order :]
        found = self._log_probs.get(gram)
        if found is None:
            if len(self._log_probs) > _CACHED:
                self._log_probs.clear()
            found = self._log_probs[gram] = math.log(self._prob(gram))
        return found

    def log_prob(self, word: str) -> float:
        """The natural log probability of a whole word."""
        return sum(self.step(word[:i], word[i : i + 1]) for i in range(len(word) + 1))

    def _prob(self, gram):
        """Of the last character after the others."""
        prob = 1 / (self._different[""] + 1)  # one for all characters that it has not seen
        for start in range(len(gram) - 1, -1, -1):
            context = gram[start:-1]
            if different := self._different[context]:
                count = self._counts[gram[start:]]
                prob = (count + different * prob) / (self._counts[context] + different)
        return prob
