import keras
import numpy as np
import pytest

from zoo.audio.mel import LogMel
from zoo.layers.spectrogram import LogMelSpectrogram
from zoo.layers.vocoder import GriffinLim

RATE, FRAME, HOP, MELS = 8000, 400, 100, 40


def glide(seconds=1.0):
    """A buzz whose pitch rises: float32 samples, and its pitch at each."""
    pitch = np.linspace(150, 250, int(seconds * RATE))
    turns = np.cumsum(pitch) / RATE
    return (sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 12)) * 0.1).astype("float32"), pitch


def test_numpy_gives_what_the_layer_gives():
    audio, _ = glide()
    layer = LogMelSpectrogram(RATE, FRAME, HOP, FRAME, MELS, floor=1e-5)
    wanted, frames = layer(audio[None], np.array([len(audio)], "int32"))
    mel = LogMel(RATE, FRAME, HOP, MELS)
    np.testing.assert_allclose(mel(audio), np.asarray(wanted)[0], atol=1e-3)
    assert len(mel(audio)) == int(frames[0]) and mel(np.zeros(3)).shape == (1, MELS)
    assert np.diff(mel.peaks).min() > 0 and mel.peaks[-1] < RATE / 2


def test_sound_comes_back():
    """What comes back has the spectrogram again; without a pitch the phases have to be found."""
    audio, pitch = glide()
    mel = LogMel(RATE, FRAME, HOP, MELS)
    log_mel = mel(audio)
    hertz = pitch[FRAME // 2 :: HOP][: len(log_mel)].astype("float32")
    loud, apart = log_mel > log_mel.max() - 8, []
    for iterations, told in ((0, hertz), (0, 0 * hertz), (30, 0 * hertz)):
        layer = GriffinLim(RATE, FRAME, HOP, MELS, iterations)
        layer = GriffinLim.from_config(layer.get_config())
        found = np.asarray(layer(log_mel[None], told[None], np.array([len(log_mel)], "int32")))[0]
        assert len(found) == layer.samples(len(log_mel)) and np.isfinite(found).all()
        apart.append(np.abs(mel(found) - log_mel)[loud].mean())
    assert max(apart[0], apart[2]) < 0.6 * apart[1]


def test_what_is_beyond_a_length_is_silent():
    audio, _ = glide()
    log_mel = LogMel(RATE, FRAME, HOP, MELS)(audio)[None]
    layer = GriffinLim(RATE, FRAME, HOP, MELS, 2)
    short, hertz = np.array([30], "int32"), np.full((1, 30), 200, "float32")
    alone = np.asarray(layer(log_mel[:, :30], hertz, short))
    hertz = np.pad(hertz, ((0, 0), (0, log_mel.shape[1] - 30)))
    padded = np.asarray(layer(log_mel, hertz, short))
    np.testing.assert_allclose(padded[:, : layer.samples(30)], alone, atol=1e-4)
    assert np.abs(padded[:, layer.samples(30) :]).max() < 1e-5


def test_frames_that_do_not_fit():
    with pytest.raises(ValueError, match="no multiple of hop"):
        GriffinLim(RATE, 400, 300, MELS)
    assert keras.saving.get_registered_object("seqzoo>GriffinLim") is GriffinLim
