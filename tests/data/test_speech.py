import functools
import io
import json
import os
import shutil
import tarfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from zoo.data import prepared as corpora
from zoo.data import speech
from zoo.data.speech import load_speech
from zoo.errors import UserError

TEXTS = {
    "ann-1-0": "We call it bear.",
    "ann-1-1": "Don’t stop",
    "bob-2-0": "ONE, two; three!",
    "bob-2-1": "Weißenburg-Gunzenhausen",
}
HEARD = ["we call it bear", "don't stop", "one two three", "weißenburg gunzenhausen"]
SECONDS = [0.5, 0.75, 1.0, 1.25]


def write_audio(path, seconds=0.5, rate=16000, channels=1, level=0.5):
    """A tone whose frequency tells its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    tone = level * np.sin(2 * np.pi * 400 * seconds * time)
    container = "OGG" if path.suffix == ".opus" else None
    soundfile.write(path, np.repeat(tone[:, None], channels, 1), rate, format=container)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def clips(folder, suffix, **options):
    for name, seconds in zip(TEXTS, SECONDS, strict=True):
        write_audio(folder / f"{name}{suffix}", seconds, **options)


def transcripts(folder):
    clips(folder, ".wav")
    rows = [f"{name}\t{name[:3]}\t{s}\t{TEXTS[name]}" for name, s in zip(TEXTS, SECONDS, strict=True)]
    write(folder / "transcripts.tsv", "id\tspeaker\tseconds\ttranscript", *rows)


def transcripts_of_no_one(folder):
    clips(folder, ".flac", rate=8000, channels=2)
    write(folder / "transcripts.tsv", "id\ttranscript", *(f"{name}\t{text}" for name, text in TEXTS.items()))


def ljspeech(folder):
    clips(folder / "wavs", ".wav", rate=22050)
    write(folder / "metadata.csv", *(f"{name}|{text} 12|{text}" for name, text in TEXTS.items()))


def librispeech(folder):
    for name, text in TEXTS.items():
        place = folder / "dev-clean" / name[:3] / name[4]
        write_audio(place / f"{name}.flac", SECONDS[list(TEXTS).index(name)])
        with open(place / f"{name[:5]}.trans.txt", "a", encoding="utf-8") as file:
            file.write(f"{name} {text}\n")


def common_voice(folder):
    clips(folder / "clips", ".mp3", rate=48000)
    rows = [f"{name[:3]}\t{name}.mp3\t{text}\t2\t0" for name, text in TEXTS.items()]
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes"
    write(folder / "train.tsv", header, *rows[:2])
    write(folder / "dev.tsv", header, *rows[2:3])
    write(folder / "test.tsv", header, rows[3])
    write(folder / "other.tsv", header, "ann\tmissing.mp3\tnot validated\t1\t1")


def deep_speech(folder):
    clips(folder / "audio", ".wav")
    rows = [f'audio/{name}.wav,1234,"{text}"' for name, text in TEXTS.items()]
    rows[1] = rows[1].replace("audio/", "/data/elsewhere/audio/")  # made before the corpus was moved
    rows[2] = rows[2].replace("audio/", f"{folder}/audio/")
    write(folder / "train.csv", "wav_filename,wav_filesize,transcript", *rows[:3])
    write(folder / "dev.csv", "wav_filename,wav_filesize,transcript", *rows[3:])


def nemo(folder):
    clips(folder / "audio", ".opus")
    rows = [
        {"audio_filepath": f"audio/{name}.opus", "duration": s, "text": TEXTS[name], "speaker": name[:3]}
        for name, s in zip(TEXTS, SECONDS, strict=True)
    ]
    write(folder / "manifest.json", *map(json.dumps, rows))


def pairs(folder):
    clips(folder / "one", ".WAV")
    for name, text in TEXTS.items():
        write(folder / "one" / f"{name}.TXT", *text.rsplit(" ", 1))


def vctk(folder):
    for name, text in TEXTS.items():
        write(folder / "txt" / name[:3] / f"{name}.txt", text)
        write_audio(folder / "wav48" / name[:3] / f"{name}_mic1.flac", SECONDS[list(TEXTS).index(name)])
    write(folder / "README.txt", "about it")


def kaldi(folder):
    clips(folder / "audio", ".flac")
    place = folder / "data/train"
    lines = [f"{name} audio/{name}.flac" for name in TEXTS]
    lines[1] = f"ann-1-1 flac -c -d -s {folder}/audio/ann-1-1.flac |"
    write(place / "wav.scp", *lines)
    write(place / "text", *(f"{name} {text}" for name, text in TEXTS.items()))
    write(place / "utt2spk", *(f"{name} {name[:3]}" for name in TEXTS))


def audiofolder(folder):
    clips(folder / "train/data", ".mp3")
    rows = [f'data/{name}.mp3,"{text}"' for name, text in TEXTS.items()]
    write(folder / "train/metadata.csv", "file_name,transcription", *rows)


def audiofolder_lines(folder):
    clips(folder, ".wav")
    rows = [{"file_name": f"{name}.wav", "text": text} for name, text in TEXTS.items()]
    write(folder / "metadata.jsonl", *map(json.dumps, rows))


def semicolons(folder):
    clips(folder / "wavs", ".WAV")
    rows = [f'C:\\data\\{name}.wav;"{text.replace(" ", chr(10), 1)}"' for name, text in TEXTS.items()]
    rows[3] = rows[3].replace("C:\\data", r"\\server\wavs")
    write(folder / "list.csv", "\ufeffFile;Text", *rows)


SPEAKER, PLAIN, IN_AUDIO = "{0:.3}/{0}", "{0}", "audio/{0}"
LAYOUTS = [
    (transcripts, SPEAKER), (transcripts_of_no_one, PLAIN), (ljspeech, PLAIN), (librispeech, SPEAKER),
    (common_voice, SPEAKER), (deep_speech, IN_AUDIO), (nemo, "{0:.3}/audio/{0}"),
    (pairs, "one/{0}"), (vctk, "wav48/{0:.3}/{0}_mic1"), (kaldi, SPEAKER), (audiofolder, "data/{0}"),
    (audiofolder_lines, PLAIN), (semicolons, "wavs/{0}"),
]  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    transcripts(tmp_path / "talk")
    return tmp_path / "talk"


# === Layouts ===


@pytest.mark.slow
@pytest.mark.parametrize(("make", "pattern"), LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_layouts(make, pattern, packed, tmp_path):
    path = tmp_path / "corpus"
    make(path)
    if packed:
        with tarfile.open(tmp_path / "corpus.tar.gz", "w:gz") as tar:
            tar.add(path, ".")
        shutil.rmtree(path)
        path = tmp_path / "corpus.tar.gz"
    found = load_speech(path)
    assert found.skipped == [] and len(found) == 4
    by_name = dict(zip(found.names, zip(found.texts, found.lengths, strict=True), strict=True))
    for name, heard, seconds in zip(TEXTS, HEARD, SECONDS, strict=True):
        text, length = by_name[f"corpus/{pattern.format(name)}"]
        assert text == heard
        # MP3 comes with silence at its ends.
        silence = 2400 if make in (common_voice, audiofolder) else 1
        assert seconds * 16000 - 1 <= length <= seconds * 16000 + silence
    (recordings, texts), *rest = found.chunks(4)
    assert not rest and texts == found.texts and [len(r) for r in recordings] == list(found.lengths)
    for recording in recordings:
        spectrum = np.abs(np.fft.rfft(recording * np.hanning(len(recording)), 16000))
        expected = 400 * min(SECONDS, key=lambda s: abs(s * 16000 - len(recording)))
        assert recording.dtype == np.float32 and abs(np.argmax(spectrum) - expected) <= 2
        assert 0.4 < np.abs(recording[2000:6000]).max() < 0.6


def found_in(path, columns=None):
    """``{name of the utterance: (audio, text)}``, and what is skipped, without reading the audio."""
    skipped = []
    utterances = speech._find_utterances(path, skipped, columns)
    return {one.name: (member, one.text) for member, those in utterances.items() for one in those}, skipped


def test_the_language_of_a_corpus_says_what_i_is(tmp_path):
    for texts, heard in ((["ILIK", "Ağır kapı"], ["ılık", "ağır kapı"]), (["ILIK", "It"], ["ilik", "it"])):
        folder = tmp_path / heard[0]
        folder.mkdir()
        for name, text in zip("ab", texts, strict=True):
            write_audio(folder / f"{name}.wav")
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        found, _ = found_in(folder)
        assert sorted(text for _, text in found.values()) == sorted(heard)


@pytest.mark.parametrize(("make", "pattern"), LAYOUTS)
def test_layouts_without_reading_the_audio(make, pattern, tmp_path):
    make(tmp_path / "corpus")
    found, skipped = found_in(tmp_path / "corpus")
    assert {name: text for name, (_, text) in found.items()} == {
        pattern.format(name): text for name, text in zip(TEXTS, HEARD, strict=True)
    }
    assert skipped == []


def test_kaldi_may_name_audio_elsewhere_and_runs_nothing(tmp_path):
    clips(tmp_path / "audio", ".wav")
    place, made = tmp_path / "data/train", tmp_path / "made"
    lines = [f"ann-1-0 {tmp_path}/audio/ann-1-0.wav", "ann-1-1 audio/ann-1-1.wav", f"bob-2-0 touch {made} |"]
    write(place / "wav.scp", *lines, "bob-2-1 audio/none.wav")
    write(place / "text", *(f"{name} {text}" for name, text in TEXTS.items()))
    for path in (place, place / "wav.scp"):
        found, skipped = found_in(path)
        assert {name: text for name, (_, text) in found.items()} == {"ann-1-0": HEARD[0], "ann-1-1": HEARD[1]}
        assert len(skipped) == 2 and "is a command, which is not run" in skipped[0]
        assert skipped[1].endswith("line 4: the audio audio/none.wav is missing.")
    assert not made.exists()
    assert sorted(load_speech(place).lengths) == [8000, 12000]
    write_audio(tmp_path / "audio/ann-1-0.wav", 1)
    assert sorted(load_speech(place).lengths) == [12000, 16000]


def test_kaldi_segments(tmp_path):
    write_audio(tmp_path / "talk.wav", 5)
    write(tmp_path / "wav.scp", "talk talk.wav")
    write(tmp_path / "segments", "a talk 0 1.5", "b talk 2 3", "c other 0 1", "d talk x 1", "e talk 0 1")
    write(tmp_path / "text", "a one", "b two", "c three", "d four")
    found = load_speech(tmp_path)
    assert sorted(zip(found.texts, found.lengths, strict=True)) == [("one", 24000), ("two", 16000)]
    assert [s.partition(": ")[2] for s in found.skipped] == [
        "segments, line 3: there is no recording other in wav.scp.",
        "segments, line 4 cannot be read ('x' is no time in seconds).",
        "wav.scp, line 1: e has no transcript in the file text.",
    ]


def test_pairs_without_a_partner(tmp_path):
    for name in ("a", "b", "x/c"):
        write_audio(tmp_path / f"{name}.wav")
    write(tmp_path / "a.txt", "0 46797 One.")
    write(tmp_path / "x/a.txt", "another")
    write(tmp_path / "x/c.normalized.txt", "five")
    write(tmp_path / "x/c.original.txt", "5")
    (tmp_path / "b.lab").write_bytes(b"na\xefve")
    found, skipped = found_in(tmp_path)
    assert found == {"a": ("a.wav", "one"), "x/c": ("x/c.wav", "five")}
    assert len(skipped) == 1 and "b.lab: line 1 is not UTF-8" in skipped[0]


def test_one_bad_line_ends_nothing_and_columns_are_named(tmp_path):
    clips(tmp_path, ".wav")
    lines = ["ann-1-0.wav,I.,fine", 'ann-1-1.wav,II.,"so" so', "bob-2-0.wav", "bob-2-1.wav,IV.,two, three"]
    write(tmp_path / "list.csv", "take,number,said", *lines)
    with pytest.raises(UserError, match="list.csv: there is no column audio; its .*--columns audio=NAME"):
        load_speech(tmp_path)
    found, skipped = found_in(tmp_path, {"audio": "take", "transcript": "said"})
    assert sorted(text for _, text in found.values()) == ["fine", "two three"] and len(skipped) == 2
    assert len(load_speech(tmp_path, columns={"audio": "take", "transcript": "said"})) == 2


@pytest.mark.parametrize(("name", "join"), [("line_index.tsv", "\t"), ("list.csv", ","), ("list.csv", ";")])
@pytest.mark.parametrize("suffix", ["", ".wav"])
def test_a_table_without_a_header(name, join, suffix, tmp_path):
    clips(tmp_path / "wavs", ".wav")
    write(tmp_path / name, *(f'{audio}{suffix}{join}"{text}"' for audio, text in TEXTS.items()))
    for path in (tmp_path, tmp_path / name):
        found, skipped = found_in(path)
        assert sorted(text for _, text in found.values()) == sorted(HEARD) and skipped == []


def test_a_table_with_names_of_other_folders(tmp_path):
    write_audio(tmp_path / "set/wavs/Größe.WAV".replace("ö", "o\u0308"))
    write(tmp_path / "set/list.csv", "file,text", "set/wavs/größe.wav,one")
    assert len(found_in(tmp_path / "set")[0]) == len(found_in(tmp_path / "set/list.csv")[0]) == 1


def test_common_voice_prefers_what_is_validated(tmp_path):
    common_voice(tmp_path / "cv")
    header, row = (tmp_path / "cv" / "test.tsv").read_text(encoding="utf-8").splitlines()
    write(tmp_path / "cv" / "validated.tsv", header, row.replace(".mp3", ""))  # old ones leave out ".mp3"
    assert load_speech(tmp_path / "cv").texts == HEARD[3:]
    for table in set(os.listdir(tmp_path / "cv")) - {"other.tsv", "clips"}:
        (tmp_path / "cv" / table).unlink()
    with pytest.raises(UserError, match="missing.mp3 is missing"):
        load_speech(tmp_path / "cv")


@pytest.mark.parametrize(
    ("make", "table", "count"),
    [(transcripts, "transcripts.tsv", 4), (common_voice, "dev.tsv", 1), (deep_speech, "train.csv", 3),
     (nemo, "manifest.json", 4), (ljspeech, "metadata.csv", 4)],
)  # fmt: skip
def test_a_table_is_a_corpus(make, table, count, tmp_path):
    make(tmp_path / "corpus")
    found = load_speech(tmp_path / "corpus" / table)
    assert len(found) == count and found.skipped == []
    assert all(name.startswith(f"{table.partition('.')[0]}/") for name in found.names)


def test_a_table_may_name_audio_anywhere_and_notes_when_it_changes(tmp_path):
    write_audio(tmp_path / "audio" / "a.wav", 0.5)
    write_audio(tmp_path / "audio" / "b.wav", 0.6)
    table = tmp_path / "lists" / "all.csv"
    absolute = tmp_path / "audio" / "b.wav"
    write(table, "wav_filename,wav_filesize,transcript", "../audio/a.wav,1,one", f"{absolute},1,two")
    assert sorted(load_speech(table).lengths) == [8000, 9600]
    write_audio(absolute, 0.7)
    assert sorted(load_speech(table).lengths) == [8000, 11200]


def test_a_folder_never_reads_outside(tmp_path):
    write_audio(tmp_path / "outside.wav")
    folder = tmp_path / "inside"
    lines = ["../outside.wav,1,one", f"{tmp_path}/outside.wav,1,two"]
    write(folder / "all.csv", "wav_filename,wav_filesize,transcript", *lines)
    with pytest.raises(UserError, match="missing"):
        load_speech(folder)


def test_parts_of_a_long_recording(tmp_path):
    write_audio(tmp_path / "nemo" / "talk.wav", 10)
    parts = [("one", 0, 1.5), ("two", 1.5, 2), ("three", 9, 1), ("four", 9.95, 1), ("five", 9.5, 5)]
    rows = [{"audio_filepath": "talk.wav", "text": t, "offset": o, "duration": d} for t, o, d in parts]
    write(tmp_path / "nemo" / "all.jsonl", *map(json.dumps, rows))
    found = load_speech(tmp_path / "nemo")
    assert dict(zip(found.names, found.lengths, strict=True)) == {
        "nemo/talk": 24000, "nemo/talk-1.50": 32000, "nemo/talk-9.00": 16000,
    }  # fmt: skip
    assert len(found.skipped) == 2
    assert "0.05 seconds, too short" in found.skipped[0] and "0.5 of its 5.0 seconds" in found.skipped[1]


def test_recordings_come_at_the_rate_that_is_asked_for(corpus):
    usual, half = load_speech(corpus), load_speech(corpus, rate=8000)
    assert (usual.rate, half.rate) == (16000, 8000) and half.names == usual.names
    assert half.lengths.tolist() == (usual.lengths // 2).tolist()
    for found in (usual, half):
        for sample, length in zip(found.dataset().as_numpy_iterator(), found.lengths, strict=True):
            peak = np.abs(np.fft.rfft(sample["audio"].astype(float))).argmax() * found.rate / length
            assert abs(peak - 400 * length / found.rate) < 2  # the tone tells the length in seconds


def test_quotes_of_tables(tmp_path):
    """pandas encloses what has quotes; Common Voice's tables have quotes as they were."""
    write_audio(tmp_path / "talk/clips/a.wav")
    write_audio(tmp_path / "talk/clips/b.wav")
    rows = ['a.wav\t"We go', 'b.wav\t"He says ""don\'t"" to me"']
    write(tmp_path / "talk/validated.tsv", "path\tsentence", *rows)
    write(tmp_path / "more/all.csv", "wav_filename,transcript", '../talk/clips/a.wav,"one,\ntwo ""three"""')
    found = load_speech([tmp_path / "talk", tmp_path / "more/all.csv"])
    assert sorted(found.texts) == ["he says don't to me", "one two three", "we go"]
    write(tmp_path / "bad.csv", "wav_filename,transcript", 'talk/clips/a.wav,"one')
    with pytest.raises(UserError, match="bad.csv: .*line 2 cannot be read"):
        load_speech(tmp_path / "bad.csv")


# === What cannot be used ===


def test_what_cannot_be_used_is_listed_and_the_rest_read(tmp_path):
    folder = tmp_path / "mixed"
    for name in ("good", "blank", "digits", "binary", "twice", "few", "half", "signs"):
        write_audio(folder / f"{name}.wav")
    write_audio(folder / "short.wav", 0.05)
    write_audio(folder / "quiet.wav", level=0)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no audio at all")
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:5000])
    nan = np.full(16000, np.nan, "float32")
    soundfile.write(folder / "nan.wav", nan, 16000, subtype="FLOAT")
    names = ["good", "quiet", "short", "empty", "text", "cut", "nan", "missing", "half"]
    rows = [f"{name}\t{9 if name == 'half' else 0.5}\tsome words" for name in names]
    rows += [
        "blank\t0.5\t ",
        "signs\t0.5\t…!",
        "digits\t0.5\troom 7",
        "twice\t0.5\tonce",
        "twice\t0.5\tagain",
        "few",
    ]
    rows += ["soon\tsoon\twords"]
    (folder / "transcripts.tsv").write_bytes(
        "\n".join(["id\tseconds\ttranscript", *rows]).encode() + b"\nbinary\t0.5\t\xff\xfe\r\n\r\n"
    )
    found = load_speech(folder)
    assert sorted(found.names) == ["mixed/good", "mixed/quiet", "mixed/twice"]
    assert found.texts[found.names.index("mixed/twice")] == "once"
    reasons = {
        "short.wav": "too short", "empty.wav": "is empty", "text.wav": "not a readable audio file",
        "cut.wav": "truncated", "nan.wav": "not numbers", "the audio missing": "is missing",
        "half.wav": "0.5 of its 9.0 seconds", "line 11": "transcript is empty",
        "line 12": "transcript is empty",
        "line 13": "digits ('room 7'); spell them out", "twice comes": "a second time",
        "line 16": "1 column, the header 3", "line 17": "'soon' is no time", "line 18": "not UTF-8",
    }  # fmt: skip
    assert len(found.skipped) == len(reasons), "\n".join(found.skipped)
    for place, reason in reasons.items():
        assert any(place in sentence and reason in sentence for sentence in found.skipped), (
            place,
            found.skipped,
        )
    for sentence in found.skipped:
        assert sentence.startswith(f"{folder}: ") and sentence[-1] in ".?" and "\n" not in sentence


def test_bad_lines_of_a_manifest(tmp_path):
    write_audio(tmp_path / "nemo" / "a.wav")
    good = json.dumps({"audio_filepath": "a.wav", "text": "one"})
    bad = ["{", "[1]", '{"text": "no audio"}', '{"audio_filepath": "a.wav", "text": "x", "offset": -1}',
           '{"audio_filepath": "a.wav", "text": "x", "duration": [1]}', "[" * 100_000]  # fmt: skip
    write(tmp_path / "nemo" / "all.json", *bad, "", good)
    write(tmp_path / "nemo" / "settings.json", '{"unrelated": true}')
    found = load_speech(tmp_path / "nemo")
    assert found.texts == ["one"]
    assert sorted(int(s.partition("line ")[2].split()[0]) for s in found.skipped) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "it is empty"),
        ({"a.wav": b"RIFF"}, "there are no transcripts in it, but a.wav"),
        ({"a.wav": b"RIFF", "a.TXT": b"one"}, "a.wav: not a readable audio file"),
        ({"wav.scp": b"a a.wav\n", "a.wav": b"RIFF"}, "a has no transcript in the file text"),
        ({"transcripts.tsv": b"id\ttranscript\n"}, "it is empty"),
        ({"transcripts.tsv": b"id\ttranscript\na\twords\n"}, "line 2: the audio a is missing"),
        ({"transcripts.tsv": b"id\ttranscript\na\twords\n", "a.wav": b"text"}, "a.wav: not a readable audio"),
        (
            {"words.tsv": b"name\tsize\na\t1\n", "x.csv": b"\0\n", "y.csv": b""},
            "words.tsv: there is no column audio; its columns are 'name, size'",
        ),
    ],
)
def test_unusable_corpora(content, reason, tmp_path, zoo_home):
    prepared = set((zoo_home / "corpora").rglob("*"))
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    with pytest.raises(UserError, match="corpus: no utterance.*transcripts.tsv") as caught:
        load_speech(folder)
    assert reason in str(caught.value)
    assert set((zoo_home / "corpora").rglob("*")) == prepared, "half-prepared files left"


def test_missing_and_damaged_corpora(tmp_path):
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\x00trash")
    write_audio(tmp_path / "one.wav")
    for name, reason in {
        "none": "no such file",
        "cut.tar.gz": "damaged",
        "one.wav": "there are no transcripts in it, but one.wav",
    }.items():
        with pytest.raises(UserError, match=reason):
            load_speech(tmp_path / name)


# === Other places of recordings ===


def parquet(path, rows):
    """A table of ``[(bytes or None, path, text, speaker)]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [
        {"path": name, "audio": {"bytes": data, "path": name}, "sentence": text, "speaker_id": speaker}
        for data, name, text, speaker in rows
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), path)


def test_parquet_with_recordings_in_it(tmp_path):
    write_audio(tmp_path / "a.wav", 0.5)
    data = (tmp_path / "a.wav").read_bytes()
    rows = [(data, "a.wav", "We call it bear.", 7), (data, "a.wav", "Twice", 7), (b"RIFF", "b.wav", "Bad", 8)]
    rows += [(None, "c.wav", "No sound", 8), (data, None, None, 8)]
    parquet(tmp_path / "set/data/train-0.parquet", rows)
    for given in (tmp_path / "set", tmp_path / "set/data/train-0.parquet"):
        skipped = []
        found = {name: (len(heard), text) for name, heard, text in speech.read_utterances(given, skipped)}
        assert found == {"7/a": (8000, "we call it bear"), "7/train-0-000002": (8000, "twice")}
        assert [one.partition("row ")[2][:20] for one in skipped] == [
            "3: not a readable au", "4: there is no audio", "5: the transcript is",
        ]  # fmt: skip
    assert load_speech(tmp_path / "set").texts == ["we call it bear", "twice"]


def test_tables_with_objects_that_name_audio(tmp_path):
    write_audio(tmp_path / "set/a.wav")
    parquet(tmp_path / "set/a.parquet", [(None, "a.wav", "We call it bear.", 7)])
    assert found_in(tmp_path / "set") == ({"7/a": ("a.wav", "we call it bear")}, [])
    (tmp_path / "set/a.parquet").unlink()
    row = {"audio": {"path": "a.wav", "bytes": None}, "text": "We call it bear."}
    write(tmp_path / "set/a.jsonl", json.dumps(row))
    assert found_in(tmp_path / "set") == ({"a": ("a.wav", "we call it bear")}, [])


def test_a_recording_in_several_formats_is_read_once(tmp_path):
    for end in ("mp3", "flac", "wav"):  # as in the tests of coqui's TTS
        write_audio(tmp_path / f"tables/wavs/a.{end}")
        write(tmp_path / f"tables/metadata_{end}.csv", f"wavs/a.{end}|We call it bear.|We call it bear.")
        write_audio(tmp_path / f"pairs/{end}/a.{end}")
    write(tmp_path / "tables/metadata.csv", "a|We call it bear.|We call it bear.")
    write(tmp_path / "pairs/txt/a.txt", "We call it bear.")
    for kind, member in (("tables", "wavs/a.wav"), ("pairs", "wav/a.wav")):
        found, skipped = found_in(tmp_path / kind)
        assert [place for place, _ in found.values()] == [member]
        assert "utterances come a second time" in skipped[0]


def test_a_pattern_of_recordings(tmp_path):
    for name, text in (("a", "We call it bear."), ("b", "Nobody is ready.")):
        write_audio(tmp_path / f"set/{name}.wav")
        write(tmp_path / f"set/{name}.txt", text)
    found = load_speech(str(tmp_path / "set/*.wav"))
    assert sorted(found.names) == ["set/a", "set/b"]
    assert load_speech(tmp_path / "set/a.wav").texts == ["we call it bear"]


def test_archives_of_kaldi_are_told(tmp_path):
    write(tmp_path / "set/wav.scp", "u1 raw/x.ark:0", "u2 raw/x.ark:4096", "u3 raw/x.ark:8192")
    write(tmp_path / "set/text", "u1 one", "u2 two", "u3 three")
    sentence = "line 1: raw/x.ark:0 lies .* as do 2 others; .* wav-copy raw/x.ark:0 u1.wav"
    with pytest.raises(UserError, match=sentence):
        load_speech(tmp_path / "set")


# === The same for all kinds of corpora ===


def test_selection_and_repeats(corpus):
    found = load_speech([f"{corpus}@3"], only="/bob/")
    assert sorted(found.texts) == sorted(HEARD[2:])
    assert found.shown() == 6 and sum(1 for _ in found.dataset(repeat=True)) == 6
    assert len(found.dataset(repeat=False).as_numpy_iterator().next()["audio"]) == found.lengths[0]
    assert len(found.sample(1)) == 1
    assert [len(part) for part, _ in found.chunks(1)] == [1, 1]
    with pytest.raises(UserError, match="matches no utterance"):
        load_speech(corpus, only="/eve/")


def test_the_order_is_fixed_and_the_audio_exact(corpus):
    found, again = load_speech(corpus), load_speech(corpus)
    assert found.names == again.names
    for one, other, name in zip(found.dataset(), again.dataset(), found.names, strict=True):
        assert set(one) == {"audio", "text"} and one["audio"].dtype == "int16"
        np.testing.assert_array_equal(one["audio"], other["audio"])
        samples, _ = soundfile.read(corpus / f"{name.rpartition('/')[2]}.wav", dtype="int16")
        np.testing.assert_array_equal(one["audio"], samples)


def test_prepared_once_until_it_changes(corpus, monkeypatch):
    load_speech(corpus)
    with monkeypatch.context() as patch:
        patch.setattr(speech, "read_utterances", lambda *_: pytest.fail("read again"))
        assert len(load_speech(corpus)) == 4
    with open(corpus / "transcripts.tsv", "a", encoding="utf-8") as file:
        file.write("ann-1-0\tcid\t0.5\tagain\n")
    assert "talk/cid/ann-1-0" in load_speech(corpus).names


def test_louder_than_full_scale_is_clipped_not_wrapped():
    np.testing.assert_array_equal(
        speech.pcm16(np.array([-1.5, -1, 0, 0.99999, 2])), [-32768, -32768, 0, 32767, 32767]
    )


def test_lines_and_speech_of_one_folder_are_kept_apart(corpus, line_folder):
    shutil.copytree(line_folder, corpus, dirs_exist_ok=True)
    from zoo.families.line_ocr.corpus import load_lines

    assert len(load_speech(corpus)) == 4 and len(load_lines(corpus)) == 20


@pytest.mark.slow
def test_a_public_set_by_name(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    class ToySpeech(tfds.core.GeneratorBasedBuilder):
        """A set such as LibriSpeech's, at another rate."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            sound = tfds.features.Audio(sample_rate=8000)
            text = tfds.features.Text()
            features = {"id": text, "speech": sound, "text": text, "speaker_id": np.int64}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0, 6), "test": self._generate_examples(6, 8)}

        def _generate_examples(self, first, last):
            texts = ["ONE", "TWO'S", "3", "", "FIVE", "SIX", "SEVEN", "8"]
            for i in range(first, last):
                count = 100 if i == 4 else 8000 + 800 * i
                tone = np.sin(np.arange(count) * 2 * np.pi * 1000 / 8000)
                yield (
                    i,
                    {
                        "id": f"u{i}",
                        "speech": (tone * 16000).astype(int),
                        "text": texts[i],
                        "speaker_id": 7 * i,
                    },
                )

    class ToyMute(ToySpeech):
        """A set without a rate."""

        def _info(self):
            features = {"speech": tfds.features.Audio(), "text": tfds.features.Text()}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": iter([(0, {"speech": np.zeros(8000, int), "text": "one"})])}

    monkeypatch.setattr(corpora.tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    train = load_speech("tfds:toy_speech")
    found = dict(zip(train.names, zip(train.texts, train.lengths, strict=True), strict=True))
    assert found == {
        "toy_speech/0/u0": ("one", 16000), "toy_speech/7/u1": ("two's", 17600),
        "toy_speech/35/u5": ("six", 24000),
    }  # fmt: skip
    assert len(train.skipped) == 3 and sum("digits ('3')" in sentence for sentence in train.skipped) == 1
    for recordings, texts in train.chunks(1):
        assert texts[0] in train.texts and np.argmax(np.abs(np.fft.rfft(recordings[0][:16000]))) == 1000
        assert np.abs(recordings[0]).max() == pytest.approx(16000 / 32768, abs=0.02)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "_Index", lambda *_: pytest.fail("read again"))
        assert load_speech("tfds:toy_speech").names == train.names
    assert load_speech("tfds:toy_speech:test").texts == ["seven"]
    with pytest.raises(UserError, match="toy_mute does not say"):
        load_speech("tfds:toy_mute")
    with pytest.raises(UserError, match="tfds:no_such_set"):
        load_speech("tfds:no_such_set")


def test_a_tar_is_not_read_whole_for_its_tables(corpus, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "talk.tar", "w") as tar:
        tar.add(corpus, "talk")
        huge = tarfile.TarInfo("talk/unlisted.wav")
        huge.size = 1000
        tar.addfile(huge, io.BytesIO(bytes(1000)))
    read = []
    from zoo import files

    real = files._read_member
    monkeypatch.setattr(files, "_read_member", lambda p, t, m: read.append(m.name) or real(p, t, m))
    assert len(load_speech(tmp_path / "talk.tar")) == 4
    assert sorted(read) == [
        "talk/" + name for name in sorted([f"{n}.wav" for n in TEXTS] + ["transcripts.tsv"])
    ]


@pytest.mark.parametrize("line", ["{}.wav|0|{}", "wav/{}.wav\t{}", "{} {}"])
def test_lists_of_audio_in_any_folder(line, tmp_path):
    for i in range(3):
        write_audio(tmp_path / f"c/wav/{i}.wav")
    texts = ["we call it bear", "nobody is ready", "a fine day"]
    write(tmp_path / "c/train.txt", *(line.format(i, text) for i, text in enumerate(texts)))
    assert sorted(load_speech(tmp_path / "c").texts) == sorted(texts)
    if "wav/" not in line:  # alone, it knows what lies beside it
        shutil.copytree(tmp_path / "c/wav", tmp_path / "c", dirs_exist_ok=True)
    assert sorted(load_speech(tmp_path / "c/train.txt").texts) == sorted(texts)
    write(tmp_path / "c/labels.txt", "ham\tGo on.")
    with pytest.raises(UserError, match=r"labels.txt: no utterance .*\(there is no column audio"):
        load_speech(tmp_path / "c/labels.txt")


def test_what_is_listed_in_two_tables_counts_once(tmp_path):
    write_audio(tmp_path / "c/wavs/a.wav")
    write(tmp_path / "c/a.csv", "a|we call it bear|we call it bear")
    write(tmp_path / "c/b.csv", "audio_file,text,speaker", "wavs/a.wav,we call it bear,ann")
    found = load_speech(tmp_path / "c")
    assert found.texts == ["we call it bear"] and "1 utterances come a second time" in found.skipped[0]


def test_commands_that_only_decode(tmp_path):
    for command in ("sox {} -r 16000 -t wav - |", "ffmpeg -i {} -f wav -ar 16000 - |", "flac -c -d -s {} |"):
        assert speech._decoded(command.format("a.flac")) == "a.flac"
    for command in ("sox {} -t wav - trim 0 5 |", "ffmpeg -ss 3 -i {} -f wav - |", "rm {} |"):
        assert speech._decoded(command.format("a.flac")) is None
