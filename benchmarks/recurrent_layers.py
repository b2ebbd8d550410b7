"""Every kind of recurrent layer: its export beside Keras's own, `model.predict`, PyTorch and int8.

    python benchmarks/recurrent_layers.py [--output docs/benchmarks.md] [--threads N ...] [--quick]

A batch of 8 sequences of 200 steps, as many features as units. Masked: behind `keras.layers.Masking`, the
sequences 30 % to 100 % of the steps long. It takes twenty minutes for each number of threads; the machine
should do nothing else then, above all with more than one thread. PyTorch's column needs `pip install torch`.
"""

import argparse
import contextlib
import os
import platform
import re
import shlex
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH, STEPS = 8, 200
KINDS = {
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU, reset before": ("GRU", {"reset_after": False}),
    "SimpleRNN": ("SimpleRNN", {}),
    "SimpleRNN, ReLU to 20": ("SimpleRNN", {}),  # of Deep Speech, Hannun et al. 2014
}
AIM = ("LSTM", "GRU", "SimpleRNN")  # masked, in both directions, 128 units: what the geometric mean is over
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
CONTENDERS = ("this export", "plain export", "predict", "torch", "int8")
HEADER = """\
| layer | directions | masked | units | threads | this export | of peak | plain | `predict` | PyTorch | int8 |
|---|---|---|---|---|---|---|---|---|---|---|"""
SIDE = 1024  # of the square matrices whose product shows the machine's peak


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", metavar="FILE", help="write the results as Markdown; further sections of the file stay"
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", metavar="N", help="onnxruntime's and PyTorch's, default one a core"
    )
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="for each number, default: 2")
    parser.add_argument("--quick", action="store_true", help="a few tiny layers, to see that all works")
    options = parser.parse_args(arguments)

    from zoo.backend import import_tensorflow

    import_tensorflow()
    from export import runtime
    from export.bench import bench

    print(HEADER)
    rows, ratios, notes = [], {}, {}
    for threads in options.threads or [runtime.cores()]:
        for case in cases(options.quick):
            label, both, masked, units = case
            sizes = {"batches": (), "ragged": (BATCH,)} if masked else {"batches": (BATCH,), "ragged": ()}
            steps = 10 if options.quick else STEPS
            best = peak(threads, 0.02 if options.quick else 0.3)
            report = bench(
                build(*case),
                **sizes,
                steps=steps,
                threads=threads,
                repeats=2 if options.quick else 5,
                seconds=0.02 if options.quick else options.seconds,
                only=CONTENDERS,
            )
            found = {row["contender"]: row for row in report["rows"]}
            rows.append(line(*case, threads, found, operations(*case, steps) / best))
            print(rows[-1], flush=True)
            ratios[threads, *case] = found["plain export"]["ratio"]
            for row in found.values():
                if row["note"]:
                    note = re.sub(r"the layer '\w+'", "the layer", row["note"])
                    notes.setdefault((NAMES[row["contender"]], note), []).append(label)
    end = closing(ratios, notes)
    print(f"\n{end}")
    if options.output:
        from zoo.files import atomic_write

        text = "\n".join([opening(report, arguments), HEADER, *rows, "", end, ""])
        output = Path(options.output)
        _, heading, others = (output.read_text("utf-8") if output.is_file() else "").partition("\n## ")
        with atomic_write(output, text=True) as file:
            file.write(text + heading + others)


def cases(quick):
    """Yields (label, both directions, masked, units)."""
    if quick:
        yield from ((label, True, True, 8) for label in AIM)
        return
    for units in (128, 512):
        for label in KINDS:
            for both in (False, True):
                for masked in (False, True):
                    yield label, both, masked, units


def build(label, both, masked, units):
    """A model of one layer."""
    import keras

    name, settings = KINDS[label]
    if label == "SimpleRNN, ReLU to 20":
        settings = {"activation": keras.layers.ReLU(20.0)}
    keras.utils.set_random_seed(0)
    x = given = keras.Input((None, units))
    if masked:
        x = keras.layers.Masking()(x)
    layer = getattr(keras.layers, name)(units, return_sequences=True, **settings)
    if both:
        layer = keras.layers.Bidirectional(layer, merge_mode="sum" if "ReLU" in label else "concat")
    return keras.Model(given, layer(x), name="layer")


NAMES = {
    "this export": "This export", "plain export": "Plain export", "predict": "`predict`", "torch": "PyTorch",
    "int8": "int8",
}  # fmt: skip


def operations(label, both, masked, units, steps):
    """Floating-point operations of a layer's products: two for each weight and step that is not padding."""
    from export import contenders

    shares = np.linspace(contenders.SHORTEST, 1, BATCH) if masked else np.ones(BATCH)
    real = np.ceil(shares * steps).sum()
    return 2 * real * (1 + both) * GATES[KINDS[label][0]] * units * (units + units)


def peak(threads, seconds):
    """Floating-point operations in a millisecond that onnxruntime reaches in one large product in float32."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    value = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype("float32")
    given, product = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in "xy")
    weight = numpy_helper.from_array(value, "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [given], [product], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    session.run(None, {"x": value})
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        before = time.perf_counter()
        session.run(None, {"x": value})
        times.append(time.perf_counter() - before)
    return 2 * SIDE**3 / (1e3 * min(times))  # the least: whatever disturbs it, it is a peak


def line(label, both, masked, units, threads, found, least):
    """A row of the table; ``least``: milliseconds that the layer's products take at the machine's peak."""
    cells = [label, "both" if both else "one", "yes" if masked else "no", str(units), str(threads)]
    own = found["this export"]["milliseconds"]
    cells += [f"{own:.2f} ms", f"{least / own:.0%}"] if own else ["-", ""]
    for contender in CONTENDERS[1:]:
        ratio = found[contender]["ratio"]
        cells.append(f"{ratio:.2f}×" if ratio else "-")
    return f"| {' | '.join(cells)} |"


def closing(ratios, notes):
    """What stands below the table.

    Args:
        ratios: ``{(threads, label, both, masked, units): plain export's time to this one's, or None}``.
        notes: ``{(contender, why it has no figure): labels}``.
    """
    known = {case: ratio for case, ratio in ratios.items() if ratio}
    text = []
    for threads in dict.fromkeys(case[0] for case in known):
        own = {case[1:]: ratio for case, ratio in known.items() if case[0] == threads}
        aim = [own[case] for case in own if case[0] in AIM and case[1] and case[2] and case[3] <= 128]
        gated = [ratio for (label, _, masked, _), ratio in own.items() if masked and "RNN" not in label]
        mean = f"geometric mean **{statistics.geometric_mean(aim):.2f}×**" if aim else ""
        text.append(
            f"Plain export against this one, {threads} threads: masked {', '.join(AIM)} in both directions "
            f"{', '.join(f'{ratio:.2f}×' for ratio in aim)}, {mean}; the least of all rows "
            f"{min(own.values()):.2f}×, of masked LSTMs and GRUs {min(gated, default=0):.2f}×."
        )
    for (contender, note), labels in notes.items():
        text.append(f"{contender} has no figure for {', '.join(dict.fromkeys(labels))}: {note}.")
    return "\n".join(text)


def opening(report, arguments):
    """The head of the document: what was measured, with what, on what."""
    command = shlex.join(["python", "benchmarks/recurrent_layers.py", *(arguments or sys.argv[1:])])
    versions = [f"{name} {version(name)}" for name in ("keras", "tensorflow", "tf2onnx", "onnxruntime")]
    with contextlib.suppress(PackageNotFoundError):
        versions.append(f"torch {version('torch')}")
    threads = f"TensorFlow's threads {report['tensorflow_threads']}"
    return f"""# Speed of exported recurrent layers

A batch of {BATCH} sequences of {report["steps"]} steps, as many features as units, `return_sequences=True`.
Masked: behind `keras.layers.Masking`, the sequences 30 % to 100 % of the steps long.
"This export" is `export.to_onnx`, "plain export" Keras's `model.export(format="onnx")`, both in onnxruntime;
`predict` is `model.predict`; PyTorch has modules with the same weights. Each was timed once it gave Keras's
results. Medians of runs taken in turns; × is how many times this export's time. "Of peak" is what share of
its time the layer's products would take at the rate of one product of matrices of {SIDE} × {SIDE} in
onnxruntime, on as many threads.
"SimpleRNN, ReLU to 20" sums its directions (Hannun et al. 2014, "Deep Speech").

- {", ".join(versions)}, Python {platform.python_version()}
- {processor()}, {os.cpu_count()} cores; {threads}
- `{command}`
"""


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
