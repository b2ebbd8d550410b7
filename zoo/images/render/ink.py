"""Ink to train on: formulae or words put together from symbols that people wrote, or drawn with stroke fonts.

    zoo render --ink CORPUS --model MODEL --count N --output FILE.jsonl.gz
    zoo render --ink --fonts --text WORDS.txt --count N --output FILE.jsonl.gz

The first cuts the ink of a corpus into its tokens, as a model aligns them (Viterbi paths of CTC), and writes
new texts with them: texts of the corpus, or a part of one, some tokens in which are others of the same kind.
How large a token is beside others, how high it stands and how far from the next is as in the corpus. The
second draws lines of text with the Hershey fonts (A. V. Hershey 1967), each as another hand would.

Written is an object a line: ``name``, ``text`` and ``strokes``, a list of lists of points ``[x, y]``.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import gzip
import json
import re
import sys
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import files, registry
from zoo.errors import UserError
from zoo.formats.strokes import as_strokes

if TYPE_CHECKING:
    from zoo.data.samples import Samples

SURE = 0.1  # least probability of the tokens of a text from which its ink is cut: the model sees that text
USUAL = 0.1  # share of a token's ink that has as many strokes; what is rarer is cut wrongly
APART = 3.0  # deviations of size or height from those of the token, beyond which ink is cut wrongly
CHANGED = 0.5  # share of the tokens of a new text that are others of their kind
KINDS = (
    r"\d", r"[a-z]", r"[A-Z]",
    r"\\(alpha|beta|gamma|delta|theta|phi|pi|sigma|mu|lambda|epsilon|omega|psi|rho|tau|infty)",
    r"\\(Delta|Pi|Sigma|Omega|Gamma|Theta|Phi)", r"\\(sin|cos|tan|log|lim|exp|ln)",
    r"[-+/]|\\(times|div|pm|cdot)", r"=|\\(leq|geq|neq|lt|gt|in|rightarrow)", r"\\(cdots|ldots)",
    r"\\(forall|exists)",
)  # fmt: skip


class Symbol:
    """The ink of a token: list of float ``[points, 2]`` from its left edge, and its height in its text."""

    __slots__ = ("strokes", "width")

    def __init__(self, strokes: list[np.ndarray], width: float) -> None:
        self.strokes, self.width = strokes, width


class Library:
    """Symbols by token, and how they stand beside one another.

    Sizes, heights and gaps are in units of the writer's hand: of each text, the scale and the line on which
    its tokens have, as nearly as can be, the sizes and heights that tokens usually have.

    Args:
        cut: list of texts, each a list of ``(token, strokes)`` from the left.
    """

    def __init__(self, cut: list) -> None:
        boxes = [[_box(strokes) for _, strokes in text] for text in cut]
        names = [[token for token, _ in text] for text in cut]
        sizes = [np.log([max(b[2] - b[0], b[3] - b[1], 1e-3) for b in text]) for text in boxes]
        scales, usual = _shared(names, sizes)
        middles = [
            np.array([(b[1] + b[3]) / 2 for b in text]) / np.exp(scale)
            for text, scale in zip(boxes, scales, strict=True)
        ]
        lines, heights = _shared(names, middles)
        self.symbols, self.gaps = collections.defaultdict(list), collections.defaultdict(list)
        off = {
            token: 1.5 * np.median(np.abs(values)) + 1e-3
            for token, values in _residuals(names, sizes, scales, usual).items()
        }
        strokes_of = collections.defaultdict(collections.Counter)
        for text in cut:
            for token, strokes in text:
                strokes_of[token][len(strokes)] += 1
        for text, own, scale, line, size in zip(cut, boxes, scales, lines, sizes, strict=True):
            for i, (token, strokes) in enumerate(text):
                counts = strokes_of[token]
                if counts[len(strokes)] < USUAL * counts.total():
                    continue
                if abs(size[i] - scale - usual[token]) > max(0.5, APART * off[token]):
                    continue
                moved = [(s - [own[i][0], 0]) / np.exp(scale) - [0, line] for s in strokes]
                self.symbols[token].append(Symbol(moved, (own[i][2] - own[i][0]) / np.exp(scale)))
            for i in range(len(text) - 1):
                gap = (own[i + 1][0] - own[i][2]) / np.exp(scale)
                if -1 < gap < 2:
                    self.gaps[text[i][0]].append(gap)
        self.all_gaps = np.array([gap for some in self.gaps.values() for gap in some] or [0.3])

    def write(self, tokens: list[str], random: np.random.Generator) -> list[np.ndarray] | None:
        """The strokes of a text, or None where a token of it is not in the library."""
        if not all(self.symbols.get(token) for token in tokens):
            return None
        strokes, x, loose = [], 0.0, np.exp(random.normal(0, 0.3))
        for token in tokens:
            some = self.symbols[token]
            symbol = some[random.integers(len(some))]
            grown = np.exp(random.normal(0, 0.08))
            lift = random.normal(0, 0.04)
            strokes += [stroke * grown + [x, lift] for stroke in symbol.strokes]
            gaps = self.gaps.get(token) or self.all_gaps
            gap = gaps[random.integers(len(gaps))]
            x += symbol.width * grown + (gap * loose if gap > 0 else gap)
        return strokes


def _shared(names, values, rounds=10):
    """What each text adds, and what each token has: least absolute deviations of their sums, in turn."""
    usual = collections.defaultdict(float)
    texts = [0.0] * len(values)
    for _ in range(rounds):
        texts = [
            float(np.median(own - [usual[n] for n in some])) for some, own in zip(names, values, strict=True)
        ]
        usual = {
            token: float(np.median(left))
            for token, left in _residuals(names, values, texts, dict.fromkeys(usual, 0.0)).items()
        }
        usual = collections.defaultdict(float, usual)
    return texts, usual


def _residuals(names, values, texts, usual):
    found = collections.defaultdict(list)
    for some, own, text in zip(names, values, texts, strict=True):
        for name, value in zip(some, own, strict=True):
            found[name].append(value - text - usual.get(name, 0.0))
    return found


def _box(strokes):
    points = np.concatenate(strokes)
    return (*points.min(0), *points.max(0))


def cut_up(corpus: Samples, reader: Any, rounds: int = 2, progress: bool = False) -> list:
    """Texts of a corpus as lists of ``(token, strokes)``; those that a model aligns with whole strokes.

    In each round after the first, a token rather has as many strokes as it had most often in the one before.

    Args:
        corpus: of ink; its ``chunks`` give points and texts.
        reader: the model's, with ``align``.
    """
    from tqdm import tqdm

    cost = None
    for number in range(rounds):
        found, counts = [], collections.defaultdict(collections.Counter)
        bar = {"desc": f"cutting, {number + 1} of {rounds}", "unit": "ink", "disable": not progress}
        with tqdm(total=len(corpus), mininterval=1, **bar) as bar:
            for inks, texts in corpus.chunks(256):
                for points, text in zip(inks, texts, strict=True):
                    bar.update()
                    with contextlib.suppress(UserError):  # shorter than its text
                        tokens = reader.align(points, text, cost)
                        owners = collections.Counter(stroke for one in tokens for stroke in one.strokes)
                        # A text stays whole, as gaps are between neighbours.
                        if min(token.confidence for token in tokens) < SURE or max(owners.values()) > 1:
                            continue
                        strokes = as_strokes(points)
                        found.append(
                            [(t.token, [strokes[i].astype(float) for i in t.strokes]) for t in tokens]
                        )
                        for token in tokens:
                            counts[token.token][len(token.strokes)] += 1
        cost = _stroke_cost(counts)
    return found


def _stroke_cost(counts):
    """A function from a token and a number of strokes to the negative logarithm of how often it had them."""

    def cost(token, strokes):
        known = counts.get(token, {})
        return -np.log((known.get(strokes, 0) + 0.1) / (sum(known.values()) + 1.0))

    return cost


class Texts:
    """New texts like given ones.

    Args:
        texts: lists of tokens.
        known: the tokens that can be written.
    """

    def __init__(self, texts: list[list[str]], known: Container[str]) -> None:
        self.texts = [text for text in texts if text]
        counts = collections.Counter(token for text in self.texts for token in text if token in known)
        self.kinds = {}
        for kind in KINDS:
            alike = sorted(token for token in counts if re.fullmatch(kind, token))
            # Rare ones come more often than they are.
            shares = np.array([counts[token] for token in alike], float) ** 0.4
            self.kinds |= {token: (alike, shares / shares.sum()) for token in alike}

    def draw(self, random: np.random.Generator) -> list[str]:
        text = list(self.texts[random.integers(len(self.texts))])
        if random.random() < 0.4 and len(text) > 2:  # a part of it
            first, last = sorted(random.choice(len(text) + 1, 2, replace=False))
            text = text[first:last]
        share = CHANGED * random.random() * 2
        for i, token in enumerate(text):
            if token in self.kinds and random.random() < share:
                alike, shares = self.kinds[token]
                text[i] = alike[random.choice(len(alike), p=shares)]
        return text


def composed(
    library: Library, texts: Texts, count: int, seed: int
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Iterate over ``count`` pairs of text, a list of tokens, and strokes."""
    for index in range(count):
        random = np.random.default_rng((seed, index))
        for _ in range(100):
            tokens = texts.draw(random)
            if strokes := library.write(tokens, random):
                yield tokens, strokes
                break
        else:
            raise UserError("hardly a text can be written with the symbols found; give more ink.")


# === Stroke fonts ===

FACES = ("futural", "futuram", "scripts", "scriptc", "cursive", "rowmans", "rowmand", "timesi", "timesr")


def drawn(lines: list[str], count: int, seed: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Iterate over ``count`` pairs of text and strokes, drawn with the Hershey fonts.

    Raises:
        UserError: the package is not installed, or no font has the characters of the lines.
    """
    try:
        from HersheyFonts import HersheyFonts
    except ImportError as error:
        raise UserError('stroke fonts need a package more: pip install "seqzoo[strokes]"') from error
    fonts = []
    for face in FACES:
        font = HersheyFonts()
        font.load_default_font(face)
        font.normalize_rendering(1.0)
        fonts.append(font)
    usable = [line for line in lines if line.strip() and all(" " <= c <= "~" for c in line)]
    if not usable:
        raise UserError("no line can be drawn: the Hershey fonts have the characters of ASCII alone.")
    for index in range(count):
        random = np.random.default_rng((seed, index))
        text = " ".join(usable[random.integers(len(usable))].split())
        font = fonts[random.integers(len(fonts))]
        strokes = [np.array(stroke, float) * [1, -1] for stroke in font.strokes_for_text(text)]
        yield text, [_by_hand(stroke, random) for stroke in strokes if len(stroke)]


def _by_hand(stroke, random):
    """A stroke as a hand would draw it: between its corners there are points, all a little off."""
    parts = [
        np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / 0.06)), endpoint=False)
        for a, b in zip(stroke[:-1], stroke[1:], strict=True)
    ]
    points = np.concatenate([*parts, stroke[-1:]])
    noise = random.normal(0, 0.02, (len(points) // 6 + 2, 2))
    at = np.linspace(0, len(noise) - 1, len(points))
    smooth = np.stack([np.interp(at, np.arange(len(noise)), column) for column in noise.T], 1)
    return points + smooth + random.normal(0, 0.015, 2)


# === Command ===


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="zoo render --ink", description=__doc__.split("\n")[0])
    parser.add_argument("--ink", nargs="*", metavar="CORPUS", required=True, help="ink to cut symbols from")
    parser.add_argument("--model", help="a model that reads it, which tells what each stroke is")
    parser.add_argument("--only", metavar="REGEX", help="inks whose CORPUS/NAME it matches somewhere")
    parser.add_argument("--text", nargs="+", metavar="FILE", help="lines to write, instead of such texts")
    parser.add_argument("--fonts", action="store_true", help="draw with stroke fonts instead of cut symbols")
    parser.add_argument("--count", type=int, required=True, help="how many inks")
    parser.add_argument("--output", required=True, help="a .jsonl or .jsonl.gz file")
    parser.add_argument("--seed", type=int, default=0, help="another draws other ink (default 0)")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options):
    from tqdm import tqdm

    from zoo.text.files import read_text, split_lines

    if options.count < 1:
        raise UserError("--count is 1 or more.")
    if not options.output.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{options.output}: ink is written as .jsonl or .jsonl.gz; name it so.")
    lines = [line for path in options.text or () for line in split_lines(read_text(path))]
    if options.fonts:
        if options.ink or not options.text:
            raise UserError("--fonts draws the lines of --text, and takes no corpus.")
        made, told = drawn(lines, options.count, options.seed), "drawn with stroke fonts"
    else:
        if not options.ink or not options.model:
            raise UserError("--ink needs a corpus and a --model that reads it, or --fonts and --text.")
        made, told = _composed(options, lines)
    written = 0
    with files.atomic_write(options.output) as raw, contextlib.ExitStack() as stack:
        file = raw
        if options.output.endswith(".gz"):
            file = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0))
        for text, strokes in tqdm(made, total=options.count, unit="ink", delay=1, disable=None):
            written += 1
            strokes = [np.round(stroke * 1000).astype(int).tolist() for stroke in strokes]
            about = {"name": f"{written:06d}", "text": text, "strokes": strokes}
            file.write((json.dumps(about, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    print(f"{written} inks in {options.output}, {told}.")
    return 0


def _composed(options, lines):
    import zoo

    task = zoo.load(options.model)
    reader = getattr(task, "reader", None)
    if getattr(task, "name", None) != "ink":
        raise UserError(f"{options.model}: it reads no ink; give a model that does, as ink_formulae.")
    corpus = registry.load_corpus("ink", options.ink, {}, options.only, progress=True)
    library = Library(cut_up(corpus, reader, progress=sys.stderr.isatty()))
    tokens_of, divided = reader.vocabulary.tokens, reader.vocabulary.divided
    if not library.symbols:
        raise UserError(f"{', '.join(options.ink)}: no symbol could be cut out; give a model that reads it.")
    texts = Texts([tokens_of(line) for line in (lines or list(corpus.texts))], library.symbols)
    if lines:
        texts.kinds = {}
    count = sum(map(len, library.symbols.values()))
    told = f"of {count} symbols of {len(library.symbols)} kinds"
    made = composed(library, texts, options.count, options.seed)
    return ((" ".join(tokens) if divided else "".join(tokens), strokes) for tokens, strokes in made), told
