"""The reader of text models: on an engine that counts the alphabet up, and on a small ONNX file."""

import io
import json
import math
import sys

import numpy as np
import pytest
from helpers import zoo_on_base

from export import runtime
from zoo import cli
from zoo.errors import UserError
from zoo.families.char_lm.reader import CHUNK, CONTEXT, PIECE, STEPS, Continuation, TextGenerator
from zoo.text.plain import Characters

LETTERS = Characters("abcdefgh\n")
CONFIG = {"cell": "lstm", "layers": 2, "units": 3}


class Engine:
    """Writes the letter after the one before, or what the noise is greatest for.

    The states are ``[last row, characters read, 0] * 4``; a letter costs 1 after the one that is before it in
    the alphabet, 2 after others, 3 at the beginning.
    """

    def __init__(self):
        self.calls = []

    def __call__(self, inputs):
        self.calls.append(inputs)
        dtypes = {"tokens": np.int32, "lengths": np.int32, "states": np.float32, "noise": np.float32}
        dtypes |= {"temperature": np.float32, "top_k": np.int32}
        assert {name: value.dtype for name, value in inputs.items()} == dtypes
        assert inputs["temperature"].shape == inputs["top_k"].shape == ()
        batch, time = inputs["tokens"].shape
        steps = inputs["noise"].shape[1]
        assert inputs["states"].shape == (batch, 4, 3) and inputs["noise"].shape == (batch, steps, 10)
        assert inputs["lengths"].shape == (batch,) and time >= 1
        assert 0 <= inputs["lengths"].min() and inputs["lengths"].max() <= time
        nats, new = np.zeros((batch, time), np.float32), inputs["states"].copy()
        drawn, after = np.zeros((batch, steps), np.int32), new.copy()
        for i, length in enumerate(inputs["lengths"]):
            last, count = new[i, 0, :2]
            for t, row in enumerate(inputs["tokens"][i, :length]):
                nats[i, t] = 3 if not count else 1 if row == last + 1 else 2
                last, count = row, count + 1
            new[i, :, :2] = last, count
            for t in range(steps):
                last = last % 9 + 1 if not inputs["temperature"] else 1 + inputs["noise"][i, t, 1:].argmax()
                drawn[i, t], count = last, count + 1
            after[i, :, :2] = last, count
        scores = np.full(batch, -steps / 2, np.float32)
        served = {"nats": nats, "new_states": new, "sampled_tokens": drawn, "sampled_scores": scores}
        return served | {"sampled_states": after}


@pytest.fixture
def reader():
    return TextGenerator(Engine(), CONFIG, LETTERS)


# === Writing ===


def test_texts_come_in_pieces(reader):
    pieces = reader.write("abc", length=2 * STEPS + 5, temperature=0)
    assert not reader.run.calls
    first = next(pieces)
    assert first == ("defgh\nabc" * 9)[:STEPS] and len(reader.run.calls) == 2
    assert first + "".join(pieces) == ("defgh\nabc" * 9)[: 2 * STEPS + 5]
    # The prompt is read once; from then on the state is all there is.
    assert [call["lengths"].tolist() for call in reader.run.calls] == [[3], [0], [0], [0]]
    assert "".join(reader.write(length=3, temperature=0)) == "abc"


def test_long_prompts_are_read_in_chunks(reader):
    prompt = "abcdefgh\n" * CHUNK
    assert reader(prompt + "ab", length=3, temperature=0) == ["cde"]
    assert sum(call["lengths"][0] for call in reader.run.calls) == len(prompt) + 2


def test_samples_are_reproducible(reader):
    one, same, other = ("".join(reader.write("a", length=99, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other and len(one) == 99 and len(set(one)) == 9
    assert one.startswith("".join(reader.write("a", length=40, seed=1)))
    assert "".join(reader.write("a")) != "".join(reader.write("a"))
    assert reader(["a", "b"], length=99, seed=1) == [one, one]


def test_results_have_scores(reader):
    found = list(reader.stream(["a", "ab"], length=40, temperature=0))
    assert found[1] == Continuation("ab", ("cdefgh\nab" * 9)[:40], -20.0)
    about = {"prompt": "ab", "text": found[1].text, "score": -20.0}
    assert found[1].to_json() == about | {"confidence": round(math.exp(-20 / 40), 4)}
    assert reader("ab", details=True, length=40, temperature=0) == found[1:]


def test_what_is_sampled_from(reader):
    for top_k in (None, 2, 99):
        "".join(reader.write("a", length=2, temperature=0.5, top_k=top_k))
    used = [(c["temperature"].item(), c["top_k"].item()) for c in reader.run.calls if not c["lengths"][0]]
    assert used == [(0.5, 0), (0.5, 2), (0.5, 0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.5}, "a temperature is 0 or more, not -0.5"),
        ({"temperature": float("nan")}, "a temperature is 0 or more"),
        ({"length": 0}, "a length is 1 or more, not 0"),
        ({"top_k": 0}, "top-k is 1 or more"),
        ({"seed": -1}, "a seed is 0 or more"),
        ({"prompt": "axé\udcffx"}, "the prompt has 'x', 'é', '.udcff', unknown to the model"),
        ({"prompt": "stuvwxyz"}, "'w' and others, unknown"),
    ],
)
def test_what_cannot_be(reader, options, message):
    with pytest.raises(UserError, match=message):
        reader.write(**options)  # before the first piece is asked for


def test_bad_prompts_among_others(reader):
    found = reader(["a", "?", "b"], errors="return", length=1, temperature=0)
    assert (found[0], found[2]) == ("b", "c") and isinstance(found[1], UserError)
    with pytest.raises(UserError, match="'[?]'"):
        reader(["a", "?"], length=1)


# === Scoring ===


def test_each_character_has_its_cost(reader):
    np.testing.assert_array_equal(reader.score("abdea"), [3, 1, 2, 1, 2])
    assert reader.score("").shape == (0,)
    unknown = np.log(0x110000 - 0x800 - 9)
    np.testing.assert_allclose(reader.score("aé\0b"), [3, 2 + unknown, 2 + unknown, 2])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("length", [CHUNK, CHUNK + 1, PIECE, PIECE + 1, 3 * PIECE + 77])
def test_long_texts_are_scored_in_pieces(threads, length):
    random = np.random.default_rng(length)
    text = "".join(random.choice(LETTERS.characters, length))
    rows = LETTERS.encode(text)
    expected = [3, *np.where(np.diff(rows) == 1, 1, 2)]
    reader = TextGenerator(Engine(), CONFIG, LETTERS, threads=threads)
    np.testing.assert_array_equal(reader.score(text), expected)
    pieces = -(-length // PIECE)
    total = sum(call["lengths"].sum() for call in reader.run.calls)
    assert total == length + (pieces - 1) * CONTEXT
    assert max(len(call["tokens"]) for call in reader.run.calls) == -(-pieces // threads)


def test_the_report_names_unknown_characters(reader):
    class Corpus:
        texts, skipped = ["ab\n", "éb"], ["x is no text"]

    report = reader.evaluate(Corpus)
    rows = dict(reader.rows(report))
    assert rows["texts"] == "2 (5 characters)" and rows["skipped"] == "1"
    unknown = 3 + np.log(0x110000 - 0x800 - 9)
    assert rows["unknown"] == f"'é'×1 (not in the vocabulary, {unknown:.1f} nats each)"
    assert rows["nats"] == f"{(3 + 1 + 2 + unknown + 2) / 5:.4f} per character"
    with pytest.raises(UserError, match="leave out temperature"):
        reader.evaluate(Corpus, temperature=0.5)


# === A small ONNX file ===


@pytest.fixture(scope="module")
def task():
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exporting is TensorFlow's")
    from zoo.families.char_lm.network import CharLm, CharLmConfig

    keras.utils.set_random_seed(2)
    task = CharLm(CharLmConfig(units=16, embedding=8, layers=2), Characters(" \nabcdefghijé"))
    random = np.random.default_rng(1)
    task.set_weights({k: v + 0.5 * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


@pytest.fixture(scope="module")
def exported(task, tmp_path_factory):
    from export import to_onnx

    path = tmp_path_factory.mktemp("exported") / "char_lm.onnx"
    to_onnx(task, path)
    return path


@pytest.mark.slow
def test_keras_and_onnx_write_the_same(task, exported):
    reader = runtime.load(exported)
    assert isinstance(reader, TextGenerator) and reader.config["units"] == 16
    for options in ({"temperature": 1.0}, {"temperature": 0.7, "top_k": 4}, {"temperature": 0}):
        texts = ["".join(each.write("abc\n", length=80, seed=3, **options)) for each in (reader, task.reader)]
        assert texts[0] == texts[1] and len(texts[0]) == 80
    text = "a bad cab faced\na jade é " * 300
    np.testing.assert_allclose(reader.score(text), task.reader.score(text), atol=1e-4)


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = cli.main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_the_command_writes(run, exported, tmp_path):
    text = "".join(runtime.load(exported).write("a b", length=40, temperature=0.8, seed=1))
    same = ["--length", 40, "--temperature", 0.8, "--seed", 1]
    status, out, err = run("predict", exported, "--prompt", "a b", *same)
    assert (status, out.rstrip("\n"), err) == (0, f"a b{text}".rstrip("\n"), "") and out.endswith("\n")
    (tmp_path / "prompt.txt").write_text("a b")
    assert run("predict", exported, tmp_path / "prompt.txt", *same)[1] == out
    assert run("predict", exported, "-", *same, stdin=b"a b")[1] == out
    status, out, _ = run("predict", exported, tmp_path / "prompt.txt", *same, "--format", "json")
    (found,) = json.loads(out)
    assert (found["prompt"], found["text"]) == ("a b", text) and found["score"] < -10
    status, out, _ = run("predict", exported, "--length", 7, "--seed", 0)
    assert status == 0 and out.rstrip("\n") == "".join(runtime.load(exported).write(length=7, seed=0)).rstrip(
        "\n"
    )


def test_the_command_streams(exported):
    """What is there is shown, long before the end: the reader of the output may go."""
    found = zoo_on_base("predict", exported, "--prompt", "é", "--length", 3 * STEPS, "--seed", 1)
    assert found.returncode == 0 and len(found.stdout) in (3 * STEPS + 1, 3 * STEPS + 2)
    assert found.stdout.startswith("é")


def test_what_the_command_cannot_do(run, exported, tmp_path):
    (tmp_path / "binary").write_bytes(b"ab\0")
    (tmp_path / "good").write_text("ab")
    for arguments, message in (
        (["--prompt", "Ω"], "the prompt has 'Ω'"),
        (["--prompt", "a", "--temperature", -1], "a temperature is 0 or more, not -1.0"),
        (["--prompt", "a", tmp_path / "good"], "--prompt"),
        (["--prompt", "a", "--beam-width", 3], "--beam-width is for line_ocr"),
        ([tmp_path / "binary"], "byte 3 is NUL"),
        ([tmp_path / "none"], "cannot be read"),
    ):
        status, out, err = run("predict", exported, *arguments)
        assert status == 2 and message in err and err.count("\n") == 1, (arguments, err)
        assert not out
    with pytest.raises(SystemExit):
        run("predict", exported, "--length", 0)
    status, out, err = run("predict", exported, tmp_path / "binary", tmp_path / "good", "--length", 4)
    assert status == 3 and out.startswith("ab") and "NUL" in err
    status, _, err = run("predict", "line_ocr_en", "--prompt", "a")
    assert status == 2 and "--prompt is for char_lm" in err
    status, out, err = run(
        "predict", exported, "--length", 4, tmp_path / "good", "--seed", 1, tmp_path / "good"
    )
    assert status == 0 and out.startswith("ab") and not err  # inputs may stand behind options
    status, _, err = run("predict", exported, "--no-such-option", "a")
    assert status == 2 and f"there is no such option; see `zoo predict {exported} --help`" in err
    status, _, err = run("evaluate", exported, "--data", tmp_path / "good", "--no-such-option", "a")
    assert status == 2 and f"there is no such option; see `zoo evaluate {exported} --help`" in err
    status, _, err = run("predict", "line_ocr_en")
    assert status == 2 and "INPUT" in err


def test_the_command_measures(run, exported, tmp_path):
    (tmp_path / "text").write_text("abc é?\n", newline="")
    status, out, _ = run("evaluate", exported, "--data", tmp_path / "text", "--format", "json")
    report = json.loads(out)
    nats = runtime.load(exported).score("abc é?\n")
    assert status == 0 and report["nats_per_character"] == pytest.approx(nats.mean(), rel=1e-5)
    assert report["bits_per_character"] == pytest.approx(nats.mean() / np.log(2), rel=1e-5)
    assert report["unknown_characters"] == {"?": 1} and report["characters"] == 7
    status, out, _ = run("evaluate", exported, "--data", tmp_path / "text")
    assert "per character" in out and "'?'×1" in out
    (tmp_path / "empty").write_text("")
    status, _, err = run("evaluate", exported, "--data", tmp_path / "empty")
    assert status == 2 and "there is no text in it" in err
    status, _, err = run("evaluate", exported, "--data", tmp_path / "text", "--seed", 1)
    assert status == 2 and "leave it out" in err
