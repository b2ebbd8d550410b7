"""``zoo predict MODEL … --pages``: whole pages, and what is written of each."""

from __future__ import annotations

import concurrent.futures
import io
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

from export.runtime import cores
from zoo.cli import common
from zoo.contract.options import positive
from zoo.contract.pages import DEHYPHENATE, PageReader
from zoo.errors import UserError
from zoo.files import atomic_write
from zoo.formats import streams
from zoo.images.sheets import DESCRIBED, SUFFIXES, open_sheets

if TYPE_CHECKING:
    import argparse

# What describes a page, and how files of it end.
SUFFIX = {"alto": ".xml", "page": ".xml", "hocr": ".hocr", "pdf": ".pdf"}
_WRITTEN = {"text": ".txt", "json": ".json", **SUFFIX}
_BY_PAGE = ("alto", "page", "hocr")  # formats with one page in a file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of whole pages, for a model that reads lines."""
    group = parser.add_argument_group("options of whole pages")
    group.add_argument(
        "--pages", action="store_true",
        help="INPUT are whole pages, whose lines are found: images, TIFFs of several pages, PDFs, or ALTO, "
        "PAGE, hOCR or ABBYY's XML beside an image, which tells the lines; so are PDFs and XML without this",
    )  # fmt: skip
    group.add_argument("--output", metavar="FOLDER", help="a file for each INPUT; those already there stay")
    group.add_argument("--processes", type=positive, metavar="N", help="read N INPUTs at a time, default: 1")
    group.add_argument(DEHYPHENATE.flag, action="store_true", default=None, help=DEHYPHENATE.help)


def are_meant(options: argparse.Namespace) -> bool:
    """Whether the options of ``zoo predict`` are on whole pages."""
    if any(getattr(options, name, None) for name in ("pages", "output", "processes", "dehyphenate")):
        return True
    return options.format in SUFFIX or any(
        name.lower().endswith((".pdf", *DESCRIBED)) for name in options.inputs
    )


def run(options: argparse.Namespace) -> int:
    """Exit status as of ``zoo predict``."""
    from tqdm import tqdm

    _check(options)
    if options.output is None:
        return _print(options)
    tasks, kept = _planned(options)
    written, failed, quiet = 0, 0, not sys.stderr.isatty()
    results = _results(options, tasks)
    for problems, whole in tqdm(results, "reading", len(tasks), False, unit="file", disable=quiet):
        for problem in problems:
            common.complain(problem)
        written, failed = written + whole, failed + bool(problems)
    about = f"{options.output}: {written} written"
    print(about + f"; {kept} were there already, remove them to have them read again" * bool(kept))
    return (3 if written or kept else 2) if failed else 0


def _check(options):
    if options.output is not None and options.format not in _WRITTEN:
        raise UserError(f"--output writes {', '.join(_WRITTEN)}; give one of these as --format")
    if options.output is not None and options.plot:
        raise UserError("--plot draws one page; leave out --output")
    if options.processes and options.output is None:
        raise UserError("--processes is for many files; give a folder for them as --output")
    if options.n_best is not None:
        raise UserError("--n-best is for lines; leave it out for pages")


# === To standard output ===


def _print(options):
    reader = PageReader(common.loaded(options).reader)
    items = list(_items(options.inputs))
    single = "--plot" if options.plot else f"--format {options.format}" * (options.format in SUFFIX)
    if single and len(items) != 1:
        raise UserError(f"{single} is for one page; give one INPUT, or a folder as --output")
    decoding = _decoding(options)
    good = failed = 0
    formatted = None if options.format in SUFFIX else reader.formats[options.format](None, False)
    documents = reader.stream(
        (item for _, item, _ in items), errors="return", progress=sys.stderr.isatty(), **decoding
    )
    for (name, item, _), document in zip(items, documents, strict=True):
        if isinstance(document, UserError):
            problem = streams.told(name, document, SUFFIXES, reader.reads)
            common.complain(problem)
            failed += 1
            if formatted:
                formatted.fail(name, problem)
            continue
        for problem in document.problems:
            common.complain(problem)
        good, failed = good + 1, failed + bool(document.problems)
        if options.plot:
            reader.picture(item, options.plot, found=document)
        if options.format == "text":
            print(document.text)
        elif formatted:
            formatted.add(name, document)
        else:
            _check_pages(options.format, document, name)
            _print_file(options.format, item, document, reader)
        sys.stdout.flush()
    if formatted:
        formatted.end()
    return (3 if good else 2) if failed else 0


def _print_file(format, item, document, reader):
    if format == "pdf":
        _write(format, item, document, sys.stdout.buffer, reader)
        return
    written = io.BytesIO()
    _write(format, item, document, written, reader)
    print(written.getvalue().decode().rstrip("\n"))


def _check_pages(format, document, name):
    if format in _BY_PAGE and len(document.pages) > 1:
        raise UserError(f"{name}: it has {len(document.pages)} pages; give a folder for them as --output")


def _items(arguments):
    """``(name, input, place)``: what an input is called, and where below a folder its file belongs."""
    for argument in arguments:
        if argument == "-":
            feed = streams.paths(["-"], SUFFIXES)
            for item in feed:
                name = feed.names.popleft()
                place = "standard input" if name == "-" else os.path.basename(name)
                yield ("standard input" if name == "-" else name), item, place
            continue
        for path in streams.expanded(argument, SUFFIXES):
            inside = os.path.isdir(argument) and path != argument
            yield path, path, os.path.relpath(path, argument) if inside else os.path.basename(path)


def _decoding(options):
    """The keyword arguments of ``PageReader.stream`` that were given."""
    names = [option.name for option in (*options.reader.options, DEHYPHENATE)]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


# === To files ===


def _planned(options):
    """``(tasks, kept)``: what is to be read, ``(name, input, file)`` each, and how many files are there."""
    tasks, taken, kept, end = [], set(), 0, _WRITTEN[options.format]
    for name, item, place in _items(options.inputs):
        file = os.path.join(options.output, os.path.splitext(place)[0] + end)
        if file in taken:  # of another image with this name
            file = os.path.join(options.output, place + end)
        taken.add(file)
        if os.path.exists(file) or os.path.exists(_numbered(file, 1)):
            kept += 1
        else:
            tasks.append((name, item, file))
    return tasks, kept


def _numbered(file, number):
    stem, end = os.path.splitext(file)
    return f"{stem}-{number:04d}{end}"


def _results(options, tasks):
    """Iterate over what ``_read`` gives of each task, in their order."""
    about = [(*task, options.format, _decoding(options)) for task in tasks]
    if not about:
        return
    how, many = common.reading(options), min(options.processes or 1, len(tasks))
    if many == 1:
        _set(PageReader(common.loaded(options).reader))
        yield from (_read(*one) for one in about)
        return
    how["threads"] = how.get("threads") or max(1, cores() // many)
    spawning = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(many, spawning, _begin, (options.model, how)) as pool:
        waiting = [pool.submit(_read, *one) for one in about]
        try:
            yield from (one.result() for one in waiting)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError("a process ended, perhaps for lack of memory; give fewer --processes") from error
        finally:
            pool.shutdown(cancel_futures=True)


_reader = None


def _set(reader):
    global _reader
    _reader = reader


def _begin(model, how):
    """A process begins: it loads the model."""
    _set(PageReader(common.load(model, **how).reader))


def _read(name, item, file, format, decoding):
    """``(problems, whole)``: reads one input and writes its file."""
    try:
        document = next(_reader.stream([item], errors="raise", **decoding))
        numbers = range(1, len(document.pages) + 1)
        if format in _BY_PAGE and len(numbers) > 1:
            # The first one comes last: where it is, all are.
            for number in reversed(numbers):
                page = document.pages[number - 1]
                with atomic_write(_numbered(file, number)) as output:
                    _write(format, item, document, output, _reader, [page])
        else:
            with atomic_write(file) as output:
                _write(format, item, document, output, _reader)
    except UserError as error:
        return [str(streams.told(name, error, SUFFIXES, _reader.reads))], False
    return [str(problem) for problem in document.problems], True


def _write(format, item, document, output, reader, pages=None):
    """Writes a document, or some pages of it, into a file that is open for bytes."""
    pages = document.pages if pages is None else pages
    model = reader.metadata.get("preset", "")
    if format == "text":
        output.write(f"{document.text}\n".encode())
    elif format == "json":
        output.write(streams.dumped(document.to_json()).encode() + b"\n")
    elif format == "pdf":
        from zoo.formats.pages import pdf

        pdf.write(output, _images(item, document), model)
    else:
        from zoo.formats.pages import alto, hocr, page_xml

        writer = {"alto": alto, "page": page_xml, "hocr": hocr}[format]
        output.write(writer.write(pages[0], model))


def _images(item, document):
    """What ``zoo.formats.pages.pdf.write`` takes of each page that was read, one at a time."""
    read = {sheet.name: page for sheet, page in zip(document.sheets, document.pages, strict=True)}
    # What can be shown as it is need not be drawn or decoded once more.
    whole = all(sheet.source is not None for sheet in document.sheets)
    for sheet in document.sheets if whole else open_sheets(item):
        if not isinstance(sheet, UserError) and sheet.name in read:
            dpi = sheet.dpi and tuple(side * more for side, more in zip(sheet.dpi, sheet.scale, strict=True))
            image = sheet.pixels if sheet.source is None else sheet.source
            yield image, read[sheet.name], dpi
