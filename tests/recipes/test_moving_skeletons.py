"""Videos of skeletons: where joints are drawn, what is said of them, and what cannot be drawn."""

import csv
import json

import numpy as np
import pytest

from recipes import moving_skeletons
from recipes.moving_skeletons import TABLE, Table, Take, film, mirrored
from zoo.errors import UserError
from zoo.images.videos import read_video

STANDING = {  # right of the picture, up, towards the viewer, in metres
    "head": (0, 0.7, 0), "neck": (0, 0.5, 0), "spine": (0, 0.2, 0), "pelvis": (0, 0, 0),
    "shoulder": (0.2, 0.45, 0), "elbow": (0.25, 0.2, 0), "wrist": (0.27, 0, 0), "hand": (0.27, -0.1, 0),
    "hip": (0.1, -0.05, 0), "knee": (0.1, -0.45, 0), "ankle": (0.1, -0.85, 0), "foot": (0.1, -0.9, 0.1),
}  # fmt: skip


def waving(table, steps=30):
    """float ``[steps, 60]``: someone who waves with the right arm, as MSR-Action3D has it."""
    places = np.empty((steps, len(table.joints), 3))
    for at, joint in enumerate(table.joints):
        side, _, part = joint.rpartition(" ")
        # The right arm of who faces us is on the left of the picture.
        places[:, at] = np.array(STANDING[part]) * [-1 if side == "right" else 1, 1, 1]
    for part, height in (("elbow", 0.6), ("wrist", 0.9), ("hand", 1.0)):
        at = table.joints.index(f"right {part}")
        places[:, at, 1] = height
        places[:, at, 0] = -0.3 + 0.15 * np.sin(np.arange(steps) * 0.8)
    return (places * [-1, 1, -1] + [0.2, 0.1, 3]).reshape(steps, -1)


@pytest.fixture(scope="module")
def table():
    return Table.read(TABLE)


@pytest.fixture
def corpus(tmp_path, table):
    folder = tmp_path / "moves"
    folder.mkdir()
    rows = [("a", "ann", "high arm wave"), ("b", "ben", "draw circle"), ("c", "ben", "juggle")]
    rows.append(("d", "ben", "bend"))
    for name, _, _ in rows:
        np.savetxt(folder / f"{name}.csv", waving(table) * (name != "d"), "%.3f", ",")
    lines = ["id\tsubject\tlabel", *map("\t".join, rows)]
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_of_each_label_a_sentence(table):
    assert len(set(table.sentences.values())) == len(table.sentences) == 20
    assert set(table.backwards) < set(table.sentences)
    for sentence in [*table.sentences.values(), *table.backwards.values()]:
        assert mirrored(mirrored(sentence)) == sentence == sentence.strip()
    circle = table.sentences["draw circle"]
    assert "counterclockwise" in circle and "right" in circle
    assert "left" in mirrored(circle) and "counterclockwise" not in mirrored(circle)
    assert mirrored(table.backwards["draw circle"]) == circle.replace("right", "left")


def test_the_right_arm_is_on_the_left_of_who_looks_on(table):
    places = table.seen(waving(table))
    hand, head = table.joints.index("right hand"), table.joints.index("head")
    for take in (Take(), Take(mirror=True), Take(yaw=0.5, pitch=0.2)):
        frames, spots = film(np.random.default_rng(1), table, places, take)
        assert frames.shape == (16, 56, 56, 3) and frames.dtype == np.uint8 and spots.shape == (16, 20, 2)
        assert spots.min() > 0 and spots.max() < 56
        assert ((spots[:, hand, 0] < spots[:, head, 0]) != take.mirror).all()
        assert (spots[:, hand, 1] < spots[:, head, 1]).all()  # high
        row, column = np.rint(spots[8, head] - 0.5).astype(int)[::-1]
        around = frames[8][[0, 0, 55, 55], [0, 55, 0, 55]].astype(int).mean()  # the ground
        assert abs(frames[8][row, column].astype(int).mean() - around) > 25
    assert np.ptp(film(np.random.default_rng(2), table, places, Take())[1][:, hand, 0]) > 3
    assert len(film(np.random.default_rng(2), table, places, Take(speed=(2.0,)))[0]) == 8


def test_joints_that_were_not_seen(table):
    values = waving(table)
    whole = table.seen(values)
    values[5:9] = 0
    values[20, 3:6] = np.nan
    found = table.seen(values)
    assert len(found) == 26
    np.testing.assert_allclose(found[16, 1], whole[20, 1], atol=1e-6)  # between those before and after
    values[:, 36:39] = 0
    with pytest.raises(UserError, match="right hand is never seen"):
        table.seen(values)
    values[6:] = 0
    with pytest.raises(UserError, match="someone is seen in 5 of its rows"):
        table.seen(values)
    with pytest.raises(UserError, match="57 columns, not x, y, z of 20 joints"):
        table.seen(values[:, :57])


def test_a_corpus(corpus, tmp_path, capsys):
    for name in ("one", "two"):
        moving_skeletons.main(
            ["--data", str(corpus), "--takes", "2", "--reversed", "--output", str(tmp_path / name)]
        )
    said, skipped = capsys.readouterr()
    assert "8 clips, 6 different sentences" in said
    assert "1 with the label juggle, of which the table has no sentence" in skipped
    assert "ben/d: someone is seen in 0 of its rows" in skipped
    rows = dict(list(csv.reader((tmp_path / "one" / "captions.csv").read_text().splitlines()))[1:])
    assert len(rows) == 8 and rows["clips/moves/ann/a_00.gif"] == "someone waves with the right arm held high"
    assert rows["clips/moves/ann/a_01_reversed.gif"] == "someone waves with the left arm held high"
    assert rows["clips/moves/ben/b_01_reversed.gif"].startswith("someone draws a circle counterclockwise")
    for name in rows:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    take = tmp_path / "one" / "clips" / "moves" / "ben" / "b_00"
    forth, back = (read_video(f"{take}{end}.gif", 56, 99) for end in ("", "_reversed"))
    assert np.abs(forth.astype(int) - back[::-1]).mean() < 12
    front = ["--front", "--only", "/ann/", "--output", str(tmp_path / "front")]
    moving_skeletons.main(["--data", str(corpus), *front])
    assert "1 clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"head": "hat"}, "'hat' is none of its joints"),
        ({"up": "x"}, "right, up and near are x, y and z"),
        ({"rate": 0}, "rate is more than 0"),
        ({"sentences": {"bend": ""}}, "each with what is said of it"),
        ({"limbs": [{"chains": [["head", "neck"]]}]}, "width"),
        ({"colour": "red"}, "no object with rate, .* and nothing else"),
        ({"joints": None}, "joints"),
    ],
)
def test_tables_that_cannot_be(change, problem, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(json.loads(TABLE.read_text()) | change))
    with pytest.raises(UserError, match=problem) as raised:
        Table.read(path)
    assert str(path) in str(raised.value)


def test_what_cannot_be(corpus, tmp_path):
    def made(*more):
        moving_skeletons.main(["--data", str(corpus), *more, "--output", str(tmp_path / "clips")])

    with pytest.raises(UserError, match="1 or more"):
        made("--takes", "0")
    with pytest.raises(UserError, match="None of the 1 sequences can be drawn"):
        made("--only", "/ben/c")
    (tmp_path / "table.json").write_text("[1")
    with pytest.raises(UserError, match=r"table\.json: .* write it as msr_action3d\.json is"):
        made("--table", str(tmp_path / "table.json"))
    assert not (tmp_path / "clips").exists()
