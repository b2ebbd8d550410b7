"""Batches are the same wherever samples are kept, and hold all that is needed of them."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.pipeline import Pipeline
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import load_lines


def arrays(batches):
    """All that batches hold, as a flat list."""
    return [np.asarray(value) for batch in batches for value in tf.nest.flatten(batch)]


def same(some, others):
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def pipeline(small_reader, line_folder, tmp_path):
    """A function that makes one of twenty lines, five of them shown twice an epoch."""
    corpus = load_lines([f"{line_folder}@2", shutil.copytree(line_folder, tmp_path / "more" / "lines")])
    corpus = corpus.select(lambda name: ("book1" in name) == name.startswith("lines/"))

    def make(**options):
        return Pipeline(small_reader, corpus, 4, **options)

    return make


@pytest.mark.slow
def test_batches_do_not_depend_on_where_samples_are_kept(pipeline, tmp_path):
    kept = [pipeline(cache=cache) for cache in ("memory", "none", tmp_path / "kept")]
    assert {(data.count, data.steps) for data in kept} == {(25, 7)}
    epochs = [arrays(data.epoch(3, seed=5)) for data in kept]
    same(epochs[0], epochs[1])
    same(epochs[0], epochs[2])
    once = [arrays(data.once()) for data in kept]
    same(once[0], once[1])
    same(once[0], once[2])
    again = arrays(pipeline(cache=str(tmp_path / "kept")).epoch(3, seed=5))  # the file is there already
    same(epochs[0], again)
    other = arrays(kept[1].epoch(4, seed=5))
    assert any(one.shape != two.shape or (one != two).any() for one, two in zip(again, other, strict=True))


def test_a_file_with_other_things_is_left_alone(pipeline, tmp_path, small_reader, line_folder):
    (tmp_path / "notes.txt").write_text("mine" * 100)
    with pytest.raises(UserError, match=r"notes\.txt holds other things than these samples"):
        pipeline(cache=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine" * 100
    pipeline(cache=tmp_path / "kept")
    for times, only in ((4, "book1"), (5, "book2")):  # fewer samples; others
        corpus = load_lines([f"{line_folder}@{times}"], only=only)
        with pytest.raises(UserError, match="kept holds other things"):
            Pipeline(small_reader, corpus, 4, cache=tmp_path / "kept")


def test_every_sample_comes_once(pipeline, small_reader):
    data = pipeline()
    lengths = np.concatenate([labels["label_lengths"] for _, labels in data.epoch(0, augment=False)])
    texts = np.concatenate([labels["label_lengths"] for _, labels in data.once()])
    assert len(texts) == 25 and len(lengths) == 25
    assert sorted(lengths) == sorted(texts)


class Strokes:
    """A task whose samples have two dimensions, and its corpus."""

    def __init__(self, lengths=(5, 3, 9)):
        self.lengths = lengths

    def shown(self):
        return len(self.lengths)

    def corpus_lengths(self, corpus):
        return np.array(self.lengths)

    def dataset(self, repeat):
        def samples():
            for length in self.lengths:
                yield {"strokes": np.ones((length, 3), "float32"), "label": np.int32(length)}

        spec = {"strokes": tf.TensorSpec((None, 3)), "label": tf.TensorSpec((), tf.int32)}
        return tf.data.Dataset.from_generator(samples, output_signature=spec)

    def encode_sample(self, sample):
        return sample

    def augment_sample(self, sample, seed):
        """Every other becomes too short."""
        return sample | {"strokes": sample["strokes"][: tf.where(seed[0] % 2 == 0, 1, 100)]}

    def sample_length(self, sample):
        return tf.shape(sample["strokes"])[0]

    def is_learnable(self, sample):
        return tf.shape(sample["strokes"])[0] > 1

    def collate(self, batch, round_to):
        return batch


def test_the_length_of_a_sequence_is_its_first_axis():
    (batch,) = Pipeline(Strokes(), Strokes(), 4).once()
    assert batch.keys() == {"strokes", "label", "stroke_lengths"}  # a label has no length
    np.testing.assert_array_equal(batch["stroke_lengths"], batch["label"])
    assert batch["strokes"].shape == (3, 9, 3)


@pytest.mark.parametrize("augment", [True, False])
def test_what_cannot_be_learned_is_left_out_and_counted(augment):
    task = Strokes(lengths=[5, 6] * 8)
    data = Pipeline(task, task, 4)
    batches = list(data.epoch(0, augment=augment).as_numpy_iterator())
    assert len(batches) == data.steps == 4
    assert all((batch["stroke_lengths"] > 1).all() for batch in batches)
    # The half that is left comes a second time: those that fell away are counted once.
    assert len(data.left_out) == (8 if augment else 0)


MEMORY = """
import re, sys, tensorflow as tf
sys.path.insert(0, sys.argv[2])
from test_pipeline import Pipeline, Strokes

def peak():  # in MB; what `resource` says is also of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

class Large(Strokes):
    def dataset(self, repeat):
        return tf.data.Dataset.range(len(self.lengths)).map(self.at(repeat))

    def at(self, repeat):
        label = tf.constant(1)
        return lambda number: {"strokes": tf.fill((100_000, 3), tf.cast(number, tf.float32)), "label": label}

task = Large(lengths=[100_000] * 500)
before = peak()
for _ in Pipeline(task, task, 2, cache=sys.argv[1]).epoch(0, augment=False):
    pass
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the memory")
@pytest.mark.parametrize("cache", ["none", "kept"])
def test_samples_that_are_not_kept_need_no_memory(cache, tmp_path):
    """Of 500 samples of 1.2 MB, 600 MB in all."""
    command = [sys.executable, "-c", MEMORY, cache, str(Path(__file__).parent)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 200
