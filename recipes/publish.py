"""Make a preset of a finished run: its best weights, a card, and figures measured by ``zoo evaluate``.

    python -m recipes.publish runs/mine --name line_ocr_mine --card card.md \\
        --description "…" --licence "…" --figure "My books" my_books.tar.gz "^my_books/b"

Each ``--figure SET CORPUS REGEX [OPTIONS]`` is measured here and now ("" takes all samples; OPTIONS are more
of the command's, such as "--decoder greedy") and stored with the command that measures it again; ``FIGURES``
in the card becomes their table. The preset is written to ``$ZOO_HOME/presets/NAME``, or to ``--output``,
whose last part is the name then. ``--asset FILE`` puts a file into it, such as language_model.arpa, and
``--config alpha=0.8`` changes what the configuration says of decoding.
"""

import argparse
import ast
import contextlib
import dataclasses
import io
import json
import shlex
from pathlib import Path

from recipes import trainer
from zoo import cli, presets
from zoo.errors import UserError


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run folder or task folder")
    parser.add_argument("--name", required=True)
    parser.add_argument("--card", required=True, help="Markdown file")
    parser.add_argument("--description", required=True, help="one sentence")
    parser.add_argument("--licence", required=True, help="of the weights")
    parser.add_argument("--figure", nargs="+", action="append", required=True, metavar="SET CORPUS REGEX")
    parser.add_argument("--headline", choices=("cer", "wer"), default="cer", help="default: cer")
    parser.add_argument("--asset", action="append", default=[], metavar="FILE")
    parser.add_argument("--config", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--output", help="folder of the preset")
    options = parser.parse_args(arguments)

    from zoo.task import load

    text = Path(options.card).read_text(encoding="utf-8")
    output = Path(options.output or presets.home() / "presets" / options.name)
    task = load(options.run)
    task.assets |= {Path(path).name: Path(path).read_bytes() for path in options.asset}
    changes = dict(item.split("=", 1) for item in options.config)
    changes = {field: ast.literal_eval(value) for field, value in changes.items()}
    task.config = dataclasses.replace(task.config, **changes)
    task.save(output)  # what is measured below is what is shipped: weights as they are stored
    figures = [figure for given in options.figure for figure in _measured(output, options.name, *given)]
    rows = ["| set | samples | character error rate | word error rate | command |", "|---|---|---|---|---|"]
    for cer, wer in zip(figures[::2], figures[1::2], strict=True):
        rates = f"{cer['value']:.2%} | {wer['value']:.2%}"
        command = cer["command"].replace("|", "\\|")
        rows.append(f"| {cer['set']} | {cer['lines']} | {rates} | `{command}` |")
    headline = [f for f in figures if f["metric"] == options.headline]
    task.card |= {
        "description": options.description,
        "licence": options.licence,
        "headline": ", ".join(f"{f['set']} {f['value']:.2%} {f['metric'].upper()}" for f in headline),
        "figures": figures,
        "text": text.replace("FIGURES", "\n".join(rows)),
    }
    task.save(output)
    print(f"{output}: {task.card['headline']}")


def _measured(folder, name, title, corpus, only="", more=""):
    """Character and word error rate of a task folder, as ``zoo evaluate`` gives them."""
    arguments = ["--data", corpus, *(["--only", only] if only else []), *shlex.split(more)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = cli.main(["evaluate", str(folder), *arguments, "--format", "json"])
    if status:
        raise UserError(f"{title}: zoo evaluate ended with status {status}; see what it says above.")
    found = json.loads(printed.getvalue())
    command = f"zoo evaluate {name} --data {Path(corpus).name}"
    command += (f" --only '{only}'" if only else "") + (f" {more}" if more else "")
    return [
        {"set": title, "metric": metric, "value": found[metric], "lines": found["lines"], "command": command}
        for metric in ("cer", "wer")
    ]


if __name__ == "__main__":
    trainer.command(main)
