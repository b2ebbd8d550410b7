"""Vocabularies as ``tokenizer.json``, the format of Hugging Face's tokenizers, which many languages read.

Normalisation is inside, so that ``tokenizers.Tokenizer.from_str(text).encode(sentence).ids`` are the
token ids that a model takes, its start and end included. They are those of ``encode`` but where a text
has ▁ (U+2581) itself. Nothing here needs the package ``tokenizers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.text.subwords import Subwords
    from zoo.text.words import Words

_SPACES = r"[\s\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
# Unicode's Final_Sigma: behind a cased letter and before none, marks and the like between them left aside.
_CASED, _IGNORED = r"[\p{Lu}\p{Ll}\p{Lt}]", r"[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'.:·’]"
_SIGMA = rf"(?<={_CASED}|{_CASED}{_IGNORED})Σ(?!{_IGNORED}*{_CASED})"
_CLITIC = r"(?<=[\p{L}\p{N}])(n't|'(?:s|re|ve|ll|d|m))(?![\p{L}\p{N}])"


def subwords(vocabulary: Subwords, ends: Sequence[int | None]) -> dict[str, Any]:
    """``zoo.text.subwords.Subwords`` of sentences: NFC, white space as single blanks, then SentencePiece.

    Args:
        ends: ``(first, last)``, ids that open and close a sentence; None where nothing does.

    Returns:
        A dict that JSON can hold.
    """
    return _tokenizer(_sentence(), _pieces(), _unigram(vocabulary), ends)


def texts(vocabulary: Subwords | Words, ends: Sequence[int | None], turkish: bool = False) -> dict[str, Any]:
    """Words or subwords of texts that ``zoo.text.normalise.normalise_text`` has normalised.

    Args:
        vocabulary: ``zoo.text.subwords.Subwords`` or ``zoo.text.words.Words``.
        ends: as of ``subwords``.
        turkish: lower-case I as ı.
    """
    is_words = hasattr(vocabulary, "words")
    dividing = [
        _split(rf"(?:{_SPACES}|[\p{{Pd}}\p{{Z}}\p{{C}}])+", "Removed"),
        _split(r"[^\p{L}\p{M}\p{N}']", "Removed" if is_words else "Isolated"),
        _split(_CLITIC, "MergedWithNext"),
    ]
    if is_words:
        dividing.append(_split(r"^'+|'+$", "Removed"))
        return _tokenizer(_lower(turkish), dividing, _words(vocabulary), ends)
    return _tokenizer(_lower(turkish), [*dividing, *_pieces()], _unigram(vocabulary), ends)


def words(vocabulary: Words) -> dict[str, Any]:
    """``zoo.text.words.Words`` of texts that ``zoo.text.normalise.normalise_caption`` has normalised."""
    dividing = [
        _split(r"[^\p{L}\p{M}\p{N}'-]+", "Removed"),
        _split(r"^['-]+|['-]+$", "Removed"),
    ]
    return _tokenizer(_lower(False), dividing, _words(vocabulary), (None, None))


# === Normalisation ===


def _sentence():
    return [
        {"type": "NFC"},
        _replaced(_SPACES + "+", " "),
        {"type": "Strip", "strip_left": True, "strip_right": True},
    ]


def _lower(turkish):
    # Letter by letter, so that what Python knows of a Σ that ends a word is said before.
    return [
        {"type": "NFC"},
        *([_replaced("I", "ı")] if turkish else []),
        _replaced(_SIGMA, "ς"),
        {"type": "Lowercase"},
        _replaced("i\u0307", "i"),
        _replaced("’", "'"),
    ]


def _replaced(pattern, content):
    """All that a regular expression of Oniguruma's matches as something else."""
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _split(pattern, behavior):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}


def _pieces():
    return [
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        # What a text spells like a special row is text.
        _split(r"<(?=(?:s|/s|unk|pad|0x[0-9A-F]{2})>)", "Isolated"),
    ]


# === Models ===


def _unigram(vocabulary):
    scored = vocabulary.scored()
    return {"type": "Unigram", "unk_id": vocabulary.UNKNOWN, "vocab": scored, "byte_fallback": True}


def _words(vocabulary):
    special = dict(zip(("<pad>", "<unk>", "<s>", "</s>"), range(4), strict=True))
    words = {word: row for row, word in enumerate(vocabulary.words, len(special))}
    return {"type": "WordLevel", "vocab": special | words, "unk_token": "<unk>"}


def _tokenizer(normaliser, dividing, model, ends):
    first, last = ends
    tokens = [(name, row) for name, row in (("<s>", first), ("</s>", last)) if row is not None]
    single = [{"Sequence": {"id": "A", "type_id": 0}}]
    if first is not None:
        single.insert(0, {"SpecialToken": {"id": "<s>", "type_id": 0}})
    if last is not None:
        single.append({"SpecialToken": {"id": "</s>", "type_id": 0}})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normaliser},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": dividing},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [row], "tokens": [name]} for name, row in tokens},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": model,
    }
