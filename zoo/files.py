"""Files that are whole or not there: atomic writing, checksums, and corpora in folders or tars.

with atomic_write("runs/mine/history.csv", text=True) as file:
    file.write(table)                                   # a kill here leaves the old file
with atomic_folder("runs/mine/best", marker="config.json") as folder:
    (folder / "config.json").write_text(config)         # the folder takes its name when all is in it
for name, data in open_members("lines.tar.xz"):         # or a folder: the same names and bytes
    ...
"""

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
import secrets
import shutil
import tarfile
import tempfile
import time
import zlib
from pathlib import Path, PureWindowsPath

from zoo.errors import UserError

STALE_SECONDS = 3600  # a temporary file untouched for so long belongs to a process that was killed
FULL = (errno.ENOSPC, errno.EDQUOT)

# A compressed file may unpack to RATIO times its size (text has some 5, white paper 100; one made to fill a
# disk has 1000 as gzip, 7000 as xz), or to ALWAYS bytes where that is more, and never beyond LARGEST.
RATIO, ALWAYS, LARGEST = 250, 1 << 28, 1 << 37

_GZIP = b"\x1f\x8b"  # how such a file begins


# === Writing ===


@contextlib.contextmanager
def atomic_write(path, text=False):
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
def atomic_folder(path, marker="config.json", keep=False):
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


def recover(path):
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


def sha256(path):
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_members(path, wanted=None):
    """Iterate over the files of a folder or a tar, in the order of their names.

    A corpus gives the same names, bytes and order whether it is a folder or a tar of it, plain or
    compressed (gzip, bzip2, xz). Hidden files (a part of the name begins with ".", as
    macOS's ``._scan.png``) are left out. A compressed tar is unpacked to an unnamed temporary file
    first, since names come sorted and compression knows no way back.

    Args:
        path: a folder, walked with all below it, or a tar.
        wanted: takes a name, tells whether to read that file; by default all are read.

    Yields:
        (name, data): the path inside the folder or tar, with "/", as str; the file's bytes.

    Raises:
        UserError: nothing there, not a folder or tar, a tar that is truncated or damaged, or one with
            absolute paths, "..", links or devices, or that unpacks to a size beyond reason: it is refused
            before its first file is read.
    """
    path = Path(path)
    if os.path.isdir(path):
        members = _folder_members(path)
    elif os.path.exists(path):
        members = _tar_members(path)
    else:
        raise UserError(f"{path}: no such file or folder; check the name")
    return _read_members(members, wanted or (lambda name: True))


def names_in(folder):
    """The names of a folder's files and of those below, sorted, with "/"; hidden ones are left out.

    Raises:
        UserError: a folder of them cannot be read.
    """
    return sorted(next(_folder_members(Path(folder))))


def extract(archive, folder):
    """Unpack a tar into a folder that is there, with the refusals of ``open_members``."""
    for name, data in open_members(archive):
        target = Path(folder, name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UserError(f"{archive}: {name!r} is a file and a folder in it; pack it again") from error


def gunzip(data, name):
    """The bytes of a file as they are, unpacked where they are gzip by their beginning.

    Raises:
        UserError: they are damaged, or unpack to more than any text does; ``name`` begins its sentence.
    """
    if not data.startswith(_GZIP):
        return data
    with _gunzipping(name):
        return b"".join(_unpacked(gzip.GzipFile(fileobj=io.BytesIO(data)), len(data), name))


def read_chunks(path):
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
    most, found = min(max(RATIO * size, ALWAYS), LARGEST), 0
    while data := packed.read(1 << 20):
        yield data
        found += len(data)
        if found > most:
            raise UserError(
                f"{name}: refused, it unpacks to more than {most >> 20} MiB, as a file made to fill a disk "
                "does; if you trust it, unpack it yourself and give what is in it"
            )


def _read_members(members, wanted):
    with contextlib.closing(members):
        files = next(members)
        for name in sorted(files):
            if wanted(name):
                yield name, files[name]()


def _hidden(name):
    return any(part.startswith(".") for part in name.split("/"))


def _folder_members(path):
    """Yield one dict: name -> function that reads that file. Links are followed, each folder once."""
    files, seen = {}, set()
    for folder, folders, names in os.walk(path, onerror=_unreadable, followlinks=True):
        if os.path.realpath(folder) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        folders.sort()
        for name in names:
            inside = Path(folder, name).relative_to(path).as_posix()
            if not _hidden(inside):
                files[inside] = lambda file=Path(folder, name): _read_file(file)
    yield files


def _read_file(path):
    try:
        return path.read_bytes()
    except OSError as error:
        _unreadable(error)


def _unreadable(error):
    raise UserError(f"{error.filename}: cannot be read ({_why(error)})") from error


def _tar_members(path):
    """Yield one dict, name -> function that reads that member, and keep the tar open meanwhile."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_uncompressed(path))
        files = {}
        try:
            tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
            for member in tar:  # the last of several with one name counts, as it does for tar
                name = _safe_name(path, member)
                if name and not _hidden(name):
                    files[name] = lambda member=member: _read_member(path, tar, member)
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{path}: neither a folder nor a whole tar (plain, .gz, .bz2 or .xz); "
                "copy it again, or pack the folder with tar"
            ) from error
        # tarfile takes a damaged header, or the place where a file was cut off, for the end of the
        # archive; a real end is a block of zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise _truncated(path)
        yield files


def _safe_name(path, member):
    """The member's name without "./", "" for a folder; UserError for one that could reach outside."""
    name = PureWindowsPath(member.name)  # knows "/", "\\" and "C:", which together are all ways out
    if name.anchor or ".." in name.parts or "\0" in member.name:
        raise UserError(f"{path}: refused, it holds the path {member.name!r}; pack it with relative paths")
    if member.isdir():
        return ""
    if not member.isreg() or member.issparse():
        raise UserError(f"{path}: refused, {member.name!r} in it is a link or a device; pack plain files")
    if member.size < 0:  # would send tarfile round in a circle (CVE-2025-8194)
        raise _truncated(path)
    return "/".join(part for part in member.name.split("/") if part not in ("", "."))


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
