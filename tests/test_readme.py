"""Every command in the README runs, in its order, in a folder that holds what it names."""

import argparse
import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from zoo import __version__, cli, hub
from zoo.text.files import read_text

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
README = BLOCKS.findall((ROOT / "README.md").read_text(encoding="utf-8"))
# The targets of make are the tests themselves and the quickstart.
NOT_RUN = re.compile("make ")
# Of training, a few steps show that the command is right.
SHORTER = {"zoo finetune": " --training.epochs 1"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory, draw_line, line_folder):
    folder = tmp_path_factory.mktemp("desk")
    for name in ("scan", "scan1", "scan2"):
        Image.fromarray(draw_line(f"This is {name}.", size=30)).save(folder / f"{name}.png")
    page = Image.new("L", (700, 300), 250)
    for i, text in enumerate(("This is a page", "of two lines.")):
        page.paste(Image.fromarray(draw_line(text, size=30)).convert("L"), (40, 60 + 60 * i))
    page.save(folder / "page.jpg")
    (folder / "scans").mkdir()
    page.save(folder / "scans" / "1.jpg")
    shutil.copytree(line_folder, folder / "my_lines")
    shutil.copy(Path(__file__).with_name("data") / "speech.ogg", folder / "seven.wav")
    opinions = (f"{'positive' if i % 2 else 'negative'}\tWe saw film {i}.\n" for i in range(40))
    (folder / "reviews.tsv").write_text("label\ttext\n" + "".join(opinions))
    (folder / "letter.txt").write_text("We went to the park.\n\nThen we came home.\n")
    return folder


def run(command, desk):
    """A command of ``zoo`` in this process, which has loaded Keras already; what it printed."""
    said = io.StringIO()
    with contextlib.chdir(desk), contextlib.redirect_stdout(said):
        status = cli.main(shlex.split(command)[1:])
    assert status == 0, f"{command}\n{said.getvalue()}"
    return said.getvalue()


def commands(blocks):
    """Those in blocks without a language, without their remarks."""
    lines = (line for language, block in blocks if not language for line in block.splitlines())
    found = (re.sub(r"\s+# .*", "", line).strip() for line in lines)
    return [command for command in found if command]


@pytest.mark.slow
def test_commands(desk):
    ran = 0
    for command in commands(README):
        if NOT_RUN.match(command):
            continue
        command += "".join(more for start, more in SHORTER.items() if command.startswith(start))
        assert run(command, desk).strip(), command
        ran += 1
    assert ran >= 10
    assert (desk / "reader.onnx").is_file()
    assert "This is scan." in run("zoo predict line_ocr_en scan.png", desk)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/serving.md", "docs/export.md", "docs/python.md"])
def test_python_examples(page, desk, monkeypatch):
    """What README's commands have made is there; otherwise it is made here."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not (desk / "reader.onnx").is_file():
        run("zoo export line_ocr_en --output reader.onnx", desk)
    examples = [block for language, block in BLOCKS.findall(read_text(ROOT / page)) if language == "python"]
    assert examples
    names = {}  # the blocks of a page are one program
    for example in examples:
        with contextlib.chdir(desk):
            exec(compile(example, page, "exec"), names)


PAGES = {page.stem: page for page in sorted((ROOT / "docs").glob("*.md"))}
# What a page's own runs and files are models of, where it is not lines.
MODELS = {
    "captions": "captioner_flickr8k", "ink": "ink_formulae", "questions": "qa_babi",
    "script": "script_arabic", "sequences": "wrist_activity", "speech": "deep_speech_en",
    "text": "sentiment_en", "translation": "translator_en_de", "videos": "video_moving_digits",
    "voice": "voice_de_kerstin", "runs/novels": "char_lm_c",
}  # fmt: skip


class UnderstoodError(Exception):
    """Raised in place of what a command would do once its options have been read."""


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_pages_are_understood(page, monkeypatch):
    """Each names a command, a model and options that there are; what they do is for the tests of these."""
    parse_args = argparse.ArgumentParser.parse_args

    def understand(self, *arguments, **options):
        read = parse_args(self, *arguments, **options)
        if self.prog in ("zoo train", "zoo finetune"):  # which know the family or the preset now
            return read
        raise UnderstoodError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", understand)
    for file, _ in cli.COMMANDS.values():
        module = importlib.import_module(f"zoo.cli.{file}")
        if hasattr(module, "run"):
            monkeypatch.setattr(module, "run", lambda options: 0)
        if hasattr(module, "refuse"):
            monkeypatch.setattr(module, "refuse", lambda options, further: None)  # argparse refuses, too
    text = read_text(PAGES[page]).replace("\\\n", " ")
    for command in commands(BLOCKS.findall(text)):
        if not re.search(r"\bzoo |python -m recipes\.", command):  # the contents of files, messages
            continue
        for words in map(shlex.split, re.split(r"\s[|;]\s", command)):
            with contextlib.suppress(UnderstoodError):
                try:
                    read(words, MODELS.get(page, "line_ocr_en"))
                except SystemExit as error:
                    assert not error.code, f"{command}: its options are not understood"


def read(words, model):
    """Have a command read its options; SystemExit where it does not understand them."""
    if words[:1] == ["zoo"]:
        if words[1] in ("predict", "evaluate", "finetune", "show", "verify") and words[2] not in hub.names():
            words[2] = MODELS.get(words[2], model)
        cli.main(words[1:])  # which tells of files that are not here, and gives 2
    elif words[:2] == ["python", "-m"] and words[2].startswith("recipes."):
        importlib.import_module(words[2]).main(words[3:])


def test_the_version_to_cite_is_this_one():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
