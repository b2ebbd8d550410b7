"""Records on disk that can be read in any order, so that shuffled samples need not be in memory.

The files are TFRecord's, of which TensorFlow reads one record after the other only: each is 8 bytes with its
length, 4 with a checksum of that, the record, and 4 with its checksum.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo import files
from zoo.data.late import tf


class Records:
    """Records of some files by their number.

    Args:
        parts: ``(path, first, count)`` of each file: so many of its records, None for all, from the number
            ``first`` on.
    """

    def __init__(self, parts: Sequence) -> None:
        self._paths = [str(path) for path, _, _ in parts]
        places = [_places(path)[first:][:count] for path, first, count in parts]
        self._file = np.repeat(np.arange(len(parts)), [len(some) for some in places])
        self._places = np.concatenate(places)

    def __len__(self):
        return len(self._places)

    def __getitem__(self, number):
        at, size = self._places[number].tolist()
        with open(self._paths[self._file[number]], "rb") as file:
            file.seek(at)
            return file.read(size)

    def tensor(self, number: Any) -> Any:
        """An int64 scalar in tf.data -> the record, a scalar string."""
        return tf.ensure_shape(tf.numpy_function(self.__getitem__, [number], tf.string, stateful=False), ())


def _places(path):
    """First byte and length of each record of a file: int64 ``[records, 2]``. ValueError if it has others."""
    found, at, end = [], 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while at < end:
            size = int.from_bytes(file.read(8), "little")
            found.append((at + 12, size))
            at += size + 16
            if at > end:
                raise ValueError(f"{path} is cut off, or holds no records")
            file.seek(at)
    return np.array(found, np.int64).reshape(-1, 2)


# === Samples as records ===


def write(path: str | os.PathLike, samples: tf.data.Dataset) -> None:
    """Write a ``tf.data.Dataset`` of samples, dicts of tensors, as records, whole or not at all."""
    with files.atomic_write(path) as file, tf.io.TFRecordWriter(file.name) as writer:
        for record in samples.map(_packed, tf.data.AUTOTUNE, deterministic=True).as_numpy_iterator():
            writer.write(record)


def _packed(sample):
    return tf.io.serialize_tensor(tf.stack([tf.io.serialize_tensor(sample[name]) for name in sorted(sample)]))


def unpacked(record: bytes, spec: dict[str, Any]) -> dict[str, Any]:
    """A record of ``write`` -> the sample; ``spec`` is the ``element_spec`` of its dataset."""
    parts = tf.io.parse_tensor(record, tf.string)
    return {
        name: tf.ensure_shape(tf.io.parse_tensor(parts[i], spec[name].dtype), spec[name].shape)
        for i, name in enumerate(sorted(spec))
    }
