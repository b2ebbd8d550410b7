"""Synthetic text lines: fonts, layout, sources of text, and the command that writes a corpus.

    zoo render --text BOOKS... --fonts FOLDER... --count N --output FOLDER_or_TAR

writes NAME.png and NAME.gt.txt (UTF-8, logical order), the layout that real corpora have, so that training
reads both alike. The degradations are in `zoo.images.render.degrade`, the sources of text in
`zoo.images.render.texts`. Arabic and other joined scripts need Pillow with libraqm (and the system's
libfribidi): `PIL.features.check("raqm")`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import itertools
import multiprocessing
import os
import re
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont, features

from export.runtime import display_order
from zoo.errors import UserError
from zoo.files import atomic_folder, atomic_write
from zoo.images.render.degrade import scan
from zoo.images.render.texts import lines_of, sentences

FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
# Characters that take part in layout without a glyph of their own: no font has to cover them.
INVISIBLE = frozenset(" \u00a0\u2009\u200b\u200c\u200d\u200e\u200f\u00ad")
# Fonts of a family that are less used than its regular one, by the names of their files.
SPECIAL = re.compile("(?i)bold|ital|obli|slant|700")
# Glyphs that print alike: the second is drawn where a font lacks the first.
LOOK_ALIKE = {"⸗": "-", "‐": "-", "‑": "-", "−": "–", "ʼ": "’", "′": "'", "”": "“"}
# Small letters that a font may lack: drawn from its full-sized ones, above the letter before or raised.
ABOVE = {"\u0364": "e", "\u0366": "o"}
RAISED = dict(zip("¹²³⁴⁵⁶⁷⁸⁹⁰ˣ⁾", "1234567890x)", strict=True))
NO_RAQM = "This text needs Pillow with libraqm to be laid out: install libraqm0 and libfribidi0."
COMPLEX = re.compile("[\u0590-\u08ff\u0900-\u0dff\ufb1d-\ufdff\ufe70-\ufeff]")
# A cluster is a character and its marks; spaced Fraktur (known by its long s) keeps some ligatures together.
CLUSTER = re.compile(r".[\u0300-\u036f\u1dc0-\u1dff]*", re.DOTALL)
FRAKTUR_CLUSTER = re.compile("(?:ch|ck|ſt|tz|.)" + CLUSTER.pattern[1:], re.DOTALL)


# Fonts


def find_fonts(folder: str | os.PathLike | Sequence | None = None) -> list[Path]:
    """Sorted paths of the .ttf and .otf fonts in a folder or a list of them; without one, of the system."""
    if folder is None:
        try:
            command = ["fc-list", "--format", "%{file}\n"]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            fonts = [Path(line) for line in listed.splitlines()]
        except (OSError, subprocess.CalledProcessError):
            fonts = [f for place in FONT_FOLDERS for f in Path(place).expanduser().rglob("*")]
        where = "on this system"
    else:
        folders = [Path(f) for f in (folder if isinstance(folder, (list, tuple)) else [folder])]
        fonts = [f for place in folders for f in ([place] if place.is_file() else place.rglob("*"))]
        where = "in " + ", ".join(map(str, folders))
    fonts = sorted({f for f in fonts if f.suffix.lower() in (".ttf", ".otf")})
    if not fonts:
        raise UserError(f"No .ttf or .otf font was found {where}: name a folder that has some with --fonts.")
    return fonts


@cache
def characters(font: str | os.PathLike) -> frozenset[str]:
    """The frozenset of characters that a font file has glyphs for; empty for what is no readable font."""
    try:
        with TTFont(font, lazy=True, fontNumber=0) as opened:
            return frozenset(map(chr, opened.getBestCmap() or ()))
    except (TTLibError, OSError, KeyError, AssertionError):
        return frozenset()


def covers(font: str | os.PathLike, text: str) -> bool:
    """Whether a line can be set in the font: a glyph, or a stand-in for one, for every visible character."""
    have = characters(font) | INVISIBLE
    return have.issuperset(text) or have.issuperset(stand_in(unicodedata.normalize("NFC", text), font))


def stand_in(text: str, font: str | os.PathLike) -> str:
    """The text with what the font lacks replaced: look-alikes, and the full-sized letters of small ones."""
    have = characters(font)
    return "".join(c if c in have else LOOK_ALIKE.get(c) or ABOVE.get(c) or RAISED.get(c) or c for c in text)


@lru_cache(maxsize=4096)
def _open(font, size):
    return ImageFont.truetype(str(font), size)


@cache
def _measures(font, sample):
    """(height of a full line of ink, width of a space) for 1 px of font size."""
    opened = _open(font, 100)
    _, top, _, bottom = opened.getbbox(sample)
    return max(bottom - top, 20) / 100, max(opened.getlength(" "), 10) / 100


class LineRenderer:
    """Draws lines of text as scans: `render(text, index)` depends on these arguments and its own only.

    `fonts`: font files. The folders they are in share the lines equally, in a folder its families do, and
    upright regular fonts prevail in a family. `height`: the usual height of the output in pixels; others from
    2/3 to 4/3 of it occur. `degrade`: 0 clean, 1 as the public corpora, more for worse. `direction`: "ltr" or
    "rtl" (needs libraqm). `language`: OpenType language, "ar" by default for "rtl".
    """

    def __init__(
        self, fonts: Sequence[str | os.PathLike], height: int = 48, seed: int = 0, degrade: float = 1.0,
        direction: str = "ltr", language: str | None = None,
    ) -> None:  # fmt: skip
        if direction not in ("ltr", "rtl"):
            raise UserError(f'The direction is "ltr" or "rtl", not "{direction}".')
        self.raqm = features.check("raqm")
        if direction == "rtl" and not self.raqm:
            raise UserError(NO_RAQM)
        self.height, self.seed, self.degrade, self.direction = height, seed, degrade, direction
        self.layout = {"language": language or ("ar" if direction == "rtl" else None)} if self.raqm else {}
        self.sample = "لجأؤيق" if direction == "rtl" else "Hdfgpq"  # a full line's height
        self.folders = {}
        for font in map(Path, fonts):
            try:
                family = _open(font, 40).getname()[0] or font.stem
                _measures(font, self.sample)
            except OSError:
                continue  # a damaged font, or bitmaps only
            self.folders.setdefault(font.parent, {}).setdefault(family, []).append(font)
        if not self.folders:
            raise UserError("None of the fonts can be opened: name a folder of sound ones with --fonts.")

    def _order(self, rng):
        """Every family (a list of fonts) in random order: a draw of folders, then of families in them."""
        folders = [[list(f.values())[i] for i in rng.permutation(len(f))] for f in self.folders.values()]
        while folders:
            number = int(rng.integers(len(folders)))
            yield folders[number].pop()
            if not folders[number]:
                del folders[number]

    def pick(self, text: str, rng: np.random.Generator) -> tuple[dict[str, Path] | None, list[Path] | None]:
        """{word: font} for the words of the text, and the fonts to emphasise with; None if none can do it.

        One font for all words if it covers three quarters of them; the others (say Greek) in a second one.
        """
        words = set(text.split(" "))
        for family in self._order(rng):
            able = [f for f in family if covers(f, text)]
            if able:
                weights = np.array([0.15 if SPECIAL.search(f.stem) else 1.0 for f in able])
                font = able[rng.choice(len(able), p=weights / weights.sum())]
                return dict.fromkeys(words, font), able
            lacking = {w for w in words if not covers(family[0], w)}
            if len(lacking) > len(words) / 4 or self.direction == "rtl" or COMPLEX.search(text):
                continue
            others = (f for other in self._order(rng) for f in other if all(covers(f, w) for w in lacking))
            second = next(others, None)
            if second is not None:
                return {w: second if w in lacking else family[0] for w in words}, [family[0]]
        return None, None

    def draw(self, text: str, rng: np.random.Generator, work: float) -> tuple[Image.Image | None, float]:
        """(Pillow "L" image of the line, ink 255 on 0; its type's height, about `work` px), or (None, 0)."""
        fonts, family = self.pick(text, rng)
        if fonts is None:
            return None, 0
        words = text.split(" ")
        font = max(fonts.values(), key=list(fonts.values()).count)
        full, space = _measures(font, self.sample)
        size = max(12, 4 * round(work / full / 4))  # few sizes, as opened fonts are kept
        switched = ["-liga"] if rng.random() < 0.25 else ["dlig"] if rng.random() < 0.06 else []
        layout = {**self.layout, "features": switched} if self.raqm else {}
        justify = rng.uniform(0.75, 2.2) if rng.random() < 0.6 else 1.0
        tracking = size * rng.uniform(-0.015, 0.06) if rng.random() < 0.2 else 0.0
        # Emphasis, from one word to another: a sibling font, another family, or spaced letters (Sperrsatz).
        first, last = sorted(rng.integers(0, len(words) + 1, 2)) if rng.random() < 0.2 else (0, 0)
        if rng.random() < 0.04:
            first, last = 0, len(words)
        joined = self.direction == "rtl" or COMPLEX.search(text)
        alone = len(set(fonts.values())) == 1 and stand_in(text, font) == text
        if joined or (alone and first == last and not tracking):
            # One call: the bidirectional algorithm sees the whole line. The spaces are stretched afterwards.
            if self.raqm:
                layout["direction"] = self.direction
            shown = stand_in(text, font)
            if self.direction == "rtl":
                shown = embedded(shown)
            mask = _open(font, size).getmask2(shown, "L", anchor="ls", **layout)[0]
            image = Image.new("L", mask.size)
            image.im.paste(255, (0, 0, *mask.size), mask)
            return stretch_gaps(image, len(words) - 1, 0.3 * space * size, justify), full * size
        spaced, other = 0.0, font
        if rng.random() < 0.4 or len(family) == 1:
            spaced = size * rng.uniform(0.08, 0.3)
        else:
            other = family[rng.integers(len(family))]
        pieces, x = [], 0.0
        for number, word in enumerate(words):
            strong = first <= number < last
            spacing = tracking + spaced if strong else tracking
            x += spacing if number else 0.0
            face = other if strong and fonts[word] == font else fonts[word]
            x = self._set(word, face, size, spacing, x, pieces, layout)
            x += space * size * justify * (2 if word.endswith((".", "!", "?")) and rng.random() < 0.15 else 1)
        canvas = Image.new("L", (int(x) + 2 * size, 3 * size))
        brush = ImageDraw.Draw(canvas)
        for x, rise, part, face in pieces:
            brush.text((x + size // 2, 2 * size - rise), part, font=face, fill=255, anchor="ls", **layout)
        return canvas, full * size

    def _set(self, word, font, size, spacing, x, pieces, layout):
        """Appends (x, rise above the baseline, string, opened font) pieces of a word from x on; its end."""
        face, have = _open(font, size), characters(font)
        clusters = FRAKTUR_CLUSTER if "ſ" in word else CLUSTER
        small = [c for c in {**ABOVE, **RAISED} if c in word and c not in have]
        parts = clusters.findall(word) if abs(spacing) > 0.004 * size else [word]
        if small:  # cut into parts that end with at most one of them
            marks = "".join(small)
            parts = [p for part in parts for p in re.split(f"([^{marks}]?[{marks}])", part) if p]
        for part in parts:
            plain, tiny = (part[:-1], part[-1]) if part[-1] in small else (part, "")
            width = face.getlength(stand_in(plain, font), **layout) if plain else 0.0
            if plain:
                pieces.append((x, 0, stand_in(plain, font), face))
            if tiny in ABOVE:
                little = _open(font, size // 2)
                offset = (width - little.getlength(ABOVE[tiny])) / 2
                pieces.append((x + offset, -face.getbbox("x", anchor="ls")[1] * 1.08, ABOVE[tiny], little))
            elif tiny:
                little = _open(font, round(size * 0.6))
                pieces.append((x + width, size * 0.3, RAISED[tiny], little))
                width += little.getlength(RAISED[tiny])
            x += width + spacing
        return x

    def render(self, text: str, index: int) -> np.ndarray | None:
        """uint8 [height', width'] of the text in a random font; None if none covers it or without ink."""
        if COMPLEX.search(text) and not self.raqm:
            raise UserError(NO_RAQM)
        rng = np.random.default_rng((self.seed, index))
        # Most lines fill the height exactly; others keep the size of their type whatever ink they have.
        target = self.height if rng.random() < 0.6 else round(self.height * rng.uniform(2 / 3, 4 / 3))
        work = target * (rng.uniform(0.9, 1.5) if self.degrade > 0 else 1.5)
        try:
            canvas, full = self.draw(text, rng, work)
        except OSError:
            return None  # FreeType gave up on a glyph of a damaged font
        box = canvas and canvas.getbbox()
        if box is None:
            return None
        room = max(4, int(full / 3))
        canvas = canvas.crop((box[0] - room, box[1] - room, box[2] + room, box[3] + room))
        fills = rng.random() < 0.7 and box[3] - box[1] > 0.6 * full
        nominal = None if fills else (full, target)
        return scan(canvas, rng, self.degrade, target, round(self.height * 4 / 3), nominal)


def embedded(text: str) -> str:
    """Right-to-left text with the Unicode controls that make it stand in the order of `display_order`.

    Training turns transcripts to image order by that rule, so the image has to follow it whatever the
    library for layout does: left-to-right runs are overridden to be such, and all else is not.
    """
    order = display_order(text)[1]
    place = np.argsort(order)
    follows = np.flatnonzero(np.diff(place) == 1)  # i and i + 1 stand in this order in the image
    inside = np.zeros(len(text) + 2, bool)
    inside[follows + 1] = inside[follows + 2] = True
    out = ["\u202e"]
    for i, c in enumerate(text):
        if inside[i + 1] and (not inside[i] or place[i] != place[i - 1] + 1):
            out.append("\u202d")
        out.append(c)
        if inside[i + 1] and (not inside[i + 2] or place[i + 1] != place[i] + 1):
            out.append("\u202c")
    return "".join(out) + "\u202c"


def stretch_gaps(image: Image.Image, count: int, least: float, factor: float) -> Image.Image:
    """The line with its `count` widest blank gaps (from `least` columns) made `factor` times as wide."""
    pixels = np.asarray(image)
    ink = np.flatnonzero(pixels.any(0))
    if factor == 1.0 or not len(ink) or not count:
        return image
    steps = np.diff(ink)
    least = max(least, np.sort(steps)[-count] if count <= len(steps) else 0)
    repeat = np.ones(pixels.shape[1], int)
    wide = steps >= max(least, 2)
    for before, gap in zip(ink[:-1][wide], steps[wide] - 1, strict=True):
        repeat[before + 1] = max(1, round(gap * (factor - 1)) + 1)
        if factor < 1:
            repeat[before + 1 : before + 1 + round(gap * (1 - factor))] = 0
    return Image.fromarray(np.repeat(pixels, repeat, 1))


# Command


def _start(*arguments):
    global _renderer
    _renderer = LineRenderer(*arguments)


def _encode(job):
    index, text = job
    pixels = _renderer.render(text, index)
    if pixels is None:
        return index, text, None
    image, store = Image.fromarray(pixels), io.BytesIO()
    if ((pixels == 0) | (pixels == 255)).all():
        image = image.convert("1", dither=Image.Dither.NONE)
    image.save(store, "PNG")
    return index, text, store.getvalue()


@contextlib.contextmanager
def corpus_writer(output: str | os.PathLike) -> Iterator[Callable]:
    """Yields `add(name, data)` into a folder, or a tar (gzipped if so named) without times or owners."""
    if not output.name.endswith((".tar", ".tar.gz", ".tgz")):
        with atomic_folder(output, marker=None) as folder:
            yield lambda name, data: (folder / name).write_bytes(data)
        return
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(atomic_write(output))
        if output.name.endswith("gz"):
            file = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        tar = stack.enter_context(tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT))

        def add(name, data):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        yield add


def write_corpus(
    texts: Iterator[str], arguments: Any, count: int, output: str | os.PathLike, processes: int = 1,
    progress: bool = True,
) -> int:  # fmt: skip
    """Render `count` of the endless texts to a folder or a tar; how many texts no font covers.

    `arguments`: those of LineRenderer. What is written does not depend on the number of processes.
    """
    from tqdm import tqdm

    digits, written, refused = max(6, len(str(count))), 0, 0
    numbered = enumerate(texts)
    with contextlib.ExitStack() as stack:
        if processes > 1:
            # Pool.imap would draw the endless generator dry: bounded batches instead.
            work = stack.enter_context(multiprocessing.Pool(processes, _start, arguments)).map
        else:
            _start(*arguments)
            work = map
        add = stack.enter_context(corpus_writer(Path(output)))
        bar = stack.enter_context(tqdm(total=count, unit="line", disable=not progress, mininterval=1))
        while written < count:
            batch = list(itertools.islice(numbered, min(1024, count - written)))
            for index, text, data in work(_encode, batch):
                if data is None:
                    refused += 1
                    continue
                add(f"{index:0{digits}d}.png", data)
                add(f"{index:0{digits}d}.gt.txt", (text + "\n").encode())
                written += 1
                bar.update()
            if refused > 1000 and refused > 20 * written:
                raise UserError("Nearly no text is covered by a font: name fonts for it with --fonts.")
    return refused


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="zoo render",
        description=__doc__.split("\n")[0],
        epilog=(
            "`zoo render --script --help` composes lines of several scripts, with the class of every column; "
            "`zoo render --by-text --help` tells it of real lines by their transcripts."
        ),
    )
    add = parser.add_argument
    add("--text", nargs="+", required=True, help=".txt or .txt.gz files, or folders of .txt or .gt.txt files")
    add("--fonts", nargs="+", help="font files or folders (default: the system's)")
    add("--count", type=int, required=True, help="how many lines")
    add("--output", required=True, help="a folder, or a .tar or .tar.gz file")
    add("--seed", type=int, default=0, help="another draws other lines (default 0)")
    add("--alphabet", help="the characters to keep to; its rare ones come more often")
    add("--random-share", type=float, default=0.1, help="share of lines of random characters")
    add("--mixed-share", type=float, default=0.3, help="share of lines of mixed words, numbers, marks")
    add("--direction", choices=("ltr", "rtl"), default="ltr", help="of the script (default ltr)")
    add("--height", type=int, default=48, help="the usual height of a line in pixels")
    add("--degrade", type=float, default=1.0, help="strength of the degradations, 0 for none")
    add("--min-chars", type=int, default=20, help="characters of the shortest line (default 20)")
    add("--max-chars", type=int, default=90, help="characters of the longest line (default 90)")
    add("--hyphen", default="-", help="the hyphen at line ends")
    add("--processes", type=int, default=1, help="processes that draw side by side (default 1)")
    o = parser.parse_args(argv)
    try:
        if o.count < 1 or not 1 <= o.min_chars <= o.max_chars:
            raise UserError("--count must be 1 or more, and --min-chars from 1 to --max-chars.")
        arguments = find_fonts(o.fonts), o.height, o.seed, o.degrade, o.direction
        LineRenderer(*arguments)  # refuse bad fonts here, not in a process of the pool
        texts = lines_of(
            sentences(o.text),
            np.random.default_rng(o.seed),
            o.alphabet,
            o.random_share,
            o.mixed_share,
            o.min_chars,
            o.max_chars,
            o.hyphen,
        )
        refused = write_corpus(texts, arguments, o.count, o.output, o.processes)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{o.count} lines in {o.output} ({refused} texts that no font covers were passed over)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
