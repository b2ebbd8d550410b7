"""``zoo evaluate``: measure a model on corpora."""

import contextlib
import json
import sys

from zoo.backend import import_tensorflow
from zoo.cli import common
from zoo.formats.tables import COLUMNS_HELP, named_columns

refuse = common.refuse


def add_arguments(parser, arguments):
    kind = common.add_model(parser, arguments)
    parser.add_argument(
        "--data", metavar="CORPUS", nargs="+", required=True, help="file, folder, tar or tfds:NAME"
    )
    parser.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")
    parser.add_argument(
        "--columns", metavar="WHAT=COLUMN", nargs="+", help=f"{COLUMNS_HELP}text, label, audio and so on"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    common.add_options(parser, kind, evaluates=True)


def run(options):
    with contextlib.redirect_stdout(sys.stderr):  # where tensorflow-datasets says what it prepares
        model = options.loaded or common.load(options.model)
        import_tensorflow()
        decoding = common.given(options, model.reader)
        columns = named_columns(options.columns)
        report = model.evaluate(options.data, options.only, progress=True, columns=columns, **decoding)
    about = {"model": options.model, "data": options.data}
    report = about | ({"only": options.only} if options.only else {}) | report
    if options.format == "json":
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    rows = [("set", " ".join(options.data)), *model.reader.rows(report)]
    width = max(8, *(len(name) for name, _ in rows))
    for name, value in rows:
        print(f"{name:{width}} {value}")
    for sentence in report["skipped"]:
        common.complain(sentence)
