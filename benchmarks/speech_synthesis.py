"""How a voice compares with its recordings, and with a copy of them through the same vocoder.

    python benchmarks/speech_synthesis.py voice_de_kerstin --data kerstin_de.tar.gz --only '5$'

A copy synthesis makes the sound of a recording's own spectrogram: no voice with this vocoder can be better.
The recogniser that hears all three is that of the model, or --recogniser.
"""

import argparse
import os
import time

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from tqdm import tqdm

import zoo
from zoo.audio.pitch import pitch
from zoo.families.speech_synthesis.corpus import load_corpus
from zoo.families.speech_synthesis.network import log_mel_of
from zoo.layers.vocoder import GriffinLim
from zoo.metrics.speech import mel_distortion
from zoo.metrics.text import text_error_rates
from zoo.text.normalise import normalise_transcript

KINDS = "recording", "copy", "voice"


def copied(audio, log_mel, vocoder):
    """A recording through the vocoder: float32 ``[samples]``."""
    mel = log_mel(audio)
    hertz = pitch(audio, log_mel.sampling_rate, log_mel.hop, len(mel), log_mel.frame_length // 2)
    return np.asarray(vocoder(mel[None], hertz[None], np.array([len(mel)], "int32")))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="preset or task folder")
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--only", help="the utterances whose name it matches")
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--recogniser", help="by default the model's own")
    parser.add_argument("--plot", help="PNG file: spectrograms of the first sentences")
    options = parser.parse_args()

    voice = zoo.load(options.model)
    config = voice.config
    recogniser = options.recogniser or config.recogniser
    corpus = load_corpus(options.data, {"sampling_rate": config.sampling_rate}, options.only)
    corpus = corpus.sample(options.sentences)
    log_mel = log_mel_of(config)
    of_sound = config.sampling_rate, config.frame_length, config.hop, config.mels
    vocoder = GriffinLim(*of_sound, config.iterations)
    sounds, texts, seconds = [], [], 0.0
    for (audio,), (text,) in tqdm(corpus.chunks(1), total=len(corpus)):
        start = time.perf_counter()
        (spoken,) = voice.predict(text, details=True)
        seconds += time.perf_counter() - start
        sounds.append((audio, copied(audio, log_mel, vocoder), spoken.audio))
        texts.append(normalise_transcript(spoken.text))
    ears = zoo.load(recogniser)
    print(f"{len(texts)} sentences, heard by {recogniser}")
    print("| | character error rate | mel distortion |\n|---|---|---|")
    for i, kind in enumerate(KINDS):
        heard = ears.predict([(sound[i], config.sampling_rate) for sound in sounds])
        rate = text_error_rates(texts, heard)["cer"]
        far = np.mean([mel_distortion(log_mel(sound[i]), log_mel(sound[0])) for sound in sounds])
        print(f"| {kind} | {rate:.2%} | {far:.2f} dB |", flush=True)
    said = sum(len(sound[2]) for sound in sounds) / config.sampling_rate
    print(f"{said:.0f} s of sound, {said / seconds:.1f} times as fast as real time in Keras, one by one")
    if options.plot:
        draw(options.plot, sounds[:2], texts, log_mel)


def draw(path, sounds, texts, log_mel):
    from matplotlib.figure import Figure

    from zoo.families.speech_synthesis.plot import draw_log_mel
    from zoo.plots.drawing import save

    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(len(KINDS), len(sounds), squeeze=False)
    for column, (three, text) in enumerate(zip(sounds, texts, strict=False)):
        for row, (kind, sound) in enumerate(zip(KINDS, three, strict=True)):
            draw_log_mel(axes[row][column], log_mel(sound), len(sound) / log_mel.sampling_rate)
            axes[row][column].set_title(kind if row else f"{text[:80]}\n{kind}", fontsize=8, loc="left")
        axes[-1][column].set(xlabel="seconds")
    save(figure, path)


if __name__ == "__main__":
    main()
