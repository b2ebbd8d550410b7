"""Captioners beside one another: their figures.

    python benchmarks/captions.py attention=runs/a first_step=runs/b --data flickr8k.tar.gz --only /dev

Every model captions the corpus greedily, by beam search and by sampling; the table goes to standard output.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DECODING = {
    "greedy": {"beam_width": 1},
    "beam 3": {"beam_width": 3},
    "beam 5": {"beam_width": 5},
    "sampled at 1": {"temperature": 1.0, "seed": 0},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="TITLE=MODEL")
    parser.add_argument("--data", nargs="+", metavar="CORPUS", required=True)
    parser.add_argument("--only", metavar="REGEX")
    options = parser.parse_args()

    import zoo
    from zoo.families.captioner.corpus import load_captions

    models = {title: zoo.load(path) for title, path in (item.split("=", 1) for item in options.models)}
    print("| model | decoding | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | CIDEr-D |")
    print("|---|---|---|---|---|---|---|---|")
    for title, task in models.items():
        corpus = load_captions(options.data, options.only, size=task.config.image_size)
        for how, decoding in DECODING.items():
            report = task.reader.evaluate(corpus, progress=True, **decoding)
            figures = " | ".join(one.form.format(report[one.name]) for one in task.reader.metrics)
            print(f"| {title} | {how} | {figures} |", flush=True)
