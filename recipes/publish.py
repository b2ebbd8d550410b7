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

from export.readers import reader_class
from recipes import trainer
from zoo import cli, presets
from zoo.errors import UserError

_METRICS = {"cer": "character error rate", "wer": "word error rate", "bleu": "BLEU", "chrf": "chrF"}
_METRICS |= {f"bleu{n}": f"BLEU-{n}" for n in range(1, 5)} | {"rouge_l": "ROUGE-L", "cider": "CIDEr-D"}
_METRICS |= {"accuracy": "accuracy", "macro_f1": "macro F1"}
_METRICS |= {f"{unit}_per_character": f"{unit} per character" for unit in ("bits", "nats")}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run folder or task folder")
    parser.add_argument("--name", required=True)
    parser.add_argument("--card", required=True, help="Markdown file")
    parser.add_argument("--description", required=True, help="one sentence")
    parser.add_argument("--licence", required=True, help="of the weights")
    parser.add_argument("--figure", nargs="+", action="append", required=True, metavar="SET CORPUS REGEX")
    parser.add_argument("--headline", metavar="METRIC", help="by default the first that is measured")
    parser.add_argument("--asset", action="append", default=[], metavar="FILE")
    parser.add_argument("--config", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--int8", action="store_true", help="store weights in 8 bits")
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
    task.save(output, options.int8)  # what is measured below is what is shipped: weights as they are stored
    reader = reader_class(task.name)
    forms = reader.figures
    measured = [_measured(output, options.name, reader, *given) for given in options.figure]
    rows = ["| set | samples | " + " | ".join(_METRICS[m] for m in forms) + " | command |"]
    rows.append("|---" * (3 + len(forms)) + "|")
    for found in measured:
        values = " | ".join(forms[one["metric"]].format(one["value"]) for one in found)
        command = found[0]["command"].replace("|", "\\|")
        rows.append(f"| {found[0]['set']} | {found[0]['samples']} | {values} | `{command}` |")
    figures = [figure for found in measured for figure in found]
    metric = options.headline or next(iter(forms))
    headline = [f"{f['set']} {forms[metric].format(f['value'])}" for f in figures if f["metric"] == metric]
    short = metric.upper() if metric in ("cer", "wer") else _METRICS[metric]
    if not headline:
        raise UserError(f"--headline {metric!r} is not measured; choose one of {', '.join(forms)}.")
    task.card |= {
        "description": options.description,
        "licence": options.licence,
        "headline": ", ".join(f"{text} {short}" for text in headline),
        "figures": figures,
        "text": text.replace("FIGURES", "\n".join(rows)),
    }
    task.save(output, options.int8)
    print(f"{output}: {task.card['headline']}")


def _measured(folder, name, reader, title, corpus, only="", more=""):
    """The figures of a task folder that its class of readers names, as ``zoo evaluate`` gives them."""
    arguments = ["--data", corpus, *(["--only", only] if only else []), *shlex.split(more)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = cli.main(["evaluate", str(folder), *arguments, "--format", "json"])
    if status:
        raise UserError(f"{title}: zoo evaluate ended with status {status}; see what it says above.")
    found = json.loads(printed.getvalue())
    path = Path(corpus)
    command = f"zoo evaluate {name} --data {path.name if path.is_absolute() else path}"
    command += (f" --only '{only}'" if only else "") + (f" {more}" if more else "")
    count = next(found[unit] for unit in ("lines", "characters", reader.reads) if unit in found)
    return [
        {"set": title, "metric": metric, "value": found[metric], "samples": count, "command": command}
        for metric in reader.figures
    ]


if __name__ == "__main__":
    trainer.command(main)
