"""Lines cut out of pages."""

import numpy as np
import pytest

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, Region, nowhere
from zoo.images.cutting import cut, cut_lines

PAPER, INK = 240, 20
NONE = nowhere()


def page_of(lines, size=None):
    return Page("", size, [Region("", "text", nowhere(), lines)])


def page(*marks, size=(200, 300)):
    """A page, uint8 ``[height, width, 1]``, with ink in ``(left, top, right, bottom)``."""
    pixels = np.full((*size, 1), PAPER, np.uint8)
    for left, top, right, bottom in marks:
        pixels[top:bottom, left:right] = INK
    return pixels


def outline(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def places(image):
    """The box of the ink of an image: left, top, right, bottom."""
    rows, columns = np.nonzero(image[:, :, 0] < 130)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_level_line_is_what_stands_there():
    pixels = page((50, 60, 100, 70), (50, 90, 100, 100))
    found = cut(pixels, outline(40, 50, 140, 80), np.array([(40, 70), (140, 70.0)]), 30).pixels
    assert found.shape == (34, 104, 1) and places(found) == (12, 12, 62, 22)
    inner = found[2:-2, 2:-2]
    np.testing.assert_array_equal(inner[:30, :100], pixels[50:80, 40:140])


def test_what_is_outside_of_the_outline_is_paper():
    pixels = page((50, 60, 100, 70), (120, 50, 140, 60))
    polygon = np.array([(40, 50), (110, 50), (110, 62), (140, 62), (140, 80), (40, 80)], float)
    found = cut(pixels, polygon, NONE, 30).pixels
    assert places(found)[2] <= 62 and found[2:, 80:].min() == PAPER


def test_a_slanted_line_becomes_level():
    size, angle = (300, 400), np.radians(12)
    pixels = page(size=size)
    for x in range(60, 340):  # strokes 14 high on a rising baseline
        y = round(200 - (x - 60) * np.tan(angle))
        pixels[y - 14 : y, x] = INK
    ends = np.array([(60, 200), (340, 200 - 280 * np.tan(angle))])
    polygon = np.concatenate([ends - [0, 24], (ends + [0, 8])[::-1]])
    found = cut(pixels, polygon, ends, 30).pixels
    left, top, right, bottom = places(found)
    assert 12 <= bottom - top <= 18 and abs(right - left - 280 / np.cos(angle)) < 6


@pytest.mark.parametrize("turns", range(4))
def test_turned_pages(turns):
    """Of a page on its side or upside down, lines are read along their baseline."""
    pixels, polygon = page((50, 60, 100, 70), (50, 50, 60, 60)), outline(40, 45, 110, 80)
    baseline = np.array([(40, 70), (110, 70.0)])
    wanted = cut(pixels, polygon, baseline, 30).pixels
    high, wide = pixels.shape[:2]
    for _ in range(turns):
        pixels = np.rot90(pixels)
        polygon, baseline = (np.stack([one[:, 1], wide - one[:, 0]], 1) for one in (polygon, baseline))
        high, wide = wide, high
    found = cut(np.ascontiguousarray(pixels), polygon, baseline, 30).pixels
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 12


def test_a_baseline_drawn_from_its_end():
    pixels, polygon = page((50, 60, 100, 70), (50, 50, 60, 60)), outline(40, 45, 110, 76)
    baseline = np.array([(40, 70), (110, 70.0)])
    wanted = cut(pixels, polygon, baseline, 30).pixels
    np.testing.assert_array_equal(cut(pixels, polygon, baseline[::-1], 30).pixels, wanted)


def test_baselines_alone_and_boxes_alone():
    pixels = page((50, 60, 100, 70), (50, 90, 100, 100))
    lines = [
        Line("a", "a", NONE, np.array([(40, 70), (140, 70.0)])),
        Line("b", "b", NONE, np.array([(40, 100), (140, 100.0)])),
        Line("c", "c", outline(40, 50, 140, 80), NONE),
        Line("d", "d", NONE, NONE),
        Line("e", "e", outline(400, 400, 500, 500), NONE),
    ]
    found = [getattr(image, "pixels", image) for _, image in cut_lines(pixels, page_of(lines), "p.xml")]
    assert [places(image)[3] - places(image)[1] for image in found[:3]] == [10, 10, 10]
    assert str(found[3]) == "p.xml: it has neither an outline nor a baseline"
    assert str(found[4]) == "p.xml: it lies outside of the image"


def test_points_beyond_the_page_and_outlines_that_cross_themselves():
    pixels = page((50, 60, 100, 70))
    found = cut(pixels, outline(-40, 50, 900, 80), NONE, 30).pixels
    assert found.shape[1] == 300 + 4 and places(found)[0] == 52
    crossing = np.array([(40, 50), (140, 80), (140, 50), (40, 80)], float)
    both = [cut(pixels, one, NONE, 30).pixels for one in (crossing, outline(40, 50, 140, 80))]
    assert places(both[0]) == places(both[1])


def test_the_image_of_another_size():
    pixels = page((100, 120, 200, 140), size=(400, 600))
    line = Line("a", "a", outline(40, 50, 140, 80), np.array([(40, 70), (140, 70.0)]))
    ((_, found),) = cut_lines(pixels, page_of([line], (300, 200)), "p.xml")
    assert places(found.pixels)[2] - places(found.pixels)[0] == 100
    with pytest.raises(UserError, match=r"p.xml: the image has 600x400 pixels, its XML is of 300x300"):
        list(cut_lines(pixels, page_of([line], (300, 300)), "p.xml"))


def test_a_part_of_a_line_has_its_place_in_the_page():
    pixels = page((100, 120, 200, 140), size=(400, 600))
    line = Line("a", "a", outline(40, 50, 140, 80), np.array([(40, 70), (140, 70.0)]))
    ((_, found),) = cut_lines(pixels, page_of([line], (300, 200)), "p.xml")
    left, _, right, _ = places(found.pixels)
    assert found.outline(left, right).tolist() == [[50, 50], [100, 50], [100, 80], [50, 80]]
    np.testing.assert_array_equal(found.outline(-9, 9999), line.polygon)


def test_the_place_in_a_slanted_line():
    angle = np.radians(12)
    ends = np.array([(60, 200), (340, 200 - 280 * np.tan(angle))])
    found = cut(page(size=(300, 400)), np.concatenate([ends - [0, 24], (ends + [0, 8])[::-1]]), ends, 30)
    first, second, third, fourth = found.outline(100, 150).astype(float)
    for upper, lower in ((first, second), (fourth, third)):
        along = lower - upper
        assert np.hypot(*along) == pytest.approx(50, abs=0.1)
        assert np.arctan2(*along[::-1]) == pytest.approx(-angle, abs=0.01)
    assert np.hypot(*(fourth - first)) == pytest.approx(len(found.pixels) - 2 * found.margin, abs=1)


def test_an_outline_over_the_lines_around_is_cut_off():
    """As some programs make them: it ends at the baseline above and before the letters below."""
    pixels = page((50, 30, 100, 40), (50, 60, 100, 70), (50, 90, 100, 100))
    ends = [np.array([(40, y), (140, y)], float) for y in (40, 70, 100)]
    lines = [Line(str(i), "", outline(40, 0, 140, 130), end) for i, end in enumerate(ends)]
    found = [one.pixels for _, one in cut_lines(pixels, page_of(lines), "p.xml")]
    assert [places(one)[3] - places(one)[1] for one in found] == [10, 10, 10]


def test_steps_in_a_baseline_do_not_tear_letters():
    pixels = page((50, 60, 250, 70))
    steps = [(40, 70), (100, 70), (100, 73), (150, 73), (150, 68), (200, 68), (200, 70), (260, 70)]
    found = cut(pixels, outline(40, 45, 260, 80), np.array(steps, float), 30).pixels
    assert np.count_nonzero((found[:, :, 0] < 130).any(1)) <= 14
