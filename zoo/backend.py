"""Keeping TensorFlow and what comes with it from telling what no user can use."""

import contextlib
import logging
import os
import sys


def import_tensorflow():
    """Import TensorFlow without the several lines on devices that are not there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


@contextlib.contextmanager
def quiet_logging(level):
    """Let no logger of Python's say anything up to a level, such as ``logging.WARNING``."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)
