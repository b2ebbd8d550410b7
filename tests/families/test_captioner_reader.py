"""The reader of captions: on an engine that names the colours of an image, and on a small ONNX file."""

import io
import itertools
import json
import math
import re
import sys

import numpy as np
import pytest
from helpers import zoo_on_base
from PIL import Image

from export import runtime
from zoo import cli
from zoo.cli import common
from zoo.contract import descriptions
from zoo.contract.descriptions import BEAMS, MAX_LENGTH, Caption
from zoo.contract.reader import Reader
from zoo.errors import UserError
from zoo.families.captioner.reader import CaptionReader
from zoo.plots import sheets as contact_sheet
from zoo.plots.drawing import open_font
from zoo.plots.sheets import GAP, LINE, SIDE
from zoo.text.words import Words

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 50), "blue": (30, 60, 220), "white": (250, 250, 250)}
CONFIG = {"image_at": "attention", "image_size": 32, "beam_width": 3, "length_penalty": 0.5}
WORDS = Words([*COLOURS, "squares", "日本語"])


class Engine:
    """Names the colours of the four quarters of an image and looks at each; a worse hypothesis says less.

    Of samples, the first word is the colour of the first quarter, the noise draws three more.
    """

    def __init__(self, attends=True, beams=99):
        self.attends, self.beams = attends, beams  # hypotheses that there are
        self.calls = []

    def __call__(self, inputs):
        self.calls.append(inputs)
        dtypes = {"image": np.uint8, "beam_width": np.int32, "length_penalty": np.float32}
        dtypes |= {"max_length": np.int32, "noise": np.float32, "temperature": np.float32, "top_k": np.int32}
        assert {name: value.dtype for name, value in inputs.items()} == dtypes
        assert all(inputs[name].shape == () for name in dtypes.keys() - {"image", "noise"})
        batch = len(inputs["image"])
        assert inputs["image"].shape == (batch, 32, 32, 3)
        assert inputs["noise"].shape[::2] == (batch, len(WORDS))
        return self.searched(inputs) | self.sampled(inputs)

    def rows(self, image):
        corners = [image[y, x].astype(int) for y, x in itertools.product((4, 28), repeat=2)]
        nearest = [np.abs(np.array(list(COLOURS.values())) - corner).sum(1).argmin() for corner in corners]
        return [Words.END + 1 + row for row in nearest]

    def searched(self, inputs):
        batch, width = len(inputs["image"]), inputs["beam_width"].item()
        time = max(6, inputs["max_length"].item())
        tokens = np.full((batch, width, time), Words.PAD, np.int32)
        lengths, scores = np.zeros((batch, width), np.int32), np.full((batch, width), -np.inf, np.float32)
        attention = np.zeros((batch, time, 2, 2), np.float32)
        for i, image in enumerate(inputs["image"]):
            rows = [Words.START, *self.rows(image)]  # which says nothing
            for rank in range(min(width, self.beams)):
                said = rows[: max(1, len(rows) - rank)]
                tokens[i, rank, : len(said) + 1] = [*said, Words.END]
                lengths[i, rank], scores[i, rank] = len(said), -0.25 - rank
            for quarter in range(4):
                attention[i, 1 + quarter, quarter // 2, quarter % 2] = 1
        served = {"tokens": tokens, "token_lengths": lengths, "scores": scores}
        return served | ({"attention": attention} if self.attends else {})

    def sampled(self, inputs):
        drawn = Words.END + 1 + inputs["noise"][:, :3, Words.END + 1 :].argmax(2)
        first = [self.rows(image)[0] for image in inputs["image"]]
        tokens = np.column_stack([first, drawn, np.full(len(first), Words.END)]).astype(np.int32)
        scores = -inputs["noise"][:, 0, 0]
        return {"sampled_tokens": tokens, "sampled_lengths": np.full(len(first), 4), "sampled_scores": scores}


@pytest.fixture
def make_reader():
    def make(threads=2, beams=99, **config):
        config = CONFIG | config
        engine = Engine(config["image_at"] == "attention", beams)
        return CaptionReader(engine, config, WORDS, threads=threads)

    return make


def draw(colours, width=50, height=40):
    """An image whose quarters have these colours, and what is to be said of it."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(colours):
        rows = slice(height // 2) if i < 2 else slice(height // 2, None)
        pixels[rows, slice(width // 2) if i % 2 == 0 else slice(width // 2, None)] = COLOURS[colour]
    return pixels, " ".join(colours)


def draw_many(count, seed=0):
    random = np.random.default_rng(seed)
    both = [draw(random.choice(list(COLOURS), 4), *random.integers(20, 90, 2)) for _ in range(count)]
    return [pixels for pixels, _ in both], [text for _, text in both]


@pytest.fixture
def files(tmp_path):
    """Paths of three images, and their captions."""
    photos, texts = draw_many(3, seed=1)
    paths = [tmp_path / f"photo é {i}.{kind}" for i, kind in enumerate(("png", "jpg", "webp"))]
    for photo, path in zip(photos, paths, strict=True):
        Image.fromarray(photo).save(path, quality=95)
    return {str(path): text for path, text in zip(paths, texts, strict=True)}


# === Reading ===


def test_order_windows_and_batches(make_reader):
    reader, (photos, texts) = make_reader(), draw_many(150)
    assert reader(iter(photos)) == texts
    sizes = [len(call["image"]) for call in reader.run.calls]
    assert sum(sizes) == 150 and max(sizes) == CaptionReader.most and len(sizes) == 4 + 4 + 2
    assert {call["max_length"].item() for call in reader.run.calls} == {MAX_LENGTH}


def test_few_images_are_spread_over_all_threads(make_reader):
    reader = make_reader(threads=3)
    reader(draw_many(9)[0])
    assert [len(call["image"]) for call in reader.run.calls] == [3, 3, 3]
    assert reader([]) == [] and len(reader.run.calls) == 3


def test_wide_beams_make_small_batches(make_reader):
    reader = make_reader(threads=1)
    reader(draw_many(20)[0], beam_width=20)
    assert {len(call["image"]) for call in reader.run.calls} == {BEAMS // 20, 4}
    reader(draw_many(2)[0], beam_width=1000)
    assert len(reader.run.calls[-1]["image"]) == 1


def test_alone_is_as_in_a_batch(make_reader):
    reader, (photos, _) = make_reader(), draw_many(20)
    for photo, found in zip(photos, reader(photos, details=True, n_best=2), strict=True):
        (alone,) = reader(photo, details=True, n_best=2)
        assert alone == found and np.array_equal(alone.attention, found.attention)


def test_kinds_of_images(make_reader, files):
    path, text = next(iter(files.items()))
    with open(path, "rb") as file:
        data = file.read()
    picture = Image.open(path)
    reader = make_reader()
    for item in (path, data, picture, np.asarray(picture)):
        assert reader(item) == reader([item]) == [text]


def test_results_come_before_the_last_image(make_reader, monkeypatch):
    monkeypatch.setattr(CaptionReader, "window", 4)

    def photos():
        yield from draw_many(4)[0]
        raise AssertionError("asked for more")

    found = make_reader().stream(photos())
    assert [next(found).text for _ in range(4)] == draw_many(4)[1]
    with pytest.raises(AssertionError, match="asked for more"):
        next(found)


def test_bad_images_raise_or_take_their_place(make_reader, files, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    (path, text), *_ = files.items()
    items = [path, str(tmp_path / "bad.png"), b"x", np.zeros((3, 3), np.float32), path]
    reader = make_reader()
    with pytest.raises(UserError, match=r"bad\.png"):
        reader(items)
    first, *bad, last = reader(items, errors="return")
    assert (first, last) == (text, text) and all(isinstance(item, UserError) for item in bad)
    assert [str(error).split()[:2] for error in bad[1:]] == [["image", "3:"], ["image", "4:"]]
    assert sum(len(call["image"]) for call in reader.run.calls) == 2
    assert all(isinstance(item, UserError) for item in reader(items[1:4], errors="return"))


def test_progress_counts_images(make_reader, monkeypatch, capsys):
    bars = []

    class Bar:
        def __init__(self, **settings):
            self.settings, self.total, self.n = settings, settings["total"], 0
            bars.append(self)

        def update(self, count):
            self.n += count

        clear = refresh = lambda self: None

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr("tqdm.tqdm", Bar)
    photos = [*draw_many(70)[0], b"bad"]
    make_reader()(photos, errors="return", progress=True)
    make_reader()(photos, errors="return", temperature=1, n_best=3)
    assert [(bar.total, bar.n, bar.settings["disable"]) for bar in bars] == [(71, 71, False), (71, 71, True)]
    assert capsys.readouterr().err == ""


# === Searching ===


def test_hypotheses(make_reader):
    photo, text = draw(["red", "blue", "white", "green"])
    (found,) = make_reader()(photo, details=True, n_best=3)
    assert found.hypotheses == [(text, -0.25), ("red blue white", -1.25), ("red blue", -2.25)]
    assert (found.text, found.score, found.words) == (text, -0.25, text.split())
    assert found.to_json() == {"text": text, "score": -0.25, "confidence": round(math.exp(-0.25 / 5), 4)}
    assert len(make_reader()(photo, details=True)[0].hypotheses) == 1
    (few,) = make_reader(beams=2)(photo, details=True, n_best=3)
    assert len(few.hypotheses) == 2


def test_attention_is_of_the_words(make_reader):
    photo, text = draw(["red", "blue", "white", "green"])
    (found,) = make_reader()(photo, details=True)
    assert found.attention.dtype == np.float32 and found.attention.shape == (len(found.words), 2, 2)
    assert np.array_equal(found.attention.reshape(4, 4), np.eye(4))


def test_models_without_attention(make_reader):
    (found,) = make_reader(image_at="first_step")(draw(["red"] * 4)[0], details=True)
    assert found.words and found.attention is None


def test_the_other_way_takes_one_step(make_reader):
    """The graph always searches and samples."""
    reader, (photo, _) = make_reader(), draw(["red"] * 4)
    reader(photo)
    (found,) = reader(photo, details=True, temperature=1)
    search, sampling = reader.run.calls
    assert search["noise"].shape == (1, 1, len(WORDS)) and search["max_length"] == MAX_LENGTH
    assert sampling["noise"].shape == (1, MAX_LENGTH, len(WORDS))
    assert sampling["max_length"] == sampling["beam_width"] == 1 and found.attention is None


def test_width_and_penalty(make_reader):
    reader, (photo, _) = make_reader(), draw(["red"] * 4)
    given = [{}, {"n_best": 2}, {"n_best": 7}, {"beam_width": 9, "n_best": 2, "length_penalty": 0}]
    for search in given:
        reader(photo, **search)
    used = [(call["beam_width"].item(), call["length_penalty"].item()) for call in reader.run.calls]
    assert used == [(3, 0.5), (3, 0.5), (7, 0.5), (9, 0)]


@pytest.mark.parametrize(
    "decoding, problem",
    [
        ({"n_best": 4, "beam_width": 3}, "4 captions.*beam width of 3"),
        ({"n_best": 0}, "1 or more"),
        ({"beam_width": 0}, "1 or more"),
        ({"length_penalty": -0.1}, "0 or more, not -0.1"),
        ({"length_penalty": float("nan")}, "0 or more, not nan"),
        ({"temperature": 1, "beam_width": 2}, "temperature is for sampling.*leave out either"),
        ({"temperature": 0, "length_penalty": 1.0}, "temperature is for sampling.*leave out either"),
        ({"temperature": -0.5}, "a temperature is 0 or more, not -0.5"),
        ({"temperature": float("inf")}, "a temperature is 0 or more, not inf"),
        ({"temperature": 1, "top_k": 0}, "top-k is 1 or more, not 0"),
        ({"temperature": 1, "seed": -1}, "a seed is 0 or more, not -1"),
        ({"temperature": 1, "n_best": 0}, "1 or more"),
        ({"top_k": 5}, "give a temperature"),
        ({"seed": 5}, "give a temperature"),
    ],
)
def test_what_does_not_go_together(make_reader, decoding, problem):
    reader = make_reader()
    with pytest.raises(UserError, match=problem):
        reader.stream([draw(["red"] * 4)[0]], **decoding)
    assert not reader.run.calls


# === Sampling ===


def test_the_same_seed_draws_the_same_whatever_the_batches(make_reader, monkeypatch):
    photos, texts = draw_many(40)
    drawn = make_reader()(photos, details=True, temperature=0.7, seed=3)
    for threads, window, batch in [(1, 64, 16), (3, 7, 16), (2, 64, 3)]:
        monkeypatch.setattr(CaptionReader, "window", window)
        monkeypatch.setattr(CaptionReader, "most", batch)
        assert make_reader(threads)(photos, details=True, temperature=0.7, seed=3) == drawn
    assert [found.text.split()[0] for found in drawn] == [text.split()[0] for text in texts]
    assert len({found.text.partition(" ")[2] for found in drawn}) > 30  # each has noise of its own


def test_other_seeds_draw_others(make_reader):
    reader, (photos, _) = make_reader(), draw_many(10)
    drawn = [reader(photos, temperature=1, **seed) for seed in ({"seed": 0}, {"seed": 1}, {}, {})]
    assert all(a != b for a, b in itertools.combinations(drawn, 2))


def test_the_noise_is_uniform(make_reader):
    reader = make_reader(threads=1)
    reader(draw_many(16)[0], temperature=1, seed=0)
    noise = reader.run.calls[0]["noise"]
    assert noise.shape == (16, MAX_LENGTH, len(WORDS)) and 0 <= noise.min() and noise.max() < 1
    assert np.histogram(noise, 10, (0, 1))[0] == pytest.approx(noise.size / 10, rel=0.15)


def test_several_samples_of_each_image(make_reader):
    reader, (photos, _) = make_reader(), draw_many(10)
    (first, *_) = found = reader(photos, details=True, temperature=1, n_best=5, seed=2)
    assert all(len(call["image"]) <= CaptionReader.most for call in reader.run.calls)
    assert sum(len(call["image"]) for call in reader.run.calls) == 50
    assert all(len({text for text, _ in caption.hypotheses}) > 2 for caption in found)
    assert (first.text, first.score) == first.hypotheses[0] and first.words == first.text.split()
    once = reader(photos, details=True, temperature=1, seed=2)
    assert [caption.hypotheses for caption in once] == [caption.hypotheses[:1] for caption in found]


def test_what_is_sampled_from(make_reader):
    reader, (photo, _) = make_reader(), draw(["red"] * 4)
    for top_k in (None, 2, len(WORDS) + 5):
        reader(photo, temperature=0.5, top_k=top_k)
    used = [(call["temperature"].item(), call["top_k"].item()) for call in reader.run.calls]
    assert used == [(0.5, 0), (0.5, 2), (0.5, 0)]


# === Pictures ===


def is_white(pixels):
    return (pixels == 255).all(-1)


def cells(path, columns):
    """A sheet's images and the captions of one line below them: lists of arrays, row by row."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    step = SIDE + LINE + GAP
    assert pixels.shape[1] == GAP + columns * (SIDE + GAP) and pixels.shape[0] % step == GAP
    corners = itertools.product(
        range(GAP, pixels.shape[0] - GAP, step), range(GAP, pixels.shape[1] - GAP, SIDE + GAP)
    )
    parts = [pixels[top : top + SIDE + LINE, left : left + SIDE] for top, left in corners]
    return [part[:SIDE] for part in parts], [part[SIDE:] for part in parts]


def test_one_sheet_of_all_images(make_reader, tmp_path):
    photos, _ = draw_many(5)
    make_reader().picture(photos, tmp_path / "sheet.png")
    images, texts = cells(tmp_path / "sheet.png", 4)
    for photo, image, text in zip(photos, images, texts, strict=False):
        corners = photo[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.array_equal(image[[8, 8, -8, -8], [8, -8, 8, -8]], corners)
        assert 100 < (~is_white(text)).sum() < text.shape[0] * text.shape[1] / 4
    assert len(images) == 8 and all(is_white(part).all() for part in [*images[5:], *texts[5:]])


def test_several_captions_of_each_image(make_reader, tmp_path):
    photos, _ = draw_many(2)
    reader = make_reader(image_at="first_step")
    reader.picture(photos, tmp_path / "one.png")
    reader.picture(photos, tmp_path / "three.png", n_best=3)
    one, three = (Image.open(tmp_path / f"{name}.png").size for name in ("one", "three"))
    assert one == (2 * (SIDE + GAP) + GAP, SIDE + LINE + 2 * GAP) and three == (one[0], one[1] + 2 * LINE)


def test_what_was_found_is_not_searched_again(make_reader, tmp_path):
    reader, (photos, _) = make_reader(), draw_many(2)
    reader.picture(photos, tmp_path / "drawn.png", reader(photos, details=True, temperature=1))
    assert len(reader.run.calls) == 2 and (tmp_path / "drawn.png").exists()


def test_one_image_as_it_was_looked_at(make_reader, tmp_path):
    photo, _ = draw(["red", "blue", "green", "red"])
    reader = make_reader()
    for found in (None, reader(photo, details=True)):
        reader.picture(photo, tmp_path / "looked.png", found)
        pixels = np.asarray(Image.open(tmp_path / "looked.png").convert("RGB"))
        assert pixels.shape == (GAP + LINE + SIDE + GAP, GAP + 4 * (SIDE + GAP), 3)
        for word in range(4):
            left = GAP + word * (SIDE + GAP)
            title = pixels[GAP : GAP + LINE, left : left + SIDE]
            assert 30 < (~is_white(title)).sum() < title.size / 3
            image = pixels[GAP + LINE :, left:][:SIDE, :SIDE]
            corners = image[[8, 8, -8, -8], [8, -8, 8, -8]]
            seen = corners.max(1) / photo[[0, 0, -1, -1], [0, -1, 0, -1]].max(1)
            assert seen[word] > 0.99 and (np.delete(seen, word) < 0.3).all()
    assert len(reader.run.calls) == 2


def test_what_is_not_looked_at_has_a_sheet(make_reader, tmp_path):
    photo, _ = draw(["red", "blue", "green", "red"])
    make_reader(image_at="every_step").picture(photo, tmp_path / "sheet.png")
    make_reader().picture(photo, tmp_path / "drawn.png", temperature=1, seed=0)
    sizes = {Image.open(tmp_path / f"{name}.png").size for name in ("sheet", "drawn")}
    assert sizes == {(SIDE + 2 * GAP, SIDE + LINE + 2 * GAP)}


def test_attention_is_smooth():
    image = np.full((64, 64, 3), 200, np.uint8)
    seen = contact_sheet.attended(image, np.array([[0.5, 0.0], [0.1, 0.0]], np.float32))[:, :, 0].astype(int)
    assert seen[0, 0] == 200 and seen[0, -1] == 200 * contact_sheet.DARK
    assert np.abs(np.diff(seen[0])).max() < 12 and len(set(seen[0])) > 20
    assert (contact_sheet.attended(image, np.full((7, 7), 1 / 49)) == 200).all()


def test_texts_are_wrapped(tmp_path):
    image, font = draw(["red"] * 4)[0], open_font(contact_sheet.FONT)
    text = "a dog runs through the tall grass " * 3 + "w" * 100 + " 日本語 שלום \ud800 $x_1$ \t \n \x00"
    lines = contact_sheet._wrapped(text, font)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert len(lines) > 8 and all(0 < font.getlength(line) <= SIDE for line in lines)
    assert contact_sheet._wrapped("", font) == []
    contact_sheet.contact_sheet([(image, [text, "日本語"]), (image, [""]), (image, [])], tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").size == (
        3 * (SIDE + GAP) + GAP, SIDE + (len(lines) + 1) * LINE + 2 * GAP,
    )  # fmt: skip


def test_pictures_that_cannot_be(make_reader, tmp_path, monkeypatch):
    reader, (photos, _) = make_reader(), draw_many(3)
    monkeypatch.setattr(descriptions, "SHEET", 2)
    for images in ([], photos):
        with pytest.raises(UserError, match=rf"x\.png: .* from 1 to 2 images, not {len(images)}"):
            reader.picture(images, tmp_path / "x.png")
    monkeypatch.setattr(contact_sheet, "LIMIT", 100_000)
    with pytest.raises(UserError, match=r"x\.png: 2 images .* too many for one sheet; give fewer"):
        reader.picture(photos[:2], tmp_path / "x.png")
    with pytest.raises(UserError, match="image 2"):
        reader.picture([photos[0], b"bad"], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


# === Figures ===


class Corpus:
    skipped = ["x.jpg: there are no captions of this image."]

    def __init__(self, photos, references):
        self.photos, self.references = photos, references

    def __len__(self):
        return len(self.photos)

    def chunks(self, size):
        for at in range(0, len(self), 30):
            yield self.photos[at : at + 30], self.references[at : at + 30]


def test_report(make_reader):
    photos, texts = draw_many(70)
    corpus = Corpus(photos, [[text, "squares"] for text in texts])
    reader = make_reader()
    report = reader.evaluate(corpus, beam_width=4)
    assert (report["bleu4"], report["rouge_l"]) == pytest.approx((100, 1))
    assert (report["beam_width"], report["length_penalty"]) == (4, 0.5) and "seed" not in report
    assert {call["beam_width"].item() for call in reader.run.calls} == {4}
    rows = dict(reader.rows(report))
    names = "images search bleu1 bleu2 bleu3 bleu4 rouge_l cider confidence skipped speed"
    assert list(rows) == names.split()
    assert (rows["images"], rows["search"]) == ("70 (140 captions)", "beam width 4, length penalty 0.5")
    assert (rows["bleu4"], rows["rouge_l"], rows["skipped"]) == ("100.0", "1.000", "1")
    assert re.fullmatch(r"\d+\.\d images a second", rows["speed"])
    assert rows["cider"] == f"{report['cider']:.3f}"


def test_report_of_samples(make_reader):
    """They are what a call draws, though a corpus comes in chunks."""
    photos, _ = draw_many(70)
    reader = make_reader()
    corpus = Corpus(photos, [[text] for text in reader(photos, temperature=0.5, top_k=3, seed=9)])
    report = reader.evaluate(corpus, temperature=0.5, top_k=3, seed=9)
    assert report["bleu4"] == pytest.approx(100) and "beam_width" not in report
    rows = dict(reader.rows(report))
    assert rows["sampling"] == "temperature 0.5, top 3 words, seed 9"
    seed = reader.evaluate(corpus, temperature=1)["seed"]
    assert dict(reader.rows(report | {"top_k": 0, "seed": seed}))["sampling"].endswith(f"0.5, seed {seed}")


# === Model files and the command ===


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An .onnx file that names the colour of an image: a search once, a sample as often as ``top_k`` says.

    The score of a search is the rank below zero, that of a sample the noise of its first step.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        node("ArgMax", ["mean"], ["channel"], axis=1),  # [batch, 1]
        node("Add", ["channel", "four"], ["word64"]),
        node("Cast", ["word64"], ["word"], to=TensorProto.INT32),
        # Searching: [batch, beam, 2].
        node("Range", ["nothing", "beam_width", "step"], ["ranks"]),
        node("Sub", ["word", "word"], ["zeros"]),
        node("Add", ["zeros", "ranks"], ["rank"]),  # [batch, beam]
        node("Sub", ["rank", "rank"], ["zero"]),
        node("Add", ["zero", "word"], ["words"]),
        node("Add", ["zero", "end"], ["ends"]),
        node("Unsqueeze", ["words", "two"], ["first"]),
        node("Unsqueeze", ["ends", "two"], ["second"]),
        node("Concat", ["first", "second"], ["tokens"], axis=2),
        node("Add", ["zero", "step"], ["token_lengths"]),
        node("Neg", ["rank"], ["minus"]),
        node("Cast", ["minus"], ["scores"], to=TensorProto.FLOAT),
        # Sampling: [batch, steps].
        node("Gather", ["noise", "nothing"], ["start"], axis=1),
        node("ReduceSum", ["start", "one"], ["sums"], keepdims=0),
        node("Mul", ["sums", "temperature"], ["sampled_scores"]),
        node("ReduceMean", ["noise"], ["means"], axes=[2], keepdims=0),
        node("Floor", ["means"], ["floors"]),
        node("Cast", ["floors"], ["floor"], to=TensorProto.INT32),
        node("Add", ["floor", "word"], ["sampled_tokens"]),
        node("ReduceSum", ["zeros", "one"], ["none"], keepdims=0),
        node("Add", ["none", "top_k"], ["sampled_lengths"]),
    ]
    constants = {"four": np.int64([4]), "nothing": np.int32(0), "step": np.int32(1)}
    constants |= {"end": np.int32([Words.END]), "two": np.int64([2]), "one": np.int64([1])}
    shapes = {"image": ("UINT8", ["batch", "height", "width", 3]), "noise": ("FLOAT", ["batch", "steps", 10])}
    shapes |= dict.fromkeys(("beam_width", "max_length", "top_k"), ("INT32", []))
    shapes |= dict.fromkeys(("length_penalty", "temperature"), ("FLOAT", []))
    served = {"tokens": ("INT32", ["batch", "beam", 2]), "token_lengths": ("INT32", ["batch", "beam"])}
    served |= {"scores": ("FLOAT", ["batch", "beam"]), "sampled_tokens": ("INT32", ["batch", "steps"])}
    served |= {"sampled_lengths": ("INT32", ["batch"]), "sampled_scores": ("FLOAT", ["batch"])}
    infos = [
        [
            helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
            for name, (kind, shape) in all.items()
        ]
        for all in (shapes, served)
    ]
    values = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "captioner", *infos, values)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    vocabulary = Words(["red", "green", "blue", "x", "y", "z"])
    about = {"format": "1", "task": "captioner", "config": CONFIG | {"image_at": "first_step"}}
    about |= vocabulary.metadata()
    helper.set_model_props(
        built,
        {f"seqzoo.{k}": value if isinstance(value, str) else json.dumps(value) for k, value in about.items()},
    )
    path = tmp_path_factory.mktemp("onnx") / "captioner.onnx"
    onnx.save(built, path)
    return str(path)


@pytest.fixture
def plain(tmp_path):
    """Paths of four images of one colour, and their captions."""
    texts = {}
    for i, colour in enumerate(("blue", "red", "green", "red")):
        Image.new("RGB", (40 + i, 30), COLOURS[colour]).save(tmp_path / f"{i}.png")
        texts[str(tmp_path / f"{i}.png")] = colour
    return texts


def test_a_model_file(model, plain):
    reader = runtime.load(model, threads=2)
    assert isinstance(reader, CaptionReader) and isinstance(reader, Reader) and reader.threads == 2
    assert reader.metadata["task"] == "captioner" and reader.vocabulary.words[:3] == ["red", "green", "blue"]
    assert reader(plain) == list(plain.values())
    (found,) = reader(list(plain)[:1], details=True, n_best=2)
    # An image of one colour shows nothing of which a sentence could be sure.
    assert found == Caption("blue", 0.0, [("blue", 0.0), ("blue", -1.0)], ["blue"], sure=0.0)
    drawn = reader(plain, details=True, temperature=2, top_k=3, seed=1)
    assert [caption.text for caption in drawn] == [" ".join([text] * 3) for text in plain.values()]
    noise = np.random.default_rng([1, 2, 0]).random((MAX_LENGTH, 10), np.float32)
    assert drawn[2].score == pytest.approx(2 * noise[0].sum())


@pytest.mark.parametrize("damage", [{"vocabulary": "%%"}, {"vocabulary": "{}"}, {"config": "{}"}])
def test_damaged_metadata(model, damage, tmp_path):
    import onnx

    graph = onnx.load(model)
    for entry in graph.metadata_props:
        entry.value = damage.get(entry.key.removeprefix("seqzoo."), entry.value)
    onnx.save(graph, tmp_path / "damaged.onnx")
    with pytest.raises(runtime.ReaderError, match="damaged.onnx: its metadata is damaged"):
        runtime.load(tmp_path / "damaged.onnx")


def test_predict_on_the_base_install(model, plain, tmp_path):
    run = zoo_on_base("predict", model, *plain)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.split() == list(plain.values())
    run = zoo_on_base("predict", model, *plain, "--plot", tmp_path / "x.png")
    assert run.returncode == 2 and "seqzoo[train]" in run.stderr and not (tmp_path / "x.png").exists()


def test_formats(model, plain, capsys):
    paths = list(plain)
    assert cli.main(["predict", model, *paths, "--format", "tsv"]) == 0
    assert capsys.readouterr().out == "".join(f"{path}\t{text}\n" for path, text in plain.items())
    assert cli.main(["predict", model, *paths[:2], "--n-best", "2", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["input"], first["text"], second["text"], first["score"]) == (paths[0], "blue", "red", 0.0)
    assert first["hypotheses"][1] == {"text": "blue", "score": -1.0}
    assert cli.main(["predict", model, paths[0], "--n-best", "2"]) == 0
    assert capsys.readouterr().out == "0.0000\tblue\n-1.0000\tblue\n"


def test_sampling_from_the_command(model, plain, capsys):
    sampling = ["--temperature", "0.5", "--top-k", "2"]
    shown = []
    for seed in (["--seed", "0"], ["--seed", "0"], ["--seed", "1"], []):
        assert cli.main(["predict", model, *plain, *sampling, *seed, "--n-best", "2"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and len(set(shown)) == 3
    lines = shown[0].splitlines()
    assert len(lines) == 8 and lines[0].endswith("\tblue blue") and lines[-1].endswith("\tred red")


@pytest.mark.parametrize(
    "options, problem",
    [
        (["--temperature", "1", "--beam-width", "2"], "temperature is for sampling, .*"),
        (["--temperature", "-1"], "a temperature is 0 or more, not -1.0"),
        (["--seed", "1"], "top-k and seed are for sampling: give a temperature, too, or neither"),
        (["--decoder", "beam"], ".*reads images, but --decoder is for .*deep_speech.*; leave it out"),
    ],
)
def test_options_that_cannot_be(model, plain, options, problem, capsys):
    assert cli.main(["predict", model, *plain, *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(f"zoo: {problem}\n", err)


@pytest.mark.parametrize(
    "options", [["--seed", "-1"], ["--seed", "x"], ["--top-k", "0"], ["--temperature", "x"]]
)
def test_options_that_are_no_numbers(model, options, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", model, "x.png", *options])
    assert stop.value.code == 2 and f"argument {options[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, field",
    [
        (["--hot-words", "x"], "deep_speech"),
        (["--length", "1"], "char_lm"),
        (["--top-k=2"], "captioner"),
    ],
)
def test_what_a_reader_of_lines_does_not_understand(
    tmp_path, monkeypatch, make_preset, options, field, capsys
):
    """It is refused before anything is loaded."""
    make_preset(tmp_path / "seeing")
    monkeypatch.setattr(common, "load", lambda name: 1 / 0)
    assert cli.main(["predict", str(tmp_path / "seeing"), "x.png", *options]) == 2
    flag = options[0].partition("=")[0]
    expected = f"seeing: reads images, but {flag} is for {field}.*; leave it out\n$"
    assert re.search(expected, capsys.readouterr().err)


def test_one_sheet_from_the_command(model, plain, tmp_path, monkeypatch, capsys):
    sheet = tmp_path / "out" / "sheet.png"
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [*plain, str(tmp_path / "bad.png")]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(paths).encode())))
    assert cli.main(["predict", model, "-", "--plot", str(sheet), "--temperature", "1", "--top-k", "1"]) == 3
    out, err = capsys.readouterr()
    assert out.split() == list(plain.values()) and err.startswith(f"zoo: {paths[-1]}: ")
    images, texts = cells(sheet, 4)
    assert [tuple(image[50, 50]) for image in images] == [COLOURS[colour] for colour in plain.values()]
    assert all((~is_white(text)).sum() > 50 for text in texts)


def test_json_is_whole_where_the_sheet_cannot_be(model, plain, tmp_path, capsys):
    (tmp_path / "sheet.png").mkdir()
    arguments = ["predict", model, *plain, "--format", "json", "--plot", str(tmp_path / "sheet.png")]
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert [item["text"] for item in json.loads(out)] == list(plain.values())
    assert re.fullmatch(r"zoo: .*sheet\.png: .*\n", err)
    assert cli.main([*arguments[:2], "gone.png", *arguments[-2:]]) == 2  # and there is nothing to draw
    assert capsys.readouterr().err.count("\n") == 1
