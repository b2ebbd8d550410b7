"""Parquet tables whose rows hold files, as Hugging Face stores sets of images."""

from zoo.errors import UserError

_ROWS = 64  # at a time: each may hold an image


def read_parquet(source, name, wanted):
    """The rows of a Parquet table, a few in memory at a time.

    Args:
        source: a path, or a binary file.
        name: what to call it in messages.
        wanted: takes the names of its columns, a list of str, and gives those to read, a list.

    Yields:
        ``{column: value}`` of each row: None, str, bytes, numbers, lists and dicts.

    Raises:
        UserError: it cannot be read, perhaps not before its row.
    """
    import pyarrow  # tensorflow-datasets brings it
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(source)
        columns = wanted(table.schema_arrow.names)
        for batch in table.iter_batches(_ROWS, columns=columns) if columns else ():
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{name}: this is no whole Parquet table; copy or download it again.") from error
