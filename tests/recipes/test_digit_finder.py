"""An encoder that finds digits in single frames: its labels, and weights that a captioner can begin with."""

import numpy as np
import pytest

from recipes import digit_finder, moving_digits
from zoo.errors import UserError
from zoo.layers.encoders import load_weights, make_encoder

ENCODER = "ConvNet(filters=(8, 12), strides=(4, 2))"


def test_cells_hold_the_centres_of_digits():
    frames, places = digit_finder.stills(np.random.default_rng(1), moving_digits.written_by("learn"), [], 4)
    assert frames.shape == (20, 56, 56, 3) and len(places) == 20
    found = digit_finder.cells(places, 7, 7)
    assert [(grid > 0).sum() for grid in found] == list(map(len, places)) and found.max() <= 10
    assert digit_finder.cells([[(3, 55.9, 0.0)]], 7, 7)[0, 0, 6] == 4


@pytest.mark.slow
def test_weights_are_what_a_captioner_begins_with(tmp_path, capsys):
    path = str(tmp_path / "finder.npz")
    few = ["--encoder", ENCODER, "--clips", "8", "--epochs", "1"]
    digit_finder.main([*few, "--output", path])
    assert "are told in a single frame" in capsys.readouterr().out
    encoder = make_encoder(ENCODER, 56)
    load_weights(encoder, ENCODER, path)
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["conv_2.kernel"], np.asarray(encoder.get_layer("conv_2").kernel))
    with pytest.raises(UserError, match="ends in .npz"):
        digit_finder.main([*few, "--output", "finder.h5"])
    with pytest.raises(UserError, match="it gives 8 features; let it give 10 or more"):
        digit_finder.main(["--encoder", "ConvNet(filters=(8,), strides=(8,))", "--output", path])


def test_variants_are_of_the_same_digit():
    (eight,) = moving_digits.written_by("learn")[8][:1]
    (found,) = digit_finder.varied(np.random.default_rng(0), [eight[None]], 6)
    assert found.shape == (6, 24, 24) and found.dtype == np.uint8
    assert len(np.unique(found.reshape(6, -1), axis=0)) == 6
    large = np.kron(eight, np.ones((3, 3)))
    assert all(np.corrcoef(large.ravel(), one.ravel())[0, 1] > 0.5 for one in found)
