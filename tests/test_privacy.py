"""What a user does stays on the machine: nothing is written to HOME for others, nobody is asked or told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from export import runtime

ROOT = Path(__file__).parents[1]
ZOO = (sys.executable, "-m", "zoo")
IDLE = 12  # seconds; onnxruntime 1.32 looks up its maker's host after nine


def run(home, *command, cwd=ROOT, **chosen):
    """What a command prints for a user who has never run any of this, and has set ``chosen`` alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT)} | chosen
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(home):
    return [path.name for path in home.rglob("*") if path.is_file()]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="module")
def exported(tmp_path_factory, small_reader, draw_line):
    """A folder with ``reader.onnx``, a line to read, and the HOME of the user who has exported it."""
    import matplotlib

    folder = tmp_path_factory.mktemp("privacy")
    (folder / "home").mkdir()
    small_reader.save(folder / "task")
    Image.fromarray(draw_line("the quick fox")).save(folder / "line.png")
    command = (*ZOO, "export", folder / "task", "--output", folder / "reader.onnx")
    run(folder / "home", *command, MPLCONFIGDIR=matplotlib.get_cachedir())  # its list of fonts takes long
    return folder


@pytest.mark.slow
def test_export_leaves_nothing(exported):
    assert set(written(exported / "home")) <= {"keras.json"}


def test_reading_leaves_nothing(home, exported, tmp_path):
    arguments = exported / "reader.onnx", exported / "line.png"
    line = run(home, *ZOO, "predict", *arguments)
    assert written(home) == []
    # The file that is copied alone to a host.
    shutil.copy(runtime.__file__, tmp_path / "runtime.py")
    assert run(home, sys.executable, "runtime.py", *arguments, cwd=tmp_path, PYTHONPATH="") == line
    assert written(home) == []


@pytest.mark.parametrize("module", ["zoo", "export.runtime"])
def test_the_user_may_choose_otherwise(home, module):
    program = f"import os, {module}, onnxruntime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert run(home, sys.executable, "-c", program) == "1\n"
    assert written(home) == []
    assert run(home, sys.executable, "-c", program, ORT_DISABLE_TELEMETRY="0") == "0\n"
    if not written(home):
        pytest.skip("this onnxruntime keeps no events, so that the tests before cannot fail")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_nobody_is_asked_or_told(home, exported, tmp_path):
    program = (
        "import sys, time\nfrom export import runtime\n"
        f"print(*runtime.load(sys.argv[1])(sys.argv[2:]))\ntime.sleep({IDLE})"
    )
    trace = ("strace", "-f", "-e", "trace=socket,connect,sendto", "-o", tmp_path / "calls")
    run(home, *trace, sys.executable, "-c", program, exported / "reader.onnx", exported / "line.png")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "AF_INET" in call] == []
