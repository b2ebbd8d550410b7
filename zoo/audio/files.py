"""Audio files and arrays of any kind as mono float32 samples at one rate, whole or as a stream."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import soundfile
import soxr

from zoo.errors import UserError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
RATE = 16_000  # samples a second of every speech model of the zoo
SHORTEST = 0.1  # seconds; no syllable is shorter
LIMIT = 24 * 3600  # seconds
LOWEST_RATE = 4000  # samples a second; below it no two letters sound different
LOUDEST = 16  # times full scale; samples beyond it were never in -1..1
_BLOCK = 1 << 16  # frames read at a time
_UNKNOWN = 1 << 62  # libsndfile gives about 2**63 frames where the header names no length
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes, at most
_STREAMED = 0x7FFF0000  # bytes; programs that write to a pipe put such numbers in place of the length
_SLOPPY = 4096  # bytes by which headers of whole files are known to be wrong


class _File(soundfile.SoundFile):
    """An open file; ``promised`` is how many frames its header tells for certain, or None."""

    def __init__(self, stream):
        start = stream.read(1 << 16)
        stream.seek(0)
        super().__init__(stream)
        # libsndfile guesses the length of an MP3 that has no tag for it.
        guessed = self.format == "MP3" and not (b"Xing" in start or b"Info" in start)
        self.promised = None if guessed or self.frames > _UNKNOWN else self.frames

    def seekable(self):
        return False  # soundfile seeks after each read: MP3, and FLAC without a length, come out damaged


def read_audio(item: Any, name: str | None = None, rate: int = RATE) -> np.ndarray:
    """Read one recording.

    Args:
        item: a path, the bytes of a file (WAV, FLAC, OGG, Opus, MP3, AIFF), or a NumPy array, at
            ``rate``, or a pair ``(array, rate of the array)``. An array is ``[samples]`` or ``[samples,
            channels]``, float in -1..1, int16, int32 or uint8.
        name: what to call it in messages.
        rate: samples a second of the result.

    Returns:
        float32 ``[samples]`` in -1..1: the mean of the channels, resampled with soxr (HQ).

    Raises:
        UserError: it is missing, empty, damaged or no audio, has samples that are not numbers, or is
            shorter than ``SHORTEST`` or longer than ``LIMIT`` seconds.
    """
    if isinstance(item, np.ndarray | tuple):
        array, own_rate = item if isinstance(item, tuple) else (item, rate)
        name = name or "the array"
        return np.concatenate(list(checked([_as_floats(array, name)], own_rate, rate, name)))
    with _opened(item, name) as (file, name):
        return np.concatenate(list(checked(_frames(file, name), file.samplerate, rate, name)))


def blocks(path: str | os.PathLike, seconds: float, rate: int = RATE) -> Iterator[np.ndarray]:
    """Stream a recording without holding it whole.

    Args:
        path: the file.
        seconds: length of the blocks, at least ``SHORTEST``.
        rate: samples a second of the result.

    Yields:
        float32 ``[seconds * rate]``, the last one shorter; joined, they are what ``read_audio`` gives.

    Raises:
        UserError: as ``read_audio``, when the stream comes to it.
    """
    size = round(seconds * rate)
    with _opened(path, None) as (file, name):
        yield from cut(checked(_frames(file, name), file.samplerate, rate, name), size)


def cut(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Iterate over ``[size]``, the last one shorter, of parts ``[samples]`` that follow upon each other."""
    waiting = np.zeros(0, np.float32)
    for part in parts:
        waiting = np.concatenate([waiting, part])
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if len(waiting):
        yield waiting


def duration(path: str | os.PathLike) -> float:
    """Length of a recording in seconds, from its header where that tells it for certain."""
    with _opened(path, None) as (file, name):
        return (file.promised or sum(map(len, _frames(file, name)))) / file.samplerate


def pad_audio(recordings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A list of float32 ``[samples]`` -> float32 ``[batch, samples]``, zero padded, and int32 ``[batch]``."""
    lengths = np.array([len(one) for one in recordings], np.int32)
    padded = np.zeros((len(recordings), lengths.max(initial=0)), np.float32)
    for row, one in zip(padded, recordings, strict=True):
        row[: len(one)] = one
    return padded, lengths


@contextlib.contextmanager
def _opened(item, name):
    name = name or ("the audio" if isinstance(item, bytes) else str(item))
    with contextlib.ExitStack() as stack:
        try:
            stream = io.BytesIO(item) if isinstance(item, bytes) else stack.enter_context(open(item, "rb"))
            empty = not stream.read(1)
            stream.seek(0)
        except FileNotFoundError as error:
            raise UserError(f"{name}: there is no such file; check the path.") from error
        except OSError as error:
            raise UserError(f"{name}: cannot be read ({error.strerror}); check the path.") from error
        if empty:
            raise UserError(f"{name}: the file is empty; record or copy it again.")
        if _is_cut(stream):
            raise _truncated(name)
        try:
            file = stack.enter_context(_File(_mended(stream)))
        except (soundfile.SoundFileError, TypeError) as error:  # TypeError: NAME.raw, which has no header
            raise UserError(
                f"{name}: not a readable audio file; give WAV, FLAC, OGG, Opus, MP3 or AIFF."
            ) from error
        if (file.promised or 0) > LIMIT * file.samplerate:
            raise _too_long(name)
        yield file, name


def _frames(file, name):
    """The frames of an open file, float32 ``[frames, channels]``, some at a time."""
    found = 0
    try:
        while len(part := file.read(_BLOCK, dtype="float32", always_2d=True)):
            found += len(part)
            yield part
    except soundfile.SoundFileError as error:
        raise UserError(f"{name}: the audio is damaged; record or copy it again.") from error
    if file.promised and found < 0.95 * file.promised:
        raise _truncated(name)


def _is_cut(stream):
    """Whether a WAV, AIFF or Ogg file is shorter than it says, which libsndfile does not mind."""
    head = stream.read(8)
    length = stream.seek(0, io.SEEK_END)
    cut = False
    if head[:4] in (b"RIFF", b"FORM"):
        stated = 8 + int.from_bytes(head[4:], "little" if head[:4] == b"RIFF" else "big")
        cut = length + _SLOPPY < stated < _STREAMED
    elif head[:4] == b"OggS":
        stream.seek(max(0, length - _OGG_PAGE))
        tail = stream.read()
        page = tail[tail.rfind(b"OggS") :]
        cut = len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
    stream.seek(0)
    return cut


class _Mended:
    """A file some bytes of which read otherwise."""

    def __init__(self, stream, at, patch):
        self._stream, self._at, self._patch = stream, at, patch
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, count=-1):
        first = self._stream.tell() - self._at
        data = bytearray(self._stream.read(count))
        for i, byte in enumerate(self._patch):
            if 0 <= i - first < len(data):
                data[i - first] = byte
        return bytes(data)


def _mended(stream):
    """A WAV or AIFF file whose samples end where no chunk begins goes on to its end; others are as they are.

    Recorders that were stopped, and programs that write to a pipe, leave a length of 0, or of the first part.
    """
    order = {b"RIFF": "little", b"FORM": "big"}.get(stream.read(12)[:4])
    length, mended, at = stream.seek(0, io.SEEK_END), stream, 12

    def chunk(at):
        stream.seek(at)
        name = stream.read(4)
        size = int.from_bytes(stream.read(4), order)
        return name, size, at + 8 + size + size % 2

    while order and at + 8 <= length:
        name, _, end = chunk(at)
        if name in (b"data", b"SSND"):
            if end + 8 <= length:
                other, _, last = chunk(end)
                if not (other.isascii() and other.decode("latin-1").isprintable() and last <= length + 1):
                    mended = _Mended(stream, at + 4, (length - at - 8).to_bytes(4, order))
            break
        at = end
    stream.seek(0)
    return mended


def _truncated(name):
    return UserError(f"{name}: the audio is truncated; record or copy it again.")


def _too_long(name):
    return UserError(f"{name}: it is longer than {LIMIT // 3600} hours; cut it into parts.")


def checked(parts: Iterable[np.ndarray], own_rate: int, rate: int, name: str) -> Iterator[np.ndarray]:
    """Iterate over parts, float ``[frames, channels]``, mixed down and resampled: float32 ``[samples]``.

    Args:
        parts: iterable of float32 ``[frames, channels]``, ``own_rate`` frames a second.
        own_rate, rate: frames a second of the parts, samples a second of the result.
        name: what errors call it.

    Raises:
        UserError: it cannot be speech.
    """
    if own_rate < LOWEST_RATE:
        raise UserError(f"{name}: {own_rate} samples a second are too few; give at least {LOWEST_RATE}.")
    resampler = None if own_rate == rate else soxr.ResampleStream(own_rate, rate, 1, quality="HQ")
    frames = 0
    for part in parts:
        frames += len(part)
        mono = _mixed(part)
        peak = np.abs(mono).max(initial=0)
        if not np.isfinite(peak):
            raise UserError(
                f"{name}: it has samples that are not numbers (NaN or infinite); record it again."
            )
        if peak > LOUDEST:
            raise UserError(f"{name}: its samples reach {peak:.0f}; scale them to -1..1.")
        if frames > LIMIT * own_rate:
            raise _too_long(name)
        yield resampler.resample_chunk(mono) if resampler else mono
    if not frames:
        raise UserError(f"{name}: there is no sound in it, not one sample; record or copy it again.")
    if frames < SHORTEST * own_rate:
        raise UserError(
            f"{name}: {frames / own_rate:.2f} seconds are too short; give at least {SHORTEST} seconds."
        )
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _mixed(part):
    """``[frames, channels]`` -> their mean; the loudest channel where they cancel each other out."""
    mono = np.ascontiguousarray(part.mean(axis=1, dtype=np.float32))
    if part.shape[1] > 1:
        powers = np.square(part).mean(axis=0)
        if np.square(mono).mean() < 0.001 * powers.max(initial=0):
            return np.ascontiguousarray(part[:, powers.argmax()])
    return mono


def _as_floats(array, name):
    """An array of any accepted kind as float32 ``[samples, channels]``."""
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 2 and 0 < array.shape[1] <= max(1, array.shape[0]):
        if array.dtype.kind == "f":
            return array.astype(np.float32)
        if array.dtype == np.uint8:
            return (array.astype(np.float32) - 128) / 128
        if array.dtype in (np.int16, np.int32):
            return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    raise UserError(
        f"{name} is {array.dtype} of shape {array.shape}; give float, int16, int32 or uint8 of shape "
        "[samples] or [samples, channels]."
    )


# === Writing ===

WRITES = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_ENDLESS = 0xFFFFFFFF  # what programs that write to a pipe put in place of a length


class SoundWriter:
    """Writes sounds one behind the other into one file, which appears when it is whole.

    Use it in a ``with`` block. Where nothing is added, there is no file.

    Args:
        path: the file, whose suffix is one of ``WRITES``; "-" is standard output, as WAV.
        rate: samples a second.
        pause: seconds of silence between sounds.

    Raises:
        UserError: the suffix is another, standard output is a terminal, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, rate: int, pause: float = 0.0) -> None:
        self.path, self.rate = str(path), rate
        self._silence = np.zeros(round(pause * rate), np.float32)
        self._stack, self._file = contextlib.ExitStack(), None
        if self.path == "-":
            if sys.stdout is None or sys.stdout.isatty():
                raise UserError("sound is not for a terminal; give --output FILE.wav, or a pipe behind -")
        elif os.path.splitext(self.path)[1].lower() not in WRITES:
            raise UserError(f"{self.path}: sound is written as {', '.join(WRITES)}; give such a name")

    def add(self, result: Any) -> None:
        """Write what has an ``audio``, float ``[samples]`` in -1..1."""
        if self._file is None:
            self._open()
        else:
            self._write(self._silence)
        self._write(result.audio)

    def _open(self):
        if self.path == "-":
            self._file = sys.stdout.buffer
            header = struct.pack(
                "<4sI8sIHHIIHH4sI", b"RIFF", _ENDLESS, b"WAVEfmt ", 16, 1, 1, self.rate, 2 * self.rate, 2, 16,
                b"data", _ENDLESS,
            )  # fmt: skip
            self._file.write(header)
            return
        from zoo.files import atomic_write

        kind, coding = WRITES[os.path.splitext(self.path)[1].lower()]
        file = self._stack.enter_context(atomic_write(self.path))
        sound = soundfile.SoundFile(file, "w", self.rate, 1, coding, format=kind)
        self._file = self._stack.enter_context(sound)

    def _write(self, samples):
        if self.path == "-":
            whole = np.clip(np.round(np.asarray(samples) * 32768), -32768, 32767).astype("<i2")
            self._file.write(whole.tobytes())
            self._file.flush()
            return
        for at in range(0, len(samples), _BLOCK):  # libsndfile overflows its stack on long Vorbis writes
            self._file.write(samples[at : at + _BLOCK])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)
