"""From a trained model to deployed files: ``to_onnx``, ``to_savedmodel``, and ``runtime``, their reader.

Nothing is imported before it is asked for, so that ``export.runtime`` loads where there is no TensorFlow.
"""

import importlib

_ROOMS = {"to_onnx": "onnx_file", "to_savedmodel": "savedmodel", "ExportError": "verify"}


def __getattr__(name):
    if name not in _ROOMS:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"export.{_ROOMS[name]}"), name)
