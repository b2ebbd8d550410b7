import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from zoo.errors import UserError
from zoo.plots.drawing import open_font, save


def test_fonts():
    thin, bold = open_font(20), open_font(20, bold=True)
    assert thin.getlength("word") < bold.getlength("word") < open_font(40).getlength("word")


@pytest.mark.filterwarnings("error")
def test_pictures_and_figures_are_png_files(tmp_path):
    save(Image.new("RGB", (30, 20), "red"), tmp_path / "a.picture")
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, "\U00013000", parse_math=False)  # no font here has it
    save(figure, tmp_path / "b")
    one, other = (Image.open(tmp_path / name) for name in ("a.picture", "b"))
    assert (one.format, one.size, one.getpixel((3, 3))) == ("PNG", (30, 20), (255, 0, 0))
    assert (other.format, other.size) == ("PNG", (220, 110)) and np.asarray(other).min() < 128


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(AttributeError):
        save("no picture", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "mine"
    with pytest.raises(UserError, match="not a file"):
        save(Image.new("L", (1, 1)), tmp_path)
