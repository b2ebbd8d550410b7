"""Sentences read aloud by speech synthesisers, as a corpus to learn from besides recordings.

    python -m recipes.synthetic_speech sentences.txt --language de --output spoken
    python -m recipes.deep_speech finetune --preset deep_speech_en --data my_voice/@3 spoken --extend \
        --hold-out '^my_voice/.*5$' --output runs/tuned

Of few hours a model learns words by heart rather than sounds; what it lacks is other words, and those a
machine can say (Rosenberg et al. 2019, "Speech Recognition with Augmented Synthesized Speech"). Each sentence
is read by pico2wave, which sounds the more human, or by espeak-ng, which has many voices, at a speed and a
pitch of its own. Both are Debian packages (`libttspico-utils` of non-free, `espeak-ng`); either will do.
Validate on recordings only, as above.
"""

import argparse
import concurrent.futures
import html
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from recipes import trainer
from zoo import files
from zoo.data import audio
from zoo.data.transcripts import has_digits, normalise_transcript
from zoo.errors import UserError

PICO_LANGUAGES = {"de": "de-DE", "en": "en-US", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}
ESPEAK_VARIANTS = (*(f"m{i}" for i in range(1, 8)), *(f"f{i}" for i in range(1, 6)))
PICO_SHARE = 0.7  # of the sentences, where both programs are there


def synthesisers(language):
    """The programs here that speak ``language``: name -> function of ``(text, random generator, path)``.

    Each writes a WAV file to ``path`` and returns the name of its voice.

    Raises:
        UserError: there is none.
    """
    found = {}
    if shutil.which("pico2wave") and language in PICO_LANGUAGES:
        found["pico"] = lambda *call: _pico(PICO_LANGUAGES[language], *call)
    if shutil.which("espeak-ng") and _speaks(language):
        found["espeak"] = lambda *call: _espeak(language, *call)
    if not found:
        raise UserError(
            f"--language {language}: no synthesiser that speaks it is here; install espeak-ng, and give a "
            "language that `espeak-ng --voices` lists."
        )
    return found


def _speaks(language):
    listed = subprocess.run(["espeak-ng", "--voices"], capture_output=True, text=True, check=True).stdout
    return any(line.split()[1] == language for line in listed.splitlines()[1:])


def _pico(language, text, rng, path):
    speed, pitch = rng.integers(80, 126), rng.integers(80, 126)  # percent
    marked = f"<speed level='{speed}'><pitch level='{pitch}'>{html.escape(text)}</pitch></speed>"
    _run("pico2wave", "-l", language, "-w", path, "--", marked)
    return "pico"


def _espeak(language, text, rng, path):
    variant = rng.choice(ESPEAK_VARIANTS)
    speed, pitch = rng.integers(120, 191), rng.integers(30, 71)  # words a minute; 50 is the voice's own
    _run("espeak-ng", "-v", f"{language}+{variant}", "-s", speed, "-p", pitch, "-w", path, "--", text)
    return f"espeak-{variant}"


def _run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise UserError(f"{command[0]} failed ({done.stderr.strip()[:200]}); try it by hand.")


def speak(index, text, programs, folder, seed=0):
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
    names = sorted(programs)  # espeak, pico
    name = names[-1] if rng.random() < PICO_SHARE else names[0]
    identity = f"{index:06d}"
    with tempfile.TemporaryDirectory() as temporary:
        spoken = Path(temporary, "spoken.wav")
        voice = programs[name](text, rng, spoken)
        samples = audio.read_audio(spoken)
    soundfile.write(folder / f"{identity}.flac", samples, audio.RATE, subtype="PCM_16")
    return f"{identity}\t{voice}\t{len(samples) / audio.RATE:.3f}\t{text}"


def read_sentences(path):
    """The lines of a UTF-8 text that can be learned: neither empty nor with digits; and how many cannot."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is not UTF-8; save the text as UTF-8 and try again."
        ) from error
    lines = [" ".join(line.split()) for line in lines]
    usable = [line for line in lines if normalise_transcript(line) and not has_digits(line)]
    if not usable:
        raise UserError(f"{path}: no line of it is a sentence without digits; give one sentence a line.")
    return usable, len(lines) - len(usable)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("text", help="one sentence a line")
    parser.add_argument("--language", required=True, help="as espeak-ng calls it: de, en, fr …")
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
    trainer.command(main)
