"""The reader's own parts, without a trained model and without TensorFlow."""

import io
import itertools
import json
import random
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from export import runtime
from export.runtime import ReaderError, align, display_order, prefix_beam_search
from zoo import direction
from zoo.data import images
from zoo.errors import UserError

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


@pytest.mark.parametrize(
    "logical, shown",
    [
        ("", ""),
        ("سلام", "مالس"),
        ("عام 1999 م", "م 1999 ماع"),
        ("ص ١٢٫٥ (ب)", "(ب) ١٢٫٥ ص"),
        ("كتاب Der Kampf (1921) هنا", "انه (Der Kampf (1921 باتك"),
        ("١٢ - ١٥", "١٥ - ١٢"),
        ("«نعم»", "«معن»"),
    ],
)
def test_display_order(logical, shown):
    text, order = display_order(logical)
    assert text == shown
    assert sorted(order) == list(range(len(logical)))
    assert display_order(shown)[0] == logical


def test_display_order_is_the_one_of_training():
    draw = random.Random(0)
    for _ in range(20_000):
        text = "".join(draw.choice("اب١٢٫٬12.,:/ab ()«»-%ًאA،") for _ in range(draw.randint(0, 14)))
        shown, order = display_order(text)
        wanted, permutation = direction.display_order(text)
        assert (shown, order) == (wanted, list(permutation)), text
        assert display_order(shown)[0] == text


# === Images ===


def encoded(picture, format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


GREY = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 50), "uint8"))
COLOUR = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 50, 3), "uint8"))
DEEP = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (20, 50), "uint16"))
CLEAR = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 50, 4), "uint8"))
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
}


@pytest.mark.parametrize("kind", READABLE)
def test_images_are_read_as_in_training(kind, tmp_path):
    pixels = runtime.read_image(READABLE[kind])
    assert pixels.dtype == np.uint8 and pixels.shape[:2] == (20, 50) and pixels.shape[2] in (1, 3)
    path = tmp_path / "line.png"
    path.write_bytes(READABLE[kind])
    np.testing.assert_array_equal(pixels, images.read_image(path))
    np.testing.assert_array_equal(pixels, runtime.read_image(str(path)))
    np.testing.assert_array_equal(pixels, runtime.read_image(Image.open(path)))


def test_transparent_is_laid_on_white():
    assert (runtime.read_image(Image.new("RGBA", (30, 20), (0, 0, 0, 0))) == 255).all()


def test_sixteen_bits_keep_their_range():
    assert runtime.read_image(DEEP).max() > 250 and runtime.read_image(DEEP).min() < 5


def zero_width_png():
    data = bytearray(READABLE["grey"])
    data[16:20] = bytes(4)  # IHDR's width
    return bytes(data)


UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"no image\n", "not a readable image"),
    "truncated": (READABLE["colour"][:-900], "damaged"),
    "truncated jpeg": (READABLE["jpeg"][:-300], "damaged"),
    "cut in the header": (READABLE["grey"][:20], "not a readable image"),
    "zero width": (zero_width_png(), "."),
    "1 pixel high": (encoded(Image.new("L", (300, 1))), "too low"),
    "60,000 wide": (encoded(Image.new("1", (60_000, 40))), "cut it into single lines"),
    "a huge page": (encoded(Image.new("1", (9000, 7000))), "cut it into single lines"),
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
    if kind != "a huge page":
        with pytest.raises(UserError):  # what training refuses, and nothing else
            images.read_image(item, "scan7")


def test_missing_image_and_folder(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ReaderError, match=f"^{path}: "):
            runtime.read_image(path)


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


def make_reader(direction="ltr", threads=2):
    metadata = {"config": json.dumps(CONFIG), "vocabulary": json.dumps(list("abcdefghijklmnopqrstuvwxyz"))}
    return runtime.Reader(Session(), metadata | {"direction": direction}, threads)


def test_results_come_in_the_order_of_the_inputs(monkeypatch):
    monkeypatch.setattr(runtime, "WINDOW", 7)
    draw = np.random.default_rng(0)
    sizes = [
        (int(h), int(w)) for h, w in zip(draw.integers(10, 90, 40), draw.integers(1, 2500, 40), strict=True)
    ]
    inputs = [np.zeros(size, "uint8") for size in sizes]
    wanted = ["abcdefghijklmnopqrstuvwxyz"[w // 100] * (h // 10) for h, w in sizes]
    reader = make_reader()
    for arguments in ({}, {"batch_size": 1}, {"batch_size": 50}, {"beam_width": 2}):
        assert reader(inputs, **arguments) == wanted
        assert reader(iter(inputs), **arguments) == wanted
        lines = reader(inputs, details=True, **arguments)
        assert [line.text for line in lines] == wanted
        assert ["".join(c for c, _, _ in line.characters) for line in lines] == wanted
    assert reader([]) == []


def test_batches_are_full_narrow_and_small():
    draw = np.random.default_rng(1)
    lines = {
        i: np.zeros((int(h), int(h * a), 1), "uint8")
        for i, (h, a) in enumerate(draw.uniform(10, 90, (99, 2)))
    }
    batches = list(runtime._batches(lines, 8))
    assert sorted(key for batch in batches for key in batch) == list(range(99))
    assert max(map(len, batches)) == 8 and len(batches) < 20
    for batch in batches:
        heights = [image.shape[0] for image in batch.values()]
        assert max(heights) <= 2 * min(heights)
    long = {i: np.zeros((200, 40_000, 1), "uint8") for i in range(4)}
    assert [len(batch) for batch in runtime._batches(long, 8)] == [1, 1, 1, 1]


def test_one_input_needs_no_list(tmp_path):
    path = tmp_path / "line.png"
    GREY.save(path)
    for item in (path, str(path), path.read_bytes(), GREY, np.asarray(GREY)):
        assert make_reader()(item) == ["aa"]


def test_mixed_channels_in_one_batch():
    reader = make_reader(threads=1)
    assert reader([GREY, COLOUR]) == ["aa", "aa"]
    assert reader.session.batches == [(2, 20, 50, 3)]


def test_a_bad_image_raises_or_takes_its_place(tmp_path):
    with pytest.raises(ReaderError, match="^input 2: "):
        make_reader()([GREY, b"", GREY])
    first, bad, last = make_reader()([GREY, tmp_path / "none.png", GREY], errors="return")
    assert (first, last) == ("aa", "aa")
    assert isinstance(bad, ReaderError) and "none.png" in str(bad)


def test_beam_width_must_be_positive():
    with pytest.raises(ValueError, match="beam_width"):
        make_reader()(GREY, beam_width=0)


def test_extents_of_a_beam_are_in_pixels_of_the_image():
    (line,) = make_reader()(np.zeros((20, 50), "uint8"), beam_width=3, details=True)
    # A frame is 4 columns at height 40, thus 2 of this image; the letters are in frames 1 and 3.
    assert line.characters == [("a", 2.0, 4.0), ("a", 6.0, 8.0)]
    assert line.confidence == pytest.approx(1.0, abs=1e-4)
    (empty,) = make_reader()(np.zeros((9, 50), "uint8"), beam_width=3, details=True)
    assert (empty.text, empty.confidence, empty.characters) == ("", 1.0, [])


def test_right_to_left_lines_come_in_logical_order_with_their_extents():
    reader = make_reader(direction="rtl")
    reader.vocabulary = list("اب12")
    line = reader._line([1, 3, 4, 2], 4, 0.9, [0, 10, 20, 30], [5, 15, 25, 35])
    assert line.text == "ب12ا"
    assert line.characters == [("ب", 30, 35), ("1", 10, 15), ("2", 20, 25), ("ا", 0, 5)]


# === Model files ===


def model_bytes(**metadata):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([node], "g", [x], [y])
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
        (model_bytes(format="2", task="line_ocr"), "format 2"),
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


def test_missing_model(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ReaderError, match="there is no such file"):
            runtime.load(path)


def test_from_a_shell(tmp_path):
    for arguments in ([], [str(tmp_path / "none.onnx"), "scan.png"]):
        run = subprocess.run([sys.executable, runtime.__file__, *arguments], capture_output=True, text=True)
        assert run.returncode in (1, 2) and run.stdout == "" and len(run.stderr.splitlines()) == 1
