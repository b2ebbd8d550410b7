"""Corpora of speech as a recogniser learns them; see ``zoo.data.speech``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.data.given import Given
from zoo.data.speech import COLUMNS, load_speech

if TYPE_CHECKING:
    from zoo.data.speech import Speech

GIVEN = Given(("audio", "transcript"), "sound", COLUMNS["audio"])


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Speech:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_speech(corpora, only, progress, config["sampling_rate"], columns)
