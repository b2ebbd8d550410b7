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

from __future__ import annotations

import functools

from recipes.training import command_line, course, describing, report, setup


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.video_captioner.corpus import load_videos
    from zoo.families.video_captioner.network import VideoCaptioner, VideoCaptionerConfig

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    describing.add_options(train, finetune, "none", 1)
    for one in (train, finetune):
        command_line.add_hold_out(one, "videos")
        command_line.add_columns(one, "video", "caption")
        command_line.add_fields(one, "model", VideoCaptionerConfig, preset=one is finetune)
    command_line.add_keep(finetune, "videos")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    preset, config, own = describing.read_config(options, VideoCaptioner, "frame_size")

    load_corpus = functools.partial(
        load_videos, size=config.frame_size, most=config.frames, width=config.features,
        columns=command_line.columns(options),
    )  # fmt: skip
    learn, check, kept = describing.corpora(options, load_corpus, "videos")
    task = describing.begin(options, VideoCaptioner, preset, config, own, learn)
    known = f"{sum(map(len, learn.references))} captions, {len(task.vocabulary)} words"
    report.announce(task, learn, check, "videos", known)

    settings = setup.settings(task, schedule, options)
    measure = functools.partial(describing.validation, schedule=schedule)
    most = describing.MEASURED
    course.run(task, learn, check, kept, measure, options.output, schedule, settings, most=most)
    report.finished(task, options.output, "caption videos with it", "zoo predict {} clip.mp4")


if __name__ == "__main__":
    command_line.command(main)
