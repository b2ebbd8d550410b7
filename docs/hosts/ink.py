"""Reads InkML.

    python docs/hosts/ink.py ink.onnx formula.inkml

Needs onnxruntime and NumPy. What it gives is that of `zoo predict ink.onnx formula.inkml --decoder
greedy`.
"""

import json
import sys
import xml.etree.ElementTree

import numpy as np
import onnxruntime


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    vocabulary = json.loads(about["seqzoo.vocabulary"])
    for path in paths:
        points = []
        for trace in xml.etree.ElementTree.parse(path).iter("{http://www.w3.org/2003/InkML}trace"):
            stroke = [[*map(float, point.split()[:2]), 0] for point in trace.text.split(",")]
            stroke[-1][2] = 1  # where the pen is lifted
            points += stroke
        labels, count = session.run(
            ["labels", "label_lengths"],
            {"points": np.array([points], np.float32), "point_lengths": np.array([len(points)], np.int32)},
        )
        tokens = (vocabulary["characters"][label - 1] for label in labels[0, : count[0]])  # 0 is the blank
        print((" " if vocabulary["divided"] else "").join(tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
