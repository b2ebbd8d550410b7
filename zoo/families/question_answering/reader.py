"""Answers questions on a story with an exported model or a Keras task.

    from export import runtime

    reader = runtime.load("qa_babi.onnx")
    story = "Mary moved to the bathroom. John went to the hallway."
    reader("Where is Mary?", story=story)                          # ["bathroom"]
    reader([{"context": story, "question": "Where is Mary?"}])     # each with a story of its own
    found, = reader("Where is Mary?", story=story, details=True)   # Answer: text, confidence, looked_at, …
    reader.picture("Where is Mary?", "why.png", story=story)       # each sentence coloured by what it got

A model that learned no unknown words refuses a question or a story with one: its answer would mean nothing.
"""

from __future__ import annotations

import dataclasses
import os
import time
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.options import N_BEST, Option
from zoo.contract.reader import Metric, Reader, check_utf8
from zoo.errors import UserError
from zoo.families.question_answering.vocabulary import COLUMNS, QuestionVocabulary, padded, story_words
from zoo.metrics.confidence import judge
from zoo.text.files import read_text
from zoo.text.normalise import normalise_caption, normalise_sentence, split_sentences

if TYPE_CHECKING:
    from zoo.families.question_answering.corpus import Questions

WINDOW = 1024  # questions held in memory and sorted by the length of their stories at a time
BATCH = 64  # questions answered at a time by each thread
WORDS = 1 << 15  # of these together
SPAN_WORDS = 30  # of an answer that is a span, at most


def read_story(path: str | os.PathLike) -> list[str]:
    """The sentences of a story in a text file, plain or .gz: list of str.

    Raises:
        UserError: it cannot be read, or has no words.
    """
    sentences = _sentences(read_text(path))
    if not any(map(normalise_caption, sentences)):
        raise UserError(f"{path}: this story has no words; give one in sentences")
    return sentences


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        text: the likeliest answer.
        confidence: its probability, 0 to 1.
        hypotheses: list of ``(text, probability)``, the likeliest first.
        sentences: list of str, those of the story.
        looked_at: float ``[hops, sentences]``, how much each hop looked at each; a row sums to 1.
        words: of a model for spans ``(words, float [words])``, how much all hops looked at each; else None.
    """

    text: str
    confidence: float
    hypotheses: list
    sentences: list
    looked_at: np.ndarray = dataclasses.field(compare=False)
    words: tuple | None = dataclasses.field(default=None, compare=False)

    @property
    def line(self) -> str:
        """Answer and confidence, divided by a tab."""
        return f"{self.text}\t{self.confidence:.4f}"

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows: of sentences those that got a tenth or more."""
        weights = self.looked_at.mean(0)
        order = [place for place in np.argsort(-weights, kind="stable") if weights[place] >= 0.1]
        names = "sentence", "text", "weight"
        rows = [(int(place) + 1, self.sentences[place], round(float(weights[place]), 4)) for place in order]
        looked = [dict(zip(names, row, strict=True)) for row in rows]
        return {"text": self.text, "confidence": round(self.confidence, 4), "looked_at": looked}


class AnsweringReader(Reader):
    """Answers questions. The arguments are those of ``Reader``."""

    Vocabulary = QuestionVocabulary
    reads, one, takes = "questions", "question", "lines"
    interactive = True
    single = str | dict
    columns = {what: COLUMNS[what] for what in ("context", "question")}
    columns_help = "question=COLUMN is the column with the questions, context=COLUMN that with their stories"
    options = (
        Option(
            "story",
            "text file, plain or .gz, that all questions are on: a sentence a line, or a text in sentences",
            read_story, "FILE", evaluates=False,
        ),
        N_BEST,
    )  # fmt: skip
    plots, plot_help = "one", "what in the story each hop looked at"
    judges = True
    metrics = (Metric("accuracy", "accuracy", "{:.1%}"), Metric("f1", "F1 of words", "{:.3f}"))

    def stream(
        self, questions: Any, errors: str = "raise", progress: bool = False, story: Any = None,
        n_best: int | None = None,
    ) -> Iterator[Answer | UserError]:  # fmt: skip
        """Iterate over the ``Answer`` to each question; they come ``WINDOW`` by ``WINDOW``.

        Args:
            questions: an iterable of str, on ``story``, or of dicts with ``question`` and, where it has a
                story of its own, ``context``.
            errors, progress: as in a call.
            story: str, its sentences, on lines of their own or one behind the other; or a list of str.
            n_best: how many ``hypotheses`` an answer has.

        Raises:
            UserError: a question has no story, or either has no words, too many, or one that is not known.
        """
        if n_best is not None and n_best < 1:
            raise UserError("a number of answers is 1 or more")
        given = None if story is None else self._story(story)

        def prepare(number, item):
            return self._prepared(number, item, given)

        def answer(window, pool, bar):
            return self._answer(window, pool, bar, n_best or 1)

        return self.in_windows(
            questions, prepare, answer, WINDOW, errors, first=1, desc="answering", unit=" questions",
            disable=not progress,
        )  # fmt: skip

    def _story(self, story):
        """A story -> ``(sentences, items)``, what the vocabulary makes of it."""
        story = _sentences(story) if isinstance(story, str) else story
        sentences = [normalise_sentence(sentence) for sentence in story]
        items = self.vocabulary.items(sentences, self.config["answers"])
        for number, sentence in enumerate(sentences, 1):
            self._check_known(sentence, f"sentence {number} of the story has")
        return sentences, items

    def _check_known(self, text, has):
        """UserError where a model that learned no unknown words would read one."""
        if self.config["word_dropout"] == 0:
            strange = self.vocabulary.strange(text)
            if strange:
                raise UserError(
                    f"{has} the word {strange[0]!r}, which the model has not learned; say it in other words"
                )

    def _prepared(self, number, item, given):
        """``(sentences, items, rows of the question)`` of an input."""
        try:
            return self._read(number, item, given)
        except UserError as error:
            raise error if str(error).startswith("line ") else UserError(f"line {number}: {error}") from error

    def _read(self, number, item, given):
        question, context = (item, None) if isinstance(item, str) else (item["question"], item.get("context"))
        check_utf8(question, number)
        story = given if context is None else self._story(context)
        if story is None:
            raise UserError("there is no story to this question; give one with --story FILE, or in a table")
        rows = self.vocabulary.question(unicodedata.normalize("NFC", question))
        self._check_known(question, "the question has")
        if not self.vocabulary.words.known(rows):
            raise UserError("the question has no word that the model has learned; ask in other words")
        return (*story, rows)

    def _answer(self, window, pool, bar, n_best):
        """``{number: prepared}`` -> ``{number: Answer}``, on all threads."""
        found = {}
        batches = _batches(window, self.threads)
        outputs = pool.map(lambda batch: self._run([window[number] for number in batch]), batches)
        for batch, given in zip(batches, outputs, strict=True):
            pairs = zip(given["probabilities"], given["looked_at"], strict=True)
            for number, (probabilities, looked) in zip(batch, pairs, strict=True):
                found[number] = self._result(*window[number][:2], probabilities, looked, n_best)
            bar.update(len(batch))
        return found

    def _run(self, prepared):
        stories = [items for _, items, _ in prepared]
        lengths = np.array(list(map(len, stories)), np.int32)
        story = np.zeros((len(stories), lengths.max(), max(one.shape[1] for one in stories)), np.int32)
        for place, items in zip(story, stories, strict=True):
            place[: items.shape[0], : items.shape[1]] = items
        question = padded([rows for _, _, rows in prepared])
        return self.run({"story": story, "lengths": lengths, "question": question})

    def _result(self, sentences, items, probabilities, looked, n_best):
        looked, mode, words = looked[:, : len(items)], self.config["answers"], None
        if mode == "list":
            names, values = self.vocabulary.labels, probabilities
        elif mode == "sentence":
            names, values = sentences, probabilities[: len(items)]
        else:
            words = story_words(sentences)
            names, values = _spans(sentences, words, probabilities[:, : len(items)], n_best)
            of = np.array([number for _, number, _, _ in words])
            spelled = [sentences[number][first:last] for _, number, first, last in words]
            words = spelled, looked.mean(0)
            looked = np.stack([np.bincount(of, hop, len(sentences)) for hop in looked])
        order = np.argsort(-np.asarray(values), kind="stable")[:n_best]
        hypotheses = [(names[row], self.sure(float(values[row]))) for row in order]
        return Answer(*hypotheses[0], hypotheses, list(sentences), looked, words)

    def picture(
        self, item: Any, path: str | os.PathLike, story: Any = None, n_best: int | None = None
    ) -> None:
        """Draws the story of one question, each sentence, or word, coloured by how much was looked at it.

        Args:
            item, story: as of ``stream``.
            path: the PNG file to write.
            n_best: not used.

        Raises:
            UserError: as of ``stream``, or the file cannot be written.
        """
        from zoo.families.question_answering.plot import draw_sentences
        from zoo.plots.words import draw

        (found,) = self.stream([item], story=story)
        question = item if isinstance(item, str) else item["question"]
        title = f"{normalise_sentence(question)}  {found.text}, {found.confidence:.1%}"
        if found.words is None:
            draw_sentences(title, found.sentences, found.looked_at, path)
        else:
            draw(title, *found.words, path, "looked at")

    def evaluate(
        self, corpus: Questions, progress: bool = False, judged: dict | None = None
    ) -> dict[str, Any]:
        """The report on a corpus.

        Args:
            corpus: a ``zoo.families.question_answering.corpus.Questions``.
            progress: show a progress bar.

        Returns:
            A dict with ``accuracy``, the mean over tasks of the share of questions whose answer is right, but
            for upper and lower case, marks and articles; ``f1``, likewise of the harmonic mean of precision
            and recall of its words (Rajpurkar et al. 2016, section 6.1); ``tasks``, ``{task: {"accuracy",
            "f1", "questions"}}``; ``refused``, how many questions the model could not read, counted as wrong;
            ``questions``, ``seconds``, ``questions_per_second`` and ``skipped`` (sentences on questions that
            could not be used); ``confidence`` of those answered, see
            ``zoo.metrics.confidence.confidence_report``. ``judged``, a dict, gets "text": confidences, and
            whether each is right.
        """
        items = (
            {"context": story.split("\n"), "question": text}
            for text, story in zip(corpus.texts, corpus.stories, strict=True)
        )
        start, scores, refused, sure = time.perf_counter(), {}, 0, ([], [])
        found = self.stream(items, "return", progress)
        for task, answers, answer in zip(corpus.tasks, corpus.answers, found, strict=True):
            said = None if isinstance(answer, UserError) else answer.text
            refused += said is None
            right = answers.split("\n")
            pairs = [(said == one or _bare(said) == _bare(one), _f1(said, one)) for one in right if said]
            scores.setdefault(task, []).append(tuple(map(max, zip(*pairs, strict=True))) if pairs else (0, 0))
            if said is not None:
                sure[0].append(answer.confidence)
                sure[1].append(bool(scores[task][-1][0]))
        seconds = time.perf_counter() - start
        tasks = {
            task: dict(zip(("accuracy", "f1"), np.mean(values, 0).tolist(), strict=True))
            | {"questions": len(values)}
            for task, values in sorted(scores.items(), key=lambda one: _order(one[0]))
        }
        return {
            "questions": len(corpus),
            "accuracy": float(np.mean([one["accuracy"] for one in tasks.values()])),
            "f1": float(np.mean([one["f1"] for one in tasks.values()])),
            "tasks": tasks,
            "refused": refused,
            "seconds": seconds,
            "questions_per_second": len(corpus) / seconds,
            "skipped": corpus.skipped,
            "confidence": judge(*sure, judged),
        }

    def rows(self, report: dict) -> list[tuple[str, str]]:
        tasks = report["tasks"].items() if len(report["tasks"]) > 1 else ()
        return [
            ("questions", str(report["questions"])),
            *super().rows(report),
            *((task, f"{one['accuracy']:.1%} ({one['questions']} questions)") for task, one in tasks),
            ("refused", f"{report['refused']} (too long or with unknown words, counted as wrong)"),
            ("speed", f"{report['questions_per_second']:.0f} questions a second"),
        ]


def _sentences(text):
    """The sentences of a story, without the numbers and the questions that bAbI's text has."""
    sentences = split_sentences(text)
    pairs = [sentence.partition(" ") for sentence in sentences]
    if len(pairs) < 2 or not all(number.isdecimal() for number, _, _ in pairs):
        return sentences
    return [sentence for _, _, sentence in pairs if "\t" not in sentence]


def _batches(window, threads):
    """The numbers of ``{number: prepared}`` by length, in lists of up to ``BATCH`` and ``WORDS``."""

    def size(number):
        return window[number][1].size

    most = max(1, min(BATCH, -(-len(window) // threads)))  # few questions are spread over all threads
    batches = []
    for number in sorted(window, key=size, reverse=True):
        if not batches or len(batches[-1]) == min(most, max(1, WORDS // size(batches[-1][0]))):
            batches.append([])
        batches[-1].append(number)
    return batches


def _spans(sentences, words, probabilities, count):
    """The likeliest spans: texts as the story has them, and probabilities, at least ``count`` if there are.

    Args:
        sentences: list of str.
        words: what ``story_words`` gives.
        probabilities: float ``[2, words]``, of the first and the last word.
    """
    first, last = np.float64(probabilities)
    apart = np.arange(len(last))[None] - np.arange(len(first))[:, None]
    both = np.where((apart >= 0) & (apart < SPAN_WORDS), np.outer(first, last), 0.0)
    texts = {}
    for place in np.argsort(-both, axis=None, kind="stable"):
        start, end = np.unravel_index(place, both.shape)
        if len(texts) >= count or both[start, end] <= 0:
            break
        texts.setdefault(_spelled(sentences, words[start], words[end]), both[start, end])
    return list(texts), list(texts.values())


def _spelled(sentences, first, last):
    """The text of a story from one word to another."""
    _, one, start, _ = first
    _, other, _, end = last
    if one == other:
        return sentences[one][start:end]
    return " ".join([sentences[one][start:], *sentences[one + 1 : other], sentences[other][:end]])


def _bare(text):
    """A text as answers are compared, without articles (as SQuAD's own script does)."""
    return [word for word in normalise_caption(text).split() if word not in ("a", "an", "the")]


def _f1(said, right):
    said, right = _bare(said), _bare(right)
    common = sum(min(said.count(word), right.count(word)) for word in set(said))
    return 2 * common / (len(said) + len(right)) if common else float(said == right)


def _order(task):
    """Tasks by their numbers: qa2 before qa10."""
    digits = "".join(filter(str.isdecimal, task.partition("_")[0]))
    return int(digits or 0), task


READER = AnsweringReader
