"""Translates with an exported model or a Keras task: sentences of any length, their order kept.

    from export import runtime

    reader = runtime.load("translator.onnx")
    reader(["A dog runs.", "Two men talk."])              # ["Ein Hund rennt.", "Zwei Männer reden."]
    found, = reader("A dog runs.", details=True)          # Translation: text, score, hypotheses, attention
    reader(lines, n_best=3, beam_width=10, errors="return")

A sentence of more than ``LIMIT`` subwords is translated in pieces, which end where a sentence ends; if none
does, where a clause, a word or at last a subword ends. Their translations are joined by blanks.
"""

from __future__ import annotations

import binascii
import dataclasses
import functools
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.options import BEAM_WIDTH, LENGTH_PENALTY, N_BEST, checked_search
from zoo.contract.reader import Metric, Reader, check_utf8
from zoo.errors import UserError
from zoo.formats.tables import TEXT
from zoo.metrics.confidence import judge
from zoo.metrics.text import answers
from zoo.plots.drawing import save
from zoo.text.normalise import normalise_sentence
from zoo.text.subwords import Subwords

if TYPE_CHECKING:
    from zoo.families.translator.corpus import Parallel

LIMIT = 128  # subwords translated as one sentence; few sentences have as many
WINDOW = 1024  # sentences held in memory and sorted by length at a time
BATCH = 64  # sentences translated at a time by each thread, those of similar length together
BEAMS = 160  # hypotheses searched at a time by each thread, each with scores of all subwords
MIN_LENGTH = 32  # subwords that any translation may have
_ENDS = [  # in subwords side by side; Chinese and Japanese have no blank after them
    re.compile("[.!?…؟۔।][\"'”’»)\\]]*(?=▁)|[。！？]"),  # of sentences
    re.compile("[,;:،؛–—](?=▁)|[、，；：]"),  # of clauses
    re.compile("(?=▁)"),  # of words
]
_INSIDE = re.compile("<0x[89AB]")  # bytes of a character after its first


@dataclasses.dataclass(frozen=True)
class Translation:
    """What was found for one sentence.

    Attributes:
        text: the best translation.
        score: its log-probability in nats, without length penalty.
        hypotheses: list of ``(text, score)``, as many as asked for and found, best first: they are ranked
            with length penalty. Those of a sentence in pieces join the pieces' first, second and so on.
        source, target: lists of subwords, ``▁`` for a blank; ``</s>`` ends the source, and the target unless
            it was cut.
        attention: float32 ``[target, source]``, how much of the source was seen where each subword of the
            target was written; None where that was not asked for, the model does not look back, or the
            sentence came in pieces.
    """

    text: str
    score: float
    hypotheses: list
    source: list
    target: list
    attention: np.ndarray | None = dataclasses.field(default=None, compare=False)
    sure: float | None = None

    @property
    def confidence(self) -> float:
        """How near it comes to what a person would write, 0 to 1; 0 where there was nothing to read.

        It is chrF as expected, where the model was calibrated, else the (geometric) mean probability of its
        subwords.
        """
        if self.sure is not None:
            return self.sure
        return math.exp(self.score / len(self.target)) if self.target else 0.0

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        return {"text": self.text, "score": round(self.score, 4), "confidence": round(self.confidence, 4)}


@dataclasses.dataclass(frozen=True)
class _Search:
    beam_width: int
    n_best: int
    length_penalty: float
    attention: bool


class TranslationReader(Reader):
    """Translates sentences. The arguments are those of ``Reader``."""

    reads, one, takes = "sentences", "sentence", "lines"
    columns_help = "source=COLUMN is the column with the sentences, else the language (en), source, text, …"
    options = (BEAM_WIDTH, N_BEST, LENGTH_PENALTY)
    greedy = {"beam_width": 1}
    judges = True
    plots, plot_help = "one", "where the translation looked to write each subword"
    metrics = (Metric("bleu", "BLEU", "{:.1f}"), Metric("chrf", "chrF", "{:.1f}"))

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        code = self.config["source"]
        return {"source": (code, "source", "src", f"text_{code}", f"translation.{code}", *TEXT)}

    @classmethod
    def read_vocabulary(cls, metadata: dict[str, str]) -> Subwords:
        text = metadata["vocabulary"]
        try:  # files of format 1 have the model alone
            return Subwords.from_json(json.loads(text) if text[:1] == "{" else {"sentencepiece": text})
        except (binascii.Error, RuntimeError) as error:
            raise ValueError("no SentencePiece model") from error

    def __call__(
        self, inputs: Any, details: bool = False, errors: str = "raise", progress: bool = False, **search: Any
    ) -> list:
        """As of ``Reader``; with ``details`` each ``Translation`` has its attention."""
        return super().__call__(inputs, details, errors, progress, attention=details, **search)

    def stream(
        self, sentences: Any, errors: str = "raise", progress: bool = False, beam_width: int | None = None,
        n_best: int = 1, length_penalty: float | None = None, attention: bool = False,
    ) -> Iterator[Translation | UserError]:  # fmt: skip
        """Iterate over the ``Translation`` of each sentence; they come ``WINDOW`` by ``WINDOW``.

        Args:
            sentences: an iterable of str. White space is normalised; of one without anything else, or all of
                unknown characters, comes nothing.
            errors, progress: as in a call.
            beam_width: hypotheses that the search keeps, at least ``n_best``.
            n_best: how many hypotheses to give.
            length_penalty: 0 or more; more favours long translations (Wu et al. 2016, equation 14). It and
                the beam width are by default as the model's configuration says.
            attention: give that, too, which takes memory.

        Raises:
            UserError: a sentence was not valid UTF-8 (and came with surrogates), or the search cannot be.
        """
        search = self._search(beam_width, n_best, length_penalty, attention)
        answer = functools.partial(self._answer, search)
        return self.in_windows(
            sentences, self._pieces, answer, WINDOW, errors, first=1, desc="translating", unit=" sentences",
            disable=not progress,
        )  # fmt: skip

    def _search(self, beam_width, n_best, length_penalty, attention):
        beam_width, length_penalty = checked_search(
            self.config, "translations of a sentence", n_best, beam_width, length_penalty
        )
        return _Search(beam_width, n_best, length_penalty, attention)

    def _pieces(self, number, sentence):
        """A sentence -> lists of rows without end, none if nothing is known; ``number`` is for messages."""
        check_utf8(sentence, number)
        rows = self.vocabulary.encode(sentence)
        if not self.vocabulary.known(rows):
            return []
        return _split(rows, self.vocabulary.pieces(rows)) if len(rows) > LIMIT else [rows] if rows else []

    def _answer(self, search, sentences, pool, bar):
        """``{number: pieces}`` -> ``{number: Translation}``, on all threads."""
        pieces = {(number, i): rows for number, parts in sentences.items() for i, rows in enumerate(parts)}
        bar.update(sum(not parts for parts in sentences.values()))
        # Few sentences are spread over all threads rather than put into one batch.
        size = min(BATCH, BEAMS // search.beam_width, -(-len(pieces) // self.threads))
        batches = _batches(pieces, max(1, size))
        parts = {}

        def read(batch):
            return self._read([pieces[key] for key in batch], search)

        for batch, found in zip(batches, pool.map(read, batches), strict=True):
            for (number, part), translation in zip(batch, found, strict=True):
                parts.setdefault(number, {})[part] = translation
            bar.update(sum(part == 0 for _, part in batch))
        return {
            number: self._sure(_join([found for _, found in sorted(parts.get(number, {}).items())]))
            for number in sentences
        }

    def _sure(self, found):
        return dataclasses.replace(found, sure=self.sure(found.confidence)) if self.maps else found

    def _read(self, batch, search):
        """Lists of rows of one ``_max_length`` -> a ``Translation`` of each, in one run of the engine."""
        lengths = np.array([len(rows) + 1 for rows in batch], np.int32)
        source = np.full((len(batch), lengths.max()), Subwords.PAD, np.int32)
        for row, rows in zip(source, batch, strict=True):
            row[: len(rows) + 1] = [*rows, Subwords.END]
        outputs = self.run(
            {
                "source": source,
                "source_lengths": lengths,
                "beam_width": np.array(search.beam_width, np.int32),
                "length_penalty": np.array(search.length_penalty, np.float32),
                "max_length": np.array(_max_length(batch[0]), np.int32),
            }
        )
        counts, scores = outputs["token_lengths"].tolist(), outputs["scores"].tolist()
        found = []
        for i, length in enumerate(lengths.tolist()):
            tokens = outputs["tokens"][i]
            ranks = [rank for rank in range(search.n_best) if scores[i][rank] > -math.inf]
            texts = [self.vocabulary.decode(tokens[rank, : counts[i][rank]].tolist()) for rank in ranks]
            # Bytes that no piece fits may spell whatever they like, a line's end too.
            hypotheses = [
                (normalise_sentence(t), scores[i][rank]) for t, rank in zip(texts, ranks, strict=True)
            ]
            target = tokens[0, : counts[i][0] + 1].tolist()
            weights = None
            if search.attention and "attention" in outputs:
                weights = outputs["attention"][i, : len(target), :length]
                if self.config["reverse_source"]:  # what it looks at, lies as it was read
                    weights = weights[:, ::-1]
            both = (self.vocabulary.pieces(rows) for rows in (source[i, :length].tolist(), target))
            found.append(Translation(*hypotheses[0], hypotheses, *both, weights))
        return found

    def picture(self, item: Any, path: str | os.PathLike, **search: Any) -> None:
        """Draws where a translation's subwords looked to; of a sentence in pieces, the first.

        Args:
            item: str, the sentence.
            path: the PNG file to write.
            search: as in a call.

        Raises:
            UserError: the model does not look back, the sentence is empty, or the file cannot be written.
        """
        from zoo.families.translator.plot import draw

        if self.config["context"] != "attention":
            raise UserError("this translator has no attention that could be drawn; leave out --plot")
        pieces = self._pieces(1, item)
        if not pieces:
            raise UserError("there is nothing to draw of an empty sentence; give one with words")
        search = {"beam_width": None, "n_best": 1, "length_penalty": None} | search
        (found,) = self._read(pieces[:1], self._search(**search, attention=True))
        title = f"{self.config['source']} → {self.config['target']}"
        if len(pieces) > 1:
            title += f", the first of {len(pieces)} pieces"
        figure = draw(title, found.source, found.target, found.attention)
        save(figure, path)

    def evaluate(
        self, corpus: Parallel, progress: bool = False, judged: dict | None = None, **search: Any
    ) -> dict[str, Any]:
        """What ``evaluate_translator`` gives, with ``beam_width`` and ``length_penalty``."""
        used = self._search(
            **{"beam_width": None, "n_best": 1, "length_penalty": None} | search, attention=False
        )
        report = evaluate_translator(
            lambda texts: list(self.stream(texts, **search)), corpus, progress, judged
        )
        return report | {"beam_width": used.beam_width, "length_penalty": used.length_penalty}

    def rows(self, report: dict) -> list[tuple[str, str]]:
        return [
            ("sentences", str(report["sentences"])),
            ("search", f"beam width {report['beam_width']}, length penalty {report['length_penalty']:g}"),
            *super().rows(report),
            ("speed", f"{report['sentences_per_second']:.0f} sentences a second"),
            ("signature", report["signature"]),
        ]


def _split(rows, pieces):
    """Cuts rows into lists of up to ``LIMIT``, each at the best place that there is for it."""
    text = "".join(pieces)
    starts = {start: i for i, start in enumerate(itertools.accumulate(map(len, pieces), initial=0))}
    ends = [[starts[m.end()] for m in pattern.finditer(text) if m.end() in starts] for pattern in _ENDS]
    ends.append([i for i, piece in enumerate(pieces) if not _INSIDE.match(piece)])
    found, first = [], 0
    while len(rows) - first > LIMIT:
        fitting = ([end for end in kind if first < end <= first + LIMIT] for kind in ends)
        last = next(kind[-1] for kind in fitting if kind)
        found.append(rows[first:last])
        first = last
    return [*found, rows[first:]]


def _max_length(rows):
    """The greatest length of a translation, which depends on its sentence alone: 32, 64, 128, …

    A run of the engine has one for all: only sentences that agree in it may come together.
    """
    return max(MIN_LENGTH, 1 << (2 * len(rows) - 1).bit_length())


def _batches(pieces, size):
    """The keys of ``{key: rows}``, longest first, in lists of up to ``size`` of one ``_max_length``."""
    keys = sorted(pieces, key=lambda key: len(pieces[key]), reverse=True)
    batches = []
    for _, group in itertools.groupby(keys, key=lambda key: _max_length(pieces[key])):
        group = list(group)
        batches += [group[i : i + size] for i in range(0, len(group), size)]
    return batches


def _join(parts):
    """The ``Translation`` of a sentence from those of its pieces."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Translation("", 0.0, [("", 0.0)], [], [])
    hypotheses = []
    for rank in range(max(len(part.hypotheses) for part in parts)):
        chosen = [part.hypotheses[min(rank, len(part.hypotheses) - 1)] for part in parts]
        hypotheses.append((" ".join(text for text, _ in chosen if text), sum(score for _, score in chosen)))
    source, target = (sum((getattr(part, side) for part in parts), []) for side in ("source", "target"))
    return Translation(*hypotheses[0], hypotheses, source, target)


def evaluate_translator(
    translate: Callable, corpus: Parallel, progress: bool = False, judged: dict | None = None
) -> dict[str, Any]:
    """BLEU and chrF of a function that translates sentences, over a whole corpus.

    Args:
        translate: a list of str -> a list of ``Translation``, or of str, detokenised.
        corpus: a ``zoo.families.translator.corpus.Parallel``.
        progress: show a progress bar.

    Returns:
        A dict with ``sentences``; ``bleu`` (Papineni et al. 2002; cased, tokenised by sacreBLEU's 13a) and
        ``chrf`` (Popović 2015), 0 to 100; ``signature``, sacreBLEU's of that BLEU (Post 2018);
        ``length_ratio``, tokens of the translations over those of the references; ``seconds`` that
        translating took and ``sentences_per_second``; ``skipped`` (on pairs that could not be used);
        ``confidence``, see ``zoo.metrics.confidence.confidence_report``, where "right" is chrF of the
        sentence, 0 to 1. ``judged``, a dict, gets "text": confidences, and that.
    """
    from sacrebleu.metrics import BLEU, CHRF

    hypotheses, references, seconds = answers(
        translate, corpus, 512, desc="translating", unit=" sentences", disable=not progress
    )
    sure, chrf = {}, CHRF()
    if hypotheses and not isinstance(hypotheses[0], str):
        pairs = zip(hypotheses, references, strict=True)
        near = [chrf.sentence_score(one.text, [wanted]).score / 100 for one, wanted in pairs]
        sure["confidence"] = judge([one.confidence for one in hypotheses], near, judged)
        hypotheses = [one.text for one in hypotheses]
    metric = BLEU(tokenize="13a")
    bleu = metric.corpus_score(hypotheses, [references])
    return {
        "sentences": len(references),
        "bleu": bleu.score,
        "chrf": chrf.corpus_score(hypotheses, [references]).score,
        "signature": str(metric.get_signature()),
        "length_ratio": bleu.ratio,
        "seconds": seconds,
        "sentences_per_second": len(references) / seconds,
        "skipped": corpus.skipped,
        **sure,
    }


READER = TranslationReader
