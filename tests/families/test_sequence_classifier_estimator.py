"""The estimator of sequence classifiers passes scikit-learn's own checks, and labels series."""

import pickle

import keras
import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from zoo import hub  # noqa: E402
from zoo.contract import card as cards  # noqa: E402
from zoo.families.sequence_classifier.estimator import SequenceEstimator  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it would compile for minutes"),
]
SMALL = {"units": 8, "filters": (8,), "dropout": 0.0}


# All 55 checks of scikit-learn 1.9 take a quarter of an hour; these are some that train little.
CHECKS = (
    "cloneable tags repr no_attributes takes_y unfitted raise_errors mixin "
    "complex empty_data one_label 2d_1sample parameters get_params set_params requires_y"
).split()
SMALLEST = SequenceEstimator(epochs=2, random_state=0, config=SMALL)


@parametrize_with_checks([SMALLEST])
def test_checks_of_scikit_learn(estimator, check):
    name = getattr(check, "func", check).__name__
    if not any(part in name for part in CHECKS):
        pytest.skip("trains long")
    check(estimator)


def waves(count=24, seed=0):
    random = np.random.default_rng(seed)
    time, label = np.arange(30), np.arange(count) % 2
    x = np.sin(time * (0.3 + 0.5 * label[:, None]) + random.uniform(0, 6, (count, 1)))
    return np.stack([x, random.normal(size=x.shape)], 1).astype("float32"), np.array(["slow", "fast"])[label]


def test_series_of_channels(tmp_path):
    import zoo

    x, y = waves()
    x[0, 0, 3:6] = np.nan
    model = SequenceEstimator(
        epochs=25, learning_rate=0.02, random_state=1, config=SMALL | {"pooling": "max"}
    )
    fitted = clone(model).set_params(class_weight="balanced").fit(x, y)
    assert fitted.score(x, y) == 1 and list(fitted.classes_) == ["fast", "slow"]
    probabilities = fitted.predict_proba(x)
    assert probabilities.shape == (24, 2) and (fitted.predict(x) == y).all()
    ragged = [one[:, : 20 + i % 9] for i, one in enumerate(x)]
    assert clone(model).set_params(epochs=1).fit(ragged, y).predict(ragged).shape == y.shape
    with pytest.raises(ValueError, match="channels; give 2"):
        fitted.predict([one[:1] for one in ragged])
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_allclose(copy.predict_proba(x), probabilities, atol=1e-6)
    for number, one in enumerate((fitted, copy)):
        folder = tmp_path / f"waves{number}"
        one.task_.save(folder)
        assert zoo.load(folder).predict(x[1].T) == [y[1]]
        about, text = hub.info(folder), hub.card(folder)
        assert "24 series of 30 steps; channels: " in text and "labels: fast, slow" in text
        assert about["training_command"] in text and "random_state=1" in about["training_command"]
        assert about["licence"] == cards.NOT_STATED and about["date"] == cards.today() in text
        assert "figures" not in about
