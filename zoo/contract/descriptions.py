"""Readers that describe in a sentence what was seen, searching or sampling, their order kept.

What images and videos have in common; see ``zoo.contract.describer`` for the tasks.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.options import (
    BEAM_WIDTH,
    LENGTH_PENALTY,
    N_BEST,
    SEED,
    TEMPERATURE,
    TOP_K,
    checked_sampling,
    checked_search,
)
from zoo.contract.reader import Metric, Reader
from zoo.errors import UserError
from zoo.metrics import captions
from zoo.metrics.confidence import judge
from zoo.metrics.text import answers
from zoo.text.normalise import normalise_caption
from zoo.text.words import Words

if TYPE_CHECKING:
    from zoo.data.captions import CaptionedSamples

MAX_LENGTH = 30  # words of a caption
BEAMS = 160  # hypotheses searched at a time by each thread, each with scores of all words
PLAIN = 16  # grey levels that pixels of one colour differ by, at most, in a JPEG, too
SHEET = 500  # things on a contact sheet


@dataclasses.dataclass(frozen=True)
class Caption:
    """What was said of one image or video.

    Attributes:
        text: the best caption, or the first one drawn.
        score: its log-probability in nats, without length penalty and at temperature 1.
        hypotheses: list of ``(text, score)``, as many as asked for and found: best first, ranked with length
            penalty, or in the order in which they were drawn.
        words: list of str, those of the text.
        attention: float32 ``[words, rows, columns]`` of an image, ``[words, frames]`` of a video, how much of
            each part was seen where each word was written; None where the model has no attention or the
            caption was drawn.
    """

    text: str
    score: float
    hypotheses: list
    words: list
    attention: np.ndarray | None = dataclasses.field(default=None, compare=False)
    sure: float | None = None

    @property
    def confidence(self) -> float:
        """How near it comes to what a person says of it, 0 to 1; 0 where nothing is said.

        That is what ``DescribingReader.nearness`` tells, as expected, where the model was calibrated, else
        the (geometric) mean probability of its words and its end.
        """
        if self.sure is not None:
            return self.sure
        if not self.words:
            return 0.0
        return math.exp(self.score / (len(self.words) + 1))

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        return {"text": self.text, "score": round(self.score, 4), "confidence": round(self.confidence, 4)}


@dataclasses.dataclass(frozen=True)
class _Search:
    n_best: int
    beam_width: int
    length_penalty: float
    draws = 1  # runs for each image


@dataclasses.dataclass(frozen=True)
class _Sampling:
    n_best: int
    temperature: float
    top_k: int  # 0: all words
    seed: int
    beam_width = 1

    @property
    def draws(self):
        return self.n_best


class DescribingReader(Reader):
    """Describes. The arguments are those of ``Reader``; a subclass defines:

    - ``read(item, name)``: what is given -> what the model sees. Raises UserError;
    - ``batch(seen)``: a list of these -> the inputs that the model takes of them;
    - ``sheet(seen, found, path)``: draws them with their ``Caption``.

    Attributes:
        window: how many are held in memory at a time.
        most: how many are described at a time by each thread.
    """

    Vocabulary = Words
    options = (BEAM_WIDTH, N_BEST, LENGTH_PENALTY, TEMPERATURE, TOP_K, SEED)
    greedy = {"beam_width": 1}
    judges = True
    plots = "all"
    metrics = (
        *(Metric(f"bleu{n}", f"BLEU-{n}", "{:.1f}") for n in range(1, 5)),
        Metric("rouge_l", "ROUGE-L", "{:.3f}"),
        Metric("cider", "CIDEr-D", "{:.3f}"),
    )
    window, most = 64, 16

    def read(self, item: Any, name: str) -> Any:
        raise NotImplementedError

    def batch(self, seen: list) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def sheet(self, seen: list, found: Sequence[Caption], path: str | os.PathLike) -> None:
        raise NotImplementedError

    def stream(
        self, inputs: Any, errors: str = "raise", progress: bool = False, **decoding: Any
    ) -> Iterator[Any]:
        """Iterate over the ``Caption`` of each input; they come ``window`` by ``window``.

        Args:
            inputs: an iterable of what ``read`` takes.
            errors, progress: as in a call.
            decoding: ``n_best``, how many captions to give of each, by default 1. Captions are
                searched, with ``beam_width`` hypotheses kept (at least ``n_best``) and ``length_penalty``, 0
                or more, where more favours long captions (Wu et al. 2016, equation 14), both by default as
                the model's configuration says; or, given a ``temperature``, they are drawn by their
                probability: it divides the logits, 1 is the model's own distribution and 0 the likeliest
                word at each step. ``top_k`` draws each word from as many likeliest ones. The same ``seed``,
                an int from 0, gives the same captions for the same inputs in the same order; without one,
                each call draws others.

        Raises:
            UserError: one cannot be read, or the arguments do not go together.
        """
        return self._stream(inputs, errors, progress, self._decoding(**decoding))

    def _decoding(
        self, n_best=1, beam_width=None, length_penalty=None, temperature=None, top_k=None, seed=None
    ):
        """The ``_Search`` or ``_Sampling`` that these arguments ask for."""
        results = f"captions of a{'n' * (self.one[0] in 'aeiou')} {self.one}"
        if temperature is None:
            if top_k is not None or seed is not None:
                raise UserError("top-k and seed are for sampling: give a temperature, too, or neither")
            return _Search(n_best, *checked_search(self.config, results, n_best, beam_width, length_penalty))
        checked_search(self.config, results, n_best)
        if beam_width is not None or length_penalty is not None:
            raise UserError(
                "temperature is for sampling, beam width and length penalty for searching: leave out either"
            )
        return _Sampling(n_best, *checked_sampling(len(self.vocabulary), temperature, top_k, seed))

    def _stream(self, inputs, errors, progress, decoding, first=0):
        """What is drawn for an input goes by its number, of which the ``first`` is given."""
        answer = functools.partial(self._captions, decoding)
        return self.in_windows(
            inputs, self._read, answer, self.window, errors, first=first, desc="captioning",
            unit=f" {self.reads}", disable=not progress,
        )  # fmt: skip

    def _read(self, number, item):
        return self.read(item, None if isinstance(item, str | os.PathLike) else f"{self.one} {number + 1}")

    def _captions(self, decoding, seen, pool, bar):
        """``{number: what is seen}`` -> ``{number: Caption}``, on all threads."""
        jobs = [(number, draw) for number in seen for draw in range(decoding.draws)]
        # Few inputs are spread over all threads rather than put into one batch.
        size = max(1, min(self.most, BEAMS // decoding.beam_width, -(-len(jobs) // self.threads)))
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]

        def read(batch):
            some = [seen[number] for number, _ in batch]
            if isinstance(decoding, _Search):
                return self._search(some, decoding)
            return self._sample(some, batch, decoding)

        found = {number: [] for number in seen}
        for batch, results in zip(batches, pool.map(read, batches), strict=True):
            for (number, _), caption in zip(batch, results, strict=True):
                found[number].append(caption)
            bar.update(sum(draw == 0 for _, draw in batch))
        for number, drawn in found.items():
            hypotheses = sum((part.hypotheses for part in drawn), [])
            sure = self.sure(drawn[0].confidence) if self.maps else None
            sure = 0.0 if _is_plain(seen[number]) else sure
            found[number] = dataclasses.replace(drawn[0], hypotheses=hypotheses, sure=sure)
        return found

    @staticmethod
    def nearness(text: str, references: list[str]) -> float:
        """How near a caption comes to its references, 0 to 1: ROUGE-L, all normalised."""
        return captions.rouge_l([references], [text])

    def _search(self, seen, search):
        """A list of what is seen -> a ``Caption`` of each, in one run of the engine."""
        inputs = self.batch(seen) | {
            "beam_width": np.array(search.beam_width, np.int32),
            "length_penalty": np.array(search.length_penalty, np.float32),
            "max_length": np.array(MAX_LENGTH, np.int32),
            # The graph always samples, too: a single step here.
            "noise": np.zeros((len(seen), 1, len(self.vocabulary)), np.float32),
            "temperature": np.array(1, np.float32),
            "top_k": np.array(0, np.int32),
        }
        outputs = self.run(inputs)
        counts, scores = outputs["token_lengths"].tolist(), outputs["scores"].tolist()
        found = []
        for i, tokens in enumerate(outputs["tokens"]):
            ranks = [rank for rank in range(search.n_best) if scores[i][rank] > -math.inf]
            texts = [self.vocabulary.decode(tokens[rank, : counts[i][rank]]) for rank in ranks]
            hypotheses = [(text, scores[i][rank]) for text, rank in zip(texts, ranks, strict=True)]
            weights = None
            if "attention" in outputs:  # of words alone: the rows of some tokens say nothing
                rows = tokens[0, : counts[i][0]]
                said = [at for at, row in enumerate(rows) if self.vocabulary.decode([row])]
                weights = self.looks(outputs["attention"][i, said], seen[i])
            found.append(Caption(*hypotheses[0], hypotheses, texts[0].split(), weights))
        return found

    def looks(self, attention: np.ndarray, seen: Any) -> np.ndarray:
        """Float ``[words, ...]``, the attention of a batch, as that of one that was seen in it."""
        return attention

    def _sample(self, seen, jobs, sampling):
        """The same, but each caption is drawn with the noise of its ``(number, draw)``."""
        shape = MAX_LENGTH, len(self.vocabulary)
        generators = (np.random.default_rng([sampling.seed, *job]) for job in jobs)
        inputs = self.batch(seen) | {
            "beam_width": np.array(1, np.int32),
            "length_penalty": np.array(0, np.float32),
            "max_length": np.array(1, np.int32),  # the graph always searches, too: a single step here
            "noise": np.stack([generator.random(shape, np.float32) for generator in generators]),
            "temperature": np.array(sampling.temperature, np.float32),
            "top_k": np.array(sampling.top_k, np.int32),
        }
        outputs = self.run(inputs)
        rows = zip(*(outputs[f"sampled_{name}"] for name in ("tokens", "lengths", "scores")), strict=True)
        found = []
        for tokens, length, score in rows:
            text = self.vocabulary.decode(tokens[:length])
            found.append(Caption(text, float(score), [(text, float(score))], text.split()))
        return found

    def picture(
        self, inputs: Any, path: str | os.PathLike, found: Sequence[Caption] | None = None, **decoding: Any
    ) -> None:
        """Draws inputs with their captions; a single one with what was looked at for each word.

        Args:
            inputs: as in a call, up to ``SHEET``; they are drawn as the model sees them.
            path: the PNG file to write.
            found: list of ``Caption``, what they were given already.
            decoding: as in a call.

        Raises:
            UserError: one cannot be read, there are too many, or the file cannot be written.
        """
        inputs = list(self.several(inputs))
        if not 0 < len(inputs) <= SHEET:
            raise UserError(
                f"{path}: a sheet has from 1 to {SHEET} {self.reads}, not {len(inputs)}; give as many"
            )
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            seen = list(pool.map(self._read, itertools.count(), inputs))
        if found is None:
            found = list(self.stream(seen, **decoding))
        self.sheet(seen, found, path)

    def evaluate(
        self, corpus: CaptionedSamples, progress: bool = False, judged: dict | None = None, **decoding: Any
    ) -> dict[str, Any]:
        """What ``evaluate_describer`` gives, with how captions were found.

        That is ``beam_width`` and ``length_penalty``, or ``temperature``, ``top_k`` (0 for all) and ``seed``.
        """
        used, count = self._decoding(**decoding), 0

        def describe(inputs):
            nonlocal count
            first, count = count, count + len(inputs)
            return list(self._stream(inputs, "raise", False, used, first))

        report = evaluate_describer(describe, corpus, self.reads, progress, self.nearness, judged)
        settings = dataclasses.asdict(used)
        del settings["n_best"]
        return report | settings

    def rows(self, report: dict) -> list[tuple[str, str]]:
        if "temperature" in report:
            limit = f", top {report['top_k']} words" if report["top_k"] else ""
            how = "sampling", f"temperature {report['temperature']:g}{limit}, seed {report['seed']}"
        else:
            how = "search", f"beam width {report['beam_width']}, length penalty {report['length_penalty']:g}"
        return [
            (self.reads, f"{report[self.reads]} ({report['captions']} captions)"),
            how,
            *super().rows(report),
            ("speed", f"{report[f'{self.reads}_per_second']:.1f} {self.reads} a second"),
        ]


def _is_plain(seen):
    """Whether an image, or all of a video, has one colour: what is said of it is made up."""
    return seen.dtype == np.uint8 and bool(np.ptp(seen.reshape(-1, seen.shape[-1]), 0).max() < PLAIN)


def evaluate_describer(
    describe: Callable[[list], list], corpus: CaptionedSamples, noun: str, progress: bool = False,
    nearness: Callable[[str, list[str]], float] | None = None, judged: dict | None = None,
) -> dict[str, Any]:  # fmt: skip
    """BLEU, ROUGE-L and CIDEr-D of a function that captions, over a whole corpus.

    Args:
        describe: a list of what ``corpus.chunks`` gives -> a list of ``Caption``, or of str.
        corpus: a ``zoo.data.captions.CaptionedSamples``.
        noun: what it consists of, in the plural: "images".
        progress: show a progress bar.
        nearness: of captions, see ``DescribingReader``.
        judged: a dict that gets "text": confidences, and how near each caption comes.

    Returns:
        A dict with ``images`` (or what ``noun`` says) and ``captions`` (how many references they have);
        ``exact``, 0 to 1, the share that is one of its references word for word; ``bleu1`` to ``bleu4``, 0 to
        100, ``rouge_l``, 0 to 1, and ``cider``, 0 to 10, all as ``zoo.metrics.captions`` defines them, after
        ``zoo.text.normalise.normalise_caption`` of either side; ``seconds`` that captioning took and
        ``images_per_second``; ``skipped`` (sentences on what could not be used); of captions, ``confidence``,
        see ``zoo.metrics.confidence.confidence_report``.
    """
    found, texts, seconds = answers(
        describe, corpus, 128, desc="captioning", unit=f" {noun}", disable=not progress
    )
    said = [one if isinstance(one, str) else one.text for one in found]
    hypotheses = list(map(normalise_caption, said))
    references = [list(map(normalise_caption, several)) for several in texts]
    exact = [hypothesis in several for hypothesis, several in zip(hypotheses, references, strict=True)]
    sure = {}
    if nearness and found:
        near = list(map(nearness, hypotheses, references))
        sure["confidence"] = judge([one.confidence for one in found], near, judged)
    bleu = captions.bleu(references, hypotheses)
    return {
        noun: len(references),
        "captions": sum(map(len, references)),
        "exact": sum(exact) / len(exact),
        **{f"bleu{n}": score for n, score in enumerate(bleu, 1)},
        "rouge_l": captions.rouge_l(references, hypotheses),
        "cider": captions.cider(references, hypotheses),
        "seconds": seconds,
        f"{noun}_per_second": len(references) / seconds,
        "skipped": corpus.skipped,
        **sure,
    }
