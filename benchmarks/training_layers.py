"""A training step of recurrent layers on a CPU: this package's and Keras's, both also compiled by XLA.

    python benchmarks/training_layers.py [--rounds N] [--quick]

A step is a layer's outputs and the gradients of its weights and inputs, a batch of 16 sequences with 128
features and units, in float32, with one thread inside an operation, as recipes train. "Both" directions are
those of `zoo.layers.Bidirectional`, around any layer. Numbers are medians of the process's CPU time, of steps
taken in turns; × is how many times that of the first column. XLA compiles anew for every shape: "compile" is
what a first step takes longer than a later one.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH, UNITS = 16, 128
KINDS = ("LSTM", "GRU", "SimpleRNN")
CONTENDERS = ("here", "Keras", "Keras, XLA", "here, XLA")
HEADER = """\
| layer | directions | steps | here | Keras | | Keras, XLA | | here, XLA | | compile |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="steps of each; default: 50")
    parser.add_argument("--quick", action="store_true", help="one tiny layer, to see that all works")
    options = parser.parse_args(arguments)

    from zoo.backend import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    kinds, units, lengths = (KINDS[-1:], 8, (5,)) if options.quick else (KINDS, UNITS, (100, 200))
    print(HEADER)
    for kind in kinds:
        for both in (False, True):
            for steps in lengths:
                found = measure(kind, both, steps, units, options.rounds)
                print(line(kind, both, steps, found), flush=True)


def measure(kind, both, steps, units, rounds):
    """``{contender: (median milliseconds of a step, seconds of the first step)}``."""
    made = {name: step_of(kind, both, steps, units, name) for name in CONTENDERS}
    first = {name: seconds(step) for name, step in made.items()}
    times = [{name: seconds(step) for name, step in made.items()} for _ in range(rounds)]
    return {name: (1e3 * statistics.median(row[name] for row in times), first[name]) for name in made}


def seconds(step):
    start = time.process_time()
    step()
    return time.process_time() - start


def step_of(kind, both, steps, units, contender):
    """A function without arguments that computes one step's gradients."""
    import keras
    import tensorflow as tf

    from zoo import layers

    if contender.startswith("here"):
        layer = getattr(layers, kind)(units)
    else:
        layer = getattr(keras.layers, kind)(units, return_sequences=True)
    if both:
        layer = layers.Bidirectional(layer)
    x = tf.random.stateless_normal((BATCH, steps, units), (0, 0))
    lengths = [tf.fill((BATCH,), steps)] if both else []
    layer.build(x.shape)

    @tf.function(jit_compile="XLA" in contender, autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x, *lengths, training=True)))
        return tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])

    return lambda: [one.numpy() for one in gradients(x)]


def line(kind, both, steps, found):
    """A row of the table."""
    here = found["here"][0]
    cells = [kind, "both" if both else "one", str(steps), f"{here:.1f} ms"]
    for name in CONTENDERS[1:]:
        cells += [f"{found[name][0]:.1f} ms", f"{found[name][0] / here:.2f}×"]
    milliseconds, first = found["here, XLA"]
    return f"| {' | '.join([*cells, f'{first - milliseconds / 1e3:.1f} s'])} |"


if __name__ == "__main__":
    main()
