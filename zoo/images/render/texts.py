"""Where the text of synthetic lines comes from: corpora cut into lines, mixed words, random strings.

All randomness comes from the given numpy Generator.
"""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.text.files import read_text, split_lines


def sentences(paths: Iterable[str | os.PathLike]) -> Iterator[str]:
    """The non-empty lines of .txt and .txt.gz files, and of all such files (.gt.txt too) in folders."""
    for path in map(Path, paths):
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.name.endswith((".txt", ".txt.gz")))
        elif path.is_file():
            files = [path]
        else:
            raise UserError(f"{path} is no file and no folder: name .txt or .txt.gz files with --text.")
        for file in files:
            for line in split_lines(read_text(file)):
                if line := " ".join(line.split()):
                    yield line


def cut_lines(
    text: str, rng: np.random.Generator, min_chars: int = 20, max_chars: int = 90, hyphen: str = "-",
    hyphenate: float = 0.3,
) -> Iterator[str]:  # fmt: skip
    """Yield line-like pieces of running text of random lengths; some words at the end are hyphenated."""
    words = text.split()[::-1]
    line, goal = "", int(rng.integers(min_chars, max_chars + 1))
    while words:
        word = words.pop()
        longer = f"{line} {word}" if line else word
        if len(longer) <= goal:
            line = longer
            continue
        room = goal - len(line) - 2
        if len(word) >= 6 and room >= 2 and word.isalpha() and rng.random() < hyphenate:
            cut = min(room, len(word) - 2)
            line = f"{line} {word[:cut]}{hyphen}" if line else word[:cut] + hyphen
            words.append(word[cut:])
        elif line:
            words.append(word)
        else:
            line = word[:max_chars]  # no word boundary in reach
        yield line
        line, goal = "", int(rng.integers(min_chars, max_chars + 1))
    if line:
        yield line


def random_string(alphabet: str, rng: np.random.Generator, min_chars: int = 5, max_chars: int = 60) -> str:
    """Random characters of the alphabet in words of 1 to 10, combining marks only after another character.

    In a right-to-left alphabet a word is of one kind (letters, digits, Latin), with punctuation after it:
    the order in which a worse mixture is set would be anyone's guess.
    """
    kinds = {}
    rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in alphabet)
    for c in alphabet:
        kind = unicodedata.bidirectional(c) if rtl else "L"
        if not c.isspace() and unicodedata.category(c) != "Cf":
            kinds.setdefault("AL" if kind in ("R", "NSM") else kind, []).append(c)
    marks = [c for kind in list(kinds) if kind not in ("AL", "L", "EN", "AN") for c in kinds.pop(kind)]
    shares = np.cumsum([8 if kind == "AL" else 1 for kind in kinds])
    length, out = int(rng.integers(min_chars, max_chars + 1)), []
    while len(out) < length:
        base = list(kinds.values())[int(np.searchsorted(shares, rng.uniform(0, shares[-1])))]
        word = [base[i] for i in rng.integers(0, len(base), int(rng.integers(1, 11)))]
        while word and unicodedata.combining(word[0]):
            word.pop(0)
        if word and marks and rng.random() < 0.3:
            word.append(marks[rng.integers(len(marks))])
        out += [*word, " "] if word else []
    return "".join(out)[:length].strip()


def mixed_lines(
    texts: Sequence[str], rng: np.random.Generator, alphabet: str | None = None, min_chars: int = 8,
    max_chars: int = 80, hyphen: str = "-",
) -> Iterator[str]:  # fmt: skip
    """Endless lines of corpus words mixed with what running text has little of.

    That is numbers, years, page references, brackets, quotes, capitals. `alphabet`: only its characters are
    used; the rare ones come more often, as a part of the words is drawn by their rarest character.
    """
    # A last word with a hyphen is half a word: not for the middle of a line.
    found = {w for t in itertools.islice(texts, 50000) for w in t.split()}
    words = sorted(w for w in found if w[-1] not in "-⸗" or len(w) < 3)
    if not words:
        raise UserError("The text for rendering has no words: name other files with --text.")
    counts = {}
    for word in words:
        for c in set(word):
            counts[c] = counts.get(c, 0) + 1
    allowed = set(alphabet) if alphabet else set(counts)
    words = [w for w in words if set(w) <= allowed] or words
    rare = {}
    for number, word in enumerate(words):
        rare.setdefault(min(word, key=lambda c: counts[c]), []).append(number)
    rare_names = sorted(rare, key=lambda c: counts[c])
    lonely = sorted(c for c in allowed - {" "} if counts.get(c, 0) < 20 and not unicodedata.combining(c))
    digits = [set_ for set_ in ("0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹") if set(set_) <= allowed]
    shares = np.cumsum([1 + sum(counts.get(c, 0) for c in set_) for set_ in digits])
    latin = max(counts, key=lambda c: counts[c] * c.isalpha()).isascii()  # or words like "Vol." are rare

    def number(low, high):
        text = str(int(np.exp(rng.uniform(np.log(low), np.log(high)))))
        chosen = digits[int(np.searchsorted(shares, rng.uniform(0, shares[-1])))]
        return text.translate({48 + i: c for i, c in enumerate(chosen)})

    def word():
        if rng.random() < 0.15:
            pool = rare[rare_names[min(int(rng.exponential(len(rare_names) / 3)), len(rare_names) - 1)]]
            return words[pool[rng.integers(len(pool))]]
        return words[rng.integers(len(words))]

    def year():
        return number(1450, 2030)

    def before(mark):
        return lambda: word() + mark

    def between(pair):
        return lambda: pair[0] + word() + pair[1]

    def initial():
        return word()[:1].upper() + "."

    # (weight, maker of one or more words); what has a character outside `allowed` is drawn again.
    patterns = [
        (40, word),
        (2, lambda: word()[:1].upper() + word()[1:]),
        (3, lambda: word().upper()),
        (6, before(",")),
        (3, before(".")),
        (1, before(";")),
        (1, before(":")),
        (0.5, before("!")),
        (0.5, before("?")),
        (0.3, before("*)")),
        (6, before("،")),
        (1, before("؛")),
        (1, before("؟")),
        (2, between("()")),
        (1, between("[]")),
        (1, between("“”")),
        (1, between("„“")),
        (1, between("«»")),
        (1, between("»«")),
        (1, between("‘’")),
        (1, between('""')),
        (1, between("''")),
        (1, lambda: f"{word()}{hyphen}{word()}"),
        (1, lambda: f"{word()} — {word()}"),
        (0.5, lambda: f"– {word()}"),
        (0.5, lambda: f"- {word()}"),
        (0.5, lambda: f"{word()}/{word()}"),
        (0.3, lambda: f"{initial()} {initial()}"),
        (0.3, lambda: f"& {word()}"),
    ]
    if digits:
        patterns += [
            (2, lambda: number(1, 3000)),
            (1, lambda: f"{year()},"),
            (1, lambda: f"({year()})"),
            (1, lambda: f"[{number(1, 60)}]"),
            (0.7, lambda: f"{number(1, 99)}.{number(1, 999)}"),
            (0.5, lambda: f"{number(1, 99)},{number(100, 999)}"),
            (0.5, lambda: f"{number(1, 100)}%"),
            (0.5, lambda: f"{number(1, 30)})"),
            (0.5, lambda: f"§ {number(1, 300)}."),
            (0.5, lambda: f"{year()}–{year()}"),
            (0.5, lambda: f"{number(1, 400)}-{number(1, 400)}"),
            (0.3, lambda: f"${number(1, 9000)}"),
            (0.3, lambda: f"{number(1, 31)}/{number(1, 12)}/{year()}"),
            (0.3, lambda: f"{number(1, 9)} + {number(1, 9)} = {number(1, 20)}"),
        ]
    if digits and latin:
        patterns += [
            (1, lambda: f"pp. {number(1, 400)}-{number(1, 400)}, {year()}."),
            (0.7, lambda: f"vol. {number(1, 90)}, no. {number(1, 20)},"),
            (0.5, lambda: f"S. {number(1, 600)}"),
            (0.7, lambda: f"Vol. {number(1, 90)},"),
            (0.5, lambda: f"Fig. {number(1, 30)}:"),
        ]
    if lonely:
        patterns.append((3, lambda: word() + lonely[rng.integers(len(lonely))]))
        patterns.append((2, lambda: lonely[rng.integers(len(lonely))] + word()))
    weights = np.cumsum([weight for weight, _ in patterns])
    while True:
        goal, parts, length = int(rng.integers(min_chars, max_chars + 1)), [], 0
        for _ in range(200):
            piece = patterns[int(np.searchsorted(weights, rng.uniform(0, weights[-1])))][1]()
            if length + len(piece) > max_chars or not set(piece) - {" "} <= allowed:
                continue
            parts.append(piece)
            length += len(piece) + 1
            if length >= goal:
                break
        if parts:
            yield " ".join(parts)


def lines_of(
    texts: Iterable[str], rng: np.random.Generator, alphabet: str | None, random_share: float,
    mixed_share: float, min_chars: int, max_chars: int, hyphen: str,
) -> Iterator[str]:  # fmt: skip
    """Endless texts: running text cut into lines, with shares of mixed lines and of random strings."""
    texts = list(texts)
    if not texts:
        raise UserError("The text for rendering is empty: name other files with --text.")
    mixed = mixed_lines(texts, rng, alphabet, max_chars=max_chars, hyphen=hyphen)
    letters = sorted(set(alphabet) if alphabet else set("".join(texts)))
    while True:
        start = int(rng.integers(len(texts)))
        for line in cut_lines(" ".join(texts[start : start + 40]), rng, min_chars, max_chars, hyphen):
            draw = rng.random()
            if draw < random_share:
                yield random_string(letters, rng, max_chars=max_chars)
            elif draw < random_share + mixed_share:
                yield next(mixed)
            elif not alphabet or set(line) - {" "} <= set(alphabet):
                yield line
