"""Sentences read aloud: by stand-ins for the synthesisers, which a machine may not have."""

import re
import sys

import numpy as np
import pytest

from recipes import synthetic_speech
from zoo.data.speech import load_speech
from zoo.errors import UserError

SENTENCES = [
    f"Satz {word} ist <kurz> & gut." for word in "eins zwei drei vier fünf sechs sieben acht".split()
]

# Its options -w PATH (flite: -o), and the text last; what it was called with is kept. It says a second.
PROGRAM = """#!{python}
import sys, wave
if "--voices=mb" in sys.argv:
    print("Pty Language Age/Gender VoiceName File")
    print(" 5  en-us --/F  us-1  mb/mb-us1")
    print(" 9  en  --/F  en-german-1  mb/mb-de1-en")
    print(" 9  en  --/M  en-dutch  mb/mb-nl2-en")
    sys.exit()
if "--voices" in sys.argv:
    print("Pty Language Age/Gender VoiceName\\n 5  de  --/M  German\\n 2  en-us  --/M  English")
    sys.exit()
if "stumm" in sys.argv[-1]:
    sys.exit("no voice")
with open({log!r}, "a") as log:
    log.write(repr(sys.argv) + "\\n")
with wave.open(sys.argv[sys.argv.index({option!r}) + 1], "wb") as file:
    file.setparams((1, 2, {rate}, 0, "NONE", "NONE"))
    file.writeframes(bytes([len(sys.argv[-1]) % 100, 1]) * {rate})
"""


@pytest.fixture
def synthesisers(tmp_path, monkeypatch):
    """Puts stand-ins of the named programs alone on the path; returns the log of their calls."""

    def install(*names):
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "calls.txt"
        for name in names:
            rate, option = 22050 if name == "espeak-ng" else 16000, "-o" if name == "flite" else "-w"
            program = PROGRAM.format(python=sys.executable, log=str(log), rate=rate, option=option)
            (folder / name).write_text(program)
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return log

    return install


def make(tmp_path, *options, sentences=SENTENCES, output="spoken"):
    (tmp_path / "text.txt").write_text("\n".join(sentences), encoding="utf-8")
    synthetic_speech.main(
        [str(tmp_path / "text.txt"), "--language", "de", "--output", str(tmp_path / output), *options]
    )
    return tmp_path / output


def test_it_is_a_corpus_read_by_both_programs(tmp_path, synthesisers, capsys):
    log = synthesisers("pico2wave", "espeak-ng")
    folder = make(tmp_path, sentences=[*SENTENCES, "", "Haus 7"])
    assert "8 sentences" in capsys.readouterr().out
    corpus = load_speech([str(folder)])
    assert sorted(corpus.texts) == sorted(f"satz {s.split()[1]} ist kurz gut" for s in SENTENCES)
    recordings = np.concatenate([np.asarray(one) for audio, _ in corpus.chunks(1) for one in audio])
    assert len(recordings) == 8 * 16000  # a second each, at 16 kHz from either program
    speakers = {name.split("/")[1] for name in corpus.names}
    assert "pico" in speakers and any(speaker.startswith("espeak-") for speaker in speakers)
    calls = log.read_text()
    assert "&lt;kurz&gt; &amp; gut." in calls  # pico2wave reads markup,
    assert "<kurz> & gut." in calls  # espeak-ng text
    assert len(set(re.findall(r"speed level='(\d+)'", calls))) > 2


def test_the_seed_decides_who_speaks(tmp_path, synthesisers):
    synthesisers("pico2wave", "espeak-ng")
    tables = [
        (make(tmp_path, "--seed", seed, output=name) / "transcripts.tsv").read_text()
        for seed, name in (("1", "a"), ("1", "b"), ("2", "c"))
    ]
    assert tables[0] == tables[1] != tables[2]


def test_one_program_suffices(tmp_path, synthesisers):
    synthesisers("pico2wave")
    table = (make(tmp_path) / "transcripts.tsv").read_text()
    assert table.count("\tpico\t") == 8


def test_a_language_or_one_of_its_regions(synthesisers):
    synthesisers("pico2wave", "espeak-ng")
    for language in ("en", "en-us"):
        assert set(synthetic_speech.synthesisers(language)) == {"pico", "espeak"}, language
    assert set(synthetic_speech.synthesisers("de-at")) == {"pico"}


def test_flite_speaks_english_alone(tmp_path, synthesisers):
    log = synthesisers("flite", "espeak-ng")
    table = (make(tmp_path, "--language", "en", sentences=6 * SENTENCES) / "transcripts.tsv").read_text()
    speakers = [line.split("\t")[1] for line in table.splitlines()[1:]]
    assert {one for one in speakers if one.startswith("flite-")} == {
        f"flite-{voice}" for voice in synthetic_speech.FLITE_VOICES
    }
    assert any(one.startswith("espeak-") for one in speakers) and "duration_stretch=1.1" in log.read_text()
    assert set(synthetic_speech.synthesisers("de")) == {"espeak"}


def test_mbrola_has_the_voices_that_are_installed(tmp_path, synthesisers, monkeypatch):
    for name in ("us1", "de1"):
        (tmp_path / "mbrola" / name).mkdir(parents=True)
    monkeypatch.setattr(synthetic_speech, "MBROLA_FOLDER", tmp_path / "mbrola")
    log = synthesisers("mbrola", "espeak-ng")
    table = (make(tmp_path, "--language", "en", sentences=3 * SENTENCES) / "transcripts.tsv").read_text()
    speakers = {line.split("\t")[1] for line in table.splitlines()[1:]}
    assert {one for one in speakers if one.startswith("mbrola-")} == {"mbrola-us-1", "mbrola-en-german-1"}
    assert any(one.startswith("espeak-") for one in speakers) and "'en-german-1'" in log.read_text()
    assert set(synthetic_speech.synthesisers("de")) == {"espeak"}


def test_what_cannot_be_spoken(tmp_path, synthesisers):
    synthesisers("pico2wave", "espeak-ng")
    with pytest.raises(UserError, match=r"no line of it is a sentence"):
        make(tmp_path, sentences=["1", ""])
    with pytest.raises(UserError, match=r"--language xx: .*install espeak-ng"):
        synthetic_speech.synthesisers("xx")
    with pytest.raises(UserError, match=r"nowhere\.txt: cannot be read"):
        synthetic_speech.read_sentences(tmp_path / "nowhere.txt")
    (tmp_path / "latin.txt").write_bytes("süß".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.txt: line 1 is not UTF-8 at its byte 2"):
        synthetic_speech.read_sentences(tmp_path / "latin.txt")


def test_a_program_that_fails_leaves_nothing(tmp_path, synthesisers):
    synthesisers("pico2wave")
    with pytest.raises(UserError, match=r"pico2wave failed \(no voice\)"):
        make(tmp_path, sentences=[*SENTENCES, "Er ist stumm."])
    assert not (tmp_path / "spoken").exists()
