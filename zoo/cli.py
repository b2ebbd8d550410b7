"""The ``zoo`` command: the front door to presets, reading, evaluation and export.

``zoo list``, ``zoo show`` and ``zoo predict FILE.onnx`` need the base install only: every import of
TensorFlow, Keras or ``export`` stands inside the command that needs it.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from zoo import __version__, load, presets
from zoo.backend import import_tensorflow
from zoo.errors import UserError, train_extra

CHUNK = 128  # inputs read together: enough to sort into batches, few enough that results come at once
SPEECH = "deep_speech"  # the task that hears; all others see


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
    options = _parser().parse_args(arguments)
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
    read.add_argument("inputs", metavar="INPUT", nargs="+", help="files, or - for one a line on stdin")
    read.add_argument("--format", choices=_FORMATS, default="text", help="default: text; srt, vtt: subtitles")
    read.add_argument("--plot", metavar="FILE.png", help="draw how speech was heard")
    _add_decoding(read)

    measure = command(evaluate, "evaluate", "measure a model on corpora")
    measure.add_argument("model", **model)
    measure.add_argument(
        "--data", metavar="CORPUS", nargs="+", required=True, help="folder, tar or tfds:NAME"
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
    return parser


def _add_decoding(parser):
    """The options that choose how probabilities become text."""
    parser.add_argument(
        "--beam-width", type=_positive, metavar="N", help="prefix beam search; line images: .onnx files only"
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


def _words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


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
    if options.format in ("srt", "vtt") or options.plot:
        _check_single(options)
    read, draw = _reader(options)
    output, failed = _FORMATS[options.format](), 0
    names, inputs = itertools.tee(_inputs(options.inputs))
    for item, result in zip(names, read(inputs), strict=True):
        if isinstance(result, Exception):
            _complain(result)
            failed += 1
        else:
            if options.plot:
                draw(item, options.plot)
            output.add(item, result)
            sys.stdout.flush()
    output.end()
    return 2 if failed else 0


def evaluate(options):
    with contextlib.redirect_stdout(sys.stderr):  # where tensorflow-datasets says what it prepares
        report = _evaluate(_open(options), options.data, options.only, _decoding(options))
    about = {"model": options.model, "data": options.data}
    report = about | ({"only": options.only} if options.only else {}) | report
    if options.format == "json":
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    skipped, unknown = report["skipped"], report["unknown_characters"]
    unit = "utterances" if "seconds" in report else "lines"
    rows = [
        ("set", " ".join(options.data)),
        (unit, f"{report['lines']} ({report['characters']} characters)"),
        ("cer", f"{report['cer']:.2%}"),
        ("wer", f"{report['wer']:.2%}"),
        ("skipped", str(len(skipped))),
    ]
    if "seconds" in report:
        rows.insert(2, ("decoder", report["decoder"]))
        speed = f"{report['seconds']:.0f} s of audio, read {report['times_real_time']:.0f} times as fast"
        rows.append(("speed", speed))
    if unknown:
        listed = " ".join(f"{character}×{count}" for character, count in unknown.items())
        rows.append(("unknown", f"{listed} (not in the vocabulary, counted as errors)"))
    width = max(8, len(unit))
    for name, value in rows:
        print(f"{name:{width}} {value}")
    for sentence in skipped:
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
        after = _measure(str(output), options)
        for metric in ("cer", "wer"):
            print(f"{metric:8} {'' if before is None else f'{before[metric]:.2%} -> '}{after[metric]:.2%}")


def bench_model(options):
    _use_tensorflow()
    from export import bench

    bench.main(options)


def build_language_model(options):
    from zoo import language_model

    sentences = [sentence for path in options.texts for sentence in language_model.read_sentences(path)]
    text = language_model.build(sentences, options.order)
    counts = " + ".join(map(str, language_model.LanguageModel.from_arpa(text).counts))
    size = language_model.write_arpa(text, options.output)
    print(f"{options.output}: {counts} n-grams of {len(sentences)} sentences, {size:,} bytes")


def _use_tensorflow():
    """Keras on TensorFlow for this command, whatever else it is set to; before Keras is imported."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        _complain("this command needs Keras on TensorFlow; it runs there")
    os.environ["KERAS_BACKEND"] = "tensorflow"


def _measure(path, options):
    with contextlib.redirect_stdout(sys.stderr):
        return _evaluate(_load_onnx(path), options.data, options.only)


# === Models ===


def _is_onnx(model):
    return model.lower().endswith(".onnx")


def _load(model):
    presets.find(model)  # so that a wrong name is told at once, and where there is no TensorFlow too
    import_tensorflow()
    return load(model)


def _load_onnx(model):
    with _reader_errors() as runtime:
        return runtime.load(model)


@contextlib.contextmanager
def _reader_errors():
    """``export.runtime``, whose errors become UserErrors: it knows nothing of ``zoo``."""
    from export import runtime

    try:
        yield runtime
    except runtime.ReaderError as error:
        raise UserError(error) from error


def _model_name(model):
    """What to call a model in its exported file: a run by its folder, as each has a "best"."""
    root = presets.find(model)
    name = presets.info(root).get("name") or root.name
    return root.resolve().parent.name if name == "best" else name


def _open(options):
    """What reads: of an .onnx file its reader, of a speech model a ``SpeechReader``, otherwise the task."""
    model, reader = options.model, None
    if _is_onnx(model):
        reader = _load_onnx(model)
        task = reader.metadata["task"]
    else:
        task = presets.info(presets.find(model)).get("task")
    if task != SPEECH:
        _refuse_speech_options(options)
    if reader:
        return reader
    if task == SPEECH:
        task = _load(model)
        from export.speech import SpeechReader

        return SpeechReader.of_task(task)
    if options.beam_width:
        raise UserError("--beam-width is for .onnx files: first `zoo export MODEL --output reader.onnx`")
    return _load(model)


def _refuse_speech_options(options):
    names = ("decoder", "language_model", "alpha", "beta", "hot_words", "plot")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name, None) is not None]
    if options.format in ("srt", "vtt"):
        given.append(f"--format {options.format}")
    if given:
        raise UserError(f"{options.model}: reads images, but {given[0]} is for speech; leave it out")


def _check_single(options):
    if len(options.inputs) > 1 or options.inputs == ["-"]:
        given = "--plot" if options.plot else f"--format {options.format}"
        raise UserError(f"{given} is for one recording at a time; give one INPUT")


def _decoding(options):
    """The decoding options that were given, as keyword arguments of a reader."""
    names = ("beam_width", "decoder", "language_model", "alpha", "beta", "hot_words")
    found = {name: value for name in names if (value := getattr(options, name)) is not None}
    if "language_model" in found:
        from zoo.language_model import LanguageModel

        found["language_model"] = LanguageModel.from_arpa(found["language_model"])  # once, for all calls
    return found


def _reader(options):
    """A function from an iterable of inputs to an iterator of a result or an exception for each, and one
    that draws how an input was heard to a file."""
    reader, decoding = _open(options), _decoding(options)
    if hasattr(reader, "stream"):
        progress = sys.stderr.isatty()
        return (
            lambda inputs: reader.stream(inputs, errors="return", progress=progress, **decoding),
            lambda item, path: reader.picture(item, path, **decoding),
        )
    if _is_onnx(options.model):

        def read(items):
            return reader(items, details=True, errors="return", **decoding)
    else:

        def read(items):
            try:
                return reader.predict(items, details=True)
            except UserError as error:
                if len(items) == 1:
                    return [error]
                return [line for item in items for line in read([item])]  # to know which one is bad

    def chunks(inputs):
        while chunk := list(itertools.islice(inputs, CHUNK)):
            yield from read(chunk)

    return chunks, None


def _evaluate(reader, corpora, only=None, decoding=None):
    """Error rates of what ``_open`` gives; of speech also its length, the decoder and the speed."""
    if not hasattr(reader, "metadata"):
        return reader.evaluate(corpora, only=only, progress=True)
    import_tensorflow()
    from zoo import metrics
    from zoo.task import task_class
    from zoo.vocabulary import Vocabulary

    decoding = decoding or {}
    corpus = task_class(reader.metadata["task"]).load_corpus(corpora, only=only, progress=True)
    vocabulary = Vocabulary(reader.vocabulary, reader.direction)
    if not hasattr(reader, "stream"):
        with _reader_errors():
            return metrics.evaluate_reader(
                lambda images: reader(images, **decoding), vocabulary, corpus, progress=True
            )
    # This reads the language model, too, so that it is not timed.
    decoder = "beam" if reader.search(**decoding) else "greedy"
    spent = heard = 0.0

    def read(audio):
        nonlocal spent, heard
        start = time.perf_counter()
        texts = reader(audio, **decoding)
        spent += time.perf_counter() - start
        heard += sum(map(len, audio)) / reader.config["sampling_rate"]
        return texts

    report = metrics.evaluate_reader(read, vocabulary, corpus, progress=True)
    return report | {"seconds": heard, "decoder": decoder, "times_real_time": heard / spent}


def _inputs(arguments):
    """The inputs in their order, each line of stdin in the place of "-"."""
    for argument in arguments:
        if argument == "-":
            yield from (line for text in sys.stdin if (line := text.rstrip("\r\n")))
        else:
            yield argument


# === Output ===


class _Text:
    """Just the texts, one a line."""

    def add(self, item, line):
        print(line.text)

    def end(self):
        pass


class _Tsv(_Text):
    """Input and text, a tab between."""

    def add(self, item, line):
        print(f"{item}\t{line.text}")


class _Json:
    """One list of objects, written as it grows."""

    start = "["

    def add(self, item, line):
        about = {"input": item, "text": line.text, "confidence": round(line.confidence, 4)}
        if hasattr(line, "words"):
            about["seconds"] = round(line.seconds, 3)
            about["words"] = [
                {"word": w, "start": round(s, 3), "end": round(e, 3), "confidence": round(c, 4)}
                for w, s, e, c in line.words
            ]
        else:
            spans = [c if isinstance(c, tuple) else dataclasses.astuple(c) for c in line.characters]
            about["characters"] = [
                {"character": c, "start": round(s, 1), "end": round(e, 1)} for c, s, e in spans
            ]
        print(self.start + json.dumps(about, ensure_ascii=False), end="")
        self.start = ",\n "

    def end(self):
        print("[]" if self.start == "[" else "]")


class _Srt(_Text):
    """Subtitles of one recording, SubRip."""

    form = "srt"

    def add(self, item, line):
        from export.subtitles import subtitles

        print(subtitles(line.words, self.form), end="")


class _Vtt(_Srt):
    """The same, WebVTT."""

    form = "vtt"


_FORMATS = {"text": _Text, "tsv": _Tsv, "json": _Json, "srt": _Srt, "vtt": _Vtt}


def _complain(problem):
    print(f"zoo: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
