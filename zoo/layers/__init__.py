"""Layers: recurrent ones, fast to train, and what honours the length of each sequence in a padded batch."""

from zoo.layers.memory import KINDS, IdentityRNN, LinearRNN, SkipRNN, make_recurrent
from zoo.layers.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    ClippedRelu,
    MaskByLength,
    Recurrent,
    SimpleRNN,
    reverse_by_length,
)

__all__ = [
    "GRU",
    "KINDS",
    "LSTM",
    "Bidirectional",
    "ClippedRelu",
    "IdentityRNN",
    "LinearRNN",
    "MaskByLength",
    "Recurrent",
    "SimpleRNN",
    "SkipRNN",
    "make_recurrent",
    "reverse_by_length",
]
