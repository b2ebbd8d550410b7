"""An exported line reader beside Tesseract: character error rate and lines per second on the same lines.

    python benchmarks/line_ocr.py reader.onnx --data lines.tar.gz [--only REGEX] [--language eng]

Needs the `tesseract` program and its language data. Start-up is counted for neither: Tesseract's is
measured on a list of one line and taken off. Tesseract gets a list file, page-segmentation mode 7 (line) or
13 (raw line), whichever errs less, and one process for each core.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an .onnx file of `zoo export`")
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS")
    parser.add_argument("--only", metavar="REGEX")
    parser.add_argument("--language", help="Tesseract's; without it only the model is measured")
    options = parser.parse_args()

    from export import runtime
    from zoo.families.line_ocr.corpus import load_lines
    from zoo.metrics.text import text_error_rates
    from zoo.text.normalise import normalise

    corpus = load_lines(options.data, only=options.only)
    images, texts = next(corpus.chunks(len(corpus)))
    cores = len(os.sched_getaffinity(0))
    reader = runtime.load(options.model)
    reader(images[:16])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        read = reader(images)
        seconds.append(time.perf_counter() - start)
    report("onnxruntime", texts, [normalise(text) for text in read], min(seconds), cores)
    if not options.language:
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, image in enumerate(images):
            paths.append(f"{folder}/{i:06d}.png")
            # Tesseract is made for lines with some paper around them.
            page = Image.new("L", (image.shape[1] + 20, image.shape[0] + 20), 255)
            page.paste(Image.fromarray(image[:, :, 0]), (10, 10))
            page.save(paths[-1])
        best = None
        for mode in ("7", "13"):
            start_up = tesseract(paths[:1], options.language, mode, 1)[1]
            read, took = tesseract(paths, options.language, mode, cores)
            read = [normalise(text) for text in read]
            errors = text_error_rates(texts, read)["cer"]
            if best is None or errors < best[0]:
                best = errors, f"tesseract --psm {mode}", read, took - start_up
        report(best[1], texts, best[2], best[3], cores)


def tesseract(paths, language, mode, processes):
    """``(texts, seconds)``; the lines are dealt out to the processes."""
    folder = Path(paths[0]).parent
    start, running = time.perf_counter(), []
    for i in range(processes):
        listed = folder / f"list{i}.txt"
        listed.write_text("\n".join(paths[i::processes]) + "\n")
        command = ["tesseract", str(listed), str(folder / f"out{i}"), "--psm", mode, "-l", language]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    texts = [""] * len(paths)
    for process in running:
        if process.wait():
            sys.exit(f"tesseract failed with status {process.returncode}")
    seconds = time.perf_counter() - start
    for i in range(processes):
        pages = (folder / f"out{i}.txt").read_text(encoding="utf-8").split("\f")
        for j, page in zip(range(i, len(paths), processes), pages, strict=False):
            texts[j] = page
    return texts, seconds


def report(name, expected, read, seconds, cores):
    from zoo.metrics.text import text_error_rates

    rates = text_error_rates(expected, read)
    print(
        f"{name:20} {len(read)} lines  cer {rates['cer']:.2%}  wer {rates['wer']:.2%}  "
        f"{len(read) / seconds:.0f} lines/s on {cores} cores",
        flush=True,
    )


if __name__ == "__main__":
    main()
