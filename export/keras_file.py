"""Keras models in files."""

import os
import zipfile
from pathlib import Path

from zoo.errors import UserError, reason

HDF5 = (".h5", ".hdf5")  # how names of Keras's older format end
SAVED = "saved_model.pb"  # is in each folder that is a SavedModel


def is_file(name):
    """Whether a name is that of a saved Keras model, of whatever format; ``load`` says which it takes."""
    if not isinstance(name, str | os.PathLike):
        return False
    return os.fspath(name).lower().endswith((".keras", *HDF5)) or Path(name, SAVED).is_file()


def load(path):
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
        raise UserError(
            f"{path}: cannot be loaded ({reason(error)}); a model with classes of its own is exported from "
            "Python, with export.to_onnx(model, path)"
        ) from error
