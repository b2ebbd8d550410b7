import numpy as np
import pytest

from zoo.decoding.strokes import part_strokes
from zoo.formats.strokes import as_points

PLUS = [[[0, 5], [8, 5]], [[4, 1], [4, 9]]]
ONE = [[[0, 0], [0, 10]]]
EQUALS = [[[0, 3], [8, 3]], [[0, 7], [8, 7]]]


def line(*symbols, gap=4):
    strokes, left, owners = [], 0, []
    for number, symbol in enumerate(symbols):
        for stroke in symbol:
            dense = [np.linspace(a, b, 6) for a, b in zip(stroke[:-1], stroke[1:], strict=True)]
            strokes.append(np.concatenate(dense) + [left, 0])
            owners += [number] * len(as_points([strokes[-1]], "a"))
        left += max(x for stroke in symbol for x, _ in stroke) + gap
    return as_points(strokes, "a"), np.array(owners)


@pytest.mark.parametrize("shift", [-4, 0, 4])
def test_strokes_above_one_another_belong_together(shift):
    """CTC's places may be a little early or late."""
    points, owners = line(ONE, EQUALS, PLUS, ONE)
    places = [np.flatnonzero(owners == i).mean() + shift for i in range(4)]
    np.testing.assert_array_equal(part_strokes(points, places), owners)


def test_two_that_touch_are_told_by_their_places():
    points, owners = line(ONE, ONE, gap=0)
    np.testing.assert_array_equal(part_strokes(points, [2, 9]), owners)


def test_a_cost_decides_how_many_strokes_one_has():
    points, owners = line(ONE, ONE, ONE)
    places = [3, 9]
    one = part_strokes(points, places, lambda token, count: 5.0 * (token == 0 and count != 2))
    other = part_strokes(points, places, lambda token, count: 5.0 * (token == 0 and count != 1))
    np.testing.assert_array_equal(one, [0] * 12 + [1] * 6)
    np.testing.assert_array_equal(other, [0] * 6 + [1] * 12)


def test_a_joined_stroke_is_cut():
    points = as_points([[[i, i % 2] for i in range(10)]], "a")
    assert part_strokes(points, [2.0, 7.0]).tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize("places", [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0, 1, 1, 1, 1]])
def test_more_tokens_than_places(places):
    points = as_points([[[0, 0], [1, 1]]], "a")
    owner = part_strokes(points, places)
    assert owner.tolist() == [0, 1]


def test_every_point_belongs_to_one_token_in_order():
    random = np.random.default_rng(0)
    for _ in range(30):
        strokes = [random.random((random.integers(1, 9), 2)) + [i, 0] for i in range(random.integers(1, 12))]
        points = as_points([[[9, 9], [8, 8]], *strokes], "a")
        places = np.sort(random.random(random.integers(1, 9)) * len(points))
        owner = part_strokes(points, places)
        assert (np.diff(owner) >= 0).all() and set(owner) == set(range(min(len(points), len(places))))
