import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from storage.artifact import Store, StoreError
from storage.garbage import MARKER
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
    assert not any(path.exists() for path in (*kept.objects, *kept.partials))
    assert not list((store.root / "trash").iterdir())
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


def test_without_the_mark_of_a_store_nothing_is_deleted(store: Store) -> None:
    (store.root / MARKER).unlink()
    with pytest.raises(StoreError, match="has no WORDMASK_STORE, so nothing is deleted"):
        store.collect_garbage(False, min_age=NOW)
    assert (store.root / "objects/numbers/f1").is_dir()
    assert store.collect_garbage(min_age=NOW).objects == (store.root / "objects/numbers/f1",)


def test_a_store_of_an_earlier_version_is_marked_by_its_next_run_which_says_so_once(store: Store) -> None:
    (store.root / MARKER).unlink()
    said: list[str] = []
    for fingerprint in ("f4", "f5"):
        with store.claim("numbers", fingerprint, recipe=RECIPE, log=said.append):
            pass
    assert len([line for line in said if "earlier version" in line]) == 1
    assert not store.collect_garbage(False, min_age=NOW).objects[0].exists()


def test_a_folder_that_is_no_store_keeps_everything(tmp_path: Path) -> None:
    mine = tmp_path / "thesis"
    (mine / "objects" / "chapters" / "one").mkdir(parents=True)
    (mine / "objects" / "chapters" / "one" / "text.tex").write_text("years of work")
    with pytest.raises(StoreError):
        Store(mine).collect_garbage(False, min_age=NOW)
    assert (mine / "objects" / "chapters" / "one" / "text.tex").read_text() == "years of work"
