import gzip
import io
import json
import tarfile

import pytest

from zoo.errors import UserError
from zoo.families.question_answering.corpus import load_questions, read_questions, unfit
from zoo.families.question_answering.vocabulary import TEXT_WORDS, QuestionVocabulary
from zoo.text.words import Words

BABI = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Mary took the milk, and the apple.
5 What is Mary carrying? \tmilk,apple\t4 1
1 Ann is in the garden.
2 Where is Ann?\tgarden\t1
"""
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Storks",
            "paragraphs": [
                {
                    "context": "The white stork eats frogs, mice and  fish. It nests on roofs in Spain.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "What does the stork eat?",
                            "answers": [
                                {"text": "frogs, mice and  fish", "answer_start": 21},
                                {"text": "fish", "answer_start": 38},
                            ],
                        },
                        {"id": "2", "question": "Why?", "answers": [], "is_impossible": True},
                        {"id": "3", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 999}]},
                        {"id": "4", "question": "Who?"},
                    ],
                }
            ],
        }
    ],
}
WIKIQA = """QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel
Q1\thow high is it\tD1\tTower\tD1-0\tThe tower is old.\t0
Q1\thow high is it\tD1\tTower\tD1-1\tIt is 90 metres high.\t1
Q2\twho built it\tD1\tTower\tD1-0\tThe tower is old.\t0
"""
TABLE = """context,question,answer
"Ann is here. Bob, too.",Who is here?,Ann
"Ann is here. Bob, too.",Who?,Zoe
"""


def read(path, mode="list", columns=None):
    skipped = []
    return list(read_questions(path, mode, skipped, columns)), skipped


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_babi_text(tmp_path):
    found, skipped = read(written(tmp_path / "qa2_two_train.txt", BABI))
    assert skipped == [] and [one["question"] for one in found][2] == "Where is Ann?"
    first, second, third = found
    assert first["story"] == ["Mary moved to the bathroom.", "John went to the hallway."]
    assert len(second["story"]) == 3 and second["support"] == [2, 0]  # without the question
    assert second["answers"] == ["milk,apple"] and first["answers"] == ["bathroom"]
    assert first["group"] == second["group"] != third["group"] and third["story"] == ["Ann is in the garden."]
    assert [one["name"] for one in found] == ["000001-003", "000001-005", "000002-002"]
    assert {one["task"] for one in found} == {"qa2_two"}


def test_babi_text_that_numbers_who_sees_a_sentence(tmp_path):
    text = "1 Ann came in.\t3\n2 Bob left.\t3 4\n3 Where is Bob?\toutside\t2\n4 Count them\t2\t1 2\n"
    (first, second), skipped = read(written(tmp_path / "tom.txt", text))
    assert first["story"] == ["Ann came in.", "Bob left."] == second["story"] and not skipped
    assert first["answers"] == ["outside"] and second["answers"] == ["2"]


def test_a_folder_a_tar_and_gzip(tmp_path):
    folder, packed = tmp_path / "folder", tmp_path / "some.tar.gz"
    folder.mkdir()
    written(folder / "README.txt", "Notes.\n")
    written(folder / "qa1_a_train.txt", BABI)
    (folder / "qa2_b_train.txt.gz").write_bytes(gzip.compress(BABI.encode()))
    written(folder / "more.csv", TABLE)
    with tarfile.open(packed, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"x/{path.name}")
    for corpus in (folder, packed):
        questions = load_questions(corpus, "list")
        assert len(questions) == 8 and questions.skipped == []
        label = questions.names[0].partition("/")[0]
        assert set(questions.tasks) == {"qa1_a", "qa2_b", label}
        assert len(set(questions.names)) == 8 and len(set(questions.groups)) == 5
    sample = next(iter(questions.dataset().as_numpy_iterator()))
    assert set(sample) == {"text", "story", "answers", "support", "span"}


@pytest.mark.parametrize("lines", [False, True])
def test_squad(tmp_path, lines):
    path = written(tmp_path / "squad.json", json.dumps(SQUAD, indent=1 if lines else None))
    (found,), skipped = read(path, "span")
    assert found["answers"] == ["frogs, mice and fish", "fish"]
    assert found["story"] == ["The white stork eats frogs, mice and fish.", "It nests on roofs in Spain."]
    assert found["span"] == (4, 7) and found["group"] == "0001"
    assert [sentence.partition(" article 1 ")[2] for sentence in skipped] == [
        "has no answer.", "has an answer that is not in its text: 'Rome'.", "lacks 'answers'.",
    ]  # fmt: skip
    (found,), _ = read(path, "sentence")
    assert found["support"] == [0]


def test_candidate_sentences(tmp_path):
    for mode in ("sentence", "list"):
        (found,), skipped = read(written(tmp_path / "w.tsv", WIKIQA), mode)
        assert found["story"] == ["The tower is old.", "It is 90 metres high."] and found["support"] == [1]
        assert found["answers"] == ["It is 90 metres high."] and len(skipped) == 1
        assert "line 4 has no answer" in skipped[0]


def test_tables(tmp_path):
    path = written(tmp_path / "t.csv", TABLE)
    found, skipped = read(path)
    assert [one["answers"] for one in found] == [["Ann"], ["Zoe"]] and skipped == []
    assert found[0]["story"] == ["Ann is here.", "Bob, too."] and found[0]["group"] == found[1]["group"]
    for mode, what in (("span", "not in its text"), ("sentence", "in no sentence")):
        (found,), (sentence,) = read(path, mode)
        assert what in sentence and "'Zoe'" in sentence and "line 3" in sentence
        assert found["span"] == ((0, 0) if mode == "span" else ()) and found["support"] in ([], [0])
    other = written(tmp_path / "o.jsonl", '{"body": "Ann is here.", "ask": "Who?", "answer": "Ann"}\n')
    assert read(other, "list", {"context": "body", "question": "ask"})[0][0]["question"] == "Who?"
    with pytest.raises(UserError, match="there is no column context"):
        load_questions(other, "list")


@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("a.txt", "Just text.\n", "no question in it could be used"),
        ("a.txt", "", "no question in it could be used"),
        ("a.csv", "context,question,answer\n,Who?,Ann\n", "has no context"),
        ("a.csv", "context,question,answer\nAnn.,🙂,Ann\n", "question without words"),
        ("a.csv", "context,question,answer\n...,Who?,Ann\n", "story without words"),
        ("a.txt", "1 Ann is in.\n2 Where?\tin\t7\n", "names a supporting sentence that is not before it"),
        ("a.json", "{}", "no question in it could be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(tmp_path, name, text, problem):
    with pytest.raises(UserError, match=problem):
        load_questions(written(tmp_path / name, text), "list")


def test_bad_lines_are_skipped(tmp_path):
    text = BABI.replace("1 Ann is in the garden.", "Ann, without a number.\n1 Ann is in the garden.")
    found, skipped = read(written(tmp_path / "a.txt", text))
    assert len(found) == 3 and len(skipped) == 1 and "line 6 has no number" in skipped[0]
    path = tmp_path / "b.txt"
    path.write_bytes(BABI.encode() + b"3 Ann \xff left.\n4 Where is Ann?\tgarden\t1\n")
    found, skipped = read(path)
    assert len(found) == 4 and "line 8 is not UTF-8" in skipped[0]


def test_what_is_too_long_is_told(tmp_path):
    rows = ["context,question,answer", "Ann is in.,Who?,Ann", f"{'Ann ' * (TEXT_WORDS + 1)},Who?,Ann"]
    corpus = load_questions(written(tmp_path / "a.csv", "\n".join(rows)), "span")
    vocabulary = QuestionVocabulary(Words.learn(corpus.stories))
    (sentence,) = unfit(corpus, vocabulary, "span").values()
    assert sentence.endswith(f"the text has {TEXT_WORDS + 1:,} words; give one of up to {TEXT_WORDS:,}.")
    assert unfit(corpus, vocabulary, "sentence") == {}


def test_an_empty_tar(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("note.md"), io.BytesIO())
    with pytest.raises(UserError, match="neither a table nor bAbI's text"):
        load_questions(path, "list")
