"""The picture of what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.families.speech_synthesis.normalise import Spoken


def draw(spoken: Spoken) -> Figure:
    """Draws waveform and spectrogram, and each word under its time.

    Args:
        spoken: a ``zoo.families.speech_synthesis.reader.Spoken``.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    seconds = spoken.seconds
    width = float(np.clip(1.5 * seconds, 6, 24))  # inches
    figure = Figure(figsize=(width, 4.5), layout="constrained")
    wave, mel = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 2]})
    figure.suptitle(spoken.text[: int(14 * width)], x=0.01, ha="left", fontweight="bold")
    draw_wave(wave, spoken.audio, seconds)
    draw_log_mel(mel, spoken.log_mel, seconds)
    mel.set(xlabel="seconds")
    for text, start, end in spoken.words:
        wave.axvspan(start, end, color="#f0e3c8", linewidth=0, zorder=0)
        wave.text((start + end) / 2, -1.05, text, ha="center", va="bottom", fontsize=8)
    return figure


def draw_wave(axes: Any, audio: np.ndarray, seconds: float) -> None:
    """A waveform, float ``[samples]``."""
    columns = np.array_split(audio, min(len(audio), 2000))
    low, high = [c.min() for c in columns], [c.max() for c in columns]
    axes.fill_between(np.linspace(0, seconds, len(columns)), low, high, color="#35618f", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(ylabel="waveform", xlim=(0, seconds), ylim=(-1.1, 1.1))


def draw_log_mel(axes: Any, log_mel: np.ndarray, seconds: float) -> None:
    """A spectrogram, float ``[frames, mels]``, natural logarithms of power."""
    top = log_mel.max()
    axes.imshow(
        log_mel.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, log_mel.shape[1]),
        vmin=top - 14, vmax=top, interpolation="nearest",
    )  # fmt: skip
    axes.set(ylabel="mel bands", xlim=(0, seconds))
