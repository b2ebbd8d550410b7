"""What recipes share whose models describe in a sentence: where they begin, splits, validation."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recipes.training import command_line, keeping, setup
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

    import keras

    from recipes.training.schedule import Schedule
    from zoo.contract.task import Task
    from zoo.data.samples import Samples

MEASURED = 300  # of what validates is described after each epoch


def add_options(
    train: argparse.ArgumentParser, finetune: argparse.ArgumentParser, weights: str, least: int
) -> None:
    """The options of both actions that say what encoder and words a model begins with.

    Args:
        train, finetune: the parsers.
        weights: what ``--encoder-weights`` is by default.
        least: what ``--minimum-count`` is.
    """
    train.add_argument(
        "--encoder-weights", default=weights, metavar="imagenet|none|FILE",
        help=f".npz with arrays named layer.variable, or .h5; imagenet is downloaded; default: {weights}",
    )  # fmt: skip
    train.add_argument(
        "--encoder-model", metavar="FILE.keras", help="an encoder of your own, with its weights"
    )
    train.add_argument(
        "--minimum-count", type=int, default=least, metavar="N",
        help=f"learn words that occur N times, default {least}",
    )  # fmt: skip
    finetune.add_argument("--extend", action="store_true", help="learn words that the preset lacks")


def read_config(options: argparse.Namespace, cls: type[Task], side: str) -> tuple:
    """Where a run begins: ``(preset, config, own)``, the first or the last None.

    Args:
        options: of the command line.
        cls: the ``Describer``.
        side: the field of its configuration that is the side of what an encoder of one's own takes.
    """
    if options.action == "finetune":
        preset = setup.load_preset(options, cls)
        return preset, preset.config, None
    config = command_line.read_fields(options, "model", cls.Config)
    if not options.encoder_model:
        return None, config, None
    own = own_encoder(options.encoder_model)
    return None, dataclasses.replace(config, encoder=own.to_json(), **{side: own.inputs[0].shape[1]}), own


def begin(
    options: argparse.Namespace, cls: type[Task], preset: Task | None, config: Any, own: Any, learn: Samples
) -> Task:
    """The task to be trained, which knows the words of what it learns; arguments: see ``read_config``."""
    if preset is not None:
        words = {word for text in learn.texts for word in text.split()}
        missing = sorted(word for word in words if word not in preset.vocabulary)
        return setup.with_tokens(preset, missing, "words of the captions", options)
    from zoo.layers.encoders import load_weights
    from zoo.text.words import Words

    captions = (caption for captions in learn.references for caption in captions)
    task = cls(config, Words.learn(captions, options.minimum_count))
    if own is not None:
        setup.tell(options, begun=f"the encoder {options.encoder_model}")
        task.encoder.set_weights(own.get_weights())
    elif task.encoder is not None:
        if options.encoder_weights != "none":
            setup.tell(options, begun=f"the encoder's weights ({options.encoder_weights})")
        load_weights(task.encoder, config.encoder, options.encoder_weights)
    return task


def validation(task: Task, check: Samples, schedule: Schedule, by: str = "perplexity") -> Callable[[], dict]:
    """The function called after each epoch; by the first of its scores, ``by``, the best epoch is chosen."""
    some = check.sample(MEASURED)
    if by == "cider":  # captions that please need not be likely ones

        def judge(scores):
            return {"minus_cider": -scores["cider"]}
    else:
        data = setup.pipeline(task, check, schedule, check=True)

        def judge(scores):
            return {"perplexity": task.perplexity(data.once())}

    def validate():
        scores = task.reader.evaluate(some, **task.reader.greedy)
        inputs, references = next(some.sample(3).chunks(3))
        said = task.predict(inputs, **task.reader.greedy)
        return judge(scores) | {
            "exact": scores["exact"],
            "bleu4": scores["bleu4"],
            "cider": scores["cider"],
            "examples": list(zip((captions[0] for captions in references), said, strict=True)),
        }

    return validate


def corpora(
    options: argparse.Namespace, load_corpus: Callable, unit: str
) -> tuple[Samples, Samples, Samples | None]:
    """What a run learns from and validates on: of each corpus by its splits where it has some.

    Returns:
        ``(learn, check, kept)``, see ``keeping.corpora``.
    """
    learn, check, kept = keeping.corpora(
        options, lambda options: _split(load_corpus(options.data, progress=True), options, load_corpus, unit)
    )
    for sentence in learn.skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    return learn, check, kept


def _split(corpus, options, load_corpus, unit):
    from zoo.data.splitting import hold_out

    setup.check_usable(corpus, options, unit)
    corpus = corpus.select(lambda name: not re.search("/test[^/]*/", name))
    if options.validation or options.hold_out:
        return setup.split(corpus, options, load_corpus, unit, lambda name: [])
    is_held, held = re.compile("/(dev|val)[^/]*/").search, set()
    found = hold_out(corpus.names, lambda name: [], unit)
    for one in found:
        names = {name for name in corpus.names if name.startswith(f"{one.corpus}/")}
        own = set(filter(is_held, names))
        if own and own != names:
            one.names, one.groups = own, "by its splits"
        held |= one.names
    return setup.part(corpus, held, options, unit, found)


def own_encoder(path: str | os.PathLike) -> keras.Model:
    """An encoder in a file of Keras. Raises UserError."""
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)  # safe mode: executes nothing
    except Exception as error:  # whatever a broken file makes of zipfile and Keras
        raise UserError(f"{path}: no Keras model can be read ({str(error).splitlines()[0]}).") from error
    if [len(one.shape) for one in model.inputs or ()] != [4]:
        raise UserError(f"{path}: this model does not take images; give one from [batch, side, side, 3].")
    return model
