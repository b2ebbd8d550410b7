"""Numbers over time, as loggers and spreadsheets write them."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UserError
from zoo.formats import numbers
from zoo.formats.numbers import Rows, read_numbers
from zoo.formats.ts import read_ts

NAN = float("nan")


@pytest.mark.parametrize(
    "text, columns, rows",
    [
        ("x,y\n1,2\n3,4\n", ["x", "y"], [[1, 2], [3, 4]]),
        ("1\t2\r\n3\t4", None, [[1, 2], [3, 4]]),
        ("# a logger\n1 2\n\n 3   4 \n", None, [[1, 2], [3, 4]]),
        ("a;b\n1,5;2\n3;4,25\n", ["a", "b"], [[1.5, 2], [3, 4.25]]),  # decimal commas
        ('"a","b"\n"1","-2e3"\n', ["a", "b"], [[1, -2000]]),
        ("time,a\n2024-01-01 10:00,1\n2024-01-01 10:01,2\n", ["a"], [[1], [2]]),
        ("a,Frame,b\n1,0,2\n3,1,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("a,b\n1,\n,NA\nnull,?\ninf,4\n", ["a", "b"], [[1, NAN], [NAN, NAN], [NAN, NAN], [NAN, 4]]),
        ("a,b,\n1,2,\n", ["a", "b"], [[1, 2]]),  # a separator behind the last
        ("\ufeffa,b\n1,2\n", ["a", "b"], [[1, 2]]),
        ("5", None, [[5]]),
    ],
)
def test_as_they_are_written(text, columns, rows, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    for source in (path, text.encode(), gzip.compress(text.encode())):
        found, values = read_numbers(source)
        assert found == columns and values.dtype == np.float32
        np.testing.assert_array_equal(values, np.array(rows, np.float32))
    parser = Rows("a")  # row by row, as they come
    parts = [parser.block([line]) for line in text.removeprefix("\ufeff").splitlines()]
    np.testing.assert_array_equal(np.concatenate([part for part in parts if len(part)]), values)


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"", "no row of numbers"),
        (b"x,y\n", "no row of numbers"),
        (b"x,y\n1,2\n3,four\n", "line 3, column y: 'four' is no number"),
        (b"1,2\n" * 5 + b"1,2,3\n", "line 6 has 3 columns, the first 2"),
        (b"1,2\n" * 5 + b"1\n", "line 6 has 1 column, the first 2"),
        (b"t\n1\n", "tell the time alone"),
        (b"x,x\n1,2\n", "two columns are called x"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\0\0", "no text"),
        (b"\x93NUMPY\x01\0x", "no array of numbers"),
    ],
)
def test_what_is_no_table_of_numbers(data, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read_numbers(data, "a.csv")
    assert str(caught.value).startswith("a.csv")


def test_arrays(tmp_path):
    def stored(values):
        file = io.BytesIO()
        np.save(file, values)
        return file.getvalue()

    for values in (np.arange(6).reshape(3, 2), np.ones((1, 1), "float16"), np.array([1.5, np.inf])):
        for source in (values, stored(values)):
            columns, found = read_numbers(source)
            assert columns is None and found.ndim == 2 and found.dtype == np.float32
            assert len(found) == len(values)
    assert np.isnan(read_numbers(np.array([1.5, np.inf]))[1][1])
    for bad in (np.zeros((0, 3)), np.zeros((2, 2, 2)), np.array(["a"])):
        with pytest.raises(UserError, match="give one of"):
            read_numbers(bad)
    with pytest.raises(UserError, match="save it again"):  # nothing is unpickled
        read_numbers(stored(np.array([{}], object)))


def test_too_many_numbers(monkeypatch):
    monkeypatch.setattr(numbers, "LARGEST", 10)
    with pytest.raises(UserError, match="more than 10 numbers; cut it"):
        read_numbers(b"1,2\n" * 6)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_what_was_written_is_read(rows):
    text = "a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows)
    np.testing.assert_allclose(read_numbers(text.encode())[1], np.array(rows, np.float32))


TS = """# UCR
@problemName toy
@timestamps false
@missing true
@univariate false
@equalLength false
@classLabel true up down
@data
1,2,3:4,?,6:up
1,NaN:2,3,4:down
"""


def test_ts():
    skipped = []
    cases = list(read_ts("a.ts", skipped, (TS + "1,x:2:up\n1,2:\n").encode()))
    assert [(line, label) for line, _, label in cases] == [(9, "up"), (10, "down")]
    np.testing.assert_array_equal(cases[0][1], np.array([[1, 4], [2, NAN], [3, 6]], np.float32))
    np.testing.assert_array_equal(cases[1][1], np.array([[1, 2], [NAN, 3], [NAN, 4]], np.float32))
    assert len(skipped) == 2 and "line 11" in skipped[0] and "no label" in skipped[1]


@pytest.mark.parametrize(
    "text, sentence",
    [
        (TS.replace("@timestamps false", "@timestamps true"), "without timestamps"),
        (TS.replace("@classLabel true up down", "@classLabel false"), "no class label"),
        ("x,y\n1,2\n", "no .ts file"),
        ("@problemName toy\n", "no line @data"),
    ],
)
def test_what_is_no_ts(text, sentence):
    with pytest.raises(UserError, match=sentence):
        list(read_ts("a.ts", [], text.encode()))
