"""Line OCR: train or fine-tune a reader of single text lines.

Trains a convolution front, two bidirectional LSTMs of 128 units and CTC (0.9 million weights) on line
images with transcripts.

    python -m recipes.line_ocr train    --data books.tar.gz uw3.tar.gz@4 --output runs/mine
    python -m recipes.line_ocr finetune --preset line_ocr_en --data my_lines/ --output runs/tuned

CORPUS: a folder or tar of NAME.png|jpg|tif + NAME.gt.txt, or tfds:NAME; `@4` shows a small one four
times an epoch. Without --validation, whole books are held out: lines whose names agree up to the last
`_` count as one book; --hold-out REGEX names them instead.
"""

from recipes.training import command_line, recognition


def main(arguments, prog=None):
    recognition.main(
        arguments, prog, __doc__, "line_ocr", "lines",
        group=lambda name: name.rpartition("_")[0] or name,
        directions=("ltr", "rtl"),
    )  # fmt: skip


if __name__ == "__main__":
    command_line.command(main)
