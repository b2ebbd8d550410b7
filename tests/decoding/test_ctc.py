import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.decoding.ctc import align, ctc_loss, frames_needed, greedy_decode


def brute_force(logits, label):
    """-log of the summed probability of every path that spells ``label``."""
    probability = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        spelled = [k for k, _ in itertools.groupby(path) if k]
        if spelled == label:
            total += np.prod(probability[np.arange(len(path)), path])
    return -np.log(total)


@pytest.mark.parametrize("label", [[1], [1, 2], [1, 1], [2, 1, 2]])
def test_loss_is_the_sum_over_paths(label):
    logits = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    lengths = np.array([5, 3 if len(label) < 3 else 6], "int32")
    labels = np.array([label, label], "int32")
    loss = ctc_loss(labels, np.array([len(label)] * 2, "int32"), ops.convert_to_tensor(logits), lengths)
    wanted = [brute_force(logits[i, : lengths[i]], label) for i in range(2)]
    np.testing.assert_allclose(np.asarray(loss), wanted, rtol=1e-4)


def test_a_loss_is_finite_however_sure_the_network_is_of_something_else():
    logits = np.zeros((1, 4, 3), "float32")
    logits[..., 2] = 1000
    labels, one = np.array([[1]], "int32"), np.array([1], "int32")
    loss = np.asarray(ctc_loss(labels, one, ops.convert_to_tensor(logits), np.array([4], "int32")))
    assert 80 < loss[0] < np.inf


def test_a_loss_where_there_is_a_gpu(monkeypatch):
    """It is TensorFlow's to give to cuDNN, but of more labels than cuDNN takes: that is kept on the CPU."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX has one loss")
    random, kept = np.random.default_rng(0), []
    logits = tf.constant(random.normal(size=(2, 700, 5)), tf.float32)
    labels = random.integers(1, 5, (2, 300)).astype("int32")

    def device(name, tf_device=tf.device):
        kept.append(name)
        return tf_device(name)

    def loss_and_gradient(count):
        given = labels * (np.arange(300) < [[3], [count]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = ctc_loss(tf.constant(given), tf.constant([3, count]), logits, tf.constant([9, 650]))
        return loss, tape.gradient(loss, logits)

    wanted = {count: loss_and_gradient(count) for count in (255, 256)}
    monkeypatch.setattr("zoo.decoding.ctc.visible_gpus", lambda: ["a GPU"])
    monkeypatch.setattr(tf, "device", device)
    for count, devices in ((255, []), (256, ["CPU"])):
        for value, same in zip(loss_and_gradient(count), wanted[count], strict=True):
            np.testing.assert_array_equal(value, same)
        assert kept == devices


def test_greedy_decode_against_groupby():
    random = np.random.default_rng(1)
    batch, time, classes = 40, 13, 4
    best = random.integers(0, classes, (batch, time))
    lengths = random.integers(0, time + 1, batch).astype("int32")
    log_probs = np.full((batch, time, classes), -5.0, "float32") + random.random((batch, time, classes)) * 0.1
    peak = random.uniform(-1, 0, (batch, time))
    np.put_along_axis(log_probs, best[:, :, None], peak[:, :, None].astype("float32"), axis=2)
    read = {
        key: np.asarray(value) for key, value in greedy_decode(log_probs.astype("float32"), lengths).items()
    }
    for i in range(batch):
        runs = []  # (class, first, last)
        for t in range(lengths[i]):
            if best[i, t] == 0:
                continue
            if t and best[i, t] == best[i, t - 1]:
                runs[-1][2] = t
            else:
                runs.append([best[i, t], t, t])
        n = len(runs)
        assert read["label_lengths"][i] == n
        assert read["labels"][i, :n].tolist() == [run[0] for run in runs]
        assert not read["labels"][i, n:].any()
        assert read["first_frame"][i, :n].tolist() == [run[1] for run in runs]
        assert read["last_frame"][i, :n].tolist() == [run[2] for run in runs]
        peaks = [np.exp(peak[i, a : b + 1]).max() for _, a, b in runs]
        assert read["probabilities"][i, :n].tolist() == pytest.approx(peaks, abs=1e-4)
        assert read["confidence"][i] == pytest.approx(np.prod(peaks) if peaks else 0.0, abs=1e-4)


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], [1, 1, 2, 2]])
def test_alignment_is_the_likeliest_path(labels):
    random = np.random.default_rng(len(labels))
    for frames in range(frames_needed(labels), 7):
        log_probs = np.log(random.dirichlet(np.ones(3), frames))

        def score(path, log_probs=log_probs):
            return log_probs[np.arange(len(path)), path].mean()

        paths = [
            path
            for path in itertools.product(range(3), repeat=frames)
            if [label for label, _ in itertools.groupby(path) if label] == labels
        ]
        best = max(paths, key=score)
        runs, at = [], 0
        for label, run in itertools.groupby(best):
            length = len(list(run))
            runs += [[at, at + length - 1]] if label else []
            at += length
        found, mean = align(log_probs, labels)
        assert found.tolist() == runs and mean == pytest.approx(score(best))


def test_too_few_frames_have_no_alignment():
    with pytest.raises(ValueError, match="2 frames cannot spell 2 labels"):
        align(np.zeros((2, 3)), [1, 1])
