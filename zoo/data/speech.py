"""Corpora of transcribed speech, prepared once.

A corpus is a folder or a tar in one of these layouts, known by their content, in any subfolder:

- a table (CSV, TSV, JSON, lines of JSON, Parquet; see ``zoo.formats.tables``) whose columns are named as in
  ``COLUMNS`` or by ``--columns``: audio and transcript, and perhaps speaker, seconds and, for a part of a
  longer recording, offset. Such are ``transcripts.tsv`` of ``id`` and ``transcript``, Hugging Face's
  ``metadata.csv``, DeepSpeech's ``train.csv``, NeMo's manifests, and Common Voice's ``validated.tsv``
  (without one ``train.tsv``, ``dev.tsv`` and ``test.tsv``, without these any);
- LJSpeech: ``metadata.csv`` of ``ID|transcript|normalised transcript`` without a header; other tables without
  one, too, if their first column has names of audio;
- LibriSpeech: ``*.trans.txt`` of ``SPEAKER-CHAPTER-NUMBER TRANSCRIPT``;
- Kaldi: ``wav.scp`` and ``text``, perhaps ``utt2spk`` and ``segments``; no command in it is run;
- lists, ``*.txt``, of whose lines each has the name of audio, a tab, ``|`` or a blank, and its transcript, as
  of AISHELL and VITS;
- Parquet with the recordings in it, as Hugging Face has it: ``audio`` is ``{bytes, path}``;
- without any of these, ``NAME.wav`` with its transcript in ``NAME.txt``, beside it or in a folder of its own.

A recording that lies there in several formats is read once.
Audio is relative to its table, or in ``wavs/`` or ``clips/`` there, or in any folder if it is the only one of
its name, with or without its suffix (``.wav``, ``.flac``, ``.ogg``, ``.opus``, ``.mp3``, ``.aiff``, upper or
lower case); absolute paths, also of Windows, are found again when the corpus has moved. One such table, given
as a file, is a corpus as well: it may name audio anywhere, as may the ``wav.scp`` of a folder. So are a
pattern or list of recordings, each with its text beside it, and
``tfds:NAME[/CONFIG][:SPLIT]``, any public set that has an audio and a text feature. ``PATH@3`` shows a small
corpus three times an epoch.

Who listens learns transcripts as they are heard (``zoo.text.normalise.normalise_transcript``), who speaks as
they are ``written``: with upper case, marks and numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import posixpath
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import files
from zoo.audio import files as audio
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, Samples, feature_of, mapped_text, stamp
from zoo.errors import UserError
from zoo.formats.tables import ParquetFile, check_named, column, is_table, open_table, with_columns
from zoo.text.files import Utf8Check, decode_text, stream_lines
from zoo.text.normalise import has_digits, language_of, normalise_sentence, normalise_transcript

if TYPE_CHECKING:
    from zoo.data.prepared import Prepared
    from zoo.files import FileList

COLUMNS = {  # what their names may be, best first
    "audio": (
        "wav_filename", "audio_filepath", "audio_path", "audio_file", "wav_path", "file_name", "filename",
        "file_path", "filepath", "file", "path", "audio", "audio.path", "wav", "clip", "recording", "id",
    ),
    "transcript": ("transcript", "sentence", "transcription", "text", "normalized_text", "utterance"),
    "speaker": ("speaker", "client_id", "speaker_id", "speaker_name"),
    "seconds": ("seconds", "duration"),
    "offset": ("offset",),
}  # fmt: skip
_LITERAL = ("audio", "speaker")
_OPTIONAL = ("speaker", "seconds", "offset")
_SPLITS = {"train.tsv", "dev.tsv", "test.tsv"}
_LIBRISPEECH = ".trans.txt"
_LISTS = (".txt", ".trans")
_KALDI = ("wav.scp", "text", "utt2spk", "segments")
_ROWS = 16  # of Parquet in memory at a time: each may hold a recording


class SpeechCorpus(LocalCorpus):
    """Reads one local corpus: ``audio``, ``text`` and ``name`` of each utterance.

    Args:
        path: the folder, tar or table.
        rate: samples a second of ``audio``, mono.
        columns: ``{"audio": name, ...}`` of tables, where they are not among ``COLUMNS``; or None.
        written: give transcripts as they are written.
    """

    @property
    def features(self) -> dict[str, Any]:
        return {
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
            "text": tfds.features.Text(),
            "name": tfds.features.Text(),
        }

    def __init__(
        self, path: str | os.PathLike | FileList, rate: int, columns: dict[str, str] | None = None,
        written: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(path)
        self.rate, self.columns, self.written = rate, columns, written

    def samples(self) -> Iterator[dict[str, np.ndarray | str]]:
        for name, samples, text in read_utterances(
            self.path, self.skipped, self.rate, self.columns, self.written
        ):
            yield {"audio": pcm16(samples), "text": text, "name": name}

    def unusable(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: no utterance in it could be used ({reason}); give transcripts.tsv with the "
            "columns id and transcript and ID.wav or ID.ogg beside it, or NAME.txt beside NAME.wav."
        )


def pcm16(samples: np.ndarray) -> np.ndarray:
    """float32 in -1..1 as int16; louder samples are clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def read_utterances(
    path: str | os.PathLike | FileList, skipped: list[str] | None, rate: int = audio.RATE,
    columns: dict[str, str] | None = None, written: bool = False,
) -> Iterator[tuple[str, np.ndarray, str]]:  # fmt: skip
    """Iterate over the utterances of a folder, a tar or a table.

    Args:
        path: the corpus.
        skipped: a list; a sentence is appended for each utterance that cannot be used.
        rate: samples a second of what is given.
        columns, written: as of ``SpeechCorpus``.

    Yields:
        ``(name, samples, text)``: ``SPEAKER/ID``, or ``ID`` where no speaker is known; float32 ``[samples]``;
        the transcript.
    """
    utterances = _find_utterances(path, skipped, columns, written)
    outside = {name for name in utterances if _is_table(path) or _is_outside(name)}
    recordings = ((name, path.parent / name if _is_table(path) else name) for name in sorted(outside))
    if len(outside) < len(utterances):
        inside = files.open_members(path, lambda name: name in utterances and name not in outside, skipped)
        recordings = itertools.chain(inside, recordings)
    for member, recording in recordings:
        try:
            samples = audio.read_audio(recording, f"{path}: {member}", rate)
        except UserError as error:
            skipped.append(str(error))
            continue
        for utterance in utterances[member]:
            part = utterance.cut(samples, rate)
            complaint = _too_short(len(part) / rate, utterance.seconds)
            if complaint:
                skipped.append(f"{utterance.where}: {member} {complaint}.")
            else:
                yield utterance.name, part, utterance.text
    for table, found in _with_recordings(path, columns).values():
        yield from _read_parquet(table, found, skipped, rate, written)


def _too_short(length, seconds=None):
    """Why ``length`` seconds are no utterance, ``seconds`` long as its table says; None if they may be."""
    if length < audio.SHORTEST:
        return f"has {length:.2f} seconds, too short; give at least {audio.SHORTEST} seconds"
    if seconds and length < 0.9 * seconds - audio.SHORTEST:
        return f"has {length:.1f} of its {seconds:.1f} seconds; copy it again"
    return None


def _unlearnable(text, written=False):
    """Why a transcript cannot be learned; None if it can."""
    if not text:
        return "the transcript is empty"
    if written:
        return None if any(map(str.isalnum, text)) else f"the transcript {text[:60]!r} has no letter"
    if has_digits(text):
        return f"the transcript has digits ({text[:60]!r}); spell them out"
    return None


# === Tables ===


@dataclasses.dataclass
class _Utterance:
    """What a line of a table says.

    ``where`` begins a sentence on it, ``audio`` is a path as written there, perhaps ``elsewhere``, out of the
    folder. Without ``id``, that path is one.
    """

    where: str
    audio: str
    text: str
    id: str = ""
    speaker: str = ""
    seconds: float | None = None
    offset: float | None = None
    elsewhere: bool = False

    @property
    def name(self):
        part = f"-{self.offset:.2f}" if self.offset else ""
        return f"{self.speaker}/{self.id}{part}" if self.speaker else self.id + part

    def cut(self, samples, rate):
        """Its part of a recording."""
        if self.offset is None:
            return samples
        first = round(self.offset * rate)
        return samples[first : first + round(self.seconds * rate) if self.seconds else None]


def _is_table(path):
    if isinstance(path, files.FileList) or not path.is_file():
        return False
    return _may_be_table(path.name) or path.name.lower().endswith(_LISTS)


def _is_folder(path):
    return not isinstance(path, files.FileList) and path.is_dir()


def _may_be_table(name):
    return is_table(name) or name.endswith(_LIBRISPEECH) or posixpath.basename(name) in _KALDI


def _find_utterances(path, skipped, columns=None, written=False):
    """The utterances whose transcript can be used and whose audio exists: ``{audio file: [_Utterance]}``.

    An audio file is named by its place in the folder or tar, or, outside, by its absolute path; by its path
    from a table that is given alone.
    """
    parquet = _with_recordings(path, columns)
    if _is_table(path):
        folder = path.parent
        there = [name for name in _KALDI if (folder / name).is_file()] if path.name in _KALDI else [path.name]
        tables = {name: (folder / name).read_bytes() for name in there if name not in parquet}
        members = _OnDisk(folder)
    else:
        names = []

        def wanted(name):
            names.append(name)
            return _may_be_table(name) and name not in parquet

        tables = dict(files.open_members(path, wanted))
        members = _Inside(names, path if _is_folder(path) else None)
    utterances, others = [], []
    alone = path.name if _is_table(path) else None
    titles = {name: str(path) if name == alone else f"{path}: {name}" for name in tables}

    def is_audio(reference, folder):
        return _find_audio(reference, folder, members) is not None

    if alone and not _may_be_table(alone):  # a list
        utterances = list(_lists(tables.items(), titles, skipped, is_audio))
        tables = {} if utterances else tables
    for table, found in _parse_tables(tables, titles, skipped, others, columns, is_audio):
        utterances += [(posixpath.dirname(table), utterance) for utterance in found]
    if not utterances and not skipped and not parquet:
        if not alone:
            texts = files.open_members(path, lambda name: name.lower().endswith(_LISTS))
            titles = {name: f"{path}: {name}" for name in names}
            utterances = list(_lists(texts, titles, skipped, is_audio))
            utterances = utterances or [("", utterance) for utterance in _pairs(path, names, skipped)]
        if not utterances and others:
            skipped.append(others[0])
        elif not utterances and not _is_table(path) and names and not tables:
            skipped.append(f"{path}: there are no transcripts in it, but {', '.join(sorted(names)[:3])}.")
    return _with_audio(utterances, members, skipped, written)


def _transcript(text, written, language=None):
    return normalise_sentence(text) if written else normalise_transcript(text, language)


def _alone(text, written):
    """Likewise, of a transcript whose language nothing else tells."""
    return _transcript(text, written, language_of([text]))


def _with_audio(utterances, members, skipped, written):
    found, seen, said, again = {}, set(), {}, 0
    language = language_of(utterance.text for _, utterance in utterances)
    for folder, utterance in utterances:
        member = _find_audio(utterance.audio, folder, members, utterance.elsewhere)
        utterance.id = utterance.id or _id(utterance.audio, member)
        utterance.text = _transcript(utterance.text, written, language)
        complaint = _unlearnable(utterance.text, written)
        part = utterance.offset, utterance.seconds if utterance.offset is not None else None
        before = said.setdefault((_recording(member), *part), {}) if member else {}
        # Kaldi's split directories, a table in two forms; another format of the recording
        if utterance.text in before or before.keys() and member not in before.values():
            again += 1
            continue
        before[utterance.text] = member
        if utterance.name in seen:
            complaint = f"{utterance.name} comes a second time; only its first transcript counts"
        elif not member:
            complaint = f"the audio {utterance.audio} is missing"
        if complaint:
            skipped.append(f"{utterance.where}: {complaint}.")
        else:
            found.setdefault(member, []).append(utterance)
        seen.add(utterance.name)
    if again:
        skipped.append(
            f"{again} utterances come a second time, with the same transcript or in another format."
        )
    return found


# === Audio files ===


def _folded(name):
    """What names of one file share where case and the composition of letters do not matter."""
    return unicodedata.normalize("NFC", name).lower()


class _Inside:
    """The files of a folder or a tar."""

    def __init__(self, names, folder):
        self._names, self._alike = set(names), {_folded(name): name for name in reversed(names)}
        self._by_base = {}
        for name in names:
            if name.lower().endswith(audio.SUFFIXES):
                base = _folded(posixpath.basename(name))
                for one in {base, _stem(base)}:
                    self._by_base.setdefault(one, []).append(name)
        self._outside = _OnDisk(folder) if folder else None

    def find(self, name):
        """The file that is meant by a path, or None."""
        return name if name in self._names else self._alike.get(_folded(name))

    def only(self, name):
        """The audio of such a name in any folder, with or without a suffix, if there is but one; or None."""
        found = self._by_base.get(_folded(posixpath.basename(name)), ())
        return found[0] if len(found) == 1 else None

    def find_outside(self, name):
        """As an absolute path; None of tars, which mean nothing outside."""
        found = self._outside and self._outside.find(name)
        return found and os.path.abspath(self._outside.folder / found)


class _OnDisk:
    """All files, by their paths from a folder."""

    def __init__(self, folder):
        self.folder, self._listed = folder, {}

    def find(self, name):
        if os.path.isfile(self.folder / name):
            return name
        parent, base = posixpath.split(name)
        if parent not in self._listed:
            place = self.folder / parent
            names = []
            with contextlib.suppress(OSError, ValueError):  # there is no such folder, or it may not be read
                names = os.listdir(place)
            self._listed[parent] = {_folded(name): name for name in names}
        found = self._listed[parent].get(_folded(base))
        return found and posixpath.join(parent, found)

    find_outside = find

    def only(self, name):
        """None: not all folders of a disk are searched."""


_BESIDE = ("wavs", "clips")


def _find_audio(reference, folder, members, outside=False):
    """The file that a table in ``folder`` means by ``reference``, or None; ``outside``: perhaps elsewhere."""
    reference = posixpath.normpath(reference.replace("\\", "/"))
    parts = reference.split("/")
    if _is_outside(reference):
        tails = ["/".join(parts[i:]) for i in range(1, len(parts))]
        places = [reference, *(place for tail in tails for place in (tail, posixpath.join(folder, tail)))]
        places += [posixpath.join(folder, part, parts[-1]) for part in _BESIDE]
    else:
        places = [posixpath.join(folder, part, reference) for part in ("", *_BESIDE)]
        # Kaldi's paths are relative to the folder above that of all data.
        above = [folder.rsplit("/", n)[0] if folder.count("/") >= n else "" for n in (1, 2)]
        places += [posixpath.join(one, reference) for one in above]
        # A folder that is itself the first one of the path.
        places += ["/".join(parts[i:]) for i in range(1, len(parts) - 1)]
    candidates = [place + suffix for place in places for suffix in ("", *audio.SUFFIXES)]
    found = next(filter(None, map(members.find, candidates)), None)
    if not found and outside:
        moved = ["/".join(parts[i:]) for i in range(1, len(parts))] if _is_outside(reference) else [reference]
        above = [f"{up}{tail}" for tail in moved for up in ("../", "../../")]
        candidates = [reference, *above, os.path.abspath(reference)]
        found = next(filter(None, map(members.find_outside, candidates)), None)
    return found or members.only(reference)


def _is_outside(name):
    """Whether a path is absolute, perhaps of Windows."""
    return name.startswith("/") or re.match("[A-Za-z]:/", name) is not None


def _id(reference, member):
    """The name of an utterance: its audio's path as written, or as found where that was absolute."""
    reference = reference.replace("\\", "/")
    return _stem(member if member and _is_outside(reference) else reference).lstrip("./")


def _stem(reference):
    stem, suffix = posixpath.splitext(reference)
    return stem if suffix.lower() in audio.SUFFIXES else reference


def _recording(member):
    """What the paths of a recording in several formats share: ``wav/a.wav`` and ``mp3/a.mp3`` are ``a``."""
    parts = _stem(member).split("/")
    return "/".join(part for part in parts if f".{part.lower()}" not in audio.SUFFIXES)


# === Parquet with recordings in it ===


def _with_recordings(path, columns):
    """Such tables of a corpus: ``{name: (ParquetFile, {what: column})}``."""
    alone, names, found = _is_table(path), [], {}
    if not alone:
        list(files.open_members(path, names.append, []))  # reads none
    for name in [path.name] if alone else names:
        if not name.lower().endswith(".parquet"):
            continue
        place = path if alone else files.member_path(path, name)
        with contextlib.suppress(UserError):  # it is told when it is read as other tables are
            source = str(place) if place else next(files.open_members(path, {name}.__contains__))[1]
            table = ParquetFile(str(path) if alone else f"{path}: {name}", source)
            chosen = _chosen(table.schema, columns or {})
            if {"audio", "transcript"} <= chosen.keys():
                first = next(table.rows([chosen["audio"]], 1), {chosen["audio"]: None})
                if _bytes_of(first[chosen["audio"]]) is not None:
                    found[name] = table, chosen
    return found


def _chosen(schema, named):
    """The columns of Parquet that are wanted, ``{what: column}``; of ``audio``, one that may have bytes."""
    titles = dict.fromkeys(COLUMNS, schema.names)
    titles["audio"] = [field.name if "binary" in str(field.type) else "" for field in schema]
    wanted = COLUMNS | {what: (name,) for what, name in named.items()}
    places = {what: column(titles[what], *names) for what, names in wanted.items()}
    return {what: schema.names[at] for what, at in places.items() if at is not None}


def _bytes_of(value):
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else None


def _read_parquet(table, columns, skipped, rate, written):
    """As ``read_utterances``, of the rows of a table; ``columns`` are ``{what: column}``."""
    stem, names = posixpath.splitext(posixpath.basename(table.name))[0], set()
    for number, row in enumerate(table.rows(list(columns.values()), _ROWS), 1):
        row, where = {what: row[name] for what, name in columns.items()}, f"{table.name}, row {number}"
        data, text = _bytes_of(row["audio"]), _alone(str(row["transcript"] or ""), written)
        try:
            complaint = _unlearnable(text, written) if data else "there is no audio in it"
            samples = np.zeros(0) if complaint else audio.read_audio(data, where, rate)
        except UserError as error:
            skipped.append(str(error))
            continue
        if complaint:
            skipped.append(f"{where}: {complaint}.")
            continue
        given = row["audio"].get("path") if isinstance(row["audio"], dict) else None
        one = _Utterance(where, "", text, speaker=str(row.get("speaker") or ""))
        one.id = _stem(posixpath.basename((given or "").replace("\\", "/")))
        if not one.id or one.name in names:
            one.id = f"{stem}-{number:06d}"
        names.add(one.name)
        yield one.name, samples, text


# === Layouts ===


def _parse_tables(tables, titles, skipped, others, columns, is_audio):
    """Iterate over ``(table, utterances)`` of those of ``{name: bytes}`` that are transcripts.

    ``titles`` is what to call them in sentences; to ``others``, those on the rest are appended;
    ``is_audio(reference, folder)`` tells whether a table in a folder means a recording by a reference.
    """
    common_voice = {}
    for name in sorted(tables):
        folder, base = posixpath.split(name)
        title, data = titles[name], tables[name]
        if base in _KALDI:
            if base == _KALDI[0]:
                there = {part: posixpath.join(folder, part) for part in _KALDI}
                there = {part: (titles[n], tables[n]) for part, n in there.items() if n in tables}
                yield name, _parse_kaldi(there, skipped)
        elif base.endswith(_LIBRISPEECH):
            yield name, _parse_librispeech(title, data, skipped)
        else:
            complaints = []
            try:
                names_audio = functools.partial(is_audio, folder=folder)
                found, of_common_voice = _parse_table(title, data, complaints, columns, names_audio)
            except UserError as error:
                others.append(str(error))
                continue
            if of_common_voice:
                common_voice.setdefault(folder, {})[base] = (name, found, complaints)
            else:
                skipped += complaints
                yield name, found
    for by_name in common_voice.values():
        wanted = by_name.keys() & {"validated.tsv"} or by_name.keys() & _SPLITS or by_name.keys()
        for name, found, complaints in (by_name[name] for name in sorted(wanted)):
            skipped += complaints
            yield name, found


def _parse_table(title, data, skipped, columns, is_audio):
    """The utterances of a table, and whether it is Common Voice's; UserError where it has no transcripts."""
    table = open_table(title, skipped, data)
    of_common_voice = {"path", "sentence"} <= set(table.columns)
    found = []
    try:
        if table.columns:
            table.find(COLUMNS, _OPTIONAL, columns)
        rows = table.pick(COLUMNS, (*_OPTIONAL, "transcript"), columns, ["transcript"], _LITERAL)
    except UserError:
        headless = table.delimiter == "|" or (table.delimiter and is_audio(table.columns[0].strip()))
        if columns or not headless:
            raise
        table.headless()  # as LJSpeech's, whose third column has the transcript with its numbers spelled out
        rows = table.pick({"audio": 0, "transcript": 1, "spelled": 2}, ["spelled"], literal=_LITERAL)
    try:
        for where, _, row in rows:
            try:
                seconds, offset = (_number(row.get(what)) for what in ("seconds", "offset"))
            except ValueError as error:
                skipped.append(f"{where} cannot be read ({error}).")
                continue
            text = row.get("spelled") or row.get("transcript", "")
            speaker = row.get("speaker", "").strip()
            found.append(
                _Utterance(where, row["audio"].strip(), text, speaker=speaker, seconds=seconds, offset=offset)
            )
    except UserError as error:  # too many of its lines are not UTF-8
        skipped.append(str(error))
        found = []
    return found, of_common_voice


def _lines(title, data, skipped):
    """Iterate over ``(where, first word, rest)`` of lines of which each begins with a name."""
    check = Utf8Check(title)
    for number, line in enumerate(stream_lines(title, data), 1):
        complaint = check.complaint(line, number)
        if complaint:
            skipped.append(complaint)
        elif line.strip():
            name, *rest = line.split(None, 1)
            yield f"{title}, line {number}", name, rest[0].strip() if rest else ""


def _parse_librispeech(title, data, skipped):
    for where, name, text in _lines(title, data, skipped):
        yield _Utterance(where, name, text, id=name, speaker=name.partition("-")[0])


def _parse_kaldi(there, skipped):
    """The utterances of a folder: ``there`` has the title and bytes of each of its files."""
    rows = {part: list(_lines(*file, skipped)) for part, file in there.items()}
    texts = {name: text for _, name, text in rows.get("text", ())}
    speakers = {name: speaker for _, name, speaker in rows.get("utt2spk", ())}
    recordings, packed = {}, {}
    for where, name, audio_file in rows["wav.scp"]:
        if _ARK.fullmatch(audio_file):
            packed[name] = where, audio_file
            continue
        if audio_file.endswith("|"):
            command, audio_file = audio_file, _decoded(audio_file)
            if audio_file is None:
                skipped.append(f"{where}: {command!r} is a command, which is not run; give a file's path.")
                continue
        recordings[name] = where, audio_file
    if packed:
        (name, (where, audio_file)), *others = packed.items()
        more = f", as do {len(others)} others" if others else ""
        skipped.append(
            f"{where}: {audio_file} lies in an archive of Kaldi's{more}; it is not read, copy each out of "
            f"it: wav-copy {audio_file} {name}.wav."
        )
    parts = [(where, name, *rest.split()) for where, name, rest in rows.get("segments", ())]
    for place, name, *part in parts or [(where, name, name) for name, (where, _) in recordings.items()]:
        recording, *times = part
        if recording in packed:
            continue
        if recording not in recordings:
            skipped.append(f"{place}: there is no recording {recording} in wav.scp.")
            continue
        where, audio_file = recordings[recording]
        try:
            first, last = map(_number, times[:2]) if parts else (None, None)
        except ValueError as error:
            skipped.append(f"{place} cannot be read ({error}).")
            continue
        if name not in texts:
            skipped.append(f"{where}: {name} has no transcript in the file text.")
            continue
        seconds = last - first if parts else None
        speaker = speakers.get(name, "")
        yield _Utterance(where, audio_file, texts[name], name, speaker, seconds, first, elsewhere=True)


_ARK = re.compile(r".+\.ark(:\d+)?(\[.*\])?")


def _decoded(command):
    """The audio file of a command that does nothing but decode it, or None."""
    try:
        program, *words = shlex.split(command.removesuffix("|"))
    except ValueError:
        return None
    named = [word for word in words if word.lower().endswith(audio.SUFFIXES)]
    options = _DECODING.get(posixpath.basename(program))
    plain = options is not None and options.fullmatch(" ".join(w for w in words if w not in named))
    return named[0] if plain and len(named) == 1 else None


# By program, options that change nothing but form, rate and number of channels, which are ours in any case.
_DECODING = {
    "cat": re.compile(""),
    "flac": re.compile(r"(-[cds]+|--(decode|silent|stdout|totally-silent)| )*"),
    "sox": re.compile(r"(-[rcbtLBSGV]+\d? ?[\w.]*|-e \S+|-t \w+| )* -|-t \w+ -|-"),
    "ffmpeg": re.compile(
        r"(-(y|nostdin|hide_banner|vn)|-i|-(loglevel|v|f|ar|ac|acodec|c:a|codec:a|sample_fmt) \S+| )*"
        r"(-|pipe:1|pipe:)"
    ),
}


# A list's line: the name of audio, perhaps with blanks before a tab or a bar, and what is said.
_LISTED = re.compile(r"\s*(?:([^\t|]+?)[ ]*([\t|])|(\S+)([ ]+))\s*(\S.*)")


def _lists(texts, titles, skipped, is_audio):
    """Iterate over ``(list, utterance)`` of text files whose first lines mostly begin with names of audio.

    ``texts`` are ``(name, bytes)``, ``titles`` is what to call them in sentences.
    """
    for name, data in texts:
        title, folder = titles[name], posixpath.dirname(name)
        try:
            lines = list(stream_lines(title, data))
        except UserError:  # no text
            continue
        few = [match for match in map(_LISTED.fullmatch, lines[:10]) if match]
        if not few or 2 * sum(is_audio(m[1] or m[3], folder) for m in few) <= len(lines[:10]):
            continue
        check = Utf8Check(title)
        for number, line in enumerate(lines, 1):
            match, where = _LISTED.fullmatch(line), f"{title}, line {number}"
            complaint = check.complaint(line, number)
            if line.strip() and not match and not complaint:
                complaint = f"{where} has no transcript."
            if complaint:
                skipped.append(complaint)
            elif match:
                *more, text = match[5].split("|") if match[2] == "|" else [match[5]]
                speaker = more[0].strip() if more else ""  # as VITS has it
                yield name, _Utterance(where, match[1] or match[3], text, speaker=speaker)


_SAMPLES = re.compile(r"^0 \d{4,} ")  # TIMIT's transcripts begin with those of the recording
_TRANSCRIPT = re.compile(r"(.+?)(\.normalized\.txt|\.txt|\.lab)", re.IGNORECASE | re.DOTALL)


def _pairs(path, names, skipped):
    """Recordings with their transcripts in text files of the same name, beside them or elsewhere."""
    texts, alone = {}, {}
    for name in sorted(names):  # so that LibriTTS's NAME.normalized.txt comes before NAME.original.txt
        match = _TRANSCRIPT.fullmatch(name)
        if match:
            texts.setdefault(_folded(match[1]), name)
            alone.setdefault(_folded(posixpath.basename(match[1])), []).append(name)
    wanted = {}
    recordings = [name for name in names if name.lower().endswith(audio.SUFFIXES)]
    recordings.sort(key=lambda name: (audio.SUFFIXES.index(posixpath.splitext(name)[1].lower()), name))
    for name in recordings:
        stem = _folded(_stem(name))
        elsewhere = alone.get(re.sub(r"_mic\d$", "", posixpath.basename(stem)), ())  # as VCTK has them
        text = texts.get(stem) or (elsewhere[0] if len(elsewhere) == 1 else None)
        if text:
            wanted.setdefault(text, []).append(name)
    if len(wanted) > 0:
        paired = {name for those in wanted.values() for name in those}
        skipped += [f"{path}: {name} has no transcript." for name in recordings if name not in paired]
    for name, data in files.open_members(path, wanted.__contains__):
        try:
            text = decode_text(data, f"{path}: {name}")
        except UserError as error:
            skipped.append(str(error))
            continue
        text = _SAMPLES.sub("", text)
        for recording in wanted[name]:
            yield _Utterance(f"{path}: {name}", recording, text)


def _number(value):
    """Seconds, None where they are not given."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{value!r} is no time in seconds")
    return number


# === Prepared corpora ===


class Speech(Samples):
    """Some utterances of one or more prepared corpora.

    Attributes:
        names: ``CORPUS/SPEAKER/ID`` of every utterance, or ``CORPUS/ID`` where no speaker is known; the
            corpus is named as its file without suffixes.
        texts: their transcripts.
        lengths: int array ``[utterances]``, samples.
        rate: samples a second.
        skipped: sentences on utterances that could not be used.

    ``dataset`` gives ``audio`` int16 ``[samples]`` and ``text``.
    """

    noun = "utterance"
    version = 5
    suffixes = audio.SUFFIXES
    named = None  # columns that a person named
    rate = audio.RATE  # `load_speech` makes a class for each other one, and
    written = False  # one for transcripts as they are written

    def __init__(self, sources: Sequence[Prepared], chosen: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(sources, chosen)
        self.lengths = self._numbers(2)

    @classmethod
    def local(cls, path: str | os.PathLike | FileList) -> SpeechCorpus:
        return SpeechCorpus(path, cls.rate, cls.named, cls.written)

    @classmethod
    def uniform(cls, builder: Any) -> Callable:
        what = "speech and its text"
        sound = feature_of(builder, tfds.features.Audio, ["speech", "audio"], what)
        text = feature_of(
            builder, tfds.features.Text, ["text", "transcript", "transcription", "sentence"], what
        )
        rate = builder.info.features[sound].sample_rate
        if not rate:
            raise UserError(
                f"tfds:{builder.name} does not say how many samples a second it has; name another."
            )

        def convert(sample):
            given = [sample[sound], rate, cls.rate]
            samples = tf.numpy_function(_public_audio, given, tf.int16, stateful=False)
            found = {
                "audio": tf.ensure_shape(samples, (None,)),
                "text": mapped_text(functools.partial(_alone, written=cls.written), sample[text]),
            }
            name = [_as_text(sample[key]) for key in ("speaker_id", "id") if key in sample]
            if "id" not in sample:
                name.append("")
            return found | {"name": tf.strings.join(name, "/")}

        return convert

    @staticmethod
    def measures(sample: dict[str, Any]) -> list[int]:
        return [len(sample["audio"])]

    @classmethod
    def complaint(cls, name: str, text: str, count: int) -> str | None:
        reason = _unlearnable(text, cls.written) or _too_short(count / cls.rate)
        return reason and f"{name}: {reason}."

    @classmethod
    def depends_on(cls, path: str | os.PathLike | FileList) -> list[str]:
        # A table tells nothing of the audio it names, nor a folder of that outside.
        alone, beside = _is_table(path), []
        named = []
        if alone or (_is_folder(path) and any(path.rglob(_KALDI[0]))):
            found = sorted(_find_utterances(path, [], cls.named))
            named = [name for name in found if alone or _is_outside(name)]
        if alone and path.name in _KALDI:
            beside = [path.parent / name for name in _KALDI if (path.parent / name).is_file()]
        audio_files = [path.parent / name for name in named]
        how = [str(cls.rate), "written"] if cls.written else [str(cls.rate)]
        return [*how, *(f"{file}:{stamp(file)}" for file in (*audio_files, *beside))]

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[str]]]:
        """Iterate over ``(recordings, texts)``, lists of up to ``size`` float32 ``[samples]`` and str."""
        for batch in self._batches(size):
            recordings = [sample["audio"].astype(np.float32) / 32768 for sample in batch]
            yield recordings, [sample["text"].decode() for sample in batch]


def _public_audio(samples, own_rate, rate):
    """Audio of a public set, floats or 16-bit integers of any type; empty if it cannot be used."""
    if samples.dtype.kind in "iu":
        samples = samples.astype(np.int16)
    try:
        return pcm16(audio.read_audio((samples, int(own_rate)), rate=int(rate)))
    except UserError:
        return np.zeros(0, np.int16)


def _as_text(value):
    return value if value.dtype == tf.string else tf.strings.as_string(value)


def load_speech(
    corpora: Any, only: str | None = None, progress: bool = False, rate: int = audio.RATE,
    columns: dict[str, str] | None = None, written: bool = False,
) -> Speech:  # fmt: skip
    """Prepare corpora (the first time) and give their utterances as ``Speech``.

    Args:
        corpora: a list of folders, tars, tables and ``tfds:`` names, or one of these.
        only: a regular expression; utterances are kept whose ``CORPUS/SPEAKER/ID`` it matches somewhere.
        progress: show progress bars.
        rate: samples a second, to which recordings are resampled.
        columns: ``{"audio": name, ...}`` of tables, where they are not among ``COLUMNS``.
        written: give transcripts as they are written, with upper case, marks and numbers.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no utterance that can be used.
    """
    kind = Speech
    if rate != audio.RATE or written:  # prepared public corpora are known by the class's name
        name = f"Speech_{rate}{'_written' if written else ''}"
        kind = type(name, (Speech,), {"rate": rate, "written": written})
    return with_columns(kind, check_named(columns, COLUMNS)).load(corpora, only, progress)
