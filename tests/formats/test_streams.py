"""What goes in and what comes out, without a model."""

import csv
import gzip
import io
import json
import os
import sys
import threading
import time
import types

import pytest

from zoo.contract.reader import windows
from zoo.errors import UserError
from zoo.formats import streams

ENDS = (
    "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # besides \n and \r, what str.splitlines takes for ends of lines
)
COLUMNS = {"text": ("text", "review")}
ODD = [f"a{end}b" for end in ENDS] + ["a\rb", "", "last"]


@pytest.fixture
def stdin(monkeypatch):
    """Replaces standard input by a pipe; gives the file to write into."""
    opened = []

    def pipe():
        read, write = os.pipe()
        opened.append(os.fdopen(read, "rb"))
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=opened[-1]))
        return os.fdopen(write, "wb", buffering=0)

    yield pipe
    for file in opened:
        file.close()


def result(text, confidence=0.5, **more):
    return types.SimpleNamespace(
        text=text, confidence=confidence, to_json=lambda: {"text": text, "confidence": confidence}, **more
    )


# === Input ===


def test_lines_end_at_line_feeds_alone(stdin, tmp_path):
    data = "\ufeff" + "\n".join(ODD[:-1]) + "\r\n" + ODD[-1]
    (tmp_path / "odd.txt").write_bytes(data.encode())
    (tmp_path / "odd.txt.gz").write_bytes(gzip.compress(data.encode()))
    (tmp_path / "wide.txt").write_bytes(data.removeprefix("\ufeff").encode("utf-16"))
    for name in ("odd.txt", "odd.txt.gz", "wide.txt"):
        ((_, feed),) = streams.texts([str(tmp_path / name)], COLUMNS)
        assert list(feed) == ODD and list(feed.names) == ODD
        with stdin() as pipe:
            pipe.write((tmp_path / name).read_bytes())
        ((_, feed),) = streams.texts(["-"], COLUMNS)
        assert list(feed) == ODD


def test_what_is_there_is_given_while_the_pipe_is_open(stdin):
    pipe = stdin()
    feed = streams.paths(["first.png", "-", "last.png"], (".png",))
    parts = windows(feed, 100)
    pipe.write(b"a.png\nb.png\n\nc.pn")
    assert next(parts) == ["first.png", "a.png", "b.png"]
    threading.Timer(0.2, pipe.write, [b"g\n"]).start()
    start = time.perf_counter()
    assert next(parts) == ["c.png"] and time.perf_counter() - start < 1
    pipe.close()
    assert list(parts) == [["last.png"]]


def test_windows_grow():
    parts = [len(part) for part in windows(streams.Feed([("a", "a")] * 200), 100)]
    assert parts == [32, 64, 100, 4]
    assert [len(part) for part in windows(range(200), 100)] == [100, 100]


@pytest.mark.parametrize(
    "start",
    [b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xd8\xff\xe0", b"P5\n10 8\n255\n", b"RIFFabcdWAVE", b"%PDF-1.7\n"],
)
def test_bytes_of_a_file(stdin, start):
    data = start + b"some\nmore\n" * 20_000
    pipe = stdin()

    def write():
        with pipe:
            for at in range(0, len(data), 1000):
                pipe.write(data[at : at + 1000])

    threading.Thread(target=write).start()
    feed = streams.paths(["-"], (".png",))
    assert list(feed) == [data] and list(feed.names) == ["-"]
    error = streams.told("-", UserError("input 1: no such thing"), (".png",), "images")
    assert str(error) == "standard input: no such thing"


def test_bytes_are_no_lines_of_text(stdin):
    with stdin() as pipe:
        pipe.write(b"\x89PNG\r\n\x1a\n\0\0")
    ((_, feed),) = streams.texts(["-"], COLUMNS)
    assert list(feed) == [] and "no UTF-8 text" in str(feed.error)


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    feed = streams.paths(["-"], (".png",))
    assert list(feed) == [] and "standard input: it is closed" in str(feed.error)


@pytest.mark.parametrize(
    "name, data",
    [
        ("a.csv", 'label,text\n1,"A ""fine"", one"\n2,"Dull\nand endless"\n3,\n4,last\n'),
        ("a.tsv", 'review\tlabel\n"A ""fine"", one"\t1\n"Dull\nand endless"\t2\nNaN\t3\nlast\t4\n'),
        (
            "a.jsonl",
            '{"text": "A \\"fine\\", one"}\n{"text": "Dull\\nand endless"}\n'
            '{"text": null}\n{"text": "last"}\n',
        ),
    ],
)
def test_a_table_is_its_rows(stdin, tmp_path, name, data):
    (tmp_path / name).write_text(data)
    wanted = ['A "fine", one', "Dull\nand endless", "", "last"]
    ((_, feed),) = streams.texts([str(tmp_path)], COLUMNS)
    assert list(feed) == wanted
    assert str(feed.names[2]).endswith("has no text") and list(feed.names)[:2] == wanted[:2]
    column = "review" if "review" in data else "text"
    with stdin() as pipe:
        pipe.write(data.encode())
    ((_, feed),) = streams.texts(["-"], {"text": ("x",)}, {"text": column})
    assert list(feed) == wanted
    ((_, feed),) = streams.texts([str(tmp_path / name)], COLUMNS, {"text": "x"})
    assert list(feed) == [] and "no column x" in str(feed.error)


def test_folders_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("b.PNG", "a.png", "deep/c.png", ".hidden.png", "notes.txt", "../x[1].png")
    for name in (f"scans/{name}" for name in names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "scans" / "deep" / "again").symlink_to(tmp_path / "scans")
    (tmp_path / "empty").mkdir()
    every = ["scans/a.png", "scans/b.PNG", "scans/deep/c.png"]
    assert [streams.expanded(text, (".png",)) for text in ("scans", "scans/", "sc*s")] == [every] * 3
    assert streams.expanded("scans/*.png", (".png",)) == every[:1]
    assert streams.expanded("scans/*.png", (".jpg",)) == every[:1]  # who names files, means them
    assert streams.expanded("x[1].png", (".png",)) == ["x[1].png"]  # there is a file of this name
    for name, problem in (
        ("empty", "this folder is empty, no images"),
        ("scans", "this folder holds a.png, b.PNG, deep/c.png, …, no images"),
        ("*.gif", "no file matches this pattern"),
        ("gone.png", "as the reader says"),
    ):
        assert streams.expanded(name, (".webp",)) == [name]
        assert problem in str(streams.told(name, UserError("as the reader says"), (".webp",), "images"))


# === Output ===


@pytest.mark.parametrize(
    "text", ['"', 'He said "no"', "a,b;c", "one\ntwo", "one\r\ntwo\rthree", "\t=1+1", *ODD]
)
def test_csv_gives_the_text_back(text, capsys):
    output = streams.Csv()
    for item in (text, f"{text}x"):
        output.add(item, result(text))
    output.fail(text, UserError("bad"))
    output.end()
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert rows[0] == ["input", "text", "confidence"]
    assert rows[1:] == [[text, text, "0.5000"], [f"{text}x", text, "0.5000"], [text, "", ""]]


def test_csv_of_nothing_and_of_several(capsys):
    streams.Csv().end()
    assert capsys.readouterr().out == "input,text,confidence\n"
    output = streams.Csv(n_best=2)
    output.add("x", result("a", hypotheses=[("a", -1.0), ("b, c", -2.0)]))
    output.end()
    assert capsys.readouterr().out == 'input,text,score\nx,a,-1.0000\nx,"b, c",-2.0000\n'


@pytest.mark.parametrize("form", [streams.Text, streams.Tsv, streams.Jsonl])
def test_one_line_for_each_input(form, capsys):
    output = form(aligned=True)
    for text in ODD:
        output.add(text, result(text))
    output.fail("bad", UserError("bad"))
    output.end()
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(out.split("\n")) - 1 == len(ODD) + 1


def test_json_lines(capsys):
    output = streams.Jsonl()
    output.add("n\udce9\u2028.png", result("é\u2028\x85"))
    output.fail("b.png", UserError("b.png: no image"))
    output.lose("c.gz", UserError("c.gz: damaged"))
    output.end()
    out = capsys.readouterr().out
    assert [json.loads(line) for line in out.splitlines()] == [
        {"input": "n\udce9\u2028.png", "text": "é\u2028\x85", "confidence": 0.5},
        {"input": "b.png", "error": "b.png: no image"},
        {"input": "c.gz", "error": "c.gz: damaged"},
    ]
    assert "é" in out and out.encode()  # as it is, and UTF-8
