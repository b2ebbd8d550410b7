"""The classes of pixel columns: what they are called, and by what a corpus may call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.contract.labels import Labels


class Classes(Labels):
    """The names of the classes that columns may have, in the order of the output rows.

    Args:
        names: list of str, two or more. The first is the background: paper between words, and around them.

    Raises:
        ValueError: there are fewer, one is empty, or there twice.
    """

    BACKGROUND = 0
    noun, unit = "class", "lines"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        if len(self) < 2:
            raise ValueError("Classes have two names or more.")

    @property
    def names(self) -> list[str]:
        """The names of all classes, the background first."""
        return self.labels

    def __len__(self):
        """Number of output rows."""
        return len(self.labels)

    def __eq__(self, other):
        return isinstance(other, Classes) and self.labels == other.labels

    def to_json(self) -> dict[str, Any]:
        return {"classes": self.labels}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Classes:
        """Raises ValueError or KeyError where ``data`` is damaged."""
        return cls(data["classes"])

    def metadata(self) -> dict[str, Any]:
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}
