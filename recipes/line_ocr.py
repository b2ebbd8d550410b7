"""Line OCR: train or fine-tune a reader of single text lines.

Trains a convolution front, two bidirectional LSTMs of 128 units and CTC (0.9 million weights) on line
images with transcripts.

    python -m recipes.line_ocr train    --data books.tar.gz uw3.tar.gz@4 --output runs/mine
    python -m recipes.line_ocr finetune --preset line_ocr_en --data my_lines/ --output runs/tuned

CORPUS: a folder, tar or zip of images with NAME.gt.txt or NAME.txt beside them or with a label file, such a
file alone, images by a pattern, or tfds:NAME (docs/corpora.md has all layouts); `@4` shows a small one four
times an epoch. Without --validation, about a tenth of each corpus is held out, whole books or pages as names
tell them (BOOK/PAGE/LINE, BOOK_PAGE_LINE); --hold-out REGEX chooses instead.

With --language-model, lines are read with an n-gram model of the characters of the transcripts, and of more
texts of the field (docs/lines.md). It is weighed on the lines held out, and left out where it does not gain.
"""

from __future__ import annotations

import dataclasses
import itertools

from recipes.training import command_line, recognition

PHOTOGRAPHS = 0.05  # of the lines lack a ground like paper: on documents none does, on licence plates half


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.data.splitting import levels_by_name

    arpa = None

    def prepare(task, learn, options):
        nonlocal arpa
        if options.language_model is not None:
            arpa = _language_model(options.language_model, learn)
        if not task.config.photographs and _are_photographs(learn):
            print("Many of these lines look like photographs: the model will read such images, too.")
            task.config = dataclasses.replace(task.config, photographs=True)

    recognition.main(
        arguments, prog, __doc__, "line_ocr", "lines",
        levels=levels_by_name,
        directions=("ltr", "rtl"), columns=("image", "text"), more=_add_language_model,
        prepare=prepare, finish=lambda task, check, options: _weighed(task, arpa, check),
    )  # fmt: skip


def _are_photographs(lines):
    from export.runtime import has_paper

    few = lines.sample(200)
    images = itertools.chain.from_iterable(images for images, *_ in few.chunks(50))
    return sum(not has_paper(image[:, :, 0]) for image in images) > PHOTOGRAPHS * len(few)


def _add_language_model(parser):
    parser.add_argument(
        "--language-model", nargs="*", metavar="TEXT",
        help="put a language model of characters into the reader, if it gains: made of the transcripts and "
        "these texts, plain or .gz, or an ARPA file",
    )  # fmt: skip


def _language_model(paths, learn):
    """The ARPA file, bytes."""
    from zoo.decoding.language_model import read_arpa
    from zoo.text.files import read_data
    from zoo.text.spelled import build_spelled, check_spelled, read_lines

    if len(paths) == 1 and b"\\data\\" in (data := read_data(paths[0]))[:1000]:
        check_spelled(read_arpa(paths[0]))
        return data
    return build_spelled([*learn.texts, *read_lines(paths)]).encode()


def _weighed(task, arpa, check):
    from zoo.decoding.language_model import with_language_model

    if arpa is None:
        return task
    new, tuned = with_language_model(task, arpa, check)
    print(f"On the lines held out: {tuned}.")
    return new if tuned.gains else task


if __name__ == "__main__":
    command_line.command(main)
