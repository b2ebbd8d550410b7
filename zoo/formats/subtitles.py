"""Words with their times as subtitles."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.formats.streams import Tsv

LINE = 42  # characters; with two lines and seven seconds a cue, the habit of the trade
CUE = 7  # seconds
GAP = 0.8  # seconds of silence after which a new cue begins
SHOWN = 1  # seconds that a cue stays, if the next one leaves the time


def subtitles(words: Sequence, form: str) -> str:
    """Words as subtitles: up to two lines of 42 characters and 7 seconds each, broken at pauses.

    Args:
        words: list of ``Word``.
        form: "srt" (SubRip) or "vtt" (WebVTT).

    Returns:
        str, the text of the file.
    """
    cues = list(_cues(words))
    text = "WEBVTT\n\n" if form == "vtt" else ""
    for i, cue in enumerate(cues):
        start = cue[0].start
        latest = min(start + CUE, cues[i + 1][0].start if i + 1 < len(cues) else np.inf)
        end = min(max(cue[-1].end, start + SHOWN), latest)
        lines = "\n".join(_lines(cue))
        if form == "srt":
            text += f"{i + 1}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{lines}\n\n"
        else:
            text += f"{_clock(start, '.')} --> {_clock(end, '.')}\n{html.escape(lines, quote=False)}\n\n"
    return text


def _cues(words):
    """Yields the words of each cue."""
    while words:
        count = 1
        while count < len(words) and _fits(words[: count + 1]):
            count += 1
        pause = words[count].start - words[count - 1].end if count < len(words) else np.inf
        if pause < GAP and count > 1:  # full: break at the longest pause of its second half instead
            half = range((count + 1) // 2, count + 1)
            count = max(half, key=lambda i: words[i].start - words[i - 1].end)
        yield words[:count]
        words = words[count:]


def _fits(words):
    return (
        words[-1].start - words[-2].end < GAP
        and words[-1].end - words[0].start <= CUE
        and len(lines := _lines(words)) <= 2
        and max(map(len, lines)) <= LINE
    )


def _lines(words):
    """One line, or the two of the most even lengths. (A word longer than a line stays in one piece.)"""
    texts = [word.text for word in words]
    if len(line := " ".join(texts)) <= LINE or len(texts) == 1:
        return [line]
    halves = [(" ".join(texts[:i]), " ".join(texts[i:])) for i in range(1, len(texts))]
    return min(halves, key=lambda pair: max(map(len, pair)))


def _clock(seconds, point):
    seconds, milliseconds = divmod(round(1000 * seconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{milliseconds:03}"


class Srt(Tsv):
    """Subtitles of one recording, SubRip; its result has ``words``."""

    form = "srt"
    single = True

    def add(self, item: Any, result: Any) -> None:
        print(subtitles(result.words, self.form), end="")


class Vtt(Srt):
    """The same, WebVTT."""

    form = "vtt"
