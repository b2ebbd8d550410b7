"""The ``zoo`` command and the reader where there is the base install only: no TensorFlow, no Keras.

The model here is an ONNX file of a few nodes, whose "text" is the size of each image.
"""

import importlib.metadata
import io
import json
import os
import re
import runpy
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import setuptools
from helpers import BASE_INSTALL, ROOT, python, zoo_on_base
from PIL import Image

import zoo
from zoo import cli, hub
from zoo.families.line_ocr import reader as readers

BUFFERED = {"PYTHONUNBUFFERED": ""}  # as a user's Python writes to a pipe


@pytest.fixture(scope="module")
def size_reader(tmp_path_factory):
    """An .onnx file that says of each line image its width and height, as two characters."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    symbols = 1000
    nodes = [
        helper.make_node("Gather", ["size", "turn"], ["labels"], axis=1),
        helper.make_node("Div", ["size", "size"], ["ones"]),
        helper.make_node("ReduceSum", ["ones", "axis"], ["label_lengths"], keepdims=0),
        helper.make_node("Cast", ["labels"], ["starts"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["starts", "half"], ["ends"]),
        helper.make_node("Sub", ["ends", "starts"], ["halves"]),
        helper.make_node("ReduceMean", ["halves", "axis"], ["confidence"], keepdims=0),
        helper.make_node("OneHot", ["labels", "symbols", "probabilities"], ["log_probs"]),
        helper.make_node("Identity", ["label_lengths"], ["lengths"]),
    ]
    kinds = {"labels": "it", "label_lengths": "i", "confidence": "f", "starts": "ft", "ends": "ft"}
    kinds |= {"log_probs": "fts", "lengths": "i"}
    numbers = {"i": TensorProto.INT32, "f": TensorProto.FLOAT}
    outputs = [
        helper.make_tensor_value_info(name, numbers[kind[0]], ["batch", *kind[1:]])
        for name, kind in kinds.items()
    ]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", "channels"]),
        helper.make_tensor_value_info("size", TensorProto.INT32, ["batch", 2]),
    ]
    constants = {
        "turn": np.array([1, 0]),
        "axis": np.array([1]),
        "half": np.float32([0.5]),
        "symbols": np.int32([symbols]),
        "probabilities": np.float32([-20, 0]),
    }
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "size_reader", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    config = {"height": 32, "strides": [[1, 1]], "pools": [[1, 1]]}
    vocabulary = [chr(0x4E00 + label) for label in range(1, symbols)]
    about = {
        "format": "1",
        "task": "line_ocr",
        "direction": "ltr",
        "config": config,
        "vocabulary": vocabulary,
    }
    props = {f"seqzoo.{k}": v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}
    helper.set_model_props(model, props)
    path = tmp_path_factory.mktemp("onnx") / "size_reader.onnx"
    onnx.save(model, path)
    return path


def says(width, height):
    return chr(0x4E00 + width) + chr(0x4E00 + height)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Paths of five line images, and what ``size_reader`` says of them."""
    folder, texts = tmp_path_factory.mktemp("scans"), {}
    for width, height in [(300, 30), (40, 20), (120, 32), (600, 30), (41, 20)]:
        path = folder / f"ligne é {width}.png"
        image = Image.new("L", (width, height), 200)
        image.paste(40, (2, 5, width - 2, height - 5))  # a blank line would not be read
        image.save(path)
        texts[str(path)] = says(width, height)
    return texts


@pytest.fixture
def shipped(tmp_path, monkeypatch, make_preset):
    """Two presets in $ZOO_HOME, where subprocesses find them too, and none in the package."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "PACKAGED", tmp_path / "package")
    make_preset(tmp_path / "presets/line_ocr_en", headline="UW3: 0.55 % cer")
    make_preset(tmp_path / "presets/line_ocr_fraktur", size_bytes=12_345_678)
    return tmp_path / "presets"


# === Base install ===


def test_importing_loads_nothing_heavy():
    run = python("import sys, zoo, zoo.cli; print(*sys.modules)")
    heavy = {"tensorflow", "keras", "numpy", "PIL", "onnxruntime", "tqdm", "recipes", "export"}
    assert run.returncode == 0, run.stderr
    assert heavy.isdisjoint(run.stdout.split())


@pytest.mark.parametrize("module", ["zoo.contract.task", "recipes.training.recognition"])
def test_tensorflow_is_loaded_in_silence(module):
    """It has ten lines to say on devices that are not there: of ``zoo.load``, and of recipes."""
    run = python(f"import sys, {module}; print('tensorflow' in sys.modules)")
    assert run.returncode == 0 and run.stdout == "True\n" and not run.stderr


def test_runtime_needs_the_base_install_only():
    run = python(BASE_INSTALL + "import export.runtime; print(*sys.modules)")
    assert run.returncode == 0, run.stderr
    assert {"zoo", "recipes", "zoo.errors"}.isdisjoint(run.stdout.split())


def test_speech_needs_the_base_install_only():
    modules = "zoo.families.deep_speech.reader, zoo.decoding.ctc_words, zoo.text.ngrams"
    run = python(f"{BASE_INSTALL}import {modules}")
    assert run.returncode == 0, run.stderr


def test_list_and_show_on_base(shipped, make_preset):
    # A subprocess sees the package's own presets too, so these have names that are not among them.
    make_preset(shipped / "mine", headline="UW3: 0.55 % cer")
    make_preset(shipped / "mine_too", size_bytes=12_345_678)
    listed = zoo_on_base("list")
    assert listed.returncode == 0, listed.stderr
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert {"line_ocr_en", "line_ocr_fraktur", "line_ocr_arabic", "mine", "mine_too"} <= set(rows)
    assert rows["mine"].split() == "mine 2.1 MB UW3: 0.55 % cer".split()
    assert rows["mine_too"].split() == "mine_too 12.3 MB".split()
    assert len({line.index(" MB") for line in rows.values()}) == 1, "columns are not aligned"
    shown = zoo_on_base("show", "mine")
    assert (shown.returncode, shown.stdout) == (0, "# mine\n\nReads naïve lines.\n")


def test_predict_onnx_on_base(size_reader, scans):
    run = zoo_on_base("predict", size_reader, *scans)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == list(scans.values())


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "line_ocr_en", "scan.png"),
        ("evaluate", "line_ocr_en", "--data", "lines.tar"),
        ("export", "line_ocr_en", "--output", "reader.onnx"),
    ],
)
def test_what_needs_tensorflow_says_so_on_base(shipped, command):
    run = zoo_on_base(*command)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r'zoo: .*tensorflow.*pip install "seqzoo\[train\]" \(an .*\)\n', run.stderr)


def test_evaluate_onnx_says_so_on_base(size_reader, scans, tmp_path):
    run = zoo_on_base("evaluate", size_reader, "--data", tmp_path)
    assert run.returncode == 2 and "give images" in run.stderr  # corpora are read without TensorFlow
    for path in scans:
        Path(path).with_suffix(".gt.txt").write_text("text")
    run = zoo_on_base("evaluate", size_reader, "--data", Path(next(iter(scans))).parent)
    assert run.returncode == 2 and "package jiwer" in run.stderr and "seqzoo[evaluate]" in run.stderr


def test_load_says_so_on_base(shipped):
    run = python(BASE_INSTALL + "import zoo; zoo.load('line_ocr_en')")
    assert "zoo.errors.UserError" in run.stderr
    assert "seqzoo[train]" in run.stderr


# === Predict ===


def test_formats(size_reader, scans, capsys):
    arguments = ["predict", str(size_reader), *scans]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in scans.values())
    assert cli.main([*arguments, "--format", "tsv"]) == 0
    assert capsys.readouterr().out == "".join(f"{path}\t{text}\n" for path, text in scans.items())
    assert cli.main([*arguments, "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert list(scans.values())[0] in out  # as it is, not escaped
    lines = json.loads(out)
    assert [(line["input"], line["text"]) for line in lines] == list(scans.items())
    assert lines[0]["confidence"] == 0.5
    first, second = lines[0]["characters"]
    assert 0 <= first.pop("confidence") <= 1
    assert first == {"character": chr(0x4E00 + 300), "start": 300.0, "end": 300.5}
    assert second["character"] == chr(0x4E00 + 30)


def test_beam_search(size_reader, scans, capsys):
    assert cli.main(["predict", str(size_reader), *scans, "--beam-width", "4"]) == 0
    assert capsys.readouterr().out.splitlines() == list(scans.values())


@pytest.mark.parametrize("width", ["0", "-1", "1.5", "x"])
def test_wrong_beam_width(size_reader, width, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", str(size_reader), "x.png", "--beam-width", width])
    assert stop.value.code == 2
    assert "whole number" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "tsv", "json"])
def test_one_bad_file_stops_nothing(size_reader, scans, tmp_path, capsys, form):
    (tmp_path / "bad.png").write_bytes(b"no image")
    good = list(scans)
    inputs = [good[0], str(tmp_path / "bad.png"), good[1], str(tmp_path / "gone.png"), good[2]]
    assert cli.main(["predict", str(size_reader), *inputs, "--format", form]) == 3
    out, err = capsys.readouterr()
    assert [line.partition(": ")[2].partition(":")[0] for line in err.splitlines()] == [inputs[1], inputs[3]]
    texts = list(scans.values())[:3]
    if form == "json":
        assert [line["text"] for line in json.loads(out)] == texts
    else:
        assert [line.rpartition("\t")[2] for line in out.splitlines()] == texts


def test_json_of_nothing(size_reader, capsys):
    assert cli.main(["predict", str(size_reader), "gone.png", "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out) == []


def test_inputs_from_stdin(size_reader, scans, monkeypatch, capsys):
    paths = list(scans)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(paths[:2]) + "\n\n" + paths[2]))
    assert cli.main(["predict", str(size_reader), paths[4], "-", paths[3], "--format", "tsv"]) == 0
    read = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert read == [paths[4], *paths[:3], paths[3]]


def test_results_come_before_the_last_input(size_reader, scans):
    """A pipe that feeds more than one chunk sees the first results while it still is open."""
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", "predict", size_reader, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        env=os.environ | BUFFERED,
    ) as process:
        path, text = next(iter(scans.items()))
        process.stdin.write(f"{path}\n" * (readers.CHUNK + 1))
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 60)[0], "nothing came"
        process.stdin.close()
        assert process.stdout.read().splitlines() == [text] * (readers.CHUNK + 1)
    assert process.returncode == 0


def test_a_worker_in_a_pipe(size_reader, scans):
    """Each line is answered, good or bad, before the next one comes; errors have their place."""
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", "predict", size_reader, "-", "--format", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        env=os.environ | BUFFERED,
    ) as process:
        path, text = next(iter(scans.items()))
        found = []
        for name in (path, "gone.png", "*.gone", path):
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "nothing came"
            found.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.stdout.read() == "" and process.stderr.read().count("\n") == 2
    assert [row.get("text", row.get("error", "")[:4]) for row in found] == [text, "gone", "*.go", text]
    assert process.returncode == 3


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM"])
def test_bytes_from_stdin(size_reader, scans, monkeypatch, capsys, form):
    data = io.BytesIO()
    Image.open(next(iter(scans))).save(data, form)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.getvalue())))
    assert cli.main(["predict", str(size_reader), "-", "--format", "tsv"]) == 0
    assert capsys.readouterr().out == f"-\t{next(iter(scans.values()))}\n"


def test_bad_bytes_from_stdin(size_reader, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\0\1\2")))
    assert cli.main(["predict", str(size_reader), "-"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch("zoo: standard input: not a readable image.*\n", err)


def test_folders_and_patterns(size_reader, scans, tmp_path, monkeypatch, capsys):
    for number, path in enumerate(scans):
        (tmp_path / f"{number}.png").symlink_to(path)
    (tmp_path / "notes.txt").write_text("my notes")
    monkeypatch.chdir(tmp_path)
    for inputs in (["."], ["*.png"], ["0.png", "[1-9].png"]):
        assert cli.main(["predict", str(size_reader), *inputs]) == 0
        assert capsys.readouterr().out.split() == list(scans.values())
    (tmp_path / "empty").mkdir()
    assert cli.main(["predict", str(size_reader), "empty", "*.gif"]) == 2
    assert re.fullmatch(r"zoo: empty: .* is empty.*\nzoo: \*\.gif: no file.*\n", capsys.readouterr().err)


def test_csv(size_reader, scans, capsys):
    assert cli.main(["predict", str(size_reader), *scans, "gone.png", "--format", "csv"]) == 3
    rows = [f"{path},{text},0.5000" for path, text in scans.items()]
    assert capsys.readouterr().out.splitlines() == ["input,text,confidence", *rows, "gone.png,,"]


def test_threads_and_provider(size_reader, scans, capsys):
    path, text = next(iter(scans.items()))
    arguments = ["predict", str(size_reader), path]
    assert cli.main([*arguments, "--threads", "1", "--provider", "cpu"]) == 0
    assert capsys.readouterr().out == f"{text}\n"
    assert zoo.load(str(size_reader), threads=3, provider="cpu").reader.threads == 3
    assert cli.main([*arguments, "--provider", "directml"]) == 2
    assert re.fullmatch("zoo: provider directml: this onnxruntime has no .*\n", capsys.readouterr().err)
    for options in (["--threads", "0"], ["--threads"], ["--provider", "abacus"]):
        with pytest.raises(SystemExit) as stop:
            cli.main([*arguments, *options])
        assert stop.value.code == 2
        assert f"argument {options[0]}: " in capsys.readouterr().err


def test_file_names_that_are_not_utf8(size_reader, tmp_path):
    path = os.fsencode(tmp_path) + b"/scan\xe9.png"
    try:
        with open(path, "wb") as file:
            image = Image.new("L", (50, 20))
            image.paste(255, (2, 5, 40, 15))
            image.save(file, "PNG")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    command = [sys.executable, "-m", "zoo", "predict", size_reader, "--format", "tsv", path, "-"]
    run = subprocess.run(command, input=path + b"\n", capture_output=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (path + b"\t" + says(50, 20).encode() + b"\n") * 2


def test_plain_locale(size_reader, scans):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    run = zoo_on_base("predict", size_reader, *scans, env=environment)
    assert run.stdout.splitlines() == list(scans.values())


@pytest.mark.parametrize("content", [None, b"", b"no onnx" * 100])
def test_not_our_onnx(tmp_path, capsys, content):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["predict", str(path), "x.png"]) == 2
    assert re.fullmatch(r"zoo: .*x\.onnx: .*\n", capsys.readouterr().err)


# === Presets ===


def test_unknown_preset(shipped, capsys):
    for command in (["show"], ["export", "--output", "x.onnx"], ["evaluate", "--data", "x"]):
        assert cli.main([command[0], "line_ocr_eng", *command[1:]]) == 2
        err = capsys.readouterr().err
        assert err.startswith("zoo: line_ocr_eng: no preset")
        assert "did you mean line_ocr_en" in err
        assert "`zoo list`" in err


def test_show_of_a_changed_preset(shipped, capsys):
    (shipped / "line_ocr_en/card.md").write_text("forged")
    assert cli.main(["show", "line_ocr_en"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "sha256 differs" in err


def test_list_goes_on_after_a_broken_preset(shipped, capsys):
    (shipped / "line_ocr_en/preset.json").write_text("{")
    assert cli.main(["list"]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("line_ocr_fraktur  12.3 MB")
    assert "line_ocr_en/preset.json: cannot be read" in err


def test_export_of_an_exported_file(size_reader, capsys):
    assert cli.main(["export", str(size_reader), "--output", "x.onnx"]) == 2
    assert "exported already" in capsys.readouterr().err


# === The command itself ===


@pytest.mark.parametrize("arguments", [[], ["bench"], ["list", "x"], ["predict"], ["export", "m"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: zoo" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"seqzoo {zoo.__version__}\n"


def test_interrupted(shipped, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "names", interrupt)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr() == ("", "")


def test_reader_of_the_output_has_gone(shipped):
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", "show", "line_ocr_en"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | BUFFERED,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_bug_is_not_hidden(shipped, monkeypatch):
    monkeypatch.setattr(hub, "names", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["list"])


# === The package ===


@pytest.fixture(scope="module")
def setup():
    """What setup.py says."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", said.update)
        runpy.run_path(str(ROOT / "setup.py"))
    return said


def test_every_folder_is_packaged(setup):
    rooms = [
        folder
        for name in ("zoo", "recipes", "export", "studies")
        for folder in (ROOT / name, *(ROOT / name).rglob("*"))
    ]
    packages = {".".join(f.relative_to(ROOT).parts) for f in rooms if f.is_dir() and list(f.glob("*.py"))}
    assert set(setup["packages"]) == packages
    assert all((ROOT / name.replace(".", "/") / "__init__.py").is_file() for name in packages)


def test_presets_are_packaged(setup):
    (pattern,) = setup["package_data"]["zoo"]
    files = [file for file in (ROOT / "zoo/presets").rglob("*") if file.is_file()]
    assert set(files) == set((ROOT / "zoo").glob(pattern)) & set(files)


def test_base_install_has_no_tensorflow(setup):
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in setup["install_requires"]}
    assert names == {"numpy", "onnxruntime", "pillow", "sentencepiece", "soundfile", "soxr", "tqdm"}
    extras = {"parquet", "sklearn", "train", "gpu", "jax", "test", "strokes", "videos", "voice", "pages"}
    extras.add("evaluate")
    assert set(setup["extras_require"]) == extras


def test_version_and_command_are_installed():
    distribution = importlib.metadata.distribution("seqzoo")
    assert distribution.version == zoo.__version__
    (command,) = distribution.entry_points.select(group="console_scripts")
    assert command.load() is cli.main
