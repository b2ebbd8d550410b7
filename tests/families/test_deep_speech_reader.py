"""The speech reader on an engine that hears each tone as a letter: no model is trained, or needed."""

import io
import itertools
import json
import re
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from export import runtime
from zoo import cli
from zoo.audio.files import RATE
from zoo.audio.pauses import split
from zoo.cli import common
from zoo.contract.model import Model
from zoo.errors import UserError
from zoo.families.deep_speech import reader as speech
from zoo.families.deep_speech.reader import SpeechReader, Transcript, Word
from zoo.formats import subtitles as subtitling
from zoo.formats.subtitles import subtitles
from zoo.text.characters import Vocabulary

LETTERS = list("abcdefghijklmnopqrstuvwxyz' ")
CONFIG = {"sampling_rate": RATE, "hop": 160, "stride": 4, "subsampling": 1}
CONFIG |= {"alpha": 1.0, "beta": 0.5, "unknown_penalty": 10.0, "beam_width": 16}
CONFIG |= {"beam_threshold": 14.0, "token_threshold": 1e-3}
FRAME = 640  # samples, as CONFIG says
STEP = FRAME / RATE  # seconds
ARPA = """\\data\\
ngram 1=6
ngram 2=4

\\1-grams:
-2\t<unk>
-99\t<s>\t-0.3
-1\t</s>
-0.5\tcab\t-0.3
-3\tcap\t-0.3
-1\tride\t-0.3

\\2-grams:
-0.1\t<s> cab
-0.1\tcab ride
-0.1\tride </s>
-0.1\tcab </s>

\\end\\
"""


def say(text, level=0.3):
    """Two frames of tone for each character, the blank too, and one of silence after it."""
    time = np.arange(2 * FRAME) / RATE
    sounds = [np.zeros(0)]
    for character in text:
        sounds += [level * np.sin(2 * np.pi * 125 * (4 + LETTERS.index(character)) * time), np.zeros(FRAME)]
    return np.concatenate(sounds).astype(np.float32)


def silence(seconds, noise=0.0):
    return (noise * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def hear(inputs):
    """What the tones in each frame are, with the greedy text, as a served model gives it."""
    audio, lengths = inputs["audio"], inputs["audio_lengths"]
    assert (
        audio.dtype == np.float32
        and lengths.dtype == np.int32
        and audio.shape == (len(lengths), lengths.max())
    )
    padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % FRAME)))
    spectrum = np.abs(np.fft.rfft(padded.reshape(len(audio), -1, FRAME))) / FRAME
    power = spectrum[:, :, 5 * np.arange(4, 4 + len(LETTERS))]  # 25 Hz a bin
    probs = np.concatenate([np.full((*power.shape[:2], 1), 0.02), power], axis=-1) + 1e-4
    probs /= probs.sum(-1, keepdims=True)
    best = probs.argmax(-1)
    frames = -(-lengths // FRAME)
    outputs = {"log_probs": np.log(probs).astype(np.float32), "lengths": frames.astype(np.int32)}
    for name in ("labels", "starts", "ends", "probabilities"):
        outputs[name] = np.zeros(best.shape, "int32" if name == "labels" else "float32")
    outputs["label_lengths"] = np.zeros(len(audio), "int32")
    for i, count in enumerate(frames):
        runs = [list(run) for _, run in itertools.groupby(range(count), key=lambda t: best[i, t])]
        runs = [run for run in runs if best[i, run[0]]]
        outputs["label_lengths"][i] = len(runs)
        for j, run in enumerate(runs):
            label = best[i, run[0]]
            values = (label, run[0] * STEP, (run[-1] + 1) * STEP, probs[i, run, label].mean())
            for name, value in zip(("labels", "starts", "ends", "probabilities"), values, strict=True):
                outputs[name][i, j] = value
    return outputs


def make_reader(run=hear, **options):
    return SpeechReader(run, CONFIG, Vocabulary(LETTERS), **options)


# === Cutting at pauses ===


def pieces_of(audio, size=7 * RATE):
    return list(split(audio[at : at + size] for at in range(0, len(audio), size)))


def talk(seconds, pauses, seed=0, noise=0.002):
    """Strong and weak syllables by turns for so long, but for pauses: (start, end) in seconds."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    knots = np.arange(0, seconds + 1, 0.07)
    strengths = np.where(np.arange(len(knots)) % 2, 0.3, draw.uniform(0.02, 0.3, len(knots)))
    strength = np.interp(time, knots, strengths)
    for start, end in pauses:
        strength[(time >= start) & (time < end)] = 0
    audio = strength * np.sin(1000 * time) + noise * draw.standard_normal(len(time))
    return audio.astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_the_recording(seed):
    draw = np.random.default_rng(seed)
    starts = np.cumsum(draw.uniform(1, 12, 12))
    pauses = [(start, start + draw.choice([0.15, 0.4, 0.9, 3, 25])) for start in starts]
    audio = talk(starts[-1] + 3, pauses, seed)
    pieces = pieces_of(audio)
    assert len(pieces) > 4
    np.testing.assert_array_equal(np.concatenate([piece.audio for piece in pieces]), audio)
    assert [piece.start for piece in pieces] == [0, *np.cumsum([len(piece.audio) for piece in pieces])[:-1]]
    assert all(len(piece.audio) <= speech.LIMIT * RATE for piece in pieces if piece.heard)
    for size in (999, 100 * RATE):  # however the stream is cut
        again = pieces_of(audio, size)
        assert [(p.start, len(p.audio), p.heard) for p in again] == [
            (p.start, len(p.audio), p.heard) for p in pieces
        ]


def test_cuts_lie_in_the_longest_pauses():
    pauses = [(4, 4.3), (9, 9.6), (13, 13.4), (24, 24.5), (26, 27.5), (41, 41.3)]
    edges = [piece.start / RATE for piece in pieces_of(talk(50, pauses))][1:]
    assert len(edges) == 4
    for edge, (start, end) in zip(edges, [pauses[i] for i in (1, 4, 4, 5)], strict=True):
        assert start < edge < end


def test_without_a_pause_the_quietest_moment_is_cut():
    audio = talk(30, [])
    audio[14 * RATE : 14 * RATE + RATE // 10] *= 0.1  # too short for a pause
    pieces = pieces_of(audio)
    assert [piece.start / RATE for piece in pieces] == [0, pytest.approx(14.05, abs=0.03)]


def test_a_recording_up_to_the_limit_stays_whole():
    (piece,) = pieces_of(talk(speech.LIMIT, [(5, 9)]))
    assert piece.heard and len(piece.audio) == speech.LIMIT * RATE


def test_long_silence_is_not_read():
    audio = np.concatenate([silence(50, 0.001), talk(5, []), silence(50, 0.001), talk(5, []), silence(30)])
    heard = [(p.start / RATE, (p.start + len(p.audio)) / RATE) for p in pieces_of(audio) if p.heard]
    assert np.ravel(heard) == pytest.approx([49.7, 55.3, 104.7, 110.3], abs=0.05)
    assert not any(piece.heard for piece in pieces_of(silence(100, 0.01)))
    assert not any(piece.heard for piece in pieces_of(silence(5)))


def test_the_threshold_follows_the_noise():
    """A recording that begins in a studio and goes on in a car."""
    pauses = [(t, t + 0.5) for t in range(6, 150, 6)]
    audio = talk(150, pauses, noise=0.0003)
    audio[60 * RATE :] += 0.02 * np.random.default_rng(1).standard_normal(90 * RATE).astype(np.float32)
    edges = np.array([piece.start / RATE for piece in pieces_of(audio)][1:])
    late = edges[edges > 75]
    assert len(late) >= 4 and all(0 < edge % 6 < 0.5 for edge in late)


def test_a_click_is_no_speech():
    audio = silence(60, 0.001)
    audio[30 * RATE : 30 * RATE + 100] = 0.9
    assert not any(piece.heard for piece in pieces_of(audio))


# === Reader ===


def test_short_recordings():
    reader = make_reader()
    texts = ["hello", "it's a test", "x", "good morning"]
    assert reader([say(text) for text in texts]) == texts
    assert reader(say("hello")) == ["hello"]
    assert reader([]) == []
    (found,) = reader([say("it's me")], details=True)
    assert (
        isinstance(found, Transcript)
        and found.text == "it's me"
        and found.seconds == pytest.approx(7 * 3 * STEP)
    )
    assert found.words == [
        Word("it's", 0, pytest.approx(11 * STEP), pytest.approx(found.words[0].confidence)),
        Word(
            "me", pytest.approx(15 * STEP), pytest.approx(20 * STEP), pytest.approx(found.words[1].confidence)
        ),
    ]
    first, second = (word.confidence for word in found.words)  # the blank between them counts, too
    assert 0.5 * first * second < found.confidence < first * second < 1


def test_every_kind_of_input(tmp_path):
    sound, path = say("any kind"), tmp_path / "kind.wav"
    soundfile.write(path, sound, RATE)
    stereo = np.stack([sound, sound], axis=1)
    double = np.repeat(sound, 2)
    reader = make_reader()
    for item in (
        path,
        str(path),
        path.read_bytes(),
        sound,
        stereo,
        (double, 2 * RATE),
        (32767 * sound).astype("int16"),
    ):
        assert reader(item) == reader([item]) == ["any kind"]


def test_results_come_in_the_order_of_the_inputs_and_batches_are_alike(monkeypatch):
    monkeypatch.setattr(speech, "WINDOW", 100)
    shapes = []

    def run(inputs):
        shapes.append(inputs["audio_lengths"].tolist())
        return hear(inputs)

    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abc"), 1)) + "de" * draw.integers(1, 30) for _ in range(60)]
    assert make_reader(run, threads=3)(map(say, texts)) == texts
    assert max(map(len, shapes)) == speech.BATCH
    assert sum(map(sum, shapes)) == sum(len(say(text)) for text in texts)
    assert np.mean([min(lengths) / max(lengths) for lengths in shapes]) > 0.5


def test_a_model_for_another_sampling_rate_hears_at_that(long_recording, tmp_path):
    path, words = long_recording
    usual = make_reader()

    # Twice as many samples a second: of one in two, the tones, frames and times are those of the usual model.
    def run(inputs):
        lengths = -(-inputs["audio_lengths"] // 2)
        return hear({"audio": np.ascontiguousarray(inputs["audio"][:, ::2]), "audio_lengths": lengths})

    double = SpeechReader(run, CONFIG | {"sampling_rate": 2 * RATE, "hop": 320}, Vocabulary(LETTERS))
    (one,), (other,) = usual(path, details=True), double(path, details=True)
    assert one.text == other.text and other.seconds == pytest.approx(one.seconds)
    starts = [[word.start for word in found.words] for found in (one, other)]
    np.testing.assert_allclose(*starts, atol=0.05)
    double.picture(path, tmp_path / "heard.png")


def a_long_recording(sentences=40, seed=0):
    """A recording, and its words with their times."""
    draw, sounds, words, at = np.random.default_rng(seed), [], [], 0
    for _ in range(sentences):
        gap = silence(draw.uniform(0.5, 4), 0.001)
        sounds.append(gap)
        at += len(gap)
        names = ["".join(draw.choice(LETTERS[:26], draw.integers(2, 8), replace=False)) for _ in range(4)]
        for name in names:
            words.append((name, at / RATE, (at + (3 * len(name) - 1) * FRAME) / RATE))
            at += 3 * FRAME * (len(name) + 1)
        sounds.append(say(" ".join(names) + " "))
    return np.concatenate(sounds), words


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    audio, words = a_long_recording()
    path = tmp_path_factory.mktemp("long") / "talk.flac"
    soundfile.write(path, audio, RATE)
    return path, words


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_words_of_a_long_recording_have_their_times(long_recording, decoder):
    path, words = long_recording
    lengths = []

    def run(inputs):
        lengths.extend(inputs["audio_lengths"])
        return hear(inputs)

    (found,) = make_reader(run)(path, details=True, decoder=decoder)
    assert found.text == " ".join(name for name, _, _ in words)
    for word, (_, start, end) in zip(found.words, words, strict=True):
        assert word.start == pytest.approx(start, abs=1.01 * STEP) and word.end == pytest.approx(
            end, abs=1.01 * STEP
        )
    assert found.seconds == pytest.approx(soundfile.info(path).duration)
    assert found.seconds > 60 and max(lengths) <= speech.LIMIT * RATE and len(lengths) > 8


def test_a_long_recording_is_streamed(long_recording, monkeypatch):
    """The engine is at work before the recording's end, and what was read does not stay in memory."""
    path, words = long_recording
    events, whole = [], speech.blocks

    def blocks(*arguments, **options):
        for block in whole(*arguments, **options):
            events.append(len(block))
            yield block

    def run(inputs):
        events.append("run")
        return hear(inputs)

    monkeypatch.setattr(speech, "blocks", blocks)
    monkeypatch.setattr(speech, "WINDOW", 30)
    assert make_reader(run)([path]) == [" ".join(name for name, _, _ in words)]
    first = events.index("run")
    assert sum(events[:first]) < 100 * RATE < sum(event for event in events if event != "run")


def test_results_come_before_the_last_input(monkeypatch):
    monkeypatch.setattr(speech, "WINDOW", 1)
    asked = []

    def inputs():
        for text in ("one is here", "two is here", "three"):
            asked.append(text)
            yield say(text)

    stream = make_reader().stream(inputs())
    assert next(stream).text == "one is here" and len(asked) == 2
    assert [item.text for item in stream] == asked[1:]


def test_silence_has_no_words_and_needs_no_engine():
    def run(inputs):
        raise AssertionError("asked to hear silence")

    for seconds in (1, 60):
        (found,) = make_reader(run)(silence(seconds), details=True)
        assert (found.text, found.confidence, found.words, found.seconds) == ("", 0.0, [], seconds)


def test_bad_recordings_raise_or_take_their_place(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    inputs = [say("first"), tmp_path / "text.wav", tmp_path / "gone.wav", np.full(RATE, np.nan), say("last")]
    with pytest.raises(UserError, match="text.wav"):
        make_reader()(inputs)
    found = make_reader()(inputs, errors="return")
    assert [found[0], found[4]] == ["first", "last"]
    for error, name in zip(found[1:4], ("text.wav", "gone.wav", "input 4"), strict=True):
        assert isinstance(error, UserError) and name in str(error) and "\n" not in str(error)


def test_damage_late_in_a_long_recording_is_told(tmp_path, long_recording):
    path = tmp_path / "cut.flac"
    data = long_recording[0].read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    error, text = make_reader()([path, say("next")], errors="return")
    assert isinstance(error, UserError) and "cut.flac" in str(error) and text == "next"


def test_progress_counts_seconds(long_recording, monkeypatch, capsys):
    import tqdm

    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, *arguments, **options):
            bars.append(self)
            super().__init__(*arguments, **options | {"delay": 0, "mininterval": 0})

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    (long, _) = make_reader()([long_recording[0], say("and more")], details=True, progress=True)
    assert bars[0].total == bars[0].n == pytest.approx(RATE * (long.seconds + 24 * STEP))
    out, err = capsys.readouterr()
    assert out == "" and "listening: 100%" in err
    make_reader()(say("quiet"))
    assert capsys.readouterr() == ("", "")


# === Decoders ===

# The p is a little louder than the b that is said with it.
NEARLY = np.concatenate([say("ca"), say("b", 0.25) + say("p", 0.3), say(" ride")])


@pytest.fixture
def arpa(tmp_path):
    path = tmp_path / "words.arpa"
    path.write_text(ARPA)
    return path


def test_decoders(arpa):
    from zoo.text.ngrams import LanguageModel

    plain, shipping = make_reader(), make_reader(assets={"language_model.arpa": ARPA})
    assert plain(NEARLY) == plain(NEARLY, decoder="beam") == ["cap ride"]
    assert shipping(NEARLY) == shipping(NEARLY, decoder="beam") == ["cab ride"]
    assert shipping(NEARLY, decoder="greedy") == ["cap ride"]
    for model in (arpa, str(arpa), LanguageModel.from_arpa(arpa)):
        assert plain(NEARLY, language_model=model) == ["cab ride"]
    assert shipping(NEARLY, alpha=0) == ["cap ride"]
    assert plain(NEARLY, hot_words=["cab"]) == ["cab ride"]
    assert plain(NEARLY, beam_width=1) == ["cap ride"]


def test_beam_and_greedy_agree_on_times():
    reader = make_reader()
    sound = say("every word here")
    (greedy,), (beam,) = (reader(sound, details=True, decoder=name) for name in ("greedy", "beam"))
    assert greedy.text == beam.text
    assert np.array([word[1:] for word in greedy.words]) == pytest.approx(
        np.array([w[1:] for w in beam.words]), abs=1e-5
    )


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({"decoder": "best"}, "choose greedy or beam"),
        ({"decoder": "greedy", "beam_width": 4}, "greedy decoder"),
        ({"decoder": "greedy", "hot_words": ["x"]}, "greedy decoder"),
        ({"decoder": "greedy", "alpha": 0.0}, "greedy decoder"),
        ({"alpha": 1.0}, "there is none"),
        ({"beta": 0.0}, "there is none"),
        ({"hot_words": ["naïve"]}, "ï"),
        ({"language_model": "gone.arpa"}, "gone.arpa"),
    ],
)
def test_decoders_that_cannot_be(arguments, problem):
    with pytest.raises(UserError, match=problem) as error:
        make_reader()(say("x"), **arguments)
    assert "\n" not in str(error.value)


# === Subtitles ===

SAID = [
    Word("good", 0.5, 0.75, 0.9),
    Word("morning", 0.8, 1.2, 0.9),
    Word("r&d", 3661.5, 3662.75, 0.9),
]


def test_srt():
    assert subtitles(SAID, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,500\ngood morning\n\n2\n01:01:01,500 --> 01:01:02,750\nr&d\n\n"
    )
    assert subtitles([], "srt") == ""


def test_vtt():
    assert subtitles(SAID, "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\ngood morning\n\n01:01:01.500 --> 01:01:02.750\nr&amp;d\n\n"
    )
    assert subtitles([], "vtt") == "WEBVTT\n\n"


def parsed(srt):
    cues = re.findall(
        r"(\d+)\n(\d+):(\d\d):(\d\d),(\d{3}) --> (\d+):(\d\d):(\d\d),(\d{3})\n((?:.+\n)+)\n", srt
    )
    for cue in cues:
        numbers = list(map(int, cue[1:9]))
        start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
        yield int(cue[0]), start, end, cue[9].splitlines()


@pytest.mark.parametrize("seed", range(8))
def test_cues_keep_the_rules(seed):
    draw, words, at = np.random.default_rng(seed), [], 0.0
    for _ in range(300):
        at += draw.choice([0, 0.05, 0.1, 0.4, 2.0])
        name = "w" * int(draw.choice([1, 2, 5, 9, 14] if seed else [3, 60]))
        words.append(Word(name, at, at + draw.uniform(0.04, 0.6), 1.0))
        at = words[-1].end
    cues, rest, before = list(parsed(subtitles(words, "srt"))), words, 0.0
    assert [number for number, *_ in cues] == list(range(1, len(cues) + 1))
    for _, start, end, lines in cues:
        names = " ".join(lines).split()
        cue, rest = rest[: len(names)], rest[len(names) :]
        assert [word.text for word in cue] == names
        assert len(lines) <= 2 and (len(names) == 1 or max(map(len, lines)) <= 42 or seed == 0)
        assert before <= start < end <= start + 7.0005
        assert start == pytest.approx(cue[0].start, abs=6e-4) and end >= cue[-1].end - 6e-4
        assert all(b.start - a.end < subtitling.GAP for a, b in itertools.pairwise(cue))
        before = end
    assert not rest


def test_a_full_cue_breaks_at_the_pause():
    words = [
        Word("wordily", 0.4 * i + (0.3 if i >= 8 else 0), 0.4 * i + 0.35 + (0.3 if i >= 8 else 0), 1.0)
        for i in range(12)
    ]
    first, second = parsed(subtitles(words, "srt"))
    assert (" ".join(first[3]).count("wordily"), second[1]) == (8, pytest.approx(3.5))
    assert first[3] == ["wordily wordily wordily wordily"] * 2


def test_a_word_of_many_seconds():
    ((_, start, end, _),) = parsed(subtitles([Word("om", 1.0, 60.0, 1.0)], "srt"))
    assert (start, end) == (1.0, 8.0)


# === Picture ===


@pytest.mark.parametrize("seconds, decoder", [(0.5, "greedy"), (30, "beam")])
def test_picture(tmp_path, seconds, decoder):
    sound, rest = say("look here"), tmp_path / "talk.wav"
    soundfile.write(rest, np.concatenate([sound, silence(seconds, 0.001)]), RATE)
    path = tmp_path / "heard.png"
    make_reader().picture(str(rest), path, decoder=decoder)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert 600 < pixels.shape[0] < 1200 and 900 < pixels.shape[1] < 3000
    assert pixels.std() > 20 and 20_000 < path.stat().st_size < 2_000_000


def test_picture_of_silence_and_of_what_is_no_audio(tmp_path):
    make_reader().picture(silence(1), tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 10_000
    with pytest.raises(UserError, match="gone.wav"):
        make_reader().picture("gone.wav", tmp_path / "gone.png")
    assert not (tmp_path / "gone.png").exists()


# === Model files and the command ===


class Session:
    """Stands for onnxruntime with a speech model."""

    metadata = {"format": "1", "task": "deep_speech", "direction": "ltr", "asset.language_model.arpa": ARPA}
    metadata |= {"config": json.dumps(CONFIG), "vocabulary": json.dumps(LETTERS)}

    def __init__(self, path, options, providers):
        self.custom_metadata_map = {f"seqzoo.{key}": value for key, value in self.metadata.items()}

    def get_modelmeta(self):
        return self

    def get_inputs(self):
        return [type("Input", (), {"name": name}) for name in ("audio", "audio_lengths")]

    def get_outputs(self):
        names = "labels label_lengths starts ends probabilities log_probs lengths".split()
        return [type("Output", (), {"name": name}) for name in names]

    def run(self, names, inputs):
        outputs = hear(inputs)
        return [outputs[name] for name in names]


@pytest.fixture
def model(tmp_path, monkeypatch):
    path = tmp_path / "speech.onnx"
    path.touch()
    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", Session)
    return str(path)


@pytest.fixture
def recordings(tmp_path):
    """Paths of two recordings, and what beam search hears in them."""
    texts = {str(tmp_path / "née 1.wav"): "cab ride", str(tmp_path / "2.flac"): "ride"}
    for path, sound in zip(texts, (NEARLY, say("ride")), strict=True):
        soundfile.write(path, sound, RATE)
    return texts


def test_an_exported_model(model, recordings):
    reader = runtime.load(model, threads=3)
    assert (
        isinstance(reader, SpeechReader) and reader.threads == 3 and reader.metadata["task"] == "deep_speech"
    )
    assert reader(recordings) == list(recordings.values())
    assert reader(recordings, decoder="greedy") == ["cap ride", "ride"]


def test_without_the_package_runtime_says_so(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "zoo.families.deep_speech.reader", None)
    with pytest.raises(runtime.ReaderError, match=f"^{model}: a deep_speech model.*install seqzoo$"):
        runtime.load(model)


def test_metadata_that_lacks_a_field(model, monkeypatch):
    monkeypatch.setitem(Session.metadata, "config", "{}")
    with pytest.raises(runtime.ReaderError, match="metadata is damaged"):
        runtime.load(model)


def test_formats(model, recordings, capsys):
    assert cli.main(["predict", model, *recordings]) == 0
    assert capsys.readouterr() == ("cab ride\nride\n", "")
    assert cli.main(["predict", model, *recordings, "--format", "tsv"]) == 0
    assert capsys.readouterr().out == "".join(f"{path}\t{text}\n" for path, text in recordings.items())
    assert cli.main(["predict", model, *recordings, "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert [first["input"], second["input"]] == list(recordings)
    assert (second["text"], second["seconds"]) == ("ride", pytest.approx(12 * STEP))
    (word,) = second["words"]
    assert 0.4 < word.pop("confidence") == second["confidence"] < 1
    assert word == {"word": "ride", "start": 0.0, "end": pytest.approx(11 * STEP)}


def test_subtitles_from_the_command(model, recordings, capsys):
    one, two = recordings
    assert cli.main(["predict", model, one, "--format", "srt"]) == 0
    assert capsys.readouterr().out == "1\n00:00:00,000 --> 00:00:01,000\ncab ride\n\n"
    assert cli.main(["predict", model, two, "--format", "vtt"]) == 0
    assert capsys.readouterr().out == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nride\n\n"
    assert cli.main(["predict", model, "gone.wav", "--format", "vtt"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("options", [("--format", "srt"), ("--plot", "x.png")])
@pytest.mark.parametrize("inputs", [("a.wav", "b.wav"), ("-",)])
def test_one_recording_at_a_time(model, inputs, options, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.wav\nb.wav\n"))
    assert cli.main(["predict", model, *inputs, *options]) == 2
    assert re.fullmatch(
        r"zoo: --(format srt|plot) is for one recording at a time; give one INPUT\n", capsys.readouterr().err
    )


def test_plot_from_the_command(model, recordings, tmp_path, capsys):
    assert cli.main(["predict", model, next(iter(recordings)), "--plot", str(tmp_path / "heard.png")]) == 0
    assert capsys.readouterr().out == "cab ride\n"
    assert Image.open(tmp_path / "heard.png").format == "PNG"


@pytest.mark.parametrize(
    "options, text",
    [
        (["--decoder", "greedy"], "cap ride"),
        (["--decoder", "beam"], "cab ride"),
        (["--alpha", "0"], "cap ride"),
        (["--beta", "-1"], "cab ride"),
        (["--beam-width", "2"], "cab ride"),
        (["--alpha", "0", "--hot-words", "cabin, cab"], "cab ride"),
    ],
)
def test_decoding_options(model, recordings, options, text, capsys):
    assert cli.main(["predict", model, next(iter(recordings)), *options]) == 0
    assert capsys.readouterr().out == f"{text}\n"


def test_another_language_model(model, recordings, arpa, capsys):
    arpa.write_text(ARPA.replace("cab", "xxx").replace("cap", "cab").replace("xxx", "cap"))
    assert cli.main(["predict", model, next(iter(recordings)), "--language-model", str(arpa)]) == 0
    assert capsys.readouterr().out == "cap ride\n"
    arpa.write_text("no model")
    assert cli.main(["predict", model, next(iter(recordings)), "--language-model", str(arpa)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and str(arpa) in err and len(err.splitlines()) == 1


def test_bad_recordings_stop_nothing(model, recordings, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("no audio")
    one, two = recordings
    assert cli.main(["predict", model, one, str(tmp_path / "text.wav"), "gone.wav", two]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == list(recordings.values())
    first, second = err.splitlines()
    assert first.startswith(f"zoo: {tmp_path / 'text.wav'}: ") and second.startswith("zoo: gone.wav: ")


@pytest.mark.parametrize("options", [["--decoder", "greedy", "--beam-width", "3"], ["--hot-words", "naïve"]])
def test_options_that_cannot_be(model, recordings, options, capsys):
    assert cli.main(["predict", model, *recordings, *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("zoo: ")


class HearingTask(Model):
    """Stands for a loaded ``deep_speech`` task."""

    name = "deep_speech"

    def __init__(self):
        self.reader = SpeechReader(hear, CONFIG, Vocabulary(LETTERS), {"language_model.arpa": ARPA})


@pytest.fixture
def preset(tmp_path, monkeypatch, make_preset):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    make_preset(tmp_path / "presets/hearing", task="deep_speech")
    make_preset(tmp_path / "presets/seeing")
    real = common.load
    monkeypatch.setattr(
        common, "load", lambda name: {"hearing": HearingTask}.get(name, lambda: real(name))()
    )
    return "hearing"


def test_presets_are_read_alike(preset, recordings, capsys):
    assert cli.main(["predict", preset, *recordings]) == 0
    assert cli.main(["predict", preset, *recordings, "--decoder", "greedy"]) == 0
    assert capsys.readouterr().out.splitlines() == ["cab ride", "ride", "cap ride", "ride"]


def test_what_is_for_speech_only(preset, capsys):
    """It is refused before anything is loaded."""
    options = ["--hot-words", "x"]
    for command in (["predict", "seeing", "x.png"], ["evaluate", "seeing", "--data", "x"]):
        assert cli.main([*command, *options]) == 2
        expected = f"seeing: reads images, but {options[0]} is for deep_speech.*; leave it out"
        assert re.search(expected, capsys.readouterr().err)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "said"
    folder.mkdir()
    texts = ["ride", "cab", "good day"]
    for i, text in enumerate(texts):
        soundfile.write(folder / f"u{i}.wav", say(text), RATE)
    rows = [f"u{i}\tsomeone\t{text}" for i, text in enumerate([*texts[:2], "good days"])]
    (folder / "transcripts.tsv").write_text(
        "\n".join(["id\tspeaker\ttranscript", *rows, "u9\tother\tgone"]) + "\n"
    )
    return str(folder)


def test_evaluate(model, preset, corpus, capsys):
    for name in (model, preset):
        assert cli.main(["evaluate", name, "--data", corpus, "--format", "json", "--decoder", "greedy"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["lines"], report["characters"], report["character_errors"]) == (3, 16, 1)
        assert (report["wer"], report["decoder"]) == (0.25, "greedy")
        assert report["seconds"] == pytest.approx(15 * 3 * STEP) and report["times_real_time"] > 1
        assert len(report["skipped"]) == 1
    assert cli.main(["evaluate", model, "--data", corpus, "--only", "u[01]"]) == 0
    out, err = capsys.readouterr()
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (rows["utterances"], rows["decoder"], rows["wer"]) == ("2 (7 characters)", "beam", "0.00%")
    assert re.fullmatch(r"1 s of audio, read \d+ times as fast", rows["speed"]) and "u9" in err
