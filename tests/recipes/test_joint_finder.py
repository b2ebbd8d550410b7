"""An encoder that finds joints in single frames: what it learns, weights that a captioner can begin with."""

import numpy as np
import pytest

from recipes import joint_finder
from recipes.moving_skeletons import TABLE, Table, film
from zoo.errors import UserError
from zoo.layers.encoders import load_weights, make_encoder

ENCODER = "ConvNet(filters=(8, 20), strides=(4, 2))"


@pytest.fixture(scope="module")
def found():
    random = np.random.default_rng(1)
    places = random.normal(0, 0.3, (1, 20, 3)) + random.normal(0, 0.05, (30, 20, 3))
    return [("moves/ann/a", "bend", places), ("moves/ben/b", "bend", places[::-1])]


def test_joints_of_mirrored_figures_change_sides(found, monkeypatch):
    """Of a figure and of its mirror image, the right hand is where a right hand seems to be."""
    table, sides = Table.read(TABLE), []

    def filmed(random, table, places, take, grounds):
        sides.append(take.mirror)
        spots = np.zeros((9, 20, 2))
        spots[:, table.joints.index("left hand" if take.mirror else "right hand")] = 14, 42
        return np.zeros((9, 56, 56, 3), "uint8"), spots

    assert film(np.random.default_rng(1), table, found[0][2], joint_finder.Take())[1].shape[1:] == (20, 2)
    monkeypatch.setattr(joint_finder, "film", filmed)
    frames, places = joint_finder.stills(np.random.default_rng(1), table, found[:1], 2, [])
    assert sides == [False, True] and frames.shape == (16, 56, 56, 3) and places.shape == (16, 40)
    hand = table.joints.index("right hand")
    assert (places[:, hand] == 0.5).all() and (places[:, 20 + hand] == -0.5).all()
    assert (np.delete(places, (hand, 20 + hand), 1) == -1).all()


@pytest.mark.slow
def test_weights_are_what_a_captioner_begins_with(found, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(joint_finder, "recorded", lambda options, table: found)
    path = str(tmp_path / "finder.npz")
    few = ["--data", "moves", "--encoder", ENCODER, "--takes", "2", "--epochs", "1"]
    joint_finder.main([*few, "--hold-out", "/ben/", "--output", path])
    assert "20 joints are found" in capsys.readouterr().out
    encoder = make_encoder(ENCODER, 56)
    load_weights(encoder, ENCODER, path)
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["conv_2.kernel"], np.asarray(encoder.get_layer("conv_2").kernel))
    with pytest.raises(UserError, match="matches all of the 2 sequences"):
        joint_finder.main([*few, "--hold-out", "moves", "--output", path])
    with pytest.raises(UserError, match="ends in .npz"):
        joint_finder.main([*few, "--output", "finder.h5"])
    with pytest.raises(UserError, match="it gives 8 features; let it give 20 or more"):
        joint_finder.main([*few[:2], "--encoder", "ConvNet(filters=(8,), strides=(8,))", "--output", path])
