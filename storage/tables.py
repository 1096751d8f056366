"""Parquet tables: columns that describe themselves, files whose bytes depend on the rows alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.files import StoreError, atomic_file

ROW_GROUP = 2048
"""Rows per group in every file, so that equal rows give equal bytes however they arrived."""


def column(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    """A column with a sentence about it (units, range); None is refused in it unless `nullable`."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


def description(field: pa.Field) -> str:
    """The sentence given to `column`, or an empty string."""
    return (field.metadata or {}).get(b"description", b"").decode()


def write_table(path: Path, table: pa.Table) -> None:
    """Write a whole Parquet file (zstd) or none; `StoreError` when the disk refuses."""
    write_chunks(path, [table], schema=table.schema)


def write_chunks(path: Path, chunks: Iterable[pa.Table], *, schema: pa.Schema) -> int:
    """Stream chunks of any length into one Parquet file and return its number of rows.

    The bytes depend on the rows and the schema, not on how the rows were cut into chunks.

    Raises:
        StoreError: the disk refuses; no file appears.
    """
    rows = 0
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True, store_schema=True) as writer,
    ):
        for group in _regroup(chunks):
            writer.write_table(group, row_group_size=ROW_GROUP)
            rows += group.num_rows
    return rows


def read_table(path: Path, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, page checksums included.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); run the stage that makes it again with force."
        ) from error


def read_batches(path: Path, *, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Read columns of a Parquet file a row group at a time, page checksums included; raises as `read_table`."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=ROW_GROUP, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); run the stage that makes it again with force."
        ) from error


def read_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file, descriptions included; `StoreError` when it is missing or damaged."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); run the stage that makes it again with force."
        ) from error


def _regroup(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    held = 0
    for chunk in chunks:
        waiting.append(chunk)
        held += chunk.num_rows
        if held >= ROW_GROUP:
            joined = pa.concat_tables(waiting).combine_chunks()
            whole = held - held % ROW_GROUP
            for start in range(0, whole, ROW_GROUP):
                yield joined.slice(start, ROW_GROUP)
            waiting, held = [joined.slice(whole)], held - whole
    if held:
        yield pa.concat_tables(waiting).combine_chunks()
