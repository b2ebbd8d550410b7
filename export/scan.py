"""Plain recurrent layers as ONNX's ``Scan``, where onnxruntime runs that faster than its ``RNN``.

onnxruntime's kernel for ``RNN`` is slow, above all in tanh and sigmoid, which it computes value by value.
Here the product with the input is one ``MatMul`` over all steps; what is left of a step is a ``Gemm`` and an
activation, both vectorised. ``LSTM`` and ``GRU`` have better kernels, which no ``Scan`` beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

# The units from which a Scan is hardly ever slower with a batch of 1; with 8 it is 1.3 to 4.7 times as fast.
# Below, what onnxruntime needs to begin an operation is more than the arithmetic of a step.
LEAST = 64
LEAST_AT_ONCE = 256  # for activations that cost the RNN kernel little
_AT_ONCE = ("Relu", "Affine")
_PARAMETERS = {"Affine": 2, "HardSigmoid": 2, "Elu": 1, "LeakyRelu": 1}  # alpha, and beta
# A state of zeros stays what it is in steps of zeros: f(0) = 0.
_KEEP_ZERO = ("Tanh", "Relu", "Softsign", "Elu", "LeakyRelu")


def suits(
    kind: str, units: int, activations: Sequence[tuple], direction: str, lengths: Any, initial: Any
) -> bool:
    """Whether a recurrent operation is faster as a ``Scan``, and can be one.

    Args:
        kind: "LSTM", "GRU" or "RNN".
        units: int.
        activations: a list of (name, alpha, beta), one for each direction.
        direction: "forward", "reverse" or "bidirectional".
        lengths, initial: whether it has ``sequence_lens`` and ``initial_h``.
    """
    if kind != "RNN" or any(
        units < (LEAST_AT_ONCE if name in _AT_ONCE else LEAST) for name, *_ in activations
    ):
        return False
    if not lengths or direction == "forward":
        return True
    # Read from the end, padding comes first. To hold a state there would take a `Where` in every step, which
    # costs more than the rest of it; zeros hold themselves.
    zeros = (name in _KEEP_ZERO or (name == "Affine" and not beta) for name, _, beta in activations)
    return not initial and all(zeros)


def unroll(graph: onnx.GraphProto) -> None:
    """Puts a ``Scan`` in the place of every ``RNN`` that ``suits`` and whose weights are constants.

    Args:
        graph: an ``onnx.GraphProto`` of operator set 13 or later, changed in place.
    """
    from onnx import numpy_helper

    constants = {value.name: value for value in graph.initializer}
    added, replaced = [], set()

    def walk(graph):
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            for attribute in node.attribute:
                for body in (attribute.g, *attribute.graphs):
                    if body.node:
                        walk(body)
            if node.op_type == "RNN" and set(node.input[1:4]) <= constants.keys() | {""}:
                weights = [numpy_helper.to_array(constants[name]) for name in node.input[1:4]]
                made = _Scan(node, *weights)
                if made.suits:
                    made.write()
                    graph.node.extend(made.nodes)
                    added.extend(made.constants)
                    replaced.update(node.input[1:4])
                    continue
            graph.node.append(node)

    walk(graph)
    unread = replaced - _read(graph)
    kept = [value for value in graph.initializer if value.name not in unread]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *added])


def _read(graph):
    names = {value.name for value in graph.output}
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                names |= _read(body)
    return names


class _Scan:
    """What stands for one ``RNN``.

    Attributes:
        suits: whether it should.
        nodes, constants: what ``write`` makes.
    """

    def __init__(self, node, kernel, recurrent, bias):
        from onnx import helper

        self.given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        self.name = next(name for name in node.output if name)
        self.x, self.lengths, self.initial = node.input[0], "", ""
        self.lengths, self.initial = (*node.input[4:6], "", "")[:2]
        self.y, self.last = (*node.output, "")[:2]
        self.kernel, self.recurrent, self.bias = kernel, recurrent, bias
        self.units, self.direction = self.given["hidden_size"], self.given["direction"].decode()
        # 1 where a direction reads from the end.
        self.backwards = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}[self.direction]
        parameters = [list(self.given.get(f"activation_{kind}", [])) for kind in ("alpha", "beta")]
        self.activations = []
        for name in (value.decode() for value in self.given["activations"]):
            count = _PARAMETERS.get(name, 0)
            own = [values.pop(0) if count > i else None for i, values in enumerate(parameters)]
            self.activations.append((name, *own))
        self.suits = suits(
            "RNN", self.units, self.activations, self.direction, bool(self.lengths), bool(self.initial)
        )
        self.nodes, self.constants = [], []

    def _constant(self, key, value):
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), f"{self.name}/{key}"))
        return self.constants[-1].name

    def _node(self, kind, inputs, key, into=None, **attributes):
        """Adds an operation to the graph, or to the list ``into``; gives its output's name."""
        from onnx import helper

        output = f"{self.name}/{key}"
        one = helper.make_node(kind, inputs, [output], name=output, **attributes)
        (self.nodes if into is None else into).append(one)
        return output

    def write(self):
        from onnx import TensorProto, helper

        directions = range(len(self.backwards))
        zero, one = self._constant("0", np.zeros(1, "int64")), self._constant("1", np.ones(1, "int64"))
        nothing = self._constant("nothing", np.zeros(1, "float32"))
        shape = self._node("Shape", [self.x], "shape")
        batch = self._node("Gather", [shape, one], "batch")
        real = self._real(shape, zero, one) if self.lengths else None
        states, inputs, steps, ends, outs = [], [], [], [], []
        body = []
        for d in directions:
            product = self._product(d)
            if real and self.backwards[d]:
                product = self._node("Where", [real, product, nothing], f"padded_{d}")
            inputs.append(product)
            if self.initial:
                place = self._constant(f"place_{d}", np.array(d))
                states.append(self._node("Gather", [self.initial, place], f"initial_{d}"))
            elif d == 0:
                units = self._constant("units", np.array([self.units]))
                square = self._node("Concat", [batch, units], "square", axis=0)
                states.append(self._node("Expand", [nothing, square], "initial"))
            else:
                states.append(states[0])
            before, x = f"{self.name}/before_{d}", f"{self.name}/step_{d}"
            # Not transposed, so that int8 has a scale for each unit, as in RNN.
            recurrent = self._constant(f"recurrent_{d}", self.recurrent[d])
            y = self._node("Gemm", [before, recurrent, x], f"sum_{d}", body, transB=1)
            y = self._activated(d, y, body)
            outs.append(self._node("Identity", [y], f"out_{d}", body))
            steps += [before, x]
            ends.append(y)

        def values(names):
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, self.units]) for name in names
            ]

        loop = helper.make_graph(body, "step", values(steps[::2] + steps[1::2]), values(ends + outs))
        lasts = [f"{self.name}/last_{d}" for d in directions]
        found = [f"{self.name}/all_{d}" for d in directions]
        self.nodes.append(
            helper.make_node(
                "Scan", [*states, *inputs], [*lasts, *found], name=f"{self.name}/scan", body=loop,
                num_scan_inputs=len(inputs), scan_input_directions=self.backwards,
                scan_output_directions=self.backwards,
            )
        )  # fmt: skip
        if real:  # what follows the end has no meaning; RNN gives zeros there
            for d in directions:
                if self.backwards[d]:
                    continue
                if self.last:
                    lasts[d] = self._end(d, found[d], batch)
                found[d] = self._node("Where", [real, found[d], nothing], f"ended_{d}")
        for name, parts, axis in ((self.y, found, one), (self.last, lasts, zero)):
            if not name:
                continue
            keys = [f"{part.rpartition('/')[2]}_wide" for part in parts]
            parts = [
                self._node("Unsqueeze", [part, axis], key) for part, key in zip(parts, keys, strict=True)
            ]
            if len(parts) > 1:
                self._node("Concat", parts, "joined", axis=1 if name == self.y else 0)
            self.nodes[-1].output[0] = name
            self.nodes[-1].name = f"{name}/named"

    def _product(self, d):
        """``[time, batch, units]``: what the input adds to each step's sum."""
        x, kernel = self.x, self.kernel[d].T
        if not np.array_equal(kernel, np.eye(self.units)):  # as that of `zoo.layers.LinearRNN` is
            x = self._node("MatMul", [x, self._constant(f"kernel_{d}", kernel)], f"product_{d}")
        bias = self.bias[d].reshape(2, -1).sum(0)
        return self._node("Add", [x, self._constant(f"bias_{d}", bias)], f"given_{d}") if bias.any() else x

    def _activated(self, d, y, body):
        name, alpha, beta = self.activations[d]
        if "clip" in self.given:
            least = 0 if name == "Relu" else -self.given["clip"]
            limits = {"low": least, "high": self.given["clip"]}.items()
            limits = [self._constant(f"{key}_{d}", np.array(value, "float32")) for key, value in limits]
            y = self._node("Clip", [y, *limits], f"clipped_{d}", body)
            if name == "Relu":
                return y
        if name == "Affine":
            factor = self._constant(f"alpha_{d}", np.array(alpha, "float32"))
            offset = self._constant(f"beta_{d}", np.array(beta, "float32"))
            y = self._node("Mul", [y, factor], f"scaled_{d}", body) if alpha != 1 else y
            return self._node("Add", [y, offset], f"active_{d}", body) if beta else y
        given = {key: value for key, value in (("alpha", alpha), ("beta", beta)) if value is not None}
        return self._node(name, [y], f"active_{d}", body, **given)

    def _real(self, shape, zero, one):
        """bool ``[time, batch, 1]``: what is not padding."""
        from onnx import TensorProto

        start, delta = self._constant("start", np.array(0)), self._constant("delta", np.array(1))
        time = self._node("Gather", [shape, start], "time")
        step = self._node("Unsqueeze", [self._node("Range", [start, time, delta], "steps"), one], "step")
        lengths = self._node("Cast", [self.lengths], "lengths", to=TensorProto.INT64)
        less, two = self._node("Less", [step, lengths], "less"), self._constant("2", np.array([2]))
        return self._node("Unsqueeze", [less, two], "real")

    def _end(self, d, y, batch):
        """The output at each row's last step, ``[batch, units]``, from all, ``[time, batch, units]``."""
        start, delta = f"{self.name}/start", f"{self.name}/delta"
        places = self._node("Sub", [f"{self.name}/lengths", delta], f"before_end_{d}")
        places = self._node("Max", [places, start], f"end_{d}")
        rows = self._node("Squeeze", [batch], f"rows_{d}")
        row = self._node("Range", [start, rows, delta], f"row_{d}")
        places = self._node("Add", [self._node("Mul", [places, rows], f"row_of_{d}"), row], f"places_{d}")
        flat = self._constant("flat", np.array([-1, self.units]))
        flat = self._node("Reshape", [y, flat], f"flat_{d}")
        return self._node("Gather", [flat, places], f"ended_state_{d}")
