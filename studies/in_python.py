"""The zoo in Python, from a pandas DataFrame to an exported file: run it cell by cell, or whole.

    python -m studies.in_python

See docs/python.md. It takes half a minute on two cores.
"""

# %% A table of texts and labels, as you may have it; these are made up.
import itertools
import tempfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import export
import zoo

words = {
    "fresh": "crisp ripe sweet juicy tender fragrant".split(),
    "stale": "soggy mouldy sour limp dry rancid".split(),
}
foods = "apple bread salad cheese melon cake".split()
table = pd.DataFrame(
    [
        (f"the {food} was {one} and the {other} {two}", label)
        for label, several in words.items()
        for (food, other), (one, two) in zip(
            itertools.permutations(foods, 2), itertools.permutations(several, 2), strict=True
        )
    ],
    columns=["text", "label"],
)
learn, test = table[table.index % 5 > 0], table[table.index % 5 == 0]


class Told(keras.callbacks.Callback):
    """Any callback of Keras will do; this one shows what they see."""

    def on_epoch_end(self, epoch, logs=None):
        told = [f"{key} {logs[key]:.3f}" for key in ("loss", "val_loss", "error")]
        print(f"  epoch {epoch + 1}: {', '.join(told)}")


def main(epochs=8, folder=None):
    """Fine-tune, measure, take features, export and read again: ``(report, features, what was read)``."""
    folder = Path(folder or tempfile.mkdtemp())

    # %% Read: a str, a list, a pandas Series, a NumPy array, a generator.
    task = zoo.load("sentiment_en")
    print(task.predict(test["text"][:2]), task.predict("a good film"))

    # %% Train it further; it has other labels from now on.
    history = task.finetune(
        learn, epochs=epochs, learning_rate=3e-3, output=folder / "run",
        callbacks=[Told(), keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True)],
    )  # fmt: skip
    print(pd.DataFrame(history)[["epoch", "loss", "val_loss", "error"]])

    # %% Measure it on a table, or on pairs.
    report = task.evaluate(test)
    print(f"accuracy {report['accuracy']:.1%} on {report['texts']} texts that were not learned")

    # %% What the encoder makes of each text, [steps, units], for a model of your own.
    features = task.features(test["text"])
    vectors = np.stack([steps.mean(0) for steps in features])
    print(f"{len(vectors)} vectors of {vectors.shape[1]} numbers")

    # %% One file for other programs, which reads the same.
    export.to_onnx(task, folder / "food.onnx")
    read = zoo.load(folder / "food.onnx").predict(test["text"])
    assert read == task.predict(test["text"])
    return report, features, read


if __name__ == "__main__":
    main()
