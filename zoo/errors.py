"""The one error a user is shown, and what other exceptions say."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can mend.

    Its message is one sentence that names the file (or option) and the mend. The ``zoo`` command and
    the recipes print it without a traceback and end with exit status 2.
    """


def reason(error: BaseException) -> str:
    """What an exception says, in one line: that of a layer's code rather than Keras's words around it."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return (lines or [type(error).__name__])[0][:300]


@contextlib.contextmanager
def train_extra() -> Iterator[None]:
    """Turn the failed import of what only an extra brings into a UserError that says which."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        if extra is None:
            raise
        without = " (an exported .onnx file is read without)" * (package in ("tensorflow", "keras"))
        raise UserError(
            f'This needs the package {package}, which is not here: pip install "seqzoo[{extra}]"{without}'
        ) from error


_TRAIN = "tensorflow keras safetensors tensorflow_datasets tf2onnx onnx matplotlib"
_EXTRAS = dict.fromkeys(_TRAIN.split(), "train") | {
    "jiwer": "evaluate", "sacrebleu": "evaluate", "jax": "train,jax",
    "pyarrow": "parquet", "sklearn": "train,sklearn",
}  # fmt: skip
