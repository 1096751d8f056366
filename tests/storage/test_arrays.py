"""Arrays filled shard by shard: rows, quarantine, reuse, and that kills and damage change no byte."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage.arrays import Layout, Row, fill_array, read_array
from storage.artifact import Artifact, Store, StoreError
from storage.digest import digest
from storage.manifest import Tally
from storage.rows import Quarantined, Unit
from tests.processes import warm_processes
from tests.storage.filling import RECIPE, contents

LAYOUT = Layout(shape=(3, 2), dtype="float16", dimensions=("unit", "row", "column"), attributes={"scale": "none"})
KEY = ("set", "base", "maps")
COUNT, SHARD = 75, 16
Compute = Callable[[Sequence[int]], Iterator[tuple[int, Row | Quarantined]]]


def units(count: int = COUNT) -> list[Unit[int]]:
    return [Unit(digest(["map", number]), number, f"map {number}") for number in range(count)]


def row_of(number: int) -> Row | Quarantined:
    if number % 11 == 5 or 32 <= number < 48:  # a whole shard is bad
        return Quarantined(f"{number} is bad")
    return np.full((3, 2), number / 7) + np.arange(2)


def compute(payloads: Sequence[int]) -> Iterator[tuple[int, Row | Quarantined]]:
    return enumerate(map(row_of, payloads))


def slowly(payloads: Sequence[int]) -> Iterator[tuple[int, Row | Quarantined]]:
    for place, payload in enumerate(payloads):
        time.sleep(0.05 / SHARD)
        yield place, row_of(payload)


def make(
    store: Store,
    *,
    work: Compute = compute,
    mark: str = "f1",
    count: int = COUNT,
    shard: int = SHARD,
    reuse: Sequence[Artifact] = (),
) -> tuple[Artifact, Tally | None]:
    tally = None
    with store.claim("maps", mark, recipe=RECIPE) as slot:
        if not slot.complete:
            tally = fill_array(
                slot, "maps", units(count), work, layout=LAYOUT, shard=shard, log=lambda _: None, reuse=reuse
            )
            slot.commit(rows={"maps": tally})
        store.point(KEY, "maps", mark)
    return store.resolve(KEY), tally


def make_slowly(root: Path) -> None:
    make(Store(root), work=slowly)


def test_rows_come_back_in_half_precision_with_what_a_reader_must_know(tmp_path: Path) -> None:
    artifact, tally = make(Store(tmp_path))
    rows, attributes = read_array(artifact.file("maps.zarr"))
    assert rows.shape == (COUNT, 3, 2)
    assert rows.dtype == np.float16
    assert attributes == {"scale": "none"}
    for number, row in enumerate(rows):
        expected = row_of(number)
        if isinstance(expected, Quarantined):
            assert np.isnan(row).all()
        else:
            assert np.array_equal(row, expected.astype(np.float16))
    lost = artifact.quarantine("maps").to_pylist()
    assert [row["label"] for row in lost][:2] == ["map 5", "map 16"]
    assert tally == Tally(reused=0, computed=COUNT - len(lost), quarantined=len(lost), rows=COUNT)


def test_it_is_a_sharded_zarr_3_array_of_self_describing_axes(tmp_path: Path) -> None:
    artifact, _ = make(Store(tmp_path))
    array = zarr.open_array(artifact.file("maps.zarr"), mode="r")
    assert array.metadata.zarr_format == 3
    assert array.shards == (SHARD, 3, 2)
    assert array.metadata.dimension_names == LAYOUT.dimensions
    files = {path.name for path in (artifact.path / "maps.zarr/c").iterdir()}
    assert files == {"0", "1", "3", "4"}, "a shard of nothing but NaN has no file"


@pytest.mark.parametrize("count", [0, 1, 16, 17])
def test_any_number_of_units_is_held(tmp_path: Path, count: int) -> None:
    artifact, _ = make(Store(tmp_path), count=count)
    assert len(read_array(artifact.file("maps.zarr"))[0]) == count


class Killed(BaseException):
    pass


def stopping_at(number: int) -> Compute:
    def work(payloads: Sequence[int]) -> Iterator[tuple[int, Row | Quarantined]]:
        for place, payload in enumerate(payloads):
            if payload == number:
                raise Killed
            yield place, row_of(payload)

    return work


def partial(store: Store) -> Path:
    return store.root / "partial/maps/f1/content/maps.zarr"


def test_finished_shards_are_not_computed_again_and_the_bytes_are_those_of_a_calm_run(tmp_path: Path) -> None:
    calm, _ = make(Store(tmp_path / "calm"))
    store = Store(tmp_path / "rough")
    for stop in (20, 50, 70):
        with pytest.raises(Killed):
            make(store, work=stopping_at(stop))
    artifact, tally = make(store)
    assert tally is not None
    assert tally.reused == sum(not isinstance(row_of(number), Quarantined) for number in range(64))
    assert contents(artifact) == contents(calm)
    assert store.verify(artifact) == ()


@pytest.mark.parametrize("damage", ["shard", "metadata", "note", "half written"])
def test_a_write_that_was_cut_short_is_made_again(tmp_path: Path, damage: str) -> None:
    calm, _ = make(Store(tmp_path / "calm"))
    store = Store(tmp_path / "rough")
    with pytest.raises(Killed):
        make(store, work=stopping_at(50))
    found = {
        "shard": partial(store) / "c/1/0/0",
        "metadata": partial(store) / "zarr.json",
        "note": store.root / "partial/maps/f1/scratch/maps.notes/1.json",
        "half written": partial(store) / "c/3/0/0.0123.partial",
    }[damage]
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(found.read_bytes()[:10] if found.exists() else b"\x00\x01")
    artifact, _ = make(store)
    assert contents(artifact) == contents(calm)


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    calm, _ = make(Store(tmp_path / "calm"))
    store = Store(tmp_path / "rough")
    context = warm_processes()
    for shard in (0, 2):
        process = context.Process(target=make_slowly, args=(store.root,))
        process.start()
        while not (store.root / f"partial/maps/f1/scratch/maps.notes/{shard}.json").exists():
            assert process.is_alive()
            time.sleep(0.005)
        process.kill()
        process.join()
    artifact, tally = make(store)
    assert tally is not None
    assert tally.reused > 0
    assert contents(artifact) == contents(calm)


def test_good_rows_of_other_artifacts_are_copied_by_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, _ = make(store, count=30)
    artifact, tally = make(store, mark="f2", reuse=[first])
    assert tally is not None
    assert tally.reused == sum(not isinstance(row_of(number), Quarantined) for number in range(30))
    calm, _ = make(Store(tmp_path / "calm"))
    assert contents(artifact) == contents(calm)


def test_rows_that_do_not_fit_are_refused_with_their_name(tmp_path: Path) -> None:
    for row in (np.zeros((2, 3)), np.full((3, 2), np.inf)):
        with pytest.raises(ValueError, match="map 0"):
            make(Store(tmp_path), work=_repeating(row))
    with pytest.raises(ValueError, match="0 results"):
        make(Store(tmp_path), work=lambda _: iter(()))
    with pytest.raises(ValueError, match="multiple of 16"):
        make(Store(tmp_path), shard=20)


def test_a_damaged_array_says_what_to_do(tmp_path: Path) -> None:
    artifact, _ = make(Store(tmp_path))
    (artifact.path / "maps.zarr/c/0/0/0").write_bytes(b"not a shard")
    with pytest.raises(StoreError, match="again with force"):
        read_array(artifact.file("maps.zarr"))
    with pytest.raises(StoreError, match="again with force"):
        read_array(tmp_path / "nowhere.zarr")


def _repeating(row: Row) -> Compute:
    return lambda payloads: enumerate([row] * len(payloads))
