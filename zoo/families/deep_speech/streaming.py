"""Pieces in which speech is heard while one speaks: how long they are, and what is kept between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.audio.files import pad_audio


def samples_per_frame(config: dict[str, Any]) -> int:
    """Samples from one output frame to the next."""
    return config["hop"] * config["stride"] * config.get("subsampling", 1)


class Stream:
    """How a model with ``lookahead`` is fed.

    What it gives for a frame depends on what came before and on a fixed time after it, by which its output
    is late. So silence as long as that ends a recording, which is heard in pieces of whole frames, each with
    the ``states`` that the one before left: zeros at the beginning. In one piece or in many, what comes out
    is the same.

    Args:
        config: the configuration of the model, as a dict.

    Attributes:
        frame: samples of an output frame, of which every piece is a multiple.
        flush: frames of silence after which all that was said has come out.
        delay: frames by which the output is later than the middle of what it tells of.
        shapes: what is kept between two pieces, in the order in which ``states`` holds it:
            ``{name: (steps, features)}``.
        size: how many numbers ``states`` holds for each recording.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        context, stride, ahead = config["context"], config["stride"], config["lookahead"]
        self.frame = samples_per_frame(config)
        self.flush = ahead + -(-context // stride)
        self.delay = ahead + (context + 1 - stride) / stride
        units, cells = config["recurrent_units"], 2 if config["recurrent_cell"] == "lstm" else 1
        self.shapes = {
            "audio": (config["frame_length"] - config["hop"], 1),
            "bands": (1, 2 * config["mels"] + 1),
            "windows": (2 * context + 1 - stride, config["mels"]),
            "layer_4": (cells, units),
            "ahead": (ahead, units),
            "last": (1, 2),  # the class of the last frame, and how many frames there were
        }
        self.size = sum(math.prod(shape) for shape in self.shapes.values())

    def frames(self, samples: Any) -> Any:
        """Frames of a recording of so many samples with the silence that ends it; int, array or tensor."""
        return (samples + self.frame - 1) // self.frame + self.flush


def inputs_of(recordings: Sequence[np.ndarray], config: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the network is given of whole recordings: ``audio`` and ``audio_lengths``, and ``states`` of zeros
    where it has ``lookahead``, with the silence that ends each.

    Args:
        recordings: list of float32 ``[samples]``, -1 to 1.
        config: the configuration of the model, as a dict.
    """
    audio, lengths = pad_audio(recordings)
    if not config.get("lookahead"):  # which older files lack
        return {"audio": audio, "audio_lengths": lengths}
    stream = Stream(config)
    lengths = (stream.frames(lengths) * stream.frame).astype(np.int32)
    audio = np.pad(audio, ((0, 0), (0, lengths.max() - audio.shape[1])))
    states = np.zeros((len(lengths), stream.size), np.float32)
    return {"audio": audio, "audio_lengths": lengths, "states": states}


def late(config: dict[str, Any]) -> int:
    """Whole frames by which the output of a model is later than what it tells of."""
    return int(Stream(config).delay) if config.get("lookahead") else 0
