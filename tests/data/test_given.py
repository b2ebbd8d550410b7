"""Tables, pairs and data sets that a program holds become corpora, the same ones the next time."""

import numpy as np
import pytest
from PIL import Image

from zoo import registry
from zoo.data.given import CHECKED, split_of
from zoo.errors import UserError

TEXTS = [("a fine film", "good"), ("a dull film", "bad")]
BAR = Image.fromarray(np.tile(np.uint8([255, 0, 255, 0, 255, 0, 255, 255] * 8), (30, 1)))


def load(family, corpora, **options):
    return registry.load_corpus(family, corpora, {"sampling_rate": 16000}, **options)


@pytest.mark.parametrize("given", [
    TEXTS, iter(TEXTS), [list(pair) for pair in TEXTS],
    [dict(zip(("text", "label"), pair, strict=True)) for pair in TEXTS],
])  # fmt: skip
def test_pairs(given):
    found = load("text_classifier", given)
    assert list(zip(found.texts, found.labels, strict=True)) == TEXTS


def test_the_same_is_the_same_corpus():
    given = registry.given("text_classifier")
    assert given.paths(TEXTS, {}) == given.paths(list(TEXTS), {}) != given.paths(TEXTS[::-1], {})
    assert given.paths("a.tsv", {}) == ["a.tsv"] and given.paths(["a.tsv", "b.tsv"], {}) == ["a.tsv", "b.tsv"]


def test_tables_and_splits():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"Body": ["a fine film", None, "a dull film"], "label": [1, 0, 0]})
    found = load("text_classifier", table, columns={"text": "Body"})
    assert found.labels == ["1", "0"] and len(found.skipped) == 1 and "corpora" not in found.skipped[0]
    splits = {"train": table, "dev": table[:1]}
    assert split_of(splits, CHECKED) is splits["dev"] and split_of(table, CHECKED) is None
    with pytest.raises(UserError, match=r"splits train, dev; give one of them, as corpus\['train'\]"):
        load("text_classifier", splits)


def test_images_in_memory_and_on_the_disk(tmp_path):
    BAR.save(tmp_path / "a.png")
    ways = [BAR, np.asarray(BAR), str(tmp_path / "a.png"), tmp_path / "a.png",
            {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}]  # fmt: skip
    found = load("line_ocr", [(one, "ill") for one in ways] + [(tmp_path / "b.png", "l")])
    assert found.texts == ["ill"] * 5 and len(found.skipped) == 1 and "b.png" in found.skipped[0]
    with pytest.raises(UserError, match="row 1: .*b.png cannot be read"):
        load("line_ocr", [(tmp_path / "b.png", "l")])
    with pytest.raises(UserError, match=r"row 2: .* is no tuple \(image, text\)"):
        load("line_ocr", [(BAR, "l"), (BAR, "l", 3)])


def test_sound_strokes_and_numbers():
    sound = np.sin(np.arange(8000) / 5).astype("float32")
    ways = [((sound, 8000), "one two"), ({"array": sound, "sampling_rate": 16000}, "three")]
    found = load("deep_speech", ways)
    assert [len(one["audio"]) for one in found.dataset().as_numpy_iterator()] == [16000, 8000]
    ink = np.float32([[0, 0, 0], [5, 5, 1], [9, 0, 0], [9, 9, 1]])
    (points,) = (one["points"] for one in load("ink", [(ink, "x")]).dataset().as_numpy_iterator())
    assert points[:, 2].tolist() == [0, 1, 0, 1]
    found = load("sequence_classifier", [(np.ones((5, 2)), "a"), ((["x", "y"], np.ones((4, 2))), "b")][:1])
    assert found.labels == ["a"] and found.channels == [("channel_1", "channel_2")]


@pytest.mark.parametrize("nothing, told", [([], "empty list"), (5, "5 is no corpus"), ([5], "int 5 is no")])
def test_nothing_to_read(nothing, told):
    with pytest.raises(UserError, match=told):
        load("text_classifier", nothing)
