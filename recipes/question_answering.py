"""Answers to questions: train or fine-tune recurrent networks that read a story several times.

    python -m recipes.question_answering train    --data babi_train.tar.gz --output RUN
    python -m recipes.question_answering train    --data squad.json --model.answers span --output RUN
    python -m recipes.question_answering finetune --preset qa_babi --data mine.csv --output RUN

CORPUS: bAbI's text, SQuAD's JSON, WikiQA's table, a table (CSV, TSV, JSON, Parquet) with `context`,
`question` and `answer`, or a folder or tar of such; `@4` shows a small one four times an epoch. Without
--validation or --hold-out, a tenth is held out: stories, texts or articles with all their questions.

Answers are one of a list (by default), a span of the text (`--model.answers span`) or one of its sentences
(`--model.answers sentence`). Where a corpus names the sentences that support an answer, as bAbI does, the
attention learns to look at them; `--model.support 0` leaves that out.
"""

from __future__ import annotations

import functools
import sys

from recipes.training import command_line, course, keeping, labels, report, setup
from zoo.errors import UserError


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.question_answering.network import QuestionAnswering, QuestionAnsweringConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    train.add_argument(
        "--minimum-count", type=int, default=1, metavar="N", help="learn words that occur N times, default 1"
    )
    for one in (train, finetune):
        command_line.add_hold_out(one, "questions")
        command_line.add_columns(one, "context", "question", "answer")
        command_line.add_fields(one, "model", QuestionAnsweringConfig, preset=one is finetune)
    command_line.add_keep(finetune, "questions")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    if options.action == "finetune":
        task = setup.load_preset(options, QuestionAnswering)
        learn, check, kept = _corpora(options, task.config)
        task = _with_words(task, learn, options)
        answers = _answers(learn, task.config)
        how = "a new output layer is trained"
        task = labels.with_labels(task, answers, options.preset, how, "answers")
    else:
        config = command_line.read_fields(options, "model", QuestionAnsweringConfig)
        learn, check, kept = _corpora(options, config)
        task = QuestionAnswering(config, _vocabulary(config, learn, options))
    learn, check = _readable(learn, task, "to learn from"), _readable(check, task, "to validate on")
    kept = kept and _readable(kept, task, "to be kept")
    known = f"{len(task.vocabulary)} words"
    if task.vocabulary.labels:
        known += f", {len(task.vocabulary.labels)} answers"
    report.announce(task, learn, check, "questions", known)

    settings = setup.settings(task, schedule, options)
    course.run(task, learn, check, kept, _validation, options.output, schedule, settings)
    report.finished(task, options.output, "ask it, a question a line", "zoo predict {} --story story.txt")


def _corpora(options, config):
    """Questions to learn from and to validate on, see ``keeping.corpora``."""
    from zoo.families.question_answering.corpus import load_questions

    load = functools.partial(load_questions, answers=config.answers, columns=command_line.columns(options))
    split = functools.partial(setup.split_by, load=load, unit="questions", groups_of=lambda one: one.groups)
    return keeping.corpora(options, split)


def _readable(corpus, task, where):
    """The questions that are not too long for a model, and whose answer it knows."""
    from zoo.families.question_answering.corpus import unfit

    known = task.vocabulary if task.config.answers == "list" else None
    left_out = unfit(corpus, task.vocabulary, task.config.answers)
    for name, answers in zip(corpus.names, corpus.answers, strict=True):
        answer = answers.partition("\n")[0]
        if known is not None and answer not in known:
            left_out.setdefault(name, f"{name}: {answer!r} is no answer that is learned.")
    for sentence in list(left_out.values())[:5]:
        print(f"left out: {sentence}", file=sys.stderr)
    if left_out:
        print(f"{len(left_out)} questions {where} are left out.")
    kept = corpus.select(lambda name: name not in left_out)
    if not len(kept):
        raise UserError(f"No question {where} is left: {next(iter(left_out.values()))}")
    return kept


def _words(learn):
    """The texts of all stories, each sentence once, and of all questions."""
    return {sentence for story in learn.stories for sentence in story.split("\n")} | set(learn.texts)


def _answers(learn, config):
    """The answers of the list that a model chooses from; none where it does not."""
    from zoo.families.question_answering.corpus import answer_counts

    return sorted(answer_counts(learn)) if config.answers == "list" else []


def _vocabulary(config, learn, options):
    from zoo.families.question_answering.vocabulary import QuestionVocabulary
    from zoo.text.words import Words

    words = Words.learn(sorted(_words(learn)), options.minimum_count)
    answers = _answers(learn, config)
    if config.answers == "list" and len(answers) < 2:
        raise UserError(
            f"All questions to learn from have the answer {answers[0]!r}; give some with another."
        )
    return QuestionVocabulary(words, answers)


def _with_words(task, learn, options):
    """The preset, with the words of what is learned that it lacks, where it takes no unknown ones."""
    from zoo.families.question_answering.vocabulary import QuestionVocabulary

    missing = sorted({word for text in _words(learn) for word in task.vocabulary.strange(text)})
    if not missing or task.config.word_dropout:
        return task
    print(f"{len(missing)} words that {options.preset} lacks are learned, too.")
    words = task.vocabulary.words.extended(missing)
    return task.with_vocabulary(QuestionVocabulary(words, task.vocabulary.labels))


def _validation(task, check):
    """The function called after each epoch."""

    def validation():
        scores = task.reader.evaluate(check)
        few = check.sample(3)
        items = [
            {"question": text, "context": story.split("\n")}
            for text, story in zip(few.texts, few.stories, strict=True)
        ]
        found = task.predict(items, details=True, errors="return")
        said = [str(one) if isinstance(one, UserError) else one.line.replace("\t", " ") for one in found]
        tasks = {f"error_{name}": 1 - one["accuracy"] for name, one in scores["tasks"].items()}
        return {
            "error": 1 - scores["accuracy"],
            "f1": scores["f1"],
            **(tasks if 1 < len(tasks) <= 30 else {}),
            "examples": [
                (f"{text} {answer}", one)
                for text, answer, one in zip(few.texts, few.answers, said, strict=True)
            ],
        }

    return validation


if __name__ == "__main__":
    command_line.command(main)
