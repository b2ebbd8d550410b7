"""Images and what is said of them, as it lies on disks: in a file beside each image, or in a list of many.

What is found in a corpus decides how it is read. A layout of lists is a function from a file to the entries
in it, or to None where it has another layout:

- a table (CSV, TSV, ``|``) whose first line names a column of images and one of texts;
- JSON: a list of objects or one on each line, with these names; ``{FILE: TEXT}``, as docTR has it; COCO's;
  Karpathy's; MMOCR's;
- text lines of an image, a tab, a comma or a blank, and its text, as PaddleOCR, ICDAR and Flickr8k have them;
- Parquet, as Hugging Face has it, with the images in it.
"""

import codecs
import contextlib
import dataclasses
import io
import itertools
import json
import os
import posixpath
import re
import unicodedata
from collections import Counter

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.errors import UserError
from zoo.formats.parquet import read_parquet
from zoo.formats.tables import column, open_table
from zoo.text.files import decode_text, read_data, split_lines

_LISTS = (".txt", ".token", ".csv", ".tsv", ".json", ".jsonl")
_JSON = (".json", ".jsonl")
_IMAGES = "images"  # the folder beside a list in which docTR has them
_NOTED = 10_000
_TOLD = 20  # things of one kind that cannot be used are named, of more the number is told
_IMAGE_COLUMNS = (
    "file_name", "filename", "image", "image_name", "image_path", "img_path", "img", "image_file", "file",
    "path",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a family wants to know of images.

    Attributes:
        noun: what it is called: "transcript".
        columns: names of the columns that may hold it, in lower case, best first.
        header: how a table of one's own may begin: "file_name,text".
        beside: ends of the names of files beside images.
        fallback: another such end, which counts where there is neither a file of ``beside`` nor a list.
        parts: the text of such a file -> list of str.
        clean: a text of a list -> str, empty where nothing is said.
        variants: what may stand before an image's suffix and is no part of its name, best first.
        splits: a regular expression for the names of files that list the images of a split, its group 1.
    """

    noun: str
    columns: tuple
    header: str
    beside: tuple = ()
    fallback: str = ".txt"
    parts: object = lambda text: [text]
    clean: object = str.strip
    variants: tuple = ("",)
    splits: str | None = None

    def key(self, member):
        """What the names of an image and of the file beside it have in common."""
        name = unicodedata.normalize("NFC", member)
        end = next((end for end in self._ends() if name.lower().endswith(end)), "")
        name = name[: len(name) - len(end)]
        return next((name.removesuffix(v) for v in self.variants if v and name.endswith(v)), name)

    def rank(self, image):
        """How good an image is among those of its name; the lowest is best."""
        stem = posixpath.splitext(image)[0]
        found = next((v for v in self.variants if v and stem.endswith(v)), "")
        return self.variants.index(found), image

    def _ends(self):
        return *self.beside, self.fallback, *IMAGE_SUFFIXES


@dataclasses.dataclass
class Entry:
    """One text of a list, the image as it is named there, and the part of the set to which it belongs."""

    image: str
    text: str
    split: str | None = None


@dataclasses.dataclass
class Found:
    """An image of a corpus and what is said of it.

    Attributes:
        member: the image's name in the corpus; one of a Parquet table has the table's and its own.
        texts: list of str, in the order in which they were found.
        source: the file that says so.
        split: the part of the set to which it belongs, None where nobody knows.
    """

    member: str
    texts: list
    source: str
    split: str | None = None


class DescribedImages:
    """The images of a folder, an archive or a ``FileList`` of which something is said.

    Args:
        path: the corpus.
        kind: a ``Kind``.
        skipped: a list; a sentence is appended for each thing that cannot be used.

    Attributes:
        images: ``{member: Found}``, without those of Parquet tables.
    """

    def __init__(self, path, kind, skipped):
        self.path, self.kind, self.skipped = path, kind, skipped
        self.images, self._tables, self._unusable = {}, [], set()
        self._told, self._more = {}, Counter()
        images, texts = [], {}

        def wanted(member):
            low = member.lower()
            if low.endswith(IMAGE_SUFFIXES):
                images.append(member)
            elif low.endswith(".parquet"):
                self._tables.append(member)
            return _is_list(low) or low.endswith((*kind.beside, ".txt"))

        texts.update(files.open_members(path, wanted, skipped))
        by_key, by_name = {}, {}
        for image in sorted(images, key=kind.rank):
            by_key.setdefault(kind.key(image), []).append(image)
            by_name.setdefault(_base(image), []).append(image)
        strong = [text for text in texts if text.lower().endswith(kind.beside)] if kind.beside else []
        weak = [] if strong else [text for text in texts if text.lower().endswith(kind.fallback)]
        pairs = {}
        for text in strong or weak:
            key = kind.key(text)
            alike = by_key.get(key) or by_key.get(kind.key(key))  # NAME.png.gt.txt
            if alike:
                pairs[text] = alike[0]
        lists = {name: data for name, data in texts.items() if name not in pairs and name not in strong}
        lists |= dict.fromkeys(filter(self._names_images, self._tables))
        self._tables = [table for table in self._tables if table not in lists]
        self._read_lists(lists, by_name, set(pairs.values()) if strong else set())
        used = strong or not self.images
        for text, image in pairs.items() if used else ():
            self._read_beside(text, image, texts[text])
        self._complain(by_key, pairs, strong or [t for t in weak if used and pairs and not _NOTE.search(t)])

    def read(self):
        """Iterate over ``(found, data)``: a ``Found`` and the image's bytes, one in memory at a time."""
        for member, data in files.open_members(self.path, self.images.__contains__, self.skipped):
            yield self.images[member], data
        for member in self._tables:
            yield from self._read_parquet(member)

    # === Lists ===

    def _read_lists(self, lists, by_name, known):
        """Read lists; what they say of images that are ``known`` does not count."""
        splits = {}
        for member, data in lists.items():
            where, own = f"{self.path}: {member}", {}
            if ".lemma." in member:  # Flickr8k's captions once more
                continue
            try:
                if data is None:
                    for image, said in self._rows(member):
                        for text in _strings(said):
                            self._add(Entry(_path_of(image), text, _split_of(member)), member, by_name, own)
                    continue
                match = self.kind.splits and re.fullmatch(self.kind.splits, posixpath.basename(member))
                if match:
                    _read_split(match[1].lower(), decode_text(data, where), splits)
                    continue
                for entry in entries_of(member, data, self.kind, where, self.skipped) or ():
                    self._add(entry, member, by_name, own)
            except UserError as error:
                self.skipped.append(_sentence(error))
            finally:
                self._join({image: own[image] for image in own if image not in known}, member)
        for image, found in self.images.items():
            found.split = found.split or splits.pop(_base(image), None)
        gone = set(map(_base, self._told.get(_GONE, ())))
        self._tell(_NEVER, [name for name in splits if name not in by_name and name not in gone])

    def _join(self, own, member):
        """Add what a list says to what others said; in one list, the same may be said twice."""
        for image, (_, found) in own.items():
            known = self.images.setdefault(image, Found(image, [], member, found.split))
            known.split = known.split or found.split
            before = set(known.texts)
            known.texts.extend(text for text in found.texts if text not in before)

    def _add(self, entry, member, by_name, own):
        image, exact = find_image(entry.image, posixpath.dirname(member), entry.split, by_name)
        if _NOT_UTF8.search(entry.image + entry.text):
            return self._tell(_LATIN, [_NOT_UTF8.sub("\ufffd", entry.image)])
        text = self.kind.clean(entry.text)
        reference, found = own.get(image, (None, None))
        if image is None or (found and reference != entry.image and not exact):
            self._tell(_GONE, [entry.image])
        elif not text:
            self._tell(_EMPTY, [image])
        elif found and reference == entry.image:
            found.texts.append(text)
        else:
            self._tell(_GONE, [reference] if found else [])
            own[image] = entry.image, Found(image, [text], member, entry.split)
        return None

    def _read_beside(self, member, image, data):
        if image in self.images:
            return
        try:
            texts = [
                text for text in self.kind.parts(decode_text(data, f"{self.path}: {member}")) if text.strip()
            ]
        except UserError as error:
            self.skipped.append(_sentence(error))
            self._unusable.add(image)
            return
        if texts:
            self.images[image] = Found(image, texts, member)
        else:
            self._tell(_BLANK, [member])
            self._unusable.add(image)

    # === Parquet ===

    def _rows(self, member):
        """``(image, text)`` of the rows of a Parquet table; none where it has no such columns."""
        source = files.member_path(self.path, member)
        if source is None:
            ((_, data),) = files.open_members(self.path, {member}.__contains__)
            source = io.BytesIO(data)
        chosen = []

        def wanted(names):
            places = column(names, *_IMAGE_COLUMNS), _text_column(names, self.kind)
            chosen.extend(names[place] for place in places if place is not None)
            return chosen if len(chosen) == 2 else []

        for row in read_parquet(source, f"{self.path}: {member}", wanted):
            yield row[chosen[0]], row[chosen[1]]

    def _names_images(self, member):
        """Whether a Parquet table names its images, which lie elsewhere."""
        try:
            with contextlib.closing(self._rows(member)) as rows:
                image, _ = next(rows, (None, None))
        except UserError:
            return False  # it is told when it is read
        return isinstance(image, str) or (isinstance(image, dict) and not image.get("bytes"))

    def _read_parquet(self, member):
        """Iterate over ``(found, data)`` of a table with images in it."""
        stem, seen, number = posixpath.splitext(member)[0], set(), 0
        try:
            for number, (image, said) in enumerate(self._rows(member), 1):
                data = image.get("bytes") if isinstance(image, dict) else image
                texts = [text for text in map(self.kind.clean, _strings(said)) if text]
                if not isinstance(data, bytes) or not texts:
                    what = "image in it" if not isinstance(data, bytes) else self.kind.noun
                    self.skipped.append(f"{self.path}: {member}, row {number} has no {what}.")
                    continue
                name = _path_of(image).strip("/.")
                name = name if name and name not in seen else f"{number:06d}"
                seen.add(name)
                yield Found(f"{stem}/{name}", texts, member, _split_of(stem)), data
        except UserError as error:
            self.skipped.append(_sentence(error))
        if not number:
            self.skipped.append(
                f"{self.path}: {member}: there are no rows with the columns image and {self.kind.columns[0]}."
            )

    # === Telling ===

    def _tell(self, form, those):
        """Note things that cannot be used: each once, as long as they are not a great many."""
        told = self._told.setdefault(form, {})
        for one in those:
            if len(told) < _NOTED:
                told[one] = None
            elif one not in told:
                self._more[form] += 1

    def _complain(self, by_key, pairs, beside):
        """Append a sentence to ``skipped`` for each thing that cannot be used, or how many there are."""
        used = {self.kind.key(image) for image in self.images}
        known = self._unusable | self._told.get(_EMPTY, {}).keys()
        for key, alike in by_key.items():
            if key not in used:
                self._tell(_SILENT, [image for image in alike[:1] if image not in known])
                continue
            ranks = [self.kind.rank(image)[0] for image in alike]  # other variants are no fault
            again = [image for i, image in enumerate(alike) if ranks[i] in ranks[:i]]
            self._tell(_DOUBLE, [image for image in again if image not in self.images])
        self._tell(_ORPHAN, [text for text in beside if text not in pairs])
        for form, those in self._told.items():
            those = list(those)
            say = form.replace("NOUN", self.kind.noun)
            self.skipped += [f"{self.path}: {say.format(one)}." for one in those[:_TOLD]]
            more = len(those[_TOLD:]) + self._more[form]
            if more:
                self.skipped.append(f"{self.path}: the same of {more} more.")


_GONE = "{} is listed, but it is not there, or in several folders"
_NEVER = "{} is of a split, but has neither file nor NOUN"
_SILENT = "{} has no NOUN"
_ORPHAN = "{} has no image"
_EMPTY = "the NOUN of {} is empty"
_BLANK = "{} is empty"
_DOUBLE = "{} was left out, another image has its name"
_NOTE = re.compile(r"(^|/)(readme|licen[sc]e|copying|notes?|changelog|authors)[^/]*$", re.IGNORECASE)


_LATIN = "{} is listed, but what is said of it is not UTF-8; save the list as UTF-8"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def _decoded(data, where):
    """The text of a list; of lines that are not UTF-8, the bytes are there as surrogates."""
    try:
        return decode_text(data, where)
    except UserError:
        data = files.gunzip(data, where)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
            raise
        return data.decode("utf-8-sig", "surrogateescape")


def _path_of(image):
    """The path that a cell of a Parquet table names."""
    path = image.get("path") if isinstance(image, dict) else image
    return path.replace("\\", "/") if isinstance(path, str) else ""


def _sentence(error):
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."


def _read_split(split, text, splits):
    """Add the files that a list of a split names to ``{file: split}``.

    An image in several is not for training if one is not.
    """
    for line in split_lines(text):
        file = _base(line.strip())
        if file:
            splits[file] = max(split, splits.get(file, split), key=_ORDER.index)


_ORDER = ("train", "val", "dev", "test")


# === Images that lists name ===


def _base(member):
    return unicodedata.normalize("NFC", posixpath.basename(member))


def find_image(reference, folder, split, by_name):
    """The file that a list in ``folder`` means by ``reference``, and whether it is named exactly; or None.

    Args:
        reference: a path as written there: relative to the list or to the corpus, or of another place, of
            which the end agrees.
        folder: where the list is.
        split: its part of the set, perhaps the name of a folder.
        by_name: ``{name without folder, NFC: [file]}``.
    """
    reference = posixpath.normpath(unicodedata.normalize("NFC", reference.strip()).replace("\\", "/"))
    candidates = by_name.get(posixpath.basename(reference), [])
    places = [posixpath.normpath(posixpath.join(folder, part, reference)) for part in ("", _IMAGES)]
    places.append(reference)
    exact = [file for file in candidates if unicodedata.normalize("NFC", file) in places]
    if exact:
        return exact[0], True
    parts = reference.strip("/").split("/")
    ends = ("/" + "/".join(parts[i:]) for i in range(len(parts)))
    alike = next((those for end in ends if (those := [f for f in candidates if f"/{f}".endswith(end)])), [])
    alike = [file for file in alike if file.startswith(f"{folder}/")] or alike
    alike = [file for file in alike if f"/{split}/" in f"/{file}"] or alike
    return (alike[0] if len(alike) == 1 else None), False


# === Layouts ===
# A layout takes (text of a file, kind, where, skipped) and gives an iterable of Entry, or None.


def entries_of(member, data, kind, where, skipped):
    """The entries of a list, from its bytes; None where a file is none.

    Raises:
        UserError: it looks like one and cannot be read; perhaps not before its entry.
    """
    if _plain(member).endswith(_JSON):
        found = _json(_decoded(data, where), kind, where, skipped)
    else:
        found = _table(data, kind, where, skipped)
        if found is None:
            found = _lines(_decoded(data, where), kind, where, skipped)
    split = _split_of(posixpath.splitext(_plain(posixpath.basename(member)))[0])
    return found and (dataclasses.replace(entry, split=entry.split or split) for entry in found)


def _plain(name):
    return name.lower().removesuffix(".gz")


def _is_list(name):
    return _plain(name).endswith(_LISTS)


def _split_of(name):
    """The part of a set that the name of a list tells: ``captions_val2017``, ``coco_karpathy_test``."""
    name = posixpath.basename(name)
    match = re.search(r"(?:^|[_.-])(train|val|valid|validation|dev|test)\d*(?=$|[_.-])", name)
    return match and match[0].strip("_.-")


def _strings(value):
    """Texts in a value of JSON or Parquet, list of str: of a str, a number, an object or a list of these."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("raw", "text", "caption", "value") if key in value), None)
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list | tuple):
        return [text for part in value for text in _strings(part)]
    return [str(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _text_column(titles, kind):
    """Where the texts are: the column of such a name or, as ``ground_truth_text``, the only one like it."""
    exact = column(titles, *_plural(kind), *kind.columns)
    if exact is not None:
        return exact
    like = [
        i for i, title in enumerate(titles) if any(n in title.lower() for n in kind.columns if len(n) > 3)
    ]
    return like[0] if len(like) == 1 else None


def _plural(kind):
    return tuple(f"{name}s" for name in kind.columns)


def _table(data, kind, where, skipped):
    start = files.gunzip(data, where)[:65536].lstrip().partition(b"\n")[0]
    complaints = []  # of what may be no table
    try:
        table = open_table(where, complaints, data, tabs=b"\t" in start)
    except UserError:
        return None
    image, said = column(table.columns, *_IMAGE_COLUMNS), _text_column(table.columns, kind)
    if image is not None and said is None:
        shown = ", ".join(title[:30] for title in table.columns[:10])
        skipped.append(
            f"{where}: its first line names no {kind.noun} ({shown}); start it with {kind.header}."
        )
    if image is None or said is None or image == said:
        return None

    def entries():
        try:
            for _, _, row in table.pick({"image": image, "text": said}, free=("text",)):
                yield Entry(row["image"], row["text"])
        finally:
            skipped.extend(complaints)

    return entries()


# An image and its text, with a tab, a comma or a blank between; Flickr's lists number the captions.
_NAMED = "|".join(re.escape(suffix[1:]) for suffix in IMAGE_SUFFIXES)
_LINE = re.compile(
    rf"""\s*(["']?)(?P<image>[^\t]*?\.({_NAMED}))\1(?:\#\d+)?(?P<gap>\t|[ ]*[,;|][ ]*|[ ]+|$)(?P<text>.*)""",
    re.IGNORECASE | re.VERBOSE,
)


def _lines(text, kind, where, skipped):
    few = [_LINE.fullmatch(line) for _, line in itertools.islice(_numbered(text), 10)]
    texts = [match["text"] for match in few if match]
    if 2 * len(texts) <= len(few) or not any(texts) or all(map(_LINE.match, texts)):  # of pairs of images
        return None
    return _line_entries(_numbered(text), where, skipped)


def _numbered(text):
    """Iterate over ``(number, line)`` of those with something on them, one in memory at a time."""
    at, number = 0, 0
    while at < len(text):
        end = text.find("\n", at)
        end, number = len(text) if end < 0 else end, number + 1
        line = text[at:end].removesuffix("\r")
        at = end + 1
        if line.strip():
            yield number, line


def _line_entries(lines, where, skipped):
    pages = 0
    for number, line in lines:
        match = _LINE.fullmatch(line)
        if not match:
            skipped.append(f"{where}: line {number} names no image; write its name, a tab and its text.")
        elif re.match(r'\[\{"(transcription|points)"', match["text"]):
            pages += 1
        else:
            text = match["text"].strip()
            quoted = re.fullmatch(r'"(.*)"', text)  # as ICDAR has it
            yield Entry(match["image"], quoted[1] if quoted and match["gap"] != "\t" else text)
    if pages:
        skipped.append(f"{where}: {pages} of its images are pages with lines marked; {_CUT}.")


_CUT = "export the lines cut out of them (PPOCRLabel: Export Recognition Results)"


# === JSON ===


def _json(text, kind, where, skipped):
    start = text.lstrip()[:1]
    if not start or start not in "[{":
        return None
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        if start != "{" or len(split_lines(text.strip())) < 2:
            raise UserError(f"{where}: this is no JSON ({error}); copy or write it again.") from error
        return _objects(_json_lines(text, where, skipped), kind, where, skipped)
    if isinstance(stored, dict):
        for layout in (_coco, _karpathy, _mmocr, _by_file, _single):
            found = layout(stored, kind, where, skipped)
            if found is not None:
                return found
        lists = [value for value in stored.values() if isinstance(value, list)]
        stored = lists[0] if len(lists) == 1 else None
    if not isinstance(stored, list):
        return None
    return _objects(((f"object {i}", row) for i, row in enumerate(stored, 1)), kind, where, skipped)


def _json_lines(text, where, skipped):
    for number, line in _numbered(text):
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            skipped.append(f"{where}: line {number} is no JSON ({error}).")


def _objects(rows, kind, where, skipped):
    rows = ((place, _lower_keys(row)) for place, row in rows)
    few = list(itertools.islice(rows, 10))
    if not any(name in row for _, row in few for name in _IMAGE_COLUMNS):
        return None
    return _object_entries(itertools.chain(few, rows), kind, where, skipped)


def _lower_keys(row):
    return {str(key).lower(): value for key, value in row.items()} if isinstance(row, dict) else {}


def _object_entries(rows, kind, where, skipped):
    names = (*_plural(kind), *kind.columns)
    for place, row in rows:
        image = next((row[name] for name in _IMAGE_COLUMNS if isinstance(row.get(name), str)), None)
        said = next((row[name] for name in names if name in row), None)
        texts = _strings(said)
        if image is None or not (texts or isinstance(said, str)):
            skipped.append(f"{where}: {place} lacks file_name or {kind.columns[0]}; give both.")
            continue
        split = row.get("split") if isinstance(row.get("split"), str) else None
        for text in texts or [""]:
            yield Entry(image, text, split)


def _single(stored, kind, where, skipped):
    """One object, of a list that has one alone."""
    named = [value for key, value in _lower_keys(stored).items() if key in _IMAGE_COLUMNS]
    if any(isinstance(value, str) and value.lower().endswith(IMAGE_SUFFIXES) for value in named):
        return _objects([("its object", stored)], kind, where, skipped)
    return None


def _by_file(stored, kind, where, skipped):
    """docTR's labels: ``{"img_1.png": "text"}``."""
    if not stored or not all(str(key).lower().endswith(IMAGE_SUFFIXES) for key in stored):
        return None
    if all(isinstance(value, dict) and "polygons" in value for value in stored.values()):
        raise UserError(
            f"{where}: it marks lines on pages, without text; give lines cut out, with their text."
        )
    return (Entry(image, text) for image, value in stored.items() for text in _strings(value) or [""])


def _coco(stored, kind, where, skipped):
    if not isinstance(stored.get("images"), list) or not isinstance(stored.get("annotations"), list):
        return None
    try:
        names = {image["id"]: str(image["file_name"]) for image in stored["images"]}
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{where}: not as COCO has it ({error!r}); give images with id and file_name."
        ) from error

    rows = [one for one in stored["annotations"] if isinstance(one, dict)]
    if rows and not any(name in one for one in rows for name in kind.columns):
        return None  # boxes or classes

    def entries():
        for number, one in enumerate(rows, 1):
            texts = _strings(next((one[name] for name in kind.columns if name in one), None))
            if not texts:
                skipped.append(f"{where}: annotation {number} has no {kind.columns[0]}.")
            for text in texts:
                yield Entry(names.get(one.get("image_id"), f"id {one.get('image_id')}"), text)

    return entries()


def _karpathy(stored, kind, where, skipped):
    images = stored.get("images")
    if not isinstance(images, list):
        return None
    if not any(isinstance(one, dict) and "sentences" in one for one in images):
        return None

    def entries():
        for number, one in enumerate(images, 1):
            name = isinstance(one, dict) and (one.get("filename") or one.get("file_name"))
            if not isinstance(name, str):
                skipped.append(f"{where}: image {number} has no filename.")
                continue
            folder, split = str(one.get("filepath") or ""), str(one.get("split") or "") or None
            texts = _strings(one.get("sentences"))
            for text in texts or [""]:
                yield Entry(posixpath.join(folder, name), text, "train" if split == "restval" else split)

    return entries()


def _mmocr(stored, kind, where, skipped):
    if not isinstance(stored.get("data_list"), list):
        return None
    flat = []
    for one in stored["data_list"]:
        one = one if isinstance(one, dict) else {}
        instances = one.get("instances")
        texts = _strings(instances) if isinstance(instances, list) else _strings(one.get("text"))
        flat.append({"file_name": one.get("img_path") or one.get("filename"), kind.columns[0]: texts})
    return _objects(((f"image {i}", row) for i, row in enumerate(flat, 1)), kind, where, skipped)


# === A list alone ===


def located(path, kind):
    """A list given as a file: ``(FileList, label)`` of it and the images that it names; None of other files.

    A text file that names images alone, one on each line, stands for these and the files beside them.

    Raises:
        UserError: it cannot be read, or none of its images is there.
    """
    name, folder = os.path.basename(path), os.path.dirname(os.path.abspath(path))
    parquet = name.lower().endswith(".parquet")
    if not (parquet or _is_list(name)) or not os.path.isfile(path):
        return None
    label = posixpath.splitext(_plain(name))[0]
    if parquet:
        return files.FileList({name: path}, path), label
    data = read_data(path)
    entries = entries_of(name, data, kind, path, [])
    members = {name: path}
    if entries is None:
        named = [line.strip() for line in split_lines(decode_text(data, path)) if line.strip()]
        if not named or not all(line.lower().endswith(IMAGE_SUFFIXES) for line in named):
            raise UserError(
                f"{path}: this is no list of images; write on each line an image, a tab and its {kind.noun}, "
                f"or give a table whose first line is {kind.header}."
            )
        members = {}
    else:
        named = [entry.image for entry in entries if isinstance(entry.image, str)]
    first = None
    for reference in dict.fromkeys(named):
        reference = reference.replace("\\", "/")
        places = [os.path.join(folder, part, reference) for part in ("", _IMAGES)]
        place = next(filter(os.path.isfile, [*places, reference]), None)
        if place is None:
            first = first or reference
            continue
        members[reference] = place
        if entries is None:
            stem = kind.key(place)
            for end in (*kind.beside, kind.fallback):
                if end and os.path.isfile(stem + end):
                    members[kind.key(reference) + end] = stem + end
    if not any(member.lower().endswith(IMAGE_SUFFIXES) for member in members):
        raise UserError(
            f"{path}: none of its images is there, the first is {first}; put it beside them, or give the "
            "folder of both."
        )
    return files.FileList(members, path), label


# === Where nothing fits ===


def unusable(path, kind, unit, reason, wanted):
    """The UserError on a corpus of which nothing could be used: what lies there, and what would do.

    Args:
        unit: what it should hold, in the plural.
        reason: why the first could not be used.
        wanted: how it should lie there.
    """
    try:
        found = len(DescribedImages(path, kind, []).images)
        names = []
        list(files.open_members(path, names.append, []))
    except UserError as error:
        return error
    reason = reason.removeprefix(f"{path}: ")
    if found:
        return UserError(f"{path}: none of its {found} {unit} can be used ({reason}).")
    counts = Counter(posixpath.splitext(name)[1].lower() or "file without suffix" for name in names)
    there = " and ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))
    there = f"there {'is' if there.startswith('1 ') else 'are'} {there}; " if there else ""
    packed = [name for name in names if re.search(r"\.(zip|tar|tgz|tar\.\w+)$", name, re.IGNORECASE)]
    lists = [name for name in names if re.search(r"\.(csv|tsv|jsonl?)$", name, re.IGNORECASE)]
    if packed:
        wanted = f"give {packed[0]} itself, or unpack it"
    elif counts[".xml"] and not lists:
        wanted = f"if the XML is of pages (PAGE, ALTO), cut the lines out; {wanted}"
    elif lists:
        wanted = f"start {lists[0]} with {kind.header}, or {wanted}"
    return UserError(f"{path}: there are no {unit} in it ({reason}); {there}{wanted}.")
