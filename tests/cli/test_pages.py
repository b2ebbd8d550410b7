"""``zoo predict --pages`` and ``zoo evaluate --pages`` with a preset and the detector, on drawn pages."""

import json
import shutil

import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageDraw

import zoo
from zoo import cli
from zoo.formats.pages import read_pages
from zoo.plots.drawing import open_font

LINES = [
    "It was the best of times, it was the worst of times,",
    "it was the age of wisdom, it was the age of foolish-",
    "ness, it was the epoch of belief, it was the epoch of",
    "incredulity, it was the season of Light.",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """line_ocr_en as an .onnx file, which each process loads at once."""
    from export.onnx_file import to_onnx

    path = tmp_path_factory.mktemp("model") / "line_ocr_en.onnx"
    to_onnx(zoo.load("line_ocr_en"), path)
    return str(path)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A page of four lines, ``scans/a.png``."""
    folder = tmp_path_factory.mktemp("pages") / "scans"
    folder.mkdir()
    page = Image.new("L", (900, 760), 245)
    pen = ImageDraw.Draw(page)
    for i, line in enumerate(LINES):
        pen.text((60, 90 + 52 * i), line, fill=20, font=open_font(26))
    page.save(folder / "a.png", dpi=(100, 100))
    return folder / "a.png"


def run(capsys, *arguments):
    """``(status, standard output, standard error)`` of a command."""
    status = cli.main([str(one) for one in arguments])
    return status, *capsys.readouterr()


def test_text(model, scan, capsys):
    status, out, err = run(capsys, "predict", model, scan, "--pages", "--plot", scan.parent.parent / "p.png")
    assert (status, out.splitlines(), err) == (0, LINES, "")
    assert Image.open(scan.parent.parent / "p.png").size == (900, 760)
    _, out, _ = run(capsys, "predict", model, scan, "--dehyphenate")
    assert "foolishness,\nit was the epoch" in out
    _, out, _ = run(capsys, "predict", model, scan, "--pages", "--format", "json")
    (found,) = json.loads(out)
    assert found["text"].splitlines() == LINES and found["confidence"] > 0.8
    first = found["pages"][0]["regions"][0]["lines"][0]["words"][0]
    assert first["text"] == "It" and 50 < first["polygon"][0][0] < 65


@pytest.mark.parametrize("format", ["alto", "page", "hocr"])
def test_xml_of_a_page_read_once_more(model, scan, format, tmp_path, capsys):
    """Its lines, ids included, are those that are read and written again."""
    shutil.copy(scan, tmp_path / "a.png")
    status, out, err = run(capsys, "predict", model, tmp_path / "a.png", "--format", format)
    assert (status, err) == (0, "")
    (tmp_path / "a.xml").write_text(out.replace("line_2", "mine"), encoding="utf-8")
    status, again, err = run(capsys, "predict", model, tmp_path / "a.xml", "--format", format)
    assert (status, err) == (0, "")
    (page,) = read_pages(again.encode(), "again")
    assert [line.text for line in page.lines] == LINES
    assert [line.name for line in page.lines] == ["line_1", "mine", "line_3", "line_4"]
    assert page.lines[0].words[1].text == "was" and page.lines[0].words[1].confidence > 0.8


def test_a_searchable_pdf_of_a_folder(model, scan, tmp_path, capsys):
    """In two processes; what is there stays, a bad file is told, and a PDF is read like any other page."""
    folder = tmp_path / "scans"
    shutil.copytree(scan.parent, folder)
    shutil.copy(scan, folder / "b.png")
    (folder / "c.png").write_bytes(b"no image")
    options = "--format", "pdf", "--output", tmp_path / "read", "--processes", 2
    status, out, err = run(capsys, "predict", model, folder, *options)
    assert (status, out) == (3, f"{tmp_path / 'read'}: 2 written\n")
    assert err == f"zoo: {folder / 'c.png'}: not a readable image; give a PNG, JPEG or TIFF file.\n"
    assert sorted(one.name for one in (tmp_path / "read").iterdir()) == ["a.pdf", "b.pdf"]
    document = pypdfium2.PdfDocument(tmp_path / "read/a.pdf")
    text = document[0].get_textpage().get_text_range()
    assert text.replace("\r\n", "\n").replace("\ufffe", "-\n").split() == " ".join(LINES).split()
    assert document[0].get_size() == pytest.approx((9 * 72, 7.6 * 72), abs=1)
    (tmp_path / "read/b.pdf").write_bytes(b"mine")
    (folder / "c.png").unlink()
    status, out, err = run(capsys, "predict", model, folder, *options)
    assert (status, err) == (0, "") and "0 written; 2 were there already" in out
    assert (tmp_path / "read/b.pdf").read_bytes() == b"mine"
    _, out, _ = run(capsys, "predict", model, tmp_path / "read/a.pdf")
    assert out.splitlines() == LINES


def test_a_file_for_each_page(model, scan, tmp_path, capsys):
    pdf = pikepdf.new()
    for _ in range(2):
        pdf.add_blank_page(page_size=(150, 150))
    (tmp_path / "in").mkdir()
    pdf.save(tmp_path / "in/two.pdf")
    status, out, err = run(capsys, "predict", model, tmp_path / "in/two.pdf", "--format", "alto")
    assert status == 2 and "it has 2 pages; give a folder for them as --output" in err
    options = "--format", "alto", "--output", tmp_path / "out"
    assert run(capsys, "predict", model, tmp_path / "in", *options)[0] == 0
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["two-0001.xml", "two-0002.xml"]
    assert "1 were there already" in run(capsys, "predict", model, tmp_path / "in", *options)[1]


@pytest.mark.parametrize(
    "options, mend",
    [
        (["--format", "csv", "--output", "x"], "--output writes text, json, alto, page, hocr, pdf"),
        (["--pages", "--processes", "2"], "give a folder for them as --output"),
        (["--output", "x", "--plot", "p.png"], "leave out --output"),
        (["--format", "pdf", "b.png"], "--format pdf is for one page"),
        (["--pages", "none.png"], "none.png: cannot be read"),
    ],
)
def test_what_does_not_fit_together(model, scan, options, mend, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "predict", model, scan, *options)
    assert status in (2, 3) and mend in err and list(tmp_path.iterdir()) == []


def test_a_page_among_lines_is_told_where_to_go(model, scan, capsys):
    status, _, err = run(capsys, "predict", model, scan)
    assert status == 2 and err.endswith("; or have its lines found: --pages\n")


def test_evaluation(model, scan, tmp_path, capsys):
    """A line that the XML does not have counts, and what is said to be the same is so."""
    shutil.copy(scan, tmp_path / "a.png")
    _, out, _ = run(capsys, "predict", model, tmp_path / "a.png", "--format", "page")
    (tmp_path / "a.xml").write_text(out, encoding="utf-8")
    data = "--data", tmp_path, "--pages", "--format", "json"
    report = json.loads(run(capsys, "evaluate", model, *data)[1])
    assert [report[rate] for rate in ("cer", "page_cer", "xml_cer")] == [0, 0, 0]
    assert (report["pages"], report["lines"], report["missed"], report["unmatched"]) == (1, 4, 0, 0)
    (page,) = read_pages(out.encode(), "p")
    lost = out.replace(out[out.index('<TextLine id="line_4"') : out.rindex("</TextRegion>")], "")
    (tmp_path / "a.xml").write_text(lost.replace(">it was the age of wisdom,", ">it was the age of wizdom,"))
    report = json.loads(run(capsys, "evaluate", model, *data)[1])
    characters = sum(map(len, LINES[:3]))
    assert report["characters"] == characters and report["unmatched"] == 1
    assert report["cer"] == pytest.approx((len(LINES[3]) + 1) / characters, abs=1e-6)
    assert report["xml_cer"] == pytest.approx(1 / characters, abs=1e-6)
    report = json.loads(run(capsys, "evaluate", model, *data, "--same", "z=s")[1])
    assert report["xml_cer"] == 0
    assert len(page.lines) == 4 and np.isfinite(report["seconds"])
