import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from storage.artifact import Artifact, Store, StoreError, Tally
from storage.digest import digest
from storage.files import sha256_of
from storage.rows import Quarantined, Rows
from tests.storage.filling import KEY, RECIPE, contents, make, numbers, rows_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return make(store, numbers(20))[0]


def test_a_manifest_says_what_the_artifact_is(store: Store) -> None:
    with store.claim("train", "f9", recipe={**RECIPE, "knobs": {"lr": 5e-05}}) as slot:
        (slot.content / "maps.zarr").mkdir()
        (slot.content / "maps.zarr/0").write_bytes(b"map")
        (slot.content / "preview.png").write_bytes(b"png")
        made = slot.commit(
            rows={"history": Tally(1, 2, 3, 4)},
            inputs={"choices": "f1"},
            metrics={"loss": 0.25, "steps": 12, "chosen by": "last epoch"},
            versions={"python": "3.11.2"},
            extra={"key": ["toyref", "base", "train"]},
        )
    manifest = Artifact(made.path).manifest
    assert (manifest.stage, manifest.fingerprint, manifest.recipe["knobs"]) == ("train", "f9", {"lr": 5e-05})
    assert manifest.rows["history"] == Tally(reused=1, computed=2, quarantined=3, rows=4)
    assert manifest.inputs == {"choices": "f1"}
    assert manifest.metrics == {"loss": 0.25, "steps": 12, "chosen by": "last epoch"}
    assert manifest.extra == {"key": ["toyref", "base", "train"]}
    assert manifest.created.endswith("+00:00")
    assert sorted(manifest.checksums) == ["maps.zarr/0", "preview.png"]
    assert manifest.checksums["preview.png"].size == 3
    assert made.has("maps.zarr")
    assert made.file("maps.zarr").is_dir()
    assert not made.has("maps")


def test_a_second_claim_finds_the_object_complete(store: Store, artifact: Artifact) -> None:
    with store.claim("numbers", "f1", recipe=RECIPE) as slot:
        assert slot.complete
    assert make(store, numbers(20)) == (artifact, None)


def test_old_and_new_results_stay_side_by_side_and_a_key_moves_between_them(store: Store, artifact: Artifact) -> None:
    other, _ = make(store, numbers(10), fingerprint="f2")
    assert store.resolve(KEY) == other
    store.point(KEY, "numbers", "f1")
    assert store.resolve(KEY) == artifact
    assert store.refs() == {KEY: artifact}
    assert store.artifacts() == [artifact, other]


def test_content_digest_ignores_times_and_tallies(tmp_path: Path, artifact: Artifact) -> None:
    again, _ = make(Store(tmp_path / "again"), numbers(20), reuse=[artifact])
    assert again.manifest.rows != artifact.manifest.rows
    assert again.manifest.created != artifact.manifest.created
    assert again.content_digest == artifact.content_digest
    assert make(Store(tmp_path / "other"), numbers(19))[0].content_digest != artifact.content_digest


def test_siblings_are_of_the_same_stage_and_own_recipe_newest_first(store: Store) -> None:
    for fingerprint, own in (("f1", "a"), ("f2", "b"), ("f3", "a"), ("f0", "a")):
        with store.claim("numbers", fingerprint, recipe={"own": own}) as slot:
            slot.commit()
    with store.claim("nouns", "f5", recipe={"own": "a"}) as slot:
        slot.commit()
    assert [sibling.path.name for sibling in store.siblings("numbers", "a")] == ["f0", "f3", "f1"]
    (store.root / "objects/numbers/f3/manifest.json").write_text("{")
    assert [sibling.path.name for sibling in store.siblings("numbers", "a")] == ["f0", "f1"]
    assert store.siblings("unheard-of", "a") == []


def test_a_key_without_an_object_says_what_to_run(store: Store, artifact: Artifact) -> None:
    with pytest.raises(
        StoreError, match=r"Nothing is stored for toyref/base/nouns .* materialize toyref/base/nouns first"
    ):
        store.resolve(("toyref", "base", "nouns"))
    with pytest.raises(StoreError, match="commit it first"):
        store.point(KEY, "numbers", "f7")
    shutil.rmtree(artifact.path)
    with pytest.raises(StoreError, match="is gone"):
        store.resolve(KEY)
    assert store.refs() == {}


def test_a_damaged_ref_or_manifest_is_told_of(store: Store, artifact: Artifact) -> None:
    (artifact.path / "manifest.json").write_text('{"stage": "numbers"}')
    with pytest.raises(StoreError, match=r"manifest.json is missing or damaged .* with force"):
        make(store, numbers(20))
    (store.root / "refs/toyref+/base/numbers.json").write_bytes(b"")
    with pytest.raises(StoreError, match=r"numbers.json is damaged .* materialize"):
        store.resolve(KEY)


def test_a_missing_table_says_what_there_is(artifact: Artifact) -> None:
    with pytest.raises(StoreError, match=r"holds no 'masks.parquet'; it holds numbers.ledger.parquet, numbers.parquet"):
        artifact.table("masks")
    with pytest.raises(StoreError, match="holds no"):
        artifact.file("../f2/manifest.json")


UNSAFE = ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "a\0b", "a b", "x" * 200, "ü", "-rf"]


@pytest.mark.parametrize("part", UNSAFE)
def test_unsafe_names_are_refused(store: Store, artifact: Artifact, part: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: store.point((part, "base"), "numbers", "f1"),
        lambda: store.point(KEY, part, "f1"),
        lambda: store.resolve(("toyref", part)),
        lambda: store.claim("numbers", part, recipe={}).__enter__(),
        lambda: store.claim(part, "f1", recipe={}).__enter__(),
        lambda: store.siblings(part, "own"),
    ]
    for act in acts:
        with pytest.raises(StoreError, match="cannot name a folder"):
            act()
    with pytest.raises(StoreError, match="at least one part"):
        store.resolve(())


def test_verify_names_each_damaged_missing_and_foreign_file(store: Store, artifact: Artifact) -> None:
    assert store.verify(artifact) == ()
    table = artifact.file("numbers.parquet")
    content = bytearray(table.read_bytes())
    content[100] ^= 1
    table.write_bytes(content)
    artifact.file("numbers.ledger.parquet").unlink()
    (artifact.path / "notes.txt").write_text("mine")
    assert store.verify(artifact) == (
        "numbers.ledger.parquet: missing",
        "numbers.parquet: content changed (SHA-256 differs)",
        "notes.txt: does not belong to the artifact",
    )
    table.write_bytes(content[:-1])
    assert f"numbers.parquet: {len(content) - 1} bytes instead of {len(content)}" in store.verify(artifact)


def test_a_link_in_the_work_folder_is_refused(store: Store) -> None:
    with store.claim("numbers", "f1", recipe=RECIPE) as slot:
        (slot.content / "passwd").symlink_to("/etc/passwd")
        with pytest.raises(StoreError, match="is a link"):
            slot.commit()


def test_force_makes_the_object_again_and_keeps_the_content(store: Store, artifact: Artifact) -> None:
    asked: list[int] = []

    def counted(payloads: Sequence[int]) -> object:
        asked.extend(payloads)
        return enumerate(map(rows_of, payloads))

    before = contents(artifact)
    created = artifact.manifest.created
    again, tally = make(store, numbers(20), force=True, work=counted)  # type: ignore[arg-type]
    assert asked == list(range(20))
    assert tally is not None
    assert tally.reused == 0
    assert contents(again) == before
    assert Artifact(again.path).manifest.created > created
    assert list((store.root / "trash").iterdir()) == []


def test_a_forced_run_that_broke_down_resumes_but_never_from_older_work(store: Store) -> None:
    def broken(payloads: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
        for place, payload in enumerate(payloads):
            if payload == 9:
                raise RuntimeError("broken down")
            yield place, rows_of(payload)

    with pytest.raises(RuntimeError):
        make(store, numbers(20), work=broken)
    for reused in (0, 7):
        with store.claim("numbers", "f1", recipe=RECIPE, force=True) as slot:
            assert len(list(slot.scratch.glob("numbers/*"))) == (reused > 0)
        with pytest.raises(RuntimeError):
            make(store, numbers(20), work=broken, force=True)
    _, tally = make(store, numbers(20), force=True)
    assert tally is not None
    assert tally.reused == 7


def test_only_one_claim_of_an_object_at_a_time_and_the_other_finds_it_complete(store: Store) -> None:
    found: list[bool] = []
    lines: list[str] = []
    waiting = threading.Event()

    def log(line: str) -> None:
        lines.append(line)
        waiting.set()

    def second() -> None:
        with store.claim("numbers", "f1", recipe=RECIPE, log=log) as slot:
            found.append(slot.complete)

    with store.claim("numbers", "f1", recipe=RECIPE) as slot:
        other = threading.Thread(target=second)
        other.start()
        assert waiting.wait(20)
        with store.claim("numbers", "f2", recipe=RECIPE) as unrelated:
            assert not unrelated.complete
        slot.commit()
    other.join(20)
    assert found == [True]
    assert lines[0].startswith("waiting for process ")
    assert lines[0].endswith("which is making numbers f1")


def test_a_claim_gives_up_after_its_timeout(store: Store) -> None:
    with (
        store.claim("numbers", "f1", recipe=RECIPE),
        pytest.raises(StoreError, match="still holds"),
        store.claim("numbers", "f1", recipe=RECIPE, timeout=0.3),
    ):
        pass


def test_refs_are_plain_json_at_the_key(store: Store, artifact: Artifact) -> None:
    ref = json.loads((store.root / "refs/toyref+/base/numbers.json").read_text())
    manifest = sha256_of(artifact.path / "manifest.json")
    page = {"key": list(KEY), "stage": "numbers", "fingerprint": "f1", "planned": "", "manifest": manifest}
    assert ref == {**page, "sum": digest(page)}
    assert artifact.path == store.root / "objects/numbers/f1"
    assert artifact.content_digest == digest(
        {name: entry.sha256 for name, entry in artifact.manifest.checksums.items()},
    )
