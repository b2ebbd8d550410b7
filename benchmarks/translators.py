"""Translators beside one another: perplexity, BLEU, and BLEU by the length of the source, as a table.

    python benchmarks/translators.py "reversed=runs/a" "as it stands=runs/b" --data multi30k/val

A length is that of the source in words; the classes are quarters of the corpus.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="TITLE=MODEL")
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS")
    parser.add_argument("--beam-width", type=int, default=5, metavar="N")
    options = parser.parse_args()

    from sacrebleu.metrics import BLEU

    import zoo
    from recipes.training import setup
    from recipes.training.schedule import Schedule
    from zoo.families.translator.corpus import load_parallel

    for i, item in enumerate(options.models):
        title, path = item.split("=", 1)
        task = zoo.load(path)
        corpus = load_parallel(options.data, task.config.source, task.config.target)
        length = np.array([len(source.split()) for source in corpus.sources])
        edges = np.quantile(length, (0.25, 0.5, 0.75)).astype(int)
        group = np.searchsorted(edges, length)  # an edge belongs to the class that it ends
        if not i:
            classes = [f"to {edges[0]}", *(f"to {edge}" for edge in edges[1:]), f"from {edges[-1] + 1}"]
            print("| model | weights | perplexity | BLEU | " + " | ".join(classes) + " words |")
            print("|---" * (4 + len(classes)) + "|")
        perplexity = task.perplexity(setup.pipeline(task, corpus, Schedule(), even=True).once())
        read = task.predict(corpus.sources, beam_width=options.beam_width)
        texts = corpus.texts
        scores = [BLEU().corpus_score(read, [texts]).score]
        for k in range(len(classes)):
            of = np.flatnonzero(group == k)
            scores.append(BLEU().corpus_score([read[j] for j in of], [[texts[j] for j in of]]).score)
        figures = " | ".join(f"{score:.1f}" for score in scores)
        print(f"| {title} | {task.network.count_params():,} | {perplexity:.2f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
