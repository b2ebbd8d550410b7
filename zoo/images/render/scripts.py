"""Text lines of several scripts, composed of others, with the class of every pixel column.

    zoo render --script arabic=arabic.tar.gz latin=books.tar.gz latin=rendered.tar --count N --output FOLDER

Each ``NAME=CORPUS`` is a corpus of lines (images with transcripts, real ones or those of ``zoo render
--text``), all of whose writing is of the class NAME. Pieces of them stand on a line in any order, with
garbage between (``zoo.images.render.garbage``): of several sizes, heights, strokes and gaps, on paper of
several kinds.

Written are ``NAME.png``, ``NAME.columns.txt`` with a character for each pixel column, and ``classes.txt``,
the names of the classes, one a line: the first stands for 0, the second for 1 and so on, after 9 come a to z.
0 is the background, the last is garbage. With ``--readers`` the pieces are whole words, which a reader of
each class finds in its lines by CTC alignment, and ``NAME.gt.txt`` has their text in reading order.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import re
import sys
import typing
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from zoo import files
from zoo.data.lines import read_pairs
from zoo.errors import UserError
from zoo.images.columns import INK, WIDEST, ink_of, joined
from zoo.images.render import garbage
from zoo.images.render.columns import columns_of, open_reader, words_of
from zoo.images.render.degrade import grey
from zoo.images.render.lines import corpus_writer
from zoo.text.characters import direction_of
from zoo.text.scripts import (
    BACKGROUND,
    CLASSES,
    COLUMNS,
    GARBAGE,
    SYMBOLS,
    letters_of,
    line_direction,
    reading_text,
    written,
)

STORED = 64  # pixels that lines are kept high, at most


# Pieces


class Line(typing.NamedTuple):
    """A line to take pieces of.

    Attributes:
        pixels: uint8 ``[height, width]``.
        script: ISO 15924 code of its letters; empty where it has none.
        words: in reading order, or None. Each is ``(text, first, end)``: from one column up to another.
    """

    pixels: np.ndarray
    script: str = ""
    words: list | None = None


class Placed(typing.NamedTuple):
    """A piece on a composed line: its class, first and last column, and its text, or None."""

    klass: int
    first: int
    last: int
    text: str | None


class Composer:
    """Composes lines: ``compose(index)`` depends on these arguments and its own only.

    Args:
        lines: ``{class: [[Line]]}``, the lines of each corpus of each class. Classes come alike often, and in
            a
            class its corpora.
        kinds: names of ``garbage.KINDS``.
        height: of the composed lines, pixels.
        seed: int.
        share: of pieces that are garbage.
    """

    def __init__(
        self, lines: dict[int, list], kinds: Any, height: int = 48, seed: int = 0, share: float = 0.2
    ) -> None:
        self.lines, self.kinds, self.height, self.seed = lines, list(kinds), height, seed
        self.share = share if self.kinds else 0.0
        # Words stand as far apart as tells them from letters.
        self.spelled = any(line.words for corpora in lines.values() for some in corpora for line in some)

    def compose(self, index: int) -> tuple[np.ndarray, np.ndarray, list[Placed]]:
        """``(pixels, columns, placed)``: uint8 ``[height, width]``, uint8 ``[width]``, list of ``Placed``."""
        rng = np.random.default_rng((self.seed, index))
        most = int(rng.choice([1, 2, 4, 8]))
        pieces = []
        while not pieces:
            pieces = [self._piece(rng) for _ in range(int(rng.integers(1, most + 1)))]
            pieces = [piece for piece in pieces if piece is not None]
        near = rng.random() < 0.25  # as words of one line stand
        gaps = [self._gap(rng, near) for _ in range(len(pieces) + 1)]
        width = sum(ink.shape[1] for ink, _, _ in pieces) + sum(gaps)
        ink, columns, placed = np.zeros((self.height, width), np.float32), np.zeros(width, np.uint8), []
        left = 0
        for gap, (one, klass, text) in zip(gaps, pieces, strict=False):
            left += gap
            right = left + one.shape[1]
            columns[left:right] = columns_of(one, klass, self.height)
            ink[:, left:right] = one * rng.uniform(0.75, 1)
            placed.append(Placed(klass, left, right - 1, text))
            left = right
        return self._printed(ink, rng), joined(columns, WIDEST * self.height), placed

    def _gap(self, rng, near):
        least, most = (0.25 if self.spelled else 0.1, 0.5) if near else (0.25 if self.spelled else 0.15, 1.5)
        return max(1, round(self.height * rng.uniform(least, most)))

    def _piece(self, rng):
        """``(ink, class, text)``, or None where no ink is left."""
        if rng.random() < self.share:
            return self._garbage(rng)
        klass = list(self.lines)[rng.integers(len(self.lines))]
        corpora = self.lines[klass]
        lines = corpora[rng.integers(len(corpora))]
        line, text = lines[rng.integers(len(lines))], None
        ink = ink_of(line.pixels)
        if line.words:
            some = _some_words(line.words, ink.shape[0], rng)
            ink = ink[:, min(first for _, first, _ in some) : max(end for *_, end in some)]
            text = " ".join(word for word, *_ in some)
        elif rng.random() >= 0.05:
            ink = cut(ink, rng)
        ink = self._set(ink, rng)
        return ink if ink is None else (ink, klass, text)

    def _set(self, ink, rng):
        """A piece in another size, with other strokes, at another height of the line; None without ink."""
        tall = max(12, round(self.height * (rng.uniform(0.5, 1.0) if rng.random() < 0.85 else 1.0)))
        wide = max(2, round(ink.shape[1] * tall / ink.shape[0] * np.exp(rng.normal(0, 0.06))))
        image = Image.fromarray(np.uint8(ink * 255))
        if rng.random() < 0.2 and min(image.size) >= 3:  # fatter or thinner strokes
            image = image.filter(rng.choice([ImageFilter.MaxFilter, ImageFilter.MinFilter])(3))
        image = image.resize(
            (wide, tall), Image.Resampling.BOX if tall < ink.shape[0] else Image.Resampling.BICUBIC
        )
        ink = np.asarray(image, np.float32) / 255
        at = np.flatnonzero((ink >= INK).any(0))
        if not len(at):
            return None
        ink = ink[:, at[0] : at[-1] + 1]
        sheet = np.zeros((self.height, ink.shape[1]), np.float32)
        top = int(rng.integers(0, self.height - tall + 1))
        sheet[top : top + tall] = ink
        return sheet

    def _garbage(self, rng):
        kind = garbage.KINDS[self.kinds[rng.integers(len(self.kinds))]]
        tall = round(self.height * (1.0 if rng.random() < 0.6 else rng.uniform(0.4, 1)))
        ink = np.zeros((self.height, max(4, round(self.height * np.exp(rng.uniform(-1.2, 1.4))))), np.float32)
        top = int(rng.integers(0, self.height - tall + 1))
        ink[top : top + tall] = kind(tall, ink.shape[1], rng)
        at = np.flatnonzero((ink >= INK).any(0))
        if not len(at):
            return None
        return ink[:, at[0] : at[-1] + 1], max(self.lines) + 1, None

    def _printed(self, ink, rng):
        """Ink on paper: clean, grainy, a grey photograph, black and white, or light on dark."""
        kind = rng.random()
        if kind < 0.3:
            paper, grain = 255 - rng.exponential(3), rng.choice([0.0, rng.uniform(0, 8)])
            pixels = paper - ink * (paper - rng.uniform(0, 60)) + grain * rng.standard_normal(ink.shape)
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
        elif kind < 0.85:
            pixels = grey(Image.fromarray(np.uint8(ink * 255)), rng, rng.uniform(0.2, 1))
        else:
            pixels = np.where(ink > INK, 0, 255).astype(np.uint8)
        return 255 - pixels if rng.random() < 0.03 else pixels


def _some_words(words, height, rng):
    """Some words of a line, one after the other."""
    goal = height * np.exp(rng.uniform(np.log(0.4), np.log(12)))
    first = int(rng.integers(len(words)))
    wide = [abs(max(w[2] for w in some) - min(w[1] for w in some) - goal) for some in _runs(words, first)]
    return words[first : first + 1 + int(np.argmin(wide))]


def _runs(words, first):
    return (words[first : end + 1] for end in range(first, len(words)))


def cut(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A piece of a line, from one gap to another: mostly of words, at times of letters.

    Args:
        ink: float ``[height, width]``.
    """
    height, width = ink.shape
    free = ~(ink >= INK).any(0)
    least = 0.2 * height if rng.random() < 0.8 else 1
    edges = np.flatnonzero(np.diff(np.r_[True, free, True].astype(np.int8)))  # ink begins and ends in turn
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return ink
    wide = starts[1:] - ends[:-1] >= least
    starts, ends = starts[np.r_[True, wide]], ends[np.r_[wide, True]]
    first = int(rng.integers(len(starts)))
    goal = height * np.exp(rng.uniform(np.log(0.4), np.log(9)))
    last = first + int(np.argmin(np.abs(ends[first:] - starts[first] - goal)))
    if ends[last] - starts[first] < 0.2 * height and rng.random() < 0.8:  # a dot alone could be of any script
        last = min(first + 1, len(ends) - 1)
    return ink[:, starts[first] : ends[last]]


# Corpora


def read_lines(
    path: str | os.PathLike, wanted: Callable[[str], bool], most: int, skipped: list[str] | None,
    reader: Any = None,
) -> list[Line]:  # fmt: skip
    """Up to ``most`` lines of a corpus that are of one script, spread over it, as a list of ``Line``.

    Args:
        path: folder or archive.
        wanted: a function of ``CORPUS/NAME``.
        skipped: a list; a sentence is appended for each line that cannot be used.
        reader: finds the words of each line, see ``words_of``; or None.

    Raises:
        UserError: the corpus cannot be read.
    """
    label, found = files.corpus_name(path), []
    rng, number, several = np.random.default_rng(0), -1, 0
    for name, pixels, text in read_pairs(Path(path), skipped):
        if not wanted(f"{label}/{name}"):
            continue
        letters = letters_of(text)
        if len(letters) > 1:
            several += 1
            continue
        number += 1
        # Each line stays with the same chance (Vitter 1985, algorithm R).
        place = number if number < most else int(rng.integers(number + 1))
        if place >= most:
            continue
        image = Image.fromarray(pixels[:, :, 0])
        if image.height > STORED:
            wide = max(1, round(image.width * STORED / image.height))
            image = image.resize((wide, STORED), Image.Resampling.BOX)
        found[place : place + 1] = [(name, np.asarray(image), text, "".join(letters))]
    if several:
        skipped.append(f"{path}: lines of several scripts, {several} of them, were left out; see --by-text.")
    if reader is None:
        return [Line(pixels, script) for _, pixels, _, script in found]
    lines = []
    for name, pixels, text, script in found:
        try:
            lines.append(Line(pixels, script, words_of(pixels, text, reader)))
        except UserError as error:
            skipped.append(f"{path}: {name}: {str(error).removeprefix('the image: ').rstrip('.')}.")
    return lines


def of_their_class(corpora: Any, skipped: list[str] | None) -> list:
    """Without quotations in the script of another class, and without page numbers, of no script.

    Args:
        corpora: a list of ``(class, path, lines)``. The script of most lines of each is one of its class.
        skipped: a list; a sentence is appended for each corpus that has such lines.

    Returns:
        The list with other lines.
    """
    owners = {}
    for klass, _, lines in corpora:
        lettered = Counter(line.script for line in lines if line.script)
        if lettered:
            owners.setdefault(lettered.most_common(1)[0][0], set()).add(klass)
    found = []
    for klass, path, lines in corpora:
        lettered = any(line.script for line in lines)
        kept = [
            line for line in lines
            if (klass in owners.get(line.script, {klass}) if line.script else not lettered)
        ]  # fmt: skip
        if len(kept) < len(lines):
            skipped.append(
                f"{path}: {len(lines) - len(kept)} lines were left out that have no letter, or those of the "
                "script of another class."
            )
        found.append((klass, path, kept))
    return found


def write_corpus(
    composer: Composer, count: int, classes: Sequence[str], output: str | os.PathLike, processes: int = 1,
    progress: bool = True,
) -> None:  # fmt: skip
    """Compose ``count`` lines to a folder or a tar. What is written does not depend on ``processes``."""
    from tqdm import tqdm

    digits = max(5, len(str(count - 1)))
    with contextlib.ExitStack() as stack:
        _start(composer)
        work = map
        if processes > 1:
            pool = stack.enter_context(multiprocessing.get_context("fork").Pool(processes))
            work = pool.imap
        add = stack.enter_context(corpus_writer(Path(output)))
        add(CLASSES, "".join(f"{name}\n" for name in classes).encode())
        for index, (image, columns, text) in enumerate(
            tqdm(work(_composed, range(count)), total=count, unit="line", disable=not progress, mininterval=1)
        ):
            name = f"line{index:0{digits}d}"
            add(f"{name}.png", image)
            add(f"{name}{COLUMNS}", written(columns).encode())
            if text is not None:
                add(f"{name}.gt.txt", f"{text}\n".encode())


def _start(composer):
    global _composer
    _composer = composer


def _composed(index):
    pixels, columns, placed = _composer.compose(index)
    store = io.BytesIO()
    Image.fromarray(pixels).save(store, "PNG")
    return store.getvalue(), columns, text_of(placed)


def text_of(placed: Sequence[Placed]) -> str | None:
    """The text of a composed line in reading order; None without words."""
    spelled = [(one.text, direction_of(one.text), one.last + 1 - one.first) for one in placed if one.text]
    if not spelled:
        return None
    pieces = [(text, way) for text, way, _ in spelled]
    direction = line_direction([(way, width) for _, way, width in spelled])
    return reading_text(pieces, [True] * (len(pieces) - 1), direction)


# Command


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` as ``(name, value)``, for argparse."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``composer_of``, in a parser of argparse."""
    add = parser.add_argument
    add(
        "--script",
        nargs="+",
        type=pair,
        required=True,
        metavar="NAME=CORPUS",
        help="a class, and a folder, tar or zip of lines that are of it; several may be of one class",
    )
    add("--count", type=int, required=True, help="how many lines")
    add(
        "--garbage",
        nargs="+",
        choices=[*garbage.KINDS, "none"],
        default=list(garbage.KINDS),
        metavar="KIND",
        help=f"kinds of garbage between the writing: {', '.join(garbage.KINDS)}; or none (default: all)",
    )
    add("--garbage-share", type=float, default=0.2, help="share of pieces that are garbage (default 0.2)")
    add("--only", metavar="REGEX", help="take the lines alone whose CORPUS/NAME it matches somewhere")
    add("--without", metavar="REGEX", help="leave out those lines")
    add(
        "--readers",
        nargs="+",
        type=pair,
        default=[],
        metavar="NAME=MODEL",
        help="cut lines into words, whose text is written, too, with the reader of each class",
    )
    add("--most", type=int, default=4000, help="lines of each corpus that are kept in memory (default 4000)")
    add("--seed", type=int, default=0, help="another draws other lines (default 0)")
    add("--height", type=int, default=48, help="of a line in pixels (default 48)")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="zoo render", description=__doc__.split("\n")[0])
    add_arguments(parser)
    add = parser.add_argument
    add("--output", required=True, help="a folder, or a .tar or .tar.gz file")
    add("--processes", type=int, default=1, help="processes that draw side by side (default 1)")
    o = parser.parse_args(argv)
    try:
        if o.processes < 1:
            raise UserError("--processes must be 1 or more.")
        composer, classes, skipped = composer_of(o)
        for sentence in skipped[:20]:
            print(f"skipped: {sentence}", file=sys.stderr)
        write_corpus(composer, o.count, classes, o.output, o.processes)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{o.count} lines in {o.output}; classes {', '.join(classes)} ({len(skipped)} lines skipped)")
    return 0


def composer_of(o: argparse.Namespace) -> tuple[Composer, list[str], list[str]]:
    """The composer that options ask for, the names of all classes, and sentences on what was skipped.

    Raises:
        UserError: an option makes no sense, a corpus cannot be read, or a class has no line.
    """
    if o.count < 1 or o.height < 16 or o.most < 1 or o.seed < 0:
        raise UserError("--count and --most must be 1 or more, --height 16, --seed 0.")
    if not 0 <= o.garbage_share < 1:
        raise UserError("--garbage-share is from 0 to below 1.")
    classes, wanted = classes_of([name for name, _ in o.script]), wanted_by(o.only, o.without)
    readers, lines, skipped = {name: open_reader(model) for name, model in o.readers}, {}, []
    if readers and set(readers) != {name for name, _ in o.script}:
        raise UserError("--readers: give one for each class of --script, or none.")
    corpora = [
        (classes.index(name), path, read_lines(path, wanted, o.most, skipped, readers.get(name)))
        for name, path in o.script
    ]
    for klass, _, some in of_their_class(corpora, skipped):
        lines.setdefault(klass, []).append(some)
    for klass, corpora in lines.items():
        lines[klass] = [some for some in corpora if some]
        if not lines[klass]:
            why = (
                f"the first that was skipped: {skipped[0].rstrip('.')}"
                if skipped
                else "see --only, --without"
            )
            raise UserError(f"--script {classes[klass]}: there is no line for this class ({why}).")
    kinds = [] if "none" in o.garbage else o.garbage
    composer = Composer(dict(sorted(lines.items())), kinds, o.height, o.seed, o.garbage_share)
    return composer, classes, skipped


def classes_of(names: Sequence[str]) -> list[str]:
    """The names of all classes, where those of scripts are given: the background first, garbage last.

    Raises:
        UserError: one of these is given, or too many.
    """
    names = list(dict.fromkeys(names))
    if {BACKGROUND, GARBAGE} & set(names) or len(names) + 2 > len(SYMBOLS):
        raise UserError(
            f"--script: {BACKGROUND} and {GARBAGE} are classes of their own, and there are "
            f"{len(SYMBOLS) - 2} others at most; give other names."
        )
    return [BACKGROUND, *names, GARBAGE]


def wanted_by(only: str | None, without: str | None) -> Callable[[str], bool]:
    """A function of ``CORPUS/NAME``: whether ``--only`` and ``--without``, or None, let it in."""
    only, without = _regex("--only", only), _regex("--without", without)

    def wanted(name):
        return (only is None or only.search(name)) and not (without and without.search(name))

    return wanted


def _regex(option, text):
    try:
        return text and re.compile(text)
    except re.error as error:
        raise UserError(f"{option} {text!r} is no regular expression ({error}).") from error


if __name__ == "__main__":
    sys.exit(main())
