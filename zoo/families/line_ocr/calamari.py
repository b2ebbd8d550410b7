"""A checkpoint of Calamari's as a line reader: its network, weights and codec as a task.

A checkpoint is ``NAME.ckpt.json``, which tells layers, preprocessing and codec, beside the weights: the
SavedModel ``NAME.ckpt/``, or ``NAME.ckpt.h5`` before version 6. The versions 2 (of Calamari 1), 3 (2.0) and 4
to 6 spell the same things in three ways, which become one here.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np

from zoo.errors import UserError, reason
from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
from zoo.files import read_at_most
from zoo.formats.keras_weights import VARIABLES, read_h5, read_savedmodel
from zoo.images.calamari import MARGIN, RANGE, SPREAD
from zoo.text.characters import Vocabulary, direction_of

SUFFIXES = ".json", ".h5"
VERSIONS = 2, 3, 4, 5, 6
MOST = 1 << 24  # bytes of a .json
_KINDS = {
    "CONVOLUTIONAL": "convolution", "convolutional": "convolution", "Conv2DLayerParams": "convolution",
    "MAX_POOLING": "maximum", "max_pooling": "maximum", "MaxPool2DLayerParams": "maximum",
    "LSTM": "lstm", "lstm": "lstm", "BiLSTMLayerParams": "lstm",
    "dropout": "dropout", "DropoutLayerParams": "dropout",
}  # fmt: skip
_ACTIVATIONS = {"relu": "r", "tanh": "t", "sigmoid": "s", "linear": "l", None: "l"}
_CONTRASTS = {"CenterNormalizer": "dewarped", "ScaleToHeight": "scaled"}
_IDLE = {  # processors that do nothing to a grey image that is read
    "DataRange", "DataRangeNormalizer", "Augmentation", "PrepareSample",
    "TextNormalizer", "TextRegularizer", "StripText", "BidiText", "StrToCharList",
}  # fmt: skip
_USUAL = {
    "CenterNormalizer": {"extra_params": [int(RANGE), 1.0, SPREAD]},
    "FinalPreparation": {"normalize": True, "invert": True, "transpose": True, "pad": MARGIN, "pad_value": 0},
}


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether a path may be of a checkpoint: its ``.json``, its weights, or what both names begin with."""
    text = str(path)
    return text.lower().endswith(SUFFIXES) or Path(path).is_dir() or Path(f"{text}.json").is_file()


def import_checkpoint(path: str | os.PathLike) -> tuple[LineOcr, bool, str]:
    """The ``LineOcr`` of a checkpoint, whether its weights were in 8 bits, and what it is.

    Args:
        path: the ``.json``, or the ``.h5`` or SavedModel beside it.

    Raises:
        UserError: it cannot be read, is an ensemble, or has a network or preprocessing that the zoo lacks.
    """
    described, stored = _files(Path(path))
    about = _json(described)
    try:
        version, model, data = _by_version(about, described)
        height, contrast = _seen(data, described)
        network, count, assign = _network(model, height, described)
        codec = _codec(data["codec"]["charset"], count, described)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise UserError(
            f"{described}: this .json does not describe a network as Calamari does ({reason(error)}); "
            "give one that it wrote"
        ) from error
    weights = assign(read_savedmodel(stored) if stored.is_dir() else read_h5(stored), stored)
    vocabulary = Vocabulary(codec, direction_of("".join(codec)))
    try:
        task = LineOcr(LineOcrConfig(vgsl=network, contrast=contrast, photographs=True), vocabulary)
    except ValueError as error:
        raise UserError(
            f"{described}: its network {network} cannot be built ({reason(error)}); give one that reads lines"
        ) from error
    task.set_weights(weights)
    return task, False, f"Calamari's network, a checkpoint of version {version}"


# === The files ===


def _files(path):
    """The ``.json`` of a checkpoint, and its weights: a SavedModel's folder or a ``.h5``."""
    text = str(path)
    stem = text[: -len(path.suffix)] if text.lower().endswith(SUFFIXES) else text
    if path.is_dir() and not Path(f"{stem}.json").exists() and not (path / VARIABLES).parent.exists():
        found = sorted(path.glob("*.ckpt.json"))
        if not found:
            raise UserError(f"{path}: this folder is no checkpoint of Calamari's; give its NAME.ckpt.json")
        if len(found) > 1:
            raise UserError(
                f"{path}: it has {len(found)} checkpoints, which vote in Calamari; import them one at a "
                f"time, such as {found[0]}"
            )
        stem = str(found[0]).removesuffix(".json")
    described, folder, file = (Path(f"{stem}{end}") for end in (".json", "", ".h5"))
    if not described.exists():
        if not path.exists():
            raise UserError(f"{path}: there is no such file; check the path")
        raise UserError(
            f"{path}: beside it there is no {described.name}, which tells its network and codec; copy it, too"
        )
    if path == file or not folder.is_dir():
        if not file.exists():
            raise UserError(
                f"{described}: beside it there is neither the folder {folder.name} nor {file.name}, with its "
                "weights; copy them, too"
            )
        return described, file
    return described, folder


def _json(path):
    try:
        found = json.loads(read_at_most(path, MOST, "; give that of a checkpoint of Calamari's"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: this is no JSON ({reason(error)}); copy it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: this .json is no checkpoint of Calamari's; give one that it wrote")
    return found


# === What versions spell differently ===


def _by_version(about, path):
    """The version, and dicts of the network and of the data, both as version 4 spells them.

    Layers and preprocessing are pairs of a name and settings.
    """
    version = about.get("version", 0)
    if version not in VERSIONS:
        mend = "export it anew with a Calamari that writes versions 2 to 6"
        raise UserError(f"{path}: its version {version} of checkpoints is not known here; {mend}")
    if version == 2:
        found = about["model"]
        model, codec = dict(found["network"]), found["codec"]
        model["layers"] = [_layer_of_2(layer) for layer in model["layers"]]
        data = {
            "line_height": found["lineHeight"],
            "input_channels": found.get("channels", 1),
            "codec": codec,
        }
        data["processors"] = _processors_of_2(found.get("dataPreprocessor", {}))
    elif version == 3:
        scenario = about["scenario_params"]
        model, data = dict(scenario["model_params"]), dict(scenario["data_params"])
        model["layers"] = [(layer["type"], layer) for layer in model["layers"]]
        data["line_height"] = data["line_height_"]
        data["processors"] = [
            (one["name"], {"modes": one["modes"], **(one.get("args") or {})})
            for one in data["pre_processors_"]["sample_processors"]
        ]
    else:
        scenario = about.get("scenario", about)
        model, data = dict(scenario["model"]), dict(scenario["data"])
        model["layers"] = [(_class(layer), layer) for layer in model["layers"]]
        data["processors"] = [(_class(one), one) for one in data["pre_proc"]["processors"]]
    if version < 4:
        model["layers"].append(("dropout", {"rate": model.get("dropout", 0)}))
    if (voters := model.get("ensemble") or 0) > 0:
        raise UserError(
            f"{path}: it holds {voters} networks, which vote in Calamari; give the checkpoint of a single one"
        )
    if data.get("input_channels", 1) != 1:
        raise UserError(f"{path}: its network reads colours; take one that reads grey lines")
    return version, model, data


def _class(settings):
    """The name of a class that is written as "module:Name"."""
    return settings["__cls__"].rpartition(":")[2]


def _layer_of_2(layer):
    names = {"kernelSize": "kernel_size", "hiddenNodes": "hidden_nodes"}
    return layer.get("type", "CONVOLUTIONAL"), {names.get(name, name): value for name, value in layer.items()}


def _processors_of_2(tree):
    """The steps of version 2, which may stand within one another; what is left out there is false or 0."""
    kind = tree.get("type", "DEFAULT_NORMALIZER")
    if kind == "MULTI_NORMALIZER":
        return [step for child in tree.get("children", []) for step in _processors_of_2(child)]
    if kind == "DEFAULT_NORMALIZER":
        return [("CenterNormalizer", {}), ("FinalPreparation", {})]
    if kind == "FINAL_PREPARATION":
        settings = {name: not tree.get(f"no{name.title()}") for name in ("normalize", "invert", "transpose")}
        return [
            ("FinalPreparation", settings | {"pad": tree.get("pad", 0), "pad_value": tree.get("padValue", 0)})
        ]
    names = {"CENTER_NORMALIZER": "CenterNormalizer", "SCALE_TO_HEIGHT": "ScaleToHeight"}
    return [] if kind in ("NOOP_NORMALIZER", "RANGE_NORMALIZER") else [(names.get(kind, kind), {})]


# === How it sees lines ===


def _seen(data, path):
    """Height and contrast, as ``LineOcrConfig`` has them."""
    height, steps = data["line_height"], []
    for name, settings in data["processors"]:
        name = re.sub(r"(Processor)?(Params)?$", "", name)
        if name in _IDLE or "prediction" not in settings.get("modes", ["prediction"]):
            continue
        for setting, usual in _USUAL.get(name, {}).items():
            given = settings.get(setting, usual)
            if (list(given) if isinstance(usual, list) else given) != usual:
                raise UserError(
                    f"{path}: its preprocessing {name} has {setting} {given}, where only {usual} is known "
                    "here; take another"
                )
        steps.append(name)
        own = settings.get("line_height", settings.get("height", -1))
        height = own if own and own > 0 else height
    if len(steps) != 2 or steps[0] not in _CONTRASTS or steps[1] != "FinalPreparation":
        raise UserError(
            f"{path}: its preprocessing {', '.join(steps) or '(none)'} is not known here; take one of "
            f"{' or '.join(_CONTRASTS)}, then FinalPreparation"
        )
    return height, _CONTRASTS[steps[0]]


def _codec(charset, count, path):
    """What the rows behind the blank stand for."""
    if not isinstance(charset, list) or not all(isinstance(one, str) for one in charset):
        raise UserError(f"{path}: its codec is no list of characters; copy it again")
    codec = charset[1:] if charset[:1] == [""] else charset
    if len(codec) + 1 != count:
        raise UserError(
            f"{path}: its codec has {len(codec)} characters, but its network {count} outputs, one of them "
            "the blank; copy it again"
        )
    if len(set(codec)) < len(codec) or "" in codec:
        raise UserError(f"{path}: its codec has a character twice, or an empty one; copy it again")
    return codec


# === The network ===


def _network(model, height, path):
    """The VGSL string, how many outputs it has, and what makes weights by their path in Keras of arrays."""
    layers, wanted, counts = [], [], {}
    rows, features, flat = height, 1, False

    def base(kind):
        counts[kind] = counts.get(kind, -1) + 1
        return f"{kind}_{counts[kind]}"

    def unknown(what):
        return UserError(f"{path}: its network has {what}, which is not known here; take another")

    for name, layer in model["layers"]:
        kind = _KINDS.get(name)
        if not kind or (flat and kind in ("convolution", "maximum")):
            raise unknown(f"a layer {name}" + " behind an LSTM" * bool(kind))
        if layer.get("padding", "same") != "same":
            raise unknown(f"a layer {name} with the padding {layer['padding']}")
        if kind == "convolution":
            size, strides = _pair(layer, "kernel_size", (3, 3)), _pair(layer, "strides", (1, 1))
            activation, filters = layer.get("activation", "relu"), int(layer["filters"])
            if activation not in _ACTIVATIONS:
                raise unknown(f"a layer {name} with the activation {activation}")
            # Where SAME adds as much on each side whatever the width, VGSL needs no word for it.
            same = "" if strides == (1, 1) and size[0] % 2 and size[1] % 2 else "s"
            moves = "" if strides == (1, 1) else f",{strides[1]},{strides[0]}"
            layers.append(f"C{_ACTIVATIONS[activation]}{same}{size[1]},{size[0]},{filters}{moves}")
            here = base("conv")
            wanted += [(f"{here}/kernel", (*size, features, filters)), (f"{here}/bias", (filters,))]
            rows, features = -(-rows // strides[1]), filters
        elif kind == "maximum":
            size = _pair(layer, "pool_size" if "pool_size" in layer else "kernel_size", (2, 2))
            strides = _pair(layer, "strides", size)
            moves = "" if strides == size else f",{strides[1]},{strides[0]}"
            layers.append(f"Mps{size[1]},{size[0]}{moves}")
            rows = -(-rows // strides[1])
        elif kind == "lstm":
            if layer.get("merge_mode", "concat") != "concat":
                raise unknown(f"a layer {name} of which both directions become one by {layer['merge_mode']}")
            if layer.get("peepholes") or layer.get("lstm_direction", "bidirectional") != "bidirectional":
                raise unknown(f"a layer {name} with peepholes or one direction")
            if not flat:
                layers.append("S1(1x0)1,3")
                rows, features, flat = 1, rows * features, True
            units = int(layer["hidden_nodes"])
            layers.append(f"Lbx{units}")
            here = base("lstm")
            for way in ("forward", "backward"):
                cell = f"{here}/{way}/lstm_cell"
                wanted += [
                    (f"{cell}/kernel", (features, 4 * units)),
                    (f"{cell}/recurrent_kernel", (units, 4 * units)),
                    (f"{cell}/bias", (4 * units,)),
                ]
            features = 2 * units
        elif rate := float(layer.get("rate", 0.5)):
            layers.append(f"Do{round(rate, 4):g}")
    count = model["classes"]
    layers += [] if flat else ["S1(1x0)1,3"]
    wanted += [("logits/kernel", (rows * features, count)), ("logits/bias", (count,))]

    def assign(stored, source):
        if len(stored) != len(wanted):
            raise UserError(
                f"{source}: it has {len(stored)} arrays of weights, but {path.name} tells of a network with "
                f"{len(wanted)}; copy both again"
            )
        weights = {}
        for (name, value), (ours, shape) in zip(stored, wanted, strict=True):
            if value.shape != shape:
                raise UserError(
                    f"{source}: its weights {name} have the shape {value.shape}, but those of the network "
                    f"that {path.name} tells of {shape}; copy both again"
                )
            weights[ours] = value
        # A temperature above 0 divides the scores. The last of these is the blank's, here the first is.
        temperature = max(float(model.get("temperature") or 0), 0) or 1
        for name in ("logits/kernel", "logits/bias"):
            weights[name] = np.roll(weights[name], 1, -1) / temperature
        return weights

    return f"[1,{height},0,1 {' '.join(layers)} O1c{count}]", count, assign


def _pair(layer, name, usual):
    """A setting ``(along, across)`` the line; what is missing or negative is as usual."""
    given = layer.get(name, layer.get("stride") if name == "strides" else None) or {}
    found = tuple(int(given.get(axis, -1)) for axis in "xy")
    return tuple(other if one < 0 else one for one, other in zip(found, usual, strict=True))
