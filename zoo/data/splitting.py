"""What of corpora is held out to validate on: about a tenth of each, in whole groups.

Neighbours are alike: lines of one page, utterances of one speaker. What validates is to be as new to a model
as what it will read, so all of a group is learned, or nothing of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

SHARE, MOST = 0.1, 0.2  # of a corpus


@dataclasses.dataclass
class HeldOut:
    """What of a corpus is held out.

    Attributes:
        corpus: its name.
        count: how many samples it has.
        names: those held out, a set.
        groups: what they are, in words: ``page 0012``, ``single lines``; empty where there are none.
    """

    corpus: str
    count: int
    names: set
    groups: str

    def __str__(self):
        of = f" ({self.groups})" if self.groups else ""
        return f"{self.corpus}: {self.count - len(self.names)} to learn, {len(self.names)} held out{of}"


def hold_out(
    names: Sequence[str], levels: Callable[[str], Sequence], unit: str, texts: Sequence[str] | None = None,
    limit: float = math.inf,
) -> list[HeldOut]:  # fmt: skip
    """Choose about a tenth of each corpus, never more than a fifth; the choice depends on the names alone.

    Args:
        names: ``CORPUS/NAME`` of every sample, each another.
        levels: a function from such a name to the groups that the sample is in, the largest first:
            ``[(kind, key)]``, as ``[("book", "faust"), ("page", "faust/0012")]``; the kind is None where the
            key tells nobody anything. Of these the first is taken by which a corpus can be parted; if it
            cannot by any, single samples are chosen.
        unit: what samples are, in the plural.
        texts: what the samples say; with them, a group in which all say the same is no group: it would take
            a word out of what is learned.
        limit: how many are enough.

    Returns:
        A list of ``HeldOut``, one for each corpus. From less than five samples none is held out, unless
        there is nothing else to hold out.
    """
    corpora = {}
    for i, name in enumerate(names):
        corpora.setdefault(name.partition("/")[0], []).append(i)
    found = []
    for corpus, rows in corpora.items():
        own = [names[i] for i in rows]
        aim = min(max(1, SHARE * len(own)), max(1, limit * len(own) / len(names)))
        held, groups = _of_corpus(own, levels, unit, texts and [texts[i] for i in rows], aim)
        found.append(HeldOut(corpus, len(own), held, groups))
    if found and not any(one.names for one in found):
        largest = max(found, key=lambda one: one.count)
        if largest.count > 1:
            first = min((names[i] for i in corpora[largest.corpus]), key=_order)
            largest.names, largest.groups = {first}, f"single {unit}"
    return found


def _of_corpus(names, levels, unit, texts, aim):
    """The names held out of one corpus, and what they are in words."""
    by_level = {}
    for i, name in enumerate(names):
        for level, group in enumerate(levels(name)):
            by_level.setdefault(level, {}).setdefault(group, []).append(i)
    most = MOST * len(names)
    for groups in by_level.values():
        if _are_words(groups, texts):
            continue
        sizes = {group: len(rows) for group, rows in groups.items()}
        chosen = choose(sizes, aim, most)
        if sum(map(sizes.get, chosen)) >= aim / 2 and max(sizes.values()) > 1:
            held = {names[i] for group in chosen for i in groups[group]}
            return held, _in_words(chosen) or f"single {unit}"
    chosen = choose(dict.fromkeys(names, 1), aim, most)
    return set(chosen), f"single {unit}" if chosen else ""


def choose(sizes: dict[Any, int], aim: float, most: float) -> list:
    """Some of ``{group: size}``: each that brings their sum, ``most`` at most, nearer to ``aim``.

    They are looked at in an order that their names alone give.
    """
    chosen, total = [], 0
    for group in sorted(sizes, key=_order):
        size = sizes[group]
        if abs(total + size - aim) <= abs(total - aim) and total + size <= most:
            chosen.append(group)
            total += size
    return chosen


def _order(group):
    return hashlib.sha256(repr(group).encode("utf-8", "surrogatepass")).digest()


def _are_words(groups, texts):
    """Whether most groups of several samples say one thing only, as folders named by a word do."""
    several = [rows for rows in groups.values() if len(rows) > 1]
    alike = sum(len({texts[i] for i in rows}) == 1 for rows in several) if texts else 0
    return 2 * alike > len(several)


def _in_words(groups, shown=3):
    kinds = {}
    for kind, key in sorted(group for group in groups if group[0]):
        kinds.setdefault(kind, []).append(key)
    told = []
    for kind, keys in kinds.items():
        more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
        told.append(f"{kind}{'s' * (len(keys) > 1)} {', '.join(keys[:shown])}{more}")
    return "; ".join(told)


# === Groups by names ===

_SEPARATOR = re.compile(r"[-._ ]+")
_PAGE = re.compile(r"(p|pg|page|seite|s)?\d+", re.IGNORECASE)


def levels_by_name(name: str, kind: str | None = None) -> list[tuple[str, str]]:
    """The groups that a sample's name tells: its folders, then what its file's name begins with.

    Args:
        name: ``CORPUS/BOOK/PAGE/LINE``, ``CORPUS/BOOK_PAGE_LINE`` or the like.
        kind: what groups are; if not given, ``page`` for a number and ``book`` for all else.
    """
    *folders, file = name.split("/")[1:]
    ends = [match.start() for match in _SEPARATOR.finditer(file) if match.start()]
    path = "/".join(folders)
    keys = ["/".join(folders[: i + 1]) for i in range(len(folders))]
    keys += [f"{path}/{file[:end]}" if path else file[:end] for end in ends]
    return [(kind or _kind(key), key) for key in keys]


def level_by_folder(name: str, kind: str) -> list[tuple[str, str]]:
    """The group of a sample whose corpus names groups by folders: ``CORPUS/GROUP/NAME``; or none.

    Args:
        name: of the sample.
        kind: what groups are: ``writer``, ``subject``.
    """
    _, *folders, _ = name.split("/")
    return [(kind, folders[0])] if folders else []


def _kind(key):
    last = _SEPARATOR.split(key.rpartition("/")[2])[-1]
    return "page" if _PAGE.fullmatch(last) else "book"
