"""Any functional or Sequential Keras model as something that can be exported: its ``Serving``."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from export import verify
from export.examples import Maker
from export.verify import ExportError
from zoo.contract.serving import Serving, TensorSpec
from zoo.errors import UserError

ROUNDING = 2e-7  # of numbers, relative: about what float32 leaves uncertain after some additions


class KerasModel:
    """A Keras model beside the tasks of the zoo: what the exporters ask of either.

    Attributes:
        network: the model.
        example: the example to verify on, ``{name of an input: array}``, or None.
        names: ``{layer: its name}``, with those of the layers around it where several have the same.
        states: ``{name: (layer, index)}``, the states of its stateful layers, which are inputs and, as
            ``NAME_next``, outputs of what is exported.
    """

    def __init__(self, model: keras.Model, example: dict[str, np.ndarray] | None = None) -> None:
        """
        Args:
            model: a functional or Sequential model.
            example: ``{name of an input: array}`` to verify on, or a list of arrays in the order of the
                inputs, or None for random inputs.
        """
        _check(model)
        if isinstance(model, keras.Sequential):
            model = model._functional
        self.network = model
        self.names = unique_names(model)
        names = _Names()
        self._inputs = {names.add(str(tensor.name)): tensor for tensor in model.inputs}
        self._outputs = dict(zip(_output_names(model, names), keras.tree.flatten(model.outputs), strict=True))
        self.states = {}
        for layer, name in self.names.items():
            if isinstance(layer, keras.layers.RNN) and layer.stateful and layer.states is not None:
                count = len(keras.tree.flatten(layer.states))
                ends = [str(i) for i in range(count)]
                if count == (2 if isinstance(layer, keras.layers.LSTM) else 1):
                    ends = ["h", "c"][:count]
                self.states |= {names.add(f"{name}_{end}"): (layer, i) for i, end in enumerate(ends)}
        self._nexts = {name: names.add(f"{name}_next") for name in self.states}
        states = {name: tuple(self._state(name).shape) for name in self.states}
        self._maker = Maker(model, self._inputs, states, self._run)
        self.example = example
        if isinstance(example, list | tuple) and len(example) == len(self._inputs):
            self.example = dict(zip(self._inputs, example, strict=True))
        if example is not None:
            self._maker.check(self.example)

    @functools.cached_property
    def cases(self) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """List of ``(inputs, outputs)``, dicts of arrays: what to verify on, and what Keras gives."""
        return self._maker.cases() if self.example is None else self._maker.given(self.example)

    @functools.cached_property
    def large_cases(self) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """The same of numbers that are unusually large, where weights in 8 bits would be far off."""
        return self._maker.large() if self.example is None else []

    @functools.cached_property
    def serving(self) -> Serving:
        """Its ``zoo.contract.serving.Serving``.

        Inputs have their names in the model; outputs have those of their layers, or their keys where the
        model gives a dict. A dimension of an output that is as large as one of an input in all ``cases`` has
        its name.
        """
        several = sum(None in tensor.shape[1:] for tensor in self._inputs.values()) > 1
        specs = []
        for name, tensor in self._inputs.items():
            batch = ["batch" if size is None else size for size in tensor.shape[:1]]
            specs.append(_spec(name, [*batch, *tensor.shape[1:]], tensor.dtype, prefix=several))
        specs += [TensorSpec(name, "float32", tuple(self._state(name).shape)) for name in self.states]
        outputs = [self._output_spec(name, specs) for name in (*self._outputs, *self._nexts.values())]
        return Serving(
            tuple(specs), tuple(outputs), self._serve, example=None, rounded=self._rounded, of_task=False
        )

    def _run(self, inputs):
        return verify.run(self.network, self._serve, inputs)

    def _output_spec(self, name, inputs):
        """Its dtype and the sizes of its dimensions as the cases show them."""
        sizes = [(given, outputs[name].shape) for given, outputs in self.cases]
        dtype = verify.dtype_name(self.cases[0][1][name])
        symbolic = self._outputs[name].shape if name in self._outputs else sizes[0][1]
        if len(symbolic) != len(sizes[0][1]):  # Keras itself is wrong about some layers
            symbolic = (None,) * len(sizes[0][1])
        shape = []
        for axis, size in enumerate(symbolic):
            seen = [shape[axis] for _, shape in sizes]
            if size is not None and set(seen) == {size}:
                shape.append(size)
                continue
            same = (
                dim
                for spec in inputs
                for i, dim in enumerate(spec.shape)
                if isinstance(dim, str)
                and (dim == "batch") == (axis == 0)
                and all(given[spec.name].shape[i] == n for (given, _), n in zip(sizes, seen, strict=True))
            )
            shape.append(next(same, None))
        return _spec(name, shape, dtype, prefix=True)

    def _state(self, name):
        layer, index = self.states[name]
        return keras.tree.flatten(layer.states)[index]

    def _serve(self, inputs):
        values = {name: inputs[name] for name in self._inputs}
        with self._given_states({name: inputs[name] for name in self.states}) as nexts:
            outputs = keras.tree.flatten(self.network(packed(self.network, values.values()), training=False))
            found = dict(zip(self._outputs, outputs, strict=True))
        return found | {self._nexts[name]: value.value for name, value in nexts.items()}

    @contextlib.contextmanager
    def _given_states(self, values):
        """Puts inputs in the place of the states that layers keep, and catches what they become."""
        holders = {name: _Holder(value) for name, value in values.items()}
        layers, before = {id(layer): layer for layer, _ in self.states.values()}, {}
        for key, layer in layers.items():
            before[key] = layer.states
            own = [holders[name] for name, (one, _) in self.states.items() if one is layer]
            object.__setattr__(layer, "states", keras.tree.pack_sequence_as(layer.states, own))
        try:
            yield holders
        finally:
            for key, layer in layers.items():
                object.__setattr__(layer, "states", before[key])

    def _rounded(self, inputs, seed):
        """The outputs where all numbers, of inputs and weights, are rounded a little otherwise."""
        random = np.random.default_rng(seed)

        def other(value):
            value = np.asarray(value)
            if not np.issubdtype(value.dtype, np.floating):
                return value
            return (value * (1 + ROUNDING * random.normal(size=value.shape))).astype(value.dtype)

        weights = [(weight, other(weight)) for weight in self.network.weights]
        with keras.StatelessScope(state_mapping=weights):
            given = {name: other(value) for name, value in inputs.items()}
            return self._run(given)


class _Holder:
    """Stands for a state variable of a layer: gives an input, takes what is assigned."""

    def __init__(self, value):
        self.value = value
        self.shape, self.dtype = value.shape, value.dtype

    def __tf_tensor__(self, dtype=None, name=None):
        return self.value

    def assign(self, value):
        self.value = value


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, those inside others too."""
    return list(model._flatten_layers(include_self=False))


def packed(network: keras.Model, values: Iterable) -> Any:
    """Values for a network's inputs, in their order, as the network takes them: in a dict, perhaps."""
    return keras.tree.pack_sequence_as(network._inputs_struct, list(values))


def unique_names(network: keras.Model) -> dict[keras.layers.Layer, str]:
    """``{layer: name}`` of all layers, inner ones too; those of one name with the names around them."""
    paths = {}

    def walk(layer, path):
        for inner in layer._layers:
            if inner not in paths:
                paths[inner] = (*path, inner.name)
                walk(inner, paths[inner])

    walk(network, ())
    counts = collections.Counter(path[-1] for path in paths.values())
    names = _Names()
    return {
        layer: names.add(path[-1] if counts[path[-1]] == 1 else "/".join(path))
        for layer, path in paths.items()
    }


class _Names:
    """Names, each given once."""

    def __init__(self):
        self._taken = set()

    def add(self, name, wanted=()):
        """The name, or where it is taken, the name with the first number that is free and not wanted."""
        numbered = (f"{name}_{i}" for i in itertools.count())
        choices = itertools.chain([name], (choice for choice in numbered if choice not in wanted))
        name = next(choice for choice in choices if choice not in self._taken)
        self._taken.add(name)
        return name


def _check(model):
    if not isinstance(model, keras.Model):
        raise UserError(f"{type(model).__name__} is neither a Keras model nor a task; give one of these")
    name = model.name
    if isinstance(model, keras.Sequential) and not model.built:
        raise ExportError(
            f"The model {name!r} was never built, so its shapes are unknown; begin it with "
            "keras.Input(shape) or call it once"
        )
    if not isinstance(model, keras.Sequential) and not hasattr(model, "_operations"):
        raise ExportError(
            f"The model {name!r} is a subclass of keras.Model, which does not tell its inputs; wrap it: "
            "inputs = keras.Input(shape); keras.Model(inputs, model(inputs))"
        )
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Lambda):
            raise ExportError(
                f"The layer {layer.name!r} is a Lambda, arbitrary Python code that no file can vouch for; "
                "write it in keras.ops or as a layer class"
            )


def _output_names(model, names):
    """The keys of a model that gives a dict, else the layers' names; several of one layer are numbered."""
    places = keras.tree.flatten_with_path(model._outputs_struct)
    if isinstance(model._outputs_struct, dict):
        found = ["/".join(map(str, path)) for path, _ in places]
        return [names.add(name, found) for name in found]
    found = [str(tensor._keras_history.operation.name) for _, tensor in places]
    counts, numbers = collections.Counter(found), collections.Counter()
    unique = []
    for name in found:
        if counts[name] > 1:
            unique.append(names.add(f"{name}_{numbers[name]}", found))
            numbers[name] += 1
        else:
            unique.append(names.add(name, found))
    return unique


def _spec(name, shape, dtype, prefix):
    """Variable dimensions get names: batch, time (or height and width), and the tensor's own beyond one.

    Args:
        shape: ints, names, and None for what gets a name here.
        prefix: whether the tensor's name stands before those.
    """
    unknown = [i for i, size in enumerate(shape) if size is None]
    usual = {1: "time"} if unknown == [1] else {1: "height", 2: "width", 3: "depth"}
    before = f"{name}_" if prefix else ""
    sizes = [size if size is not None else before + usual.get(i, f"dim_{i}") for i, size in enumerate(shape)]
    return TensorSpec(name, keras.backend.standardize_dtype(dtype), tuple(sizes))
