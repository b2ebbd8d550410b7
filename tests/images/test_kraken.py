"""Line images as kraken sees them, beside Pillow and SciPy, which it uses."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from zoo.images.kraken import MARGIN, invert, straighten


def line(height, width, seed):
    """A slanting, waving line of writing with some dirt, uint8 ``[height, width, 3]``."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:height, :width]
    middle = height * (0.4 + 0.2 * column / width + 0.05 * np.sin(column / 40))
    strokes = np.repeat(random.random(width // 4 + 1) < 0.5, 4)[:width]
    dark = (np.abs(row - middle) < height * 0.15) & strokes
    image = np.where(dark, 40, 225)[:, :, None] + random.integers(0, 30, (height, width, 3))
    return image.astype("uint8")


def batched(images):
    size = np.int32([image.shape[:2] for image in images])
    batch = np.full((len(images), *size.max(0) + 3, 3), 90, "uint8")
    for row, image in zip(batch, images, strict=True):
        row[: len(image), : image.shape[1]] = image
    return batch, size


def scaled(image, height):
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((int(grey.width * height / grey.height), height), Image.Resampling.LANCZOS))


def straightened(image, height):
    """Written after kraken's documentation of its centre line normaliser."""
    grey = np.asarray(Image.fromarray(image).convert("L"))
    rows, columns = grey.shape
    ink = (grey.max() - grey) / (grey.max() - grey).max()
    smooth = ndimage.gaussian_filter(ink, (rows * 0.5, rows), mode="constant")
    smooth += 0.001 * ndimage.uniform_filter(smooth, (int(rows * 0.5), columns), mode="constant")
    # kraken smooths whole numbers: rounding errors of SciPy's decide between 41 and 42 where it is level.
    middle = ndimage.gaussian_filter(np.argmax(smooth, 0).astype("float64"), rows * 0.3)
    middle = np.floor(middle + 1e-6).astype(int)
    away = np.abs(np.arange(rows)[:, None] - middle)
    half = int(1 + 4 * away[ink > 0].mean())
    padded = np.pad(grey, ((4 * rows, 4 * rows), (0, 0)), constant_values=grey.max())
    first = middle + 4 * rows - half
    cut = np.stack([padded[first[i] : first[i] + 2 * half, i] for i in range(columns)], 1).astype("float32")
    scale = height / (2 * half)
    shape = height, int(scale * columns)
    found = ndimage.affine_transform(
        cut, np.ones(2) / scale, order=1, output_shape=shape, mode="constant", cval=float(grey.max())
    )
    return found.astype("uint8")


@pytest.mark.parametrize("height", [12, 48])
@pytest.mark.parametrize("ours, theirs", [(invert, scaled), (straighten, straightened)])
def test_pixels_are_those_of_kraken_alone_and_in_a_batch(height, ours, theirs):
    images = [line(40, 300, 1), line(75, 411, 2), line(20, 90, 3)]
    pixels, columns = (value.numpy() for value in ours(*batched(images), height, multiple=8))
    assert pixels.shape[1] % 8 == 0
    for found, count, image in zip(pixels, columns, images, strict=True):
        expected = 1 - theirs(image, height).T / 255
        assert count == len(expected) + 2 * MARGIN
        assert np.abs(found[MARGIN : MARGIN + len(expected)] - expected).max() < 1e-5
        assert not found[:MARGIN].any() and not found[MARGIN + len(expected) :].any()


def test_an_empty_line_is_white():
    for ours in (invert, straighten):
        pixels, _ = ours(np.full((1, 20, 50, 1), 255, "uint8"), np.int32([[20, 50]]), 12)
        assert not pixels.numpy().any()
