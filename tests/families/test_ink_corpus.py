import json
import tarfile

import numpy as np
import pytest

from zoo.data.splitting import hold_out
from zoo.errors import UserError
from zoo.families.ink.corpus import load_corpus, load_inks

INKML = (
    '<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="truth">{}</annotation>'
    '<annotation type="writer">{}</annotation><trace>0 0, 9 {}</trace></ink>'
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "formulae"
    folder.mkdir()
    for i, (text, writer) in enumerate(
        [("x \\leq 1", "ann"), ("$a<b$", "ben"), ("\\sin x", ""), ("p", "Unknown")]
    ):
        (folder / f"{i}.inkml").write_text(INKML.format(text.replace("<", "&lt;"), writer, 5 + i))
    return folder


def test_folder_and_archive_alike(folder, tmp_path):
    archive = tmp_path / "formulae.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, ".")
    for corpus in (folder, archive):
        inks = load_inks(corpus)
        assert list(inks.names) == [
            "formulae/ann/0", "formulae/ben/1", "formulae/2", "formulae/3"
        ] and not inks.skipped  # fmt: skip
        assert list(inks.texts) == ["x \\leq 1", "a \\lt b", "\\sin x", "p"]
        ((points, texts),) = inks.chunks(9)
        assert points[1].tolist() == [[0, 0, 0], [9, 6, 1]] and texts == list(inks.texts)


def test_text_beside_and_many_in_one_file(tmp_path):
    stroke = [[0, 0], [1, 2]]
    (tmp_path / "word.json").write_text(json.dumps([stroke]))
    (tmp_path / "word.gt.txt").write_text("a word\n")
    lines = [{"name": n, "strokes": [stroke], "text": t} for n, t in (("a", "to be"), ("b", "or not"))]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, lines)))
    inks = load_inks(tmp_path)
    assert sorted(zip(inks.names, inks.texts, strict=True)) == [
        (f"{tmp_path.name}/many/a", "to be"), (f"{tmp_path.name}/many/b", "or not"),
        (f"{tmp_path.name}/word", "a word"),
    ]  # fmt: skip
    alone = load_inks(tmp_path / "many.jsonl")
    assert list(alone.names) == ["many/many/a", "many/many/b"] or list(alone.names) == ["many/a", "many/b"]


def test_unipen_with_points_in_files_of_their_own(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "include").mkdir()
    points = ".PEN_DOWN\n0 0\n0 9\n.PEN_UP\n.PEN_DOWN\n5 0\n9 9\n.PEN_UP\n"
    (tmp_path / "include" / "p.dat").write_text(points)
    labels = '.INCLUDE p.dat\n.SEGMENT CHARACTER 0 ? "1"\n.SEGMENT CHARACTER 1 ? "/"\n'
    (tmp_path / "data" / "p.dat").write_text(labels)
    for path in (tmp_path, tmp_path / "data"):
        inks = load_inks(path)
        assert list(inks.texts) == ["1", "/"] and not inks.skipped


def test_what_cannot_be_used_is_named(folder):
    (folder / "4.inkml").write_text("<ink><trace>0 0, 1 1</trace></ink>")
    (folder / "5.inkml").write_text(INKML.format("y", "ann", 5).replace("9 5", "0 0"))
    (folder / "6.inkml").write_text("<ink><annotation type='truth'>x</annotation></ink>")
    (folder / "7.inkml").write_text(INKML.format("y", "ann", 5).replace("9 5", "9000000000 5"))
    (folder / "8.inkml").write_bytes(b"\x00\x01")
    inks = load_inks(folder)
    assert len(inks) == 4 and len(inks.skipped) == 5
    for number, (sentence, why) in enumerate(
        zip(
            inks.skipped,
            ("does not tell its text", "one point", "no pen stroke", "no tablet", "no file of"),
            strict=True,
        ),
        4,
    ):
        assert f"{number}.inkml" in sentence and why in sentence


def test_a_corpus_without_ink(tmp_path):
    (tmp_path / "a.inkml").write_text("<ink/>")
    with pytest.raises(UserError, match="no ink in it could be used .*InkML"):
        load_inks(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        load_inks(tmp_path / "none")
    with pytest.raises(UserError, match="--columns is for corpora in tables"):
        load_corpus(tmp_path, {}, columns={"text": "x"})


def test_writers_are_held_out_whole(tmp_path):
    from recipes.ink import LEVELS

    names = [f"c/w{i % 12}/{i}" for i in range(120)] + [f"c/{i}" for i in range(30)]
    (held,) = hold_out(names, LEVELS, "inks", texts=[str(i) for i in range(150)])
    writers = {name.split("/")[1] for name in held.names}
    assert 10 <= len(held.names) <= 30 and all(
        name in held.names for name in names if name.split("/")[1] in writers
    )
    assert np.all([name.count("/") == 2 for name in held.names])
