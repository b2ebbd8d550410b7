"""Writes and scores text with an exported model or a Keras task, character by character.

    from export import runtime

    reader = runtime.load("char_lm.onnx")
    for piece in reader.write("PANDARUS:", length=500, temperature=0.8, seed=1):
        print(piece, end="", flush=True)                  # as it comes
    reader.score("To be, or not to be")                   # nats of each character
    reader(["ROMEO:\\n", "JULIET:\\n"], length=100)         # list of str
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contract.options import SEED, TEMPERATURE, TOP_K, Option, checked_sampling, positive
from zoo.contract.reader import Metric, Reader
from zoo.errors import UserError
from zoo.text.plain import Characters

if TYPE_CHECKING:
    from zoo.families.char_lm.corpus import Texts

LENGTH = 500  # characters that are written unless told otherwise
STEPS = 32  # characters written at a time
CHUNK = 256  # characters read at a time
PIECE = 4000  # characters of a long text that are scored side by side with others
CONTEXT = 1000  # characters before a piece from which it knows what it goes on from
STREAMS = 64  # pieces scored at a time by each thread,
STATES = 1 << 24  # or fewer where a cache makes their states larger: numbers in all of them
UNICODE = 0x110000 - 0x800  # characters that there may be: all code points but surrogates


def state_shape(config: dict[str, Any]) -> tuple[int, int]:
    """``(states, units)``: of each layer its output and, of an LSTM, its cell, the first layer first; then
    those of the cache, if there is one, see ``zoo.families.char_lm.cache``."""
    cache, units = config.get("cache", 0), config["units"]
    return config["layers"] * (2 if config["cell"] == "lstm" else 1) + cache + -(-cache // units), units


@dataclasses.dataclass(frozen=True)
class Continuation:
    """How a text goes on.

    Attributes:
        prompt: what was given.
        text: what was written after it.
        score: log-probability of that in nats, at temperature 1.
    """

    prompt: str
    text: str
    score: float

    @property
    def confidence(self) -> float:
        """The mean probability of its characters (geometric), 0 to 1."""
        return math.exp(self.score / len(self.text)) if self.text else 0.0

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        about = {"prompt": self.prompt, "text": self.text, "score": round(self.score, 4)}
        return about | {"confidence": round(self.confidence, 4)}


@dataclasses.dataclass(frozen=True)
class _Sampling:
    length: int
    temperature: float
    top_k: int  # 0: all characters
    seed: int


class TextGenerator(Reader):
    """Writes and scores text. The arguments are those of ``Reader``."""

    Vocabulary = Characters
    reads, one, takes = "prompts", "prompt", "prompts"
    options = (
        Option("prompt", "text to continue, shown first; without one: from nothing", evaluates=False),
        Option(
            "length", f"characters to write after the prompt, default {LENGTH}", positive, "N",
            evaluates=False,
        ),
        *(dataclasses.replace(option, evaluates=False) for option in (TEMPERATURE, TOP_K, SEED)),
    )
    formats = {name: form for name, form in Reader.formats.items() if name != "tsv"}  # texts have many lines
    metrics = (
        Metric("bits_per_character", "bits per character", "{:.3f}"),
        Metric("nats_per_character", "nats per character", "{:.3f}"),
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._beginning = np.zeros((1, *state_shape(self.config)), np.float32)
        self._context = max(CONTEXT, self.config.get("cache", 0))
        self._piece = max(PIECE, 4 * self._context)

    # === Writing ===

    def write(
        self, prompt: str = "", length: int = LENGTH, temperature: float = 1.0, top_k: int | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:  # fmt: skip
        """Iterate over str: how the model goes on from a prompt, ``STEPS`` characters at a time.

        Args:
            prompt: str; the empty one is the beginning, from which the model writes as from anywhere.
            length: characters to write, 1 or more.
            temperature: 0 or more; it divides the logits, 1 is the model's own distribution and 0 the
                likeliest character at each step.
            top_k: each character is drawn from as many likeliest ones; by default from all.
            seed: int from 0; the same gives the same text, a longer one where more is asked for. Without
                one, each call writes another.

        Raises:
            UserError: a character of the prompt is none of the model's, or a number cannot be.
        """
        sampling = self._sampling(length, temperature, top_k, seed)
        return (text for text, _ in self._write(self._encode(prompt), sampling))

    def stream(
        self, prompts: Any, errors: str = "raise", progress: bool = False, length: int = LENGTH,
        temperature: float = 1.0, top_k: int | None = None, seed: int | None = None,
    ) -> Iterator[Continuation | UserError]:  # fmt: skip
        """Iterate over the ``Continuation`` of each prompt as they come, without a bar: writing shows itself.

        Args:
            prompts: an iterable of str.
            errors: as in a call.
            length, temperature, top_k, seed: as in ``write``. With a seed, each is what the prompt alone
                would get.
        """
        return self._stream(prompts, errors, self._sampling(length, temperature, top_k, seed))

    def _stream(self, prompts, errors, sampling):
        for prompt in prompts:
            try:
                rows = self._encode(prompt)
            except UserError as error:
                if errors == "raise":
                    raise
                yield error
                continue
            texts, scores = zip(*self._write(rows, sampling), strict=True)
            yield Continuation(prompt, "".join(texts), sum(scores))

    def _sampling(self, length, temperature, top_k, seed):
        if length < 1:
            raise UserError(f"a length is 1 or more, not {length}")
        return _Sampling(length, *checked_sampling(len(self.vocabulary), temperature, top_k, seed))

    def _encode(self, prompt):
        unknown = list(self.vocabulary.unknown(prompt))
        if unknown:
            listed = ", ".join(repr(character) for character in unknown[:5])
            more = " and others" if len(unknown) > 5 else ""
            raise UserError(f"the prompt has {listed}{more}, unknown to the model; leave such characters out")
        return self.vocabulary.encode(prompt)

    def _write(self, rows, sampling):
        """Iterate over ``(text, score)``: what follows rows, up to ``STEPS`` characters at a time."""
        states = self._beginning
        for start in range(0, len(rows), CHUNK):
            states = self._read(rows[None, start : start + CHUNK], states)["new_states"]
        random = np.random.default_rng(sampling.seed)
        for start in range(0, sampling.length, STEPS):
            steps = min(STEPS, sampling.length - start)
            inputs = self._inputs(np.zeros((1, 0), np.int32), states)
            inputs |= {
                "noise": random.random((1, steps, len(self.vocabulary)), np.float32),
                "temperature": np.array(sampling.temperature, np.float32),
                "top_k": np.array(sampling.top_k, np.int32),
            }
            found = self.run(inputs)
            states = found["sampled_states"]
            yield self.vocabulary.decode(found["sampled_tokens"][0]), float(found["sampled_scores"][0])

    def _read(self, rows, states, lengths=None):
        return self.run(self._inputs(rows, states, lengths))

    def _inputs(self, rows, states, lengths=None):
        """Of the engine, to read rows, int32 ``[batch, time]``, and draw a single character."""
        batch, time = rows.shape
        return {
            "tokens": rows if time else np.zeros((batch, 1), np.int32),
            "lengths": np.full(batch, time, np.int32) if lengths is None else lengths,
            "states": states,
            "noise": np.zeros((batch, 1, len(self.vocabulary)), np.float32),
            "temperature": np.array(0, np.float32),
            "top_k": np.array(0, np.int32),
        }

    # === Scoring ===

    def score(self, text: str) -> np.ndarray:
        """The cost of each character, given all before it, in nats: float64 ``[characters]``.

        The first one's is given nothing. An unknown character costs that there is one and, so that the costs
        are those of a code for any text, which of Unicode's others it is: the logarithm of their number.

        A long text is read in pieces of ``PIECE`` characters side by side, each from ``CONTEXT`` characters
        before it: what is further back has no weight in the states any more. With a cache of more than that,
        from as many as it holds, and the pieces are longer.
        """
        rows = self.vocabulary.encode(text)
        starts = np.arange(0, len(rows), self._piece)
        room = max(1, min(STREAMS, STATES // self._beginning.size))
        size = max(1, min(room, -(-len(starts) // self.threads)))
        batches = [starts[i : i + size] for i in range(0, len(starts), size)]
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            parts = pool.map(lambda batch: self._score(rows, batch), batches)
            nats = np.concatenate([np.zeros(0), *parts])
        return nats + np.log(UNICODE - len(self.vocabulary.characters)) * (rows == Characters.UNKNOWN)

    def _score(self, rows, starts):
        """Nats of the pieces of rows that begin at ``starts``, one after another."""
        begins = np.maximum(starts - self._context, 0)
        ends = np.minimum(starts + self._piece, len(rows))
        states = np.repeat(self._beginning, len(starts), axis=0)
        width = min(CHUNK, max(ends - begins))
        nats = []
        for at in range(0, max(ends - begins), width):
            places = begins[:, None] + at + np.arange(width)
            lengths = np.clip(ends - begins - at, 0, width).astype(np.int32)
            found = self._read(rows[np.minimum(places, len(rows) - 1)], states, lengths)
            states = found["new_states"]
            nats.append(found["nats"])
        nats = np.concatenate(nats, 1).astype(np.float64)
        each = zip(nats, starts - begins, ends - begins, strict=True)
        return np.concatenate([row[first:last] for row, first, last in each])

    def evaluate(self, corpus: Texts, progress: bool = False, **sampling: Any) -> dict[str, Any]:
        """What ``evaluate_text_model`` gives.

        Raises:
            UserError: there are ``sampling`` options, as nothing is drawn where text is scored.
        """
        if sampling:
            raise UserError("a text is scored as it is; leave out temperature, top-k and seed")
        return evaluate_text_model(self.score, self.vocabulary, corpus, progress)

    def rows(self, report: dict) -> list[tuple[str, str]]:
        unknown = "none"
        if report["unknown_characters"]:
            listed = " ".join(f"{c!r}×{count}" for c, count in report["unknown_characters"].items())
            unknown = f"{listed} (not in the vocabulary, {report['unknown_nats']:.1f} nats each)"
        return [
            ("texts", f"{report['texts']} ({report['characters']} characters)"),
            ("bits", f"{report['bits_per_character']:.4f} per character"),
            ("nats", f"{report['nats_per_character']:.4f} per character"),
            ("unknown", unknown),
            ("skipped", str(len(report["skipped"]))),
            ("speed", f"{report['characters_per_second']:.0f} characters a second"),
        ]


def evaluate_text_model(
    score: Callable[[str], np.ndarray], vocabulary: Characters, corpus: Texts, progress: bool = False
) -> dict[str, Any]:
    """Bits per character of a function that says what each character of a text costs, over a whole corpus.

    Args:
        score: a str -> the nats of each of its characters, given those before it.
        vocabulary: the ``zoo.text.plain.Characters`` of the model.
        corpus: a ``zoo.families.char_lm.corpus.Texts``; each of its texts begins anew.
        progress: show a progress bar.

    Returns:
        A dict with ``texts`` and ``characters``; ``bits_per_character`` and ``nats_per_character``, the means
        over all characters; ``unknown_characters`` (``{character: count}`` of those the vocabulary lacks) and
        ``unknown_nats``, what one of them cost in the mean (0 where there is none), which is in the means;
        ``seconds`` that scoring took and ``characters_per_second``; ``skipped`` (on files that are no text).
    """
    from tqdm import tqdm

    nats = unknown_nats = seconds = 0.0
    characters, unknown = 0, collections.Counter()
    with tqdm(total=sum(map(len, corpus.texts)), desc="scoring", unit="ch", disable=not progress) as bar:
        for text in corpus.texts:
            start = time.perf_counter()
            costs = score(text)
            seconds += time.perf_counter() - start
            nats += float(costs.sum())
            unknown_nats += float(costs[vocabulary.encode(text) == vocabulary.UNKNOWN].sum())
            unknown += vocabulary.unknown(text)
            characters += len(text)
            bar.update(len(text))
    return {
        "texts": len(corpus.texts),
        "characters": characters,
        "bits_per_character": nats / characters / math.log(2),
        "nats_per_character": nats / characters,
        "unknown_characters": dict(unknown.most_common()),
        "unknown_nats": unknown_nats / max(1, unknown.total()),
        "seconds": seconds,
        "characters_per_second": characters / seconds,
        "skipped": corpus.skipped,
    }


READER = TextGenerator
