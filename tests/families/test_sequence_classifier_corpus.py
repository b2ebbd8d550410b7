"""Corpora of labelled sequences, as they lie on disks."""

import io
import tarfile
import zipfile

import numpy as np
import pytest

from zoo.errors import UserError
from zoo.families.sequence_classifier.corpus import load_sequences, read_sequences

NAN = float("nan")
VALUES = np.arange(24, dtype="float32").reshape(4, 3, 2)
ROWS = [("a1", "anna", "walk"), ("a2", "anna", "run"), ("b1", "ben", "walk"), ("b2", "ben", "run")]


def csv_of(values, header="x,y\n"):
    return header + "".join(",".join(map(str, row)) + "\n" for row in values)


def write(folder, labels=True, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for (id_, _, _), values in zip(ROWS, VALUES, strict=True):
        (folder / f"{id_}.csv").write_text(csv_of(values))
    if labels:
        rows = [("id", "subject", "label"), *ROWS]
        (folder / "labels.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return folder


def read(path, columns=None):
    skipped = []
    return list(read_sequences(path, skipped, columns)), skipped


def check(found, subjects=True):
    assert [one.label for one in found] == ["walk", "run", "walk", "run"]
    for one, values in zip(found, VALUES, strict=True):
        np.testing.assert_array_equal(one.values, values)
        assert list(one.channels or ["x", "y"]) == ["x", "y"]
    if subjects:
        assert [one.subject for one in found] == ["anna", "anna", "ben", "ben"]


def test_a_table_of_labels_beside_the_sequences(tmp_path):
    folder = write(tmp_path / "moves")
    check(read(folder)[0])
    with tarfile.open(tmp_path / "moves.tar.gz", "w:gz") as tar:
        tar.add(folder, "inside/moves")
    with zipfile.ZipFile(tmp_path / "moves.zip", "w") as packed:
        for path in folder.iterdir():
            packed.write(path, path.name)
    for name in ("moves.tar.gz", "moves.zip"):
        found, skipped = read(tmp_path / name)
        check(found)
        assert not skipped
    (folder / "labels.tsv").rename(folder / "what_they_did.tsv")
    check(read(folder)[0])
    table = (folder / "what_they_did.tsv").read_text().replace("a1", "a1.csv").replace("id\t", "Aufnahme\t")
    (folder / "what_they_did.tsv").write_text(table)
    check(read(folder, {"id": "Aufnahme"})[0])
    corpus = load_sequences(tmp_path / "moves.zip")
    assert corpus.names[:2] == ["moves/anna/a1", "moves/anna/a2"] and corpus.lengths.tolist() == [3] * 4
    assert corpus.channels[0] == ("x", "y") and corpus.labels == ["walk", "run", "walk", "run"]
    ((inputs, labels),) = corpus.chunks(9)
    assert labels[1] == "run" and inputs[1][0] == ["x", "y"]
    np.testing.assert_array_equal(inputs[1][1], VALUES[1])


def test_a_folder_for_each_label(tmp_path):
    folder = write(tmp_path / "all", labels=False)
    for id_, _, label in ROWS:
        (tmp_path / "moves" / label).mkdir(parents=True, exist_ok=True)
        (folder / f"{id_}.csv").rename(tmp_path / "moves" / label / f"{id_}.csv")
    found, skipped = read(tmp_path / "moves")
    assert [one.label for one in found] == ["run", "run", "walk", "walk"] and not skipped


def test_bad_items_are_skipped_and_named(tmp_path):
    folder = write(tmp_path / "moves")
    (folder / "a1.csv").write_text("")
    (folder / "a2.csv").write_text("x,y\n1,two\n")
    (folder / "extra.csv").write_text(csv_of(VALUES[0]))
    with (folder / "labels.tsv").open("a") as file:
        file.write("c1\tcleo\twalk\n")
    corpus = load_sequences(folder)
    assert corpus.names == ["moves/ben/b1", "moves/ben/b2"]
    told = "\n".join(corpus.skipped)
    for part in ("a1.csv: there is no row", "'two' is no number", "extra.csv has no label", "c1 has a label"):
        assert part in told
    assert len(corpus.skipped) == 4


@pytest.mark.parametrize("ids", [True, False])
def test_one_long_table(tmp_path, ids):
    lines = ["time,id,who,what,x,y,note"]
    for (id_, subject, label), values in zip(ROWS, VALUES, strict=True):
        lines += [f"{t},{id_},{subject},{label},{x},{y},hm" for t, (x, y) in enumerate(values)]
    text = "\n".join(lines).replace("id", "nr", not ids).replace("who", "subject").replace("what", "activity")
    path = tmp_path / "log.csv"
    path.write_text(text if ids else text.replace(",note", "").replace(",hm", ""))
    found, skipped = read(path)
    if not ids:  # each run of one label is a sequence; the ids, no numbers, are left out
        assert "nr left out, no numbers" in skipped[0]
    check(found)
    if ids:
        path.write_text(text.replace("0,a1,anna,walk,0.0", "0,a1,anna,run,0.0"))
        found, skipped = read(path)
        assert len(found) == 3 and "a1 has the label 'walk' and before it 'run'" in skipped[0]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    lists = {
        "id": [row[0] for row in ROWS],
        "subject": [row[1] for row in ROWS],
        "label": [r[2] for r in ROWS],
    }
    lists |= {name: [values[:, i].tolist() for values in VALUES] for i, name in enumerate("xy")}
    parquet.write_table(pyarrow.table(lists), tmp_path / "a.parquet")
    check(read(tmp_path / "a.parquet")[0])
    steps = {name: np.repeat(lists[name], 3) for name in ("id", "subject", "label")}
    steps |= {name: VALUES[..., i].ravel() for i, name in enumerate("xy")}
    parquet.write_table(pyarrow.table(steps), tmp_path / "b.parquet")
    check(read(tmp_path / "b.parquet")[0])


def test_npz(tmp_path):
    labels, subjects = [row[2] for row in ROWS], [row[1] for row in ROWS]
    np.savez(tmp_path / "a.npz", X=VALUES, y=labels, subjects=subjects, channels=["x", "y"])
    check(read(tmp_path / "a.npz")[0])
    padded = np.concatenate([VALUES, np.full((4, 2, 2), NAN, "float32")], 1)
    np.savez(tmp_path / "b.npz", X=padded, y=np.arange(4))
    found, _ = read(tmp_path / "b.npz")
    assert [one.label for one in found] == list("0123") and [len(one.values) for one in found] == [3] * 4
    for name, arrays in {
        "shapes": {"X": VALUES, "y": labels[:2]},
        "nothing": {"a": VALUES},
        "object": {"X": np.array([1, None], object), "y": labels[:2]},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError, match="give X|save arrays of numbers"):
            read(tmp_path / f"{name}.npz")


def test_ts_files(tmp_path):
    head = "@problemName toy\n@timestamps false\n@classLabel true walk run\n@data\n"
    cases = [":".join([",".join(map(str, v.T[0])), ",".join(map(str, v.T[1])), r[2]]) for v, r in
             zip(VALUES, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "toy_TRAIN.ts").write_text(head + "\n".join(cases))
    check(read(tmp_path / "toy_TRAIN.ts")[0], subjects=False)
    corpus = load_sequences(tmp_path / "toy_TRAIN.ts")
    assert corpus.names[0] == "toy_TRAIN/000005" and corpus.channels[0] == ("channel_1", "channel_2")


def test_channels_that_differ(tmp_path):
    from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary

    folder = write(tmp_path / "moves")
    (folder / "a1.csv").write_text("x,z\n1,2\n3,4\n")
    (folder / "b1.csv").write_text(csv_of(VALUES[2][:, ::-1], "y,x\n"))
    corpus = load_sequences(folder)
    kept, skipped = corpus.of_channels(SequenceVocabulary(["x", "y"], ["walk", "run"]))
    assert len(kept) == 3 and "a1: there is no column y; its columns are x, z" in skipped[0]


@pytest.mark.parametrize(
    "files, sentence",
    [
        ({}, "no labelled sequence"),
        ({"a.csv": "x\n1\n"}, "no labelled sequence"),
        ({"labels.tsv": "id\tlabel\na\twalk\n"}, "no labelled sequence"),
        ({"walk/a.csv": "x\none\n"}, "'one' is no number"),
        ({"walk/a.csv": "x\nNaN\nNA\n"}, "no number in it"),
        ({"walk/a.csv": "x\n1\n"}, "has one row"),
    ],
)
def test_where_nothing_can_be_used(files, sentence, tmp_path):
    (tmp_path / "c").mkdir()
    for name, text in files.items():
        (tmp_path / "c" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "c" / name).write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_sequences(tmp_path / "c")


def test_public_sets():
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from zoo.families.sequence_classifier.corpus import _public

    class Toy:
        name = "toy"

        class info:
            features = tfds.features.FeaturesDict({
                "features": tfds.features.Sequence(
                    {"x": np.float32, "y": np.float32, "when": tfds.features.Text()}
                ),
                "gesture": tfds.features.ClassLabel(names=["up", "down"]),
            })  # fmt: skip

    steps = {"x": tf.constant([1.0, 2.0]), "y": tf.constant([3.0, 4.0]), "when": tf.constant(["a", "b"])}
    found = _public(Toy)({"features": steps, "gesture": tf.constant(1, tf.int64)})
    assert found["label"].numpy() == b"down" and found["channels"].numpy() == b'["x", "y"]'
    np.testing.assert_array_equal(found["values"], [[1, 3], [2, 4]])
    Toy.info.features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    with pytest.raises(UserError, match="no sequence of numbers"):
        _public(Toy)


def test_bytes_of_arrays_beside_labels(tmp_path):
    folder = write(tmp_path / "moves")
    for (id_, _, _), values in zip(ROWS, VALUES, strict=True):
        (folder / f"{id_}.csv").unlink()
        file = io.BytesIO()
        np.save(file, values)
        (folder / f"{id_}.npy").write_bytes(file.getvalue())
    check(read(folder)[0])
