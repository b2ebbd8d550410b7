"""From boxes to lines in reading order."""

import numpy as np
import pytest

from zoo.images import layout

HIGH = 40  # pixels of a box; lines are 50 apart


def boxes(*places, angle=0.0):
    """``(left, top, right)`` of boxes, perhaps of a page that is turned by an angle."""
    corners = np.array(
        [[(x, y), (right, y), (right, y + HIGH), (x, y + HIGH)] for x, y, right in places], np.float32
    )
    cos, sin = np.cos(angle), np.sin(angle)
    return corners @ np.array([[cos, sin], [-sin, cos]], np.float32)


def order(found, places, angle=0.0):
    """The numbers of the places, by the lines that were found, in reading order."""
    corners = boxes(*places, angle=angle)
    lines = [line for region in found for line in region.lines]
    return [int(np.abs(corners[:, 0] - line.polygon[0]).sum(1).argmin()) for line in lines]


def column(x, width, count, top=100):
    return [(x, top + 50 * i, x + width) for i in range(count)]


@pytest.mark.parametrize("angle", [0, 0.06, -0.1])
def test_columns_are_read_one_after_the_other(angle):
    places = [(100, 0, 1500), *column(100, 650, 6), *column(800, 700, 6)]
    shuffled = np.random.default_rng(0).permutation(len(places))
    found = layout.regions_of(boxes(*places, angle=angle)[shuffled])
    assert order(found, places, angle) == list(range(13))
    assert [len(region.lines) for region in found] == [1, 6, 6]


def test_three_columns_and_a_headline_among_them():
    above = [*column(0, 400, 3), *column(450, 400, 3), *column(900, 400, 3)]
    headline = [(0, 300, 1300)]
    below = [*column(0, 400, 3, 400), *column(450, 400, 3, 400), *column(900, 400, 3, 400)]
    places = [*above, *headline, *below]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(19))


def test_columns_from_right_to_left():
    places = [*column(800, 700, 5), *column(100, 650, 5)]
    assert order(layout.regions_of(boxes(*places), "rtl"), places) == list(range(10))
    assert order(layout.regions_of(boxes(*places)), places) == [*range(5, 10), *range(5)]


def test_rows_of_a_table():
    """Numbers at the right belong to what stands left of them."""
    names = [(100, 50 * i, 400 + 20 * (i % 4)) for i in range(8)]
    numbers = [(900, 50 * i, 980) for i in range(8)]
    places = [one for pair in zip(names, numbers, strict=True) for one in pair]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(16))
    more = [(900, -130, 1000), (930, 430, 980), (900, 500, 990)]
    found = order(layout.regions_of(boxes(*places, *more)), [*places, *more])
    assert [i for i in found if i < 16] == list(range(16))


def test_prices_of_a_catalogue():
    """Each stands beside the last line of an entry, whose first line reaches over it."""
    places = [(1400, 0, 1450), (300, 80, 900)]
    for top in range(150, 950, 100):
        places += [(100, top, 1500), (160, top + 50, 500), (1350, top + 50, 1500)]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(26))


def test_a_strip_of_the_next_page():
    """Its beginnings of lines stand level with two columns, and are no cells of a table."""
    left, right, strip = column(0, 650, 12), column(700, 650, 12), column(1450, 40, 8, 200)
    places = [*left, *right, *strip]
    found = order(layout.regions_of(boxes(*places)), places)
    assert [i for i in found if i < 24] == list(range(24))


def test_numbers_of_a_page_above_and_below_two_columns():
    top, bottom = (1400, 0, 1450), (760, 450, 790)
    places = [top, *column(100, 650, 6), *column(800, 700, 6), bottom]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(14))


def test_ends_of_paragraphs_are_no_table():
    """Lines of two columns stand level; short ones below long ones are no column of numbers."""
    left = [(100, 50 * i, 750) for i in range(12)]
    right = [(800, 50 * i, 1500 if i % 4 < 3 else 950) for i in range(12)]
    places = [*left, *right]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(24))


def test_notes_in_a_margin():
    text = column(400, 900, 10)
    notes = [(100, 123 + 37 * i, 330) for i in range(3)]
    places = [*notes, *text]
    found = layout.regions_of(boxes(*places))
    assert order(found, places) == list(range(13)) and [len(r.lines) for r in found] == [3, 10]


def test_a_running_title_and_a_page_number():
    places = [(100, 0, 500), (1400, 0, 1500), *column(100, 650, 5, 150), *column(800, 700, 5, 150)]
    assert order(layout.regions_of(boxes(*places)), places) == list(range(12))


def test_pieces_of_one_line():
    """Boxes with a gap between them that lines above and below reach over are one line."""
    places = [*column(100, 1000, 3), (100, 250, 500), (620, 250, 1100), *column(100, 1000, 3, 300)]
    (region,) = layout.regions_of(boxes(*places))
    assert len(region.lines) == 7
    np.testing.assert_allclose(region.lines[3].polygon, boxes((100, 250, 1100))[0], atol=0.01)
    baseline = region.lines[3].baseline
    assert baseline[:, 0].tolist() == [100, 1100] and 250 + HIGH / 2 < baseline[0, 1] < 250 + HIGH


def test_paragraphs_are_regions():
    places = [*column(100, 1000, 4), *column(100, 1000, 4, 400)]
    assert [len(region.lines) for region in layout.regions_of(boxes(*places))] == [4, 4]


def test_nothing_is_no_line():
    assert layout.regions_of(np.zeros((0, 4, 2))) == []
    assert not layout.is_on_its_side(np.zeros((0, 4, 2))) and layout.angle_of(np.zeros((0, 4, 2))) == 0


def test_a_page_on_its_side():
    upright = boxes(*column(100, 600, 5))
    assert not layout.is_on_its_side(upright)
    turned = upright[:, :, ::-1][:, [0, 3, 2, 1]]
    assert layout.is_on_its_side(turned)


@pytest.mark.parametrize("free", [True, False])
def test_a_box_over_two_columns_is_split_where_nothing_stands_between(free):
    pixels = np.full((700, 1700, 1), 255, np.uint8)
    places = [*column(100, 650, 5), *column(800, 700, 5)]
    for left, top, right in [*places, (100, 350, 750), (800, 350, 1500)]:
        pixels[top + 10 : top + 30, left + 10 : right - 10 : 4] = 0
    pixels[60:420, 774:777] = 0  # a rule
    if not free:
        pixels[360:380, 740:810:4] = 0
    both = boxes(*places, (100, 350, 1500))
    found = layout.split_boxes(both, pixels)
    assert len(found) == (12 if free else 11)
    if free:
        assert 760 < found[-2][1, 0] == found[-1][0, 0] < 790
        assert order(layout.regions_of(found), [*places[:5], (100, 350, 0), *places[5:]])[:6] == list(
            range(6)
        )


@pytest.mark.parametrize("slope", [0, 0.003])
def test_a_rule_over_columns_parts_a_page(slope):
    places = [place for top in (0, 400) for x in (50, 500) for place in column(x, 400, 5, top)]
    pixels = np.full((700, 1000, 3), 255, np.uint8)
    for left, top, right in places:
        pixels[top + 10 : top + 30, left:right:4] = 0
    assert len(layout.find_rules(boxes(*places), pixels)) == 0
    for x in range(50, 900):
        pixels[round(325 + slope * x) :][:3, x] = 0
    pixels[270:273, 500:600] = 0  # below a headline
    (rule,) = layout.find_rules(boxes(*places), pixels)
    assert rule[0, 0] > 50 and rule[1, 0] < 900 and rule[0, 1] < 325 < rule[3, 1] < 360
    assert order(layout.regions_of(boxes(*places), "ltr", rule[None]), places) == list(range(20))
    assert order(layout.regions_of(boxes(*places)), places) != list(range(20))
