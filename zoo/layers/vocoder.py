"""From log-mel spectrograms back to sound, in operations that ONNX converts exactly."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.audio.mel import LogMel

_FRAMES = 64  # of noise, which then comes again
_PULSE = 0.8  # width of an excitation's pulse, in samples
_NOISE = 0.05  # of the excitation beside its pulses
_SURE = 0.3  # of the magnitude that is wanted has to be there for a phase to count as a whole


@keras.saving.register_keras_serializable("seqzoo")
class GriffinLim(layers.Layer):
    """Log-mel spectrogram and pitch -> a signal whose spectrogram is nearly that.

    The power of each frequency is what fits the bands best (multiplicative updates from their
    pseudo-inverse: Lee & Seung 2001, "Algorithms for Non-negative Matrix Factorization", equation 4). The
    phases begin as those of an excitation of the given pitch, pulses and noise, and are made consistent by
    the fast algorithm of Griffin and Lim (Perraudin et al. 2013, algorithm 2).

    Inputs: float32 ``[batch, frames, mels]``, natural logarithms of power; float32 ``[batch, frames]``, Hz, 0
    where there is no pitch; int32 ``[batch]``, valid frames. Output: float32 ``[batch, samples]``, ``hop *
    (frames - 1) + frame_length`` of them, about zero beyond ``samples(lengths)``.

    All is computed in float32. Transforms are products with fixed matrices. The layer has no weights.

    Args:
        sampling_rate, frame_length, hop, mels: of the ``LogMel`` whose inverse this is; a frame is a whole
            number of hops.
        iterations: of Griffin and Lim.
        momentum: of theirs; 0 is the original algorithm.
        updates: how often powers are fitted to the bands.

    Raises:
        ValueError: the frame is no multiple of the hop.
    """

    def __init__(
        self, sampling_rate: int, frame_length: int, hop: int, mels: int, iterations: int = 16,
        momentum: float = 0.9, updates: int = 24, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**{**kwargs, "dtype": "float32"})
        if frame_length % hop:
            raise ValueError(f"frame_length {frame_length} is no multiple of hop {hop}")
        self.sampling_rate, self.frame_length, self.hop, self.mels = sampling_rate, frame_length, hop, mels
        self.iterations, self.momentum, self.updates = iterations, momentum, updates
        mel = LogMel(sampling_rate, frame_length, hop, mels)
        self._forward, self._bands = mel.kernel, mel.bands  # [frame, 2 * bins], [bins, mels]
        self._pseudo = np.linalg.pinv(self._bands.astype("float64")).astype("float32")
        self._backward = self._inverse()
        random = np.random.default_rng(0)
        self._noise = random.standard_normal((_FRAMES, hop)).astype("float32")

    @property
    def constants(self) -> tuple:
        """The fixed matrices, which coarser weights would spoil."""
        return self._forward, self._backward, self._bands, self._pseudo, self._noise

    def samples(self, frames: Any) -> Any:
        """Samples of so many frames: an int, an array or a tensor."""
        return frames * self.hop + self.frame_length - self.hop

    def call(self, log_mel: Any, pitch: Any, lengths: Any) -> Any:
        frames = ops.shape(log_mel)[1]
        valid = ops.cast(ops.arange(frames, dtype="int32")[None] < lengths[:, None], "float32")[:, :, None]
        magnitude = ops.sqrt(self._power(ops.exp(ops.cast(log_mel, "float32")))) * valid
        spectrum = self._transform(self._excitation(ops.cast(pitch, "float32")))
        before = ops.zeros_like(spectrum)
        for _ in range(self.iterations):
            signal = self._signal(self._with(magnitude, spectrum))
            found = self._transform(signal)
            spectrum, before = found + self.momentum * (found - before), found
        return self._signal(self._with(magnitude, spectrum))

    def _power(self, mel):
        """float32 ``[batch, frames, mels]`` -> ``[batch, frames, bins]``, powers of 0 and more."""
        power = ops.maximum(ops.matmul(mel, self._pseudo), 1e-3 * ops.matmul(mel, self._bands.T) + 1e-12)
        wanted = ops.matmul(mel, self._bands.T)
        for _ in range(self.updates):
            have = ops.matmul(ops.matmul(power, self._bands), self._bands.T)
            power = power * wanted / (have + 1e-12)
        return power

    def _with(self, magnitude, spectrum):
        """The spectrum ``[batch, frames, 2 * bins]`` with other magnitudes."""
        real, imaginary = ops.split(spectrum, 2, axis=-1)
        power = ops.square(real) + ops.square(imaginary)
        # A phase that hardly anything tells would blow rounding up from one iteration to the next.
        scale = magnitude * ops.rsqrt(power + ops.square(_SURE * magnitude) + 1e-12)
        return ops.concatenate([real * scale, imaginary * scale], -1)

    def _transform(self, signal):
        """float32 ``[batch, samples]`` -> real and imaginary parts ``[batch, frames, 2 * bins]``."""
        hop, parts = self.hop, self.frame_length // self.hop
        hops = ops.reshape(signal, (ops.shape(signal)[0], -1, hop))
        frames = ops.shape(hops)[1] - parts + 1
        framed = ops.concatenate([hops[:, part : part + frames] for part in range(parts)], -1)
        return ops.matmul(framed, self._forward)

    def _signal(self, spectrum):
        """The signal that is nearest to a spectrum: what overlaps is added (their equation 6)."""
        hop, parts = self.hop, self.frame_length // self.hop
        framed = ops.matmul(spectrum, self._backward)
        total = 0.0
        for part in range(parts):
            piece = framed[:, :, part * hop : (part + 1) * hop]
            total = total + ops.pad(piece, ((0, 0), (part, parts - 1 - part), (0, 0)))
        return ops.reshape(total, (ops.shape(total)[0], -1))

    def _excitation(self, pitch):
        """Pulses of a pitch, and noise: float32 ``[batch, samples]`` for ``[batch, frames]``."""
        hop, parts = self.hop, self.frame_length // self.hop
        pitch = ops.pad(pitch, ((0, 0), (parts // 2, parts - 1 - parts // 2)))  # of the middle of a frame
        turns = pitch * (hop / self.sampling_rate)
        phase = ops.cumsum(turns, 1) - turns
        phase = phase - ops.floor(phase)
        within = phase[:, :, None] + turns[:, :, None] * (np.arange(hop, dtype="float32") / hop)
        apart = within - ops.floor(within + 0.5)  # turns to the nearest pulse
        period = self.sampling_rate / ops.maximum(pitch, 1.0)[:, :, None]
        pulses = ops.exp(-0.5 * ops.square(apart * period / _PULSE))
        pulses = ops.where(pitch[:, :, None] > 0, pulses, 0.0)
        row = ops.arange(ops.shape(pitch)[1], dtype="int32") % _FRAMES
        noise = ops.take(ops.convert_to_tensor(self._noise), row, axis=0)[None]
        mixed = pulses + _NOISE * noise
        return ops.reshape(mixed, (ops.shape(mixed)[0], -1))

    def _inverse(self):
        """``[2 * bins, frame]``: from a spectrum to a windowed frame, ready to be added to its neighbours."""
        length = size = self.frame_length
        n, k = np.arange(length), np.arange(size // 2 + 1)[:, None]
        angle = 2 * np.pi / size * (k * n % size)
        twice = np.where((k == 0) | (2 * k == size), 1.0, 2.0) / size
        window = 0.5 - 0.5 * np.cos(2 * np.pi * n / length)
        overlap = np.square(window).reshape(-1, self.hop).sum(0)
        weight = window / np.tile(overlap, length // self.hop)
        return (np.concatenate([twice * np.cos(angle), -twice * np.sin(angle)]) * weight).astype("float32")

    def compute_output_spec(self, log_mel: Any, pitch: Any, lengths: Any) -> Any:
        frames = log_mel.shape[1]
        return keras.KerasTensor((log_mel.shape[0], frames and self.samples(frames)), "float32")

    def get_config(self) -> dict[str, Any]:
        names = "sampling_rate frame_length hop mels iterations momentum updates".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
