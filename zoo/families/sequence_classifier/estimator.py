"""A sequence classifier with the methods of scikit-learn's and aeon's: fit, predict, predict_proba, score.

from zoo.families.sequence_classifier.estimator import SequenceEstimator

model = SequenceEstimator(epochs=60, random_state=0).fit(X_train, y_train)   # X [cases, channels, time]
model.score(X_test, y_test)
model.task_.save("activity")                                                 # a task folder, to be exported
"""

from __future__ import annotations

import zoo.silent  # noqa: F401

# isort: split
import random
from typing import Any

import keras
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from zoo.contract import card as cards
from zoo.contract.task import make_config
from zoo.data.pipeline import Pipeline
from zoo.families.sequence_classifier.network import SequenceClassifier, SequenceClassifierConfig
from zoo.families.sequence_classifier.vocabulary import SequenceVocabulary, default_names


class SequenceEstimator(ClassifierMixin, BaseEstimator):
    """A recurrent classifier of series, an estimator as scikit-learn defines them.

    ``X`` is ``[cases, channels, time]``, as aeon has it, ``[cases, time]`` of one channel, or a list of
    arrays ``[channels, time]`` of several lengths; NaN is missing. ``y`` is ``[cases]``.

    Args:
        epochs: passes over the training data; the learning rate falls to zero at the end of the last.
        batch_size: series a step.
        learning_rate: learning rate of Adam at its height.
        augment: vary the training series, as ``config`` says.
        class_weight: "balanced", labels count alike; ``{class: weight}``; or None.
        random_state: int, ``numpy.random.RandomState`` or None.
        config: dict, fields of ``SequenceClassifierConfig`` that are not to be as by default.

    Attributes:
        classes_: the labels, in the order of ``predict_proba``.
        task_: the ``SequenceClassifier``, to be saved and exported.
    """

    def __init__(
        self, epochs: int = 60, batch_size: int = 16, learning_rate: float = 3e-3, augment: bool = True,
        class_weight: dict | str | None = None, random_state: int | np.random.RandomState | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.augment, self.class_weight, self.random_state, self.config = (
            augment, class_weight, random_state, config,
        )  # fmt: skip

    def fit(self, X: Any, y: Any) -> SequenceEstimator:
        if y is None:
            raise ValueError("A classifier requires y to be passed, but the target y is None.")
        series, y = self._series(X, y)
        self.classes_, rows = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"There is one class, {self.classes_[0]!r}; give series of two or more.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        states = random.getstate(), np.random.get_state()  # which Keras sets, too
        keras.utils.set_random_seed(seed)
        try:
            self._learn(series, rows, seed)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
        return self

    def _learn(self, series, rows, seed):
        names = [str(label) for label in self.classes_]
        if len(set(names)) < len(names) or not all(names):
            names = [str(i) for i in range(len(names))]
        vocabulary = SequenceVocabulary(default_names(series[0].shape[1]), names)
        corpus = _Series(series, [names[row] for row in rows], vocabulary.channels)
        task = SequenceClassifier(make_config(SequenceClassifierConfig, self.config or {}), vocabulary)
        task = task.with_statistics(corpus)
        if self.class_weight == "balanced":
            task.label_weights[:] = len(rows) / (len(names) * np.bincount(rows))
        elif self.class_weight:
            task.label_weights[:] = [self.class_weight.get(label, 1.0) for label in self.classes_]
        data = Pipeline(task, corpus, self.batch_size)
        steps = max(1, data.steps * self.epochs)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - steps // 30),
            warmup_target=self.learning_rate,
            warmup_steps=max(1, steps // 30),
        )
        model = task.training_model()
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
        for epoch in range(self.epochs):
            batches = data.epoch(epoch, seed, self.augment)
            model.fit(batches, steps_per_epoch=data.steps, shuffle=False, verbose=0)
        task.card = self._card(series, names, vocabulary.channels)
        self.n_iter_, self.task_ = self.epochs, task

    def _card(self, series, names, channels):
        """What the saved task says of itself: as a run's card, without figures, since nothing is held out."""
        lengths, command = [len(one) for one in series], f"{self!r}.fit(X, y)"
        steps = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else f"{lengths[0]}"
        what = f"Labels sequences of numbers; taught {len(series):,} series in Python, from nothing."
        text = f"""# sequence_classifier

{what}

## Figures

None: all series were learned, none held out. To measure it on others: `score`, or `zoo evaluate`.

## Data

- learned: {len(series):,} series of {steps} steps; channels: {", ".join(channels)}
- labels: {", ".join(names)}

{cards.how_made("From nothing", command)}
## Licence

{cards.NO_PRESET}
"""
        about = {"description": what, "licence": cards.NOT_STATED, "date": cards.today()}
        return about | {"training_command": command, "text": text}

    def predict_proba(self, X: Any) -> np.ndarray:
        """float ``[cases, classes]``."""
        check_is_fitted(self)
        series, _ = self._series(X)
        names = self.task_.vocabulary.channels
        found = self.task_.predict([(names, one) for one in series], details=True)
        values = np.array([list(one.probabilities.values()) for one in found], np.float64)
        return values / values.sum(1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def _series(self, X, y=None):
        """A list of float32 ``[time, channels]``, and ``y``."""
        if isinstance(X, list | tuple) and X and getattr(X[0], "ndim", 0) == 2:
            if y is not None:
                check_classification_targets(y)
                if len(y) != len(X):
                    raise ValueError(f"There are {len(X)} series and {len(y)} labels.")
                self.n_features_in_ = X[0].shape[0]
            channels = {one.shape[0] for one in X}
            if channels != {self.n_features_in_}:
                raise ValueError(f"The series have {sorted(channels)} channels; give {self.n_features_in_}.")
            return [np.asarray(one, np.float32).T for one in X], None if y is None else np.asarray(y)
        options = {"dtype": np.float32, "allow_nd": True, "ensure_all_finite": "allow-nan"}
        if y is None:
            X = validate_data(self, X, reset=False, **options)
        else:
            X, y = validate_data(self, X, y, **options)
            check_classification_targets(y)
        X = X[:, None] if X.ndim == 2 else X
        return list(np.ascontiguousarray(X.transpose(0, 2, 1))), y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())
        if task := state.pop("task_", None):
            state["task"] = task.config, task.vocabulary.to_json(), task.weights(), task.card
        return state

    def __setstate__(self, state):
        stored = state.pop("task", None)
        super().__setstate__(state)
        if stored:
            config, vocabulary, weights, card = stored
            self.task_ = SequenceClassifier(config, SequenceVocabulary.from_json(vocabulary), card)
            self.task_.set_weights(weights)


class _Series:
    """Series in memory as ``zoo.data.pipeline`` takes samples."""

    def __init__(self, series, labels, channels):
        self.series, self.labels, self.channels = series, labels, channels
        self.lengths = np.array([len(one) for one in series])

    def shown(self):
        return len(self.series)

    def chunks(self, size):
        yield [(self.channels, one) for one in self.series], self.labels

    def dataset(self, repeat=False):
        import json

        import tensorflow as tf

        channels = json.dumps(self.channels)

        def samples():
            for values, label in zip(self.series, self.labels, strict=True):
                yield {"values": values, "channels": channels, "label": label}

        text = tf.TensorSpec((), tf.string)
        values = tf.TensorSpec((None, len(self.channels)), tf.float32)
        return tf.data.Dataset.from_generator(
            samples, output_signature={"values": values, "channels": text, "label": text}
        )
