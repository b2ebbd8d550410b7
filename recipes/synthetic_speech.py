"""Sentences read aloud by speech synthesisers, as a corpus to learn from besides recordings.

    python -m recipes.synthetic_speech sentences.txt --language de --output spoken
    python -m recipes.deep_speech finetune --preset deep_speech_en --data my_voice/@3 spoken --extend \
        --hold-out '^my_voice/.*5$' --output runs/tuned

Of few hours a model learns words by heart rather than sounds; what it lacks is other words, and those a
machine can say (Rosenberg et al. 2019, "Speech Recognition with Augmented Synthesized Speech"). Each sentence
is read by pico2wave, flite (English alone, four speakers) or one of MBROLA's voices, which sound the more
human, or by espeak-ng, which has many voices, at a speed of its own. They are Debian packages (`flite`,
`espeak-ng`; of non-free `libttspico-utils`, and `mbrola` with `mbrola-us1` and its like, for espeak-ng to
speak with); any will do. Validate on recordings only, as above.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import html
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from recipes.training import command_line
from zoo import files
from zoo.audio import files as audio
from zoo.errors import UserError
from zoo.text.files import read_text, split_lines
from zoo.text.normalise import has_digits, normalise_transcript

PICO_LANGUAGES = {"de": "de-DE", "en": "en-US", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}
ESPEAK_VARIANTS = (*(f"m{i}" for i in range(1, 8)), *(f"f{i}" for i in range(1, 6)))
FLITE_VOICES = ("awb", "kal16", "rms", "slt")
MBROLA_FOLDER = Path("/usr/share/mbrola")
HUMAN_SHARE = 0.7  # of the sentences is not read by espeak-ng, where there is another


def synthesisers(language: str) -> dict[str, Callable]:
    """The programs here that speak ``language``: name -> function of ``(text, random generator, path)``.

    Each writes a WAV file to ``path`` and returns the name of its voice.

    Raises:
        UserError: there is none.
    """
    found, whole = {}, _whole(language)
    if shutil.which("pico2wave") and whole in PICO_LANGUAGES:
        found["pico"] = lambda *call: _pico(PICO_LANGUAGES[whole], *call)
    if shutil.which("flite") and whole == "en":
        found["flite"] = _flite
    if shutil.which("espeak-ng") and _speaks(language):
        found["espeak"] = lambda *call: _espeak(language, *call)
    if shutil.which("mbrola") and shutil.which("espeak-ng") and (voices := mbrola_voices(language)):
        found["mbrola"] = lambda *call: _mbrola(voices, *call)
    if not found:
        raise UserError(
            f"--language {language}: no synthesiser that speaks it is here; install espeak-ng, and give a "
            "language that `espeak-ng --voices` lists."
        )
    return found


def _whole(language):
    """A language without its region: of en-us, en."""
    return language.partition("-")[0]


def _speaks(language):
    """Whether espeak-ng does: it lists English by region alone (en-us …), and knows what `en` is, too."""
    return any(f"{row[1]}-".startswith(f"{language}-") for row in _voices("--voices"))


def mbrola_voices(language: str) -> list[str]:
    """The voices of MBROLA that speak ``language`` and are installed, by the names espeak-ng has for them.

    Among them are speakers of other languages, who speak this one with their accent.
    """
    # mb/mb-us1 is a file about the voice in the folder us1, mb/mb-de1-en about one that is to speak English.
    return [
        row[3] for row in _voices("--voices=mb")
        if _whole(row[1]) == _whole(language)
        and (MBROLA_FOLDER / row[4].split("-")[1]).exists()
    ]  # fmt: skip


def _voices(option):
    """The rows of espeak-ng's table: priority, language, gender, name, file …"""
    listed = subprocess.run(["espeak-ng", option], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in listed.splitlines()[1:]]


def _pico(language, text, rng, path):
    speed, pitch = rng.integers(80, 126), rng.integers(80, 126)  # percent
    marked = f"<speed level='{speed}'><pitch level='{pitch}'>{html.escape(text)}</pitch></speed>"
    _run("pico2wave", "-l", language, "-w", path, "--", marked)
    return "pico"


def _flite(text, rng, path):
    voice, stretch = rng.choice(FLITE_VOICES), rng.uniform(0.8, 1.25)
    _run("flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-o", path, "-t", text)
    return f"flite-{voice}"


def _espeak(language, text, rng, path):
    variant = rng.choice(ESPEAK_VARIANTS)
    speed, pitch = rng.integers(120, 191), rng.integers(30, 71)  # words a minute; 50 is the voice's own
    _run("espeak-ng", "-v", f"{language}+{variant}", "-s", speed, "-p", pitch, "-w", path, "--", text)
    return f"espeak-{variant}"


def _mbrola(voices, text, rng, path):
    voice = rng.choice(voices)
    speed, pitch = rng.integers(110, 181), rng.integers(35, 66)
    _run("espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", path, "--", text)
    return f"mbrola-{voice}"


def _run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise UserError(f"{command[0]} failed ({done.stderr.strip()[:200]}); try it by hand.")


def speak(
    index: int, text: str, programs: dict[str, Callable], folder: str | os.PathLike, seed: int = 0
) -> str:
    """Read one sentence aloud.

    Args:
        index: its number; it and ``seed`` decide who speaks, and how.
        text: str.
        programs: of ``synthesisers``.
        folder: where ``INDEX.flac`` goes, mono at 16 kHz.

    Returns:
        A line of ``transcripts.tsv``: id, speaker, seconds, transcript.
    """
    rng = np.random.default_rng((seed, index))
    human = sorted(programs.keys() - {"espeak"})
    name = rng.choice(human) if human and rng.random() < HUMAN_SHARE else sorted(programs)[0]
    identity = f"{index:06d}"
    with tempfile.TemporaryDirectory() as temporary:
        spoken = Path(temporary, "spoken.wav")
        voice = programs[name](text, rng, spoken)
        samples = audio.read_audio(spoken)
    soundfile.write(folder / f"{identity}.flac", samples, audio.RATE, subtype="PCM_16")
    return f"{identity}\t{voice}\t{len(samples) / audio.RATE:.3f}\t{text}"


def read_sentences(path: str | os.PathLike) -> tuple[list[str], int]:
    """The lines of a UTF-8 text that can be learned: neither empty nor with digits; and how many cannot.

    The file may be gzipped.
    """
    lines = [" ".join(line.split()) for line in split_lines(read_text(path))]
    usable = [line for line in lines if normalise_transcript(line) and not has_digits(line)]
    if not usable:
        raise UserError(f"{path}: no line of it is a sentence without digits; give one sentence a line.")
    return usable, len(lines) - len(usable)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("text", help="one sentence a line")
    parser.add_argument("--language", required=True, help="as espeak-ng calls it: de, en, en-us, fr …")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="corpus to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    sentences, left_out = read_sentences(options.text)
    programs = synthesisers(options.language)
    with (
        files.atomic_folder(options.output, marker="transcripts.tsv") as folder,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        spoken = pool.map(
            lambda numbered: speak(*numbered, programs, folder, options.seed), enumerate(sentences)
        )
        lines = list(tqdm(spoken, total=len(sentences), unit=" sentences", disable=None))
        table = "\n".join(["id\tspeaker\tseconds\ttranscript", *lines]) + "\n"
        (folder / "transcripts.tsv").write_text(table, encoding="utf-8")
    hours = sum(float(line.split("\t")[2]) for line in lines) / 3600
    print(
        f"{options.output}: {len(lines):,} sentences, {hours:.1f} hours, read by {' and '.join(programs)}; "
        f"{left_out} lines left out, empty or with digits."
    )


if __name__ == "__main__":
    command_line.command(main)
