"""Every command in the README runs, in its order, in a folder that holds what it names."""

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers import filmed
from PIL import Image

from zoo import cli

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
# Installing is what made these tests run; the two make targets are the tests themselves and the quickstart.
# The last two have tests of their own, and take their time.
NOT_RUN = re.compile(r"make |pip install|zoo bench |studies\.running_average")
# Of training, a few steps show that the command is right.
SHORTER = {
    "zoo finetune line_ocr_en": " --training.epochs 1",
    "zoo train line_ocr": " --training.epochs 1",
    "recipes.deep_speech": " --training.epochs 1 --training.batch-size 2",
    "recipes.translator train": " --training.epochs 4 --training.learning-rate 0.01 --model.units 16"
    " --model.embedding 8 --vocabulary-size 330",
    "recipes.translator finetune": " --training.epochs 1",
    "recipes.char_lm": " --training.epochs 1 --training.batch-size 2 --model.units 16",
    "zoo train sequence_classifier": " --training.epochs 1 --model.units 8",
    "recipes.text_classifier": " --training.epochs 1 --model.units 8",
    "recipes.video_captioner": " --training.epochs 1",
    "recipes.captioner": " --training.epochs 1 --training.batch-size 2 --tuning.epochs 1"
    " --tuning.batch-size 2",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory, draw_line, line_folder):
    import keras
    import matplotlib

    folder = tmp_path_factory.mktemp("desk")
    for name in ("scan", "scan1", "scan2"):
        Image.fromarray(draw_line(f"This is {name}.", size=30)).save(folder / f"{name}.png")
    page = Image.new("L", (700, 300), 250)
    for i, text in enumerate(("This is a page", "of two lines.")):
        page.paste(Image.fromarray(draw_line(text, size=30)).convert("L"), (40, 60 + 60 * i))
    page.save(folder / "page.jpg")
    (folder / "scans").mkdir()
    page.save(folder / "scans" / "1.jpg")
    corners = '<Coords points="30,50 660,50 660,110 30,110"/>'
    (folder / "page.xml").write_text(
        '<PcGts><Page imageFilename="page.jpg" imageWidth="700" imageHeight="300">'
        f'<TextRegion id="r">{corners}<TextLine id="l">{corners}</TextLine></TextRegion></Page></PcGts>'
    )
    shutil.copytree(line_folder, folder / "my_lines")
    for name in ("lines.tar", "small.tar.gz"):
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(line_folder, "lines")
    (folder / "fonts").mkdir()
    shutil.copy(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", folder / "fonts")
    x = keras.Input((None, 4))
    keras.Model(x, keras.layers.LSTM(3)(keras.layers.Masking()(x))).save(folder / "my_model.keras")
    voice = Path(__file__).with_name("data") / "speech.ogg"  # made with espeak-ng
    for name in ("talk.wav", "seven.wav"):
        shutil.copy(voice, folder / name)
    (folder / "my_voice").mkdir()
    for name in "abcd":
        shutil.copy(voice, folder / "my_voice" / f"{name}.ogg")
    table = "id\tspeaker\ttranscript\n" + "".join(
        f"{name}\tspeaker {name}\twe went to the park and then we came home the weather was good\n"
        for name in "abcd"
    )
    (folder / "my_voice" / "transcripts.tsv").write_text(table)
    (folder / "minutes.txt").write_text("We went to the park.\nThen we came home.\nThe weather was good.\n")
    for name, line in (("mine.en", "We went to the park.\n"), ("mine.de", "Wir gingen in den Park.\n")):
        (folder / name).write_text("".join(f"{i} {line}" for i in range(40)))
    (folder / "letter.txt").write_text("We went to the park.\n\nThen we came home.\n")
    (folder / "sentence.txt").write_text("We went to the park.\n")
    opinions = "".join(f"good\tWe saw fine film {i}.\nbad\tWe saw dull film {i}.\n" for i in range(20))
    (folder / "reviews.tsv").write_text(f"label\ttext\n{opinions}")
    frames = [Image.fromarray(frame) for frame in filmed()]
    frames[0].save(folder / "clip.gif", save_all=True, append_images=frames[1:], duration=100)
    (folder / "story.txt").write_text("Mary got the milk.\nMary went to the hallway.\n")
    (folder / "questions.txt").write_text("Where is the milk?\n")
    (folder / "novels.txt").write_text("It was the best of times, it was the worst of times. " * 40)
    (folder / "moves").mkdir()
    for i in range(12):
        steps = [f"{32 + i % 2 * 9},{30 + j % 7},{33 - j % (3 + i % 2)}" for j in range(200)]
        (folder / "moves" / f"m{i}.csv").write_text("\n".join(["x,y,z", *steps]))
    labels = "".join(f"m{i}\tp{i % 4}\t{('walk', 'run')[i % 2]}\n" for i in range(12))
    (folder / "moves" / "labels.tsv").write_text(f"id\tsubject\tlabel\n{labels}")
    shutil.copy(folder / "moves" / "m0.csv", folder / "walk.csv")
    traces = ("0 0, 20 50", "20 0, 0 50", "40 25, 70 25", "55 10, 55 40", "90 10, 98 0, 98 50")
    traces = "".join(f"<trace>{trace}</trace>" for trace in traces)
    (folder / "formula.inkml").write_text(f'<ink xmlns="http://www.w3.org/2003/InkML">{traces}</ink>')
    (folder / "my_photos").mkdir()
    rows = ["image,caption"]
    for colour in ("red", "green", "blue", "yellow"):
        Image.new("RGB", (64, 48), colour).save(folder / "my_photos" / f"{colour}.jpg")
        rows += [f"{colour}.jpg,a {colour} wall", f"{colour}.jpg,this is all {colour}"]
    (folder / "my_photos" / "captions.csv").write_text("\n".join(rows) + "\n")
    for name in ("photo.jpg", "photo2.jpg"):
        shutil.copy(folder / "my_photos" / "red.jpg", folder / name)
    return folder


def run_here(command, desk):
    """A command of ``zoo`` or of a recipe in this process, which has loaded Keras already."""
    said = io.StringIO()
    program, *arguments = shlex.split(command)
    with contextlib.chdir(desk), contextlib.redirect_stdout(said):
        if program == "zoo":
            status = cli.main(arguments)
            assert status == 0, f"{command}\n{said.getvalue()}"
        else:
            _, recipe, *arguments = arguments
            importlib.import_module(recipe).main(arguments)
    return said.getvalue()


def run(command, desk):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, shell=True, cwd=desk, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_commands(desk):
    ran = 0
    for language, block in BLOCKS:
        if language:
            continue
        for line in block.splitlines():
            command = re.sub(r"\s{2,}#.*", "", line).strip()
            if not command or NOT_RUN.search(command):
                continue
            command = command.replace("--count 5000", "--count 40")
            for module, options in SHORTER.items():
                command += options if f"-m {module} " in command or command.startswith(module) else ""
            in_python = re.match(r"zoo |python -m recipes\.\w+ (train|finetune) ", command)
            for_the_shell = not in_python or re.search("[*|<>&]", command)
            output = run(command, desk) if for_the_shell else run_here(command, desk)
            assert output.strip(), command
            ran += 1
    assert ran >= 10
    assert (desk / "reader.onnx").is_file()
    assert "This is scan." in run("zoo predict line_ocr_en scan.png", desk)


@pytest.mark.slow
def test_python_examples(desk):
    examples = [block for language, block in BLOCKS if language == "python"]
    assert len(examples) == 5
    for example in examples:
        run(f"{sys.executable} - <<'END'\n{example}\nEND", desk)


def test_named_files_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([^)#]+)\)", text):
        assert path.startswith("http") or (ROOT / path).exists(), path
    picture = np.asarray(Image.open(ROOT / "docs" / "reading.png"))
    assert picture.std() > 1
