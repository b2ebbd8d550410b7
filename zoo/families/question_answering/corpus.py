"""Corpora of stories, questions and answers, prepared once.

A corpus is one of these; every file may be gzipped, and `PATH@3` shows a small one three times an epoch:

- bAbI's text: numbered sentences, ``4 Where is Mary?<TAB>garden<TAB>1 3`` asks after those before it, and
  sentences 1 and 3 support the answer; 1 begins a new story. ``qa2_NAME_train.txt`` is the task ``qa2_NAME``;
- SQuAD's JSON: paragraphs of articles, questions and answers that are spans of the paragraph;
- WikiQA's table: a candidate sentence a row, ``Label`` 1 where it answers the question;
- a table with the columns ``context``, ``question`` and ``answer`` (or others of ``COLUMNS``, or those of
  ``--columns``): CSV, TSV, JSON, lines of JSON, Parquet; see ``zoo.formats.tables``;
- a folder or a tar with such files in it.

How a model answers says what it can learn from: an answer of a list is any text; a span has to be in the
story; a sentence is one that supports the answer, or where none is said to, one that the answer stands in.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from zoo import files
from zoo.data.given import Given
from zoo.data.samples import LocalCorpus, TextSamples
from zoo.errors import UserError
from zoo.families.question_answering.vocabulary import COLUMNS, find_span, story_words
from zoo.formats.tables import NAME, check_named, column, is_table, open_table, stem_of, with_columns
from zoo.text.files import Utf8Check, decode_text, stream_lines
from zoo.text.normalise import normalise_caption, normalise_sentence, split_sentences

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.prepared import Prepared
    from zoo.families.question_answering.vocabulary import QuestionVocabulary

CANDIDATES = {  # of tables with a candidate sentence a row
    "question": ("question", "query"),
    "sentence": ("sentence", "candidate", "answer"),
    "label": ("label", "is_correct", "correct"),
}
_NUMBERED = re.compile(r"(\d+) +(.*)", re.DOTALL)
_TASK = re.compile(r"(.*?)[-_.](train|test|valid|val|dev)", re.IGNORECASE)


class QuestionCorpus(LocalCorpus):
    """Reads one local corpus: of each question ``name``, ``text``, ``story``, ``answers``, ``support``, …

    Args:
        path: the file, folder or tar.
        answers: as in a model's configuration.
        columns: ``{what: name}`` of tables, where they are not among ``COLUMNS``; or None.
    """

    def __init__(
        self, path: str | os.PathLike, answers: str = "list", columns: dict[str, str] | None = None
    ) -> None:
        super().__init__(path)
        self.answers, self.columns = answers, columns

    def samples(self) -> Iterator[dict[str, Any]]:
        for sample in read_questions(self.path, self.answers, self.skipped, self.columns):
            yield {
                "name": sample["name"],
                "text": sample["question"],
                "story": "\n".join(sample["story"]),
                "answers": "\n".join(sample["answers"]),
                "support": " ".join(map(str, sample["support"])),
                "span": " ".join(map(str, sample["span"])),
                "group": sample["group"],
                "task": sample["task"],
            }

    def unusable(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: no question in it could be used ({reason}); give a table whose first line is "
            "context, question and answer, SQuAD's JSON, or bAbI's text."
        )


def read_questions(
    path: str | os.PathLike, answers: str, skipped: list[str] | None, columns: dict[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Iterate over the questions of a local corpus that a model can learn.

    Args:
        path, answers, columns: as of ``QuestionCorpus``.
        skipped: a list; a sentence is appended for each question that cannot be used.

    Yields:
        dicts as of ``_read``, their texts with single blanks, with ``span`` or ``support`` where ``answers``
        needs it.

    Raises:
        UserError: a file cannot be read, or is of none of the layouts.
    """
    for where, sample in _read(path, skipped, columns):
        sample["question"] = normalise_sentence(sample["question"])
        sample["story"] = [normalise_sentence(one) for one in sample["story"]]
        sample["answers"] = list(filter(None, map(normalise_sentence, sample["answers"])))
        complaint = _complaint(sample, answers)
        if complaint:
            skipped.append(f"{where} {complaint}.")
        else:
            yield sample


def _complaint(sample, answers):
    """What is wrong with a sample, or None; a span and the sentences with the answer are found here."""
    if not normalise_caption(sample["question"]):
        return "has a question without words"
    if not any(map(normalise_caption, sample["story"])):
        return "has a story without words"
    if not sample["answers"]:
        return "has no answer"
    story, answer = sample["story"], sample["answers"][0]
    if answers == "span" and not sample["span"]:
        sample["span"] = find_span([word for word, *_ in story_words(story)], answer) or ()
        if not sample["span"]:
            return f"has an answer that is not in its text: {answer!r}"
    if answers == "sentence" and not sample["support"]:
        wanted = f" {normalise_caption(answer)} "
        sample["support"] = [
            number for number, one in enumerate(story) if wanted in f" {normalise_caption(one)} "
        ]
        if not sample["support"]:
            return f"has an answer that is in no sentence of its text: {answer!r}"
    return None


def _read(path, skipped, columns):
    """Iterate over ``(where, sample)`` of a local corpus; ``where`` begins a message on the sample.

    A sample has ``name``, ``question``, ``story`` (list of str, its sentences), ``answers`` (list of str, all
    of them right), ``support`` (numbers of sentences from 0), ``span`` (first and last word of the first
    answer, or nothing), ``group`` (those of a group are learned or validated together) and ``task`` ("" where
    the corpus is one).

    Raises:
        UserError: a file cannot be read, or is of none of the layouts.
    """
    if path.is_dir() or not _is_file(path):
        yield from _read_members(path, skipped, columns)
    else:
        yield from _read_file(path, path.name, "", skipped, columns)


def _is_file(path):
    """Whether a path is of one file with questions by its name or beginning, rather than of an archive."""
    return is_table(path.name) or _is_babi(stream_lines(path))


def _is_babi(lines):
    """Whether lines are bAbI's: the first is numbered 1, most are numbered, and a question comes."""
    try:
        few = [line for line in itertools.islice(lines, 500) if line.strip()]
    except UserError:  # no text at all
        return False
    numbered = [_NUMBERED.fullmatch(line) for line in few]
    first = numbered and numbered[0] and numbered[0][1] == "1"
    return bool(first) and 2 * sum(map(bool, numbered)) > len(few) and any("\t" in line for line in few)


def _read_members(path, skipped, columns):
    found, complaint, names, taken = False, None, [], set()
    list(files.open_members(path, names.append, []))  # reads none

    def wanted(name):
        return is_table(name) or re.search(r"\.txt(\.gz)?$", name, re.IGNORECASE)

    for name, data in files.open_members(path, wanted, skipped):
        try:
            if not is_table(name) and not _is_babi(stream_lines(name, data)):
                continue  # README.txt
            stem = stem_of(name, taken) if is_table(name) else name.partition(".txt")[0]
            for one in _read_file(f"{path}: {name}", name, f"{stem}/", skipped, columns, data):
                found = True
                yield one
        except UserError as error:  # on this file; another may be as it should
            skipped.append(str(error))
            complaint = complaint or error
    if not found and complaint:
        raise complaint
    if not found:
        there = ", ".join(sorted(names)[:3]) or "nothing"
        skipped.append(f"{path}: there is neither a table nor bAbI's text in it, but {there}.")


def _read_file(path, name, prefix, skipped, columns, data=None):
    """Samples of one file: ``name`` tells its layout, ``prefix`` begins the names of its samples."""
    if not is_table(name):
        task = _TASK.match(Path(name).name)
        return _read_babi(path, prefix, task[1] if task else "", skipped, data)
    if "json" in NAME.fullmatch(name)[2].lower():
        squad = _squad(path, data)
        if squad is not None:
            return _read_squad(path, prefix, squad, skipped)
    table = open_table(path, skipped, data)
    context = columns and "context" in columns
    if not context and column(table.columns, *COLUMNS["context"]) is None:
        if all(column(table.columns, *names) is not None for names in CANDIDATES.values()):
            return _read_candidates(table, prefix)
    return _read_table(table, prefix, columns)


def _read_babi(path, prefix, task, skipped, data):
    check = Utf8Check(path)
    story, number = {}, 0
    for at, line in enumerate(stream_lines(path, data), 1):
        where = f"{path}, line {at}"
        complaint = check.complaint(line, at)
        match = _NUMBERED.fullmatch(line)
        if not complaint and line.strip() and not match:
            complaint = f"{where} has no number; bAbI's lines begin with one."
        if complaint:
            skipped.append(complaint)
        if complaint or not line.strip():
            continue
        own = int(match[1])
        if own == 1 or not number:
            story, number = {}, number + 1
        question, *more = match[2].split("\t")
        # ToM-QA (Nematzadeh et al. 2018) has numbers behind its sentences: who of the story sees it.
        asked = question.rstrip().endswith("?") or len(more) > 1
        if not more or not asked and more[0].replace(" ", "").isdigit():
            story[own] = question
            continue
        places = {line: place for place, line in enumerate(story)}
        named = more[1].split() if len(more) > 1 else []
        support = [places[int(one)] for one in named if one.isdecimal() and int(one) in places]
        if len(support) < len(named):
            skipped.append(f"{where} names a supporting sentence that is not before it.")
            continue
        group = f"{prefix}{number:06d}"
        yield where, {
            "name": f"{group}-{own:03d}", "question": question, "story": list(story.values()),
            "answers": [more[0]], "support": support, "span": (), "group": group, "task": task,
        }  # fmt: skip
    check.end()


def _squad(path, data):
    """The articles of SQuAD's JSON; None if a file is other JSON."""
    start = "".join(itertools.islice(stream_lines(path, data), 50))[:10000]
    if '"paragraphs"' not in start and '"data"' not in start:
        return None
    try:
        text = "\n".join(stream_lines(path, data)) if data is None else decode_text(data, path)
        found = json.loads(text)
    except ValueError:  # lines of JSON, or none
        return None
    articles = found.get("data") if isinstance(found, dict) else None
    if not isinstance(articles, list) or not all(
        isinstance(one, dict) and isinstance(one.get("paragraphs"), list) for one in articles
    ):
        return None
    return articles


def _read_squad(path, prefix, articles, skipped):
    for first, article in enumerate(articles, 1):
        group = f"{prefix}{first:04d}"
        for second, paragraph in enumerate(article["paragraphs"], 1):
            try:
                context, questions = paragraph["context"], paragraph["qas"]
                story = split_sentences(normalise_sentence(context))
                spans = _Spans(context)
            except (KeyError, TypeError) as error:
                skipped.append(f"{path}: paragraph {second} of article {first} lacks {error}.")
                continue
            for third, one in enumerate(questions, 1):
                where = f"{path}: question {third} of paragraph {second} of article {first}"
                try:
                    texts = [answer["text"] for answer in one["answers"]]
                    starts = [int(answer["answer_start"]) for answer in one["answers"]]
                    span = spans.of(starts[0], texts[0]) if texts else ()
                    question = normalise_sentence(one["question"])
                except (KeyError, TypeError, ValueError) as error:
                    skipped.append(f"{where} lacks {error}.")
                    continue
                if texts and not span:
                    skipped.append(f"{where} has an answer that is not in its text: {texts[0]!r}.")
                    continue
                yield where, {
                    "name": f"{group}-{second:03d}-{third:03d}", "question": question, "story": story,
                    "answers": list(dict.fromkeys(texts)), "support": [], "span": span, "group": group,
                    "task": "",
                }  # fmt: skip


class _Spans:
    """Finds spans, told by places of characters, among the words of a context."""

    def __init__(self, context):
        self.words = story_words([context])

    def of(self, start, text):
        """Numbers of the first and the last word that overlap ``text``, which begins at ``start``."""
        inside = [
            number
            for number, (_, _, first, last) in enumerate(self.words)
            if first < start + len(text) and last > start
        ]
        return (inside[0], inside[-1]) if inside else ()


def _read_candidates(table, prefix):
    """Rows with the same question, one behind the other, are a story of candidate sentences."""

    def asked(row):
        return row[2]["question"]

    rows = table.pick(CANDIDATES)
    for number, (question, several) in enumerate(itertools.groupby(rows, asked), 1):
        where, line, _ = first = next(several)
        rows = [row for _, _, row in itertools.chain([first], several)]
        story = [row["sentence"] for row in rows]
        right = [place for place, row in enumerate(rows) if row["label"].strip().lower() in _TRUE]
        yield where, {
            "name": f"{prefix}{line:06d}", "question": question, "story": story,
            "answers": [story[place] for place in right], "support": right, "span": (),
            "group": f"{prefix}question {number}", "task": "",
        }  # fmt: skip


_TRUE = ("1", "1.0", "true", "yes")


def _read_table(table, prefix, columns):
    contexts = {}
    for where, line, row in table.pick(COLUMNS, named=columns, free=["answer"]):
        group = contexts.setdefault(row["context"], f"{prefix}context {len(contexts) + 1}")
        yield where, {
            "name": f"{prefix}{line:06d}", "question": row["question"],
            "story": split_sentences(row["context"]), "answers": [row["answer"]], "support": [], "span": (),
            "group": group, "task": "",
        }  # fmt: skip


# === Prepared corpora ===


class Questions(TextSamples):
    """Some questions of one or more prepared corpora, in the order of their files.

    Attributes:
        names: ``CORPUS/FILE/000012-005``: story and line of bAbI's, or the number of a table's line; the
            corpus is named as its file without suffixes.
        texts: the questions.
        stories: their stories, the sentences divided by line breaks.
        answers: the right answers of each, divided by line breaks.
        supports: the numbers of the sentences that support each, from 0, divided by blanks.
        groups: what they belong to: a story, an article.
        tasks: the tasks that they are of; accuracy is the mean over these.
        skipped: sentences on questions that could not be used.

    ``dataset`` gives ``text``, ``story``, ``answers``, ``support`` and ``span``, scalar strings.
    """

    noun = "question"
    version = 1
    mode, named = "list", None  # how answers are given; `load_questions` makes a class for each other

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.stories, self.answers, self.supports, self.spans, self.groups, self._tasks = map(
            self._strings, range(2, 8)
        )

    @property
    def tasks(self) -> list[str]:
        pairs = zip(self._tasks, self.names, strict=True)
        return [task or name.partition("/")[0] for task, name in pairs]

    @classmethod
    def local(cls, path: str | os.PathLike) -> QuestionCorpus:
        return QuestionCorpus(path, cls.mode, cls.named)

    @staticmethod
    def uniform(builder: Any) -> NoReturn:
        raise UserError(
            f"tfds:{builder.name}: questions are not read from there; give a table with context, question "
            "and answer, SQuAD's JSON, or bAbI's text."
        )

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        return [sample[name] for name in ("story", "answers", "support", "span", "group", "task")]

    @property
    def columns(self) -> dict[str, Sequence[str]]:
        return {
            "text": self.texts,
            "story": self.stories,
            "answers": self.answers,
            "support": self.supports,
            "span": self.spans,
        }


class SpanQuestions(Questions):
    """Questions whose answers stand in their stories."""

    mode = "span"


class SentenceQuestions(Questions):
    """Questions that a sentence of their stories answers."""

    mode = "sentence"


_KINDS = {kind.mode: kind for kind in (Questions, SpanQuestions, SentenceQuestions)}


def load_questions(
    corpora: Any, answers: str, only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Questions:  # fmt: skip
    """Prepare corpora (the first time) and give their questions as ``Questions``.

    Args:
        corpora: a list of files, folders and tars, or one of these.
        answers: as in a model's configuration: ``list``, ``span`` or ``sentence``.
        only: a regular expression; questions are kept whose ``CORPUS/NAME`` it matches somewhere.
        progress: show progress bars.
        columns: ``{"context": name, …}`` of tables, where they are not among ``COLUMNS``.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no question that can be used.
    """
    kind = with_columns(_KINDS[answers], check_named(columns, COLUMNS))
    return kind.load(corpora, only, progress)


GIVEN = Given(("context", "question", "answer"))


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Questions:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_questions(corpora, config["answers"], only, progress, columns)


def unfit(corpus: Questions, vocabulary: QuestionVocabulary, answers: str) -> dict[str, str]:
    """Which questions are too long for a model: ``{name: sentence}``."""
    found = {}
    for name, question, story in zip(corpus.names, corpus.texts, corpus.stories, strict=True):
        try:
            vocabulary.question(question)
            vocabulary.items(story.split("\n"), answers)
        except UserError as error:
            found[name] = f"{name}: {error}."
    return found


def answer_counts(corpus: Questions) -> Counter:
    """How often each answer of a list is the right one, a Counter."""
    return Counter(answer.partition("\n")[0] for answer in corpus.answers)
