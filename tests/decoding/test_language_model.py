"""How a language model is weighed on validation data."""

import numpy as np
import pytest

from zoo.contract.reader import Metric
from zoo.decoding.language_model import read_arpa, tune
from zoo.text.ngrams import build


class _Reader:
    """Its error is least at alpha 0.35 and beta 0.7; each evaluation runs its network on two inputs."""

    metrics = (Metric("cer", "character error rate", "{:.2%}"),)
    greedy = {"decoder": "greedy"}

    def __init__(self, least):
        self.least, self.ran = least, 0
        self.run = self.engine

    def engine(self, inputs):
        self.ran += 1
        return {"log_probs": inputs["image"] + 1}

    def evaluate(self, corpus, decoder, alpha=None, beta=None):
        for image in corpus:
            assert (self.run({"image": np.array([image])})["log_probs"] == image + 1).all()
        error = 0.1 if decoder == "greedy" else self.least + abs(alpha - 0.35) / 10 + abs(beta - 0.7) / 100
        return {"cer": error}


@pytest.mark.parametrize("least, gains", [(0.05, True), (0.2, False)])
def test_the_weights_with_the_least_error(least, gains):
    reader = _Reader(least)
    tuned = tune(reader, [3, 5])
    assert (tuned.alpha, tuned.beta, tuned.before) == (0.35, 0.7, 0.1)
    assert tuned.after == pytest.approx(least) and tuned.gains is gains
    assert reader.ran == 4 and reader.run == reader.engine  # twice to weigh, twice greedily
    assert f"error rate 10.00% without the language model, {least:.2%} with it" in str(tuned)
    assert ("leave it out" in str(tuned)) != gains


def test_a_file_that_changes_is_read_again(tmp_path):
    file = tmp_path / "field.arpa"
    for text in ("a b", "a b c d"):
        file.write_text(build([text], 2), encoding="utf-8")
        assert read_arpa(str(file)).vocabulary == text.split()
        assert read_arpa(str(file)) is read_arpa(str(file))
