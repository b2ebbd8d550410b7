"""``zoo cache``: what is kept on this computer."""

import json
import re

import pytest

from zoo import cli, hub


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A ``$ZOO_HOME`` with copies of two corpora, one of an earlier version, a download and a preset."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    sizes = {"corpora/0a": 1500, "corpora/0b": 2_500_000, "downloads/0c": 1, "presets/mine": 1}
    for name, size in sizes.items():
        folder = tmp_path / "home" / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"x" * size)
    about = {"source": str(tmp_path / "lines"), "count": 1203, "noun": "line"}
    (tmp_path / "home/corpora/0a" / hub.ABOUT_COPY).write_text(json.dumps(about))
    return tmp_path / "home"


def test_show(home, capsys):
    for command in (["cache"], ["cache", "show"]):
        assert cli.main(command) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{home}: 2.5 MB, nothing of which leaves this computer\n")
        assert re.search(rf"  0a +1,203 lines +1\.\d kB  \d{{4}}-\d\d-\d\d  {home.parent}/lines\n", out)
        assert re.search(r"  0b +2\.5 MB  \d{4}-\d\d-\d\d  unknown: an earlier version made it\n", out)
        assert "models from addresses:\n  0c" in out and "presets of your own:\n  mine" in out


def test_show_of_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "none"))
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path}/none: 0.0 kB")
    assert cli.main(["cache", "clear"]) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("what", ["0a", "lines", "./lines", "{home}/../lines"])
def test_clear_one(home, what, monkeypatch, capsys):
    monkeypatch.chdir(home.parent)
    assert cli.main(["cache", "clear", what.format(home=home)]) == 0
    assert capsys.readouterr().out.startswith(f"{home}: 1 folder removed, 1.")
    assert [folder.name for folder in (home / "corpora").iterdir()] == ["0b"]


def test_clear_all_but_presets(home, capsys):
    assert cli.main(["cache", "clear"]) == 0
    assert "3 folders removed, 2.5 MB" in capsys.readouterr().out
    assert [path.name for path in home.rglob("data")] == ["data"] and (home / "presets/mine/data").exists()


@pytest.mark.parametrize("what", ["mine", "nothing"])
def test_clear_of_what_is_not_kept(home, what, capsys):
    assert cli.main(["cache", "clear", "0a", what]) == 2
    assert capsys.readouterr().err.startswith(f"zoo: {what}: nothing of this is kept; `zoo cache show`")
    assert (home / "corpora/0a").exists()
