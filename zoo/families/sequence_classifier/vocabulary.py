"""What a sequence classifier knows of its input and output: channels by name, their scales, and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from zoo.contract.labels import Labels
from zoo.errors import UserError


class SequenceVocabulary(Labels):
    """What a classifier reads and what it says.

    Args:
        channels: list of str, the names of the input's columns.
        labels: list of str, the names of the output rows.
        mean, scale: float ``[features]``, what each feature that the network makes of the channels is brought
            to mean 0 and deviation 1 by; None before they were learned. They are constants of the graph, and
            here rather than among the weights, as these are stored with three digits.
    """

    unit = "sequences"

    def __init__(
        self, channels: Sequence[str], labels: Sequence[str],
        mean: np.ndarray | Sequence[float] | None = None, scale: np.ndarray | Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(labels)
        self.channels = list(channels)
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ValueError("A vocabulary names each channel once.")
        self.mean, self.scale = (None if x is None else [float(v) for v in x] for x in (mean, scale))
        if (self.mean is None) != (self.scale is None) or len(self.mean or ()) != len(self.scale or ()):
            raise ValueError("Mean and scale are of the same features.")

    def __len__(self):
        """Number of channels."""
        return len(self.channels)

    def __eq__(self, other):
        return isinstance(other, SequenceVocabulary) and self.to_json() == other.to_json()

    def pick(self, columns: Sequence[str] | None, values: np.ndarray, name: str) -> np.ndarray:
        """The channels of the model from a table's columns, by name, or by place where it has no names.

        Args:
            columns: list of str, or None.
            values: float32 ``[steps, columns]``.
            name: what messages call the table.

        Returns:
            float32 ``[steps, channels]``.

        Raises:
            UserError: a channel is missing, or without names there are more or fewer columns.
        """
        if columns == self.channels:
            return values
        if columns is None or not self._named or set(columns) == set(default_names(len(columns))):
            if values.shape[1] != len(self):
                raise UserError(
                    f"{name}: it has {_count(values.shape[1])}, the model reads {_count(len(self))} "
                    f"({_listed(self.channels)}); give these"
                )
            return values
        places = self.places(columns, name)
        return values[:, places]

    def places(self, columns: Sequence[str], name: str) -> list[int]:
        """Where the channels are among columns; UserError where one is missing."""
        lacking = [channel for channel in self.channels if channel not in columns]
        if lacking:
            raise UserError(
                f"{name}: there is no column {lacking[0]}; its columns are {_listed(columns)}, the model "
                f"reads {_listed(self.channels)}: name them so"
            )
        return [columns.index(channel) for channel in self.channels]

    @property
    def _named(self):
        return self.channels != default_names(len(self))

    def scaled(
        self, mean: np.ndarray | Sequence[float], scale: np.ndarray | Sequence[float]
    ) -> SequenceVocabulary:
        """The same with what was learned of the features."""
        return type(self)(self.channels, self.labels, mean, scale)

    def to_json(self) -> dict[str, Any]:
        return {"channels": self.channels, "labels": self.labels, "mean": self.mean, "scale": self.scale}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SequenceVocabulary:
        """Raises ValueError or KeyError where ``data`` is damaged."""
        return cls(data["channels"], data["labels"], data["mean"], data["scale"])

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}


def unusable(values: np.ndarray) -> str | None:
    """Why float ``[steps, channels]`` is no sequence, as the end of a sentence; None if it is one."""
    if len(values) < 2:
        return "has one row; give a sequence of two or more"
    if not np.isfinite(values).any():
        return "has no number in it, all is missing; give one with values"
    return None


def default_names(count: int) -> list[str]:
    """The names of channels that have none: ``channel_1`` and so on."""
    return [f"channel_{i + 1}" for i in range(count)]


def _count(number):
    return f"{number} column{'s' * (number != 1)}"


def _listed(names, most=8):
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def statistics(parts: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of features.

    Args:
        parts: iterable of float ``[steps, features]`` with NaN for what is missing.

    Returns:
        ``(mean, scale)``, float64 ``[features]``: the scale is the standard deviation, 1 where there is none.
    """
    count = total = None
    parts = list(parts)
    for part in parts:  # in two passes, or large means would drown small deviations
        known = np.isfinite(part)
        count = known.sum(0) + (0 if count is None else count)
        total = np.where(known, part, 0).sum(0, dtype=np.float64) + (0 if total is None else total)
    mean = total / np.maximum(count, 1)
    squares = sum(
        np.where(np.isfinite(part), part - mean, 0).astype(np.float64).__pow__(2).sum(0) for part in parts
    )
    scale = np.sqrt(squares / np.maximum(count, 1))
    # What hardly moves is measured against its size: rounding is no deviation.
    return mean, np.where(scale > 1e-6 * np.maximum(1e-3, np.abs(mean)), scale, 1.0)
