"""Lines packed into one file, as other programs make it: kraken's Arrow, Calamari's HDF5.

- ``NAME.arrow`` (``ketos compile``): rows ``lines`` of a ``text`` and an image ``im``, a file's bytes.
- ``NAME.h5``, ``NAME.hdf5``: ``images`` of pixels, one after the other, with their sizes in ``images_dims``,
  and ``transcripts`` of numbers, which ``codec`` turns into characters.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from zoo import files
from zoo.errors import UserError, train_extra

if TYPE_CHECKING:
    from zoo.files import FileList

SUFFIXES = (".arrow", ".h5", ".hdf5")


def located(path: str | os.PathLike) -> tuple[FileList, str] | None:
    """Such a file as a corpus: ``(FileList, label)``; None of other files."""
    name = os.path.basename(path)
    if not name.lower().endswith(SUFFIXES) or not os.path.isfile(path):
        return None
    return files.FileList({name: path}, path), os.path.splitext(name)[0]


def read_packed(
    path: str | os.PathLike | FileList, skipped: list[str] | None
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Iterate over ``(name, image, text)`` of the lines of such files in a corpus.

    Args:
        path: the folder, archive or ``FileList``.
        skipped: a list; a sentence is appended for each file that cannot be read.

    Yields:
        The name is ``FILE/NUMBER``; the image its file's bytes, or uint8 ``[height, width]`` or ``[height,
        width, channels]``.
    """
    try:
        for member, data in files.open_members(path, lambda name: name.lower().endswith(SUFFIXES), skipped):
            stem, end = posixpath.splitext(member)
            read = _arrow if end.lower() == ".arrow" else _hdf5
            with _told(f"{path}: {member}", skipped):
                for number, (image, text) in enumerate(read(data, f"{path}: {member}"), 1):
                    yield f"{stem}/{number:06d}", image, text
    except files.NoArchive:
        return  # whoever reads what else there is says so


@contextlib.contextmanager
def _told(name, skipped):
    try:
        yield
    except UserError as error:
        skipped.append(str(error))
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        skipped.append(f"{name}: damaged, or not of lines ({error}); compile it again.")


def _arrow(data, name):
    with train_extra():
        import pyarrow
    try:
        with pyarrow.ipc.open_file(pyarrow.BufferReader(data)) as table:
            if "lines" not in table.schema.names:
                raise UserError(f"{name}: this Arrow file has no lines as kraken's have; compile it again.")
            for number in range(table.num_record_batches):
                for row in table.get_batch(number).column("lines").to_pylist():
                    yield row["im"], row["text"]
    except pyarrow.ArrowException as error:
        raise UserError(f"{name}: this is no whole Arrow file; compile or copy it again.") from error


def _hdf5(data, name):
    with train_extra():
        import h5py

    with h5py.File(io.BytesIO(data)) as file:
        if not {"images", "images_dims", "transcripts", "codec"} <= set(file):
            raise UserError(f"{name}: this HDF5 file has no lines as Calamari's have; write it again.")
        codec = [chr(int(code)) for code in file["codec"]]
        for pixels, size, codes in zip(file["images"], file["images_dims"], file["transcripts"], strict=True):
            image = np.asarray(pixels).reshape([int(side) for side in size])
            if image.dtype != np.uint8:
                raise ValueError(f"pixels are {image.dtype}")
            yield image, "".join(codec[int(code)] for code in codes)
