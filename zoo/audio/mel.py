"""Log-mel spectrograms by NumPy, and the fixed matrices of which they are made."""

from __future__ import annotations

import numpy as np


def fourier(frame_length: int, fft_length: int) -> np.ndarray:
    """``[frame, 2 * bins]``: cosines and sines, weighted by the periodic Hann window."""
    n = np.arange(frame_length)[:, None]
    angle = 2 * np.pi / fft_length * (n * np.arange(fft_length // 2 + 1) % fft_length)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / frame_length)
    return (window * np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)).astype("float32")


def triangles(
    sampling_rate: int, fft_length: int, mels: int, fmin: float = 20.0, fmax: float | None = None
) -> np.ndarray:
    """``[bins, mels]``: the weight of each frequency of a transform in each band.

    Raises:
        ValueError: bands out of range, or one so narrow that it holds no frequency of the transform.
    """

    def mel(hertz):
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)

    half = sampling_rate / 2
    fmax = half if fmax is None else fmax
    if not 0 <= fmin < fmax <= half:
        raise ValueError(f"fmin {fmin} and fmax {fmax} are not in order between 0 and {half}")
    edges = np.linspace(mel(fmin), mel(fmax), mels + 2)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.linspace(0, half, fft_length // 2 + 1))[:, None]
    bands = np.maximum(0, np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)))
    if not bands.any(axis=0).all():
        raise ValueError(f"{mels} mels are too many for a transform of {fft_length} samples")
    return bands.astype("float32")


class LogMel:
    """The spectrogram that ``zoo.layers.spectrogram.LogMelSpectrogram`` gives without normalising.

    Args:
        sampling_rate: samples a second.
        frame_length, hop: length and distance of the frames, in samples; the transform is as long as a frame.
        mels: bands.
        floor: least power of a band.

    Attributes:
        kernel: what ``fourier`` gives.
        bands: what ``triangles`` gives.
    """

    def __init__(
        self, sampling_rate: int, frame_length: int, hop: int, mels: int, floor: float = 1e-5
    ) -> None:
        self.sampling_rate, self.frame_length, self.hop, self.floor = sampling_rate, frame_length, hop, floor
        self.kernel = fourier(frame_length, frame_length)
        self.bands = triangles(sampling_rate, frame_length, mels)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """float ``[samples]`` in -1..1, with silence up to a whole frame -> float32 ``[frames, mels]``."""
        samples = np.asarray(samples, np.float32)
        samples = np.pad(samples, (0, max(0, self.frame_length - len(samples))))
        framed = np.lib.stride_tricks.sliding_window_view(samples, self.frame_length)[:: self.hop]
        real, imaginary = np.split(framed @ self.kernel, 2, axis=1)
        power = (np.square(real) + np.square(imaginary)) @ self.bands
        return np.log(np.maximum(power, self.floor))

    @property
    def peaks(self) -> np.ndarray:
        """The middle frequency of each band, Hz: float32 ``[mels]``."""
        bins = np.linspace(0, self.sampling_rate / 2, len(self.bands))
        return (bins @ self.bands / self.bands.sum(0)).astype("float32")
