import functools
import gzip
import json
import tarfile

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.data import prepared as corpora
from zoo.errors import UserError
from zoo.families.text_classifier.corpus import LabelledTexts, load_labelled, read_labelled

ROWS = [("1", "a good film"), ("0", 'a "bad", bad film'), ("1", "good , good !")]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(path, *rows, header="label\ttext"):
    return write(path, "".join(f"{line}\n" for line in (header, *map("\t".join, rows))))


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def minimal(text):
    return quoted(text) if '"' in text else text


# === Layouts ===


LAYOUTS = {
    "a.tsv": "label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in ROWS),
    "a.tsv.gz": "\ufeffid\tText\tLabel\r\n" + "".join(f"7\t{text}\t{label}\r\n\r\n" for label, text in ROWS),
    "a.csv": "sentence,label\n" + "".join(f"{quoted(text)},{label}\n" for label, text in ROWS),
    "excel/a.csv": "Text;Label\r\n" + "".join(f"{quoted(text)};{label}\r\n" for label, text in ROWS),
    "pandas/a.tsv": "label\ttext\n" + "".join(f"{label}\t{minimal(text)}\n" for label, text in ROWS),
    "a.jsonl": "".join(json.dumps({"label": int(label), "review": text}) + "\n\n" for label, text in ROWS),
    "a.json.gz": "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in ROWS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_tables_and_lines_of_json(name, tmp_path):
    found = load_labelled(write(tmp_path / name, LAYOUTS[name]))
    assert list(zip(found.labels, found.texts, strict=True)) == ROWS and found.skipped == []
    assert len(set(found.names)) == 3 and all(name.startswith("a/0000") for name in found.names)
    again = [(s["label"].decode(), s["text"].decode()) for s in found.dataset().as_numpy_iterator()]
    assert again == ROWS
    assert list(found.chunks(2)) == [(found.texts[:2], found.labels[:2]), (found.texts[2:], found.labels[2:])]


FASTTEXT = "__label__1 a good film\n\n__label__0 bad bad film\ngood good __label__1\n"


def test_fasttext_json_and_parquet(tmp_path):
    from pyarrow import Table, parquet

    wanted = [("1", "a good film"), ("0", "bad bad film"), ("1", "good good")]
    objects = [{"label": float(label), "text": text} for label, text in wanted]
    parquet.write_table(Table.from_pylist(objects), tmp_path / "a.parquet")
    write(tmp_path / "cooking.train", FASTTEXT)
    write(tmp_path / "a.txt.gz", FASTTEXT)
    write(tmp_path / "a.json", json.dumps(objects))
    write(tmp_path / "a.csv", "label,text\n" + "".join(f"{label}.0,{text}\n" for label, text in wanted))
    for name in ("a.parquet", "cooking.train", "a.txt.gz", "a.json", "a.csv"):
        skipped = []
        found = list(read_labelled(tmp_path / name, skipped))
        assert [(label, text) for _, text, label in found] == wanted and skipped == [], name


def test_a_folder_of_tables(tmp_path):
    table(tmp_path / "set/train.tsv", *ROWS)
    write(tmp_path / "set/more/test.txt", FASTTEXT)
    write(tmp_path / "set/about.csv", "name,size\na,1\n")
    found = load_labelled(tmp_path / "set")
    assert found.names[0] == "set/more/test/000001" and found.names[-1] == "set/train/000004"
    assert len(found) == 6 and len(found.skipped) == 1
    write(tmp_path / "set/train.jsonl", json.dumps({"label": 1, "text": "good"}))  # of the same name
    again = load_labelled(tmp_path / "set")
    assert len(again) == 7 and "set/train.tsv/000004" in again.names and "set/train/000001" in again.names
    assert found.skipped[0].startswith(f"{tmp_path}/set: about.csv: there is no column text; its columns are")
    (tmp_path / "set/train.jsonl").unlink()
    (tmp_path / "set/train.tsv").unlink()
    (tmp_path / "set/more/test.txt").unlink()
    with pytest.raises(UserError, match="about.csv: there is no column text"):
        load_labelled(tmp_path / "set")


def test_columns_as_a_person_names_them(tmp_path):
    path = write(tmp_path / "a.csv", "id,Body,mood\n1,a good film,good\n2,,bad\n3,so so,NA\n")
    found = load_labelled(path, columns={"text": "body", "label": "mood"})
    assert found.texts == ["a good film"] and found.labels == ["good"]
    assert found.skipped == [f"{path}, line 3 has no text.", f"{path}, line 4 has no label."]
    assert isinstance(found, LabelledTexts) and len(found.select(lambda name: False)) == 0


def test_one_bad_row_ends_nothing(tmp_path):
    text = "label,text\nham,fine\nspam\nham,Ok, that is fine\nham,\"so\" so\n"
    found = load_labelled(write(tmp_path / "a.csv", text))
    assert found.texts == ["fine", "Ok, that is fine"] and len(found.skipped) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_for_each_label(packed, tmp_path):
    write(tmp_path / "reviews/neg/1_2.txt", "not\ngood\n")
    write(tmp_path / "reviews/pos/1_9.txt", "a good film")
    write(tmp_path / "reviews/pos/2_9.txt", b"\xe4\xfe\xf0")
    write(tmp_path / "reviews/pos/3_9.txt", " \n")
    write(tmp_path / "reviews/README.txt", "about it")
    path = tmp_path / "reviews"
    if packed:
        with tarfile.open(tmp_path / "reviews.tar.gz", "w:gz") as tar:
            tar.add(path, ".")
        path = tmp_path / "reviews.tar.gz"
    found = load_labelled(path)
    assert found.names == ["reviews/neg/1_2", "reviews/pos/1_9"]
    assert (found.texts, found.labels) == (["not good", "a good film"], ["neg", "pos"])
    assert len(found.skipped) == 2 and "not UTF-8" in found.skipped[0] and "has no text" in found.skipped[1]


def test_public_sets_by_name(monkeypatch, tmp_path):
    class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.kind))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i, label in enumerate(["pos", "neg", -1]):
                sample = {"sentence": f"film  {i}", "label": label}
                yield i, {name: sample[name] for name in self.kind}

    class ToyReviews(Toy):
        kind = {"sentence": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}

    class ToyTexts(Toy):
        kind = {"sentence": tfds.features.Text()}

    monkeypatch.setattr(corpora.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    found = load_labelled("tfds:toy_reviews")
    assert sorted(zip(found.texts, found.labels, strict=True)) == [("film 0", "pos"), ("film 1", "neg")]
    assert len(found.skipped) == 1 and "has no label" in found.skipped[0]
    with pytest.raises(UserError, match="toy_texts has no classlabel feature; name a set with texts and"):
        load_labelled("tfds:toy_texts")


def test_a_small_corpus_several_times(tmp_path):
    found = load_labelled([table(tmp_path / "a.tsv", *ROWS), f"{table(tmp_path / 'b.tsv', ('0', 'bad'))}@3"])
    assert len(found) == 4 and found.shown() == 6 == len(list(found.dataset(repeat=True)))
    assert isinstance(found.dataset(), tf.data.Dataset)


# === What is learned and what is held out ===


def test_duplicates_and_contradictions(tmp_path):
    rows = [
        ("1", "A good film."), ("1", "a good film"), ("0", "don't go !"), ("0", "Do n't go"), ("1", "so so"),
        ("0", "so - so"), ("1", "!"), ("1", "?"),
    ]  # fmt: skip
    found = load_labelled(table(tmp_path / "a.tsv", *rows))
    assert found.keys[:4] == ["a good film"] * 2 + ["do n't go"] * 2 and found.keys[6:] == ["!", "?"]
    kept, report = found.without_duplicates()
    assert [name[-1] for name in kept.names] == ["2", "4", "8", "9"]
    assert report == {"the same text again": 2, "the same text with two labels": 2}


def test_overlap(tmp_path):
    held = load_labelled(
        table(tmp_path / "a.tsv", ("1", "one two three four five six seven eight."), ("0", "So bad!"))
    )
    rows = [
        ("1", "It said: one two three, four five six seven eight nine."),
        ("1", "two three four five six seven eight"), ("0", "so bad"), ("0", "so bad it is good"),
    ]  # fmt: skip
    learn = load_labelled(table(tmp_path / "b.tsv", *rows))
    assert [name[-1] for name in learn.without_overlap(held).names] == ["3", "5"]


# === Bad input ===


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("a.tsv", "", r"a.tsv: no labelled text in it could be used \(it is empty\)"),
        ("a.tsv", "label\ttext\n\n", "it is empty"),
        ("a.tsv", "mood\ttext\n1\tgood\n", "no column label; its columns are 'mood, text'"),
        ("a.csv", "1,a good film\n", "no column text; its columns are '1, a good film'"),
        ("a.tsv", "label\ttext\n1\tgood\tfilm\n", "line 2 has 3 columns, the header 2"),
        ("a.csv", 'label,text\n1,"good\n', "line 2 cannot be read"),
        ("a.tsv", b"label\ttext\n1\tna\xefve\n", "line 2 is not UTF-8 at its byte 5"),
        ("a.tsv", bytes(range(256)) * 9, "byte 1 is NUL, so this is no text"),
        ("a.tsv", "label\ttext\n".encode("utf-16"), "it is empty"),
        ("a.xlsx", "PK", "this is a spreadsheet; save it as CSV"),
        ("a.tsv", "label\ttext\nfilm\n", "line 2 has 1 column, the header 2; is there a line break"),
        ("a.train", "__label__a __label__b good\n", "line 1 has 2 labels; give one"),
        ("a.tsv.gz", None, "this gzip file is damaged"),
        ("a.jsonl", '{"label"\n', "line 1 is no JSON"),
        ("a.jsonl", '{"text": "good"}\n', "there is no column label; its columns are 'text'"),
        ("a.json", "[1]\n", "this is no table in JSON; give a list of objects"),
        ("a.json", "1\n", "line 1 is no object; give objects"),
        ("a.txt", "good", r"it is a text file\); give a table whose first line is label and text"),
        ("a.wav", "RIFF1234WAVE", r"it is WAV audio\); give a table"),
    ],
)
def test_bad_files(name, text, problem, tmp_path):
    path = write(tmp_path / name, text) if text is not None else tmp_path / name
    if text is None:
        path.write_bytes(gzip.compress(b"label\ttext\n1\tgood\n")[:-9])
    with pytest.raises(UserError, match=problem):
        load_labelled(path)


def test_imdb_as_it_lies(tmp_path):
    for part in ("train", "test"):
        write(tmp_path / f"imdb/{part}/pos/0_9.txt", f"good {part}")
        write(tmp_path / f"imdb/{part}/neg/0_1.txt", f"bad {part}")
        write(tmp_path / f"imdb/{part}/urls_pos.txt", "http://example.org")
    write(tmp_path / "imdb/train/unsup/0_0.txt", "who knows")
    write(tmp_path / "imdb/README", "notes")
    skipped = []
    found = [(text, label) for _, text, label in read_labelled(tmp_path / "imdb", skipped)]
    assert sorted(found) == [
        ("bad test", "neg"), ("bad train", "neg"), ("good test", "pos"), ("good train", "pos"),
    ]  # fmt: skip
    assert len(skipped) == 2 and "train/unsup is no label" in skipped[0]
    assert "test/urls_pos.txt and 1 more, beside folders of texts, have no label" in skipped[1]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["SMSSpamCollection", "data/labels.txt", "a.tsv"])
def test_labels_and_texts_with_a_tab_between(order, name, tmp_path):
    rows = [("ham", "Go on."), ("ham", 'A "quoted" word'), ("spam", "Win, now"), ("ham", "Ok")]
    path = write(tmp_path / "set" / name, "".join("\t".join(row[::order]) + "\n" for row in rows))
    for given in (path, tmp_path / "set") if path.suffix else (path,):
        skipped = []
        assert [(label, text) for _, text, label in read_labelled(given, skipped)] == rows
        assert skipped == []


def test_a_folder_without_texts(tmp_path):
    write(tmp_path / "films/note.txt", "x")
    with pytest.raises(UserError, match=r"films: no labelled text .*there is neither a table nor a folder"):
        load_labelled(tmp_path / "films")
    with pytest.raises(UserError, match="there is no such file or folder"):
        load_labelled(tmp_path / "gone.tsv")


def test_rows_that_say_nothing(tmp_path):
    path, skipped = table(tmp_path / "a.tsv", ("1", " \u200b"), ("", "good"), ("1", "a\x07b")), []
    assert list(read_labelled(path, skipped)) == [("000004", "a b", "1")]
    assert skipped == [f"{path}, line 2 has no text.", f"{path}, line 3 has no label."]


def test_a_text_as_long_as_a_book(tmp_path):
    text = "word " * 100_000
    path = write(tmp_path / "a.csv", f'label,text\n1,"{text}"\n')
    (found,) = read_labelled(path, [])
    assert found[1] == text.strip()


def test_fasttext_labels_may_stand_anywhere(tmp_path):
    (tmp_path / "a.txt").write_text("# note\na fine film __label__pos\n__label__neg dull\n")
    skipped = []
    found = [(text, label) for _, text, label in read_labelled(tmp_path / "a.txt", skipped)]
    assert found == [("a fine film", "pos"), ("dull", "neg")] and "line 1 has no label" in skipped[0]
