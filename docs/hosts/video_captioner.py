"""Tells what happens in videos: GIF, WebP, or folders that hold the frames as images.

    python docs/hosts/video_captioner.py video.onnx clip.gif frames/

Needs onnxruntime, NumPy and Pillow. Of MP4 and the like make a folder first (`ffmpeg -i clip.mp4
frames/%04d.png`). Frames are opaque here; docs/file_format.md says what becomes of transparent ones.
"""

import json
import os
import re
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageSequence

IMAGES = ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"


def numbered(name):
    """What file names go by: 2.png comes before 10.png."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def frames_of(path, side):
    """The frames of a video, stretched to squares, and how long each is shown, in any unit."""
    if os.path.isdir(path):
        names = [name for name in sorted(os.listdir(path), key=numbered) if name.lower().endswith(IMAGES)]
        pictures, lasting = (Image.open(os.path.join(path, name)) for name in names), [1] * len(names)
    else:
        pictures, lasting = ImageSequence.Iterator(Image.open(path)), []
    squares = []
    for picture in pictures:
        picture.draft(None, (2 * side, 2 * side))  # of large JPEGs half, a quarter or an eighth will do
        square = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
        squares.append(np.asarray(square))
        if len(lasting) < len(squares):
            lasting.append(picture.info.get("duration") or 100)  # milliseconds
    return np.stack(squares), lasting


def evenly(lasting, most):
    """The numbers of up to ``most`` frames, evenly spread over the time of a video."""
    edges = np.cumsum([0, *lasting])
    count = max(2, round(edges[-1] / np.median(lasting)))  # one that is shown for longer counts as several
    chosen = np.linspace(0, count - 1, min(count, most)).round()
    return np.searchsorted(edges, (chosen + 0.5) * edges[-1] / count, "right") - 1


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    config, words = json.loads(about["seqzoo.config"]), json.loads(about["seqzoo.vocabulary"])["words"]
    rows = next(one.shape[2] for one in session.get_inputs() if one.name == "noise")
    for path in paths:
        frames, lasting = frames_of(path, config["frame_size"])
        video = frames[evenly(lasting, config["frames"])]
        tokens, count = session.run(
            ["tokens", "token_lengths"],
            {
                "video": video[None],
                "lengths": np.array([len(video)], np.int32),
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
