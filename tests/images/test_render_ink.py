import gzip
import json

import numpy as np
import pytest

from zoo.cli import main
from zoo.images.render.ink import Library, Texts, composed, drawn

ONE, CROSS = [np.array([[0.0, 0], [0, 10]])], [np.array([[0.0, 6], [8, 6]]), np.array([[4.0, 2], [4, 10]])]
LOW = [np.array([[0.0, 9], [0, 10]])]


def text(*symbols, scale=1.0, gap=4.0, drop=0.0):
    """A text of ``(token, strokes)``, each a little to the right of the one before."""
    found, left = [], 0.0
    for token, strokes in symbols:
        moved = [scale * (s + [left, drop]) for s in strokes]
        found.append((token, moved))
        left += max(s[:, 0].max() for s in strokes) + gap
    return found


@pytest.fixture
def library():
    symbols = [("1", ONE), ("+", CROSS), ("1", ONE), (".", LOW)]
    return Library([text(*symbols, scale=s, drop=d) for s, d in ((1, 0), (20, 3), (0.1, -7), (1, 90))])


def test_symbols_keep_their_size_and_height(library):
    assert {token: len(some) for token, some in library.symbols.items()} == {"1": 8, "+": 4, ".": 4}
    for seed in range(5):
        strokes = library.write(["+", "1", ".", "1"], np.random.default_rng(seed))
        cross, one, dot = np.concatenate(strokes[:2]), strokes[2], strokes[3]
        size = np.ptp(one[:, 1])
        assert np.ptp(cross[:, 1]) == pytest.approx(0.8 * size, rel=0.5)
        assert dot[:, 1].mean() > one[:, 1].mean() + 0.2 * size
        assert cross[:, 0].max() < one[:, 0].min() < dot[:, 0].min()
    assert library.write(["2"], np.random.default_rng(0)) is None


def test_what_is_cut_wrongly_is_left_out():
    good = [text(("1", ONE), ("+", CROSS), ("1", ONE)) for _ in range(20)]
    odd = [
        text(("1", CROSS), ("+", CROSS)),
        text(("1", [40 * ONE[0]]), ("+", CROSS), ("+", CROSS), ("+", CROSS)),
    ]
    assert len(Library([*good, *odd]).symbols["1"]) == 40


def test_texts_like_others(library):
    texts = Texts([["1", "+", "2"], ["x"]], {"1", "+", "2", "3", "-"})
    random = np.random.default_rng(1)
    found = [texts.draw(random) for _ in range(200)]
    assert {len(one) for one in found} == {1, 2, 3} and ["2", "+", "2"] in found
    assert all(one[1] == "+" for one in found if len(one) == 3)
    with_known = list(composed(library, Texts([["1", "+", "1"]], library.symbols), 5, 0))
    again = list(composed(library, Texts([["1", "+", "1"]], library.symbols), 5, 0))
    assert [t for t, _ in with_known] == [t for t, _ in again]
    np.testing.assert_array_equal(with_known[3][1][0], again[3][1][0])


def test_stroke_fonts(tmp_path):
    pytest.importorskip("HersheyFonts")
    ((said, strokes), (_, other)) = drawn(["to be"], 2, 0)
    assert said == "to be" and len(strokes) >= 4 and len(strokes[0]) > 5
    assert np.ptp(np.concatenate(strokes)[:, 0]) > np.ptp(np.concatenate(strokes)[:, 1])
    assert len(other) != len(strokes) or not np.array_equal(other[0], strokes[0])
    words, output = tmp_path / "words.txt", tmp_path / "drawn.jsonl.gz"
    words.write_text("to be\nor not\n")
    assert (
        main(["render", "--ink", "--fonts", "--text", str(words), "--count", "3", "--output", str(output)])
        == 0
    )
    lines = [json.loads(line) for line in gzip.decompress(output.read_bytes()).splitlines()]
    assert [line["name"] for line in lines] == ["000001", "000002", "000003"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--ink", "--count", "3", "--output", "a.jsonl"], "needs a corpus and a --model"),
        (["--ink", "--fonts", "--count", "3", "--output", "a.jsonl"], "--fonts draws the lines of --text"),
        (["--ink", "c", "--model", "m", "--count", "0", "--output", "a.jsonl"], "1 or more"),
        (["--ink", "c", "--model", "m", "--count", "3", "--output", "a.tar"], "name it so"),
    ],
)
def test_what_is_asked_wrongly_is_told(arguments, problem, capsys):
    assert main(["render", *arguments]) == 2
    assert problem in capsys.readouterr().err
