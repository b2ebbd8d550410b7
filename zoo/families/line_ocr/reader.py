"""Reads images of single text lines, as ``export.runtime`` does, which a host may copy alone."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from export import runtime
from zoo.contract.options import BEAM_WIDTH, SAME, Option
from zoo.contract.reader import SpellingReader, windows
from zoo.decoding.language_model import ALPHA, DECODER, OfLanguageModel, language_model_option
from zoo.errors import UserError
from zoo.images.lines import read_image, user_errors
from zoo.metrics.text import evaluate_reader
from zoo.text.characters import Vocabulary

if TYPE_CHECKING:
    from export.runtime import Line
    from zoo.families.line_ocr.corpus import Lines
    from zoo.text.ngrams import LanguageModel

DEFAULTS = {"beam_width": 16, "alpha": 0.5, "beta": 1.5}  # where a model's configuration has none
CHUNK = 128  # images read together: enough to sort into batches, few enough that results come soon


class LineReader(OfLanguageModel, SpellingReader):
    """Reads images of single lines; each result is a ``runtime.Line``.

    The arguments are those of ``Reader``; ``assets`` may hold ``language_model.arpa``, one of characters.
    """

    Vocabulary = Vocabulary
    reads, one, unit, suffixes = "images", "image", "lines", runtime.IMAGE_SUFFIXES
    single, axes = SpellingReader.single | np.ndarray | Image.Image, 3
    options = (
        DECODER,
        BEAM_WIDTH,
        language_model_option("of characters"),
        ALPHA,
        Option("beta", "bonus of each character, natural logarithm", float, "X"),
        SAME,
    )
    reads_pages = True
    plots = "one"
    plot_help = "the line, and each character below its columns, doubtful ones marked; of a page its lines"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reader = runtime.Reader(
            self._outputs, self.config, self.vocabulary.characters, self.vocabulary.direction, self.metadata,
            self.threads, self.maps, self.vocabulary.spellings,
        )  # fmt: skip

    def _outputs(self, names, inputs):
        found = self.run(inputs)
        return [found[name] for name in names]

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, **decoding: Any
    ) -> Iterator[Line | UserError]:
        """Iterate over the ``runtime.Line`` of each image, which come ``CHUNK`` by ``CHUNK``, without a bar.

        Args:
            inputs: an iterable of images, see ``runtime.read_image``.
            errors: as in a call.
            decoding: the arguments of ``search``.

        Raises:
            UserError: an image cannot be read as a line, or the options contradict each other.
        """
        search = self.search(**decoding)
        for chunk in windows(inputs, CHUNK):
            for line in self._reader(chunk, details=True, errors="return", search=search):
                if isinstance(line, runtime.ReaderError):
                    more = "; or have its lines found: --pages" * isinstance(line, runtime.WholePage)
                    line = UserError(f"{line}{more}")
                    if errors == "raise":
                        raise line
                yield line

    def search(
        self, decoder: str | None = None, beam_width: int | None = None,
        language_model: LanguageModel | str | os.PathLike | None = None, alpha: float | None = None,
        beta: float | None = None,
    ) -> Callable | None:  # fmt: skip
        """How to get from probabilities to characters.

        Args:
            decoder: "greedy", the likeliest character of each frame, or "beam", CTC prefix beam search, with
                a language model of characters if there is one. None: "beam" where the model ships a
                language model or any other argument is given.
            beam_width: hypotheses kept.
            language_model: a ``zoo.text.ngrams.LanguageModel``, or the path of an ARPA file, of characters,
                instead of the one that the model ships.
            alpha: weight of the language model.
            beta: bonus of each character, natural logarithm. These three are by default as the model's
                configuration says.

        Returns:
            A function from log probabilities, ``[frames, symbols]``, to labels; None for greedy decoding.

        Raises:
            UserError: the arguments contradict each other, or the language model cannot be read or is of
                other things than this model's characters.
        """
        given = beam_width, language_model, alpha, beta
        if not self.searches(decoder, given, "no beam width, language model, alpha or beta"):
            return None
        if beam_width is not None and beam_width < 1:
            raise UserError(f"a beam width is 1 or more, not {beam_width}")
        found = self._search(self.weighed(language_model, alpha, beta), beam_width, alpha, beta)
        return lambda log_probs: found(log_probs)[0][0]

    @functools.lru_cache(4)  # noqa: B019  a search remembers what the language model says
    def _search(self, language_model, beam_width, alpha, beta):
        from zoo.decoding.ctc_tokens import TokenSearch
        from zoo.text.spelled import check_spelled, token

        if language_model is not None:
            check_spelled(language_model)
        settings = {"beam_width": beam_width, "alpha": alpha, "beta": beta}
        # Older files have none of them.
        settings = {
            name: self.config.get(name, usual) if settings[name] is None else settings[name]
            for name, usual in DEFAULTS.items()
        }
        if language_model is not None:  # narrower than that finds the same, a third faster
            settings |= {"token_threshold": 1e-3, "beam_threshold": 10.0}
        return TokenSearch(list(map(token, self.vocabulary.characters)), language_model, **settings)

    def align(self, image: Any, text: str) -> Line:
        """Where each character of a known text stands in a line image, as ``export.runtime.Reader.align`` is.

        Raises:
            UserError: the image cannot be read as a line, or is too short for the text.
        """
        with user_errors():
            return self._reader.align(image, text)

    def picture(self, item: Any, path: str | os.PathLike, **decoding: Any) -> None:
        """Draws a line and the characters found in it.

        Args:
            item: the image, see ``runtime.read_image``.
            path: the PNG file to write.
            decoding: the arguments of ``search``.

        Raises:
            UserError: the image cannot be read, or the file cannot be written.
        """
        from zoo.families.line_ocr.plot import draw

        pixels = read_image(item, photographs=self._reader.photographs)
        (line,) = self.stream([pixels], **decoding)
        draw(pixels, line, path)

    def evaluate(
        self, corpus: Lines, progress: bool = False, same: Sequence[tuple[str, str]] = (),
        judged: dict | None = None, **decoding: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """What ``zoo.metrics.text.evaluate_reader`` gives."""
        searched = self.search(**decoding) is not None

        def read(images):
            return self(images, details=True, **decoding)

        def words(line):
            for letters, sure in self.words(line.characters, searched):
                yield "".join(one.character for one in letters), sure

        return evaluate_reader(read, self.vocabulary, corpus, progress, same, words, judged)


READER = LineReader
