import dataclasses
import types

import keras
import numpy as np
import pytest
from PIL import Image

from export import runtime
from zoo.contract import task as tasks
from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
from zoo.layers import KINDS
from zoo.text.characters import Vocabulary


def read(task, images):
    image, size = runtime.pad_lines([i[:, :, None] if i.ndim == 2 else i for i in images])
    served = task.compiled_serve({"image": image, "size": size})
    return {key: np.asarray(value) for key, value in served.items()}


@pytest.fixture
def normalised_reader(small_reader):
    """The same network, its convolutions normalised by some means and variances."""
    config = dataclasses.replace(small_reader.config, batch_norm=True)
    task, random = LineOcr(config, small_reader.vocabulary), np.random.default_rng(0)
    moving = {"moving_mean", "moving_variance", "gamma", "beta"}
    weights = {
        path: random.uniform(0.2, 1.5, value.shape) if path.rpartition("/")[2] in moving else value
        for path, value in task.weights().items()
    }
    task.set_weights(weights)
    return task


@pytest.mark.parametrize("which", ["small_reader", "normalised_reader"])
def test_padding_never_changes_a_result(which, request, draw_line, some_texts):
    small_reader = request.getfixturevalue(which)
    random = np.random.default_rng(0)
    images = [draw_line(text, size=random.integers(12, 40)) for text in some_texts[:7]]
    together = read(small_reader, images)
    image, size = runtime.pad_lines([i[:, :, None] for i in images])
    noise = random.integers(0, 256, (len(images), image.shape[1] + 13, image.shape[2] + 101, 1)).astype(
        "uint8"
    )
    for row, (height, width), one in zip(noise, size, images, strict=True):
        row[:height, :width, 0] = one
    padded = small_reader.compiled_serve({"image": noise, "size": size})
    padded = {key: np.asarray(value) for key, value in padded.items()}
    for i, one in enumerate(images):
        alone = read(small_reader, [one])
        frames = alone["lengths"][0]
        for other in (together, padded):
            assert other["lengths"][i] == frames
            np.testing.assert_allclose(other["log_probs"][i, :frames], alone["log_probs"][0], atol=2e-4)
            count = alone["label_lengths"][0]
            assert other["label_lengths"][i] == count
            np.testing.assert_array_equal(other["labels"][i, :count], alone["labels"][0, :count])
            np.testing.assert_allclose(other["ends"][i, :count], alone["ends"][0, :count], rtol=1e-5)


@pytest.mark.parametrize("height", [24, 48, 55, 120, 11])
def test_resampling_is_the_mean_over_areas(small_reader, height):
    random = np.random.default_rng(height)
    width = height * 4
    blobs = np.repeat(np.repeat(random.random((height // 5 + 1, width // 5 + 1)) < 0.3, 5, 0), 5, 1)
    line = np.where(blobs[:height, :width], 40, 200).astype("uint8")
    if height >= 24:  # the mean over areas, exactly: each pixel cut into 24 x 24, then whole blocks
        cut = np.repeat(np.repeat(line, 24, 0), 24, 1)
        wanted = cut.reshape(24, height, 96, height).mean((1, 3)).T
    else:
        wanted = np.asarray(Image.fromarray(line).resize((96, 24), Image.Resampling.BILINEAR), float).T
    image, frames = small_reader.preprocess(line[None, :, :, None], np.array([line.shape], "int32"))
    image = np.asarray(image)[0, :, :, 0]
    assert image.shape == wanted.shape and int(frames[0]) == 96 // 4
    # Ink is 1 and paper 0 at the means of each, beyond which it is clipped.
    straight = (image > 0.05) & (image < 0.95)
    if straight.any():
        scale, offset = np.polyfit(wanted[straight], image[straight], 1)
        np.testing.assert_allclose(image, np.clip(scale * wanted + offset, 0, 1), atol=0.02)
    else:
        np.testing.assert_array_equal(image > 0.5, wanted < 120)


def test_the_frames_of_a_sample_are_those_that_the_network_makes(small_reader):
    """Were there more, a text that they suffice for would have an infinite loss."""
    random = np.random.default_rng(0)
    size = np.stack([random.integers(7, 90, 300), random.integers(20, 600, 300)], 1).astype("int32")
    _, wanted = small_reader.preprocess(np.zeros((300, 90, 600, 1), "uint8"), size)
    corpus = types.SimpleNamespace(shapes=size)
    np.testing.assert_array_equal(small_reader.frames(small_reader.corpus_lengths(corpus)), wanted)
    for (height, width), frames in zip(size, np.asarray(wanted), strict=True):
        sample = {"image": np.zeros((height, width, 1), "uint8")}
        assert int(small_reader.frames(small_reader.sample_length(sample))) == frames
        enough = {"labels": np.arange(1, frames + 1)}
        assert small_reader.is_learnable(sample | enough)
        # One label more, or a blank between two that are equal.
        for labels in (np.arange(1, frames + 2), np.r_[1, 1:frames]):
            assert not small_reader.is_learnable(sample | {"labels": labels})


def test_polarity_contrast_and_colour_do_not_matter(small_reader, draw_line):
    line = draw_line("five wizards", size=26)

    def prepared(image):
        image = image[:, :, None] if image.ndim == 2 else image
        return np.asarray(small_reader.preprocess(image[None], np.array([image.shape[:2]], "int32"))[0])

    plain = prepared(line)
    np.testing.assert_allclose(prepared(255 - line), plain, atol=0.02)
    np.testing.assert_allclose(prepared((line * 0.5 + 60).astype("uint8")), plain, atol=0.02)
    np.testing.assert_allclose(prepared(np.repeat(line[:, :, None], 3, 2)), plain, atol=1e-5)


def test_blank_line_reads_as_nothing_drawn(small_reader):
    image, _ = small_reader.preprocess(np.full((1, 30, 90, 1), 200, "uint8"), np.array([[30, 90]], "int32"))
    assert not np.asarray(image).any()


@pytest.mark.parametrize("filters", [(), (8, 8, 8)])
def test_frames_follow_the_strides(filters):
    task = LineOcr(LineOcrConfig(height=16, filters=filters, units=(8,)), Vocabulary("ab"))
    image = np.zeros((1, 16, 100, 1), "uint8")
    columns, frames = task.preprocess(image, np.array([[16, 100]], "int32"))
    logits = task.network({"image": columns, "frames": frames})
    assert logits.shape == (1, 100 // task.config.columns_per_frame, 3)
    assert task.config.columns_per_frame == (4 if filters else 1)


@pytest.mark.parametrize("cell", KINDS)
def test_cells(cell):
    task = LineOcr(LineOcrConfig(height=16, filters=(), units=(6, 4), cell=cell), Vocabulary("ab"))
    inputs = {"image": np.zeros((2, 9, 16, 1), "float32"), "frames": np.array([9, 4], "int32")}
    assert task.network(inputs).shape == (2, 9, 3)


def test_save_and_load_give_the_same_reading(small_reader, tmp_path, draw_line):
    small_reader.save(tmp_path / "reader")
    loaded = tasks.load(tmp_path / "reader")
    assert loaded.config == small_reader.config and loaded.vocabulary == small_reader.vocabulary
    for path, value in small_reader.weights().items():
        np.testing.assert_allclose(loaded.weights()[path], value, atol=2e-3)
    loaded.save(tmp_path / "again")
    again = tasks.load(tmp_path / "again")
    line = draw_line("over a lazy dog")
    assert again.predict(line, details=True) == loaded.predict(line, details=True)


def test_stored_in_8_bits(small_reader, tmp_path, draw_line):
    """Each weight is within a step of its row or column, and what is loaded is the same when saved again."""
    small_reader.save(tmp_path / "float16")
    small_reader.save(tmp_path / "int8", int8=True)
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("float16", "int8")]
    assert sizes[1] < 0.65 * sizes[0]
    loaded = tasks.load(tmp_path / "int8")
    for path, value in small_reader.weights().items():
        np.testing.assert_allclose(loaded.weights()[path], value, atol=np.abs(value).max() / 200 + 1e-6)
    loaded.save(tmp_path / "again")
    line = draw_line("over a lazy dog")
    again = tasks.load(tmp_path / "again").predict(line, details=True)
    assert again == loaded.predict(line, details=True)


def test_new_alphabet_keeps_shared_rows(small_reader):
    old = small_reader.vocabulary
    new = Vocabulary(["ß", *reversed(old.characters[2:]), "é"])
    adapted = small_reader.with_vocabulary(new)
    before, after = small_reader.weights(), adapted.weights()
    for path in ("logits/kernel", "logits/bias"):
        np.testing.assert_array_equal(after[path][..., 0], before[path][..., 0])
        for i, character in enumerate(new.characters):
            if character in old.characters:
                row = old.characters.index(character) + 1
                np.testing.assert_array_equal(after[path][..., i + 1], before[path][..., row])
    for path in before.keys() - {"logits/kernel", "logits/bias"}:
        np.testing.assert_array_equal(after[path], before[path])


def test_new_characters_do_not_win_where_all_scores_are_low(small_reader, draw_line):
    """Softmax sees differences alone: imported networks have scores far below zero."""
    low = type(small_reader)(small_reader.config, small_reader.vocabulary)
    weights = small_reader.weights()
    low.set_weights(weights | {"logits/bias": weights["logits/bias"] - 50})
    line = draw_line("quick brown fox")
    assert small_reader.predict([line])[0]
    more = low.with_vocabulary(small_reader.vocabulary.extended("äß"))
    assert more.predict([line]) == small_reader.predict([line])


def test_details_name_columns_in_the_given_image(small_reader, draw_line):
    line = draw_line("quick brown fox", size=40)
    found = small_reader.predict([line], details=True)[0]
    assert found.text == "".join(c.character for c in found.characters)
    ends = [0.0] + [c.end for c in found.characters]
    for character, before in zip(found.characters, ends, strict=False):
        assert before - 1e-3 <= character.start < character.end <= line.shape[1]


def test_network_is_an_ordinary_model(small_reader):
    assert isinstance(small_reader.network, keras.Model)
    clone = keras.models.model_from_json(small_reader.network.to_json())
    clone.set_weights(small_reader.network.get_weights())
