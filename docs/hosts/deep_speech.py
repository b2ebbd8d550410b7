"""Spells recordings of up to 20 seconds.

    python docs/hosts/deep_speech.py speech.onnx talk.wav

Needs onnxruntime, NumPy, soundfile, and soxr for recordings of another sampling rate. What it gives is
that of `zoo predict speech.onnx talk.wav --decoder greedy`; docs/file_format.md says how the search
with a language model goes on from ``log_probs``, and where longer recordings are cut.
"""

import json
import sys

import numpy as np
import onnxruntime
import soundfile


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    characters = json.loads(about["seqzoo.vocabulary"])["characters"]
    wanted = json.loads(about["seqzoo.config"])["sampling_rate"]
    for path in paths:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)  # -1 to 1
        audio = audio.mean(1)
        if rate != wanted:
            import soxr

            audio = soxr.resample(audio, rate, wanted)
        labels, count = session.run(
            ["labels", "label_lengths"],
            {"audio": audio[None], "audio_lengths": np.array([len(audio)], np.int32)},
        )
        text = "".join(characters[label - 1] for label in labels[0, : count[0]])  # 0 is the CTC blank
        print(" ".join(text.split()))  # a blank may be spelled twice, or at the ends


if __name__ == "__main__":
    main(*sys.argv[1:])
