"""What goes into ``zoo predict``, from files and standard input, and what comes out: the formats."""

import json
import sys

from zoo.text.files import stream_lines

# === Input ===


def paths(arguments):
    """The paths in their order, each line of standard input in the place of "-"."""
    for argument in arguments:
        if argument == "-":
            yield from (line for text in sys.stdin if (line := text.rstrip("\r\n")))
        else:
            yield argument


def texts(arguments):
    """Iterate over ``(name, lines)`` of text files, plain or gzip, and of standard input for "-".

    ``lines`` is an iterator of str; bytes that are no UTF-8 are there as surrogates. What a person types
    comes line by line, as a text each, so that it is answered at once.
    """
    for argument in arguments:
        if argument == "-" and sys.stdin.isatty():
            yield from (("standard input", iter([line])) for line in _lines(sys.stdin))
        elif argument == "-":
            yield "standard input", _lines(sys.stdin)
        else:
            yield argument, stream_lines(argument)


def _lines(file):
    for number, line in enumerate(file):
        line = line.rstrip("\r\n")
        yield line.removeprefix("\ufeff") if number == 0 else line  # which some editors begin a text with


# === Output ===


class Text:
    """Just the texts, one a line.

    Args:
        n_best: so many lines for each input, with the score, a tab and the text of each hypothesis; empty
            ones where there are fewer. None: the text alone.
        aligned: inputs are lines of text, and what could not be read is empty lines, too.
    """

    def __init__(self, n_best=None, aligned=False):
        self.n_best, self.aligned = n_best, aligned

    def add(self, item, result):
        lines = self.lines(result)
        print("\n".join(lines + [""] * ((self.n_best or 1) - len(lines))))

    def lines(self, result):
        if self.n_best is None:
            return [getattr(result, "line", result.text)]
        return [f"{score:.4f}\t{text}" for text, score in result.hypotheses]

    def fail(self):
        """An input could not be read."""
        if self.aligned:
            print("\n" * ((self.n_best or 1) - 1))

    def end(self):
        pass


class Tsv(Text):
    """Input and text, a tab between; of several hypotheses input, score and text."""

    def add(self, item, result):
        item = item.replace("\t", " ") if self.aligned else item
        for line in self.lines(result):
            print(f"{item}\t{line}")

    def fail(self):
        pass


class Json(Tsv):
    """One list of objects, written as it grows."""

    start = "["

    def add(self, item, result):
        about = {"input": item} | result.to_json()
        if self.n_best is not None:
            about["hypotheses"] = [{"text": text, "score": round(s, 4)} for text, s in result.hypotheses]
        print(self.start + json.dumps(about, ensure_ascii=False), end="")
        self.start = ",\n "

    def end(self):
        print("[]" if self.start == "[" else "]")
