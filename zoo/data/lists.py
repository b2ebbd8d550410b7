"""Lists of images and what is said of them: from the bytes of a file to its entries.

A list is known by what it says:

- a table (CSV, TSV, ``|``) whose first line names a column of images and one of texts;
- JSON: a list of objects or one on each line, with these names; ``{FILE: TEXT}``, as docTR has it; COCO's;
  Karpathy's; MMOCR's;
- text lines of an image, a tab, a comma or a blank, and its text, as PaddleOCR, ICDAR and Flickr8k have them.

Images may be named without their suffix.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import itertools
import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zoo import files
from zoo.errors import UserError
from zoo.formats.tables import column, open_table
from zoo.text.files import decode_text, split_lines

if TYPE_CHECKING:
    from zoo.data.listed import Kind

_SUFFIXES = (".txt", ".token", ".csv", ".tsv", ".json", ".jsonl")
_JSON = (".json", ".jsonl")
IMAGE_COLUMNS = (
    "file_name", "filename", "image", "image_name", "image_path", "img_path", "img", "image_file", "file",
    "path", "filepath", "file_path", "image_id",
)  # fmt: skip
_FEW = 10  # lines or objects tell what a file is
_CUT = "export the lines cut out of them (PPOCRLabel: Export Recognition Results)"


@dataclasses.dataclass
class Entry:
    """One text of a list, the image as it is named there, and the part of the set to which it belongs."""

    image: str
    text: str
    split: str | None = None


def entries_of(
    member: str, data: bytes, kind: Kind, where: str, skipped: list[str] | None,
    is_image: Callable[[str], bool],
) -> Iterable | None:  # fmt: skip
    """The entries of a list, an iterable; None where a file is none.

    Args:
        member: the file's name.
        data: its bytes.
        kind: a ``zoo.data.listed.Kind``.
        where: how a sentence on it begins.
        skipped: a list; a sentence is appended for each entry that cannot be used.
        is_image: tells whether a name, perhaps without a suffix, is of an image.

    Raises:
        UserError: it looks like a list and cannot be read; perhaps not before its entry.
    """
    reader = _Reader(kind, where, skipped, is_image)
    if plain(member).endswith(_JSON):
        found = reader.json(_decoded(data, where))
    else:
        found = reader.table(data)
        if found is None:
            found = reader.lines(_decoded(data, where))
    split = split_of(posixpath.splitext(plain(posixpath.basename(member)))[0])
    return found and (dataclasses.replace(entry, split=entry.split or split) for entry in found)


def is_list(name: str) -> bool:
    """Whether a file may be a list by its name."""
    return plain(name).endswith(_SUFFIXES)


def plain(name: str) -> str:
    """A file's name in lower case, without ``.gz``."""
    return name.lower().removesuffix(".gz")


def split_of(name: str) -> str | None:
    """The part of a set that the name of a list tells: ``captions_val2017``, ``coco_karpathy_test``."""
    name = posixpath.basename(name)
    match = re.search(r"(?:^|[_.-])(train|val|valid|validation|dev|test)\d*(?=$|[_.-])", name)
    return match and match[0].strip("_.-")


def strings(value: Any) -> list[str]:
    """Texts in a value of JSON or Parquet, list of str: of a str, a number, an object or a list of these."""
    if isinstance(value, dict):
        if isinstance(value.get("tokens"), list) and "raw" not in value:
            return [" ".join(map(str, value["tokens"]))]
        value = next((value[key] for key in _TEXTS if key in value), None)
        if isinstance(value, dict):
            return strings(value)
    if isinstance(value, str):
        if value.startswith('{"gt_parse"'):  # Donut's, JSON in JSON
            return strings(_loads(value))
        return [value] if value.strip() else []
    if isinstance(value, list | tuple):
        return [text for part in value for text in strings(part)]
    return [str(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


_TEXTS = ("raw", "text", "caption", "value", "gt_parse", "text_sequence")


def path_of(image: Any) -> str:
    """The path that a cell, or the object in it, names; "" where there is none."""
    path = image.get("path") if isinstance(image, dict) else image
    return path.replace("\\", "/") if isinstance(path, str) else ""


def text_columns(titles: Sequence[str], kind: Kind, like: bool = True) -> list[int]:
    """Where the texts are: the column of such a name or, perhaps, the only one ``like`` it: ``gt_text``.

    Of a kind with several texts, columns that are numbered (``caption_1``, ``Caption 2``) are several.
    """
    exact = column(titles, *(f"{name}s" for name in kind.columns), *kind.columns)
    found = [] if exact is None else [exact]
    numbered = [match and match[1] for match in map(_NUMBERED.fullmatch, titles)] if kind.several else []
    for name in kind.columns:
        alike = [i for i, title in enumerate(numbered) if title and title.lower() in (name, f"{name}s")]
        if alike and (exact is None or titles[exact].strip().lower() == name):
            return found + alike
    if found or not like:
        return found
    long = [name for name in kind.columns if len(name) > 3]
    alike = [i for i, title in enumerate(titles) if any(name in title.lower() for name in long)]
    return alike if len(alike) == 1 else []


_NUMBERED = re.compile(r"\s*(\w*?[^\W\d_])[ _.#-]*\d+\s*")


def _decoded(data, where):
    """The text of a list; of lines that are not UTF-8, the bytes are there as surrogates."""
    try:
        return decode_text(data, where)
    except UserError:
        data = files.gunzip(data, where)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
            raise
        return data.decode("utf-8-sig", "surrogateescape")


def _loads(text):
    """A value of JSON, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# An image and its text, with a tab, a comma or a blank between; Flickr's lists number the captions.
@functools.cache
def _named(suffixes):
    """Patterns of a suffix, and of a line whose name ends in one of them."""
    named = "|".join(re.escape(suffix[1:]) for suffix in suffixes)
    image = rf"""\s*(["']?)(?P<image>[^\t]*?\.({named}))\1(?:\#\d+)?"""
    line = rf"{image}(?P<gap>\t|[ ]*[,;|][ ]*|[ ]+|$)(?P<text>.*)"
    return re.compile(rf"\.({named})\b", re.IGNORECASE), re.compile(line, re.IGNORECASE | re.VERBOSE)


_SHORT = re.compile(r"(?P<image>[^\t]+(?=\t)|[^\s,;|]+)(?P<gap>\t|[ ]*[,;|][ ]*|[ ]+)(?P<text>.*)")
_SEVERAL = re.compile(r"(?P<image>\[\s*\".*?\"\s*\])(?P<gap>\t)(?P<text>.*)")  # PaddleOCR's, of one text


class _Reader:
    """The layouts: each method takes a file's content and gives its entries, or None where it has another."""

    def __init__(self, kind, where, skipped, is_image):
        self.kind, self.where, self.skipped, self.is_image = kind, where, skipped, is_image
        self._suffix, self._line = _named(kind.suffixes)

    def table(self, data):
        first, _, rest = files.gunzip(data, self.where)[:65536].lstrip().partition(b"\n")
        complaints = []  # of what may be no table
        try:
            table = open_table(self.where, complaints, data, tabs=b"\t" in first)
        except UserError:
            return None
        titles = table.columns
        image, said = column(titles, *self.kind.image_columns), text_columns(titles, self.kind)
        if image is not None and said and image not in said:
            return self._rows(table, image, said, complaints)
        first, second = (line.partition(b"\n")[0].decode(errors="replace").strip() for line in (first, rest))
        names_images = not self._match(first) and self._suffix.search(second)
        if image is None and not (len(titles) > 2 and names_images):
            return None
        shown = ", ".join(title[:30] for title in titles[:10])
        what, lacks = (self.kind.thing,) * 2 if image is None else (self.kind.option, self.kind.noun)
        self.skipped.append(
            f"{self.where}: its first line names no {lacks} ({shown}); start it with {self.kind.header}, or "
            f"say which it is: --columns {what}=NAME."
        )
        return ()

    def _rows(self, table, image, said, complaints):
        try:
            titles = table.columns
            texts = {"text": said[0]} | {f"text {i}": place for i, place in enumerate(said[1:], 2)}
            span = {names[0]: column(titles, *names) for names in self.kind.span}
            span = span if None not in span.values() else {}
            language = {"language": (self.kind.language,)} if self.kind.language else {}
            optional = ["split", *span, *language, *(list(texts) if len(texts) > 1 else ())]
            wanted = {"image": image, "split": ("split",)} | span | language | texts
            rows = (row for _, _, row in table.pick(wanted, optional, free=tuple(texts)))
            for row in self._of_one_language(rows) if language else rows:
                image = self._with_span(row["image"], [row.get(name) for name in span])
                for text in [row[name] for name in texts if name in row] or [""]:
                    yield Entry(image, text, _learned(row.get("split")))
        finally:
            self.skipped.extend(complaints)

    def _with_span(self, image, span):
        """The name of a part of a video, as MSVD has it: VIDEO_START_END, where there is such a file."""
        if not span or None in span:
            return image
        cut = "_".join([image, *(re.sub(r"\.0+$", "", value) for value in span)])
        return cut if self.is_image(cut) else image

    def _of_one_language(self, rows):
        """Of rows in several languages those in the most frequent one; a model speaks one."""
        rows = list(rows)
        counts = Counter(row["language"] for row in rows if "language" in row)
        if len(counts) < 2:
            return rows
        ((most, _),) = counts.most_common(1)
        others = sum(counts.values()) - counts[most]
        self.skipped.append(f"{self.where}: {others} of its rows are not in {most}, and not read.")
        return [row for row in rows if row.get("language", most) == most]

    # === Lines ===

    def lines(self, text):
        few = [line for _, line in itertools.islice(_numbered(text), _FEW)]
        texts = [match["text"] for match in map(self._match, few) if match]
        if (
            2 * len(texts) <= len(few) or not any(texts) or all(map(self._line.match, texts))
        ):  # pairs of images
            return None
        return self._of_lines(_numbered(text))

    def _match(self, line):
        match = _SEVERAL.fullmatch(line) or self._line.fullmatch(line)
        if match:
            return match
        match = _SHORT.fullmatch(line)
        return match if match and self.is_image(match["image"]) else None

    def _of_lines(self, lines):
        pages = 0
        for number, line in lines:
            match = self._match(line)
            if not match:
                self.skipped.append(
                    f"{self.where}: line {number} names no {self.kind.thing}; write its name, a tab and its "
                    "text."
                )
            elif re.match(r'\[\{"(transcription|points)"', match["text"]):
                pages += 1
            else:
                text = match["text"].strip()
                quoted = re.fullmatch(r'"(.*)"', text)  # as ICDAR has it
                text = quoted[1] if quoted and match["gap"] != "\t" else text
                several = _loads(match["image"]) if match.re is _SEVERAL else None
                for image in several or [match["image"]]:
                    yield Entry(str(image), text)
        if pages:
            self.skipped.append(f"{self.where}: {pages} of its images are pages with lines marked; {_CUT}.")

    # === JSON ===

    def json(self, text):
        start = text.lstrip()[:1]
        if not start or start not in "[{":
            return None
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as error:
            if start != "{" or len(split_lines(text.strip())) < 2:
                raise UserError(
                    f"{self.where}: this is no JSON ({error}); copy or write it again."
                ) from error
            return self._objects(self._json_lines(text))
        if isinstance(stored, dict):
            layouts = (
                self._coco, self._msr_vtt, self._karpathy, self._mmocr, self._by_file, self._single,
            )  # fmt: skip
            for layout in layouts:
                found = layout(stored)
                if found is not None:
                    return found
            lists = {key: value for key, value in stored.items() if isinstance(value, list)}
            if len(lists) > 1 and all(map(split_of, lists)):
                return self._objects(
                    (f"object {i} of {split}", {"split": split} | row if isinstance(row, dict) else row)
                    for split, rows in lists.items()
                    for i, row in enumerate(rows, 1)
                )
            stored = next(iter(lists.values())) if len(lists) == 1 else None
        if not isinstance(stored, list):
            return None
        return self._objects((f"object {i}", row) for i, row in enumerate(stored, 1))

    def _json_lines(self, text):
        for number, line in _numbered(text):
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                self.skipped.append(f"{self.where}: line {number} is no JSON ({error}).")

    def _objects(self, rows):
        rows = ((place, _lower_keys(row)) for place, row in rows)
        few = list(itertools.islice(rows, _FEW))
        if not any(name in row for _, row in few for name in self.kind.image_columns):
            return None
        return self._of_objects(itertools.chain(few, rows))

    def _of_objects(self, rows):
        for place, row in rows:
            image = next(filter(None, (path_of(row.get(name)) for name in self.kind.image_columns)), None)
            keys = list(row)
            said = [row[keys[at]] for at in text_columns(keys, self.kind, like=False)]
            said = said[0] if len(said) == 1 else said or None
            texts = strings(said)
            if image is None or not (texts or said == ""):
                lacks = "file_name" if image is None else self.kind.columns[0]
                self.skipped.append(f"{self.where}: {place} lacks {lacks}; give it as text.")
                continue
            for text in texts or [""]:
                yield Entry(image, text, _learned(row.get("split")))

    def _single(self, stored):
        """One object, of a list that has one alone."""
        named = [value for key, value in _lower_keys(stored).items() if key in self.kind.image_columns]
        if any(isinstance(value, str) and value.lower().endswith(self.kind.suffixes) for value in named):
            return self._objects([("its object", stored)])
        return None

    def _by_file(self, stored):
        """docTR's labels: ``{"img_1.png": "text"}``."""
        if not stored or not all(k.lower().endswith(self.kind.suffixes) or self.is_image(k) for k in stored):
            return None
        if all(isinstance(value, dict) and "polygons" in value for value in stored.values()):
            raise UserError(
                f"{self.where}: it marks lines on pages, without text; give lines cut out, with their text."
            )
        return (Entry(image, text) for image, value in stored.items() for text in strings(value) or [""])

    def _coco(self, stored):
        if not isinstance(stored.get("images"), list) or not isinstance(stored.get("annotations"), list):
            return None
        try:
            names = {image["id"]: str(image["file_name"]) for image in stored["images"]}
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self.where}: not as COCO has it ({error!r}); give images with id and file_name."
            ) from error
        rows = [one for one in stored["annotations"] if isinstance(one, dict)]
        if rows and not any(name in one for one in rows for name in self.kind.columns):
            return None  # boxes or classes
        return self._of_coco(names, rows)

    def _of_coco(self, names, rows):
        for number, one in enumerate(rows, 1):
            texts = strings(next((one[name] for name in self.kind.columns if name in one), None))
            if not texts:
                self.skipped.append(f"{self.where}: annotation {number} has no {self.kind.columns[0]}.")
            for text in texts:
                yield Entry(names.get(one.get("image_id"), f"id {one.get('image_id')}"), text)

    def _msr_vtt(self, stored):
        """MSR-VTT's: videos with their splits, and sentences on them."""
        rows, videos = stored.get("sentences"), stored.get("videos")
        if not isinstance(rows, list) or not any("video_id" in one for one in rows if isinstance(one, dict)):
            return None
        videos = [one for one in videos or () if isinstance(one, dict)]
        splits = {one.get("video_id"): one.get("split") for one in videos}
        rows = [one | {"split": splits.get(one.get("video_id"))} for one in rows if isinstance(one, dict)]
        return self._objects((f"sentence {i}", row) for i, row in enumerate(rows, 1))

    def _karpathy(self, stored):
        images = stored.get("images")
        if not isinstance(images, list):
            return None
        if not any(isinstance(one, dict) and "sentences" in one for one in images):
            return None
        return self._of_karpathy(images)

    def _of_karpathy(self, images):
        for number, one in enumerate(images, 1):
            name = isinstance(one, dict) and (one.get("filename") or one.get("file_name"))
            if not isinstance(name, str):
                self.skipped.append(f"{self.where}: image {number} has no filename.")
                continue
            name = posixpath.join(str(one.get("filepath") or ""), name)
            for text in strings(one.get("sentences")) or [""]:
                yield Entry(name, text, _learned(one.get("split")))

    def _mmocr(self, stored):
        if not isinstance(stored.get("data_list"), list):
            return None
        flat = []
        for one in stored["data_list"]:
            one = one if isinstance(one, dict) else {}
            instances = one.get("instances")
            texts = strings(instances) if isinstance(instances, list) else strings(one.get("text"))
            image = one.get("img_path") or one.get("filename")
            flat.append({self.kind.image_columns[0]: image, self.kind.columns[0]: texts})
        return self._objects((f"image {i}", row) for i, row in enumerate(flat, 1))


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


def _lower_keys(row):
    return {str(key).lower(): value for key, value in row.items()} if isinstance(row, dict) else {}


def _learned(split):
    """The part of a set as a list tells it, or None; Karpathy's ``restval`` is learned, too."""
    split = split.strip() if isinstance(split, str) else ""
    return "train" if split == "restval" else split or None
