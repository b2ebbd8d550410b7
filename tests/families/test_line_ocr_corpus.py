import csv
import gzip
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from export.runtime import IMAGE_SUFFIXES
from zoo.data.lines import read_pairs
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import Lines, load_lines
from zoo.files import FileList
from zoo.images.lines import read_image


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


PAGE = np.where(np.arange(100) % 7 < 2, 20, 240).astype("uint8")[None].repeat(40, 0)


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
    for name in ("good", "empty", "cut", "binary", "wide", "low", "blank", "white", "page"):
        (folder / f"{name}.png").write_bytes(png(PAGE))
        (folder / f"{name}.gt.txt").write_text("some text")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(png(PAGE)[:80])
    (folder / "binary.gt.txt").write_bytes(b"na\xefve")
    (folder / "wide.png").write_bytes(png(np.zeros((40, 60000), "uint8")))
    (folder / "low.png").write_bytes(png(PAGE[:1]))
    (folder / "blank.gt.txt").write_text(" \n")
    (folder / "white.png").write_bytes(png(np.full((40, 300), 250, "uint8")))
    (folder / "page.png").write_bytes(
        png(np.tile(np.pad(PAGE, ((12, 12), (0, 0)), constant_values=255), (9, 6)))
    )
    (folder / "alone.png").write_bytes(png(PAGE))
    (folder / "orphan.gt.txt").write_text("no image")
    lines = load_lines(folder)
    assert lines.names == ["mixed/good"]
    report = "\n".join(lines.skipped)
    assert len(lines.skipped) == 10
    for name, reason in {
        "empty.png": "the file is empty", "cut.png": "damaged", "binary.gt.txt": "UTF-8",
        "wide.png": "longer than a line", "low.png": "too low to read", "blank.gt.txt": "is empty",
        "white.png": "nothing is written", "page.png": "looks like a page",
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


# === Layouts ===

SAID = ["It was the best, of times", 'say "yes" and go', "it was the age; of | wisdom", "naïve £5 #1"]


def listed(form, head=""):
    return head + "".join(form.format(i=i, text=text) for i, text in enumerate(SAID))


def quoted(first, separator=","):
    file = io.StringIO()
    rows = [first, *((f"{i}.png", text) for i, text in enumerate(SAID))]
    csv.writer(file, delimiter=separator).writerows(rows)
    return file.getvalue()


BY_FILE = {f"{i}.png": text for i, text in enumerate(SAID)}
OBJECTS = [{"file_name": f"img/{i}.png", "text": text} for i, text in enumerate(SAID)]
MMOCR = [{"img_path": f"img/{i}.png", "instances": [{"text": text}]} for i, text in enumerate(SAID)]
LISTS = {
    "PaddleOCR": ("rec_gt_train.txt", listed("img/{i}.png\t{text}\n")),
    "PaddleOCR, moved": ("rec_gt.txt", listed("train_data/rec/img/{i}.png\t{text}\r\n")),
    "PaddleOCR, Windows": ("rec_gt.txt", listed("D:\\data\\img\\{i}.png\t{text}\r\n")),
    "a blank between": ("labels.txt", listed("{i}.png {text}\n")),
    "ICDAR": ("gt.txt", listed('{i}.png, "{text}"\r\n', head="\ufeff")),
    "EasyOCR": ("img/labels.csv", listed("{i}.png,{text}\n", head="filename,words\n")),
    "EasyOCR, quoted": ("img/labels.csv", quoted(("filename", "words"))),
    "a title like one": ("labels.csv", quoted(("filename", "ground_truth_text"))),
    "semicolons": ("img/labels.csv", quoted(("Image", "Label"), ";")),
    "gzip": ("labels.csv.gz", gzip.compress(quoted(("filename", "words")).encode())),
    "docTR": ("labels.json", json.dumps(BY_FILE)),
    "Hugging Face": ("img/metadata.jsonl", "".join(json.dumps({"file_name": file, "text": text}) + "\n"
                                                   for file, text in BY_FILE.items())),
    "Hugging Face, CSV": ("img/metadata.csv", quoted(("file_name", "text"))),
    "objects": ("any.json", json.dumps(OBJECTS, indent=1)),
    "objects in one": ("any.json", json.dumps({"version": 1, "lines": OBJECTS})),
    "MMOCR": ("train.json", json.dumps({"metainfo": {}, "data_list": MMOCR})),
}  # fmt: skip


@pytest.fixture
def seen(tmp_path):
    """A folder with images of lines, ``img/0.png`` and so on."""
    (tmp_path / "set" / "img").mkdir(parents=True)
    for i in range(len(SAID)):
        (tmp_path / "set" / "img" / f"{i}.png").write_bytes(png(PAGE))
    return tmp_path / "set"


def said(path):
    """``({name: text}, skipped)`` of a corpus, without preparing it."""
    skipped = []
    path = listed_alone(path) or path
    return {name: text for name, _, text in read_pairs(path, skipped)}, skipped


def listed_alone(path):
    found = Lines.locate(str(path))[0] if path.is_file() else None
    return found if isinstance(found, FileList) else None


@pytest.mark.parametrize("layout", LISTS)
def test_lists(layout, seen):
    name, text = LISTS[layout]
    (seen / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (seen / "README.txt").write_text("Lines of\tsome books\n")
    wanted = {f"img/{i}": text for i, text in enumerate(SAID)}
    assert said(seen) == (wanted, [])
    if all(name in str(text) for name in BY_FILE) and "moved" not in layout and "Windows" not in layout:
        found, skipped = said(seen / name) if name.startswith("img/") or "img/" in str(text) else (0, 0)
        assert not found or (sorted(found.values()), skipped) == (sorted(SAID), [])


@pytest.mark.parametrize("inside", ["bytes", "bytes alone", "paths"])
def test_parquet(inside, seen):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    files = [{"bytes": png(PAGE), "path": f"{i}.png"} for i in range(len(SAID))]
    images = {"bytes": files, "bytes alone": [one["bytes"] for one in files], "paths": list(BY_FILE)}[inside]
    table = pyarrow.table({"id": range(4), "image": images, "text": SAID[:3] + [None]})
    parquet.write_table(table, seen / "train-00000-of-00001.parquet")
    for image in (seen / "img").iterdir() if inside != "paths" else ():
        image.unlink()
    found, skipped = said(seen)
    assert sorted(found.values()) == sorted(SAID[:3]) and len(skipped) == 1
    if inside != "paths":
        assert "row 4 has no transcript" in skipped[0]
        assert len(load_lines(seen / "train-00000-of-00001.parquet")) == 3
    (seen / "train-00000-of-00001.parquet").write_bytes(b"PAR1 cut")
    assert any("no whole Parquet file" in sentence for sentence in said(seen)[1])


def pairs(folder, image="{i}.png", text="{i}.gt.txt", texts=SAID):
    for i, line in enumerate(texts):
        (folder / text.format(i=i)).write_text(line + "\n", encoding="utf-8")
        suffix = image.rpartition(".")[2].lower()
        kind = {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}.get(suffix, suffix)
        Image.fromarray(PAGE).save(folder / image.format(i=i), kind)


@pytest.mark.parametrize(
    "image, text",
    [
        ("{i}.PNG", "{i}.GT.TXT"), ("{i}.Jpg", "{i}.gt.txt"), ("{i}.jp2", "{i}.txt"), ("{i}.tif", "{i}.TXT"),
        ("{i}.png", "{i}.png.gt.txt"), ("{i}.bin.png", "{i}.gt.txt"), ("{i}.bin.png", "{i}.bin.gt.txt"),
        ("page 1.jpg_{i}.png", "page 1.jpg_{i}.gt.txt"), ("Zu\u0308rich {i}.png", "Z\u00fcrich {i}.gt.txt"),
        ("Z\u00fcrich {i}.png", "Zu\u0308rich {i}.txt"),
    ],
)  # fmt: skip
def test_names_of_pairs(image, text, tmp_path):
    pairs(tmp_path, image, text)
    found, skipped = said(tmp_path)
    assert list(found.values()) == SAID and skipped == []


def test_of_several_images_of_a_line_one_is_read(tmp_path):
    for variant in (".bin", ".nrm", ".dew"):
        pairs(tmp_path, f"{{i}}{variant}.png")
    for i in range(4):
        (tmp_path / f"{i}.nrm.png").write_bytes(png(PAGE[:1, :90].repeat(40, 0)))
    assert said(tmp_path) == ({str(i): text for i, text in enumerate(SAID)}, [])
    assert {pixels.shape for _, pixels, _ in read_pairs(tmp_path, [])} == {(40, 90, 1)}
    (tmp_path / "0.jpg").write_bytes((tmp_path / "0.bin.png").read_bytes())
    (tmp_path / "0.tif").write_bytes((tmp_path / "0.bin.png").read_bytes())
    assert said(tmp_path)[1] == [f"{tmp_path}: 0.tif was left out, another image has its name."]


def test_what_was_read_beside_transcripts_is_not_learned(tmp_path):
    pairs(tmp_path)
    pairs(tmp_path, text="{i}.txt", texts=["what a program read"] * 5)
    found, skipped = said(tmp_path)
    assert sorted(found.values()) == sorted(SAID)
    assert skipped == [f"{tmp_path}: 4.png has no transcript."]


def test_one_image_has_one_line(tmp_path):
    pairs(tmp_path, texts=[*SAID, "one\ntwo", "\r\none\r\n\r\n"])
    found, skipped = said(tmp_path)
    assert found["5"] == "one" and len(found) == 5
    assert skipped == [f"{tmp_path}: 4.gt.txt has 2 lines of text; give one line for each image."]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(png(PAGE.T))
    (tmp_path / "x" / "a.gt.txt").write_text("stands on its end")
    with pytest.raises(UserError, match=r"x: none of its 1 lines can be used .*(taller than|photograph)"):
        load_lines(tmp_path / "x")


def test_broken_entries_are_named_and_the_rest_read(seen):
    (seen / "img" / "4.png").write_bytes(b"no image")
    text = listed("img/{i}.png\t{text}\n") + "img/4.png\tbroken\nimg/5.png\tgone\nimg/0.png\nno line\n"
    (seen / "rec_gt.txt").write_bytes(text.encode() + b"img/3.png\tna\xefve\n")
    found, skipped = said(seen)
    assert sorted(found.values()) == sorted(SAID)
    for reason in (
        "4.png: not a readable image", "5.png is listed, but it is not there", "img/0.png is empty",
        "line 8 names no image", "img/3.png is listed, but what is said of it is not UTF-8",
    ):  # fmt: skip
        assert any(reason in sentence for sentence in skipped), (reason, skipped)
    assert len(skipped) == 5
    (seen / "rec_gt.txt").write_text("".join(f"gone/{i}.png\tx\n" for i in range(100)) + text)
    told = [sentence for sentence in said(seen)[1] if "gone" in sentence or "the same" in sentence]
    assert len(told) == 21 and told[-1] == f"{seen}: the same of 81 more."


def test_what_is_said_twice(seen):
    text = listed("img/{i}.png\t{text}\n")
    (seen / "rec_gt.txt").write_text(text + text + "img/0.png\tsomething else\n")
    (seen / "rec_gt_2.txt").write_text(text)
    found, skipped = said(seen)
    assert sorted(found.values()) == sorted(SAID[1:])
    assert skipped == [f"{seen}: img/0.png is listed with 2 transcripts; give it one."]
    (seen / "img" / "0.gt.txt").write_text("beside it")
    found, skipped = said(seen)
    assert sorted(found.values()) == sorted(["beside it", *SAID[1:]]) and skipped == []


def test_lists_of_pages_are_told(seen):
    page = json.dumps([{"transcription": "a", "points": [[0, 0]]}])
    (seen / "Label.txt").write_text("".join(f"img/{i}.png\t{page}\n" for i in range(4)))
    with pytest.raises(UserError, match="Label.txt: 4 of its images are pages .*export the lines"):
        load_lines(seen)
    (seen / "Label.txt").unlink()
    boxes = {file: {"img_dimensions": [1, 1], "polygons": []} for file in BY_FILE}
    (seen / "labels.json").write_text(json.dumps(boxes))
    with pytest.raises(UserError, match="labels.json: it marks lines on pages"):
        load_lines(seen)


@pytest.mark.parametrize(
    "name, text, reason",
    [
        ("list.csv", "id,foo\n1,a\n", "4 .png and 1 .csv; start list.csv with file_name,text, or give"),
        ("list.csv", "filename,foo\n1.png,a\n", "list.csv: its first line names no transcript"),
        ("0.xml", "<PcGts/>", "4 .png and 1 .xml; if the XML is of pages"),
        ("img/lines.zip", "", "give img/lines.zip itself, or unpack it"),
        ("x.py", "", "0.png has no transcript.; there are 4 .png and 1 .py; give images, each"),
    ],
)
def test_where_nothing_fits_it_is_said_what_lies_there(name, text, reason, seen):
    (seen / name).write_text(text)
    with pytest.raises(UserError, match=f"^{seen}: there are no lines in it .*{reason}"):
        load_lines(seen)


def test_a_text_that_is_no_list(tmp_path):
    (tmp_path / "x.txt").write_text("hello world\n")
    with pytest.raises(UserError, match="x.txt: this is no list of images; write on each line an"):
        load_lines(tmp_path / "x.txt")
    (tmp_path / "x.txt").write_text("a.png\thello\n")
    with pytest.raises(UserError, match="x.txt: none of its images is there, the first is a.png"):
        load_lines(tmp_path / "x.txt")


def test_images_by_pattern_or_named(tmp_path, monkeypatch):
    (tmp_path / "lines").mkdir()
    pairs(tmp_path / "lines")
    (tmp_path / "more").mkdir()
    pairs(tmp_path / "more", text="{i}.txt")
    monkeypatch.chdir(tmp_path)
    images = [f"lines/{i}.png" for i in range(3)]
    assert sorted(load_lines(images).names) == [f"lines/{i}" for i in range(3)]
    assert len(load_lines("lines/*")) == len(load_lines("lines/*.png")) == 4
    assert load_lines("lines/[01].png@3").shown() == 6
    both = load_lines(["lines/*.png", "more"])
    assert len(both) == 8 and {name.partition("/")[0] for name in both.names} == {"lines", "more"}
    (tmp_path / "more" / "0.txt").rename(tmp_path / "more" / "0.gt.txt")
    assert sorted(load_lines("*/0.png").names) == [f"{tmp_path.name}/{name}/0" for name in ("lines", "more")]
    (tmp_path / "more" / "3.txt").rename(tmp_path / "more" / "3.gt.txt")
    with pytest.raises(UserError, match="no such file"):
        load_lines("lines/*.jpg")
    (tmp_path / "list.txt").write_text("lines/0.png\nmore/3.png\n")
    assert sorted(load_lines(tmp_path / "list.txt").names) == ["list/lines/0", "list/more/3"]
    (tmp_path / "lines" / "0.gt.txt").write_text("changed")
    assert "changed" in load_lines(images).texts


def test_links_and_what_cannot_be_opened(tmp_path):
    (tmp_path / "real").mkdir()
    pairs(tmp_path / "real")
    folder = tmp_path / "lines"
    folder.mkdir()
    for file in (tmp_path / "real").iterdir():
        (folder / file.name).symlink_to(file)
    for name, target in {"loop": "loop.png", "gone": "nowhere"}.items():
        (folder / f"{name}.png").symlink_to(target)
        (folder / f"{name}.gt.txt").write_text("some")
    (folder / "pipe.gt.txt").write_text("some")
    os.mkfifo(folder / "pipe.png")
    (folder / "round").symlink_to(".")
    lines = load_lines(folder)
    assert sorted(lines.texts) == sorted(SAID)
    for reason in ("gone.png: cannot be read (no", "loop.png: cannot be read (too many", "pipe.png: this is"):
        assert sum(reason in sentence for sentence in lines.skipped) == 1, lines.skipped
    assert len(lines.skipped) == 3


def test_the_same_lines_in_a_zip(line_folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "lines.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in line_folder.iterdir():
            archive.write(file, file.name)
    zipped, lines = load_lines(tmp_path / "lines.zip"), load_lines(line_folder)
    assert (zipped.names, zipped.texts) == (lines.names, lines.texts)


def test_a_full_disk_leaves_nothing(tmp_path, zoo_home, monkeypatch):
    pairs(tmp_path)
    prepared = set((zoo_home / "corpora").rglob("*"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.data.lines.read_written", full)
    with pytest.raises(UserError, match="the disk is full, free some space and try again"):
        load_lines(tmp_path)
    assert set((zoo_home / "corpora").rglob("*")) == prepared
    monkeypatch.setenv("ZOO_HOME", "/proc/nowhere")
    with pytest.raises(UserError, match="/proc/nowhere/.*cannot be written here"):
        load_lines(tmp_path)


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


# === As other programs have them ===


def _images(folder, count=4):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(PAGE).save(folder / f"w{i}.png")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gt.txt", "w{}\ttext {}"), ("labels.txt", "w{} text {}"), ("labels.csv", "w{},text {}"),
        ("rec_gt_train.txt", '["w{}.png", "gone.png"]\ttext {}'),
    ],
)  # fmt: skip
def test_images_without_suffix_and_several_of_a_text(name, line, tmp_path):
    _images(tmp_path / "c")
    head = "filename,words\n" if name.endswith(".csv") else ""
    (tmp_path / "c" / name).write_text(head + "".join(f"{line.format(i, i)}\n" for i in range(4)))
    lines = load_lines(tmp_path / "c")
    assert sorted(lines.texts) == [f"text {i}" for i in range(4)]


@pytest.mark.parametrize(
    "row",
    [
        {"file_name": "w{}.png", "ground_truth": '{{"gt_parse": {{"text_sequence": "text {}"}}}}'},
        {"image": {"path": "w{}.png", "bytes": None}, "text": "text {}"},
    ],
)
def test_objects_in_objects(row, tmp_path):
    _images(tmp_path / "c")

    def filled(value, i):
        if isinstance(value, dict):
            return {key: filled(part, i) for key, part in value.items()}
        return value and value.format(i)

    (tmp_path / "c/metadata.jsonl").write_text("".join(json.dumps(filled(row, i)) + "\n" for i in range(4)))
    assert sorted(load_lines(tmp_path / "c").texts) == [f"text {i}" for i in range(4)]


def test_images_and_texts_in_folders_of_their_own(tmp_path):
    _images(tmp_path / "c/images/train")
    (tmp_path / "c/labels/train").mkdir(parents=True)
    for i in range(4):
        (tmp_path / f"c/labels/train/w{i}.txt").write_text(f"text {i}")
    assert sorted(load_lines(tmp_path / "c").texts) == [f"text {i}" for i in range(4)]
    _images(tmp_path / "books/a", 2)  # in each of two books something is missing: these are no pair
    _images(tmp_path / "books/b", 1)
    (tmp_path / "books/a/w0.gt.txt").write_text("text")
    (tmp_path / "books/b/w1.gt.txt").write_text("of another book")
    assert load_lines(tmp_path / "books").texts == ["text"]


def test_a_list_that_moved_alone(tmp_path):
    _images(tmp_path / "c/train")
    rows = "".join(f"./data/set/train/w{i}.png\ttext {i}\n" for i in range(4))
    (tmp_path / "c/rec_gt.txt").write_text(rows)
    assert sorted(load_lines(tmp_path / "c/rec_gt.txt").texts) == [f"text {i}" for i in range(4)]


def test_a_table_of_unknown_columns_is_no_list_of_lines(tmp_path):
    _images(tmp_path / "c")
    rows = "".join(f"{i},w{i}.png,text {i}\n" for i in range(4))
    (tmp_path / "c/labels.csv").write_text(f"nr,Bild,Wortlaut\n{rows}")
    with pytest.raises(UserError, match="first line names no image .nr, Bild, Wortlaut."):
        load_lines(tmp_path / "c")


def test_a_photograph_with_a_transcript_is_a_line(tmp_path):
    sign = np.random.default_rng(0).integers(0, 256, (4, 12, 3), "uint8")
    Image.fromarray(sign).resize((120, 40), Image.Resampling.BICUBIC).save(tmp_path / "sign.png")
    (tmp_path / "sign.gt.txt").write_text("STOP", encoding="utf-8")
    with pytest.raises(UserError, match="looks like a photograph"):
        read_image(tmp_path / "sign.png")
    assert load_lines(tmp_path).texts == ["STOP"]
    assert read_image(tmp_path / "sign.png", photographs=True).shape == (40, 120, 3)
