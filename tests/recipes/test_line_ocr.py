"""What the recipe of lines does besides; its course is tested with the family."""

import types

import numpy as np
import pytest
from PIL import Image

from recipes import line_ocr
from zoo.contract.task import load
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


def test_who_learns_photographs_reads_them(line_folder, tmp_path, capsys):
    def sign():
        clouds = np.random.default_rng(0).integers(0, 256, (4, 60, 3), "uint8")
        return Image.fromarray(clouds).resize((600, 40), Image.Resampling.BICUBIC)

    signs = tmp_path / "signs"
    signs.mkdir()
    for text in line_folder.glob("*.gt.txt"):
        (signs / text.name).write_bytes(text.read_bytes())
        sign().save(signs / text.name.replace(".gt.txt", ".png"))
    small = ["--model.filters", "4,4,4", "--model.units", "4", "--training.epochs", "1"]
    for data in (line_folder, signs):
        line_ocr.main(["train", "--data", str(data), "--output", str(tmp_path / f"run-{data.name}"), *small])
        task = load(tmp_path / f"run-{data.name}")
        assert task.config.photographs is (data == signs)
        assert ("look like photographs" in capsys.readouterr().out) is (data == signs)
        if data == signs:
            task.predict([sign()])
        else:
            with pytest.raises(UserError, match="looks like a photograph"):
                task.predict([sign()])
