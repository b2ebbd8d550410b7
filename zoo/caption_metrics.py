"""How near captions are to the references of their images: BLEU, ROUGE-L and CIDEr-D as in coco-caption.

A caption is a str of words with blanks between, as ``zoo.words.normalise_caption`` gives it: lower case, no
punctuation. coco-caption (Chen et al. 2015) cuts by Stanford's PTBTokenizer, a Java program, and drops
punctuation, which is nearly the same: the one common difference is ``man's``, two words there.

BLEU is sacreBLEU's. ROUGE-L and CIDEr-D are written out here, for want of a kept package: pycocoevalcap,
coco-caption for Python 3, is of 2020, 104 MB of Java programs and their data beside its Python, and needs
pycocotools; aac-metrics needs PyTorch. On random captions all figures are those of pycocoevalcap 1.2, but for
BLEU where no n-gram of a length is right: 0 here, there what its guard against zeros leaves.
"""

import itertools
import math
from collections import Counter

_ORDER = 4  # the longest n-grams of BLEU and CIDEr-D
_BETA = 1.2  # ROUGE-L's weight of recall
_SIGMA = 6.0  # words; how far lengths may differ for CIDEr-D


def bleu(references, hypotheses):
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


def rouge_l(references, hypotheses):
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


def cider(references, hypotheses):
    """CIDEr-D (Vedantam et al. 2015), the mean over images.

    With g(c) and g(s) the weights of the n-grams of a caption and of a reference (how often each is there,
    times the logarithm of all images over those with it in any reference), l their lengths in words, σ = 6:
    exp(-(l(c) - l(s))² / 2σ²) min(g(c), g(s)) · g(s) / |g(c)| |g(s)|, the mean over references and over
    n-grams of one to four words, times ten. The weights are of the references given: only figures of the same
    set can be compared, and of a single image it is 0.

    Args and Raises: as ``bleu``.

    Returns:
        Float, 0 to 10; good captioners reach about 1.
    """
    _check(references, hypotheses)
    references = [[text.split() for text in texts] for texts in references]
    hypotheses = [text.split() for text in hypotheses]
    similarities = [_similarity(references, hypotheses, n) for n in range(1, _ORDER + 1)]
    return 10 * sum(similarities) / _ORDER


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


def _similarity(references, hypotheses, n):
    """CIDEr-D by n-grams of one length, before it is multiplied by ten, of lists of words."""

    def count(words):
        return Counter(zip(*(words[i:] for i in range(n)), strict=False))

    counted = [[count(text) for text in texts] for texts in references]
    seen = Counter(gram for counts in counted for gram in set().union(*counts))
    rarity = {gram: math.log(len(references) / images) for gram, images in seen.items()}
    unseen = math.log(len(references))

    def weigh(counts):
        return {gram: times * rarity.get(gram, unseen) for gram, times in counts.items()}

    total = 0.0
    for texts, counts, hypothesis in zip(references, counted, hypotheses, strict=True):
        found = weigh(count(hypothesis))
        length = math.hypot(*found.values())
        for text, wanted in zip(texts, map(weigh, counts), strict=True):
            lengths = length * math.hypot(*wanted.values())
            if lengths:  # else nothing in one of them tells this image from others
                # A word said again and again counts no more often than in the reference.
                shared = sum(
                    min(found[gram], wanted[gram]) * wanted[gram] for gram in found if gram in wanted
                )
                penalty = math.exp(-((len(hypothesis) - len(text)) ** 2) / (2 * _SIGMA**2))
                total += penalty * shared / lengths / len(texts)
    return total / len(references)
