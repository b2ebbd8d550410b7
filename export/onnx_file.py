"""A task, or any Keras model, as one ONNX file: raw input in, output out, all about it in its metadata."""

from __future__ import annotations

import bisect
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import zoo
from export import about, keras_file, keras_model, onnx_graph, preprocessing, quantize, recurrent, verify
from export.traceable import layer_of_scope, traceable
from export.verify import ExportError
from zoo.contract.task import Task
from zoo.errors import UserError, reason

if TYPE_CHECKING:
    import keras

TIMED_BATCH, TIMED_STEPS = 8, 150  # of a Keras model's sequences, where int8 is timed


def to_onnx(
    model: Task | keras.Model | str | os.PathLike, path: str | os.PathLike, preset: str | None = None, *,
    opset: int = onnx_graph.OPSET, int8: bool = False, float16: bool = False,
    example: dict | list | None = None,
) -> dict:  # fmt: skip
    """Writes a model as an ONNX file, once onnxruntime has given the results of Keras with it.

    Recurrent layers become one fused operation each, masked or not (see ``export.recurrent``); one with no
    ONNX equivalent keeps its loop, and the report says why.

    Args:
        model: a ``zoo.contract.task.Task``, or what ``zoo.load`` takes; or a functional or Sequential
            ``keras.Model``, or the name of a ``.keras`` file.
        path: the file to write; an older one is replaced only by a verified one.
        preset: the name to put into the file, by default the name that the model was loaded by.
        opset: ONNX's operator set, 13 to 18; a file that joins text (see ``export.preprocessing``) has 20.
        int8: quantise the weights (see ``export.quantize.int8``), after verification.
        float16: store the weights as float16.
        example: inputs to verify a Keras model on, ``{name of an input: array}``, or a list of arrays in
            the order of the inputs; by default random ones of several lengths.

    Returns:
        The report, a dict: ``size`` (bytes), ``opset``, ``ir_version``, ``nodes`` (``{operation: count}``),
        ``recurrent`` (``{layer: "fused"``, ``export.recurrent.SCAN`` or why it is a loop``}``), what
        ``export.verify.compare`` found, and if there are any ``unread_inputs`` (names of those that no output
        depends on, and need not be given). With int8 or float16, the weights were verified before they were
        made smaller; then ``stored`` says which it is, ``max_difference`` is the file's own, and what it was
        in float32 is ``float32_difference``. With int8 also ``milliseconds``,
        ``{"float32": …, "int8": …}``, of an example on one thread, where one can be measured.

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
        return _on_tensorflow(model, path, example, preset=preset, opset=opset, int8=int8, float16=float16)
    subject, name = load(model, example)
    preprocessing.check(subject.network._flatten_layers())
    if task := isinstance(subject, Task):
        subject.drop_stale_calibration()
    cases = list(verify.examples(subject)) if task else subject.cases
    large = [] if task else subject.large_cases
    converted, fusion = _located(subject, opset, "fails", lambda: _convert(subject, opset))
    report = {
        "opset": next(opset.version for opset in converted.opset_import if not opset.domain),
        "ir_version": converted.ir_version,
        "nodes": _count(converted),
        "recurrent": fusion.report,
    }
    loops = report["nodes"].get("Loop", 0)  # a Scan is a layer, of export.scan
    if loops > subject.serving.decoding_loops and not fusion.fallbacks:
        report["other_loops"] = loops - subject.serving.decoding_loops
    if unread := onnx_graph.unread_inputs(converted.graph):
        report["unread_inputs"] = unread
    report |= _located(
        subject, opset, "differs",
        lambda: verify.compare(subject, _pairs(subject, converted, [*cases, *large])),
    )  # fmt: skip
    if int8 or float16:
        beside = vars(subject).values() if task else ()  # a vocoder, which training knows nothing of
        layers = keras_model.all_layers(subject.network)
        layers += [one for one in beside if isinstance(one, keras.layers.Layer)]
        exact = [value for layer in layers for value in getattr(layer, "constants", ())]
        whole = converted
        like_fed = [inputs for inputs, _ in cases] if subject.serving.shows_ranges else []
        converted = quantize.int8(converted, exact, like_fed) if int8 else quantize.float16(converted)
        report["stored"] = "int8" if int8 else "float16"
        report["float32_difference"] = report["max_difference"]
        report["max_difference"] = verify.difference(subject, _pairs(subject, converted, cases))
        report["nodes"] = _count(converted)
    preset = name if preset is None else preset
    if task:
        said = about.of_task(subject, preset, report)
        text = f"{preset or subject.name}: {said['description']} See docs/file_format.md of seqzoo."
    else:
        said, text = {"version": zoo.__version__, "preset": preset, "report": report}, ""
    about.document(converted, subject.serving, text)
    size = about.write(converted, path, said)
    if int8:  # not in the file, whose bytes depend on the weights alone
        report["milliseconds"] = quantize.milliseconds(whole, converted, _example(subject, cases))
    return {"size": size, **report}


def load(
    model: Task | keras.Model | str | os.PathLike, example: dict | list | None = None
) -> tuple[Task | keras_model.KerasModel, str]:
    """What ``to_onnx`` takes -> (task or ``export.keras_model.KerasModel``, its name)."""
    if keras_file.is_file(model):
        return keras_model.KerasModel(keras_file.load(model), example), Path(model).stem
    if not isinstance(model, Task | str | os.PathLike):
        return keras_model.KerasModel(model, example), getattr(model, "name", "")
    if example is not None:
        raise UserError("An example is for Keras models; a task of the zoo knows inputs that fit it")
    if isinstance(model, Task):
        return model, ""
    return zoo.load(os.fspath(model)), Path(model).name


_CHILD = """
import json, sys
from zoo.backend import import_tensorflow
from zoo.errors import UserError, reason

import_tensorflow()
from export.onnx_file import read_example, to_onnx

options = json.loads(sys.argv[1])
try:
    if "example" in options:
        options["example"] = read_example(options["example"])
    report = to_onnx(**options)
except UserError as error:
    sys.exit(f"seqzoo: {error}")
print("\\n" + json.dumps(report))
"""


def _on_tensorflow(model, path, example, **options):
    """``to_onnx`` of a model that lives on another backend, in a process of its own."""
    print("Keras runs on another backend here; exporting on TensorFlow in another process", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        copied = not isinstance(model, str | os.PathLike)
        if isinstance(model, Task):
            options["preset"] = options["preset"] or ""
            model.save(Path(folder, "task"))
            model = Path(folder, "task")
        elif copied:
            subject = keras_model.KerasModel(model, example)  # says what is wrong with it, if anything
            _check_classes(subject)
            example = list(subject.example.values()) if example is not None else None  # names may change
            options["preset"] = options["preset"] or model.name
            model.save(Path(folder, "model.keras"))
            model = Path(folder, "model.keras")
        if example is not None:
            options["example"] = os.fspath(Path(folder, "example.npz"))
            named = example if isinstance(example, dict) else {}
            np.savez(options["example"], *([] if named else example), **named)
        options |= {"model": os.fspath(model), "path": os.path.abspath(path)}
        run = subprocess.run(
            [sys.executable, "-c", _CHILD, json.dumps(options)],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
    if run.returncode:
        last = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
        last = last.removeprefix("seqzoo: ")
        if copied and "Python code of its own" in last:
            code = last.partition("Python code of its own")[2].partition("), which")[0]
            last = f"The model has Python code of its own{code})"
            last = f"{last}; run your program with KERAS_BACKEND=tensorflow"
        raise ExportError(last)
    return json.loads(run.stdout.splitlines()[-1])


def _check_classes(subject):
    """Raises a UserError where another process would not know a class of the model's layers."""
    for layer in subject.names:
        if not type(layer).__module__.startswith(("keras.", "zoo.")):
            raise ExportError(
                f"The layer {layer.name!r} is of a class of your own, {type(layer).__name__}, which the "
                "process that exports on TensorFlow does not know; run your program with "
                "KERAS_BACKEND=tensorflow"
            )


def read_example(path: str | os.PathLike) -> dict[str, np.ndarray] | list[np.ndarray]:
    """The arrays of a ``.npz`` file, by their names, or a list of those that were saved without.

    Raises:
        UserError: it cannot be read, or holds Python objects, which are not loaded.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        unnamed = all(name.startswith("arr_") for name in arrays)
        return list(arrays.values()) if unnamed else arrays
    except Exception as error:  # NumPy raises what comes to hand
        raise UserError(
            f"{path}: no .npz file of arrays ({reason(error)}); write one with "
            "numpy.savez(path, **{name of an input: array})"
        ) from error


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
    """(``onnx.ModelProto``, ``export.recurrent.Fusion``)

    Raises:
        ExportError: an operation has no ONNX counterpart, or tracing fails; the sentence names the layer.
    """
    names = keras_model.unique_names(subject.network)
    serving = subject.serving  # a Keras model is run for it, which nothing may stand in for
    try:
        with (
            recurrent.fused(names) as fusion,
            preprocessing.preprocessed(names, fusion.stand_ins),
            traceable(names),  # the last, as it renames layers
        ):
            function = verify.serving_function(subject)
        return onnx_graph.build(serving, function, fusion.stand_ins, opset), fusion
    except onnx_graph.Unconvertible as error:
        layer = layer_of_scope(error.scope, names)
        wrong, cause = f"uses {error.operation}, which has no ONNX counterpart", error
    except UserError:
        raise
    except Exception as error:  # TensorFlow, Keras, tf2onnx and a model's own code raise what comes to hand
        layer = _layer_of_traceback(error, names)
        wrong, cause = f"cannot be converted to ONNX ({reason(error)})", error
    where = f"layer {layer!r}" if layer else f"model {subject.network.name!r}"
    mend = _MENDS.get(getattr(cause, "operation", ""), "write it with other operations of keras.ops")
    raise ExportError(
        f"The {where} {wrong}; nothing was written: {mend}, or leave it out of what is exported"
    ) from cause


_MENDS = {
    "RFFT": "write it as a convolution, as keras.layers.STFTSpectrogram does",
    "StatelessRandomUniformV2": "take the random numbers as an input",
    "StatelessRandomNormalV2": "take the random numbers as an input",
}


def _layer_of_traceback(error, names):
    """The name of the innermost layer whose code was running when an exception was raised, or None."""
    import keras

    found, trace = None, error.__traceback__
    while trace:
        running = trace.tb_frame.f_locals.get("self")
        if isinstance(running, keras.layers.Layer) and running in names:
            found = names[running]
        trace = trace.tb_next
    return found


def _count(model):
    return dict(sorted(collections.Counter(onnx_graph.operations_of(model.graph)).items()))


def _pairs(subject, model, cases):
    """Yields inputs, what Keras gave, and what onnxruntime gives with the serialised model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        raise ExportError(
            f"onnxruntime refuses the model ({reason(error)}); nothing was written"
        ) from error
    names = [spec.name for spec in subject.serving.outputs]
    known = {value.name for value in session.get_inputs()}
    for inputs, expected in cases:
        given = {name: value for name, value in inputs.items() if name in known}
        try:
            found = session.run(names, given)
        except Exception as error:
            raise ExportError(
                f"onnxruntime cannot run the model ({reason(error)}); nothing was written"
            ) from error
        yield inputs, expected, dict(zip(names, found, strict=True))


def _located(subject, opset, verb, work):
    """What ``work()`` gives; its ExportError, if it names no layer, with the first that is to blame."""
    try:
        return work()
    except ExportError as error:
        layer = None if error.layer else _first_difference(subject, opset)
        if not layer:
            raise
        raise ExportError(f"{error}; the first layer that {verb} is {layer!r}", layer) from error


def _first_difference(subject, opset):
    """The first layer or operation, in the order of computation, whose output has no file, or a wrong one."""
    import keras

    network, example = subject.network, getattr(subject, "example", None)

    def differs(made):
        part = keras_model.KerasModel(keras.Model(network.inputs, made.output), example)
        try:
            cases = [*part.cases, *part.large_cases]
            verify.compare(part, _pairs(part, _convert(part, opset)[0], cases))
        except ExportError:
            return True
        return False

    every = [one for one in network.operations if len(one._inbound_nodes) == 1]
    every = [one for one in every if not isinstance(one, keras.layers.InputLayer)]
    try:
        first = bisect.bisect_left(every, True, key=differs)  # where one differs, so do those that follow
    except Exception:
        return None  # only a help: the error itself is told in any case
    return every[first].name if first < len(every) else None
