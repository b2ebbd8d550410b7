"""From a trained task to deployed files: ``onnx_file``, ``savedmodel``, and ``runtime``, their reader.

Nothing is imported here, so that ``export.runtime`` loads where there is no TensorFlow.
"""
