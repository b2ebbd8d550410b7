"""An exported line reader on whole pages beside RapidOCR and Tesseract: character error rates and seconds.

    python benchmarks/pages.py reader.onnx --data pages/ [pages2/ …] [--rapidocr] [--tesseract deu] \
        [--same 'ſ=s ¬=-']

The folders hold images with ALTO, PAGE, hOCR or ABBYY's XML beside them. All readers are measured alike, see
`zoo.metrics.pages`. RapidOCR is its whole pipeline with the models that its wheel has. Tesseract gets the
image as PNG and page-segmentation mode 3; it needs the `tesseract` program with the language data. The time
of a program that starts for each page is counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    from zoo.contract.options import SAME

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an .onnx file of `zoo export`")
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS")
    parser.add_argument("--rapidocr", action="store_true")
    parser.add_argument("--tesseract", metavar="LANGUAGE", help="such as deu, or Fraktur")
    parser.add_argument("--same", type=SAME.kind, default=(), metavar=SAME.metavar, help=SAME.help)
    parser.add_argument("--json", metavar="FILE", help="write the whole reports there")
    options = parser.parse_args()

    from zoo.metrics.pages import evaluate_pages

    readers = {}
    if options.model:
        import zoo

        model = zoo.load(options.model)
        readers["zoo"] = model.pages.read_sheet
    if options.rapidocr:
        readers["rapidocr"] = rapidocr()
    if options.tesseract:
        readers[f"tesseract {options.tesseract}"] = tesseract(options.tesseract)
    reports = {}
    print("| reader | pages | lines | found | more | by place | in order | lines of the XML | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, read in readers.items():
        told = name == "zoo"
        direction = model.pages.vocabulary.direction if told else "ltr"
        report = evaluate_pages(read, options.data, told, direction, same=options.same)
        rates = [f"{report[kind]:.2%}" if kind in report else "" for kind in ("cer", "page_cer", "xml_cer")]
        found = report["lines"] - report["missed"], report["unmatched"]
        cells = name, report["pages"], report["lines"], *found, *rates, f"{report['seconds']:.1f}"
        print("|", " | ".join(map(str, cells)), "|", flush=True)
        reports[name] = report
    for sentence in dict.fromkeys(s for report in reports.values() for s in report["skipped"]):
        print(sentence, file=sys.stderr)
    if options.json:
        Path(options.json).write_text(json.dumps(reports, ensure_ascii=False, indent=1) + "\n")


def rapidocr():
    """A function that reads a ``Sheet`` with RapidOCR."""
    from rapidocr import RapidOCR

    from zoo.formats.pages import Line, Page, Region, nowhere
    from zoo.images.layout import baseline_of

    engine = RapidOCR(params={"Global.log_level": "error"})

    def read(sheet):
        found = engine(np.ascontiguousarray(rgb(sheet)[:, :, ::-1]))
        boxes, texts = (found.boxes, found.txts) if found.boxes is not None else ((), ())
        lines = [
            Line("", text, np.float32(box), baseline_of(box)) for box, text in zip(boxes, texts, strict=True)
        ]
        return Page("", None, [Region("", "text", nowhere(), lines)])

    return read


def tesseract(language):
    """A function that reads a ``Sheet`` with Tesseract."""
    from zoo.formats.pages import read_pages

    threads = str(len(os.sched_getaffinity(0)))

    def read(sheet):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/page.png"
            Image.fromarray(rgb(sheet)).save(path, compress_level=1)
            command = ["tesseract", path, "-", "--psm", "3", "-l", language, "hocr"]
            environment = {"OMP_THREAD_LIMIT": threads, **os.environ}
            done = subprocess.run(command, env=environment, capture_output=True)
        if done.returncode:
            sys.exit(f"tesseract failed: {done.stderr.decode(errors='replace').strip()}")
        return read_pages(done.stdout, sheet.name)[0]

    return read


def rgb(sheet):
    pixels = sheet.pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


if __name__ == "__main__":
    main()
