"""The Task contract: preprocessing, network and decoding in one object, and its folder on disk.

A task folder holds ``config.json``, ``vocabulary.json``, ``weights.safetensors`` and ``preset.json``
(what ``zoo list`` shows, and the sha256 of every other file), ``card.md`` where there is one, and the
task's assets, such as a language model.
Nothing in it is executed when it is loaded.
"""

from __future__ import annotations

import zoo.silent  # noqa: F401

# isort: split
import dataclasses
import functools
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from export.runtime import CONFIDENCE
from zoo import files, hub, registry
from zoo.contract import card as cards
from zoo.contract.compiled import compiled
from zoo.contract.model import Model
from zoo.errors import UserError
from zoo.text.characters import Vocabulary

if TYPE_CHECKING:
    from zoo.contract.reader import Reader
    from zoo.contract.serving import Serving


class Task(Model):
    """A model family's code around one set of weights.

    A subclass sets ``name``, ``Config`` (a frozen dataclass) and, if it writes no single characters, the
    class of its ``Vocabulary``, builds ``network`` (a functional ``keras.Model``) and defines ``serving``
    and, for training, ``training_model`` and what ``zoo.data.pipeline`` names.

    Args:
        config: a ``Config``.
        vocabulary: a ``Vocabulary``, of that class.
        card: dict, what the model says of itself; see ``zoo.contract.card``.
        assets: ``{file name: bytes}``, further files that belong to the model.
    """

    name = None
    Config = None
    Vocabulary = Vocabulary
    source = None  # what ``zoo.load`` was given
    rounded, static = {}, ()  # see ``zoo.contract.compiled.compiled``

    def __init__(
        self, config: Any, vocabulary: Any, card: dict[str, Any] | None = None,
        assets: dict[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.vocabulary = vocabulary
        self.card = dict(card or {})
        self.assets = dict(assets or {})
        self.network = self.build_network()

    # === Weights ===

    def weights(self) -> dict[str, np.ndarray]:
        """``{path: float32 array}`` of everything the network learned."""
        return {variable.path: np.array(variable, "float32") for variable in self.network.weights}

    def weights_sha256(self) -> str:
        """The sha256 of all weights as float32, whatever type a file stores them in."""
        found = hashlib.sha256()
        for name, value in sorted(self.weights().items()):
            found.update(f"{name} {value.shape}\n".encode())
            found.update(value.astype("<f4").tobytes())
        return found.hexdigest()

    def own_card(self) -> dict[str, Any]:
        """The card that is true of the weights as they are: without figures where others were measured."""
        return cards.true_of(self.card, self.is_changed())

    def is_changed(self) -> bool:
        """Whether the weights are no longer those that were loaded, which card and calibration are about."""
        loaded = self.card.get(cards.LOADED)
        return loaded is not None and loaded["weights_sha256"] != self.weights_sha256()

    def uncalibrate(self) -> None:
        """Forget the map of confidences: it holds for no weights but those that it was fitted on."""
        self.assets = {name: data for name, data in self.assets.items() if name != CONFIDENCE}
        for made in ("reader", "compiled_serve", "_serve_features"):  # with the map in them
            vars(self).pop(made, None)

    def drop_stale_calibration(self) -> None:
        """Forget the map of confidences where the weights have changed since: by hand, for other labels."""
        if CONFIDENCE in self.assets and self.is_changed():
            self.uncalibrate()

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Assign ``{path: array}``; every variable must be there in its own shape."""
        for variable in self.network.weights:
            if variable.path not in weights:
                raise UserError(f"The weights lack {variable.path!r}; they belong to another configuration.")
            value = weights[variable.path]
            if tuple(value.shape) != tuple(variable.shape):
                raise UserError(
                    f"The weights' {variable.path!r} has shape {tuple(value.shape)} where the configuration "
                    f"says {tuple(variable.shape)}; they belong to another configuration."
                )
            variable.assign(value.astype("float32"))

    def with_vocabulary(self, vocabulary: Any) -> Task:
        """The same model for a vocabulary that has further tokens behind those of the present one.

        Their scores begin as the mean of the old ones' (Hewitt 2021, "Initializing New Word Embeddings for
        Pretrained Language Models"): all scores may lie far below zero, and new ones near zero would win.
        """
        new = type(self)(self.config, vocabulary, self.card, self.assets)
        weights, fresh = self.weights(), new.weights()
        for path, value in weights.items():
            if value.shape != fresh[path].shape:  # rows or columns, one for each token
                if path.startswith("logits/"):
                    fresh[path][:] = value.mean(axis=-1, keepdims=True)
                fresh[path][tuple(slice(size) for size in value.shape)] = value
                weights[path] = fresh[path]
        new.set_weights(weights)
        return new

    def with_outputs(self, vocabulary: Any) -> Task:
        """A model that reads as this one and has yet to learn what a vocabulary has it say: ``logits``."""
        new = type(self)(self.config, vocabulary, self.card, self.assets)
        learned = {path: value for path, value in self.weights().items() if not path.startswith("logits/")}
        new.set_weights(new.weights() | learned)
        return new

    def become(self, other: Task) -> None:
        """Be another task of the same family: with its weights, vocabulary and configuration."""
        source = self.source
        vars(self).clear()
        vars(self).update(vars(other))
        self.source = source

    # === What the encoder says ===

    @property
    def feature_call(self) -> tuple[Any, str] | None:
        """``(layer, "call")``, whose outputs ``features`` gives, called with lengths; or None."""
        return None

    def features(self, inputs: Any) -> list[np.ndarray]:
        """What the last recurrent layer before the logits makes of inputs: what another model may learn from.

        Args:
            inputs: as of ``predict``.

        Returns:
            A list with float32 ``[steps, units]`` for each input, without padding; ``[0, 0]`` where there is
            nothing to read, such as in silence.

        Raises:
            UserError: an input cannot be read, or is so long that it is read in pieces; the family has no
                such layer; or Keras does not run on TensorFlow.
        """
        if self.feature_call is None:
            raise UserError(f"features are not given for {self.name}; docs/python.md has the families.")
        if keras.backend.backend() != "tensorflow":
            raise UserError("features are computed on TensorFlow: set KERAS_BACKEND=tensorflow.")
        parts = []

        def run(inputs):
            outputs = {name: np.asarray(value) for name, value in self._serve_features(inputs).items()}
            values, lengths = outputs.pop(_FEATURES), outputs.pop(_LENGTHS)
            parts.extend(row[:length] for row, length in zip(values, lengths, strict=True))
            return outputs

        reader, found = self._reader(run), []
        for number, item in enumerate(self.reader.several(inputs), 1):
            parts.clear()
            reader([item] if not isinstance(item, dict) else item, **reader.greedy)
            if len(parts) > 1:
                raise UserError(
                    f"input {number} is so long that it is read in {len(parts)} pieces; cut it, and join "
                    "their features as you need them."
                )
            found.append(parts[0] if parts else np.zeros((0, 0), np.float32))
        return found

    @functools.cached_property
    def _serve_features(self):
        serving, (owner, name) = self.serving, self.feature_call

        def function(inputs):
            seen, call = [], getattr(owner, name)

            def recorded(x, lengths, *arguments, **options):
                outputs = call(x, lengths, *arguments, **options)
                seen.append((outputs[0] if isinstance(outputs, tuple | list) else outputs, lengths))
                return outputs

            setattr(owner, name, recorded)
            try:
                outputs = serving.function(inputs)
            finally:
                delattr(owner, name)
            values, lengths = seen[0]
            return outputs | {_FEATURES: keras.ops.cast(values, "float32"), _LENGTHS: lengths}

        return compiled(self.network, function, serving.inputs, static=self.static)

    # === Training ===

    def finetune(
        self, corpus: Any, output: str | os.PathLike | None = None, validation: Any = None,
        callbacks: Iterable[Any] = (), columns: dict[str, str] | None = None, **options: Any,
    ) -> list[dict]:  # fmt: skip
        """Train the task further, in place, as ``zoo finetune`` does; it ends with the best weights.

        Args:
            corpus: what ``evaluate`` takes; of the splits of a ``DatasetDict``, ``train``, and ``validation``
                to validate on.
            output: the run folder, from which an interrupted run goes on; None for a temporary one.
            validation: corpora to validate on; a part of ``corpus`` by default.
            callbacks: those of Keras. ``on_epoch_end`` has ``loss``, ``val_loss`` and the family's metrics in
                its logs, as ``history.csv`` has them; what is saved of the model is ``network``.
            columns: ``{what: column}`` of tables whose columns have other names than the family knows.
            options: those of ``zoo finetune``: ``epochs=3``, ``learning_rate=1e-4``, ``extend=True``,
                ``model={"dropout": 0.3}``.

        Returns:
            The history: a list of dicts, one an epoch, epoch 0 being the task as it was.

        Raises:
            UserError: the corpus or an option is not as it should be.
        """
        # Here alone a task knows of recipes, when it is asked to: they stand above it, and import it.
        course = importlib.import_module("recipes.training.in_python")
        about = {"validation": validation, "callbacks": callbacks, "columns": columns}
        return course.finetune(self, corpus, output, **about, **options)

    # === Folder ===

    def save(self, folder: str | os.PathLike, int8: bool = False) -> None:
        """Write a task folder, whole or not at all; an older one at the same place is replaced.

        Its card is that of ``own_card``; a calibration of other weights is left out, and forgotten.

        Args:
            folder: its path.
            int8: store matrices in 8 bits, half of what they take else.
        """
        from safetensors.numpy import save

        self.drop_stale_calibration()
        stored, card = {}, self.own_card()
        for path, value in self.weights().items():
            half = value.astype("float16")
            if int8 and value.ndim > 1:
                stored[path], stored[path + _SCALE] = _in_8_bits(value)
            else:
                stored[path] = half if np.isfinite(half).all() else value  # beyond what float16 holds
        with files.atomic_folder(folder, marker="config.json") as new:
            new = Path(new)
            config = {"task": self.name, "config": dataclasses.asdict(self.config)}
            _write_json(new / "config.json", config)
            _write_json(new / "vocabulary.json", self.vocabulary.to_json())
            (new / "weights.safetensors").write_bytes(save(stored))
            if card.get("text"):
                (new / "card.md").write_text(card["text"], encoding="utf-8")
            for name, data in self.assets.items():
                (new / name).write_bytes(data)
            listed = sorted(path.name for path in new.iterdir())
            about = {"name": Path(folder).name, "task": self.name}
            about |= {key: value for key, value in card.items() if key != "text"}
            about["parameters"] = int(self.network.count_params())
            about["size_bytes"] = sum((new / name).stat().st_size for name in listed)
            about["files"] = {name: files.sha256(new / name) for name in listed}
            _write_json(new / "preset.json", about)

    # === What a subclass defines ===

    def build_network(self) -> keras.Model:
        """A functional ``keras.Model``, usable on its own."""
        raise NotImplementedError

    @property
    def serving(self) -> Serving:
        """The ``Serving`` of this task."""
        raise NotImplementedError

    # === Reading ===

    @functools.cached_property
    def compiled_serve(self) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """``serving.function`` on a dict of NumPy arrays, compiled as the backend can."""
        serving = self.serving
        return compiled(
            self.network, serving.function, serving.inputs, serving.outputs, self.rounded, self.static
        )

    @functools.cached_property
    def reader(self) -> Reader:
        """What reads with this task: the family's ``zoo.contract.reader.Reader``."""

        def run(inputs):
            return {name: np.asarray(value) for name, value in self.compiled_serve(inputs).items()}

        return self._reader(run)

    def _reader(self, run):
        assets = {name: data.decode() for name, data in self.assets.items()}
        config, metadata = dataclasses.asdict(self.config), {"task": self.name}
        return registry.reader_class(self.name)(run, config, self.vocabulary, assets, metadata)


_FEATURES, _LENGTHS = "features of the encoder", "lengths of the features"  # among the outputs
_SCALE = ":scale"  # behind the name of weights in 8 bits: what they are to be multiplied with


def _in_8_bits(value):
    """Weights as int8, and their float32 scales along the axis where that is the most exact.

    A scale has four significant bits, so that its products with them are float16, too: a task that was loaded
    from int8 and is saved as float16 stays the same.
    """
    tries = []
    for kept in range(value.ndim):
        others = tuple(axis for axis in range(value.ndim) if axis != kept)
        fraction, exponent = np.frexp(np.abs(value).max(others, keepdims=True) / 127 + 2**-20)
        scale = np.ldexp(np.ceil(fraction * 16) / 16, exponent).astype("float32")
        rounded = np.round(value / scale)
        tries.append((np.square(rounded * scale - value).sum(), rounded.astype("int8"), scale))
    return min(tries, key=lambda one: one[0])[1:]


def _write_json(path, data):
    text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def make_config(cls: type, values: dict[str, Any]) -> Any:
    """A config dataclass from JSON values: lists become tuples, unknown names are an error."""

    def freeze(value):
        return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value

    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            f"Unknown configuration field {unknown[0]!r}; the fields are {', '.join(sorted(known))}."
        )
    return cls(**{name: freeze(value) for name, value in values.items()})


def load(name: str | os.PathLike) -> Task:
    """Load a task from a preset's name, a task or run folder, or an address with its sha256."""
    task = load_folder(hub.find(name))
    task.source = name
    return task


def load_folder(folder: str | os.PathLike) -> Task:
    """Load a task from a verified task folder.

    Raises:
        UserError: a file is missing or cannot be read as what it should be.
    """
    from safetensors.numpy import load as load_tensors

    folder = Path(folder)
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        cls = registry.task_class(stored["task"])
        listed = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        vocabulary = cls.Vocabulary.from_json(listed)
        weights = load_tensors((folder / "weights.safetensors").read_bytes())
        config = make_config(cls.Config, stored["config"])
    except UserError:
        raise
    except Exception as error:  # whatever a broken file makes of JSON or safetensors
        raise UserError(f"{folder} is no readable task folder ({error}); fetch or train it again.") from error
    card = {key: value for key, value in hub.info(folder).items() if key not in _DERIVED}
    if (folder / "card.md").is_file():
        card["text"] = (folder / "card.md").read_text(encoding="utf-8")
    listed = set(hub.info(folder)["files"]) - {*hub.REQUIRED, "card.md"}
    task = cls(config, vocabulary, card, {name: (folder / name).read_bytes() for name in sorted(listed)})
    task.set_weights(
        {
            path: value * weights[path + _SCALE] if path + _SCALE in weights else value
            for path, value in weights.items()
        }
    )
    task.card[cards.LOADED] = {"name": hub.title(folder), "weights_sha256": task.weights_sha256()}
    return task


_DERIVED = ("name", "task", "parameters", "size_bytes", "files")
