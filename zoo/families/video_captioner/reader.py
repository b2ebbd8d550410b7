"""Captions videos with an exported model or a Keras task, searching or sampling, their order kept.

    from export import runtime

    reader = runtime.load("video_captioner.onnx")
    reader(["clip.mp4", "walk.gif", "frames/"])           # ["a three moves left", …]
    found, = reader("clip.mp4", details=True)             # Caption: text, score, hypotheses, words, attention
    reader(paths, n_best=3, beam_width=5, errors="return")
    reader.picture(paths, "sheet.png")
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.descriptions import DescribingReader
from zoo.contract.reader import Metric
from zoo.images.videos import FRAME_SUFFIXES, VIDEO_SUFFIXES, read_features, read_video

if TYPE_CHECKING:
    from zoo.contract.descriptions import Caption


class VideoReader(DescribingReader):
    """Captions videos: each a path, the bytes of a file, or a uint8 array ``[frames, height, width, 3]``.

    See ``zoo.images.videos.read_video``, or ``read_features`` where the model takes features. The arguments
    are those of ``Reader``.
    """

    reads, one, suffixes, part_suffixes = "videos", "video", VIDEO_SUFFIXES, FRAME_SUFFIXES
    single, axes = DescribingReader.single | np.ndarray, 4
    plot_help = "some frames of each video with its caption; of one video, what was looked at for each word"
    metrics = (Metric("exact", "right word for word", "{:.1%}"), *DescribingReader.metrics)
    window, most = 16, 8

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._size, self._width = self.config["frame_size"], self.config["features"]
        self._most = self.config["frames"]
        self.axes = 2 if self._width else 4

    def read(self, item: Any, name: str) -> np.ndarray:
        if self._width:
            return read_features(item, self._width, self._most, name)
        return read_video(item, self._size, self._most, name)

    def batch(self, seen: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Those with fewer frames are padded with zeros."""
        lengths = np.array([len(one) for one in seen], np.int32)
        padded = np.zeros((len(seen), lengths.max(), *seen[0].shape[1:]), seen[0].dtype)
        for row, one in zip(padded, seen, strict=True):
            row[: len(one)] = one
        return {"features" if padded.ndim == 3 else "video": padded, "lengths": lengths}

    @staticmethod
    def nearness(text: str, references: list[str]) -> float:
        """Whether a caption is right, word for word."""
        return float(text in references)

    def looks(self, attention: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return attention[:, : len(seen)]

    def sheet(self, seen: list[np.ndarray], found: Sequence[Caption], path: str | os.PathLike) -> None:
        from zoo.families.video_captioner.plot import draw

        draw(seen, found, path)


READER = VideoReader
