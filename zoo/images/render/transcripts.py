"""Real lines with the class of every pixel column, which their own texts tell.

    zoo render --by-text LINES... --reader line_ocr_arabic --script arabic=Arab latin=Latn --output
    FOLDER_or_TAR

The text of a line tells the script of each of its characters, and the CTC alignment of a reader of lines
where each of them stands. ``NAME=CODE,CODE`` makes a class of scripts, by their ISO 15924 codes; ``*`` is all
others. Lines with a script that has no class are left out. What is written has the layout of
``zoo.images.render.scripts``.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image

from zoo import files
from zoo.data.lines import read_pairs
from zoo.errors import UserError
from zoo.images.render.columns import columns_by_text, open_reader
from zoo.images.render.lines import corpus_writer
from zoo.images.render.scripts import classes_of, pair, wanted_by
from zoo.text.scripts import CLASSES, COLUMNS, written


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="zoo render", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--by-text", nargs="+", required=True, metavar="CORPUS", help="folders, tars or zips of lines")
    add("--reader", required=True, metavar="MODEL", help="a model that reads such lines")
    add(
        "--script", nargs="+", type=pair, required=True, metavar="NAME=CODE,CODE",
        help="a class, and its scripts by ISO 15924 codes; * is all others",
    )  # fmt: skip
    add("--output", required=True, help="a folder, or a .tar or .tar.gz file")
    add("--only", metavar="REGEX", help="take the lines alone whose CORPUS/NAME it matches somewhere")
    add("--without", metavar="REGEX", help="leave out those lines")
    o = parser.parse_args(argv)
    try:
        classes = classes_of([name for name, _ in o.script])
        rows = {code.strip(): classes.index(name) for name, codes in o.script for code in codes.split(",")}
        count, skipped = _write(o, classes, rows)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for sentence in skipped[:20]:
        print(f"skipped: {sentence}", file=sys.stderr)
    print(f"{count} lines in {o.output}; classes {', '.join(classes)} ({len(skipped)} lines skipped)")
    return 0


def _write(o, classes, rows):
    reader = open_reader(o.reader)
    wanted, skipped, taken, count = wanted_by(o.only, o.without), [], set(), 0
    with corpus_writer(Path(o.output)) as add:
        add(CLASSES, "".join(f"{name}\n" for name in classes).encode())
        for path in o.by_text:
            label = files.corpus_name(path)
            for name, pixels, text in read_pairs(Path(path), skipped):
                if not wanted(f"{label}/{name}"):
                    continue
                try:
                    columns = columns_by_text(pixels, text, reader, rows)
                except UserError as error:
                    skipped.append(f"{path}: {name}: {str(error).removeprefix('the image: ').rstrip('.')}.")
                    continue
                name = f"{label}_{name.replace('/', '_')}"
                if name in taken:
                    skipped.append(f"{path}: {name} is there already.")
                    continue
                taken.add(name)
                store = io.BytesIO()
                Image.fromarray(pixels[:, :, 0]).save(store, "PNG")
                add(f"{name}.png", store.getvalue())
                add(f"{name}{COLUMNS}", written(columns).encode())
                count += 1
        if not count:
            why = f" ({skipped[0].rstrip('.')})" if skipped else ""
            raise UserError(f"{', '.join(o.by_text)}: there is no line that can be used{why}; see --only.")
    return count, skipped


if __name__ == "__main__":
    sys.exit(main())
