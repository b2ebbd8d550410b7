"""Language models of characters, and `zoo lm build --characters`."""

import math

import pytest

from zoo import cli
from zoo.errors import UserError
from zoo.text.ngrams import LanguageModel, build
from zoo.text.spelled import WIDTH, build_spelled, check_spelled, spelled


def test_by_hand():
    """As of the words "a ▁ b" and "a": before a stands <s>, before ▁, b and the end one character or two."""
    model = LanguageModel.from_arpa(build_spelled(["a b", "a"], order=2))
    assert model.vocabulary == ["a", "b", "▁"]
    # Kinds of characters before a, b, ▁: 1, before the end: 2; discounts 0.5 and 1; five with both marks.
    rest = (3 * 0.5 + 1) / 5 / 5  # what each of the five gets of what was discounted
    assert model.score([], "b") == pytest.approx(math.log(0.5 / 5 + rest), abs=2e-3)
    assert model.score([], "</s>") == pytest.approx(math.log(1 / 5 + rest), abs=2e-3)
    after_a = (0.5 + 0.5) / 2
    assert model.score(["a"], "▁") == pytest.approx(math.log(0.5 / 2 + after_a * (0.5 / 5 + rest)), abs=2e-3)
    assert model.score(["<s>"], "a") == pytest.approx(math.log(1 / 2 + 1 / 2 * (0.5 / 5 + rest)), abs=2e-3)


def test_all_characters_sum_to_one():
    text = build_spelled(["the cat sat", "on the mat, then", "ſaß"], order=6, limit=60)
    model = LanguageModel.from_arpa(text)
    assert sum(model.counts) <= 60 and model.order > 2
    characters = [*model.vocabulary, "</s>", "ж"]
    for context in ([], ["<s>"], list("the"), ["<s>", *"the", "▁", "c"], ["ж", "t", "h"]):
        total = sum(math.exp(model.score(context, character)) for character in characters)
        assert total == pytest.approx(1, abs=2e-3)


def test_lines_are_spelled():
    assert spelled(["  It  was ", "", "a\u0308b"]) == ["I t ▁ w a s", "ä b"]


def test_a_paragraph_is_many_lines():
    words = [f"word{i}" for i in range(60)]
    found = spelled([" ".join(words), "x" * 300])
    lines = [line.replace(" ", "").replace("▁", " ") for line in found]
    assert [word for line in lines[:-4] for word in line.split()] == words
    assert "".join(lines[-4:]) == "x" * 300 and max(map(len, lines)) <= 2 * WIDTH
    assert all(len(line) > WIDTH // 2 for line in lines)


def test_right_to_left_text_is_turned():
    """Numbers keep their order: as the columns of an image have them."""
    assert spelled(["אב 12", "גד"]) == ["1 2 ▁ ב א", "ד ג"]


def test_a_model_of_words_is_told():
    check_spelled(LanguageModel.from_arpa(build_spelled(["it was"])))
    with pytest.raises(UserError, match="one of words, and lines need one of characters"):
        check_spelled(LanguageModel.from_arpa(build(["it was the best of times"], 2)))


def test_the_command(tmp_path, capsys):
    text, output = tmp_path / "text.txt", tmp_path / "field.arpa.gz"
    text.write_text("It was the best\n\nof times, it was\n", encoding="utf-8")
    arguments = ["lm", "build", "--characters", str(text), "--output", str(output)]
    assert cli.main(arguments) == 0
    size = output.stat().st_size
    assert f"n-grams of 2 lines, {size:,} bytes" in capsys.readouterr().out
    model = LanguageModel.from_arpa(str(output))
    assert model.order == 6 and "▁" in model and "I" in model and "," in model
    assert cli.main([*arguments, "--order", "3", "--limit", "30"]) == 0
    assert sum(LanguageModel.from_arpa(str(output)).counts) <= 30
    text.write_text(" \n", encoding="utf-8")
    assert cli.main(arguments) == 2
    assert f"{text}: there is no text in it" in capsys.readouterr().err
