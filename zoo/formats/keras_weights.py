"""Weights that Keras 2 wrote: ``.h5`` files and the variables of SavedModels, read as arrays alone.

No model is built from a file and no graph of a SavedModel is loaded, so that nothing in it is executed.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np

from zoo.errors import UserError, reason, train_extra
from zoo.files import read_at_most

MOST = 1 << 30  # bytes of a model's weights
VARIABLES = "variables/variables"  # in a SavedModel's folder
_KEY = re.compile(r"(?:trainable_)?variables/(\d+)/\.ATTRIBUTES/VARIABLE_VALUE")


def read_h5(path: str | os.PathLike) -> list[tuple[str, np.ndarray]]:
    """The arrays of a ``.h5`` file, a model's or of weights alone, in the order of its layers.

    Returns:
        list of ``(name, float32 array)``.

    Raises:
        UserError: it cannot be read, is damaged, or is none of Keras's.
    """
    with train_extra():
        import h5py
    data = read_at_most(path, MOST, "; give a line reader's .h5")
    try:
        with h5py.File(io.BytesIO(data)) as file:
            weights = file if "layer_names" in file.attrs else _inside(file, "model_weights")
            found = []
            for layer in map(_text, weights.attrs["layer_names"]):
                group = _inside(weights, layer)
                for name in map(_text, group.attrs["weight_names"]):
                    found.append((name, _array(_inside(group, name))))
            return found
    # Whatever a broken file makes of h5py.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        why = reason(error)
        raise UserError(f"{path}: this .h5 is damaged or none of Keras's ({why}); copy it again") from error


def read_savedmodel(folder: str | os.PathLike) -> list[tuple[str, np.ndarray]]:
    """The variables of a SavedModel's folder, in their order.

    Returns:
        list of ``(name, float32 array)``.

    Raises:
        UserError: there are none, or they cannot be read or are damaged.
    """
    with train_extra():
        import tensorflow as tf
    prefix = Path(folder, VARIABLES)
    if not Path(f"{prefix}.index").is_file():
        raise UserError(f"{folder}: it has no {VARIABLES}.index, as a SavedModel has; copy it again")
    if sum(map(os.path.getsize, prefix.parent.glob("variables.*"))) > MOST:
        raise UserError(f"{folder}: its variables have more than {MOST >> 20} MB; give a line reader")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        keys = {int(match[1]): key for key in reader.get_variable_to_shape_map()
                if (match := _KEY.fullmatch(key))}  # fmt: skip
        return [(key, np.asarray(reader.get_tensor(key), "float32")) for _, key in sorted(keys.items())]
    # Of data that end too early the reader makes an IndexError, of a type it does not know a ValueError.
    except (tf.errors.OpError, IndexError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{folder}: its variables are damaged ({reason(error)}); copy it again") from error


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _inside(group, name):
    """What a group holds by a path: in this file, not behind a link to another."""
    import h5py

    for part in name.strip("/").split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"it has no {part}")
        group = group[part]
    return group


def _array(stored):
    # Keras compresses nothing: of more numbers than there are bytes none would be the model's.
    if stored.external or stored.is_virtual or stored.id.get_storage_size() < stored.nbytes:
        raise ValueError(f"{stored.name} is not stored whole")
    return np.asarray(stored[()], "float32")
