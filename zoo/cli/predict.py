"""``zoo predict``: read inputs with a model. Options, formats and plots are those of the model's reader."""

import itertools
import sys

from zoo.cli import common
from zoo.cli.common import complain
from zoo.errors import UserError
from zoo.formats import streams
from zoo.text.files import read_text

INPUTS = {
    "files": "paths of {}, or - for a path a line on standard input",
    "lines": "text files, plain or .gz, or - for standard input; each line is one of the {}",
    "prompts": "text files, plain or .gz; each file is one of the {}",
}
refuse = common.refuse


def add_arguments(parser, arguments):
    kind = common.add_model(parser, arguments)
    about = INPUTS[kind.takes].format(kind.reads) if kind.reads else "files, or lines of text files"
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help=about)
    parser.add_argument("--format", choices=kind.formats, default="text", help="default: text")
    if kind.plots:
        parser.add_argument("--plot", metavar="FILE.png", help=f"draw {kind.plot_help}")
    common.add_options(parser, kind, evaluates=False)
    parser.set_defaults(plot=None, n_best=None)


def run(options):
    _check_inputs(options)
    reader = (options.loaded or common.load(options.model)).reader
    if reader.takes == "prompts":
        return _write(reader, options)
    decoding, aligned = common.given(options, reader), reader.takes == "lines"
    sources = streams.texts(options.inputs) if aligned else [(None, streams.paths(options.inputs))]
    output, failed, shown = reader.formats[options.format](options.n_best, aligned), 0, []
    if options.plot and aligned:
        sources = [_only_line(sources, reader.one)]
    for name, items in sources:
        given, items = itertools.tee(items)
        results = reader.stream(items, errors="return", progress=sys.stderr.isatty(), **decoding)
        try:
            for item, result in zip(given, results, strict=True):
                if isinstance(result, Exception):
                    complain(f"{name}, {result}" if name else result)
                    output.fail()
                    failed += 1
                else:
                    if options.plot and reader.plots == "one":
                        reader.picture(item, options.plot, **decoding)
                    elif options.plot:
                        shown.append((item, result))
                    output.add(item, result)
                sys.stdout.flush()
        except UserError as error:
            if not aligned or options.plot:
                raise
            complain(error)  # this text cannot be read; another may be
            failed += 1
    output.end()
    if shown:
        items, found = zip(*shown, strict=True)
        reader.picture(items, options.plot, found=found, **decoding)
    return 2 if failed else 0


def _check_inputs(options):
    """UserError where there is no input, or not one where one is asked for."""
    kind = options.reader
    if kind.takes == "prompts":
        if options.inputs and options.prompt is not None:
            raise UserError("a prompt is --prompt or in the files given as INPUT; leave out either")
        return
    if not options.inputs:
        raise UserError(f"{options.model}: reads {kind.reads}; give some as INPUT")
    single = "--plot" if options.plot and kind.plots == "one" else None
    if getattr(kind.formats[options.format], "single", False):
        single = f"--format {options.format}"
    if single and kind.takes == "files" and (len(options.inputs) > 1 or options.inputs == ["-"]):
        raise UserError(f"{single} is for one {kind.one} at a time; give one INPUT")


def _write(reader, options):
    """Prompts, and how they go on: the text as it comes, or all about it."""
    decoding, failed = common.given(options, reader), 0
    given, output = decoding.pop("prompt", ""), reader.formats[options.format]()
    for name in options.inputs or [None]:
        try:
            prompt = given if name is None else read_text(name)
            if options.format != "text":
                output.add(name, next(reader.stream([prompt], **decoding)))
                continue
            last = ""
            for piece in itertools.chain([prompt], reader.write(prompt, **decoding)):
                print(piece, end="", flush=True)
                last = piece or last
            if not last.endswith("\n"):
                print()
        except UserError as error:
            about = "" if name is None or str(error).startswith(f"{name}: ") else f"{name}: "
            complain(f"{about}{error}")
            failed += 1
    output.end()
    return 2 if failed else 0


def _only_line(sources, one):
    """The only line of some texts, as a text."""
    lines = [(name, line) for name, items in sources for line in itertools.islice(items, 2)]
    if len(lines) != 1:
        raise UserError(f"--plot is for one {one} at a time; give one line")
    return lines[0][0], iter([lines[0][1]])
