"""Clips that are made up: their grounds, GIF files, and the corpus of captioned videos that they are.

What `recipes.moving_digits` and `recipes.moving_skeletons` share.
"""

from __future__ import annotations

import concurrent.futures
import csv
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.errors import UserError
from zoo.images.photos import read_photo

if TYPE_CHECKING:
    import argparse

SIDE = 56  # pixels of a frame
RATE = 8  # frames a second


# === How it looks ===


def colour(random: np.random.Generator, light: float) -> np.ndarray:
    """RGB values, 0 to 255: light on a dark ground, dark on a light one; ``light`` is the ground's mean."""
    brightest = light < random.uniform(105, 150)
    value = (
        min(255, light + random.uniform(95, 140)) if brightest else max(0, light - random.uniform(95, 140))
    )
    tint = random.uniform(-1, 1, 3)
    return np.clip(value + 35 * (tint - tint.mean()), 0, 255)


def make_ground(random: np.random.Generator, photographs: Sequence[Path]) -> np.ndarray:
    """A ground: float ``[SIDE, SIDE, 3]``, 0 to 255, a part of a photograph or a texture that is made up.

    Args:
        random: a ``numpy.random.Generator``.
        photographs: paths, from which half of the grounds are taken; or none.
    """
    if photographs and random.random() < 0.5:
        picture = _photograph(photographs[random.integers(len(photographs))])
        left, top = random.integers(0, picture.shape[0] - SIDE, 2)
        ground = picture[top : top + SIDE, left : left + SIDE].astype(float)
    else:
        shade = _TEXTURES[random.integers(len(_TEXTURES))](random)
        shade = (shade - shade.min()) / max(np.ptp(shade), 1e-6)
        one, other = random.uniform(0, 255, (2, 3))
        ground = one + (other - one) * shade[:, :, None]
    # What is as light and dark as the things on it hides them.
    spread = max(ground.std(), 1)
    return random.uniform(40, 215) + (ground - ground.mean()) * min(1, random.uniform(8, 30) / spread)


@functools.lru_cache(512)
def _photograph(path):
    return read_photo(path, 3 * SIDE)


def _waves(random):
    rows, columns = np.indices((SIDE, SIDE)) / SIDE
    waves = zip(random.uniform(-40, 40, (3, 2)), random.uniform(0, 6, 3), strict=True)
    return sum(np.sin(across * columns + down * rows + phase) for (across, down), phase in waves)


def _blotches(random):
    layers = [
        np.asarray(
            Image.fromarray(random.random((cells, cells)).astype("float32")).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
        )
        for cells in random.integers(3, 24, 2)
    ]
    return layers[0] + random.uniform(0.2, 1) * layers[1]


def _checks(random):
    rows, columns = np.indices((SIDE, SIDE))
    angle, width = random.uniform(0, np.pi), random.uniform(4, 14)
    across, down = (
        np.cos(angle) * columns + np.sin(angle) * rows,
        np.cos(angle) * rows - np.sin(angle) * columns,
    )
    stripes = across // width % 2
    return stripes if random.random() < 0.5 else stripes + down // width % 2


def _slope(random):
    rows, columns = np.indices((SIDE, SIDE)) / SIDE
    across, down = random.uniform(-1, 1, 2)
    return across * columns + down * rows + 0.1 * random.random((SIDE, SIDE))


_TEXTURES = _waves, _blotches, _checks, _slope


def with_grain(random: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """float ``[frames, SIDE, SIDE, 3]`` -> the same with a camera's noise, uint8."""
    noise = random.normal(0, random.uniform(1, 4), frames.shape)
    return np.clip(np.rint(frames + noise), 0, 255).astype("uint8")


# === The corpus ===


def photographs(folder: str | os.PathLike | None) -> list[Path]:
    """The paths of the images in a folder; none where it is None. Raises UserError where none is in it."""
    if folder is None:
        return []
    names = sorted(files.names_in(folder))
    found = [str(Path(folder, name)) for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    if not found:
        raise UserError(f"--grounds {folder}: there is no image in it; give a folder of some.")
    return found


def save_gif(frames: np.ndarray, path: str | os.PathLike) -> None:
    """uint8 ``[frames, height, width, 3]`` -> a GIF file with the colours of its first frame."""
    first = Image.fromarray(frames[0]).quantize(256)
    others = [Image.fromarray(frame).quantize(256, palette=first, dither=0) for frame in frames[1:]]
    first.save(path, save_all=True, append_images=others, duration=1000 // RATE, loop=0)


def add_options(parser: argparse.ArgumentParser, reversed: str) -> None:
    """The options that all who make up clips have; ``reversed`` is the help of that one."""
    parser.add_argument(
        "--grounds", metavar="FOLDER", help="photographs, of which half of the grounds are cut"
    )
    parser.add_argument("--reversed", action="store_true", help=reversed)
    parser.add_argument("--output", required=True, metavar="FOLDER", help="corpus to write")
    parser.add_argument("--seed", type=int, default=0)


def write_corpus(output: str | os.PathLike, jobs: Sequence, make: Callable) -> None:
    """Write a folder of GIF files and captions.csv, and say how many there are.

    Args:
        output: the folder.
        jobs: a list.
        make: a job -> list of ``(name, frames, sentence)``: the GIF's name in ``clips/``, without its suffix,
            and uint8 ``[frames, height, width, 3]``. It depends on the job alone, in whichever order.

    Raises:
        UserError: as ``zoo.files.atomic_folder``.
    """
    with (
        files.atomic_folder(output, marker="captions.csv") as folder,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):

        def write(job):
            rows = []
            for name, frames, sentence in make(job):
                path = folder / "clips" / f"{name}.gif"
                path.parent.mkdir(parents=True, exist_ok=True)
                save_gif(frames, path)
                rows.append((f"clips/{name}.gif", sentence))
            return rows

        made = tqdm(pool.map(write, jobs), total=len(jobs), unit=" clips", disable=None)
        rows = [row for some in made for row in some]
        with open(folder / "captions.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("video", "caption"), *rows])
    sentences = len({sentence for _, sentence in rows})
    print(f"{output}: {len(rows):,} clips, {sentences:,} different sentences.")
