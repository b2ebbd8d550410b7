"""A task as a TensorFlow SavedModel that needs neither Keras nor this package to be served."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import zoo
from export import verify
from zoo.files import atomic_folder

if TYPE_CHECKING:
    from zoo.contract.task import Task


def to_savedmodel(task: Task | str | os.PathLike, folder: str | os.PathLike) -> dict:
    """Writes a task as a SavedModel, once plain TensorFlow has given the results of Keras with it.

    The signature ``serving_default`` takes the inputs and gives the outputs of ``task.serving``, by their
    names. A left-to-right text reader gives ``text`` besides: tf.string ``[batch]``, UTF-8. (Text that runs
    from right to left is put in reading order by ``export.runtime``, outside the graph.)

    Args:
        task: a ``zoo.contract.task.Task``, or what ``zoo.load`` takes.
        folder: the folder to write; an older SavedModel there is replaced only by a verified one.

    Returns:
        The report, a dict: ``size`` (bytes of all files), and what ``export.verify.compare`` found.

    Raises:
        zoo.errors.UserError: the folder cannot be written, or Keras does not run on TensorFlow.
        export.verify.ExportError: the saved model cannot be loaded or gives other results.
    """
    if isinstance(task, str | os.PathLike):
        task = zoo.load(os.fspath(task))
    task.drop_stale_calibration()
    function = verify.serving_function(task)
    import tensorflow as tf

    # A bare module of variables: Keras's own saving would want Keras for loading.
    module = tf.Module()
    module.weights = [variable.value for variable in task.network.variables]
    serve = _with_text(task, function)
    with atomic_folder(folder, marker="saved_model.pb") as new:
        tf.saved_model.save(module, str(new), signatures={"serving_default": serve})
        report = _verify(task, new)
        size = sum(file.stat().st_size for file in Path(new).rglob("*") if file.is_file())
    return {"size": size, **report}


def _with_text(task, function):
    """The serving function, with ``text`` among its outputs where the order of labels is that of the text."""
    import tensorflow as tf

    labelled = {"labels", "label_lengths"} <= {spec.name for spec in task.serving.outputs}
    if not labelled or task.vocabulary.direction != "ltr":
        return function
    symbols = tf.constant(["", *task.vocabulary.characters])  # label 0 pads, and spells nothing

    def serve(*tensors):
        outputs = function(*tensors)
        return outputs | {"text": tf.strings.reduce_join(tf.gather(symbols, outputs["labels"]), axis=1)}

    return tf.function(serve, input_signature=function.input_signature, autograph=False)


# Run by another Python, in which neither Keras nor this package can be imported.
_LOADER = """
import sys
import numpy as np

sys.modules |= dict.fromkeys(("keras", "zoo", "export"))
import tensorflow as tf

serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
cases = np.load(sys.argv[2])
found = {}
for case in {key.split("/")[0] for key in cases}:
    prefix = case + "/"
    inputs = {key[len(prefix):]: tf.constant(cases[key]) for key in cases if key.startswith(prefix)}
    found |= {prefix + name: value.numpy() for name, value in serve(**inputs).items() if name != "text"}
np.savez(sys.argv[3], **found)
"""


def _verify(task, folder):
    """Runs the SavedModel in a fresh process and compares it with Keras."""
    examples = list(verify.examples(task))
    with tempfile.TemporaryDirectory() as scratch:
        given, got = Path(scratch, "inputs.npz"), Path(scratch, "outputs.npz")
        np.savez(
            given, **{f"{i}/{k}": v for i, (inputs, _) in enumerate(examples) for k, v in inputs.items()}
        )
        command = [sys.executable, "-c", _LOADER, str(folder), str(given), str(got)]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        run = subprocess.run(command, cwd=scratch, env=quiet, capture_output=True, text=True)
        if run.returncode:
            reason = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
            raise verify.ExportError(f"TensorFlow cannot serve the model ({reason}); nothing was written")
        with np.load(got) as outputs:
            found = {key: outputs[key] for key in outputs}
    pairs = (
        (*case, {key.partition("/")[2]: value for key, value in found.items() if key.startswith(f"{i}/")})
        for i, case in enumerate(examples)
    )
    return verify.compare(task, pairs)
