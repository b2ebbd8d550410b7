"""Images and what is said of them, as it lies on disks.

What is found in a corpus decides how it is read: files beside the images, lists (see ``zoo.data.lists``), or
Parquet, as Hugging Face has it, with the images in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from export.runtime import IMAGE_SUFFIXES
from zoo import files
from zoo.data.lists import (
    IMAGE_COLUMNS,
    Entry,
    entries_of,
    is_list,
    path_of,
    plain,
    split_of,
    strings,
    text_columns,
)  # fmt: skip
from zoo.errors import UserError
from zoo.formats.tables import ParquetFile, column
from zoo.images.named import FOLDER, on_disk, tails
from zoo.text.files import decode_text, read_data, split_lines

if TYPE_CHECKING:
    from zoo.files import FileList

_NOTED = 10_000
_ROWS = 64  # of a Parquet table that are in memory at a time: each may hold an image
_TOLD = 20  # things of one kind that cannot be used are named, of more the number is told


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a family wants to know of images.

    Attributes:
        noun: what it is called: "transcript".
        columns: names of the columns that may hold it, in lower case, best first.
        image_columns: those of the columns that may name images, or hold them.
        several: whether an image may have several texts, in columns that are numbered.
        header: how a table of one's own may begin: "file_name,text".
        option: what ``--columns`` calls the column of texts.
        beside: ends of the names of files beside images.
        fallback: another such end, which counts where there is neither a file of ``beside`` nor a list.
        parts: the text of such a file -> list of str.
        clean: a text of a list -> str, empty where nothing is said.
        variants: what may stand before an image's suffix and is no part of its name, best first.
        splits: a regular expression for the names of files that list the images of a split, its group 1.
        span: names of the columns that tell where in a longer one it begins, and of those where it ends.
        language: the column that tells in which language a text is; those in the most frequent one count.
        thing: what is described, where that is no image but a video; "image" stands for it in what follows.
        suffixes: of the files of such.
        part_suffixes: of files of which a folder is one such, as of a video's frames; it is named by the
            folder.
    """

    noun: str
    columns: tuple
    header: str
    option: str = "text"
    image_columns: tuple = IMAGE_COLUMNS
    several: bool = False
    beside: tuple = ()
    fallback: str = ".txt"
    parts: object = lambda text: [text]
    clean: object = str.strip
    variants: tuple = ("",)
    splits: str | None = None
    span: tuple = ()
    language: str = ""
    thing: str = "image"
    suffixes: tuple = IMAGE_SUFFIXES
    part_suffixes: tuple = ()

    @property
    def one(self) -> str:
        """The thing, for messages: "an image"."""
        return f"a{'n' * (self.thing[0] in 'aeiou')} {self.thing}"

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """``{what: names}``, what can be named of the columns of tables: the image and the text."""
        return {self.thing: self.image_columns, self.option: self.columns}

    def naming(self, named: dict[str, str] | None) -> Kind:
        """This kind with columns as a person named them, ``{what: column}``, or None."""
        if not named:
            return self
        usual = zip(self.wanted.items(), self.header.split(","), strict=True)
        found = [(named[w], (named[w].lower(),)) if w in named else (title, old) for (w, old), title in usual]
        (image, image_columns), (text, columns) = found
        return dataclasses.replace(
            self, image_columns=image_columns, columns=columns, header=f"{image},{text}"
        )

    def key(self, member: str) -> str:
        """What the names of an image and of the file beside it have in common."""
        name = unicodedata.normalize("NFC", member)
        end = next((end for end in self._ends() if name.lower().endswith(end)), "")
        name = name[: len(name) - len(end)]
        return next((name.removesuffix(v) for v in self.variants if v and name.endswith(v)), name)

    def rank(self, image: str) -> tuple[int, str]:
        """How good an image is among those of its name; the lowest is best."""
        stem = posixpath.splitext(image)[0]
        found = next((v for v in self.variants if v and stem.endswith(v)), "")
        return self.variants.index(found), image

    def _ends(self):
        return *self.beside, self.fallback, *self.suffixes


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
        others: images of the corpus that are read in another way.

    Attributes:
        images: ``{member: Found}``, without those of Parquet tables.
    """

    def __init__(
        self, path: str | os.PathLike | FileList, kind: Kind, skipped: list[str] | None, others: Iterable = ()
    ) -> None:
        self.path, self.kind, self.skipped = path, kind, skipped
        self.images, self._tables, self._unusable = {}, [], set()
        self._told, self._more = {}, Counter()
        images, self._parts = [], {}

        def wanted(member):
            low = member.lower()
            if low.endswith(kind.suffixes):
                if member not in others:
                    images.append(member)
            elif kind.part_suffixes and low.endswith(kind.part_suffixes) and "/" in member:
                self._parts.setdefault(posixpath.dirname(member), []).append(member)
            elif low.endswith(".parquet"):
                self._tables.append(member)
            return is_list(low) or low.endswith((*kind.beside, ".txt"))

        texts = dict(files.open_members(path, wanted, skipped))
        by_key, by_name = {}, {}
        for image in sorted([*images, *self._parts], key=kind.rank):
            by_key.setdefault(kind.key(image), []).append(image)
            for name in {_base(image), posixpath.basename(kind.key(image))}:
                by_name.setdefault(name, []).append(image)
        strong = [text for text in texts if text.lower().endswith(kind.beside)] if kind.beside else []
        weak = [] if strong else [text for text in texts if text.lower().endswith(kind.fallback)]
        pairs = {}
        for text in strong or weak:
            key = kind.key(text)
            alike = by_key.get(key) or by_key.get(kind.key(key))  # NAME.png.gt.txt
            if alike:
                pairs[text] = alike[0]
        if not pairs:
            pairs = _in_other_folders(strong or weak, kind, by_key)
        lists = {name: data for name, data in texts.items() if name not in pairs and name not in strong}
        lists |= dict.fromkeys(filter(self._names_images, self._tables))
        self._tables = [table for table in self._tables if table not in lists]
        self._read_lists(lists, by_name, set(pairs.values()) if strong else set())
        used = strong or not self.images
        for text, image in pairs.items() if used else ():
            self._read_beside(text, image, texts[text])
        self._complain(by_key, pairs, strong or [t for t in weak if used and pairs and not NOTE.search(t)])

    def read(self) -> Iterator[tuple[Found, bytes]]:
        """Iterate over ``(found, data)``: a ``Found`` and the image's bytes, one in memory at a time.

        The bytes of what has parts are ``{member: bytes}`` of these.
        """
        whole = {part: folder for folder in self.images for part in self._parts.get(folder, ())}
        gathered = {}

        def wanted(member):
            return member in whole or (member in self.images and member not in self._parts)

        for member, data in files.open_members(self.path, wanted, self.skipped):
            folder = whole.get(member)
            if folder is None:
                yield self.images[member], data
                continue
            gathered.setdefault(folder, {})[member] = data
            if len(gathered[folder]) == len(self._parts[folder]):
                yield self.images[folder], gathered.pop(folder)
        for folder, parts in gathered.items():  # some of which could not be read
            yield self.images[folder], parts
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
                        for text in strings(said):
                            self._add(Entry(path_of(image), text, split_of(member)), member, by_name, own)
                    continue
                match = self.kind.splits and re.fullmatch(self.kind.splits, posixpath.basename(member))
                if match:
                    _read_split(match[1].lower(), decode_text(data, where), splits)
                    continue
                folder = posixpath.dirname(member)

                def is_image(reference, folder=folder):
                    return find_image(reference, folder, None, by_name)[0] is not None

                for entry in entries_of(member, data, self.kind, where, self.skipped, is_image) or ():
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
            ((_, source),) = files.open_members(self.path, {member}.__contains__)
        else:
            source = str(source)
        table = ParquetFile(f"{self.path}: {member}", source)
        names = table.schema.names
        image, said = column(names, *self.kind.image_columns), text_columns(names, self.kind)
        if image is None or not said:
            return
        image, *said = chosen = [names[place] for place in (image, *said)]
        for row in table.rows(chosen, _ROWS):
            yield row[image], row[said[0]] if len(said) == 1 else [row[name] for name in said]

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
                texts = [text for text in map(self.kind.clean, strings(said)) if text]
                if not isinstance(data, bytes) or not texts:
                    what = f"{self.kind.thing} in it" if not isinstance(data, bytes) else self.kind.noun
                    self.skipped.append(f"{self.path}: {member}, row {number} has no {what}.")
                    continue
                name = path_of(image).strip("/.")
                name = name if name and name not in seen else f"{number:06d}"
                seen.add(name)
                yield Found(f"{stem}/{name}", texts, member, split_of(stem)), data
        except UserError as error:
            self.skipped.append(_sentence(error))
        if not number:
            self.skipped.append(
                f"{self.path}: {member}: there are no rows with the columns {self.kind.thing} and "
                f"{self.kind.columns[0]}."
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
            say = form.replace("NOUN", self.kind.noun).replace("THING", self.kind.thing)
            self.skipped += told(self.path, say, those, self._more[form])


def told(path: str | os.PathLike | FileList, form: str, those: Sequence, more: int = 0) -> list[str]:
    """A sentence for each of the first things of a corpus that cannot be used, and how many others there are.

    Args:
        path: the corpus.
        form: the sentence, with ``{}`` in the place of the thing.
        those: a list of them.
        more: how many there are besides.
    """
    more += len(those[_TOLD:])
    others = [f"{path}: the same of {more} more."] if more else []
    return [*(f"{path}: {form.format(one)}." for one in those[:_TOLD]), *others]


_GONE = "{} is listed, but it is not there, or in several folders"
_NEVER = "{} is of a split, but has neither file nor NOUN"
_SILENT = "{} has no NOUN"
_ORPHAN = "{} has no THING"
_EMPTY = "the NOUN of {} is empty"
_BLANK = "{} is empty"
_DOUBLE = "{} was left out, another THING has its name"
NOTE = re.compile(r"(^|/)(readme|licen[sc]e|copying|notes?|changelog|authors)[^/]*$", re.IGNORECASE)


_LATIN = "{} is listed, but what is said of it is not UTF-8; save the list as UTF-8"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


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


def find_image(
    reference: str, folder: str | os.PathLike, split: str | None, by_name: dict[str, list[str]]
) -> tuple[str, bool] | None:
    """The file that a list in ``folder`` means by ``reference``, and whether it is named exactly; or None.

    Args:
        reference: a path as written there, with or without its suffix: relative to the list or to the
            corpus, or of another place, of which the end agrees.
        folder: where the list is.
        split: its part of the set, perhaps the name of a folder.
        by_name: ``{name without folder, NFC: [file]}``, with and without suffixes, the best file first.
    """
    reference = posixpath.normpath(unicodedata.normalize("NFC", reference.strip()).replace("\\", "/"))
    base = posixpath.basename(reference)
    named = {file: posixpath.join(posixpath.dirname(file), base) for file in by_name.get(base, [])}
    places = [posixpath.normpath(posixpath.join(folder, part, reference)) for part in ("", FOLDER)]
    places.append(reference)
    exact = [file for file in named if unicodedata.normalize("NFC", named[file]) in places]
    if exact:
        return exact[0], True
    ends = map("/{}".format, tails(reference))
    alike = next((those for end in ends if (those := [f for f in named if f"/{named[f]}".endswith(end)])), [])
    alike = [file for file in alike if file.startswith(f"{folder}/")] or alike
    alike = [file for file in alike if f"/{split}/" in f"/{file}"] or alike
    return (alike[0] if len(set(map(posixpath.dirname, alike))) == 1 else None), False


def _in_other_folders(texts, kind, by_key):
    """``{text: image}`` where one folder of their paths differs, as of ``images/1.png`` and ``labels/1.txt``.

    Folders that hold images as well as texts are no such: there, what has no partner lacks it.
    """
    mixed = set(map(posixpath.dirname, by_key)) & set(map(posixpath.dirname, texts))
    by_others, pairs = {}, {}
    for key, alike in by_key.items():
        for others in _without_a_folder(key):
            by_others.setdefault(others, []).append(alike[0])
    for text in texts if not mixed else ():
        key = kind.key(text)
        found = {image for others in _without_a_folder(key) for image in by_others.get(others, ())}
        if len(found) == 1:
            pairs[text] = found.pop()
    return pairs


def _without_a_folder(key):
    """A path without one of its folders, for each of these: ``(which, the others)``."""
    parts = key.split("/")
    return [(i, (*parts[:i], *parts[i + 1 :])) for i in range(len(parts) - 1)]


# === A list alone ===


def located(path: str | os.PathLike, kind: Kind) -> tuple[FileList, str] | None:
    """A list given as a file: ``(FileList, label)`` of it and the images that it names; None of other files.

    A text file that names images alone, one on each line, stands for these and the files beside them.

    Raises:
        UserError: it cannot be read, or none of its images is there.
    """
    name, folder = os.path.basename(path), os.path.dirname(os.path.abspath(path))
    parquet = name.lower().endswith(".parquet")
    if not (parquet or is_list(name)) or not os.path.isfile(path):
        return None
    label = posixpath.splitext(plain(name))[0]
    if parquet:
        return files.FileList({name: path}, path), label
    data, skipped = read_data(path), []
    entries = entries_of(
        name, data, kind, path, skipped, lambda image: on_disk(image, folder, kind.suffixes) is not None
    )
    members = {name: path}
    if entries is None:
        named = [line.strip() for line in split_lines(decode_text(data, path)) if line.strip()]
        if not named or not all(line.lower().endswith(kind.suffixes) for line in named):
            raise UserError(
                f"{path}: this is no list of {kind.thing}s; write on each line {kind.one}, a tab and its "
                f"{kind.noun}, "
                f"or give a table whose first line is {kind.header}."
            )
        members = {}
    else:
        named = [entry.image for entry in entries]
    first = None
    for reference in dict.fromkeys(named):
        reference = reference.replace("\\", "/")
        place = on_disk(reference, folder, kind.suffixes)
        if place is None:
            first = first or reference
            continue
        end = posixpath.splitext(place)[1]
        members[reference if reference.endswith(end) else reference + end] = place
        if entries is None:
            stem = kind.key(place)
            for end in (*kind.beside, kind.fallback):
                if end and os.path.isfile(stem + end):
                    members[kind.key(reference) + end] = stem + end
    if not any(member.lower().endswith(kind.suffixes) for member in members):
        if first is None and skipped:
            raise UserError(skipped[0].rstrip("."))
        raise UserError(
            f"{path}: none of its {kind.thing}s is there, the first is {first}; put it beside them, or give "
            "the folder of both."
        )
    return files.FileList(members, path), label


# === Where nothing fits ===


def unusable(
    path: str | os.PathLike | FileList, kind: Kind, unit: str, reason: str, wanted: str
) -> UserError:
    """The UserError on a corpus of which nothing could be used: what lies there, and what would do.

    Args:
        unit: what it should hold, in the plural.
        reason: why the first could not be used.
        wanted: how it should lie there.
    """
    names, found = [], 0
    try:
        found = len(DescribedImages(path, kind, []).images)
        list(files.open_members(path, names.append, []))
    except files.NoArchive:
        pass  # the reason says so
    except UserError as error:
        return error
    if found:
        return UserError(f"{path}: none of its {found} {unit} can be used ({reason}).")
    if names and reason == "it is empty":
        reason = f"none of its files is {kind.one}"
    counts = Counter(posixpath.splitext(name)[1].lower() or "file without suffix" for name in names)
    there = " and ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))
    there = f"there {'is' if there.startswith('1 ') else 'are'} {there}; " if there else ""
    packed = [name for name in names if re.search(r"\.(zip|tar|tgz|tar\.\w+)$", name, re.IGNORECASE)]
    lists = [name for name in names if re.search(r"\.(csv|tsv|jsonl?)$", name, re.IGNORECASE)]
    keys = kind.header.replace(",", " and ")
    if packed:
        wanted = f"give {packed[0]} itself, or unpack it"
    elif counts[".xml"] and not lists:
        wanted = f"if the XML is of pages, export it as ALTO or PAGE; {wanted}"
    elif lists and lists[0].lower().endswith(("json", "jsonl")):
        wanted = f"give objects with {keys} in {lists[0]}, or {wanted}"
    elif lists:
        wanted = f"start {lists[0]} with {kind.header}, or {wanted}"
    return UserError(f"{path}: there are no {unit} in it ({reason}); {there}{wanted}.")
