"""Speech recognition: train or fine-tune a Deep Speech model.

    python -m recipes.deep_speech train    --data speechocean_en.tar.gz --output runs/mine
    python -m recipes.deep_speech finetune --preset deep_speech_en --data my_voice/ --output runs/tuned

CORPUS: a folder or tar of audio with `transcripts.tsv`, or in the layout of LJSpeech, LibriSpeech, Common
Voice, DeepSpeech or NeMo, or tfds:NAME; `@4` shows a small one four times an epoch. Without --validation,
whole speakers are held out (single utterances where there is one speaker); --hold-out REGEX names them, as
CORPUS/SPEAKER/ID. A language model that the model is to use comes from `zoo lm build`.
"""

from recipes import recognition, trainer


def main(arguments):
    recognition.main(
        arguments, __doc__, "deep_speech", "utterances",
        group=lambda name: name.rpartition("/")[0] or name,
        assets=[("--language-model", "language_model.arpa", "words.arpa, used when the model is")],
    )  # fmt: skip


if __name__ == "__main__":
    trainer.command(main)
