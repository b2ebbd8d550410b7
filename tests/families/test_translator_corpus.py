import codecs
import functools
import gzip
import json
import re
import tarfile

import pytest

from zoo.data import prepared as corpora
from zoo.errors import UserError
from zoo.families.translator import corpus as parallel
from zoo.families.translator.corpus import load_parallel, read_parallel
from zoo.text.normalise import normalise_sentence

EN = ["Two dogs play.", "A man reads.", "The end."]
DE = ["Zwei Hunde spielen.", "Ein Mann liest.", "Das Ende."]
FR = ["Deux chiens jouent.", "Un homme lit.", "La fin."]


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def tmx(*units, head="", code="xml:lang"):
    """A TMX file of units ``{language: segment}``."""
    body = "".join(
        "<tu>" + "".join(f'<tuv {code}="{c}"><seg>{s}</seg></tuv>' for c, s in unit.items()) + "</tu>\n"
        for unit in units
    )
    return f'<?xml version="1.0"?>\n{head}<tmx version="1.4"><header/><body>{body}</body></tmx>'


def read(path, languages=("en", "de")):
    """``(rows, skipped)`` of a corpus, without preparing it."""
    skipped = []
    return list(read_parallel(path, languages, skipped)), skipped


def rows(prefix=""):
    return [(f"{prefix}{i:06d}", en, de) for i, (en, de) in enumerate(zip(EN, DE, strict=True), 1)]


@pytest.fixture
def prefix(tmp_path):
    """The corpus ``talk`` in three languages, one of them plain."""
    write(tmp_path / "talk.en.gz", *EN)
    write(tmp_path / "talk.de", *DE)
    write(tmp_path / "talk.fr.gz", *FR)
    return tmp_path / "talk"


# === Layouts ===


PLACES = [
    ("train.en.txt", "train.de.txt", "train/", "train"),
    ("news_en.txt", "news_de.txt.gz", "news/", "news"),
    ("en.txt", "de.TXT", "", "en.txt"),
    ("English.txt", "German.txt", "", "English.txt"),
    ("en/train.txt", "de/train.txt", "train/", "train"),
    ("set/en/a/train.en", "set/de/a/train.de", "set/a/train/", None),
    ("de-en/train.en", "de-en/train.de", "de-en/train/", None),
]


@pytest.mark.parametrize("source, target, prefix, label", PLACES)
def test_two_files_told_apart_by_their_names_or_folders(source, target, prefix, label, tmp_path):
    paths = write(tmp_path / "set" / source, *EN), write(tmp_path / "set" / target, *DE)
    write(tmp_path / "set/README.txt", "nothing")
    assert read(tmp_path / "set") == (rows(prefix), [])
    if label:
        assert read(paths[0]) == read(paths[1]) == (rows(), [])
        found = load_parallel([str(path) for path in paths], "en", "de")
        assert found.texts == DE and found.names[0] == f"{label}/000001"


def test_a_pair_that_is_not_parallel_spoils_no_other(tmp_path):
    for folder, sentences in (("en", EN), ("de", DE)):
        write(tmp_path / folder / "a.txt", *sentences)
        write(tmp_path / folder / "b.txt", *sentences[: 3 if folder == "en" else 2])
    found, skipped = read(tmp_path)
    assert found == rows("a/") and len(skipped) == 1 and "en/b.txt has 3 lines and" in skipped[0]


def test_anki_s_zip(tmp_path):
    write(tmp_path / "deu.txt", *map("\t".join, zip(EN, DE, ["CC-BY"] * 3, strict=True)))
    write(tmp_path / "_about.txt", "This is from Anki.")
    assert read(tmp_path) == (rows("deu/"), [])


@pytest.mark.parametrize(
    "name, start, sentence",
    [
        ("a.po", 'msgid ""\n', r"a text file\); a.po is gettext, make TMX of it .* po2tmx -l de a.po a.tmx"),
        ("a.xlf", "<xliff>", r"<xliff>\); a.xlf is XLIFF, make TMX .* xliff2po a.xlf a.po; po2tmx -l de"),
        ("a.wav", "RIFF1234WAVE", r"it is WAV audio\); give PREFIX.en and PREFIX.de"),
        ("a.fr", "Bonjour", r"it is a text file\); give PREFIX.en and PREFIX.de"),
    ],
)
def test_files_of_other_formats(name, start, sentence, tmp_path):
    path = write(tmp_path / "set" / name, start)
    with pytest.raises(UserError, match=f"{name}: no pair of .*{sentence}"):
        load_parallel(path, "en", "de")
    if "make TMX" in sentence:
        with pytest.raises(UserError, match="neither parallel files nor tables in it, but .* make TMX of it"):
            load_parallel(path.parent, "en", "de")


@pytest.mark.parametrize("named", ["talk", "talk.en.gz", "talk.de"])
def test_two_files_by_prefix_or_either_name(prefix, named):
    found = load_parallel(prefix.with_name(named), "en", "de")
    assert found.names == ["talk/000001", "talk/000002", "talk/000003"]
    assert (found.sources, found.texts, found.skipped) == (EN, DE, [])
    assert found.languages == ("en", "de")
    assert list(found.chunks(2)) == [(EN[:2], DE[:2]), (EN[2:], DE[2:])]


def test_language_pairs_are_kept_apart_and_each_is_prepared_once(prefix, monkeypatch):
    for _ in range(2):
        assert load_parallel(prefix, "en", "de").texts == DE
        assert load_parallel(prefix, "de", "en").sources == DE
        assert load_parallel(prefix, "en", "fr").texts == FR
        monkeypatch.setattr(parallel, "read_parallel", lambda *_: pytest.fail("read again"))


@pytest.mark.parametrize("changed", ["talk.en.gz", "talk.de"])
def test_a_change_of_either_file_is_noted(prefix, changed):
    load_parallel(prefix, "en", "de")
    write(prefix.with_name(changed), *EN[:2], "New.")
    found = load_parallel(prefix, "en", "de")
    assert "New." in (found.sources[2], found.texts[2])


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "tar.xz"])
def test_a_folder_or_tar_of_pairs(kind, tmp_path):
    folder = tmp_path / "pairs"
    for name, sentences in {"en": EN, "de": DE, "fr": FR}.items():
        write(folder / f"train.{name}.gz", *sentences)
        write(folder / f"more/test.{name}", *sentences)
    write(folder / "train.en", "one.")  # of PREFIX.en and PREFIX.en.gz, the former
    write(folder / "train.de", "eins.")
    write(folder / "only.fr", *FR)
    write(folder / "half.de", *DE)
    write(folder / "README.md", "no sentences")
    corpus = folder
    if kind != "folder":
        corpus = tmp_path / f"pairs.{kind}"
        with tarfile.open(corpus, "w:" + kind.partition(".")[2]) as tar:
            tar.add(folder, ".")
    found = load_parallel(corpus, "en", "de")
    expected = [*rows("pairs/more/test/"), ("pairs/train/000001", "one.", "eins.")]
    assert list(zip(found.names, found.sources, found.texts, strict=True)) == expected
    assert found.skipped == [f"{corpus}: there is no half.en; of half there are de."]


@pytest.mark.parametrize(
    ("name", "lines", "first"),
    [
        ("talk.tsv", [f"{en}\t{de}" for en, de in zip(EN, DE, strict=True)], 1),
        ("deu.txt", [f"{en}\t{de}\tCC-BY 2.0 (France)\r" for en, de in zip(EN, DE, strict=True)], 1),
        ("pairs.tsv", [f"{i}\t{EN[i]}\t9{i}\t{DE[i]}" for i in range(3)], 1),
        ("turned.tsv.gz", ["de\ten", *(f"{de}\t{en}" for en, de in zip(EN, DE, strict=True))], 2),
        ("three.tsv", ["fr\ten-GB\tDE", *("\t".join(row) for row in zip(FR, EN, DE, strict=True))], 2),
    ],
)
def test_tables(name, lines, first, tmp_path):
    found, skipped = read(write(tmp_path / name, *lines))
    assert [row[1:] for row in found] == list(zip(EN, DE, strict=True)) and skipped == []
    assert [int(row[0]) for row in found] == list(range(first, first + 3))


@pytest.mark.parametrize(
    ("name", "header", "join"),
    [
        ("a.csv", "de,en,id", ","), ("a.csv", "English;German;id", ";"),
        ("a.tsv", "text_en\ttext_de\tid", "\t"),
        ("a.tsv", "source\ttarget\tsource_lang", "\t"),
        ("a.csv", "German sentences,English sentences,x", ","),
    ],
)  # fmt: skip
def test_headers(name, header, join, tmp_path):
    turned = header.lower().startswith(("de", "german"))
    lines = [join.join((de, en) if turned else (en, de)) for _, en, de in rows()]
    found, skipped = read(write(tmp_path / name, header, *(f"{line}{join}7" for line in lines)))
    assert [row[1:] for row in found] == [row[1:] for row in rows()] and skipped == []


def parquet_of(folder):
    from pyarrow import Table, parquet

    columns = {"id": [1, 2, 3], "translation": [{"en": en, "de": de} for en, de in zip(EN, DE, strict=True)]}
    parquet.write_table(Table.from_pydict(columns), folder / "a.parquet")
    return folder / "a.parquet"


def test_json_and_parquet_and_folders_of_tables(tmp_path):
    objects = [{"translation": {"de": de, "en": en, "fr": "x"}} for en, de in zip(EN, DE, strict=True)]
    lines = [json.dumps({"source": en, "target": de}) for en, de in zip(EN, DE, strict=True)]
    for path in (
        write(tmp_path / "a.jsonl", *map(json.dumps, objects)),
        write(tmp_path / "a.json.gz", json.dumps({"data": objects}, indent=1)),
        write(tmp_path / "b.jsonl", *lines),
        parquet_of(tmp_path),
    ):
        found, skipped = read(path)
        assert [row[1:] for row in found] == [row[1:] for row in rows()] and skipped == []
    (tmp_path / "a.json.gz").unlink()
    write(tmp_path / "about.csv", "name,size", "a,1")
    found = load_parallel(tmp_path, "en", "de")
    assert len(found) == 9 and found.names[0].endswith("/a/000001")
    assert [sentence.partition(";")[0] for sentence in found.skipped] == [
        f"{tmp_path}: about.csv: there is no column en"
    ]
    with pytest.raises(UserError, match="a.jsonl: there is no column cs; its columns are 'translation.de, "):
        read(tmp_path / "a.jsonl", ("en", "cs"))


def test_columns_as_a_person_names_them_are_prepared_anew(tmp_path):
    path = write(tmp_path / "a.csv", "one,two,three", "a,b,c")
    for name, wanted in (("three", "c"), ("two", "b")):
        columns = {"source": "one", "target": name}
        assert load_parallel(path, "en", "de", columns=columns).texts == [wanted]
    write(tmp_path / "b.csv", "one,de", "a,b")
    assert load_parallel(tmp_path / "b.csv", "en", "de", columns={"source": "one"}).texts == ["b"]
    with pytest.raises(UserError, match="there is no column four; its columns are 'one, two, three'"):
        load_parallel(path, "en", "de", columns={"source": "one", "target": "four"})
    with pytest.raises(UserError, match="--columns text=x: there is no text; name source, target"):
        load_parallel(path, "en", "de", columns={"text": "x"})


def test_lines_that_are_not_utf8_are_skipped(tmp_path):
    write(tmp_path / "a.en", *(f"number {i}" for i in range(30)))
    lines = [f"Nummer {i}".encode() for i in range(30)]
    (tmp_path / "a.de").write_bytes(b"\n".join([*lines[:9], b"\xfcbel", *lines[10:]]))
    found, skipped = read(tmp_path / "a.en")
    assert len(found) == 29 and skipped[0].startswith(f"{tmp_path}/a.de: line 10 is not UTF-8 at its byte 1")


def test_quotes_in_tables(tmp_path):
    """Anki and Tatoeba enclose nothing; pandas encloses texts with quotes and doubles these."""
    lines = ['"Yes."\t„Ja.“', '"We go.\t"Wir gehen', 'Now."\tJetzt."', '"A ""B"" c"\tD "e"']
    path = write(tmp_path / "a.tsv", *lines)
    assert [row[1:] for row in read(path)[0]] == [
        ('"Yes."', "„Ja.“"), ('"We go.', '"Wir gehen'), ('Now."', 'Jetzt."'), ('A "B" c', 'D "e"'),
    ]  # fmt: skip


def test_a_table_is_named_without_suffixes(tmp_path):
    path = write(tmp_path / "tatoeba.tsv.gz", "Hi.\tHallo.")
    assert load_parallel(path, "en", "de").names == ["tatoeba/000001"]


def test_two_words_are_no_header(tmp_path):
    found, _ = read(write(tmp_path / "a.tsv", "yes\toui", "no\tnon"), ("en", "fr"))
    assert [row[1:] for row in found] == [("yes", "oui"), ("no", "non")]


@pytest.mark.parametrize("suffix", ["tmx", "tmx.gz"])
@pytest.mark.parametrize(
    ("codes", "attribute"),
    [(("en-GB", "de"), "xml:lang"), (("EN-US", "DE_at"), "xml:lang"), (("EN", "DE"), "lang")],
)
def test_tmx(suffix, codes, attribute, tmp_path):
    units = [{codes[1]: de, "fr": "x", codes[0]: en} for en, de in zip(EN, DE, strict=True)]
    text = tmx(*units, head='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n', code=attribute)
    assert read(write(tmp_path / f"memory.{suffix}", text)) == (rows(), [])


def test_tmx_text_is_without_the_formats_codes(tmp_path):
    units = [
        {
            "en": 'A <bpt i="1">{\\b </bpt>bold<ept i="1">}</ept> <hi>word</hi> &amp; <![CDATA[<more>]]>',
            "de": "Ä",
        },
        {"en": "alone", "fr": "seul"},
        {"en-GB": "colour", "en": "color", "de": "Fa&#114;be"},
        {"en": "10&nbsp;&euro;", "de": "zehn"},
    ]
    text = tmx(*units, head='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n')
    found, skipped = read(write(tmp_path / "a.tmx", text))
    texts = [("A bold word & <more>", "Ä"), ("color", "Farbe"), ("10 €", "zehn")]
    assert found == [(f"00000{i}", *pair) for i, pair in zip((1, 3, 4), texts, strict=True)]
    assert skipped == [f"{tmp_path}/a.tmx: 1 of 4 units are not in en and de."]


def test_tmx_is_read_as_a_stream(tmp_path, monkeypatch):
    path = tmp_path / "long.tmx"
    path.write_text(tmx(*[{"en": f"number {i}", "de": f"Nummer {i}"} for i in range(50_000)]))
    sizes = []
    drain = parallel._TmxReader.drain
    monkeypatch.setattr(
        parallel._TmxReader, "drain", lambda self: sizes.append(len(self.units)) or drain(self)
    )
    found, _ = read(path)
    assert found[-1] == ("050000", "number 49999", "Nummer 49999") and len(found) == 50_000
    assert max(sizes) < 20_000


def test_public_sets_by_name(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=self.kind)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(3), "test": self._generate_examples(1)}

        def _generate_examples(self, count):
            return ((i, self.sample(i)) for i in range(count))

    class ToyWmt(Toy):
        kind = tfds.features.Translation(languages=["de", "en", "fr"])

        def sample(self, i):
            return {"de": f" {DE[i]}\n", "en": EN[i] if i else " ", "fr": FR[i]}

    class ToyTed(Toy):
        kind = tfds.features.FeaturesDict(
            {"translations": tfds.features.TranslationVariableLanguages(languages=["de", "en", "fr"])}
        )

        def sample(self, i):
            return {"translations": {"de": DE[i], "en": EN[i]} if i else {"de": DE[i], "fr": FR[i]}}

    class ToyText(Toy):
        kind = tfds.features.FeaturesDict({"text": tfds.features.Text()})

        def sample(self, i):
            return {"text": EN[i]}

    monkeypatch.setattr(corpora.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    for name in ("toy_wmt", "toy_ted"):
        found = load_parallel(f"tfds:{name}", "en", "de")
        assert sorted(zip(found.sources, found.texts, strict=True)) == sorted(
            zip(EN[1:], DE[1:], strict=True)
        )
        (complaint,) = found.skipped
        assert complaint.startswith(f"{name}/") and complaint.endswith(" is empty in en.")
        with monkeypatch.context() as patch:
            patch.setattr(corpora, "_Index", lambda *_: pytest.fail("read again"))
            assert load_parallel(f"tfds:{name}", "en", "de").names == found.names
        assert load_parallel(f"tfds:{name}:test", "de", "fr").texts == FR[:1]
        with pytest.raises(UserError, match=f"tfds:{name}: there is no cs; there are de, en, fr"):
            load_parallel(f"tfds:{name}", "en", "cs")
    with pytest.raises(UserError, match="toy_text has no translation feature"):
        load_parallel("tfds:toy_text", "en", "de")
    with pytest.raises(UserError, match="tfds:no_such_set"):
        load_parallel("tfds:no_such_set", "en", "de")


# === Text ===


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  a\t\tb\u00a0c\u2028d\x00e\x1b[0m\x85f \r", "a b c d e [0m f"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("“Don’t” – ﬁne\u00ad, “½”… GROß", "“Don’t” – ﬁne\u00ad, “½”… GROß"),
        ("\u05e9\u05dc\u05d5\u05dd\u200f", "\u05e9\u05dc\u05d5\u05dd\u200f"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("👩\u200d🚀 \ue000", "👩\u200d🚀 \ue000"),
        (" \x07 ", ""),
    ],
)  # fmt: skip
def test_only_white_space_and_control_characters_change(raw, clean):
    assert normalise_sentence(raw) == clean


def test_lines_end_at_line_feeds_alone(tmp_path):
    (tmp_path / "a.en").write_bytes(codecs.BOM_UTF8 + "one\r\ntwo\x0b\x85\u2028parts\r\nthree".encode())
    write(tmp_path / "a.de", "eins", "zwei", "drei")
    found, skipped = read(tmp_path / "a.en")
    assert [row[1] for row in found] == ["one", "two parts", "three"] and skipped == []


def test_a_very_long_line(tmp_path):
    write(tmp_path / "a.en", "word " * 100_000, "Hi.")
    write(tmp_path / "a.de", "Wort " * 5000, "Hallo.")
    found = load_parallel(tmp_path / "a", "en", "de")
    assert [text.count("W") for text in found.texts] == [5000, 0]
    assert len(found.clean()[0]) == 1


# === What cannot be used ===


def test_files_of_unequal_length(tmp_path):
    en, de = write(tmp_path / "a.en", *EN, "More.", "Still more."), write(tmp_path / "a.de", *DE)
    expected = f"{en} has 5 lines and {de} 3, so that line 4 and what follows has no translation; "
    for languages in (("en", "de"), ("de", "en")):
        with pytest.raises(UserError) as caught:
            load_parallel(tmp_path / "a", *languages)
        assert str(caught.value).startswith(expected)
    with pytest.raises(UserError, match="x: a.en has 5 lines and .*x: a.de 3"):
        write(tmp_path / "x/a.en", *EN, "More.", "Still more.")
        write(tmp_path / "x/a.de", *DE)
        load_parallel(tmp_path / "x", "en", "de")


@pytest.mark.parametrize(
    ("en", "de", "result"),
    [
        (["", " "], [""], 3),  # blank at the end of both: no sentences
        (["\x0c"], ["", "", ""], 3),
        ([""], [], "has 4 lines and"),
        (["", ""], ["Mehr.", ""], "000004"),  # de has one: line 4 counts
        (["More."], [""], "000004"),
    ],
)
def test_blank_lines_at_the_end(en, de, result, tmp_path):
    write(tmp_path / "a.en", *EN, *en)
    write(tmp_path / "a.de", *DE, *de)
    if isinstance(result, str) and "lines" in result:
        with pytest.raises(UserError, match=result):
            read(tmp_path / "a.en")
        return
    found, skipped = read(tmp_path / "a.en")
    assert found == rows() and len(skipped) == (result != 3)
    assert all("line 4 is empty in" in sentence for sentence in skipped)


def test_empty_sentences_are_skipped_and_numbers_stay(tmp_path):
    write(tmp_path / "a.en", "one", " ", "three", "", "five")
    write(tmp_path / "a.de", "eins", "zwei", "\x01", "", "fünf")
    found = load_parallel(tmp_path / "a", "en", "de")
    assert found.names == ["a/000001", "a/000005"] and found.texts == ["eins", "fünf"]
    assert found.skipped == [
        f"{tmp_path}/a, line 2 is empty in en.",
        f"{tmp_path}/a, line 3 is empty in de.",
        f"{tmp_path}/a, line 4 is empty in en and de.",
    ]


def test_rows_of_a_table_that_are_no_pairs(tmp_path):
    path = write(tmp_path / "a.tsv", "title", "de\ten", "eins\tone", "two", "", "drei\t", "vier\tfour\tx\ty")
    found, skipped = read(path)
    assert found == [("000003", "one", "eins")]
    assert skipped == [
        f"{path}, line 1 has 1 column; separate columns by a tab.",
        f"{path}, line 4 has 1 column, the header 2; is there a line break inside a text?",
        f"{path}, line 6 is empty in en.",
        f"{path}, line 7 has 4 columns, the header 2; is there a separator inside a text?",
    ]


@pytest.mark.parametrize("name", ["a.de", "a.de.gz", "a.tsv", "folder/a.de"])
def test_invalid_utf8_is_placed(name, tmp_path):
    data = "Grüße\tx\nviel gr".encode() + b"\xfc" + b"n\tx\nnoch\tx\n"
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    corpus = path.parent if "/" in name else path
    if not name.endswith("tsv"):
        write(path.parent / "a.en", *EN)
    found = load_parallel(corpus, "en", "de")
    assert len(found) == 2 and len(found.skipped) == 1
    assert re.search("a.(de|de.gz|tsv): line 2 is not UTF-8 at its byte 8, perhaps Latin", found.skipped[0])


def test_unknown_languages(prefix, tmp_path):
    columns = "its columns are 'de, en'. Name one so, or say which it is:"
    there = "there is no talk.xx; of talk there are de, en, fr."
    table = write(tmp_path / "a.tsv", "de\ten", "eins\tone")
    memory = write(tmp_path / "a.tmx", tmx({"de-AT": "eins", "en": "one"}))
    for path, languages, message in [
        (prefix, ("en", "xx"), f"{prefix}: {there}"),
        (prefix, ("xx", "en"), f"{prefix}: {there}"),
        (f"{prefix}.en.gz", ("en", "xx"), f"{prefix}: {there}"),
        (tmp_path, ("en", "xx"), f"{tmp_path}: {there}"),
        (tmp_path, ("xx", "yy"), f"{tmp_path}: {there}"),
        (f"{prefix}.fr.gz", ("en", "de"), f"{prefix}.fr.gz: this is neither en nor de; name {prefix}."),
        (table, ("en", "xx"), f"{table}: there is no column xx; {columns} --columns target=NAME."),
        (table, ("fr", "xx"), f"{table}: there is no column fr; {columns} --columns source=NAME."),
        (memory, ("en", "xx"), f"{memory}: there is no unit in en and xx; there are de-AT, en."),
        (prefix, ("en", "en"), "Source and target are both en; give two languages."),
        (prefix, ("en", "../de"), "'../de' is no language code; give one such as en or de."),
    ]:
        with pytest.raises(UserError) as caught:
            load_parallel(path, *languages)
        assert str(caught.value) == message


ENTITIES = "<!DOCTYPE tmx [{}]>"
BOMB = ENTITIES.format('<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">')
OUTSIDE = ENTITIES.format('<!ENTITY a SYSTEM "file:///etc/hostname">')


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tmx({"en": "a", "de": "b"})[:-20].encode(), "no well-formed XML .*line 2"),
        (tmx({"en": "a & b", "de": "b"}).encode(), "no well-formed XML .*line 2"),
        (tmx({"en": "a \xfc", "de": "b"}).encode("latin-1"), "no well-formed XML .*line 2"),
        (b'<?xml version="1.0" encoding="klingon"?><tmx/>', "no well-formed XML .*encoding"),
        (tmx({"en": "&b;", "de": "b"}, head=BOMB).encode(), "refused, it declares XML entities"),
        (tmx({"en": "&a;", "de": "b"}, head=OUTSIDE).encode(), "refused, it declares XML entities"),
        (b"", "no well-formed XML"),
        (tmx().encode(), "no pair of sentences in it could be used .it is empty"),
        (gzip.compress(tmx({"en": "a", "de": "b"}).encode(), mtime=0)[:-9], "this gzip file is damaged"),
    ],
)
def test_bad_tmx(data, reason, tmp_path):
    (tmp_path / "bad.tmx").write_bytes(data)
    with pytest.raises(UserError, match=f"bad.tmx: .*{reason}") as caught:
        load_parallel(tmp_path / "bad.tmx", "en", "de")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "named", "reason"),
    [
        ({}, "none", "none: there is no such file or folder"),
        ({"x/notes.md": b"text"}, "x", "neither parallel files nor tables in it, but notes.md"),
        ({"a.en": b"", "a.de": b""}, "a", "it is empty"),
        ({"a.en": b" \n", "a.de": b"\n"}, "a", "it is empty"),
        ({"a.en": b"Hi.\n", "a.de": b"\x1f\x8bcut"}, "a", "a.de: this gzip file is damaged"),
        ({"a.txt": b"only\nlines\n"}, "a.txt", "a.txt, line 1 has 1 column"),
        ({"a.tar.gz": b"\x1f\x8b\x08\x00trash"}, "a.tar.gz", "damaged"),
        ({"a.doc": b"what?"}, "a.doc", "a.doc"),
        ({"x/a.en": b"Hi.\n"}, "x", "there is no a.de; of a there are en"),
    ],
)
def test_unusable_corpora(content, named, reason, tmp_path, zoo_home):
    prepared = set((zoo_home / "corpora").rglob("*"))
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        load_parallel(tmp_path / named, "en", "de")
    assert "\n" not in str(caught.value)
    assert set((zoo_home / "corpora").rglob("*")) == prepared, "half-prepared files left"


# === What a person holds ===


def test_dataset_selection_and_repeats(prefix, tmp_path):
    write(tmp_path / "more.tsv", "One.\tEins.", "Two.\tZwei.")
    found = load_parallel([tmp_path / "more.tsv", f"{prefix}@2"], "en", "de")
    pairs = list(zip(found.sources, found.texts, strict=True))
    assert [(s["source"].numpy().decode(), s["text"].numpy().decode()) for s in found.dataset()] == pairs
    repeated = [s["text"].decode() for s in found.dataset(repeat=True).as_numpy_iterator()]
    assert repeated == ["Eins.", "Zwei.", *DE, *DE] and found.shown() == 8
    for part in (
        found.select(lambda name: "talk" in name),
        load_parallel([f"{prefix}@2", tmp_path / "more.tsv"], "en", "de", only="^talk"),
    ):
        assert (part.sources, part.texts, part.shown()) == (EN, DE, 6)
        assert len(list(part.dataset())) == 3
        assert {name: (t.dtype, t.shape) for name, t in part.dataset().element_spec.items()} == {
            "source": ("string", ()), "text": ("string", ()),
        }  # fmt: skip
    assert len(found.sample(2)) == 2
    with pytest.raises(UserError, match="matches no pair"):
        load_parallel(prefix, "en", "de", only="nothing")


def test_clean(tmp_path):
    pairs = [
        ("Hi", "Guten Tag zusammen"),
        ("Hi", "Guten Tag alle miteinander hier im Saal"),  # 7 words for 1
        ("This was never translated", "This was never translated"),
        ("New York City", "New York City"),
        ("w " * 101, "w"),
        ("w " * 100, "v " * 100),
        ("Hi", "Guten Tag zusammen"),
        ("Hi", "Hallo"),
        ("hi", "Guten Tag zusammen"),
    ]
    again = [("Hi", "Hallo"), ("One.", "Eins.")]
    write(tmp_path / "a.tsv", *("\t".join(pair) for pair in pairs))
    write(tmp_path / "b.tsv", *("\t".join(pair) for pair in again))
    found = load_parallel([tmp_path / "a.tsv", f"{tmp_path}/b.tsv@3"], "en", "de")
    kept, report = found.clean()
    assert kept.names == [f"a/{i:06d}" for i in (1, 4, 6, 8, 9)] + ["b/000002"]
    assert report == {
        "longer than 100 words": 1, "one side more than 3 times as long as the other": 1,
        "not translated": 1, "the same pair again": 2,
    }  # fmt: skip
    assert len(found) == 11 and len(kept) + sum(report.values()) == 11 and kept.shown() == 8
    assert [s["text"].decode() for s in kept.dataset().as_numpy_iterator()] == kept.texts
    again, nothing = kept.clean()
    assert again.names == kept.names and not any(nothing.values())
    assert len(found.clean(max_ratio=1.9, max_words=99)[0]) == 3  # New York City, Hallo, One.
    few, _ = found.select(lambda name: name.startswith("b/")).clean(max_words=0)
    assert len(few) == 0 and list(few.dataset()) == []


@pytest.mark.slow
def test_cleaning_a_hundred_thousand_pairs_takes_no_time(tmp_path):
    import time

    rows = [f"two dogs {i // 2}\tzwei Hunde {i // 2}" for i in range(100_000)]
    write(tmp_path / "many.tsv", "en\tde", *rows)
    many = load_parallel(tmp_path / "many.tsv", "en", "de")
    start = time.process_time()
    kept, report = many.clean()
    assert len(kept) == 50_000 and report["the same pair again"] == 50_000
    assert time.process_time() - start < 3
