"""The programs of docs/hosts, which know the exported file alone, give what ``zoo predict`` gives."""

import ast
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import BASE_INSTALL, HOSTS, load_host, python

import zoo
from benchmarks.neighbours import difference
from export import about, profile, verify
from zoo import cli
from zoo.errors import UserError
from zoo.families.speech_synthesis.normalise import known, sentences, spell, symbols
from zoo.images.videos import read_video
from zoo.text.characters import Vocabulary

SPEECH = Path(__file__).parent / "data" / "speech.ogg"


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A function from a preset's name to its file in 8 bits, and the task; each is made once."""
    folder, made = tmp_path_factory.mktemp("hosts"), {}
    cases = verify.CASES
    verify.CASES = [(1, 0), (3, 4)]  # all of them are for tests of the exporter

    def exported(preset):
        if preset not in made:
            task, path = zoo.load(preset), folder / f"{preset}.onnx"
            importlib.import_module("export.onnx_file").to_onnx(task, path, int8=True)
            made[preset] = path, task
        return made[preset]

    yield exported
    verify.CASES = cases


@pytest.mark.parametrize("name", sorted(path.stem for path in HOSTS.glob("*.py")))
def test_imports_nothing_of_the_project(name):
    tree = ast.parse((HOSTS / f"{name}.py").read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    needs = {"numpy", "onnxruntime", "PIL", "soundfile", "soxr", "tokenizers"}
    assert {name.partition(".")[0] for name in names} <= needs | sys.stdlib_module_names


@pytest.mark.slow
def test_lines(export, host, draw_line, tmp_path):
    from PIL import Image

    path, _ = export("line_ocr_en")
    images = []
    for i, text in enumerate(("It was the best of times,", "it was the worst of times", "1859 (Dickens)")):
        images.append(tmp_path / f"{i}.png")
        Image.fromarray(draw_line(text, size=20 + 8 * i)).convert("L").save(images[-1])
    found = zoo.load(path).predict(images, details=True)
    assert host("line_ocr", path, *images) == [f"{one.text}\t{one.confidence:.4f}" for one in found]
    assert all(one.text for one in found)


@pytest.mark.slow
def test_shares_of_layers(export, draw_line, tmp_path, capsys):
    from PIL import Image

    path, _ = export("line_ocr_en")
    Image.fromarray(draw_line("It was the best of times,", size=30)).save(tmp_path / "a.png")
    with profile.opened(path) as model:
        report = profile.profile(model, [tmp_path / "a.png"] * 2)
    for shares in (report["kinds"], report["operations"]):
        assert sum(shares.values()) == pytest.approx(1) and min(shares.values()) >= 0
    assert report["kinds"]["recurrent layers"] > 0.1 and report["kinds"]["convolutions"] > 0.02
    assert cli.main(["bench", str(path), "--profile", str(tmp_path / "a.png")]) == 0
    assert "DynamicQuantizeLSTM" in capsys.readouterr().out
    assert cli.main(["bench", "line_ocr_en", "--profile", str(tmp_path / "a.png")]) == 2


def test_a_loop_counts_without_what_is_in_it():
    def event(operation, start, micros):
        return {"ts": start, "dur": micros, "args": {"op_name": operation}}

    events = [event("MatMul", 12, 3), event("Add", 16, 2), event("Scan", 10, 10), event("Mul", 20, 4)]
    assert profile._alone(events) == [3, 2, 5, 4]


@pytest.mark.slow
def test_speech(export, host):
    path, _ = export("deep_speech_digits")
    (text,) = zoo.load(path).predict(SPEECH, decoder="greedy")
    assert host("deep_speech", path, SPEECH) == [text] and text


@pytest.mark.slow
def test_sentences(export, host):
    pytest.importorskip("tokenizers")
    path, task = export("translator_en_de")
    lines = ["A man sleeps.", "", "Two dogs  run in the snow, and a 😀 child laughs!", "   "]
    assert host("translator", path, lines=lines) == zoo.load(path).predict(lines)
    # Nor does a sentence depend on its neighbours in a batch; benchmarks.neighbours has every preset.
    touched, apart, unequal = difference(task.serving, path, 32)
    assert touched == unequal == 0 and apart < 1e-5


@pytest.mark.slow
def test_texts(export, host):
    pytest.importorskip("tokenizers")
    path, task = export("sentiment_en")
    lines = ["Don't miss it!", "Dull and endless.", "A WARM, funny film 😀", "It's well-made; isn't it?"]
    found = zoo.load(path).predict(lines, details=True)
    wanted = [f"{one.label}\t{one.confidence:.4f}" for one in found]
    assert host("text_classifier", path, lines=lines) == wanted
    touched, apart, unequal = difference(task.serving, path, 32)
    assert touched == unequal == 0 and apart < 1e-5


@pytest.mark.slow
def test_questions(export, host, tmp_path):
    pytest.importorskip("tokenizers")
    path, _ = export("qa_babi")
    story = tmp_path / "story.txt"
    said = "Mary moved to the bathroom.\nJohn went to the hallway.\nMary travelled to the office.\n"
    story.write_text(said)
    lines = ["Where is Mary?", "Where is John?"]
    assert host("question_answering", path, story, lines=lines) == ["office", "hallway"]
    assert zoo.load(path).predict(lines, story=said) == ["office", "hallway"]


@pytest.mark.slow
def test_sequences(export, host, tmp_path):
    path, task = export("wrist_activity")
    values = np.random.default_rng(0).normal(32, 6, (1100, 3)).round(2)
    rows = [",".join(task.vocabulary.channels), *(",".join(map(str, row)) for row in values)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    (found,) = zoo.load(path).predict(tmp_path / "a.csv", details=True)
    (line,) = host("sequence_classifier", path, tmp_path / "a.csv")
    assert line == f"{found.label}\t{found.confidence:.4f}"


def draw_video(path, count, size, **options):
    """A bright square that moves right, as a file, or as a folder where the path has no suffix."""
    from PIL import Image

    rows, columns = np.indices(size) / size[0]
    ground = 60 + 40 * np.sin(9 * rows[..., None] + columns[..., None] * [5, 7, 11])
    frames = []
    for place in np.linspace(0.1, 0.6, count):
        inside = (abs(columns - place - 0.15) < 0.15) & (abs(rows - 0.5) < 0.15)
        frames.append(Image.fromarray(np.where(inside[..., None], 230, ground).astype(np.uint8)))
    if path.suffix:
        frames[0].save(path, save_all=True, append_images=frames[1:], loop=0, **options)
        return path
    path.mkdir()
    for i, frame in enumerate(frames):
        frame.save(path / f"{i}.jpg", quality=90)
    return path


def test_frames_are_those_of_the_reader(tmp_path):
    """Frames of unequal time, far more than are looked at, fewer, large JPEGs."""
    module = load_host("video_captioner")
    lasting = [20, 40, 1000, *[100] * 9, 60, 60, 350]
    videos = [
        draw_video(tmp_path / "a.gif", 15, (56, 56), duration=lasting),
        draw_video(tmp_path / "b.gif", 3, (48, 90), duration=80),
        draw_video(tmp_path / "c.webp", 8, (64, 64), duration=lasting[:8], lossless=True),
        draw_video(tmp_path / "many", 25, (40, 60)),
        draw_video(tmp_path / "large", 11, (500, 400)),
    ]
    for path in videos:
        squares, times = module.frames_of(str(path), 56)
        np.testing.assert_array_equal(squares[module.evenly(times, 10)], read_video(path, 56, 10), path.name)


@pytest.mark.slow
@pytest.mark.thorough
def test_videos(export, host, tmp_path):
    path, _ = export("video_moving_digits")
    videos = [
        draw_video(tmp_path / "a.gif", 16, (56, 56), duration=125),
        draw_video(tmp_path / "b", 12, (90, 120)),
    ]
    texts = host("video_captioner", path, *videos)
    assert texts == zoo.load(path).predict(videos) and all(texts)


def test_symbols_are_those_of_the_reader():
    module = load_host("speech_synthesis")
    characters = "^ abcdefghijklmnopqrstuvwxyzäöüß.,;:?!"
    vocabulary, random = Vocabulary(characters), np.random.default_rng(0)
    signs = "   \u00a0\x07.!?…,;:–—-/_()[]\"„“”»«’'·😀\u0301éøœþßẞİIıÅłшa"
    words = "Der Igel geht heim und schläft in Ägypten".split() + list(signs) + [". ", ", ", "… ", ".“ "]
    for count in np.arange(600) % 120:
        text = "".join(random.choice(words, count))
        if module.UNSPELLED.search(text):
            continue
        read = [known(symbols(one), vocabulary)[0] for one in sentences(spell(text, "de"))]
        wanted = [vocabulary.encode(one) for one in read if any(map(str.isalpha, one))]
        assert list(module.rows_of(text, list(characters))) == wanted, text


@pytest.mark.slow
@pytest.mark.thorough
def test_a_voice(export, host, tmp_path):
    path, _ = export("voice_de_kerstin")
    lines = ["„Guten Tag!“ Er geht (endlich) heim…", "Im Café saß niemand"]
    (tmp_path / "a.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert cli.main(["predict", str(path), str(tmp_path / "a.txt"), "--output", str(tmp_path / "a.wav")]) == 0
    host("speech_synthesis", path, tmp_path / "b.wav", lines=lines)
    wanted, found = (soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    assert len(wanted) > 3 * 16000
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.slow
def test_every_byte_counts(export, tmp_path, capsys):
    path, _ = export("sentiment_en")
    assert cli.main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: every byte is as it was written\n"
    data, copy = path.read_bytes(), tmp_path / "m.onnx"
    for place in np.random.default_rng(0).integers(0, len(data), 40):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        copy.write_bytes(flipped)
        with pytest.raises(UserError, match="m.onnx: it"):
            about.verify(copy)
    assert cli.main(["verify", str(copy)]) == 2 and capsys.readouterr().err.count("\n") == 1
    assert cli.main(["verify", "sentiment_en"]) == 0
    assert cli.main(["verify", str(tmp_path / "none.onnx")]) == 2


@pytest.mark.slow
def test_it_is_shown_and_told_beside(export, capsys):
    import onnx

    path, task = export("sentiment_en")
    assert cli.main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    for text in ("stored as       int8", "tokens int32 [batch, time]", "accuracy 79.5%", "# sentiment_en"):
        assert text in shown
    told = json.loads(about.sidecar(path).read_text(encoding="utf-8"))
    model = onnx.load(path)
    assert set(told) == {one.key.removeprefix("seqzoo.") for one in model.metadata_props}
    assert told["vocabulary"]["labels"] == ["negative", "positive"] and told["stored"] == "int8"
    assert [one["name"] for one in told["inputs"]] == [one.name for one in model.graph.input]
    for value in (*model.graph.input, *model.graph.output, model):
        assert value.doc_string
    text = (HOSTS.parent / "file_format.md").read_text(encoding="utf-8")
    rows = text.partition("| key |")[2].partition("\n\n")[0].splitlines()[2:]
    keys = {key for row in rows for key in row.split("|")[1].replace("`", "").replace(",", "").split()}
    assert {key for key in told if not key.startswith("asset.")} <= keys


@pytest.mark.slow
def test_figures_of_this_file(export, tmp_path):
    path, _ = export("sentiment_en")
    copy = tmp_path / "m.onnx"
    copy.write_bytes(path.read_bytes())
    figure = {"set": "mine", "metric": "accuracy", "value": 0.5, "command": "zoo evaluate m.onnx --data mine"}
    about.measured(copy, [figure])
    about.verify(copy)
    assert json.loads(zoo.load(copy).metadata["measured"]) == [figure]
    assert zoo.load(copy).predict(["A fine film."]) == zoo.load(path).predict(["A fine film."])


def test_every_tensor_is_documented():
    """What a served model takes and gives has a sentence, whatever the family."""
    for preset in ("line_ocr_en", "char_lm_shakespeare", "ink_formulae", "video_moving_digits", "qa_babi"):
        serving = zoo.load(preset).serving
        assert all(spec.doc for spec in (*serving.inputs, *serving.outputs)), preset


# === Measured on a host ===


def measured_on_base(path, *arguments):
    """What ``zoo evaluate`` gives with the extra `evaluate` and no other, not even TensorFlow."""
    base = BASE_INSTALL.replace('"jiwer", "sacrebleu", ', "")
    base += "from zoo.cli import main; sys.exit(main())"
    run = python(base, "evaluate", path, *arguments, "--format", "json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
def test_lines_are_measured_without_tensorflow(export, line_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    path, _ = export("line_ocr_en")
    found = measured_on_base(path, "--data", line_folder, "--only", "book[01]")
    assert not list(tmp_path.iterdir()), "a copy that nothing could read"
    report = zoo.load(path).evaluate(line_folder, only="book[01]")
    assert found["lines"] == 10 and {name: found[name] for name in report} == json.loads(json.dumps(report))


@pytest.mark.slow
def test_texts_are_measured_without_tensorflow(export, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    path, _ = export("sentiment_en")
    (tmp_path / "a.tsv").write_text("text\tlabel\nA fine film.\tpositive\nDull and endless.\tnegative\n")
    found = measured_on_base(path, "--data", tmp_path / "a.tsv")
    assert (found["texts"], found["accuracy"]) == (2, 1.0)
