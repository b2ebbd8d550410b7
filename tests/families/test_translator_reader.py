"""The reader of translations: on an engine that says a sentence backwards, and on a small exported model."""

import gzip
import io
import json
import math
import re
import sys
import threading

import numpy as np
import pytest
import sacrebleu
from conftest import WORDS
from helpers import zoo_on_base
from PIL import Image

from export import runtime
from zoo import cli
from zoo.cli import common
from zoo.contract.reader import Reader
from zoo.errors import UserError
from zoo.families.translator import plot as alignment
from zoo.families.translator import reader as translation
from zoo.families.translator.reader import LIMIT, TranslationReader, _split, evaluate_translator
from zoo.text.subwords import Subwords

CONFIG = {"source": "en", "target": "sdrawkcab", "context": "attention", "reverse_source": True}
CONFIG |= {"beam_width": 3, "length_penalty": 0.5}


@pytest.fixture(scope="module")
def vocabulary():
    sentences = [" ".join(WORDS[i:] + WORDS[:i]) + "." for i in range(len(WORDS))]
    return Subwords.learn([*sentences, "one, two, three: so it is! is it?"] * 3, 350)


class Engine:
    """Says every sentence backwards, ever less of it in each hypothesis; the score tells ``max_length``.

    The attention of a subword is all on the one that it says, as the encoder has read it.
    """

    def __init__(self, config=CONFIG, beams=math.inf):
        self.config, self.beams = config, beams  # hypotheses that there are
        self.calls, self.threads = [], set()

    def __call__(self, inputs):
        self.calls.append(inputs)
        self.threads.add(threading.get_ident())
        source, lengths = inputs["source"], inputs["source_lengths"]
        batch, longest = source.shape
        width, time = inputs["beam_width"].item(), inputs["max_length"].item()
        assert (
            source.dtype
            == lengths.dtype
            == inputs["beam_width"].dtype
            == inputs["max_length"].dtype
            == np.int32
        )
        assert inputs["length_penalty"].dtype == np.float32 and lengths.max() == longest
        tokens = np.full((batch, width, time), Subwords.PAD, np.int32)
        counts, scores = np.zeros((batch, width), np.int32), np.full((batch, width), -np.inf, np.float32)
        attention = np.zeros((batch, time, longest), np.float32)
        for i, length in enumerate(lengths.tolist()):
            rows = source[i, :length].tolist()
            assert rows[-1] == Subwords.END and Subwords.END not in rows[:-1]
            assert (source[i, length:] == Subwords.PAD).all()
            for rank in range(int(min(width, self.beams))):
                said = [*rows[: -1 - rank][::-1], Subwords.END][:time]
                tokens[i, rank, : len(said)] = said
                counts[i, rank] = len(said) - (said[-1] == Subwords.END)
                scores[i, rank] = -time - rank
            for j in range(length):
                seen = length - 1 if j == length - 1 else length - 2 - j
                attention[i, j, length - 1 - seen if self.config["reverse_source"] else seen] = 1
        served = {"tokens": tokens, "token_lengths": counts, "scores": scores}
        return served | ({"attention": attention} if self.config["context"] == "attention" else {})


@pytest.fixture
def make_reader(vocabulary):
    def make(beams=math.inf, threads=2, **config):
        config = CONFIG | config
        return TranslationReader(Engine(config, beams), config, vocabulary, threads=threads)

    return make


def backwards(vocabulary, sentence):
    return vocabulary.decode(vocabulary.encode(sentence)[::-1])


def sentences(count, longest=40, seed=0):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, longest))) for _ in range(count)]


# === Reading ===


def test_order_and_batches(make_reader, vocabulary, monkeypatch):
    monkeypatch.setattr(translation, "WINDOW", 90)
    reader, lines = make_reader(), sentences(200)
    assert reader(lines) == [backwards(vocabulary, line) for line in lines]
    calls = reader.run.calls
    assert len(calls) < 40 and sum(len(call["source"]) for call in calls) == 200
    assert max(len(call["source"]) * 3 for call in calls) <= translation.BEAMS
    for call in calls:
        lengths = call["source_lengths"] - 1
        (size,) = {translation._max_length([0] * n) for n in lengths}
        assert call["max_length"] == size and 2 * lengths.max() <= size


@pytest.mark.parametrize(
    "length, size", [(1, 32), (16, 32), (17, 64), (32, 64), (33, 128), (LIMIT, 2 * LIMIT)]
)
def test_the_greatest_length_goes_by_the_sentence(length, size):
    assert translation._max_length([5] * length) == size


def test_alone_is_as_in_a_batch(make_reader):
    reader, lines = make_reader(), sentences(40)
    together = reader(lines, details=True, n_best=2)
    for line, found in zip(lines, together, strict=True):
        (alone,) = reader(line, details=True, n_best=2)
        assert alone == found and np.array_equal(alone.attention, found.attention)


def test_few_sentences_are_spread_over_all_threads(make_reader):
    reader = make_reader(threads=3)
    reader(["a dog"] * 9)
    assert [len(call["source"]) for call in reader.run.calls] == [3, 3, 3]
    reader([])
    assert len(reader.run.calls) == 3


def test_wide_beams_make_small_batches(make_reader):
    reader = make_reader(threads=1)
    reader(["a dog"] * 50, beam_width=16)
    assert {len(call["source"]) for call in reader.run.calls} == {10}
    reader(["a dog"], beam_width=1000)
    assert len(reader.run.calls[-1]["source"]) == 1


def test_empty_sentences_cost_nothing(make_reader):
    reader = make_reader()
    assert reader(["", " \t\x07", "\u2003"]) == [""] * 3 and not reader.run.calls
    (found,) = reader([""], details=True, n_best=2)
    assert (found.text, found.score, found.hypotheses) == ("", 0.0, [("", 0.0)])
    assert (found.source, found.target, found.attention) == ([], [], None)
    assert reader(["", "quick", ""])[1] and len(reader.run.calls) == 1


def test_what_no_piece_fits_is_not_lost(make_reader, vocabulary):
    line = "☃ 日本語 مرحبا \u202eabc"
    (found,) = make_reader()([line], details=True)
    assert vocabulary.decode(vocabulary.encode(line)) == line
    assert len(found.target) == len(vocabulary.encode(line)) + 1


def test_a_translation_stays_one_line(vocabulary):
    """Bytes may spell a line's end."""

    def run(inputs):
        rows = [vocabulary._pieces.piece_to_id(piece) for piece in ("<0x61>", "<0x0A>", "<0x09>", "<0x62>")]
        tokens = np.array([[[*rows, Subwords.END]]], np.int32)
        return {"tokens": tokens, "token_lengths": np.array([[4]]), "scores": np.array([[-1.0]])}

    assert TranslationReader(run, CONFIG | {"beam_width": 1}, vocabulary)("x") == ["a b"]


def test_results_come_before_the_last_input(make_reader, monkeypatch):
    monkeypatch.setattr(translation, "WINDOW", 4)

    def lines():
        yield from ["a dog"] * 4
        raise AssertionError("asked for more")

    found = make_reader().stream(lines())
    assert [next(found).text for _ in range(4)]
    with pytest.raises(AssertionError, match="asked for more"):
        next(found)


def test_progress_counts_sentences(make_reader, monkeypatch, capsys):
    reader = make_reader()
    monkeypatch.setattr("tqdm.tqdm", lambda **settings: Bar(settings))
    reader(["a dog", "", "the " * 300], progress=True)
    assert Bar.made.settings["disable"] is False and (Bar.made.total, Bar.made.n) == (3, 3)
    reader(["a dog"])
    assert Bar.made.settings["disable"] is True and capsys.readouterr().err == ""


class Bar:
    made = None

    def __init__(self, settings):
        self.settings, self.total, self.n = settings, settings["total"], 0
        Bar.made = self

    def update(self, count):
        self.n += count

    def clear(self):
        pass

    refresh = __enter__ = __exit__ = lambda self, *error: self


# === Long lines ===


def test_a_long_line_comes_in_pieces(make_reader, vocabulary):
    line = " ".join(sentences(500, 20)).replace("dog", "dog.")
    count = len(vocabulary.encode(line))
    assert count > 5000
    reader = make_reader()
    (found,) = reader([line], details=True, n_best=2)
    lengths = np.concatenate([call["source_lengths"] - 1 for call in reader.run.calls])
    assert lengths.sum() == count and lengths.max() <= LIMIT
    assert len(found.source) == count + len(lengths) and found.attention is None
    pieces = reader._pieces(0, line)
    assert sum(pieces, []) == vocabulary.encode(line)
    assert found.text == " ".join(vocabulary.decode(rows[::-1]) for rows in pieces)
    assert found.hypotheses[0] == (found.text, found.score) and len(found.hypotheses) == 2
    assert reader([line, "a dog"])[0] == found.text == reader(line)[0]


def test_pieces_end_where_sentences_do():
    def cut(*parts):
        pieces = [piece for part in parts for piece in part.split("|")]
        found = _split(list(range(len(pieces))), pieces)
        assert [row for rows in found for row in rows] == list(range(len(pieces)))
        return [len(rows) for rows in found]

    assert cut("▁w|" * 49 + "▁end|.", *["▁w|" * 59 + "▁w,"], *["▁w"] * 60) == [51, 120]  # a sentence
    assert cut(*["▁w"] * 50, "▁w|,", *["▁w"] * 99) == [52, 99]  # a clause
    assert cut(*["▁w|x|x"] * 60) == [126, 54]  # a word
    assert cut(*["x"] * 300) == [LIMIT, LIMIT, 300 - 2 * LIMIT]  # whatever there is
    assert cut(*["x"] * (LIMIT - 2), *["<0xE8>|<0xAA>|<0x9E>"] * 3) == [LIMIT - 2, 9]  # but whole characters
    assert cut(*["語"] * 99, "。", *["語"] * 99) == [100, 99]


# === What a search can be ===


def test_hypotheses(make_reader, vocabulary):
    reader = make_reader()
    (found,) = reader(["quick brown fox"], details=True, n_best=3)
    rows = vocabulary.encode("quick brown fox")
    texts = [vocabulary.decode(rows[: len(rows) - rank][::-1]) for rank in range(3)]
    assert found.hypotheses == list(zip(texts, (-32, -33, -34), strict=True))
    assert (found.text, found.score) == found.hypotheses[0]
    confidence = round(math.exp(-32 / len(found.target)), 4)
    assert found.to_json() == {"text": found.text, "score": -32.0, "confidence": confidence}
    assert found.source == [*vocabulary.pieces(rows), "</s>"]
    assert found.target == [*vocabulary.pieces(rows[::-1]), "</s>"]
    assert len(reader(["quick"], details=True)[0].hypotheses) == 1
    (few,) = make_reader(beams=2)(["quick brown fox"], details=True, n_best=3)
    assert len(few.hypotheses) == 2


def test_width_and_penalty(make_reader):
    reader = make_reader()
    given = [{}, {"n_best": 2}, {"n_best": 7}, {"beam_width": 9, "n_best": 2, "length_penalty": 0}]
    for search in given:
        reader("quick", **search)
    used = [(call["beam_width"].item(), call["length_penalty"].item()) for call in reader.run.calls]
    assert used == [(3, 0.5), (3, 0.5), (7, 0.5), (9, 0)]


@pytest.mark.parametrize(
    "search, problem",
    [
        ({"n_best": 4, "beam_width": 3}, "4 translations.*beam width of 3"),
        ({"n_best": 0}, "1 or more"),
        ({"beam_width": 0}, "1 or more"),
        ({"length_penalty": -0.1}, "0 or more, not -0.1"),
        ({"length_penalty": math.nan}, "0 or more, not nan"),
    ],
)
def test_searches_that_cannot_be(make_reader, search, problem):
    with pytest.raises(UserError, match=problem):
        make_reader().stream(["a dog"], **search)


def test_bad_utf8_raises_or_takes_its_place(make_reader):
    lines = ["quick", b"caf\xc3\xa9 na\xefve".decode("utf-8", "surrogateescape"), "fox", "\ud800"]
    reader = make_reader()
    with pytest.raises(UserError, match="^line 2, byte 9: this is not UTF-8; convert the text to UTF-8$"):
        reader(lines)
    first, second, third, fourth = reader(lines, errors="return")
    assert first and third and isinstance(second, UserError) and "line 4, byte 1" in str(fourth)


# === Attention ===


@pytest.mark.parametrize("reverse", [True, False])
def test_attention_is_in_the_order_of_the_source(make_reader, reverse):
    lines = ["the quick brown fox", "dog"]
    for found in make_reader(threads=1, reverse_source=reverse)(lines, details=True):
        assert found.attention.shape == (len(found.target), len(found.source))
        seen = [found.source[i] for i in found.attention.argmax(1)]
        assert (
            seen == found.target
            and found.source[0] == found.target[-2]
            and found.attention.sum() == len(seen)
        )


def test_attention_only_where_it_is_wanted(make_reader):
    reader = make_reader()
    assert next(reader.stream(["a dog"])).attention is None
    assert next(reader.stream(["a dog"], attention=True)).attention is not None
    assert make_reader(context="initial_state")(["a dog"], details=True)[0].attention is None


@pytest.mark.parametrize(
    "line, wide", [("quick brown fox", (300, 900)), ("$5 costs $x_1$ שלום 語", (500, 1800))]
)
def test_picture(make_reader, tmp_path, line, wide, recwarn):
    make_reader().picture(line, tmp_path / "looked.png", beam_width=2)
    pixels = np.asarray(Image.open(tmp_path / "looked.png").convert("RGB"))
    assert wide[0] < pixels.shape[1] < wide[1] and 300 < pixels.shape[0] < 1800
    assert (pixels == (8, 48, 107)).all(-1).any()  # the darkest blue: all attention
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_picture_shows_words_at_both_sides():
    figure = alignment.draw("en → de", ["▁a", "▁", "$", "</s>"], ["▁Ei", "n", ".", "</s>"], np.eye(4))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "␣", "$", "</s>"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Ei", "·n", ".", "</s>"]
    assert np.array_equal(axes.images[0].get_array(), np.eye(4))


def test_picture_of_a_long_line_is_its_first_piece(make_reader, tmp_path, monkeypatch):
    monkeypatch.setattr(translation, "LIMIT", 8)
    make_reader().picture("quick brown fox " * 300, tmp_path / "looked.png")
    assert max(Image.open(tmp_path / "looked.png").size) < 1000


def test_pictures_that_cannot_be(make_reader, tmp_path):
    with pytest.raises(UserError, match="no attention.*leave out --plot"):
        make_reader(context="every_step").picture("a dog", tmp_path / "x.png")
    with pytest.raises(UserError, match="empty sentence"):
        make_reader().picture("  ", tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


# === Figures ===


class Corpus:
    """Pairs of sentences."""

    skipped = ["x, line 3 is empty in de."]

    def __init__(self, sources, texts):
        self.sources, self.texts = sources, texts

    def __len__(self):
        return len(self.texts)

    def chunks(self, size):
        for at in range(0, len(self), 2):
            yield self.sources[at : at + 2], self.texts[at : at + 2]


def test_bleu_by_hand():
    """4 of 5 words, 3 of 4 pairs, 2 of 3, 1 of 2 are right: the fourth root of 1/5."""
    report = evaluate_translator(
        lambda lines: ["a b c d e"] * len(lines), Corpus(["x"], ["a b c d f"])
    )
    assert report["bleu"] == pytest.approx(100 * 0.2**0.25)
    assert report["length_ratio"] == 1.0 and report["sentences"] == 1 and report["skipped"] == Corpus.skipped


def test_figures_are_those_of_sacrebleu():
    references = ["Ein Hund läuft, oder nicht?", "Zwei Männer reden.", "Das ist der Fluss, den ich meine."]
    found = ["Ein Hund läuft oder nicht?", "zwei Männer reden.", "Das ist ein Fluss, den ich meine!"]
    answers = dict(zip("xyz", found, strict=True))
    report = evaluate_translator(
        lambda lines: [answers[x] for x in lines], Corpus([*"xyz"], references)
    )
    assert report["bleu"] == sacrebleu.corpus_bleu(found, [references]).score
    assert report["chrf"] == sacrebleu.corpus_chrf(found, [references]).score
    assert re.fullmatch(
        r"nrefs:1\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:[\d.]+", report["signature"]
    )
    assert report["seconds"] > 0 and report["sentences_per_second"] == 3 / report["seconds"]


def test_report(make_reader, vocabulary):
    lines = sentences(5)
    corpus = Corpus(lines, [backwards(vocabulary, line) for line in lines])
    reader = make_reader()
    report = reader.evaluate(corpus, beam_width=4)
    assert (report["bleu"], report["chrf"]) == pytest.approx((100, 100))
    assert (report["beam_width"], report["length_penalty"]) == (4, 0.5)
    assert {call["beam_width"].item() for call in reader.run.calls} == {4}
    rows = dict(reader.rows(report))
    assert list(rows) == "sentences search bleu chrf confidence skipped speed signature".split()
    assert (rows["bleu"], rows["search"], rows["skipped"]) == (
        "100.0",
        "beam width 4, length penalty 0.5",
        "1",
    )


# === Model files and the command ===


@pytest.fixture(scope="module")
def translator(vocabulary):
    import keras

    from zoo.families.translator.network import Translator, TranslatorConfig

    keras.utils.set_random_seed(5)
    return Translator(TranslatorConfig(units=12, embedding=8, beam_width=2, target="en-x"), vocabulary)


@pytest.fixture(scope="module")
def model(translator, tmp_path_factory):
    from export import to_onnx

    path = tmp_path_factory.mktemp("onnx") / "translator.onnx"
    to_onnx(translator, path)
    return str(path)


LINES = ["the quick brown fox", "", "jumps over", "a lazy dog while five boxing wizards dine at dawn"]


@pytest.fixture(scope="module")
def texts(model):
    return runtime.load(model)(LINES)


@pytest.mark.slow
def test_an_exported_model_is_the_task(model, translator, texts):
    reader = runtime.load(model, threads=2)
    assert isinstance(reader, TranslationReader) and isinstance(reader, Reader)
    assert reader.threads == 2 and reader.metadata["task"] == "translator"
    assert texts == translator.predict(LINES) == [reader(line)[0] for line in LINES]
    (found,), (same,) = (each(LINES[0], details=True, n_best=2) for each in (reader, translator.reader))
    assert found.hypotheses[1][0] == same.hypotheses[1][0] and found.score == pytest.approx(
        same.score, abs=1e-3
    )
    np.testing.assert_allclose(found.attention, same.attention, atol=1e-5)
    np.testing.assert_allclose(found.attention.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("damage", [{"vocabulary": "%%"}, {"vocabulary": "anVuaw=="}, {"config": "x"}])
def test_damaged_metadata(model, damage, tmp_path):
    import onnx

    graph = onnx.load(model)
    for entry in graph.metadata_props:
        entry.value = damage.get(entry.key.removeprefix("seqzoo."), entry.value)
    onnx.save(graph, tmp_path / "damaged.onnx")
    with pytest.raises(runtime.ReaderError, match="damaged.onnx: its metadata is damaged"):
        runtime.load(tmp_path / "damaged.onnx")


def test_predict_on_the_base_install(model, texts):
    run = zoo_on_base("predict", model, "-", input="\n".join(LINES))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "".join(f"{text}\n" for text in texts)


def test_plot_and_figures_say_so_on_the_base_install(model, tmp_path):
    run = zoo_on_base("predict", model, "-", "--plot", tmp_path / "x.png", input="a dog")
    assert run.returncode == 2 and "seqzoo[train]" in run.stderr and not list(tmp_path.iterdir())
    run = zoo_on_base("evaluate", model, "--data", "x")
    assert run.returncode == 2 and "seqzoo[train]" in run.stderr


@pytest.fixture
def stdin(monkeypatch):
    def put(text, isatty=False):
        stream = io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()))
        stream.isatty = lambda: isatty
        monkeypatch.setattr(sys, "stdin", stream)

    return put


def test_formats(model, texts, stdin, tmp_path, capsys):
    stdin("\ufeff" + "\r\n".join(LINES))
    assert cli.main(["predict", model, "-"]) == 0
    assert capsys.readouterr() == ("".join(f"{text}\n" for text in texts), "")
    file = tmp_path / "lines.txt.gz"
    file.write_bytes(gzip.compress("\n".join(LINES).replace(" ", "\t").encode()))
    assert cli.main(["predict", model, str(file), "--format", "tsv"]) == 0
    assert capsys.readouterr().out == "".join(f"{x}\t{y}\n" for x, y in zip(LINES, texts, strict=True))
    stdin("\n".join(LINES))
    assert cli.main(["predict", model, "-", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(item["input"], item["text"]) for item in found] == list(zip(LINES, texts, strict=True))
    assert set(found[0]) == {"input", "text", "score", "confidence"}
    assert found[0]["score"] < 0 == found[1]["score"]


def test_several_hypotheses(model, stdin, capsys):
    expected = runtime.load(model)(LINES[:2], details=True, n_best=3)
    shown = [f"{score:.4f}\t{text}" for text, score in expected[0].hypotheses]
    assert len(shown) == 3
    for form, lines in {
        "text": [*shown, "0.0000\t", "", ""],
        "tsv": [*(f"{LINES[0]}\t{line}" for line in shown), "\t0.0000\t"],
    }.items():
        stdin("\n".join([*LINES[:2], ""]))
        assert cli.main(["predict", model, "-", "--n-best", "3", "--format", form]) == 0
        assert capsys.readouterr().out.split("\n")[:-1] == lines
    stdin(LINES[0])
    assert cli.main(["predict", model, "-", "--n-best", "3", "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [item["text"] for item in found["hypotheses"]] == [text for text, _ in expected[0].hypotheses]
    assert set(found["hypotheses"][0]) == {"text", "score"}


def test_bad_lines_stop_nothing(model, texts, stdin, tmp_path, capsys):
    stdin(b"\n".join([LINES[0].encode(), b"na\xefve", LINES[2].encode()]))
    assert cli.main(["predict", model, "-"]) == 3
    out, err = capsys.readouterr()
    assert out.split("\n") == [texts[0], "", texts[2], ""]  # line by line as it came in
    assert err == "zoo: standard input, line 2, byte 3: this is not UTF-8; convert the text to UTF-8\n"
    (tmp_path / "good.txt").write_text(LINES[0])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a dog\n" * 999)[:-12])
    files = [str(tmp_path / name) for name in ("gone.txt", "cut.gz", "good.txt")]
    assert cli.main(["predict", model, *files, "--format", "json"]) == 3
    out, err = capsys.readouterr()
    inputs = [item["input"] for item in json.loads(out)]
    assert inputs[-1] == LINES[0] and set(inputs[:-1]) <= {"a dog"}  # what could be unpacked
    gone, cut = err.splitlines()
    assert gone.startswith(f"zoo: {files[0]}: cannot be read") and cut.startswith(
        f"zoo: {files[1]}: this gzip"
    )


def test_decoding_options(model, stdin, capsys):
    expected = runtime.load(model)(LINES[0], beam_width=5, length_penalty=3.0)
    stdin(LINES[0])
    assert cli.main(["predict", model, "-", "--beam-width", "5", "--length-penalty", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == expected


def test_plot_from_the_command(model, texts, stdin, tmp_path, capsys):
    path = tmp_path / "looked.png"
    stdin(LINES[0] + "\n")
    assert cli.main(["predict", model, "-", "--plot", str(path)]) == 0
    assert capsys.readouterr().out == f"{texts[0]}\n" and Image.open(path).format == "PNG"
    path.unlink()
    for given in ("", "one\ntwo\n"):
        stdin(given)
        assert cli.main(["predict", model, "-", "--plot", str(path)]) == 2
        assert capsys.readouterr() == ("", "zoo: --plot is for one sentence at a time; give one line\n")
    assert not path.exists()


@pytest.mark.parametrize(
    "options, named",
    [
        (["--decoder", "beam"], "--decoder is for line_ocr and deep_speech"),
        (["--hot-words", "x"], "--hot-words is for deep_speech"),
    ],
)
def test_what_is_not_for_translation(model, options, named, capsys):
    assert cli.main(["predict", model, "-", *options]) == 2
    expected = f"zoo: {re.escape(model)}: reads sentences, but {named}.*; leave it out\n"
    assert re.fullmatch(expected, capsys.readouterr().err)


@pytest.mark.parametrize("options", [["--n-best", "2"], ["--length-penalty", "1"]])
def test_what_is_for_translation_only(tmp_path, monkeypatch, make_preset, options, capsys):
    """It is refused before anything is loaded."""
    make_preset(tmp_path / "seeing")
    monkeypatch.setattr(common, "load", lambda name: 1 / 0)
    assert cli.main(["predict", str(tmp_path / "seeing"), "x.png", *options]) == 2
    expected = f"seeing: reads images, but {options[0]} is for translator and captioner.*; leave it out\n$"
    assert re.search(expected, capsys.readouterr().err)


def test_searches_that_cannot_be_from_the_command(model, stdin, capsys):
    stdin(LINES[0])
    assert cli.main(["predict", model, "-", "--n-best", "3", "--beam-width", "2"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch("zoo: 3 translations .*\n", err)


def test_evaluate(model, translator, tmp_path, capsys):
    translator.save(tmp_path / "task")
    data = tmp_path / "pairs"
    (tmp_path / "pairs.en").write_text("".join(f"{line or 'dawn'}\n" for line in LINES))
    references = runtime.load(model)([line or "dawn" for line in LINES])
    (tmp_path / "pairs.en-x").write_text("\n".join([*references[:3], ""]) + "\n")
    for name in (model, str(tmp_path / "task")):
        assert cli.main(["evaluate", name, "--data", str(data), "--format", "json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["sentences"], report["beam_width"], len(report["skipped"])) == (3, 2, 1)
        assert "tok:13a" in report["signature"]
        if name == model:  # the task has lost some bits on the disk
            assert (report["bleu"], report["chrf"]) == pytest.approx((100, 100))
    assert cli.main(["evaluate", model, "--data", str(data), "--beam-width", "1", "--only", "/000001"]) == 0
    out, err = capsys.readouterr()
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (rows["sentences"], rows["search"]) == ("1", "beam width 1, length penalty 1")
    assert re.fullmatch(r"\d+ sentences a second", rows["speed"]) and "line 4 is empty in en-x" in err


@pytest.mark.slow
def test_export_measures_translations(translator, tmp_path, capsys):
    translator.save(tmp_path / "task")
    for code in ("en", "en-x"):
        (tmp_path / f"pairs.{code}").write_text("the quick brown fox\n")
    arguments = ["export", str(tmp_path / "task"), "--output", str(tmp_path / "t.onnx")]
    assert cli.main([*arguments, "--data", str(tmp_path / "pairs")]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [re.fullmatch(r"(\w+) +\d+\.\d", row)[1] for row in rows] == ["bleu", "chrf"]


def test_a_task_that_is_not_of_this_version(tmp_path, make_preset, capsys):
    make_preset(tmp_path / "new", task="juggler")
    assert cli.main(["predict", str(tmp_path / "new"), "x"]) == 2
    assert "no task 'juggler'" in capsys.readouterr().err
