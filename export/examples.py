"""Inputs on which the export of a Keras model is verified: random ones of several lengths, and edges."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from export import preprocessing
from export.verify import ExportError
from zoo.errors import UserError, reason

# Lengths that may be the least a model takes: of strides and U-Nets powers of two, of raw audio thousands.
LEAST = (*range(1, 9), 11, 16, 24, 32, 48, 64, 96, 128, 256, 400, 512, *(1024 * 2**i for i in range(6)))
DIFFERENT, SAME = "different", "same"


@dataclasses.dataclass(frozen=True)
class Kind:
    """How an example is made.

    Attributes:
        batch: rows.
        length: which of a model's three lengths: 0 for the least that it takes, 1 or 2.
        padding: which steps are masked: "none", "right", "left", "holes", or "row": all of one row.
        scale: standard deviation of float inputs.
        lengths: whether all variable axes are equally long, or each has a length of its own.
    """

    batch: int
    length: int
    padding: str = "none"
    scale: float = 1.0
    lengths: str = SAME


KINDS = (
    Kind(1, 2),
    Kind(2, 1, "right"),
    Kind(3, 2, "left", lengths=DIFFERENT),
    Kind(4, 1, "holes"),
    Kind(5, 2, "row"),
    Kind(1, 0),
    Kind(3, 0, "right", lengths=DIFFERENT),
    Kind(5, 2, "right", lengths=DIFFERENT),
)
LARGE = Kind(2, 1, scale=1000.0)


class Maker:
    """Makes examples for a functional model.

    Args:
        network: the ``keras.Model``.
        inputs: ``{name: KerasTensor}``, its inputs in their order.
        states: ``{name: shape}`` of float inputs besides, the states of layers.
        run: gives a dict of its outputs, NumPy arrays, for a dict of all inputs, or raises.
    """

    def __init__(self, network: keras.Model, inputs: Any, states: Any, run: Callable) -> None:
        self._network, self._inputs, self._states, self._run = network, inputs, states, run
        self._embeds = any(isinstance(one, keras.layers.Embedding) for one in network._flatten_layers())
        self._open = [
            (name, axis)
            for name, one in inputs.items()
            for axis, size in enumerate(one.shape)
            if axis and size is None
        ]

    def large(self) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """List of ``(inputs, outputs)``: an example of large numbers, if the model takes it."""
        inputs = self.make(LARGE, len(KINDS))
        outputs, _ = self._try(inputs)
        return [] if outputs is None else [(inputs, outputs)]

    def cases(self) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """List of ``(inputs, outputs)``: an example of each kind that the model takes."""
        found = []
        for seed, kind in enumerate(KINDS):
            same = dataclasses.replace(kind, lengths=SAME)
            for one in dict.fromkeys((kind, same)):
                inputs = self.make(one, seed)
                outputs, _ = self._try(inputs)
                if outputs is not None:
                    found.append((inputs, outputs))
                    break
        if not found:
            raise self._none_works(self._try(self.make(KINDS[0], 0))[1])
        return found

    def make(self, kind: Kind, seed: int) -> dict[str, np.ndarray]:
        """A dict of NumPy arrays."""
        count = len(self._lengths)
        sizes = {
            place: self._lengths[(kind.length - i * (kind.lengths == DIFFERENT)) % count]
            for i, place in enumerate(self._open)
        }
        return self._make(sizes, kind, seed)

    @functools.cached_property
    def _lengths(self):
        """Three lengths that the model takes, the least first."""
        if not self._open:
            return (0, 0, 0)
        axes = {name: sum(name == one for one, _ in self._open) for name in self._inputs}
        images = any(1 < axes[name] == len(one.shape) - 2 for name, one in self._inputs.items())
        # Of other axes beside time, as words of characters, Keras may take a step for each pair.
        usual = (24, 33) if images else (7, 13) if max(axes.values()) == 1 else (3, 5)
        error = None

        def works(length):
            nonlocal error
            inputs = self._make(dict.fromkeys(self._open, length), Kind(2, 0), 0)
            try:  # TensorFlow's convolutions give something where Keras knows that nothing can come out
                output_shapes(self._network, [inputs[name].shape for name in self._inputs])
            except Exception as wrong:
                error = wrong
                return False
            outputs, error = self._try(inputs)
            return outputs is not None

        least = next((n for n in LEAST if works(n)), None)
        if least is None:
            raise self._none_works(error)
        lengths = [least]
        for wish in usual:
            start = max(wish, lengths[-1] + 1)
            multiples = [least * i for i in range(2, 5) if least * i > lengths[-1]]
            lengths.append(next((n for n in (start, start + 1, *multiples) if works(n)), lengths[-1]))
        return tuple(lengths)

    def given(
        self, example: dict[str, np.ndarray]
    ) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """The cases of inputs that a user gives: all rows, the first alone, and all with other numbers.

        Args:
            example: ``{name of an input: array}``.

        Raises:
            UserError: it does not fit the model's inputs.
        """
        self.check(example)
        arrays = {
            name: np.asarray(example[name]).astype(_numpy_dtype(one), copy=False)
            for name, one in self._inputs.items()
        }
        random = np.random.default_rng(0)
        arrays |= self._make_states(random)
        other = {
            name: (value * random.uniform(0.5, 1.5, value.shape)).astype(value.dtype)
            if np.issubdtype(value.dtype, np.floating)
            else value[::-1]
            for name, value in arrays.items()
        }
        tries = [arrays, {name: value[:1] for name, value in arrays.items()}, other]
        if self._fixed_batch:
            del tries[1]
        found = [(inputs, *self._try(inputs)) for inputs in tries]
        _, outputs, error = found[0]
        if outputs is None:
            raise UserError(f"The model {self._network.name!r} does not take the example ({reason(error)})")
        return [(inputs, outputs) for inputs, outputs, _ in found if outputs is not None]

    def check(self, example: dict[str, np.ndarray]) -> None:
        """Raises a UserError where an example does not fit the model's inputs."""
        names = list(self._inputs)
        if not isinstance(example, dict) or set(example) != set(names):
            there = f"{len(example)} arrays without these names"
            if isinstance(example, dict):
                there = ", ".join(sorted(map(repr, example))) or "nothing"
            raise UserError(
                f"The example has {there}; the inputs of the model {self._network.name!r} are "
                f"{', '.join(map(repr, names))}"
            )
        for name, one in self._inputs.items():
            shape = np.shape(example[name])
            sizes = [size if known is None else known for size, known in zip(shape, one.shape, strict=False)]
            if len(shape) != len(one.shape) or list(shape) != sizes:
                wanted = ", ".join("any" if size is None else str(size) for size in one.shape)
                raise UserError(f"The example's {name!r} has the shape {shape}; the model takes ({wanted})")

    def _try(self, inputs):
        """(outputs, None), or (None, what the model raised or what is wrong with what it gave)."""
        try:
            outputs = self._run(inputs)
        except Exception as error:  # whatever a layer raises where it does not like its input
            return None, error
        if any(value.size == 0 for value in outputs.values()):
            return None, "an output is empty"
        return outputs, None

    def _none_works(self, error):
        lengths = f" of any length from {LEAST[0]} to {LEAST[-1]}" if self._open else ""
        return ExportError(
            f"The model {self._network.name!r} takes none of the examples that were tried{lengths} "
            f"({reason(error)}); give inputs that it takes, as example={{name: array}} or --example FILE.npz"
        )

    def _make(self, sizes, kind, seed):
        random = np.random.default_rng(seed)
        batch = self._fixed_batch or kind.batch
        shapes = {
            name: tuple(batch if axis == 0 else n or sizes[name, axis] for axis, n in enumerate(one.shape))
            for name, one in self._inputs.items()
        }
        longest = max((shape[1] for shape in shapes.values() if len(shape) > 1), default=1)
        lengths = random.integers(1, longest + 1, batch)
        lengths[random.integers(batch)] = longest
        if kind.padding == "row":
            lengths[random.integers(batch)] = 0
        tokens, blank = tokens_and_blank(self._network, default_tokens=3)
        values = {}
        for name, one in self._inputs.items():
            shape, dtype = shapes[name], keras.backend.standardize_dtype(one.dtype)
            readers = preprocessing.readers(self._network, one)
            if dtype == "string":
                values[name] = preprocessing.example_strings(readers, shape, random)
                continue
            read = preprocessing.example_integers(readers, shape, random) if "int" in dtype else None
            if read is not None:
                values[name] = read.astype(dtype)
                continue
            if "float" in dtype:
                value, padding = random.normal(size=shape) * kind.scale, blank
            elif dtype == "bool":
                value, padding = random.random(shape) < 0.7, False
            elif len(shape) == 1:
                # A number for each row: most likely its length, in the steps that strides leave.
                value, padding = np.minimum(lengths, self._steps(shapes, longest)), 0
            else:
                if not self._embeds:  # plain numbers
                    tokens = 256 if dtype == "uint8" else 3 if kind.scale == 1 else 100
                most = min(tokens, np.iinfo(dtype).max + 1)
                value, padding = random.integers(min(1, most - 1), most, shape), 0
            if len(shape) > 1 and shape[1] > 1:
                value[np.broadcast_to(_hidden(kind.padding, lengths, shape, random), shape[:2])] = padding
            values[name] = np.asarray(value).astype(dtype)
        return values | self._make_states(random)

    def _make_states(self, random):
        return {name: random.normal(size=shape).astype("float32") for name, shape in self._states.items()}

    @property
    def _fixed_batch(self):
        return next((one.shape[0] for one in self._inputs.values() if one.shape and one.shape[0]), None)

    def _steps(self, shapes, default):
        try:
            return output_steps(self._network, [shapes[name] for name in self._inputs], default)
        except Exception:  # too short, perhaps
            return default


def _numpy_dtype(tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return object if dtype == "string" else dtype


def _hidden(padding, lengths, shape, random):
    """bool, broadcasts to ``[batch, time]``: the steps that are masked."""
    step, count = np.arange(shape[1])[None, :], np.minimum(lengths, shape[1])[:, None]
    return {
        "none": step < 0,
        "right": step >= count,
        "left": step < shape[1] - count,
        "holes": random.random(shape[:2]) < 0.3,
        "row": (step >= count) & (count == 0),
    }[padding]


def tokens_and_blank(network: keras.Model, default_tokens: int) -> tuple[int, float]:
    """How many tokens every embedding of a network knows, and the value that it masks in float inputs."""
    layers = list(network._flatten_layers(include_self=False))
    tokens = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    blanks = [layer.mask_value for layer in layers if isinstance(layer, keras.layers.Masking)]
    return min(tokens, default=default_tokens), blanks[0] if blanks else 0


def output_steps(network: keras.Model, shapes: list[tuple], default: int) -> int:
    """The length of a network's shortest output sequence, or a default where it gives none.

    Args:
        network: a functional model.
        shapes: whole shapes of its inputs, in their order.
    """
    outputs = zip(output_shapes(network, shapes), network.outputs, strict=True)
    return min((shape[1] for shape, open_ in outputs if open_.shape[1:2] == (None,)), default=default)


def output_shapes(network: keras.Model, shapes: list) -> list:
    """The shapes of a network's outputs, of whole shapes of its inputs; or raises what a layer raises."""
    pairs = zip(shapes, network.inputs, strict=True)
    tensors = [keras.KerasTensor(shape, tensor.dtype) for shape, tensor in pairs]
    packed = keras.tree.pack_sequence_as(network._inputs_struct, tensors)
    return [output.shape for output in keras.tree.flatten(network.compute_output_spec(packed))]
