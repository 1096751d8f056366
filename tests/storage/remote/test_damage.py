"""What is damaged, foreign or hostile in a shared store is refused by name, computed again and put right."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.artifact import Store, StoreError
from storage.files import write_bytes
from storage.remote.bucket import Bucket, RemoteError, checked
from storage.remote.objects import LARGEST_PAGE
from tests.buckets import FILES, IMPATIENT, KEY, PAGE, REF, content_of, home_of, made

TABLE = f"objects/numbers/f1/{hashlib.sha256(FILES['a.parquet']).hexdigest()}"
Harm = Callable[[Bucket], object]


def told(bucket: Bucket) -> dict[str, Any]:
    """The manifest in the page."""
    content = bucket.read(PAGE, at_most=LARGEST_PAGE)
    assert content is not None
    found: dict[str, Any] = json.loads(json.loads(content)["manifest"])
    return found


def rewrite(bucket: Bucket, manifest: dict[str, Any]) -> None:
    """A page whose digest is right, as whoever may write can make it."""
    text = json.dumps(manifest)
    page = {"manifest": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    bucket.write(PAGE, json.dumps(page).encode())


def renamed(name: str) -> Harm:
    """The table is to lie somewhere else."""

    def act(bucket: Bucket) -> None:
        manifest = told(bucket)
        manifest["checksums"][name] = manifest["checksums"].pop("a.parquet")
        rewrite(bucket, manifest)

    return act


def changed(**fields: Any) -> Harm:
    return lambda bucket: rewrite(bucket, told(bucket) | fields)


HARMS: dict[str, tuple[Harm, str]] = {
    "a byte of a file": (lambda bucket: bucket.write(TABLE, b"T" + FILES["a.parquet"][1:]), TABLE),
    "a shorter file": (lambda bucket: bucket.write(TABLE, FILES["a.parquet"][:-1]), TABLE),
    "no file": (lambda bucket: bucket.delete(TABLE), TABLE),
    "a page of noise": (lambda bucket: bucket.write(PAGE, b"\x00\xff{"), PAGE),
    "half a page": (lambda bucket: bucket.write(PAGE, (bucket.read(PAGE, at_most=9999) or b"")[:200]), PAGE),
    "a page of another number": (
        lambda bucket: bucket.write(PAGE, (bucket.read(PAGE, at_most=9999) or b"").replace(b"5000", b"5001")),
        "its digest differs",
    ),
    "deep nesting": (lambda bucket: bucket.write(PAGE, b"[" * 200_000), PAGE),
    "another object": (changed(fingerprint="f2"), "another object"),
    "another recipe": (changed(recipe={"own": "own-2"}), "another recipe"),
    "a way up": (renamed("../../../stolen"), "leads elsewhere"),
    "an absolute path": (renamed("/tmp/stolen"), "leads elsewhere"),
    "a name with a NUL": (renamed("a\x00b"), "leads elsewhere"),
    "the manifest's own name": (renamed("manifest.json"), "leads elsewhere"),
    "a size below nothing": (changed(checksums={"a.parquet": {"sha256": "0" * 64, "size": -1}}), "none"),
    "a sum that is a path": (changed(checksums={"a.parquet": {"sha256": "../x", "size": 1}}), "none"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_damaged_is_refused_by_name_computed_again_and_put_right(
    harm: str, folder: str, tmp_path: Path
) -> None:
    refused_and_put_right(folder, tmp_path, *HARMS[harm])


@pytest.mark.parametrize("harm", ["a byte of a file", "a shorter file", "half a page"])
def test_in_a_bucket_as_well(harm: str, s3: str, tmp_path: Path) -> None:
    refused_and_put_right(s3, tmp_path, *HARMS[harm])


def refused_and_put_right(url: str, tmp_path: Path, act: Harm, named: str) -> None:
    made(home_of(tmp_path / "one", url))
    act(Bucket(checked(url), IMPATIENT))
    lines: list[str] = []
    second, computed = made(home_of(tmp_path / "two", url, log=lines.append))
    assert computed
    refusals = [line for line in lines if line.startswith("refused from the shared store")]
    assert len(refusals) == 1
    assert named in refusals[0]
    assert "objects/numbers/f1/" in refusals[0]
    assert content_of(second).keys() == {*FILES, "manifest.json"}
    third, again = made(home_of(tmp_path / "three", url))
    assert not again
    assert content_of(third) == content_of(second)
    assert {path.name for path in tmp_path.iterdir()} - {"mounted"} == {"one", "two", "three"}


def test_a_pipe_in_a_folder_is_not_waited_for(folder: str, tmp_path: Path) -> None:
    refused_and_put_right(folder, tmp_path, lambda bucket: as_pipe(Path(folder) / PAGE), "is no regular file")


def as_pipe(path: Path) -> None:
    """A pipe in the place of a file, whose size is never read."""
    path.unlink()
    os.mkfifo(path)


def test_what_an_interrupted_pull_left_is_used_where_it_is_right(folder: str, tmp_path: Path) -> None:
    made(home_of(tmp_path / "one", folder))
    left = tmp_path / "two" / "partial" / "numbers" / "f1" / "pulled"
    for name, content in {"a.parquet": FILES["a.parquet"], "again.bin": b"half", "maps": b"", "old/x": b""}.items():
        write_bytes(left / name, content)
    second, computed = made(home_of(tmp_path / "two", folder))
    assert not computed
    assert Store(tmp_path / "two").verify(second) == ()
    assert {path.name for path in second.path.iterdir()} == {"a.parquet", "again.bin", "maps", "manifest.json"}


def test_a_damaged_result_of_this_machine_is_not_sent(s3: str, tmp_path: Path) -> None:
    artifact, _ = made(Store(tmp_path / "one"))
    artifact.file("maps/c/1").write_bytes(b"errors" + FILES["maps/c/1"][6:])
    with pytest.raises(StoreError, match="maps/c/1 is damaged"):
        home_of(tmp_path / "one", s3).push(KEY)
    assert made(home_of(tmp_path / "two", s3))[1]


def test_a_damaged_key_is_refused_and_written_anew_by_a_push(s3: str, tmp_path: Path) -> None:
    store = home_of(tmp_path / "one", s3)
    made(store)
    Bucket(s3, IMPATIENT).write(REF, b"{}")
    with pytest.raises(RemoteError, match=r"numbers\.json is damaged"):
        store.remote.shared.resolve(KEY)
    store.push(KEY)
    ref = store.remote.shared.resolve(KEY)
    assert ref is not None
    assert (ref.stage, ref.fingerprint, ref.planned) == ("numbers", "f1", "planned-1")


@pytest.mark.parametrize(
    "address",
    ["bucket/prefix", "http://bucket/x", "s3://", "s3://b/../c", "ftp://host/x", "file://here", "memory:///", ""],
)
def test_an_address_that_is_none_is_refused_with_the_forms_there_are(address: str) -> None:
    with pytest.raises(RemoteError, match="write s3://bucket/prefix"):
        checked(address)


@pytest.mark.parametrize("address", ["s3://key:geheim@bucket/x", "az://c/x?sig=geheim", "gs://b/x#geheim"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(RemoteError, match="environment") as refusal:
        checked(address)
    assert "geheim" not in str(refusal.value)
