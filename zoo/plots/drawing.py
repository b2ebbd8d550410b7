"""What pictures of results share: their font, and how they come to be a file."""

import warnings

from PIL import Image, ImageFont

from zoo.files import atomic_write


def open_font(size, bold=False):
    """DejaVu Sans, which comes with matplotlib, ``size`` pixels high; a box stands for what it lacks."""
    import matplotlib

    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)


def save(picture, path):
    """Write a PIL image or a matplotlib figure as a PNG file, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a box stands for what the font lacks
        if isinstance(picture, Image.Image):
            picture.save(file, "PNG")
        else:
            picture.savefig(file, format="png", dpi=110)
