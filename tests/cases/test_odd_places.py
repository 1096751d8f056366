"""Links, pipes and foreign folders in a store or among results: not deleted, not written through, not waited for."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from storage.artifact import Store, StoreError
from storage.outputs import LIST, outputs
from tests.storage.filling import KEY, RECIPE, make, numbers

NOW = timedelta(0)
REF = "refs/toyref+/base/numbers.json"
MANIFEST = "objects/numbers/f2/manifest.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """f1 is forgotten, f2 is what the key means, f3 was begun; beside the store lies a person's own folder."""
    store = Store(tmp_path / "store")
    make(store, numbers(5), fingerprint="f1")
    make(store, numbers(6), fingerprint="f2")
    with store.claim("numbers", "f3", recipe=RECIPE):
        pass
    photos = tmp_path / "mine" / "holidays" / "photos"
    photos.mkdir(parents=True)
    (photos / "one.jpg").write_text("dear")
    return store


def moved_and_linked(path: Path, to: Path) -> None:
    shutil.move(path, to)
    path.symlink_to(to)


@pytest.mark.parametrize("name", ["trash", "objects", "partial"])
@pytest.mark.parametrize("place", ["mine", "mine/holidays"])
def test_what_lies_behind_a_link_is_not_deleted(store: Store, tmp_path: Path, name: str, place: str) -> None:
    shutil.rmtree(store.root / name, ignore_errors=True)
    (store.root / name).symlink_to(tmp_path / place)
    store.collect_garbage(False, min_age=NOW)
    assert (tmp_path / "mine" / "holidays" / "photos" / "one.jpg").read_text() == "dear"


@pytest.mark.parametrize("name", ["trash", "trash/mine", "objects", "objects/numbers", "partial", "partial/numbers"])
def test_a_folder_that_no_stage_made_stays(store: Store, tmp_path: Path, name: str) -> None:
    shutil.copytree(tmp_path / "mine", store.root / name, dirs_exist_ok=True)
    found = store.collect_garbage(False, min_age=NOW)
    assert (store.root / name / "holidays" / "photos" / "one.jpg").read_text() == "dear"
    assert found.objects == (store.root / "objects/numbers/f1",)
    assert found.partials == (store.root / "partial/numbers/f3",)


@pytest.mark.parametrize("name", ["refs", "refs/toyref+", "refs/toyref+/base", REF])
def test_a_key_behind_a_link_means_its_object_to_a_collection_too(store: Store, tmp_path: Path, name: str) -> None:
    moved_and_linked(store.root / name, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(".") if (tmp_path / "elsewhere").is_dir() else None
    assert store.collect_garbage(False, min_age=NOW).objects == (store.root / "objects/numbers/f1",)
    assert store.resolve(KEY).path.name == "f2"
    assert KEY in store.refs()


def test_a_key_whose_link_leads_nowhere_now_stops_a_collection(store: Store, tmp_path: Path) -> None:
    moved_and_linked(store.root / REF, tmp_path / "elsewhere")
    (tmp_path / "elsewhere").unlink()
    with pytest.raises(StoreError, match=r"numbers\.json: No such file.* Nothing was deleted"):
        store.collect_garbage(False, min_age=NOW)
    assert (store.root / "objects/numbers/f2").is_dir()


@pytest.mark.parametrize(
    ("name", "act"),
    [
        (REF, lambda store: store.resolve(KEY)),
        (REF, lambda store: store.collect_garbage(False, min_age=NOW)),
        (MANIFEST, lambda store: store.resolve(KEY)),
        (MANIFEST, lambda store: make(store, numbers(6), fingerprint="f2", force=True)),
        ("index.txt", lambda store: store.verify_pointers()),
        ("index.txt", lambda store: make(store, numbers(6), fingerprint="f4")),
    ],
)
def test_a_pipe_in_the_place_of_a_page_of_the_store_is_not_waited_for(
    store: Store, name: str, act: Callable[[Store], object]
) -> None:
    (store.root / name).unlink()
    os.mkfifo(store.root / name)
    began = time.monotonic()
    with pytest.raises(StoreError, match="no regular file"):
        act(store)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (os.mkfifo, "no regular file"),
        (Path.mkdir, "no regular file"),
        (lambda path: path.symlink_to("../dear"), "is a link"),
        (lambda path: path.symlink_to("nowhere"), "is a link"),
    ],
)
def test_results_are_not_written_where_something_else_has_the_name_of_their_list(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    (tmp_path / "dear").write_text("mine")
    (tmp_path / "out").mkdir()
    spoil(tmp_path / "out" / LIST)
    with pytest.raises(StoreError, match=told), outputs(tmp_path / "out", "a", [".png"], of="x") as files:
        files.write(".png", b"mask")
    assert (tmp_path / "dear").read_text() == "mine"
    assert not (tmp_path / "out" / "nowhere").exists()
