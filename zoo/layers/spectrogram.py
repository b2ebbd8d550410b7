"""Log-mel spectrograms of raw audio, in operations that ONNX converts exactly, and their augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from zoo.audio.mel import fourier, triangles

if TYPE_CHECKING:
    import numpy as np

NORMALISE = (None, "bands", "whole")


@keras.saving.register_keras_serializable("seqzoo")
class LogMelSpectrogram(layers.Layer):
    """Raw audio to the natural logarithm of its power in mel bands, each sequence by its own length.

    Inputs: ``audio`` float32 ``[batch, samples]`` in -1..1 and int32 ``lengths`` ``[batch]`` in samples.
    Outputs: float32 ``[batch, frames, mels]`` and int32 ``[batch]``, how many of the frames are valid.

    A frame is valid if it lies wholly within its sequence, so that padding (of finite values) changes
    nothing; the frames beyond are zero. A sequence shorter than a frame has no valid one. Where the whole
    batch is shorter, there still is one frame, of zeros.

    The periodic Hann window and the discrete Fourier transform are the fixed kernel of one strided
    convolution. The bands are triangles, evenly spaced and linear on the mel scale ``2595 log10(1 + f /
    700)``, with a peak of 1 (The HTK Book 3.4, section 5.4), as ``tf.signal`` and Kaldi have them. All is
    computed in float32, whatever the dtype policy (on a GPU TensorFloat-32 may round the convolution). The
    layer has no weights.

    Args:
        sampling_rate: samples per second.
        frame_length, hop: length and distance of the frames, in samples; 25 and 10 ms by default.
        fft_length: samples of the transform; frames are extended to it with zeros.
        mels: number of bands.
        fmin, fmax: where the bands begin and end, in Hz. None: half the sampling rate.
        floor: least power of a band before the logarithm; silence gives ``log(floor)``.
        normalise: give mean 0 and variance 1, over the valid frames of a sequence, to each of its "bands" or
            to their "whole"; None does neither. The first takes away a microphone's colour, and a vowel's
            where there is no other sound beside it: for single words take the second.

    Raises:
        ValueError: a frame longer than the transform, bands out of range, or a band so narrow that it holds
            no frequency of the transform.
    """

    def __init__(
        self, sampling_rate: int = 16000, frame_length: int = 400, hop: int = 160, fft_length: int = 512,
        mels: int = 80, fmin: float = 20.0, fmax: float | None = None, floor: float = 1e-10,
        normalise: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.sampling_rate, self.frame_length, self.hop = sampling_rate, frame_length, hop
        self.fft_length, self.mels, self.fmin, self.fmax = fft_length, mels, fmin, fmax
        self.floor, self.normalise = floor, normalise
        if normalise not in NORMALISE:
            raise ValueError(f"normalise is 'bands', 'whole' or None, not {normalise!r}")
        if frame_length > fft_length:
            raise ValueError(f"frame_length {frame_length} is longer than fft_length {fft_length}")
        self._kernel = fourier(frame_length, fft_length)[:, None, :]
        self._bands = triangles(sampling_rate, fft_length, mels, fmin, fmax)

    @property
    def constants(self) -> tuple[np.ndarray, np.ndarray]:
        """The two fixed matrices, which coarser weights would spoil: powers differ by factors of millions."""
        return self._kernel, self._bands

    def frames(self, samples: Any) -> Any:
        """Number of valid frames in so many samples: an int, an array, or a tensor, as ``samples`` is."""
        # The quotient of a negative number would not be rounded down in ONNX.
        return _at_least_0(samples - self.frame_length + self.hop) // self.hop

    def call(self, audio: Any, lengths: Any) -> tuple[Any, Any]:
        missing = _at_least_0(self.frame_length - ops.shape(audio)[1])  # a convolution needs one frame
        audio = ops.concatenate([audio, ops.zeros((ops.shape(audio)[0], missing))], axis=1)
        parts = ops.conv(audio[:, :, None], self._kernel, self.hop, "valid", "channels_last")
        real, imaginary = ops.split(parts, 2, axis=-1)
        power = ops.matmul(ops.square(real) + ops.square(imaginary), self._bands)
        x = ops.log(ops.maximum(power, self.floor))

        lengths = self.frames(lengths)
        valid = ops.arange(ops.shape(x)[1], dtype="int32")[None, :, None] < lengths[:, None, None]
        if self.normalise:
            axes = 1 if self.normalise == "bands" else (1, 2)
            count = ops.cast(ops.maximum(lengths, 1), "float32")[:, None, None]
            count = count if self.normalise == "bands" else count * self.mels
            x = x - ops.sum(ops.where(valid, x, 0.0), axis=axes, keepdims=True) / count
            variance = ops.sum(ops.where(valid, ops.square(x), 0.0), axis=axes, keepdims=True) / count
            x = x * ops.rsqrt(variance + 1e-3)  # silence becomes 0, and its rounding is not blown up
        return ops.where(valid, x, 0.0), lengths

    def compute_output_spec(self, audio: Any, lengths: Any) -> tuple[Any, Any]:
        batch, samples = audio.shape
        frames = None if samples is None else max(self.frames(samples), 1)
        return (
            keras.KerasTensor((batch, frames, self.mels), "float32"),
            keras.KerasTensor(lengths.shape, "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        names = "sampling_rate frame_length hop fft_length mels fmin fmax floor normalise".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("seqzoo")
class SpecAugment(layers.Layer):
    """Hide some bands and some stretches of time from a network in training (Park et al. 2019, section 2).

    Inputs: ``x`` float ``[batch, frames, bands]`` and int32 ``lengths`` ``[batch]``; ``x`` comes back with
    zeros in the masks, which is the mean of a normalised spectrogram. Time is not warped: the paper's section
    5 finds that to give least, and the pipeline changes the speed.

    Args:
        bands: the widest mask over frequency, in bands; its width is drawn from 0 to this.
        band_masks: how many of those.
        time: the widest mask over time, as a share of the sequence.
        time_masks: how many of those.
        seed: of the drawing.
    """

    def __init__(
        self, bands: int = 8, band_masks: int = 2, time: float = 0.06, time_masks: int = 2,
        seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.bands, self.band_masks, self.time, self.time_masks = bands, band_masks, time, time_masks
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, lengths: Any, training: bool | None = False) -> Any:
        if not training:
            return x
        frames, bands = ops.shape(x)[1], x.shape[2]
        whole = ops.ones_like(lengths, dtype="float32")
        hidden = self._masks(self.band_masks, self.bands * whole, bands * whole, bands)[:, None, :]
        lengths = ops.cast(lengths, "float32")
        over_time = self._masks(self.time_masks, self.time * lengths, lengths, frames)[:, :, None]
        return ops.where(ops.logical_or(hidden, over_time), ops.zeros_like(x), x)

    def _masks(self, count, widest, lengths, size):
        """bool ``[batch, size]``: the union of ``count`` masks, each up to ``widest`` wide."""
        shape = (ops.shape(lengths)[0], count)
        width = keras.random.uniform(shape, seed=self.seed_generator) * (widest[:, None] + 1)
        start = keras.random.uniform(shape, seed=self.seed_generator) * (lengths[:, None] - width + 1)
        start, width = ops.floor(start)[:, :, None], ops.floor(width)[:, :, None]
        at = ops.arange(size, dtype="float32")[None, None, :]
        return ops.any(ops.logical_and(at >= start, at < start + width), axis=1)

    def compute_output_spec(self, x: Any, lengths: Any, training: bool | None = False) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        names = "bands band_masks time time_masks seed".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _at_least_0(x):
    """The greater of ``x`` and 0, for an int, an array or a tensor of any library."""
    return (x + abs(x)) // 2
