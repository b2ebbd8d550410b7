"""What Python people hold is taken as inputs; what is none is one sentence, in its place if wanted."""

import numpy as np
import pytest

from zoo.contract.reader import Reader
from zoo.errors import UserError

IMAGE = np.zeros((4, 9), np.uint8)


class Read:
    def __init__(self, item):
        self.text = item


class Texts(Reader):
    reads, one, takes, columns = "texts", "text", "lines", {"text": ("text", "review")}

    def stream(self, inputs, errors="raise", progress=False):
        return map(Read, list(inputs))


class Nested(Texts):
    columns = {"text": ("text", "translation.text")}


class Images(Texts):
    reads, one, takes, columns, axes = "images", "image", "files", {}, 3
    single = Reader.single | np.ndarray


class Sequences(Images):
    reads, one, axes, tables = "sequences", "sequence", 2, True


def read(kind, inputs, **options):
    return kind(None, {}, None)(inputs, **options)


@pytest.mark.parametrize("given", [
    ["a", "b"], ("a", "b"), iter("ab"), np.array(["a", "b"]), np.array(["a", "b"], object),
    [np.str_("a"), np.array("b")], [{"text": "a", "label": 1}, {"text": "b"}],
])  # fmt: skip
def test_several_texts(given):
    assert read(Texts, given) == ["a", "b"]


def test_one_input_is_no_iterable_of_characters():
    assert read(Texts, "ab") == ["ab"] and read(Texts, np.array("ab")) == ["ab"]
    assert len(read(Images, b"ab")) == len(read(Images, IMAGE)) == len(read(Images, np.zeros((4, 9, 3)))) == 1


def test_a_stack_of_arrays_is_several():
    assert [one.shape for one in read(Images, np.stack([IMAGE] * 5))] == [(4, 9)] * 5
    assert [one.shape for one in read(Images, np.zeros((2, 4, 9, 3)))] == [(4, 9, 3)] * 2
    assert [one.shape for one in read(Sequences, [[[1, 2], [3, 4]]])] == [(2, 2)]


def test_what_hugging_face_has():
    assert read(Images, [{"bytes": b"x", "path": None}, {"bytes": None, "path": "a.png"}]) == [b"x", "a.png"]
    pairs = [{"id": 1, "translation": {"text": "a", "de": "b"}}]
    assert read(Nested, pairs) == ["a"]
    (samples, rate), = read(Images, {"array": [0.0, 1.0], "sampling_rate": 8000})  # fmt: skip
    assert rate == 8000 and samples.tolist() == [0, 1]


def test_what_is_missing_stands_in_its_place():
    found = read(Texts, [None, "a", float("nan"), "b", 5], errors="return")
    assert [isinstance(one, UserError) for one in found] == [True, False, True, False, True]
    assert "input 3 is missing" in str(found[2])
    with pytest.raises(UserError, match="input 2 is missing; give images"):
        read(Images, ["a.png", None])
    with pytest.raises(UserError, match="5 is no text"):
        read(Texts, 5)


def test_what_a_dict_is_read_for_stands_anywhere_in_it():
    class Questions(Texts):
        single, columns = str | dict, {"context": ("context",), "question": ("question",)}

    asked = [{"question": "Who?", "context": ["Ann."]}, {"context": ["Ann."], "question": "Who?"}]
    assert read(Questions, asked) == asked
    found = read(Questions, [{"asked": "Who?"}, {}, {"question": None, "context": "Ann."}], errors="return")
    assert [str(one).partition(";")[0] for one in found] == [
        "input 1 has no question, but asked", "input 2 has no question", "input 3 is missing"
    ]  # fmt: skip


def test_pandas():
    pandas = pytest.importorskip("pandas")
    assert read(Texts, pandas.Series(["a", "b"])) == ["a", "b"]
    assert read(Texts, pandas.DataFrame({"id": [1], "review": ["a"]})) == ["a"]
    with pytest.raises(UserError, match=r"none of the columns x, y is called text.*table\['x'\]"):
        read(Texts, pandas.DataFrame({"x": ["a"], "y": ["b"]}))
    ((names, values),) = read(Sequences, pandas.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}))
    assert names == ["x", "y"] and values.shape == (2, 2)


class Lazy:
    """What stands for polars' LazyFrame."""

    collect_schema = None

    def collect(self):
        return pytest.importorskip("pandas").DataFrame({"review": ["a", "b"]})


def test_a_table_that_waits_is_collected():
    assert read(Texts, Lazy()) == ["a", "b"]
