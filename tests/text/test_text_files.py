import gzip
import io
import sys
import types

import pytest

from zoo.errors import UserError
from zoo.text.files import Utf8Check, decode_text, read_data, read_text, split_lines, stream_lines

TEXT = "größer\r\nA\rB\x0b\n\nlast"
LINES = ["größer", "A\rB\x0b", "", "last"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_and_gzip_with_and_without_a_mark(pack, mark, tmp_path, monkeypatch):
    data = pack((mark + TEXT).encode())
    path = tmp_path / "text"
    path.write_bytes(data)
    assert read_data(path) == (mark + TEXT).encode()
    assert read_text(str(path)) == decode_text(data, "x") == TEXT
    assert split_lines(TEXT) == list(stream_lines(path)) == LINES
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    assert read_text("-") == TEXT


def test_lines_end_as_they_may(tmp_path):
    ends = {"": [], "\n": [""], "a": ["a"], "a\n": ["a"], "a\n\n": ["a", ""], "a\r": ["a"]}
    for text, lines in ends.items():
        (tmp_path / "x").write_text(text, newline="")
        assert split_lines(text) == list(stream_lines(tmp_path / "x")) == lines


def test_streams_keep_what_is_no_utf8_and_what_chunks_cut(tmp_path):
    lines = [f"{'ä' * 300} {i}" for i in range(4000)]  # 2.4 MB
    (tmp_path / "x").write_bytes(b"\xe4 \xff\n" + "\n".join(lines).encode() + b"\n\xc3")
    found = list(stream_lines(tmp_path / "x"))
    assert found == ["\udce4 \udcff", *lines, "\udcc3"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\n\xff", "line 2 is not UTF-8 at its byte 1"),
        (b"a\nbc\xff", "line 2 is not UTF-8 at its byte 3, perhaps Latin-1; save it as UTF-8, or convert it"),
        (b"\xff\xfea\0b", "this text is UTF-16; save it again, whole"),
        (b"a\0b", "byte 2 is NUL, so this is no text"),
        (gzip.compress(b"ab", mtime=0)[:-9], "this gzip file is damaged"),
        (gzip.compress(b"\xff", mtime=0), "line 1 is not UTF-8 at its byte 1"),
    ],
)
def test_what_is_no_text(data, problem, tmp_path):
    (tmp_path / "x").write_bytes(data)
    for read in (lambda: decode_text(data, tmp_path / "x"), lambda: read_text(tmp_path / "x")):
        with pytest.raises(UserError, match=f"^{tmp_path / 'x'}: {problem}"):
            read()


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_that_says_so_is_read(codec, tmp_path):
    data = TEXT.encode(codec)
    data = data if codec == "utf-16" else "\ufeff".encode(codec) + data
    (tmp_path / "x").write_bytes(data)
    assert decode_text(data, "x") == TEXT and list(stream_lines(tmp_path / "x")) == LINES
    assert list(stream_lines("x", gzip.compress(data))) == LINES


def test_a_line_that_is_not_utf8_among_many_is_told_and_many_are_refused():
    for bad, refused in ((1, False), (3, True)):
        check = Utf8Check("x")
        lines = ["fine"] * (20 - bad) + ["na\udcefve"] * bad
        told = [check.complaint(line, number) for number, line in enumerate(lines, 1)]
        assert told[0] is None and told[-1].startswith("x: line 20 is not UTF-8 at its byte 3, perhaps Latin")
        if not refused:
            check.end()
            continue
        with pytest.raises(UserError, match="^x: line 18 is not UTF-8 at its byte 3, perhaps Latin"):
            check.end()


def test_a_stray_nul_is_a_control_character():
    assert decode_text(b"\0" + b"x" * 999, "x") == "\0" + "x" * 999
    with pytest.raises(UserError, match="byte 1 is NUL"):
        decode_text(b"\0" + b"x" * 998, "x")


def test_missing_files(tmp_path):
    for read in (read_text, read_data, lambda path: list(stream_lines(path))):
        for path in (tmp_path, tmp_path / "none"):
            with pytest.raises(UserError, match=f"^{path}: cannot be read .*; check the name"):
                read(path)


def test_what_is_no_text_says_what_it_may_be():
    for data, what in (
        (b"PK\3\4" + bytes(30), "a spreadsheet"),
        ("label\ttext\n1\tgut\n".encode("utf-16-le"), "UTF-16 that does not say so; save it as UTF-8"),
    ):
        with pytest.raises(UserError, match=f"^a.csv: this is .*{what}"):
            list(stream_lines("a.csv", data))
