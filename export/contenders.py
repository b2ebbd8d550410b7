"""The ways to run a Keras model that ``export.bench`` compares.

Each is a function of a subject (``export.keras_model.KerasModel``), a file it may write and a number of
threads; it gives a function of what ``inputs`` gives, or raises what a reader should know.
"""

import numpy as np

from zoo.errors import UserError

SHORTEST = 0.3  # sequence of a ragged batch, as a share of its steps


def inputs(subject, batch, steps, ragged=False):
    """Random arrays for a model's inputs in their order, and zeros for the states that its export has.

    Args:
        subject: an ``export.keras_model.KerasModel``.
        batch: rows.
        steps: size of the first axis behind the batch, where the model leaves it open.
        ragged: whether rows end after 30 % to 100 % of the steps, with what the model masks behind.
    """
    from export.examples import output_steps, tokens_and_blank

    network, random = subject.network, np.random.default_rng(0)
    shares = np.linspace(SHORTEST if ragged else 1, 1, batch)
    tokens, blank = tokens_and_blank(network, default_tokens=2)
    shapes = []
    for tensor in network.inputs:  # a picture's other side may be open too
        sides = [size or (32 if i else steps) for i, size in enumerate(tensor.shape[1:])]
        shapes.append((batch, *sides))
    values = []
    for tensor, shape in zip(network.inputs, shapes, strict=True):
        whole = "int" in tensor.dtype
        if whole and len(shape) == 1:  # a number for each row: its length
            value = np.ceil(shares * output_steps(network, shapes, steps))
        else:
            value = random.integers(min(1, tokens - 1), tokens, shape) if whole else random.normal(size=shape)
        if len(shape) > 1:
            value[np.arange(shape[1]) >= np.ceil(shares * shape[1])[:, None]] = 0 if whole else blank
        values.append(value.astype(tensor.dtype))
    return values + [np.zeros(spec.shape, spec.dtype) for spec in subject.serving.inputs[len(values) :]]


def _packed(network, values):
    """What ``inputs`` gives, less the states, as the model takes it."""
    from export.keras_model import packed

    return packed(network, values[: len(network.inputs)])


def export(subject, path, threads, **options):
    """The file of ``to_onnx``, in onnxruntime."""
    from export.onnx_file import to_onnx

    to_onnx(subject.network, path, **options)
    return _session(path, [spec.name for spec in subject.serving.inputs], threads)


def int8(subject, path, threads):
    """The same with weights in 8 bits."""
    return export(subject, path, threads, int8=True)


def plain_export(subject, path, threads):
    """The file of Keras's own ``model.export``, in onnxruntime."""
    import keras

    network, values = subject.network, inputs(subject, subject.network.inputs[0].shape[0] or 2, 40)
    # Keras exports no model that has not been called.
    expected = keras.tree.flatten(network(_packed(network, values), training=False))
    network.export(path, format="onnx", verbose=False)
    run = _session(path, [tensor.name for tensor in network.inputs], threads)
    if len(expected) == 1 and not subject.states:
        found, expected = run(values)[0], np.asarray(expected[0])
        if found.shape != expected.shape or not np.allclose(found, expected, 1e-3, 1e-3):
            raise UserError("it gives other results than Keras")
    return run


def _session(path, names, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, without a common base
        raise UserError(f"onnxruntime refuses it: {str(error).split('failed:')[-1]}") from error
    known = {value.name for value in session.get_inputs()}  # a converter leaves out what nothing reads
    return lambda values: session.run(None, {n: v for n, v in zip(names, values, strict=False) if n in known})


def predict(subject, path, threads):
    """``model.predict``."""
    network = subject.network
    return lambda values: network.predict(_packed(network, values), batch_size=len(values[0]), verbose=0)


def tf_function(subject, path, threads):
    """The model's call as a ``tf.function`` of open shapes."""
    from export.verify import serving_function

    function = serving_function(subject)
    return lambda values: {name: value.numpy() for name, value in function(*values).items()}


def torch(subject, path, threads):
    """PyTorch's modules of the same shapes, with weights of their own, for a plain stack of layers."""
    try:
        import torch
    except ImportError as error:
        raise UserError("torch is not installed") from error
    from keras import layers
    from torch.nn.utils import rnn

    torch.set_num_threads(threads)
    kinds = {layers.LSTM: torch.nn.LSTM, layers.GRU: torch.nn.GRU, layers.SimpleRNN: torch.nn.RNN}
    modules, blank, size = [], None, subject.network.inputs[0].shape[-1]
    for layer in subject.network.layers:
        both = isinstance(layer, layers.Bidirectional)
        inner = layer.forward_layer if both else layer
        if isinstance(layer, layers.Masking):
            blank = layer.mask_value
        elif type(inner) in kinds and not (both and layer.merge_mode != "concat"):
            module = kinds[type(inner)](size, inner.units, bidirectional=both, batch_first=True)
            modules.append((module, inner.return_sequences))
            size = inner.units * (1 + both)
        elif isinstance(layer, layers.Dense):
            modules.append((torch.nn.Linear(size, layer.units), None))
            size = layer.units
        elif not isinstance(layer, layers.InputLayer | layers.Dropout):
            raise UserError(f"the layer {layer.name!r} is none of those that are rebuilt for PyTorch here")

    @torch.inference_mode()
    def run(values):
        x = torch.from_numpy(values[0])
        lengths = (x != blank).any(-1).sum(-1)
        for module, sequences in modules:
            if sequences is None:
                x = module(x)
                continue
            if blank is not None and x.dim() == 3:
                x = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            x, state = module(x)
            if not sequences:
                x = (state[0] if isinstance(state, tuple) else state).transpose(0, 1).flatten(1)
            elif blank is not None:
                x, _ = rnn.pad_packed_sequence(x, batch_first=True)
        return x.numpy()

    return run
