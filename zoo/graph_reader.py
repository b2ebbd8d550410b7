"""What readers share that run one graph, the same in Keras and in an exported file."""

import concurrent.futures
import itertools
import json
import math
import re
import secrets

from zoo.errors import UserError
from zoo.reader import BaseReader

_SURROGATE = re.compile("[\ud800-\udfff]")


class GraphReader(BaseReader):
    """Reads with an engine that takes and gives dicts of arrays.

    Args:
        run: the engine, from the dict of arrays to the dict of arrays that the task serves.
        config: dict, the model's configuration.
        vocabulary: of the task's ``Vocabulary``.
        metadata: dict of str, what else is known of the model.
        threads: runs of the engine at a time; one on each core is best where the engine uses one for each.

    Attributes:
        Vocabulary: its class.
    """

    Vocabulary = None

    def __init__(self, run, config, vocabulary, metadata=None, threads=1):
        self.run, self.config, self.vocabulary, self.metadata = run, config, vocabulary, metadata or {}
        self.threads = threads

    @classmethod
    def of_session(cls, session, metadata, threads):
        """The reader of an ONNX file: its onnxruntime session and metadata, keys without ``seqzoo.``."""
        names = [output.name for output in session.get_outputs()]

        def run(inputs):
            return dict(zip(names, session.run(names, inputs), strict=True))

        config, vocabulary = json.loads(metadata["config"]), cls.read_vocabulary(metadata["vocabulary"])
        return cls(run, config, vocabulary, metadata, threads)

    @classmethod
    def of_task(cls, task):
        """The reader of a loaded task, which computes with Keras."""
        return task.reader

    @classmethod
    def read_vocabulary(cls, text):
        """The vocabulary of a file's metadata. Raises ValueError or KeyError where it is damaged."""
        return cls.Vocabulary.from_json(json.loads(text))

    def in_windows(self, numbered, prepare, answer, size, errors, **bar):
        """Iterate over the results of inputs, of which ``size`` at a time are in memory.

        Args:
            numbered: an iterator of ``(number, input)``.
            prepare: ``(number, input)`` -> what is read of it. Raises UserError for a bad one.
            answer: ``({number: prepared}, pool, bar)`` -> ``{number: result}``, with the threads of a pool;
                it updates the bar by each input.
            size: inputs of a window.
            errors: "raise", or "return" to get the UserError of a bad input in its place.
            bar: ``desc``, ``unit`` and ``disable``, as tqdm has them.
        """
        from tqdm import tqdm

        def prepared(pair):
            try:
                return prepare(*pair)
            except UserError as error:
                return error

        with (
            concurrent.futures.ThreadPoolExecutor(self.threads) as pool,
            tqdm(total=0, delay=1, leave=False, **bar) as bar,
        ):
            while window := list(itertools.islice(numbered, size)):
                bar.total += len(window)
                found, ready = {}, {}
                for (number, _), item in zip(window, pool.map(prepared, window), strict=True):
                    if isinstance(item, UserError) and errors == "raise":
                        raise item
                    (found if isinstance(item, UserError) else ready)[number] = item
                bar.update(len(found))
                found |= answer(ready, pool, bar)
                bar.clear()
                yield from (found[number] for number, _ in window)
                bar.refresh()


def check_utf8(text, number):
    """UserError where line ``number`` was not UTF-8, and so came with surrogates."""
    bad = _SURROGATE.search(text)
    if bad:
        position = len(text[: bad.start()].encode()) + 1
        raise UserError(f"line {number}, byte {position}: this is not UTF-8; convert the text to UTF-8")


def checked_search(config, results, n_best=1, beam_width=None, length_penalty=None):
    """What a beam search is to be, by default as a model's configuration says.

    Args:
        config: dict with ``beam_width`` and ``length_penalty``.
        results: for messages: "captions of an image".

    Returns:
        ``(beam_width, length_penalty)``.

    Raises:
        UserError: there can be no such search.
    """
    if n_best < 1 or (beam_width is not None and beam_width < 1):
        raise UserError(f"a beam width and a number of {results.split()[0]} are 1 or more")
    if beam_width is None:
        beam_width = max(n_best, config["beam_width"])
    if n_best > beam_width:
        raise UserError(
            f"{n_best} {results} cannot be found with a beam width of {beam_width}: "
            "give one as large, or none"
        )
    if length_penalty is None:
        length_penalty = config["length_penalty"]
    if not 0 <= length_penalty < math.inf:
        raise UserError(f"a length penalty is 0 or more, not {length_penalty}")
    return beam_width, length_penalty


def checked_sampling(classes, temperature, top_k=None, seed=None):
    """What sampling is to be.

    Args:
        classes: how many tokens there are to draw from.
        temperature: what divides the logits.
        top_k: each token is drawn from as many likeliest ones; None: from all.
        seed: None for another at each call.

    Returns:
        ``(temperature, top_k, seed)``, where a ``top_k`` of 0 is all.

    Raises:
        UserError: there can be no such sampling.
    """
    if not 0 <= temperature < math.inf:
        raise UserError(f"a temperature is 0 or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise UserError(f"top-k is 1 or more, not {top_k}")
    if seed is not None and seed < 0:
        raise UserError(f"a seed is 0 or more, not {seed}")
    limit = top_k if top_k and top_k < classes else 0
    return temperature, limit, secrets.randbits(32) if seed is None else seed
