"""Line OCR: train or fine-tune a reader of single text lines.

Trains a convolution front, two bidirectional LSTMs of 128 units and CTC (0.9 million weights) on line
images with transcripts.

    python -m recipes.line_ocr train    --data books.tar.gz uw3.tar.gz@4 --output runs/mine
    python -m recipes.line_ocr finetune --preset line_ocr_en --data my_lines/ --output runs/tuned

CORPUS: a folder, tar or zip of images with NAME.gt.txt or NAME.txt beside them or with a label file, such a
file alone, images by a pattern, or tfds:NAME (docs/corpora.md has all layouts); `@4` shows a small one four
times an epoch. Without --validation, about a tenth of each corpus is held out, whole books or pages as names
tell them (BOOK/PAGE/LINE, BOOK_PAGE_LINE); --hold-out REGEX chooses instead.
"""

from recipes.training import command_line, recognition


def main(arguments, prog=None):
    from zoo.data.splitting import levels_by_name

    recognition.main(
        arguments, prog, __doc__, "line_ocr", "lines",
        levels=levels_by_name,
        directions=("ltr", "rtl"), columns=("image", "text"),
    )  # fmt: skip


if __name__ == "__main__":
    command_line.command(main)
