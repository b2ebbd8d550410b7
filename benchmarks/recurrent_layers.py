"""Every kind of recurrent layer: its fused export beside Keras's own, int8 and `model.predict`.

    python benchmarks/recurrent_layers.py [--output docs/benchmarks.md] [--threads N] [--quick]

A batch of 8 sequences of 200 steps, as many features as units. Masked: behind `keras.layers.Masking`, the
sequences 30 % to 100 % of the steps long. It takes twenty minutes; the machine should do nothing else then.
"""

import argparse
import os
import platform
import shlex
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

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
CONTENDERS = ("this export", "plain export", "predict", "int8")
HEADER = """\
| layer | directions | masked | units | this export | plain export | | `predict` | | int8 | | size of int8 |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", metavar="FILE", help="write the results as Markdown; further sections of the file stay"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="onnxruntime's, by default one a core")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="for each number, default: 2")
    parser.add_argument("--quick", action="store_true", help="a few tiny layers, to see that all works")
    options = parser.parse_args(arguments)

    from zoo.backend import import_tensorflow

    import_tensorflow()
    from export.bench import bench

    print(HEADER)
    rows, faster = [], []
    for label, both, masked, units in cases(options.quick):
        sizes = {"batches": (), "ragged": (BATCH,)} if masked else {"batches": (BATCH,), "ragged": ()}
        report = bench(
            build(label, both, masked, units),
            **sizes,
            steps=10 if options.quick else STEPS,
            threads=options.threads,
            repeats=2 if options.quick else 5,
            seconds=0.02 if options.quick else options.seconds,
            only=CONTENDERS,
        )
        found = {row["contender"]: row for row in report["rows"]}
        rows.append(line(label, both, masked, units, found, report["sizes"]))
        print(rows[-1], flush=True)
        if label in AIM and both and masked and units <= 128:
            faster.append(found["plain export"]["ratio"])
    print(f"\n{closing(faster)}")
    if options.output:
        from zoo.files import atomic_write

        text = "\n".join([opening(report, arguments), HEADER, *rows, "", closing(faster), ""])
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


def line(label, both, masked, units, found, sizes):
    """A row of the table."""
    cells = [label, "both" if both else "one", "yes" if masked else "no", str(units)]
    for contender in CONTENDERS:
        row = found[contender]
        cells.append(row["note"].replace("|", "/") or f"{row['milliseconds']:.2f} ms")
        if contender != "this export":
            cells.append(f"{row['ratio']:.2f}×" if row["ratio"] else "")
    share = sizes["int8"] / sizes["this export"] if len({"int8", "this export"} & sizes.keys()) == 2 else None
    return f"| {' | '.join([*cells, f'{share:.2f}×' if share else ''])} |"


def closing(ratios):
    mean = statistics.geometric_mean(ratios)
    return (
        f"Plain export against this one, masked {', '.join(AIM)} in both directions: "
        f"{', '.join(f'{ratio:.2f}×' for ratio in ratios)}; geometric mean **{mean:.2f}×**."
    )


def opening(report, arguments):
    """The head of the document: what was measured, with what, on what."""
    command = shlex.join(["python", "benchmarks/recurrent_layers.py", *(arguments or sys.argv[1:])])
    versions = [f"{name} {version(name)}" for name in ("keras", "tensorflow", "tf2onnx", "onnxruntime")]
    threads = f"threads: onnxruntime {report['threads']}, TensorFlow {report['tensorflow_threads']}"
    return f"""# Speed of exported recurrent layers

A batch of {BATCH} sequences of {report["steps"]} steps, as many features as units, `return_sequences=True`.
Masked: behind `keras.layers.Masking`, the sequences 30 % to 100 % of the steps long.
"This export" is `export.to_onnx`, "plain export" Keras's `model.export(format="onnx")`, both in onnxruntime;
`predict` is `model.predict`. Medians of runs taken in turns; × is how many times this export's time, or size.
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
