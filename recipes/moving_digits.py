"""Handwritten digits that move over textured grounds, with a sentence on what happens: a corpus of videos.

    python -m recipes.moving_digits --count 8000 --output clips
    python -m recipes.moving_digits --part test --count 500 --seed 1 --grounds photos/ --output kept_apart
    python -m recipes.video_captioner train --data clips --output RUN

"a three moves left while a seven bounces up and down", "an eight grows and then moves up": one digit or two,
one thing that happens or two, at once or in turn. Of each clip one sentence alone is right: of two digits
that move at once, the one that is further left in the first frame is named first. Digits that stand still in
a clip in which things happen in turn are named when their turn comes. With `--reversed` each clip is there a
second time, backwards, with the sentence that is right then.

The digits are scikit-learn's (`pip install "seqzoo[sklearn]"`), written by fourteen people; `--part` says
which
of them write: ten to learn from, one to validate on, three to test on. Grounds are made up anew for each
clip; `--grounds` takes half of them from photographs. CORPUS is a folder of GIF files and captions.csv, to be
packed with tar if need be.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from recipes import clips
from recipes.clips import SIDE
from recipes.training import command_line
from zoo.errors import UserError

NAMES = "zero one two three four five six seven eight nine".split()
# Where one person's digits end and the next one's begin: each begins with 0 to 9, twice or thrice.
WRITERS = {"learn": (0, 1287), "validate": (1287, 1415), "test": (1415, 1797)}
BACKWARDS = {
    "moves left": "moves right",
    "moves up": "moves down",
    "grows": "shrinks",
    "circles clockwise": "circles counterclockwise",
}
BACKWARDS |= {after: before for before, after in BACKWARDS.items()}
STILL = "stands still"
MOTIONS = (*BACKWARDS, "bounces up and down", "swings from side to side", "blinks", STILL)
_TRIES = 400


@dataclasses.dataclass
class Digit:
    """One digit of a clip, and what it does.

    Attributes:
        value: 0 to 9.
        motions: what happens to it, of ``MOTIONS``, one after the other: one or two.
        centre: float ``[frames, 2]``, x and y in pixels.
        size: float ``[frames]``, its side in pixels.
        visible: bool ``[frames]``.
        ink: uint8 ``[8, 8]``, how it was written, 0 to 255.
        colour: its RGB values.
    """

    value: int
    motions: tuple
    centre: np.ndarray
    size: np.ndarray
    visible: np.ndarray
    ink: np.ndarray
    colour: np.ndarray

    def backwards(self) -> Digit:
        return dataclasses.replace(
            self,
            motions=tuple(BACKWARDS.get(motion, motion) for motion in reversed(self.motions)),
            centre=self.centre[::-1], size=self.size[::-1], visible=self.visible[::-1],
        )  # fmt: skip


@dataclasses.dataclass
class Clip:
    """Digits over a ground.

    Attributes:
        digits: list of ``Digit``, one or two.
        frames: uint8 ``[frames, SIDE, SIDE, 3]``.
    """

    digits: list
    frames: np.ndarray

    @property
    def sentence(self) -> str:
        """What happens, in the only words that are right."""
        if len(self.digits) == 1:
            (digit,) = self.digits
            return f"{_named(digit)} {' and then '.join(digit.motions)}"
        if len(self.digits[0].motions) == 1:
            first, second = sorted(self.digits, key=lambda digit: digit.centre[0, 0])
            return f"{_named(first)} {first.motions[0]} while {_named(second)} {second.motions[0]}"
        first, second = sorted(self.digits, key=lambda digit: digit.motions[0] == STILL)
        return f"{_named(first)} {first.motions[0]} and then {_named(second)} {second.motions[1]}"

    def backwards(self) -> Clip:
        return Clip([digit.backwards() for digit in self.digits], self.frames[::-1])


def _named(digit):
    name = NAMES[digit.value]
    return f"an {name}" if name == "eight" else f"a {name}"


# === What happens ===


def make_clip(random: np.random.Generator, inks: Sequence[np.ndarray], grounds: Sequence = ()) -> Clip:
    """A clip in which something happens.

    Args:
        random: a ``numpy.random.Generator``.
        inks: of each digit, uint8 ``[examples, 8, 8]``.
        grounds: paths of photographs, from which half of the grounds are taken; or none.
    """
    for _ in range(_TRIES):
        digits = _digits(random, inks)
        if _can_be_told(digits):
            break
    ground = clips.make_ground(random, grounds)
    light = ground.mean()
    for digit in digits:
        digit.colour = clips.colour(random, light)
    frames = np.stack([_frame(ground, digits, at) for at in range(len(digits[0].size))])
    return Clip(digits, clips.with_grain(random, frames))


def _digits(random, inks):
    kind = random.choice(["one", "in turn", "both", "both in turn"], p=[0.15, 0.25, 0.35, 0.25])
    alone = kind in ("one", "in turn")
    if kind in ("one", "both"):
        spans = [int(random.integers(13, 18))]
        plans = [(str(random.choice(MOTIONS)),) for _ in range(1 if alone else 2)]
    else:
        spans = [int(span) for span in random.integers(7, 10, 2)]
        if alone:
            plans = [tuple(map(str, random.choice(MOTIONS, 2, replace=False)))]
        else:
            happening = [str(motion) for motion in random.choice(MOTIONS[:-1], 2)]
            plans = [(happening[0], STILL), (STILL, happening[1])]
    values = random.choice(10, len(plans), replace=False)
    digits = []
    for value, motions in zip(values, plans, strict=True):
        ink = inks[value][random.integers(len(inks[value]))]
        path, size, visible = _path(random, motions, spans, 20 if alone else 17)
        digits.append(Digit(int(value), motions, path, size, visible, ink, None))
    return digits


def _can_be_told(digits):
    """Whether a digit stays within the frame, apart from the other, and which is further left is plain."""
    for digit in digits:
        half = digit.size[:, None] / 2
        if (digit.centre < half).any() or (digit.centre > SIDE - half).any():
            return False
    if len(digits) == 1:
        return True
    one, other = digits
    apart = np.linalg.norm(one.centre - other.centre, axis=1)
    across = np.abs(one.centre[:, 0] - other.centre[:, 0])
    in_turn = len(one.motions) > 1
    return bool((apart > 0.45 * (one.size + other.size)).all() and (in_turn or across[[0, -1]].min() > 9))


def _path(random, motions, spans, size):
    """Where a digit is in each frame, how large, and whether it is seen; ``spans`` are frames a motion."""
    centres, sizes, visible = [], [], []
    at, scale = np.zeros(2), 1.0
    for motion, span in zip(motions, spans, strict=True):
        along = np.linspace(0, 1, span)[:, None]
        moved, scales, seen = _move(random, motion, along, span)
        centres.append(at + moved)
        sizes.append(scale * scales)
        visible.append(seen)
        at, scale = centres[-1][-1], sizes[-1][-1]
    centre, sizes = np.concatenate(centres), np.concatenate(sizes)
    size = sizes / sizes.max() * size * random.uniform(0.85, 1.15)
    half = size[:, None] / 2
    low, high = (half - centre).max(0), (SIDE - half - centre).min(0)  # keeps it within the frame
    start = random.uniform(low, np.maximum(low, high))
    return centre + start, size, np.concatenate(visible)


def _move(random, motion, along, span):
    """Offsets ``[span, 2]`` in pixels, factors of the size and visibility; ``along`` is 0 to 1."""
    far, turn = random.uniform(13, 24), 2 * np.pi * along
    straight = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    moved, scale, seen = np.zeros((span, 2)), np.ones(span), np.ones(span, bool)
    last = motion.split()[-1]
    if motion.startswith("moves"):
        moved = far * along * straight[last]
    elif motion.startswith("bounces"):
        hops = 2 if span < 12 else random.integers(2, 4)
        moved = random.uniform(8, 14) * np.abs(np.sin(hops * turn / 2)) * (0, -1)
    elif motion.startswith("swings"):
        swings = 1 if span < 12 else random.integers(1, 3)
        moved = random.choice([-1, 1]) * random.uniform(6, 9) * np.sin(swings * turn) * (1, 0)
    elif motion.startswith("circles"):
        begin = random.uniform(0, 2 * np.pi)
        angle = begin + (turn if last == "clockwise" else -turn)  # y goes down
        moved = np.concatenate([np.cos(angle) - np.cos(begin), np.sin(angle) - np.sin(begin)], 1)
        moved = random.uniform(7, 10) * moved
    elif motion in ("grows", "shrinks"):
        times = random.uniform(1.7, 2.2)
        scale = (times if motion == "grows" else 1 / times) ** along[:, 0]
    elif motion == "blinks":
        seen = np.arange(span) % 4 < 2
        seen = seen if span < 12 or seen[-1] else seen | (np.arange(span) >= span - 1)
    return moved, scale, seen


# === How it looks ===


def _frame(ground, digits, at):
    frame = ground
    for digit in digits:
        if digit.visible[at]:
            mask = _mask(digit, at)[:, :, None]
            frame = frame * (1 - mask) + digit.colour * mask
    return frame


def _mask(digit, at):
    """How much of each pixel is ink, float ``[SIDE, SIDE]``, 0 to 1."""
    scale = len(digit.ink) / digit.size[at]
    left, top = digit.centre[at] - digit.size[at] / 2
    turned = (scale, 0, -left * scale, 0, scale, -top * scale)
    ink = Image.fromarray(digit.ink).transform(
        (SIDE, SIDE), Image.Transform.AFFINE, turned, Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(ink) / 200, 0, 1)


# === The corpus ===


def written_by(part: str) -> list[np.ndarray]:
    """The digits of the people of a part: of each value uint8 ``[examples, 8, 8]``, 0 to 255.

    Raises:
        UserError: scikit-learn is not here.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            'The digits are scikit-learn\'s; install it: pip install "seqzoo[sklearn]".'
        ) from error
    first, last = WRITERS[part]
    data = load_digits()
    inks = np.rint(data.images[first:last] * 255 / 16).astype("uint8")
    return [inks[data.target[first:last] == value] for value in range(10)]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="how many clips, default 1000")
    parser.add_argument("--part", choices=WRITERS, default="learn", help="who wrote the digits")
    clips.add_options(parser, reversed="each clip backwards, too")
    options = parser.parse_args(arguments)
    if options.count < 1:
        raise UserError(f"--count {options.count}: give 1 or more.")
    inks, grounds = written_by(options.part), clips.photographs(options.grounds)

    def make(number):
        clip = make_clip(np.random.default_rng((options.seed, number)), inks, grounds)
        both = ("", clip), ("_reversed", clip.backwards())
        made = both if options.reversed else both[:1]
        return [(f"{number:06d}{end}", one.frames, one.sentence) for end, one in made]

    clips.write_corpus(options.output, range(options.count), make)


if __name__ == "__main__":
    command_line.command(main)
