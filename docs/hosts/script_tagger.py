"""Tells the class of each pixel column of a line.

    python docs/hosts/script_tagger.py script.onnx scan.png

Needs onnxruntime, NumPy and Pillow.
"""

import itertools
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes = json.loads(about["seqzoo.vocabulary"])["classes"]
    for path in paths:
        image = np.asarray(Image.open(path).convert("L"))  # uint8 [height, width]
        found, widths = session.run(
            ["probabilities", "lengths"],
            {"image": image[None, :, :, None], "size": np.array([image.shape], np.int32)},
        )
        columns = found[0, : widths[0]].argmax(-1)
        runs, at = [], 0
        for label, run in itertools.groupby(columns.tolist()):
            length = len(list(run))
            runs.append(f"{classes[label]} {at}-{at + length - 1}")
            at += length
        print(", ".join(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
