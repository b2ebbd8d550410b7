"""kraken's recognisers, imported: from files of its layout with random weights, beside NumPy and Pillow."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import zoo
from tests.coreml import field, floats, kraken_mlmodel
from zoo.cli import main
from zoo.errors import UserError
from zoo.families.line_ocr.importing import import_model

HEIGHT, MARGIN = 12, 16
SPEC = (
    "[1,12,0,1 Cr{C_0}3,4,4,1,2 Gn{Gn_1}2 Mp{Mp_2}2,2 Do{Do_3}0.1,2 Cs{C_4}2,3,3 S{S_5}1(1x0)1,3 "
    "Lbx{L_6}5 Grx{G_7}4 Do{Do_8} O{O_9}1c6 O{O_10}1c9]"
)
CODEC = {" ": [1], "a": [2], "e": [3], "\u0301": [4], "ffi": [5], "x": [6, 2], "y": [6, 7]}


def random_arrays():
    """kraken's arrays of ``SPEC`` by the names that it gives them."""
    random = np.random.default_rng(3)
    shapes = {
        "C_0.co.weight": (4, 1, 3, 4), "C_0.co.bias": (4,),
        "Gn_1.layer.weight": (4,), "Gn_1.layer.bias": (4,),
        "C_4.co.weight": (3, 4, 2, 3), "C_4.co.bias": (3,),
        "O_9.lin.weight": (6, 4), "O_9.lin.bias": (6,), "O_10.lin.weight": (9, 6), "O_10.lin.bias": (9,),
    }  # fmt: skip
    for name, inputs, units, ends in (("L_6", 15, 5, ("", "_reverse")), ("G_7", 10, 4, ("",))):
        for end in ends:
            shapes[f"{name}.layer.weight_ih_l0{end}"] = (4 * units, inputs)
            shapes[f"{name}.layer.weight_hh_l0{end}"] = (4 * units, units)
            shapes[f"{name}.layer.bias_ih_l0{end}"] = shapes[f"{name}.layer.bias_hh_l0{end}"] = (4 * units,)
    return {name: random.normal(0, 0.7, shape).astype("float32") for name, shape in shapes.items()}


def write_safetensors(path, arrays, **about):
    about = {"_tasks": ["recognition"], "seg_type": "baselines", "vgsl": SPEC, "codec": CODEC} | about
    arrays = {f"key.nn.{name}": np.ascontiguousarray(value) for name, value in arrays.items()}
    save_file(arrays, path, {"kraken_meta": json.dumps({"key": about})})
    return path


def write_mlmodel(path, arrays, metadata=None, **about):
    about = {"model_type": "recognition", "seg_type": "baselines"} | about
    layers = []

    def add(name, number, *inner):
        layers.append(field(1, field(1, name), field(2, "a"), field(3, "b"), field(number, *inner)))

    def lstm(name, end):
        ih, hh = arrays[f"{name}.layer.weight_ih_l0{end}"], arrays[f"{name}.layer.weight_hh_l0{end}"]
        bias = arrays[f"{name}.layer.bias_ih_l0{end}"] + arrays[f"{name}.layer.bias_hh_l0{end}"]
        fields = []
        for first, values in ((1, ih), (20, hh), (40, bias)):
            fields += [floats(first + i, gate) for i, gate in enumerate(np.split(values, 4))]
        return field(20, *fields)

    for name in ("C_0", "C_4"):
        weight, bias = arrays[f"{name}.co.weight"], arrays[f"{name}.co.bias"]
        add(f"{name}_conv", 100, field(1, len(bias)), floats(90, weight), floats(91, bias))
        add(f"{name}_act", 130)
    weight, bias = arrays["Gn_1.layer.weight"], arrays["Gn_1.layer.bias"]
    add("Gn_1", 500, field(10, "groupnorm"), floats(20, weight), floats(20, bias))
    add("L_6", 430, field(2, 5), lstm("L_6", ""), lstm("L_6", "_reverse"))
    add("G_7", 420, field(2, 4), lstm("G_7", ""))
    for name in ("O_9", "O_10"):
        add(
            f"{name}_lin",
            140,
            floats(20, arrays[f"{name}.lin.weight"]),
            floats(21, arrays[f"{name}.lin.bias"]),
        )
    texts = {"vgsl": SPEC, "codec": json.dumps(CODEC), "kraken_meta": json.dumps(about)} | (metadata or {})
    path.write_bytes(kraken_mlmodel(texts, layers))
    return path


# === kraken's network in NumPy, channels first as there ===


def convolution(x, weight, bias, stride=(1, 1)):
    high, wide = weight.shape[2:]
    x = np.pad(x, ((0, 0), ((high - 1) // 2,) * 2, ((wide - 1) // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (high, wide), (1, 2))
    windows = windows[:, :: stride[0], :: stride[1]]
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, arrays, name, end="", backwards=False):
    ih, hh = arrays[f"{name}.layer.weight_ih_l0{end}"], arrays[f"{name}.layer.weight_hh_l0{end}"]
    bias = arrays[f"{name}.layer.bias_ih_l0{end}"] + arrays[f"{name}.layer.bias_hh_l0{end}"]
    output = cell = np.zeros(hh.shape[1])
    found = []
    for step in x[::-1] if backwards else x:
        enter, forget, candidate, leave = np.split(ih @ step + hh @ output + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        output = sigmoid(leave) * np.tanh(cell)
        found.append(output)
    return np.stack(found[::-1] if backwards else found)


def by_numpy(pixels, arrays):
    """``[columns, rows]`` -> log probabilities ``[frames, symbols]``."""
    a = {name: value.astype("float64") for name, value in arrays.items()}
    x = np.maximum(convolution(pixels.T[None], a["C_0.co.weight"], a["C_0.co.bias"], (1, 2)), 0)
    groups = x.reshape(2, -1)
    groups = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-5)
    x = groups.reshape(x.shape) * a["Gn_1.layer.weight"][:, None, None] + a["Gn_1.layer.bias"][:, None, None]
    x = x[:, :12, : x.shape[2] // 2 * 2].reshape(4, 6, 2, -1, 2).max((2, 4))
    x = convolution(x, a["C_4.co.weight"], a["C_4.co.bias"])  # a sigmoid is left out by kraken
    x = x.transpose(2, 1, 0).reshape(x.shape[2], -1)
    x = np.concatenate([lstm(x, a, "L_6"), lstm(x, a, "L_6", "_reverse", True)], 1)
    x = lstm(x, a, "G_7")  # an LSTM, and forward, whatever its name
    for name in ("O_9", "O_10"):
        x = x @ a[f"{name}.lin.weight"].T + a[f"{name}.lin.bias"]
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def as_kraken_sees(image):
    grey = image.convert("L")
    grey = grey.resize((int(grey.width * HEIGHT / grey.height), HEIGHT), Image.Resampling.LANCZOS)
    return np.pad(1 - np.asarray(grey).T / 255, ((MARGIN, MARGIN), (0, 0)))


def lines():
    random = np.random.default_rng(5)
    return [
        Image.fromarray(random.integers(0, 256, shape, "uint8"))
        for shape in ((31, 200, 3), (9, 77, 3), (12, 40, 3), (64, 333, 3))
    ]


@pytest.mark.parametrize("write", [write_mlmodel, write_safetensors])
def test_an_imported_model_computes_what_kraken_does_alone_and_in_a_batch(tmp_path, write):
    arrays = random_arrays()
    name = {write_mlmodel: "a.mlmodel", write_safetensors: "a.safetensors"}[write]
    task, int8 = import_model(write(tmp_path / name, arrays), "CC0")
    assert not int8 and task.config.height == HEIGHT and task.config.margin == MARGIN
    images = lines()
    size = np.int32([image.size[::-1] for image in images])
    batch = np.full((len(images), *size.max(0), 3), 255, "uint8")
    for row, image in zip(batch, images, strict=True):
        row[: image.height, : image.width] = image
    answer = keras.tree.map_structure(np.asarray, task.serving.function({"image": batch, "size": size}))
    pixels, columns = task.preprocess(batch, size)
    for i, image in enumerate(images):
        seen = as_kraken_sees(image)
        assert np.array_equal(np.asarray(columns)[i], len(seen))
        assert np.allclose(np.asarray(pixels)[i, : len(seen), :, 0], seen, atol=1e-6)
        assert not np.asarray(pixels)[i, len(seen) :].any()
        expected = by_numpy(seen, arrays)
        assert answer["lengths"][i] == len(expected)
        assert np.abs(answer["log_probs"][i, : len(expected)] - expected).max() < 1e-4
        assert (answer["ends"][i] <= image.width).all() and (answer["starts"][i] >= 0).all()


def test_labels_stand_for_what_the_codec_says(tmp_path):
    task, _ = import_model(write_mlmodel(tmp_path / "a.mlmodel", random_arrays()), "CC0")
    vocabulary = task.vocabulary
    assert len(vocabulary) == 9
    assert vocabulary.encode("x é yffi") == [6, 2, 1, 3, 4, 1, 6, 7, 5]
    assert vocabulary.decode([6, 2, 1, 3, 4, 1, 6, 7, 5, 8]) == "x é yffi"  # no text has the label 8


def test_a_folder_is_written_and_read_again(tmp_path, capsys):
    source = write_safetensors(tmp_path / "my model.safetensors", random_arrays(), seg_type="bbox")
    assert main(["import", str(source), "--output", str(tmp_path / "out"), "--licence", "CC-BY-4.0"]) == 0
    assert "[1,12,0,1 Cr3,4,4,1,2" in capsys.readouterr().out
    card = (tmp_path / "out" / "card.md").read_text()
    assert "CC-BY-4.0" in card and "# my model" in card and "in boxes" in card
    task = zoo.load(tmp_path / "out")
    assert task.config.contrast == "straightened"
    image = np.full((30, 200), 230, "uint8")
    image[8:22, 20:180:7] = 30
    (line,) = task.predict([image], details=True)
    assert line.text and all(0 <= one.start <= one.end <= 200 for one in line.characters)


def test_rows_as_channels_and_biases_as_ones(tmp_path):
    """Models of clstm: [1,1,0,H, LSTMs whose first input is always 1, and such an output."""
    random = np.random.default_rng(2)
    shapes = {"O_1.lin.weight": (3, 9), "O_1.lin.bias": (3,)}
    for end in ("", "_reverse"):
        shapes |= {f"L_0.layer.weight_ih_l0{end}": (16, 13), f"L_0.layer.weight_hh_l0{end}": (16, 4)}
    arrays = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    codec = {"a": [1], "b": [2]}
    path = write_safetensors(tmp_path / "a.safetensors", arrays, vgsl="[1,1,0,12 Lbxc4 O1ca3]", codec=codec)
    task, _ = import_model(path, "CC0")
    image = lines()[0]
    pixels = as_kraken_sees(image)
    whole = dict(arrays)
    for end in ("", "_reverse"):
        whole[f"L_0.layer.bias_ih_l0{end}"] = whole[f"L_0.layer.bias_hh_l0{end}"] = np.zeros(16)
    ones = np.ones((len(pixels), 1))
    x = np.concatenate([ones, pixels], 1)
    x = np.concatenate([lstm(x, whole, "L_0"), lstm(x, whole, "L_0", "_reverse", True)], 1)
    x = np.concatenate([ones, x], 1) @ arrays["O_1.lin.weight"].T + arrays["O_1.lin.bias"]
    logits = task.network({"image": pixels[None, :, :, None], "columns": np.int32([len(pixels)])})
    assert np.abs(np.asarray(logits)[0] - x).max() < 1e-4


def test_lstms_along_columns(tmp_path):
    random = np.random.default_rng(4)
    shapes = {
        "O_3.lin.weight": (3, 4),
        "O_3.lin.bias": (3,),
        "C_0.co.weight": (2, 1, 3, 3),
        "C_0.co.bias": (2,),
    }
    for name, inputs, units, ends in (("L_1", 2, 3, ("", "_reverse")), ("L_2", 6, 4, ("",))):
        for end in ends:
            shapes[f"{name}.layer.weight_ih_l0{end}"] = (4 * units, inputs)
            shapes[f"{name}.layer.weight_hh_l0{end}"] = (4 * units, units)
            shapes[f"{name}.layer.bias_ih_l0{end}"] = shapes[f"{name}.layer.bias_hh_l0{end}"] = (4 * units,)
    arrays = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    spec = "[1,12,0,1 Ct3,3,2,3,2 Lby3 Lfys4 O1c3]"
    codec = {"a": [1], "b": [2]}
    task, _ = import_model(write_safetensors(tmp_path / "a.safetensors", arrays, vgsl=spec, codec=codec), "")
    pixels = as_kraken_sees(lines()[2])
    x = np.tanh(convolution(pixels.T[None], arrays["C_0.co.weight"], arrays["C_0.co.bias"], (3, 2)))
    found = []
    for column in x.transpose(2, 1, 0):
        both = [lstm(column, arrays, "L_1"), lstm(column, arrays, "L_1", "_reverse", True)]
        found.append(lstm(np.concatenate(both, 1), arrays, "L_2")[-1])
    expected = np.stack(found) @ arrays["O_3.lin.weight"].T + arrays["O_3.lin.bias"]
    logits = task.network({"image": pixels[None, :, :, None], "columns": np.int32([len(pixels)])})
    assert np.abs(np.asarray(logits)[0] - expected).max() < 1e-4


def change(spec, old, new):
    assert old in spec
    return spec.replace(old, new)


@pytest.mark.parametrize(
    "about, says",
    [
        ({"_tasks": ["segmentation"]}, "for segmentation"),
        ({"_tasks": None, "vgsl": change(SPEC, "O{O_10}1c9", "O{O_10}2l9")}, "marks pixels"),
        ({"_model": "ROMLP"}, "ROMLP"),
        ({"vgsl": None}, "VGSL"),
        ({"vgsl": change(SPEC, "Mp{Mp_2}2,2", "I{I_2}")}, r"a layer I\{I_2\}"),
        ({"vgsl": change(SPEC, "Cr{", "CTr{")}, "a layer CTr"),
        ({"vgsl": change(SPEC, "Cr{C_0}3,4,4,1,2", "Cr{C_0}3,4,4,1,2,2,2")}, "a layer Cr"),
        ({"vgsl": change(SPEC, "Lbx{", "Lbxo{")}, "a layer Lbxo"),
        ({"vgsl": change(SPEC, "Lbx{", "Lbxs{")}, "a layer Lbxs"),
        ({"vgsl": change(SPEC, "[1,12,0,1", "[1,12,0,3")}, "colours"),
        ({"vgsl": change(SPEC, "[1,12,0,1", "[1,12,99,1")}, "cannot be built"),
        ({"vgsl": change(SPEC, "[1,12,0,1", "[1,48,0,1")}, "do not fit"),
        ({"vgsl": change(SPEC, "S{S_5}1(1x0)1,3 ", "")}, "cannot be built"),
        ({"vgsl": change(SPEC, "Gn{Gn_1}2", "Gn{Gn_1}3")}, "cannot be built"),
        ({"vgsl": change(SPEC, "L_6", "L_16")}, "L_16.layer"),
        ({"vgsl": change(SPEC, "Lbx{L_6}5", "Lbx{L_6}6")}, "do not fit"),
        ({"vgsl": change(SPEC, " O{O_9}1c6 O{O_10}1c9", "")}, "no output"),
        ({"codec": None}, "no codec"),
        ({"codec": {"a": [9]}}, "outputs 1 to 8"),
        ({"codec": {"a": [0]}}, "outputs 1 to 8"),
        ({"codec": {"a": "1"}}, "no labels"),
        ({"codec": {"a": [1], "b": [1]}}, "several texts"),
        ({"codec": {"a": [1], "b": [1, 2]}}, "begin those of 'b'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, capsys, about, says):
    path = write_safetensors(tmp_path / "bad.safetensors", random_arrays(), **about)
    with pytest.raises(UserError, match=says) as error:
        import_model(path, "CC0")
    assert str(error.value).startswith(f"{path}: ")
    assert main(["import", str(path), "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_files_that_are_none_of_kraken(tmp_path):
    good = write_safetensors(tmp_path / "good.safetensors", random_arrays()).read_bytes()
    cut, other = tmp_path / "cut.safetensors", tmp_path / "other.safetensors"
    for count in (0, 5, 200, len(good) - 1):
        cut.write_bytes(good[:count])
        with pytest.raises(UserError, match="cut.safetensors: this .safetensors is damaged"):
            import_model(cut, "")
    save_file({"a": np.zeros(3, "float32")}, other)
    with pytest.raises(UserError, match="none of kraken's"):
        import_model(other, "")
    for metadata, says in (({"codec": "{"}, "codec is no JSON"), ({"kraken_meta": "[1]"}, "no JSON object")):
        with pytest.raises(UserError, match=says):
            import_model(write_mlmodel(tmp_path / "b.mlmodel", random_arrays(), metadata), "")
    with pytest.raises(UserError, match="for segmentation"):
        import_model(write_mlmodel(tmp_path / "c.mlmodel", random_arrays(), model_type="segmentation"), "")


def test_half_precision_is_read(tmp_path):
    arrays = {name: value.astype("float16") for name, value in random_arrays().items()}
    task, _ = import_model(write_safetensors(tmp_path / "a.safetensors", arrays), "")
    assert np.array_equal(np.asarray(task.network.get_layer("conv_0").bias), arrays["C_0.co.bias"])
