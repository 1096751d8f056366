"""Tables that are filled unit by unit and survive a kill at any moment.

A unit is what one result belongs to (an image, an object, an expression); its key is a digest of everything that
determines the result. Units are computed shard by shard. A finished shard is one Parquet file that carries its rows and
what became of each unit, so both appear in the same instant. After the last shard the table is written in the order of
the units: its bytes depend on units and results alone, not on shards, kills or reuse.
"""

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from storage.artifact import Artifact, Slot
from storage.digest import digest
from storage.files import safe_part
from storage.manifest import Tally
from storage.parquet_shards import Entry, Record, RowReader, reusable_file, shard_files, write_shard
from storage.progress import Progress
from storage.tables import ROW_GROUP, column, write_chunks

__all__ = ["Quarantined", "Rows", "Tally", "Unit", "fill_table"]

R = TypeVar("R")
T = TypeVar("T")
Rows = list[dict[str, Any]]

SHARDS = 1000
"""Files that a table is filled in at most: a million units leave no more than that, and a kill costs a thousandth."""
LEDGER = pa.schema(
    [
        column("unit", pa.string(), "key of the unit"),
        column("label", pa.string(), "what a person calls the unit"),
        column("status", pa.string(), "ok or quarantined"),
        column("reason", pa.string(), "why the unit is quarantined; empty when it is not"),
        column("rows", pa.int64(), "rows that the unit has in the table"),
    ]
)


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """Something to compute rows for."""

    key: str
    """Digest of everything that determines the result: content, never a position in a list or a path."""
    payload: T
    """What `compute` is handed."""
    label: str = ""
    """What a person calls it, for the ledger; may differ between runs that share rows."""


@dataclass(frozen=True)
class Quarantined:
    """The result of a unit that cannot have rows."""

    reason: str
    """One sentence for the ledger."""

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("A quarantined unit needs a reason; say what is wrong with it.")


Compute = Callable[[Sequence[T]], Iterable[tuple[int, Rows | Quarantined]]]


def fill_table(
    slot: Slot,
    name: str,
    units: Sequence[Unit[T]],
    compute: Compute[T],
    *,
    schema: pa.Schema,
    shard: int,
    log: Callable[[str], None],
    reuse: Sequence[Artifact] = (),
    earlier: str = "",
) -> Tally:
    """Fill the table `name` of a slot and its ledger, computing only what no earlier run has left.

    Args:
        slot: claimed and not complete.
        name: of the table; `<name>.parquet` and `<name>.ledger.parquet` appear in the slot's content.
        units: in the order of the table; keys differ.
        compute: gets the payloads of all units that no earlier run has left, and yields, in any order, the place of one
            and its result: a list of rows (none is a result too) or `Quarantined`. It is asked for a result at a time:
            what it does ahead of that is its own affair. What it raises ends the stage; finished shards stay.
        schema: columns of a row; the table has the column `unit` before them.
        shard: units committed together at least; a kill costs at most this many, or one of `SHARDS` parts of a large
            table.
        log: told about progress every few seconds.
        reuse: artifacts, best first, whose good rows are copied for equal keys.
        earlier: another name that the table may have in those that have none of its own.

    Returns:
        How the units came about. Units resumed after a kill count as reused, quarantined ones never do.

    Raises:
        ValueError: equal keys, a row that does not fit the schema, or a wrong number of results.
        StoreError: the disk refuses; finished shards stay and the next run resumes.
    """
    wanted = distinct_keys(units)
    if shard < 1:
        raise ValueError(f"shard is {shard}; give the number of units to commit together, at least 1.")
    folder = slot.scratch / safe_part(name)
    schema = _with_unit(schema)
    progress = Progress(f"{slot.stage}/{name}", total=len(units), log=log)
    known = _resumed(folder, schema, wanted, log=log)
    progress.inherit(entry.record for entry in known.values())
    copies = _copies(reuse, (name, earlier or name), schema, wanted - known.keys(), log=log)
    reader = RowReader()
    size = max(shard, -(-len(units) // SHARDS))
    batches = (
        Batch[T, Rows | Quarantined](start, [unit for unit in units[start : start + size] if unit.key not in known])
        for start in range(0, len(units), size)
    )
    with closing(completed(batches, copies, compute, partial(_settle, progress))) as whole:
        for batch in whole:
            parts = _shard(batch, copies, schema, reader, progress)
            path = folder / f"{batch.start:09d}-{digest([unit.key for unit in batch.units])}.parquet"
            records = _records(parts)
            file = write_shard(path, pa.concat_tables([table for table, _ in parts.values()]), records)
            known |= {key: Entry(file, record) for key, record in records.items()}
    entries = (known[unit.key] for unit in units)
    rows = write_chunks(slot.content / f"{name}.parquet", reader.runs(entries), schema=schema)
    write_ledger(slot.content / f"{name}.ledger.parquet", units, (known[unit.key].record for unit in units))
    return progress.done(rows)


def distinct_keys(units: Sequence[Unit[T]]) -> frozenset[str]:
    """The keys of units; `ValueError` when two are equal."""
    keys = frozenset(unit.key for unit in units)
    if len(keys) == len(units):
        return keys
    seen: dict[str, int] = {}
    for position, unit in enumerate(units):
        if seen.setdefault(unit.key, position) != position:
            break
    raise ValueError(
        f"Units {seen[unit.key]} and {position} ({unit.label or 'no label'}) share the key {unit.key}; "
        "merge them, or put what tells them apart into the key."
    )


def _with_unit(schema: pa.Schema) -> pa.Schema:
    if "unit" in schema.names:
        raise ValueError("The column 'unit' is added by fill_table; name yours differently.")
    return pa.schema([column("unit", pa.string(), "key of the unit that the row belongs to"), *schema])


def _resumed(
    folder: Path, schema: pa.Schema, wanted: frozenset[str], *, log: Callable[[str], None]
) -> dict[str, Entry]:
    """Units that shards of an interrupted run hold."""
    known: dict[str, Entry] = {}
    for file in shard_files(folder, schema, log=log):
        known |= {key: Entry(file, record) for key, record in file.records.items() if key in wanted}
    return known


def _copies(
    reuse: Sequence[Artifact],
    names: tuple[str, str],
    schema: pa.Schema,
    wanted: frozenset[str],
    *,
    log: Callable[[str], None],
) -> dict[str, Entry]:
    """Units whose good rows lie in other artifacts, the first of them winning."""
    found: dict[str, Entry] = {}
    for artifact in reuse:
        missing = wanted - found.keys()
        name = names[0] if artifact.has(f"{names[0]}.parquet") else names[1]
        file = reusable_file(artifact, name, schema, wanted=missing, log=log) if missing else None
        if file is not None:
            found |= {key: Entry(file, record) for key, record in file.records.items()}
    return found


@dataclass
class Batch(Generic[T, R]):
    """Units of a shard that is to be written, and the results of those that are computed."""

    start: int
    """Place of the first unit of the shard."""
    units: Sequence[Unit[T]]
    results: dict[str, R] = field(default_factory=dict)
    """By key."""
    missing: int = 0


def completed(
    batches: Iterable[Batch[T, R]],
    copies: Container[str],
    compute: Callable[[Sequence[T]], Iterable[tuple[int, R]]],
    settle: Callable[[R], None],
) -> Generator[Batch[T, R]]:
    """Batches with units, as soon as all of these have a result or a copy.

    Raises:
        ValueError: `compute` does not yield one result a unit.
    """
    fresh: list[Unit[T]] = []
    owners: list[Batch[T, R]] = []
    for batch in batches:
        new = [unit for unit in batch.units if unit.key not in copies]
        batch.missing = len(new)
        fresh += new
        owners += [batch] * len(new)
        if batch.units and not new:
            yield batch
    waiting, left = bytearray(b"\1") * len(fresh), len(fresh)
    for place, result in compute([unit.payload for unit in fresh]) if fresh else ():
        if not 0 <= place < len(fresh) or not waiting[place]:
            raise ValueError(f"compute yielded more results than one for each of {len(fresh)} units.")
        waiting[place], left = 0, left - 1
        batch = owners[place]
        batch.results[fresh[place].key] = result
        batch.missing -= 1
        settle(result)
        if not batch.missing:
            yield batch
    if left:
        raise ValueError(f"compute yielded {len(fresh) - left} results for {len(fresh)} units.")


def _settle(progress: Progress, result: Rows | Quarantined) -> None:
    rows = 0 if isinstance(result, Quarantined) else len(result)
    progress.settle(rows=rows, quarantined=isinstance(result, Quarantined))


Parts = dict[str, tuple[pa.Table, str]]


def _shard(
    batch: Batch[T, Rows | Quarantined],
    copies: Mapping[str, Entry],
    schema: pa.Schema,
    reader: RowReader,
    progress: Progress,
) -> Parts:
    """Rows and reason of every unit of a shard, copied where there is no result."""
    parts: Parts = {}
    for unit in batch.units:
        result = batch.results.pop(unit.key, None)
        if result is None:
            entry = copies[unit.key]
            parts[unit.key] = (pa.concat_tables([schema.empty_table(), *reader.runs([entry])]), "")
            progress.inherit([entry.record])
        elif isinstance(result, Quarantined):
            parts[unit.key] = (schema.empty_table(), result.reason)
        else:
            parts[unit.key] = (_rows(unit, result, schema), "")
    return parts


def _rows(unit: Unit[T], rows: Rows, schema: pa.Schema) -> pa.Table:
    place = f"unit {unit.label or unit.key}"
    names = set(schema.names) - {"unit"}
    for row in rows:
        if row.keys() != names:
            missing, foreign = sorted(names - row.keys()), sorted(row.keys() - names)
            raise ValueError(
                f"A row of {place} lacks {missing} and has the unknown {foreign}; give exactly the schema's columns."
            )
    arrays = [pa.array([unit.key] * len(rows), pa.string())]
    arrays += [_array(field, [row[field.name] for row in rows], place) for field in list(schema)[1:]]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(field: pa.Field, values: list[Any], place: str) -> pa.Array:
    try:
        array = pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Column {field.name!r} ({field.type}) cannot hold what {place} gives: {error}") from error
    if array.null_count and not field.nullable:
        raise ValueError(f"Column {field.name!r} of {place} is None; declare the column nullable or give a value.")
    return array


def _records(parts: Parts) -> dict[str, Record]:
    records, start = {}, 0
    for key, (table, reason) in parts.items():
        records[key] = Record(start, table.num_rows, reason)
        start += table.num_rows
    return records


def write_ledger(path: Path, units: Sequence[Unit[T]], records: Iterable[Record]) -> None:
    """Write what became of every unit, see `LEDGER`."""
    lines = (
        (unit.key, unit.label, "quarantined" if record.reason else "ok", record.reason, record.rows)
        for unit, record in zip(units, records, strict=True)
    )
    write_chunks(path, _ledger_chunks(lines), schema=LEDGER)


def _ledger_chunks(lines: Iterator[tuple[str, str, str, str, int]]) -> Iterator[pa.Table]:
    while some := list(islice(lines, ROW_GROUP)):
        arrays = [pa.array(values, field.type) for values, field in zip(zip(*some, strict=True), LEDGER, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=LEDGER)
