"""The ``zoo`` command: the front door to presets, reading, evaluation and export.

``zoo list``, ``zoo show`` and ``zoo predict FILE.onnx`` need the base install only: every import of
TensorFlow, Keras or ``export`` stands inside the command that needs it.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from zoo import __version__, load, presets, streams
from zoo.backend import import_tensorflow
from zoo.errors import UserError, train_extra

# What a reader may not understand, and what it is for; see ``zoo.reader.BaseReader.options``.
_OPTIONS = {"beam_width": "searching"} | dict.fromkeys(("temperature", "top_k", "seed"), "sampling")
_OPTIONS |= dict.fromkeys(("n_best", "length_penalty"), "translation and captioning")
_OPTIONS |= dict.fromkeys(("decoder", "language_model", "alpha", "beta", "hot_words", "srt", "vtt"), "speech")
_OPTIONS |= dict.fromkeys(("prompt", "length"), "writing")
_OPTIONS["plot"] = "speech, translation and captioning"
_OUTPUTS = {"plot", "srt", "vtt"}  # the others are how to decode


def main(arguments=None):
    """Run one command.

    Args:
        arguments: list of str, by default those of the process.

    Returns:
        The exit status: 0 on success, 2 for bad input, 130 after Ctrl-C, 141 when the reader of the
        output has gone.
    """
    for stream in (sys.stdin, sys.stdout):
        with contextlib.suppress(AttributeError):  # a stream that someone put in place of the real one
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    options = _options(arguments)
    try:
        with train_extra():
            status = options.command(options)
        sys.stdout.flush()
        return status or 0
    except UserError as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more on its way out; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _options(arguments):
    parser = _parser()
    options, further = parser.parse_known_args(arguments)
    if further and hasattr(options, "inputs") and not any(re.match("-.", text) for text in further):
        # Behind options: argparse takes the list, which may be empty, to have ended.
        options.inputs += further
    elif further:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    return options


def _parser():
    parser = argparse.ArgumentParser(
        prog="zoo", description="Recurrent sequence models, trained and exported."
    )
    parser.add_argument("--version", action="version", version=f"seqzoo {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run, name, help):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(command=run)
        return sub

    command(list_presets, "list", "list the presets: name, task, size, headline figure")

    show = command(show_card, "show", "print a model card")
    show.add_argument("model", metavar="NAME", help="preset name or task folder")

    model = {
        "metavar": "MODEL",
        "help": "preset name, task or run folder, address with sha256, or .onnx file",
    }
    read = command(predict, "predict", "read inputs with a model")
    read.add_argument("model", **model)
    read.add_argument(
        "inputs", metavar="INPUT", nargs="*",
        help="image or sound files, or - for a file name a line on stdin; translation: text files, plain or "
        ".gz, or - for stdin, with a sentence a line; writing: such files, each a prompt as a whole",
    )  # fmt: skip
    read.add_argument(
        "--format", choices=streams.FORMATS, default="text", help="default: text; srt, vtt: subtitles"
    )
    read.add_argument(
        "--plot",
        metavar="FILE.png",
        help="draw how speech was heard, where a translation looked, or images with their captions",
    )
    _add_decoding(read).add_argument(
        "--n-best", type=_positive, metavar="N",
        help="N translations of each line or captions of each image, best first by score and length penalty, "
        "or as drawn: N lines of score, tab and text (empty ones where fewer were found); tsv: input, score, "
        "text; json: hypotheses",
    )  # fmt: skip

    writing = read.add_argument_group("writing", "a text that goes on from a prompt, shown as it comes")
    writing.add_argument(
        "--prompt", metavar="TEXT", help="what it goes on from, shown first; without one: from nothing"
    )
    writing.add_argument(
        "--length", type=_positive, metavar="N", help="characters to write after the prompt, default 500"
    )

    measure = command(evaluate, "evaluate", "measure a model on corpora")
    measure.add_argument("model", **model)
    measure.add_argument(
        "--data", metavar="CORPUS", nargs="+", required=True, help="file, folder, tar or tfds:NAME"
    )
    measure.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")
    measure.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    _add_decoding(measure)

    write = command(export_model, "export", "write a model as one ONNX file or as a SavedModel")
    write.add_argument(
        "model", metavar="MODEL", help="preset name, task or run folder, address with sha256, or .keras file"
    )
    write.add_argument("--output", metavar="PATH", required=True, help="the file, or the SavedModel's folder")
    write.add_argument("--format", choices=("onnx", "savedmodel"), default="onnx", help="default: onnx")
    write.add_argument("--int8", action="store_true", help="weights in 8 bits: a quarter of the size, faster")
    write.add_argument("--float16", action="store_true", help="weights in 16 bits: half the size")
    write.add_argument("--opset", type=_positive, metavar="N", help="ONNX operator set, default 17")
    write.add_argument(
        "--data", metavar="CORPUS", nargs="+", help="measure the file on corpora, also before --int8"
    )
    write.add_argument("--only", metavar="REGEX", help="just the lines whose CORPUS/NAME it matches")

    race = command(bench_model, "bench", "measure an export beside the other ways to run its model")
    race.add_argument("model", metavar="MODEL", help="preset name, task or run folder, or .keras file")
    race.add_argument("--steps", type=_positive, metavar="N", help="length of the sequences, default 200")
    race.add_argument("--threads", type=_positive, metavar="N", help="onnxruntime's, default one a core")
    race.add_argument("--format", choices=("text", "json"), default="text", help="default: text")

    about = "make a language model of words, for speech"
    words = commands.add_parser("lm", help=about, description=about).add_subparsers(
        metavar="COMMAND", required=True
    )
    count = words.add_parser("build", help="from text", description=f"{about}, from text")
    count.set_defaults(command=build_language_model)
    count.add_argument("texts", metavar="TEXT", nargs="+", help="a sentence a line, plain or .gz; - is stdin")
    count.add_argument("--output", metavar="FILE", required=True, help="the ARPA file, plain or .gz")
    count.add_argument("--order", type=_positive, default=3, metavar="N", help="words it spans, default 3")
    count.add_argument(
        "--prune", type=_wholes, default=(0,), metavar="N,N,…",
        help="leave out what occurs no more often, by length: 0,0,1 for what three words or more say once",
    )  # fmt: skip
    return parser


def _add_decoding(parser):
    """The options that choose how probabilities become text; returns the group of those for n-best lists."""
    parser.add_argument(
        "--beam-width", type=_positive, metavar="N", help="hypotheses kept; line images: .onnx files only"
    )
    speech = parser.add_argument_group("speech")
    speech.add_argument(
        "--decoder", choices=("greedy", "beam"), help="default: beam where the model has a language model"
    )
    speech.add_argument("--language-model", metavar="FILE", help="ARPA file, instead of the model's own")
    speech.add_argument("--alpha", type=float, metavar="X", help="weight of the language model")
    speech.add_argument("--beta", type=float, metavar="X", help="bonus of each word")
    speech.add_argument(
        "--hot-words", type=_words, metavar="WORD,WORD", help="words to expect, divided by commas"
    )
    sampling = parser.add_argument_group("sampling", "draws text by its probability instead of searching")
    sampling.add_argument(
        "--temperature", type=float, metavar="T",
        help="1: by the model's own probabilities, less: likely words more often; 0: always the likeliest",
    )  # fmt: skip
    sampling.add_argument("--top-k", type=_positive, metavar="N", help="each from the N likeliest alone")
    sampling.add_argument(
        "--seed", type=_whole, metavar="N", help="draws the same again; without one, each run draws anew"
    )
    written = parser.add_argument_group("translation and captions of images")
    written.add_argument(
        "--length-penalty", type=float, metavar="X", help="more favours long texts; 0 is none"
    )
    return written


def _words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _whole(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _wholes(text):
    return tuple(_whole(number) for number in text.split(","))


# === Commands ===


def list_presets(options):
    rows, status = [], 0
    if not presets.names():
        _complain(f"no presets in {presets.PACKAGED} or {presets.home() / 'presets'}")
    for name in presets.names():
        try:
            about = presets.info(presets.folder(name))
            size = f"{about['size_bytes'] / 1e6:.1f} MB" if "size_bytes" in about else ""
            rows.append((name, about.get("task", ""), size, about.get("headline", "")))
        except UserError as error:
            _complain(error)
            status = 2
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, task, size, headline in rows:
        line = f"{name:{widths[0]}}  {task:{widths[1]}}  {size:>{widths[2]}}  {headline}"
        print(line.rstrip())
    return status


def show_card(options):
    text = presets.card(presets.find(options.model))
    print(text, end="" if text.endswith("\n") else "\n")


def predict(options):
    reader, _ = _open(options)
    if reader.takes == "prompts":
        return _write(reader, options)
    decoding, aligned = _decoding(options), reader.takes == "lines"
    sources = streams.texts(options.inputs) if aligned else [(None, streams.paths(options.inputs))]
    output, failed, shown = streams.FORMATS[options.format](options.n_best, aligned), 0, []
    if options.plot and aligned:
        sources = [_only_line(sources, reader.one)]
    for name, items in sources:
        given, items = itertools.tee(items)
        results = reader.stream(items, errors="return", progress=sys.stderr.isatty(), **decoding)
        try:
            for item, result in zip(given, results, strict=True):
                if isinstance(result, Exception):
                    _complain(f"{name}, {result}" if name else result)
                    output.fail()
                    failed += 1
                else:
                    if options.plot and "plot" in reader.single:
                        reader.picture(item, options.plot, **decoding)
                    elif options.plot:
                        shown.append((item, result))
                    output.add(item, result)
                sys.stdout.flush()
        except UserError as error:
            if not aligned or options.plot:
                raise
            _complain(error)  # this text cannot be read; another may be
            failed += 1
    output.end()
    if shown:
        items, found = zip(*shown, strict=True)
        reader.picture(items, options.plot, found=found, **decoding)
    return 2 if failed else 0


def _write(reader, options):
    """Prompts, and how they go on: the text as it comes, or all about it."""
    from zoo.plain_text import read_text

    decoding, failed = _decoding(options), 0
    given, output = decoding.pop("prompt", ""), streams.FORMATS[options.format]()
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
            _complain(f"{about}{error}")
            failed += 1
    output.end()
    return 2 if failed else 0


def _only_line(sources, one):
    """The only line of some texts, as a text."""
    lines = [(name, line) for name, items in sources for line in itertools.islice(items, 2)]
    if len(lines) != 1:
        raise UserError(f"--plot is for one {one} at a time; give one line")
    return lines[0][0], iter([lines[0][1]])


def evaluate(options):
    with contextlib.redirect_stdout(sys.stderr):  # where tensorflow-datasets says what it prepares
        reader, task = _open(options)
        report = _evaluate(reader, task, options.data, options.only, **_decoding(options))
    about = {"model": options.model, "data": options.data}
    report = about | ({"only": options.only} if options.only else {}) | report
    if options.format == "json":
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    rows = [("set", " ".join(options.data)), *reader.rows(report)]
    width = max(8, *(len(name) for name, _ in rows))
    for name, value in rows:
        print(f"{name:{width}} {value}")
    for sentence in report["skipped"]:
        _complain(sentence)


def export_model(options):
    if _is_onnx(options.model):
        raise UserError(
            f"{options.model}: this is exported already; give a preset, a task, run folder or .keras file"
        )
    _use_tensorflow()
    is_keras = options.model.lower().endswith(".keras")
    if options.format == "savedmodel" and (options.int8 or options.float16 or options.opset or options.data):
        raise UserError("--int8, --float16, --opset and --data are for ONNX; leave out --format savedmodel")
    if is_keras and (options.format == "savedmodel" or options.data):
        raise UserError(
            f"{options.model}: a Keras model is no task of the zoo, which --format savedmodel and --data need"
        )
    if is_keras:
        import_tensorflow()
        model, name = options.model, None
    else:
        model, name = _load(options.model), _model_name(options.model)
    output = Path(options.output)
    if options.format == "savedmodel":
        from export.savedmodel import to_savedmodel

        to_savedmodel(model, output)
        size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        print(f"{output}: {size / 1e6:.1f} MB, gives the same results as Keras")
        return
    from export.onnx_file import to_onnx

    settings = {"int8": options.int8, "float16": options.float16}
    settings |= {"opset": options.opset} if options.opset else {}
    before = None
    if options.data and (options.int8 or options.float16):
        with tempfile.TemporaryDirectory() as folder:
            full = str(Path(folder, "full.onnx"))
            to_onnx(model, full, preset=name)
            before = _measure(full, options)
    report = to_onnx(model, output, preset=name, **settings)
    for layer, kind in report["recurrent"].items():
        if kind != "fused":
            _complain(f"the layer {layer!r} stays a loop, right but slow: {kind}")
    same = "gives the same results as Keras"
    if "stored" in report:
        same = f"{report['stored']}, outputs within {report['stored_difference']:.2g} of Keras"
    print(f"{output}: {report['size'] / 1e6:.1f} MB, {same}")
    if options.data:
        for i, (metric, after) in enumerate(_measure(str(output), options)):
            print(f"{metric:8} {f'{before[i][1]} -> ' if before else ''}{after}")


def bench_model(options):
    _use_tensorflow()
    from export import bench

    bench.main(options)


def build_language_model(options):
    from zoo import language_model

    sentences = [sentence for path in options.texts for sentence in language_model.read_sentences(path)]
    text = language_model.build(sentences, options.order, options.prune)
    counts = " + ".join(map(str, language_model.LanguageModel.from_arpa(text).counts))
    size = language_model.write_arpa(text, options.output)
    print(f"{options.output}: {counts} n-grams of {len(sentences)} sentences, {size:,} bytes")


def _use_tensorflow():
    """Keras on TensorFlow for this command, whatever else it is set to; before Keras is imported."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        _complain("this command needs Keras on TensorFlow; it runs there")
    os.environ["KERAS_BACKEND"] = "tensorflow"


def _measure(path, options):
    """The figures of an exported file on corpora: list of ``(metric, text)``."""
    from export import readers

    reader = readers.load(path)
    with contextlib.redirect_stdout(sys.stderr):
        report = _evaluate(reader, reader.metadata["task"], options.data, options.only)
    return [(metric, form.format(report[metric])) for metric, form in reader.figures.items()]


# === Models ===


def _is_onnx(model):
    return model.lower().endswith(".onnx")


def _load(model):
    presets.find(model)  # so that a wrong name is told at once, and where there is no TensorFlow too
    import_tensorflow()
    return load(model)


def _model_name(model):
    """What to call a model in its exported file: a run by its folder, as each has a "best"."""
    root = presets.find(model)
    name = presets.info(root).get("name") or root.name
    return root.resolve().parent.name if name == "best" else name


def _open(options):
    """The reader of a model, which understands the options, and the name of its task."""
    from export import readers

    model = options.model
    if _is_onnx(model):
        reader = readers.load(model)
        _check(options, type(reader), exported=True)
        return reader, reader.metadata["task"]
    task = presets.info(presets.find(model)).get("task")
    kind = readers.reader_class(task)
    _check(options, kind, exported=False)  # before the seconds that loading takes
    return kind.of_task(_load(model)), task


def _check(options, kind, exported):
    """UserError where an option was given that a class of readers does not understand."""
    given = [name for name in _OPTIONS if getattr(options, name, None) is not None]
    given += [options.format] if options.format in _OPTIONS else []
    for name in given:
        if name not in kind.options:
            is_for = f"{_flag(name)} is for {_OPTIONS[name]}"
            raise UserError(f"{options.model}: reads {kind.reads}, but {is_for}; leave it out")
        if name in kind.exported_only and not exported:
            raise UserError(
                f"{_flag(name)} is for .onnx files: first `zoo export MODEL --output reader.onnx`"
            )
    _check_inputs(options, kind)
    single = [name for name in given if name in kind.single]
    if single and kind.takes == "files" and (len(options.inputs) > 1 or options.inputs == ["-"]):
        raise UserError(f"{_flag(single[0])} is for one {kind.one} at a time; give one INPUT")


def _check_inputs(options, kind):
    """UserError where ``zoo predict`` was given no input, or one that a class of readers does not take."""
    inputs, prompts = getattr(options, "inputs", None), kind.takes == "prompts"
    if inputs == [] and not prompts:
        raise UserError(f"{options.model}: reads {kind.reads}; give some as INPUT")
    if inputs and prompts and options.prompt is not None:
        raise UserError("a prompt is --prompt or in the files given as INPUT; leave out either")
    if prompts and options.format == "tsv":
        raise UserError("--format tsv is for texts of one line; give --format json")


def _flag(name):
    return f"--format {name}" if name in ("srt", "vtt") else f"--{name.replace('_', '-')}"


def _decoding(options):
    """The decoding options that were given, as keyword arguments of a reader."""
    names = _OPTIONS.keys() - _OUTPUTS
    found = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    if "language_model" in found:
        from zoo.language_model import LanguageModel

        found["language_model"] = LanguageModel.from_arpa(found["language_model"])  # once, for all calls
    return found


def _evaluate(reader, task, corpora, only=None, **decoding):
    """A reader's report on corpora of its task."""
    import_tensorflow()
    from zoo.task import task_class

    corpus = task_class(task).load_corpus(corpora, only=only, progress=True, config=reader.config)
    return reader.evaluate(corpus, progress=True, **decoding)


def _complain(problem):
    print(f"zoo: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
