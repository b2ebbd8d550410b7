"""Speech recognition: train or fine-tune a Deep Speech model.

    python -m recipes.deep_speech train    --data speechocean_en.tar.gz --output runs/mine
    python -m recipes.deep_speech finetune --preset deep_speech_en --data my_voice/ --output runs/tuned

CORPUS: a folder or tar of audio with a table (`transcripts.tsv`, or of any program), with NAME.txt beside
NAME.wav, or in the layout of LJSpeech, LibriSpeech, Common Voice, DeepSpeech, NeMo or Kaldi, or tfds:NAME;
`@4` shows a small one four times an epoch. Without --validation, about a tenth of each corpus is held out,
whole speakers as a table or else the names tell them, or single utterances where there are too few;
--hold-out REGEX chooses instead, by CORPUS/SPEAKER/ID. A language model
that the model is to use comes from `zoo lm build`.

Of few hours a model learns sentences by heart. With --splice, it hears phrases of several utterances of a
speaker joined anew each time. As they are found with the preset, that has to understand the speakers: train
or fine-tune without it first, then the run with it.
"""

from __future__ import annotations

import functools

from recipes.training import command_line, recognition


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.data.splitting import levels_by_name

    recognition.main(
        arguments, prog, __doc__, "deep_speech", "utterances",
        levels=functools.partial(levels_by_name, kind="speaker"),
        assets=[("--language-model", "language_model.arpa", "words.arpa, used when the model is")],
        columns=("audio", "transcript", "speaker", "seconds", "offset"), tuning=_add_splice, prepare=_splice,
    )  # fmt: skip


def _add_splice(parser):
    parser.add_argument(
        "--splice", type=command_line.share, metavar="SHARE", help="of what is heard is joined from phrases"
    )


def _splice(task, learn, options):
    if options.action == "finetune" and options.splice:
        from zoo.families.deep_speech.splice import Splicer

        task.splicer = Splicer.align(task, learn, options.splice)
        found = [len(one.words) for one in task.splicer.utterances]
        print(f"{sum(found):,} words found in {len(found)} utterances, to be joined anew.")


if __name__ == "__main__":
    command_line.command(main)
