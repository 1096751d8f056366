import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from storage.artifact import Store, StoreError
from tests.storage.filling import RECIPE, make, numbers

NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """f1 is forgotten, f2 is what the key means, f3 was begun."""
    store = Store(tmp_path / "store")
    make(store, numbers(5), fingerprint="f1")
    make(store, numbers(6), fingerprint="f2")
    with store.claim("numbers", "f3", recipe=RECIPE) as slot:
        (slot.content / "half").write_bytes(b"12345")
    return store


def test_a_dry_run_lists_and_deletes_nothing(store: Store) -> None:
    garbage = store.collect_garbage(min_age=NOW)
    assert garbage.objects == (store.root / "objects/numbers/f1",)
    assert garbage.partials == (store.root / "partial/numbers/f3",)
    files = [path for folder in (*garbage.objects, *garbage.partials) for path in folder.rglob("*") if path.is_file()]
    assert garbage.size == sum(path.stat().st_size for path in files) > 5
    assert all(path.exists() for path in files)


def test_collecting_keeps_exactly_what_a_key_means(store: Store) -> None:
    kept = store.collect_garbage(False, min_age=NOW)
    assert not any(path.exists() for path in (*kept.objects, *kept.partials, store.root / "trash"))
    assert [artifact.path.name for artifact in store.artifacts()] == ["f2"]
    assert store.verify(store.artifacts()[0]) == ()
    assert store.collect_garbage(min_age=NOW).objects == ()


def test_fresh_things_stay(store: Store) -> None:
    assert store.collect_garbage(False).size == 0
    old = time.time() - 2 * 86_400
    half = store.root / "partial/numbers/f3"
    for path in (half, *half.rglob("*")):
        os.utime(path, (old, old))
    assert store.collect_garbage().partials == (half,)
    assert store.collect_garbage().objects == ()


def test_work_that_someone_holds_stays(store: Store) -> None:
    with store.claim("numbers", "f3", recipe=RECIPE), store.claim("numbers", "f1", recipe=RECIPE):
        garbage = store.collect_garbage(min_age=NOW)
    assert (garbage.objects, garbage.partials) == ((), ())


def test_a_damaged_ref_stops_the_collection(store: Store) -> None:
    (store.root / "refs/toyref+/base/numbers.json").write_text("[]")
    with pytest.raises(StoreError, match="collect again"):
        store.collect_garbage(False, min_age=NOW)
    assert len(store.artifacts()) == 2
