"""Translates sentences, a line each.

    python docs/hosts/translator.py en_de.onnx < letter.txt

Needs onnxruntime, NumPy and Hugging Face's tokenizers, which there is for other languages, too.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

END = 3


def main(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    config = json.loads(about["seqzoo.config"])
    tokenizer = Tokenizer.from_str(about["seqzoo.tokenizer"])
    for line in sys.stdin:
        ids = tokenizer.encode(line.rstrip("\n")).ids  # closed by END; of up to 128, longer ones are cut
        if ids == [END]:
            print()
            continue
        longest = max(32, 1 << (2 * (len(ids) - 1) - 1).bit_length())  # the power of 2 from twice as many on
        tokens, count = session.run(
            ["tokens", "token_lengths"],
            {
                "source": np.array([ids], np.int32),
                "source_lengths": np.array([len(ids)], np.int32),
                "beam_width": np.array(config["beam_width"], np.int32),
                "length_penalty": np.array(config["length_penalty"], np.float32),
                "max_length": np.array(longest, np.int32),
            },
        )
        best = [token for token in tokens[0, 0, : count[0, 0]].tolist() if token > END]
        print(" ".join(tokenizer.decode(best).split()))


if __name__ == "__main__":
    main(*sys.argv[1:])
