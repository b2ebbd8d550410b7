"""What tasks share whose input is images of single lines: how these come to the network, on every backend."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from zoo.contract.compiled import after_preprocessing
from zoo.contract.serving import Serving, TensorSpec
from zoo.images.normalise import columns_at_height

if TYPE_CHECKING:
    from zoo.data.samples import Samples

_INPUTS = (
    TensorSpec(
        "image",
        "uint8",
        ("batch", "height", "width", "channels"),
        "pixels 0 to 255, 1 (grey) or 3 (RGB) channels; padded at right and bottom with anything",
    ),
    TensorSpec("size", "int32", ("batch", 2), "height and width of each image in pixels, without padding"),
)


class OfLines:
    """Comes before ``Task`` among the bases of such a task, whose configuration has a ``height``.

    Besides what ``Task`` asks for, the task defines ``outputs``, the ``TensorSpec`` of what is served, and

    - ``preprocess(image, size, round_to=1)``: height-normalised lines, as many columns as a multiple of
      ``round_to``, and their lengths; TensorFlow operations, run by tf.data in training and by the graph when
      served. The network takes them as ``image`` and as what ``lengths_input`` names;
    - ``answer(logits, lengths, inputs)``: what is served.
    """

    lengths_input = None
    outputs = None
    shows_ranges = False  # see ``zoo.contract.serving.Serving``

    @property
    def serving(self) -> Serving:
        return Serving(_INPUTS, self.outputs, self._serve, self._example, shows_ranges=self.shows_ranges)

    def _serve(self, inputs):
        image, lengths = self.preprocess(inputs["image"], inputs["size"])
        logits = self.network({"image": image, self.lengths_input: lengths}, training=False)
        return self.answer(logits, lengths, inputs)

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        size = np.stack([random.integers(16, 90, batch), random.integers(24, 300, batch)], 1).astype("int32")
        channels = int(random.choice([1, 3]))
        padded = size.max(0) + random.integers(0, 40, 2)
        image = random.integers(0, 256, (batch, *padded, channels)).astype("uint8")
        for i, (height, width) in enumerate(size):  # smooth strokes on paper rather than noise alone
            strokes = np.repeat(random.random(width // 6 + 1) < 0.4, 6)[:width]
            image[i, :height, :width] = np.where(strokes[None, :, None], 40, 220)
            image[i, :height, :width] += random.integers(0, 30, (height, width, 1)).astype("uint8")
        return {"image": image, "size": size}

    @functools.cached_property
    def compiled_serve(self) -> Callable:
        """``serving.function`` on a dict of NumPy arrays, compiled as the backend can."""
        if keras.backend.backend() == "tensorflow":
            return super().compiled_serve
        lengths = self.lengths_input

        def prepare(inputs):
            image, counts = self.preprocess(inputs["image"], inputs["size"], round_to=256)
            return {"image": image, lengths: counts}

        def answer(logits, prepared, inputs):
            return self.answer(logits, prepared[lengths], inputs)

        return after_preprocessing(self.network, prepare, answer)

    def sample_length(self, sample: dict[str, Any]) -> Any:
        """Columns of the height-normalised image: what buckets go by."""
        import tensorflow as tf

        shape = tf.shape(sample["image"])
        return tf.cast(columns_at_height(shape[0], shape[1], self.config.height), tf.int32)

    def corpus_lengths(self, corpus: Samples) -> np.ndarray:
        return columns_at_height(*corpus.shapes.T, self.config.height).numpy().astype(int)
