"""Keras's layers that turn text and categories into numbers, as ONNX operations.

While ``preprocessed`` is in force, such a layer that is traced leaves stand-ins (see ``export.stand_in``) for
what tf2onnx cannot convert: splitting text, looking words up, counting numbers. The rest of it is ordinary
TensorFlow. A layer with no ONNX equivalent is refused, in one sentence that says what to feed instead.

Words are compared byte by byte, and lower case, punctuation and blanks are those of ASCII, as in TensorFlow.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.layers import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    IntegerLookup,
    StringLookup,
    TextVectorization,
)

from export.verify import ExportError

if TYPE_CHECKING:
    from export.stand_in import StandIns

BLANKS = " \t\n\v\f\r"  # where TensorFlow splits text; U+00A0 and the like are letters to it
DROPPED = np.iinfo("int64").max  # Keras's number of a masked word that no encoding counts
STRING_OPSET = 20  # the first operator set with StringConcat


@contextlib.contextmanager
def preprocessed(layers: Iterable[keras.layers.Layer], stand_ins: StandIns) -> Iterator[None]:
    """Traces preprocessing layers with stand-ins for what tf2onnx cannot convert.

    Args:
        layers: all layers of the traced function, inner ones too; others than preprocessing ones, and classes
            with code of their own, are left alone.
        stand_ins: the ``export.stand_in.StandIns`` to add to.

    Raises:
        ExportError: a layer has no ONNX equivalent, as ``check`` finds or as it is called.
    """
    check(layers)
    changed, refused = [], []
    for layer, kind in _ours(layers):
        call = _refusals_kept(_CALLS[kind](layer, stand_ins), refused)
        object.__setattr__(layer, "call", call)  # past Keras's tracking of attributes
        changed.append(layer)
    try:
        yield
    except Exception as error:
        if refused:  # Keras has added the arguments of the call to the sentence
            raise refused[0] from error
        raise
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


def check(layers: Iterable[keras.layers.Layer]) -> None:
    """Raises ``ExportError`` where a layer, as it was made, has no ONNX equivalent."""
    for layer, _ in _ours(layers):
        _check(layer)


def _ours(layers):
    """(layer, its class in ``_CALLS``) of the layers that are replaced."""
    layers = list(layers)
    inner = {id(layer._lookup_layer) for layer in layers if isinstance(layer, TextVectorization)}
    for layer in layers:
        kind = next((kind for kind in _CALLS if isinstance(layer, kind)), None)
        if id(layer) not in inner and kind is not None and _is_keras_own(type(layer), kind):
            yield layer, kind


def _is_keras_own(given, kind):
    """Whether a class does nothing that Keras's own does not."""
    names = ("__call__", "call", "_preprocess", "_lookup_dense", "_encode")
    return all(getattr(given, name, None) is getattr(kind, name, None) for name in names)


def _refusals_kept(call, refused):
    @functools.wraps(call)
    def kept(*args, **kwargs):
        try:
            return call(*args, **kwargs)
        except ExportError as error:
            refused.append(error)
            raise

    return kept


# === What is refused ===


def _check(layer):
    numbers = f"or feed what layer {layer.name!r} gives in its place"
    if isinstance(layer, Hashing | HashedCrossing):
        raise _refusal(
            layer,
            "hashes what it is given, for which ONNX has no operation",
            f"feed the numbers that the layer gives ({layer.dtype}) in its place",
        )
    lookup = getattr(layer, "_lookup_layer", layer)
    if getattr(lookup, "sparse", False):
        raise _refusal(layer, "gives a sparse tensor, which ONNX lacks", "make it with sparse=False")
    if getattr(lookup, "output_mode", None) == "one_hot" and getattr(layer, "_split", None) is None:
        for node in layer._inbound_nodes:
            _check_axis(layer, node.input_tensors[0].shape)
    if isinstance(layer, Discretization) and layer.bin_boundaries is None:
        raise _refusal(layer, "has no boundaries yet", "call its adapt first")
    if isinstance(layer, TextVectorization):
        for option in ("standardize", "split"):
            if callable(getattr(layer, f"_{option}")):
                raise _refusal(
                    layer,
                    f"has a Python function as {option}, which no file holds",
                    f"use one of Keras's own by its name, {numbers}",
                )
        if layer._ragged:
            raise _refusal(layer, "gives a ragged tensor, which ONNX lacks", "make it with ragged=False")
        if layer._ngrams is not None and layer._split is None:
            raise _refusal(
                layer, "joins whole inputs to n-grams, which is not exported", f"let it split text, {numbers}"
            )
        if layer._output_mode == "one_hot" and layer._split is not None:
            raise _refusal(
                layer,
                "one-hot encodes texts of different lengths into a ragged tensor, which ONNX lacks",
                "use output_mode='int' and one-hot encode that",
            )
    if isinstance(lookup, StringLookup | IntegerLookup):
        if not int(lookup.lookup_table.size()):
            raise _refusal(layer, "has no vocabulary yet", "call its adapt, or give it one")
        hashes = isinstance(lookup, StringLookup) or lookup.oov_method == "farmhash"
        if lookup.num_oov_indices > 1 and hashes and not lookup.invert:
            raise _refusal(
                layer,
                f"hashes what it does not know to {lookup.num_oov_indices} numbers, which ONNX cannot",
                f"make it with num_oov_indices=1, {numbers}",
            )
    if isinstance(lookup, StringLookup):
        try:
            known = codecs.lookup(lookup.encoding).name == "utf-8"
            _table(lookup)
        except UnicodeDecodeError:
            known = False
        if not known:
            raise _refusal(
                layer,
                "has a vocabulary that is not UTF-8, as ONNX's strings are",
                f"make it from UTF-8 text, {numbers}",
            )


def _check_axis(layer, shape):
    """Raises ``ExportError`` where one-hot codes of numbers of a shape have no fixed rank."""
    if len(shape) > 1 and shape[-1] is None:
        raise _refusal(
            layer,
            "one-hot encodes an axis of unknown length, which Keras drops where it happens to be 1",
            "give its Input a shape with that length",
        )


def _refusal(layer, reason, mend):
    return ExportError(f"The layer {layer.name!r} {reason}; {mend}; nothing was written", layer.name)


# === Layers ===


def _text_vectorization(layer, stand_ins):
    import tensorflow as tf

    lookup = layer._lookup_layer

    def call(inputs):
        text = tf.convert_to_tensor(inputs)
        steps = layer._standardize or ""
        lower, strip = "lower" in steps, "strip_punctuation" in steps
        opset = STRING_OPSET if strip else 0
        if layer._split is None:
            if lower or strip:
                text = _strings(stand_ins, text, text.shape, _write_text, lower, strip, None, opset=opset)
            ids = _looked_up(lookup, text, stand_ins)
        else:
            if len(text.shape) > 1 and text.shape[-1] == 1:
                text = tf.squeeze(text, -1)
            if len(text.shape) != 1:
                taken = f"takes texts of the shape {tuple(text.shape)}"
                raise _refusal(layer, taken, "give it one text a row, as (batch,) or (batch, 1)")
            shape = (text.shape[0], None)
            tokens = _strings(stand_ins, text, shape, _write_text, lower, strip, layer._split, opset=opset)
            ids = _looked_up(lookup, tokens, stand_ins)
            if layer._ngrams is not None:
                ids = _ngrams(lookup, tokens, layer._ngrams, stand_ins)
        if layer._output_mode != "int":
            return _lookup_encoded(layer, lookup, ids, stand_ins)
        length = layer._output_sequence_length
        if length is None:
            return ids
        return tf.pad(ids, [[0, 0]] * (len(ids.shape) - 1) + [[0, length]])[..., :length]

    return call


def _ngrams(lookup, tokens, widths, stand_ins):
    """Numbers of the n-grams of texts, ``[batch, most]``; in a row those of the first width come first."""
    import tensorflow as tf

    absent = 0 if lookup.output_mode == "int" else DROPPED
    words = _look_up(stand_ins, tokens, [""], np.array([0]), 1)
    time = tf.shape(tokens)[1]
    ids, real = [], []
    for width in widths:
        grams = tokens
        if width > 1:
            grams = _strings(stand_ins, tokens, tokens.shape, _write_ngrams, width, opset=STRING_OPSET)
        complete = tf.pad(words, [[0, 0], [0, width]])[:, width - 1 :][:, :time] > 0
        ids.append(tf.where(complete, _looked_up(lookup, grams, stand_ins), absent))
        real.append(complete)
    ids, real = tf.concat(ids, 1), tf.concat(real, 1)
    if lookup.output_mode != "int":
        return ids
    ids, real = [tf.pad(one, [[0, 0], [0, 1]]) for one in (ids, real)]  # one column at least
    steps = tf.range(tf.shape(ids)[1])
    order = keras.ops.argsort(tf.where(real, steps, steps + tf.size(steps)), axis=1)
    ids = keras.ops.take_along_axis(ids, order, axis=1)
    return ids[:, : tf.reduce_max(tf.reduce_sum(tf.cast(real, tf.int32), 1))]


def _lookup(layer, stand_ins):
    import tensorflow as tf

    def call(inputs):
        keys = tf.convert_to_tensor(inputs)
        if layer._key_dtype != "string":
            keys = tf.cast(keys, layer._key_dtype)
        found = _looked_up(layer, keys, stand_ins)
        return found if layer.output_mode == "int" else _lookup_encoded(layer, layer, found, stand_ins)

    return call


def _looked_up(lookup, keys, stand_ins):
    """What a lookup layer finds: a tensor of the shape of ``keys``."""
    import tensorflow as tf

    known, values = _table(lookup)
    if lookup.mask_token is not None:
        mask = (0, lookup.mask_token) if lookup.invert else (lookup.mask_token, 0)
        if lookup.output_mode != "int":
            mask = (mask[0], DROPPED)
        known, values = [*known, mask[0]], [*values, mask[1]]
    if lookup.invert:
        dtype = object if lookup.vocabulary_dtype == "string" else "int64"
        return _look_up(stand_ins, keys, known, np.array(values, dtype), lookup.oov_token)
    buckets, first = lookup.num_oov_indices, lookup._oov_start_index()
    if buckets == 0:
        return _look_up(stand_ins, keys, known, np.array(values), None)
    found = _look_up(stand_ins, keys, known, np.array(values), first if buckets == 1 else -1)
    if buckets == 1:
        return found
    # Not floormod: tf2onnx writes the remainder of truncation, another one for negative integers.
    (bucket,) = stand_ins.emit(functools.partial(_write_remainder, buckets), [keys], [tf.int64])
    return tf.where(found == -1, tf.ensure_shape(bucket, keys.shape) + first, found)


def _table(lookup):
    """(keys, values) of a lookup layer, two lists, in the order of its numbers."""
    import tensorflow as tf

    with tf.init_scope():  # values, in the midst of a tracing
        pair = [_plain(column.numpy()) for column in lookup.lookup_table.export()]
    rows = sorted(zip(*pair, strict=True), key=lambda row: row[0 if lookup.invert else 1])
    keys, values = zip(*rows, strict=True)
    return list(keys), list(values)


def _plain(column):
    return [value.decode("utf-8") if isinstance(value, bytes) else int(value) for value in column]


def _lookup_encoded(layer, lookup, ids, stand_ins):
    import tensorflow as tf

    depth = lookup.max_tokens if lookup.pad_to_max_tokens else lookup._frozen_vocab_size
    mode = lookup.output_mode
    found = _encoded(layer, ids, "count" if mode == "tf_idf" else mode, depth, "int64", stand_ins)
    if mode != "tf_idf":
        return found
    with tf.init_scope():
        weights = lookup.idf_weights_const.numpy()
    return tf.cast(found, weights.dtype) * weights


def _category_encoding(layer, stand_ins):
    def call(inputs, count_weights=None):
        return _encoded(
            layer, inputs, layer.output_mode, layer.num_tokens, layer.dtype, stand_ins, count_weights
        )

    return call


def _discretization(layer, stand_ins):
    import tensorflow as tf

    boundaries = np.array(layer.bin_boundaries, "float32")

    def call(inputs):
        values = tf.cast(tf.convert_to_tensor(inputs), tf.float32)
        beyond = tf.cast(values[..., None] < boundaries, tf.int32)
        bins = len(boundaries) - tf.reduce_sum(beyond, -1)  # so that NaN is in the last
        return _encoded(layer, bins, layer.output_mode, len(boundaries) + 1, layer.output_dtype, stand_ins)

    return call


def _encoded(layer, indices, mode, depth, dtype, stand_ins, weights=None):
    """Numbers as Keras's ``encode_categorical_inputs`` encodes them.

    Numbers that are not from 0 to ``depth - 1`` count nothing.
    """
    import tensorflow as tf

    if mode == "int":
        return tf.cast(indices, dtype)
    indices = tf.cast(tf.convert_to_tensor(indices), tf.int64)
    indices = indices[None] if len(indices.shape) == 0 else indices
    rank = len(indices.shape)
    if mode == "one_hot":
        _check_axis(layer, indices.shape)
        if rank > 1 and indices.shape[-1] == 1:
            indices = tf.squeeze(indices, -1)
        return tf.cast(indices[..., None] == np.arange(depth), dtype)
    if rank <= 2 and weights is None:
        write = functools.partial(_write_counts, depth)
        (counts,) = stand_ins.emit(write, [indices], [tf.float32])
        counts = tf.ensure_shape(counts, (*indices.shape[:-1], depth))
        return tf.cast(tf.minimum(counts, 1) if mode == "multi_hot" else counts, dtype)
    axis = 0 if rank == 1 else 1
    hot = indices[..., None] == np.arange(depth)
    if mode == "multi_hot":
        return tf.cast(tf.reduce_any(hot, axis), dtype)
    if weights is None:
        return tf.reduce_sum(tf.cast(hot, dtype), axis)
    weights = tf.cast(tf.convert_to_tensor(weights), layer.compute_dtype)
    counts = tf.reduce_sum(tf.cast(hot, weights.dtype) * weights[..., None], axis)
    return tf.cast(counts, dtype) if rank <= 2 else counts


def _refused(layer, stand_ins):
    raise NotImplementedError  # `_check` has refused it


_CALLS = {
    TextVectorization: _text_vectorization,
    StringLookup: _lookup,
    IntegerLookup: _lookup,
    CategoryEncoding: _category_encoding,
    Discretization: _discretization,
    Hashing: _refused,
    HashedCrossing: _refused,
}


# === The stand-ins ===


def _strings(stand_ins, value, shape, write, *options, opset=0):
    """Emits a stand-in for strings of a shape, made of strings; ``write`` takes the options first."""
    import tensorflow as tf

    (made,) = stand_ins.emit(functools.partial(write, *options), [value], [tf.string], opset)
    return tf.ensure_shape(made, shape)


def _look_up(stand_ins, keys, known, values, default):
    """Emits a stand-in for a table: a tensor of the shape of ``keys``.

    Args:
        known: the keys of the table, all str or all int.
        values: an array of as many, of str or int64.
        default: the value of other keys; None lets the running model fail.
    """
    import tensorflow as tf

    write = functools.partial(_write_table, known, values, default)
    (found,) = stand_ins.emit(write, [keys], [tf.string if values.dtype == object else tf.int64])
    return tf.ensure_shape(found, keys.shape)


class _Nodes:
    """ONNX nodes that are being written, and the constants that they read."""

    def __init__(self, name):
        self.name, self.nodes, self.constants = name, [], []

    def constant(self, value):
        from onnx import numpy_helper

        name = f"{self.name}/constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind, inputs, output=None, **attributes):
        """Appends a node; returns the name of its one output."""
        from onnx import helper

        output = output or f"{self.name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def strings(self, value, output=None, **attributes):
        """Splits strings ``[batch]`` to ``[batch, most]``, padded with empty ones.

        ``tokenexp``: a regular expression of what to keep; ``separators``: what to split at.
        """
        from onnx import TensorProto

        attributes |= {"domain": "com.microsoft", "mark": 0, "mincharnum": 1, "pad_value": ""}
        parts = self.add("Tokenizer", [value], **attributes)
        return self.add("Cast", [parts], output, to=TensorProto.STRING)  # onnx's checker knows no Tokenizer


def _write_table(known, values, default, inputs, outputs, name):
    nodes = _Nodes(name)
    keys = {f"keys_{_kind(known[0])}s": known, "domain": "ai.onnx.ml"}
    if default is None:  # a key that is not there has a place beyond the end, at which Gather fails
        keys |= {"values_int64s": list(range(len(known))), "default_int64": len(known)}
        places = nodes.add("LabelEncoder", inputs, **keys)
        nodes.add("Gather", [nodes.constant(values), places], outputs[0])
    else:
        kind = _kind(default)
        keys |= {f"values_{kind}s": list(values), f"default_{kind}": default}
        nodes.add("LabelEncoder", inputs, outputs[0], **keys)
    return nodes.nodes, nodes.constants


def _write_remainder(divisor, inputs, outputs, name):
    nodes = _Nodes(name)
    nodes.add("Mod", [inputs[0], nodes.constant(np.array(divisor))], outputs[0])
    return nodes.nodes, nodes.constants


def _kind(value):
    return "string" if isinstance(value, str) else "int64"


def _write_counts(depth, inputs, outputs, name):
    """How often each number below ``depth`` is in a row: float32 ``[batch, depth]`` or ``[depth]``."""
    nodes = _Nodes(name)
    nodes.add(
        "TfIdfVectorizer", inputs, outputs[0],
        mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
        ngram_counts=[0], ngram_indexes=range(depth), pool_int64s=range(depth),
    )  # fmt: skip
    return nodes.nodes, nodes.constants


def _write_text(lower, strip, split, inputs, outputs, name):
    """Text in lower case, without punctuation, split: a writer of ``StandIns``.

    Args:
        lower, strip: whether to do it.
        split: "whitespace" or "character", which gives ``[batch, most]`` of ``[batch]``; or None, which
            keeps the shape.
    """
    nodes = _Nodes(name)
    text = nodes.add("Reshape", [inputs[0], nodes.constant([-1])])
    if lower:  # in the locale "C", which every computer has, letters beyond ASCII stay as they are
        text = nodes.add("StringNormalizer", [text], case_change_action="LOWER", locale="C")
    if strip:
        marks = "".join(f"\\{mark}" for mark in string.punctuation)
        text = _write_joined(nodes, nodes.strings(text, tokenexp=f"[^{marks}]+"))
    if split == "whitespace":
        nodes.strings(text, outputs[0], tokenexp=f"[^{BLANKS}]+")
    elif split == "character":
        nodes.strings(text, outputs[0], separators=[""])
    else:
        nodes.add("Reshape", [text, nodes.add("Shape", [inputs[0]])], outputs[0])
    return nodes.nodes, nodes.constants


def _write_joined(nodes, pieces):
    """Appends what joins the strings of each row, ``[batch, any]`` -> ``[batch]``.

    Neighbours are joined until there is one: in as many rounds as the logarithm of their number.
    """
    from onnx import TensorProto, helper

    one, two, last = nodes.constant([1]), nodes.constant([2]), nodes.constant([np.iinfo("int64").max])
    zero, empty = nodes.constant([0]), nodes.constant(np.array([""], object))
    rows = nodes.add("Slice", [nodes.add("Shape", [pieces]), zero, one])
    column = nodes.add("Concat", [rows, one], axis=0)
    blank = nodes.add("Expand", [empty, column])  # [batch, 1]
    pieces = nodes.add("Concat", [pieces, blank], axis=1)  # one at least

    def several(nodes, value, output=None):
        width = nodes.add("Gather", [nodes.add("Shape", [value]), one])
        return nodes.add("Squeeze", [nodes.add("Greater", [width, one])], output)

    body = _Nodes(f"{nodes.name}/round")
    left = body.add("Slice", ["pieces", zero, last, one, two])
    padded = body.add("Concat", ["pieces", blank], axis=1)
    right = body.add("Slice", [padded, one, last, one, two])
    joined = body.add("StringConcat", [left, right])
    going = several(body, joined)
    prefix = f"{nodes.name}/round "
    for node in body.nodes:
        node.input[:] = [prefix + name if name == "pieces" else name for name in node.input]
    graph = helper.make_graph(
        body.nodes,
        f"{nodes.name}/round",
        [
            helper.make_tensor_value_info(f"{prefix}number", TensorProto.INT64, []),
            helper.make_tensor_value_info(f"{prefix}going", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{prefix}pieces", TensorProto.STRING, [None, None]),
        ],
        [
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            helper.make_tensor_value_info(joined, TensorProto.STRING, [None, None]),
        ],
    )
    whole = nodes.add("Loop", ["", several(nodes, pieces), pieces], body=graph)
    return nodes.add("Reshape", [whole, nodes.constant([-1])])


def _write_ngrams(width, inputs, outputs, name):
    """Neighbours in ``[batch, most]`` joined by spaces, in the place of the first: a writer."""
    nodes = _Nodes(name)
    one, empty = nodes.constant([1]), nodes.constant(np.array([""], object))
    rows = nodes.add("Slice", [nodes.add("Shape", inputs), nodes.constant([0]), one])
    blanks = nodes.add("Expand", [empty, nodes.add("Concat", [rows, nodes.constant([width])], axis=0)])
    padded = nodes.add("Concat", [inputs[0], blanks], axis=1)
    space = nodes.constant(np.array(" ", object))
    joined = inputs[0]
    for i in range(1, width):
        part = nodes.add("Slice", [padded, nodes.constant([i]), nodes.constant([i - width]), one])
        spaced = nodes.add("StringConcat", [joined, space])
        joined = nodes.add("StringConcat", [spaced, part], outputs[0] if i == width - 1 else None)
    return nodes.nodes, nodes.constants


# === Examples ===

_WORDS = ["qwzx", "Ä", "straße", "й", "中文", "naïve", "e\u0301", "😀", "x\u00a0y", "0", "it's", "[UNK]", "İ"]
_MARKS = [*string.punctuation, "...", "“", "。"]


def readers(network: keras.Model, tensor: Any) -> list[keras.layers.Layer]:
    """The layers of a functional model, inner ones too, that read one of its inputs.

    Those that read it through others count where these keep its dtype, as Reshape does.
    """
    found, waiting = {}, [tensor]
    while waiting:
        one = waiting.pop()
        for layer in network._flatten_layers(include_self=False):
            for node in layer._inbound_nodes:
                places = [i for i, given in enumerate(node.input_tensors) if given is one]
                if not places or (layer, node) in found:
                    continue
                found[layer, node] = None
                if hasattr(layer, "_functional"):
                    layer = layer._functional
                if isinstance(layer, keras.Model) and hasattr(layer, "_operations"):
                    waiting += [layer.inputs[i] for i in places]
                elif not isinstance(layer, tuple(_CALLS)):
                    waiting += [made for made in node.outputs if made.dtype == one.dtype]
    return list(dict.fromkeys(layer for layer, _ in found))


def example_strings(
    layers: Iterable[keras.layers.Layer], shape: Sequence[int], random: np.random.Generator
) -> np.ndarray:
    """Strings that exercise the layers that read them.

    Words of their vocabularies and others, in any case, with punctuation and blanks, none at all; where a
    layer takes no word that it does not know, only those that it knows.

    Args:
        layers: those that the strings are for (see ``readers``), of which ``TextVectorization`` and
            ``StringLookup`` count.
        random: a NumPy ``Generator``.

    Returns:
        An object array of str.
    """
    layers = list(layers)
    known, only = [], None
    for lookup in dict.fromkeys(getattr(layer, "_lookup_layer", layer) for layer in layers):
        if isinstance(lookup, StringLookup) and not lookup.invert:
            words = [*_table(lookup)[0], *filter(None, [lookup.mask_token])]
            known += words
            only = words if lookup.num_oov_indices == 0 else only
    texts = [layer for layer in layers if isinstance(layer, TextVectorization)]
    split = any(layer._split is not None for layer in texts)

    def one_of(values):
        return values[random.integers(len(values))]

    def word():
        word = one_of(known if known and random.random() < 0.7 else _WORDS)
        change = random.integers(12)
        word = (word.upper(), word.title(), word.swapcase())[change] if change < 3 else word
        if random.random() < 0.2:
            place = random.integers(len(word) + 1)
            word = word[:place] + one_of(_MARKS) + word[place:]
        return word

    def text():
        if only:
            return one_of(only)
        if random.random() < 0.15:
            return one_of(("", "", " \t", "!?", " - "))
        if not split:
            return word()
        parts = [part for _ in range(random.integers(1, 12)) for part in (word(), one_of(f"     {BLANKS}"))]
        return "".join(parts[random.integers(2) :])

    made = np.empty(shape, object)
    made.reshape(-1)[:] = [text() for _ in range(made.size)]
    if made.size:  # no batch without a word: of no words, many a layer behind makes 0 / 0
        made.reshape(-1)[random.integers(made.size)] = one_of(only or known or _WORDS)
    return made


def example_integers(
    layers: Iterable[keras.layers.Layer], shape: Sequence[int], random: np.random.Generator
) -> np.ndarray | None:
    """Integers that exercise the layers that read them: int64, or None where no layer here reads integers.

    Most are numbers that a layer knows, some others; where a layer takes no others, none.

    Args:
        layers: those that the integers are for (see ``readers``).
        random: a NumPy ``Generator``.
    """
    known, only = [], None
    for layer in layers:
        if isinstance(layer, CategoryEncoding):
            known += range(layer.num_tokens + 2)
            only = known if only is None else only  # Keras takes no negative ones
        elif isinstance(layer, IntegerLookup) or (isinstance(layer, StringLookup) and layer.invert):
            keys = _table(layer)[0] + [0] * (layer.mask_token is not None)
            known += keys
            if layer.num_oov_indices == 0 and not layer.invert:
                only = keys
    if not known:
        return None
    made = random.choice(only or known, size=shape)
    others = random.integers(-(2**31), 2**31, size=shape)
    return made if only else np.where(random.random(shape) < 0.2, others, made)
