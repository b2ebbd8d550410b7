"""How well whole pages are read: character error rates beside pages whose lines XML tells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.pages import DescribedPages
from zoo.errors import UserError
from zoo.images.layout import BASELINE
from zoo.images.sheets import Sheet
from zoo.metrics.text import as_same, text_error_rates
from zoo.text.normalise import normalise

if TYPE_CHECKING:
    from zoo.formats.pages import Line

POINTS = 9  # of a line's baseline that are looked for on another's
HIT = 0.4  # share of these, at least, that lie there
NEAR = 0.5  # of a line's height, by which they may lie above or below


def evaluate_pages(
    read: Callable, corpora: Sequence, told: bool = True, direction: str = "ltr", progress: bool = False,
    same: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Character error rates of whole pages.

    Each page is read twice: its lines as they are found, and as the XML tells them. A line that is found
    belongs to the line of the XML that it stands on; of those that belong to one the texts are joined. What
    is found where the XML has nothing counts in full, as do lines that are not found.

    Args:
        read: a ``zoo.images.sheets.Sheet`` -> a ``zoo.formats.pages.Page`` of lines with places and texts,
            such as ``read_sheet`` of a ``zoo.contract.pages.PageReader``.
        corpora: a list of folders or archives with ALTO, PAGE, hOCR or ABBYY's XML beside images.
        told: whether ``read`` also reads the lines that a sheet's ``page`` tells.
        direction: "ltr" or "rtl", in which the pieces of a line follow each other.
        progress: show a bar.
        same: pairs of str that count as equal, see ``zoo.metrics.text.as_same``.

    Returns:
        A dict: ``cer`` of the lines found, by their places; ``page_cer`` of the whole text in reading order;
        with ``told``, ``xml_cer`` of the lines that the XML tells; ``pages``, ``lines`` and ``characters``
        of the XML; ``missed``, its lines that were not found; ``unmatched``, lines found where it has none;
        ``seconds`` of finding and reading a page; ``by_page``, a list of dicts with the rates of each;
        ``skipped``, sentences.

    Raises:
        UserError: there is no page with a transcript.
    """
    from tqdm import tqdm

    skipped, rows = [], []
    with tqdm(desc="reading", unit="page", disable=not progress) as bar:
        for corpus in corpora:
            for member, pixels, page in DescribedPages(corpus, skipped).pages():
                name = os.path.splitext(member)[0]
                try:
                    row = _of_page(read, name, pixels, page, told, direction, same)
                except UserError as error:
                    skipped.append(str(error))
                    continue
                rows += [row] * bool(row["characters"])
                bar.update()
    if not rows:
        raise UserError(f"{corpora[0]}: no page of it has a transcript; give images with ALTO, PAGE or hOCR")
    totals = {name: sum(row[name] for row in rows) for name in rows[0] if name != "page"}
    rates = [kind for kind in _ABOUT if f"{kind}_errors" in totals]
    report = {kind: totals[f"{kind}_errors"] / totals["characters"] for kind in rates}
    report |= {"pages": len(rows)} | {name: totals[name] for name in _COUNTED}
    by_page = [
        {"page": row["page"], "characters": row["characters"]}
        | {kind: row[f"{kind}_errors"] / row["characters"] for kind in rates}
        for row in rows
    ]
    seconds = totals["seconds"] / len(rows)
    return report | {"seconds": seconds, "by_page": by_page, "skipped": skipped}


_ABOUT = {
    "cer": "lines found, by their places", "page_cer": "whole text in reading order",
    "xml_cer": "lines that the XML tells",
}  # fmt: skip
_COUNTED = "lines", "characters", "missed", "unmatched"


def _of_page(read, name, pixels, page, told, direction, same):
    def texts(lines):
        return [as_same(normalise(line.text or ""), same) for line in lines]

    start = time.perf_counter()
    found = [line for line in read(Sheet(name, page.image, pixels)).lines if (line.text or "").strip()]
    seconds = time.perf_counter() - start
    again = texts(read(Sheet(name, page.image, pixels, page=page)).lines) if told else None
    if page.size:  # to pixels of the image
        scale = np.float32(np.array(pixels.shape[1::-1]) / page.size)
        page = page.mapped(lambda points: points * scale)
    wanted, own = texts(page.lines), texts(found)
    belongs = matched(page.lines, found)
    order = sorted(range(len(own)), key=lambda i: found[i].polygon[:, 0].min(), reverse=direction == "rtl")
    joined = [" ".join(own[i] for i in order if belongs[i] == at) for at in range(len(wanted))]
    alone = [text for text, at in zip(own, belongs, strict=True) if at is None]
    missed = [at for at, text in enumerate(wanted) if text and at not in belongs]
    kept = [at for at, text in enumerate(wanted) if text]

    def errors(references, hypotheses):
        return text_error_rates(references, hypotheses)["character_errors"]

    def of(texts):
        return [texts[at] for at in kept]

    row = {
        "page": name,
        "lines": len(kept),
        "characters": sum(map(len, wanted)),
        "missed": len(missed),
        "unmatched": len(alone),
        "seconds": seconds,
        "cer_errors": errors(of(wanted), of(joined)) + sum(map(len, alone)),
        "page_cer_errors": errors(["\n".join(of(wanted))], ["\n".join(own)]),
    }
    return row | ({"xml_cer_errors": errors(of(wanted), of(again))} if told else {})


def matched(lines: Sequence[Line], found: Sequence[Line]) -> list[int | None]:
    """To which lines others belong, by their baselines.

    Args:
        lines, found: lists of ``zoo.formats.pages.Line``, in the same coordinates.

    Returns:
        For each of ``found`` the number of one of ``lines``; None where it stands on none.
    """
    courses = [_course(line) for line in lines]
    numbers = []
    for line in found:
        own, high = _course(line), _height(line)
        best = None
        if own is not None:
            x = np.linspace(*own[[0, -1], 0], POINTS)
            y = np.interp(x, *own.T)
            for number, course in enumerate(courses):
                if course is None:
                    continue
                inside = (x >= course[0, 0] - high / 2) & (x <= course[-1, 0] + high / 2)
                away = np.abs(np.interp(x, *course.T) - y)
                hits = int(np.count_nonzero(inside & (away < NEAR * high)))
                key = hits, -float(away[inside].mean()) if inside.any() else -np.inf
                if hits >= HIT * POINTS and (best is None or key > best[0]):
                    best = key, number
        numbers.append(best and best[1])
    return numbers


def _course(line):
    """The baseline of a line from left to right, or that of its box; None where it has no place."""
    points = line.baseline
    if len(points) < 2:
        if len(line.polygon) < 2:
            return None
        (left, top), (right, bottom) = line.polygon.min(0), line.polygon.max(0)
        level = bottom - BASELINE * (bottom - top)
        points = np.array([(left, level), (right, level)])
    return points[np.argsort(points[:, 0], kind="stable")]


def _height(line):
    polygon = line.polygon
    if len(polygon) == 4:
        return float(np.hypot(*(polygon[3] - polygon[0])))
    return float(np.ptp(polygon[:, 1])) if len(polygon) else 0.0


def rows(report: dict) -> list[tuple[str, str]]:
    """A report of ``evaluate_pages`` as a person reads it: list of ``(name, text)``."""
    found = report["lines"] - report["missed"]
    kinds = [kind for kind in _ABOUT if kind in report]
    rates = [(kind, f"{report[kind]:.2%} ({_ABOUT[kind]})") for kind in kinds]
    pages = [
        (row["page"], ", ".join(f"{kind} {row[kind]:.2%}" for kind in kinds)) for row in report["by_page"]
    ]
    return [
        ("pages", f"{report['pages']} ({report['characters']} characters)"),
        ("lines", f"{found} of {report['lines']} found, {report['unmatched']} more where the XML has none"),
        *rates,
        ("seconds", f"{report['seconds']:.2f} a page"),
        *(pages if len(pages) > 1 else []),
    ]
