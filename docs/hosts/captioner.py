"""Captions images.

    python docs/hosts/captioner.py captioner.onnx photo.jpg

Needs onnxruntime, NumPy and Pillow.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    config, words = json.loads(about["seqzoo.config"]), json.loads(about["seqzoo.vocabulary"])["words"]
    rows = next(one.shape[2] for one in session.get_inputs() if one.name == "noise")
    for path in paths:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        side = config["image_size"]
        if image.size != (side, side):
            image = image.resize((side, side), Image.Resampling.BILINEAR)
        tokens, count = session.run(
            ["tokens", "token_lengths"],
            {
                "image": np.asarray(image)[None],
                "beam_width": np.array(config["beam_width"], np.int32),
                "length_penalty": np.array(config["length_penalty"], np.float32),
                "max_length": np.array(30, np.int32),
                "noise": np.zeros((1, 1, rows), np.float32),  # nothing is drawn
                "temperature": np.array(0, np.float32),
                "top_k": np.array(0, np.int32),
            },
        )
        print(" ".join(words[token - 4] for token in tokens[0, 0, : count[0, 0]] if token > 3))


if __name__ == "__main__":
    main(*sys.argv[1:])
