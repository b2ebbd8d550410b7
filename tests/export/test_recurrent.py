"""Recurrent layers as fused ONNX operations: every option, mask, length and batch gives what Keras gives."""

import collections
import functools
import itertools

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

import zoo.layers
from export import onnx_file, onnx_graph, quantize, recurrent, scan, to_onnx, verify
from export.keras_model import KerasModel
from export.recurrent import _activation

FEATURES, UNITS = 4, 3
PLAIN = {
    "lstm": layers.LSTM,
    "gru": functools.partial(layers.GRU, reset_after=True),
    "gru_before": functools.partial(layers.GRU, reset_after=False),
    "simple": layers.SimpleRNN,
    "scan": layers.SimpleRNN,
}
OPERATIONS = {"lstm": "LSTM", "gru": "GRU", "gru_before": "GRU", "simple": "RNN", "scan": "Scan"}
PADDINGS = ("none", "right", "left", "holes", "all")


def flags(*names):
    """Every combination of boolean options."""
    every = itertools.product((False, True), repeat=len(names))
    return [dict(zip(names, values, strict=True)) for values in every]


def title(*parts, **options):
    return "_".join([*map(str, parts), *(f"{name}{int(value)}" for name, value in options.items())])


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)


@pytest.fixture
def small_scans(monkeypatch):
    """Plain RNNs of three units become a Scan, too."""
    monkeypatch.setattr(scan, "LEAST", 1)
    monkeypatch.setattr(scan, "LEAST_AT_ONCE", 1)


def outputs_of(made, x, **call):
    """``{name: tensor}`` of all that layers give: the states too."""
    found = {}
    for name, layer in made.items():
        for i, value in enumerate(keras.tree.flatten(layer(x, **call))):
            found[f"{name}.{i}"] = value
    for seed, layer in enumerate(made.values()):  # equal layers would become one operation
        set_weights(layer, seed)
    return found


def set_weights(layer, seed, scale=0.6):
    """Random ones; biases are zero at first, which would hide their order."""
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=weight.shape, scale=scale) for weight in layer.get_weights()])


def inputs(batch, time, padding, seed):
    """``[batch, time, features]``, with zeros in masked steps, and the mask."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(batch, time, FEATURES)).astype("float32")
    lengths, step = random.integers(0, time + 1, (batch, 1)), np.arange(time)[None, :]
    mask = {
        "none": step >= 0,
        "right": step < lengths,
        "left": step >= time - lengths,
        "holes": random.random((batch, time)) < 0.6,
        "all": step < 0,
    }[padding]
    mask = np.broadcast_to(mask, (batch, time)).copy()
    x[~mask] = 0
    return x, mask


def compare(model, feeds, operations=None, fused=True):
    """Exports a model of named outputs and compares them with Keras; returns the number of comparisons."""
    # What `to_onnx` does, less its own verification: that would take as long again.
    subject = KerasModel(model)
    exported, fusion = onnx_file._convert(subject, onnx_graph.OPSET)
    if fused:
        assert fusion.layers and not fusion.fallbacks
        assert "Loop" not in set(onnx_graph.operations_of(exported.graph))
    found = collections.Counter(onnx_graph.operations_of(exported.graph))
    assert bool(fusion.scans) == bool(found["Scan"])
    if operations:
        kinds = ("LSTM", "GRU", "RNN", "Scan")
        assert {kind: found[kind] for kind in kinds} == dict.fromkeys(kinds, 0) | operations
    data = exported.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    known = [value.name for value in session.get_inputs()]
    count = 0
    for feed in feeds:
        expected = verify.run(subject.network, subject.serving.function, feed)
        found = session.run(list(expected), {name: feed[name] for name in known})
        for (name, one), other in zip(expected.items(), found, strict=True):
            np.testing.assert_allclose(other, one, atol=2e-5, rtol=1e-4, err_msg=name)
            count += 1
    return count


def feeds(**more):
    for seed, (padding, batch, time) in enumerate(itertools.product(PADDINGS, (1, 3), (1, 7))):
        x, mask = inputs(batch, time, padding, seed)
        yield {"x": x} | ({"mask": mask} if more.get("mask") else {})


def masked_input(source):
    """(inputs, x, arguments of a layer's call)"""
    x = keras.Input((None, FEATURES), name="x")
    if source == "none":
        return {"x": x}, x, {}
    if source == "masking":
        return {"x": x}, layers.Masking()(x), {}
    mask = keras.Input((None,), dtype="bool", name="mask")
    return {"x": x, "mask": mask}, x, {"mask": mask}


MASKED = [(kind, "masking") for kind in PLAIN]
UNMASKED = [("lstm", "none"), ("simple", "none"), ("scan", "none")]  # what a mask does not touch is soon seen


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "source"), [*MASKED, *UNMASKED, ("lstm", "given")])
def test_every_option(kind, source, request):
    if kind == "scan":
        request.getfixturevalue("small_scans")
    options = flags("return_sequences", "return_state", "go_backwards")
    for i, some in enumerate(options):
        some["use_bias"] = i % 3 > 0
    made = {title(kind, **some): PLAIN[kind](UNITS, **some) for some in options}
    if source != "none":
        made |= {
            title(kind, "zero", **some): PLAIN[kind](UNITS, zero_output_for_mask=True, **some)
            for some in flags("return_sequences", "go_backwards")
        }
    given, x, call = masked_input(source)
    model = keras.Model(given, outputs_of(made, x, **call))
    count = compare(model, feeds(mask=source == "given"), {OPERATIONS[kind]: len(made)})
    assert count >= 20 * len(made)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "source"), [("lstm", "masking"), ("gru", "masking"), ("lstm", "none")])
def test_bidirectional_of_every_merge(kind, source, request):
    if kind == "scan":
        request.getfixturevalue("small_scans")
    made = {}
    # How directions are merged does not depend on the kind of layer.
    for merge in ("concat", "sum", "mul", "ave", None) if kind == "lstm" else ("concat", "sum"):
        # The states are not merged, so that one or two merges show them.
        for some in flags("return_sequences", *(["return_state"] if merge in ("concat", None) else [])):
            layer = layers.Bidirectional(PLAIN[kind](UNITS, **some), merge_mode=merge)
            made[title(kind, merge, **some)] = layer
    given, x, call = masked_input(source)
    model = keras.Model(given, outputs_of(made, x, **call))
    compare(model, feeds(), {OPERATIONS[kind]: len(made)})


@pytest.mark.slow
def test_bidirectional_of_unlike_directions():
    made = {
        "kinds": layers.Bidirectional(layers.GRU(3), backward_layer=layers.SimpleRNN(3, go_backwards=True)),
        "activations": layers.Bidirectional(
            layers.LSTM(3), backward_layer=layers.LSTM(3, activation="softsign", go_backwards=True)
        ),
    }
    given, x, call = masked_input("masking")
    model = keras.Model(given, outputs_of(made, x, **call))
    compare(model, feeds(), {"LSTM": 1, "GRU": 1, "RNN": 1})


ACTIVATIONS = {
    "linear": "linear", "relu": "relu", "hard_sigmoid": "hard_sigmoid", "softsign": "softsign",
    "elu": "elu", "leaky_relu": "leaky_relu", "sigmoid": "sigmoid",
    "elu_half": functools.partial(keras.activations.elu, alpha=0.5),
    "leaky_tenth": functools.partial(keras.activations.leaky_relu, negative_slope=0.1),
    "doubled": lambda x: 2.0 * x + 0.25,
}  # fmt: skip
CLIPPED = {"relu6": "relu6", "clip20": layers.ReLU(max_value=20.0), "clip_low": layers.ReLU(max_value=0.3)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "gru", "simple", "scan"])
def test_activations(kind, request):
    if kind == "scan":
        request.getfixturevalue("small_scans")
    made = {name: PLAIN[kind](UNITS, activation=function) for name, function in ACTIVATIONS.items()}
    if kind in ("simple", "scan"):
        made |= {name: PLAIN[kind](UNITS, activation=function) for name, function in CLIPPED.items()}
    else:
        made |= {
            f"gates_{name}": PLAIN[kind](UNITS, recurrent_activation=name)
            for name in ("hard_sigmoid", "softsign", "tanh")
        }
        made["clip20"] = PLAIN[kind](UNITS, activation=layers.ReLU(max_value=20.0))
    given, x, call = masked_input("masking")
    model = keras.Model(given, outputs_of(made, x, **call))
    # Unbounded activations grow from step to step; weights of a third keep them apart and finite.
    for seed, layer in enumerate(made.values()):
        set_weights(layer, seed, scale=0.2)
    compare(model, feeds())


@pytest.mark.slow
def test_scans_that_read_padding_first_must_keep_a_state(small_scans):
    """What does not keep zeros, or begins with others, stays an RNN where it reads padding first."""
    given, x, call = masked_input("given")  # Keras forgets a mask of its own beside a state
    h = layers.Dense(UNITS)(keras.ops.max(x, 1))
    both = functools.partial(layers.Bidirectional, merge_mode="sum")
    states = layers.SimpleRNN(UNITS, return_sequences=True, return_state=True)
    outputs = {
        "hard": both(layers.SimpleRNN(UNITS, activation="hard_sigmoid"))(x, **call),
        "sigmoid": both(layers.SimpleRNN(UNITS, activation="sigmoid", return_sequences=True))(x, **call),
        "begun": both(layers.SimpleRNN(UNITS))(x, **call, initial_state=[h, -h]),
        "backwards": layers.SimpleRNN(UNITS, go_backwards=True)(x, **call, initial_state=h),
        # These may be Scans.
        "elu": both(layers.SimpleRNN(UNITS, activation="elu", return_sequences=True))(x, **call),
        "forwards": states(x, **call, initial_state=h)[0],
        "last": states(x, **call, initial_state=-h)[1],
    }
    model = keras.Model(given, outputs)
    set_weights(model, 3, scale=0.2)
    compare(model, feeds(mask=True), {"RNN": 4, "Scan": 3})


def test_scans_where_they_are_faster(tmp_path):
    x = keras.Input((None, FEATURES), name="x")
    made = {
        "wide": layers.SimpleRNN(64, name="wide"),
        "narrow": layers.SimpleRNN(63, name="narrow"),
        "relu": layers.SimpleRNN(64, activation="relu", name="relu"),
        "relus": layers.Bidirectional(layers.SimpleRNN(256, activation="relu"), name="relus"),
        "gru": layers.GRU(64, name="gru"),
    }
    report = to_onnx(keras.Model(x, {key: layer(x) for key, layer in made.items()}), tmp_path / "m.onnx")
    assert report["recurrent"] == dict.fromkeys(("gru", "narrow", "relu"), "fused") | dict.fromkeys(
        ("relus", "wide"), recurrent.SCAN
    )
    assert report["nodes"]["Scan"] == 2 and report["nodes"]["RNN"] == 2 and "other_loops" not in report
    graph = onnx.load(tmp_path / "m.onnx").graph
    loops = [one.g for node in graph.node for one in node.attribute if one.name == "body"]
    read = {name for part in (graph, *loops) for node in part.node for name in node.input}
    assert {value.name for value in graph.initializer} <= read, "the RNN's weights are in the file no longer"


def test_scans_in_eight_bits(tmp_path):
    """Steps of few units stay in float32, those of many do not; the weights are in 8 bits either way."""
    x = keras.Input((None, FEATURES), name="x")
    for units, kind in ((100, "Gemm"), (400, "MatMulInteger")):
        model = keras.Model(x, layers.SimpleRNN(units)(x))
        whole = to_onnx(model, tmp_path / "whole.onnx")
        small = to_onnx(model, tmp_path / "small.onnx", int8=True)
        assert small["size"] < 0.45 * whole["size"]
        (node,) = [node for node in onnx.load(tmp_path / "small.onnx").graph.node if node.op_type == "Scan"]
        (body,) = [one.g for one in node.attribute if one.name == "body"]
        assert kind in [inner.op_type for inner in body.node]
    assert 100 < quantize.LEAST_STEP <= 400


@pytest.mark.parametrize("opset", [13, 18])
def test_scans_of_every_opset(tmp_path, opset):
    x = keras.Input((None, FEATURES), name="x")
    both = layers.Bidirectional(layers.SimpleRNN(64, activation=layers.ReLU(20.0), return_state=True))
    tanh = layers.Bidirectional(layers.SimpleRNN(64, return_sequences=True))
    model = keras.Model(x, [both(layers.Masking()(x))[1], tanh(layers.Masking()(x))])
    assert to_onnx(model, tmp_path / "m.onnx", opset=opset)["opset"] == opset


def test_activations_are_known_by_what_they_do():
    names = {name: _activation(keras.activations.get(f))[0][0] for name, f in ACTIVATIONS.items()}
    assert names == {
        "linear": "Affine", "relu": "Relu", "hard_sigmoid": "HardSigmoid", "softsign": "Softsign",
        "elu": "Elu", "leaky_relu": "LeakyRelu", "sigmoid": "Sigmoid",
        "elu_half": "Elu", "leaky_tenth": "LeakyRelu", "doubled": "Affine",
    }  # fmt: skip
    assert _activation(layers.ReLU(max_value=20.0)) == (("Relu", None, None), 20.0)


@pytest.mark.slow
def test_cells_and_stacks_of_cells():
    def lstm():
        return layers.LSTMCell(3)

    made = {}
    for some in flags("return_sequences", "go_backwards"):
        some["return_state"] = True
        made[title("lstm", **some)] = layers.RNN(layers.LSTMCell(3), **some)
        made[title("gru", **some)] = layers.RNN(layers.GRUCell(3, reset_after=False), **some)
        made[title("simple", **some)] = layers.RNN(layers.SimpleRNNCell(3), **some)
        stack = [lstm(), layers.GRUCell(5), layers.SimpleRNNCell(2)]
        made[title("stack", **some)] = layers.RNN(stack, **some)
    given, x, call = masked_input("masking")
    model = keras.Model(given, outputs_of(made, x, **call))
    compare(model, feeds(), {"LSTM": 8, "GRU": 8, "RNN": 8})


def test_a_stack_of_one_cell():
    """Keras itself fails on one with a mask, so there is none."""
    stack = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(UNITS)]), return_sequences=True)
    x = keras.Input((None, FEATURES), name="x")
    compare(keras.Model({"x": x}, outputs_of({"one": stack}, x)), feeds(), {"LSTM": 1})


@pytest.mark.slow
@pytest.mark.parametrize("scans", [False, True])
def test_initial_states_and_layers_after_one_another(scans, request):
    if scans:
        request.getfixturevalue("small_scans")
    given, x, call = masked_input("masking")
    encoded, h, c = layers.LSTM(UNITS, return_state=True, return_sequences=True)(x)
    both = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, return_state=True))
    outputs = {
        "decoder": layers.LSTM(UNITS, return_sequences=True)(encoded, initial_state=[h, c]),
        "gru": layers.GRU(UNITS, return_state=True)(x, initial_state=h)[1],
        "both": both(encoded, initial_state=[h, c, c, h])[0],
        "last_state": both(encoded, initial_state=[c, h, h, c])[4],
        "deep": layers.GRU(2)(layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True))(encoded)),
    }
    plain = "Scan" if scans else "RNN"
    compare(keras.Model(given, outputs), feeds(), {"LSTM": 4, "GRU": 2, plain: 1})


@pytest.mark.slow
@pytest.mark.parametrize("scans", [False, True])
def test_embedding_with_mask_and_lengths(tmp_path, scans, request):
    if scans:
        request.getfixturevalue("small_scans")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    lengths = keras.Input((), dtype="int32", name="lengths")
    x = layers.Embedding(11, FEATURES, mask_zero=True)(tokens)
    steps = layers.Embedding(11, FEATURES)(tokens)
    outputs = {
        "masked": layers.Bidirectional(layers.GRU(UNITS, return_sequences=True))(x),
        "sum": zoo.layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True), "sum")(steps, lengths),
        "lstm": zoo.layers.Bidirectional(zoo.layers.LSTM(UNITS))(steps, lengths),
    }
    model = keras.Model({"tokens": tokens, "lengths": lengths}, outputs)
    to_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    random = np.random.default_rng(0)
    for batch, time in ((1, 1), (4, 9), (2, 5)):
        given = random.integers(0, 11, (batch, time)).astype("int32")
        valid = random.integers(1, time + 1, batch).astype("int32")
        given[np.arange(time)[None] >= valid[:, None]] = 0
        found = session.run(None, {"tokens": given, "lengths": valid})
        expected = model({"tokens": given, "lengths": valid})
        for value, output in zip(found, session.get_outputs(), strict=True):
            np.testing.assert_allclose(value, expected[output.name], atol=1e-5)
            assert not value[np.arange(time)[None] >= valid[:, None]].any()


def test_states_become_inputs_and_outputs(tmp_path, small_scans):
    x = keras.Input(batch_shape=(2, None, FEATURES), name="x")
    y = layers.LSTM(UNITS, stateful=True, return_sequences=True, name="memory")(x)
    both = layers.Bidirectional(layers.GRU(UNITS, stateful=True), name="both")(x)
    plain = layers.SimpleRNN(UNITS, stateful=True, name="plain")(x)
    model = keras.Model(x, {"y": y, "both_ways": both, "plain_last": plain})
    report = to_onnx(model, tmp_path / "m.onnx")
    one_by_one = {"both/forward_gru": "fused", "both/backward_gru": "fused"}
    assert report["recurrent"] == {"memory": "fused", "plain": recurrent.SCAN} | one_by_one
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    names = [value.name for value in session.get_inputs()]
    assert names[0] == "x"
    assert set(names[1:]) == {"memory_h", "memory_c", "forward_gru_h", "backward_gru_h", "plain_h"}
    states = {name: np.zeros((2, UNITS), "float32") for name in names[1:]}
    for seed in range(3):  # chunk by chunk, as a stream is read
        chunk = np.random.default_rng(seed).normal(size=(2, 4, FEATURES)).astype("float32")
        outputs = [value.name for value in session.get_outputs()]
        found = dict(zip(outputs, session.run(None, {"x": chunk, **states}), strict=True))
        expected = model(chunk)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
        states = {name: found[f"{name}_next"] for name in states}


@pytest.mark.slow
def test_what_onnx_cannot_say_stays_a_loop_and_is_named(tmp_path):
    class Custom(layers.Layer):
        state_size = output_size = UNITS

        def call(self, inputs, states):
            return inputs[:, :UNITS] + states[0], [inputs[:, :UNITS] - states[0]]

    given, x, call = masked_input("masking")
    outputs = {
        "gelu": layers.LSTM(UNITS, activation="gelu", name="a_gelu")(x),
        "relu6": layers.GRU(UNITS, activation="relu6", name="a_clip")(x),
        "custom": layers.RNN(Custom(), name="a_cell")(x),
        "softmax": layers.SimpleRNN(UNITS, activation="softmax", name="a_softmax")(x),
        "dropped": layers.Bidirectional(layers.LSTM(UNITS, activation="silu"), name="pair")(x),
    }
    report = to_onnx(keras.Model(given, outputs), tmp_path / "m.onnx")
    reasons = report["recurrent"]
    assert "gelu" in reasons["a_gelu"] and "clips the gates" in reasons["a_clip"]
    assert "Custom" in reasons["a_cell"] and "mixes units" in reasons["a_softmax"]
    assert "silu" in reasons["pair/forward_lstm"] and "silu" in reasons["pair/backward_lstm"]
    assert report["nodes"]["Loop"] == 6
    model = keras.Model(given, outputs)
    compare(model, feeds(), fused=False)


@pytest.mark.parametrize("function", ["softplus", lambda x: keras.ops.softplus(x) + 0.0])
def test_softplus_overflows_in_onnxruntime_and_is_not_fused(function, tmp_path):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, layers.SimpleRNN(4, activation=function, name="y")(x))
    assert to_onnx(model, tmp_path / "m.onnx")["recurrent"]["y"] != "fused"
    values = np.full((1, 2, 3), 1000.0, "float32")
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": values})
    np.testing.assert_allclose(found, model(values), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["softsign", "relu", "linear", "sigmoid", "hard_sigmoid"])
def test_clipped_activations_beside_any_gate(gate, tmp_path):
    x = keras.Input((None, 3), name="x")
    gru = layers.GRU(4, activation=layers.ReLU(20.0), recurrent_activation=gate, name="y")
    model = keras.Model(x, gru(x))
    set_weights(gru, 1, scale=3.0)
    fused = to_onnx(model, tmp_path / "m.onnx")["recurrent"]["y"] == "fused"
    assert fused == ("sigmoid" in gate)


def test_activations_that_change_far_away(tmp_path):
    assert _activation(lambda x: keras.ops.minimum(keras.ops.relu(x), 2e4)) == (("Relu", None, None), 2e4)


@pytest.mark.slow
def test_a_mask_for_each_unit_stays_a_loop(tmp_path):
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None, 3), dtype="bool", name="mask")
    model = keras.Model([x, mask], layers.LSTM(3, return_sequences=True, name="y")(x, mask=mask))
    assert "single units" in to_onnx(model, tmp_path / "m.onnx")["recurrent"]["y"]


@pytest.mark.slow
def test_inside_a_loop(tmp_path):
    class Again(layers.Layer):
        def __init__(self):
            super().__init__()
            self.lstm = layers.LSTM(FEATURES, return_sequences=True)

        def call(self, x):
            return keras.ops.fori_loop(0, 3, lambda i, y: self.lstm(y), x)

    x = keras.Input((None, FEATURES), name="x")
    report = to_onnx(keras.Model(x, Again()(x)), tmp_path / "m.onnx")
    assert report["recurrent"] == {"lstm": "fused"} and report["nodes"]["LSTM"] == 1
    assert report["other_loops"] == report["nodes"]["Loop"] == 1


def test_only_what_is_read_is_computed(tmp_path):
    x = keras.Input((None, FEATURES), name="x")
    to_onnx(keras.Model(x, layers.LSTM(UNITS)(x)), tmp_path / "m.onnx")
    (node,) = [node for node in onnx.load(tmp_path / "m.onnx").graph.node if node.op_type == "LSTM"]
    assert [bool(name) for name in node.output] == [False, True]
    assert len(node.input) == 4, "no lengths and no zero states"


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_stacks_drawn_at_random(data):
    """Up to three layers over one another, with any masks, lengths and options."""
    keras.utils.clear_session()
    given_, x, call = masked_input(data.draw(st.sampled_from(["none", "masking", "given"])))
    depth = data.draw(st.integers(1, 3))
    for i in range(depth):
        kind = PLAIN[data.draw(st.sampled_from(list(PLAIN)))]
        options = {
            "return_sequences": i + 1 < depth or data.draw(st.booleans()),
            "use_bias": data.draw(st.booleans()),
            "zero_output_for_mask": data.draw(st.booleans()),
        }
        layer = kind(data.draw(st.integers(1, 5)), **options)
        if data.draw(st.booleans()):
            layer = layers.Bidirectional(layer, data.draw(st.sampled_from(["concat", "sum", "ave"])))
        x = layer(x, **call)
    model = keras.Model(given_, {"y": x})
    set_weights(model, 3, scale=0.5)
    case = st.tuples(st.integers(1, 5), st.integers(1, 12), st.sampled_from(PADDINGS))
    cases = data.draw(st.lists(case, min_size=4, max_size=8))
    rows = []
    for seed, (batch, time, padding) in enumerate(cases):
        values, mask = inputs(batch, time, padding, seed)
        rows.append({"x": values} | ({"mask": mask} if call else {}))
    compare(model, rows)
