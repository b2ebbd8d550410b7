"""The picture of how a recording was heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(
    title: str, audio: np.ndarray, log_probs: np.ndarray, step: float, vocabulary: Sequence[str],
    characters: Sequence, words: Sequence, rate: int,
) -> Figure:  # fmt: skip
    """Draws waveform, spectrogram, probabilities of the characters, and the words under their times.

    Args:
        title: str, above all.
        audio: float32 ``[samples]``.
        log_probs: float ``[frames, labels]``.
        step: seconds of a frame.
        vocabulary: list of characters; label ``i + 1`` stands for character ``i``.
        characters: list of ``(character, start, end, probability)``, in seconds.
        words: list of ``zoo.families.deep_speech.reader.Word``.
        rate: samples a second of the audio.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MultipleLocator

    seconds = len(audio) / rate
    width = float(np.clip(1.2 * seconds, 9, 24))  # inches
    rows, placed = _rows(words, 0.1 * seconds / width)
    heights = [1.2, 2, 2, 0.25 + 0.25 * rows]
    figure = Figure(figsize=(width, 1.3 * sum(heights)), layout="constrained")
    wave, mel, likely, said = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    for axes in (wave, likely, said):
        axes.spines[["top", "right"]].set_visible(False)

    count = min(len(audio), int(width * 150))  # about a column of pixels each
    columns = np.array_split(audio, count)
    low, high = [c.min() for c in columns], [c.max() for c in columns]
    wave.fill_between(np.linspace(0, seconds, count), low, high, color="#35618f", linewidth=0.3)
    wave.set(ylabel="waveform", xlim=(0, seconds))
    wave.set_ylim(*np.array([-1.1, 1.1]) * max(1e-3, np.abs(audio).max()))

    values, edges = _log_mel(audio, rate)
    top = values.max()
    mel.imshow(
        values.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, edges[0], edges[-1]),
        vmin=max(values.min(), top - 12), vmax=top, interpolation="nearest",
    )  # fmt: skip
    hertz = np.array([f for f in (250, 500, 1000, 2000, 4000) if f < rate / 2])
    mel.set_yticks(_mel(hertz), [f"{f / 1000:g}" for f in hertz])
    mel.set(ylabel="log-mel spectrogram, kHz")

    probs = np.exp(log_probs)
    time = (np.arange(len(probs)) + 0.5) * step
    likely.fill_between(time, probs[:, 0], color="#e4e4e4", linewidth=0)
    colours = {c: "#777777" if c == " " else colormaps["tab10"](i % 10) for i, c in enumerate(vocabulary)}
    for label, colour in enumerate(colours.values(), 1):
        if probs[:, label].max(initial=0) > 0.02:
            likely.plot(time, probs[:, label], color=colour, linewidth=1.2)
            likely.fill_between(time, probs[:, label], color=colour, alpha=0.25, linewidth=0)
    labels = {character: i for i, character in enumerate(vocabulary, 1)}
    for character, start, end, _ in characters:
        top = probs[(time > start) & (time < end + step / 2), labels[character]].max(initial=0)
        shown = "␣" if character == " " else character
        likely.text((start + end) / 2, top + 0.03, shown, color=colours[character], ha="center", fontsize=9)
    likely.set(ylabel="characters", ylim=(0, 1.15), yticks=(0, 0.5, 1))

    for row, word in placed:
        said.plot([word.start, word.end], [-row, -row], color="#35618f", linewidth=3, solid_capstyle="butt")
        said.text((word.start + word.end) / 2, -row - 0.15, word.text, ha="center", va="top", fontsize=10)
    said.set(xlabel="seconds", ylabel="words", yticks=[], ylim=(0.3 - rows, 0.3))
    said.xaxis.set_major_locator(MultipleLocator(max(0.1, round(seconds / 20, 1)) if seconds < 10 else 1))
    figure.align_ylabels()
    return figure


def _rows(words, letter):
    """Puts words whose names would overlap in one row, ``letter`` seconds a letter, into several.

    Returns:
        The number of rows, and a list of (row, word).
    """
    ends, placed = [], []
    for word in words:
        half = max(word.end - word.start, letter * (len(word.text) + 1)) / 2
        middle = (word.start + word.end) / 2
        row = next((i for i, end in enumerate(ends) if end <= middle - half), len(ends))
        ends[row : row + 1] = [middle + half]
        placed.append((row, word))
    return max(1, len(ends)), placed


def _mel(hertz):
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def _log_mel(audio, rate, bands=80):
    """Natural logarithm of the power in mel bands: ``[frames, bands]``, and the bands' edges in mel."""
    frame, hop = rate // 40, rate // 100
    size = 1 << (frame - 1).bit_length()
    audio = np.pad(audio, (0, max(0, frame - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(audio, frame)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(frame), size)) ** 2
    edges = np.linspace(_mel(60), _mel(rate / 2), bands + 2)
    bins = _mel(np.fft.rfftfreq(size, 1 / rate))[:, None]
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0, np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)))
    return np.log(power @ weights + 1e-8), edges[1:-1]
