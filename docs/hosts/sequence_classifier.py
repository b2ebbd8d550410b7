"""Labels recordings in CSV with a header.

    python docs/hosts/sequence_classifier.py activity.onnx walk.csv

Needs onnxruntime and NumPy. For models without a state (``directions`` of the configuration is "both").
"""

import json
import sys

import numpy as np
import onnxruntime


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    vocabulary = json.loads(about["seqzoo.vocabulary"])
    window = json.loads(about["seqzoo.config"])["window"]
    power = json.loads(about.get("seqzoo.asset.confidence.json", "{}")).get("power", 1)
    for path in paths:
        with open(path, encoding="utf-8") as file:
            header = file.readline().strip().split(",")
            rows = [[float(cell or "nan") for cell in line.split(",")] for line in file if line.strip()]
        columns = [header.index(channel) for channel in vocabulary["channels"]]
        values = np.array(rows, np.float32)[:, columns]  # NaN where something is missing
        # What is longer than a window is read in windows that overlap by half, the last at the end.
        starts = list(range(0, max(1, len(values) - window + 1), window // 2))
        if starts[-1] + window < len(values):
            starts.append(len(values) - window)
        parts = []
        for start in starts:
            part = values[None, start : start + window]
            inputs = {"values": part, "lengths": np.array([part.shape[1]], np.int32)}
            parts.append(session.run(["probabilities"], inputs)[0][0])
        sure = np.mean(parts, 0).astype(float) ** power  # calibrated
        print(f"{vocabulary['labels'][sure.argmax()]}\t{sure.max() / sure.sum():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
