"""Speech heard while it comes in: pieces give what the whole gives, in Keras, ONNX and the command."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from helpers import small_deep_speech

import zoo
from zoo import cli
from zoo.audio.incoming import incoming
from zoo.errors import UserError
from zoo.families.deep_speech.network import DeepSpeechConfig
from zoo.families.deep_speech.streaming import inputs_of

RATE = 16000
FRAME = 640  # samples: 40 ms


def small(**settings):
    """A model that spells much, in which every state counts."""
    task = small_deep_speech(0.3, **{"lookahead": 3} | settings)
    weights = task.weights()
    weights["logits/kernel"] *= 8
    task.set_weights({k: np.abs(v) if "variance" in k else v for k, v in weights.items()})
    return task


def sound(seconds, seed=0):
    """Syllables of changing pitch and loudness in noise."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    syllables = np.arange(0, seconds + 0.2, 0.1)
    pitch = np.interp(time, syllables, random.uniform(90, 900, len(syllables)))
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * (np.sin(7 * time) > 0)
    return (0.2 * tone + 0.01 * random.standard_normal(len(time))).astype("float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    small().save(folder / "task")
    assert cli.main(["export", str(folder / "task"), "--output", str(folder / "model.onnx")]) == 0
    return folder / "model.onnx"


def served(task, audio, lengths, states):
    inputs = {"audio": audio, "audio_lengths": np.array(lengths, "int32"), "states": states}
    found = task.serving.function({k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()})
    return {k: np.asarray(v) for k, v in found.items()}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lookahead": 1, "stride": 3, "context": 2},
        {"recurrent_cell": "gru", "batch_norm": True},
        {"recurrent_cell": "lstm"},
    ],
)
def test_pieces_give_what_the_whole_gives(settings):
    task = small(**settings)
    frame = task.streamed.frame
    audio = np.stack([sound(8, 1), sound(8, 2)])[:, : 190 * frame]
    zeros = np.zeros((2, task.streamed.size), "float32")
    whole = served(task, audio, [190 * frame, 140 * frame], zeros)
    assert whole["label_lengths"].min() > 3
    states, parts, at = zeros[:1], [], 0
    for frames in (8, 1, 2, 40, 3, 130, 6):
        part = served(task, audio[:1, at * frame : (at + frames) * frame], [frames * frame], states)
        states, at = part["new_states"], at + frames
        parts.append(part)
    assert at == 190
    np.testing.assert_allclose(
        np.concatenate([p["log_probs"][0] for p in parts]), whole["log_probs"][0], atol=2e-3
    )
    count = whole["label_lengths"][0]
    for name, close in (("labels", 0), ("starts", 1e-5)):
        joined = np.concatenate([p[name][0, : p["label_lengths"][0]] for p in parts])
        np.testing.assert_allclose(joined, whole[name][0, :count], atol=close)
    np.testing.assert_allclose(states, whole["new_states"][:1], rtol=1e-4, atol=1e-3)
    # The padded row is as alone.
    alone = served(task, audio[1:, : 140 * frame], [140 * frame], zeros[:1])
    np.testing.assert_allclose(alone["log_probs"][0], whole["log_probs"][1, :140], atol=1e-4)
    np.testing.assert_allclose(alone["new_states"], whole["new_states"][1:], rtol=1e-5, atol=1e-5)


@pytest.mark.thorough
def test_on_jax_they_do_too(passes_on_jax):
    assert passes_on_jax(__file__, tests="pieces_give") == 4


def test_nothing_later_than_the_lookahead_counts():
    task = small()
    stream = task.streamed
    audio, other = sound(4, 1)[None, : 100 * FRAME], sound(4, 2)[None, : 100 * FRAME]
    changed = np.concatenate([audio[:, : 60 * FRAME], other[:, 60 * FRAME :]], axis=1)
    zeros = np.zeros((1, stream.size), "float32")
    a, b = (served(task, one, [100 * FRAME], zeros)["log_probs"][0] for one in (audio, changed))
    np.testing.assert_array_equal(a[:60], b[:60])
    assert np.abs(a[60:] - b[60:]).max() > 0.1
    # Every frame tells of the sound before it, ``flush`` frames at most, and of all that came earlier.
    assert stream.flush == 3 + 3 and stream.delay == 3 + 1.5


def test_a_recording_ends_with_silence_that_brings_out_its_end():
    task = small()
    audio = [sound(1.01), sound(0.5)]
    inputs = inputs_of(audio, task.reader.config)
    stream = task.streamed
    assert inputs["audio_lengths"].tolist() == [stream.frames(len(one)) * FRAME for one in audio]
    assert stream.frames(len(audio[0])) == 26 + stream.flush
    assert inputs["audio"].shape == (2, inputs["audio_lengths"].max()) and not inputs["states"].any()
    batch = {
        "audio": np.round(np.stack([np.pad(one, (0, len(audio[0]) - len(one))) for one in audio]) * 32768),
        "audio_lengths": np.array([len(one) for one in audio], "int32"),
        "labels": np.ones((2, 1), "int32"),
        "label_lengths": np.ones(2, "int32"),
    }
    collated, _ = task.collate(batch, 1)
    assert np.array_equal(collated["audio_lengths"], inputs["audio_lengths"])
    assert (
        collated["audio"].shape[1] % (4 * FRAME) == 0
        and collated["audio"].shape[1] >= inputs["audio"].shape[1]
    )
    assert np.asarray(task.logit_lengths(collated)).tolist() == [stream.frames(len(one)) for one in audio]


def test_follow(exported):
    model = zoo.load(str(exported))
    audio = np.concatenate([sound(3), np.zeros(2 * RATE, "float32"), sound(2.5, 3)])
    (whole,) = model.predict([audio], details=True, decoder="greedy")
    moments = list(model.reader.follow(iter(np.array_split(audio, 37)), decoder="greedy"))
    last = [moment for moment in moments if moment.final]
    assert moments[-1].final and len(last) < len(moments)
    letters = "".join(moment.text for moment in last).replace(" ", "")
    assert letters == whole.text.replace(" ", "") and len(letters) > 20
    assert all(a.seconds <= b.seconds for a, b in zip(moments, moments[1:], strict=False))
    for one in last:
        assert all(0 <= w.start <= w.end <= one.seconds for w in one.words)
    # What is told of an utterance before it ends is how it begins.
    first = [moment.text for moment in moments[: moments.index(last[0]) + 1]]
    assert all(b.startswith(a) for a, b in zip(first, first[1:], strict=False))


def wav(audio, rate=RATE, channels=1, form=(1, 16), size=0xFFFFFFFF):
    bits = form[1]
    values = np.repeat(audio[:, None], channels, axis=1)
    values = (
        values.astype("<f4") if form[0] == 3 else np.round(values * 2 ** (bits - 1)).astype(f"<i{bits // 8}")
    )
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size, b"WAVE", b"fmt ", 16, form[0], channels, rate,
        rate * channels * bits // 8, channels * bits // 8, bits, b"data", size,
    )  # fmt: skip
    return head + values.tobytes()


def parts(data, size):
    return (data[i : i + size] for i in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("form", [None, (1, 16), (1, 32), (3, 32)])
def test_incoming(form, size):
    audio = sound(0.2)
    data = wav(audio, channels=2, form=form) if form else np.round(audio * 32768).astype("<i2").tobytes()
    heard = np.concatenate(list(incoming(parts(data + b"\0", size))))
    np.testing.assert_allclose(heard, audio, atol=2e-5)


def test_incoming_of_another_rate():
    audio = sound(1.0)
    heard = np.concatenate(list(incoming(parts(wav(audio, 48000), 999))))
    assert abs(len(heard) - len(audio) / 3) < 3


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"fLaC" + b"\0" * 99, "FLAC cannot be followed; give WAV"),
        (b"", "there is no sound in it"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "has no samples"),
        (wav(np.zeros(9, "float32"), form=(1, 16)).replace(b"\x10\0data", b"\x08\0data"), "of 8 bits"),
    ],
)
def test_sound_that_cannot_be_followed(data, why):
    with pytest.raises(UserError, match=why):
        list(incoming(parts(data, 50), name="standard input"))


def test_models_that_need_whole_recordings_cannot_follow():
    with pytest.raises(UserError, match="hears whole recordings; --follow is for one with lookahead"):
        small(lookahead=0).reader.follow([np.zeros(99, "float32")])
    with pytest.raises(ValueError, match="lookahead is for a subsampling of 1"):
        DeepSpeechConfig(lookahead=2, subsampling=2)
    with pytest.raises(ValueError, match="take a longer context"):
        DeepSpeechConfig(lookahead=2, context=1)
    with pytest.raises(ValueError, match="recurrent_cell is one of simple, gru, lstm"):
        DeepSpeechConfig(lookahead=2, recurrent_cell="skip")
    with pytest.raises(ValueError, match="0 or more"):
        DeepSpeechConfig(lookahead=-1)


def test_command(exported, tmp_path, capfd):
    audio = np.round(sound(3) * 32768).astype("<i2")
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    model = str(exported)
    assert cli.main(["predict", model, str(tmp_path / "a.wav")]) == 0
    whole = capfd.readouterr().out
    assert cli.main(["predict", model, "--follow", str(tmp_path / "a.wav")]) == 0
    followed = capfd.readouterr().out
    assert followed.replace("\n", "").replace(" ", "") == whole.strip().replace(" ", "")
    command = [sys.executable, "-m", "zoo", "predict", model, "--follow", "-", "--format", "jsonl"]
    for data in (audio.tobytes(), (tmp_path / "a.wav").read_bytes()):
        found = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
        moments = [json.loads(line) for line in found.splitlines()]
        assert [m["text"] for m in moments if m["final"]] == followed.splitlines()
    assert cli.main(["predict", model, "--follow", str(tmp_path / "a.wav"), "--format", "srt"]) == 2
    assert "--format srt is for a recording that is whole" in capfd.readouterr().err
    host = Path(__file__).parents[2] / "docs" / "hosts" / "deep_speech_stream.py"
    found = subprocess.run(
        [sys.executable, host, model], input=audio.tobytes(), capture_output=True, check=True
    )
    assert " ".join(found.stdout.decode().split()) == whole.strip()


def test_picture(exported, tmp_path):
    """Where characters are drawn there are their probabilities: the output's delay is gone from both."""
    model = zoo.load(str(exported))
    audio = np.concatenate([np.zeros(RATE // 2, "float32"), sound(1.5)])
    model.reader.picture((audio, RATE), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_bits(exported, tmp_path):
    assert (
        cli.main(["export", str(exported.parent / "task"), "--int8", "--output", str(tmp_path / "m.onnx")])
        == 0
    )
    model = zoo.load(str(tmp_path / "m.onnx"))
    audio = sound(3)
    (whole,) = model.predict([audio], decoder="greedy")
    final = [m.text for m in model.reader.follow([audio]) if m.final]
    assert "".join(final).replace(" ", "") == whole.replace(" ", "")
