import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from zoo import files
from zoo.errors import UserError

SUFFIXES = ("tar", "tar.gz", "tar.bz2", "tar.xz")
LINES = {"a.png": b"\x89PNG", "b/ä.gt.txt": b"Zeile", "c.png": bytes(range(256)) * 40}


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


# === atomic_write ===


def test_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "new" / "x.json"
    with files.atomic_write(path, text=True) as file:
        file.write("ſchön\n")
        file.flush()
        assert not path.exists()
        assert Path(file.name).suffix == ".json"
    assert path.read_bytes() == "ſchön\n".encode()
    assert listing(path.parent) == ["x.json"]


def test_error_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), files.atomic_write(path) as file:
        file.write(b"new")
        file.write(bytes([1 // 0]))
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["x.bin"]


def test_kill_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    program = """
import os, sys
from zoo.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"new" * 100_000)
    file.flush()
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1])
    assert killed.returncode == -9
    assert path.read_bytes() == b"old"

    # What the killed one left is swept away by a later write, once it is certain that it is dead.
    (left,) = (file for file in tmp_path.iterdir() if file != path)
    with files.atomic_write(path) as file:
        file.write(b"newer")
    assert left.exists()
    os.utime(left, (0, time.time() - 2 * files.STALE_SECONDS))
    with files.atomic_write(path) as file:
        file.write(b"newest")
    assert listing(tmp_path) == ["x.bin"]
    assert path.read_bytes() == b"newest"


@pytest.mark.parametrize("where", ["write", "fsync", "library"])
def test_full_disk(tmp_path, monkeypatch, where):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"x\.bin: the disk is full"), files.atomic_write(path) as file:
        file.write(b"new")
        if where == "write":
            full()
        if where == "library":
            raise RuntimeError("RESOURCE_EXHAUSTED: /x; No space left on device")
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["x.bin"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
def test_really_full_device(tmp_path):
    with pytest.raises(UserError, match="the disk is full"), files.atomic_write(tmp_path / "x") as file:
        with open("/dev/full", "wb") as full:
            full.write(b"x" * 10)
        file.write(b"x")
    assert listing(tmp_path) == []


def test_no_file_in_the_place_of_a_device_or_folder(tmp_path):
    for path in ("/dev/null", tmp_path):
        with pytest.raises(UserError, match="not a file"), files.atomic_write(path):
            pass
    assert not os.path.isfile("/dev/null")


def test_parent_is_a_file(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match=r"x/y: cannot be written here"), files.atomic_write(tmp_path / "x/y"):
        pass


def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with files.atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


# === atomic_folder ===


@pytest.mark.parametrize("exchange", [True, False])
def test_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for version in ("old", "new"):
        with files.atomic_folder(tmp_path / "best") as folder:
            (folder / "config.json").write_text(version)
            (folder / version).mkdir()
    assert listing(tmp_path) == ["best"]
    assert listing(tmp_path / "best") == ["config.json", "new"]


def test_exchange_leaves_no_moment_without_folder(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not files._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot exchange names")
    assert listing(tmp_path / "one") == ["other"]
    assert listing(tmp_path / "other") == ["one"]


def test_error_keeps_the_old_folder(tmp_path):
    with files.atomic_folder(tmp_path / "best") as folder:
        (folder / "config.json").write_text("old")
    with pytest.raises(UserError, match="disk is full"), files.atomic_folder(tmp_path / "best") as folder:
        (folder / "config.json").write_text("new")
        raise OSError(28, "No space left on device")
    assert (tmp_path / "best/config.json").read_text() == "old"
    assert listing(tmp_path) == ["best"]


def test_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/mother.txt").write_text("dear")
    with pytest.raises(UserError, match="other things"), files.atomic_folder(tmp_path / "letters"):
        pytest.fail("the block must not run")
    assert listing(tmp_path / "letters") == ["mother.txt"]


@pytest.mark.parametrize("at", [0, 1])
def test_kill_between_the_two_renames_is_mended(tmp_path, monkeypatch, at):
    def save(text):
        with files.atomic_folder(tmp_path / "best") as folder:
            (folder / "config.json").write_text(text)

    save("old")
    renames = []
    rename = os.rename

    def killed(*arguments):
        if len(renames) == at:
            raise KeyboardInterrupt
        renames.append(arguments)
        rename(*arguments)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", killed)
        save("new")
    assert (tmp_path / "best").exists() == (at == 0)
    files.recover(tmp_path / "best")
    assert (tmp_path / "best/config.json").read_text() == "old"
    assert listing(tmp_path) == ["best"]


# === open_members ===


@pytest.fixture
def corpus(tmp_path):
    """The same lines as a folder and as tars, by suffix."""
    folder = tmp_path / "lines"
    for name, data in LINES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "._a.png").write_bytes(b"of macOS")
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_bytes(b"")
    places = {"folder": folder}
    for suffix in SUFFIXES:
        places[suffix] = tmp_path / f"lines.{suffix}"
        with tarfile.open(places[suffix], f"w:{suffix.rpartition('.')[2].replace('tar', '')}") as tar:
            tar.add(folder, ".")  # as `tar czf lines.tar.gz -C lines .` does
    return places


@pytest.mark.parametrize("kind", ["folder", *SUFFIXES])
def test_members_are_the_same_everywhere(corpus, kind):
    assert list(files.open_members(corpus[kind])) == sorted(LINES.items())
    wanted = files.open_members(corpus[kind], wanted=lambda name: name.endswith(".png"))
    assert [name for name, _ in wanted] == ["a.png", "c.png"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.98])
def test_truncated(corpus, tmp_path, suffix, share):
    data = corpus[suffix].read_bytes()
    if suffix == "tar":
        data = data[: data.rindex(b"\1") + 512]  # without the archive's padding of many zero blocks
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cut\.tar.*(truncated or damaged|neither a folder nor a whole tar)"):
        list(files.open_members(cut))


def test_truncated_between_two_members(corpus, tmp_path):
    with tarfile.open(corpus["tar"]) as tar:
        last = tar.getmembers()[-1]
    cut = tmp_path / "cut.tar"
    cut.write_bytes(corpus["tar"].read_bytes()[: last.offset])
    with pytest.raises(UserError, match="truncated"):
        list(files.open_members(cut))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged(corpus, tmp_path, suffix):
    data = bytearray(corpus[suffix].read_bytes())
    middle = len(data) // 2
    if suffix == "tar":  # has check sums for its headers alone
        with tarfile.open(corpus["tar"]) as tar:
            middle = tar.getmembers()[-1].offset + 100
    data[middle : middle + 50] = bytes(b ^ 0x5A for b in data[middle : middle + 50])
    damaged = tmp_path / f"damaged.{suffix}"
    damaged.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        list(files.open_members(damaged))


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/passwd"),
        member("//etc/passwd"),
        member("../x.png"),
        member("a/../../x.png"),
        member(".."),
        member("..", tarfile.DIRTYPE),
        member("/tmp", tarfile.DIRTYPE),
        member("..\\x.png"),
        member("C:\\x.png"),
        member("\\x.png"),
        member("x.png", tarfile.SYMTYPE, "/etc/passwd"),
        member("x.png", tarfile.SYMTYPE, "a.png"),
        member("x.png", tarfile.LNKTYPE, "a.png"),
        member("x.png", tarfile.FIFOTYPE),
        member("x.png", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.type.decode()}-{info.name}",
)
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_dangerous_member_is_refused(tmp_path, bad, suffix):
    path = tmp_path / f"lines.{suffix}"
    with tarfile.open(path, f"w:{suffix[4:]}") as tar:
        tar.addfile(member("a.png"), io.BytesIO(b"abc"))
        tar.addfile(bad, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"lines\.tar.*: refused"):
        next(files.open_members(path))  # before the first, harmless, file is given
    with pytest.raises(UserError, match="refused"):
        files.extract(path, tmp_path / "out")
    assert listing(tmp_path) == [path.name]


def test_member_of_negative_size(tmp_path):
    """Python's own tarfile follows it in a circle, CVE-2025-8194."""
    info = member("a.png")
    info.size = -1536
    header = info.tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "lines.tar"
    path.write_bytes(header + bytes(512 * 20))
    with pytest.raises(UserError, match="damaged"):
        list(files.open_members(path))


def test_last_member_of_a_name_counts(tmp_path):
    with tarfile.open(tmp_path / "lines.tar", "w") as tar:
        for data in (b"old", b"new"):
            tar.addfile(member("a.png"), io.BytesIO(data))
    assert list(files.open_members(tmp_path / "lines.tar")) == [("a.png", b"new")]


def test_missing_and_other_files(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        files.open_members(tmp_path / "nowhere")
    (tmp_path / "x.tar").write_bytes(b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG" * 500)
    for name in ("x.tar", "x.png"):
        with pytest.raises(UserError, match=f"{name}: neither a folder nor a whole tar"):
            list(files.open_members(tmp_path / name))


def test_links_in_a_folder_are_followed_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").write_bytes(b"a")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/b.png").symlink_to("../real/a.png")
    (tmp_path / "lines/sub").symlink_to("../real")
    (tmp_path / "real/circle").symlink_to("../lines")
    assert list(files.open_members(tmp_path / "lines")) == [("b.png", b"a"), ("sub/a.png", b"a")]


def test_broken_link_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"a\.png: cannot be read"):
        list(files.open_members(tmp_path))


def test_full_temporary_disk(corpus, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copyfileobj", full)
    with pytest.raises(UserError, match="disk is full"):
        list(files.open_members(corpus["tar.gz"]))


# === extract ===


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extract(corpus, tmp_path, suffix):
    files.extract(corpus[suffix], tmp_path / "out")
    assert list(files.open_members(tmp_path / "out")) == sorted(LINES.items())


def test_extract_of_a_file_that_is_a_folder_too(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(member("a"), io.BytesIO(b"abc"))
        tar.addfile(member("a/b"), io.BytesIO(b"abc"))
    with pytest.raises(UserError, match="a file and a folder"):
        files.extract(tmp_path / "x.tar", tmp_path / "out")
    assert listing(tmp_path) == ["x.tar"]


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
