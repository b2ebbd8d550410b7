"""Reads images of single text lines, as ``export.runtime`` does, which a host may copy alone."""

import dataclasses

import numpy as np
from PIL import Image

from export import runtime
from zoo.contract.options import BEAM_WIDTH, SAME
from zoo.contract.reader import SpellingReader, windows
from zoo.errors import UserError
from zoo.images.lines import read_image, user_errors
from zoo.metrics.text import evaluate_reader
from zoo.text.characters import Vocabulary

CHUNK = 128  # images read together: enough to sort into batches, few enough that results come soon


class LineReader(SpellingReader):
    """Reads images of single lines; each result is a ``runtime.Line``. Arguments: see ``Reader``."""

    Vocabulary = Vocabulary
    reads, one, unit, suffixes = "images", "image", "lines", runtime.IMAGE_SUFFIXES
    single = SpellingReader.single | np.ndarray | Image.Image
    options = (
        dataclasses.replace(BEAM_WIDTH, help=f"{BEAM_WIDTH.help}; without it, greedy decoding"), SAME
    )  # fmt: skip
    reads_pages = True
    plots = "one"
    plot_help = "the line, and each character below its columns, doubtful ones marked; of a page its lines"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._reader = runtime.Reader(
            self._outputs, self.config, self.vocabulary.characters, self.vocabulary.direction, self.metadata,
            self.threads,
        )  # fmt: skip

    def _outputs(self, names, inputs):
        found = self.run(inputs)
        return [found[name] for name in names]

    def stream(self, inputs, errors="raise", progress=False, beam_width=None):
        """Iterate over the ``runtime.Line`` of each image, which come ``CHUNK`` by ``CHUNK``, without a bar.

        Args:
            inputs: an iterable of images, see ``runtime.read_image``.
            errors: as in a call.
            beam_width: hypotheses kept by CTC prefix beam search; None decodes greedily.

        Raises:
            UserError: an image cannot be read as a line.
        """
        if beam_width is not None and beam_width < 1:
            raise UserError(f"a beam width is 1 or more, not {beam_width}")
        for chunk in windows(inputs, CHUNK):
            for line in self._reader(chunk, beam_width, details=True, errors="return"):
                if isinstance(line, runtime.ReaderError):
                    more = "; or have its lines found: --pages" * isinstance(line, runtime.WholePage)
                    line = UserError(f"{line}{more}")
                    if errors == "raise":
                        raise line
                yield line

    def align(self, image, text):
        """Where each character of a known text stands in a line image, as ``export.runtime.Reader.align`` is.

        Raises:
            UserError: the image cannot be read as a line, or is too short for the text.
        """
        with user_errors():
            return self._reader.align(image, text)

    def picture(self, item, path, **decoding):
        """Draws a line and the characters found in it.

        Args:
            item: the image, see ``runtime.read_image``.
            path: the PNG file to write.
            decoding: as in ``stream``.

        Raises:
            UserError: the image cannot be read, or the file cannot be written.
        """
        from zoo.families.line_ocr.plot import draw

        pixels = read_image(item)
        (line,) = self.stream([pixels], **decoding)
        draw(pixels, line, path)

    def evaluate(self, corpus, progress=False, same=(), **decoding):
        """What ``zoo.metrics.text.evaluate_reader`` gives."""

        def read(images):
            return self(images, **decoding)

        return evaluate_reader(read, self.vocabulary, corpus, progress, same)


READER = LineReader
