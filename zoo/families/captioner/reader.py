"""Captions images with an exported model or a Keras task, searching or sampling, their order kept.

    from export import runtime

    reader = runtime.load("captioner.onnx")
    reader(["dog.jpg", "beach.png"])                      # ["a dog runs through the grass", …]
    found, = reader("dog.jpg", details=True)              # Caption: text, score, hypotheses, words, attention
    reader(paths, n_best=3, beam_width=5, errors="return")
    reader(paths, temperature=0.8, top_k=50, seed=1)      # drawn by their probability
    reader.picture(paths, "sheet.png")
"""

import concurrent.futures
import dataclasses
import functools
import itertools
import math
import os

import numpy as np
from PIL import Image

from export.runtime import IMAGE_SUFFIXES
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
from zoo.images.photos import read_photo
from zoo.metrics import captions
from zoo.metrics.text import answers
from zoo.text.normalise import normalise_caption
from zoo.text.words import Words

MAX_LENGTH = 30  # words of a caption
WINDOW = 64  # images held in memory at a time
BATCH = 16  # images captioned at a time by each thread
BEAMS = 160  # hypotheses searched at a time by each thread, each with scores of all words
SHEET = 500  # images on a contact sheet
_RESULTS = "captions of an image"


@dataclasses.dataclass(frozen=True)
class Caption:
    """What was said of one image.

    Attributes:
        text: the best caption, or the first one drawn.
        score: its log-probability in nats, without length penalty and at temperature 1.
        hypotheses: list of ``(text, score)``, as many as asked for and found: best first, ranked with length
            penalty, or in the order in which they were drawn.
        words: list of str, those of the text.
        attention: float32 ``[words, rows, columns]``, how much of each part of the image was seen where each
            word was written; None where the model has no attention or the caption was drawn.
    """

    text: str
    score: float
    hypotheses: list
    words: list
    attention: np.ndarray | None = dataclasses.field(default=None, compare=False)

    @property
    def confidence(self):
        """The mean probability of its words and its end (geometric), 0 to 1."""
        return math.exp(self.score / (len(self.words) + 1))

    def to_json(self):
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


class CaptionReader(Reader):
    """Captions images. The arguments are those of ``Reader``."""

    Vocabulary = Words
    reads, one, suffixes = "images", "image", IMAGE_SUFFIXES
    single = Reader.single | np.ndarray | Image.Image
    options = (BEAM_WIDTH, N_BEST, LENGTH_PENALTY, TEMPERATURE, TOP_K, SEED)
    greedy = {"beam_width": 1}
    plots, plot_help = "all", "the images with their captions; of one image, what was looked at for each word"
    metrics = (
        *(Metric(f"bleu{n}", f"BLEU-{n}", "{:.1f}") for n in range(1, 5)),
        Metric("rouge_l", "ROUGE-L", "{:.3f}"),
        Metric("cider", "CIDEr-D", "{:.3f}"),
    )

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._size = self.config["image_size"]

    def stream(self, images, errors="raise", progress=False, **decoding):
        """Iterate over the ``Caption`` of each image; they come ``WINDOW`` by ``WINDOW``.

        Args:
            images: an iterable of images: each a path, the bytes of a file, a PIL image, or a uint8 array,
                see ``zoo.images.photos.read_photo``.
            errors, progress: as in a call.
            decoding: ``n_best``, how many captions to give of each image, by default 1. Captions are
                searched, with ``beam_width`` hypotheses kept (at least ``n_best``) and ``length_penalty``, 0
                or more, where more favours long captions (Wu et al. 2016, equation 14), both by default as
                the model's configuration says; or, given a ``temperature``, they are drawn by their
                probability: it divides the logits, 1 is the model's own distribution and 0 the likeliest
                word at each step. ``top_k`` draws each word from as many likeliest ones. The same ``seed``,
                an int from 0, gives the same captions for the same images in the same order; without one,
                each call draws others.

        Raises:
            UserError: an image cannot be read, or the arguments do not go together.
        """
        return self._stream(images, errors, progress, self._decoding(**decoding))

    def _decoding(
        self, n_best=1, beam_width=None, length_penalty=None, temperature=None, top_k=None, seed=None
    ):
        """The ``_Search`` or ``_Sampling`` that these arguments ask for."""
        if temperature is None:
            if top_k is not None or seed is not None:
                raise UserError("top-k and seed are for sampling: give a temperature, too, or neither")
            return _Search(
                n_best, *checked_search(self.config, _RESULTS, n_best, beam_width, length_penalty)
            )
        checked_search(self.config, _RESULTS, n_best)
        if beam_width is not None or length_penalty is not None:
            raise UserError(
                "temperature is for sampling, beam width and length penalty for searching: leave out either"
            )
        return _Sampling(n_best, *checked_sampling(len(self.vocabulary), temperature, top_k, seed))

    def _stream(self, images, errors, progress, decoding, first=0):
        """What is drawn for an image goes by its number, of which the ``first`` is given."""
        answer = functools.partial(self._captions, decoding)
        return self.in_windows(
            images, self._photo, answer, WINDOW, errors, first=first, desc="captioning", unit=" images",
            disable=not progress,
        )  # fmt: skip

    def _photo(self, number, item):
        name = None if isinstance(item, str | os.PathLike) else f"image {number + 1}"
        return read_photo(item, self._size, name)

    def _captions(self, decoding, photos, pool, bar):
        """``{number: photo}`` -> ``{number: Caption}``, on all threads."""
        jobs = [(number, draw) for number in photos for draw in range(decoding.draws)]
        # Few images are spread over all threads rather than put into one batch.
        size = max(1, min(BATCH, BEAMS // decoding.beam_width, -(-len(jobs) // self.threads)))
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]

        def read(batch):
            images = np.stack([photos[number] for number, _ in batch])
            if isinstance(decoding, _Search):
                return self._search(images, decoding)
            return self._sample(images, batch, decoding)

        found = {number: [] for number in photos}
        for batch, results in zip(batches, pool.map(read, batches), strict=True):
            for (number, _), caption in zip(batch, results, strict=True):
                found[number].append(caption)
            bar.update(sum(draw == 0 for _, draw in batch))
        return {
            number: dataclasses.replace(drawn[0], hypotheses=sum((part.hypotheses for part in drawn), []))
            for number, drawn in found.items()
        }

    def _search(self, images, search):
        """uint8 ``[batch, height, width, 3]`` -> a ``Caption`` of each, in one run of the engine."""
        inputs = {
            "image": images,
            "beam_width": np.array(search.beam_width, np.int32),
            "length_penalty": np.array(search.length_penalty, np.float32),
            "max_length": np.array(MAX_LENGTH, np.int32),
            # The graph always samples, too: a single step here.
            "noise": np.zeros((len(images), 1, len(self.vocabulary)), np.float32),
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
                weights = outputs["attention"][i, said]
            found.append(Caption(*hypotheses[0], hypotheses, texts[0].split(), weights))
        return found

    def _sample(self, images, jobs, sampling):
        """The same, but each caption is drawn with the noise of its ``(number, draw)``."""
        shape = MAX_LENGTH, len(self.vocabulary)
        generators = (np.random.default_rng([sampling.seed, *job]) for job in jobs)
        inputs = {
            "image": images,
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

    def picture(self, images, path, found=None, **decoding):
        """Draws images with their captions; a single one with attention as it was seen for each word.

        Args:
            images: as in a call, up to ``SHEET``; they are drawn as the squares that the model sees.
            path: the PNG file to write.
            found: list of ``Caption``, what they were given already.
            decoding: as in a call.

        Raises:
            UserError: an image cannot be read, there are too many, or the file cannot be written.
        """
        from zoo.families.captioner.plot import attention_sheet, contact_sheet

        images = list(self.several(images))
        if not 0 < len(images) <= SHEET:
            raise UserError(f"{path}: a sheet has from 1 to {SHEET} images, not {len(images)}; give as many")
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            photos = list(pool.map(self._photo, itertools.count(), images))
        if found is None:
            found = list(self.stream(photos, **decoding))
        if len(found) == 1 and found[0].words and found[0].attention is not None:
            attention_sheet(photos[0], found[0].words, found[0].attention, path)
            return
        texts = [[text for text, _ in caption.hypotheses] for caption in found]
        contact_sheet(list(zip(photos, texts, strict=True)), path)

    def evaluate(self, corpus, progress=False, **decoding):
        """What ``evaluate_captioner`` gives, with how captions were found.

        That is ``beam_width`` and ``length_penalty``, or ``temperature``, ``top_k`` (0 for all) and ``seed``.
        """
        used, count = self._decoding(**decoding), 0

        def caption(images):
            nonlocal count
            first, count = count, count + len(images)
            return [found.text for found in self._stream(images, "raise", False, used, first)]

        report = evaluate_captioner(caption, corpus, progress)
        settings = dataclasses.asdict(used)
        del settings["n_best"]
        return report | settings

    def rows(self, report):
        if "temperature" in report:
            limit = f", top {report['top_k']} words" if report["top_k"] else ""
            how = "sampling", f"temperature {report['temperature']:g}{limit}, seed {report['seed']}"
        else:
            how = "search", f"beam width {report['beam_width']}, length penalty {report['length_penalty']:g}"
        return [
            ("images", f"{report['images']} ({report['captions']} captions)"),
            how,
            *super().rows(report),
            ("speed", f"{report['images_per_second']:.1f} images a second"),
        ]


def evaluate_captioner(caption, corpus, progress=False):
    """BLEU, ROUGE-L and CIDEr-D of a function that captions images, over a whole corpus.

    Args:
        caption: a list of uint8 RGB images -> a list of str.
        corpus: a ``zoo.families.captioner.corpus.CaptionSamples``.
        progress: show a progress bar.

    Returns:
        A dict with ``images`` and ``captions`` (how many references they have); ``bleu1`` to ``bleu4``, 0 to
        100, ``rouge_l``, 0 to 1, and ``cider``, 0 to 10, all as ``zoo.metrics.captions`` defines them, after
        ``zoo.text.normalise.normalise_caption`` of either side; ``seconds`` that captioning took and
        ``images_per_second``; ``skipped`` (sentences on what could not be used).
    """
    found, texts, seconds = answers(
        caption, corpus, 128, desc="captioning", unit=" images", disable=not progress
    )
    hypotheses = list(map(normalise_caption, found))
    references = [list(map(normalise_caption, several)) for several in texts]
    bleu = captions.bleu(references, hypotheses)
    return {
        "images": len(references),
        "captions": sum(map(len, references)),
        **{f"bleu{n}": score for n, score in enumerate(bleu, 1)},
        "rouge_l": captions.rouge_l(references, hypotheses),
        "cider": captions.cider(references, hypotheses),
        "seconds": seconds,
        "images_per_second": len(references) / seconds,
        "skipped": corpus.skipped,
    }


READER = CaptionReader
