"""Files of pen strokes: InkML, Xournal++, JSON and UNIPEN.

- InkML (w3.org/TR/InkML): traces with the channels of their ``traceFormat``, differences decoded; the text is
  an ``annotation`` of the ink, or of a ``traceGroup`` each where the ink itself has none, or an element such
  as ``label`` in its ``annotationXML``;
- ``.xopp`` of Xournal++, gzipped XML: what a pen drew; other tools are left out;
- JSON, or JSON lines: an object with ``strokes`` (or ``drawing`` as in Quick, Draw!), ``text`` and
  ``writer``, or the strokes alone; a stroke is a list of points ``[x, y, ...]`` or ``{"x": .., "y": ..}``, or
  an object of lists ``{"x": [...], "y": [...]}``;
- UNIPEN (Guyon et al. 1994), ``.dat``, ``.up`` or ``.unipen``: ``.PEN_DOWN``, coordinates, ``.PEN_UP``, with
  ``.COORD``, ``.SEGMENT`` and ``.WRITER_ID``; what ``.INCLUDE`` names is read in its place.

Points are float32 ``[points, 3]``: x, y (downward, from the top left of the ink) and 1 where a stroke ends.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from zoo import files
from zoo.errors import UserError
from zoo.formats.xml import read_xml
from zoo.text.files import decode_text, read_data

SUFFIXES = (".inkml", ".xopp", ".json", ".jsonl", ".ndjson", ".unipen", ".up", ".dat")
MOST = 20_000  # points of one line of writing: some 500 letters
FURTHEST = 1e7  # from the first point, in whatever unit: no tablet is so large
_TRUTH = ("truth", "label", "transcription", "text", "normalizedlabel", "transcript")  # best first
_WRITER = ("writer", "writerid", "writer_id", "author", "user", "subject")


@dataclasses.dataclass
class Drawn:
    """What was drawn.

    Attributes:
        strokes: list of float64 ``[points, 2]``.
        text: what it says; None where that is not told.
        writer: who wrote it; empty where that is not told.
        name: its own name in a file of several; empty else.
    """

    strokes: list
    text: str | None = None
    writer: str = ""
    name: str = ""


def read_drawn(data: bytes, name: str, path: str | os.PathLike | None = None) -> list[Drawn]:
    """All that a file holds, as a list of ``Drawn``.

    Args:
        data: its bytes, gzipped or not.
        name: its name or path, which begins the sentence of an error.
        path: where it lies on the disk, for files that it includes; None in an archive.

    Raises:
        UserError: it is none of these formats, is damaged, or holds no stroke.
    """
    data = files.gunzip(data, name)
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise UserError(f"{name}: the file is empty; give strokes.")
    if start.startswith(b"<") or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        found = _read_xml(data, name)
    elif start[:1] in b"[{":
        found = _read_json(decode_text(data, name), name)
    elif start.startswith(b".") or re.search(rb"(?m)^\.(PEN_DOWN|COORD|VERSION)\b", data[: 1 << 16]):
        found = _read_unipen(data.decode("utf-8", "replace"), name, path)
    else:
        raise UserError(f"{name}: this is no file of pen strokes; give InkML, .xopp, JSON or UNIPEN.")
    if not any(one.strokes for one in found):
        raise UserError(f"{name}: there is no pen stroke in it; give ink with strokes.")
    return found


def as_points(strokes: Sequence, name: str) -> np.ndarray:
    """Strokes as an array; points that are doubled are left out.

    Args:
        strokes: iterable of float ``[points, 2]``, each with one or more.
        name: what begins the sentence of an error.

    Returns:
        float32 ``[points, 3]``, see above.

    Raises:
        UserError: there is no stroke, a coordinate is no number or beyond reason, all points are one, or
            there are more than a line of writing has.
    """
    parts = []
    for stroke in strokes:
        stroke = np.asarray(stroke, np.float64).reshape(-1, 2)
        if not len(stroke):
            continue
        if not np.isfinite(stroke).all():
            raise UserError(f"{name}: a coordinate is no finite number; give numbers.")
        new = np.concatenate([[True], (np.diff(stroke, axis=0) != 0).any(1)])
        stroke = stroke[new]
        ends = np.zeros((len(stroke), 1))
        ends[-1] = 1
        parts.append(np.concatenate([stroke, ends], 1))
    if not parts:
        raise UserError(f"{name}: there is no pen stroke in it; give ink with strokes.")
    points = np.concatenate(parts)
    if len(points) > MOST:
        raise UserError(f"{name}: {len(points):,} points are more than a line of writing has; cut it up.")
    if np.abs(points[:, :2]).max() > 1e9 or np.ptp(points[:, :2], axis=0).max() > FURTHEST:
        raise UserError(f"{name}: coordinates reach over {FURTHEST:,.0f}, no tablet is so large; check them.")
    if len(points) == len(parts) and not np.ptp(points[:, :2], axis=0).any():
        raise UserError(f"{name}: all of it is one point; give strokes that move.")
    points[:, :2] -= points[:, :2].min(0)
    return points.astype(np.float32)


def as_strokes(points: np.ndarray) -> list[np.ndarray]:
    """Points as ``as_points`` gives them -> list of ``[points, 2]``."""
    ends = np.flatnonzero(points[:, 2] > 0) + 1
    return [stroke[:, :2] for stroke in np.split(points, ends) if len(stroke)]


def pad(points: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A list of float32 ``[points, 3]`` as one array, and their lengths."""
    lengths = np.array([len(one) for one in points], np.int32)
    padded = np.zeros((len(points), lengths.max(), 3), np.float32)
    for row, one in zip(padded, points, strict=True):
        row[: len(one)] = one
    return padded, lengths


# === XML ===


def _read_xml(data, name):
    root = read_xml(data, name)
    if root.tag == "ink":
        return _InkML(root, name).read()
    if root.tag == "xournal":
        return _read_xournal(root, name)
    raise UserError(f"{name}: this is XML of {root.tag!r}, no ink; give InkML or .xopp.")


class _InkML:
    def __init__(self, root, name):
        self.root, self.name = root, name
        self.formats = {"": ["X", "Y"]}
        named = [one for one in root.iter("traceFormat") if one.find("channel") is not None]
        for one in named:
            channels = [channel.get("name", "").upper() for channel in one.findall("channel")]
            self.formats.setdefault(one.get("id", ""), channels)
        if named:
            self.formats[""] = [c.get("name", "").upper() for c in named[0].findall("channel")]
        self.ids = {one.get("id"): one for one in root.iter() if one.get("id")}

    def read(self):
        writer = _annotated(self.root, _WRITER) or ""
        text = _annotated(self.root, _TRUTH)
        groups = [group for group in self.root.iter("traceGroup") if _annotated(group, _TRUTH) is not None]
        if text is None and groups:
            inner = {id(one) for group in groups for one in group.iter() if one is not group}
            outer = [one for one in groups if id(one) not in inner]
            return [
                Drawn(self._strokes(group), _annotated(group, _TRUTH), _annotated(group, _WRITER) or writer,
                      str(number))
                for number, group in enumerate(outer, 1)
            ]  # fmt: skip
        return [Drawn(self._strokes(self.root), text, writer)]

    def _strokes(self, element):
        found, views = {}, [element]
        for one in element.iter():
            if one.tag == "traceView" and (target := self._target(one.get("traceDataRef"))) is not None:
                views.append(target)
        for view in views if element.tag == "traceGroup" else [element]:
            for trace in [view, *view.iter("trace")] if view.tag == "trace" else view.iter("trace"):
                if trace.get("type", "penDown") == "penDown" and id(trace) not in found:
                    found[id(trace)] = self._points(trace)
        strokes, before = [], {}
        for key, trace in ((key, trace) for key, trace in found.items() if len(trace)):
            strokes.append(trace)
            before[key] = len(strokes) - 1
        return strokes

    def _target(self, reference):
        return self.ids.get((reference or "").lstrip("#"))

    def _points(self, trace):
        channels = self._channels(trace)
        try:
            x, y = channels.index("X"), channels.index("Y")
        except ValueError as error:
            raise UserError(f"{self.name}: its traceFormat has no X and Y; give these channels.") from error
        rows, last, slope = [], {}, {}
        kinds = [""] * len(channels)
        for point in (trace.text or "").split(","):
            values = _VALUE.findall(point)
            if not values:
                continue
            if len(values) <= max(x, y) or _VALUE.sub("", point).strip():
                raise UserError(
                    f"{self.name}: {point.strip()[:40]!r} in a trace is no point of {', '.join(channels)}; "
                    "correct it."
                )
            row = {}
            for at, (prefix, value) in enumerate(values[: len(channels)]):
                kinds[at] = prefix or kinds[at]
                if value in ("*", "?"):
                    number = last.get(at, math.nan)
                else:
                    number = {"T": 1.0, "F": 0.0}.get(value)
                    number = float(value) if number is None else number
                    if kinds[at] == '"':  # second difference
                        slope[at] = slope.get(at, 0.0) + number
                        number = last.get(at, 0.0) + slope[at]
                    elif kinds[at] == "'":  # difference
                        slope[at] = number
                        number = last.get(at, 0.0) + number
                row[at] = last[at] = number
            rows.append((row[x], row[y]))
        return np.array(rows, np.float64).reshape(-1, 2)

    def _channels(self, trace):
        context = self._target(trace.get("contextRef"))
        if context is not None:
            reference = context.get("traceFormatRef", "").lstrip("#")
            inner = context.find(".//traceFormat")
            if reference in self.formats:
                return self.formats[reference]
            if inner is not None and inner.find("channel") is not None:
                return [channel.get("name", "").upper() for channel in inner.findall("channel")]
        return self.formats[""]


_VALUE = re.compile(r"""([!'"]?)([*?TF](?![\w.])|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)""")


def _annotated(element, kinds):
    """The text of the best of an element's own annotations of these kinds, or None."""
    told = [(one.get("type", ""), one) for one in element.findall("annotation")]
    told += [(one.tag, one) for group in element.findall("annotationXML") for one in group]
    found = {}
    for kind, one in told:
        text = "".join(one.itertext()).strip()
        if text:
            found.setdefault(kind.lower(), text)
    return next((found[kind] for kind in kinds if kind in found), None)


def _read_xournal(root, name):
    pages = []
    for page in root.iter("page"):
        strokes = []
        for stroke in page.iter("stroke"):
            if stroke.get("tool", "pen") != "pen":
                continue
            try:
                values = np.array((stroke.text or "").split(), np.float64)
            except ValueError as error:
                raise UserError(f"{name}: a stroke has what is no number in it; save it again.") from error
            if len(values) % 2:
                raise UserError(f"{name}: a stroke has half a point; save it again.")
            if len(values):
                strokes.append(values.reshape(-1, 2))
        if strokes:
            pages.append(strokes)
    names = [str(i + 1) for i in range(len(pages))] if len(pages) > 1 else [""]
    return [Drawn(strokes, name=one) for strokes, one in zip(pages, names, strict=len(pages) > 0)]


# === JSON ===


def _read_json(text, name):
    try:
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) < 2:
                raise
            found = [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: this is no JSON ({error}); write it again.") from error
    if isinstance(found, dict) and isinstance(inner := found.get("inks") or found.get("samples"), list):
        found = inner
    several = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    several = several and any({"strokes", "drawing", "ink"} & one.keys() for one in found)
    found = found if several else [found]
    names = [str(i + 1) for i in range(len(found))] if len(found) > 1 else [""]
    return [_of_json(one, number, name) for one, number in zip(found, names, strict=True)]


def _of_json(value, number, name):
    about = value if isinstance(value, dict) else {}
    key = next((key for key in ("strokes", "drawing", "ink") if key in about), None)
    strokes = about[key] if key else value
    where = f"{name}, ink {number}" if number else name
    if not isinstance(strokes, list):
        raise UserError(f'{where}: there is no pen stroke in it; give {{"strokes": [[[x, y], ...], ...]}}.')
    if strokes and all(_is_point(one) for one in strokes):  # one stroke alone
        strokes = [strokes]
    try:
        drawn = [_json_stroke(stroke, key == "drawing") for stroke in strokes]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise UserError(f"{where}: a stroke is no list of points [x, y]; write each so.") from error
    lower = {str(k).lower(): v for k, v in about.items()}
    text = next((lower[k] for k in (*_TRUTH, "word") if isinstance(lower.get(k), str)), None)
    writer = next((str(lower[k]) for k in _WRITER if isinstance(lower.get(k), str | int)), "")
    own = str(about.get("name") or about.get("id") or about.get("key_id") or number)
    return Drawn([one for one in drawn if len(one)], text, writer, own if number else "")


def _is_point(value):
    if isinstance(value, dict):
        return isinstance(value.get("x"), int | float)
    return isinstance(value, list) and len(value) >= 2 and all(isinstance(v, int | float) for v in value)


def _json_stroke(stroke, columns):
    if isinstance(stroke, dict):
        stroke = {str(k).lower(): v for k, v in stroke.items()}
        if "points" in stroke:
            return _json_stroke(stroke["points"], columns)
        pairs = list(zip(stroke["x"], stroke["y"], strict=True))
    elif columns:
        pairs = list(zip(stroke[0], stroke[1], strict=True))
    elif stroke and isinstance(stroke[0], dict):
        pairs = [(one["x"], one["y"]) for one in stroke]
    else:
        pairs = [one[:2] for one in stroke]
    for x, y in pairs:
        if isinstance(x, bool | str) or isinstance(y, bool | str):
            raise TypeError
    return np.array(pairs, np.float64).reshape(-1, 2)


# === UNIPEN ===


def _read_unipen(text, name, path):
    channels, components, segments, writer = ["X", "Y"], [], [], ""
    for file, number, line in _unipen_lines(text, name, path):
        word, *rest = line.split(None, 1) or [""]
        rest = rest[0] if rest else ""
        if word == ".COORD":
            channels = rest.upper().split()
        elif word in (".PEN_DOWN", ".PEN_UP"):
            components.append((word == ".PEN_DOWN", []))
        elif word == ".WRITER_ID":
            writer = rest.strip().strip('"')
        elif word == ".SEGMENT":
            segments.append(rest)
        elif word and not word.startswith(".") and components:
            try:
                values = [float(value) for value in line.split()]
                components[-1][1].append((values[channels.index("X")], -values[channels.index("Y")]))
            except (ValueError, IndexError) as error:
                if _NUMERIC.match(line):
                    raise UserError(
                        f"{file}, line {number}: {line[:40]!r} is no point of {' '.join(channels)}."
                    ) from error
    parsed = [match for segment in segments if (match := _SEGMENT.match(segment))]
    # Segments number the components that have points, but in files whose numbers go beyond those.
    pointed = [one for one in components if one[1]]
    if all(at < len(pointed) for match in parsed for at in _ends(match[2])):
        components = pointed
    drawn = [(at, np.array(points)) for at, (down, points) in enumerate(components) if down and points]
    found = []
    kinds = list(dict.fromkeys(match[1] for match in parsed if match[3] != "?"))
    # The largest unit that is labelled.
    kind = min(kinds, key=lambda kind: _UNITS.index(kind) if kind in _UNITS else len(_UNITS), default=None)
    for match in (match for match in parsed if match[1] == kind and match[3] != "?"):
        wanted = _delineated(match[2], len(components))
        strokes = [points for at, points in drawn if at in wanted]
        if strokes:
            found.append(Drawn(strokes, match[3], writer, str(len(found) + 1)))
    if len(found) == 1:
        found[0].name = ""
    return found or [Drawn([points for _, points in drawn], None, writer)]


def _unipen_lines(text, name, path, depth=0):
    """Iterate over ``(file, number, line)``; a file that is included stands in its place."""
    for number, line in enumerate(text.splitlines(), 1):
        word, *rest = line.split(None, 1) or [""]
        if word != ".INCLUDE" or not rest:
            yield name, number, line
            continue
        wanted = rest[0].strip().strip('"')
        file = _included(wanted, path)
        why = None
        if depth == _DEEPEST:
            why = f"one of {_DEEPEST} files within each other"
        elif path is None:
            why = "and is in an archive; unpack that"
        elif file is None:
            why = "which is not beside or above it"
        if why:
            raise UserError(f"{name}, line {number}: it includes {wanted}, {why}; put the points into it.")
        inner = files.gunzip(read_data(file), str(file)).decode("utf-8", "replace")
        yield from _unipen_lines(inner, str(file), file, depth + 1)


def _included(wanted, path):
    """Where a file lies that one at ``path`` includes: below a folder above it, or its folder ``include``."""
    wanted = PurePosixPath(wanted.replace("\\", "/"))
    if path is None or wanted.is_absolute() or ".." in wanted.parts:
        return None
    path = Path(path).absolute()
    places = (folder / inner / wanted for folder in path.parents for inner in ("", "include"))
    return next((place for place in places if place != path and place.is_file()), None)


_DEEPEST = 4  # files that include each other
_NUMERIC = re.compile(r"\s*[-+.\d]")
_SEGMENT = re.compile(r'(\S+)\s+(\S+)\s+(?:\S+\s+)?"(.*)"\s*$')
_UNITS = ("TEXT", "PAGE", "PARAGRAPH", "LINE", "SENTENCE", "FORMULA", "PHRASE", "WORD", "CHARACTER")


def _delineated(text, count):
    """The components of ``0-3,5`` or ``0:10-2:5``, whose points are not cut."""
    found = set()
    for part in text.split(","):
        ends = _ends(part)
        if ends:
            found.update(range(ends[0], min(ends[-1], count - 1) + 1))
    return found


def _ends(text):
    """The numbers of components in ``0-3,5`` or ``0:10-2:5``; none where there is something else."""
    ends = [end.partition(":")[0] for part in text.split(",") for end in part.split("-")]
    return [int(end) for end in ends] if all(end.isdecimal() for end in ends) else []


# === One ink, whatever it is in ===


def read_ink(item: Any, name: str | None = None) -> np.ndarray:
    """The points of one ink.

    Args:
        item: a path, the bytes of a file, float ``[points, 3]`` (x, y, 1 where a stroke ends), or a tuple of
            strokes, each float ``[points, 2]``.
        name: what to call it in messages.

    Returns:
        float32 ``[points, 3]``, as of ``as_points``.

    Raises:
        UserError: it cannot be read, has no strokes, or several inks.
    """
    if isinstance(item, np.ndarray):
        item = _strokes_of(item, name or "the ink")
    if isinstance(item, tuple):
        try:
            return as_points(item, name or "the ink")
        except (TypeError, ValueError) as error:
            raise UserError(f"{name or 'the ink'}: strokes are arrays [points, 2] of numbers.") from error
    if not isinstance(item, str | bytes | os.PathLike):
        raise UserError(f"{name or 'the ink'}: {type(item).__name__} is no ink; give points, or a path.")
    path = item if isinstance(item, str | os.PathLike) else None
    name = name or (str(path) if path is not None else "the ink")
    found = read_drawn(item if path is None else read_data(path), name, path)
    found = [one for one in found if one.strokes]
    if len(found) > 1:
        raise UserError(f"{name}: there are {len(found)} inks in it; give a file for each.")
    return as_points(found[0].strokes, name)


def _strokes_of(points, name):
    if points.ndim != 2 or points.shape[1] not in (2, 3) or points.dtype.kind not in "iuf":
        raise UserError(f"{name}: points are an array [points, 3], not {list(points.shape)}.")
    if points.shape[1] == 2:
        return (points,)
    ends = np.flatnonzero(points[:, 2] > 0) + 1
    return tuple(stroke[:, :2] for stroke in np.split(points, ends) if len(stroke))
