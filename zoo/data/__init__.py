"""What feeds training: corpora as tensorflow-datasets, and the tf.data pipeline. TensorFlow runs both."""

from zoo.backend import hide_gpu

hide_gpu()
