"""A manifest sums up all files of an artifact; the ref and the store's index sum up the manifest."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.graph.maintenance import verify_store
from resources.dagster_resources import ArtifactStore
from storage.artifact import Artifact, Store, StoreError
from tests.storage.filling import KEY, RECIPE, contents, make, numbers

REF = "refs/toyref+/base/numbers.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """f1 is an older result, f2 is what the key means."""
    store = Store(tmp_path / "store")
    make(store, numbers(5), fingerprint="f1")
    make(store, numbers(6), fingerprint="f2")
    return store


def manifest(store: Store, fingerprint: str) -> Path:
    return store.root / "objects/numbers" / fingerprint / "manifest.json"


def change(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


def make_older(store: Store) -> None:
    """Leave what a version of wordmask left that summed no manifest."""
    (store.root / "index.txt").unlink()
    page = json.loads((store.root / REF).read_text())
    del page["manifest"], page["sum"]
    (store.root / REF).write_text(json.dumps(page))


CHANGES = [
    (r'("quarantined": )\d', r"\g<1>9"),
    (r'("own": "own-)1', r"\g<1>2"),
    (r'("size": )(\d)', r"\g<1>9\g<2>"),
    (r'("created": "2)\d', r"\g<1>1"),
    (r'"metrics": \{\}', '"metrics": {"loss": 0.0}'),
]


@pytest.mark.parametrize("fingerprint", ["f1", "f2"])
@pytest.mark.parametrize(("pattern", "replacement"), CHANGES)
def test_a_changed_manifest_is_noticed(store: Store, fingerprint: str, pattern: str, replacement: str) -> None:
    change(manifest(store, fingerprint), pattern, replacement)
    (problem,) = store.verify(Artifact(manifest(store, fingerprint).parent))
    assert "manifest.json is missing or damaged (its SHA-256 differs)" in problem


def test_a_changed_manifest_is_not_read(store: Store) -> None:
    change(manifest(store, "f2"), *CHANGES[0])
    with pytest.raises(StoreError, match="run the stage that makes it again with force"):
        store.resolve(KEY)
    with pytest.raises(StoreError, match="with force"), store.claim("numbers", "f2", recipe=RECIPE):
        pass
    assert [sibling.path.name for sibling in store.siblings("numbers", "own-1")] == ["f1"]
    again, _ = make(store, numbers(6), fingerprint="f2", force=True)
    assert store.resolve(KEY) == again
    assert store.verify(again) == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("f2", "f1"),
        lambda text: text.replace('"planned": ""', '"planned": "x"'),
        lambda text: text.replace('"manifest"', '"manifesu"'),
        lambda text: text.replace('"sum"', '"sun"'),
        lambda text: text.replace("toyref+", "toyref-"),
        lambda text: text[: len(text) // 2],
        lambda _: "[]",
        lambda _: "[" * 100_000,
    ],
)
def test_a_damaged_ref_is_noticed(store: Store, damage: Callable[[str], str]) -> None:
    (store.root / REF).write_text(damage((store.root / REF).read_text()))
    ((file, problem),) = store.verify_pointers()
    assert file == REF
    assert "is damaged" in problem
    with pytest.raises(StoreError, match="is damaged"):
        store.resolve(KEY)


def test_a_damaged_line_of_the_index_is_noticed(store: Store) -> None:
    change(store.root / "index.txt", "(?m)^.", "x")
    assert store.verify_pointers() == [("index.txt", "line 1 is damaged")]


def test_the_index_is_what_sha256sum_reads(store: Store) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "index.txt"], cwd=store.root, check=True, capture_output=True)


def test_a_key_that_leads_to_an_object_that_another_key_made_again_is_sound(store: Store) -> None:
    store.point(("other", "numbers"), "numbers", "f2")
    again, _ = make(store, numbers(6), fingerprint="f2", force=True)
    assert store.resolve(("other", "numbers")) == again
    assert store.verify_pointers() == []


def test_a_forced_run_that_is_killed_before_it_points_leaves_a_sound_store(store: Store) -> None:
    before = contents(store.resolve(KEY))
    with store.claim("numbers", "f2", recipe=RECIPE, force=True) as slot:
        for name, content in before.items():
            (slot.content / name).write_bytes(content)
        slot.commit()
    assert store.verify(store.resolve(KEY)) == ()


def test_a_store_of_an_earlier_version_is_adopted_by_its_next_run_which_says_so_once(store: Store) -> None:
    make_older(store)
    assert store.verify(store.resolve(KEY)) == ()
    said: list[str] = []
    for fingerprint in ("f3", "f4"):
        make(Store(store.root, log=said.append), numbers(4), fingerprint=fingerprint)
    assert [line for line in said if "earlier version" in line] == [
        "2 artifacts of an earlier version of wordmask are taken as they are; "
        "from now on their manifests are compared with index.txt"
    ]
    assert [store.verify(artifact) for artifact in store.artifacts()] == [()] * 4
    change(manifest(store, "f1"), *CHANGES[0])
    assert store.verify(Artifact(manifest(store, "f1").parent))


def test_adoption_completes_older_refs_and_believes_newer_ones(store: Store) -> None:
    newer = ("newer", "numbers")
    store.point(newer, "numbers", "f1")
    make_older(store)
    change(manifest(store, "f1"), *CHANGES[0])
    with store.claim("numbers", "f3", recipe=RECIPE):
        pass
    assert "manifest" in json.loads((store.root / REF).read_text())
    assert store.resolve(KEY).path.name == "f2"
    with pytest.raises(StoreError, match="SHA-256 differs"):
        store.resolve(newer)


def test_collected_objects_leave_the_index(store: Store) -> None:
    assert "numbers/f1/" in (store.root / "index.txt").read_text()
    store.collect_garbage(False, min_age=timedelta(0))
    assert "numbers/f1/" not in (store.root / "index.txt").read_text()
    assert store.verify_pointers() == []


def test_the_job_tells_of_a_changed_ref(store: Store) -> None:
    change(store.root / REF, "f2", "f1")
    with dg.DagsterInstance.ephemeral() as instance:
        result = verify_store.execute_in_process(
            instance=instance, resources={"store": ArtifactStore(root=str(store.root))}, raise_on_error=False
        )
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert error is not None
    assert f"1 problems in 2 artifacts, the first: {REF}" in error.message
