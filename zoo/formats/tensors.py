"""``.safetensors``: named arrays and what their maker wrote beside them; nothing in a file is executed."""

from __future__ import annotations

import os

import numpy as np

from zoo.errors import UserError, train_extra
from zoo.files import read_at_most

MOST = 1 << 30  # bytes of a file
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_safetensors(path: str | os.PathLike) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read a ``.safetensors`` file.

    Returns:
        ``(metadata, arrays)``: ``{name: text}``, and ``{name: float32 array}`` of those of floating point.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    with train_extra():
        import safetensors
    data = read_at_most(path, MOST, "; give a line reader's .safetensors")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
        stored = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise UserError(f"{path}: this .safetensors is damaged ({error}); copy it again") from error
    return metadata, {name: _array(one) for name, one in stored if one["dtype"] in _DTYPES}


def _array(stored):
    values = np.frombuffer(stored["data"], _DTYPES[stored["dtype"]])
    if stored["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.astype("float32").reshape(stored["shape"])
