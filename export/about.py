"""What an exported file says of itself: doc strings, metadata, and a digest by which a flipped bit is found.

``docs/file_format.md`` has the table of all keys.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from export import runtime
from zoo.contract.card import today
from zoo.errors import UserError
from zoo.files import atomic_write

if TYPE_CHECKING:
    import onnx

    from zoo.contract.serving import Serving
    from zoo.contract.task import Task

PREFIX = "seqzoo."
DIGEST = "sha256"
_KEY = f"{PREFIX}{DIGEST}".encode()
# As protobuf has an entry of metadata_props: field 1, the key; field 2, the value of 64 characters.
_ENTRY = b"\x0a" + bytes([len(_KEY)]) + _KEY + b"\x12\x40"


def write(model: onnx.ModelProto, path: str | os.PathLike, values: dict[str, Any]) -> int:
    """Writes an ``onnx.ModelProto`` with metadata and a digest, whole or not at all.

    Args:
        values: ``{key: what JSON can hold}``, keys without ``seqzoo.``.

    Returns:
        The number of bytes.

    Raises:
        UserError: it is larger than 2 GiB, or has more metadata than readers take.
    """
    import onnx

    texts = {PREFIX + key: value if isinstance(value, str) else _json(value) for key, value in values.items()}
    size = sum(len(text.encode()) for text in texts.values())
    if size > runtime.MAX_METADATA:
        raise UserError(
            f"{path}: {size >> 20} MiB of metadata, of which a file holds {runtime.MAX_METADATA >> 20}; "
            "prune the language model (`zoo lm build --prune`)"
        )
    onnx.helper.set_model_props(model, texts | {PREFIX + DIGEST: "0" * 64})
    try:
        data = bytearray(model.SerializeToString(deterministic=True))
    except Exception as error:  # protobuf's limit; its exception differs from version to version
        raise UserError("The model is larger than the 2 GiB that one ONNX file holds") from error
    place = data.rfind(_ENTRY) + len(_ENTRY)
    data[place : place + 64] = hashlib.sha256(data).hexdigest().encode()
    with atomic_write(path) as file:
        file.write(data)
    return len(data)


def verify(path: str | os.PathLike) -> None:
    """Whether every byte of a file is as it was written.

    Raises:
        UserError: the file is not there, is none that has a digest, or has changed.
    """
    try:
        data = bytearray(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give an .onnx file") from error
    place = data.rfind(_ENTRY) + len(_ENTRY)
    if place < len(_ENTRY):
        raise UserError(
            f"{path}: it holds no digest: damaged, not seqzoo's, or older than digests; export it again"
        )
    stated = bytes(data[place : place + 64])
    data[place : place + 64] = b"0" * 64
    if hashlib.sha256(data).hexdigest().encode() != stated:
        raise UserError(f"{path}: its bytes differ from those that were written; copy or export it again")


def document(model: onnx.ModelProto, serving: Serving, text: str) -> None:
    """Puts doc strings on an ``onnx.ModelProto``, its inputs and its outputs."""
    docs = {spec.name: spec.doc for spec in (*serving.inputs, *serving.outputs)}
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = docs.get(value.name, "")
    model.doc_string = text


def of_task(task: Task, preset: str, report: dict) -> dict[str, Any]:
    """``{key: value}``: what a task's file says of itself, and all that readers need beside the graph."""
    weights, card = task.weights_sha256(), task.own_card()
    return {
        "version": zoo.__version__,
        "format": runtime.FORMAT,
        "task": task.name,
        "preset": preset,
        "description": card.get("description", ""),
        "model_version": card.get("model_version") or weights[:12],
        "weights_sha256": weights,
        "created": today(),
        "stored": report.get("stored", "float32"),
        "licence": card.get("licence", ""),
        "made_from": card.get("made_from", ""),
        "date": card.get("date", ""),
        "training_command": card.get("training_command", ""),
        "card": card.get("text", ""),
        "figures": card.get("figures", []),
        "measured": [],
        "inputs": [dataclasses.asdict(spec) for spec in task.serving.inputs],
        "outputs": [dataclasses.asdict(spec) for spec in task.serving.outputs],
        "config": dataclasses.asdict(task.config),
        **task.vocabulary.metadata(),
        **{f"asset.{name}": data.decode("utf-8") for name, data in task.assets.items()},
        "report": report,
    }


def measured(path: str | os.PathLike, figures: list[dict]) -> None:
    """Puts figures that were measured with a file into it.

    Args:
        path: the file, which is replaced.
        figures: list of dicts with ``set``, ``metric``, ``value`` and ``command``.
    """
    import onnx

    model = onnx.load(path)
    stored = {one.key.removeprefix(PREFIX): one.value for one in model.metadata_props}
    stored.pop(DIGEST, None)
    write(model, path, stored | {"measured": figures})


def sidecar(path: str | os.PathLike) -> Path:
    """Writes ``FILE.json`` beside ``FILE.onnx``, with the same keys; gives its path.

    For programs that run a file and cannot reach its metadata, such as those in JavaScript.
    """
    import onnx

    path = Path(path)
    props = onnx.load(path).metadata_props
    found = {one.key.removeprefix(PREFIX): decoded(one.value) for one in props}
    with atomic_write(path.with_suffix(".json")) as file:
        file.write((json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode())
    return path.with_suffix(".json")


def decoded(value: str) -> Any:
    """The value of a key: an object or a list where it is one in JSON, else the text that it is."""
    if value[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _json(value):
    return json.dumps(value, ensure_ascii=False)
