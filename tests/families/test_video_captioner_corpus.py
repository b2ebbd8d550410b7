"""Corpora of captioned videos: lists of every kind, files, folders of frames, features; archives."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from zoo.errors import UserError
from zoo.families.video_captioner.corpus import VideoCorpus, load_videos

SIZE, MOST = 16, 4
NORMAL = {"a": ["a dog runs", "the dog is fast"], "b": ["two children play"], "c": ["a bus"]}


def array(shade):
    file = io.BytesIO()
    np.save(file, np.full((6, 20, 24, 3), shade, "uint8") + np.arange(6, dtype="uint8")[:, None, None, None])
    return file.getvalue()


def gif(shade):
    file, frames = io.BytesIO(), [Image.new("L", (24, 20), shade + 9 * i) for i in range(6)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def png(shade):
    file = io.BytesIO()
    Image.new("L", (24, 20), shade).save(file, "PNG")
    return file.getvalue()


VIDEOS = {"clips/a.npy": array(30), "clips/b.gif": gif(90)}
VIDEOS |= {f"clips/c/{i}.png": png(100 + 10 * i) for i in (2, 9, 10, 11)}


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def read(path, width=0):
    """``({name: captions}, {name: what is seen}, skipped)``."""
    corpus = VideoCorpus(path, SIZE, MOST, width)
    samples = list(corpus.samples())
    seen = {one["name"]: one["features" if width else "video"] for one in samples}
    return {one["name"]: one["text"].split("\n") for one in samples}, seen, corpus.skipped


ROWS = [("a", "A dog runs ."), ("a", "The dog is fast!"), ("b", "Two children play"), ("c", "A bus.")]
PLACES = {"a": "clips/a.npy", "b": "clips/b.gif", "c": "clips/c"}
LISTS = {
    "captions.csv": "video,caption\n" + "".join(f"{PLACES[name]},{text}\n" for name, text in ROWS),
    "list.tsv": "video_id\tDescription\n" + "".join(f"{name}\t{text}\n" for name, text in ROWS),
    "training_label.json": json.dumps(
        [{"caption": [t for n, t in ROWS if n == name], "id": PLACES[name]} for name in "abc"]
    ),
    "videodatainfo.json": json.dumps(
        {
            "videos": [{"video_id": name, "category": 9, "url": "x"} for name in "abc"],
            "sentences": [{"caption": text, "video_id": n, "sen_id": i} for i, (n, text) in enumerate(ROWS)],
        }
    ),
    "metadata.jsonl": "".join(
        json.dumps({"file_name": PLACES[name], "text": text}) + "\n" for name, text in ROWS
    ),
    "AllVideoDescriptions.txt": "".join(f"{name} {text}\n" for name, text in ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists(name, tmp_path):
    texts, seen, skipped = read(write(tmp_path, VIDEOS | {name: LISTS[name]}))
    assert texts == {PLACES[name]: NORMAL[name] for name in "abc"} and not skipped
    assert all(one.shape == (MOST, SIZE, SIZE, 3) for one in seen.values())
    assert seen["clips/c"][:, 0, 0, 0].tolist() == [120, 190, 200, 210]  # 2, 9, 10, 11


MSVD = """VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description
-a,1,5,7,clean,30,English,A dog runs.
-a,1,5,8,unverified,31,German,Ein Hund rennt.
-a,9,12,7,clean,30,English,Two children play
b,0.0,4.0,7,clean,30,English,A bus.
gone,3,4,7,clean,30,English,A cat.
c,,,7,clean,30,English,Nobody
"""


def test_parts_of_videos_named_by_where_they_begin_and_end(tmp_path):
    """MSVD's own table: a row names VideoID_Start_End, or a whole video; a model speaks one language."""
    videos = {"-a_1_5.gif": gif(30), "-a_9_12.npy": array(40), "b_0_4.gif": gif(50), "c.gif": gif(60)}
    folder = write(tmp_path, {f"clips/{name}": data for name, data in videos.items()} | {"corpus.csv": MSVD})
    texts, _, skipped = read(folder)
    said = ["a dog runs"], ["two children play"], ["a bus"], ["nobody"]
    assert texts == {f"clips/{name}": one for name, one in zip(videos, said, strict=True)}
    assert "1 of its rows are not in English" in skipped[0] and "gone" in skipped[1]
    assert len(skipped) == 2
    for name in videos:  # the table alone, beside what it names
        (folder / "clips" / name).rename(folder / name)
    assert len(load_videos(folder / "corpus.csv", size=SIZE, most=MOST)) == 4


def test_archives_splits_and_texts_beside(tmp_path):
    beside = {"clips/a.txt": "A dog runs.\nThe dog is fast.\n", "clips/b.txt": "Two children play"}
    beside["clips/c.txt"] = "A bus"
    with tarfile.open(tmp_path / "videos.tar.gz", "w:gz") as tar:
        for name, data in (VIDEOS | beside).items():
            data = data if isinstance(data, bytes) else data.encode()
            member = tarfile.TarInfo(f"videos/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    found = load_videos(tmp_path / "videos.tar.gz", size=SIZE, most=MOST)
    assert sorted(found.names) == [f"videos/videos/{place}" for place in sorted(PLACES.values())]
    assert sorted(found.references) == sorted(NORMAL.values()) and not found.skipped
    chunks = list(found.chunks(2))
    assert [len(videos) for videos, _ in chunks] == [2, 1]
    splits = {"a": "train", "b": "validate", "c": "test"}
    info = {
        "videos": [{"video_id": name, "split": split} for name, split in splits.items()],
        "sentences": [{"caption": text, "video_id": name} for name, text in ROWS],
    }
    (tmp_path / "split").mkdir()
    texts, _, _ = read(write(tmp_path / "split", VIDEOS | {"info.json": json.dumps(info)}))
    assert set(texts) == {"train/a.npy", "validate/b.gif", "test/c"}


def test_features(tmp_path):
    files = {}
    for name in "ab":
        file = io.BytesIO()
        np.save(file, np.full((9, 5), ord(name), float))
        files[f"{name}.avi.npy"] = file.getvalue()
    listed = "video,caption\na.avi.npy,A dog.\nb.avi.npy,A cat.\n"
    texts, seen, skipped = read(write(tmp_path, files | {"captions.csv": listed}), width=5)
    assert set(texts) == set(files) and not skipped
    assert seen["b.avi.npy"].shape == (MOST, 5) and seen["b.avi.npy"].dtype == np.float32
    _, seen, skipped = read(tmp_path, width=7)
    assert not seen and len(skipped) == 2 and "[frames, 7]" in skipped[0]


def test_what_cannot_be_used_is_named_and_the_rest_read(tmp_path):
    bad = {"clips/d.gif": b"GIF89a no", "clips/e/1.png": png(9), "clips/f/1.png": png(9)}
    bad["clips/f/2.png"] = png(20)
    image = io.BytesIO()
    Image.new("L", (30, 20)).save(image, "PNG")
    bad["clips/f/3.png"] = image.getvalue()
    more = "".join(f"clips/{name},Something.\n" for name in ("d.gif", "e", "f", "gone.mp4"))
    texts, _, skipped = read(write(tmp_path, VIDEOS | bad | {"captions.csv": LISTS["captions.csv"] + more}))
    assert set(texts) == set(PLACES.values()) and len(skipped) == 4
    for name, problem in (
        ("clips/d.gif", "this animation is damaged"), ("clips/e", "it has one frame"),
        ("clips/f/3.png", "of unequal size, 30x20 and 24x20"),
        ("clips/gone.mp4", "is listed, but it is not there"),
    ):  # fmt: skip
        assert any(name in one and problem in one for one in skipped), skipped


def test_nothing_that_can_be_used(tmp_path):
    write(tmp_path / "none", {"a.txt": "A dog runs."})
    with pytest.raises(UserError, match=r"no captioned videos in it .* whose first line is video,caption"):
        load_videos(tmp_path / "none", size=SIZE, most=MOST)
    write(tmp_path / "table", VIDEOS | {"captions.csv": "film,words\nclips/a.npy,A dog\n"})
    with pytest.raises(UserError, match="start it with video,caption|start captions.csv with video,caption"):
        load_videos(tmp_path / "table", size=SIZE, most=MOST)
    columns = {"video": "film", "caption": "words"}
    assert len(load_videos(tmp_path / "table", size=SIZE, most=MOST, columns=columns)) == 1
