import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UserError
from zoo.formats.tables import check_row, column, fields, read_table


def read(text, tabs):
    header, rows = read_table(text, "a.csv", tabs)
    return header, list(rows)


def test_commas_and_semicolons_and_quotes():
    wanted = (["label", "text"], [(2, ["1", "a, b; c"]), (3, ["0", 'the "end"']), (6, ["1", "two\nlines"])])
    for text in (
        'label,text\n1,"a, b; c"\n0,"the ""end"""\n\n , \n1,"two\nlines"\n',
        'label;text\r\n1;"a, b; c"\r\n0;"the ""end"""\r\n\r\n;\r\n1;"two\r\nlines"\r\n',
    ):
        assert read(text, False) == wanted
    assert read('label\ttext\n1\ta, b; c\n0\t"the ""end"""\n\n \t \n1\t"two\nlines"\n', True) == wanted


def test_in_tab_separated_tables_a_quote_is_a_quote_unless_it_encloses():
    plain = 'id\ttext\n1\t"Yes."\n2\t"Stop," he said.\n3\t5" by 3"\n4\t"We go.\n5\tNow."\n6\t""\n'
    assert [row[1] for _, row in read(plain, True)[1]] == [
        '"Yes."', '"Stop," he said.', '5" by 3"', '"We go.', 'Now."', "",
    ]  # fmt: skip
    quoted = plain.replace('"Yes."', '"""Yes."""').replace("\n6\t", '\n6\t"a\tb\nc"\n7\t')
    with pytest.raises(UserError, match="line 7 has 3 columns, the header 2; is there a separator inside"):
        for line, row in read(quoted, True)[1]:  # not all of its quotes are those of a table: all are quotes
            check_row(row, ["id", "text"], "a.csv", line)
    assert read('id\ttext\n1\t"a\tb"\nfew\n', True)[1] == [(2, ["1", '"a', 'b"']), (3, ["few"])]
    assert read('id\ttext\n1\t"""Yes.""\nNo"\n', True)[1] == [(2, ["1", '"Yes."\nNo'])]
    assert read('"id"\t"text"\n1\t"Yes."\n', True) == (["id", "text"], [(2, ["1", "Yes."])])


def test_fields():
    assert fields('a\t"b"\t"c ""d"""\t""\t"e"f"\t"g""h') == ["a", '"b"', 'c "d"', "", '"e"f"', '"g""h']


CELLS = [st.text(st.sampled_from(f'ab ",;{end}'), max_size=6).map(lambda text: f"x{text}") for end in "\t\n"]
ROWS = st.lists(st.tuples(CELLS[0], CELLS[0])) | st.lists(st.tuples(CELLS[1], CELLS[1]))


@given(ROWS, st.sampled_from([",", ";", "\t"]), st.booleans())
def test_what_the_csv_module_writes_is_read(rows, delimiter, all_quoted):
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([("one", "two"), *rows])
    header, found = read(file.getvalue(), delimiter == "\t")
    assert header == ["one", "two"] and [tuple(row) for _, row in found] == rows


def test_nothing():
    for text in ("", "\n", " \n\t\n"):
        assert read(text, True) == read(text, False) == ([], [])


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"x" y\n', 'a,b\n1,2\n3,"x\ny\n'])
def test_open_quotes_are_told_by_the_line_of_their_row(text):
    header, rows = read_table(text, "a.csv", False)
    assert next(rows) == (2, ["1", "2"])
    with pytest.raises(UserError, match="^a.csv: line 3 cannot be read .*; put texts with separators"):
        next(rows)


def test_a_broken_header_and_a_text_as_long_as_a_book():
    with pytest.raises(UserError, match="^a.csv: line 1 cannot be read"):
        read_table('"a,b\n1,2\n', "a.csv", False)
    book = "word " * 100_000
    assert read(f'a,b\n1,"{book}"\n', False)[1] == [(2, ["1", book])]


def test_the_last_column_takes_its_separators():
    for delimiter in ",;":
        text = "label,text\n1,a, b,c\n2\n3,\n4,d\n".replace(",", delimiter)
        wanted = [["1", f"a{delimiter} b{delimiter}c"], ["2"], ["3", ""], ["4", "d"]]
        for free in (["x", "text"], ["label"]):
            rows = [row for _, row in read_table(text, "a.csv", False, free)[1]]
            assert rows[1:] == wanted[1:] and (rows == wanted) == ("text" in free)
    assert len(list(read_table("label\ttext\n1\ta\tb\n", "a.tsv", True, ["text"])[1])[0][1]) == 3


def test_columns():
    assert column([" Text", "LABEL "], "label") == 1 and column(["a", "b", "c"], "x", "b", "a") == 1
    assert column(["a"], "b") is None
    with pytest.raises(UserError, match="^t: line 3 has 1 column, the header 2; is there a line break in"):
        check_row(["a"], ["a", "b"], "t", 3)
