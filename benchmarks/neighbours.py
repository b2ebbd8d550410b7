"""Whether a result of an exported file in 8 bits depends on what else is in the batch.

    python -m benchmarks.neighbours                      # every preset, exported for it
    python -m benchmarks.neighbours sentiment_en qa_babi --batch 8

Each file is run on a batch of 32 examples of unequal lengths, on the same batch with every second example
exchanged for another, and on each example alone. Shown are how many values of the examples that stayed differ
(none may), the greatest difference of a float between batch and alone, relative to max(1, |value|), and how
many other values differ there. The order of sums in float32 differs with the size of a batch, by 1e-7 or so;
where such a difference makes an input round to the next of the 255 steps of 8 bits, it grows. Exit status 1
where more differs than that explains.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import zoo
from zoo import hub
from zoo.backend import import_tensorflow

MOST = 0.05  # of a float between a batch and alone, where rounding grows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", metavar="PRESET", nargs="*", default=hub.names())
    parser.add_argument("--batch", type=int, default=32, metavar="N")
    options = parser.parse_args()
    import_tensorflow()
    from export import to_onnx

    failed = False
    for name in options.names:
        task = zoo.load(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "int8.onnx")
            to_onnx(task, path, int8=True)
            touched, apart, unequal = difference(task.serving, path, options.batch)
        failed |= touched > 0 or apart > MOST or unequal > 0
        print(f"{name:30} {touched} {apart:.1e} {unequal}", flush=True)
    return int(failed)


def difference(serving, path, batch, seed=1):
    """How far a batch is from its examples one by one.

    Args:
        serving: the task's ``zoo.contract.serving.Serving``.
        path: its exported file.
        batch: number of examples.

    Returns:
        ``(touched, apart, unequal)``: how many values change with the neighbours in a batch; and between a
        batch and alone the greatest difference of a float, relative to max(1, |value|), and the number of
        other values that differ.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    specs = {spec.name: spec for spec in serving.inputs if spec.name in known}
    given = {name: value for name, value in serving.example(batch, seed).items() if name in known}
    outputs = [spec for spec in serving.outputs if is_batched(spec)]
    names = [spec.name for spec in outputs]
    together = dict(zip(names, session.run(names, given), strict=True))
    order = np.arange(batch)
    order[1::2] = np.roll(order[1::2], 1)
    other = {name: value[order] if is_batched(specs[name]) else value for name, value in given.items()}
    other = dict(zip(names, session.run(names, other), strict=True))
    touched = 0
    for name, value in together.items():
        one, changed = value[::2], other[name][::2]
        touched += int((~((one == changed) | ((one != one) & (changed != changed)))).sum())
    apart, unequal = 0.0, 0
    for row in range(batch):
        one = {
            name: value[row : row + 1] if is_batched(specs[name]) else value for name, value in given.items()
        }
        for name, alone in zip(names, session.run(names, one), strict=True):
            # An axis that the model sizes, such as that of the steps of a search, is as long as is needed.
            part = together[name][row : row + 1]
            part = part[tuple(slice(size) for size in alone.shape)]
            if np.issubdtype(alone.dtype, np.floating):
                same = (alone == part) | (np.isnan(alone) & np.isnan(part))
                with np.errstate(invalid="ignore"):
                    far = np.where(same, 0, np.abs(alone - part) / np.maximum(1, np.abs(alone)))
                apart = max(apart, float(np.nan_to_num(far, nan=np.inf).max(initial=0)))
            else:
                unequal += int((alone != part).sum())
    return touched, apart, unequal


def is_batched(spec):
    """Whether the first axis of a tensor is that of the examples."""
    return spec.shape[:1] == ("batch",)


if __name__ == "__main__":
    sys.exit(main())
