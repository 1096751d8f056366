"""Results of one machine are found by another, over a real S3 server and over a plain folder."""

import hashlib
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from storage.artifact import Store
from storage.remote.bucket import Bucket
from storage.remote.objects import Place
from tests.buckets import BIG, FILES, IMPATIENT, KEY, PAGE, REF, at_once, content_of, home_of, made, names_in

OTHER = {**FILES, "a.parquet": b"other" * 1000}
"""As another machine rounds."""


@pytest.mark.parametrize("files", [FILES, BIG], ids=["small", "big"])
def test_a_second_machine_finds_the_result_and_computes_nothing(
    url: str, files: Mapping[str, bytes], tmp_path: Path
) -> None:
    lines: list[str] = []
    first, computed = made(home_of(tmp_path / "first", url), files)
    second, again = made(home_of(tmp_path / "second", url, log=lines.append), files)
    assert (computed, again) == (True, False)
    assert content_of(second) == content_of(first)
    assert Store(tmp_path / "second").verify(second) == ()
    assert second.planned == first.planned
    assert any("from the shared store" in line for line in lines)
    sums = {hashlib.sha256(content).hexdigest() for content in files.values()}
    assert names_in(url) == {PAGE, REF, *(f"objects/numbers/f1/{one}" for one in sums)}
    assert not list((tmp_path / "second" / "partial" / "numbers").iterdir())


def test_what_is_here_already_is_found_without_a_question(s3: str, tmp_path: Path) -> None:
    store = home_of(tmp_path / "home", s3)
    made(store)
    for name in names_in(s3):
        Bucket(s3, IMPATIENT).delete(name)
    _, computed = made(store)
    assert not computed
    assert names_in(s3) == set()


def test_of_two_writers_at_once_the_first_wins_and_the_other_takes_its_result_over(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_there, put = threading.Barrier(2), Bucket.write

    def write(bucket: Bucket, name: str, content: bytes, *, replace: bool = True) -> bool:
        if name == PAGE:
            both_there.wait(60)
        return put(bucket, name, content, replace=replace)

    monkeypatch.setattr(Bucket, "write", write)
    homes = [home_of(tmp_path / name, url) for name in ("one", "two")]
    found = at_once(lambda: made(homes[0], FILES), lambda: made(homes[1], OTHER))
    here = [content_of(artifact) for artifact, _ in found]
    third, computed = made(home_of(tmp_path / "three", url), {"never": b""})
    assert not computed
    assert here[0] == here[1] == content_of(third)
    assert here[0]["a.parquet"] in (FILES["a.parquet"], OTHER["a.parquet"])
    for store, (artifact, _) in zip(homes, found, strict=True):
        assert store.verify(artifact) == ()
        assert store.verify_pointers() == []
        assert store.remote.unsent() == []


@pytest.mark.parametrize("files", [FILES, OTHER], ids=["equal files", "other files"])
def test_a_push_that_comes_second_takes_over_what_was_first(
    url: str, files: Mapping[str, bytes], tmp_path: Path
) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    first, second = (made(Store(root), some)[0] for root, some in zip(roots, (FILES, files), strict=True))
    assert first.manifest.created != second.manifest.created
    results = [home_of(root, url).push(KEY) for root in (*roots, roots[1])]
    assert results == ["sent", "taken over", "sent"]
    assert content_of(first) == content_of(Store(roots[1]).resolve(KEY))
    assert Store(roots[1]).verify(second) == ()
    assert Store(roots[1]).verify_pointers() == []


def test_a_result_that_somebody_reads_is_not_exchanged_under_their_eyes(s3: str, tmp_path: Path) -> None:
    made(home_of(tmp_path / "one", s3))
    mine, _ = made(Store(tmp_path / "two"), OTHER)
    before, store = content_of(mine), home_of(tmp_path / "two", s3)
    with store.reading([mine]):
        assert store.push(KEY) == "kept"
    assert content_of(mine) == before
    assert store.push(KEY) == "taken over"


def test_a_forced_result_stays_here_until_it_is_put_in_the_others_place(url: str, tmp_path: Path) -> None:
    lines: list[str] = []
    made(home_of(tmp_path / "one", url))
    store = home_of(tmp_path / "two", url, log=lines.append)
    mine, computed = made(store, OTHER, force=True)
    assert computed
    assert mine.file("a.parquet").read_bytes() == OTHER["a.parquet"]
    assert any("push --replace" in line for line in lines)
    assert store.push(KEY, replacing=True) == "sent"
    assert content_of(made(home_of(tmp_path / "three", url))[0]) == content_of(store.resolve(KEY))


def test_a_result_that_was_not_sent_goes_with_the_next_run(url: str, tmp_path: Path) -> None:
    store = home_of(tmp_path / "home", url)
    made(Store(tmp_path / "home"))
    store.remote.owe(Place("numbers", "f1"))
    assert not made(store)[1]
    assert PAGE in names_in(url)
    assert REF in names_in(url)
    assert store.remote.unsent() == []


def test_in_a_folder_those_may_read_who_may_read_the_folder(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    made(home_of(tmp_path / "home", str(shared)))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in shared.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in shared.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o660}, {0o770})
