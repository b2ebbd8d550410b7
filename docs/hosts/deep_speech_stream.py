"""Spells speech while it comes in, with the file of a model that has `lookahead`.

    arecord -q -f S16_LE -r 16000 -t raw | python docs/hosts/deep_speech_stream.py stream.onnx

Needs onnxruntime and NumPy. Samples are 16 bits, one channel, as many a second as the model's
configuration says. Together it writes what `zoo predict stream.onnx --decoder greedy` spells of the whole.
"""

import json
import sys

import numpy as np
import onnxruntime

PIECE = 8  # frames heard at a time: 320 ms


def main(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    characters = json.loads(about["seqzoo.vocabulary"])["characters"]
    config = json.loads(about["seqzoo.config"])
    frame = config["hop"] * config["stride"]  # samples; every piece is a multiple of that
    flush = config["lookahead"] + -(-config["context"] // config["stride"])  # frames of silence at the end
    (states,) = (one for one in session.get_inputs() if one.name == "states")
    state = np.zeros((1, states.shape[1]), np.float32)

    def hear(audio):
        nonlocal state
        labels, count, state = session.run(
            ["labels", "label_lengths", "new_states"],
            {"audio": audio[None], "audio_lengths": np.array([len(audio)], np.int32), "states": state},
        )
        print("".join(characters[label - 1] for label in labels[0, : count[0]]), end="", flush=True)

    while len(data := sys.stdin.buffer.read(2 * PIECE * frame)) == 2 * PIECE * frame:
        hear(np.frombuffer(data, "<i2") / np.float32(32768))
    rest = np.frombuffer(data[: len(data) // 2 * 2], "<i2") / np.float32(32768)
    hear(np.pad(rest, (0, -len(rest) % frame + flush * frame)))
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
