"""The field's metrics for text: error rates by jiwer, and of translations BLEU and chrF by sacreBLEU."""

import collections
import time

from zoo.vocabulary import normalise


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
    from tqdm import tqdm

    references, hypotheses = [], []
    with tqdm(total=len(corpus), desc="reading", unit="line", disable=not progress) as bar:
        for images, texts in corpus.chunks(512):
            references.extend(texts)
            hypotheses.extend(normalise(text) for text in read(images))
            bar.update(len(texts))
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
    from tqdm import tqdm

    references, hypotheses, seconds = [], [], 0.0
    with tqdm(total=len(corpus), desc="translating", unit=" sentences", disable=not progress) as bar:
        for sources, texts in corpus.chunks(512):
            start = time.perf_counter()
            hypotheses += translate(sources)
            seconds += time.perf_counter() - start
            references += texts
            bar.update(len(texts))
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
