"""Parquet files that know which rows belong to which unit: shards in the making, tables of other artifacts."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.artifact import Artifact
from storage.files import TEMPORARY, StoreError
from storage.tables import write_table

RECORDS = b"wordmask.records"
"""Where a shard's file keeps what became of its units: one file, so rows and records appear in the same instant."""


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one unit."""

    start: int
    """First row in the file."""
    rows: int
    reason: str = ""
    """Why it was quarantined; empty for a unit that is well."""


@dataclass(frozen=True)
class UnitFile:
    """A sound Parquet file and its units."""

    path: Path
    records: Mapping[str, Record]
    groups: tuple[int, ...]
    """First row of each row group, then the number of rows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A unit's record and the file it speaks of."""

    file: UnitFile
    record: Record


class RowReader:
    """Reads runs of rows and keeps only the row group that was read last."""

    def __init__(self) -> None:
        self._held: tuple[Path, int, pa.Table] | None = None

    def read(self, file: UnitFile, start: int, rows: int) -> Iterator[pa.Table]:
        """Yield the rows from `start` on, in slices; `StoreError` when the file went bad since it was opened."""
        end = start + rows
        while start < end:
            index = bisect_right(file.groups, start) - 1
            stop = min(end, file.groups[index + 1])
            yield self._group(file.path, index).slice(start - file.groups[index], stop - start)
            start = stop

    def runs(self, entries: Iterable[Entry]) -> Iterator[pa.Table]:
        """Yield the rows of units in the given order, neighbours in one slice."""
        file, start, end = None, 0, 0
        for entry in entries:
            if entry.file is not file or entry.record.start != end:
                if file is not None:
                    yield from self.read(file, start, end - start)
                file, start = entry.file, entry.record.start
            end = entry.record.start + entry.record.rows
        if file is not None:
            yield from self.read(file, start, end - start)

    def _group(self, path: Path, index: int) -> pa.Table:
        if self._held is None or self._held[:2] != (path, index):
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    self._held = (path, index, file.read_row_group(index))
            except (OSError, pa.ArrowException) as error:
                raise StoreError(f"{path} was damaged while it was in use ({error}); run again.") from error
        return self._held[2]


def write_shard(path: Path, table: pa.Table, records: Mapping[str, Record]) -> UnitFile:
    """Put a shard on the disk in one step; `StoreError` when the disk refuses."""
    content = json.dumps({key: asdict(record) for key, record in records.items()})
    write_table(path, table.replace_schema_metadata({RECORDS: content.encode()}))
    return UnitFile(path, dict(records), _groups(path))


def shard_files(folder: Path, schema: pa.Schema, *, log: Callable[[str], None]) -> list[UnitFile]:
    """The sound shards in a folder; damaged, half written and outdated ones are deleted, to be computed again."""
    files = []
    for path in sorted(folder.glob("*")):
        if path.name.endswith(TEMPORARY):
            path.unlink()
            continue
        try:
            files.append(_read_shard(path, schema))
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            log(f"{path.name} is damaged or outdated and is computed again: {error}")
            path.unlink()
    return files


def reusable_file(
    artifact: Artifact, name: str, schema: pa.Schema, *, wanted: frozenset[str], log: Callable[[str], None]
) -> UnitFile | None:
    """The good units of another artifact's table among `wanted`; None when there are none or the table is damaged."""
    try:
        path = artifact.file(f"{name}.parquet")
        ledger = artifact.table(f"{name}.ledger", columns=["unit", "reason", "rows"]).to_pydict()
        records, start = {}, 0
        for unit, reason, rows in zip(ledger["unit"], ledger["reason"], ledger["rows"], strict=True):
            if unit in wanted and not reason:
                records[unit] = Record(start, rows)
            start += rows
        if not records:
            return None
        _check(path, schema, rows=start)
        return UnitFile(path, records, _groups(path))
    except (OSError, pa.ArrowException, ValueError, StoreError) as error:
        log(f"not reusing {name} of {artifact.path.name}: {error}")
        return None


def _read_shard(path: Path, schema: pa.Schema) -> UnitFile:
    records = {key: Record(**record) for key, record in json.loads(pq.read_schema(path).metadata[RECORDS]).items()}
    _check(path, schema, rows=sum(record.rows for record in records.values()))
    return UnitFile(path, records, _groups(path))


def _check(path: Path, schema: pa.Schema, *, rows: int) -> None:
    """Read every page once; raises whatever is wrong."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if not file.schema_arrow.equals(schema):
            raise ValueError("its columns differ from those asked for")
        if file.metadata.num_rows != rows:
            raise ValueError(f"{file.metadata.num_rows} rows instead of {rows}")
        for index in range(file.num_row_groups):
            file.read_row_group(index)


def _groups(path: Path) -> tuple[int, ...]:
    starts = [0]
    metadata = pq.read_metadata(path)
    for index in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(index).num_rows)
    return tuple(starts)
