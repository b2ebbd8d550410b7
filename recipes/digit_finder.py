"""An encoder of frames that finds digits, to begin the training of a video captioner with.

    python -m recipes.digit_finder --output finder.npz
    python -m recipes.video_captioner train --data clips --encoder-weights finder.npz \
        --model.encoder-learns False --output RUN

What the sentences of some thousand clips teach of ten digits is little: most of a sentence is on how they
move. So the encoder learns first, from single frames of clips that `recipes.moving_digits` makes up, which
digit is where: of each cell of its grid the digit whose centre it holds, or none. Its last layer has a
feature for each digit, or more. Writers are those to learn from; `--encoder` is that of the captioner.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from recipes import finders, moving_digits
from recipes.clips import SIDE, photographs
from recipes.training import command_line

FRAMES = 5  # of each clip
NONE = 0.1  # weight of a cell that holds no digit


def stills(
    random: np.random.Generator, inks: Sequence[np.ndarray], grounds: Sequence[np.ndarray], clips: int
) -> tuple[np.ndarray, list]:
    """Frames, uint8 ``[frames, SIDE, SIDE, 3]``, and where digits are: a list of ``[(value, x, y)]``."""
    frames, places = [], []
    for _ in range(clips):
        clip = moving_digits.make_clip(random, inks, grounds)
        for at in random.choice(len(clip.frames), FRAMES, replace=False):
            frames.append(clip.frames[at])
            places.append([(one.value, *one.centre[at]) for one in clip.digits if one.visible[at]])
    return np.stack(frames), places


def varied(random: np.random.Generator, inks: Sequence[np.ndarray], times: int = 5) -> list[np.ndarray]:
    """Digits as others might write them: turned, slanted, wider or narrower; of each ``times`` variants.

    Args:
        random: a ``numpy.random.Generator``.
        inks: of each value uint8 ``[examples, 8, 8]``.

    Returns:
        The same, uint8 ``[examples * times, 24, 24]``.
    """
    return [np.stack([_varied(random, ink) for ink in of_value for _ in range(times)]) for of_value in inks]


def _varied(random, ink, size=24):
    angle, slant = random.uniform(-0.2, 0.2), random.uniform(-0.25, 0.25)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ [[1, slant], [0, 1]] @ np.diag(random.uniform(0.9, 1.2, 2)) * len(ink) / size
    left, top = len(ink) / 2 - matrix @ [size / 2, size / 2] + random.uniform(-0.3, 0.3, 2)
    parts = (*matrix[0], left, *matrix[1], top)
    picture = Image.fromarray(ink).transform(
        (size, size), Image.Transform.AFFINE, tuple(map(float, parts)), Image.Resampling.BICUBIC
    )
    return np.asarray(picture)


def cells(places: Sequence, rows: int, columns: int) -> np.ndarray:
    """The class of each cell, int32 ``[frames, rows, columns]``: 0 for none, a digit's value and one."""
    found = np.zeros((len(places), rows, columns), np.int32)
    for grid, digits in zip(found, places, strict=True):
        for value, x, y in digits:
            row, column = int(y / SIDE * rows), int(x / SIDE * columns)
            grid[min(row, rows - 1), min(column, columns - 1)] = 1 + value
    return found


def main(arguments: list[str]) -> None:
    import keras

    from zoo.families.video_captioner.network import VideoCaptionerConfig

    parser = finders.parser(__doc__, VideoCaptionerConfig.encoder, epochs=6)
    parser.add_argument("--clips", type=int, default=8000, metavar="N", help="to see, default 8000")
    options = parser.parse_args(arguments)
    grounds, encoder = photographs(options.grounds), finders.begin(options, 10, "digits")
    rows, columns = encoder.output.shape[1:3]

    def samples(part, clips, seed):
        random, inks = np.random.default_rng((options.seed, seed)), moving_digits.written_by(part)
        inks = varied(random, inks) if part == "learn" else inks
        frames, places = stills(random, inks, grounds, clips)
        wanted = cells(places, rows, columns)
        return frames, wanted, np.where(wanted > 0, 1.0, NONE).astype("float32")

    def head(features):
        features = features[..., :10]
        return keras.ops.concatenate([keras.ops.zeros_like(features[..., :1]), features], -1)

    # Below zero a ReLU has no slope: a digit that is not found at first would never be.
    last = encoder.layers[-1]
    activation, last.activation = last.activation, keras.activations.linear
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = finders.learn(options, encoder, head, loss, *samples("learn", options.clips, 1))
    frames, wanted, _ = samples("validate", 200, 2)
    said = model.predict(frames, verbose=0)
    right = (said[..., 1:].argmax(-1) + 1 == wanted)[wanted > 0].mean()
    last.activation = activation
    finders.save(encoder, options.output)
    print(f"{options.output}: {right:.1%} of the digits of a writer held out are told in a single frame.")


if __name__ == "__main__":
    command_line.command(main)
