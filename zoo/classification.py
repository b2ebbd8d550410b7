"""Classifies texts with an exported model or a Keras task: texts of any length, their order kept.

    from export import runtime

    reader = runtime.load("sentiment_en.onnx")
    reader(["A film to fall in love with.", "Never again."])     # ["positive", "negative"]
    found, = reader("Never again.", details=True)                # Classification: label, probability, …
    reader.picture("Never again.", "why.png")                    # each word coloured by its influence

A text of more than ``LIMIT`` tokens is classified in pieces, as equal as can be; its probabilities are the
means of theirs.
"""

import dataclasses
import functools
import itertools
import re
import unicodedata

import numpy as np

from zoo.errors import UserError
from zoo.graph_reader import GraphReader, check_utf8
from zoo.subwords import Subwords
from zoo.words import Words

LIMIT = 512  # tokens classified as one text; training sees as many
WINDOW = 1024  # texts held in memory and sorted by length at a time
BATCH = 64  # pieces classified at a time by each thread, those of similar length together
TOKENS = 1 << 14  # of these pieces together
STEP = 0.02  # share by which words are made stronger and weaker to see their influence
_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))(?!\w)")


def normalise_text(text):
    """A text in lower case, its words and marks divided by single blanks.

    Unicode NFC; hyphens and dashes are blanks; English clitics are words, as in the Penn Treebank, whose
    tokens many corpora have: "Don't!" and "do n't !" are the same.
    """
    text = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    return " ".join(_CLITIC.sub(r" \1", "".join(map(_spaced, text))).split())


@functools.lru_cache(1 << 12)
def _spaced(character):
    kind = unicodedata.category(character)
    if character == "'" or kind[0] in "LMN":
        return character
    return " " if kind == "Pd" or kind[0] in "ZC" else f" {character} "


class TextVocabulary:
    """What a classifier reads and what it says.

    Args:
        tokens: the ``zoo.words.Words`` or ``zoo.subwords.Subwords`` of normalised texts.
        labels: list of str, the names of the output rows.
    """

    PAD, UNKNOWN, START, END = range(4)  # as both kinds of tokens have them

    def __init__(self, tokens, labels):
        self.tokens, self.labels = tokens, list(labels)
        self._rows = {label: row for row, label in enumerate(self.labels)}
        if len(self._rows) != len(self.labels) or not all(self.labels):
            raise ValueError("A vocabulary names each label once.")
        if not any(label.isdecimal() for label in self.labels):
            self._rows |= {str(row): row for row in range(len(self.labels))}

    def __len__(self):
        """Number of tokens."""
        return len(self.tokens)

    def __contains__(self, label):
        return label in self._rows

    def __eq__(self, other):
        same = isinstance(other, TextVocabulary) and type(self.tokens) is type(other.tokens)
        return same and self.tokens == other.tokens and self.labels == other.labels

    def encode(self, text):
        """Text -> list of rows, without start and end."""
        return self.tokens.encode(normalise_text(text))

    def row(self, label):
        """The output row of a label, which a corpus may also name by its number from 0.

        Raises:
            UserError: the model has no such label.
        """
        if label not in self._rows:
            raise UserError(
                f"the label {label!r} is none of the model's, which are {', '.join(self.labels)}; "
                "correct it, or leave out its texts"
            )
        return self._rows[label]

    def to_json(self):
        return {"labels": self.labels, **self.tokens.to_json()}

    @classmethod
    def from_json(cls, data):
        """Raises ValueError or KeyError where ``data`` is damaged."""
        try:
            return cls((Words if "words" in data else Subwords).from_json(data), data["labels"])
        except RuntimeError as error:
            raise ValueError("no SentencePiece model") from error

    def metadata(self):
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}


def bounded(rows):
    """Rows -> with start and end, lists of up to ``LIMIT`` and these two; one if there are none."""
    count = max(1, -(-len(rows) // LIMIT))
    ends = [round(len(rows) * part / count) for part in range(count + 1)]
    return [
        [TextVocabulary.START, *rows[first:last], TextVocabulary.END]
        for first, last in itertools.pairwise(ends)
    ]


@dataclasses.dataclass(frozen=True)
class Classification:
    """What was found for one text.

    Attributes:
        label: the likeliest; "" for a text without anything in it.
        probability: of this label, 0 to 1.
        probabilities: ``{label: probability}`` of all labels, in the order of the model.
    """

    label: str
    probability: float
    probabilities: dict

    @property
    def text(self):
        """Label and probability, divided by a tab; nothing for an empty text."""
        return f"{self.label}\t{self.probability:.4f}" if self.label else ""

    def to_json(self):
        """What of it ``zoo predict --format json`` shows, rounded."""
        rounded = {label: round(value, 4) for label, value in self.probabilities.items()}
        return {"label": self.label, "probability": round(self.probability, 4), "probabilities": rounded}


class ClassificationReader(GraphReader):
    """Classifies texts. Get one from ``export.runtime.load`` or ``ClassificationReader.of_task``.

    The arguments are those of ``GraphReader``.
    """

    Vocabulary = TextVocabulary
    reads, one, takes = "texts", "text", "lines"
    options = frozenset({"plot"})
    figures = {"accuracy": "{:.1%}", "macro_f1": "{:.3f}"}

    def __call__(self, texts, details=False, errors="raise", progress=False):
        """Classifies texts.

        Args:
            texts: an iterable of str, or one.
            details: give a ``Classification`` for each instead of its label.
            errors: "raise", or "return" to get the UserError of a bad text in its place.
            progress: show a bar that counts texts.

        Returns:
            A list of str or ``Classification``, one for each text and in their order. Each is what the text
            alone would get.

        Raises:
            UserError: a text was not valid UTF-8 (and came with surrogates).
        """
        found = self.stream([texts] if isinstance(texts, str) else texts, errors, progress)
        return [item.label if isinstance(item, Classification) and not details else item for item in found]

    def stream(self, texts, errors="raise", progress=False):
        """Like a call with ``details``, but an iterator that gives results ``WINDOW`` by ``WINDOW``."""
        return self.in_windows(
            enumerate(texts, 1), self._rows, self._classify, WINDOW, errors, desc="classifying",
            unit=" texts", disable=not progress,
        )  # fmt: skip

    def _rows(self, number, text):
        """A text -> its rows, None if there is nothing in it; ``number`` is for messages."""
        check_utf8(text, number)
        return self.vocabulary.encode(text) if normalise_text(text) else None

    def _classify(self, texts, pool, bar):
        """``{number: rows}`` -> ``{number: Classification}``, on all threads."""
        pieces = {
            (number, part): piece
            for number, rows in texts.items()
            if rows is not None
            for part, piece in enumerate(bounded(rows))
        }
        batches = _batches(pieces, self.threads)
        outputs = pool.map(lambda batch: self._run([pieces[key] for key in batch]), batches)
        parts = {}
        for batch, found in zip(batches, outputs, strict=True):
            for (number, _), probabilities in zip(batch, found["probabilities"], strict=True):
                parts.setdefault(number, []).append(probabilities)
        bar.update(len(texts))
        return {number: self._classification(parts.get(number)) for number in texts}

    def _run(self, rows, gain=None):
        """Lists of rows -> what the engine gives of them; ``gain`` lists of the same lengths, or None."""
        lengths = np.array([len(row) for row in rows], np.int32)
        inputs = {
            "tokens": np.full((len(rows), lengths.max()), TextVocabulary.PAD, np.int32),
            "lengths": lengths,
            "gain": np.ones((len(rows), lengths.max()), np.float32),
        }
        for i, row in enumerate(rows):
            inputs["tokens"][i, : len(row)] = row
            if gain is not None:
                inputs["gain"][i, : len(row)] = gain[i]
        return self.run(inputs)

    def _classification(self, parts):
        if parts is None:
            return Classification("", 0.0, {})
        probabilities = np.mean(parts, 0).tolist()
        best = int(np.argmax(probabilities))
        listed = dict(zip(self.vocabulary.labels, probabilities, strict=True))
        return Classification(self.vocabulary.labels[best], probabilities[best], listed)

    def influence(self, text):
        """How much each word spoke for the label that was found: gradient × input.

        That is what the log-odds of the label would gain, were all effects of the word linear: the derivative
        of the log-odds by the strength of the word's embeddings (their ``gain``), as the difference quotient
        of ``STEP`` to either side, so that exported files can tell it, too.

        Args:
            text: str; of one with more than ``LIMIT`` tokens, the words that come first.

        Returns:
            ``(words, influence, classification)``: list of str, as the text has them; float ``[words]``,
            below zero where a word spoke for other labels; the ``Classification`` of these words.

        Raises:
            UserError: there is no word, or it was not valid UTF-8.
        """
        words, spans, rows = [], [], [TextVocabulary.START]
        for word in text.split():
            found = (self._rows(1, word) or [])[:LIMIT]
            if len(rows) + len(found) > LIMIT + 1:
                break
            words.append(word)
            spans.append((len(rows), len(rows) + len(found)))
            rows += found
        if not words:
            raise UserError("there is nothing to draw of an empty text; give one with words")
        rows.append(TextVocabulary.END)
        found = self._classification(self._run([rows])["probabilities"])
        changed = []
        for first, last in spans:
            for step in (STEP, -STEP):
                changed.append(np.ones(len(rows), np.float32))
                changed[-1][first:last] += step
        size = max(1, min(BATCH, TOKENS // len(rows)))
        batches = [changed[i : i + size] for i in range(0, len(changed), size)]
        logits = np.concatenate([self._run([rows] * len(gain), gain)["logits"] for gain in batches])
        odds = _log_odds(np.float64(logits), self.vocabulary.labels.index(found.label))
        return words, (odds[::2] - odds[1::2]) / (2 * STEP), found

    def picture(self, item, path):
        """Draws a text with each word coloured by its ``influence``.

        Args:
            item: str, the text.
            path: the PNG file to write.

        Raises:
            UserError: there is no word in the text, or the file cannot be written.
        """
        from zoo.coloured_text import draw

        words, influence, found = self.influence(item)
        title = f"{found.label}, {found.probability:.1%}"
        count = len(item.split())
        if count > len(words):
            title += f" (the first {len(words)} of {count} words)"
        draw(title, words, influence, path, f"for {found.label}", "against it")

    def evaluate(self, corpus, progress=False):
        """What ``zoo.metrics.evaluate_classifier`` gives."""
        from zoo import metrics

        return metrics.evaluate_classifier(self, self.vocabulary, corpus, progress)

    def rows(self, report):
        def shown(label, figures):
            return (
                f"precision {figures['precision']:.1%}, recall {figures['recall']:.1%}, "
                f"F1 {figures['f1']:.3f} ({figures['texts']} texts)"
            )

        return [
            ("texts", str(report["texts"])),
            *super().rows(report),
            *((label, shown(label, figures)) for label, figures in report["labels"].items()),
            ("speed", f"{report['texts_per_second']:.0f} texts a second"),
        ]


def _batches(pieces, threads):
    """The keys of ``{key: rows}`` by length, in lists of up to ``BATCH`` with up to ``TOKENS`` together."""
    most = max(1, min(BATCH, -(-len(pieces) // threads)))  # few pieces are spread over all threads
    batches = []
    for key in sorted(pieces, key=lambda key: len(pieces[key]), reverse=True):
        if not batches or len(batches[-1]) == min(most, max(1, TOKENS // len(pieces[batches[-1][0]]))):
            batches.append([])
        batches[-1].append(key)
    return batches


def _log_odds(logits, row):
    """float ``[batch, labels]`` -> the log-odds of one label, ``[batch]``."""
    others = np.delete(logits, row, 1)
    return logits[:, row] - np.logaddexp.reduce(others, 1)
