"""Tesseract's files: all of them is found, and what is none or damaged is one sentence."""

import struct

import numpy as np
import pytest
from helpers_traineddata import layer, network, traineddata

from zoo.errors import UserError
from zoo.formats.traineddata import read_traineddata

NAMES = [" ", "Joined", "|Broken|0|1", "a", "b"]
CODES = [(0,), (5,), (4,), (1,), (2, 3)]


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "xyz.traineddata"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("int8", [False, True])
def test_all_is_found(write, int8):
    tree, matrices = network(12, 6, np.random.default_rng(0), int8)
    model = read_traineddata(write(traineddata(tree, NAMES, CODES, blank=4)))
    assert model.blank == 4 and model.is_int == int8
    assert model.spellings == dict(zip(CODES, NAMES, strict=True))
    kinds = [one.kind for one in model.network.layers]
    assert kinds == ["Input", "Series", "Maxpool", "XYTranspose", "LSTM", "RTLReversed", "Softmax"]
    found = [matrix for one in flat(model.network) for matrix in one.weights]
    assert len(found) == len(matrices)
    for one, other in zip(found, matrices, strict=True):
        np.testing.assert_allclose(one, other, atol=np.abs(other).max() / 100 if int8 else 1e-6)


def flat(tree):
    yield tree
    for one in tree.layers:
        yield from flat(one)


def test_without_a_recoder_each_unit_is_an_output(write):
    tree, _ = network(12, 5, np.random.default_rng(0))
    model = read_traineddata(write(traineddata(tree, NAMES, blank=4)))
    assert model.spellings[(3,)] == "a"


def test_cut_off_anywhere_it_is_refused(write):
    tree, _ = network(12, 6, np.random.default_rng(0))
    data = traineddata(tree, NAMES, CODES, blank=4)
    for end in [0, 3, 50, *range(200, len(data) - 1, 97)]:
        with pytest.raises(UserError, match=r"xyz.traineddata: .*(damaged|no \.traineddata|has no)"):
            read_traineddata(write(data[:end]))


@pytest.mark.parametrize(("tree", "why"), [
    (layer("Series", 1, 1, inside=[layer("TensorFlow", 1, 1)]), "a layer TensorFlow, which is not known"),
    (b"\x05" + b"\0" * 50, "has the number 5"),
])  # fmt: skip
def test_layers_that_are_not_known_are_named(write, tree, why):
    with pytest.raises(UserError, match=why):
        read_traineddata(write(traineddata(tree, NAMES, CODES)))


def test_layers_inside_one_another_end(write):
    tree = layer("Series", 1, 1)
    for _ in range(60):
        tree = layer("Series", 1, 1, inside=[tree])
    with pytest.raises(UserError, match="without end"):
        read_traineddata(write(traineddata(tree, NAMES)))


def test_other_files(write, tmp_path):
    legacy = struct.pack("<i24q", 24, *(196 if number == 3 else -1 for number in range(24))) + b"shapes"
    with pytest.raises(UserError, match="legacy engine alone"):
        read_traineddata(write(legacy))
    with pytest.raises(UserError, match="no .traineddata of Tesseract"):
        read_traineddata(write(b"\x89PNG\r\n\x1a\n" * 10))
    with pytest.raises(UserError, match="cannot be read"):
        read_traineddata(tmp_path / "none.traineddata")
    large = tmp_path / "large.traineddata"
    with open(large, "wb") as file:
        file.truncate((1 << 28) + 10)
    with pytest.raises(UserError, match="more than 256 MB"):
        read_traineddata(large)
