"""``.ts`` files of aeon and sktime, in which the UCR and UEA archives of time series are.

    @classLabel true yes no
    @data
    1.2,3.4,?:0.1,0.2,0.3:yes        two channels, three steps; then the label

Channels may be of several lengths within a case, and cases of several lengths; ``?`` and ``NaN`` are missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np

from zoo.errors import UserError
from zoo.text.files import stream_lines


def read_ts(
    path: str | os.PathLike, skipped: list[str] | None, data: bytes | None = None
) -> Iterator[tuple[int, np.ndarray, str]]:
    """The cases of a ``.ts`` file.

    Args:
        path: the file, or what to call ``data`` in messages.
        skipped: a list; a sentence is appended for each case that cannot be used.
        data: bytes to be read in its place.

    Yields:
        ``(line, values, label)``: the number of its line from 1; float32 ``[steps, channels]``, NaN where
        missing or beyond the end of a shorter channel; str.

    Raises:
        UserError: it cannot be read, has no class labels, or says when each value was taken.
    """
    inside, labelled, header = False, False, {}
    for number, line in enumerate(stream_lines(path, data), 1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if not inside:
            words = line.lower().split()
            header[words[0]] = words[1:]
            if words[0] == "@data":
                inside, labelled = True, header.get("@classlabel", ["false"])[0] == "true"
                if header.get("@timestamps", ["false"])[0] == "true":
                    raise UserError(
                        f"{path}: its values have times of their own; save it without timestamps."
                    )
                if not labelled:
                    raise UserError(f"{path}: its cases have no class label; give a file for classification.")
            elif not words[0].startswith("@"):
                raise UserError(f"{path}: line {number} is before @data, so this is no .ts file; check it.")
            continue
        *channels, label = line.split(":")
        try:
            if not channels or not label.strip():
                raise ValueError("no label behind the last colon")
            yield number, _case(channels), label.strip()
        except ValueError as error:
            skipped.append(f"{path}, line {number} cannot be read ({error}).")
    if not inside:
        raise UserError(f"{path}: there is no line @data, so this is no .ts file; check it.")


def _case(channels):
    found = [
        np.array([np.nan if _MISSING.fullmatch(cell) else float(cell) for cell in channel.split(",")])
        for channel in channels
    ]
    values = np.full((max(map(len, found)), len(found)), np.nan, np.float32)
    for at, channel in enumerate(found):
        values[: len(channel), at] = np.where(np.isfinite(channel), channel, np.nan)
    return values


_MISSING = re.compile(r"\s*(\?|nan|)\s*", re.IGNORECASE)
