"""What a recurrent layer remembers: a study of nine layers, in minutes on one thread.

    python -m studies.memory [--output runs/memory] [--kinds simple,lstm] [--delays 10,100] [--steps 500]

Two tasks that need memory and little else are learned at growing delays by a layer of 32 units: the adding
problem (Hochreiter & Schmidhuber 1997, section 5.4) and copy memory (Arjovsky, Shah, Bengio 2016, section
4.1, with fewer symbols). Measured are the influence of each step on the last output, before and after
training, with and without clipping the gradient's norm; how many steps of training a delay takes; and the
longest delay. The page ``memory.md`` and its plots are written to the output folder.
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

UNITS, BATCH, RATE, CLIP = 32, 32, 1e-2, 1.0
DELAYS = (10, 30, 100, 300, 1000)
LETTERS, COPIED = 4, 3
WINDOW = 20  # steps of training over which a loss is averaged: of samples never seen before
LAGS = 300


# === Tasks ===


def adding(delay, count, random):
    """Numbers of which two are marked, one near the beginning, one before the middle: what is their sum?

    Returns:
        (x, y): float32 ``[count, delay, 2]`` (number from 0 to 1, mark) and ``[count, 1]``.
    """
    x = np.zeros((count, delay, 2), "float32")
    x[:, :, 0] = random.random((count, delay))
    first = random.integers(0, max(1, delay // 10), count)
    second = random.integers(max(1, delay // 10), max(2, delay // 2), count)
    rows = np.arange(count)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, np.sum(x[:, :, 0] * x[:, :, 1], 1, keepdims=True)


def copying(delay, count, random):
    """Letters, so many blanks, and then as many signs that ask for the letters again.

    Returns:
        (x, y): float32 ``[count, COPIED + delay + COPIED, LETTERS + 2]``, one of letter, blank and sign in
        each step, and int32 ``[count, COPIED]``.
    """
    y = random.integers(0, LETTERS, (count, COPIED)).astype("int32")
    symbols = np.full((count, 2 * COPIED + delay), LETTERS)
    symbols[:, :COPIED], symbols[:, COPIED + delay :] = y, LETTERS + 1
    return np.eye(LETTERS + 2, dtype="float32")[symbols], y


# Name -> samples, features of x, values of an answer, answers, and the loss from which on it is solved.
TASKS = {
    "adding": (adding, 2, 1, 1, 0.01),  # mean squared error; 0.167 if the mean is said every time
    "copy": (copying, LETTERS + 2, LETTERS, COPIED, 0.05),  # nats a letter; 1.386 by chance
}


def network(task, kind, **settings):
    """``[batch, time, features]`` -> the task's answers, read off the last outputs of one recurrent layer."""
    import keras

    from zoo.layers import make_recurrent

    _, features, values, answers, _ = TASKS[task]
    x = keras.Input((None, features))
    h = make_recurrent(kind, UNITS, name="recurrent", **settings)(x)
    return keras.Model(x, keras.layers.Dense(values, name="answer")(h[:, -answers:]))


def train(model, task, delay, steps, clip=CLIP, seed=0):
    """Train until the task is solved, the loss is no number, or there were so many steps.

    Returns:
        (steps taken, whether it is solved).
    """
    import keras

    samples, _, values, answers, solved = TASKS[task]
    loss = "mse"
    if values > 1:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Steps of few units are short: a compiler saves three quarters of their time.
    model.compile(keras.optimizers.Adam(RATE, global_clipnorm=clip), loss, jit_compile=True)
    random, losses = np.random.default_rng(seed), []
    for step in range(1, steps + 1):
        x, y = samples(delay, BATCH, random)
        model.reset_metrics()  # what Keras gives is the mean since then
        losses.append(float(model.train_on_batch(x, y.reshape(BATCH, answers, 1))))
        if not math.isfinite(losses[-1]):
            return step, False
        if step >= WINDOW and np.mean(losses[-WINDOW:]) < solved:
            return step, True
    return steps, False


# === Measurements ===


def curve(model):
    """Influence over lag on samples of the adding problem, a list of floats."""
    from zoo.diagnostics import influence, over_lag

    x, _ = adding(LAGS, 16, np.random.default_rng(1))
    return over_lag(influence(model, x)).tolist()


def study(kinds, delays, steps, seed=0):
    """Everything that the page tells.

    Each delay begins with what was learned at the one before, and the first that is not solved ends a row.

    Args:
        kinds: names of layers.
        delays: increasing ints.
        steps: of training, at most, for one delay.
        seed: of weights and samples.

    Returns:
        dict: ``solved``, task -> kind -> list of (delay, steps, whether solved); ``unclipped``, kind ->
        (steps, whether solved) of the adding problem at the first delay; ``influence``, panel -> name -> list
        by lag; ``gates``, name -> list over time, of units but for the ``marks`` of the input.
    """
    import keras

    from zoo.diagnostics import lstm_gates

    panels = {name: {} for name in PANELS}
    found = {"solved": {task: {} for task in TASKS}, "unclipped": {}, "influence": panels, "gates": {}}

    def fresh(task, kind, **settings):
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        return network(task, kind, **settings)

    for radius in (0.95, 1.0, 1.05):
        start = keras.initializers.Identity(radius)
        model = fresh("adding", "linear", recurrent_initializer=start)
        panels["linear"][f"U = {radius:g}"] = curve(model)
    for kind in kinds:
        panels["before"][kind] = curve(fresh("adding", kind))
        for task, rows in found["solved"].items():
            model, rows[kind] = fresh(task, kind), []
            for delay in delays:
                rows[kind].append((delay, *train(model, task, delay, steps, seed=seed)))
                _, taken, solved = rows[kind][-1]
                print(f"{kind:10} {task:7} delay {delay:4}: {result(taken, solved)}", flush=True)
                if task == "adding" and delay == delays[0]:
                    panels["clipped"][kind] = curve(model)
                    if kind == "lstm":
                        x, _ = adding(delay, 1, np.random.default_rng(2))
                        gates = lstm_gates(model.get_layer("recurrent"), x)
                        found["gates"] = {name: value[0].tolist() for name, value in gates.items()}
                        found["gates"]["marks"] = x[0, :, 1].tolist()
                if not rows[kind][-1][2]:
                    break
        model = fresh("adding", kind)
        found["unclipped"][kind] = train(model, "adding", delays[0], steps, clip=None, seed=seed)
        panels["unclipped"][kind] = curve(model)
    return found


def result(taken, solved):
    """What became of a training, in words."""
    return f"{taken} steps" if solved else f"not in {taken} steps"


# === The page ===

PANELS = {
    "linear": "linear, at three recurrent weights",
    "before": "before training",
    "clipped": "after training, norm clipped",
    "unclipped": "after training, norm not clipped",
}


def plot_influence(panels, path):
    """Influence over lag, a panel each; what is beyond float32 is not drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 6.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for axis, (name, title) in zip(axes.flat, PANELS.items(), strict=True):
        for i, (label, values) in enumerate(panels[name].items()):
            values = np.array(values)
            values[~(values > 1e-12)] = np.nan
            style = "-" if i < 5 else "--"
            axis.plot(values, style, color=f"C{i}", label=label, linewidth=1.3)
        axis.set(title=title, yscale="log", ylim=(1e-12, 1e8))
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].legend(fontsize=8, ncols=3)
    for axis in axes[1]:
        axis.set_xlabel("lag: steps before the last")
    for axis in axes[:, 0]:
        axis.set_ylabel("influence: norm of the gradient")
    _save(figure, path)


def plot_gates(gates, path):
    """The gates of one LSTM over the steps of one sample, dark where they are open."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 3, 3, 3))
    axes[0].bar(range(len(gates["marks"])), gates["marks"], color="tab:red")
    axes[0].set(ylabel="mark", yticks=[])
    for axis, name in zip(axes[1:], ("input", "forget", "output"), strict=True):
        image = axis.imshow(
            np.transpose(gates[name]), aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest"
        )
        axis.set(ylabel=f"{name} gate\nunit", yticks=[])
    axes[-1].set_xlabel("step")
    figure.colorbar(image, ax=axes[1:], label="0 closed, 1 open")
    _save(figure, path)


def _save(figure, path):
    with files.atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=65)


def page(found, delays, steps, command):
    """The study as Markdown."""

    def cell(rows, delay):
        for at, taken, solved in rows:
            if at == delay:
                return str(taken) if solved else "no"
        return ""

    def table(task):
        head = ["layer", *map(str, delays)]
        lines = [head, ["---"] * len(head)]
        rows = found["solved"][task]
        lines += [[f"`{kind}`", *(cell(rows[kind], delay) for delay in delays)] for kind in rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def clipping():
        lines = ["| layer | clipped | not clipped |", "|---|---|---|"]
        for kind, without in found["unclipped"].items():
            clipped = found["solved"]["adding"][kind][0][1:]
            lines.append(f"| `{kind}` | {result(*clipped)} | {result(*without)} |")
        return "\n".join(lines)

    def reach():
        lines = ["| layer | influence at lag 1 | 10 | 100 | last |", "|---|---|---|---|---|"]
        for kind, values in found["influence"]["before"].items():
            shown = [values[lag] for lag in (1, 10, min(100, len(values) - 1), len(values) - 1)]
            lines.append(f"| `{kind}` | " + " | ".join(f"{value:.0e}" for value in shown) + " |")
        return "\n".join(lines)

    gates = "No LSTM was among the layers."
    if found["gates"]:
        gates = GATES.format(first=delays[0])
    return PAGE.format(
        command=command, units=UNITS, batch=BATCH, rate=RATE, clip=CLIP, window=WINDOW, steps=steps,
        first=delays[0], letters=LETTERS, copied=COPIED, last=len(found["influence"]["linear"]["U = 1"]) - 1,
        reach=reach(), adding=table("adding"), copy=table("copy"), clipping=clipping(), gates=gates,
    )  # fmt: skip


PAGE = """# What a recurrent layer remembers

Made by `{command}`, tables and plots and all. Another machine rounds otherwise and gives somewhat
other numbers of steps; one seed is no statistics.

A recurrent layer carries a state from step to step. What step t - k gave to it reaches the output
at step t through k applications of the same weights and activations. So the *influence* of that
step, the norm of the gradient of the last output with respect to it, goes with the k-th power of
what one application does to the state: it decays where that is below 1 and explodes where it is
above, exponentially either way (Hochreiter 1991; Bengio, Simard, Frasconi 1994). Learning follows
the same gradient: what has no influence is not learned.

![Influence over lag in four panels](memory_influence.png)

The first panel shows this bare, in a layer without activation whose recurrent weights are the
identity times 0.95, 1 and 1.05; the others are of the layers below, on samples of the adding
problem. Curves end where they fall below 1e-12. `zoo.diagnostics.influence(model, batch)` measures
them in any recurrent Keras model, and every recipe logs them to TensorBoard with
`--training.influence True`.

## The layers

All are in `zoo/layers/`, by these names in `make_recurrent(kind, units)`; h is the state before.

| layer | the next state | what keeps the influence |
|---|---|---|
| `simple` | tanh(Wx + b + Uh) | nothing: U begins orthogonal, tanh shrinks what it bends |
| `identity` | relu(Wx + b + h) | 1 for ever, for units above 0 |
| `irnn` | relu(Wx + b + Uh) | U begins as 1 and is trained (Le, Jaitly, Hinton 2015) |
| `linear` | tanh(Wx + b) + Uh | no activation on the way; U begins as 1 and is trained |
| `carrousel` | tanh(Wx + b) + h | 1 for ever: LSTM's constant error carrousel without its gates |
| `skip` | tanh(Wx + b + sum of U_d h(t-d)) | delays of 1, 8 and 64: fewer applications on the way |
| `removed` | as `skip` | half of the units without the delay of 1, which forgets soonest |
| `gru` | a gate chooses between h and a candidate | a gate that says h |
| `lstm` | c' = f c + i tanh(...), h' = o tanh(c') | a forget gate f near 1; it begins near 0.73 |

Influence before training:

{reach}

The last lag is {last}. This is where learning begins, not what it comes to. Gates learn when to keep and
when to take; a layer that keeps everything and cannot choose has influence and little use of it. Read
the tables below beside the plots.

## How long they remember

Steps of training until a delay was solved, {steps} at most; "no" is the first that was not, and none
longer was tried. Each delay begins with what was learned at the one before. All layers have {units}
units and the same training: batches of {batch} new samples, Adam at {rate:g}, the gradient's norm
clipped to {clip:g}. A layer that fails here may succeed with a rate of its own.

**The adding problem** (Hochreiter & Schmidhuber 1997): of as many random numbers as the delay says,
two are marked, one in the first tenth and one later in the first half; their sum is asked at the
end. That takes memory for a real number, and a way to leave out what has no mark. Solved is a mean
squared error below 0.01 over {window} batches; always saying the mean gives 0.167.

{adding}

**Copy memory**: {copied} of {letters} letters, as many blanks as the delay says, then signs that ask for the
letters. That takes memory for symbols in their order, and a way to count where the signs are. Solved
is a cross-entropy below 0.05 nats a letter; chance is 1.386.

{copy}

## Clipping

A step along a gradient that explodes throws the weights far away; scaling its norm down keeps the
direction (Pascanu, Mikolov, Bengio 2013). It helps nothing against decay, and Adam, which divides a
gradient by its usual size, limits the harm by itself. The adding problem at a delay of {first}:

{clipping}

## Gates

{gates}
"""


GATES = """An LSTM after the adding problem at a delay of {first}, over one sample: each line is a unit, dark
is open. The marks are the red bars. A forget gate that stays dark is a unit that keeps what it has.

![Gates of an LSTM over time](memory_gates.png)"""


def main(arguments):
    from zoo.layers import KINDS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", default="runs/memory", metavar="FOLDER")
    parser.add_argument("--kinds", default=",".join(KINDS), help="layers, with commas; default: all")
    parser.add_argument("--delays", default=",".join(map(str, DELAYS)), help="default: 10,30,100,300,1000")
    parser.add_argument("--steps", type=int, default=500, help="of training for one delay, default 500")
    options = parser.parse_args(arguments)
    kinds, output = options.kinds.split(","), Path(options.output)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UserError(f"--kinds {unknown[0]!r} is none of {', '.join(KINDS)}; give some of them.")
    try:
        delays = sorted({int(delay) for delay in options.delays.split(",")})
    except ValueError as error:
        raise UserError(f"--delays {options.delays!r} are no numbers; give some as in 10,100.") from error
    if delays[0] < 4 or options.steps < 1:
        raise UserError(
            f"--delays {delays[0]} or --steps {options.steps} is too small; give 4 and 1 at least."
        )
    setup.set_up(Schedule())

    begun = time.perf_counter()
    found = study(kinds, delays, options.steps)
    plot_influence(found["influence"], output / "memory_influence.png")
    if found["gates"]:
        plot_gates(found["gates"], output / "memory_gates.png")
    command = " ".join(["python -m studies.memory", *arguments])
    with files.atomic_write(output / "memory.md", text=True) as file:
        file.write(page(found, delays, options.steps, command))
    print(f"{output / 'memory.md'}: {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    command_line.command(main)
