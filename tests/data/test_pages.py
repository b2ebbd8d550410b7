"""Pages with XML as corpora of lines."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from zoo.data.splitting import hold_out, levels_by_name
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import load_lines

PAGE = (
    '<PcGts xmlns="x"><Page imageFilename="{}" imageWidth="{}" imageHeight="200"><TextRegion>{}</TextRegion>'
    "</Page></PcGts>"
)
LINE = (
    '<TextLine id="l"><Coords points="10,{0} 290,{0} 290,{1} 10,{1}"/><Baseline points="10,{2} 290,{2}"/>'
    "<TextEquiv><Unicode>{3}</Unicode></TextEquiv></TextLine>"
)


@pytest.fixture
def scan(tmp_path, draw_line):
    """A function that writes ``NAME.png`` of lines, and its XML."""

    def write(folder, name, said, image=None, width=300, end=".xml", suffix=".png"):
        folder.mkdir(parents=True, exist_ok=True)
        pixels, lines = np.full((200, 300), 255, np.uint8), []
        for i, text in enumerate(said):
            drawn = draw_line(text or "blank", 16)[:, :270]
            top = 20 + 40 * i
            pixels[top : top + len(drawn), 12 : 12 + drawn.shape[1]] = drawn
            lines.append(LINE.format(top, top + len(drawn), top + len(drawn) - 5, text))
        Image.fromarray(pixels).save(folder / f"{name}{suffix}")
        xml = PAGE.format(image or f"{name}.png", width, "".join(lines))
        (folder / f"{name}{end}").write_text(xml, encoding="utf-8")

    return write


def test_folder_archive_and_file_alike(scan, tmp_path):
    scan(tmp_path / "scans", "p1", ["one two", "three"])
    scan(tmp_path / "scans", "p2", ["four", ""])
    (tmp_path / "scans/readme.txt").write_text("Of a library.")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "scans", ".")
    for corpus in ("scans", "packed.tar.gz"):
        found = load_lines(tmp_path / corpus)
        label = corpus.split(".")[0]
        assert found.names == [f"{label}/p1/0001", f"{label}/p1/0002", f"{label}/p2/0001"]
        assert found.texts == ["one two", "three", "four"]
        assert [one.split(": ", 1)[1] for one in found.skipped] == [
            "p2.xml: 1 of 2 lines have no transcript."
        ]
        (images, _) = next(found.chunks(9))
        assert all(15 < len(image) < 40 and image.min() < 90 for image in images)
    alone = load_lines(tmp_path / "scans/p1.xml")
    assert alone.names == ["p1/p1/0001", "p1/p1/0002"]


def test_images_that_lie_elsewhere(scan, tmp_path):
    """Transkribus has its XML in ``page/``; OCR-D names images by METS; suffixes may be others."""
    scan(tmp_path / "a", "p1", ["one"])
    (tmp_path / "a/page").mkdir()
    (tmp_path / "a/p1.xml").rename(tmp_path / "a/page/p1.xml")
    scan(tmp_path / "b", "p2", ["two"], image="p2.tif", suffix=".jpg")
    scan(tmp_path / "c", "scan_0001", ["three"], image="", end=".png.xml")
    (tmp_path / "c/scan_0001.png.xml").rename(tmp_path / "c/text_7.xml")
    (tmp_path / "c/mets.xml").write_text(
        '<mets xmlns:xlink="l"><fileSec><file ID="i"><FLocat xlink:href="scan_0001.png"/></file><file ID="x">'
        '<FLocat xlink:href="text_7.xml"/></file></fileSec><structMap><div><div><fptr FILEID="i"/>'
        '<fptr FILEID="x"/></div></div></structMap></mets>'
    )
    assert [load_lines(tmp_path / name).texts for name in "abc"] == [["one"], ["two"], ["three"]]


def test_pages_are_held_out_whole(scan, tmp_path):
    for i in range(10):
        scan(tmp_path / "scans", f"p{i}", [f"line {i}", f"other {i}"])
    lines = load_lines(tmp_path / "scans")
    (held,) = hold_out(lines.names, levels_by_name, "lines", texts=lines.texts)
    assert len(held.names) == 2 and len({name.split("/")[1] for name in held.names}) == 1


def test_pages_and_single_lines_together(scan, tmp_path, draw_line):
    scan(tmp_path / "all", "p1", ["one two"])
    Image.fromarray(draw_line("three")).save(tmp_path / "all/x.png")
    (tmp_path / "all/x.gt.txt").write_text("three")
    found = load_lines(tmp_path / "all")
    assert found.texts == ["one two", "three"] and found.skipped == []


def test_what_cannot_be_used_is_told(scan, tmp_path):
    folder = tmp_path / "scans"
    scan(folder, "good", ["one"])
    scan(folder, "large", ["one"], width=900)
    scan(folder, "lost", ["one"], image="gone.png")
    (folder / "lost.png").unlink()
    (folder / "broken.xml").write_text("<PcGts><Page")
    (folder / "other.xml").write_text("<feed/>")
    scan(folder, "twice", ["one"], image="good.png")
    (folder / "twice.png").unlink()
    told = load_lines(folder).skipped
    for part in (
        "large.xml: the image has 300x200 pixels, its XML is of 900x200",
        "lost.xml: its image gone.png is not there; put it beside the XML",
        "broken.xml: this is no well-formed XML",
        "twice.xml was left out, good.xml is of the same image good.png",
    ):
        assert any(part in sentence for sentence in told), part
    assert len(load_lines(folder)) == 1
    with pytest.raises(UserError, match=r"lost.xml: its image gone.png is not there"):
        load_lines(folder / "lost.xml")
