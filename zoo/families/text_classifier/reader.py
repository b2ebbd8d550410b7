"""Classifies texts with an exported model or a Keras task: texts of any length, their order kept.

    from export import runtime

    reader = runtime.load("sentiment_en.onnx")
    reader(["A film to fall in love with.", "Never again."])     # ["positive", "negative"]
    found, = reader("Never again.", details=True)                # Classification: label, probability, …
    reader.picture("Never again.", "why.png")                    # each word coloured by its influence

A text of more than ``LIMIT`` tokens is classified in pieces, as equal as can be; its probabilities are the
means of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.labels import Classification, LabellingReader, label_report
from zoo.contract.reader import check_utf8
from zoo.errors import UserError
from zoo.families.text_classifier.vocabulary import LIMIT, TextVocabulary, bounded
from zoo.formats.tables import TEXT
from zoo.metrics.text import answers

if TYPE_CHECKING:
    from zoo.families.text_classifier.corpus import LabelledTexts

WINDOW = 1024  # texts held in memory and sorted by length at a time
BATCH = 64  # pieces classified at a time by each thread, those of similar length together
TOKENS = 1 << 14  # of these pieces together
STEP = 0.02  # share by which words are made stronger and weaker to see their influence


class ClassificationReader(LabellingReader):
    """Classifies texts. The arguments are those of ``Reader``."""

    Vocabulary = TextVocabulary
    reads, one, takes = "texts", "text", "lines"
    columns, columns_help = {"text": TEXT}, "text=COLUMN is the column with the texts, else text, review, …"
    plots, plot_help = "one", "each word coloured by how much it spoke for the label"

    def stream(
        self, texts: Any, errors: str = "raise", progress: bool = False
    ) -> Iterator[Classification | UserError]:
        """Iterate over the ``Classification`` of each text; they come ``WINDOW`` by ``WINDOW``.

        Args:
            texts: an iterable of str.
            errors, progress: as in a call.

        Raises:
            UserError: a text was not valid UTF-8 (and came with surrogates).
        """
        return self.in_windows(
            texts, self._rows, self._classify, WINDOW, errors, first=1, desc="classifying", unit=" texts",
            disable=not progress,
        )  # fmt: skip

    def _rows(self, number, text):
        """A text -> its rows, None if nothing of it is known; ``number`` is for messages."""
        check_utf8(text, number)
        rows = self.vocabulary.encode(text)
        return rows if self.vocabulary.tokens.known(rows) else None

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
        return Classification.of(self.vocabulary.labels, self.calibrated(np.mean(parts, 0)))

    def influence(self, text: str) -> tuple[list[str], np.ndarray, Classification]:
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
        check_utf8(text, 1)
        words, spans, rows = [], [], [TextVocabulary.START]
        for word in text.split():
            found = self.vocabulary.encode(word)[:LIMIT]
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

    def picture(self, item: Any, path: str | os.PathLike) -> None:
        """Draws a text with each word coloured by its ``influence``.

        Args:
            item: str, the text.
            path: the PNG file to write.

        Raises:
            UserError: there is no word in the text, or the file cannot be written.
        """
        from zoo.plots.words import draw

        words, influence, found = self.influence(item)
        title = f"{found.label}, {found.confidence:.1%}"
        count = len(item.split())
        if count > len(words):
            title += f" (the first {len(words)} of {count} words)"
        draw(title, words, influence, path, f"for {found.label}", "against it")

    def evaluate(
        self, corpus: LabelledTexts, progress: bool = False, judged: dict | None = None
    ) -> dict[str, Any]:
        """What ``evaluate_classifier`` gives."""

        def classify(texts):
            return self(texts, details=True)

        return evaluate_classifier(classify, self.vocabulary, corpus, progress, judged)


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


def evaluate_classifier(
    classify: Callable, vocabulary: TextVocabulary, corpus: LabelledTexts, progress: bool = False,
    judged: dict | None = None,
) -> dict[str, Any]:  # fmt: skip
    """How often a function that classifies texts finds the label of a corpus.

    Args:
        classify: a list of str -> a list of ``Classification``, or of labels.
        vocabulary: the ``zoo.families.text_classifier.vocabulary.TextVocabulary`` of what it says.
        corpus: a ``zoo.families.text_classifier.corpus.LabelledTexts``.
        progress: show a progress bar.
        judged: as there.

    Returns:
        What ``zoo.contract.labels.label_report`` gives, and ``skipped`` (sentences on texts that could not be
        used).

    Raises:
        UserError: the corpus has a label that the model has not.
    """
    rows = {label: vocabulary.row(label) for label in sorted(set(corpus.labels))}
    found, labels, seconds = answers(
        classify, corpus, 512, desc="classifying", unit=" texts", disable=not progress
    )
    expected = [rows[label] for label in labels]
    report = label_report(vocabulary.labels, expected, found, seconds, "texts", judged)
    return report | {"skipped": corpus.skipped}


READER = ClassificationReader
