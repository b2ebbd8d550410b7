"""Writes CoreML's protocol buffers, as far as tests need them."""

import numpy as np


def _varint(number):
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def message(*fields):
    return b"".join(fields)


def field(number, *values):
    """A field: of an int, a text, bytes, or of the fields of a message."""
    if len(values) == 1 and isinstance(values[0], int):
        return _varint(number << 3) + _varint(values[0])
    data = b"".join(value.encode() if isinstance(value, str) else value for value in values)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def floats(number, values):
    return field(number, field(1, np.asarray(values, "<f4").tobytes()))


def lstm_weights(gates):
    """The fields of a direction's weights, ``{number: array}``."""
    return [floats(number, values) for number, values in gates.items()]


def kraken_mlmodel(metadata, layers):
    """A file with ``{name: text}`` and the fields of layers."""
    pairs = [field(100, field(1, name), field(2, text)) for name, text in metadata.items()]
    return message(field(1, 1), field(2, field(100, *pairs)), field(500, *layers))
