"""What is read aloud: texts as they are spoken, bad ones, and the command that writes sound."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import onnx
import pytest
import soundfile

import zoo
from export import to_onnx
from zoo import cli
from zoo.audio.files import SoundWriter, read_audio
from zoo.errors import UserError
from zoo.families.speech_synthesis.network import SpeechSynthesis, SpeechSynthesisConfig
from zoo.families.speech_synthesis.normalise import LONGEST, known, sentences, spell, symbols
from zoo.text.characters import Vocabulary

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow exports")
LETTERS = "^ abcdefghijklmnopqrstuvwxyzäöüß.,;:?!"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Am 3. Oktober 1990", "Am dritten Oktober neunzehnhundertneunzig"),
        ("Der 3. Oktober. Das 2. Mal.", "Der dritte Oktober. Das zweite Mal."),
        ("am 8.5.1905 um 23:01 Uhr", "am achten Mai neunzehnhundertfünf um dreiundzwanzig Uhr eins"),
        ("Um 8.30 Uhr!", "Um acht Uhr dreißig!"),
        ("Er ist 30. Sie auch.", "Er ist dreißig. Sie auch."),
        ("12,50 € bzw. $3", "zwölf Euro fünfzig beziehungsweise drei Dollar"),
        ("1,05 Euro; 1 Euro; 3,5 Euro", "ein Euro fünf; ein Euro; drei Komma fünf Euro"),
        ("z. B. 1.002,5 km, z.B. 1 kg",
         "zum Beispiel eintausendzwei Komma fünf Kilometer, zum Beispiel ein Kilogramm"),
        ("-5 °C, 50%, 12–15", "minus fünf Grad Celsius, fünfzig Prozent, zwölf bis fünfzehn"),
        ("CDU und NATO", "ze de u und Nato"),
        ("2:1, 0123", "zwei zu eins, null eins zwei drei"),
    ],
)  # fmt: skip
def test_numbers_dates_and_abbreviations(written, spoken):
    assert spell(written, "de") == spoken


def test_other_languages_have_their_numbers():
    assert spell("21 men and 2.5, 1,000", "en") == "twenty one men and two point five, one thousand"


def test_without_num2words(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert spell("Drei", "de") == "Drei"
    with pytest.raises(UserError, match='pip install "seqzoo\\[voice\\]"'):
        spell("3", "de")


def test_sentences_and_symbols():
    text = "„Guten Tag“, sagte er – und ging (schnell) weg… Wohin?\nNach Haus-Nr"
    found = sentences(text)
    assert found[1:] == ["Wohin?", "Nach Haus-Nr"]
    assert symbols(found[0]) == "^guten tag,sagte er,und ging,schnell,weg."
    assert symbols("Ja; nein") == "^ja;nein." and symbols("Ach,") == "^ach," and symbols("…") == ""
    long = ", ".join(["ein langes Stück"] * 40)
    assert all(len(one) <= LONGEST for one in sentences(long)) and " ".join(sentences(long)) == long
    assert all(len(one) <= LONGEST for one in sentences("a" * 999))
    vocabulary = Vocabulary(LETTERS)
    assert known("^café łódź.", vocabulary) == ("^cafe lodz.", set())
    assert known("^да a.", vocabulary) == ("^ a.", {"д", "а"})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A voice that has learned nothing, and its exported file, which is soon loaded."""
    keras.utils.set_random_seed(5)
    sizes = {"embedding": 8, "encoder_units": 8, "duration_units": 4, "prosody_units": 6, "decoder_units": 12}
    sound = {"sampling_rate": 8000, "frame_length": 400, "hop": 100, "mels": 24, "iterations": 1}
    task = SpeechSynthesis(SpeechSynthesisConfig(**sizes | sound), Vocabulary(LETTERS))
    path = str(tmp_path_factory.mktemp("voice") / "mine.onnx")
    report = to_onnx(task, path, "mine")
    assert not {"Loop", "Scan", "If"} & set(report["nodes"]) and report["nodes"]["LSTM"] == 6
    return task, path


@pytest.fixture
def path(model):
    return model[1]


@pytest.fixture
def given(monkeypatch):
    """A function that gives lines on standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def predict(path, *arguments):
    return cli.main(["predict", path, *map(str, arguments)])


@pytest.mark.slow
def test_a_host_says_the_same(path, host, tmp_path):
    """What knows the file alone; tests/test_hosts.py has the preset."""
    lines = ["„Guten Tag!“ Er geht (endlich) heim…", "Im Café saß niemand"]
    (tmp_path / "a.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert predict(path, tmp_path / "a.txt", "--output", tmp_path / "a.wav") == 0
    host("speech_synthesis", path, tmp_path / "b.wav", lines=lines)
    (wanted, rate), (found, same) = (soundfile.read(tmp_path / name) for name in ("a.wav", "b.wav"))
    assert rate == same == 8000 and len(wanted) > 1.4 * rate
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    for line in ("Am 3. Mai", "Max & Sohn", "die CDU"):
        with pytest.raises(SystemExit, match="has to be spelled out"):
            host("speech_synthesis", path, tmp_path / "c.wav", lines=["Gut.", line])
    assert not (tmp_path / "c.wav").exists()


@pytest.mark.slow
def test_exported_it_says_the_same(model, tmp_path):
    task, path = model
    one, other = (
        voice.predict("Aua, eie u.", details=True, speed=1.2)[0] for voice in (task, zoo.load(path))
    )
    assert one.words == other.words and len(one.words) == 3 and one.text == other.text
    np.testing.assert_allclose(one.audio, other.audio, atol=1e-3)
    to_onnx(task, str(tmp_path / "int8.onnx"), "mine", int8=True)
    (coarse,) = zoo.load(tmp_path / "int8.onnx").predict("Aua, eie u.", details=True, speed=1.2)
    assert coarse.seconds == pytest.approx(one.seconds, rel=0.1)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    exact = {tuple(one.dims) for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    assert {matrix.shape for matrix in task.vocoder.constants[:3]} <= exact


@pytest.mark.slow
def test_writes_sound(path, tmp_path, given, capsys):
    lengths = []
    for name in ("a.wav", "b.flac", "c.ogg"):
        given("Guten Tag.\nAm 3. Mai.")
        assert predict(path, "-", "--output", tmp_path / name) == 0
        assert capsys.readouterr().out.splitlines() == ["Guten Tag.", "Am dritten Mai."]
        assert soundfile.info(tmp_path / name).samplerate == 8000
        lengths.append(len(read_audio(tmp_path / name, rate=8000)))
    assert max(lengths) - min(lengths) < 200 and lengths[0] > 8000
    one = tmp_path / "one.wav"
    assert predict(path, "--text", "Guten Tag. Ja.", "--output", one, "--format", "json") == 0
    (about,) = json.loads(capsys.readouterr().out)
    assert [word["word"] for word in about["words"]] == ["guten", "tag", "ja"]
    assert soundfile.info(one).duration == pytest.approx(about["seconds"], abs=0.01)
    assert predict(path, "--text", "Guten Tag. Ja.", "--speed", 2, "--pause", 2, "--output", one) == 0
    assert soundfile.info(one).duration > 2 + 0.4 * about["seconds"]
    assert predict(path, "--text", "Ja.", "--plot", tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.slow
def test_each_sentence_as_soon_as_it_is_there(path):
    reader = zoo.load(path).reader
    pieces = list(reader.speak("Eins, zwei. Drei! " * 12))
    assert len(pieces) == 24 and pieces[0].text == "Eins, zwei." and len(pieces[0].words) == 2
    (whole,) = reader(["Eins, zwei. Drei!"], details=True)
    joined = np.concatenate([pieces[0].audio, pieces[1].audio])[: len(whole.audio)]
    np.testing.assert_allclose(joined, whole.audio, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("…", "line 1, '…': no word in it can be read aloud; give a text with letters"),
        ("😀", "no word in it can be read aloud"),
        ("", "no word in it can be read aloud"),
        ("a" * 100_000, "100,000 characters are more than 20,000; put paragraphs on lines of their own"),
        ("Привет, как дела?", "the voice speaks 'de' and has no sound for п р и в"),
        ("\udcff", "this is not UTF-8"),
    ],
)
def test_texts_that_cannot_be_spoken(text, problem, path, tmp_path, capsys):
    output = tmp_path / "a.wav"
    assert predict(path, "--text", text, "--output", output) == 2
    told = capsys.readouterr().err
    assert problem in told and "Traceback" not in told and told.count("\n") == 1
    assert not output.exists() and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_one_bad_line_is_told_and_the_rest_spoken(path, tmp_path, given, capsys):
    output = tmp_path / "a.wav"
    given("Ja.\n123456\n???\n")
    assert predict(path, "-", "--output", output) == 3
    told = capsys.readouterr()
    assert "line 3, '???'" in told.err and told.out.splitlines()[2:] == [""] and output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--text", "Ja."], "where is the result to go? give --output FILE.wav"),
        (["--text", "Ja.", "--output", "a.mp3"], "a.mp3: sound is written as .wav, .flac, .ogg"),
        (["--output", "a.wav"], "reads texts; give some as INPUT"),
        (["x.txt", "--text", "Ja.", "--output", "a.wav"], "leave out either"),
        (["--text", "Ja.", "--output", "/proc/no/a.wav"], "/proc/no"),
    ],
)
def test_commands_that_cannot_be_done(arguments, problem, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert predict(path, *arguments) == 2
    told = capsys.readouterr().err
    assert problem in told and told.count("\n") == 1 and not list(tmp_path.iterdir())


def test_sound_is_not_for_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(UserError, match="not for a terminal"):
        SoundWriter("-", 8000)


def test_sound_on_standard_output(tmp_path):
    program = """
import numpy as np
from zoo.audio.files import SoundWriter
class One: audio = np.linspace(-1, 1, 800)
with SoundWriter("-", 8000, 0.1) as file:
    file.add(One)
    file.add(One)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    audio = read_audio(found.stdout, rate=8000)
    assert len(audio) == 2400 and audio[1599] == pytest.approx(-1, abs=0.01) or len(audio) == 2400
