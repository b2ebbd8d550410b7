"""The loop of every recipe, and its run folder.

A run folder holds ``best/`` (a task folder, the epoch with the lowest error), ``last.safetensors`` (weights,
optimizer, random states and history: all that is needed to go on), ``history.csv``, ``curve.png``,
``tensorboard/`` and ``run.json`` (the settings). Every file is replaced whole, so a run that is killed
goes on from its last epoch when the same command is given again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.training import in_python, report
from zoo import files
from zoo.errors import UserError

if TYPE_CHECKING:
    import keras

    from recipes.training.schedule import Schedule
    from zoo.contract.task import Task


def train(
    task: Task, data: Any, validation: Callable[[], dict], output: str | os.PathLike, schedule: Schedule,
    settings: dict[str, Any], check_loss: Callable | None = None,
    card: Callable[[list[dict]], dict] | None = None,
) -> list[dict]:  # fmt: skip
    """Train a task, or go on with a run.

    Args:
        task: a ``Task``, fresh or from a preset. It is trained in place and ends with the best weights.
        data: a ``zoo.data.pipeline.Pipeline`` of training samples.
        validation: called without arguments after each epoch, gives a dict with the field's metric first
            (lower is better) and ``examples``, a list of (expected, read).
        output: the run folder.
        schedule: a ``Schedule``.
        settings: JSON-able dict of all that defines the run; a run folder with other settings is refused.
            With a ``preset`` among them, what the task is before training counts as epoch 0, so that a run
            never ends with a worse model than it began with.
        check_loss: from the ``keras.Model`` that is trained to its loss on validation samples, see
            ``recipes.training.setup.check_loss``; or None, and there is none.
        card: from the rows of the history, the best one last, to the card of the task that is kept, see
            ``recipes.training.card.of_run``; or None, and it has none.

    Keras's callbacks (``recipes.training.in_python``) see one training, whose epochs have the row of the
    history as their logs; it ends where one of them sets ``stop_training``.

    Returns:
        The history, a list of dicts, one an epoch. Epoch 0 has the metrics alone. ``left_out`` counts samples
        without a finite loss, from which nothing is learned: the pipeline leaves out those that augmentation
        made too short for their text, ``zoo.layers.training.TrainingModel`` others. ``unstable_steps`` counts
        steps whose gradient was not finite.

    Raises:
        UserError: the folder is not this run's, or an epoch had no finite loss at all.
    """
    import keras

    output = Path(output)
    check_settings(output, settings)
    steps = data.steps * schedule.epochs
    warmup = max(1, int(steps * schedule.warmup))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=schedule.learning_rate, warmup_steps=warmup
    )
    adam = make_adam(rate, schedule.clip_norm, schedule.ema)
    model = task.training_model()
    model.compile(adam, jit_compile="auto" if keras.backend.backend() == "jax" else False)
    model.optimizer.build(model.trainable_variables)  # in float16, what scales the loss is around Adam
    state = _State(output / "last.safetensors", task, model.optimizer, aside=(adam.unstable, adam.factor))
    history = state.restore()
    if history:
        print(f"Going on with {output} after epoch {history[-1]['epoch']}.")
    log = report.TensorBoard(output / "tensorboard")
    task.uncalibrate()  # the map of a preset is not that of other weights; recipes fit one at the end

    def keep(row):
        task.card = card([*history, row]) if card else {}
        task.save(output / "best")

    if not history and not schedule.epochs:
        raise UserError(f"{output}: there is nothing to train in 0 epochs; give one or more.")
    if not history and settings.get("preset"):
        scores = dict(validation())
        scores.pop("examples")
        row = {"epoch": 0, **scores, "metric": next(iter(scores))}
        keep(row)
        history.append(row)
        state.save(history)
        log.write(history[0])
        print(f"before training: {report.scores_line(scores)}", flush=True)

    metric = history[-1]["metric"] if history else None
    callbacks = keras.callbacks.CallbackList(
        in_python.callbacks(), model=model, epochs=schedule.epochs, steps=data.steps, verbose=0
    )
    callbacks.on_train_begin()
    for epoch in range(history[-1]["epoch"] if history else 0, schedule.epochs):
        best = min((row[metric], row["epoch"]) for row in history) if history else (float("inf"), 0)
        if epoch - best[1] >= schedule.patience:
            print(f"No improvement for {schedule.patience} epochs: finished.")
            break
        start = time.perf_counter()
        batches = data.epoch(epoch, schedule.seed, schedule.augment)
        one_epoch = _one_epoch(callbacks)
        callbacks.on_epoch_begin(epoch)
        for counter in (model.seen, model.left_out, adam.unstable):
            counter.assign(0)
        taken = int(adam.iterations)
        fitted = model.fit(
            batches, initial_epoch=epoch, epochs=schedule.epochs, steps_per_epoch=data.steps, shuffle=False,
            callbacks=[one_epoch], verbose="auto" if sys.stdout.isatty() else 0,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        # In float16, a step whose gradient is not finite is not taken, but the loss scaled less from then on.
        taken = int(adam.iterations) - taken
        loss = float(fitted.history["loss"][0])
        if int(model.left_out) == int(model.seen) or not math.isfinite(loss):
            raise UserError(
                f"{output}: in epoch {epoch + 1} no sample had a finite loss: the training has diverged; "
                f"start again in another folder, with a learning rate below {schedule.learning_rate:g}."
            )
        with adam.averaged(model.trainable_variables):
            scores = dict(validation())
            metric = next(iter(scores))
            if scores[metric] < best[0]:
                keep({"epoch": epoch + 1, **scores})
            left_out = int(model.left_out)  # of what is learned
            checked = {} if check_loss is None else {"val_loss": check_loss(model)}
        examples = scores.pop("examples")
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            **checked,
            **scores,
            "left_out": left_out + len(getattr(data, "left_out", ())),
            "unstable_steps": int(adam.unstable) + data.steps - taken,
            "learning_rate": float(adam.learning_rate),
            "seconds": round(seconds, 1),
            "samples_per_second": round(data.count / seconds, 1),
            "metric": metric,
        }
        history.append(row)
        state.save(history)
        report.write_history(output, history)
        log.write(row)
        if schedule.influence:
            inputs = next(iter(batches))[0]
            # Where steps have lengths of their own, there is nothing to see in the padding.
            lengths = task.logit_lengths(inputs) if hasattr(task, "logit_lengths") else None
            log.write_influence(model, inputs, lengths, epoch + 1)
        for expected, read in examples:
            print(f"  expected  {expected}\n  read      {read}")
        whole = time.perf_counter() - start
        print(report.epoch_line(history, scores, schedule.epochs, whole), flush=True)
        model.stop_training = one_epoch.stopped
        figures = {name: value for name, value in row.items() if name not in report.NO_FIGURES}
        callbacks.on_epoch_end(epoch, figures)
        if model.stop_training:
            print("A callback has ended the training.")
            break
    callbacks.on_train_end()
    print(report.end_line(history, output))
    _load_best(task, output)
    in_python.done(history)
    return history


def _one_epoch(callbacks):
    """The callback of a ``fit`` of one epoch, which hands the batches on to other ``callbacks``.

    Its ``stopped`` tells whether one of these ended the training.
    """
    import keras

    class OneEpoch(keras.callbacks.Callback):
        stopped = False

        def on_train_batch_begin(self, batch, logs=None):
            callbacks.on_train_batch_begin(batch, logs)

        def on_train_batch_end(self, batch, logs=None):
            callbacks.on_train_batch_end(batch, logs)

        def on_epoch_end(self, epoch, logs=None):
            self.stopped, self.model.stop_training = bool(self.model.stop_training), True

    return OneEpoch()


def make_adam(rate: Any, clip_norm: float, ema: float = 0.0) -> keras.optimizers.Adam:
    """Adam that takes for 0 what is not finite in a gradient, so that no single batch ends a run.

    On CPUs with AMX it comes up now and then in bfloat16; ``DeepSpeech.collate`` avoids one of the causes.
    Its variable ``unstable`` counts the steps with such a gradient. Its ``learning_rate`` may be set,
    although there is a schedule of it: ``factor`` is what that is multiplied by.

    Args:
        rate: a learning rate or a schedule of it.
        clip_norm: the greatest norm of a gradient, over all variables.
        ema: momentum of a running mean of the variables, which are that mean within the optimizer's
            ``averaged``; 0: there is none.
    """
    import keras
    import numpy as np
    from keras import ops

    class Adam(keras.optimizers.Adam):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.unstable = self.add_variable((), "zeros", "int32", name="unstable")
            self.factor = self.add_variable((), "ones", "float32", name="factor")

        def _get_current_learning_rate(self):
            return super()._get_current_learning_rate() * self.factor

        @property
        def learning_rate(self):
            return self._get_current_learning_rate()

        @learning_rate.setter
        def learning_rate(self, value):
            """From now on the schedule is as much lower or higher; ReduceLROnPlateau sets it."""
            planned = super()._get_current_learning_rate()
            self.factor.assign(ops.where(planned > 0, value / ops.maximum(planned, 1e-12), self.factor))

        def apply(self, grads, trainable_variables=None):
            # Those of an embedding are sparse in TensorFlow.
            grads = [grad if grad is None else ops.convert_to_tensor(grad) for grad in grads]
            finite = ops.all(ops.stack([ops.all(ops.isfinite(grad)) for grad in grads if grad is not None]))
            self.unstable.assign_add(1 - ops.cast(finite, "int32"))
            zeroed = functools.partial(ops.nan_to_num, posinf=0.0, neginf=0.0)
            grads = [grad if grad is None else zeroed(grad) for grad in grads]
            return super().apply(grads, trainable_variables)

        def finalize_variable_values(self, var_list):
            """Nothing: ``fit`` would go on from the means in the next epoch."""

        @contextlib.contextmanager
        def averaged(self, variables):
            """Within it the trainable variables are their running means, where there are any."""
            weights = [np.array(variable) for variable in variables]
            super().finalize_variable_values(variables)
            try:
                yield
            finally:
                for variable, weight in zip(variables, weights, strict=True):
                    variable.assign(weight)

    return Adam(rate, global_clipnorm=clip_norm, use_ema=ema > 0, ema_momentum=ema)


def _load_best(task, output):
    from zoo.contract.task import load_folder

    best = load_folder(output / "best")
    task.set_weights(best.weights())
    task.card = best.card


class _State:
    """Everything a run needs to go on, in one file that is replaced atomically.

    Args:
        path: the file.
        task: the ``Task``.
        optimizer: the optimizer, built.
        aside: variables of the optimizer that are not needed.
    """

    def __init__(self, path, task, optimizer, aside):
        self._path = path
        # Random states are among the network's.
        aside = set(map(id, aside))
        variables = [*task.network.variables, *(one for one in optimizer.variables if id(one) not in aside)]
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
                names = {_bare(name): name for name in stored.keys()}  # noqa: SIM118
                for name, variable in self._variables.items():
                    variable.assign(stored.get_tensor(names.get(_bare(name), name)))
                return json.loads(stored.metadata()["history"])
        except Exception as error:  # safetensors' own error type, a missing name, a wrong shape
            raise UserError(
                f"{self._path} does not belong to this run ({error}); remove it or choose another --output."
            ) from error


def _bare(name):
    """A variable's name without the numbers that Keras gives to what it makes several of in one process."""
    return re.sub(r"_\d+(?=/|$)", "", name)


# === Settings ===

LONGER = ("epochs", "patience")  # which may be more where a run goes on
ASIDE = ("told",)  # what defines no run: its command, and how what was given was parted
_TEMPORARY = re.compile(r"\..+\.part(\..+)?")  # what a killed process leaves, see ``zoo.files``


def check_settings(output: Path, settings: dict[str, Any]) -> None:
    """Write ``run.json`` into a new run folder, or see that it has the same settings.

    A run may go on for longer: with more epochs, the learning rate goes on as it is in a run of so many.

    Raises:
        UserError: it was started with others, or the folder is not a run's.
    """
    settings = json.loads(json.dumps(settings))
    path = output / "run.json"
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        changed = list(_changes(stored, settings))
        if changed:
            raise UserError(f"{output} {_told(changed)}. Use the same, or another --output.")
        if stored == settings:
            return
    # A run of several stages has those before the last as runs inside it.
    for item in output.iterdir() if output.is_dir() and not path.is_file() else ():
        if not (item / "run.json").is_file() and not _TEMPORARY.fullmatch(item.name):
            raise UserError(
                f"{output} has other things in it, such as {item.name}; choose a new folder for --output."
            )
    with files.atomic_write(path, text=True) as file:
        json.dump(settings, file, ensure_ascii=False, indent=1)


def _changes(stored, settings):
    """Iterate over ``(name, value of the run, value now)`` of what differs.

    Of a group of fields, such as a schedule's, those count that both have: others are of another version.
    """
    for name in dict.fromkeys((*settings, *stored)):
        if name in ASIDE:
            continue
        old, new = stored.get(name), settings.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            both = [field for field in new if field in old]
            fields = [(field, old[field], new[field]) for field in both if old[field] != new[field]]
            yield from (one for one in fields if not (one[0] in LONGER and one[1] < one[2]))
        elif old != new:
            yield name, old, new


def _told(changed):
    presets = [(old, new) for name, old, new in changed if name == "preset" and old and new]
    if presets:  # all else that differs comes from that
        return "began from {}; you asked for {}".format(*presets[0])
    changed = [one for one in changed if one[0] != "characters"] or changed
    was = ", ".join(f"{name} {_value(old)}" for name, old, _ in changed)
    return f"was started with {was}; you asked for {', '.join(_value(new) for *_, new in changed)}"


def _value(value):
    if value is None or value == "":
        return "none"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
