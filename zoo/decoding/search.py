"""Autoregressive decoding in one loop, which ONNX keeps as one ``Loop``: greedy, beam search, sampling.

All three call ``step(tokens, state) -> (logits, state)``. There ``tokens`` is int32 ``[batch]``, the tokens
chosen last; ``logits`` float ``[batch, classes]``, before or after log-softmax, with a known number of
classes; and ``state`` any nesting of lists, tuples and dicts of tensors with the batch first, whose
shapes stay. What a step only reads, as an encoder's outputs, belongs into the state too, given
back as it came.

Common arguments:
    state: the state before the first step.
    start: the token before the first, an int or int32 ``[batch]``. It is not part of the result.
    end: int, the token that ends a sequence; -1 if none does.
    max_length: greatest number of tokens, ``end`` included; an int or (not on JAX) an int32 scalar tensor.
    pad: int, what follows ``end``.

Common results, in a dict:
    tokens: int32 ``[batch, max_length]``, with ``end``, then pads.
    lengths: int32 ``[batch]``, the tokens before ``end``; ``max_length`` if it never came.
    scores: float32 ``[batch]``, the sum of the tokens' log-probabilities, of ``end`` too, in nats.

Each row of a batch gives what it gives alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

# Stands for a log-probability of -inf: tf2onnx writes `where(a, x, y)` as `a * x + not a * y`, in which an
# infinity turns into NaN. What is below _POSSIBLE is impossible, also after a division by a length penalty.
_IMPOSSIBLE, _POSSIBLE = -1e30, -1e20


def greedy(step: Callable, state: Any, start: Any, end: int, max_length: Any, pad: int = 0) -> dict[str, Any]:
    """The likeliest token at every step. Arguments and results are those at the top of this module."""

    def choose(log_probs, position):
        # Keras's argmax compares bit patterns, which has no ONNX form; the first of top-k has.
        return ops.top_k(log_probs, 1)[1][:, 0]

    return _one_path(step, choose, state, start, end, max_length, pad)[0]


def sample(
    step: Callable, state: Any, start: Any, noise: Any, temperature: Any = 1.0, top_k: Any = None,
    end: int = -1, pad: int = 0, keep_state: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Draws every token by its probability, with the Gumbel-max trick (Maddison et al. 2014, section 2).

    Randomness is an input: the same noise draws the same tokens in Keras and in ONNX.

    Args:
        noise: float32 ``[batch, max_length, classes]``, uniform in 0..1.
        temperature: what the logits are divided by, a number or a float32 scalar tensor, at least 0;
            0 gives what ``greedy`` gives.
        top_k: each token is drawn from the ``top_k`` likeliest (Fan et al. 2018): an int, or (not on JAX) an
            int32 scalar tensor; 0 or None: from all.
        keep_state: give ``state`` and ``last``, too; as ``state`` and ``start`` of another call they go on.

    Returns:
        The results at the top of this module; ``scores`` are at temperature 1 and over all classes.

    Raises:
        ValueError: ``top_k`` is less than 0.
    """
    if isinstance(top_k, int) and top_k < 0:
        raise ValueError(f"top_k must be at least 0, not {top_k}")

    def choose(log_probs, position):
        # Keeps the logarithms finite, with bounds that are hardly ever met by float32 noise.
        uniform = ops.clip(ops.take(noise, position, axis=1), 2.0**-25, 1 - 2.0**-24)
        # Scaling the noise instead of dividing the logits draws the same, and allows a temperature of 0.
        gumbel = -ops.log(-ops.log(uniform)) * temperature
        most = log_probs.shape[-1]
        if top_k is None or (isinstance(top_k, int) and not 0 < top_k < most):
            return ops.top_k(log_probs + gumbel, 1)[1][:, 0]
        count = top_k if isinstance(top_k, int) else ops.where(top_k > 0, ops.minimum(top_k, most), most)
        likeliest, classes = ops.top_k(log_probs, count)
        drawn = ops.top_k(likeliest + _pick(gumbel, classes), 1)[1]
        return _pick(classes, drawn)[:, 0]

    found, last, state = _one_path(step, choose, state, start, end, ops.shape(noise)[1], pad)
    return found | ({"state": state, "last": last} if keep_state else {})


def beam_search(
    step: Callable, state: Any, start: Any, end: int, max_length: Any, beam_width: Any = 4,
    length_penalty: Any = 0.6, pad: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The likeliest sequences found by keeping ``beam_width`` prefixes at every step.

    Sequences are ranked by ``log-probability / ((5 + length) / 6) ** length_penalty`` (Wu et al. 2016,
    equation 14), ``length`` counting ``end``. An ``end`` among the ``beam_width`` best continuations of a
    step makes a finished sequence. It is kept, and its place in the beam goes to the next best prefix. A
    row is done when it has ``beam_width`` finished sequences and no prefix ranks above the best of these,
    the loop when all rows are: a search that stops as soon as they are ``beam_width`` finds short ones (Huang
    et al. 2017, "When to Finish? Optimal Beam Search for Neural Text Generation"). If ``max_length`` comes
    before there are so many, the prefixes it cuts are ranked among the finished.

    Args:
        beam_width: int, or (not on JAX) an int32 scalar tensor. ``step`` sees a batch of
            ``batch * beam_width``, the beams of a row side by side.
        length_penalty: a number or a float32 scalar tensor, at least 0; 0 ranks by log-probability alone.

    Returns:
        The results at the top of this module, with an axis of ``beam_width`` after the batch, best first.
        ``scores`` are without the penalty. A place left without a sequence has score -inf, length 0 and pads.

    Raises:
        ValueError: ``beam_width`` is less than 1.
    """
    if isinstance(beam_width, int) and beam_width < 1:
        raise ValueError(f"beam_width must be at least 1, not {beam_width}")
    width = beam_width
    token = _first(start, state)
    batch = ops.shape(token)[0]
    leaves = [ops.repeat(leaf, width, axis=0) for leaf in tree.flatten(state)]
    steps = ops.arange(max_length, dtype="int32")
    paths = ops.full((batch, width, max_length), pad, dtype="int32")
    impossible = ops.full((batch, width), _IMPOSSIBLE, dtype="float32")
    # The beams of a row are the same at first, so that only one of them may count.
    first = ops.where(ops.arange(width) == 0, 0.0, impossible)
    row = ops.arange(batch, dtype="int32")[:, None] * width

    def rated(log_prob, length):
        return log_prob / ops.power((5.0 + ops.cast(length, "float32")) / 6.0, length_penalty)

    def searching(position, log_prob, ended_score):
        """bool [batch]: whether a row may still find a sequence that counts."""
        best = ops.max(log_prob, axis=1)
        lacks = ops.any(ended_score < _POSSIBLE, axis=1)
        better = rated(best, position) > ops.max(ended_score, axis=1)
        return ops.logical_and(best > _POSSIBLE, ops.logical_or(lacks, better))

    def go_on(position, token, log_prob, paths, ended_score, ended, *leaves):
        return ops.logical_and(position < max_length, ops.any(searching(position, log_prob, ended_score)))

    def body(position, token, log_prob, paths, ended_score, ended, *leaves):
        # A row that is done stays so, whatever the others of the batch still do.
        going = searching(position, log_prob, ended_score)[:, None]
        log_prob = ops.where(going, log_prob, _IMPOSSIBLE)
        log_probs, new = _advance(step, token, state, leaves)
        classes = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, width, classes)) + log_prob[:, :, None]
        # Each beam has but one `end`, so that at least half of these go on.
        best, index = ops.top_k(ops.reshape(log_probs, (-1, width * classes)), 2 * width)
        parent = index // classes
        choice = index - parent * classes
        longer = ops.where(steps == position, choice[:, :, None], _pick(paths, parent))

        ends = choice == end
        counts = ops.logical_and(ends[:, :width], going)
        score = ops.where(counts, rated(best[:, :width], position + 1), _IMPOSSIBLE)
        ended_score, order = ops.top_k(ops.concatenate([ended_score, score], axis=1), width)
        ended = _pick(ops.concatenate([ended, longer[:, :width]], axis=1), order)

        log_prob, order = ops.top_k(ops.where(ends, _IMPOSSIBLE, best), width)
        token = ops.reshape(_pick(choice, order), (-1,))
        origin = ops.reshape(row + _pick(parent, order), (-1,))
        # What the step gave back as it came is the same for all beams of a row and need not move.
        leaves = [b if a is b else _pick(b, origin) for a, b in zip(leaves, new, strict=True)]
        return (position + 1, token, log_prob, _pick(longer, order), ended_score, ended, *leaves)

    values = (0, ops.repeat(token, width), first, paths, impossible, paths, *leaves)
    _, _, log_prob, paths, ended_score, ended, *_ = ops.while_loop(go_on, body, _tensors(values))
    lacks = ops.any(ended_score < _POSSIBLE, axis=1)[:, None]
    cut = ops.where(lacks, rated(log_prob, max_length), _IMPOSSIBLE)
    score, order = ops.top_k(ops.concatenate([ended_score, cut], axis=1), width)
    found = score > _POSSIBLE
    tokens = ops.where(found[:, :, None], _pick(ops.concatenate([ended, paths], axis=1), order), pad)
    lengths = ops.where(found, _lengths(tokens, end, max_length), 0)
    scores = score / rated(1.0, ops.minimum(lengths + 1, max_length))
    return {"tokens": tokens, "lengths": lengths, "scores": ops.where(found, scores, -math.inf)}


def _one_path(step, choose, state, start, end, max_length, pad):
    """Greedy decoding and sampling; ``choose(log_probs, position)`` gives the next tokens of each row.

    Returns:
        The results at the top of this module, int32 ``[batch]`` what was chosen last, and the state then.
    """
    token = _first(start, state)
    steps = ops.arange(max_length, dtype="int32")
    tokens = ops.full((ops.shape(token)[0], max_length), pad, dtype="int32")

    def go_on(position, token, alive, tokens, scores, *leaves):
        return ops.logical_and(position < max_length, ops.any(alive))

    def body(position, token, alive, tokens, scores, *leaves):
        log_probs, leaves = _advance(step, token, state, leaves)
        token = choose(log_probs, position)
        gain = _pick(log_probs, token[:, None])[:, 0]
        here = ops.logical_and(steps == position, alive[:, None])
        tokens = ops.where(here, token[:, None], tokens)
        scores = ops.where(alive, scores + gain, scores)
        return (position + 1, token, ops.logical_and(alive, token != end), tokens, scores, *leaves)

    alive = ops.ones_like(token, dtype="bool")
    scores = ops.zeros_like(token, dtype="float32")
    values = (0, token, alive, tokens, scores, *tree.flatten(state))
    _, token, _, tokens, scores, *leaves = ops.while_loop(go_on, body, _tensors(values))
    found = {"tokens": tokens, "lengths": _lengths(tokens, end, max_length), "scores": scores}
    return found, token, tree.pack_sequence_as(state, leaves)


def _first(start, state):
    """``start`` as int32 ``[batch]``."""
    start = ops.convert_to_tensor(start, dtype="int32")
    return start if len(start.shape) else ops.repeat(start, ops.shape(tree.flatten(state)[0])[0])


def _tensors(values):
    return [ops.convert_to_tensor(value) for value in values]


def _advance(step, token, state, leaves):
    """One step: float32 log-probabilities ``[batch, classes]``, and the leaves of the new state."""
    logits, new = step(token, tree.pack_sequence_as(state, leaves))
    log_probs = ops.maximum(ops.log_softmax(ops.cast(logits, "float32")), _IMPOSSIBLE)
    # In mixed precision a state may come back in another one; a loop's have to stay as they are.
    pairs = zip(leaves, tree.flatten(new), strict=True)
    return log_probs, [b if a.dtype == b.dtype else ops.cast(b, a.dtype) for a, b in pairs]


def _pick(x, index):
    """``[batch, n, ...]`` by ``[batch, k]`` -> ``[batch, k, ...]``; or both without a batch."""
    batch_axes = len(index.shape) - 1
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(x, index, batch_dims=batch_axes)  # one ONNX operation
    index = ops.reshape(index, (*index.shape, *(1 for _ in x.shape[batch_axes + 1 :])))
    return ops.take_along_axis(x, index, axis=batch_axes)


def _lengths(tokens, end, max_length):
    """Tokens before the first ``end``, int32, along the last axis."""
    steps = ops.arange(max_length, dtype="int32")
    return ops.min(ops.where(tokens == end, steps, max_length), axis=-1, initial=max_length)
