import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from export.runtime import IMAGE_SUFFIXES
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import load_lines
from zoo.images.lines import read_image


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


PAGE = np.where(np.arange(40 * 100).reshape(40, 100) % 7 < 2, 20, 240).astype("uint8")


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "tar.xz"])
def test_every_layout_gives_the_same_lines(kind, line_folder, some_texts, tmp_path):
    corpus = line_folder
    if kind != "folder":
        corpus = tmp_path / f"lines.{kind}"
        with tarfile.open(corpus, "w:" + kind.partition(".")[2]) as tar:
            tar.add(line_folder, "lines")
    lines = load_lines(corpus)
    assert len(lines) == 20 and sorted(lines.texts) == sorted(some_texts)
    assert all(name.startswith("lines/") for name in lines.names)
    read = [(image, text) for batch in lines.chunks(8) for image, text in zip(*batch, strict=True)]
    assert [text for _, text in read] == lines.texts
    assert [image.shape[:2] for image, _ in read] == [tuple(shape) for shape in lines.shapes]


def test_prepared_once(line_folder, monkeypatch):
    first = load_lines(line_folder)
    monkeypatch.setattr("zoo.families.line_ocr.corpus.read_pairs", lambda *_: pytest.fail("read again"))
    assert load_lines(line_folder).texts == first.texts


def test_pixels_survive(line_folder):
    lines = load_lines(line_folder)
    images_of, _ = next(lines.chunks(1))
    name = lines.names[0].removeprefix("lines/")
    np.testing.assert_array_equal(images_of[0][:, :, 0], np.asarray(Image.open(line_folder / f"{name}.png")))


def test_only_and_repeat(line_folder):
    lines = load_lines([f"{line_folder}@3"], only="book[12]_")
    assert len(lines) == 10 and lines.shown() == 30
    assert sum(1 for _ in lines.dataset(repeat=True)) == 30
    with pytest.raises(UserError, match="matches no line"):
        load_lines(line_folder, only="book9")
    with pytest.raises(UserError, match="no regular expression"):
        load_lines(line_folder, only="[")


def test_what_cannot_be_used_is_listed_and_the_rest_read(tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("good", "empty", "cut", "binary", "wide", "low", "blank"):
        (folder / f"{name}.png").write_bytes(png(PAGE))
        (folder / f"{name}.gt.txt").write_text("some text")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(png(PAGE)[:100])
    (folder / "binary.gt.txt").write_bytes(b"na\xefve")
    (folder / "wide.png").write_bytes(png(np.zeros((40, 60000), "uint8")))
    (folder / "low.png").write_bytes(png(PAGE[:1]))
    (folder / "blank.gt.txt").write_text(" \n")
    (folder / "alone.png").write_bytes(png(PAGE))
    (folder / "orphan.gt.txt").write_text("no image")
    lines = load_lines(folder)
    assert lines.names == ["mixed/good"]
    report = "\n".join(lines.skipped)
    assert len(lines.skipped) == 8
    for name, reason in {
        "empty.png": "the file is empty", "cut.png": "damaged", "binary.gt.txt": "UTF-8",
        "wide.png": "longer than a line", "low.png": "too low to read", "blank.gt.txt": "is empty",
        "alone.png": "no transcript", "orphan.gt.txt": "no image",
    }.items():  # fmt: skip
        assert any(name in sentence and reason in sentence for sentence in lines.skipped), (name, report)


def test_missing_empty_and_unusable_corpora(tmp_path, zoo_home):
    prepared = set((zoo_home / "corpora").rglob("*"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\x00trash")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.gt.txt").write_text("no image")
    for name, reason in {
        "missing": "no such file", "empty": "it is empty", "cut.tar.gz": "damaged",
        "text": "a.gt.txt has no image",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=f"{name}.*{reason}"):
            load_lines(tmp_path / name)
    assert set((zoo_home / "corpora").rglob("*")) == prepared, "half-prepared files left"


def test_every_kind_of_image_reads_alike():
    plain = read_image(png(PAGE))
    assert plain.shape == (40, 100, 1)
    wide = PAGE.astype("uint16") * 257
    rgba = np.dstack([PAGE, PAGE, PAGE, np.full_like(PAGE, 255)])
    see_through = np.dstack([np.zeros((40, 100, 3), "uint8"), 255 - PAGE])
    cmyk = io.BytesIO()
    Image.fromarray(PAGE).convert("CMYK").save(cmyk, "tiff")
    palette = io.BytesIO()
    Image.fromarray(PAGE).convert("P").save(palette, "png")
    for data in (png(wide), png(rgba), png(see_through), cmyk.getvalue(), palette.getvalue(), PAGE):
        pixels = read_image(data).mean(-1, keepdims=True)
        assert np.abs(pixels - plain).max() <= 2


def test_what_is_read_can_be_learned(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        name = tmp_path / "lines" / f"line_{suffix[1:]}{suffix}"
        name.parent.mkdir(exist_ok=True)
        Image.fromarray(PAGE).save(name)
        name.with_suffix(".gt.txt").write_text(suffix)
    lines = load_lines(tmp_path / "lines")
    assert sorted(lines.texts) == sorted(IMAGE_SUFFIXES) and lines.skipped == []


def test_a_public_set_by_name(monkeypatch, tmp_path, some_texts, draw_line):
    import functools

    import tensorflow_datasets as tfds

    from zoo.families.line_ocr import corpus as lines

    class ToyLines(tfds.core.GeneratorBasedBuilder):
        """A set such as the public ones: RGB images, and a text feature of its own name."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3))
            features = {"image": image, "transcription": tfds.features.Text(), "writer": np.int64}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0, 5), "test": self._generate_examples(5, 8)}

        def _generate_examples(self, first, last):
            for i in range(first, last):
                image = np.repeat(draw_line(some_texts[i])[:, :, None], 3, 2)
                yield i, {"image": image, "transcription": f" {some_texts[i]}\n", "writer": i}

    monkeypatch.setattr(lines.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    assert sorted(load_lines("tfds:toy_lines:test").texts) == sorted(some_texts[5:8])
    train = load_lines("tfds:toy_lines@2")
    assert len(train) == 5 and train.shown() == 10
    pixels, texts = next(train.chunks(5))
    for image, text in zip(pixels, texts, strict=True):
        np.testing.assert_array_equal(image[:, :, 0], draw_line(text))
    with pytest.raises(UserError, match="tfds:no_such_set"):
        load_lines("tfds:no_such_set")
