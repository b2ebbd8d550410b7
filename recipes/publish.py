"""Make a preset of a finished run: its best weights, a card, and figures measured by ``zoo evaluate``.

    python -m recipes.publish runs/mine --name line_ocr_mine --card card.md \\
        --description "…" --licence "…" --figure "My books" my_books.tar.gz "^my_books/b"

Each ``--figure SET CORPUS REGEX`` is measured here and now ("" takes all lines) and stored with the command
that measures it again; ``FIGURES`` in the card becomes their table. The preset is written to
``$ZOO_HOME/presets/NAME``, or to ``--output``, whose last part is the name then.
"""

import argparse
from pathlib import Path

from recipes import trainer
from zoo import presets


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run folder or task folder")
    parser.add_argument("--name", required=True)
    parser.add_argument("--card", required=True, help="Markdown file")
    parser.add_argument("--description", required=True, help="one sentence")
    parser.add_argument("--licence", required=True, help="of the weights")
    parser.add_argument(
        "--figure", nargs=3, action="append", required=True, metavar=("SET", "CORPUS", "REGEX")
    )
    parser.add_argument("--output", help="folder of the preset")
    options = parser.parse_args(arguments)

    from zoo.task import load

    text = Path(options.card).read_text(encoding="utf-8")
    output = Path(options.output or presets.home() / "presets" / options.name)
    task = load(options.run)
    task.save(output)  # what is measured below is what is shipped: weights as they are stored
    figures = []
    for name, corpus, only in options.figure:
        task = load(output)
        found = task.evaluate(corpus, only=only or None, progress=True)
        command = f"zoo evaluate {options.name} --data {Path(corpus).name}" + (
            f" --only '{only}'" if only else ""
        )
        figures += [
            {
                "set": name,
                "metric": metric,
                "value": found[metric],
                "lines": found["lines"],
                "command": command,
            }
            for metric in ("cer", "wer")
        ]
    rows = ["| set | lines | character error rate | word error rate | command |", "|---|---|---|---|---|"]
    for cer, wer in zip(figures[::2], figures[1::2], strict=True):
        rates = f"{cer['value']:.2%} | {wer['value']:.2%}"
        command = cer["command"].replace("|", "\\|")
        rows.append(f"| {cer['set']} | {cer['lines']} | {rates} | `{command}` |")
    task.card |= {
        "description": options.description,
        "licence": options.licence,
        "headline": ", ".join(f"{f['set']} {f['value']:.2%} CER" for f in figures[::2]),
        "figures": figures,
        "text": text.replace("FIGURES", "\n".join(rows)),
    }
    task.save(output)
    print(f"{output}: {task.card['headline']}")


if __name__ == "__main__":
    trainer.command(main)
