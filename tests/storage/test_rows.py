from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.artifact import Artifact, Store
from storage.progress import Progress
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import ROW_GROUP, description
from tests.storage.filling import RECIPE, SCHEMA, compute, contents, make, numbers, rows_of


class Counter:
    """`compute` that remembers what it was asked, and may break down."""

    def __init__(self, *, breaks_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.breaks_at = breaks_at

    def __call__(self, payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
        for place, payload in enumerate(payloads):
            if payload == self.breaks_at:
                raise RuntimeError("broken down")
            self.asked.append(payload)
            yield place, rows_of(payload)


def shards(store: Store) -> list[Path]:
    return sorted((store.root / "partial/numbers/f1/scratch/numbers").glob("*.parquet"))


def break_down(store: Store, *, at: int, shard: int = 8) -> None:
    with pytest.raises(RuntimeError, match="broken down"):
        make(store, numbers(50), work=Counter(breaks_at=at), shard=shard)


@pytest.fixture
def undisturbed(tmp_path: Path) -> Artifact:
    return make(Store(tmp_path / "undisturbed"), numbers(50))[0]


def test_rows_come_in_the_order_of_the_units_with_the_unit_first(undisturbed: Artifact) -> None:
    table = undisturbed.table("numbers")
    expected = []
    for unit in numbers(50):
        result = rows_of(unit.payload)
        expected += [] if isinstance(result, Quarantined) else [{"unit": unit.key, **row} for row in result]
    assert table.to_pylist() == expected
    assert table.column_names == ["unit", "number", "share", "blob"]


def test_the_ledger_remembers_every_unit_and_quarantine_says_why(undisturbed: Artifact) -> None:
    ledger = undisturbed.ledger("numbers").to_pylist()
    assert [row["unit"] for row in ledger] == [unit.key for unit in numbers(50)]
    assert ledger[10] == {"unit": numbers(11)[10].key, "label": "number 10", "status": "ok", "reason": "", "rows": 0}
    bad = undisturbed.quarantine("numbers").to_pylist()
    assert [row["label"] for row in bad] == [f"number {n}" for n in (5, 16, 27, 38, 49)]
    assert bad[0]["reason"] == "5 leaves 5 when divided by 11"


def test_the_tally_counts_units_once(undisturbed: Artifact) -> None:
    assert undisturbed.manifest.rows == {"numbers": Tally(reused=0, computed=45, quarantined=5, rows=90)}


def test_columns_keep_their_descriptions(undisturbed: Artifact) -> None:
    assert description(undisturbed.schema("numbers").field("share")) == "payload / 7"


@given(count=st.integers(0, 30), shard=st.integers(1, 40))
@settings(max_examples=8)
def test_bytes_do_not_depend_on_the_size_of_shards(
    tmp_path_factory: pytest.TempPathFactory, count: int, shard: int
) -> None:
    one = make(Store(tmp_path_factory.mktemp("one")), numbers(count), shard=shard)[0]
    other = make(Store(tmp_path_factory.mktemp("other")), numbers(count), shard=7)[0]
    assert contents(one) == contents(other)
    assert one.content_digest == other.content_digest


def test_bytes_do_not_depend_on_shards_across_row_groups(tmp_path: Path) -> None:
    small = make(Store(tmp_path / "small"), numbers(2500), shard=170)[0]
    large = make(Store(tmp_path / "large"), numbers(2500), shard=2500)[0]
    assert pq.ParquetFile(small.file("numbers.parquet")).metadata.row_group(0).num_rows == ROW_GROUP
    assert contents(small) == contents(large)


def test_a_large_table_leaves_no_more_than_a_fixed_number_of_shards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, undisturbed: Artifact
) -> None:
    monkeypatch.setattr("storage.rows.SHARDS", 5)
    store = Store(tmp_path)
    break_down(store, at=49, shard=2)
    assert len(shards(store)) == 4  # of ten units each; the fifth was not whole
    assert contents(make(store, numbers(50), shard=2)[0]) == contents(undisturbed)


def test_finished_shards_are_not_computed_again_after_a_break(tmp_path: Path, undisturbed: Artifact) -> None:
    store = Store(tmp_path / "store")
    break_down(store, at=30)
    assert len(shards(store)) == 3
    counter = Counter()
    artifact, tally = make(store, numbers(50), work=counter)
    assert counter.asked == list(range(24, 50))
    assert tally == Tally(reused=22, computed=23, quarantined=5, rows=90)
    assert contents(artifact) == contents(undisturbed)
    assert not (store.root / "partial/numbers/f1").exists()


def test_another_shard_size_resumes_too(tmp_path: Path, undisturbed: Artifact) -> None:
    store = Store(tmp_path / "store")
    break_down(store, at=30)
    break_down(store, at=40, shard=13)
    counter = Counter()
    artifact, _ = make(store, numbers(50), work=counter, shard=5)
    assert counter.asked == list(range(39, 50))
    assert contents(artifact) == contents(undisturbed)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"number": [1]}), path)


@pytest.mark.parametrize("damage", [empty, truncate, flip, foreign])
def test_a_damaged_shard_is_computed_again(
    tmp_path: Path, undisturbed: Artifact, damage: Callable[[Path], None]
) -> None:
    store = Store(tmp_path / "store")
    break_down(store, at=30)
    damage(shards(store)[1])
    lines: list[str] = []
    counter = Counter()
    artifact, _ = make(store, numbers(50), work=counter, log=lines.append)
    assert counter.asked == [*range(8, 16), *range(24, 50)]
    assert any("damaged or outdated" in line for line in lines)
    assert contents(artifact) == contents(undisturbed)


def test_a_half_written_shard_is_swept_away(tmp_path: Path, undisturbed: Artifact) -> None:
    store = Store(tmp_path / "store")
    break_down(store, at=30)
    (shards(store)[0].parent / "000000024-x.parquet.99.writing").write_bytes(b"PAR1")
    assert contents(make(store, numbers(50))[0]) == contents(undisturbed)


def test_rows_of_equal_units_are_copied_from_an_earlier_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, numbers(50), fingerprint="f1")
    grown = [*numbers(60)[55:], *numbers(55)[3:]]
    counter = Counter()
    reuse = store.siblings("numbers", "own-1")
    artifact, tally = make(store, grown, fingerprint="f2", work=counter, reuse=reuse)
    quarantined = {16, 27, 38, 49, 5}
    assert set(counter.asked) == set(range(50, 60)) | quarantined
    assert tally == Tally(reused=42, computed=10, quarantined=5, rows=sum(map(len, map(_rows, grown))))
    alone = make(Store(tmp_path / "alone"), grown)[0]
    assert contents(artifact) == contents(alone)


def _rows(unit: Unit[int]) -> Rows:
    result = rows_of(unit.payload)
    return [] if isinstance(result, Quarantined) else result


def test_quarantined_units_get_another_chance_in_the_next_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, numbers(12), fingerprint="f1")

    def healed(payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
        return enumerate([] for _ in payloads)

    _, tally = make(store, numbers(12), fingerprint="f2", work=healed, reuse=store.siblings("numbers", "own-1"))
    assert tally == Tally(reused=11, computed=1, quarantined=0, rows=sum(n % 5 for n in range(12) if n != 5))


def test_a_damaged_or_foreign_artifact_is_not_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = make(store, numbers(12), fingerprint="f1")[0]
    flip(old.file("numbers.parquet"))
    lines: list[str] = []
    _, tally = make(store, numbers(12), fingerprint="f2", reuse=[old], log=lines.append)
    assert tally is not None
    assert tally.reused == 0
    assert any("not reusing" in line for line in lines)


def test_a_copied_unit_takes_its_new_label(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = make(store, numbers(3), fingerprint="f1")[0]
    renamed = [Unit(unit.key, unit.payload, f"renamed {unit.payload}") for unit in numbers(3)]
    artifact, _ = make(store, renamed, fingerprint="f2", reuse=[old])
    assert artifact.ledger("numbers")["label"].to_pylist() == ["renamed 0", "renamed 1", "renamed 2"]


def test_no_units_give_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    artifact, tally = make(Store(tmp_path), [])
    assert tally == Tally(0, 0, 0, 0)
    assert artifact.table("numbers").schema.names == ["unit", *SCHEMA.names]


def test_equal_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Units 0 and 3 .* share the key"):
        make(Store(tmp_path), [*numbers(3), numbers(1)[0]])


@pytest.mark.parametrize(("places", "said"), [([0], "1 results for 2"), ([0, 1, 2], "more"), ([1, 1], "more")])
def test_a_wrong_number_of_results_is_refused(tmp_path: Path, places: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(Store(tmp_path), numbers(2), work=lambda _: ((place, []) for place in places))


@given(order=st.permutations(range(50)), left=st.integers(1, 50))
@settings(max_examples=3)
def test_results_in_any_order_give_the_same_bytes_and_a_break_costs_shards_that_are_not_whole(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], left: int
) -> None:
    store, shard = Store(tmp_path_factory.mktemp("shuffled")), 8

    def until(last: int | None) -> Callable[[Sequence[int]], Iterator[tuple[int, Rows | Quarantined]]]:
        def shuffled(payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
            places = {payload: place for place, payload in enumerate(payloads)}
            for number in [number for number in order if number in places][:last]:
                yield places[number], rows_of(number)
            if last is not None:
                raise RuntimeError("broken down")

        return shuffled

    with pytest.raises(RuntimeError, match="broken down"):
        make(store, numbers(50), work=until(left), shard=shard)
    whole = [start for start in range(0, 50, shard) if {*range(start, min(start + shard, 50))} <= {*order[:left]}]
    assert [int(path.name[:9]) for path in shards(store)] == whole
    calm = make(Store(tmp_path_factory.mktemp("calm")), numbers(50))[0]
    assert contents(make(store, numbers(50), work=until(None))[0]) == contents(calm)


GOOD = {"number": 1, "share": 0.5, "blob": b""}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"number": 1, "share": 0.5}, r"lacks \['blob'\]"),
        ({**GOOD, "extra": 1}, r"unknown \['extra'\]"),
        ({**GOOD, "number": "one"}, r"'number' \(int64\) cannot hold what unit number 0 gives"),
        ({**GOOD, "number": None}, "'number' of unit number 0 is None"),
    ],
)
def test_a_row_that_does_not_fit_the_schema_is_refused(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Store(tmp_path), numbers(1), work=lambda _: enumerate([[row]]))


def test_a_column_named_unit_a_zero_shard_and_a_quarantine_without_reason_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path).claim("numbers", "f1", recipe=RECIPE) as slot:
        bad = pa.schema([pa.field("unit", pa.string())])
        with pytest.raises(ValueError, match="'unit' is added"):
            fill_table(slot, "numbers", numbers(1), compute, schema=bad, shard=1, log=print)
        with pytest.raises(ValueError, match="at least 1"):
            fill_table(slot, "numbers", numbers(1), compute, schema=SCHEMA, shard=0, log=print)
    with pytest.raises(ValueError, match="needs a reason"):
        Quarantined("")


def test_one_artifact_holds_several_tables(tmp_path: Path) -> None:
    with Store(tmp_path).claim("numbers", "f1", recipe=RECIPE) as slot:
        for name in ("first", "second"):
            fill_table(slot, name, numbers(9), compute, schema=SCHEMA, shard=4, log=lambda _: None)
        artifact = slot.commit()
    assert artifact.tables == ("first", "second")
    assert artifact.table("first").equals(artifact.table("second"))


def test_progress_says_rate_time_left_and_counts_at_most_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("storage.progress.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    progress = Progress("numbers/numbers", total=22, log=lines.append, every=5)
    progress.inherit([])
    for number in range(11):
        progress.settle(rows=2, quarantined=number == 3)
    assert lines == [
        "numbers/numbers: 4/22 units, 0.8 units/s, 1.6 rows/s, 22 s left, 0 reused, 3 computed, 1 quarantined",
        "numbers/numbers: 9/22 units, 0.9 units/s, 1.8 rows/s, 14 s left, 0 reused, 8 computed, 1 quarantined",
    ]
    assert progress.done(22) == Tally(reused=0, computed=10, quarantined=1, rows=22)
