import contextlib
import functools
import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from zoo import files
from zoo.errors import UserError

SUFFIXES = ("tar", "tar.gz", "tar.bz2", "tar.xz")
ARCHIVES = (*SUFFIXES, "zip")
LINES = {"a.png": b"\x89PNG", "b/deep/x.txt": b"", "b/ä.gt.txt": b"Zeile", "c.png": bytes(range(256)) * 40}


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def on_disk(monkeypatch):
    """What was put on the disk, in this order: (inode, size of a file or None); True for a rename."""
    done = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def synced(fd):
        found = os.fstat(fd)
        done.append((found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else None))
        fsync(fd)

    def renamed(function, *arguments):
        function(*arguments)
        done.append(True)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", functools.partial(renamed, rename))
    monkeypatch.setattr(os, "replace", functools.partial(renamed, replace))
    return done


def inode(path):
    found = path.stat()
    return found.st_ino, found.st_size if path.is_file() else None


# === atomic_write ===


def test_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "new" / "and deep" / "x.json"
    with files.atomic_write(path, text=True) as file:
        file.write("ſchön\n")
        file.flush()
        assert not path.exists()
        assert Path(file.name).suffix == ".json"
    assert path.read_bytes() == "ſchön\n".encode()
    assert listing(path.parent) == ["x.json"]


def test_file_is_on_the_disk_before_it_has_its_name(tmp_path, on_disk):
    with files.atomic_write(tmp_path / "x.bin") as file:
        file.write(b"new")
    assert on_disk == [inode(tmp_path / "x.bin"), True, inode(tmp_path)]


def test_binary_files_can_be_read_back_and_texts_have_plain_line_ends(tmp_path):
    with files.atomic_write(tmp_path / "x.bin") as file:
        file.write(b"a\r\n")
        file.seek(0)
        assert file.read() == b"a\r\n"
    with files.atomic_write(tmp_path / "x.txt", text=True) as file:
        file.write("a\nb\r\n")
    assert (tmp_path / "x.txt").read_bytes() == b"a\nb\r\n"


def test_two_writers_never_share_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "0" * count)
    with files.atomic_write(tmp_path / "x.bin") as file:
        file.write(b"first")
        with pytest.raises(UserError, match="file exists"), files.atomic_write(tmp_path / "x.bin"):
            pytest.fail("the block must not run")
    assert (tmp_path / "x.bin").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["x[ab]*?.bin", "x.bin", "name " * 50])
def test_sweeping_spares_files_of_other_names(tmp_path, name):
    with files.atomic_write(tmp_path / name) as file:
        left = Path(file.name)
    for other in ("xa__.bin", "xb.bin", "xy.bin"):
        with files.atomic_write(tmp_path / other) as file:
            spared = Path(file.name)
        spared.touch()
        os.utime(spared, (0, 0))
    left.mkdir()
    (left / "x").touch()
    os.utime(left, (0, 0))
    with files.atomic_write(tmp_path / name):
        pass
    assert not left.exists()
    assert len([file for file in tmp_path.iterdir() if ".part" in file.name]) == 3


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


@pytest.mark.parametrize("where", ["create", "write", "fsync", "library"])
def test_full_disk(tmp_path, monkeypatch, where):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    if where in ("create", "fsync"):
        monkeypatch.setattr(*{"create": (Path, "touch"), "fsync": (os, "fsync")}[where], full)
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
    for name in ("x/y", "x/y/z"):
        message = rf"{name}: cannot be written here \((file exists|not a directory)\); choose another place"
        with pytest.raises(UserError, match=message), files.atomic_write(tmp_path / name):
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


@pytest.mark.parametrize("exchange", [True, False])
def test_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, on_disk, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    best = tmp_path / "best"
    for renames in (1, 0 if exchange else 2):
        on_disk.clear()
        with files.atomic_folder(best) as folder:
            (folder / "sub").mkdir()
            (folder / "config.json").write_text("{}")
            (folder / "sub/x").write_bytes(b"x")
        written = {inode(path) for path in (best, *best.rglob("*"))}
        assert set(on_disk[:4]) == written and len(written) == 4
        assert on_disk[4:] == [True] * renames + [inode(tmp_path)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such call")
def test_exchange_leaves_no_moment_without_folder(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    monkeypatch.chdir(tmp_path)
    assert files._exchange(Path("one"), tmp_path / "other")
    assert listing(tmp_path / "one") == ["other"]
    assert listing(tmp_path / "other") == ["one"]
    assert not files._exchange(Path("one"), Path("none"))
    assert listing(tmp_path / "one") == ["other"]


@pytest.mark.parametrize("error", [AttributeError, TypeError])
def test_systems_that_cannot_exchange(monkeypatch, error):
    def library(name):
        raise error

    monkeypatch.setattr(files.ctypes, "CDLL", library)
    assert files._exchange("one", "other") is False


@pytest.mark.parametrize("exchange", [True, False])
def test_what_another_process_made_meanwhile_can_be_kept(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for keep, stays in [(True, "theirs"), (False, "mine")]:
        path = tmp_path / stays
        with files.atomic_folder(path, keep=keep) as folder:
            (folder / "mine").touch()
            path.mkdir()
            (path / "theirs").touch()
        assert listing(path) == [stays]
    (tmp_path / "theirs").rename(tmp_path / "once more")
    with files.atomic_folder(tmp_path / "once more", keep=True) as folder:
        (folder / "mine").touch()
    assert listing(tmp_path / "once more") == ["theirs"]
    assert listing(tmp_path) == ["mine", "once more"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(OSError), files.atomic_folder(tmp_path / "best") as folder:
        (folder / "config.json").touch()
        (tmp_path / "best").write_text("theirs")
    assert (tmp_path / "best").read_text() == "theirs"
    assert listing(tmp_path) == ["best"]


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
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match="other things"), files.atomic_folder(tmp_path, marker=None):
        pytest.fail("the block must not run")
    with pytest.raises(UserError, match="a file of this name"), files.atomic_folder(tmp_path / "config.json"):
        pytest.fail("the block must not run")
    assert listing(tmp_path) == ["config.json", "letters"]


def test_an_empty_folder_is_filled(tmp_path):
    with files.atomic_folder(tmp_path) as folder:
        (folder / "x").touch()
    assert listing(tmp_path) == ["x"]


def fail_to_write(path):
    with pytest.raises(ZeroDivisionError), files.atomic_folder(path):
        raise ZeroDivisionError


@pytest.mark.parametrize("at", [0, 1, 2])  # the first finds that there is a folder
@pytest.mark.parametrize("mend", [files.recover, fail_to_write])
def test_kill_between_the_two_renames_is_mended(tmp_path, monkeypatch, at, mend):
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
    assert (tmp_path / "best").exists() == (at < 2)
    mend(tmp_path / "best")
    assert (tmp_path / "best/config.json").read_text() == "old"
    assert listing(tmp_path) == ["best"]
    save("new")
    assert (tmp_path / "best/config.json").read_text() == "new"
    assert listing(tmp_path) == ["best"]


def test_what_a_kill_after_the_renames_left_is_in_nobody_s_way(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for name in ("best", ".best.part.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    files.recover(tmp_path / "best")
    assert (tmp_path / "best/config.json").read_text() == "best"
    with files.atomic_folder(tmp_path / "best") as folder:
        (folder / "config.json").write_text("new")
    assert (tmp_path / "best/config.json").read_text() == "new"
    assert listing(tmp_path) == ["best"]


@pytest.mark.parametrize("number, told", [(5, True), (28, True), (22, False)])  # EIO, ENOSPC, EINVAL
def test_only_a_failing_disk_is_told_of_folders(tmp_path, monkeypatch, number, told):
    def fails(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fails)
    opened = os.listdir("/proc/self/fd") if sys.platform == "linux" else None
    with contextlib.ExitStack() as stack:
        if told:
            stack.enter_context(pytest.raises(UserError if number == 28 else OSError))
        with files.atomic_folder(tmp_path / "best") as folder:
            (folder / "config.json").touch()
    assert (tmp_path / "best").exists() != told
    assert opened is None or os.listdir("/proc/self/fd") == opened


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
    places["zip"] = tmp_path / "lines.zip"
    with zipfile.ZipFile(places["zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/._a.png", b"of macOS")
    return places


@pytest.mark.parametrize("kind", ["folder", *ARCHIVES])
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


def test_one_block_of_zeros_is_an_end(corpus, tmp_path):
    data = corpus["tar"].read_bytes().rstrip(b"\0")
    whole = tmp_path / "whole.tar"
    whole.write_bytes(data + bytes(-len(data) % 512 + 512))
    assert list(files.open_members(whole)) == sorted(LINES.items())
    whole.write_bytes(data + bytes(-len(data) % 512 + 511))
    with pytest.raises(UserError, match="truncated"):
        list(files.open_members(whole))


def test_truncated_while_it_is_read(corpus):
    members = files.open_members(corpus["tar"])
    next(members)
    os.truncate(corpus["tar"], 1000)
    with pytest.raises(UserError, match="truncated"):
        list(members)


def test_a_disk_that_fails_while_it_is_read(corpus, monkeypatch):
    def fails(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "_unpacked", fails)
    with pytest.raises(UserError, match=r"lines\.tar\.xz: cannot be read \(input/output error\)$"):
        list(files.open_members(corpus["tar.xz"]))


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
        files.extract(path, tmp_path)
    assert listing(tmp_path) == [path.name]


def test_links_in_an_archive_lead_to_files_in_it(tmp_path):
    outside = ("/etc/passwd", "../../a.png", "gone.png", "loop.png", "..")
    with tarfile.open(tmp_path / "lines.tar.gz", "w:gz") as tar:
        tar.addfile(member("a.png"), io.BytesIO(b"abc"))
        tar.addfile(member("b/hard.png", tarfile.LNKTYPE, "./a.png"))
        tar.addfile(member("b/soft.png", tarfile.SYMTYPE, "../c.png"))
        tar.addfile(member("c.png", tarfile.SYMTYPE, "a.png"))
        tar.addfile(member("loop.png", tarfile.SYMTYPE, "loop.png"))
        for number, target in enumerate(outside):
            tar.addfile(member(f"x{number}.png", tarfile.SYMTYPE, target))
    links = {}
    for name, target in {"b/soft.png": "../a.png", "x.png": "/etc/passwd", "y.png": "p" * 5000}.items():
        link = zipfile.ZipInfo(name)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        links[link] = target.encode()
    packed(tmp_path / "lines.zip", {"a.png": b"abc", **links})
    for suffix, there, refused in (("tar.gz", 4, 6), ("zip", 2, 2)):
        path, skipped = tmp_path / f"lines.{suffix}", []
        found = dict(files.open_members(path, skipped=skipped))
        assert set(found.values()) == {b"abc"} and len(found) == there and "b/soft.png" in found
        assert len(skipped) == refused and all(f"{path}: refused, '" in sentence for sentence in skipped)
        with pytest.raises(UserError, match="in it is a link to '.*', which is no file in it"):
            list(files.open_members(path))


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
    with pytest.raises(UserError, match="x.tar: neither a folder nor a whole tar"):
        list(files.open_members(tmp_path / "x.tar"))
    with pytest.raises(files.NoArchive, match="x.png: this is a PNG image, neither a folder nor a tar"):
        list(files.open_members(tmp_path / "x.png"))


@pytest.mark.parametrize(
    "data, content",
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV audio"),
        (b'<?xml version="1.0"?>\n<xliff version="1.2">', "XML that begins with <xliff>"),
        (b"<!DOCTYPE html>\n<html>", "HTML,"),
        (b"good\ta film\n", "a text file, its columns between tabs"),
        (b"a film\n", "a text file,"),
        (b'[{"a": 1}]', "JSON"),
        (b"\1\0\2", "a file of no kind"),
        (gzip.compress(b"%PDF-1.4", mtime=0), "a PDF"),
        (b"", "an empty file"),
    ],
)
def test_a_file_that_is_no_archive(data, content, tmp_path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(files.NoArchive, match=f"x: this is {content}"):
        list(files.open_members(tmp_path / "x"))


def test_links_in_a_folder_are_followed_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").write_bytes(b"a")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/b.png").symlink_to("../real/a.png")
    (tmp_path / "lines/sub").symlink_to("../real")
    for name in ("one", "other"):  # ways without end, 2 to the power of 40 of them
        (tmp_path / f"real/{name}").symlink_to("../lines")
    assert list(files.open_members(tmp_path / "lines")) == [("b.png", b"a"), ("sub/a.png", b"a")]


def test_of_links_to_one_folder_the_first_name_counts(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").touch()
    (tmp_path / "lines").mkdir()
    for name in "gbhcdfae":
        (tmp_path / f"lines/{name}").symlink_to("../real")
    assert [name for name, _ in files.open_members(tmp_path / "lines")] == ["a/a.png"]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="a Linux file")
def test_a_file_that_the_system_does_not_give():
    with pytest.raises(UserError, match=r"^/proc/self/mem: cannot be read \(input/output error\)$"):
        list(files.open_members("/proc/self/mem"))


def packed(path, members, **options):
    """A zip of ``{name: bytes}``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, **options)
    return path


def test_zip_of_windows(tmp_path):
    path = packed(tmp_path / "x.zip", {"a/b.png": b"1"})
    path.write_bytes(path.read_bytes().replace(b"a/b.png", b"a\\b.png"))
    assert list(files.open_members(path)) == [("a/b.png", b"1")]
    assert list(files.open_members(packed(tmp_path / "empty.zip", {}))) == []


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "C:\\x.png", "a/../../x.png"])
def test_dangerous_zip_is_refused(name, tmp_path):
    path = packed(tmp_path / "x.zip", {"a.png": b"1", name: b"2"})
    with pytest.raises(UserError, match=r"x\.zip: refused, it holds the path"):
        next(files.open_members(path))
    secret = bytearray(packed(path, {"a.png": b"1"}).read_bytes())
    secret[6] |= 1
    secret[secret.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(secret)
    with pytest.raises(UserError, match=r"x\.zip: this zip is encrypted; unpack it"):
        next(files.open_members(path))


def test_damaged_zip(tmp_path):
    data = packed(tmp_path / "x.zip", {"a.png": bytes(range(256)) * 9, "b.png": b"2"}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[:-30])
    with pytest.raises(UserError, match=r"cut\.zip: this zip is truncated or damaged"):
        next(files.open_members(tmp_path / "cut.zip"))
    (tmp_path / "bad.zip").write_bytes(data[:60] + b"????" + data[64:])
    skipped = []
    assert list(files.open_members(tmp_path / "bad.zip", skipped=skipped)) == [("b.png", b"2")]
    assert len(skipped) == 1 and "bad.zip: a.png in it is damaged" in skipped[0]
    with pytest.raises(UserError, match="a.png in it is damaged"):
        list(files.open_members(tmp_path / "bad.zip"))


def test_a_zip_that_would_fill_the_disk(tmp_path, monkeypatch):
    path = packed(tmp_path / "bomb.zip", {"a.png": bytes(3 << 20), "b.png": bytes(3 << 20)})
    assert len(list(files.open_members(path))) == 2
    monkeypatch.setattr(files, "ALWAYS", 4 << 20)
    with pytest.raises(UserError, match=r"bomb\.zip: refused, it unpacks to more than 4 MiB"):
        next(files.open_members(path))


@pytest.mark.parametrize("start, name", [(b"Rar!\x1a\7", "RAR"), (b"7z\xbc\xaf'\x1c", "7-Zip")])
def test_archives_of_other_programs(start, name, tmp_path):
    (tmp_path / "x").write_bytes(start + bytes(100))
    with pytest.raises(UserError, match=f"x: this is packed with {name}; unpack it"):
        next(files.open_members(tmp_path / "x"))


def test_some_files_in_place_of_a_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    listed = files.FileList({"x/a.png": tmp_path / "a.png", "b.png": tmp_path / "gone"}, "mine")
    skipped = []
    assert list(files.open_members(listed, skipped=skipped)) == [("x/a.png", b"1")]
    assert len(skipped) == 1 and str(listed) == "mine"
    before = files.stamps(listed)
    (tmp_path / "a.png").write_bytes(b"12")
    assert files.stamps(listed) != before and len(before) == 2


def test_stamps_see_through_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/sub").symlink_to("../real")
    (tmp_path / "lines/loop").symlink_to("loop")
    before = files.stamps(tmp_path / "lines")
    (tmp_path / "real/a.png").write_bytes(b"1")
    assert len(files.stamps(tmp_path / "lines")) == len(before) + 1 == 2


def test_what_cannot_be_read_is_skipped_if_wanted(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", locked)
    skipped = []
    assert list(files.open_members(tmp_path, skipped=skipped)) == [("a.png", b"1")]
    assert [sentence.rpartition("/")[2] for sentence in skipped] == [
        "locked: cannot be read (permission denied).",
        "loop.png: cannot be read (too many levels of symbolic links).",
    ]
    with pytest.raises(UserError, match=r"locked: cannot be read \(permission denied\)$"):
        list(files.open_members(tmp_path))
    with pytest.raises(UserError, match=r"locked: cannot be read \(permission denied\)$"):
        list(files.open_members(tmp_path / "locked", skipped=[]))


def test_broken_link_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(no such file or directory\)$"):
        list(files.open_members(tmp_path))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
def test_full_temporary_disk(corpus, monkeypatch):
    monkeypatch.setattr(files.tempfile, "TemporaryFile", lambda: open("/dev/full", "wb", buffering=0))
    with pytest.raises(UserError, match="disk is full"):
        list(files.open_members(corpus["tar.gz"]))


def zeros(path, size):
    """A tar of that many zeros, as small as its suffix makes it."""
    with tarfile.open(path, f"w:{path.suffix[1:]}") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = size
        tar.addfile(info, io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_what_would_fill_the_disk_is_refused(tmp_path, monkeypatch, suffix):
    path = zeros(tmp_path / f"bomb.{suffix}", 5 << 20)
    (name, data), *more = files.open_members(path)
    assert (name, len(data), more) == ("a.png", 5 << 20, [])  # so little is no harm
    monkeypatch.setattr(files, "ALWAYS", 4 << 20)
    message = rf"bomb\.{suffix}: refused, it unpacks to more than 4 MiB"
    with pytest.raises(UserError, match=message):
        files.open_members(path).__next__()
    with pytest.raises(UserError, match=message):
        files.extract(path, tmp_path)
    assert listing(tmp_path) == [path.name]


def test_what_a_file_may_unpack_to(monkeypatch):
    class Packed(io.BytesIO):
        taken = 0

        def read(self, size):
            self.taken += 1
            return b"x" * (size if self.taken < 100 else 0)

    monkeypatch.setattr(files, "RATIO", 3)
    monkeypatch.setattr(files, "ALWAYS", 6 << 20)
    monkeypatch.setattr(files, "LARGEST", 12 << 20)
    for size, most in [(1 << 20, 6), (3 << 20, 9), (1 << 30, 12)]:
        packed = Packed()
        with pytest.raises(UserError, match=f"x: refused, it unpacks to more than {most} MiB"):
            list(files._unpacked(packed, size, "x"))
        assert packed.taken == most + 1


@pytest.mark.parametrize("text", [b"", b"plain", "größe\n".encode() * 1000, bytes(5 << 20)])
def test_gunzip(text, tmp_path):
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    assert files.gunzip(text, "x") == files.gunzip(gzip.compress(text), "x") == text
    for name in ("plain", "packed"):
        chunks = list(files.read_chunks(tmp_path / name))
        assert b"".join(chunks) == text and all(0 < len(chunk) <= 1 << 20 for chunk in chunks)


def test_gunzip_of_what_is_damaged_or_too_large(monkeypatch, tmp_path):
    packed = gzip.compress(b"word " * (1 << 20))
    path = tmp_path / "words.gz"
    for damaged in (packed[:-20], packed[:200] + b"?" + packed[201:], packed[:2] + b"no gzip"):
        path.write_bytes(damaged)
        for read in (lambda data: files.gunzip(data, path), lambda _: list(files.read_chunks(path))):
            with pytest.raises(UserError, match=r"words\.gz: this gzip file is damaged"):
                read(damaged)
    path.write_bytes(packed)
    monkeypatch.setattr(files, "ALWAYS", 4 << 20)
    for read in (lambda: files.gunzip(packed, path), lambda: list(files.read_chunks(path))):
        with pytest.raises(UserError, match=r"words\.gz: refused, it unpacks to more than 4 MiB"):
            read()
    for missing in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=f"{missing}: cannot be read .*check the name"):
            list(files.read_chunks(missing))


# === extract ===


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extract(corpus, tmp_path, suffix):
    (tmp_path / "out").mkdir()
    files.extract(corpus[suffix], tmp_path / "out")
    assert list(files.open_members(tmp_path / "out")) == sorted(LINES.items())


def test_extract_of_a_file_that_is_a_folder_too(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(member("a"), io.BytesIO(b"abc"))
        tar.addfile(member("a/b"), io.BytesIO(b"abc"))
    with pytest.raises(UserError, match="a file and a folder"):
        files.extract(tmp_path / "x.tar", tmp_path / "out")


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
