"""What computes: TensorFlow, loaded in silence; the GPU, and who may use it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator

from zoo.errors import UserError


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed; it is not imported for that."""
    try:
        return importlib.util.find_spec("tensorflow") is not None
    except (ImportError, ValueError):
        return False


def import_tensorflow() -> None:
    """Import TensorFlow without the several lines on devices that are not there, and keep its C++ silent.

    What fails there raises an exception, too. TF_CPP_MIN_LOG_LEVEL=0 shows the lines that it writes later.
    """
    if "tensorflow" in sys.modules:
        hide_gpu()
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        # Written by C++ before any log level is in force: only the file descriptor can be turned away.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow

        tensorflow.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    hide_gpu()


def use_threads(count: int) -> None:
    """Let Keras compute on so many processor cores.

    Raises:
        UserError: it does so on others already, or with JAX, which takes all.
    """
    import keras
    import tensorflow as tf

    try:
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("Keras runs on another backend than TensorFlow")
        if tf.config.threading.get_intra_op_parallelism_threads() != count:
            tf.config.threading.set_intra_op_parallelism_threads(count)
            tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError as error:
        raise UserError(
            f"{count} threads cannot be chosen here ({error}); leave them out, or export the model to ONNX"
        ) from error


def hide_gpu() -> None:
    """Hide the GPU from TensorFlow where Keras runs on JAX and TensorFlow only feeds it.

    The first operation of TensorFlow would take nearly all of the GPU's memory.
    """
    import keras

    if keras.backend.backend() == "jax":
        import tensorflow

        with contextlib.suppress(RuntimeError):  # it has the GPU already
            tensorflow.config.set_visible_devices([], "GPU")


def visible_gpus() -> list:
    """The GPUs that TensorFlow may use, which are none where it only feeds JAX."""
    import tensorflow as tf

    return tf.config.get_visible_devices("GPU")


def on_jax_gpu() -> bool:
    """Whether Keras computes with JAX on a GPU."""
    import keras

    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "gpu"


def gpu_precision() -> str | None:
    """The dtype policy that the first GPU is made for, or None where Keras computes on no GPU.

    The cores for products of matrices take float16 from compute capability 7 on (V100, T4), and bfloat16,
    which needs no scaling of the loss, from 8 on (A100, RTX 3060). For other GPUs it is float32.
    """
    import keras

    if on_jax_gpu():
        import jax

        known = getattr(jax.devices()[0], "compute_capability", "")
        capability = tuple(int(part) for part in str(known).split(".") if part.isdecimal())
    elif keras.backend.backend() == "tensorflow" and visible_gpus():
        import tensorflow as tf

        capability = tf.config.experimental.get_device_details(visible_gpus()[0]).get("compute_capability")
    else:
        return None
    if not capability or capability < (7, 0):
        return "float32"
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


@contextlib.contextmanager
def quiet_logging(level: int) -> Iterator[None]:
    """Let no logger of Python's say anything up to a level, such as ``logging.WARNING``."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)
