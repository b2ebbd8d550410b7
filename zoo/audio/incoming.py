"""Sound that comes piece by piece, as from a microphone: a WAV stream, or nothing but samples."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from zoo.audio.files import RATE, checked
from zoo.errors import UserError

_KINDS = {(1, 16): "<i2", (1, 32): "<i4", (3, 32): "<f4"}  # (format, bits) of a WAV header
_OTHERS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"FORM": "AIFF",
    b"caff": "CAF",
}
_HEADER = 1 << 16  # bytes after which a WAV stream has samples


def incoming(parts: Iterable[bytes], rate: int = RATE, name: str = "the sound") -> Iterator[np.ndarray]:
    """Iterate over what comes, as soon as it is there: float32 ``[samples]``, mono, ``rate`` a second.

    Args:
        parts: iterable of bytes: a WAV stream of 16 or 32 bits, whatever length its header states, or
            signed 16-bit samples of one channel, little-endian, ``rate`` a second, and no header.
        rate: samples a second of the result.
        name: what errors call it.

    Raises:
        UserError: it is another format, or no sound.
    """
    parts = iter(parts)
    head = b""
    while len(head) < 12 and (part := next(parts, b"")):
        head += part
    for start, kind in _OTHERS.items():
        if head.startswith(start):
            raise UserError(f"{name}: {kind} cannot be followed; give WAV, or 16-bit samples alone.")
    if not (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        yield from checked(_frames(head, parts, np.dtype("<i2"), 1), rate, rate, name)
        return
    while (found := _wav(head, name)) is None:
        if len(head) > _HEADER or not (part := next(parts, b"")):
            raise UserError(f"{name}: this WAV stream has no samples; record it again.")
        head += part
    begin, dtype, channels, own_rate = found
    yield from checked(_frames(head[begin:], parts, dtype, channels), own_rate, rate, name)


def _wav(head, name):
    """``(where the samples begin, their dtype, channels, rate)`` of a WAV header; None of a part of one."""
    at, form = 12, None
    while at + 8 <= len(head):
        chunk, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if chunk == b"data" and form:
            return (at + 8, *form)
        if chunk == b"fmt " and at + 24 <= len(head):
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
            if kind == 0xFFFE and at + 34 <= len(head):  # "extensible": the kind begins a GUID
                (kind,) = struct.unpack_from("<H", head, at + 32)
            if (kind, bits) not in _KINDS or not 0 < channels <= 64:
                raise UserError(f"{name}: a WAV stream of {bits} bits, format {kind}; give 16-bit PCM.")
            form = np.dtype(_KINDS[kind, bits]), channels, rate
        at += 8 + size + size % 2
    return None


def _frames(head, parts, dtype, channels):
    """Float32 ``[frames, channels]`` of the bytes as they come, without what is cut off at the end."""
    size, scale = dtype.itemsize * channels, 1.0 if dtype.kind == "f" else -float(np.iinfo(dtype).min)
    rest = b""
    for part in itertools.chain([head], parts):
        rest += part
        whole = len(rest) - len(rest) % size
        values, rest = np.frombuffer(rest[:whole], dtype).reshape(-1, channels), rest[whole:]
        if len(values):
            yield (values / scale).astype(np.float32)
