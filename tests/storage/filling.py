"""A small stage to fill, kill and resume; also a program: `python -m tests.storage.filling ROOT [SECONDS_PER_UNIT]`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from storage.artifact import Artifact, Store
from storage.digest import digest
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column

SCHEMA = pa.schema(
    [
        column("number", pa.int64(), "the payload"),
        column("share", pa.float64(), "payload / 7", nullable=True),
        column("blob", pa.binary(), "some bytes"),
    ]
)
RECIPE = {"own": "own-1", "planned": "planned-1"}
KEY = ("toyref+", "base", "numbers")


def numbers(count: int) -> list[Unit[int]]:
    """Units 0 .. count - 1."""
    return [Unit(digest(["number", number]), number, f"number {number}") for number in range(count)]


def rows_of(number: int) -> Rows | Quarantined:
    """Every 11th unit is bad; the others have 0 to 4 rows."""
    if number % 11 == 5:
        return Quarantined(f"{number} leaves 5 when divided by 11")
    return [
        {"number": number, "share": None if copy == 3 else number / 7, "blob": bytes([number % 256, copy]) * 40}
        for copy in range(number % 5)
    ]


def compute(payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
    """The rows of each payload."""
    return enumerate(map(rows_of, payloads))


def make(
    store: Store,
    units: Sequence[Unit[int]],
    *,
    fingerprint: str = "f1",
    work: Callable[[Sequence[int]], Iterator[tuple[int, Rows | Quarantined]]] = compute,
    shard: int = 8,
    log: Callable[[str], None] = lambda _: None,
    reuse: Sequence[Artifact] = (),
    force: bool = False,
) -> tuple[Artifact, Tally | None]:
    """One whole stage: claim, fill, commit, point; no tally on a cache hit."""
    tally = None
    with store.claim("numbers", fingerprint, recipe=RECIPE, force=force) as slot:
        if not slot.complete:
            tally = fill_table(slot, "numbers", units, work, schema=SCHEMA, shard=shard, log=log, reuse=reuse)
            slot.commit(rows={"numbers": tally})
        store.point(KEY, "numbers", fingerprint)
    return store.resolve(KEY), tally


def contents(artifact: Artifact) -> dict[str, bytes]:
    """Every file but the manifest."""
    return {name: (artifact.path / name).read_bytes() for name in artifact.manifest.checksums}


def main(root: Path, seconds: float, count: int) -> None:
    """Fill slowly, saying when the first unit begins."""

    def slowly(payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
        for place, payload in enumerate(payloads):
            sys.stdout.write("begun\n")
            sys.stdout.flush()
            time.sleep(seconds)
            yield place, rows_of(payload)

    make(Store(root), numbers(count), work=slowly, shard=3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
