import collections
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from zoo.contract.serving import TensorSpec
from zoo.layers.spectrogram import LogMelSpectrogram

USUAL = {"sampling_rate": 16000, "frame_length": 400, "hop": 160, "fft_length": 512, "mels": 80, "fmin": 20.0}
OTHER = {"sampling_rate": 8000, "frame_length": 201, "hop": 100, "fft_length": 256, "mels": 23, "fmin": 300.0}


def some_audio(batch, samples, seed=0):
    """Tones and noise of changing loudness."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16000
    tones = sum(np.sin(2 * np.pi * f * time) for f in random.uniform(50, 7000, (6, batch, 1)))
    loudness = np.repeat(10 ** random.uniform(-3, 0, (batch, samples // 100 + 1)), 100, axis=1)[:, :samples]
    return (0.1 * loudness * (tones + random.normal(size=(batch, samples)))).astype("float32")


def reference(audio, sampling_rate, frame_length, hop, fft_length, mels, fmin, fmax=None, floor=1e-10):
    """float64 ``[frames, mels]`` of one sequence, with NumPy's transform."""
    starts = range(0, len(audio) - frame_length + 1, hop)
    frames = np.array([audio[i : i + frame_length] for i in starts], float).reshape(-1, frame_length)
    window = np.hanning(frame_length + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window, fft_length)) ** 2

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = np.linspace(mel(fmin), mel(fmax or sampling_rate / 2), mels + 2)
    bins = mel(np.fft.rfftfreq(fft_length, 1 / sampling_rate))
    bands = [np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(mels)]
    return np.log(np.maximum(power @ np.transpose(bands), floor))


def run(layer, audio, lengths):
    x, frames = layer(ops.convert_to_tensor(audio), ops.convert_to_tensor(np.array(lengths, "int32")))
    x, frames = np.asarray(x), np.asarray(frames)
    assert x.dtype == "float32" and frames.dtype == "int32"
    return x, frames


@pytest.mark.parametrize("options", [USUAL, OTHER, {**USUAL, "fmax": 4000.0, "floor": 1e-3}])
def test_against_numpy(options):
    audio = some_audio(2, 9000)
    x, frames = run(LogMelSpectrogram(**options), audio, [9000, 9000])
    for i in range(2):
        wanted = reference(audio[i], **options)
        assert frames[i] == len(wanted)
        np.testing.assert_allclose(x[i], wanted, rtol=1e-4, atol=1e-4)


def test_against_tensorflow():
    tf = pytest.importorskip("tensorflow")
    audio = some_audio(2, 9000, seed=1)
    power = tf.abs(tf.signal.stft(audio, 400, 160, 512)) ** 2
    bands = tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, 20.0, 8000.0)
    wanted = tf.math.log(tf.maximum(power @ bands, 1e-10)).numpy()
    x, _ = run(LogMelSpectrogram(), audio, [9000, 9000])
    np.testing.assert_allclose(x, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_against_librosa():
    librosa = pytest.importorskip("librosa")
    audio = some_audio(1, 9000, seed=2)
    # librosa puts the window into the middle of the transform, and its triangles are linear in Hz, not
    # in mel: the same corners, other sides.
    padded = np.pad(audio[0], 56)
    power = np.abs(librosa.stft(padded, n_fft=512, win_length=400, hop_length=160, center=False)) ** 2
    power = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=20, htk=True, norm=None) @ power
    x, frames = run(LogMelSpectrogram(mels=40), audio, [9000])
    assert frames[0] == power.shape[1]
    difference = np.abs(x[0] - np.log(power.T))
    assert difference.mean() < 0.03 and difference.max() < 0.4


def test_a_tone_is_in_its_band():
    time = np.arange(16000) / 16000
    x, _ = run(LogMelSpectrogram(), np.sin(2 * np.pi * 1000 * time)[None].astype("float32"), [16000])
    edges = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), 82)
    nearest = np.abs(edges[1:-1] - 2595 * np.log10(1 + 1000 / 700)).argmin()
    assert (x[0].argmax(axis=1) == nearest).all()
    # Half the window's sum, squared, is the power of a full-scale tone in its bin.
    assert x.max() == pytest.approx(np.log(100**2), abs=0.5)


@pytest.mark.parametrize("normalise", [None, "bands", "whole"])
def test_padding_changes_nothing(normalise):
    layer = LogMelSpectrogram(normalise=normalise)
    lengths = [9000, 5203, 400, 399, 1, 0, 559, 560]
    audio = some_audio(len(lengths), 9000)  # what is beyond a length is as loud as what is before
    x, frames = run(layer, audio, lengths)
    assert frames.tolist() == [54, 31, 1, 0, 0, 0, 1, 2]
    for i, (length, count) in enumerate(zip(lengths, frames, strict=True)):
        assert not x[i, count:].any()
        alone, one = run(layer, audio[i : i + 1, :length], [length])
        assert one[0] == count and alone.shape == (1, max(count, 1), 80)
        np.testing.assert_allclose(alone[0, :count], x[i, :count], atol=1e-4)
        assert not alone[0, count:].any()


def test_silence_and_normalisation():
    audio = np.stack([np.zeros(4000, "float32"), some_audio(1, 4000)[0]])
    x, _ = run(LogMelSpectrogram(floor=1e-8), audio, [4000, 4000])
    np.testing.assert_allclose(x[0], np.log(1e-8), rtol=1e-6)
    x, frames = run(LogMelSpectrogram(normalise="bands"), audio, [4000, 3000])
    np.testing.assert_allclose(x[0], 0, atol=1e-3)
    valid = x[1, : frames[1]]
    np.testing.assert_allclose(valid.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(valid.std(axis=0), 1, atol=1e-3)
    x, _ = run(LogMelSpectrogram(normalise="whole"), audio, [4000, 3000])
    valid = x[1, : frames[1]]
    np.testing.assert_allclose([valid.mean(), valid.std()], [0, 1], atol=1e-3)
    assert np.ptp(valid.mean(axis=0)) > 0.5, "the colour stays"
    one, _ = run(LogMelSpectrogram(normalise="bands"), audio[1:, :400], [400])
    np.testing.assert_allclose(one, 0, atol=1e-3)  # a single frame is its own mean


def test_number_of_frames():
    layer = LogMelSpectrogram()
    samples = np.array([0, 1, 399, 400, 559, 560, 16000], "int32")
    wanted = [0, 0, 0, 1, 1, 2, 98]
    assert [layer.frames(int(n)) for n in samples] == wanted
    assert layer.frames(samples).tolist() == wanted
    assert np.asarray(layer.frames(ops.convert_to_tensor(samples))).tolist() == wanted


def test_in_a_model_that_is_saved(tmp_path):
    audio = keras.Input((None,), name="audio")
    lengths = keras.Input((), dtype="int32", name="lengths")
    layer = LogMelSpectrogram(**OTHER, fmax=3000.0, floor=1e-6, normalise="bands")
    model = keras.Model([audio, lengths], layer(audio, lengths))
    assert model.outputs[0].shape == (None, None, 23) and model.outputs[1].dtype == "int32"
    assert not model.weights
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    given = [some_audio(2, 3000), np.array([3000, 2000], "int32")]
    for one, other in zip(model.predict(given, verbose=0), again.predict(given, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    static = layer(keras.Input((1000,)), lengths)[0]
    assert static.shape == (None, layer.frames(1000), 23)
    assert layer(keras.Input((100,)), lengths)[0].shape == (None, 1, 23)


def test_half_precision_stays_outside():
    audio = some_audio(1, 2000)
    wanted, _ = run(LogMelSpectrogram(), audio, [2000])
    found, _ = run(LogMelSpectrogram(dtype="mixed_float16"), audio, [2000])
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_length": 600}, "frame_length 600 is longer than fft_length 512"),
        ({"fmin": 5000.0, "fmax": 4000.0}, "5000.0 and fmax 4000.0 are not in order between 0 and 8000.0"),
        ({"fmax": 9000.0}, "fmin 20.0 and fmax 9000.0 are not in order"),
        ({"mels": 200}, "200 mels are too many for a transform of 512 samples"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        LogMelSpectrogram(**options)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports with TensorFlow")
@pytest.mark.parametrize("normalise", [None, "bands", "whole"])
def test_onnx_gives_what_keras_gives(normalise):
    import onnxruntime
    import tensorflow as tf

    from export import onnx_graph

    layer = LogMelSpectrogram(normalise=normalise)
    serving = SimpleNamespace(
        inputs=(
            TensorSpec("audio", "float32", ("batch", "samples")),
            TensorSpec("lengths", "int32", ("batch",)),
        ),
        outputs=(
            TensorSpec("x", "float32", ("batch", "time", 80)),
            TensorSpec("frames", "int32", ("batch",)),
        ),
    )
    signature = [tf.TensorSpec([None, None], name="audio"), tf.TensorSpec([None], tf.int32, name="lengths")]

    def serve(audio, lengths):
        return dict(zip(("x", "frames"), layer(audio, lengths), strict=True))

    function = tf.function(serve, input_signature=signature, autograph=False)
    model = onnx_graph.build(serving, function)
    kinds = collections.Counter(node.op_type for node in model.graph.node)
    assert kinds["Conv"] == 1 and not kinds.keys() & {"Loop", "Scan", "If"}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for batch, samples, seed in [(1, 16000, 0), (4, 5003, 1), (2, 400, 2), (3, 399, 3), (1, 1, 4), (2, 0, 5)]:
        audio = some_audio(batch, samples, seed)
        lengths = np.random.default_rng(seed).integers(0, samples + 1, batch).astype("int32")
        lengths[0] = samples
        x, frames = session.run(["x", "frames"], {"audio": audio, "lengths": lengths})
        wanted, counts = run(layer, audio, lengths)
        np.testing.assert_allclose(x, wanted, atol=1e-4)
        np.testing.assert_array_equal(frames, counts)
