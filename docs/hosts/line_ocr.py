"""Reads images of single text lines.

    python docs/hosts/line_ocr.py reader.onnx scan1.png scan2.png

Needs onnxruntime, NumPy and Pillow. For lines that are read from left to right; of others the
characters come in the order of the image's columns, and the Unicode Bidirectional Algorithm (UAX #9)
turns them.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    characters = json.loads(about["seqzoo.vocabulary"])["characters"]
    for path in paths:
        image = np.asarray(Image.open(path).convert("L"))  # uint8 [height, width]
        labels, count, confidence = session.run(
            ["labels", "label_lengths", "confidence"],
            {"image": image[None, :, :, None], "size": np.array([image.shape], np.int32)},
        )
        # Label 0 is the CTC blank, so that character i has label i + 1; repeats are merged already.
        text = "".join(characters[label - 1] for label in labels[0, : count[0]])
        print(f"{text}\t{confidence[0]:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
