"""How near captions are to the references of their images: BLEU, ROUGE-L and CIDEr-D as in coco-caption.

A caption is a str of words with blanks between, as ``zoo.text.normalise.normalise_caption`` gives it: lower
case, no punctuation. coco-caption (Chen et al. 2015) cuts by Stanford's PTBTokenizer, a Java program, and
drops punctuation, which is nearly the same: the one common difference is ``man's``, two words there.

BLEU is sacreBLEU's. ROUGE-L and CIDEr-D are written out here, for want of a kept package: pycocoevalcap,
coco-caption for Python 3, is of 2020, 104 MB of Java programs and their data beside its Python, and needs
pycocotools; aac-metrics needs PyTorch. On random captions all figures are those of pycocoevalcap 1.2, but for
BLEU where no n-gram of a length is right: 0 here, there what its guard against zeros leaves.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

_ORDER = 4  # the longest n-grams of BLEU and CIDEr-D
_BETA = 1.2  # ROUGE-L's weight of recall
_SIGMA = 6.0  # words; how far lengths may differ for CIDEr-D


def bleu(references: list[list[str]], hypotheses: list[str]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus against all references (Papineni et al. 2002), without smoothing.

    The brevity penalty takes of each image the reference closest in length (the shorter of two).

    Args:
        references: list of lists of str, at least one for each image.
        hypotheses: list of str, one for each image; an empty one has nothing right.

    Returns:
        List of four floats, 0 to 100.

    Raises:
        ValueError: not one hypothesis for each image, no image, or an image without references.
    """
    from sacrebleu.metrics import BLEU

    _check(references, hypotheses)
    streams = list(itertools.zip_longest(*references))
    whole = BLEU(tokenize="none", force=True, max_ngram_order=_ORDER).corpus_score(hypotheses, streams)
    return [
        BLEU.compute_bleu(
            whole.counts[:n], whole.totals[:n], whole.sys_len, whole.ref_len, max_ngram_order=n
        ).score
        for n in range(1, _ORDER + 1)
    ]


def rouge_l(references: list[list[str]], hypotheses: list[str]) -> float:
    """ROUGE-L (Lin 2004, section 3.1), the mean over images.

    Of the longest common subsequences with each reference, the best precision P and the best recall R, each
    for itself, give (1 + β²) P R / (R + β² P), β = 1.2.

    Args and Raises: as ``bleu``.

    Returns:
        Float, 0 to 1.
    """
    _check(references, hypotheses)
    total = 0.0
    for texts, hypothesis in zip(references, hypotheses, strict=True):
        texts, hypothesis = [text.split() for text in texts], hypothesis.split()
        common = [_common(text, hypothesis) for text in texts]
        if any(common):
            precision = max(common) / len(hypothesis)
            recall = max(n / len(text) for n, text in zip(common, texts, strict=True) if text)
            total += (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)
    return total / len(references)


def cider(references: list[list[str]], hypotheses: list[str]) -> float:
    """CIDEr-D (Vedantam et al. 2015), the mean over images.

    With g(c) and g(s) the weights of the n-grams of a caption and of a reference (how often each is there,
    times the logarithm of all images over those with it in any reference), l their lengths in words, σ = 6:
    exp(-(l(c) - l(s))² / 2σ²) min(g(c), g(s)) · g(s) / |g(c)| |g(s)|, the mean over references and over
    n-grams of one to four words, times ten. The weights are of the references given: only figures of the same
    set can be compared, and of a single image it is 0.

    Args and Raises: as ``bleu``.

    Returns:
        Float, 0 to 10; good models reach about 1.
    """
    _check(references, hypotheses)
    references = [[text.split() for text in texts] for texts in references]
    measure = CiderD(references)
    pairs = zip(references, hypotheses, strict=True)
    return sum(measure.scores(texts, [text.split()])[0] for texts, text in pairs) / len(references)


class CiderD:
    """CIDEr-D of single captions, by the weights of a set of references; see ``cider``.

    Args:
        references: of each image, a list of captions, which are lists of words: str, or a model's tokens.
    """

    def __init__(self, references: list[list[str]]) -> None:
        self._unseen = math.log(len(references))
        self._rarity = {}
        for n in range(1, _ORDER + 1):
            seen = Counter(
                gram for texts in references for gram in set().union(*(_grams(t, n) for t in texts))
            )
            self._rarity |= {gram: math.log(len(references) / images) for gram, images in seen.items()}

    def scores(self, references: list[str], hypotheses: list[str]) -> list[float]:
        """Of several captions of one image, floats from 0 to 10."""
        references = [(len(words), self._weigh(words)) for words in references]
        return [self._score(references, len(words), self._weigh(words)) for words in hypotheses]

    def _weigh(self, words):
        """For each length of n-grams their weights, and the length of that vector."""
        weighed = []
        for n in range(1, _ORDER + 1):
            counts = Counter(_grams(words, n))
            weights = {gram: times * self._rarity.get(gram, self._unseen) for gram, times in counts.items()}
            weighed.append((weights, math.hypot(*weights.values())))
        return weighed

    def _score(self, references, length, found):
        total = 0.0
        for other, weighed in references:
            penalty = math.exp(-((length - other) ** 2) / (2 * _SIGMA**2))
            for (one, one_length), (wanted, wanted_length) in zip(found, weighed, strict=True):
                lengths = one_length * wanted_length
                if lengths:  # else nothing in one of them tells this image from others
                    # A word said again and again counts no more often than in the reference.
                    shared = sum(
                        min(one[gram], wanted[gram]) * wanted[gram] for gram in one if gram in wanted
                    )
                    total += penalty * shared / lengths
        return 10 * total / len(references) / _ORDER


def _grams(words, n):
    return zip(*(words[i:] for i in range(n)), strict=False)


def _check(references, hypotheses):
    if len(references) != len(hypotheses):
        raise ValueError(f"There are {len(hypotheses)} captions for {len(references)} images.")
    if not references:
        raise ValueError("There is no image.")
    if not all(references):
        raise ValueError("An image has no reference.")


def _common(a, b):
    """Length of the longest common subsequence of two lists."""
    row = [0] * (len(b) + 1)
    for x in a:
        above, row = row, [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
    return row[-1]
