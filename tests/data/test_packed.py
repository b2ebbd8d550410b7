"""Lines packed into one file by other programs."""

import io
import json

import h5py
import numpy as np
import pyarrow
import pytest
from PIL import Image

from zoo.data.lines import read_pairs
from zoo.data.packed import located
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import load_lines

TEXTS = ["naïve", "line two"]


def pixels(width=60):
    image = np.full((24, width), 230, np.uint8)
    image[6:18, 4 : width - 4 : 2] = 20
    return image


def png(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def save_arrow(path, texts=TEXTS):
    """As ``ketos compile`` writes it: a column of structs, and metadata on them."""
    kind = pyarrow.struct([("text", pyarrow.string()), ("im", pyarrow.binary())])
    schema = pyarrow.schema([("lines", kind)], {b"lines": json.dumps({"type": "kraken_recognition_bbox"})})
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, schema) as writer:
        for text in texts:  # a batch each
            rows = pyarrow.array([{"text": text, "im": png(pixels(10 * len(text)))}], kind)
            writer.write(pyarrow.record_batch([rows], schema=schema))


def save_hdf5(path, texts=TEXTS):
    """As Calamari writes it: arrays of any length, and a codec from numbers to characters."""
    codec = sorted(set("".join(texts)))
    images = [pixels(10 * len(text)) for text in texts]
    with h5py.File(path, "w") as file:
        kinds = {"images": np.uint8, "transcripts": np.int32}
        made = {
            name: file.create_dataset(name, (len(texts),), h5py.vlen_dtype(kinds[name])) for name in kinds
        }
        for i, (image, text) in enumerate(zip(images, texts, strict=True)):
            made["images"][i] = image.ravel()
            made["transcripts"][i] = [codec.index(character) for character in text]
        file["images_dims"] = [image.shape for image in images]
        file["codec"] = [ord(character) for character in codec]


SAVE = {"lines.arrow": save_arrow, "lines.h5": save_hdf5}


@pytest.mark.parametrize("name", SAVE)
def test_lines_of_one_file(name, tmp_path):
    SAVE[name](tmp_path / name)
    found, label = located(str(tmp_path / name))
    for path in (found, tmp_path):
        read = list(read_pairs(path, skipped := []))
        assert skipped == [] and label == "lines"
        assert [(line, text) for line, _, text in read] == [
            ("lines/000001", "naïve"), ("lines/000002", "line two")
        ]  # fmt: skip
        np.testing.assert_array_equal(read[1][1][:, :, 0], pixels(80))


def test_as_a_corpus(tmp_path):
    save_arrow(tmp_path / "a.arrow")
    lines = load_lines([str(tmp_path / "a.arrow")])
    assert lines.names == ["a/a/000001", "a/a/000002"] and lines.texts == TEXTS


@pytest.mark.parametrize("name", SAVE)
def test_damaged_files_are_told(name, tmp_path):
    SAVE[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert list(read_pairs(tmp_path, skipped := [])) == []
    assert len(skipped) == 1 and name in skipped[0] and "again." in skipped[0]
    with pytest.raises(UserError, match=name):
        load_lines([str(tmp_path / name)])


def test_files_of_something_else(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = np.zeros(3)
    table = pyarrow.table({"a": [1]})
    with (
        pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as file,
        pyarrow.ipc.new_file(file, table.schema) as w,
    ):
        w.write_table(table)
    assert list(read_pairs(tmp_path, skipped := [])) == []
    assert ["has no lines as" in sentence for sentence in skipped] == [True, True]
