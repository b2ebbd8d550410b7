"""Make a preset of a finished run: its best weights, a card, and figures measured by ``zoo evaluate``.

    python -m recipes.publish runs/mine --name line_ocr_mine --card card.md \\
        --description "…" --licence "…" --headline "Danish print: 2 letters in 100 wrong" \\
        --figure "My books" my_books.tar.gz "^my_books/b"

Each ``--figure SET CORPUS REGEX [OPTIONS]`` is measured here and now ("" takes all samples; OPTIONS are more
of the command's, such as "--decoder greedy") and stored with the command that measures it again; ``FIGURES``
in the card becomes their table. The preset is written to ``$ZOO_HOME/presets/NAME``, or to ``--output``,
whose last part is the name then. ``--asset FILE`` puts a file into it, such as language_model.arpa, and
``--config alpha=0.8`` changes what the configuration says of decoding.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import io
import json
import shlex
from pathlib import Path

from recipes.training import command_line
from zoo import cli, hub
from zoo.errors import UserError
from zoo.registry import reader_class


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("run", help="run folder or task folder")
    parser.add_argument("--name", required=True, help="of the preset")
    parser.add_argument("--card", required=True, metavar="FILE.md", help="its card, Markdown")
    parser.add_argument("--description", required=True, help="one sentence")
    parser.add_argument("--licence", required=True, help="of the weights")
    parser.add_argument(
        "--figure", nargs="+", action="append", required=True, metavar="TEXT",
        help="SET CORPUS REGEX [OPTIONS]: measure it on a corpus; SET is how that is called",
    )  # fmt: skip
    parser.add_argument(
        "--headline", metavar="TEXT",
        help="what `zoo list` says, so that a stranger can choose: language, script, century or kind of "
        "speech, and how much is wrong, in words; default: the figures",
    )  # fmt: skip
    parser.add_argument("--asset", action="append", default=[], metavar="FILE", help="to put into the preset")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FIELD=VALUE", help="to change in its configuration"
    )
    parser.add_argument("--int8", action="store_true", help="store weights in 8 bits")
    parser.add_argument("--output", help="folder of the preset")
    options = parser.parse_args(arguments)

    from zoo.contract.task import load

    text = Path(options.card).read_text(encoding="utf-8")
    output = Path(options.output or hub.home() / "presets" / options.name)
    task = load(options.run)
    task.assets |= {Path(path).name: Path(path).read_bytes() for path in options.asset}
    changes = dict(item.split("=", 1) for item in options.config)
    changes = {field: ast.literal_eval(value) for field, value in changes.items()}
    task.config = dataclasses.replace(task.config, **changes)
    task.save(output, options.int8)  # what is measured below is what is shipped: weights as they are stored
    reader = reader_class(task.name)
    metrics = {metric.name: metric for metric in reader.metrics}
    measured = [_measured(output, options.name, reader, *given) for given in options.figure]
    rows = ["| set | samples | " + " | ".join(metric.title for metric in reader.metrics) + " | command |"]
    rows.append("|---" * (3 + len(metrics)) + "|")
    for found in measured:
        values = " | ".join(metrics[one["metric"]].form.format(one["value"]) for one in found)
        command = found[0]["command"].replace("|", "\\|")
        rows.append(f"| {found[0]['set']} | {found[0]['samples']} | {values} | `{command}` |")
    figures = [figure for found in measured for figure in found]
    metric = reader.metrics[0]
    shown = [
        f"{one['set']} {metric.form.format(one['value'])} {metric.title}"
        for one in figures
        if one["metric"] == metric.name
    ]
    task.card |= {
        "description": options.description,
        "licence": options.licence,
        "headline": options.headline or ", ".join(shown),
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
        {"set": title, "metric": one.name, "value": found[one.name], "samples": count, "command": command}
        for one in reader.metrics
    ]


if __name__ == "__main__":
    command_line.command(main)
