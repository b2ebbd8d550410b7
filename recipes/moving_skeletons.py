"""Videos of skeletons that move, with a sentence on what they do, from recordings of their joints.

    python -m recipes.moving_skeletons --data msr_action3d.tar.gz --takes 20 --reversed --output clips
    python -m recipes.video_captioner train --data clips --hold-out '/s05/' --output RUN

"someone waves with the right arm held high". CORPUS is what `recipes.sequence_classifier` learns from: a
file for each sequence, in a row for each moment x, y and z of each joint, and a label, perhaps a subject
(docs/sequences.md). Each sequence is filmed in `--takes` takes: a figure with this person's joints, on a
ground that is made up, from an angle, at a speed and in colours of that take alone. Every second take is of
the mirror image: what the right arm did, the left one does. With `--reversed` each take is there a second
time, backwards, where that makes sense: a circle clockwise becomes one counterclockwise, but nobody throws
backwards.

What the joints are, and what is said of each label, stands in a table, a JSON file. The one that is here,
`recipes/msr_action3d.json`, is of MSR-Action3D; for other data copy it, and give `--table`:

    rate        rows a second
    right       the axis (x, -x, y …) that grows to the right of the picture;
    up, near    upwards; towards the viewer
    joints      what they are called, in the order of the columns
    head        which of them is drawn as a ball
    limbs       chains of joints; each limb has a colour and a width, in hundredths of the figure's height
    sentences   label -> what is done; in a mirror right is left, and clockwise is counterclockwise
    backwards   label -> what is done if time goes backwards, where a person would say something

The output is a folder of GIF files, `clips/CORPUS/SUBJECT/ID_TAKE.gif`, and captions.csv, so that whole
subjects can be held out.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from recipes import clips
from recipes.clips import RATE, SIDE
from recipes.training import command_line
from zoo.errors import UserError
from zoo.text.files import read_text

TABLE = Path(__file__).with_name("msr_action3d.json")
OTHER_SIDE = {"right": "left", "clockwise": "counterclockwise"}
OTHER_SIDE |= {after: before for before, after in OTHER_SIDE.items()}
LEAST, MOST = 0.5, 15.0  # seconds of a sequence that can be told and that is drawn
_HEAD = 16  # hundredths of a figure's height
_FINE = 3  # pixels drawn for each that is kept, on either axis


# === What is known of the joints ===


@dataclasses.dataclass(frozen=True)
class Table:
    """What the joints of a corpus are and what is said of its labels; fields as at the top of this module.

    Raises:
        ValueError: a field is of another kind, or names a joint that is not there.
    """

    rate: float
    right: str
    up: str
    near: str
    joints: list
    head: str
    limbs: list
    sentences: dict
    backwards: dict

    def __post_init__(self):
        axes = sorted(str(axis).removeprefix("-") for axis in (self.right, self.up, self.near))
        if axes != ["x", "y", "z"]:
            raise ValueError("right, up and near are x, y and z, each perhaps with a minus")
        if not isinstance(self.rate, int | float) or not self.rate > 0:
            raise ValueError(f"rate is more than 0, not {self.rate}")
        if not _are_texts(self.joints) or len(set(self.joints)) < len(self.joints):
            raise ValueError("joints are names, each another")
        if not isinstance(self.limbs, list) or not all(map(_is_limb, self.limbs)):
            raise ValueError("limbs are objects, each with chains, lists of joints, and a width")
        for joint in [self.head, *(joint for _, chain in self.chains for joint in chain)]:
            if joint not in self.joints:
                raise ValueError(f"{joint!r} is none of its joints")
        for said in (self.sentences, self.backwards):
            if not isinstance(said, dict) or (said and not _are_texts(list(said.values()))):
                raise ValueError("sentences and backwards are labels, each with what is said of it")

    @classmethod
    def read(cls, path: str | os.PathLike) -> Table:
        """The table in a JSON file. Raises UserError."""
        fields = [field.name for field in dataclasses.fields(cls)]
        try:
            stored = json.loads(read_text(path))
            if not isinstance(stored, dict) or sorted(stored) != sorted(fields):
                raise ValueError(f"it is no object with {', '.join(fields)} and nothing else")
            return cls(**stored)
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path}: {error}; write it as {TABLE.name} is.") from error

    @property
    def chains(self) -> list[tuple]:
        """``[(limb, [joint, ...])]``."""
        return [(limb, chain) for limb in self.limbs for chain in limb["chains"]]

    def seen(self, values: np.ndarray) -> np.ndarray:
        """float ``[steps, 3 * joints]`` as recorded -> ``[steps, joints, 3]``: right, up, near.

        A joint that is exactly 0, 0, 0 or has no number was not seen. Where most were not, the step is left
        out; where some, they are between where they were before and after.

        Raises:
            UserError: there is too little of it.
        """
        if values.shape[1] != 3 * len(self.joints):
            raise UserError(f"it has {values.shape[1]} columns, not x, y, z of {len(self.joints)} joints")
        places = values.reshape(len(values), -1, 3).astype(float)
        known = np.isfinite(places).all(-1) & (places != 0).any(-1)
        kept = 2 * known.sum(1) > len(self.joints)
        places, known = places[kept][: int(MOST * self.rate)], known[kept][: int(MOST * self.rate)]
        if len(places) < LEAST * self.rate:
            raise UserError(f"someone is seen in {len(places)} of its rows, which is too little")
        if not known.any(0).all():
            raise UserError(f"the joint {self.joints[known.any(0).argmin()]} is never seen")
        time = np.arange(len(places))
        for joint in np.flatnonzero(~known.all(0)):
            for axis in range(3):
                at = known[:, joint]
                places[:, joint, axis] = np.interp(time, time[at], places[at, joint, axis])
        x, y, z = np.moveaxis(places, -1, 0)
        axes = {"x": x, "-x": -x, "y": y, "-y": -y, "z": z, "-z": -z}
        return np.stack([axes[self.right], axes[self.up], axes[self.near]], -1)


def _are_texts(values):
    """Whether something of JSON is a list of texts, and not one of none."""
    return isinstance(values, list) and bool(values) and all(isinstance(v, str) and v.strip() for v in values)


def _is_limb(limb):
    if not isinstance(limb, dict) or set(limb) != {"width", "chains"}:
        return False
    width, chains = limb["width"], limb["chains"]
    return isinstance(width, int | float) and isinstance(chains, list) and all(map(_are_texts, chains))


def mirrored(sentence: str) -> str:
    """What is said of the mirror image."""
    return re.sub(r"\w+", lambda match: OTHER_SIDE.get(match[0], match[0]), sentence)


# === How it looks ===


@dataclasses.dataclass
class Take:
    """How a sequence is filmed: by default from the front, as it was.

    Attributes:
        mirror: whether left and right change places.
        cut: shares of the time that are left out at the beginning and at the end.
        speed: how much faster it is, in a few moments that are evenly spread over the time.
        reach: how much farther all moves go.
        body: float ``[3, 3]``, what is made of places: other proportions.
        yaw, pitch: of the camera, in radians.
        size: share of the frame that the figure takes.
    """

    mirror: bool = False
    cut: tuple = (0.0, 0.0)
    speed: tuple = (1.0,)
    reach: float = 1.0
    body: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    yaw: float = 0.0
    pitch: float = 0.0
    size: float = 0.95

    @classmethod
    def draw(cls, random: np.random.Generator, mirror: bool) -> Take:
        uniform = random.uniform
        return cls(
            mirror, uniform(0, 0.1, 2), uniform(0.8, 1.25) * uniform(0.7, 1.4, 4), uniform(0.85, 1.15),
            np.diag(uniform(0.88, 1.12, 3)) + uniform(-0.06, 0.06, (3, 3)), uniform(-0.5, 0.5),
            uniform(-0.1, 0.3), uniform(0.8, 1.0),
        )  # fmt: skip

    def moments(self, count: int, pace: float) -> np.ndarray:
        """Which of ``count`` steps the frames are of, float, each later than the one before.

        ``pace`` is how many steps there are for each frame.
        """
        last = count - 1
        begin, end = self.cut[0] * last, (1 - self.cut[1]) * last
        moments = [begin]
        while moments[-1] < end:
            along = (moments[-1] - begin) / (end - begin) * (len(self.speed) - 1)
            moments.append(moments[-1] + pace * np.interp(along, range(len(self.speed)), self.speed))
        return np.array(moments[:-1])


def film(
    random: np.random.Generator, table: Table, places: np.ndarray, take: Take, grounds: Sequence = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a figure, ``RATE`` a second, and where its joints are.

    Args:
        random: a ``numpy.random.Generator``, for ground, colours and where it stands.
        places: float ``[steps, joints, 3]`` as ``Table.seen`` gives them.
        take: a ``Take``.
        grounds: paths of photographs, from which half of the grounds are taken; or none.

    Returns:
        uint8 ``[frames, SIDE, SIDE, 3]`` and float ``[frames, joints, 2]``, pixels to the right and down.
    """
    places = _at(places, take.moments(len(places), table.rate / RATE))
    usual = places.mean(0)
    places = (usual + take.reach * (places - usual)) @ take.body
    spots, depth = _projected(random, places, take)
    unit = _height(spots) / 100
    ground = clips.make_ground(random, grounds)
    colours = _colours(random, ground.mean(), len(table.limbs) + 1)
    frames = [_frame(ground, table, colours, unit, *one) for one in zip(spots, depth, strict=True)]
    return clips.with_grain(random, np.stack(frames)), spots


def _at(places, steps):
    """Places at times that are between those that are known."""
    before = np.minimum(steps.astype(int), len(places) - 2)
    part = (steps - before)[:, None, None]
    return places[before] * (1 - part) + places[before + 1] * part


def _projected(random, places, take):
    """Pixels ``[frames, joints, 2]``, right and down, and how near they are ``[frames, joints]``."""
    places = places - (places.max((0, 1)) + places.min((0, 1))) / 2
    right, up, near = np.moveaxis(places, -1, 0)
    right = -right if take.mirror else right
    right, near = (
        right * np.cos(take.yaw) + near * np.sin(take.yaw),
        near * np.cos(take.yaw) - right * np.sin(take.yaw),
    )
    up, near = (
        up * np.cos(take.pitch) - near * np.sin(take.pitch),
        near * np.cos(take.pitch) + up * np.sin(take.pitch),
    )
    height = np.ptp(up)
    closer = 1 / (1 - near / (2.5 * height))  # the camera is two and a half figures away
    spots = np.stack([right, -up], -1) * np.maximum(closer, 0.1)[..., None]
    spots = spots - spots.min((0, 1))
    spots *= take.size * SIDE / (spots.max() + 2 * _margin(spots))
    free = SIDE - spots.max((0, 1)) - 2 * _margin(spots)
    return spots + _margin(spots) + random.uniform(0, 1, 2) * free, near


def _margin(spots):
    """Pixels that a figure reaches beyond its joints: half a head's."""
    return _HEAD / 200 * _height(spots)


def _height(spots):
    """How tall a figure is on the whole, in pixels."""
    return np.median(np.ptp(spots[..., 1], axis=1))


def _colours(random, light, count):
    """float ``[count, 3]``: all lighter or all darker than the ground, but not alike."""
    first = clips.colour(random, light)
    tint = random.uniform(-1, 1, (count, 3))
    tint = 30 * (tint - tint.mean(1, keepdims=True)) + random.uniform(-25, 25, (count, 1))
    return np.clip(first + tint, 0, 255)


def _frame(ground, table, colours, unit, spots, depth):
    """float ``[SIDE, SIDE, 3]``: the figure over its ground; what is farther away is drawn first."""
    picture = Image.new("RGBA", (SIDE * _FINE, SIDE * _FINE))
    pen, at = ImageDraw.Draw(picture), {joint: i for i, joint in enumerate(table.joints)}
    strokes, unit, light = [], unit * _FINE, ground.mean((0, 1))
    for limb, chain in table.chains:
        colour = tuple(np.rint(colours[table.limbs.index(limb)]).astype(int))
        joints = [at[joint] for joint in chain]
        strokes.append((depth[joints].mean(), joints, colour, limb["width"] * unit))
    head = at[table.head]
    strokes.append((depth[head], [head], tuple(np.rint(colours[-1]).astype(int)), _HEAD * unit))
    for _, joints, colour, width in sorted(strokes, key=lambda stroke: stroke[0]):
        line = [tuple(spot) for spot in spots[joints] * _FINE]
        edge = tuple((0.4 * np.array(colour) + 0.6 * light).astype(int))  # or an arm before the chest is lost
        for paint, wide in ((edge, width + _FINE), (colour, width)):
            pen.line(line, (*paint, 255), round(wide))
            for x, y in line:
                pen.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), (*paint, 255))
    # Pixels that are not drawn are 0 in all four, so that these means are what they add to the ground.
    small = np.asarray(picture).astype("uint16")
    small = sum(small[i::_FINE] for i in range(_FINE))
    small = sum(small[:, i::_FINE] for i in range(_FINE)) / _FINE**2
    return ground * (1 - small[..., 3:] / 255) + small[..., :3]


# === The corpus ===


def add_data(parser: argparse.ArgumentParser) -> None:
    """The options that say what is to be filmed, for ``recorded``."""
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS", help="sequences of joints")
    parser.add_argument("--only", metavar="REGEX", help="take those whose CORPUS/SUBJECT/ID it matches")
    command_line.add_columns(parser, "id", "label", "subject")
    parser.add_argument(
        "--table", default=TABLE, metavar="FILE.json", help=f"what the joints are; default {TABLE.name}"
    )


def recorded(options: argparse.Namespace, table: Table) -> list[tuple[str, str, np.ndarray]]:
    """What can be filmed, a list of ``(CORPUS/SUBJECT/ID, label, places)``; says what cannot.

    Raises:
        UserError: nothing can.
    """
    from zoo.families.sequence_classifier.corpus import load_sequences

    columns = command_line.columns(options)
    sequences = load_sequences(options.data, options.only, progress=True, columns=columns)
    found, skipped, silent = [], list(sequences.skipped), Counter()
    for (values, labels), name in zip(sequences.chunks(1), sequences.names, strict=True):
        ((_, values),), (label,) = values, labels
        if label not in table.sentences:
            silent[label] += 1
            continue
        try:
            found.append((name, label, table.seen(values)))
        except UserError as error:
            skipped.append(f"{name}: {error}.")
    for label, count in silent.items():
        skipped.append(f"{count} with the label {label}, of which the table has no sentence.")
    for sentence in skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    if not found:
        raise UserError(
            f"None of the {len(sequences)} sequences can be drawn ({skipped[0].rstrip('.')}); give a --table "
            "that tells what their joints are and what to say of their labels."
        )
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add_data(parser)
    parser.add_argument("--takes", type=int, default=8, metavar="N", help="videos of each, default 8")
    parser.add_argument("--front", action="store_true", help="one take, from the front and not mirrored")
    clips.add_options(parser, reversed="each take backwards, too, where the table tells what that is")
    options = parser.parse_args(arguments)
    if options.takes < 1:
        raise UserError(f"--takes {options.takes}: give 1 or more.")
    table, grounds = Table.read(options.table), clips.photographs(options.grounds)
    found = recorded(options, table)
    takes = 1 if options.front else options.takes
    jobs = [(*one, number) for one in found for number in range(takes)]
    clips.write_corpus(options.output, jobs, functools.partial(_clips, table, grounds, options))


def _clips(table, grounds, options, job):
    """The clips of a take, which depends on the sequence's name, the take's number and the seed alone."""
    name, label, places, number = job
    random = np.random.default_rng((options.seed, zlib.crc32(name.encode()), number))
    # An id may lead out of the folder.
    name = "/".join(part for part in f"{name}_{number:02d}".split("/") if part.strip("."))
    take = Take() if options.front else Take.draw(random, mirror=number % 2 == 1)
    frames, _ = film(random, table, places, take, grounds)
    said = mirrored if take.mirror else str
    made = [(name, frames, said(table.sentences[label]))]
    if options.reversed and label in table.backwards:
        made.append((f"{name}_reversed", frames[::-1], said(table.backwards[label])))
    return made


if __name__ == "__main__":
    command_line.command(main)
