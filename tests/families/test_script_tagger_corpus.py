"""Corpora of lines with a class for every pixel column: what is read, and what is told of what is not."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from zoo.errors import UserError
from zoo.families.script_tagger.corpus import load_corpus, load_tagged, read_tagged


def image(width=40, height=24):
    pixels = np.full((height, width), 255, np.uint8)
    pixels[6:18, 5:35:6] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    """Two lines that are as they should be."""
    folder = tmp_path / "lines"
    (folder / "part").mkdir(parents=True)
    image().save(folder / "a.png")
    (folder / "a.columns.txt").write_text("0" * 10 + "1" * 20 + "0" * 10 + "\n")
    image(50).save(folder / "part/b.png")
    (folder / "part/b.columns.txt").write_text("2" * 50)
    return folder


def test_digits(folder):
    tagged = load_tagged(folder)
    assert tagged.names == ["lines/a", "lines/part/b"] or set(tagged.names) == {"lines/a", "lines/part/b"}
    assert tagged.classes == ["0", "1", "2"] and tagged.skipped == []
    images, columns = next(tagged.select(lambda name: name.endswith("a")).chunks(9))
    assert images[0].shape == (24, 40, 1) and "".join(columns[0]) == "0" * 10 + "1" * 20 + "0" * 10


def test_names_of_classes(folder):
    (folder / "classes.txt").write_text("background\nlatin\nArab\ngarbage\n")
    tagged = load_tagged(folder)
    assert tagged.classes == ["background", "latin", "Arab"]
    assert tagged.occurring[tagged.names.index("lines/part/b")] == ["Arab"]
    (folder / "a.columns.txt").write_text(" ".join(["background"] * 30 + ["Arab"] * 10))  # a name for each
    (folder / "part/b.columns.txt").write_text("\n".join(["3"] * 50))
    assert load_tagged(folder).classes == ["background", "Arab", "garbage"]


def test_an_archive_and_a_pattern_are_the_same(folder, tmp_path):
    with tarfile.open(tmp_path / "lines.tar.gz", "w:gz") as tar:
        tar.add(folder, ".")
    inside = {name: columns.tolist() for name, _, columns, _ in read_tagged(tmp_path / "lines.tar.gz", [])}
    assert inside == {name: columns.tolist() for name, _, columns, _ in read_tagged(folder, [])}
    assert load_tagged(f"{folder}/*.png").names == [f"{folder.name}/a"]


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("c.columns.txt", "0" * 39, "c.columns.txt has 39 columns, its image 40"),
        ("c.columns.txt", "0" * 39 + "!", "'!' stands for no class; write 0 to 9, then a to z"),
        ("c.columns.txt", "", "has 0 columns, its image 40"),
        ("c.columns.txt", b"\xff" * 40, "UTF-8"),
        ("d.columns.txt", "0" * 40, "d.columns.txt has no image"),
        ("c.png", b"no image", "c.png: not a readable image"),
        ("c.png", b"", "c.png: the file is empty"),
        ("c.columns.txt", None, "c.png has no file c.columns.txt"),
        ("c.jpg", "image", "c.png was left out, another image has its name"),
    ],
)
def test_one_bad_line_is_named_and_ends_nothing(folder, name, content, sentence):
    image().save(folder / "c.png")
    (folder / "c.columns.txt").write_text("0" * 40)
    if content is None:
        (folder / name).unlink()
    elif content == "image":
        image().save(folder / name)
    else:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    tagged = load_tagged(folder)
    assert {"lines/a", "lines/part/b"} <= set(tagged.names)
    assert len(tagged.skipped) == 1 and sentence in tagged.skipped[0], tagged.skipped


def test_an_image_that_is_no_line(folder):
    page = np.full((700, 500), 255, np.uint8)
    for top in range(20, 680, 30):
        page[top : top + 14, 30:470:6] = 0
    Image.fromarray(page).save(folder / "c.png")
    (folder / "c.columns.txt").write_text("0" * 500)
    (sentence,) = load_tagged(folder).skipped
    assert "c.png: this looks like a page" in sentence


def test_halftone_is_no_page(folder):
    """What looks like many lines of text in a low image is garbage on a line."""
    dots = np.where(np.arange(48)[:, None] % 6 < 3, np.arange(300) % 4 * 80, 255).astype(np.uint8)
    Image.fromarray(dots).save(folder / "c.png")
    (folder / "c.columns.txt").write_text("3" * 300)
    assert load_tagged(folder).skipped == []


@pytest.mark.parametrize(
    "content, sentence", [("one", "two names of classes or more"), ("a\na\n", "two names of classes or more")]
)
def test_bad_names_of_classes(folder, content, sentence):
    (folder / "classes.txt").write_text(content)
    with pytest.raises(UserError, match=sentence):
        load_tagged(folder)


def test_a_class_that_is_not_listed(folder):
    (folder / "classes.txt").write_text("background\nlatin\n")
    (sentence,) = load_tagged(folder).skipped
    assert "part/b.columns.txt: the class '2' is none of classes.txt, background, latin" in sentence


def test_nothing_that_could_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"empty: no line in it could be used .* NAME\.columns\.txt beside it"
    ):
        load_tagged(tmp_path / "empty")
    image().save(tmp_path / "empty/a.png")
    with pytest.raises(UserError, match=r"a\.png has no file a\.columns\.txt"):
        load_tagged(tmp_path / "empty")
    with pytest.raises(UserError, match="there is no such file or folder"):
        load_tagged(tmp_path / "gone")


def test_no_tables(folder):
    assert len(load_corpus(str(folder), {})) == 2
    with pytest.raises(UserError, match="--columns is for corpora in tables"):
        load_corpus(str(folder), {}, columns={"image": "x"})


def test_colour_and_other_formats(tmp_path):
    (tmp_path / "lines").mkdir()
    image().convert("RGB").save(tmp_path / "lines/a.jpg")
    store = io.BytesIO()
    image(44).save(store, "TIFF")
    (tmp_path / "lines/b.tif").write_bytes(store.getvalue())
    for name, width in (("a", 40), ("b", 44)):
        (tmp_path / f"lines/{name}.columns.txt").write_text("a" * width)
    assert sorted(load_tagged(tmp_path / "lines").shapes.tolist()) == [[24, 40], [24, 44]]
    assert load_tagged(tmp_path / "lines").classes == ["10"]
