"""Reads texts aloud with an exported model or a Keras task.

    import zoo

    voice = zoo.load("voice.onnx")                        # or a preset, or a folder
    one, = voice.predict("Guten Tag.", details=True)      # Spoken: text, audio, rate, words, seconds
    for piece in voice.reader.speak(book, speed=1.2):     # sentence by sentence, as soon as it is there
        play(piece.audio, piece.rate)
    with voice.reader.writer("tag.wav") as file:
        file.add(one)

Numbers, dates and abbreviations are spelled out by num2words (``pip install "seqzoo[voice]"``).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import importlib
import itertools
import math
import os
import time
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.audio.files import WRITES, SoundWriter
from zoo.audio.mel import LogMel
from zoo.contract.options import Option
from zoo.contract.reader import Metric, Reader, check_utf8
from zoo.errors import UserError
from zoo.families.speech_synthesis.normalise import known, sentences, spell, symbols
from zoo.metrics.speech import mel_distortion
from zoo.text.characters import Vocabulary
from zoo.text.normalise import normalise_transcript

if TYPE_CHECKING:
    from zoo.data.speech import Speech
    from zoo.text.plain import Characters

WINDOW = 32  # texts that are read together
BATCH = 8  # sentences that each thread speaks at a time
LONGEST = 20_000  # characters of a text: some 25 minutes
SLOWEST, FASTEST = 0.25, 4.0
PAUSE = 0.35  # seconds between sentences
_FOREIGN = 0.05  # of the letters may have no sound in the language, as names have them


class Word(typing.NamedTuple):
    """A word, and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A text as it was spoken.

    Attributes:
        text: what was said, in letters.
        audio: float32 ``[samples]`` in -1..1.
        rate: samples per second.
        words: list of ``Word``.
        log_mel: float32 ``[frames, mels]``, what the sound was made from.
        confidence: 1, as no other text was considered; 0 where there was nothing to say.
    """

    text: str
    audio: np.ndarray = dataclasses.field(compare=False)
    rate: int
    words: list
    log_mel: np.ndarray = dataclasses.field(compare=False, repr=False)
    confidence: float = 1.0

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.rate

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        words = [{"word": w, "start": round(s, 3), "end": round(e, 3)} for w, s, e in self.words]
        about = {"text": self.text, "confidence": self.confidence}
        return about | {"seconds": round(self.seconds, 3), "words": words}


def _between(low, high, what):
    def parse(text):
        try:
            if low <= float(text) <= high:
                return float(text)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is no {what} from {low:g} to {high:g}")

    return parse


class VoiceReader(Reader):
    """Reads texts aloud; each result is a ``Spoken``. The arguments are those of ``Reader``."""

    Vocabulary = Vocabulary
    reads, one, unit, takes = "texts", "text", "utterances", "lines"
    single = str
    columns = {"text": ("text", "sentence", "transcript")}
    columns_help = "text=COLUMN is the column with the texts"
    options = (
        Option("speed", "how fast, 1 is the voice's own", _between(SLOWEST, FASTEST, "speed"), "X"),
        Option(
            "pause", f"seconds of silence between sentences, default {PAUSE}", _between(0, 10, "pause"), "S",
            evaluates=False,
        ),
        Option("recogniser", "model that hears the voice when it is evaluated", str, "MODEL"),
    )  # fmt: skip
    writes = tuple(WRITES)
    plots, plot_help = "one", "waveform, spectrogram and words"
    metrics = (
        Metric("character_error_rate", "character error rate", "{:.2%}"),
        Metric("mel_distortion", "mel distortion", "{:.2f} dB"),
    )

    @classmethod
    def read_vocabulary(cls, metadata: dict[str, str]) -> Characters:
        return cls.Vocabulary.from_metadata(metadata)

    @property
    def rate(self) -> int:
        return self.config["sampling_rate"]

    # === Speaking ===

    def stream(
        self, texts: Any, errors: str = "raise", progress: bool = False, speed: float = 1.0,
        pause: float = PAUSE, recogniser: Any = None,
    ) -> Iterator[Spoken | UserError]:  # fmt: skip
        """Iterate over the ``Spoken`` of each text.

        Args:
            texts: an iterable of str, each of one sentence or more.
            errors, progress: as in a call.
            speed: 0.25 to 4; 1 is the voice's own.
            pause: seconds of silence between sentences.
            recogniser: not used; it is for ``evaluate``.

        Raises:
            UserError: a text has no letter, is too long, or has letters that the voice has not learned.
        """
        self._check(speed, pause)

        def prepare(number, text):
            return self._prepared(text, number)

        def answer(window, pool, bar):
            every = [one for prepared in window.values() for one in prepared]
            spoken, found = self._speak(every, speed, pool), {}
            for number, prepared in window.items():
                found[number] = self._joined([next(spoken) for _ in prepared], pause)
                bar.update()
            return found

        bar = {"desc": "speaking", "unit": " texts", "disable": not progress}
        return self.in_windows(texts, prepare, answer, WINDOW, errors, **bar)

    def speak(self, text: str, speed: float = 1.0, pause: float = PAUSE) -> Iterator[Spoken]:
        """Iterate over the ``Spoken`` of each sentence, with the pause behind it, as soon as it is there.

        Arguments and errors are those of ``stream``, but that a text may be of any length.
        """
        self._check(speed, pause)
        waiting = iter(self._prepared(text, 0, math.inf))
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            size = 1  # the first sentence is heard at once
            while some := list(itertools.islice(waiting, size)):
                for one in self._speak(some, speed, pool):
                    yield self._joined([one, None], pause)
                size = BATCH

    @staticmethod
    def _check(speed, pause):
        if not SLOWEST <= speed <= FASTEST:
            raise UserError(f"a speed is {SLOWEST:g} to {FASTEST:g}, not {speed}")
        if not 0 <= pause < math.inf:
            raise UserError(f"a pause is 0 or more seconds, not {pause}")

    def _prepared(self, text, number, longest=LONGEST):
        """The sentences of a text: list of ``(spoken, symbols, rows)``."""
        check_utf8(text, number + 1)
        where = f"line {number + 1}, {text[:40]!r}" + "…" * (len(text) > 40)
        if len(text) > longest:
            raise UserError(
                f"{where}: {len(text):,} characters are more than {longest:,}; put paragraphs on lines of "
                "their own"
            )
        spoken, foreign, letters, found = spell(text, self.config["language"]), [], 0, []
        for sentence in sentences(spoken):
            read, strange = known(symbols(sentence), self.vocabulary)
            letters += sum(map(str.isalpha, sentence))
            foreign += [character for character in sentence.lower() if character in strange]
            if any(map(str.isalpha, read)):
                found.append((sentence, read, np.array(self.vocabulary.encode(read), np.int32)))
        if len(foreign) > _FOREIGN * letters:
            listed, language = " ".join(dict.fromkeys(foreign[:20])), self.config["language"]
            raise UserError(
                f"{where}: the voice speaks {language!r} and has no sound for {listed}; give a text in that "
                "language"
            )
        if not found:
            raise UserError(f"{where}: no word in it can be read aloud; give a text with letters")
        return found

    def _speak(self, prepared, speed, pool):
        """Iterate over ``(sentence, audio, words, log_mel)`` of prepared sentences, in their order."""
        order = sorted(range(len(prepared)), key=lambda i: len(prepared[i][2]), reverse=True)
        size = max(1, min(BATCH, -(-len(order) // self.threads)))
        batches = [order[i : i + size] for i in range(0, len(order), size)]

        def run(batch):
            return self._run([prepared[i] for i in batch], speed)

        found = {}
        for batch, results in zip(batches, pool.map(run, batches), strict=True):
            found |= zip(batch, results, strict=True)
        return (found[i] for i in range(len(prepared)))

    def _run(self, batch, speed):
        rows = [rows for _, _, rows in batch]
        lengths = np.array([len(one) for one in rows], np.int32)
        padded = np.zeros((len(rows), lengths.max()), np.int32)
        for row, one in zip(padded, rows, strict=True):
            row[: len(one)] = one
        speeds = np.full(len(rows), speed, np.float32)
        served = self.run({"symbols": padded, "symbol_lengths": lengths, "speed": speeds})
        hop = self.config["hop"] / self.rate
        found = []
        for i, (sentence, read, _) in enumerate(batch):
            audio = np.array(served["audio"][i, : served["audio_lengths"][i]])
            durations = served["durations"][i, : lengths[i]]
            mel = np.array(served["log_mel"][i, : durations.sum()])
            found.append((sentence, audio, _words(read, durations, hop), mel))
        return found

    def _joined(self, parts, pause):
        """Sentences with pauses between them, as one ``Spoken``; None is a sentence of silence."""
        silence = np.zeros(round(pause * self.rate), np.float32)
        audio, words, mels, texts, at = [], [], [], [], 0.0
        for i, part in enumerate(parts):
            if i:
                audio.append(silence)
            if part is None:
                continue
            at = sum(map(len, audio)) / self.rate
            sentence, samples, own, mel = part
            audio.append(samples)
            words += [Word(text, start + at, end + at) for text, start, end in own]
            mels.append(mel)
            texts.append(sentence)
        said = " ".join(texts), np.concatenate(audio), self.rate, words, np.concatenate(mels)
        return Spoken(*said, confidence=float(bool(words)))

    def writer(self, path: str | os.PathLike) -> SoundWriter:
        """A ``zoo.audio.files.SoundWriter`` of what is spoken, with a pause between texts."""
        return SoundWriter(path, self.rate, 2 * PAUSE)

    # === Picture ===

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draws what is said of one text: waveform, spectrogram and words.

        Args:
            item: the text.
            path: the PNG file to write.
            decoding: the arguments of ``stream``.

        Raises:
            UserError: as of ``stream``, or the file cannot be written.
        """
        from zoo.families.speech_synthesis.plot import draw
        from zoo.plots.drawing import save

        (spoken,) = self.stream([item], **decoding)
        save(draw(spoken), path)

    # === Figures ===

    def evaluate(
        self, corpus: Speech, progress: bool = False, speed: float = 1.0, recogniser: Any = None
    ) -> dict[str, Any]:
        """The report on a corpus of recordings: their texts are spoken, and compared with them.

        Args:
            corpus: a ``zoo.data.speech.Speech`` with transcripts as they are written.
            progress: show a progress bar.
            speed: as of ``stream``.
            recogniser: the model that hears voice and recordings; None: that of the configuration; "": none.

        Returns:
            A dict with ``character_error_rate``, of what the ``recogniser`` hears of the voice, and
            ``recording_character_error_rate``, of the recordings; ``mel_distortion`` (dB, see
            ``zoo.metrics.speech``); ``pace``, how long the voice takes for each second of the recordings;
            ``texts``, ``seconds`` of sound, ``times_real_time`` and ``skipped`` (sentences on utterances
            that could not be used).
        """
        from tqdm import tqdm

        recogniser = self.config["recogniser"] if recogniser is None else recogniser
        # Not imported above: it may need Keras, which reading does not.
        ears = importlib.import_module("zoo").load(recogniser) if recogniser else None
        if ears and ears.name != "deep_speech":
            raise UserError(f"--recogniser {recogniser}: this hears no speech; give one that does")
        skipped, heard = list(corpus.skipped), []
        mel = LogMel(*(self.config[name] for name in ("sampling_rate", "frame_length", "hop", "mels")))
        distortions, spent, said, recorded = [], 0.0, 0.0, 0.0
        bar = tqdm(
            total=len(corpus), desc="speaking", unit=" texts", delay=1, leave=False, disable=not progress
        )
        with bar:
            for recordings, texts in corpus.chunks(BATCH * self.threads):
                start = time.perf_counter()
                found = list(self.stream(texts, "return", speed=speed))
                spent += time.perf_counter() - start
                pairs = zip(recordings, texts, found, strict=True)
                skipped += [str(one) for one in found if isinstance(one, UserError)]
                good = [pair for pair in pairs if not isinstance(pair[2], UserError)]
                for recording, _, spoken in good:
                    distortions.append(mel_distortion(mel(spoken.audio), mel(recording)))
                    said += spoken.seconds
                    recorded += len(recording) / self.rate
                heard += self._heard(ears, good)
                bar.update(len(texts))
        if not distortions:
            raise UserError(f"no text of this corpus can be spoken ({skipped[0]}); give others")
        rates = {}
        if heard:
            from zoo.metrics.text import text_error_rates

            texts, voices, recordings = zip(*heard, strict=True)
            rates = {
                "character_error_rate": text_error_rates(texts, voices)["cer"],
                "recording_character_error_rate": text_error_rates(texts, recordings)["cer"],
                "recogniser": recogniser,
            }
        return {
            "texts": len(distortions),
            **rates,
            "mel_distortion": float(np.mean(distortions)),
            "pace": said / recorded,
            "seconds": said,
            "times_real_time": said / spent,
            "skipped": skipped,
        }

    def _heard(self, ears, good):
        """What was said, and what is heard of voice and recording: a list of such three texts."""
        if not ears or not good:
            return []
        voices = ears.predict([(spoken.audio, self.rate) for _, _, spoken in good])
        recordings = ears.predict([(recording, self.rate) for recording, _, _ in good])
        texts = [normalise_transcript(spoken.text) for _, _, spoken in good]
        return list(zip(texts, voices, recordings, strict=True))

    def rows(self, report: dict) -> list[tuple[str, str]]:
        rows = [("texts", str(report["texts"]))]
        if "recogniser" in report:
            rows += [
                ("heard by", report["recogniser"]),
                ("character_error_rate", f"{report['character_error_rate']:.2%}"),
                ("of the recordings", f"{report['recording_character_error_rate']:.2%}"),
            ]
        return [
            *rows,
            ("mel_distortion", f"{report['mel_distortion']:.2f} dB"),
            ("pace", f"{report['pace']:.2f} times as long as the recordings"),
            ("speed", f"{report['times_real_time']:.0f} times as fast as real time"),
            ("skipped", str(len(report["skipped"]))),
        ]


def _words(read, durations, hop):
    """``[(word, start, end)]`` of symbols and their frames."""
    ends = np.cumsum(durations) * hop
    found, first = [], None
    for i, symbol in enumerate(read):
        if symbol.isalpha() and first is None:
            first = i
        elif not symbol.isalpha() and first is not None:
            found.append((read[first:i], float(ends[first - 1]), float(ends[i - 1])))
            first = None
    return found


READER = VoiceReader
