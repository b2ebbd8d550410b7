"""``zoo evaluate``: measure a model on corpora."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from typing import TYPE_CHECKING

from zoo.backend import has_tensorflow, import_tensorflow
from zoo.cli import common
from zoo.errors import UserError
from zoo.formats.tables import COLUMNS_HELP, named_columns

if TYPE_CHECKING:
    import argparse

refuse = common.refuse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    kind = common.add_model(parser, arguments, runs=True)
    parser.add_argument(
        "--data", metavar="CORPUS", nargs="+", required=True, help="file, folder, tar or tfds:NAME"
    )
    parser.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")
    parser.add_argument(
        "--columns", metavar="WHAT=COLUMN", nargs="+", help=f"{COLUMNS_HELP}text, label, audio and so on"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw how often results are right, by how sure they are"
    )
    if kind.reads_pages:
        parser.add_argument(
            "--pages", action="store_true",
            help="CORPUS has whole pages with ALTO, PAGE, hOCR or ABBYY's XML; their lines are found, too",
        )  # fmt: skip
    common.add_options(parser, kind, evaluates=True)
    parser.set_defaults(pages=False)


def run(options: argparse.Namespace) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # where tensorflow-datasets says what it prepares
        model = common.loaded(options)
        if has_tensorflow():  # in silence, before what reads corpora does
            import_tensorflow()
        report, rows = (_pages if options.pages else _samples)(model, options)
    if options.plot:
        _plot(report, options)
    about = {"model": options.model, "data": options.data}
    report = about | ({"only": options.only} if options.only else {}) | report
    if options.format == "json":
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    rows = [("set", " ".join(options.data)), *rows]
    width = max(8, *(len(name) for name, _ in rows))
    for name, value in rows:
        print(f"{name:{width}} {value}")
    for sentence in report["skipped"]:
        common.complain(sentence)


def _samples(model, options):
    """``(report, rows)`` on the samples of corpora."""
    decoding = common.given(options, model.reader)
    columns = named_columns(options.columns)
    report = common.measure(model, options.data, options.only, columns, **decoding)
    return report, model.reader.rows(report)


def _plot(report, options):
    """Draws the reliability diagram of a report."""
    from zoo.plots.reliability import draw

    if "confidence" not in report:
        raise UserError(f"--plot: there is no confidence to draw of {options.model}; leave it out")
    title = os.path.basename(options.model) or options.model
    panels = {title: {options.reader.reads: report["confidence"]}}
    if "word_confidence" in report:
        panels[f"{title}, words"] = {"words": report["word_confidence"]}
    draw(panels, options.plot)


def _pages(model, options):
    """``(report, rows)`` on whole pages."""
    from zoo.metrics.pages import evaluate_pages, rows

    if options.only or options.columns:
        raise UserError("--only and --columns are for lines; leave them out, or --pages")
    decoding = common.given(options, model.reader)
    same = decoding.pop("same", ())
    read = functools.partial(model.pages.read_sheet, **decoding)
    direction = model.pages.vocabulary.direction
    report = evaluate_pages(read, options.data, True, direction, sys.stderr.isatty(), same)
    return report, rows(report)
