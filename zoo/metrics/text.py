"""Metrics of text: character and word error rates (jiwer), and what evaluations of all families share."""

from __future__ import annotations

import collections
import difflib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zoo.metrics.confidence import judge
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from zoo.data.samples import Samples


def text_error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Character and word error rate over a whole set (edits over all / characters or words over all).

    Args:
        references, hypotheses: lists of str of the same length, normalised alike.

    Returns:
        A dict with ``cer`` and ``wer`` as fractions (above 1 where more was inserted than there is),
        ``characters`` and ``words`` of the references, ``character_errors``.
    """
    import jiwer

    characters = sum(len(text) for text in references)
    words = sum(len(text.split()) for text in references)
    # jiwer refuses empty references; insertions against them are counted here.
    pairs = [(r, h) for r, h in zip(references, hypotheses, strict=True) if r.strip()]
    blank = [h for r, h in zip(references, hypotheses, strict=True) if not r.strip()]
    character_errors = sum(len(h) for h in blank)
    word_errors = sum(len(h.split()) for h in blank)
    if pairs:
        kept, read = [r for r, _ in pairs], [h for _, h in pairs]
        letters = jiwer.process_characters(kept, read)
        character_errors += letters.substitutions + letters.deletions + letters.insertions
        spelled = jiwer.process_words(kept, read)
        word_errors += spelled.substitutions + spelled.deletions + spelled.insertions
    return {
        "cer": character_errors / max(characters, 1),
        "wer": word_errors / max(words, 1),
        "characters": characters,
        "words": words,
        "character_errors": character_errors,
    }


def as_same(text: str, same: Iterable[tuple[str, str]]) -> str:
    """A text in which what counts as equal is written alike.

    Args:
        text: str.
        same: pairs of str, ``(("ſ", "s"), ("uͤ", "ü"))``: the first is written as the second.
    """
    for one, other in same:
        text = text.replace(one, other)
    return text


def evaluate_reader(
    read: Callable, vocabulary: Any, corpus: Samples, progress: bool = False,
    same: Sequence[tuple[str, str]] = (), words: Callable | None = None, judged: dict | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Error rates of a function that reads line images, such as a task's ``predict`` or an exported reader.

    Args:
        read: a list of uint8 images -> a list of str, or of results with ``text`` and ``confidence``.
        vocabulary: the ``Vocabulary`` of what it reads.
        corpus: a ``zoo.data.samples.Samples``, whose ``chunks(size)`` give inputs and texts.
        progress: show a progress bar.
        same: pairs of str that count as equal, see ``as_same``.
        words: gives the words of a result, a list of ``(text, confidence)``.
        judged: a dict that gets "text" and "word", each a pair of lists: confidences, and whether it is
            right.

    Returns:
        What ``text_error_rates`` gives, with ``lines``, ``skipped`` (sentences on what could not be read)
        and ``unknown_characters`` (``{character: count}`` of those the vocabulary lacks; they count as
        errors). Of results, ``confidence`` and ``word_confidence``, as of
        ``zoo.metrics.confidence.confidence_report``.
    """
    found, references, _ = answers(read, corpus, 512, desc="reading", unit="line", disable=not progress)
    texts = [item if isinstance(item, str) else item.text for item in found]
    hypotheses = [as_same(normalise(text), same) for text in texts]
    references = [as_same(text, same) for text in references]
    unknown = collections.Counter(c for text in references for c in vocabulary.unknown(text))
    return {
        "lines": len(references),
        **text_error_rates(references, hypotheses),
        "skipped": corpus.skipped,
        "unknown_characters": dict(unknown.most_common()),
        **_confidences(found, hypotheses, references, same, words, judged),
    }


def _confidences(found, hypotheses, references, same, words, judged):
    """Whether results were as sure as they are right; ``judged`` gets what that is made of."""
    if not found or isinstance(found[0], str):
        return {}
    right = [a == b for a, b in zip(hypotheses, references, strict=True)]
    report = {"confidence": judge([item.confidence for item in found], right, judged)}
    if words:
        confidence, right = [], []
        for item, reference in zip(found, references, strict=True):
            own = [(as_same(normalise(text), same), sure) for text, sure in words(item)]
            confidence.extend(sure for _, sure in own)
            right.extend(right_words([text for text, _ in own], reference.split()))
        report["word_confidence"] = judge(confidence, right, judged, "word")
    return report


def right_words(found: Sequence[str], expected: Sequence[str]) -> list[bool]:
    """Of each word found whether it stands so in what was expected, by their best alignment: list of bool."""
    right = [False] * len(found)
    for block in difflib.SequenceMatcher(None, found, expected, autojunk=False).get_matching_blocks():
        right[block.a : block.a + block.size] = [True] * block.size
    return right


def answers(
    function: Callable, corpus: Samples, size: int, **bar: Any
) -> tuple[list[str], list[list[str]], float]:
    """What a function gives for the samples of a corpus, what was expected, and the seconds it took.

    Args:
        function: a list of inputs -> a list of as many answers.
        corpus: what gives ``(inputs, expected)``, lists, by ``chunks(size)``.
        bar: of tqdm.
    """
    from tqdm import tqdm

    found, expected, seconds = [], [], 0.0
    with tqdm(total=len(corpus), **bar) as bar:
        for inputs, wanted in corpus.chunks(size):
            start = time.perf_counter()
            found += function(inputs)
            seconds += time.perf_counter() - start
            expected += wanted
            bar.update(len(wanted))
    return found, expected, seconds
