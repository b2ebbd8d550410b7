"""The plain RNN in ten seconds: one unit that remembers, its weights by hand, learned, deployed.

    python -m studies.running_average [--alpha 0.9] [--output runs/running_average]

A plain recurrent network is ``h_t = f(W_xh x_t + W_hh h_(t-1))``, ``y_t = g(W_hy h_t)`` (Elman 1990). With
one unit, f and g linear, W_xh = W_hy = 1 and W_hh = alpha it is the decayed running sum
``y_t = x_t + alpha y_(t-1)``; times 1 - alpha, the running average. It is run with these weights, learns
alpha from examples, and becomes one ONNX file whose only recurrent operation is an ``RNN``.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

from recipes.training import command_line, setup
from recipes.training.schedule import Schedule
from zoo import files
from zoo.errors import UserError


def running_sum(x, alpha):
    """``y_t = x_t + alpha y_(t-1)`` along the last axis, in float64."""
    y = np.array(x, "float64")
    for t in range(1, y.shape[-1]):
        y[..., t] += alpha * y[..., t - 1]
    return y


def network(w_xh, w_hh, w_hy):
    """A plain RNN of one unit, f and g linear: float32 ``[batch, time, 1]`` -> the same."""
    import keras

    from zoo.layers import SimpleRNN

    x = keras.Input((None, 1), name="x")
    h = SimpleRNN(1, activation="linear", use_bias=False, name="h")(x)
    y = keras.layers.Dense(1, activation="linear", use_bias=False, name="y")(h)
    model = keras.Model(x, y, name="running_sum")
    model.set_weights([np.full((1, 1), weight, "float32") for weight in (w_xh, w_hh, w_hy)])
    return model


def weights(model):
    """(W_xh, W_hh, W_hy) as floats."""
    return tuple(weight.item() for weight in model.get_weights())


def learn(model, alpha, steps=300, seed=0):
    """Learn all three weights from noise and its running sum, 50 steps long, with Adam.

    Returns:
        W_hh before the first, and after every tenth step: list of float.
    """
    import keras

    every, batch = 10, 16
    x = np.random.default_rng(seed).uniform(-1, 1, (steps * batch, 50)).astype("float32")
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)  # to zero: the last steps settle
    # A sum of fifty numbers can explode while alpha is beyond 1, so the gradient's norm is clipped.
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    model.compile(optimizer, "mse", steps_per_execution=every, jit_compile=False)
    course = [weights(model)[1]]
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: course.append(weights(model)[1])
    )
    y = running_sum(x, alpha).astype("float32")
    model.fit(x[..., None], y[..., None], batch_size=batch, shuffle=False, verbose=0, callbacks=[watch])
    return course


def in_blocks(run, x, alpha, block=1000):
    """The running sum of one long signal by a batch of its blocks.

    Each begins as far before its first sample as alpha remembers in float32, so that it needs no state.

    Args:
        run: float32 ``[batch, time, 1]`` -> the same.
        x: float32 ``[time]``.
        alpha: float.
        block: samples of a block.
    """
    before = math.ceil(math.log(2.0**-26) / math.log(alpha))
    padded = np.pad(x, (before, -len(x) % block))
    rows = np.lib.stride_tricks.sliding_window_view(padded, before + block)[::block]
    return run(rows[..., None])[:, before:].reshape(-1)[: len(x)]


def plot(course, alpha, path):
    """W_hh over training, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.axhline(alpha, color="tab:grey", linestyle="--", label=f"alpha = {alpha}")
    axes.plot(10 * np.arange(len(course)), course, color="tab:blue", label="W_hh")
    axes.set(xlabel="step", ylabel="recurrent weight", title=f"learned: {course[-1]:.5f}")
    axes.legend()
    with files.atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def seconds(function, times=3):
    """The shortest of a few runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        function()
        found.append(time.perf_counter() - begun)
    return min(found)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--alpha", type=float, default=0.9, help="0.1 to 0.99, default 0.9")
    parser.add_argument("--output", default="runs/running_average", metavar="FOLDER")
    options = parser.parse_args(arguments)
    alpha, output = options.alpha, Path(options.output)
    if not 0.1 <= alpha <= 0.99:
        raise UserError(f"--alpha {alpha} is not from 0.1 to 0.99; give one that is.")
    setup.set_up(Schedule())

    import onnxruntime

    from export import to_onnx

    print("A plain RNN:  h_t = f(W_xh x_t + W_hh h_(t-1)),  y_t = g(W_hy h_t)")
    print(f"A decaying sum:  y_t = x_t + {alpha} y_(t-1)  is one with f and g linear and one unit.\n")

    x = np.random.default_rng(1).uniform(-1, 1, 10_000).astype("float32")
    y = network(1.0, alpha, 1.0).predict_on_batch(x[None, :, None])[0, :, 0]
    wanted = running_sum(x, alpha)
    error = np.abs(y - wanted).max() / np.abs(wanted).max()
    print(f"1. W_xh = 1, W_hh = {alpha}, W_hy = 1, by hand")
    print(f"   10,000 steps in float32: {error:.0e} of the largest value away from the sum in float64\n")

    model = network(0.5, 0.0, 0.5)
    course = learn(model, alpha)
    w_xh, w_hh, w_hy = weights(model)
    plot(course, alpha, output / "alpha.png")
    print("2. Learned from examples alone, beginning at 0.5, 0, 0.5")
    print(f"   W_xh = {w_xh:.5f}, W_hh = {w_hh:.5f}, W_hy = {w_hy:.5f};  {output / 'alpha.png'}\n")

    path = output / "running_sum.onnx"
    report = to_onnx(model, path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(rows):
        return session.run(None, {"x": rows})[0]

    print(f"3. Exported: {path}, {report['size'] / 1e3:.0f} kB, {report['nodes']['RNN']} RNN node, no loop")
    x = np.random.default_rng(2).uniform(-1, 1, 1_000_000).astype("float32")
    whole = run(x[None, :, None])[0, :, 0]
    error = np.abs(in_blocks(run, x, w_hh) - whole).max() / np.abs(whole).max()
    rates = [1 / seconds(f) for f in (lambda: run(x[None, :, None]), lambda: in_blocks(run, x, w_hh), x.copy)]
    print("   a million samples on one thread, in millions of samples a second:")
    print(f"   {rates[0]:8.1f}  step after step: onnxruntime calls a matrix product for each")
    print(f"   {rates[1]:8.1f}  in blocks of 1,000 side by side, {error:.0e} away from that")
    print(
        f"   {rates[2]:8.0f}  NumPy copying them: memory speed, {rates[2] / rates[1]:.0f} times the blocks'"
    )


if __name__ == "__main__":
    command_line.command(main)
