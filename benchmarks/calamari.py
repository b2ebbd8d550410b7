"""Beside Calamari: how alike an imported checkpoint sees lines, what its network gives, and what it reads.

    CALAMARI/bin/python benchmarks/calamari.py models/best.ckpt seen.npz --lines lines/*.png
    python benchmarks/calamari.py models/best.ckpt seen.npz

The first command is run by a Python that has Calamari 2 (Python 3.10, `pip install calamari-ocr
opencv-python-headless 'tensorflow<2.14' 'setuptools<70'`) and writes what it sees and gives, each line by
itself; the second compares. The checkpoint is a SavedModel, with Calamari's usual preprocessing.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LEAST = -12.0  # log probabilities below this are not compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="NAME.ckpt, beside NAME.ckpt.json")
    parser.add_argument("seen", help="the .npz that the first command writes")
    parser.add_argument("--lines", nargs="+", help="images; this makes it the first command")
    options = parser.parse_args()
    step = write if options.lines else compare
    step(options)


def write(options):
    from calamari_ocr.ocr.dataset.imageprocessors.center_normalizer import CenterNormalizerProcessorParams
    from calamari_ocr.ocr.dataset.imageprocessors.final_preparation import FinalPreparationProcessorParams
    from calamari_ocr.ocr.model.ctcdecoder.ctc_decoder import CTCDecoderParams
    from calamari_ocr.ocr.model.ctcdecoder.default_ctc_decoder import DefaultCTCDecoder
    from calamari_ocr.ocr.scenario import CalamariScenario
    from calamari_ocr.utils.image import ImageLoaderParams
    from tensorflow import keras
    from tfaip.data.pipeline.definitions import PipelineMode

    data = json.loads(Path(f"{options.checkpoint}.json").read_text())["scenario"]["data"]
    characters = data["codec"]["charset"]
    known = CalamariScenario.model_cls().all_custom_objects()
    model = keras.models.load_model(options.checkpoint, custom_objects=known, compile=False)
    steps = (
        CenterNormalizerProcessorParams(line_height=data["line_height"]),
        FinalPreparationProcessorParams(),
    )
    steps = [params.cls()(params, None, PipelineMode.PREDICTION) for params in steps]
    load, decoder = ImageLoaderParams().create().load_image, DefaultCTCDecoder(CTCDecoderParams(), characters)
    found = {"paths": np.array(options.lines)}
    for number, path in enumerate(options.lines):
        pixels = load(path)
        for step in steps:
            pixels = step._apply_single(pixels, {})
        given = model({"img": pixels[None, :, :, None], "img_len": np.int32([[len(pixels)]])})
        probabilities = given["softmax"].numpy()[0, : int(given["out_len"].numpy().ravel()[0])]
        labels = decoder.decode(probabilities).labels
        found[f"pixels_{number}"], found[f"probabilities_{number}"] = pixels, probabilities
        found[f"text_{number}"] = np.array("".join(characters[int(label)] for label in labels))
    np.savez_compressed(options.seen, **found)


def compare(options):
    from keras import ops

    from zoo import registry
    from zoo.images.lines import read_image

    task, _ = registry.import_model("line_ocr", options.checkpoint, "as its origin states")
    seen = np.load(options.seen)
    apart, network, whole, texts = [], [], [], []
    for number, path in enumerate(seen["paths"]):
        image, theirs = read_image(str(path), photographs=True), seen[f"pixels_{number}"]
        inputs = {"image": image[None], "size": np.int32([image.shape[:2]])}
        ours = np.asarray(task.preprocess(**inputs)[0])[0, : len(theirs), :, 0]
        apart.append(255 * np.abs(ours - theirs / 255))
        log = np.log(np.maximum(seen[f"probabilities_{number}"], 1e-30))
        pixels = (theirs / 255).astype("float32")[None, :, :, None]
        logits = task.network({"image": pixels, "columns": np.int32([len(theirs)])})
        network.append(difference(np.asarray(ops.log_softmax(logits))[0], log))
        answer = {name: np.asarray(value)[0] for name, value in task.compiled_serve(inputs).items()}
        whole.append(difference(answer["log_probs"], log))
        labels = answer["labels"][: answer["label_lengths"]].tolist()
        texts.append("".join(task.vocabulary.characters[label - 1] for label in labels))
    same = np.mean([text == str(seen[f"text_{number}"]) for number, text in enumerate(texts)])
    met = np.mean([one.max() < 2.5 for one in apart])
    beyond = np.concatenate([(one > 2.5).any(1) for one in apart]).mean()
    print(f"lines          {len(texts)}")
    print(f"the same text  {same:.1%}")
    print(
        f"pixels         {met:.1%} of the lines within 2 of 255 grey levels, {beyond:.3%} of columns beyond"
    )
    print(f"network        log probabilities within {max(network):.1e} on Calamari's pixels")
    print(f"all of it      within {np.median(whole):.1e} on half of the lines, {max(whole):.1e} on all")


def difference(ours, theirs):
    return np.abs(ours[: len(theirs)] - theirs)[theirs > LEAST].max()


if __name__ == "__main__":
    main()
