"""Line images as Calamari sees them, beside OpenCV, which it uses."""

import numpy as np
import pytest

from zoo.images.calamari import MARGIN, dewarp, scale

cv2 = pytest.importorskip("cv2")


def line(height, width, seed, channels=3):
    """A slanting, waving line of writing with some dirt."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:height, :width]
    middle = height * (0.4 + 0.2 * column / width + 0.05 * np.sin(column / 40))
    strokes = np.repeat(random.random(width // 4 + 1) < 0.5, 4)[:width]
    dark = (np.abs(row - middle) < height * 0.15) & strokes
    image = np.where(dark, 40, 225)[:, :, None] + random.integers(0, 30, (height, width, channels))
    return image.astype("uint8")


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]


def resized(image, height):
    if len(image) == height:
        return image
    shape = max(round(height / len(image) * image.shape[1]), 1), height
    how = cv2.INTER_AREA if len(image) >= height else cv2.INTER_LINEAR
    return cv2.resize(image, shape, interpolation=how)


def straightened(image, height):
    """Along the darkest row of a smoothed image, kept four mean distances of the ink on each side."""
    if len(image) > height * 1.5:
        image = resized(image, int(height * 1.5))
    rows, columns = image.shape
    ink = image.max() - image.astype("float64")
    smooth = cv2.GaussianBlur(ink, (0, 0), sigmaX=rows, sigmaY=rows / 2, borderType=cv2.BORDER_CONSTANT)
    smooth += 0.001 * cv2.blur(smooth, (columns, rows // 2), borderType=cv2.BORDER_CONSTANT)
    darkest = smooth.argmax(0).astype("float64")
    kernel = cv2.getGaussianKernel(int(8 * rows * 0.3 + 1), rows * 0.3)[:, 0]
    before = len(kernel) // 2
    mirrored = np.pad(darkest, (before, len(kernel)), "symmetric")
    middle = np.array([mirrored[i : i + len(kernel)] @ kernel for i in range(columns)])
    middle = np.ceil(middle - 0.5 - 1e-6).astype(int)
    half = int(1 + 4 * np.abs(np.arange(rows)[:, None] - middle)[ink > 0].mean())
    padded = np.pad(image, ((half, half), (0, 0)), constant_values=image.max())
    cut = [padded[first : first + 2 * half, i] for i, first in enumerate(middle)]
    return resized(np.stack(cut, 1), height)


def prepared(image):
    light = image.T.astype("float32") / np.float32(255)
    dark = 1 - light / light.max()
    return np.pad(np.floor(dark.astype("float64") * 255) / 255, ((MARGIN, MARGIN), (0, 0)))


@pytest.mark.parametrize("ours, theirs", [(scale, resized), (dewarp, straightened)])
@pytest.mark.parametrize("height", [20, 48])
def test_pixels_are_those_of_opencv_alone_and_in_a_batch(height, ours, theirs):
    images = [line(39, 300, 1), line(75, 411, 2), line(20, 90, 3), line(144, 500, 4), line(48, 9, 5)]
    size = np.int32([image.shape[:2] for image in images])
    batch = np.full((len(images), *size.max(0) + 3, 3), 90, "uint8")
    for row, image in zip(batch, images, strict=True):
        row[: len(image), : image.shape[1]] = image
    pixels, columns = (value.numpy() for value in ours(batch, size, height, multiple=8))
    assert pixels.shape[1] % 8 == 0
    for found, count, image in zip(pixels, columns, images, strict=True):
        expected = prepared(theirs(grey(image), height))
        assert count == len(expected)
        apart = 255 * np.abs(found[: len(expected)] - expected)
        # OpenCV's versions round in their own ways, and of two rows as dark as each other take either.
        assert (apart > 1.5).mean() < 0.01
        assert not found[:MARGIN].any() and not found[len(expected) - MARGIN :].any()


def test_grey_and_the_whole_range_of_ink():
    image = line(40, 100, 6, channels=1) // 2  # paper no lighter than 127
    pixels, _ = scale(image[None], np.int32([[40, 100]]), 40)
    assert np.abs(pixels[0].numpy() - prepared(grey(image))).max() < 1.5 / 255
    assert pixels.numpy().min() == 0


@pytest.mark.parametrize("ours", [scale, dewarp])
@pytest.mark.parametrize("level", [0, 200, 255])
def test_an_empty_line_has_no_ink(ours, level):
    pixels, columns = ours(np.full((1, 20, 50, 1), level, "uint8"), np.int32([[20, 50]]), 12)
    assert not pixels.numpy().any() and columns[0] == 30 + 2 * MARGIN
