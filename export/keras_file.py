"""Keras models in files."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError, reason

if TYPE_CHECKING:
    import keras

HDF5 = (".h5", ".hdf5")  # how names of Keras's older format end
SAVED = "saved_model.pb"  # is in each folder that is a SavedModel


def is_file(name: Any) -> bool:
    """Whether a name is that of a saved Keras model, of whatever format; ``load`` says which it takes."""
    if not isinstance(name, str | os.PathLike):
        return False
    return os.fspath(name).lower().endswith((".keras", *HDF5)) or Path(name, SAVED).is_file()


def load(path: str | os.PathLike) -> keras.Model:
    """Loads a ``.keras`` file; nothing in it is executed.

    Raises:
        UserError: it is missing or damaged, or holds Python code or classes that are not known here.
    """
    import keras

    name = os.fspath(path).lower()
    if name.endswith(".weights.h5"):
        raise UserError(
            f"{path}: this has weights alone; make the model in Python, model.load_weights() this file, and "
            "model.save() it as a .keras file"
        )
    if name.endswith(HDF5):
        raise UserError(
            f"{path}: HDF5, the format of an older Keras; keras.models.load_model() it in Python and "
            "model.save() it as a .keras file"
        )
    if Path(path, SAVED).is_file():
        raise UserError(
            f"{path}: a SavedModel, which has no Keras layers; give the .keras file of the model, or the "
            "model itself to export.to_onnx() in Python"
        )
    if Path(path).is_dir():
        raise UserError(f"{path}: this is a folder; give a .keras file that model.save() wrote")
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file; give a .keras file that model.save() wrote")
    own = _own_classes(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what comes to hand
        if own == ["Lambda"]:
            raise UserError(
                f"{path}: it has a Lambda layer, whose Python code is not run; write it in keras.ops or as a "
                "registered layer"
            ) from error
        if "{'value': ['" in str(error):  # as Keras stores the code of a lambda
            own = [*own, "a lambda function"]
        if own:
            raise UserError(
                f"{path}: it has Python code of its own ({', '.join(own)}), which is not known here; such a "
                "model is exported from Python, with export.to_onnx(model, path)"
            ) from error
        raise UserError(f"{path}: cannot be loaded ({reason(error)}); save the model again") from error


def _own_classes(path):
    """Names of what a ``.keras`` file has that is not Keras's, and of its Lambda layers: sorted list.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
            damaged = file.testzip()
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError):
        damaged = path
    if damaged:
        raise UserError(f"{path}: not a .keras file, or a damaged one; save the model again")
    found = set()

    def walk(value):
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, dict | list):
                walk(inner)
        if isinstance(value, dict) and isinstance(name := value.get("class_name"), str):
            if name == "Lambda":
                found.add("Lambda")
            elif "module" in value and not str(value["module"]).startswith(("keras", "builtins")):
                found.add(name if name != "function" else str(value.get("config")))

    walk(config)
    return sorted(found)
