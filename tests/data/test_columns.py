"""Columns on the disk give what was written, at any place."""

import numpy as np
import pytest

from zoo.data import columns


def test_columns_give_what_was_written(tmp_path):
    rows = [[f"n{i}", "" if i % 3 else f"ü{i}\n", i * i] for i in range(10_000)]
    with columns.Writer(tmp_path) as writer:
        for row in rows:
            writer.add(row)
    names, texts, numbers = columns.read(tmp_path, writer.kinds)
    assert writer.count == len(rows) and numbers.tolist() == [row[2] for row in rows]
    some = np.flatnonzero(np.arange(len(rows)) % 7 == 0)
    both = columns.Strings([(names, some, "a/"), (texts, np.arange(len(rows)), "")])
    wanted = [f"a/{rows[i][0]}" for i in some] + [row[1] for row in rows]
    assert both == wanted and list(both) == wanted and len(both) == len(wanted)
    assert both[::-99] == wanted[::-99] and both[1400:1440] == wanted[1400:1440]
    assert both[-1] == wanted[-1] and both[5] == wanted[5]
    with pytest.raises(IndexError):
        both[len(wanted)]


def test_columns_without_a_row_or_a_text(tmp_path):
    with columns.Writer(tmp_path) as writer:
        pass
    assert writer.kinds == [] and list(columns.Strings([])) == []
    with columns.Writer(tmp_path) as writer:
        writer.add([""])
    (empty,) = columns.read(tmp_path, writer.kinds)
    assert empty.take(np.array([0])) == [""]
