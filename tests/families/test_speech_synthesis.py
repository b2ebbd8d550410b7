"""The task that speaks: its invariances, its training and its export."""

import functools
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import learn, own_card, run_recipe, trained

import zoo
from zoo.errors import UserError
from zoo.families.speech_synthesis.durations import symbol_durations
from zoo.families.speech_synthesis.network import SpeechSynthesis, SpeechSynthesisConfig, analyse
from zoo.text.characters import Vocabulary

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/speech.ogg"
SAID = "we went to the park and then we came home the weather was good"
TENSORFLOW = keras.backend.backend() == "tensorflow"
RATE, HOP, FRAME = 8000, 100, 400
TONES = {"a": (200, 4), "e": (250, 7), "i": (300, 10), "o": (160, 3), "u": (220, 5)}  # pitch, partials
LASTS = {"^": 4, ".": 8, " ": 3, "a": 8, "e": 6, "i": 5, "o": 9, "u": 7}  # frames


def small(**settings):
    keras.utils.set_random_seed(5)
    sizes = {"embedding": 8, "encoder_units": 8, "duration_units": 4, "prosody_units": 6, "decoder_units": 12}
    sound = {"sampling_rate": RATE, "frame_length": FRAME, "hop": HOP, "mels": 24, "dropout": 0.0}
    config = SpeechSynthesisConfig(**sizes | sound | {"iterations": 2} | settings)
    return SpeechSynthesis(config, Vocabulary("^ aeiou.,?"))


def sound_of(symbols):
    """What a machine says of vowels: int16, in which each symbol has its own tone and its own length."""
    parts = []
    for symbol in symbols:
        pitch, partials = TONES.get(symbol, (0, 0))
        time = np.arange(LASTS[symbol] * HOP) / RATE
        waves = [np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, partials)]
        parts.append(0.2 * np.sum(waves, 0) if waves else np.zeros(len(time)))
    audio = np.concatenate([*parts, np.zeros(FRAME - HOP)])
    return np.round(20_000 * audio + 3 * np.random.default_rng(0).standard_normal(len(audio))).astype("int16")


def spoken_twenty(task):
    """A corpus of twenty utterances, whose alignments the task gets."""
    random = np.random.default_rng(3)
    texts = ["".join(random.choice(list("aeiou"), 6)) for _ in range(20)]
    texts = [f"^{text[:2]} {text[2:]}." for text in texts]
    sounds = [sound_of(text) for text in texts]
    task.alignments = {
        (text, len(audio)): (text, 0, np.array([LASTS[symbol] for symbol in text], np.int32))
        for text, audio in zip(texts, sounds, strict=True)
    }

    def dataset(repeat=False):
        kinds = {"audio": tf.TensorSpec((None,), tf.int16), "text": tf.TensorSpec((), tf.string)}
        rows = ({"audio": audio, "text": text} for audio, text in zip(sounds, texts, strict=True))
        data = tf.data.Dataset.from_generator(lambda: iter(list(rows)), output_signature=kinds)
        return data.apply(tf.data.experimental.assert_cardinality(20)).cache()

    lengths = np.array(list(map(len, sounds)))
    return SimpleNamespace(texts=texts, lengths=lengths, shown=lambda: 20, dataset=dataset, sounds=sounds)


def test_padding_changes_nothing():
    task = small()
    inputs = task.serving.example(3, seed=1)
    together = {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}
    count = inputs["symbol_lengths"][1]
    alone = {name: value[1:2] for name, value in inputs.items()} | {"symbols": inputs["symbols"][1:2, :count]}
    alone = {name: np.asarray(value)[0] for name, value in task.compiled_serve(alone).items()}
    samples, frames = together["audio_lengths"][1], together["durations"][1].sum()
    assert samples == alone["audio_lengths"] == (frames - 1) * HOP + FRAME
    np.testing.assert_array_equal(together["durations"][1, :count], alone["durations"])
    np.testing.assert_allclose(together["log_mel"][1, :frames], alone["log_mel"][:frames], atol=1e-4)
    np.testing.assert_allclose(together["audio"][1, :samples], alone["audio"][:samples], atol=1e-3)
    assert not together["audio"][1, samples:].any()


@pytest.mark.slow
def test_learns_twenty_utterances_by_heart():
    """Its frames, and how long each symbol lasts, are nearly those of the recordings."""
    task = small(embedding=16, encoder_units=16, decoder_units=24)
    corpus = spoken_twenty(task)
    every = [task.encode(audio, text) for audio, text in zip(corpus.sounds, corpus.texts, strict=True)]
    task.set_scale([{"mel": mel, "prosody": prosody} for _, _, mel, prosody in every])
    losses = learn(task, corpus, 90)
    assert losses[-1] < 0.35 < 2 < losses[0]
    wrong = 0
    for rows, durations, _, _ in every:
        inputs = {"symbols": rows[None], "symbol_lengths": np.array([len(rows)], "int32")}
        served = task.compiled_serve(inputs | {"speed": np.ones(1, "float32")})
        found = np.asarray(served["durations"])[0]
        wrong += np.abs(found - durations).sum()
    assert wrong <= 0.04 * sum(durations.sum() for _, durations, _, _ in every)


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="the other backend is what is tried")
def test_on_jax_it_learns_the_same(passes_on_jax):
    assert passes_on_jax(__file__, tests="padding or by_heart") == 2


def test_saved_and_loaded_it_is_the_same(tmp_path):
    task = small(frames_per_step=3, cell="gru")
    task.set_scale([{"mel": np.random.default_rng(0).normal(3, 2, (9, 24)), "prosody": np.ones((3, 3))}])
    task.save(tmp_path / "task")
    copy = zoo.load(tmp_path / "task")
    assert copy.config == task.config and copy.vocabulary == task.vocabulary
    np.testing.assert_allclose(copy.weights()["scale/mean"], task.weights()["scale/mean"], rtol=1e-3)
    for wrong in ({"cell": "none"}, {"hop": 300}, {"frames_per_step": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            small(**wrong)


def test_what_is_analysed():
    task = small()
    audio = sound_of("^aaoo.") / 32768
    mel, prosody = analyse(audio, task.log_mel, 2)
    assert mel.shape == (46, 24) and prosody.shape == (23, 3)
    pitch, voiced, loud = prosody.T
    assert np.exp(pitch[2:8]) == pytest.approx(200, rel=0.02) and voiced[2:8].all()
    assert np.exp(pitch[11:17]) == pytest.approx(160, rel=0.03) and voiced[11:17].all()
    assert not voiced[-2:].any() and loud[5] > loud[-1] + 3


def test_durations_follow_what_was_heard():
    """Spikes of a recogniser at known times, and a pause that the loudness shows."""
    labels, hop, seconds = {"a": 1, "e": 2, " ": 3}, 0.01, 0.02
    log_probs = np.log(np.full((50, 4), 0.02))
    log_probs[:, 0] = np.log(0.94)
    for time, label in ((10, 1), (16, 2), (20, 3), (32, 1)):
        log_probs[time] = np.log(0.02)
        log_probs[time, label] = np.log(0.94)
    energy = np.full(98, -10.0)
    energy[16:40] = energy[60:80] = 0.0
    first, durations = symbol_durations("^ae,a.", log_probs, labels, seconds, energy, hop, 0.0)
    bounds = first + np.cumsum(durations)
    assert first == 8 and bounds.tolist() == [16, 27, 40, 60, 80, 95]
    assert symbol_durations(f"^{20 * 'ae'}.", log_probs[:30], labels, seconds, energy, hop, 0.0) is None
    assert symbol_durations("^a.", log_probs[:0], labels, seconds, energy, hop, 0.0) is None


# === Recipe ===

LITTLE = [
    "--model.language", "en", "--model.recogniser", "deep_speech_en", "--model.embedding", 8,
    "--model.encoder-units", 8, "--model.duration-units", 4, "--model.prosody-units", 4,
    "--model.decoder-units", 8, "--model.iterations", 1,
]  # fmt: skip
SCHEDULE = ["--training.epochs", 2, "--training.batch-size", 2, "--training.learning-rate", 0.01]


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in (("a", f"{SAID}."), ("b", SAID.replace("home", "home;").title())):
        shutil.copy(SPEECH, folder / f"{name}.ogg")
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="one backend is enough")
def test_the_recipe_trains_resumes_and_fine_tunes(tmp_path, recordings):
    run = functools.partial(trained, "speech_synthesis")
    others = tmp_path / "others"  # of which the run has no durations but its own
    others.mkdir()
    shutil.copy(SPEECH, others / "c.ogg")
    (others / "c.txt").write_text(f"{SAID.title()}.")
    data = ["--data", recordings, "--validation", others, *SCHEDULE]
    new = "train", *data, *LITTLE, "--output", tmp_path / "run"
    first = run(*new)
    losses = [float(loss) for loss in re.findall(r"^epoch .* loss ([\d.]+)", first, re.MULTILINE)]
    assert "found the letters of 2 utterances" in first and losses[1] < losses[0]
    again = run(*new)
    assert "Going on with" in again and "loss" not in again
    tuned = run("finetune", "--preset", tmp_path / "run", *data, "--output", tmp_path / "tuned")
    assert "The best model" in tuned
    assert "mel distortion" in own_card(tmp_path / "tuned", tmp_path / "run")
    report = zoo.load(tmp_path / "tuned").evaluate(recordings)
    assert report["recording_character_error_rate"] < 0.3 < report["character_error_rate"]
    assert report["mel_distortion"] > 0 and report["texts"] == 2


@pytest.mark.slow
def test_a_recogniser_that_cannot_hear(tmp_path, recordings):
    found = run_recipe(
        "speech_synthesis", "train", "--data", recordings, "--output", tmp_path / "run",
        "--model.recogniser", "line_ocr_en", "--validation", recordings,
    )  # fmt: skip
    assert found.returncode == 2 and "this hears no speech; give one that does" in found.stderr
    assert not (tmp_path / "run").exists()
    shutil.copy(SPEECH, recordings / "c.ogg")
    (recordings / "c.txt").write_text("Das ist eine andere Sprache, " * 9 + "so.")
    found = run_recipe(
        "speech_synthesis", "train", "--data", recordings, "--output", tmp_path / "run", *LITTLE,
        "--validation", recordings,
    )  # fmt: skip
    assert found.returncode == 2 and not (tmp_path / "run").exists()
    assert "does not hear the transcripts of 1 of 3 utterances: give one of their language" in found.stderr


def test_a_speed_that_is_none():
    with pytest.raises(UserError, match="a speed is 0.25 to 4"):
        small().predict("Aua.", speed=9)
