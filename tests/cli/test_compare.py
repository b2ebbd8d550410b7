"""``zoo compare``: what runs have in common stands once, what differs in the table."""

import csv
import io
import json

import pytest

from zoo.cli import main


def write_run(folder, rate, errors, preset="sentiment_en", recipe="text_classifier", data="a.tsv"):
    folder.mkdir()
    settings = {"recipe": recipe, "action": "finetune", "preset": preset, "data": data}
    training = {"training": {"learning_rate": rate, "epochs": len(errors) - 1}}
    (folder / "run.json").write_text(json.dumps(settings | training))
    rows = [
        ["epoch", "loss", "val_loss", "error", "seconds", "samples_per_second"],
        [0, "", "", errors[0], "", ""],
    ]
    rows += [[epoch, 1 / epoch, 2 / epoch, error, 30, 50] for epoch, error in enumerate(errors[1:], 1)]
    with open(folder / "history.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(folder)


@pytest.fixture
def runs(tmp_path):
    return [
        write_run(tmp_path / "a", 0.002, [0.25, 0.2, 0.15, 0.18]),
        write_run(tmp_path / "b", 0.001, [0.25, 0.3]),
    ]


def test_a_table_of_text(runs, capsys):
    assert main(["compare", *runs]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split() for line in told[:4]] == [
        ["family", "text_classifier"], ["preset", "sentiment_en"], ["data", "a.tsv"], ["metric", "error"]
    ]  # fmt: skip
    names, first, second = (line.split() for line in told[4:])
    first = dict(zip(names, first, strict=True))
    assert first["best"] == "0.15" and first["best_epoch"] == "2" and first["minutes"] == "1.5"
    assert first["training.learning_rate"] == "0.002" and "0.001" in second


def test_the_best_may_be_what_it_began_with(runs, capsys):
    assert main(["compare", *runs, "--format", "json"]) == 0
    second = json.loads(capsys.readouterr().out)[1]
    assert second["before"] == second["best"] == 0.25 and second["best_epoch"] == 0
    assert main(["compare", *runs, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["epochs"] for row in rows] == ["3", "1"] and rows[0]["val_loss"] == "1.0"


def test_what_cannot_be_compared(runs, tmp_path, capsys):
    other = write_run(tmp_path / "c", 0.1, [0.5, 0.4], recipe="line_ocr")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "run.json").write_text('{"recipe": "line_ocr"}')
    for folder, why in ((other, "no measure in common"), (tmp_path / "d", "no epoch of this run is done")):
        assert main(["compare", runs[0], str(folder)]) == 2
        assert why in capsys.readouterr().err
    assert main(["compare", *runs, "--plot", "a.jpg"]) == 2
    assert "ends in .png" in capsys.readouterr().err
