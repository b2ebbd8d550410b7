"""Which layers of an exported file take its time: onnxruntime's own profile of real inputs, summed up.

with opened("reader.onnx") as model:
    report = profile(model, ["scan1.png", "scan2.png"])
print(table(report))
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.contract.model import ExportedModel

KINDS = {
    "recurrent layers": {"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM", "AttnLSTM"},
    "convolutions": {"Conv", "FusedConv", "ConvTranspose", "QLinearConv", "ConvInteger", "NhwcFusedConv"},
    "matrix products": {
        "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
    },
    "pooling": {"MaxPool", "NhwcMaxPool", "AveragePool", "GlobalAveragePool"},
    "loops": {"Loop", "Scan", "If"},
}  # fmt: skip
REST = "masks, casts, gathers and the like"
REPEATS = 8  # times that all inputs are read, after one that allocates and does not count
LARGEST = 12  # operations that are listed alone


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[ExportedModel]:
    """An ``.onnx`` file of a task as ``profile`` takes it: an ``ExportedModel`` on one thread, for one call.

    Raises:
        UserError: the file cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield ExportedModel(path, threads=1, profile=str(Path(folder, "profile")))


def profile(model: ExportedModel, inputs: list) -> dict[str, Any]:
    """Where the time of a file goes on one thread, while its reader reads inputs in batches as usual.

    Args:
        model: what ``opened`` gives.
        inputs: list of what its reader takes.

    Returns:
        A dict: ``milliseconds`` of an input, without reading it from the disk; ``kinds``, ``{kind: share}``,
        0 to 1, and ``operations``, ``{type: share}``, largest first; ``largest``, list of ``(name, type,
        share)`` of single operations. A loop counts without what is in it.

    Raises:
        UserError: an input cannot be read.
    """
    for _ in range(1 + REPEATS):
        model.reader(inputs)
    events = json.loads(Path(model.session.end_profiling()).read_text(encoding="utf-8"))
    runs = [event["ts"] for event in events if event["name"] == "model_run"]
    ends = [*runs[:: len(runs) // (REPEATS + 1)][: REPEATS + 1], float("inf")]
    nodes = [
        event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    passes = [
        [event for event in nodes if first <= event["ts"] < last]
        for first, last in itertools.pairwise(ends[1:])
    ]
    # Of each operation the quickest time: whatever else runs on the machine only makes it longer.
    spent = [min(times) for times in zip(*map(_alone, passes), strict=True)]
    total = sum(spent) or 1
    kinds, operations, single = collections.Counter(), collections.Counter(), collections.Counter()
    for event, micros in zip(passes[0], spent, strict=True):
        operation = event["args"]["op_name"]
        kind = next((kind for kind, own in KINDS.items() if operation in own), REST)
        kinds[kind] += micros / total
        operations[operation] += micros / total
        single[event["name"].removesuffix("_kernel_time"), operation] += micros / total
    return {
        "milliseconds": total / 1000 / max(1, len(inputs)),
        "kinds": dict(kinds.most_common()),
        "operations": dict(operations.most_common()),
        "largest": [(name, kind, share) for (name, kind), share in single.most_common(LARGEST)],
    }


def _alone(events):
    """Microseconds of each event, less those of the events within it: list of float."""
    spent = [float(event["dur"]) for event in events]
    open_ones = []
    for i in sorted(range(len(events)), key=lambda i: (events[i]["ts"], -events[i]["dur"])):
        event = events[i]
        while open_ones and events[open_ones[-1]]["ts"] + events[open_ones[-1]]["dur"] <= event["ts"]:
            open_ones.pop()
        if open_ones and events[open_ones[-1]]["args"]["op_name"] in KINDS["loops"]:
            spent[open_ones[-1]] -= event["dur"]
        open_ones.append(i)
    return [max(0.0, micros) for micros in spent]


def table(report: dict) -> str:
    """A report of ``profile`` as text."""
    lines = [f"{report['milliseconds']:.2f} ms for each input, on one thread"]
    lines += [f"{share:7.1%}  {kind}" for kind, share in report["kinds"].items()]
    rest = [
        f"{operation} {share:.1%}"
        for operation, share in report["operations"].items()
        if not any(operation in own for own in KINDS.values()) and share >= 0.005
    ]
    if rest:
        lines.append(f"{REST}: {', '.join(rest)}")
    lines.append("largest operations:")
    lines += [f"{share:7.1%}  {operation} {name}" for name, operation, share in report["largest"]]
    return "\n".join(lines)
