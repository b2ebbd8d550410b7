"""Corpora of speech as a voice learns them: with transcripts as they are written; see ``zoo.data.speech``."""

from zoo.data.given import Given
from zoo.data.speech import COLUMNS, load_speech

GIVEN = Given(("audio", "transcript"), "sound", COLUMNS["audio"])


def load_corpus(corpora, config, only=None, progress=False, columns=None):
    """Corpora as a model speaks them; ``config``, a dict, is its configuration."""
    return load_speech(corpora, only, progress, config["sampling_rate"], columns, written=True)
