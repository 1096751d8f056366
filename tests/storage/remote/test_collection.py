"""A collection in a shared store deletes what no project needs, is old, and is its own; and nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from storage.refs import Ref
from storage.remote.bucket import Bucket, RemoteError, checked
from storage.remote.garbage import collect
from storage.remote.objects import MARKER, Place
from storage.remote.shared import Shared
from tests.buckets import FILES, IMPATIENT, PAGE, REF, home_of, made, names_in

NOW, LONG_AGO = timedelta(seconds=-60), timedelta(days=30)
"""Ages above which something goes: all of it, by whatever clock; nothing."""
LEFT = f"objects/numbers/f1/{'0' * 64}"


@pytest.fixture
def bucket(folder: str, tmp_path: Path) -> Bucket:
    return filled(folder, tmp_path)


def filled(url: str, tmp_path: Path) -> Bucket:
    """With f1, which a key means; f2, which another project's key means; f3, which none means; and a leftover of f1."""
    store = home_of(tmp_path / "one", url)
    for name in ("f3", "f2", "f1"):
        made(store, {**FILES, "own": name.encode()}, fingerprint=name)
    ref = Ref(key=("their", "key"), stage="numbers", fingerprint="f2", planned="", manifest="")
    Shared(url, "theirs", IMPATIENT).point(ref)
    bucket = Bucket(checked(url), IMPATIENT)
    bucket.write(LEFT, b"of an upload that was given up")
    for name in ("objects/notes.txt", "objects/numbers/f3/notes.txt", "notes/manifest.json"):
        bucket.write(name, b"somebody's own")
    return bucket


def test_what_no_project_needs_goes_once_it_is_asked_for(url: str, tmp_path: Path) -> None:
    bucket = filled(url, tmp_path)
    before = {one.name: one.size for one in bucket.entries("objects/")}
    listed = collect(bucket, min_age=NOW)
    assert {one.name for one in bucket.entries("objects/")} == before.keys()
    assert (listed.objects, listed.leftovers) == ((Place("numbers", "f3"),), (LEFT,))
    assert collect(bucket, min_age=NOW, dry_run=False) == listed
    gone = before.keys() - {one.name for one in bucket.entries("objects/")}
    own = {name for name in before if name.startswith("objects/numbers/f3/")} - {"objects/numbers/f3/notes.txt"}
    assert gone == {LEFT, *own}
    assert listed.size == sum(before[name] for name in gone)
    for name, computed in (("f1", False), ("f2", False), ("f3", True)):
        assert made(home_of(tmp_path / "two", url), fingerprint=name)[1] is computed


def test_what_a_killed_upload_left_in_a_folder_goes(folder: str, tmp_path: Path) -> None:
    made(home_of(tmp_path / "one", folder))
    staged = Path(folder) / f"{LEFT}#3"
    for path in (staged, staged.with_name("notes#1")):
        path.write_bytes(b"half")
    before = names_in(folder)
    found = collect(Bucket(checked(folder), IMPATIENT), min_age=NOW, dry_run=False)
    assert (found.objects, found.leftovers, found.size) == ((), (f"{LEFT}#3",), 4)
    assert not staged.exists()
    assert staged.with_name("notes#1").exists()
    assert names_in(folder) == before


def test_what_is_young_stays(bucket: Bucket, folder: str) -> None:
    before = names_in(folder)
    found = collect(bucket, min_age=LONG_AGO, dry_run=False)
    assert (found.objects, found.leftovers, found.size) == ((), (), 0)
    assert names_in(folder) == before


@pytest.mark.parametrize("harm", ["no mark", "another's mark", "a damaged key"])
def test_nothing_is_deleted_where_it_is_not_sure_what_is_needed(bucket: Bucket, folder: str, harm: str) -> None:
    match harm:
        case "no mark":
            bucket.delete(MARKER)
        case "another's mark":
            bucket.write(MARKER, b"something else")
        case _:
            bucket.write(REF, b"{")
    before = names_in(folder)
    with pytest.raises(RemoteError, match=r"nothing (is|was) deleted"):
        collect(bucket, min_age=NOW, dry_run=False)
    assert names_in(folder) == before


def test_what_lies_behind_a_link_stays(folder: str, tmp_path: Path) -> None:
    made(home_of(tmp_path / "one", folder))
    elsewhere = tmp_path / "elsewhere" / "f9"
    elsewhere.mkdir(parents=True)
    (elsewhere / "manifest.json").write_text("mine")
    (Path(folder) / "objects" / "linked").symlink_to(elsewhere.parent)
    collect(Bucket(checked(folder), IMPATIENT), min_age=NOW, dry_run=False)
    assert (elsewhere / "manifest.json").read_text() == "mine"


def test_a_reader_beside_a_collection_computes_what_went_away(bucket: Bucket, folder: str, tmp_path: Path) -> None:
    page = bucket.read(PAGE.replace("f1", "f3"), at_most=10**6)
    assert page is not None
    collect(bucket, min_age=NOW, dry_run=False)
    bucket.write(PAGE.replace("f1", "f3"), page)  # as if it had been read before
    lines: list[str] = []
    assert made(home_of(tmp_path / "two", folder, log=lines.append), fingerprint="f3")[1]
    assert any("is missing" in line for line in lines)
    assert not made(home_of(tmp_path / "three", folder), fingerprint="f3")[1]
