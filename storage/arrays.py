"""Arrays with one row per unit, in Zarr v3, that are filled shard by shard and survive a kill at any moment.

A shard is one file of the array. After it is written, a note with its checksum and what became of its units goes into
the scratch folder; a shard without a note that fits is computed again. The files depend on units and results alone, not
on kills or reuse, as long as shards are equally long.
Shapes: U units, ... the shape of a row.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import zarr

from storage.artifact import Artifact, Slot
from storage.digest import digest
from storage.files import StoreError, explain, safe_part, sha256_of, write_bytes
from storage.manifest import Tally
from storage.parquet_shards import Record
from storage.progress import Progress
from storage.rows import Batch, Quarantined, Unit, completed, distinct_keys, write_ledger

T = TypeVar("T")
Row = npt.NDArray[np.generic]
SHARD, CHUNK = 256, 16
"""Rows in a file, and in one of its chunks, which are compressed by themselves."""
METADATA = "zarr.json"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What every row of an array is."""

    shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]
    """Names of all axes, that of the units first."""
    attributes: Mapping[str, Any]
    """What a reader must know to use the rows, as JSON."""


def fill_array(
    slot: Slot,
    name: str,
    units: Sequence[Unit[T]],
    compute: Callable[[Sequence[T]], Iterable[tuple[int, Row | Quarantined]]],
    *,
    layout: Layout,
    log: Callable[[str], None],
    reuse: Sequence[Artifact] = (),
    shard: int = SHARD,
) -> Tally:
    """Fill `<name>.zarr` of a slot and its ledger, computing only what no earlier run has left.

    Args:
        slot: claimed and not complete.
        name: of the array.
        units: in the order of the rows; keys differ.
        compute: gets the payloads of all units that no earlier run has left, and yields, in any order, the place of one
            and its row, or `Quarantined`: such rows hold NaN. What it raises ends the stage; finished shards stay.
        layout: of the rows, floating point.
        log: told about progress every few seconds.
        reuse: artifacts, best first, whose good rows are copied for equal keys.
        shard: units in one file; a kill costs at most this many. Multiple of `CHUNK`, or less than it.

    Raises:
        ValueError: equal keys, a row that does not fit the layout, or a wrong number of results.
        StoreError: the disk refuses; finished shards stay and the next run resumes.
    """
    distinct_keys(units)
    if shard < 1 or (shard > CHUNK and shard % CHUNK):
        raise ValueError(f"shard is {shard}; give a multiple of {CHUNK}, or a number from 1 to {CHUNK}.")
    place = _Place(path=slot.content / f"{name}.zarr", notes=slot.scratch / f"{safe_part(name)}.notes")
    batches = [units[start : start + shard] for start in range(0, len(units), shard)]
    array = place.opened(len(units), layout, shard)
    known = [place.recalled(number, batch) for number, batch in enumerate(batches)]
    place.sweep({number for number, found in enumerate(known) if found is not None})
    progress = Progress(f"{slot.stage}/{name}", total=len(units), log=log)
    progress.inherit(record for found in known for record in found or ())
    copies = _rows_of(reuse, name, layout, log=log) if None in known else {}
    unknown = [
        Batch[T, Row | Quarantined](number, batch)
        for number, (batch, found) in enumerate(zip(batches, known, strict=True))
        if found is None
    ]
    with closing(completed(unknown, copies, compute, partial(_settle, progress))) as whole:
        for batch in whole:
            rows, found = _rows(batch, copies, layout, progress)
            with explain(place.path):
                array[batch.start * shard : batch.start * shard + len(rows)] = rows
            place.note(batch.start, batch.units, found)
            known[batch.start] = found
    records = [record for found in known for record in found or ()]
    write_ledger(slot.content / f"{name}.ledger.parquet", units, records)
    return progress.done(len(units))


def read_array(path: Path) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """All rows (U, ...) of an array and its attributes.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        array = zarr.open_array(path, mode="r", zarr_format=3)
        return np.asarray(array[:]), dict(array.attrs)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); run the stage that makes it again with force."
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Place:
    """An array in the making and the notes about its shards."""

    path: Path
    notes: Path

    def opened(self, count: int, layout: Layout, shard: int) -> Any:
        """The array to write into: the one of an interrupted run if it is the same."""
        wanted = {
            "shape": (count, *layout.shape),
            "shards": (shard, *layout.shape),
            "chunks": (min(shard, CHUNK), *layout.shape),
        }
        try:
            array = zarr.open_array(self.path, mode="r+", zarr_format=3)
            if all(getattr(array, name) == value for name, value in wanted.items()) and array.dtype == layout.dtype:
                return array
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or one that cannot be read
            pass
        with explain(self.path):
            return zarr.create_array(
                self.path,
                **wanted,
                dtype=layout.dtype,
                fill_value=np.nan,
                attributes=dict(layout.attributes),
                dimension_names=layout.dimensions,
                zarr_format=3,
                overwrite=True,
            )

    def shard(self, number: int) -> Path:
        """The file of a shard; one that holds nothing but NaN has none."""
        dimensions = len(json.loads((self.path / METADATA).read_bytes())["shape"])
        return self.path.joinpath("c", str(number), *["0"] * (dimensions - 1))

    def note(self, number: int, batch: Sequence[Unit[Any]], records: Sequence[Record]) -> None:
        """Write down that a shard is whole."""
        page = {"records": [asdict(record) for record in records], **self._marks(number, batch)}
        write_bytes(self.notes / f"{number}.json", json.dumps(page).encode())

    def recalled(self, number: int, batch: Sequence[Unit[Any]]) -> list[Record] | None:
        """What became of the units of a shard; None if it must be computed."""
        try:
            page = json.loads((self.notes / f"{number}.json").read_bytes())
            records = [Record(**record) for record in page.pop("records")]
            return records if page == self._marks(number, batch) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def sweep(self, whole: set[int]) -> None:
        """Delete every file that is neither the metadata nor a whole shard."""
        kept = {self.path / METADATA, *(self.shard(number) for number in whole)}
        with explain(self.path):
            for file in [one for one in self.path.rglob("*") if one.is_file() and one not in kept]:
                file.unlink()

    def _marks(self, number: int, batch: Sequence[Unit[Any]]) -> dict[str, str]:
        file = self.shard(number)
        content = sha256_of(file) if file.exists() else "none"
        return {"units": digest([unit.key for unit in batch]), "content": content}


def _rows_of(reuse: Sequence[Artifact], name: str, layout: Layout, *, log: Callable[[str], None]) -> dict[str, Row]:
    """Good rows of other artifacts by key, the first of them winning."""
    found: dict[str, Row] = {}
    for artifact in reversed(reuse):
        try:
            rows, _ = read_array(artifact.file(f"{name}.zarr"))
            ledger = artifact.ledger(name).to_pydict()
        except StoreError as error:
            log(f"not reusing {name} of {artifact.path.name}: {error}")
            continue
        if rows.shape[1:] == layout.shape and rows.dtype == layout.dtype and len(rows) == len(ledger["unit"]):
            good = zip(ledger["unit"], ledger["reason"], rows, strict=True)
            found |= {key: row for key, reason, row in good if not reason}
    return found


def _settle(progress: Progress, result: Row | Quarantined) -> None:
    bad = isinstance(result, Quarantined)
    progress.settle(rows=0 if bad else 1, quarantined=bad)


def _rows(
    batch: Batch[T, Row | Quarantined], copies: Mapping[str, Row], layout: Layout, progress: Progress
) -> tuple[npt.NDArray[Any], list[Record]]:
    """Rows of a shard, NaN where a unit has none, and what became of its units."""
    rows = np.full((len(batch.units), *layout.shape), np.nan, layout.dtype)
    records = []
    for place, unit in enumerate(batch.units):
        row = batch.results.pop(unit.key, None)
        reason = row.reason if isinstance(row, Quarantined) else ""
        records.append(Record(start=0, rows=0 if reason else 1, reason=reason))
        if row is None:
            rows[place] = copies[unit.key]
            progress.inherit(records[-1:])
        elif not isinstance(row, Quarantined):
            rows[place] = _fitting(row, unit, layout)
    return rows, records


def _fitting(row: Row, unit: Unit[T], layout: Layout) -> Row:
    if row.shape != layout.shape or not np.isfinite(row).all():
        raise ValueError(
            f"The row of unit {unit.label or unit.key} has the shape {row.shape} instead of {layout.shape}, or holds "
            "values that are not finite."
        )
    return row
