"""CoreML's ``.mlmodel``: a neural network's layers with their weights, and what its maker wrote beside them.

Read from protocol buffers as Apple's published schema numbers their fields (github.com/apple/coremltools,
``mlmodel/format``, ``Model.proto`` and ``NeuralNetwork.proto``), without Apple's package: what is needed of
it is little, and nothing in a file is executed.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from zoo.errors import UserError
from zoo.files import read_at_most

MOST = 1 << 28  # bytes of a file
_DESCRIPTION, _METADATA, _USER_DEFINED = 2, 100, 100  # a field of the model, of that, of that
_NETWORKS = 500, 403, 303  # a network by itself, as a classifier, as a regressor
_LAYER = 1
_NAME, _LEAST_KIND = 1, 100  # of a layer: its name; its kind is the field from here on
_KINDS = {
    100: "convolution", 120: "pooling", 130: "activation", 140: "innerProduct", 175: "softmax",
    310: "permute", 400: "simpleRecurrent", 410: "gru", 420: "uniDirectionalLSTM", 430: "biDirectionalLSTM",
    500: "custom",
}  # fmt: skip
_SETTINGS = {
    "convolution": {1: "outputs", 2: "inputs", 10: "groups", 20: "size", 30: "stride", 40: "dilation",
                    60: "transposed"},
    "innerProduct": {1: "inputs", 2: "outputs"},
    "uniDirectionalLSTM": {1: "inputs", 2: "outputs"},
    "biDirectionalLSTM": {1: "inputs", 2: "outputs"},
}  # fmt: skip
_WEIGHTS = {
    "convolution": {90: "kernel", 91: "bias"},
    "innerProduct": {20: "kernel", 21: "bias"},
    "custom": {20: "weights"},
}
_LSTM = {
    1: "input/kernel", 2: "forget/kernel", 3: "candidate/kernel", 4: "output/kernel",
    20: "input/recurrent", 21: "forget/recurrent", 22: "candidate/recurrent", 23: "output/recurrent",
    40: "input/bias", 41: "forget/bias", 42: "candidate/bias", 43: "output/bias",
    60: "input/peephole", 61: "forget/peephole", 62: "output/peephole",
}  # fmt: skip
_DIRECTIONS = "forward", "backward"
_CLASS = 10  # of a custom layer
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # how a field is written


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
        name: str.
        kind: "convolution", "innerProduct", "uniDirectionalLSTM", …, as the schema names it; of a custom
            layer the name of its class; else "of type " and the field's number.
        settings: ``{name: list of int}``: "inputs", "outputs", "groups", "size", "stride", "dilation",
            "transposed".
        weights: ``{name: float32 [count]}``, flat: "kernel" and "bias"; of an LSTM as "forward/input/kernel":
            the directions forward and backward, the gates input, forget, candidate and output, each with
            kernel, recurrent, bias and peephole; of a custom layer "weights_0" and so on.
    """

    name: str
    kind: str
    settings: dict
    weights: dict


@dataclasses.dataclass(frozen=True)
class Model:
    """What a file has: ``metadata`` ``{name: text}``; ``layers``, a list of ``Layer`` from the input on."""

    metadata: dict
    layers: list


def read_coreml(path: str | os.PathLike) -> Model:
    """Read a ``.mlmodel`` file.

    Raises:
        UserError: it cannot be read, is damaged, or has no neural network.
    """
    data = read_at_most(path, MOST, "; give a line reader's .mlmodel")
    try:
        model = _fields(memoryview(data))
        description = _message(model, _DESCRIPTION)
        pairs = [_fields(pair) for pair in _message(description, _METADATA).get(_USER_DEFINED, [])]
        metadata = {_text(pair, 1): _text(pair, 2) for pair in pairs}
        networks = [_message(model, number) for number in _NETWORKS if number in model]
        layers = [_layer(_fields(one)) for network in networks for one in network.get(_LAYER, [])]
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"{path}: this is no CoreML .mlmodel, or it is damaged ({error}); copy it again, or give another"
        ) from error
    if not layers:
        raise UserError(f"{path}: it has no layers of a neural network; give a CoreML .mlmodel that has")
    return Model(metadata, layers)


def _fields(data):
    """``{number: list}`` of a message: an int or a memoryview each.

    Raises:
        ValueError: it is none.
    """
    found, at = {}, 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            if kind == _BYTES:
                size, at = _varint(data, at)
            elif kind in (_EIGHT, _FOUR):
                size = {_EIGHT: 8, _FOUR: 4}[kind]
            else:
                raise ValueError(f"byte {at} begins no field")
            if size > len(data) - at:
                raise ValueError("it ends too early")
            value, at = data[at : at + size], at + size
        if not number:
            raise ValueError(f"byte {at} begins no field")
        found.setdefault(number, []).append(value)
    return found


def _varint(data, at):
    """A number in groups of seven bits, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ValueError("it ends too early")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError(f"byte {at} ends no number")


def _message(fields, number):
    """The fields of a message inside another, none if it is not there."""
    return _fields(fields[number][-1]) if number in fields else {}


def _text(fields, number):
    return bytes(fields[number][-1]).decode("utf-8") if number in fields else ""


def _layer(fields):
    numbers = [number for number in fields if number >= _LEAST_KIND and number != 600]
    if not numbers:
        return Layer(_text(fields, _NAME), "of no type", {}, {})
    inner = _message(fields, numbers[0])
    kind = _KINDS.get(numbers[0], f"of type {numbers[0]}")
    settings = {
        name: _numbers(inner[number]) for number, name in _SETTINGS.get(kind, {}).items() if number in inner
    }
    weights = {}
    for number, name in _WEIGHTS.get(kind, {}).items():
        for i, one in enumerate(inner.get(number, [])):
            weights[f"{name}_{i}" if kind == "custom" else name] = _floats(_fields(one))
    if kind.endswith("LSTM"):
        for direction, one in zip(_DIRECTIONS, inner.get(20, []), strict=False):
            gates = _fields(one)
            for number, name in _LSTM.items():
                if number in gates:
                    weights[f"{direction}/{name}"] = _floats(_message(gates, number))
    return Layer(_text(fields, _NAME), _text(inner, _CLASS) if kind == "custom" else kind, settings, weights)


def _numbers(values):
    """Ints of a repeated field, one each or packed together."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return found


def _floats(fields):
    """Weights in 32 or 16 bits."""
    for number, kind in ((1, "<f4"), (2, "<f2")):
        if number in fields:
            return np.frombuffer(b"".join(fields[number]), kind).astype("float32")
    if fields:
        raise ValueError("its weights are in fewer than 16 bits, which are not read")
    return np.zeros(0, "float32")
