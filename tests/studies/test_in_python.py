"""The notebook of docs/python.md runs; training in Python is the recipe's course with Keras's callbacks."""

import csv

import keras
import numpy as np
import pytest
from helpers import own_card

import zoo
from zoo.cli import main
from zoo.errors import UserError

PAIRS = [(f"the {food} is {word}", label) for food in ("bread", "cake", "cheese", "melon", "salad")
         for word, label in (("good", "a"), ("great", "a"), ("bad", "b"), ("awful", "b"))]  # fmt: skip


class Seen(keras.callbacks.Callback):
    def __init__(self, stop=None):
        super().__init__()
        self.began = self.ended = self.batches = 0
        self.epochs, self.stop = [], stop

    def on_train_begin(self, logs=None):
        self.began += 1

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs))
        self.model.stop_training = epoch == self.stop

    def on_train_end(self, logs=None):
        self.ended += 1


@pytest.mark.slow
def test_the_notebook(tmp_path):
    pytest.importorskip("pandas")
    from studies import in_python

    report, features, read = in_python.main(epochs=2, folder=tmp_path)
    assert report["texts"] == len(features) == len(read) == 12
    assert all(one.dtype == np.float32 and one.shape[1] == 256 for one in features)
    assert (tmp_path / "best.keras").is_file() and (tmp_path / "run" / "curve.png").is_file()


def test_one_training_that_a_callback_ends(tmp_path, capsys):
    seen, small = Seen(stop=1), {"units": 8, "embedding": 8}
    run = tmp_path / "run"
    options = {"epochs": 5, "model": small, "validation": PAIRS[:6], "minimum_count": 1}
    learn = [(f"{text} {i} times over", label) for i, (text, label) in enumerate(PAIRS)]
    task, history = zoo.train("text_classifier", learn, output=run, callbacks=[seen], **options)
    assert seen.began == seen.ended == 1 and [epoch for epoch, _ in seen.epochs] == [0, 1]
    assert seen.batches == 2 * 2 and len(history) == 2
    assert {"loss", "val_loss", "error", "macro_f1"} <= seen.epochs[0][1].keys()
    rows = list(csv.DictReader((run / "history.csv").open(encoding="utf-8")))
    assert [float(row["val_loss"]) for row in rows] == pytest.approx([row["val_loss"] for row in history])
    lower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    before = task.weights()
    assert f"The best model is in {run}/best" in capsys.readouterr().out
    rows = task.finetune(learn, callbacks=[lower], epochs=1, validation=PAIRS[:6])  # forgets its folder
    told = capsys.readouterr().out
    assert "give output=FOLDER to keep the run" in told and "best model is in" not in told
    assert [row["epoch"] for row in rows] == [0, 1]
    np.testing.assert_allclose(task.weights()["logits/kernel"], before["logits/kernel"], atol=1e-3)
    card = task.own_card()
    told = "task.finetune(corpus, validation=validation, callbacks=callbacks, epochs=1)"
    assert card["training_command"] == told
    assert card["made_from"] == "run" and card["licence"] == "not stated" and "before" in card["figures"][0]
    card = own_card(run)
    assert "zoo.train('text_classifier', corpus, " in card and "given in Python" in card
    assert [len(one.shape) for one in task.features(["good cake"])] == [2]
    capsys.readouterr()
    assert main(["compare", str(run), str(run), "--plot", str(tmp_path / "a.png")]) == 0
    told = capsys.readouterr().out
    assert "metric   error" in told and "best_epoch" in told and (tmp_path / "a.png").is_file()
    assert main(["compare", str(tmp_path)]) == 2 and "no run folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="learning_rat 1; see the options of `zoo finetune`"):
        task.finetune(learn, learning_rat=1)
