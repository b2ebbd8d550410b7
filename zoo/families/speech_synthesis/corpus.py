"""Corpora of speech as a voice learns them: with transcripts as they are written; see ``zoo.data.speech``."""

from zoo.data.speech import load_speech


def load_corpus(corpora, config, only=None, progress=False, columns=None):
    """Corpora as a model speaks them; ``config``, a dict, is its configuration."""
    return load_speech(corpora, only, progress, config["sampling_rate"], columns, written=True)
