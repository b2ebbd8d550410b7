"""What families that give a label share: its names, the result, the metrics, and the report on a corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.contract.reader import Metric, Reader
from zoo.errors import UserError
from zoo.metrics.confidence import judge, tempered


class Labels:
    """The names of a model's output rows; base of the vocabulary of a family that gives a label.

    Args:
        labels: list of str.

    Raises:
        ValueError: one is empty, or there twice.
    """

    noun = "label"  # what a name is called in messages
    unit = "samples"  # what has one, in the plural

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._rows = {label: row for row, label in enumerate(self.labels)}
        if len(self._rows) != len(self.labels) or not all(self.labels):
            raise ValueError("A vocabulary names each label once.")
        if not any(label.isdecimal() for label in self.labels):
            self._rows |= {str(row): row for row in range(len(self.labels))}

    def __contains__(self, label):
        return label in self._rows

    def row(self, label: str | int) -> int:
        """The output row of a label, which a corpus may also name by its number from 0.

        Raises:
            UserError: the model has no such label.
        """
        if label not in self._rows:
            raise UserError(
                f"the {self.noun} {label!r} is none of the model's, which are {', '.join(self.labels)}; "
                f"correct it, or leave out its {self.unit}"
            )
        return self._rows[label]


@dataclasses.dataclass(frozen=True)
class Classification:
    """The label that was found for one input.

    Attributes:
        label: the likeliest; "" for an input without anything in it.
        confidence: its probability, 0 to 1.
        probabilities: ``{label: probability}`` of all labels, in the order of the model.
    """

    label: str
    confidence: float
    probabilities: dict

    @classmethod
    def of(cls, labels: list[str], probabilities: np.ndarray, *more: Any) -> Classification:
        """Of names and float ``[labels]``; ``more`` are the fields of a derived class."""
        values = np.asarray(probabilities).tolist()
        best = int(np.argmax(values))
        return cls(labels[best], values[best], dict(zip(labels, values, strict=True)), *more)

    @property
    def text(self) -> str:
        """The label."""
        return self.label

    @property
    def line(self) -> str:
        """Label and confidence, divided by a tab; nothing for an empty input."""
        return f"{self.label}\t{self.confidence:.4f}" if self.label else ""

    def to_json(self) -> dict[str, Any]:
        """What of it ``zoo predict --format json`` shows, rounded."""
        rounded = {label: round(value, 4) for label, value in self.probabilities.items()}
        return {"label": self.label, "confidence": round(self.confidence, 4), "probabilities": rounded}


class LabellingReader(Reader):
    """Base of the readers that give a label. ``label_report`` makes what its ``evaluate`` gives."""

    judges = True
    metrics = (Metric("accuracy", "accuracy", "{:.1%}"), Metric("macro_f1", "macro F1", "{:.3f}"))

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Float ``[..., labels]`` as calibrated; see ``zoo.metrics.confidence.tempered``."""
        return tempered(probabilities, self.maps.get("power"))

    def rows(self, report: dict) -> list[tuple[str, str]]:
        def shown(figures):
            return (
                f"precision {figures['precision']:.1%}, recall {figures['recall']:.1%}, "
                f"F1 {figures['f1']:.3f} ({figures[self.reads]} {self.reads})"
            )

        return [
            (self.reads, str(report[self.reads])),
            *super().rows(report),
            *((label, shown(figures)) for label, figures in report["labels"].items()),
            ("speed", f"{report[f'{self.reads}_per_second']:.0f} {self.reads} a second"),
        ]


def label_report(
    labels: list[str], expected: Sequence[int], found: list, seconds: float, unit: str,
    judged: dict | None = None,
) -> dict[str, Any]:  # fmt: skip
    """How often the label of something was found.

    Args:
        labels: list of str, of the model.
        expected: int ``[count]``, rows of these.
        found: list of as many ``Classification``; or of labels.
        seconds: that it took.
        unit: what has a label, in the plural: "texts".
        judged: a dict that gets "text", the confidences and whether each is right, and "labels", all
            probabilities and ``expected``.

    Returns:
        A dict with ``accuracy``, a fraction; ``macro_f1``, the mean of ``f1`` over the labels that occur;
        ``labels``, for each ``{label: {"precision", "recall", "f1", unit}}`` (0 where there is nothing to
        divide by); ``confusion``, int ``[labels][labels]``, how many of each label (first index) were given
        each; ``seconds``; the count as ``unit``, and ``UNIT_per_second``; ``confidence``, see
        ``zoo.metrics.confidence.confidence_report``, where there are any.
    """
    results, rows = found, {label: row for row, label in enumerate(labels)}
    found = [rows[one if isinstance(one, str) else one.label] for one in results]
    confusion = np.zeros((len(labels),) * 2, int)
    np.add.at(confusion, (expected, found), 1)
    right, given, meant = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    f1 = 2 * right / np.maximum(given + meant, 1)
    columns = right / np.maximum(given, 1), right / np.maximum(meant, 1), f1, meant
    names = "precision", "recall", "f1", unit
    columns = (column.tolist() for column in columns)
    figures = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    sure = {}
    if results and not isinstance(results[0], str):
        is_right = [a == b for a, b in zip(found, expected, strict=True)]
        sure["confidence"] = judge([one.confidence for one in results], is_right, judged)
        if judged is not None:
            judged["labels"] = [list(one.probabilities.values()) for one in results], expected
    return {
        unit: int(meant.sum()),
        "accuracy": float(right.sum() / meant.sum()),
        "macro_f1": float(f1[(given + meant) > 0].mean()),
        "labels": dict(zip(labels, figures, strict=True)),
        "confusion": confusion.tolist(),
        "seconds": seconds,
        f"{unit}_per_second": len(expected) / seconds,
        **sure,
    }
