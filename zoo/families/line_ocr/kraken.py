"""A recogniser of kraken's as a line reader: its network, weights and codec as a task.

kraken writes CoreML's ``.mlmodel`` and, from 5 on, ``.safetensors``. Both hold the VGSL string, whose layers
have names, the weights under these, and the codec: which labels each text is written with.
"""

from __future__ import annotations

import json
import os
import re

import numpy as np

from export.runtime import PRIVATE
from zoo.errors import UserError, reason
from zoo.families.line_ocr import vgsl
from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
from zoo.formats.coreml import read_coreml
from zoo.formats.tensors import read_safetensors
from zoo.text.characters import Vocabulary, direction_of

SUFFIXES = ".mlmodel", ".safetensors"
_BLOCK = re.compile(r"([A-Za-z]+)(?:\{(\w+)\})?(\S*)")
_TYPE = re.compile(r"Do|Gn|Mp|[A-Z]")  # what a layer without a name is named by
_GATES = "input", "forget", "candidate", "output"
_COREML = {  # kind: what its name ends with, what kraken calls its weights
    "convolution": ("_conv", "co", ("kernel", "bias")),
    "innerProduct": ("_lin", "lin", ("kernel", "bias")),
    "groupnorm": ("", "layer", ("weights_0", "weights_1")),
}


def import_kraken(path: str | os.PathLike) -> tuple[LineOcr, bool, str]:
    """The ``LineOcr`` of a recogniser, whether its weights were in 8 bits, and what it is.

    Args:
        path: the file, ``.mlmodel`` or ``.safetensors``.

    Raises:
        UserError: it cannot be read, or is no recogniser of lines that the zoo can build.
    """
    read = _of_coreml if str(path).lower().endswith(SUFFIXES[0]) else _of_safetensors
    about, arrays = read(path)
    _check_kind(about, path)
    network, weights = _described(about["vgsl"], arrays, path)
    vocabulary = _vocabulary(about.get("codec"), len(weights["logits/bias"]), path)
    try:
        config = LineOcrConfig(vgsl=network, contrast=_contrast(about), photographs=True)
        task = LineOcr(config, vocabulary)
    except ValueError as error:
        raise UserError(
            f"{path}: its network {network} cannot be built ({reason(error)}); give one that reads lines"
        ) from error
    try:
        task.set_weights(weights)
    except UserError as error:
        raise UserError(f"{path}: its weights do not fit its network {network}; copy it again") from error
    learned = "lines along a baseline" if config.contrast == "inverted" else "lines in boxes"
    binary = " in black and white" if about.get("one_channel_mode") == "1" else ""
    return task, False, f"kraken's network, which learned from {learned}{binary}"


# === The files ===


def _of_coreml(path):
    """What a ``.mlmodel`` says of itself, and its arrays as kraken names them."""
    model = read_coreml(path)
    about = _json(model.metadata, "kraken_meta", path) or {}
    if codec := _json(model.metadata, "codec", path):
        about["codec"] = codec
    about["vgsl"] = model.metadata.get("vgsl") or about.get("vgsl")
    arrays = {}
    for layer in model.layers:
        found = layer.weights
        if layer.kind in _COREML:
            end, part, names = _COREML[layer.kind]
            base = f"{layer.name.removesuffix(end)}.{part}"
            for name, given in zip(("weight", "bias"), names, strict=True):
                if given in found:
                    arrays[f"{base}.{name}"] = found[given]
        elif layer.kind.endswith("LSTM"):
            if any(name.endswith("peephole") for name in found):
                raise UserError(f"{path}: its LSTM has peepholes, which are not known here; take another")
            base = f"{layer.name.removesuffix('_transposed')}.layer"
            for way, end in (("forward", ""), ("backward", "_reverse")):
                for ours, theirs in (
                    ("kernel", "weight_ih"),
                    ("recurrent", "weight_hh"),
                    ("bias", "bias_hh"),
                ):
                    gates = [
                        found[f"{way}/{gate}/{ours}"] for gate in _GATES if f"{way}/{gate}/{ours}" in found
                    ]
                    if gates:
                        arrays[f"{base}.{theirs}_l0{end}"] = np.concatenate(gates)
    return about, arrays


def _of_safetensors(path):
    """The same of a ``.safetensors``, which may have several models, one of them for recognition."""
    metadata, arrays = read_safetensors(path)
    models = _json(metadata, "kraken_meta", path)
    if not isinstance(models, dict) or not all(isinstance(one, dict) for one in models.values()):
        raise UserError(f"{path}: this .safetensors is none of kraken's; give one that kraken wrote")
    wanted = {
        key: one for key, one in models.items() if "recognition" in (one.get("_tasks") or ["recognition"])
    }
    if len(wanted) > 1:
        raise UserError(f"{path}: it has {len(wanted)} recognisers; give a file with one")
    key, about = next(iter((wanted or models).items()), ("", {}))
    start = f"{key}.nn."
    about = about | {"model_type": about.get("_tasks")}
    return about, {
        name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)
    }


def _json(metadata, key, path):
    """What is written there as JSON, None if nothing is."""
    try:
        found = json.loads(metadata.get(key) or "null")
    except ValueError as error:
        raise UserError(f"{path}: its {key} is no JSON ({error}); copy it again") from error
    if key == "kraken_meta" and not isinstance(found, dict | None):
        raise UserError(f"{path}: its {key} is no JSON object; copy it again")
    return found


def _check_kind(about, path):
    """UserError where a file is no recogniser."""
    kinds = about.get("model_type") or []
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and "recognition" not in kinds:
        raise UserError(
            f"{path}: this is a model for {' and '.join(map(str, kinds))}, not for recognition; give one "
            "that reads lines"
        )
    if about.get("_model", "TorchVGSLModel") != "TorchVGSLModel":
        raise UserError(f"{path}: its network {about['_model']} is not known here; give one by VGSL string")
    if not isinstance(about.get("vgsl"), str):
        raise UserError(f"{path}: it does not tell its network as a VGSL string; give a model of kraken's")


# === The network ===


def _described(text, arrays, path):
    """The VGSL string as ``vgsl`` knows it, and the weights by their path in Keras."""
    head, *blocks = text.strip().removeprefix("[").removesuffix("]").split()
    shape = re.fullmatch(r"\d+,(\d+),(\d+),(\d+)", head)
    height, width, depth = map(int, shape.groups()) if shape else (0, 0, 0)
    layers = []
    if height == 1 and depth > 3:  # rows as channels, as in models of clstm and ocropy
        height, depth = depth, 1
        layers.append("S1(1x0)1,3")
    if depth == 3:
        raise UserError(f"{path}: its network {text} reads colours; take one that reads grey lines")
    weights, counts, scores = {}, {}, None

    def unknown(block):
        return UserError(f"{path}: its network has a layer {block}, which is not known here; take another")

    def get(name, *shape):
        if name not in arrays:
            raise UserError(f"{path}: it lacks the weights {name} of its network; copy it again")
        value = arrays[name]
        try:
            return value.reshape(shape)
        except ValueError as error:
            raise UserError(f"{path}: its weights {name} do not fit {text}; copy it again") from error

    def base(kind):
        counts[kind] = counts.get(kind, -1) + 1
        return f"{kind}_{counts[kind]}"

    for number, block in enumerate(blocks):
        match = _BLOCK.fullmatch(block)
        if not match:
            raise unknown(block)
        letters, name, sizes = match.groups()
        kind = (_TYPE.match(letters) or [""])[0]
        name = name or f"{kind}_{number}"
        if kind == "O":
            scores = _output(block, sizes, name, scores, get, path)
            continue
        if scores:
            raise unknown(block)
        layer = letters + sizes
        if kind == "C":
            # kraken leaves sigmoids out, since their place is in the loss.
            layer = layer.replace("Cs", "Cl", 1)
        elif kind in ("L", "G"):
            layer = _recurrent_layer(block, letters, sizes)
        if not layer or not vgsl.is_layer(layer):
            raise unknown(block)
        layers.append(layer)
        if kind == "C":
            high, wide, outputs = map(int, sizes.split(",")[:3])
            here = base("conv")
            kernel = get(f"{name}.co.weight", outputs, -1, high, wide)
            weights[f"{here}/kernel"] = kernel.transpose(3, 2, 1, 0)
            weights[f"{here}/bias"] = get(f"{name}.co.bias", outputs)
        elif kind == "Gn":
            here = base("groups")
            weights[f"{here}/gamma"] = get(f"{name}.layer.weight", -1)
            weights[f"{here}/beta"] = get(f"{name}.layer.bias", -1)
        elif kind in ("L", "G"):
            here = base("lstm")
            for way, end in _ways(layer):
                weights |= _lstm(f"{here}/{way}", f"{name}.layer", end, int(sizes), letters, arrays, get)
    if not scores:
        raise UserError(f"{path}: its network {text} has no output O1c; give a recogniser of kraken's")
    weights["logits/kernel"], weights["logits/bias"] = scores[0].T, scores[1]
    layers.append(f"O1c{len(scores[1])}")
    return f"[1,{height},{width},{depth} {' '.join(layers)}]", weights


def _recurrent_layer(block, letters, sizes):
    """kraken's recurrent layer in VGSL as it computes it, None for one that is not known here."""
    match = re.fullmatch(r"[LG]([frb])([xy])(s?)(c?)", letters)
    if not match or not sizes.isdecimal() or (match[1] == "b" and match[3]):
        return None  # of both directions summed up, kraken takes the second's first step
    # It makes an LSTM of a GRU, and of a backward layer one that goes forward.
    return f"L{match[1].replace('r', 'f')}{match[2]}{match[3]}{sizes}"


def _ways(layer):
    """What Keras and kraken name the directions of a recurrent layer by."""
    both, along_y = layer[1] == "b", layer[2] == "y"
    if along_y:
        return [("down/layer", ""), ("up/layer", "_reverse")][: 1 + both]
    return [("forward", ""), ("backward", "_reverse")] if both else [("layer/layer", "")]


def _lstm(here, name, end, units, letters, arrays, get):
    """Weights of a direction; kraken's gates come in Keras's order."""
    kernel = get(f"{name}.weight_ih_l0{end}", 4 * units, -1).T
    if letters.endswith("c"):  # clstm's: the first input is always 1
        bias, kernel = kernel[0], kernel[1:]
    else:
        bias = get(f"{name}.bias_hh_l0{end}", 4 * units)
        if f"{name}.bias_ih_l0{end}" in arrays:
            bias = bias + get(f"{name}.bias_ih_l0{end}", 4 * units)
    recurrent = get(f"{name}.weight_hh_l0{end}", 4 * units, units).T
    return {f"{here}/lstm_cell/{kind}": value for kind, value in
            (("kernel", kernel), ("recurrent_kernel", recurrent), ("bias", bias))}  # fmt: skip


def _output(block, sizes, name, before, get, path):
    """Matrix and bias of the scores; of several linear layers in a row, of their product."""
    match = re.fullmatch(r"([012])[lsc](a?)(\d+)", sizes)
    if match and match[1] == "2":
        raise UserError(f"{path}: its output {block} marks pixels, as for segmentation; give a recogniser")
    if not match or match[1] != "1":
        raise UserError(f"{path}: its network has a layer {block}, which is not known here; take another")
    outputs = int(match[3])
    matrix, bias = get(f"{name}.lin.weight", outputs, -1), get(f"{name}.lin.bias", outputs)
    if match[2]:  # the first input is always 1
        matrix, bias = matrix[:, 1:], bias + matrix[:, 0]
    if not before:
        return matrix, bias
    if matrix.shape[1] != len(before[1]):
        raise UserError(f"{path}: its output {block} does not fit the layer before it; copy it again")
    return matrix @ before[0], matrix @ before[1] + bias


# === The codec ===


def _vocabulary(codec, outputs, path):
    """What the rows behind the blank stand for."""
    if not codec or not isinstance(codec, dict):
        raise UserError(f"{path}: it has no codec, which tells what its outputs stand for; give a recogniser")
    rows = {}
    for text, labels in codec.items():
        if not isinstance(labels, list) or not labels or not all(type(label) is int for label in labels):
            raise UserError(f"{path}: its codec writes {text!r} with no labels; copy it again")
        if not all(0 < label < outputs for label in labels):
            raise UserError(
                f"{path}: its codec writes {text!r} with the labels {labels}, but its network has the "
                f"outputs 1 to {outputs - 1}; copy it again"
            )
        rows[text] = tuple(labels)
    known = set(rows.values())
    for text, labels in rows.items():
        if any(labels[:count] in known for count in range(1, len(labels))):
            raise UserError(f"{path}: its codec has labels that begin those of {text!r}; copy it again")
    if len(known) < len(rows):
        raise UserError(f"{path}: its codec writes several texts with the same labels; copy it again")
    single = {labels[0]: text for text, labels in rows.items() if len(labels) == 1}
    names = [single.get(label) or chr(PRIVATE + label) for label in range(1, outputs)]
    spellings = {text: list(labels) for text, labels in rows.items() if len(labels) > 1 and text}
    return Vocabulary(names, direction_of("".join(codec)), spellings)


def _contrast(about):
    """How it sees lines: models that do not tell are from before there were baselines."""
    return "inverted" if about.get("seg_type") == "baselines" else "straightened"
