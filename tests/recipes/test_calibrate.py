"""Calibrating a model that is there."""

import json

import pytest

import zoo
from recipes import calibrate
from zoo import hub
from zoo.contract import card as cards
from zoo.errors import UserError

TEXTS = """label\ttext
positive\tA warm and wise film.
negative\tIt is dull from start to end.
positive\tWhat a joy to watch.
negative\tThe jokes are tired and the plot is worse.
negative\tA brilliant film, they said.
positive\tNot bad at all.
"""


def test_weights_stay_and_confidence_is_written(tmp_path, capsys):
    (tmp_path / "t.tsv").write_text(TEXTS)
    arguments = ["--data", str(tmp_path / "t.tsv"), "--plot", str(tmp_path / "p.png")]
    calibrate.main(["sentiment_en", *arguments, "--output", str(tmp_path / "mine")])
    assert "calibrated on the 6 samples" in capsys.readouterr().out and (tmp_path / "p.png").stat().st_size
    old, new = hub.find("sentiment_en"), hub.find(str(tmp_path / "mine"))
    assert (old / "weights.safetensors").read_bytes() == (new / "weights.safetensors").read_bytes()
    assert 0 < json.loads((new / "confidence.json").read_text())["power"] < 5
    task = zoo.load(tmp_path / "mine")
    (found,) = task.predict(["A warm and wise film."], details=True)
    assert found.confidence == max(found.probabilities.values())
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_one_changed_by_hand_is_calibrated_again(tmp_path, capsys):
    (tmp_path / "t.tsv").write_text(TEXTS)
    task = zoo.load("sentiment_en")
    task.set_weights({name: value * 0.9 for name, value in task.weights().items()})
    task.save(tmp_path / "hand")
    assert cards.UNCALIBRATED in hub.card(tmp_path / "hand")
    calibrate.main([str(tmp_path / "hand"), "--data", str(tmp_path / "t.tsv")])
    card = hub.card(tmp_path / "hand")
    assert cards.UNCALIBRATED not in card and "## Confidence" in card and "errors are not known" in card
    assert "confidence.json" in hub.info(tmp_path / "hand")["files"]


def test_what_cannot_be_calibrated(tmp_path):
    (tmp_path / "t.txt").write_text("int main(void) { return 0; }\n" * 50)
    with pytest.raises(UserError, match="no confidence to calibrate"):
        calibrate.main(["char_lm_c", "--data", str(tmp_path / "t.txt"), "--output", str(tmp_path / "mine")])
    assert not (tmp_path / "mine").exists()
