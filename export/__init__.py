"""From a trained model to deployed files: ``to_onnx``, ``to_savedmodel``, and ``runtime``, their reader.

Nothing is imported before it is asked for, so that ``export.runtime`` loads where there is no TensorFlow.
"""


def __getattr__(name):
    if name == "to_onnx":
        from export.onnx_file import to_onnx

        return to_onnx
    if name == "to_savedmodel":
        from export.savedmodel import to_savedmodel

        return to_savedmodel
    if name == "ExportError":
        from export.verify import ExportError

        return ExportError
    raise AttributeError(f"module 'export' has no attribute {name!r}")
