"""What is held out of corpora."""

import functools

import pytest

from zoo.data.splitting import hold_out, levels_by_name

by_speaker = functools.partial(levels_by_name, kind="speaker")


def held(names, levels=levels_by_name, **more):
    return {one.corpus: one for one in hold_out(names, levels, "lines", **more)}


def lines(form, counts):
    """``CORPUS/NAME`` of so many lines of each group; ``form`` takes group and number."""
    return [form.format(group, i) for group, count in counts.items() for i in range(count)]


def test_a_tenth_of_each_corpus():
    names = lines("{}/{:04d}", {"mine": 8, "rendered": 40, "few": 3})
    found = held(names)
    assert [len(found[corpus].names) for corpus in ("mine", "rendered", "few")] == [1, 4, 0]
    assert str(found["rendered"]) == "rendered: 36 to learn, 4 held out (single lines)"
    assert str(found["few"]) == "few: 3 to learn, 0 held out"
    assert held(names[::-1])["rendered"].names == found["rendered"].names


@pytest.mark.parametrize("count", range(5, 60))
def test_never_more_than_a_fifth(count):
    for group in range(1, count + 1):
        names = [f"c/{i // group}_{i}" for i in range(count)]
        assert 0 < len(held(names)["c"].names) <= count / 5


@pytest.mark.parametrize("form", ["c/{}/{:04d}", "c/{}_{:04d}", "c/{}-{}", "c/top/{}/{}"])
def test_whole_books(form):
    names = lines(form, {f"book{i}": 20 for i in range(10)})
    (found,) = held(names).values()
    assert len(found.names) == 20 and len({name.split("book")[1][0] for name in found.names}) == 1
    assert found.groups.startswith("book ") and "book" in found.groups[5:]


def test_the_smaller_of_two_books_or_lines_of_both():
    assert held(lines("c/{}_{}", {"faust": 8, "werther": 32}))["c"].groups == "book faust"
    found = held(lines("c/{}_{}", {"faust": 20, "werther": 20}))["c"]
    assert found.groups == "single lines" and len(found.names) == 4
    # A stray line is too little to tell anything.
    assert len(held(lines("c/{}_{}", {"faust": 100, "stray": 1}))["c"].names) == 10


def test_books_before_pages_and_pages_of_one_book():
    pages = {f"{book}/{page:04d}": 5 for book in range(10) for page in range(10)}
    found = held(lines("c/book{}/{:06x}", pages))["c"]
    assert len(found.names) == 50 and len({name.split("/")[1] for name in found.names}) == 1
    one = dict.fromkeys(range(10), 2)
    found = held(lines("my_lines/{:04d}_{}", one))["my_lines"]
    assert len(found.names) == 2 and str(found).startswith("my_lines: 18 to learn, 2 held out (page 000")
    found = held(lines("c/book/{:04d}/{:06x}", one))["c"]
    assert found.groups.startswith("page book/000")


def test_speakers():
    names = lines("c/{}-100-{:04d}", dict.fromkeys(range(10), 5))
    found = held(names, by_speaker)["c"]
    assert len(found.names) == 5 and found.groups.startswith("speaker ")
    assert held([f"c/anna/{i}" for i in range(20)], by_speaker)["c"].groups == "single lines"


def test_a_word_is_no_speaker():
    names = lines("c/{}_anna_{}", dict.fromkeys(range(10), 10))
    texts = [name[2] for name in names]
    found = held(names, by_speaker, texts=texts)["c"]
    assert len({name[2] for name in found.names}) > 1 and len(found.names) == 10
    assert len({name[2] for name in held(names, by_speaker)["c"].names}) == 1


def test_the_same_text_is_on_one_side():
    names = [f"c/{i}" for i in range(100)]
    found = held(names, lambda name: [(None, int(name[2:]) // 2)])["c"]
    assert len(found.names) == 10 and found.groups == "single lines"
    assert len({int(name[2:]) // 2 for name in found.names}) == 5


def test_a_limit_and_little():
    names = lines("{}/{:04d}", {"a": 3000, "b": 1000})
    assert [len(one.names) for one in hold_out(names, levels_by_name, "pairs", limit=100)] == [75, 25]
    assert [len(one.names) for one in hold_out(["a/1", "b/1", "b/2"], levels_by_name, "lines")] == [0, 1]
    assert hold_out([], levels_by_name, "lines") == []
    assert hold_out(["a/1"], levels_by_name, "lines")[0].names == set()
