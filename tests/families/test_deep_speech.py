"""The Deep Speech task: its equations, its invariances, its training and its export."""

import csv
import dataclasses
import functools
import itertools
import re

import numpy as np
import onnxruntime
import pytest
import soundfile
from helpers import own_card, run_recipe, small_deep_speech

from export.runtime import CONFIDENCE
from zoo.audio.augment import augment_speech
from zoo.audio.files import pad_audio
from zoo.contract import task as tasks
from zoo.data.speech import load_speech
from zoo.errors import UserError
from zoo.families.deep_speech.network import DeepSpeechConfig
from zoo.families.deep_speech.splice import Aligned, Splicer, find_words
from zoo.layers.spectrogram import SpecAugment
from zoo.text.characters import Vocabulary

RATE = 16000
WORDS = ["abba", "cab", "a bed", "bead", "cede a", "dace", "ebb cab", "fade"]


def say(text, random, loud=0.2):
    """A word in tones, a letter a tone of 120 ms, a blank a pause, in a little noise."""
    pieces = [np.zeros(RATE // 20)]
    for character in text:
        time = np.arange(RATE * 12 // 100) / RATE
        pitch = 0 if character == " " else 400 * 1.35 ** "abcdef".index(character)
        pieces += [loud * np.sin(2 * np.pi * pitch * time) * np.hanning(len(time)), np.zeros(RATE // 25)]
    audio = np.concatenate(pieces)
    return (audio + 0.003 * random.standard_normal(len(audio))).astype("float32")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones") / "tones"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["id\tspeaker\tseconds\ttranscript"]
    for i, text in enumerate(WORDS):
        audio = say(text, random)
        soundfile.write(folder / f"{i}.wav", audio, RATE)
        rows.append(f"{i}\tspeaker{i % 2}\t{len(audio) / RATE:.2f}\t{text.upper()}")
    (folder / "transcripts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def small(**settings):
    return small_deep_speech(0.1, **{"context": 2} | settings)


def test_the_five_layers_are_those_of_the_paper():
    task = small(clip=0.7, stride=3)
    weights = {path: value.astype("float64") for path, value in task.weights().items()}
    audio = say("fade a", np.random.default_rng(2))
    spectrogram, frames = task.spectrogram(audio[None], np.array([len(audio)], "int32"))
    x = np.asarray(spectrogram, "float64")[0]
    assert int(frames[0]) == len(x)

    def g(z):
        return np.minimum(np.maximum(0, z), 0.7)

    def dense(number, x):
        return x @ weights[f"layer_{number}/kernel"] + weights[f"layer_{number}/bias"]

    padded = np.pad(x, ((2, 2), (0, 0)))
    windows = np.stack([padded[t : t + 5] for t in range(0, len(x), 3)])
    h = g(np.einsum("tck,cku->tu", windows, weights["layer_1/kernel"]) + weights["layer_1/bias"])
    h = g(dense(3, g(dense(2, h))))
    both = 0
    for name, order in (("forward", slice(None)), ("backward", slice(None, None, -1))):
        one = {p.split("/")[-1]: v for p, v in weights.items() if p.startswith(f"layer_4/{name}")}
        state, outputs = np.zeros(9), []
        for row in h[order]:
            state = g(row @ one["kernel"] + state @ one["recurrent_kernel"] + one["bias"])
            outputs.append(state)
        both = both + np.stack(outputs)[order]
    logits = g(dense(5, both)) @ weights["logits/kernel"] + weights["logits/bias"]
    found = task.network({"audio": audio[None], "audio_lengths": np.array([len(audio)], "int32")})
    np.testing.assert_allclose(np.asarray(found)[0], logits, atol=2e-4)


@pytest.mark.parametrize("settings", [{}, {"subsampling": 2, "stride": 2}, {"batch_norm": True}])
def test_a_ragged_batch_is_each_utterance_alone(settings):
    task = small(**settings)
    random = np.random.default_rng(3)
    utterances = [say(text, random) for text in ("abc def", "f", "bead a cab")] + [np.zeros(1600, "float32")]
    audio, lengths = pad_audio(utterances)
    audio = np.pad(audio, ((0, 0), (0, 777)))
    together = task.compiled_serve({"audio": audio, "audio_lengths": lengths})
    together = {key: np.asarray(value) for key, value in together.items()}
    for i, one in enumerate(utterances):
        alone = task.compiled_serve({"audio": one[None], "audio_lengths": np.array([len(one)], "int32")})
        alone = {key: np.asarray(value) for key, value in alone.items()}
        frames, count = alone["lengths"][0], alone["label_lengths"][0]
        assert together["lengths"][i] == frames == task.frames(len(one))
        np.testing.assert_allclose(
            together["log_probs"][i, :frames], alone["log_probs"][0, :frames], atol=5e-4
        )
        assert together["label_lengths"][i] == count
        for name in ("labels", "starts", "ends", "probabilities"):
            np.testing.assert_allclose(together[name][i, :count], alone[name][0, :count], atol=5e-4)


def test_times_are_seconds_of_the_audio():
    task = small(stride=3)
    logits = np.zeros((1, 12, 9), "float32")
    logits[0, :, 0] = 9
    logits[0, [4, 5, 11], [2, 2, 3]] = 20  # "b" in frames 4 and 5, "c" in the last
    samples = 33 * 160 + 400  # 34 frames of the spectrogram make 12 of the network
    found = task._decode(logits, {"audio_lengths": np.array([samples], "int32")})
    assert task.vocabulary.decode(np.asarray(found["labels"])[0, :2]) == "bc"
    np.testing.assert_allclose(np.asarray(found["starts"])[0, :2], [4 * 0.03, 11 * 0.03], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(found["ends"])[0, :2], [6 * 0.03, samples / RATE], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("cell, operation", [("simple", "RNN"), ("gru", "GRU"), ("lstm", "LSTM")])
def test_exports_as_one_fused_operation(cell, operation, tmp_path):
    from export import runtime, to_onnx

    task = small(recurrent_cell=cell, batch_norm=cell == "gru")
    task.assets["language_model.arpa"] = b"\\data\\\n"
    report = to_onnx(task, tmp_path / "speech.onnx")  # which compares with Keras
    assert report["nodes"][operation] == 1 and not report["nodes"].keys() & {"Loop", "Scan"}
    session = onnxruntime.InferenceSession(tmp_path / "speech.onnx")
    assert session.get_modelmeta().custom_metadata_map["seqzoo.asset.language_model.arpa"] == "\\data\\\n"
    assert runtime.FORMAT == session.get_modelmeta().custom_metadata_map["seqzoo.format"]


@pytest.mark.slow
def test_int8_leaves_the_spectrogram_as_it_is(tmp_path):
    from export import to_onnx

    report = to_onnx("deep_speech_digits", tmp_path / "digits.onnx", int8=True)
    assert report["size"] < 2e6
    assert report["max_difference"] < 15  # of log probabilities; with a coarse spectrogram it is 49


@pytest.mark.slow
def test_exports_as_a_savedmodel(tmp_path):
    from export import to_savedmodel

    assert to_savedmodel(small(), tmp_path / "speech")["max_difference"] < 1e-4


recipe = functools.partial(run_recipe, "deep_speech")


SMALL = [
    "--model.units", "48,48,48", "--model.recurrent-units", "48", "--model.last-units", "48",
    "--model.mels", "24", "--model.context", "4", "--model.dropout", "0.0", "--model.band-masks", "0",
    "--model.time-masks", "0", "--training.augment", "False", "--training.batch-size", "8",
]  # fmt: skip


@pytest.mark.slow
def test_learns_eight_utterances_by_heart_and_goes_on_to_another_alphabet(corpus, tmp_path):
    run = tmp_path / "run"
    lm = tmp_path / "words.arpa"
    lm.write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<s>\n-1\t</s>\n-1\tcab\n\n\\end\\\n")
    done = recipe(
        "train", "--data", f"{corpus}@40", "--validation", corpus, "--output", run, *SMALL,
        "--training.epochs", 8, "--training.learning-rate", 0.005, "--language-model", lm,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(run / "history.csv", encoding="utf-8") as file:
        assert min(float(row["cer"]) for row in csv.DictReader(file)) == 0.0
    task = tasks.load(run)
    assert task.evaluate(corpus, decoder="greedy")["cer"] == 0.0
    assert task.assets["language_model.arpa"] == lm.read_bytes()
    heard = task.predict(corpus / "4.wav", details=True, decoder="greedy")[0]
    assert heard.text == "cede a" and heard.confidence > 0.7
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= soundfile.info(corpus / "4.wav").duration

    options = [
        "finetune",
        "--preset",
        run,
        "--data",
        corpus,
        "--training.epochs",
        1,
        "--training.augment",
        "False",
    ]
    words_are_found_and_joined(task, corpus)
    splice = ["--splice", "0.5", "--training.augment", "True", "--validation", corpus]
    same = recipe(*options, "--output", tmp_path / "same", "--model.dropout", "0.3", *splice)
    assert same.returncode == 0, same.stderr
    assert re.search(r"\b(9|10|11) words found in [78] utterances", same.stdout)
    same = tasks.load(tmp_path / "same")
    assert same.assets.keys() == task.assets.keys()
    assert "Measured as with `--decoder greedy`" in own_card(tmp_path / "same", run)
    assert same.config == dataclasses.replace(task.config, dropout=0.3)
    other = recipe(*options, "--output", tmp_path / "other", "--model.recurrent-units", "7")
    assert other.returncode == 2 and "does not fit" in other.stderr
    table = (corpus / "transcripts.tsv").read_text()
    german = tmp_path / "german"
    german.mkdir()
    for file in corpus.glob("*.wav"):
        (german / file.name).symlink_to(file)
    (german / "transcripts.tsv").write_text(table.replace("CAB", "CÄB"), encoding="utf-8")
    options[options.index(corpus)] = german
    done = recipe(*options, "--output", tmp_path / "no")
    assert done.returncode == 2 and "--extend" in done.stderr and "ä" in done.stderr
    done = recipe(*options, "--output", tmp_path / "german_run", "--extend")
    assert done.returncode == 0, done.stderr
    new = tasks.load(tmp_path / "german_run")
    assert new.vocabulary.characters == [*task.vocabulary.characters, "ä"]
    assert set(new.assets) == {CONFIDENCE}


def words_are_found_and_joined(task, corpus):
    """By a model that understands them."""
    splicer = Splicer.align(task, load_speech([corpus]), 1.0)
    # Of so little a model may have learned to tell a last tone when it is over, which leaves no word there.
    assert len(splicer.utterances) >= len(WORDS) - 1
    spoken = {}
    for one in splicer.utterances:
        text = " ".join(task.vocabulary.decode(word) for word in one.words)
        assert text in WORDS and len(one.cuts) == len(one.words) + 1
        spoken.setdefault(one.speaker, set()).update(text.split())
    sentences = []
    for seed in range(40):
        audio, rows = splicer.draw((seed, 0))
        words = task.vocabulary.decode(rows).split()
        sentences.append(" ".join(words))
        assert any(set(words) <= known for known in spoken.values()), "of one speaker"
        assert audio.dtype == np.int16 and len(audio) > 0
    assert set(sentences) - set(WORDS), "some are new"
    again = splicer.draw((39, 0))
    np.testing.assert_array_equal(again[0], audio)
    np.testing.assert_array_equal(again[1], rows)


@pytest.mark.parametrize("late", [-0.03, 0.0, 0.03])
def test_words_are_cut_where_it_is_quiet(late):
    text, config = "cab a bed", DeepSpeechConfig()
    vocabulary, audio = Vocabulary("abcdef "), say(text, np.random.default_rng(0))
    labels = vocabulary.encode(text)
    frames = -(-len(audio) // config.samples_per_frame)
    probabilities = np.full((frames, len(vocabulary)), 1e-3)
    for place, row in enumerate(labels):  # each is told about the middle of its tone
        probabilities[int((0.11 + 0.16 * place + late) * RATE / config.samples_per_frame), row] = 1.0
    silent = probabilities.max(1) < 1
    probabilities[silent, 0] = 1.0
    audio = (audio * 32767).astype(np.int16)
    blank = labels[3]
    words, cuts = find_words(audio, labels, np.log(probabilities), blank, config)
    assert [vocabulary.decode(word) for word in words] == ["cab", "a", "bed"]
    assert cuts[0] == 0 and cuts[-1] == len(audio)
    for cut, place in zip(cuts[1:-1], (3, 5), strict=True):
        assert 0.16 * place < cut / RATE < 0.05 + 0.16 * (place + 1)
    assert find_words(audio, labels, np.log(probabilities)[:8], blank, config) is None
    other = vocabulary.encode("fed e fac")
    assert find_words(audio, other, np.log(probabilities), blank, config) is None


def test_phrases_are_joined_as_they_are_written():
    def utterance(speaker, *words):  # a word sounds as high as its row
        audio = np.repeat(np.array(words, np.int16) * 1000, 800)
        return Aligned(speaker, audio, [[word] for word in words], np.arange(len(words) + 1) * 800)

    recorded = [utterance("a", 1, 2, 3, 4, 5, 6), utterance("a", 7, 8), utterance("b", 9)]
    splicer = Splicer(recorded, blank=30, share=0.5)
    lengths = set()
    for seed in range(60):
        audio, rows = splicer.draw(seed)
        assert set(rows[1::2]) <= {30} and audio.dtype == np.int16
        steady = audio[np.diff(audio, prepend=audio[0]) == 0]  # without what goes over
        sounds = [level // 1000 for level, _ in itertools.groupby(steady)]
        assert sounds == [word for word, _ in itertools.groupby(rows[::2])]
        assert 9 not in sounds or sounds == [9]
        lengths.add(len(rows[::2]))
    assert lengths == {1, 2, 6}
    often = Splicer(recorded, blank=30, share=0.5, repeats=[1, 1, 8])
    assert 0.7 < np.mean([9 in often.draw(seed)[1] for seed in range(100)]) < 0.9
    sample = {"audio": np.zeros(7, np.int16), "labels": np.array([3], np.int32)}
    drawn = [len(splicer.sometimes(sample, np.array([i, 1]))["audio"]) != 7 for i in range(200)]
    assert 0.35 < np.mean(drawn) < 0.65


def test_nothing_is_joined_that_is_not_understood(corpus):
    with pytest.raises(UserError, match="understands none of these utterances"):
        Splicer.align(small(), load_speech([corpus]), 0.5)


@pytest.mark.parametrize("settings", [{"stride": n} for n in (1, 2, 3, 4)] + [{"subsampling": 3}])
def test_batches_are_padded_to_four_outputs(settings):
    """As bfloat16 on a CPU wants it."""
    import tensorflow as tf

    task = small(**settings)
    for samples in (100, 3999, 20000, 20001):
        batch = {
            "audio": tf.ones((2, samples), tf.int16),
            "audio_lengths": tf.constant([samples, samples // 2]),
            "labels": tf.ones((2, 1), tf.int32),
            "label_lengths": tf.ones(2, tf.int32),
        }
        inputs, _ = task.collate(batch, 8)
        padded = inputs["audio"].shape[1]
        assert samples <= padded < samples + 2 * RATE
        assert np.count_nonzero(inputs["audio"][0]) == samples
        assert int(task.frames(padded)) % 4 == 0


def test_spec_augment_hides_bands_and_times_in_training_alone():
    layer = SpecAugment(bands=4, band_masks=1, time=0.2, time_masks=1, seed=3)
    x = np.ones((40, 60, 20), "float32")
    lengths = np.full(40, 50, "int32")
    np.testing.assert_array_equal(np.asarray(layer(x, lengths, training=False)), x)
    hidden = np.asarray(layer(x, lengths, training=True)) == 0
    bands, times = hidden.all(axis=1).sum(-1), hidden[:, :50].all(axis=2).sum(-1)
    assert bands.min() == 0 and bands.max() == 4 and times.min() == 0 and 6 < times.max() <= 10
    assert len({tuple(row) for row in hidden.all(axis=1)}) > 20, "the masks differ within a batch"
    assert not hidden[:, 50:].all(axis=2).any(), "time masks lie within the sequence"


def test_augmented_speech_differs_and_can_be_repeated():
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)).astype("int16")
    peaks, lengths, levels = [], [], []
    for seed in range(40):
        varied = np.asarray(augment_speech(tone, (seed, 7)))
        assert varied.dtype == np.int16
        np.testing.assert_array_equal(varied, np.asarray(augment_speech(tone, (seed, 7))))
        spectrum = np.abs(np.fft.rfft(varied.astype(float)))
        peaks.append(np.argmax(spectrum) * RATE / len(varied))
        lengths.append(len(varied) / len(tone))
        levels.append(varied.astype(float).std())
    assert 800 < min(peaks) < 900 and 1120 < max(peaks) < 1220
    # Faster is higher and shorter, by the same factor.
    np.testing.assert_allclose(np.array(peaks) * lengths, 1000, rtol=0.01)
    assert max(levels) > 3 * min(levels)


@pytest.mark.parametrize(
    "settings, sentence",
    [({"recurrent_cell": "elman"}, "simple, identity"), ({"units": (3, 4)}, "layers 1")],
)
def test_bad_configurations(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        DeepSpeechConfig(**settings)
