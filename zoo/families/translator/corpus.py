"""Parallel corpora, sentences with their translations, prepared once.

A corpus is one of these; every file may be gzipped:

- two text files, line by line each other's translation: ``PREFIX.en`` and ``PREFIX.de`` (as Moses has them),
  ``PREFIX.en.txt`` or ``english.txt`` and so on, ``en/PREFIX.txt`` and ``de/PREFIX.txt``; named by ``PREFIX``
  or by one of the files;
- a folder or a tar with one or more such pairs, in any subfolder; files of other languages do not matter;
- a table, CSV, TSV (also ``*.txt``), JSON, lines of JSON or Parquet, whose columns are named by their
  languages (``en``, ``en-GB``, ``English``, ``text_en``, ``translation.en``), by ``source`` and ``target``
  or by ``--columns``; see ``zoo.formats.tables``. TSV without such a first line: source, target and, as Anki
  has it, perhaps a third column; or id, text, id, text, as Tatoeba exports it;
- a folder or a tar of tables with columns so named, if there are no pairs of files in it; or of Anki's;
- ``*.tmx``, a translation memory: ``xml:lang="en-GB"`` counts as ``en``;
- ``tfds:NAME[/CONFIG][:SPLIT]``, any public set with a translation feature.

``PATH@3`` shows a small corpus three times an epoch.
"""

from __future__ import annotations

import html
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from zoo import files
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, TextSamples, feature_of, mapped_text, stamp
from zoo.errors import UserError
from zoo.formats.tables import NAME, TAB, check_named, column, is_table, open_table, stem_of, with_columns
from zoo.formats.xml import refuse_entities
from zoo.text.files import Utf8Check, stream_lines
from zoo.text.normalise import normalise_sentence

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.prepared import Prepared
    from zoo.files import FileList

_TXT = re.compile(r"(.+)\.txt(\.gz)?", re.IGNORECASE | re.DOTALL)  # a table without a name for it, as Anki's
_TMX = re.compile(r"(.+)\.tmx(\.gz)?")
# en, deu, pt_BR, zh-Hans-CN; a suffix that files have for other reasons is no language.
_CODE = r"(?!(?:csv|gz|md|tar|tbz|tgz|tmx|tsv|txt|txz|xz|zip)\b)[a-z]{2,3}(?:[-_][A-Za-z0-9]+)*"


class ParallelCorpus(LocalCorpus):
    """Reads one local corpus: ``source``, ``text`` and ``name`` of each pair.

    Args:
        path: the file or folder; of two parallel files, the source.
        languages: codes of the source and the target.
        columns: ``{"source": name, "target": name}`` of tables whose languages do not name them; or None.
    """

    def __init__(
        self, path: str | os.PathLike, languages: tuple[str, str], columns: dict[str, str] | None = None
    ) -> None:
        super().__init__(path)
        self.languages, self.columns = languages, columns

    def samples(self) -> Iterator[dict[str, Any]]:
        for name, source, text in read_parallel(self.path, self.languages, self.skipped, self.columns):
            yield {"source": source, "text": text, "name": name}

    def unusable(self, reason: str) -> UserError:
        source, target = self.languages
        wanted = _conversion([self.path.name], self.languages) or (
            f"give PREFIX.{source} and PREFIX.{target} with a sentence on each line, a table or TMX"
        )
        return UserError(f"{self.path}: no pair of sentences in it could be used ({reason}); {wanted}.")


def _conversion(names, languages):
    """How to make TMX of the first of some files that is of another format for translators; or None."""
    for name in sorted(names):
        stem, suffix = os.path.splitext(name)
        what, first = _CONVERTED.get(suffix.lower(), (None, None))
        if what:
            command = f"{first.format(name, stem)}po2tmx -l {languages[1]} {stem}.po {stem}.tmx"
            return f"{name} is {what}, make TMX of it with translate-toolkit: {command}"
    return None


_XLIFF = "XLIFF", "xliff2po {} {}.po; "
_CONVERTED = {".po": ("gettext", ""), ".xlf": _XLIFF, ".xliff": _XLIFF}


def read_parallel(
    path: str | os.PathLike, languages: tuple[str, str], skipped: list[str] | None,
    columns: dict[str, str] | None = None,
) -> Iterator[tuple[str, str, str]]:  # fmt: skip
    """Iterate over the pairs of a local corpus.

    Args:
        path: a folder, a tar, a table, a TMX file or, of two parallel files, the source.
        languages: codes of the source and the target.
        skipped: a list; a sentence is appended for each pair that cannot be used.
        columns: as of ``ParallelCorpus``.

    Yields:
        ``(name, source, text)``: the number of the line (of the unit in TMX), six digits, in a folder or a
        tar ``PREFIX/`` before it; the normalised sentences, neither of them empty.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or has not the two languages; two parallel files are
            not equally long.
    """
    if path.is_dir():
        rows = _read_members(path, languages, skipped, columns)
    elif pair := _pair_of(path, languages):
        rows = _read_pair([(file, None) for file in pair[1:]], pair[0], skipped)
    elif is_table(path.name) or _TXT.fullmatch(path.name):
        rows = _read_table(path, languages, skipped, columns)
    elif _TMX.fullmatch(path.name):
        rows = _read_tmx(path, languages, skipped)
    else:
        rows = _read_members(path, languages, skipped, columns)
    for where, name, *pair in rows:
        source, text = map(normalise_sentence, pair)
        complaint = _empty(where, languages, (source, text))
        if complaint:
            skipped.append(complaint)
        else:
            yield name, source, text


def _empty(where, languages, sentences):
    """A sentence on which of the two sentences is empty, or None."""
    empty = [language for language, sentence in zip(languages, sentences, strict=True) if not sentence]
    return f"{where} is empty in {' and '.join(empty)}." if empty else None


# The readers below yield ``(where, name, source, target)`` as the files have it; ``where`` begins a message.


# === Two parallel files ===


def _read_pair(pair, prefix, skipped, folder=""):
    """The lines of ``[(name, bytes)]``, source and target; None in place of bytes reads the file.

    ``folder`` goes before the names. The lines are read twice: first, they are counted.
    """
    (source, one, said), (target, other, heard) = (
        (name, *_counted(stream_lines(name, data))) for name, data in pair
    )
    count = one
    if said < one and heard < other:  # blank at the end of both: these lines are no sentences
        one, other = min(one, count := max(said, heard)), min(other, count)
    if one != other:
        (short, fewer), (long, more) = sorted(((source, one), (target, other)), key=lambda side: side[1])
        raise UserError(
            f"{long} has {more} lines and {short} {fewer}, so that line {fewer + 1} and what follows has no "
            "translation; make them equally long."
        )
    checks = [Utf8Check(name) for name, _ in pair]
    sides = [itertools.islice(stream_lines(name, data), count) for name, data in pair]
    for number, sentences in enumerate(zip(*sides, strict=True), 1):
        both = [check.complaint(line, number) for check, line in zip(checks, sentences, strict=True)]
        complaints = list(filter(None, both))
        if complaints:
            skipped += complaints[:1]
        else:
            yield f"{prefix}, line {number}", f"{folder}{number:06d}", *sentences
    for check in checks:
        check.end()


def _counted(lines):
    """How many lines there are, and how many without those at the end that are blank."""
    count = said = 0
    for count, line in enumerate(lines, 1):
        said = count if normalise_sentence(line) else said
    return count, said


def _pattern(languages):
    """``PREFIX.CODE`` or ``PREFIX.CODE.gz``: groups 1 and 2 are PREFIX and CODE."""
    return re.compile(rf"(.+)\.({'|'.join(map(re.escape, languages))}|{_CODE})(?:\.gz)?", re.DOTALL)


def _translations(names, languages):
    """``{prefix: {code: name}}`` of the files that have a language's code for their suffix."""
    found = {}
    for name in sorted(names):  # of PREFIX.en and PREFIX.en.gz, the former
        match = _pattern(languages).fullmatch(name)
        if match:
            found.setdefault(match[1], {}).setdefault(match[2], name)
    return found


def _on_disk(prefix, languages):
    """``{code: name}`` of the files PREFIX.CODE; ``prefix`` is a path."""
    folder = prefix.parent
    names = [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    return _translations(names, languages).get(prefix.name, {})


def _pair_of(path, languages):
    """``(prefix, source, target)``, paths of the two files that a file or the prefix of both tells; or None.

    Raises:
        UserError: ``path`` is of another language, or the other file is missing.
    """
    pair = _pair_by_words(path, languages)
    if pair or path.is_dir() or is_table(path.name) or _TXT.fullmatch(path.name) or _TMX.fullmatch(path.name):
        return pair
    prefix, there = path, {} if path.exists() else _on_disk(path, languages)
    if match := path.is_file() and _pattern(languages).fullmatch(path.name):
        prefix, code = path.with_name(match[1]), match[2]
        there = _on_disk(prefix, languages) | {code: path.name}
        if code not in languages and there.keys() & set(languages):
            raise UserError(f"{path}: this is neither {' nor '.join(languages)}; name {prefix}.")
        if code not in languages:  # PREFIX.doc
            return None
    if not there:
        return None
    missing = _missing(prefix.name, there, languages)
    if missing:
        raise UserError(f"{prefix}: {missing}.")
    return prefix, *(prefix.with_name(there[language]) for language in languages)


def _pair_by_words(path, languages):
    """As ``_pair_of``, of files that tell their language elsewhere than in a suffix, as ``train.en.txt``."""
    folder = path.parent
    words = {word for those in _words(languages) for word in those}
    around = list(folder.parent.iterdir()) if folder.name.lower() in words and folder.is_dir() else []
    around = [one for one in around if one.name.lower() in words and one.is_dir()]
    for root, folders in ((folder, [folder]), (folder.parent, around)):
        there = [file for one in folders if one.is_dir() for file in one.iterdir() if file.is_file()]
        pairs = _pairs_by_words([file.relative_to(root).as_posix() for file in there], languages)
        for (source, target), prefix in pairs.items():
            pair = root / source, root / target
            if path in pair or (prefix == path.name and not path.exists()):
                return (root / prefix if prefix else path, *pair)
    return None


def _words(languages):
    """What tells the two languages in names, in lower case: their codes, and what they are called."""
    codes = [language.lower() for language in languages]
    return [codes, [_NAMES[code] for code in codes]] if set(codes) <= _NAMES.keys() else [codes]


def _pairs_by_words(names, languages):
    """``{(source, target): prefix}`` of ``train.en.txt``, ``en.txt``, ``en/train.txt`` and their like."""
    there, pairs, taken = {name.lower(): name for name in sorted(names, reverse=True)}, {}, set()
    of_text = r"(?:[^./]+|[^/]+\.(?:txt|{0}))(?:\.gz)?$"
    ways = (  # what the name has to have, and every place of the word in it
        (r"(?:^|[/._ -]){0}\.txt(?:\.gz)?$", r"(?:^|(?<=[/._ -])){0}(?=\.txt(?:\.gz)?$)"),
        (rf"(?:^|/){{0}}/(?:.*/)?{of_text}", r"(?:^|(?<=/)){0}(?=/)|(?<=\.){0}(?=(?:\.gz)?$)"),
    )
    for (source, target), way in itertools.product(_words(languages), ways):
        has, word = (re.compile(one.format(re.escape(source)), re.IGNORECASE) for one in way)
        for low, name in sorted(there.items()):
            other = word.sub(target, low) if has.search(low) else low
            found = [there[one] for one in (other, f"{other}.gz", other.removesuffix(".gz")) if one in there]
            if other != low and found and taken.isdisjoint((name, found[0])):
                taken |= {name, found[0]}
                prefix = re.sub(r"(?i)(\.txt)?(\.gz)?$", "", word.sub("", name))
                parts = (part.strip("._- ") for part in prefix.split("/"))
                pairs[name, found[0]] = "/".join(filter(None, parts))
    return pairs


def _missing(prefix, there, languages):
    """What to say where a file is missing, or None."""
    for language in languages:
        if language not in there:
            return f"there is no {prefix}.{language}; of {prefix} there are {', '.join(sorted(there))}"
    return None


def _read_members(path, languages, skipped, columns):
    """The pairs of files in a folder or tar, or its tables."""
    names = []
    list(files.open_members(path, names.append))  # reads none
    pairs, complaints, others = {}, [], []
    for prefix, there in _translations(names, languages).items():
        missing = _missing(prefix, there, languages)
        if not missing:
            pairs[tuple(there[language] for language in languages)] = prefix
        elif there.keys() & set(languages):
            complaints.append(f"{path}: {missing}.")
        elif len(there) > 1:
            others.append(f"{path}: {missing}.")
    suffixed = {name for pair in pairs for name in pair}
    by_words = _pairs_by_words([name for name in names if name not in suffixed], languages)
    complaints = [] if by_words and not pairs else complaints  # of en/train.en and de/train.de
    pairs |= by_words
    if not pairs:
        yield from _read_tables(path, names, languages, skipped, columns, (complaints or others or [None])[0])
        return
    skipped += complaints
    of = {name: pair for pair in pairs for name in pair}
    waiting, taken, failures, found = {}, set(), [], False
    for name, data in files.open_members(path, of.__contains__):
        pair = of[name]
        waiting[name] = data
        if not all(one in waiting for one in pair):
            continue
        prefix = pairs[pair] if pairs[pair] not in taken else pair[0]  # train.en and train.en.txt
        taken.add(prefix)
        both = [(f"{path}: {one}", waiting.pop(one)) for one in pair]
        try:
            folder = f"{prefix}/" if prefix else ""
            for row in _read_pair(both, f"{path}: {prefix or pair[0]}", skipped, folder):
                found = True
                yield row
        except UserError as error:  # on this pair; another may be as it should
            failures.append(error)
    if failures and not found:
        raise failures[0]
    skipped += map(str, failures)


# === Tables ===


SIDES = {  # what the columns may be called where they are not named by languages, best first
    "source": ("source", "src", "source_text"),
    "target": ("target", "tgt", "trg", "target_text"),
}
_NAMES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi", "hu": "hungarian",
    "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
    "uk": "ukrainian", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip


def _read_table(path, languages, skipped, columns, data=None):
    table = open_table(path, skipped, data)
    alone = data is None or not is_table(path)
    wanted = dict(zip(SIDES, _places(table, languages, columns, alone), strict=True))
    optional = SIDES if table.has_header else ()  # a line without a tab is no pair, one with nothing is empty
    for where, line, row in table.pick(wanted, optional, free=SIDES):
        yield where, f"{line:06d}", row.get("source", ""), row.get("target", "")


def _read_tables(path, names, languages, skipped, columns, complaint):
    """The pairs of all tables; where there is none, ``complaint`` or one on a table is what to say.

    Of a folder without any by their names, text files with tabs are tables, too, as in Anki's zip.
    """
    complaint, found, taken = complaint and UserError(complaint), False, set()
    named = any(map(is_table, names))
    for name, data in files.open_members(path, is_table if named else _TXT.fullmatch):
        stem = stem_of(name, taken) if named else _TXT.fullmatch(name)[1]
        try:
            if not named and TAB not in next(stream_lines(f"{path}: {name}", data), ""):
                continue
            for where, number, *pair in _read_table(f"{path}: {name}", languages, skipped, columns, data):
                found = True
                yield where, f"{stem}/{number}", *pair
        except UserError as error:  # on this table; another may be as it should
            skipped.append(str(error))
            complaint = complaint or error
    if complaint and not found:
        raise complaint
    if not found and names and not named:
        there = _conversion(names, languages) or ", ".join(sorted(names)[:3])
        skipped.append(f"{path}: there are neither parallel files nor tables in it, but {there}.")


def _places(table, languages, columns, alone):
    """The numbers of the columns of source and target.

    A table that is ``alone``, not one of a folder, may have none named: it is told so.
    """
    if not table.columns:
        return (0, 1)
    if columns:
        wanted = {what: (code, *SIDES[what]) for what, code in zip(SIDES, languages, strict=True)}
        places = table.find(wanted, named=columns)
        return [places[what] for what in SIDES]
    titles = [title.strip() for title in table.columns]
    ways = (
        lambda title: title.rpartition(".")[2],  # of what Hugging Face's sets call a translation
        lambda title: _CODES.get(re.split(r"\W", title.lower())[0], ""),
        lambda title: next((word for word in re.split(r"[\W_]", title) if word.lower() in languages), ""),
    )
    found = [[_column(list(map(way, titles)), language) for language in languages] for way in ways]
    places = min(found, key=lambda places: places.count(None))
    if None not in places:
        return places
    sides = [column(titles, *SIDES[what]) for what in SIDES]
    if None not in sides:
        return sides
    if table.delimiter != TAB or not alone or _names_languages(titles, places):
        at = places.index(None)
        raise table.lacks(list(SIDES)[at], languages[at])
    table.headless()
    exported = len(titles) == 4 and titles[0].isdecimal() and titles[2].isdecimal()
    return (1, 3) if exported else (0, 1)


_CODES = {name: code for code, name in _NAMES.items()}


def _names_languages(titles, places):
    """Whether the first line of a table names languages, ``places`` being those of the two that are wanted.

    Two words may look like two codes: the line counts as a header if one of them is wanted, or if all have
    two letters, as is usual.
    """
    usual = all(re.fullmatch(r"[a-z]{2}([-_]\w+)?", title) for title in titles)
    return usual or (places != [None, None] and all(re.fullmatch(_CODE, title) for title in titles))


def _column(codes, language):
    """Where ``language`` is among the codes; a variant of it counts if it is not there itself; or None."""
    codes = [code.lower().replace("_", "-") for code in codes]
    language = language.lower().replace("_", "-")
    if language in codes:
        return codes.index(language)
    return next((i for i, code in enumerate(codes) if code.startswith(f"{language}-")), None)


# === TMX ===


def _read_tmx(path, languages, skipped):
    seen, found, lacking = set(), 0, 0
    for number, unit in enumerate(_units(path), 1):
        codes = [code for code, _ in unit]
        columns = [_column(codes, language) for language in languages]
        if None in columns:
            lacking += 1
            seen.update(codes)
        else:
            found += 1
            yield f"{path}, unit {number}", f"{number:06d}", *(unit[column][1] for column in columns)
    wanted = " and ".join(languages)
    if seen and not found:
        raise UserError(f"{path}: there is no unit in {wanted}; there are {', '.join(sorted(seen))}.")
    if lacking:
        skipped.append(f"{path}: {lacking} of {found + lacking} units are not in {wanted}.")


def _units(path):
    """Iterate over the translation units of a TMX file: lists of (code, text), read as a stream."""
    reader = _TmxReader(path)
    try:
        for chunk in files.read_chunks(path):
            reader.parser.Parse(chunk)
            yield from reader.drain()
        reader.parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two for unknown encodings
        raise UserError(f"{path}: this is no well-formed XML ({error}); export it again.") from error


class _TmxReader:
    """Collects units from the events of an XML parser. Nothing outside the file is looked up."""

    def __init__(self, path):
        self.path = path
        self.units, self.unit = [], []
        self.code, self.segment, self.markup = "", None, 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.SkippedEntityHandler = self._entity
        refuse_entities(self.parser, path)

    def drain(self):
        units, self.units = self.units, []
        return units

    def _start(self, tag, attributes):
        if tag == "tu":
            self.unit = []
        elif tag == "tuv":
            self.code = attributes.get("xml:lang") or attributes.get("lang", "")
        elif tag == "seg":
            self.segment = []
        elif tag in _MARKUP:
            self.markup += 1

    def _end(self, tag):
        if tag == "tu":
            self.units.append(self.unit)
        elif tag == "seg":
            self.unit.append((self.code, "".join(self.segment or [])))
            self.segment = None
        elif tag in _MARKUP:
            self.markup -= 1

    def _text(self, text):
        if self.segment is not None and not self.markup:
            self.segment.append(text)

    def _entity(self, name, is_parameter):
        self._text(html.unescape(f"&{name};"))  # one that a DTD elsewhere may declare, as &nbsp;


_MARKUP = {
    "bpt",
    "ept",
    "it",
    "ph",
    "ut",
}  # hold codes of the document's format; the text stands between them


# === Prepared corpora ===


class Parallel(TextSamples):
    """Some pairs of one or more prepared corpora, in the order of their files.

    Attributes:
        names: ``CORPUS/000001`` of every pair, the number of its line from 1, or ``CORPUS/PREFIX/000001`` in
            a folder or a tar; the corpus is named as its file without suffixes.
        sources: the normalised source sentences (see ``zoo.text.normalise.normalise_sentence``).
        texts: their normalised translations.
        skipped: sentences on pairs that could not be used.

    ``dataset`` gives ``source`` and ``text``, scalar strings.
    """

    noun = "pair"
    version = 4
    named = None  # columns that a person named
    languages = None  # codes of source and target; `load_parallel` makes a class for each pair of them

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.sources = self._strings(2)

    @classmethod
    def local(cls, path: str | os.PathLike) -> ParallelCorpus:
        return ParallelCorpus(path, cls.languages, cls.named)

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path | FileList, str]:
        file = Path(path)
        if pair := _pair_of(file, cls.languages):
            return pair[1], pair[0].name
        for of_one_file in (NAME, _TXT, _TMX):
            if file.is_file() and (match := of_one_file.fullmatch(file.name)):
                return file, match[1]
        return super().locate(path)

    @classmethod
    def depends_on(cls, path: str | os.PathLike) -> list[str]:
        pair = _pair_of(path, cls.languages)
        return [stamp(pair[2])] if pair else []

    @classmethod
    def uniform(cls, builder: Any) -> Callable:
        pick = _public_sentence(builder, cls.languages)

        def convert(sample):
            source, text = (mapped_text(normalise_sentence, pick(sample, code)) for code in cls.languages)
            return {"source": source, "text": text}

        return convert

    @staticmethod
    def measures(sample: dict[str, Any]) -> list:
        return [sample["source"]]

    @classmethod
    def complaint(cls, name: str, text: str, source: str) -> str | None:
        return _empty(name, cls.languages, (source, text))

    @property
    def columns(self) -> dict[str, Sequence[str]]:
        return {"source": self.sources, "text": self.texts}

    def clean(self, max_ratio: float = 3.0, max_words: int = 100) -> tuple[Parallel, dict[str, int]]:
        """Leave out what would harm training.

        A pair is left out for the first of these reasons that holds; words are what blanks separate:

        - one of its sentences has more than ``max_words`` words;
        - one is far longer than the other: (words + 1) of the longer more than ``max_ratio`` times
          (words + 1) of the shorter, so that one word for three is well, and one for six is not. For
          languages that are written without blanks, give ``math.inf``;
        - both sentences are the same and have more than three words: nobody translated it;
        - it is the same, source and target, as a pair that is kept.

        Returns:
            ``(pairs, report)``: a ``Parallel`` of those that stay, and how many went for each reason,
            ``{str: int}``, zeros included.
        """
        reasons = long, uneven, untranslated, again = (
            f"longer than {max_words} words",
            f"one side more than {max_ratio:g} times as long as the other",
            "not translated",
            "the same pair again",
        )
        seen = set()

        def fault(pair):
            fewer, more = sorted(sentence.count(" ") + 1 for sentence in pair)
            if more > max_words:
                return long
            if more + 1 > max_ratio * (fewer + 1):
                return uneven
            if more > 3 and pair[0] == pair[1]:
                return untranslated
            if pair in seen:
                return again
            seen.add(pair)
            return None

        faults = [fault(pair) for pair in zip(self.sources, self.texts, strict=True)]
        counts = Counter(faults)
        return self._where(found is None for found in faults), {reason: counts[reason] for reason in reasons}


def _public_sentence(builder, languages):
    """A function from a raw sample of a public set and a language's code to the sentence, a string tensor.

    Raises:
        UserError: the set has not both languages.
    """
    features, name = builder.info.features, None
    if not isinstance(features, tfds.features.Translation):
        several = tfds.features.TranslationVariableLanguages  # which languages, differs from sample to sample
        kind = (
            several if any(isinstance(f, several) for f in features.values()) else tfds.features.Translation
        )
        name = feature_of(builder, kind, [], "sentences and their translations")
        features = features[name]
    codes = features.languages or languages
    keys = {}
    for language in languages:
        column = _column(codes, language)
        if column is None:
            raise UserError(f"tfds:{builder.name}: there is no {language}; there are {', '.join(codes)}.")
        keys[language] = codes[column]

    def pick(sample, language):
        sentences = sample if name is None else sample[name]
        if isinstance(features, tfds.features.Translation):
            return sentences[keys[language]]
        matching = tf.boolean_mask(sentences["translation"], sentences["language"] == keys[language])
        return tf.concat([matching, [""]], 0)[0]

    return pick


def load_parallel(
    corpora: Any, source: str, target: str, only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Parallel:  # fmt: skip
    """Prepare corpora (the first time) and give their pairs as ``Parallel``.

    Args:
        corpora: a list of prefixes, files, folders, tars and ``tfds:`` names, or one of these.
        source: the source language's code, as in the files' names: "en".
        target: the target language's code.
        only: a regular expression; pairs are kept whose ``CORPUS/000001`` or ``CORPUS/PREFIX/000001`` it
            matches somewhere.
        progress: show progress bars.
        columns: ``{"source": name, "target": name}`` of tables, where they are not named by languages.

    Raises:
        UserError: a corpus is missing, cannot be read, has not the two languages, is not parallel or holds no
            pair that can be used.
    """
    for code in (source, target):
        if not re.fullmatch(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*", code):
            raise UserError(f"{code!r} is no language code; give one such as en or de.")
    if source == target:
        raise UserError(f"Source and target are both {source}; give two languages.")
    # Prepared public corpora are known by the class's name.
    kind = type(f"Parallel_{source}_{target}", (Parallel,), {"languages": (source, target)})
    return with_columns(kind, check_named(columns, SIDES)).load(corpora, only, progress)


GIVEN = Given(("source", "target"))


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> Parallel:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_parallel(corpora, config["source"], config["target"], only, progress, columns)
