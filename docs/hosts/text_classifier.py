"""Labels texts of up to 512 tokens, a line each.

    python docs/hosts/text_classifier.py sentiment.onnx < reviews.txt

Needs onnxruntime, NumPy and Hugging Face's tokenizers, which there is for other languages, too.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def main(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    labels = json.loads(about["seqzoo.vocabulary"])["labels"]
    power = json.loads(about.get("seqzoo.asset.confidence.json", "{}")).get("power", 1)
    tokenizer = Tokenizer.from_str(about["seqzoo.tokenizer"])
    for line in sys.stdin:
        ids = tokenizer.encode(line.rstrip("\n")).ids  # opened and closed
        (found,) = session.run(
            ["probabilities"],
            {
                "tokens": np.array([ids], np.int32),
                "lengths": np.array([len(ids)], np.int32),
                "gain": np.ones((1, len(ids)), np.float32),
            },
        )
        sure = found[0].astype(float) ** power  # calibrated
        print(f"{labels[sure.argmax()]}\t{sure.max() / sure.sum():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
