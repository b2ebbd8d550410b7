"""Calamari's checkpoints, imported: files of its layouts with random weights, beside NumPy."""

import json
import pickle

import h5py
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from export import runtime
from zoo.cli import main
from zoo.errors import UserError
from zoo.families.line_ocr.importing import import_model

HEIGHT = 22
CODEC = ["", " ", "a", "e", "\u00e9", "\ue8b7"]  # the last for private use, as old prints have it
LAYERS = [
    ("conv", {"filters": 3, "kernel_size": (3, 3)}),
    ("pool", {"pool_size": (4, 2)}),
    ("conv", {"filters": 4, "kernel_size": (2, 3), "strides": (1, 2), "activation": "tanh"}),
    ("pool", {"pool_size": (2, 3), "strides": (1, 2)}),
    ("lstm", {"hidden_nodes": 5}),
    ("dropout", {"rate": 0.25}),
    ("lstm", {"hidden_nodes": 3}),
]
SPEC = "[1,22,0,1 Cr3,3,3 Mps2,4 Cts3,2,4,2,1 Mps3,2,2,1 S1(1x0)1,3 Lbx5 Do0.25 Lbx3 O1c6]"
PLAIN = [LAYERS[0], ("pool", {"pool_size": (2, 2)}), ("lstm", {"hidden_nodes": 5})]  # what versions 2, 3 know
PLAIN_SPEC = "[1,22,0,1 Cr3,3,3 Mps2,2 S1(1x0)1,3 Lbx5 Do0.5 O1c6]"
KINDS = {  # names of version 2, 3, and from 4 on
    "conv": ("CONVOLUTIONAL", "convolutional", "conv2d:Conv2DLayerParams"),
    "pool": ("MAX_POOLING", "max_pooling", "pool2d:MaxPool2DLayerParams"),
    "lstm": ("LSTM", "lstm", "bilstm:BiLSTMLayerParams"),
    "dropout": (None, None, "dropout:DropoutLayerParams"),
}


def pair(value):
    return {"x": value[0], "y": value[1]} if isinstance(value, tuple) else value


def settings_6(layers=LAYERS, classes=6, way="center_normalizer:CenterNormalizer", **more):
    """A ``.json`` of the versions 4 to 6."""
    modules = "calamari_ocr.ocr"

    def processor(name, **settings):
        modes = settings.pop("modes", ["prediction", "training"])
        return {"modes": modes, "__cls__": f"{modules}.dataset.{name}ProcessorParams"} | settings

    final = {"normalize": True, "invert": True, "transpose": True, "pad": 16, "pad_value": 0}
    extra = {"extra_params": [4, 1.0, 0.3], "line_height": HEIGHT} if "Center" in way else {"height": HEIGHT}
    processors = [
        processor("imageprocessors.data_range_normalizer:DataRange"),
        processor(f"imageprocessors.{way}", **extra | more.pop("way_settings", {})),
        processor("imageprocessors.final_preparation:FinalPreparation", **final | more.pop("final", {})),
        processor("textprocessors.text_normalizer:TextNormalizer", unicode_normalization="NFC"),
        processor("imageprocessors.augmentation:Augmentation", modes=["training"], n_augmentations=0),
        processor("imageprocessors.preparesample:PrepareSample"),
    ]
    described = [
        {"name": "any", "__cls__": f"{modules}.model.layers.{KINDS[kind][2]}"}
        | {name: pair(value) for name, value in settings.items()}
        for kind, settings in layers
    ]
    model = {"layers": described, "classes": classes, "ensemble": 0} | more.pop("model", {})
    data = {
        "pre_proc": {"processors": processors}, "input_channels": 1, "line_height": HEIGHT,
        "codec": {"charset": CODEC},
    } | more.pop("data", {})  # fmt: skip
    return {"scenario": {"model": model, "data": data}, "version": 6} | more


def settings_3():
    layers = [
        {"type": KINDS[kind][1], "hidden_nodes": settings.get("hidden_nodes", 0), "peepholes": False,
         "filters": settings.get("filters", 0), "stride": pair(settings.get("pool_size", (1, 1))),
         "kernel_size": pair(settings.get("kernel_size", settings.get("pool_size", (0, 0)))),
         "lstm_direction": "bidirectional"}
        for kind, settings in PLAIN
    ]  # fmt: skip
    modes = ["prediction", "training", "evaluation"]
    processors = [
        {"name": "DataRangeNormalizer", "modes": modes, "args": {}},
        {"name": "CenterNormalizer", "modes": modes, "args": {"extra_params": [4, 1.0, 0.3]}},
        {
            "name": "FinalPreparation",
            "modes": modes,
            "args": {"pad": 16, "pad_value": False, "as_uint8": True},
        },
        {"name": "StripTextProcessor", "modes": ["targets", "training"], "args": None},
        {"name": "PrepareSampleProcessor", "modes": modes},
    ]
    data = {"input_channels": 1, "line_height_": HEIGHT, "codec": {"charset": CODEC}}
    data["pre_processors_"] = {"sample_processors": processors}
    model = {"layers": layers, "dropout": 0.5, "classes": len(CODEC)}
    return {"scenario_params": {"model_params": model, "data_params": data}, "version": 3}


def settings_2():
    layers = []
    for kind, settings in PLAIN:
        layer = {"type": KINDS[kind][0]} if kind != "conv" else {}  # what is usual is left out
        names = {"kernel_size": "kernelSize", "pool_size": "kernelSize", "hidden_nodes": "hiddenNodes"}
        layer |= {names.get(name, name): pair(value) for name, value in settings.items()}
        layers.append(layer | {"stride": pair(settings.get("pool_size", (1, 1)))})
    network = {"layers": layers, "dropout": 0.5, "classes": len(CODEC)}
    model = {"network": network, "lineHeight": HEIGHT, "codec": {"charset": CODEC}}
    model["dataPreprocessor"] = {"type": "MULTI_NORMALIZER", "children": [{"lineHeight": 22, "pad": 16}]}
    return {"model": model, "version": 2}


def arrays_of(layers, classes=6):
    """Weights in Calamari's order: of each layer, then of the output."""
    random, shapes, rows, features = np.random.default_rng(3), [], HEIGHT, 1
    for kind, settings in layers:
        along, across = settings.get("kernel_size", (0, 0))
        step = settings.get("strides", settings.get("pool_size", (1, 1)))[1]
        if kind == "conv":
            shapes += [(along, across, features, settings["filters"]), (settings["filters"],)]
            features = settings["filters"]
        if kind == "lstm":
            units = settings["hidden_nodes"]
            shapes += 2 * [(rows * features, 4 * units), (units, 4 * units), (4 * units,)]
            rows, features = 1, 2 * units
        rows = -(-rows // step)
    shapes += [(rows * features, classes), (classes,)]
    return [random.normal(0, 0.7, shape).astype("float32") for shape in shapes]


def write_h5(path, arrays, model=True):
    """As Keras 2 writes a model, or its weights alone, each layer by itself."""
    with h5py.File(path, "w") as file:
        top = file.create_group("model_weights") if model else file
        top.attrs["layer_names"] = [b"img", b"all"]
        top.create_group("img").attrs["weight_names"] = np.zeros(0)
        group, names = top.create_group("all"), []
        for number, value in enumerate(arrays):
            names.append(f"Graph/layer_{number}/value:0".encode())
            group.create_dataset(names[-1].decode(), data=value)
        group.attrs["weight_names"] = names
    return path


def write_checkpoint(folder, version=6, layers=LAYERS, name="0.ckpt", arrays=None, settings=None):
    """A checkpoint; its ``.json``."""
    folder.mkdir(exist_ok=True)
    arrays = arrays_of(layers) if arrays is None else arrays
    if settings is None:
        settings = {2: settings_2, 3: settings_3}.get(version, lambda: settings_6(layers))()
    if version == 6:
        variables = folder / name / "variables" / "variables"
        tf.train.Checkpoint(variables=[tf.Variable(value) for value in arrays]).write(str(variables))
    else:
        write_h5(folder / f"{name}.h5", arrays, model=version > 2)
    (folder / f"{name}.json").write_text(json.dumps(settings | {"version": version}))
    return folder / f"{name}.json"


# === Calamari's network in NumPy: TensorFlow's SAME padding, the blank as the last output ===


def windows(x, size, strides, fill):
    """``[columns, rows, channels]`` -> ``[columns, rows, channels, along, across]``."""
    pads = []
    for count, one, step in zip(x.shape, size, strides, strict=False):
        total = max((-(-count // step) - 1) * step + one - count, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, (*pads, (0, 0)), constant_values=fill)
    found = np.lib.stride_tricks.sliding_window_view(x, size, (0, 1))
    return found[:: strides[0], :: strides[1]]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias):
    output = cell = np.zeros(len(recurrent))
    found = []
    for step in x:
        enter, forget, candidate, leave = np.split(step @ kernel + output @ recurrent + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        output = sigmoid(leave) * np.tanh(cell)
        found.append(output)
    return np.stack(found)


def by_numpy(pixels, layers, arrays, temperature=1.0):
    """``[columns, rows]`` -> log probabilities ``[frames, symbols]``, the blank first."""
    left = iter([value.astype("float64") for value in arrays])
    x = pixels[:, :, None].astype("float64")
    for kind, settings in layers:
        if kind == "conv":
            found = windows(x, settings["kernel_size"], settings.get("strides", (1, 1)), 0)
            x = np.einsum("trcij,ijcd->trd", found, next(left)) + next(left)
            x = np.tanh(x) if settings.get("activation") == "tanh" else np.maximum(x, 0)
        elif kind == "pool":
            size = settings["pool_size"]
            x = windows(x, size, settings.get("strides", size), -np.inf).max((3, 4))
        elif kind == "lstm":
            x = x.reshape(len(x), -1)
            forward = lstm(x, next(left), next(left), next(left))
            x = np.concatenate([forward, lstm(x[::-1], next(left), next(left), next(left))[::-1]], 1)
    x = (x.reshape(len(x), -1) @ next(left) + next(left)) / temperature
    x = np.concatenate([x[:, -1:], x[:, :-1]], 1)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def lines():
    random = np.random.default_rng(5)
    images = []
    for height, width in ((31, 200), (22, 77), (64, 333)):
        row, strokes = np.arange(height)[:, None], np.repeat(random.random(width // 5 + 1) < 0.5, 5)[:width]
        dark = (abs(row - height / 2) < height / 5) & strokes
        images.append((np.where(dark, 30, 210) + random.integers(0, 40, dark.shape)).astype("uint8"))
    return images


def served(task, images):
    image, size = runtime.pad_lines([one[:, :, None] for one in images])
    inputs = {"image": image, "size": size}
    return inputs, {name: np.asarray(value) for name, value in task.compiled_serve(inputs).items()}


@pytest.mark.parametrize(("version", "layers"), [(6, LAYERS), (2, PLAIN)])
def test_an_imported_checkpoint_computes_what_calamari_does_alone_and_in_a_batch(tmp_path, version, layers):
    task, int8 = import_model(write_checkpoint(tmp_path, version, layers), "CC0")
    assert not int8 and task.config.contrast == "dewarped" and task.config.margin == 16
    assert task.config.vgsl == (SPEC if layers is LAYERS else PLAIN_SPEC)
    inputs, answer = served(task, lines())
    pixels, columns = map(np.asarray, task.preprocess(inputs["image"], inputs["size"]))
    for i, image in enumerate(lines()):
        seen = pixels[i, : columns[i], :, 0]
        expected = by_numpy(seen, layers, arrays_of(layers))
        assert answer["lengths"][i] == len(expected)
        assert np.abs(answer["log_probs"][i, : len(expected)] - expected).max() < 1e-4
        assert (answer["ends"][i] <= image.shape[1]).all() and (answer["starts"][i] >= 0).all()


def test_versions_and_both_paths_give_the_same(tmp_path):
    tasks = [import_model(write_checkpoint(tmp_path / f"{v}", v, PLAIN), "")[0] for v in (2, 3)]
    plain = [*PLAIN, ("dropout", {"rate": 0.5})]
    for version in (4, 5, 6):
        path = write_checkpoint(tmp_path / f"{version}", version, plain)
        other = path.with_suffix("") if version == 6 else path.with_suffix(".h5")
        assert other.exists()
        tasks.append(import_model(other, "")[0])
    tasks.append(import_model(tmp_path / "6", "")[0])  # a folder with one checkpoint
    tasks.append(import_model(tmp_path / "4" / "0.ckpt", "")[0])  # what both names begin with
    first, *others = tasks
    for task in others:
        assert task.config == first.config and task.vocabulary == first.vocabulary
        for name, value in first.weights().items():
            assert np.array_equal(task.weights()[name], value), name


def test_scaled_lines_temperature_and_codec(tmp_path):
    way = "scale_to_height_processor:ScaleToHeight"
    codec = {"codec": {"charset": ["ffi", *CODEC[2:]]}}  # without the blank
    settings = settings_6(PLAIN, way=way, model={"temperature": 2.0}, data=codec)
    path = write_checkpoint(tmp_path, layers=PLAIN, settings=settings)
    task, _ = import_model(path, "")
    assert task.config.contrast == "scaled"
    assert task.vocabulary.encode("a\ue8b7ffi\u00e9") == [2, 5, 1, 4]
    pixels = np.random.default_rng(1).random((41, HEIGHT)).astype("float32")
    logits = np.asarray(task.network({"image": pixels[None, :, :, None], "columns": np.int32([41])}))[0]
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert np.abs(log_probs - by_numpy(pixels, PLAIN, arrays_of(PLAIN), 2.0)).max() < 1e-4


def test_imported_read_exported_and_read_again(tmp_path, capsys):
    arrays = arrays_of(PLAIN)
    arrays[-1] = np.float32([0, 3, 3, 3, 3, 0])  # characters rather than blanks
    write_checkpoint(tmp_path, arrays=arrays, layers=PLAIN, name="best.ckpt")
    out, exported = tmp_path / "out", tmp_path / "line.onnx"
    source = f"{tmp_path / 'best.ckpt'}/"
    assert main(["import", source, "--output", str(out), "--licence", "CC-BY-4.0"]) == 0
    assert PLAIN_SPEC.replace(" Do0.5", "") in capsys.readouterr().out
    card = (out / "card.md").read_text()
    assert "CC-BY-4.0" in card and "`best.ckpt`" in card and "version 6" in card
    for i, image in enumerate(lines()):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    images = [str(tmp_path / f"{i}.png") for i in range(3)]
    assert main(["predict", str(out), *images]) == 0
    text = capsys.readouterr().out
    assert main(["export", str(out), "--output", str(exported)]) == 0  # verified beside Keras
    capsys.readouterr()
    assert main(["predict", str(exported), *images]) == 0
    assert capsys.readouterr().out == text and set("ae\u00e9") & set(text)
    # The whole of a line is told, however much of it was kept above and below the writing.
    task, reader = zoo.load(out), runtime.load(exported)
    for ours, beam, image in zip(
        reader(images, details=True), reader(images, beam_width=2, details=True), lines(), strict=True
    ):
        assert (
            ours.characters[0].start < image.shape[1] / 3 < image.shape[1] * 2 / 3 < ours.characters[-1].end
        )
        known = {one.start: one.character for one in ours.characters}
        assert any(known.get(one.start) == one.character for one in beam.characters)
    assert task.config.vgsl == PLAIN_SPEC.replace(" Do0.5", "")


def changed(kind, **more):
    return [(name, settings | (more if name == kind else {})) for name, settings in PLAIN]


@pytest.mark.parametrize(("settings", "says"), [
    (settings_6(changed("conv", activation="leaky_relu")), "the activation leaky_relu"),
    (settings_6(changed("conv", padding="valid")), "the padding valid"),
    (settings_6(changed("lstm", merge_mode="sum")), "become one by sum"),
    (settings_6([*PLAIN, LAYERS[0]]), "Conv2DLayerParams behind an LSTM"),
    (settings_6(PLAIN, model={"ensemble": 5}), "5 networks, which vote"),
    (settings_6(PLAIN, data={"input_channels": 3}), "reads colours"),
    (settings_6(PLAIN, data={"codec": {"charset": CODEC[:-1]}}), "4 characters, but its network 6 outputs"),
    (settings_6(PLAIN, data={"codec": {"charset": [*CODEC[:-1], "a"]}}), "a character twice"),
    (settings_6(PLAIN, data={"codec": {"charset": "abc"}}), "no list of characters"),
    (settings_6(PLAIN, data={"codec": {}}), "does not describe a network"),
    (settings_6(PLAIN, model={"layers": 3}), "does not describe a network"),
    (settings_6(PLAIN, way="other:Other"), "preprocessing Other, FinalPreparation is not known"),
    (settings_6(PLAIN, way_settings={"extra_params": [2, 1.0, 0.3]}), r"extra_params \[2, 1.0, 0.3\], where"),
    (settings_6(PLAIN, final={"pad": 8}), "pad 8, where only 16 is known"),
    (settings_6(changed("lstm", hidden_nodes=4)), r"the shape \(33, 20\), but those .* \(33, 16\)"),
    (settings_6(LAYERS), "10 arrays of weights, but 0.ckpt.json tells of a network with 18"),
    (settings_6([("pool", {"pool_size": (2, 0)}), *PLAIN]), "does not describe a network|cannot be built"),
    ({}, "does not describe a network"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, capsys, settings, says):
    path = write_checkpoint(tmp_path / "bad", 5, PLAIN, settings=settings)
    with pytest.raises(UserError, match=says) as error:
        import_model(path, "CC0")
    assert str(error.value).startswith(str(path).removesuffix(".json"))
    assert main(["import", str(path), "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists() and "\n" not in capsys.readouterr().err.strip()


def test_a_layer_that_is_not_known_and_versions(tmp_path):
    settings = settings_6(PLAIN)
    settings["scenario"]["model"]["layers"][1]["__cls__"] = "calamari_ocr.tconv:TransposedConv2DLayerParams"
    with pytest.raises(UserError, match="a layer TransposedConv2DLayerParams, which is not known"):
        import_model(write_checkpoint(tmp_path / "a", 5, PLAIN, settings=settings), "")
    for version in (0, 1, 7):
        with pytest.raises(UserError, match=f"version {version} of checkpoints is not known"):
            import_model(write_checkpoint(tmp_path / f"{version}", version, PLAIN), "")


def test_files_that_are_missing_or_damaged(tmp_path):
    path = write_checkpoint(tmp_path / "h5", 5, PLAIN)
    weights = path.with_suffix(".h5")
    good = weights.read_bytes()
    for count in (0, 5, 700, len(good) // 2, len(good) - 200):
        weights.write_bytes(good[:count])
        with pytest.raises(UserError, match="0.ckpt.h5: this .h5 is damaged"):
            import_model(path, "")
    weights.unlink()
    with pytest.raises(UserError, match="neither the folder 0.ckpt nor 0.ckpt.h5"):
        import_model(path, "")
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        import_model(weights, "")
    weights.write_bytes(good)
    with pytest.raises(UserError, match="beside it there is no 0.ckpt.json"):
        import_model(weights, "")
    path.write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        import_model(weights, "")
    path.write_text("[1]")
    with pytest.raises(UserError, match="no checkpoint of Calamari's"):
        import_model(weights, "")

    path = write_checkpoint(tmp_path / "saved", 6, PLAIN)
    data = path.with_suffix("") / "variables" / "variables.data-00000-of-00001"
    good = bytearray(data.read_bytes())
    data.write_bytes(good[: len(good) // 3])
    with pytest.raises(UserError, match="0.ckpt: its variables are damaged"):
        import_model(path, "")
    good[100] ^= 255  # a checksum is with each
    data.write_bytes(good)
    with pytest.raises(UserError, match="0.ckpt: its variables are damaged"):
        import_model(path, "")
    for file in data.parent.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="no variables/variables.index"):
        import_model(path.with_suffix(""), "")


def test_ensembles_other_folders_and_pickles(tmp_path):
    for name in ("0.ckpt", "1.ckpt"):
        write_checkpoint(tmp_path / "voters", 5, PLAIN, name)
    with pytest.raises(UserError, match="2 checkpoints, which vote in Calamari; import them one at a time"):
        import_model(tmp_path / "voters", "")
    with pytest.raises(UserError, match="no checkpoint of Calamari's"):
        import_model(tmp_path, "")
    torch = tmp_path / "torch.ckpt"
    torch.write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match="a pickle"):
        import_model(torch, "")


def test_nothing_outside_a_file_is_read(tmp_path):
    path = write_checkpoint(tmp_path, 5, PLAIN)
    weights, other = path.with_suffix(".h5"), tmp_path / "other.h5"
    weights.rename(other)
    with h5py.File(other) as file, h5py.File(weights, "w") as made:
        made.attrs["layer_names"] = [b"all"]
        group = made.create_group("all")
        names = group.attrs["weight_names"] = file["model_weights/all"].attrs["weight_names"]
        for name in names:
            group[name] = h5py.ExternalLink(str(other), f"model_weights/all/{name}")
    with pytest.raises(UserError, match="damaged"):
        import_model(path, "")
