"""The examples of docs/corpora.md are read as they stand there."""

import re
from pathlib import Path

import pytest

from zoo.families.char_lm.corpus import load_texts
from zoo.families.deep_speech import corpus as speech
from zoo.families.text_classifier.corpus import read_labelled
from zoo.families.translator.corpus import read_parallel

PAGE = (Path(__file__).parents[2] / "docs/corpora.md").read_text(encoding="utf-8")


def examples(section):
    part = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    return re.findall(r"^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)


def lay_out(example, folder):
    """Write the files of an example; the path of the corpus: its only file, or the folder of all."""
    for name, content in re.findall(r"^(\S.*)\n((?: {4}.*\n)*)", example, re.MULTILINE):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub("^    ", "", content, flags=re.MULTILINE), encoding="utf-8")
    there = list(folder.iterdir())
    return there[0] if len(there) == 1 else folder


@pytest.mark.parametrize("example", examples("Speech"))
def test_speech(example, tmp_path):
    skipped = []
    found = speech._find_utterances(lay_out(example, tmp_path), skipped)
    texts = sorted(one.text for those in found.values() for one in those)
    assert len(texts) == 2 and texts[0] in ("it has two bears", "nobody is ready", "nobody is ready she said")
    assert texts[1] in ("nobody is ready", "we call it bear") and skipped == []


@pytest.mark.parametrize("example", examples("Translation"))
def test_translation(example, tmp_path):
    skipped = []
    found = list(read_parallel(lay_out(example, tmp_path), ("en", "de"), skipped))
    assert {len(text.split()) for _, text, _ in found} in ({3}, {3, 4}) and len(found) == 2
    assert all("Hund" in target or "Mann" in target for _, _, target in found) and skipped == []


@pytest.mark.parametrize("example", examples("Labels"))
def test_labels(example, tmp_path):
    skipped = []
    found = {text: label for _, text, label in read_labelled(lay_out(example, tmp_path), skipped)}
    assert found["A fine film, and a long one."] in ("positive", "1") and skipped == []
    assert found["Dull and endless."] in ("negative", "0")


@pytest.mark.parametrize("example", examples("Plain text"))
def test_plain_text(example, tmp_path):
    found = load_texts(lay_out(example, tmp_path))
    assert len(found) == 2 and all(text.startswith("It was") for text in found.texts) and not found.skipped


def test_there_are_examples():
    counts = [len(examples(section)) for section in ("Speech", "Translation", "Labels", "Plain text")]
    assert counts == [8, 7, 5, 1]
