"""Video captioning: train or fine-tune a network that tells in a sentence what happens in a video.

    python -m recipes.video_captioner train    --data clips --output RUN
    python -m recipes.video_captioner train    --data msr_vtt/ --model.encoder "MobileNet(alpha=0.75)" \
        --model.encoder-learns False --encoder-weights imagenet --model.frame-as mean --model.frame-size 224 \
        --output RUN
    python -m recipes.video_captioner finetune --preset video_moving_digits --data my_clips/ --output RUN

CORPUS: a folder, tar or zip of videos, folders of frames or .npy with captions: MSR-VTT's and MSVD's JSON,
tables such as captions.csv (`video,caption`), NAME.txt beside NAME.avi (docs/corpora.md has all layouts), or
such a list alone, or tfds:NAME; `@4` shows a small one four times an epoch. Videos of a split `test` are left
alone; without --validation or --hold-out, those of `dev` or `val` are held out, or about a tenth of a corpus
without splits.

Clips to try it with are made by `python -m recipes.moving_digits --count 8000 --output clips`.

The encoder of frames learns with the rest; with `--model.encoder-learns False` it keeps its weights, and its
features are computed once for each video. With `--model.encoder features --model.features 2048` features of
frames that another program made are read, as .npy `[frames, features]`.
"""

import dataclasses
import functools
import sys

from recipes.training import command_line, describing, loop, report, setup
from recipes.training.schedule import Schedule


def main(arguments, prog=None):
    from zoo.families.video_captioner.network import VideoCaptioner, VideoCaptionerConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    describing.add_encoder(train, "none")
    train.add_argument(
        "--minimum-count", type=int, default=1, metavar="N", help="learn words that occur N times, default 1"
    )
    finetune.add_argument("--extend", action="store_true", help="learn words that the preset lacks")
    for one in (train, finetune):
        command_line.add_hold_out(one, "videos")
        command_line.add_columns(one, "video", "caption")
        command_line.add_fields(one, "model", VideoCaptionerConfig, preset=one is finetune)
    options = top.parse_args(arguments)
    schedule = command_line.read_fields(options, "training", Schedule)
    setup.set_up(schedule)

    if options.action == "train":
        task, config = None, command_line.read_fields(options, "model", VideoCaptionerConfig)
        if options.encoder_model:
            own = describing.own_encoder(options.encoder_model)
            config = dataclasses.replace(config, encoder=own.to_json(), frame_size=own.inputs[0].shape[1])
    else:
        task = setup.load_preset(options, VideoCaptioner)
        config = task.config

    learn, check = _corpora(options, config)
    if task is None:
        from zoo.layers.encoders import load_weights
        from zoo.text.words import Words

        captions = (caption for captions in learn.references for caption in captions)
        task = VideoCaptioner(config, Words.learn(captions, options.minimum_count))
        if options.encoder_model:
            task.encoder.set_weights(own.get_weights())
        elif task.encoder is not None:
            load_weights(task.encoder, config.encoder, options.encoder_weights)
    else:
        words = {word for text in learn.texts for word in text.split()}
        missing = sorted(word for word in words if word not in task.vocabulary)
        task = setup.with_tokens(task, missing, "words of the captions", options)
    known = f"{sum(map(len, learn.references))} captions, {len(task.vocabulary)} words"
    report.announce(task, learn, check, "videos", known)

    settings = setup.settings(task, schedule, options)
    data = setup.pipeline(task, learn, schedule)
    loop.train(task, data, describing.validation(task, check, schedule), options.output, schedule, settings)
    print(f"The best model is in {options.output}/best; to caption videos with it, and to export it:")
    print(f"  zoo predict {options.output} clip.mp4")
    print(f"  zoo export {options.output} --output {task.name}.onnx")


def _corpora(options, config):
    """Videos to learn from and to validate on."""
    from zoo.families.video_captioner.corpus import load_videos

    load_corpus = functools.partial(
        load_videos, size=config.frame_size, most=config.frames, width=config.features,
        columns=command_line.columns(options),
    )  # fmt: skip
    learn, check = describing.split(load_corpus(options.data, progress=True), options, load_corpus, "videos")
    for sentence in learn.skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    return learn, check


if __name__ == "__main__":
    command_line.command(main)
