"""Networks written as VGSL strings, as Tesseract and kraken describe theirs.

    [1,36,0,1 Ct3,3,16 Mp3,3 Lfys48 Lfx96 Lrx96 Lfx128 O1c140]

says: an image 36 pixels high, of any width, with one channel; a convolution 3x3 to 16 channels, tanh; the
maximum of each 3x3 pixels; an LSTM forward along y, of which the last step is kept (``s``); LSTMs along x,
forward, backward, forward; 140 scores for CTC. Of tessdoc's "Variable Graph Specification Language" and
kraken's documentation these layers are known, sizes across the line (y) before those along (x):

    C(s|t|r|l)[s][{name}]Y,X,D[,SY,SX]  convolution: sigmoid, tanh, ReLU or linear; D channels, strides SY, SX
    Mp[s][{name}]Y,X[,SY,SX]          maximum of Y x X pixels, by default without overlap
    (L|G)(f|r|b)(x|y)[s][{name}]N     LSTM or GRU of N units: forward, backward, both; of ``s`` the last step
    S1(1xH)1,3                        rows become channels, or S1(1x0)1,3
    Do[{name}][P[,D]]                 dropout of a share P, 0.5; D 2: of whole channels
    Gn[{name}]G, Bn[{name}]           group normalisation (within each line's width), batch normalisation
    O1(c|s)N                          the scores

Convolutions and maxima with an ``s`` (Crs, Mps) are an addition: at the edges they see what TensorFlow calls
SAME, so that each begun stride gives a column, as in Calamari's networks. Without it a convolution sees
(Y - 1) // 2 and (X - 1) // 2 zeros on each side, and a window that does not fit is left out.

Padding never changes a result: a convolution sees zeros beyond the end of each line, and what stands
there is set to zero after each layer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.layers import GRU, LSTM, Bidirectional, MaskByLength, Recurrent, reverse_by_length

_UP = {"f": (False,), "r": (True,), "b": (False, True)}  # which ways along y a layer goes
NOISE = 499  # columns after which noise beyond the edges repeats
LOWEST = -6e4  # less than what a maximum is taken of, also in float16
_ACTIVATIONS = {"s": "sigmoid", "t": "tanh", "r": "relu", "l": "linear"}
_NAME = r"(?:\{[^}]*\})?"
_LAYERS = {
    "convolution": rf"C([strl])(s?){_NAME}(\d+),(\d+),(\d+)(?:,(\d+),(\d+))?",
    "maximum": rf"Mp(s?){_NAME}(\d+),(\d+)(?:,(\d+),(\d+))?",
    "recurrent": rf"([LG])([frb])([xy])(s?){_NAME}(\d+)",
    "rows": rf"S{_NAME}1\(1x\d+\)1,3",
    "dropout": rf"Do{_NAME}(0?\.\d+|0|1)?(?:,(\d))?",
    "groups": rf"Gn{_NAME}(\d+)",
    "batch": rf"Bn{_NAME}",
    "scores": rf"O{_NAME}1[cs](\d*)",
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A VGSL string.

    Attributes:
        height: rows of the image.
        layers: list of ``(kind, parts)``, see ``_LAYERS``: numbers are int, what is missing None.
    """

    height: int
    layers: tuple

    def columns(self, count: Any) -> list:
        """Columns that each layer leaves of so many, an int or a tensor: a list, first ``count``."""
        found = [count]
        for kind, parts in self.layers:
            found.append(_steps(found[-1], *_along(kind, parts, 1)))
        return found

    @property
    def stride(self) -> int:
        """Columns of the image that one column of the output stands for."""
        found = 1
        for kind, parts in self.layers:
            found *= _along(kind, parts, 1)[1]
        return found

    @property
    def shortest(self) -> int:
        """Columns without which there is no output."""
        return next(count for count in range(1, 10_000) if min(self.columns(count)) > 0)


def _along(kind, parts, axis):
    """Size and stride of a layer's window along y (0) or x (1), and zeros on each side; None for SAME."""
    if kind == "convolution":
        size = parts[2 + axis]
        return size, parts[5 + axis] or 1, None if parts[1] else (size - 1) // 2
    if kind == "maximum":
        size = parts[1 + axis]
        return size, parts[3 + axis] or size, None if parts[0] else 0
    return 1, 1, 0


def _steps(count, size, stride, around):
    """Steps that a window makes along ``count`` pixels."""
    return (count + stride - 1) // stride if around is None else (count + 2 * around - size) // stride + 1


def _covered(count, size, stride):
    """Pixels that SAME windows cover along ``count`` of them, what is added included."""
    return (_steps(count, size, stride, None) - 1) * stride + size


def parse(text: str) -> Spec:
    """A VGSL string as a ``Spec``.

    Raises:
        ValueError: it is none, has a layer that is not known, or does not fit lines.
    """
    inner = re.fullmatch(r"\s*\[\s*(.*?)\s*\]\s*", text, re.DOTALL)
    start = inner and re.match(r"(\d+),(\d+),(\d+),(\d+)\s*", inner[1])
    if not start:
        raise ValueError(f"{text!r} is no VGSL string; one begins as [1,48,0,1 Cr3,3,32")
    _, height, width, depth = map(int, start.groups())
    if depth != 1 or width or not height:
        raise ValueError(f"{start[0].strip()}: an image of a line has a height, the width 0 and 1 channel")
    found, at = [], start.end()
    while at < len(inner[1]):
        for kind, pattern in _LAYERS.items():
            if match := re.compile(rf"{pattern}\s*(?![\d.])").match(inner[1], at):
                found.append((kind, tuple(map(_part, match.groups()))))
                at = match.end()
                break
        else:
            raise ValueError(f"VGSL has no layer {inner[1][at : at + 12]!r} that is known here")
    _check(found, height)
    return Spec(height, tuple(found))


def is_layer(text: str) -> bool:
    """Whether a string is one layer that is known."""
    return any(re.fullmatch(pattern, text) for pattern in _LAYERS.values())


def _part(text):
    if text and re.fullmatch(r"0?\.\d+", text):
        return float(text)
    return int(text) if text and text.isdecimal() else text


def _check(found, rows):
    """ValueError where the rows do not come to one, or a layer stands where it cannot."""
    for number, (kind, parts) in enumerate(found):
        size, stride, around = _along(kind, parts, 0)
        if min(size, stride, *_along(kind, parts, 1)[:2]) < 1:
            raise ValueError(f"a window of its layer {number + 1} has no pixel, or does not move")
        rows = _steps(rows, size, stride, around)
        if rows < 1:
            raise ValueError(f"its layer {number + 1} leaves no row of the image")
        if kind == "recurrent" and parts[3] and parts[2] == "x":
            raise ValueError("an LSTM that is summed up along the line (Lfxs) leaves no characters to read")
        if kind == "recurrent" and parts[3] or kind == "rows":
            rows = 1
        elif kind == "recurrent" and parts[2] == "x" and rows > 1:
            raise ValueError("an LSTM along x needs a single row: S1(1x0)1,3 or Lfys before it")
        if kind == "scores" and number + 1 < len(found):
            raise ValueError("the output O1c is the last layer")
    if rows > 1:
        raise ValueError(f"{rows} rows are left at its end; S1(1x0)1,3 or Lfys before it make them one")


def build(spec: Spec, symbols: int, name: str, noise: bool = False) -> keras.Model:
    """The network of a ``Spec``.

    Args:
        spec: the ``Spec``; its output layer counts for nothing.
        symbols: scores of each frame.
        name: of the network.
        noise: the first convolution sees noise beyond the image's edges, see ``NoiseAround``, not zeros.

    Returns:
        A ``keras.Model`` of ``image`` ``[batch, columns, height, 1]`` and int32 ``columns``, the width of
        each; logits float32 ``[batch, frames, symbols]``, as many as ``spec.columns`` tells. Weights are
        called ``conv_0``, ``lstm_0``, … and ``logits``.
    """
    image = keras.Input((None, spec.height, 1), name="image")
    columns = keras.Input((), dtype="int32", name="columns")
    x, counts, seen = image, spec.columns(columns), {}
    for (kind, parts), count_before, count in zip(spec.layers, counts, counts[1:], strict=False):
        number = seen[kind] = seen.get(kind, -1) + 1
        if kind == "convolution":
            activation, same, y, wide, filters, *_ = parts
            around = [((size - 1) // 2,) * 2 for size in (wide, y)]
            strides = tuple(_along(kind, parts, axis)[1] for axis in (1, 0))
            if same:
                x = SamePadding((wide, y), strides, name=f"around_{number}")(x, count_before)
            elif noise and x is image:
                x = NoiseAround(around, name=f"around_{number}")(x, count_before)
            else:
                x = layers.ZeroPadding2D(around, name=f"around_{number}")(x)
            x = layers.Conv2D(
                filters, (wide, y), strides, activation=_ACTIVATIONS[activation], name=f"conv_{number}"
            )(x)
            x = MaskByLength(name=f"mask_{number}")(x, count)
        elif kind == "maximum":
            size, stride = (tuple(_along(kind, parts, axis)[i] for axis in (1, 0)) for i in (0, 1))
            if parts[0]:
                x = SamePadding(size, stride, LOWEST, name=f"pool_around_{number}")(x, count_before)
            x = layers.MaxPooling2D(size, stride, name=f"pool_{number}")(x)
            x = MaskByLength(name=f"pool_mask_{number}")(x, count)
        elif kind == "recurrent":
            x = _recurrent(x, count, parts, f"lstm_{number}")
        elif kind == "rows":
            x = layers.Reshape((-1, 1, x.shape[2] * x.shape[3]), name=f"rows_{number}")(x)
        elif kind == "dropout":
            share, whole = parts
            shape = (None, 1, 1, None) if whole == 2 else None
            x = layers.Dropout(0.5 if share is None else share, shape, name=f"dropout_{number}")(x)
        elif kind == "groups":
            x = GroupNormalization(parts[0], name=f"groups_{number}")(x, count)
            x = MaskByLength(name=f"groups_mask_{number}")(x, count)
        elif kind == "batch":
            x = layers.BatchNormalization(epsilon=1e-5, name=f"batch_{number}")(x)
            x = MaskByLength(name=f"batch_mask_{number}")(x, count)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]), name="features")(x)
    logits = layers.Dense(symbols, dtype="float32", name="logits")(x)
    return keras.Model({"image": image, "columns": columns}, logits, name=name)


@keras.saving.register_keras_serializable("seqzoo")
class NoiseAround(layers.Layer):
    """An image ``[batch, columns, rows, 1]`` with noise from -1 to 1 around each line, always the same.

    Tesseract's networks learn and read with such noise at the edges, and see letters where there is none.

    Args:
        around: pixels on each side, ``((left, right), (top, bottom))``.
    """

    def __init__(self, around: Sequence, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.around = tuple(map(tuple, around))

    def call(self, x: Any, lengths: Any) -> Any:
        (left, right), (top, bottom) = self.around
        rows = x.shape[2]
        x = ops.pad(x, ((0, 0), *self.around, (0, 0)))
        noise = np.random.default_rng(0).uniform(-1, 1, (NOISE, rows + top + bottom)).astype("float32")
        place = ops.arange(ops.shape(x)[1], dtype="int32")
        noise = ops.take(ops.cast(noise, x.dtype), place % NOISE, axis=0)[None, :, :, None]
        column = place[None, :, None, None] - left
        row = ops.arange(rows + top + bottom, dtype="int32")[None, None, :, None] - top
        inside = ops.logical_and(row >= 0, row < rows)
        inside = ops.logical_and(inside, column >= 0)
        inside = ops.logical_and(inside, column < lengths[:, None, None, None])
        return ops.where(inside, x, noise)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        (left, right), (top, bottom) = self.around
        columns = None if x.shape[1] is None else x.shape[1] + left + right
        return keras.KerasTensor((x.shape[0], columns, x.shape[2] + top + bottom, x.shape[3]), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "around": self.around}


@keras.saving.register_keras_serializable("seqzoo")
class SamePadding(layers.Layer):
    """Lines ``[batch, columns, rows, channels]`` with what TensorFlow's SAME padding adds to each.

    How many columns it adds at the left depends on a line's width, where windows are larger than 2.

    Args:
        size, strides: of the windows that follow, ``(along, across)`` the line.
        fill: what is added, and set beyond each line's end; what stands there is taken for 0.
    """

    def __init__(self, size: Sequence[int], strides: Sequence[int], fill: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.strides, self.fill = tuple(size), tuple(strides), fill

    def call(self, x: Any, lengths: Any) -> Any:
        size, stride = self.size[0], self.strides[0]
        count, (top, bottom) = ops.shape(x)[1], self._rows(x.shape[2])
        if self.fill:
            within = ops.arange(count, dtype="int32")[None] < lengths[:, None]
            x = ops.where(within[:, :, None, None], x, ops.cast(self.fill, x.dtype))
        most, least = (size - 1) // 2, max(size - stride, 0) // 2  # columns at the left
        whole = _covered(count, size, stride)
        x = ops.pad(x, ((0, 0), (most, size - 1), (top, bottom), (0, 0)), constant_values=self.fill)
        found = x[:, most - least : most - least + whole]
        added = _covered(lengths, size, stride) - lengths
        for left in range(least + 1, most + 1):
            here = (added // 2 == left)[:, None, None, None]
            found = ops.where(here, x[:, most - left : most - left + whole], found)
        return found

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        rows = x.shape[2] + sum(self._rows(x.shape[2]))
        return keras.KerasTensor((x.shape[0], None, rows, x.shape[3]), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "strides": self.strides, "fill": self.fill}

    def _rows(self, rows):
        """Rows added at the top and at the bottom."""
        added = max(_covered(rows, self.size[1], self.strides[1]) - rows, 0)
        return added // 2, added - added // 2


def _recurrent(x, count, parts, name):
    """A recurrent layer over ``[batch, columns, rows, channels]``, along x or y."""
    kind, direction, axis, last, units = parts
    make = {"L": LSTM, "G": GRU}[kind]
    rows, channels = x.shape[2:]
    if axis == "x":
        x = layers.Reshape((-1, channels), name=f"{name}_steps")(x)
        x = _directed(make(units), direction, name)(x, count)
        return layers.Reshape((-1, 1, x.shape[-1]), name=f"{name}_row")(x)
    found = AlongRows(make(units), direction, bool(last), name=name)(x)
    return MaskByLength(name=f"{name}_mask")(found, count)


def _directed(layer, direction, name):
    """A layer of sequences ``[batch, time, features]`` and lengths."""
    if direction == "b":
        return Bidirectional(layer, name=name)
    return Directed(layer, direction == "r", name=name)


@keras.saving.register_keras_serializable("seqzoo")
class Directed(layers.Layer):
    """A recurrent layer over sequences of given lengths, forward or ``reverse``; it gives outputs alone."""

    def __init__(self, layer: Any, reverse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.given, self.reverse = layer, reverse
        # Within, rather than derived from: exporters know a Recurrent and its lengths.
        self.layer = Recurrent(layer, name="layer")

    def build(self, sequences_shape: tuple, lengths_shape: tuple | None = None) -> None:
        self.layer.build(sequences_shape)

    def call(self, sequences: Any, lengths: Any, training: bool | None = False) -> Any:
        if self.reverse:
            sequences = reverse_by_length(sequences, lengths)
        outputs, _ = self.layer(sequences, lengths, training=training)
        return reverse_by_length(outputs, lengths) if self.reverse else outputs

    def compute_output_spec(self, sequences: Any, lengths: Any, training: bool | None = False) -> Any:
        return keras.KerasTensor((*sequences.shape[:2], self.given.units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"layer": keras.saving.serialize_keras_object(self.given), "reverse": self.reverse}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Directed:
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})


@keras.saving.register_keras_serializable("seqzoo")
class AlongRows(layers.Layer):
    """A recurrent layer along y of ``[batch, columns, rows, channels]``, each column by itself.

    Args:
        layer: a recurrent layer of ``zoo.layers``.
        direction: "f" from the top, "r" from the bottom, "b" both side by side.
        last: keep what it says at its end: ``[batch, columns, 1, units]``; else what it says in each row.
    """

    def __init__(self, layer: Any, direction: str = "f", last: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.given, self.direction, self.last = layer, direction, last
        config = layer.get_config()
        self.ways = [
            Recurrent(type(layer).from_config(config | {"name": way}), name=way)
            for way in ("up" if up else "down" for up in _UP[direction])
        ]

    def build(self, shape: tuple) -> None:
        for way in self.ways:
            way.build((None, *shape[2:]))

    def call(self, x: Any, training: bool | None = False) -> Any:
        shape, found = ops.shape(x), []
        columns = ops.reshape(x, (-1, *x.shape[2:]))
        # Not by their names, which exporters change.
        for way, up in zip(self.ways, _UP[self.direction], strict=True):
            outputs, states = way(ops.flip(columns, 1) if up else columns, training=training)
            if self.last:
                outputs = ops.cast(states[0], outputs.dtype)[:, None]
            found.append(ops.flip(outputs, 1) if up else outputs)
        found = ops.concatenate(found, -1)
        return ops.reshape(found, (shape[0], shape[1], *found.shape[1:]))

    def compute_output_spec(self, x: Any, training: bool | None = False) -> Any:
        rows = 1 if self.last else x.shape[2]
        units = len(self.ways) * self.given.units
        return keras.KerasTensor((*x.shape[:2], rows, units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"direction": self.direction, "last": self.last}
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.given), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AlongRows:
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})


@keras.saving.register_keras_serializable("seqzoo")
class GroupNormalization(layers.Layer):
    """Group normalisation (Wu & He 2018) of ``[batch, columns, rows, channels]`` within each line."""

    def __init__(self, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups

    def build(self, x_shape: tuple, lengths_shape: tuple | None = None) -> None:
        if not self.groups or x_shape[-1] % self.groups:
            raise ValueError(f"{x_shape[-1]} channels cannot be parted into the {self.groups} groups of Gn")
        self.gamma = self.add_weight(shape=x_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=x_shape[-1:], initializer="zeros", name="beta")

    def call(self, x: Any, lengths: Any) -> Any:
        shape, channels = ops.shape(x), x.shape[-1]
        parts = ops.reshape(
            ops.cast(x, "float32"), (shape[0], shape[1], x.shape[2], self.groups, channels // self.groups)
        )
        within = ops.arange(shape[1], dtype="int32")[None] < lengths[:, None]
        within = ops.cast(within, "float32")[:, :, None, None, None]
        count = ops.cast(lengths, "float32")[:, None, None, None, None] * (
            x.shape[2] * channels // self.groups
        )
        mean = _total(parts * within) / count
        apart = (parts - mean) * within
        variance = _total(apart * apart) / count
        found = ops.reshape(apart / ops.sqrt(variance + 1e-5), shape)
        return ops.cast(found * self.gamma + self.beta, x.dtype)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}


def _total(parts):
    """Sums of groups of ``[batch, columns, rows, groups, channels]``, exact by the order of summing."""
    return ops.sum(ops.sum(parts, (2, 4), keepdims=True), 1, keepdims=True)
