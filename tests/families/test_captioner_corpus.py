import functools
import gzip
import io
import json
import re
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from zoo.data import prepared as corpora
from zoo.data.captions import read_captioned
from zoo.errors import UserError
from zoo.families.captioner.corpus import KIND, load_captions
from zoo.images.photos import photo_as_jpeg, read_photo

SIZE = 32
COLOURS = {"a.jpg": "red", "b.jpg": "lime", "c.png": "blue", "d.jpg": "white"}
CAPTIONS = {
    "a.jpg": ["A red square .", "Red, all of it!"],
    "b.jpg": ["A green square ."],
    "c.png": ["Blue .", "The dog's sea-blue, square thing"],
    "d.jpg": ["Nothing at all ."],
}
NORMAL = {
    "a.jpg": ["a red square", "red all of it"],
    "b.jpg": ["a green square"],
    "c.png": ["blue", "the dog's sea-blue square thing"],
    "d.jpg": ["nothing at all"],
}
PAIRS = [(file, caption) for file, captions in CAPTIONS.items() for caption in captions]


def picture(colour, suffix="png", size=(40, 30)):
    file = io.BytesIO()
    options = {"quality": 95} if suffix == "jpg" else {}
    Image.new("RGB", size, colour).save(file, "jpeg" if suffix == "jpg" else suffix, **options)
    return file.getvalue()


IMAGES = {file: picture(colour, file[-3:]) for file, colour in COLOURS.items()}


def in_folder(folder, images=IMAGES):
    return {f"{folder}{file}": data for file, data in images.items()}


def write(folder, contents):
    """A corpus folder of ``{path: bytes or str}``."""
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def pack(path, contents):
    """A tar of ``{name: bytes or str}``, in that order."""
    with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "")) as tar:
        for name, data in contents.items():
            data = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def read(path, size=SIZE):
    """``({name: captions}, skipped)`` of a corpus, without preparing it."""
    skipped = []
    found = read_captioned(path, lambda data, name: photo_as_jpeg(data, size, name=name), skipped, KIND)
    return {name: captions for name, _, captions in found}, skipped


def tokens(pairs=PAIRS):
    numbers = dict.fromkeys((file for file, _ in pairs), -1)
    lines = []
    for file, caption in pairs:
        numbers[file] += 1
        lines.append(f"{file}#{numbers[file]}\t{caption}\n")
    return "".join(lines)


def table(separator=",", header="image,caption", pairs=PAIRS):
    quote = '"{}"'.format if separator == "," else str
    rows = [header.replace(",", separator), *(f"{file}{separator}{quote(text)}" for file, text in pairs)]
    return "\n".join(rows) + "\n"


def coco(files, first=0):
    return json.dumps(
        {
            "info": {},
            "images": [{"id": first + i, "file_name": file} for i, file in enumerate(files)],
            "annotations": [
                {"id": 0, "image_id": first + i, "caption": caption}
                for i, file in enumerate(files)
                for caption in CAPTIONS[file]
            ],
        }
    )


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


# === Layouts ===

SPLITS = {
    "Flickr_8k.trainImages.txt": "a.jpg\nc.png\n",
    "text/Flickr_8k.devImages.txt": "b.jpg\r\n",
    "Flickr_8k.testImages.txt": "d.jpg",
}
SPLIT_NAMES = {"train/a.jpg": "a.jpg", "dev/b.jpg": "b.jpg", "train/c.png": "c.png", "test/d.jpg": "d.jpg"}


@pytest.mark.parametrize(
    "name", ["captions.token.txt", "text/Flickr8k.token.txt", "results_20130124.token"]
)  # fmt: skip
@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "tar.xz"])
def test_flickr_token_files_with_splits(name, kind, tmp_path):
    contents = in_folder("Flicker8k_Dataset/") | {name: tokens(), "readme.txt": "no list"} | SPLITS
    contents["text/Flickr8k.lemma.token.txt"] = tokens([("a.jpg", "be")])
    corpus = tmp_path / f"flickr.{kind}"
    corpus = write(corpus, contents) if kind == "folder" else pack(corpus, contents)
    assert read(corpus) == ({name: NORMAL[file] for name, file in SPLIT_NAMES.items()}, [])


@pytest.mark.parametrize("first", ["images", "lists"])
def test_tars_with_lists_before_and_after_the_images(first, tmp_path):
    lists = {"z.token.txt": tokens(), "aImages_train_images.txt": "a.jpg\n"}
    contents = in_folder("m/") | lists if first == "images" else lists | in_folder("m/")
    found, skipped = read(pack(tmp_path / "t.tar", contents))
    assert found == {"train/a.jpg": NORMAL["a.jpg"]} | {f"m/{f}": NORMAL[f] for f in list(NORMAL)[1:]}
    assert skipped == []


def test_only_one_image_is_held_at_a_time(tmp_path):
    images = {f"{i}.bmp": picture("red", "bmp", (400, 400)) for i in range(40)}
    corpus = pack(tmp_path / "t.tar", images | {"captions.csv": table(pairs=[(f, "red") for f in images])})
    tracemalloc.start()
    assert len(read(corpus)[0]) == 40
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(images["0.bmp"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.txt", table()),
        ("captions.csv", table(header="file,caption")),
        ("captions.csv", "\ufeff" + table(header="File_Name, Caption").replace("\n", "\r\n")),
        ("captions.tsv", table("\t")),
        ("captions.csv", "caption,number,image\n" + "".join(f'"{c}",1,{f}\n\n' for f, c in PAIRS)),
        ("captions.csv", "image,caption\n" + "".join(f"{f},{c}\n" for f, c in PAIRS)),
    ],
)
def test_tables(name, text, tmp_path):
    found = {f"images/{file}": captions for file, captions in NORMAL.items()}
    assert read(write(tmp_path, in_folder("images/") | {name: text})) == (found, [])


def test_quotes_and_line_breaks_in_tables(tmp_path):
    rows = 'image,caption\na.jpg,"A ""red""\nsquare, so big"\n'
    assert read(write(tmp_path / "c", IMAGES | {"captions.csv": rows}))[0] == {
        "a.jpg": ["a red square so big"]
    }
    rows = 'image\tcaption\na.jpg\t"A red\n'
    assert read(write(tmp_path / "t", IMAGES | {"captions.tsv": rows}))[0] == {"a.jpg": ["a red"]}


def test_coco_names_its_splits_and_finds_files_of_one_name_in_them(tmp_path):
    contents = {
        **in_folder("train2017/"),
        **in_folder("val2017/", {"a.jpg": IMAGES["a.jpg"]}),
        "annotations/captions_train2017.json": coco(["a.jpg", "b.jpg", "c.png", "d.jpg"]),
        "annotations/captions_val2017.json": coco(["a.jpg"], first=0),
        "annotations/instances_val2017.json": "no captions",
    }
    found = {f"train2017/{file}": NORMAL[file] for file in NORMAL} | {"val2017/a.jpg": NORMAL["a.jpg"]}
    assert read(write(tmp_path, contents)) == (found, [])


def test_metadata_jsonl_beside_its_images(tmp_path):
    contents = {
        **in_folder("train/"),
        **in_folder("test/sub/", {"a.jpg": IMAGES["a.jpg"]}),
        "train/metadata.jsonl": jsonl(
            [
                {"file_name": "a.jpg", "captions": CAPTIONS["a.jpg"]},
                {"file_name": "b.jpg", "text": CAPTIONS["b.jpg"][0], "n": 1},
                {"file_name": "c.png", "caption": CAPTIONS["c.png"][0]},
                {"file_name": "c.png", "caption": CAPTIONS["c.png"][1]},
                {"file_name": "d.jpg", "text": CAPTIONS["d.jpg"]},
            ]
        ),
        "test/metadata.jsonl": "\n" + jsonl([{"file_name": "sub/a.jpg", "text": "red"}]),
    }
    found = {f"train/{file}": NORMAL[file] for file in NORMAL} | {"test/sub/a.jpg": ["red"]}
    assert read(write(tmp_path, contents)) == (found, [])


def test_an_image_in_two_splits_is_not_for_training(tmp_path):
    contents = IMAGES | {"c.token": tokens(), "trainImages.txt": "a.jpg\nb.jpg\nc.png\nd.jpg\n"}
    found, _ = read(write(tmp_path, contents | {"devImages.txt": "a.jpg\nb.jpg", "testImages.txt": "a.jpg"}))
    assert sorted(found) == ["dev/b.jpg", "test/a.jpg", "train/c.png", "train/d.jpg"]


def test_the_same_captions_in_two_lists_count_once(tmp_path):
    contents = IMAGES | {"captions.txt": table(), "z.token.txt": tokens([*PAIRS, ("a.jpg", "One more")])}
    expected = NORMAL | {"a.jpg": [*NORMAL["a.jpg"], "one more"]}
    assert read(write(tmp_path / "two", contents))[0] == expected
    twice = tokens([("a.jpg", "twice"), ("a.jpg", "Twice !")])
    assert read(write(tmp_path / "one", IMAGES | {"z.token.txt": twice}))[0] == {"a.jpg": ["twice", "twice"]}


def karpathy(splits, folder=""):
    """Karpathy's ``dataset_flickr8k.json`` or, with a folder of the images, ``dataset_coco.json``."""
    images = [
        {
            "filename": file, "split": split, "sentids": [0], "imgid": 0,
            "sentences": [{"raw": text, "tokens": text.split(), "sentid": 0} for text in CAPTIONS[file]],
        } | ({"filepath": folder} if folder else {})
        for file, split in zip(CAPTIONS, splits, strict=True)
    ]  # fmt: skip
    return json.dumps({"dataset": "any", "images": images})


BY_KARPATHY = {"train/a.jpg": "a.jpg", "train/b.jpg": "b.jpg", "val/c.png": "c.png", "test/d.jpg": "d.jpg"}


@pytest.mark.parametrize("folder", ["", "val2014"])
def test_karpathy_s_splits(folder, tmp_path):
    text = karpathy(["train", "restval", "val", "test"], folder)
    contents = in_folder("images/val2014/") | {"dataset_coco.json": text}
    found = {name: NORMAL[file] for name, file in BY_KARPATHY.items()}
    assert read(write(tmp_path, contents)) == (found, [])


RESULTS = "".join(f"{file}| 0| {text}\n" for file, text in PAIRS)


@pytest.mark.parametrize(
    "name, text",
    [
        ("results.csv", "image_name| comment_number| comment\n" + RESULTS),
        ("images/metadata.csv", table(header="file_name,text")),
        ("any.json", json.dumps([{"image": file, "caption": texts} for file, texts in CAPTIONS.items()])),
        ("any.json", json.dumps([{"image": f"images/{file}", "caption": text} for file, text in PAIRS])),
        ("labels.json", json.dumps(CAPTIONS)),
        ("captions.csv.gz", gzip.compress(table().encode())),
    ],
)
def test_other_lists(name, text, tmp_path):
    contents = in_folder("images/") | {name: text, "README.txt": "Four squares.\n"}
    found = {f"images/{file}": captions for file, captions in NORMAL.items()}
    assert read(write(tmp_path, contents)) == (found, [])


def test_texts_beside_images(tmp_path):
    beside = {f"x/{file[0]}.txt": "\r\n".join([*captions, ""]) for file, captions in CAPTIONS.items()}
    contents = in_folder("x/") | beside | {"x/e.txt": "no image", "x/LICENSE.txt": "free"}
    found = {f"x/{file}": captions for file, captions in NORMAL.items()}
    assert read(write(tmp_path, contents)) == (found, [f"{tmp_path}: x/e.txt has no image."])
    names = load_captions([str(tmp_path / "x" / "a.jpg"), str(tmp_path / "x" / "c.png")], size=SIZE).names
    assert sorted(names) == ["x/a.jpg", "x/c.png"]


@pytest.mark.parametrize("titles", ["caption 1,caption 2", "Caption_1,Caption_2", "caption,captions #2"])
def test_columns_with_numbers_are_several_captions(titles, tmp_path):
    rows = f"image,{titles}\na.jpg,A dog.,A man.\nb.jpg,,A man.\n"
    write(tmp_path, in_folder("") | {"all.csv": rows})
    found, skipped = read(tmp_path)
    assert found == {"a.jpg": ["a dog", "a man"], "b.jpg": ["a man"]}
    assert len(skipped) == 2 and all("has no caption" in one for one in skipped)


def test_a_list_for_each_split_in_one_file(tmp_path):
    rows = {"train": [{"image": "a.jpg", "caption_0": "A dog.", "caption_1": "A man."}]}
    rows["test"] = [{"image": "b.jpg", "caption": "A cat."}]
    write(tmp_path, in_folder("") | {"all.json": json.dumps(rows)})
    assert read(tmp_path)[0] == {"train/a.jpg": ["a dog", "a man"], "test/b.jpg": ["a cat"]}


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    images = [{"bytes": data, "path": file} for file, data in IMAGES.items()]
    table = pyarrow.table({"image": images, "captions": list(CAPTIONS.values())})
    parquet.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    found, skipped = read(tmp_path)
    assert (found, skipped) == ({f"validation/{file}": captions for file, captions in NORMAL.items()}, [])


def test_other_lists_of_flickr8k_are_no_captions(tmp_path):
    judged = "a.jpg\tb.jpg#2\t0.333\t1\t2\n" * 9
    contents = IMAGES | {"Flickr8k.token.txt": tokens(), "CrowdFlowerAnnotations.txt": judged}
    assert read(write(tmp_path, contents)) == (NORMAL, [])


# === What cannot be used ===


def test_what_cannot_be_used_is_counted_and_the_rest_read(tmp_path):
    long = " ".join(["word"] * 200)
    pairs = [
        *PAIRS[:2], ("b.jpg", " ... !"), ("b.jpg", ""), ("b.jpg", "one"), ("b.jpg", long),
        ("gone.jpg", "Not there"), ("gone.jpg", "Nor this"), ("lost.jpg", "Lost"), ("twice.jpg", "Where?"),
        ("cut.jpg", "Half of it"), ("empty.jpg", "Nothing in it"), ("tiny.png", "A dot"),
    ]  # fmt: skip
    contents = {
        **IMAGES,
        "cut.jpg": picture("red", "jpg")[:-20],
        "empty.jpg": b"",
        "tiny.png": picture("red", "png", (8, 8)),
        "1/twice.jpg": IMAGES["a.jpg"],
        "2/twice.jpg": IMAGES["a.jpg"],
        "c.token": tokens(pairs),
        "trainImages.txt": "a.jpg\nnever.jpg\ngone.jpg\n",
    }
    found, skipped = read(write(tmp_path, contents))
    assert found == {"train/a.jpg": NORMAL["a.jpg"], "b.jpg": ["one", long], "tiny.png": ["a dot"]}
    *kinds, cut, blank = skipped
    gone = "is listed, but it is not there, or in several folders"
    assert sorted(kinds) == sorted(
        f"{tmp_path}: {sentence}."
        for sentence in (
            f"gone.jpg {gone}", f"lost.jpg {gone}", f"twice.jpg {gone}", "the caption of b.jpg is empty",
            "never.jpg is of a split, but has neither file nor caption", "c.png has no caption",
            "d.jpg has no caption", "1/twice.jpg has no caption", "2/twice.jpg has no caption",
        )
    )  # fmt: skip
    assert cut.startswith(f"{tmp_path}: cut.jpg: the image is damaged")
    assert blank == f"{tmp_path}: empty.jpg: the file is empty; scan or copy it again."


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("c.token.txt", b"a.jpg#0\tA\nb.jpg#0\t\xe9\n", "b.jpg is listed, but what is said .* not UTF-8"),
        ("c.token", "a.jpg#0\tA\nb.jpeg B\nno", "c.token: line 3 names no image"),
        ("captions.tsv", "image\tsubject\na.jpg\tA", "no caption .image, subject.; start it with image,"),
        ("captions.csv", "image,caption,id\na.jpg,A,1\nb.jpg,B, C,2\n", "line 3 has 4 columns, the header 3"),
        ("captions.csv", "image,caption\na.jpg\n", "line 2 has 1 column, the header 2; "),
        ("captions.csv", 'image,caption\na.jpg,"A\nb.jpg,B\n', "line 2 cannot be read"),
        ("captions_val.json", '{"images": [', "this is no JSON"),
        ("captions_val.json", "[" * 100_000, "this is no JSON"),
        ("captions_val.json", '{"images": [{"id": 1}], "annotations": []}', "not as COCO .*'file_name'"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "A"}\n{"file', "line 2 is no JSON"),
        ("metadata.jsonl", '\n{"file_name": "a.jpg"}\n', "its object lacks caption"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": null}\n{}', "line 1 lacks"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "A"}\n{"text": "A"}', "line 2 lacks"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "A"}\n[1]', "line 2 lacks"),
        ("trainImages.txt", b"\xff\xfea", "this text is UTF-16"),
    ],
)
def test_what_is_broken_in_a_list_is_named_and_the_rest_read(name, data, reason, tmp_path):
    corpus = write(tmp_path / "broken", IMAGES | {"lists/" + name: data, "z/captions.csv": table()})
    found, skipped = read(corpus)
    assert len(found) == 4 and any(re.search(reason, sentence) for sentence in skipped), skipped
    assert all(sentence.startswith(f"{corpus}: ") and sentence.endswith((".", "?")) for sentence in skipped)


def test_corpora_without_anything_to_use(tmp_path, zoo_home):
    prepared = set((zoo_home / "corpora").rglob("*"))
    write(tmp_path / "images", IMAGES)
    write(tmp_path / "lists", {"captions.csv": table()})
    unknown = {"images": [], "annotations": [{"image_id": 7, "caption": "A"}]}
    write(tmp_path / "coco", IMAGES | {"captions_val.json": json.dumps(unknown)})
    write(tmp_path / "bad", IMAGES | {"captions.csv": "image,subject\n"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(b"trash")[:-4])
    for name, reason in {
        "missing": "no such file", "empty": "it is empty", "cut.tar.gz": "damaged",
        "images": "a.jpg has no caption.*there are 3 .jpg and 1 .png; give", "lists": "a.jpg .*not there",
        "coco": "id 7 is listed, but", "bad": "names no caption .image, subject.",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=f"{name}.*{reason}"):
            load_captions(tmp_path / name, size=SIZE)
    assert set((zoo_home / "corpora").rglob("*")) == prepared, "half-prepared files left"


# === Prepared corpora ===


@pytest.fixture(scope="module")
def flickr(tmp_path_factory):
    rng = np.random.default_rng(0)
    ready = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(ready, "jpeg", quality=60)
    contents = in_folder("images/", IMAGES | {"b.jpg": ready.getvalue()})
    return write(tmp_path_factory.mktemp("corpora") / "flickr", contents | {"c.token.txt": tokens()} | SPLITS)


def test_prepared_once_for_each_size(flickr, monkeypatch):
    found = load_captions(flickr, size=SIZE)
    assert sorted(found.names) == sorted(f"flickr/{name}" for name in SPLIT_NAMES)
    assert found.skipped == []
    assert [image.shape for images, _ in load_captions(flickr, size=16).chunks(9) for image in images] == [
        (16, 16, 3)
    ] * 4
    monkeypatch.setattr("zoo.families.captioner.corpus.read_captioned", lambda *_: pytest.fail("read again"))
    again = load_captions(flickr, size=SIZE)
    assert (again.names, again.texts, again.references) == (found.names, found.texts, found.references)


def test_pixels_captions_and_names_belong_together(flickr):
    found = load_captions(flickr, size=SIZE)
    chunks = list(found.chunks(3))
    assert [len(images) for images, _ in chunks] == [3, 1]
    images = [image for images, _ in chunks for image in images]
    assert [captions for _, references in chunks for captions in references] == found.references
    assert found.texts == ["\n".join(captions) for captions in found.references]
    for name, captions, image in zip(found.names, found.references, images, strict=True):
        file = SPLIT_NAMES[name.removeprefix("flickr/")]
        assert captions == NORMAL[file] and image.dtype == np.uint8
        seen = read_photo(flickr / "images" / file, SIZE)
        if file == "b.jpg":  # a JPEG of this very size, noise: stored as it is, and decoded as Pillow does
            np.testing.assert_array_equal(image, seen)
        else:
            assert image.shape == seen.shape and np.abs(image.astype(int) - seen).max() <= 3


def test_a_split_may_be_chosen_and_repeated(flickr):
    dev = load_captions([f"{flickr}@3"], only="/dev/", size=SIZE)
    assert dev.names == ["flickr/dev/b.jpg"] and dev.references == [NORMAL["b.jpg"]] and dev.shown() == 3
    samples = list(dev.dataset(repeat=True).as_numpy_iterator())
    assert len(samples) == 3 and set(samples[0]) == {"image", "text"}
    everything = load_captions(flickr, size=SIZE)
    assert len(everything.select(lambda name: "/train/" in name)) == 2
    with pytest.raises(UserError, match="matches no image"):
        load_captions(flickr, only="/val/", size=SIZE)


def test_public_sets_by_name(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.kind))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(CAPTIONS), "val": self._generate_examples(["b.jpg"])}

        def _generate_examples(self, chosen):
            for file in chosen:
                yield file, self.sample(file, np.asarray(Image.open(io.BytesIO(IMAGES[file]))))

    class ToyCoco(Toy):  # as coco_captions has it
        kind = {
            "image": tfds.features.Image(encoding_format="png"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "captions": tfds.features.Sequence({"text": np.str_, "id": np.int64}),
        }

        def sample(self, file, pixels):
            captions = [{"text": caption, "id": 7} for caption in [*CAPTIONS[file], " ."]]
            captions = captions if file != "d.jpg" else []
            return {"image": pixels, "image/filename": file, "image/id": 1, "captions": captions}

    class ToyList(Toy):
        kind = {
            "picture": tfds.features.Image(shape=(None, None, 1)),
            "captions": tfds.features.Sequence(tfds.features.Text()),
        }

        def sample(self, file, pixels):
            return {"picture": pixels[:, :, :1], "captions": CAPTIONS[file]}

    class ToyOne(Toy):
        kind = {"image": tfds.features.Image(), "caption": tfds.features.Text()}

        def sample(self, file, pixels):
            return {"image": pixels, "caption": CAPTIONS[file][0]}

    class ToyLabels(Toy):
        kind = {"image": tfds.features.Image(), "image/filename": tfds.features.Text()}

        def sample(self, file, pixels):
            return {"image": pixels, "image/filename": file}

    class ToyClear(Toy):
        kind = {"image": tfds.features.Image(shape=(None, None, 4)), "caption": tfds.features.Text()}

        def sample(self, file, pixels):
            return {"image": np.concatenate([pixels, pixels[:, :, :1]], -1), "caption": "a"}

    monkeypatch.setattr(corpora.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    found = load_captions("tfds:toy_coco", size=SIZE)
    named = dict(zip(found.names, found.references, strict=True))
    assert named == {f"toy_coco/{file}": NORMAL[file] for file in list(NORMAL)[:3]}
    assert found.skipped == ["toy_coco/d.jpg has no caption."]
    ((images, references),) = found.chunks(8)
    assert references == found.references
    for name, image in zip(found.names, images, strict=True):
        seen = read_photo(IMAGES[name.removeprefix("toy_coco/")], SIZE)
        np.testing.assert_array_equal(image, seen)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "_Index", lambda *_: pytest.fail("read again"))
        assert load_captions("tfds:toy_coco", size=SIZE).names == found.names
    assert load_captions("tfds:toy_coco:val", size=SIZE).names == ["toy_coco/b.jpg"]
    assert sorted(load_captions("tfds:toy_list", size=SIZE).references) == sorted(NORMAL.values())
    (one,) = load_captions("tfds:toy_one:val", size=SIZE).references
    assert one == NORMAL["b.jpg"]
    with pytest.raises(UserError, match="toy_labels has no captions; there are image, image/filename"):
        load_captions("tfds:toy_labels", size=SIZE)
    with pytest.raises(UserError, match="toy_clear: its images are not 8-bit, grey or RGB"):
        load_captions("tfds:toy_clear", size=SIZE)
    with pytest.raises(UserError, match="tfds:no_such_set"):
        load_captions("tfds:no_such_set", size=SIZE)


def test_the_language_is_the_corpus_s(tmp_path):
    """An English caption with a Turkish name is English, a Turkish one without a dotless letter Turkish."""
    for name, captions in {
        "english": ["Işık and I walk", "A dog runs over a green field", "Two children play in the snow"],
        "turkish": ["Iki köpek", "Kırmızı ışıkta bekleyen çocuklar", "Ağaçların altında yağmur yağıyor"],
    }.items():
        (tmp_path / name).mkdir()
        rows = [f"{i}.jpg,{caption}" for i, caption in enumerate(captions)]
        (tmp_path / name / "captions.csv").write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
        for i in range(len(captions)):
            Image.new("RGB", (8, 8), (i, 0, 99)).save(tmp_path / name / f"{i}.jpg")
    assert load_captions(tmp_path / "english").references[0] == ["işık and i walk"]
    assert load_captions(tmp_path / "turkish").references[0] == ["ıki köpek"]
