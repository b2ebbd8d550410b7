"""Tesseract's models as tasks: the same numbers, the texts that codes spell, errors in one sentence."""

import itertools
import math

import numpy as np
import pytest
from helpers_traineddata import layer, network, traineddata

import zoo
from export import runtime
from zoo.cli import main
from zoo.errors import UserError
from zoo.families.line_ocr.importing import import_model
from zoo.families.line_ocr.vgsl import NOISE

NAMES = [" ", "Joined", "|Broken|0|1", "a", "字", "क्"]
CODES = [(0,), (5,), (4,), (1,), (2, 3), (6,)]


@pytest.fixture
def file(tmp_path):
    def file(int8=False, names=NAMES, codes=CODES, blank=4, **more):
        tree, matrices = network(12, 7, np.random.default_rng(3), int8, **more)
        path = tmp_path / "xyz.traineddata"
        path.write_bytes(traineddata(tree, names, codes, blank))
        return path, matrices

    return file


def forward(matrices, image, blank):
    """Probabilities ``[frames, symbols]``, blank first, as Tesseract computes them, by NumPy in float64.

    ``image``: ``[columns, rows]``.
    """

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def lstm(gates, steps):
        h, c, found = np.zeros(len(gates[0])), np.zeros(len(gates[0])), []
        for x in steps:
            g, i, f, o = (matrix @ np.concatenate([x, h, [1]]) for matrix in gates)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            found.append(h)
        return found

    columns, rows = image.shape
    frame = np.random.default_rng(0).uniform(-1, 1, (NOISE, rows + 2)).astype("float32")
    seen = frame[np.arange(columns + 2) % NOISE].astype(float)
    seen[1:-1, 1:-1] = image
    patches = np.stack([seen[x : x + columns, y : y + rows] for x in range(3) for y in range(3)], -1)
    x = np.tanh(patches @ matrices[0][:, :-1].T + matrices[0][:, -1])
    wide, high = columns // 3, rows // 3
    x = x[: wide * 3, : high * 3].reshape(wide, 3, high, 3, -1).max((1, 3))
    x = [lstm(matrices[1:5], column)[-1] for column in x]
    x = lstm(matrices[5:9], x)
    x = lstm(matrices[9:13], x[::-1])[::-1]
    scores = np.array(x) @ matrices[13][:, :-1].T + matrices[13][:, -1]
    scores = scores[:, [blank, *(row for row in range(scores.shape[1]) if row != blank)]]
    scores -= scores.max(-1, keepdims=True)
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


@pytest.mark.parametrize("int8", [False, True])
def test_the_network_computes_the_same(file, int8, draw_line):
    path, matrices = file(int8)
    task, is_int = import_model(path, "Apache-2.0")
    assert is_int == int8 and task.config.vgsl == "[1,12,0,1 Ct3,3,4 Mp3,3 Lfys5 Lfx6 Lrx6 O1c7]"
    if int8:
        scale = [np.abs(matrix).max(1, keepdims=True) / 127 for matrix in matrices]
        matrices = [np.rint(matrix / one) * one for matrix, one in zip(matrices, scale, strict=True)]
    image, size = runtime.pad_lines([draw_line("a line", size=30)[:, :, None]])
    pixels, columns = task.preprocess(image, size)
    found = task.compiled_serve({"image": image, "size": size})
    wanted = forward(matrices, np.asarray(pixels)[0, : columns[0], :, 0], 4)
    assert found["lengths"][0] == len(wanted)
    np.testing.assert_allclose(np.exp(np.asarray(found["log_probs"])[0, : len(wanted)]), wanted, atol=2e-5)


def test_codes_spell_texts(file):
    vocabulary = import_model(file()[0], "Apache-2.0")[0].vocabulary
    row = {code: number for number, code in enumerate([0, 1, 2, 3, 5, 6], 1)}
    assert vocabulary.encode("a字 aक्?") == [row[code] for code in (1, 2, 3, 0, 1, 6)]
    assert vocabulary.decode(vocabulary.encode("a字 aक्")) == "a字 aक्"
    assert vocabulary.decode([row[2], row[1], row[5]]) == "a"  # half of a code, and Joined, are nothing
    assert vocabulary.unknown("a字?") == ["?"] and "字" in vocabulary
    again = type(vocabulary).from_json(vocabulary.to_json())
    assert again == vocabulary and again.spellings == {"字": [row[2], row[3]]}
    longer = vocabulary.extended("aZ字")
    assert longer.characters[-1] == "Z" and longer.encode("Z字") == [7, row[2], row[3]]


def test_a_reader_joins_what_codes_spell():
    rows = ["a", chr(0xF0000), chr(0xF0001), " ", "b́"]
    reader = runtime.Reader(
        None, {"strides": [], "pools": [], "height": 8}, rows, "ltr", {}, 1, None, {"字": [2, 3]}
    )
    spans = [(float(i), i + 0.5, 1 - i / 10) for i in range(7)]
    line = reader._line([1, 2, 3, 4, 4, 2, 5], 0.5, spans)
    assert line.text == "a字 b́"
    assert [(c, start, end) for c, start, end, _ in line.characters] == [
        ("a", 0, 0.5), ("字", 1, 2.5), (" ", 3, 3.5), ("b", 6, 6.5), ("́", 6, 6.5)
    ]  # fmt: skip
    assert line.characters[1].confidence == pytest.approx(0.8)


def test_imported_it_is_a_task_like_any_other(file, tmp_path, capsys, draw_line):
    path, _ = file(int8=True)
    folder, image = tmp_path / "xyz", tmp_path / "a.png"
    assert main(["import", str(path), "--output", str(folder), "--licence", "Apache-2.0"]) == 0
    assert f"zoo predict {folder} line.png" in capsys.readouterr().out
    from PIL import Image

    Image.fromarray(draw_line("a line", size=30)).save(image)
    assert main(["predict", str(folder), str(image)]) == 0
    (text,) = zoo.load(folder).predict([str(image)])
    assert capsys.readouterr().out.strip() == text.strip()
    assert main(["show", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "Apache-2.0" in told and "Lfys5" in told and "measure it" in told
    # Its convolution is too narrow for 8 bits, and no other is there.
    assert main(["export", str(folder), "--output", str(tmp_path / "xyz.onnx"), "--int8"]) == 0
    assert len(runtime.load(tmp_path / "xyz.onnx")([str(image)])) == 1
    assert main(["import", str(path), "--output", str(folder)]) == 2
    assert "it exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "why"), [
    ("model.pth", "a pickle, which can run any program"), ("model.bin", "no model that can be imported"),
    ("none.traineddata", "cannot be read"),
])  # fmt: skip
def test_what_is_not_imported(name, why, tmp_path, capsys):
    if name != "none.traineddata":
        (tmp_path / name).write_bytes(b"\x80\x04")
    assert main(["import", str(tmp_path / name), "--output", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_layers_that_do_not_fit_are_named(file):
    path, _ = file(more=[layer("Parallel", 6, 6, inside=[layer("Reconfig", 6, 6, b"\0" * 8)])])
    with pytest.raises(UserError, match="a layer Parallel of Reconfig"):
        import_model(path, "?")
    path, _ = file(blank=9)
    with pytest.raises(UserError, match="its blank is output 9 of 7"):
        import_model(path, "?")


def test_lines_are_scaled_as_leptonica_does(draw_line):
    from zoo.images.tesseract import normalise_contrast

    for size, height in itertools.product((14, 26, 60), (12, 36)):
        line = draw_line("Figure 7", size=size)
        image, sizes = runtime.pad_lines([line[:, :, None], line[:, ::-1, None], 255 - line[:, :, None]])
        found, columns = (np.asarray(one) for one in normalise_contrast(image, sizes, height))
        wanted = scaled(line, height)
        assert columns.tolist() == [len(wanted)] * 3
        assert np.abs(found[0] - wanted).max() < 0.06 and np.abs(found[0] - wanted).mean() < 2e-3
        np.testing.assert_allclose(found[2], found[0], atol=0.03)  # light on dark


def scaled(grey, height):
    """``[columns, height]``, pixel by pixel."""
    rows, columns = grey.shape
    scale = height / rows
    width = math.floor(scale * columns + 0.5)
    steps, sizes = (rows / height, columns / width), (height, width)
    if scale < 0.7:
        made = np.zeros(sizes)
        for y, x in np.ndindex(sizes):
            edges = [
                (math.floor(16 * s * at + 1e-6) / 16, math.floor(16 * s * (at + 1) + 1e-6) / 16)
                for at, s in zip((y, x), steps, strict=True)
            ]
            (top, bottom), (left, right) = (
                (math.floor(a), math.floor(a) + 1.0) if math.floor(b) > limit - 2 else (a, b)
                for (a, b), limit in zip(edges, grey.shape, strict=True)
            )
            down = np.clip(
                np.minimum(bottom, np.arange(rows) + 1) - np.maximum(top, np.arange(rows)), 0, None
            )
            along = np.clip(
                np.minimum(right, np.arange(columns) + 1) - np.maximum(left, np.arange(columns)), 0, None
            )
            area = (bottom - top) * (right - left)
            made[y, x] = math.floor(down @ grey @ along / area + 0.5 / area + 1e-6)
        around, share = 1, 0.2
    else:
        padded = np.pad(grey, ((0, 1), (0, 1)), mode="edge").astype(float)
        made = np.zeros(sizes)
        for y, x in np.ndindex(sizes):
            (i, a), (j, b) = (
                divmod(math.floor(16 * s * at + 1e-6), 16) for at, s in zip((y, x), steps, strict=True)
            )
            a, b = a / 16, b / 16
            square = padded[i : i + 2, j : j + 2]
            made[y, x] = math.floor(np.array([1 - a, a]) @ square @ np.array([1 - b, b]) + 0.5)
        around, share = 2, 0.4
    pixels = made.copy()
    if rows != height and 0.2 < scale < 1.4:
        for y in range(around, height - around):
            for x in range(around, width - around):
                mean = made[y - around : y + around + 1, x - around : x + around + 1].mean()
                pixels[y, x] = np.clip(math.floor(made[y, x] + share * (made[y, x] - mean) + 0.5), 0, 255)
    line = pixels[height // 2]
    low, high = [], []
    for before, here, after in zip(line, line[1:], line[2:], strict=False):
        if (here < before and here <= after) or (here <= before and here < after):
            low.append(here)
        if (here > before and here >= after) or (here >= before and here > after):
            high.append(here)
    black, white = quantile(low or [0], 0.25), quantile(high or [255], 0.75)
    return np.clip((pixels - black) / ((white - black) / 2) - 1, -1, 1).T


def quantile(values, share):
    target = max(1, math.floor(share * len(values) + 0.5))
    at = sorted(values)[target - 1]
    return at + 1 - (sum(one <= at for one in values) - target) / sum(one == at for one in values)
