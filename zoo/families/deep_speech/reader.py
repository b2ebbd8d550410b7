"""Reads speech with an exported model or a Keras task: recordings of any length, words with their times.

    import zoo

    model = zoo.load("speech.onnx")                   # or a preset, or a folder
    model.predict(["one.wav", "two.flac"])            # ["good morning", "how do you do"]
    talk, = model.predict("talk.mp3", details=True)   # Transcript: text, confidence, words, seconds
    print(subtitles(talk.words, "srt"))               # of zoo.formats.subtitles

Recordings longer than ``LIMIT`` are cut at pauses while they are read, so that none is ever in memory whole.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import math
import os
import time
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from export.runtime import align
from zoo.audio.files import SUFFIXES, blocks, cut, duration, read_audio
from zoo.audio.incoming import incoming
from zoo.audio.pauses import LIMIT, split
from zoo.contract.options import BEAM_WIDTH, SAME, Option
from zoo.contract.reader import SpellingReader, is_waiting
from zoo.decoding.language_model import ALPHA, DECODER, OfLanguageModel, language_model_option
from zoo.errors import UserError
from zoo.families.deep_speech.streaming import Stream, inputs_of, late, samples_per_frame
from zoo.formats.subtitles import Srt, Vtt
from zoo.metrics.text import evaluate_reader
from zoo.plots.drawing import save
from zoo.text.characters import Vocabulary

if TYPE_CHECKING:
    from zoo.data.speech import Speech
    from zoo.decoding.ctc_words import WordSearch
    from zoo.text.ngrams import LanguageModel

WINDOW = 600  # seconds of audio held in memory and sorted by length at a time
FIRST = 60  # seconds of those that are read first, so that there soon is something to see
PIECE = 8  # frames that are heard at a time while sound comes in
PAUSE = 0.8  # seconds without a character that end an utterance then
BATCH = 8  # pieces read at a time by each thread, those of similar length together


class Word(typing.NamedTuple):
    """A word, when it was said (seconds of the recording), and the probability that it is right."""

    text: str
    start: float
    end: float
    confidence: float


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    Attributes:
        text: the words, with blanks between them.
        confidence: the probability that all of it is right, 0 to 1; 0 where there is no word. Of a recording
            that was heard in several pieces, the mean of theirs, by their letters. See
            ``export.runtime.calibrated``.
        words: list of ``Word``.
        seconds: length of the recording.
    """

    text: str
    confidence: float
    words: list
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        words = [
            {"word": w, "start": round(s, 3), "end": round(e, 3), "confidence": round(c, 4)}
            for w, s, e, c in self.words
        ]
        about = {"text": self.text, "confidence": round(self.confidence, 4)}
        return about | {"seconds": round(self.seconds, 3), "words": words}


@dataclasses.dataclass(frozen=True)
class Moment(Transcript):
    """What is known of an utterance while it is heard; ``seconds`` are those of sound so far.

    Attributes:
        final: whether the utterance has ended. Until then the last words may change.
    """

    final: bool

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"final": self.final}


def _words_of(text):
    return [word.strip() for word in text.split(",") if word.strip()]


class SpeechReader(OfLanguageModel, SpellingReader):
    """Transcribes recordings; each result is a ``Transcript``.

    The arguments are those of ``Reader``; ``assets`` may hold ``language_model.arpa``.
    """

    Vocabulary = Vocabulary
    reads, one, unit, suffixes = "speech", "recording", "utterances", SUFFIXES
    single, axes = SpellingReader.single | np.ndarray, 2
    options = (
        DECODER,
        BEAM_WIDTH,
        language_model_option("of words"),
        ALPHA,
        Option("beta", "bonus of each word, natural logarithm", float, "X"),
        Option("hot_words", "words to expect, divided by commas", _words_of, "WORD,WORD"),
        SAME,
    )
    formats = SpellingReader.formats | {"srt": Srt, "vtt": Vtt}
    plots, plot_help = "one", "waveform, spectrogram, characters over time and words"
    follows_bytes = True
    follows = "words as they are said: INPUT - is sound on standard input, WAV or 16-bit samples"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._labels = {character: i + 1 for i, character in enumerate(self.vocabulary.characters)}
        self.rate = self.config["sampling_rate"]  # of what the network hears
        self._seconds = samples_per_frame(self.config) / self.rate  # per frame of the output
        self._stream = Stream(self.config) if self.config.get("lookahead") else None

    def several(self, inputs: Any) -> Iterable:
        return [inputs] if _is_pair(inputs) else super().several(inputs)

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, **decoding: Any
    ) -> Iterator[Transcript | UserError]:
        """Iterate over the ``Transcript`` of each recording, each as soon as it is there.

        Args:
            inputs: an iterable of recordings: each a path, the bytes of a file, an array, or a pair of array
                and sampling rate (see ``zoo.audio.files.read_audio``).
            errors: as in a call.
            progress: show a bar that counts seconds of audio.
            decoding: the arguments of ``search``.

        Raises:
            UserError: a recording cannot be read, or the decoding arguments contradict each other.
        """
        from tqdm import tqdm

        search = self.search(**decoding)
        bar = {"unit_scale": 1 / self.rate, "delay": 1, "leave": False, "disable": not progress}  # samples
        bar["bar_format"] = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
        with (
            concurrent.futures.ThreadPoolExecutor(self.threads) as pool,
            tqdm(total=0, desc="listening", **bar) as bar,
        ):
            waiting, window, inputs = collections.deque(), [], iter(inputs)
            most = min(WINDOW, FIRST) if hasattr(inputs, "waiting") else WINDOW
            for number, item in enumerate(inputs):
                recording = _Recording(self.rate)
                waiting.append(recording)
                try:
                    parts, seconds = _opened(item, self.rate, number)
                    bar.total += round(seconds * self.rate)
                    for piece in split(parts, self.rate):
                        recording.samples += len(piece.audio)
                        if piece.heard:
                            window.append((recording, piece))
                        else:
                            _advance(bar, piece)
                        if sum(len(piece.audio) for _, piece in window) >= most * self.rate:
                            self._read(window, search, pool, bar)
                            window, most = [], min(WINDOW, 2 * most)
                            yield from _finished(waiting, bar)
                except UserError as error:
                    if errors == "raise":
                        raise
                    recording.error = error
                recording.whole = True
                if not is_waiting(inputs):
                    self._read(window, search, pool, bar)
                    window = []
                    yield from _finished(waiting, bar)
            self._read(window, search, pool, bar)
            yield from _finished(waiting, bar)

    def search(
        self, decoder: str | None = None, language_model: LanguageModel | str | os.PathLike | None = None,
        alpha: float | None = None, beta: float | None = None, beam_width: int | None = None,
        hot_words: Sequence[str] = (),
    ) -> WordSearch | None:  # fmt: skip
        """How to get from probabilities to words.

        Args:
            decoder: "greedy", the likeliest character of each frame, or "beam", CTC prefix beam search
                with a language model of words if there is one. None: "beam" where the model ships a
                language model or any other argument is given.
            language_model: a ``zoo.text.ngrams.LanguageModel`` or the path of an ARPA file, instead of
                the one that the model ships.
            alpha: weight of the language model.
            beta: bonus of each word, natural logarithm.
            beam_width: hypotheses kept. These three are by default as the model's configuration says.
            hot_words: list of words to expect.

        Returns:
            A ``zoo.decoding.ctc_words.WordSearch``, or None for greedy decoding.

        Raises:
            UserError: the arguments contradict each other, or the language model cannot be read.
        """
        given = language_model, alpha, beta, beam_width, hot_words or None
        if not self.searches(decoder, given, "no beam width, language model, alpha, beta or hot words"):
            return None
        from zoo.decoding.ctc_words import WordSearch

        language_model = self.weighed(language_model, alpha, beta)
        settings = {"alpha": alpha, "beta": beta, "beam_width": beam_width}
        settings = {k: self.config[k] if value is None else value for k, value in settings.items()}
        for name in ("unknown_penalty", "beam_threshold", "token_threshold"):
            settings[name] = self.config[name]
        settings["spelling_weight"] = self.config.get("spelling_weight", 0.0)  # older files have none
        return WordSearch(self.vocabulary.characters, language_model, hot_words=hot_words, **settings)

    # === As it comes ===

    def follow(self, sound: Any, **decoding: Any) -> Iterator[Moment]:
        """Iterate over what is heard while it comes in, in pieces of ``PIECE`` frames.

        There is a ``Moment`` for each piece that adds a character, spelled by the likeliest of each frame,
        and a final one at the end of each utterance, at a pause of ``PAUSE`` seconds: of that the words are
        those of the search, where there is one.

        Args:
            sound: an iterable of bytes (see ``zoo.audio.incoming``), or of float32 arrays ``[samples]`` at
                the model's sampling rate; or a recording as ``stream`` takes it.
            decoding: the arguments of ``search``.

        Raises:
            UserError: the model needs whole recordings, or the sound cannot be read.
        """
        if self._stream is None:
            raise UserError(
                "this model hears whole recordings; --follow is for one with lookahead, such as "
                "deep_speech_en_stream"
            )
        return self._follow(sound, self.search(**decoding))

    def _follow(self, sound, search):
        states, heard = np.zeros((1, self._stream.size), np.float32), 0
        utterance = _Utterance(0)
        for piece, last in self._pieces(sound):
            audio = {"audio": piece[None], "audio_lengths": np.array([len(piece)], np.int32)}
            outputs = self.run(audio | {"states": states})
            states, heard = outputs["new_states"], heard + len(piece)
            more = self._spelled(outputs)
            utterance.add(more, outputs["log_probs"][0, : outputs["lengths"][0]])
            seconds = heard / self.rate
            ended = last or bool(utterance.pause * self._seconds > PAUSE)
            if utterance.characters and (more or ended):
                yield self._moment(utterance, search if ended else None, seconds, ended)
            if ended:
                utterance = _Utterance(utterance.end)

    def _moment(self, utterance, search, seconds, final):
        characters = utterance.characters
        if search:
            log_probs = np.concatenate(utterance.log_probs)
            characters = self._searched(log_probs, seconds, search, utterance.begin)
        words = self._words(characters, search)
        sure = self.sure(math.prod(character[3] for character in characters), searched=search is not None)
        text = " ".join(word.text for word in words)
        return Moment(text, sure if words else 0.0, words, seconds, final)

    def _pieces(self, sound):
        """Pairs ``(float32 [samples], whether it is the last)``, of whole frames, with silence at the end."""
        if isinstance(sound, str | os.PathLike | np.ndarray | bytes) or _is_pair(sound):
            sound = _opened(sound, self.rate)[0]
        rest, size = np.zeros(0, np.float32), self._stream.frame
        for piece in cut(_sounds(sound, self.rate), PIECE * size):
            if len(piece) == PIECE * size:
                yield piece, False
            else:
                rest = piece
        yield np.pad(rest, (0, -len(rest) % size + self._stream.flush * size)), True

    # === From audio to characters ===

    def _read(self, window, search, pool, bar):
        """Reads ``(recording, piece)`` pairs on all threads and gives each recording what was heard in it."""
        window.sort(key=lambda pair: len(pair[1].audio), reverse=True)
        # Few pieces are spread over all threads rather than put into one batch.
        size = max(1, min(BATCH, -(-len(window) // self.threads)))
        batches = [window[i : i + size] for i in range(0, len(window), size)]

        def read(batch):
            return self._batch([piece.audio for _, piece in batch], search)

        for batch, found in zip(batches, pool.map(read, batches), strict=True):
            for (recording, piece), (characters, _) in zip(batch, found, strict=True):
                start = piece.start / self.rate
                words, raw = self._words(characters, search, start), math.prod(c[3] for c in characters)
                recording.parts.append((start, words, self.sure(raw, searched=search is not None)))
                _advance(bar, piece)

    def _batch(self, audio, search):
        """List of float32 ``[samples]`` -> ``(characters, log_probs)`` of each, in one run of the engine.

        Characters are tuples ``(character, start, end, probability)``, in seconds of the piece.
        """
        outputs = self.run(inputs_of(audio, self.config))
        found = []
        for i, samples in enumerate(map(len, audio)):
            log_probs = outputs["log_probs"][i, : outputs["lengths"][i]]
            if search:
                characters = self._searched(log_probs, samples / self.rate, search)
            else:
                characters = self._spelled(outputs, i)
            found.append((characters, log_probs))
        return found

    def _spelled(self, outputs, i=0):
        """The characters that the graph itself spells in row ``i``."""
        count = outputs["label_lengths"][i]
        text = (self.vocabulary.characters[label - 1] for label in outputs["labels"][i, :count])
        values = (outputs[name][i, :count].tolist() for name in ("starts", "ends", "probabilities"))
        return list(zip(text, *values, strict=True))

    def _searched(self, log_probs, seconds, search, begin=0):
        """The characters that ``search`` finds, with times from the best path that spells them.

        ``begin`` is the number of the first frame, ``seconds`` where the sound ends.
        """
        text, _ = search.search(log_probs)
        labels = [self._labels[character] for character in text]
        characters, delay = [], (self._stream.delay if self._stream else 0) - begin
        for character, label, (first, last) in zip(text, labels, align(log_probs, labels), strict=True):
            start, end = max(first - delay, 0) * self._seconds, (last + 1 - delay) * self._seconds
            end = min(max(end, start), seconds)
            probability = float(np.exp(log_probs[first : last + 1, label].max()))
            characters.append((character, start, end, probability))
        return characters

    def _words(self, characters, search, offset=0.0):
        """Characters with times -> the words that the blanks divide, ``offset`` seconds later."""
        words = []
        for letters, sure in self.words(characters, search is not None):
            text, starts, ends, _ = zip(*letters, strict=True)
            words.append(Word("".join(text), starts[0] + offset, ends[-1] + offset, sure))
        return words

    # === Picture ===

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draws how a recording was heard: waveform, spectrogram, probabilities of the characters, words.

        Args:
            item: the recording; of a longer one, its first ``LIMIT`` seconds are drawn.
            path: the PNG file to write.
            decoding: the arguments of ``search``.

        Raises:
            UserError: the recording cannot be read, or the file cannot be written.
        """
        from zoo.families.deep_speech.plot import draw

        search = self.search(**decoding)
        parts, seconds = _opened(item, self.rate)
        with contextlib.closing(parts):
            audio = next(parts)
        ((characters, log_probs),) = self._batch([audio], search)
        log_probs = log_probs[late(self.config) :]
        title = os.path.basename(item) if isinstance(item, str | os.PathLike) else "recording"
        if seconds > LIMIT:
            title += f", the first {LIMIT} of {seconds:.0f} seconds"
        words = self._words(characters, search)
        known = self.vocabulary.characters
        figure = draw(title, audio, log_probs, self._seconds, known, characters, words, self.rate)
        save(figure, path)

    # === Figures ===

    def evaluate(
        self, corpus: Speech, progress: bool = False, same: Sequence[tuple[str, str]] = (),
        judged: dict | None = None, **decoding: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """What ``zoo.metrics.text.evaluate_reader`` gives, and the ``decoder``, and how fast it is.

        ``seconds`` is the length of the audio, ``times_real_time`` how many times as fast it was read.
        """
        # This reads the language model, too, so that it is not timed.
        decoder = "beam" if self.search(**decoding) else "greedy"
        spent = heard = 0.0

        def read(audio):
            nonlocal spent, heard
            start = time.perf_counter()
            found = self(audio, details=True, **decoding)
            spent += time.perf_counter() - start
            heard += sum(map(len, audio)) / self.rate
            return found

        def words(heard):
            return [(word.text, word.confidence) for word in heard.words]

        report = evaluate_reader(read, self.vocabulary, corpus, progress, same, words, judged)
        return report | {"seconds": heard, "decoder": decoder, "times_real_time": heard / spent}

    def rows(self, report: dict) -> list[tuple[str, str]]:
        rows = super().rows(report)
        after = [name for name, _ in rows].index("skipped") + 1
        speed = f"{report['seconds']:.0f} s of audio, read {report['times_real_time']:.0f} times as fast"
        rows.insert(after, ("speed", speed))
        rows.insert(1, ("decoder", report["decoder"]))
        return rows


# === Recordings ===


class _Utterance:
    """What was heard since frame ``begin``; ``pause`` is how many frames ago that was."""

    def __init__(self, begin):
        self.begin = self.end = begin
        self.characters, self.log_probs, self.pause = [], [], 0

    def add(self, characters, log_probs):
        """Adds a piece: what is spelled in it, and its frames."""
        self.characters += characters
        self.log_probs.append(log_probs)
        self.end += len(log_probs)
        spelled = np.flatnonzero(log_probs.argmax(axis=1))
        self.pause = len(log_probs) - 1 - spelled[-1] if len(spelled) else self.pause + len(log_probs)


def _sounds(parts, rate):
    """Float32 ``[samples]`` of an iterable of bytes or of such arrays."""
    parts = iter(parts)
    first = next(parts, b"")
    parts = itertools.chain([first], parts)
    return incoming(parts, rate, "standard input") if isinstance(first, bytes) else parts


class _Recording:
    """What is known of a recording so far; ``parts`` are ``(start in seconds, words, sure)``, unordered."""

    def __init__(self, rate):
        self.rate, self.samples, self.parts, self.error, self.whole = rate, 0, [], None, False

    def result(self):
        if self.error:
            return self.error
        words, letters, total = [], 0, 0.0
        for _, own, sure in sorted(self.parts):
            count = sum(len(word.text) for word in own)
            words, letters, total = words + own, letters + count, total + count * sure
        text = " ".join(word.text for word in words)
        return Transcript(text, total / letters if letters else 0.0, words, self.samples / self.rate)


def _finished(waiting, bar):
    """Yields the results of the whole recordings at the head of the queue, with the bar out of their way."""
    while waiting and waiting[0].whole:
        bar.clear()
        yield waiting.popleft().result()
        bar.refresh()


def _advance(bar, piece):
    bar.update(min(len(piece.audio), bar.total - bar.n))  # a header may promise less than there is


def _is_pair(item):
    return isinstance(item, tuple) and len(item) == 2 and np.isscalar(item[1])


def _opened(item, rate, number=0):
    """A recording as a generator of float32 arrays of ``LIMIT`` seconds, and its length in seconds."""
    if isinstance(item, str | os.PathLike) and (seconds := duration(item)) > LIMIT:
        return blocks(item, LIMIT, rate), seconds
    audio = read_audio(item, None if isinstance(item, str | os.PathLike) else f"input {number + 1}", rate)
    return (audio[at : at + LIMIT * rate] for at in range(0, len(audio), LIMIT * rate)), len(audio) / rate


READER = SpeechReader
