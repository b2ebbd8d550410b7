"""Writes small ``.traineddata`` files as Tesseract does, for tests."""

import struct

import numpy as np


def _string(text):
    return struct.pack("<I", len(text.encode())) + text.encode()


def _matrix(values, int8):
    rows, columns = values.shape
    if not int8:
        return struct.pack("<BIId", 128, rows, columns, 0.0) + values.astype("<f8").tobytes()
    scales = np.abs(values).max(1) / 127
    whole = np.rint(values / scales[:, None]).astype("i1")
    head = struct.pack("<BIIb", 128 | 1, rows, columns, 0) + whole.tobytes()
    return head + struct.pack("<I", rows) + scales.astype("<f8").tobytes()


def layer(kind, inputs, outputs, body=b"", inside=()):
    """The bytes of a layer; those of ``inside`` follow their number."""
    head = b"\0" + _string(kind) + struct.pack("<bbiiii", 0, 0, 0, inputs, outputs, 0) + _string("x")
    return head + (struct.pack("<I", len(inside)) + b"".join(inside) if inside else body)


def network(height, symbols, random, int8=False, more=()):
    """``(bytes, matrices)`` of [1,H,0,1 Ct3,3,4 Mp3,3 Lfys5 Lfx6 Lrx6 O1c], ``more`` before the output."""
    matrices = []

    def drawn(rows, columns, count=1):
        matrices.extend(random.normal(0, 0.4, (rows, columns)) for _ in range(count))
        return b"".join(_matrix(one, int8) for one in matrices[-count:])

    lstm = struct.pack("<i", 0)
    layers = [
        layer("Input", height, 1, struct.pack("<iiiii", 1, height, 0, 1, 0)),
        layer("Series", 1, 4, inside=[
            layer("Convolve", 1, 9, struct.pack("<ii", 1, 1)), layer("Tanh", 9, 4, drawn(4, 10))
        ]),
        layer("Maxpool", 4, 4, struct.pack("<ii", 3, 3)),
        layer("XYTranspose", 4, 5, inside=[layer("SummLSTM", 4, 5, lstm + drawn(5, 10, 4))]),
        layer("LSTM", 5, 6, lstm + drawn(6, 12, 4)),
        layer("RTLReversed", 6, 6, inside=[layer("LSTM", 6, 6, lstm + drawn(6, 13, 4))]),
        *more,
        layer("Softmax", 6, symbols, drawn(symbols, 7)),
    ]  # fmt: skip
    return layer("Series", height, symbols, inside=layers), matrices


def traineddata(tree, names, codes=None, blank=0):
    """The bytes of a file with a network, its units and their codes."""
    lstm = tree + _string("[…]") + struct.pack("<iiii", 64, 1, 1, blank) + struct.pack("<fff", 0.9, 1e-3, 0.5)
    units = "\n".join([str(len(names)), *(f"{'NULL' if n == ' ' else n} 0 0 0" for n in names), ""])
    components = {17: lstm, 21: units.encode()}
    if codes is not None:
        components[22] = struct.pack("<I", len(codes)) + b"".join(
            struct.pack(f"<bi{len(code)}i", 1, len(code), *code) for code in codes
        )
    places, at = [-1] * 24, 4 + 8 * 24
    for number in sorted(components):
        places[number] = at
        at += len(components[number])
    return struct.pack("<i24q", 24, *places) + b"".join(components[n] for n in sorted(components))
