"""Image captioning: train or fine-tune a convolutional encoder and an LSTM that says what it sees.

    python -m recipes.captioner train    --data flickr8k.tar.gz --encoder-weights mobilenet.npz --output RUN
    python -m recipes.captioner finetune --preset captioner_flickr8k --data my_photos/ --output RUN

CORPUS: a folder, tar or zip of images with captions: Flickr's token files, COCO's or Karpathy's JSON, tables
and objects such as captions.csv and metadata.jsonl, NAME.txt beside NAME.jpg (docs/corpora.md has all
layouts), or such a list alone, or tfds:NAME; `@4` shows a small one four times an epoch. Images of a split
`test` are left alone; without --validation or --hold-out, those of `dev` or `val` are held out, or about a
tenth of a corpus without splits.

Stages, in one run folder, which goes on in any of them when the same command is given again; all but the last
have a folder of their own in it. First the LSTM learns, from features of the images that are computed once
(`--training.*`, `frozen`). Then encoder and LSTM learn together, at a lower rate, from images varied anew
(`--tuning.*`, `tuned`; with 0 epochs there is no such stage). If wanted, the LSTM then learns from captions
that it draws itself, by their CIDEr-D (`--reward.*`, see zoo/families/captioner/reward.py). A batch is images
with all their captions.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from recipes.training import calibrating, command_line, describing, keeping, loop, report, setup
from recipes.training.card import of_run
from recipes.training.schedule import Schedule
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Tuning(Schedule):
    """The second stage's schedule: see ``Schedule``.

    Attributes:
        first: name of the encoder's first layer that learns; those before it see edges and colours, and take
            most of the time. All of them unless given.
        norms: batch normalisation learns, too: for an encoder that began with ``--encoder-weights none``.
    """

    epochs: int = 5
    learning_rate: float = 2e-4
    first: str = ""
    norms: bool = False


@dataclasses.dataclass(frozen=True)
class Reward(Schedule):
    """The third stage's schedule: see ``Schedule``.

    Attributes:
        draws: captions drawn for each image.
        temperature: at which they are drawn.
    """

    epochs: int = 0
    learning_rate: float = 5e-5
    draws: int = 5
    temperature: float = 0.5


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.captioner.corpus import load_captions
    from zoo.families.captioner.network import Captioner, CaptionerConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    describing.add_options(train, finetune, "imagenet", 5)
    for one in (train, finetune):
        command_line.add_hold_out(one, "images")
        command_line.add_columns(one, "image", "caption")
        command_line.add_fields(one, "tuning", Tuning)
        command_line.add_fields(one, "reward", Reward)
        command_line.add_fields(one, "model", CaptionerConfig, preset=one is finetune)
    command_line.add_keep(finetune, "images")
    options = top.parse_args(arguments)
    first = command_line.read_schedule(options)
    second = command_line.read_fields(options, "tuning", Tuning)
    third = command_line.read_fields(options, "reward", Reward)
    setup.set_up(first)

    preset, config, own = describing.read_config(options, Captioner, "image_size")

    load_corpus = functools.partial(
        load_captions, size=config.image_size, columns=command_line.columns(options)
    )
    learn, check, kept = describing.corpora(options, load_corpus, "images")
    task = describing.begin(options, Captioner, preset, config, own, learn)
    if second.first and second.first not in (layer.name for layer in task.encoder.layers):
        raise UserError(
            f"--tuning.first {second.first}: the encoder has no such layer; its last ones are "
            f"{', '.join(layer.name for layer in task.encoder.layers[-3:])}."
        )
    known = f"{sum(map(len, learn.references))} captions, {len(task.vocabulary)} words"
    report.announce(task, learn, check, "images", known)

    output = Path(options.output)
    settings = setup.settings(task, first, options)
    told, earlier = of_run(task, settings, learn, check, kept, most=describing.MEASURED), []
    last = "rewarded" if third.epochs else "tuned" if second.epochs else "frozen"

    def train_stage(name, data, schedule, by="perplexity"):
        folder = output if name == last else output / name
        measure = functools.partial(describing.validation, task, schedule=schedule, by=by)
        validation = keeping.validation(measure, check, kept)
        check_loss = setup.check_loss(task, check, schedule, learn)

        def card_of(rows):
            return told([*earlier, *rows])

        history = loop.train(task, data, validation, folder, schedule, settings, check_loss, card_of)
        earlier.extend(history[:1])  # what was before the first stage

    if first.epochs or last == "frozen":
        train_stage("frozen", setup.pipeline(task, learn, first), first)
    if second.epochs:
        settings |= {"tuning": second.defining()}
        task.tunes_encoder, task.tunes_norms, task.tunes_from = True, second.norms, second.first or None
        train_stage("tuned", setup.pipeline(task, learn, second), second)
        task.tunes_encoder = False
    if third.epochs:
        from zoo.families.captioner.reward import SelfCritical

        settings |= {"reward": third.defining()}
        data = setup.pipeline(task, learn, third)
        task.drops = False
        drawn = SelfCritical(task, data, learn.references, third.draws, third.temperature)
        train_stage("rewarded", drawn, third, by="cider")
    calibrating.finish(task, check, output)
    report.finished(task, output, "caption images with it", "zoo predict {} photo.jpg")


if __name__ == "__main__":
    command_line.command(main)
