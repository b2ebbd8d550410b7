"""Tesseract's ``.traineddata``: the recurrent network of a language, and what its outputs stand for.

Written from the layout of Tesseract 4 and 5 (github.com/tesseract-ocr/tesseract, ``ccutil/tessdatamanager``,
``lstm/network``, ``lstm/weightmatrix``, ``ccutil/unicharcompress``). Numbers are little-endian. A file is a
table of the components' places and the components; the network is a tree of layers, each with its type,
flags, inputs, outputs and name, and its own numbers behind these.
"""

from __future__ import annotations

import dataclasses
import os
import struct

import numpy as np

from zoo.errors import UserError
from zoo.files import read_at_most

MOST = 1 << 28  # bytes of a file; script/Latin, the largest, has 89 million
DEEPEST = 50  # layers inside one another
_COMPONENTS = 24
_LSTM, _UNICHARSET, _RECODER = 17, 21, 22
_LEGACY = 3  # shapes of the engine before, inttemp
_INT8, _DOUBLE = 1, 128  # flags of a matrix of weights
_RATES = 64  # flag of a network whose layers have learning rates of their own
_GATES = "candidate", "input", "forget", "output"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of the network.

    Attributes:
        kind: "Input", "Convolve", "Maxpool", "LSTM", "SummLSTM", "Tanh", "Series", …, as Tesseract names it.
        inputs, outputs: depth of what goes in and comes out.
        settings: ``{name: int}`` of a layer without weights.
        weights: list of float32 ``[outputs, inputs + 1]``, the bias in the last column: of an LSTM those of
            candidate, input, forget and output gate, columns of the input before those of the output.
        layers: those inside it.
    """

    kind: str
    inputs: int
    outputs: int
    settings: dict
    weights: tuple = ()
    layers: tuple = ()


@dataclasses.dataclass(frozen=True)
class Model:
    """What a file has.

    Attributes:
        network: the ``Layer`` of the whole network.
        spec: str, the network as Tesseract describes it, in VGSL.
        blank: row of the CTC blank among the outputs.
        spellings: ``{codes: text}``: what tuples of rows stand for.
        is_int: whether the weights were stored in 8 bits.
    """

    network: Layer
    spec: str
    blank: int
    spellings: dict
    is_int: bool


def read_traineddata(path: str | os.PathLike) -> Model:
    """Read a ``.traineddata`` file.

    Raises:
        UserError: it cannot be read, is damaged, or has no recurrent network.
    """
    found = components(path)
    missing = [name for name, at in (("network", _LSTM), ("characters", _UNICHARSET)) if at not in found]
    if missing:
        if _LEGACY in found:
            raise UserError(
                f"{path}: it has a model of Tesseract's legacy engine alone, which is no network; take "
                "the one of tessdata_fast or tessdata_best"
            )
        raise UserError(f"{path}: it has no {' and no '.join(missing)}; take another .traineddata")
    try:
        reader = _Bytes(found[_LSTM])
        network = _layer(reader)
        spec = reader.string()
        reader.numbers("iii")  # flags and iterations of the training
        (blank,) = reader.numbers("i")
        names = _unicharset(found[_UNICHARSET].decode("utf-8"))
        codes = _recoder(_Bytes(found[_RECODER])) if _RECODER in found else [(i,) for i in range(len(names))]
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this .traineddata is damaged ({error}); copy it again") from error
    spellings = {}
    for name, code in zip(names, codes, strict=False):
        spellings.setdefault(code, name)
    return Model(network, spec, blank, spellings, reader.is_int)


def components(path: str | os.PathLike) -> dict[int, bytes]:
    """``{number: bytes}`` of the components that a ``.traineddata`` file has.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    data = read_at_most(path, MOST, ", which no .traineddata has; give another file")
    try:
        (count,) = struct.unpack_from("<i", data)
        if not 0 < count <= _COMPONENTS * 2:
            raise ValueError
        places = struct.unpack_from(f"<{count}q", data, 4)
    except (struct.error, ValueError) as error:
        raise UserError(f"{path}: this is no .traineddata of Tesseract; give one") from error
    found, start = {}, 4 + 8 * count
    present = [(place, number) for number, place in enumerate(places) if place >= 0]
    ends = [place for place, _ in present[1:]] + [len(data)]
    for (place, number), end in zip(present, ends, strict=True):
        if not start <= place <= end <= len(data):
            raise UserError(f"{path}: this .traineddata is damaged or cut off; copy it again")
        found[number] = data[place:end]
    return found


class _Bytes:
    """Reads numbers one after another."""

    def __init__(self, data):
        self.data, self.at, self.is_int = data, 0, False

    def numbers(self, form):
        found = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def take(self, count):
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError("it ends too soon")
        self.at += count
        return self.data[self.at - count : self.at]

    def string(self):
        (count,) = self.numbers("I")
        return self.take(count).decode("utf-8")

    def array(self, dtype, shape):
        dtype = np.dtype(dtype)
        return np.frombuffer(self.take(dtype.itemsize * int(np.prod(shape, dtype=int))), dtype).reshape(shape)


_PLUMBING = (
    "Series", "Parallel", "Replicated", "ParBidirLSTM", "DepParUDLSTM", "Par2dLSTM", "RTLReversed",
    "TTBReversed", "XYTranspose",
)  # fmt: skip
_DENSE = "Softmax", "SoftmaxNoCTC", "Logistic", "LinLogistic", "LinTanh", "Tanh", "Relu", "Linear"


def _layer(reader, depth=0):
    """The layer that begins here."""
    if depth > DEEPEST:
        raise ValueError("its layers are inside one another without end")
    (kind,) = reader.numbers("b")
    if kind:
        raise ValueError(f"layers are named since Tesseract 4.0, and this one has the number {kind}")
    kind = reader.string()
    _, _, flags, inputs, outputs, _ = reader.numbers("bbiiii")
    reader.string()  # the name
    settings, weights, layers = {}, (), ()
    if kind == "Input":
        names = "batch", "height", "width", "depth", "loss"
        settings = dict(zip(names, reader.numbers("iiiii"), strict=True))
    elif kind == "Convolve":
        settings = dict(zip(("half_x", "half_y"), reader.numbers("ii"), strict=True))
    elif kind in ("Maxpool", "Reconfig"):
        settings = dict(zip(("x", "y"), reader.numbers("ii"), strict=True))
    elif kind in _DENSE:
        weights = (_matrix(reader),)
    elif kind in ("LSTM", "SummLSTM"):
        reader.numbers("i")
        weights = tuple(_matrix(reader) for _ in _GATES)
        if weights[0].shape[1] != inputs + outputs + 1:
            raise ValueError(f"a layer {kind} over two dimensions, which is not known here")
    elif kind in _PLUMBING:
        (count,) = reader.numbers("I")
        layers = tuple(_layer(reader, depth + 1) for _ in range(count))
        if flags & _RATES:
            (count,) = reader.numbers("I")
            reader.take(4 * count)
    else:
        raise ValueError(f"a layer {kind}, which is not known here")
    return Layer(kind, inputs, outputs, settings, weights, layers)


def _matrix(reader):
    """float32 ``[rows, columns]``."""
    (mode,) = reader.numbers("B")
    if not mode & _DOUBLE:
        raise ValueError("weights as before Tesseract 4.0")
    rows, columns = reader.numbers("II")
    if mode & _INT8:
        reader.numbers("b")
        reader.is_int = True
        values = reader.array("i1", (rows, columns)).astype(np.float32)
        (count,) = reader.numbers("I")
        scales = reader.array("<f8", (count,))[:rows]
        return values * scales[:, None].astype(np.float32)
    reader.numbers("d")
    return reader.array("<f8", (rows, columns)).astype(np.float32)


def _unicharset(text):
    """The texts of all units, in the order of their numbers."""
    lines = text.split("\n")
    count = int(lines[0])
    if not 0 < count < len(lines):
        raise ValueError(f"{len(lines) - 1} of {count} characters are there")
    names = [line.split(" ")[0] for line in lines[1 : count + 1]]
    return [" " if name == "NULL" else name for name in names]


def _recoder(reader):
    """The codes of all units: a list of tuples of rows."""
    (count,) = reader.numbers("I")
    found = []
    for _ in range(count):
        _, length = reader.numbers("bi")
        if not 0 <= length <= 9:
            raise ValueError(f"a character of {length} codes")
        found.append(reader.numbers(f"{length}i"))
    return found
