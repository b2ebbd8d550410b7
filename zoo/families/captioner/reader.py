"""Captions images with an exported model or a Keras task, searching or sampling, their order kept.

    from export import runtime

    reader = runtime.load("captioner.onnx")
    reader(["dog.jpg", "beach.png"])                      # ["a dog runs through the grass", …]
    found, = reader("dog.jpg", details=True)              # Caption: text, score, hypotheses, words, attention
    reader(paths, n_best=3, beam_width=5, errors="return")
    reader(paths, temperature=0.8, top_k=50, seed=1)      # drawn by their probability
    reader.picture(paths, "sheet.png")
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from export.runtime import IMAGE_SUFFIXES
from zoo.contract.descriptions import DescribingReader
from zoo.images.photos import read_photo

if TYPE_CHECKING:
    from zoo.contract.descriptions import Caption


class CaptionReader(DescribingReader):
    """Captions images, each a path, the bytes of a file, a PIL image, or a uint8 array.

    See ``zoo.images.photos.read_photo``; the arguments are those of ``Reader``.
    """

    reads, one, suffixes = "images", "image", IMAGE_SUFFIXES
    single, axes = DescribingReader.single | np.ndarray | Image.Image, 3
    plot_help = "the images with their captions; of one image, what was looked at for each word"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._size = self.config["image_size"]

    def read(self, item: Any, name: str) -> np.ndarray:
        return read_photo(item, self._size, name)

    def batch(self, seen: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {"image": np.stack(seen)}

    def sheet(self, seen: list[np.ndarray], found: Sequence[Caption], path: str | os.PathLike) -> None:
        from zoo.plots.sheets import attention_sheet, contact_sheet

        if len(found) == 1 and found[0].words and found[0].attention is not None:
            attention_sheet(seen[0], found[0].words, found[0].attention, path)
            return
        texts = [[text for text, _ in caption.hypotheses] for caption in found]
        contact_sheet(list(zip(seen, texts, strict=True)), path)


READER = CaptionReader
