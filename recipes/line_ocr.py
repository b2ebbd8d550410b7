"""Line OCR: train or fine-tune a reader of single text lines.

Trains a convolution front, two bidirectional LSTMs of 128 units and CTC (0.9 million weights) on line
images with transcripts.

    python -m recipes.line_ocr train    --data books.tar.gz uw3.tar.gz@4 --output runs/mine
    python -m recipes.line_ocr finetune --preset line_ocr_en --data my_lines/ --output runs/tuned

CORPUS: a folder or tar of NAME.png|jpg|tif + NAME.gt.txt, or tfds:NAME; `@4` shows a small one four
times an epoch. Without --validation, whole books are held out: lines whose names agree up to the last
`_` count as one book; --hold-out REGEX names them instead.
"""

import dataclasses
import hashlib
import re
import sys

from recipes import trainer
from zoo.errors import UserError


def main(arguments):
    top, train, finetune = trainer.parser(__doc__)
    from zoo.tasks.line_ocr import LineOcr, LineOcrConfig

    for one in (train, finetune):
        one.add_argument(
            "--hold-out", metavar="REGEX", help="validate on the lines whose CORPUS/NAME it matches"
        )
    train.add_argument("--characters", default="", help="characters to know besides those of the transcripts")
    train.add_argument("--direction", choices=("ltr", "rtl"), help="default: that of most letters")
    trainer.add_fields(train, "model", LineOcrConfig)
    finetune.add_argument("--extend", action="store_true", help="learn characters that the preset lacks")
    finetune.add_argument("--ignore-unknown", action="store_true", help="leave them out of the transcripts")
    options = top.parse_args(arguments)
    schedule = trainer.read_fields(options, "training", trainer.Schedule)
    trainer.set_up(schedule)

    from zoo.data.lines import load_lines
    from zoo.data.pipeline import Pipeline
    from zoo.task import load
    from zoo.vocabulary import Vocabulary

    lines = load_lines(options.data, progress=True)
    learn, check = _split(lines, options)
    if options.action == "train":
        vocabulary = Vocabulary.from_texts([*learn.texts, options.characters], options.direction)
        task = LineOcr(trainer.read_fields(options, "model", LineOcrConfig), vocabulary)
    else:
        task = _adapt(load(options.preset), learn, options)
    too_long = task.too_long(learn)
    for sentence in (*lines.skipped, *too_long.values()):
        print(f"skipped: {sentence}", file=sys.stderr)
    learn = learn.select(lambda name: name not in too_long)
    print(
        f"{len(learn)} lines to learn ({learn.shown()} an epoch), {len(check)} to validate, "
        f"{len(lines.skipped) + len(too_long)} skipped; {len(task.vocabulary.characters)} characters, "
        f"{task.network.count_params():,} weights."
    )

    columns = learn.shapes[:, 1] * task.config.height / learn.shapes[:, 0]
    cache = {"memory": None, "none": False}.get(schedule.cache, schedule.cache)
    data = Pipeline(
        task, learn.dataset(repeat=True), learn.shown(), columns, schedule.batch_size, cache=cache
    )

    def validation():
        scores = task.evaluate_lines(check)
        few = check.sample(4)
        return {
            "cer": scores["cer"],
            "wer": scores["wer"],
            "examples": list(zip(few.texts, task.predict(next(few.chunks(4))[0]), strict=True)),
        }

    settings = {
        "recipe": "line_ocr",
        **{key: value for key, value in vars(options).items() if "." not in key and key != "output"},
        "training": dataclasses.asdict(schedule),
        "model": dataclasses.asdict(task.config),
        "characters": "".join(task.vocabulary.characters),
    }
    trainer.train(task, data, validation, options.output, schedule, settings)
    print(f"The best reader is in {options.output}/best; to export it:")
    print(f"  zoo export {options.output} --output reader.onnx")


def _split(lines, options):
    """Lines to learn from and lines to validate on: no book in both."""
    from zoo.data.lines import load_lines

    if options.validation:
        return lines, load_lines(options.validation, progress=True)
    if options.hold_out:
        try:
            pattern = re.compile(options.hold_out)
        except re.error as error:
            raise UserError(f"--hold-out {options.hold_out!r} is no regular expression ({error}).") from error
        held = {name for name in lines.names if pattern.search(name)}
    else:
        held = _hold_out_books(lines.names)
    learn, check = lines.select(lambda name: name not in held), lines.select(lambda name: name in held)
    if not len(learn) or not len(check):
        raise UserError(
            f"{', '.join(options.data)}: {len(lines)} lines cannot be split into lines to learn and to "
            "validate; give more, or corpora with --validation."
        )
    return learn, check


def _hold_out_books(names, share=0.1):
    """Whole books, in an order given by their names alone, up to about ``share`` of the lines."""
    books = {}
    for name in names:
        books.setdefault(name.rpartition("_")[0] or name, []).append(name)
    if len(books) == 1:  # no book to be told from another: single lines
        books = {name: [name] for name in names}
    held = set()
    for book in sorted(books, key=lambda book: hashlib.sha256(book.encode()).digest()):
        if len(held) + len(books[book]) > max(1, share * len(names)) and held:
            continue
        held.update(books[book])
        if len(held) >= share * len(names):
            break
    return held


def _adapt(task, learn, options):
    """The preset, its alphabet extended where the transcripts need it."""
    from zoo.vocabulary import direction_of

    missing = sorted({c for text in learn.texts for c in task.vocabulary.unknown(text)})
    if missing and not (options.extend or options.ignore_unknown):
        raise UserError(
            f"{', '.join(options.data)}: {len(missing)} characters ({' '.join(missing[:20])}) are not in the "
            f"alphabet of {options.preset}; add --extend to learn them, or --ignore-unknown to leave them "
            "out."
        )
    if not options.extend:
        return task
    return task.with_vocabulary(task.vocabulary.extended(missing, direction_of("".join(learn.texts))))


if __name__ == "__main__":
    trainer.command(main)
