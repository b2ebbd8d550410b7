"""What feeds training: corpora as tensorflow-datasets, and the tf.data pipeline. TensorFlow runs both.

Corpora are read without TensorFlow, too, but not kept then (see ``zoo.data.late``).
"""

from zoo.backend import has_tensorflow, import_tensorflow

if has_tensorflow():
    import_tensorflow()
