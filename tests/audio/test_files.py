import io
import os
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.audio import files as audio
from zoo.audio.files import blocks, duration, read_audio
from zoo.errors import UserError


def tone(seconds=1.0, rate=16000, frequency=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype("float32")


def encoded(samples, rate=16000, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


# === Every kind of audio ===


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 0.01), ("WAV", "PCM_16", 1e-4), ("WAV", "PCM_24", 1e-6), ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 0), ("WAV", "ULAW", 0.02), ("FLAC", "PCM_16", 1e-4), ("AIFF", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.03), ("MP3", "MPEG_LAYER_III", 0.05), ("OGG", "OPUS", 0.05),
    ],
)  # fmt: skip
def test_formats(kind, subtype, tolerance, tmp_path):
    samples = tone(2, frequency=300) * np.hanning(32000).astype("float32")
    data = encoded(samples, kind=kind, subtype=subtype)
    (tmp_path / "audio").write_bytes(data)
    found = read_audio(data)
    assert found.dtype == np.float32 and found.shape == samples.shape
    np.testing.assert_allclose(found, samples, atol=tolerance)
    np.testing.assert_array_equal(read_audio(tmp_path / "audio"), found)
    assert duration(tmp_path / "audio") == 2


def test_blocks_of_an_mp3_are_not_damaged(tmp_path):
    noise = np.random.default_rng(0).normal(size=200_000) * 0.1
    data = encoded(noise, kind="MP3")
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(read_audio(data), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_resampling_keeps_frequency_and_level(rate):
    found = read_audio(encoded(tone(2, rate, 1000.0), rate, subtype="FLOAT"))
    assert abs(len(found) - 32000) <= 1
    middle = found[8000:24000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) == 1000  # a bin is 1 Hz wide
    np.testing.assert_allclose(middle, tone(2, 16000, 1000.0)[8000:24000], atol=1e-3)


def test_no_aliases():
    assert np.abs(read_audio((tone(1, 48000, 12000.0), 48000))[2000:-2000]).max() < 1e-4


def test_agrees_with_scipy():
    low = np.fft.rfft(np.random.default_rng(0).normal(size=44100) * 0.1)
    low[7000:] = 0  # Hz; both keep what is well below the half of 16 kHz
    sound = np.fft.irfft(low, 44100)
    expected = scipy.signal.resample(sound, 16000)
    np.testing.assert_allclose(read_audio((sound, 44100))[500:-500], expected[500:-500], atol=1e-3)


def test_channels_are_averaged():
    channels = np.stack([tone(frequency=100.0 * (i + 1)) for i in range(6)], 1)
    found = read_audio(encoded(channels, subtype="FLOAT"))
    np.testing.assert_allclose(found, channels.mean(1), atol=1e-6)
    np.testing.assert_allclose(read_audio(channels), found, atol=1e-6)


def test_arrays():
    samples = tone()
    for array, tolerance in [
        (samples.astype("float64"), 1e-7),
        ((samples * 32768).astype("int16"), 1e-4),
        ((samples.astype("float64") * 2**31).astype("int32"), 1e-6),
        ((samples * 128 + 128).astype("uint8"), 0.01),
        (samples[:, None], 0),
    ]:
        np.testing.assert_allclose(read_audio(array), samples, atol=tolerance)


def test_silence_and_clipping_are_audio():
    assert not read_audio(encoded(np.zeros(16000))).any()
    assert read_audio(encoded(np.sign(tone(level=1.0)))).max() > 0.99


# === Streams ===


@settings(deadline=None, max_examples=15)
@given(
    rate=st.sampled_from([8000, 16000, 44100]),
    length=st.floats(0.2, 9.0),
    seconds=st.floats(0.1, 5.0),
)
def test_blocks_joined_are_the_whole(rate, length, seconds, tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "talk.flac"
    sound = np.random.default_rng(0).normal(size=(round(length * rate), 2)) * 0.1
    soundfile.write(path, sound, rate)
    parts = list(blocks(path, seconds))
    assert {len(part) for part in parts[:-1]} <= {round(seconds * 16000)}
    assert 0 < len(parts[-1]) <= round(seconds * 16000)
    np.testing.assert_array_equal(np.concatenate(parts), read_audio(path))
    assert duration(path) == pytest.approx(round(length * rate) / rate)


def test_a_long_recording_is_not_held_whole(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(audio._File, "read", _counting(audio._File.read, read))
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 600, "int16"), 16000)
    stream = blocks(tmp_path / "long.wav", 10)
    assert len(next(stream)) == 160_000
    assert sum(read) < 16000 * 20
    assert 160_000 + sum(map(len, stream)) == 16000 * 600


def _counting(function, counts):
    def counted(self, frames, **options):
        counts.append(frames)
        return function(self, frames, **options)

    return counted


# === What cannot be read ===


def with_size(size):
    """A WAV whose header names so many bytes."""
    data = bytearray(encoded(tone()))
    data[4:8] = data[40:44] = struct.pack("<I", size)
    return bytes(data)


BAD = {
    "empty.wav": (b"", "is empty"),
    "text.wav": (b"Just a letter, no audio.\n" * 200, "not a readable audio file"),
    "header.wav": (encoded(tone())[:30], "truncated"),
    "cut.wav": (encoded(tone())[:20_000], "truncated"),
    "cut.aiff": (encoded(tone(), kind="AIFF")[:20_000], "truncated"),
    "cut.flac": (encoded(tone(), kind="FLAC")[:5_000], "damaged"),
    "cut.ogg": (encoded(tone(3), kind="OGG")[:-100], "truncated"),
    "cut.opus": (encoded(tone(3), kind="OGG", subtype="OPUS")[:-1], "truncated"),
    "cut.mp3": (encoded(tone(9), kind="MP3")[:3_000], "truncated"),
    "none.wav": (encoded(np.zeros(0)), "0.00 seconds are too short"),
    "short.wav": (encoded(tone(0.05)), "0.05 seconds are too short"),
    "short.flac": (encoded(tone(0.05, 48000), 48000, "FLAC"), "0.05 seconds are too short"),
    "nan.wav": (encoded(np.where(np.arange(16000) == 9000, np.nan, 0), subtype="FLOAT"), "not numbers"),
    "inf.wav": (encoded(np.full(16000, -np.inf), subtype="FLOAT"), "not numbers"),
    "loud.wav": (encoded(tone(level=30_000), subtype="FLOAT"), "scale them"),
    "slow.wav": (encoded(np.zeros(16000), 100), "100 samples a second are too few"),
    "sound.raw": (bytes(range(256)) * 100, "not a readable audio file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path):
    data, reason = BAD[name]
    path = tmp_path / name
    path.write_bytes(data)
    for read in (lambda: read_audio(path), lambda: list(blocks(path, 1))):
        with pytest.raises(UserError) as caught:
            read()
        assert str(path) in str(caught.value) and reason in str(caught.value)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_missing_files(tmp_path):
    for read in (read_audio, duration, lambda path: next(blocks(path, 1))):
        with pytest.raises(UserError, match="none.wav: there is no such file"):
            read(tmp_path / "none.wav")
        with pytest.raises(UserError, match="cannot be read"):
            read(tmp_path)


def test_a_recording_that_is_too_long(monkeypatch, tmp_path):
    monkeypatch.setattr(audio, "LIMIT", 3)
    (tmp_path / "long.wav").write_bytes(encoded(tone(3.1)))
    for read in (read_audio, duration):
        with pytest.raises(UserError, match="long.wav: it is longer"):
            read(tmp_path / "long.wav")
    with pytest.raises(UserError, match="the array: it is longer"):
        read_audio(tone(3.1))
    assert len(read_audio(tone(3))) == 48_000


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000, 32_100])
def test_a_wav_written_to_a_pipe_is_read_as_far_as_it_goes(size, tmp_path):
    np.testing.assert_allclose(read_audio(with_size(size)), tone(), atol=1e-4)


@pytest.mark.parametrize(("kind", "chunk"), [("WAV", b"data"), ("AIFF", b"SSND")])
@pytest.mark.parametrize("size", [0, 2000])
@pytest.mark.parametrize("whole", [False, True])
def test_a_header_with_too_small_a_length_is_not_believed(kind, chunk, size, whole, tmp_path):
    order = "little" if kind == "WAV" else "big"
    data = bytearray(encoded(tone(), kind=kind))
    at = data.index(chunk) + 4
    data[at : at + 4] = size.to_bytes(4, order)
    if whole:
        data[4:8] = (at - 4 + size).to_bytes(4, order)
    path = tmp_path / "recording"
    path.write_bytes(data)
    for found in (read_audio(path), read_audio(bytes(data)), np.concatenate(list(blocks(path, 0.3)))):
        np.testing.assert_allclose(found, tone(), atol=1e-4)
    assert duration(path) == 1


def test_chunks_after_the_samples_are_no_samples():
    data = encoded(tone()) + b"LIST" + struct.pack("<I", 400) + b"INFO" + bytes(396)
    assert len(read_audio(data)) == 16_000


def test_a_flac_without_a_length(tmp_path):
    data = bytearray(encoded(tone(), kind="FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO's total samples: 0 is unknown
    (tmp_path / "stream.flac").write_bytes(data)
    np.testing.assert_allclose(read_audio(bytes(data)), tone(), atol=1e-4)
    assert duration(tmp_path / "stream.flac") == 1


def test_bad_arrays():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array, reason in [
            (np.zeros((2, 16000)), "shape"),
            (np.zeros((2, 3, 4)), "shape"),
            (np.zeros((16000, 0)), "shape"),
            (np.zeros(16000, bool), "bool"),
            (np.zeros(16000, complex), "complex"),
            (np.zeros(0), "too short"),
            (tone(level=30_000), "scale them"),
            ((tone(), 16), "too few"),
        ]:
            with pytest.raises(UserError, match=f"my array.*{reason}"):
                read_audio(array, name="my array")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damage_never_crashes(data):
    kind, subtype = data.draw(
        st.sampled_from([("WAV", None), ("FLAC", None), ("OGG", None), ("OGG", "OPUS")])
    )
    damaged = bytearray(encoded(tone(0.5), kind=kind, subtype=subtype))
    places = st.dictionaries(st.integers(0, len(damaged) - 1), st.integers(0, 255), max_size=8)
    for place, value in data.draw(places).items():
        damaged[place] = value
    try:
        assert np.isfinite(read_audio(bytes(damaged))).all()
    except UserError as error:
        assert "the audio" in str(error)


def test_reading_audio_loads_no_framework():
    program = (
        "import sys, zoo.audio.files, zoo.text.normalise; print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ)
    assert run.stdout.strip() == "set()", run.stderr
