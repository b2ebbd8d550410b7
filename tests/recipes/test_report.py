"""What a run tells of itself."""

import csv
import types

import pytest

from recipes.training import report


def rows(*scores, **last):
    found = [
        {"epoch": i, "loss": 1 / i, "cer": cer, "left_out": 0, "unstable_steps": 0, "metric": "cer"}
        for i, cer in enumerate(scores, 1)
    ]
    found[-1] |= last
    return found


@pytest.mark.parametrize(
    "history, seconds, wanted",
    [
        (rows(0.25), 10, "epoch 1 of at most 4: cer 25.00%, wer 50.00%, loss 1.0000, about 30 seconds left"),
        (
            rows(0.25, 0.5, 0.125), 600,
            "epoch 3 of at most 4: cer 12.50% (best before 25.00%), wer 50.00%, loss 0.3333, about 10 "
            "minutes left",
        ),
        (
            rows(1.0, left_out=3, unstable_steps=1), 3600,
            "epoch 1 of at most 4: cer 100.00%, wer 50.00%, loss 1.0000, 3 samples without a finite loss, "
            "1 step with a gradient that is not finite, about 3 hours left",
        ),
        (
            rows(0.5, 0.5, 0.5, 0.5, left_out=1), 1,
            "epoch 4 of at most 4: cer 50.00% (best before 50.00%), wer 50.00%, loss 0.2500, 1 sample "
            "without a finite loss",
        ),
    ],
)  # fmt: skip
def test_the_line_of_an_epoch(history, seconds, wanted):
    scores = {"cer": history[-1]["cer"], "wer": 0.5}
    assert report.epoch_line(history, scores, 4, seconds) == wanted


def test_metrics_that_are_no_shares():
    assert report.shown_score("perplexity", 12.3) == "perplexity 12.3000"


def test_the_history_is_written_with_columns_that_came_later(tmp_path):
    history = rows(0.5, 0.25)
    del history[0]["left_out"]  # as of an older version
    report.write_history(tmp_path, history)
    with open(tmp_path / "history.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["left_out"] for row in found] == ["", "0"] and "metric" not in found[0]
    assert [row["cer"] for row in found] == ["0.5", "0.25"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_left_out_is_said(capsys):
    report.dropped({"too long": 3, "the same again": 0, "odd": 1})
    report.dropped({"odd": 0})
    assert (
        capsys.readouterr().out
        == "left out of training: 3 (too long), 1 (odd).\nleft out of training: none.\n"
    )


class Some(list):
    """Samples, each shown twice an epoch."""

    def shown(self):
        return 2 * len(self)


def test_what_a_run_learns_from(capsys):
    network = types.SimpleNamespace(count_params=lambda: 1234)
    task = types.SimpleNamespace(network=network)
    for left_out in (None, 0, 3):
        report.announce(task, Some("abc"), Some("d"), "lines", "5 characters", left_out)
    said = capsys.readouterr().out.splitlines()
    first = "3 lines to learn from (6 an epoch), 1 to validate on"
    last = ". 5 characters, 1,234 weights."
    assert said == [first + last, f"{first}; none left out{last}", f"{first}; 3 left out{last}"]


def test_tensorboard_has_every_number(tmp_path):
    (row,) = rows(0.5)
    report.TensorBoard(tmp_path).write(row)
    (events,) = tmp_path.glob("events.*")
    data = events.read_bytes()
    assert all(name.encode() in data for name in ("loss", "cer", "left_out", "unstable_steps"))
    assert b"metric" not in data.replace(b"metrics", b"")
