"""Invisible text of a page for PDF: where each word is shown, and a font that has a code for every character.

Text is shown in rendering mode 3, which draws nothing (ISO 32000-1, 9.3.6), word by word along the baseline,
each scaled to its width. Words come in reading order; the characters of each from the left to the right, as
viewers expect those of right-to-left scripts, which they turn again. All characters have one glyph; what a
code says, a viewer learns from the font's ToUnicode map (9.10.3). Codes are those of Unicode; characters
beyond U+FFFF take those of surrogates, which are no characters, as they come.
"""

from __future__ import annotations

import functools
import io
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from export.runtime import display_order
from zoo.formats.pages import writing as w

if TYPE_CHECKING:
    from zoo.formats.pages import Page

ADVANCE = 500  # of each glyph, in thousandths of the font's size
ASCENT, DESCENT = 800, -200
_BELOW = 0.2  # of a line's height is below a baseline that is not told
_SURROGATES = range(0xD800, 0xE000)


def text_layer(page: Page, matrix: np.ndarray, font: Any, astral: dict[str, int]) -> bytes:
    """What shows the text of a page, bytes for a content stream; none where there is no text.

    Args:
        page: a ``Page``.
        matrix: ``[2, 3]``, from its pixels to the units of the PDF.
        font: the name of the font, bytes with their slash.
        astral: ``{character: code}`` of those beyond U+FFFF, which grows.
    """
    shown = []
    for line in page.lines:
        for text, start, end, height in _runs(line):
            start, end, top = (matrix[:, :2] @ point + matrix[:, 2] for point in (start, end, start + height))
            width = np.hypot(*(end - start))
            across, up = (end - start) / width, top - start
            size = across[0] * up[1] - across[1] * up[0]  # pixels may not be square: what stands upright
            codes = [_code(character, astral) for character in text]
            scale = 100_000 * width / (len(codes) * ADVANCE * size)
            if size > 0 and np.isfinite([size, scale, *start]).all():
                place = numbers(*across, -across[1], across[0], *start)
                codes = b"".join(b"%04X" % code for code in codes)
                how = (font, numbers(size), numbers(scale), place, codes)
                shown.append(b"%s %s Tf %s Tz %s Tm <%s> Tj" % how)
    return b"\n".join([b"q BT 3 Tr", *shown, b"ET Q\n"]) if shown else b""


def numbers(*values: Any) -> bytes:
    """Numbers for a content stream, bytes."""
    return " ".join(f"{value:.4f}".rstrip("0").rstrip(".") for value in values).encode()


def _code(character, astral):
    if ord(character) > 0xFFFF and character not in astral:
        if len(astral) == len(_SURROGATES):
            return 0xFFFD  # what stands for a character that is lost
        astral[character] = _SURROGATES[len(astral)]
    return astral.get(character, ord(character))


def _runs(line):
    """Words and the blanks between them, in reading order.

    Yields ``(text, start, end, height)``: its characters from the left to the right, the points on the
    baseline where it begins and ends, and the vector up from it that is as long as letters are high, float64
    ``[2]``.
    """
    words = [(_composed(word.text), word.polygon) for word in w.words_of(line)]
    words = [(text, _finite(polygon)) for text, polygon in words if text]
    if not words:
        return
    base, along, up, height = _frame(line)
    if all(len(points) for _, points in words):
        spans = [((points - base[0]) @ along) for _, points in words]
        spans = [(span.min(), max(span.max(), span.min() + 0.05 * height)) for span in spans]
        heights = np.median([np.ptp(points @ up) for _, points in words])
        height = heights if heights >= 1 else height
    else:
        spans = _shared_out([text for text, _ in words], line, base, along, height)
    places, offsets = (base - base[0]) @ along, (base - base[0]) @ up
    order = np.argsort(places, kind="stable")

    def on_baseline(place):
        return base[0] + along * place + up * np.interp(place, places[order], offsets[order])

    rtl = w.is_rtl(w.text_of(line))
    for i, ((text, _), (first, last)) in enumerate(zip(words, spans, strict=True)):
        shown = display_order(text)[0] if rtl or w.is_rtl(text) else text
        yield shown, on_baseline(first), on_baseline(last), up * height
        if i + 1 < len(words):
            first, last = _between((first, last), spans[i + 1], height, rtl)
            yield " ", on_baseline(first), on_baseline(last), up * height


def _composed(text):
    """A word as one would type it to find it."""
    return unicodedata.normalize("NFC", w.one_line(text)).strip()


def _between(one, other, height, rtl):
    """Where a blank is between two words: all that is free, if that is no more than some letters wide."""
    if 0.05 * height < other[0] - one[1] < 5 * height:
        return one[1], other[0]
    if 0.05 * height < one[0] - other[1] < 5 * height:
        return other[1], one[0]
    return (one[0] - 0.2 * height, one[0]) if rtl else (one[1], one[1] + 0.2 * height)


def _finite(polygon):
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    return points[np.isfinite(points).all(axis=1) & (np.abs(points) < 1e7).all(axis=1)]


def _frame(line):
    """How a line lies: its baseline ``[points, 2]``, the unit vectors along it and up from it, its height.

    Without a baseline it runs from the left to the right, or from the top down where it is high and narrow.
    """
    baseline = _finite(line.baseline)
    outline = np.concatenate([_finite(one.polygon) for one in (line, *line.words)] + [baseline])
    if not len(outline):
        outline = np.zeros((1, 2))
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    if len(baseline) < 2 or np.hypot(*(baseline[-1] - baseline[0])) < 1:
        if bottom - top > 2 * (right - left) and len(w.text_of(line)) > 2:
            level = left + _BELOW * (right - left)
            baseline = np.array([(level, top), (level, max(bottom, top + 1))])
        else:
            level = bottom - _BELOW * (bottom - top)
            baseline = np.array([(left, level), (max(right, left + 1), level)])
    elif baseline[-1, 0] < baseline[0, 0] and w.is_rtl(w.text_of(line)):
        baseline = baseline[::-1]  # begins where reading does: the line stands upright all the same
    along = (baseline[-1] - baseline[0]) / np.hypot(*(baseline[-1] - baseline[0]))
    up = np.array([along[1], -along[0]])
    height = np.ptp(outline @ up)
    return baseline, along, up, height if height >= 1 else 10.0


def _shared_out(texts, line, base, along, height):
    """Where words begin and end along a line that are not placed: each as wide as it has characters."""
    outline = _finite(line.polygon)
    span = ((outline if len(outline) else base) - base[0]) @ along
    first, last = span.min(), span.max()
    counts = np.array([len(text) for text in texts])
    if last - first <= 1:
        last = first + 0.5 * height * (counts.sum() + len(texts) - 1)
    ends = np.cumsum(counts + 1) - 1
    edges = np.stack([ends - counts, ends], axis=1) / ends[-1]
    if w.is_rtl(w.text_of(line)):
        edges = 1 - edges[:, ::-1]
    return first + (last - first) * edges


def fill_font(font: Any, pdf: Any, astral: dict[str, int]) -> None:
    """Make a dictionary of a PDF the font of ``text_layer``.

    Args:
        font: an indirect ``pikepdf.Dictionary`` of ``pdf``, a ``pikepdf.Pdf``.
        astral: ``{character: code}`` that ``text_layer`` left.
    """
    from pikepdf import Array, Dictionary, Name

    name = Name("/Invisible")
    file = pdf.make_stream(_font_file())
    file.Length1 = len(_font_file())
    descriptor = Dictionary(
        Type=Name.FontDescriptor, FontName=name, Flags=4, FontBBox=[0, DESCENT, ADVANCE, ASCENT],
        ItalicAngle=0, Ascent=ASCENT, Descent=DESCENT, CapHeight=ASCENT, StemV=80, FontFile2=file,
    )  # fmt: skip
    descendant = Dictionary(
        Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=name, DW=ADVANCE,
        CIDSystemInfo=Dictionary(Registry="Adobe", Ordering="Identity", Supplement=0),
        FontDescriptor=pdf.make_indirect(descriptor), CIDToGIDMap=pdf.make_stream(b"\0\1" * 65536),
    )  # fmt: skip
    font.update(
        {
            "/Type": Name.Font,
            "/Subtype": Name.Type0,
            "/BaseFont": name,
            "/Encoding": Name("/Identity-H"),
            "/DescendantFonts": Array([pdf.make_indirect(descendant)]),
            "/ToUnicode": pdf.make_stream(_to_unicode(astral)),
        }
    )


@functools.cache
def _font_file():
    """A TrueType font with one glyph beside the one that every font has, bytes.

    The glyph is a line without width, from corner to corner of what a character takes: where nothing has an
    extent, pdfium takes text for nothing.
    """
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    builder, pen = FontBuilder(1000, isTTF=True), TTGlyphPen(None)
    builder.setupGlyphOrder([".notdef", "any"])
    builder.setupCharacterMap({0x20: "any"})
    pen.moveTo((0, DESCENT))
    pen.lineTo((ADVANCE // 2, (ASCENT + DESCENT) // 2))
    pen.lineTo((ADVANCE, ASCENT))
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "any": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (ADVANCE, 0), "any": (ADVANCE, 0)})
    builder.setupHorizontalHeader(ascent=ASCENT, descent=DESCENT)
    builder.setupNameTable({"familyName": "Invisible", "styleName": "Regular", "psName": "Invisible"})
    builder.setupOS2(sTypoAscender=ASCENT, sTypoDescender=DESCENT, usWinAscent=ASCENT, usWinDescent=-DESCENT)
    builder.setupPost()
    builder.font.recalcTimestamp = False
    builder.font["head"].created = builder.font["head"].modified = 0
    file = io.BytesIO()
    builder.save(file)
    return file.getvalue()


def _to_unicode(astral):
    """The map from codes to Unicode, bytes: each code is its character, but for those of ``astral``.

    A range may not go beyond codes of one first byte, and a block has 100 of them (Adobe's note 5411).
    """
    lines = [
        b"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap",
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        b"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def",
        b"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange",
    ]
    ranges = [first for first in range(0, 0x10000, 0x100) if first not in _SURROGATES]
    ranges = [b"<%04X> <%04X> <%04X>" % (first, first + 0xFF, first) for first in ranges]
    pairs = [
        b"<%04X> <%s>" % (code, one.encode("utf-16-be").hex().upper().encode())
        for one, code in astral.items()
    ]
    for kind, entries in ((b"bfrange", ranges), (b"bfchar", pairs)):
        for i in range(0, len(entries), 100):
            block = entries[i : i + 100]
            lines += [b"%d begin%s" % (len(block), kind), *block, b"end%s" % kind]
    lines.append(b"endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend")
    return b"\n".join(lines)
