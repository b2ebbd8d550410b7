"""What corpora of every kind have in common."""

import random
import shutil

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import UserError
from zoo.families.line_ocr.corpus import Lines, load_lines
from zoo.families.text_classifier.corpus import load_labelled


@pytest.fixture
def two(line_folder, tmp_path):
    """Two corpora of the same name."""
    shutil.copytree(line_folder, tmp_path / "more" / "lines")
    return [line_folder, tmp_path / "more" / "lines"]


def test_names_are_unique(two, tmp_path):
    third = shutil.copytree(two[0], tmp_path / "third" / "lines")
    corpus = load_lines([*two, third])
    assert len(corpus) == len(set(corpus.names)) == 60
    assert {name.partition("/")[0] for name in corpus.names} == {"lines", "lines-2", "lines-3"}
    few = corpus.sample(4)
    assert len(few) == 4
    assert len(load_lines(two, only="^lines-2/")) == len(load_lines(two, only="^lines/")) == 20


def test_a_name_with_a_number_is_not_taken_twice(line_folder, tmp_path):
    shutil.copytree(line_folder, tmp_path / "lines-2")
    shutil.copytree(line_folder, tmp_path / "more" / "lines")
    corpus = load_lines([line_folder, tmp_path / "more" / "lines", tmp_path / "lines-2"])
    assert len(set(corpus.names)) == 60
    assert {name.partition("/")[0] for name in corpus.names} == {"lines", "lines-2", "lines-2-2"}


def test_single_samples_are_those_of_the_dataset(two):
    corpus = load_lines([f"{two[0]}@3", two[1]]).select(lambda name: "2_" not in name)
    for repeat in (False, True):
        wanted = list(corpus.dataset(repeat).as_numpy_iterator())
        found = tf.data.Dataset.range(len(wanted)).map(corpus.at(repeat))
        assert len(wanted) == (corpus.shown() if repeat else len(corpus))
        for one, other in zip(found.as_numpy_iterator(), wanted, strict=True):
            assert one["text"] == other["text"]
            np.testing.assert_array_equal(one["image"], other["image"])


def test_samples_that_an_epoch_shows_more_often(two):
    corpus = load_lines([f"{two[0]}@2", two[1]]).select(lambda name: "1_" not in name)
    times = np.arange(len(corpus)) % 3 + 1
    more = corpus.repeated(times)
    wanted = dict(zip(corpus.names, corpus.repeats * times, strict=True))
    assert dict(zip(more.names, more.repeats, strict=True)) == wanted
    assert more.shown() == sum(wanted.values()) and more.skipped == corpus.skipped
    texts = {name: text.encode() for name, text in zip(corpus.names, corpus.texts, strict=True)}
    shown = sorted(sample["text"] for sample in more.dataset(repeat=True).as_numpy_iterator())
    assert shown == sorted(texts[name] for name, count in wanted.items() for _ in range(count))


def test_single_texts_are_those_of_the_dataset(tmp_path):
    rows = [f"{i % 2}\tfilm number {i}" for i in range(9)]
    (tmp_path / "films.tsv").write_text("\n".join(["label\ttext", *rows]))
    (tmp_path / "more.tsv").write_text("label\ttext\n1\tmore")
    corpus = load_labelled([f"{tmp_path}/films.tsv@2", tmp_path / "more.tsv"])
    corpus = corpus.select(lambda name: not name.endswith("4"))
    for repeat in (False, True):
        wanted = list(corpus.dataset(repeat).as_numpy_iterator())
        found = tf.data.Dataset.range(len(wanted)).map(corpus.at(repeat))
        assert list(found.as_numpy_iterator()) == wanted


def test_preparing_a_corpus_leaves_seeds_as_they_are(line_folder, tmp_path):
    shutil.copytree(line_folder, tmp_path / "new")
    before = random.getstate()
    load_lines(tmp_path / "new")
    assert random.getstate() == before


def test_a_corpus_is_prepared_anew_when_it_is_read_differently(line_folder, monkeypatch, capsys):
    load_lines(line_folder)
    capsys.readouterr()
    load_lines(line_folder, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(Lines, "version", Lines.version + 1)
    load_lines(line_folder, progress=True)
    said = capsys.readouterr().err
    assert f"{line_folder}: 20 lines read; a copy is kept in " in said and "nothing leaves" in said
    assert said.count("\n") == 1 and not {"\r", "\x1b"} & set(said) and "ownload" not in said  # fit for a log
    capsys.readouterr()
    load_lines(line_folder, progress=True)
    assert capsys.readouterr().err == ""


def test_a_path_that_leads_nowhere(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"loop: cannot be read \(too many levels of symbolic links\)"):
        load_lines(tmp_path / "loop")
    for name in ("gone", "gone/x.zip", "gone@3"):
        with pytest.raises(UserError, match="gone.*: there is no such file or folder"):
            load_lines(tmp_path / name)


def test_a_corpus_counts_once_and_a_pattern_for_what_can_be_used(line_folder, tmp_path):
    assert len(load_lines([line_folder, line_folder])) == 20
    shutil.copytree(line_folder, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    found = load_lines(f"{tmp_path}/*")
    assert len(found) == 20 and "bad: there are no lines in it" in found.skipped[0]
    with pytest.raises(UserError, match="bad"):
        load_lines([tmp_path / "good", tmp_path / "bad"])
    with pytest.raises(UserError, match="0 times"):
        load_lines(f"{line_folder}@0")
