"""A file or folder below the store that this user may not read: told of in words, and never taken for garbage."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.datasets import DatasetConfig, open_dataset
from storage.artifact import Store, StoreError
from tests.storage.filling import KEY, RECIPE, make, numbers

NOW = timedelta(0)
NOBODY = 65534
REF, OBJECT, OLDER = "refs/toyref+/base/numbers.json", "objects/numbers/f2", "objects/numbers/f1"
HALF, LOCK = "partial/numbers/f3", "locks/numbers/f2"


@pytest.fixture
def store() -> Iterator[Store]:
    """A store of a user without privileges: f1 is forgotten, f2 is what the key means, f3 was begun."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are root's alone
    if root := os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        store = Store(folder / "store")
        make(store, numbers(5), fingerprint="f1")
        make(store, numbers(6), fingerprint="f2")
        with store.claim("numbers", "f3", recipe=RECIPE) as slot:
            (slot.content / "half").write_bytes(b"12345")
        yield store
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


def claim(store: Store) -> None:
    with store.claim("numbers", "f2", recipe=RECIPE):
        pass


def point(store: Store) -> None:
    store.point(KEY, "numbers", "f2")


def collect(store: Store) -> None:
    store.collect_garbage(False, min_age=NOW)


@pytest.mark.parametrize(
    ("closed", "act"),
    [
        (REF, lambda store: store.resolve(KEY)),
        (REF, collect),
        ("refs", lambda store: store.resolve(KEY)),
        ("refs", collect),
        ("refs", point),
        ("refs/toyref+", collect),
        (OBJECT, lambda store: store.resolve(KEY)),
        (OBJECT, claim),
        (f"{OBJECT}/manifest.json", lambda store: store.resolve(KEY)),
        (f"{OBJECT}/manifest.json", point),
        (f"{OBJECT}/numbers.parquet", lambda store: store.resolve(KEY).table("numbers")),
        ("objects", lambda store: store.artifacts()),
        ("objects", claim),
        ("objects", point),
        ("objects", lambda store: store.resolve(KEY)),
        ("objects", collect),
        (LOCK, claim),
        ("locks", claim),
        ("index.txt", claim),
        ("", claim),
        ("", lambda store: store.resolve(KEY)),
    ],
)
def test_what_may_not_be_read_is_told_of_and_nothing_is_deleted(
    store: Store, closed: str, act: Callable[[Store], object]
) -> None:
    path = store.root / closed
    path.chmod(0)
    with pytest.raises(StoreError, match=r"(?i)permission"):
        act(store)
    path.chmod(0o700)
    assert [artifact.path.name for artifact in store.artifacts()] == ["f1", "f2"]


@pytest.mark.parametrize("closed", [OLDER, HALF, f"{HALF}/scratch", "locks/numbers/f1", "locks/numbers/f3"])
def test_garbage_that_may_not_be_looked_at_stays_and_the_rest_goes(store: Store, closed: str) -> None:
    other = store.root / (HALF if closed.endswith("f1") else OLDER)
    (store.root / closed).chmod(0)
    found = store.collect_garbage(min_age=NOW)
    assert (*found.objects, *found.partials) == (other,)
    assert store.collect_garbage(False, min_age=NOW) == found
    assert not other.exists()
    assert (store.root / closed).exists()


def test_verification_names_what_it_may_not_read(store: Store) -> None:
    artifact = store.resolve(KEY)
    (artifact.path / "numbers.parquet").chmod(0)
    assert store.verify(artifact) == ("numbers.parquet: cannot be read (Permission denied)",)
    artifact.path.chmod(0)
    (problem,) = store.verify(artifact)
    assert "Permission denied" in problem


@pytest.mark.parametrize("closed", ["", "mine"])
@pytest.mark.parametrize("mode", [0, 0o400])
def test_a_data_set_that_may_not_be_looked_into_is_not_said_to_be_empty(store: Store, closed: str, mode: int) -> None:
    folder = store.root.parent / "mine"
    folder.mkdir()
    (folder / "expressions.csv").write_text("image,expression\na.png,cup\n")
    (folder.parent / closed).chmod(mode)
    with pytest.raises(Refused, match=r"mine can not be reached \(Permission denied\); set root"):
        open_dataset(DatasetConfig(kind="folder", root=folder)).corpus()
