"""Files that are whole or not there: atomic writing, checksums, and corpora in folders or archives.

with atomic_write("runs/mine/history.csv", text=True) as file:
    file.write(table)                                   # a kill here leaves the old file
with atomic_folder("runs/mine/best", marker="config.json") as folder:
    (folder / "config.json").write_text(config)         # the folder takes its name when all is in it
for name, data in open_members("lines.tar.xz"):         # or a folder or zip: the same names and bytes
    ...
"""

from __future__ import annotations

import bz2
import contextlib
import ctypes
import errno
import glob
import gzip
import hashlib
import io
import lzma
import os
import posixpath
import re
import secrets
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import IO, Any

from zoo.errors import UserError

STALE_SECONDS = 3600  # a temporary file untouched for so long belongs to a process that was killed
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last is the limit of `ulimit -f`

# A compressed file may unpack to RATIO times its size (text has some 5, white paper 100; one made to fill a
# disk has 1000 as gzip, 7000 as xz), or to ALWAYS bytes where that is more, and never beyond LARGEST.
RATIO, ALWAYS, LARGEST = 250, 1 << 28, 1 << 37

_GZIP = b"\x1f\x8b"  # how such a file begins


# === Writing ===


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, text: bool = False) -> Iterator[IO]:
    """Open a file that appears under ``path`` only when it is complete and on the disk.

    The bytes go to a hidden file in the same folder (created if missing), which takes the name
    ``path`` when the block ends without an error, and is removed when it does not. Whatever was
    there before stays until then. Libraries that want a path rather than a file may write to
    the file's ``.name``: it has the suffix of ``path``.

    Args:
        path: the file to write. A link is followed: the file it points to is replaced.
        text: True gives a UTF-8 text file without newline translation, False a binary one.

    Raises:
        UserError: the disk is full, or ``path`` cannot be written there.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # replacing /dev/null by a file would be remembered
        raise UserError(f"{path}: this is not a file, so nothing was written; give a file name")
    options = {"mode": "w+", "encoding": "utf-8", "newline": "\n"} if text else {"mode": "w+b"}
    with _full_disk(path):
        temporary = _temporary(path, Path.touch)
        try:
            with open(temporary, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike, marker: str | None = "config.json", keep: bool = False
) -> Iterator[Path]:
    """Yield an empty folder that takes the name ``path`` only when all its files are on the disk.

    Args:
        path: the folder to write.
        marker: name of a file by which an earlier version of the same thing is known, such as
            "config.json". An existing folder that holds it is replaced as a whole, in one step
            where the system can exchange two names; ``recover`` mends the one where it cannot.
        keep: True leaves a folder that is there when the block ends, whatever is in it: another process
            that makes the same was faster.

    Raises:
        UserError: the disk is full, ``path`` cannot be written there, or ``path`` is a file or a folder
            with other things in it. Nothing has changed then.
    """
    path = Path(os.path.realpath(path))
    recover(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: a file of this name exists; remove it or choose another folder")
    if path.is_dir() and any(path.iterdir()) and not keep and not (marker and (path / marker).exists()):
        raise UserError(f"{path}: this folder has other things in it, nothing was written; choose a new one")
    with _full_disk(path):
        temporary = _temporary(path, Path.mkdir)
        try:
            yield temporary
            for folder, _, files in os.walk(temporary):
                for name in files:
                    _sync(os.path.join(folder, name))
                _sync(folder)
            _take_name(temporary, path, keep)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync(path.parent)


def recover(path: str | os.PathLike) -> None:
    """Give a folder its name back that a kill took away in the middle of ``atomic_folder``."""
    path = Path(path)
    old = _old(path)
    if old.is_dir() and not path.exists():
        old.rename(path)


def _take_name(temporary, path, keep):
    """Rename the folder ``temporary`` to ``path``; what stood there is afterwards ``temporary``, or gone."""
    try:
        os.rename(temporary, path)
        return
    except OSError:  # there is a folder, perhaps since a moment: what a look before would not tell for sure
        if not path.is_dir():
            raise
    if not keep and not _exchange(temporary, path):
        old = _old(path)
        shutil.rmtree(old, ignore_errors=True)
        os.rename(path, old)  # a kill between this line and the next is what `recover` is for
        os.rename(temporary, path)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one, other):
    """Swap two names in one step (Linux, renameat2 with RENAME_EXCHANGE); False where it cannot be done."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, TypeError):  # of macOS, of Windows
        return False
    here = -100  # AT_FDCWD: paths are relative to the working folder
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), 2) == 0


def _temporary(path, create):
    """Create a hidden file or folder beside ``path``; sweep away those that killed processes left."""
    start = f".{path.stem[:100]}."
    temporary = path.parent / f"{start}{secrets.token_hex(4)}.part{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create(temporary, exist_ok=False)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(f"{path}: cannot be written here ({_why(error)}); choose another place") from error
    for stale in path.parent.glob(f"{glob.escape(start)}*.part*"):
        with contextlib.suppress(OSError):
            if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    return temporary


def _old(path):
    return path.parent / f".{path.name}.part.old"


def _sync(path):
    """Have a file or folder put on the disk. Not every file system can: only a failing disk counts."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in (*FULL, errno.EIO):
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def _full_disk(path):
    """Turn a full disk, whoever noticed it, into a UserError that names ``path``."""
    try:
        yield
    except Exception as error:
        # TensorFlow and safetensors have exceptions of their own for it: only the text tells.
        if getattr(error, "errno", None) in FULL or "No space left on device" in str(error):
            raise UserError(
                f"{path}: the disk is full, free some space and try again; nothing was written"
            ) from error
        raise


def _why(error):
    return (error.strerror or str(error)).lower()


# === Reading ===


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileList:
    """Some files, which ``open_members`` and ``stamps`` take in place of a folder of them.

    Args:
        members: ``{name: path}``, names with "/".
        title: what messages call it.
    """

    def __init__(self, members: dict[str, str | os.PathLike], title: str) -> None:
        self.members = {name: Path(path) for name, path in members.items()}
        self.title = str(title)

    def __str__(self):
        return self.title


class NoArchive(UserError):
    """A file is no archive, so that it stands for no folder.

    Attributes:
        content: what it is: "WAV audio".
    """

    def __init__(self, path: str | os.PathLike, content: str) -> None:
        self.content = content
        super().__init__(f"{path}: this is {content}, neither a folder nor a tar or zip; check the name")


def corpus_name(path: str | os.PathLike) -> str:
    """What a corpus is called: the name of its file or folder, without suffixes of archives and tables."""
    return re.sub(_CORPUS_SUFFIXES, "", Path(path).name)


_CORPUS_SUFFIXES = r"(?i)\.(tar|tgz|tbz2?|txz)(\.(gz|bz2|xz))?$|\.(zip|csv|tsv|json|jsonl|parquet)$"


def open_members(
    path: str | os.PathLike | FileList, wanted: Callable[[str], bool] | None = None,
    skipped: list[str] | None = None,
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Iterate over the files of a folder, a tar or a zip, in the order of their names.

    A corpus gives the same names, bytes and order whether it is a folder, a zip or a tar of it, plain or
    compressed (gzip, bzip2, xz). Hidden files (a part of the name begins with ".", as macOS's ``._scan.png``)
    are left out. Links in a folder are followed, each folder once; in an archive, those to files in it. A
    compressed tar is unpacked to an unnamed temporary file first, since names come sorted and compression
    knows no way back.

    Args:
        path: a folder, walked with all below it, a tar, a zip or a ``FileList``.
        wanted: takes a name, tells whether to read that file; by default all are read.
        skipped: a list; a sentence is appended for each file and folder in it that cannot be read, as a link
            to nowhere or to itself, and the others are given. Without it, the first of these is an error.

    Yields:
        (name, data): the path inside the folder or archive, with "/", as str; the file's bytes.

    Raises:
        UserError: nothing there, or a tar or zip that is truncated, damaged or encrypted, that has absolute
            paths, ".." or devices in it, or unpacks to a size beyond reason: it is refused before its first
            file is read. A link to what is no file in it is refused when its turn comes. Of a file that is
            no archive it is ``NoArchive``.
    """
    if isinstance(path, FileList):
        members = ({name: _reader(file) for name, file in files} for files in [path.members.items()])
    elif os.path.isdir(path):
        members = ({name: _reader(file) for name, file in files} for files in [_walk(path, skipped)])
    elif os.path.exists(path):
        members = _archive_members(Path(path))
    else:
        raise UserError(f"{path}: no such file or folder; check the name")
    return _read_members(members, wanted or (lambda name: True), skipped)


def member_path(path: str | os.PathLike | FileList, name: str) -> Path | None:
    """Where the file ``name`` of ``open_members`` lies on the disk; None if it is in an archive."""
    if isinstance(path, FileList):
        return path.members[name]
    return Path(path, name) if os.path.isdir(path) else None


def stamps(path: str | os.PathLike | FileList) -> list[str]:
    """What tells, without reading it, that a file, folder or ``FileList`` is still the same: list of str."""
    if isinstance(path, FileList):
        found = path.members.items()
    else:
        found = _walk(path, []) if os.path.isdir(path) else [("", Path(path))]
    return sorted(f"{name}:{stamp(file)}" for name, file in found)


def stamp(file: str | os.PathLike) -> str:
    """Size and time of a file, which stand for its content; of one that is not there, nothing."""
    try:
        found = os.stat(file)
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def names_in(folder: str | os.PathLike) -> list[str]:
    """The names of a folder's files and of those below, sorted, with "/"; hidden ones are left out.

    Raises:
        UserError: a folder of them cannot be read.
    """
    return sorted(name for name, _ in _walk(folder, None))


def extract(archive: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Unpack a tar or zip into a folder that is there, with the refusals of ``open_members``."""
    for name, data in open_members(archive):
        target = Path(folder, name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UserError(f"{archive}: {name!r} is a file and a folder in it; pack it again") from error


def gunzip(data: bytes, name: str | os.PathLike) -> bytes:
    """The bytes of a file as they are, unpacked where they are gzip by their beginning.

    Raises:
        UserError: they are damaged, or unpack to more than any text does; ``name`` begins its sentence.
    """
    if not data.startswith(_GZIP):
        return data
    with _gunzipping(name):
        return b"".join(_unpacked(gzip.GzipFile(fileobj=io.BytesIO(data)), len(data), name))


def read_at_most(path: str | os.PathLike, most: int, mend: str) -> bytes:
    """The bytes of a file that has no more than ``most``; ``mend`` ends the sentence on one that has.

    Raises:
        UserError: it cannot be read, or has more.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_why(error)}); check the path") from error
    if len(data) > most:
        raise UserError(f"{path}: it has more than {most >> 20} MB{mend}")
    return data


def read_chunks(path: str | os.PathLike) -> Iterator[bytes]:
    """Iterate over the bytes of a file, some at a time, unpacked where they are gzip by their beginning.

    Raises:
        UserError: it cannot be read, or as ``gunzip``.
    """
    try:
        with open(path, "rb") as file, _gunzipping(path):
            if file.peek(2).startswith(_GZIP):
                yield from _unpacked(gzip.GzipFile(fileobj=file), os.path.getsize(path), path)
            while data := file.read1(1 << 20):
                yield data
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_why(error)}); check the name") from error


@contextlib.contextmanager
def _gunzipping(name):
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name}: this gzip file is damaged; copy or download it again") from error


def _unpacked(packed, size, name):
    """Iterate over what a file of ``size`` bytes unpacks to, as long as that is likely."""
    most, found = _most(size), 0
    while data := packed.read(1 << 20):
        yield data
        found += len(data)
        if found > most:
            raise _bomb(name, most)


def _most(size):
    """To how many bytes a file of ``size`` bytes may unpack."""
    return min(max(RATIO * size, ALWAYS), LARGEST)


def _bomb(name, most):
    return UserError(
        f"{name}: refused, it unpacks to more than {most >> 20} MiB, as a file made to fill a disk "
        "does; if you trust it, unpack it yourself and give what is in it"
    )


def _read_members(members, wanted, skipped):
    with contextlib.closing(members):
        files = next(members)
        for name in sorted(files):
            if not wanted(name):
                continue
            try:
                data = files[name]()
            except UserError as error:
                if skipped is None:
                    raise
                skipped.append(f"{error}.")
            else:
                yield name, data


def _hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


def _walk(path, skipped):
    """Iterate over ``(name, path)`` of the files below a folder. Links are followed, each folder once."""
    seen = set()

    def unreadable(error):
        if skipped is None or error.filename == os.fspath(path):
            raise _unreadable(error)
        skipped.append(f"{_unreadable(error)}.")

    for folder, folders, names in os.walk(path, onerror=unreadable, followlinks=True):
        if os.path.realpath(folder) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        folders.sort()
        for name in names:
            inside = Path(folder, name).relative_to(path).as_posix()
            if not _hidden(inside):
                yield inside, Path(folder, name)


def _reader(path):
    """A function that gives the bytes of a file."""

    def read():
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
                raise UserError(f"{path}: this is no file but a device or a pipe; remove it")
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(error) from error

    return read


def _unreadable(error):
    return UserError(f"{error.filename}: cannot be read ({_why(error)})")


_LONGEST = 4096  # bytes of the path in a link
_ZIP = b"PK\3\4", b"PK\5\6"  # the latter of one without files
_FOREIGN = {b"Rar!": "RAR", b"7z\xbc\xaf": "7-Zip", b"\x28\xb5\x2f\xfd": "Zstandard"}


def _archive_members(path):
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_why(error)})") from error
    if start in _FOREIGN:
        raise UserError(f"{path}: this is packed with {_FOREIGN[start]}; unpack it and give the folder")
    yield from _zip_members(path) if start in _ZIP else _tar_members(path)


def _zip_members(path):
    """Yield one dict, name -> function that reads that member, and keep the zip open meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except _ZIP_ERRORS as error:
            raise UserError(f"{path}: this zip is truncated or damaged; copy or download it again") from error
        files, links, size = {}, {}, 0
        for member in archive.infolist():
            _check_name(path, member.filename)
            if member.flag_bits & 1:
                raise UserError(f"{path}: this zip is encrypted; unpack it and give the folder")
            name = _plain_name(member.filename.replace("\\", "/"))  # some programs of Windows write so
            if not member.is_dir() and not _hidden(name):
                size += member.file_size
                if stat.S_ISLNK(member.external_attr >> 16):
                    short = member.file_size <= _LONGEST
                    reference = _read_zipped(path, archive, member) if short else b""
                    links[name] = _target(name, os.fsdecode(reference))
                files[name] = lambda member=member: _read_zipped(path, archive, member)
        if size > _most(os.path.getsize(path)):
            raise _bomb(path, _most(os.path.getsize(path)))
        for name in links:
            files[name] = _linked(path, name, files, links)
        yield files


def _read_zipped(path, archive, member):
    try:
        return archive.read(member)
    except _ZIP_ERRORS as error:
        raise UserError(f"{path}: {member.filename} in it is damaged; copy or download it again") from error


_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError,  # a way to compress that Python does not know
)  # fmt: skip


def _tar_members(path):
    """Yield one dict, name -> function that reads that member, and keep the tar open meanwhile."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_uncompressed(path))
        files, links = {}, {}
        try:
            tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
            for member in tar:  # the last of several with one name counts, as it does for tar
                name = _safe_name(path, member)
                if name and not _hidden(name):
                    links.pop(name, None)
                    files[name] = lambda member=member: _read_member(path, tar, member)
                    if member.issym():
                        links[name] = _target(name, member.linkname)
                    elif member.islnk():
                        links[name] = _plain_name(member.linkname)
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            if not files and not _TAR_NAME.search(path.name):
                raise NoArchive(path, _content(path)) from error
            raise UserError(
                f"{path}: neither a folder nor a whole tar (plain, .gz, .bz2 or .xz) or zip; "
                "copy it again, or unpack it and give the folder"
            ) from error
        # tarfile takes a damaged header, or the place where a file was cut off, for the end of the
        # archive; a real end is a block of zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise _truncated(path)
        for name in links:
            files[name] = _linked(path, name, files, links)
        yield files


def _target(name, reference):
    """The name of what a symbolic link in an archive leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), reference))


def _linked(path, name, files, links):
    """The function that reads what a link in an archive leads to, if that is a file in it."""
    target, seen = links[name], {name}
    while target in links and target not in seen:
        seen.add(target)
        target = links[target]
    if target in files and target not in links:
        return files[target]

    def refuse():
        raise UserError(
            f"{path}: refused, {name!r} in it is a link to {links[name]!r}, which is no file in it; pack the "
            "file itself"
        )

    return refuse


_TAR_NAME = re.compile(r"\.(tar|tgz|tbz2?|txz|zip)(\.\w+)?$", re.IGNORECASE)
_CONTENTS = (  # what files begin with
    (rb"RIFF....WAVE", "WAV audio"), (rb"fLaC", "FLAC audio"), (rb"OggS", "Ogg audio"),
    (rb"FORM....AIF", "AIFF audio"), (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "MP3 audio"),
    (rb"....ftyp", "MPEG-4 audio or video"), (rb"\x89PNG", "a PNG image"), (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"GIF8", "a GIF image"), (rb"II\*\0|MM\0\*", "a TIFF image"), (rb"%PDF", "a PDF"),
    (rb"PAR1", "a Parquet table"), (rb"\x89HDF", "HDF5"), (rb"\x80[\2-\5]", "a Python pickle"),
    (rb"SQLite format", "an SQLite database"), (rb"\xd0\xcf\x11\xe0", "an old Office document"),
)  # fmt: skip


def _content(path):
    """What a file is, by how it begins, for a message."""
    with _uncompressed(path) as file:
        start = file.read(1 << 16)
    if not start:
        return "an empty file"
    for beginning, content in _CONTENTS:
        if re.match(beginning, start, re.DOTALL):
            return content
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    root = re.match(rb"(?:<[?!].*?>\s*)*<([\w:.-]+)", text, re.DOTALL)
    if root:
        return "HTML" if root[1].lower() == b"html" else f"XML that begins with <{root[1].decode()}>"
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "a file of no kind that is known here"
    if text[:1] in (b"{", b"["):
        return "JSON"
    return "a text file, its columns between tabs" if b"\t" in text.partition(b"\n")[0] else "a text file"


def _safe_name(path, member):
    """The member's name without "./", "" for a folder; UserError for one that could reach outside."""
    _check_name(path, member.name)
    if member.isdir():
        return ""
    if not (member.isreg() or member.issym() or member.islnk()) or member.issparse():
        raise UserError(f"{path}: refused, {member.name!r} in it is a device; pack plain files")
    if member.size < 0:  # would send tarfile round in a circle (CVE-2025-8194)
        raise _truncated(path)
    return _plain_name(member.name)


def _check_name(path, name):
    """UserError for a member's name that could reach outside."""
    found = PureWindowsPath(name)  # knows "/", "\\" and "C:", which together are all ways out
    if found.anchor or ".." in found.parts or "\0" in name:
        raise UserError(f"{path}: refused, it holds the path {name!r}; pack it with relative paths")


def _plain_name(name):
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _read_member(path, tar, member):
    try:
        return tar.extractfile(member).read()
    except (tarfile.TarError, OSError) as error:
        raise _truncated(path) from error


def _uncompressed(path):
    """Open a file; what is compressed, by its first bytes, is unpacked to a temporary file."""
    try:
        file = open(path, "rb")
        start = file.read(6)
        file.seek(0)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_why(error)})") from error
    libraries = {_GZIP: gzip, b"BZh": bz2, b"\xfd7zXZ\0": lzma}
    library = next((library for magic, library in libraries.items() if start.startswith(magic)), None)
    if library is None:
        return file
    plain = tempfile.TemporaryFile()
    try:
        with file, library.open(file) as packed, _full_disk(tempfile.gettempdir()):
            plain.writelines(_unpacked(packed, os.path.getsize(path), path))
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if getattr(error, "errno", None) is None:  # the data's fault, not the system's
            raise _truncated(path) from error
        raise UserError(f"{path}: cannot be read ({_why(error)})") from error
    plain.seek(0)
    return plain


def _truncated(path):
    return UserError(f"{path}: this tar is truncated or damaged; copy or download it again")
