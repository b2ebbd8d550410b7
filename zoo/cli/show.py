"""``zoo show``: the card of a preset or of a run, or what an exported file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo import hub
from zoo.contract.card import worded
from zoo.contract.model import is_file, open_file

if TYPE_CHECKING:
    import argparse

_FACTS = {  # key in the file: what it is called
    "preset": "model",
    "task": "task",
    "description": "description",
    "made_from": "made from",
    "date": "trained on",
    "training_command": "trained with",
    "licence": "licence",
    "stored": "stored as",
    "created": "exported on",
    "model_version": "model_version",
    "weights_sha256": "weights_sha256",
}


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.add_argument("model", metavar="MODEL", help="preset name, task or run folder, or .onnx file")


def run(options: argparse.Namespace) -> None:
    text = _file(options.model) if is_file(options.model) else hub.card(hub.find(options.model))
    print(text, end="" if text.endswith("\n") else "\n")


def _file(path):
    """What a file says: its facts, what goes in and out, figures, and the model's card."""
    from export import about

    _, metadata = open_file(path)
    said = {key: about.decoded(value) for key, value in metadata.items()}
    rows = [("file", f"{path}, {Path(path).stat().st_size / 1e6:.1f} MB")]
    rows += [(title, said[key]) for key, title in _FACTS.items() if said.get(key)]
    rows.append(("version", f"seqzoo {said.get('version')}"))
    assets = [key.removeprefix("asset.") for key in said if key.startswith("asset.")]
    rows += [("assets", ", ".join(assets))] if assets else []
    lines = [f"{name:15} {value}" for name, value in rows]
    for side in ("inputs", "outputs"):
        specs = [(f"{one['name']} {one['dtype']} {_shape(one)}", one["doc"]) for one in said.get(side, ())]
        width = max((len(name) for name, _ in specs), default=0)
        lines += ["", side, *(f"  {name:{width}}  {doc}" for name, doc in specs)]
    for key, title in (("measured", "measured with this file"), ("figures", "figures of the model")):
        if said.get(key):
            lines += ["", title, *(_figure(one, said.get("task")) for one in said[key])]
    return "\n".join([*lines, *(["", said["card"]] if said.get("card") else [])])


def _shape(spec):
    return f"[{', '.join(map(str, spec['shape']))}]"


def _figure(one, task):
    return f"  {one['set']}: {worded(one, task)}"
