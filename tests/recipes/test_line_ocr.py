"""The language model that the recipe of lines makes; the course of the recipe is tested with the family."""

import types

import pytest

from recipes import line_ocr
from zoo.decoding import language_model
from zoo.errors import UserError
from zoo.text.ngrams import build
from zoo.text.spelled import build_spelled


def test_what_the_language_model_is_built_of(tmp_path):
    learn = types.SimpleNamespace(texts=["it was", "the best"])
    more, arpa, words = (tmp_path / name for name in ("more.txt", "field.arpa", "words.arpa"))
    more.write_text("of times\n", encoding="utf-8")
    assert line_ocr._language_model([], learn) == build_spelled(learn.texts).encode()
    both = build_spelled([*learn.texts, "of times"]).encode()
    assert line_ocr._language_model([str(more)], learn) == both
    arpa.write_text(build_spelled(["other"]), encoding="utf-8")
    assert line_ocr._language_model([str(arpa)], learn) == arpa.read_bytes()
    words.write_text(build(["it was the best"], 2), encoding="utf-8")
    with pytest.raises(UserError, match="one of words"):
        line_ocr._language_model([str(words)], learn)


def test_it_is_left_out_where_it_does_not_gain(monkeypatch, capsys):
    for gains in (True, False):
        tuned = types.SimpleNamespace(gains=gains)
        monkeypatch.setattr(language_model, "with_language_model", lambda *_, tuned=tuned: ("with", tuned))
        assert line_ocr._weighed("task", b"arpa", None) == ("with" if gains else "task")
    assert line_ocr._weighed("task", None, None) == "task"
    assert capsys.readouterr().out.count("On the lines held out: ") == 2
