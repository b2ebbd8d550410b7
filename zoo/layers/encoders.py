"""Encoders of images: convolutional networks of ``keras.applications``, small ones of plain convolutions, or
one's own; and their weights."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.errors import UserError

_RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}  # factor, offset
PIXELS = ("own", *_RANGES)  # of keras.applications' own preprocessing, or in such a range


@keras.saving.register_keras_serializable("seqzoo")
class Preprocess(layers.Layer):
    """Pixels 0 to 255 -> what an encoder takes; arguments as in a task's configuration."""

    def __init__(self, encoder: str, pixels: Any = "own", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder, self.pixels = encoder, pixels
        self._own = _application(encoder)[1] if pixels == "own" else None

    def call(self, image: Any) -> Any:
        image = ops.cast(image, self.compute_dtype)
        if self._own:
            return self._own(image)
        factor, offset = _RANGES[self.pixels]
        return image * factor + offset

    def compute_output_spec(self, image: Any) -> Any:
        return keras.KerasTensor(image.shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoder": self.encoder, "pixels": self.pixels}


def make_encoder(encoder: str, size: int) -> keras.Model:
    """An encoder with random weights.

    Args:
        encoder: a network of ``keras.applications``, with arguments where it takes some, such as
            ``MobileNet(alpha=0.75)``; ``ConvNet``, see ``conv_net``; or any Keras model, as its
            ``to_json()``.
        size: side of its images.

    Returns:
        A ``keras.Model`` from ``[batch, size, size, 3]`` to ``[batch, rows, columns, depth]``.

    Raises:
        UserError: there is no such network, it has no spatial output, it names weights (which a preset
            would download when it is loaded), or it has a layer that could run code, such as a ``Lambda``.
    """
    if encoder.startswith("{"):
        try:
            model = keras.models.model_from_json(encoder)
            if isinstance(model, keras.Sequential):
                model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
            if not isinstance(model, keras.Model):
                raise ValueError("it is no model")
        except Exception as error:  # Keras refuses a Lambda; a layer may make anything of wrong arguments
            raise UserError(
                f"the encoder's JSON describes no network of Keras' own layers ({_brief(error)}); give the "
                "to_json() of a keras.Model without Lambda layers."
            ) from error
    else:
        build, _, arguments = _application(encoder)
        if arguments.get("weights") is not None:
            raise UserError(
                f"encoder {encoder}: weights are no part of a network's name; take weights=… out, and give "
                "them to the training as --encoder-weights."
            )
        arguments = {"include_top": False, "input_shape": (size, size, 3)} | arguments | {"weights": None}
        try:
            model = build(**arguments)
        except (TypeError, ValueError) as error:
            raise UserError(f"encoder {encoder}: {_brief(error)}") from error
    shape = model.output.shape if isinstance(model.output, keras.KerasTensor) else ()
    if len(shape) != 4 or None in shape[1:]:
        raise UserError(
            f"encoder {model.name}: its output is {shape}; give one from images of {size}x{size} pixels to "
            "[batch, rows, columns, features]: cut off what comes after its last convolution."
        )
    takes = [tuple(one.shape[1:]) for one in model.inputs]
    if takes != [(size, size, 3)]:
        raise UserError(
            f"encoder {model.name}: it takes {takes}; give one of square RGB images, and set image_size to "
            "their side."
        )
    return model


def _application(encoder):
    """``NAME`` or ``NAME(argument=value)`` -> the constructor, its ``preprocess_input``, the arguments."""
    try:
        parsed = ast.parse(encoder, mode="eval").body
        call = parsed if isinstance(parsed, ast.Call) else ast.Call(parsed, [], [])
        arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        name = call.func.id
        if call.args:
            raise ValueError("an argument without its name")
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise UserError(f"encoder {encoder!r}: write a name, or a name(argument=value).") from error
    if name == "ConvNet":
        return conv_net, standardised, arguments
    for module in vars(keras.applications).values():
        if hasattr(module, name) and hasattr(module, "preprocess_input"):
            return getattr(module, name), module.preprocess_input, arguments
    raise UserError(f"encoder {name}: keras.applications has no such network; see its documentation.")


def standardised(image: Any) -> Any:
    """Each image of ``[batch, height, width, 3]`` less its mean, divided by its standard deviation."""
    image = image / 255
    image -= ops.mean(image, (1, 2, 3), keepdims=True)
    return image / ops.sqrt(ops.mean(ops.square(image), (1, 2, 3), keepdims=True) + 1e-3)


def conv_net(
    filters: Sequence[int], strides: Sequence[int], kernels: Sequence[int] | None = None,
    include_top: bool = False, input_shape: tuple | None = None, weights: None = None,
) -> keras.Model:  # fmt: skip
    """A small network of convolutions with ReLU, to be trained from nothing.

    Args:
        filters, strides, kernels: of each convolution; by default kernels are 5x5 first, then 3x3.
        include_top, input_shape, weights: as of ``keras.applications``; it has neither top nor weights.

    Raises:
        ValueError: it is asked for them, or the numbers of filters, strides and kernels differ.
    """
    if include_top or weights:
        raise ValueError("ConvNet has no top and no weights to begin with")
    kernels = kernels or (5, *[3] * (len(filters) - 1))
    if not len(filters) == len(strides) == len(kernels) > 0:
        raise ValueError("ConvNet needs as many strides and kernels as filters")
    image = x = keras.Input(input_shape)
    for i, (number, stride, kernel) in enumerate(zip(filters, strides, kernels, strict=True), 1):
        x = layers.Conv2D(
            number, kernel, stride, "same", activation="relu", kernel_initializer="he_normal",
            name=f"conv_{i}",
        )(x)  # fmt: skip
    return keras.Model(image, x, name="conv_net")


def load_weights(model: keras.Model, encoder: str, source: str | os.PathLike) -> None:
    """Give an encoder its weights.

    Args:
        model: what ``make_encoder`` made.
        encoder: its name there.
        source: ``imagenet``, which ``keras.applications`` downloads; ``none``; or a file: ``*.npz`` with
            arrays named ``layer.variable``, or ``*.h5`` as Keras writes it.

    Raises:
        UserError: the file cannot be read or does not fit, or the download failed.
    """
    if source == "none":
        return
    if source == "imagenet":
        build, _, arguments = _application(encoder)
        shape = {"include_top": False, "input_shape": tuple(model.input.shape[1:])}
        try:
            trained = build(**{"weights": "imagenet", **shape, **arguments})
        except Exception as error:  # of the network, of the file's hash, of a shape without weights
            raise UserError(
                f"encoder {encoder}: its ImageNet weights cannot be had ({_brief(error)}); give a file "
                "of them, or none."
            ) from error
        model.set_weights(trained.get_weights())
    elif Path(source).suffix == ".npz":
        _assign(model, source)
    else:
        try:
            model.load_weights(source)
        except Exception as error:  # whatever a broken or unfitting file makes of h5py and Keras
            raise UserError(
                f"{source}: no weights of {model.name} ({_brief(error)}); give a file of this very "
                "network, .npz or .h5."
            ) from error


def _brief(error):
    """The first sentence of an error."""
    return (str(error) or repr(error)).splitlines()[0].partition(". ")[0]


def _assign(model, path):
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except Exception as error:  # whatever a broken file makes of zipfile and NumPy
        raise UserError(f"{path}: cannot be read ({error}); give an .npz file of arrays.") from error
    for variable in model.weights:
        layer, name = variable.path.split("/")[-2:]
        # Keras 2 called the kernel of a depthwise convolution so.
        found = arrays.get(f"{layer}.{name}", arrays.get(f"{layer}.depthwise_{name}"))
        if found is None or found.shape != tuple(variable.shape):
            shape = "" if found is None else f" of shape {tuple(variable.shape)}"
            raise UserError(f"{path} has no {layer}.{name}{shape}; give the weights of this very network.")
        variable.assign(found.astype("float32"))
