"""The field's metrics for text: error rates by jiwer, and by sacreBLEU BLEU and chrF of translations.

Those of captions are in ``zoo.caption_metrics``.
"""

import collections
import math
import time

from zoo import caption_metrics
from zoo.vocabulary import normalise
from zoo.words import normalise_caption


def text_error_rates(references, hypotheses):
    """Character and word error rate over a whole set (edits over all / characters or words over all).

    Args:
        references, hypotheses: lists of str of the same length, normalised alike.

    Returns:
        A dict with ``cer`` and ``wer`` as fractions (above 1 where more was inserted than there is),
        ``characters`` and ``words`` of the references, ``character_errors``.
    """
    import jiwer

    characters = sum(len(text) for text in references)
    words = sum(len(text.split()) for text in references)
    # jiwer refuses empty references; insertions against them are counted here.
    pairs = [(r, h) for r, h in zip(references, hypotheses, strict=True) if r.strip()]
    blank = [h for r, h in zip(references, hypotheses, strict=True) if not r.strip()]
    character_errors = sum(len(h) for h in blank)
    word_errors = sum(len(h.split()) for h in blank)
    if pairs:
        kept, read = [r for r, _ in pairs], [h for _, h in pairs]
        letters = jiwer.process_characters(kept, read)
        character_errors += letters.substitutions + letters.deletions + letters.insertions
        spelled = jiwer.process_words(kept, read)
        word_errors += spelled.substitutions + spelled.deletions + spelled.insertions
    return {
        "cer": character_errors / max(characters, 1),
        "wer": word_errors / max(words, 1),
        "characters": characters,
        "words": words,
        "character_errors": character_errors,
    }


def evaluate_reader(read, vocabulary, corpus, progress=False):
    """Error rates of a function that reads line images, such as a task's ``predict`` or an exported reader.

    Args:
        read: a list of uint8 images -> a list of str.
        vocabulary: the ``Vocabulary`` of what it reads.
        corpus: a ``zoo.data.lines.Lines``.
        progress: show a progress bar.

    Returns:
        What ``text_error_rates`` gives, with ``lines``, ``skipped`` (sentences on what could not be read)
        and ``unknown_characters`` (``{character: count}`` of those the vocabulary lacks; they count as
        errors).
    """
    found, references, _ = _answers(read, corpus, 512, desc="reading", unit="line", disable=not progress)
    hypotheses = [normalise(text) for text in found]
    unknown = collections.Counter(c for text in references for c in vocabulary.unknown(text))
    return {
        "lines": len(references),
        **text_error_rates(references, hypotheses),
        "skipped": corpus.skipped,
        "unknown_characters": dict(unknown.most_common()),
    }


def evaluate_translator(translate, corpus, progress=False):
    """BLEU and chrF of a function that translates sentences, over a whole corpus.

    Args:
        translate: a list of str -> a list of str, detokenised.
        corpus: a ``zoo.data.parallel.Parallel``.
        progress: show a progress bar.

    Returns:
        A dict with ``sentences``; ``bleu`` (Papineni et al. 2002; cased, tokenised by sacreBLEU's 13a) and
        ``chrf`` (Popović 2015), 0 to 100; ``signature``, sacreBLEU's of that BLEU (Post 2018);
        ``length_ratio``, tokens of the translations over those of the references; ``seconds`` that
        translating took and ``sentences_per_second``; ``skipped`` (on pairs that could not be used).
    """
    from sacrebleu.metrics import BLEU, CHRF

    hypotheses, references, seconds = _answers(
        translate, corpus, 512, desc="translating", unit=" sentences", disable=not progress
    )
    metric = BLEU(tokenize="13a")
    bleu = metric.corpus_score(hypotheses, [references])
    return {
        "sentences": len(references),
        "bleu": bleu.score,
        "chrf": CHRF().corpus_score(hypotheses, [references]).score,
        "signature": str(metric.get_signature()),
        "length_ratio": bleu.ratio,
        "seconds": seconds,
        "sentences_per_second": len(references) / seconds,
        "skipped": corpus.skipped,
    }


def evaluate_captioner(caption, corpus, progress=False):
    """BLEU, ROUGE-L and CIDEr-D of a function that captions images, over a whole corpus.

    Args:
        caption: a list of uint8 RGB images -> a list of str.
        corpus: a ``zoo.data.captions.Captions``.
        progress: show a progress bar.

    Returns:
        A dict with ``images`` and ``captions`` (how many references they have); ``bleu1`` to ``bleu4``, 0 to
        100, ``rouge_l``, 0 to 1, and ``cider``, 0 to 10, all as ``zoo.caption_metrics`` defines them, after
        ``zoo.words.normalise_caption`` of either side; ``seconds`` that captioning took and
        ``images_per_second``; ``skipped`` (sentences on what could not be used).
    """
    found, texts, seconds = _answers(
        caption, corpus, 128, desc="captioning", unit=" images", disable=not progress
    )
    hypotheses = list(map(normalise_caption, found))
    references = [list(map(normalise_caption, several)) for several in texts]
    bleu = caption_metrics.bleu(references, hypotheses)
    return {
        "images": len(references),
        "captions": sum(map(len, references)),
        **{f"bleu{n}": score for n, score in enumerate(bleu, 1)},
        "rouge_l": caption_metrics.rouge_l(references, hypotheses),
        "cider": caption_metrics.cider(references, hypotheses),
        "seconds": seconds,
        "images_per_second": len(references) / seconds,
        "skipped": corpus.skipped,
    }


def evaluate_classifier(classify, vocabulary, corpus, progress=False):
    """How often a function that classifies texts finds the label of a corpus.

    Args:
        classify: a list of str -> a list of labels.
        vocabulary: the ``zoo.classification.TextVocabulary`` of what it says.
        corpus: a ``zoo.data.labelled.LabelledTexts``.
        progress: show a progress bar.

    Returns:
        A dict with ``texts``; ``accuracy``, a fraction; ``macro_f1``, the mean of ``f1`` over the labels that
        occur; ``labels``, for each of the model's ``{label: {"precision", "recall", "f1", "texts"}}`` (0
        where there is nothing to divide by); ``confusion``, int ``[labels][labels]``, how many texts of each
        label (first index) were given each; ``seconds`` that classifying took and ``texts_per_second``;
        ``skipped`` (sentences on texts that could not be used).

    Raises:
        UserError: the corpus has a label that the model has not.
    """
    import numpy as np

    rows = {label: vocabulary.row(label) for label in sorted(set(corpus.labels))}
    found, labels, seconds = _answers(
        classify, corpus, 512, desc="classifying", unit=" texts", disable=not progress
    )
    confusion = np.zeros((len(vocabulary.labels),) * 2, int)
    np.add.at(confusion, ([rows[x] for x in labels], [vocabulary.row(x) for x in found]), 1)
    right, given, meant = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    f1 = 2 * right / np.maximum(given + meant, 1)
    columns = right / np.maximum(given, 1), right / np.maximum(meant, 1), f1, meant
    names = "precision", "recall", "f1", "texts"
    columns = (column.tolist() for column in columns)
    figures = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return {
        "texts": int(meant.sum()),
        "accuracy": float(right.sum() / meant.sum()),
        "macro_f1": float(f1[(given + meant) > 0].mean()),
        "labels": dict(zip(vocabulary.labels, figures, strict=True)),
        "confusion": confusion.tolist(),
        "seconds": seconds,
        "texts_per_second": len(corpus) / seconds,
        "skipped": corpus.skipped,
    }


def evaluate_text_model(score, vocabulary, corpus, progress=False):
    """Bits per character of a function that says what each character of a text costs, over a whole corpus.

    Args:
        score: a str -> the nats of each of its characters, given those before it.
        vocabulary: the ``zoo.plain_text.Characters`` of the model.
        corpus: a ``zoo.data.continuous.Texts``; each of its texts begins anew.
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


def _answers(function, corpus, size, **bar):
    """What a function gives for the samples of a corpus, what was expected, and the seconds it took.

    Args:
        function: a list of inputs -> a list of as many answers.
        corpus: what gives ``(inputs, expected)``, lists, by ``chunks(size)``.
        bar: of tqdm.
    """
    from tqdm import tqdm

    found, expected, seconds = [], [], 0.0
    with tqdm(total=len(corpus), **bar) as bar:
        for inputs, wanted in corpus.chunks(size):
            start = time.perf_counter()
            found += function(inputs)
            seconds += time.perf_counter() - start
            expected += wanted
            bar.update(len(wanted))
    return found, expected, seconds
