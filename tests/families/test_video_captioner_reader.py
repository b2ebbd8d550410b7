"""The reader of videos: on an engine that tells how light a video becomes, and from the command."""

import json
import re
import sys

import numpy as np
import pytest
from helpers import filmed, python
from PIL import Image

from zoo import cli
from zoo.contract.descriptions import MAX_LENGTH
from zoo.errors import UserError
from zoo.families.video_captioner import plot
from zoo.families.video_captioner.network import VideoCaptioner, VideoCaptionerConfig
from zoo.families.video_captioner.reader import VideoReader
from zoo.plots.sheets import GAP, LINE, SIDE
from zoo.text.words import Words

CONFIG = {"frame_size": 16, "frames": 6, "features": 0, "beam_width": 3, "length_penalty": 1.0}
WORDS = Words(["becomes", "lighter", "darker"])


class Engine:
    """Says whether a video becomes lighter, by its first and last frame, and looks at these two."""

    def __init__(self):
        self.calls = []

    def __call__(self, inputs):
        self.calls.append(inputs)
        seen, lengths = inputs["video" if "video" in inputs else "features"], inputs["lengths"]
        assert lengths.dtype == np.int32 and len(lengths) == len(seen)
        batch, width = len(seen), inputs["beam_width"].item()
        tokens = np.full((batch, width, MAX_LENGTH), Words.PAD, np.int32)
        attention = np.zeros((batch, MAX_LENGTH, seen.shape[1]), np.float32)
        for i, length in enumerate(lengths):
            assert not seen[i, length:].any()
            way = "lighter" if seen[i, length - 1].mean() > seen[i, 0].mean() else "darker"
            tokens[i, :, :2], tokens[i, :, 2] = WORDS.encode(f"becomes {way}"), Words.END
            attention[i, 0, 0] = attention[i, 1, length - 1] = 1
        scores = -np.arange(batch * width, dtype=np.float32).reshape(batch, width) % width
        return {
            "tokens": tokens, "token_lengths": np.full((batch, width), 2, np.int32), "scores": scores,
            "attention": attention, "sampled_tokens": tokens[:, 0], "sampled_scores": scores[:, 0],
            "sampled_lengths": np.full(batch, 2, np.int32),
        }  # fmt: skip


def reader(**config):
    return VideoReader(Engine(), CONFIG | config, WORDS, threads=2)


def clip(frames, lighter=True):
    shades = np.linspace(20, 240, frames).astype("uint8")[:: 1 if lighter else -1]
    return np.tile(shades[:, None, None, None], (1, 20, 24, 3))


def test_videos_of_several_lengths_keep_their_order():
    reads, random = reader(), np.random.default_rng(0)
    given = [(int(random.integers(2, 30)), bool(random.integers(2))) for _ in range(40)]
    found = reads([clip(*one) for one in given], details=True)
    for (frames, lighter), one in zip(given, found, strict=True):
        assert one.text == f"becomes {'lighter' if lighter else 'darker'}"
        assert one.attention.shape == (2, min(frames, 6)) and one.attention[1, -1] == 1
    assert max(len(call["lengths"]) for call in reads.run.calls) <= VideoReader.most
    assert reads(clip(9, False)) == ["becomes darker"]
    assert reads(clip(9), temperature=1, seed=0) == ["becomes lighter"]
    bad = [clip(3), clip(1), b"", clip(4, False)]
    *_, error, last = reads(bad, errors="return")
    assert isinstance(error, UserError) and last == "becomes darker"
    with pytest.raises(UserError, match="video 2: it has one frame"):
        reads(bad)


def test_features():
    reads = reader(features=3)
    assert reads(np.arange(30.0).reshape(10, 3)) == ["becomes lighter"]
    assert reads.run.calls[0]["features"].shape == (1, 6, 3)
    with pytest.raises(UserError, match=r"\[frames, 3\]"):
        reads(np.zeros((10, 4)))
    with pytest.raises(UserError, match="features of frames nothing can be drawn"):
        reads.picture([np.zeros((10, 3))], "x.png")


def test_pictures(tmp_path):
    reads = reader(frames=12)
    reads.picture([clip(12), clip(5)], tmp_path / "two.png")
    assert Image.open(tmp_path / "two.png").size == (GAP + 2 * (SIDE + GAP), SIDE + LINE + 2 * GAP)
    reads.picture(clip(12), tmp_path / "one.png")
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("L")).astype(int)
    assert pixels.shape == (GAP + LINE + SIDE + GAP, GAP + 2 * (SIDE + GAP))
    third = SIDE // 3
    places = [(GAP + LINE + third * row + 40, third * column + 40) for row in range(3) for column in range(3)]
    first, last = ([pixels[y, GAP + i * (SIDE + GAP) + x] for y, x in places] for i in range(2))
    assert first[0] == 20 and last[8] == 240  # which are looked at; the others are darkened
    assert max(first[1:]) < 65 and max(last[:8]) < 65
    assert plot._of_shown(np.ones(20) / 20).sum() == pytest.approx(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "task"
    config = VideoCaptionerConfig(
        encoder="ConvNet(filters=(4,), strides=(4,))", frame_size=16, frames=4, frame_units=4, read_units=4,
        units=8, embedding=4,
    )  # fmt: skip
    VideoCaptioner(config, WORDS).save(folder)
    return str(folder)


@pytest.fixture
def videos(tmp_path):
    """A GIF, a folder of frames, an array."""
    pictures = [Image.fromarray(frame) for frame in filmed()]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    (tmp_path / "b").mkdir()
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / "b" / f"{i}.png")
    np.save(tmp_path / "c.npy", filmed())
    return tmp_path


def test_the_command(model, videos, capsys):
    """A folder of videos is its videos; one of images is one video."""
    assert cli.main(["predict", model, str(videos), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["input"] for one in shown] == [str(videos / name) for name in ("a.gif", "b", "c.npy")]
    assert cli.main(["predict", model, str(videos / "b"), "--format", "tsv"]) == 0
    assert capsys.readouterr().out.startswith(f"{videos / 'b'}\t")


def test_what_cannot_be_read_is_one_sentence(model, videos, capsys):
    Image.new("L", (20, 20)).save(videos / "one.gif")
    (videos / "broken.gif").write_bytes((videos / "a.gif").read_bytes()[:30])
    (videos / "empty").mkdir()
    (videos / "unequal").mkdir()
    for i in range(3):
        Image.new("L", (20, 20 + i)).save(videos / "unequal" / f"{i}.png")
    np.save(videos / "long.npy", np.zeros((100_000, 8, 8), "uint8"))
    np.save(videos / "none.npy", np.zeros((0, 8, 8, 3), "uint8"))
    np.save(videos / "pickle.npy", np.array([{}]), allow_pickle=True)
    problems = {
        "one.gif": "it has one frame", "broken.gif": "animation is damaged", "empty": "this folder is empty",
        "unequal": "of unequal size", "long.npy": "more than 10,000 frames",
        "none.npy": "there is no frame in it", "pickle.npy": "no array can be read",
        "gone.mp4": "cannot be read",
    }  # fmt: skip
    for name, problem in problems.items():
        assert cli.main(["predict", model, str(videos / name)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and re.fullmatch(f"zoo: .*{problem}.*\n", err) and name in err
    assert cli.main(["predict", model, str(videos / "one.gif"), str(videos / "a.gif")]) == 3


def test_reading_loads_neither_keras_nor_tensorflow():
    program = "import sys, zoo.families.video_captioner.reader; print({*sys.argv} & {*sys.modules})"
    found = python(program, "keras", "tensorflow", "av")
    assert found.stdout.strip() == "set()", found.stderr


def test_mp4_without_pyav(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    assert cli.main(["predict", model, str(tmp_path / "a.mp4")]) == 2
    assert re.fullmatch(r'zoo: \S+a\.mp4: .*pip install "seqzoo\[videos\]"\.?\n', capsys.readouterr().err)
