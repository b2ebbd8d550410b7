"""Encoders of frames that learn what is where in single frames, before a captioner learns what happens.

What `recipes.digit_finder` and `recipes.joint_finder` share.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.clips import SIDE
from zoo import files
from zoo.errors import UserError

if TYPE_CHECKING:
    import keras


def parser(doc: str, encoder: str, epochs: int) -> argparse.ArgumentParser:
    """A parser with the options that all finders have, whose defaults these are."""
    found = argparse.ArgumentParser(description=doc.splitlines()[0], allow_abbrev=False)
    found.add_argument("--encoder", default=encoder, help="as --model.encoder has it")
    found.add_argument("--epochs", type=int, default=epochs, metavar="N", help=f"default {epochs}")
    found.add_argument("--grounds", metavar="FOLDER", help="photographs to cut half of the grounds from")
    found.add_argument("--output", required=True, metavar="FILE.npz", help="the encoder's weights")
    found.add_argument("--seed", type=int, default=0)
    return found


def begin(options: argparse.Namespace, least: int, things: str) -> keras.Model:
    """An encoder with random weights, which depend on the seed.

    Args:
        options: of the command line.
        least: how many features it gives at least, for as many ``things``.

    Raises:
        UserError: it gives fewer, or --output has another suffix.
    """
    import keras

    from zoo.layers.encoders import make_encoder

    if not options.output.endswith(".npz"):
        raise UserError(f"--output {options.output}: give a name that ends in .npz.")
    keras.utils.set_random_seed(options.seed)
    encoder = make_encoder(options.encoder, SIDE)
    depth = encoder.output.shape[-1]
    if depth < least:
        raise UserError(
            f"--encoder {options.encoder}: it gives {depth} features; let it give {least} or more, one for "
            f"each of the {things}."
        )
    return encoder


def learn(
    options: argparse.Namespace, encoder: keras.Model, head: Callable, loss: Any, frames: np.ndarray,
    wanted: Any, weights: Any = None,
) -> keras.Model:  # fmt: skip
    """Train an encoder.

    Args:
        options, encoder: as of ``begin``.
        head: its features ``[batch, rows, columns, depth]`` -> what is learned.
        loss: of that and ``wanted``.
        frames: uint8 ``[frames, SIDE, SIDE, 3]``.
        weights: of the losses.

    Returns:
        A model from frames to what ``head`` makes of them.
    """
    import keras

    from zoo.layers.encoders import Preprocess

    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    model = keras.Model(image, head(encoder(Preprocess(options.encoder)(image))))
    rate = keras.optimizers.schedules.CosineDecay(3e-3, options.epochs * -(-len(frames) // 64))
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(frames, wanted, sample_weight=weights, batch_size=64, epochs=options.epochs, verbose=2)
    return model


def save(encoder: keras.Model, path: str | os.PathLike) -> None:
    """Write the weights as ``zoo.layers.encoders.load_weights`` reads them."""
    with files.atomic_write(path) as file:
        np.savez(file, **{"{}.{}".format(*v.path.split("/")[-2:]): np.asarray(v) for v in encoder.weights})
