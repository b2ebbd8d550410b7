import numpy as np

from zoo.audio.pauses import split


def test_cuts_are_the_same_at_every_rate():
    seconds = np.arange(50 * 48000) / 48000
    loud = ~sum(((seconds >= start) & (seconds < start + 0.6) for start in (9, 17, 31, 38, 44)), np.False_)
    syllables = 0.01 + 0.3 * np.sin(2 * np.pi * 1.5 * seconds) ** 4
    talk = (loud * syllables * np.sin(2 * np.pi * 200 * seconds)).astype(np.float32)
    found = {}
    for rate in (48000, 16000, 8000):
        audio = talk[:: 48000 // rate]
        pieces = list(split([audio[i : i + rate] for i in range(0, len(audio), rate)], rate))
        np.testing.assert_array_equal(np.concatenate([piece.audio for piece in pieces]), audio)
        assert all(len(piece.audio) <= 20 * rate for piece in pieces)
        found[rate] = [piece.start / rate for piece in pieces]
    np.testing.assert_allclose(found[16000], found[48000], atol=0.02)
    np.testing.assert_allclose(found[16000], found[8000], atol=0.02)
    assert len(found[16000]) > 3 and all(not loud[int(start * 48000) + 1] for start in found[16000][1:])


def test_steady_noise_is_not_heard():
    random, seconds = np.random.default_rng(0), np.arange(3 * 16000) / 16000
    hiss, hum = random.normal(0, 0.03, len(seconds)), 0.2 * np.sin(2 * np.pi * 50 * seconds)
    click = np.where((seconds > 1) & (seconds < 1.01), 0.9, 0)
    syllables = hiss + 0.1 * np.sin(2 * np.pi * 3 * seconds) ** 4 * np.sin(2 * np.pi * 200 * seconds)
    for sound, heard in ((hiss, False), (hum, False), (hiss + click, False), (syllables, True)):
        (piece,) = split([sound.astype(np.float32)], 16000)
        assert piece.heard is heard
