"""The reader's own parts, without a trained model and without TensorFlow."""

import dataclasses
import io
import itertools
import json
import struct
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

import zoo
from export import runtime
from export.runtime import ReaderError, align, display_order, prefix_beam_search, reading_order
from zoo.errors import UserError
from zoo.images import lines as images

# === Decoding ===


def every_labelling(log_probs):
    """{labels: probability, summed over every path} by enumeration of all paths."""
    probs, found = np.exp(log_probs), {}
    for path in itertools.product(range(probs.shape[1]), repeat=len(probs)):
        labels = tuple(label for label, _ in itertools.groupby(path) if label)
        found[labels] = found.get(labels, 0.0) + np.prod(probs[np.arange(len(probs)), path])
    return found


def random_log_probs(time, classes, seed, sharpness=1.0):
    logits = np.random.default_rng(seed).normal(size=(time, classes)) * sharpness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("time, classes", [(1, 3), (4, 3), (6, 3), (5, 4)])
def test_beam_search_finds_the_likeliest_labelling(time, classes, seed):
    log_probs = random_log_probs(time, classes, seed, sharpness=1 + seed % 4)
    truth = every_labelling(log_probs)
    best = max(truth, key=truth.get)
    labels, log_prob = prefix_beam_search(log_probs, beam_width=10_000, threshold=0)
    assert labels == best
    assert np.exp(log_prob) == pytest.approx(truth[best])


@pytest.mark.parametrize("beam_width", [1, 2, 4, 8])
def test_narrow_beams_underestimate_and_never_invent(beam_width):
    for seed in range(20):
        log_probs = random_log_probs(6, 3, seed)
        truth = every_labelling(log_probs)
        labels, log_prob = prefix_beam_search(log_probs, beam_width, threshold=0)
        assert np.exp(log_prob) <= truth[labels] * (1 + 1e-9)


def test_a_sure_network_reads_alike_with_any_beam():
    path = [0, 3, 3, 0, 3, 1, 1, 2, 0, 0]
    log_probs = np.full((len(path), 4), np.log(1e-6))
    log_probs[np.arange(len(path)), path] = np.log(1 - 3e-6)
    for beam_width in (1, 3, 30):
        assert prefix_beam_search(log_probs, beam_width)[0] == (3, 3, 1, 2)
    assert align(log_probs, (3, 3, 1, 2)) == [(1, 2), (4, 4), (5, 6), (7, 7)]


def test_beam_search_sums_over_paths_where_greedy_takes_one():
    """Hannun 2017: blank is the best class of both frames, and yet "a" is likelier than nothing."""
    log_probs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert prefix_beam_search(log_probs, 2)[0] == (1,)


def test_beam_search_of_nothing():
    assert prefix_beam_search(np.zeros((0, 4)), 3) == ((), 0.0)
    assert align(np.zeros((4, 4)), ()) == []


@pytest.mark.parametrize("seed", range(10))
def test_alignment_is_the_best_path(seed):
    log_probs = random_log_probs(6, 3, seed)
    for labels in [(1,), (1, 2), (2, 2), (1, 2, 1)]:
        paths = [
            path
            for path in itertools.product(range(3), repeat=6)
            if tuple(label for label, _ in itertools.groupby(path) if label) == labels
        ]
        best = max(paths, key=lambda path: log_probs[np.arange(6), path].sum())
        runs = [list(run) for label, run in itertools.groupby(range(6), key=lambda t: best[t]) if label]
        spans = [(run[0], run[-1]) for run in runs if best[run[0]]]
        assert align(log_probs, labels) == spans


# === Right-to-left text ===

# As UAX #9 has them in a right-to-left paragraph (python-bidi 0.6.12, with brackets mirrored).
TURNED = [
    ("", ""),
    ("سلام", "مالس"),
    ("«نعم»", "«معن»"),
    ("عام 1999 م", "م 1999 ماع"),
    ("ص ١٢٫٥ (ب)", "(ب) ١٢٫٥ ص"),
    ("١٢ - ١٥", "١٥ - ١٢"),  # W2: after Arabic letters a hyphen divides two numbers
    ("عام 1999-2000 م", "م 2000-1999 ماع"),
    ("٢٠،٠٠٠ سنة", "ةنس ٢٠،٠٠٠"),
    ("טלפון 02-5661234", "02-5661234 ןופלט"),  # W4: after Hebrew ones it belongs to a number
    ("בשנים 1990-1995 היו", "ויה 1990-1995 םינשב"),
    ("א 1,234.50 ב 1/2 ג", "ג 1/2 ב 1,234.50 א"),
    ("אב -5 ג", "ג 5- בא"),
    ("הנחה של 50% היום", "םויה 50% לש החנה"),  # W5
    ("מחיר 25$ בלבד", "דבלב 25$ ריחמ"),
    ("אב $5-$10 ג", "ג $10-$5 בא"),
    ("خصم 50% اليوم", "مويلا %50 مصخ"),
    ("שלום ABC 123 אב", "בא ABC 123 םולש"),  # W7
    ("(א) ב [12] ג", "ג [12] ב (א)"),  # N0
    ("אב (ABC) גד", "דג (ABC) בא"),
    ("אב ABC (12) גד", "דג ABC (12) בא"),
    ("كتاب Der Kampf (1921) هنا", "انه Der Kampf (1921) باتك"),
    ("אב ABC (גד)", "(דג) ABC בא"),
    ("א (ב ABC) ד", "ד (ABC ב) א"),
    ("א b) ג", "ג (b א"),
    ("א ABC [12) ב]", "[ב (12] ABC א"),
    ("אב ABC, DEF! גד", "דג !ABC, DEF בא"),  # N1, N2
    ("1. אב", "בא .1"),
]


@pytest.mark.parametrize("text, shown", TURNED)
def test_display_order_and_back(text, shown):
    found, order = display_order(text)
    assert found == shown
    assert sorted(order) == list(range(len(text)))
    back, places = reading_order(shown)
    assert back == text
    assert [order[place] for place in places] == list(range(len(text)))


def test_a_line_without_right_to_left_letters_stays_as_it_is():
    for text in ("(1) Shoup, Carl S., Houghton", "80. B: s.p.", "a ١٢ b"):
        assert display_order(text) == reading_order(text) == (text, list(range(len(text))))


def test_a_number_before_left_to_right_words_is_ambiguous():
    assert display_order("שלום 123 ABC")[0] == display_order("שלום ABC 123")[0] == "ABC 123 םולש"
    assert reading_order("ABC 123 םולש")[0] == "שלום ABC 123"
    assert reading_order("5 GB םע")[0] == "עם 5 GB"  # which no text gives, but a page may show


def test_marks_stay_with_their_letters():
    for text in ("כַּ 1", "كتاباً١", "كتاباً1", "x̄ 12 שָׁלוֹם x̄"):
        assert reading_order(display_order(text)[0])[0] == text
    assert display_order("אָ ב")[0] == "ב \u05b8א"


WORDS = st.sampled_from("ספר שָׁלוֹם כתב، الكتاب سنةً نعم؟ Kinnane, Œuvre a.".split())
NUMBERS = st.from_regex(r"[1-9][0-9]{0,3}([.,:/][1-9][0-9]{0,2})?%?|[١-٩]{1,3}(٫[١-٩])?", fullmatch=True)


@given(st.lists(WORDS | NUMBERS.map(lambda n: n + " ועוד") | WORDS.map(lambda w: f"({w}) ו")))
def test_what_is_shown_can_be_read_back(words):
    text = " ".join(words)
    shown, order = display_order(text)
    back, places = reading_order(shown)
    assert display_order(back)[0] == shown
    assert back == text
    assert [order[place] for place in places] == list(range(len(text)))


@given(st.text("אבa1٢.,-+%$ ()[]ב«é", max_size=14))
def test_no_character_is_lost(text):
    for turn in (display_order, reading_order):
        found, order = turn(text)
        assert sorted(order) == list(range(len(text)))
        for character, i in zip(found, order, strict=True):
            assert character in (text[i], text[i].translate(runtime._MIRRORED))


# === Images ===


def encoded(picture, format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def written(kind, *channels):
    """Blocks of random values on the highest value that there is, as ink stands on paper."""
    top = np.iinfo(kind).max
    values = np.full((20, 50, *channels), top, kind)
    ink = np.random.default_rng(0).integers(0, top, (4, 20, *channels), kind)
    values[4:16, 5:45] = ink.repeat(3, 0).repeat(2, 1)
    return Image.fromarray(values)


GREY, COLOUR, DEEP, CLEAR = written("uint8"), written("uint8", 3), written("uint16"), written("uint8", 4)
KEYED = COLOUR.quantize(16)
KEYED.info["transparency"] = 3
READABLE = {
    "grey": encoded(GREY),
    "bilevel": encoded(GREY.convert("1")),
    "colour": encoded(COLOUR),
    "jpeg": encoded(COLOUR, "JPEG"),
    "cmyk": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "cmyk tiff": encoded(COLOUR.convert("CMYK"), "TIFF"),
    "16 bit": encoded(DEEP),
    "16 bit tiff": encoded(DEEP, "TIFF"),
    "32 bit tiff": encoded(Image.fromarray(np.asarray(DEEP, "int32")), "TIFF"),
    "float tiff": encoded(Image.fromarray(np.asarray(GREY, "float32")), "TIFF"),
    "palette": encoded(COLOUR.quantize(16)),
    "palette, one colour clear": encoded(KEYED),
    "transparent": encoded(CLEAR),
    "grey and transparent": encoded(CLEAR.convert("LA")),
    "lab tiff": encoded(Image.new("LAB", (50, 20), (128, 128, 128)), "TIFF"),
    "webp": encoded(COLOUR, "WEBP", lossless=True),
    "gif": encoded(GREY, "GIF"),
    "bmp": encoded(COLOUR, "BMP"),
    "pbm": encoded(GREY.convert("1"), "PPM"),
    "jpeg 2000": encoded(COLOUR, "JPEG2000", irreversible=False),
}


@pytest.mark.parametrize("kind", READABLE)
def test_images_are_read_as_in_training(kind, tmp_path):
    pixels = runtime.read_image(READABLE[kind])
    assert pixels.dtype == np.uint8 and pixels.shape[:2] == (20, 50) and pixels.shape[2] in (1, 3)
    path = tmp_path / "line.tif"
    path.write_bytes(READABLE[kind])
    np.testing.assert_array_equal(pixels, images.read_image(path))
    np.testing.assert_array_equal(pixels, runtime.read_image(str(path)))
    np.testing.assert_array_equal(pixels, runtime.read_image(Image.open(path)))


@pytest.mark.parametrize("ink, ground", [(0, 255), (90, 255), (127, 255), (128, 0), (255, 0), (200, 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_is_laid_on_what_contrasts(ink, ground, mode):
    picture = Image.new("RGBA", (60, 20), (90, 90, 90, 0))
    picture.paste((ink, ink, ink, 255), (10, 5, 14, 15))
    pixels = runtime.read_image(encoded(picture.convert(mode)))
    assert (pixels[0, 0] == ground).all() and (np.abs(pixels[10, 12].astype(int) - ink) <= 1).all()


def test_a_scan_with_clear_corners_is_laid_on_white():
    scan = np.full((20, 60, 4), 240, np.uint8)
    scan[8:12, 10:40, :3] = 30
    scan[:5, :5] = 0
    assert (runtime.read_image(Image.fromarray(scan))[0, 0] == 255).all()
    for clear in (0, 255):
        assert (runtime.read_image(Image.new("RGBA", (30, 20), (clear, clear, clear, 0))) == 255).all()


def test_deep_images_are_scaled_by_what_their_values_can_be():
    ramp = np.arange(0, 65536, 257, dtype=np.uint16)[None].repeat(9, 0)  # 0 … 255 in 16 bits
    wanted = np.arange(256, dtype=np.uint8)[None].repeat(9, 0)
    for values in (ramp, ramp.astype(np.int32), wanted.astype(np.int32), wanted / np.float32(255)):
        pixels = runtime.read_image(encoded(Image.fromarray(values), "TIFF"))
        np.testing.assert_array_equal(pixels[:, :, 0], wanted)
    for deep in (ramp.astype(np.float32), ramp.astype(np.float32) * 2):  # beyond 16 bits: by their peak
        np.testing.assert_array_equal(runtime.read_image(Image.fromarray(deep))[:, :, 0], wanted)
    for hole in (np.nan, np.inf, -np.inf):
        holes = Image.fromarray(np.where(wanted == 7, hole, wanted).astype(np.float32))
        np.testing.assert_array_equal(runtime.read_image(holes)[:, :, 0], np.where(wanted == 7, 0, wanted))


def test_the_limits_of_a_line():
    for size in [(1, 8), (2000, 8)]:
        assert runtime.read_image(Image.new("L", size)).shape == (*size[::-1], 1)
    for size, problem in [((7, 7), "too low"), ((2001, 8), "longer than a line")]:
        with pytest.raises(ReaderError, match=f"{size[0]}x{size[1]} pixels is {problem}"):
            runtime.read_image(Image.new("L", size))


def test_the_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(runtime, "MAX_PIXELS", 1000)
    for item in (READABLE["grey"], GREY, np.asarray(GREY)):
        assert runtime.read_image(item).shape == (20, 50, 1)
    monkeypatch.setattr(runtime, "MAX_PIXELS", 999)
    for item in (READABLE["grey"], GREY, np.asarray(GREY)):
        with pytest.raises(ReaderError, match="50x20 pixels are too many; cut it into single lines"):
            runtime.read_image(item)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_lines_are_turned_upright(kind, monkeypatch):
    monkeypatch.setattr(runtime, "no_line", lambda *_: None)  # four colours are no text
    stored = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.T,
        6: np.rot90, 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, 3),
    }  # fmt: skip
    upright = np.repeat(np.repeat(np.array([[240, 90, 30], [160, 0, 200]], np.uint8), 10, 0), 20, 1)
    for orientation, change in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(Image.fromarray(np.ascontiguousarray(change(upright))), kind, exif=exif, quality=100)
        for item in (data, Image.open(io.BytesIO(data))):
            pixels = runtime.read_image(item)[:, :, 0].astype(int)
            assert pixels.shape == upright.shape and np.abs(pixels - upright).max() < 12, orientation


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_several_pages_are_no_line(kind):
    data = encoded(GREY, kind, save_all=True, append_images=[GREY.transpose(0)])
    with pytest.raises(ReaderError, match="^scan7: it has 2 pages; save each as an image"):
        runtime.read_image(data, "scan7")
    picture = Image.open(io.BytesIO(data))
    picture.seek(1)  # a person has chosen
    second = runtime.read_image(picture).mean(2)
    assert np.abs(second - np.asarray(GREY.transpose(0))).mean() < 5


def test_a_preview_and_a_mask_are_no_pages_of_a_tiff():
    def tiff(*kinds):
        frames = [GREY.resize((50, 20)) if not kind else GREY.resize((10, 10)) for kind in kinds]
        frames = [frame.copy() for frame in frames]
        for frame, kind in zip(frames, kinds, strict=True):
            frame.encoderinfo = {"tiffinfo": {254: kind}}
        return encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], tiffinfo={254: kinds[0]})

    for kinds in ((0, 1), (1, 0), (0, 4, 1)):
        assert runtime.read_image(tiff(*kinds)).shape == (20, 50, 1)
    with pytest.raises(ReaderError, match="it has 2 pages"):
        runtime.read_image(tiff(0, 1, 0))


def test_a_photo_with_a_preview_is_one_page():
    data = encoded(GREY, "MPO", save_all=True, append_images=[GREY])
    assert Image.open(io.BytesIO(data)).n_frames == 2 and runtime.read_image(data).shape == (20, 50, 1)


def test_no_program_is_started_for_an_image(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    page = encoded(COLOUR, "EPS")
    binary = struct.pack("<4sII18x", b"\xc5\xd0\xd3\xc6", 30, len(page)) + page
    for data, problem in ((page, "PostScript"), (b"%PDF-1.4\n", "a PDF"), (binary, "not a readable image")):
        (tmp_path / "scan.png").write_bytes(data)
        with pytest.raises(ReaderError, match=f"scan.png: .*{problem}"):
            runtime.read_image(tmp_path / "scan.png")


def test_blank_lines_have_less_ink_than_a_full_stop():
    paper = np.full((40, 600, 3), 230, np.uint8)
    grain = paper + np.random.default_rng(0).integers(-15, 16, paper.shape).astype(np.uint8)
    for blank in (paper, paper[:, :, :1], 255 - paper, grain, paper[:8, :1], np.zeros((20, 50, 1), np.uint8)):
        assert runtime.is_blank(blank)
    for ground, ink in ((230, 206), (0, 24), (255, 0), (10, 255)):
        for channels in (1, 3):
            dot = np.full((40, 600, channels), ground, np.uint8)
            dot[30:33, 300:303] = ink
            assert not runtime.is_blank(dot)
            dot[30:33, 300:303] = ground + (23 if ink > ground else -23)
            assert runtime.is_blank(dot)
    speck = np.full((40, 600, 1), 255, np.uint8)
    speck[20, 20:23] = 0
    assert runtime.is_blank(speck)
    speck[20, 23] = 0
    assert not runtime.is_blank(speck)
    low = np.full((20, 30, 1), 255, np.uint8)
    low[5, 5] = 0
    assert not runtime.is_blank(low)
    half = np.full((40, 600, 1), 255, np.uint8)
    half[:, 250:] = 0
    assert not runtime.is_blank(half)


def page(lines, size=24, width=700, gap=1.5, ground=255, ink=0):
    """A picture of lines of text one below the other."""
    words = "the quick brown fox jumps over a lazy dog and goes home by night".split()
    font, step = ImageFont.load_default(size=size), round(gap * size)
    picture = Image.new("L", (width, step * lines + size), ground)
    for i in range(lines):
        text = " ".join(words[i % len(words) :] + words[: i % len(words)])
        ImageDraw.Draw(picture).text((size, size // 2 + step * i), text, font=font, fill=ink)
    return picture


@pytest.mark.parametrize("lines", [3, 4, 10, 34])
def test_pages_are_told_from_lines(lines):
    told = f"scan7: this looks like a page .{lines} lines of text., not a line; cut it into lines first$"
    for picture in (
        page(lines),
        page(lines, ground=40, ink=220),
        page(lines).convert("RGB"),
        page(lines, 60, 2000),
        page(lines, width=350),
    ):
        with pytest.raises(ReaderError, match=told):
            runtime.read_image(picture, "scan7")
    if lines > 3:  # a photo of a page is askew
        for angle in (-6, 3):
            askew = page(lines).rotate(angle, expand=True, fillcolor=255)
            with pytest.raises(ReaderError, match="this looks like a page"):
                runtime.read_image(askew)
    if lines > 9:
        with pytest.raises(ReaderError, match="this looks like a page"):
            runtime.read_image(page(lines, width=400).rotate(90, expand=True))


@pytest.mark.parametrize("size", [12, 24, 90])
def test_lines_are_no_pages(size):
    for width in (40, 100, 300, 2000):
        for angle in (0, 1, -2):
            picture = page(1, size, width).rotate(angle, expand=True, fillcolor=255)
            if picture.height < 4 * picture.width:
                assert runtime.read_image(picture).shape[:2] == picture.size[::-1]


@pytest.mark.parametrize("ground, ink", [(255, 0), (40, 220)])
def test_two_lines_are_told(ground, ink):
    with pytest.raises(ReaderError, match="two lines of text, one below the other; cut them apart"):
        runtime.read_image(page(2, ground=ground, ink=ink))


def test_a_neighbour_that_is_cut_is_no_second_line():
    crop = page(2).crop((0, 24, 700, 84))
    assert runtime.read_image(crop).shape == (60, 700, 1)


@pytest.mark.parametrize("angle, turn", [(15, "right"), (-15, "left"), (30, "right")])
def test_what_is_askew_is_told(angle, turn):
    for lines in (1, 12):
        askew = page(lines, width=1000).rotate(angle, expand=True, fillcolor=255)
        with pytest.raises(ReaderError, match=rf"askew by about \d+ degrees; turn it to the {turn}|a page"):
            runtime.read_image(askew)


@pytest.mark.parametrize("shape", [(48, 600), (224, 224), (100, 500, 3), (300, 300)])
def test_noise_is_no_line(shape):
    random = np.random.default_rng(1)
    grains = random.integers(0, 256, shape, "uint8")
    dots = (random.random(shape) < 0.05).astype("uint8") * 255
    for noise in (grains, dots, 255 - dots, grains.repeat(4, 0).repeat(4, 1)):
        with pytest.raises(ReaderError, match="this looks like noise, not writing on paper"):
            runtime.read_image(noise)


def clouds(*channels):
    values = np.random.default_rng(0).integers(0, 256, (8, 8, *channels), "uint8")
    return Image.fromarray(values).resize((300, 200), Image.Resampling.BICUBIC)


def test_a_photograph_is_no_line():
    with pytest.raises(ReaderError, match="this looks like a photograph, not writing on paper"):
        runtime.read_image(clouds(3))


def test_greys_are_no_photograph():
    # Light that falls on a line unevenly, its grain and shadows have as many greys.
    assert runtime.read_image(clouds()).shape == (200, 300, 1)


def test_colours_on_paper_are_no_photograph():
    line = np.asarray(page(1), np.float32)[:, :, None] / 255
    width = line.shape[1]
    inks = np.where(np.arange(width)[:, None] < width / 2, (190, 30, 30), (30, 60, 180))
    lamp = np.linspace((1, 1, 1), (0.5, 0.7, 1), width)
    for paper in ((250, 240, 210), (255, 240, 120)):
        written = line * paper + (1 - line) * inks
        grain = np.random.default_rng(0).normal(0, 15, written.shape)
        for seen in (written, written * lamp, written + grain):
            assert runtime.no_line(np.clip(seen, 0, 255).astype(np.uint8)) is None


def test_lines_in_a_bad_light_are_lines():
    line = np.asarray(page(1), np.float32)
    rows, columns = (np.linspace(1, 0.4, size) for size in line.shape)
    grain = np.random.default_rng(0).normal(0, 20, line.shape)
    framed = np.pad(line, 3, constant_values=0)
    dark = np.pad(line, ((6, 6), (20, 20)), constant_values=20)
    for seen in (line * columns, line * rows[:, None], line + grain, framed, dark, 100 + line / 5):
        assert runtime.no_line(np.clip(seen, 0, 255).astype(np.uint8)[:, :, None]) is None
    dithered = Image.fromarray((line * 0.8).astype("uint8")).resize((1400, 120)).convert("1")
    assert runtime.read_image(dithered).shape == (120, 1400, 1)


@pytest.mark.parametrize("height, width", [(86, 1), (2430, 11), (6591, 12), (9606, 335), (8, 2000)])
def test_text_lines_of_extreme_shapes_are_numbers(height, width):
    specks = np.where(np.random.default_rng(0).random((height, width)) < 0.1, 0, 255).astype("uint8")
    for grey in (specks, specks.T):
        assert 0 <= runtime.text_lines(grey) < 1e4


def test_single_letters_are_no_pages():
    font = ImageFont.load_default(size=60)
    for text in [
        *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=:;!?§%&#|/()[]{}",
        "…",
        "Ill",
        "EEE",
    ]:
        left, top, right, bottom = map(int, font.getbbox(text))
        picture = Image.new("L", (right - left + 3, bottom - top + 9), 255)
        ImageDraw.Draw(picture).text((1 - left, 4 - top), text, font=font, fill=0)
        assert runtime.read_image(picture).shape[0] == picture.height, text


def test_a_line_on_its_end_is_told():
    for angle in (90, 270):
        with pytest.raises(
            ReaderError, match="a line of text that stands on its end; turn the image by a quarter"
        ):
            runtime.read_image(page(1).rotate(angle, expand=True))


def test_a_line_lost_in_a_large_image_is_told():
    sheet = Image.new("L", (1400, 1600), 255)
    sheet.paste(page(1).crop((0, 0, 700, 36)), (300, 400))
    with pytest.raises(
        ReaderError, match=r"room around its text \(\d of 100 rows have any\); cut the line out"
    ):
        runtime.read_image(sheet)
    blank = Image.new("L", (1400, 1600), 255)
    blank.paste(0, (30, 40, 34, 43))  # dust
    assert runtime.is_blank(runtime.read_image(blank))
    leaders = Image.new("L", (600, 40), 255)
    for x in range(0, 600, 20):
        leaders.paste(0, (x, 28, x + 3, 31))
    assert runtime.read_image(leaders).shape == (40, 600, 1)


def test_what_shows_no_text_is_no_page():
    random = np.random.default_rng(0)
    for shape in ((40, 600), (600, 600), (600, 60), (9, 9), (8, 1), (8, 2), (3000, 2000)):
        for pixels in (np.full(shape, 200, np.uint8), random.integers(195, 205, shape).astype(np.uint8)):
            assert runtime.no_line(pixels[:, :, None]) is None
            assert runtime.is_blank(pixels[:, :, None])


def test_colours_of_one_brightness_are_told_apart():
    pixels = np.zeros((40, 200, 3), np.uint8)
    pixels[:, :, 0] = 240
    pixels[10:30, 20:120] = 0, 240, 0
    seen = runtime.read_image(pixels)
    assert seen.shape == (40, 200, 1) and not runtime.is_blank(seen)
    blank = np.full((40, 200, 3), (200, 90, 10), np.uint8)
    assert runtime.read_image(blank).shape == (40, 200, 3) and runtime.is_blank(blank)


def zero_width_png():
    data = bytearray(READABLE["grey"])
    data[16:20] = bytes(4)  # IHDR's width
    return bytes(data)


UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"no image\n", "not a readable image"),
    "truncated": (READABLE["colour"][:-100], "damaged"),
    "truncated jpeg": (READABLE["jpeg"][:-300], "damaged"),
    "cut in the header": (READABLE["grey"][:20], "not a readable image"),
    "zero width": (zero_width_png(), "."),
    "1 pixel high": (encoded(Image.new("L", (300, 1))), "too low"),
    "60,000 wide": (encoded(Image.new("1", (60_000, 40))), "cut it into single lines"),
    "a huge page": (encoded(Image.new("1", (9000, 7500))), "9000x7500 pixels are too many; cut it"),
    "a bomb": (encoded(Image.new("1", (20_000, 20_000))), "too many pixels; cut it into single lines"),
    "a huge array": (np.broadcast_to(np.uint8(0), (9000, 7500)), "7500x9000 pixels are too many; cut it"),
    "array without width": (np.zeros((20, 0), "uint8"), "empty"),
    "array of floats": (np.zeros((20, 30)), "give uint8"),
    "array of four channels": (np.zeros((20, 30, 4), "uint8"), "give uint8"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_images(kind):
    item, problem = UNREADABLE[kind]
    with pytest.raises(ReaderError, match=problem) as error:
        runtime.read_image(item, "scan7")
    assert str(error.value).startswith("scan7: ") and "\n" not in str(error.value)
    with pytest.raises(UserError) as same:
        images.read_image(item, "scan7")
    assert str(same.value) == f"{error.value}."


def test_missing_image_and_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, problem in {
        "none.png": "cannot be read .no such file or directory.; check the path",
        "": "this is a folder; give the images in it",
        "empty": "this is an empty folder; give images",
    }.items():
        with pytest.raises(ReaderError, match=f"^{tmp_path / name}: {problem}$"):
            runtime.read_image(tmp_path / name)


def test_images_without_names_are_called_what_they_are():
    assert runtime.read_image(GREY.crop((0, 0, 9, 8))).shape == (8, 9, 1)
    low = GREY.crop((0, 0, 9, 7))
    for item, name in ((b"", "the bytes"), (np.zeros(3), "the image"), (low, "the image")):
        with pytest.raises(ReaderError, match=f"^{name}: "):
            runtime.read_image(item)


# === Reader ===

CONFIG = {"height": 40, "strides": [[2, 2], [1, 1]], "pools": [[1, 1], [2, 2]]}


class Session:
    """Stands for onnxruntime: "reads" one letter for ten pixels of height; the width tells which."""

    def __init__(self):
        self.batches = []

    def run(self, names, inputs):
        image, size = inputs["image"], inputs["size"]
        assert image.dtype == np.uint8 and size.dtype == np.int32
        self.batches.append(image.shape)
        count = size[:, 0] // 10
        labels = np.zeros((len(size), 40), "int32")
        for row, (letters, (_, width)) in zip(labels, zip(count, size, strict=True), strict=True):
            row[:letters] = 1 + width // 100
        spans = np.tile(np.arange(40, dtype="float32"), (len(size), 1))
        read = {"labels": labels, "label_lengths": count, "starts": spans, "ends": spans + 1}
        read["confidence"] = np.full(len(size), 0.5, "float32")
        log_probs = np.full((len(size), 80, 27), -20, "float32")
        log_probs[:, np.arange(80), 0] = 0
        for row, (letters, (_, width)) in zip(log_probs, zip(count, size, strict=True), strict=True):
            for i in range(letters):
                row[2 * i + 1, [0, 1 + width // 100]] = -20, 0
        read |= {"log_probs": log_probs, "lengths": np.full(len(size), 80, "int32")}
        return [read[name] for name in names]


def make_reader(direction="ltr", threads=2, session=None):
    metadata = {"config": json.dumps(CONFIG), "vocabulary": json.dumps(list("abcdefghijklmnopqrstuvwxyz"))}
    return runtime.Reader.of_session(session or Session(), metadata | {"direction": direction}, threads)


def spans(line):
    return [(character, start, end) for character, start, end, _ in line.characters]


def inked(height, width):
    """A line with something on it: stripes."""
    return np.where(np.arange(height)[:, None] % 2, 255, 0).astype("uint8").repeat(width, 1)


def test_results_come_in_the_order_of_the_inputs(monkeypatch):
    monkeypatch.setattr(runtime, "WINDOW", 7)
    draw = np.random.default_rng(0)
    sizes = [
        (int(h), int(w)) for h, w in zip(draw.integers(10, 90, 40), draw.integers(1, 2500, 40), strict=True)
    ]
    inputs = [inked(*size) for size in sizes]
    wanted = ["abcdefghijklmnopqrstuvwxyz"[w // 100] * (h // 10) for h, w in sizes]
    reader = make_reader()
    for arguments in ({}, {"batch_size": 1}, {"batch_size": 50}, {"beam_width": 2}):
        assert reader(inputs, **arguments) == wanted
        assert reader(iter(inputs), **arguments) == wanted
        lines = reader(inputs, details=True, **arguments)
        assert [line.text for line in lines] == wanted
        assert ["".join(c for c, *_ in line.characters) for line in lines] == wanted
    assert reader([]) == []


def test_batches_are_full_narrow_and_small():
    draw = np.random.default_rng(1)
    lines = {
        i: np.zeros((int(h), int(h * a), 1), "uint8")
        for i, (h, a) in enumerate(draw.uniform(10, 90, (99, 2)))
    }
    batches = list(runtime.line_batches(lines, 8))
    assert sorted(key for batch in batches for key in batch) == list(range(99))
    assert max(map(len, batches)) == 8 and len(batches) < 20
    for batch in batches:
        heights = [image.shape[0] for image in batch.values()]
        assert max(heights) <= 2 * min(heights)
    lines = {i: np.zeros((20, int(width), 1), "uint8") for i, width in enumerate(draw.permutation(50) + 1)}
    widths = [image.shape[1] for batch in runtime.line_batches(lines, 8) for image in batch.values()]
    assert widths == list(range(50, 0, -1))  # neighbours in width share a batch
    long = {i: np.zeros((200, 40_000, 1), "uint8") for i in range(4)}
    assert [len(batch) for batch in runtime.line_batches(long, 8)] == [1, 1, 1, 1]


def test_one_input_needs_no_list(tmp_path):
    path = tmp_path / "line.png"
    GREY.save(path)
    for item in (path, str(path), path.read_bytes(), GREY, np.asarray(GREY)):
        assert make_reader()(item) == ["aa"]


@pytest.mark.parametrize("threads, batches", [(1, [4, 1]), (2, [3, 2]), (3, [2, 2, 1]), (9, [1] * 5)])
def test_few_lines_are_spread_over_the_threads(threads, batches):
    session = Session()
    assert make_reader(threads=threads, session=session)([inked(20, 50)] * 5) == ["aa"] * 5
    assert sorted((shape[0] for shape in session.batches), reverse=True) == batches


def test_blank_lines_are_not_read():
    session = Session()
    blank = np.full((20, 50), 255, np.uint8)
    lines = make_reader(session=session)([blank, inked(20, 50), blank], details=True)
    assert [(line.text, line.confidence, len(line.characters)) for line in lines] == [
        ("", 0.0, 0),
        ("aa", 0.5, 2),
        ("", 0.0, 0),
    ]
    assert [shape[0] for shape in session.batches] == [1]


def test_a_line_as_json():
    line = runtime.Line("a", 0.123456, [runtime.Character("a", 1.26, 2.04, 0.98765)])
    characters = [{"character": "a", "start": 1.3, "end": 2.0, "confidence": 0.9877}]
    assert line.to_json() == {"text": "a", "confidence": 0.1235, "characters": characters}
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.text = "b"


def test_mixed_channels_in_one_batch():
    session = Session()
    assert make_reader(threads=1, session=session)([GREY, COLOUR]) == ["aa", "aa"]
    assert session.batches == [(2, 20, 50, 3)]


def test_a_bad_image_raises_or_takes_its_place(tmp_path):
    with pytest.raises(ReaderError, match="^input 2: "):
        make_reader()([GREY, b"", GREY])
    first, bad, last = make_reader()([GREY, tmp_path / "none.png", GREY], errors="return")
    assert (first, last) == ("aa", "aa")
    assert isinstance(bad, ReaderError) and "none.png" in str(bad)


def test_beam_width_must_be_positive():
    with pytest.raises(ValueError, match="beam_width"):
        make_reader()(GREY, beam_width=0)
    assert make_reader()(GREY, beam_width=1) == ["aa"]


def test_extents_of_a_beam_are_in_pixels_of_the_image():
    (line,) = make_reader()(inked(20, 50), beam_width=3, details=True)
    # A frame is 4 columns at height 40, thus 2 of this image; the letters are in frames 1 and 3.
    assert spans(line) == [("a", 2.0, 4.0), ("a", 6.0, 8.0)]
    assert line.confidence == pytest.approx(1.0, abs=1e-4)
    assert [character.confidence for character in line.characters] == pytest.approx([1, 1], abs=1e-4)
    (empty,) = make_reader()(inked(9, 50), beam_width=3, details=True)
    assert (empty.text, empty.confidence, empty.characters) == ("", 0.0, [])


def test_right_to_left_lines_come_in_logical_order_with_their_extents():
    reader = make_reader(direction="rtl")
    reader.vocabulary = list("اب12")
    line = reader._line([1, 3, 4, 2], 0.9, [(10 * i, 10 * i + 5, 1 - i / 10) for i in range(4)])
    assert line.text == "ب12ا"
    assert spans(line) == [("ب", 30, 35), ("1", 10, 15), ("2", 20, 25), ("ا", 0, 5)]
    assert [character.confidence for character in line.characters] == [0.7, 0.9, 0.8, 1.0]


# === Model files ===


def model_bytes(**metadata):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    return of_graph(onnx.helper.make_graph([node], "g", [x], [y]), metadata)


def line_model_bytes():
    """A model that reads "ba" in every image, of which it takes one at a time."""
    log_probs = np.log(np.array([[[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]]], "float32"))
    outputs = {
        "labels": np.array([[2, 1, 0]], "int32"),
        "label_lengths": np.array([2], "int32"),
        "confidence": np.array([0.75], "float32"),
        "starts": np.array([[0, 10, 0]], "float32"),
        "ends": np.array([[10, 20, 0]], "float32"),
        "log_probs": log_probs,
        "lengths": np.array([2], "int32"),
    }
    nodes, values = [], []
    for name, array in outputs.items():
        value = onnx.numpy_helper.from_array(array)
        nodes.append(onnx.helper.make_node("Constant", [], [name], value=value))
        values.append(onnx.helper.make_tensor_value_info(name, value.data_type, array.shape))
    inputs = [
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["b", "h", "w", "c"]),
        onnx.helper.make_tensor_value_info("size", onnx.TensorProto.INT32, ["b", 2]),
    ]
    metadata = {"format": "1", "task": "line_ocr", "direction": "ltr"}
    metadata |= {"config": json.dumps(CONFIG), "vocabulary": json.dumps(["a", "b"])}
    return of_graph(onnx.helper.make_graph(nodes, "g", inputs, values), metadata)


def of_graph(graph, metadata):
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {f"seqzoo.{key}": value for key, value in metadata.items()})
    return model.SerializeToString()


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"", "not a readable ONNX file"),
        (b"GIF89a is no model", "not a readable ONNX file"),
        (model_bytes()[:-20], "not a readable ONNX file"),
        (model_bytes(), "not one of seqzoo's"),
        (model_bytes(version="1"), "a Keras model of your own, for which there is no reader here"),
        (model_bytes(format="3", task="line_ocr"), "format 3"),
        (model_bytes(format="1", task="juggling"), "'juggling'"),
        (model_bytes(format="1", task="line_ocr"), "metadata is damaged"),
        (model_bytes(format="1", task="line_ocr", direction="ltr", config="{"), "metadata is damaged"),
    ],
)
def test_files_that_are_not_ours(data, problem, tmp_path, capfd):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ReaderError, match=problem) as error:
        runtime.load(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def damaged(tmp_path, damage=None, **metadata):
    """A model file with other metadata, or with what a function does to its ``onnx.ModelProto``."""
    model = onnx.ModelProto.FromString(line_model_bytes())
    for entry in model.metadata_props:
        entry.value = metadata.get(entry.key.removeprefix("seqzoo."), entry.value)
    if damage:
        damage(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "m.onnx"


def outside(model):
    tensor = model.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def boundless(model):
    model.metadata_props.add(key="seqzoo.asset.language_model.arpa", value="a" * (runtime.MAX_METADATA + 1))


@pytest.mark.parametrize(
    "damage, metadata, problem",
    [
        (outside, {}, "weights are said to be in another file"),
        (boundless, {}, "64 MiB of metadata, of which a model has 64 at most"),
        (None, {"config": "[" * 200_000}, "metadata is damaged"),
        (None, {"vocabulary": "[" * 200_000}, "metadata is damaged"),
    ],
)
def test_files_that_would_do_harm(damage, metadata, problem, tmp_path):
    path = damaged(tmp_path, damage, **metadata)
    for load in (runtime.load, zoo.load):
        with pytest.raises((ReaderError, UserError), match=problem):
            load(path)


def test_a_vocabulary_shorter_than_the_labels(tmp_path):
    path, image = damaged(tmp_path, vocabulary='["a"]'), Image.linear_gradient("L")
    for read in (runtime.load(path), zoo.load(path).predict):
        with pytest.raises((ReaderError, UserError), match="writes row 2 of a vocabulary of 2"):
            read([image])


@pytest.mark.parametrize("metadata", [{"task": "translator"}, {}])
def test_other_models_where_the_package_is_not_installed(metadata, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zoo.registry", None)
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes(format="1", **metadata))
    message = f"a {metadata.get('task')} model, which needs more than this file .no zoo.registry here.: "
    with pytest.raises(ReaderError, match=message):
        runtime.load(path)


def test_missing_model(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ReaderError, match="there is no such file"):
            runtime.load(path)


@pytest.fixture
def line_model(tmp_path):
    path = tmp_path / "reader.onnx"
    path.write_bytes(line_model_bytes())
    return path


def test_a_model_of_lines(line_model):
    reader = runtime.load(line_model)
    assert reader.threads == runtime.cores() and reader.metadata["task"] == "line_ocr"
    assert runtime.load(line_model, threads=3).threads == 3
    (line,) = reader(GREY, details=True)
    assert (line.text, line.confidence) == ("ba", 0.75)
    assert spans(line) == [("b", 0.0, 10.0), ("a", 10.0, 20.0)]
    (line,) = reader(GREY, details=True, beam_width=2)
    assert (line.text, line.confidence) == ("ba", pytest.approx(0.7 * 0.8))


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    allowed = {0: {1, 4, 5}}  # of this process
    monkeypatch.setattr(runtime.os, "sched_getaffinity", allowed.__getitem__, raising=False)
    assert runtime.cores() == 3
    monkeypatch.delattr(runtime.os, "sched_getaffinity")
    for found, cores in [(7, 7), (None, 1)]:
        monkeypatch.setattr(runtime.os, "cpu_count", lambda found=found: found)
        assert runtime.cores() == cores


def shell(*arguments):
    command = [sys.executable, runtime.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_from_a_shell(line_model, tmp_path):
    GREY.save(tmp_path / "line.png")
    run = shell(line_model, tmp_path / "line.png")
    assert (run.returncode, run.stdout, run.stderr) == (0, "ba\n", "")
    run = shell(line_model, tmp_path / "none.png", tmp_path / "line.png")
    assert (run.returncode, run.stdout) == (3, "ba\n")
    assert run.stderr.startswith(f"{tmp_path / 'none.png'}: cannot be read") and run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, status, told",
    [([], 1, "usage"), (["x.onnx"], 1, "usage"), (["x.onnx", "x.png"], 2, "x.onnx: there is no such file")],
)
def test_from_a_shell_with_wrong_arguments(arguments, status, told):
    run = shell(*arguments)
    assert (run.returncode, run.stdout) == (status, "")
    assert run.stderr.startswith(told) and run.stderr.count("\n") == 1
