"""Collections of garbage beside runs and beside each other: nothing breaks, and nothing that is in use goes."""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from storage import garbage
from storage.artifact import Store, StoreError
from storage.files import make_folder, write_bytes
from storage.locks import exclusive
from tests.storage.filling import KEY, RECIPE, make, numbers

NOW = timedelta(0)


def write(store: Store, fingerprint: str, *, files: int = 3, key: tuple[str, ...] = KEY, force: bool = True) -> None:
    """A run without computation."""
    with store.claim("numbers", fingerprint, recipe=RECIPE, force=force) as slot:
        if not slot.complete:
            for number in range(files):
                write_bytes(slot.scratch / f"{number}" / "shard", b"x" * 100)
                write_bytes(slot.content / f"{number}.bin", os.urandom(200))
            slot.commit()
        store.point(key, "numbers", fingerprint)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """f1 is forgotten, f2 is what the key means."""
    store = Store(tmp_path / "store")
    write(store, "f1")
    write(store, "f2")
    return store


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[None]:
    """Do something over and over in another thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_dry_run_beside_a_run_never_fails(store: Store) -> None:
    mine = Store(store.root)
    deadline = time.monotonic() + 0.6
    with beside(lambda: write(mine, f"f{random.randrange(7)}", files=30)):
        while time.monotonic() < deadline:
            store.collect_garbage(min_age=NOW)


def test_a_collection_that_empties_the_trash_does_not_break_a_forced_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collected_between(folder: Path) -> Path:
        made = make_folder(folder)
        monkeypatch.undo()
        store.collect_garbage(False, min_age=NOW)
        return made

    monkeypatch.setattr(garbage, "make_folder", collected_between)
    write(store, "f2")
    assert store.verify(store.resolve(KEY)) == ()


def test_what_a_run_takes_up_after_the_listing_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = garbage._listed

    def claimed_after(*args: object, **kwargs: object) -> object:
        found = listed(*args, **kwargs)  # type: ignore[arg-type]
        claim.__enter__()
        return found

    claim = store.claim("numbers", "f1", recipe=RECIPE)
    monkeypatch.setattr(garbage, "_listed", claimed_after)
    assert store.collect_garbage(False, min_age=NOW).objects == ()
    assert (store.root / "objects/numbers/f1").is_dir()
    claim.__exit__(None, None, None)


def test_what_a_run_reads_stays_after_its_key_means_something_else(store: Store) -> None:
    read = store.resolve(KEY)
    with store.reading([read]):
        write(store, "f3")
        assert store.collect_garbage(min_age=NOW).objects == (store.root / "objects/numbers/f1",)
        store.collect_garbage(False, min_age=NOW)
        assert store.verify(read) == ()
    assert store.collect_garbage(False, min_age=NOW).objects == (read.path,)


def test_what_vanished_since_the_listing_is_not_counted(store: Store) -> None:
    found = garbage._listed(store.root, NOW, log=print)
    assert len(found.objects) == 1
    store.collect_garbage(False, min_age=NOW)
    assert garbage._deleted(store.root, found, NOW) == garbage.Garbage(objects=(), partials=(), size=0)


def test_one_collection_deletes_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "PATIENCE_SECONDS", 0.0)
    with exclusive(store.root / "locks" / ".garbage", timeout=0.0):
        with pytest.raises(StoreError, match="still holds"):
            store.collect_garbage(False, min_age=NOW)
        assert store.collect_garbage(min_age=NOW).objects == (store.root / "objects/numbers/f1",)


def test_an_object_that_is_being_replaced_is_waited_for(store: Store) -> None:
    target = store.resolve(KEY).path

    def back() -> None:
        time.sleep(0.1)
        away.rename(target)

    with store.claim("numbers", "f2", recipe=RECIPE):
        away = target.rename(store.root / "away")
        thread = threading.Thread(target=back)
        thread.start()
        assert Store(store.root).resolve(KEY).path == target
        thread.join()


def run_for(root: Path, number: int, seconds: float) -> None:
    """Runs over shared objects, a part of them forced; each reads what it made."""
    moments, store, key = random.Random(number), Store(root), (*KEY, f"k{number}")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        write(store, f"f{moments.randrange(30)}", files=moments.randrange(1, 8), key=key, force=moments.random() < 0.2)
        assert store.resolve(key).path.is_dir()


def collect_for(root: Path, age: float, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        Store(root).collect_garbage(False, min_age=timedelta(seconds=age))


@pytest.mark.parametrize("seconds", [1.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_three_runs_and_two_collections_at_once_over_one_store(tmp_path: Path, seconds: float) -> None:
    context, root = multiprocessing.get_context("fork"), tmp_path / "store"
    runs = [context.Process(target=run_for, args=(root, number, seconds)) for number in range(3)]
    make(Store(root), numbers(3))
    collections = [context.Process(target=collect_for, args=(root, age, seconds)) for age in (0.0, 0.3)]
    for process in (*runs, *collections):
        process.start()
    for process in (*runs, *collections):
        process.join()
    assert [process.exitcode for process in (*runs, *collections)] == [0] * 5
    store = Store(root)
    assert len(store.refs()) == 4
    assert [problem for artifact in store.artifacts() for problem in store.verify(artifact)] == []
    assert store.verify_pointers() == []
