"""Fine-tuning that does not forget: what is learned, what is measured, and a run."""

import csv
import types

import pytest
from helpers import own_card

from recipes import line_ocr
from recipes.training import keeping
from zoo.families.line_ocr.corpus import load_lines


@pytest.fixture
def lines(line_folder):
    return load_lines(line_folder)


@pytest.mark.parametrize("new, shown", [(4, 6), (12, 12), (40, 42)])
def test_half_of_what_is_learned_is_kept(lines, new, shown, monkeypatch):
    """Of 14 old lines some where fewer are new, and each several times where there are more."""
    monkeypatch.setattr(keeping, "ENOUGH", 6)
    old, kept = lines.select(lambda name: "book1" not in name), lines.select(lambda name: "book1" in name)
    few = lines.sample(4).repeated([new // 4] * 4)
    asked = []

    def load(options):
        asked.append((options.data, options.validation, options.hold_out))
        return (few, "check") if options.data == "mine" else (old.sample(14), kept)

    options = types.SimpleNamespace(data="mine", validation="v", hold_out="h", keep=["old"])
    learn, check, found = keeping.corpora(options, load)
    assert learn.shown() == new + shown and (check, found) == ("check", kept)
    assert len(set(learn.names)) == len(learn) == 4 + min(14, shown)
    assert asked == [("mine", "v", "h"), (["old"], None, None)]
    options.keep = None
    assert keeping.corpora(options, load) == (few, "check", None)


def test_the_best_epoch_is_chosen_by_both():
    def measure(samples):
        return lambda: {"cer": samples, "wer": 1.0, "examples": [samples]}

    assert keeping.validation(measure, 0.5, None)() == {"cer": 0.5, "wer": 1.0, "examples": [0.5]}
    scores = keeping.validation(measure, 0.5, 0.25)()
    assert scores.pop("examples") == [0.5] and next(iter(scores)) == "mean_cer"
    assert scores == {"mean_cer": 0.375, "cer": 0.5, "wer": 1.0, "kept_cer": 0.25, "kept_wer": 1.0}


def test_a_run_shows_both(line_folder, tmp_path, capsys):
    small = ["--model.filters", "4,4,4", "--model.units", "4", "--training.epochs", "1"]
    line_ocr.main(["train", "--data", str(line_folder), "--output", str(tmp_path / "old"), *small])
    capsys.readouterr()
    tune = ["finetune", "--preset", str(tmp_path / "old"), "--data", str(line_folder), "--output"]
    line_ocr.main([*tune, str(tmp_path / "new"), "--keep", str(line_folder), "--training.epochs", "1"])
    said = capsys.readouterr().out
    assert "To be kept:" in said and "before training: mean_cer" in said and "%, kept_cer " in said
    card = own_card(tmp_path / "new", tmp_path / "old")
    assert "- learned again, so as not to forget: 18 lines of" in card and card.count("| before | now |") == 2
    with open(tmp_path / "new" / "history.csv", encoding="utf-8") as file:
        *_, row = csv.DictReader(file)
    assert float(row["mean_cer"]) == pytest.approx((float(row["cer"]) + float(row["kept_cer"])) / 2)
