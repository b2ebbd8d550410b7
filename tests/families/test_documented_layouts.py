"""The examples of docs/corpora.md are read as they stand there."""

import io
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from zoo.data import speech
from zoo.families.captioner.corpus import load_captions
from zoo.families.char_lm.corpus import load_texts
from zoo.families.ink.corpus import load_inks
from zoo.families.line_ocr.corpus import load_lines
from zoo.families.question_answering.corpus import read_questions
from zoo.families.sequence_classifier.corpus import read_sequences
from zoo.families.text_classifier.corpus import read_labelled
from zoo.families.translator.corpus import read_parallel
from zoo.families.video_captioner.corpus import load_videos

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


# === Images ===

IMAGE = r"[\w./-]+\.(?:png|jpg|tif)"
LISTS = {  # the heading: a name that the page gives to such a file
    "PaddleOCR": "rec_gt_train.txt", "ICDAR": "gt.txt", "EasyOCR": "labels.csv", "docTR": "labels.json",
    "Hugging Face": "metadata.jsonl", "Parquet": "data/train-00000-of-00001.parquet", "MMOCR": "train.json",
    "A list of images": "train.txt", "Flickr8k and Flickr30k": "Flickr8k.token.txt",
    "COCO": "captions_val2017.json", "Karpathy's splits": "dataset_flickr8k.json", "Tables": "results.csv",
    "Objects": "metadata.jsonl", "Parquet of captions": "test-00000-of-00001.parquet",
}  # fmt: skip


def headed(section):
    """``{heading: example}`` of a section."""
    part = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    return dict(re.findall(r"^### ([^\n]*)\n(?:(?!###).)*?^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE))


def picture():
    image = Image.new("L", (60, 20), 255)
    image.paste(0, (10, 5, 50, 15))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def lay_out_images(heading, example, folder):
    """Write an example with its images; the path of the corpus."""
    write = {}
    if heading in LISTS and "Parquet" not in heading:
        write[LISTS[heading]] = example.encode()
        for name in re.findall(IMAGE, example):
            write[name.removeprefix("/data/")] = picture()
    elif "Parquet" in heading:
        rows = re.findall(rf"image: {{bytes: …, path: ({IMAGE})}} +(\w+): (.*)", example)
        listed = [part.strip(".[]").split("., ") if part.startswith("[") else part for _, _, part in rows]
        images = [{"bytes": picture(), "path": name} for name, _, _ in rows]
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"image": images, rows[0][1]: listed}), file)
        write[LISTS[heading]] = file.getvalue()
    else:  # paths, and texts behind them
        said = None
        for line in example.splitlines():
            name, _, text = re.sub(r" *\(.*", "", line).partition(" ")
            said = name or said
            is_text = said.endswith(".txt")
            write[said] = write.get(said, b"") + text.strip().encode() + b"\n" if is_text else picture()
    for name, data in write.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("heading, example", headed("Lines of text").items())
def test_lines(heading, example, tmp_path):
    folder = lay_out_images(heading, example, tmp_path / "set")
    if heading == "A list of images":
        for image in folder.rglob("*.png"):
            image.with_suffix(".gt.txt").write_text(f"in {image.stem}")
        assert load_lines(folder / "train.txt").texts == [f"in {n}" for n in ("01", "02", "01", "02", "01")]
        return
    if heading == "Whole pages":
        line = '<TextLine><Coords points="5,0 55,0 55,20"/><TextEquiv><Unicode>{}</Unicode></TextEquiv>'
        line += "</TextLine>"
        for i, xml in enumerate(sorted((tmp_path / "set").rglob("*.xml"))):
            xml.write_text(f"<PcGts><Page><TextRegion>{line.format(f'page {i}')}</TextRegion></Page></PcGts>")
        assert sorted(load_lines(folder).texts) == ["page 0", "page 1"]
        return
    if heading == "A transcript beside each image":
        (folder / "my_lines/faust/0001/01.gt.txt").write_text("it was the age")
    found = load_lines(folder)
    fewer = {
        "A transcript beside each image": 3, "Several images of a line": 2, "EasyOCR": 4, "docTR": 3,
        "MMOCR": 2,
    }  # fmt: skip
    assert len(found) == len(set(found.texts)) == fewer.get(heading, 5)
    said = example.replace('""', '"') + "it was the age"
    assert all(text in said for text in found.texts)
    assert found.skipped == []


@pytest.mark.parametrize("heading, example", headed("Captions").items())
def test_captions(heading, example, tmp_path):
    found = load_captions(lay_out_images(heading, example, tmp_path / "set"), size=8)
    plain = re.sub(r"[^a-z]+", " ", example.lower())
    captions = [caption for those in found.references for caption in those]
    assert all(re.sub(r"[^a-z]+", " ", caption) in plain for caption in captions) and found.skipped == []
    counts = (len(found), len(captions))
    assert counts == {
        "Flickr8k and Flickr30k": (3, 5), "Karpathy's splits": (3, 4), "COCO": (2, 3), "Tables": (2, 4),
        "Objects": (5, 6), "Parquet of captions": (5, 6), "Captions beside each image": (2, 3),
    }[heading]  # fmt: skip


VIDEO_LISTS = {
    "A table of videos": "captions.csv", "MSR-VTT": "videodatainfo.json", "Objects of videos": "label.json",
    "Lines of videos": "AllVideoDescriptions.txt", "Parts of videos": "video_corpus.csv",
}  # fmt: skip


@pytest.mark.parametrize("heading, example", headed("Videos").items())
def test_videos(heading, example, tmp_path):
    frames = [Image.new("L", (16, 16), shade) for shade in (0, 90)]
    (tmp_path / "clips" / "b").mkdir(parents=True)
    for name in ("a_1_5", "b_33_46") if heading == "Parts of videos" else "ab":
        frames[0].save(tmp_path / "clips" / f"{name}.gif", save_all=True, append_images=frames[1:])
    if heading in VIDEO_LISTS:
        (tmp_path / VIDEO_LISTS[heading]).write_text(example)
    else:
        said = re.findall(r"^(\S+\.txt) +(.*)\n((?: {8}.*\n)*)", example, re.MULTILINE)
        for name, first, more in said:
            (tmp_path / name).write_text("\n".join([first, *re.findall(r"^ +(.*?)(?:  |$)", more, re.M)]))
        (tmp_path / "clips" / "b.gif").unlink()
        for i, frame in enumerate(frames):
            frame.save(tmp_path / "clips" / "b" / f"{i + 1}.png")
    found = load_videos(tmp_path, size=8, most=2)
    assert found.skipped == [] and len(found) == 2
    assert [len(those) for those in found.references] == [2, 1]
    assert "two children play in the sand" in found.texts[1]


def test_there_are_examples():
    sections = ("Lines of text", "Captions", "Videos", "Speech", "Translation", "Labels", "Plain text")
    counts = [len(examples(section)) for section in sections]
    assert counts == [11, 7, 6, 8, 8, 6, 1]
    assert [len(headed(section)) for section in sections[:3]] == counts[:3]


@pytest.mark.parametrize("example", examples("Sequences of numbers"))
def test_sequences(example, tmp_path):
    skipped = []
    found = list(read_sequences(lay_out(example, tmp_path), skipped))
    read = {one.label: one.values.tolist() for one in found}
    assert read == {"walk": [[1, 0.5], [2, 0.25]], "run": [[3, 0.5], [4, 0.25]]} and skipped == []


@pytest.mark.parametrize("example", examples("Ink"))
def test_ink(example, tmp_path):
    inks = load_inks(lay_out(example, tmp_path))
    assert set(inks.texts) == {"x + 1"} and inks.skipped == []


@pytest.mark.parametrize("example", examples("Questions"))
def test_questions(example, tmp_path):
    skipped, modes = [], ["sentence"] if "Label" in example else ["list", "span", "sentence"]
    path = lay_out(example, tmp_path)
    for mode in modes:
        found = list(read_questions(path, mode, skipped))
        assert len(found) == 2 and skipped == []
        assert {one["question"] for one in found} == {"Where is Mary?", "Where is John?"}
        assert found[0]["story"][0] == "Mary moved to the bathroom."
        assert mode != "sentence" or [one["support"] for one in found] == [[0], [1]]
