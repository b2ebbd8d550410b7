"""``zoo predict``: read inputs with a model. Options, formats and plots are those of the model's reader."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sys
from typing import TYPE_CHECKING

from zoo.cli import common, pages
from zoo.cli.common import complain
from zoo.errors import UserError
from zoo.formats import streams
from zoo.formats.tables import named_columns
from zoo.text.files import read_text

if TYPE_CHECKING:
    import argparse

INPUTS = {
    "files": "paths of {}, folders, patterns, or - for standard input: a path a line, or the bytes of a file",
    "lines": "text files, plain or .gz, folders, patterns, or - for standard input; each line is one of the "
    "{}; of tables (.csv, .tsv, …) each row",
    "prompts": "text files, plain or .gz, folders, patterns; each file is one of the {}",
}
refuse = common.refuse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    kind = common.add_model(parser, arguments, runs=True)
    about = INPUTS[kind.takes].format(kind.reads) if kind.reads else "files, or lines of text files"
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help=about)
    formats = [*kind.formats, *(pages.SUFFIX if kind.reads_pages else ())]
    parser.add_argument("--format", choices=formats, default="text", help="default: text")
    if kind.takes == "lines":
        parser.add_argument("--text", metavar="TEXT", help=f"one of the {kind.reads}, instead of INPUT")
        parser.add_argument("--columns", metavar="WHAT=COLUMN", help=f"read tables: {kind.columns_help}")
    if kind.writes:
        listed = ", ".join(f"FILE{suffix}" for suffix in kind.writes)
        parser.add_argument("--output", metavar="FILE", help=f"{listed}, or - for standard output")
    if kind.follows:
        parser.add_argument("--follow", action="store_true", help=f"give {kind.follows}")
    if kind.plots:
        parser.add_argument("--plot", metavar="FILE.png", help=f"draw {kind.plot_help}")
    if kind.reads_pages:
        pages.add_arguments(parser)
    common.add_options(parser, kind, evaluates=False)
    parser.set_defaults(plot=None, n_best=None, follow=False, output=None, text=None)


def run(options: argparse.Namespace) -> int:
    """Exit status 0; 3 where some inputs could not be read, 2 where none could be."""
    if options.reader.reads_pages and pages.are_meant(options):
        if not options.inputs:
            raise UserError(f"{options.model}: reads pages; give some as INPUT")
        return pages.run(options)
    _check_inputs(options)
    reader = common.loaded(options).reader
    with contextlib.ExitStack() as stack:
        written = options.output and stack.enter_context(reader.writer(options.output))
        formatted = reader.formats[options.format](options.n_best, reader.takes == "lines")
        # Standard output is either's.
        told = _Told(formatted if options.output != "-" else _Nothing(), written)
        _tell(reader, options, told)
    return told.status


def _tell(reader, options, told):
    if reader.takes == "prompts":
        _write(reader, options, told)
    elif options.follow:
        _follow(reader, options, told)
    else:
        _read(reader, options, told)


class _Nothing(streams.Text):
    """A format that shows no result."""

    def add(self, item, result):
        pass

    fail = add


class _Told:
    """What is told of each input: its result on standard output, or what is wrong with it.

    ``written``, where it is not None, gets the results, too.
    """

    def __init__(self, output, written=None):
        self.output, self.written, self.good, self.failed = output, written, 0, 0

    @property
    def status(self):
        return (3 if self.good else 2) if self.failed else 0

    def result(self, name, result):
        self.good += 1
        if self.written:
            self.written.add(result)
        self.output.add(name, result)
        sys.stdout.flush()

    def error(self, name, error, about="", whole=False):
        """``about`` begins the sentence; ``whole``: a file of inputs, some of which may have been read."""
        self.failed += 1
        complain(f"{about}{error}")
        (self.output.lose if whole else self.output.fail)(name, f"{about}{error}")
        sys.stdout.flush()


def _read(reader, options, told):
    decoding, shown = common.given(options, reader), []
    if reader.takes == "lines":
        named = named_columns(options.columns and [options.columns])
        sources = streams.texts(options.inputs, reader.columns, named)
        if options.text is not None:
            sources = [("--text", streams.Feed([(options.text, options.text)]))]
    else:
        sources = [(None, streams.paths(options.inputs, reader.suffixes, reader.part_suffixes))]
    if single := _single(options):
        sources = [_only(sources, single, reader)]
    for source, feed in sources:
        items = feed
        if options.plot:
            given, items = itertools.tee(feed)
        results = reader.stream(items, errors="return", progress=sys.stderr.isatty(), **decoding)
        for result in results:
            name = feed.names.popleft()
            item = next(given) if options.plot else None
            if isinstance(name, UserError):
                told.error("", name)
            elif isinstance(result, Exception) and source:
                told.error(name, result, f"{source}, ")
            elif isinstance(result, Exception):
                why = streams.told(name, result, reader.suffixes, reader.reads, reader.part_suffixes)
                told.error(name, why)
            else:
                if options.plot and reader.plots == "one":
                    reader.picture(item, options.plot, **decoding)
                elif options.plot:
                    shown.append((item, result))
                told.result(name, result)
        if feed.error and options.plot:
            raise feed.error
        if feed.error:  # this text cannot be read; another may be
            told.error(source, feed.error, whole=True)
    told.output.end()
    if shown:
        items, found = zip(*shown, strict=True)
        reader.picture(items, options.plot, found=found, **decoding)


def _follow(reader, options, told):
    """What is found at each time of a recording, which comes row by row."""
    (name,) = options.inputs
    stdin = streams.StandardInput()
    if name != "-":
        given = name
    elif reader.follows_bytes:
        given = stdin.parts()
    else:
        given = streams.Feed(((None, line) for line in stdin.lines()), stdin.waiting)
    in_full, shown = options.format in ("json", "jsonl"), sys.stdout.isatty()
    for moment in reader.follow(given, **common.given(options, reader)):
        final = getattr(moment, "final", True)
        if shown and not in_full and reader.follows_bytes:  # one line that changes until it is final
            begin = moment.text[-shutil.get_terminal_size().columns + 1 :]
            print("\r\x1b[K" + (begin if not final else ""), end="", flush=True)
        if final or in_full:
            told.result(name, moment)
    told.output.end()


def _check_inputs(options):
    """UserError where there is no input, or not one where one is asked for."""
    kind = options.reader
    if kind.takes == "prompts":
        if options.inputs and options.prompt is not None:
            raise UserError("a prompt is --prompt or in the files given as INPUT; leave out either")
        return
    if options.text is not None:
        if options.inputs:
            raise UserError("a text is --text or in the files given as INPUT; leave out either")
    elif not options.inputs and kind.interactive:
        options.inputs = ["-"]
        if sys.stdin and sys.stdin.isatty():
            print(f"Type a {kind.one} a line; Ctrl-D ends them.", file=sys.stderr)
    if kind.writes and not (options.output or options.plot):
        raise UserError(f"{options.model}: where is the result to go? give --output FILE{kind.writes[0]}")
    if not options.inputs and options.text is None:
        raise UserError(f"{options.model}: reads {kind.reads}; give some as INPUT")
    if options.follow and options.plot:
        raise UserError("--plot draws a recording that is whole; leave out --follow, or --plot")
    if options.follow and getattr(kind.formats[options.format], "single", False):
        raise UserError(
            f"--format {options.format} is for a recording that is whole; leave out --follow, or it"
        )
    if kind.takes == "files" and len(options.inputs) > 1 and (single := _single(options)):
        raise _several(single, kind)


def _single(options):
    """The option that takes one input alone, or None."""
    kind = options.reader
    if options.follow:
        return "--follow"
    if options.plot and kind.plots == "one":
        return "--plot"
    single = getattr(kind.formats[options.format], "single", False)
    return f"--format {options.format}" if single else None


def _several(single, kind):
    return UserError(
        f"{single} is for one {kind.one} at a time; give one {'line' if kind.takes == 'lines' else 'INPUT'}"
    )


def _only(sources, single, reader):
    """The only input of some sources, as a source. Raises UserError where there are none or more."""
    found = [
        (source, feed.names.popleft(), item) for source, feed in sources for item in itertools.islice(feed, 2)
    ]
    if len(found) != 1:
        raise _several(single, reader)
    if isinstance(found[0][1], UserError):
        raise found[0][1]
    return found[0][0], streams.Feed([found[0][1:]])


def _write(reader, options, told):
    """Prompts, and how they go on: the text as it comes, or all about it."""
    decoding = common.given(options, reader)
    given = decoding.pop("prompt", "")
    names = (path for name in options.inputs for path in streams.expanded(name, streams.TEXTS))
    for name in names if options.inputs else [None]:
        try:
            prompt = given if name is None else read_text(name)
            if options.format != "text":
                told.result(name, next(reader.stream([prompt], **decoding)))
                continue
            last = ""
            for piece in itertools.chain([prompt], reader.write(prompt, **decoding)):
                print(piece, end="", flush=True)
                last = piece or last
            if not last.endswith("\n"):
                print()
            told.good += 1
        except UserError as error:
            error = streams.told(name, error, streams.TEXTS, "texts")
            told.error(name, error, "" if name is None or str(error).startswith(f"{name}: ") else f"{name}: ")
    told.output.end()
