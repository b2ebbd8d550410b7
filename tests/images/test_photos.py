import io
import os
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, features

from export import runtime
from zoo.errors import UserError
from zoo.images.photos import photo_as_jpeg, read_photo

# Four quarters of different grey, so that a turn or a wrong scale is seen: light, dark, middle, black.
QUARTERS = np.repeat(np.repeat(np.array([[240, 90], [160, 0]], np.uint8), 32, 0), 48, 1)


def saved(picture, kind, **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def near(one, other, by=3):
    return np.abs(one.astype(int) - other.astype(int)).max() <= by


def corners(pixels):
    return [int(pixels[y, x, 0]) for y in (4, -5) for x in (4, -5)]


# === Kinds of images ===


def test_paths_bytes_pictures_and_arrays_give_the_same(tmp_path):
    data = saved(QUARTERS, "png")
    (tmp_path / "a.png").write_bytes(data)
    items = [data, tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(io.BytesIO(data)), QUARTERS]
    items += [QUARTERS[:, :, None], np.repeat(QUARTERS[:, :, None], 3, 2)]
    first, *others = [read_photo(item, 40) for item in items]
    assert first.shape == (40, 40, 3) and first.dtype == np.uint8
    assert corners(first) == [240, 90, 160, 0]
    assert all(np.array_equal(first, other) for other in others)


def test_sixteen_bits_cmyk_palette_and_the_like_look_alike():
    plain = read_photo(QUARTERS, 40)
    grey, rgb = Image.fromarray(QUARTERS), Image.fromarray(QUARTERS).convert("RGB")
    wide = QUARTERS.astype(np.uint16) * 257
    kinds = {
        "16 bits, png": saved(wide, "png"),
        "16 bits, tiff": saved(wide, "tiff"),
        "32 bits": saved(wide.astype(np.int32), "tiff"),
        "floats": saved(QUARTERS.astype(np.float32) / 255, "tiff"),
        "cmyk": saved(rgb.convert("CMYK"), "tiff"),
        "cmyk jpeg": saved(rgb.convert("CMYK"), "jpeg", quality=98),
        "palette": saved(grey.convert("P"), "png"),
        "grey jpeg": saved(grey, "jpeg", quality=98),
        "opaque": saved(rgb.convert("RGBA"), "png"),
        "gif": saved(grey, "gif"),
        "bmp": saved(rgb, "bmp"),
        "compressed tiff": saved(rgb, "tiff", compression="tiff_lzw"),
    }
    if features.check("webp"):
        kinds["webp"] = saved(rgb, "webp", lossless=True)
    for kind, data in kinds.items():
        assert near(read_photo(data, 40), plain), kind
    assert corners(read_photo(saved(Image.fromarray(QUARTERS > 100), "png"), 40)) == [255, 0, 255, 0]


def test_transparent_images_are_laid_on_white():
    see_through = np.zeros((30, 20, 4), np.uint8)
    see_through[:, 10:] = (200, 10, 10, 255)
    palette = Image.new("P", (20, 30), 0)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.paste(1, (10, 0, 20, 30))
    for data in (saved(see_through, "png"), saved(palette, "gif", transparency=0)):
        pixels = read_photo(data, 20)
        assert tuple(pixels[10, 2]) == (255, 255, 255) and tuple(pixels[10, 17]) == (200, 10, 10)
        assert pixels[:, :, 0].min() >= 199, "no dark seam from the hidden black"
    light = np.full((20, 20, 4), 255, np.uint8)
    light[:, 10:, 3] = 0
    assert corners(read_photo(saved(light, "png"), 20)) == [255, 0, 255, 0]


@pytest.mark.parametrize("kind", ["gif", "png", "tiff"])
def test_of_animated_images_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert tuple(read_photo(data, 8)[4, 4]) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_every_orientation_is_turned_upright(kind):
    upright = np.stack([QUARTERS] * 3, -1)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1], 8: upright.swapaxes(0, 1)[:, ::-1],
    }  # fmt: skip
    options = {"quality": 98, "subsampling": 0} if kind == "jpeg" else {}
    for orientation, pixels in stored.items():
        data = saved(np.ascontiguousarray(pixels), kind, exif=exif(orientation), **options)
        for item in (data, Image.open(io.BytesIO(data))):
            assert near(read_photo(item, 40), read_photo(upright, 40), 8), orientation


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_turns_nothing():
    data = saved(QUARTERS, "jpeg", quality=98, exif=b"Exif\0\0II*\0trash and more trash")
    assert near(read_photo(data, 40), read_photo(QUARTERS, 40), 8)


# === Sizes ===


def test_shrinking_is_antialiased_and_a_square_stays_as_it_is():
    checks = (np.indices((400, 600)).sum(0) % 2 * 255).astype(np.uint8)
    for data in (saved(checks, "png"), saved(checks, "jpeg", quality=98)):
        assert near(read_photo(data, 40)[2:-2, 2:-2], np.full((36, 36, 3), 127), 6)
    rng = np.random.default_rng(0)
    square = rng.integers(0, 256, (40, 40, 3), np.uint8)
    assert np.array_equal(read_photo(square, 40), square)


def test_a_large_jpeg_is_as_if_decoded_whole():
    ramp = np.add.outer(np.arange(900), np.arange(1500)) / 2400 * 255
    data = saved(ramp.astype(np.uint8), "jpeg", quality=95)
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert near(read_photo(data, 50), read_photo(whole, 50), 3)


@pytest.mark.parametrize("shape", [(8, 8), (8, 5000), (5000, 8)])
def test_the_smallest_and_the_narrowest(shape):
    assert (read_photo(saved(np.full(shape, 77, np.uint8), "png"), 32) == 77).all()
    short = np.full(np.minimum(shape, (7, 5000)), 77, np.uint8)
    for item in (saved(short, "png"), saved(short, "jpeg"), short):
        with pytest.raises(
            UserError, match=r"nothing is to be seen in \d+x\d+ pixels; give a photo of 8x8 or more"
        ):
            read_photo(item, 32)


def huge_jpeg(side):
    """A grey baseline JPEG of ``side`` squared: the header of a small one, and blocks that are all alike."""
    data = bytearray(saved(Image.new("L", (16, 16), "white"), "jpeg", optimize=False))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = side.to_bytes(2, "big") * 2
    scan = data.index(b"\xff\xda")
    # In the standard tables a difference of 0 from the block before is 00 and the end of a block 1010: of
    # middle grey every block is 001010, and four of them fill three bytes.
    blocks = (-(-side // 8)) ** 2
    return bytes(data[: scan + 2 + 8]) + bytes.fromhex("28a28a") * (blocks // 4 + 1) + b"\xff\xd9"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells the peak there")
def test_a_jpeg_of_20000_squared_is_read_in_little_memory():
    script = (
        "import re, sys; from zoo.images.photos import read_photo; "
        "pixels = read_photo(sys.stdin.buffer.read(), 224); "
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]; "
        "print(pixels.min(), pixels.max(), int(peak) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=huge_jpeg(20_000), capture_output=True, check=True
    )
    low, high, megabytes = map(int, done.stdout.split())
    assert (low, high) == (128, 128) and megabytes < 200


def png_header(side):
    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = side.to_bytes(4, "big") * 2
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0])) + chunk(b"IDAT", b"x" * 99)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8193, 10_000, 20_000, 60_000])
def test_other_images_of_such_sizes_are_refused_undecoded(side):
    tracemalloc.start()
    with pytest.raises(UserError, match="^big.png: .*too many.*; scale it down to 67 million"):
        read_photo(png_header(side), 224, name="big.png")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_progressive_jpeg_is_no_way_around_the_limit(monkeypatch):
    data = saved(QUARTERS, "jpeg", progressive=True)
    assert read_photo(data, 8).shape == (8, 8, 3)
    monkeypatch.setattr(runtime, "MAX_PIXELS", QUARTERS.size - 1)
    with pytest.raises(UserError, match="96x64 pixels are too many"):
        read_photo(data, 8)
    assert read_photo(saved(QUARTERS, "jpeg"), 8).shape == (8, 8, 3)


# === Bad input ===


def test_broken_files_are_named_in_one_sentence(tmp_path):
    for name, data, reason in [
        ("empty.jpg", b"", "the file is empty"),
        ("text.jpg", b"no image at all", "not a readable image"),
        ("start.jpg", b"\xff\xd8\xff\xe0", "not a readable image"),
        ("cut.jpg", saved(QUARTERS, "jpeg")[:-20], "damaged"),
        ("cut.png", saved(QUARTERS, "png")[:100], "damaged"),
        ("page.eps", saved(Image.fromarray(QUARTERS).convert("RGB"), "eps"), "PostScript"),
    ]:
        path = tmp_path / name
        path.write_bytes(data)
        for item, called in ((path, str(path)), (data, "the bytes")):
            with pytest.raises(UserError) as caught:
                read_photo(item, 32)
            message = str(caught.value)
            assert message.startswith(f"{called}: ") and reason in message and message.endswith(".")
            assert "\n" not in message
    with pytest.raises(UserError, match="nowhere.png: cannot be read .*check the path"):
        read_photo(tmp_path / "nowhere.png", 32)
    with pytest.raises(UserError, match="this is a folder; give the images in it"):
        read_photo(tmp_path, 32)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_arrays_of_other_types_and_shapes_are_refused(array):
    with pytest.raises(UserError, match="^the image: .*give uint8"):
        read_photo(array, 32)


def test_what_has_no_pixel_is_refused():
    for item in (np.zeros((0, 5, 3), np.uint8), Image.new("RGB", (0, 3))):
        with pytest.raises(UserError, match="empty"):
            read_photo(item, 32)


# === As JPEG ===


def test_a_jpeg_that_fits_stays_as_it_is_and_others_become_one(tmp_path):
    fits = saved(np.stack([QUARTERS[:40, :40]] * 3, -1), "jpeg", quality=60)
    assert photo_as_jpeg(fits, 40) == fits
    (tmp_path / "fits.jpg").write_bytes(fits)
    assert photo_as_jpeg(tmp_path / "fits.jpg", 40) == fits
    rgb = Image.fromarray(QUARTERS).convert("RGB")
    for data in (
        saved(rgb, "jpeg", quality=98),
        saved(rgb.resize((40, 40)), "png"),
        saved(rgb.resize((40, 40)).convert("L"), "jpeg", quality=98),
        saved(rgb.resize((40, 40)).convert("CMYK"), "jpeg", quality=98),
        saved(rgb.resize((40, 40)), "jpeg", quality=98, exif=exif(3)),
    ):
        made = photo_as_jpeg(data, 40)
        picture = Image.open(io.BytesIO(made))
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (40, 40)) and made != data
        assert near(np.asarray(picture), read_photo(data, 40), 12)
        assert photo_as_jpeg(made, 40) == made
    with pytest.raises(UserError, match="damaged"):
        photo_as_jpeg(fits[:-20], 40)


def test_reading_photos_needs_no_tensorflow():
    script = "import sys, zoo.images.photos; print({'tensorflow', 'keras'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"
