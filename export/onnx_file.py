"""A task as one ONNX file: raw input in, decoded output out, vocabulary and card in its metadata."""

import collections
import dataclasses
import json
import os
from pathlib import Path

import zoo
from export import onnx_graph, runtime, verify
from zoo.files import atomic_write


def to_onnx(task, path, preset=None):
    """Writes a task as an ONNX file, once onnxruntime has given the results of Keras with it.

    Args:
        task: a ``zoo.task.Task``, or what ``zoo.load`` takes.
        path: the file to write; an older one is replaced only by a verified one.
        preset: the name to put into the file, by default the name that the task was loaded by.

    Returns:
        The report, a dict: ``size`` (bytes), ``opset``, ``ir_version``, ``nodes``
        (``{operation: count}``), and what ``export.verify.compare`` found.

    Raises:
        zoo.errors.UserError: the file cannot be written, or Keras does not run on TensorFlow.
        export.verify.ExportError: the converted model is not valid or gives other results.
    """
    if isinstance(task, str | os.PathLike):
        preset = preset or Path(task).name
        task = zoo.load(os.fspath(task))
    function = verify.serving_function(task)
    model = onnx_graph.build(task.serving, function)
    report = {
        "opset": next(opset.version for opset in model.opset_import if not opset.domain),
        "ir_version": model.ir_version,
        "nodes": dict(sorted(collections.Counter(node.op_type for node in model.graph.node).items())),
        **_verify(task, function, model.SerializeToString()),
    }
    _set_metadata(model, metadata(task, preset, report))
    data = model.SerializeToString(deterministic=True)
    with atomic_write(path) as file:
        file.write(data)
    return {"size": len(data), **report}


def metadata(task, preset, report):
    """``{key: str}``: what the file says of itself, and all that the reader needs beside the graph."""
    values = {
        "format": runtime.FORMAT,
        "version": zoo.__version__,
        "task": task.name,
        "config": dataclasses.asdict(task.config),
        "vocabulary": task.vocabulary.characters,
        "direction": task.vocabulary.direction,
        "preset": preset or "",
        "licence": task.card.get("licence", ""),
        "figures": task.card.get("figures", []),
        "report": report,
    }
    return {
        f"seqzoo.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
    }


def _set_metadata(model, values):
    import onnx

    onnx.helper.set_model_props(model, values)


def _verify(task, function, data):
    """Runs the serialised model as a reader would and compares it with Keras."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        reason = str(error).splitlines()[0]
        raise verify.ExportError(f"onnxruntime refuses the model ({reason}); nothing was written") from error
    names = [spec.name for spec in task.serving.outputs]

    def pairs():
        for inputs, expected in verify.examples(task, function):
            yield expected, dict(zip(names, session.run(names, inputs), strict=True))

    return verify.compare(task, pairs())
