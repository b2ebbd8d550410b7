"""Corpora of transcribed speech, prepared once as tensorflow-datasets.

A corpus is a folder or a tar in one of these layouts, known by their content, in any subfolder:

- ``transcripts.tsv`` (any ``*.tsv``) with a header that names ``id`` and ``transcript``, and ``speaker`` and
  ``seconds`` if known; the audio is ``ID.ogg|wav|flac|mp3|opus|aiff`` beside it;
- LJSpeech: ``metadata.csv`` of ``ID|transcript|normalised transcript``, audio in ``wavs/``;
- LibriSpeech: ``*.trans.txt`` of ``SPEAKER-CHAPTER-NUMBER TRANSCRIPT``, audio beside it;
- Common Voice: ``validated.tsv``, without one ``train.tsv``, ``dev.tsv`` and ``test.tsv``, without these any
  ``*.tsv`` with the columns ``client_id``, ``path`` and ``sentence``; audio in ``clips/``;
- DeepSpeech: ``*.csv`` with the columns ``wav_filename`` and ``transcript``;
- NeMo manifests: ``*.json`` or ``*.jsonl``, on each line an object with ``audio_filepath`` and ``text``, and
  ``duration``, ``speaker`` and, for a part of a longer recording, ``offset`` if need be.

Audio paths are relative to their table; absolute ones are found again when the corpus has moved. One such
table, given as a file, is a corpus as well: it may name audio anywhere. So is ``tfds:NAME[/CONFIG][:SPLIT]``,
any public set that has an audio and a text feature. ``PATH@3`` shows a small corpus three times an epoch.
"""

import dataclasses
import functools
import json
import math
import os
import posixpath
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo import files
from zoo.audio import files as audio
from zoo.data.samples import LocalCorpus, Samples, feature_of, mapped_text, stamp
from zoo.errors import UserError
from zoo.formats.tables import read_table
from zoo.text.files import split_lines
from zoo.text.normalise import has_digits, normalise_transcript

_TABLES = (".tsv", ".csv", ".json", ".jsonl", ".trans.txt")
_SPLITS = {"train.tsv", "dev.tsv", "test.tsv"}
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


class SpeechCorpus(LocalCorpus):
    """tensorflow-datasets builder of one local corpus: ``audio``, ``text`` and ``name`` of each utterance.

    Args:
        path: the folder, tar or table.
        rate: samples a second of ``audio``, mono.
        data_dir: where the prepared shards go.
    """

    description = "Utterances, mono, with their transcripts."
    features = {
        "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
        "text": tfds.features.Text(),
        "name": tfds.features.Text(),
    }

    def __init__(self, path, rate, **kwargs):
        self.rate = rate
        super().__init__(path, **kwargs)

    def samples(self):
        for name, samples, text in read_utterances(self.path, self.skipped, self.rate):
            yield {"audio": pcm16(samples), "text": text, "name": name}

    def unusable(self, reason):
        return UserError(
            f"{self.path}: no utterance in it could be used ({reason}); give transcripts.tsv with the "
            "columns id and transcript, and ID.wav or ID.ogg beside it."
        )


def pcm16(samples):
    """float32 in -1..1 as int16; louder samples are clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def read_utterances(path, skipped, rate=audio.RATE):
    """Iterate over the utterances of a folder, a tar or a table.

    Args:
        path: the corpus.
        skipped: a list; a sentence is appended for each utterance that cannot be used.
        rate: samples a second of what is given.

    Yields:
        ``(name, samples, text)``: ``SPEAKER/ID``, or ``ID`` where no speaker is known; float32 ``[samples]``;
        the normalised transcript.
    """
    utterances = _find_utterances(path, skipped)
    if _is_table(path):
        recordings = ((name, path.parent / name) for name in sorted(utterances))
    else:
        recordings = files.open_members(path, utterances.__contains__)
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
                skipped.append(f"{path}: {utterance.where}: {member} {complaint}.")
            else:
                yield utterance.name, part, utterance.text


def _too_short(length, seconds=None):
    """Why ``length`` seconds are no utterance, ``seconds`` long as its table says; None if they may be."""
    if length < audio.SHORTEST:
        return f"has {length:.2f} seconds, too short; give at least {audio.SHORTEST} seconds"
    if seconds and length < 0.9 * seconds - audio.SHORTEST:
        return f"has {length:.1f} of its {seconds:.1f} seconds; copy it again"
    return None


def _unlearnable(text):
    """Why a normalised transcript cannot be learned; None if it can."""
    if not text:
        return "the transcript is empty"
    if has_digits(text):
        return f"the transcript has digits ({text[:60]!r}); spell them out"
    return None


# === Tables ===


@dataclasses.dataclass
class _Utterance:
    """What a line of a table says.

    ``where`` is the table and the line, ``audio`` a path as written there. Without ``id``, that path is one.
    """

    audio: str
    text: str
    id: str = ""
    speaker: str = ""
    seconds: float | None = None
    offset: float | None = None
    where: str = ""

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
    return path.name.endswith(_TABLES) and path.is_file()


def _find_utterances(path, skipped):
    """The utterances whose transcript can be used and whose audio exists: ``{audio file: [_Utterance]}``."""
    if _is_table(path):
        tables = {path.name: path.read_bytes()}

        def exists(name):
            return os.path.isfile(path.parent / name)
    else:
        names = set()

        def is_table(name):
            names.add(name)
            return name.endswith(_TABLES)

        tables = dict(files.open_members(path, is_table))
        exists = names.__contains__

    found, seen = {}, set()
    for table, utterances, complaints in _parse_tables(tables):
        skipped += [f"{path}: {complaint}" for complaint in complaints]
        for utterance in utterances:
            member = _find_audio(utterance.audio, posixpath.dirname(table), exists)
            utterance.id = utterance.id or _stem(member or utterance.audio).lstrip("./")
            utterance.text = normalise_transcript(utterance.text)
            complaint = _unlearnable(utterance.text)
            if utterance.name in seen:
                complaint = f"{utterance.name} comes a second time; only its first transcript counts"
            elif not member:
                complaint = f"the audio {utterance.audio} is missing"
            if complaint:
                skipped.append(f"{path}: {utterance.where}: {complaint}.")
            else:
                found.setdefault(member, []).append(utterance)
            seen.add(utterance.name)
    return found


def _find_audio(reference, folder, exists):
    """The file that a table in ``folder`` means by ``reference``, or None."""
    reference = posixpath.normpath(reference.replace("\\", "/"))
    places = [posixpath.join(folder, part, reference) for part in ("", "wavs", "clips")]
    if reference.startswith("/"):
        parts = reference.split("/")[1:]
        tails = ["/".join(parts[i:]) for i in range(len(parts))]
        places = [reference, *(place for tail in tails for place in (tail, posixpath.join(folder, tail)))]
    for place in places:
        for suffix in ("", *audio.SUFFIXES):
            if exists(place + suffix):
                return place + suffix
    return None


def _stem(reference):
    stem, suffix = posixpath.splitext(reference.replace("\\", "/"))
    return stem if suffix.lower() in audio.SUFFIXES else reference


def _parse_tables(tables):
    """Iterate over ``(table, utterances, complaints)`` of those of ``{name: bytes}`` that are transcripts."""
    common_voice = {}
    for table in sorted(tables):
        layout = _layout(table, tables[table].decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
        if layout is None:
            continue
        utterances, complaints = [], []
        for line, row in layout.rows:
            where = f"{table}, line {line}"
            if _NOT_UTF8.search("".join(row)):
                complaints.append(f"{where} is not UTF-8; save the table as UTF-8.")
                continue
            try:
                utterances.append(layout.parse(row))
            except (ValueError, RecursionError) as error:
                complaints.append(f"{where} cannot be read ({error}).")
            else:
                utterances[-1].where = where
        if layout.common_voice:
            folder, name = posixpath.split(table)
            common_voice.setdefault(folder, {})[name] = (table, utterances, complaints)
        else:
            yield table, utterances, complaints
    for by_name in common_voice.values():
        wanted = by_name.keys() & {"validated.tsv"} or by_name.keys() & _SPLITS or by_name.keys()
        yield from (by_name[name] for name in sorted(wanted))


@dataclasses.dataclass
class _Layout:
    """A table: its rows with their lines, lists of str or the lines as they are, and how to read one."""

    parse: object
    rows: object
    common_voice: bool = False


def _layout(table, text):
    """The layout of a table, or None if it holds no transcripts."""
    lines = [(number, line) for number, line in enumerate(split_lines(text), 1) if line.strip()]
    if not lines:
        return None
    if table.endswith(".trans.txt"):
        return _Layout(_parse_librispeech, lines)
    if table.endswith((".json", ".jsonl")):
        return _Layout(_parse_nemo, lines) if '"audio_filepath"' in text else None
    if table.endswith(".csv") and "|" in lines[0][1]:
        return _Layout(_parse_ljspeech, lines)
    try:
        header, rows = read_table(text, table, tabs=table.endswith(".tsv"))
    except UserError:  # not even its first line is one of a table
        return None
    columns = [column.strip() for column in header]
    for fields in _HEADERS:
        if {fields["audio"], fields["text"]} <= set(columns):
            parse = functools.partial(_parse_columns, columns, fields)
            return _Layout(parse, rows, common_voice=fields is _COMMON_VOICE)
    return None


_TRANSCRIPTS = {"audio": "id", "id": "id", "text": "transcript", "speaker": "speaker", "seconds": "seconds"}
_COMMON_VOICE = {"audio": "path", "id": "path", "text": "sentence", "speaker": "client_id"}
_DEEP_SPEECH = {"audio": "wav_filename", "text": "transcript"}
_HEADERS = (_TRANSCRIPTS, _COMMON_VOICE, _DEEP_SPEECH)


def _parse_columns(columns, fields, values):
    if len(values) != len(columns):
        raise ValueError(f"{len(values)} columns under a header of {len(columns)}")
    row = dict(zip(columns, values, strict=True))
    found = {field: row[column].strip() for field, column in fields.items() if column in row}
    if not found["audio"]:
        raise ValueError("it names no audio")
    found["seconds"] = _number(found.get("seconds") or None)
    if "id" in found:
        found["id"] = _stem(found["id"])
    return _Utterance(**found)


def _parse_ljspeech(line):
    name, *texts = line.split("|")
    if not name.strip() or not texts:
        raise ValueError("it is not ID|transcript")
    text = texts[1] if len(texts) > 1 and texts[1].strip() else texts[0]
    return _Utterance(name.strip(), text, id=_stem(name.strip()))


def _parse_librispeech(line):
    name, _, text = line.strip().partition(" ")
    return _Utterance(name, text, id=name, speaker=name.partition("-")[0])


def _parse_nemo(line):
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON, {error.msg}") from error
    if not isinstance(row, dict) or not row.get("audio_filepath"):
        raise ValueError("it has no audio_filepath")
    return _Utterance(
        str(row["audio_filepath"]),
        str(row.get("text") or ""),
        speaker=str(row.get("speaker") or ""),
        seconds=_number(row.get("duration")),
        offset=_number(row.get("offset")),
    )


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
        texts: their normalised transcripts (see ``zoo.text.normalise``).
        lengths: int array ``[utterances]``, samples.
        rate: samples a second.
        skipped: sentences on utterances that could not be used.

    ``dataset`` gives ``audio`` int16 ``[samples]`` and ``text``.
    """

    noun = "utterance"
    version = 2
    rate = audio.RATE  # `load_speech` makes a class for each other one

    def __init__(self, sources, chosen=None):
        super().__init__(sources, chosen)
        self.lengths = np.array([row[2] for row in self._rows], int)

    @classmethod
    def builder(cls, path, **options):
        return SpeechCorpus(path, cls.rate, **options)

    @classmethod
    def uniform(cls, builder):
        if isinstance(builder, SpeechCorpus):
            return lambda sample: sample
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
                "text": mapped_text(normalise_transcript, sample[text]),
            }
            name = [_as_text(sample[key]) for key in ("speaker_id", "id") if key in sample]
            if "id" not in sample:
                name.append("")
            return found | {"name": tf.strings.join(name, "/")}

        return convert

    @staticmethod
    def measures(sample):
        return [len(sample["audio"])]

    @classmethod
    def complaint(cls, name, text, count):
        reason = _unlearnable(text) or _too_short(count / cls.rate)
        return reason and f"{name}: {reason}."

    @classmethod
    def depends_on(cls, path):
        # A table tells nothing of the audio it names.
        named = sorted(_find_utterances(path, [])) if _is_table(path) else []
        return [str(cls.rate), *(f"{name}:{stamp(path.parent / name)}" for name in named)]

    def chunks(self, size):
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


def load_speech(corpora, only=None, progress=False, rate=audio.RATE):
    """Prepare corpora (the first time) and give their utterances as ``Speech``.

    Args:
        corpora: a list of folders, tars, tables and ``tfds:`` names, or one of these.
        only: a regular expression; utterances are kept whose ``CORPUS/SPEAKER/ID`` it matches somewhere.
        progress: show progress bars.
        rate: samples a second, to which recordings are resampled.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no utterance that can be used.
    """
    # Prepared public corpora are known by the class's name.
    kind = Speech if rate == audio.RATE else type(f"Speech_{rate}", (Speech,), {"rate": rate})
    return kind.load(corpora, only, progress)


def load_corpus(corpora, config, only=None, progress=False):
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    return load_speech(corpora, only, progress, config["sampling_rate"])
