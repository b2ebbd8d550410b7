"""Clips of digits that move: what is drawn is what is said."""

import csv

import numpy as np
import pytest
from PIL import Image

from recipes import moving_digits
from recipes.moving_digits import MOTIONS, STILL, Clip, make_clip, written_by
from zoo.errors import UserError


@pytest.fixture(scope="module")
def inks():
    return written_by("learn")


def clips(inks, count=60):
    return [make_clip(np.random.default_rng((3, i)), inks) for i in range(count)]


def test_sentences_say_what_happens(inks):
    """Of one digit that moves, its centre of mass tells; backwards the sentence is that of the other way."""
    seen = set()
    for clip in clips(inks, 200):
        seen |= {motion for digit in clip.digits for motion in digit.motions}
        again = clip.backwards().backwards()
        assert again.sentence == clip.sentence and np.array_equal(again.frames, clip.frames)
        if len(clip.digits) > 1 or len(clip.digits[0].motions) > 1:
            continue
        (digit,) = clip.digits
        right, down = digit.centre[-1] - digit.centre[0]
        larger = digit.size[-1] / digit.size[0]
        told = {"left": right < -9, "right": right > 9, "up": down < -9, "down": down > 9}
        told |= {"grows": larger > 1.5, "shrinks": larger < 0.7}
        last = clip.sentence.split()[-1]
        if clip.sentence.split()[2] in ("moves", "grows", "shrinks"):
            assert told[last] and sum(told.values()) == 1
            other = clip.backwards().sentence.split()[-1]
            assert {last, other} in ({"left", "right"}, {"up", "down"}, {"grows", "shrinks"})
        else:
            assert not any(told.values())
    assert seen == set(MOTIONS)


def test_of_each_clip_one_sentence_is_right(inks):
    kinds = {"while": 0, "and then": 0, "": 0}
    for clip in clips(inks):
        if "while" in clip.sentence:
            names = [moving_digits.NAMES[digit.value] for digit in clip.digits]
            first, second = np.argsort([digit.centre[0, 0] for digit in clip.digits])
            words = clip.sentence.split()
            assert words[1] == names[first] and names[second] in words[3:]
            kinds["while"] += 1
        elif "and then" in clip.sentence:
            kinds["and then"] += 1
            if len(clip.digits) > 1:
                assert STILL not in clip.sentence
                first = next(digit for digit in clip.digits if digit.motions[1] == STILL)
                assert clip.sentence.split()[1] == moving_digits.NAMES[first.value]
        else:
            kinds[""] += 1
    assert all(kinds.values())


def test_digits_are_seen_on_their_ground(inks):
    for clip in clips(inks, 20):
        digit = clip.digits[0]
        left, top = np.rint(digit.centre[0] - digit.size[0] / 2).astype(int)
        side = int(digit.size[0])
        box = clip.frames[0][max(0, top) : top + side, max(0, left) : left + side].astype(float)
        assert np.ptp(box.mean(-1)) > 70
    eight = Clip([digit for clip in clips(inks) for digit in clip.digits if digit.value == 8][:1], None)
    assert eight.sentence.startswith("an eight ")


def test_a_corpus(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((90, 120, 3), 90, "uint8")).save(tmp_path / "photos" / "a.png")
    arguments = ["--count", "6", "--part", "test", "--reversed", "--grounds", str(tmp_path / "photos")]
    for name in ("one", "two"):
        moving_digits.main([*arguments, "--output", str(tmp_path / name)])
    rows = list(csv.reader((tmp_path / "one" / "captions.csv").read_text().splitlines()))
    assert rows[0] == ["video", "caption"] and len(rows) == 13 and rows[2][0] == "clips/000000_reversed.gif"
    assert "12 clips" in capsys.readouterr().out
    for name, sentence in rows[1:]:
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes() and len(sentence.split()) >= 3
    first, last = (Image.open(tmp_path / "one" / name) for name, _ in rows[1:3])
    with first, last:
        first.seek(first.n_frames - 1)
        difference = np.abs(np.asarray(first.convert("RGB"), int) - np.asarray(last.convert("RGB"), int))
        assert first.n_frames == last.n_frames and difference.mean() < 12


def test_writers_are_kept_apart():
    spans = list(moving_digits.WRITERS.values())
    assert all(end == begin for (_, end), (begin, _) in zip(spans, spans[1:], strict=False))
    counts = [sum(map(len, written_by(part))) for part in moving_digits.WRITERS]
    assert counts == [1287, 128, 382]


@pytest.mark.parametrize("options, problem", [(["--count", "0"], "1 or more"), (["--grounds"], "image")])
def test_what_cannot_be(options, problem, tmp_path):
    if options[-1] == "--grounds":
        options = [*options, str(tmp_path)]
    with pytest.raises(UserError, match=problem):
        moving_digits.main([*options, "--output", str(tmp_path / "clips")])
