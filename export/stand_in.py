"""Operations in a traced TensorFlow graph in whose place the exporter writes ONNX of its own.

A part of a model that tf2onnx would turn into a slow loop, or cannot turn into ONNX at all, is traced as one
operation that stands for it. What it stands for is written once the rest of the graph is ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

OPERATION = "PyFunc"  # of TensorFlow's, takes and gives anything; no optimiser folds or changes it
DOMAIN = "seqzoo"  # of the operation in its place while the rest is converted
VERSIONS = {"ai.onnx.ml": 2}  # of other domains than ONNX's own in what is written; of any other, 1


class StandIns:
    """The stand-ins of a traced function.

    Attributes:
        writers: ``{token: write}``; ``write(inputs, outputs, name)`` takes the names of the operation's
            tensors, and a name that its own may begin with. It returns two lists, of ``onnx.NodeProto`` and
            of ``onnx.TensorProto``, the constants that the nodes read.
        opset: the smallest operator set that has all that they write, or 0 where any has.
    """

    def __init__(self) -> None:
        self.writers = {}
        self.opset = 0

    def emit(self, write: Callable, inputs: Any, types: Sequence, opset: int = 0) -> list:
        """Traces a stand-in: takes TensorFlow tensors, gives as many as there are types, of unknown shape."""
        import tensorflow as tf

        self.opset = max(self.opset, opset)
        token = f"seqzoo {len(self.writers)}"
        self.writers[token] = write
        return tf.raw_ops.PyFunc(input=inputs, token=token, Tout=types)
