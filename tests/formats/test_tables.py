import csv
import gzip
import io
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UserError
from zoo.formats.tables import (
    check_named,
    column,
    is_table,
    named_columns,
    open_table,
    with_columns,
)

WANTED = {"label": ("label",), "text": ("text", "review")}


def read(data, name="a.csv", wanted=None, **options):
    """``([(line, label, text)], skipped)``."""
    skipped = []
    table = open_table(name, skipped, data.encode() if isinstance(data, str) else data)
    rows = [(line, *row.values()) for _, line, row in table.pick(wanted or WANTED, free=["text"], **options)]
    return rows, skipped


def parquet(columns, features=None):
    import pyarrow
    from pyarrow import parquet

    table, file = pyarrow.table(columns), io.BytesIO()
    if features:
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    parquet.write_table(table, file)
    return file.getvalue()


# === As programs write them ===


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'label,text\n1,"a, b; c"\n0,"the ""end"""\n\n , \n1,"two\nlines"\n'),
        ("a.csv", '\ufefflabel;text\r\n1;"a, b; c"\r\n0;"the ""end"""\r\n\r\n;\r\n1;"two\r\nlines"\r\n'),
        ("a.csv", 'label;text\n1;a, b; c\n0;"the ""end"""\n\n ; \n1;"two\nlines"\n'),
        ("a.csv", 'label, text\n1, "a, b; c"\n0, "the ""end"""\n\n , \n1, "two\nlines"\n'),
        ("a.tsv", 'label\ttext\n1\ta, b; c\n0\t"the ""end"""\n\n \t \n1\t"two\nlines"\n'),
        ("a.tsv", '"label"\t"text"\n"1"\t"a, b; c"\n"0"\t"the \\"end\\""\n\n \t \n"1"\t"two\nlines"\n'),
        # The names of rows have none of their own.
        ("a.tsv", '"label"\t"text"\n"x"\t1\t"a, b; c"\ny\t0\t"the \\"end\\""\n\n\t\n"z"\t1\t"two\nlines"\n'),
        ("a.tsv", 'label\ttext\n1\t1\ta, b; c\n2\t0\t"the ""end"""\n\n\t\n3\t1\t"two\nlines"\n'),
        ("a.txt", 'label\ttext\r\n1\t"a, b; c"\r\n0\t"the ""end"""\r\n\r\n\t\r\n1\t"two\nlines"\r\n'),
    ],
    ids=["pandas", "excel", "careless", "blanks", "pandas-tabs", "r", "r-names", "r-plain", "unicode-text"],
)  # fmt: skip
def test_spreadsheets_pandas_and_r(name, text):
    wanted = [(2, "1", "a, b; c"), (3, "0", 'the "end"'), (6, "1", "two\nlines")]
    text = text.encode("utf-16") if name == "a.txt" else text.encode()
    assert read(text, name) == (wanted, [])
    assert read(gzip.compress(text), f"{name}.gz") == (wanted, [])


def test_what_separates_is_told_by_the_first_line_not_the_name():
    for name, text in (("a.csv", "label\ttext\n1\ta, b\n"), ("a.tsv", 'label,text\n1,"a, b"\n')):
        assert read(text, name) == ([(2, "1", "a, b")], [])
    assert read("Reviews of May\nlabel\ttext\n1\ta, b\n", "a.tsv")[0] == [(3, "1", "a, b")]
    assert read("label|text\n1|a, b\n") == ([(2, "1", "a, b")], [])


def test_a_first_line_with_the_separator_and_lines_that_end_as_on_a_mac():
    assert read("sep=;\r\nlabel;text\r\n1;a, b\r\n") == ([(3, "1", "a, b")], [])
    assert read("label,text\r1,one\r2,two\r") == ([(2, "1", "one"), (3, "2", "two")], [])
    assert read("label,text\n1,one\rtwo\n")[0] == [(2, "1", "one\rtwo")]


def test_in_tab_separated_tables_a_quote_is_a_quote_unless_it_encloses():
    text = 'label\ttext\n1\t"Yes."\n2\t"Stop," he said.\n3\t5" by 3"\n4\t"We go.\n5\tNow."\n6\t"a\tb\nc"\n'
    rows, skipped = read(text, "a.tsv")
    assert [row[2] for row in rows] == [
        '"Yes."', '"Stop," he said.', '5" by 3"', '"We go.', 'Now."', "a\tb\nc",
    ]  # fmt: skip
    assert skipped == []
    assert read('"label"\t"text"\n1\t"Yes."\n', "a.tsv")[0] == [(2, "1", "Yes.")]


CELLS = [st.text(st.sampled_from(f'ab ",;|{end}'), max_size=6).map(lambda text: f"x{text}") for end in "\t\n"]
ROWS = st.lists(st.tuples(CELLS[0], CELLS[0])) | st.lists(st.tuples(CELLS[1], CELLS[1]))


@given(ROWS, st.sampled_from([",", ";", "\t"]), st.booleans())
def test_what_the_csv_module_writes_is_read(rows, delimiter, all_quoted):
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([("label", "text"), *rows])
    found, skipped = read(file.getvalue(), "a.tsv" if delimiter == "\t" else "a.csv")
    assert [row[1:] for row in found] == rows and skipped == []


# === Rows that cannot be used ===


def test_a_bad_row_is_skipped_and_named_and_the_others_read():
    text = 'label,text\n1,ok\n2,"broken" x\n3,"open\n4,fine\n5,"good, film"\n6,a, b,c\n7\nNA,x\n8,\n9,end\n'
    rows, skipped = read(text)
    assert [row[1] for row in rows] == ["1", "4", "5", "6", "9"] and rows[3][2] == "a, b,c"
    assert [sentence.partition(";")[0] for sentence in skipped] == [
        "a.csv: line 3 cannot be read", "a.csv: line 4 cannot be read",
        "a.csv, line 8 has 1 column, the header 2", "a.csv, line 9 has no label.",
        "a.csv, line 10 has no text.",
    ]  # fmt: skip
    rows, skipped = read("label\ttext\n1\ta\n1\tgood\tfilm\n2\tb\n", "a.tsv")
    assert len(rows) == 2 and skipped == [
        "a.tsv, line 3 has 3 columns, the header 2; is there a separator inside a text?"
    ]


def test_a_row_that_is_not_utf8_is_skipped_and_a_table_of_them_refused():
    fine, bad = b"1,fine\n", b"1,na\xefve\n"
    rows, skipped = read(b"label,text\n" + fine * 20 + bad)
    assert len(rows) == 20 and skipped[0].startswith("a.csv: line 22 is not UTF-8 at its byte 5, perhaps Lat")
    with pytest.raises(UserError, match="a.csv: line 2 is not UTF-8 at its byte 5, perhaps Latin-1; save it"):
        read(b"label,text\n" + bad + fine * 5 + bad)
    assert len(read(b"label,text\n" + bad + fine * 2)[0]) == 2


@pytest.mark.parametrize("mark", ["", "NA", "NaN", "nan", "<NA>", "NULL", "#N/A"])
def test_what_stands_for_no_value(mark):
    assert read(f"label,text\n1,{mark}\n2,null\n") == ([(3, "2", "null")], ["a.csv, line 2 has no text."])


def test_nothing():
    for name, text in itertools.product(["a.csv", "a.tsv", "a.jsonl", "a.json"], ["", "\n", " \n\t\n"]):
        assert read(text, name) == ([], [])


def test_a_text_as_long_as_a_book_and_many_open_quotes():
    book = "word " * 100_000
    assert read(f'label,text\n1,"{book}"\n') == ([(2, "1", book)], [])
    assert len(read("label,text\n" + '1,"open\n' * 20_000)[1]) == 20_000


def test_a_long_table_is_a_stream(tmp_path):
    path = tmp_path / "a.csv"
    with open(path, "w") as file:
        file.write("label,text\n")
        file.writelines(f"{i % 2},a text\n" for i in range(300_000))
        file.write("broken\n")
    skipped = []
    rows = open_table(path, skipped).pick(WANTED)
    assert next(rows) == (f"{path}, line 2", 2, {"label": "0", "text": "a text"})
    assert sum(1 for _ in rows) == 299_999 and len(skipped) == 1


# === JSON and Parquet ===


OBJECTS = [{"label": 1, "text": "one"}, {"label": 2.0, "text": "two"}]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{json.dumps(row)}\n\n" for row in OBJECTS),
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=1),
        json.dumps({"version": "1.0", "data": OBJECTS}),
        json.dumps({"label": {"0": 1, "1": 2}, "text": {"0": "one", "1": "two"}}),
        json.dumps({"label": [1, 2], "text": ["one", "two"]}),
        json.dumps({"columns": ["text", "label"], "index": [0, 1], "data": [["one", 1], ["two", 2]]}),
    ],
    ids=["lines", "list", "indented", "inside", "pandas", "columns", "split"],
)
def test_json(text):
    for name in ("a.json", "a.jsonl"):
        rows, skipped = read(text, name)
        assert [row[1:] for row in rows] == [("1", "one"), ("2", "two")] and skipped == []


def test_bad_objects_are_skipped():
    bad = ['{"label"', "[1]", "null", '{"text": "x"}']
    bad += ['{"label": NaN, "text": "x"}', '{"label": [1], "text": "x"}']
    rows, skipped = read("\n".join([*bad, json.dumps(OBJECTS[0]), "[" * 100_000]), "a.jsonl")
    assert rows == [(7, "1", "one")] and [s.partition(" line ")[2][0] for s in skipped] == list("1823456")
    rows, skipped = read(json.dumps([*OBJECTS, 3, {"label": None, "text": "x"}]), "a.json")
    assert len(rows) == 2 and skipped == [
        "a.json, object 3 is no object; give objects, their keys the columns.",
        "a.json, object 4 has no label.",
    ]
    with pytest.raises(UserError, match="a.json: this is no table in JSON; give a list of objects"):
        read('[{"label": 1, "text": "one"}, ', "a.json")


def test_parquet():
    columns = {
        "text": ["one", "two", None, "four"], "label": [0, 1, 1, -1], "score": [1.0, float("nan"), 0.5, 2.0],
        "translation": [{"en": "x", "de": "y"}] * 4,
    }  # fmt: skip
    rows, skipped = read(parquet(columns, {"label": {"names": ["neg", "pos"]}}), "a.parquet")
    assert rows == [(1, "neg", "one"), (2, "pos", "two")]
    assert skipped == ["a.parquet, row 3 has no text.", "a.parquet, row 4 has no label."]
    named = {"label": "score", "text": "translation.de"}
    rows, skipped = read(parquet(columns), "a.parquet", named=named)
    assert rows == [(1, "1", "y"), (3, "0.5", "y"), (4, "2", "y")] and len(skipped) == 1
    for data in (b"PAR1", parquet(columns)[:-20]):
        with pytest.raises(UserError, match="a.parquet: this is no whole Parquet file; copy or download it"):
            read(data, "a.parquet")


def test_parquet_without_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match='needs the package pyarrow, .* pip install "seqzoo\\[parquet\\]"'):
        open_table("a.parquet", [])


# === Columns ===


def test_columns_by_their_names_and_as_a_person_names_them():
    assert column([" Text", "LABEL "], "label") == 1 and column(["a", "b", "c"], "x", "b", "a") == 1
    assert column(["a"], "b") is None
    assert read("Text,x,LABEL\nt,0,1\n")[0] == [(2, "1", "t")]
    assert read("Body,stars,text\nb,5,t\n", named={"label": "stars", "text": "body"})[0] == [(2, "5", "b")]
    message = (
        "a.csv: there is no column label; its columns are 'text, stars'. Name one so, or say which it is: "
        "--columns label=NAME."
    )
    for named in (None, {"text": "text"}):
        with pytest.raises(UserError) as caught:
            read("text,stars\nt,5\n", named=named)
        assert str(caught.value) == message
    with pytest.raises(UserError, match="there is no column rating; its columns are 'text, stars'"):
        read("text,stars\nt,5\n", named={"label": "rating"}, optional=["label"])
    assert read("text,stars\nt,5\n", optional=["label"])[0] == [(2, "t")]


def test_columns_that_nothing_has():
    assert check_named(None, WANTED) is None and check_named({"text": "x"}, WANTED) == {"text": "x"}
    with pytest.raises(UserError, match="^--columns body=x: there is no body; name label, text.$"):
        check_named({"body": "x"}, WANTED)
    assert named_columns(None) is None and named_columns(["a=b=c", "d=e f"]) == {"a": "b=c", "d": "e f"}
    for pair in ("text", "=x", "text="):
        with pytest.raises(UserError, match=f"^--columns {pair}: give WHAT=COLUMN, as in text=Body.$"):
            named_columns([pair])
    assert with_columns(dict, None) is dict and issubclass(with_columns(dict, {"text": "x"}), dict)


def test_a_table_without_a_header():
    skipped = []
    table = open_table("a.tsv", skipped, b"one\teins\ntwo\tzwei\tmore\nthree\n")
    table.headless()
    rows = list(table.pick({"text": 0, "label": 1}))
    assert [row["label"] for _, _, row in rows] == ["eins", "zwei"]
    assert skipped == ["a.tsv, line 3 has 1 column; separate columns by a tab."]


def test_the_last_column_takes_its_separators():
    for delimiter in ",;":
        text = "label,text\n1,a, b,c\n2\n3,\n4,d\n".replace(",", delimiter)
        assert [row[2] for row in read(text)[0]] == [f"a{delimiter} b{delimiter}c", "d"]
    assert len(read("text,label\na, b,1\n")[1]) == 1
    assert read("label,text\n1,a, b\n2,c, d\n")[0] == [(2, "1", "a, b"), (3, "2", "c, d")]


def test_what_is_a_table():
    assert all(map(is_table, ("a.csv", "b/A.TSV.gz", "x.jsonl", "x.parquet")))
    assert not any(map(is_table, ("a.txt", "a.gz", "csv", "a.tar")))
    for name in ("a.xlsx", "a.ods"):
        with pytest.raises(UserError, match=f"{name}: this is a spreadsheet; save it as CSV"):
            open_table(name, [], b"PK")
    with pytest.raises(UserError, match="byte 1 is NUL, so this is no text"):
        read(bytes(range(256)) * 9)


def test_the_last_column_takes_its_commas():
    assert read("label,text\n1,one, two\n")[0] == [(2, "1", "one, two")]
    rows, skipped = read('label,text\n1,"x" y\n2,z\n')
    assert rows == [(3, "2", "z")] and skipped[0].startswith("a.csv: line 2 cannot be read")


def test_a_list_of_each_split_in_one_file():
    one, two = {"text": "one", "label": 1}, {"text": "two"}
    for parts in ({"train": [one], "test": [two]}, {"version": 2, "test": [one], "train": [two, two]}):
        for indent in (None, 1):
            with pytest.raises(UserError, match=r"2 lists of rows in it \(t.*, t.*\); write each to a file"):
                read(json.dumps(parts, indent=indent), "a.json")
    assert len(read(json.dumps({"data": [one | {"id": 1}], "errors": [{"why": "?"}]}), "a.json")[0]) == 1
