"""The one trainer: every recipe's loop, its run folder and its command line.

A run folder holds ``best/`` (a task folder, the epoch with the lowest error), ``last.safetensors`` (weights,
optimizer, random states and history: all that is needed to go on), ``history.csv``, ``curve.png``,
``tensorboard/`` and ``run.json`` (the settings). Every file is replaced whole, so a run that is killed
goes on from its last epoch when the same command is given again.
"""

import argparse
import ast
import csv
import dataclasses
import functools
import hashlib
import json
import re
import sys
import time
from pathlib import Path

from zoo import files
from zoo.backend import import_tensorflow
from zoo.errors import UserError, train_extra


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a run is trained.

    Attributes:
        epochs: passes over the training data; the learning rate falls to zero at the end of the last.
        batch_size: samples a step.
        learning_rate: Adam's, at its height.
        warmup: share of all steps over which the learning rate rises from zero; then it falls as a cosine.
        clip_norm: the global norm that gradients are scaled down to.
        patience: epochs without a lower validation error after which the run stops.
        seed: of initial weights, data order, augmentation and dropout.
        augment: vary the training samples.
        precision: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``; ``auto`` is float32 on a CPU and
            what the GPU is made for on a GPU. A CPU that multiplies matrices of bfloat16 (``amx_bf16`` is
            among its flags in /proc/cpuinfo) gains by it, too: on one core speech trained 1.4 times, the
            captioner's first stage 1.3 times as fast. Speech is padded for its sake; elsewhere a loss may
            become NaN, as such a CPU sums wrongly what is no multiple of 32
            (github.com/uxlfoundation/oneDNN/issues/5717).
        threads: CPU threads inside one operation; with 1 the two directions of a bidirectional layer run
            side by side, which on few cores is faster by a quarter. 0 leaves it to the backend.
        cache: ``memory``, ``none``, or a file: where decoded samples are kept between epochs.
        influence: log to TensorBoard how far back the last output looks (see ``zoo.diagnostics.influence``).
    """

    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup: float = 0.03
    clip_norm: float = 1.0
    patience: int = 10
    seed: int = 0
    augment: bool = True
    precision: str = "auto"
    threads: int = 1
    cache: str = "memory"
    influence: bool = False


# === Training ===


def train(task, data, validation, output, schedule, settings):
    """Train a task, or go on with a run.

    Args:
        task: a ``Task``, fresh or from a preset. It is trained in place and ends with the best weights.
        data: a ``zoo.data.pipeline.Pipeline`` of training samples.
        validation: called without arguments after each epoch, gives a dict with the field's metric first
            (lower is better) and ``examples``, a list of (expected, read).
        output: the run folder.
        schedule: a ``Schedule``.
        settings: JSON-able dict of all that defines the run; a run folder with other settings is refused.

    Returns:
        The history, a list of dicts, one an epoch.
    """
    import keras

    output = Path(output)
    _check_settings(output, settings)
    steps = data.steps * schedule.epochs
    warmup = max(1, int(steps * schedule.warmup))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=schedule.learning_rate, warmup_steps=warmup
    )
    optimizer = make_adam(rate, schedule.clip_norm)
    model = task.training_model()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, jit_compile="auto" if keras.backend.backend() == "jax" else False)
    state = _State(output / "last.safetensors", task, optimizer)
    history = state.restore()
    if history:
        print(f"Going on with {output} after epoch {len(history)}.")
    log = _TensorBoard(output / "tensorboard")

    metric = history[-1]["metric"] if history else None
    for epoch in range(len(history), schedule.epochs):
        best = min((row[metric], row["epoch"]) for row in history) if history else (float("inf"), 0)
        if history and len(history) - best[1] >= schedule.patience:
            print(f"No lower {metric} in {schedule.patience} epochs: stopping.")
            break
        start = time.perf_counter()
        batches = data.epoch(epoch, schedule.seed, schedule.augment)
        one_epoch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: setattr(model, "stop_training", True)
        )
        fitted = model.fit(
            batches, initial_epoch=epoch, epochs=schedule.epochs, steps_per_epoch=data.steps, shuffle=False,
            callbacks=[one_epoch, keras.callbacks.TerminateOnNaN()],
            verbose="auto" if sys.stdout.isatty() else 2,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        scores = dict(validation())
        examples = scores.pop("examples")
        metric = next(iter(scores))
        row = {
            "epoch": epoch + 1,
            "loss": float(fitted.history["loss"][0]),
            **scores,
            "learning_rate": float(rate(optimizer.iterations)),
            "seconds": round(seconds, 1),
            "samples_per_second": round(data.count / seconds, 1),
            "metric": metric,
        }
        if not row["loss"] < float("inf"):
            raise UserError(
                f"{output}: the loss became {row['loss']} in epoch {epoch + 1}; "
                "start again in another folder with a lower --training.learning-rate."
            )
        history.append(row)
        if row[metric] < best[0]:
            task.save(output / "best")
        state.save(history)
        _write_history(output, history)
        log.write(row)
        if schedule.influence:
            inputs = next(iter(batches))[0]
            # Where steps have lengths of their own, there is nothing to see in the padding.
            lengths = task.logit_lengths(inputs) if hasattr(task, "logit_lengths") else None
            log.write_influence(model, inputs, lengths, epoch + 1)
        for expected, read in examples:
            print(f"  expected  {expected}\n  read      {read}")
        shown = "  ".join(f"{key} {value:.4f}" for key, value in scores.items())
        print(f"epoch {epoch + 1}/{schedule.epochs}  loss {row['loss']:.4f}  {shown}", flush=True)
    _load_best(task, output)
    return history


def make_adam(rate, clip_norm):
    """Adam that takes for 0 what is not finite in a gradient, so that no single batch ends a run.

    On CPUs with AMX it comes up now and then in bfloat16; ``DeepSpeech.collate`` avoids one of the causes.

    Args:
        rate: a learning rate or a schedule of it.
        clip_norm: the greatest norm of a gradient, over all variables.
    """
    import keras

    class Adam(keras.optimizers.Adam):
        def apply(self, grads, trainable_variables=None):
            finite = functools.partial(keras.ops.nan_to_num, posinf=0.0, neginf=0.0)
            grads = [grad if grad is None else finite(grad) for grad in grads]
            return super().apply(grads, trainable_variables)

    return Adam(rate, global_clipnorm=clip_norm)


def _load_best(task, output):
    from zoo.task import load_folder

    task.set_weights(load_folder(output / "best").weights())


class _State:
    """Everything a run needs to go on, in one file that is replaced atomically."""

    def __init__(self, path, task, optimizer):
        self._path = path
        variables = [*task.network.variables, *optimizer.variables]  # random states included
        self._variables = {f"{i:04d} {variable.path}": variable for i, variable in enumerate(variables)}

    def save(self, history):
        import numpy as np
        from safetensors.numpy import save

        arrays = {name: np.array(variable, copy=True) for name, variable in self._variables.items()}
        with files.atomic_write(self._path) as file:
            file.write(save(arrays, metadata={"history": json.dumps(history)}))

    def restore(self):
        from safetensors import safe_open

        if not self._path.is_file():
            return []
        try:
            with safe_open(self._path, framework="numpy") as stored:
                for name, variable in self._variables.items():
                    variable.assign(stored.get_tensor(name))
                return json.loads(stored.metadata()["history"])
        except Exception as error:  # safetensors' own error type, a missing name, a wrong shape
            raise UserError(
                f"{self._path} does not belong to this run ({error}); remove it or choose another --output."
            ) from error


def _check_settings(output, settings):
    settings = json.loads(json.dumps(settings))
    path = output / "run.json"
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        for name in sorted(stored.keys() | settings.keys()):
            if stored.get(name) != settings.get(name):
                raise UserError(
                    f"{output} is a run with {name} = {stored.get(name)!r}, not {settings.get(name)!r}; "
                    "give the same settings to go on with it, or another --output."
                )
        return
    # A run of several stages has those before the last as runs inside it.
    if output.is_dir() and not all((item / "run.json").is_file() for item in output.iterdir()):
        raise UserError(f"{output} has other things in it; choose a new folder for --output.")
    with files.atomic_write(path, text=True) as file:
        json.dump(settings, file, ensure_ascii=False, indent=1)


def _write_history(output, history):
    with files.atomic_write(output / "history.csv", text=True) as file:
        table = csv.DictWriter(
            file, [name for name in history[-1] if name != "metric"], extrasaction="ignore"
        )
        table.writeheader()
        table.writerows(history)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history], color="tab:grey", label="training loss")
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right = left.twinx()
    metric = history[-1]["metric"]
    values = [row[metric] for row in history]
    right.plot(epochs, values, color="tab:blue", marker=".", label=f"validation {metric}")
    right.set(ylabel=f"validation {metric}", yscale="log" if min(values) > 0 else "linear")
    right.set_title(
        f"lowest validation {metric}: {min(values):.4g} (epoch {epochs[values.index(min(values))]})"
    )
    with files.atomic_write(output / "curve.png") as file:
        figure.savefig(file, format="png", dpi=100)


class _TensorBoard:
    def __init__(self, folder):
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, row):
        with self._writer.as_default(step=row["epoch"]):
            for name, value in row.items():
                if name not in ("epoch", "metric"):
                    self._summary.scalar(name, value)
        self._writer.flush()

    def write_influence(self, model, inputs, lengths, epoch):
        """The curve of influence over lag on a batch; lengths as ``zoo.diagnostics.influence`` has them."""
        import io

        import numpy as np
        from matplotlib.figure import Figure
        from PIL import Image

        from zoo.diagnostics import influence, over_lag

        figure = Figure(figsize=(6, 4), dpi=100, layout="constrained")
        axes = figure.subplots()
        lengths = None if lengths is None else np.maximum(lengths, 1)
        axes.plot(over_lag(influence(model, inputs, lengths), lengths))
        axes.set(xlabel="lag: steps before the last", ylabel="influence", yscale="log")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        with self._writer.as_default(step=epoch):
            self._summary.image("influence", np.asarray(Image.open(drawn))[None, :, :, :3])
        self._writer.flush()


# === Set-up ===


def split(corpus, options, load, unit, group):
    """Samples to learn from and samples to validate on: no group in both.

    Args:
        corpus: what there is.
        options: ``data``, ``validation`` and ``hold_out``, as given.
        load: the function that loads corpora.
        unit: what a corpus consists of, in the plural: "lines".
        group: the name of a sample -> what it must not share with samples held out (a book, a speaker).
    """
    if options.validation:
        return corpus, load(options.validation, progress=True)
    if options.hold_out:
        try:
            pattern = re.compile(options.hold_out)
        except re.error as error:
            raise UserError(f"--hold-out {options.hold_out!r} is no regular expression ({error}).") from error
        held = {name for name in corpus.names if pattern.search(name)}
    else:
        held = _hold_out(corpus.names, group)
    learn, check = corpus.select(lambda name: name not in held), corpus.select(lambda name: name in held)
    if not len(learn) or not len(check):
        raise UserError(
            f"{', '.join(options.data)}: {len(corpus)} {unit} cannot be split into {unit} to learn and to "
            "validate; give more, or corpora with --validation."
        )
    return learn, check


def _hold_out(names, group, share=0.1):
    """Whole groups, in an order given by their names alone, up to about ``share`` of the samples."""
    groups = {}
    for name in names:
        groups.setdefault(group(name), []).append(name)
    if len(groups) == 1:  # nothing to be told from another: single samples
        groups = {name: [name] for name in names}
    held = set()
    for one in sorted(groups, key=lambda one: hashlib.sha256(one.encode()).digest()):
        if len(held) + len(groups[one]) > max(1, share * len(names)) and held:
            continue
        held.update(groups[one])
        if len(held) >= share * len(names):
            break
    return held


def load_preset(options, cls):
    """The task that ``--preset`` names, its configuration as the ``--model`` options say.

    Raises:
        UserError: it cannot be loaded, is of another class, or its weights do not fit what is asked for.
    """
    from zoo.task import load

    task = load(options.preset)
    if not isinstance(task, cls):
        raise UserError(f"{options.preset} is a model for {task.name}; give one for {cls.name}.")
    config = read_fields(options, "model", task.Config, task.config)
    if config == task.config:
        return task
    new = type(task)(config, task.vocabulary, assets=task.assets)
    new.set_weights(task.weights())
    return new


def with_tokens(task, missing, kind, options):
    """The preset, with tokens that it lacks if ``--extend`` asks for them; otherwise it is said.

    Args:
        missing: a sequence of str.
        kind: what they are, such as "words of the captions".
    """
    if missing and options.extend:
        return task.with_vocabulary(task.vocabulary.extended(missing))
    if missing:
        print(
            f"{len(missing)} {kind} ({' '.join(map(repr, list(missing)[:10]))}) are not among those of "
            f"{options.preset}, which learns that there is an unknown one; add --extend to learn them, too."
        )
    return task


def pipeline(task, corpus, schedule, **options):
    """The ``zoo.data.pipeline.Pipeline`` of the samples to learn from."""
    from zoo.data.pipeline import Pipeline

    cache = {"memory": None, "none": False}.get(schedule.cache, schedule.cache)
    return Pipeline(
        task, corpus.dataset(repeat=True), corpus.shown(), task.corpus_lengths(corpus), schedule.batch_size,
        cache=cache, **options,
    )  # fmt: skip


def settings(task, schedule, options):
    """All that defines a run: what was given, and what it made of the task."""
    given = {key: value for key, value in vars(options).items() if "." not in key and key != "output"}
    about = {"training": dataclasses.asdict(schedule), "model": dataclasses.asdict(task.config)}
    del about["training"]["influence"]  # what is looked at is no part of what is trained
    return {"recipe": task.name, **given, **about}


def set_up(schedule):
    """Seeds, threads and precision; call it before anything else touches the backend."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(schedule.seed)
    gpu = _gpu()
    if schedule.threads and not gpu:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(schedule.threads)
        except RuntimeError:
            pass  # TensorFlow is running already; only speed is at stake
    precision = schedule.precision
    if precision == "auto":
        precision = gpu or "float32"
    keras.config.set_dtype_policy(precision)


def _gpu():
    """The precision that the first GPU is made for, or None where there is no GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return "mixed_bfloat16" if jax.default_backend() == "gpu" else None
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return None
    capability = tf.config.experimental.get_device_details(found[0]).get("compute_capability", (0, 0))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


# === Command line ===


def add_hold_out(parser, unit):
    """Option ``--hold-out``, for ``split``."""
    parser.add_argument(
        "--hold-out", metavar="REGEX", help=f"validate on the {unit} whose CORPUS/NAME it matches"
    )


def share(text):
    """A share between 0 and 1 as an option, for argparse."""
    try:
        if 0 < float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")


def add_fields(parser, group, cls):
    """Options ``--group.field-name`` for every field of a config dataclass."""
    for field in dataclasses.fields(cls):
        default = field.default
        parser.add_argument(
            f"--{group}.{field.name.replace('_', '-')}", dest=f"{group}.{field.name}", metavar="VALUE",
            help=f"default: {default}",
        )  # fmt: skip


def read_fields(arguments, group, cls, base=None):
    """A config dataclass from the options of ``add_fields``; what was not given is as in ``base``."""
    values = {} if base is None else dataclasses.asdict(base)
    for field in dataclasses.fields(cls):
        given = getattr(arguments, f"{group}.{field.name}")
        if given is not None:
            values[field.name] = _parse(f"--{group}.{field.name.replace('_', '-')}", given, field.default)
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f"--{group}: {error}") from error


def _parse(option, text, default):
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{option} {text!r} is not of the kind of its default {default!r}.") from error
    if isinstance(default, tuple):
        value = _tuples(value if isinstance(value, list | tuple) else (value,))
    elif isinstance(default, float) and isinstance(value, int):
        value = float(value)
    if type(value) is not type(default):
        raise UserError(f"{option} {text!r} is not of the kind of its default {default!r}.")
    return value


def _tuples(value):
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def command(main):
    """Run a recipe's ``main(arguments)``; a UserError ends with its sentence and exit status 2."""
    try:
        with train_extra():
            import_tensorflow()
            main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped. Give the same command again to go on.", file=sys.stderr)
        sys.exit(130)


def parser(description, schedule=Schedule):
    """A parser with ``train`` and ``finetune`` and the options that every recipe has.

    Args:
        description: the recipe's; its first line is shown.
        schedule: ``Schedule``, or a class derived from it with other defaults.

    Returns:
        ``(parser, train, finetune)``.
    """
    top = argparse.ArgumentParser(description=description.splitlines()[0], allow_abbrev=False)
    actions = top.add_subparsers(dest="action", required=True)
    train_parser = actions.add_parser("train", help="train from nothing", allow_abbrev=False)
    finetune_parser = actions.add_parser("finetune", help="go on from a preset", allow_abbrev=False)
    finetune_parser.add_argument("--preset", required=True, help="preset name, task folder or run folder")
    for one in (train_parser, finetune_parser):
        one.add_argument("--data", nargs="+", required=True, metavar="CORPUS")
        one.add_argument("--validation", nargs="+", metavar="CORPUS", help="corpora to validate on")
        one.add_argument(
            "--output", required=True, metavar="RUN", help="run folder; an interrupted run goes on"
        )
        add_fields(one, "training", schedule)
    return top, train_parser, finetune_parser
