"""A task, or any Keras model, as one ONNX file: raw input in, output out, all about it in its metadata."""

import collections
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import zoo
from export import keras_model, onnx_graph, quantize, recurrent, runtime, verify
from export.verify import ExportError
from zoo.contract.task import Task
from zoo.errors import UserError
from zoo.files import atomic_write

TIMED_BATCH, TIMED_STEPS = 8, 150  # of a Keras model's sequences, where int8 is timed


def to_onnx(model, path, preset=None, *, opset=onnx_graph.OPSET, int8=False, float16=False):
    """Writes a model as an ONNX file, once onnxruntime has given the results of Keras with it.

    Recurrent layers become one fused operation each, masked or not (see ``export.recurrent``); one that ONNX
    cannot say keeps its loop, and the report says why.

    Args:
        model: a ``zoo.contract.task.Task``, or what ``zoo.load`` takes; or a functional or Sequential
            ``keras.Model``, or the name of a ``.keras`` file.
        path: the file to write; an older one is replaced only by a verified one.
        preset: the name to put into the file, by default the name that the model was loaded by.
        opset: ONNX's operator set, 13 to 18.
        int8: quantise the weights (see ``export.quantize.int8``), after verification.
        float16: store the weights as float16.

    Returns:
        The report, a dict: ``size`` (bytes), ``opset``, ``ir_version``, ``nodes`` (``{operation: count}``),
        ``recurrent`` (``{layer: "fused"``, ``export.recurrent.SCAN`` or why it is a loop``}``), and what
        ``export.verify.compare`` found. With int8 or float16, that was found before the weights were made
        smaller; then ``stored`` says which it is, ``max_difference`` is the file's own, and what it was in
        float32 is ``float32_difference``. With int8 also ``milliseconds``, ``{"float32": …, "int8": …}``, of
        an example on one thread, where one can be measured.

    Where Keras runs on another backend than TensorFlow, the work is done by a process in which it does.

    Raises:
        zoo.errors.UserError: the model or the place cannot be used.
        export.verify.ExportError: the converted model is not valid or gives other results; the sentence
            names the first layer that does.
    """
    if opset not in onnx_graph.OPSETS:
        raise UserError(
            f"There is no opset {opset} here; give one from {onnx_graph.OPSETS[0]} to {onnx_graph.OPSETS[-1]}"
        )
    if int8 and float16:
        raise UserError("int8 and float16 exclude one another; ask for one of them")
    import keras

    if keras.backend.backend() != "tensorflow":
        return _on_tensorflow(model, path, preset=preset, opset=opset, int8=int8, float16=float16)
    subject, name = load(model)
    reference = verify.serving_function(subject)
    converted, fusion = _convert(subject, opset)
    report = {
        "opset": next(opset.version for opset in converted.opset_import if not opset.domain),
        "ir_version": converted.ir_version,
        "nodes": _count(converted),
        "recurrent": fusion.report,
    }
    loops = report["nodes"].get("Loop", 0)  # a Scan is a layer, of export.scan
    if loops > subject.serving.decoding_loops and not fusion.fallbacks:
        report["other_loops"] = loops - subject.serving.decoding_loops
    cases = list(verify.examples(subject, reference))
    try:
        report |= verify.compare(subject, _pairs(subject, converted, cases))
    except ExportError as error:
        layer = _first_difference(subject.network, opset)
        where = f"; the first layer that differs is {layer!r}" if layer else ""
        raise ExportError(f"{error}{where}") from error
    if int8 or float16:
        layers = keras_model.all_layers(subject.network)
        exact = [value for layer in layers for value in getattr(layer, "constants", ())]
        whole = converted
        converted = quantize.int8(converted, exact) if int8 else quantize.float16(converted)
        report["stored"] = "int8" if int8 else "float16"
        report["float32_difference"] = report["max_difference"]
        report["max_difference"] = verify.difference(subject, _pairs(subject, converted, cases))
        report["nodes"] = _count(converted)
    import onnx

    onnx.helper.set_model_props(converted, metadata(subject, name if preset is None else preset, report))
    try:
        data = converted.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf's limit; its exception differs from version to version
        raise ExportError("The model is larger than the 2 GiB that one ONNX file holds") from error
    with atomic_write(path) as file:
        file.write(data)
    if int8:  # not in the file, whose bytes depend on the weights alone
        report["milliseconds"] = quantize.milliseconds(whole, converted, _example(subject, cases))
    return {"size": len(data), **report}


def load(model):
    """What ``to_onnx`` takes -> (task or ``export.keras_model.KerasModel``, its name)."""
    if isinstance(model, Task):
        return model, ""
    if keras_model.is_file(model):
        return keras_model.KerasModel(keras_model.load(model)), Path(model).stem
    if isinstance(model, str | os.PathLike):
        return zoo.load(os.fspath(model)), Path(model).name
    return keras_model.KerasModel(model), model.name


_CHILD = """
import json, sys
from zoo.backend import import_tensorflow
from zoo.errors import UserError

import_tensorflow()
from export.onnx_file import to_onnx

try:
    report = to_onnx(**json.loads(sys.argv[1]))
except UserError as error:
    sys.exit(f"seqzoo: {error}")
print("\\n" + json.dumps(report))
"""


def _on_tensorflow(model, path, **options):
    """``to_onnx`` of a model that lives on another backend, in a process of its own."""
    print("Keras runs on another backend here; exporting on TensorFlow in another process", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(model, Task):
            options["preset"] = options["preset"] or ""
            model.save(Path(folder, "task"))
            model = Path(folder, "task")
        elif not isinstance(model, str | os.PathLike):
            keras_model.KerasModel(model)  # says what is wrong with it, if anything
            options["preset"] = options["preset"] or model.name
            model.save(Path(folder, "model.keras"))
            model = Path(folder, "model.keras")
        options |= {"model": os.fspath(model), "path": os.path.abspath(path)}
        run = subprocess.run(
            [sys.executable, "-c", _CHILD, json.dumps(options)],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
    if run.returncode:
        last = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
        raise ExportError(last.removeprefix("seqzoo: "))
    return json.loads(run.stdout.splitlines()[-1])


def metadata(subject, preset, report):
    """``{key: str}``: what the file says of itself, and all that the reader needs beside the graph."""
    values = {"version": zoo.__version__, "preset": preset, "report": report}
    if isinstance(subject, Task):
        values |= {
            "format": runtime.FORMAT,
            "task": subject.name,
            "config": dataclasses.asdict(subject.config),
            **subject.vocabulary.metadata(),
            "licence": subject.card.get("licence", ""),
            "figures": subject.card.get("figures", []),
            **{f"asset.{name}": data.decode("utf-8") for name, data in subject.assets.items()},
        }
    return {
        f"seqzoo.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
    }


def _example(subject, cases):
    """Inputs of a realistic length to time a file with, by their names: of a task its own largest example."""
    largest = max((inputs for inputs, _ in cases), key=lambda one: sum(value.size for value in one.values()))
    if isinstance(subject, Task):
        return largest
    from export import contenders

    try:
        values = contenders.inputs(subject, TIMED_BATCH, TIMED_STEPS)
        names = [spec.name for spec in subject.serving.inputs]
        return dict(zip(names, values, strict=True))
    except Exception:  # a model that is particular about what it takes
        return largest


def _convert(subject, opset):
    with recurrent.fused(keras_model.all_layers(subject.network)) as fusion:
        function = verify.serving_function(subject)
    return onnx_graph.build(subject.serving, function, fusion.operations, opset), fusion


def _count(model):
    return dict(sorted(collections.Counter(onnx_graph.operations_of(model.graph)).items()))


def _pairs(subject, model, cases):
    """Yields what Keras gave and what onnxruntime gives with the serialised model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        reason = str(error).splitlines()[0]
        raise ExportError(f"onnxruntime refuses the model ({reason}); nothing was written") from error
    names = [spec.name for spec in subject.serving.outputs]
    known = {value.name for value in session.get_inputs()}
    for inputs, expected in cases:
        given = {name: value for name, value in inputs.items() if name in known}
        try:
            found = session.run(names, given)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ExportError(f"onnxruntime cannot run the model ({reason}); nothing was written") from error
        yield expected, dict(zip(names, found, strict=True))


def _first_difference(network, opset):
    """The first layer, in the order of computation, whose exported output is not that of Keras."""
    import keras

    layers = [layer for layer in network.layers if len(layer._inbound_nodes) == 1]
    for layer in layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            subject = keras_model.KerasModel(keras.Model(network.inputs, layer.output))
            cases = list(verify.examples(subject, verify.serving_function(subject)))
            verify.compare(subject, _pairs(subject, _convert(subject, opset)[0], cases))
        except ExportError:
            return layer.name
        except Exception:
            return None  # only a help: the error itself is told in any case
    return None
