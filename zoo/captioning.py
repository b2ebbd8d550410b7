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

from zoo.errors import UserError
from zoo.graph_reader import GraphReader, checked_sampling, checked_search
from zoo.photos import read_photo
from zoo.words import Words

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

    def to_json(self):
        """What of it ``zoo predict --format json`` shows, rounded."""
        return {"text": self.text, "score": round(self.score, 4)}


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


class CaptionReader(GraphReader):
    """Captions images. Get one from ``export.runtime.load`` or ``CaptionReader.of_task``.

    The arguments are those of ``GraphReader``.
    """

    Vocabulary = Words
    reads, one = "images", "image"
    options = frozenset({"beam_width", "n_best", "length_penalty", "temperature", "top_k", "seed", "plot"})
    single = frozenset()
    figures = {f"bleu{n}": "{:.1f}" for n in range(1, 5)} | {"rouge_l": "{:.3f}", "cider": "{:.3f}"}

    def __init__(self, run, config, vocabulary, metadata=None, threads=1):
        super().__init__(run, config, vocabulary, metadata, threads)
        self._size = config["image_size"]

    def __call__(self, images, details=False, errors="raise", progress=False, **decoding):
        """Captions images.

        Args:
            images: an iterable of images, or one: each a path, the bytes of a file, a PIL image, or a uint8
                array, see ``zoo.photos.read_photo``.
            details: give a ``Caption`` for each instead of its text.
            errors: "raise", or "return" to get the UserError of a bad image in its place.
            progress: show a bar that counts images.
            decoding: ``n_best``, how many captions to give of each image, by default 1. Captions are
                searched, with ``beam_width`` hypotheses kept (at least ``n_best``) and ``length_penalty``, 0
                or more, where more favours long captions (Wu et al. 2016, equation 14), both by default as
                the model's configuration says; or, given a ``temperature``, they are drawn by their
                probability: it divides the logits, 1 is the model's own distribution and 0 the likeliest
                word at each step. ``top_k`` draws each word from as many likeliest ones. The same ``seed``,
                an int from 0, gives the same captions for the same images in the same order; without one,
                each call draws others.

        Returns:
            A list of str or ``Caption``, one for each image and in their order. What is searched is what the
            image alone would get.

        Raises:
            UserError: an image cannot be read, or the arguments do not go together.
        """
        found = self.stream(_several(images), errors, progress, **decoding)
        return [item.text if isinstance(item, Caption) and not details else item for item in found]

    def stream(self, images, errors="raise", progress=False, **decoding):
        """Like a call with ``details``, but an iterator that gives results ``WINDOW`` by ``WINDOW``."""
        return self._stream(enumerate(images), errors, progress, self._decoding(**decoding))

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

    def _stream(self, numbered, errors, progress, decoding):
        """``numbered`` are ``(number, image)``; what is drawn for an image goes by its number, from 0."""
        answer = functools.partial(self._captions, decoding)
        return self.in_windows(
            numbered, self._photo, answer, WINDOW, errors, desc="captioning", unit=" images",
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
        for batch, captions in zip(batches, pool.map(read, batches), strict=True):
            for (number, _), caption in zip(batch, captions, strict=True):
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
        from zoo.contact_sheet import attention_sheet, contact_sheet

        images = list(_several(images))
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
        """What ``zoo.metrics.evaluate_captioner`` gives, with how captions were found.

        That is ``beam_width`` and ``length_penalty``, or ``temperature``, ``top_k`` (0 for all) and ``seed``.
        """
        from zoo import metrics

        used, numbers = self._decoding(**decoding), itertools.count()

        def caption(images):
            numbered = zip(itertools.islice(numbers, len(images)), images, strict=True)
            return [found.text for found in self._stream(numbered, "raise", False, used)]

        report = metrics.evaluate_captioner(caption, corpus, progress)
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


def _several(images):
    single = isinstance(images, str | bytes | os.PathLike | np.ndarray | Image.Image)
    return [images] if single else images
