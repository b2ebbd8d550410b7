"""Ink: train or fine-tune a reader of what a pen wrote, from its strokes.

Trains convolutions over samples of the pen's path, two bidirectional LSTMs of 128 units and CTC (0.8 million
weights) on ink and its text.

    python -m recipes.ink train    --data formulae.tar.gz --output RUN
    python -m recipes.ink finetune --preset ink_formulae --data mine/ --output RUN

CORPUS: a folder, tar or zip of InkML, Xournal++ (.xopp), JSON or UNIPEN, the text in them or in NAME.gt.txt
beside, or one such file; `@4` shows a small one four times an epoch. Text whose tokens are divided by blanks,
as `\\sin x + 1`, is learned token by token, other text character by character. Without --validation or
--hold-out, about a tenth is held out, whole writers where they are known.
"""

from __future__ import annotations

import functools

from recipes.training import command_line, recognition
from zoo.data.splitting import level_by_folder

LEVELS = functools.partial(level_by_folder, kind="writer")


def main(arguments: list[str], prog: str | None = None) -> None:
    assets = (("--language-model", "language_model.arpa", "ARPA file of tokens, which goes with the model"),)
    recognition.main(arguments, prog, __doc__, "ink", "inks", levels=LEVELS, assets=assets)


if __name__ == "__main__":
    command_line.command(main)
