"""Goes on from a text, with the likeliest character at each step.

    python docs/hosts/char_lm.py plays.onnx ROMEO: 100

Needs onnxruntime and NumPy.
"""

import json
import sys

import numpy as np
import onnxruntime


def main(model, prompt, length="100"):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    characters = json.loads(about["seqzoo.vocabulary"])["characters"]
    ids = [characters.index(character) + 1 for character in prompt]  # 0 is any other
    states = next(one.shape for one in session.get_inputs() if one.name == "states")
    (tokens,) = session.run(
        ["sampled_tokens"],
        {
            "tokens": np.array([ids or [0]], np.int32),
            "lengths": np.array([len(ids)], np.int32),
            "states": np.zeros((1, *states[1:]), np.float32),
            "noise": np.zeros((1, int(length), len(characters) + 1), np.float32),
            "temperature": np.array(0, np.float32),
            "top_k": np.array(0, np.int32),
        },
    )
    print("".join(characters[token - 1] for token in tokens[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
