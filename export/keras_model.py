"""Any functional or Sequential Keras model as something that can be exported: its ``Serving``."""

import collections
import contextlib
import itertools
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

from export.verify import ExportError
from zoo.contract.serving import Serving, TensorSpec
from zoo.errors import UserError


def load(path):
    """Loads a ``.keras`` file; nothing in it is executed.

    Raises:
        UserError: it is missing or damaged, or holds Python code or classes that are not known here.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file; give a .keras file that model.save() wrote")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a .keras file, or a damaged one; save the model again")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what comes to hand
        if "ambda" in str(error):
            raise UserError(
                f"{path}: it has a Lambda layer, whose Python code is not run; write it in keras.ops or as a "
                "registered layer"
            ) from error
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path}: cannot be loaded ({reason}); a model with classes of its own is exported from Python, "
            "with export.to_onnx(model, path)"
        ) from error


class KerasModel:
    """A Keras model beside the tasks of the zoo: what the exporters ask of either.

    Attributes:
        network: the model.
        states: ``{name: (layer, index)}``, the states of its stateful layers, which are inputs and, as
            ``NAME_next``, outputs of what is exported.
        serving: its ``zoo.contract.serving.Serving``. Inputs are the model's by their names, outputs by the
            names of their layers, or by their keys where the model gives a dict.
    """

    def __init__(self, model):
        _check(model)
        if isinstance(model, keras.Sequential):
            model = model._functional
        self.network = model
        self.states = {}
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.RNN) and layer.stateful and layer.states is not None:
                values = keras.tree.flatten(layer.states)
                names = [f"{layer.name}_{i}" for i in range(len(values))]
                if len(values) == (2 if isinstance(layer, keras.layers.LSTM) else 1):
                    names = [f"{layer.name}_h", f"{layer.name}_c"][: len(values)]
                self.states |= {name: (layer, i) for i, name in enumerate(names)}
        self._inputs = {_identifier(tensor.name): tensor for tensor in model.inputs}
        self._outputs = dict(zip(_output_names(model), keras.tree.flatten(model.outputs), strict=True))
        inputs = [_spec(name, tensor, self._inputs) for name, tensor in self._inputs.items()]
        outputs = [_spec(name, tensor, self._outputs) for name, tensor in self._outputs.items()]
        for name in self.states:
            value = self._state(name)
            inputs.append(TensorSpec(name, "float32", tuple(value.shape)))
            outputs.append(TensorSpec(f"{name}_next", "float32", tuple(value.shape)))
        self.serving = Serving(tuple(inputs), tuple(outputs), self._serve, self._example)

    def _state(self, name):
        layer, index = self.states[name]
        return keras.tree.flatten(layer.states)[index]

    def _serve(self, inputs):
        values = {name: inputs[name] for name in self._inputs}
        with self._given_states({name: inputs[name] for name in self.states}) as nexts:
            outputs = keras.tree.flatten(self.network(packed(self.network, values.values()), training=False))
            found = dict(zip(self._outputs, outputs, strict=True))
        return found | {f"{name}_next": value.value for name, value in nexts.items()}

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

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        inputs, length = {}, int(random.integers(3, 14))
        if self.network.inputs and self.network.inputs[0].shape[0] is not None:
            batch = self.network.inputs[0].shape[0]
        lengths = random.integers(0 if seed % 3 == 2 else 1, length + 1, batch)
        lengths[random.integers(batch)] = length
        tokens, blank = tokens_and_blank(self.network, default_tokens=3)
        shapes = {}
        for name, tensor in self._inputs.items():
            unknown = [i for i, size in enumerate(tensor.shape) if size is None and i]
            # A picture's sides must survive a few strides; a sequence is quicker when it is short.
            sides = dict.fromkeys(unknown, length if unknown == [1] and len(tensor.shape) < 4 else 32)
            shapes[name] = (batch, *(size or sides[i] for i, size in enumerate(tensor.shape) if i))
        for (name, tensor), shape in zip(self._inputs.items(), shapes.values(), strict=True):
            if np.issubdtype(np.dtype(tensor.dtype), np.floating):
                value, padding = random.normal(size=shape), blank
            elif tensor.dtype == "bool":
                value, padding = random.random(shape) < 0.7, False
            elif tensor.dtype == "uint8":
                value, padding = random.integers(0, 256, shape), 0
            elif len(shape) == 1:
                # A number for each row: most likely its length, in the steps that strides leave.
                value, padding = np.minimum(lengths, output_steps(self.network, shapes.values(), length)), 0
            else:
                value, padding = random.integers(min(1, tokens - 1), max(tokens, 1), shape), 0
            if len(shape) > 1 and shape[1] > 1:  # padding behind, before, and anywhere
                step = np.arange(shape[1])[None, :]
                count = np.minimum(lengths, shape[1])[:, None]
                holes = random.random(shape[:2]) < 0.3
                hidden = (step < 0, step >= count, step < shape[1] - count, holes)[seed % 4]
                value[np.broadcast_to(hidden, shape[:2])] = padding
            inputs[name] = np.asarray(value).astype(tensor.dtype)
        for name in self.states:
            inputs[name] = random.normal(size=tuple(self._state(name).shape)).astype("float32")
        return inputs

class _Holder:
    """Stands for a state variable of a layer: gives an input, takes what is assigned."""

    def __init__(self, value):
        self.value = value
        self.shape, self.dtype = value.shape, value.dtype

    def __tf_tensor__(self, dtype=None, name=None):
        return self.value

    def assign(self, value):
        self.value = value


def all_layers(model):
    """All layers of a model, those inside others too."""
    return list(model._flatten_layers(include_self=False))


def packed(network, values):
    """Values for a network's inputs, in their order, as the network takes them: in a dict, perhaps."""
    return keras.tree.pack_sequence_as(network._inputs_struct, list(values))


def tokens_and_blank(network, default_tokens):
    """How many tokens every embedding of a network knows, and the value that it masks in float inputs."""
    layers = all_layers(network)
    tokens = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    blanks = [layer.mask_value for layer in layers if isinstance(layer, keras.layers.Masking)]
    return min(tokens, default=default_tokens), blanks[0] if blanks else 0


def output_steps(network, shapes, default):
    """The length of a network's shortest output sequence, or a default where it gives none.

    Args:
        network: a functional model.
        shapes: whole shapes of its inputs, in their order.
    """
    pairs = zip(shapes, network.inputs, strict=True)
    tensors = [keras.KerasTensor(shape, tensor.dtype) for shape, tensor in pairs]
    found = keras.tree.flatten(network.compute_output_spec(packed(network, tensors)))
    outputs = zip(found, network.outputs, strict=True)
    return min((one.shape[1] for one, open_ in outputs if open_.shape[1:2] == (None,)), default=default)


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


def _output_names(model):
    structure = model._outputs_struct
    tensors = keras.tree.flatten(structure)
    names = [_identifier(tensor._keras_history.operation.name) for tensor in tensors]
    if isinstance(structure, dict) and len(structure) == len(tensors):
        names = [_identifier(name) for name in sorted(structure)]  # the order in which they are flattened
    # Several outputs of one layer are numbered; the name of an input is no output's as well.
    counts, given = collections.Counter(names), {_identifier(tensor.name) for tensor in model.inputs}
    unique, taken = [], given | set(names)
    for name in names:
        if counts[name] > 1 or name in given:
            choices = (f"{name}_{i}" for i in itertools.count())
            name = next(choice for choice in choices if choice not in taken)
        taken.add(name)
        unique.append(name)
    return unique


def _identifier(name):
    return re.sub(r"[^A-Za-z0-9_.]", "_", name.split(":")[0])


def _spec(name, tensor, all_tensors):
    """Variable dimensions get names: batch, time (or height and width), and the tensor's own beyond one."""
    unknown = [i for i, size in enumerate(tensor.shape) if size is None and i]
    usual = {1: "time"} if unknown == [1] else {1: "height", 2: "width", 3: "depth"}
    several = sum(any(size is None for size in one.shape[1:]) for one in all_tensors.values()) > 1
    prefix = f"{name}_" if several else ""
    shape = [
        size if size is not None else "batch" if i == 0 else prefix + usual.get(i, f"dim_{i}")
        for i, size in enumerate(tensor.shape)
    ]
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    given = isinstance(tensor._keras_history.operation, keras.layers.InputLayer)
    if dtype in ("float16", "bfloat16") and not given:
        dtype = "float32"  # as verify.serving_function has it computed
    return TensorSpec(name, dtype, tuple(shape))


def is_file(name):
    return isinstance(name, str | os.PathLike) and os.fspath(name).lower().endswith(".keras")
