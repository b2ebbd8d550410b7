"""Whole pages as people have them."""

import io

import numpy as np
import pikepdf
import pytest
from PIL import Image

from zoo.errors import UserError
from zoo.images.sheets import open_sheets


def grey(width, height, shade=200):
    return Image.new("L", (width, height), shade)


def saved(path, *images, **options):
    images[0].save(path, save_all=len(images) > 1, append_images=images[1:], **options)
    return str(path)


def problem(item):
    with pytest.raises(UserError) as error:
        list(open_sheets(item))
    return str(error.value)


def test_one_image(tmp_path):
    path = saved(tmp_path / "a.png", grey(300, 400), dpi=(200, 200))
    (sheet,) = open_sheets(path)
    assert (sheet.name, sheet.image, sheet.source, sheet.page) == (path, "a.png", None, None)
    assert sheet.pixels.shape == (400, 300, 1) and sheet.dpi == pytest.approx((200, 200), abs=0.1)
    for item in (grey(300, 400), np.full((400, 300), 200, np.uint8), (tmp_path / "a.png").read_bytes()):
        (other,) = open_sheets(item)
        np.testing.assert_array_equal(other.pixels, sheet.pixels)


def test_a_jpeg_stays_as_it_is_unless_it_is_turned(tmp_path):
    path = saved(tmp_path / "a.jpg", grey(300, 400))
    (sheet,) = open_sheets(path)
    assert sheet.source == (tmp_path / "a.jpg").read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    (turned,) = open_sheets(saved(tmp_path / "b.jpg", grey(300, 400), exif=exif))
    assert turned.source is None and turned.pixels.shape == (300, 400, 1)


def test_a_tiff_of_several_pages(tmp_path):
    path = saved(tmp_path / "a.tif", grey(300, 400), grey(200, 100), grey(50, 60))
    sheets = list(open_sheets(path))
    assert [sheet.pixels.shape[:2] for sheet in sheets] == [(400, 300), (100, 200), (60, 50)]
    assert sheets[1].name == f"{path}, page 2"


def test_pixels_of_a_fax_become_square(tmp_path):
    (sheet,) = open_sheets(saved(tmp_path / "f.tif", grey(1728, 1100), dpi=(204, 98)))
    assert sheet.pixels.shape[:2] == (round(1100 * 204 / 98), 1728)
    assert sheet.scale == pytest.approx((1, 204 / 98))


def test_a_pdf(tmp_path):
    path = tmp_path / "a.pdf"
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(144, 216))
    pdf.add_blank_page(page_size=(72, 72))
    pdf.save(path)
    first, second = open_sheets(path)
    assert first.pixels.shape in ((900, 600, 3), (901, 600, 3)) and first.dpi == pytest.approx((300, 300))
    assert (first.source, second.source) == ((str(path), 0), (str(path), 1))
    assert [sheet.source for sheet in open_sheets(path.read_bytes())] == [None, None]


def test_pdfs_that_cannot_be_read(tmp_path):
    pdf = pikepdf.new()
    pdf.save(tmp_path / "none.pdf")
    pdf.add_blank_page()
    pdf.save(tmp_path / "a.pdf")
    pdf.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption(user="x", owner="y"))
    data = (tmp_path / "a.pdf").read_bytes()
    assert problem(tmp_path / "none.pdf").endswith("this PDF has no pages; save it again")
    assert problem(tmp_path / "locked.pdf").endswith("is encrypted; save it without a password")
    assert problem(data[:100]) == "the bytes: this PDF is damaged; save it again"


def described(folder, image, size=(300, 400), name="p.xml"):
    region = '<TextRegion id="r"><Coords points="1,1 9,9 1,9"/></TextRegion>'
    page = f'<Page imageFilename="{image}" imageWidth="{size[0]}" imageHeight="{size[1]}">{region}</Page>'
    (folder / name).write_text(f"<PcGts>{page}</PcGts>")
    return str(folder / name)


def test_xml_beside_its_image(tmp_path):
    saved(tmp_path / "a.png", grey(300, 400))
    (sheet,) = open_sheets(described(tmp_path, "elsewhere/a.tif"))  # of TIFFs many a folder has PNGs
    assert sheet.image == "elsewhere/a.tif" and sheet.pixels.shape == (400, 300, 1)
    assert [region.name for region in sheet.page.regions] == ["r"]
    assert "its image b.png is not there" in problem(described(tmp_path, "b.png"))
    (tmp_path / "q.xml").write_text("<root/>")
    assert "no ALTO, PAGE, hOCR or ABBYY's XML" in problem(tmp_path / "q.xml")
    (tmp_path / "r.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><PcGts>&a;</PcGts>')
    assert "it declares XML entities" in problem(tmp_path / "r.xml")


def test_a_bad_page_is_in_its_place(tmp_path):
    data = io.BytesIO()
    grey(300, 400).save(data, "TIFF", save_all=True, append_images=[grey(300, 2), grey(300, 400)])
    first, bad, last = open_sheets(data.getvalue())
    assert first.pixels.shape == last.pixels.shape
    assert isinstance(bad, UserError) and str(bad).startswith("the bytes, page 2: ")


def test_too_many_pixels(tmp_path):
    image = Image.new("1", (20_000, 10_500))
    assert problem(saved(tmp_path / "a.tif", image, compression="group4")).endswith("; scale it down.")
