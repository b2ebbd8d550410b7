"""A language of Tesseract's as a line reader: its network, weights and characters as a task.

The network computes in float what Tesseract computes with activations rounded to 8 bits; dictionaries are
left out.
"""

from __future__ import annotations

import os

import numpy as np

from export.runtime import PRIVATE
from zoo.errors import UserError
from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
from zoo.formats.traineddata import read_traineddata
from zoo.text.characters import Vocabulary, direction_of

SUFFIX = ".traineddata"
NO_TEXT = "Joined", "|Broken|0|1"  # units that stand for no text
_ACTIVATIONS = {"Logistic": "s", "Tanh": "t", "Relu": "r", "Linear": "l"}
_OUTPUTS = "Softmax", "SoftmaxNoCTC"


def import_traineddata(path: str | os.PathLike) -> tuple[LineOcr, bool, str]:
    """The ``LineOcr`` of a ``.traineddata`` file, whether its weights were in 8 bits, and what it is.

    Raises:
        UserError: it cannot be read, or its network is of another kind than line readers are.
    """
    model = read_traineddata(path)
    height, spec, weights = _described(model.network, path)
    if not 0 <= model.blank < model.network.outputs:
        raise UserError(
            f"{path}: its blank is output {model.blank} of {model.network.outputs}; copy it again"
        )
    config = LineOcrConfig(vgsl=f"[1,{height},0,1 {' '.join(spec)}]", contrast="stretched", photographs=True)
    task = LineOcr(config, _vocabulary(model))
    order = [model.blank, *_codes(model)]
    weights["logits/kernel"] = weights["logits/kernel"][:, order]
    weights["logits/bias"] = weights["logits/bias"][order]
    task.set_weights(weights)
    bits = "8 bits" if model.is_int else "float"
    return (
        task,
        model.is_int,
        f"Tesseract's network, weights in {bits}, without its dictionaries",
    )


def _described(network, path):
    """Height, VGSL layers and weights by their path in Keras, of the layers from the image on."""
    height, spec, weights, counts = None, [], {}, {"conv": 0, "lstm": 0}

    def unknown(layer):
        inside = f" of {', '.join(one.kind for one in layer.layers)}" if layer.layers else ""
        return UserError(f"{path}: its network has a layer {layer.kind}{inside}, which is not known here")

    def recurrent(layer, direction, axis):
        if layer.kind not in ("LSTM", "SummLSTM") or (layer.kind == "SummLSTM" and axis == "x"):
            raise unknown(layer)
        spec.append(f"L{direction}{axis}{'s' * (layer.kind == 'SummLSTM')}{layer.outputs}")
        way = {"f": "down/", "r": "up/"}[direction] if axis == "y" else "layer/"
        base = f"lstm_{counts['lstm']}/{way}layer/lstm_cell"
        counts["lstm"] += 1
        for name, value in _lstm(layer).items():
            weights[f"{base}/{name}"] = value

    def follow(layer):
        nonlocal height
        kinds = [one.kind for one in layer.layers]
        if layer.kind == "Series" and kinds[:1] == ["Convolve"]:
            patch, dense = layer.layers[0], layer.layers[-1]
            if len(kinds) != 2 or dense.kind not in _ACTIVATIONS:
                raise unknown(layer)
            wide, high = 2 * patch.settings["half_x"] + 1, 2 * patch.settings["half_y"] + 1
            spec.append(f"C{_ACTIVATIONS[dense.kind]}{high},{wide},{dense.outputs}")
            base = f"conv_{counts['conv']}"
            counts["conv"] += 1
            (matrix,) = dense.weights
            weights[f"{base}/kernel"] = matrix[:, :-1].T.reshape(wide, high, -1, dense.outputs)
            weights[f"{base}/bias"] = matrix[:, -1]
        elif layer.kind == "Series":
            for one in layer.layers:
                follow(one)
        elif layer.kind == "Input":
            height = layer.settings["height"]
            if layer.settings["depth"] != 1 or height < 1:
                raise UserError(f"{path}: its network does not read grey lines of one height; take another")
        elif layer.kind == "Maxpool":
            spec.append(f"Mp{layer.settings['y']},{layer.settings['x']}")
        elif layer.kind == "LSTM":
            recurrent(layer, "f", "x")
        elif layer.kind == "RTLReversed" and kinds == ["LSTM"]:
            recurrent(layer.layers[0], "r", "x")
        elif layer.kind == "XYTranspose" and len(kinds) == 1:
            (inner,) = layer.layers
            if inner.kind == "RTLReversed" and len(inner.layers) == 1:
                recurrent(inner.layers[0], "r", "y")
            else:
                recurrent(inner, "f", "y")
        elif layer.kind in _OUTPUTS:
            spec.append(f"O1c{layer.outputs}")
            (matrix,) = layer.weights
            weights["logits/kernel"], weights["logits/bias"] = matrix[:, :-1].T, matrix[:, -1]
        else:
            raise unknown(layer)

    follow(network)
    if height is None or "logits/kernel" not in weights:
        raise UserError(f"{path}: its network lacks an input or an output; copy it again")
    return height, spec, weights


def _lstm(layer):
    """Keras's weights of an LSTM: gates in the order input, forget, candidate, output."""
    candidate, enter, forget, leave = layer.weights
    matrix = np.concatenate([enter, forget, candidate, leave])
    kernel, recurrent, bias = np.split(matrix.T, [layer.inputs, layer.inputs + layer.outputs])
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias[0]}


def _vocabulary(model):
    """What the rows behind the blank stand for."""
    rows = {code: number for number, code in enumerate(_codes(model), 1)}
    names = {code: chr(PRIVATE + code) for code in rows}
    spellings = {}
    for codes, text in model.spellings.items():
        if text in NO_TEXT or model.blank in codes or not all(code in rows for code in codes):
            continue
        if len(codes) > 1:
            spellings.setdefault(text, [rows[code] for code in codes])
        elif text not in names.values():
            names[codes[0]] = text
    return Vocabulary(names.values(), direction_of("".join(model.spellings.values())), spellings)


def _codes(model):
    return [code for code in range(model.network.outputs) if code != model.blank]
