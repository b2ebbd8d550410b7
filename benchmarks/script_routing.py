"""Mixed lines, each segment read by the reader of its script: character errors beside those on pure segments.

    python -m benchmarks.script_routing --script arabic=arabic_jstor.tar.gz non_arabic=books_en.tar.gz \\
        --readers arabic=line_ocr_arabic non_arabic=line_ocr_en --only '^arabic_jstor/0|^books_en/[bi]'
        --count 300

Lines are composed of whole words (``zoo render --script --readers``) of what ``--only`` lets in: give lines
that neither the readers nor the tagger have learned. Of the same images are read

- the pure segments: each piece cut out where it was put, by the reader of its class;
- the routed lines: cut by the tagger. The text of the whole line has to be right, and its order.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    from zoo.backend import import_tensorflow

    import_tensorflow()
    import zoo
    from zoo.families.script_tagger.reader import Segment, cut_out
    from zoo.images.render.scripts import add_arguments, composer_of, text_of
    from zoo.metrics.text import text_error_rates
    from zoo.text.normalise import normalise

    add_arguments(parser)
    parser.add_argument("--tagger", default="script_arabic")
    parser.add_argument("--show", type=int, default=5, help="print so many lines that were read wrongly")
    parser.set_defaults(height=64)
    options = parser.parse_args()
    composer, classes, _ = composer_of(options)
    tagger = zoo.load(options.tagger)
    readers = {name: zoo.load(model).reader for name, model in options.readers}

    made = [composer.compose(i) for i in range(options.count)]
    images = [pixels for pixels, *_ in made]
    pieces = {}
    for pixels, columns, placed in made:
        for one in placed:
            if one.text:
                segment = Segment(classes[one.klass], one.first, one.last, 1.0)
                pieces.setdefault(segment.script, []).append(
                    (cut_out(pixels[:, :, None], segment, columns), one.text)
                )
    report, wanted, found = {"lines": len(made)}, [], []
    for name, some in pieces.items():
        texts = [normalise(text) for _, text in some]
        read = readers[name]([piece for piece, _ in some], errors="return")
        read = ["" if isinstance(text, Exception) else normalise(text) for text in read]
        report[f"pure {name}"] = text_error_rates(texts, read)["cer"]
        wanted, found = wanted + texts, found + read
    report["pure"] = text_error_rates(wanted, found)["cer"]
    wanted = [normalise(text_of(placed) or "") for *_, placed in made]
    found = [normalise(text) for text in tagger.predict(images, readers=readers)]
    report["routed"] = text_error_rates(wanted, found)["cer"]
    report["ratio"] = report["routed"] / report["pure"]
    for text, read in [pair for pair in zip(wanted, found, strict=True) if pair[0] != pair[1]][
        : options.show
    ]:
        print(f"wanted {text}\nread   {read}\n", file=sys.stderr)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
