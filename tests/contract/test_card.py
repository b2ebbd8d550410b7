"""A card is true of one set of weights: figures are never another model's."""

import json

import pytest

import zoo
from export import about
from export.onnx_file import to_onnx
from export.runtime import CONFIDENCE
from zoo import hub
from zoo.contract import card as cards
from zoo.contract import task as tasks
from zoo.contract.calibration import _with
from zoo.text.characters import Vocabulary

FIGURE = {"set": "UW3", "metric": "cer", "value": 0.0072, "before": 0.12, "samples": 96}
CARD = {"description": "Reads.", "licence": "CC0", "figures": [FIGURE], "text": "# mine\n\nRight: 99.28 %\n"}


@pytest.fixture
def loaded(small_reader, tmp_path):
    """A task that was loaded from a folder with figures."""
    task = type(small_reader)(small_reader.config, small_reader.vocabulary, CARD)
    task.set_weights(small_reader.weights())
    task.save(tmp_path / "mine")
    return zoo.load(tmp_path / "mine")


def kept(task, folder):
    """What a task says of itself on the disk, and in an exported file."""
    task.save(folder)
    said = about.of_task(task, "x", {})
    stored = hub.info(folder)
    assert stored.get("figures", []) == said["figures"] and hub.card(folder) == said["card"]
    assert stored["licence"] == said["licence"] and cards.LOADED not in stored
    assert stored.get("made_from", "") == said["made_from"] and stored.get("date", "") == said["date"]
    return said


@pytest.mark.parametrize("int8", [False, True])
def test_saved_again_it_keeps_its_figures(loaded, tmp_path, int8):
    assert kept(loaded, tmp_path / "again")["figures"] == [FIGURE]
    loaded.save(tmp_path / "small", int8=int8)
    assert kept(zoo.load(tmp_path / "small"), tmp_path / "third")["figures"] == [FIGURE]


def changed(task):
    weights = task.weights()
    name = next(name for name in weights if name.startswith("logits/"))
    task.set_weights(weights | {name: weights[name] + 0.01})
    return task


def relabelled(task):
    return task.with_vocabulary(Vocabulary([*task.vocabulary.characters, "λ"], "ltr"))


@pytest.mark.parametrize("by_hand", [changed, relabelled])
def test_without_the_zoos_training_there_are_no_figures(loaded, tmp_path, by_hand):
    said = kept(by_hand(loaded), tmp_path / "hand")
    assert said["figures"] == [] and "99.28" not in said["card"] and said["made_from"] == "mine"
    assert said["description"] == "Taught further by hand from mine; not measured." in said["card"]
    assert said["licence"] == "CC0" and "CC0, inherited from mine" in said["card"]
    again = kept(changed(zoo.load(tmp_path / "hand")), tmp_path / "more")
    assert again["made_from"] == "hand" and again["licence"] == "CC0"


MAPS = {"text": [0.7, 0.4, -0.3]}


@pytest.fixture
def calibrated(loaded, tmp_path):
    """A task that was loaded with a map of confidences."""
    _with(loaded, MAPS).save(tmp_path / "sure")
    return zoo.load(tmp_path / "sure")


def test_saved_again_it_keeps_its_calibration(calibrated, tmp_path):
    calibrated.save(tmp_path / "again")
    assert json.loads(zoo.load(tmp_path / "again").assets[CONFIDENCE]) == MAPS


def test_a_calibration_holds_for_no_other_weights(calibrated, tmp_path, draw_line):
    lines = [draw_line("abc", size=20)]
    (sure,) = calibrated.predict(lines, details=True)
    task = changed(calibrated)
    task.save(tmp_path / "hand")
    assert CONFIDENCE not in hub.info(tmp_path / "hand")["files"]
    assert cards.UNCALIBRATED in hub.card(tmp_path / "hand")
    (here,), (there,) = (one.predict(lines, details=True) for one in (task, zoo.load(tmp_path / "hand")))
    assert here.confidence == pytest.approx(there.confidence, rel=1e-2) != sure.confidence
    new = _with(task, MAPS)  # calibrated anew, it is kept
    new.save(tmp_path / "anew")
    card = hub.card(tmp_path / "anew")
    assert "errors are not known" in card and cards.UNCALIBRATED not in card
    assert json.loads(zoo.load(tmp_path / "anew").assets[CONFIDENCE]) == MAPS
    changed(new).save(tmp_path / "more")
    assert CONFIDENCE not in hub.info(tmp_path / "more")["files"]


@pytest.mark.slow
def test_a_file_has_no_calibration_of_other_weights(calibrated, tmp_path):
    task = changed(calibrated)
    to_onnx(task, tmp_path / "hand.onnx")
    assert CONFIDENCE not in zoo.load(tmp_path / "hand.onnx").reader.assets
    assert CONFIDENCE not in task.assets


def test_a_run_is_called_by_its_folder(loaded, tmp_path):
    loaded.save(tmp_path / "runs/own/best")
    assert tasks.load(tmp_path / "runs/own").card[cards.LOADED]["name"] == "own"


def test_sections():
    text = "# a\n\nb\n\n## Confidence\n\nold\n\n## Licence\n\nc\n"
    assert cards.with_section(text, "Confidence", "new") == text.replace("old", "new")
    assert cards.with_section("# a\n", "Licence", "c") == "# a\n\n## Licence\n\nc\n"
    assert cards.with_section(text, "Licence", "d") == text.replace("\nc\n", "\nd\n")


def test_figures_in_words():
    assert cards.worded(FIGURE, "line_ocr") == "character error rate 0.72% (before 12.00%)"
    assert cards.worded({"metric": "odd", "value": 1.5}, None) == "odd 1.5"
    assert cards.worded({"metric": "cer", "value": "low"}, "line_ocr") == "character error rate low"


def test_days_of_reproducible_builds(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert cards.today() == "1970-01-02"
    json.dumps(cards.derived("a", "b", "c", None))
