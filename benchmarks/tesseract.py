"""Beside Tesseract: how alike an imported language reads, how right, and how fast, on one thread each.

    python benchmarks/tesseract.py tessdata/fra.traineddata --data print_fr_19c.tar.gz
    python benchmarks/tesseract.py tessdata/deu.traineddata --data lines/ --count 60 --speed

Tesseract (the program is needed) reads with `--psm 13`, without its dictionaries and with them. Options such
as `load_system_dawg=0` do not reach the dictionaries of its networks; a copy of the file lacks them. Texts
lose
doubled blanks and invisible marks; "the same" is one less the edit distance, as a share of Tesseract's
characters.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DICTIONARIES = 18, 19, 20  # components: punctuation, words, numbers
MARKS = {*range(0x200B, 0x2010), *range(0x202A, 0x202F)}
ROUNDS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="the .traineddata, in a folder that has those of its language")
    parser.add_argument("--data", nargs="+", required=True, help="lines with transcripts")
    parser.add_argument("--count", type=int, default=100, help="lines, spread evenly")
    parser.add_argument("--speed", action="store_true", help="measure speed, too: float and 8 bits")
    options = parser.parse_args()

    from PIL import Image

    from zoo import registry

    task, _ = registry.import_model("line_ocr", options.model, "as its origin states")
    corpus = registry.load_corpus("line_ocr", options.data, {}).sample(options.count)
    images = [image for images, *_ in corpus.chunks(50) for image in images]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number:05d}.png" for number in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image.squeeze()).convert("L").save(path)
        bare = without_dictionaries(options.model, folder)
        theirs = [clean(text) for text in tesseract(bare, paths)]
        helped = [clean(text) for text in tesseract(options.model, paths)]
        found = task.predict(list(map(str, paths)), errors="return")
        ours = [clean(text) if isinstance(text, str) else "" for text in found]
        wanted = list(map(clean, corpus.texts))
        print(f"lines      {len(images)}")
        print(f"the same   {1 - errors(ours, theirs):.2%} of the characters")
        print(
            f"cer        {errors(ours, wanted):.2%}, Tesseract {errors(theirs, wanted):.2%}, "
            f"with its dictionaries {errors(helped, wanted):.2%}"
        )
        if options.speed:
            speed(task, bare, paths)


def without_dictionaries(model, folder):
    """A copy of a .traineddata file that lacks them: the places of its components, and these."""
    from zoo.formats.traineddata import components

    found = {at: part for at, part in components(model).items() if at not in DICTIONARIES}
    count = max(found) + 1
    places, end = [-1] * count, 4 + 8 * count
    for at in sorted(found):
        places[at] = end
        end += len(found[at])
    path = Path(folder) / Path(model).name
    path.write_bytes(struct.pack(f"<i{count}q", count, *places) + b"".join(found[at] for at in sorted(found)))
    return path


def tesseract(model, paths):
    """The texts of images, a run of the program for all of them."""
    model = Path(model).resolve()
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "images.txt"
        listed.write_text("\n".join(map(str, paths)) + "\n")
        command = ["tesseract", listed, "-", "--tessdata-dir", model.parent, "-l", model.stem, "--psm", "13"]
        options = ["--dpi", "300", "-c", "page_separator=\f"]
        one = os.environ | {"OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(
            [*command, *options], env=one, capture_output=True, encoding="utf-8", check=True
        )
    texts = done.stdout.split("\f")
    return (texts + [""] * len(paths))[: len(paths)]


def clean(text):
    text = "".join(c for c in " ".join(text.split()) if ord(c) not in MARKS)
    return unicodedata.normalize("NFC", text)


def errors(found, wanted):
    from rapidfuzz.distance import Levenshtein

    distance = sum(map(Levenshtein.distance, found, wanted))
    return distance / max(1, sum(map(len, wanted)))


def speed(task, model, paths):
    from export import runtime
    from export.onnx_file import to_onnx

    with tempfile.TemporaryDirectory() as folder:
        files = {"float32": f"{folder}/float32.onnx", "int8": f"{folder}/int8.onnx"}
        for name, file in files.items():
            to_onnx(task, file, int8=name == "int8")
        size = {name: f", {os.path.getsize(file) / 1e6:.1f} MB" for name, file in files.items()}
        readers = {name: runtime.load(file, threads=1) for name, file in files.items()}
        ways = {
            name: lambda reader=reader: reader(paths, errors="return") for name, reader in readers.items()
        }
        ways["Tesseract"] = lambda: tesseract(model, paths)
        times = {name: [] for name in ways}
        for _ in range(ROUNDS):  # in turns, so that whatever else runs slows all alike
            for name, read in ways.items():
                start = time.perf_counter()
                read()
                times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        print(f"{name:10} {len(paths) / min(taken):.0f} lines a second{size.get(name, '')}")


if __name__ == "__main__":
    main()
