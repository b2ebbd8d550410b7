"""A voice: train or fine-tune a network that reads texts aloud.

    python -m recipes.speech_synthesis train    --data kerstin_de.tar.gz --output RUN
    python -m recipes.speech_synthesis finetune --preset voice_de_kerstin --data my_voice/ --output RUN

CORPUS: a folder or tar of audio with a table (`transcripts.tsv`, or of any program), with NAME.txt beside
NAME.wav, or in the layout of LJSpeech, LibriSpeech, Common Voice, DeepSpeech, NeMo or Kaldi, or tfds:NAME;
`@4` shows a small one four times an epoch. It has one speaker, and transcripts with their marks; numbers are
spelled out. Without --validation or --hold-out, a tenth of the utterances is held out.

A recogniser of the language (`--model.recogniser`) hears where each letter is. So an hour or two of one voice
are enough: there is no attention to learn.
"""

from __future__ import annotations

import dataclasses
import functools
import sys

from recipes.training import command_line, course, keeping, report, setup
from zoo import registry
from zoo.errors import UserError

CHECKED = 12  # utterances that are spoken after each epoch
SCALED = 200  # utterances by which bands, pitch and loudness are scaled


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.speech_synthesis.network import SpeechSynthesis, SpeechSynthesisConfig
    from zoo.text.characters import Vocabulary

    top, train, finetune = command_line.parser(__doc__, prog=prog)
    for one in (train, finetune):
        command_line.add_hold_out(one, "utterances")
        command_line.add_columns(one, "audio", "transcript", "seconds", "offset")
        command_line.add_fields(one, "model", SpeechSynthesisConfig, preset=one is finetune)
    command_line.add_keep(finetune, "utterances")
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    preset = setup.load_preset(options, SpeechSynthesis) if options.action == "finetune" else None
    config = preset.config if preset else command_line.read_fields(options, "model", SpeechSynthesisConfig)
    learn, check, kept = _corpora(options, config)
    alignments = _aligned(learn, config, options)
    texts = [symbols for symbols, _, _ in alignments.values()]
    if preset:
        task = preset
        missing = sorted(set("".join(texts)) - set(task.vocabulary.characters))
        if missing:
            task = task.with_vocabulary(task.vocabulary.extended(missing))
    else:
        task = SpeechSynthesis(config, Vocabulary.from_texts(texts))
    learn = learn.select(_of(learn, alignments).__contains__)
    # Those of which the loss is measured need durations, too, and symbols that the task has.
    known = set(task.vocabulary.characters)
    held = {key: one for key, one in _aligned(check, config, options).items() if known.issuperset(one[0])}
    check = check.select(_of(check, held).__contains__)
    if not len(check):
        raise UserError("No utterance to validate on has only symbols that others have; give more.")
    task.alignments = alignments | held
    if not preset:
        few = learn.sample(SCALED)
        encode = (
            dict(
                zip(
                    ("mel", "prosody"), task.encode(sample["audio"], sample["text"].decode())[2:], strict=True
                )
            )
            for sample in few.dataset().as_numpy_iterator()
        )
        task.set_scale(list(encode))
    report.announce(task, learn, check, "utterances", f"{len(task.vocabulary)} symbols")

    settings = setup.settings(task, schedule, options)
    course.run(task, learn, check, kept, _validation, options.output, schedule, settings, most=CHECKED)
    report.finished(
        task, options.output, "hear it, a text a line", "zoo predict {} text.txt --output speech.wav"
    )


def _corpora(options, config):
    """Utterances to learn from and to validate on, see ``keeping.corpora``."""
    load = functools.partial(
        registry.load_corpus, "speech_synthesis", config=dataclasses.asdict(config),
        columns=command_line.columns(options),
    )  # fmt: skip
    split = functools.partial(setup.split_by, load=load, unit="utterances", groups_of=lambda one: one.texts)
    return keeping.corpora(options, split)


def _of(corpus, alignments):
    """The names of the utterances that have an alignment."""
    every = zip(corpus.names, corpus.texts, corpus.lengths.tolist(), strict=True)
    return {name for name, text, samples in every if (text, samples) in alignments}


def _aligned(corpus, config, options):
    """What ``SpeechSynthesis.alignments`` is, of the utterances in which the recogniser finds their text.

    UserError where it does not in more than a tenth, unless ``--allow-skipped`` is given.
    """
    import soxr

    import zoo
    from zoo.families.speech_synthesis.durations import symbol_durations
    from zoo.families.speech_synthesis.network import log_mel_of
    from zoo.families.speech_synthesis.normalise import spell, symbols

    recogniser = zoo.load(config.recogniser)
    if recogniser.name != "deep_speech":
        raise UserError(f"--model.recogniser {config.recogniser}: this hears no speech; give one that does.")
    log_mel = log_mel_of(config)
    labels = {character: i + 1 for i, character in enumerate(recogniser.vocabulary.characters)}
    rate, own = recogniser.config.sampling_rate, config.sampling_rate
    seconds, hop = recogniser.config.samples_per_frame / rate, config.hop / own
    found, failed = {}, []
    names = iter(corpus.names)
    for recordings, texts in corpus.chunks(16):
        heard = [one if rate == own else soxr.resample(one, own, rate) for one in recordings]
        rows = recogniser.hear(heard)
        for samples, text, log_probs, name in zip(recordings, texts, rows, names, strict=False):
            energy = log_mel(samples).mean(1)
            said = symbols(spell(text, config.language))
            one = said and symbol_durations(
                said, log_probs, labels, seconds, energy, hop, 0.5 * config.frame_length / own
            )
            if one:
                found[text, len(samples)] = (said, *one)
            else:
                failed.append(f"{name}: {config.recogniser} does not hear its transcript in it.")
    for sentence in failed[:5]:
        print(f"left out: {sentence}", file=sys.stderr)
    if not found:
        raise UserError(f"No utterance is left: {failed[0]}")
    every = len(found) + len(failed)
    if len(failed) > setup.SKIPPED * every and not options.allow_skipped:
        raise UserError(
            f"{config.recogniser} does not hear the transcripts of {len(failed)} of {every} utterances: give "
            "one of their language with --model.recogniser, fine-tuned on them if it is far from them, or "
            "go on without them: --allow-skipped"
        )
    total = sum(durations.sum() for _, _, durations in found.values()) * hop
    print(
        f"{config.recogniser} found the letters of {len(found)} utterances ({total / 60:.0f} minutes); "
        f"{len(failed)} are left out."
    )
    return found


def _validation(task, check):
    """The function called after each epoch: some of what is held out is spoken, and compared."""
    few = check.sample(CHECKED)

    def validation():
        scores = task.reader.evaluate(few, recogniser="")
        texts = list(few.texts)[:3]
        found = task.predict(texts, details=True, errors="return")
        said = [
            str(one) if isinstance(one, UserError) else f"{one.text} {one.seconds:.1f} s" for one in found
        ]
        return {
            "mel_distortion": scores["mel_distortion"],
            "pace": scores["pace"],
            "examples": list(zip(texts, said, strict=True)),
        }

    return validation


if __name__ == "__main__":
    command_line.command(main)
