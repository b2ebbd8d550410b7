"""Records in any order are those that TensorFlow reads one after the other."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import records


@pytest.fixture
def shards(tmp_path):
    """Two files, and their records; some are empty."""
    found = []
    for i, sizes in enumerate([(3, 0, 100_000), (1, 2)]):
        with tf.io.TFRecordWriter(str(tmp_path / str(i))) as writer:
            for size in sizes:
                found.append(bytes(np.random.default_rng(size).integers(0, 256, size, np.uint8)))
                writer.write(found[-1])
    return [tmp_path / "0", tmp_path / "1"], found


def test_any_record(shards):
    paths, wanted = shards
    found = records.Records([(path, 0, None) for path in paths])
    assert len(found) == 5
    for number in (4, 0, 2, 1, 3):
        assert found[number] == wanted[number]
    some = records.Records([(paths[1], 1, 1), (paths[0], 0, 2)])
    assert [some[i] for i in range(len(some))] == [wanted[4], wanted[0], wanted[1]]


def test_in_tf_data(shards):
    paths, wanted = shards
    found = records.Records([(path, 0, None) for path in paths])
    data = tf.data.Dataset.from_tensor_slices(np.array([3, 3, 2])).map(found.tensor)
    assert list(data.as_numpy_iterator()) == [wanted[3], wanted[3], wanted[2]]


def test_samples_come_back_as_they_were(tmp_path):
    def samples():
        for i in range(3):
            yield {"b": np.full((i, 2), i, "float16"), "a": np.int32(i), "c": f"ä{i}"}

    spec = {
        "b": tf.TensorSpec((None, 2), tf.float16), "a": tf.TensorSpec((), tf.int32),
        "c": tf.TensorSpec((), tf.string),
    }  # fmt: skip
    data = tf.data.Dataset.from_generator(samples, output_signature=spec)
    records.write(tmp_path / "kept", data)
    kept = records.Records([(tmp_path / "kept", 0, None)])
    found = tf.data.Dataset.range(3).map(lambda i: records.unpacked(kept.tensor(i), spec))
    assert found.element_spec == spec
    for one, other in zip(found.as_numpy_iterator(), data.as_numpy_iterator(), strict=True):
        assert one["a"] == other["a"] and one["c"] == other["c"]
        np.testing.assert_array_equal(one["b"], other["b"])


def test_nothing_is_left_of_samples_that_fail(tmp_path):
    def samples():
        yield {"a": 1}
        raise ValueError("broken")

    data = tf.data.Dataset.from_generator(samples, output_signature={"a": tf.TensorSpec((), tf.int32)})
    with pytest.raises(tf.errors.InvalidArgumentError):
        records.write(tmp_path / "kept", data)
    assert not list(tmp_path.iterdir())
