"""Imported before Keras, this loads TensorFlow in silence (``zoo.backend.import_tensorflow``)."""

from zoo.backend import has_tensorflow, import_tensorflow

if has_tensorflow():
    import_tensorflow()
