"""Pages as searchable PDF: what pdfium finds in it, where, and what it draws."""

import importlib
import io
import sys

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageOps

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, Region, Word, box, nowhere, pdf

SIZE = (300, 200)


def line(texts, y, x=20, shown=None):
    """A line of words 10 pixels a character and 20 high; ``shown`` has them from left to right."""
    placed = {}
    for text in shown or texts:
        placed[text] = Word(text, box(x, y, x + 10 * len(text), y + 20))
        x += 10 * len(text) + 10
    return Line("", " ".join(texts), nowhere(), nowhere(), None, [placed[text] for text in texts])


def a_page(*lines, size=SIZE):
    return Page("", size, [Region("", "text", nowhere(), list(lines))])


def written(*sheets, **options):
    file = io.BytesIO()
    pdf.write(file, sheets, **options)
    return file.getvalue()


def texts(data):
    """The text of each page, a list of str, as pdfium finds it."""
    document = pdfium.PdfDocument(data)
    found = [page.get_textpage().get_text_range() for page in document]
    return [text.replace("\r\n", "\n").strip("\n") for text in found]


def place(data, word, index=0):
    """``left, bottom, right, top`` of a word on a page, in units of the PDF."""
    page = pdfium.PdfDocument(data)[index].get_textpage()
    first, count = page.search(word).get_next()
    boxes = np.array([page.get_charbox(i, loose=False) for i in range(first, first + count)])
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def drawn(data, index=0, scale=1):
    """What a page shows, int ``[height, width, 3]``."""
    return (
        pdfium.PdfDocument(data)[index]
        .render(scale=scale, rev_byteorder=True)
        .to_numpy()[..., :3]
        .astype(int)
    )


def image_of(data):
    """``(bits, colours, bytes)`` of the image of the first page."""
    with pikepdf.open(io.BytesIO(data)) as document:
        (picture,) = document.pages[0].obj.Resources.XObject.values()
        return picture.BitsPerComponent, picture.ColorSpace, picture.read_raw_bytes()


def jpeg(pixels, mode=None, **options):
    file, picture = io.BytesIO(), Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, "JPEG", **options)
    return file.getvalue()


def ramp(*shape):
    """Pixels that tell every side from every other."""
    across, down = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    grey = (across * 90 // shape[1] + down * 150 // shape[0]).astype(np.uint8)
    return grey if len(shape) == 2 else np.stack([grey, 255 - grey, grey // 2], axis=-1)


WHITE = np.full((200, 300), 255, np.uint8)


def test_words_in_order_and_in_their_places():
    lines = [line(["Tom", "&", "<Ann>"], 20), line(["naïve", "Ελλάδα", "Ünïçödé"], 50), line(["last"], 80)]
    data = written((WHITE, a_page(*lines), 72))
    assert texts(data) == ["Tom & <Ann>\nnaïve Ελλάδα Ünïçödé\nlast"]
    for one in lines:
        for word in one.words:
            left, bottom, right, top = place(data, word.text)
            (x0, y0), (x1, y1) = word.polygon[0], word.polygon[2]
            assert np.abs(np.array([left, 200 - top, right, 200 - bottom]) - (x0, y0, x1, y1)).max() < 1.5
    assert (drawn(data) == 255).all()  # nothing of it is seen


def test_scripts():
    """Of right-to-left lines pdfium makes reading order, as long as it finds them as others draw them."""
    hebrew = line(["שלום", "עולם"], 10, shown=["עולם", "שלום"])
    arabic = line(["السلام", "2024", "(نص)"], 40, shown=["(نص)", "2024", "السلام"])
    others = line(["e\u0301te\u0301", "漢字", "हिन्दी"], 70), line(["😀", "𝔄𝔅", "😀😀"], 100)
    data = written((WHITE, a_page(hebrew, arabic, *others), 72))
    assert texts(data) == ["שלום עולם\nالسلام 2024 (نص)\nété 漢字 हिन्दी\n😀 𝔄𝔅 😀😀"]
    assert place(data, "עולם")[0] == pytest.approx(20, abs=1.5)


def test_many_characters_beyond_the_basic_plane():
    lines = [line([chr(0x20000 + 100 * i + j) for j in range(100)], i, 0) for i in range(0, 2050, 100)]
    lines = [line(["".join(chr(0x20000 + 150 * i + j) for j in range(150))], 10 * i) for i in range(14)]
    (text,) = texts(written((WHITE, a_page(*lines), 72)))
    found = [c for c in text if not c.isspace()]
    assert found[:2048] == [chr(0x20000 + i) for i in range(2048)] and set(found[2048:]) == {"\ufffd"}


def test_lines_that_run_otherwise():
    up = Line("", "up the", box(100, 20, 130, 180), np.array([(124, 180), (124, 20)], np.float32))
    up.words = [Word("upon", box(100, 100, 130, 180)), Word("it", box(100, 20, 130, 80))]
    slope = Line("", "it slopes", nowhere(), np.array([(150, 50), (250, 90), (290, 92)], np.float32))
    slope.words = [Word("slo", box(160, 38, 190, 70)), Word("pes", box(262, 70, 290, 95))]
    data = written((WHITE, a_page(up, slope), 72))
    left, bottom, right, top = place(data, "upon")
    assert np.abs(np.array([left, 200 - top, right, 200 - bottom]) - (100, 100, 130, 180)).max() < 3
    assert texts(data)[0].split() == ["upon", "it", "slo", "pes"]
    page = pdfium.PdfDocument(data)[0]
    first, _, last = [one.get_matrix() for one in page.get_objects() if one.type == 1][-3:]
    assert np.degrees(np.arctan2(first.b, first.a)) == pytest.approx(-22, abs=4)
    assert np.degrees(np.arctan2(last.b, last.a)) == pytest.approx(-3, abs=4)


def test_columns_one_after_the_other():
    left = [line(["left", str(i)], 20 * i, 10) for i in range(5)]
    right = [line(["right", str(i)], 20 * i, 160) for i in range(5)]
    (text,) = texts(written((WHITE, a_page(*left, *right), 72)))
    assert text.split() == [part for side in ("left", "right") for i in range(5) for part in (side, str(i))]


def test_words_that_have_no_place():
    """They share the line, or what there is of one."""
    base = np.array([(20, 96), (220, 96)], np.float32)
    lines = [
        Line("", "wide in", box(20, 20, 160, 40), nowhere()),
        Line("", "שלום לך", box(20, 50, 160, 70), base - (0, 30)),
        Line("", "by baseline", nowhere(), base),
        Line("", "a point", box(20, 120, 20, 120), base[:1]),
        Line("", "high", box(280, 20, 290, 100), nowhere()),
        Line("", "numbers are missing", np.full((4, 2), np.nan, np.float32), nowhere()),
        Line("", None, box(0, 0, 9, 9), nowhere()),
        Line("", " ", box(0, 0, 9, 9), nowhere(), None, [Word(" ", box(0, 0, 9, 9)), Word("", nowhere())]),
    ]
    data = written((WHITE, a_page(*lines), 72))
    words = "wide in שלום לך by baseline a point high numbers are missing"
    assert sorted(texts(data)[0].split()) == sorted(words.split())
    assert place(data, "wide")[[0, 2]] == pytest.approx([20, 100], abs=1.5)
    assert place(data, "high") == pytest.approx([280, 100, 290, 180], abs=1.5)
    assert place(data, "in")[[0, 2]] == pytest.approx([120, 160], abs=1.5)
    assert place(data, "שלום")[[0, 2]] == pytest.approx([80, 160], abs=25)


@pytest.mark.parametrize("kind", ["fax", "inverted", "grey", "colour", "colourless", "one channel", "bool"])
def test_pixels_without_loss(kind):
    pixels = {
        "fax": (ramp(101, 203) % 9 > 4) * np.uint8(255), "inverted": (ramp(8, 9) < 100) * np.uint8(255),
        "grey": ramp(101, 203), "colour": ramp(101, 203, 3), "bool": ramp(101, 203) > 100,
        "colourless": np.repeat(ramp(101, 203)[..., None], 3, axis=2),
        "one channel": ramp(101, 203)[..., None],
    }[kind]  # fmt: skip
    data = written((pixels, a_page(size=None), 72))
    shown = pixels.astype(np.uint8) * (255 if kind == "bool" else 1)
    shown = shown[..., None] if shown.ndim == 2 else shown
    assert np.abs(drawn(data) - shown).max() <= 1
    bits, colours, _ = image_of(data)
    assert bits == (1 if kind in ("fax", "inverted", "bool") else 8)
    assert colours == ("/DeviceRGB" if kind == "colour" else "/DeviceGray")


def test_pixels_as_jpeg():
    small, large = (written((ramp(200, 300, 3), a_page(), 72), quality=q) for q in (30, None))
    assert np.abs(drawn(small) - drawn(large)).mean() < 4 and b"/DCTDecode" in small


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_stays_as_it_is(mode):
    photo = jpeg(ramp(200, 300, 3), mode, progressive=mode == "L")
    data = written((photo, a_page(line(["here"], 20)), 72))
    assert image_of(data)[2] == photo
    expected = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")).astype(int)
    assert np.abs(drawn(data) - expected).mean() < (40 if mode == "CMYK" else 2)  # no colours are managed
    assert texts(data) == ["here"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_that_lies_on_its_side(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = jpeg(ramp(200, 300), exif=exif.tobytes())
    upright = Image.open(io.BytesIO(photo))
    upright = np.asarray(ImageOps.exif_transpose(upright)).astype(int)
    data = written((photo, a_page(line(["here"], 20), size=upright.shape[::-1]), 72))
    assert np.abs(drawn(data)[..., 0] - upright).mean() < 2
    assert place(data, "here") == pytest.approx(
        [20, upright.shape[0] - 40, 60, upright.shape[0] - 20], abs=1.5
    )


def test_sizes_of_pages():
    def size(pixels, dpi):
        return pdfium.PdfDocument(written((pixels, a_page(size=None), dpi)))[0].get_size()

    assert size(WHITE, 150) == (144, 96) and size(WHITE, (300, 150)) == (72, 96)
    for unknown in (None, 0, 1, float("nan")):
        assert size(WHITE, unknown) == (72, 48)
    assert size(np.zeros((1, 30000), np.uint8), 72) == (14400, 3) or size(WHITE[:1], 72)[1] >= 0.01
    half = a_page(line(["half"], 20), size=(150, 100))  # read in a smaller image
    assert place(written((WHITE, half, 72)), "half") == pytest.approx([40, 120, 120, 160], abs=2)


def test_the_document():
    pages = [(WHITE, a_page(line([word], 20)), 72) for word in ("one", "two")]
    data = written(*pages, model="line_ocr_en", title="A <b>\x00", language="de")
    assert texts(data) == ["one", "two"] and data == written(
        *pages, model="line_ocr_en", title="A <b>\x00", language="de"
    )
    document = pikepdf.open(io.BytesIO(data))
    assert document.Root.Lang == "de" and document.docinfo.Title == "A <b>"
    assert str(document.docinfo.Producer).startswith("seqzoo ") and "line_ocr_en" in str(
        document.docinfo.Producer
    )
    assert len(pikepdf.open(io.BytesIO(written())).pages) == 0
    assert texts(written((WHITE, Page("", None, []), None))) == [""]


def test_a_part_at_a_time_goes_to_the_disk(monkeypatch):
    pages = [(ramp(200, 300), a_page(line([f"page{i}", "😀"], 20)), 72) for i in range(5)]
    whole = texts(written(*pages))
    monkeypatch.setattr(pdf, "PART", 1)
    assert texts(written(*pages)) == whole == [f"page{i} 😀" for i in range(5)]


def test_a_file_is_whole_or_not_there(tmp_path):
    def sheets():
        yield WHITE, a_page(), 72
        raise RuntimeError("later")

    (tmp_path / "old.pdf").write_bytes(b"old")
    for name in ("new.pdf", "old.pdf"):
        with pytest.raises(RuntimeError, match="later"):
            pdf.write(tmp_path / name, sheets())
    assert [path.name for path in tmp_path.iterdir()] == ["old.pdf"]
    assert (tmp_path / "old.pdf").read_bytes() == b"old"
    for wrong in (np.zeros((2, 2), np.float32), np.zeros((2, 2, 4), np.uint8), b"GIF89a"):
        with pytest.raises(ValueError, match="no JPEG|uint8"):
            written((wrong, a_page(), 72))


# === Pages of a PDF ===

MARK = (120, 330, 240, 350)  # left, bottom, right, top of a black bar, in units of the PDF


def source(path, contents=None, parent=None, **about):
    """A PDF of one page, or one for each of ``contents``, that shows a bar."""
    document = pikepdf.new()
    left, bottom, right, top = MARK
    bar = f"{left} {bottom} {right - left} {top - bottom} re f"
    for content in contents or ["{bar}"]:
        resources = pikepdf.Dictionary(Font=pikepdf.Dictionary())
        page = pikepdf.Dictionary(
            Type=pikepdf.Name.Page, MediaBox=[0, 0, 400, 500], Resources=resources,
            Contents=document.make_stream(content.format(bar=bar).encode()),
        )  # fmt: skip
        for name, value in about.items():
            page[f"/{name}"] = value
        document.pages.append(pikepdf.Page(page))
    for name, value in (parent or {}).items():
        document.Root.Pages[f"/{name}"] = value
        for page in document.pages:
            if f"/{name}" in page.obj:
                del page.obj[f"/{name}"]
    with document.open_outline() as outline:
        outline.root += [pikepdf.OutlineItem(f"Chapter {i}", i) for i in range(len(document.pages))]
    document.docinfo.Title = "Its title"
    document.save(path)
    return path


def marked(path, word="bar", scale=2):
    """A page whose one word stands where the bar is seen."""
    shown = drawn(path.read_bytes(), scale=scale)[..., 0]
    rows, columns = np.nonzero(shown < 100)
    at = box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    height, width = shown.shape
    lies = np.ptp(at[:, 0]) > np.ptp(at[:, 1])
    middle = at.mean(axis=0)
    ends = (
        [(at[0, 0], middle[1]), (at[1, 0], middle[1])]
        if lies
        else [(middle[0], at[0, 1]), (middle[0], at[2, 1])]
    )
    one = Line("", word, at, np.array(ends, np.float32), None, [Word(word, at)])
    return a_page(one, size=(width, height))


@pytest.mark.parametrize(
    "about",
    [{}, {"Rotate": 90, "UserUnit": 2}, {"Rotate": 180}, {"Rotate": -90, "CropBox": [50, 100, 350, 450]},
     {"Rotate": 450, "CropBox": [350, 450, 50, 100]}, {"Rotate": 180, "CropBox": [50, 110, 350, 450]},
     {"CropBox": [-90, 200, 300, 9000]}, {"CropBox": [0, 0, 0, 0], "Rotate": 45}],
)  # fmt: skip
def test_text_stands_where_it_is_seen(tmp_path, about):
    path = source(tmp_path / "a.pdf", **about)
    before, page = drawn(path.read_bytes()), marked(path)
    data = written(((path, 0), page, None))
    assert texts(data) == ["bar"]
    left, bottom, right, top = place(data, "bar")
    assert [left, right] == pytest.approx([MARK[0], MARK[2]], abs=1.5)
    assert bottom > MARK[1] - 21 and top < MARK[3] + 21 and top - bottom == pytest.approx(20, abs=3)
    assert (drawn(data) == before).all()


@pytest.mark.parametrize(
    "content",
    ["0.5 0 0 0.5 77 99 cm 2 0 0 2 -154 -198 cm {bar} 3 0 0 3 5 5 cm",
     "q q 9 0 0 9 1 1 cm Q {bar} q 7 0 0 7 0 0 cm", "{bar} Q Q 5 0 0 5 9 9 cm",
     "{bar} BT /X 9 Tf 5 Tr 50 Tz 9 Ts 3 Tc ET", ""],
)  # fmt: skip
def test_content_that_leaves_the_state_changed(tmp_path, content):
    path = source(tmp_path / "a.pdf", [content])
    page = marked(source(tmp_path / "b.pdf"))
    data = written(((path, 0), page, None))
    assert place(data, "bar")[[0, 2]] == pytest.approx([MARK[0], MARK[2]], abs=1.5)
    assert (drawn(data) == drawn(path.read_bytes())).all()


def test_what_pages_inherit(tmp_path):
    path = tmp_path / "a.pdf"
    resources = pikepdf.Dictionary(ExtGState=pikepdf.Dictionary())
    source(path, ["{bar}", "{bar}"], {"Rotate": 90, "MediaBox": [10, 20, 400, 500], "Resources": resources})
    page = marked(path)
    data = written(((path, 0), page, None), ((path, 1), page, None))
    assert texts(data) == ["bar", "bar"]
    assert place(data, "bar", 1)[[0, 2]] == pytest.approx([MARK[0], MARK[2]], abs=1.5)
    again, other = tmp_path / "again.pdf", a_page(line(["more😀"], 20), size=None)
    again.write_bytes(data)  # once more over what was written
    data = written(((again, 0), other, 72), ((again, 1), other, 72))
    assert [set(text.split()) for text in texts(data)] == [{"bar", "more😀"}] * 2


def test_pages_that_lack_something(tmp_path):
    document = pikepdf.open(source(tmp_path / "a.pdf", ["{bar}"] * 8))
    for i, name in enumerate(("/Contents", "/Resources", "/MediaBox")):
        del document.pages[i].obj[name]
    document.pages[3].obj.Rotate = pikepdf.Name.Left
    document.pages[4].obj.Contents = pikepdf.Array([])
    document.pages[5].obj.Resources = pikepdf.Dictionary(Font=5)
    document.pages[6].obj.CropBox = pikepdf.Array([1, 2])
    document.pages[7].obj.Contents.write(b"q (unended 7 0 0")
    document.save(tmp_path / "odd.pdf")
    one = a_page(line(["here"], 20), size=None)
    assert texts(written(*(((tmp_path / "odd.pdf", i), one, 72) for i in range(8)))) == ["here"] * 8


def test_of_the_first_pdf_its_document_stays(tmp_path):
    path, other = source(tmp_path / "a.pdf", ["{bar}"] * 3), source(tmp_path / "b.pdf")
    page = marked(path)
    sheets = [((path, 2), page, None), ((path, 0), page, None), ((other, 0), page, None), (WHITE, page, 72)]
    data = written(*sheets, language="fr")
    document = pikepdf.open(io.BytesIO(data))
    assert len(document.pages) == 4 and texts(data) == ["bar"] * 4
    with document.open_outline() as outline:
        assert [item.title for item in outline.root] == ["Chapter 0", "Chapter 1", "Chapter 2"]
    assert document.docinfo.Title == "Its title"
    data = written((WHITE, page, 72), *sheets, ((path, 0), page, None))
    assert texts(data) == ["bar"] * 6
    unsized = a_page(line(["unsized"], 20), size=None)  # in pixels of the page at so many dots an inch
    assert place(written(((path, 0), unsized, 144)), "unsized") == pytest.approx([10, 480, 45, 490], abs=1.5)
    pdf.write(path, [((path, 0), page, None)])  # over itself
    assert texts(path.read_bytes()) == ["bar"]


def test_pdfs_that_cannot_be_read(tmp_path):
    locked, broken, path = tmp_path / "locked.pdf", tmp_path / "broken.pdf", source(tmp_path / "a.pdf")
    pikepdf.open(path).save(locked, encryption=pikepdf.Encryption(owner="a", user="b"))
    broken.write_bytes(b"%PDF-1.4 nothing")
    for wrong, index, why in (
        (locked, 0, "needs a password"), (broken, 0, "cannot be read"), (path, 1, "1 pages, no page 2"),
        (tmp_path / "none.pdf", 0, "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"{wrong.name}: .*{why}"):
            pdf.write(tmp_path / "out.pdf", [((wrong, index), a_page(), None)])
    assert not (tmp_path / "out.pdf").exists()


def test_without_pikepdf(monkeypatch):
    monkeypatch.setitem(sys.modules, "pikepdf", None)
    monkeypatch.delitem(sys.modules, "zoo.formats.pages.pdf")
    with pytest.raises(UserError, match=r'pip install "seqzoo\[pages\]"'):
        importlib.import_module("zoo.formats.pages.pdf")
