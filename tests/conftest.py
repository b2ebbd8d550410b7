"""What several test modules share."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import load_host, on_backend

from zoo import files

# On JAX, what tests/test_backend.py runs there is enough for each change. Of what all recurrent layers of
# Keras can do, each is exported by what differs most; of a family's kinds, the one with most in it.
THOROUGH = re.compile(
    r"""/( families/.*(on_jax|\[jax\])
         | recipes/test_loop.py::test_learns_twenty_lines_by_heart\[jax
         | contract/test_precision.py::test_on_jax
         | layers/test_spectrogram.py::test_against_librosa
         | contract/test_one_way.py::test_read_alike\[(char_lm|ink|video|qa|translator_en_de_fixed)
         | export/test_bench.py::test_(recurrent_layers_script|every_contender_is_measured)
         | export/test_recurrent.py::test_(
             bidirectional_of_every_merge\[(lstm-none|gru) | activations\[(gru|simple|scan)
             | every_option\[(gru-masking|simple|.*-none|lstm-given) | initial_states.*\[False)
         | families/test_captioner.py::test_(exports\[first|exports\[every|learns_scenes_by_heart\[first)
         | families/test_deep_speech.py::test_exports_as_one_fused_operation\[(gru|simple)
         | families/test_line_ocr_vgsl.py::test_saved_exported_and_read_alike\[rows
         | families/test_question_answering.py::test_learns_twenty_stories_by_heart\[(list|span)
         | families/test_sequence_classifier.py::test_exports_without_a_loop\[settings[134]
         | families/test_translator.py::test_learns_digits\[copied )""",
    re.VERBOSE,
)


def pytest_collection_modifyitems(items):
    """The module that takes longest comes first, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")
    for item in items:
        if THOROUGH.search(item.nodeid):
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="session", autouse=True)
def zoo_home(tmp_path_factory):
    """Downloads and prepared corpora of the tests stay out of the user's cache, also in subprocesses."""
    home = tmp_path_factory.mktemp("zoo_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def passes_on_jax():
    """A function that runs tests in a process of their own, on JAX, and gives how many of them passed.

    It takes paths, absolute or from the repository's root, and an expression for pytest's ``-k``.
    """
    pytest.importorskip("jax")
    if os.environ.get("KERAS_BACKEND") == "jax":
        pytest.skip("runs on JAX already")

    def run(*paths, tests=""):
        command = [sys.executable, "-m", "pytest", "-qp", "no:cacheprovider", *map(str, paths), "-k", tests]
        root = Path(__file__).parents[1]
        found = subprocess.run(command, cwd=root, env=on_backend("jax"), capture_output=True, text=True)
        passed = re.search(r"^(\d+) passed", found.stdout, re.MULTILINE)
        assert found.returncode == 0 and passed, found.stdout[-3000:] + found.stderr[-1000:]
        return int(passed[1])

    return run


@pytest.fixture
def host(monkeypatch, capsys):
    """A function that runs a program of docs/hosts, given lines on standard input: what it prints."""

    def run(name, model, *arguments, lines=()):
        module = load_host(name)
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        capsys.readouterr()
        module.main(str(model), *map(str, arguments))
        return capsys.readouterr().out.split("\n")[:-1]

    return run


@pytest.fixture(scope="session")
def make_preset():
    """A function that writes a task folder with whole checksums, and no network that could be loaded."""

    def make(folder, **about):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"task": "line_ocr", "config": {}}')
        (folder / "vocabulary.json").write_text('{"characters": ["a"], "direction": "ltr"}')
        (folder / "weights.safetensors").write_bytes(bytes(1000))
        (folder / "card.md").write_text(f"# {folder.name}\n\nReads naïve lines.\n", encoding="utf-8")
        listed = {file.name: files.sha256(file) for file in sorted(folder.iterdir())}
        about = {"name": folder.name, "task": "line_ocr", "size_bytes": 2_100_000, "files": listed} | about
        (folder / "preset.json").write_text(json.dumps(about))
        return folder

    return make


WORDS = "the quick brown fox jumps over a lazy dog while five boxing wizards dine at dawn".split()


@pytest.fixture(scope="session")
def draw_line():
    """A function that draws a text as a clean line image, uint8 ``[height, width]``."""
    import matplotlib
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    folder = f"{matplotlib.get_data_path()}/fonts/ttf"

    def draw(text, size=22, font="DejaVuSerif.ttf", margin=3):
        typeface = ImageFont.truetype(f"{folder}/{font}", size)
        left, top, right, bottom = typeface.getbbox(text)
        image = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin), 255)
        ImageDraw.Draw(image).text((margin - left, margin - top), text, font=typeface, fill=0)
        return np.asarray(image)

    return draw


@pytest.fixture(scope="session")
def some_texts():
    """Twenty different short lines."""
    return [f"{WORDS[i % 16]} {WORDS[(3 * i + 1) % 16]} {i}" for i in range(20)]


@pytest.fixture(scope="session")
def line_folder(tmp_path_factory, draw_line, some_texts):
    """A corpus of those twenty lines, as four books of five."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("corpora") / "lines"
    folder.mkdir()
    for i, text in enumerate(some_texts):
        Image.fromarray(draw_line(text)).save(folder / f"book{i // 5}_{i:03d}.png")
        (folder / f"book{i // 5}_{i:03d}.gt.txt").write_text(text + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small_reader(some_texts):
    """A small LineOcr with random weights."""
    import keras

    from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
    from zoo.text.characters import Vocabulary

    keras.utils.set_random_seed(3)
    config = LineOcrConfig(height=24, filters=(8, 12, 16), units=(24,))
    return LineOcr(config, Vocabulary.from_texts(some_texts))
